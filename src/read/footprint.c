/* footprint.c: footprint files to sparse rows, and rows onto a mesh.
 *
 * Three layouts, told apart by the variable: `fp` (NAME/openghg), `srr` (PARIS), `foot` (STILT and
 * X-STILT). Values are d(mole fraction)/d(flux) in (mol mol-1)/(mol m-2 s-1) = m2 s mol-1.
 *
 * fp, srr: one receptor a time step, integrated over backward time (flux_time NaN). The time stamp
 * means what its `label` says (left, right, centre); `period` is its length.
 * foot: one receptor a file, one row an hour of flux; hours without influence are not in the file.
 * A file with a single layer was integrated over time (STILT's time_integrate) and has flux_time
 * NaN.
 *
 * column: the file states it (global attribute max_level, the number of column levels) or says
 * "column" in its name, site, inlet or release; X-STILT receptors end in X.
 *
 * Splitting moves sums, never samples: every cell's sensitivity is split by area (H of a mesh cell
 * is the sum over its parts, because flux is uniform inside it). */
#include "src/read/footprint.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/core/units.h"
#include "src/read/gridded.h"

#define CLOSURE 1e-12 /* of a row's sum: Σ before = Σ after + outside */

/* ---- storage ------------------------------------------------------------------------------- */

void sky_footprints_free(sky_footprints *f) {
  if (f == NULL) return;
  sky_grid_free(&f->grid);
  sky_free(f->time);
  sky_free(f->period);
  sky_free(f->lon);
  sky_free(f->lat);
  sky_free(f->outside);
  sky_free(f->receptor);
  sky_free(f->flux_time);
  sky_free(f->rowptr);
  sky_free(f->col);
  sky_free(f->val);
  sky_free(f->sum);
  memset(f, 0, sizeof *f);
}

#define GROW(pointer, old, capacity)                                                  \
  do {                                                                                \
    void *grown_ = sky_realloc(ctx, (pointer), (old), (capacity), sizeof *(pointer)); \
    if (grown_ == NULL) return SKY_E_NOMEM;                                           \
    (pointer) = grown_;                                                               \
  } while (0)

/* Doubling, so that appending thousands of files costs linear time. */
static size_t next_capacity(size_t have, size_t want) {
  return want > 2 * have ? want : 2 * have;
}

static sky_status reserve_receptors(sky_context *ctx, sky_footprints *f, size_t n) {
  if (n <= f->receptor_capacity) return SKY_OK;
  const size_t old = f->n_receptors, cap = next_capacity(f->receptor_capacity, n);
  double **const arrays[] = {&f->time, &f->period, &f->lon, &f->lat, &f->outside};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    GROW(*arrays[i], old, cap);
  f->receptor_capacity = cap;
  return SKY_OK;
}

static sky_status reserve_rows(sky_context *ctx, sky_footprints *f, size_t n) {
  if (n <= f->row_capacity && f->rowptr != NULL) return SKY_OK;
  const size_t old = f->n_rows, cap = next_capacity(f->row_capacity, n);
  GROW(f->receptor, old, cap);
  GROW(f->flux_time, old, cap);
  GROW(f->sum, old, cap);
  const bool first = f->rowptr == NULL;
  GROW(f->rowptr, first ? 0 : old + 1, cap + 1);
  if (first) f->rowptr[0] = 0;
  f->row_capacity = cap;
  return SKY_OK;
}

static sky_status reserve_values(sky_context *ctx, sky_footprints *f, size_t n) {
  if (n <= f->value_capacity) return SKY_OK;
  const size_t old = f->n_rows > 0 ? f->rowptr[f->n_rows] : 0;
  const size_t cap = next_capacity(f->value_capacity, n);
  GROW(f->col, old, cap);
  GROW(f->val, old, cap);
  f->value_capacity = cap;
  return SKY_OK;
}

