/* CUDA's names with a CPU meaning: emitted kernels run on one core, thread by thread, and what they do wrong shows.
 *
 * Each thread of a block is a fiber that runs until it waits for others: at __syncthreads(), or at an exchange within its
 * warp. Threads between two such places run one after another, so that a thread which should have waited reads what is not
 * there yet: shared memory is filled with garbage before each block. An order of blocks and threads is chosen by
 * irk_cpu_order: 0 as they are numbered, 1 backwards, 2 mixed. A launch fails, with a message from irk_cpu_fault(), where
 * threads of a block wait at different places or end while others wait, and where a wide access is not aligned.
 *
 * Meanings are narrower than CUDA's, never wider: warps meet whole, masks are full.
 */
#ifndef IRK_CUDA_ON_CPU_H
#define IRK_CUDA_ON_CPU_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define IRK_CPU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IRK_CPU_ASAN 1
#endif
#endif
#ifdef IRK_CPU_ASAN
#include <sanitizer/common_interface_defs.h>
#elif defined(__x86_64__) && defined(__GNUC__)
#define IRK_CPU_JUMPS 1 /* no call of the system to change fibers, as swapcontext makes */
#endif

#define IRK_DEVICE static inline __attribute__((unused))
#define IRK_MISALIGNED 716
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __restrict__ __restrict
#define __shared__ static __attribute__((section("irk_shared")))

extern "C" {
extern char __start_irk_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_irk_shared[] __attribute__((weak, visibility("hidden")));
__attribute__((weak)) int irk_cpu_order = 0;
}

