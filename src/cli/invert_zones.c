/* invert_zones.c: see invert_zones.h. */
#include "src/cli/invert_zones.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/invert_modes.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/write/json_out.h"
#include "src/core/text.h"

bool sky_invert_zones_take(sky_invert_zones *z, const char *name, const char *value) {
  if (strcmp(name, "zones-csv") == 0)
    z->csv = value;
  else if (strcmp(name, "ak") == 0)
    z->kernels = value;
  else if (strcmp(name, "by-time") == 0)
    z->by_time = true;
  else
    return false;
  return true;
}

sky_status sky_invert_zones_read(sky_context *ctx, const char *path, const sky_problem *p,
                                 bool has_kernels, sky_invert_zones *z) {
  if (z->kernels != NULL && !has_kernels)
    return sky_fail(ctx, SKY_E_USAGE,
                    "invert: --ak is of a Gaussian posterior (exact, iterative, geostatistical)");
  return sky_problem_zones_read(ctx, path, p, z->by_time, &z->rows);
}

void sky_invert_zones_free(sky_invert_zones *z) {
  sky_problem_zones_free(&z->rows);
}

/* ---- answer and table ----------------------------------------------------------------------- */

static bool known(const sky_zone_column *column, size_t rows) {
  for (size_t r = 0; r < rows; r++)
    if (!isnan(column->value[r])) return true;
  return false;
}

static sky_status write_csv(sky_context *ctx, const sky_invert_zones *z,
                            const sky_zone_column *column, size_t n) {
  sky_text text = {.ctx = ctx};
  char number[32];
  sky_text_put(&text, "zone");
  for (size_t k = 0; k < n; k++)
    if (known(&column[k], z->rows.n)) sky_text_printf(&text, ",%s", column[k].name);
  sky_text_put(&text, "\n");
  for (size_t r = 0; r < z->rows.n; r++) {
    sky_text_csv(&text, z->rows.name[r]);
    for (size_t k = 0; k < n; k++) {
      if (!known(&column[k], z->rows.n)) continue;
      sky_number_text(column[k].value[r], number);
      sky_text_printf(&text, ",%s", isnan(column[k].value[r]) ? "" : number);
    }
    sky_text_put(&text, "\n");
  }
  const sky_status st =
      text.failed ? SKY_E_NOMEM : sky_file_write_text(ctx, z->csv, text.data, text.length);
  sky_text_free(&text);
  return st;
}

/* What is infinite has no JSON number: null. */
static sky_status put_number(sky_context *ctx, cJSON *to, const char *key, double value) {
  if (isfinite(value)) return sky_invert_number(ctx, to, key, value);
  if (cJSON_AddNullToObject(to, key) != NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_NOMEM, "out of memory");
}

sky_status sky_invert_zones_answer(sky_context *ctx, const sky_invert_zones *z,
                                   const sky_zone_column *column, size_t n, cJSON *answer) {
  if (z->csv != NULL) SKY_TRY(write_csv(ctx, z, column, n));
  if (z->rows.n == 1 || answer == NULL) return SKY_OK;
  cJSON *list = sky_invert_object(ctx, answer, "zones", true);
  if (list == NULL) return SKY_E_NOMEM;
  for (size_t r = 1; r < z->rows.n; r++) {
    cJSON *item = sky_invert_object(ctx, list, NULL, false);
    if (item == NULL) return SKY_E_NOMEM;
    SKY_TRY(sky_invert_text(ctx, item, "name", z->rows.name[r]));
    for (size_t k = 0; k < n; k++)
      if (known(&column[k], z->rows.n))
        SKY_TRY(put_number(ctx, item, column[k].name, column[k].value[r]));
  }
  return SKY_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

static sky_status define(sky_ncw *w, const char *name, const char *dims, const char *long_name) {
  SKY_TRY(sky_ncw_var(w, name, 'd', dims));
  SKY_TRY(sky_ncw_att(w, name, "units", "1"));
  return sky_ncw_att(w, name, "long_name", long_name);
}

sky_status sky_invert_zones_put(sky_ncw *w, const sky_invert_zones *z,
                                const sky_zone_column *column, size_t n, const double *covariance) {
  char name[64];
  if (z->rows.n == 1) return SKY_OK;
  SKY_TRY(sky_ncw_dim(w, "zone", z->rows.n));
  SKY_TRY(sky_ncw_var(w, "zone_name", 's', "zone"));
  SKY_TRY(sky_ncw_att(w, "zone_name", "long_name", "the total, then the zones of the problem"));
  SKY_TRY(sky_ncw_put_strings(w, "zone_name", (const char *const *)z->rows.name));
  for (size_t k = 0; k < n; k++) {
    if (!known(&column[k], z->rows.n)) continue;
    snprintf(name, sizeof name, "zone_%s", column[k].name);
    SKY_TRY(define(w, name, "zone", column[k].long_name));
    SKY_TRY(sky_ncw_put(w, name, column[k].value));
  }
  if (covariance == NULL) return SKY_OK;
  SKY_TRY(sky_ncw_dim(w, "zone_too", z->rows.n));
  SKY_TRY(define(w, "zone_covariance", "zone,zone_too", "posterior covariance of the totals"));
  return sky_ncw_put(w, "zone_covariance", covariance);
}

static sky_status put_kernels(sky_ncw *w, const sky_invert_zones *z, const sky_problem *p,
                              const double *zone_A) {
  SKY_TRY(sky_ncw_att(w, "", "title", "averaging-kernel rows of the zones of an inversion"));
  SKY_TRY(sky_ncw_att(w, "", "source", "skyflux " SKYFLUX_VERSION " invert"));
  SKY_TRY(sky_ncw_dim(w, "zone", z->rows.n));
  SKY_TRY(sky_ncw_dim(w, "time", p->n_time));
  SKY_TRY(sky_ncw_dim(w, "cell", p->n_cell));
  SKY_TRY(sky_ncw_var(w, "zone_name", 's', "zone"));
  SKY_TRY(sky_ncw_var(w, "xc", 'd', "cell"));
  SKY_TRY(sky_ncw_att(w, "xc", "units", p->geographic ? "degrees_east" : "km"));
  SKY_TRY(sky_ncw_var(w, "yc", 'd', "cell"));
  SKY_TRY(sky_ncw_att(w, "yc", "units", p->geographic ? "degrees_north" : "km"));
  SKY_TRY(define(w, "zone_kernel", "zone,time,cell",
                 "change of the zone's posterior total by a change of the true flux"));
  SKY_TRY(sky_ncw_put_strings(w, "zone_name", (const char *const *)z->rows.name));
  SKY_TRY(sky_ncw_put(w, "xc", p->xc));
  SKY_TRY(sky_ncw_put(w, "yc", p->yc));
  return sky_ncw_put(w, "zone_kernel", zone_A);
}

sky_status sky_invert_zones_kernels(sky_context *ctx, const sky_invert_zones *z,
                                    const sky_problem *p, const double *zone_A) {
  sky_ncw *w = NULL;
  if (z->kernels == NULL) return SKY_OK;
  SKY_TRY(sky_ncw_create(ctx, z->kernels, &w));
  const sky_status st = put_kernels(w, z, p, zone_A);
  if (st == SKY_OK) return sky_ncw_commit(w);
  sky_ncw_abort(w);
  return st;
}
