// RUN: irkit-opt -p 'loop-prefetch{target=avx2}' %s | filecheck %s
// RUN: irkit-opt -p 'loop-prefetch{target=avx2}' %s --remarks=prefetch -o /dev/null 2>&1 | filecheck %s --check-prefix=TELLS
// RUN: irkit-opt -p 'loop-prefetch{target=c99}' %s | filecheck %s --check-prefix=NONE
// RUN: irkit-opt -p 'loop-prefetch{target=cuda}' %s | filecheck %s --check-prefix=NONE
// NONE-NOT: loop.prefetch

// The last of the sweeps asks, and the last row for itself. What is no row of its own is read as it was.
// CHECK-LABEL: loop.func @last_of_two_sweeps
// CHECK-NOT: loop.prefetch
// CHECK: loop.for k in 0 to 512 step 32 iter
// CHECK-NOT: loop.prefetch
// CHECK: loop.for j in 0 to 512 step 8
// CHECK-NEXT: loop.load %x[i, j] along [1] : vector<8xf32>
// CHECK-NEXT: loop.prefetch %x[min(1023, i + 1), j] along [1] : vector<8xf32>
// CHECK-NEXT: loop.load %w[j]
// CHECK-NOT: loop.prefetch
// TELLS: remark: @last_of_two_sweeps: asks for the next row of x in the last of 2 loops over a row [prefetch: applied]
// TELLS: because: rows of 2048 bytes stay in cache, and all of them do not
loop.func @last_of_two_sweeps (in %x: !buffer.ref<[1024, 512], f32>, in %w: !buffer.ref<[512], f32>, out %y: !buffer.ref<[1024, 512], f32>) {
  %zero = arith.constant dense<0.0> : vector<32xf32>
  loop.for i in 0 to 1024 parallel {
    %m = loop.for k in 0 to 512 step 32 iter (%t = %zero : vector<32xf32>) {
      %v = loop.load %x[i, k] along [1] : vector<32xf32>
      %u = arith.addf %t, %v : vector<32xf32>
      loop.yield %u : vector<32xf32>
    }
    loop.for j in 0 to 512 step 8 {
      %v = loop.load %x[i, j] along [1] : vector<8xf32>
      %s = loop.load %w[j] along [0] : vector<8xf32>
      %r = arith.mulf %v, %s : vector<8xf32>
      loop.store %r, %y[i, j] along [1] : vector<8xf32>
    }
  }
}

// Sums in blocks are a sweep; the points behind the last vector are part of it; sizes are the greatest.
// CHECK-LABEL: loop.func @blocks_and_tails
// CHECK: loop.for j in 0 to (N floordiv 8) * 8 step 8
// CHECK-NEXT: loop.load
// CHECK-NEXT: loop.prefetch %x[b, min(M - 1, i + 1), j] along [2] valid [min(8, N - j)] : vector<8xf32>
// CHECK-NOT: loop.prefetch
// TELLS: remark: @blocks_and_tails: asks for the next row of x in the last of 2 loops over a row
// TELLS: because: rows of 2000 bytes
loop.func @blocks_and_tails symbols [M: 1 to 600, N: 1 to 500] (in %x: !buffer.ref<[4, M, N], f32>, out %y: !buffer.ref<[4, M, N], f32>) {
  loop.for b in 0 to 4 parallel {
    loop.for i in 0 to M {
      loop.for ko in 0 to N floordiv 32 * 32 step 128 {
        loop.for k in ko to min(ko + 128, N floordiv 32 * 32) step 32 {
          %v = loop.load %x[b, i, k] along [2] : vector<32xf32>
        }
      }
      loop.for k in N floordiv 32 * 32 to N {
        %v = loop.load %x[b, i, k] : f32
      }
      loop.for j in 0 to N floordiv 8 * 8 step 8 {
        %v = loop.load %x[b, i, j] along [2] valid [min(8, N - j)] : vector<8xf32>
        loop.store %v, %y[b, i, j] along [2] valid [min(8, N - j)] : vector<8xf32>
      }
      loop.for j in N floordiv 8 * 8 to N step 8 {
        %v = loop.load %x[b, i, j] along [2] valid [min(8, N - j)] : vector<8xf32>
        loop.store %v, %y[b, i, j] along [2] valid [min(8, N - j)] : vector<8xf32>
      }
    }
  }
}

