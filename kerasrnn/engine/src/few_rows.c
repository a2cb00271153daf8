/* All steps forward of a batch of few rows, whose steps several threads share.
 *
 * Few rows cannot share the reading of the weights, which decides. So the inputs of BLOCK steps
 * are multiplied at once, and the threads share the panels of each step: each has its own chunks,
 * whose weights stay in its cache, and takes those of others when it is done, since a thread may
 * be late. The numbers are those of forward.c, bit for bit.
 */
#include "step.h"

#include <sched.h>
#include <stdatomic.h>

enum { CHUNKS = 4 };           /* of the panels, for each thread that shares a step */
enum { WORTH_A_STEP = 30000 }; /* multiplications of a step for each thread that shares it */
enum { SPINS = 1024 };         /* looks at the other threads before the core is given away */

typedef struct {
    _Alignas(64) _Atomic int64_t begun; /* steps of these panels that some thread has begun */
} Chunk;

typedef struct {
    Loop p;
    State s;
    int cell;
    float *recurrent, *kernel; /* room for all of recurrent, and for a few panels a worker */
    int64_t workers, number;   /* threads, chunks of panels */
    Chunk *chunks;
    _Atomic int64_t done; /* chunks of all steps */
} Few;

/* For a single step nothing is packed, where every panel is full. */
INLINE int unpacked(const Loop *p) { return p->steps == 1 && p->units % 8 == 0; }

/* Bias and product of the input for BLOCK steps from this one on, for V vectors of gate sums: one
 * by one the steps would read the weights again and again from a slow cache. */
INLINE void input_products(const int avx2, const Few *f, const int cell, const int V,
                           int64_t worker, int64_t panel, int64_t step) {
    const Loop *p = &f->p;
    const int64_t G = gates_of(cell), width = gate_width_of(p->units, cell), first = panel * G * 8;
    const int64_t steps = least(BLOCK, p->steps - step);
    const float *kernel = p->kernel + 8 * panel;
    int64_t row_stride = f->s.row_stride;
    if (!unpacked(p)) {
        float *packed = f->kernel + worker * p->inputs * vectors_of(cell) * 8;
        pack_panels(packed, p->kernel, p->inputs, G, p->units, panel, V / G);
        kernel = packed, row_stride = 8 * V;
    }
    for (int64_t row = 0; row < p->rows; row++) {
        const float *x = p->x + (row * p->steps + time_index(p, step)) * p->inputs;
        float *to = f->s.sums + row * BLOCK * width + first;
        for (int64_t i = 0; i < steps; i++)
            memcpy(to + i * width, f->s.bias + first, V * sizeof(v8));
        tiles(avx2, V, to, steps, width, 8 * V, x, p->reverse ? -p->inputs : p->inputs, 1,
              p->inputs, kernel, row_stride, f->s.gate_stride, 1);
    }
}

/* What a chunk needs before a step: its weights packed, and the products of the input. */
INLINE void prepare(const int avx2, const Few *f, const int cell, int64_t worker, int64_t from,
                    int64_t to, int64_t step) {
    const Loop *p = &f->p;
    if (step == 0 && !unpacked(p))
        pack_all(f->recurrent, p->recurrent, p->units, cell, p->units, from, to);
    if (step % BLOCK) return;
    for (int64_t panel = from; panel < to; panel += panels_together(cell))
        if (cell == SIMPLE && panel + 1 == to) input_products(avx2, f, cell, 1, worker, panel, step);
        else input_products(avx2, f, cell, vectors_of(cell), worker, panel, step);
}

INLINE void run_chunk(const int avx2, const Few *f, const int cell, int64_t worker, int64_t chunk,
                      int64_t step) {
    const Loop *p = &f->p;
    const int64_t panels = panels_of(p->units);
    const int64_t from = chunk * panels / f->number, to = (chunk + 1) * panels / f->number;
    State s = f->s;
    if (step % 2) next_step(&s);
    prepare(avx2, f, cell, worker, from, to, step);
    if (any_real(p, time_index(p, step))) forward_panels(avx2, p, cell, from, to, step, &s);
    else skip_step(p, cell, step, &s, from, to);
}

