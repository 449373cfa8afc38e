// RUN: irkit-opt -p loop-map-gpu %s --split-input-file --verify-each | filecheck %s

// Updates at places that are looked up: each thread goes through all of them and takes those for its element, in their order.
// CHECK-LABEL: loop.func @updates
// CHECK: loop.for t in 0 to 128 thread
// CHECK: loop.if [-b * 128 - t + 99]
// CHECK: [[OLD:%.*]] = loop.load %y[b * 128 + t] : f32
// CHECK: [[MINE:%.*]] = loop.index b * 128 + t : i64
// CHECK: [[R:%.*]] = loop.for n in 0 to 5000 iter ([[A:%.*]] = [[OLD]] : f32)
// CHECK: [[P:%.*]] = loop.load %i[n] : i64
// CHECK: [[S:%.*]] = arith.addf [[A]],
// CHECK: [[E:%.*]] = arith.cmpi eq, [[P]], [[MINE]] : i64
// CHECK: [[K:%.*]] = arith.select [[E]], [[S]], [[A]] : f32
// CHECK: loop.yield [[K]] : f32
// CHECK: loop.store [[R]], %y[b * 128 + t] : f32
loop.func @updates (in %x: !buffer.ref<[100], f32>, in %i: !buffer.ref<[5000], i64>, in %u: !buffer.ref<[5000], f32>, inout %y: !buffer.ref<[100], f32> alias 0) {
  loop.for n in 0 to 5000 {
    %p = loop.load %i[n] : i64
    %v = loop.load %u[n] : f32
    %old = loop.load %y[_0](%p) : f32
    %s = arith.addf %old, %v : f32
    loop.store %s, %y[_0](%p) : f32
  }
}

// -----

// Not where elements are very many, and not where an update reads others: one thread takes all.
// CHECK-LABEL: loop.func @many
// CHECK: loop.for t in 0 to 32 thread
// CHECK: loop.store {{.*}}, %y[_0](
// CHECK-LABEL: loop.func @others
// CHECK: loop.for t in 0 to 32 thread
// CHECK: loop.store {{.*}}, %y[_0](
loop.func @many (in %x: !buffer.ref<[100000], f32>, in %i: !buffer.ref<[5000], i64>, inout %y: !buffer.ref<[100000], f32> alias 0) {
  loop.for n in 0 to 5000 {
    %p = loop.load %i[n] : i64
    %old = loop.load %y[_0](%p) : f32
    %s = arith.addf %old, %old : f32
    loop.store %s, %y[_0](%p) : f32
  }
}
loop.func @others (in %x: !buffer.ref<[100], f32>, in %i: !buffer.ref<[5000], i64>, inout %y: !buffer.ref<[100], f32> alias 0) {
  loop.for n in 0 to 5000 {
    %p = loop.load %i[n] : i64
    %old = loop.load %y[_0](%p) : f32
    %other = loop.load %y[7] : f32
    %s = arith.addf %old, %other : f32
    loop.store %s, %y[_0](%p) : f32
  }
}
