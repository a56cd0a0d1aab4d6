/* noise.h: the covariance of observation errors, R = S ρ S with S = diag(r_sd): independent, or
 * correlated along the track of an overpass (noise.md). Every product costs O(n_obs). */
#ifndef SKY_ALGORITHMS_NOISE_H
#define SKY_ALGORITHMS_NOISE_H

#include "skyflux/problem.h"

/* ρ_ij = √(share_i share_j) exp(-|along_i - along_j| / length) for two observations of one
 * overpass, 1 for i = j, else 0. All share_i are `share` at first. overpass [n] whole numbers,
 * along [n] and length in one unit; both are copied. SKY_E_RANGE names what is not usable; also two
 * observations of one place where share is 1. */
SKY_NODISCARD sky_status sky_track_create(sky_context *ctx, size_t n, const int32_t *overpass,
                                          const double *along, double length, double share,
                                          sky_track **out);
void sky_track_free(sky_track *t); /* NULL-safe */
size_t sky_track_size(const sky_track *t);
/* The track of the observations index [n] alone: ρ of a part is that part of ρ. */
SKY_NODISCARD sky_status sky_track_select(sky_context *ctx, const sky_track *t, size_t n,
                                          const size_t *index, sky_track **out);

int32_t sky_track_overpass(const sky_track *t, size_t i);
double sky_track_share(const sky_track *t, size_t i);
/* Another share of each observation, [n] above 0 and at most 1: where an sd has grown by something
 * that is not correlated. SKY_E_RANGE as above. */
SKY_NODISCARD sky_status sky_track_dilute(sky_context *ctx, sky_track *t, const double *share);

typedef struct sky_noise { /* R; arrays are borrowed */
  size_t n;
  const double *r_sd;     /* [n] */
  const sky_track *track; /* NULL: R is diagonal */
} sky_noise;

sky_noise sky_problem_noise(const sky_problem *p);

double sky_noise_element(const sky_noise *r, size_t i, size_t j); /* R_ij */
/* row[j] += R_ij for j <= i */
void sky_noise_covariance(const sky_noise *r, size_t i, double *row);
/* Σ_j R_ij v_j: an element of R v, or of the diagonal of R A where v is column i of A */
double sky_noise_row(const sky_noise *r, size_t i, const double *v);
/* vᵀ R v, element i of v at v[i*stride] */
double sky_noise_variance(const sky_noise *r, const double *v, size_t stride);
double sky_noise_logdet(const sky_noise *r);

/* In place, v [n], with R = R^½ R^½ᵀ; whitening divides by r_sd, which must be > 0. */
void sky_noise_colour(const sky_noise *r, double *v);            /* R^½ v */
void sky_noise_colour_transposed(const sky_noise *r, double *v); /* R^½ᵀ v */
void sky_noise_whiten(const sky_noise *r, double *v);            /* R^-½ v */
void sky_noise_whiten_transposed(const sky_noise *r, double *v); /* R^-½ᵀ v */

#endif
