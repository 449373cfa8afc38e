/* The functions of irk_math.h on one type: included once for each width, with IRK_LANES (0: numbers) and IRK_BITS set.
 *
 * All are free of branches, so that numbers and lanes take the same steps; only sin and cos branch, for angles that a
 * subtraction cannot reduce. Polynomials are minimax fits of our own (Remez); the reductions are the usual ones of
 * W. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980. Nothing depends on whether the compiler
 * contracts products and sums: sums that must be exact are exact either way.
 */

/* T: the type; I, U: its bits, signed and unsigned. C(x): a constant. SEL(mask, a, b). NAME(op): the function's name. */
#if IRK_BITS == 32
#define C(x) x##f
#define IRK_SCALAR float
#else
#define C(x) x
#define IRK_SCALAR double
#endif

#if IRK_LANES == 0
#define NAME(op) IRK_PASTE(irk_, op##_f, IRK_BITS, n)
#define MINE(op) IRK_PASTE(irk_##op##_, f, IRK_BITS, n)
#if IRK_BITS == 32
#define T float
#define I int32_t
#define U uint32_t
#define TO_BITS(x) irk_bits_f32(x)
#define FROM_BITS(b) irk_float_f32((int32_t)(b))
#else
#define T double
#define I int64_t
#define U uint64_t
#define TO_BITS(x) irk_bits_f64(x)
#define FROM_BITS(b) irk_float_f64((int64_t)(b))
#endif
#define SEL(mask, a, b) ((mask) ? (a) : (b))
#else
#define LANED(name) IRK_PASTE(irk_, name, x, IRK_LANES)
#define NAME(op) IRK_PASTE(irk_, op##_f, IRK_BITS, IRK_PASTE(x, IRK_LANES, , ))
#define MINE(op) IRK_PASTE(irk_##op##_, f, IRK_BITS, IRK_PASTE(x, IRK_LANES, , ))
#if IRK_BITS == 32
#define T LANED(f32)
#define I LANED(i32)
#define U LANED(u32)
#else
#define T LANED(f64)
#define I LANED(i64)
#define U LANED(u64)
#endif
#define TO_BITS(x) ((I)(x))
#define FROM_BITS(b) ((T)(b))
#define SEL(mask, a, b) ((T)(((I)(mask) & ((I)(a) ^ (I)(b))) ^ (I)(b)))
#endif

#if IRK_BITS == 32
#define SIGN_BIT INT32_MIN
#define MANTISSA 23
#define BIAS 127
#define MAGIC 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits */
#define MAGIC_BITS 0x4b400000
#define LOG2_E 0x1.715476p+0f
#define LN2_HIGH 0x1.62e400p-1f /* few bits, so that a product with an exponent is exact */
#define LN2_LOW 0x1.7f7d1cp-20f
#define LEAST_NORMAL 0x1p-126f
#define EXP_LOW -104.0f /* exp is 0 below and infinite above */
#define EXP_HIGH 89.0f
#define TANH_ONE 10.0f /* tanh is 1 above */
#define ERF_ONE 4.0f
#define SUM_LIMIT 0x1p+23f /* floats above are integers */
#define ANGLE_LIMIT 6000.0f
#define TWO_OVER_PI 0x1.45f306p-1f
#define HALF_PI_1 0x1.92p+0f
#define HALF_PI_2 0x1.fbp-12f
#define HALF_PI_3 0x1.510p-22f
#define HALF_PI_4 0x1.0b4612p-34f
#define HIGH_HALF 0xfffff000 /* clears the low half of a mantissa: products of what is left are exact */
/* (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2 */
#define EXP_P(r) ((((0x1.6a23ccp-10f * (r) + 0x1.123a20p-7f) * (r) + 0x1.5558f2p-5f) * (r) + 0x1.555492p-3f) * (r) + 0x1.fffffcp-2f)
/* (sin(r) - r) / r^3 and (cos(r) - 1 + r^2 / 2) / r^4, of z = r^2, for |r| <= pi / 4 */
#define SIN_P(z) ((-0x1.9947cap-13f * (z) + 0x1.11074cp-7f) * (z) - 0x1.555546p-3f)
#define COS_P(z) ((0x1.99fc26p-16f * (z) - 0x1.6c0c76p-10f) * (z) + 0x1.55554ap-5f)
/* erf(x) / x - 1, of z = x^2, for |x| <= 0.9 */
#define ERF_P(z) \
  (((((-0x1.3f4f72p-11f * (z) + 0x1.4876cap-8f) * (z) - 0x1.b6bee2p-6f) * (z) + 0x1.ce1dd2p-4f) * (z) - 0x1.8126fap-2f) * (z) + \
   0x1.06eba6p-3f)
