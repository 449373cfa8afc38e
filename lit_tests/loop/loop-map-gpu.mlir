// RUN: irkit-opt -p loop-map-gpu %s --split-input-file --verify-each | filecheck %s

// Any nest: a thread for each point of its independent loops; what stands between the loops is computed by each thread.
// CHECK-LABEL: loop.func @points
// CHECK-SAME: align 16
// CHECK: loop.for b in 0 to 5 block
// CHECK: loop.for t in 0 to 256 thread
// CHECK: loop.if [-b * 256 - t + 1099]
// CHECK: loop.load %x[(b * 256 + t) floordiv 11] : f32
// CHECK: loop.store {{.*}}, %y[(b * 256 + t) floordiv 11, (b * 256 + t) mod 11]
loop.func @points (in %x: !buffer.ref<[100], f32>, in %z: !buffer.ref<[11], f32>, out %y: !buffer.ref<[100, 11], f32>) {
  loop.for i in 0 to 100 parallel {
    %v = loop.load %x[i] : f32
    loop.for j in 0 to 11 {
      %w = loop.load %z[j] : f32
      %s = arith.addf %v, %w : f32
      loop.store %s, %y[i, j] : f32
    }
  }
}

// -----

// Vectors stay whole, and a number of points that threads divide needs no condition.
// CHECK-LABEL: loop.func @vectors
// CHECK: loop.for b in 0 to 4 block
// CHECK-NOT: loop.if
// CHECK: loop.load %x[b * 1024 + t * 4] along [0] : vector<4xf32>
loop.func @vectors (in %x: !buffer.ref<[4096], f32>, out %y: !buffer.ref<[4096], f32>) {
  loop.for i in 0 to 4096 step 4 parallel {
    %v = loop.load %x[i] along [0] : vector<4xf32>
    loop.store %v, %y[i] along [0] : vector<4xf32>
  }
}

// -----

// A loop that carries what it reads is run by one thread for each of the loops around it.
// CHECK-LABEL: loop.func @keeps_serial
// CHECK: loop.for t in 0 to 32 thread
// CHECK: loop.for k in 1 to 8
// CHECK: loop.load %y[b * 32 + t, k - 1]
loop.func @keeps_serial (in %x: !buffer.ref<[3, 8], f32>, out %y: !buffer.ref<[3, 8], f32>) {
  loop.for i in 0 to 3 parallel {
    loop.for k in 1 to 8 {
      %p = loop.load %y[i, k - 1] : f32
      %v = loop.load %x[i, k] : f32
      %s = arith.addf %p, %v : f32
      loop.store %s, %y[i, k] : f32
    }
  }
}

// -----

// A reduction in lanes: a block for each row; lanes, threads of a warp, then one of each warp.
// CHECK-LABEL: loop.func @rows
// CHECK: loop.for b in 0 to N block
// CHECK: loop.alloc : !buffer.ref<[4], f32, space = shared>
// CHECK: loop.for t in 0 to 128 thread
// CHECK: loop.for k in t * 4 to 512 step 512 iter
// CHECK: loop.fold
// CHECK: loop.fold_threads {{.*}} of 32 : (f32)
// CHECK: loop.if [-(t mod 32)]
// CHECK: loop.store {{.*}}[t floordiv 32] : f32
// CHECK: loop.barrier
// CHECK: loop.load {{.*}}[t mod 4] : f32
// CHECK: loop.fold_threads {{.*}} of 4 : (f32)
// CHECK: loop.if [-t]
// CHECK: loop.store {{.*}}, %y[b] : f32
loop.func @rows symbols [N: 1 to 9] (in %x: !buffer.ref<[N, 512], f32>, out %y: !buffer.ref<[N], f32>) {
  loop.for i in 0 to N parallel {
    %zero = arith.constant dense<0.0> : vector<4xf32>
    %s = loop.for k in 0 to 512 step 4 iter (%a = %zero : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %n = arith.addf %a, %v : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %r = loop.fold (%s) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.addf %p, %q : f32
      loop.yield %u : f32
    }
    loop.store %r, %y[i] : f32
  }
}

// -----

// Rounds of such reductions: each thread has its part of every round, and what it carries is combined at the end.
// CHECK-LABEL: loop.func @rounds
// CHECK: loop.for b in 0 to 9 block
// CHECK: [[S:%.*]] = loop.for n in 0 to 7 iter
// CHECK: loop.for k in t * 4 to 512 step 512 iter
// CHECK: loop.fold
// CHECK-NOT: loop.barrier
// CHECK: loop.fold_threads ([[S]]) of 32 : (f32)
loop.func @rounds (in %x: !buffer.ref<[7, 9, 512], f32>, out %y: !buffer.ref<[9], f32>) {
  loop.for i in 0 to 9 parallel {
    %start = arith.constant 0.0 : f32
    %s = loop.for n in 0 to 7 iter (%c = %start : f32) {
      %zero = arith.constant dense<0.0> : vector<4xf32>
      %v = loop.for k in 0 to 512 step 4 iter (%a = %zero : vector<4xf32>) {
        %v = loop.load %x[n, i, k] along [2] : vector<4xf32>
        %n = arith.addf %a, %v : vector<4xf32>
        loop.yield %n : vector<4xf32>
      }
      %r = loop.fold (%v) : (vector<4xf32>) {
      ^bb0(%p: f32, %q: f32):
        %u = arith.addf %p, %q : f32
        loop.yield %u : f32
      }
      %next = arith.addf %c, %r : f32
      loop.yield %next : f32
    }
    loop.store %s, %y[i] : f32
  }
}

