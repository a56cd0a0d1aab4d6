/* run_table.c: numbers are written as in the report: the deviation to 2 digits, the value to the
 * same place, one unit a gas. */
#include "src/cli/run_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/write/report.h"

#define FIRST_WIDTH 12
#define WIDTH 14

/* Right-aligned to `width` characters, which UTF-8 makes fewer than the bytes. */
static void put(const char *text, int width) {
  int n = 0;
  for (const char *p = text; *p != '\0'; p++)
    n += ((unsigned char)*p & 0xc0) != 0x80;
  printf("  %*s%s", n < width ? width - n : 0, "", text);
}

static void put_mass(double factor, double value, double sd) {
  char text[96];
  sky_report_plus_minus(factor * value, factor * sd, text);
  put(text, WIDTH);
}

/* A number of the truth; NaN where it says nothing. */
static sky_status truth_of(sky_context *ctx, const sky_table *t, const sky_zone_row *row,
                           const char *column, double *out) {
  const size_t id = sky_table_find(t, "zone_id"), gas = sky_table_find(t, "gas");
  const size_t value = sky_table_find(t, column);
  *out = NAN;
  for (size_t i = 0; i < sky_table_rows(t) && value != SIZE_MAX; i++) {
    if (strcmp(sky_table_cell(t, i, id), row->zone_id) == 0 &&
        strcmp(sky_table_cell(t, i, gas), row->gas) == 0)
      return sky_table_number(ctx, t, i, value, out);
  }
  return SKY_OK;
}

typedef struct gas_table {
  const char *gas;
  sky_mass_scale mass, sink; /* sink.factor 0: the gas has none */
  const sky_table *truth;    /* NULL: not known */
} gas_table;

static sky_status put_truth(sky_context *ctx, const gas_table *t, const sky_zone_row *row,
                            const char *column, double factor) {
  double known;
  if (t->truth == NULL) return SKY_OK;
  SKY_TRY(truth_of(ctx, t->truth, row, column, &known));
  put_mass(factor, known, NAN);
  return SKY_OK;
}

static sky_status put_row(sky_context *ctx, const gas_table *t, const sky_zone_row *row) {
  const double f = t->mass.factor;
  const bool moved = !isnan(row->sink_posterior);
  printf("%-*.*s", FIRST_WIDTH, FIRST_WIDTH, row->zone_id);
  SKY_TRY(put_truth(ctx, t, row, "truth_t_yr", f));
  put_mass(f, row->prior, row->prior_sd);
  put_mass(f, row->posterior, row->posterior_sd);
  put_mass(f, row->inventory, row->inventory_sd);
  if (t->sink.factor > 0) {
    SKY_TRY(put_truth(ctx, t, row, "sink_truth_t_yr", t->sink.factor));
    put_mass(t->sink.factor, moved ? row->sink_posterior : row->sink,
             moved ? row->sink_posterior_sd : row->sink_sd);
  }
  printf("  %s\n", row->status);
  return SKY_OK;
}

static sky_status put_gas(sky_context *ctx, const sky_report *r, const gas_table *t) {
  const char *known = t->truth != NULL ? "truth" : NULL;
  const char *heads[] = {known, "prior", "posterior", "inventory", NULL, NULL};
  printf("%s, %s, ± 1 standard deviation", sky_species_find(t->gas)->formula, t->mass.unit);
  if (t->sink.factor > 0) {
    printf("; sink %s", t->sink.unit);
    heads[4] = known != NULL ? "true sink" : NULL;
    heads[5] = "sink";
  }
  printf("\n%-*s", FIRST_WIDTH, "zone");
  for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
    if (heads[k] != NULL) put(heads[k], WIDTH);
  printf("  status\n");
  for (size_t i = 0; i < r->n_rows; i++)
    if (strcmp(r->rows[i].gas, t->gas) == 0) SKY_TRY(put_row(ctx, t, &r->rows[i]));
  printf("\n");
  return SKY_OK;
}

sky_status sky_truth_read(sky_context *ctx, const char *path, sky_table **out) {
  static const char *const needed[] = {"zone_id", "gas", "truth_t_yr"};
  SKY_TRY(sky_table_read(ctx, path, out));
  for (size_t k = 0; k < sizeof needed / sizeof *needed; k++)
    if (sky_table_find(*out, needed[k]) == SIZE_MAX)
      return sky_fail(ctx, SKY_E_FORMAT, "%s: there is no column %s", path, needed[k]);
  return SKY_OK;
}

sky_status sky_run_table_print(sky_context *ctx, const sky_zone_row *rows, size_t n,
                               const sky_table *truth) {
  const sky_report r = {.rows = rows, .n_rows = n};
  for (size_t i = 0; i < n; i++) {
    bool first = true, sink = false;
    for (size_t k = 0; k < i; k++)
      first = first && strcmp(rows[k].gas, rows[i].gas) != 0;
    if (!first) continue;
    for (size_t k = i; k < n; k++)
      sink = sink || (strcmp(rows[k].gas, rows[i].gas) == 0 && !isnan(rows[k].sink));
    gas_table t = {.gas = rows[i].gas, .mass = sky_report_scale(&r, rows[i].gas), .truth = truth};
    if (sink) t.sink = sky_report_sink_scale(&r, t.gas);
    SKY_TRY(put_gas(ctx, &r, &t));
  }
  return SKY_OK;
}
