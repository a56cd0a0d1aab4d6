/* sink_indicators.c: see sink_indicators.h.
 *
 *     total     removal of the last period + measures                    a year
 *     change    removal of the last period less that of the one before   a year
 *     resource  area, and carbon stock of the land, over the last period
 *
 * Removals are positive. CO2e: CO2 removed less CH4 and N2O given off. Maps and measures share no
 * factor, so their errors add in squares. */
#include "src/job/sink_indicators.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/write/json_out.h"

#define HECTARE 1e4
#define TONNE 1e3

typedef struct indicator { /* t; NaN is empty */
  double c, c_sd, ch4, n2o, co2e, co2e_sd, hectares;
  const char *label, *status;
} indicator;

static const indicator none = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, "", ""};

static void put_number(sky_text *t, double v) {
  char text[32] = "";
  if (!isnan(v)) sky_number_text(v == 0 ? 0 : v, text);
  sky_text_printf(t, ",%s", text);
}

static const char *const kinds[3] = {"total_sink", "sink_change", "resource_change"};

static void put(const sky_sink *s, size_t zone, int kind, size_t cls, const indicator *v,
                sky_text *t) {
  const sky_zone *z = &s->zones.zone[zone];
  const double *years = s->opt.years + s->n_period - (kind == 1 && s->n_period > 1 ? 2 : 1);
  sky_text_csv(t, z->id);
  sky_text_put(t, ",");
  sky_text_csv(t, z->name);
  sky_text_put(t, ",");
  sky_text_csv(t, z->level != NULL ? z->level : "");
  sky_text_printf(t, ",%s,", kinds[kind]);
  if (cls < SKY_SINK_CLASSES)
    sky_text_printf(t, "%zu,%s", cls + 1, sky_sink_class_name((int)cls + 1));
  else
    sky_text_put(t, ",all");
  sky_text_printf(t, ",%.15g,%.15g", years[0], s->opt.years[s->n_period]);
  put_number(t, v->hectares);
  put_number(t, v->c);
  put_number(t, v->c_sd);
  put_number(t, v->c * SKY_CO2_PER_C);
  put_number(t, v->c_sd * SKY_CO2_PER_C);
  put_number(t, v->ch4);
  put_number(t, v->n2o);
  put_number(t, v->co2e);
  put_number(t, v->co2e_sd);
  sky_text_put(t, ",");
  sky_text_csv(t, v->label);
  sky_text_put(t, ",");
  sky_text_csv(t, v->status);
  sky_text_put(t, "\n");
}

static bool in_legend(const sky_sink *s, size_t cls) {
  for (size_t i = 0; i < s->legend.n; i++)
    if (s->legend.row[i].number == (int)cls + 1) return true;
  return false;
}

/* Why the maps say nothing about a class in a zone; "" if they do. */
static const char *silence(const sky_sink *s, size_t zone, size_t cls) {
  if (sky_sink_empty(s, zone)) return "no data: no class at all dates";
  if (cls < SKY_SINK_CLASSES && !in_legend(s, cls))
    return "no data: the legend of the maps has no such class";
  return "";
}

static indicator total(const sky_sink *s, size_t zone, const sky_sink_row *row,
                       const sky_measure_sum *m, const sky_sink_gwp *gwp) {
  indicator v = none;
  v.status = silence(s, zone, row->cls);
  const bool mapped = *v.status == '\0';
  if (!mapped && !m->any) return v;
  const double c = mapped ? -row->uptake.value / TONNE : 0,
               sd = mapped ? row->uptake.sd / TONNE : 0;
  v.status = mapped ? "" : "measures alone: the maps have no data";
  const char *label = sky_sink_uptake_label(s, row);
  v.label = mapped && !(m->any && row->uptake.value == 0) ? label : "measures";
  v.hectares = mapped ? row->area[1] / HECTARE : NAN;
  v.c = c - m->gas[SKY_MEASURE_CO2] / TONNE / SKY_CO2_PER_C;
  v.c_sd = hypot(sd, m->sd[SKY_MEASURE_CO2] / TONNE / SKY_CO2_PER_C);
  v.ch4 = m->gas[SKY_MEASURE_CH4] / TONNE;
  v.n2o = m->gas[SKY_MEASURE_N2O] / TONNE;
  if (gwp == NULL) return v;
  v.co2e = c * SKY_CO2_PER_C - m->co2e / TONNE;
  v.co2e_sd = hypot(sd * SKY_CO2_PER_C, m->co2e_sd / TONNE);
  return v;
}

/* What a difference of two maps is, and whether its sd knows the mistakes of the maps. */
static const char *difference(const sky_sink *s) {
  return isnan(s->opt.accuracy) ? "map difference, not area estimate; map error not in the sd"
                                : "map difference, not area estimate; sd with map error";
}

