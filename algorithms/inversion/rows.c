/* rows.c: see rows.h.
 *
 *   (H Q)ᵀ_t = S_t E Σ_s D_ts (H_s S_s)ᵀ                                       Kronecker
 *            = F_t diag(s) (H F)ᵀ + diag(v_t) H_tᵀ                             low rank + diagonal
 *
 * or what levels answer. A row of H touches few cells, so that its product with E is a sum of the
 * runs of E's rows; where rows and E are full, one dgemm is the cheaper. */
#include "algorithms/inversion/rows.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/levels.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define TILE SKY_ROWS_TILE
#define MOST_WORKERS 16 /* bounds the memory of a plan, which must not depend on the threads */
#define DGEMM_GAIN 4    /* multiplications of a dgemm in the time of one of a sum of runs */

/* ---- order ----------------------------------------------------------------------------------- */

/* Steps between the farthest two that Q joins. */
static size_t time_reach(const sky_problem *p) {
  const size_t nt = p->n_time;
  if (!sky_problem_is_kronecker(p)) return p->levels != NULL || p->q_rank > 0 ? nt : 0;
  for (size_t reach = nt - 1; reach > 0; reach--)
    for (size_t t = reach; t < nt; t++)
      if (p->D[t * nt + t - reach] != 0 || p->D[(t - reach) * nt + t] != 0) return reach;
  return 0;
}

typedef struct span { /* steps that an observation sees */
  size_t low, high, observation;
} span;

static int by_low(const void *a, const void *b) {
  const span *x = a, *y = b;
  if (x->low != y->low) return x->low < y->low ? -1 : 1;
  return x->observation < y->observation ? -1 : x->observation > y->observation;
}

static sky_status sort_observations(sky_rows *r) {
  const sky_problem *p = r->p;
  span *s = SKY_NEW(r->ctx, span, r->n);
  if (s == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < r->n; i++) {
    const size_t begin = p->rowptr[i], end = p->rowptr[i + 1];
    s[i] = (span){0, 0, i};
    if (begin == end) continue;
    s[i].low = (size_t)p->col[begin] / p->n_cell; /* columns rise with time */
    s[i].high = (size_t)p->col[end - 1] / p->n_cell;
  }
  qsort(s, r->n, sizeof *s, by_low);
  for (size_t k = 0, j = 0; k < r->n; k++) {
    while (s[j].high + r->reach < s[k].low)
      j++; /* ends before this one begins, and so before all behind it */
    r->order[k] = s[k].observation;
    r->place[s[k].observation] = k;
    r->first[k] = j;
  }
  sky_free(s);
  return SKY_OK;
}

/* Columns ascend in a row, so the elements of one time step are one run. */
static void index_steps(sky_rows *r) {
  const sky_problem *p = r->p;
  for (size_t i = 0; i < r->n; i++) {
    size_t k = p->rowptr[i];
    for (size_t t = 0; t <= p->n_time; t++) {
      while (k < p->rowptr[i + 1] && (size_t)p->col[k] < t * p->n_cell)
        k++;
      r->start[i * (p->n_time + 1) + t] = k;
    }
  }
}

/* ---- what each form of Q prepares ------------------------------------------------------------ */

static bool zero_pair(const double *row, size_t n, size_t k) {
  return row[k] == 0 && (k + 1 == n || row[k + 1] == 0);
}

/* Runs of row c of E around what is not zero, and how many elements they have; begin NULL: only
 * counted. They begin and end at even cells, so that sums of overlapping runs load what was stored
 * as it was stored. */
static size_t find_runs(const sky_problem *p, size_t c, int32_t *begin, int32_t *end,
                        size_t *elements) {
  const size_t n = p->n_cell;
  const double *row = p->E + c * n;
  size_t count = 0;
  for (size_t k = 0; k < n; k += 2) {
    if (zero_pair(row, n, k)) continue;
    const bool opens = k == 0 || zero_pair(row, n, k - 2);
    const size_t to = k + 2 < n ? k + 2 : n;
    count += opens;
    *elements += to - k;
    if (begin != NULL && opens) begin[count - 1] = (int32_t)k;
    if (begin != NULL) end[count - 1] = (int32_t)to;
  }
  return count;
}

/* Runs and elements of the whole E; false where zeros are too few to be worth it. */
static bool count_runs(const sky_problem *p, size_t *runs, size_t *elements) {
  *runs = *elements = 0;
  for (size_t c = 0; c < p->n_cell; c++)
    *runs += find_runs(p, c, NULL, NULL, elements);
  return *elements < p->n_cell * p->n_cell / 2;
}

