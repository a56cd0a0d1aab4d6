/* decode_field.c: one variable of a product in SI: the alternative that exists, fill values, unit,
 * legal range, the repair of a unit that is wrong by a power of 1000, and the chosen rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/core/units.h"
#include "src/read/decode.h"

static sky_status resolve_field(decoder *d, const sky_field_decl *field) {
  for (size_t k = 0; k < SKY_FIELD_PATHS && field->path[k] != NULL; ++k) {
    char *path = sky_path_expand(d->ctx, field->path[k], d->gas->id);
    if (path == NULL) return SKY_E_NOMEM;
    if (sky_nc_has(d->f, path)) {
      d->path[field->role] = path;
      return SKY_OK;
    }
    sky_free(path);
  }
  return SKY_OK;
}

/* The file holds no kernel. */
static void forget_kernel(decoder *d, const sky_field_decl *missing) {
  const char *name = missing->path[0];
  if (strrchr(name, '/') != NULL) name = strrchr(name, '/') + 1;
  snprintf(d->no_kernel, sizeof d->no_kernel, "none: the file lacks %s", name);
}

sky_status decode_resolve(decoder *d) {
  sky_text missing = {.ctx = d->ctx};
  for (size_t i = 0; i < d->r->n_fields; ++i) {
    const sky_field_decl *field = &d->r->field[i];
    SKY_TRY(resolve_field(d, field));
    if (d->path[field->role] != NULL) continue;
    if (field->need == SKY_NEED_YES) {
      sky_text_printf(&missing, "%s%s", missing.length > 0 ? ", " : "", field->path[0]);
    } else if (field->need == SKY_NEED_KERNEL && d->no_kernel[0] == '\0') {
      forget_kernel(d, field);
    }
  }
  if (missing.length == 0 && !missing.failed) {
    if (d->no_kernel[0] != '\0') {
      sky_log(d->ctx, SKY_LOG_WARN, "%s: averaging kernel: %s", sky_file_base(sky_nc_path(d->f)),
              d->no_kernel);
    }
    return SKY_OK;
  }
  char *names = sky_text_take(&missing);
  if (names == NULL) return SKY_E_NOMEM;
  char *shown = sky_path_expand(d->ctx, names, d->gas->id);
  const sky_status st =
      sky_fail(d->ctx, SKY_E_FORMAT, "%s: reader %s: required variable missing: %s",
               sky_nc_path(d->f), d->r->id, shown != NULL ? shown : names);
  sky_free(names);
  sky_free(shown);
  return st;
}

/* --- wrong units -------------------------------------------------------------------------------
 */

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
static sky_status find_repair(decoder *d, sky_role role, const sky_nc_var *info, const double *x) {
  const size_t n = info->count;
  double *work = SKY_NEW(d->ctx, double, 9999);
  if (work == NULL) return SKY_E_NOMEM;
  const double median = sample_median(x, n, work);
  sky_free(work);
  const double low = d->gas->column_min / 3, high = d->gas->column_max * 3;
  static const double POWERS[] = {1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9};
  if (isnan(median)) return SKY_OK; /* the next part may tell */
  d->repair[role] = 1;
  if (median >= low && median <= high) return SKY_OK;
  for (size_t k = 0; k < sizeof POWERS / sizeof POWERS[0]; ++k) {
    const double m = median * POWERS[k];
    if (m < d->gas->column_min || m > d->gas->column_max) continue;
    d->repair[role] = POWERS[k];
    sky_log(d->ctx, SKY_LOG_WARN,
            "%s: %s: unit '%s' gives a median %s of %g mol mol-1; values are scaled by %g",
            sky_file_base(sky_nc_path(d->f)), d->path[role], info->units, sky_role_name(role),
            median, POWERS[k]);
    return SKY_OK;
  }
  return SKY_OK;
}

/* The uncertainty has no magnitude of its own: it shares the value's unit and its repair. */
static sky_status repair_unit(decoder *d, sky_role role, const sky_nc_var *info, double *x) {
  double factor = 1;
  if (role == SKY_ROLE_X) snprintf(d->x_units, sizeof d->x_units, "%s", info->units);
  if (role == SKY_ROLE_X || role == SKY_ROLE_PRIOR || role == SKY_ROLE_PROFILE) {
    if (d->repair[role] == 0) SKY_TRY(find_repair(d, role, info, x));
    factor = d->repair[role];
  } else if (role == SKY_ROLE_SIGMA && strcmp(info->units, d->x_units) == 0) {
    factor = d->repair[SKY_ROLE_X];
  }
  for (size_t i = 0; i < info->count && factor != 1 && factor != 0; ++i)
    x[i] *= factor;
  return SKY_OK;
}

/* --- values ------------------------------------------------------------------------------------
 */

static bool is_fill(const sky_field_decl *decl, double v) {
  for (int k = 0; k < decl->n_fills; ++k) {
    if (v == decl->fill[k] || v == (double)(float)decl->fill[k]) return true;
  }
  return false;
}

/* Items [first, first+count) of dimension `dim` of a role's variable, in SI; info tells the whole
 * variable, *got the values in x. */
