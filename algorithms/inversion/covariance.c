/* covariance.c: correlation models, the Kronecker and the low-rank prior (covariance.md).
 *
 * (D ⊗ E) v with v = vec(V), V [time, cell] row-major, is D V E (E symmetric), so a prior of
 * n_time*n_cell unknowns costs two small products instead of one huge matrix
 * (Yadav & Michalak 2013, GMD 6, 583). */
#include "algorithms/inversion/covariance.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "algorithms/inversion/cholesky.h"
#include "algorithms/inversion/levels.h"
#include "algorithms/inversion/matern.h"
#include "grids/grid.h"
#include "src/core/number.h"
#include "src/core/sum.h"

/* Eq. 4.10 of Gaspari and Cohn 1999, QJRMS 125, 723; z = d/c, 0 from 2 on. */
static double gaspari_cohn(double z) {
  if (z >= 2) return 0;
  const double z2 = z * z, z3 = z2 * z, z4 = z2 * z2, z5 = z4 * z;
  if (z <= 1) return -z5 / 4 + z4 / 2 + 5 * z3 / 8 - 5 * z2 / 3 + 1;
  return z5 / 12 - z4 / 2 + 5 * z3 / 8 + 5 * z2 / 3 - 5 * z + 4 - 2 / (3 * z);
}

double sky_correlation_value(sky_correlation model, double distance, double length) {
  if (isnan(distance) || isnan(length)) return NAN;
  if (distance == 0) return 1;
  const double h = distance / length;
  switch (model.kind) {
    case SKY_CORR_SPHERICAL:
      return h < 1 ? 1 - 1.5 * h + 0.5 * h * h * h : 0;
    case SKY_CORR_EXPONENTIAL:
      return exp(-h);
    case SKY_CORR_MATERN32:
      return (1 + h) * exp(-h);
    case SKY_CORR_MATERN52:
      return (1 + h + h * h / 3) * exp(-h);
    case SKY_CORR_GASPARI_COHN:
      return gaspari_cohn(2 * h);
    case SKY_CORR_MATERN:
      return sky_matern(model.nu, h);
    case SKY_CORR_NONE:
      break;
  }
  return 0;
}

/* The lower triangle is computed and mirrored: E must be symmetric to the last bit. */
void sky_correlation_matrix(sky_context *ctx, sky_correlation model, double length,
                            sky_distance_fn distance, const void *user, size_t n, double *C) {
#pragma omp parallel for schedule(dynamic, 16) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < n; i++) {
    C[i * n + i] = 1;
    for (size_t j = 0; j < i; j++) {
      /* Without correlation two cells at one place are still two cells. */
      const double c = model.kind == SKY_CORR_NONE
                           ? 0
                           : sky_correlation_value(model, distance(user, i, j), length);
      C[i * n + j] = c;
      C[j * n + i] = c;
    }
  }
}

/* ---- of a problem --------------------------------------------------------------------------- */

static double plane_distance(const void *user, size_t i, size_t j) {
  const sky_problem *p = user;
  return hypot(p->xc[i] - p->xc[j], p->yc[i] - p->yc[j]);
}

static double sphere_distance(const void *user, size_t i, size_t j) {
  const sky_problem *p = user;
  return sky_distance(p->xc[i], p->yc[i], p->xc[j], p->yc[j]) / 1e3;
}

static double step_distance(const void *user, size_t i, size_t j) {
  (void)user;
  return i > j ? (double)(i - j) : (double)(j - i);
}

/* In lengths of the sector of cell i: sectors that mix have one length. */
static double sector_distance(const void *user, size_t i, size_t j) {
  const sky_problem *p = user;
  const double reach = p->sector_reach != NULL ? p->sector_reach[i / (p->n_cell / p->n_sector)] : 1;
  return (p->geographic ? sphere_distance : plane_distance)(user, i, j) / reach;
}

static sky_distance_fn cell_distance(const sky_problem *p) {
  if (p->n_sector > 1) return sector_distance;
  return p->geographic ? sphere_distance : plane_distance;
}

