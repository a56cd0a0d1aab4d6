/* decode.c: the one engine that turns a product file into soundings by its declaration (product.h).
 *
 * Order of work: find the variables; read value, position and time; choose the rows of the
 * selection; read everything else for these rows; orient by pressure; derive weights; drop by rule.
 * Invariants of the result: skyflux/soundings.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/text.h"
#include "src/core/timeutil.h"
#include "src/read/granule.h"
#include "src/read/nc.h"
#include "src/read/product.h"
#include "src/read/soundings.h"

typedef struct decoder {
  sky_context *ctx;
  sky_nc *f;
  const sky_reader *r;
  const sky_species *gas;
  const sky_selection *sel;
  char *path[SKY_ROLE_COUNT]; /* variable of the file; NULL: absent */
  size_t n;                   /* rows of the file */
  size_t n_levels;
  size_t m, *row;               /* chosen rows */
  uint8_t *outside;             /* [m] SKY_DROP_BOX, SKY_DROP_PERIOD or 0 */
  double *flag[SKY_ROLE_COUNT]; /* [m] values that the rules ask for */
  double x_factor;              /* repair of a wrong unit of the value, else 1 */
  char x_units[128];            /* unit as stated by the value */
  sky_soundings s;
  size_t *drops;
} decoder;

/* --- which product -----------------------------------------------------------------------------
 */

static sky_status attr_matches(sky_context *ctx, sky_nc *f, const sky_reader *r, bool *match) {
  char *text;
  *match = true;
  if (r->marker_attr == NULL) return SKY_OK;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", r->marker_attr, &text));
  *match = text != NULL && strstr(text, r->marker_text) != NULL;
  sky_free(text);
  return SKY_OK;
}

static sky_status reader_matches(sky_context *ctx, sky_nc *f, const sky_reader *r, bool *match) {
  *match = false;
  for (size_t i = 0; i < 4 && r->marker[i] != NULL; ++i) {
    if (!sky_nc_has(f, r->marker[i])) return SKY_OK;
  }
  return attr_matches(ctx, f, r, match);
}

static sky_status unknown_product(sky_context *ctx, const char *path) {
  sky_text t = {.ctx = ctx};
  for (size_t i = 0; i < sky_reader_count(); ++i) {
    const sky_reader *r = sky_reader_at(i);
    if (!r->automatic) continue;
    sky_text_printf(&t, "%s%s:", t.length > 0 ? "; " : "", r->id);
    for (size_t k = 0; k < 4 && r->marker[k] != NULL; ++k)
      sky_text_printf(&t, " %s", r->marker[k]);
    if (r->marker_attr != NULL) sky_text_printf(&t, " :%s=%s", r->marker_attr, r->marker_text);
  }
  char *looked = sky_text_take(&t);
  if (looked == NULL) return SKY_E_NOMEM;
  const sky_status st =
      sky_fail(ctx, SKY_E_FORMAT, "%s: no known product (looked for %s)", path, looked);
  sky_free(looked);
  return st;
}

static sky_status find_reader(sky_context *ctx, sky_nc *f, const char *product,
                              const sky_reader **out) {
  *out = NULL;
  if (product != NULL && product[0] != '\0' && strcmp(product, "auto") != 0) {
    const sky_reader *r = sky_reader_find(product);
    if (r == NULL) {
      return sky_fail(ctx, SKY_E_USAGE, "product '%s' is not known (see skyflux list readers)",
                      product);
    }
    for (size_t i = 0; i < 4 && r->marker[i] != NULL; ++i) {
      if (!sky_nc_has(f, r->marker[i])) {
        return sky_fail(ctx, SKY_E_FORMAT, "%s: not a file of product %s (%s: variable missing)",
                        sky_nc_path(f), product, r->marker[i]);
      }
    }
    *out = r;
    return SKY_OK;
  }
  for (size_t i = 0; i < sky_reader_count() && *out == NULL; ++i) {
    const sky_reader *r = sky_reader_at(i);
    bool match = false;
    if (r->automatic) SKY_TRY(reader_matches(ctx, f, r, &match));
    if (match) *out = r;
  }
  return *out != NULL ? SKY_OK : unknown_product(ctx, sky_nc_path(f));
}

/* "/x{gas}" -> "/xch4"; malloc'd. */
static char *expand(sky_context *ctx, const char *pattern, const char *gas) {
  const char *hole = strstr(pattern, "{gas}");
  if (hole == NULL) return sky_strdup(ctx, pattern);
  return sky_sprintf(ctx, "%.*s%s%s", (int)(hole - pattern), pattern, gas, hole + 5);
}

