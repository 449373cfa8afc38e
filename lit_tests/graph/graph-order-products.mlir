// RUN: irkit-opt -p graph-order-products %s | filecheck %s
// RUN: irkit-opt -p graph-order-products --stats %s -o /dev/null 2>&1 | filecheck %s --check-prefix=STATS
// STATS-DAG: 2 graph-order-products: matmuls_in_order
// STATS-DAG: 1 graph-order-products: einsum_by_pairs
// STATS-DAG: graph-order-products: multiply-adds saved

// CHECK-LABEL: func.func @multiplies_by_vectors_first
// CHECK-NEXT: %[[Y:.*]] = graph.matmul %b, %v
// CHECK-NEXT: %[[Z:.*]] = graph.matmul %a, %[[Y]]
// CHECK-NEXT: func.return %[[Z]]
func.func @multiplies_by_vectors_first(%a: tensor<8x9xf32>, %b: tensor<9x7xf32>, %v: tensor<7xf32>) -> tensor<8xf32> {
  %0 = graph.matmul %a, %b : (tensor<8x9xf32>, tensor<9x7xf32>) -> tensor<8x7xf32>
  %1 = graph.matmul %0, %v : (tensor<8x7xf32>, tensor<7xf32>) -> tensor<8xf32>
  func.return %1 : tensor<8xf32>
}

// CHECK-LABEL: func.func @multiplies_parameters_once
// CHECK-NEXT: %[[W:.*]] = graph.matmul %p, %q
// CHECK-NEXT: graph.matmul %x, %[[W]]
func.func @multiplies_parameters_once(%x: tensor<2x8xf32>, %p: tensor<8x8xf32> {graph.kind = "param"},
    %q: tensor<8x8xf32> {graph.kind = "param"}) -> tensor<2x8xf32> {
  %0 = graph.matmul %x, %p : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %1 = graph.matmul %0, %q : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  func.return %1 : tensor<2x8xf32>
}

// Their product would take more memory than they do.
// CHECK-LABEL: func.func @keeps_narrow_parameters_apart
// CHECK-NEXT: graph.matmul %x, %p
func.func @keeps_narrow_parameters_apart(%x: tensor<2x8xf32>, %p: tensor<8x1xf32> {graph.kind = "param"},
    %q: tensor<1x8xf32> {graph.kind = "param"}) -> tensor<2x8xf32> {
  %0 = graph.matmul %x, %p : (tensor<2x8xf32>, tensor<8x1xf32>) -> tensor<2x1xf32>
  %1 = graph.matmul %0, %q : (tensor<2x1xf32>, tensor<1x8xf32>) -> tensor<2x8xf32>
  func.return %1 : tensor<2x8xf32>
}

// CHECK-LABEL: func.func @keeps_what_others_read
// CHECK-NEXT: graph.matmul %a, %b
func.func @keeps_what_others_read(%a: tensor<8x9xf32>, %b: tensor<9x7xf32>, %v: tensor<7xf32>) -> (tensor<8x7xf32>, tensor<8xf32>) {
  %0 = graph.matmul %a, %b : (tensor<8x9xf32>, tensor<9x7xf32>) -> tensor<8x7xf32>
  %1 = graph.matmul %0, %v : (tensor<8x7xf32>, tensor<7xf32>) -> tensor<8xf32>
  func.return %0, %1 : tensor<8x7xf32>, tensor<8xf32>
}

// CHECK-LABEL: func.func @contracts_by_pairs
// CHECK-NEXT: %[[Y:.*]] = graph.einsum %b, %c {spec = "jk,kl->jl"}
// CHECK-NEXT: %[[Z:.*]] = graph.einsum %a, %[[Y]] {spec = "ij,jl->il"}
// CHECK-NEXT: func.return %[[Z]]
func.func @contracts_by_pairs(%a: tensor<8x9xf32>, %b: tensor<9x7xf32>, %c: tensor<7x2xf32>) -> tensor<8x2xf32> {
  %0 = graph.einsum %a, %b, %c {spec = "ij,jk,kl->il"} : (tensor<8x9xf32>, tensor<9x7xf32>, tensor<7x2xf32>) -> tensor<8x2xf32>
  func.return %0 : tensor<8x2xf32>
}
