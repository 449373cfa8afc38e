// RUN: irkit-opt %s | irkit-opt | filecheck %s
// RUN: irkit-opt %s --emit=cuda --target=cuda | filecheck %s --check-prefix=CUDA

// A warp multiplies two matrices of 16 x 16 that it has copied to shared memory.
// CHECK: loop.copy_async 8 of %x[t mod 16, (t floordiv 16) * 8] valid [min(-(t floordiv 16) * 8 + 12, 8)] guard [-(t mod 16) + 13] to %xs[t mod 16, (t floordiv 16) * 8]
// CHECK: loop.commit_copies
// CHECK-NEXT: loop.wait_copies 0
// CHECK: loop.load_matrix %xs[t mod 16, (t floordiv 16) * 8] : vector<1x8xbf16>
// CHECK: loop.load_matrix %ws[t mod 16, (t floordiv 16) * 8 + _0 * 16] transposed : vector<2x8xbf16>
// CHECK: loop.mma %{{.*}}, %{{.*}}, %{{.*}} : vector<1x8xbf16>, vector<2x8xbf16>, vector<1x2x4x2xf32>
// CHECK: loop.extract %{{.*}}[0, j, q] : vector<1x2x4x2xf32> to vector<2xf32>
// CHECK: loop.join %{{.*}}, %{{.*}} : vector<2xf32>
// CHECK: loop.store %{{.*}}, %y[j, q floordiv 2 xor (t mod 4), t floordiv 4, 0] along [2, 3] : vector<2x2xf32>

// CUDA: const bool inside = -(t % 16) + 13 >= 0;
// CUDA: irk_copy_async<16>(xs + {{.*}}, inside ? x + {{.*}} : x, inside ? 2 * irk_min_i64(-8 * (t / 16) + 12, 8) : 0);
// CUDA: irk_load_matrix<0>(a[r], xs
// CUDA: irk_load_matrix<1>(b_1[r], ws + {{.*}} r));
// CUDA: irk_mma_bf16<1, 2>(s, a, b_1);
// CUDA: v[p] = s[0][j][q][p];
// CUDA: ((q / 2) ^ (t % 4))
loop.func @product (in %x: !buffer.ref<[14, 12], bf16> align 16, in %w: !buffer.ref<[16, 32], bf16> align 16, out %y: !buffer.ref<[2, 4, 9, 2], f32> align 16) {
  loop.for b in 0 to 1 block {
    %xs = loop.alloc : !buffer.ref<[16, 16], bf16, space = shared>
    %ws = loop.alloc : !buffer.ref<[16, 32], bf16, space = shared>
    loop.for t in 0 to 32 thread {
      loop.copy_async 8 of %x[t mod 16, (t floordiv 16) * 8] valid [min(8, 12 - (t floordiv 16) * 8)] guard [13 - t mod 16] to %xs[t mod 16, (t floordiv 16) * 8]
      loop.copy_async 8 of %w[t mod 16, (t floordiv 16) * 8] to %ws[t mod 16, (t floordiv 16) * 8]
      loop.copy_async 8 of %w[t mod 16, (t floordiv 16) * 8 + 16] to %ws[t mod 16, (t floordiv 16) * 8 + 16]
      loop.commit_copies
      loop.wait_copies 0
      loop.barrier
      %zero = arith.constant dense<0.0> : vector<1x2x4x2xf32>
      %a = loop.load_matrix %xs[t mod 16, (t floordiv 16) * 8] : vector<1x8xbf16>
      %b = loop.load_matrix %ws[t mod 16, (t floordiv 16) * 8 + _0 * 16] transposed : vector<2x8xbf16>
      %s = loop.mma %a, %b, %zero : vector<1x8xbf16>, vector<2x8xbf16>, vector<1x2x4x2xf32>
      loop.for j in 0 to 2 unrolled {
        loop.for q in 0 to 4 unrolled {
          %v = loop.extract %s[0, j, q] : vector<1x2x4x2xf32> to vector<2xf32>
          %p = loop.join %v, %v : vector<2xf32>
          loop.store %p, %y[j, (q floordiv 2) xor (t mod 4), t floordiv 4, 0] along [2, 3] : vector<2x2xf32>
        }
      }
    }
  }
}
