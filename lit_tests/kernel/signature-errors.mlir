// RUN: not irkit-opt %s --split-input-file 2>&1 | filecheck %s

// CHECK: signature-errors.mlir:[[# @LINE + 1]]:1: error: an array holds numbers, not index
loop.func @array_of_index (in %x: !buffer.ref<[4], index>) {}

// -----

// CHECK: signature-errors.mlir:[[# @LINE + 1]]:1: error: {{.*}}argument %x has a dim N + 1, which names ['N']: no symbol
loop.func @unknown_dim (in %x: !buffer.ref<[N + 1], f32>) {}

// -----

// CHECK: signature-errors.mlir:[[# @LINE + 1]]:1: error: 'loop.func' op does not verify: output %y is never written
loop.func @writes_nothing (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], f32>) {
  loop.for i in 0 to 4 {
    %v = loop.load %x[i] : f32
  }
}

// -----

// CHECK: signature-errors.mlir:[[# @LINE + 1]]:1: error: {{.*}}an update of an output has nothing to begin with
kernel.def @update_first axes [i: 4] (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], f32>) {
  %v = kernel.read %x[i] : f32
  kernel.write %v, %y[i] add
}

// -----

// CHECK: signature-errors.mlir:[[# @LINE + 1]]:1: error: a module has 2 blocks
builtin.module {
^first:
^second:
}

// -----

// CHECK: signature-errors.mlir:[[# @LINE + 1]]:1: error: an array of 1237940039285380274899124224 elements is too large
loop.func @too_large (in %x: !buffer.ref<[1073741824, 1073741824, 1073741824], f32>) {}

// CHECK-NOT: too large