namespace irk_cpu {

enum { MOST_THREADS = 1024, WARP = 32, STACK = 128 << 10 };
enum State { READY, IN_WARP, IN_BLOCK, ENDED };

struct Index {
  unsigned x, y, z;
};

struct Copy {
  void *to;
  const void *from;
  int size, bytes, group;
};

struct Fiber {
  ucontext_t context;
  void *place[5]; /* of a jump */
  char *stack;
  State state;
  bool started;
  int line; /* where it waits */
  uint64_t slot;
  Copy *copies; /* begun and not done */
  int copying, room, group;
  void *shadow; /* of the sanitizer */
};

struct Machine {
  Fiber fibers[MOST_THREADS];
  ucontext_t scheduler;
  void *place[5];
  Index grid, block, number, thread;
  unsigned current;
  void (*body)(void *);
  void *argument;
  char fault[256];
  void *shadow;
  const void *bottom;
  size_t size;
};

inline Machine &machine() {
  static Machine *one = (Machine *)calloc(1, sizeof(Machine));
  return *one;
}

inline void fail(const char *what, int line) {
  Machine &m = machine();
  if (!m.fault[0]) snprintf(m.fault, sizeof m.fault, "block %u, thread %u, line %d: %s", m.number.x, m.current, line, what);
}

inline void need_aligned(const void *place, int bytes) {
  if ((uintptr_t)place % (unsigned)bytes) fail("a wide access is not aligned", 0);
}

#ifdef IRK_CPU_JUMPS
/* A fiber is started once, and then runs the bodies of all launches, one after another. */
__attribute__((noinline)) inline void enter_fiber(Machine &m, Fiber &f) {
  if (__builtin_setjmp(m.place)) return;
  if (f.started) __builtin_longjmp(f.place, 1);
  f.started = true;
  setcontext(&f.context);
}

__attribute__((noinline)) inline void leave_fiber(State state, int line) {
  Machine &m = machine();
  Fiber &f = m.fibers[m.current];
  f.state = state;
  f.line = line;
  if (!__builtin_setjmp(f.place)) __builtin_longjmp(m.place, 1);
}

inline void start_fiber() {
  Machine &m = machine();
  for (;;) {
    m.body(m.argument);
    leave_fiber(ENDED, 0);
  }
}
#else
inline void enter_fiber(Machine &m, Fiber &f) {
#ifdef IRK_CPU_ASAN
  __sanitizer_start_switch_fiber(&m.shadow, f.stack, STACK);
#endif
  swapcontext(&m.scheduler, &f.context);
#ifdef IRK_CPU_ASAN
  __sanitizer_finish_switch_fiber(m.shadow, 0, 0);
#endif
}

inline void leave_fiber(State state, int line) {
  Machine &m = machine();
  Fiber &f = m.fibers[m.current];
  f.state = state;
  f.line = line;
#ifdef IRK_CPU_ASAN
  __sanitizer_start_switch_fiber(state == ENDED ? 0 : &f.shadow, m.bottom, m.size);
#endif
  swapcontext(&f.context, &m.scheduler);
#ifdef IRK_CPU_ASAN
  __sanitizer_finish_switch_fiber(f.shadow, &m.bottom, &m.size);
#endif
}

inline void start_fiber() {
  Machine &m = machine();
#ifdef IRK_CPU_ASAN
  __sanitizer_finish_switch_fiber(0, &m.bottom, &m.size);
#endif
  m.body(m.argument);
  leave_fiber(ENDED, 0);
}
#endif

inline void wait_for_block(int line) { leave_fiber(IN_BLOCK, line); }

/* What the lane `from` of the warp holds. Two meetings: all have put theirs down, all have taken what they want. */
template <class T> inline T exchange(T mine, unsigned from, int line) {
  static_assert(sizeof(T) <= 8, "what lanes exchange fits into 8 bytes");
  Machine &m = machine();
  const unsigned self = m.current, other = self / WARP * WARP + from % WARP;
  T found = mine;
  memcpy(&m.fibers[self].slot, &mine, sizeof mine);
  leave_fiber(IN_WARP, line);
  if (other < m.block.x) memcpy(&found, &m.fibers[other].slot, sizeof found);
  else fail("an exchange with a lane that the block does not have", line);
  leave_fiber(IN_WARP, line);
  return found;
}

/* A copy that has begun is done when the thread waits for it. */
inline void begin_copy(void *to, const void *from, int size, int bytes) {
  Machine &m = machine();
  Fiber &f = m.fibers[m.current];
  if (f.copying == f.room) {
    f.room = f.room * 2 + 16;
    f.copies = (Copy *)realloc(f.copies, (size_t)f.room * sizeof(Copy));
  }
  f.copies[f.copying++] = Copy{to, from, size, bytes, f.group};
  memset(to, 0xa5, (size_t)size);
}

inline void commit_copies() { machine().fibers[machine().current].group++; }

inline void wait_copies(int groups) {
  Machine &m = machine();
  Fiber &f = m.fibers[m.current];
  int left = 0;
  for (int n = 0; n < f.copying; n++) {
    const Copy &c = f.copies[n];
    if (c.group >= f.group - groups) {
      f.copies[left++] = c;
      continue;
    }
    memcpy(c.to, c.from, (size_t)c.bytes);
    memset((char *)c.to + c.bytes, 0, (size_t)(c.size - c.bytes));
  }
  f.copying = left;
}

/* A place in the chosen order. */
inline uint64_t ordered(uint64_t number, uint64_t count) {
  if (irk_cpu_order == 1) return count - 1 - number;
  if (irk_cpu_order == 2) { /* a step that has no divisor in common with the count visits all */
    static const uint64_t steps[] = {7919, 104729, 1299709, 15485863, 1};
    for (unsigned i = 0; i < 5; i++)
      if (count % steps[i]) return (number * steps[i] + count / 2) % count;
  }
  return number;
}

__attribute__((no_sanitize("address"))) inline void spoil_shared() {
  for (volatile char *p = __start_irk_shared; p != __stop_irk_shared; p++) *p = (char)0xa5;
}

/* Runs a warp until each of its threads has ended or waits for the block. False where they part. */
inline bool run_warp(unsigned first, unsigned last) {
  Machine &m = machine();
  for (;;) {
    unsigned waiting = 0;
    for (unsigned n = 0; n < last - first; n++) {
      const unsigned at = first + (unsigned)ordered(n, last - first);
      Fiber &f = m.fibers[at];
      if (f.state == READY) {
        m.current = at;
        m.thread.x = at;
        enter_fiber(m, f);
      }
      waiting += f.state == IN_WARP;
    }
    if (m.fault[0]) return false;
    if (!waiting) return true;
    for (unsigned at = first; at < last; at++)
      if (m.fibers[at].state != IN_WARP || m.fibers[at].line != m.fibers[first].line) {
        m.current = at;
        return fail("a thread is not where the others of its warp exchange values", m.fibers[first].line), false;
      }
    for (unsigned at = first; at < last; at++) m.fibers[at].state = READY;
  }
}

/* Makes a fiber ready to run the body from its start. */
inline void prepare_fiber(Fiber &f) {
#ifdef IRK_CPU_JUMPS
  const bool again = f.started && f.state == ENDED; /* and was not stopped on its way by a fault */
#else
  const bool again = false;
#endif
  f.state = READY;
  f.copying = f.group = 0;
  if (again) return;
  f.started = false;
  if (!f.stack) f.stack = (char *)malloc(STACK);
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = f.stack;
  f.context.uc_stack.ss_size = STACK;
  f.context.uc_link = 0;
  makecontext(&f.context, start_fiber, 0);
}

inline bool run_block() {
  Machine &m = machine();
  const unsigned count = m.block.x, warps = (count + WARP - 1) / WARP;
  spoil_shared();
  for (unsigned at = 0; at < count; at++) prepare_fiber(m.fibers[at]);
  for (;;) {
    for (unsigned n = 0; n < warps; n++) {
      const unsigned first = (unsigned)ordered(n, warps) * WARP;
      if (!run_warp(first, first + WARP < count ? first + WARP : count)) return false;
    }
    unsigned ended = 0;
    for (unsigned at = 0; at < count; at++) ended += m.fibers[at].state == ENDED;
    if (ended == count) return true;
    for (unsigned at = 0; at < count; at++) {
      const bool together = m.fibers[at].state == IN_BLOCK && m.fibers[at].line == m.fibers[0].line;
      m.current = at;
      if (!together) return fail("threads of the block do not meet at one __syncthreads()", m.fibers[at].line), false;
    }
    for (unsigned at = 0; at < count; at++) m.fibers[at].state = READY;
  }
}

/* Runs a grid. Returns 0, or 1 where a block fails. */
template <class F> int run_grid(int64_t blocks, unsigned threads, F body) {
  Machine &m = machine();
  m.fault[0] = 0;
  if (blocks < 1 || blocks > INT32_MAX || threads < 1 || threads > MOST_THREADS) {
    fail("a grid that CUDA does not launch", 0);
    return 1;
  }
  m.grid.x = (unsigned)blocks, m.block.x = threads;
  m.grid.y = m.grid.z = m.block.y = m.block.z = 1;
  m.body = [](void *f) { (*(F *)f)(); };
  m.argument = &body;
  for (int64_t n = 0; n < blocks; n++) {
    m.number.x = (unsigned)ordered((uint64_t)n, (uint64_t)blocks);
    if (!run_block()) return 1;
  }
  return 0;
}

/* What has been launched on a stream that is taken down, as nodes that run it again. */
struct Node {
  Node *next;
  int (*run)(void *task);
};

struct Tape {
  Node *first, *last;
};

/* Does a task now, or puts it down where a stream is taken down. What a task holds is copied byte by byte. */
template <class F> int do_task(void *stream, F task) {
  if (!stream) return task();
  Tape &tape = *(Tape *)stream;
  Node *node = (Node *)malloc(sizeof(Node) + sizeof task);
  if (!node) return 2; /* as CUDA counts: no memory */
  node->next = 0;
  node->run = [](void *held) { return (*(F *)held)(); };
  memcpy((void *)(node + 1), (const void *)&task, sizeof task);
  (tape.last ? tape.last->next : tape.first) = node;
  tape.last = node;
  return 0;
}

/* Moves the nodes of a tape to the end of another one. */
inline void splice(Tape *to, Tape *from) {
  if (!from->first) return;
  (to->last ? to->last->next : to->first) = from->first;
  to->last = from->last;
  from->first = from->last = 0;
}

} /* namespace irk_cpu */