static sky_status has_gas(sky_context *ctx, sky_nc *f, const sky_reader *r, const char *gas,
                          bool *found) {
  const sky_field_decl *x = sky_reader_field(r, SKY_ROLE_X);
  *found = false;
  for (size_t k = 0; k < SKY_FIELD_PATHS && x->path[k] != NULL && !*found; ++k) {
    char *path = expand(ctx, x->path[k], gas);
    if (path == NULL) return SKY_E_NOMEM;
    *found = sky_nc_has(f, path);
    sky_free(path);
  }
  return SKY_OK;
}

static sky_status list_gases(sky_context *ctx, sky_nc *f, const sky_reader *r,
                             sky_granule_info *out) {
  memset(out, 0, sizeof *out);
  snprintf(out->product, sizeof out->product, "%s", r->id);
  for (size_t i = 0; i < 4 && r->gases[i] != NULL; ++i) {
    bool found;
    SKY_TRY(has_gas(ctx, f, r, r->gases[i], &found));
    if (found) snprintf(out->gases[out->n_gases++], sizeof out->gases[0], "%s", r->gases[i]);
  }
  return SKY_OK;
}

sky_status sky_granule_identify(sky_context *ctx, const char *path, const char *product,
                                sky_granule_info *out) {
  sky_nc *f;
  const sky_reader *r;
  SKY_TRY(sky_nc_open(ctx, path, &f));
  sky_status st = find_reader(ctx, f, product, &r);
  if (st == SKY_OK) st = list_gases(ctx, f, r, out);
  sky_nc_close(f);
  return st;
}

sky_status sky_granule_probe(sky_context *ctx, const char *path, sky_granule_info *out) {
  return sky_granule_identify(ctx, path, NULL, out);
}

/* gas NULL: the only one of the file. */
static sky_status choose_gas(decoder *d, const char *gas) {
  sky_granule_info info;
  SKY_TRY(list_gases(d->ctx, d->f, d->r, &info));
  char names[64] = "";
  for (size_t i = 0; i < info.n_gases; ++i) {
    const size_t at = strlen(names);
    snprintf(names + at, sizeof names - at, "%s%s", i > 0 ? ", " : "", info.gases[i]);
  }
  if (gas == NULL || gas[0] == '\0') {
    if (info.n_gases != 1) {
      return sky_fail(d->ctx, SKY_E_GAS, "%s: product %s holds %s: name one gas", sky_nc_path(d->f),
                      d->r->id, info.n_gases > 0 ? names : "no gas");
    }
    gas = info.gases[0];
  }
  for (size_t i = 0; i < info.n_gases; ++i) {
    if (strcmp(info.gases[i], gas) != 0) continue;
    d->gas = sky_species_find(gas);
    if (d->gas != NULL) return SKY_OK;
  }
  return sky_fail(d->ctx, SKY_E_GAS, "%s: product %s has no %s (it holds %s)", sky_nc_path(d->f),
                  d->r->id, gas, info.n_gases > 0 ? names : "no gas");
}

/* --- variables ---------------------------------------------------------------------------------
 */

static sky_status resolve_paths(decoder *d) {
  sky_text missing = {.ctx = d->ctx};
  for (size_t i = 0; i < d->r->n_fields; ++i) {
    const sky_field_decl *field = &d->r->field[i];
    for (size_t k = 0; k < SKY_FIELD_PATHS && field->path[k] != NULL; ++k) {
      char *path = expand(d->ctx, field->path[k], d->gas->id);
      if (path == NULL) return SKY_E_NOMEM;
      if (sky_nc_has(d->f, path)) {
        d->path[field->role] = path;
        break;
      }
      sky_free(path);
    }
    if (field->required && d->path[field->role] == NULL) {
      sky_text_printf(&missing, "%s%s", missing.length > 0 ? ", " : "", field->path[0]);
    }
  }
  if (missing.length == 0 && !missing.failed) return SKY_OK;
  char *names = sky_text_take(&missing);
  if (names == NULL) return SKY_E_NOMEM;
  char *shown = expand(d->ctx, names, d->gas->id);
  const sky_status st =
      sky_fail(d->ctx, SKY_E_FORMAT, "%s: reader %s: required variable missing: %s",
               sky_nc_path(d->f), d->r->id, shown != NULL ? shown : names);
  sky_free(names);
  sky_free(shown);
  return st;
}

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Median of at most 9999 evenly spaced finite values; NaN if there are none. */
static double sample_median(const double *x, size_t n, double work[9999]) {
  size_t used = 0, finite = 0;
  for (size_t i = 0; i < n; ++i)
    finite += isfinite(x[i]) != 0;
  const size_t step = finite / 9999 + 1;
  for (size_t i = 0, seen = 0; i < n && used < 9999; ++i) {
    if (isfinite(x[i]) && seen++ % step == 0) work[used++] = x[i];
  }
  if (used == 0) return NAN;
  qsort(work, used, sizeof work[0], compare_doubles);
  return work[used / 2];
}

