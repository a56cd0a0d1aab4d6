/* nearby.c: see nearby.h and nearby.md.
 *
 * H Q Hᵀ is kept as sparse rows, made in blocks of places; then every row of G follows from a small
 * dense matrix of its own. */
#include "algorithms/inversion/nearby.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/compact.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/noise.h"
#include "algorithms/inversion/offsets.h"
#include "algorithms/inversion/sparse.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define TRANSFORMS 60 /* multiplications of two transforms, an element */
#define WORTH 500     /* products that neighbours may cost: without them it takes thousands */
#define NOTHING 1e-14 /* an eigenvalue of the offsets, relative, that is rounding */

enum { NEIGHBOURS = 64, BLOCK = 256 }; /* of a row, most; places that are made at once */

typedef struct lower { /* H Q Hᵀ by place: what is not 0 of the lower triangle, the diagonal last */
  size_t *ptr, room;   /* [n+1] */
  int32_t *col;
  double *val;
} lower;

struct sky_nearby {
  const sky_problem *p;
  size_t n, most; /* neighbours of a row, most */
  size_t *order;  /* [n] observation at a place */
  size_t *rowptr; /* [n+1] by observation; the diagonal is the last element of a row */
  int32_t *col;
  double *val;
  sky_sparse G;    /* of the observations without offsets */
  size_t n_shared; /* directions that the offsets span in its space */
  double *E;       /* [n_shared*n] orthonormal */
  double *lambda;  /* [n_shared] */
};

/* ---- H Q Hᵀ --------------------------------------------------------------------------------- */

typedef struct block { /* dense rows of places from.. */
  size_t from, width;
  const size_t *first;
  double *data;
} block;

static void keep_row(void *user, size_t at, const double *element) {
  const block *b = user;
  memcpy(b->data + (at - b->from) * b->width, element, (at - b->first[at] + 1) * sizeof *b->data);
}

static sky_status append(sky_context *ctx, lower *a, size_t at, size_t first,
                         const double *element) {
  const size_t most = a->ptr[at] + at - first + 1;
  if (most > a->room) {
    const size_t room = most + a->room / 2;
    void *grown = sky_realloc(ctx, a->col, a->room, room, sizeof *a->col);
    if (grown == NULL) return SKY_E_NOMEM;
    a->col = grown;
    grown = sky_realloc(ctx, a->val, a->room, room, sizeof *a->val);
    if (grown == NULL) return SKY_E_NOMEM;
    a->val = grown;
    a->room = room;
  }
  size_t k = a->ptr[at];
  for (size_t j = first; j <= at; j++) {
    if (element[j - first] == 0 && j < at) continue;
    a->col[k] = (int32_t)j;
    a->val[k++] = element[j - first];
  }
  a->ptr[at + 1] = k;
  return SKY_OK;
}

/* *fits = false: not all of it within `budget` bytes. */
static sky_status make_rows(sky_context *ctx, const sky_compact *c, size_t n, double budget,
                            lower *a, bool *fits) {
  const size_t *first = sky_compact_first(c);
  sky_status st = SKY_OK;
  double *data = NULL;
  *fits = true;
  SKY_GO_ALLOC(a->ptr, SKY_NEW0(ctx, size_t, n + 1));
  for (size_t from = 0; from < n; from += BLOCK) {
    const size_t end = from + BLOCK < n ? from + BLOCK : n, width = end - first[from];
    const double most = (double)a->ptr[from] + (double)(end - from) * (double)width;
    *fits = 8 * (double)(end - from) * (double)width + 18 * most <= budget;
    if (!*fits) break;
    sky_free(data);
    data = NULL;
    SKY_GO_ALLOC(data, SKY_NEW(ctx, double, (end - from) * width));
    block b = {from, width, first, data};
    SKY_GO(sky_compact_rows(ctx, c, from, end, keep_row, &b));
    for (size_t at = from; at < end; at++)
      SKY_GO(append(ctx, a, at, first[at], data + (at - from) * width));
  }
cleanup:
  sky_free(data);
  return st;
}

static void free_lower(lower *a) {
  sky_free(a->ptr);
  sky_free(a->col);
  sky_free(a->val);
}

/* ---- rows of G ------------------------------------------------------------------------------ */

typedef struct neighbour {
  double near; /* squared correlation, up to the row's own variance */
  int32_t place;
} neighbour;

