/* soundings.h: retrievals of one gas, harmonised.
 *
 * Everything is SI: mole fractions mol mol-1 (dry air), pressure Pa, time s since 1970-01-01 UTC.
 * Vertical index 0 is the surface, always (readers orient by pressure). The averaging kernel is the
 * normalised one, so that for every product
 *     X_model = prior + sum_k weight_k * ak_k * (c_k - profile_k)      (Rodgers & Connor 2003 Eq.
 * 15) with sum_k weight_k = 1 (TCCON: within 1 %, its operator normalises by the column of O2).
 * Products without kernels have n_levels = 0. */
#ifndef SKYFLUX_SOUNDINGS_H
#define SKYFLUX_SOUNDINGS_H

#include "skyflux/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sky_drop { /* why a sounding is not used; one reason each, the first that applies */
                        SKY_DROP_NONE = 0,
                        SKY_DROP_QUALITY = 1,   /* the product's quality rule */
                        SKY_DROP_FILL = 2,      /* value, position or time is fill */
                        SKY_DROP_RANGE = 3,     /* outside the plausible range of the gas */
                        SKY_DROP_KERNEL = 4,    /* kernel, weights or prior profile incomplete */
                        SKY_DROP_SURFACE = 5,   /* snow, water or coast rule of the product */
                        SKY_DROP_BOX = 6,       /* outside the requested box */
                        SKY_DROP_PERIOD = 7,    /* outside the requested period */
                        SKY_DROP_FOOTPRINT = 8, /* no footprint matches */
                        SKY_DROP_COUNT = 9
} sky_drop;

const char *sky_drop_name(sky_drop reason); /* "quality", "fill", … */

typedef enum sky_vertical {
  SKY_VERTICAL_NONE = 0,
  SKY_VERTICAL_LEVELS = 1, /* values at pressure[k] */
  SKY_VERTICAL_LAYERS = 2  /* values are means of layers; pressure[k] is the layer's mid pressure */
} sky_vertical;

typedef struct sky_soundings {
  size_t n;
  size_t n_levels; /* 0 without kernels */
  sky_vertical vertical;
  char gas[8];               /* "co2", "ch4", "n2o" */
  char product[32];          /* reader id: "acos-lite", "s5p-blnd", … */
  char kernel_note[64];      /* e.g. "applied" conventions or why there is none; may be empty */
  double *time, *lat, *lon;  /* [n] */
  double *x, *sigma, *prior; /* [n] column, 1-sigma, prior column */
  double *surface_pressure;  /* [n] Pa, NaN unknown */
  double *pressure, *weight, *ak, *profile; /* [n*n_levels] */
  double *corner_lon, *corner_lat;          /* [n*4] or NULL */
  uint64_t *id;                             /* [n] product's sounding id, or index in the granule */
  uint8_t *drop;                            /* [n] sky_drop; 0 = good */
  int32_t *granule;                         /* [n] index into granules */
  size_t n_granules;
  char **granules; /* base names */
} sky_soundings;

/* n soundings, values NaN, drop 0. corners: allocate corner arrays. */
SKY_NODISCARD sky_status sky_soundings_alloc(sky_context *ctx, size_t n, size_t n_levels,
                                             bool corners, sky_soundings *out);
void sky_soundings_free(sky_soundings *s); /* NULL-safe, zeroes */
/* Append b to a (same gas; SKY_E_GAS otherwise). Different n_levels: the smaller is padded with NaN
 * above its top, weights 0. */
SKY_NODISCARD sky_status sky_soundings_append(sky_context *ctx, sky_soundings *a,
                                              const sky_soundings *b);
size_t sky_soundings_good(const sky_soundings *s);
void sky_soundings_count(const sky_soundings *s, size_t count[SKY_DROP_COUNT]);

#ifdef __cplusplus
}
#endif
#endif