/* Append one row given densely over all cells; zeros are not stored. */
static sky_status push_row(sky_context *ctx, sky_footprints *f, size_t receptor, double flux_time,
                           const double *dense, size_t cells, double sum) {
  size_t count = 0;
  for (size_t i = 0; i < cells; i++)
    count += dense[i] != 0;
  SKY_TRY(reserve_rows(ctx, f, f->n_rows + 1));
  size_t at = f->rowptr[f->n_rows];
  SKY_TRY(reserve_values(ctx, f, at + count));
  for (size_t i = 0; i < cells; i++) {
    if (dense[i] == 0) continue;
    f->col[at] = (int32_t)i;
    f->val[at++] = dense[i];
  }
  f->receptor[f->n_rows] = receptor;
  f->flux_time[f->n_rows] = flux_time;
  f->sum[f->n_rows] = sum;
  f->rowptr[++f->n_rows] = at;
  return SKY_OK;
}

/* ---- what a file says about itself ---------------------------------------------------------- */

typedef enum time_label { LABEL_LEFT, LABEL_CENTRE, LABEL_RIGHT } time_label;

/* Substring without regard to case, as a word of its own. */
static bool has_word(const char *text, const char *word) {
  const size_t n = strlen(word);
  for (const char *p = text; *p != '\0'; p++) {
    if (strncasecmp(p, word, n) != 0) continue;
    const bool starts = p == text || !isalpha((unsigned char)p[-1]);
    if (starts && !isalpha((unsigned char)p[n])) return true;
  }
  return false;
}

static sky_status attr_has_word(sky_context *ctx, sky_nc *f, const char *name, const char *word,
                                bool *found) {
  char *text = NULL;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", name, &text));
  if (text != NULL && has_word(text, word)) *found = true;
  sky_free(text);
  return SKY_OK;
}

static sky_status find_column(sky_context *ctx, sky_nc *f, bool *column) {
  static const char *const places[] = {"site", "inlet", "inlet_height", "release_comment"};
  char *levels = NULL;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", "max_level", &levels));
  *column = levels != NULL || has_word(sky_file_base(sky_nc_path(f)), "column");
  sky_free(levels);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    SKY_TRY(attr_has_word(ctx, f, places[i], "column", column));
  return SKY_OK;
}

static sky_status read_period(sky_context *ctx, sky_nc *f, const char *var, double *seconds) {
  char *text = NULL;
  SKY_TRY(sky_nc_attr_text(ctx, f, var, "period", &text));
  *seconds = 0;
  sky_status st = SKY_OK;
  if (text != NULL) {
    st = sky_units_quantity(ctx, text, "s", NULL, seconds);
    if (st == SKY_OK && !(*seconds >= 0)) st = sky_fail(ctx, SKY_E_RANGE, "'%s' is negative", text);
    if (st != SKY_OK) st = sky_fail_in(ctx, st, "%s: %s:period: ", sky_nc_path(f), var);
    *seconds = nearbyint(*seconds * 1e3) / 1e3; /* "0.0166666666667 hours" is a minute */
  }
  sky_free(text);
  return st;
}

static sky_status read_label(sky_context *ctx, sky_nc *f, const char *var, time_label *label) {
  char *text = NULL;
  SKY_TRY(sky_nc_attr_text(ctx, f, var, "label", &text));
  *label = LABEL_LEFT;
  sky_status st = SKY_OK;
  if (text != NULL && strcmp(text, "left") != 0) {
    if (strcmp(text, "right") == 0)
      *label = LABEL_RIGHT;
    else if (strcmp(text, "centre") == 0 || strcmp(text, "center") == 0)
      *label = LABEL_CENTRE;
    else
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: %s:label: '%s' is not left, centre or right",
                    sky_nc_path(f), var, text);
  }
  sky_free(text);
  return st;
}

