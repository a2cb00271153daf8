/* All steps forward, where several threads share the panels of each step, not the rows.
 *
 * For few rows, or weights that fit no cache of a core, the reading of the weights decides. So a
 * thread reads only those of its panels, a step is a turn (turns.c), and for few rows the inputs of
 * BLOCK steps are multiplied at once too. The numbers are those of forward.c, bit for bit.
 */
#include "step.h"

enum { WORTH_A_STEP = 30000 }; /* multiplications of a step for each thread that shares it */

typedef struct {
    Loop p;
    State s;
    int cell;
    float *recurrent, *kernel; /* room for all of them; of few rows for some panels a worker */
    int64_t workers;
    Turns *turns;
} Shared;

/* For a single step of few rows nothing is packed, where every panel is full. */
INLINE int unpacked(const Loop *p) {
    return p->rows <= FEW_ROWS && p->steps == 1 && p->units % 8 == 0;
}

/* Bias and product of the input for BLOCK steps from this one on, for V vectors of gate sums: one
 * by one the steps would read the weights again and again from a slow cache. */
INLINE void input_products(const int avx2, const Shared *f, const int cell, const int V,
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

/* What a chunk needs before a step: its weights packed, and of few rows products of the input. */
INLINE void prepare(const int avx2, const Shared *f, const int cell, int64_t worker, int64_t from,
                    int64_t to, int64_t step) {
    const Loop *p = &f->p;
    if (step == 0 && !unpacked(p))
        pack_all(f->recurrent, p->recurrent, p->units, cell, p->units, from, to);
    if (step == 0 && !f->s.sums)
        pack_all(f->kernel, p->kernel, p->inputs, cell, p->units, from, to);
    if (step % BLOCK || !f->s.sums) return;
    for (int64_t panel = from; panel < to; panel += panels_together(cell))
        if (cell == SIMPLE && panel + 1 == to) input_products(avx2, f, cell, 1, worker, panel, step);
        else input_products(avx2, f, cell, vectors_of(cell), worker, panel, step);
}

INLINE void run_chunk(const int avx2, const Shared *f, const int cell, int64_t worker, int64_t step,
                      int64_t from, int64_t to) {
    const Loop *p = &f->p;
    State s = f->s;
    if (step % 2) next_step(&s);
    prepare(avx2, f, cell, worker, from, to, step);
    if (any_real(p, time_index(p, step))) forward_panels(avx2, p, cell, from, to, step, &s);
    else skip_step(p, cell, step, &s, from, to);
}

INLINE void run_cell(const int avx2, const Shared *f, int64_t worker, int64_t step, int64_t from,
                     int64_t to) {
    switch (f->cell) {
        case LSTM: run_chunk(avx2, f, LSTM, worker, step, from, to); break;
        case GRU: run_chunk(avx2, f, GRU, worker, step, from, to); break;
        default: run_chunk(avx2, f, SIMPLE, worker, step, from, to);
    }
}

static void run_plain(void *f, int64_t worker, int64_t step, int64_t from, int64_t to) {
    run_cell(0, f, worker, step, from, to);
}

AVX2 static void run_avx2(void *f, int64_t worker, int64_t step, int64_t from, int64_t to) {
    run_cell(1, f, worker, step, from, to);
}

static int run_worker(const void *context, int64_t job) {
    Shared *const *all = context;
    const int layers = all[1] ? 2 : 1;
    Shared *f = all[job % layers];
    take_turns(f->turns, f->p.steps, job / layers, has_avx2() ? run_avx2 : run_plain, f);
    return 0;
}

/* What the workers of a layer share, before the first step. 0, or 1 for lack of memory. */
static int begin_shared(Shared *f, const Loop *p, int cell, int64_t workers) {
    const int64_t gate_width = gate_width_of(p->units, cell);
    const int few = p->rows <= FEW_ROWS;
    const int64_t rows = few ? (p->rows - 1) * BLOCK + least(p->steps, BLOCK) : 0; /* of sums */
    const int64_t recurrent = p->units * gate_width;
    const int64_t kernel = p->inputs * (few ? workers * vectors_of(cell) * 8 : gate_width);
    *f = (Shared){.p = *p, .cell = cell, .workers = workers};
    f->turns = new_turns(workers, panels_of(p->units));
    f->recurrent = begin(p, cell, recurrent + kernel + rows * gate_width, &f->s);
    if (!f->turns || !f->recurrent) return 1;
    f->s.kernel = f->kernel = f->recurrent + recurrent;
    if (few) f->s.sums = f->kernel + kernel;
    f->s.recurrent = unpacked(p) ? p->recurrent : f->recurrent;
    if (unpacked(p)) {
        f->s.panel_stride = 8, f->s.row_stride = gates_of(cell) * p->units;
        f->s.gate_stride = cell == SIMPLE ? 8 : p->units; /* to the next gate or panel */
    }
    return 0;
}

static void finish_shared(Shared *f) {
    if (f->p.steps % 2) next_step(&f->s);
    if (f->s.memory) finish(&f->p, f->cell, &f->s);
    free_turns(f->turns);
}

int kerasrnn_shared_forward(const Loop *loops, int layers, int cell, int threads) {
    Shared shared[MAX_LAYERS], *all[MAX_LAYERS + 1] = {NULL};
    const int64_t step = loops->rows * loops->units * loops->units * gates_of(cell);
    const int workers = (int)least(threads, step / WORTH_A_STEP);
    int failed = 0;
    for (int i = 0; i < layers; i++) {
        all[i] = shared + i;
        failed |= begin_shared(shared + i, loops + i, cell, workers > 1 ? workers : 1);
    }
    const int brief = loops->rows <= FEW_ROWS;
    if (!failed) failed = parallel_for(run_worker, all, layers * shared->workers, threads, brief);
    for (int i = 0; i < layers; i++) finish_shared(shared + i);
    return failed;
}
