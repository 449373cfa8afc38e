// RUN: not irkit-opt -p kernel-to-buffer %s 2>&1 | filecheck %s

func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: kernel-to-buffer-error-op.mlir:{{.*}}: error: 'graph.relu' op in host function @main is not part of a kernel
  // CHECK: expected: one of graph.for,
  // CHECK: help: run graph-fuse and graph-outline first
  %0 = graph.relu %x : (tensor<8xf32>) -> tensor<8xf32>
  func.return %0 : tensor<8xf32>
}