/* Factor to m2 s mol-1. */
static sky_status unit_factor(sky_context *ctx, const sky_nc *f, const char *var,
                              const sky_nc_var *info, double *factor) {
  double offset = 0;
  if (info->units[0] == '\0')
    return sky_fail(ctx, SKY_E_UNITS, "%s: %s: no units (expected e.g. '(mol/mol)/(mol/m2/s)')",
                    sky_nc_path(f), var);
  const sky_status st = sky_units_convert(ctx, info->units, "m2 s mol-1", factor, &offset);
  return st == SKY_OK ? st : sky_fail_in(ctx, st, "%s: %s: ", sky_nc_path(f), var);
}

/* ---- receptors ------------------------------------------------------------------------------ */

/* A per-receptor variable, NaN if the file has none. */
static sky_status read_per_receptor(sky_context *ctx, sky_nc *f, const char *var, size_t n,
                                    double *out) {
  for (size_t i = 0; i < n; i++)
    out[i] = NAN;
  if (!sky_nc_has(f, var)) return SKY_OK;
  sky_nc_var info;
  double *v = NULL;
  SKY_TRY(sky_nc_info(ctx, f, var, &info));
  if (info.count != n) return SKY_OK; /* e.g. one release of several parts: no single position */
  SKY_TRY(sky_nc_read(ctx, f, var, &info, &v));
  memcpy(out, v, n * sizeof *out);
  sky_free(v);
  return SKY_OK;
}

/* Add the fractions that left through one side, summed over everything but time. */
static sky_status add_side(sky_context *ctx, sky_nc *f, const char *var, size_t n, double *out) {
  sky_nc_var info;
  double *v = NULL;
  SKY_TRY(sky_nc_info(ctx, f, var, &info));
  size_t inner = 1;
  int t = -1;
  for (int d = info.ndims - 1; d >= 0 && t < 0; d--) {
    if (strcmp(info.dim[d], "time") == 0)
      t = d;
    else
      inner *= info.size[d];
  }
  if (t < 0 || info.size[t] != n)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: no time dimension of %zu", sky_nc_path(f), var, n);
  SKY_TRY(sky_gridded_values(ctx, f, var, &info, &v));
  const size_t outer = info.count / (inner * n);
  for (size_t k = 0; k < n; k++) {
    sky_acc sum = {0, 0};
    for (size_t o = 0; o < outer; o++)
      for (size_t i = 0; i < inner; i++)
        sky_acc_add(&sum, v[(o * n + k) * inner + i]);
    out[k] += sky_acc_value(&sum);
  }
  sky_free(v);
  return SKY_OK;
}

static sky_status read_outside(sky_context *ctx, sky_nc *f, size_t n, double *out) {
  static const char *const sides[] = {"particle_locations_n", "particle_locations_e",
                                      "particle_locations_s", "particle_locations_w"};
  bool all = true;
  for (size_t i = 0; i < 4; i++)
    all = all && sky_nc_has(f, sides[i]);
  for (size_t k = 0; k < n; k++)
    out[k] = all ? 0 : NAN;
  for (size_t i = 0; i < 4 && all; i++)
    SKY_TRY(add_side(ctx, f, sides[i], n, out));
  return SKY_OK;
}

