// RUN: irkit-opt -p loop-map-gpu %s --split-input-file --verify-each | filecheck %s

// A row of which each thread has a few vectors: read once, exponentials taken once, both in arrays of the thread whose places
// are constants once the loops are unrolled.
// CHECK-LABEL: loop.func @softmax
// CHECK: loop.for t in 0 to 256 thread
// CHECK: [[X:%.*]] = loop.alloc : !buffer.ref<[16], f32, space = stack>
// CHECK: [[E:%.*]] = loop.alloc : !buffer.ref<[16], f32, space = stack>
// CHECK: loop.for n in 0 to 4 unrolled iter
// CHECK: loop.load %x[b, n * 1024 + t * 4] along [1]
// CHECK: loop.store {{.*}}, [[X]][n * 4] along [0]
// CHECK-NOT: loop.load %x
// CHECK: loop.for n in 0 to 4 unrolled iter
// CHECK: loop.load [[X]][n * 4] along [0]
// CHECK: math.exp
// CHECK: loop.store {{.*}}, [[E]][n * 4] along [0]
// CHECK-NOT: math.exp
// CHECK: loop.for n in 0 to 4 unrolled {
// CHECK-NEXT: loop.load [[E]][n * 4] along [0]
// CHECK: arith.divf
// CHECK-NEXT: loop.store {{.*}}, %y[b, n * 1024 + t * 4] along [1]
loop.func @softmax (in %x: !buffer.ref<[999, 4096], f32>, out %y: !buffer.ref<[999, 4096], f32>) {
  loop.for i in 0 to 999 parallel {
    %low = arith.constant 0xff800000 : f32
    %lows = loop.broadcast %low along [] : f32 to vector<4xf32>
    %m = loop.for k in 0 to 4096 step 4 iter (%a = %lows : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %n = arith.maximumf %a, %v : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %most = loop.fold (%m) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.maximumf %p, %q : f32
      loop.yield %u : f32
    }
    %zero = arith.constant 0.0 : f32
    %zeros = loop.broadcast %zero along [] : f32 to vector<4xf32>
    %s = loop.for k in 0 to 4096 step 4 iter (%a = %zeros : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %mm = loop.broadcast %most along [] : f32 to vector<4xf32>
      %d = arith.subf %v, %mm : vector<4xf32>
      %e = math.exp %d : vector<4xf32>
      %n = arith.addf %a, %e : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %total = loop.fold (%s) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.addf %p, %q : f32
      loop.yield %u : f32
    }
    loop.for j in 0 to 4096 step 4 {
      %v = loop.load %x[i, j] along [1] : vector<4xf32>
      %mm = loop.broadcast %most along [] : f32 to vector<4xf32>
      %d = arith.subf %v, %mm : vector<4xf32>
      %e = math.exp %d : vector<4xf32>
      %tt = loop.broadcast %total along [] : f32 to vector<4xf32>
      %r = arith.divf %e, %tt : vector<4xf32>
      loop.store %r, %y[i, j] along [1] : vector<4xf32>
    }
  }
}

// -----

// Short rows are a warp's, several in a block, without shared memory. Steps that only some threads have are a loop of their own;
// rows that only some blocks have are read, not written.
// CHECK-LABEL: loop.func @short
// CHECK: loop.for b in 0 to 551 block
// CHECK-NOT: space = shared
// CHECK: loop.for t in 0 to 64 thread
// CHECK: loop.alloc : !buffer.ref<[28], f32, space = stack>
// CHECK: loop.for n in 0 to 6 unrolled iter
// CHECK: loop.load %x[min((t floordiv 32) + b * 2, 1100), {{.*}}n * 128
// CHECK: loop.for k in (t mod 32) * 4 + 768 to 800 step 128 iter
// CHECK: loop.fold_threads
// CHECK-NOT: loop.barrier
// CHECK: loop.if [-(t floordiv 32) - b * 2 + 1100]
// CHECK: loop.store {{.*}}, %y[min(
loop.func @short (in %x: !buffer.ref<[1101, 800], f32>, out %y: !buffer.ref<[1101, 800], f32>) {
  loop.for i in 0 to 1101 parallel {
    %low = arith.constant 0xff800000 : f32
    %lows = loop.broadcast %low along [] : f32 to vector<4xf32>
    %m = loop.for k in 0 to 800 step 4 iter (%a = %lows : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %n = arith.maximumf %a, %v : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %most = loop.fold (%m) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.maximumf %p, %q : f32
      loop.yield %u : f32
    }
    %zero = arith.constant 0.0 : f32
    %zeros = loop.broadcast %zero along [] : f32 to vector<4xf32>
    %s = loop.for k in 0 to 800 step 4 iter (%a = %zeros : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %mm = loop.broadcast %most along [] : f32 to vector<4xf32>
      %d = arith.subf %v, %mm : vector<4xf32>
      %e = math.exp %d : vector<4xf32>
      %n = arith.addf %a, %e : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %total = loop.fold (%s) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.addf %p, %q : f32
      loop.yield %u : f32
    }
    loop.for j in 0 to 800 step 4 {
      %v = loop.load %x[i, j] along [1] : vector<4xf32>
      %mm = loop.broadcast %most along [] : f32 to vector<4xf32>
      %d = arith.subf %v, %mm : vector<4xf32>
      %e = math.exp %d : vector<4xf32>
      %tt = loop.broadcast %total along [] : f32 to vector<4xf32>
      %r = arith.divf %e, %tt : vector<4xf32>
      loop.store %r, %y[i, j] along [1] : vector<4xf32>
    }
  }
}

// -----

// What a thread cannot keep is read again.
// CHECK-LABEL: loop.func @long
// CHECK: loop.for t in 0 to 256 thread
// CHECK-NOT: space = stack
// CHECK: loop.for k in t * 4 to 40000 step 1024 iter
// CHECK: loop.for k in t * 4 to 40000 step 1024 iter
// CHECK: loop.for j in t * 4 to 40000 step 1024
loop.func @long (in %x: !buffer.ref<[999, 40000], f32>, out %y: !buffer.ref<[999, 40000], f32>) {
  loop.for i in 0 to 999 parallel {
    %low = arith.constant 0xff800000 : f32
    %lows = loop.broadcast %low along [] : f32 to vector<4xf32>
    %m = loop.for k in 0 to 40000 step 4 iter (%a = %lows : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %n = arith.maximumf %a, %v : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %most = loop.fold (%m) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.maximumf %p, %q : f32
      loop.yield %u : f32
    }
    %zero = arith.constant 0.0 : f32
    %zeros = loop.broadcast %zero along [] : f32 to vector<4xf32>
    %s = loop.for k in 0 to 40000 step 4 iter (%a = %zeros : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %mm = loop.broadcast %most along [] : f32 to vector<4xf32>
      %d = arith.subf %v, %mm : vector<4xf32>
      %e = math.exp %d : vector<4xf32>
      %n = arith.addf %a, %e : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %total = loop.fold (%s) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.addf %p, %q : f32
      loop.yield %u : f32
    }
    loop.for j in 0 to 40000 step 4 {
      %v = loop.load %x[i, j] along [1] : vector<4xf32>
      %mm = loop.broadcast %most along [] : f32 to vector<4xf32>
      %d = arith.subf %v, %mm : vector<4xf32>
      %e = math.exp %d : vector<4xf32>
      %tt = loop.broadcast %total along [] : f32 to vector<4xf32>
      %r = arith.divf %e, %tt : vector<4xf32>
      loop.store %r, %y[i, j] along [1] : vector<4xf32>
    }
  }
}
