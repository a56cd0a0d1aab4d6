/* The matrix-free solution of a problem file with n x n zones of space, all times together, for the
 * bench: times of the parts, bounds, and what the zones' truths say of the stated sds, as one line
 * of JSON.
 *
 *   iterate_tool PROBLEM.nc SIDE ZONES_X ZONES_Y TOLERANCE THREADS [float32 | banded] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/resource.h>

#include "algorithms/inversion/iterate.h"
#include "skyflux/problem.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double *make_zones(sky_context *ctx, const sky_problem *p, size_t side, size_t zx,
                          size_t zy) {
  const size_t m = p->n_state;
  double *W = SKY_NEW0(ctx, double, zx *zy *m);
  for (size_t i = 0; W != NULL && i < m; i++) {
    const size_t c = i % p->n_cell;
    W[((c / side * zy / side) * zx + c % side * zx / side) * m + i] = 1;
  }
  return W;
}

int main(int argc, char **argv) {
  if (argc < 7) {
    fprintf(stderr,
            "iterate_tool PROBLEM.nc SIDE ZONES_X ZONES_Y TOLERANCE THREADS [float32 | banded]\n");
    return 2;
  }
  const size_t side = strtoul(argv[2], NULL, 10), zx = strtoul(argv[3], NULL, 10),
               zy = strtoul(argv[4], NULL, 10), nz = zx * zy;
  sky_context *ctx;
  sky_problem p = {0};
  sky_posterior a = {0};
  sky_iterate_report report;
  double *W = NULL;
  if (sky_context_create(&ctx) != SKY_OK) return 1;
  sky_context_set_threads(ctx, atoi(argv[6]));
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_DEBUG);
  sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
  const double start = seconds();
  sky_status st = sky_problem_read(ctx, argv[1], &p);
  const double read = seconds() - start;
  if (st == SKY_OK) W = make_zones(ctx, &p, side, zx, zy);
  const sky_functionals zones = {.n_zone = nz, .W = W};
  const sky_iterate_options o = {.tolerance = atof(argv[5]),
                                 .skip_trace = true,
                                 .float32 = argc > 7 && strcmp(argv[7], "float32") == 0,
                                 .banded = argc > 7 && strcmp(argv[7], "banded") == 0};
  if (st == SKY_OK && W != NULL) st = sky_problem_iterate(ctx, &p, &zones, &o, &a, &report);
  if (st != SKY_OK || W == NULL) {
    fprintf(stderr, "%s\n", sky_error(ctx));
    return 1;
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double chi2 = 0, mean_reduction = 0;
  for (size_t z = 0; z < nz; z++) {
    const double truth = sky_dot(W + z * p.n_state, p.x_true, p.n_state);
    chi2 += pow((a.total[z] - truth) / a.total_sd[z], 2) / (double)nz;
    mean_reduction += a.zone_reduction[z] / (double)nz;
  }
  printf(
      "{\"unknowns\": %zu, \"observations\": %zu, \"elements\": %zu, \"zones\": %zu, \"basis\": "
      "%zu, \"products\": %zu, \"total_error\": %.3g, \"sd_error\": %.3g, \"read_s\": %.2f, "
      "\"iterate_s\": %.2f, \"zone_chi2\": %.3f, \"mean_reduction\": %.4f, \"total_0\": %.12g, "
      "\"sd_0\": %.12g, \"cpu_s\": %.2f, \"peak_mb\": %.0f}\n",
      p.n_state, p.n_obs, p.rowptr[p.n_obs], nz, report.basis, report.products, report.total_error,
      report.sd_error, read, seconds() - start - read, chi2, mean_reduction, a.total[0],
      a.total_sd[0], (double)usage.ru_utime.tv_sec + 1e-6 * (double)usage.ru_utime.tv_usec,
      (double)usage.ru_maxrss / 1e3);
  sky_free(W);
  sky_posterior_free(&a);
  sky_problem_free(&p);
  sky_context_free(ctx);
  return 0;
}