/* All steps, together with whichever workers are there. */
INLINE int few_body(const int avx2, Few *f, const int cell, int64_t worker) {
    const int64_t number = f->number;
    for (int64_t step = atomic_load(&f->done) / number; step < f->p.steps; step++) {
        for (int64_t i = 0; i < number; i++) {
            const int64_t chunk = (worker * number / f->workers + i) % number;
            int64_t begun = atomic_load(&f->chunks[chunk].begun);
            if (begun != step) continue;
            if (!atomic_compare_exchange_strong(&f->chunks[chunk].begun, &begun, step + 1)) continue;
            run_chunk(avx2, f, cell, worker, chunk, step);
            atomic_fetch_add(&f->done, 1);
        }
        for (int times = 1; atomic_load(&f->done) < (step + 1) * number; times++)
            if (times % SPINS == 0) sched_yield();
            else cpu_pause();
    }
    return 0;
}

INLINE int few_cell(const int avx2, Few *f, int64_t worker) {
    switch (f->cell) {
        case LSTM: return few_body(avx2, f, LSTM, worker);
        case GRU: return few_body(avx2, f, GRU, worker);
        default: return few_body(avx2, f, SIMPLE, worker);
    }
}

static int few_plain(Few *f, int64_t worker) { return few_cell(0, f, worker); }
AVX2 static int few_avx2(Few *f, int64_t worker) { return few_cell(1, f, worker); }

static int run_worker(const void *context, int64_t job) {
    Few *const *all = context;
    const int layers = all[1] ? 2 : 1;
    return (has_avx2() ? few_avx2 : few_plain)(all[job % layers], job / layers);
}

/* What the workers of a layer share, before the first step. 0, or 1 for lack of memory. */
static int begin_few(Few *f, const Loop *p, int cell, int64_t workers) {
    const int64_t gate_width = gate_width_of(p->units, cell);
    const int64_t rows = (p->rows - 1) * BLOCK + least(p->steps, BLOCK); /* of sums */
    const int64_t recurrent = p->units * gate_width;
    const int64_t kernel = workers * p->inputs * vectors_of(cell) * 8;
    *f = (Few){.p = *p, .cell = cell, .workers = workers};
    f->number = workers == 1 ? 1 : least(CHUNKS * workers, panels_of(p->units));
    f->chunks = aligned_alloc(64, f->number * sizeof(Chunk));
    f->recurrent = begin(p, cell, recurrent + kernel + rows * gate_width, &f->s);
    if (!f->chunks || !f->recurrent) return 1;
    for (int64_t i = 0; i < f->number; i++) atomic_init(&f->chunks[i].begun, 0);
    f->kernel = f->recurrent + recurrent, f->s.sums = f->kernel + kernel;
    f->s.recurrent = unpacked(p) ? p->recurrent : f->recurrent;
    if (unpacked(p)) {
        f->s.panel_stride = 8, f->s.row_stride = gates_of(cell) * p->units;
        f->s.gate_stride = cell == SIMPLE ? 8 : p->units; /* to the next gate or panel */
    }
    return 0;
}

static void finish_few(Few *f) {
    if (f->p.steps % 2) next_step(&f->s);
    if (f->s.memory) finish(&f->p, f->cell, &f->s);
    free(f->chunks);
}

int kerasrnn_few_rows(const Loop *loops, int layers, int cell, int threads) {
    Few few[MAX_LAYERS], *all[MAX_LAYERS + 1] = {NULL};
    const int64_t step = loops->rows * loops->units * loops->units * gates_of(cell);
    const int workers = (int)least(threads, step / WORTH_A_STEP);
    int failed = 0;
    for (int i = 0; i < layers; i++) {
        all[i] = few + i;
        failed |= begin_few(few + i, loops + i, cell, workers > 1 ? workers : 1);
    }
    if (!failed) failed = parallel_for(run_worker, all, layers * few->workers, threads, 1);
    for (int i = 0; i < layers; i++) finish_few(few + i);
    return failed;
}
