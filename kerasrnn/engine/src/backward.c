/* The gradients, from the last step to the first.
 *
 * The gradients of the gate sums are computed step by step from the tape; those of the weights are
 * products over all steps at once. Where the weights are large, several threads share the panels
 * of each step, and then those of the weights, and not the rows of the batch.
 */
#include "step.h"

/* Gradients of a step. */
typedef struct {
    float *h, *c, *shown; /* [rows][panels][8] */
    float *state;         /* of the product of the state, [rows][stride] */
    int64_t stride;
} Gradients;

/* --- gates: from the gradient of h to those of the sums (d_state: of the state's part) --------- */

INLINE v8 gates_backward_lstm(const float *tape, v8 d_h, v8 *d_c, float *d_sums, float *d_state) {
    const v8 in = saved(tape, LSTM_IN), forget = saved(tape, LSTM_FORGET);
    const v8 new = saved(tape, LSTM_NEW), out = saved(tape, LSTM_OUT);
    const v8 c_old = saved(tape, LSTM_C_OLD), c_shown = tanh8(forget * c_old + in * new);
    const v8 d = *d_c + d_h * out * (1.0f - c_shown * c_shown);
    store(d_state, d * new * in * (1.0f - in));
    store(d_state + 8, d * c_old * forget * (1.0f - forget));
    store(d_state + 16, d * in * (1.0f - new * new));
    store(d_state + 24, d_h * c_shown * out * (1.0f - out));
    memcpy(d_sums, d_state, 4 * sizeof(v8));
    *d_c = d * forget;
    return (v8){};
}

INLINE v8 gates_backward_gru(const float *tape, v8 d_h, float *d_sums, float *d_state) {
    const v8 update = saved(tape, GRU_UPDATE), reset = saved(tape, GRU_RESET);
    const v8 new = saved(tape, GRU_NEW), state = saved(tape, GRU_STATE);
    const v8 d_update = d_h * (saved(tape, GRU_H_OLD) - new) * update * (1.0f - update);
    const v8 d_new = d_h * (1.0f - update) * (1.0f - new * new);
    const v8 d_reset = d_new * state * reset * (1.0f - reset);
    store(d_state, d_update), store(d_state + 8, d_reset), store(d_state + 16, d_new * reset);
    store(d_sums, d_update), store(d_sums + 8, d_reset), store(d_sums + 16, d_new);
    return d_h * update;
}

INLINE v8 gates_backward_simple(const float *tape, v8 d_h, float *d_sums, float *d_state) {
    const v8 h_new = saved(tape, SIMPLE_H_NEW), d_sum = d_h * (1.0f - h_new * h_new);
    store(d_state, d_sum), store(d_sums, d_sum);
    return (v8){};
}

/* The tape of a row, step and panel; that of the step before, which is next, is prefetched. */
INLINE const float *tape_back(const Loop *p, const int cell, int64_t row, int64_t step,
                              int64_t panel) {
    const int64_t panels = panels_of(p->units), size = 8 * slots_of(cell);
    const float *tape = p->tape + ((row * p->steps + time_index(p, step)) * panels + panel) * size;
    if (step) prefetch(p->reverse ? tape + panels * size : tape - panels * size, size);
    return tape;
}

/* The gradients of a row's gate sums at a step, for the panels from .. to - 1. */
INLINE void backward_row(const Loop *p, const int cell, int64_t row, int64_t step,
                         const Gradients *d, int64_t from, int64_t to) {
    const int64_t panels = panels_of(p->units), when = row * p->steps + time_index(p, step);
    const int G = gates_of(cell), masked = p->mask && !p->mask[when];
    for (int64_t panel = from; panel < to; panel++) {
        const int64_t here = (row * panels + panel) * 8;
        const float *tape = tape_back(p, cell, row, step, panel);
        float *d_sums = p->d_sums + (when * panels + panel) * G * 8;
        float *d_state = d->state + row * d->stride + 8 * G * panel;
        v8 d_shown = load(d->shown + here);
        if (p->d_out)
            d_shown += load_some(p->d_out + output_index(p, row, step) + 8 * panel,
                                 p->units - 8 * panel);
        if (masked) {
            memset(d_sums, 0, G * sizeof(v8)), memset(d_state, 0, G * sizeof(v8));
            store(d->shown + here, p->zero_masked ? (v8){} : d_shown);
            continue;
        }
        store(d->shown + here, (v8){});
        const v8 d_h = load(d->h + here) + d_shown;
        if (cell == LSTM) {
            v8 d_c = load(d->c + here);
            store(d->h + here, gates_backward_lstm(tape, d_h, &d_c, d_sums, d_state));
            store(d->c + here, d_c);
        } else if (cell == GRU) {
            store(d->h + here, gates_backward_gru(tape, d_h, d_sums, d_state));
        } else {
            store(d->h + here, gates_backward_simple(tape, d_h, d_sums, d_state));
        }
    }
    if (cell == GRU) {
        const int64_t first = 8 * G * from;
        memcpy(p->d_state_sums + when * 8 * G * panels + first, d->state + row * d->stride + first,
               sizeof(v8) * G * (to - from));
    }
}

