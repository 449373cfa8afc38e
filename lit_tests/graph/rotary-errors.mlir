// RUN: irkit-opt --split-input-file --verify-diagnostics --parsing-diagnostics %s | filecheck %s

// CHECK: error: rotary_embedding turns pairs of features
// CHECK: expected: an even last dim
func.func @odd(%x: tensor<2x3xf32>) {
  %0 = graph.rotary_embedding %x, %x, %x : (tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return
}
// -----
// CHECK: error: sin of rotary_embedding does not fit x
// CHECK: found: [3, 2] for [2, 4]
// CHECK: expected: a last dim of 2, or of 4, and what broadcasts to x before it
func.func @angles(%x: tensor<2x4xf32>, %c: tensor<2xf32>, %s: tensor<3x2xf32>) {
  %0 = graph.rotary_embedding %x, %c, %s : (tensor<2x4xf32>, tensor<2xf32>, tensor<3x2xf32>) -> tensor<2x4xf32>
  func.return
}
