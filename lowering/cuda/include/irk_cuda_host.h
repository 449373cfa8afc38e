/* What an emitted host program does on a device beside launching its kernels. Calls give 0, or the number of CUDA's error.
 *
 * Without nvcc the device is the CPU, whose memory is the host's.
 */
#ifndef IRK_CUDA_HOST_H
#define IRK_CUDA_HOST_H

#include "irk_cuda.h"

#define IRK_TRY(call) \
  do { \
    const int irk_code = (call); \
    if (irk_code) return irk_code; \
  } while (0)

/* Streams side by side: the first is the caller's, the others belong to the host's thread. */
enum { IRK_ABREAST = 4, IRK_DEVICES = 16 };
typedef struct irk_abreast {
  void *streams[IRK_ABREAST];
  int count;
} irk_abreast;

#ifdef __CUDACC__
#pragma nv_diag_suppress 550 /* arrays that one of the functions has no use for */
#define IRK_CONSTANT static __device__ const
#define IRK_HOST static inline

/* Where an array of the device lies. */
template <class T> IRK_HOST int irk_find(const void **place, const T &array) {
  return (int)cudaGetSymbolAddress((void **)place, array);
}

IRK_HOST int irk_copy(void *to, const void *from, int64_t bytes, void *stream) {
  if (to == from || !bytes) return 0;
  return (int)cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyDeviceToDevice, (cudaStream_t)stream);
}

/* Waits for all that came before in the stream. */
IRK_HOST int irk_read(void *to, const void *from, size_t bytes, void *stream) {
  const cudaError_t code = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, (cudaStream_t)stream);
  return (int)(code ? code : cudaStreamSynchronize((cudaStream_t)stream));
}

/* The array of the host may change once it returns. */
IRK_HOST int irk_write(void *to, const void *from, size_t bytes, void *stream) {
  const cudaError_t code = cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, (cudaStream_t)stream);
  return (int)(code ? code : cudaStreamSynchronize((cudaStream_t)stream));
}

/* Has a stream wait for all that was launched on another one. */
IRK_HOST int irk_follow(void *stream, void *other) {
  cudaEvent_t done;
  int code = (int)cudaEventCreateWithFlags(&done, cudaEventDisableTiming);
  if (code) return code;
  code = (int)cudaEventRecord(done, (cudaStream_t)other);
  if (!code) code = (int)cudaStreamWaitEvent((cudaStream_t)stream, done, 0);
  cudaEventDestroy(done); /* once it is over */
  return code;
}

IRK_HOST int irk_fork(irk_abreast *side, void *stream, int count) {
  static thread_local cudaStream_t own[IRK_DEVICES][IRK_ABREAST];
  int device = 0;
  IRK_TRY((int)cudaGetDevice(&device));
  side->streams[0] = stream;
  side->count = device < IRK_DEVICES ? count : 1;
  for (int n = 1; n < count; n++) side->streams[n] = stream;
  for (int n = 1; n < side->count; n++) {
    if (!own[device][n]) IRK_TRY((int)cudaStreamCreateWithFlags(&own[device][n], cudaStreamNonBlocking));
    side->streams[n] = (void *)own[device][n];
    IRK_TRY(irk_follow(side->streams[n], stream));
  }
  return 0;
}

IRK_HOST int irk_join(irk_abreast *side, void *stream) {
  for (int n = 1; n < side->count; n++) IRK_TRY(irk_follow(stream, side->streams[n]));
  return 0;
}

/* What a function launches on a stream, as a graph: launch(stream) returns a code. */
template <class F> IRK_HOST int irk_capture(F launch, void **graph) {
  cudaStream_t stream;
  cudaGraph_t taken = NULL;
  int code = (int)cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  if (code) return code;
  code = (int)cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  if (!code) {
    code = launch((void *)stream);
    const int end = (int)cudaStreamEndCapture(stream, &taken);
    code = code ? code : end;
  }
  if (!code) code = (int)cudaGraphInstantiateWithFlags((cudaGraphExec_t *)graph, taken, 0);
  if (taken) cudaGraphDestroy(taken);
  cudaStreamDestroy(stream);
  if (code) cudaGetLastError(); /* which forgets it */
  return code;
}

IRK_HOST int irk_replay(void *graph, void *stream) {
  return (int)cudaGraphLaunch((cudaGraphExec_t)graph, (cudaStream_t)stream);
}
IRK_HOST void irk_forget(void *graph) { cudaGraphExecDestroy((cudaGraphExec_t)graph); }

