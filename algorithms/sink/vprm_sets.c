/* vprm_sets.c: see vprm_sets.h. */
#include "algorithms/sink/vprm_sets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"

#define MICRO 1e-6
#define TLOW_TABLE "Glauch 2025"

void sky_vprm_set_free(sky_vprm_set *s) {
  if (s == NULL) return;
  sky_free(s->cls);
  memset(s, 0, sizeof *s);
}

size_t sky_vprm_set_find(const sky_vprm_set *s, const char *name) {
  for (size_t k = 0; k < s->n; k++)
    if (strcmp(s->cls[k].name, name) == 0) return k;
  return SIZE_MAX;
}

static const char *text_of(const sky_table *t, size_t row, const char *column) {
  const size_t c = sky_table_find(t, column);
  return c == SIZE_MAX ? "" : sky_table_cell(t, row, c);
}

/* Position of a word of the column in words; SKY_E_RANGE shows them. */
static sky_status choice(sky_context *ctx, const sky_table *t, const char *path, size_t row,
                         const char *column, const char *const *words, size_t n, size_t *out) {
  const char *have = text_of(t, row, column);
  char legal[96] = "";
  for (size_t i = 0; i < n; i++) {
    if (strcmp(have, words[i]) == 0) {
      *out = i;
      return SKY_OK;
    }
    const size_t at = strlen(legal);
    snprintf(legal + at, sizeof legal - at, "%s%s", i > 0 ? ", " : "", words[i]);
  }
  return sky_fail(ctx, SKY_E_RANGE, "%s:%d: %s: '%s' is not one of %s", path,
                  sky_table_line(t, row), column, have, legal);
}

static const char *const PSCALE[] = {"one", "lswi", "phase"};
static const char *const WSCALE[] = {"standard", "xeric"};
static const char *const SIGN[] = {"positive", "negative"};
static const char *const LIGHT[] = {"par", "sw"};

static sky_status read_rules(sky_context *ctx, const sky_table *t, const char *path, size_t row,
                             sky_vprm_class *c, bool *negative) {
  size_t p = 0, w = 0, sign = 0;
  const char *name = text_of(t, row, "class");
  if (name[0] == '\0' || strlen(name) >= sizeof c->name)
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: class: '%s' is not a name of 1 to %zu bytes", path,
                    sky_table_line(t, row), name, sizeof c->name - 1);
  snprintf(c->name, sizeof c->name, "%s", name);
  SKY_TRY(choice(ctx, t, path, row, "pscale", PSCALE, 3, &p));
  SKY_TRY(choice(ctx, t, path, row, "wscale", WSCALE, 2, &w));
  SKY_TRY(choice(ctx, t, path, row, "lambda_sign", SIGN, 2, &sign));
  c->pscale = (sky_vprm_pscale)p;
  c->wscale = (sky_vprm_wscale)w;
  *negative = sign == 1;
  return SKY_OK;
}

/* λ per µmol of PAR, or µmol CO2 m-2 s-1 per W m-2, with its declared sign; PAR0 likewise. */
static void set_light(sky_vprm_class *c, double lambda, bool lambda_sw, double par0, bool par0_sw,
                      bool negative) {
  const double per_photon = lambda_sw ? MICRO * SKY_VPRM_SW_PER_PAR : 1;
  c->lambda = (negative ? -lambda : lambda) * per_photon;
  c->par0 = par0_sw ? par0 / SKY_VPRM_SW_PER_PAR : par0 * MICRO;
}

/* ---- the sets of ancillary/ ----------------------------------------------------------------- */

static sky_status embedded(sky_context *ctx, const char *name, sky_table **out) {
  size_t length = 0;
  const char *text = sky_embedded(name, &length);
  if (text == NULL) return sky_fail(ctx, SKY_E_INTERNAL, "%s: not embedded", name);
  return sky_table_parse(ctx, name, text, length, out);
}

