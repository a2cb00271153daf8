/* LSTM, GRU and simple recurrent layers on a CPU: the loops over time, forward and backward.
 *
 * Inputs (but those of few rows) and states are multiplied step by step, and the gates are applied
 * while the products are still in registers; the gradients of the weights are products over all
 * steps at once.
 * Inside, units come in panels of 8, padded with zeros: a row of gates is [panels][gates][8],
 * "columns" numbers in all, and a row of states [panels][8]. Rows of a batch know nothing of each
 * other, so they are shared out among threads.
 */
#include "loops.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));

enum { AT_ONCE = 128 }; /* rows or columns multiplied at a time: they stay in cache */
enum { FEW_ROWS = 4 };  /* so many, not more, have a loop of their own */
enum { CHUNKS = 4 };    /* of the panels, for each thread that shares a step */
enum { WORTH_A_THREAD = 2000000 }; /* multiplications; less is done sooner than handed over */
enum { WORTH_A_STEP = 30000 };     /* of a step, for each thread that shares it */

/* Where in time the step lies that is read so many steps after the first. */
INLINE int64_t time_of(const Loop *p, int64_t step) {
    return p->reverse ? p->steps - 1 - step : step;
}

/* Where in out the values of a row and step begin. */
INLINE int64_t out_of(const Loop *p, int64_t row, int64_t step) {
    const int64_t place = p->second ? p->steps - 1 - step : step;
    return ((row * p->steps + place) * p->joined + p->second) * p->units;
}

/* Room for a row of so many, in eights: no power of two, which caches bear badly. */
INLINE int64_t row_of(int64_t number) { return 8 * panels_of(number) + 24; }

INLINE v8 load(const float *from) {
    v8 value;
    memcpy(&value, from, sizeof value);
    return value;
}

INLINE void store(float *to, v8 value) { memcpy(to, &value, sizeof value); }

/* The first of 8 numbers, as many as there are; the others are 0 and not touched. */
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

/* Fetch so many numbers, of the step that comes next, into the cache. */
INLINE void fetch(const float *from, int64_t number) {
    for (int64_t i = 0; i < number; i += 16) __builtin_prefetch(from + i);
}

INLINE v8 pick(i8 where, v8 yes, v8 no) {
    return (v8)((where & (i8)yes) | (~where & (i8)no));
}

/* x P(x²) / Q(x²), fitted to a relative error of 2e-8 on |x| ≤ 9, where tanh is 1 in float32; NaN
 * stays NaN. */
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

/* --- products of matrices -----------------------------------------------------------------
 *
 * sums[R][G] += a[R][k] u[k][G], where G counts vectors of 8: element (r, j) of a lies at
 * r * row + j * column, vector (j, g) of u at j * along + g * across. One function for each shape,
 * so that the compiler holds all sums in registers. */
#define PARAMETERS                                                                             \
    v8 *restrict sums, const float *restrict a, int64_t row, int64_t column, int64_t k,        \
        const float *restrict u, int64_t along, int64_t across
#define ARGUMENTS sums, a, row, column, k, u, along, across

INLINE void in_registers(const int R, const int G, PARAMETERS) {
    v8 held[12];
#pragma GCC unroll 16
    for (int i = 0; i < R * G; i++) held[i] = sums[i];
    for (int64_t j = 0; j < k; j++, a += column, u += along) {
#pragma GCC unroll 16
        for (int g = 0; g < G; g++) {
            const v8 vector = load(u + g * across);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) held[r * G + g] += a[r * row] * vector;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < R * G; i++) sums[i] = held[i];
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#else
#define AVX2
#endif
#define APART static __attribute__((noinline))
#define SHAPE(R, G)                                                              \
    APART void product_##R##_##G(PARAMETERS) { in_registers(R, G, ARGUMENTS); }  \
    AVX2 APART void product_##R##_##G##_avx2(PARAMETERS) { in_registers(R, G, ARGUMENTS); }
SHAPE(3, 4) SHAPE(1, 4) SHAPE(3, 3) SHAPE(1, 3) SHAPE(4, 2) SHAPE(1, 2) SHAPE(6, 1) SHAPE(1, 1)

INLINE void product(const int avx2, const int R, const int G, PARAMETERS) {
#define CASE(rows, vectors)                                      \
    case 16 * rows + vectors:                                    \
        if (avx2) product_##rows##_##vectors##_avx2(ARGUMENTS);  \
        else product_##rows##_##vectors(ARGUMENTS);              \
        break;
    switch (16 * R + G) {
        CASE(3, 4) CASE(1, 4) CASE(3, 3) CASE(1, 3) CASE(4, 2) CASE(1, 2) CASE(6, 1) CASE(1, 1)
    }
}

/* to[R][width] = or += a[R][k] u, vectors of u as for the products; width ≤ 8 G, or more. */
INLINE void tile(const int avx2, const int R, const int G, float *to, int64_t stride, int64_t width,
                 const float *a, int64_t row, int64_t column, int64_t k, const float *u,
                 int64_t along, int64_t across, int add) {
    v8 sums[12];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int g = 0; g < G; g++)
            sums[r * G + g] = add ? load_some(to + r * stride + 8 * g, width - 8 * g) : (v8){};
    product(avx2, R, G, sums, a, row, column, k, u, along, across);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int g = 0; g < G; g++)
            store_some(to + r * stride + 8 * g, sums[r * G + g], width - 8 * g);
}

