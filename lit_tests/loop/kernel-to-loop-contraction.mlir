// RUN: irkit-opt -p kernel-to-loop %s | filecheck %s

// The schedule is data: tile sizes and block sizes in the directives are those of the nest.

// CHECK-LABEL: loop.func @tile_14x32
// CHECK: loop.alloc : !buffer.ref<[4, 16, 32], f32, space = team>
// CHECK: loop.alloc : !buffer.ref<[2, 16, 14], f32, space = scratch>
// CHECK: loop.for ko in 0 to 64 step 16
// CHECK: loop.for jp in 0 to 4 parallel
// CHECK: loop.barrier
// Blocks of rows differ by at most one tile.
// CHECK: loop.for io in 0 to 2 parallel
// CHECK: loop.for ip in 0 to ((io * 3 + 3) floordiv 2) - (io * 3 floordiv 2)
// CHECK: loop.contract {{.*}} : vector<14x32xf32>
// CHECK: loop.if
// CHECK: arith.maximumf {{.*}} : vector<14x32xf32>
kernel.def @tile_14x32 axes [i: 32, j: 128, k: 64]
    (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[64, 128], f32>, out %y: !buffer.ref<[32, 128], f32>)
    schedule ["tile i 14", "tile j 32", "split k 16", "split i 28", "pack lhs", "pack rhs"] {
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

// The whole reduced axis in one block: no partial sums, no branch.
// CHECK-LABEL: loop.func @tile_4x16
// Where columns are split, each thread has a panel of its own, and none waits for another.
// CHECK: loop.alloc : !buffer.ref<[1, 64, 16], f32, space = scratch>
// CHECK: loop.alloc : !buffer.ref<[8, 64, 4], f32, space = scratch>
// CHECK: loop.for jp in 0 to 8 parallel
// CHECK-NOT: loop.if
// CHECK-NOT: loop.barrier
// CHECK: loop.contract {{.*}} : vector<4x16xf32>
kernel.def @tile_4x16 axes [i: 32, j: 128, k: 64]
    (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[64, 128], f32>, out %y: !buffer.ref<[32, 128], f32>)
    schedule ["tile i 4", "tile j 16", "pack lhs", "pack rhs", "parallel j"] {
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

// Without packing the tile reads the operands where they are.
// CHECK-LABEL: loop.func @keeps_operands_in_place
// CHECK-NOT: loop.alloc
// CHECK: loop.for i in 0 to 32 step 4 parallel
// CHECK: loop.for j in 0 to 128 step 16
// CHECK: arith.mulf {{.*}} : vector<4x16xf32>
kernel.def @keeps_operands_in_place axes [i: 32, j: 128, k: 64]
    (in %x: !buffer.ref<[32, 64], f32>, in %w: !buffer.ref<[64, 128], f32>, out %y: !buffer.ref<[32, 128], f32>)
    schedule ["tile i 4", "vector j 16"] {
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
