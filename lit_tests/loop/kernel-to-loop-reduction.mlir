// RUN: irkit-opt -p kernel-to-loop %s | filecheck %s

// A tuple reduction in lanes, a fold, a scalar rest; then one pass that writes, the last vector some points again.
// CHECK-LABEL: loop.func @softmax
// CHECK: loop.for i in 0 to 32 parallel
// CHECK: loop.for j in 0 to 96 step 16 iter
// CHECK: math.exp {{.*}} : vector<16xf32>
// CHECK: loop.fold
// CHECK: loop.for j in 96 to 100 iter
// CHECK: loop.for j in 0 to 96 step 16
// CHECK: arith.divf {{.*}} : vector<16xf32>
// CHECK: loop.for j in 84 to 100 step 16
// CHECK: loop.store {{.*}}, %y[i, j] along [1] : vector<16xf32>
kernel.def @softmax axes [i: 32, j: 100] (in %x: !buffer.ref<[32, 100], f32>, out %y: !buffer.ref<[32, 100], f32>) schedule ["vector j 16"] {
      %a = kernel.read %x[i, j] : f32
      %m, %l = kernel.reduce [j] (%a) : (f32) -> (f32, f32) init {
        %ninf = arith.constant 0xFF800000 : f32
        %zero = arith.constant 0.0 : f32
        kernel.yield %ninf, %zero : f32, f32
      } step {
      ^bb0(%m0: f32, %l0: f32, %x0: f32):
        %m1 = arith.maximumf %m0, %x0 : f32
        %d = arith.subf %m0, %m1 : f32
        %r = math.exp %d : f32
        %l1 = arith.mulf %l0, %r : f32
        %xd = arith.subf %x0, %m1 : f32
        %p = math.exp %xd : f32
        %l2 = arith.addf %l1, %p : f32
        kernel.yield %m1, %l2 : f32, f32
      } combine {
      ^bb0(%ma: f32, %la: f32, %mb: f32, %lb: f32):
        %t = arith.maximumf %ma, %mb : f32
        %lc = arith.addf %la, %lb : f32
        kernel.yield %t, %lc : f32, f32
      } finish {
      ^bb0(%m3: f32, %l3: f32):
        kernel.yield %m3, %l3 : f32, f32
      }
      %s = arith.subf %a, %m : f32
      %e = math.exp %s : f32
      %o = arith.divf %e, %l : f32
      kernel.write %o, %y[i, j]
}
