/* decode_profile.c: products of profiles (SKY_KERNEL_LOG_SVD): the column, its weights and its
 * kernel are made here (algorithms/column/profile_column.h), for all rows in strips, because the
 * column is what the choice of rows starts from.
 *
 * Arrays per row: pressure, altitude [levels]; profiles and water [species][levels]; decomposition
 * values [rank], vectors [species][rank][levels]. The species of a gas is its place among the gases
 * of the reader; of water it is the first. Levels fill one run of the row, in either order; a row
 * whose run is not as long as the file says has no column. */
#include <math.h>
#include <string.h>

#include "algorithms/column/profile_column.h"
#include "src/core/memory.h"
#include "src/core/units.h"
#include "src/read/decode.h"

#define STRIP 1024 /* rows: 30 MB of vectors */

enum { PRESSURE, ALTITUDE, WATER, RETRIEVED, PRIOR, COUNT, RANK, VALUES, LEFT, RIGHT, N_PARTS };
static const sky_role ROLE[N_PARTS] = {
    SKY_ROLE_PRESSURE,    SKY_ROLE_LEVEL_ALTITUDE, SKY_ROLE_WATER,       SKY_ROLE_X,
    SKY_ROLE_PROFILE,     SKY_ROLE_LEVEL_COUNT,    SKY_ROLE_KERNEL_RANK, SKY_ROLE_KERNEL_VALUES,
    SKY_ROLE_KERNEL_LEFT, SKY_ROLE_KERNEL_RIGHT};

typedef struct strip {
  double *part[N_PARTS];
  size_t each[N_PARTS]; /* values a row */
  size_t species, levels, rank;
} strip;

struct decode_profiles { /* of all rows, index 0 at the surface, NaN above the top */
  size_t levels;
  double *prior, *pressure, *weight, *ak, *profile;
};

void decode_profiles_free(decode_profiles *p) {
  if (p == NULL) return;
  sky_free(p->prior);
  sky_free(p->pressure);
  sky_free(p->weight);
  sky_free(p->ak);
  sky_free(p->profile);
  sky_free(p);
}

size_t decode_profile_levels(const decode_profiles *p) {
  return p->levels;
}

/* --- shapes ------------------------------------------------------------------------------------
 */

static sky_status find_shapes(decoder *d, strip *s) {
  sky_nc_var pressure, profile, values;
  SKY_TRY(sky_nc_info(d->ctx, d->f, d->path[SKY_ROLE_PRESSURE], &pressure));
  SKY_TRY(sky_nc_info(d->ctx, d->f, d->path[SKY_ROLE_X], &profile));
  SKY_TRY(sky_nc_info(d->ctx, d->f, d->path[SKY_ROLE_KERNEL_VALUES], &values));
  if (pressure.ndims != 2 || profile.ndims != 3 || values.ndims != 2) {
    return sky_fail(d->ctx, SKY_E_FORMAT,
                    "%s: %s, %s and %s have %d, %d and %d dimensions, expected 2, 3 and 2",
                    sky_nc_path(d->f), d->path[SKY_ROLE_PRESSURE], d->path[SKY_ROLE_X],
                    d->path[SKY_ROLE_KERNEL_VALUES], pressure.ndims, profile.ndims, values.ndims);
  }
  d->n = pressure.size[0];
  d->shape = (sky_nc_var){.ndims = 1, .count = d->n};
  d->shape.size[0] = d->n;
  s->levels = pressure.size[1];
  s->species = profile.size[1];
  s->rank = values.size[1];
  for (int k = 0; k < N_PARTS; ++k)
    s->each[k] = k == PRESSURE || k == ALTITUDE ? s->levels
                 : k == COUNT || k == RANK      ? 1
                 : k == VALUES                  ? s->rank
                 : k == LEFT || k == RIGHT      ? s->species * s->rank * s->levels
                                                : s->species * s->levels;
  return SKY_OK;
}

/* --- one strip ---------------------------------------------------------------------------------
 */

static void free_strip(strip *s) {
  for (int k = 0; k < N_PARTS; ++k) {
    sky_free(s->part[k]);
    s->part[k] = NULL;
  }
}

static sky_status read_strip(decoder *d, size_t first, size_t count, strip *s) {
  free_strip(s);
  for (int k = 0; k < N_PARTS; ++k) {
    const sky_field_decl *decl = sky_reader_field(d->r, ROLE[k]);
    const char *unit = sky_role_unit(ROLE[k]), *path = d->path[ROLE[k]];
    const sky_nc_part part = {0, first, count};
    sky_nc_var info;
    size_t n;
    double scale = 1, offset = 0;
    SKY_TRY(sky_nc_info(d->ctx, d->f, path, &info));
    if (info.count != d->n * s->each[k])
      return decode_wrong_count(d, ROLE[k], info.count, d->n * s->each[k]);
    SKY_TRY(sky_nc_read_part(d->ctx, d->f, path, &part, &n, &s->part[k]));
    if (unit != NULL) {
      const char *stated = info.units[0] != '\0' ? info.units : decl->assumed;
      if (stated == NULL)
        return sky_fail(d->ctx, SKY_E_UNITS, "%s: %s: no unit", sky_nc_path(d->f), path);
      SKY_TRY(sky_units_convert(d->ctx, stated, unit, &scale, &offset));
    }
    for (size_t i = 0; i < n; ++i) {
      const double x = s->part[k][i] * scale + offset;
      s->part[k][i] = x >= decl->min && x <= decl->max ? x : NAN;
    }
  }
  return SKY_OK;
}

/* --- one row -----------------------------------------------------------------------------------
 */

