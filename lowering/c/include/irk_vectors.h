/* Vector types of IRK_LANES lanes, choice by mask, casts to integers, and the functions of irk_functions.h on them. */

#define IRK_NAMED(name) IRK_PASTE(irk_, name, x, IRK_LANES)
#define IRK_NAMED_U(name) IRK_PASTE(irk_, name, x, IRK_PASTE(IRK_LANES, u, , ))

/* irk_NAMExN and the same at any address. */
#define IRK_VECTOR(name, ctype) \
  typedef ctype IRK_NAMED(name) __attribute__((vector_size(IRK_LANES * sizeof(ctype)))); \
  typedef ctype IRK_NAMED_U(name) __attribute__((vector_size(IRK_LANES * sizeof(ctype)), aligned(sizeof(ctype)), may_alias));
IRK_VECTOR(f64, double)
IRK_VECTOR(f32, float)
IRK_VECTOR(f16, irk_f16)
IRK_VECTOR(bf16, irk_bf16)
IRK_VECTOR(f8e4m3, irk_f8e4m3)
IRK_VECTOR(f8e5m2, irk_f8e5m2)
IRK_VECTOR(f8e4m3fnuz, irk_f8e4m3fnuz)
IRK_VECTOR(f8e5m2fnuz, irk_f8e5m2fnuz)
IRK_VECTOR(f8e8m0, irk_f8e8m0)
IRK_VECTOR(f4e2m1, irk_f4e2m1)
IRK_VECTOR(i64, int64_t)
IRK_VECTOR(i32, int32_t)
IRK_VECTOR(i16, int16_t)
IRK_VECTOR(i8, int8_t)
IRK_VECTOR(u64, uint64_t)
IRK_VECTOR(u32, uint32_t)
IRK_VECTOR(u16, uint16_t)
IRK_VECTOR(u8, uint8_t)
IRK_VECTOR(i1, int32_t)
#undef IRK_VECTOR

/* irk_select_NAMExN(&out, &mask, &a, &b): a where the mask is -1, b where it is 0. */
#define IRK_SELECT(name, bits) \
  IRK_INLINE void IRK_PASTE(irk_select_, name, x, IRK_LANES)(IRK_NAMED(name) *out, const IRK_NAMED(i1) *mask, const IRK_NAMED(name) *a, const IRK_NAMED(name) *b) { \
    const IRK_NAMED(bits) m = __builtin_convertvector(*mask, IRK_NAMED(bits)); \
    *out = (IRK_NAMED(name))((m & ((IRK_NAMED(bits))*a ^ (IRK_NAMED(bits))*b)) ^ (IRK_NAMED(bits))*b); \
  }
IRK_SELECT(f64, i64)
IRK_SELECT(f32, i32)
IRK_SELECT(f16, i16)
IRK_SELECT(bf16, i16)
IRK_SELECT(f8e4m3, i8)
IRK_SELECT(f8e5m2, i8)
IRK_SELECT(f8e4m3fnuz, i8)
IRK_SELECT(f8e5m2fnuz, i8)
IRK_SELECT(f8e8m0, i8)
IRK_SELECT(f4e2m1, i8)
IRK_SELECT(i64, i64)
IRK_SELECT(i32, i32)
IRK_SELECT(i16, i16)
IRK_SELECT(i8, i8)
#undef IRK_SELECT

#define IRK_BITS 32
#include "irk_functions.h"
#define IRK_BITS 64
#include "irk_functions.h"

/* irk_f32_to_i8xN(&out, &x): truncated, saturated, NaN to 0. `same` is the integer of the float's width. */
#define IRK_TO_INTEGER(from, same, ctype, to, itype, low, high, above) \
  IRK_INLINE void IRK_PASTE(irk_##from##_to_, to, x, IRK_LANES)(IRK_NAMED(to) *out, const IRK_NAMED(from) *px) { \
    const IRK_NAMED(from) x = *px; \
    const IRK_NAMED(same) over = (IRK_NAMED(same))(x >= (ctype)(above)), under = (IRK_NAMED(same))(x <= (ctype)(low)); \
    const IRK_NAMED(same) inside = ~(over | under) & (IRK_NAMED(same))(x == x); \
    const IRK_NAMED(to) y = __builtin_convertvector((IRK_NAMED(from))((IRK_NAMED(same))x & inside), IRK_NAMED(to)); \
    *out = y | (__builtin_convertvector(over, IRK_NAMED(to)) & (itype)(high)) | (__builtin_convertvector(under, IRK_NAMED(to)) & (itype)(low)); \
  }
#define IRK_TO_INTEGERS(from, same, ctype) \
  IRK_TO_INTEGER(from, same, ctype, i8, int8_t, INT8_MIN, INT8_MAX, 128.0) \
  IRK_TO_INTEGER(from, same, ctype, i16, int16_t, INT16_MIN, INT16_MAX, 32768.0) \
  IRK_TO_INTEGER(from, same, ctype, i32, int32_t, INT32_MIN, INT32_MAX, 2147483648.0) \
  IRK_TO_INTEGER(from, same, ctype, i64, int64_t, INT64_MIN, INT64_MAX, 9223372036854775808.0) \
  IRK_TO_INTEGER(from, same, ctype, u8, uint8_t, 0, UINT8_MAX, 256.0) \
  IRK_TO_INTEGER(from, same, ctype, u16, uint16_t, 0, UINT16_MAX, 65536.0) \
  IRK_TO_INTEGER(from, same, ctype, u32, uint32_t, 0, UINT32_MAX, 4294967296.0) \
  IRK_TO_INTEGER(from, same, ctype, u64, uint64_t, 0, UINT64_MAX, 18446744073709551616.0)
IRK_TO_INTEGERS(f32, i32, float)
IRK_TO_INTEGERS(f64, i64, double)
#undef IRK_TO_INTEGERS
#undef IRK_TO_INTEGER
#undef IRK_NAMED
#undef IRK_NAMED_U
#undef IRK_LANES