/* The verified row of a parameter ("VPRM Tmin", also "VPRM Tmin (WRF-GHG/Mahadevan)"). */
static sky_status find_row(sky_context *ctx, const sky_table *t, const char *parameter,
                           const char *stratum, const char *table, double *value,
                           const char **unit) {
  const size_t length = strlen(parameter), column = sky_table_find(t, "value");
  for (size_t r = 0; r < sky_table_rows(t); r++) {
    const char *name = text_of(t, r, "parameter");
    if (strncmp(name, parameter, length) != 0 || (name[length] != '\0' && name[length] != ' '))
      continue;
    if (strcmp(text_of(t, r, "stratum"), stratum) != 0 ||
        strcmp(text_of(t, r, "table"), table) != 0)
      continue;
    if (strcmp(text_of(t, r, "verified"), "yes") != 0)
      return sky_fail(ctx, SKY_E_RANGE, "vprm_parameters.csv:%d: %s of %s is not verified",
                      sky_table_line(t, r), parameter, stratum);
    *unit = text_of(t, r, "unit");
    return sky_table_number(ctx, t, r, column, value);
  }
  return sky_fail(ctx, SKY_E_INTERNAL, "vprm_parameters.csv: no %s of '%s' in %s", parameter,
                  stratum, table);
}

static sky_status is_per_shortwave(sky_context *ctx, const char *parameter, const char *unit,
                                   const char *par, const char *sw, bool *out) {
  *out = strcmp(unit, sw) == 0;
  if (*out || strcmp(unit, par) == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_UNITS, "vprm_parameters.csv: %s: '%s' is neither '%s' nor '%s'",
                  parameter, unit, par, sw);
}

static sky_status read_builtin(sky_context *ctx, const sky_table *sets, size_t row,
                               const sky_table *t, sky_vprm_class *c) {
  const char *stratum = text_of(sets, row, "stratum"), *table = text_of(sets, row, "table");
  const char *warmth = text_of(sets, row, "temperature_table"), *unit = "", *light = "";
  double lambda = NAN, par0 = NAN, alpha = NAN, beta = NAN, at[4] = {NAN, NAN, NAN, NAN};
  bool negative = false, lambda_sw = false, par0_sw = false;
  static const char *const degrees[] = {"VPRM Tmin", "VPRM Topt", "VPRM Tmax", "VPRM Tlow"};
  SKY_TRY(read_rules(ctx, sets, "vprm_sets.csv", row, c, &negative));
  SKY_TRY(find_row(ctx, t, "VPRM lambda", stratum, table, &lambda, &light));
  SKY_TRY(is_per_shortwave(ctx, "lambda", light, "umol CO2 / umol PAR", "umol CO2/m2/s per W/m2 SW",
                           &lambda_sw));
  SKY_TRY(find_row(ctx, t, "VPRM PAR0", stratum, table, &par0, &light));
  SKY_TRY(is_per_shortwave(ctx, "PAR0", light, "umol/m2/s", "W/m2", &par0_sw));
  SKY_TRY(find_row(ctx, t, "VPRM alpha", stratum, table, &alpha, &unit));
  SKY_TRY(find_row(ctx, t, "VPRM beta", stratum, table, &beta, &unit));
  for (size_t i = 0; i < 4; i++)
    SKY_TRY(find_row(ctx, t, degrees[i], c->name, i < 3 ? warmth : TLOW_TABLE, &at[i], &unit));
  set_light(c, lambda, lambda_sw, par0, par0_sw, negative);
  c->alpha = alpha * MICRO;
  c->beta = beta * MICRO;
  c->t_min = at[0] + SKY_VPRM_CELSIUS;
  c->t_opt = at[1] + SKY_VPRM_CELSIUS;
  c->t_max = at[2] + SKY_VPRM_CELSIUS;
  c->t_low = at[3] + SKY_VPRM_CELSIUS;
  return SKY_OK;
}

static sky_status no_such_set(sky_context *ctx, const sky_table *sets, const char *name) {
  char names[256] = "";
  const char *last = "";
  for (size_t r = 0; r < sky_table_rows(sets); r++) {
    const char *is = text_of(sets, r, "set");
    if (strcmp(is, last) == 0) continue;
    const size_t at = strlen(names);
    snprintf(names + at, sizeof names - at, "%s%s", at > 0 ? ", " : "", is);
    last = is;
  }
  return sky_fail(ctx, SKY_E_USAGE, "vprm: no parameter set '%s'; there are %s", name, names);
}