/* to[rows][width] = or += a[rows][columns] u, with u packed [panels of width][columns][8]. */
INLINE void back_product(const int avx2, float *to, int64_t rows, int64_t stride, int64_t width,
                         const float *a, int64_t a_stride, int64_t columns, const float *u, int add) {
    const int64_t panels = panels_of(width);
    for (int64_t from = 0; from < columns; from += AT_ONCE) {
        const int64_t k = least(columns - from, AT_ONCE);
        for (int64_t panel = 0; panel < panels; panel += 4) {
            const float *of = u + (panel * columns + from) * 8;
            float *at = to + panel * 8;
            const int64_t wide = width - panel * 8;
            int64_t row = 0;
#define TILES(R, G)                                                                          \
    for (; row + R <= rows; row += R)                                                        \
        tile(avx2, R, G, at + row * stride, stride, wide, a + row * a_stride + from, a_stride, 1, \
             k, of, 8, columns * 8, add || from);
            switch (least(panels - panel, 4)) {
                case 4: TILES(3, 4) TILES(1, 4) break;
                case 3: TILES(3, 3) TILES(1, 3) break;
                case 2: TILES(4, 2) TILES(1, 2) break;
                default: TILES(6, 1) TILES(1, 1)
            }
        }
    }
}

/* to[width][columns] += aᵀ d, and sums[columns] += the rows of d: so many rows of
 * d [rows][panels][G][8] and of a, whose elements lie in eights: at row * stride + i / 8 * apart +
 * i % 8. close: room for AT_ONCE rows of a. */
INLINE void weights_gradient(const int avx2, const int R, const int G, float *to, float *sums,
                             const float *a, int64_t stride, int64_t apart, int64_t width,
                             const float *d, int64_t rows, int64_t columns, float *close) {
    const int64_t beside = row_of(width);
    v8 some[AT_ONCE * 4]; /* of d: as many rows of a panel */
    for (int64_t from = 0; from < rows; from += AT_ONCE) {
        const int64_t k = least(rows - from, AT_ONCE);
        for (int64_t j = 0; j < k; j++)
            for (int64_t i = 0; i < width; i += 8)
                store(close + j * beside + i,
                      load_some(a + (from + j) * stride + i / 8 * apart, width - i));
        for (int64_t at = 0; at < columns; at += 8 * G) {
            v8 total[4] = {};
            for (int64_t j = 0; j < k; j++)
#pragma GCC unroll 16
                for (int g = 0; g < G; g++)
                    total[g] += some[j * G + g] = load(d + (from + j) * columns + at + 8 * g);
            for (int g = 0; g < G; g++)
                store(sums + at + 8 * g, load(sums + at + 8 * g) + total[g]);
            int64_t i = 0;
#define DOWN(R)                                                                             \
    for (; i + R <= width; i += R)                                                          \
        tile(avx2, R, G, to + i * columns + at, columns, 8 * G, close + i, 1, beside, k,    \
             (const float *)some, 8 * G, 8, 1);
            DOWN(R)
            DOWN(1)
        }
    }
}

/* --- weights, as Keras has them and as the products want them --------------------------------- */

/* A panel of weights [rows][gates][units] as [rows][gates][8], for the way forward. */
INLINE void pack_panel(float *to, const float *from, int64_t rows, int64_t gates, int64_t units,
                       int64_t panel) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t g = 0; g < gates; g++, to += 8)
            store(to, load_some(from + (row * gates + g) * units + 8 * panel, units - 8 * panel));
}

/* All panels, one after the other. */
static void pack(float *to, const float *from, int64_t rows, int64_t gates, int64_t units) {
    for (int64_t panel = 0; panel < panels_of(units); panel++)
        pack_panel(to + panel * rows * gates * 8, from, rows, gates, units, panel);
}

/* Weights [rows][gates][units] as [panels of rows][columns][8], for the way back. */
static void pack_back(float *to, const float *from, int64_t rows, int64_t gates, int64_t units) {
    for (int64_t start = 0; start < rows; start += 8)
        for (int64_t panel = 0; panel < panels_of(units); panel++)
            for (int64_t g = 0; g < gates; g++)
                for (int64_t unit = 8 * panel; unit < 8 * panel + 8; unit++)
                    for (int64_t row = start; row < start + 8; row++)
                        *to++ = row < rows && unit < units
                                    ? from[(row * gates + g) * units + unit]
                                    : 0;
}

/* Weights [rows][columns] as [rows][gates][units]. */
static void unpack(float *to, const float *from, int64_t rows, int64_t gates, int64_t units) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t panel = 0; panel < panels_of(units); panel++)
            for (int64_t g = 0; g < gates; g++, from += 8)
                store_some(to + (row * gates + g) * units + 8 * panel, load(from),
                           units - 8 * panel);
}

