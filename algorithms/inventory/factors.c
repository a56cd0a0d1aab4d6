/* factors.c: look-up of emission factors in the embedded tables (factors.h, account.md).
 *
 * The tables are small (a few hundred rows), so every look-up is a scan. */
#include "algorithms/inventory/factors.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/text.h"
#include "src/core/units.h"

#define CO2_PER_C (44.0 / 12.0) /* as the guidelines write it */
#define PER_TCE_MIN 1.0         /* t CO2 per tce, plausible */
#define PER_TCE_MAX 4.0
#define AVERAGE_BASIS "电力平均"
#define N2O_PER_N (44.0 / 28.0)
#define CH4_KG_M3 0.67 /* at 20 degC and 1 atm, IPCC 2006 V2 Ch4 */
#define RANGE_95 3.92  /* standard deviations between the bounds of 95 %, normal */

enum { T_COAL, T_CO2, T_GRID, T_OTHER, T_SD, T_GWP, N_TABLES };

/* Rows of uncertainty_ranges for factors without a range of their own, by gas. */
static const char *const SD_KEY[SKY_N_GAS] = {"Climate TRACE floor for country EF",
                                              "Climate TRACE blanket default",
                                              "Climate TRACE blanket default"};

const char *sky_gas_id(sky_gas gas) {
  static const char *const ID[SKY_N_GAS] = {"co2", "ch4", "n2o"};
  return ID[gas];
}

static const struct layout { /* columns; NULL: the table has none */
  const char *stem, *key, *edition, *name, *value, *unit;
} LAYOUT[N_TABLES] = {
    {"standard_coal_factors", "code", "edition", "name_zh", "factor", "factor_unit"},
    {"co2_fuel_factors", "code", NULL, "name_zh", "ef_per_tce", "ef_per_tce_unit"},
    {"grid_heat_factors", "region", "data_year", "basis", "value", "unit"},
    {"ch4_n2o_factors", "code", NULL, "item", "value", "unit"},
    {"uncertainty_ranges", "item", NULL, NULL, "value", "unit"},
    {"gwp100", "gas", NULL, NULL, NULL, NULL},
};

static const char *const GWP_SETS[] = {"SAR", "AR4", "AR5", "AR5_ccf", "AR6", "AR6_GWP20"};
#define N_GWP (sizeof GWP_SETS / sizeof GWP_SETS[0])

typedef enum user_kind { USER_K, USER_C, USER_DIRECT } user_kind;

typedef struct user_row {
  user_kind kind;
  sky_gas gas;
  sky_measure measure; /* of one unit; NONE for c */
  double value, sd;
  size_t row;
} user_row;

struct sky_factors {
  sky_factor_rules rules;
  sky_table *table[N_TABLES];
  const sky_table *user;
  const char *user_name;
  user_row *users;
  size_t n_users;
  const char **fuels; /* every word that an activity may name; those of the tables first */
  size_t n_fuels, n_own;
  sky_factor_row sd_row[SKY_N_GAS]; /* table NULL: the rules gave a number */
  double sd[SKY_N_GAS];
};

/* ---- units ---------------------------------------------------------------------------------- */

/* Exact, or unknown to udunits2, or something else there ("kt": knot, "Nm3": newton). */
static const struct own_unit {
  const char *text;
  sky_measure measure;
  double scale;
} OWN_UNITS[] = {
    {"t", SKY_MEASURE_MASS, 1},          {"kg", SKY_MEASURE_MASS, 1e-3},
    {"kt", SKY_MEASURE_MASS, 1e3},       {"Mt", SKY_MEASURE_MASS, 1e6},
    {"m3", SKY_MEASURE_VOLUME, 1},       {"Nm3", SKY_MEASURE_VOLUME, 1},
    {"MJ", SKY_MEASURE_ENERGY, 1e-3},    {"GJ", SKY_MEASURE_ENERGY, 1},
    {"TJ", SKY_MEASURE_ENERGY, 1e3},     {"PJ", SKY_MEASURE_ENERGY, 1e6},
    {"kWh", SKY_MEASURE_ENERGY, 3.6e-3}, {"MWh", SKY_MEASURE_ENERGY, 3.6},
    {"GWh", SKY_MEASURE_ENERGY, 3.6e3},  {"TWh", SKY_MEASURE_ENERGY, 3.6e6},
    {"kgce", SKY_MEASURE_TCE, 1e-3},     {"tce", SKY_MEASURE_TCE, 1},
    {"ktce", SKY_MEASURE_TCE, 1e3},      {"Mtce", SKY_MEASURE_TCE, 1e6},
    {"head", SKY_MEASURE_COUNT, 1},      {"头", SKY_MEASURE_COUNT, 1},
    {"只", SKY_MEASURE_COUNT, 1},        {"unit", SKY_MEASURE_COUNT, 1},
    {"个", SKY_MEASURE_COUNT, 1},        {"ha", SKY_MEASURE_AREA, 1},
    {"hm2", SKY_MEASURE_AREA, 1},        {"km2", SKY_MEASURE_AREA, 100},
    {"亩", SKY_MEASURE_AREA, 1.0 / 15},
};

static const struct prefix {
  const char *text;
  double scale;
} PREFIXES[] = {{"10^4", 1e4}, {"1e4", 1e4}, {"万", 1e4}, {"10^8", 1e8}, {"1e8", 1e8}, {"亿", 1e8}};

