/* covariance.h: correlation models, the Kronecker prior Q = S (D ⊗ E) S, the low-rank one
 * Q = F diag(s) Fᵀ + diag(v) and that of levels (levels.h). Pure functions. */
#ifndef SKY_ALGORITHMS_COVARIANCE_H
#define SKY_ALGORITHMS_COVARIANCE_H

#include "skyflux/problem.h"

double sky_correlation_value(sky_correlation model, double distance, double length);
/* Dense correlation matrix from a distance callback; parallel over rows; C [n*n]. */
typedef double (*sky_distance_fn)(const void *user, size_t i, size_t j);
void sky_correlation_matrix(sky_context *ctx, sky_correlation model, double length,
                            sky_distance_fn distance, const void *user, size_t n, double *C);
/* E and D of a problem from its models, lengths and cell centres (great circles where geographic);
 * and their derivatives by the logarithms of length_km and length_steps. E, D are allocated. */
void sky_problem_correlate(sky_context *ctx, sky_problem *p);
void sky_problem_correlate_space_slope(sky_context *ctx, const sky_problem *p, double *dE);
void sky_problem_correlate_time_slope(sky_context *ctx, const sky_problem *p, double *dD);
/* d/d(log length); 0 at distance 0 and, for the spherical model, from one length on. */
double sky_correlation_slope(sky_correlation model, double distance, double length);
#define SKY_CORRELATION_TEXT 40
/* Names: "none", "spherical", "exponential", "matern32", "matern52", "gaspari-cohn", and "matern",
 * whose smoothness nu is above 0 and at most SKY_MATERN_MOST; NaN: none is given, as it must be for
 * the others. SKY_E_JOB tells what is not usable. In text: the name, or "matern(1.2)"; it is
 * written so that reading it gives the same model. */
SKY_NODISCARD sky_status sky_correlation_make(sky_context *ctx, const char *name, double nu,
                                              sky_correlation *out);
SKY_NODISCARD sky_status sky_correlation_parse(sky_context *ctx, const char *text,
                                               sky_correlation *out);
void sky_correlation_format(sky_correlation model, char text[SKY_CORRELATION_TEXT]);
/* out [n_time*n_cell] = S (D⊗E) S v = S vec(E (V) Dᵀ) for `count` vectors stored one after another;
 * work as large as count vectors. Deterministic for any thread count. */
void sky_kronecker_apply(sky_context *ctx, size_t n_cell, size_t n_time, const double *D,
                         const double *E, const double *sd, const double *v, size_t count,
                         double *work, double *out);

/* A covariance of n_cell*n_time unknowns in one of three forms; none of its arrays is owned. */
typedef struct sky_covariance {
  size_t n_cell, n_time;
  const double *sd, *E, *D; /* Kronecker; not looked at where var is there */
  size_t rank;
  const double *factor, *sign; /* [rank*n] rows of Fᵀ; [rank] +1, -1 */
  const double *var;           /* [n] */
  const sky_levels *levels;    /* or NULL; else nothing above but the sizes is looked at */
} sky_covariance;

/* out [count*n] = Q v; work as large (Kronecker only). Never forms Q; same bits for any thread
 * count. */
void sky_covariance_apply(sky_context *ctx, const sky_covariance *q, const double *v, size_t count,
                          double *work, double *out);
#endif