IRK_HOST int irk_allocate(void **place, size_t bytes) { return (int)cudaMalloc(place, bytes ? bytes : 1); }
IRK_HOST int irk_release(void *place) { return (int)cudaFree(place); }

IRK_HOST const char *irk_error(int code) { return cudaGetErrorString((cudaError_t)code); }
#else
#define IRK_CONSTANT static const
#define IRK_HOST static inline __attribute__((unused))

IRK_HOST int irk_find(const void **place, const void *array) { return *place = array, 0; }

IRK_HOST int irk_copy(void *to, const void *from, int64_t bytes, void *stream) {
  return irk_cpu::do_task(stream, [=] { return bytes ? memmove(to, from, (size_t)bytes) : to, 0; });
}

IRK_HOST int irk_read(void *to, const void *from, size_t bytes, void *stream) {
  if (stream) return 900; /* as CUDA counts: not while a stream is taken down */
  return memcpy(to, from, bytes), 0;
}

template <class F> IRK_HOST int irk_capture(F launch, void **graph) {
  irk_cpu::Tape *tape = (irk_cpu::Tape *)calloc(1, sizeof(irk_cpu::Tape));
  if (!tape) return 2;
  return *graph = tape, launch((void *)tape);
}

IRK_HOST int irk_replay(void *graph, void *) {
  for (irk_cpu::Node *node = ((irk_cpu::Tape *)graph)->first; node; node = node->next)
    if (const int code = node->run(node + 1)) return code;
  return 0;
}

IRK_HOST void irk_forget(void *graph) {
  for (irk_cpu::Node *node = ((irk_cpu::Tape *)graph)->first, *next; node; node = next) next = node->next, free(node);
  free(graph);
}

/* Each of the streams takes its tasks down; they run at the join, one stream after another, in the chosen order, or, where
 * that is a number from 3 on, mixed at random by it. A task runs after those before it in its stream, and no others. */
IRK_HOST int irk_fork(irk_abreast *side, void *, int count) {
  side->count = count;
  for (int n = 0; n < count; n++)
    if (!(side->streams[n] = calloc(1, sizeof(irk_cpu::Tape)))) return 2;
  return 0;
}

IRK_HOST int irk_join(irk_abreast *side, void *stream) {
  int code = 0;
  irk_cpu::Tape mixed = {0, 0};
  for (uint64_t left = irk_cpu_order < 3 ? 0 : (uint64_t)side->count, state = (uint64_t)irk_cpu_order; left;) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    irk_cpu::Tape *from = (irk_cpu::Tape *)side->streams[(state >> 33) % (uint64_t)side->count];
    if (irk_cpu::Node *node = from->first) {
      irk_cpu::Tape one = {node, node};
      from->first = node->next;
      if (!from->first) from->last = 0;
      node->next = 0;
      irk_cpu::splice(&mixed, &one);
    }
    left = 0;
    for (int n = 0; n < side->count; n++) left += ((irk_cpu::Tape *)side->streams[n])->first != 0;
  }
  if (mixed.first) irk_cpu::splice((irk_cpu::Tape *)side->streams[0], &mixed);
  for (int n = 0; n < side->count; n++) {
    void *tape = side->streams[irk_cpu::ordered((uint64_t)n, (uint64_t)side->count)];
    if (stream) irk_cpu::splice((irk_cpu::Tape *)stream, (irk_cpu::Tape *)tape);
    else if (!code) code = irk_replay(tape, 0);
    irk_forget(tape);
  }
  return code;
}

IRK_HOST int irk_write(void *to, const void *from, size_t bytes, void *) { return memcpy(to, from, bytes), 0; }

IRK_HOST int irk_allocate(void **place, size_t bytes) { return *place = aligned_alloc(64, (bytes + 64) / 64 * 64), !*place; }
IRK_HOST int irk_release(void *place) { return free(place), 0; }

IRK_HOST const char *irk_error(int code) { return code == IRK_MISALIGNED ? "misaligned address" : irk_cpu_fault(); }
#endif

static __global__ void irk_set_cell(int64_t *cell, int64_t value) { *cell = value; }

/* A number that kernels read: by a kernel, so that the value is that of the launch whatever the host does after it. */
IRK_HOST int irk_set(int64_t *cell, int64_t value, void *stream) { return IRK_LAUNCH(irk_set_cell, 1, 1, stream, cell, value); }

#endif
