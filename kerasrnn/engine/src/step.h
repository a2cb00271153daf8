/* One step forward: what forward.c and shared_steps.c share. */
#ifndef KERASRNN_STEP_H
#define KERASRNN_STEP_H

#include "matmul.h"
#include "pack.h"

#include <stdlib.h>

enum { ROWS = 48 }; /* rows whose gate sums are computed together: a multiple of all tiles' */

/* What goes from step to step, [rows][panels][8], and the weights as the products read them. */
typedef struct {
    float *memory;                 /* of all that follows */
    float *h, *h_new, *c, *shown;  /* shown: the output of the step before */
    float *bias, *state_bias;      /* packed */
    const float *kernel, *recurrent; /* packed, or as they are in Keras */
    int64_t panel_stride, row_stride, gate_stride; /* between panels, rows and vectors of recurrent */
    float *sums; /* few rows: bias and product of the input, [rows][BLOCK][gate_width] */
} State;

/* Position in time of a step, counted in reading order. */
INLINE int64_t time_index(const Loop *p, int64_t step) {
    return p->reverse ? p->steps - 1 - step : step;
}

/* Where in out the values of a row and step begin. */
INLINE int64_t output_index(const Loop *p, int64_t row, int64_t step) {
    const int64_t at = p->second ? p->steps - 1 - step : step;
    return ((row * p->steps + at) * p->joined + p->second) * p->units;
}

/* Vectors of gate sums that are computed together: all gates of one panel, or two panels. */
INLINE int vectors_of(int cell) { return cell == SIMPLE ? 2 : gates_of(cell); }
INLINE int panels_together(int cell) { return cell == SIMPLE ? 2 : 1; }

/* Whether any row is real, that is, not masked, at a position in time. */
INLINE int any_real(const Loop *p, int64_t t) {
    if (!p->mask) return 1;
    for (int64_t row = 0; row < p->rows; row++)
        if (p->mask[row * p->steps + t]) return 1;
    return 0;
}

/* --- gates: from the sums of a panel to its next state; tape may be NULL ---------------------- */

INLINE v8 gates_forward_lstm(const v8 *sums, v8 h_old, v8 *c, float *tape) {
    const v8 in = sigmoid8(sums[0]), forget = sigmoid8(sums[1]);
    const v8 new = tanh8(sums[2]), out = sigmoid8(sums[3]), c_old = *c;
    *c = forget * c_old + in * new;
    if (tape) {
        save(tape, LSTM_IN, in), save(tape, LSTM_FORGET, forget), save(tape, LSTM_NEW, new);
        save(tape, LSTM_OUT, out), save(tape, LSTM_H_OLD, h_old), save(tape, LSTM_C_OLD, c_old);
    }
    return out * tanh8(*c);
}

/* state: the product of the state and its bias, apart from the input's. */
INLINE v8 gates_forward_gru(const v8 *sums, const v8 *state, v8 h_old, float *tape) {
    const v8 update = sigmoid8(sums[0] + state[0]), reset = sigmoid8(sums[1] + state[1]);
    const v8 new = tanh8(sums[2] + reset * state[2]);
    if (tape) {
        save(tape, GRU_UPDATE, update), save(tape, GRU_RESET, reset), save(tape, GRU_NEW, new);
        save(tape, GRU_STATE, state[2]), save(tape, GRU_H_OLD, h_old);
    }
    return new + update * (h_old - new);
}

INLINE v8 gates_forward_simple(const v8 *sums, v8 h_old, float *tape) {
    const v8 h_new = tanh8(sums[0]);
    if (tape) save(tape, SIMPLE_H_NEW, h_new), save(tape, SIMPLE_H_OLD, h_old);
    return h_new;
}

/* The tape of a row, step and panel, if there is one; that of the next step is prefetched. */
INLINE float *tape_at(const Loop *p, const int cell, int64_t row, int64_t step, int64_t panel) {
    if (!p->tape) return NULL;
    const int64_t panels = panels_of(p->units), size = 8 * slots_of(cell);
    float *tape = p->tape + ((row * p->steps + time_index(p, step)) * panels + panel) * size;
    if (step + 1 < p->steps) prefetch(p->reverse ? tape - panels * size : tape + panels * size, size);
    return tape;
}

/* Apply the gates of a row's panel, and write its states and output. */
INLINE void finish_panel(const Loop *p, const int cell, int64_t row, int64_t panel, int64_t step,
                         const State *s, const v8 *sums, const v8 *state) {
    const int64_t here = (row * panels_of(p->units) + panel) * 8;
    float *tape = tape_at(p, cell, row, step, panel);
    const v8 h_old = load(s->h + here), c_old = cell == LSTM ? load(s->c + here) : (v8){};
    v8 c_next = c_old;
    v8 h_next = cell == LSTM  ? gates_forward_lstm(sums, h_old, &c_next, tape)
                : cell == GRU ? gates_forward_gru(sums, state, h_old, tape)
                              : gates_forward_simple(sums, h_old, tape);
    v8 shown = h_next;
    if (p->mask) {
        if (!p->mask[row * p->steps + time_index(p, step)]) {
            h_next = h_old, c_next = c_old;
            shown = p->zero_masked ? (v8){} : load(s->shown + here);
        }
        store(s->shown + here, shown);
    }
    store(s->h_new + here, h_next);
    if (cell == LSTM) store(s->c + here, c_next);
    if (p->out)
        store_some(p->out + output_index(p, row, step) + 8 * panel, shown, p->units - 8 * panel);
}

