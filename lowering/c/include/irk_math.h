/* Arithmetic of emitted code: functions on numbers and on vectors, small float formats, integer division, casts.
 *
 * Names: irk_exp_f32(x) takes and returns a number; irk_exp_f32x16(&y, &x) works on vectors through pointers, because a
 * vector wider than the machine's registers must not stand in a signature. A vector function takes the same steps as the
 * function on numbers, so that they differ at most by what the compiler contracts. The text of both is irk_functions.h, which this file includes for each width.
 *
 * Greatest errors, in units in the last place of the exact result (measured by tests/runtime/test_math.py):
 *
 *            exp   log   tanh  erf   sin   cos   sigmoid  sqrt  rsqrt  pow
 *     f32    1.1   1.1   2.6   1.5   1.1   1.1   2.6      0.5   1.6    1.2
 *     f64    1.1   1.1   2.6   1.5   1.2   1.2   2.6      0.5   1.6    1.2
 *
 * Subnormal numbers, infinities and NaN follow C's annex F.
 *
 * Vector types irk_f32x16, irk_i64x8, ... have 1, 2, 4, 8 or 16 lanes; irk_f32x16u is the same at any address. A mask
 * irk_i1x16 has 32-bit lanes that are 0 or -1. Define IRK_NO_VECTORS for a compiler without GNU vector extensions, or
 * IRK_ONLY_X16 and the like to have only those widths (faster to compile). IRK_C99 asks for freestanding C99 on numbers
 * alone (irk_c99.h); IRK_NO_F64 leaves doubles out.
 */
#ifndef IRK_MATH_H
#define IRK_MATH_H

#include <stdint.h>
#ifndef IRK_C99
#include <string.h>
#endif

#if (!defined(__GNUC__) || defined(IRK_C99)) && !defined(IRK_NO_VECTORS)
#define IRK_NO_VECTORS
#endif

#if defined(IRK_C99)
#define IRK_INLINE static inline
#define IRK_COLD static inline
#elif defined(__CUDACC__)
#define IRK_INLINE static __device__ __forceinline__
#define IRK_COLD static __device__ __noinline__
#define IRK_ANYWHERE static __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define IRK_INLINE static inline __attribute__((always_inline, unused))
#define IRK_COLD static __attribute__((noinline, cold, unused))
#else
#define IRK_INLINE static inline
#define IRK_COLD static
#endif

/* For what hosts reckon sizes with. */
#ifndef IRK_ANYWHERE
#define IRK_ANYWHERE IRK_INLINE
#endif

/* Before a loop of constant length: unrolls all of it. */
#if defined(IRK_C99)
#define IRK_UNROLL
#elif defined(__CUDACC__)
#define IRK_UNROLL _Pragma("unroll")
#elif defined(__clang__)
#define IRK_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define IRK_UNROLL _Pragma("GCC unroll 128")
#else
#define IRK_UNROLL
#endif

/* Before the inner loop of a product, two steps of which fill a core's units where counting costs as much as the loads do;
 * clang unrolls it by itself. */
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__) && !defined(IRK_C99)
#define IRK_TWICE _Pragma("GCC unroll 2")
#else
#define IRK_TWICE
#endif

#if defined(IRK_C99)
#include "irk_c99.h"
#elif defined(__GNUC__) && !defined(__CUDACC__)
#ifndef INFINITY
#define INFINITY (__builtin_inff())
#define NAN (__builtin_nanf(""))
#endif
#define irk_libm_sqrt_f32 __builtin_sqrtf
#define irk_libm_sqrt_f64 __builtin_sqrt
#define irk_fmod_f32 __builtin_fmodf
#define irk_fmod_f64 __builtin_fmod
#else
#include <math.h>
#define irk_libm_sqrt_f32 sqrtf
#define irk_libm_sqrt_f64 sqrt
#define irk_fmod_f32 fmodf
#define irk_fmod_f64 fmod
#endif

/* Storage of floats that are computed in f32. */
typedef uint16_t irk_f16;
typedef uint16_t irk_bf16;
typedef uint8_t irk_f8e4m3;
typedef uint8_t irk_f8e5m2;
typedef uint8_t irk_f8e4m3fnuz;
typedef uint8_t irk_f8e5m2fnuz;
typedef uint8_t irk_f8e8m0;
typedef uint8_t irk_f4e2m1; /* in the low four bits; the others say nothing */

