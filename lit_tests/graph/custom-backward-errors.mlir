// RUN: irkit-opt --split-input-file --verify-diagnostics --parsing-diagnostics %s | filecheck %s

// CHECK: error: the rule of f takes operands, results and cotangents of the float results
// CHECK: expected: tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
func.func @takes(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.custom f(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%b: tensor<4xf32>):
    graph.yield %b : tensor<4xf32>
  } backward {
  ^bb0(%b: tensor<4xf32>, %s: tensor<4xf32>):
    graph.yield %s : tensor<4xf32>
  }
  func.return %y : tensor<4xf32>
}
// -----
// CHECK: error: the rule of f gives a cotangent for each float operand
// CHECK: found: none
func.func @gives(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.custom f(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%b: tensor<4xf32>):
    graph.yield %b : tensor<4xf32>
  } backward {
  ^bb0(%b: tensor<4xf32>, %r: tensor<4xf32>, %s: tensor<4xf32>):
    graph.yield
  }
  func.return %y : tensor<4xf32>
}
// -----
// CHECK: error: the rule of f uses a value from around it
// CHECK: make it an operand of the op
func.func @around(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.custom f(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%b: tensor<4xf32>):
    graph.yield %b : tensor<4xf32>
  } backward {
  ^bb0(%b: tensor<4xf32>, %r: tensor<4xf32>, %s: tensor<4xf32>):
    graph.yield %x : tensor<4xf32>
  }
  func.return %y : tensor<4xf32>
}