/* Real files state "1e-9" over ppm values. A median that is implausible as stated but plausible
 * after a power of 1000 is such a file. */
static sky_status magnitude_guard(decoder *d, sky_role role, const sky_nc_var *info, double *x,
                                  double *factor) {
  const size_t n = info->count;
  double *work = SKY_NEW(d->ctx, double, 9999);
  if (work == NULL) return SKY_E_NOMEM;
  const double median = sample_median(x, n, work);
  sky_free(work);
  const double low = d->gas->column_min / 3, high = d->gas->column_max * 3;
  *factor = 1.0;
  if (isnan(median) || (median >= low && median <= high)) return SKY_OK;
  static const double POWERS[] = {1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9};
  for (size_t k = 0; k < sizeof POWERS / sizeof POWERS[0]; ++k) {
    const double m = median * POWERS[k];
    if (m < d->gas->column_min || m > d->gas->column_max) continue;
    *factor = POWERS[k];
    for (size_t i = 0; i < n; ++i)
      x[i] *= *factor;
    sky_log(d->ctx, SKY_LOG_WARN,
            "%s: %s: unit '%s' gives a median %s of %g mol mol-1; values are scaled by %g",
            sky_file_base(sky_nc_path(d->f)), d->path[role], info->units, sky_role_name(role),
            median, *factor);
    return SKY_OK;
  }
  return SKY_OK;
}

/* The uncertainty has no magnitude of its own: it shares the value's unit and its repair. */
static sky_status repair_unit(decoder *d, sky_role role, const sky_nc_var *info, double *x) {
  double factor;
  if (role == SKY_ROLE_X) {
    snprintf(d->x_units, sizeof d->x_units, "%s", info->units);
    return magnitude_guard(d, role, info, x, &d->x_factor);
  }
  if (role == SKY_ROLE_PRIOR || role == SKY_ROLE_PROFILE) {
    return magnitude_guard(d, role, info, x, &factor);
  }
  if (role == SKY_ROLE_SIGMA && strcmp(info->units, d->x_units) == 0) {
    for (size_t i = 0; i < info->count && d->x_factor != 1.0; ++i)
      x[i] *= d->x_factor;
  }
  return SKY_OK;
}

/* All values of a role, in SI, values outside the declared range as NaN. */
static sky_status read_role(decoder *d, sky_role role, sky_nc_var *info, double **out) {
  const sky_field_decl *decl = sky_reader_field(d->r, role);
  const char *unit = sky_role_unit(role);
  *out = NULL;
  if (unit == NULL) {
    SKY_TRY(sky_nc_info(d->ctx, d->f, d->path[role], info));
    SKY_TRY(sky_nc_read(d->ctx, d->f, d->path[role], info, out));
  } else {
    SKY_TRY(sky_nc_read_as(d->ctx, d->f, d->path[role], unit, decl->assumed, info, out));
  }
  const sky_status st = repair_unit(d, role, info, *out);
  if (st != SKY_OK) {
    sky_free(*out);
    *out = NULL;
    return st;
  }
  for (size_t i = 0; i < info->count; ++i) {
    double *x = &(*out)[i];
    if (!(*x >= decl->min && *x <= decl->max)) *x = NAN;
  }
  return SKY_OK;
}

static sky_status wrong_count(decoder *d, sky_role role, size_t got, size_t expected) {
  return sky_fail(d->ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu (%s of reader %s)",
                  sky_nc_path(d->f), d->path[role], got, expected, sky_role_name(role), d->r->id);
}

/* The chosen rows of a role with `width` values a row -> dst [m*width]. Absent: dst is untouched.
 */
static sky_status gather(decoder *d, sky_role role, size_t width, double *dst) {
  if (d->path[role] == NULL) return SKY_OK;
  sky_nc_var info;
  double *all;
  SKY_TRY(read_role(d, role, &info, &all));
  if (info.count != d->n * width) {
    sky_free(all);
    return wrong_count(d, role, info.count, d->n * width);
  }
  for (size_t i = 0; i < d->m; ++i) {
    memcpy(dst + i * width, all + d->row[i] * width, width * sizeof *dst);
  }
  sky_free(all);
  return SKY_OK;
}

/* --- value, position, time ---------------------------------------------------------------------
 */

