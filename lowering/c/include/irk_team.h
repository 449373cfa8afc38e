/* A team of threads that runs one function: thread tid of n calls fn(ctx, tid, n).
 *
 * A team is made by one of three bodies, which the file that calls irk_team_create selects by a macro:
 *
 *   IRK_TEAM_NONE      (default) one thread; no library
 *   IRK_TEAM_OPENMP    OpenMP (-fopenmp)
 *   IRK_TEAM_PTHREADS  POSIX threads (-pthread), kept between runs
 *
 * Emitted code calls a team only through the pointers in it, so a model's .c file is compiled without such a macro and
 * runs on a team of any body. A null pointer is a team of one thread.
 *
 * A team runs one function at a time: a second caller waits for the first. A run must not start another on the same team.
 */
#ifndef IRK_TEAM_H
#define IRK_TEAM_H

#include <stddef.h>
#include <stdint.h>
#ifndef IRK_C99
#include <string.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef IRK_TEAM_DECLARED
#define IRK_TEAM_DECLARED
typedef struct irk_team irk_team;
#endif

typedef void irk_team_fn(void *ctx, int tid, int nthreads);

struct irk_team {
  int size;
  void (*run)(irk_team *team, irk_team_fn *fn, void *ctx);
  void (*barrier)(irk_team *team);
  void (*destroy)(irk_team *team);
};

/* The number of threads. */
static inline int irk_team_size(const irk_team *team) { return team ? team->size : 1; }

/* Calls fn on every thread and returns when all have returned; the caller is thread 0. */
static inline void irk_team_run(irk_team *team, irk_team_fn *fn, void *ctx) {
  if (team && team->size > 1) team->run(team, fn, ctx);
  else fn(ctx, 0, 1);
}

/* Inside fn: waits until every thread of the team has arrived; what they wrote before is visible after. */
static inline void irk_team_barrier(irk_team *team) {
  if (team && team->size > 1) team->barrier(team);
}

static inline void irk_team_destroy(irk_team *team) {
  if (team) team->destroy(team);
}

/* The part of lower, lower + step, ... < upper that thread tid takes: *first <= i < *last, a multiple of step from lower.
 * Chunks are contiguous and differ by at most one step. */
static inline void irk_chunk(int64_t lower, int64_t upper, int64_t step, int tid, int nthreads, int64_t *first, int64_t *last) {
  const int64_t count = upper > lower ? (upper - lower + step - 1) / step : 0;
  const int64_t each = count / nthreads, extra = count % nthreads;
  const int64_t begin = tid * each + (tid < extra ? tid : extra);
  const int64_t end = begin + each + (tid < extra);
  *first = lower + begin * step;
  *last = end == count ? upper : lower + end * step;
}

/* Copies an array, each thread a part of it; nothing where source and target are one. */
static inline void irk_copy(void *to, const void *from, int64_t bytes, int tid, int nthreads) {
  int64_t first, last;
  if (to == from) return;
  irk_chunk(0, bytes, 64, tid, nthreads, &first, &last);
#ifdef IRK_C99
  for (; first < last; first++) ((char *)to)[first] = ((const char *)from)[first];
#else
  if (last > first) memcpy((char *)to + first, (const char *)from + first, (size_t)(last - first));
#endif
}

#if defined(IRK_TEAM_PTHREADS)

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#define IRK_TEAM_SPINS 20000 /* pauses before a waiting thread sleeps: 0.3 to 1 ms; to be woken costs 0.05 to 0.1 ms */

#ifdef __linux__
extern int sched_getcpu(void);
#endif

/* The core of a thread, on a cache line of its own. */
typedef struct irk_seat {
  int core;
  char pad[60];
} irk_seat;

typedef struct irk_pthread_team {
  irk_team base;
  int spins;
  int places;
  irk_seat *seats; /* where each thread was last seen: as many as places */
  pthread_t *threads;
  pthread_mutex_t caller; /* held during a run */
  pthread_mutex_t lock;   /* guards sleeping and waking */
  pthread_cond_t wake;
  irk_team_fn *fn; /* the work: written before `run_count` grows, read after */
  void *ctx;
  int stop;
  char pad0[64]; /* each counter on a cache line of its own */
  int sleepers;
  char pad1[64];
  unsigned run_count; /* grows by one for each run */
  char pad2[64];
  unsigned phase; /* grows by one for each barrier passed */
  char pad3[64];
  int arrived; /* threads at the barrier */
  char pad4[64];
} irk_pthread_team;

