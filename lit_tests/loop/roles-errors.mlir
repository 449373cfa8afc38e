// RUN: not irkit-opt %s --split-input-file 2>&1 | filecheck %s

// CHECK: roles-errors.mlir:[[# @LINE + 1]]:1: error: {{.*}}block loop b stands in another loop
loop.func @block_inside (in %x: !buffer.ref<[4], f32>) {
  loop.for i in 0 to 4 {
    loop.for b in 0 to 4 block {}
  }
}

// -----

// CHECK: error: {{.*}}block loop b carries values, and its iterations do not follow one another
loop.func @block_carries (in %x: !buffer.ref<[4], f32>) {
  %v = loop.load %x[0] : f32
  %w = loop.for b in 0 to 4 block iter (%a = %v : f32) {
    loop.yield %a : f32
  }
}

// -----

// CHECK: error: {{.*}}thread loop t stands in no block loop, or in another thread loop
loop.func @thread_alone (in %x: !buffer.ref<[4], f32>) {
  loop.for t in 0 to 32 thread {}
}

// -----

// CHECK: error: {{.*}}thread loop t runs from 0 to N by 1: expected from 0 to a constant by 1
loop.func @unknown_threads symbols [N: 1 to 9] (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.for t in 0 to N thread {}
  }
}

// -----

// CHECK: error: {{.*}}a shared array belongs to a block: it stands in a block loop, around its threads
loop.func @shared_of_a_thread (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.for t in 0 to 32 thread {
      %s = loop.alloc : !buffer.ref<[32], f32, space = shared>
    }
  }
}

// -----

// CHECK: error: {{.*}}a shared array has a constant size, found N * 4 bytes
loop.func @shared_of_unknown_size symbols [N: 1 to 9] (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    %s = loop.alloc : !buffer.ref<[N], f32, space = shared>
  }
}

// -----

// CHECK: error: {{.*}}'loop.barrier' joins the threads of a block, and stands in no thread loop
loop.func @barrier_of_a_block (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.barrier
  }
}

// -----

// CHECK: error: {{.*}}'loop.barrier' is not reached by all threads of the block together: that depends on -t + 7
loop.func @divergent_if (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.for t in 0 to 32 thread {
      loop.if [7 - t] {
        loop.barrier
      }
    }
  }
}

// -----

// A loop whose length differs between threads, by way of another variable.
// CHECK: error: {{.*}}'loop.barrier' is not reached by all threads of the block together: that depends on t
loop.func @divergent_loop (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.for t in 0 to 32 thread {
      loop.for k in t to 40 {
        loop.for i in 0 to k {
          loop.barrier
        }
      }
    }
  }
}

// -----

// The same for all threads: nothing to say.
// CHECK-NOT: error:
// CHECK: loop.func @uniform
loop.func @uniform symbols [N: 1 to 9] (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.for t in 0 to 32 thread {
      loop.for k in b to N {
        loop.if [3 - k] {
          loop.barrier
        }
      }
    }
  }
}

// -----

// CHECK: error: {{.*}}groups of 32 threads do not divide the 48 of the block
loop.func @odd_warp (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.for t in 0 to 48 thread {
      %v = loop.load %x[0] : f32
      %w = loop.fold_threads (%v) of 32 : (f32) {
      ^bb0(%p: f32, %q: f32):
        loop.yield %p : f32
      }
    }
  }
}

// -----

// CHECK: error: {{.*}}joins groups of 24 threads: expected 1, 2, 4, ... 32
loop.func @odd_group (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.for t in 0 to 48 thread {
      %v = loop.load %x[0] : f32
      %w = loop.fold_threads (%v) of 24 : (f32) {
      ^bb0(%p: f32, %q: f32):
        loop.yield %p : f32
      }
    }
  }
}

// -----

// CHECK: error: {{.*}}joins scalars: fold the lanes of vectors first
loop.func @vectors_of_threads (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 4 block {
    loop.for t in 0 to 32 thread {
      %v = loop.load %x[0] along [0] : vector<4xf32>
      %w = loop.fold_threads (%v) of 32 : (vector<4xf32>) {
      ^bb0(%p: vector<4xf32>, %q: vector<4xf32>):
        loop.yield %p : vector<4xf32>
      }
    }
  }
}

// -----

// CHECK: error: {{.*}}'loop.fold_threads' joins the threads of a block, and stands in no thread loop
loop.func @fold_alone (in %x: !buffer.ref<[4], f32>) {
  %v = loop.load %x[0] : f32
  %w = loop.fold_threads (%v) of 32 : (f32) {
  ^bb0(%p: f32, %q: f32):
    loop.yield %p : f32
  }
}
