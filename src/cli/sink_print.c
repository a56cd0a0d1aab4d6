/* sink_print.c: rows of `skyflux sink` as JSON and as a table for the terminal. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/sink_args.h"
#include "src/core/memory.h"
#include "src/write/json_out.h"

/* ---- JSON ----------------------------------------------------------------------------------- */

static void add_number(cJSON *o, const char *key, double v) {
  cJSON_AddItemToObject(o, key, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static cJSON *row_json(const sky_sink *s, const sky_sink_row *row) {
  cJSON *o = cJSON_CreateObject();
  double v[SKY_SINK_NUMBERS];
  char reason[SKY_SINK_REASON];
  sky_sink_numbers(s, row, v);
  cJSON_AddStringToObject(o, "zone_id", s->zones.zone[row->zone].id);
  cJSON_AddStringToObject(o, "zone_name", s->zones.zone[row->zone].name);
  add_number(o, "class", row->cls == s->n_class ? NAN : (double)s->set->cls[row->cls].id);
  cJSON_AddStringToObject(o, "class_name", sky_sink_row_class(s, row));
  add_number(o, "year_1", s->opt.years[row->period]);
  add_number(o, "year_2", s->opt.years[row->period + 1]);
  for (size_t i = 0; i < SKY_SINK_NUMBERS; i++)
    add_number(o, sky_sink_number_names[i], v[i]);
  cJSON_AddStringToObject(o, "stock_label", sky_sink_stock_label(s, row));
  cJSON_AddStringToObject(o, "uptake_label", sky_sink_uptake_label(s, row));
  cJSON_AddStringToObject(o, "reason", sky_sink_reason(s, row->zone, reason));
  return o;
}

/* What stands in the place of the factors: a zone's own. */
static void add_local(const sky_sink_local *l, cJSON *to) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "zone_id", l->where);
  for (size_t c = 0; c < SKY_SINK_CLASSES; c++) {
    if (isnan(l->agb[c]) && isnan(l->soil[c])) continue;
    cJSON *of = cJSON_AddObjectToObject(o, sky_sink_class_name((int)c + 1));
    add_number(of, "biomass_t_ha", l->agb[c]);
    add_number(of, "biomass_sd_t_ha", l->agb_sd[c]);
    add_number(of, "soil_t_c_ha", l->soil[c]);
    add_number(of, "soil_sd_t_c_ha", l->soil_sd[c]);
  }
  if (!isnan(l->age[0]))
    cJSON_AddItemToObject(o, "forest_ages", cJSON_CreateDoubleArray(l->age, SKY_FOREST_AGES));
  cJSON_AddItemToArray(to, o);
}

sky_status sky_sink_print_json(sky_context *ctx, const sky_sink *s) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddItemToObject(o, "years", cJSON_CreateDoubleArray(s->opt.years, (int)s->opt.n_date));
  cJSON_AddStringToObject(o, "legend", s->legend.name);
  cJSON_AddStringToObject(o, "set", s->set->name);
  add_number(o, "accuracy", s->opt.accuracy);
  cJSON *factors = cJSON_AddArrayToObject(o, "factors");
  for (size_t i = 0; i < s->sites.n_factor; i++) {
    const sky_sink_factor *f = s->sites.factor[i];
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "key", f->key);
    cJSON_AddStringToObject(item, "source", f->source);
    cJSON_AddStringToObject(item, "unit", f->unit);
    add_number(item, "value", f->value);
    add_number(item, "sd", f->sd);
    cJSON_AddBoolToObject(item, "verified", f->verified);
    cJSON_AddItemToArray(factors, item);
  }
  cJSON *local = s->local != NULL ? cJSON_AddArrayToObject(o, "zones") : NULL;
  for (size_t z = 0; z < s->n_zone && local != NULL; z++)
    add_local(&s->local[z], local);
  cJSON *rows = cJSON_AddArrayToObject(o, "rows");
  for (size_t i = 0; i < s->n_row; i++)
    if (sky_sink_row_shown(s, &s->rows[i])) cJSON_AddItemToArray(rows, row_json(s, &s->rows[i]));
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

