/* decode.c: the one engine that turns a product file into soundings by its declaration (product.h).
 *
 * Order of work: find the variables; read value, position and time; choose the rows of the
 * selection; drop by quality; read everything else for the rows that are left; orient by pressure;
 * derive weights; drop by kernel and surface.
 * Invariants of the result: skyflux/soundings.h. The rooms: decode.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/decode.h"
#include "src/read/soundings.h"

/* gas NULL: the only one of the file. */
static sky_status choose_gas(decoder *d, const sky_granule_info *info, const char *gas) {
  char names[64] = "";
  for (size_t i = 0; i < info->n_gases; ++i) {
    const size_t at = strlen(names);
    snprintf(names + at, sizeof names - at, "%s%s", i > 0 ? ", " : "", info->gases[i]);
  }
  if (gas == NULL || gas[0] == '\0') {
    if (info->n_gases != 1) {
      return sky_fail(d->ctx, SKY_E_GAS, "%s: product %s holds %s: name one gas", sky_nc_path(d->f),
                      d->r->id, info->n_gases > 0 ? names : "no gas");
    }
    gas = info->gases[0];
  }
  for (size_t i = 0; i < info->n_gases; ++i) {
    if (strcmp(info->gases[i], gas) != 0) continue;
    d->gas = sky_species_find(gas);
    if (d->gas != NULL) return SKY_OK;
  }
  return sky_fail(d->ctx, SKY_E_GAS, "%s: product %s has no %s (it holds %s)", sky_nc_path(d->f),
                  d->r->id, gas, info->n_gases > 0 ? names : "no gas");
}

/* --- the column value ------------------------------------------------------------------------
 */

static bool any_finite(const double *x, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (isfinite(x[i])) return true;
  }
  return false;
}

/* The column value by the first alternative that exists and holds a value: early files carry an
 * empty bias-corrected variable. Never silent. */
