/* sink_yearly.c: see sink_yearly.h. The strata of a zone, each with its whole sequence of classes,
 * to the carbon at the ends of a year. */
#include "src/job/sink_yearly.h"

#include <math.h>
#include <string.h>

#include "algorithms/sink/memory.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/sum.h"
#include "src/core/text.h"
#include "src/write/json_out.h"

#define TONNE 1e3
#define YEARS_MAX 512
#define Z95 1.959963984540054

typedef struct epoch {    /* what holds at one date */
  sky_sites own;          /* where management changes; else empty */
  const sky_sites *sites; /* own, or those of the table */
  size_t *joined;         /* [sites->n_factor] numbers among the factors of all dates */
  double **grad;          /* [sites->n] of [set.n_factor] */
  const char *way[3];     /* tillage, input, grazing */
} epoch;

typedef struct yearly {
  const sky_sink *s;
  const sky_yearly_options *opt;
  sky_table *management;
  double year[YEARS_MAX];
  size_t n_year;
  epoch at[SKY_TENSOR_DATES];
  const sky_sink_factor **factor; /* [n_factor] of all dates */
  size_t n_factor;
  sky_memory *memory; /* [sites] */
  double *total;      /* [n_factor] gradient */
} yearly;

static void yearly_free(yearly *w) {
  for (size_t d = 0; d < w->s->opt.n_date; d++) {
    epoch *at = &w->at[d];
    for (size_t i = 0; at->grad != NULL && i < at->sites->n; i++)
      sky_free(at->grad[i]);
    sky_free(at->grad);
    sky_free(at->joined);
    sky_sites_free(&at->own);
  }
  sky_free(w->factor);
  sky_free(w->memory);
  sky_free(w->total);
  sky_table_free(w->management);
}

/* ---- years ---------------------------------------------------------------------------------- */

static bool add_years(yearly *w, double first, double last) {
  for (double y = first; y <= last; y++) {
    if (w->n_year == YEARS_MAX) return false;
    w->year[w->n_year++] = y;
  }
  return first <= last;
}

/* "2005,2010-2020" in whole years after the first map. */
static sky_status find_years(sky_context *ctx, yearly *w) {
  const double *date = w->s->opt.years, start = floor(date[0]) + 1;
  const char *at = w->opt->years;
  bool good = true;
  if (at == NULL) good = add_years(w, start, ceil(date[w->s->opt.n_date - 1]));
  while (at != NULL && good) {
    double first, last;
    good = sky_number_parse(at, &first, &at);
    last = first;
    if (good && *at == '-') good = sky_number_parse(at + 1, &last, &at);
    good = good && first >= start && last <= 2500 && first == floor(first) && last == floor(last) &&
           add_years(w, first, last) && (*at == ',' || *at == '\0');
    at = *at == ',' ? at + 1 : NULL;
  }
  if (good) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE,
                  "--flux-years: '%s': expected up to %d whole years of %g to 2500 (e.g. "
                  "2005,2010-2020; in a job: flux_years)",
                  w->opt->years != NULL ? w->opt->years : "", YEARS_MAX, start);
}

/* ---- what holds at each date ---------------------------------------------------------------- */

static sky_status find_row(sky_context *ctx, const yearly *w, double year, size_t *out) {
  const sky_table *t = w->management;
  const size_t column = sky_table_find(t, "year");
  size_t n = 0;
  for (size_t row = 0; row < sky_table_rows(t); row++) {
    double y;
    SKY_TRY(sky_table_number(ctx, t, row, column, &y));
    if (y != year) continue;
    *out = row;
    n++;
  }
  if (n == 1) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "%s: %zu rows of year %g, expected one for each map",
                  w->opt->management, n, year);
}