INLINE void backward_rows(const Loop *p, int cell, int64_t step, const Gradients *d, int64_t from,
                          int64_t to) {
#define CASE(kind)                                                                               \
    case kind:                                                                                   \
        for (int64_t row = 0; row < p->rows; row++) backward_row(p, kind, row, step, d, from, to); \
        break;
    switch (cell) { CASE(LSTM) CASE(GRU) CASE(SIMPLE) }
#undef CASE
}

static void rows_plain(const Loop *p, int cell, int64_t step, const Gradients *d, int64_t from,
                       int64_t to) {
    backward_rows(p, cell, step, d, from, to);
}

AVX2 static void rows_avx2(const Loop *p, int cell, int64_t step, const Gradients *d,
                           int64_t from, int64_t to) {
    backward_rows(p, cell, step, d, from, to);
}

/* --- all steps ---------------------------------------------------------------------------- */

/* The backward pass of a layer. */
typedef struct {
    Loop p;
    int cell;
    Gradients d;
    float *memory;                    /* of all that follows */
    float *recurrent;                 /* packed */
    float *d_kernel, *d_recurrent;    /* [rows][gate_width] */
    float *d_bias, *d_state_bias;     /* [gate_width] */
    float *scratch;                   /* of multiply_transposed, for each worker and matrix */
    int64_t scratch_size;
    Turns *turns; /* of the steps, where threads share them */
} Backward;

static int begin_backward(Backward *b, const Loop *p, int cell, int64_t workers) {
    const int64_t width = 8 * panels_of(p->units), size = p->rows * width;
    const int64_t gate_width = gate_width_of(p->units, cell), stride = padded_stride(gate_width);
    const int64_t widest = p->inputs > p->units ? p->inputs : p->units;
    *b = (Backward){.p = *p, .cell = cell, .scratch_size = padded_stride(widest) * BLOCK};
    float *memory = b->memory = allocate_zeros(
        3 * size + p->rows * stride + (width + p->inputs + p->units + 2) * gate_width +
        2 * workers * b->scratch_size);
    if (!memory) return 1;
    b->d = (Gradients){memory, memory + size, memory + 2 * size, memory + 3 * size, stride};
    b->recurrent = b->d.state + p->rows * stride;
    b->d_kernel = b->recurrent + width * gate_width;
    b->d_recurrent = b->d_kernel + p->inputs * gate_width;
    b->d_bias = b->d_recurrent + p->units * gate_width, b->d_state_bias = b->d_bias + gate_width;
    b->scratch = b->d_state_bias + gate_width;
    pack_transposed(b->recurrent, p->recurrent, p->units, gates_of(cell), p->units);
    pad(b->d.h, p->d_h, p->rows, p->units);
    if (cell == LSTM) pad(b->d.c, p->d_c, p->rows, p->units);
    if (p->d_last) pad(b->d.shown, p->d_last, p->rows, p->units);
    return 0;
}

/* The gradients of the gate sums of a step, for the panels from .. to - 1. */
static void backward_gates(const Backward *b, int64_t step, int64_t from, int64_t to) {
    (has_avx2() ? rows_avx2 : rows_plain)(&b->p, b->cell, step, &b->d, from, to);
}

/* Those of the state before the step, from the gate sums of all panels. */
static void backward_states(const Backward *b, int64_t step, int64_t from, int64_t to) {
    const int64_t width = 8 * panels_of(b->p.units), gates = gate_width_of(b->p.units, b->cell);
    if (any_real(&b->p, time_index(&b->p, step)))
        multiply_packed(b->d.h + 8 * from, b->p.rows, width, 8 * (to - from), b->d.state,
                        b->d.stride, gates, b->recurrent + 8 * from * gates, 1);
}

