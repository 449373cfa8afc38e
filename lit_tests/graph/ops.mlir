// RUN: irkit-opt %s | irkit-opt | filecheck %s
// RUN: irkit-opt %s --print-op-generic | irkit-opt | filecheck %s

// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%x: tensor<3x5xf32>, %y: tensor<5xf32>, %c: tensor<3x1xi1>) -> tensor<3x5xsi32> {
  // CHECK-NEXT: graph.pow %x, %y : (tensor<3x5xf32>, tensor<5xf32>) -> tensor<3x5xf32>
  %0 = graph.pow %x, %y : (tensor<3x5xf32>, tensor<5xf32>) -> tensor<3x5xf32>
  // CHECK-NEXT: graph.gelu {{.*}} {approximate = "tanh"}
  %1 = graph.gelu %0 {approximate = "tanh"} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  // CHECK-NEXT: graph.compare {{.*}} {pred = "lt"} : {{.*}} -> tensor<3x5xi1>
  %2 = graph.compare %1, %x {pred = "lt"} : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  // CHECK-NEXT: graph.logical_or
  %3 = graph.logical_or %2, %c : (tensor<3x5xi1>, tensor<3x1xi1>) -> tensor<3x5xi1>
  // CHECK-NEXT: graph.where
  %4 = graph.where %3, %x, %y : (tensor<3x5xi1>, tensor<3x5xf32>, tensor<5xf32>) -> tensor<3x5xf32>
  // CHECK-NEXT: graph.cast {{.*}} {dtype = "i32"} : (tensor<3x5xf32>) -> tensor<3x5xsi32>
  %5 = graph.cast %4 {dtype = "i32"} : (tensor<3x5xf32>) -> tensor<3x5xsi32>
  func.return %5 : tensor<3x5xsi32>
}

// CHECK-LABEL: func.func @composites
func.func @composites(%x: tensor<2x4x8x8xf32>, %w: tensor<4x1x3x3xf32>, %q: tensor<2x6x4xf32>) -> tensor<2x4x4x4xf32> {
  // CHECK-NEXT: graph.conv2d %x, %w {groups = 4 : i64, padding = array<i64: 1, 1>}
  %0 = graph.conv2d %x, %w {groups = 4 : i64, padding = array<i64: 1, 1>} : (tensor<2x4x8x8xf32>, tensor<4x1x3x3xf32>) -> tensor<2x4x8x8xf32>
  // CHECK-NEXT: graph.max_pool2d {{.*}} {kernel = array<i64: 2>}
  %1 = graph.max_pool2d %0 {kernel = array<i64: 2>} : (tensor<2x4x8x8xf32>) -> tensor<2x4x4x4xf32>
  // CHECK-NEXT: graph.attention %q, %q, %q {causal = true}
  %2 = graph.attention %q, %q, %q {causal = true} : (tensor<2x6x4xf32>, tensor<2x6x4xf32>, tensor<2x6x4xf32>) -> tensor<2x6x4xf32>
  func.return %1 : tensor<2x4x4x4xf32>
}

// CHECK-LABEL: func.func @symbols(%x: tensor<?x4xf32, #graph.t<dims=[B, 4]>>, %i: tensor<3xsi32>)
// CHECK-SAME: attributes {graph.symbols = #dim.symbols<[B: 1 to 64]>}
func.func @symbols(%x: tensor<?x4xf32, #graph.t<dims=[B, 4]>>, %i: tensor<3xsi32>) -> tensor<3x2xf32>
    attributes {graph.symbols = #dim.symbols<[B: 1 to 64]>} {
  // CHECK-NEXT: graph.gather
  %0 = graph.gather %x, %i : (tensor<?x4xf32, #graph.t<dims=[B, 4]>>, tensor<3xsi32>) -> tensor<3x4xf32>
  // CHECK-NEXT: graph.slice {{.*}} {starts = #dim.list<[0, 1]>, stops = #dim.list<[3, 3]>}
  %1 = graph.slice %0 {starts = #dim.list<[0, 1]>, stops = #dim.list<[3, 3]>} : (tensor<3x4xf32>) -> tensor<3x2xf32>
  func.return %1 : tensor<3x2xf32>
}

// CHECK-LABEL: func.func @structure
func.func @structure(%u: tensor<6xf32>, %n: tensor<si32>) -> (tensor<6xf32>, tensor<f32>) {
  // CHECK-NEXT: graph.constant dense<[1.0{{0*}}e+00, 2.5{{0*}}e+00]> : tensor<2xf32>
  %c = graph.constant dense<[1.0, 2.5]> : tensor<2xf32>
  // CHECK-NEXT: graph.for 0 to %n : tensor<si32> (%u) : (tensor<6xf32>) {
  %r = graph.for 0 to %n : tensor<si32> (%u) : (tensor<6xf32>) {
  ^bb0(%t: tensor<si64>, %v: tensor<6xf32>):
    // CHECK: graph.index axes [i: 6] reads (%v[i - 1] value 0.5, %v[i]) : (tensor<6xf32>) -> tensor<6xf32> {
    %a = graph.index axes [i: 6] reads (%v[i - 1] value 0.5, %v[i]) : (tensor<6xf32>) -> tensor<6xf32> {
    ^bb0(%0: f32, %1: f32, %i: i64):
      %2 = arith.addf %0, %1 : f32
      graph.yield %2 : f32
    }
    graph.yield %a : tensor<6xf32>
  }
  // CHECK: graph.index axes [] reduce max [j: 6] reads ({{.*}}[j])
  %m = graph.index axes [] reduce max [j: 6] reads (%r[j]) : (tensor<6xf32>) -> tensor<f32> {
  ^bb0(%0: f32, %j: i64):
    graph.yield %0 : f32
  }
  func.return %r, %m : tensor<6xf32>, tensor<f32>
}

// CHECK-LABEL: func.func @quantised
// CHECK-SAME: tensor<2x!graph.quant<ui8, f32, scale = [0.1, 0.2], zero_point = [128, 3], axis = 0>>
// CHECK-SAME: tensor<64x!graph.quant<si4, bf16, scale = [0.5, 0.25], axis = 0, block = 32>>
func.func @quantised(
    %x: tensor<2x!graph.quant<ui8, f32, scale = [0.1, 0.2], zero_point = [128, 3], axis = 0>>,
    %y: tensor<64x!graph.quant<si4, bf16, scale = [0.5, 0.25], axis = 0, block = 32>>) {
  func.return
}
