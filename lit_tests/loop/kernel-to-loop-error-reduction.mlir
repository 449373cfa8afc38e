// RUN: not irkit-opt -p kernel-to-loop %s 2>&1 | filecheck %s

// A step that yields a field instead of a state.
// CHECK: error: a reduction makes nothing of its elements along axis 'j'
// CHECK: expected: states that its step computes from the elements
kernel.def @m axes [i: 32, j: 128, k: 64]
    (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[64, 128], f32>, out %y: !buffer.ref<[32, 128], f32>)
    schedule ["vector j 16", "tile i 6"] {
      %a = kernel.read %x[i, k] : f32
      %b = kernel.read %w[k, j] : f32
      %s = kernel.reduce [k] (%a, %b) : (f32, f32) -> f32 init {
        %zero = arith.constant 0.0 : f32
        kernel.yield %zero : f32
      } step {
      ^bb0(%acc: f32, %p: f32, %q: f32):
        kernel.yield %a : f32
      } combine {
      ^bb0(%l: f32, %r: f32):
        %t = arith.addf %l, %r : f32
        kernel.yield %t : f32
      } finish {
      ^bb0(%acc: f32):
        kernel.yield %acc : f32
      }
      kernel.write %s, %y[i, j]
}
