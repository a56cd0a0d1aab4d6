/* soundings_file.c: the harmonised file back into memory (layout: write/soundings_nc.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/read/granule.h"
#include "src/read/nc.h"
#include "src/read/soundings.h"

enum { PER_ROW, PER_LEVEL, PER_CORNER };

typedef struct column { /* a double variable of the file and its place */
  const char *name, *unit;
  size_t at;
  int per;
  bool required, place; /* place: of sky_soundings_read_places */
} column;

#define COLUMN(name, file, unit, per, required) \
  { file, unit, offsetof(sky_soundings, name), per, required, false }
#define PLACE(name, file, unit, per, required) \
  { file, unit, offsetof(sky_soundings, name), per, required, true }
static const column COLUMNS[] = {
    PLACE(lat, "latitude", "degrees_north", PER_ROW, true),
    PLACE(lon, "longitude", "degrees_east", PER_ROW, true),
    PLACE(x, "x", "1", PER_ROW, true),
    PLACE(sigma, "x_uncertainty", "1", PER_ROW, true),
    COLUMN(prior, "x_prior", "1", PER_ROW, true),
    COLUMN(surface_pressure, "surface_pressure", "Pa", PER_ROW, true),
    COLUMN(quality, "quality", "1", PER_ROW, true),
    COLUMN(pressure, "pressure", "Pa", PER_LEVEL, true),
    COLUMN(weight, "pressure_weight", "1", PER_LEVEL, true),
    COLUMN(ak, "averaging_kernel", "1", PER_LEVEL, true),
    COLUMN(profile, "profile_prior", "1", PER_LEVEL, true),
    COLUMN(albedo, "albedo", "1", PER_ROW, false),
    COLUMN(airmass, "airmass", "1", PER_ROW, false),
    COLUMN(aerosol, "aerosol", "1", PER_ROW, false),
    COLUMN(wind_east, "eastward_wind", "m s-1", PER_ROW, false),
    COLUMN(wind_north, "northward_wind", "m s-1", PER_ROW, false),
    COLUMN(stripe, "stripe_correction", "1", PER_ROW, false),
    COLUMN(background, "background", "1", PER_ROW, false),
    COLUMN(background_sigma, "background_uncertainty", "1", PER_ROW, false),
    PLACE(corner_lon, "longitude_bounds", "degrees_east", PER_CORNER, false),
    PLACE(corner_lat, "latitude_bounds", "degrees_north", PER_CORNER, false),
};

/* The writer multiplies by what the field shows (1e9 for ppb, 1e-2 for hPa). That is undone so that
 * the same product comes out again: the quotient's neighbours are tried, too. */
static double undo(double shown, double factor) {
  const double x = shown / factor;
  if (x * factor == shown || isnan(x)) return x;
  const double up = nextafter(x, INFINITY), down = nextafter(x, -INFINITY);
  return up * factor == shown ? up : down * factor == shown ? down : x;
}

static sky_status read_column(sky_context *ctx, sky_nc *f, const column *c, const sky_species *gas,
                              sky_soundings *s) {
  const size_t width = c->per == PER_LEVEL ? s->n_levels : c->per == PER_CORNER ? 4 : 1;
  if (width == 0 || (!c->required && !sky_nc_has(f, c->name))) return SKY_OK;
  sky_nc_var info;
  double *values = NULL;
  SKY_TRY(sky_nc_info(ctx, f, c->name, &info));
  const double factor = strcmp(info.units, gas->column_unit) == 0 ? gas->column_scale
                        : strcmp(info.units, "hPa") == 0          ? 1e-2
                                                                  : 1.0;
  if (factor != 1.0) {
    SKY_TRY(sky_nc_read(ctx, f, c->name, &info, &values));
    for (size_t i = 0; i < info.count; ++i)
      values[i] = undo(values[i], factor);
  } else { /* CF: bounds take the unit of what they bound */
    SKY_TRY(sky_nc_read_as(ctx, f, c->name, c->unit, c->per == PER_CORNER ? c->unit : NULL, &info,
                           &values));
  }
  if (info.count != s->n * width) {
    sky_free(values);
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu", sky_nc_path(f), c->name,
                    info.count, s->n * width);
  }
  void *old;
  memcpy(&old, (char *)s + c->at, sizeof old);
  sky_free(old);
  memcpy((char *)s + c->at, &values, sizeof values);
  return SKY_OK;
}

