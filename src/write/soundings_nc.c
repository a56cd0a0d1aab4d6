/* soundings_nc.c: see soundings_nc.h. The layout is read back by sky_soundings_read
 * (read/granule.h); a round-trip test keeps the two together. */
#include "src/write/soundings_nc.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/write/nc_write.h"

#define HPA 1e-2 /* Pa -> hPa */

static sky_status put_scaled(sky_context *ctx, sky_ncw *w, const char *name, const double *x,
                             size_t n, double scale) {
  if (scale == 1.0) return sky_ncw_put(w, name, x);
  double *shown = SKY_NEW(ctx, double, n);
  if (shown == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; ++i)
    shown[i] = x[i] * scale;
  const sky_status st = sky_ncw_put(w, name, shown);
  sky_free(shown);
  return st;
}

typedef struct column { /* one variable of doubles */
  const char *name, *dims, *units, *long_name, *standard_name, *comment;
  const double *data;
  size_t count;
  double scale;
  bool coordinates; /* carries coordinates = "time latitude longitude" */
} column;

static sky_status write_column(sky_context *ctx, sky_ncw *w, const column *c) {
  if (c->data == NULL || c->count == 0) return SKY_OK;
  SKY_TRY(sky_ncw_var(w, c->name, 'd', c->dims));
  SKY_TRY(sky_ncw_att(w, c->name, "long_name", c->long_name));
  if (c->standard_name != NULL) {
    SKY_TRY(sky_ncw_att(w, c->name, "standard_name", c->standard_name));
  }
  SKY_TRY(sky_ncw_att(w, c->name, "units", c->units));
  if (c->comment != NULL) SKY_TRY(sky_ncw_att(w, c->name, "comment", c->comment));
  if (c->coordinates) SKY_TRY(sky_ncw_att(w, c->name, "coordinates", "time latitude longitude"));
  SKY_TRY(sky_ncw_att_num(w, c->name, "_FillValue", NAN));
  return put_scaled(ctx, w, c->name, c->data, c->count, c->scale);
}

/* CF has a standard name for these two gases. */
static const char *standard_name(const char *gas) {
  if (strcmp(gas, "co2") == 0) return "dry_atmosphere_mole_fraction_of_carbon_dioxide";
  if (strcmp(gas, "ch4") == 0) return "dry_atmosphere_mole_fraction_of_methane";
  return NULL;
}

static sky_status write_place_and_time(sky_context *ctx, sky_ncw *w, const sky_soundings *s) {
  const size_t n = s->n;
  const column columns[] = {
      {"time", "sounding", "seconds since 1970-01-01 00:00:00", "time of measurement", "time", NULL,
       s->time, n, 1, false},
      {"latitude", "sounding", "degrees_north", "latitude of the sounding's centre", "latitude",
       NULL, s->lat, n, 1, false},
      {"longitude", "sounding", "degrees_east", "longitude of the sounding's centre", "longitude",
       NULL, s->lon, n, 1, false},
      {"latitude_bounds", "sounding,corner", "degrees_north", "latitude of the corners", NULL, NULL,
       s->corner_lat, 4 * n, 1, false},
      {"longitude_bounds", "sounding,corner", "degrees_east", "longitude of the corners", NULL,
       NULL, s->corner_lon, 4 * n, 1, false},
  };
  for (size_t i = 0; i < sizeof columns / sizeof columns[0]; ++i) {
    SKY_TRY(write_column(ctx, w, &columns[i]));
  }
  SKY_TRY(sky_ncw_att(w, "time", "calendar", "standard"));
  if (s->corner_lat != NULL) {
    SKY_TRY(sky_ncw_att(w, "latitude", "bounds", "latitude_bounds"));
    SKY_TRY(sky_ncw_att(w, "longitude", "bounds", "longitude_bounds"));
  }
  return SKY_OK;
}

static const char FORMULA[] =
    "index 0 is the surface; X_model = x_prior + sum over level of pressure_weight * "
    "averaging_kernel * (c - profile_prior), c the model's dry mole fraction "
    "(Rodgers and Connor 2003, Eq. 15)";

