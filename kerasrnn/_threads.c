/* Threads that wait for work, since a new one waits its turn where the cores are busy. Whoever has
 * work takes part in it, and waits for none that has not begun.
 */
#include "_loops.h"

#include <pthread.h>

typedef struct Crew {
    int (*run)(const void *what, int64_t job);
    const void *what;
    int64_t jobs, next;
    int seats, inside, failed; /* threads that may join, and that have */
    struct Crew *other;
} Crew;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static Crew *crews;
static int threads_there;

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

static void *wait_for_work(void *unused) {
    pthread_mutex_lock(&lock);
    for (;;) {
        Crew *crew = crews;
        while (crew && !(crew->seats && crew->next < crew->jobs)) crew = crew->other;
        if (!crew) {
            pthread_cond_wait(&work, &lock);
            continue;
        }
        crew->seats--, crew->inside++;
        take_jobs(crew);
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

int share(int (*run)(const void *, int64_t), const void *what, int64_t jobs, int threads) {
    Crew crew = {run, what, jobs, 0, (int)least(threads, jobs) - 1, 0, 0, NULL};
    pthread_mutex_lock(&lock);
    start_threads(crew.seats);
    crew.other = crews, crews = &crew;
    if (crew.seats > 0) pthread_cond_broadcast(&work);
    take_jobs(&crew);
    Crew **at = &crews;
    while (*at != &crew) at = &(*at)->other;
    *at = crew.other;
    while (crew.inside) pthread_cond_wait(&done, &lock);
    pthread_mutex_unlock(&lock);
    return crew.failed;
}
