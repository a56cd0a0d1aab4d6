/* synth_content.h: soundings with known content, before any product's layout.
 *
 * SI throughout, vertical index 0 at the surface, as in skyflux/soundings.h; written here anew, so
 * that the granules made from it check the readers. For every sounding and gas
 *     x = prior + Σ_k weight_k ak_k (c_k - profile_k) + sigma·noise,   prior = Σ_k weight_k
 * profile_k (Rodgers & Connor 2003, Eq. 15) with an invented atmosphere c. */
#ifndef SKY_JOB_SYNTH_CONTENT_H
#define SKY_JOB_SYNTH_CONTENT_H

#include "skyflux/context.h"

#define SKY_CONTENT_GASES 2
#define SKY_CONTENT_RANK 8 /* of the singular value decomposition of a profile kernel */

typedef enum sky_content_state {
  SKY_CONTENT_GOOD,
  SKY_CONTENT_BAD,   /* flagged by the retrieval */
  SKY_CONTENT_EMPTY, /* no value: fill */
  SKY_CONTENT_SNOW,  /* a good value over snow */
  SKY_CONTENT_STATES
} sky_content_state;
extern const char *const sky_content_states[SKY_CONTENT_STATES];

typedef enum sky_content_vertical {
  SKY_CONTENT_LEVELS,     /* evenly spaced levels, the top at p_s/10^4 */
  SKY_CONTENT_LAYERS,     /* layers of equal pressure thickness, the top at 10 Pa */
  SKY_CONTENT_PROFILES,   /* levels of altitude, fewer over high ground; kernels of the profile */
  SKY_CONTENT_COLUMN_ONLY /* no kernels */
} sky_content_vertical;

typedef struct sky_content_plan {
  size_t rows, columns; /* along and across the track */
  size_t levels;
  sky_content_vertical vertical;
  size_t n_gases;
  const char *gas[SKY_CONTENT_GASES]; /* co2, ch4, n2o */
  double lon, lat;                    /* degrees, of the first row's middle */
  double pixel;                       /* degrees, edge of a pixel */
  double spacing;                     /* between pixels, in pixels */
  double start;                       /* s since 1970 */
  bool snow, empty;   /* states that the product can hold */
  bool all_good;      /* it keeps no flagged soundings */
  bool short_columns; /* the lowest level is missing in some flagged ones */
  uint64_t seed;
} sky_content_plan;

typedef struct sky_content_gas {    /* [n] or [n * levels] */
  double *x, *sigma, *prior;        /* mol mol-1 */
  double *profile, *ak, *subcolumn; /* subcolumn: mol m-2, of the prior */
  double *retrieved;                /* profile as retrieved (SKY_CONTENT_PROFILES) */
  double *left, *right;             /* [n * RANK * levels] singular vectors of its own block */
} sky_content_gas;

typedef struct sky_content {
  sky_content_plan plan;
  size_t n;
  uint8_t *state;
  size_t *top, *rank; /* levels that a sounding has; of its kernel's decomposition */
  double *lon, *lat, *time, *altitude, *surface_pressure, *interval, *sun, *view, *albedo;
  double *corner_lon, *corner_lat; /* [4 n], counter-clockwise */
  double *pressure, *weight, *water, *height,
      *temperature;           /* [n * levels]; water: mol per mol dry */
  double *edge, *edge_height; /* [n * (levels + 1)] of layers */
  double *dry;                /* [n * levels] mol m-2 */
  double *value;              /* [n * RANK] singular values */
  sky_content_gas gas[SKY_CONTENT_GASES];
} sky_content;

SKY_NODISCARD sky_status sky_content_create(sky_context *ctx, const sky_content_plan *plan,
                                            sky_content *out);
void sky_content_free(sky_content *c); /* NULL-safe, zeroes */

/* The content as a table, one row a sounding and gas. */
SKY_NODISCARD sky_status sky_content_write_csv(sky_context *ctx, const sky_content *c,
                                               const char *path);
#endif