static sky_status write_values(sky_context *ctx, sky_ncw *w, const sky_soundings *s,
                               const sky_species *gas) {
  const size_t n = s->n, nk = s->n * s->n_levels;
  const char *unit = gas->column_unit;
  const double scale = gas->column_scale;
  static const char *const PRESSURE_NAME[] = {
      "pressure of the levels", "pressure of the levels", "pressure in the middle of the layers",
      "pressure of the levels, or in the middle of the layers (granule_vertical)"};
  const column columns[] = {
      {"x", "sounding", unit, "column-averaged dry-air mole fraction", standard_name(s->gas), NULL,
       s->x, n, scale, true},
      {"x_uncertainty", "sounding", unit, "1-sigma uncertainty of x", NULL, NULL, s->sigma, n,
       scale, true},
      {"x_prior", "sounding", unit, "prior of x in the retrieval", NULL, NULL, s->prior, n, scale,
       true},
      {"quality", "sounding", "1", "the product's own quality figure as stored", NULL,
       "see granule_product for the product's rule", s->quality, n, 1, true},
      {"surface_pressure", "sounding", "hPa", "surface pressure of the retrieval",
       "surface_air_pressure", NULL, s->surface_pressure, n, HPA, true},
      {"pressure", "sounding,level", "hPa", PRESSURE_NAME[s->vertical], "air_pressure", NULL,
       s->pressure, nk, HPA, true},
      {"pressure_weight", "sounding,level", "1", "share of the level in the dry-air column", NULL,
       FORMULA, s->weight, nk, 1, true},
      {"averaging_kernel", "sounding,level", "1", "normalised column averaging kernel", NULL,
       FORMULA, s->ak, nk, 1, true},
      {"profile_prior", "sounding,level", unit, "prior profile, dry-air mole fraction", NULL, NULL,
       s->profile, nk, scale, true},
  };
  for (size_t i = 0; i < sizeof columns / sizeof columns[0]; ++i) {
    SKY_TRY(write_column(ctx, w, &columns[i]));
  }
  return SKY_OK;
}

/* What only some products, or cleaning and background, add. */
static sky_status write_optional(sky_context *ctx, sky_ncw *w, const sky_soundings *s,
                                 const sky_species *gas) {
  const size_t n = s->n;
  const char *unit = gas->column_unit;
  const double scale = gas->column_scale;
  double *enhancement = NULL;
  if (s->background != NULL) {
    enhancement = SKY_NEW(ctx, double, n);
    if (enhancement == NULL) return SKY_E_NOMEM;
    for (size_t i = 0; i < n; ++i)
      enhancement[i] = s->x[i] - s->background[i];
  }
  const column columns[] = {
      {"albedo", "sounding", "1", "surface albedo in the retrieval's band", "surface_albedo", NULL,
       s->albedo, n, 1, true},
      {"airmass", "sounding", "1", "air mass factor 1/cos(sza) + 1/cos(vza)", NULL, NULL,
       s->airmass, n, 1, true},
      {"aerosol", "sounding", "1", "aerosol optical depth of the retrieval", NULL, NULL, s->aerosol,
       n, 1, true},
      {"eastward_wind", "sounding", "m s-1", "wind that the product carries", "eastward_wind", NULL,
       s->wind_east, n, 1, true},
      {"northward_wind", "sounding", "m s-1", "wind that the product carries", "northward_wind",
       NULL, s->wind_north, n, 1, true},
      {"stripe_correction", "sounding", unit, "what destriping has taken off x", NULL,
       "x + stripe_correction is the value of the product", s->stripe, n, scale, true},
      {"background", "sounding", unit, "background of x", NULL, NULL, s->background, n, scale,
       true},
      {"background_uncertainty", "sounding", unit, "1-sigma uncertainty of background", NULL, NULL,
       s->background_sigma, n, scale, true},
      {"enhancement", "sounding", unit, "x minus background", NULL, NULL, enhancement, n, scale,
       true},
  };
  sky_status st = SKY_OK;
  for (size_t i = 0; i < sizeof columns / sizeof columns[0] && st == SKY_OK; ++i)
    st = write_column(ctx, w, &columns[i]);
  sky_free(enhancement);
  return st;
}