const char *sky_measure_units(sky_measure m) {
  switch (m) {
    case SKY_MEASURE_MASS:
      return "t, kg, kt, Mt, 10^4 t";
    case SKY_MEASURE_VOLUME:
      return "m3, Nm3, 10^4 m3";
    case SKY_MEASURE_ENERGY:
      return "GJ, TJ, kWh, MWh, GWh, 10^4 kWh";
    case SKY_MEASURE_TCE:
      return "tce, kgce, 10^4 tce";
    case SKY_MEASURE_COUNT:
      return "head, unit, 10^4 head";
    case SKY_MEASURE_AREA:
      return "ha, km2, 10^4 ha";
    case SKY_MEASURE_NONE:
      break;
  }
  return "none";
}

sky_status sky_factor_unit(sky_context *ctx, const char *unit, sky_measure *measure,
                           double *scale) {
  static const struct {
    const char *base;
    sky_measure measure;
  } BASES[] = {{"1000 kg", SKY_MEASURE_MASS},
               {"m3", SKY_MEASURE_VOLUME},
               {"GJ", SKY_MEASURE_ENERGY},
               {"hectare", SKY_MEASURE_AREA}};
  double factor = 1, slope = NAN, offset = NAN;
  const char *rest = unit;
  for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++) {
    const size_t n = strlen(PREFIXES[i].text);
    if (strncmp(unit, PREFIXES[i].text, n) != 0) continue;
    factor = PREFIXES[i].scale;
    rest = unit + n + strspn(unit + n, " ");
    break;
  }
  for (size_t i = 0; i < sizeof OWN_UNITS / sizeof *OWN_UNITS; i++) {
    if (strcmp(rest, OWN_UNITS[i].text) != 0) continue;
    *measure = OWN_UNITS[i].measure;
    *scale = factor * OWN_UNITS[i].scale;
    return SKY_OK;
  }
  /* udunits2's "ton" is the short ton of 907 kg, which no table of this kind means. */
  const bool short_ton = strncmp(rest, "ton", 3) == 0 && strncmp(rest, "tonne", 5) != 0;
  for (size_t i = 0; i < sizeof BASES / sizeof *BASES && *rest != '\0' && !short_ton; i++) {
    const sky_status st = sky_units_convert(ctx, rest, BASES[i].base, &slope, &offset);
    if (st == SKY_E_NOMEM) return st;
    if (st != SKY_OK || offset != 0 || !(slope > 0)) continue;
    *measure = BASES[i].measure;
    *scale = factor * slope;
    sky_error_clear(ctx);
    return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_UNITS,
                  "'%s' measures no mass, volume, energy, count or area (legal: %s; %s; %s; %s; "
                  "%s; %s)",
                  unit, sky_measure_units(SKY_MEASURE_MASS), sky_measure_units(SKY_MEASURE_VOLUME),
                  sky_measure_units(SKY_MEASURE_ENERGY), sky_measure_units(SKY_MEASURE_TCE),
                  sky_measure_units(SKY_MEASURE_COUNT), sky_measure_units(SKY_MEASURE_AREA));
}

/* ---- rows ----------------------------------------------------------------------------------- */

static const char *cell(const sky_factors *f, int table, size_t row, const char *header) {
  if (header == NULL) return "";
  return sky_table_cell(f->table[table], row, sky_table_find(f->table[table], header));
}

/* The first year 19xx or 20xx that a source names; "-" if none. */
static void year_in(const char *text, char out[16]) {
  snprintf(out, 16, "-");
  for (const char *p = text; *p != '\0'; p++) {
    const bool century = (p[0] == '1' && p[1] == '9') || (p[0] == '2' && p[1] == '0');
    const bool start = p == text || !isdigit((unsigned char)p[-1]);
    if (!century || !start || strspn(p, "0123456789") != 4) continue;
    snprintf(out, 16, "%.4s", p);
    return;
  }
}

static sky_factor_row row_at(const sky_factors *f, int table, size_t row) {
  const struct layout *l = &LAYOUT[table];
  sky_factor_row r = {.table = l->stem,
                      .key = cell(f, table, row, l->key),
                      .name = cell(f, table, row, l->name),
                      .value = cell(f, table, row, l->value),
                      .unit = cell(f, table, row, l->unit),
                      .source = cell(f, table, row, "source"),
                      .verified = cell(f, table, row, "verified"),
                      .line = sky_table_line(f->table[table], row)};
  if (l->edition != NULL)
    snprintf(r.edition, sizeof r.edition, "%s", cell(f, table, row, l->edition));
  else if (table == T_CO2 || table == T_OTHER)
    year_in(r.source, r.edition);
  if (r.edition[0] == '\0') snprintf(r.edition, sizeof r.edition, "-");
  for (size_t above = row; above > 0 && strcmp(r.source, "same") == 0;)
    r.source = cell(f, table, --above, "source");
  return r;
}

bool sky_factor_row_same(const sky_factor_row *a, const sky_factor_row *b) {
  if (a->table == NULL || b->table == NULL) return a->table == b->table;
  return strcmp(a->table, b->table) == 0 && a->line == b->line;
}

bool sky_factors_at(const sky_factors *f, size_t i, sky_factor_row *out) {
  for (int t = 0; t < N_TABLES; t++) {
    const size_t rows = sky_table_rows(f->table[t]), each = t == T_GWP ? N_GWP : 1;
    if (i >= rows * each) {
      i -= rows * each;
      continue;
    }
    *out = row_at(f, t, i / each);
    if (t != T_GWP) return true;
    snprintf(out->edition, sizeof out->edition, "%s", GWP_SETS[i % each]);
    out->value = cell(f, t, i / each, GWP_SETS[i % each]);
    out->unit = "kg/kg";
    return true;
  }
  return false;
}

