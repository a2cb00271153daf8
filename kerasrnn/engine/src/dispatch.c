/* How the work of an operation is divided among threads: by rows of the batch, which know nothing
 * of each other, or by panels of units. */
#include "matmul.h"
#include "pack.h"

#include <stdlib.h>

enum { WORTH_A_THREAD = 2000000 }; /* multiplications; fewer are done sooner than handed over */
enum { LARGE_WEIGHTS = 1 << 19 };  /* floats; as many leave a core's own caches at every step */

/* Whether threads share the panels of each step and not the rows: forward these are few, or each
 * thread would read more weights at every step than its cache holds. */
static int share_steps(const Loop *p, int layers, int cell, int back, int threads) {
    const int64_t weights = (p->inputs + p->units) * gate_width_of(p->units, cell);
    if (!back && p->rows <= FEW_ROWS) return 1;
    return threads > layers && weights > LARGE_WEIGHTS;
}

static int worthwhile_threads(int64_t work, int threads) {
    const int64_t number = least(work / WORTH_A_THREAD, threads);
    return number > 1 ? (int)number : 1;
}

/* Rows of a part for that many threads: a multiple of 4 where there are several parts. */
static int64_t rows_of_part(int64_t rows, int64_t threads) {
    const int64_t number = least(threads, rows / 4);
    return number > 1 ? (rows + 4 * number - 1) / (4 * number) * 4 : rows ? rows : 1;
}

/* --- forward and backward ------------------------------------------------------------------- */

typedef struct {
    const Loop *loops;
    int64_t size, parts; /* rows of a part, parts of a loop */
    int cell, back;
} Parts;

/* The gradients of a layer's weights, and how many floats each has. */
typedef struct {
    float *of[4];
    int64_t size[4];
} Weights;

static Weights weights_of(const Loop *p, int cell) {
    const int64_t bias = gates_of(cell) * p->units;
    return (Weights){{p->d_kernel, p->d_recurrent, p->d_bias, p->d_state_bias},
                     {p->inputs * bias, p->units * bias, bias, p->d_state_bias ? bias : 0}};
}

static int64_t total_size(Weights w) { return w.size[0] + w.size[1] + w.size[2] + w.size[3]; }

/* The loop over the rows of one part. */
static Loop part_of(const Parts *s, const Loop *p, int64_t part) {
    const int64_t start = part * s->size, units = p->units;
    const int64_t times = start * p->steps, panels = panels_of(units);
    const int64_t width = gate_width_of(units, s->cell);
    Loop q = *p;
    q.rows = least(s->size, p->rows - start);
#define ADVANCE(array, number) (q.array = q.array ? q.array + (number) : NULL)
    ADVANCE(mask, times), ADVANCE(x, times * p->inputs);
    ADVANCE(out, times * p->joined * units), ADVANCE(d_out, times * p->joined * units);
    ADVANCE(h0, start * units), ADVANCE(h, start * units), ADVANCE(last, start * units);
    ADVANCE(c0, start * units), ADVANCE(c, start * units), ADVANCE(d_last, start * units);
    ADVANCE(d_h, start * units), ADVANCE(d_h0, start * units);
    ADVANCE(d_c, start * units), ADVANCE(d_c0, start * units);
    ADVANCE(tape, times * panels * slots_of(s->cell) * 8);
    ADVANCE(d_sums, times * width), ADVANCE(d_state_sums, times * width);
    if (s->back && s->parts > 1) {
        const int64_t weights = part * total_size(weights_of(p, s->cell));
        ADVANCE(d_kernel, weights), ADVANCE(d_recurrent, weights);
        ADVANCE(d_bias, weights), ADVANCE(d_state_bias, weights);
    }
#undef ADVANCE
    return q;
}

/* Where the parts of a loop leave their gradients of the weights, all of a part together, until
 * these are summed. NULL for lack of memory. */
static float *alloc_partials(Loop *p, int cell, int64_t parts) {
    const Weights w = weights_of(p, cell);
    float *memory = allocate(parts * total_size(w));
    if (!memory) return NULL;
    p->d_kernel = memory, p->d_recurrent = p->d_kernel + w.size[0];
    p->d_bias = p->d_recurrent + w.size[1];
    p->d_state_bias = w.size[3] ? p->d_bias + w.size[2] : NULL;
    return memory;
}