static sky_status write_bytes(sky_context *ctx, sky_ncw *w, const char *name, const uint8_t *v,
                              size_t n) {
  int32_t *shown = SKY_NEW(ctx, int32_t, n);
  if (shown == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; ++i)
    shown[i] = v[i];
  const sky_status st = sky_ncw_put_i32(w, name, shown);
  sky_free(shown);
  return st;
}

static sky_status write_surface(sky_context *ctx, sky_ncw *w, const sky_soundings *s) {
  static const char NAME[] = "surface";
  static const int32_t MASKS[] = {SKY_SURFACE_TYPE, SKY_SURFACE_TYPE, SKY_SURFACE_TYPE,
                                  SKY_SURFACE_TYPE, SKY_SURFACE_SNOW};
  static const int32_t VALUES[] = {SKY_SURFACE_UNKNOWN, SKY_SURFACE_LAND, SKY_SURFACE_WATER,
                                   SKY_SURFACE_COAST, SKY_SURFACE_SNOW};
  SKY_TRY(sky_ncw_var(w, NAME, 'b', "sounding"));
  SKY_TRY(sky_ncw_att(w, NAME, "long_name", "surface of the sounding"));
  SKY_TRY(sky_ncw_att_flags(w, NAME, "flag_masks", MASKS, 5));
  SKY_TRY(sky_ncw_att_flags(w, NAME, "flag_values", VALUES, 5));
  SKY_TRY(sky_ncw_att(w, NAME, "flag_meanings", "unknown land water coast snow_or_ice"));
  SKY_TRY(sky_ncw_att(w, NAME, "coordinates", "time latitude longitude"));
  return write_bytes(ctx, w, NAME, s->surface, s->n);
}

static sky_status write_drop(sky_context *ctx, sky_ncw *w, const sky_soundings *s) {
  static const char NAME[] = "drop_reason";
  char meanings[160] = "";
  int32_t values[SKY_DROP_COUNT];
  for (int k = 0; k < SKY_DROP_COUNT; ++k) {
    values[k] = k;
    if (k > 0) strcat(meanings, " ");
    strcat(meanings, k == 0 ? "good" : sky_drop_name((sky_drop)k));
  }
  SKY_TRY(sky_ncw_var(w, NAME, 'b', "sounding"));
  SKY_TRY(sky_ncw_att(w, NAME, "long_name", "why the sounding is not used"));
  SKY_TRY(sky_ncw_att_flags(w, NAME, "flag_values", values, SKY_DROP_COUNT));
  SKY_TRY(sky_ncw_att(w, NAME, "flag_meanings", meanings));
  SKY_TRY(sky_ncw_att(w, NAME, "coordinates", "time latitude longitude"));
  return write_bytes(ctx, w, NAME, s->drop, s->n);
}

static sky_status write_index(sky_ncw *w, const char *name, const char *long_name,
                              const int32_t *v) {
  SKY_TRY(sky_ncw_var(w, name, 'i', "sounding"));
  SKY_TRY(sky_ncw_att(w, name, "long_name", long_name));
  SKY_TRY(sky_ncw_att_num(w, name, "_FillValue", -1));
  return sky_ncw_put_i32(w, name, v);
}

