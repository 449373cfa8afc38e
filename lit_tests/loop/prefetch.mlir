// RUN: irkit-opt %s | irkit-opt | filecheck %s
// RUN: irkit-opt %s --emit=c --target=avx2 | filecheck %s --check-prefix=C
// RUN: irkit-opt %s --emit=c --target=c99 | filecheck %s --check-prefix=C99
// RUN: irkit-opt %s -p buffer-to-upstream | filecheck %s --check-prefix=MLIR

// One for each line of memory, none where the language has no word for it.
// CHECK: loop.prefetch %x[min(3, i + 1), k] along [1] : vector<40xf32>
// CHECK: loop.prefetch %x[_0, k](%{{.*}}) along [1] valid [min(-k + 100, 40)] : vector<40xf32>
// CHECK: loop.prefetch %x[i, 0] : f32
// C: __builtin_prefetch(x + k + 100 * irk_min_i64(3, i + 1), 0, 2);
// C-NEXT: __builtin_prefetch(x + k + 100 * irk_min_i64(3, i + 1) + 16, 0, 2);
// C-NEXT: __builtin_prefetch(x + k + 100 * irk_min_i64(3, i + 1) + 32, 0, 2);
// C-NEXT: __builtin_prefetch(x + k + (place) * 100, 0, 2);
// C-NEXT: __builtin_prefetch(x + k + irk_min_i64(16, irk_min_i64(-k + 100, 40) - 1) + (place) * 100, 0, 2);
// C-NEXT: __builtin_prefetch(x + k + irk_min_i64(32,
// C: __builtin_prefetch(x + 100 * i, 0, 2);
// C99-NOT: __builtin
// C99: (void)place;
// MLIR: "memref.prefetch"(%x, %{{.*}}, %{{.*}}) <{isWrite = false, localityHint = 2 : i32, isDataCache = true}> : (memref<4x100xf32>, index, index) -> ()
loop.func @asks (in %x: !buffer.ref<[4, 100], f32>, in %places: !buffer.ref<[4], i64>) {
  loop.for i in 0 to 4 {
    %place = loop.load %places[i] : i64
    loop.for k in 0 to 60 step 40 {
      loop.prefetch %x[min(i + 1, 3), k] along [1] : vector<40xf32>
      loop.prefetch %x[_0, k](%place) along [1] valid [min(40, 100 - k)] : vector<40xf32>
    }
    loop.prefetch %x[i, 0] : f32
  }
}