/* E [n_cell*n_cell] of correlations between places -> times the mixing of the sectors. Without
 * correlation in space a cell still mixes with itself. */
static void mix_sectors(const sky_problem *p, bool alone, double *E) {
  const size_t n = p->n_cell, ns = p->n_sector, width = ns > 1 ? n / ns : n;
  for (size_t i = 0; ns > 1 && i < n; i++)
    for (size_t j = 0; j < n; j++) {
      const double mix = p->mixing[i / width * ns + j / width];
      E[i * n + j] = (alone && i % width == j % width ? 1 : E[i * n + j]) * mix;
    }
}

void sky_problem_correlate(sky_context *ctx, sky_problem *p) {
  sky_correlation_matrix(ctx, p->space, p->length_km, cell_distance(p), p, p->n_cell, p->E);
  mix_sectors(p, p->space.kind == SKY_CORR_NONE, p->E);
  sky_correlation_matrix(ctx, p->time, p->length_steps, step_distance, NULL, p->n_time, p->D);
}

/* -z times the derivative of gaspari_cohn. */
static double gaspari_cohn_slope(double z) {
  if (z >= 2) return 0;
  const double z2 = z * z, z3 = z2 * z, z4 = z2 * z2, z5 = z4 * z;
  if (z <= 1) return 5 * z5 / 4 - 2 * z4 - 15 * z3 / 8 + 10 * z2 / 3;
  return -5 * z5 / 12 + 2 * z4 - 15 * z3 / 8 - 10 * z2 / 3 + 5 * z - 2 / (3 * z);
}

double sky_correlation_slope(sky_correlation model, double distance, double length) {
  const double h = distance / length;
  switch (model.kind) {
    case SKY_CORR_SPHERICAL:
      return h < 1 ? 1.5 * h - 1.5 * h * h * h : 0;
    case SKY_CORR_EXPONENTIAL:
      return h * exp(-h);
    case SKY_CORR_MATERN32:
      return h * h * exp(-h);
    case SKY_CORR_MATERN52:
      return h * h * (1 + h) / 3 * exp(-h);
    case SKY_CORR_GASPARI_COHN:
      return gaspari_cohn_slope(2 * h);
    case SKY_CORR_MATERN:
      return sky_matern_slope(model.nu, h);
    case SKY_CORR_NONE:
      break;
  }
  return 0;
}

static void slope_matrix(sky_context *ctx, sky_correlation model, double length,
                         sky_distance_fn distance, const void *user, size_t n, double *C) {
#pragma omp parallel for schedule(dynamic, 16) num_threads(sky_context_threads(ctx))
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j <= i; j++)
      C[i * n + j] = C[j * n + i] = sky_correlation_slope(model, distance(user, i, j), length);
}

void sky_problem_correlate_space_slope(sky_context *ctx, const sky_problem *p, double *dE) {
  slope_matrix(ctx, p->space, p->length_km, cell_distance(p), p, p->n_cell, dE);
  mix_sectors(p, false, dE);
}

void sky_problem_correlate_time_slope(sky_context *ctx, const sky_problem *p, double *dD) {
  slope_matrix(ctx, p->time, p->length_steps, step_distance, NULL, p->n_time, dD);
}

/* ---- names ---------------------------------------------------------------------------------- */

static const char *const names[] = {[SKY_CORR_NONE] = "none",
                                    [SKY_CORR_SPHERICAL] = "spherical",
                                    [SKY_CORR_EXPONENTIAL] = "exponential",
                                    [SKY_CORR_MATERN32] = "matern32",
                                    [SKY_CORR_MATERN52] = "matern52",
                                    [SKY_CORR_GASPARI_COHN] = "gaspari-cohn",
                                    [SKY_CORR_MATERN] = "matern"};