static int by_nearness(const void *a, const void *b) {
  const neighbour *x = a, *y = b;
  if (x->near != y->near) return x->near > y->near ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

static int by_number(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return x < y ? -1 : x > y;
}

static double rest_element(const sky_nearby *g, const sky_noise *noise, size_t at, size_t j) {
  return sky_noise_element(noise, g->order[at], g->order[j]);
}

/* The places of row `at` in set, itself last; returns how many. */
static size_t choose(const sky_nearby *g, const lower *a, size_t at, neighbour *list,
                     int32_t *set) {
  const size_t begin = a->ptr[at], count = a->ptr[at + 1] - begin - 1;
  for (size_t k = 0; k < count; k++) {
    const size_t j = (size_t)a->col[begin + k];
    const double r = g->p->r_sd[g->order[j]], v = a->val[begin + k];
    list[k] = (neighbour){v * v / (a->val[a->ptr[j + 1] - 1] + r * r), a->col[begin + k]};
  }
  qsort(list, count, sizeof *list, by_nearness);
  const size_t kept = count < g->most ? count : g->most;
  for (size_t k = 0; k < kept; k++)
    set[k] = list[k].place;
  qsort(set, kept, sizeof *set, by_number);
  set[kept] = (int32_t)at;
  return kept + 1;
}

/* Psi of the places of set [m], lower triangle, rows of length m. */
static void fill_local(const sky_nearby *g, const sky_noise *noise, const lower *a, size_t m,
                       const int32_t *set, double *A) {
  for (size_t r = 0; r < m; r++) {
    const size_t row = (size_t)set[r];
    size_t k = a->ptr[row];
    for (size_t c = 0; c <= r; c++) {
      while (k + 1 < a->ptr[row + 1] && a->col[k] < set[c])
        k++;
      A[r * m + c] =
          (a->col[k] == set[c] ? a->val[k] : 0) + rest_element(g, noise, row, (size_t)set[c]);
    }
  }
}

typedef struct work {
  neighbour *list;
  int32_t *set;
  double *A, *x;
} work;

/* g = L⁻ᵀ e_last with Psi_set = L Lᵀ. Where rounding leaves no factor the row is that of the
 * diagonal: any triangular G is one. */
static void make_row(sky_nearby *g, const sky_noise *noise, const lower *a, size_t at, work *w) {
  size_t m = choose(g, a, at, w->list, w->set);
  const size_t i = g->order[at], from = g->rowptr[i];
  fill_local(g, noise, a, m, w->set, w->A);
  const double own = w->A[m * m - 1];
  memset(w->x, 0, m * sizeof *w->x);
  w->x[m - 1] = 1;
  if (LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'U', (int)m, w->A, (int)m) == 0)
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)m, w->A, (int)m, w->x, 1);
  else
    w->x[m - 1] = 1 / sqrt(own);
  for (size_t k = 0; k < m; k++) {
    g->col[from + k] = (int32_t)g->order[w->set[k]];
    g->val[from + k] = w->x[k];
  }
}

static sky_status make_factor(sky_context *ctx, sky_nearby *g, const lower *a) {
  const size_t threads = (size_t)sky_context_threads(ctx), n = g->n, most = g->most + 1;
  const sky_noise noise = sky_problem_noise(g->p);
  sky_status st = SKY_OK;
  work *all = NULL;
  SKY_GO_ALLOC(g->rowptr, SKY_NEW0(ctx, size_t, n + 1));
  for (size_t at = 0; at < n; at++) {
    const size_t count = a->ptr[at + 1] - a->ptr[at];
    g->rowptr[g->order[at] + 1] = count < most ? count : most;
  }
  for (size_t i = 0; i < n; i++)
    g->rowptr[i + 1] += g->rowptr[i];
  SKY_GO_ALLOC(g->col, SKY_NEW(ctx, int32_t, g->rowptr[n]));
  SKY_GO_ALLOC(g->val, SKY_NEW(ctx, double, g->rowptr[n]));
  SKY_GO_ALLOC(all, SKY_NEW0(ctx, work, threads));
  for (size_t q = 0; q < threads; q++) {
    SKY_GO_ALLOC(all[q].list, SKY_NEW(ctx, neighbour, n));
    SKY_GO_ALLOC(all[q].set, SKY_NEW(ctx, int32_t, most));
    SKY_GO_ALLOC(all[q].A, SKY_NEW(ctx, double, most *most));
    SKY_GO_ALLOC(all[q].x, SKY_NEW(ctx, double, most));
  }
  sky_blas_single();
#pragma omp parallel for schedule(static, 1) num_threads((int)threads)
  for (size_t q = 0; q < threads; q++)
    for (size_t at = q; at < n; at += threads)
      make_row(g, &noise, a, at, &all[q]);
  SKY_GO(sky_sparse_create(ctx, n, n, g->rowptr, g->col, g->val, false, &g->G));
cleanup:
  for (size_t q = 0; all != NULL && q < threads; q++) {
    sky_free(all[q].list);
    sky_free(all[q].set);
    sky_free(all[q].A);
    sky_free(all[q].x);
  }
  sky_free(all);
  return st;
}

