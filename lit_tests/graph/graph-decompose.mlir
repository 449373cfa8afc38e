// RUN: irkit-opt %s -p graph-decompose --split-input-file | filecheck %s

// A derived op becomes its formula.
// CHECK-LABEL: func.func @log_softmax
// CHECK: [[TOP:%\S+]] = graph.reduce_max %x
// CHECK: [[CENTRED:%\S+]] = graph.sub %x, [[TOP]]
// CHECK: [[POWER:%\S+]] = graph.exp [[CENTRED]]
// CHECK: [[TOTAL:%\S+]] = graph.reduce_sum [[POWER]]
// CHECK: [[LOG:%\S+]] = graph.log [[TOTAL]]
// CHECK: graph.sub [[CENTRED]], [[LOG]]
func.func @log_softmax(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = graph.log_softmax %x {axis = 1} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}

// -----

// Derived ops of formulas are decomposed in turn: cross entropy holds log softmax.
// CHECK-LABEL: func.func @in_turn
// CHECK-NOT: graph.log_softmax
// CHECK: graph.index axes {{.*}} reads ({{.*}}, {{.*}}[axis0_, _0])
// CHECK: graph.neg
func.func @in_turn(%x: tensor<4x8xf32>, %y: tensor<4xsi32>) -> tensor<4xf32> {
  %0 = graph.cross_entropy %x, %y : (tensor<4x8xf32>, tensor<4xsi32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// -----

// Small floats are computed in f32, and rounded once.
// CHECK-LABEL: func.func @rounds_once
// CHECK: [[WIDE:%\S+]] = graph.cast %x {dtype = "f32"}
// CHECK: graph.mul [[WIDE]], [[WIDE]]
// CHECK: graph.cast {{.*}} {dtype = "f16"}
func.func @rounds_once(%x: tensor<8xf16>) -> tensor<8xf16> {
  %0 = graph.square %x : (tensor<8xf16>) -> tensor<8xf16>
  func.return %0 : tensor<8xf16>
}

// -----

// What the kernel level knows by itself stays whole.
// CHECK-LABEL: func.func @keeps_softmax
// CHECK-NEXT: graph.softmax
// CHECK-NEXT: graph.layer_norm
// CHECK-NEXT: func.return
func.func @keeps_softmax(%x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = graph.softmax %x {axis = 1} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = graph.layer_norm %0, %s, %s {eps = 1.0e-5} : (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  func.return %1 : tensor<4x8xf32>
}