static void reduce_partials(Weights total, const float *partials, int64_t parts) {
    const int64_t size = total_size(total);
    for (int i = 0; i < 4; partials += total.size[i++])
        for (int64_t at = 0; at < total.size[i]; at++) {
            float sum = partials[at];
            for (int64_t part = 1; part < parts; part++) sum += partials[part * size + at];
            total.of[i][at] = sum;
        }
}

static int run_part(const void *context, int64_t job) {
    const Parts *s = context;
    const Loop p = part_of(s, s->loops + job / s->parts, job % s->parts);
    return (s->back ? kerasrnn_backward : kerasrnn_forward)(&p, s->cell);
}

int kerasrnn_loops(const Loop *loops, int layers, int cell, int back, int threads) {
    int64_t work = 0;
    for (const Loop *p = loops; p < loops + layers; p++)
        work += (back ? 3 : 1) * p->rows * p->steps * (p->inputs + p->units) * p->units;
    threads = worthwhile_threads(work * gates_of(cell), threads);
    if (loops->rows && share_steps(loops, layers, cell, back, threads))
        return (back ? kerasrnn_shared_backward : kerasrnn_shared_forward)(loops, layers, cell,
                                                                           threads);
    const int64_t size = rows_of_part(loops->rows, threads / layers);
    const int64_t parts = loops->rows ? (loops->rows + size - 1) / size : 1;
    Loop of_parts[MAX_LAYERS];
    float *partials[MAX_LAYERS] = {NULL};
    int failed = 0;
    for (int i = 0; i < layers; i++) {
        of_parts[i] = loops[i];
        if (back && parts > 1) failed |= !(partials[i] = alloc_partials(of_parts + i, cell, parts));
    }
    const Parts all = {of_parts, size, parts, cell, back};
    if (!failed) failed = parallel_for(run_part, &all, layers * parts, threads, 0);
    for (int i = 0; i < layers; i++) {
        if (!failed && partials[i]) reduce_partials(weights_of(loops + i, cell), partials[i], parts);
        free(partials[i]);
    }
    return failed;
}

/* --- the gradient of x -------------------------------------------------------------------- */

typedef struct {
    float *d_x;
    int64_t rows, inputs, size, width[MAX_LAYERS]; /* size: rows of a part */
    const float *const *d_sums;                    /* of each layer, as the kernels */
    float *kernels[MAX_LAYERS];
    int layers;
} Inputs;

static int run_inputs(const void *context, int64_t part) {
    const Inputs *s = context;
    const int64_t start = part * s->size, rows = least(s->size, s->rows - start);
    for (int i = 0; i < s->layers; i++)
        multiply_packed(s->d_x + start * s->inputs, rows, s->inputs, s->inputs,
                        s->d_sums[i] + start * s->width[i], s->width[i], s->width[i],
                        s->kernels[i], i > 0);
    return 0;
}

int kerasrnn_inputs(float *d_x, int64_t rows, int64_t inputs, const int64_t *units, int cell,
                    const float *const *d_sums, const float *const *kernels, int layers,
                    int threads) {
    Inputs all = {d_x, rows, inputs, 0, {0}, d_sums, {NULL}, layers};
    int64_t work = 0;
    int failed = 0;
    for (int i = 0; i < layers; i++) {
        all.width[i] = gate_width_of(units[i], cell);
        work += rows * inputs * all.width[i];
        all.kernels[i] = allocate(8 * panels_of(inputs) * all.width[i]);
        if (all.kernels[i])
            pack_transposed(all.kernels[i], kernels[i], inputs, gates_of(cell), units[i]);
        else failed = 1;
    }
    threads = worthwhile_threads(work, threads), all.size = rows_of_part(rows, threads);
    if (!failed)
        failed = parallel_for(run_inputs, &all, (rows + all.size - 1) / all.size, threads, 0);
    for (int i = 0; i < layers; i++) free(all.kernels[i]);
    return failed;
}
