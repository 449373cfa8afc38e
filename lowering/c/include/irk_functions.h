/* The functions of irk_math.h on one type: included once for each width, with IRK_LANES (0: numbers) and IRK_BITS set.
 *
 * All are free of branches, so that numbers and lanes take the same steps; only sin and cos branch, for angles that a
 * subtraction cannot reduce. Polynomials are minimax fits of our own (Remez); the reductions are the usual ones of
 * W. Cody and W. Waite, "Software Manual for the Elementary Functions", 1980. Nothing depends on whether the compiler
 * contracts products and sums: sums that must be exact are exact either way.
 */

/* T: the type; I, U: its bits, signed and unsigned. C(x): a constant number, K(x): a constant of the type.
 * SEL(mask, a, b): a where the mask is set. NAME(op): the function's name; MINE(op): that of a helper. */
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
#define K(x) (x)
#define SEL(mask, a, b) ((mask) ? (a) : (b))
#define SEL_BITS(mask, c, b) ((mask) ? (U)(c) : (b))
#define WIDE(x) ((U)(x))
#define NARROW(b, name) ((irk_##name)(b))
#define SMALL_TO_F32(name) irk_##name##_to_f32n
#define F32_TO_SMALL(name) irk_f32_to_##name##n
#define SMALL(name) irk_##name
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
#define K(x) IRK_SPLAT(T, x)
#define SEL(mask, a, b) ((T)(((I)(mask) & ((I)(a) ^ (I)(b))) ^ (I)(b)))
#define SEL_BITS(mask, c, b) (((U)(mask) & ((b) ^ (c))) ^ (b))
#define WIDE(x) __builtin_convertvector(x, U)
#define NARROW(b, name) __builtin_convertvector(b, LANED(name))
#define SMALL_TO_F32(name) LANED(name##_to_f32)
#define F32_TO_SMALL(name) LANED(f32_to_##name)
#define SMALL(name) LANED(name)
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
#define LEAST_SHIFT 0x1p+23f /* makes subnormal numbers normal */
#define LEAST_EXPONENT 23.0f
#define SUM_LIMIT 0x1p+23f /* floats above are integers */
#define ANGLE_LIMIT 6000.0f
#define TWO_OVER_PI 0x1.45f306p-1f
#define HALF_PI_1 0x1.92p+0f
#define HALF_PI_2 0x1.fbp-12f
#define HALF_PI_3 0x1.51p-22f
#define HALF_PI_4 0x1.0bp-34f
#define HALF_PI_5 0x1.18469ap-44f
#define HALF_PI 0x1.921fb6p+0f
#define HALF_PI_LOW -0x1.777a5cp-25f
#define SQRT_HALF_BITS 0x3f3504f3
#define HIGH_HALF ~4095 /* clears the low half of a mantissa: products of what is left are exact */
/* (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2 */
#define EXP_P(r) ((((0x1.6a23ccp-10f * (r) + 0x1.123a20p-7f) * (r) + 0x1.5558f2p-5f) * (r) + 0x1.555492p-3f) * (r) + 0x1.fffffcp-2f)
/* (sin(r) - r) / r^3 and (cos(r) - 1 + r^2 / 2) / r^4, of z = r^2, for |r| <= pi / 4 */
#define SIN_P(z) ((-0x1.9947cap-13f * (z) + 0x1.11074cp-7f) * (z) - 0x1.555546p-3f)
#define COS_P(z) ((0x1.99fc26p-16f * (z) - 0x1.6c0c76p-10f) * (z) + 0x1.55554ap-5f)
/* erf(x) / x - 1, of z = x^2, for |x| <= 0.9 */
#define ERF_P(z) \
  (((((-0x1.3f4f72p-11f * (z) + 0x1.4876cap-8f) * (z) - 0x1.b6bee2p-6f) * (z) + 0x1.ce1dd2p-4f) * (z) - 0x1.8126fap-2f) * (z) + \
   0x1.06eba6p-3f)