static bool find_row(const sky_factors *f, int table, const char *key, const char *edition,
                     const char *basis, size_t *row) {
  for (size_t i = 0; i < sky_table_rows(f->table[table]); i++) {
    if (strcmp(cell(f, table, i, LAYOUT[table].key), key) != 0) continue;
    if (basis != NULL && strcmp(cell(f, table, i, "basis"), basis) != 0) continue;
    if (edition != NULL && strcmp(row_at(f, table, i).edition, edition) != 0) continue;
    *row = i;
    return true;
  }
  return false;
}

/* "table:key:edition" of this row? */
static bool names_row(const char *text, const sky_factor_row *r) {
  const size_t t = strlen(r->table), k = strlen(r->key);
  return strncmp(text, r->table, t) == 0 && text[t] == ':' &&
         strncmp(text + t + 1, r->key, k) == 0 && text[t + 1 + k] == ':' &&
         strcmp(text + t + k + 2, r->edition) == 0;
}

/* Verified or allowed; "partly" is not verified. */
static sky_status accept(sky_context *ctx, const sky_factors *f, sky_factor_row *r) {
  if (strncmp(r->verified, "yes", 3) == 0) return SKY_OK;
  for (size_t i = 0; i < f->rules.n_allow; i++) {
    if (names_row(f->rules.allow[i], r)) {
      r->allowed = true;
      return SKY_OK;
    }
  }
  return sky_fail(ctx, SKY_E_USAGE,
                  "%s:%s:%s (%s %s, %s) is not verified (%s); to use it all the same: "
                  "--allow-unverified '%s:%s:%s' (in a job: account.allow_unverified)",
                  r->table, r->key, r->edition, r->value, r->unit, r->source, r->verified, r->table,
                  r->key, r->edition);
}

/* A number > 0 of a row; a range or a text is an error that says so. */
static sky_status row_number(sky_context *ctx, const sky_factor_row *r, const char *text,
                             double *out) {
  if (sky_number_parse(text, out, NULL) && *out > 0) return SKY_OK;
  if (*text == '\0')
    return sky_fail(ctx, SKY_E_NODATA, "%s:%s:%s has no value (%s)", r->table, r->key, r->edition,
                    r->source);
  return sky_fail(ctx, SKY_E_RANGE,
                  "%s:%s:%s is '%s', not one number: choose one in a table of --factors", r->table,
                  r->key, r->edition, text);
}

/* ---- fuels ---------------------------------------------------------------------------------- */

/* What the per-tce factors are given for. Other fuels (biomass, hydrogen, steam) have none. */
static const struct class_of {
  const char *fuel, *row;
} CLASSES[] = {
    {"raw_coal", "coal_tce"},
    {"anthracite", "coal_tce"},
    {"bituminous", "coal_tce"},
    {"lignite", "coal_tce"},
    {"cleaned_coal", "coal_tce"},
    {"washed_middlings", "coal_tce"},
    {"coal_slime", "coal_tce"},
    {"briquette", "coal_tce"},
    {"coke", "coal_tce"},
    {"crude_oil", "oil_tce"},
    {"fuel_oil", "oil_tce"},
    {"residual_oil", "oil_tce"},
    {"gasoline", "oil_tce"},
    {"kerosene", "oil_tce"},
    {"jet_kerosene", "oil_tce"},
    {"diesel", "oil_tce"},
    {"naphtha", "oil_tce"},
    {"lpg", "oil_tce"},
    {"refinery_gas", "oil_tce"},
    {"petroleum_coke", "oil_tce"},
    {"natural_gas", "gas_tce"},
    {"natural_gas_oilfield", "gas_tce"},
    {"natural_gas_gasfield", "gas_tce"},
    {"lng", "gas_tce"},
};

static bool is_word(const char *a, const char *b) {
  return strcmp(a, b) == 0;
}

/* t or m3, from the unit of the calorific value; NONE: only GJ and tce. */
static sky_measure fuel_measure(const sky_factors *f, const char *fuel) {
  for (int t = T_COAL; t <= T_CO2; t++) {
    for (size_t i = 0; i < sky_table_rows(f->table[t]); i++) {
      const char *unit = cell(f, t, i, "ncv_unit");
      if (!is_word(cell(f, t, i, "code"), fuel)) continue;
      if (is_word(unit, "kJ/kg") || is_word(unit, "GJ/t")) return SKY_MEASURE_MASS;
      if (is_word(unit, "kJ/m3") || is_word(unit, "GJ/1e4Nm3")) return SKY_MEASURE_VOLUME;
    }
  }
  return SKY_MEASURE_NONE;
}

static bool known_fuel(const sky_factors *f, const char *fuel) {
  for (size_t i = 0; i < f->n_fuels; i++) {
    if (is_word(f->fuels[i], fuel)) return true;
  }
  return false;
}

static void add_fuel(sky_factors *f, const char *fuel) {
  if (!known_fuel(f, fuel)) f->fuels[f->n_fuels++] = fuel;
}

/* Fuels of the two tables (not water, equivalents or per-tce rows), the purchased media, and the
 * factors of other gases (not parameters); room for what the user's table adds. */
static sky_status collect_fuels(sky_context *ctx, sky_factors *f) {
  size_t most = 2 + (f->user != NULL ? sky_table_rows(f->user) : 0);
  for (int t = T_COAL; t <= T_OTHER; t++)
    most += t == T_GRID ? 0 : sky_table_rows(f->table[t]);
  f->fuels = SKY_NEW(ctx, const char *, most);
  if (f->fuels == NULL) return SKY_E_NOMEM;
  for (int t = T_COAL; t <= T_CO2; t++) {
    for (size_t i = 0; i < sky_table_rows(f->table[t]); i++) {
      const char *code = cell(f, t, i, "code");
      if (fuel_measure(f, code) != SKY_MEASURE_NONE || *cell(f, t, i, "carbon_content") != '\0')
        add_fuel(f, code);
    }
  }
  add_fuel(f, "electricity");
  add_fuel(f, "heat");
  for (size_t i = 0; i < sky_table_rows(f->table[T_OTHER]); i++)
    if (is_word(cell(f, T_OTHER, i, "kind"), "factor")) add_fuel(f, cell(f, T_OTHER, i, "code"));
  f->n_own = f->n_fuels;
  return SKY_OK;
}

