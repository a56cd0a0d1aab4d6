/* column_tool FILE.nc RULE: what the soundings of a harmonised file see of a model atmosphere that
 * is a formula, as text: "row mismatch x" a line. RULE: extend, stretch, prior (the retrieval's own
 * prior as the model). numpy computes the same in tests/real/test_column_numpy.py. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/column/column.h"
#include "src/core/memory.h"
#include "src/read/granule.h"

#define M 30 /* model layers */

int main(int argc, char **argv) {
  sky_context *ctx;
  sky_soundings s;
  if (argc != 3 || sky_context_create(&ctx) != SKY_OK) return 2;
  if (sky_soundings_read(ctx, argv[1], &s) != SKY_OK) {
    fprintf(stderr, "%s\n", sky_error(ctx));
    return 1;
  }
  const bool own = strcmp(argv[2], "prior") == 0;
  const sky_surface_rule rule =
      strcmp(argv[2], "stretch") == 0 ? SKY_SURFACE_STRETCH : SKY_SURFACE_EXTEND;
  double *work = SKY_NEW(ctx, double, sky_column_work(M + s.n_levels + 1, s.n_levels));
  double *seen = SKY_NEW(ctx, double, 2 * s.n_levels + 2), edge[M + 1], value[M], mismatch = NAN;
  if (work == NULL || seen == NULL) return 1;
  for (size_t i = 0; i < s.n; ++i) {
    const size_t at = i * s.n_levels;
    size_t K = s.n_levels;
    while (K > 0 && isnan(s.pressure[at + K - 1]))
      --K;
    const bool layers = s.granule_vertical[s.granule[i]] == SKY_VERTICAL_LAYERS;
    const sky_retrieval_grid grid = {K, s.pressure + at, layers, s.surface_pressure[i],
                                     s.profile + at};
    double *own_edge = seen + s.n_levels;
    own_edge[0] = s.surface_pressure[i];
    for (size_t k = 0; k < K; ++k)
      own_edge[k + 1] = 2 * s.pressure[at + k] - own_edge[k];
    if (layers && own_edge[K] < 0 && own_edge[K] > -1e-4) own_edge[K] = 0;
    for (int k = 0; k <= M; ++k) /* the model stands 700 Pa off, its top at 5 hPa */
      edge[k] = 500 + (101000 - 500) * pow(1 - (double)k / M, 1.3);
    for (int k = 0; k < M; ++k)
      value[k] = 1.9e-6 * (1 + 0.1 * sin(0.7 * k) - 0.01 * k);
    const sky_profile model = {M, edge, value, true};
    const sky_profile prior = {K, layers ? own_edge : s.pressure + at, s.profile + at, layers};
    if (!sky_column_project(own ? &prior : &model, &grid, rule, work, seen, &mismatch)) {
      printf("%zu nan nan\n", i);
      continue;
    }
    printf("%zu %.17g %.17g\n", i, mismatch,
           sky_column_apply(K, s.prior[i], s.weight + at, s.ak + at, s.profile + at, seen));
  }
  sky_free(work);
  sky_free(seen);
  sky_soundings_free(&s);
  sky_context_free(ctx);
  return 0;
}
