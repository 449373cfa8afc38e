// RUN: irkit-opt -p graph-simplify %s | filecheck %s
// RUN: irkit-opt -p "graph-simplify{fold-limit=2}" %s | filecheck %s --check-prefix=LIMIT

// CHECK-LABEL: func.func @drops_neutral_elements
// CHECK-NEXT: func.return %x
func.func @drops_neutral_elements(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = graph.constant dense<-0.0> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %0 = graph.add %x, %zero : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %1 = graph.mul %one, %0 : (tensor<f32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = graph.neg %1 : (tensor<4xf32>) -> tensor<4xf32>
  %3 = graph.neg %2 : (tensor<4xf32>) -> tensor<4xf32>
  func.return %3 : tensor<4xf32>
}

// -0.0 + 0.0 is 0.0.
// CHECK-LABEL: func.func @keeps_positive_zero
// CHECK: graph.add
func.func @keeps_positive_zero(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.add %x, %zero : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// CHECK-LABEL: func.func @composes_transposes
// CHECK-NEXT: %[[T:.*]] = graph.transpose %x {perm = array<i64: 2, 1, 0>}
// CHECK-NEXT: func.return %[[T]]
func.func @composes_transposes(%x: tensor<2x3x4xf32>) -> tensor<4x3x2xf32> {
  %0 = graph.transpose %x {perm = array<i64: 1, 2, 0>} : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %1 = graph.transpose %0 {perm = array<i64: 1, 0, 2>} : (tensor<3x4x2xf32>) -> tensor<4x3x2xf32>
  func.return %1 : tensor<4x3x2xf32>
}

// CHECK-LABEL: func.func @keeps_single_transpose
// CHECK: graph.transpose
func.func @keeps_single_transpose(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  %0 = graph.transpose %x {perm = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  func.return %0 : tensor<3x2xf32>
}

// CHECK-LABEL: func.func @keeps_a_cast_that_rounds
// CHECK: graph.cast
// CHECK-NEXT: graph.cast
func.func @keeps_a_cast_that_rounds(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = graph.cast %x {dtype = "bf16"} : (tensor<4xf32>) -> tensor<4xbf16>
  %1 = graph.cast %0 {dtype = "f32"} : (tensor<4xbf16>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}

// CHECK-LABEL: func.func @computes_constants
// CHECK-NEXT: %[[C:.*]] = graph.constant dense<[3, -4]> : tensor<2xsi32>
// CHECK-NEXT: func.return %[[C]]
func.func @computes_constants() -> tensor<2xsi32> {
  %a = graph.constant dense<[7, -7]> : tensor<2xsi32>
  %b = graph.constant dense<2> : tensor<si32>
  %0 = graph.div %a, %b : (tensor<2xsi32>, tensor<si32>) -> tensor<2xsi32>
  func.return %0 : tensor<2xsi32>
}

// CHECK-LABEL: func.func @reshapes_once
// CHECK-NEXT: graph.reshape %x {shape = #dim.list<[B * 2, 2]>}
// CHECK-NEXT: func.return
func.func @reshapes_once(%x: tensor<?x4xf32, #graph.t<dims=[B, 4]>>) -> tensor<?x2xf32, #graph.t<dims=[B * 2, 2]>>
    attributes {graph.symbols = #dim.symbols<[B: 1 to 64]>} {
  %0 = graph.reshape %x {shape = #dim.list<[B * 4]>}
    : (tensor<?x4xf32, #graph.t<dims=[B, 4]>>) -> tensor<?xf32, #graph.t<dims=[B * 4]>>
  %1 = graph.reshape %0 {shape = #dim.list<[B * 2, 2]>}
    : (tensor<?xf32, #graph.t<dims=[B * 4]>>) -> tensor<?x2xf32, #graph.t<dims=[B * 2, 2]>>
  func.return %1 : tensor<?x2xf32, #graph.t<dims=[B * 2, 2]>>
}

// A division by a power of two is a product; by three, or by what has no normal reciprocal, it is none.
// CHECK-LABEL: func.func @divides_by_powers_of_two
// CHECK: %[[F:.*]] = graph.constant dense<-1.250000e-01> : tensor<f32>
// CHECK: graph.mul %x, %[[F]]
// CHECK: graph.div
// CHECK: graph.div
func.func @divides_by_powers_of_two(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %a = graph.constant dense<-8.0> : tensor<f32>
  %b = graph.constant dense<3.0> : tensor<f32>
  %c = graph.constant dense<1.7014118346046923e+38> : tensor<f32>
  %0 = graph.div %x, %a : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %1 = graph.div %x, %b : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %2 = graph.div %x, %c : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  func.return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @negates_constants
// CHECK: %[[C:.*]] = graph.constant dense<-3.000000e+00> : tensor<f32>
// CHECK-NEXT: graph.mul %x, %[[C]]
// CHECK-NEXT: graph.mul %x, %y
// CHECK-NOT: graph.neg
func.func @negates_constants(%x: tensor<4xf32>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %c = graph.constant dense<3.0> : tensor<f32>
  %0 = graph.neg %x : (tensor<4xf32>) -> tensor<4xf32>
  %1 = graph.neg %y : (tensor<4xf32>) -> tensor<4xf32>
  %2 = graph.mul %0, %c : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %3 = graph.mul %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %2, %3 : tensor<4xf32>, tensor<4xf32>
}

// Integers have no NaN and no rounding; floats have.
// CHECK-LABEL: func.func @integers
// CHECK: %[[Z:.*]] = graph.constant dense<0> : tensor<si32>
// CHECK: graph.mul %i, %i
// CHECK: graph.sub %x, %x
func.func @integers(%i: tensor<4xsi32>, %x: tensor<4xf32>) -> (tensor<4xsi32>, tensor<4xsi32>, tensor<4xf32>) {
  %two = graph.constant dense<2> : tensor<si32>
  %0 = graph.sub %i, %i : (tensor<4xsi32>, tensor<4xsi32>) -> tensor<4xsi32>
  %1 = graph.pow %i, %two : (tensor<4xsi32>, tensor<si32>) -> tensor<4xsi32>
  %2 = graph.sub %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %0, %1, %2 : tensor<4xsi32>, tensor<4xsi32>, tensor<4xf32>
}

// Constants of any size that are one number.
// CHECK-LABEL: func.func @fills
// CHECK: %[[C:.*]] = graph.constant dense<5.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[R:.*]] = graph.broadcast %[[C]]
// CHECK-NEXT: func.return %[[R]]
func.func @fills() -> tensor<4096x4096xf32> {
  %a = graph.constant dense<2.0> : tensor<f32>
  %b = graph.constant dense<3.0> : tensor<f32>
  %0 = graph.broadcast %a {shape = #dim.list<[4096, 4096]>} : (tensor<f32>) -> tensor<4096x4096xf32>
  %1 = graph.broadcast %b {shape = #dim.list<[1, 4096]>} : (tensor<f32>) -> tensor<1x4096xf32>
  %2 = graph.add %0, %1 : (tensor<4096x4096xf32>, tensor<1x4096xf32>) -> tensor<4096x4096xf32>
  func.return %2 : tensor<4096x4096xf32>
}

// LIMIT-LABEL: func.func @limited
// LIMIT: graph.neg
// CHECK-LABEL: func.func @limited
// CHECK-NOT: graph.neg
func.func @limited() -> tensor<3xf32> {
  %a = graph.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %0 = graph.neg %a : (tensor<3xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}

// CHECK-LABEL: func.func @joins_no_batches_around_a_transpose
// CHECK-NEXT: %[[T:.*]] = graph.transpose %x {perm = array<i64: 0, 1, 3, 2>}
// CHECK-NEXT: func.return %[[T]]
func.func @joins_no_batches_around_a_transpose(%x: tensor<2x3x4x5xf32>) -> tensor<2x3x5x4xf32> {
  %0 = graph.reshape %x {shape = #dim.list<[6, 4, 5]>} : (tensor<2x3x4x5xf32>) -> tensor<6x4x5xf32>
  %1 = graph.transpose %0 {perm = array<i64: 0, 2, 1>} : (tensor<6x4x5xf32>) -> tensor<6x5x4xf32>
  %2 = graph.reshape %1 {shape = #dim.list<[2, 3, 5, 4]>} : (tensor<6x5x4xf32>) -> tensor<2x3x5x4xf32>
  func.return %2 : tensor<2x3x5x4xf32>
}

// The outer reshape takes apart what the transpose moves.
// CHECK-LABEL: func.func @keeps_dims_that_move
// CHECK: graph.reshape
// CHECK: graph.transpose
// CHECK: graph.reshape
func.func @keeps_dims_that_move(%x: tensor<2x3x4x5xf32>) -> tensor<6x5x2x2xf32> {
  %0 = graph.reshape %x {shape = #dim.list<[6, 4, 5]>} : (tensor<2x3x4x5xf32>) -> tensor<6x4x5xf32>
  %1 = graph.transpose %0 {perm = array<i64: 0, 2, 1>} : (tensor<6x4x5xf32>) -> tensor<6x5x4xf32>
  %2 = graph.reshape %1 {shape = #dim.list<[6, 5, 2, 2]>} : (tensor<6x5x4xf32>) -> tensor<6x5x2x2xf32>
  func.return %2 : tensor<6x5x2x2xf32>
}

// CHECK-LABEL: func.func @repeats_ones_by_a_view
// CHECK-NEXT: graph.broadcast %x {shape = #dim.list<[3, 4]>}
// CHECK-NEXT: func.return
func.func @repeats_ones_by_a_view(%x: tensor<1x4xf32>) -> tensor<3x4xf32> {
  %0 = graph.tile %x {repeats = #dim.list<[3, 1]>} : (tensor<1x4xf32>) -> tensor<3x4xf32>
  func.return %0 : tensor<3x4xf32>
}

// CHECK-LABEL: func.func @keeps_tiles_of_more
// CHECK-NEXT: graph.tile %x
func.func @keeps_tiles_of_more(%x: tensor<1x4xf32>) -> tensor<3x8xf32> {
  %0 = graph.tile %x {repeats = #dim.list<[3, 2]>} : (tensor<1x4xf32>) -> tensor<3x8xf32>
  func.return %0 : tensor<3x8xf32>
}