static bool other_row(const sky_factors *f, const char *name, size_t *row) {
  return find_row(f, T_OTHER, name, NULL, NULL, row) &&
         is_word(cell(f, T_OTHER, *row, "kind"), "factor");
}

/* What a name of the tables emits; false if no table has it. */
static bool own_gas(const sky_factors *f, const char *name, sky_gas *gas) {
  size_t row = 0;
  *gas = SKY_GAS_CO2;
  if (other_row(f, name, &row))
    *gas = is_word(cell(f, T_OTHER, row, "gas"), "CH4") ? SKY_GAS_CH4 : SKY_GAS_N2O;
  for (size_t i = 0; i < f->n_own; i++) {
    if (is_word(f->fuels[i], name)) return true;
  }
  return false;
}

/* ---- units of factors ----------------------------------------------------------------------- */

static sky_status bad_factor_unit(sky_context *ctx, const char *unit) {
  return sky_fail(ctx, SKY_E_UNITS,
                  "unit: '%s' is none of tCO2/tce, kgCO2/tce (c), tce/t, kgce/m3 … (k), tCO2/t, "
                  "kgCO2/kWh, kgCH4/head, m3CH4/t, kgN2O/t, kgN2O-N/t … (both at once)",
                  unit);
}

/* "kgN2O-N/t": value · *scale = t of *gas, or tce, per base unit of *measure. */
static sky_status parse_factor_unit(sky_context *ctx, const char *unit, user_kind *kind,
                                    sky_gas *gas, sky_measure *measure, double *scale) {
  static const struct {
    const char *text;
    double tonnes;
  } AMOUNTS[] = {{"t", 1}, {"kg", 1e-3}, {"g", 1e-6}, {"m3", CH4_KG_M3 * 1e-3}};
  static const struct {
    const char *text;
    sky_gas gas;
    double factor;
  } SUBSTANCES[] = {{"CO2", SKY_GAS_CO2, 1},
                    {"CH4", SKY_GAS_CH4, 1},
                    {"N2O", SKY_GAS_N2O, 1},
                    {"N2O-N", SKY_GAS_N2O, N2O_PER_N},
                    {"ce", SKY_GAS_CO2, 1}};
  const char *slash = strchr(unit, '/');
  const size_t n = slash != NULL ? (size_t)(slash - unit) : 0;
  for (size_t a = 0; a < sizeof AMOUNTS / sizeof *AMOUNTS; a++) {
    const size_t m = strlen(AMOUNTS[a].text);
    if (n < m || strncmp(unit, AMOUNTS[a].text, m) != 0) continue;
    const char *name = unit + m + strspn(unit + m, " ");
    const size_t length = (size_t)(slash - name);
    for (size_t s = 0; s < sizeof SUBSTANCES / sizeof *SUBSTANCES; s++) {
      if (strlen(SUBSTANCES[s].text) != length || strncmp(name, SUBSTANCES[s].text, length) != 0)
        continue;
      double per = 1;
      const bool coal = is_word(SUBSTANCES[s].text, "ce");
      *gas = SUBSTANCES[s].gas;
      if (is_word(AMOUNTS[a].text, "m3") && *gas != SKY_GAS_CH4) continue;
      const sky_status st = sky_factor_unit(ctx, slash + 1, measure, &per);
      if (st == SKY_E_UNITS) return bad_factor_unit(ctx, unit);
      if (st != SKY_OK) return st;
      *scale = AMOUNTS[a].tonnes * SUBSTANCES[s].factor / per;
      *kind = coal                                                 ? USER_K
              : *gas == SKY_GAS_CO2 && *measure == SKY_MEASURE_TCE ? USER_C
                                                                   : USER_DIRECT;
      if (!coal || *measure == SKY_MEASURE_MASS || *measure == SKY_MEASURE_VOLUME) return SKY_OK;
    }
  }
  return bad_factor_unit(ctx, unit);
}

/* ---- the user's table ----------------------------------------------------------------------- */

static const char *const USER_HEADER[] = {"fuel", "value", "unit", "sd_percent", "source"};
enum { U_FUEL, U_VALUE, U_UNIT, U_SD, U_SOURCE, N_USER };

static sky_status parse_user_unit(sky_context *ctx, const char *unit, user_row *u) {
  double scale = NAN;
  SKY_TRY(parse_factor_unit(ctx, unit, &u->kind, &u->gas, &u->measure, &scale));
  u->value *= scale;
  if (u->kind == USER_C && !(u->value >= PER_TCE_MIN && u->value <= PER_TCE_MAX))
    return sky_fail(ctx, SKY_E_RANGE,
                    "value: %g t CO2 per tce is outside %g to %g (is the unit %s right?)", u->value,
                    PER_TCE_MIN, PER_TCE_MAX, unit);
  return SKY_OK;
}

