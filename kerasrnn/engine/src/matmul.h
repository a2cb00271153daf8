/* Products of matrices, by tiles that the compiler holds in registers. */
#ifndef KERASRNN_MATMUL_H
#define KERASRNN_MATMUL_H

#include "vector.h"

enum { BLOCK = 128 };     /* rows or columns multiplied at a time, so that they stay in cache */
enum { REGISTERS = 12 };  /* vectors of sums in a tile; others hold what is multiplied */

/* Rows of the next tile where so many are left: as many as there are registers for, but no single
 * row where it can be avoided, which would wait for each sum. */
INLINE int tile_rows(int vectors, int64_t left) {
    if (vectors == 4 && left == 4) return 2;
    const int most = vectors == 4 ? 3 : vectors == 3 ? 4 : 6;
    if (left >= most) return most;
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* sums[R][G] += a[R][k] b[k][G], where G counts vectors: element (r, j) of a lies at
 * r * a_row + j * a_column, vector (j, g) of b at j * b_row + g * b_vector. */
#define PRODUCT_PARAMETERS                                                                   \
    v8 *restrict sums, const float *restrict a, int64_t a_row, int64_t a_column, int64_t k, \
        const float *restrict b, int64_t b_row, int64_t b_vector
#define PRODUCT_SHAPES(S)                               \
    S(3, 4) S(2, 4) S(1, 4) S(4, 3) S(2, 3) S(1, 3)     \
    S(6, 2) S(4, 2) S(2, 2) S(1, 2) S(6, 1) S(4, 1) S(2, 1) S(1, 1)
#define DECLARE(R, G)                                                 \
    void kerasrnn_product_##R##_##G(PRODUCT_PARAMETERS);              \
    void kerasrnn_product_##R##_##G##_avx2(PRODUCT_PARAMETERS);
PRODUCT_SHAPES(DECLARE)
#undef DECLARE

INLINE void product(const int avx2, const int R, const int G, PRODUCT_PARAMETERS) {
#define CASE(rows, vectors)                                                                        \
    case 16 * rows + vectors:                                                                      \
        if (avx2)                                                                                  \
            kerasrnn_product_##rows##_##vectors##_avx2(sums, a, a_row, a_column, k, b, b_row,      \
                                                       b_vector);                                  \
        else kerasrnn_product_##rows##_##vectors(sums, a, a_row, a_column, k, b, b_row, b_vector); \
        break;
    switch (16 * R + G) { PRODUCT_SHAPES(CASE) }
#undef CASE
}

/* sums[rows][G] += a[rows][k] b[k][G], where the rows of a are contiguous. In blocks of k, so that
 * those of b stay in the first-level cache for all rows. */
INLINE void accumulate(const int avx2, const int G, v8 *sums, int64_t rows, const float *a,
                       int64_t a_row, int64_t k, const float *b, int64_t b_row, int64_t b_vector) {
    for (int64_t from = 0; from < k; from += BLOCK)
        for (int64_t row = 0; row < rows;) {
            const int R = tile_rows(G, rows - row);
            product(avx2, R, G, sums + row * G, a + row * a_row + from, a_row, 1,
                    least(BLOCK, k - from), b + from * b_row, b_row, b_vector);
            row += R;
        }
}

/* to[R][8 G] = or += a[R][k] b[k][G], with a and b as in product. Of a row of "to" only the first
 * "width" floats are read and written. */
INLINE void tile(const int avx2, const int R, const int G, float *to, int64_t stride, int64_t width,
                 const float *a, int64_t a_row, int64_t a_column, int64_t k, const float *b,
                 int64_t b_row, int64_t b_vector, int add) {
    v8 sums[REGISTERS];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int g = 0; g < G; g++)
            sums[r * G + g] = add ? load_some(to + r * stride + 8 * g, width - 8 * g) : (v8){};
    product(avx2, R, G, sums, a, a_row, a_column, k, b, b_row, b_vector);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int g = 0; g < G; g++)
            store_some(to + r * stride + 8 * g, sums[r * G + g], width - 8 * g);
}

/* The same for any number of rows. */
INLINE void tiles(const int avx2, const int G, float *to, int64_t rows, int64_t stride,
                  int64_t width, const float *a, int64_t a_row, int64_t a_column, int64_t k,
                  const float *b, int64_t b_row, int64_t b_vector, int add) {
    for (int64_t row = 0; row < rows;) {
        const int R = tile_rows(G, rows - row);
#define CASE(number)                                                                             \
    case number:                                                                                 \
        tile(avx2, number, G, to + row * stride, stride, width, a + row * a_row, a_row, a_column, \
             k, b, b_row, b_vector, add);                                                        \
        break;
        switch (R) { CASE(6) CASE(4) CASE(3) CASE(2) CASE(1) }
#undef CASE
        row += R;
    }
}

/* Floats of a padded row of that many: no power of two, to avoid cache-set conflicts. */
INLINE int64_t padded_stride(int64_t number) { return 8 * panels_of(number) + 24; }

/* to[rows][width] = or += a[rows][k] b, with b packed as [panels of width][k][8]. */
void multiply_packed(float *to, int64_t rows, int64_t stride, int64_t width, const float *a,
                     int64_t a_stride, int64_t k, const float *b, int add);

/* Columns from .. to - 1 of so many, multiples of 8. */
typedef struct {
    int64_t all, from, to;
} Columns;

/* to[width][columns] += aᵀ d and sums[columns] += the sum of the rows of d, for some columns of
 * d[rows][columns]. Row r of a lies in eights: element i at r * stride + i / 8 * spacing + i % 8.
 * scratch: BLOCK * padded_stride(width) floats. */
void multiply_transposed(float *to, float *sums, const float *a, int64_t stride, int64_t spacing,
                         int64_t width, const float *d, int64_t rows, Columns columns,
                         float *scratch);

#endif