/* Row c: its runs, and their elements side by side. */
static void pack_row(sky_rows *r, size_t c, size_t *runs, size_t *elements) {
  const size_t first = *runs;
  r->run_start[c] = first;
  r->e_start[c] = *elements;
  *runs += find_runs(r->p, c, r->run_begin + first, r->run_end + first, elements);
  double *to = r->packed + r->e_start[c];
  for (size_t run = first; run < *runs; run++)
    for (int32_t x = r->run_begin[run]; x < r->run_end[run]; x++)
      *to++ = r->p->E[c * r->p->n_cell + (size_t)x];
}

static sky_status prepare_runs(sky_rows *r) {
  const sky_problem *p = r->p;
  const size_t nc = p->n_cell;
  size_t runs, elements;
  sky_status st = SKY_OK;
  const bool sparse = count_runs(p, &runs, &elements);
  r->e_count = sparse ? elements : nc * nc;
  SKY_GO_ALLOC(r->e_start, SKY_NEW(r->ctx, size_t, nc));
  SKY_GO_ALLOC(r->run_start, SKY_NEW(r->ctx, size_t, nc + 1));
  SKY_GO_ALLOC(r->run_begin, SKY_NEW(r->ctx, int32_t, sparse ? runs : nc));
  SKY_GO_ALLOC(r->run_end, SKY_NEW(r->ctx, int32_t, sparse ? runs : nc));
  SKY_GO_ALLOC(r->packed, SKY_NEW(r->ctx, double, sparse ? elements : 0));
  r->e = sparse ? r->packed : p->E;
  runs = elements = 0;
  for (size_t c = 0; c < nc; c++) {
    if (sparse) {
      pack_row(r, c, &runs, &elements);
    } else {
      r->run_start[c] = c;
      r->run_begin[c] = 0;
      r->run_end[c] = (int32_t)nc;
      r->e_start[c] = c * nc;
    }
  }
  r->run_start[nc] = sparse ? runs : nc;
cleanup:
  return st; /* what is there is freed by sky_rows_free */
}

static sky_status prepare_factors(sky_rows *r) {
  const sky_problem *p = r->p;
  r->hf = SKY_NEW(r->ctx, double, p->q_rank * r->n);
  if (r->hf == NULL) return SKY_E_NOMEM;
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(r->ctx))
  for (size_t q = 0; q < p->q_rank; q++)
    for (size_t k = 0; k < r->n; k++) {
      const size_t i = r->order[k];
      sky_acc sum = {0, 0};
      for (size_t e = p->rowptr[i]; e < p->rowptr[i + 1]; e++)
        sky_acc_add(&sum, p->val[e] * p->q_factor[q * p->n_state + (size_t)p->col[e]]);
      r->hf[q * r->n + k] = p->q_sign[q] * sky_acc_value(&sum);
    }
  return SKY_OK;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t tiles_of(size_t n) {
  return (n + TILE - 1) / TILE;
}

static size_t most_workers(const sky_problem *p) {
  const size_t tiles = tiles_of(p->n_obs);
  return tiles < MOST_WORKERS ? tiles : MOST_WORKERS;
}

/* A tile; for Kronecker also its rows mixed over time, and one of them times E. A multiple of TILE,
 * so that the tiles of all workers are aligned. */
static size_t scratch_of(const sky_problem *p) {
  return TILE * (sky_problem_is_kronecker(p) ? 2 * p->n_cell + p->n_cell / TILE + 1 : p->n_cell);
}

double sky_rows_bytes(const sky_problem *p) {
  const double n = (double)p->n_obs, c = (double)p->n_cell, workers = (double)most_workers(p);
  double own = n * (3 + 3 + (double)p->n_time + 1) + (double)p->q_rank * n;
  if (p->levels != NULL) own += c * n;
  if (sky_problem_is_kronecker(p) && p->E != NULL) {
    size_t runs, elements;
    const bool sparse = count_runs(p, &runs, &elements);
    own += 3 * c + (sparse ? (double)(runs + elements) : 0) + workers * (c + 1 + c * TILE / 2);
  }
  return 8 * (own + workers * (double)scratch_of(p));
}