sky_status sky_vprm_set_builtin(sky_context *ctx, const char *name, sky_vprm_set *out) {
  sky_table *sets = NULL, *t = NULL;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(embedded(ctx, "vprm_sets.csv", &sets));
  SKY_GO(embedded(ctx, "vprm_parameters.csv", &t));
  SKY_GO_ALLOC(out->cls, SKY_NEW0(ctx, sky_vprm_class, sky_table_rows(sets)));
  snprintf(out->name, sizeof out->name, "%s", name);
  for (size_t r = 0; r < sky_table_rows(sets); r++) {
    if (strcmp(text_of(sets, r, "set"), name) != 0) continue;
    snprintf(out->region, sizeof out->region, "%s", text_of(sets, r, "region"));
    SKY_GO(read_builtin(ctx, sets, r, t, &out->cls[out->n++]));
  }
  if (out->n == 0) st = no_such_set(ctx, sets, name);
cleanup:
  sky_table_free(sets);
  sky_table_free(t);
  if (st != SKY_OK) sky_vprm_set_free(out);
  return st;
}

/* ---- a user's table ------------------------------------------------------------------------- */

static sky_status number_of(sky_context *ctx, const sky_table *t, const char *path, size_t row,
                            const char *column, bool required, double *out) {
  const size_t c = sky_table_find(t, column);
  *out = NAN;
  if (c != SIZE_MAX) SKY_TRY(sky_table_number(ctx, t, row, c, out));
  if (!required || isfinite(*out)) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "%s:%d: %s: a number is needed", path, sky_table_line(t, row),
                  column);
}

static sky_status read_user(sky_context *ctx, const sky_table *t, const char *path, size_t row,
                            sky_vprm_class *c) {
  double lambda = NAN, par0 = NAN;
  bool negative = false;
  size_t light = 0;
  const struct {
    const char *name;
    bool required;
    double scale, offset, *to;
  } columns[] = {{"lambda", true, 1, 0, &lambda},
                 {"par0", true, 1, 0, &par0},
                 {"alpha", true, MICRO, 0, &c->alpha},
                 {"beta", true, MICRO, 0, &c->beta},
                 {"t_min", true, 1, SKY_VPRM_CELSIUS, &c->t_min},
                 {"t_opt", true, 1, SKY_VPRM_CELSIUS, &c->t_opt},
                 {"t_max", true, 1, SKY_VPRM_CELSIUS, &c->t_max},
                 {"t_low", false, 1, SKY_VPRM_CELSIUS, &c->t_low},
                 {"alpha2", false, MICRO, 0, &c->alpha2},
                 {"gamma", false, MICRO, 0, &c->gamma},
                 {"k1", false, MICRO, 0, &c->k1},
                 {"k2", false, MICRO, 0, &c->k2},
                 {"k3", false, MICRO, 0, &c->k3},
                 {"t_crit", false, 1, SKY_VPRM_CELSIUS, &c->t_crit},
                 {"t_mult", false, 1, 0, &c->t_mult}};
  SKY_TRY(read_rules(ctx, t, path, row, c, &negative));
  if (text_of(t, row, "source")[0] == '\0')
    return sky_fail(ctx, SKY_E_RANGE, "%s:%d: source: say where the parameters of '%s' are from",
                    path, sky_table_line(t, row), c->name);
  SKY_TRY(choice(ctx, t, path, row, "light", LIGHT, 2, &light));
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
    double v = NAN;
    SKY_TRY(number_of(ctx, t, path, row, columns[i].name, columns[i].required, &v));
    *columns[i].to = v * columns[i].scale + columns[i].offset;
    if (i >= 8 && isfinite(v)) c->modified = true;
  }
  set_light(c, lambda, light == 1, par0, light == 1, negative);
  return SKY_OK;
}

sky_status sky_vprm_set_from_table(sky_context *ctx, const sky_table *table, const char *path,
                                   sky_vprm_set *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  snprintf(out->name, sizeof out->name, "%s", sky_file_base(path));
  SKY_GO_ALLOC(out->cls, SKY_NEW0(ctx, sky_vprm_class, sky_table_rows(table)));
  for (size_t r = 0; r < sky_table_rows(table); r++) {
    SKY_GO(read_user(ctx, table, path, r, &out->cls[r]));
    if (sky_vprm_set_find(out, out->cls[r].name) != SIZE_MAX)
      SKY_GO(sky_fail(ctx, SKY_E_RANGE, "%s:%d: class: '%s' twice", path, sky_table_line(table, r),
                      out->cls[r].name));
    out->n++;
  }
  if (out->n == 0) st = sky_fail(ctx, SKY_E_NODATA, "%s: no class", path);
cleanup:
  if (st != SKY_OK) sky_vprm_set_free(out);
  return st;
}
