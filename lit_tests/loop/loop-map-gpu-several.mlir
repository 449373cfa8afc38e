// RUN: irkit-opt -p loop-map-gpu %s --split-input-file --verify-each | filecheck %s

// Nests that know nothing of one another share a grid: the first blocks run the first, those behind them the second.
// CHECK-LABEL: loop.func @two
// CHECK: loop.for b in 0 to 5 block
// CHECK: loop.for t in 0 to 256 thread
// CHECK: loop.if [-b + 3]
// CHECK: loop.store {{.*}}, %y[b * 256 + t]
// CHECK: } else {
// CHECK: loop.if [-b * 256 - t + 1123]
// CHECK: loop.store {{.*}}, %z[b * 256 + t - 1024]
loop.func @two (in %x: !buffer.ref<[1024], f32>, out %y: !buffer.ref<[1024], f32>, out %z: !buffer.ref<[100], f32>) {
  loop.for i in 0 to 1024 parallel {
    %v = loop.load %x[i] : f32
    loop.store %v, %y[i] : f32
  }
  loop.for j in 0 to 100 parallel {
    %w = loop.load %x[j] : f32
    loop.store %w, %z[j] : f32
  }
}

// -----

// So do nests that write to parts of one array, whatever its size is; each in its own way, with threads enough for both.
// CHECK-LABEL: loop.func @parts_of_one
// CHECK: loop.for b in 0 to ((N * 2 + 255) floordiv 256) + N block
// CHECK: loop.alloc {{.*}} space = shared
// CHECK: loop.for t in 0 to 256 thread
// CHECK: loop.if [N - b - 1]
// CHECK: loop.fold_threads
// CHECK: } else {
// CHECK: loop.store {{.*}}, %y[{{.*}}N
loop.func @parts_of_one symbols [N: 1 to 9] (in %x: !buffer.ref<[N, 512], f32>, out %y: !buffer.ref<[3 * N], f32>) {
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
  loop.for j in 0 to 2 * N parallel {
    %w = loop.load %x[j floordiv 2, 0] : f32
    loop.store %w, %y[N + j] : f32
  }
}

// -----

// Values that nests need are computed by each of them; a reduction of all there is makes one row of its nest alone.
// CHECK-LABEL: loop.func @shared_values
// CHECK: loop.for b in 0 to 2 block
// CHECK: loop.if [-b]
// CHECK: loop.for k in t * 4 to 512 step 1024 iter
// CHECK: loop.fold_threads
// CHECK: loop.for i in t to 512 step 256
// CHECK: } else {
// CHECK-NOT: loop.fold
// CHECK: math.exp
// CHECK: loop.store {{.*}}, %z[b * 256 + t - 256]
loop.func @shared_values (in %x: !buffer.ref<[512], f32>, out %y: !buffer.ref<[512], f32>, out %z: !buffer.ref<[200], f32>) {
  %zero = arith.constant dense<0.0> : vector<4xf32>
  %first = loop.load %x[0] : f32
  %s = loop.for k in 0 to 512 step 4 iter (%a = %zero : vector<4xf32>) {
    %v = loop.load %x[k] along [0] : vector<4xf32>
    %n = arith.addf %a, %v : vector<4xf32>
    loop.yield %n : vector<4xf32>
  }
  %r = loop.fold (%s) : (vector<4xf32>) {
  ^bb0(%p: f32, %q: f32):
    %u = arith.addf %p, %q : f32
    loop.yield %u : f32
  }
  loop.for i in 0 to 512 parallel {
    loop.store %r, %y[i] : f32
  }
  %e = math.exp %first : f32
  loop.for j in 0 to 200 parallel {
    loop.store %e, %z[j] : f32
  }
}

// -----

// What depends on what came before it is done by one thread; so is what stands in no loop.
// CHECK-LABEL: loop.func @carried
// CHECK: loop.for b in 0 to 1 block
// CHECK: loop.if [-b * 32 - t]
// CHECK: loop.for i in 1 to 8 {
loop.func @carried (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[8], f32>) {
  loop.for i in 1 to 8 {
    %p = loop.load %y[i - 1] : f32
    loop.store %p, %y[i] : f32
  }
}

// -----

// CHECK-LABEL: loop.func @overlaps
// CHECK: loop.if [-b * 32 - t]
// CHECK: loop.for i in 0 to 8 {
loop.func @overlaps (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[16], f32>) {
  loop.for i in 0 to 8 {
    loop.for j in 0 to 8 {
      %p = loop.load %x[i] : f32
      loop.store %p, %y[i + j] : f32
    }
  }
}

// -----

// CHECK-LABEL: loop.func @no_loop
// CHECK: loop.if [-b * 32 - t]
// CHECK: loop.store
loop.func @no_loop (in %x: !buffer.ref<[8], f32>, out %y: !buffer.ref<[], f32>) {
  %v = loop.load %x[3] : f32
  loop.store %v, %y[] : f32
}

// -----

// CHECK-LABEL: loop.func @reads_before_it_writes
// CHECK: loop.if [-b * 32 - t]
// CHECK: loop.load %y[5]
// CHECK: loop.for i in 0 to 8 {
loop.func @reads_before_it_writes (in %x: !buffer.ref<[8], f32>, inout %y: !buffer.ref<[8], f32> alias 0) {
  %v = loop.load %y[5] : f32
  loop.for i in 0 to 8 parallel {
    loop.store %v, %y[i] : f32
  }
}

// -----

// Where a row lies in the memory of what it is made of, no thread writes before all have read.
// CHECK-LABEL: loop.func @in_place
// CHECK: loop.for k in t * 4 to 96 step 512 iter
// CHECK: loop.fold_threads
// CHECK: loop.barrier
// CHECK: loop.for j in t to 96
loop.func @in_place (in %x: !buffer.ref<[5, 96], f32>, out %y: !buffer.ref<[5, 96], f32> alias 0) {
  loop.for i in 0 to 5 parallel {
    %zero = arith.constant dense<0.0> : vector<4xf32>
    %s = loop.for k in 0 to 96 step 4 iter (%a = %zero : vector<4xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<4xf32>
      %n = arith.addf %a, %v : vector<4xf32>
      loop.yield %n : vector<4xf32>
    }
    %r = loop.fold (%s) : (vector<4xf32>) {
    ^bb0(%p: f32, %q: f32):
      %u = arith.addf %p, %q : f32
      loop.yield %u : f32
    }
    loop.for j in 0 to 96 {
      %w = loop.load %x[i, j] : f32
      %d = arith.divf %w, %r : f32
      loop.store %d, %y[i, j] : f32
    }
  }
}
