/* cmd_account.c: the command `skyflux account`: activity data -> emissions by region,
 * gas and scope.
 *
 * Text and JSON give totals, flags and every factor with its source; -o writes one line a row of
 * activity. Masses are printed in t, computed in kg. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inventory/account.h"
#include "src/cli/commands.h"
#include "src/cli/values.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/text.h"
#include "src/read/activity.h"
#include "src/write/account_table.h"
#include "src/write/json_out.h"

#define TONNE 1e3
#define YEAR_MIN 1990
#define YEAR_MAX 2100

typedef struct options {
  sky_factor_rules rules;
  const char **allow; /* as many as there are arguments */
  const char *output, *factors;
} options;

static const sky_cli_option OPTIONS[] = {
    {"year", 'y', "Y", "year of the activity; the grid factor of this year is used"},
    {"electricity", 0, "METHOD", "grid factor: national, regional or provincial (no default)"},
    {"region", 'r', "R", "grid or province of the grid factor (default: each row's region)"},
    {"carbon", 0, "METHOD",
     "heat: NCV x carbon x oxidation (default); tce: per tce of coal, oil, gas"},
    {"coal-edition", 0, "E", "edition of the standard coal table: 2008 or 2020 (default)"},
    {"carbon-edition", 0, "E", "edition of the carbon table: 2011 or 2015 (default)"},
    {"factors", 0, "FILE", "own factors: fuel,value,unit,sd_percent,source"},
    {"factor-sd", 0, "PERCENT",
     "standard deviation of all the tables' factors (default: their own)"},
    {"allow-unverified", 0, "T:K:E",
     "use this unverified row (table:key:edition); may be repeated"},
    {"output", 'o', "FILE", "write one line a row of activity to this CSV file"},
    {NULL, 0, NULL, NULL}};

static const sky_cli_spec SPEC = {
    "account", "ACTIVITY.csv --year Y [options]",
    "emissions from activity data: fuels, power, heat, animals …, with their errors",
    "skyflux account activity.csv --year 2023 --electricity national -o lines.csv", OPTIONS};

/* ---- options -------------------------------------------------------------------------------- */

static sky_status take_option(sky_context *ctx, void *user, const char *name, const char *value) {
  static const char *const LEVELS[] = {"national", "regional", "provincial"};
  static const char *const METHODS[] = {"heat", "tce"};
  static const char *const COAL[] = {"2008", "2020"}, *const CARBON[] = {"2011", "2015"};
  options *o = user;
  double number = 0;
  int i = 0;
  if (strcmp(name, "year") == 0) {
    SKY_TRY(sky_cli_number(ctx, name, value, YEAR_MIN, YEAR_MAX, &number));
    o->rules.year = (int)number;
    if (o->rules.year != number)
      return sky_fail(ctx, SKY_E_USAGE, "--year: '%s' is not a whole year", value);
  } else if (strcmp(name, "electricity") == 0) {
    SKY_TRY(sky_cli_word(ctx, name, value, LEVELS, 3, &i));
    o->rules.grid = (sky_grid_level)(SKY_GRID_NATIONAL + i);
  } else if (strcmp(name, "region") == 0) {
    o->rules.grid_region = value;
  } else if (strcmp(name, "carbon") == 0) {
    SKY_TRY(sky_cli_word(ctx, name, value, METHODS, 2, &i));
    o->rules.carbon = (sky_carbon)i;
  } else if (strcmp(name, "coal-edition") == 0) {
    SKY_TRY(sky_cli_word(ctx, name, value, COAL, 2, &i));
    o->rules.coal_edition = COAL[i];
  } else if (strcmp(name, "carbon-edition") == 0) {
    SKY_TRY(sky_cli_word(ctx, name, value, CARBON, 2, &i));
    o->rules.carbon_edition = CARBON[i];
  } else if (strcmp(name, "factors") == 0) {
    o->factors = value;
  } else if (strcmp(name, "factor-sd") == 0) {
    SKY_TRY(sky_cli_number(ctx, name, value, 0, 100, &number));
    o->rules.factor_sd = number / 100;
  } else if (strcmp(name, "allow-unverified") == 0) {
    o->allow[o->rules.n_allow++] = value;
  } else {
    o->output = value;
  }
  return SKY_OK;
}