/* log(1 - erf(u + 2)) for -1.1 <= u <= 2 */
#define ERFC_P(u) \
  (((((((-0x1.5d71ccp-16f * (u) + 0x1.252ae8p-13f) * (u) - 0x1.7e46f4p-11f) * (u) + 0x1.d3e230p-9f) * (u) - 0x1.0dca5ep-6f) * (u) - \
     0x1.d8f5e8p-1f) * (u) - 0x1.1ac326p+2f) * (u) - 0x1.575b32p+2f)
/* (2 atanh(s) - 2 s - 2/3 s^3) / s^5, of z = s^2, for |s| <= 0.172 */
#define ATANH_P(z) ((0x1.dfa34cp-3f * (z) + 0x1.245278p-2f) * (z) + 0x1.999a00p-2f)
#define TWO_THIRDS_LOW 0x1.555556p-27f * -1.0f
#else
#define SIGN_BIT INT64_MIN
#define MANTISSA 52
#define BIAS 1023
#define MAGIC 0x1.8p+52
#define MAGIC_BITS INT64_C(0x4338000000000000)
#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HIGH 0x1.62e42fefa0000p-1
#define LN2_LOW 0x1.cf79abc9e3b3ap-40
#define LEAST_NORMAL 0x1p-1022
#define EXP_LOW -746.0
#define EXP_HIGH 710.0
#define TANH_ONE 20.0
#define ERF_ONE 6.0
#define SUM_LIMIT 0x1p+52
#define ANGLE_LIMIT 1000000.0
#define TWO_OVER_PI 0x1.45f306dc9c883p-1
#define HALF_PI_1 0x1.921fb54400000p+0
#define HALF_PI_2 0x1.0b4611a600000p-34
#define HALF_PI_3 0x1.3198a2e000000p-69
#define HALF_PI_4 0x1.b839a252049c1p-104
#define HIGH_HALF INT64_C(0xfffffffff8000000)
#define EXP_P(r) \
  (((((((((0x1.ad7f3aa21a9f3p-26 * (r) + 0x1.28ad9b8c58ab4p-22) * (r) + 0x1.71df25b5e5564p-19) * (r) + 0x1.a01999e25d0c4p-16) * (r) + \
        0x1.a01a012a0dd5fp-13) * (r) + 0x1.6c16c18438b1cp-10) * (r) + 0x1.1111111127d13p-7) * (r) + 0x1.555555555083ep-5) * (r) + \
    0x1.55555555554f9p-3) * (r) + 0x1.000000000000ap-1)
#define SIN_P(z) \
  (((((0x1.5d8f8bf8a091cp-33 * (z) - 0x1.ae5e5aae1d87fp-26) * (z) + 0x1.71de35697b078p-19) * (z) - 0x1.a01a019c01d59p-13) * (z) + \
    0x1.111111110f802p-7) * (z) - 0x1.5555555555549p-3)
#define COS_P(z) \
  (((((-0x1.8faad2a8ca534p-37 * (z) + 0x1.1ee9e4d63dcccp-29) * (z) - 0x1.27e4f7ffe96ddp-22) * (z) + 0x1.a01a019ca46b8p-16) * (z) - \
    0x1.6c16c16c150fbp-10) * (z) + 0x1.555555555554bp-5)