/* Of the maps alone, which hold carbon: t CO2e are t CO2. Measures are of one date. */
static void put_carbon(const sky_sink_estimate *e, double sign, indicator *v) {
  v->c = sign * e->value / TONNE;
  v->c_sd = e->sd / TONNE;
  v->co2e = v->c * SKY_CO2_PER_C;
  v->co2e_sd = v->c_sd * SKY_CO2_PER_C;
}

static indicator change(const sky_sink *s, size_t zone, size_t cls) {
  indicator v = none;
  v.status = silence(s, zone, cls);
  if (*v.status != '\0') return v;
  if (s->change == NULL) {
    v.status = "no data: needs maps of three dates";
    return v;
  }
  put_carbon(&s->change[zone * (SKY_SINK_CLASSES + 1) + cls], -1, &v);
  v.label = difference(s);
  return v;
}

static indicator resource(const sky_sink *s, size_t zone, const sky_sink_row *row) {
  indicator v = none;
  v.status = silence(s, zone, row->cls);
  if (*v.status != '\0') return v;
  v.hectares = (row->area[1] - row->area[0]) / HECTARE;
  put_carbon(&row->stock, 1, &v);
  v.label = s->fractions.n > 0         ? "least change that fits the class fractions"
            : s->reference.n_class > 0 ? "area estimate from a reference sample"
                                       : difference(s);
  if (isnan(v.c)) v.status = "no data on stocks: the set has none";
  return v;
}

static sky_status put_zone(sky_context *ctx, const sky_sink *s, size_t zone,
                           const sky_zone_measures *measures, const sky_sink_gwp *gwp,
                           sky_text *t) {
  for (int kind = 0; kind < 3; kind++) {
    for (size_t cls = 0; cls <= SKY_SINK_CLASSES; cls++) {
      const sky_sink_row *row = &s->rows[zone * (SKY_SINK_CLASSES + 1) + cls];
      sky_measure_sum sum = {.any = false};
      const int number = cls < SKY_SINK_CLASSES ? (int)cls + 1 : 0;
      if (measures != NULL && kind == 0)
        SKY_TRY(sky_zone_measures_sum(ctx, measures, zone, number, gwp, &sum));
      const indicator v = kind == 0   ? total(s, zone, row, &sum, gwp)
                          : kind == 1 ? change(s, zone, cls)
                                      : resource(s, zone, row);
      put(s, zone, kind, cls, &v, t);
    }
  }
  return SKY_OK;
}

static void put_measures(const sky_sink *s, const sky_zone_measures *m, sky_text *t) {
  for (size_t i = 0; i < m->rows.n; i++) {
    const sky_sink_factor *f = &m->rows.factor[i];
    sky_text_printf(t, "# factor %s = %.9g +- %.4g %s%s%s\n", f->key, f->value, f->sd, f->unit,
                    f->sd > 0 ? "" : ", no error published", f->verified ? "" : " (not verified)");
  }
  for (size_t i = 0; i < m->n; i++)
    if (*m->item[i].measure.note != '\0')
      sky_text_printf(t, "# %s of zone %s: %s\n", m->item[i].name,
                      s->zones.zone[m->item[i].zone].id, m->item[i].measure.note);
}

sky_status sky_sink_write_indicators(sky_context *ctx, const sky_sink *s,
                                     const sky_zone_measures *measures, const sky_sink_gwp *gwp,
                                     const char *path) {
  sky_text t = {.ctx = ctx};
  sky_status st = SKY_OK;
  SKY_TRY(sky_sink_need_parts(ctx, s, "indicators"));
  sky_text_put(&t, "# skyflux " SKYFLUX_VERSION
                   " sink: indicators of T/CI 231-2023, Table 1; sinks a year, removal positive\n");
  if (gwp != NULL)
    sky_text_printf(&t, "# GWP set %s: CH4 (not fossil) %.9g, N2O %.9g\n", gwp->set,
                    gwp->of[SKY_MEASURE_CH4], gwp->of[SKY_MEASURE_N2O]);
  if (measures != NULL) put_measures(s, measures, &t);
  sky_text_put(&t,
               "zone_id,zone_name,level,indicator,class,class_name,year_1,year_2,area_ha,t_c,"
               "t_c_sd,t_co2,t_co2_sd,t_ch4,t_n2o,t_co2e,t_co2e_sd,label,status\n");
  for (size_t z = 0; z < s->n_zone && st == SKY_OK; z++)
    st = put_zone(ctx, s, z, measures, gwp, &t);
  const size_t length = t.length;
  char *text = sky_text_take(&t);
  if (st == SKY_OK && text == NULL) st = SKY_E_NOMEM;
  if (st == SKY_OK) st = sky_file_write_text(ctx, path, text, length);
  sky_free(text);
  return st;
}