/* --- forward ------------------------------------------------------------------------------ */

typedef struct {
    float *memory;                /* of all that lies here */
    float *h, *h_new, *c, *shown; /* of one step, [rows][panels][8] */
    float *bias, *state_bias;     /* packed */
    const float *w, *u;           /* packed, or as Keras has them */
    int64_t panel_of_u, along, across; /* from a panel, a unit and a gate of u to the next */
    float *sums; /* few rows: bias and product of the input, [rows][AT_ONCE][columns], else NULL */
} Forward;

INLINE void forward_tile(const int avx2, const Loop *p, const int cell, const int G, const int R,
                         int64_t row, int64_t panel, int64_t step, const Forward *s) {
    const int64_t panels = panels_of(p->units), width = 8 * panels;
    const int64_t t = time_of(p, step);
    v8 sums[12], state[12];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int g = 0; g < G; g++) {
            const int64_t then = ((row + r) * AT_ONCE + step % AT_ONCE) * panels;
            sums[r * G + g] = load(s->sums ? s->sums + ((then + panel) * G + g) * 8
                                           : s->bias + (panel * G + g) * 8);
            if (cell == GRU) state[r * G + g] = load(s->state_bias + (panel * G + g) * 8);
        }
    if (!s->sums)
        product(avx2, R, G, sums, p->x + (row * p->steps + t) * p->inputs, p->steps * p->inputs, 1,
                p->inputs, s->w + panel * p->inputs * G * 8, 8 * G, 8);
    product(avx2, R, G, cell == GRU ? state : sums, s->h + row * width, width, 1, p->units,
            s->u + panel * s->panel_of_u, s->along, s->across);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        const int64_t i = row + r, there = i * width + 8 * panel, then = i * p->steps + t;
        const v8 h_old = load(s->h + there);
        v8 h_next, c_old = {}, c_next = {};
        const int K = kept_of(cell);
        float *kept = p->kept ? p->kept + (then * panels + panel) * K * 8 : NULL;
        if (kept) fetch(kept + (p->reverse ? -1 : 1) * panels * K * 8, K * 8);
        if (cell == LSTM) {
            v8 in = sigmoid8(sums[r * G]), forget = sigmoid8(sums[r * G + 1]);
            v8 new = tanh8(sums[r * G + 2]), out = sigmoid8(sums[r * G + 3]);
            c_old = load(s->c + there);
            c_next = forget * c_old + in * new;
            h_next = out * tanh8(c_next);
            if (kept) {
                store(kept, in), store(kept + 8, forget), store(kept + 16, new);
                store(kept + 24, out), store(kept + 32, h_old), store(kept + 40, c_old);
            }
        } else if (cell == GRU) {
            v8 keep = sigmoid8(sums[r * G] + state[r * G]);
            v8 reset = sigmoid8(sums[r * G + 1] + state[r * G + 1]);
            v8 new = tanh8(sums[r * G + 2] + reset * state[r * G + 2]);
            h_next = new + keep * (h_old - new);
            if (kept) {
                store(kept, keep), store(kept + 8, reset), store(kept + 16, new);
                store(kept + 24, state[r * G + 2]), store(kept + 32, h_old);
            }
        } else {
            h_next = tanh8(sums[r]);
            if (kept) store(kept, h_next), store(kept + 8, h_old);
        }
        v8 shown = h_next;
        if (p->mask) {
            if (!p->mask[then]) {
                h_next = h_old, c_next = c_old;
                shown = p->zero_masked ? (v8){} : load(s->shown + there);
            }
            store(s->shown + there, shown);
        }
        store(s->h_new + there, h_next);
        if (cell == LSTM) store(s->c + there, c_next);
        if (p->out)
            store_some(p->out + out_of(p, i, step) + 8 * panel, shown, p->units - 8 * panel);
    }
}

INLINE void widen(float *to, const float *from, int64_t rows, int64_t units) {
    const int64_t width = 8 * panels_of(units);
    for (int64_t row = 0; row < rows; row++) {
        memcpy(to + row * width, from + row * units, sizeof(float) * units);
        memset(to + row * width + units, 0, sizeof(float) * (width - units));
    }
}

INLINE void narrow(float *to, const float *from, int64_t rows, int64_t units) {
    const int64_t width = 8 * panels_of(units);
    for (int64_t row = 0; row < rows; row++)
        memcpy(to + row * units, from + row * width, sizeof(float) * units);
}

/* Whether any row has something to read at a step; a batch ends with steps that are padding. */
static int any_real(const Loop *p, int64_t t) {
    if (!p->mask) return 1;
    for (int64_t row = 0; row < p->rows; row++)
        if (p->mask[row * p->steps + t]) return 1;
    return 0;
}