static sky_status read_part(decoder *d, sky_role role, const sky_nc_part *part, sky_nc_var *info,
                            double **out) {
  const sky_field_decl *decl = sky_reader_field(d->r, role);
  const char *unit = sky_role_unit(role), *path = d->path[role];
  double scale = 1, offset = 0;
  *out = NULL;
  SKY_TRY(sky_nc_info(d->ctx, d->f, path, info));
  if (unit != NULL) {
    const char *from = info->units[0] != '\0' ? info->units : decl->assumed;
    if (from == NULL) {
      return sky_fail(
          d->ctx, SKY_E_UNITS,
          "%s: %s: no units attribute, and reader %s states none (expected a unit of %s)",
          sky_nc_path(d->f), path, d->r->id, unit);
    }
    const sky_status st = sky_units_convert(d->ctx, from, unit, &scale, &offset);
    if (st != SKY_OK) return sky_fail_in(d->ctx, st, "%s: %s: ", sky_nc_path(d->f), path);
  }
  SKY_TRY(sky_nc_read_part(d->ctx, d->f, path, part, &info->count, out));
  double *x = *out;
  for (size_t i = 0; i < info->count; ++i)
    x[i] = is_fill(decl, x[i]) ? NAN : x[i] * scale + offset;
  const sky_status st = repair_unit(d, role, info, x);
  if (st != SKY_OK) {
    sky_free(x);
    *out = NULL;
    return st;
  }
  for (size_t i = 0; i < info->count; ++i) {
    if (!(x[i] >= decl->min && x[i] <= decl->max)) x[i] = NAN;
  }
  return SKY_OK;
}

sky_status decode_read(decoder *d, sky_role role, sky_nc_var *info, double **out) {
  return read_part(d, role, NULL, info, out);
}

sky_status decode_wrong_count(decoder *d, sky_role role, size_t got, size_t expected) {
  return sky_fail(d->ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu (%s of reader %s)",
                  sky_nc_path(d->f), d->path[role], got, expected, sky_role_name(role), d->r->id);
}

sky_status decode_read_rows(decoder *d, sky_role role, double **out) {
  sky_nc_var info;
  SKY_TRY(decode_read(d, role, &info, out));
  if (info.count == d->n) return SKY_OK;
  sky_free(*out);
  *out = NULL;
  return decode_wrong_count(d, role, info.count, d->n);
}

/* Values of one part of a gather: as many as keep a part in the processor's cache. */
#define PART_VALUES 65536

/* How chosen rows lie in a variable: along its first dimension that is longer than 1. */
typedef struct strip {
  int dim;
  size_t rows, step; /* rows of one index of dim, indices of one part */
} strip;

/* false: rows do not follow a dimension, everything is read. Parts are whole chunks, so that no
 * chunk is unpacked twice. */
static bool strip_of(const decoder *d, const sky_nc_var *info, size_t width, size_t chunk[],
                     strip *out) {
  out->dim = 0;
  while (out->dim + 1 < info->ndims && info->size[out->dim] == 1)
    ++out->dim;
  if (info->ndims == 0 || d->n % info->size[out->dim] != 0) return false;
  out->rows = d->n / info->size[out->dim];
  const size_t whole = chunk[out->dim] > 0 ? chunk[out->dim] : 1;
  const size_t wanted = PART_VALUES / (out->rows * width) + 1;
  out->step = (wanted + whole - 1) / whole * whole;
  return true;
}

/* Chosen rows [from, to) of the file out of values that start with row `first`. */
static void scatter(const decoder *d, const double *values, size_t first, size_t width, size_t from,
                    size_t to, double *dst) {
  for (size_t i = from; i < to; ++i)
    memcpy(dst + i * width, values + (d->row[i] - first) * width, width * sizeof *dst);
}

/* Part after part, those without a chosen row left out: a box cuts most of an orbit away, and with
 * it the time to read it. */
static sky_status gather_strip(decoder *d, sky_role role, const strip *s, size_t size, size_t width,
                               double *dst) {
  for (size_t i = 0; i < d->m;) {
    const size_t index = d->row[i] / s->rows / s->step * s->step;
    const size_t count = size - index < s->step ? size - index : s->step;
    const sky_nc_part part = {s->dim, index, count};
    size_t to = i;
    while (to < d->m && d->row[to] < (index + count) * s->rows)
      ++to;
    sky_nc_var info;
    double *values;
    SKY_TRY(read_part(d, role, &part, &info, &values));
    scatter(d, values, index * s->rows, width, i, to, dst);
    sky_free(values);
    i = to;
  }
  return SKY_OK;
}

sky_status decode_gather(decoder *d, sky_role role, size_t width, double *dst) {
  if (d->path[role] == NULL || d->m == 0) return SKY_OK;
  sky_nc_var info;
  strip s;
  double *values;
  size_t chunk[SKY_NC_MAX_DIMS];
  SKY_TRY(sky_nc_info(d->ctx, d->f, d->path[role], &info));
  const bool shared = info.count == width && info.count != d->n * width;
  const bool last = width == 1 || (info.ndims > 0 && info.size[info.ndims - 1] == width);
  if (!shared && (info.count != d->n * width || !last)) {
    return decode_wrong_count(d, role, info.count, d->n * width);
  }
  sky_nc_chunks(d->f, d->path[role], chunk);
  if (!shared && strip_of(d, &info, width, chunk, &s))
    return gather_strip(d, role, &s, info.size[s.dim], width, dst);
  SKY_TRY(read_part(d, role, NULL, &info, &values));
  for (size_t i = 0; i < d->m && shared; ++i)
    memcpy(dst + i * width, values, width * sizeof *dst);
  if (!shared) scatter(d, values, 0, width, 0, d->m, dst);
  sky_free(values);
  return SKY_OK;
}
