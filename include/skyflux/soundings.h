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
                        SKY_DROP_DUPLICATE = 9, /* the same sounding stands in a newer granule */
                        SKY_DROP_OUTLIER = 10,  /* far from its overpass, by a robust test */
                        SKY_DROP_STRIPE = 11,   /* in a stripe that cannot be corrected */
                        SKY_DROP_COUNT = 12
} sky_drop;

const char *sky_drop_name(sky_drop reason); /* "quality", "fill", … */

typedef enum sky_vertical {
  SKY_VERTICAL_NONE = 0,
  SKY_VERTICAL_LEVELS = 1, /* values at pressure[k] */
  SKY_VERTICAL_LAYERS = 2, /* values are means of layers; pressure[k] is the layer's mid pressure */
  SKY_VERTICAL_MIXED = 3   /* joined products differ: see granule_vertical */
} sky_vertical;

typedef enum sky_surface { /* of a sounding; low bits, SKY_SURFACE_SNOW may be added */
                           SKY_SURFACE_UNKNOWN = 0,
                           SKY_SURFACE_LAND = 1,
                           SKY_SURFACE_WATER = 2,
                           SKY_SURFACE_COAST = 3, /* land and water in one sounding */
                           SKY_SURFACE_TYPE = 0x0f,
                           SKY_SURFACE_SNOW = 0x10 /* snow or ice */
} sky_surface;

/* Arrays that a set may lack (NULL): what sky_soundings_alloc is asked for. */
enum {
  SKY_WITH_CORNERS = 1,
  SKY_WITH_ALBEDO = 2,
  SKY_WITH_AIRMASS = 4,
  SKY_WITH_AEROSOL = 8,
  SKY_WITH_WIND = 16,
  SKY_WITH_STRIPE = 32,    /* made by cleaning */
  SKY_WITH_BACKGROUND = 64 /* made by the background */
};

typedef struct sky_soundings {
  size_t n;
  size_t n_levels; /* of the product with most of them; 0 without kernels */
  sky_vertical vertical;
  char gas[8];               /* "co2", "ch4", "n2o" */
  char product[32];          /* reader id: "acos-lite", "s5p-blnd", …; "mixed" */
  char kernel_note[64];      /* e.g. "applied" conventions or why there is none; may be empty */
  double *time, *lat, *lon;  /* [n] */
  double *x, *sigma, *prior; /* [n] column, 1-sigma, prior column */
  double *surface_pressure;  /* [n] Pa, NaN unknown */
  double *pressure, *weight, *ak, *profile; /* [n*n_levels] */
  double *quality;                          /* [n] the product's own figure as stored, or NaN */
  uint64_t *id;                             /* [n] product's sounding id, or index in the granule */
  uint8_t *drop;                            /* [n] sky_drop; 0 = good */
  uint8_t *surface;                         /* [n] sky_surface */
  int32_t *granule;                         /* [n] index into granules */
  int32_t *scanline, *pixel;                /* [n] index along and across track, -1 unknown */
  int32_t *overpass; /* [n] a granule's contiguous pass, numbered over the set; -1 unknown */
  /* NULL where no granule has them, NaN where this sounding's has not. */
  double *corner_lon, *corner_lat;       /* [n*4] */
  double *albedo, *airmass, *aerosol;    /* [n] airmass = 1/cos sza + 1/cos vza */
  double *wind_east, *wind_north;        /* [n] m s-1 */
  double *stripe;                        /* [n] mol mol-1 that destriping has taken off x */
  double *background, *background_sigma; /* [n] mol mol-1 and its 1-sigma */
  size_t n_granules;
  char **granules;           /* base names */
  char **granule_product;    /* reader ids */
  char **granule_version;    /* the product's version as its file states it, "" unknown */
  uint8_t *granule_vertical; /* sky_vertical */
  uint64_t *granule_drops;   /* [n_granules*SKY_DROP_COUNT] by reason (0: good), over every row of
                                the granule, also those that are not in the set */
} sky_soundings;

/* n soundings: values NaN, indices -1, all else 0; with: SKY_WITH_ bits. No granule yet. */
SKY_NODISCARD sky_status sky_soundings_alloc(sky_context *ctx, size_t n, size_t n_levels,
                                             unsigned with, sky_soundings *out);
/* The optional arrays that s lacks of `with`, as NaN. */
SKY_NODISCARD sky_status sky_soundings_add(sky_context *ctx, sky_soundings *s, unsigned with);
unsigned sky_soundings_with(const sky_soundings *s); /* SKY_WITH_ bits that s has */
/* One more granule; its counts are 0. */
SKY_NODISCARD sky_status sky_soundings_add_granule(sky_context *ctx, sky_soundings *s,
                                                   const char *name, const char *product,
                                                   const char *version, sky_vertical vertical);
void sky_soundings_free(sky_soundings *s); /* NULL-safe, zeroes */
/* Append b to a (same gas; SKY_E_GAS otherwise). Different n_levels: the smaller is padded with NaN
 * above its top, weights 0. Indices of granules and overpasses of b follow those of a. */
SKY_NODISCARD sky_status sky_soundings_append(sky_context *ctx, sky_soundings *a,
                                              const sky_soundings *b);
size_t sky_soundings_good(const sky_soundings *s);
void sky_soundings_count(const sky_soundings *s, size_t count[SKY_DROP_COUNT]);

#ifdef __cplusplus
}
#endif
#endif
