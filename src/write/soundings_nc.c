/* soundings_nc.c: see soundings_nc.h. The layout is read back by sky_soundings_read
 * (read/granule.h); a round-trip test keeps the two together. */
#include "src/write/soundings_nc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/write/nc_write.h"

#define HPA 1e-2 /* Pa -> hPa */

static const char FORMULA[] =
    "index 0 is the surface; X_model = x_prior + sum over level of pressure_weight * "
    "averaging_kernel * (c - profile_prior), c the model's dry mole fraction "
    "(Rodgers and Connor 2003, Eq. 15)";

/* --- the variables of a sounding ---------------------------------------------------------------
 */

/* Units that depend on the gas: its column unit; all else is the text itself. */
static const char COLUMN_UNIT[] = "column";

typedef struct column { /* a double array of sky_soundings */
  size_t at;
  const char *name, *dims, *units, *long_name, *standard_name, *comment;
  unsigned with;  /* SKY_WITH_ bit; 0: always there */
  bool auxiliary; /* carries coordinates = "time latitude longitude" */
} column;

#define ROW "sounding"
#define LEVEL "sounding,level"
#define CORNER "sounding,corner"
#define AT(member) offsetof(sky_soundings, member)

static const column COLUMNS[] = {
    {AT(time), "time", ROW, "seconds since 1970-01-01 00:00:00", "time of measurement", "time",
     NULL, 0, false},
    {AT(lat), "latitude", ROW, "degrees_north", "latitude of the sounding's centre", "latitude",
     NULL, 0, false},
    {AT(lon), "longitude", ROW, "degrees_east", "longitude of the sounding's centre", "longitude",
     NULL, 0, false},
    {AT(corner_lat), "latitude_bounds", CORNER, NULL, "latitude of the corners", NULL, NULL,
     SKY_WITH_CORNERS, false},
    {AT(corner_lon), "longitude_bounds", CORNER, NULL, "longitude of the corners", NULL, NULL,
     SKY_WITH_CORNERS, false},
    {AT(x), "x", ROW, COLUMN_UNIT, "column-averaged dry-air mole fraction", "gas", NULL, 0, true},
    {AT(sigma), "x_uncertainty", ROW, COLUMN_UNIT, "1-sigma uncertainty of x", "gas error", NULL, 0,
     true},
    {AT(prior), "x_prior", ROW, COLUMN_UNIT, "prior of x in the retrieval", NULL, NULL, 0, true},
    {AT(quality), "quality", ROW, "1", "the product's own quality figure as stored", NULL,
     "drop_reason applies the product's rule to it", 0, true},
    {AT(surface_pressure), "surface_pressure", ROW, "hPa", "surface pressure of the retrieval",
     "surface_air_pressure", NULL, 0, true},
    {AT(pressure), "pressure", LEVEL, "hPa",
     "pressure of the levels, or in the middle of the layers (granule_vertical)", "air_pressure",
     NULL, 0, true},
    {AT(weight), "pressure_weight", LEVEL, "1", "share of the level in the dry-air column", NULL,
     FORMULA, 0, true},
    {AT(ak), "averaging_kernel", LEVEL, "1", "normalised column averaging kernel", NULL, FORMULA, 0,
     true},
    {AT(profile), "profile_prior", LEVEL, COLUMN_UNIT, "prior profile, dry-air mole fraction", NULL,
     NULL, 0, true},
    {AT(albedo), "albedo", ROW, "1", "surface albedo in the retrieval's band", "surface_albedo",
     NULL, SKY_WITH_ALBEDO, true},
    {AT(airmass), "airmass", ROW, "1", "air mass factor 1/cos(sza) + 1/cos(vza)", NULL, NULL,
     SKY_WITH_AIRMASS, true},
    {AT(aerosol), "aerosol", ROW, "1", "aerosol optical depth of the retrieval", NULL, NULL,
     SKY_WITH_AEROSOL, true},
    {AT(wind_east), "eastward_wind", ROW, "m s-1", "wind that the product carries", "eastward_wind",
     NULL, SKY_WITH_WIND, true},
    {AT(wind_north), "northward_wind", ROW, "m s-1", "wind that the product carries",
     "northward_wind", NULL, SKY_WITH_WIND, true},
    {AT(stripe), "stripe_correction", ROW, COLUMN_UNIT, "what destriping has taken off x", NULL,
     "x + stripe_correction is the value of the product", SKY_WITH_STRIPE, true},
    {AT(background), "background", ROW, COLUMN_UNIT, "background of x", NULL, NULL,
     SKY_WITH_BACKGROUND, true},
    {AT(background_sigma), "background_uncertainty", ROW, COLUMN_UNIT,
     "1-sigma uncertainty of background", NULL, NULL, SKY_WITH_BACKGROUND, true},
};
#define N_COLUMNS (sizeof COLUMNS / sizeof COLUMNS[0])

