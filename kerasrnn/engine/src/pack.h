/* Weights and states between Keras's layout and the one that the products read. */
#ifndef KERASRNN_PACK_H
#define KERASRNN_PACK_H

#include "vector.h"

/* "count" panels of weights [rows][gates][units], from this one on, as [rows][count][gates][8]. */
INLINE void pack_panels(float *to, const float *from, int64_t rows, int64_t gates, int64_t units,
                        int64_t panel, int64_t count) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t q = panel; q < panel + count; q++)
            for (int64_t g = 0; g < gates; g++, to += 8)
                store(to, load_some(from + (row * gates + g) * units + 8 * q, units - 8 * q));
}

/* Weights [rows][gates][units] as [panels of rows][gate_width][8]: transposed, for backward. */
INLINE void pack_transposed(float *to, const float *from, int64_t rows, int64_t gates,
                            int64_t units) {
    for (int64_t start = 0; start < rows; start += 8)
        for (int64_t panel = 0; panel < panels_of(units); panel++)
            for (int64_t g = 0; g < gates; g++)
                for (int64_t unit = 8 * panel; unit < 8 * panel + 8; unit++)
                    for (int64_t row = start; row < start + 8; row++)
                        *to++ = row < rows && unit < units
                                    ? from[(row * gates + g) * units + unit]
                                    : 0;
}

/* Weights [rows][gate_width] as [rows][gates][units], of the panels first .. end - 1. */
INLINE void unpack(float *to, const float *from, int64_t rows, int64_t gates, int64_t units,
                   int64_t first, int64_t end) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t panel = first; panel < end; panel++)
            for (int64_t g = 0; g < gates; g++)
                store_some(to + (row * gates + g) * units + 8 * panel,
                           load(from + ((row * panels_of(units) + panel) * gates + g) * 8),
                           units - 8 * panel);
}

/* States [rows][units] as [rows][panels][8], and back. */
INLINE void pad(float *to, const float *from, int64_t rows, int64_t units) {
    const int64_t width = 8 * panels_of(units);
    for (int64_t row = 0; row < rows; row++) {
        memcpy(to + row * width, from + row * units, sizeof(float) * units);
        memset(to + row * width + units, 0, sizeof(float) * (width - units));
    }
}

INLINE void unpad(float *to, const float *from, int64_t rows, int64_t units) {
    const int64_t width = 8 * panels_of(units);
    for (int64_t row = 0; row < rows; row++)
        memcpy(to + row * units, from + row * width, sizeof(float) * units);
}

#endif