/* ---- text ----------------------------------------------------------------------------------- */

static sky_status print_totals(sky_context *ctx, const sky_account *a, const sky_activity *rows,
                               const char *file) {
  int width = (int)strlen("region");
  char flags[SKY_ACCOUNT_FLAGS], value[32];
  for (size_t i = 0; i < a->n_totals; i++)
    if ((int)strlen(a->total[i].region) > width) width = (int)strlen(a->total[i].region);
  printf("%-*s  gas  scope  %14s  %12s  %14s  %5s  flags\n", width, "region", "t", "sd", "known",
         "rows");
  for (size_t i = 0; i < a->n_totals; i++) {
    const sky_account_total *t = &a->total[i];
    char *why = sky_account_reason(ctx, t, rows, file);
    if (why == NULL) return SKY_E_NOMEM;
    sky_account_flags(t->flags, flags);
    snprintf(value, sizeof value, isnan(t->emission) ? "missing" : "%.3f", t->emission / TONNE);
    printf("%-*s  %-3s  %-5s  %14s  %12.3f  %14.3f  %5zu  %s%s%s\n", width, t->region,
           sky_gas_id(t->gas), sky_account_scope(t->scope), value, t->sd / TONNE, t->known / TONNE,
           t->n_lines, flags, why[0] != '\0' ? "; " : "", why);
    sky_free(why);
  }
  return SKY_OK;
}

static void print_factors(const sky_account *a) {
  sky_factor_row r;
  printf("\nfactors:\n");
  for (size_t i = 0; sky_account_used(a, false, SKY_GAS_CO2, i, &r); i++)
    printf("  %s:%s:%s  %s %s  verified: %s%s  %s\n", r.table, r.key, r.edition, r.value, r.unit,
           r.verified, r.allowed ? " (allowed)" : "", r.source);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static cJSON *json_total(const sky_account_total *t, const char *why) {
  char flags[SKY_ACCOUNT_FLAGS];
  cJSON *o = cJSON_CreateObject();
  sky_account_flags(t->flags, flags);
  cJSON_AddStringToObject(o, "region", t->region);
  cJSON_AddStringToObject(o, "scope", sky_account_scope(t->scope));
  cJSON_AddStringToObject(o, "gas", sky_gas_id(t->gas));
  cJSON_AddNumberToObject(o, "emission_t", t->emission / TONNE);
  cJSON_AddNumberToObject(o, "sd_t", t->sd / TONNE);
  cJSON_AddNumberToObject(o, "known_t", t->known / TONNE);
  cJSON_AddNumberToObject(o, "rows", (double)t->n_lines);
  cJSON_AddNumberToObject(o, "missing", (double)t->n_missing);
  cJSON_AddStringToObject(o, "flags", flags);
  cJSON_AddStringToObject(o, "reason", why);
  return o;
}

static cJSON *json_factor(const sky_factor_row *r) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "table", r->table);
  cJSON_AddStringToObject(o, "key", r->key);
  cJSON_AddStringToObject(o, "edition", r->edition);
  cJSON_AddStringToObject(o, "value", r->value);
  cJSON_AddStringToObject(o, "unit", r->unit);
  cJSON_AddStringToObject(o, "source", r->source);
  cJSON_AddStringToObject(o, "verified", r->verified);
  cJSON_AddBoolToObject(o, "allowed", r->allowed);
  return o;
}

/* Covariance of the totals as it is kept: shared sharedᵀ + diag(own), one column of shared a group.
 */
static void add_covariance(cJSON *root, const sky_account *a) {
  cJSON *shared = cJSON_AddArrayToObject(root, "shared_t");
  cJSON *own = cJSON_AddArrayToObject(root, "own_t2");
  for (size_t i = 0; i < a->n_totals; i++) {
    cJSON *row = cJSON_CreateArray();
    for (size_t g = 0; g < a->n_groups; g++)
      cJSON_AddItemToArray(row, cJSON_CreateNumber(a->shared[i * a->n_groups + g] / TONNE));
    cJSON_AddItemToArray(shared, row);
    cJSON_AddItemToArray(own, cJSON_CreateNumber(a->own[i] / (TONNE * TONNE)));
  }
}

