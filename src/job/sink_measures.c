/* sink_measures.c: see sink_measures.h. */
#include "src/job/sink_measures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"

#define HECTARE 1e4
#define TONNE 1e3

/* ---- potentials ----------------------------------------------------------------------------- */

static const char *const gwp_sets[] = {"SAR", "AR4", "AR5", "AR6", "AR6_GWP20"};

static sky_status gwp_column(sky_context *ctx, sky_sink_gwp *g) {
  static const char *const gases[SKY_MEASURE_GASES] = {"CO2", "CH4", "N2O"};
  size_t length = 0;
  const char *text = sky_embedded("gwp100.csv", &length);
  sky_table *t = NULL;
  SKY_TRY(sky_table_parse(ctx, "gwp100.csv", text, length, &t));
  sky_status st = SKY_OK;
  for (size_t row = 0; row < sky_table_rows(t) && st == SKY_OK; row++)
    for (int i = 0; i < SKY_MEASURE_GASES && st == SKY_OK; i++)
      if (strcmp(sky_factor_cell(t, row, "gas"), gases[i]) == 0)
        st = sky_table_number(ctx, t, row, sky_table_find(t, g->set), &g->of[i]);
  sky_table_free(t);
  return st;
}

/* AR6 has values of their own for CH4 that is not fossil; older reports have one for both. */
static sky_status gwp_methane(sky_context *ctx, sky_sink_gwp *g) {
  const char *const key[SKY_FACTOR_COLUMNS] = {
      strcmp(g->set, "AR6") == 0 ? "AR6 GWP100" : "AR6 GWP20", NULL, NULL, "CH4 non-fossil", NULL};
  sky_factor_rows rows = {.ctx = ctx, .refused = {.ctx = ctx}};
  size_t index;
  if (strncmp(g->set, "AR6", 3) != 0) return SKY_OK;
  const sky_status st = sky_factor_rows_find(&rows, "nonco2_factors", key, NULL, &index);
  if (st == SKY_OK) g->of[SKY_MEASURE_CH4] = rows.factor[index].value;
  sky_factor_rows_free(&rows);
  return st;
}

sky_status sky_sink_gwp_find(sky_context *ctx, const char *set, sky_sink_gwp *out) {
  for (size_t i = 0; i < sizeof gwp_sets / sizeof gwp_sets[0]; i++) {
    if (strcmp(gwp_sets[i], set) != 0) continue;
    *out = (sky_sink_gwp){.set = gwp_sets[i]};
    SKY_TRY(gwp_column(ctx, out));
    return gwp_methane(ctx, out);
  }
  return sky_fail(ctx, SKY_E_USAGE, "--gwp: '%s' is not one of SAR, AR4, AR5, AR6, AR6_GWP20", set);
}

/* ---- the table ------------------------------------------------------------------------------ */

void sky_zone_measures_free(sky_zone_measures *m) {
  if (m == NULL) return;
  sky_table_free(m->table);
  sky_factor_rows_free(&m->rows);
  sky_free(m->item);
  memset(m, 0, sizeof *m);
}

static sky_status number(sky_context *ctx, const sky_table *t, size_t row, const char *column,
                         double *out) {
  const size_t c = sky_table_find(t, column);
  *out = NAN;
  return c == SIZE_MAX ? SKY_OK : sky_table_number(ctx, t, row, c, out);
}

static sky_status read_numbers(sky_context *ctx, const sky_table *t, size_t row,
                               sky_measure_input *in) {
  const struct {
    const char *column;
    double *to;
  } numbers[] = {{"area_ha", &in->area},
                 {"years", &in->years},
                 {"days", &in->days},
                 {"salinity_ppt", &in->salinity},
                 {"nitrogen_kg", &in->nitrogen},
                 {"organic_t_ha", &in->organic_amount},
                 {"ditch_fraction", &in->ditches},
                 {"rate_t_c_ha_yr", &in->rate},
                 {"rate_sd", &in->rate_sd},
                 {"fuel_t_ha", &in->fuel},
                 {"fuel_sd", &in->fuel_sd}};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    SKY_TRY(number(ctx, t, row, numbers[i].column, numbers[i].to));
  return SKY_OK;
}

static const sky_sink_row *zone_row(const sky_sink *s, size_t zone, size_t cls) {
  return &s->rows[zone * (s->n_class + 1) + cls];
}

/* What the maps count already: t C/ha/yr, positive = removal; NaN without a class. */
static double counted(const sky_sink *s, size_t zone) {
  const sky_sink_row *row = zone_row(s, zone, s->n_class);
  return row->area[1] > 0 ? -row->uptake.value / TONNE / (row->area[1] / HECTARE) : NAN;
}

static sky_status check_item(sky_context *ctx, const sky_sink *s, size_t zone,
                             const sky_measure_input *in) {
  const double most = s->area[zone] / HECTARE;
  if (in->area > most * (1 + 1e-9))
    return sky_fail(ctx, SKY_E_RANGE, "%s: area_ha %.9g is more than the %.9g ha of zone '%s'",
                    in->where, in->area, most, s->zones.zone[zone].id);
  if (strcmp(in->measure, "mangrove") != 0 || *in->climate == '\0') return SKY_OK;
  for (size_t c = 0; c < s->n_class; c++)
    if (s->set->cls[c].number == 8 && zone_row(s, zone, c)->uptake.value != 0)
      return sky_fail(ctx, SKY_E_RANGE,
                      "%s: the maps count the growth of mangrove in zone '%s' already; leave "
                      "'climate' empty to count the soil alone",
                      in->where, s->zones.zone[zone].id);
  return SKY_OK;
}