static sky_status read_column_value(decoder *d, double **x) {
  if (d->r->kernel == SKY_KERNEL_LOG_SVD) return decode_profile_columns(d, x);
  const sky_field_decl *decl = sky_reader_field(d->r, SKY_ROLE_X);
  sky_nc_var info;
  char *first = NULL, *path = NULL;
  sky_status st = SKY_OK;
  SKY_GO(decode_read(d, SKY_ROLE_X, &info, x));
  SKY_GO_ALLOC(first, sky_path_expand(d->ctx, decl->path[0], d->gas->id));
  for (size_t k = 1; k < SKY_FIELD_PATHS && decl->path[k] != NULL; ++k) {
    if (any_finite(*x, info.count)) break;
    sky_free(path);
    SKY_GO_ALLOC(path, sky_path_expand(d->ctx, decl->path[k], d->gas->id));
    if (strcmp(path, d->path[SKY_ROLE_X]) == 0 || !sky_nc_has(d->f, path)) continue;
    sky_free(*x);
    *x = NULL;
    sky_free(d->path[SKY_ROLE_X]);
    d->path[SKY_ROLE_X] = path;
    path = NULL;
    SKY_GO(decode_read(d, SKY_ROLE_X, &info, x));
  }
  if (strcmp(d->path[SKY_ROLE_X], first) != 0) {
    sky_log(d->ctx, SKY_LOG_WARN, "%s: %s is missing or empty; using %s",
            sky_file_base(sky_nc_path(d->f)), first, d->path[SKY_ROLE_X]);
  }
  d->n = info.count;
  d->shape = info;
cleanup:
  sky_free(first);
  sky_free(path);
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

static sky_status read_rows(decoder *d) {
  double *x = NULL, *lat = NULL, *lon = NULL, *time = NULL;
  sky_status st = SKY_OK;
  SKY_GO(read_column_value(d, &x));
  SKY_GO(decode_read_rows(d, SKY_ROLE_LAT, &lat));
  SKY_GO(decode_read_rows(d, SKY_ROLE_LON, &lon));
  SKY_GO(decode_times(d, &time));
  SKY_GO(choose_rows(d, x, lat, lon, time));
  SKY_GO(sky_soundings_alloc(d->ctx, d->m, 0, 0, &d->s));
  for (size_t i = 0; i < d->m; ++i) {
    d->s.x[i] = x[d->row[i]];
    d->s.lat[i] = lat[d->row[i]];
    d->s.lon[i] = wrap_longitude(lon[d->row[i]]);
    d->s.time[i] = time[d->row[i]];
  }
  SKY_GO(read_ids(d));
  SKY_GO(decode_gather(d, SKY_ROLE_SIGMA, 1, d->s.sigma));
  SKY_GO(decode_gather(d, SKY_ROLE_QUALITY, 1, d->s.quality));
  SKY_GO(sky_soundings_overpasses(d->ctx, &d->s));
cleanup:
  sky_free(x);
  sky_free(lat);
  sky_free(lon);
  sky_free(time);
  return st;
}

/* --- the soundings that are left ---------------------------------------------------------------
 */

/* Most of an orbit fails the quality rule: kernels are not read for it, unless it is asked for. */
static void forget_dropped(decoder *d) {
  size_t m = 0;
  for (size_t i = 0; i < d->m; ++i) {
    if (d->s.drop[i] == SKY_DROP_NONE) d->row[m++] = d->row[i];
  }
  sky_soundings_compact(&d->s);
  d->m = m;
  decode_free_flags(d); /* they are of the rows before */
}

/* The same soundings with room for kernels and corners. */
static sky_status make_room(decoder *d, bool corners) {
  sky_soundings full;
  SKY_TRY(sky_soundings_alloc(d->ctx, d->m, d->n_levels, corners ? SKY_WITH_CORNERS : 0, &full));
  double *const from[] = {d->s.time, d->s.lat, d->s.lon, d->s.x, d->s.sigma, d->s.quality};
  double *const to[] = {full.time, full.lat, full.lon, full.x, full.sigma, full.quality};
  for (size_t k = 0; k < sizeof to / sizeof *to; ++k)
    memcpy(to[k], from[k], d->m * sizeof **to);
  memcpy(full.id, d->s.id, d->m * sizeof *full.id);
  memcpy(full.drop, d->s.drop, d->m * sizeof *full.drop);
  memcpy(full.overpass, d->s.overpass, d->m * sizeof *full.overpass);
  sky_soundings_free(&d->s);
  d->s = full;
  return SKY_OK;
}

static sky_status read_rest(decoder *d) {
  const bool corners = d->path[SKY_ROLE_CORNER_LAT] != NULL && d->path[SKY_ROLE_CORNER_LON] != NULL;
  SKY_TRY(decode_count_levels(d));
  SKY_TRY(make_room(d, corners));
  if (corners) {
    SKY_TRY(decode_gather(d, SKY_ROLE_CORNER_LAT, 4, d->s.corner_lat));
    SKY_TRY(decode_gather(d, SKY_ROLE_CORNER_LON, 4, d->s.corner_lon));
    for (size_t i = 0; i < 4 * d->m; ++i)
      d->s.corner_lon[i] = wrap_longitude(d->s.corner_lon[i]);
  }
  SKY_TRY(decode_kernels(d));
  return decode_more(d);
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
  s->vertical = s->n_levels > 0 ? d->r->vertical : SKY_VERTICAL_NONE;
  snprintf(s->gas, sizeof s->gas, "%s", d->gas->id);
  snprintf(s->product, sizeof s->product, "%s", d->r->id);
  snprintf(s->kernel_note, sizeof s->kernel_note, "%s",
           d->no_kernel[0] != '\0' ? d->no_kernel : d->r->kernel_note);
  char *version = NULL;
  SKY_TRY(read_version(d, &version));
  const sky_status st = sky_soundings_add_granule(d->ctx, s, sky_file_base(sky_nc_path(d->f)),
                                                  d->r->id, version, s->vertical);
  sky_free(version);
  return st;
}

/* What one gas takes; the file stays open for the next one. */
static void decoder_free(decoder *d) {
  for (int k = 0; k < SKY_ROLE_COUNT; ++k)
    sky_free(d->path[k]);
  decode_free_flags(d);
  sky_free(d->row);
  sky_free(d->outside);
  decode_profiles_free(d->profiles);
  sky_soundings_free(&d->s);
}

sky_status sky_granule_open(sky_context *ctx, const char *path, const char *product,
                            const sky_declared *declared, sky_granule_file *out) {
  *out = (sky_granule_file){0};
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_open(ctx, path, &out->f));
  SKY_GO(sky_probe(ctx, out->f, product, declared, &out->reader));
  SKY_GO(sky_probe_gases(ctx, out->f, out->reader, &out->info));
cleanup:
  if (st != SKY_OK) sky_granule_close(out);
  return st;
}

