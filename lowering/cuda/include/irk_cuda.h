/* What emitted CUDA text needs: arithmetic (irk_math.h), wide moves, exchange between threads, launches.
 *
 * By nvcc it is compiled for a GPU; any other C++ compiler gets the CPU meaning of irk_cuda_on_cpu.h, in which the same text
 * runs on one core and is checked.
 */
#ifndef IRK_CUDA_H
#define IRK_CUDA_H

#include <stdint.h>
#include <string.h>

#define IRK_NO_VECTORS
#ifdef __CUDACC__
#include <cuda_runtime.h>
#pragma nv_diag_suppress 186 /* comparisons with constants that are always true */
#define IRK_DEVICE static __device__ __forceinline__
#define IRK_MISALIGNED ((int)cudaErrorMisalignedAddress)
#define IRK_LAUNCH(kernel, blocks, threads, stream, ...) \
  (kernel<<<(unsigned)(blocks), threads, 0, (cudaStream_t)(stream)>>>(__VA_ARGS__), (int)cudaGetLastError())
/* Of a kernel with more shared memory than one has without asking. */
#define IRK_LAUNCH_LARGE(kernel, blocks, threads, bytes, stream, ...) \
  (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) \
       ? (int)cudaGetLastError() \
       : (kernel<<<(unsigned)(blocks), threads, bytes, (cudaStream_t)(stream)>>>(__VA_ARGS__), (int)cudaGetLastError()))
#define IRK_SHARED(bytes) extern __shared__ __align__(128) char irk_shared[];
#else
#include "irk_cuda_on_cpu.h"
#endif
#include "irk_math.h"
#include "irk_cuda_matrix.h"

/* Of numbers of two widths: emitted text counts by int where that is enough. */
template <class A, class B> IRK_ANYWHERE auto irk_min_i64(A a, B b) -> decltype(a + b) { return a < b ? a : b; }
template <class A, class B> IRK_ANYWHERE auto irk_max_i64(A a, B b) -> decltype(a + b) { return a > b ? a : b; }

/* The part of lower, lower + step, ... < upper that a thread of a team takes, for text that is written for C. */
IRK_DEVICE void irk_chunk(int64_t lower, int64_t upper, int64_t step, int tid, int nthreads, int64_t *first, int64_t *last) {
  const int64_t count = upper > lower ? (upper - lower + step - 1) / step : 0;
  const int64_t each = (count + nthreads - 1) / nthreads, begin = lower + tid * each * step;
  *first = begin < upper ? begin : upper;
  *last = begin + each * step < upper ? begin + each * step : upper;
}

/* Moves bytes at once; both addresses are multiples of their number. */
template <int bytes> struct irk_word;
#ifdef __CUDACC__
template <> struct irk_word<16> { typedef uint4 type; };
template <> struct irk_word<8> { typedef uint2 type; };
template <> struct irk_word<4> { typedef unsigned type; };
template <> struct irk_word<2> { typedef unsigned short type; };
template <int bytes> IRK_DEVICE void irk_move(void *to, const void *from) {
  typedef typename irk_word<bytes>::type word;
  *(word *)to = *(const word *)from;
}
#else
template <int bytes> IRK_DEVICE void irk_move(void *to, const void *from) {
  irk_cpu::need_aligned(to, bytes);
  irk_cpu::need_aligned(from, bytes);
  memcpy(to, from, bytes);
}
#endif

/* What a thread and the one whose number differs in one bit hold: first that of the thread in which the bit is 0. */
template <class T> IRK_DEVICE void irk_pair(T mine, int bit, T *low, T *high) {
  const T other = (T)__shfl_xor_sync(0xffffffffu, mine, bit);
  const bool upper = (threadIdx.x & (unsigned)bit) != 0;
  *low = upper ? other : mine;
  *high = upper ? mine : other;
}

#endif
