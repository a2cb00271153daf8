/* Vectors of 8 floats, by the vector types of GCC and Clang: no intrinsics. */
#ifndef KERASRNN_VECTOR_H
#define KERASRNN_VECTOR_H

#include "loops.h"

#include <string.h>

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));

/* Everything that computes is compiled twice, for any machine and for one with AVX2 and FMA, from
 * one body: an always-inline function whose first argument "avx2" is a constant. The compiler
 * inlines it, and what it calls, into two functions, one of which has this attribute. */
#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#else
#define AVX2
#endif

INLINE int has_avx2(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

INLINE v8 load(const float *from) {
    v8 value;
    memcpy(&value, from, sizeof value);
    return value;
}

INLINE void store(float *to, v8 value) { memcpy(to, &value, sizeof value); }

/* Slot i of a tape. */
INLINE v8 saved(const float *tape, int i) { return load(tape + 8 * i); }
INLINE void save(float *tape, int i, v8 value) { store(tape + 8 * i, value); }

/* The first 8 of that many floats; missing ones are 0 and not read. */
INLINE v8 load_some(const float *from, int64_t number) {
    v8 value = {};
    if (number >= 8) return load(from);
    for (int64_t i = 0; i < number; i++) value[i] = from[i];
    return value;
}

INLINE void store_some(float *to, v8 value, int64_t number) {
    if (number >= 8) store(to, value);
    else
        for (int64_t i = 0; i < number; i++) to[i] = value[i];
}

/* Prefetch that many floats into the cache. */
INLINE void prefetch(const float *from, int64_t number) {
    for (int64_t i = 0; i < number; i += 16) __builtin_prefetch(from + i);
}

INLINE v8 pick(i8 where, v8 yes, v8 no) {
    return (v8)((where & (i8)yes) | (~where & (i8)no));
}

/* x P(x²) / Q(x²), fitted by scripts/fit_tanh.py to a relative error of 2e-8 for |x| ≤ 9, beyond
 * which tanh is 1 in float32. NaN stays NaN. */
INLINE v8 tanh8(v8 x) {
    const v8 end = (v8){} + 9.0f;
    x = pick(x > end, end, pick(x < -end, -end, x));
    v8 s = x * x;
    v8 p = 2.06092105e-05f + s * 1.33548164e-08f;
    v8 q = 0.000328564829f + s * 7.7766264e-07f;
    p = 0.00349559673f + s * p;
    q = 0.0258770159f + s * q;
    p = 0.133810332f + s * p;
    q = 0.467143488f + s * q;
    p = 0.99999998f + s * p;
    q = 1.0f + s * q;
    return x * p / q;
}

INLINE v8 sigmoid8(v8 x) { return 0.5f + 0.5f * tanh8(0.5f * x); }

#endif