static sky_status read_management(sky_context *ctx, yearly *w) {
  static const char *const column[4] = {"tillage", "input", "grazing", "year"};
  if (w->opt->management == NULL) return SKY_OK;
  SKY_TRY(sky_table_read(ctx, w->opt->management, &w->management));
  for (size_t i = 0; i < 4; i++)
    if (sky_table_find(w->management, column[i]) == SIZE_MAX)
      return sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", w->opt->management, column[i]);
  for (size_t d = 0; d < w->s->opt.n_date; d++) {
    size_t row = 0;
    SKY_TRY(find_row(ctx, w, w->s->opt.years[d], &row));
    for (size_t i = 0; i < 3; i++) {
      const char *word = sky_factor_cell(w->management, row, column[i]);
      w->at[d].way[i] = *word != '\0' ? word : NULL;
    }
  }
  return SKY_OK;
}

/* Soils of cropland and grassland are asked for where they stay what they are, too. */
static sky_status make_sites(sky_context *ctx, const yearly *w, epoch *at) {
  bool also[SKY_SINK_CLASSES] = {false};
  sky_site_options opt = sky_sink_site_options(w->s);
  opt.tillage = at->way[0];
  opt.input = at->way[1];
  opt.grazing = at->way[2];
  for (size_t d = 0; d < w->s->opt.n_date; d++) {
    also[6] = also[6] || (w->s->shown[6] && (w->at[d].way[0] != NULL || w->at[d].way[1] != NULL));
    also[2] = also[2] || (w->s->shown[2] && w->at[d].way[2] != NULL);
  }
  opt.also = also;
  return sky_sites_make(ctx, &w->s->areas, w->s->n_zone, &opt, &at->own);
}

static sky_status join_factors(sky_context *ctx, yearly *w, epoch *at) {
  const sky_sites *sites = at->sites;
  const size_t most = w->n_factor + sites->n_factor;
  at->joined = SKY_NEW(ctx, size_t, sites->n_factor);
  const sky_sink_factor **grown = sky_realloc(ctx, w->factor, w->n_factor, most, sizeof *w->factor);
  if (grown == NULL) return SKY_E_NOMEM;
  w->factor = grown;
  if (at->joined == NULL) return SKY_E_NOMEM;
  for (size_t f = 0; f < sites->n_factor; f++) {
    size_t k = 0;
    while (k < w->n_factor && strcmp(w->factor[k]->key, sites->factor[f]->key) != 0)
      k++;
    if (k == w->n_factor) w->factor[w->n_factor++] = sites->factor[f];
    at->joined[f] = k;
  }
  at->grad = SKY_NEW0(ctx, double *, sites->n);
  if (at->grad == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < sites->n; i++) {
    at->grad[i] = SKY_NEW0(ctx, double, sites->site[i].set.n_factor);
    if (at->grad[i] == NULL) return SKY_E_NOMEM;
  }
  return SKY_OK;
}

/* What wet soils of cropland gain when they are wetland again: known outside the tropics. */
static sky_status find_rewetting(sky_context *ctx, const sky_sink_set *set, double gain[2]) {
  static const char *const step[3] = {"long-term cultivated (boreal/temperate)",
                                      "rewetting yr 1-20", "rewetting yr 21-40"};
  const sky_sink_pool *soil = &set->cls[6].pool[SKY_POOL_SOIL];
  sky_factor_rows rows = {.ctx = ctx, .refused = {.ctx = ctx}};
  sky_status st = SKY_OK;
  double share[3] = {0, 0, 0};
  gain[0] = gain[1] = 0;
  if (soil->n == 0) return SKY_OK;
  const char *key = set->factor[soil->term[0].factor[0]].key;
  const char *zone = strchr(key, '|');
  if (strstr(key, "|WET:") == NULL || zone == NULL || strchr("WCB", zone[1]) == NULL) return SKY_OK;
  for (size_t k = 0; k < 3 && st == SKY_OK; k++) {
    const char *const cells[SKY_FACTOR_COLUMNS] = {"FLU inland wetland mineral soil", NULL, NULL,
                                                   NULL, step[k]};
    size_t i = 0;
    st = sky_factor_rows_find(&rows, "nonco2_factors", cells, NULL, &i);
    if (st == SKY_OK) share[k] = rows.factor[i].value;
  }
  sky_factor_rows_free(&rows);
  gain[0] = share[1] - share[0];
  gain[1] = share[2] - share[1];
  return st;
}

