// RUN: irkit-opt -p graph-fold-scale %s | filecheck %s

// CHECK-LABEL: func.func @folds_a_factor_behind_a_convolution
// CHECK-NEXT: %[[S:.*]] = graph.reshape %s {shape = #dim.list<[2]>}
// CHECK-NEXT: %[[F:.*]] = graph.reshape %[[S]] {shape = #dim.list<[2, 1, 1, 1]>}
// CHECK-NEXT: %[[W:.*]] = graph.mul %w, %[[F]]
// CHECK-NEXT: %[[Y:.*]] = graph.conv2d %x, %[[W]] {stride
// CHECK-NEXT: func.return %[[Y]]
func.func @folds_a_factor_behind_a_convolution(%x: tensor<1x3x4x4xf32>, %w: tensor<2x3x3x3xf32> {graph.kind = "param"},
    %s: tensor<2x1x1xf32> {graph.kind = "param"}) -> tensor<1x2x2x2xf32> {
  %0 = graph.conv2d %x, %w : (tensor<1x3x4x4xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x2x2xf32>
  %1 = graph.mul %0, %s : (tensor<1x2x2x2xf32>, tensor<2x1x1xf32>) -> tensor<1x2x2x2xf32>
  func.return %1 : tensor<1x2x2x2xf32>
}

// CHECK-LABEL: func.func @folds_batch_norm
// CHECK-NOT: graph.batch_norm
// CHECK: %[[W:.*]] = graph.mul %w, %{{.*}} : (tensor<2x3x3x3xf32>, tensor<2x1x1x1xf32>)
// CHECK: %[[Y:.*]] = graph.conv2d %x, %[[W]], %{{.*}} {
// CHECK-NEXT: func.return %[[Y]]
func.func @folds_batch_norm(%x: tensor<1x3x4x4xf32>, %w: tensor<2x3x3x3xf32> {graph.kind = "param"},
    %s: tensor<2xf32> {graph.kind = "param"}) -> tensor<1x2x2x2xf32> {
  %0 = graph.conv2d %x, %w : (tensor<1x3x4x4xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x2x2xf32>
  %1 = graph.batch_norm %0, %s, %s, %s, %s
    : (tensor<1x2x2x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x2x2xf32>
  func.return %1 : tensor<1x2x2x2xf32>
}

// CHECK-LABEL: func.func @keeps_batch_norm_of_weights_that_a_run_writes
// CHECK: graph.batch_norm
func.func @keeps_batch_norm_of_weights_that_a_run_writes(%x: tensor<1x3x4x4xf32>,
    %w: tensor<2x3x3x3xf32> {graph.kind = "param", graph.donated}, %s: tensor<2xf32> {graph.kind = "param"}) -> tensor<1x2x2x2xf32> {
  %0 = graph.conv2d %x, %w : (tensor<1x3x4x4xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x2x2xf32>
  %1 = graph.batch_norm %0, %s, %s, %s, %s
    : (tensor<1x2x2x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x2x2xf32>
  func.return %1 : tensor<1x2x2x2xf32>
}

// CHECK-LABEL: func.func @folds_what_stands_ahead_of_a_matmul
// CHECK: %[[C:.*]] = graph.reduce_sum %{{.*}} {axes = array<i64: 0>
// CHECK: %[[W:.*]] = graph.mul %w, %{{.*}} : (tensor<4x3xf32>, tensor<4x1xf32>)
// CHECK-NEXT: %[[Y:.*]] = graph.matmul %x, %[[W]]
// CHECK-NEXT: %[[Z:.*]] = graph.add %[[Y]], %[[C]]
// CHECK-NEXT: func.return %[[Z]]
func.func @folds_what_stands_ahead_of_a_matmul(%x: tensor<2x4xf32>, %w: tensor<4x3xf32> {graph.kind = "param"},
    %s: tensor<4xf32> {graph.kind = "param"}) -> tensor<2x3xf32> {
  %0 = graph.mul %x, %s : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %1 = graph.add %0, %s : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %2 = graph.matmul %1, %w : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  func.return %2 : tensor<2x3xf32>
}

// At the edges zeros take part that nothing is added to.
// CHECK-LABEL: func.func @keeps_a_summand_beside_padding
// CHECK: graph.add %x, %s
// CHECK-NEXT: graph.conv2d
func.func @keeps_a_summand_beside_padding(%x: tensor<1x3x4x4xf32>, %w: tensor<2x3x3x3xf32> {graph.kind = "param"},
    %s: tensor<3x1x1xf32> {graph.kind = "param"}) -> tensor<1x2x4x4xf32> {
  %0 = graph.add %x, %s : (tensor<1x3x4x4xf32>, tensor<3x1x1xf32>) -> tensor<1x3x4x4xf32>
  %1 = graph.conv2d %0, %w {padding = array<i64: 1, 1>} : (tensor<1x3x4x4xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x4x4xf32>
  func.return %1 : tensor<1x2x4x4xf32>
}

// CHECK-LABEL: func.func @keeps_a_factor_of_a_result_that_is_read_elsewhere
// CHECK: graph.matmul %x, %w
// CHECK-NEXT: graph.mul
func.func @keeps_a_factor_of_a_result_that_is_read_elsewhere(%x: tensor<2x4xf32>, %w: tensor<4x3xf32> {graph.kind = "param"},
    %s: tensor<3xf32> {graph.kind = "param"}) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  %0 = graph.matmul %x, %w : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  %1 = graph.mul %0, %s : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %0, %1 : tensor<2x3xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @keeps_factors_that_are_data
// CHECK: graph.mul
// CHECK-NEXT: func.return
func.func @keeps_factors_that_are_data(%x: tensor<2x4xf32>, %w: tensor<4x3xf32> {graph.kind = "param"}, %s: tensor<3xf32>) -> tensor<2x3xf32> {
  %0 = graph.matmul %x, %w : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  %1 = graph.mul %0, %s : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %1 : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @folds_a_factor_behind_a_transpose
// CHECK: %[[W:.*]] = graph.mul %w, %{{.*}} : (tensor<2x3x3x3xf32>, tensor<2x1x1x1xf32>)
// CHECK-NEXT: %[[Y:.*]] = graph.conv2d %x, %[[W]] {
// CHECK-NEXT: %[[T:.*]] = graph.transpose %[[Y]] {perm = array<i64: 0, 2, 3, 1>}
// CHECK-NEXT: func.return %[[T]]
func.func @folds_a_factor_behind_a_transpose(%x: tensor<1x3x4x4xf32>, %w: tensor<2x3x3x3xf32> {graph.kind = "param"},
    %s: tensor<2xf32> {graph.kind = "param"}) -> tensor<1x2x2x2xf32> {
  %0 = graph.conv2d %x, %w : (tensor<1x3x4x4xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x2x2xf32>
  %1 = graph.transpose %0 {perm = array<i64: 0, 2, 3, 1>} : (tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %2 = graph.mul %1, %s : (tensor<1x2x2x2xf32>, tensor<2xf32>) -> tensor<1x2x2x2xf32>
  func.return %2 : tensor<1x2x2x2xf32>
}

// CHECK-LABEL: func.func @folds_a_factor_ahead_of_a_transpose
// CHECK: %[[W:.*]] = graph.mul %w, %{{.*}} : (tensor<2x3x3x3xf32>, tensor<1x3x1x1xf32>)
// CHECK-NEXT: %[[T:.*]] = graph.transpose %x {perm = array<i64: 0, 3, 1, 2>}
// CHECK-NEXT: %[[Y:.*]] = graph.conv2d %[[T]], %[[W]] {
// CHECK-NEXT: func.return %[[Y]]
func.func @folds_a_factor_ahead_of_a_transpose(%x: tensor<1x4x4x3xf32>, %w: tensor<2x3x3x3xf32> {graph.kind = "param"},
    %s: tensor<3xf32> {graph.kind = "param"}) -> tensor<1x2x2x2xf32> {
  %0 = graph.mul %x, %s : (tensor<1x4x4x3xf32>, tensor<3xf32>) -> tensor<1x4x4x3xf32>
  %1 = graph.transpose %0 {perm = array<i64: 0, 3, 1, 2>} : (tensor<1x4x4x3xf32>) -> tensor<1x3x4x4xf32>
  %2 = graph.conv2d %1, %w : (tensor<1x3x4x4xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x2x2xf32>
  func.return %2 : tensor<1x2x2x2xf32>
}

// The last dim is that of columns.
// CHECK-LABEL: func.func @keeps_a_factor_of_other_dims
// CHECK: graph.transpose
// CHECK-NEXT: graph.mul
func.func @keeps_a_factor_of_other_dims(%x: tensor<1x3x4x4xf32>, %w: tensor<2x3x3x3xf32> {graph.kind = "param"},
    %s: tensor<2xf32> {graph.kind = "param"}) -> tensor<1x2x2x2xf32> {
  %0 = graph.conv2d %x, %w : (tensor<1x3x4x4xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x2x2xf32>
  %1 = graph.transpose %0 {perm = array<i64: 0, 1, 3, 2>} : (tensor<1x2x2x2xf32>) -> tensor<1x2x2x2xf32>
  %2 = graph.mul %1, %s : (tensor<1x2x2x2xf32>, tensor<2xf32>) -> tensor<1x2x2x2xf32>
  func.return %2 : tensor<1x2x2x2xf32>
}
