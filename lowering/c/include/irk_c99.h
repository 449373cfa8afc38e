/* What irk_math.h takes from the compiler and its library, in freestanding C99: bits, square roots, remainders.
 *
 * Define IRK_HARDWARE_SQRT_F32(x) or IRK_HARDWARE_SQRT_F64(x) as the machine's own instruction, where it has one that
 * rounds correctly; the functions here round correctly too, one bit at a time.
 */
#ifndef IRK_C99_H
#define IRK_C99_H

#include <stdint.h>

#ifndef INFINITY
#define INFINITY (irk_float_f32(0x7f800000))
#endif
#ifndef NAN
#define NAN (irk_float_f32(0x7fc00000))
#endif

/* GCC and clang define __NO_MATH_ERRNO__ under -fno-math-errno: a square root is then one instruction. */
#if defined(__GNUC__) && defined(__NO_MATH_ERRNO__)
#if defined(__SSE2__) || defined(__aarch64__) || (defined(__ARM_FP) && (__ARM_FP & 4)) || defined(__riscv_fsqrt)
#ifndef IRK_HARDWARE_SQRT_F32
#define IRK_HARDWARE_SQRT_F32(x) __builtin_sqrtf(x)
#endif
#endif
#if defined(__SSE2__) || defined(__aarch64__) || (defined(__ARM_FP) && (__ARM_FP & 8)) || (defined(__riscv_fsqrt) && __riscv_flen >= 64)
#ifndef IRK_HARDWARE_SQRT_F64
#define IRK_HARDWARE_SQRT_F64(x) __builtin_sqrt(x)
#endif
#endif
#endif

/* Bits of floats; the square root, rounded correctly; the remainder of x / y truncated, which is exact.
 *
 * sqrt: with x = m 2^(2 e), the root of m in integers, a bit a step, so that rest = m - root^2 stays below 2 root + 1.
 * fmod: long division of the mantissas. */
#define IRK_C99_FUNCTIONS(name, ctype, itype, utype, width, mantissa, bias) \
  static inline itype irk_bits_##name(ctype x) { \
    union { ctype x; itype b; } u; \
    u.x = x; \
    return u.b; \
  } \
  static inline ctype irk_float_##name(itype b) { \
    union { ctype x; itype b; } u; \
    u.b = b; \
    return u.x; \
  } \
  /* x is 2^exponent times the result, whose leading bit is set; x is neither zero nor infinite nor NaN. */ \
  static inline utype irk_split_##name(ctype x, int *exponent) { \
    utype m = (utype)irk_bits_##name(x) & (((utype)1 << (width - 1)) - 1); \
    *exponent = (int)(m >> mantissa); \
    m &= ((utype)1 << mantissa) - 1; \
    if (*exponent) m |= (utype)1 << mantissa; \
    else *exponent = 1; \
    for (; !(m >> mantissa); m <<= 1) --*exponent; \
    *exponent -= bias + mantissa; \
    return m; \
  } \
  static inline ctype irk_soft_sqrt_##name(ctype x) { \
    utype m, root = 0, rest = 0; \
    int exponent, step; \
    if (!(x > 0) || x > irk_greatest_##name) return x < 0 ? (ctype)NAN : x; \
    m = irk_split_##name(x, &exponent) << (width - 2 - mantissa); \
    exponent += mantissa; \
    if (exponent & 1) { /* m has two bits before the point, and the exponent is even */ \
      m <<= 1; \
      exponent--; \
    } \
    /* Two bits of m a step: the root has one bit more than a mantissa, which rounds it. */ \
    for (step = 0; step < mantissa + 2; step++) { \
      const utype next = (root << 2) | 1; \
      rest = (rest << 2) | (m >> (width - 2)); \
      m <<= 2; \
      root <<= 1; \
      if (rest >= next) { \
        rest -= next; \
        root |= 1; \
      } \
    } \
    root = (root >> 1) + (root & 1); /* never a tie: no square of so many bits ends in one bit too many */ \
    return irk_float_##name((itype)(((utype)(exponent / 2 + bias - 1) << mantissa) + root)); \
  } \
  static inline ctype irk_fmod_##name(ctype x, ctype y) { \
    const itype sign = irk_bits_##name(x) & (itype)((utype)1 << (width - 1)); \
    utype rest, divisor; \
    int top, bottom; \
    if (x != x || y != y || y == 0 || x > irk_greatest_##name || x < -irk_greatest_##name) return (ctype)NAN; \
    if (x == 0 || y > irk_greatest_##name || y < -irk_greatest_##name) return x; \
    rest = irk_split_##name(x, &top); \
    divisor = irk_split_##name(y, &bottom); \
    if (top < bottom) return x; \
    for (;; top--) { \
      if (rest >= divisor) rest -= divisor; \
      if (top == bottom || !rest) break; \
      rest <<= 1; \
    } \
    if (rest) { \
      for (; !(rest >> mantissa); rest <<= 1) top--; \
      top += bias + mantissa; \
      if (top > 0) rest += (utype)(top - 1) << mantissa; \
      else rest >>= 1 - top; /* subnormal: the bits that go are zeros */ \
    } \
    return irk_float_##name((itype)rest | sign); \
  }

static const float irk_greatest_f32 = 0x1.fffffep+127f;
IRK_C99_FUNCTIONS(f32, float, int32_t, uint32_t, 32, 23, 127)
#ifndef IRK_NO_F64
static const double irk_greatest_f64 = 0x1.fffffffffffffp+1023;
IRK_C99_FUNCTIONS(f64, double, int64_t, uint64_t, 64, 52, 1023)
#endif
#undef IRK_C99_FUNCTIONS

#ifdef IRK_HARDWARE_SQRT_F32
#define irk_libm_sqrt_f32(x) IRK_HARDWARE_SQRT_F32(x)
#else
#define irk_libm_sqrt_f32(x) irk_soft_sqrt_f32(x)
#endif
#ifdef IRK_HARDWARE_SQRT_F64
#define irk_libm_sqrt_f64(x) IRK_HARDWARE_SQRT_F64(x)
#else
#define irk_libm_sqrt_f64(x) irk_soft_sqrt_f64(x)
#endif

#endif
