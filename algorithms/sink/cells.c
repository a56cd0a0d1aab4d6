/* cells.c: uptake of the cells of a mesh and its error (cells.h; equations in stock.md).
 *
 *     u_c = Σ_ij a_ijc f_ij
 *     F_kc = sd_k Σ_ij a_ijc ∂f_ij/∂θ_k                        one row a factor
 *     F_ijc = w_ijc √(s_ij(f)² + Σ_k (s_ij(∂f/∂θ_k) sd_k)²)    one row a false transition
 *     variance_c = cell_sd² Σ_j (Σ_i a_ijc f_ij)²
 *
 * Each site adds its own a, f and w: factors that sites share have one row, false transitions one
 * a site. */
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

typedef struct work {
  const sky_sink_site *site;
  size_t n_site, n, n_cell, m; /* n: classes; m: factors of all sites */
  sky_linear *linear;          /* [n_site] */
} work;

static size_t factor_number(const sky_sink_site *site, size_t k) {
  return site->factor != NULL ? site->factor[k] : k;
}

static sky_status work_make(sky_context *ctx, const sky_sink_site *site, size_t n_site, work *w) {
  *w = (work){
      .site = site, .n_site = n_site, .n = site[0].set->n_class, .n_cell = site[0].tensor->n_zone};
  w->linear = SKY_NEW0(ctx, sky_linear, n_site);
  if (w->linear == NULL) return SKY_E_NOMEM;
  for (size_t s = 0; s < n_site; s++) {
    SKY_TRY(sky_linear_make(ctx, site[s].set, &w->linear[s]));
    sky_linear_fill(site[s].set, SKY_SINK_UPTAKE, w->n, 1, &w->linear[s]);
    for (size_t k = 0; k < site[s].set->n_factor; k++)
      if (factor_number(&site[s], k) >= w->m) w->m = factor_number(&site[s], k) + 1;
  }
  return SKY_OK;
}

static void work_free(work *w) {
  for (size_t s = 0; s < w->n_site && w->linear != NULL; s++)
    sky_linear_free(&w->linear[s]);
  sky_free(w->linear);
}

static void fill_uptake(const work *w, double cell_sd, sky_sink_cells *out) {
  const size_t n = w->n;
  for (size_t c = 0; c < out->n_cell; c++) {
    sky_acc uptake = {0, 0}, variance = {0, 0};
    for (size_t j = 0; j < n; j++) {
      sky_acc of_class = {0, 0};
      for (size_t s = 0; s < w->n_site; s++) {
        const double *a = areas_of(w->site[s].tensor, c);
        for (size_t i = 0; i < n; i++)
          if (a[i * n + j] != 0) sky_acc_add(&of_class, a[i * n + j] * w->linear[s].f[i * n + j]);
      }
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

/* What factor number k adds to a cell, by one site. */
static void add_site(const work *w, size_t s, size_t k, size_t cell, sky_acc *sum) {
  const sky_linear *l = &w->linear[s];
  const double *a = areas_of(w->site[s].tensor, cell);
  for (size_t own = 0; own < l->m; own++) {
    if (factor_number(&w->site[s], own) != k) continue;
    const double sd = w->site[s].set->factor[own].sd;
    for (size_t at = 0; at < l->n * l->n; at++)
      if (a[at] != 0) sky_acc_add(sum, sd * a[at] * l->J[at * l->m + own]);
  }
}

static void add_factors(const work *w, sky_sink_cells *out) {
  for (size_t k = 0; k < w->m; k++) {
    double *row = out->factor + out->rank * out->n_cell;
    for (size_t c = 0; c < out->n_cell; c++) {
      sky_acc sum = {0, 0};
      for (size_t s = 0; s < w->n_site; s++)
        add_site(w, s, k, c, &sum);
      row[c] = sky_acc_value(&sum);
    }
    keep(out);
  }
}

/* Map error moves all cells together: what the two maps confuse, they confuse everywhere. moved:
 * [cells*n*n] areas. */
static void add_map_errors(const sky_sink_set *set, const sky_linear *l, const double *moved,
                           sky_sink_cells *out) {
  const size_t n = l->n;
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      const double shift = sky_linear_shift(l->f, 1, n, i, j);
      sky_acc square = {shift * shift, 0};
      for (size_t k = 0; k < l->m; k++) {
        const double s = sky_linear_shift(l->J + k, l->m, n, i, j) * set->factor[k].sd;
        sky_acc_add(&square, s * s);
      }
      const double each = sqrt(sky_acc_value(&square));
      if (i == j || each == 0) continue;
      double *row = out->factor + out->rank * out->n_cell;
      for (size_t c = 0; c < out->n_cell; c++)
        row[c] = moved[(c * n + i) * n + j] * each;
      keep(out);
    }
  }
}

static sky_status false_areas(sky_context *ctx, const sky_tensor *t, const sky_sink_how *how,
                              double *moved) {
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
    sky_sink_false_areas(areas_of(t, c), all, t->n_class, how->accuracy, moved + c * nn);
  for (size_t i = 0; i < t->n_zone * nn; i++)
    moved[i] *= 1 - how->correlation;
  sky_free(all);
  return SKY_OK;
}

sky_status sky_sink_cells_make(sky_context *ctx, const sky_sink_site *site, size_t n_site,
                               const sky_sink_how *how, double cell_sd, sky_sink_cells *out) {
  const size_t cells = site[0].tensor->n_zone, nn = site[0].set->n_class * site[0].set->n_class;
  const bool map_error = !isnan(how->accuracy);
  sky_sink_cells r = {.n_cell = cells};
  work w = {0};
  double *moved = NULL;
  sky_status st = SKY_OK;
  SKY_GO(work_make(ctx, site, n_site, &w));
  SKY_GO_ALLOC(r.uptake, SKY_NEW(ctx, double, cells));
  SKY_GO_ALLOC(r.variance, SKY_NEW(ctx, double, cells));
  const size_t most = w.m + (map_error ? n_site * nn : 0);
  SKY_GO_ALLOC(r.factor, SKY_NEW(ctx, double, (most + 1) * cells));
  fill_uptake(&w, cell_sd, &r);
  add_factors(&w, &r);
  if (map_error) SKY_GO_ALLOC(moved, SKY_NEW(ctx, double, cells *nn));
  for (size_t s = 0; s < n_site && map_error; s++) {
    SKY_GO(false_areas(ctx, site[s].tensor, how, moved));
    add_map_errors(site[s].set, &w.linear[s], moved, &r);
  }
  *out = r;
  memset(&r, 0, sizeof r);
cleanup:
  work_free(&w);
  sky_free(moved);
  sky_sink_cells_free(&r);
  return st;
}