/* A step at which no row has anything to read, for some panels. */
static void pass_over(const Loop *p, int cell, int64_t step, const Forward *s, int64_t from,
                      int64_t to) {
    const int64_t panels = panels_of(p->units), K = kept_of(cell);
    for (int64_t row = 0; row < p->rows; row++)
        for (int64_t panel = from; panel < to; panel++) {
            const int64_t there = (row * panels + panel) * 8;
            const int64_t then = row * p->steps + time_of(p, step);
            const v8 shown = p->zero_masked ? (v8){} : load(s->shown + there);
            store(s->shown + there, shown);
            store(s->h_new + there, load(s->h + there));
            if (p->kept) memset(p->kept + (then * panels + panel) * K * 8, 0, K * sizeof(v8));
            if (p->out)
                store_some(p->out + out_of(p, row, step) + 8 * panel, shown, p->units - 8 * panel);
        }
}

/* Room for the states and biases, for as many other numbers, and what both begin with. NULL where
 * memory is short. */
static float *begin(const Loop *p, const int cell, int64_t others, Forward *s) {
    const int64_t panels = panels_of(p->units), G = gates_of(cell), columns = G * panels * 8;
    const int64_t size = p->rows * panels * 8, number = 4 * size + 2 * columns;
    float *memory = malloc(sizeof(float) * (number + others));
    if (!memory) return NULL;
    memset(memory, 0, sizeof(float) * number);
    s->memory = s->h = memory, s->h_new = s->h + size, s->c = s->h_new + size, s->shown = s->c + size;
    s->bias = s->shown + size, s->state_bias = s->bias + columns;
    pack(s->bias, p->bias, 1, G, p->units);
    if (p->state_bias) pack(s->state_bias, p->state_bias, 1, G, p->units);
    widen(s->h, p->h0, p->rows, p->units);
    if (cell == LSTM) widen(s->c, p->c0, p->rows, p->units);
    s->panel_of_u = p->units * G * 8, s->along = 8 * G, s->across = 8;
    return s->state_bias + columns;
}

/* What is given after the last step. */
static void finish(const Loop *p, const int cell, const Forward *s) {
    if (p->last) narrow(p->last, p->mask || !p->steps ? s->shown : s->h, p->rows, p->units);
    narrow(p->h, s->h, p->rows, p->units);
    if (cell == LSTM) narrow(p->c, s->c, p->rows, p->units);
    free(s->memory);
}

INLINE void next_step(Forward *s) {
    float *swap = s->h;
    s->h = s->h_new, s->h_new = swap;
}

INLINE int forward(const int avx2, const Loop *p, const int cell, const int G, const int R) {
    const int64_t panels = panels_of(p->units), columns = G * 8 * panels;
    Forward s = {0};
    float *u = begin(p, cell, (p->units + p->inputs) * columns, &s);
    if (!u) return 1;
    float *w = u + p->units * columns;
    pack(u, p->u, p->units, G, p->units), s.u = u;
    pack(w, p->w, p->inputs, G, p->units), s.w = w;
    for (int64_t step = 0; step < p->steps; step++, next_step(&s)) {
        if (!any_real(p, time_of(p, step))) {
            pass_over(p, cell, step, &s, 0, panels);
            continue;
        }
        for (int64_t panel = 0; panel < panels; panel++) {
            int64_t row = 0;
            for (; row + R <= p->rows; row += R)
                forward_tile(avx2, p, cell, G, R, row, panel, step, &s);
            for (; row < p->rows; row++) forward_tile(avx2, p, cell, G, 1, row, panel, step, &s);
        }
    }
    finish(p, cell, &s);
    return 0;
}

/* --- forward, few rows ------------------------------------------------------------------------
 *
 * Few rows cannot share the reading of the weights, which decides. So the inputs of many steps are
 * multiplied at once, and threads share the panels of each step: each has its own, whose weights
 * stay in its cache, and takes those of others when it is done, since a thread may be late. */

typedef struct {
    _Alignas(64) _Atomic int64_t begun; /* steps of these panels that some thread has begun */
} Chunk;

typedef struct {
    Loop p;
    Forward s;
    int cell;
    float *u, *w;         /* room for u, and for a panel of w of each thread */
    int64_t seats, number; /* threads, chunks of panels */
    Chunk *chunks;
    _Atomic int64_t done; /* chunks of all steps */
} Few;

/* Of a single step nothing is packed, where every panel is full. */
INLINE int as_it_is(const Loop *p) { return p->steps == 1 && p->units % 8 == 0; }

/* The sums of a panel for AT_ONCE steps from this one on: one by one the steps would read the
 * weights anew from a slow cache. */
