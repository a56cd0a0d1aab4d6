/* krylov.c: see krylov.h and iterate.md. */
#include "algorithms/inversion/krylov.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "src/core/memory.h"

#define TILE 256        /* basis vectors, or elements, of one BLAS call */
#define DEPENDENT 1e-12 /* what is left of a vector, relative to its size, that is rounding */
#define WORTH 1e5       /* multiplications that are worth a second thread */
#define NODE (1 - 1e-9) /* of Gauss–Radau: below every eigenvalue also after rounding */

/* ---- room ----------------------------------------------------------------------------------- */

static sky_status grow(sky_krylov *k, size_t room) {
  if (room <= k->room) return SKY_OK;
  if (room < 2 * k->room) room = 2 * k->room;
  if (room > k->n + k->block) room = k->n + k->block;
  void *grown;
#define GROW(name, width)                                                                   \
  grown = sky_realloc(k->ctx, k->name, k->room * (width), room * (width), sizeof *k->name); \
  if (grown == NULL) return SKY_E_NOMEM;                                                    \
  k->name = grown;
  GROW(V, k->n)
  GROW(band, 2 * k->block)
  GROW(low, 1)
  GROW(coef, k->block)
#undef GROW
  k->room = room;
  return SKY_OK;
}

void sky_krylov_free(sky_krylov *k) {
  if (k == NULL) return;
  sky_free(k->V);
  sky_free(k->band);
  sky_free(k->low);
  sky_free(k->coef);
  sky_free(k->B);
  memset(k, 0, sizeof *k);
}

static double *element(const sky_krylov *k, size_t row, size_t col) {
  return k->band + row * 2 * k->block + (col - k->low[row]);
}

/* ---- orthogonalisation ---------------------------------------------------------------------- */

/* C [s*count] = W Vᵀ, W -= C V, by fixed tiles: bits do not depend on the threads. */
static void project_out(const sky_krylov *k, size_t count, size_t s, double *W, double *C) {
  const bool worth = (double)count * (double)s * (double)k->n > WORTH;
  const int threads = worth ? sky_context_threads(k->ctx) : 1;
  if (count == 0) return;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t j = 0; j < count; j += TILE)
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)s,
                (int)(count - j < TILE ? count - j : TILE), (int)k->n, 1.0, W, (int)k->n,
                k->V + j * k->n, (int)k->n, 0.0, C + j, (int)count);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t i = 0; i < k->n; i += TILE)
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)s,
                (int)(k->n - i < TILE ? k->n - i : TILE), (int)count, -1.0, C, (int)count, k->V + i,
                (int)k->n, 1.0, W + i, (int)k->n);
}

static double norm(const sky_krylov *k, const double *v) {
  return cblas_dnrm2((int)k->n, v, 1);
}

/* Rows of W, already orthogonal to the basis, become new vectors of it; those whose rest is not
 * above least[j] are left out. beta [s*s], or NULL: beta[q*s+j] = part of row j on new vector q. */
static void accept(sky_krylov *k, size_t s, double *W, const double *least, double *beta) {
  const size_t first = k->count, n = k->n;
  if (beta != NULL) memset(beta, 0, s * s * sizeof *beta);
  for (size_t j = 0; j < s; j++) {
    double *w = W + j * n;
    for (int pass = 0; pass < 2; pass++)
      for (size_t q = first; q < k->count; q++) {
        const double c = cblas_ddot((int)n, k->V + q * n, 1, w, 1);
        cblas_daxpy((int)n, -c, k->V + q * n, 1, w, 1);
        if (beta != NULL) beta[(q - first) * s + j] += c;
      }
    const double rest = norm(k, w);
    if (!(rest > least[j]) || k->count == n) continue;
    if (beta != NULL) beta[(k->count - first) * s + j] = rest;
    double *v = k->V + k->count * n;
    for (size_t i = 0; i < n; i++)
      v[i] = w[i] / rest;
    k->count++;
  }
  /* What division by a small rest has made visible of the older vectors. */
  project_out(k, first, k->count - first, k->V + first * n, k->coef);
  for (size_t q = first; q < k->count; q++) {
    double *v = k->V + q * n;
    for (size_t older = first; older < q; older++)
      cblas_daxpy((int)n, -cblas_ddot((int)n, k->V + older * n, 1, v, 1), k->V + older * n, 1, v,
                  1);
    cblas_dscal((int)n, 1 / norm(k, v), v, 1);
  }
}

