// RUN: not irkit-opt -p kernel-to-loop %s 2>&1 | filecheck %s

// CHECK: error: schedule of @s: axis 'i' carries a scan
// CHECK: found: "vector i 8"
// CHECK: expected: an axis that no scan runs along
kernel.def @s axes [i: 64] (in %x: !buffer.ref<[64], f32>, out %y: !buffer.ref<[64], f32>) schedule ["vector i 8"] {
  %0 = kernel.read %x[i] : f32
  %1 = kernel.scan i (%0) : (f32) -> (f32) init {
    %2 = arith.constant 0.0 : f32
    kernel.yield %2 : f32
  } step {
  ^bb0(%a: f32, %b: f32):
    %3 = arith.addf %a, %b : f32
    kernel.yield %3 : f32
  }
  kernel.write %1, %y[i]
}