/* log(1 - erf(u + 1.25)) for -0.35 <= u */
#define ERFC_P(u) \
  (((((((-0x1.5d7194p-16f * (u) + 0x1.053ec2p-12f) * (u) - 0x1.a48adcp-10f) * (u) + 0x1.fe96eep-8f) * (u) \
    - 0x1.0bc628p-5f) * (u) - 0x1.bddad2p-1f) * (u) - 0x1.88ab2ep+1f) * (u) - 0x1.48050ap+1f)
/* (2 atanh(s) - 2 s - 2/3 s^3) / s^5, of z = s^2, for |s| <= 0.172 */
#define ATANH_P(z) ((0x1.dfa34cp-3f * (z) + 0x1.245278p-2f) * (z) + 0x1.999a00p-2f)
#define TWO_THIRDS 0x1.555556p-1f
#define TWO_THIRDS_LOW -0x1.555556p-26f
/* (log(1 + f) - f + f^2 / 2) / f^3 for 1 + f between the square roots of 1/2 and 2 */
#define LOG_P(f) \
  (((((((-0x1.38b566p-4f * (f) + 0x1.055d70p-3f) * (f) - 0x1.0d8636p-3f) * (f) + 0x1.22d9e8p-3f) * (f) - 0x1.547228p-3f) * (f) + \
     0x1.99a00ap-3f) * (f) - 0x1.000228p-2f) * (f) + 0x1.555554p-2f)
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
#define LEAST_SHIFT 0x1p+52
#define LEAST_EXPONENT 52.0
#define SUM_LIMIT 0x1p+52
#define ANGLE_LIMIT 1000000.0
#define TWO_OVER_PI 0x1.45f306dc9c883p-1
#define HALF_PI_1 0x1.921fb54400000p+0
#define HALF_PI_2 0x1.0b4611a600000p-34
#define HALF_PI_3 0x1.3198a2e000000p-69
#define HALF_PI_4 0x1.b839a252049c1p-104
#define HALF_PI_5 0.0
#define HALF_PI 0x1.921fb54442d18p+0
#define HALF_PI_LOW 0x1.1a62633145c07p-54
#define SQRT_HALF_BITS INT64_C(0x3fe6a09e667f3bcd)
#define HIGH_HALF ~INT64_C(0x7ffffff)
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
  ((((((((((((((((((0x1.8115d5351f9a4p-40 * (u) - 0x1.0b252e9bb0fecp-35) * (u) \
    + 0x1.5232b7dc9ba38p-32) * (u) - 0x1.0153e961c4f54p-29) * (u) + 0x1.fcf66334fe628p-28) * (u) \
    - 0x1.284b8c2b29a59p-26) * (u) - 0x1.5dd6644733aecp-29) * (u) + 0x1.0d7eb11cc0ec6p-22) * (u) \
    - 0x1.840697e3f40f0p-20) * (u) + 0x1.5ab58bd2ad21bp-18) * (u) - 0x1.6b6c886c1d9e7p-17) * (u) \
    - 0x1.50f137134ab9bp-17) * (u) + 0x1.02c592ab10de9p-12) * (u) - 0x1.a540a7570546bp-10) * (u) \
    + 0x1.fea76c4b79c38p-8) * (u) - 0x1.0bc5a0297638cp-5) * (u) - 0x1.bddad46f50524p-1) * (u) \
    - 0x1.88ab2d995013ap+1) * (u) - 0x1.48050902770fdp+1)
#define ATANH_P(z) \
  (((((((0x1.eb20cf6e08625p-4 * (z) + 0x1.de318f1450aa9p-4) * (z) + 0x1.1120c17c28660p-3) * (z) + 0x1.3b13626737384p-3) * (z) + \
      0x1.745d18337a583p-3) * (z) + 0x1.c71c71c57e002p-3) * (z) + 0x1.2492492493049p-2) * (z) + 0x1.9999999999996p-2)
#define TWO_THIRDS 0x1.5555555555555p-1
#define TWO_THIRDS_LOW 0x1.5555555555555p-55
#endif