/* The column value by the first alternative that exists and holds a value: early files carry an
 * empty bias-corrected variable. Never silent. */
static sky_status read_column_value(decoder *d, double **x) {
  const sky_field_decl *decl = sky_reader_field(d->r, SKY_ROLE_X);
  sky_nc_var info;
  SKY_TRY(read_role(d, SKY_ROLE_X, &info, x));
  size_t valid = 0;
  for (size_t i = 0; i < info.count; ++i)
    valid += isfinite((*x)[i]) != 0;
  const char *last = NULL;
  for (size_t k = 0; k < SKY_FIELD_PATHS && decl->path[k] != NULL; ++k)
    last = decl->path[k];
  if (valid == 0 && strcmp(d->path[SKY_ROLE_X], last) != 0 && sky_nc_has(d->f, last)) {
    char *path = sky_strdup(d->ctx, last);
    sky_free(*x);
    *x = NULL;
    if (path == NULL) return SKY_E_NOMEM;
    sky_free(d->path[SKY_ROLE_X]);
    d->path[SKY_ROLE_X] = path;
    SKY_TRY(read_role(d, SKY_ROLE_X, &info, x));
  }
  if (decl->path[1] != NULL && strcmp(d->path[SKY_ROLE_X], decl->path[0]) != 0) {
    sky_log(d->ctx, SKY_LOG_WARN, "%s: %s is missing or empty; using %s",
            sky_file_base(sky_nc_path(d->f)), decl->path[0], d->path[SKY_ROLE_X]);
  }
  d->n = info.count;
  return SKY_OK;
}

static sky_status read_full(decoder *d, sky_role role, double **out) {
  sky_nc_var info;
  SKY_TRY(read_role(d, role, &info, out));
  if (info.count == d->n) return SKY_OK;
  sky_free(*out);
  *out = NULL;
  return wrong_count(d, role, info.count, d->n);
}

static sky_status time_from_text(decoder *d, double *time) {
  size_t count = 0;
  char **text = NULL;
  SKY_TRY(sky_nc_read_strings(d->ctx, d->f, d->path[SKY_ROLE_TIME], &count, &text));
  sky_status st = count == d->n ? SKY_OK : wrong_count(d, SKY_ROLE_TIME, count, d->n);
  for (size_t i = 0; i < d->n && st == SKY_OK; ++i) {
    if (text[i][0] == '\0' || sky_time_parse(d->ctx, text[i], &time[i]) != SKY_OK) time[i] = NAN;
  }
  if (st == SKY_OK) sky_error_clear(d->ctx);
  sky_file_list_free(text, count);
  return st;
}

/* One reference plus an offset per row or per scanline (the leading dimensions of a row). */
static sky_status time_from_offset(decoder *d, const double *reference, size_t n_reference,
                                   double *time) {
  sky_nc_var info;
  double *delta = NULL;
  if (n_reference != 1) return wrong_count(d, SKY_ROLE_TIME, n_reference, 1);
  SKY_TRY(read_role(d, SKY_ROLE_DELTA_TIME, &info, &delta));
  sky_status st = SKY_OK;
  if (info.count == 0 ? d->n > 0 : d->n % info.count != 0) {
    st = wrong_count(d, SKY_ROLE_DELTA_TIME, info.count, d->n);
  } else if (d->n > 0) {
    const size_t pixels = d->n / info.count;
    for (size_t i = 0; i < d->n; ++i)
      time[i] = reference[0] + delta[i / pixels];
  }
  sky_free(delta);
  return st;
}

static sky_status read_times(decoder *d, double **out) {
  double *time = SKY_NEW(d->ctx, double, d->n);
  if (time == NULL) return SKY_E_NOMEM;
  sky_status st;
  if (d->r->time == SKY_TIME_ISO) {
    st = time_from_text(d, time);
  } else {
    size_t count = 0;
    double *read = NULL;
    st = sky_nc_read_time(d->ctx, d->f, d->path[SKY_ROLE_TIME], &count, &read);
    if (st == SKY_OK && d->r->time == SKY_TIME_REFERENCE_DELTA) {
      st = time_from_offset(d, read, count, time);
    } else if (st == SKY_OK && count != d->n) {
      st = wrong_count(d, SKY_ROLE_TIME, count, d->n);
    } else if (st == SKY_OK) {
      memcpy(time, read, count * sizeof *time);
    }
    sky_free(read);
  }
  if (st != SKY_OK) {
    sky_free(time);
    time = NULL;
  }
  *out = time;
  return st;
}

/* --- choice of rows ----------------------------------------------------------------------------
 */

