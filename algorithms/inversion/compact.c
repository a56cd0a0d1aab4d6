/* compact.c: see compact.h and compact.md.
 *
 * Row i of H, seen through a level, is a few grid points (field, point, value). Their correlations
 * reach a window around them; mixed over fields, the window holds (H Q)_i, and its product with the
 * points of row j is an element of H Q Hᵀ. */
#include "algorithms/inversion/compact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/band.h"
#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/noise.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

enum { AXES = 3 }; /* x, y, time: along which observations may be sorted */

typedef struct box { /* grid points and fields that a row sees, both ends in */
  int32_t x0, x1, y0, y1;
} box;

typedef struct points { /* the rows of H on the grid of one level */
  size_t *ptr;          /* [n_obs+1] */
  int32_t *field, *x, *y;
  double *val; /* times the sd of the level there */
  box *box;    /* [n_obs]; x1 < x0: sees nothing of this level */
  double *kernel;
  sky_level_view v;
} points;

struct sky_compact {
  const sky_problem *p;
  size_t n, n_field, n_mesh, n_level;
  const double *mix;
  points *level;
  size_t *order; /* [n] observation at a place of the band */
  size_t *first; /* [n] by place */
  sky_band band;
};

/* ---- rows of H on a level -------------------------------------------------------------------- */

static void widen(box *b, int32_t x, int32_t y) {
  if (x < b->x0) b->x0 = x;
  if (x > b->x1) b->x1 = x;
  if (y < b->y0) b->y0 = y;
  if (y > b->y1) b->y1 = y;
}

static void fill_row(const sky_compact *c, points *l, size_t i) {
  const sky_problem *p = c->p;
  const size_t ng = l->v.nx * l->v.ny;
  size_t at = l->ptr[i];
  l->box[i] = (box){INT32_MAX, -1, INT32_MAX, -1};
  for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++) {
    const size_t f = (size_t)p->col[k] / c->n_mesh, cell = (size_t)p->col[k] % c->n_mesh;
    for (size_t w = l->v.rowptr[cell]; w < l->v.rowptr[cell + 1]; w++, at++) {
      const size_t g = (size_t)l->v.col[w];
      l->field[at] = (int32_t)f;
      l->x[at] = (int32_t)(g % l->v.nx);
      l->y[at] = (int32_t)(g / l->v.nx);
      l->val[at] = p->val[k] * l->v.val[w] * (l->v.sd != NULL ? l->v.sd[f * ng + g] : l->v.sigma);
      widen(&l->box[i], l->x[at], l->y[at]);
    }
  }
}

static sky_status fill_points(sky_context *ctx, const sky_compact *c, points *l) {
  const sky_problem *p = c->p;
  const size_t wide = 2 * l->v.reach_x + 1, high = 2 * l->v.reach_y + 1;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(l->ptr, SKY_NEW0(ctx, size_t, c->n + 1));
  SKY_GO_ALLOC(l->box, SKY_NEW(ctx, box, c->n));
  for (size_t i = 0; i < c->n; i++) {
    l->ptr[i + 1] = l->ptr[i];
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++) {
      const size_t cell = (size_t)p->col[k] % c->n_mesh;
      l->ptr[i + 1] += l->v.rowptr[cell + 1] - l->v.rowptr[cell];
    }
  }
  SKY_GO_ALLOC(l->field, SKY_NEW(ctx, int32_t, l->ptr[c->n]));
  SKY_GO_ALLOC(l->x, SKY_NEW(ctx, int32_t, l->ptr[c->n]));
  SKY_GO_ALLOC(l->y, SKY_NEW(ctx, int32_t, l->ptr[c->n]));
  SKY_GO_ALLOC(l->val, SKY_NEW(ctx, double, l->ptr[c->n]));
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < c->n; i++)
    fill_row(c, l, i);
  SKY_GO_ALLOC(l->kernel, SKY_NEW(ctx, double, wide *high));
  for (size_t k = 0; k < wide * high; k++) {
    const double x = l->v.dx * ((double)(k % wide) - (double)l->v.reach_x);
    const double y = l->v.dy * ((double)(k / wide) - (double)l->v.reach_y);
    l->kernel[k] = sky_correlation_value(l->v.model, hypot(x, y), l->v.length);
  }