/* A row of activity yields one gas, so a name has factors of one gas. */
static sky_status check_gas(sky_context *ctx, const sky_factors *f, size_t i, const user_row *u) {
  const char *name = sky_table_cell(f->user, i, U_FUEL);
  sky_gas gas;
  int line = 0;
  bool other = own_gas(f, name, &gas) && gas != u->gas;
  for (size_t j = 0; j < i && !other; j++) {
    gas = f->users[j].gas;
    line = sky_table_line(f->user, f->users[j].row);
    other = gas != u->gas && is_word(sky_table_cell(f->user, f->users[j].row, U_FUEL), name);
  }
  if (!other) return SKY_OK;
  if (line == 0)
    return sky_fail(ctx, SKY_E_RANGE,
                    "fuel: '%s' is a name of the tables and emits %s: give the %s its own name",
                    name, sky_gas_id(gas), sky_gas_id(u->gas));
  return sky_fail(ctx, SKY_E_RANGE,
                  "fuel: '%s' emits %s by line %d: give the %s its own name, for a row of activity "
                  "yields one gas",
                  name, sky_gas_id(gas), line, sky_gas_id(u->gas));
}

static sky_status parse_user_row(sky_context *ctx, const sky_factors *f, size_t i, user_row *u) {
  u->row = i;
  SKY_TRY(sky_table_number(ctx, f->user, i, U_VALUE, &u->value));
  SKY_TRY(sky_table_number(ctx, f->user, i, U_SD, &u->sd));
  const int line = sky_table_line(f->user, i);
  if (!(u->value >= 0))
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: value: '%s' is not a number >= 0", f->user_name, line,
                    sky_table_cell(f->user, i, U_VALUE));
  if (!(u->sd >= 0 && u->sd <= 100))
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: sd_percent: '%s' is not a number from 0 to 100",
                    f->user_name, line, sky_table_cell(f->user, i, U_SD));
  if (*sky_table_cell(f->user, i, U_SOURCE) == '\0')
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: source: empty, every factor needs one", f->user_name,
                    line);
  u->sd /= 100;
  sky_status st = parse_user_unit(ctx, sky_table_cell(f->user, i, U_UNIT), u);
  if (st == SKY_OK) st = check_gas(ctx, f, i, u);
  if (st != SKY_OK) return sky_fail_in(ctx, st, "%s:%d: ", f->user_name, line);
  for (size_t j = 0; j < i; j++) {
    const user_row *v = &f->users[j];
    if (v->kind == u->kind && v->measure == u->measure &&
        is_word(sky_table_cell(f->user, v->row, U_FUEL), sky_table_cell(f->user, i, U_FUEL)))
      return sky_fail(ctx, SKY_E_RANGE, "%s:%d: fuel: '%s' has such a factor already on line %d",
                      f->user_name, line, sky_table_cell(f->user, i, U_FUEL),
                      sky_table_line(f->user, v->row));
  }
  return SKY_OK;
}

static sky_status read_user(sky_context *ctx, sky_factors *f) {
  if (f->user == NULL) return SKY_OK;
  for (size_t c = 0; c < N_USER; c++) {
    if (!is_word(sky_table_header(f->user, c), USER_HEADER[c]))
      return sky_fail(
          ctx, SKY_E_FORMAT,
          "%s: column %zu is '%s', expected '%s' (header: fuel,value,unit,sd_percent,source)",
          f->user_name, c + 1, sky_table_header(f->user, c), USER_HEADER[c]);
  }
  const size_t n = sky_table_rows(f->user);
  f->users = SKY_NEW0(ctx, user_row, n);
  if (f->users == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++) {
    SKY_TRY(parse_user_row(ctx, f, i, &f->users[i]));
    f->n_users++;
    add_fuel(f, sky_table_cell(f->user, i, U_FUEL));
  }
  return SKY_OK;
}

static const user_row *find_user(const sky_factors *f, const char *fuel, user_kind kind,
                                 sky_measure m) {
  for (size_t i = 0; i < f->n_users; i++) {
    const user_row *u = &f->users[i];
    if (u->kind == kind && (kind == USER_C || u->measure == m) &&
        is_word(sky_table_cell(f->user, u->row, U_FUEL), fuel))
      return u;
  }
  return NULL;
}

static sky_factor_row row_of_user(const sky_factors *f, const user_row *u) {
  return (sky_factor_row){.table = f->user_name,
                          .key = sky_table_cell(f->user, u->row, U_FUEL),
                          .edition = "-",
                          .name = "",
                          .value = sky_table_cell(f->user, u->row, U_VALUE),
                          .unit = sky_table_cell(f->user, u->row, U_UNIT),
                          .source = sky_table_cell(f->user, u->row, U_SOURCE),
                          .verified = "by the user",
                          .line = sky_table_line(f->user, u->row)};
}

/* ---- electricity and heat ------------------------------------------------------------------- */

static const struct place_name {
  const char *zh, *en;
} PLACES[] = {
    {"华北", "North China"},   {"东北", "Northeast"}, {"华东", "East China"},
    {"华中", "Central China"}, {"西北", "Northwest"}, {"南方", "South China"},
    {"西南", "Southwest"},     {"北京", "Beijing"},   {"天津", "Tianjin"},
    {"河北", "Hebei"},         {"山西", "Shanxi"},    {"内蒙古", "Inner Mongolia"},
    {"辽宁", "Liaoning"},      {"吉林", "Jilin"},     {"黑龙江", "Heilongjiang"},
    {"上海", "Shanghai"},      {"江苏", "Jiangsu"},   {"浙江", "Zhejiang"},
    {"安徽", "Anhui"},         {"福建", "Fujian"},    {"江西", "Jiangxi"},
    {"山东", "Shandong"},      {"河南", "Henan"},     {"湖北", "Hubei"},
    {"湖南", "Hunan"},         {"广东", "Guangdong"}, {"广西", "Guangxi"},
    {"海南", "Hainan"},        {"重庆", "Chongqing"}, {"四川", "Sichuan"},
    {"贵州", "Guizhou"},       {"云南", "Yunnan"},    {"西藏", "Tibet"},
    {"陕西", "Shaanxi"},       {"甘肃", "Gansu"},     {"青海", "Qinghai"},
    {"宁夏", "Ningxia"},       {"新疆", "Xinjiang"},
};

