/* fixture_problem.c: see fixture_problem.h. */
#include "fixture_problem.h"

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/covariance.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

#define SPACE_LENGTH 5.0 /* cells; far from the other, so that exchanging D and E is seen */
#define TIME_LENGTH 0.5  /* steps */

static double on_a_line(const void *user, size_t i, size_t j) {
  (void)user;
  return fabs((double)i - (double)j);
}

sky_context *fixture_context(int threads) {
  sky_context *ctx = NULL;
  assert_int_equal(sky_context_create(&ctx), SKY_OK);
  sky_context_set_threads(ctx, threads);
  sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
  return ctx;
}

double *fixture_new(sky_context *ctx, size_t n) {
  double *p = SKY_NEW0(ctx, double, n);
  assert_non_null(p);
  return p;
}

/* Row i belongs to time t = i mod n_time and sees every second or third cell at t, t-1 and t-2. */
static void fill_jacobian(sky_context *ctx, uint64_t seed, sky_problem *p) {
  const size_t room = p->n_obs * 3 * p->n_cell;
  p->rowptr = SKY_NEW0(ctx, size_t, p->n_obs + 1);
  p->col = SKY_NEW0(ctx, int32_t, room);
  p->val = SKY_NEW0(ctx, double, room);
  size_t k = 0;
  for (size_t i = 0; i < p->n_obs; i++) {
    const size_t t = i % p->n_time, first = t >= 2 ? t - 2 : 0;
    for (size_t s = first; s <= t; s++)
      for (size_t c = i % 2; c < p->n_cell; c += 2 + i % 2) {
        p->col[k] = (int32_t)(s * p->n_cell + c);
        p->val[k] = (0.2 + sky_rng_uniform(seed, 1, k)) / (double)(t - s + 1);
        k++;
      }
    p->rowptr[i + 1] = k;
  }
}

static void fill_background(sky_context *ctx, sky_problem *p) {
  if (p->n_background == 0) return;
  p->group = SKY_NEW0(ctx, int32_t, p->n_obs);
  p->b0 = fixture_new(ctx, p->n_background);
  p->b_sd = fixture_new(ctx, p->n_background);
  for (size_t i = 0; i < p->n_obs; i++) /* every fifth observation has no offset */
    p->group[i] = i % 5 == 4 ? -1 : (int32_t)(i % p->n_background);
  for (size_t g = 0; g < p->n_background; g++) {
    p->b0[g] = 1 + (double)g;
    p->b_sd[g] = 0.5 + 0.3 * (double)g;
  }
}

/* y = H x_true + B(b0 + b_sd ζ) + noise */
static void observe_truth(uint64_t seed, sky_problem *p) {
  for (size_t i = 0; i < p->n_obs; i++) {
    p->y[i] = p->r_sd[i] * sky_rng_normal(seed, 3, i);
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      p->y[i] += p->val[k] * p->x_true[p->col[k]];
    if (p->n_background > 0 && p->group[i] >= 0)
      p->y[i] += p->b0[p->group[i]] +
                 p->b_sd[p->group[i]] * sky_rng_normal(seed, 4, (uint64_t)p->group[i]);
  }
}

/* x_true = x0 + S L_D Z L_Eᵀ; L from exponential correlations is exact as
 * an AR(1) recursion: x_i = ρ x_(i-1) + √(1-ρ²) z. */
static void fill_observations(sky_context *ctx, uint64_t seed, sky_problem *p) {
  const double rc = exp(-1 / SPACE_LENGTH), rt = exp(-1 / TIME_LENGTH);
  double *v = p->x_true = fixture_new(ctx, p->n_state);
  for (size_t i = 0; i < p->n_state; i++)
    v[i] = sky_rng_normal(seed, 2, i);
  for (size_t t = 0; t < p->n_time; t++)
    for (size_t c = 1; c < p->n_cell; c++)
      v[t * p->n_cell + c] =
          rc * v[t * p->n_cell + c - 1] + sqrt(1 - rc * rc) * v[t * p->n_cell + c];
  for (size_t i = p->n_cell; i < p->n_state; i++)
    v[i] = rt * v[i - p->n_cell] + sqrt(1 - rt * rt) * v[i];
  for (size_t i = 0; i < p->n_state; i++)
    v[i] = p->x0[i] + p->x_sd[i] * v[i];
  observe_truth(seed, p);
}

