// RUN: irkit-opt -p graph-cse %s | filecheck %s
// RUN: irkit-opt -p graph-cse --print-debuginfo %s | filecheck %s --check-prefix=LOC

// CHECK-LABEL: func.func @shares_equal_ops
// CHECK-NEXT: %[[S:.*]] = graph.add %x, %y
// CHECK-NEXT: %[[M:.*]] = graph.mul %[[S]], %[[S]]
// CHECK-NEXT: func.return %[[M]]
// LOC: graph.add %x, %y {{.*}} loc(fused["a.tg":1:1, "a.tg":2:1])
func.func @shares_equal_ops(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  %0 = graph.add %x, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> loc("a.tg":1:1)
  %1 = graph.add %y, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> loc("a.tg":2:1)
  %2 = graph.mul %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> loc("a.tg":3:1)
  func.return %2 : tensor<4xf32>
}

// CHECK-LABEL: func.func @keeps_what_differs
// CHECK-NEXT: graph.sub %x, %y
// CHECK-NEXT: graph.sub %y, %x
// CHECK-NEXT: graph.softmax %x {axis = 0
// CHECK-NEXT: graph.softmax %x {axis = 1
func.func @keeps_what_differs(%x: tensor<4x4xf32>, %y: tensor<4x4xf32>)
    -> (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) {
  %0 = graph.sub %x, %y : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %1 = graph.sub %y, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %2 = graph.softmax %x {axis = 0 : i64} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %3 = graph.softmax %x {axis = 1 : i64} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  func.return %0, %1, %2, %3 : tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>
}

// Bodies are compared too.
// CHECK-LABEL: func.func @shares_index_notation
// CHECK-COUNT-2: graph.index
// CHECK-NOT: graph.index
func.func @shares_index_notation(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %0 = graph.index axes [i: 8] reads (%x[i - 1] clamp) : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: f32, %i: i64):
    %n = arith.negf %a : f32
    graph.yield %n : f32
  }
  %1 = graph.index axes [i: 8] reads (%x[i - 1] clamp) : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%b: f32, %j: i64):
    %m = arith.negf %b : f32
    graph.yield %m : f32
  }
  %2 = graph.index axes [i: 8] reads (%x[i - 1] wrap) : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%c: f32, %k: i64):
    %o = arith.negf %c : f32
    graph.yield %o : f32
  }
  func.return %0, %1, %2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}
