/* destripe.c: see destripe.h and clean.md. */
#include "algorithms/column/destripe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/column/clean.h"
#include "src/core/memory.h"

typedef struct cell {
  int32_t line, pixel;
  size_t row;
  double x, r; /* value; residual, later offset */
} cell;

static int by_line(const void *a, const void *b) {
  const cell *p = a, *q = b;
  if (p->line != q->line) return p->line < q->line ? -1 : 1;
  return (p->pixel > q->pixel) - (p->pixel < q->pixel);
}
static int by_pixel(const void *a, const void *b) {
  const cell *p = a, *q = b;
  if (p->pixel != q->pixel) return p->pixel < q->pixel ? -1 : 1;
  return (p->line > q->line) - (p->line < q->line);
}

static int32_t line_of(const cell *c) {
  return c->line;
}
static int32_t pixel_of(const cell *c) {
  return c->pixel;
}

/* out[k] = median of value[j] over the cells j of k's group whose position is within `half` of k's;
 * cells are sorted by group, then position. Fewer than `least`: NaN. */
static void running_median(const cell *c, size_t n, int32_t (*group)(const cell *),
                           int32_t (*place)(const cell *), int32_t half, size_t least,
                           const double *value, double *work, double *out) {
  size_t a = 0, b = 0;
  for (size_t k = 0; k < n; ++k) {
    while (group(&c[a]) != group(&c[k]) || place(&c[a]) < place(&c[k]) - half)
      ++a;
    if (b < k) b = k;
    while (b < n && group(&c[b]) == group(&c[k]) && place(&c[b]) <= place(&c[k]) + half)
      ++b;
    memcpy(work, value + a, (b - a) * sizeof *work);
    out[k] = b - a >= least ? sky_median(b - a, work) : NAN;
  }
}

/* Offsets of a line minus their median; cells sorted by line. */
static void centre_lines(cell *c, size_t n, double *work) {
  for (size_t a = 0, b; a < n; a = b) {
    for (b = a; b < n && c[b].line == c[a].line; ++b)
      work[b - a] = c[b].r;
    const double median = sky_median(b - a, work);
    for (size_t k = a; k < b; ++k)
      c[k].r -= median;
  }
}

sky_status sky_destripe(sky_context *ctx, size_t n, const int32_t *line, const int32_t *pixel,
                        const double *x, const uint8_t *use, const sky_destripe_options *opt,
                        double *offset, uint8_t *lost) {
  cell *c = NULL;
  double *value = NULL, *work = NULL, *median = NULL;
  size_t m = 0;
  sky_status st = SKY_OK;
  memset(lost, 0, n);
  for (size_t i = 0; i < n; ++i)
    offset[i] = 0;
  SKY_GO_ALLOC(c, SKY_NEW(ctx, cell, n));
  SKY_GO_ALLOC(value, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(median, SKY_NEW(ctx, double, n));
  for (size_t i = 0; i < n; ++i)
    if (use[i] && line[i] >= 0 && pixel[i] >= 0 && isfinite(x[i]))
      c[m++] = (cell){line[i], pixel[i], i, x[i], 0};
  qsort(c, m, sizeof *c, by_line);
  for (size_t k = 0; k < m; ++k)
    value[k] = c[k].x;
  /* A quarter of the window is enough for a median; at the edges of the swath it is half as wide.
   */
  running_median(c, m, line_of, pixel_of, opt->half_width, ((size_t)opt->half_width + 1) / 2, value,
                 work, median);
  size_t kept = 0;
  for (size_t k = 0; k < m; ++k) {
    if (isnan(median[k])) continue;
    c[kept] = c[k];
    c[kept++].r = c[k].x - median[k];
  }
  qsort(c, kept, sizeof *c, by_pixel);
  for (size_t k = 0; k < kept; ++k)
    value[k] = c[k].r;
  running_median(c, kept, pixel_of, line_of, opt->half_lines, opt->least, value, work, median);
  for (size_t k = 0; k < kept; ++k)
    c[k].r = isnan(median[k]) ? 0 : median[k];
  qsort(c, kept, sizeof *c, by_line);
  centre_lines(c, kept, work);
  for (size_t k = 0; k < kept; ++k) {
    lost[c[k].row] = fabs(c[k].r) > opt->limit;
    offset[c[k].row] = lost[c[k].row] ? 0 : c[k].r;
  }
cleanup:
  sky_free(c);
  sky_free(value);
  sky_free(work);
  sky_free(median);
  return st;
}
