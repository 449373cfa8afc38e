/* Tensor cores and asynchronous copies, by names of our own: a PTX body for a GPU, a C++ model for a CPU.
 *
 * A fragment is what one thread holds of a matrix of its warp (PTX ISA, "Matrix fragments for mma.m16n8k16" and "m16n8k8").
 * In the model a warp meets, its threads read one another's fragments, and meet again. A copy happens as late as it may, when
 * a thread waits for it, and until then its destination holds garbage: a missing wait or barrier shows.
 */
#ifndef IRK_CUDA_MATRIX_H
#define IRK_CUDA_MATRIX_H

#ifdef __CUDACC__
#define IRK_PTX_MMA(shape, in, a, b) \
  asm("mma.sync.aligned." shape ".row.col.f32." in "." in ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

/* 16 x 16 by 16 x 8; of 32-bit numbers 16 x 8 by 8 x 8. */
IRK_DEVICE void irk_mma_step_bf16(float *c, const unsigned *a, const unsigned *b) { IRK_PTX_MMA("m16n8k16", "bf16", a, b); }
IRK_DEVICE void irk_mma_step_f16(float *c, const unsigned *a, const unsigned *b) { IRK_PTX_MMA("m16n8k16", "f16", a, b); }
IRK_DEVICE void irk_mma_step_tf32(float *c, const unsigned *a, const unsigned *b) { IRK_PTX_MMA("m16n8k8", "tf32", a, b); }

/* The nearest number of 19 bits. */
IRK_DEVICE unsigned irk_tf32(float x) {
  unsigned bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}

/* The 32-bit words of fragments. */
template <int count, class T> IRK_DEVICE void irk_words(unsigned *to, const T *from) { memcpy(to, from, count * sizeof(unsigned)); }
template <int count> IRK_DEVICE void irk_words(unsigned *to, const float *from) {
#pragma unroll
  for (int n = 0; n < count; n++) to[n] = irk_tf32(from[n]);
}

/* sum[i][j] += lhs[i] @ rhs[j]; a factor is 16 x 16 (of 32-bit numbers 16 x 8 and 8 x 16). */
#define IRK_MMA(name, type, elements) \
  template <int rows, int columns> \
  IRK_DEVICE void irk_mma_##name(float (*sum)[columns][4][2], const type (*lhs)[elements], const type (*rhs)[elements]) { \
    unsigned a[rows][4], b[columns][4]; \
    _Pragma("unroll") for (int i = 0; i < rows; i++) irk_words<4>(a[i], lhs[i]); \
    _Pragma("unroll") for (int j = 0; j < columns; j++) irk_words<4>(b[j], rhs[j]); \
    _Pragma("unroll") for (int i = 0; i < rows; i++) \
      _Pragma("unroll") for (int j = 0; j < columns; j++) \
        _Pragma("unroll") for (int half = 0; half < 2; half++) \
          irk_mma_step_##name(sum[i][j][half * 2], a[i], b[j] + half * 2); \
  }

/* Four 8 x 8 matrices of 16-bit numbers (8 x 4 of 32-bit ones), of which each thread names a row of 16 bytes in shared memory. */
template <int transposed> IRK_DEVICE void irk_load_matrix(void *to, const void *row) {
  const unsigned place = (unsigned)__cvta_generic_to_shared(row);
  unsigned words[4];
  if (transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3]) : "r"(place));
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3]) : "r"(place));
  memcpy(to, words, sizeof words);
}

