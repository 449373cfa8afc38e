// RUN: not irkit-opt %s --split-input-file 2>&1 | filecheck %s

// CHECK: prefetch-errors.mlir:[[# @LINE + 2]]:3: error: {{.*}}1 index expressions for an array of rank 2
loop.func @rank (in %x: !buffer.ref<[4, 8], f32>) {
  loop.prefetch %x[1] : f32
}

// -----

// CHECK: error: {{.*}}k + 1 names ['k']: no loop variable or symbol in scope
loop.func @names (in %x: !buffer.ref<[4, 8], f32>) {
  loop.prefetch %x[1, k + 1] : f32
}

// -----

// CHECK: error: {{.*}}a value of type vector<8xf32> names 1 array dims after 'along', found 0
loop.func @along (in %x: !buffer.ref<[4, 8], f32>) {
  loop.prefetch %x[1, 0] : vector<8xf32>
}

// -----

// CHECK: error: {{.*}}f64 does not match an array of f32
loop.func @element (in %x: !buffer.ref<[4, 8], f32>) {
  loop.prefetch %x[1, 0] along [1] : vector<8xf64>
}

// -----

// CHECK: error: {{.*}}asks for lanes side by side, and those along dim 0 lie 8 elements apart
loop.func @column (in %x: !buffer.ref<[4, 8], f32>) {
  loop.prefetch %x[0, 1] along [0] : vector<4xf32>
}

// -----

// CHECK: error: {{.*}}asks for one row of lanes, and vector<4x8xf32> has several
loop.func @tile (in %x: !buffer.ref<[4, 8], f32>) {
  loop.prefetch %x[0, 0] along [0, 1] : vector<4x8xf32>
}

// -----

// CHECK: error: {{.*}}asks for one place, and its index operand is a vector of them
loop.func @gather (in %x: !buffer.ref<[4, 8], f32>) {
  %places = loop.index 0 by 1 : vector<4xi64>
  loop.prefetch %x[_0, 0](%places) : f32
}
