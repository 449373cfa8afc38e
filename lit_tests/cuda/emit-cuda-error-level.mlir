// RUN: not irkit-opt --emit=cuda %s --split-input-file 2>&1 | filecheck %s
// RUN: not irkit-opt --emit=c %s --split-input-file 2>&1 | filecheck %s --check-prefix=C

// CHECK: error: the module holds no loop.func
// CHECK: help: run the passes down to the loop level
builtin.module {
}

// -----

// CHECK: error: @flat is not mapped to blocks and threads
// CHECK: help: run loop-map-gpu first
loop.func @flat (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], f32>) {
  loop.for i in 0 to 4 {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
}
buffer.program @p () arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [] {}

// -----

// CHECK: error: the program calls @gone, which is not in the module
buffer.program @p () arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [] {
  %h = buffer.view 0 : !buffer.ref<[4], f32>
  buffer.call @gone (%h)
}

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