#ifndef IRK_C99

/* -- bits of floats ------------------------------------------------------------------------------------------------- */

IRK_INLINE int32_t irk_bits_f32(float x) {
  int32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}
IRK_INLINE float irk_float_f32(int32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}
IRK_INLINE int64_t irk_bits_f64(double x) {
  int64_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}
IRK_INLINE double irk_float_f64(int64_t b) {
  double x;
  memcpy(&x, &b, sizeof x);
  return x;
}

#endif

/* -- angles too large for a subtraction ------------------------------------------------------------------------------ */

/* The first 1216 bits of 2/pi, in 32-bit words. */
#ifdef __CUDACC__
__device__
#endif
static const uint32_t irk_two_over_pi[38] = {
  0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561,
  0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e, 0xe88235f5, 0x2ebb4484,
  0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b, 0x1ff897ff, 0xde05980f,
  0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b,
  0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046, 0xfc7b6bab,
};

/* |x| = (4 j + quadrant + f) pi/2 with f in [-1/2, 1/2]: returns the quadrant, and |f| as (high + low 2^-64) 2^-(64 + shift)
 * with no leading zeros in high but the first (M. Payne and R. Hanek, "Radian reduction for trigonometric functions", 1983).
 * mantissa * 2^exponent is |x|, with exponent > -64. */
typedef struct irk_angle {
  uint64_t high, low;
  int shift, negative;
} irk_angle;

IRK_COLD int irk_reduce_angle(uint64_t mantissa, int exponent, irk_angle *f) {
  /* Bits of 2/pi with weight 2^-p give multiples of four quadrants while exponent - p >= 2: skip whole words of them. */
  int skip = exponent > 2 ? (exponent - 2) / 32 : 0;
  int shift = exponent - 32 * skip; /* product is mantissa * (2/pi * 2^(32 skip)) * 2^shift */
  uint32_t product[9] = {0};        /* least first; product[k] has weight 2^(32 (k - 7)) */
  int k;
  uint64_t carry, half, value, low, high;
  int quadrant, negative;
  if (skip > 31) skip = 31;
  for (half = 0; half < 2; half++) {
    const uint64_t factor = half ? mantissa >> 32 : mantissa & 0xffffffffu;
    carry = 0;
    for (k = 0; k < 7; k++) {
      const uint64_t word = irk_two_over_pi[skip + 6 - k];
      value = factor * word + carry + product[k + half];
      product[k + half] = (uint32_t)value;
      carry = value >> 32;
    }
    product[7 + half] = (uint32_t)carry;
  }
  /* Shift so that the binary point lies below product[7]: bits above belong to quadrants. */
  while (shift > 0) {
    const int step = shift < 31 ? shift : 31;
    for (k = 8; k > 0; k--) product[k] = (product[k] << step) | (uint32_t)((uint64_t)product[k - 1] >> (32 - step));
    product[0] <<= step;
    shift -= step;
  }
  while (shift < 0) {
    const int step = -shift < 31 ? -shift : 31;
    for (k = 0; k < 8; k++) product[k] = (product[k] >> step) | (product[k + 1] << (32 - step));
    product[8] >>= step;
    shift += step;
  }
  quadrant = (int)(product[7] & 3);
  high = (uint64_t)product[6] << 32 | product[5];
  low = (uint64_t)product[4] << 32 | product[3];
  negative = high >> 63 != 0;
  if (negative) { /* f >= 1/2: count from the next quadrant */
    quadrant = (quadrant + 1) & 3;
    low = ~low + 1;
    high = ~high + (low == 0);
  }
  /* high * 2^-64 + low * 2^-128, normalised so that close to a multiple of pi/2 no bits are lost. */
  for (k = 0; k < 128 && high >> 62 == 0; k++) {
    high = high << 1 | low >> 63;
    low <<= 1;
  }
  f->high = high;
  f->low = low;
  f->shift = k;
  f->negative = negative;
  return quadrant;
}

/* -- functions on numbers -------------------------------------------------------------------------------------------- */

#define IRK_PASTE_(a, b, c, d) a##b##c##d
#define IRK_PASTE(a, b, c, d) IRK_PASTE_(a, b, c, d)

