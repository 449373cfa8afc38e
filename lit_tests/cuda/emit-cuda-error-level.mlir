// RUN: not irkit-opt --emit=cuda %s --split-input-file 2>&1 | filecheck %s
// RUN: not irkit-opt --emit=c %s --split-input-file 2>&1 | filecheck %s --check-prefix=C

// CHECK: error: the module holds no loop.func
// CHECK: help: run the passes down to the loop level
func.func @none(%x: tensor<4xf32>) -> (tensor<4xf32>) {
  func.return %x : tensor<4xf32>
}

// -----

// CHECK: error: the input is at the buffer level already, which is below the loop level
// CHECK: help: CUDA text is made of kernels at the loop level
buffer.program @p () arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [] {}

// -----

// CHECK: error: @no_threads is not mapped to blocks and threads
// CHECK: expected: one block loop around one thread loop
// C: error: a block loop has no C form
// C: help: --emit=cuda prints what is mapped to a GPU
loop.func @no_threads (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    %v = loop.load %x[b] : f32
    loop.store %v, %y[b] : f32
  }
}