INLINE void input_products(const int avx2, const Few *f, const int G, const int R, int64_t seat,
                           int64_t panel, int64_t step) {
    const Loop *p = &f->p;
    const int64_t columns = 8 * G * panels_of(p->units);
    const int64_t number = least(AT_ONCE, p->steps - step);
    const int64_t further = p->reverse ? -p->inputs : p->inputs;
    float *packed = f->w + seat * p->inputs * G * 8;
    const int direct = as_it_is(p);
    if (!direct) pack_panel(packed, p->w, p->inputs, G, p->units, panel);
    const float *w = direct ? p->w + 8 * panel : packed;
    const int64_t along = direct ? f->s.along : 8 * G, across = direct ? f->s.across : 8;
    for (int64_t row = 0; row < p->rows; row++) {
        const float *x = p->x + (row * p->steps + time_of(p, step)) * p->inputs;
        float *to = f->s.sums + row * AT_ONCE * columns + panel * 8 * G;
        for (int64_t i = 0; i < number; i++)
            memcpy(to + i * columns, f->s.bias + panel * 8 * G, G * sizeof(v8));
        int64_t i = 0;
#define ALONG(R)                                                                            \
    for (; i + R <= number; i += R)                                                         \
        tile(avx2, R, G, to + i * columns, columns, 8 * G, x + i * further, further, 1,     \
             p->inputs, w, along, across, 1);
        ALONG(R)
        ALONG(1)
    }
}

INLINE void few_panels(const int avx2, const Few *f, const int cell, const int G, const int R,
                       int64_t seat, int64_t chunk, int64_t step) {
    const Loop *p = &f->p;
    const int64_t panels = panels_of(p->units);
    const int64_t from = chunk * panels / f->number, to = (chunk + 1) * panels / f->number;
    const int real = any_real(p, time_of(p, step));
    Forward s = f->s;
    if (step % 2) next_step(&s);
    for (int64_t panel = from; panel < to; panel++) {
        if (step == 0 && !as_it_is(p))
            pack_panel(f->u + panel * s.panel_of_u, p->u, p->units, G, p->units, panel);
        if (step % AT_ONCE == 0) input_products(avx2, f, G, R, seat, panel, step);
        int64_t row = real ? 0 : p->rows;
        for (; row + R <= p->rows; row += R)
            forward_tile(avx2, p, cell, G, R, row, panel, step, &s);
        for (; row < p->rows; row++) forward_tile(avx2, p, cell, G, 1, row, panel, step, &s);
    }
    if (!real) pass_over(p, cell, step, &s, from, to);
}

/* All steps, with whoever else is there. */
INLINE int few_rows(const int avx2, Few *f, const int cell, const int G, const int R,
                    int64_t seat) {
    const int64_t number = f->number;
    for (int64_t step = atomic_load(&f->done) / number; step < f->p.steps; step++) {
        for (int64_t i = 0; i < number; i++) {
            const int64_t chunk = (seat * number / f->seats + i) % number;
            int64_t begun = atomic_load(&f->chunks[chunk].begun);
            if (begun != step) continue;
            if (!atomic_compare_exchange_strong(&f->chunks[chunk].begun, &begun, step + 1)) continue;
            few_panels(avx2, f, cell, G, R, seat, chunk, step);
            atomic_fetch_add(&f->done, 1);
        }
        for (int times = 1; atomic_load(&f->done) < (step + 1) * number; times++)
            if (times % 1024 == 0) sched_yield();
            else relax();
    }
    return 0;
}

/* What the threads of a layer share, before the first step. 0, or 1 where memory is short. */
static int begin_few(Few *f, const Loop *p, int cell, int64_t seats) {
    const int64_t G = gates_of(cell), panels = panels_of(p->units), columns = G * panels * 8;
    const int64_t rows = (p->rows - 1) * AT_ONCE + least(p->steps, AT_ONCE); /* of sums */
    const int64_t u = p->units * columns, w = seats * p->inputs * G * 8;
    *f = (Few){.p = *p, .cell = cell, .seats = seats};
    f->number = seats == 1 ? 1 : least(CHUNKS * seats, panels);
    f->chunks = aligned_alloc(64, f->number * sizeof(Chunk));
    f->u = begin(p, cell, u + w + rows * columns, &f->s);
    if (!f->chunks || !f->u) return 1;
    for (int64_t i = 0; i < f->number; i++) atomic_init(&f->chunks[i].begun, 0);
    f->w = f->u + u, f->s.sums = f->w + w;
    f->s.u = as_it_is(p) ? p->u : f->u;
    if (as_it_is(p)) f->s.panel_of_u = 8, f->s.along = G * p->units, f->s.across = p->units;
    return 0;
}

static void finish_few(Few *f) {
    if (f->p.steps % 2) next_step(&f->s);
    if (f->s.memory) finish(&f->p, f->cell, &f->s);
    free(f->chunks);
}

/* --- backward ----------------------------------------------------------------------------- */

typedef struct { /* gradients, of one step */
    float *h, *c, *shown; /* [rows][panels][8] */
    float *state;         /* of the state's product, [rows][stride] */
    int64_t stride;
} Gradients;