static bool inside_box(const sky_selection *sel, double lon, double lat) {
  if (!(lat >= sel->south && lat <= sel->north)) return false;
  const double east = sel->west > sel->east ? sel->east + 360.0 : sel->east;
  for (int turn = -1; turn <= 1; ++turn) {
    const double x = lon + 360.0 * turn;
    if (x >= sel->west && x <= east) return true;
  }
  return false;
}

sky_drop sky_selection_drop(const sky_selection *sel, double lon, double lat, double time) {
  if (sel == NULL) return SKY_DROP_NONE;
  if (sel->has_box && !inside_box(sel, lon, lat)) return SKY_DROP_BOX;
  if (!isnan(sel->start) && !(time >= sel->start)) return SKY_DROP_PERIOD;
  if (!isnan(sel->end) && !(time < sel->end)) return SKY_DROP_PERIOD;
  return SKY_DROP_NONE;
}

static sky_status choose_rows(decoder *d, const double *x, const double *lat, const double *lon,
                              const double *time) {
  const bool keep = d->sel != NULL && d->sel->keep_dropped;
  d->row = SKY_NEW(d->ctx, size_t, d->n);
  d->outside = SKY_NEW(d->ctx, uint8_t, d->n);
  if (d->row == NULL || d->outside == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < d->n; ++i) {
    const sky_drop outside = sky_selection_drop(d->sel, lon[i], lat[i], time[i]);
    if (isnan(x[i])) {
      d->drops[SKY_DROP_FILL] += outside == SKY_DROP_NONE;
      continue;
    }
    if (outside != SKY_DROP_NONE && !keep) {
      ++d->drops[outside];
      continue;
    }
    d->row[d->m] = i;
    d->outside[d->m++] = (uint8_t)outside;
  }
  return SKY_OK;
}

static double wrap_longitude(double lon) {
  return lon > 180.0 ? lon - 360.0 : lon;
}

