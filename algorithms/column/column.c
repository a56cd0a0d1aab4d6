/* column.c: what a retrieval sees of a profile, (column.md). */
#include "algorithms/column/column.h"

#include <math.h>
#include <stdlib.h>

/* Levels above a padded top have weight 0 or NaN, and anything in their profiles. */
static int counts(double weight) {
  return !isnan(weight) && weight != 0;
}

double sky_column_mean(size_t n_levels, const double *weight, const double *profile) {
  double sum = 0;
  for (size_t k = 0; k < n_levels; k++)
    if (counts(weight[k])) sum += weight[k] * profile[k];
  return sum;
}

double sky_column_apply(size_t n_levels, double prior, const double *weight, const double *ak,
                        const double *prior_profile, const double *profile) {
  double sum = prior;
  for (size_t k = 0; k < n_levels; k++)
    if (counts(weight[k])) sum += weight[k] * ak[k] * (profile[k] - prior_profile[k]);
  return sum;
}

/* --- projection --------------------------------------------------------------------------------
 */

static bool falls(size_t n, const double *p) {
  for (size_t k = 0; k < n; k++)
    if (!isfinite(p[k]) || (k > 0 && !(p[k] < p[k - 1]))) return false;
  return n > 0;
}

/* Nodes of the retrieval: levels, or the edges that mid pressures and the surface tell. */
static size_t nodes_of(const sky_retrieval_grid *g, double *node) {
  if (!g->layers) {
    for (size_t k = 0; k < g->n; k++)
      node[k] = g->pressure[k];
    return g->n;
  }
  node[0] = g->surface;
  for (size_t k = 0; k < g->n; k++)
    node[k + 1] = 2 * g->pressure[k] - node[k];
  /* p_s - K·Δp of a top at vacuum may end a rounding error below it */
  if (node[g->n] < 0 && node[g->n] > -1e-9 * g->surface) node[g->n] = 0;
  return g->n + 1;
}

typedef struct two { /* values at both ends of a segment, in between linear */
  double high, low;
} two;

static two line(double p_a, double c_a, double p_b, double c_b, double high, double low) {
  const double slope = (c_b - c_a) / (p_b - p_a);
  return (two){c_a + slope * (high - p_a), c_a + slope * (low - p_a)};
}

/* The model on [high, low], which holds none of its pressures inside; m: the last of them >= mid.
 */
static two model_part(const sky_profile *c, const double *p, size_t n_p, size_t m, double high,
                      double low) {
  if (m + 1 == n_p) return (two){c->value[c->n - 1], c->value[c->n - 1]};
  if (c->layers) return (two){c->value[m], c->value[m]};
  return line(p[m], c->value[m], p[m + 1], c->value[m + 1], high, low);
}

/* ∫ φ c over the segment for both shapes of the interval [a, b] of the retrieval; Simpson's rule is
 * exact for a product of two lines. */
static void add_segment(bool layers, double a, double b, two c, double high, double low,
                        double load[2]) {
  const double h = high - low, mid = (c.high + c.low) / 2;
  if (layers) {
    load[0] += h * mid;
    return;
  }
  const two up = line(a, 0, b, 1, high, low); /* shape of the upper level, 0 at a */
  const double f = (up.high + up.low) / 2;
  load[1] += h / 6 * (c.high * up.high + 4 * mid * f + c.low * up.low);
  load[0] += h / 6 * (c.high * (1 - up.high) + 4 * mid * (1 - f) + c.low * (1 - up.low));
}

/* Tridiagonal matrix of the products of hats (Thomas algorithm; it is diagonally dominant). */
static void solve_hats(size_t n, const double *node, double *upper, double *x) {
  double below = 0; /* node interval before k */
  for (size_t k = 0; k < n; k++) {
    const double above = k + 1 < n ? node[k] - node[k + 1] : 0;
    const double diagonal = (below + above) / 3 - (k > 0 ? below / 6 * upper[k - 1] : 0);
    upper[k] = above / 6 / diagonal;
    x[k] = (x[k] - (k > 0 ? below / 6 * x[k - 1] : 0)) / diagonal;
    below = above;
  }
  for (size_t k = n - 1; k-- > 0;)
    x[k] -= upper[k] * x[k + 1];
}

bool sky_column_project(const sky_profile *model, const sky_retrieval_grid *grid,
                        sky_surface_rule rule, double *work, double *out, double *mismatch) {
  const size_t n_p = model->n + model->layers, K = grid->n;
  double *p = work, *node = p + n_p, *load = node + K + 1, *upper = load + K + 1;
  for (size_t k = 0; k < K; k++)
    out[k] = NAN;
  if (K + grid->layers < 2 || model->n == 0 || !falls(n_p, model->pressure)) return false;
  const size_t n_node = nodes_of(grid, node);
  if (!falls(n_node, node)) return false;
  const double top = model->pressure[n_p - 1], surface = model->pressure[0];
  if (mismatch != NULL) *mismatch = surface - node[0];
  const bool stretch = rule == SKY_SURFACE_STRETCH && surface > top && node[0] > top;
  const double scale = stretch ? (node[0] - top) / (surface - top) : 1;
  for (size_t k = 0; k < n_p; k++)
    p[k] = stretch ? top + (model->pressure[k] - top) * scale : model->pressure[k];
  for (size_t k = 0; k <= K; k++)
    load[k] = 0;
  size_t m = 0; /* the next pressure of the model below `high` */
  for (size_t j = 0; j + 1 < n_node; j++) {
    for (double high = node[j], low; high > node[j + 1]; high = low) {
      while (m < n_p && p[m] >= high)
        m++;
      low = m < n_p && p[m] > node[j + 1] ? p[m] : node[j + 1];
      two c;
      if (m == 0) /* below the model's surface */
        c = (two){model->value[0], model->value[0]};
      else if (m == n_p && grid->prior != NULL)
        c = grid->layers
                ? (two){grid->prior[j], grid->prior[j]}
                : line(node[j], grid->prior[j], node[j + 1], grid->prior[j + 1], high, low);
      else
        c = model_part(model, p, n_p, m - 1, high, low);
      add_segment(grid->layers, node[j], node[j + 1], c, high, low, load + j);
    }
  }
  if (!grid->layers) solve_hats(K, node, upper, load);
  for (size_t k = 0; k < K; k++)
    out[k] = grid->layers ? load[k] / (node[k] - node[k + 1]) : load[k];
  return true;
}

/* --- quantile ----------------------------------------------------------------------------------
 */

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

double sky_quantile(size_t n, const double *x, double q, double *work) {
  if (n == 0 || !(q >= 0 && q <= 1)) return NAN;
  for (size_t i = 0; i < n; i++) {
    if (isnan(x[i])) return NAN;
    work[i] = x[i];
  }
  qsort(work, n, sizeof *work, ascending);
  const double position = q * (double)(n - 1);
  const size_t below = (size_t)position;
  if (below + 1 >= n) return work[n - 1];
  const double part = position - (double)below;
  return work[below] + part * (work[below + 1] - work[below]);
}