sky_status sky_krylov_start(sky_context *ctx, size_t n, size_t nb, const double *rhs,
                            sky_krylov *out) {
  double *W = NULL, *least = NULL;
  sky_status st = SKY_OK;
  *out = (sky_krylov){.ctx = ctx, .n = n, .nb = nb, .block = nb};
  sky_blas_single();
  SKY_GO(grow(out, 4 * nb));
  SKY_GO_ALLOC(W, SKY_NEW(ctx, double, nb *n));
  SKY_GO_ALLOC(least, SKY_NEW(ctx, double, nb));
  memcpy(W, rhs, nb * n * sizeof *W);
  for (size_t j = 0; j < nb; j++)
    least[j] = DEPENDENT * norm(out, W + j * n);
  accept(out, nb, W, least, NULL);
  out->start = out->count;
  for (size_t q = 0; q < out->count; q++)
    out->low[q] = 0;
  SKY_GO_ALLOC(out->B, SKY_NEW(ctx, double, nb * out->start));
  for (size_t j = 0; j < nb; j++)
    for (size_t q = 0; q < out->start; q++)
      out->B[j * out->start + q] = cblas_ddot((int)n, out->V + q * n, 1, rhs + j * n, 1);
cleanup:
  sky_free(W);
  sky_free(least);
  if (st != SKY_OK) sky_krylov_free(out);
  return st;
}

sky_status sky_krylov_step(sky_krylov *k, double *W) {
  const size_t first = k->done, s = k->count - k->done, n = k->n;
  double *beta = NULL, *least = NULL;
  sky_status st = SKY_OK;
  SKY_GO(grow(k, k->count + s));
  SKY_GO_ALLOC(beta, SKY_NEW(k->ctx, double, s *s));
  SKY_GO_ALLOC(least, SKY_NEW(k->ctx, double, s));
  for (size_t j = 0; j < s; j++)
    least[j] = DEPENDENT * norm(k, W + j * n);
  project_out(k, k->count, s, W, k->coef);
  for (size_t j = 0; j < s; j++)
    for (size_t i = 0; i <= j; i++)
      *element(k, first + j, first + i) =
          0.5 * (k->coef[j * k->count + first + i] + k->coef[i * k->count + first + j]);
  project_out(k, k->count, s, W, k->coef);
  k->last = first;
  k->done = k->count;
  accept(k, s, W, least, beta);
  for (size_t q = k->done; q < k->count; q++) {
    k->low[q] = first;
    for (size_t j = 0; j < s; j++)
      *element(k, q, first + j) = beta[(q - k->done) * s + j];
  }
cleanup:
  sky_free(beta);
  sky_free(least);
  return st;
}

/* The rest of a unit vector is at least √((n-count)/n) for one of them, so half of 1/√n is always
 * found until the space is whole. */
sky_status sky_krylov_extend(sky_krylov *k, double *W, size_t *next) {
  const size_t n = k->n;
  double *least = SKY_NEW(k->ctx, double, k->block);
  if (least == NULL) return SKY_E_NOMEM;
  sky_status st = grow(k, k->count + k->block);
  for (size_t j = 0; j < k->block; j++)
    least[j] = 0.5 / sqrt((double)n);
  while (st == SKY_OK && k->count == k->done && *next < n) {
    const size_t s = n - *next < k->block ? n - *next : k->block;
    memset(W, 0, s * n * sizeof *W);
    for (size_t j = 0; j < s; j++)
      W[j * n + *next + j] = 1;
    *next += s;
    project_out(k, k->count, s, W, k->coef);
    project_out(k, k->count, s, W, k->coef);
    accept(k, s, W, least, NULL);
  }
  for (size_t q = k->done; st == SKY_OK && q < k->count; q++)
    k->low[q] = k->done; /* not coupled to what was before */
  sky_free(least);
  return st;
}

/* ---- solution and bounds -------------------------------------------------------------------- */

static void assemble(const sky_krylov *k, double shift, double *T) {
  memset(T, 0, k->done * k->done * sizeof *T);
  for (size_t i = 0; i < k->done; i++) {
    for (size_t j = k->low[i]; j <= i; j++)
      T[i * k->done + j] = *element(k, i, j);
    T[i * k->done + i] -= shift;
  }
}

