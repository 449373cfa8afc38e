// RUN: irkit-opt %s --emit=buffer --check | filecheck %s

// A value that another argument is to hold is set aside before that one is overwritten.
// CHECK: buffer.program @change_places (inout %a: {{.*}}, inout %b:
// CHECK-DAG: buffer.copy %b to [[A:%.*]]
// CHECK-DAG: buffer.copy %a to [[B:%.*]]
// CHECK: buffer.barrier
// CHECK-DAG: buffer.copy [[A]] to %a
// CHECK-DAG: buffer.copy [[B]] to %b
func.func @change_places(%a: tensor<8xf32> {graph.name = "a", graph.donated}, %b: tensor<8xf32> {graph.name = "b", graph.donated}) -> (tensor<8xf32> {graph.updates = "a"}, tensor<8xf32> {graph.updates = "b"}) {
  func.return %b, %a : tensor<8xf32>, tensor<8xf32>
}