static sky_status read_text_attr(sky_context *ctx, sky_nc *f, const char *name, char *out,
                                 size_t size) {
  char *text;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", name, &text));
  snprintf(out, size, "%s", text != NULL ? text : "");
  sky_free(text);
  return SKY_OK;
}

typedef struct index_column { /* an integer variable of the file */
  const char *name;
  double low; /* first legal value; what is missing is -1 */
  double end; /* first value beyond; 0: none */
} index_column;

/* Values of an integer variable [count], checked. */
static sky_status read_index(sky_context *ctx, sky_nc *f, const index_column *c, size_t count,
                             double **out) {
  sky_nc_var info;
  double *v;
  *out = NULL;
  SKY_TRY(sky_nc_info(ctx, f, c->name, &info));
  if (info.count != count) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu", sky_nc_path(f), c->name,
                    info.count, count);
  }
  SKY_TRY(sky_nc_read(ctx, f, c->name, &info, &v));
  for (size_t i = 0; i < count; ++i) {
    if (isnan(v[i]) && c->low < 0) v[i] = -1;
    if (v[i] >= c->low && v[i] < c->end) continue;
    const sky_status st = sky_fail(ctx, SKY_E_RANGE, "%s: %s: %g is outside %g..%g", sky_nc_path(f),
                                   c->name, v[i], c->low, c->end - 1);
    sky_free(v);
    return st;
  }
  *out = v;
  return SKY_OK;
}

#define ANY_INDEX ((double)INT32_MAX + 1)

static sky_status read_indices(sky_context *ctx, sky_nc *f, bool places, sky_soundings *s) {
  const index_column columns[] = {{"drop_reason", 0, SKY_DROP_COUNT},
                                  {"surface", 0, 2 * SKY_SURFACE_SNOW},
                                  {"granule_index", 0, (double)s->n_granules},
                                  {"scanline", -1, ANY_INDEX},
                                  {"pixel", -1, ANY_INDEX},
                                  {"overpass", -1, ANY_INDEX}};
  uint8_t *const byte[] = {s->drop, s->surface};
  int32_t *const word[] = {s->granule, s->scanline, s->pixel, s->overpass};
  for (size_t k = 0; k < sizeof columns / sizeof columns[0]; ++k) {
    double *v;
    if (places && k != 0 && k != 2) continue; /* drop_reason and granule_index */
    SKY_TRY(read_index(ctx, f, &columns[k], s->n, &v));
    for (size_t i = 0; i < s->n && k < 2; ++i)
      byte[k][i] = (uint8_t)v[i];
    for (size_t i = 0; i < s->n && k >= 2; ++i)
      word[k - 2][i] = (int32_t)v[i];
    sky_free(v);
  }
  return SKY_OK;
}

static sky_status read_granules(sky_context *ctx, sky_nc *f, sky_soundings *s) {
  static const char *const NAMES[] = {"granule", "granule_product", "granule_version"};
  const index_column vertical = {"granule_vertical", 0, SKY_VERTICAL_MIXED};
  const index_column drops = {"granule_drops", 0, 9007199254740992.0}; /* 2^53: exact in double */
  char **text[3] = {NULL};
  size_t n[3] = {0};
  double *kind = NULL, *count = NULL;
  sky_status st = SKY_OK;
  for (int k = 0; k < 3; ++k) {
    SKY_GO(sky_nc_read_strings(ctx, f, NAMES[k], &n[k], &text[k]));
    if (n[k] != n[0])
      SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu", sky_nc_path(f),
                      NAMES[k], n[k], n[0]));
  }
  SKY_GO(read_index(ctx, f, &vertical, n[0], &kind));
  SKY_GO(read_index(ctx, f, &drops, n[0] * SKY_DROP_COUNT, &count));
  for (size_t g = 0; g < n[0]; ++g) {
    SKY_GO(sky_soundings_add_granule(ctx, s, text[0][g], text[1][g], text[2][g],
                                     (sky_vertical)kind[g]));
    for (size_t k = g * SKY_DROP_COUNT; k < (g + 1) * SKY_DROP_COUNT; ++k)
      s->granule_drops[k] = (uint64_t)count[k];
  }