static sky_status make_dates(sky_context *ctx, yearly *w) {
  const sky_sink *s = w->s;
  const size_t n = s->opt.n_date, sites = s->sites.n;
  for (size_t d = 0; d < n; d++)
    w->at[d].sites = &s->sites;
  SKY_TRY(read_management(ctx, w));
  w->memory = SKY_NEW0(ctx, sky_memory, sites);
  if (w->memory == NULL) return SKY_E_NOMEM;
  for (size_t d = 0; d < n; d++) {
    epoch *at = &w->at[d];
    if (w->management != NULL) {
      SKY_TRY(make_sites(ctx, w, at));
      at->sites = &at->own;
    }
    SKY_TRY(join_factors(ctx, w, at));
    for (size_t i = 0; i < sites; i++)
      w->memory[i].set[d] = &at->sites->site[i].set;
  }
  for (size_t i = 0; i < sites; i++) {
    w->memory[i].n_date = n;
    w->memory[i].years = s->opt.years;
    SKY_TRY(find_rewetting(ctx, w->memory[i].set[0], w->memory[i].rewet));
  }
  w->total = SKY_NEW(ctx, double, w->n_factor);
  return w->total != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* ---- one zone in one year ------------------------------------------------------------------- */

typedef struct flux { /* kg C, positive = the land gains */
  double part[SKY_MEMORY_PARTS], all, sd;
} flux;

static void clear(const yearly *w) {
  for (size_t d = 0; d < w->s->opt.n_date; d++)
    for (size_t i = 0; i < w->at[d].sites->n; i++)
      memset(w->at[d].grad[i], 0, w->at[d].sites->site[i].set.n_factor * sizeof *w->at[d].grad[i]);
  memset(w->total, 0, w->n_factor * sizeof *w->total);
}

static void add_gradients(const yearly *w) {
  for (size_t d = 0; d < w->s->opt.n_date; d++) {
    const epoch *at = &w->at[d];
    for (size_t i = 0; i < at->sites->n; i++) {
      const sky_site *site = &at->sites->site[i];
      for (size_t f = 0; f < site->set.n_factor; f++)
        w->total[at->joined[site->factor[f]]] += at->grad[i][f];
    }
  }
}

/* Strata first..end-1 are those of the zone. */
static flux find_flux(const yearly *w, size_t first, size_t end, double year) {
  const sky_strata *a = &w->s->areas;
  sky_acc sum[SKY_MEMORY_PARTS] = {{0, 0}};
  flux q = {{0}, 0, 0};
  clear(w);
  for (size_t k = first; k < end; k++) {
    const sky_stratum *s = &a->stratum[k];
    const size_t site = w->s->sites.of_place[s->place];
    double *grad[SKY_TENSOR_DATES], part[SKY_MEMORY_PARTS] = {0};
    for (size_t d = 0; d < w->s->opt.n_date; d++)
      grad[d] = w->at[d].grad[site];
    sky_memory_add(&w->memory[site], s->cls, year - 1, year, s->area, part, grad);
    for (size_t p = 0; p < SKY_MEMORY_PARTS; p++)
      sky_acc_add(&sum[p], part[p]);
  }
  add_gradients(w);
  sky_acc var = {0, 0};
  for (size_t f = 0; f < w->n_factor; f++) {
    const double g = w->total[f] * w->factor[f]->sd;
    sky_acc_add(&var, g * g);
  }
  for (size_t p = 0; p < SKY_MEMORY_PARTS; p++) {
    q.part[p] = sky_acc_value(&sum[p]);
    q.all += q.part[p];
  }
  q.sd = sqrt(sky_acc_value(&var));
  return q;
}

/* ---- the table ------------------------------------------------------------------------------ */

static void put(sky_text *t, double v) {
  char text[32];
  sky_number_text(v == 0 ? 0 : v, text);
  sky_text_printf(t, ",%s", text);
}

static void put_year(const sky_sink *s, size_t zone, double year, const flux *q, sky_text *t) {
  sky_text_csv(t, s->zones.zone[zone].id);
  sky_text_put(t, ",");
  sky_text_csv(t, s->zones.zone[zone].name);
  sky_text_printf(t, ",%.15g", year);
  for (size_t p = 0; p < SKY_MEMORY_PARTS; p++)
    put(t, q->part[p] / TONNE);
  put(t, q->all / TONNE);
  put(t, q->sd / TONNE);
  put(t, (q->all - Z95 * q->sd) / TONNE);
  put(t, (q->all + Z95 * q->sd) / TONNE);
  put(t, -q->all * SKY_CO2_PER_C / TONNE);
  put(t, q->sd * SKY_CO2_PER_C / TONNE);
  sky_text_put(t, "\n");
}

static void put_zones(const yearly *w, sky_text *t) {
  const sky_strata *a = &w->s->areas;
  size_t first = 0;
  for (size_t z = 0; z < w->s->n_zone; z++) {
    size_t end = first;
    while (end < a->n && a->stratum[end].zone == z)
      end++;
    for (size_t y = 0; y < w->n_year && !sky_sink_empty(w->s, z); y++) {
      const flux q = find_flux(w, first, end, w->year[y]);
      put_year(w->s, z, w->year[y], &q, t);
    }
    first = end;
  }
}

static void put_head(const yearly *w, sky_text *t) {
  const sky_sink_options *o = &w->s->opt;
  sky_text_put(t, "# skyflux " SKYFLUX_VERSION
                  " sink: carbon that land gains (positive) in a year from all transitions before "
                  "it; map difference, map error not in the interval\n# maps of");
  for (size_t d = 0; d < o->n_date; d++)
    sky_text_printf(t, "%s%.15g", d > 0 ? ", " : " ", o->years[d]);
  sky_text_put(t, "\n");
  for (size_t d = 0; w->management != NULL && d < o->n_date; d++)
    sky_text_printf(t, "# management of %.15g: tillage %s, input %s, grazing %s\n", o->years[d],
                    w->at[d].way[0] != NULL ? w->at[d].way[0] : "as the reference",
                    w->at[d].way[1] != NULL ? w->at[d].way[1] : "as the reference",
                    w->at[d].way[2] != NULL ? w->at[d].way[2] : "as the reference");
  for (size_t f = 0; f < w->n_factor; f++) {
    const sky_sink_factor *k = w->factor[f];
    sky_text_printf(t, "# factor %s = %.9g +- %.4g %s%s%s\n", k->key, k->value, k->sd, k->unit,
                    k->sd > 0 ? "" : ", no error published", k->verified ? "" : " (not verified)");
  }
  sky_text_put(t,
               "zone_id,zone_name,year,biomass_t_c,dead_organic_t_c,soil_t_c,change_t_c,"
               "change_sd_t_c,change_low_t_c,change_high_t_c,flux_t_co2,flux_sd_t_co2\n");
}

sky_status sky_sink_write_yearly(sky_context *ctx, const sky_sink *s, const sky_yearly_options *opt,
                                 const char *path) {
  sky_status st = SKY_OK;
  yearly w = {.s = s, .opt = opt};
  sky_text t = {.ctx = ctx};
  if (!s->stocks)
    return sky_fail(ctx, SKY_E_USAGE, "--yearly (in a job: yearly): set '%s' has no stocks",
                    s->set->name);
  SKY_TRY(sky_sink_need_parts(ctx, s, "yearly"));
  SKY_GO(find_years(ctx, &w));
  SKY_GO(make_dates(ctx, &w));
  put_head(&w, &t);
  put_zones(&w, &t);
  if (t.failed) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  SKY_GO(sky_file_write_text(ctx, path, t.data, t.length));
cleanup:
  yearly_free(&w);
  sky_text_free(&t);
  return st;
}

sky_status sky_sink_yearly_check(sky_context *ctx, const sky_sink *s,
                                 const sky_yearly_options *opt) {
  yearly w = {.s = s, .opt = opt};
  sky_status st = find_years(ctx, &w);
  if (st == SKY_OK) st = read_management(ctx, &w);
  yearly_free(&w);
  return st;
}
