/* Runs the loops without TensorFlow: all cells, directions, masks, few and many rows, one and two
 * layers, several callers at once. Built by scripts/sanitize.py with the sanitizers; it checks that
 * threads and few rows change no output. Exit 0, or 1 with a line that says what differs.
 */
#include "loops.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int cell, layers, masked, sequences;
    int64_t rows, steps, inputs, units;
} Case;

static float *numbers(int64_t number, unsigned *seed) {
    float *found = malloc(sizeof(float) * (number + 1));
    if (!found) abort();
    for (int64_t i = 0; i < number; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        found[i] = (float)(*seed >> 8) / (1 << 24) - 0.5f;
    }
    return found;
}

static float *zeros(int64_t number) {
    float *found = calloc(number + 1, sizeof(float));
    if (!found) abort();
    return found;
}

/* A layer with arrays of exactly the sizes that loops.h states. */
static Loop make_layer(const Case *c, int second, const float *x, const uint8_t *mask) {
    const int64_t bias = gates_of(c->cell) * c->units, states = c->rows * c->units;
    const int64_t times = c->rows * c->steps, width = gate_width_of(c->units, c->cell);
    unsigned seed = 7 + second;
    Loop p = {.rows = c->rows, .steps = c->steps, .inputs = c->inputs, .units = c->units};
    p.reverse = second, p.joined = 1, p.zero_masked = c->masked == 2;
    p.x = x, p.mask = c->masked ? mask : NULL;
    p.kernel = numbers(c->inputs * bias, &seed), p.recurrent = numbers(c->units * bias, &seed);
    p.bias = numbers(bias, &seed), p.state_bias = c->cell == GRU ? numbers(bias, &seed) : NULL;
    p.h0 = numbers(states, &seed), p.c0 = numbers(states, &seed);
    p.h = zeros(states), p.c = zeros(states);
    p.tape = zeros(times * panels_of(c->units) * slots_of(c->cell) * 8);
    if (c->sequences) p.out = zeros(times * c->units), p.d_out = numbers(times * c->units, &seed);
    else p.last = zeros(states), p.d_last = numbers(states, &seed);
    p.d_h = numbers(states, &seed), p.d_c = numbers(states, &seed);
    p.d_sums = zeros(times * width), p.d_state_sums = zeros(times * width);
    p.d_h0 = zeros(states), p.d_c0 = zeros(states);
    p.d_kernel = zeros(c->inputs * bias), p.d_recurrent = zeros(c->units * bias);
    p.d_bias = zeros(bias), p.d_state_bias = c->cell == GRU ? zeros(bias) : NULL;
    return p;
}

static void free_layer(Loop *p) {
    const float *arrays[] = {p->kernel, p->recurrent, p->bias, p->state_bias, p->h0, p->c0, p->h,
                             p->c, p->tape, p->out, p->d_out, p->last, p->d_last, p->d_h, p->d_c,
                             p->d_sums, p->d_state_sums, p->d_h0, p->d_c0, p->d_kernel,
                             p->d_recurrent, p->d_bias, p->d_state_bias};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free((void *)arrays[i]);
}

/* Forward and backward; the outputs, the final states h and the gradients of the initial ones of all
 * layers, which the caller frees. */
static float *run(const Case *c, int threads, const float *x, const uint8_t *mask) {
    Loop layers[MAX_LAYERS];
    const int64_t shown = c->rows * c->units * (c->sequences ? c->steps : 1);
    const int64_t states = c->rows * c->units;
    for (int i = 0; i < c->layers; i++) layers[i] = make_layer(c, i, x, mask);
    if (kerasrnn_loops(layers, c->layers, c->cell, 0, threads)) abort();
    if (kerasrnn_loops(layers, c->layers, c->cell, 1, threads)) abort();
    const float *d_sums[MAX_LAYERS], *kernels[MAX_LAYERS];
    const int64_t units[MAX_LAYERS] = {c->units, c->units};
    for (int i = 0; i < c->layers; i++) d_sums[i] = layers[i].d_sums, kernels[i] = layers[i].kernel;
    float *d_x = zeros(c->rows * c->steps * c->inputs);
    if (kerasrnn_inputs(d_x, c->rows * c->steps, c->inputs, units, c->cell, d_sums, kernels,
                        c->layers, threads))
        abort();
    free(d_x);
    float *results = zeros(c->layers * (shown + 2 * states));
    for (int i = 0; i < c->layers; i++) {
        const Loop *p = layers + i;
        float *to = results + i * (shown + 2 * states);
        memcpy(to, p->out ? p->out : p->last, sizeof(float) * shown);
        memcpy(to + shown, p->h, sizeof(float) * states);
        memcpy(to + shown + states, p->d_h0, sizeof(float) * states);
        free_layer(layers + i);
    }
    return results;
}

/* The number of results that differ between one thread and several, and of each row alone. */
static int check(const Case *c) {
    unsigned seed = 1;
    float *x = numbers(c->rows * c->steps * c->inputs, &seed);
    uint8_t *mask = malloc(c->rows * c->steps + 1);
    if (!mask) abort();
    for (int64_t i = 0; i < c->rows * c->steps; i++)
        mask[i] = i % c->steps != c->steps / 2 && (i * 7 + i / 5) % 3 != 0;
    const int64_t shown = c->rows * c->units * (c->sequences ? c->steps : 1);
    const int64_t number = c->layers * (shown + 2 * c->rows * c->units);
    float *one = run(c, 1, x, mask), *several = run(c, 3, x, mask);
    int different = memcmp(one, several, sizeof(float) * number) != 0;
    free(one), free(several), free(mask), free(x);
    if (different)
        printf("cell %d, %d layers, mask %d, %lld rows, %lld steps, %lld units: threads differ\n",
               c->cell, c->layers, c->masked, (long long)c->rows, (long long)c->steps,
               (long long)c->units);
    return different;
}

static int check_all(int64_t units, int64_t inputs) {
    static const int64_t rows[] = {1, 3, 4, 5, 13, 50}, steps[] = {1, 9, 130};
    int different = 0;
    for (int cell = SIMPLE; cell <= LSTM; cell++)
        for (int i = 0; i < 6 * 3; i++)
            for (int masked = 0; masked < 3; masked++) {
                Case c = {cell, 1 + (i + masked) % 2, masked, (i + masked) % 3 > 0,
                          rows[i / 3], steps[i % 3], inputs, units};
                if (c.rows * c.steps > 1000) c.steps = 9;
                different += check(&c);
            }
    return different;
}

/* Work enough for several threads, which share rows or, of large weights, panels; from two callers at
 * once. */
static int large_differs;

static void *check_large(void *unused) {
    int different = 0;
    for (int cell = SIMPLE; cell <= LSTM; cell++)
        for (int64_t rows = 2; rows <= 18; rows += 16) {
            Case c = {cell, 2, rows % 3, 1, rows, rows < 4 ? 12 : 3, 40, 200};
            different += check(&c);
        }
    for (int cell = SIMPLE; cell <= LSTM; cell++) {
        const int64_t units = cell == LSTM ? 260 : cell == GRU ? 300 : 516;
        Case c = {cell, 1 + cell % 2, cell, cell > 0, 9, 3, units, units};
        different += check(&c);
    }
    (void)unused;
    return different ? &large_differs : NULL;
}

int main(void) {
    int different = check_all(7, 3) + check_all(16, 1);
    pthread_t other;
    void *failed = NULL;
    if (pthread_create(&other, NULL, check_large, NULL)) return 1;
    different += check_large(NULL) != NULL;
    pthread_join(other, &failed);
    if (!different && !failed) puts("all results agree");
    return different || failed;
}
