// RUN: not irkit-opt %s --emit=buffer 2>&1 | filecheck %s

// CHECK: error: result 0 of @f cannot update "v"
// CHECK: found: no argument is named "v"
// CHECK: expected: the graph.name of a graph.donated argument of the same type, once
func.func @f(%w: tensor<8xf32> {graph.name = "w", graph.donated}) -> (tensor<8xf32> {graph.updates = "v"}) {
  func.return %w : tensor<8xf32>
}