static const char *const LEVEL[] = {"", "national", "regional", "provincial"};

static const char *chinese_name(const char *name) {
  for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
    if (is_word(PLACES[i].en, name)) return PLACES[i].zh;
  }
  return name;
}

/* Why there is no row: the place or the year. */
static sky_status no_grid_row(sky_context *ctx, const sky_factors *f, const char *place) {
  char years[128] = "";
  const char *level = LEVEL[f->rules.grid];
  for (size_t i = 0; i < sky_table_rows(f->table[T_GRID]); i++) {
    if (!is_word(cell(f, T_GRID, i, "scope"), level) ||
        !is_word(cell(f, T_GRID, i, "basis"), AVERAGE_BASIS) ||
        !is_word(cell(f, T_GRID, i, "region"), place))
      continue;
    const size_t used = strlen(years);
    snprintf(years + used, sizeof years - used, "%s%s", used > 0 ? ", " : "",
             cell(f, T_GRID, i, "data_year"));
  }
  if (*years != '\0')
    return sky_fail(ctx, SKY_E_NODATA,
                    "no %s grid factor of %s for %d (there are %s; no other year is taken)", level,
                    place, f->rules.year, years);
  return sky_fail(
      ctx, SKY_E_NODATA,
      "no %s grid factor of '%s': name the %s with --region (in a job: account.region), e.g. %s",
      level, place, f->rules.grid == SKY_GRID_REGIONAL ? "grid" : "province",
      f->rules.grid == SKY_GRID_REGIONAL ? "华北 or 'North China'" : "广东 or Guangdong");
}

static sky_status find_grid(sky_context *ctx, const sky_factors *f, const char *region,
                            sky_factor *out) {
  const char *place = f->rules.grid_region != NULL ? f->rules.grid_region : region;
  char year[16];
  double value = NAN;
  if (f->rules.grid == SKY_GRID_UNSET)
    return sky_fail(ctx, SKY_E_USAGE,
                    "electricity needs a method, which changes the result: --electricity "
                    "national, regional or provincial");
  place = f->rules.grid == SKY_GRID_NATIONAL ? "全国" : chinese_name(place);
  snprintf(year, sizeof year, "%d", f->rules.year);
  for (size_t i = 0; i < sky_table_rows(f->table[T_GRID]); i++) {
    if (!is_word(cell(f, T_GRID, i, "scope"), LEVEL[f->rules.grid]) ||
        !is_word(cell(f, T_GRID, i, "basis"), AVERAGE_BASIS) ||
        !is_word(cell(f, T_GRID, i, "region"), place) ||
        !is_word(cell(f, T_GRID, i, "data_year"), year))
      continue;
    out->c_row = row_at(f, T_GRID, i);
    SKY_TRY(row_number(ctx, &out->c_row, out->c_row.value, &value));
    SKY_TRY(accept(ctx, f, &out->c_row));
    out->method = "grid";
    out->c = value * 1e-3 / 3.6e-3; /* kg per kWh to t per GJ */
    return SKY_OK;
  }
  return no_grid_row(ctx, f, place);
}

static sky_status find_heat(sky_context *ctx, const sky_factors *f, sky_factor *out) {
  size_t row = 0;
  if (!find_row(f, T_GRID, "全国", "-", "外购热力缺省", &row))
    return sky_fail(ctx, SKY_E_INTERNAL, "grid_heat_factors has no purchased heat");
  out->c_row = row_at(f, T_GRID, row);
  SKY_TRY(row_number(ctx, &out->c_row, out->c_row.value, &out->c));
  out->method = "purchased heat";
  return accept(ctx, f, &out->c_row);
}

/* ---- fuels: k and c ------------------------------------------------------------------------- */

sky_status sky_factors_coal(sky_context *ctx, const sky_factors *f, const char *fuel, double *k,
                            sky_factor_row *out) {
  size_t row = 0;
  if (!find_row(f, T_COAL, fuel, f->rules.coal_edition, NULL, &row))
    return sky_fail(
        ctx, SKY_E_NODATA,
        "standard_coal_factors has no %s of edition %s: give tce or GJ, or k in a table "
        "of --factors",
        fuel, f->rules.coal_edition);
  *out = row_at(f, T_COAL, row);
  SKY_TRY(accept(ctx, f, out));
  SKY_TRY(row_number(ctx, out, out->value, k));
  if (is_word(out->unit, "kgce/m3")) *k *= 1e-3;
  return SKY_OK;
}

/* k of a fuel in its own unit, unless c's row has brought its calorific value (out->k > 0). */
static sky_status find_k(sky_context *ctx, const sky_factors *f, const char *fuel, sky_measure m,
                         sky_factor *out) {
  const user_row *u = find_user(f, fuel, USER_K, m);
  if (m == SKY_MEASURE_TCE || m == SKY_MEASURE_ENERGY) {
    out->k = m == SKY_MEASURE_TCE ? 1 : 1 / SKY_GJ_PER_TCE;
    return SKY_OK;
  }
  if (u != NULL) {
    out->k = u->value;
    out->k_sd = u->sd;
    out->k_row = row_of_user(f, u);
    return SKY_OK;
  }
  return out->k > 0 ? SKY_OK : sky_factors_coal(ctx, f, fuel, &out->k, &out->k_row);
}

