/* vprm.c: see vprm.h. An hour at a time: the fluxes of all cells, then the next. Vegetation is that
 * of 12 UTC of the day in which the hour's middle lies. */
#include "src/job/vprm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/grid_area.h"
#include "grids/bilinear.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/job/vprm_file.h"
#include "src/job/vprm_share.h"
#include "src/read/season.h"
#include "src/write/cog.h"

#define HOUR 3600.0
#define DAY 86400.0
#define WHOLE_YEAR 300 /* days that a series needs for its ranges to be those of a year */

typedef struct run {
  const sky_vprm_options *opt;
  int threads;
  sky_vprm_set set;
  sky_season season;
  size_t cells;
  double *share;       /* [set.n*cells] */
  double *evi, *lswi;  /* [cells] of the day */
  double *t2m, *light; /* [cells] of the hour */
  double *gpp, *reco;
  double *sum_gpp, *sum_reco; /* over the hours; NaN once one is */
  double *area;
  double today; /* days since 1970; NaN: none yet */
  sky_vprm_day day;
  sky_vprm_file *file;
  sky_vprm_result *out;
} run;

void sky_vprm_result_free(sky_vprm_result *r) {
  if (r == NULL) return;
  sky_zones_free(&r->zones);
  sky_free(r->zone);
  memset(r, 0, sizeof *r);
}

static void run_free(run *r) {
  sky_vprm_file_abort(r->file);
  sky_vprm_day_free(&r->day);
  sky_vprm_set_free(&r->set);
  sky_season_free(&r->season);
  double *all[] = {r->share, r->evi,  r->lswi,    r->t2m,      r->light,
                   r->gpp,   r->reco, r->sum_gpp, r->sum_reco, r->area};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    sky_free(all[i]);
}

/* ---- what does not change ------------------------------------------------------------------- */

static sky_status read_set(sky_context *ctx, run *r) {
  sky_table *t = NULL;
  if (r->opt->parameters == NULL) {
    SKY_TRY(sky_vprm_set_builtin(ctx, r->opt->set, &r->set));
    sky_log(ctx, SKY_LOG_WARN,
            "vprm: the parameters of %s are fitted on towers of %s alone; give your own with "
            "--parameters elsewhere",
            r->set.name, r->set.region);
    return SKY_OK;
  }
  SKY_TRY(sky_table_read(ctx, r->opt->parameters, &t));
  sky_table_trim(t);
  const sky_status st = sky_vprm_set_from_table(ctx, t, r->opt->parameters, &r->set);
  sky_table_free(t);
  return st;
}

static sky_status read_vegetation(sky_context *ctx, run *r) {
  const sky_vprm_options *o = r->opt;
  sky_season *s = &r->season;
  SKY_TRY(sky_season_read(ctx, o->season, s));
  r->cells = sky_grid_cells(&s->grid);
  const double days = (s->time[s->n - 1] - s->time[0]) / DAY;
  if (days < WHOLE_YEAR)
    sky_log(ctx, SKY_LOG_WARN,
            "%s: least and most EVI and LSWI are those of %.0f days, not of a year", o->season,
            days);
  r->share = SKY_NEW(ctx, double, r->set.n * r->cells);
  if (r->share == NULL) return SKY_E_NOMEM;
  return o->landcover != NULL
             ? sky_vprm_share_landcover(ctx, o->landcover, o->classes, &r->set, &s->grid, r->share)
             : sky_vprm_share_rasters(ctx, o->fractions, o->n_fraction, &r->set, &s->grid,
                                      r->share);
}

static sky_status run_create(sky_context *ctx, const sky_vprm_options *opt, sky_vprm_result *out,
                             run *r) {
  sky_status st = SKY_OK;
  r->opt = opt;
  r->out = out;
  r->threads = sky_context_threads(ctx);
  r->today = NAN;
  SKY_GO(read_set(ctx, r));
  SKY_GO(read_vegetation(ctx, r));
  double **all[] = {&r->evi,  &r->lswi, &r->t2m,     &r->light,   &r->gpp,
                    &r->reco, &r->area, &r->sum_gpp, &r->sum_reco};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    SKY_GO_ALLOC(*all[i], SKY_NEW0(ctx, double, r->cells));
  SKY_GO(sky_grid_areas(ctx, &r->season.grid, r->area));
  SKY_GO(sky_vprm_day_create(ctx, r->set.cls, r->set.n, r->share, r->cells, &r->day));
  SKY_GO(sky_vprm_file_create(ctx, opt, &r->set, &r->season.grid, &r->file));
  snprintf(out->set, sizeof out->set, "%s", r->set.name);
  snprintf(out->crs, sizeof out->crs, "%s", r->season.grid.crs);
cleanup:
  return st;
}