/* Made while writing, in the file's unit: concatenating files cannot change it. */
static const column ENHANCEMENT = {0,           "enhancement",        ROW,
                                   COLUMN_UNIT, "x minus background", NULL,
                                   NULL,        SKY_WITH_BACKGROUND,  true};

static const struct {
  size_t at;
  const char *name, *long_name;
} INDICES[] = {
    {AT(granule), "granule_index", "position in granule"},
    {AT(scanline), "scanline", "index along track in the granule"},
    {AT(pixel), "pixel", "index across track in the granule"},
    {AT(overpass), "overpass", "contiguous pass of a granule"},
};
#define N_INDICES (sizeof INDICES / sizeof INDICES[0])

struct sky_soundings_file {
  sky_context *ctx;
  sky_ncw *w;
  const sky_species *gas;
  unsigned with;
  size_t n_levels, n_granules, n, done;
  int32_t *product; /* [n_granules] index into the products of the file */
};

static const void *array_of(const sky_soundings *s, size_t at) {
  const void *p;
  memcpy(&p, (const char *)s + at, sizeof p);
  return p;
}

static size_t width_of(const sky_soundings_file *f, const char *dims) {
  return strcmp(dims, LEVEL) == 0 ? f->n_levels : strcmp(dims, CORNER) == 0 ? 4 : 1;
}

static bool is_written(const sky_soundings_file *f, const column *c) {
  return width_of(f, c->dims) > 0 && (c->with == 0 || (c->with & f->with) != 0);
}

/* --- definition --------------------------------------------------------------------------------
 */

/* CF has a standard name for these two gases. */
static const char *standard_name(const sky_species *gas, const char *name) {
  static const char CO2[] = "dry_atmosphere_mole_fraction_of_carbon_dioxide";
  static const char CH4[] = "dry_atmosphere_mole_fraction_of_methane";
  if (name == NULL || strncmp(name, "gas", 3) != 0) return name;
  const char *own = strcmp(gas->id, "co2") == 0 ? CO2 : strcmp(gas->id, "ch4") == 0 ? CH4 : NULL;
  if (own == NULL || strcmp(name, "gas") == 0) return own;
  return own == CO2 ? "dry_atmosphere_mole_fraction_of_carbon_dioxide standard_error"
                    : "dry_atmosphere_mole_fraction_of_methane standard_error";
}

static sky_status define_column(sky_soundings_file *f, const column *c) {
  sky_ncw *w = f->w;
  const char *units = c->units == COLUMN_UNIT ? f->gas->column_unit : c->units;
  const char *standard = standard_name(f->gas, c->standard_name);
  if (!is_written(f, c)) return SKY_OK;
  SKY_TRY(sky_ncw_var(w, c->name, 'd', c->dims));
  SKY_TRY(sky_ncw_att(w, c->name, "long_name", c->long_name));
  if (standard != NULL) SKY_TRY(sky_ncw_att(w, c->name, "standard_name", standard));
  if (units != NULL) SKY_TRY(sky_ncw_att(w, c->name, "units", units));
  if (c->comment != NULL) SKY_TRY(sky_ncw_att(w, c->name, "comment", c->comment));
  if (c->auxiliary) SKY_TRY(sky_ncw_att(w, c->name, "coordinates", "time latitude longitude"));
  /* CF 7.1: bounds take their attributes from what they bound. */
  if (strcmp(c->dims, CORNER) == 0) return SKY_OK;
  return sky_ncw_att_num(w, c->name, "_FillValue", NAN);
}

