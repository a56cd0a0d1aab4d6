/* problem_zones.c: see problem_zones.h. */
#include "src/read/problem_zones.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/problem_array.h"

void sky_problem_zones_free(sky_problem_zones *z) {
  if (z == NULL) return;
  sky_file_list_free(z->name, z->n);
  sky_free(z->W);
  sky_free(z->constant);
  memset(z, 0, sizeof *z);
}

/* ---- weights -------------------------------------------------------------------------------- */

typedef struct weights { /* dense, or compressed rows */
  size_t n;
  double *dense, *data, *col, *rowptr, *constant;
} weights;

static void weights_free(weights *w) {
  sky_free(w->dense);
  sky_free(w->data);
  sky_free(w->col);
  sky_free(w->rowptr);
  sky_free(w->constant);
}

static sky_status check_rows(sky_context *ctx, sky_nc *f, const weights *w, size_t nnz,
                             size_t n_cell) {
  if (w->rowptr[0] != 0 || w->rowptr[w->n] != (double)nnz)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: zone_rowptr: runs from %g to %g (expected 0 to %zu)",
                    sky_nc_path(f), w->rowptr[0], w->rowptr[w->n], nnz);
  for (size_t z = 0; z < w->n; z++)
    if (!(w->rowptr[z + 1] >= w->rowptr[z] && w->rowptr[z + 1] <= (double)nnz) ||
        floor(w->rowptr[z + 1]) != w->rowptr[z + 1])
      return sky_fail(ctx, SKY_E_FORMAT,
                      "%s: zone_rowptr[%zu]: %g (expected a whole number %g..%zu)", sky_nc_path(f),
                      z + 1, w->rowptr[z + 1], w->rowptr[z], nnz);
  for (size_t k = 0; k < nnz; k++)
    if (!(w->col[k] >= 0 && w->col[k] < (double)n_cell) || floor(w->col[k]) != w->col[k])
      return sky_fail(ctx, SKY_E_RANGE, "%s: zone_col[%zu]: %g (expected a whole number 0..%zu)",
                      sky_nc_path(f), k, w->col[k], n_cell - 1);
  return SKY_OK;
}

static sky_status read_sparse(sky_context *ctx, sky_nc *f, size_t n_cell, weights *w) {
  size_t nnz, n_col, n_row;
  SKY_TRY(sky_problem_vector(ctx, f, "zone_data", "zone_nnz", SIZE_MAX, &nnz, &w->data));
  SKY_TRY(sky_problem_vector(ctx, f, "zone_col", "zone_nnz", SIZE_MAX, &n_col, &w->col));
  SKY_TRY(sky_problem_vector(ctx, f, "zone_rowptr", "zone_rowp", SIZE_MAX, &n_row, &w->rowptr));
  if (n_col != nnz || n_row < 2)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: zone_col: %zu values, zone_rowptr: %zu (expected %zu, and 2 or more)",
                    sky_nc_path(f), n_col, n_row, nnz);
  w->n = n_row - 1;
  return check_rows(ctx, f, w, nnz, n_cell);
}

static sky_status read_weights(sky_context *ctx, sky_nc *f, size_t n_cell, weights *w) {
  const bool dense = sky_nc_has(f, "zones"), sparse = sky_nc_has(f, "zone_data");
  size_t length[2];
  if (dense && sparse)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: both zones and zone_data state the weights of zones",
                    sky_nc_path(f));
  if (sparse) return read_sparse(ctx, f, n_cell, w);
  if (!dense) return SKY_OK;
  const sky_axis axis[] = {{"zone", SIZE_MAX}, {"cell", n_cell}};
  SKY_TRY(sky_problem_array(ctx, f, NULL, "zones", 2, axis, length, &w->dense));
  w->n = length[0];
  return SKY_OK;
}

/* row [n_cell] += zone z */
static void add_zone(const weights *w, size_t z, size_t n_cell, double *row) {
  if (w->dense != NULL) {
    for (size_t c = 0; c < n_cell; c++)
      row[c] += w->dense[z * n_cell + c];
    return;
  }
  for (size_t k = (size_t)w->rowptr[z]; k < (size_t)w->rowptr[z + 1]; k++)
    row[(size_t)w->col[k]] += w->data[k];
}

/* ---- rows ----------------------------------------------------------------------------------- */

