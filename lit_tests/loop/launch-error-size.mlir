// RUN: not irkit-opt %s --emit=c --check 2>&1 | filecheck %s
// RUN: not irkit-opt %s --emit=c 2>&1 | filecheck %s --check-prefix=PLAN

// CHECK: error: an array of @f is launched with another size
// CHECK: found: 8 elements
// CHECK: expected: 9, as its signature says
// PLAN: error: an array of kernel @f is launched with another size
loop.func @f (in %x: !buffer.ref<[9], f32>, out %y: !buffer.ref<[8], f32>) {
  loop.for i in 0 to 8 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
}
func.func @main(%a: tensor<8xf32> {graph.name = "a", graph.kind = "input"}) -> (tensor<8xf32> {graph.name = "b"}) {
  %0 = kernel.launch @f(%a) : (tensor<8xf32>) -> tensor<8xf32>
  func.return %0 : tensor<8xf32>
}