// -----

// Not where what the rounds carry is another combination, or begins with something: each row is one thread's.
// CHECK-LABEL: loop.func @no_rounds
// CHECK: loop.for t in 0 to 32 thread
// CHECK: loop.for k in 0 to 512 step 4 iter
// CHECK-NOT: loop.fold_threads
loop.func @no_rounds (in %x: !buffer.ref<[7, 9, 512], f32>, out %y: !buffer.ref<[9], f32>) {
  loop.for i in 0 to 9 parallel {
    %start = arith.constant 1.0 : f32
    %s = loop.for n in 0 to 7 iter (%c = %start : f32) {
      %zero = arith.constant dense<0.0> : vector<4xf32>
      %v = loop.for k in 0 to 512 step 4 iter (%a = %zero : vector<4xf32>) {
        %v = loop.load %x[n, i, k] along [2] : vector<4xf32>
        %n = arith.addf %a, %v : vector<4xf32>
        loop.yield %n : vector<4xf32>
      }
      %r = loop.fold (%v) : (vector<4xf32>) {
      ^bb0(%p: f32, %q: f32):
        %u = arith.addf %p, %q : f32
        loop.yield %u : f32
      }
      %next = arith.addf %c, %r : f32
      loop.yield %next : f32
    }
    loop.store %s, %y[i] : f32
  }
}

// -----