/* ---- offsets -------------------------------------------------------------------------------- */

/* With Z = G B diag(b_sd) and Zᵀ Z = V diag(λ) Vᵀ: E = Z V λ^-½. */
static sky_status span_offsets(sky_context *ctx, sky_nearby *g) {
  const sky_problem *p = g->p;
  const size_t n = g->n, nb = p->n_background;
  double *B = NULL, *Z = NULL, *S = NULL, *lambda = NULL;
  sky_status st = SKY_OK;
  if (nb == 0) return SKY_OK;
  SKY_GO_ALLOC(B, SKY_NEW(ctx, double, nb *n));
  SKY_GO_ALLOC(Z, SKY_NEW(ctx, double, nb *n));
  SKY_GO_ALLOC(S, SKY_NEW(ctx, double, nb *nb));
  SKY_GO_ALLOC(lambda, SKY_NEW(ctx, double, nb));
  SKY_GO_ALLOC(g->E, SKY_NEW0(ctx, double, nb *n));
  SKY_GO_ALLOC(g->lambda, SKY_NEW(ctx, double, nb));
  sky_offsets_columns(p, B);
  for (size_t k = 0; k < nb; k++)
    cblas_dscal((int)n, p->b_sd[k], B + k * n, 1);
  sky_sparse_apply(ctx, &g->G, B, nb, Z);
  sky_gram(ctx, nb, n, Z, Z, S);
  if (LAPACKE_dsyev(LAPACK_COL_MAJOR, 'V', 'L', (int)nb, S, (int)nb, lambda) != 0)
    SKY_GO(sky_fail(ctx, SKY_E_INTERNAL, "eigenvalues of the offsets' covariance not found"));
  for (size_t k = 0; k < nb; k++) { /* eigenvector k is column k, that is row k of S */
    if (!(lambda[k] > NOTHING * lambda[nb - 1])) continue;
    double *e = g->E + g->n_shared * n;
    for (size_t q = 0; q < nb; q++)
      cblas_daxpy((int)n, S[k * nb + q] / sqrt(lambda[k]), Z + q * n, 1, e, 1);
    g->lambda[g->n_shared++] = lambda[k];
  }
cleanup:
  sky_free(B);
  sky_free(Z);
  sky_free(S);
  sky_free(lambda);
  return st;
}