cleanup:
  return st; /* what is there is freed by sky_compact_free */
}

/* ---- order ----------------------------------------------------------------------------------- */

typedef struct span { /* of an observation along one axis: what it sees, and as far as that reaches
                       */
  double low, high;
  size_t index;
} span;

static int by_low(const void *a, const void *b) {
  const span *x = a, *y = b;
  if (x->low != y->low) return x->low < y->low ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* Steps of time that D joins. */
static double time_reach(const sky_compact *c) {
  const size_t nf = c->n_field, ns = nf / c->p->n_time;
  size_t most = 0;
  for (size_t a = 0; a < nf; a++)
    for (size_t b = 0; b < nf; b++) {
      const size_t apart = a / ns > b / ns ? a / ns - b / ns : b / ns - a / ns;
      if (c->mix[a * nf + b] != 0 && apart > most) most = apart;
    }
  return (double)most;
}

static void fill_spans(const sky_compact *c, int axis, double reach, span *s) {
  const sky_problem *p = c->p;
  for (size_t i = 0; i < c->n; i++) {
    s[i] = (span){INFINITY, -INFINITY, i};
    const size_t begin = p->rowptr[i], end = p->rowptr[i + 1];
    if (axis == 2 && end > begin) { /* columns rise with time */
      s[i].low = (double)((size_t)p->col[begin] / p->n_cell);
      s[i].high = (double)((size_t)p->col[end - 1] / p->n_cell) + reach;
    }
    for (size_t k = 0; axis < 2 && k < c->n_level; k++) {
      const sky_level_view *v = &c->level[k].v;
      const box *b = &c->level[k].box[i];
      if (b->x1 < b->x0) continue;
      const double origin = axis == 0 ? v->x0 : v->y0, step = axis == 0 ? v->dx : v->dy;
      const double wide = (double)(axis == 0 ? v->reach_x : v->reach_y) + 0.5;
      s[i].low = fmin(s[i].low, origin + step * (axis == 0 ? b->x0 : b->y0));
      s[i].high = fmax(s[i].high, origin + step * ((axis == 0 ? b->x1 : b->y1) + wide));
    }
    if (s[i].low > s[i].high) s[i].low = s[i].high = -INFINITY; /* sees nothing */
  }
}

/* first [n] by place: the first of those before that reach it; returns what a Cholesky costs. */
static double fill_first(size_t n, const span *s, size_t *first) {
  double most = -INFINITY, cost = 0;
  size_t j = 0;
  for (size_t i = 0; i < n; i++) {
    while (j < i && !(most >= s[i].low)) { /* all up to j end before s[i] begins */
      most = fmax(most, s[j].high);
      if (most >= s[i].low) break;
      j++;
    }
    first[i] = j;
    cost += (double)(i - j) * (double)(i - j);
  }
  return cost;
}

/* Errors along a track join observations that the prior does not. */
static void reach_back(const sky_compact *c) {
  const sky_noise noise = sky_problem_noise(c->p);
  if (noise.track == NULL) return;
  for (size_t i = 0; i < c->n; i++)
    for (size_t j = 0; j < c->first[i]; j++)
      if (sky_noise_element(&noise, c->order[i], c->order[j]) != 0) c->first[i] = j;
}

/* Sorted along the axis whose band is the cheapest. */
static sky_status choose_order(sky_context *ctx, sky_compact *c) {
  span *s = NULL;
  double least = INFINITY;
  sky_status st = SKY_OK;
  const double reach = time_reach(c);
  SKY_GO_ALLOC(c->order, SKY_NEW(ctx, size_t, c->n));
  SKY_GO_ALLOC(c->first, SKY_NEW(ctx, size_t, c->n));
  SKY_GO_ALLOC(s, SKY_NEW(ctx, span, c->n));
  int best = 0;
  for (int pass = 0; pass <= AXES; pass++) {
    const int axis = pass < AXES ? pass : best;
    fill_spans(c, axis, reach, s);
    qsort(s, c->n, sizeof *s, by_low);
    const double cost = fill_first(c->n, s, c->first);
    if (cost < least) best = axis;
    least = fmin(least, cost);
  }
  for (size_t k = 0; k < c->n; k++)
    c->order[k] = s[k].index;
  reach_back(c);
cleanup:
  sky_free(s);
  return st;
}

/* ---- Ψ --------------------------------------------------------------------------------------- */

typedef struct window { /* (H Q)_i around what row i sees, one field after another */
  box b;
  size_t wide, size;     /* points of a row, of a field */
  double *field, *mixed; /* [n_field*largest window] */
  int32_t *slot;         /* [n_field] which of mixed, or -1 */
  int32_t *own;          /* [n_field] which of field, or -1 */
} window;

static size_t largest_window(const sky_compact *c) {
  size_t most = 1;
  for (size_t k = 0; k < c->n_level; k++) {
    const sky_level_view *v = &c->level[k].v;
    for (size_t i = 0; i < c->n; i++) {
      const box *b = &c->level[k].box[i];
      if (b->x1 < b->x0) continue;
      size_t wide = (size_t)(b->x1 - b->x0) + 1 + 2 * v->reach_x;
      size_t high = (size_t)(b->y1 - b->y0) + 1 + 2 * v->reach_y;
      if (wide > v->nx) wide = v->nx;
      if (high > v->ny) high = v->ny;
      if (wide * high > most) most = wide * high;
    }
  }
  return most;
}

/* The kernel around every point of row i, cut at the grid. */
static void spread_row(const sky_compact *c, const points *l, size_t i, window *w) {
  const int32_t rx = (int32_t)l->v.reach_x, ry = (int32_t)l->v.reach_y;
  const int32_t nx = (int32_t)l->v.nx, ny = (int32_t)l->v.ny;
  const box *b = &l->box[i];
  w->b = (box){b->x0 > rx ? b->x0 - rx : 0, b->x1 + rx < nx ? b->x1 + rx : nx - 1,
               b->y0 > ry ? b->y0 - ry : 0, b->y1 + ry < ny ? b->y1 + ry : ny - 1};
  w->wide = (size_t)(w->b.x1 - w->b.x0) + 1;
  w->size = w->wide * ((size_t)(w->b.y1 - w->b.y0) + 1);
  int32_t used = 0;
  for (size_t f = 0; f < c->n_field; f++)
    w->own[f] = -1;
  for (size_t k = l->ptr[i]; k < l->ptr[i + 1]; k++) {
    if (w->own[l->field[k]] < 0) {
      w->own[l->field[k]] = used;
      memset(w->field + (size_t)used++ * w->size, 0, w->size * sizeof *w->field);
    }
    double *field = w->field + (size_t)w->own[l->field[k]] * w->size;
    const int32_t from = l->x[k] - rx > w->b.x0 ? l->x[k] - rx : w->b.x0;
    const int32_t to = l->x[k] + rx < w->b.x1 ? l->x[k] + rx : w->b.x1;
    for (int32_t y = l->y[k] - ry > w->b.y0 ? l->y[k] - ry : w->b.y0;
         y <= l->y[k] + ry && y <= w->b.y1; y++) {
      const double *kernel = l->kernel + (y - l->y[k] + ry) * (2 * rx + 1) + (from - l->x[k] + rx);
      double *row = field + (size_t)(y - w->b.y0) * w->wide + (from - w->b.x0);
      for (int32_t x = 0; x <= to - from; x++)
        row[x] += l->val[k] * kernel[x];
    }
  }
}

/* mixed_a = Σ_b mix_ab field_b, for the fields a that any of them reaches. */
static void mix_row(const sky_compact *c, window *w) {
  int32_t used = 0;
  for (size_t a = 0; a < c->n_field; a++) {
    w->slot[a] = -1;
    for (size_t b = 0; b < c->n_field; b++) {
      const double mix = c->mix[a * c->n_field + b];
      if (w->own[b] < 0 || mix == 0) continue;
      if (w->slot[a] < 0) {
        w->slot[a] = used;
        memset(w->mixed + (size_t)used++ * w->size, 0, w->size * sizeof *w->mixed);
      }
      double *to = w->mixed + (size_t)w->slot[a] * w->size;
      const double *from = w->field + (size_t)w->own[b] * w->size;
      for (size_t k = 0; k < w->size; k++)
        to[k] += mix * from[k];
    }
  }
}

static double product(const points *l, size_t j, const window *w) {
  const box *b = &l->box[j];
  double sum = 0;
  if (b->x1 < b->x0 || b->x1 < w->b.x0 || b->x0 > w->b.x1 || b->y1 < w->b.y0 || b->y0 > w->b.y1)
    return 0;
  for (size_t k = l->ptr[j]; k < l->ptr[j + 1]; k++) {
    const int32_t slot = w->slot[l->field[k]], x = l->x[k], y = l->y[k];
    if (slot >= 0 && x >= w->b.x0 && x <= w->b.x1 && y >= w->b.y0 && y <= w->b.y1)
      sum += l->val[k] * w->mixed[(size_t)slot * w->size + (size_t)(y - w->b.y0) * w->wide +
                                  (size_t)(x - w->b.x0)];
  }
  return sum;
}

/* The row of the band at place `at`. */
static void fill_band_row(const sky_compact *c, const sky_noise *noise, size_t at, window *w) {
  const size_t i = c->order[at];
  for (size_t k = 0; k < c->n_level; k++) {
    const points *l = &c->level[k];
    if (l->ptr[i] == l->ptr[i + 1]) continue;
    spread_row(c, l, i, w);
    mix_row(c, w);
    for (size_t j = c->first[at]; j <= at; j++)
      *sky_band_element(&c->band, at, j) += product(l, c->order[j], w);
  }
  for (size_t j = noise->track != NULL ? c->first[at] : at; j <= at; j++)
    *sky_band_element(&c->band, at, j) += sky_noise_element(noise, i, c->order[j]);
}

static void free_window(window *w) {
  sky_free(w->field);
  sky_free(w->mixed);
  sky_free(w->slot);
  sky_free(w->own);
}

static sky_status fill_band(sky_context *ctx, const sky_compact *c) {
  const size_t largest = largest_window(c), threads = (size_t)sky_context_threads(ctx);
  const sky_noise noise = sky_problem_noise(c->p);
  window *all = SKY_NEW0(ctx, window, threads);
  sky_status st = all != NULL ? SKY_OK : SKY_E_NOMEM;
  SKY_GO(st);
  for (size_t q = 0; q < threads; q++) {
    SKY_GO_ALLOC(all[q].field, SKY_NEW(ctx, double, c->n_field *largest));
    SKY_GO_ALLOC(all[q].mixed, SKY_NEW(ctx, double, c->n_field *largest));
    SKY_GO_ALLOC(all[q].slot, SKY_NEW(ctx, int32_t, c->n_field));
    SKY_GO_ALLOC(all[q].own, SKY_NEW(ctx, int32_t, c->n_field));
  }
#pragma omp parallel for schedule(static, 1) num_threads((int)threads)
  for (size_t q = 0; q < threads; q++)
    for (size_t at = q; at < c->n; at += threads)
      fill_band_row(c, &noise, at, &all[q]);
cleanup:
  for (size_t q = 0; all != NULL && q < threads; q++)
    free_window(&all[q]);
  sky_free(all);
  return st;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static sky_status open_levels(sky_context *ctx, sky_compact *c) {
  if (c->p->levels == NULL || c->p->n_background > 0)
    return sky_fail(ctx, SKY_E_RANGE,
                    "banded solution: %s (expected a prior of levels, and no offsets)",
                    c->p->levels == NULL ? "the prior is not levels" : "there are offsets");
  c->mix = sky_levels_mix(c->p->levels, &c->n_field, &c->n_mesh);
  c->n_level = sky_levels_count(c->p->levels);
  c->level = SKY_NEW0(ctx, points, c->n_level);
  if (c->level == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < c->n_level; k++) {
    if (!sky_levels_view(c->p->levels, k, &c->level[k].v))
      return sky_fail(ctx, SKY_E_RANGE,
                      "banded solution: the model of level %zu has no bounded support (expected "
                      "none, spherical or gaspari-cohn)",
                      k);
    SKY_TRY(fill_points(ctx, c, &c->level[k]));
  }
  return SKY_OK;
}

static void free_points(points *l) {
  sky_free(l->ptr);
  sky_free(l->field);
  sky_free(l->x);
  sky_free(l->y);
  sky_free(l->val);
  sky_free(l->box);
  sky_free(l->kernel);
  memset(l, 0, sizeof *l);
}

sky_status sky_compact_create(sky_context *ctx, const sky_problem *p, double held,
                              sky_compact **out) {
  sky_compact *c = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_TRY(sky_problem_check(ctx, p));
  SKY_GO_ALLOC(c, SKY_NEW0(ctx, sky_compact, 1));
  c->p = p;
  c->n = p->n_obs;
  SKY_GO(open_levels(ctx, c));
  SKY_GO(choose_order(ctx, c));
  SKY_GO(sky_band_create(ctx, c->n, c->first, held, &c->band));
  SKY_GO(fill_band(ctx, c));
  for (size_t k = 0; k < c->n_level; k++)
    free_points(&c->level[k]);
  st = sky_band_cholesky(ctx, &c->band);
  if (st != SKY_OK) SKY_GO(sky_fail_in(ctx, st, "observation-space covariance: "));
  *out = c;
cleanup:
  if (st != SKY_OK) sky_compact_free(c);
  return st;
}

void sky_compact_free(sky_compact *c) {
  if (c == NULL) return;
  for (size_t k = 0; c->level != NULL && k < c->n_level; k++)
    free_points(&c->level[k]);
  sky_free(c->level);
  sky_free(c->order);
  sky_free(c->first);
  sky_band_free(&c->band);
  sky_free(c);
}

sky_status sky_compact_solve(sky_context *ctx, const sky_compact *c, size_t count, double *v) {
  double *X = SKY_NEW(ctx, double, c->n *count);
  if (X == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < c->n; k++)
    for (size_t q = 0; q < count; q++)
      X[k * count + q] = v[q * c->n + c->order[k]];
  sky_band_solve(&c->band, count, X);
  for (size_t k = 0; k < c->n; k++)
    for (size_t q = 0; q < count; q++)
      v[q * c->n + c->order[k]] = X[k * count + q];
  sky_free(X);
  return SKY_OK;
}

double sky_compact_logdet(const sky_compact *c) {
  return sky_band_logdet(&c->band);
}

/* All of R lies in the band. */
sky_status sky_compact_trace(sky_context *ctx, sky_compact *c, double *trace) {
  const sky_noise noise = sky_problem_noise(c->p);
  sky_acc sum = {0, 0};
  SKY_TRY(sky_band_inverse(ctx, &c->band));
  for (size_t i = 0; i < c->n; i++) {
    sky_acc_add(&sum, sky_noise_element(&noise, c->order[i], c->order[i]) *
                          *sky_band_element(&c->band, i, i));
    for (size_t j = noise.track != NULL ? c->first[i] : i; j < i; j++)
      sky_acc_add(&sum, 2 * sky_noise_element(&noise, c->order[i], c->order[j]) *
                            *sky_band_element(&c->band, i, j));
  }
  *trace = sky_acc_value(&sum);
  return SKY_OK;
}

double sky_compact_share(const sky_compact *c) {
  const double t = SKY_BAND_TILE, n = (double)c->n;
  return fmin(1, (double)c->band.start[c->band.tiles] * t * t / (0.5 * n * n));
}
