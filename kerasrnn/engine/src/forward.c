/* All steps forward, a step of all rows at a time.
 *
 * The input and the state are multiplied step by step: the gate sums of a panel stay in the
 * first-level cache until the gates are applied, and no product of the input is ever in memory.
 */
#include "step.h"

INLINE int forward_body(const int avx2, const Loop *p, const int cell) {
    const int64_t panels = panels_of(p->units), gate_width = gate_width_of(p->units, cell);
    State s = {0};
    float *recurrent = begin(p, cell, (p->units + p->inputs) * gate_width, &s);
    if (!recurrent) return 1;
    float *kernel = recurrent + p->units * gate_width;
    pack_all(recurrent, p->recurrent, p->units, cell, p->units, 0, panels);
    pack_all(kernel, p->kernel, p->inputs, cell, p->units, 0, panels);
    s.recurrent = recurrent, s.kernel = kernel;
    for (int64_t step = 0; step < p->steps; step++, next_step(&s))
        if (any_real(p, time_index(p, step))) forward_panels(avx2, p, cell, 0, panels, step, &s);
        else skip_step(p, cell, step, &s, 0, panels);
    finish(p, cell, &s);
    return 0;
}

INLINE int forward_cell(const int avx2, const Loop *p, int cell) {
    switch (cell) {
        case LSTM: return forward_body(avx2, p, LSTM);
        case GRU: return forward_body(avx2, p, GRU);
        default: return forward_body(avx2, p, SIMPLE);
    }
}

static int forward_plain(const Loop *p, int cell) { return forward_cell(0, p, cell); }
AVX2 static int forward_avx2(const Loop *p, int cell) { return forward_cell(1, p, cell); }

int kerasrnn_forward(const Loop *p, int cell) {
    return (has_avx2() ? forward_avx2 : forward_plain)(p, cell);
}
