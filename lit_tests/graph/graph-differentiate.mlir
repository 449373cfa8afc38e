// RUN: irkit-opt -p graph-differentiate --verify-each --check %s | filecheck %s

// What nothing needs is left to graph-dce; the cotangent of %x, which is no input of the derivative, is not computed.
// CHECK-LABEL: @loss
// CHECK:       [[Y:%\w+]] = graph.matmul %x, %w
// CHECK-NEXT:  [[T:%\w+]] = graph.tanh [[Y]]
// CHECK-NEXT:  %v = graph.reduce_sum [[T]]
// CHECK:       [[S:%\w+]] = graph.mul [[T]], [[T]]
// CHECK:       graph.transpose %x {perm = array<i64: 1, 0>}
// CHECK:       graph.matmul {{.*}} : (tensor<3x4xf32>, tensor<4x2xf32>) -> tensor<3x2xf32>
// CHECK-NOT:   graph.vjp
func.func @loss(%x: tensor<4x3xf32>, %w: tensor<3x2xf32>, %one: tensor<f32>) -> (tensor<f32>, tensor<3x2xf32>) {
  %v, %dw = graph.vjp (%w) seed (%one) : (tensor<3x2xf32>, tensor<f32>) {
  ^bb0(%a: tensor<3x2xf32>):
    %0 = graph.matmul %x, %a : (tensor<4x3xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
    %1 = graph.tanh %0 : (tensor<4x2xf32>) -> tensor<4x2xf32>
    %2 = graph.reduce_sum %1 : (tensor<4x2xf32>) -> tensor<f32>
    graph.yield %2 : tensor<f32>
  }
  func.return %v, %dw : tensor<f32>, tensor<3x2xf32>
}

// A derivative of a derivative: the innermost first.
// CHECK-LABEL: @second
// CHECK-NOT:   graph.vjp
// CHECK:       func.return
func.func @second(%x: tensor<f32>, %one: tensor<f32>) -> tensor<f32> {
  %d, %dd = graph.vjp (%x) seed (%one) : (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %y, %dy = graph.vjp (%a) seed (%one) : (tensor<f32>, tensor<f32>) {
    ^bb1(%b: tensor<f32>):
      %0 = graph.sin %b : (tensor<f32>) -> tensor<f32>
      graph.yield %0 : tensor<f32>
    }
    graph.yield %dy : tensor<f32>
  }
  func.return %dd : tensor<f32>
}

// A loop keeps what its rounds begin with on a tape; the way back reads it from the last row to the first.
// CHECK-LABEL: @loop
// CHECK:       graph.for 0 to 3 (%u, [[TAPE:%\w+]]) : (tensor<2xf32>, tensor<3x2xf32>)
// CHECK:       graph.scatter
// CHECK:       graph.for 0 to 3
// CHECK:       graph.gather
func.func @loop(%u: tensor<2xf32>, %g: tensor<2xf32>) -> tensor<2xf32> {
  %v, %d = graph.vjp (%u) seed (%g) : (tensor<2xf32>, tensor<2xf32>) {
  ^bb0(%a: tensor<2xf32>):
    %r = graph.for 0 to 3 (%a) : (tensor<2xf32>) {
    ^bb1(%t: tensor<si64>, %c: tensor<2xf32>):
      %0 = graph.sin %c : (tensor<2xf32>) -> tensor<2xf32>
      graph.yield %0 : tensor<2xf32>
    }
    graph.yield %r : tensor<2xf32>
  }
  func.return %d : tensor<2xf32>
}

// What slices of one value receive stands side by side: no zeros around each, and no sums.
// CHECK-LABEL: @slices
// CHECK:       [[JOINED:%\w+]] = graph.concat [[LOW:%\w+]], [[HIGH:%\w+]] {axis = 1 : i64}
// CHECK:       func.return [[JOINED]]
// CHECK-LABEL: @slices_apart
// CHECK-NOT:   graph.concat
// CHECK:       graph.add
func.func @slices(%x: tensor<2x5xf32>, %one: tensor<f32>) -> tensor<2x5xf32> {
  %v, %dx = graph.vjp (%x) seed (%one) : (tensor<2x5xf32>, tensor<f32>) {
  ^bb0(%a: tensor<2x5xf32>):
    %0 = graph.slice %a {starts = #dim.list<[0, 2]>, stops = #dim.list<[2, 5]>} : (tensor<2x5xf32>) -> tensor<2x3xf32>
    %1 = graph.slice %a {starts = #dim.list<[0, 0]>, stops = #dim.list<[2, 2]>} : (tensor<2x5xf32>) -> tensor<2x2xf32>
    %2 = graph.exp %0 : (tensor<2x3xf32>) -> tensor<2x3xf32>
    %3 = graph.reduce_sum %2 : (tensor<2x3xf32>) -> tensor<f32>
    %4 = graph.reduce_sum %1 : (tensor<2x2xf32>) -> tensor<f32>
    %5 = graph.add %3, %4 : (tensor<f32>, tensor<f32>) -> tensor<f32>
    graph.yield %5 : tensor<f32>
  }
  func.return %dx : tensor<2x5xf32>
}
func.func @slices_apart(%x: tensor<5xf32>, %one: tensor<f32>) -> tensor<5xf32> {
  %v, %dx = graph.vjp (%x) seed (%one) : (tensor<5xf32>, tensor<f32>) {
  ^bb0(%a: tensor<5xf32>):
    %0 = graph.slice %a {starts = #dim.list<[0]>, stops = #dim.list<[3]>} : (tensor<5xf32>) -> tensor<3xf32>
    %1 = graph.slice %a {starts = #dim.list<[2]>, stops = #dim.list<[5]>} : (tensor<5xf32>) -> tensor<3xf32>
    %2 = graph.mul %0, %1 : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %3 = graph.reduce_sum %2 : (tensor<3xf32>) -> tensor<f32>
    graph.yield %3 : tensor<f32>
  }
  func.return %dx : tensor<5xf32>
}
