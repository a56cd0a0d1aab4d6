/* aggregate.c: aggregation error of a coarser mesh (diagnose.md §3). Both parts of H, ΓΓ* of it and
 * the rest, go through the Gram routine of the exact solver. */
#include "algorithms/inversion/aggregate.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/dual.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

/* Block means of row i into mean [n_time*n_block], touched blocks marked. */
static void block_means(const sky_problem *p, size_t i, size_t n_block, const int32_t *block,
                        const double *size, double *mean, bool *touched) {
  memset(mean, 0, p->n_time * n_block * sizeof *mean);
  memset(touched, 0, p->n_time * n_block * sizeof *touched);
  for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++) {
    const size_t t = (size_t)p->col[k] / p->n_cell, c = (size_t)p->col[k] % p->n_cell;
    const size_t b = t * n_block + (size_t)block[c];
    mean[b] += p->val[k] / size[block[c]];
    touched[b] = true;
  }
}

typedef struct parts { /* H ΓΓ* and H (I - ΓΓ*), rows of all cells of touched blocks */
  size_t *rowptr;
  int32_t *col;
  double *coarse, *fine;
} parts;

static void free_parts(parts *s) {
  sky_free(s->rowptr);
  sky_free(s->col);
  sky_free(s->coarse);
  sky_free(s->fine);
}

static void split_row(const sky_problem *p, size_t i, size_t n_block, const int32_t *block,
                      const double *mean, const bool *touched, parts *s) {
  size_t at = s->rowptr[i], k = p->rowptr[i];
  for (size_t j = 0; j < p->n_state; j++) {
    const size_t b = j / p->n_cell * n_block + (size_t)block[j % p->n_cell];
    if (!touched[b]) continue;
    const bool here = k < p->rowptr[i + 1] && (size_t)p->col[k] == j;
    if (s->col != NULL) {
      s->col[at] = (int32_t)j;
      s->coarse[at] = mean[b];
      s->fine[at] = (here ? p->val[k] : 0) - mean[b];
    }
    k += here;
    at++;
  }
  s->rowptr[i + 1] = at;
}

/* Twice over the rows: first their lengths, then the numbers. */
static sky_status split_rows(sky_context *ctx, const sky_problem *p, size_t n_block,
                             const int32_t *block, parts *s) {
  double *mean = NULL, *size = NULL;
  bool *touched = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(mean, SKY_NEW(ctx, double, p->n_time *n_block));
  SKY_GO_ALLOC(touched, SKY_NEW(ctx, bool, p->n_time *n_block));
  SKY_GO_ALLOC(size, SKY_NEW0(ctx, double, n_block));
  SKY_GO_ALLOC(s->rowptr, SKY_NEW0(ctx, size_t, p->n_obs + 1));
  for (size_t c = 0; c < p->n_cell; c++)
    size[block[c]] += 1;
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < p->n_obs; i++) {
      block_means(p, i, n_block, block, size, mean, touched);
      split_row(p, i, n_block, block, mean, touched, s);
    }
    if (pass == 1) break;
    const size_t nnz = s->rowptr[p->n_obs];
    SKY_GO_ALLOC(s->coarse, SKY_NEW(ctx, double, nnz));
    SKY_GO_ALLOC(s->fine, SKY_NEW(ctx, double, nnz));
    SKY_GO_ALLOC(s->col, SKY_NEW(ctx, int32_t, nnz));
  }
cleanup:
  sky_free(mean);
  sky_free(touched);
  sky_free(size);
  return st;
}

static sky_status check_blocks(sky_context *ctx, const sky_problem *p, size_t n_block,
                               const int32_t *block) {
  for (size_t c = 0; c < p->n_cell; c++)
    if (block[c] < 0 || (size_t)block[c] >= n_block)
      return sky_fail(ctx, SKY_E_RANGE, "aggregation: cell %zu is in block %d (expected 0..%zu)", c,
                      block[c], n_block - 1);
  return SKY_OK;
}

/* tr(Ψ⁻¹ G): both n*n and symmetric */
static double trace_of(size_t n, const double *inverse, const double *G) {
  return sky_dot(inverse, G, n * n);
}

sky_status sky_aggregation_error(sky_context *ctx, const sky_problem *p, size_t n_block,
                                 const int32_t *block, sky_aggregation *out) {
  const size_t n = p->n_obs;
  sky_dual d = {0};
  parts s = {0};
  double *G = NULL, *Ragg = NULL;
  sky_acc variance = {0, 0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_TRY(check_blocks(ctx, p, n_block, block));
  SKY_GO(sky_dual_room(ctx, p, "the aggregation error", 3));
  SKY_GO(sky_dual_make(ctx, p, &d));
  SKY_GO(split_rows(ctx, p, n_block, block, &s));
  SKY_GO_ALLOC(G, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(Ragg, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(out->error_sd, SKY_NEW(ctx, double, n));
  out->n_block = n_block;
  SKY_GO(sky_problem_gram(ctx, p, G));
  out->dofs = trace_of(n, d.inverse, G);
  sky_problem part = *p;
  part.rowptr = s.rowptr;
  part.col = s.col;
  part.val = s.fine;
  SKY_GO(sky_problem_gram(ctx, &part, Ragg));
  for (size_t i = 0; i < n * n; i++) /* what is not the state: BΣ_bBᵀ, and R_agg */
    d.G[i] += Ragg[i] - G[i];
  part.val = s.coarse;
  SKY_GO(sky_problem_gram(ctx, &part, G));
  for (size_t i = 0; i < n * n; i++)
    d.G[i] += G[i];
  const sky_noise noise = sky_problem_noise(p);
  SKY_GO(sky_dual_factor(ctx, &noise, &d));
  out->dofs_coarse = trace_of(n, d.inverse, G);
  for (size_t i = 0; i < n; i++) {
    const double var = fmax(Ragg[i * n + i], 0);
    out->error_sd[i] = sqrt(var);
    sky_acc_add(&variance, var);
  }
  out->mean_variance = sky_acc_value(&variance) / (double)n;
cleanup:
  sky_dual_free(&d);
  free_parts(&s);
  sky_free(G);
  sky_free(Ragg);
  if (st != SKY_OK) sky_aggregation_free(out);
  return st;
}

void sky_aggregation_free(sky_aggregation *a) {
  if (a == NULL) return;
  sky_free(a->error_sd);
  memset(a, 0, sizeof *a);
}
