// RUN: irkit-opt --split-input-file --verify-diagnostics --parsing-diagnostics %s | filecheck %s

// CHECK: ops-errors.mlir:[[# @LINE + 3]]:{{[0-9]+}}: error: shapes of add do not broadcast at dim 0: 2 against 3
// CHECK: found: [2] and [3]
func.func @shapes(%x: tensor<2xf32>, %y: tensor<3xf32>) {
  %0 = graph.add %x, %y : (tensor<2xf32>, tensor<3xf32>) -> tensor<2xf32>
  func.return
}
// -----
// CHECK: error: add needs operands of one dtype
// CHECK: convert one with cast(x, f32)
func.func @dtypes(%x: tensor<2xf32>, %y: tensor<2xf64>) {
  %0 = graph.add %x, %y : (tensor<2xf32>, tensor<2xf64>) -> tensor<2xf32>
  func.return
}
// -----
// CHECK: error: exp has another result type
// CHECK: found: tensor<3xf32>
// CHECK: expected: tensor<2xf32>
func.func @result(%x: tensor<2xf32>) {
  %0 = graph.exp %x : (tensor<2xf32>) -> tensor<3xf32>
  func.return
}
// -----
// CHECK: error: compare needs the parameter 'pred'
func.func @parameter(%x: tensor<2xf32>) {
  %0 = graph.compare %x, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi1>
  func.return
}
// -----
// CHECK: error: index i + 1 may leave a dim of size 8
// CHECK: state a boundary
func.func @interior(%x: tensor<8xf32>) {
  %0 = graph.index axes [i: 8] reads (%x[i + 1]) : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: f32, %i: i64):
    graph.yield %a : f32
  }
  func.return
}
// -----
// CHECK: error: {{.*}}graph.for yields values of the carried types
func.func @carried(%x: tensor<2xf32>, %y: tensor<3xf32>) {
  %0 = graph.for 0 to 4 (%x) : (tensor<2xf32>) {
  ^bb0(%t: tensor<si64>, %v: tensor<2xf32>):
    graph.yield %y : tensor<3xf32>
  }
  func.return
}
// -----
// CHECK: error: abs has no !graph.quant{{.*}} form
func.func @quantised(%x: tensor<2x!graph.quant<ui8, f32, scale = [0.1]>>) {
  %0 = graph.abs %x : (tensor<2x!graph.quant<ui8, f32, scale = [0.1]>>) -> tensor<2x!graph.quant<ui8, f32, scale = [0.1]>>
  func.return
}
// -----
// CHECK: error: {{.*}}scales of !graph.quant are positive numbers
func.func @scale(%x: tensor<2x!graph.quant<ui8, f32, scale = [-0.1]>>) {
  func.return
}