void fixture_problem(sky_context *ctx, uint64_t seed, size_t n_cell, size_t n_time, size_t n_obs,
                     size_t n_background, sky_problem *p) {
  memset(p, 0, sizeof *p);
  p->n_cell = n_cell;
  p->n_time = n_time;
  p->n_state = n_cell * n_time;
  p->n_obs = n_obs;
  p->n_background = n_background;
  p->y = fixture_new(ctx, n_obs);
  p->r_sd = fixture_new(ctx, n_obs);
  p->x0 = fixture_new(ctx, p->n_state);
  p->x_sd = fixture_new(ctx, p->n_state);
  p->E = fixture_new(ctx, n_cell * n_cell);
  p->D = fixture_new(ctx, n_time * n_time);
  sky_correlation_matrix(ctx, (sky_correlation){SKY_CORR_EXPONENTIAL, 0}, SPACE_LENGTH, on_a_line,
                         NULL, n_cell, p->E);
  sky_correlation_matrix(ctx, (sky_correlation){SKY_CORR_EXPONENTIAL, 0}, TIME_LENGTH, on_a_line,
                         NULL, n_time, p->D);
  for (size_t i = 0; i < n_obs; i++)
    p->r_sd[i] = 0.3 + 0.4 * (double)(i % 3);
  for (size_t i = 0; i < p->n_state; i++) {
    p->x0[i] = 2 + (double)(i % 4);
    p->x_sd[i] = 0.5 + 0.25 * (double)(i % 5);
  }
  fill_jacobian(ctx, seed, p);
  fill_background(ctx, p);
  fill_observations(ctx, seed, p);
}

#define COMMON 0.1        /* relative, of all cells */
#define TOTAL 0.3         /* relative, of a region */
#define CONCENTRATION 4.0 /* of the shares */

void fixture_low_rank(sky_context *ctx, uint64_t seed, size_t n_cell, size_t n_time, size_t n_obs,
                      size_t n_background, sky_problem *p) {
  fixture_problem(ctx, seed, n_cell, n_time, n_obs, n_background, p);
  const size_t m = p->n_state;
  sky_free(p->E);
  sky_free(p->D);
  p->E = p->D = NULL;
  p->q_rank = 1 + 2 * FIXTURE_REGIONS;
  p->q_factor = fixture_new(ctx, p->q_rank * m);
  p->q_sign = fixture_new(ctx, p->q_rank);
  p->q_var = fixture_new(ctx, m);
  double total[FIXTURE_REGIONS] = {0}, noise[FIXTURE_REGIONS] = {0};
  for (size_t i = 0; i < m; i++)
    total[i * FIXTURE_REGIONS / m] += p->x0[i];
  for (size_t k = 0; k < p->q_rank; k++)
    p->q_sign[k] = k > FIXTURE_REGIONS ? -1 : 1;
  for (size_t i = 0; i < m; i++) {
    const size_t g = i * FIXTURE_REGIONS / m;
    const double share = p->x0[i] / total[g];
    const double spread = total[g] * total[g] * (1 + TOTAL * TOTAL) / (CONCENTRATION + 1);
    double *f = p->q_factor;
    f[i] = COMMON * p->x0[i];
    f[(1 + g) * m + i] = TOTAL * p->x0[i];
    f[(1 + FIXTURE_REGIONS + g) * m + i] = sqrt(spread) * share;
    p->q_var[i] = spread * share;
    p->x_sd[i] = sqrt(f[i] * f[i] + pow(f[(1 + g) * m + i], 2) + spread * share * (1 - share));
    noise[g] += sqrt(p->q_var[i]) * sky_rng_normal(seed, 5, i);
  }
  for (size_t i = 0; i < m; i++) { /* e - w Σe has the covariance spread (diag w - w wᵀ) */
    const size_t g = i * FIXTURE_REGIONS / m;
    p->x_true[i] =
        p->x0[i] * (1 + COMMON * sky_rng_normal(seed, 6, 0) + TOTAL * sky_rng_normal(seed, 7, g)) +
        sqrt(p->q_var[i]) * sky_rng_normal(seed, 5, i) - p->x0[i] / total[g] * noise[g];
  }
  observe_truth(seed, p);
}

double *fixture_dense_low_rank(sky_context *ctx, size_t m, size_t rank, const double *factor,
                               const double *sign, const double *var) {
  double *Q = fixture_new(ctx, m * m);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < m; j++) {
      Q[i * m + j] = i == j ? var[i] : 0;
      for (size_t k = 0; k < rank; k++)
        Q[i * m + j] += sign[k] * factor[k * m + i] * factor[k * m + j];
    }
  return Q;
}

double *fixture_dense_H(sky_context *ctx, const sky_problem *p) {
  double *H = fixture_new(ctx, p->n_obs * p->n_state);
  for (size_t i = 0; i < p->n_obs; i++)
    for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
      H[i * p->n_state + p->col[k]] += p->val[k];
  return H;
}

double *fixture_dense_Q(sky_context *ctx, const sky_problem *p, const double *sd, const double *E,
                        const double *D) {
  const size_t m = p->n_state, nc = p->n_cell;
  double *Q = fixture_new(ctx, m * m);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < m; j++)
      Q[i * m + j] = sd[i] * sd[j] * D[(i / nc) * p->n_time + j / nc] * E[(i % nc) * nc + j % nc];
  return Q;
}