#define ABS(x) FROM_BITS(TO_BITS(x) & ~SIGN_BIT)
/* x with the sign of s; x is not negative */
#define WITH_SIGN(x, s) FROM_BITS(TO_BITS(x) | (TO_BITS(s) & SIGN_BIT))
/* 2^n for n within the exponents of normal numbers */
#define POWER_OF_2(n) FROM_BITS(((U)(n) + BIAS) << MANTISSA)
/* The integer n, within half a mantissa, as a float */
#define FROM_INTEGER(n) (FROM_BITS((U)(n) + MAGIC_BITS) - MAGIC)

/* -- exp, and what is made of it ---------------------------------------------------------------------------------------- */

/* r and n with x = n ln(2) + r. */
IRK_INLINE void MINE(reduce_exp)(T *r, U *n, const T *px) {
  const T x = *px, k = x * LOG2_E + MAGIC;
  const T m = k - MAGIC;
  *r = (x - m * LN2_HIGH) - m * LN2_LOW;
  *n = (U)TO_BITS(k) - MAGIC_BITS;
}

/* exp(x + low), for low much smaller than x; the result may be subnormal or infinite. */
IRK_INLINE void MINE(exp_sum)(T *out, const T *px, const T *low) {
  T x = *px, r;
  U n, half;
  x = SEL(x > EXP_HIGH, K(EXP_HIGH), x);
  x = SEL(x < EXP_LOW, K(EXP_LOW), x);
  MINE(reduce_exp)(&r, &n, &x);
  if (low) r += *low;
  half = (U)((I)n >> 1); /* in two steps, so that each factor is a normal number */
  *out = (C(1.0) + (r + r * r * EXP_P(r))) * POWER_OF_2(half) * POWER_OF_2(n - half);
}

IRK_INLINE void NAME(exp)(T *out, const T *px) { MINE(exp_sum)(out, px, 0); }

/* t / (t + 2) with t = exp(2 |x|) - 1, which keeps its digits where it is small. */
IRK_INLINE void NAME(tanh)(T *out, const T *px) {
  const T x = *px;
  T a = ABS(x), r, t, scale;
  U n;
  a = SEL(a > TANH_ONE, K(TANH_ONE), a);
  a = a + a;
  MINE(reduce_exp)(&r, &n, &a);
  scale = POWER_OF_2(n);
  t = scale * (r + r * r * EXP_P(r)) + (scale - C(1.0));
  t = t / (t + C(2.0));
  *out = WITH_SIGN(t, x);
}

/* exp(-|x|) / (1 + exp(-|x|)) for negative x: the tail keeps its digits. */
IRK_INLINE void NAME(sigmoid)(T *out, const T *px) {
  const T x = *px, a = FROM_BITS(TO_BITS(x) | SIGN_BIT);
  T e;
  NAME(exp)(&e, &a);
  *out = SEL(x < C(0.0), e, K(C(1.0))) / (C(1.0) + e);
}

/* A polynomial for small x, 1 - exp(polynomial) for others. */
IRK_INLINE void NAME(erf)(T *out, const T *px) {
  const T x = *px, z = x * x, a = ABS(x);
  const T near_zero = x + x * ERF_P(z);
  T u = SEL(a > ERF_ONE, K(ERF_ONE), a) - C(1.25), r;
  U n;
  u = ERFC_P(u);
  MINE(reduce_exp)(&r, &n, &u);
  u = C(1.0) - (C(1.0) + (r + r * r * EXP_P(r))) * POWER_OF_2(n);
  *out = SEL(a <= C(0.9), near_zero, WITH_SIGN(u, x));
}

/* -- log and pow ---------------------------------------------------------------------------------------------------------- */

/* x = 2^e m with m between the square roots of 1/2 and 2, for x above 0. */
IRK_INLINE void MINE(split_log)(T *m, T *e, const T *px) {
  const T x = *px;
  const T shifted = SEL(x < LEAST_NORMAL, x * LEAST_SHIFT, x);
  const U bits = (U)TO_BITS(shifted);
  const U n = (U)((I)(bits - SQRT_HALF_BITS) >> MANTISSA);
  *m = FROM_BITS(bits - (n << MANTISSA));
  *e = FROM_INTEGER(n) - SEL(x < LEAST_NORMAL, K(LEAST_EXPONENT), K(C(0.0)));
}

