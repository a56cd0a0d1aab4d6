/* measures.c: see measures.h; equations and sources in measures.md. */
#include "algorithms/sink/measures.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"

#define CO2_PER_C (44.0 / 12.0)
#define CH4_PER_C (16.0 / 12.0)
#define N2O_PER_N (44.0 / 28.0)
#define KG_PER_T 1000.0
#define KG_HA_PER_G_M2 10.0
#define FRESH_PPT 18.0 /* of salinity: below it CH4 is given off (Table 4.14) */
#define DEFAULT_YEARS 20.0

typedef struct build {
  sky_factor_rows *rows;
  const sky_measure_input *in;
  sky_measure *out;
} build;

/* ---- building blocks ------------------------------------------------------------------------ */

static sky_status need(const build *b, const char *column, double v, double low, double high) {
  if (v >= low && v <= high) return SKY_OK;
  return sky_fail(b->rows->ctx, SKY_E_RANGE, "%s: %s %g of %s, expected %g to %g", b->in->where,
                  column, v, b->in->measure, low, high);
}

static sky_status need_text(const build *b, const char *column, const char *v) {
  if (*v != '\0') return SKY_OK;
  return sky_fail(b->rows->ctx, SKY_E_RANGE, "%s: %s needs a value in column '%s'", b->in->where,
                  b->in->measure, column);
}

static sky_measure_term *add_term(build *b, sky_measure_gas gas, double scale) {
  sky_measure_term *t = &b->out->term[b->out->n++];
  *t = (sky_measure_term){.gas = gas, .scale = scale};
  return t;
}

/* One factor more of the last term. */
static sky_status times(build *b, const char *file, const char *parameter, const char *zone,
                        const char *stratum, const char *detail) {
  const char *const key[SKY_FACTOR_COLUMNS] = {parameter, NULL, zone, stratum, detail};
  sky_measure_term *t = &b->out->term[b->out->n - 1];
  const sky_status st = sky_factor_rows_find(b->rows, file, key, NULL, &t->factor[t->n]);
  if (st != SKY_OK) return sky_fail_in(b->rows->ctx, st, "%s: ", b->in->where);
  t->n++;
  return SKY_OK;
}

#define NONCO2 "nonco2_factors"
#define COAST "blue_carbon"
#define IPCC "ipcc_defaults"