/* ---- hours ---------------------------------------------------------------------------------- */

static sky_status begin_day(sky_context *ctx, run *r, double day) {
  const sky_season *s = &r->season;
  if (day == r->today) return SKY_OK;
  SKY_TRY(sky_season_at(ctx, s, day * DAY + DAY / 2, r->evi, r->lswi));
  sky_vprm_day_set(
      &r->day,
      &(sky_vprm_season){r->evi, r->lswi, s->evi_min, s->evi_max, s->lswi_min, s->lswi_max},
      r->threads);
  r->today = day;
  return SKY_OK;
}

static sky_status run_hour(sky_context *ctx, run *r, const sky_met *m, const sky_bilinear *b,
                           size_t i) {
  const double start = m->end[i] - HOUR;
  const size_t at = i * sky_grid_cells(&m->grid);
  SKY_TRY(begin_day(ctx, r, floor((start + HOUR / 2) / DAY)));
  sky_bilinear_apply(b, m->t2m + at, r->threads, r->t2m);
  sky_bilinear_apply(b, m->shortwave + at, r->threads, r->light);
  sky_vprm_hour(&r->day, r->t2m, r->light, r->threads, r->gpp, r->reco);
  for (size_t c = 0; c < r->cells; c++) {
    r->sum_gpp[c] += r->gpp[c];
    r->sum_reco[c] += r->reco[c];
  }
  if (r->out->hours++ == 0) r->out->start = start;
  r->out->end = m->end[i];
  SKY_TRY(sky_vprm_file_put(r->file, start, r->gpp, r->reco));
  return sky_progress_step(ctx, 1);
}

static sky_status follows(sky_context *ctx, const run *r, const char *path, const sky_met *m) {
  char before[24], here[24];
  if (r->out->hours == 0 || fabs(m->end[0] - HOUR - r->out->end) < 1) return SKY_OK;
  sky_time_format(r->out->end, before, sizeof before);
  sky_time_format(m->end[0] - HOUR, here, sizeof here);
  return sky_fail(ctx, SKY_E_COVERAGE,
                  "%s: begins at %s, the file before it ends at %s: give files in order of time "
                  "that follow each other, or run them apart",
                  path, here, before);
}

static sky_status run_file(sky_context *ctx, run *r, const char *path) {
  sky_met m = {0};
  sky_bilinear b = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_met_read(ctx, path, r->opt->accumulated, &m));
  SKY_GO(follows(ctx, r, path, &m));
  if (m.nodata > 0)
    sky_log(ctx, SKY_LOG_WARN,
            "%s: %zu values are nodata; cells between others take the mean of those", path,
            m.nodata);
  st = sky_bilinear_create(ctx, &m.grid, &r->season.grid, &b);
  if (st != SKY_OK) SKY_GO(sky_fail_in(ctx, st, "%s: ", path));
  sky_progress_begin(ctx, "vprm", m.n);
  for (size_t i = 0; i < m.n && st == SKY_OK; i++)
    st = run_hour(ctx, r, &m, &b, i);
  sky_progress_end(ctx);
cleanup:
  sky_bilinear_free(&b);
  sky_met_free(&m);
  return st;
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* Sums become means, mol m-2 s-1. */
static sky_status sum_up(sky_context *ctx, run *r) {
  sky_vprm_result *o = r->out;
  sky_acc gpp = {0}, reco = {0}, area = {0};
  const double seconds = (double)o->hours * HOUR;
  const double tonnes = sky_species_find("co2")->molar_mass * seconds / 1000;
  o->cells = r->cells;
  for (size_t c = 0; c < r->cells; c++) {
    r->sum_gpp[c] /= (double)o->hours;
    r->sum_reco[c] /= (double)o->hours;
    if (isnan(r->sum_reco[c])) continue;
    o->valid++;
    sky_acc_add(&gpp, r->sum_gpp[c] * r->area[c]);
    sky_acc_add(&reco, r->sum_reco[c] * r->area[c]);
    sky_acc_add(&area, r->area[c]);
  }
  if (o->valid == 0)
    return sky_fail(ctx, SKY_E_NODATA,
                    "%s: no cell has temperature, radiation, vegetation and its classes at every "
                    "hour",
                    r->opt->out);
  o->area = sky_acc_value(&area);
  const double g = sky_acc_value(&gpp), e = sky_acc_value(&reco);
  o->mean = (sky_vprm_flux){g / o->area, e / o->area, (e - g) / o->area};
  o->total = (sky_vprm_flux){g * tonnes, e * tonnes, (e - g) * tonnes};
  return SKY_OK;
}

