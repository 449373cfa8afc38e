// RUN: not irkit-opt -p kernel-to-loop %s 2>&1 | filecheck %s

// CHECK: error: schedule of @m: pack names no operand
// CHECK: found: "pack both"
// CHECK: expected:
// CHECK: help:
kernel.def @m axes [i: 32, j: 128, k: 64]
    (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[64, 128], f32>, out %y: !buffer.ref<[32, 128], f32>)
    schedule ["pack both"] {
      %a = kernel.read %x[i, k] : f32
      %b = kernel.read %w[k, j] : f32
      %s = kernel.reduce [k] (%a, %b) : (f32, f32) -> f32 init {
        %zero = arith.constant 0.0 : f32
        kernel.yield %zero : f32
      } step {
      ^bb0(%acc: f32, %p: f32, %q: f32):
        %m = arith.mulf %p, %q : f32
        %n = arith.addf %acc, %m : f32
        kernel.yield %n : f32
      } combine {
      ^bb0(%l: f32, %r: f32):
        %t = arith.addf %l, %r : f32
        kernel.yield %t : f32
      } finish {
      ^bb0(%acc: f32):
        kernel.yield %acc : f32
      }
      %zero = arith.constant 0.0 : f32
      %y0 = arith.maximumf %s, %zero : f32
      kernel.write %y0, %y[i, j]
}
