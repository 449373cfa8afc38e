// RUN: irkit-opt -p graph-simplify-reductions %s | filecheck %s

// CHECK-LABEL: func.func @sums_once
// CHECK-NEXT: graph.reduce_sum %x {axes = array<i64: 0, 2>, keepdims = false}
// CHECK-NEXT: func.return
func.func @sums_once(%x: tensor<2x3x4xf32>) -> tensor<3xf32> {
  %0 = graph.reduce_sum %x {axes = array<i64: 2>} : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
  %1 = graph.reduce_sum %0 {axes = array<i64: 0>} : (tensor<2x3xf32>) -> tensor<3xf32>
  func.return %1 : tensor<3xf32>
}

// CHECK-LABEL: func.func @keeps_sums_that_are_read_twice
// CHECK: graph.reduce_sum %x {axes = array<i64: 2>
// CHECK-NEXT: graph.reduce_sum
func.func @keeps_sums_that_are_read_twice(%x: tensor<2x3x4xf32>) -> (tensor<2x3xf32>, tensor<3xf32>) {
  %0 = graph.reduce_sum %x {axes = array<i64: 2>} : (tensor<2x3x4xf32>) -> tensor<2x3xf32>
  %1 = graph.reduce_sum %0 {axes = array<i64: 0>} : (tensor<2x3xf32>) -> tensor<3xf32>
  func.return %0, %1 : tensor<2x3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @reads_through_a_transpose
// CHECK-NEXT: graph.reduce_max %x {axes = array<i64: 1>
func.func @reads_through_a_transpose(%x: tensor<2x3x4xf32>) -> tensor<2x4xf32> {
  %0 = graph.transpose %x {perm = array<i64: 1, 0, 2>} : (tensor<2x3x4xf32>) -> tensor<3x2x4xf32>
  %1 = graph.reduce_max %0 {axes = array<i64: 0>} : (tensor<3x2x4xf32>) -> tensor<2x4xf32>
  func.return %1 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @keeps_a_reshape_that_cuts_a_dim
// CHECK: graph.reshape
func.func @keeps_a_reshape_that_cuts_a_dim(%x: tensor<2x6xf32>) -> tensor<2x3xf32> {
  %0 = graph.reshape %x {shape = #dim.list<[2, 3, 2]>} : (tensor<2x6xf32>) -> tensor<2x3x2xf32>
  %1 = graph.reduce_max %0 {axes = array<i64: 2>} : (tensor<2x3x2xf32>) -> tensor<2x3xf32>
  func.return %1 : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @reduces_before_it_repeats
// CHECK-NEXT: graph.reduce_mean %x {axes = array<i64: 0>
// CHECK-NEXT: graph.broadcast
// CHECK-NEXT: func.return
func.func @reduces_before_it_repeats(%x: tensor<4xf32>) -> tensor<3xf32> {
  %0 = graph.broadcast %x {shape = #dim.list<[3, 4]>} : (tensor<4xf32>) -> tensor<3x4xf32>
  %1 = graph.reduce_mean %0 {axes = array<i64: 1>} : (tensor<3x4xf32>) -> tensor<3xf32>
  func.return %1 : tensor<3xf32>
}

// CHECK-LABEL: func.func @multiplies_sums
// CHECK: %[[S:.*]] = graph.reduce_sum %x
// CHECK-NEXT: graph.mul %[[S]], %{{.*}} : (tensor<2xf32>, tensor<f32>)
func.func @multiplies_sums(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %c = graph.constant dense<0.5> : tensor<f32>
  %0 = graph.mul %x, %c : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
  %1 = graph.reduce_sum %0 {axes = array<i64: 1>} : (tensor<2x3xf32>) -> tensor<2xf32>
  func.return %1 : tensor<2xf32>
}

// CHECK-LABEL: func.func @keeps_a_factor_that_may_keep_sums_in_range
// CHECK: graph.mul %x
// CHECK-NEXT: graph.reduce_sum
func.func @keeps_a_factor_that_may_keep_sums_in_range(%x: tensor<2x3xf16>) -> tensor<2xf16> {
  %c = graph.constant dense<0.5> : tensor<f16>
  %0 = graph.mul %x, %c : (tensor<2x3xf16>, tensor<f16>) -> tensor<2x3xf16>
  %1 = graph.reduce_sum %0 {axes = array<i64: 1>} : (tensor<2x3xf16>) -> tensor<2xf16>
  func.return %1 : tensor<2xf16>
}

// CHECK-LABEL: func.func @multiplies_by_sums_of_columns
// CHECK-NEXT: %[[S:.*]] = graph.reduce_sum %b {axes = array<i64: 1>, keepdims = true}
// CHECK-NEXT: %[[P:.*]] = graph.matmul %a, %[[S]]
// CHECK-NEXT: graph.reshape %[[P]]
func.func @multiplies_by_sums_of_columns(%a: tensor<2x3xf32>, %b: tensor<3x4xf32>) -> tensor<2xf32> {
  %0 = graph.matmul %a, %b : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %1 = graph.reduce_sum %0 {axes = array<i64: 1>} : (tensor<2x4xf32>) -> tensor<2xf32>
  func.return %1 : tensor<2xf32>
}

// CHECK-LABEL: func.func @pools_whole_images_by_a_mean
// CHECK-NEXT: graph.reduce_mean %x {axes = array<i64: 2, 3>, keepdims = false}
// CHECK-NEXT: func.return
func.func @pools_whole_images_by_a_mean(%x: tensor<1x2x3x4xf32>) -> tensor<1x2xf32> {
  %0 = graph.global_avg_pool %x : (tensor<1x2x3x4xf32>) -> tensor<1x2x1x1xf32>
  %1 = graph.reshape %0 {shape = #dim.list<[1, 2]>} : (tensor<1x2x1x1xf32>) -> tensor<1x2xf32>
  func.return %1 : tensor<1x2xf32>
}

// CHECK-LABEL: func.func @pools_equal_windows
// CHECK-NEXT: graph.avg_pool2d %x {kernel = array<i64: 2, 2>
func.func @pools_equal_windows(%x: tensor<1x2x4x6xf32>) -> tensor<1x2x2x3xf32> {
  %0 = graph.adaptive_avg_pool2d %x {size = array<i64: 2, 3>} : (tensor<1x2x4x6xf32>) -> tensor<1x2x2x3xf32>
  func.return %0 : tensor<1x2x2x3xf32>
}

// CHECK-LABEL: func.func @keeps_windows_that_overlap
// CHECK: graph.adaptive_avg_pool2d
func.func @keeps_windows_that_overlap(%x: tensor<1x2x4x6xf32>) -> tensor<1x2x3x3xf32> {
  %0 = graph.adaptive_avg_pool2d %x {size = array<i64: 3, 3>} : (tensor<1x2x4x6xf32>) -> tensor<1x2x3x3xf32>
  func.return %0 : tensor<1x2x3x3xf32>
}

// CHECK-LABEL: func.func @takes_maxima_once
// CHECK-NEXT: graph.max_pool2d %x {kernel = array<i64: 3, 3>, stride = array<i64: 2, 2>
// CHECK-NEXT: func.return
func.func @takes_maxima_once(%x: tensor<1x8x8xf32>) -> tensor<1x3x3xf32> {
  %0 = graph.max_pool2d %x {kernel = array<i64: 2, 2>, stride = array<i64: 1, 1>} : (tensor<1x8x8xf32>) -> tensor<1x7x7xf32>
  %1 = graph.max_pool2d %0 {kernel = array<i64: 2, 2>} : (tensor<1x7x7xf32>) -> tensor<1x3x3xf32>
  func.return %1 : tensor<1x3x3xf32>
}

// CHECK-LABEL: func.func @keeps_maxima_with_padding_between
// CHECK: graph.max_pool2d
// CHECK-NEXT: graph.max_pool2d
func.func @keeps_maxima_with_padding_between(%x: tensor<1x8x8xf32>) -> tensor<1x8x8xf32> {
  %0 = graph.max_pool2d %x {kernel = array<i64: 2, 2>, stride = array<i64: 1, 1>} : (tensor<1x8x8xf32>) -> tensor<1x7x7xf32>
  %1 = graph.max_pool2d %0 {kernel = array<i64: 2, 2>, stride = array<i64: 1, 1>, padding = array<i64: 1, 1>} : (tensor<1x7x7xf32>) -> tensor<1x8x8xf32>
  func.return %1 : tensor<1x8x8xf32>
}