sky_status sky_krylov_solve(const sky_krylov *k, double *L, double *coef) {
  if (k->done == 0) return SKY_OK; /* all right-hand sides are 0 */
  assemble(k, 0, L);
  SKY_TRY(sky_cholesky(k->ctx, k->done, L));
  memset(coef, 0, k->done * k->nb * sizeof *coef);
  for (size_t j = 0; j < k->nb; j++)
    for (size_t q = 0; q < k->start; q++)
      coef[q * k->nb + j] = k->B[j * k->start + q];
  sky_cholesky_forward(k->ctx, k->done, L, k->nb, coef);
  sky_cholesky_backward(k->ctx, k->done, L, k->nb, coef);
  return SKY_OK;
}

/* S += sign β (M⁻¹)_last βᵀ with M = L Lᵀ; only the trailing block of L enters. X: scratch [s*new].
 */
static void add_trailing(const sky_krylov *k, const double *L, double sign, double *X, double *S) {
  const size_t s = k->done - k->last, fresh = k->count - k->done;
  for (size_t j = 0; j < s; j++)
    for (size_t q = 0; q < fresh; q++)
      X[j * fresh + q] = *element(k, k->done + q, k->last + j);
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)s, (int)fresh,
              1.0, L + k->last * k->done + k->last, (int)k->done, X, (int)fresh);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)fresh, (int)fresh, (int)s, sign, X,
              (int)fresh, X, (int)fresh, 1.0, S, (int)fresh);
}

void sky_krylov_residual(const sky_krylov *k, const double *coef, double *Y) {
  for (size_t q = 0; q < k->count - k->done; q++)
    for (size_t j = 0; j < k->nb; j++) {
      Y[q * k->nb + j] = 0;
      for (size_t i = k->last; i < k->done; i++)
        Y[q * k->nb + j] += *element(k, k->done + q, i) * coef[i * k->nb + j];
    }
}

sky_status sky_krylov_gap(const sky_krylov *k, const double *L, const double *Y, double *gap) {
  const size_t fresh = k->count - k->done, s = k->done - k->last, nb = k->nb;
  double *shifted = NULL, *S = NULL, *X = NULL;
  sky_status st = SKY_OK;
  memset(gap, 0, nb * sizeof *gap);
  if (fresh == 0) return SKY_OK;
  SKY_GO_ALLOC(shifted, SKY_NEW(k->ctx, double, k->done * k->done));
  SKY_GO_ALLOC(S, SKY_NEW0(k->ctx, double, fresh *fresh));
  SKY_GO_ALLOC(X, SKY_NEW(k->ctx, double, (s > nb ? s : nb) * fresh));
  for (size_t q = 0; q < fresh; q++)
    S[q * fresh + q] = NODE;
  assemble(k, NODE, shifted);
  st = sky_cholesky(k->ctx, k->done, shifted);
  if (st == SKY_OK) {
    add_trailing(k, shifted, 1, X, S);
    add_trailing(k, L, -1, X, S);
    st = sky_cholesky(k->ctx, fresh, S);
  }
  if (st != SKY_OK) { /* rounding at the node: rᵀA⁻¹r <= |r|² holds without it */
    if (st != SKY_E_NOT_SPD) goto cleanup;
    st = SKY_OK;
    sky_error_clear(k->ctx);
    memset(S, 0, fresh * fresh * sizeof *S);
    for (size_t q = 0; q < fresh; q++)
      S[q * fresh + q] = 1;
  }
  memcpy(X, Y, fresh * nb * sizeof *X);
  sky_cholesky_forward(k->ctx, fresh, S, nb, X);
  for (size_t j = 0; j < nb; j++)
    for (size_t q = 0; q < fresh; q++)
      gap[j] += X[q * nb + j] * X[q * nb + j];
cleanup:
  sky_free(shifted);
  sky_free(S);
  sky_free(X);
  return st;
}

void sky_krylov_combine(const sky_krylov *k, size_t m, const double *coef, double *out) {
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(k->ctx))
  for (size_t i = 0; i < k->n; i += TILE)
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m,
                (int)(k->n - i < TILE ? k->n - i : TILE), (int)k->done, 1.0, coef, (int)m, k->V + i,
                (int)k->n, 0.0, out + i, (int)k->n);
}
