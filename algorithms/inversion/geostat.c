/* geostat.c: geostatistical inversion through the exact dual (geostat.md).
 *
 *   β = C GᵀΨ⁻¹(y - B b0), G = HX, C = (GᵀΨ⁻¹G)⁻¹        Michalak et al. 2004, Eq. 10-13
 *   x̂ = Xβ + QHᵀΨ⁻¹(y - B b0 - Gβ),  P = P_bayes + V C Vᵀ,  A = A_bayes + V C (HᵀΨ⁻¹G)ᵀ
 *   V = X - QHᵀΨ⁻¹G
 *
 * With β known this is the Bayesian solution for the mean Xβ, so that is what is called. */
#include "algorithms/inversion/geostat.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/posterior.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define LOG_2PI 1.8378770664093454836

/* ---- drift ---------------------------------------------------------------------------------- */

/* inverse [q*q] of the small SPD matrix A [q*q], which is overwritten with its factor. */
static sky_status small_inverse(sky_context *ctx, size_t q, double *A, double *inverse,
                                double *logdet) {
  double *rows = SKY_NEW0(ctx, double, q *q);
  if (rows == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_cholesky(ctx, q, A);
  if (st == SKY_OK) {
    for (size_t i = 0; i < q; i++)
      rows[i * q + i] = 1;
    sky_cholesky_forward_rows(ctx, q, A, q, rows);
    sky_gram(ctx, q, q, rows, rows, inverse);
    *logdet = sky_cholesky_logdet(q, A);
  }
  sky_free(rows);
  return st == SKY_OK
             ? SKY_OK
             : sky_fail_in(ctx, st, "the observations do not tell the drift columns apart: ");
}

sky_status sky_drift_fit(sky_context *ctx, const sky_dual *d, size_t q, const double *G,
                         const double *v, double *SG, double *cov, double *beta, double *logdet) {
  const size_t n = d->n;
  double *normal = SKY_NEW(ctx, double, q *q);
  if (normal == NULL) return SKY_E_NOMEM;
  sky_product(ctx, q, n, n, G, d->inverse, SG);
  sky_gram(ctx, q, n, SG, G, normal);
  const sky_status st = small_inverse(ctx, q, normal, cov, logdet);
  for (size_t j = 0; j < q && st == SKY_OK; j++) {
    sky_acc sum = {0, 0};
    for (size_t k = 0; k < q; k++)
      sky_acc_add(&sum, cov[j * q + k] * sky_dot(SG + k * n, v, n));
    beta[j] = sky_acc_value(&sum);
  }
  sky_free(normal);
  return st;
}

static sky_status check_drift(sky_context *ctx, const sky_problem *p, const sky_drift *drift) {
  if (drift->n == 0 || drift->n >= p->n_obs || (drift->X == NULL && drift->n != 1))
    return sky_fail(ctx, SKY_E_RANGE,
                    "drift: %zu columns for %zu observations (expected 1 or more, fewer than "
                    "observations)",
                    drift->n, p->n_obs);
  for (size_t i = 0; drift->X != NULL && i < drift->n * p->n_state; i++)
    if (!isfinite(drift->X[i]))
      return sky_fail(ctx, SKY_E_RANGE, "drift[%zu,%zu] = %g (expected a finite number)",
                      i / p->n_state, i % p->n_state, drift->X[i]);
  return SKY_OK;
}

sky_status sky_drift_columns(sky_context *ctx, const sky_problem *p, const sky_drift *drift,
                             sky_dual *d, double **G) {
  const size_t q = drift->n, m = p->n_state, n = p->n_obs;
  double *x = NULL, *prior = NULL;
  sky_status st = SKY_OK;
  SKY_TRY(check_drift(ctx, p, drift));
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(prior, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(*G, SKY_NEW(ctx, double, q *n));
  for (size_t j = 0; j < q; j++) {
    for (size_t i = 0; i < m; i++)
      x[i] = drift->X != NULL ? drift->X[j * m + i] : 1;
    sky_problem_observe(ctx, p, x, NULL, *G + j * n);
  }
  sky_problem_observe(ctx, p, p->x0, NULL, prior);
  for (size_t i = 0; i < n; i++) /* d = y - H x0 - B b0 */
    d->d[i] += prior[i];
cleanup:
  sky_free(x);
  sky_free(prior);
  return st;
}

/* M [n*n] -= Σ_jk u_j C_jk u_kᵀ of rows u [q*n] */
static void remove_form(sky_context *ctx, size_t q, size_t n, const double *C, const double *u,
                        double *M) {
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t a = 0; a < n; a++)
    for (size_t j = 0; j < q; j++)
      for (size_t k = 0; k < q; k++) {
        const double f = u[j * n + a] * C[j * q + k];
        for (size_t b = 0; b < n; b++)
          M[a * n + b] -= f * u[k * n + b];
      }
}

sky_status sky_drift_remove(sky_context *ctx, size_t q, const double *G, sky_dual *d) {
  const size_t n = d->n;
  double *SG = NULL, *cov = NULL, *beta = NULL, logdet;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(SG, SKY_NEW(ctx, double, q *n));
  SKY_GO_ALLOC(cov, SKY_NEW(ctx, double, q *q));
  SKY_GO_ALLOC(beta, SKY_NEW(ctx, double, q));
  SKY_GO(sky_drift_fit(ctx, d, q, G, d->d, SG, cov, beta, &logdet));
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < q; j++) {
      d->d[i] -= G[j * n + i] * beta[j];
      d->w[i] -= SG[j * n + i] * beta[j];
    }
  remove_form(ctx, q, n, cov, G, d->psi);
  remove_form(ctx, q, n, cov, SG, d->inverse);
cleanup:
  sky_free(SG);
  sky_free(cov);
  sky_free(beta);
  return st;
}

