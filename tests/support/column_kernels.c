/* column_kernels MODE OPTION... < IN > OUT: one function of algorithms/column on arrays of doubles,
 * for tests/property/test_column_numpy.py. IN: rows of `columns` doubles. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/column/background.h"
#include "algorithms/column/destripe.h"
#include "algorithms/column/localmean.h"
#include "src/core/memory.h"

static double *read_all(size_t *n) {
  size_t room = 1 << 16;
  double *x = malloc(room * sizeof *x);
  *n = 0;
  while (x != NULL && fread(x + *n, sizeof *x, 1, stdin) == 1)
    if (++*n == room) x = realloc(x, (room *= 2) * sizeof *x);
  return x;
}

static void put(const double *x, size_t n) {
  fwrite(x, sizeof *x, n, stdout);
}

/* Column c of rows of `width` doubles. */
static double *column(const double *x, size_t n, size_t width, size_t c) {
  double *out = malloc((n + 1) * sizeof *out);
  for (size_t i = 0; i < n; ++i)
    out[i] = x[i * width + c];
  return out;
}

static int32_t *whole(const double *x, size_t n, size_t width, size_t c) {
  int32_t *out = malloc((n + 1) * sizeof *out);
  for (size_t i = 0; i < n; ++i)
    out[i] = (int32_t)x[i * width + c];
  return out;
}

static void put_flags(const uint8_t *flag, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const double v = flag[i];
    put(&v, 1);
  }
}

int main(int argc, char **argv) {
  sky_context *ctx;
  size_t n = 0;
  if (argc < 2 || sky_context_create(&ctx) != SKY_OK) return 2;
  const char *mode = argv[1];
  double *in = read_all(&n);
  double option[4] = {0};
  for (int k = 2; k < argc && k < 6; ++k)
    option[k - 2] = atof(argv[k]);
  double *a = malloc((n + 1) * sizeof *a), *b = malloc((n + 1) * sizeof *b);
  double *c = malloc((n + 1) * sizeof *c);
  uint8_t *flag = calloc(n + 1, 1), *use = malloc(n + 1);
  memset(use, 1, n + 1);
  sky_status st = SKY_OK;
  if (strcmp(mode, "localmean") == 0) { /* nx sigma half threads */
    const size_t nx = (size_t)option[0];
    sky_context_set_threads(ctx, (int)option[3]);
    st = sky_local_mean(ctx, nx, n / nx, in, option[1], (size_t)option[2], a, b, c);
    put(a, n);
    put(b, n);
    put(c, n);
  } else if (strcmp(mode, "destripe") == 0) { /* limit; line, pixel, x */
    const size_t m = n / 3;
    const sky_destripe_options opt = {7, 60, 10, option[0]};
    st = sky_destripe(ctx, m, whole(in, m, 3, 0), whole(in, m, 3, 1), column(in, m, 3, 2), use,
                      &opt, a, flag);
    put(a, m);
    put_flags(flag, m);
  } else if (strcmp(mode, "percentile") == 0) { /* q */
    sky_background_percentile(n, in, option[0], c, a, b);
    put(a, 1);
    put(b, 1);
  } else if (strcmp(mode, "curtain") == 0) { /* curtain error; exit, vmr */
    const size_t m = n / 2;
    sky_background_curtain(m, column(in, m, 2, 0), column(in, m, 2, 1), option[0], a, b, c);
    put(a, 1);
    put(b, 1);
    put(c, 1);
  } else { /* outliers, positions, upwind, smooth; time lat lon x sigma overpass east north */
    const size_t m = n / 8;
    const sky_clean_set s = {m,
                             column(in, m, 8, 0),
                             column(in, m, 8, 1),
                             column(in, m, 8, 2),
                             column(in, m, 8, 3),
                             column(in, m, 8, 4),
                             NULL,
                             NULL,
                             whole(in, m, 8, 5),
                             use};
    if (strcmp(mode, "outliers") == 0) {
      st = sky_clean_outliers(ctx, &s, &SKY_OUTLIER_OPTIONS, flag);
      put_flags(flag, m);
    } else if (strcmp(mode, "positions") == 0) {
      st = sky_clean_positions(ctx, &s, flag);
      put_flags(flag, m);
    } else if (strcmp(mode, "upwind") == 0) {
      st = sky_background_upwind(ctx, &s, column(in, m, 8, 6), column(in, m, 8, 7),
                                 &SKY_UPWIND_OPTIONS, a, b);
      put(a, m);
      put(b, m);
    } else if (strcmp(mode, "smooth") == 0) {
      st = sky_background_smooth(ctx, &s, NULL, NULL, &SKY_SMOOTH_OPTIONS, a, b);
      put(a, m);
      put(b, m);
    } else {
      return 2;
    }
  }
  return st == SKY_OK ? 0 : 1; /* the process ends: what it holds goes with it */
}
