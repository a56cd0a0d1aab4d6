/* layer.c: see layer.h. */
#include "src/job/layer.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/job/stage_file.h"

sky_status sky_layer_create(sky_context *ctx, size_t n_cell, size_t n_zone, sky_layer *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  out->n_cell = n_cell;
  out->n_zone = n_zone;
  SKY_GO_ALLOC(out->flux, SKY_NEW0(ctx, double, n_cell));
  SKY_GO_ALLOC(out->valid, SKY_NEW0(ctx, double, n_cell));
  SKY_GO_ALLOC(out->zone_total, SKY_NEW(ctx, double, n_zone));
  SKY_GO_ALLOC(out->zone_sd, SKY_NEW(ctx, double, n_zone));
  SKY_GO_ALLOC(out->zone_covered, SKY_NEW0(ctx, double, n_zone));
  SKY_GO_ALLOC(out->zone_scope2, SKY_NEW(ctx, double, n_zone));
  SKY_GO_ALLOC(out->zone_scope2_sd, SKY_NEW(ctx, double, n_zone));
  for (size_t z = 0; z < n_zone; z++)
    out->zone_total[z] = out->zone_sd[z] = out->zone_scope2[z] = out->zone_scope2_sd[z] = NAN;
cleanup:
  if (st != SKY_OK) sky_layer_free(out);
  return st;
}

void sky_layer_free(sky_layer *l) {
  if (l == NULL) return;
  sky_free(l->flux);
  sky_free(l->valid);
  sky_free(l->zone_total);
  sky_free(l->zone_sd);
  sky_free(l->zone_covered);
  sky_free(l->zone_scope2);
  sky_free(l->zone_scope2_sd);
  sky_free(l->zone_share);
  sky_free(l->factor);
  sky_free(l->sign);
  sky_free(l->variance);
  memset(l, 0, sizeof *l);
}

double sky_layer_zone_sd(const sky_layer *l, const double *area, const sky_coverage *cover,
                         double kg) {
  sky_acc var = {0, 0};
  for (size_t k = 0; k < l->rank; k++) {
    sky_acc sum = {0, 0};
    for (size_t i = 0; i < cover->n; i++) {
      const size_t c = cover->cell[i];
      sky_acc_add(&sum, cover->fraction[i] * area[c] * kg * l->factor[k * l->n_cell + c]);
    }
    const double shared = sky_acc_value(&sum);
    sky_acc_add(&var, l->sign[k] * shared * shared);
  }
  for (size_t i = 0; i < cover->n; i++) {
    const size_t c = cover->cell[i];
    const double weight = cover->fraction[i] * area[c] * kg;
    sky_acc_add(&var, weight * weight * l->variance[c]);
  }
  return sqrt(sky_acc_value(&var));
}

sky_status sky_layer_write(sky_context *ctx, const char *path, const sky_layer *l,
                           char *const *tags) {
  const sky_stage_dim dims[] = {{"cell", l->n_cell}, {"zone", l->n_zone}, {"factor", l->rank}};
  const sky_stage_var vars[] = {
      {"cell_flux", "cell", "mol m-2 s-1", l->flux, NULL, NULL},
      {"cell_valid", "cell", "1", l->valid, NULL, NULL},
      {"zone_total", "zone", "kg year-1", l->zone_total, NULL, NULL},
      {"zone_sd", "zone", "kg year-1", l->zone_sd, NULL, NULL},
      {"zone_covered", "zone", "1", l->zone_covered, NULL, NULL},
      {"zone_scope2", "zone", "kg year-1", l->zone_scope2, NULL, NULL},
      {"zone_scope2_sd", "zone", "kg year-1", l->zone_scope2_sd, NULL, NULL},
      {"zone_share", "zone,cell", "1", l->zone_share, NULL, NULL},
      {"error_variance", "cell", "mol2 m-4 s-2", l->variance, NULL, NULL},
      {"error_factor", "factor,cell", "mol m-2 s-1", l->factor, NULL, NULL},
      {"error_sign", "factor", "1", l->sign, NULL, NULL},
  };
  const bool there[] = {true,
                        true,
                        true,
                        true,
                        true,
                        true,
                        true,
                        l->zone_share != NULL,
                        l->variance != NULL,
                        l->rank > 0,
                        l->rank > 0};
  sky_stage_var given[sizeof vars / sizeof *vars];
  size_t n_vars = 0;
  for (size_t k = 0; k < sizeof vars / sizeof *vars; k++)
    if (there[k]) given[n_vars++] = vars[k];
  return sky_stage_file_write(ctx, path, dims, l->rank > 0 ? 3 : 2, given, n_vars, NULL, 0, tags);
}

sky_status sky_layer_read(sky_context *ctx, const sky_job *job, const char *kind, const char *id,
                          sky_layer *out) {
  char *path = sky_sprintf(ctx, "%s/%s-%s.nc", job->stage_dir, kind, id);
  bool own = false;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_stage_file_count(ctx, path, "cell_flux", &out->n_cell));
  SKY_GO(sky_stage_file_count(ctx, path, "zone_total", &out->n_zone));
  SKY_GO(sky_stage_file_read(ctx, path, "cell_flux", out->n_cell, &out->flux));
  SKY_GO(sky_stage_file_read(ctx, path, "cell_valid", out->n_cell, &out->valid));
  SKY_GO(sky_stage_file_read(ctx, path, "zone_total", out->n_zone, &out->zone_total));
  SKY_GO(sky_stage_file_read(ctx, path, "zone_sd", out->n_zone, &out->zone_sd));
  SKY_GO(sky_stage_file_read(ctx, path, "zone_covered", out->n_zone, &out->zone_covered));
  SKY_GO(sky_stage_file_read(ctx, path, "zone_scope2", out->n_zone, &out->zone_scope2));
  SKY_GO(sky_stage_file_read(ctx, path, "zone_scope2_sd", out->n_zone, &out->zone_scope2_sd));
  SKY_GO(sky_stage_file_has(ctx, path, "zone_share", &own));
  if (own)
    SKY_GO(
        sky_stage_file_read(ctx, path, "zone_share", out->n_zone * out->n_cell, &out->zone_share));
  SKY_GO(sky_stage_file_has(ctx, path, "error_variance", &own));
  if (own) SKY_GO(sky_stage_file_read(ctx, path, "error_variance", out->n_cell, &out->variance));
  SKY_GO(sky_stage_file_has(ctx, path, "error_sign", &own));
  if (own) {
    SKY_GO(sky_stage_file_count(ctx, path, "error_sign", &out->rank));
    SKY_GO(sky_stage_file_read(ctx, path, "error_sign", out->rank, &out->sign));
    SKY_GO(sky_stage_file_read(ctx, path, "error_factor", out->rank * out->n_cell, &out->factor));
  }
cleanup:
  if (st != SKY_OK) sky_layer_free(out);
  sky_free(path);
  return st;
}
