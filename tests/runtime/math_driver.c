/* Applies each function of irk_math.h to arrays, in vectors of LANES and numbers for what is left; LANES 0: numbers alone. */
#include "irk_math.h"

#define PASTE_(a, b, c) a##b##c
#define PASTE(a, b, c) PASTE_(a, b, c)

#if LANES == 0
#define UNARY(op, f, ctype) \
  void op##_##f(const ctype *x, ctype *y, long n) { for (long i = 0; i < n; i++) y[i] = irk_##op##_##f(x[i]); }
#define BINARY(op, f, ctype) \
  void op##_##f(const ctype *a, const ctype *b, ctype *y, long n) { for (long i = 0; i < n; i++) y[i] = irk_##op##_##f(a[i], b[i]); }
#define CAST(from, to, ctype, rtype) \
  void from##_to_##to(const ctype *x, rtype *y, long n) { for (long i = 0; i < n; i++) y[i] = irk_##from##_to_##to(x[i]); }
#else
#define V(name) PASTE(irk_, name##x, LANES)
#define VU(name) PASTE(irk_, name##x, PASTE(LANES, u, ))
#define UNARY(op, f, ctype) \
  void op##_##f(const ctype *x, ctype *y, long n) { \
    long i = 0; \
    for (; i + LANES <= n; i += LANES) { V(f) v = *(const VU(f) *)(x + i); V(op##_##f)(&v, &v); *(VU(f) *)(y + i) = v; } \
    for (; i < n; i++) y[i] = irk_##op##_##f(x[i]); \
  }
#define BINARY(op, f, ctype) \
  void op##_##f(const ctype *a, const ctype *b, ctype *y, long n) { \
    long i = 0; \
    for (; i + LANES <= n; i += LANES) { \
      V(f) u = *(const VU(f) *)(a + i), v = *(const VU(f) *)(b + i); V(op##_##f)(&v, &u, &v); *(VU(f) *)(y + i) = v; } \
    for (; i < n; i++) y[i] = irk_##op##_##f(a[i], b[i]); \
  }
#define CAST(from, to, ctype, rtype) \
  void from##_to_##to(const ctype *x, rtype *y, long n) { \
    long i = 0; \
    for (; i + LANES <= n; i += LANES) { \
      V(from) u = *(const VU(from) *)(x + i); V(to) v; V(from##_to_##to)(&v, &u); *(VU(to) *)(y + i) = v; } \
    for (; i < n; i++) y[i] = irk_##from##_to_##to(x[i]); \
  }
#endif

#define FLOATS(f, ctype) \
  UNARY(exp, f, ctype) UNARY(log, f, ctype) UNARY(tanh, f, ctype) UNARY(erf, f, ctype) UNARY(sin, f, ctype) UNARY(cos, f, ctype) \
  UNARY(sigmoid, f, ctype) UNARY(sqrt, f, ctype) UNARY(rsqrt, f, ctype) UNARY(abs, f, ctype) UNARY(floor, f, ctype) \
  UNARY(ceil, f, ctype) BINARY(min, f, ctype) BINARY(max, f, ctype) BINARY(pow, f, ctype) \
  CAST(f, i8, ctype, int8_t) CAST(f, i16, ctype, int16_t) CAST(f, i32, ctype, int32_t) CAST(f, i64, ctype, int64_t) \
  CAST(f, u8, ctype, uint8_t) CAST(f, u16, ctype, uint16_t) CAST(f, u32, ctype, uint32_t) CAST(f, u64, ctype, uint64_t)
FLOATS(f32, float)
FLOATS(f64, double)
#define SMALL(name) CAST(name, f32, irk_##name, float) CAST(f32, name, float, irk_##name)
SMALL(f16)
SMALL(bf16)
SMALL(f8e4m3)
SMALL(f8e5m2)
SMALL(f8e4m3fnuz)
SMALL(f8e5m2fnuz)
SMALL(f8e8m0)
SMALL(f4e2m1)

#define INTEGER(op, bits) \
  void op##_i##bits(const int##bits##_t *a, const int##bits##_t *b, int##bits##_t *y, long n) { \
    for (long i = 0; i < n; i++) y[i] = irk_##op##_i##bits(a[i], b[i]); \
  }
#define INTEGERS(bits) \
  INTEGER(floordiv, bits) INTEGER(mod, bits) INTEGER(udiv, bits) INTEGER(umod, bits) INTEGER(ipow, bits) INTEGER(upow, bits)
INTEGERS(8)
INTEGERS(16)
INTEGERS(32)
INTEGERS(64)

void random_bits(uint32_t k0, uint32_t k1, uint32_t *y, long n) { for (long i = 0; i < n; i++) y[i] = irk_random_bits(k0, k1, (uint64_t)i); }
void random_uniform(uint32_t k0, uint32_t k1, float *y, long n) { for (long i = 0; i < n; i++) y[i] = irk_random_uniform(k0, k1, (uint64_t)i); }
void random_normal(uint32_t k0, uint32_t k1, float *y, long n) { for (long i = 0; i < n; i++) y[i] = irk_random_normal(k0, k1, (uint64_t)i); }
