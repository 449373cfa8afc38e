// RUN: irkit-opt -p graph-dce %s | filecheck %s

// CHECK-LABEL: func.func @erases_chains
// CHECK-NEXT: func.return %x
func.func @erases_chains(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = graph.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  %1 = graph.log %0 : (tensor<4xf32>) -> tensor<4xf32>
  func.return %x : tensor<4xf32>
}

// CHECK-LABEL: func.func @keeps_what_is_used
// CHECK-NEXT: graph.exp
func.func @keeps_what_is_used(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = graph.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// %b feeds only itself; %c feeds the result through %a.
// CHECK-LABEL: func.func @drops_carried_values
// CHECK-NEXT: graph.for 0 to 10 (%x, %x) : (tensor<4xf32>, tensor<4xf32>) {
// CHECK-NEXT: ^bb0(%t: tensor<si64>, %a: tensor<4xf32>, %c: tensor<4xf32>):
// CHECK-NEXT: graph.add %a, %c
// CHECK-NEXT: graph.neg %c
// CHECK-NEXT: graph.yield {{.*}} : tensor<4xf32>, tensor<4xf32>
func.func @drops_carried_values(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r, %s, %u = graph.for 0 to 10 (%x, %x, %x) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  ^bb0(%t: tensor<si64>, %a: tensor<4xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>):
    %0 = graph.add %a, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    %1 = graph.exp %b : (tensor<4xf32>) -> tensor<4xf32>
    %2 = graph.neg %c : (tensor<4xf32>) -> tensor<4xf32>
    graph.yield %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  }
  func.return %r : tensor<4xf32>
}