#define IRK_LANES 0
#define IRK_BITS 32
#include "irk_functions.h"
#ifndef IRK_NO_F64
#define IRK_BITS 64
#include "irk_functions.h"
#define IRK_F64(...) __VA_ARGS__
#else
#define IRK_F64(...)
#endif
#undef IRK_LANES

#define IRK_UNARY(op) \
  IRK_INLINE float irk_##op##_f32(float x) { float y; irk_##op##_f32n(&y, &x); return y; } \
  IRK_F64(IRK_INLINE double irk_##op##_f64(double x) { double y; irk_##op##_f64n(&y, &x); return y; })
#define IRK_BINARY(op) \
  IRK_INLINE float irk_##op##_f32(float a, float b) { float y; irk_##op##_f32n(&y, &a, &b); return y; } \
  IRK_F64(IRK_INLINE double irk_##op##_f64(double a, double b) { double y; irk_##op##_f64n(&y, &a, &b); return y; })

IRK_UNARY(exp)
IRK_UNARY(log)
IRK_UNARY(tanh)
IRK_UNARY(erf)
IRK_UNARY(sin)
IRK_UNARY(cos)
IRK_UNARY(sigmoid)
IRK_UNARY(sqrt)
IRK_UNARY(rsqrt)
IRK_UNARY(abs)
IRK_UNARY(floor)
IRK_UNARY(ceil)
IRK_BINARY(min)
IRK_BINARY(max)
IRK_BINARY(pow)
#undef IRK_UNARY
#undef IRK_BINARY

/* a * b + c, rounded once where the machine can. Left to itself the compiler may round a sum in a loop that it has
   unrolled otherwise than in what remains of it, and results would depend on how the loop is split between threads. */
#if defined(__CUDACC__)
IRK_INLINE float irk_fma_f32(float a, float b, float c) { return fmaf(a, b, c); }
IRK_INLINE double irk_fma_f64(double a, double b, double c) { return fma(a, b, c); }
#elif (defined(__FMA__) || defined(__aarch64__)) && !defined(IRK_C99)
IRK_INLINE float irk_fma_f32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
IRK_INLINE double irk_fma_f64(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
IRK_INLINE float irk_fma_f32(float a, float b, float c) { return a * b + c; }
IRK_F64(IRK_INLINE double irk_fma_f64(double a, double b, double c) { return a * b + c; })
#endif

#define IRK_SMALL(name) \
  IRK_INLINE float irk_##name##_to_f32(irk_##name x) { float y; irk_##name##_to_f32n(&y, &x); return y; } \
  IRK_INLINE irk_##name irk_f32_to_##name(float x) { irk_##name y; irk_f32_to_##name##n(&y, &x); return y; }
IRK_SMALL(f16)
IRK_SMALL(bf16)
IRK_SMALL(f8e4m3)
IRK_SMALL(f8e5m2)
IRK_SMALL(f8e4m3fnuz)
IRK_SMALL(f8e5m2fnuz)
IRK_SMALL(f8e8m0)
IRK_SMALL(f4e2m1)
#undef IRK_SMALL

/* -- float to integer: truncated, saturated, NaN to 0 ---------------------------------------------------------------- */

#define IRK_TO_INTEGER(from, ctype, to, itype, low, high, above) \
  IRK_INLINE itype irk_##from##_to_##to(ctype x) { \
    return x != x ? 0 : x >= (ctype)(above) ? (itype)(high) : x <= (ctype)(low) ? (itype)(low) : (itype)x; \
  }
#define IRK_TO_INTEGERS(from, ctype) \
  IRK_TO_INTEGER(from, ctype, i8, int8_t, INT8_MIN, INT8_MAX, 128.0f) \
  IRK_TO_INTEGER(from, ctype, i16, int16_t, INT16_MIN, INT16_MAX, 32768.0f) \
  IRK_TO_INTEGER(from, ctype, i32, int32_t, INT32_MIN, INT32_MAX, 2147483648.0f) \
  IRK_TO_INTEGER(from, ctype, i64, int64_t, INT64_MIN, INT64_MAX, 9223372036854775808.0f) \
  IRK_TO_INTEGER(from, ctype, u8, uint8_t, 0, UINT8_MAX, 256.0f) \
  IRK_TO_INTEGER(from, ctype, u16, uint16_t, 0, UINT16_MAX, 65536.0f) \
  IRK_TO_INTEGER(from, ctype, u32, uint32_t, 0, UINT32_MAX, 4294967296.0f) \
  IRK_TO_INTEGER(from, ctype, u64, uint64_t, 0, UINT64_MAX, 18446744073709551616.0f)
IRK_TO_INTEGERS(f32, float)
IRK_F64(IRK_TO_INTEGERS(f64, double))
#undef IRK_TO_INTEGERS
#undef IRK_TO_INTEGER

/* -- integers: they wrap; x / 0 and x mod 0 are 0; quotients round down, and remainders have the divisor's sign --------- */

IRK_ANYWHERE int64_t irk_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
IRK_ANYWHERE int64_t irk_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

/* -1 is apart because the least number divided by it would trap. ipow: a negative power is the true quotient truncated. */
#define IRK_INTEGER(bits, wide) \
  IRK_ANYWHERE int##bits##_t irk_floordiv_i##bits(int##bits##_t a, int##bits##_t b) { \
    if (b == 0) return 0; \
    if (b == -1) return (int##bits##_t)((wide)0 - (wide)a); \
    return (int##bits##_t)(a / b - (a % b != 0 && (a % b < 0) != (b < 0))); \
  } \
  IRK_ANYWHERE int##bits##_t irk_mod_i##bits(int##bits##_t a, int##bits##_t b) { \
    if (b == 0 || b == -1) return 0; \
    return (int##bits##_t)(a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0)); \
  } \
  IRK_INLINE int##bits##_t irk_udiv_i##bits(int##bits##_t a, int##bits##_t b) { \
    return (int##bits##_t)(b == 0 ? 0 : (uint##bits##_t)a / (uint##bits##_t)b); \
  } \
  IRK_INLINE int##bits##_t irk_umod_i##bits(int##bits##_t a, int##bits##_t b) { \
    return (int##bits##_t)(b == 0 ? 0 : (uint##bits##_t)a % (uint##bits##_t)b); \
  } \
  IRK_INLINE int##bits##_t irk_upow_i##bits(int##bits##_t a, int##bits##_t b) { \
    wide out = 1, base = (wide)a; \
    uint##bits##_t rest = (uint##bits##_t)b; \
    for (; rest; rest = (uint##bits##_t)(rest >> 1), base *= base) if (rest & 1) out *= base; \
    return (int##bits##_t)(uint##bits##_t)out; \
  } \
  IRK_INLINE int##bits##_t irk_ipow_i##bits(int##bits##_t a, int##bits##_t b) { \
    if (b >= 0) return irk_upow_i##bits(a, b); \
    return (int##bits##_t)(a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0); \
  } \
  IRK_INLINE int##bits##_t irk_shl_i##bits(int##bits##_t a, int##bits##_t b) { \
    return (int##bits##_t)((uint##bits##_t)b >= bits ? 0 : (wide)a << b); \
  } \
  IRK_INLINE int##bits##_t irk_shr_i##bits(int##bits##_t a, int##bits##_t b) { \
    return (int##bits##_t)((uint##bits##_t)b >= bits ? 0 : (uint##bits##_t)a >> b); \
  } \
  IRK_INLINE int##bits##_t irk_sar_i##bits(int##bits##_t a, int##bits##_t b) { \
    return (int##bits##_t)(a >> ((uint##bits##_t)b >= bits ? bits - 1 : b)); \
  }
IRK_INTEGER(8, uint32_t)
IRK_INTEGER(16, uint32_t)
IRK_INTEGER(32, uint32_t)
IRK_INTEGER(64, uint64_t)
#undef IRK_INTEGER

/* -- random numbers --------------------------------------------------------------------------------------------------- */

/* Philox-4x32-10 (J. Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011): four words for a counter. */
IRK_INLINE void irk_philox(uint32_t key0, uint32_t key1, uint64_t counter, uint32_t out[4]) {
  uint32_t a = (uint32_t)counter, b = (uint32_t)(counter >> 32), c = 0, d = 0;
  int round;
  for (round = 0; round < 10; round++) {
    const uint64_t p = (uint64_t)a * 0xD2511F53u, q = (uint64_t)c * 0xCD9E8D57u;
    a = (uint32_t)(q >> 32) ^ b ^ key0;
    b = (uint32_t)q;
    c = (uint32_t)(p >> 32) ^ d ^ key1;
    d = (uint32_t)p;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

IRK_INLINE uint32_t irk_random_bits(uint32_t key0, uint32_t key1, uint64_t counter) {
  uint32_t words[4];
  irk_philox(key0, key1, counter, words);
  return words[0];
}

/* In [0, 1), a multiple of 2^-24. */
IRK_INLINE float irk_random_uniform(uint32_t key0, uint32_t key1, uint64_t counter) {
  return (float)(irk_random_bits(key0, key1, counter) >> 8) * 0x1p-24f;
}

/* Standard normal, by Box and Muller. */
IRK_INLINE float irk_random_normal(uint32_t key0, uint32_t key1, uint64_t counter) {
  uint32_t words[4];
  float u, angle, radius, s, c;
  uint32_t v;
  irk_philox(key0, key1, counter, words);
  u = (float)((words[0] >> 8) + 1) * 0x1p-24f;
  v = words[1] >> 8;
  radius = irk_sqrt_f32(-2.0f * irk_log_f32(u));
  /* cos(2 pi v / 2^24): the quadrant is in the upper bits, so the angle left over is exact before the product with pi. */
  angle = (float)((int32_t)((v + 0x200000u) & 0x3fffffu) - 0x200000) * (1.57079632679f * 0x1p-22f);
  c = irk_cos_f32(angle);
  s = irk_sin_f32(angle);
  switch (((v + 0x200000u) >> 22) & 3) {
    case 0: return radius * c;
    case 1: return -radius * s;
    case 2: return -radius * c;
    default: return radius * s;
  }
}

/* -- vectors ----------------------------------------------------------------------------------------------------------- */

#ifndef IRK_NO_VECTORS

/* All lanes equal to a number. x - 0 is x for every x, -0 and NaN included. */
#define IRK_SPLAT(type, x) ((x) - (type){0})

/* IRK_STREAM(type, p, v): a vector that fills a register, to memory past the caches, where its address allows that; irk_stream_end() before other
 * threads read it. Sanitizers see plain stores. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IRK_PLAIN_STORES
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IRK_PLAIN_STORES
#endif
#if defined(__AVX__) && !defined(IRK_PLAIN_STORES)
#define IRK_MOVE_PAST "vmovntps"
#elif defined(__SSE2__) && !defined(IRK_PLAIN_STORES)
#define IRK_MOVE_PAST "movntps"
#endif
#ifdef IRK_MOVE_PAST
#define IRK_STREAM(type, p, v) \
  do { \
    if ((uintptr_t)(p) % sizeof(type) == 0) \
      __asm__(IRK_MOVE_PAST " %1, %0" : "=m"(*(type *)(p)) : IRK_REGISTERS(v)); \
    else \
      *(type##u *)(p) = (v); \
  } while (0)
IRK_INLINE void irk_stream_end(void) { __asm__ volatile("sfence" ::: "memory"); }
#if defined(__AVX512F__)
#define IRK_REGISTERS "v"
#elif defined(__AVX__)
#define IRK_REGISTERS "x"
#else
#define IRK_REGISTERS "x"
#endif
#else
#define IRK_STREAM(type, p, v) (*(type##u *)(p) = (v))
IRK_INLINE void irk_stream_end(void) {}
#endif

#if !defined(IRK_ONLY_X1) && !defined(IRK_ONLY_X2) && !defined(IRK_ONLY_X4) && !defined(IRK_ONLY_X8) && !defined(IRK_ONLY_X16)
#define IRK_ONLY_X1
#define IRK_ONLY_X2
#define IRK_ONLY_X4
#define IRK_ONLY_X8
#define IRK_ONLY_X16
#endif

#ifdef IRK_ONLY_X1
#define IRK_LANES 1
#include "irk_vectors.h"
#endif
#ifdef IRK_ONLY_X2
#define IRK_LANES 2
#include "irk_vectors.h"
#endif
#ifdef IRK_ONLY_X4
#define IRK_LANES 4
#include "irk_vectors.h"
#endif
#ifdef IRK_ONLY_X8
#define IRK_LANES 8
#include "irk_vectors.h"
#endif
#ifdef IRK_ONLY_X16
#define IRK_LANES 16
#include "irk_vectors.h"
#endif

#endif /* IRK_NO_VECTORS */

#endif
