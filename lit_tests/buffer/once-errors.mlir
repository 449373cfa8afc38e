// RUN: not irkit-opt --split-input-file -p kernel-to-buffer %s 2>&1 | filecheck %s

loop.func @f (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {}
func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: once-errors.mlir:[[# @LINE + 4]]:{{.*}} error: the launch of @f runs once, but not all that it reads is known then
  // CHECK: found: an input, or what is made of one
  // CHECK: expected: parameters, constants and results of launches that run once
  // CHECK: help: remove 'once'
  %0 = kernel.launch once @f(%x) : (tensor<8xf32>) -> tensor<8xf32>
  func.return %0 : tensor<8xf32>
}

// -----

loop.func @f (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {}
func.func @main(%w: tensor<8xf32> {graph.kind = "param"}) -> tensor<8xf32> {
  %r = graph.for 0 to 3 (%w) : (tensor<8xf32>) {
  ^bb0(%t: tensor<si64>, %x: tensor<8xf32>):
    // CHECK: once-errors.mlir:[[# @LINE + 2]]:{{.*}} error: the launch of @f runs once, but stands in a loop
    // CHECK: help: put it before the loop
    %0 = kernel.launch once @f(%w) : (tensor<8xf32>) -> tensor<8xf32>
    graph.yield %0 : tensor<8xf32>
  }
  func.return %r : tensor<8xf32>
}

// -----

loop.func @f (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {}
buffer.program @late (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>)
    arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [{name = "x", kind = "param", dtype = "f32"}, {name = "y", kind = "output", dtype = "f32"}] {
  buffer.call @f (%x, %y)
  // CHECK: buffer.once stands behind buffer.call, and is the first work of a program
  buffer.once { buffer.barrier }
}

// -----

buffer.program @nested (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>)
    arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [{name = "x", kind = "param", dtype = "f32"}, {name = "y", kind = "output", dtype = "f32"}] {
  // CHECK: buffer.once holds calls and copies, and no buffer.once
  buffer.once {
    buffer.once { buffer.barrier }
  }
}
