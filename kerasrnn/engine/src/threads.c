/* Threads that wait for work, since a new one waits its turn where the cores are busy. Whoever has
 * work takes part in it, and waits for none that has not begun.
 */
#include "loops.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

/* A sleeping thread takes 50 to 100 microseconds to wake, longer than a loop of few rows. */
enum { AWAKE = 2000000 }; /* nanoseconds that a thread looks out for more work after a brief one */
enum { A_MOMENT = 2000 }; /* looks at the others, before the one that called them sleeps */

typedef struct Crew {
    int (*run)(const void *what, int64_t job);
    const void *what;
    int64_t jobs, next;
    int brief, seats, failed; /* seats: threads that may join */
    _Atomic int inside;       /* that have joined */
    struct Crew *other;
} Crew;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static Crew *crews;
static int threads_there;
static _Atomic unsigned calls; /* for threads */

/* Run jobs until none is left. The lock is held before and after. */
static void take_jobs(Crew *crew) {
    while (crew->next < crew->jobs) {
        const int64_t job = crew->next++;
        pthread_mutex_unlock(&lock);
        const int failed = crew->run(crew->what, job);
        pthread_mutex_lock(&lock);
        crew->failed |= failed;
    }
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

/* Look out for the next call, without the lock, and let others have the core. */
static void stay_awake(void) {
    const unsigned before = calls;
    pthread_mutex_unlock(&lock);
    for (const int64_t end = nanoseconds() + AWAKE; calls == before && nanoseconds() < end;) {
        for (int i = 0; i < 64 && calls == before; i++) relax();
        sched_yield();
    }
    pthread_mutex_lock(&lock);
}

static void *wait_for_work(void *unused) {
    int brief = 0; /* the last work */
    pthread_mutex_lock(&lock);
    for (;;) {
        Crew *crew = crews;
        while (crew && !(crew->seats && crew->next < crew->jobs)) crew = crew->other;
        if (!crew) {
            if (brief) stay_awake();
            else pthread_cond_wait(&work, &lock);
            brief = 0;
            continue;
        }
        crew->seats--, crew->inside++;
        take_jobs(crew);
        brief = crew->brief; /* the crew is gone with its last thread */
        if (!--crew->inside) pthread_cond_broadcast(&done);
    }
    return unused;
}

/* A child has none of its parent's threads. */
static void after_fork(void) {
    pthread_mutex_init(&lock, NULL), pthread_cond_init(&work, NULL), pthread_cond_init(&done, NULL);
    crews = NULL, threads_there = 0;
}

__attribute__((constructor)) static void at_first(void) { pthread_atfork(NULL, NULL, after_fork); }

static void start_threads(int number) {
    pthread_t one;
    while (threads_there < number && !pthread_create(&one, NULL, wait_for_work, NULL)) {
        pthread_detach(one);
        threads_there++;
    }
}

int share(int (*run)(const void *, int64_t), const void *what, int64_t jobs, int threads,
          int brief) {
    Crew crew = {run, what, jobs, 0, brief, (int)least(threads, jobs) - 1, 0, 0, NULL};
    pthread_mutex_lock(&lock);
    start_threads(crew.seats);
    crew.other = crews, crews = &crew;
    if (crew.seats > 0) {
        calls++;
        pthread_cond_broadcast(&work);
    }
    take_jobs(&crew);
    Crew **at = &crews;
    while (*at != &crew) at = &(*at)->other;
    *at = crew.other;
    if (crew.inside) {
        pthread_mutex_unlock(&lock);
        for (int i = 0; i < A_MOMENT && crew.inside; i++) relax();
        pthread_mutex_lock(&lock);
    }
    while (crew.inside) pthread_cond_wait(&done, &lock);
    pthread_mutex_unlock(&lock);
    return crew.failed;
}
