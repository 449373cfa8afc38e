// RUN: not irkit-opt %s --split-input-file 2>&1 | filecheck %s

// CHECK: error: {{.*}}'loop.mma' joins the threads of a block, and stands in no thread loop
loop.func @team (in %x: !buffer.ref<[4], f32>) {
  %a = arith.constant dense<0.0> : vector<1x8xbf16>
  %c = arith.constant dense<0.0> : vector<1x1x4x2xf32>
  %s = loop.mma %a, %a, %c : vector<1x8xbf16>, vector<1x8xbf16>, vector<1x1x4x2xf32>
}

// -----

// CHECK: error: {{.*}}'loop.mma' is not reached by all threads of the block together: that depends on {{.*}}t
loop.func @some (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 1 block {
    loop.for t in 0 to 64 thread {
      %a = arith.constant dense<0.0> : vector<1x8xbf16>
      %c = arith.constant dense<0.0> : vector<1x1x4x2xf32>
      loop.if [t - 32] {
        %s = loop.mma %a, %a, %c : vector<1x8xbf16>, vector<1x8xbf16>, vector<1x1x4x2xf32>
      }
    }
  }
}

// -----

// CHECK: error: {{.*}}groups of 32 threads do not divide the 48 of the block
loop.func @part (in %x: !buffer.ref<[4], f32>) {
  loop.for b in 0 to 1 block {
    loop.for t in 0 to 48 thread {
      %a = arith.constant dense<0.0> : vector<1x8xbf16>
      %c = arith.constant dense<0.0> : vector<1x1x4x2xf32>
      %s = loop.mma %a, %a, %c : vector<1x8xbf16>, vector<1x8xbf16>, vector<1x1x4x2xf32>
    }
  }
}

// -----

// CHECK: error: {{.*}}multiplies bf16 and f16: expected f16, bf16 or f32, the same twice
loop.func @formats (in %x: !buffer.ref<[4], f32>) {
  %a = arith.constant dense<0.0> : vector<1x8xbf16>
  %b = arith.constant dense<0.0> : vector<1x8xf16>
  %c = arith.constant dense<0.0> : vector<1x1x4x2xf32>
  %s = loop.mma %a, %b, %c : vector<1x8xbf16>, vector<1x8xf16>, vector<1x1x4x2xf32>
}

// -----

// CHECK: error: {{.*}}a thread has 4 elements of a fragment of f32
loop.func @elements (in %x: !buffer.ref<[4], f32>) {
  %a = arith.constant dense<0.0> : vector<1x8xf32>
  %c = arith.constant dense<0.0> : vector<1x1x4x2xf32>
  %s = loop.mma %a, %a, %c : vector<1x8xf32>, vector<1x8xf32>, vector<1x1x4x2xf32>
}

// -----

// CHECK: error: {{.*}}adds to vector<2x1x4x2xf32>, expected vector<1x1x4x2xf32> for these fragments
loop.func @sums (in %x: !buffer.ref<[4], f32>) {
  %a = arith.constant dense<0.0> : vector<1x8xbf16>
  %c = arith.constant dense<0.0> : vector<2x1x4x2xf32>
  %s = loop.mma %a, %a, %c : vector<1x8xbf16>, vector<1x8xbf16>, vector<2x1x4x2xf32>
}

// -----

// CHECK: error: {{.*}}reads from shared memory, found an array in 'global'
loop.func @space (in %x: !buffer.ref<[16, 16], bf16>) {
  %a = loop.load_matrix %x[0, 0] : vector<1x8xbf16>
}

// -----

// CHECK: error: {{.*}}there is no transposed read of f32: elements are of 2 bytes
loop.func @transposed (in %x: !buffer.ref<[16, 16], f32>) {
  loop.for b in 0 to 1 block {
    %s = loop.alloc : !buffer.ref<[16, 16], f32, space = shared>
    loop.for t in 0 to 32 thread {
      %a = loop.load_matrix %s[t mod 16, 0] transposed : vector<1x4xf32>
    }
  }
}

// -----

// CHECK: error: {{.*}}copies 6 bytes at once: expected 4, 8 or 16
loop.func @bytes (in %x: !buffer.ref<[16, 16], bf16>) {
  loop.for b in 0 to 1 block {
    %s = loop.alloc : !buffer.ref<[16, 16], bf16, space = shared>
    loop.for t in 0 to 32 thread {
      loop.copy_async 3 of %x[t, 0] to %s[t, 0]
    }
  }
}

// -----

// CHECK: error: {{.*}}copies elements side by side along the last dim of
loop.func @stride (in %x: !buffer.ref<[16, 16], bf16, strides = [1, 16]>) {
  loop.for b in 0 to 1 block {
    %s = loop.alloc : !buffer.ref<[16, 16], bf16, space = shared>
    loop.for t in 0 to 32 thread {
      loop.copy_async 8 of %x[t, 0] to %s[t, 0]
    }
  }
}

// -----

// CHECK: error: {{.*}}'loop.wait_copies' is of a thread of a block, and stands in no thread loop
loop.func @wait (in %x: !buffer.ref<[16, 16], bf16>) {
  loop.wait_copies 0
}

// -----

// CHECK: error: {{.*}}f32 is no part of vector<2x2xf32> behind 1 indices
loop.func @extract (in %x: !buffer.ref<[4], f32>) {
  %c = arith.constant dense<0.0> : vector<2x2xf32>
  %s = loop.extract %c[1] : vector<2x2xf32> to f32
}