/* ---- result --------------------------------------------------------------------------------- */

static sky_status alloc_result(sky_context *ctx, size_t m, size_t n, size_t q, size_t nz, size_t nb,
                               sky_geostat *g) {
  sky_status st = SKY_OK;
  memset(g, 0, sizeof *g);
  g->n_state = m;
  g->n_obs = n;
  g->n_drift = q;
  g->n_zone = nz;
  g->n_background = nb;
  SKY_GO_ALLOC(g->beta, SKY_NEW0(ctx, double, q));
  SKY_GO_ALLOC(g->beta_cov, SKY_NEW0(ctx, double, q *q));
  SKY_GO_ALLOC(g->x, SKY_NEW0(ctx, double, m));
  SKY_GO_ALLOC(g->sd, SKY_NEW0(ctx, double, m));
  SKY_GO_ALLOC(g->ak, SKY_NEW0(ctx, double, m));
  SKY_GO_ALLOC(g->b, SKY_NEW0(ctx, double, nb));
  SKY_GO_ALLOC(g->residual, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(g->simulated, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(g->total, SKY_NEW0(ctx, double, nz));
  SKY_GO_ALLOC(g->total_sd, SKY_NEW0(ctx, double, nz));
  SKY_GO_ALLOC(g->zone_cov, SKY_NEW0(ctx, double, nz *nz));
  SKY_GO_ALLOC(g->zone_A, SKY_NEW0(ctx, double, nz *m));
cleanup:
  if (st != SKY_OK) sky_geostat_free(g);
  return st;
}

void sky_geostat_free(sky_geostat *g) {
  if (g == NULL) return;
  double *const all[] = {g->beta,     g->beta_cov,  g->x,     g->sd,       g->ak,       g->b,
                         g->residual, g->simulated, g->total, g->total_sd, g->zone_cov, g->zone_A};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    sky_free(all[i]);
  memset(g, 0, sizeof *g);
}

/* uᵀ C v of two columns of n rows: element i of column k at u[k*stride]. */
static double form(size_t q, const double *C, const double *u, const double *v, size_t stride) {
  sky_acc sum = {0, 0};
  for (size_t j = 0; j < q; j++)
    for (size_t k = 0; k < q; k++)
      sky_acc_add(&sum, u[j * stride] * C[j * q + k] * v[k * stride]);
  return sky_acc_value(&sum);
}

/* ---- solve ---------------------------------------------------------------------------------- */

typedef struct parts {
  double *X, *G, *SG;    /* [q*m], [q*n] (HX)ᵀ, [q*n] (Ψ⁻¹G)ᵀ */
  double *U, *V, *work;  /* [q*m] (HᵀΨ⁻¹G)ᵀ, Vᵀ, scratch */
  double *v, *x0, *zone; /* [n] y - B b0, [m] Xβ, [nz*q] zone rows of V */
} parts;

static sky_status prepare(sky_context *ctx, const sky_problem *p, const sky_drift *drift,
                          const sky_dual *d, parts *s, sky_geostat *g) {
  const size_t q = drift->n, m = p->n_state, n = p->n_obs;
  double logdet;
  for (size_t i = 0; i < q * m; i++)
    s->X[i] = drift->X != NULL ? drift->X[i] : 1;
  for (size_t j = 0; j < q; j++)
    sky_problem_observe(ctx, p, s->X + j * m, NULL, s->G + j * n);
  sky_problem_observe(ctx, p, p->x0, NULL, s->v);
  for (size_t i = 0; i < n; i++) /* d = y - H x0 - B b0 */
    s->v[i] += d->d[i];
  SKY_TRY(sky_drift_fit(ctx, d, q, s->G, s->v, s->SG, g->beta_cov, g->beta, &logdet));
  g->neg_log_restricted = 0.5 * ((double)(n - q) * LOG_2PI + sky_cholesky_logdet(n, d->L) + logdet);
  for (size_t i = 0; i < m; i++) {
    sky_acc sum = {0, 0};
    for (size_t j = 0; j < q; j++)
      sky_acc_add(&sum, s->X[j * m + i] * g->beta[j]);
    s->x0[i] = sky_acc_value(&sum);
  }
  return SKY_OK;
}

/* What not knowing β adds to the variances, and what the data's word on β adds to the kernel. */
static void add_drift(sky_context *ctx, const sky_problem *p, const sky_functionals *zones,
                      parts *s, sky_geostat *g) {
  const size_t q = g->n_drift, m = g->n_state, n = g->n_obs, nz = g->n_zone;
  const sky_covariance cov = sky_problem_covariance(p);
  const double *C = g->beta_cov;
  for (size_t j = 0; j < q; j++)
    sky_problem_transpose(p, s->SG + j * n, 1, s->U + j * m);
  sky_covariance_apply(ctx, &cov, s->U, q, s->work, s->V);
  for (size_t i = 0; i < q * m; i++)
    s->V[i] = s->X[i] - s->V[i];
  for (size_t i = 0; i < m; i++) {
    g->sd[i] = sqrt(g->sd[i] * g->sd[i] + form(q, C, s->V + i, s->V + i, m));
    g->ak[i] += form(q, C, s->V + i, s->U + i, m);
  }
  g->dofs = sky_sum(g->ak, m);
  for (size_t z = 0; z < nz; z++)
    for (size_t j = 0; j < q; j++)
      s->zone[z * q + j] = sky_dot(zones->W + z * m, s->V + j * m, m);
  for (size_t z = 0; z < nz; z++) {
    for (size_t y = 0; y < nz; y++)
      g->zone_cov[z * nz + y] += form(q, C, s->zone + z * q, s->zone + y * q, 1);
    g->total_sd[z] = sqrt(sky_variance(g->zone_cov[z * nz + z]));
    for (size_t j = 0; j < q; j++)
      for (size_t k = 0; k < q; k++) {
        const double f = s->zone[z * q + j] * C[j * q + k];
        for (size_t i = 0; i < m; i++)
          g->zone_A[z * m + i] += f * s->U[k * m + i];
      }
  }
}

static void take_bayes(const sky_posterior *post, sky_geostat *g) {
  const size_t m = g->n_state, nz = g->n_zone;
  memcpy(g->x, post->x, m * sizeof *g->x);
  memcpy(g->sd, post->sd, m * sizeof *g->sd);
  memcpy(g->ak, post->ak, m * sizeof *g->ak);
  memcpy(g->b, post->b, g->n_background * sizeof *g->b);
  memcpy(g->residual, post->residual, g->n_obs * sizeof *g->residual);
  memcpy(g->simulated, post->simulated, g->n_obs * sizeof *g->simulated);
  if (nz > 0) {
    memcpy(g->total, post->total, nz * sizeof *g->total);
    memcpy(g->zone_cov, post->zone_cov, nz * nz * sizeof *g->zone_cov);
    memcpy(g->zone_A, post->zone_A, nz * m * sizeof *g->zone_A);
  }
  g->chi2 = post->chi2;
  g->jb = post->jb;
  g->jo = post->jo;
  g->neg_log_restricted += 0.5 * post->chi2;
}

static sky_status alloc_parts(sky_context *ctx, size_t q, size_t m, size_t n, size_t nz, parts *s) {
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(s->X, SKY_NEW(ctx, double, q *m));
  SKY_GO_ALLOC(s->G, SKY_NEW(ctx, double, q *n));
  SKY_GO_ALLOC(s->SG, SKY_NEW(ctx, double, q *n));
  SKY_GO_ALLOC(s->U, SKY_NEW(ctx, double, q *m));
  SKY_GO_ALLOC(s->V, SKY_NEW(ctx, double, q *m));
  SKY_GO_ALLOC(s->work, SKY_NEW(ctx, double, q *m));
  SKY_GO_ALLOC(s->v, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(s->x0, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(s->zone, SKY_NEW(ctx, double, nz *q));
cleanup:
  return st;
}

static void free_parts(parts *s) {
  double *const all[] = {s->X, s->G, s->SG, s->U, s->V, s->work, s->v, s->x0, s->zone};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    sky_free(all[i]);
}

sky_status sky_geostat_solve(sky_context *ctx, const sky_problem *p, const sky_drift *drift,
                             const sky_functionals *zones, sky_geostat *out) {
  const size_t nz = zones != NULL ? zones->n_zone : 0;
  sky_dual d = {0};
  parts s = {0};
  sky_posterior post = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(check_drift(ctx, p, drift));
  SKY_GO(sky_dual_make(ctx, p, &d));
  SKY_GO(alloc_result(ctx, p->n_state, p->n_obs, drift->n, nz, p->n_background, out));
  SKY_GO(alloc_parts(ctx, drift->n, p->n_state, p->n_obs, nz, &s));
  SKY_GO(prepare(ctx, p, drift, &d, &s, out));
  sky_dual_free(&d);
  sky_problem known = *p; /* β known: the mean is Xβ */
  known.x0 = s.x0;
  SKY_GO(sky_problem_solve(ctx, &known, zones, &post));
  take_bayes(&post, out);
  add_drift(ctx, p, zones, &s, out);
  SKY_GO(sky_answer_finite(ctx, "chi2", out->chi2));
  for (size_t z = 0; z < nz; z++)
    SKY_GO(sky_answer_finite(ctx, "a total", out->total[z]));
cleanup:
  sky_dual_free(&d);
  free_parts(&s);
  sky_posterior_free(&post);
  if (st != SKY_OK) sky_geostat_free(out);
  return st;
}