/* The run of levels that have a pressure. */
static bool find_run(const strip *s, size_t i, size_t *first, size_t *n) {
  const double *p = s->part[PRESSURE] + i * s->levels;
  size_t a = 0, b;
  while (a < s->levels && isnan(p[a]))
    ++a;
  for (b = a; b < s->levels && !isnan(p[b]);)
    ++b;
  *first = a;
  *n = b - a;
  return *n >= 2 && (double)*n == s->part[COUNT][i];
}

static void put_upward(double *to, const double *from, size_t n, bool reversed) {
  for (size_t k = 0; k < n; ++k)
    to[k] = from[reversed ? n - 1 - k : k];
}

/* Row i of the strip, row at of the file; work [2 * levels]. */
static void make_row(const strip *s, size_t species, double latitude, size_t i, size_t at,
                     decode_profiles *out, double *x, double *work) {
  const size_t L = s->levels, own = (i * s->species + species) * L;
  const size_t vectors = (i * s->species + species) * s->rank * L;
  size_t a, n;
  *x = NAN;
  if (!find_run(s, i, &a, &n)) return;
  double rank = s->part[RANK][i];
  if (!(rank >= 0 && rank <= (double)s->rank)) rank = 0;
  const sky_profile p = {.n = n,
                         .rank = (size_t)rank,
                         .stride = L,
                         .pressure = s->part[PRESSURE] + i * L + a,
                         .altitude = s->part[ALTITUDE] + i * L + a,
                         .water = s->part[WATER] + i * s->species * L + a,
                         .retrieved = s->part[RETRIEVED] + own + a,
                         .prior = s->part[PRIOR] + own + a,
                         .value = s->part[VALUES] + i * s->rank,
                         .left = s->part[LEFT] + vectors + a,
                         .right = s->part[RIGHT] + vectors + a,
                         .latitude = latitude};
  double *weight = work, *ak = work + L, *const to = out->weight + at * out->levels;
  if (!sky_profile_weights(&p, weight, x)) return;
  const bool reversed = p.pressure[0] < p.pressure[n - 1];
  put_upward(out->pressure + at * out->levels, p.pressure, n, reversed);
  put_upward(out->profile + at * out->levels, p.prior, n, reversed);
  put_upward(to, weight, n, reversed);
  for (size_t k = n; k < out->levels; ++k)
    to[k] = 0; /* above the top */
  if (p.rank > 0 && sky_profile_kernel(&p, weight, &out->prior[at], ak))
    put_upward(out->ak + at * out->levels, ak, n, reversed);
}

/* --- all rows ----------------------------------------------------------------------------------
 */

static double *filled(sky_context *ctx, size_t n) {
  double *p = SKY_NEW(ctx, double, n);
  for (size_t i = 0; p != NULL && i < n; ++i)
    p[i] = NAN;
  return p;
}

static sky_status make_room(decoder *d, size_t levels) {
  decode_profiles *p = SKY_NEW0(d->ctx, decode_profiles, 1);
  if (p == NULL) return SKY_E_NOMEM;
  d->profiles = p;
  p->levels = levels;
  p->prior = filled(d->ctx, d->n);
  p->pressure = filled(d->ctx, d->n * levels);
  p->weight = filled(d->ctx, d->n * levels);
  p->ak = filled(d->ctx, d->n * levels);
  p->profile = filled(d->ctx, d->n * levels);
  return p->prior != NULL && p->pressure != NULL && p->weight != NULL && p->ak != NULL &&
                 p->profile != NULL
             ? SKY_OK
             : SKY_E_NOMEM;
}

sky_status decode_profile_columns(decoder *d, double **x) {
  strip s = {0};
  size_t species = 0;
  double *lat = NULL, *work = NULL;
  sky_status st = SKY_OK;
  *x = NULL;
  SKY_GO(find_shapes(d, &s));
  while (d->r->gases[species] != NULL && strcmp(d->r->gases[species], d->gas->id) != 0)
    ++species;
  if (species >= s.species) {
    SKY_GO(sky_fail(d->ctx, SKY_E_FORMAT, "%s: %s: %zu species, %s is number %zu",
                    sky_nc_path(d->f), d->path[SKY_ROLE_X], s.species, d->gas->id, species + 1));
  }
  SKY_GO(make_room(d, s.levels));
  SKY_GO(decode_read_rows(d, SKY_ROLE_LAT, &lat));
  SKY_GO_ALLOC(*x, SKY_NEW(d->ctx, double, d->n));
  SKY_GO_ALLOC(work, SKY_NEW(d->ctx, double, 2 * s.levels));
  for (size_t first = 0; first < d->n; first += STRIP) {
    const size_t count = d->n - first < STRIP ? d->n - first : STRIP;
    SKY_GO(read_strip(d, first, count, &s));
    for (size_t i = 0; i < count; ++i)
      make_row(&s, species, lat[first + i], i, first + i, d->profiles, &(*x)[first + i], work);
  }
cleanup:
  free_strip(&s);
  sky_free(lat);
  sky_free(work);
  if (st != SKY_OK) {
    sky_free(*x);
    *x = NULL;
  }
  return st;
}

void decode_profile_kernels(decoder *d) {
  const decode_profiles *p = d->profiles;
  const size_t K = d->n_levels, bytes = K * sizeof(double);
  for (size_t i = 0; i < d->m; ++i) {
    const size_t from = d->row[i] * K;
    memcpy(d->s.pressure + i * K, p->pressure + from, bytes);
    memcpy(d->s.weight + i * K, p->weight + from, bytes);
    memcpy(d->s.ak + i * K, p->ak + from, bytes);
    memcpy(d->s.profile + i * K, p->profile + from, bytes);
    d->s.prior[i] = p->prior[d->row[i]];
    d->s.surface_pressure[i] = K > 0 ? p->pressure[from] : NAN;
  }
}
