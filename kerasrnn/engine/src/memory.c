/* Memory that is refused at once where there is not enough.
 *
 * A system that overcommits grants requests beyond its memory and ends the process when it is
 * used. So large requests are held against the physical memory and the limits of the process.
 */
#include "loops.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LARGE = 1 << 26 }; /* bytes; smaller requests are left to malloc */

int exceeds_memory(size_t bytes) {
    if (bytes < LARGE) return 0;
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && size > 0 && bytes / (size_t)size >= (size_t)pages) return 1;
    struct rlimit limit;
    if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur != RLIM_INFINITY)
        if (bytes > limit.rlim_cur) return 1;
    if (!getrlimit(RLIMIT_DATA, &limit) && limit.rlim_cur != RLIM_INFINITY)
        if (bytes > limit.rlim_cur) return 1;
    return 0;
}

static int bytes_of(int64_t floats, size_t *bytes) {
    return floats < 0 || __builtin_mul_overflow((size_t)floats, sizeof(float), bytes) ||
           exceeds_memory(*bytes);
}

/* One float more than asked for, so that a request for none is not mistaken for a failure. */
float *allocate(int64_t floats) {
    size_t bytes;
    return bytes_of(floats, &bytes) ? NULL : malloc(bytes + sizeof(float));
}

float *allocate_zeros(int64_t floats) {
    size_t bytes;
    return bytes_of(floats, &bytes) ? NULL : calloc(bytes + sizeof(float), 1);
}