/* --- a step ------------------------------------------------------------------------------- */

/* A step of at most ROWS rows and the panels whose gate sums are V vectors, from these on. */
INLINE void forward_block(const int avx2, const Loop *p, const int cell, const int V, int64_t row,
                          int64_t rows, int64_t panel, int64_t step, const State *s) {
    const int G = gates_of(cell);
    const int64_t width = 8 * panels_of(p->units), first = panel * G * 8;
    v8 sums[ROWS * 4], state[ROWS * 4];
    for (int64_t r = 0; r < rows; r++) {
        const float *from = s->bias;
        if (s->sums) from = s->sums + ((row + r) * BLOCK + step % BLOCK) * width * G;
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            sums[r * V + v] = load(from + first + 8 * v);
            if (cell == GRU) state[r * V + v] = load(s->state_bias + first + 8 * v);
        }
    }
    if (!s->sums)
        accumulate(avx2, V, sums, rows,
                   p->x + (row * p->steps + time_index(p, step)) * p->inputs,
                   p->steps * p->inputs, p->inputs, s->kernel + first * p->inputs, 8 * V, 8);
    accumulate(avx2, V, cell == GRU ? state : sums, rows, s->h + row * width, width, p->units,
               s->recurrent + panel * s->panel_stride, s->row_stride ? s->row_stride : 8 * V,
               s->gate_stride);
    for (int64_t r = 0; r < rows; r++)
        for (int q = 0; q < V / G; q++)
            finish_panel(p, cell, row + r, panel + q, step, s, sums + r * V + q * G, state + r * V);
}

/* A step of all rows, for the panels from .. to - 1. */
INLINE void forward_panels(const int avx2, const Loop *p, const int cell, int64_t from, int64_t to,
                           int64_t step, const State *s) {
    for (int64_t panel = from; panel < to; panel += panels_together(cell))
        for (int64_t row = 0; row < p->rows; row += ROWS) {
            const int64_t rows = least(ROWS, p->rows - row);
            if (cell == SIMPLE && panel + 1 == to)
                forward_block(avx2, p, cell, 1, row, rows, panel, step, s);
            else forward_block(avx2, p, cell, vectors_of(cell), row, rows, panel, step, s);
        }
}

/* A step at which no row is real, for the panels from .. to - 1. */
INLINE void skip_step(const Loop *p, int cell, int64_t step, const State *s, int64_t from,
                      int64_t to) {
    const int64_t panels = panels_of(p->units);
    for (int64_t row = 0; row < p->rows; row++)
        for (int64_t panel = from; panel < to; panel++) {
            const int64_t here = (row * panels + panel) * 8;
            const v8 shown = p->zero_masked ? (v8){} : load(s->shown + here);
            float *tape = tape_at(p, cell, row, step, panel);
            store(s->shown + here, shown);
            store(s->h_new + here, load(s->h + here));
            if (tape) memset(tape, 0, slots_of(cell) * sizeof(v8));
            if (p->out)
                store_some(p->out + output_index(p, row, step) + 8 * panel, shown,
                           p->units - 8 * panel);
        }
}

INLINE void next_step(State *s) {
    float *swap = s->h;
    s->h = s->h_new, s->h_new = swap;
}

/* --- before the first step and after the last ------------------------------------------------ */

/* Allocate states and biases, and room for that many other floats, which is returned; NULL for
 * lack of memory. */
INLINE float *begin(const Loop *p, int cell, int64_t others, State *s) {
    const int64_t panels = panels_of(p->units), gate_width = gate_width_of(p->units, cell);
    const int64_t size = p->rows * panels * 8, number = 4 * size + 2 * gate_width;
    float *memory = allocate(number + others);
    if (!memory) return NULL;
    memset(memory, 0, sizeof(float) * number);
    s->memory = s->h = memory, s->h_new = s->h + size, s->c = s->h_new + size, s->shown = s->c + size;
    s->bias = s->shown + size, s->state_bias = s->bias + gate_width;
    pack_panels(s->bias, p->bias, 1, gates_of(cell), p->units, 0, panels);
    if (p->state_bias) pack_panels(s->state_bias, p->state_bias, 1, gates_of(cell), p->units, 0, panels);
    pad(s->h, p->h0, p->rows, p->units);
    if (cell == LSTM) pad(s->c, p->c0, p->rows, p->units);
    s->panel_stride = p->units * gates_of(cell) * 8, s->row_stride = 0, s->gate_stride = 8;
    return s->state_bias + gate_width;
}

/* Pack the panels from .. to - 1 of weights, those that are computed together side by side. */
INLINE void pack_all(float *to, const float *weights, int64_t rows, int cell, int64_t units,
                     int64_t from, int64_t end) {
    const int64_t G = gates_of(cell), together = panels_together(cell);
    for (int64_t panel = from; panel < end; panel += together)
        pack_panels(to + panel * rows * G * 8, weights, rows, G, units, panel,
                    least(together, end - panel));
}

/* Write the last output and the final states. */
INLINE void finish(const Loop *p, int cell, const State *s) {
    if (p->last) unpad(p->last, p->mask || !p->steps ? s->shown : s->h, p->rows, p->units);
    unpad(p->h, s->h, p->rows, p->units);
    if (cell == LSTM) unpad(p->c, s->c, p->rows, p->units);
    free(s->memory);
}

#endif
