// RUN: irkit-opt %s --split-input-file --verify-diagnostics 2>&1 | filecheck %s

// CHECK: the body of f takes other types than its operands have
// CHECK: found: tensor<2xf32>
// CHECK: expected: tensor<4xf32>
func.func @types(%x: tensor<4xf32>) -> tensor<2xf32> {
  %y = graph.custom f(%x) : (tensor<4xf32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<2xf32>):
    graph.yield %a : tensor<2xf32>
  }
  func.return %y : tensor<2xf32>
}

// -----

// CHECK: the body of f ends with graph.yield of the results' types
func.func @results(%x: tensor<4xf32>) -> tensor<2xf32> {
  %y = graph.custom f(%x) : (tensor<4xf32>) -> tensor<2xf32> {
  ^bb0(%a: tensor<4xf32>):
    graph.yield %a : tensor<4xf32>
  }
  func.return %y : tensor<2xf32>
}

// -----

// CHECK: the body of f uses a value from around it
// CHECK: help: make it an operand of the op
func.func @around(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.custom f(%x) : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>):
    graph.yield %x : tensor<4xf32>
  }
  func.return %y : tensor<4xf32>
}
