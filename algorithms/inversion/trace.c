/* trace.c: Hutchinson's probes. With W = R^-½, or G where there are neighbours, A = W Ψ Wᵀ, signs z
 * and x = A⁻¹ z by conjugate gradients,
 *
 *   tr(R Ψ⁻¹) = tr(W R Wᵀ) + E (x - z)ᵀ W R Wᵀ z      (what W does not know already)
 *   Σ share_i A_ii = E Σ_i share_i (Hᵀ Wᵀ x)_i (Q Hᵀ Wᵀ z)_i
 *   log|A| = n E e₁ᵀ log(T) e₁, T the Lanczos matrix of the same steps
 *
 * (Ubaru, Chen & Saad 2017, SIAM J. Matrix Anal. Appl. 38, 1075). */
#include "algorithms/inversion/trace.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

#define MOST_STEPS 800
#define SETTLED 1e-5   /* residual, relative: what is left of it is far below the interval */
#define T_975 2.131449 /* Student's t with 15 degrees of freedom */

typedef struct probe {
  double step[MOST_STEPS], ratio[MOST_STEPS]; /* of conjugate gradients: α and β */
  size_t steps;
  bool settled;
  double rest; /* |r|² */
  double noise, logdet;
} probe;

typedef struct probes {
  sky_obs_operator *op;
  size_t n;
  probe *p;
  double *z, *x, *r, *d, *Ad; /* [SKY_TRACE_PROBES*n] */
} probes;

/* ---- conjugate gradients -------------------------------------------------------------------- */

static void advance(probes *all, size_t k) {
  const int n = (int)all->n;
  probe *p = &all->p[k];
  const size_t at = k * all->n;
  double *x = all->x + at, *r = all->r + at, *d = all->d + at, *Ad = all->Ad + at;
  if (p->settled) return;
  const double step = p->rest / cblas_ddot(n, d, 1, Ad, 1);
  cblas_daxpy(n, step, d, 1, x, 1);
  cblas_daxpy(n, -step, Ad, 1, r, 1);
  const double rest = cblas_ddot(n, r, 1, r, 1);
  p->step[p->steps] = step;
  p->ratio[p->steps++] = rest / p->rest;
  p->settled = rest <= SETTLED * SETTLED * (double)n;
  p->rest = rest;
  for (int i = 0; i < n; i++)
    d[i] = r[i] + p->ratio[p->steps - 1] * d[i];
}

static sky_status solve(probes *all, uint64_t seed, size_t *products, bool *settled) {
  const size_t n = all->n, most = n < MOST_STEPS ? n : MOST_STEPS;
  sky_context *ctx = all->op->ctx;
  for (size_t k = 0; k < SKY_TRACE_PROBES; k++) {
    for (size_t i = 0; i < n; i++)
      all->z[k * n + i] = sky_rng_uniform(seed, k, i) < 0.5 ? -1 : 1;
    all->p[k].rest = (double)n;
  }
  memcpy(all->r, all->z, SKY_TRACE_PROBES * n * sizeof *all->r);
  memcpy(all->d, all->z, SKY_TRACE_PROBES * n * sizeof *all->d);
  *settled = false;
  for (size_t m = 0; m < most && !*settled; m++) {
    sky_obs_operator_apply(all->op, all->d, SKY_TRACE_PROBES, all->Ad);
    *products += SKY_TRACE_PROBES;
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
    for (size_t k = 0; k < SKY_TRACE_PROBES; k++)
      advance(all, k);
    *settled = true;
    for (size_t k = 0; k < SKY_TRACE_PROBES; k++)
      *settled = *settled && all->p[k].settled;
    if (sky_cancelled(ctx)) return sky_fail(ctx, SKY_E_CANCELLED, "cancelled in the iteration");
  }
  return SKY_OK;
}

/* ---- what they say -------------------------------------------------------------------------- */

/* n e₁ᵀ log(T) e₁; Z: scratch [steps²]. */
static bool quadrature(probe *p, double n, double *Z) {
  double d[MOST_STEPS], e[MOST_STEPS];
  const size_t m = p->steps;
  for (size_t i = 0; i < m; i++) {
    d[i] = 1 / p->step[i] + (i > 0 ? p->ratio[i - 1] / p->step[i - 1] : 0);
    e[i] = sqrt(p->ratio[i]) / p->step[i];
  }
  if (LAPACKE_dstev(LAPACK_COL_MAJOR, 'V', (int)m, d, e, Z, (int)m) != 0) return false;
  p->logdet = 0;
  for (size_t i = 0; i < m; i++)
    p->logdet += n * Z[i * m] * Z[i * m] * log(d[i]);
  return true;
}