cleanup:
  for (int k = 0; k < 3; ++k)
    sky_file_list_free(text[k], n[k]);
  sky_free(kind);
  sky_free(count);
  return st;
}

static sky_vertical vertical_of(const char *word) {
  static const char *const NAMES[] = {"none", "levels", "layers", "mixed"};
  for (int k = SKY_VERTICAL_LEVELS; k <= SKY_VERTICAL_MIXED; ++k)
    if (strcmp(word, NAMES[k]) == 0) return (sky_vertical)k;
  return SKY_VERTICAL_NONE;
}

/* Optional arrays of the file. */
static unsigned with_of(const sky_nc *f) {
  static const struct {
    const char *name;
    unsigned with;
  } OF[] = {{"longitude_bounds", SKY_WITH_CORNERS}, {"albedo", SKY_WITH_ALBEDO},
            {"airmass", SKY_WITH_AIRMASS},          {"aerosol", SKY_WITH_AEROSOL},
            {"eastward_wind", SKY_WITH_WIND},       {"stripe_correction", SKY_WITH_STRIPE},
            {"background", SKY_WITH_BACKGROUND}};
  unsigned with = 0;
  for (size_t k = 0; k < sizeof OF / sizeof OF[0]; ++k)
    if (sky_nc_has(f, OF[k].name)) with |= OF[k].with;
  return with;
}

sky_status sky_soundings_recognise(sky_context *ctx, const char *path, bool *out) {
  sky_nc *f;
  char word[32];
  SKY_TRY(sky_nc_open(ctx, path, &f));
  const sky_status st = read_text_attr(ctx, f, "skyflux_content", word, sizeof word);
  *out = st == SKY_OK && strcmp(word, SKY_SOUNDINGS_CONTENT) == 0;
  sky_nc_close(f);
  return st;
}

static sky_status open_harmonised(sky_context *ctx, const char *path, sky_nc **out) {
  char word[32];
  SKY_TRY(sky_nc_open(ctx, path, out));
  sky_status st = read_text_attr(ctx, *out, "skyflux_content", word, sizeof word);
  if (st == SKY_OK && strcmp(word, SKY_SOUNDINGS_CONTENT) != 0) {
    st = sky_fail(ctx, SKY_E_FORMAT,
                  "%s: not a harmonised soundings file (attribute skyflux_content is '%s', "
                  "expected '%s')",
                  path, word, SKY_SOUNDINGS_CONTENT);
  }
  if (st == SKY_OK) return SKY_OK;
  sky_nc_close(*out);
  *out = NULL;
  return st;
}

static sky_status count_rows(sky_context *ctx, sky_nc *f, size_t *n) {
  *n = sky_nc_dim(f, "sounding");
  if (*n != SIZE_MAX) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: sounding: dimension missing", sky_nc_path(f));
}

static sky_status read_rows(sky_context *ctx, sky_nc *f, size_t n, bool places, sky_soundings *s) {
  sky_status st = SKY_OK;
  double *time = NULL;
  char word[32];
  size_t n_time = 0;
  const size_t levels = places ? SIZE_MAX : sky_nc_dim(f, "level");
  const unsigned with = with_of(f) & (places ? SKY_WITH_CORNERS : ~0U);
  SKY_GO(sky_soundings_alloc(ctx, n, levels == SIZE_MAX ? 0 : levels, with, s));
  SKY_GO(read_text_attr(ctx, f, "gas", s->gas, sizeof s->gas));
  SKY_GO(read_text_attr(ctx, f, "product", s->product, sizeof s->product));
  SKY_GO(read_text_attr(ctx, f, "kernel_note", s->kernel_note, sizeof s->kernel_note));
  SKY_GO(read_text_attr(ctx, f, "vertical", word, sizeof word));
  s->vertical = vertical_of(word);
  const sky_species *gas = sky_species_find(s->gas);
  if (gas == NULL)
    SKY_GO(sky_fail(ctx, SKY_E_GAS, "%s: gas '%s' is not known", sky_nc_path(f), s->gas));
  SKY_GO(read_granules(ctx, f, s));
  SKY_GO(sky_nc_read_time(ctx, f, "time", &n_time, &time));
  if (n_time != n) {
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: time: %zu values, expected %zu", sky_nc_path(f), n_time,
                    n));
  }
  if (n > 0) memcpy(s->time, time, n * sizeof *time);
  for (size_t k = 0; k < sizeof COLUMNS / sizeof COLUMNS[0]; ++k)
    if (!places || COLUMNS[k].place) SKY_GO(read_column(ctx, f, &COLUMNS[k], gas, s));
  if (!places) SKY_GO(sky_nc_read_u64(ctx, f, "sounding_id", n, s->id));
  SKY_GO(read_indices(ctx, f, places, s));
