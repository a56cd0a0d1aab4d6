/* nc.c: see nc.h. The lane is taken in every function that calls netCDF-C and never held while a
 * context function runs that might log; messages are made after it is released. */
#include "src/read/nc.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <netcdf.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/lane.h"
#include "src/core/memory.h"
#include "src/core/timeutil.h"
#include "src/core/units.h"
#include "src/read/h5_text.h"

struct sky_nc {
  int id;
  char *path;
  char window[64]; /* dimension that is read in part, or "" */
  size_t first, rows;
};

#define LANE(statement) \
  do {                  \
    sky_lane_lock();    \
    statement;          \
    sky_lane_unlock();  \
  } while (0)

static sky_status fail_nc(sky_context *ctx, const sky_nc *f, const char *var, int err) {
  const sky_status status = err == NC_ENOMEM ? SKY_E_NOMEM : SKY_E_READ;
  return sky_fail(ctx, status, "%s: %s: %s", f->path, var, nc_strerror(err));
}

sky_status sky_nc_open(sky_context *ctx, const char *path, sky_nc **out) {
  *out = NULL;
  if (access(path, R_OK) != 0) {
    return sky_fail(ctx, SKY_E_MISSING, "%s: cannot be opened (%s)", path, strerror(errno));
  }
  sky_status st = SKY_OK;
  sky_nc *f = NULL;
  SKY_GO_ALLOC(f, SKY_NEW0(ctx, sky_nc, 1));
  f->id = -1;
  SKY_GO_ALLOC(f->path, sky_strdup(ctx, path));
  int err;
  LANE(err = nc_open(path, NC_NOWRITE, &f->id));
  if (err != NC_NOERR) {
    f->id = -1;
    if (err == NC_ENOTNC) {
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: not a NetCDF file", path);
    } else {
      st = sky_fail(ctx, SKY_E_READ, "%s: cannot be opened as NetCDF (%s)", path, nc_strerror(err));
    }
  }
cleanup:
  if (st != SKY_OK) {
    sky_nc_close(f);
    f = NULL;
  }
  *out = f;
  return st;
}

void sky_nc_close(sky_nc *f) {
  if (f == NULL) return;
  if (f->id >= 0) LANE(nc_close(f->id));
  sky_free(f->path);
  sky_free(f);
}

const char *sky_nc_path(const sky_nc *f) {
  return f->path;
}

/* Group of a path and the last name in it; the lane is held by the caller. */
static int find_group(const sky_nc *f, const char *path, int *group, const char **name) {
  *group = f->id;
  while (*path == '/')
    ++path;
  for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(path, '/')) {
    char part[NC_MAX_NAME + 1];
    const size_t length = (size_t)(slash - path);
    if (length > NC_MAX_NAME) return NC_EBADNAME;
    memcpy(part, path, length);
    part[length] = '\0';
    const int err = nc_inq_grp_ncid(*group, part, group);
    if (err != NC_NOERR) return err;
    path = slash + 1;
  }
  *name = path;
  return NC_NOERR;
}

static int find_var(const sky_nc *f, const char *path, int *group, int *var) {
  const char *name;
  const int err = find_group(f, path, group, &name);
  return err != NC_NOERR ? err : nc_inq_varid(*group, name, var);
}

void sky_nc_window(sky_nc *f, const char *dim, size_t first, size_t count) {
  snprintf(f->window, sizeof f->window, "%s", dim);
  f->first = first;
  f->rows = count;
}

void sky_nc_stream(sky_nc *f, const char *var) {
  int group, id, ndims = 0, storage = NC_CONTIGUOUS;
  size_t chunk[NC_MAX_VAR_DIMS], bytes = 0;
  nc_type type;
  sky_lane_lock();
  if (find_var(f, var, &group, &id) == NC_NOERR && nc_inq_varndims(group, id, &ndims) == NC_NOERR &&
      nc_inq_var_chunking(group, id, &storage, chunk) == NC_NOERR && storage == NC_CHUNKED &&
      nc_inq_vartype(group, id, &type) == NC_NOERR &&
      nc_inq_type(group, type, NULL, &bytes) == NC_NOERR) {
    for (int k = 0; k < ndims; ++k)
      bytes *= chunk[k];
    (void)nc_set_var_chunk_cache(group, id, bytes, 1, 1.0F); /* else it only takes more memory */
  }
  sky_lane_unlock();
}