sky_status sky_rows_create(sky_context *ctx, const sky_problem *p, sky_rows *out) {
  const size_t n = p->n_obs;
  sky_status st = SKY_OK;
  *out = (sky_rows){.ctx = ctx, .p = p, .n = n, .tiles = tiles_of(n), .reach = time_reach(p)};
  out->workers = most_workers(p);
  if ((size_t)sky_context_threads(ctx) < out->workers)
    out->workers = (size_t)sky_context_threads(ctx);
  out->scratch_size = scratch_of(p);
  sky_blas_single();
  SKY_GO_ALLOC(out->order, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(out->place, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(out->first, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(out->start, SKY_NEW(ctx, size_t, n * (p->n_time + 1)));
  SKY_GO_ALLOC(out->scratch, SKY_NEW0(ctx, double, out->workers * out->scratch_size));
  SKY_GO(sort_observations(out));
  index_steps(out);
  if (p->levels != NULL) {
    SKY_GO_ALLOC(out->all, SKY_NEW(ctx, double, p->n_cell *n));
  } else if (p->q_var != NULL) {
    SKY_GO(prepare_factors(out));
  } else {
    SKY_GO_ALLOC(out->mark, SKY_NEW0(ctx, size_t, out->workers * (p->n_cell + 1)));
    SKY_GO_ALLOC(out->touched, SKY_NEW(ctx, int32_t, out->workers * TILE * p->n_cell));
    SKY_GO(prepare_runs(out));
  }
cleanup:
  if (st != SKY_OK) sky_rows_free(out);
  return st;
}

void sky_rows_finish(sky_rows *r) {
  sky_free(r->run_start);
  sky_free(r->run_begin);
  sky_free(r->run_end);
  sky_free(r->e_start);
  sky_free(r->packed);
  sky_free(r->hf);
  sky_free(r->all);
  sky_free(r->scratch);
  sky_free(r->mark);
  sky_free(r->touched);
  r->run_start = r->e_start = r->mark = NULL;
  r->run_begin = r->run_end = r->touched = NULL;
  r->packed = r->hf = r->all = r->scratch = NULL;
  sky_memory_trim();
}

void sky_rows_free(sky_rows *r) {
  if (r == NULL) return;
  sky_rows_finish(r);
  sky_free(r->order);
  sky_free(r->place);
  sky_free(r->first);
  sky_free(r->start);
  memset(r, 0, sizeof *r);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

typedef struct mixed { /* Σ_s D_ts S_s H_s of a tile's observations, as rows over cells */
  double *row;         /* [TILE*n_cell] zero but where touched */
  int32_t *touched;    /* [TILE*n_cell] cells of a row */
  size_t count[TILE], *mark;
} mixed;

static size_t width_of(const sky_rows *r, size_t tile) {
  return r->n - tile * TILE < TILE ? r->n - tile * TILE : TILE;
}

static void mix_row(const sky_rows *r, size_t t, size_t place, size_t k, mixed *m) {
  const sky_problem *p = r->p;
  const size_t i = r->order[place], nc = p->n_cell, stamp = ++m->mark[nc];
  const size_t from = t > r->reach ? t - r->reach : 0;
  const size_t to = t + r->reach < p->n_time ? t + r->reach : p->n_time - 1;
  double *row = m->row + k * nc;
  int32_t *touched = m->touched + k * nc;
  size_t count = 0, begin, end;
  for (size_t s = from; s <= to; s++) {
    const double mix = p->D[t * p->n_time + s];
    if (mix == 0) continue;
    sky_rows_elements(r, i, s, &begin, &end);
    for (size_t e = begin; e < end; e++) {
      const size_t c = (size_t)p->col[e] - s * nc;
      if (m->mark[c] != stamp) {
        m->mark[c] = stamp;
        touched[count++] = (int32_t)c;
      }
      row[c] += mix * p->x_sd[p->col[e]] * p->val[e];
    }
  }
  m->count[k] = count;
}

/* v += w e over a run that begins at an even cell. */
static void add_run(double w, const double *restrict e, size_t n, double *restrict v) {
  size_t x = 0;
  for (; x + 2 <= n; x += 2) {
    v[x] += w * e[x];
    v[x + 1] += w * e[x + 1];
  }
  if (x < n) v[x] += w * e[x];
}

/* out [cell, k] = S_t E (row k) by the runs of E's rows; v [n_cell]. */
static void spread_row(const sky_rows *r, size_t t, const mixed *m, size_t k, double *v,
                       double *out) {
  const sky_problem *p = r->p;
  const size_t nc = p->n_cell;
  const double *sd = p->x_sd + t * nc;
  memset(v, 0, nc * sizeof *v);
  for (size_t q = 0; q < m->count[k]; q++) {
    const size_t c = (size_t)m->touched[k * nc + q];
    const double *e = r->e + r->e_start[c];
    for (size_t run = r->run_start[c]; run < r->run_start[c + 1]; run++) {
      const size_t from = (size_t)r->run_begin[run], n = (size_t)r->run_end[run] - from;
      add_run(m->row[k * nc + c], e, n, v + from);
      e += n;
    }
  }
  for (size_t c = 0; c < nc; c++)
    out[c * TILE + k] = sd[c] * v[c];
}

/* The same for the whole tile at once. */
static void multiply_rows(const sky_rows *r, size_t t, const mixed *m, double *out) {
  const sky_problem *p = r->p;
  const int nc = (int)p->n_cell;
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, nc, TILE, nc, 1.0, p->E, nc, m->row, nc, 0.0,
              out, TILE);
  for (size_t c = 0; c < p->n_cell; c++)
    for (size_t k = 0; k < TILE; k++)
      out[c * TILE + k] *= p->x_sd[t * p->n_cell + c];
}

static const double *kronecker_tile(const sky_rows *r, size_t t, size_t tile, size_t worker) {
  const size_t nc = r->p->n_cell, width = width_of(r, tile);
  double *out = r->scratch + worker * r->scratch_size, *v = out + 2 * TILE * nc;
  mixed m = {.row = out + TILE * nc,
             .touched = r->touched + worker * TILE * nc,
             .mark = r->mark + worker * (nc + 1)};
  size_t touched = 0;
  for (size_t k = 0; k < width; k++) {
    mix_row(r, t, tile * TILE + k, k, &m);
    touched += m.count[k];
  }
  if (touched == 0) return NULL;
  if (touched * r->e_count * DGEMM_GAIN > TILE * nc * nc * nc) {
    multiply_rows(r, t, &m, out);
  } else {
    for (size_t k = 0; k < width; k++)
      spread_row(r, t, &m, k, v, out);
    for (size_t k = width; k < TILE; k++)
      for (size_t c = 0; c < nc; c++)
        out[c * TILE + k] = 0;
  }
  for (size_t k = 0; k < width; k++)
    for (size_t q = 0; q < m.count[k]; q++)
      m.row[k * nc + (size_t)m.touched[k * nc + q]] = 0;
  return out;
}

static const double *low_rank_tile(const sky_rows *r, size_t t, size_t tile, size_t worker) {
  const sky_problem *p = r->p;
  const size_t nc = p->n_cell, at = tile * TILE, width = width_of(r, tile);
  double *out = r->scratch + worker * r->scratch_size;
  bool any = p->q_rank > 0;
  memset(out, 0, nc * TILE * sizeof *out);
  if (p->q_rank > 0)
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)nc, (int)width, (int)p->q_rank, 1.0,
                p->q_factor + t * nc, (int)p->n_state, r->hf + at, (int)r->n, 0.0, out, TILE);
  for (size_t k = 0; k < width; k++) {
    size_t begin, end;
    sky_rows_elements(r, r->order[at + k], t, &begin, &end);
    any = any || begin < end;
    for (size_t e = begin; e < end; e++)
      out[((size_t)p->col[e] - t * nc) * TILE + k] += p->q_var[p->col[e]] * p->val[e];
  }
  return any ? out : NULL;
}

static const double *levels_tile(const sky_rows *r, size_t tile, size_t worker) {
  const size_t nc = r->p->n_cell, width = width_of(r, tile);
  double *out = r->scratch + worker * r->scratch_size;
  for (size_t c = 0; c < nc; c++)
    for (size_t k = 0; k < TILE; k++)
      out[c * TILE + k] = k < width ? r->all[c * r->n + r->order[tile * TILE + k]] : 0;
  return out;
}

void sky_rows_step(sky_rows *r, size_t t) {
  const sky_problem *p = r->p;
  if (p->levels != NULL)
    sky_levels_rows(r->ctx, p->levels, t, p->n_obs, p->rowptr, p->col, p->val, r->all);
}

const double *sky_rows_tile(const sky_rows *r, size_t t, size_t tile, size_t worker) {
  if (r->p->levels != NULL) return levels_tile(r, tile, worker);
  if (r->p->q_var != NULL) return low_rank_tile(r, t, tile, worker);
  return kronecker_tile(r, t, tile, worker);
}