static sky_status one_zone(sky_context *ctx, const run *r, size_t z) {
  sky_vprm_zone *v = &r->out->zone[z];
  const sky_zone *zone = &r->out->zones.zone[z];
  const double tonnes = sky_species_find("co2")->molar_mass * (double)r->out->hours * HOUR / 1000;
  sky_coverage cover = {0};
  sky_acc gpp = {0}, reco = {0}, area = {0};
  *v = (sky_vprm_zone){0, 0, {NAN, NAN, NAN}, ""};
  if (zone->defect != NULL) {
    v->reason = zone->defect;
    return SKY_OK;
  }
  SKY_TRY(sky_zone_coverage(ctx, zone, &r->season.grid, &cover));
  v->area = cover.area_zone;
  for (size_t k = 0; k < cover.n; k++) {
    const size_t c = cover.cell[k];
    const double inside = cover.fraction[k] * r->area[c];
    if (isnan(r->sum_reco[c])) continue;
    sky_acc_add(&gpp, r->sum_gpp[c] * inside);
    sky_acc_add(&reco, r->sum_reco[c] * inside);
    sky_acc_add(&area, inside);
  }
  sky_coverage_free(&cover);
  v->covered = v->area > 0 ? fmin(sky_acc_value(&area) / v->area, 1) : 0;
  if (sky_acc_value(&area) > 0) {
    const double g = sky_acc_value(&gpp) * tonnes, e = sky_acc_value(&reco) * tonnes;
    v->total = (sky_vprm_flux){g, e, e - g};
  } else {
    v->reason = "no cell with fluxes";
  }
  return SKY_OK;
}

static sky_status sum_zones(sky_context *ctx, run *r) {
  sky_vprm_result *o = r->out;
  if (r->opt->zones == NULL) return SKY_OK;
  SKY_TRY(sky_zones_read(ctx, r->opt->zones, &r->opt->zone, &r->season.grid, &o->zones));
  o->zone = SKY_NEW(ctx, sky_vprm_zone, o->zones.n);
  if (o->zone == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < o->zones.n; z++)
    SKY_TRY(one_zone(ctx, r, z));
  return SKY_OK;
}

static sky_status write_map(sky_context *ctx, run *r) {
  static const char *const tags[] = {"TIFFTAG_SOFTWARE=skyflux " SKYFLUX_VERSION, NULL};
  if (r->opt->map == NULL) return SKY_OK;
  for (size_t c = 0; c < r->cells; c++)
    r->t2m[c] = (r->sum_reco[c] - r->sum_gpp[c]) * 1e6;
  const sky_field field = {.name = "nee",
                           .long_name = "net ecosystem exchange of CO2, mean of the period",
                           .unit = "umol m-2 s-1",
                           .kind = SKY_FIELD_INTENSIVE,
                           .value = r->t2m};
  return sky_cog_write(ctx, r->opt->map, &r->season.grid, &field, tags);
}

sky_status sky_vprm_make(sky_context *ctx, const sky_vprm_options *opt, sky_vprm_result *out) {
  run r = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(run_create(ctx, opt, out, &r));
  for (size_t i = 0; i < opt->n_met; i++)
    SKY_GO(run_file(ctx, &r, opt->met[i]));
  SKY_GO(sum_up(ctx, &r));
  SKY_GO(sum_zones(ctx, &r));
  SKY_GO(write_map(ctx, &r));
  st = sky_vprm_file_commit(r.file);
  r.file = NULL;
cleanup:
  run_free(&r);
  if (st != SKY_OK) sky_vprm_result_free(out);
  return st;
}