bool sky_nc_has(const sky_nc *f, const char *var) {
  int group, id, err;
  LANE(err = find_var(f, var, &group, &id));
  return err == NC_NOERR;
}

size_t sky_nc_dim(const sky_nc *f, const char *name) {
  int group, id, err;
  size_t size = SIZE_MAX;
  const char *last;
  sky_lane_lock();
  err = find_group(f, name, &group, &last);
  if (err == NC_NOERR) err = nc_inq_dimid(group, last, &id);
  if (err == NC_NOERR) err = nc_inq_dimlen(group, id, &size);
  sky_lane_unlock();
  return err == NC_NOERR ? size : SIZE_MAX;
}

static bool integer_type(nc_type t) {
  return t == NC_BYTE || t == NC_UBYTE || t == NC_SHORT || t == NC_USHORT || t == NC_INT ||
         t == NC_UINT || t == NC_INT64 || t == NC_UINT64;
}
static bool number_type(nc_type t) {
  return integer_type(t) || t == NC_FLOAT || t == NC_DOUBLE;
}

/* Locate and describe in one visit to the lane. */
typedef struct located {
  int group, var;
  nc_type type;
  size_t start[SKY_NC_MAX_DIMS]; /* of the part that is read */
} located;

static int describe(const sky_nc *f, const char *path, located *at, sky_nc_var *out) {
  int err = find_var(f, path, &at->group, &at->var);
  int dims[NC_MAX_VAR_DIMS];
  int ndims = 0;
  if (err == NC_NOERR) err = nc_inq_var(at->group, at->var, NULL, &at->type, &ndims, dims, NULL);
  if (err != NC_NOERR) return err;
  if (ndims > SKY_NC_MAX_DIMS) return NC_EMAXDIMS;
  memset(out, 0, sizeof *out);
  out->ndims = ndims;
  out->count = 1;
  out->is_integer = integer_type(at->type);
  memset(at->start, 0, sizeof at->start);
  for (int i = 0; i < ndims; ++i) {
    char name[NC_MAX_NAME + 1];
    err = nc_inq_dim(at->group, dims[i], name, &out->size[i]);
    if (err != NC_NOERR) return err;
    memcpy(out->dim[i], name, strnlen(name, sizeof out->dim[i] - 1)); /* the rest is 0 */
    if (i == 0 && f->window[0] != '\0' && strcmp(out->dim[0], f->window) == 0) {
      if (f->first > out->size[0] || f->rows > out->size[0] - f->first) return NC_EEDGE;
      at->start[0] = f->first;
      out->size[0] = f->rows;
    }
    if (__builtin_mul_overflow(out->count, out->size[i], &out->count)) return NC_EDIMSIZE;
  }
  return NC_NOERR;
}

static sky_status locate(sky_context *ctx, const sky_nc *f, const char *path, located *at,
                         sky_nc_var *out) {
  int err;
  LANE(err = describe(f, path, at, out));
  if (err == NC_ENOTVAR || err == NC_ENOGRP || err == NC_EBADGRPID || err == NC_EBADNAME) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: variable missing", f->path, path);
  }
  if (err == NC_EMAXDIMS) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: more than %d dimensions", f->path, path,
                    SKY_NC_MAX_DIMS);
  }
  return err == NC_NOERR ? SKY_OK : fail_nc(ctx, f, path, err);
}

/* The array must fit the memory budget: a corrupt header can state any size. */
static sky_status check_budget(sky_context *ctx, const sky_nc *f, const char *var, size_t count,
                               size_t item) {
  size_t bytes;
  if (__builtin_mul_overflow(count, item, &bytes) || bytes > sky_context_memory(ctx)) {
    return sky_fail(ctx, SKY_E_NOMEM,
                    "%s: %s: %zu values need more than the memory budget of %zu bytes", f->path,
                    var, count, sky_context_memory(ctx));
  }
  return SKY_OK;
}

/* --- attributes --------------------------------------------------------------------------------
 */

/* Numeric attribute as double; false when absent or text. The lane is held. */
static bool attr_double(int group, int var, const char *name, double *value, nc_type *type) {
  size_t length = 0;
  if (nc_inq_att(group, var, name, type, &length) != NC_NOERR) return false;
  if (!number_type(*type) || length < 1 || length > 64) return false;
  double values[64];
  if (nc_get_att_double(group, var, name, values) != NC_NOERR) return false;
  *value = values[0];
  return true;
}

