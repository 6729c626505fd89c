/** What every generated program begins with: types, vectors where the compiler has them, rounding. C99; GNU extensions only where there are some. */
export const prelude = `#include <stdint.h>
#include <math.h>

#if defined(__GNUC__)
#define ALIAS __attribute__((may_alias))
#define ALIGNED __attribute__((aligned(64)))
#define MAYBE_UNUSED __attribute__((unused))
#else
#define ALIAS
#define ALIGNED
#define MAYBE_UNUSED
#endif

typedef float ALIAS f32;
typedef int8_t i8;
typedef uint8_t u8;
typedef int16_t ALIAS i16;
typedef uint16_t ALIAS u16;
typedef int32_t ALIAS i32;
typedef uint32_t ALIAS u32;
typedef int64_t ALIAS i64;

/* Lanes of a vector register: 16 pixels are computed at a time, in 1, 2 or 4 registers. Define MODEL_LANES=0 for plain loops. */
#if !defined(MODEL_LANES)
#if !defined(__GNUC__) || defined(__ARM_ARCH_6M__) || (defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M')
#define MODEL_LANES 0
#elif defined(__AVX512F__)
#define MODEL_LANES 16
#elif defined(__AVX__)
#define MODEL_LANES 8
#else
#define MODEL_LANES 4
#endif
#endif
#if MODEL_LANES > 0
typedef f32 vf __attribute__((vector_size(4 * MODEL_LANES), aligned(4), may_alias));
typedef i32 vi __attribute__((vector_size(4 * MODEL_LANES), aligned(4), may_alias));
typedef i16 vs __attribute__((vector_size(2 * MODEL_LANES), aligned(2), may_alias));
#endif

static inline MAYBE_UNUSED f32 clampf(f32 v, f32 lo, f32 hi) { return v < lo ? lo : v > hi ? hi : v; }
static inline MAYBE_UNUSED i32 clampi(i32 v, i32 lo, i32 hi) { return v < lo ? lo : v > hi ? hi : v; }

/* Nearest whole number, halves to the even one; the sum leaves no room for the fraction. */
static inline MAYBE_UNUSED i32 nearest(f32 v) {
  f32 near = clampf(v, -2097152.0f, 2097152.0f) + 12582912.0f;
  return v != v ? 0 : (i32)(near - 12582912.0f);
}
static inline MAYBE_UNUSED f32 dequantize(i32 q, i32 zero, f32 scale) { return (f32)(q - zero) * scale; }
static inline MAYBE_UNUSED i32 quantize(f32 v, f32 scale, i32 zero, i32 lo, i32 hi) {
  return clampi(nearest(v / scale) + zero, lo, hi);
}
`;