static sky_status define_flags(sky_ncw *w, const char *name, const char *dims,
                               const char *long_name, const int32_t *masks, const int32_t *values,
                               size_t n, const char *meanings) {
  SKY_TRY(sky_ncw_var(w, name, 'b', dims));
  SKY_TRY(sky_ncw_att(w, name, "long_name", long_name));
  if (masks != NULL) SKY_TRY(sky_ncw_att_flags(w, name, "flag_masks", masks, n));
  SKY_TRY(sky_ncw_att_flags(w, name, "flag_values", values, n));
  SKY_TRY(sky_ncw_att(w, name, "flag_meanings", meanings));
  if (strcmp(dims, ROW) != 0) return SKY_OK;
  return sky_ncw_att(w, name, "coordinates", "time latitude longitude");
}

static sky_status define_surface(sky_ncw *w) {
  static const int32_t MASKS[] = {SKY_SURFACE_TYPE, SKY_SURFACE_TYPE, SKY_SURFACE_TYPE,
                                  SKY_SURFACE_TYPE, SKY_SURFACE_SNOW};
  static const int32_t VALUES[] = {SKY_SURFACE_UNKNOWN, SKY_SURFACE_LAND, SKY_SURFACE_WATER,
                                   SKY_SURFACE_COAST, SKY_SURFACE_SNOW};
  return define_flags(w, "surface", ROW, "surface of the sounding", MASKS, VALUES, 5,
                      "unknown land water coast snow_or_ice");
}

static sky_status define_drop(sky_ncw *w) {
  char meanings[160] = "good";
  int32_t values[SKY_DROP_COUNT] = {0};
  for (int k = 1; k < SKY_DROP_COUNT; ++k) {
    values[k] = k;
    strcat(strcat(meanings, " "), sky_drop_name((sky_drop)k));
  }
  return define_flags(w, "drop_reason", ROW, "why the sounding is not used", NULL, values,
                      SKY_DROP_COUNT, meanings);
}

/* Products in the order in which granules bring them. */
static sky_status define_products(sky_soundings_file *f, const sky_soundings *head) {
  char meanings[1024] = "";
  int32_t values[128];
  size_t n = 0;
  f->product = SKY_NEW(f->ctx, int32_t, head->n_granules);
  if (f->product == NULL) return SKY_E_NOMEM;
  for (size_t g = 0; g < head->n_granules; ++g) {
    size_t first = 0; /* granule that brought this product */
    while (strcmp(head->granule_product[first], head->granule_product[g]) != 0)
      ++first;
    if (first < g) {
      f->product[g] = f->product[first];
      continue;
    }
    const size_t used = strlen(meanings);
    if (n == 127 || used + 34 > sizeof meanings)
      return sky_fail(f->ctx, SKY_E_RANGE, "more than %zu products in one file", n);
    snprintf(meanings + used, sizeof meanings - used, "%s%s", n > 0 ? " " : "",
             head->granule_product[g]);
    values[n] = (int32_t)n;
    f->product[g] = (int32_t)n++;
  }
  return define_flags(f->w, "product_id", ROW, "product of the sounding", NULL, values, n,
                      meanings);
}

static sky_status define_indices(sky_ncw *w) {
  SKY_TRY(sky_ncw_var(w, "sounding_id", 'u', ROW));
  SKY_TRY(sky_ncw_att(w, "sounding_id", "long_name",
                      "id given by the product, else the row in the granule"));
  for (size_t k = 0; k < N_INDICES; ++k) {
    SKY_TRY(sky_ncw_var(w, INDICES[k].name, 'i', ROW));
    SKY_TRY(sky_ncw_att(w, INDICES[k].name, "long_name", INDICES[k].long_name));
    SKY_TRY(sky_ncw_att_num(w, INDICES[k].name, "_FillValue", -1));
  }
  return SKY_OK;
}

static sky_status put_bytes(sky_soundings_file *f, const char *name, const uint8_t *v, size_t n,
                            bool rows) {
  int32_t *shown = SKY_NEW(f->ctx, int32_t, n);
  if (shown == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; ++i)
    shown[i] = v[i];
  const sky_status st =
      rows ? sky_ncw_put_rows(f->w, name, f->done, n, shown) : sky_ncw_put_i32(f->w, name, shown);
  sky_free(shown);
  return st;
}

