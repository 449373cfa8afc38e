// RUN: irkit-opt %s --emit=c --target=avx512 | filecheck %s --check-prefix=WIDE
// RUN: sed -e 's/tile i 14/tile i 4/; s/tile j 32/tile j 16/; s/split k 256/split k 64/' %s | irkit-opt - --emit=c --target=avx512 | filecheck %s --check-prefix=SMALL

// The schedule in the text is what the C follows: the register tile (MR x NR) and the block along k (KC).
// WIDE-LABEL: static void k_matmul
// WIDE: += 256) {
// WIDE: irk_f32x16 {{[a-z0-9_]+}}[14][2];
// SMALL-LABEL: static void k_matmul
// SMALL: += 64) {
// SMALL: irk_f32x16 {{[a-z0-9_]+}}[4][1];

kernel.def @matmul axes [i: 140, j: 128, k: 512] (in %x: !buffer.ref<[140, 512], f32>, in %w: !buffer.ref<[512, 128], f32>, out %y: !buffer.ref<[140, 128], f32>) schedule ["tile i 14", "tile j 32", "split k 256", "split i 140", "pack rhs", "pack lhs", "parallel i"] {
  %a = kernel.read %x[i, k] : f32
  %b = kernel.read %w[k, j] : f32
  %s = kernel.reduce [k] (%a, %b) : (f32, f32) -> (f32) init {
    %zero = arith.constant 0.0 : f32
    kernel.yield %zero : f32
  } step {
  ^bb0(%acc: f32, %p: f32, %q: f32):
    %m = arith.mulf %p, %q : f32
    %n = arith.addf %acc, %m : f32
    kernel.yield %n : f32
  } combine {
  ^bb0(%l: f32, %r: f32):
    %t = arith.addf %l, %r : f32
    kernel.yield %t : f32
  } finish {
  ^bb0(%acc: f32):
    kernel.yield %acc : f32
  }
  kernel.write %s, %y[i, j]
}
func.func @main(%x: tensor<140x512xf32>, %w: tensor<512x128xf32>) -> tensor<140x128xf32> {
  %0 = kernel.launch @matmul(%x, %w) : (tensor<140x512xf32>, tensor<512x128xf32>) -> tensor<140x128xf32>
  func.return %0 : tensor<140x128xf32>
}