static sky_status read_row(sky_context *ctx, const char *path, const sky_sink *s, size_t row,
                           sky_zone_measures *m) {
  const sky_table *t = m->table;
  const char *id = sky_factor_cell(t, row, "zone_id");
  char *where = sky_sprintf(ctx, "%s:%d", path, sky_table_line(t, row));
  size_t zone = 0;
  if (where == NULL) return SKY_E_NOMEM;
  sky_measure_input in = {.measure = sky_factor_cell(t, row, "measure"),
                          .climate = sky_factor_cell(t, row, "climate"),
                          .type = sky_factor_cell(t, row, "type"),
                          .detail = sky_factor_cell(t, row, "detail"),
                          .credit = sky_factor_cell(t, row, "credit"),
                          .organic = sky_factor_cell(t, row, "organic"),
                          .where = where};
  while (zone < s->n_zone && strcmp(s->zones.zone[zone].id, id) != 0)
    zone++;
  sky_status st = SKY_OK;
  if (zone == s->n_zone) st = sky_fail(ctx, SKY_E_RANGE, "%s: no zone has the id '%s'", where, id);
  if (st == SKY_OK) st = read_numbers(ctx, t, row, &in);
  if (st == SKY_OK) in.counted = counted(s, zone);
  if (st == SKY_OK) st = check_item(ctx, s, zone, &in);
  sky_zone_measure *item = &m->item[m->n];
  *item = (sky_zone_measure){.zone = zone, .name = in.measure};
  if (st == SKY_OK) st = sky_measure_make(&m->rows, &in, &item->measure);
  if (st == SKY_OK) m->n++;
  sky_free(where);
  return st;
}

/* Two rules of accounting in one table would be added up. */
static sky_status check_credits(sky_context *ctx, const char *path, const sky_table *t) {
  for (size_t a = 0; a < sky_table_rows(t); a++) {
    if (strcmp(sky_factor_cell(t, a, "credit"), "standing") != 0) continue;
    for (size_t b = 0; b < sky_table_rows(t); b++)
      if (strcmp(sky_factor_cell(t, b, "credit"), "rewetted") == 0)
        return sky_fail(ctx, SKY_E_RANGE,
                        "%s: credit 'standing' (line %d) and 'rewetted' (line %d) are two rules of "
                        "accounting; give them in two tables",
                        path, sky_table_line(t, a), sky_table_line(t, b));
  }
  return SKY_OK;
}

sky_status sky_zone_measures_read(sky_context *ctx, const char *path, const sky_sink *s,
                                  sky_zone_measures *out) {
  static const char *const needed[] = {"zone_id", "measure", "area_ha"};
  sky_status st = SKY_OK;
  sky_zone_measures m = {.rows = {.ctx = ctx,
                                  .overrides = s->sites.overrides,
                                  .overrides_path = s->opt.overrides,
                                  .allowed = s->opt.allowed,
                                  .n_allowed = s->opt.n_allowed,
                                  .refused = {.ctx = ctx}}};
  SKY_GO(sky_table_read(ctx, path, &m.table));
  for (size_t i = 0; i < 3; i++)
    if (sky_table_find(m.table, needed[i]) == SIZE_MAX)
      SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", path, needed[i]));
  SKY_GO(check_credits(ctx, path, m.table));
  SKY_GO_ALLOC(m.item, SKY_NEW(ctx, sky_zone_measure, sky_table_rows(m.table)));
  for (size_t row = 0; row < sky_table_rows(m.table); row++)
    SKY_GO(read_row(ctx, path, s, row, &m));
  SKY_GO(sky_factor_rows_check(&m.rows, ""));
  *out = m;
  m = (sky_zone_measures){0};
cleanup:
  sky_zone_measures_free(&m);
  return st;
}

/* ---- sums ----------------------------------------------------------------------------------- */

static double spread(const sky_zone_measures *m, const double *grad) {
  double var = 0;
  for (size_t k = 0; k < m->rows.n; k++)
    var += grad[k] * m->rows.factor[k].sd * (grad[k] * m->rows.factor[k].sd);
  return sqrt(var);
}

sky_status sky_zone_measures_sum(sky_context *ctx, const sky_zone_measures *m, size_t zone, int cls,
                                 const sky_sink_gwp *gwp, sky_measure_sum *out) {
  double *grad = SKY_NEW0(ctx, double, m->rows.n), *all = SKY_NEW0(ctx, double, m->rows.n);
  *out = (sky_measure_sum){.any = false};
  if (grad == NULL || all == NULL) {
    sky_free(grad);
    sky_free(all);
    return SKY_E_NOMEM;
  }
  for (int g = 0; g < SKY_MEASURE_GASES; g++) {
    memset(grad, 0, m->rows.n * sizeof *grad);
    for (size_t i = 0; i < m->n; i++) {
      const sky_zone_measure *item = &m->item[i];
      if (item->zone != zone || (cls != 0 && cls != item->measure.cls)) continue;
      out->any = true;
      out->gas[g] += sky_measure_value(&item->measure, m->rows.factor, (sky_measure_gas)g, grad);
    }
    out->sd[g] = spread(m, grad);
    for (size_t k = 0; k < m->rows.n && gwp != NULL; k++)
      all[k] += gwp->of[g] * grad[k];
    out->co2e += gwp != NULL ? gwp->of[g] * out->gas[g] : NAN;
  }
  out->co2e_sd = gwp != NULL ? spread(m, all) : NAN;
  sky_free(grad);
  sky_free(all);
  return SKY_OK;
}
