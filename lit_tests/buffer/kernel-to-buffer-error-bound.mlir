// RUN: not irkit-opt -p kernel-to-buffer %s 2>&1 | filecheck %s

loop.func @copy symbols [N: 1 to 64] (in %x: !buffer.ref<[N], f32>, out %y: !buffer.ref<[N], f32>) {}

// CHECK: error: the size N * 4 of an array has no upper bound
// CHECK: expected: a range for each dim symbol
// CHECK: help: state ranges for N
func.func @main(%x: tensor<?xf32, #graph.t<dims=[N]>>) -> tensor<?xf32, #graph.t<dims=[N]>> {
  %0 = kernel.launch @copy(%x) : (tensor<?xf32, #graph.t<dims=[N]>>) -> tensor<?xf32, #graph.t<dims=[N]>>
  %1 = kernel.launch @copy(%0) : (tensor<?xf32, #graph.t<dims=[N]>>) -> tensor<?xf32, #graph.t<dims=[N]>>
  func.return %1 : tensor<?xf32, #graph.t<dims=[N]>>
}
