// RUN: not irkit-opt -p kernel-to-buffer %s 2>&1 | filecheck %s

kernel.def @relu axes [i: 8] (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {
  %a = kernel.read %x[i] : f32
  kernel.write %a, %y[i]
}

func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: kernel-to-buffer-error-kernel.mlir:{{.*}}: error: kernel @relu is not a loop.func
  // CHECK: expected: a lowered kernel in the module
  // CHECK: help: run kernel-to-loop first
  %0 = kernel.launch @relu(%x) : (tensor<8xf32>) -> tensor<8xf32>
  func.return %0 : tensor<8xf32>
}
