// RUN: irkit-opt --split-input-file --verify-diagnostics --parsing-diagnostics -p graph-differentiate %s | filecheck %s

// CHECK: graph-differentiate-errors.mlir:[[# @LINE + 4]]:{{[0-9]+}}: error: input 0 of graph.vjp has no derivative
// CHECK-NEXT: %v, %d = graph.vjp
// CHECK: found: i32[2]
func.func @integers(%x: tensor<2xsi32>, %g: tensor<2xf32>) -> tensor<2xf32> {
  %v, %d = graph.vjp (%x) seed (%g) : (tensor<2xsi32>, tensor<2xf32>) {
  ^bb0(%a: tensor<2xsi32>):
    graph.yield %g : tensor<2xf32>
  }
  func.return %v : tensor<2xf32>
}
// -----
// CHECK: error: wrong number of seeds for graph.vjp
// CHECK: expected: 1 to 1, for the first results
func.func @seeds(%x: tensor<2xf32>) -> tensor<2xf32> {
  %v, %d = graph.vjp (%x) seed (%x, %x) : (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
  ^bb0(%a: tensor<2xf32>):
    graph.yield %a : tensor<2xf32>
  }
  func.return %v : tensor<2xf32>
}
// -----
// CHECK: error: the seeds of graph.vjp have other types
func.func @seed_types(%x: tensor<2xf32>, %g: tensor<f32>) -> tensor<2xf32> {
  %v, %d = graph.vjp (%x) seed (%g) : (tensor<2xf32>, tensor<f32>) {
  ^bb0(%a: tensor<2xf32>):
    graph.yield %a : tensor<2xf32>
  }
  func.return %v : tensor<2xf32>
}
// -----
// CHECK: error: operand 0 of graph.vmap has no 3 parts along dim 0
func.func @parts(%x: tensor<2xf32>) -> tensor<3xf32> {
  %v = graph.vmap 3 (%x) axes [0] : (tensor<2xf32>) {
  ^bb0(%a: tensor<f32>):
    graph.yield %a : tensor<f32>
  }
  func.return %v : tensor<3xf32>
}
// -----
// CHECK: error: this loop has no bound, so that its way back would need a tape without end
// CHECK: help: write `while ... max 1000 with ...`
func.func @tape(%x: tensor<f32>, %n: tensor<si32>, %g: tensor<f32>) -> tensor<f32> {
  %v, %d = graph.vjp (%x) seed (%g) : (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %r = graph.for 0 to %n : tensor<si32> (%a) : (tensor<f32>) {
    ^bb1(%t: tensor<si64>, %c: tensor<f32>):
      %0 = graph.sin %c : (tensor<f32>) -> tensor<f32>
      graph.yield %0 : tensor<f32>
    }
    graph.yield %r : tensor<f32>
  }
  func.return %d : tensor<f32>
}
// -----
// A cast that wraps may give more rounds than what it is made of.
// CHECK: error: this loop has no bound, so that its way back would need a tape without end
func.func @wraps(%x: tensor<f32>, %n: tensor<si32>, %g: tensor<f32>) -> tensor<f32> {
  %five = graph.constant dense<5> : tensor<si32>
  %least = graph.min %n, %five : (tensor<si32>, tensor<si32>) -> tensor<si32>
  %end = graph.cast %least {dtype = "u8"} : (tensor<si32>) -> tensor<ui8>
  %v, %d = graph.vjp (%x) seed (%g) : (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %r = graph.for 0 to %end : tensor<ui8> (%a) : (tensor<f32>) {
    ^bb1(%t: tensor<si64>, %c: tensor<f32>):
      %0 = graph.sin %c : (tensor<f32>) -> tensor<f32>
      graph.yield %0 : tensor<f32>
    }
    graph.yield %r : tensor<f32>
  }
  func.return %d : tensor<f32>
}
// -----
// CHECK: error: there is no derivative through complex numbers
func.func @complex(%x: tensor<f32>, %g: tensor<f32>) -> tensor<f32> {
  %v, %d = graph.vjp (%x) seed (%g) : (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %0 = graph.complex %a, %a : (tensor<f32>, tensor<f32>) -> tensor<complex<f32>>
    %1 = graph.real %0 : (tensor<complex<f32>>) -> tensor<f32>
    graph.yield %1 : tensor<f32>
  }
  func.return %d : tensor<f32>
}
// -----
// CHECK: error: input 0 of graph.jvp has no derivative
// CHECK: found: i32[2]
func.func @forward_integers(%x: tensor<2xsi32>) -> tensor<2xsi32> {
  %v = graph.jvp (%x) along (%x) : (tensor<2xsi32>, tensor<2xsi32>) {
  ^bb0(%a: tensor<2xsi32>):
    graph.yield %a : tensor<2xsi32>
  }
  func.return %v : tensor<2xsi32>
}
// -----
// CHECK: error: the directions of graph.jvp have other types
// CHECK: expected: tensor<2xf32>
func.func @directions(%x: tensor<2xf32>, %g: tensor<f32>) -> tensor<2xf32> {
  %v, %d = graph.jvp (%x) along (%g) : (tensor<2xf32>, tensor<f32>) {
  ^bb0(%a: tensor<2xf32>):
    graph.yield %a : tensor<2xf32>
  }
  func.return %v : tensor<2xf32>
}
// -----
// CHECK: error: reinterpret has no derivative
// CHECK: help: keep it from what is differentiated
func.func @no_rule(%x: tensor<3xf32>, %t: tensor<3xf32>) -> tensor<3xf32> {
  %v, %d = graph.jvp (%x) along (%t) : (tensor<3xf32>, tensor<3xf32>) {
  ^bb0(%a: tensor<3xf32>):
    %0 = graph.reinterpret %a {dtype = "f32"} : (tensor<3xf32>) -> tensor<3xf32>
    graph.yield %0 : tensor<3xf32>
  }
  func.return %d : tensor<3xf32>
}
// -----
// CHECK: error: 'math.cbrt' has no derivative
// CHECK: help: take it out of the index notation
func.func @scalar(%x: tensor<3xf32>, %t: tensor<3xf32>) -> tensor<3xf32> {
  %v, %d = graph.jvp (%x) along (%t) : (tensor<3xf32>, tensor<3xf32>) {
  ^bb0(%a: tensor<3xf32>):
    %0 = graph.index axes [i: 3] reads (%a[i]) : (tensor<3xf32>) -> tensor<3xf32> {
    ^bb1(%1: f32, %i: i64):
      %2 = math.cbrt %1 : f32
      graph.yield %2 : f32
    }
    graph.yield %0 : tensor<3xf32>
  }
  func.return %d : tensor<3xf32>
}
// -----
// A cast that wraps may give more rounds than what it is made of.
// CHECK: error: this loop has no bound, so that its way back would need a tape without end
func.func @wraps(%x: tensor<f32>, %n: tensor<si32>, %g: tensor<f32>) -> tensor<f32> {
  %five = graph.constant dense<5> : tensor<si32>
  %least = graph.min %n, %five : (tensor<si32>, tensor<si32>) -> tensor<si32>
  %end = graph.cast %least {dtype = "u8"} : (tensor<si32>) -> tensor<ui8>
  %v, %d = graph.vjp (%x) seed (%g) : (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %r = graph.for 0 to %end : tensor<ui8> (%a) : (tensor<f32>) {
    ^bb1(%t: tensor<si64>, %c: tensor<f32>):
      %0 = graph.sin %c : (tensor<f32>) -> tensor<f32>
      graph.yield %0 : tensor<f32>
    }
    graph.yield %r : tensor<f32>
  }
  func.return %d : tensor<f32>
}
// -----
// CHECK: error: there is no derivative through complex numbers
func.func @forward_complex(%x: tensor<f32>, %g: tensor<f32>) -> tensor<f32> {
  %v, %d = graph.jvp (%x) along (%g) : (tensor<f32>, tensor<f32>) {
  ^bb0(%a: tensor<f32>):
    %0 = graph.complex %a, %a : (tensor<f32>, tensor<f32>) -> tensor<complex<f32>>
    %1 = graph.real %0 : (tensor<complex<f32>>) -> tensor<f32>
    graph.yield %1 : tensor<f32>
  }
  func.return %d : tensor<f32>
}
// -----
// CHECK: error: graph.vmap has an axis for each operand
// CHECK: found: []
// CHECK: expected: 1
func.func @axes(%x: tensor<2xf32>) -> tensor<2xf32> {
  %v = graph.vmap 2 (%x) axes [] : (tensor<2xf32>) {
  ^bb0(%a: tensor<f32>):
    graph.yield %a : tensor<f32>
  }
  func.return %v : tensor<2xf32>
}
// -----
// CHECK: error: cast on scales along a dim cannot be mapped over
// CHECK: expected: one scale for the whole tensor
// CHECK: help: dequantise the tensor before: cast(x, f32)
func.func @scales(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %v = graph.vmap 2 (%x) axes [0] : (tensor<2x3xf32>) {
  ^bb0(%a: tensor<3xf32>):
    %0 = graph.cast %a {dtype = !graph.quant<si8, f32, scale = [0.1, 0.2, 0.3], axis = 0>} : (tensor<3xf32>) -> tensor<3x!graph.quant<si8, f32, scale = [0.1, 0.2, 0.3], axis = 0>>
    %1 = graph.cast %0 {dtype = "f32"} : (tensor<3x!graph.quant<si8, f32, scale = [0.1, 0.2, 0.3], axis = 0>>) -> tensor<3xf32>
    graph.yield %1 : tensor<3xf32>
  }
  func.return %v : tensor<2x3xf32>
}
