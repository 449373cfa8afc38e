// RUN: irkit-opt %s --split-input-file --verify-diagnostics 2>&1 | filecheck %s

// CHECK: the first value of a loop with a condition tells whether to go on
func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = graph.for 0 to 4 while (%x) : (tensor<2xf32>) {
  ^bb0(%t: tensor<si64>, %c: tensor<2xf32>):
    graph.yield %c : tensor<2xf32>
  }
  func.return %0 : tensor<2xf32>
}

// -----

// CHECK: a body of graph.if yields values of the types of the inits
func.func @g(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = graph.if %c (%x) : (tensor<2xf32>) {
  ^bb0(%a: tensor<2xf32>):
    graph.yield %c : tensor<i1>
  } else {
  ^bb1(%b: tensor<2xf32>):
    graph.yield %b : tensor<2xf32>
  }
  func.return %0 : tensor<2xf32>
}