static int find_attr_owner(const sky_nc *f, const char *var, int *group, int *id) {
  if (var[0] == '\0') {
    *group = f->id;
    *id = NC_GLOBAL;
    return NC_NOERR;
  }
  return find_var(f, var, group, id);
}

static char *number_text(sky_context *ctx, const double *v, size_t n) {
  char *text = SKY_NEW(ctx, char, n * 26 + 1);
  if (text == NULL) return NULL;
  size_t at = 0;
  text[0] = '\0';
  for (size_t i = 0; i < n; ++i) {
    at += (size_t)snprintf(text + at, 26, i > 0 ? " %.17g" : "%.17g", v[i]);
  }
  return text;
}

sky_status sky_nc_attr_text(sky_context *ctx, sky_nc *f, const char *var, const char *name,
                            char **out) {
  int group, id;
  nc_type type = NC_NAT;
  size_t length = 0;
  *out = NULL;
  sky_lane_lock();
  int err = find_attr_owner(f, var, &group, &id);
  if (err == NC_NOERR) err = nc_inq_att(group, id, name, &type, &length);
  sky_lane_unlock();
  if (err != NC_NOERR) return SKY_OK;
  SKY_TRY(check_budget(ctx, f, name, length, 32));
  char *text = NULL;
  void *raw = NULL;
  sky_status st = SKY_OK;
  if (type == NC_CHAR) {
    SKY_GO_ALLOC(text, SKY_NEW0(ctx, char, length + 1));
    LANE(err = nc_get_att_text(group, id, name, text));
  } else if (type == NC_STRING && length > 0) {
    SKY_GO_ALLOC(raw, SKY_NEW0(ctx, char *, length));
    char **strings = raw;
    LANE(err = nc_get_att_string(group, id, name, strings));
    if (err == NC_NOERR) {
      text = sky_strdup(ctx, strings[0] != NULL ? strings[0] : "");
      LANE(nc_free_string(length, strings));
      if (text == NULL) st = SKY_E_NOMEM;
    }
  } else if (number_type(type) && length > 0) {
    SKY_GO_ALLOC(raw, SKY_NEW(ctx, double, length));
    LANE(err = nc_get_att_double(group, id, name, raw));
    if (err == NC_NOERR) SKY_GO_ALLOC(text, number_text(ctx, raw, length));
  }
  if (err != NC_NOERR) st = fail_nc(ctx, f, name, err);
cleanup:
  sky_free(raw);
  if (st != SKY_OK) {
    sky_free(text);
    text = NULL;
  }
  *out = text;
  return st;
}

sky_status sky_nc_info(sky_context *ctx, sky_nc *f, const char *var, sky_nc_var *out) {
  located at;
  char *units;
  SKY_TRY(locate(ctx, f, var, &at, out));
  SKY_TRY(sky_nc_attr_text(ctx, f, var, "units", &units));
  if (units == NULL) SKY_TRY(sky_nc_attr_text(ctx, f, var, "unit", &units)); /* NIES */
  if (units != NULL) memcpy(out->units, units, strnlen(units, sizeof out->units - 1));
  sky_free(units);
  return SKY_OK;
}

sky_status sky_nc_attr_number(sky_context *ctx, sky_nc *f, const char *var, const char *name,
                              double *out) {
  int group, id;
  nc_type type;
  sky_lane_lock();
  const bool found =
      find_attr_owner(f, var, &group, &id) == NC_NOERR && attr_double(group, id, name, out, &type);
  sky_lane_unlock();
  if (found) return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: %s%s%s: number missing", f->path, var,
                  var[0] != '\0' ? ":" : "", name);
}

/* --- numbers -----------------------------------------------------------------------------------
 */

typedef struct packing { /* how raw numbers become values */
  double fill[4];
  int n_fill;
  double scale, offset;
  bool packed;
  bool single; /* unpacked in float, as CF defines by the attributes' type: 50 * 0.01f is 0.5 */
} packing;

static double default_fill(nc_type type) {
  switch (type) {
    case NC_SHORT:
      return NC_FILL_SHORT;
    case NC_USHORT:
      return NC_FILL_USHORT;
    case NC_INT:
      return NC_FILL_INT;
    case NC_UINT:
      return NC_FILL_UINT;
    case NC_INT64:
      return (double)NC_FILL_INT64;
    case NC_UINT64:
      return (double)NC_FILL_UINT64;
    case NC_FLOAT:
      return (double)NC_FILL_FLOAT;
    case NC_DOUBLE:
      return NC_FILL_DOUBLE;
    default:
      return NAN; /* bytes have no default fill */
  }
}

