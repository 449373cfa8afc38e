// RUN: irkit-opt -p buffer-to-upstream --split-input-file --verify-diagnostics %s | filecheck %s

loop.func @waits (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], f32>) {
  loop.for i in 0 to 4 parallel {
    // CHECK: errors.mlir:{{.*}}: error: a barrier inside a parallel loop has no upstream form
    // CHECK: expected: barriers between parallel loops
    // CHECK: help: split the loop where its threads wait
    loop.barrier
  }
}

// -----

loop.func @mapped (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], f32>) {
  // CHECK: errors.mlir:{{.*}}: error: a block loop has no upstream form
  // CHECK: expected: kernels for a CPU
  // CHECK: help: --emit=cuda prints what is mapped to a GPU
  loop.for b in 0 to 4 block {
    %v = loop.load %x[b] : f32
    loop.store %v, %y[b] : f32
  }
}

// -----

loop.func @tangent (in %x: !buffer.ref<[], f32>, out %y: !buffer.ref<[], f32>) {
  %a = loop.load %x[] : f32
  // CHECK: errors.mlir:{{.*}}: error: 'math.tan' has no upstream form
  // CHECK: expected: a scalar op that the kernels of irkit's own passes hold
  %b = math.tan %a : f32
  loop.store %b, %y[] : f32
}

// -----

loop.func @add (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {}

buffer.program @main (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [{name = "x", kind = "input", dtype = "f32"}, {name = "y", kind = "output", dtype = "f32"}] {
  buffer.call @add (%x, %y)
  // CHECK: errors.mlir:{{.*}}: error: the call does not fit the signature of kernel @add
  // CHECK: found: 1 arrays
  // CHECK: expected: arrays of f32, f32
  buffer.call @add (%x)
}

// -----

buffer.program @main (in %x: !buffer.ref<[8], f32>) arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [{name = "x", kind = "input", dtype = "f32"}] {
  // CHECK: errors.mlir:{{.*}}: error: the program calls @none, which is not in the module
  buffer.call @none (%x)
}
