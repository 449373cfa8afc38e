// RUN: not irkit-opt %s -p kernel-to-loop 2>&1 | filecheck %s

// After a change of level, what still belongs to the level above is told, with its place.
// CHECK: leftover.mlir:12:3: error: 2 leftover 'graph.exp' ops are not allowed after kernel-to-loop
// CHECK: %0 = graph.exp %x
// CHECK: found: 'graph.exp' here first
// CHECK: expected: an op with a lowering to this level
// CHECK: help: check that 'graph.exp' has a lowering rule, and that the passes before kernel-to-loop have run
// CHECK: 1 leftover 'graph.neg' op is not allowed after kernel-to-loop

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = graph.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  %1 = graph.exp %0 : (tensor<4xf32>) -> tensor<4xf32>
  %2 = graph.neg %1 : (tensor<4xf32>) -> tensor<4xf32>
  func.return %2 : tensor<4xf32>
}