INLINE void backward_gates(const Loop *p, const int cell, int64_t i, int64_t step,
                           const Gradients *d) {
    const int64_t panels = panels_of(p->units), t = time_of(p, step);
    const int64_t then = i * p->steps + t;
    const int G = gates_of(cell), K = kept_of(cell);
    const int masked = p->mask && !p->mask[then];
    for (int64_t panel = 0; panel < panels; panel++) {
        const int64_t there = (i * panels + panel) * 8;
        const float *kept = p->kept + (then * panels + panel) * K * 8;
        fetch(kept + (p->reverse ? 1 : -1) * panels * K * 8, K * 8);
        float *d_gates = p->d_gates + (then * panels + panel) * G * 8;
        float *d_state = d->state + i * d->stride + 8 * G * panel;
        v8 d_shown = load(d->shown + there);
        if (p->d_out)
            d_shown += load_some(p->d_out + out_of(p, i, step) + 8 * panel, p->units - 8 * panel);
        if (masked) {
            memset(d_gates, 0, G * sizeof(v8)), memset(d_state, 0, G * sizeof(v8));
            store(d->shown + there, p->zero_masked ? (v8){} : d_shown);
            continue;
        }
        store(d->shown + there, (v8){});
        const v8 d_h = load(d->h + there) + d_shown;
        v8 d_h_old = {};
        if (cell == LSTM) {
            v8 in = load(kept), forget = load(kept + 8), new = load(kept + 16);
            v8 out = load(kept + 24), c_old = load(kept + 40);
            v8 c_shown = tanh8(forget * c_old + in * new);
            v8 d_c = load(d->c + there) + d_h * out * (1.0f - c_shown * c_shown);
            store(d_state, d_c * new * in * (1.0f - in));
            store(d_state + 8, d_c * c_old * forget * (1.0f - forget));
            store(d_state + 16, d_c * in * (1.0f - new * new));
            store(d_state + 24, d_h * c_shown * out * (1.0f - out));
            store(d->c + there, d_c * forget);
            memcpy(d_gates, d_state, 4 * sizeof(v8));
        } else if (cell == GRU) {
            v8 keep = load(kept), reset = load(kept + 8), new = load(kept + 16);
            v8 state = load(kept + 24), h_old = load(kept + 32);
            v8 d_keep = d_h * (h_old - new) * keep * (1.0f - keep);
            v8 d_new = d_h * (1.0f - keep) * (1.0f - new * new);
            v8 d_reset = d_new * state * reset * (1.0f - reset);
            store(d_state, d_keep), store(d_state + 8, d_reset), store(d_state + 16, d_new * reset);
            store(d_gates, d_keep), store(d_gates + 8, d_reset), store(d_gates + 16, d_new);
            d_h_old = d_h * keep;
        } else {
            v8 h_new = load(kept), d_sum = d_h * (1.0f - h_new * h_new);
            store(d_state, d_sum), store(d_gates, d_sum);
        }
        store(d->h + there, d_h_old);
    }
    if (cell == GRU) {
        const int64_t columns = G * panels * 8;
        memcpy(p->d_state + then * columns, d->state + i * d->stride, sizeof(float) * columns);
    }
}

/* Gradients of the weights, packed before they are given. */
INLINE void backward_weights(const int avx2, const Loop *p, const int cell, const int G, const int R,
                             float *packed, float *close) {
    const int64_t panels = panels_of(p->units), columns = 8 * panels * G, all = p->rows * p->steps;
    const int64_t apart = 8 * kept_of(cell);
    const float *d_state = cell == GRU ? p->d_state : p->d_gates;
    float *d_w = packed, *d_u = d_w + p->inputs * columns, *d_bias = d_u + p->units * columns;
    float *d_state_bias = d_bias + columns;
    weights_gradient(avx2, R, G, d_w, d_bias, p->x, p->inputs, 8, p->inputs, p->d_gates, all,
                     columns, close);
    weights_gradient(avx2, R, G, d_u, d_state_bias, p->kept + 8 * (cell == SIMPLE ? 1 : 4),
                     panels * apart, apart, p->units, d_state, all, columns, close);
    unpack(p->d_w, d_w, p->inputs, G, p->units);
    unpack(p->d_u, d_u, p->units, G, p->units);
    unpack(p->d_bias, d_bias, 1, G, p->units);
    if (p->d_state_bias) unpack(p->d_state_bias, d_state_bias, 1, G, p->units);
}

INLINE int backward(const int avx2, const Loop *p, const int cell, const int G, const int R) {
    const int64_t width = 8 * panels_of(p->units), size = p->rows * width, columns = G * width;
    const int64_t stride = row_of(columns);
    const int64_t packed = (p->inputs + p->units + 2) * columns;
    const int64_t close = row_of(p->inputs > p->units ? p->inputs : p->units) * AT_ONCE;
    float *memory =
        calloc(3 * size + p->rows * stride + width * columns + packed + close, sizeof(float));
    if (!memory) return 1;
    Gradients d = {memory, memory + size, memory + 2 * size, memory + 3 * size, stride};
    float *u = d.state + p->rows * stride;
    pack_back(u, p->u, p->units, G, p->units);
    widen(d.h, p->d_h, p->rows, p->units);
    if (cell == LSTM) widen(d.c, p->d_c, p->rows, p->units);
    if (p->d_last) widen(d.shown, p->d_last, p->rows, p->units);
    for (int64_t step = p->steps - 1; step >= 0; step--) {
        for (int64_t row = 0; row < p->rows; row++) backward_gates(p, cell, row, step, &d);
        if (!any_real(p, time_of(p, step))) continue;
        back_product(avx2, d.h, p->rows, width, width, d.state, stride, columns, u, 1);
    }
    narrow(p->d_h0, d.h, p->rows, p->units);
    if (cell == LSTM) narrow(p->d_c0, d.c, p->rows, p->units);
    float *sums = u + width * columns;
    backward_weights(avx2, p, cell, G, R, sums, sums + packed);
    free(memory);
    return 0;
}