/* fp, srr: a receptor a time step. */
static sky_status read_timed_receptors(sky_context *ctx, sky_nc *nc, const sky_gridded *g,
                                       sky_footprints *f) {
  double *time = NULL, period = 0;
  size_t n = 0;
  time_label label = LABEL_LEFT;
  if (!g->has_time)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: footprint without a time dimension", sky_nc_path(nc));
  SKY_TRY(read_period(ctx, nc, g->time_dim, &period));
  SKY_TRY(read_label(ctx, nc, g->time_dim, &label));
  SKY_TRY(reserve_receptors(ctx, f, g->n_time));
  SKY_TRY(sky_nc_read_time(ctx, nc, g->time_dim, &n, &time));
  sky_status st = SKY_OK;
  const double back = label == LABEL_RIGHT ? period : label == LABEL_CENTRE ? 0.5 * period : 0;
  for (size_t i = 0; i < n && i < g->n_time; i++) {
    f->time[i] = time[i] - back;
    f->period[i] = period;
    if (!isfinite(time[i]))
      st = sky_fail(ctx, SKY_E_FORMAT, "%s: %s: step %zu has no time", sky_nc_path(nc), g->time_dim,
                    i);
  }
  sky_free(time);
  if (st == SKY_OK && n != g->n_time)
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu times for %zu steps", sky_nc_path(nc),
                  g->time_dim, n, g->n_time);
  SKY_TRY(st);
  SKY_TRY(read_per_receptor(ctx, nc, "release_lon", n, f->lon));
  SKY_TRY(read_per_receptor(ctx, nc, "release_lat", n, f->lat));
  SKY_TRY(read_outside(ctx, nc, n, f->outside));
  f->n_receptors = n;
  return SKY_OK;
}

/* "201512100000_-112_40.5_5" at the start of a path component (YYYYMMDDHHMM or YYYYMMDDHH,
 * longitude, latitude, height or X): true if it is one. */
static bool parse_receptor(const char *name, double *time, double *lon, double *lat, bool *column) {
  size_t digits = 0;
  while (isdigit((unsigned char)name[digits]))
    digits++;
  if ((digits != 12 && digits != 10) || name[digits] != '_') return false;
  int year, month, day, hour, minute = 0;
  if (sscanf(name, "%4d%2d%2d%2d", &year, &month, &day, &hour) != 4) return false;
  if (digits == 12) minute = (name[10] - '0') * 10 + (name[11] - '0');
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59) return false;
  const char *rest = NULL;
  if (!sky_number_parse(name + digits + 1, lon, &rest) || *rest != '_') return false;
  if (!sky_number_parse(rest + 1, lat, &rest) || *rest != '_') return false;
  double height;
  *column = rest[1] == 'X';
  if (!*column && !sky_number_parse(rest + 1, &height, &rest)) return false;
  *time = (double)sky_days_from_civil(year, month, day) * 86400 + hour * 3600.0 + minute * 60.0;
  return fabs(*lat) <= 90 && fabs(*lon) <= 360;
}

