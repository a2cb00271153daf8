/* The gradients, from the last step to the first.
 *
 * The gradients of the gate sums are computed step by step from the tape; those of the weights are
 * products over all steps at once.
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

/* The gradients of a row's gate sums at a step. */
INLINE void backward_row(const Loop *p, const int cell, int64_t row, int64_t step,
                         const Gradients *d) {
    const int64_t panels = panels_of(p->units), when = row * p->steps + time_index(p, step);
    const int G = gates_of(cell), masked = p->mask && !p->mask[when];
    for (int64_t panel = 0; panel < panels; panel++) {
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
        const int64_t width = G * panels * 8;
        memcpy(p->d_state_sums + when * width, d->state + row * d->stride, sizeof(float) * width);
    }
}

INLINE void backward_rows(const Loop *p, int cell, int64_t step, const Gradients *d) {
    switch (cell) {
        case LSTM:
            for (int64_t row = 0; row < p->rows; row++) backward_row(p, LSTM, row, step, d);
            break;
        case GRU:
            for (int64_t row = 0; row < p->rows; row++) backward_row(p, GRU, row, step, d);
            break;
        default:
            for (int64_t row = 0; row < p->rows; row++) backward_row(p, SIMPLE, row, step, d);
    }
}

static void rows_plain(const Loop *p, int cell, int64_t step, const Gradients *d) {
    backward_rows(p, cell, step, d);
}

AVX2 static void rows_avx2(const Loop *p, int cell, int64_t step, const Gradients *d) {
    backward_rows(p, cell, step, d);
}

/* --- all steps ---------------------------------------------------------------------------- */

/* The gradients of the weights: first [rows][gate_width] in "packed", all 0, then as in Keras. */
static void backward_weights(const Loop *p, int cell, float *packed, float *scratch) {
    const int64_t width = gate_width_of(p->units, cell), all = p->rows * p->steps;
    const int64_t G = gates_of(cell), size = 8 * slots_of(cell);
    const float *d_state = cell == GRU ? p->d_state_sums : p->d_sums;
    float *d_kernel = packed, *d_recurrent = d_kernel + p->inputs * width;
    float *d_bias = d_recurrent + p->units * width, *d_state_bias = d_bias + width;
    multiply_transposed(d_kernel, d_bias, p->x, p->inputs, 8, p->inputs, p->d_sums, all, width,
                        scratch);
    if (all)
        multiply_transposed(d_recurrent, d_state_bias, p->tape + 8 * h_old_slot(cell),
                            panels_of(p->units) * size, size, p->units, d_state, all, width,
                            scratch);
    unpack(p->d_kernel, d_kernel, p->inputs, G, p->units);
    unpack(p->d_recurrent, d_recurrent, p->units, G, p->units);
    unpack(p->d_bias, d_bias, 1, G, p->units);
    if (p->d_state_bias) unpack(p->d_state_bias, d_state_bias, 1, G, p->units);
}

int kerasrnn_backward(const Loop *p, int cell) {
    const int64_t width = 8 * panels_of(p->units), size = p->rows * width;
    const int64_t gate_width = gate_width_of(p->units, cell), stride = padded_stride(gate_width);
    const int64_t packed = (p->inputs + p->units + 2) * gate_width;
    const int64_t widest = p->inputs > p->units ? p->inputs : p->units;
    float *memory = allocate_zeros(3 * size + p->rows * stride + width * gate_width + packed +
                                   padded_stride(widest) * BLOCK);
    if (!memory) return 1;
    Gradients d = {memory, memory + size, memory + 2 * size, memory + 3 * size, stride};
    float *recurrent = d.state + p->rows * stride, *weights = recurrent + width * gate_width;
    pack_transposed(recurrent, p->recurrent, p->units, gates_of(cell), p->units);
    pad(d.h, p->d_h, p->rows, p->units);
    if (cell == LSTM) pad(d.c, p->d_c, p->rows, p->units);
    if (p->d_last) pad(d.shown, p->d_last, p->rows, p->units);
    for (int64_t step = p->steps - 1; step >= 0; step--) {
        (has_avx2() ? rows_avx2 : rows_plain)(p, cell, step, &d);
        if (!any_real(p, time_index(p, step))) continue;
        multiply_packed(d.h, p->rows, width, width, d.state, stride, gate_width, recurrent, 1);
    }
    unpad(p->d_h0, d.h, p->rows, p->units);
    if (cell == LSTM) unpad(p->d_c0, d.c, p->rows, p->units);
    backward_weights(p, cell, weights, weights + packed);
    free(memory);
    return 0;
}