static sky_status write_granules(sky_soundings_file *f, const sky_soundings *head) {
  static const int32_t KINDS[] = {SKY_VERTICAL_NONE, SKY_VERTICAL_LEVELS, SKY_VERTICAL_LAYERS};
  const struct {
    const char *name, *long_name;
    char **text;
  } texts[] = {{"granule", "file that the sounding was read from", head->granules},
               {"granule_product", "product of the granule", head->granule_product},
               {"granule_version", "version of the product as the granule states it",
                head->granule_version}};
  sky_ncw *w = f->w;
  for (size_t k = 0; k < sizeof texts / sizeof texts[0]; ++k) {
    SKY_TRY(sky_ncw_var(w, texts[k].name, 's', "granule"));
    SKY_TRY(sky_ncw_att(w, texts[k].name, "long_name", texts[k].long_name));
    SKY_TRY(sky_ncw_put_strings(w, texts[k].name, (const char *const *)texts[k].text));
  }
  SKY_TRY(define_flags(w, "granule_vertical", "granule", "what an index of level means", NULL,
                       KINDS, 3, "none levels layers"));
  SKY_TRY(put_bytes(f, "granule_vertical", head->granule_vertical, head->n_granules, false));
  SKY_TRY(sky_ncw_var(w, "granule_drops", 'u', "granule,reason"));
  SKY_TRY(sky_ncw_att(w, "granule_drops", "long_name",
                      "soundings of the granule by drop_reason, also those not in this file"));
  return sky_ncw_put_u64(w, "granule_drops", head->granule_drops);
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

static sky_status define_all(sky_soundings_file *f, const sky_soundings *head,
                             const char *const *attrs) {
  sky_ncw *w = f->w;
  const size_t n = head->n;
  SKY_TRY(sky_ncw_rows(w, "sounding", n < SKY_SOUNDINGS_PIECE ? n : SKY_SOUNDINGS_PIECE));
  if (f->n_levels > 0) SKY_TRY(sky_ncw_dim(w, "level", f->n_levels));
  if (f->with & SKY_WITH_CORNERS) SKY_TRY(sky_ncw_dim(w, "corner", 4));
  SKY_TRY(sky_ncw_dim(w, "granule", head->n_granules));
  SKY_TRY(sky_ncw_dim(w, "reason", SKY_DROP_COUNT));
  SKY_TRY(write_globals(w, head, attrs));
  for (size_t k = 0; k < N_COLUMNS; ++k)
    SKY_TRY(define_column(f, &COLUMNS[k]));
  SKY_TRY(define_column(f, &ENHANCEMENT));
  SKY_TRY(sky_ncw_att(w, "time", "calendar", "standard"));
  if (f->with & SKY_WITH_CORNERS) {
    SKY_TRY(sky_ncw_att(w, "latitude", "bounds", "latitude_bounds"));
    SKY_TRY(sky_ncw_att(w, "longitude", "bounds", "longitude_bounds"));
  }
  SKY_TRY(define_surface(w));
  SKY_TRY(define_drop(w));
  SKY_TRY(define_products(f, head));
  SKY_TRY(define_indices(w));
  return write_granules(f, head);
}

sky_status sky_soundings_file_create(sky_context *ctx, const char *path, const sky_soundings *head,
                                     unsigned with, bool on_disk, const char *const *attrs,
                                     sky_soundings_file **out) {
  sky_soundings_file *f = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  const sky_species *gas = sky_species_find(head->gas);
  if (gas == NULL) return sky_fail(ctx, SKY_E_GAS, "%s: gas '%s' is not known", path, head->gas);
  if (head->n == 0) return sky_fail(ctx, SKY_E_NODATA, "%s: no soundings to write", path);
  SKY_GO_ALLOC(f, SKY_NEW0(ctx, sky_soundings_file, 1));
  *f = (sky_soundings_file){.ctx = ctx, .gas = gas, .with = with, .n = head->n};
  f->n_levels = head->n_levels;
  f->n_granules = head->n_granules;
  SKY_GO(on_disk ? sky_ncw_create_file(ctx, path, &f->w) : sky_ncw_create(ctx, path, &f->w));
  SKY_GO(define_all(f, head, attrs));
  *out = f;
  return SKY_OK;
cleanup:
  sky_soundings_file_abort(f);
  return st;
}

/* --- rows --------------------------------------------------------------------------------------
 */

static double scale_of(const sky_soundings_file *f, const column *c) {
  if (c->units == COLUMN_UNIT) return f->gas->column_scale;
  return c->units != NULL && strcmp(c->units, "hPa") == 0 ? HPA : 1.0;
}

static sky_status put_column(sky_soundings_file *f, const sky_soundings *s, const column *c,
                             double *work) {
  const double *x = array_of(s, c->at);
  const double scale = scale_of(f, c);
  if (!is_written(f, c)) return SKY_OK;
  if (scale != 1.0) {
    for (size_t i = 0; i < s->n * width_of(f, c->dims); ++i)
      work[i] = x[i] * scale;
    x = work;
  }
  return sky_ncw_put_rows(f->w, c->name, f->done, s->n, x);
}

static sky_status put_enhancement(sky_soundings_file *f, const sky_soundings *s, double *work) {
  const double scale = f->gas->column_scale;
  if (!is_written(f, &ENHANCEMENT)) return SKY_OK;
  for (size_t i = 0; i < s->n; ++i)
    work[i] = s->x[i] * scale - s->background[i] * scale;
  return sky_ncw_put_rows(f->w, ENHANCEMENT.name, f->done, s->n, work);
}

static sky_status put_rows(sky_soundings_file *f, const sky_soundings *s, double *work,
                           int32_t *product) {
  for (size_t k = 0; k < N_COLUMNS; ++k)
    SKY_TRY(put_column(f, s, &COLUMNS[k], work));
  SKY_TRY(put_enhancement(f, s, work));
  SKY_TRY(put_bytes(f, "surface", s->surface, s->n, true));
  SKY_TRY(put_bytes(f, "drop_reason", s->drop, s->n, true));
  for (size_t i = 0; i < s->n; ++i) {
    if (s->granule[i] < 0 || (size_t)s->granule[i] >= f->n_granules)
      return sky_fail(f->ctx, SKY_E_INTERNAL, "sounding of granule %d of %zu", s->granule[i],
                      f->n_granules);
    product[i] = f->product[s->granule[i]];
  }
  SKY_TRY(sky_ncw_put_rows(f->w, "product_id", f->done, s->n, product));
  SKY_TRY(sky_ncw_put_rows(f->w, "sounding_id", f->done, s->n, s->id));
  for (size_t k = 0; k < N_INDICES; ++k)
    SKY_TRY(sky_ncw_put_rows(f->w, INDICES[k].name, f->done, s->n, array_of(s, INDICES[k].at)));
  return SKY_OK;
}

sky_status sky_soundings_file_put(sky_soundings_file *f, const sky_soundings *s) {
  double *work = NULL;
  int32_t *product = NULL;
  sky_status st = SKY_OK;
  if (s->n_levels != f->n_levels || f->done + s->n > f->n || (f->with & ~sky_soundings_with(s)))
    return sky_fail(f->ctx, SKY_E_INTERNAL, "%s: soundings that do not fit the file",
                    sky_ncw_path(f->w));
  SKY_GO_ALLOC(work, SKY_NEW(f->ctx, double, s->n *(f->n_levels > 4 ? f->n_levels : 4)));
  SKY_GO_ALLOC(product, SKY_NEW(f->ctx, int32_t, s->n));
  SKY_GO(put_rows(f, s, work, product));
  f->done += s->n;
cleanup:
  sky_free(work);
  sky_free(product);
  return st;
}

sky_status sky_soundings_file_commit(sky_soundings_file *f) {
  sky_status st = SKY_OK;
  if (f->done != f->n)
    st = sky_fail(f->ctx, SKY_E_INTERNAL, "%s: %zu of %zu soundings written", sky_ncw_path(f->w),
                  f->done, f->n);
  if (st == SKY_OK) {
    st = sky_ncw_commit(f->w);
    f->w = NULL;
  }
  sky_soundings_file_abort(f);
  return st;
}

void sky_soundings_file_abort(sky_soundings_file *f) {
  if (f == NULL) return;
  sky_ncw_abort(f->w);
  sky_free(f->product);
  sky_free(f);
}

sky_status sky_soundings_write(sky_context *ctx, const char *path, const sky_soundings *s,
                               const char *const *attrs) {
  sky_soundings_file *f;
  SKY_TRY(sky_soundings_file_create(ctx, path, s, sky_soundings_with(s), false, attrs, &f));
  const sky_status st = sky_soundings_file_put(f, s);
  if (st == SKY_OK) return sky_soundings_file_commit(f);
  sky_soundings_file_abort(f);
  return st;
}
