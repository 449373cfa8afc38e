// RUN: irkit-opt -p kernel-collapse-axes %s | filecheck %s

// CHECK-LABEL: kernel.def @add axes [n: 4, i: 300]
// CHECK: kernel.read %x[n, i]
// CHECK: kernel.write {{.*}}, %y[n, i]
// CHECK-LABEL: kernel.def @keeps axes [i: 30, j: 10]
kernel.def @add axes [n: 4, i: 30, j: 10] (in %x: !buffer.ref<[4, 30, 10], f32>, in %b: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4, 30, 10], f32>) {
      %a = kernel.read %x[n, i, j] : f32
      %b0 = kernel.read %b[n] : f32
      %s = arith.addf %a, %b0 : f32
      kernel.write %s, %y[n, i, j]
}
kernel.def @keeps axes [i: 30, j: 10] (in %x: !buffer.ref<[30, 10], f32>, in %b: !buffer.ref<[10], f32>, out %y: !buffer.ref<[30, 10], f32>) {
      %a = kernel.read %x[i, j] : f32
      %b0 = kernel.read %b[j] : f32
      %s = arith.addf %a, %b0 : f32
      kernel.write %s, %y[i, j]
}
