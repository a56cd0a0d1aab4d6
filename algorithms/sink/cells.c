/* cells.c: uptake of the cells of a mesh and its error (cells.h; equations in stock.md).
 *
 *     u_c = Σ_ij a_ijc f_ij
 *     F_kc = sd_k Σ_ij a_ijc ∂f_ij/∂θ_k                        one row a factor
 *     F_ijc = w_ijc √(s_ij(f)² + Σ_k (s_ij(∂f/∂θ_k) sd_k)²)    one row a false transition
 *     variance_c = cell_sd² Σ_j (Σ_i a_ijc f_ij)² */
#include "algorithms/sink/cells.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

void sky_sink_cells_free(sky_sink_cells *c) {
  if (c == NULL) return;
  sky_free(c->uptake);
  sky_free(c->factor);
  sky_free(c->variance);
  memset(c, 0, sizeof *c);
}

static const double *areas_of(const sky_tensor *t, size_t cell) {
  return t->area + cell * t->n_class * t->n_class;
}

static void fill_uptake(const sky_tensor *t, const sky_linear *l, double cell_sd,
                        sky_sink_cells *out) {
  const size_t n = l->n;
  for (size_t c = 0; c < out->n_cell; c++) {
    const double *a = areas_of(t, c);
    sky_acc uptake = {0, 0}, variance = {0, 0};
    for (size_t j = 0; j < n; j++) {
      sky_acc of_class = {0, 0};
      for (size_t i = 0; i < n; i++)
        if (a[i * n + j] != 0) sky_acc_add(&of_class, a[i * n + j] * l->f[i * n + j]);
      const double own = sky_acc_value(&of_class);
      sky_acc_add(&uptake, own);
      sky_acc_add(&variance, cell_sd * own * cell_sd * own);
    }
    out->uptake[c] = sky_acc_value(&uptake);
    out->variance[c] = sky_acc_value(&variance);
  }
}

/* Keep the row at the end of out->factor unless it says nothing. */
static void keep(sky_sink_cells *out) {
  const double *row = out->factor + out->rank * out->n_cell;
  for (size_t c = 0; c < out->n_cell; c++) {
    if (row[c] == 0) continue;
    out->rank++;
    return;
  }
}

static void add_factors(const sky_tensor *t, const sky_sink_set *set, const sky_linear *l,
                        sky_sink_cells *out) {
  for (size_t k = 0; k < l->m; k++) {
    double *row = out->factor + out->rank * out->n_cell;
    for (size_t c = 0; c < out->n_cell; c++) {
      const double *a = areas_of(t, c);
      sky_acc sum = {0, 0};
      for (size_t at = 0; at < l->n * l->n; at++)
        if (a[at] != 0) sky_acc_add(&sum, a[at] * l->J[at * l->m + k]);
      row[c] = set->factor[k].sd * sky_acc_value(&sum);
    }
    keep(out);
  }
}

/* Map error moves all cells together: what the two maps confuse, they confuse everywhere. w:
 * [cells*n*n] areas moved. */
static void add_map_errors(const sky_sink_set *set, const sky_linear *l, const double *w,
                           sky_sink_cells *out) {
  const size_t n = l->n;
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      const double moved = sky_linear_shift(l->f, 1, n, i, j);
      sky_acc square = {moved * moved, 0};
      for (size_t k = 0; k < l->m; k++) {
        const double s = sky_linear_shift(l->J + k, l->m, n, i, j) * set->factor[k].sd;
        sky_acc_add(&square, s * s);
      }
      const double each = sqrt(sky_acc_value(&square));
      if (i == j || each == 0) continue;
      double *row = out->factor + out->rank * out->n_cell;
      for (size_t c = 0; c < out->n_cell; c++)
        row[c] = w[(c * n + i) * n + j] * each;
      keep(out);
    }
  }
}

static sky_status false_areas(sky_context *ctx, const sky_tensor *t, double accuracy, double *w) {
  const size_t nn = t->n_class * t->n_class;
  double *all = SKY_NEW(ctx, double, nn);
  if (all == NULL) return SKY_E_NOMEM;
  for (size_t at = 0; at < nn; at++) {
    sky_acc sum = {0, 0};
    for (size_t c = 0; c < t->n_zone; c++)
      sky_acc_add(&sum, areas_of(t, c)[at]);
    all[at] = sky_acc_value(&sum);
  }
  for (size_t c = 0; c < t->n_zone; c++)
    sky_sink_false_areas(areas_of(t, c), all, t->n_class, accuracy, w + c * nn);
  sky_free(all);
  return SKY_OK;
}

sky_status sky_sink_cells_make(sky_context *ctx, const sky_tensor *tensor, const sky_sink_set *set,
                               double accuracy, double cell_sd, sky_sink_cells *out) {
  const size_t n = set->n_class, cells = tensor->n_zone;
  sky_sink_cells r = {.n_cell = cells};
  sky_linear l = {0};
  double *w = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_linear_make(ctx, set, &l));
  SKY_GO_ALLOC(r.uptake, SKY_NEW(ctx, double, cells));
  SKY_GO_ALLOC(r.variance, SKY_NEW(ctx, double, cells));
  const size_t most = set->n_factor + (isnan(accuracy) ? 0 : n * n);
  SKY_GO_ALLOC(r.factor, SKY_NEW(ctx, double, (most + 1) * cells));
  sky_linear_fill(set, SKY_SINK_UPTAKE, n, 1, &l);
  fill_uptake(tensor, &l, cell_sd, &r);
  add_factors(tensor, set, &l, &r);
  if (!isnan(accuracy)) {
    SKY_GO_ALLOC(w, SKY_NEW(ctx, double, cells *n *n));
    SKY_GO(false_areas(ctx, tensor, accuracy, w));
    add_map_errors(set, &l, w, &r);
  }
  *out = r;
  memset(&r, 0, sizeof r);
cleanup:
  sky_linear_free(&l);
  sky_free(w);
  sky_sink_cells_free(&r);
  return st;
}
