/* Memory that is refused at once where there is not enough.
 *
 * A system that overcommits grants requests beyond its memory and ends the process when it is
 * used. So large requests are held against the physical memory and the limits of the process.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "loops.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LARGE = 1 << 26 }; /* bytes; smaller requests are left to the allocators */

/* The limit of the container, if there is one. */
static size_t cgroup_limit(void) {
    unsigned long long limit = SIZE_MAX;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "r");
    if (!file) return SIZE_MAX;
    if (fscanf(file, "%llu", &limit) != 1) limit = SIZE_MAX;
    fclose(file);
    return (size_t)limit;
}

int exceeds_memory(size_t bytes) {
    if (bytes < LARGE) return 0;
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && size > 0 && bytes / (size_t)size >= (size_t)pages) return 1;
    const int resources[] = {RLIMIT_AS, RLIMIT_DATA};
    for (int i = 0; i < 2; i++) {
        struct rlimit limit;
        if (!getrlimit(resources[i], &limit) && limit.rlim_cur != RLIM_INFINITY)
            if (bytes > limit.rlim_cur) return 1;
    }
    return bytes > cgroup_limit();
}

/* TensorFlow tries again for 10 s before it gives up, so ask the system first. TensorFlow keeps
 * what it has got, even if the system has no more: what was granted once may be had again. */
int refused_by_system(size_t bytes) {
    static _Atomic size_t granted = LARGE;
    if (bytes <= granted) return 0;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    munmap(memory, bytes);
    granted = bytes;
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