static packing get_packing(const located *at) {
  packing p = {.scale = 1.0, .offset = 0.0};
  nc_type type;
  double v;
  bool has_fill = false;
  if (attr_double(at->group, at->var, "_FillValue", &v, &type)) {
    p.fill[p.n_fill++] = v;
    has_fill = true;
  }
  if (attr_double(at->group, at->var, "missing_value", &v, &type)) p.fill[p.n_fill++] = v;
  if (attr_double(at->group, at->var, "invalidValue", &v, &type)) p.fill[p.n_fill++] = v; /* NIES */
  /* Floats: files that state another fill still hold untouched chunks of the default one. */
  const bool real = at->type == NC_FLOAT || at->type == NC_DOUBLE;
  if ((!has_fill || real) && !isnan(default_fill(at->type))) {
    p.fill[p.n_fill++] = default_fill(at->type);
  }
  nc_type scale_type = NC_NAT, offset_type = NC_NAT;
  const bool has_scale = attr_double(at->group, at->var, "scale_factor", &p.scale, &scale_type);
  const bool has_offset = attr_double(at->group, at->var, "add_offset", &p.offset, &offset_type);
  p.packed = has_scale || has_offset;
  const bool small = at->type == NC_BYTE || at->type == NC_UBYTE || at->type == NC_SHORT ||
                     at->type == NC_USHORT || at->type == NC_FLOAT;
  p.single = small && scale_type != NC_DOUBLE && offset_type != NC_DOUBLE;
  return p;
}

static void unpack(const packing *p, size_t n, double *x) {
  for (size_t i = 0; i < n; ++i) {
    bool fill = isnan(x[i]);
    for (int k = 0; k < p->n_fill; ++k)
      fill = fill || x[i] == p->fill[k];
    if (fill) {
      x[i] = NAN;
    } else if (p->packed && p->single) {
      const float scaled = (float)x[i] * (float)p->scale;
      x[i] = (double)(scaled + (float)p->offset);
    } else if (p->packed) {
      x[i] = x[i] * p->scale + p->offset;
    }
  }
}

void sky_nc_chunks(const sky_nc *f, const char *var, size_t chunk[SKY_NC_MAX_DIMS]) {
  int group, id, ndims = 0, storage = NC_CONTIGUOUS;
  memset(chunk, 0, SKY_NC_MAX_DIMS * sizeof *chunk);
  sky_lane_lock();
  if (find_var(f, var, &group, &id) == NC_NOERR && nc_inq_varndims(group, id, &ndims) == NC_NOERR &&
      ndims <= SKY_NC_MAX_DIMS &&
      (nc_inq_var_chunking(group, id, &storage, chunk) != NC_NOERR || storage != NC_CHUNKED)) {
    memset(chunk, 0, SKY_NC_MAX_DIMS * sizeof *chunk);
  }
  sky_lane_unlock();
}

sky_status sky_nc_read_part(sky_context *ctx, sky_nc *f, const char *var, const sky_nc_part *part,
                            size_t *n, double **out) {
  *out = NULL;
  located at;
  sky_nc_var now;
  SKY_TRY(locate(ctx, f, var, &at, &now));
  if (!number_type(at.type)) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: holds no numbers", f->path, var);
  }
  size_t start[SKY_NC_MAX_DIMS], count[SKY_NC_MAX_DIMS];
  memcpy(start, at.start, sizeof start);
  memcpy(count, now.size, sizeof count);
  *n = now.count;
  if (part != NULL && now.count > 0) {
    *n = now.count / now.size[part->dim] * part->count;
    start[part->dim] += part->first;
    count[part->dim] = part->count;
  }
  SKY_TRY(check_budget(ctx, f, var, *n, sizeof(double)));
  double *x = SKY_NEW(ctx, double, *n);
  if (x == NULL) return SKY_E_NOMEM;
  int err = NC_NOERR;
  packing p;
  sky_lane_lock();
  if (*n > 0) err = nc_get_vara_double(at.group, at.var, start, count, x);
  p = get_packing(&at);
  sky_lane_unlock();
  if (err != NC_NOERR) {
    sky_free(x);
    return fail_nc(ctx, f, var, err);
  }
  unpack(&p, *n, x);
  *out = x;
  return SKY_OK;
}