static sky_status check_memory(sky_context *ctx, const char *path, size_t rows,
                               const sky_problem *p) {
  const double need = 16.0 * (double)rows * (double)p->n_state; /* W, and as much of kernels */
  const double budget = (double)sky_context_memory(ctx);
  if (need <= budget) return SKY_OK;
  return sky_fail(ctx, SKY_E_NOMEM,
                  "%s: %zu rows of zones over %zu unknowns need %.0f MB, the memory budget is %.0f "
                  "MB (--memory)",
                  path, rows, p->n_state, ceil(need / 1e6), budget / 1e6);
}

/* A zone that no cell belongs to has the total 0, which hardly anyone means. */
static void warn_empty(sky_context *ctx, const char *path, const sky_problem *p,
                       const sky_problem_zones *z) {
  for (size_t r = 1; r <= z->n_zone; r++) {
    size_t i = 0;
    while (i < p->n_state && z->W[r * p->n_state + i] == 0)
      i++;
    if (i == p->n_state)
      sky_log(ctx, SKY_LOG_WARN, "%s: zone '%s' has no cell: its total is 0", path, z->name[r]);
  }
}

/* Rows of one zone, or of the total (all weights 1): whole, or one step. */
static void fill_row(const sky_problem *p, const weights *w, size_t zone, size_t step,
                     double *row) {
  for (size_t t = 0; t < p->n_time; t++) {
    if (step != SIZE_MAX && t != step) continue;
    if (zone == SIZE_MAX)
      for (size_t c = 0; c < p->n_cell; c++)
        row[t * p->n_cell + c] = 1;
    else
      add_zone(w, zone, p->n_cell, row + t * p->n_cell);
  }
}

static char *row_name(sky_context *ctx, char *const *names, size_t zone, size_t step) {
  char number[32];
  snprintf(number, sizeof number, "zone %zu", zone + 1);
  const char *name = zone == SIZE_MAX ? "total" : names != NULL ? names[zone] : number;
  return step == SIZE_MAX ? sky_sprintf(ctx, "%s", name)
                          : sky_sprintf(ctx, "%s, step %zu", name, step + 1);
}

static sky_status fill(sky_context *ctx, const sky_problem *p, const weights *w, char **names,
                       sky_problem_zones *out) {
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(out->W, SKY_NEW0(ctx, double, out->n * p->n_state));
  SKY_GO_ALLOC(out->name, SKY_NEW0(ctx, char *, out->n));
  SKY_GO_ALLOC(out->constant, SKY_NEW0(ctx, double, out->n));
  for (size_t r = 0; r < out->n; r++) {
    const size_t part = r > w->n ? r - w->n - 1 : 0; /* steps of a zone stand together */
    const size_t step = r > w->n ? part % p->n_time : SIZE_MAX;
    const size_t zone = w->n == 0 || r == 0 ? SIZE_MAX : r > w->n ? part / p->n_time : r - 1;
    fill_row(p, w, zone, step, out->W + r * p->n_state);
    if (zone != SIZE_MAX && w->constant != NULL)
      out->constant[r] = w->constant[zone] / (step == SIZE_MAX ? 1 : (double)p->n_time);
    SKY_GO_ALLOC(out->name[r], row_name(ctx, names, zone, step));
  }
cleanup:
  return st;
}

sky_status sky_problem_zones_read(sky_context *ctx, const char *path, const sky_problem *p,
                                  bool by_time, sky_problem_zones *out) {
  sky_nc *f = NULL;
  weights w = {0};
  char **names = NULL;
  size_t n_names = 0;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(read_weights(ctx, f, p->n_cell, &w));
  if (w.n > 0 && sky_nc_has(f, "zone_name")) {
    SKY_GO(sky_nc_read_strings(ctx, f, "zone_name", &n_names, &names));
    if (n_names != w.n)
      SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: zone_name: %zu texts (expected %zu)", path, n_names,
                      w.n));
  }
  if (w.n > 0 && sky_nc_has(f, "zone_constant"))
    SKY_GO(sky_problem_vector(ctx, f, "zone_constant", "zone", w.n, NULL, &w.constant));
  out->n_zone = w.n;
  const size_t timed = w.n > 0 ? w.n : 1;
  out->n = 1 + w.n + (by_time && p->n_time > 1 ? timed * p->n_time : 0);
  SKY_GO(check_memory(ctx, path, out->n, p));
  SKY_GO(fill(ctx, p, &w, names, out));
  warn_empty(ctx, path, p, out);
cleanup:
  sky_nc_close(f);
  sky_file_list_free(names, n_names);
  weights_free(&w);
  if (st != SKY_OK) sky_problem_zones_free(out);
  return st;
}