/* Begins a copy to shared memory of `size` bytes, of which the first `bytes` are read and the others are zero. */
template <int size> IRK_DEVICE void irk_copy_async(void *to, const void *from, int bytes) {
  const unsigned place = (unsigned)__cvta_generic_to_shared(to);
  if (size == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(place), "l"(from), "r"(bytes) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %3, %2;" : : "r"(place), "l"(from), "r"(bytes), "n"(size) : "memory");
}
IRK_DEVICE void irk_commit_copies() { asm volatile("cp.async.commit_group;" : : : "memory"); }
template <int groups> IRK_DEVICE void irk_wait_copies() { asm volatile("cp.async.wait_group %0;" : : "n"(groups) : "memory"); }

/* Within two units in the last place; subnormal numbers count as zero. */
IRK_DEVICE float irk_exp2_f32(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/* The greater one, and the other one of a NaN. */
IRK_DEVICE float irk_maxnum_f32(float a, float b) { return fmaxf(a, b); }

/* Two numbers rounded to nearest, ties to even. */
IRK_DEVICE void irk_narrow_bf16(irk_bf16 *to, float low, float high) {
  unsigned both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  memcpy(to, &both, sizeof both);
}
IRK_DEVICE void irk_narrow_f16(irk_f16 *to, float low, float high) {
  unsigned both;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  memcpy(to, &both, sizeof both);
}

#else
IRK_DEVICE float irk_exp2_f32(float x) { return __builtin_exp2f(x); }
IRK_DEVICE float irk_maxnum_f32(float a, float b) { return (a > b) | (b != b) ? a : b; }
IRK_DEVICE void irk_narrow_bf16(irk_bf16 *to, float low, float high) { to[0] = irk_f32_to_bf16(low), to[1] = irk_f32_to_bf16(high); }
IRK_DEVICE void irk_narrow_f16(irk_f16 *to, float low, float high) { to[0] = irk_f32_to_f16(low), to[1] = irk_f32_to_f16(high); }

namespace irk_cpu {

/* What a number is as a factor. */
inline float factor_bf16(uint16_t x) { return irk_bf16_to_f32(x); }
inline float factor_f16(uint16_t x) { return irk_f16_to_f32(x); }
inline float factor_tf32(float x) { /* to the nearest of 19 bits, halves away from zero */
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits += 0x1000u;
  bits &= 0xffffe000u;
  memcpy(&x, &bits, 4);
  return x;
}

/* Puts a pointer down for the others of the warp. */
inline void show(const void *what, int line) {
  Machine &m = machine();
  m.fibers[m.current].slot = (uint64_t)(uintptr_t)what;
  leave_fiber(IN_WARP, line);
}

/* What another thread of the warp has put down. */
template <class T> inline const T *shown(unsigned lane) {
  Machine &m = machine();
  return (const T *)(uintptr_t)m.fibers[m.current / WARP * WARP + lane].slot;
}

} /* namespace irk_cpu */

/* Each thread computes its elements of the sum from the fragments of the threads that hold their row and column. */
#define IRK_MMA(name, type, elements) \
  template <int rows, int columns> \
  IRK_DEVICE void irk_mma_##name(float (*sum)[columns][4][2], const type (*lhs)[elements], const type (*rhs)[elements]) { \
    const void *const both[2] = {lhs, rhs}; \
    irk_cpu::show(both, __LINE__); \
    const unsigned lane = irk_cpu::machine().current % irk_cpu::WARP; \
    for (int i = 0; i < rows; i++) \
      for (int j = 0; j < columns; j++) \
        for (int q = 0; q < 4; q++) \
          for (int p = 0; p < 2; p++) { \
            float total = 0; \
            const unsigned row = lane / 4, column = lane % 4 * 2 + (unsigned)p; \
            for (unsigned k = 0; k < elements * 2; k++) { \
              const unsigned pair = elements == 8; \
              const unsigned held = pair ? k % 8 / 2 : k % 4, high = pair ? k / 8 : k / 4, low = pair ? k % 2 : 0; \
              const type *a = ((const type(*)[elements])irk_cpu::shown<const void *>(row * 4 + held)[0])[i]; \
              const type *b = ((const type(*)[elements])irk_cpu::shown<const void *>(column * 4 + held)[1])[j]; \
              const unsigned step = pair ? 2 : 1; \
              const type x = a[(high * 2 + (unsigned)q % 2) * step + low], y = b[((unsigned)q / 2 * 2 + high) * step + low]; \
              total += irk_cpu::factor_##name(x) * irk_cpu::factor_##name(y); \
            } \
            sum[i][j][q][p] += total; \
          } \
    irk_cpu::leave_fiber(irk_cpu::IN_WARP, __LINE__); \
  }

template <int transposed> IRK_DEVICE void irk_load_matrix(void *to, const void *row) {
  irk_cpu::need_aligned(row, 16);
  irk_cpu::show(row, __LINE__);
  const unsigned lane = irk_cpu::machine().current % irk_cpu::WARP;
  char words[16];
  for (unsigned m = 0; m < 4; m++)
    for (unsigned p = 0; p < 2; p++) {
      const unsigned from = transposed ? lane % 4 * 2 + p : lane / 4, place = transposed ? lane / 4 : lane % 4 * 2 + p;
      memcpy(words + m * 4 + p * 2, irk_cpu::shown<char>(m * 8 + from) + place * 2, 2);
    }
  irk_cpu::leave_fiber(irk_cpu::IN_WARP, __LINE__);
  memcpy(to, words, sizeof words);
}

template <int size> IRK_DEVICE void irk_copy_async(void *to, const void *from, int bytes) {
  irk_cpu::need_aligned(to, size);
  if (bytes) irk_cpu::need_aligned(from, size);
  irk_cpu::begin_copy(to, from, size, bytes);
}
IRK_DEVICE void irk_commit_copies() { irk_cpu::commit_copies(); }
template <int groups> IRK_DEVICE void irk_wait_copies() { irk_cpu::wait_copies(groups); }
#endif

IRK_MMA(bf16, irk_bf16, 8)
IRK_MMA(f16, irk_f16, 8)
IRK_MMA(tf32, float, 4)

#endif
