// RUN: irkit-opt -p kernel-to-loop %s | filecheck %s

// The vector body covers the points at which no guard and no clamp acts; head and tail are scalar.
// CHECK-LABEL: loop.func @lap
// CHECK: loop.for j in 0 to 2 {
// CHECK: loop.load %x[i, j - 2] guard [j - 2] else 0.000000e+00 : f32 : f32
// CHECK: loop.for j in 29 to 30 {
// CHECK: loop.load %x[i, max(0, min(29, j + 1))] : f32
// CHECK: loop.for j in 2 to 29 step 16 {
// CHECK: loop.load %x[i, j - 2] along [1]
// CHECK: loop.load %x[i, j + 1] along [1]
// CHECK-NOT: guard
kernel.def @lap axes [i: 30, j: 30] (in %x: !buffer.ref<[30, 30], f32>, out %y: !buffer.ref<[30, 30], f32>) schedule ["vector j 16"] {
      %a = kernel.read %x[i, j] : f32
      %b = kernel.read %x[max(0, i - 1), j] : f32
      %c = kernel.read %x[i, max(0, min(29, j + 1))] : f32
      %d = kernel.read %x[i, j - 2] else 0.0 : f32 : f32
      %s = arith.addf %a, %b : f32
      %e = arith.addf %s, %c : f32
      %o = arith.addf %e, %d : f32
      kernel.write %o, %y[i, j]
}