// Few points, each a long sum of what does not lie side by side: groups of threads, folded in halves.
// CHECK-LABEL: loop.func @columns
// CHECK: loop.for b in 0 to 3 block
// CHECK: %groups = loop.alloc : !buffer.ref<[32, 32], f32, space = shared>
// CHECK: loop.for t in 0 to 256 thread
// CHECK: [[S:%.*]] = loop.for k in t floordiv 8 to 1000 step 32 iter
// CHECK: loop.load %x[k, {{.*}}] along [1] : vector<4xf32>
// CHECK: loop.store [[S]], %groups[t floordiv 8, (t mod 8) * 4] along [1]
// CHECK-NEXT: loop.barrier
// CHECK-NEXT: loop.if [-(t floordiv 8) + 15] {
// CHECK: loop.if [-(t floordiv 8), {{.*}}] {
// CHECK-NEXT: [[F:%.*]] = loop.load %groups[0, (t mod 8) * 4] along [1]
// CHECK: loop.store [[F]], %y
loop.func @columns (in %x: !buffer.ref<[1000, 80], f32>, out %y: !buffer.ref<[80], f32>) {
  loop.for i in 0 to 80 step 4 parallel {
    %zero = arith.constant dense<0.0> : vector<4xf32>
    %s = loop.for k in 0 to 1000 iter (%a = %zero : vector<4xf32>) {
      %v = loop.load %x[k, i] along [1] : vector<4xf32>
      %n = arith.addf %a, %v : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    loop.store %s, %y[i] along [0] : vector<4xf32>
  }
}

// -----

// Few rows with several plain sums: the threads of a block share each, and what is written.
// CHECK-LABEL: loop.func @plain
// CHECK: loop.for b in 0 to 9 block
// CHECK: loop.for n in 0 to 1 unrolled iter
// CHECK: [[M:%.*]] = loop.for k in t + 256 to 500 step 256 iter
// CHECK: loop.fold_threads ([[M]]) of 32 : (f32) {
// CHECK-NEXT: ^bb0([[A:%.*]]: f32, [[B:%.*]]: f32):
// CHECK-NEXT: arith.maximumf [[A]], [[B]]
// CHECK: loop.for k in t + 256 to 500 step 256 iter
// CHECK: loop.fold_threads
// CHECK: loop.for j in t to 500 step 256
loop.func @plain (in %x: !buffer.ref<[500, 9], f32>, out %y: !buffer.ref<[9, 500], f32>) {
  loop.for i in 0 to 9 parallel {
    %low = arith.constant 0xff800000 : f32
    %m = loop.for k in 0 to 500 iter (%a = %low : f32) {
      %v = loop.load %x[k, i] : f32
      %n = arith.maximumf %a, %v : f32
      loop.yield %n : f32
    }
    %zero = arith.constant 0.0 : f32
    %s = loop.for k in 0 to 500 iter (%a = %zero : f32) {
      %v = loop.load %x[k, i] : f32
      %d = arith.subf %v, %m : f32
      %e = math.exp %d : f32
      %n = arith.addf %a, %e : f32
      loop.yield %n : f32
    }
    loop.for j in 0 to 500 {
      loop.store %s, %y[i, j] : f32
    }
  }
}

// -----

// Not where what is added up depends on what was: a recurrence stays one thread's.
// CHECK-LABEL: loop.func @recurs
// CHECK: loop.for k in 0 to 1000 iter
// CHECK-NOT: loop.barrier
loop.func @recurs (in %x: !buffer.ref<[1000, 80], f32>, out %y: !buffer.ref<[80], f32>) {
  loop.for i in 0 to 80 parallel {
    %zero = arith.constant 0.0 : f32
    %s = loop.for k in 0 to 1000 iter (%a = %zero : f32) {
      %v = loop.load %x[k, i] : f32
      %m = arith.mulf %a, %v : f32
      %n = arith.addf %a, %m : f32
      loop.yield %n : f32
    }
    loop.store %s, %y[i] : f32
  }
}

// -----

// A sum of products in a register tile: operands are staged, one along the reduced axis and one along the columns.
// CHECK-LABEL: loop.func @tiles
// CHECK: loop.for b in 0 to 6 block
// CHECK: %x_tile = loop.alloc : !buffer.ref<[16, 64], f32, strides = [68, 1], space = shared>
// CHECK: %w_tile = loop.alloc
// CHECK: loop.for t in 0 to 256 thread
// CHECK: loop.for ko in 0 to 40 step 16 iter
// CHECK: loop.load %x[{{.*}}] along [1] valid {{.*}} : vector<4xf32>
// CHECK: loop.store {{.*}}, %x_tile[{{.*}}] along [0]
// CHECK: loop.load %w[{{.*}}] along [1] guard {{.*}} : vector<4xf32>
// CHECK: loop.store {{.*}}, %w_tile[{{.*}}] along [1]
// CHECK: loop.barrier
// CHECK: loop.for k in 0 to 16 unrolled iter
// CHECK: loop.contract {{.*}} : vector<4x4xf32>
// CHECK: loop.barrier
// CHECK: loop.if [
// CHECK: loop.store {{.*}} along [0, 1]
loop.func @tiles (in %x: !buffer.ref<[100, 40], f32>, in %w: !buffer.ref<[40, 192], f32>, out %y: !buffer.ref<[100, 192], f32>) {
  loop.for i in 0 to 100 step 4 parallel {
    loop.for j in 0 to 192 step 4 {
      %zero = arith.constant dense<0.0> : vector<4x4xf32>
      %s = loop.for k in 0 to 40 iter (%c = %zero : vector<4x4xf32>) {
        %a = loop.load %x[i, k] along [0] : vector<4xf32>
        %b = loop.load %w[k, j] along [1] : vector<4xf32>
        %n = loop.contract %a, %b, %c : vector<4x4xf32>
        loop.yield %n : vector<4x4xf32>
      }
      loop.store %s, %y[i, j] along [0, 1] : vector<4x4xf32>
    }
  }
}

// -----

// Zeros in place of what lies outside would add exp(0) * exp(0): the inner loop ends where the operands do.
// CHECK-LABEL: loop.func @prologue
// CHECK: loop.for k in 0 to min(-ko + 20, 16) unrolled iter
// CHECK: loop.load %x_tile
// CHECK: math.exp
// CHECK: loop.contract
loop.func @prologue (in %x: !buffer.ref<[64, 20], f32>, in %w: !buffer.ref<[20, 64], f32>, out %y: !buffer.ref<[64, 64], f32>) {
  loop.for i in 0 to 64 step 4 parallel {
    loop.for j in 0 to 64 step 4 {
      %zero = arith.constant dense<0.0> : vector<4x4xf32>
      %s = loop.for k in 0 to 20 iter (%c = %zero : vector<4x4xf32>) {
        %a = loop.load %x[i, k] along [0] : vector<4xf32>
        %b = loop.load %w[k, j] along [1] : vector<4xf32>
        %ea = math.exp %a : vector<4xf32>
        %eb = math.exp %b : vector<4xf32>
        %n = loop.contract %ea, %eb, %c : vector<4x4xf32>
        loop.yield %n : vector<4x4xf32>
      }
      loop.store %s, %y[i, j] along [0, 1] : vector<4x4xf32>
    }
  }
}

// -----

// What has a block loop is left alone.
// CHECK-LABEL: loop.func @mapped
// CHECK-NOT: align
// CHECK: loop.for b in 0 to 2 block
// CHECK-NOT: block
loop.func @mapped (in %x: !buffer.ref<[64], f32>, out %y: !buffer.ref<[64], f32>) {
  loop.for b in 0 to 2 block {
    loop.for t in 0 to 32 thread {
      %v = loop.load %x[b * 32 + t] : f32
      loop.store %v, %y[b * 32 + t] : f32
    }
  }
}
