/* cuBLAS on the products of the table: the same shapes, random numbers, flushed caches and medians; samples are compared with
 * double precision. Prints rows of the table. Takes the cases' names: gemm_TYPE_[BATCHx]MxKxN; others it leaves out. */
#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <algorithm>
#include <vector>

static void need(int code, const char *what) {
  if (code) printf("error: %s ends with %d\n", what, code), exit(1);
}

static float rounded(float x, char kind) {
  return kind == 'b' ? __bfloat162float(__float2bfloat16(x)) : kind == 'h' ? __half2float(__float2half(x)) : x;
}

/* Numbers in [-1, 1), as the type has them, and as floats. */
static void fill(std::vector<float> &host, void *device, char kind, uint64_t state) {
  std::vector<char> bytes(host.size() * 4);
  for (size_t n = 0; n < host.size(); n++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    host[n] = rounded((float)((int64_t)(state >> 40) - (1 << 23)) / (1 << 23), kind);
    if (kind == 'b') ((__nv_bfloat16 *)bytes.data())[n] = __float2bfloat16(host[n]);
    else if (kind == 'h') ((__half *)bytes.data())[n] = __float2half(host[n]);
    else ((float *)bytes.data())[n] = host[n];
  }
  need(cudaMemcpy(device, bytes.data(), host.size() * (kind == 'f' ? 4 : 2), cudaMemcpyHostToDevice), "a copy");
}

static int race(cublasHandle_t blas, const char *name) {
  char type[8];
  int64_t b, m, k, n;
  if (sscanf(name, "gemm_%7[a-z0-9]_%ldx%ldx%ldx%ld", type, &b, &m, &k, &n) != 5) {
    b = 1;
    if (sscanf(name, "gemm_%7[a-z0-9]_%ldx%ldx%ld", type, &m, &k, &n) != 4) return 0;
  }
  const bool tf32 = !strcmp(type, "tf32");
  const char kind = !strcmp(type, "bf16") ? 'b' : !strcmp(type, "f16") ? 'h' : tf32 || !strcmp(type, "f32") ? 'f' : 0;
  if (!kind) return 0;
  const cudaDataType_t data = kind == 'b' ? CUDA_R_16BF : kind == 'h' ? CUDA_R_16F : CUDA_R_32F;
  const cublasComputeType_t sums = tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : kind == 'f' ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
  const size_t width = kind == 'f' ? 4 : 2, flush = 256 << 20;
  std::vector<float> x(b * m * k), w(b * k * n), times;
  void *dx, *dw, *dy, *l2;
  need(cudaMalloc(&dx, x.size() * width) | cudaMalloc(&dw, w.size() * width) | cudaMalloc(&dy, b * m * n * width), "memory");
  need(cudaMalloc(&l2, flush), "memory");
  fill(x, dx, kind, 1);
  fill(w, dw, kind, 2);
  const float one = 1, zero = 0;
  cudaEvent_t start, stop;
  need(cudaEventCreate(&start) | cudaEventCreate(&stop), "an event");
  for (int run = -3; run < 20; run++) {
    float ms;
    need(cudaMemset(l2, run & 1, flush), "a flush");
    need(cudaEventRecord(start), "an event");
    /* columns first is what cuBLAS takes: y' = w' x' */
    need(cublasGemmStridedBatchedEx(blas, CUBLAS_OP_N, CUBLAS_OP_N, n, m, k, &one, dw, data, n, k * n, dx, data, k, m * k, &zero,
                                    dy, data, n, m * n, b, sums, CUBLAS_GEMM_DEFAULT), "cuBLAS");
    need(cudaEventRecord(stop), "an event");
    need(cudaEventSynchronize(stop), "a run");
    need(cudaEventElapsedTime(&ms, start, stop), "a time");
    if (run >= 0) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  const double ms = times[times.size() / 2], unit = tf32 ? 0x1p-11 : kind == 'f' ? 0x1p-23 : kind == 'h' ? 0x1p-10 : 0x1p-7;
  std::vector<char> y(b * m * n * width);
  need(cudaMemcpy(y.data(), dy, y.size(), cudaMemcpyDeviceToHost), "a copy");
  double worst = 0;
  for (int64_t s = 0; s < 2000; s++) {
    const int64_t at = (s * 2654435761u) % (b * m * n), j = at % n, i = at / n, first = i / m * k * n;
    double sum = 0, scale = 0;
    for (int64_t d = 0; d < k; d++) {
      const double p = (double)x[i * k + d] * w[first + d * n + j];
      sum += p, scale += fabs(p);
    }
    const double found = kind == 'b'   ? __bfloat162float(((__nv_bfloat16 *)y.data())[at])
                         : kind == 'h' ? __half2float(((__half *)y.data())[at])
                                       : ((float *)y.data())[at];
    const double error = fabs(found - sum) / (scale * unit);
    worst = error <= worst ? worst : error;
  }
  const bool good = worst <= 16;
  printf("| %-34s | cuBLAS           | %-5s | %7.2f | %9.3f | %8s | %8s | %5s | %8.0f |\n", name, good ? "ok" : "WRONG", worst, ms, "",
         "", "", 2.0 * b * m * k * n / ms * 1e-6);
  cudaFree(dx), cudaFree(dw), cudaFree(dy), cudaFree(l2);
  return good ? 0 : 1;
}

int main(int argc, char **argv) {
  cublasHandle_t blas;
  int wrong = 0;
  need(cublasCreate(&blas), "cuBLAS");
  for (int n = 1; n < argc; n++) wrong |= race(blas, argv[n]);
  return wrong;
}
