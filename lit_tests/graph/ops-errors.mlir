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
// CHECK: error: abs does not compute with quantised elements
// CHECK: found: quant(u8, scale=0.1)[2]
// CHECK: help: dequantise with cast(x, f32); reinterpret(x, u8) gives the stored numbers
func.func @quantised(%x: tensor<2x!graph.quant<ui8, f32, scale = [0.1]>>) {
  %0 = graph.abs %x : (tensor<2x!graph.quant<ui8, f32, scale = [0.1]>>) -> tensor<2x!graph.quant<ui8, f32, scale = [0.1]>>
  func.return
}
// -----
// CHECK: error: {{.*}}bad !graph.quant: scales are positive: found -0.1, expected finite numbers above 0
func.func @scale(%x: tensor<2x!graph.quant<ui8, f32, scale = [-0.1]>>) {
  func.return
}
// -----
// CHECK: error: {{.*}}bad !graph.quant: zero points are numbers of i8: found 128, expected -128 to 127
func.func @zero_point(%x: tensor<2x!graph.quant<si8, f32, scale = [0.1], zero_point = [128]>>) {
  func.return
}
// -----
// CHECK: error: {{.*}}bad !graph.quant: the storage is no small integer: found f32, expected one of i2, i4, i8,
func.func @storage(%x: tensor<2x!graph.quant<f32, f32, scale = [0.1]>>) {
  func.return
}
// -----
// CHECK: error: {{.*}}bad !graph.quant: what is expressed is no float: found i32
func.func @expressed(%x: tensor<2x!graph.quant<si8, si32, scale = [0.1]>>) {
  func.return
}
// -----
// CHECK: error: {{.*}}bad !graph.quant: several scales go along a dim: found 2 scales, expected axis=
func.func @axis(%x: tensor<2x!graph.quant<si8, f32, scale = [0.1, 0.2]>>) {
  func.return
}
// -----
// CHECK: error: the scales of a quantised type do not go with dim 0
// CHECK: found: 2 scales for 3 elements each, a dim of size 4
// CHECK: expected: a dim of size 6
func.func @block(%x: tensor<4x!graph.quant<si8, f32, scale = [0.1, 0.2], axis = 0, block = 3>>) {
  %0 = graph.cast %x {dtype = "f32"} : (tensor<4x!graph.quant<si8, f32, scale = [0.1, 0.2], axis = 0, block = 3>>) -> tensor<4xf32>
  func.return
}
// -----
// CHECK: error: graph.index does not read quantised elements
// CHECK: dequantise the tensor: cast(x, f32)
func.func @index(%x: tensor<8x!graph.quant<si8, f32, scale = [0.1]>>) {
  %0 = graph.index axes [i: 8] reads (%x[i]) : (tensor<8x!graph.quant<si8, f32, scale = [0.1]>>) -> tensor<8xsi8> {
  ^bb0(%a: i8, %i: i64):
    graph.yield %a : i8
  }
  func.return
}
// -----
// CHECK: error: no cast from i32 to a quantised type
func.func @from_integers(%x: tensor<8xsi32>) {
  %0 = graph.cast %x {dtype = !graph.quant<si8, f32, scale = [0.1]>} : (tensor<8xsi32>) -> tensor<8x!graph.quant<si8, f32, scale = [0.1]>>
  func.return
}
// -----
// CHECK: error: slice 0:N may leave dim 0
// CHECK: expected: B - N >= 0 for all sizes
func.func @range(%x: tensor<?xf32, #graph.t<dims=[B]>>) attributes {graph.symbols = #dim.symbols<[B: 1 to 4, N: 1 to 4]>} {
  %0 = graph.slice %x {starts = #dim.list<[0]>, stops = #dim.list<[N]>} : (tensor<?xf32, #graph.t<dims=[B]>>) -> tensor<?xf32, #graph.t<dims=[N]>>
  func.return
}
// -----
// CHECK: error: tril has no f8e8m0 form
// CHECK: expected: a dtype that has a zero
func.func @no_zero(%x: tensor<3x3xf8E8M0FNU>) {
  "graph.tril"(%x) {k = 0 : i64} : (tensor<3x3xf8E8M0FNU>) -> tensor<3x3xf8E8M0FNU>
  func.return
}