/* foot: the receptor stands in the file's name or in its folder's (by-id/<id>/<id>_foot.nc). */
static sky_status read_named_receptor(sky_context *ctx, sky_nc *nc, sky_footprints *f) {
  SKY_TRY(reserve_receptors(ctx, f, 1));
  f->n_receptors = 1;
  f->time[0] = f->lon[0] = f->lat[0] = f->outside[0] = NAN;
  f->period[0] = 0;
  const char *path = sky_nc_path(nc), *base = sky_file_base(path);
  const char *folder = base;
  if (base - path > 1) {
    folder = base - 1;
    while (folder > path && folder[-1] != '/')
      folder--;
  }
  const char *const names[2] = {base, folder};
  for (size_t i = 0; i < 2; i++) {
    double time, lon, lat;
    bool column;
    if (!parse_receptor(names[i], &time, &lon, &lat, &column)) continue;
    f->time[0] = time;
    f->lon[0] = lon;
    f->lat[0] = lat;
    f->column = f->column || column;
    return SKY_OK;
  }
  sky_log(ctx, SKY_LOG_INFO, "%s: no receptor (YYYYMMDDHHMM_long_lati_zagl) in the name", path);
  return SKY_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* Fill stands for "no influence" only where the file declares a fill value that is a number; a NaN
 * in any other file is a defect. */
static sky_status fill_is_zero(sky_context *ctx, sky_nc *nc, const char *var, bool *yes) {
  char *text = NULL;
  double value;
  SKY_TRY(sky_nc_attr_text(ctx, nc, var, "_FillValue", &text));
  *yes = text != NULL && sky_number_parse(text, &value, NULL);
  sky_free(text);
  return SKY_OK;
}

static sky_status dense_row(sky_context *ctx, const sky_nc *nc, const char *var,
                            const sky_gridded *g, const double *v, size_t t, bool fill_zero,
                            double factor, double *dense) {
  const size_t cells = sky_grid_cells(&g->grid);
  for (size_t i = 0; i < cells; i++) {
    double x = v[sky_gridded_at(g, t, i)];
    if (isnan(x) && fill_zero) x = 0;
    if (!(x >= 0) || isinf(x))
      return sky_fail(ctx, SKY_E_RANGE,
                      "%s: %s: %g in row %zu, cell %zu; a footprint must be finite and not "
                      "negative",
                      sky_nc_path(nc), var, x, t, i);
    dense[i] = x * factor;
  }
  return SKY_OK;
}

static sky_status read_rows(sky_context *ctx, sky_nc *nc, const char *var, const sky_gridded *g,
                            const double *flux_time, sky_footprints *f) {
  sky_status st = SKY_OK;
  double *v = NULL, *dense = NULL, factor = 1;
  bool fill_zero = false;
  const size_t cells = sky_grid_cells(&g->grid);
  SKY_GO(unit_factor(ctx, nc, var, &g->info, &factor));
  SKY_GO(fill_is_zero(ctx, nc, var, &fill_zero));
  SKY_GO(sky_gridded_values(ctx, nc, var, &g->info, &v));
  SKY_GO_ALLOC(dense, SKY_NEW(ctx, double, cells));
  for (size_t t = 0; t < g->n_time; t++) {
    SKY_GO(dense_row(ctx, nc, var, g, v, t, fill_zero, factor, dense));
    SKY_GO(push_row(ctx, f, flux_time != NULL ? 0 : t, flux_time != NULL ? flux_time[t] : NAN,
                    dense, cells, sky_sum(dense, cells)));
  }
cleanup:
  sky_free(v);
  sky_free(dense);
  return st;
}

/* Start of every flux layer of a STILT file; one NaN for a single integrated layer. */
static sky_status read_layers(sky_context *ctx, sky_nc *nc, const sky_gridded *g, double **out) {
  if (g->n_time < 2) {
    *out = SKY_NEW(ctx, double, 1);
    if (*out == NULL) return SKY_E_NOMEM;
    (*out)[0] = NAN;
    return SKY_OK;
  }
  size_t n = 0;
  SKY_TRY(sky_nc_read_time(ctx, nc, g->time_dim, &n, out));
  bool ascending = n == g->n_time;
  for (size_t i = 1; i < n && ascending; i++)
    ascending = (*out)[i] > (*out)[i - 1];
  if (ascending) return SKY_OK;
  sky_free(*out);
  *out = NULL;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: times of the flux layers do not ascend",
                  sky_nc_path(nc), g->time_dim);
}

typedef struct layout {
  const char *variable, *format;
  bool one_receptor;
} layout;

static sky_status find_layout(sky_context *ctx, const sky_nc *nc, const layout **out) {
  static const layout known[] = {
      {"fp", "openghg", false}, {"srr", "paris", false}, {"foot", "stilt", true}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (!sky_nc_has(nc, known[i].variable)) continue;
    *out = &known[i];
    return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_FORMAT,
                  "%s: no footprint variable (looked for fp, srr and foot in the root group)",
                  sky_nc_path(nc));
}

