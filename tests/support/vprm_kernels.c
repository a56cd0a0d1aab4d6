/* vprm_kernels CELLS CLASSES THREADS SECONDS: throughput of one hour of VPRM over arrays in memory,
 * and of a STREAM triad (a = b + 3 c) of as many bytes in the same process; one JSON line, for
 * tests/bench/bench_vprm.py. Bytes of an hour: temperature, radiation, share and light of each
 * class read, both fluxes written (the lines they are written to are read first: not counted in
 * either). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "algorithms/sink/vprm_sets.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double *uniform(sky_context *ctx, size_t n, double low, double high, uint64_t seed,
                       int threads) {
  double *v = SKY_NEW(ctx, double, n);
  if (v == NULL) exit(1);
#pragma omp parallel for schedule(static) num_threads(threads) /* pages where they are used */
  for (size_t i = 0; i < n; i++)
    v[i] = low + (high - low) * sky_rng_uniform(seed, i, 0);
  return v;
}

static void triad(const double *b, const double *c, size_t n, int threads, double *a) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (size_t i = 0; i < n; i++)
    a[i] = b[i] + 3 * c[i];
}

int main(int argc, char **argv) {
  sky_context *ctx;
  sky_vprm_set set;
  sky_vprm_day day;
  if (argc != 5 || sky_context_create(&ctx) != SKY_OK) return 2;
  const size_t n = (size_t)atoll(argv[1]), classes = (size_t)atoll(argv[2]);
  const int threads = atoi(argv[3]);
  const double limit = atof(argv[4]);
  if (sky_vprm_set_builtin(ctx, "pyvprm-modis", &set) != SKY_OK || classes > set.n) return 1;
  double *share = uniform(ctx, classes * n, 0, 1 / (double)classes, 1, threads);
  double *t2m = uniform(ctx, n, 273, 305, 2, threads), *sw = uniform(ctx, n, 1, 900, 3, threads);
  double *evi = uniform(ctx, n, 0.1, 0.6, 4, threads), *lswi = uniform(ctx, n, 0, 0.4, 5, threads);
  double *low = uniform(ctx, n, 0, 0.1, 6, threads), *high = uniform(ctx, n, 0.6, 0.7, 7, threads);
  double *gpp = uniform(ctx, n, 0, 0, 8, threads), *reco = uniform(ctx, n, 0, 0, 9, threads);
  if (sky_vprm_day_create(ctx, set.cls, classes, share, n, &day) != SKY_OK) return 1;
  sky_vprm_day_set(&day, &(sky_vprm_season){evi, lswi, low, high, low, high}, threads);
  double best[2] = {INFINITY, INFINITY}; /* seconds: hour, triad */
  const double begin = now();
  for (size_t k = 0; k < 3 || now() - begin < limit; k++) {
    const double t0 = now();
    sky_vprm_hour(&day, t2m, sw, threads, gpp, reco);
    const double t1 = now();
    triad(evi, lswi, n, threads, low);
    const double t2 = now();
    best[0] = fmin(best[0], t1 - t0);
    best[1] = fmin(best[1], t2 - t1);
  }
  const double bytes = 8.0 * (double)n * (4 + 2 * (double)classes);
  double sum = low[n / 2];
  for (size_t i = 0; i < n; i += 4096)
    sum += gpp[i] - reco[i];
  printf(
      "{\"cells\": %zu, \"classes\": %zu, \"threads\": %d, \"cell_hours_s\": %.4g, \"vprm_gb_s\": "
      "%.4g, \"triad_gb_s\": %.4g, \"fraction\": %.3f, \"check\": %.17g}\n",
      n, classes, threads, (double)n / best[0], bytes / best[0] / 1e9,
      24.0 * (double)n / best[1] / 1e9, bytes / best[0] / (24.0 * (double)n / best[1]), sum);
  sky_vprm_day_free(&day);
  sky_vprm_set_free(&set);
  double *all[] = {share, t2m, sw, evi, lswi, low, high, gpp, reco};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    sky_free(all[i]);
  sky_context_free(ctx);
  return 0;
}
