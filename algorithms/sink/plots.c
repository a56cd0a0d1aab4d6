/* plots.c: see plots.h; equations in plots.md. */
#include "algorithms/sink/plots.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

sky_plot_mean sky_plots_mean(const double *value, const double *weight, size_t n) {
  sky_acc sum = {0, 0}, all = {0, 0}, spread = {0, 0}, error = {0, 0};
  for (size_t i = 0; i < n; i++) {
    sky_acc_add(&sum, weight[i] * value[i]);
    sky_acc_add(&all, weight[i]);
  }
  const double whole = sky_acc_value(&all), mean = sky_acc_value(&sum) / whole;
  const double small = (double)n / ((double)n - 1);
  for (size_t i = 0; i < n; i++) {
    const double d = value[i] - mean;
    sky_acc_add(&spread, weight[i] * d * d);
    sky_acc_add(&error, weight[i] * weight[i] * d * d);
  }
  return (sky_plot_mean){n, mean, sqrt(small * sky_acc_value(&error)) / whole,
                         sqrt(small * sky_acc_value(&spread) / whole)};
}

typedef struct reading {
  sky_context *ctx;
  const sky_table *table;
  const char *path;
  double *value, *weight; /* [rows] of one class and column */
} reading;

static sky_status read_number(const reading *r, size_t row, const char *column, double fallback,
                              double *out) {
  const size_t c = sky_table_find(r->table, column);
  *out = fallback;
  return c == SIZE_MAX ? SKY_OK : sky_table_number(r->ctx, r->table, row, c, out);
}

/* Values of a class; *n = 0: it has no plots. */
static sky_status collect(const reading *r, int number, const char *column, double low, size_t *n) {
  *n = 0;
  for (size_t row = 0; row < sky_table_rows(r->table); row++) {
    double cls, value, weight;
    SKY_TRY(read_number(r, row, "class", NAN, &cls));
    if (!(cls >= 1 && cls <= SKY_SINK_CLASSES) || cls != floor(cls))
      return sky_fail(r->ctx, SKY_E_RANGE, "%s:%d: class %g, expected 1 to %d", r->path,
                      sky_table_line(r->table, row), cls, SKY_SINK_CLASSES);
    if (cls != number) continue;
    SKY_TRY(read_number(r, row, column, NAN, &value));
    SKY_TRY(read_number(r, row, "weight", 1, &weight));
    if (!(value >= low))
      return sky_fail(r->ctx, SKY_E_RANGE, "%s:%d: %s %g, expected a number of at least %g",
                      r->path, sky_table_line(r->table, row), column, value, low);
    if (!(weight > 0))
      return sky_fail(r->ctx, SKY_E_RANGE, "%s:%d: weight %g, expected above 0", r->path,
                      sky_table_line(r->table, row), weight);
    r->value[*n] = value;
    r->weight[(*n)++] = weight;
  }
  if (*n != 1) return SKY_OK;
  return sky_fail(r->ctx, SKY_E_RANGE, "%s: one plot of class %d (%s), expected none or at least 2",
                  r->path, number, sky_sink_class_name(number));
}

/* The mean as a factor of the set. */
static sky_status add_factor(const reading *r, sky_sink_set *set, int number, const char *column,
                             const char *unit, size_t n, sky_sink_pool *pool) {
  const sky_plot_mean m = sky_plots_mean(r->value, r->weight, n);
  sky_sink_factor *p =
      sky_realloc(r->ctx, set->factor, set->n_factor, set->n_factor + 1, sizeof *p);
  if (p == NULL) return SKY_E_NOMEM;
  set->factor = p;
  sky_sink_factor *f = &p[set->n_factor];
  *f = (sky_sink_factor){.value = m.mean, .sd = m.sd, .place_sd = m.place_sd, .verified = true};
  f->key = sky_sprintf(r->ctx, "%s:%d:%s", r->path, number, column);
  f->source = sky_sprintf(r->ctx, "%s, %zu plots", r->path, n);
  f->unit = sky_strdup(r->ctx, unit);
  *pool = (sky_sink_pool){.n = 1, .term = {{1, {set->n_factor}}}};
  set->n_factor++;
  return f->key != NULL && f->source != NULL && f->unit != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status use_class(const reading *r, sky_sink_set *set, sky_sink_class *c) {
  size_t n = 0;
  SKY_TRY(collect(r, c->number, "biomass_t_c_ha", 0, &n));
  if (n == 0) return SKY_OK;
  SKY_TRY(add_factor(r, set, c->number, "biomass_t_c_ha", "t C/ha", n, &c->pool[SKY_POOL_ABOVE]));
  c->pool[SKY_POOL_BELOW].n = 0;
  c->known = set->stocks = true;
  if (sky_table_find(r->table, "gain_t_c_ha_yr") == SIZE_MAX) return SKY_OK;
  SKY_TRY(collect(r, c->number, "gain_t_c_ha_yr", -1000, &n));
  SKY_TRY(
      add_factor(r, set, c->number, "gain_t_c_ha_yr", "t C/ha/yr", n, &c->pool[SKY_POOL_GROWTH]));
  c->pool[SKY_POOL_GROWTH_YOUNG] = c->pool[SKY_POOL_GROWTH];
  return SKY_OK;
}

sky_status sky_sink_set_use_plots(sky_context *ctx, const sky_table *table, const char *path,
                                  sky_sink_set *set) {
  reading r = {.ctx = ctx, .table = table, .path = path};
  static const char *const needed[2] = {"class", "biomass_t_c_ha"};
  for (size_t i = 0; i < 2; i++)
    if (sky_table_find(table, needed[i]) == SIZE_MAX)
      return sky_fail(ctx, SKY_E_FORMAT, "%s: no column '%s'", path, needed[i]);
  r.value = SKY_NEW(ctx, double, sky_table_rows(table));
  r.weight = SKY_NEW(ctx, double, sky_table_rows(table));
  sky_status st = r.value != NULL && r.weight != NULL ? SKY_OK : SKY_E_NOMEM;
  for (size_t i = 0; i < set->n_class && st == SKY_OK; i++)
    st = use_class(&r, set, &set->cls[i]);
  sky_free(r.value);
  sky_free(r.weight);
  return st;
}