/* Those of the kernel, or of the recurrent kernel, and their biases, for the panels from .. to - 1:
 * first as [rows][gate_width], then as in Keras. */
static void backward_weights(const Backward *b, int recurrent, int64_t from, int64_t to,
                             float *scratch) {
    const Loop *p = &b->p;
    const int64_t panels = panels_of(p->units), all = p->rows * p->steps, G = gates_of(b->cell);
    const int64_t gates = gate_width_of(p->units, b->cell), size = 8 * slots_of(b->cell);
    const Columns columns = {gates, 8 * G * from, 8 * G * to};
    if (!recurrent) {
        multiply_transposed(b->d_kernel, b->d_bias, p->x, p->inputs, 8, p->inputs, p->d_sums, all,
                            columns, scratch);
        unpack(p->d_kernel, b->d_kernel, p->inputs, G, p->units, from, to);
        unpack(p->d_bias, b->d_bias, 1, G, p->units, from, to);
        return;
    }
    if (all)
        multiply_transposed(b->d_recurrent, b->d_state_bias, p->tape + 8 * h_old_slot(b->cell),
                            panels * size, size, p->units,
                            b->cell == GRU ? p->d_state_sums : p->d_sums, all, columns, scratch);
    unpack(p->d_recurrent, b->d_recurrent, p->units, G, p->units, from, to);
    if (p->d_state_bias) unpack(p->d_state_bias, b->d_state_bias, 1, G, p->units, from, to);
}

static void end_backward(Backward *b) {
    if (b->memory) {
        unpad(b->p.d_h0, b->d.h, b->p.rows, b->p.units);
        if (b->cell == LSTM) unpad(b->p.d_c0, b->d.c, b->p.rows, b->p.units);
    }
    free(b->memory), free_turns(b->turns);
}

int kerasrnn_backward(const Loop *p, int cell) {
    Backward b;
    const int64_t panels = panels_of(p->units);
    if (begin_backward(&b, p, cell, 1)) return 1;
    for (int64_t step = p->steps - 1; step >= 0; step--)
        backward_gates(&b, step, 0, panels), backward_states(&b, step, 0, panels);
    for (int recurrent = 0; recurrent < 2; recurrent++)
        backward_weights(&b, recurrent, 0, panels, b.scratch);
    end_backward(&b);
    return 0;
}

/* --- shared by several threads --------------------------------------------------------------- */

/* Two turns for each step: the state's gradients need the gate sums of all panels. */
static void run_turn(void *context, int64_t worker, int64_t turn, int64_t from, int64_t to) {
    const Backward *b = context;
    (void)worker;
    (turn % 2 ? backward_states : backward_gates)(b, b->p.steps - 1 - turn / 2, from, to);
}

typedef struct {
    Backward layers[MAX_LAYERS];
    int64_t number, workers; /* of layers, and for each of them */
} Shared;

static int run_steps(const void *context, int64_t job) {
    const Shared *s = context;
    const Backward *b = s->layers + job % s->number;
    take_turns(b->turns, 2 * b->p.steps, job / s->number, run_turn, (void *)b);
    return 0;
}

static int run_weights(const void *context, int64_t job) {
    const Shared *s = context;
    const Backward *b = s->layers + job % s->number;
    const int64_t part = job / s->number, of = part / 2, panels = panels_of(b->p.units);
    backward_weights(b, part % 2, of * panels / s->workers, (of + 1) * panels / s->workers,
                     b->scratch + part * b->scratch_size);
    return 0;
}

int kerasrnn_shared_backward(const Loop *loops, int layers, int cell, int threads) {
    Shared s = {.number = layers, .workers = threads};
    int failed = 0;
    for (Backward *b = s.layers; b < s.layers + layers; b++) {
        failed |= begin_backward(b, loops + (b - s.layers), cell, threads);
        b->turns = new_turns(threads, panels_of(b->p.units));
        failed |= !b->turns;
    }
    if (!failed) failed = parallel_for(run_steps, &s, layers * threads, threads, 0);
    if (!failed) failed = parallel_for(run_weights, &s, 2 * layers * threads, threads, 0);
    for (int i = 0; i < layers; i++) end_backward(s.layers + i);
    return failed;
}
