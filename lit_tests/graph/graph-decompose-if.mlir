// RUN: irkit-opt -p graph-decompose %s | filecheck %s

// A choice is two loops of one iteration or none.
// CHECK-LABEL: func.func @both
// CHECK-NEXT: %[[N:.*]] = graph.cast %c {dtype = "i64"} : (tensor<i1>) -> tensor<si64>
// CHECK-NEXT: %[[T:.*]] = graph.for 0 to %[[N]] : tensor<si64> (%x) : (tensor<4xf32>) {
// CHECK: graph.neg
// CHECK: %[[E:.*]] = graph.for %[[N]] : tensor<si64> to 1 (%[[T]]) : (tensor<4xf32>) {
// CHECK: graph.exp
// CHECK: func.return %[[E]]
func.func @both(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.if %c (%x) : (tensor<4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    %n = graph.neg %a : (tensor<4xf32>) -> tensor<4xf32>
    graph.yield %n : tensor<4xf32>
  } else {
  ^bb1(%b: tensor<4xf32>):
    %e = graph.exp %b : (tensor<4xf32>) -> tensor<4xf32>
    graph.yield %e : tensor<4xf32>
  }
  func.return %r : tensor<4xf32>
}

// A way that changes nothing needs no loop.
// CHECK-LABEL: func.func @one
// CHECK: graph.for
// CHECK-NOT: graph.for
// CHECK: func.return
func.func @one(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  %r = graph.if %c (%x) : (tensor<4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    %n = graph.neg %a : (tensor<4xf32>) -> tensor<4xf32>
    graph.yield %n : tensor<4xf32>
  } else {
  ^bb1(%b: tensor<4xf32>):
    graph.yield %b : tensor<4xf32>
  }
  func.return %r : tensor<4xf32>
}
