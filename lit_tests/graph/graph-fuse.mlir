// RUN: irkit-opt %s -p graph-fuse | filecheck %s

// CHECK-LABEL: func.func @chain
// CHECK: kernel.group "exp_add_tanh"
// CHECK: graph.exp
// CHECK: graph.add
// CHECK: [[R:%\S+]] = graph.tanh
// CHECK-NEXT: kernel.yield [[R]]
// CHECK-NOT: kernel.group
func.func @chain(%x: tensor<8x16xf32>, %b: tensor<16xf32>) -> tensor<8x16xf32> {
  %0 = graph.exp %x : (tensor<8x16xf32>) -> tensor<8x16xf32>
  %1 = graph.add %0, %b : (tensor<8x16xf32>, tensor<16xf32>) -> tensor<8x16xf32>
  %2 = graph.tanh %1 : (tensor<8x16xf32>) -> tensor<8x16xf32>
  func.return %2 : tensor<8x16xf32>
}

// What others read too becomes a second output.
// CHECK-LABEL: func.func @several_outputs
// CHECK: [[G:%\S+]], {{%\S+}} = kernel.group "exp_tanh" -> tensor<4xf32>, tensor<4xf32>
func.func @several_outputs(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = graph.exp %x : (tensor<4xf32>) -> tensor<4xf32>
  %1 = graph.tanh %0 : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0, %1 : tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @producer_into_reduction
// CHECK: kernel.group "exp_reduce_sum"
func.func @producer_into_reduction(%x: tensor<8x16xf32>) -> tensor<8xf32> {
  %0 = graph.exp %x : (tensor<8x16xf32>) -> tensor<8x16xf32>
  %1 = graph.reduce_sum %0 {axes = array<i64: 1>} : (tensor<8x16xf32>) -> tensor<8xf32>
  func.return %1 : tensor<8xf32>
}

// CHECK-LABEL: func.func @prologue_and_epilogue
// CHECK: kernel.group "relu_matmul_add"
// CHECK-NOT: kernel.group
func.func @prologue_and_epilogue(%x: tensor<8x16xf32>, %w: tensor<16x4xf32>, %b: tensor<4xf32>) -> tensor<8x4xf32> {
  %0 = graph.relu %x : (tensor<8x16xf32>) -> tensor<8x16xf32>
  %1 = graph.matmul %0, %w : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  %2 = graph.add %1, %b : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  func.return %2 : tensor<8x4xf32>
}

// A transcendental function would be computed again for every tile of the result.
// CHECK-LABEL: func.func @keeps_a_dear_producer_apart
// CHECK: kernel.group "exp"
// CHECK: kernel.group "matmul"
func.func @keeps_a_dear_producer_apart(%x: tensor<8x16xf32>, %w: tensor<16x4xf32>) -> tensor<8x4xf32> {
  %0 = graph.exp %x : (tensor<8x16xf32>) -> tensor<8x16xf32>
  %1 = graph.matmul %0, %w : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  func.return %1 : tensor<8x4xf32>
}

// CHECK-LABEL: func.func @keeps_a_shared_producer_apart
// CHECK: kernel.group "relu"
// CHECK: kernel.group "matmul"
// CHECK: kernel.group "matmul"
func.func @keeps_a_shared_producer_apart(%x: tensor<8x16xf32>, %w: tensor<16x4xf32>) -> (tensor<8x4xf32>, tensor<8x4xf32>) {
  %0 = graph.relu %x : (tensor<8x16xf32>) -> tensor<8x16xf32>
  %1 = graph.matmul %0, %w : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  %2 = graph.matmul %0, %w : (tensor<8x16xf32>, tensor<16x4xf32>) -> tensor<8x4xf32>
  func.return %1, %2 : tensor<8x4xf32>, tensor<8x4xf32>
}

// Reductions of the same dims of the same tensor walk it once.
// CHECK-LABEL: func.func @siblings
// CHECK: kernel.group "reduce_sum_reduce_max"
// CHECK-NOT: kernel.group
func.func @siblings(%x: tensor<8x16xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %0 = graph.reduce_sum %x {axes = array<i64: 1>} : (tensor<8x16xf32>) -> tensor<8xf32>
  %1 = graph.reduce_max %x {axes = array<i64: 1>} : (tensor<8x16xf32>) -> tensor<8xf32>
  func.return %0, %1 : tensor<8xf32>, tensor<8xf32>
}

// CHECK-LABEL: func.func @keeps_reductions_of_other_dims_apart
// CHECK: kernel.group "reduce_sum"
// CHECK: kernel.group "reduce_sum"
func.func @keeps_reductions_of_other_dims_apart(%x: tensor<8x16xf32>) -> (tensor<8xf32>, tensor<16xf32>) {
  %0 = graph.reduce_sum %x {axes = array<i64: 1>} : (tensor<8x16xf32>) -> tensor<8xf32>
  %1 = graph.reduce_sum %x {axes = array<i64: 0>} : (tensor<8x16xf32>) -> tensor<16xf32>
  func.return %0, %1 : tensor<8xf32>, tensor<16xf32>
}

// What a row's reduction gives is known before the row is walked again.
// CHECK-LABEL: func.func @normalisation_by_rows
// CHECK: kernel.group "reduce_mean_sub"
// CHECK-NOT: kernel.group
func.func @normalisation_by_rows(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = graph.reduce_mean %x {axes = array<i64: 1>, keepdims = true} : (tensor<8x16xf32>) -> tensor<8x1xf32>
  %1 = graph.sub %x, %0 : (tensor<8x16xf32>, tensor<8x1xf32>) -> tensor<8x16xf32>
  func.return %1 : tensor<8x16xf32>
}

// The mean of a column would be computed again for each row.
// CHECK-LABEL: func.func @keeps_normalisation_by_columns_apart
// CHECK: kernel.group "reduce_mean"
// CHECK: kernel.group "sub"
func.func @keeps_normalisation_by_columns_apart(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = graph.reduce_mean %x {axes = array<i64: 0>, keepdims = true} : (tensor<8x16xf32>) -> tensor<1x16xf32>
  %1 = graph.sub %x, %0 : (tensor<8x16xf32>, tensor<1x16xf32>) -> tensor<8x16xf32>
  func.return %1 : tensor<8x16xf32>
}

// Two ways from exp to add, one over the product: exp is closed once the product has read it, or a cycle would arise.
// CHECK-LABEL: func.func @no_cycle
// CHECK: kernel.group "exp"
// CHECK: kernel.group "matmul_add"
func.func @no_cycle(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = graph.exp %x : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %1 = graph.matmul %0, %x : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %2 = graph.add %0, %1 : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  func.return %2 : tensor<8x8xf32>
}

// Views go into the kernels that read through them, and are kernels only where the function returns them.
// CHECK-LABEL: func.func @views
// CHECK: kernel.group "matmul"
// CHECK-NEXT: graph.transpose
// CHECK-NEXT: graph.matmul
// CHECK: kernel.group "transpose"
func.func @views(%x: tensor<8x4xf32>) -> (tensor<4x4xf32>, tensor<4x8xf32>) {
  %0 = graph.transpose %x {perm = array<i64: 1, 0>} : (tensor<8x4xf32>) -> tensor<4x8xf32>
  %1 = graph.matmul %0, %x : (tensor<4x8xf32>, tensor<8x4xf32>) -> tensor<4x4xf32>
  func.return %1, %0 : tensor<4x4xf32>, tensor<4x8xf32>
}
