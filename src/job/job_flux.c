/* job_flux.c: see job_flux.h. */
#include "src/job/job_flux.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/timeutil.h"

#define DAY 86400.0
#define AUDIT_TOLERANCE 1e-6 /* design law 3 */

static bool ends_with(const char *text, const char *end) {
  const size_t n = strlen(text), m = strlen(end);
  return n > m && strcmp(text + n - m, end) == 0;
}

sky_inventory_format sky_job_inventory_format(const sky_node *item) {
  const char *format = sky_node_text(item, "format"), *file = sky_node_text(item, "file");
  const bool given = format != NULL && strcmp(format, "auto") != 0;
  if (given ? strcmp(format, "workbook") == 0 : ends_with(file, ".xlsx"))
    return SKY_INVENTORY_WORKBOOK;
  if (given ? strcmp(format, "activity") == 0 : ends_with(file, ".csv"))
    return SKY_INVENTORY_ACTIVITY;
  return SKY_INVENTORY_FLUX;
}

static bool serves_as_prior(const sky_job *job, const char *id) {
  return sky_job_find(job, "inversions", "prior", id) != NULL ||
         sky_job_find(job, "inversions", "unscaled", id) != NULL;
}

/* The file of an item of inventories or sinks. */
static sky_status read_flux(sky_context *ctx, const sky_job *job, const sky_node *node,
                            const char *path, const char *gas, const char *variable, bool as_prior,
                            sky_flux *out, bool *other_time) {
  const double resolution = sky_node_number(node, "stated_resolution");
  const int year = (int)sky_node_integer(node, "year", 0);
  const double year_start = year > 0 ? (double)sky_days_from_civil(year, 1, 1) * DAY : NAN;
  const double year_end = year > 0 ? (double)sky_days_from_civil(year + 1, 1, 1) * DAY : NAN;
  sky_flux_options opt = {
      .gas = gas,
      .variable = variable,
      .units = sky_node_text(node, "units"),
      .start = fmax(sky_node_time(job->root, "period.start"), year_start), /* NaN = open */
      .end = fmin(sky_node_time(job->root, "period.end"), year_end),
      .as_prior = as_prior,
      .stated_dx = resolution,
      .stated_dy = resolution,
  };
  const sky_status st = sky_flux_read(ctx, path, &opt, out);
  *other_time = st == SKY_E_NODATA;
  if (!*other_time) return st;
  sky_error_clear(ctx);
  opt.start = year_start;
  opt.end = year_end;
  return sky_flux_read(ctx, path, &opt, out);
}

sky_status sky_job_flux(sky_context *ctx, const sky_job *job, const char *id, sky_flux *out,
                        bool *other_time) {
  const sky_node *node = sky_job_find(job, "inventories", "id", id);
  return read_flux(ctx, job, node, sky_node_text(node, "file"), sky_node_text(node, "gas"),
                   sky_node_text(node, "variable"), serves_as_prior(job, id), out, other_time);
}

sky_status sky_job_flux_sector(sky_context *ctx, const sky_job *job, const char *id,
                               const sky_flux *f, const sky_sectors *s, size_t l, double *flux) {
  const sky_node *node = sky_job_find(job, "inventories", "id", id);
  const size_t n = sky_grid_cells(&f->grid);
  for (size_t c = 0; c < n; c++)
    flux[c] = isnan(f->flux[c]) ? NAN : 0;
  for (size_t i = 0; i < s->n_given; i++) {
    sky_flux part = {0};
    bool other_time;
    if (s->of[i] != l) continue;
    SKY_TRY(read_flux(ctx, job, node, sky_node_text(node, "file"), sky_node_text(node, "gas"),
                      s->given[i], true, &part, &other_time));
    for (size_t c = 0; c < n; c++)
      flux[c] += part.flux[c];
    sky_flux_free(&part);
  }
  return SKY_OK;
}

sky_status sky_job_sink_flux(sky_context *ctx, const sky_job *job, const char *id, sky_flux *out,
                             bool *other_time) {
  const sky_node *node = sky_job_find(job, "sinks", "id", id);
  return read_flux(ctx, job, node, sky_node_text(node, "flux"), "co2",
                   sky_node_text(node, "variable"), true, out, other_time);
}

static sky_status carry(sky_context *ctx, const sky_flux *f, const double *amount,
                        const sky_mesh *dst, double *out, sky_audit *audit) {
  if (f->cells.nx > 0) return sky_curvilinear_extensive(ctx, &f->cells, amount, dst, out, audit);
  return sky_mesh_regrid_extensive(ctx, &f->grid, amount, dst, out, audit);
}

sky_status sky_job_flux_to_mesh(sky_context *ctx, const char *what, const sky_flux *f,
                                const sky_mesh *dst, double *flux, double *valid,
                                sky_audit *audit) {
  const size_t n_src = sky_grid_cells(&f->grid), n = dst->n_cell;
  double *amount = NULL, *area = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(amount, SKY_NEW(ctx, double, n_src));
  SKY_GO_ALLOC(area, SKY_NEW(ctx, double, n));
  SKY_GO(sky_mesh_areas(ctx, dst, area));
  for (size_t c = 0; c < n_src; c++)
    amount[c] = isnan(f->flux[c]) ? 0.0 : f->area[c];
  SKY_GO(carry(ctx, f, amount, dst, valid, audit));
  for (size_t c = 0; c < n_src; c++)
    amount[c] = f->flux[c] * f->area[c];
  SKY_GO(carry(ctx, f, amount, dst, flux, audit));
  SKY_GO(sky_audit_check(ctx, what, "mol s-1", audit, AUDIT_TOLERANCE));
  for (size_t c = 0; c < n; c++) {
    valid[c] /= area[c];
    flux[c] = valid[c] > 0.0 ? flux[c] / area[c] : NAN;
  }
cleanup:
  sky_free(amount);
  sky_free(area);
  return st;
}

sky_status sky_job_flux_to_grid(sky_context *ctx, const char *what, const sky_flux *f,
                                const sky_grid *dst, double *flux, double *valid,
                                sky_audit *audit) {
  sky_mesh mesh = {0};
  sky_status st = sky_mesh_create(ctx, dst, NULL, NULL, 0, &mesh);
  if (st == SKY_OK) st = sky_job_flux_to_mesh(ctx, what, f, &mesh, flux, valid, audit);
  sky_mesh_free(&mesh);
  return st;
}