sky_status sky_footprints_read(sky_context *ctx, const char *path, sky_footprints *out) {
  sky_status st = SKY_OK;
  sky_nc *nc = NULL;
  sky_gridded g = {0};
  sky_footprints f = {0};
  double *layers = NULL;
  const layout *is = NULL;
  SKY_GO(sky_nc_open(ctx, path, &nc));
  SKY_GO(find_layout(ctx, nc, &is));
  SKY_GO(sky_gridded_open(ctx, nc, is->variable, &g));
  if (sky_grid_cells(&g.grid) > INT32_MAX) {
    st = sky_fail(ctx, SKY_E_SIZE, "%s: %zu cells, at most %d are possible", path,
                  sky_grid_cells(&g.grid), INT32_MAX);
    goto cleanup;
  }
  snprintf(f.format, sizeof f.format, "%s", is->format);
  SKY_GO(sky_grid_copy(ctx, &g.grid, &f.grid));
  SKY_GO(find_column(ctx, nc, &f.column));
  SKY_GO(reserve_rows(ctx, &f, 0));
  if (is->one_receptor) {
    SKY_GO(read_named_receptor(ctx, nc, &f));
    SKY_GO(read_layers(ctx, nc, &g, &layers));
  } else {
    SKY_GO(read_timed_receptors(ctx, nc, &g, &f));
  }
  SKY_GO(read_rows(ctx, nc, is->variable, &g, layers, &f));
cleanup:
  sky_nc_close(nc);
  sky_gridded_free(&g);
  sky_free(layers);
  if (st != SKY_OK) {
    sky_footprints_free(&f);
    return st;
  }
  *out = f;
  return SKY_OK;
}

/* ---- joining and regridding ----------------------------------------------------------------- */

sky_status sky_footprints_append(sky_context *ctx, sky_footprints *a, const sky_footprints *b) {
  if (a->grid.nx == 0) {
    SKY_TRY(sky_grid_copy(ctx, &b->grid, &a->grid));
    memcpy(a->format, b->format, sizeof a->format);
    a->column = b->column;
  }
  if (b->n_receptors == 0) return reserve_rows(ctx, a, a->n_rows);
  if (!sky_grid_equal(&a->grid, &b->grid))
    return sky_fail(ctx, SKY_E_COVERAGE,
                    "footprints on different grids: %zux%zu cells of %gx%g and %zux%zu of %gx%g",
                    a->grid.nx, a->grid.ny, sky_grid_dx(&a->grid), sky_grid_dy(&a->grid),
                    b->grid.nx, b->grid.ny, sky_grid_dx(&b->grid), sky_grid_dy(&b->grid));
  if (a->column != b->column)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "column-integrated footprints cannot be joined with footprints of one height");
  const size_t na = a->n_receptors, nb = b->n_receptors, zb = b->rowptr[b->n_rows];
  SKY_TRY(reserve_receptors(ctx, a, na + nb));
  SKY_TRY(reserve_rows(ctx, a, a->n_rows + b->n_rows));
  const size_t za = a->rowptr[a->n_rows];
  SKY_TRY(reserve_values(ctx, a, za + zb));
  memcpy(a->time + na, b->time, nb * sizeof *a->time);
  memcpy(a->period + na, b->period, nb * sizeof *a->period);
  memcpy(a->lon + na, b->lon, nb * sizeof *a->lon);
  memcpy(a->lat + na, b->lat, nb * sizeof *a->lat);
  memcpy(a->outside + na, b->outside, nb * sizeof *a->outside);
  for (size_t i = 0; i < b->n_rows; i++) {
    a->receptor[a->n_rows + i] = na + b->receptor[i];
    a->flux_time[a->n_rows + i] = b->flux_time[i];
    a->sum[a->n_rows + i] = b->sum[i];
    a->rowptr[a->n_rows + i + 1] = za + b->rowptr[i + 1];
  }
  if (zb > 0) {
    memcpy(a->col + za, b->col, zb * sizeof *a->col);
    memcpy(a->val + za, b->val, zb * sizeof *a->val);
  }
  a->n_receptors += nb;
  a->n_rows += b->n_rows;
  return SKY_OK;
}

static sky_status copy_receptors(sky_context *ctx, const sky_footprints *f, sky_footprints *out) {
  memcpy(out->format, f->format, sizeof out->format);
  out->column = f->column;
  SKY_TRY(reserve_receptors(ctx, out, f->n_receptors));
  out->n_receptors = f->n_receptors;
  const size_t bytes = f->n_receptors * sizeof(double);
  if (bytes == 0) return SKY_OK;
  memcpy(out->time, f->time, bytes);
  memcpy(out->period, f->period, bytes);
  memcpy(out->lon, f->lon, bytes);
  memcpy(out->lat, f->lat, bytes);
  memcpy(out->outside, f->outside, bytes);
  return SKY_OK;
}