#define ERF_P(z) \
  (((((((((((-0x1.d24b741be2646p-31 * (z) + 0x1.e29e58726c180p-27) * (z) - 0x1.5d83607d1d8a2p-23) * (z) + 0x1.b9b75e82f2df1p-20) * (z) - \
          0x1.f4cf59398e9dbp-17) * (z) + 0x1.f9a30627feab8p-14) * (z) - 0x1.c02db3140cf2dp-11) * (z) + 0x1.565bcd0a31c11p-8) * (z) - \
      0x1.b82ce31271dd4p-6) * (z) + 0x1.ce2f21a0427e1p-4) * (z) - 0x1.812746b0379e2p-2) * (z) + 0x1.06eba8214db69p-3)
#define ERFC_P(u) \
  ((((((((((((((((((0x1.81179606c3f9ap-40 * (u) - 0x1.a2c0c483441c2p-37) * (u) + 0x1.4f269b3814e40p-35) * (u) - \
                  0x1.27e346d649205p-35) * (u) - 0x1.36fad00004442p-32) * (u) + 0x1.59d28ede73fa9p-29) * (u) - \
               0x1.dea74958454a0p-27) * (u) + 0x1.f0c274c277e42p-25) * (u) - 0x1.73ff8cd2dc582p-23) * (u) + \
            0x1.b541848a76b48p-23) * (u) + 0x1.06052b66c95b8p-19) * (u) - 0x1.5b65636f01c59p-16) * (u) + \
         0x1.1bc3a5409bdfap-13) * (u) - 0x1.7ffcfb64877c0p-11) * (u) + 0x1.d406b3746afb9p-9) * (u) - \
      0x1.0dc3b5faf71a4p-6) * (u) - 0x1.d8f5dece92304p-1) * (u) - 0x1.1ac3258a8dc35p+2) * (u) - 0x1.575b329b1f516p+2)
#define ATANH_P(z) \
  (((((((0x1.eb20cf6e08625p-4 * (z) + 0x1.de318f1450aa9p-4) * (z) + 0x1.1120c17c28660p-3) * (z) + 0x1.3b13626737384p-3) * (z) + \
      0x1.745d18337a583p-3) * (z) + 0x1.c71c71c57e002p-3) * (z) + 0x1.2492492493049p-2) * (z) + 0x1.9999999999996p-2)
#define TWO_THIRDS_LOW 0x1.5555555555555p-56
#endif

#define ABS(x) FROM_BITS(TO_BITS(x) & ~SIGN_BIT)
/* x with the sign of s; x is not negative */
#define WITH_SIGN(x, s) FROM_BITS(TO_BITS(x) | (TO_BITS(s) & SIGN_BIT))
/* 2^n for n within the exponents of normal numbers */
#define POWER_OF_2(n) FROM_BITS((U)((n) + BIAS) << MANTISSA)

/* r and n with x = n ln(2) + r, and q = exp(r) - 1. The error of r is carried in `low`: x + low is the true argument. */
IRK_INLINE void MINE(expm1_reduced)(T *q, I *n, const T *px, const T *plow) {
  const T x = *px, k = x * LOG2_E + MAGIC;
  const T m = k - MAGIC;
  const T r = (x - m * LN2_HIGH) - m * LN2_LOW + *plow;
  *n = TO_BITS(k) - MAGIC_BITS;
  *q = r + r * r * EXP_P(r);
}

/* exp(x + low), for low much smaller than x. */
IRK_INLINE void MINE(exp_extended)(T *out, const T *px, const T *plow) {
  T x = *px, q;
  I n, half;
  x = SEL(x > C(0.0) + EXP_HIGH, EXP_HIGH - (x - x), x);
  x = SEL(x < C(0.0) + EXP_LOW, EXP_LOW - (x - x), x);
  MINE(expm1_reduced)(&q, &n, &x, plow);
  /* In two steps: the result may be subnormal or infinite, the factors are not. */
  half = n >> 1;
  *out = (C(1.0) + q) * POWER_OF_2(half) * POWER_OF_2(n - half);
}

IRK_INLINE void NAME(exp)(T *out, const T *px) {
  const T zero = *px - *px;
  MINE(exp_extended)(out, px, &zero);
}
