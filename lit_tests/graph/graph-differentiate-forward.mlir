// RUN: irkit-opt -p graph-differentiate --verify-each --check %s | filecheck %s

// The tangent of each value stands behind it. Results that are no floats have none.
// CHECK-LABEL: @chain
// CHECK:       [[Y:%\w+]] = graph.tanh %x
// CHECK-NEXT:  [[S:%\w+]] = graph.mul [[Y]], [[Y]]
// CHECK:       [[D:%\w+]] = graph.sub
// CHECK-NEXT:  [[T:%\w+]] = graph.mul %t, [[D]]
// CHECK-NEXT:  %v = graph.reduce_sum [[Y]]
// CHECK-NEXT:  %d = graph.reduce_sum [[T]]
// CHECK-NEXT:  func.return %v, %d, %n
func.func @chain(%x: tensor<3xf32>, %t: tensor<3xf32>, %n: tensor<3xsi32>) -> (tensor<f32>, tensor<f32>, tensor<3xsi32>) {
  %v, %k, %d = graph.jvp (%x) along (%t) : (tensor<3xf32>, tensor<3xf32>) {
  ^bb0(%a: tensor<3xf32>):
    %0 = graph.tanh %a : (tensor<3xf32>) -> tensor<3xf32>
    %1 = graph.reduce_sum %0 : (tensor<3xf32>) -> tensor<f32>
    graph.yield %1, %n : tensor<f32>, tensor<3xsi32>
  }
  func.return %v, %d, %k : tensor<f32>, tensor<f32>, tensor<3xsi32>
}

// A product has a term for each factor with a tangent; %w has none.
// CHECK-LABEL: @product
// CHECK:       %v = graph.matmul %x, %w
// CHECK-NEXT:  %d = graph.matmul %t, %w
// CHECK-NEXT:  func.return
func.func @product(%x: tensor<4x3xf32>, %t: tensor<4x3xf32>, %w: tensor<3x2xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %v, %d = graph.jvp (%x) along (%t) : (tensor<4x3xf32>, tensor<4x3xf32>) {
  ^bb0(%a: tensor<4x3xf32>):
    %0 = graph.matmul %a, %w : (tensor<4x3xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
    graph.yield %0 : tensor<4x2xf32>
  }
  func.return %v, %d : tensor<4x2xf32>, tensor<4x2xf32>
}

// What lies outside is a constant, of which the tangent is zero.
// CHECK-LABEL: @outside
// CHECK:       reads (%x[i - 1] value 0.5)
// CHECK:       reads (%t[i - 1] zero)
func.func @outside(%x: tensor<3xf32>, %t: tensor<3xf32>) -> tensor<3xf32> {
  %v, %d = graph.jvp (%x) along (%t) : (tensor<3xf32>, tensor<3xf32>) {
  ^bb0(%a: tensor<3xf32>):
    %0 = graph.index axes [i: 3] reads (%a[i - 1] value 0.5) : (tensor<3xf32>) -> tensor<3xf32> {
    ^bb1(%1: f32, %i: i64):
      graph.yield %1 : f32
    }
    graph.yield %0 : tensor<3xf32>
  }
  func.return %d : tensor<3xf32>
}

// A loop carries the tangents of what it carries: one loop, no tape.
// CHECK-LABEL: @loop
// CHECK:       graph.for 0 to 3 (%u, %t) : (tensor<2xf32>, tensor<2xf32>)
// CHECK:       graph.cos
// CHECK:       graph.yield
// CHECK-NOT:   graph.for
func.func @loop(%u: tensor<2xf32>, %t: tensor<2xf32>) -> tensor<2xf32> {
  %v, %d = graph.jvp (%u) along (%t) : (tensor<2xf32>, tensor<2xf32>) {
  ^bb0(%a: tensor<2xf32>):
    %r = graph.for 0 to 3 (%a) : (tensor<2xf32>) {
    ^bb1(%i: tensor<si64>, %c: tensor<2xf32>):
      %0 = graph.sin %c : (tensor<2xf32>) -> tensor<2xf32>
      graph.yield %0 : tensor<2xf32>
    }
    graph.yield %r : tensor<2xf32>
  }
  func.return %d : tensor<2xf32>
}

// A choice too; a way that gives what does not change has a tangent of zeros.
// CHECK-LABEL: @choice
// CHECK:       graph.if %c (%x, %t) : (tensor<2xf32>, tensor<2xf32>)
// CHECK:       graph.exp
// CHECK:       else
// CHECK:       [[ZERO:%\w+]] = graph.broadcast
// CHECK:       graph.yield %w, [[ZERO]]
func.func @choice(%c: tensor<i1>, %x: tensor<2xf32>, %w: tensor<2xf32>, %t: tensor<2xf32>) -> tensor<2xf32> {
  %v, %d = graph.jvp (%x) along (%t) : (tensor<2xf32>, tensor<2xf32>) {
  ^bb0(%a: tensor<2xf32>):
    %r = graph.if %c (%a) : (tensor<2xf32>) {
    ^bb1(%y: tensor<2xf32>):
      %n = graph.exp %y : (tensor<2xf32>) -> tensor<2xf32>
      graph.yield %n : tensor<2xf32>
    } else {
    ^bb1(%y: tensor<2xf32>):
      graph.yield %w : tensor<2xf32>
    }
    graph.yield %r : tensor<2xf32>
  }
  func.return %d : tensor<2xf32>
}

// Forward over reverse: the product of a Hessian and a vector.
// CHECK-LABEL: @hessian
// CHECK-NOT:   graph.{{vjp|jvp}}
// CHECK:       func.return
func.func @hessian(%x: tensor<f32>, %t: tensor<f32>, %one: tensor<f32>) -> tensor<f32> {
  %g, %h = graph.jvp (%x) along (%t) : (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %y, %dy = graph.vjp (%a) seed (%one) : (tensor<f32>, tensor<f32>) {
    ^bb1(%b: tensor<f32>):
      %0 = graph.sin %b : (tensor<f32>) -> tensor<f32>
      graph.yield %0 : tensor<f32>
    }
    graph.yield %dy : tensor<f32>
  }
  func.return %h : tensor<f32>
}
