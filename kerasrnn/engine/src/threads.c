/* A persistent pool of worker threads. The caller runs jobs too, and waits only for workers that
 * have started one: a worker that the system does not schedule delays nobody.
 *
 * A sleeping thread takes 50 to 100 microseconds to wake, longer than a loop of few rows. So after
 * a brief call the workers spin for 2 ms in case of another, giving the core away in between: at
 * ten calls a second that is 2 % of a core for each worker. The environment variable
 * KERASRNN_SPIN_US sets another time in microseconds; with 0 they sleep at once.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "loops.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { SPIN_US = 2000 };
enum { SPINS = 2000 }; /* looks at the workers before the caller sleeps */

/* A call of parallel_for. It lives on the stack of its caller. */
typedef struct Batch {
    int (*run)(const void *context, int64_t job);
    const void *context;
    int64_t jobs, next;
    int brief, vacancies, failed; /* vacancies: workers that may still join */
    _Atomic int working;          /* workers that have joined */
    struct Batch *other;
} Batch;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static Batch *batches;
static int workers;
static _Atomic unsigned calls; /* that want workers, counted for those that spin */
static int64_t spin_nanoseconds = SPIN_US * INT64_C(1000);

/* Run jobs until none is left. The lock is held before and after. */
static void take_jobs(Batch *batch) {
    while (batch->next < batch->jobs) {
        const int64_t job = batch->next++;
        pthread_mutex_unlock(&lock);
        const int failed = batch->run(batch->context, job);
        pthread_mutex_lock(&lock);
        batch->failed |= failed;
    }
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Spin until the next call or the end of the time. The lock is held before and after. */
static void spin(void) {
    const unsigned before = calls;
    pthread_mutex_unlock(&lock);
    for (const int64_t end = nanoseconds() + spin_nanoseconds;
         calls == before && nanoseconds() < end;) {
        for (int i = 0; i < 64 && calls == before; i++) cpu_pause();
        sched_yield();
    }
    pthread_mutex_lock(&lock);
}

static void *worker(void *unused) {
    int brief = 0; /* the last batch */
    pthread_mutex_lock(&lock);
    for (;;) {
        Batch *batch = batches;
        while (batch && !(batch->vacancies && batch->next < batch->jobs)) batch = batch->other;
        if (!batch) {
            if (brief) spin();
            else pthread_cond_wait(&work, &lock);
            brief = 0;
            continue;
        }
        batch->vacancies--, batch->working++;
        take_jobs(batch);
        brief = batch->brief; /* read now: the batch is gone once its last worker has left */
        if (!--batch->working) pthread_cond_broadcast(&done);
    }
    return unused;
}

/* A child of fork has none of its parent's threads. */
static void after_fork(void) {
    pthread_mutex_init(&lock, NULL), pthread_cond_init(&work, NULL), pthread_cond_init(&done, NULL);
    batches = NULL, workers = 0;
}

__attribute__((constructor)) static void set_up(void) {
    const char *microseconds = getenv("KERASRNN_SPIN_US");
    if (microseconds) spin_nanoseconds = atoi(microseconds) * INT64_C(1000);
    pthread_atfork(NULL, NULL, after_fork);
}

/* Start workers until there are that many. Signals are for the threads of the program. */
static void start_workers(int number) {
    if (workers >= number) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    while (workers < number && !pthread_create(&thread, NULL, worker, NULL)) {
#if defined(__linux__)
        pthread_setname_np(thread, "kerasrnn");
#endif
        pthread_detach(thread);
        workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int parallel_for(int (*run)(const void *, int64_t), const void *context, int64_t jobs, int threads,
                 int brief) {
    Batch batch = {run, context, jobs, 0, brief, (int)least(threads, jobs) - 1, 0, 0, NULL};
    pthread_mutex_lock(&lock);
    start_workers(batch.vacancies);
    batch.other = batches, batches = &batch;
    if (batch.vacancies > 0) {
        calls++;
        pthread_cond_broadcast(&work);
    }
    take_jobs(&batch);
    Batch **at = &batches;
    while (*at != &batch) at = &(*at)->other;
    *at = batch.other;
    if (batch.working) {
        pthread_mutex_unlock(&lock);
        for (int i = 0; i < SPINS && batch.working; i++) cpu_pause();
        pthread_mutex_lock(&lock);
    }
    while (batch.working) pthread_cond_wait(&done, &lock);
    pthread_mutex_unlock(&lock);
    return batch.failed;
}