typedef struct irk_pthread_worker {
  irk_pthread_team *team;
  int tid;
} irk_pthread_worker;

static inline void irk_team_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

/* Notes the core of this thread. */
static inline int irk_team_sit(irk_pthread_team *t, int tid) {
#ifdef __linux__
  const int core = sched_getcpu();
#else
  const int core = -1 - tid;
#endif
  __atomic_store_n(&t->seats[tid].core, core, __ATOMIC_RELAXED);
  return core;
}

/* Whether another thread of the team was last seen on a core. */
static inline int irk_team_is_shared(irk_pthread_team *t, int tid, int core) {
  int i;
  for (i = 0; i < t->places; i++)
    if (i != tid && __atomic_load_n(&t->seats[i].core, __ATOMIC_RELAXED) == core) return 1;
  return 0;
}

/* Moves this thread off a core that another one of the team sits on, to one that it may use and where none of them sits.
 * The system often wakes a thread on the core of the one that woke it, and leaves both there for milliseconds. */
static inline void irk_team_spread(irk_pthread_team *t, int tid) {
  const int core = irk_team_sit(t, tid);
#if defined(SYS_sched_setaffinity) && defined(_DEFAULT_SOURCE)
  enum { WORDS = 32, BITS = 8 * sizeof(unsigned long) };
  unsigned long allowed[WORDS], empty[WORDS];
  unsigned long any = 0;
  long bytes;
  int i;
  if (!irk_team_is_shared(t, tid, core)) return;
  bytes = syscall(SYS_sched_getaffinity, 0, sizeof allowed, allowed);
  if (bytes <= 0) return;
  memcpy(empty, allowed, (size_t)bytes);
  for (i = 0; i < t->places; i++) {
    const int taken = __atomic_load_n(&t->seats[i].core, __ATOMIC_RELAXED);
    if (taken >= 0 && taken < 8 * bytes) empty[taken / BITS] &= ~(1ul << taken % BITS);
  }
  for (i = 0; i < bytes / (long)sizeof(long); i++) any |= empty[i];
  if (!any || syscall(SYS_sched_setaffinity, 0, bytes, empty) != 0) return;
  syscall(SYS_sched_setaffinity, 0, bytes, allowed); /* it is there; the system may move it again */
  irk_team_sit(t, tid);
#else
  (void)core;
#endif
}

/* Waits until *counter differs from old: spins, then sleeps. Beside another thread on one core it sleeps at once: spinning
 * would keep that one from its work, and the system moves a thread to an idle core when it wakes it, but hardly while it
 * spins. */
static inline void irk_team_wait(irk_pthread_team *t, int tid, unsigned *counter, unsigned old) {
  int spins, turn;
  if (__atomic_load_n(counter, __ATOMIC_ACQUIRE) != old) return;
  spins = irk_team_is_shared(t, tid, irk_team_sit(t, tid)) ? 0 : t->spins;
  for (turn = 0; turn < spins; turn++) {
    if (__atomic_load_n(counter, __ATOMIC_ACQUIRE) != old) return;
    irk_team_pause();
  }
  pthread_mutex_lock(&t->lock);
  /* Sequentially consistent with irk_team_advance: either it sees the sleeper, or the sleeper sees its count. */
  __atomic_fetch_add(&t->sleepers, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) == old) pthread_cond_wait(&t->wake, &t->lock);
  __atomic_fetch_sub(&t->sleepers, 1, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&t->lock);
}

static inline void irk_team_advance(irk_pthread_team *t, unsigned *counter) {
  __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&t->sleepers, __ATOMIC_SEQ_CST) > 0) {
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
  }
}

static __thread int irk_tid; /* of the thread, in the run that it is in */

static inline void irk_pthread_barrier(irk_team *team) {
  irk_pthread_team *t = (irk_pthread_team *)team;
  const unsigned phase = __atomic_load_n(&t->phase, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&t->arrived, 1, __ATOMIC_ACQ_REL) == team->size) {
    __atomic_store_n(&t->arrived, 0, __ATOMIC_RELAXED);
    irk_team_advance(t, &t->phase);
  } else {
    irk_team_wait(t, irk_tid, &t->phase, phase);
  }
}