sky_status sky_correlation_make(sky_context *ctx, const char *name, double nu,
                                sky_correlation *out) {
  size_t k = 0;
  while (k < sizeof names / sizeof *names && strcmp(name, names[k]) != 0)
    k++;
  if (k == sizeof names / sizeof *names)
    return sky_fail(
        ctx, SKY_E_JOB,
        "correlation: '%s' is not known (expected none, spherical, exponential, matern32, "
        "matern52, gaspari-cohn or matern)",
        name);
  *out = (sky_correlation){(sky_correlation_kind)k, nu};
  if (k != SKY_CORR_MATERN)
    return isnan(nu)
               ? SKY_OK
               : sky_fail(ctx, SKY_E_JOB,
                          "correlation: %s has no smoothness (%g; only matern has one)", name, nu);
  if (nu > 0 && nu <= SKY_MATERN_MOST) return SKY_OK;
  return sky_fail(ctx, SKY_E_JOB,
                  "correlation: smoothness %g of matern (expected a number above 0, at most %g)",
                  nu, SKY_MATERN_MOST);
}

sky_status sky_correlation_parse(sky_context *ctx, const char *text, sky_correlation *out) {
  char name[32], number[32];
  int end = -1;
  double nu = NAN;
  if (sscanf(text, "%31[^(](%31[^)])%n", name, number, &end) != 2 || end != (int)strlen(text))
    return sky_correlation_make(ctx, text, NAN, out);
  if (!sky_number_parse(number, &nu, NULL) || isnan(nu))
    return sky_fail(ctx, SKY_E_JOB, "correlation: '%s': '%s' is not a number", text, number);
  return sky_correlation_make(ctx, name, nu, out);
}

void sky_correlation_format(sky_correlation model, char text[SKY_CORRELATION_TEXT]) {
  if (model.kind == SKY_CORR_MATERN)
    snprintf(text, SKY_CORRELATION_TEXT, "%s(%.17g)", names[model.kind], model.nu);
  else
    snprintf(text, SKY_CORRELATION_TEXT, "%s", names[model.kind]);
}

/* ---- products ------------------------------------------------------------------------------- */

/* out = S v */
static void scale(sky_context *ctx, size_t n, const double *sd, const double *v, size_t count,
                  double *out) {
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t k = 0; k < count; k++)
    for (size_t i = 0; i < n; i++)
      out[k * n + i] = sd[i] * v[k * n + i];
}

void sky_kronecker_apply(sky_context *ctx, size_t n_cell, size_t n_time, const double *D,
                         const double *E, const double *sd, const double *v, size_t count,
                         double *work, double *out) {
  const size_t n = n_cell * n_time;
  scale(ctx, n, sd, v, count, out);
  sky_product(ctx, count * n_time, n_cell, n_cell, out, E, work);
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t k = 0; k < count; k++)
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n_time, (int)n_cell, (int)n_time,
                1.0, D, (int)n_time, work + k * n, (int)n_cell, 0.0, out + k * n, (int)n_cell);
  scale(ctx, n, sd, out, count, out);
}

/* out = F diag(s) Fᵀ v + diag(var) v, vector by vector. */
static void low_rank_apply(sky_context *ctx, const sky_covariance *q, const double *v, size_t count,
                           double *out) {
  const size_t n = q->n_cell * q->n_time;
#pragma omp parallel for schedule(dynamic) num_threads(sky_context_threads(ctx))
  for (size_t k = 0; k < count; k++) {
    double *o = out + k * n;
    for (size_t i = 0; i < n; i++)
      o[i] = q->var[i] * v[k * n + i];
    for (size_t r = 0; r < q->rank; r++) {
      const double *f = q->factor + r * n;
      cblas_daxpy((int)n, q->sign[r] * sky_dot(f, v + k * n, n), f, 1, o, 1);
    }
  }
}

void sky_covariance_apply(sky_context *ctx, const sky_covariance *q, const double *v, size_t count,
                          double *work, double *out) {
  if (q->levels != NULL)
    sky_levels_apply(ctx, q->levels, v, count, out);
  else if (q->var != NULL)
    low_rank_apply(ctx, q, v, count, out);
  else
    sky_kronecker_apply(ctx, q->n_cell, q->n_time, q->D, q->E, q->sd, v, count, work, out);
}