static sky_status write_granules(sky_context *ctx, sky_ncw *w, const sky_soundings *s) {
  static const int32_t KINDS[] = {SKY_VERTICAL_NONE, SKY_VERTICAL_LEVELS, SKY_VERTICAL_LAYERS};
  const struct {
    const char *name, *long_name;
    char **text;
  } texts[] = {
      {"granule", "file that the sounding was read from", s->granules},
      {"granule_product", "product of the granule", s->granule_product},
      {"granule_version", "version of the product as the granule states it", s->granule_version}};
  for (size_t k = 0; k < sizeof texts / sizeof texts[0]; ++k) {
    SKY_TRY(sky_ncw_var(w, texts[k].name, 's', "granule"));
    SKY_TRY(sky_ncw_att(w, texts[k].name, "long_name", texts[k].long_name));
    SKY_TRY(sky_ncw_put_strings(w, texts[k].name, (const char *const *)texts[k].text));
  }
  SKY_TRY(sky_ncw_var(w, "granule_vertical", 'b', "granule"));
  SKY_TRY(sky_ncw_att(w, "granule_vertical", "long_name", "what index level of a sounding means"));
  SKY_TRY(sky_ncw_att_flags(w, "granule_vertical", "flag_values", KINDS, 3));
  SKY_TRY(sky_ncw_att(w, "granule_vertical", "flag_meanings", "none levels layers"));
  SKY_TRY(write_bytes(ctx, w, "granule_vertical", s->granule_vertical, s->n_granules));
  SKY_TRY(sky_ncw_var(w, "granule_drops", 'u', "granule,reason"));
  SKY_TRY(sky_ncw_att(w, "granule_drops", "long_name",
                      "soundings of the granule by drop_reason, also those not in this file"));
  return sky_ncw_put_u64(w, "granule_drops", s->granule_drops);
}

static sky_status write_origin(sky_ncw *w, const sky_soundings *s) {
  SKY_TRY(sky_ncw_var(w, "sounding_id", 'u', "sounding"));
  SKY_TRY(sky_ncw_att(w, "sounding_id", "long_name",
                      "id given by the product, else the row in the granule"));
  SKY_TRY(sky_ncw_put_u64(w, "sounding_id", s->id));
  SKY_TRY(write_index(w, "granule_index", "position in granule", s->granule));
  SKY_TRY(write_index(w, "scanline", "index along track in the granule", s->scanline));
  SKY_TRY(write_index(w, "pixel", "index across track in the granule", s->pixel));
  return write_index(w, "overpass", "contiguous pass of a granule", s->overpass);
}

static sky_status write_globals(sky_ncw *w, const sky_soundings *s, const char *const *attrs) {
  static const char *const VERTICAL[] = {"none", "levels", "layers", "mixed"};
  SKY_TRY(sky_ncw_globals(w, attrs));
  SKY_TRY(sky_ncw_att(w, "", "skyflux_content", "soundings 2"));
  SKY_TRY(sky_ncw_att(w, "", "gas", s->gas));
  SKY_TRY(sky_ncw_att(w, "", "product", s->product));
  SKY_TRY(sky_ncw_att(w, "", "kernel_note", s->kernel_note));
  return sky_ncw_att(w, "", "vertical", VERTICAL[s->vertical]);
}

sky_status sky_soundings_write(sky_context *ctx, const char *path, const sky_soundings *s,
                               const char *const *attrs) {
  const sky_species *gas = sky_species_find(s->gas);
  if (gas == NULL) return sky_fail(ctx, SKY_E_GAS, "%s: gas '%s' is not known", path, s->gas);
  if (s->n == 0) return sky_fail(ctx, SKY_E_NODATA, "%s: no soundings to write", path);
  sky_ncw *w = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_ncw_create(ctx, path, &w));
  SKY_GO(sky_ncw_dim(w, "sounding", s->n));
  if (s->n_levels > 0) SKY_GO(sky_ncw_dim(w, "level", s->n_levels));
  if (s->corner_lat != NULL) SKY_GO(sky_ncw_dim(w, "corner", 4));
  SKY_GO(sky_ncw_dim(w, "granule", s->n_granules));
  SKY_GO(sky_ncw_dim(w, "reason", SKY_DROP_COUNT));
  SKY_GO(write_globals(w, s, attrs));
  SKY_GO(write_place_and_time(ctx, w, s));
  SKY_GO(write_values(ctx, w, s, gas));
  SKY_GO(write_optional(ctx, w, s, gas));
  SKY_GO(write_surface(ctx, w, s));
  SKY_GO(write_drop(ctx, w, s));
  SKY_GO(write_origin(w, s));
  SKY_GO(write_granules(ctx, w, s));
  st = sky_ncw_commit(w);
  w = NULL;
cleanup:
  sky_ncw_abort(w);
  return st;
}
