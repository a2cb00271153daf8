/* The loops over time of recurrent layers: what they read and what they write.
 *
 * A layer's units come in panels of 8, padded with zeros; a vector (v8) holds one panel. A row of
 * gate sums is [panels][gates][8], "gate_width" floats in all, and a row of states [panels][8].
 */
#ifndef KERASRNN_LOOPS_H
#define KERASRNN_LOOPS_H

#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

enum { SIMPLE, GRU, LSTM };
enum { MAX_LAYERS = 2 }; /* layers that read the same input: the two of a bidirectional layer */

/* The tape: what forward saves of each panel and step for backward. */
enum { LSTM_IN, LSTM_FORGET, LSTM_NEW, LSTM_OUT, LSTM_H_OLD, LSTM_C_OLD, LSTM_SLOTS };
enum { GRU_UPDATE, GRU_RESET, GRU_NEW, GRU_STATE, GRU_H_OLD, GRU_SLOTS };
enum { SIMPLE_H_NEW, SIMPLE_H_OLD, SIMPLE_SLOTS };

/* One layer. Weights are laid out as in Keras, [rows][gates][units]. Absent arrays are NULL. */
typedef struct {
    int64_t rows, steps, inputs, units;
    int32_t reverse;     /* read from the last step to the first */
    int32_t zero_masked; /* a masked step outputs zeros, otherwise the output before it */
    int32_t joined;      /* layers that write their outputs side by side: 1 or 2 */
    int32_t second;      /* the second of them, which writes them in reverse order */
    const uint8_t *mask; /* [rows][steps], 0 where masked */
    const float *x;      /* [rows][steps][inputs] */
    const float *kernel, *recurrent; /* [inputs][gates][units], [units][gates][units] */
    const float *bias;               /* [gates][units] */
    const float *state_bias;         /* GRU: bias of the product of the state */
    const float *h0, *c0;            /* initial states [rows][units] */
    float *out;                      /* [rows][steps][joined][units] in reading order */
    float *last, *h, *c;             /* the last output and the final states [rows][units] */
    float *tape;                     /* [rows][steps][panels][slots][8] */
    const float *d_out, *d_last;     /* gradient of out or of last; the other is NULL */
    const float *d_h, *d_c;          /* gradients of the final states */
    float *d_sums;                   /* [rows][steps][gate_width], of the gate sums */
    float *d_state_sums;             /* GRU: the same for the product of the state */
    float *d_h0, *d_c0;
    float *d_kernel, *d_recurrent, *d_bias, *d_state_bias; /* laid out as the weights */
} Loop;

INLINE int slots_of(int cell) {
    return cell == LSTM ? LSTM_SLOTS : cell == GRU ? GRU_SLOTS : SIMPLE_SLOTS;
}
INLINE int h_old_slot(int cell) {
    return cell == LSTM ? LSTM_H_OLD : cell == GRU ? GRU_H_OLD : SIMPLE_H_OLD;
}
INLINE int gates_of(int cell) { return cell == LSTM ? 4 : cell == GRU ? 3 : 1; }
INLINE int64_t panels_of(int64_t units) { return (units + 7) / 8; }
INLINE int64_t gate_width_of(int64_t units, int cell) {
    return 8 * panels_of(units) * gates_of(cell);
}
INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* --- dispatch.c --------------------------------------------------------------------------- */

/* All steps of layers with the same number of rows, forward or backward, on at most that many
 * threads. 0, or 1 for lack of memory. */
int kerasrnn_loops(const Loop *loops, int layers, int cell, int back, int threads);

/* The gradient of x, [rows][inputs]: the sum over layers of d_sums [rows][gate_width] times the
 * transposed kernel. 0, or 1 for lack of memory. */
int kerasrnn_inputs(float *d_x, int64_t rows, int64_t inputs, const int64_t *units, int cell,
                    const float *const *d_sums, const float *const *kernels, int layers,
                    int threads);

/* --- forward.c, shared_steps.c, backward.c: 0, or 1 for lack of memory ------------------------- */

/* All rows on one thread. */
int kerasrnn_forward(const Loop *p, int cell);
int kerasrnn_backward(const Loop *p, int cell);

enum { FEW_ROWS = 4 }; /* batches up to this size share their steps */
/* Several threads share each step. */
int kerasrnn_shared_forward(const Loop *loops, int layers, int cell, int threads);
int kerasrnn_shared_backward(const Loop *loops, int layers, int cell, int threads);

/* --- threads.c ---------------------------------------------------------------------------- */

/* Run jobs 0 .. jobs - 1 on at most that many threads, the calling one among them. brief: the
 * jobs take less time than waking a thread, and more calls follow soon, so the workers spin for a
 * while afterwards. 0, or 1 if a job failed. */
int parallel_for(int (*run)(const void *context, int64_t job), const void *context, int64_t jobs,
                 int threads, int brief);

/* Tell the core that this thread spins. */
INLINE void cpu_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* --- turns.c ------------------------------------------------------------------------------- */

typedef struct Turns Turns;

/* For that many workers that share that many panels; NULL for lack of memory. */
Turns *new_turns(int64_t workers, int64_t panels);
void free_turns(Turns *t);

/* What a worker does: run(context, worker, turn, from, to) for panels from .. to - 1 of each turn, a
 * chunk of them at a time, together with whichever workers are there. */
void take_turns(Turns *t, int64_t turns, int64_t worker,
                void (*run)(void *context, int64_t worker, int64_t turn, int64_t from, int64_t to),
                void *context);

/* --- memory.c ----------------------------------------------------------------------------- */

/* Room for that many floats, zero or not initialized; NULL at once where the system cannot have
 * as many, however much it promises. */
float *allocate(int64_t floats);
float *allocate_zeros(int64_t floats);

/* Whether that many bytes exceed the machine's memory, or a limit of the process or container. */
int exceeds_memory(size_t bytes);

/* Whether the system refuses that many bytes now. */
int refused_by_system(size_t bytes);

#endif