void fixture_multiply(size_t m, size_t k, size_t n, bool ta, const double *A, bool tb,
                      const double *B, double *C) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      double sum = 0;
      for (size_t q = 0; q < k; q++)
        sum += (ta ? A[q * m + i] : A[i * k + q]) * (tb ? B[j * k + q] : B[q * n + j]);
      C[i * n + j] = sum;
    }
}

static void swap_rows(size_t n, double *A, size_t a, size_t b) {
  for (size_t j = 0; j < n; j++) {
    const double t = A[a * n + j];
    A[a * n + j] = A[b * n + j];
    A[b * n + j] = t;
  }
}

void fixture_inverse(size_t n, const double *A, double *inverse) {
  double *work = fixture_new(NULL, n * n);
  memcpy(work, A, n * n * sizeof *A);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      inverse[i * n + j] = i == j;
  for (size_t k = 0; k < n; k++) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; i++)
      if (fabs(work[i * n + k]) > fabs(work[pivot * n + k])) pivot = i;
    swap_rows(n, work, k, pivot);
    swap_rows(n, inverse, k, pivot);
    const double d = work[k * n + k];
    for (size_t j = 0; j < n; j++) {
      work[k * n + j] /= d;
      inverse[k * n + j] /= d;
    }
    for (size_t i = 0; i < n; i++) {
      const double f = work[i * n + k];
      if (i == k || f == 0) continue;
      for (size_t j = 0; j < n; j++) {
        work[i * n + j] -= f * work[k * n + j];
        inverse[i * n + j] -= f * inverse[k * n + j];
      }
    }
  }
  sky_free(work);
}

void fixture_solve(sky_context *ctx, size_t n, size_t m, const double *H, const double *Q,
                   const double *R, const double *y, const double *x0, fixture_answer *out) {
  double *QHt = fixture_new(ctx, m * n), *psi_inverse = fixture_new(ctx, n * n);
  double *AQ = fixture_new(ctx, m * m), *d = fixture_new(ctx, n), *w = fixture_new(ctx, n);
  out->x = fixture_new(ctx, m);
  out->P = fixture_new(ctx, m * m);
  out->A = fixture_new(ctx, m * m);
  out->K = fixture_new(ctx, m * n);
  out->psi = fixture_new(ctx, n * n);
  fixture_multiply(m, m, n, false, Q, true, H, QHt);
  fixture_multiply(n, m, n, false, H, false, QHt, out->psi);
  for (size_t i = 0; i < n * n; i++)
    out->psi[i] += R[i];
  fixture_inverse(n, out->psi, psi_inverse);
  fixture_multiply(m, n, n, false, QHt, false, psi_inverse, out->K);
  fixture_multiply(m, n, m, false, out->K, false, H, out->A);
  fixture_multiply(m, m, m, false, out->A, false, Q, AQ);
  for (size_t i = 0; i < m * m; i++)
    out->P[i] = Q[i] - AQ[i];
  fixture_multiply(n, m, 1, false, H, false, x0, d);
  for (size_t i = 0; i < n; i++)
    d[i] = y[i] - d[i];
  fixture_multiply(n, n, 1, false, psi_inverse, false, d, w);
  fixture_multiply(m, n, 1, false, QHt, false, w, out->x);
  for (size_t i = 0; i < m; i++)
    out->x[i] += x0[i];
  out->chi2 = out->jo = 0;
  for (size_t i = 0; i < n; i++) {
    out->chi2 += d[i] * w[i];
    for (size_t j = 0; j < n; j++)
      out->jo += w[i] * R[i * n + j] * w[j];
  }
  out->jb = out->chi2 - out->jo;
  sky_free(QHt);
  sky_free(psi_inverse);
  sky_free(AQ);
  sky_free(d);
  sky_free(w);
}

void fixture_answer_free(fixture_answer *a) {
  sky_free(a->x);
  sky_free(a->P);
  sky_free(a->A);
  sky_free(a->K);
  sky_free(a->psi);
}

double fixture_difference(size_t n, const double *a, const double *b) {
  double most = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    if (!(fabs(a[i] - b[i]) <= most)) most = fabs(a[i] - b[i]); /* NaN wins */
    if (fabs(b[i]) > size) size = fabs(b[i]);
  }
  return size > 0 ? most / size : most;
}

bool fixture_near(double a, double b, double relative) {
  return fabs(a - b) <= relative * fabs(b);
}

void fixture_refused(sky_context *ctx, const sky_problem *p, sky_status want, const char *text) {
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, p, NULL, &post), want);
  assert_non_null(strstr(sky_error(ctx), text));
  assert_null(post.x);
}

double fixture_form(size_t n, const double *u, const double *M, const double *v) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      sum += u[i] * M[i * n + j] * v[j];
  return sum;
}
