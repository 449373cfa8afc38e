// RUN: irkit-opt -p kernel-to-loop %s | filecheck %s

// A right operand that lies in panels is loaded from there, whole vectors in the last panel too; nobody packs or waits.
// CHECK-LABEL: loop.func @rows
// CHECK-NOT: space = team
// CHECK-NOT: loop.barrier
// CHECK: loop.for ko in 0 to 64 step 16
// CHECK: loop.for [[P:jp.*]] in 0 to 8
// CHECK: loop.load %w{{\[}}[[P]], ki + ko, 0] along [2] : vector<16xf32>
kernel.def @rows axes [i: 32, j: 120, k: 64]
    (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[8, 64, 16], f32>, out %y: !buffer.ref<[32, 120], f32>)
    schedule ["tile i 4", "tile j 16", "split k 16", "split i 8", "pack lhs", "parallel i"] {
      %a = kernel.read %x[i, k] : f32
      %b = kernel.read %w[j floordiv 16, k, j mod 16] : f32
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
      kernel.write %s, %y[i, j]
}

// CHECK-LABEL: loop.func @columns
// CHECK-NOT: loop.alloc
// CHECK: loop.for jp in 0 to 8 parallel
// CHECK: loop.load %w[jp, ki, 0] along [2] : vector<16xf32>
kernel.def @columns axes [i: 32, j: 120, k: 64]
    (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[8, 64, 16], f32>, out %y: !buffer.ref<[32, 120], f32>)
    schedule ["tile i 4", "tile j 16", "parallel j"] {
      %a = kernel.read %x[i, k] : f32
      %b = kernel.read %w[j floordiv 16, k, j mod 16] : f32
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
      kernel.write %s, %y[i, j]
}

// Panels of another width than the tile's are an array like any other.
// CHECK-LABEL: loop.func @other_width
// CHECK-NOT: loop.load %w[jp, ki, 0]
// CHECK: loop.contract {{.*}} : vector<4x8xf32>
kernel.def @other_width axes [i: 32, j: 120, k: 64]
    (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[8, 64, 16], f32>, out %y: !buffer.ref<[32, 120], f32>)
    schedule ["tile i 4", "tile j 8", "parallel j"] {
      %a = kernel.read %x[i, k] : f32
      %b = kernel.read %w[j floordiv 16, k, j mod 16] : f32
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
      kernel.write %s, %y[i, j]
}
