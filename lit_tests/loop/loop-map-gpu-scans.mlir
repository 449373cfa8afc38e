// RUN: irkit-opt -p loop-map-gpu %s --split-input-file --verify-each | filecheck %s

// Few long scans: a block for each. Of each stretch a thread combines its elements, then all threads what they have, and each goes
// over its elements again from what lies before them.
// CHECK-LABEL: loop.func @scan
// CHECK: loop.for b in 0 to 3 block
// CHECK: loop.alloc : !buffer.ref<[256], f32, space = shared>
// CHECK: loop.for t in 0 to 256 thread
// CHECK: loop.for s in 0 to 1000 step 1024 iter
// CHECK: [[SUM:%.*]] = loop.for j in s + t * 4 to min({{.*}}) iter
// CHECK-NOT: loop.store {{.*}}, %y
// CHECK: loop.store [[SUM]], [[A:%.*]][t + 1] : f32
// CHECK: loop.barrier
// CHECK: loop.if [t - 1] {
// CHECK: loop.load [[A]][t - 1] : f32
// CHECK: } else {
// CHECK: loop.if [t - 128] {
// CHECK: loop.barrier
// CHECK: [[BEFORE:%.*]] = loop.load [[A]][t] : f32
// CHECK: [[END:%.*]] = loop.for j in s + t * 4 to min({{.*}}) iter ({{.*}} = [[BEFORE]] : f32)
// CHECK: loop.store {{.*}}, %y[b, j] : f32
// CHECK: loop.if [t - 255]
// CHECK: loop.store [[END]],
// CHECK: loop.barrier
loop.func @scan (in %x: !buffer.ref<[3, 1000], f32>, out %y: !buffer.ref<[3, 1000], f32> alias 0) {
  loop.for i in 0 to 3 parallel {
    %zero = arith.constant 0.0 : f32
    %s = loop.for j in 0 to 1000 iter (%a = %zero : f32) {
      %v = loop.load %x[i, j] : f32
      %n = arith.addf %a, %v : f32
      loop.store %n, %y[i, j] : f32
      loop.yield %n : f32
    }
  }
}

// -----

// A row that is read backwards may not be written over meanwhile, and a recurrence has no parts: one thread for each row.
// CHECK-LABEL: loop.func @backwards
// CHECK-NOT: space = shared
// CHECK: loop.for t in 0 to 32 thread
// CHECK-LABEL: loop.func @recurs
// CHECK-NOT: space = shared
// CHECK: loop.for t in 0 to 32 thread
loop.func @backwards (in %x: !buffer.ref<[3, 1000], f32>, out %y: !buffer.ref<[3, 1000], f32> alias 0) {
  loop.for i in 0 to 3 parallel {
    %zero = arith.constant 0.0 : f32
    %s = loop.for j in 0 to 1000 iter (%a = %zero : f32) {
      %v = loop.load %x[i, 999 - j] : f32
      %n = arith.addf %a, %v : f32
      loop.store %n, %y[i, j] : f32
      loop.yield %n : f32
    }
  }
}
loop.func @recurs (in %x: !buffer.ref<[3, 1000], f32>, out %y: !buffer.ref<[3, 1000], f32>) {
  loop.for i in 0 to 3 parallel {
    %zero = arith.constant 0.0 : f32
    %s = loop.for j in 0 to 1000 iter (%a = %zero : f32) {
      %v = loop.load %x[i, j] : f32
      %m = arith.mulf %a, %v : f32
      %n = arith.addf %m, %v : f32
      loop.store %n, %y[i, j] : f32
      loop.yield %n : f32
    }
  }
}