static inline void *irk_pthread_main(void *arg) {
  irk_pthread_worker *worker = (irk_pthread_worker *)arg;
  irk_pthread_team *t = worker->team;
  const int tid = worker->tid;
  unsigned seen = 0;
  free(worker);
  irk_tid = tid;
  for (;;) {
    irk_team_wait(t, tid, &t->run_count, seen);
    seen++;
    if (t->stop) return NULL;
    irk_team_spread(t, tid);
    t->fn(t->ctx, tid, t->base.size);
    irk_pthread_barrier(&t->base);
  }
}

static inline void irk_pthread_run(irk_team *team, irk_team_fn *fn, void *ctx) {
  irk_pthread_team *t = (irk_pthread_team *)team;
  pthread_mutex_lock(&t->caller);
  irk_tid = 0;
  irk_team_sit(t, 0);
  t->fn = fn;
  t->ctx = ctx;
  irk_team_advance(t, &t->run_count);
  fn(ctx, 0, team->size);
  irk_pthread_barrier(team);
  pthread_mutex_unlock(&t->caller);
}

static inline void irk_pthread_destroy(irk_team *team) {
  irk_pthread_team *t = (irk_pthread_team *)team;
  int i;
  t->stop = 1;
  irk_team_advance(t, &t->run_count);
  for (i = 1; i < team->size; i++) pthread_join(t->threads[i], NULL);
  pthread_cond_destroy(&t->wake);
  pthread_mutex_destroy(&t->lock);
  pthread_mutex_destroy(&t->caller);
  free(t->seats);
  free(t->threads);
  free(t);
}

/* A team of n threads, or of as many as the system gives; null where there is no memory. */
static inline irk_team *irk_team_create(int n) {
  irk_pthread_team *t = (irk_pthread_team *)calloc(1, sizeof *t);
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  int i;
  if (n < 1) n = 1;
  if (t) t->threads = (pthread_t *)calloc((size_t)n, sizeof *t->threads);
  if (t) t->seats = (irk_seat *)calloc((size_t)n, sizeof *t->seats);
  if (!t || !t->threads || !t->seats) {
    if (t) free(t->threads);
    if (t) free(t->seats);
    free(t);
    return NULL;
  }
  t->places = n;
  for (i = 0; i < n; i++) t->seats[i].core = -1 - i;
  t->base.run = irk_pthread_run;
  t->base.barrier = irk_pthread_barrier;
  t->base.destroy = irk_pthread_destroy;
  t->spins = cores >= n ? IRK_TEAM_SPINS : 0; /* spinning helps only while the others run */
  pthread_mutex_init(&t->caller, NULL);
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->wake, NULL);
  for (i = 1; i < n; i++) {
    irk_pthread_worker *worker = (irk_pthread_worker *)malloc(sizeof *worker);
    if (!worker) break;
    worker->team = t;
    worker->tid = i;
    if (pthread_create(&t->threads[i], NULL, irk_pthread_main, worker) != 0) {
      free(worker);
      break;
    }
  }
  t->base.size = i; /* the workers read it only after the first run began */
  return &t->base;
}

#elif defined(IRK_TEAM_OPENMP)

#include <omp.h>
#include <stdlib.h>

static inline void irk_openmp_run(irk_team *team, irk_team_fn *fn, void *ctx) {
#pragma omp parallel num_threads(team->size)
  {
    /* The body counts on its threads: with fewer than asked for, one thread does all the work. */
    if (omp_get_num_threads() == team->size) fn(ctx, omp_get_thread_num(), team->size);
    else if (omp_get_thread_num() == 0) fn(ctx, 0, 1);
  }
}

static inline void irk_openmp_barrier(irk_team *team) {
  (void)team;
  if (omp_in_parallel()) {
#pragma omp barrier
  }
}

static inline void irk_openmp_destroy(irk_team *team) { free(team); }

/* A team of n OpenMP threads; null where there is no memory. */
static inline irk_team *irk_team_create(int n) {
  irk_team *t = (irk_team *)malloc(sizeof *t);
  if (!t) return NULL;
  t->size = n < 1 ? 1 : n;
  t->run = irk_openmp_run;
  t->barrier = irk_openmp_barrier;
  t->destroy = irk_openmp_destroy;
  return t;
}

#else

/* One thread: the null team. */
static inline irk_team *irk_team_create(int n) {
  (void)n;
  return NULL;
}

#endif

#ifdef __cplusplus
}
#endif

#endif
