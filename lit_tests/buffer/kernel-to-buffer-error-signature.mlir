// RUN: not irkit-opt -p kernel-to-buffer %s 2>&1 | filecheck %s

loop.func @add (in %x: !buffer.ref<[8], f32>, in %z: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {}

func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: kernel-to-buffer-error-signature.mlir:{{.*}}: error: the launch does not fit the signature of kernel @add
  // CHECK: found: 1 operands and 1 results
  // CHECK: expected: arguments (in, in, out)
  %0 = kernel.launch @add(%x) : (tensor<8xf32>) -> tensor<8xf32>
  func.return %0 : tensor<8xf32>
}