IRK_INLINE void NAME(log)(T *out, const T *px) {
  const T x = *px;
  T m, e, f, y, special;
  MINE(split_log)(&m, &e, &x);
  f = m - C(1.0);
#if IRK_BITS == 32
  y = f * f * (f * LOG_P(f) - C(0.5)) + e * LN2_LOW;
  y = e * LN2_HIGH + (f + y);
#else
  { /* log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R)), s = f / (2 + f), R = (2 atanh(s) - 2 s) / s */
    const T s = f / (C(2.0) + f), z = s * s, h = C(0.5) * f * f;
    const T tail = z * (TWO_THIRDS + z * ATANH_P(z));
    y = e * LN2_HIGH - ((h - (s * (h + tail) + e * LN2_LOW)) - f);
  }
#endif
  special = SEL(x == C(0.0), K(-(IRK_SCALAR)INFINITY), SEL(x < C(0.0), K((IRK_SCALAR)NAN), x));
  *out = SEL((x > C(0.0)) & (x < (IRK_SCALAR)INFINITY), y, special);
}

/* a b - p, exactly, where p is a b rounded (T. Dekker, "A floating-point technique for extending the available precision", 1971) */
IRK_INLINE void MINE(product_error)(T *out, const T *pa, const T *pb, const T *pp) {
  const T a = *pa, b = *pb, p = *pp;
  const T a1 = FROM_BITS(TO_BITS(a) & HIGH_HALF), b1 = FROM_BITS(TO_BITS(b) & HIGH_HALF);
  const T a2 = a - a1, b2 = b - b1;
  *out = ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2;
}

/* log(x) as a sum of two numbers, x above 0 and finite. */
IRK_INLINE void MINE(log_sum)(T *high, T *low, const T *px) {
  T m, e, f, d, s, t, p, z, cube, rest, error, sum, part;
  MINE(split_log)(&m, &e, px);
  f = m - C(1.0);
  d = f + C(2.0);
  s = f / d; /* s + t = f / (2 + f) */
  p = s * d;
  MINE(product_error)(&error, &s, &d, &p);
  t = (((f - p) - error) - s * (f - (d - C(2.0)))) / d;
  z = s * s; /* z + rest = (s + t)^2 */
  MINE(product_error)(&error, &s, &s, &z);
  rest = error + C(2.0) * s * t;
  cube = s * z; /* cube + rest = (s + t)^3 */
  MINE(product_error)(&error, &s, &z, &cube);
  rest = error + s * rest + t * z;
  p = cube * TWO_THIRDS;
  d = K(TWO_THIRDS);
  MINE(product_error)(&error, &cube, &d, &p);
  rest = error + TWO_THIRDS * rest + TWO_THIRDS_LOW * cube + cube * z * ATANH_P(z);
  /* 2 s + 2 t + 2/3 s^3 + ... + e ln(2) */
  s = s + s;
  sum = s + p;
  rest = ((p - (sum - s)) + rest) + (t + t);
  s = e * LN2_HIGH;
  p = s + sum;
  part = p - s;
  rest = (((s - (p - part)) + (sum - part)) + rest) + e * LN2_LOW;
  *high = p + rest;
  *low = rest - (*high - p);
}

IRK_INLINE void NAME(floor)(T *out, const T *px);

