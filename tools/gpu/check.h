/* A main for one generated kernel: fills its arrays with numbers, runs it, compares elements of its result with what double
 * precision gives, times it, and prints one row. Without nvcc it is the same program on the CPU, without times.
 *
 * A case defines CASE_NAME, CASE_TYPE, CASE_DTYPE (64, 32, 16, or 17 for bf16), CASE_SIZES, CASE_COLUMNS, CASE_BYTES, CASE_SUMS,
 * CASE_FLOPS, CASE_SAMPLES, and before it includes this file declares launch() on an array of pointers, and wanted().
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <algorithm>
#include <vector>

static const int64_t SAMPLES = CASE_SAMPLES;
static const int RUNS = 20;
#ifdef __CUDACC__
static const size_t FLUSH = 256 << 20;
#endif

#ifdef __CUDACC__
static void need(int code) {
  if (code) {
    printf("| %s | CUDA error %d: %s |\n", CASE_NAME, code, cudaGetErrorString((cudaError_t)code));
    exit(1);
  }
}
static void *on_device(size_t bytes) { void *p; need(cudaMalloc(&p, bytes)); return p; }
static void to_device(void *to, const void *from, size_t bytes) { need(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice)); }
static void to_host(void *to, const void *from, size_t bytes) { need(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost)); }
#else
static void need(int code) {
  if (code) {
    printf("| %s | error %d: %s |\n", CASE_NAME, code, irk_cpu_fault());
    exit(1);
  }
}
static void *on_device(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }
static void to_device(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
static void to_host(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }
#endif

/* Numbers of the case's type, which halves are kept as bits of. */
static double number(CASE_TYPE bits) {
#if CASE_DTYPE == 16
  const int exponent = bits >> 10 & 31, digits = bits & 1023;
  const double size = exponent ? ldexp(1024 + digits, exponent - 25) : ldexp(digits, -24);
  return bits >> 15 ? -size : size;
#elif CASE_DTYPE == 17
  const uint32_t wide = (uint32_t)bits << 16;
  float size;
  memcpy(&size, &wide, 4);
  return size;
#else
  return bits;
#endif
}

/* A random number in [-1, 1) that the type has; halves have few digits, so that it is exact. */
static CASE_TYPE random_number(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  const int random = (int)(*state >> 54); /* 10 bits */
#if CASE_DTYPE == 16
  return (CASE_TYPE)((random & 1) << 15 | (10 + (random >> 1 & 3)) << 10 | (random & 0x3ff));
#elif CASE_DTYPE == 17
  return (CASE_TYPE)((random & 1) << 15 | (122 + (random >> 1 & 3)) << 7 | (random >> 3 & 0x7f));
#else
  return (CASE_TYPE)((random - 512) / 512.0 + (double)(*state >> 20 & 0xffff) * 0x1p-26);
#endif
}

static std::vector<std::vector<CASE_TYPE>> host;
static double in(int array, int64_t place) { return number(host[array][place]); }
static double wanted(int64_t i, int64_t j, int64_t columns, double &scale);
static int launch(void **arrays);

#ifdef __CUDACC__
/* The median time of a task in milliseconds. */
template <class F> static double time_of(F task) {
  std::vector<float> times;
  cudaEvent_t start, stop;
  need(cudaEventCreate(&start));
  need(cudaEventCreate(&stop));
  static void *l2 = on_device(FLUSH);
  for (int run = -3; run < RUNS; run++) {
    float ms;
    need(cudaMemset(l2, run & 1, FLUSH)); /* so that nothing of the last run lies in a cache */
    need(cudaEventRecord(start));
    task();
    need(cudaEventRecord(stop));
    need(cudaEventSynchronize(stop));
    need(cudaEventElapsedTime(&ms, start, stop));
    if (run >= 0) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}
#endif

int main() {
  const int64_t sizes[] = {CASE_SIZES};
  const int count = (int)(sizeof sizes / sizeof *sizes), out = count - 1;
  std::vector<void *> arrays;
  uint64_t state = 1;
  for (int n = 0; n < count; n++) {
    host.emplace_back(sizes[n]);
    for (auto &x : host[n]) x = random_number(&state);
    arrays.push_back(on_device(sizes[n] * sizeof(CASE_TYPE)));
    to_device(arrays[n], host[n].data(), sizes[n] * sizeof(CASE_TYPE));
  }
  need(launch(arrays.data()));
  to_host(host[out].data(), arrays[out], sizes[out] * sizeof(CASE_TYPE));

  const double unit = CASE_DTYPE == 64 ? 0x1p-52 : CASE_DTYPE == 32 ? 0x1p-23 : CASE_DTYPE == 16 ? 0x1p-10 : 0x1p-7;
  const int64_t columns = CASE_COLUMNS, samples = sizes[out] < SAMPLES ? sizes[out] : SAMPLES;
  double worst = 0; /* the greatest error, in units in the last place of the result and of what was summed to it */
  for (int64_t n = 0; n < samples; n++) {
    const int64_t place = samples == sizes[out] ? n : (n * 2654435761u + sizes[out] - 1) % sizes[out];
    double scale = 0;
    const double right = wanted(place / columns, place % columns, columns, scale);
    const double error = fabs(in(out, place) - right) / (fabs(right) * unit + fabs(scale) * CASE_SUMS + 0x1p-1000);
    worst = error <= worst ? worst : error; /* NaN counts as an error */
  }
  const bool good = worst <= 16;
  printf("| %-34s | irkit            | %-5s | %7.2f |", CASE_NAME, good ? "ok" : "WRONG", worst);
#ifdef __CUDACC__
  if (CASE_BYTES > 1 << 22) {
    const double ms = time_of([&] { need(launch(arrays.data())); });
    void *from = on_device(1 << 28), *to = on_device(1 << 28);
    need(cudaMemset(from, 1, 1 << 28));
    const double copy = time_of([&] { need(cudaMemcpyAsync(to, from, 1 << 28, cudaMemcpyDeviceToDevice, 0)); });
    const double bandwidth = CASE_BYTES / ms * 1e-6, most = 2.0 * (1 << 28) / copy * 1e-6;
    printf(" %9.3f | %8.0f | %8.0f | %4.0f%% | %8.0f |", ms, bandwidth, most, 100 * bandwidth / most, CASE_FLOPS / ms * 1e-6);
  } else {
    printf(" %9s | %8s | %8s | %5s | %8s |", "", "", "", "", "");
  }
#endif
  printf("\n");
  return good ? 0 : 1;
}
