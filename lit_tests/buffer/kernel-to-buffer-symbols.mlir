// RUN: irkit-opt -p kernel-to-buffer %s | filecheck %s

// Sizes that depend on a symbol are planned at its maximum, 64; dims stay expressions.
loop.func @widen symbols [B: 1 to 64] (in %x: !buffer.ref<[B, 4], f32>, out %y: !buffer.ref<[2 * B + 1, 4], f32>) {}
loop.func @narrow symbols [B: 1 to 64] (in %x: !buffer.ref<[2 * B + 1, 4], f32>, out %y: !buffer.ref<[B, 4], f32>) {}

// CHECK-LABEL: buffer.program @plans_at_maximum symbols [B: 1 to 64] (in %x: !buffer.ref<[B, 4], f32>,
// CHECK-SAME: arena_bytes 3136 scratch_bytes 0 peak_bytes 3136 lower_bound_bytes 3136
// CHECK: buffer.view 0 : !buffer.ref<[B * 2 + 1, 4], f32>
// CHECK: buffer.view 2112 : !buffer.ref<[B, 4], f32>
func.func @plans_at_maximum(%x: tensor<?x4xf32, #graph.t<dims=[B, 4]>>)
    -> tensor<?x4xf32, #graph.t<dims=[2 * B + 1, 4]>> attributes {graph.symbols = #dim.symbols<[B: 1 to 64]>} {
  %0 = kernel.launch @widen(%x) : (tensor<?x4xf32, #graph.t<dims=[B, 4]>>) -> tensor<?x4xf32, #graph.t<dims=[2 * B + 1, 4]>>
  %1 = kernel.launch @narrow(%0) : (tensor<?x4xf32, #graph.t<dims=[2 * B + 1, 4]>>) -> tensor<?x4xf32, #graph.t<dims=[B, 4]>>
  %2 = kernel.launch @widen(%1) : (tensor<?x4xf32, #graph.t<dims=[B, 4]>>) -> tensor<?x4xf32, #graph.t<dims=[2 * B + 1, 4]>>
  func.return %2 : tensor<?x4xf32, #graph.t<dims=[2 * B + 1, 4]>>
}