IRK_INLINE void NAME(pow)(T *out, const T *px, const T *py) {
  const T x = *px, y = *py, a = ABS(x), half = y * C(0.5);
  T high, low, p, error, whole, whole_half, r;
  MINE(log_sum)(&high, &low, &a);
  high = SEL((a > C(0.0)) & (a < (IRK_SCALAR)INFINITY), high, SEL(a == C(0.0), K(-(IRK_SCALAR)INFINITY), a));
  p = y * high;
  MINE(product_error)(&error, &y, &high, &p);
  error = SEL((ABS(p) < C(2.0) * EXP_HIGH), error + y * low, K(C(0.0)));
  MINE(exp_sum)(&r, &p, &error);
  NAME(floor)(&whole, &y);
  NAME(floor)(&whole_half, &half);
  r = SEL((x < C(0.0)) & (x > -(IRK_SCALAR)INFINITY) & (whole != y), K((IRK_SCALAR)NAN), r);
  r = SEL((whole == y) & (whole_half != half), FROM_BITS(TO_BITS(r) | (TO_BITS(x) & SIGN_BIT)), r);
  *out = SEL((x == C(1.0)) | (y == C(0.0)) | ((x == C(-1.0)) & (ABS(y) == (IRK_SCALAR)INFINITY)), K(C(1.0)), r);
}

/* -- sin and cos ------------------------------------------------------------------------------------------------------------ */

/* sin(quadrant pi/2 + r + low), |r| <= pi/4 and low much smaller. */
IRK_INLINE void MINE(sin_quadrant)(T *out, const T *pr, const T *plow, const U *pquadrant) {
  const T r = *pr, low = *plow, z = r * r, h = C(0.5) * z, w = C(1.0) - h;
  const U quadrant = *pquadrant;
  const T sine = r + (r * z * SIN_P(z) + low);
  const T cosine = w + (((C(1.0) - w) - h) + (z * z * COS_P(z) - r * low));
  const T y = SEL((quadrant & 1) != 0, cosine, sine);
  *out = FROM_BITS((U)TO_BITS(y) ^ ((quadrant & 2) << (IRK_BITS - 2)));
}

#if IRK_LANES == 0
/* sin(x + turn pi/2) of a large x. */
IRK_COLD T MINE(sin_large)(T x, int turn) {
  const I bits = TO_BITS(x) & ~SIGN_BIT;
  const int exponent = (int)(bits >> MANTISSA);
  irk_angle f;
  T y, angle, low, head, tail, error, half_pi = K(HALF_PI);
  U quadrant;
  int q;
  if (exponent == 2 * BIAS + 1) return x - x;
  q = irk_reduce_angle((uint64_t)((bits & (((I)1 << MANTISSA) - 1)) | (I)1 << MANTISSA), exponent - BIAS - MANTISSA, &f);
  /* head + tail is f, each of as many bits as a mantissa has. */
  head = (T)(f.high >> (63 - MANTISSA)) * POWER_OF_2(-1 - MANTISSA - f.shift);
#if IRK_BITS == 32
  tail = (T)(f.high >> (62 - 2 * MANTISSA) & (((uint64_t)1 << (MANTISSA + 1)) - 1)) * POWER_OF_2(-2 - 2 * MANTISSA - f.shift);
#else
  tail = ((T)(f.high & 2047) + (T)f.low * 0x1p-64) * POWER_OF_2(-64 - f.shift);
#endif
  if ((TO_BITS(x) < 0) != f.negative) {
    head = -head;
    tail = -tail;
  }
  if (TO_BITS(x) < 0) q = -q;
  angle = head * half_pi;
  MINE(product_error)(&error, &head, &half_pi, &angle);
  low = error + (head * HALF_PI_LOW + tail * half_pi);
  quadrant = (U)(q + turn) & 3;
  MINE(sin_quadrant)(&y, &angle, &low, &quadrant);
  return y;
}
#endif

