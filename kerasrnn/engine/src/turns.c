/* Work in turns, whose chunks several threads share: none begins a turn before all chunks of the one
 * before are done. Each worker has its own chunks, whose data stays in its cache, and takes those
 * of others when it is done, since a thread may be late or never come.
 */
#include "loops.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { CHUNKS = 4 };   /* of a turn, for each worker */
enum { SPINS = 1024 }; /* looks at the other threads before the core is given away */

typedef struct {
    _Alignas(64) _Atomic int64_t begun; /* turns of this chunk that some worker has begun */
} Chunk;

struct Turns {
    int64_t workers, panels, chunks;
    Chunk *state;
    _Atomic int64_t done; /* chunks of all turns */
};

Turns *new_turns(int64_t workers, int64_t panels) {
    Turns *t = malloc(sizeof *t);
    if (!t) return NULL;
    t->workers = workers, t->panels = panels, t->chunks = workers == 1 ? 1 : least(CHUNKS * workers, panels);
    t->state = aligned_alloc(64, t->chunks * sizeof(Chunk));
    if (!t->state) return free(t), NULL;
    for (int64_t i = 0; i < t->chunks; i++) atomic_init(&t->state[i].begun, 0);
    atomic_init(&t->done, 0);
    return t;
}

void free_turns(Turns *t) {
    if (t) free(t->state), free(t);
}

void take_turns(Turns *t, int64_t turns, int64_t worker,
                void (*run)(void *, int64_t, int64_t, int64_t, int64_t), void *context) {
    const int64_t number = t->chunks, panels = t->panels;
    for (int64_t turn = atomic_load(&t->done) / number; turn < turns; turn++) {
        for (int64_t i = 0; i < number; i++) {
            const int64_t chunk = (worker * number / t->workers + i) % number;
            int64_t begun = atomic_load(&t->state[chunk].begun);
            if (begun != turn) continue;
            if (!atomic_compare_exchange_strong(&t->state[chunk].begun, &begun, turn + 1)) continue;
            run(context, worker, turn, chunk * panels / number, (chunk + 1) * panels / number);
            atomic_fetch_add(&t->done, 1);
        }
        for (int times = 1; atomic_load(&t->done) < (turn + 1) * number; times++)
            if (times % SPINS == 0) sched_yield();
            else cpu_pause();
    }
}