cleanup:
  sky_free(time);
  return st;
}

static sky_status read_window(sky_context *ctx, const char *path, const size_t *window, bool places,
                              const char *attr_name, char **attr, sky_soundings *out) {
  sky_nc *f = NULL;
  sky_soundings s = {0};
  sky_status st = SKY_OK;
  size_t n;
  memset(out, 0, sizeof *out);
  SKY_GO(open_harmonised(ctx, path, &f));
  SKY_GO(count_rows(ctx, f, &n));
  if (window != NULL) {
    n = window[1];
    sky_nc_window(f, "sounding", window[0], n);
  }
  SKY_GO(read_rows(ctx, f, n, places, &s));
  if (attr_name != NULL) SKY_GO(sky_nc_attr_text(ctx, f, "", attr_name, attr));
  *out = s;
  memset(&s, 0, sizeof s);
cleanup:
  sky_soundings_free(&s);
  sky_nc_close(f);
  return st;
}

sky_status sky_soundings_read(sky_context *ctx, const char *path, sky_soundings *out) {
  return read_window(ctx, path, NULL, false, NULL, NULL, out);
}

sky_status sky_soundings_read_rows(sky_context *ctx, const char *path, size_t first, size_t count,
                                   const char *attr_name, char **attr, sky_soundings *out) {
  const size_t window[2] = {first, count};
  *attr = NULL;
  return read_window(ctx, path, window, false, attr_name, attr, out);
}

sky_status sky_soundings_read_places(sky_context *ctx, const char *path, size_t first, size_t count,
                                     sky_soundings *out) {
  const size_t window[2] = {first, count};
  return read_window(ctx, path, window, true, NULL, NULL, out);
}

#define INDEX_ROWS ((size_t)1 << 18) /* read at once */

sky_status sky_soundings_index(sky_context *ctx, const char *path, size_t *n, size_t **first) {
  sky_nc *f = NULL;
  double *v = NULL;
  size_t *start = NULL, rows;
  sky_status st = SKY_OK;
  *first = NULL;
  SKY_GO(open_harmonised(ctx, path, &f));
  SKY_GO(count_rows(ctx, f, &rows));
  *n = sky_nc_dim(f, "granule");
  if (*n == SIZE_MAX) SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: granule: dimension missing", path));
  const index_column wanted = {"granule_index", 0, (double)*n};
  SKY_GO_ALLOC(start, SKY_NEW0(ctx, size_t, *n + 1));
  size_t g = 0;
  for (size_t at = 0; at < rows; at += INDEX_ROWS) {
    const size_t count = rows - at < INDEX_ROWS ? rows - at : INDEX_ROWS;
    sky_nc_window(f, "sounding", at, count);
    sky_free(v);
    SKY_GO(read_index(ctx, f, &wanted, count, &v));
    for (size_t i = 0; i < count; ++i) {
      if (v[i] < (double)g) {
        SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: granule_index: %g follows %zu, expected ascending",
                        path, v[i], g));
      }
      while (g < (size_t)v[i])
        start[++g] = at + i;
    }
  }
  while (g < *n)
    start[++g] = rows;
  *first = start;
  start = NULL;
cleanup:
  sky_free(start);
  sky_free(v);
  sky_nc_close(f);
  return st;
}