static sky_status read_ids(decoder *d) {
  for (size_t i = 0; i < d->m; ++i)
    d->s.id[i] = d->row[i];
  if (d->path[SKY_ROLE_ID] == NULL) return SKY_OK;
  uint64_t *all = SKY_NEW(d->ctx, uint64_t, d->n);
  if (all == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_nc_read_u64(d->ctx, d->f, d->path[SKY_ROLE_ID], d->n, all);
  for (size_t i = 0; i < d->m && st == SKY_OK; ++i)
    d->s.id[i] = all[d->row[i]];
  sky_free(all);
  return st;
}

static sky_status count_levels(decoder *d) {
  sky_nc_var info;
  SKY_TRY(sky_nc_info(d->ctx, d->f, d->path[SKY_ROLE_AK], &info));
  d->n_levels = info.ndims > 0 ? info.size[info.ndims - 1] : 0;
  if (d->n_levels == 0 || info.count != d->n * d->n_levels) {
    return wrong_count(d, SKY_ROLE_AK, info.count, d->n * d->n_levels);
  }
  return SKY_OK;
}

static sky_status read_rows(decoder *d) {
  double *x = NULL, *lat = NULL, *lon = NULL, *time = NULL;
  sky_status st = SKY_OK;
  SKY_GO(read_column_value(d, &x));
  SKY_GO(read_full(d, SKY_ROLE_LAT, &lat));
  SKY_GO(read_full(d, SKY_ROLE_LON, &lon));
  SKY_GO(read_times(d, &time));
  SKY_GO(choose_rows(d, x, lat, lon, time));
  SKY_GO(count_levels(d));
  const bool corners = d->path[SKY_ROLE_CORNER_LAT] != NULL && d->path[SKY_ROLE_CORNER_LON] != NULL;
  SKY_GO(sky_soundings_alloc(d->ctx, d->m, d->n_levels, corners ? SKY_WITH_CORNERS : 0, &d->s));
  for (size_t i = 0; i < d->m; ++i) {
    d->s.x[i] = x[d->row[i]];
    d->s.lat[i] = lat[d->row[i]];
    d->s.lon[i] = wrap_longitude(lon[d->row[i]]);
    d->s.time[i] = time[d->row[i]];
  }
  SKY_GO(read_ids(d));
  if (corners) {
    SKY_GO(gather(d, SKY_ROLE_CORNER_LAT, 4, d->s.corner_lat));
    SKY_GO(gather(d, SKY_ROLE_CORNER_LON, 4, d->s.corner_lon));
    for (size_t i = 0; i < 4 * d->m; ++i)
      d->s.corner_lon[i] = wrap_longitude(d->s.corner_lon[i]);
  }
cleanup:
  sky_free(x);
  sky_free(lat);
  sky_free(lon);
  sky_free(time);
  return st;
}

/* --- vertical ----------------------------------------------------------------------------------
 */

static void reverse(double *x, size_t n) {
  for (size_t a = 0, b = n; a + 1 < b; ++a) {
    const double t = x[--b];
    x[b] = x[a];
    x[a] = t;
  }
}

static void reverse_row(sky_soundings *s, size_t i) {
  const size_t K = s->n_levels;
  reverse(s->pressure + i * K, K);
  reverse(s->weight + i * K, K);
  reverse(s->ak + i * K, K);
  reverse(s->profile + i * K, K);
}

/* Pressures per level are in the file: they say which end is the surface. */
static void orient_by_pressure(decoder *d) {
  const size_t K = d->n_levels;
  for (size_t i = 0; i < d->m; ++i) {
    const double *p = d->s.pressure + i * K;
    if (p[0] < p[K - 1]) reverse_row(&d->s, i);
  }
}

/* Layers of equal pressure thickness: mid pressures p_s - (k + 1/2)·Δp from the surface. The other
 * arrays come from the file, top first unless the layer altitudes say otherwise. */
static sky_status orient_by_steps(decoder *d) {
  const size_t K = d->n_levels;
  sky_status st = SKY_OK;
  double *step = NULL, *altitude = NULL;
  SKY_GO_ALLOC(step, SKY_NEW(d->ctx, double, d->m));
  SKY_GO(gather(d, SKY_ROLE_PRESSURE_STEP, 1, step));
  if (d->path[SKY_ROLE_ALTITUDE] != NULL) {
    SKY_GO_ALLOC(altitude, SKY_NEW(d->ctx, double, d->m *(K + 1)));
    SKY_GO(gather(d, SKY_ROLE_ALTITUDE, K + 1, altitude));
  }
  for (size_t i = 0; i < d->m; ++i) {
    const double *z = altitude != NULL ? altitude + i * (K + 1) : NULL;
    if (z == NULL || !(z[0] < z[K])) reverse_row(&d->s, i);
    for (size_t k = 0; k < K; ++k) {
      d->s.pressure[i * K + k] = d->s.surface_pressure[i] - ((double)k + 0.5) * step[i];
    }
  }
cleanup:
  sky_free(step);
  sky_free(altitude);
  return st;
}

/* weight holds dry, profile holds the prior sub-columns. */
static void derive_from_subcolumns(sky_soundings *s) {
  const size_t K = s->n_levels;
  for (size_t i = 0; i < s->n; ++i) {
    double *w = s->weight + i * K, *c = s->profile + i * K;
    double dry = 0, gas = 0;
    for (size_t k = 0; k < K; ++k) {
      dry += w[k];
      gas += c[k];
    }
    s->prior[i] = gas / dry;
    for (size_t k = 0; k < K; ++k) {
      c[k] /= w[k];
      w[k] /= dry;
    }
  }
}

/* weight holds the operator, profile the wet mole fractions. */
static sky_status derive_from_operator(decoder *d) {
  const size_t count = d->m * d->n_levels;
  double *water = SKY_NEW(d->ctx, double, count);
  if (water == NULL) return SKY_E_NOMEM;
  const sky_status st = gather(d, SKY_ROLE_WATER, d->n_levels, water);
  for (size_t i = 0; i < count && st == SKY_OK; ++i) {
    d->s.weight[i] *= 1.0 - water[i];
    d->s.profile[i] /= 1.0 - water[i];
  }
  sky_free(water);
  return st;
}

/* Kernel and prior must stand on the same levels. */
static sky_status check_axes(decoder *d) {
  if (sky_reader_field(d->r, SKY_ROLE_AK_AXIS) == NULL) return SKY_OK;
  double *a = NULL, *b = NULL;
  sky_nc_var info_a, info_b;
  sky_status st = SKY_OK;
  SKY_GO(read_role(d, SKY_ROLE_AK_AXIS, &info_a, &a));
  SKY_GO(read_role(d, SKY_ROLE_PROFILE_AXIS, &info_b, &b));
  bool same = info_a.count == d->n_levels && info_b.count == d->n_levels;
  for (size_t k = 0; k < d->n_levels && same; ++k)
    same = fabs(a[k] - b[k]) <= 1.0; /* m */
  if (!same) {
    st = sky_fail(d->ctx, SKY_E_FORMAT, "%s: %s and %s are not the same levels", sky_nc_path(d->f),
                  d->path[SKY_ROLE_AK_AXIS], d->path[SKY_ROLE_PROFILE_AXIS]);
  }
cleanup:
  sky_free(a);
  sky_free(b);
  return st;
}

static sky_status read_kernels(decoder *d) {
  static const sky_role WEIGHT[] = {SKY_ROLE_WEIGHT, SKY_ROLE_DRY_SUBCOLUMN, SKY_ROLE_OPERATOR};
  const size_t K = d->n_levels;
  const sky_role profile =
      d->r->kernel == SKY_KERNEL_SUBCOLUMNS ? SKY_ROLE_PRIOR_SUBCOLUMN : SKY_ROLE_PROFILE;
  SKY_TRY(check_axes(d));
  SKY_TRY(gather(d, SKY_ROLE_AK, K, d->s.ak));
  SKY_TRY(gather(d, WEIGHT[d->r->kernel], K, d->s.weight));
  SKY_TRY(gather(d, profile, K, d->s.profile));
  SKY_TRY(gather(d, SKY_ROLE_PRIOR, 1, d->s.prior));
  SKY_TRY(gather(d, SKY_ROLE_SURFACE_PRESSURE, 1, d->s.surface_pressure));
  if (d->r->kernel == SKY_KERNEL_SUBCOLUMNS) derive_from_subcolumns(&d->s);
  if (d->r->kernel == SKY_KERNEL_WET_OPERATOR) SKY_TRY(derive_from_operator(d));
  if (d->r->pressure == SKY_PRESSURE_STEPS_TOP_FIRST) return orient_by_steps(d);
  SKY_TRY(gather(d, SKY_ROLE_PRESSURE, K, d->s.pressure));
  orient_by_pressure(d);
  return SKY_OK;
}

/* --- drop reasons ------------------------------------------------------------------------------
 */

static bool clause_holds(const decoder *d, const sky_clause *c, size_t i) {
  double v = d->flag[c->role][i];
  if (isnan(v)) return false;
  if (c->mask != 0)
    v = v >= 0 ? (double)((uint64_t)v & c->mask) : -1; /* no mask matches a negative flag */
  switch (c->compare) {
    case SKY_EQ:
      return v == c->number;
    case SKY_GE:
      return v >= c->number;
    default:
      return v > c->number;
  }
}

/* A rule whose (optional) variables the file lacks says nothing. */
static bool rule_drops(const decoder *d, const sky_rule *rule, size_t i) {
  bool holds = true;
  for (int k = 0; k < rule->n_clauses; ++k) {
    if (d->flag[rule->clause[k].role] == NULL) return false;
    holds = holds && clause_holds(d, &rule->clause[k], i);
  }
  return rule->keep ? !holds : holds;
}

static bool ruled_out(const decoder *d, sky_drop reason, size_t i) {
  for (size_t k = 0; k < d->r->n_rules; ++k) {
    if (d->r->rule[k].drop == reason && rule_drops(d, &d->r->rule[k], i)) return true;
  }
  return false;
}

static sky_status read_flags(decoder *d) {
  for (size_t k = 0; k < d->r->n_rules; ++k) {
    for (int c = 0; c < d->r->rule[k].n_clauses; ++c) {
      const sky_role role = d->r->rule[k].clause[c].role;
      if (d->path[role] == NULL || d->flag[role] != NULL) continue;
      d->flag[role] = SKY_NEW(d->ctx, double, d->m);
      if (d->flag[role] == NULL) return SKY_E_NOMEM;
      SKY_TRY(gather(d, role, 1, d->flag[role]));
    }
  }
  return SKY_OK;
}

static sky_drop drop_reason(const decoder *d, size_t i, sky_kernel_fault *fault) {
  const sky_soundings *s = &d->s;
  if (d->outside[i] != SKY_DROP_NONE) return (sky_drop)d->outside[i];
  if (ruled_out(d, SKY_DROP_QUALITY, i)) return SKY_DROP_QUALITY;
  if (!isfinite(s->lat[i]) || !isfinite(s->lon[i]) || !isfinite(s->time[i]) || !(s->sigma[i] > 0)) {
    return SKY_DROP_FILL;
  }
  if (s->x[i] < d->gas->column_min || s->x[i] > d->gas->column_max) return SKY_DROP_RANGE;
  *fault = sky_kernel_check(s, i, d->r->weight_tolerance, d->r->prior_tolerance);
  if (*fault != SKY_KERNEL_SOUND) return SKY_DROP_KERNEL;
  return ruled_out(d, SKY_DROP_SURFACE, i) ? SKY_DROP_SURFACE : SKY_DROP_NONE;
}

static void drop_soundings(decoder *d) {
  size_t faults[SKY_KERNEL_INVERTED + 1] = {0};
  for (size_t i = 0; i < d->m; ++i) {
    sky_kernel_fault fault = SKY_KERNEL_SOUND;
    d->s.drop[i] = (uint8_t)drop_reason(d, i, &fault);
    ++faults[fault];
    ++d->drops[d->s.drop[i]];
  }
  for (int k = SKY_KERNEL_INCOMPLETE; k <= SKY_KERNEL_INVERTED; ++k) {
    if (faults[k] == 0) continue;
    sky_log(d->ctx, SKY_LOG_WARN, "%s: %zu of %zu soundings have a faulty kernel: %s",
            sky_file_base(sky_nc_path(d->f)), faults[k], d->m,
            sky_kernel_fault_name((sky_kernel_fault)k));
  }
}

/* --- all of it ---------------------------------------------------------------------------------
 */

/* Which of two files of one product is the newer one: its version, then the day that it was made.
 * "" where the file says neither. */
static sky_status read_version(decoder *d, char **out) {
  static const char *const VERSION[] = {"product_version", "processor_version", "BuildId",
                                        "file_version", "version"};
  static const char *const MADE[] = {"date_created", "creation_date", "CreationDate"};
  char *version = NULL, *made = NULL;
  sky_status st = SKY_OK;
  for (size_t k = 0; k < sizeof VERSION / sizeof *VERSION && version == NULL; ++k)
    SKY_GO(sky_nc_attr_text(d->ctx, d->f, "", VERSION[k], &version));
  for (size_t k = 0; k < sizeof MADE / sizeof *MADE && made == NULL; ++k)
    SKY_GO(sky_nc_attr_text(d->ctx, d->f, "", MADE[k], &made));
  SKY_GO_ALLOC(*out,
               sky_sprintf(d->ctx, "%s%s%s", version != NULL ? version : "",
                           version != NULL && made != NULL ? " " : "", made != NULL ? made : ""));
cleanup:
  sky_free(version);
  sky_free(made);
  return st;
}

static sky_status name_soundings(decoder *d) {
  sky_soundings *s = &d->s;
  s->vertical = d->r->vertical;
  snprintf(s->gas, sizeof s->gas, "%s", d->gas->id);
  snprintf(s->product, sizeof s->product, "%s", d->r->id);
  snprintf(s->kernel_note, sizeof s->kernel_note, "%s", d->r->kernel_note);
  char *version = NULL;
  SKY_TRY(read_version(d, &version));
  const sky_status st = sky_soundings_add_granule(d->ctx, s, sky_file_base(sky_nc_path(d->f)),
                                                  d->r->id, version, d->r->vertical);
  sky_free(version);
  return st;
}

static void decoder_free(decoder *d) {
  for (int k = 0; k < SKY_ROLE_COUNT; ++k) {
    sky_free(d->path[k]);
    sky_free(d->flag[k]);
  }
  sky_free(d->row);
  sky_free(d->outside);
  sky_soundings_free(&d->s);
  sky_nc_close(d->f);
}

sky_status sky_granule_decode(sky_context *ctx, const char *path, const char *product,
                              const char *gas, const sky_selection *sel, sky_soundings *out,
                              size_t drops[SKY_DROP_COUNT]) {
  memset(out, 0, sizeof *out);
  memset(drops, 0, SKY_DROP_COUNT * sizeof drops[0]);
  decoder d = {.ctx = ctx, .sel = sel, .drops = drops, .x_factor = 1.0};
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_open(ctx, path, &d.f));
  SKY_GO(find_reader(ctx, d.f, product, &d.r));
  SKY_GO(choose_gas(&d, gas));
  SKY_GO(resolve_paths(&d));
  SKY_GO(read_rows(&d));
  SKY_GO(gather(&d, SKY_ROLE_SIGMA, 1, d.s.sigma));
  SKY_GO(read_kernels(&d));
  SKY_GO(read_flags(&d));
  SKY_GO(gather(&d, SKY_ROLE_QUALITY, 1, d.s.quality));
  SKY_GO(name_soundings(&d));
  drop_soundings(&d);
  for (int k = 0; k < SKY_DROP_COUNT; ++k)
    d.s.granule_drops[k] = drops[k];
  SKY_GO(sky_soundings_overpasses(ctx, &d.s));
  if (sel == NULL || !sel->keep_dropped) sky_soundings_compact(&d.s);
  *out = d.s;
  memset(&d.s, 0, sizeof d.s);
cleanup:
  decoder_free(&d);
  return st;
}

sky_status sky_granule_read(sky_context *ctx, const char *path, const char *product,
                            const char *gas, const sky_selection *sel, sky_soundings *out) {
  size_t drops[SKY_DROP_COUNT];
  return sky_granule_decode(ctx, path, product, gas, sel, out, drops);
}
