// RUN: irkit-opt -p 'buffer-tile-time{target=avx2 steps=4}' %s | filecheck %s
// RUN: irkit-opt -p 'buffer-tile-time{target=avx2 steps=0}' %s | filecheck %s --check-prefix=OFF
// RUN: irkit-opt -p 'buffer-tile-time{target=avx2}' %s --remarks=tile -o /dev/null 2>&1 | filecheck %s --check-prefix=SMALL
// RUN: not irkit-opt -p 'buffer-tile-time{steps=3}' %s 2>&1 | filecheck %s --check-prefix=ODD

// Four steps at once, each two rows behind the one before; two of the ten are left.
// CHECK: loop.func @blur (in
// CHECK: loop.func @blur_steps4 (inout %u: {{.*}}, inout %v:
// CHECK-NEXT: loop.for front in 0 to 20 step 2 {
// CHECK-NEXT: loop.for pair in 0 to 2 parallel {
// CHECK-NEXT: loop.for i in max(0, front - pair * 6) to min(11, front - pair * 6 + 2) {
// CHECK-NEXT: loop.load %u[max(0, i - 1), 0]
// CHECK-NEXT: loop.store {{.*}}, %v[i, 0]
// CHECK: loop.for i in max(0, front - pair * 6 - 3) to min(11, front - pair * 6 - 1) {
// CHECK-NEXT: loop.load %v[max(0, i - 1), 0]
// CHECK-NEXT: loop.store {{.*}}, %u[i, 0]
// CHECK: loop.barrier
// OFF-NOT: loop.func @blur_steps
loop.func @blur (in %u: !buffer.ref<[11, 1024], f32>, out %v: !buffer.ref<[11, 1024], f32>) {
  loop.for i in 0 to 11 parallel {
    %x = loop.load %u[max(0, i - 1), 0] : f32
    loop.store %x, %v[i, 0] : f32
  }
}

// CHECK: buffer.for %t in 0 to 2 {
// CHECK-NEXT: buffer.call @blur_steps4 (%a, %b)
// CHECK: buffer.for %{{.*}} in 8 to 10 carry (%{{.*}} : %{{.*}} = %a swap %b) {
// CHECK-NEXT: buffer.call @blur (
// OFF: buffer.for %{{.*}} in 0 to 10 carry
// SMALL: remark: @blur: the steps of its loop run one by one [tile: missed]
// SMALL: because: both arrays lie in the second-level cache of 1024 KiB
// ODD: error: buffer-tile-time cannot take 3 steps at once
// ODD: expected: an even number
buffer.program @main (inout %a: !buffer.ref<[11, 1024], f32>, inout %b: !buffer.ref<[11, 1024], f32>)
    arena_bytes 0 scratch_bytes 0 peak_bytes 0 lower_bound_bytes 0 interface [{name = "a", kind = "input", dtype = "f32"}, {name = "b", kind = "input", dtype = "f32"}] {
  %r = buffer.for %t in 0 to 10 carry (%u : %v = %a swap %b) {
    buffer.call @blur (%u, %v)
  }
}
