// RUN: irkit-opt -p buffer-to-upstream %s | filecheck %s

// An array of each thread's own is made in the parallel loop that uses it; one of the team's around all loops.
// CHECK-LABEL: func.func @k_panels(%B: index, %x: memref<?x4xf32>, %y: memref<?xf32>) {
// CHECK: [[TEAM:%.*]] = memref.alloc(%B) {alignment = 64 : i64} : memref<?xf32>
// CHECK: "scf.parallel"
// CHECK: [[OWN:%.*]] = memref.alloc() {alignment = 64 : i64} : memref<4xf32>
// CHECK: memref.store %{{.*}}, [[OWN]][
// CHECK: memref.dealloc [[OWN]]
// CHECK: scf.reduce
// CHECK: "scf.parallel"
// CHECK-NOT: barrier
// CHECK: memref.dealloc [[TEAM]]
loop.func @panels symbols [B: 1 to 64] (in %x: !buffer.ref<[B, 4], f32>, out %y: !buffer.ref<[B], f32>) {
  %team = loop.alloc : !buffer.ref<[B], f32, space = team>
  %own = loop.alloc : !buffer.ref<[4], f32, space = scratch>
  loop.for i in 0 to B parallel {
    %a = loop.load %x[i, 0] : f32
    loop.store %a, %own[1] : f32
    %b = loop.load %own[1] : f32
    loop.store %b, %team[i] : f32
  }
  loop.barrier
  loop.for j in 0 to B parallel {
    %c = loop.load %team[B - 1 - j] : f32
    loop.store %c, %y[j] : f32
  }
}

// Threads would have to share an array that outlives the loop which fills it: that loop is serial.
// CHECK-LABEL: func.func @k_outlives
// CHECK-NOT: scf.parallel
// CHECK: scf.for %i
loop.func @outlives (in %x: !buffer.ref<[4], f32>, out %y: !buffer.ref<[4], f32>) {
  %own = loop.alloc : !buffer.ref<[4], f32, space = scratch>
  loop.for i in 0 to 4 parallel {
    %a = loop.load %x[i] : f32
    loop.store %a, %own[i] : f32
  }
  %b = loop.load %own[0] : f32
  loop.store %b, %y[0] : f32
}
