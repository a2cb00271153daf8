/* What the loops of loops.c read and give. */
#ifndef KERASRNN_LOOPS_H
#define KERASRNN_LOOPS_H

#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

enum { SIMPLE, GRU, LSTM };
enum { MOST_LAYERS = 2 }; /* that read the same: those of a bidirectional layer */

typedef struct { /* weights as Keras has them, [rows][gates][units] */
    int64_t rows, steps, inputs, units;
    int32_t reverse;     /* read from the last step to the first */
    int32_t zero_masked; /* a masked step gives zeros, else what the step before gave */
    int32_t joined;      /* loops whose outputs lie beside each other, 1 or 2 */
    int32_t second;      /* the second of them, whose outputs are in the reverse order */
    const uint8_t *mask; /* [rows][steps], 0 where masked, or NULL */
    const float *x;      /* [rows][steps][inputs] */
    const float *w, *u;  /* kernel [inputs][gates][units], recurrent kernel [units][gates][units] */
    const float *bias;   /* [gates][units] */
    const float *state_bias; /* of the state's product, GRU only, or NULL for none */
    const float *h0, *c0;    /* [rows][units] */
    float *out;              /* [rows][steps][joined][units] in the order of reading, or NULL */
    float *last, *h, *c;     /* [rows][units]: the last output, or NULL, and the last states */
    float *kept;             /* [rows][steps][panels][KEPT][8] for the way back, or NULL */
    const float *d_out, *d_last; /* gradients of out or of last, the other is NULL */
    const float *d_h, *d_c;      /* gradients of the last states, [rows][units] */
    float *d_gates;       /* [rows][steps][columns], of the sums that the gates are of */
    float *d_state;       /* GRU: the same of the state's product */
    float *d_h0, *d_c0;   /* [rows][units] */
    float *d_w, *d_u, *d_bias, *d_state_bias; /* as the weights are */
} Loop;

/* What is kept of a unit and step: gates, then h before the step and, of LSTM, c before it. */
INLINE int kept_of(int cell) { return cell == LSTM ? 6 : cell == GRU ? 5 : 2; }
INLINE int gates_of(int cell) { return cell == LSTM ? 4 : cell == GRU ? 3 : 1; }

INLINE int64_t panels_of(int64_t units) { return (units + 7) / 8; }

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Run so many jobs on so many threads, this one among them. brief: they take less than it takes to
 * wake a thread, and more are soon to come. 0, or 1 where one of them failed. */
int share(int (*run)(const void *what, int64_t job), const void *what, int64_t jobs, int threads,
          int brief);

/* What a thread does while it waits for another without sleeping. */
INLINE void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* All steps of so many layers of as many rows, forward or back. 0, or 1 where memory is short. */
int kerasrnn_loops(const Loop *loops, int layers, int cell, int back, int threads);

/* The gradient of x, [rows][inputs]: the sum over the layers of d_gates [rows][columns] by the
 * kernel. 0, or 1 where memory is short. */
int kerasrnn_inputs(float *d_x, int64_t rows, int64_t inputs, const int64_t *units, int64_t gates,
                    const float *const *d_gates, const float *const *kernels, int layers,
                    int threads);

#endif
