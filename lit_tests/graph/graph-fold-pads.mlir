// RUN: irkit-opt -p graph-fold-pads %s | filecheck %s

// CHECK-LABEL: func.func @folds_zeros_into_a_convolution
// CHECK-NEXT: graph.conv2d %x, %w {{{.*}}padding = array<i64: 2, 1, 0, 1>
// CHECK-NEXT: func.return
func.func @folds_zeros_into_a_convolution(%x: tensor<1x3x4x4xf32>, %w: tensor<2x3x3x3xf32>) -> tensor<1x2x5x3xf32> {
  %0 = graph.pad %x {pads = array<i64: 0, 0, 0, 0, 1, 0, 0, 1>} : (tensor<1x3x4x4xf32>) -> tensor<1x3x5x5xf32>
  %1 = graph.conv2d %0, %w {padding = array<i64: 1, 1, 0, 0>} : (tensor<1x3x5x5xf32>, tensor<2x3x3x3xf32>) -> tensor<1x2x5x3xf32>
  func.return %1 : tensor<1x2x5x3xf32>
}

// CHECK-LABEL: func.func @folds_zeros_behind_relu_into_a_maximum
// CHECK-NEXT: %[[R:.*]] = graph.relu
// CHECK-NEXT: graph.max_pool2d %[[R]] {{{.*}}padding = array<i64: 1, 1>
func.func @folds_zeros_behind_relu_into_a_maximum(%x: tensor<3x4x4xf32>) -> tensor<3x4x4xf32> {
  %0 = graph.relu %x : (tensor<3x4x4xf32>) -> tensor<3x4x4xf32>
  %1 = graph.pad %0 {pads = array<i64: 0, 0, 1, 1, 1, 1>} : (tensor<3x4x4xf32>) -> tensor<3x6x6xf32>
  %2 = graph.max_pool2d %1 {kernel = array<i64: 3, 3>, stride = array<i64: 1, 1>} : (tensor<3x6x6xf32>) -> tensor<3x4x4xf32>
  func.return %2 : tensor<3x4x4xf32>
}

// CHECK-LABEL: func.func @keeps_zeros_that_may_be_greatest
// CHECK: graph.pad
func.func @keeps_zeros_that_may_be_greatest(%x: tensor<3x4x4xf32>) -> tensor<3x4x4xf32> {
  %1 = graph.pad %x {pads = array<i64: 0, 0, 1, 1, 1, 1>} : (tensor<3x4x4xf32>) -> tensor<3x6x6xf32>
  %2 = graph.max_pool2d %1 {kernel = array<i64: 3, 3>, stride = array<i64: 1, 1>} : (tensor<3x6x6xf32>) -> tensor<3x4x4xf32>
  func.return %2 : tensor<3x4x4xf32>
}

// CHECK-LABEL: func.func @keeps_more_than_half_a_window
// CHECK: graph.pad
func.func @keeps_more_than_half_a_window(%x: tensor<3x4x4xf32>) -> tensor<3x6x6xf32> {
  %1 = graph.pad %x {pads = array<i64: 0, 0, 2, 2, 2, 2>} : (tensor<3x4x4xf32>) -> tensor<3x8x8xf32>
  %2 = graph.avg_pool2d %1 {kernel = array<i64: 3, 3>, stride = array<i64: 1, 1>} : (tensor<3x8x8xf32>) -> tensor<3x6x6xf32>
  func.return %2 : tensor<3x6x6xf32>
}

// CHECK-LABEL: func.func @keeps_zeros_that_no_mean_counts
// CHECK: graph.pad
func.func @keeps_zeros_that_no_mean_counts(%x: tensor<3x4x4xf32>) -> tensor<3x4x4xf32> {
  %1 = graph.pad %x {pads = array<i64: 0, 0, 1, 1, 1, 1>} : (tensor<3x4x4xf32>) -> tensor<3x6x6xf32>
  %2 = graph.avg_pool2d %1 {kernel = array<i64: 3, 3>, stride = array<i64: 1, 1>, count_padding = false}
    : (tensor<3x6x6xf32>) -> tensor<3x4x4xf32>
  func.return %2 : tensor<3x4x4xf32>
}

// CHECK-LABEL: func.func @pads_once
// CHECK-NEXT: graph.pad %x {pads = array<i64: 1, 3>
// CHECK-NEXT: func.return
func.func @pads_once(%x: tensor<4xf32>) -> tensor<8xf32> {
  %0 = graph.pad %x {pads = array<i64: 1, 1>} : (tensor<4xf32>) -> tensor<6xf32>
  %1 = graph.pad %0 {pads = array<i64: 0, 2>} : (tensor<6xf32>) -> tensor<8xf32>
  func.return %1 : tensor<8xf32>
}

// CHECK-LABEL: func.func @takes_back
// CHECK-NEXT: graph.slice %x {starts = #dim.list<[1]>, stops = #dim.list<[4]>
// CHECK-NEXT: func.return
func.func @takes_back(%x: tensor<4xf32>) -> tensor<3xf32> {
  %0 = graph.pad %x {pads = array<i64: 1, 1>, mode = "edge"} : (tensor<4xf32>) -> tensor<6xf32>
  %1 = graph.slice %0 {starts = #dim.list<[2]>, stops = #dim.list<[5]>} : (tensor<6xf32>) -> tensor<3xf32>
  func.return %1 : tensor<3xf32>
}

// CHECK-LABEL: func.func @keeps_a_slice_of_what_was_put_there
// CHECK: graph.pad
// CHECK-NEXT: graph.slice
func.func @keeps_a_slice_of_what_was_put_there(%x: tensor<4xf32>) -> tensor<3xf32> {
  %0 = graph.pad %x {pads = array<i64: 1, 1>} : (tensor<4xf32>) -> tensor<6xf32>
  %1 = graph.slice %0 {starts = #dim.list<[0]>, stops = #dim.list<[3]>} : (tensor<6xf32>) -> tensor<3xf32>
  func.return %1 : tensor<3xf32>
}

// CHECK-LABEL: func.func @slices_once
// CHECK-NEXT: graph.slice %x {starts = #dim.list<[3]>, stops = #dim.list<[8]>, strides = array<i64: 4>}
func.func @slices_once(%x: tensor<9xf32>) -> tensor<2xf32> {
  %0 = graph.slice %x {starts = #dim.list<[1]>, stops = #dim.list<[9]>, strides = array<i64: 2>} : (tensor<9xf32>) -> tensor<4xf32>
  %1 = graph.slice %0 {starts = #dim.list<[1]>, stops = #dim.list<[4]>, strides = array<i64: 2>} : (tensor<4xf32>) -> tensor<2xf32>
  func.return %1 : tensor<2xf32>
}
