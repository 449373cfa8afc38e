// RUN: not irkit-opt %s -p graph-split-complex 2>&1 | filecheck %s

// CHECK: graph-split-complex-error.mlir:9:{{[0-9]+}}: error: graph.index has no form on complex numbers
// CHECK: found: c64[4]
// CHECK: expected: an op that moves elements, or arithmetic
// CHECK: help: keep the real and the imaginary part in a tensor each

func.func @f(%x: tensor<4xcomplex<f32>>) -> tensor<4xcomplex<f32>> {
  %y = graph.index axes [i: 4] reads (%x[-i + 3]) : (tensor<4xcomplex<f32>>) -> tensor<4xcomplex<f32>> {
  ^bb0(%0: complex<f32>, %i: i64):
    graph.yield %0 : complex<f32>
  }
  func.return %y : tensor<4xcomplex<f32>>
}