/* sin(x + turn pi/2), turn 0 or 1. */
IRK_INLINE void MINE(sin_turned)(T *out, const T *px, int turn) {
  const T x = *px, k = x * TWO_OVER_PI + MAGIC, m = k - MAGIC;
  const U quadrant = (U)TO_BITS(k) + (unsigned)turn;
  const T r = x - m * HALF_PI_1, t = m * HALF_PI_2;
  const T u = r - t;
#if IRK_BITS == 32
  const T v = u - m * HALF_PI_3, w = v - m * HALF_PI_4;
  const T low = ((u - v) - m * HALF_PI_3) + ((v - w) - m * HALF_PI_4) - m * HALF_PI_5;
#else
  const T w = u - m * HALF_PI_3;
  const T low = (((r - u) - t) + ((u - w) - m * HALF_PI_3)) - m * HALF_PI_4;
#endif
  T y;
  MINE(sin_quadrant)(&y, &w, &low, &quadrant);
  if (turn == 0) y = SEL(x == C(0.0), x, y); /* -0 */
#if IRK_LANES == 0
  if (x > ANGLE_LIMIT || x < -ANGLE_LIMIT) y = MINE(sin_large)(x, turn);
#else
  {
    const I large = (I)(ABS(x) > ANGLE_LIMIT);
    uint32_t words[sizeof(I) / 4], any = 0;
    unsigned i;
    memcpy(words, &large, sizeof large);
    for (i = 0; i < sizeof(I) / 4; i++) any |= words[i];
    if (any) {
      int l;
      for (l = 0; l < IRK_LANES; l++)
        if (large[l]) y[l] = IRK_PASTE(irk_sin_large_, f, IRK_BITS, n)(x[l], turn);
    }
  }
#endif
  *out = y;
}

IRK_INLINE void NAME(sin)(T *out, const T *px) { MINE(sin_turned)(out, px, 0); }
IRK_INLINE void NAME(cos)(T *out, const T *px) { MINE(sin_turned)(out, px, 1); }

/* -- one operation each ------------------------------------------------------------------------------------------------------ */

#if IRK_LANES == 0
IRK_INLINE void NAME(sqrt)(T *out, const T *px) { *out = IRK_PASTE(irk_libm_sqrt_, f, IRK_BITS, )(*px); }
#else
IRK_INLINE void NAME(sqrt)(T *out, const T *px) {
  const T x = *px;
  T y;
  int l;
  for (l = 0; l < IRK_LANES; l++) y[l] = IRK_PASTE(irk_libm_sqrt_, f, IRK_BITS, )(x[l]); /* compilers make it one instruction */
  *out = y;
}
#endif

IRK_INLINE void NAME(rsqrt)(T *out, const T *px) {
  T y;
  NAME(sqrt)(&y, px);
  *out = C(1.0) / y;
}

IRK_INLINE void NAME(abs)(T *out, const T *px) { *out = ABS(*px); }

IRK_INLINE void NAME(floor)(T *out, const T *px) {
  const T x = *px, a = ABS(x), near_a = (a + SUM_LIMIT) - SUM_LIMIT;
  const T nearest = WITH_SIGN(near_a, x);
  *out = SEL(a < SUM_LIMIT, SEL(nearest > x, nearest - C(1.0), nearest), x);
}

IRK_INLINE void NAME(ceil)(T *out, const T *px) {
  const T x = *px, a = ABS(x), near_a = (a + SUM_LIMIT) - SUM_LIMIT;
  const T nearest = WITH_SIGN(near_a, x), above = nearest + C(1.0);
  *out = SEL(a < SUM_LIMIT, SEL(nearest < x, WITH_SIGN(ABS(above), x), nearest), x);
}

/* NaN where either is NaN. */
IRK_INLINE void NAME(max)(T *out, const T *pa, const T *pb) {
  const T a = *pa, b = *pb;
  *out = SEL((a > b) | (a != a), a, b);
}

IRK_INLINE void NAME(min)(T *out, const T *pa, const T *pb) {
  const T a = *pa, b = *pb;
  *out = SEL((a < b) | (a != a), a, b);
}

/* -- small floats: to f32 exactly, from f32 to nearest, ties to even ---------------------------------------------------------- */

#if IRK_BITS == 32

IRK_INLINE void SMALL_TO_F32(f16)(T *out, const SMALL(f16) *px) {
  const U x = WIDE(*px);
  const T y = FROM_BITS((x & 0x7fff) << 13) * 0x1p+112f; /* moves the exponent, subnormal numbers included */
  const U bits = (U)TO_BITS(y);
  *out = FROM_BITS(SEL_BITS((x & 0x7c00) == 0x7c00, 0x7f800000, bits & 0) | bits | (x & 0x8000) << 16);
}

