/* compact.c: see compact.h and compact.md.
 *
 * Row i of H, seen through a level, is a few grid points (field, point, value). Their correlations
 * reach a window around them; mixed over fields, the window holds (H Q)_i, and its product with the
 * points of row j is an element of H Q Hᵀ. */
#include "algorithms/inversion/compact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/covariance.h"
#include "algorithms/inversion/levels.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

enum { AXES = 3 }; /* x, y, time: along which observations may be sorted */

typedef struct box { /* grid points and fields that a row sees, both ends in */
  int32_t x0, x1, y0, y1, f0, f1;
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
  size_t *order;  /* [n] observation at a place of the band */
  size_t *first;  /* [n] by place */
  size_t largest; /* points of the largest window */
};

/* ---- rows of H on a level -------------------------------------------------------------------- */

static void widen(box *b, int32_t x, int32_t y, int32_t f) {
  if (f < b->f0) b->f0 = f;
  if (f > b->f1) b->f1 = f;
  if (x < b->x0) b->x0 = x;
  if (x > b->x1) b->x1 = x;
  if (y < b->y0) b->y0 = y;
  if (y > b->y1) b->y1 = y;
}

static void fill_row(const sky_compact *c, points *l, size_t i) {
  const sky_problem *p = c->p;
  const size_t ng = l->v.nx * l->v.ny;
  size_t at = l->ptr[i];
  l->box[i] = (box){INT32_MAX, -1, INT32_MAX, -1, INT32_MAX, -1};
  for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++) {
    const size_t f = (size_t)p->col[k] / c->n_mesh, cell = (size_t)p->col[k] % c->n_mesh;
    for (size_t w = l->v.rowptr[cell]; w < l->v.rowptr[cell + 1]; w++, at++) {
      const size_t g = (size_t)l->v.col[w];
      l->field[at] = (int32_t)f;
      l->x[at] = (int32_t)(g % l->v.nx);
      l->y[at] = (int32_t)(g / l->v.nx);
      l->val[at] = p->val[k] * l->v.val[w] * (l->v.sd != NULL ? l->v.sd[f * ng + g] : l->v.sigma);
      widen(&l->box[i], l->x[at], l->y[at], (int32_t)f);
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
    if (l->v.taper > 0)
      l->kernel[k] *= sky_correlation_value((sky_correlation){.kind = SKY_CORR_GASPARI_COHN},
                                            hypot(x, y), l->v.taper);
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
cleanup:
  sky_free(s);
  return st;
}

/* ---- rows of H Q Hᵀ -------------------------------------------------------------------------- */

typedef struct window { /* (H Q)_i around what row i sees, one field after another */
  box b;
  size_t wide, high, size;
  double *field, *mixed; /* [n_field*largest window] */
  int32_t *slot;         /* [n_field] which of mixed, or -1 */
  int32_t *own;          /* [n_field] which of field, or -1 */
  double *element;       /* [n_obs] */
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
  w->b = (box){b->x0 > rx ? b->x0 - rx : 0,
               b->x1 + rx < nx ? b->x1 + rx : nx - 1,
               b->y0 > ry ? b->y0 - ry : 0,
               b->y1 + ry < ny ? b->y1 + ry : ny - 1,
               b->f0,
               b->f1};
  w->wide = (size_t)(w->b.x1 - w->b.x0) + 1;
  w->high = (size_t)(w->b.y1 - w->b.y0) + 1;
  w->size = w->wide * w->high;
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
  w->b.f0 = INT32_MAX;
  w->b.f1 = -1;
  for (size_t a = 0; a < c->n_field; a++) {
    w->slot[a] = -1;
    for (size_t b = 0; b < c->n_field; b++) {
      const double mix = c->mix[a * c->n_field + b];
      if (w->own[b] < 0 || mix == 0) continue;
      if (w->slot[a] < 0) {
        if (w->b.f1 < 0) w->b.f0 = (int32_t)a;
        w->b.f1 = (int32_t)a;
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

static bool apart(const box *b, const box *w) {
  return b->x1 < b->x0 || b->x1 < w->x0 || b->x0 > w->x1 || b->y1 < w->y0 || b->y0 > w->y1 ||
         b->f1 < w->f0 || b->f0 > w->f1;
}

/* Point k of a row times (H Q)_i there; 0 outside the window. */
static inline double seen(const points *l, size_t k, const window *w) {
  const int32_t slot = w->slot[l->field[k]];
  const uint32_t x = (uint32_t)(l->x[k] - w->b.x0), y = (uint32_t)(l->y[k] - w->b.y0);
  if (slot < 0 || x >= w->wide || y >= w->high) return 0;
  return l->val[k] * w->mixed[(size_t)slot * w->size + (size_t)y * w->wide + (size_t)x];
}

static double product(const points *l, size_t j, const window *w) {
  double sum = 0;
  if (apart(&l->box[j], &w->b)) return 0;
  for (size_t k = l->ptr[j]; k < l->ptr[j + 1]; k++)
    sum += seen(l, k, w);
  return sum;
}

/* (H Q Hᵀ) of place `at` with those before it that it reaches. */
static void add_row(const sky_compact *c, size_t at, window *w, double *element) {
  const size_t i = c->order[at], first = c->first[at];
  memset(element, 0, (at - first + 1) * sizeof *element);
  for (size_t k = 0; k < c->n_level; k++) {
    const points *l = &c->level[k];
    if (l->ptr[i] == l->ptr[i + 1]) continue;
    spread_row(c, l, i, w);
    mix_row(c, w);
    for (size_t j = first; j <= at; j++)
      element[j - first] += product(l, c->order[j], w);
  }
}

static void free_window(window *w) {
  sky_free(w->field);
  sky_free(w->mixed);
  sky_free(w->slot);
  sky_free(w->own);
  sky_free(w->element);
}

static sky_status open_windows(sky_context *ctx, const sky_compact *c, size_t threads,
                               window *all) {
  sky_status st = SKY_OK;
  for (size_t q = 0; q < threads; q++) {
    SKY_GO_ALLOC(all[q].field, SKY_NEW(ctx, double, c->n_field * c->largest));
    SKY_GO_ALLOC(all[q].mixed, SKY_NEW(ctx, double, c->n_field * c->largest));
    SKY_GO_ALLOC(all[q].slot, SKY_NEW(ctx, int32_t, c->n_field));
    SKY_GO_ALLOC(all[q].own, SKY_NEW(ctx, int32_t, c->n_field));
    SKY_GO_ALLOC(all[q].element, SKY_NEW(ctx, double, c->n));
  }
cleanup:
  return st; /* what is there is freed by the caller */
}

sky_status sky_compact_rows(sky_context *ctx, const sky_compact *c, size_t from, size_t end,
                            sky_compact_row *row, void *user) {
  const size_t threads = (size_t)sky_context_threads(ctx);
  window *all = SKY_NEW0(ctx, window, threads);
  if (all == NULL) return SKY_E_NOMEM;
  const sky_status st = open_windows(ctx, c, threads, all);
#pragma omp parallel for schedule(static, 1) num_threads((int)threads)
  for (size_t q = 0; q < threads; q++)
    for (size_t at = from + q; st == SKY_OK && at < end; at += threads) {
      add_row(c, at, &all[q], all[q].element);
      row(user, at, all[q].element);
    }
  for (size_t q = 0; q < threads; q++)
    free_window(&all[q]);
  sky_free(all);
  return st;
}

/* ---- zones ----------------------------------------------------------------------------------- */

typedef struct members { /* zones of an unknown, and their share of it */
  size_t *ptr;           /* [n_state+1] */
  int32_t *zone;
  double *share;
} members;

static void free_members(members *m) {
  sky_free(m->ptr);
  sky_free(m->zone);
  sky_free(m->share);
}

static sky_status find_members(sky_context *ctx, const sky_functionals *z, size_t n_state,
                               members *out) {
  size_t *next = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(out->ptr, SKY_NEW0(ctx, size_t, n_state + 1));
  SKY_GO_ALLOC(next, SKY_NEW(ctx, size_t, n_state));
  for (size_t q = 0; q < z->n_zone; q++)
    for (size_t i = 0; i < n_state; i++)
      out->ptr[i + 1] += z->W[q * n_state + i] != 0;
  for (size_t i = 0; i < n_state; i++) {
    next[i] = out->ptr[i];
    out->ptr[i + 1] += out->ptr[i];
  }
  SKY_GO_ALLOC(out->zone, SKY_NEW(ctx, int32_t, out->ptr[n_state]));
  SKY_GO_ALLOC(out->share, SKY_NEW(ctx, double, out->ptr[n_state]));
  for (size_t q = 0; q < z->n_zone; q++)
    for (size_t i = 0; i < n_state; i++) {
      const double a = z->W[q * n_state + i];
      if (a == 0) continue;
      out->zone[next[i]] = (int32_t)q;
      out->share[next[i]++] = z->whole != NULL ? a / z->whole[i] : 1;
    }
cleanup:
  sky_free(next);
  return st;
}

/* zone += x Σ over the unknowns of row j: share (H Q)_i h_j. */
static void add_inside(const sky_compact *c, const points *l, size_t j, const window *w,
                       const members *m, double x, double *zone) {
  const sky_problem *p = c->p;
  size_t k = l->ptr[j];
  if (apart(&l->box[j], &w->b)) return;
  for (size_t e = p->rowptr[j]; e < p->rowptr[j + 1]; e++) {
    const size_t state = (size_t)p->col[e], cell = state % c->n_mesh;
    const size_t end = k + l->v.rowptr[cell + 1] - l->v.rowptr[cell];
    double sum = 0;
    for (; k < end; k++)
      sum += seen(l, k, w);
    for (size_t z = m->ptr[state]; z < m->ptr[state + 1]; z++)
      zone[m->zone[z]] += x * m->share[z] * sum;
  }
}

/* What place `at` gives to the zones. */
static void inside_row(const sky_compact *c, size_t at, size_t end, const members *m, window *w,
                       sky_compact_element *element, const void *user, double *zone) {
  const size_t i = c->order[at], first = c->first[at];
  for (size_t j = first; j < end; j++)
    w->element[j - first] = element(user, at, j);
  for (size_t k = 0; k < c->n_level; k++) {
    const points *l = &c->level[k];
    if (l->ptr[i] == l->ptr[i + 1]) continue;
    spread_row(c, l, i, w);
    mix_row(c, w);
    for (size_t j = first; j < end; j++)
      add_inside(c, l, c->order[j], w, m, w->element[j - first], zone);
  }
}

sky_status sky_compact_inside(sky_context *ctx, const sky_compact *c, const sky_functionals *zones,
                              sky_compact_element *element, const void *user, double *out) {
  const size_t threads = (size_t)sky_context_threads(ctx), nz = zones->n_zone;
  members m = {0};
  window *all = NULL;
  double *part = NULL; /* [nz*n] what each place gives */
  size_t *end = NULL;  /* [n] places beyond the last one that reaches a place */
  sky_status st = SKY_OK;
  SKY_GO(find_members(ctx, zones, c->p->n_state, &m));
  SKY_GO_ALLOC(end, SKY_NEW(ctx, size_t, c->n));
  SKY_GO_ALLOC(part, SKY_NEW0(ctx, double, nz * c->n));
  SKY_GO_ALLOC(all, SKY_NEW0(ctx, window, threads));
  SKY_GO(open_windows(ctx, c, threads, all));
  for (size_t at = 0, last = 0; at < c->n; at++) { /* first never falls */
    while (last < c->n && c->first[last] <= at)
      last++;
    end[at] = last;
  }
#pragma omp parallel for schedule(static, 1) num_threads((int)threads)
  for (size_t q = 0; q < threads; q++)
    for (size_t at = q; at < c->n; at += threads)
      inside_row(c, at, end[at], &m, &all[q], element, user, part + at * nz);
  for (size_t z = 0; z < nz; z++) {
    sky_acc sum = {0, 0};
    for (size_t at = 0; at < c->n; at++)
      sky_acc_add(&sum, part[at * nz + z]);
    out[z] = sky_acc_value(&sum);
  }
cleanup:
  for (size_t q = 0; all != NULL && q < threads; q++)
    free_window(&all[q]);
  sky_free(all);
  sky_free(part);
  sky_free(end);
  free_members(&m);
  return st;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static sky_status open_levels(sky_context *ctx, bool taper, sky_compact *c) {
  if (c->p->levels == NULL)
    return sky_fail(ctx, SKY_E_RANGE,
                    "covariance of observations: the prior is not levels (expected a prior of "
                    "levels)");
  c->mix = sky_levels_mix(c->p->levels, &c->n_field, &c->n_mesh);
  c->n_level = sky_levels_count(c->p->levels);
  c->level = SKY_NEW0(ctx, points, c->n_level);
  if (c->level == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < c->n_level; k++) {
    sky_levels_view(c->p->levels, k, &c->level[k].v);
    if (!taper && c->level[k].v.taper > 0)
      return sky_fail(ctx, SKY_E_RANGE,
                      "covariance of observations: the model of level %zu has no bounded support "
                      "(expected none, spherical or gaspari-cohn)",
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

bool sky_compact_exact(const sky_problem *p) {
  bool exact = p->levels != NULL;
  for (size_t k = 0; exact && k < sky_levels_count(p->levels); k++) {
    sky_level_view v;
    sky_levels_view(p->levels, k, &v);
    exact = v.taper == 0;
  }
  return exact;
}

sky_status sky_compact_create(sky_context *ctx, const sky_problem *p, bool taper,
                              sky_compact **out) {
  sky_compact *c = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_TRY(sky_problem_check(ctx, p));
  SKY_GO_ALLOC(c, SKY_NEW0(ctx, sky_compact, 1));
  c->p = p;
  c->n = p->n_obs;
  SKY_GO(open_levels(ctx, taper, c));
  SKY_GO(choose_order(ctx, c));
  c->largest = largest_window(c);
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
  sky_free(c);
}

/* Fields that row i sees; columns rise with the field. */
static size_t own_fields(const sky_compact *c, size_t i) {
  const sky_problem *p = c->p;
  size_t count = 0;
  for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
    count +=
        k == p->rowptr[i] || (size_t)p->col[k] / c->n_mesh != (size_t)p->col[k - 1] / c->n_mesh;
  return count;
}

double sky_compact_work(const sky_compact *c) {
  double work = 0, joined = 0;
  for (size_t k = 0; k < c->n_field * c->n_field; k++)
    joined += (c->mix[k] != 0) / (double)c->n_field;
  for (size_t k = 0; k < c->n_level; k++) {
    const points *l = &c->level[k];
    const double wide = 2 * (double)l->v.reach_x + 1, high = 2 * (double)l->v.reach_y + 1;
    for (size_t i = 0; i < c->n; i++) {
      const box *b = &l->box[i];
      if (b->x1 < b->x0) continue;
      const double x = fmin((double)(b->x1 - b->x0) + wide, (double)l->v.nx);
      const double y = fmin((double)(b->y1 - b->y0) + high, (double)l->v.ny);
      work += x * y * joined * (double)own_fields(c, i) +
              (double)(l->ptr[i + 1] - l->ptr[i]) * wide * high;
    }
  }
  return work;
}

const size_t *sky_compact_order(const sky_compact *c) {
  return c->order;
}

const size_t *sky_compact_first(const sky_compact *c) {
  return c->first;
}

double sky_compact_bytes(const sky_context *ctx, const sky_compact *c) {
  double bytes = 0;
  for (size_t k = 0; k < c->n_level; k++)
    bytes += (double)c->level[k].ptr[c->n] * (3 * sizeof(int32_t) + sizeof(double)) +
             (double)c->n * (sizeof(box) + sizeof(size_t));
  return bytes + 16 * (double)c->n +
         8 * (double)sky_context_threads(ctx) *
             ((double)c->n_field * (2 * (double)c->largest + 1) + (double)c->n);
}