typedef struct scratch { /* of one row: mesh cells, and the parts of one source cell */
  double *dense, *fraction;
  size_t *cell;
} scratch;

/* One row split onto the mesh; *left is the sensitivity that fell beside it. */
static void split_row(const sky_footprints *f, const sky_splitter *s, size_t row, size_t cells,
                      scratch *w, double *left) {
  sky_acc outside = {0, 0};
  memset(w->dense, 0, cells * sizeof *w->dense);
  for (size_t k = f->rowptr[row]; k < f->rowptr[row + 1]; k++) {
    const size_t n = sky_splitter_map(s, (size_t)f->col[k], w->cell, w->fraction);
    for (size_t i = 0; i < n; i++)
      w->dense[w->cell[i]] += f->val[k] * w->fraction[i];
    sky_acc_add(&outside, f->val[k] * sky_splitter_outside(s, (size_t)f->col[k]));
  }
  *left = sky_acc_value(&outside);
}

static sky_status close_row(sky_context *ctx, size_t row, double before, double after,
                            double outside) {
  if (fabs(before - after - outside) <= CLOSURE * before) return SKY_OK;
  return sky_fail(ctx, SKY_E_MASS,
                  "footprint row %zu: sum %.15g before, %.15g on the mesh and %.15g outside differ "
                  "by %.3g",
                  row, before, after, outside, before - after - outside);
}

sky_status sky_footprints_to_mesh(sky_context *ctx, const sky_footprints *f, const sky_mesh *mesh,
                                  sky_footprints *out, double *outside) {
  sky_status st = SKY_OK;
  sky_splitter *s = NULL;
  sky_footprints r = {0};
  scratch w = {0};
  sky_acc before = {0, 0}, after = {0, 0}, beside = {0, 0};
  const size_t cells = mesh->n_cell;
  SKY_GO(sky_mesh_splitter(ctx, &f->grid, mesh, &s));
  SKY_GO(sky_grid_copy(ctx, &mesh->patch[0], &r.grid));
  SKY_GO(copy_receptors(ctx, f, &r));
  SKY_GO(reserve_rows(ctx, &r, f->n_rows));
  SKY_GO_ALLOC(w.dense, SKY_NEW(ctx, double, cells));
  SKY_GO_ALLOC(w.cell, SKY_NEW(ctx, size_t, sky_splitter_max(s)));
  SKY_GO_ALLOC(w.fraction, SKY_NEW(ctx, double, sky_splitter_max(s)));
  for (size_t row = 0; row < f->n_rows; row++) {
    split_row(f, s, row, cells, &w, &outside[row]);
    const double sum = sky_sum(w.dense, cells);
    SKY_GO(close_row(ctx, row, f->sum[row], sum, outside[row]));
    SKY_GO(push_row(ctx, &r, f->receptor[row], f->flux_time[row], w.dense, cells, sum));
    sky_acc_add(&before, f->sum[row]);
    sky_acc_add(&after, sum);
    sky_acc_add(&beside, outside[row]);
  }
  sky_log(
      ctx, SKY_LOG_INFO,
      "footprints: sum %.9g before, %.9g on the mesh and %.9g outside it (m2 s mol-1, %zu rows)",
      sky_acc_value(&before), sky_acc_value(&after), sky_acc_value(&beside), f->n_rows);
cleanup:
  sky_splitter_free(s);
  sky_free(w.dense);
  sky_free(w.cell);
  sky_free(w.fraction);
  if (st != SKY_OK) {
    sky_footprints_free(&r);
    return st;
  }
  *out = r;
  return SKY_OK;
}