static sky_status find_c_heat(sky_context *ctx, const sky_factors *f, const char *fuel,
                              sky_factor *out) {
  size_t row = 0;
  double carbon = NAN, oxidation = NAN, ncv = NAN;
  if (!find_row(f, T_CO2, fuel, f->rules.carbon_edition, NULL, &row))
    return sky_fail(
        ctx, SKY_E_NODATA,
        "co2_fuel_factors has no %s of edition %s: name the kind of fuel, or take --carbon "
        "tce or a table of --factors",
        fuel, f->rules.carbon_edition);
  sky_factor_row *r = &out->c_row;
  *r = row_at(f, T_CO2, row);
  SKY_TRY(accept(ctx, f, r));
  SKY_TRY(row_number(ctx, r, cell(f, T_CO2, row, "carbon_content"), &carbon));
  SKY_TRY(row_number(ctx, r, cell(f, T_CO2, row, "oxidation"), &oxidation));
  out->method = "heat";
  out->c = carbon * (oxidation / 100) * CO2_PER_C * SKY_GJ_PER_TCE;
  if (*cell(f, T_CO2, row, "ncv") == '\0') return SKY_OK;
  SKY_TRY(row_number(ctx, r, cell(f, T_CO2, row, "ncv"), &ncv));
  const bool volume = is_word(cell(f, T_CO2, row, "ncv_unit"), "GJ/1e4Nm3");
  out->k = ncv / (volume ? 1e4 : 1) / SKY_GJ_PER_TCE;
  return SKY_OK;
}

static sky_status find_c_tce(sky_context *ctx, const sky_factors *f, const char *fuel,
                             sky_factor *out) {
  const char *class = NULL;
  size_t row = 0;
  for (size_t i = 0; i < sizeof CLASSES / sizeof *CLASSES; i++) {
    if (is_word(CLASSES[i].fuel, fuel)) class = CLASSES[i].row;
  }
  if (class == NULL || !find_row(f, T_CO2, class, NULL, NULL, &row))
    return sky_fail(
        ctx, SKY_E_NODATA,
        "%s has no per-tce factor (coal, oil or natural gas have): take --carbon heat or a "
        "table of --factors",
        fuel);
  out->c_row = row_at(f, T_CO2, row);
  SKY_TRY(accept(ctx, f, &out->c_row));
  SKY_TRY(row_number(ctx, &out->c_row, out->c_row.value, &out->c));
  out->method = "tce";
  return SKY_OK;
}

static void take_user(const sky_factors *f, const user_row *u, sky_factor *out) {
  out->method = "user";
  out->c = u->value;
  out->c_sd = u->sd;
  out->c_row = row_of_user(f, u);
  out->sd_row = (sky_factor_row){.table = NULL};
}

static sky_status find_fuel(sky_context *ctx, const sky_factors *f, const char *fuel, sky_measure m,
                            sky_factor *out) {
  const user_row *u = find_user(f, fuel, USER_C, m);
  if (u != NULL) {
    take_user(f, u, out);
  } else if (f->rules.carbon == SKY_CARBON_TCE) {
    SKY_TRY(find_c_tce(ctx, f, fuel, out));
  } else {
    SKY_TRY(find_c_heat(ctx, f, fuel, out));
  }
  return find_k(ctx, f, fuel, m, out);
}

/* ---- other gases ---------------------------------------------------------------------------- */

/* The range of a row, or of its gas: the row's own only where somebody answers for it. */
static sky_status other_sd(sky_context *ctx, const sky_factors *f, size_t row, double value,
                           sky_factor *out) {
  const bool own = is_word(cell(f, T_OTHER, row, "range_verified"), "yes") || out->c_row.allowed;
  double low = NAN, high = NAN;
  out->c_sd = f->sd[out->gas];
  out->sd_row = f->sd_row[out->gas];
  if (!own || out->sd_row.table == NULL || *cell(f, T_OTHER, row, "low") == '\0') return SKY_OK;
  if (!sky_number_parse(cell(f, T_OTHER, row, "low"), &low, NULL) ||
      !sky_number_parse(cell(f, T_OTHER, row, "high"), &high, NULL) || !(low < high))
    return sky_fail(ctx, SKY_E_INTERNAL, "ch4_n2o_factors:%s: range", out->c_row.key);
  out->c_sd = (high - low) / RANGE_95 / value;
  out->sd_row = (sky_factor_row){.table = NULL};
  return SKY_OK;
}

static sky_status find_other(sky_context *ctx, const sky_factors *f, size_t row, sky_measure m,
                             sky_factor *out) {
  user_kind kind;
  sky_measure measure;
  double value = NAN, scale = NAN;
  out->c_row = row_at(f, T_OTHER, row);
  SKY_TRY(parse_factor_unit(ctx, out->c_row.unit, &kind, &out->gas, &measure, &scale));
  if (m != measure)
    return sky_fail(ctx, SKY_E_UNITS, "does not fit %s (legal: %s)", out->c_row.key,
                    sky_measure_units(measure));
  SKY_TRY(accept(ctx, f, &out->c_row));
  SKY_TRY(row_number(ctx, &out->c_row, out->c_row.value, &value));
  out->method = "table";
  out->k = 1;
  out->c = value * scale;
  return other_sd(ctx, f, row, value, out);
}

static sky_status check_fuel(sky_context *ctx, const sky_factors *f, const char *fuel) {
  if (known_fuel(f, fuel)) return SKY_OK;
  const char *near = sky_text_nearest(fuel, f->fuels, f->n_fuels);
  return sky_fail(ctx, SKY_E_RANGE, "fuel: unknown '%s'%s%s%s (see skyflux list factors)", fuel,
                  near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                  near != NULL ? "'?" : "");
}

