// RUN: irkit-opt %s -p graph-to-kernel | filecheck %s

// Views are index expressions, broadcasting drops an index, and an output that is read at its own index may share memory.
// CHECK-LABEL: kernel.def @views axes [i: 4, j: 8]
// CHECK-SAME: (in %x: !buffer.ref<[8, 4], f32>, in %b: !buffer.ref<[8], f32>, in %y: !buffer.ref<[4, 8], f32>, out [[O:%\S+]]: !buffer.ref<[4, 8], f32> alias 2)
// CHECK-DAG: [[X:%\S+]] = kernel.read %x[j, i] : f32
// CHECK-DAG: [[B:%\S+]] = kernel.read %b[j] : f32
// CHECK-DAG: [[Y:%\S+]] = kernel.read %y[i, j] : f32
// CHECK: kernel.write {{%\S+}}, [[O]][i, j]
kernel.def @views (in %x: tensor<8x4xf32>, in %b: tensor<8xf32>, in %y: tensor<4x8xf32>) {
  %0 = graph.transpose %x {perm = array<i64: 1, 0>} : (tensor<8x4xf32>) -> tensor<4x8xf32>
  %1 = graph.add %0, %b : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  %2 = graph.mul %1, %y : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  kernel.yield %2 : tensor<4x8xf32>
}

// A contraction sums over an axis of its own; its epilogue is written at the same point.
// CHECK-LABEL: kernel.def @matmul_relu axes [i: 32, j: 16, k: 64]
// CHECK: [[A:%\S+]] = kernel.read %x[i, k]
// CHECK: [[W:%\S+]] = kernel.read %w[k, j]
// CHECK: [[S:%\S+]] = kernel.reduce [k] ([[A]], [[W]])
// CHECK: [[R:%\S+]] = arith.maximumf [[S]]
// CHECK: kernel.write [[R]]
kernel.def @matmul_relu (in %x: tensor<32x64xf32>, in %w: tensor<64x16xf32>) {
  %0 = graph.matmul %x, %w : (tensor<32x64xf32>, tensor<64x16xf32>) -> tensor<32x16xf32>
  %1 = graph.relu %0 : (tensor<32x16xf32>) -> tensor<32x16xf32>
  kernel.yield %1 : tensor<32x16xf32>
}

// Small floats are read wide, computed in f32 and rounded where they are written.
// CHECK-LABEL: kernel.def @half
// CHECK: [[R:%\S+]] = kernel.read %x[j] : f16
// CHECK: [[W:%\S+]] = arith.extf [[R]] : f16 to f32
// CHECK: [[E:%\S+]] = math.exp [[W]] : f32
// CHECK: [[M:%\S+]] = arith.mulf [[E]], [[E]] : f32
// CHECK: [[T:%\S+]] = arith.truncf [[M]] : f32 to f16
// CHECK: kernel.write [[T]]
kernel.def @half (in %x: tensor<8xf16>) {
  %0 = graph.exp %x : (tensor<8xf16>) -> tensor<8xf16>
  %1 = graph.mul %0, %0 : (tensor<8xf16>, tensor<8xf16>) -> tensor<8xf16>
  kernel.yield %1 : tensor<8xf16>
}

// Two reductions of one dim share their axis.
// CHECK-LABEL: kernel.def @shared_axis axes [j: 4, k: 8]
// CHECK: kernel.reduce [k]
// CHECK: kernel.reduce [k]
kernel.def @shared_axis (in %x: tensor<4x8xf32>) {
  %0 = graph.reduce_sum %x {axes = array<i64: 1>} : (tensor<4x8xf32>) -> tensor<4xf32>
  %1 = graph.reduce_max %x {axes = array<i64: 1>} : (tensor<4x8xf32>) -> tensor<4xf32>
  kernel.yield %0, %1 : tensor<4xf32>, tensor<4xf32>
}

// Every thread reads a single number, and one writes it: no memory is shared.
// CHECK-LABEL: kernel.def @keeps_a_scalar_apart (
// CHECK-NOT: alias
kernel.def @keeps_a_scalar_apart (in %x: tensor<f32>) {
  %0 = graph.exp %x : (tensor<f32>) -> tensor<f32>
  kernel.yield %0 : tensor<f32>
}