/* --- for the machine at hand --------------------------------------------------------------- */

INLINE int run(const int avx2, const Loop *p, int cell, int back) {
    switch (cell * 2 + back) {
        case LSTM * 2: return forward(avx2, p, LSTM, 4, 3);
        case LSTM * 2 + 1: return backward(avx2, p, LSTM, 4, 3);
        case GRU * 2: return forward(avx2, p, GRU, 3, 3);
        case GRU * 2 + 1: return backward(avx2, p, GRU, 3, 3);
        case SIMPLE * 2: return forward(avx2, p, SIMPLE, 1, 6);
        default: return backward(avx2, p, SIMPLE, 1, 6);
    }
}

INLINE int run_few(const int avx2, Few *f, int64_t seat) {
    switch (f->cell) {
        case LSTM: return few_rows(avx2, f, LSTM, 4, 3, seat);
        case GRU: return few_rows(avx2, f, GRU, 3, 3, seat);
        default: return few_rows(avx2, f, SIMPLE, 1, 6, seat);
    }
}

static int run_anywhere(const Loop *p, int cell, int back) { return run(0, p, cell, back); }
AVX2 static int run_avx2(const Loop *p, int cell, int back) { return run(1, p, cell, back); }
static int run_few_anywhere(Few *f, int64_t seat) { return run_few(0, f, seat); }
AVX2 static int run_few_avx2(Few *f, int64_t seat) { return run_few(1, f, seat); }

static int has_avx2(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 0;
#endif
}

/* --- parts of a batch ---------------------------------------------------------------------- */

typedef struct {
    const Loop *loops;
    int64_t size, parts; /* rows of a part, parts of a loop */
    int cell, back;
} Loops;

/* Gradients of weights, [inputs][gates][units] and so on, and their sizes. */
typedef struct {
    float *of[4];
    int64_t size[4];
} Weights;

static Weights weights_of(const Loop *p, int cell) {
    const int64_t bias = gates_of(cell) * p->units;
    return (Weights){{p->d_w, p->d_u, p->d_bias, p->d_state_bias},
                     {p->inputs * bias, p->units * bias, bias, p->d_state_bias ? bias : 0}};
}

static int64_t number_of(Weights w) { return w.size[0] + w.size[1] + w.size[2] + w.size[3]; }

/* The loop on the rows of one part. */
static Loop part_of(const Loops *s, const Loop *p, int64_t part) {
    const int64_t start = part * s->size, steps = p->steps, units = p->units, G = gates_of(s->cell);
    const int64_t panels = panels_of(units);
    Loop q = *p;
    q.rows = least(s->size, p->rows - start);
#define MOVE(array, number) (q.array = q.array ? q.array + (number) : NULL)
    MOVE(mask, start * steps);
    MOVE(x, start * steps * p->inputs);
    MOVE(out, start * steps * p->joined * units), MOVE(d_out, start * steps * p->joined * units);
    MOVE(h0, start * units), MOVE(h, start * units), MOVE(last, start * units);
    MOVE(c0, start * units), MOVE(c, start * units), MOVE(d_last, start * units);
    MOVE(d_h, start * units), MOVE(d_h0, start * units);
    MOVE(d_c, start * units), MOVE(d_c0, start * units);
    MOVE(kept, start * steps * panels * kept_of(s->cell) * 8);
    MOVE(d_gates, start * steps * panels * G * 8), MOVE(d_state, start * steps * panels * G * 8);
    const int64_t weights = part * number_of(weights_of(p, s->cell));
    MOVE(d_w, weights), MOVE(d_u, weights), MOVE(d_bias, weights), MOVE(d_state_bias, weights);
    return q;
}

/* Where the parts of a loop leave their gradients of the weights, all of a part together; back to
 * what they were when these are added up. NULL where memory is short. */
static float *apart(Loop *p, int cell, int64_t parts) {
    const Weights w = weights_of(p, cell);
    float *memory = malloc(sizeof(float) * parts * number_of(w));
    p->d_w = memory, p->d_u = p->d_w + w.size[0], p->d_bias = p->d_u + w.size[1];
    p->d_state_bias = w.size[3] ? p->d_bias + w.size[2] : NULL;
    return memory;
}

static void add_up(Weights total, const float *of_parts, int64_t parts) {
    const int64_t number = number_of(total);
    for (int i = 0; i < 4; of_parts += total.size[i++])
        for (int64_t at = 0; at < total.size[i]; at++) {
            float sum = of_parts[at];
            for (int64_t part = 1; part < parts; part++) sum += of_parts[part * number + at];
            total.of[i][at] = sum;
        }
}