/* A fuel of the tables burns by its own unit, energy or tce; power and heat are energy only. */
static sky_status check_measure(sky_context *ctx, const sky_factors *f, const char *fuel,
                                bool purchased, sky_measure m) {
  const sky_measure own = fuel_measure(f, fuel);
  if (m == SKY_MEASURE_ENERGY || (!purchased && (m == SKY_MEASURE_TCE || m == own))) return SKY_OK;
  if (purchased)
    return sky_fail(ctx, SKY_E_UNITS, "does not fit %s (legal: %s)", fuel,
                    sky_measure_units(SKY_MEASURE_ENERGY));
  return sky_fail(ctx, SKY_E_UNITS, "does not fit %s (legal: %s%s%s; %s)", fuel,
                  own == SKY_MEASURE_NONE ? "" : sky_measure_units(own),
                  own == SKY_MEASURE_NONE ? "" : "; ", sky_measure_units(SKY_MEASURE_TCE),
                  sky_measure_units(SKY_MEASURE_ENERGY));
}

sky_status sky_factors_find(sky_context *ctx, const sky_factors *f, const char *fuel, sky_measure m,
                            const char *region, sky_factor *out) {
  SKY_TRY(check_fuel(ctx, f, fuel));
  const bool power = is_word(fuel, "electricity"), heat = is_word(fuel, "heat");
  *out = (sky_factor){.scope = power || heat ? SKY_SCOPE_2 : SKY_SCOPE_1, .k = 0};
  const user_row *direct = find_user(f, fuel, USER_DIRECT, m);
  if (direct != NULL) {
    take_user(f, direct, out);
    out->gas = direct->gas;
    out->k = 1;
    return SKY_OK;
  }
  out->c_sd = f->sd[SKY_GAS_CO2];
  out->sd_row = f->sd_row[SKY_GAS_CO2];
  size_t row = 0;
  sky_gas gas;
  for (size_t i = 0; i < f->n_users && !own_gas(f, fuel, &gas); i++) {
    if (f->users[i].kind == USER_DIRECT &&
        is_word(sky_table_cell(f->user, f->users[i].row, U_FUEL), fuel))
      return sky_fail(ctx, SKY_E_UNITS, "does not fit %s (legal: %s, as %s:%d says)", fuel,
                      sky_measure_units(f->users[i].measure), f->user_name,
                      sky_table_line(f->user, f->users[i].row));
  }
  if (other_row(f, fuel, &row)) return find_other(ctx, f, row, m, out);
  SKY_TRY(check_measure(ctx, f, fuel, power || heat, m));
  if (!power && !heat) return find_fuel(ctx, f, fuel, m, out);
  out->k = 1;
  return power ? find_grid(ctx, f, region, out) : find_heat(ctx, f, out);
}

/* ---- life ----------------------------------------------------------------------------------- */

static sky_status load_tables(sky_context *ctx, sky_factors *f) {
  for (int t = 0; t < N_TABLES; t++) {
    char name[64];
    size_t length = 0;
    snprintf(name, sizeof name, "%s.csv", LAYOUT[t].stem);
    const char *text = sky_embedded(name, &length);
    if (text == NULL) return sky_fail(ctx, SKY_E_INTERNAL, "%s: not embedded", name);
    SKY_TRY(sky_table_parse(ctx, name, text, length, &f->table[t]));
  }
  return SKY_OK;
}

static sky_status set_factor_sd(sky_context *ctx, sky_factors *f) {
  for (int g = 0; g < SKY_N_GAS; g++) {
    sky_factor_row *r = &f->sd_row[g];
    size_t row = 0;
    double percent = NAN;
    f->sd[g] = f->rules.factor_sd;
    if (!isnan(f->sd[g])) continue;
    if (!find_row(f, T_SD, SD_KEY[g], NULL, NULL, &row))
      return sky_fail(ctx, SKY_E_INTERNAL, "uncertainty_ranges has no '%s'", SD_KEY[g]);
    *r = row_at(f, T_SD, row);
    SKY_TRY(accept(ctx, f, r));
    SKY_TRY(row_number(ctx, r, r->value, &percent));
    f->sd[g] = percent / 100;
  }
  return SKY_OK;
}

static sky_status check_allow(sky_context *ctx, const sky_factors *f) {
  for (size_t a = 0; a < f->rules.n_allow; a++) {
    sky_factor_row r;
    bool found = false;
    for (size_t i = 0; !found && sky_factors_at(f, i, &r); i++)
      found = names_row(f->rules.allow[a], &r);
    if (!found)
      return sky_fail(ctx, SKY_E_USAGE,
                      "--allow-unverified: '%s' is no table:key:edition (see skyflux list factors)",
                      f->rules.allow[a]);
  }
  return SKY_OK;
}

sky_status sky_factors_create(sky_context *ctx, const sky_factor_rules *rules,
                              const sky_table *user, const char *user_name, sky_factors **out) {
  sky_status st = SKY_OK;
  sky_factors *f;
  *out = NULL;
  SKY_GO_ALLOC(f, SKY_NEW0(ctx, sky_factors, 1));
  f->rules = *rules;
  f->user = user;
  f->user_name = user_name;
  SKY_GO(load_tables(ctx, f));
  SKY_GO(check_allow(ctx, f));
  SKY_GO(set_factor_sd(ctx, f));
  SKY_GO(collect_fuels(ctx, f));
  SKY_GO(read_user(ctx, f));
  *out = f;
  return SKY_OK;
cleanup:
  sky_factors_free(f);
  return st;
}

void sky_factors_free(sky_factors *f) {
  if (f == NULL) return;
  for (int t = 0; t < N_TABLES; t++)
    sky_table_free(f->table[t]);
  sky_free(f->users);
  sky_free(f->fuels);
  sky_free(f);
}