// The hardware fetches ahead in a single sweep, also where that has a tail of its own.
// CHECK-LABEL: loop.func @one_sweep
// CHECK-NOT: loop.prefetch
// TELLS-NOT: @one_sweep
loop.func @one_sweep (in %x: !buffer.ref<[1024, 516], f32>, out %y: !buffer.ref<[1024, 516], f32>) {
  loop.for i in 0 to 1024 parallel {
    loop.for j in 0 to 512 step 8 {
      %v = loop.load %x[i, j] along [1] : vector<8xf32>
      loop.store %v, %y[i, j] along [1] : vector<8xf32>
    }
    loop.for j in 508 to 516 step 8 {
      %v = loop.load %x[i, j] along [1] : vector<8xf32>
      loop.store %v, %y[i, j] along [1] : vector<8xf32>
    }
  }
}

// A row that each iteration of another loop reads again is no sweep; nor are columns, points one by one, and rows that
// the function writes.
// CHECK-LABEL: loop.func @other_reads
// CHECK-NOT: loop.prefetch
// TELLS-NOT: @other_reads
loop.func @other_reads (in %x: !buffer.ref<[1024, 1024], f32>, inout %y: !buffer.ref<[1024, 1024], f32>) {
  loop.for i in 0 to 1024 parallel {
    loop.for j in 0 to 1024 {
      loop.for k in 0 to 1024 step 8 {
        %v = loop.load %x[i, k] along [1] : vector<8xf32>
      }
    }
    loop.for k in 0 to 1024 step 8 {
      %v = loop.load %x[i, k] along [1] : vector<8xf32>
      %c = loop.load %x[k, i] along [0] : vector<8xf32>
      %w = loop.load %y[i, k] along [1] : vector<8xf32>
      loop.store %w, %y[i, k] along [1] : vector<8xf32>
    }
    loop.for l in 0 to 1024 step 8 {
      %c = loop.load %x[l, i] along [0] : vector<8xf32>
      %w = loop.load %y[i, l] along [1] : vector<8xf32>
      loop.store %w, %y[i, l] along [1] : vector<8xf32>
    }
    loop.for m in 0 to 1024 {
      %v = loop.load %x[i, m] : f32
    }
  }
}

// CHECK-LABEL: loop.func @sizes
// CHECK-NOT: loop.prefetch
// TELLS: remark: @sizes: does not ask for rows of small before it reads them [prefetch: missed]
// TELLS: because: all of it fits into the second-level cache of 1024 KiB
// TELLS: remark: @sizes: does not ask for rows of short before
// TELLS: because: a row of 512 bytes is too short
// TELLS: remark: @sizes: does not ask for rows of long before
// TELLS: because: two rows of 600000 bytes do not fit into the first two levels of cache
loop.func @sizes (in %small: !buffer.ref<[512, 512], f32>, in %short: !buffer.ref<[5120, 128], f32>, in %long: !buffer.ref<[8, 150000], f32>) {
  loop.for i in 0 to 8 parallel {
    loop.for k in 0 to 512 step 8 {
      %s = loop.load %small[i, k] along [1] : vector<8xf32>
    }
    loop.for k in 0 to 128 step 8 {
      %s = loop.load %short[i, k] along [1] : vector<8xf32>
    }
    loop.for k in 0 to 150000 step 8 {
      %s = loop.load %long[i, k] along [1] : vector<8xf32>
    }
    loop.for l in 0 to 512 step 8 {
      %s = loop.load %small[i, l] along [1] : vector<8xf32>
    }
    loop.for l in 0 to 128 step 8 {
      %s = loop.load %short[i, l] along [1] : vector<8xf32>
    }
    loop.for l in 0 to 150000 step 8 {
      %s = loop.load %long[i, l] along [1] : vector<8xf32>
    }
  }
}

// CHECK-LABEL: loop.func @halves
// CHECK-NOT: loop.prefetch
// TELLS: remark: @halves: does not ask for rows of x before
// TELLS: because: its last loop converts numbers of less than 32 bits, which takes longer than memory does
loop.func @halves (in %x: !buffer.ref<[4096, 1024], f16>) {
  loop.for i in 0 to 4096 parallel {
    loop.for k in 0 to 1024 step 8 {
      %s = loop.load %x[i, k] along [1] : vector<8xf16>
    }
    loop.for l in 0 to 1024 step 8 {
      %s = loop.load %x[i, l] along [1] : vector<8xf16>
      %t = kernel.convert "extf" %s : vector<8xf16> to vector<8xf32>
    }
  }
}