IRK_INLINE void SMALL_TO_F32(bf16)(T *out, const SMALL(bf16) *px) { *out = FROM_BITS(WIDE(*px) << 16); }

IRK_INLINE void SMALL_TO_F32(f8e5m2)(T *out, const SMALL(f8e5m2) *px) {
  const U x = WIDE(*px);
  const T y = FROM_BITS((x & 0x7f) << 21) * 0x1p+112f;
  const U bits = (U)TO_BITS(y);
  *out = FROM_BITS(SEL_BITS((x & 0x7c) == 0x7c, 0x7f800000, bits & 0) | bits | (x & 0x80) << 24);
}

IRK_INLINE void SMALL_TO_F32(f8e4m3)(T *out, const SMALL(f8e4m3) *px) {
  const U x = WIDE(*px);
  const T y = FROM_BITS((x & 0x7f) << 20) * 0x1p+120f;
  const U bits = (U)TO_BITS(y);
  *out = FROM_BITS(SEL_BITS((x & 0x7f) == 0x7f, 0x7fc00000, bits) | (x & 0x80) << 24);
}

/* No infinities and no negative zero, whose bits are NaN. */
#define FNUZ_TO_F32(name, shift, scale) \
  IRK_INLINE void SMALL_TO_F32(name)(T *out, const SMALL(name) *px) { \
    const U x = WIDE(*px); \
    const T y = FROM_BITS((x & 0x7f) << shift) * scale; \
    const U bits = (U)TO_BITS(y); \
    *out = FROM_BITS(SEL_BITS(x == 0x80, 0xffc00000u, bits | (x & 0x80) << 24)); \
  }
FNUZ_TO_F32(f8e4m3fnuz, 20, 0x1p+119f)
FNUZ_TO_F32(f8e5m2fnuz, 21, 0x1p+111f)
#undef FNUZ_TO_F32

IRK_INLINE void SMALL_TO_F32(f4e2m1)(T *out, const SMALL(f4e2m1) *px) {
  const U x = WIDE(*px);
  const T y = FROM_BITS((x & 7) << 22) * 0x1p+126f;
  *out = FROM_BITS((U)TO_BITS(y) | (x & 8) << 28);
}

/* Powers of two without a sign, the least of them a subnormal number of f32. */
IRK_INLINE void SMALL_TO_F32(f8e8m0)(T *out, const SMALL(f8e8m0) *px) {
  const U x = WIDE(*px);
  const U bits = SEL_BITS(x == 0, 0x00400000, x << 23);
  *out = FROM_BITS(SEL_BITS(x == 0xff, 0x7fc00000, bits));
}

/* `digits` of mantissa; `least`, the exponent of the least normal number; numbers whose bits exceed `greatest` become
 * `over`. Subnormal results are rounded by adding a number whose last bit is the least subnormal one. `sign` adds the
 * sign. */
#define FROM_F32(name, width, digits, least, greatest, over, nan_bits, sign) \
  IRK_INLINE void F32_TO_SMALL(name)(SMALL(name) *out, const T *px) { \
    const U x = (U)TO_BITS(*px), a = x & 0x7fffffff; \
    const U rounded = a + ((1u << (22 - digits)) - 1u) + ((a >> (23 - digits)) & 1u); \
    const T sum = FROM_BITS(a) + IRK_FLOAT_POWER(least - digits + 23); \
    const U small = (U)TO_BITS(sum) - ((uint32_t)(least - digits + 23 + 127) << 23); \
    U y = (rounded - ((uint32_t)(least - 1 + 127) << 23)) >> (23 - digits); \
    y = SEL_BITS(y > greatest, over, y); \
    y = SEL_SMALL(a < ((uint32_t)(least + 127) << 23), small, y); \
    y = SEL_BITS(a > 0x7f800000u, nan_bits, y); \
    y = sign(y, (x >> 31) << (width - 1)); \
    *out = NARROW(y, name); \
  }
