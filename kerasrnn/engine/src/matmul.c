/* Products of matrices: the tiles, and the two products of the backward pass. */
#include "matmul.h"

/* The loop of every tile. One function for each shape, so that all sums stay in registers: with 12
 * of 16 taken, the fewer of the rows' values and of b's vectors are held beside them. */
INLINE void in_registers(const int R, const int G, PRODUCT_PARAMETERS) {
    v8 held[REGISTERS];
#pragma GCC unroll 16
    for (int i = 0; i < R * G; i++) held[i] = sums[i];
    for (int64_t j = 0; j < k; j++, a += a_column, b += b_row) {
        if (R > G) {
            v8 vectors[4];
#pragma GCC unroll 16
            for (int g = 0; g < G; g++) vectors[g] = load(b + g * b_vector);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) {
                const float x = a[r * a_row];
                const v8 value = {x, x, x, x, x, x, x, x};
#pragma GCC unroll 16
                for (int g = 0; g < G; g++) held[r * G + g] += value * vectors[g];
            }
        } else {
#pragma GCC unroll 16
            for (int g = 0; g < G; g++) {
                const v8 vector = load(b + g * b_vector);
#pragma GCC unroll 16
                for (int r = 0; r < R; r++) held[r * G + g] += a[r * a_row] * vector;
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < R * G; i++) sums[i] = held[i];
}

#define DEFINE(R, G)                                                                  \
    _Static_assert(R * G <= REGISTERS, "a tile of more sums than registers");         \
    __attribute__((noinline)) void kerasrnn_product_##R##_##G(PRODUCT_PARAMETERS) {   \
        in_registers(R, G, sums, a, a_row, a_column, k, b, b_row, b_vector);          \
    }                                                                                 \
    AVX2 __attribute__((noinline)) void kerasrnn_product_##R##_##G##_avx2(            \
        PRODUCT_PARAMETERS) {                                                         \
        in_registers(R, G, sums, a, a_row, a_column, k, b, b_row, b_vector);          \
    }
PRODUCT_SHAPES(DEFINE)
#undef DEFINE

/* --- to[rows][width] += a b ----------------------------------------------------------------- */

INLINE void packed_body(const int avx2, float *to, int64_t rows, int64_t stride, int64_t width,
                        const float *a, int64_t a_stride, int64_t k, const float *b, int add) {
    const int64_t panels = panels_of(width);
    for (int64_t from = 0; from < k; from += BLOCK) {
        const int64_t number = least(k - from, BLOCK);
        for (int64_t panel = 0; panel < panels; panel += 4) {
            const float *of = b + (panel * k + from) * 8, *part = a + from;
            float *at = to + panel * 8;
            const int64_t rest = width - panel * 8;
            const int more = add || from;
#define CASE(G)                                                                            \
    case G:                                                                                \
        tiles(avx2, G, at, rows, stride, rest, part, a_stride, 1, number, of, 8, k * 8, more); \
        break;
            switch (least(panels - panel, 4)) { CASE(4) CASE(3) CASE(2) CASE(1) }
#undef CASE
        }
    }
}

static void packed_plain(float *to, int64_t rows, int64_t stride, int64_t width, const float *a,
                         int64_t a_stride, int64_t k, const float *b, int add) {
    packed_body(0, to, rows, stride, width, a, a_stride, k, b, add);
}

AVX2 static void packed_avx2(float *to, int64_t rows, int64_t stride, int64_t width,
                             const float *a, int64_t a_stride, int64_t k, const float *b,
                             int add) {
    packed_body(1, to, rows, stride, width, a, a_stride, k, b, add);
}

void multiply_packed(float *to, int64_t rows, int64_t stride, int64_t width, const float *a,
                     int64_t a_stride, int64_t k, const float *b, int add) {
    (has_avx2() ? packed_avx2 : packed_plain)(to, rows, stride, width, a, a_stride, k, b, add);
}

/* --- to[width][columns] += aᵀ d ------------------------------------------------------------- */

/* G vectors of columns from "at" on, for a block of k rows of d; a is contiguous in scratch. */
INLINE void transposed_columns(const int avx2, const int G, float *to, float *sums, int64_t width,
                               const float *d, int64_t k, int64_t columns, int64_t at,
                               const float *scratch) {
    v8 block[BLOCK * 4], total[4] = {};
    for (int64_t j = 0; j < k; j++)
#pragma GCC unroll 16
        for (int g = 0; g < G; g++)
            total[g] += block[j * G + g] = load(d + j * columns + at + 8 * g);
    for (int g = 0; g < G; g++) store(sums + at + 8 * g, load(sums + at + 8 * g) + total[g]);
    tiles(avx2, G, to + at, width, columns, 8 * G, scratch, 1, padded_stride(width), k,
          (const float *)block, 8 * G, 8, 1);
}

INLINE void transposed_body(const int avx2, float *to, float *sums, const float *a, int64_t stride,
                            int64_t spacing, int64_t width, const float *d, int64_t rows,
                            Columns columns, float *scratch) {
    for (int64_t from = 0; from < rows; from += BLOCK) {
        const int64_t k = least(rows - from, BLOCK);
        const float *part = d + from * columns.all;
        for (int64_t j = 0; j < k; j++)
            for (int64_t i = 0; i < width; i += 8)
                store(scratch + j * padded_stride(width) + i,
                      load_some(a + (from + j) * stride + i / 8 * spacing, width - i));
        for (int64_t at = columns.from; at < columns.to; at += 32) {
#define CASE(G)                                                                             \
    case G:                                                                                 \
        transposed_columns(avx2, G, to, sums, width, part, k, columns.all, at, scratch);    \
        break;
            switch (least(columns.to - at, 32) / 8) { CASE(4) CASE(3) CASE(2) CASE(1) }
#undef CASE
        }
    }
}

static void transposed_plain(float *to, float *sums, const float *a, int64_t stride,
                             int64_t spacing, int64_t width, const float *d, int64_t rows,
                             Columns columns, float *scratch) {
    transposed_body(0, to, sums, a, stride, spacing, width, d, rows, columns, scratch);
}

AVX2 static void transposed_avx2(float *to, float *sums, const float *a, int64_t stride,
                                 int64_t spacing, int64_t width, const float *d, int64_t rows,
                                 Columns columns, float *scratch) {
    transposed_body(1, to, sums, a, stride, spacing, width, d, rows, columns, scratch);
}

void multiply_transposed(float *to, float *sums, const float *a, int64_t stride, int64_t spacing,
                         int64_t width, const float *d, int64_t rows, Columns columns,
                         float *scratch) {
    (has_avx2() ? transposed_avx2 : transposed_plain)(to, sums, a, stride, spacing, width, d, rows,
                                                      columns, scratch);
}