sky_status sky_nc_read(sky_context *ctx, sky_nc *f, const char *var, const sky_nc_var *info,
                       double **out) {
  size_t n = 0;
  SKY_TRY(sky_nc_read_part(ctx, f, var, NULL, &n, out));
  if (info == NULL || info->count == n) return SKY_OK;
  sky_free(*out);
  *out = NULL;
  return sky_fail(ctx, SKY_E_INTERNAL, "%s: %s: %zu values expected, %zu found", f->path, var,
                  info->count, n);
}

sky_status sky_nc_read_as(sky_context *ctx, sky_nc *f, const char *var, const char *to,
                          const char *assumed, sky_nc_var *info, double **out) {
  sky_nc_var local;
  if (info == NULL) info = &local;
  *out = NULL;
  SKY_TRY(sky_nc_info(ctx, f, var, info));
  const char *from = info->units;
  const bool stated = from[0] != '\0';
  if (!stated) {
    if (assumed == NULL) {
      return sky_fail(ctx, SKY_E_UNITS, "%s: %s: no units attribute (expected a unit of %s)",
                      f->path, var, to);
    }
    from = assumed;
  }
  double scale, offset;
  sky_status st = sky_units_convert(ctx, from, to, &scale, &offset);
  if (st != SKY_OK) return sky_fail_in(ctx, st, "%s: %s: ", f->path, var);
  SKY_TRY(sky_nc_read(ctx, f, var, info, out));
  if (scale != 1.0 || offset != 0.0) {
    for (size_t i = 0; i < info->count; ++i)
      (*out)[i] = (*out)[i] * scale + offset;
  }
  return SKY_OK;
}

sky_status sky_nc_read_u64(sky_context *ctx, sky_nc *f, const char *var, size_t count,
                           uint64_t *out) {
  located at;
  sky_nc_var now;
  SKY_TRY(locate(ctx, f, var, &at, &now));
  if (now.count != count || !integer_type(at.type)) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu integers expected, %zu %s found", f->path, var,
                    count, now.count, integer_type(at.type) ? "integers" : "other values");
  }
  if (count == 0) return SKY_OK;
  int err;
  unsigned long long *raw = SKY_NEW(ctx, unsigned long long, count);
  if (raw == NULL) return SKY_E_NOMEM;
  LANE(err = nc_get_vara_ulonglong(at.group, at.var, at.start, now.size, raw));
  /* A negative fill does not fit; it comes as a wrapped number, which is what an id may be. */
  if (err == NC_ERANGE) err = NC_NOERR;
  for (size_t i = 0; i < count && err == NC_NOERR; ++i)
    out[i] = raw[i];
  sky_free(raw);
  return err == NC_NOERR ? SKY_OK : fail_nc(ctx, f, var, err);
}

/* --- text --------------------------------------------------------------------------------------
 */

/* char(n, width): one text a row, trailing blanks and NULs cut. */
static sky_status cut_char_rows(sky_context *ctx, const char *raw, size_t rows, size_t width,
                                char **list) {
  for (size_t i = 0; i < rows; ++i) {
    size_t length = strnlen(raw + i * width, width);
    while (length > 0 && isspace((unsigned char)raw[i * width + length - 1]))
      --length;
    list[i] = SKY_NEW0(ctx, char, length + 1);
    if (list[i] == NULL) return SKY_E_NOMEM;
    memcpy(list[i], raw + i * width, length);
  }
  return SKY_OK;
}

static sky_status read_char_rows(sky_context *ctx, sky_nc *f, const char *var, const located *at,
                                 size_t rows, size_t width, char **list) {
  char *raw = SKY_NEW(ctx, char, rows *width + 1);
  if (raw == NULL) return SKY_E_NOMEM;
  int err;
  LANE(err = nc_get_var_text(at->group, at->var, raw));
  const sky_status st =
      err != NC_NOERR ? fail_nc(ctx, f, var, err) : cut_char_rows(ctx, raw, rows, width, list);
  sky_free(raw);
  return st;
}