extern "C" __attribute__((weak)) const char *irk_cpu_fault() { return irk_cpu::machine().fault; }

/* No macros: a field of a program's arguments may have such a name. */
__attribute__((unused)) static irk_cpu::Index &threadIdx = irk_cpu::machine().thread;
__attribute__((unused)) static irk_cpu::Index &blockIdx = irk_cpu::machine().number;
__attribute__((unused)) static irk_cpu::Index &blockDim = irk_cpu::machine().block;
__attribute__((unused)) static irk_cpu::Index &gridDim = irk_cpu::machine().grid;
#define __syncthreads() irk_cpu::wait_for_block(__LINE__)
#define __shfl_xor_sync(mask, value, bits) irk_cpu::exchange(value, (irk_cpu::machine().current ^ (unsigned)(bits)), __LINE__)
#define IRK_SHARED(bytes) __shared__ __align__(128) char irk_shared[bytes];
#define IRK_LAUNCH_LARGE(kernel, blocks, threads, bytes, stream, ...) IRK_LAUNCH(kernel, blocks, threads, stream, __VA_ARGS__)
#define IRK_LAUNCH(kernel, blocks, threads, stream, ...) \
  irk_cpu::do_task(stream, [=] { return irk_cpu::run_grid(blocks, threads, [=] { kernel(__VA_ARGS__); }); })

#endif