static sky_status print_json(sky_context *ctx, const options *o, const sky_account *a,
                             const sky_activity *rows, const char *file) {
  sky_status st = SKY_OK;
  sky_factor_row r;
  char *text = NULL;
  cJSON *root;
  SKY_GO_ALLOC(root, cJSON_CreateObject());
  cJSON_AddNumberToObject(root, "year", o->rules.year);
  cJSON *totals = cJSON_AddArrayToObject(root, "totals");
  for (size_t i = 0; i < a->n_totals; i++) {
    char *why;
    SKY_GO_ALLOC(why, sky_account_reason(ctx, &a->total[i], rows, file));
    cJSON_AddItemToArray(totals, json_total(&a->total[i], why));
    sky_free(why);
  }
  add_covariance(root, a);
  cJSON *factors = cJSON_AddArrayToObject(root, "factors");
  for (size_t i = 0; sky_account_used(a, false, SKY_GAS_CO2, i, &r); i++)
    cJSON_AddItemToArray(factors, json_factor(&r));
  SKY_GO_ALLOC(text, sky_json_text(ctx, root, true));
  fputs(text, stdout);
cleanup:
  sky_free(text);
  cJSON_Delete(root);
  return st;
}

/* ---- command -------------------------------------------------------------------------------- */

static sky_status account(sky_context *ctx, const options *o, const char *path, bool json) {
  sky_status st = SKY_OK;
  sky_activity_file activity = {0};
  sky_table *user = NULL;
  sky_factors *f = NULL;
  sky_account a = {0};
  SKY_GO(sky_activity_read(ctx, path, &activity));
  if (o->factors != NULL) SKY_GO(sky_table_read(ctx, o->factors, &user));
  SKY_GO(sky_factors_create(ctx, &o->rules, user, o->factors, &f));
  SKY_GO(sky_account_run(ctx, f, path, activity.n, activity.row, &a));
  if (o->output != NULL)
    SKY_GO(sky_account_table_write(ctx, o->output, o->rules.year,
                                   &(sky_account_part){path, &a, activity.row}, 1, false));
  if (json) {
    SKY_GO(print_json(ctx, o, &a, activity.row, path));
  } else {
    SKY_GO(print_totals(ctx, &a, activity.row, path));
    print_factors(&a);
  }
cleanup:
  sky_account_free(&a);
  sky_factors_free(f);
  sky_table_free(user);
  sky_activity_free(&activity);
  return st;
}

sky_status sky_cmd_account(sky_context *ctx, int argc, char **argv) {
  sky_cli_common common;
  sky_status st = SKY_OK;
  options o = {.rules = {.coal_edition = "2020", .carbon_edition = "2015", .factor_sd = NAN}};
  SKY_GO_ALLOC(o.allow, SKY_NEW0(ctx, const char *, (size_t)argc));
  o.rules.allow = o.allow;
  SKY_GO(sky_cli_parse(ctx, &SPEC, argc, argv, take_option, &o, &common));
  if (common.help_shown) goto cleanup;
  if (common.n_args != 1)
    SKY_GO(sky_fail(ctx, SKY_E_USAGE, "account: expected one activity table, got %d arguments",
                    common.n_args));
  if (o.rules.year == 0) SKY_GO(sky_fail(ctx, SKY_E_USAGE, "account: --year Y is missing"));
  if (o.rules.grid_region != NULL && o.rules.grid <= SKY_GRID_NATIONAL)
    SKY_GO(sky_fail(ctx, SKY_E_USAGE,
                    "account: --region '%s' needs --electricity regional or provincial",
                    o.rules.grid_region));
  SKY_GO(account(ctx, &o, common.args[0], common.json));
cleanup:
  sky_free(o.allow);
  return st;
}