void sky_granule_close(sky_granule_file *g) {
  sky_nc_close(g->f);
  *g = (sky_granule_file){0};
}

sky_status sky_granule_take(sky_context *ctx, const sky_granule_file *g, const char *gas,
                            const sky_selection *sel, sky_soundings *out,
                            size_t drops[SKY_DROP_COUNT]) {
  memset(out, 0, sizeof *out);
  memset(drops, 0, SKY_DROP_COUNT * sizeof drops[0]);
  decoder d = {.ctx = ctx, .f = g->f, .r = g->reader, .sel = sel, .drops = drops};
  const bool keep = sel != NULL && sel->keep_dropped;
  sky_status st = SKY_OK;
  SKY_GO(choose_gas(&d, &g->info, gas));
  SKY_GO(decode_resolve(&d));
  SKY_GO(decode_choose_rules(&d));
  SKY_GO(read_rows(&d));
  SKY_GO(decode_read_flags(&d, SKY_DROP_QUALITY));
  decode_drop_early(&d);
  if (!keep) forget_dropped(&d);
  SKY_GO(read_rest(&d));
  SKY_GO(decode_read_flags(&d, SKY_DROP_SURFACE));
  SKY_GO(name_soundings(&d));
  decode_drop_late(&d);
  for (int k = 0; k < SKY_DROP_COUNT; ++k)
    d.s.granule_drops[k] = drops[k];
  if (!keep) sky_soundings_compact(&d.s);
  *out = d.s;
  memset(&d.s, 0, sizeof d.s);
cleanup:
  decoder_free(&d);
  return st;
}

sky_status sky_granule_decode(sky_context *ctx, const char *path, const char *product,
                              const char *gas, const sky_selection *sel, sky_soundings *out,
                              size_t drops[SKY_DROP_COUNT]) {
  sky_granule_file g;
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_granule_open(ctx, path, product, sel != NULL ? sel->declared : NULL, &g));
  const sky_status st = sky_granule_take(ctx, &g, gas, sel, out, drops);
  sky_granule_close(&g);
  return st;
}

sky_status sky_granule_read(sky_context *ctx, const char *path, const char *product,
                            const char *gas, const sky_selection *sel, sky_soundings *out) {
  size_t drops[SKY_DROP_COUNT];
  return sky_granule_decode(ctx, path, product, gas, sel, out, drops);
}

sky_status sky_granule_identify(sky_context *ctx, const char *path, const char *product,
                                sky_granule_info *out) {
  sky_granule_file g;
  SKY_TRY(sky_granule_open(ctx, path, product, NULL, &g));
  *out = g.info;
  sky_granule_close(&g);
  return SKY_OK;
}

sky_status sky_granule_probe(sky_context *ctx, const char *path, sky_granule_info *out) {
  return sky_granule_identify(ctx, path, NULL, out);
}