static sky_status read_string_rows(sky_context *ctx, sky_nc *f, const char *var, const located *at,
                                   size_t rows, char **list) {
  char **raw = SKY_NEW0(ctx, char *, rows);
  if (raw == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  int err;
  LANE(err = nc_get_var_string(at->group, at->var, raw));
  if (err != NC_NOERR) st = fail_nc(ctx, f, var, err);
  for (size_t i = 0; i < rows && st == SKY_OK; ++i) {
    list[i] = sky_strdup(ctx, raw[i] != NULL ? raw[i] : "");
    if (list[i] == NULL) st = SKY_E_NOMEM;
  }
  if (err == NC_NOERR) LANE(nc_free_string(rows, raw));
  sky_free(raw);
  return st;
}

static bool is_hdf5(const sky_nc *f) {
  int format = 0, mode = 0, err;
  LANE(err = nc_inq_format_extended(f->id, &format, &mode));
  return err == NC_NOERR && format == NC_FORMATX_NC_HDF5;
}

sky_status sky_nc_read_strings(sky_context *ctx, sky_nc *f, const char *var, size_t *count,
                               char ***out) {
  *out = NULL;
  *count = 0;
  located at;
  sky_nc_var now;
  SKY_TRY(locate(ctx, f, var, &at, &now));
  if (at.type != NC_STRING && at.type != NC_CHAR) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: holds no text", f->path, var);
  }
  size_t rows = now.count, width = 0;
  char *fixed = NULL;
  if (is_hdf5(f)) SKY_TRY(sky_h5_fixed_strings(ctx, f->path, var, now.count, &fixed, &width));
  if (at.type == NC_CHAR && fixed == NULL) {
    width = now.ndims > 0 ? now.size[now.ndims - 1] : 1;
    rows = width > 0 ? now.count / width : 0;
  }
  char **list = NULL;
  sky_status st = check_budget(ctx, f, var, now.count, sizeof(char *));
  if (st == SKY_OK && (list = SKY_NEW0(ctx, char *, rows)) == NULL) st = SKY_E_NOMEM;
  if (st == SKY_OK && fixed != NULL) {
    st = cut_char_rows(ctx, fixed, rows, width, list);
  } else if (st == SKY_OK && rows > 0) {
    st = at.type == NC_CHAR ? read_char_rows(ctx, f, var, &at, rows, width, list)
                            : read_string_rows(ctx, f, var, &at, rows, list);
  }
  sky_free(fixed);
  if (st != SKY_OK) {
    sky_file_list_free(list, rows);
    return st;
  }
  *out = list;
  *count = rows;
  return SKY_OK;
}

sky_status sky_nc_variables(sky_context *ctx, sky_nc *f, char ***names, size_t *n) {
  *names = NULL;
  *n = 0;
  int count = 0, err;
  LANE(err = nc_inq_nvars(f->id, &count));
  if (err != NC_NOERR) return fail_nc(ctx, f, "/", err);
  char **list = SKY_NEW0(ctx, char *, (size_t)count);
  if (list == NULL) return SKY_E_NOMEM;
  for (int i = 0; i < count; ++i) {
    char name[NC_MAX_NAME + 1];
    LANE(err = nc_inq_varname(f->id, i, name));
    if (err == NC_NOERR) list[i] = sky_strdup(ctx, name);
    if (list[i] == NULL) {
      sky_file_list_free(list, (size_t)count);
      return err == NC_NOERR ? SKY_E_NOMEM : fail_nc(ctx, f, "/", err);
    }
  }
  *names = list;
  *n = (size_t)count;
  return SKY_OK;
}

/* --- time --------------------------------------------------------------------------------------
 */

static bool known_calendar(const char *calendar) {
  return calendar == NULL || strcasecmp(calendar, "standard") == 0 ||
         strcasecmp(calendar, "gregorian") == 0 || strcasecmp(calendar, "proleptic_gregorian") == 0;
}

sky_status sky_nc_read_time(sky_context *ctx, sky_nc *f, const char *var, size_t *count,
                            double **out) {
  *out = NULL;
  sky_nc_var info;
  SKY_TRY(sky_nc_info(ctx, f, var, &info));
  char *calendar;
  SKY_TRY(sky_nc_attr_text(ctx, f, var, "calendar", &calendar));
  if (!known_calendar(calendar)) {
    const sky_status st =
        sky_fail(ctx, SKY_E_FORMAT,
                 "%s: %s: calendar '%s' is not standard, gregorian or proleptic_gregorian", f->path,
                 var, calendar);
    sky_free(calendar);
    return st;
  }
  sky_free(calendar);
  double scale, epoch;
  sky_status st = sky_time_cf(ctx, info.units, &scale, &epoch);
  if (st != SKY_OK) return sky_fail_in(ctx, st, "%s: %s: ", f->path, var);
  SKY_TRY(sky_nc_read(ctx, f, var, &info, out));
  for (size_t i = 0; i < info.count; ++i)
    (*out)[i] = epoch + (*out)[i] * scale;
  *count = info.count;
  return SKY_OK;
}