/* A factor of the user's own, or one that is made of others. */
static sky_status times_own(build *b, const char *name, const char *unit, double value, double sd) {
  sky_factor_rows *r = b->rows;
  SKY_TRY(sky_factor_rows_grow(r));
  sky_sink_factor *f = &r->factor[r->n];
  *f = (sky_sink_factor){.value = value, .sd = sd, .verified = true};
  f->key = sky_sprintf(r->ctx, "%s:%s", b->in->where, name);
  f->source = sky_strdup(r->ctx, b->in->where);
  f->unit = sky_strdup(r->ctx, unit);
  sky_measure_term *t = &b->out->term[b->out->n - 1];
  t->factor[t->n++] = r->n++;
  return f->key != NULL && f->source != NULL && f->unit != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* ---- fields --------------------------------------------------------------------------------- */

/* SF_o = (1 + ROA · CFOA)^0.59 (IPCC 2019 V4 Eq. 5.3); its error is that of CFOA, linearised. */
static sky_status times_organic(build *b) {
  const sky_measure_input *in = b->in;
  const char *const key[SKY_FACTOR_COLUMNS] = {"rice CFOA", NULL, NULL, NULL, in->organic};
  size_t index;
  if (*in->organic == '\0') return SKY_OK;
  SKY_TRY(need(b, "organic_t_ha", in->organic_amount, 0, 100));
  const sky_status st = sky_factor_rows_find(b->rows, NONCO2, key, NULL, &index);
  if (st != SKY_OK) return sky_fail_in(b->rows->ctx, st, "%s: ", in->where);
  const sky_sink_factor *f = &b->rows->factor[index];
  const double base = 1 + in->organic_amount * f->value;
  return times_own(b, "SFo of organic amendments", "1", pow(base, 0.59),
                   0.59 * pow(base, -0.41) * in->organic_amount * f->sd);
}

static sky_status rice(build *b) {
  const sky_measure_input *in = b->in;
  SKY_TRY(need_text(b, "climate", in->climate));
  SKY_TRY(need_text(b, "type", in->type));
  SKY_TRY(need_text(b, "detail", in->detail));
  if (!isnan(in->days)) SKY_TRY(need(b, "days", in->days, 1, 366));
  add_term(b, SKY_MEASURE_CH4, isnan(in->days) ? in->area : in->area * in->days);
  SKY_TRY(times(b, NONCO2, "rice CH4 baseline EFc", in->climate, NULL, NULL));
  SKY_TRY(times(b, NONCO2, "rice SFw", NULL, NULL, in->type));
  SKY_TRY(times(b, NONCO2, "rice SFp", NULL, NULL, in->detail));
  if (isnan(in->days))
    SKY_TRY(times(b, NONCO2, "rice cultivation period", in->climate, NULL, NULL));
  return times_organic(b);
}

static sky_status nitrogen(build *b) {
  SKY_TRY(need_text(b, "type", b->in->type));
  SKY_TRY(need(b, "nitrogen_kg", b->in->nitrogen, 0, INFINITY));
  add_term(b, SKY_MEASURE_N2O, b->in->nitrogen * N2O_PER_N);
  return times(b, NONCO2, "soil N2O", NULL, NULL, b->in->type);
}

/* Gains until the crop has its greatest stock, nothing afterwards. */
static sky_status perennial(build *b) {
  const sky_measure_input *in = b->in;
  SKY_TRY(need_text(b, "climate", in->climate));
  SKY_TRY(need_text(b, "type", in->type));
  SKY_TRY(need(b, "years", in->years, 0, 1000));
  const char *const most[SKY_FACTOR_COLUMNS] = {"perennial crop max AGB C Lmax", NULL, in->climate,
                                                in->type, NULL};
  size_t index;
  const sky_status st = sky_factor_rows_find(b->rows, IPCC, most, NULL, &index);
  if (st != SKY_OK) return sky_fail_in(b->rows->ctx, st, "%s: ", in->where);
  add_term(b, SKY_MEASURE_CO2, -in->area * KG_PER_T * CO2_PER_C);
  SKY_TRY(times(b, IPCC, "perennial crop AGB C accumulation G", in->climate, in->type, NULL));
  const double gain = b->rows->factor[b->out->term[0].factor[0]].value;
  if (in->years * gain <= b->rows->factor[index].value) return SKY_OK;
  b->out->n = 0;
  b->out->note = "full grown: no further gain";
  return SKY_OK;
}

/* ---- inland wetlands ------------------------------------------------------------------------ */

static sky_status drained_organic(build *b) {
  const sky_measure_input *in = b->in;
  SKY_TRY(need_text(b, "climate", in->climate));
  SKY_TRY(need_text(b, "type", in->type));
  SKY_TRY(need_text(b, "detail", in->detail));
  SKY_TRY(need(b, "ditch_fraction", in->ditches, 0, 1));
  add_term(b, SKY_MEASURE_CO2, in->area * KG_PER_T * CO2_PER_C);
  SKY_TRY(times(b, NONCO2, "drained organic soil CO2-C", in->climate, in->type, in->detail));
  add_term(b, SKY_MEASURE_CH4, in->area * (1 - in->ditches));
  SKY_TRY(times(b, NONCO2, "drained organic soil CH4 land", in->climate, in->type, in->detail));
  add_term(b, SKY_MEASURE_CH4, in->area * in->ditches);
  SKY_TRY(times(b, NONCO2, "drained organic soil ditch CH4", in->climate, in->type, in->detail));
  add_term(b, SKY_MEASURE_N2O, in->area * N2O_PER_N);
  return times(b, NONCO2, "drained organic soil N2O-N", in->climate, in->type, in->detail);
}

static sky_status rewetted_organic(build *b) {
  const sky_measure_input *in = b->in;
  SKY_TRY(need_text(b, "climate", in->climate));
  SKY_TRY(need_text(b, "type", in->type));
  add_term(b, SKY_MEASURE_CO2, in->area * KG_PER_T * CO2_PER_C);
  SKY_TRY(times(b, NONCO2, "rewetted organic soil CO2-C", in->climate, in->type, NULL));
  add_term(b, SKY_MEASURE_CH4, in->area * CH4_PER_C);
  return times(b, NONCO2, "rewetted organic soil CH4-C", in->climate, in->type, NULL);
}

#define FLU "FLU inland wetland mineral soil"

/* Soil of a rewetted field: 0.71 of its reference, 0.80 after 20 years, all of it after 40. */
static sky_status rewetted_mineral(build *b) {
  const sky_measure_input *in = b->in;
  static const char *const step[3] = {"long-term cultivated (boreal/temperate)",
                                      "rewetting yr 1-20", "rewetting yr 21-40"};
  SKY_TRY(need_text(b, "climate", in->climate));
  SKY_TRY(need_text(b, "type", in->type));
  SKY_TRY(need_text(b, "detail", in->detail));
  SKY_TRY(need(b, "years", in->years, 0, 1000));
  add_term(b, SKY_MEASURE_CH4, in->area);
  SKY_TRY(times(b, NONCO2, "inland wetland mineral soil rewetted CH4", in->climate, NULL, NULL));
  if (in->years > 2 * DEFAULT_YEARS) {
    b->out->note = "soil has its reference again after 40 years: no further gain";
    return SKY_OK;
  }
  const size_t now = in->years > DEFAULT_YEARS;
  for (size_t k = 0; k < 2; k++) { /* from, then to */
    const double sign = k == 0 ? 1 : -1;
    add_term(b, SKY_MEASURE_CO2, sign * in->area * KG_PER_T * CO2_PER_C / DEFAULT_YEARS);
    SKY_TRY(times(b, IPCC, "SOC_REF", in->type, in->detail, NULL));
    SKY_TRY(times(b, NONCO2, FLU, NULL, NULL, step[now + k]));
  }
  return SKY_OK;
}

static sky_status reservoir(build *b) {
  const sky_measure_input *in = b->in;
  SKY_TRY(need_text(b, "climate", in->climate));
  SKY_TRY(need(b, "years", in->years, 0, 1000));
  const bool young = in->years <= DEFAULT_YEARS;
  const char *ch4 = young ? "reservoir CH4 <=20 yr" : "reservoir CH4 >20 yr";
  for (int below = 0; below < 2; below++) { /* the surface; what degasses downstream of the dam */
    add_term(b, SKY_MEASURE_CH4, in->area);
    SKY_TRY(times(b, NONCO2, ch4, in->climate, NULL, NULL));
    if (below) SKY_TRY(times(b, NONCO2, "reservoir downstream CH4 ratio Rd", NULL, NULL, NULL));
  }
  if (!young) return SKY_OK;
  add_term(b, SKY_MEASURE_CO2, in->area * KG_PER_T * CO2_PER_C);
  return times(b, NONCO2, "reservoir CO2-C <=20 yr", in->climate, NULL, NULL);
}

static sky_status pond(build *b) {
  SKY_TRY(need_text(b, "type", b->in->type));
  add_term(b, SKY_MEASURE_CH4, b->in->area);
  return times(b, COAST, "CH4 constructed water bodies", NULL, b->in->type, NULL);
}

/* ---- coast ---------------------------------------------------------------------------------- */

/* Planted mangrove grows G (1 + R) CF until it has the stock of its climate. */
static sky_status mangrove_biomass(build *b) {
  const sky_measure_input *in = b->in;
  const char *const most[SKY_FACTOR_COLUMNS] = {"AGB mangrove", NULL, in->climate, "mangrove",
                                                NULL};
  size_t index;
  if (*in->climate == '\0') {
    b->out->note = "soil alone: biomass needs the column 'climate'";
    return SKY_OK;
  }
  SKY_TRY(need(b, "years", in->years, 0, 1000));
  const sky_status st = sky_factor_rows_find(b->rows, COAST, most, NULL, &index);
  if (st != SKY_OK) return sky_fail_in(b->rows->ctx, st, "%s: ", in->where);
  const size_t before = b->out->n;
  for (int root = 0; root < 2; root++) {
    add_term(b, SKY_MEASURE_CO2, -in->area * KG_PER_T * CO2_PER_C);
    SKY_TRY(times(b, COAST, "AGB net growth mangrove", in->climate, "mangrove", NULL));
    if (root) SKY_TRY(times(b, COAST, "root:shoot mangrove", in->climate, "mangrove", NULL));
    SKY_TRY(times(b, COAST, "carbon fraction mangrove AGB", NULL, "mangrove", NULL));
  }
  const double growth = b->rows->factor[b->out->term[before].factor[0]].value;
  if (in->years * growth <= b->rows->factor[index].value) return SKY_OK;
  b->out->n = before;
  b->out->note = "biomass full grown: soil alone";
  return SKY_OK;
}

/* Where the water is fresh, CH4 counts against the soil (Table 4.14; not for seagrass). */
static sky_status coastal_methane(build *b) {
  const double salinity = b->in->salinity;
  SKY_TRY(need(b, "salinity_ppt", salinity, 0, 60));
  add_term(b, SKY_MEASURE_CH4, b->in->area);
  return times(
      b, COAST,
      salinity < FRESH_PPT ? "CH4 rewetted, salinity <18 ppt" : "CH4 rewetted, salinity >18 ppt",
      NULL, "mangrove and tidal marsh", NULL);
}

static sky_status coast(build *b, const char *stratum, bool methane, bool biomass) {
  const sky_measure_input *in = b->in;
  if (strcmp(in->credit, "rewetted") == 0) {
    add_term(b, SKY_MEASURE_CO2, in->area * KG_PER_T * CO2_PER_C);
    SKY_TRY(times(b, COAST, "soil C accumulation EF_REWET", NULL, stratum, NULL));
    if (methane) SKY_TRY(coastal_methane(b));
    return biomass ? mangrove_biomass(b) : SKY_OK;
  }
  if (strcmp(in->credit, "standing") == 0) {
    SKY_TRY(need_text(b, "type", in->type));
    add_term(b, SKY_MEASURE_CO2, -in->area * KG_HA_PER_G_M2 * CO2_PER_C);
    b->out->note = "burial credited to standing area: no IPCC tier 1 sink";
    return times(b, COAST, "C burial rate", NULL, in->type, NULL);
  }
  if (strcmp(in->credit, "drained") == 0 && methane) {
    add_term(b, SKY_MEASURE_CO2, in->area * KG_PER_T * CO2_PER_C);
    return times(b, COAST, "soil C loss on drainage EF_DR", NULL, "mangrove and tidal marsh", NULL);
  }
  return sky_fail(b->rows->ctx, SKY_E_RANGE,
                  "%s: credit '%s' of %s is not one of rewetted, standing%s", in->where, in->credit,
                  in->measure, methane ? ", drained" : "");
}

static sky_status mangrove(build *b) {
  return coast(b, "mangrove", true, true);
}
static sky_status marsh(build *b) {
  return coast(b, "tidal marsh", true, false);
}
static sky_status seagrass(build *b) {
  return coast(b, "seagrass", false, false);
}

/* ---- fire ----------------------------------------------------------------------------------- */

/* L = A · M_B · C_f · G_ef (IPCC 2006 V4 Eq. 2.27): ha · t/ha · 1 · g/kg = kg of gas. */
static sky_status fire(build *b) {
  const sky_measure_input *in = b->in;
  static const char *const ef[SKY_MEASURE_GASES] = {"forest fire EF CO2", "forest fire EF CH4",
                                                    "forest fire EF N2O"};
  SKY_TRY(need_text(b, "climate", in->climate));
  SKY_TRY(need(b, "fuel_t_ha", in->fuel, 0, 1000));
  SKY_TRY(need(b, "fuel_sd", in->fuel_sd, 0, 1000));
  size_t fuel = SIZE_MAX;
  for (int g = 0; g < SKY_MEASURE_GASES; g++) {
    sky_measure_term *t = add_term(b, (sky_measure_gas)g, in->area);
    if (g == 0) {
      SKY_TRY(times_own(b, "fuel", "t d.m./ha", in->fuel, in->fuel_sd));
      fuel = t->factor[0];
    } else {
      t->factor[t->n++] = fuel; /* the same fuel, the same error */
    }
    SKY_TRY(times(b, NONCO2, "forest fire combustion factor Cf", in->climate, NULL, NULL));
    SKY_TRY(times(b, NONCO2, ef[g], in->climate, NULL, NULL));
  }
  return SKY_OK;
}

/* ---- projects ------------------------------------------------------------------------------- */

/* Of a project's rate only what its land does not already count as cover: no land twice. */
static sky_status project(build *b) {
  const sky_measure_input *in = b->in;
  SKY_TRY(need(b, "rate_t_c_ha_yr", in->rate, 0, 100));
  SKY_TRY(need(b, "rate_sd", in->rate_sd, 0, 100));
  SKY_TRY(need(b, "the uptake of its land", in->counted, -1000, 1000));
  const double counted = fmax(0, in->counted);
  if (in->rate <= counted) {
    b->out->note = "not more than the cover of the land already counts";
    return SKY_OK;
  }
  add_term(b, SKY_MEASURE_CO2, -in->area * KG_PER_T * CO2_PER_C);
  return times_own(b, "rate above that of the cover", "t C/ha/yr", in->rate - counted, in->rate_sd);
}

/* ---- all ------------------------------------------------------------------------------------ */

static const struct {
  int cls;
  sky_status (*make)(build *b);
} kinds[] = {{7, rice},
             {7, nitrogen},
             {7, perennial},
             {4, drained_organic},
             {4, rewetted_organic},
             {4, rewetted_mineral},
             {4, reservoir},
             {4, pond},
             {8, mangrove},
             {9, marsh},
             {10, seagrass},
             {1, fire},
             {5, project},
             {6, project}};
const char *const sky_measure_names[] = {"rice",
                                         "soil-nitrogen",
                                         "perennial-crop",
                                         "drained-organic",
                                         "rewetted-organic",
                                         "rewetted-mineral",
                                         "reservoir",
                                         "pond",
                                         "mangrove",
                                         "marsh",
                                         "seagrass",
                                         "fire",
                                         "soil-conservation",
                                         "sandy-land",
                                         NULL};

sky_status sky_measure_make(sky_factor_rows *rows, const sky_measure_input *in, sky_measure *out) {
  build b = {rows, in, out};
  for (size_t i = 0; sky_measure_names[i] != NULL; i++) {
    if (strcmp(in->measure, sky_measure_names[i]) != 0) continue;
    *out = (sky_measure){.cls = kinds[i].cls, .note = ""};
    SKY_TRY(need(&b, "area_ha", in->area, 0, 1e10));
    return kinds[i].make(&b);
  }
  return sky_fail(rows->ctx, SKY_E_RANGE, "%s: measure '%s' is not known (see docs/sink.md)",
                  in->where, in->measure);
}

double sky_measure_value(const sky_measure *m, const sky_sink_factor *factor, sky_measure_gas gas,
                         double *grad) {
  double sum = 0;
  for (size_t t = 0; t < m->n; t++) {
    const sky_measure_term *term = &m->term[t];
    double product = term->scale;
    if (term->gas != gas) continue;
    for (size_t k = 0; k < term->n; k++)
      product *= factor[term->factor[k]].value;
    sum += product;
    for (size_t k = 0; k < term->n && grad != NULL; k++) {
      double others = term->scale;
      for (size_t i = 0; i < term->n; i++)
        if (i != k) others *= factor[term->factor[i]].value;
      grad[term->factor[k]] += others;
    }
  }
  return sum;
}