static int run_part(const void *what, int64_t job) {
    const Loops *s = what;
    const Loop p = part_of(s, s->loops + job / s->parts, job % s->parts);
    return has_avx2() ? run_avx2(&p, s->cell, s->back) : run_anywhere(&p, s->cell, s->back);
}

typedef struct {
    float *d_x;
    int64_t rows, inputs, size, columns[MOST_LAYERS];
    const float *const *d_gates; /* of each layer */
    float *packed[MOST_LAYERS];
    int layers;
} Inputs;

static int run_inputs(const void *what, int64_t part) {
    const Inputs *s = what;
    const int64_t start = part * s->size, rows = least(s->size, s->rows - start);
    for (int i = 0; i < s->layers; i++) {
        float *to = s->d_x + start * s->inputs;
        const int64_t columns = s->columns[i], width = s->inputs;
        const float *from = s->d_gates[i] + start * columns, *u = s->packed[i];
        if (has_avx2()) back_product(1, to, rows, width, width, from, columns, columns, u, i > 0);
        else back_product(0, to, rows, width, width, from, columns, columns, u, i > 0);
    }
    return 0;
}

/* --- what the library gives --------------------------------------------------------------- */

static int run_seat(const void *what, int64_t job) {
    Few *const *all = what;
    const int layers = all[1] ? 2 : 1;
    Few *f = all[job % layers];
    return has_avx2() ? run_few_avx2(f, job / layers) : run_few_anywhere(f, job / layers);
}

/* Threads that so much work is worth. */
static int worth(int64_t work, int threads) {
    const int64_t number = least(work / WORTH_A_THREAD, threads);
    return number > 1 ? (int)number : 1;
}

/* Rows of a part for so many threads, in fours where there are several parts. */
static int64_t size_of_part(int64_t rows, int64_t threads) {
    const int64_t number = least(threads, rows / 4);
    return number > 1 ? (rows + 4 * number - 1) / (4 * number) * 4 : rows ? rows : 1;
}

/* Few rows, forward. */
static int few_loops(const Loop *loops, int layers, int cell, int threads) {
    Few few[MOST_LAYERS], *all[MOST_LAYERS + 1] = {NULL};
    const int64_t step = loops->rows * loops->units * loops->units * gates_of(cell);
    const int seats = (int)least(threads, step / WORTH_A_STEP);
    int failed = 0;
    for (int i = 0; i < layers; i++) {
        all[i] = few + i;
        failed |= begin_few(few + i, loops + i, cell, seats > 1 ? seats : 1);
    }
    if (!failed) failed = share(run_seat, all, layers * few->seats, threads, 1);
    for (int i = 0; i < layers; i++) finish_few(few + i);
    return failed;
}

int kerasrnn_loops(const Loop *loops, int layers, int cell, int back, int threads) {
    int64_t work = 0;
    for (const Loop *p = loops; p < loops + layers; p++)
        work += (back ? 3 : 1) * p->rows * p->steps * (p->inputs + p->units) * p->units;
    threads = worth(work * gates_of(cell), threads);
    if (!back && loops->rows && loops->rows <= FEW_ROWS)
        return few_loops(loops, layers, cell, threads);
    const int64_t size = size_of_part(loops->rows, threads / layers);
    const int64_t parts = loops->rows ? (loops->rows + size - 1) / size : 1;
    Loop of_parts[MOST_LAYERS];
    float *memory[MOST_LAYERS] = {NULL};
    int failed = 0;
    for (int i = 0; i < layers; i++) {
        of_parts[i] = loops[i];
        if (back && parts > 1) failed |= !(memory[i] = apart(of_parts + i, cell, parts));
    }
    const Loops all = {of_parts, size, parts, cell, back};
    if (!failed) failed = share(run_part, &all, layers * parts, threads, 0);
    for (int i = 0; i < layers; i++) {
        if (!failed && memory[i]) add_up(weights_of(loops + i, cell), memory[i], parts);
        free(memory[i]);
    }
    return failed;
}

int kerasrnn_inputs(float *d_x, int64_t rows, int64_t inputs, const int64_t *units, int64_t gates,
                    const float *const *d_gates, const float *const *kernels, int layers,
                    int threads) {
    Inputs all = {d_x, rows, inputs, 0, {0}, d_gates, {NULL}, layers};
    int64_t work = 0;
    int failed = 0;
    for (int i = 0; i < layers; i++) {
        all.columns[i] = panels_of(units[i]) * gates * 8;
        work += rows * inputs * all.columns[i];
        all.packed[i] = malloc(sizeof(float) * 8 * panels_of(inputs) * all.columns[i]);
        if (all.packed[i]) pack_back(all.packed[i], kernels[i], inputs, gates, units[i]);
        else failed = 1;
    }
    threads = worth(work, threads), all.size = size_of_part(rows, threads);
    if (!failed) failed = share(run_inputs, &all, (rows + all.size - 1) / all.size, threads, 0);
    for (int i = 0; i < layers; i++) free(all.packed[i]);
    return failed;
}
