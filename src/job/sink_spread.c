/* sink_spread.c: see sink_spread.h. Range of the sets that hold the quantity: least and greatest
 * value, and (max - min)/√12, the standard deviation of what is uniform between them. */
#include "src/job/sink_spread.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/write/json_out.h"

#define TONNE 1e3
#define SETS_MAX 8

typedef struct spread {
  const sky_sink *s;
  char *names; /* split */
  const char *set[SETS_MAX];
  size_t n, n_row;
  sky_sink_row *rows[SETS_MAX]; /* [n_row] */
} spread;

static sky_status split(sky_context *ctx, const char *names, spread *w) {
  char *rest = NULL;
  w->names = sky_strdup(ctx, names);
  if (w->names == NULL) return SKY_E_NOMEM;
  for (char *p = strtok_r(w->names, ",", &rest); p != NULL; p = strtok_r(NULL, ",", &rest)) {
    if (w->n == SETS_MAX)
      return sky_fail(ctx, SKY_E_USAGE, "--compare: more than %d sets", SETS_MAX);
    w->set[w->n++] = p;
  }
  if (w->n >= 2) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--compare: '%s' is not two sets or more (list sink-sets)",
                  names);
}

static sky_status compute(sky_context *ctx, spread *w, size_t i) {
  const sky_sink *s = w->s;
  const sky_sink_options *o = &s->opt;
  const sky_site_options opt = {.factors = w->set[i],
                                .soil = o->soil,
                                .overrides = o->overrides,
                                .legend = &s->legend,
                                .allowed = o->allowed,
                                .n_allowed = o->n_allowed};
  const sky_sink_how how = {.years = o->years[s->n_period] - o->years[s->n_period - 1],
                            .accuracy = o->accuracy,
                            .places = NAN,
                            .correlation = o->correlation};
  sky_sites sites = {0};
  sky_tensor tensor = s->tensor;
  tensor.n_zone = s->n_zone;
  w->rows[i] = SKY_NEW(ctx, sky_sink_row, w->n_row);
  if (w->rows[i] == NULL) return SKY_E_NOMEM;
  sky_status st = sky_sites_make(ctx, &s->areas, s->n_zone, &opt, &sites);
  if (st == SKY_OK) {
    const sky_sink_site site = {&tensor, &sites.site[0].set, NULL};
    st = sky_sink_compute(ctx, &site, 1, &how, w->rows[i]);
  }
  sky_sites_free(&sites);
  return st;
}

/* What is not known stays empty. */
static void put(sky_text *t, double v) {
  char text[32];
  if (isnan(v)) {
    sky_text_put(t, ",");
    return;
  }
  sky_number_text(v == 0 ? 0 : v, text);
  sky_text_printf(t, ",%s", text);
}

static void put_head(const spread *w, size_t r, const char *set, sky_text *t) {
  const sky_sink_row *row = &w->s->rows[r];
  sky_text_csv(t, w->s->zones.zone[row->zone].id);
  sky_text_printf(t, ",%s,%s", sky_sink_row_class(w->s, row), set);
}

/* t C a year, or t C; positive = the land gains carbon. */
static sky_sink_estimate removal(const sky_sink_row *row) {
  return (sky_sink_estimate){.value = -row->uptake.value / TONNE, .sd = row->uptake.sd / TONNE};
}

static sky_sink_estimate stock(const sky_sink_row *row) {
  return (sky_sink_estimate){.value = row->stock.value / TONNE, .sd = row->stock.sd / TONNE};
}

typedef sky_sink_estimate quantity(const sky_sink_row *row);

static void put_set(quantity *of, const sky_sink_row *row, sky_text *t) {
  const sky_sink_estimate e = of(row);
  put(t, e.value);
  put(t, e.sd);
  sky_text_put(t, ",,");
}

/* Of one set alone there is no range. */
static void put_range(quantity *of, const spread *w, size_t r, sky_text *t) {
  double low = INFINITY, high = -INFINITY;
  size_t n = 0;
  for (size_t i = 0; i < w->n; i++) {
    const double v = of(&w->rows[i][r]).value;
    if (isnan(v)) continue;
    low = fmin(low, v);
    high = fmax(high, v);
    n++;
  }
  put(t, NAN);
  put(t, n >= 2 ? (high - low) / sqrt(12) : NAN);
  put(t, n >= 2 ? low : NAN);
  put(t, n >= 2 ? high : NAN);
}

static void put_row(const spread *w, size_t r, sky_text *t) {
  for (size_t i = 0; i < w->n; i++) {
    put_head(w, r, w->set[i], t);
    put_set(removal, &w->rows[i][r], t);
    put_set(stock, &w->rows[i][r], t);
    sky_text_put(t, "\n");
  }
  put_head(w, r, "spread", t);
  put_range(removal, w, r, t);
  put_range(stock, w, r, t);
  sky_text_put(t, "\n");
}

sky_status sky_sink_write_spread(sky_context *ctx, const sky_sink *s, const char *names,
                                 const char *path) {
  sky_status st = SKY_OK;
  spread w = {.s = s, .n_row = s->n_zone * (s->n_class + 1)};
  sky_text t = {.ctx = ctx};
  SKY_GO(split(ctx, names, &w));
  for (size_t i = 0; i < w.n; i++)
    SKY_GO(compute(ctx, &w, i));
  sky_text_printf(&t,
                  "# skyflux " SKYFLUX_VERSION
                  " sink: factor sets beside each other; IPCC sets %s%s; empty: the set does not "
                  "hold it\n"
                  "zone_id,class_name,set,removal_t_c_yr,sd_t_c_yr,low_t_c_yr,high_t_c_yr,"
                  "stock_change_t_c,stock_sd_t_c,stock_low_t_c,stock_high_t_c\n",
                  s->opt.soil != NULL ? "with soil " : "without soil carbon",
                  s->opt.soil != NULL ? s->opt.soil : "");
  for (size_t r = 0; r < w.n_row; r++)
    if (sky_sink_row_shown(s, &s->rows[r]) && !sky_sink_empty(s, s->rows[r].zone))
      put_row(&w, r, &t);
  if (t.failed) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  SKY_GO(sky_file_write_text(ctx, path, t.data, t.length));
cleanup:
  for (size_t i = 0; i < w.n; i++)
    sky_free(w.rows[i]);
  sky_free(w.names);
  sky_text_free(&t);
  return st;
}