#define IRK_FLOAT_POWER(n) irk_float_f32((n + 127) << 23)
#define SIGNED(y, bit) ((y) | (bit))
#define FNUZ(y, bit) SEL_BITS((y) == 0, 0, (y) | (bit))
#define NO_NAN(y, bit) SEL_BITS(a > 0x7f800000u, 0, (y) | (bit)) /* NaN becomes zero */
#if IRK_LANES == 0
#define SEL_SMALL(mask, a, b) ((mask) ? (a) : (b))
#else
#define SEL_SMALL(mask, a, b) (((U)(mask) & ((a) ^ (b))) ^ (b))
#endif
FROM_F32(f16, 16, 10, -14, 0x7bffu, 0x7c00u, 0x7e00u, SIGNED)
FROM_F32(f8e5m2, 8, 2, -14, 0x7bu, 0x7cu, 0x7eu, SIGNED)
FROM_F32(f8e4m3, 8, 3, -6, 0x7eu, 0x7fu, 0x7fu, SIGNED)
FROM_F32(f8e4m3fnuz, 8, 3, -7, 0x7fu, 0x80u, 0x80u, FNUZ)
FROM_F32(f8e5m2fnuz, 8, 2, -15, 0x7fu, 0x80u, 0x80u, FNUZ)
FROM_F32(f4e2m1, 4, 1, 0, 7u, 7u, 0u, NO_NAN)
#undef FROM_F32
#undef SIGNED
#undef FNUZ
#undef NO_NAN
#undef IRK_FLOAT_POWER
#undef SEL_SMALL

/* To the nearest power of two, of two as near to the greater; what is less than 2^-126, and greater than 2^-127, becomes
 * 2^-126, as ml_dtypes has it. NaN for what is not above zero, or too large. */
IRK_INLINE void F32_TO_SMALL(f8e8m0)(SMALL(f8e8m0) *out, const T *px) {
  const U x = (U)TO_BITS(*px);
  U y = (x + 0x400000) >> 23;
  y = SEL_BITS(x < 0x800000, SEL_BITS(x <= 0x400000, 0, 1), y);
  y = SEL_BITS((x == 0) | (x > 0x7f800000), 0xff, y);
  *out = NARROW(y, f8e8m0);
}

IRK_INLINE void F32_TO_SMALL(bf16)(SMALL(bf16) *out, const T *px) {
  const U x = (U)TO_BITS(*px);
  U y = (x + 0x7fff + ((x >> 16) & 1)) >> 16;
  y = SEL_BITS((x & 0x7fffffff) > 0x7f800000, 0x7fc0, y);
  *out = NARROW(y, bf16);
}

#endif

#undef C
#undef IRK_SCALAR
#undef NAME
#undef MINE
#undef T
#undef I
#undef U
#undef TO_BITS
#undef FROM_BITS
#undef K
#undef SEL
#undef SEL_BITS
#undef WIDE
#undef NARROW
#undef SMALL_TO_F32
#undef F32_TO_SMALL
#undef SMALL
#undef LANED
#undef SIGN_BIT
#undef MANTISSA
#undef BIAS
#undef MAGIC
#undef MAGIC_BITS
#undef LOG2_E
#undef LN2_HIGH
#undef LN2_LOW
#undef LEAST_NORMAL
#undef EXP_LOW
#undef EXP_HIGH
#undef TANH_ONE
#undef ERF_ONE
#undef LEAST_SHIFT
#undef LEAST_EXPONENT
#undef SUM_LIMIT
#undef ANGLE_LIMIT
#undef TWO_OVER_PI
#undef HALF_PI_1
#undef HALF_PI_2
#undef HALF_PI_3
#undef HALF_PI_4
#undef HALF_PI_5
#undef HALF_PI
#undef HALF_PI_LOW
#undef SQRT_HALF_BITS
#undef HIGH_HALF
#undef EXP_P
#undef SIN_P
#undef COS_P
#undef ERF_P
#undef ERFC_P
#undef ATANH_P
#undef TWO_THIRDS
#undef TWO_THIRDS_LOW
#undef LOG_P
#undef ABS
#undef WITH_SIGN
#undef POWER_OF_2
#undef FROM_INTEGER
#undef IRK_BITS