/* v += E diag(f) Eᵀ v; f = (1 + λ)^power - 1. */
static void share(sky_context *ctx, const sky_nearby *g, double power, size_t count, double *v) {
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t q = 0; q < count; q++)
    for (size_t k = 0; k < g->n_shared; k++) {
      double *x = v + q * g->n;
      const double *e = g->E + k * g->n, f = pow(1 + g->lambda[k], power) - 1;
      cblas_daxpy((int)g->n, f * cblas_ddot((int)g->n, e, 1, x, 1), e, 1, x, 1);
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

static double factor_bytes(const sky_problem *p) {
  const double n = (double)p->n_obs, nb = (double)p->n_background;
  return n * (NEIGHBOURS + 1) * 2 * (sizeof(int32_t) + sizeof(double)) + 8 * (12 + 3 * nb) * n;
}

/* Multiplications of one product with Psi. */
static double product_work(const sky_problem *p) {
  size_t n_field, n_mesh;
  (void)sky_levels_mix(p->levels, &n_field, &n_mesh);
  return (double)n_field * ((double)n_field + TRANSFORMS) * (double)n_mesh +
         2 * (double)p->rowptr[p->n_obs];
}

sky_status sky_nearby_create(sky_context *ctx, const sky_problem *p, double held,
                             sky_nearby **out) {
  sky_nearby *g = NULL;
  sky_compact *c = NULL;
  lower a = {0};
  bool fits = true;
  sky_status st = SKY_OK;
  *out = NULL;
  if (p->levels == NULL) return SKY_OK;
  SKY_GO(sky_compact_create(ctx, p, true, &c));
  const double budget =
      (double)sky_context_memory(ctx) - held - sky_compact_bytes(ctx, c) - factor_bytes(p);
  if (sky_compact_work(c) > WORTH * product_work(p)) {
    sky_log(ctx, SKY_LOG_INFO,
            "iteration: neighbours would take as long as %.0f products: without them",
            sky_compact_work(c) / product_work(p));
    goto cleanup;
  }
  SKY_GO(make_rows(ctx, c, p->n_obs, budget, &a, &fits));
  if (!fits) {
    sky_log(ctx, SKY_LOG_WARN,
            "iteration: neighbours of %zu observations do not fit the memory budget; without them "
            "it takes longer (--memory)",
            p->n_obs);
    goto cleanup;
  }
  SKY_GO_ALLOC(g, SKY_NEW0(ctx, sky_nearby, 1));
  g->p = p;
  g->n = p->n_obs;
  g->most = NEIGHBOURS;
  SKY_GO_ALLOC(g->order, SKY_NEW(ctx, size_t, g->n));
  memcpy(g->order, sky_compact_order(c), g->n * sizeof *g->order);
  SKY_GO(make_factor(ctx, g, &a));
  SKY_GO(span_offsets(ctx, g));
  *out = g;
cleanup:
  free_lower(&a);
  sky_compact_free(c);
  if (st != SKY_OK) sky_nearby_free(g);
  return st;
}

void sky_nearby_free(sky_nearby *g) {
  if (g == NULL) return;
  sky_sparse_free(&g->G);
  sky_free(g->E);
  sky_free(g->lambda);
  sky_free(g->order);
  sky_free(g->rowptr);
  sky_free(g->col);
  sky_free(g->val);
  sky_free(g);
}

double sky_nearby_bytes(const sky_nearby *g) {
  return g != NULL ? factor_bytes(g->p) : 0;
}

void sky_nearby_apply(sky_context *ctx, const sky_nearby *g, const double *v, size_t count,
                      double *out) {
  sky_sparse_apply(ctx, &g->G, v, count, out);
  share(ctx, g, -0.5, count, out);
}

void sky_nearby_transpose_apply(sky_context *ctx, const sky_nearby *g, double *v, size_t count,
                                double *out) {
  share(ctx, g, -0.5, count, v);
  sky_sparse_transpose_apply(ctx, &g->G, v, count, out);
}

void sky_nearby_solve(sky_context *ctx, const sky_nearby *g, size_t count, double *v) {
  share(ctx, g, 0.5, count, v);
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t q = 0; q < count; q++)
    for (size_t at = 0; at < g->n; at++) {
      const size_t i = g->order[at], last = g->rowptr[i + 1] - 1;
      double *x = v + q * g->n;
      for (size_t k = g->rowptr[i]; k < last; k++)
        x[i] -= g->val[k] * x[g->col[k]];
      x[i] /= g->val[last];
    }
}

double sky_nearby_logdet(const sky_nearby *g) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < g->n; i++)
    sky_acc_add(&sum, 2 * log(g->val[g->rowptr[i + 1] - 1]));
  for (size_t k = 0; k < g->n_shared; k++)
    sky_acc_add(&sum, -log1p(g->lambda[k]));
  return sky_acc_value(&sum);
}

/* tr(M G R Gᵀ M), M = 1 + E diag(f) Eᵀ: that of G R Gᵀ and (2f + f²) e G R Gᵀ e of every e. */
sky_status sky_nearby_noise(sky_context *ctx, const sky_nearby *g, double *trace) {
  const sky_noise noise = sky_problem_noise(g->p);
  double *y = SKY_NEW(ctx, double, g->n);
  if (y == NULL) return SKY_E_NOMEM;
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < g->n; i++)
    for (size_t a = g->rowptr[i]; a < g->rowptr[i + 1]; a++)
      for (size_t b = noise.track != NULL ? g->rowptr[i] : a; b <= a; b++)
        sky_acc_add(&sum, (b == a ? 1 : 2) * g->val[a] * g->val[b] *
                              sky_noise_element(&noise, (size_t)g->col[a], (size_t)g->col[b]));
  for (size_t k = 0; k < g->n_shared; k++) {
    const double f = 1 / sqrt(1 + g->lambda[k]) - 1;
    sky_sparse_transpose_apply(ctx, &g->G, g->E + k * g->n, 1, y);
    sky_acc_add(&sum, (2 + f) * f * sky_noise_variance(&noise, y, 1));
  }
  *trace = sky_acc_value(&sum);
  sky_free(y);
  return SKY_OK;
}