/* (x - z)ᵀ W R Wᵀ z: what W R Wᵀ is not told. */
static void noise_of(probes *all, size_t k, double *w) {
  const size_t n = all->n;
  const double *x = all->x + k * n, *z = all->z + k * n;
  sky_acc sum = {0, 0};
  sky_obs_operator_noise(all->op, z, w);
  for (size_t i = 0; i < n; i++)
    sky_acc_add(&sum, (x[i] - z[i]) * w[i]);
  all->p[k].noise = sky_acc_value(&sum);
}

/* One probe's value of every zone: v and Q v of x and z stand in the operator. */
static void inside(const probes *all, const sky_functionals *zones, size_t k, double *value) {
  const size_t m = all->op->p->n_state;
  const double *a = all->op->u + m, *q = all->op->qu;
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(all->op->ctx))
  for (size_t z = 0; z < zones->n_zone; z++) {
    const double *W = zones->W + z * m;
    sky_acc sum = {0, 0};
    for (size_t i = 0; i < m; i++)
      if (W[i] != 0)
        sky_acc_add(&sum, (zones->whole != NULL ? W[i] / zones->whole[i] : 1) * a[i] * q[i]);
    value[z * SKY_TRACE_PROBES + k] = sky_acc_value(&sum);
  }
}

static sky_estimate summarise(const double v[SKY_TRACE_PROBES]) {
  const double mean = sky_sum(v, SKY_TRACE_PROBES) / SKY_TRACE_PROBES;
  double var = 0;
  for (size_t k = 0; k < SKY_TRACE_PROBES; k++)
    var += (v[k] - mean) * (v[k] - mean) / (SKY_TRACE_PROBES - 1);
  return (sky_estimate){mean, T_975 * sqrt(var / SKY_TRACE_PROBES)};
}

static sky_status evaluate(probes *all, const sky_functionals *zones, sky_traces *out) {
  const sky_obs_operator *op = all->op;
  const size_t n = all->n;
  double *w = NULL, *Z = NULL, *value = NULL, *pair = NULL;
  double noise[SKY_TRACE_PROBES], logdet[SKY_TRACE_PROBES], known;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(w, SKY_NEW(op->ctx, double, n));
  SKY_GO_ALLOC(pair, SKY_NEW(op->ctx, double, 2 * n));
  SKY_GO_ALLOC(Z, SKY_NEW(op->ctx, double, MOST_STEPS *MOST_STEPS));
  SKY_GO_ALLOC(value, SKY_NEW(op->ctx, double, SKY_TRACE_PROBES * zones->n_zone));
  for (size_t k = 0; k < SKY_TRACE_PROBES; k++) {
    if (!quadrature(&all->p[k], (double)n, Z))
      SKY_GO(sky_fail(op->ctx, SKY_E_INTERNAL, "eigenvalues of a tridiagonal matrix not found"));
    noise_of(all, k, w);
    memcpy(pair, all->z + k * n, n * sizeof *pair);
    memcpy(pair + n, all->x + k * n, n * sizeof *pair);
    sky_obs_operator_lift(all->op, pair, 2);
    inside(all, zones, k, value);
    noise[k] = all->p[k].noise;
    logdet[k] = all->p[k].logdet;
  }
  out->dofs = summarise(noise);
  SKY_GO(sky_obs_operator_noise_trace(op, &known));
  out->dofs.value = (double)n - known - out->dofs.value;
  out->logdet = summarise(logdet);
  out->logdet.value -= sky_obs_operator_logdet(op);
  for (size_t z = 0; z < zones->n_zone; z++)
    out->zone[z] = summarise(value + z * SKY_TRACE_PROBES);
cleanup:
  sky_free(w);
  sky_free(pair);
  sky_free(Z);
  sky_free(value);
  return st;
}

sky_status sky_trace_estimate(sky_obs_operator *op, uint64_t seed, const sky_functionals *zones,
                              sky_traces *out) {
  const size_t n = op->p->n_obs;
  probes all = {.op = op, .n = n};
  bool settled = false;
  sky_status st = SKY_OK;
  double **vectors[] = {&all.z, &all.x, &all.r, &all.d, &all.Ad};
  out->products = 0;
  out->dofs = out->logdet = (sky_estimate){NAN, NAN};
  for (size_t z = 0; z < zones->n_zone; z++)
    out->zone[z] = out->dofs;
  SKY_GO_ALLOC(all.p, SKY_NEW0(op->ctx, probe, SKY_TRACE_PROBES));
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
    SKY_GO_ALLOC(*vectors[i], SKY_NEW0(op->ctx, double, SKY_TRACE_PROBES *n));
  SKY_GO(solve(&all, seed, &out->products, &settled));
  if (settled)
    SKY_GO(evaluate(&all, zones, out));
  else
    sky_log(op->ctx, SKY_LOG_WARN,
            "iteration: probes have not settled in %d steps: degrees of freedom and evidence are "
            "not computed",
            MOST_STEPS);
cleanup:
  sky_free(all.p);
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
    sky_free(*vectors[i]);
  return st;
}