/* ---- table ---------------------------------------------------------------------------------- */

static void print_estimate(double value, double sd) {
  if (isnan(value))
    printf("  %13s   %-11s", "no data", "");
  else
    printf("  %13.5g ± %-11.3g", value, sd);
}

static void print_local(const sky_sink_local *l) {
  for (size_t c = 0; c < SKY_SINK_CLASSES; c++) {
    const char *name = sky_sink_class_name((int)c + 1);
    if (!isnan(l->agb[c]))
      printf("zone %s: biomass of %s %.6g ± %.3g t/ha above ground\n", l->where, name, l->agb[c],
             l->agb_sd[c]);
    if (!isnan(l->soil[c]))
      printf("zone %s: soil of %s %.6g ± %.3g t C/ha\n", l->where, name, l->soil[c], l->soil_sd[c]);
  }
  if (!isnan(l->age[0]))
    printf("zone %s: forest of up to 20 years %.3g, older %.3g, primary %.3g\n", l->where,
           l->age[0], l->age[1], l->age[2]);
}

void sky_sink_print_table(const sky_sink *s) {
  printf("%-16s %-18s %11s %13s %13s %12s  %27s  %27s\n", "zone", "class", "years", "before, ha",
         "after, ha", "change, ha", "stock change, t C", "removal, t C/yr");
  for (size_t i = 0; i < s->n_row; i++) {
    const sky_sink_row *row = &s->rows[i];
    if (!sky_sink_row_shown(s, row)) continue;
    double v[SKY_SINK_NUMBERS];
    sky_sink_numbers(s, row, v);
    const double *years = s->opt.years + row->period;
    printf("%-16s %-18s %5.15g-%-5.15g %13.1f %13.1f %12.1f", s->zones.zone[row->zone].id,
           sky_sink_row_class(s, row), years[0], years[1], v[SKY_SINK_AREA_1], v[SKY_SINK_AREA_2],
           v[SKY_SINK_CHANGE]);
    print_estimate(v[SKY_SINK_STOCK_CHANGE], v[SKY_SINK_STOCK_SD]);
    print_estimate(v[SKY_SINK_REMOVAL], v[SKY_SINK_REMOVAL_SD]);
    char text[SKY_SINK_REASON];
    const char *reason = row->cls == s->n_class ? sky_sink_reason(s, row->zone, text) : "";
    printf("  %s%s%s\n", sky_sink_uptake_label(s, row), *reason != '\0' ? "; " : "", reason);
  }
  printf(
      "\nstock change: %s; positive = the land gains carbon\nremoval: positive = uptake, %.9g t "
      "CO2 per t C; without loss data a gain is gross growth, not a net sink\n",
      s->fractions.n > 0         ? "least change that fits the class fractions, not area estimate"
      : s->reference.n_class > 0 ? "area estimate from a reference sample"
      : isnan(s->opt.accuracy) ? "map difference, not area estimate (map error unknown: --accuracy)"
                               : "map difference, not area estimate (interval with map error)",
      SKY_CO2_PER_C);
  if (s->opt.pools != NULL) {
    printf("pools: %s\n", s->opt.pools);
    return;
  }
  if (s->opt.soil == NULL && s->opt.soil_map == NULL && s->stocks && !s->totals)
    printf("soil carbon: not computed (give --soil)\n");
  for (size_t z = 0; z < s->n_zone && s->local != NULL; z++)
    print_local(&s->local[z]);
  printf("factors%s:\n", s->local != NULL ? ", where a zone has nothing of its own" : "");
  for (size_t i = 0; i < s->sites.n_factor; i++) {
    const sky_sink_factor *f = s->sites.factor[i];
    printf("  %s = %.9g ± %.4g %s%s%s\n", f->key, f->value, f->sd, f->unit,
           f->sd > 0 ? "" : ", no error published", f->verified ? "" : ", not verified");
  }
}
