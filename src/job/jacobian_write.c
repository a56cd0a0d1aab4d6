/* jacobian_write.c: see jacobian.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/job/correlation.h"
#include "src/job/jacobian_levels.h"
#include "src/job/stage_file.h"
#include "src/job/zone_weights.h"

typedef struct output {
  sky_stage_dim dim[32];
  sky_stage_var var[64];
  sky_stage_att att[16];
  size_t n_dim, n_var, n_att;
} output;

static void dimension(output *o, const char *name, size_t size) {
  o->dim[o->n_dim++] = (sky_stage_dim){name, size};
}

static void numbers(output *o, const char *name, const char *dims, const char *unit,
                    const double *value) {
  o->var[o->n_var++] = (sky_stage_var){name, dims, unit, value, NULL, NULL};
}

static void labels(output *o, const char *name, const char *dims, const int32_t *value) {
  o->var[o->n_var++] = (sky_stage_var){name, dims, "1", NULL, value, NULL};
}

static void attribute(output *o, const char *name, const char *text, double number) {
  o->att[o->n_att++] = (sky_stage_att){name, text, number};
}

static void put_rows(output *o, const sky_jacobian *j, const double *x, const double *y) {
  const char *const axis = j->mesh.patch[0].geographic ? "degree" : "km";
  dimension(o, "obs", j->n_obs);
  dimension(o, "rowp", j->n_obs + 1);
  dimension(o, "nnz", j->nnz);
  dimension(o, "state", j->n_cell * j->n_time);
  dimension(o, "cell", j->n_cell);
  dimension(o, "time", j->n_time);
  dimension(o, "background", j->n_groups);
  numbers(o, "y", "obs", "mol mol-1", j->y);
  numbers(o, "r_sd", "obs", "mol mol-1", j->r_sd);
  numbers(o, "x0", "state", "mol m-2 s-1", j->x0);
  numbers(o, "x_sd", "state", "mol m-2 s-1", j->x_sd);
  numbers(o, "H_data", "nnz", "m2 s mol-1", j->val);
  labels(o, "H_col", "nnz", j->col);
  labels(o, "H_rowptr", "rowp", j->rowptr);
  numbers(o, "xc", "cell", axis, x);
  numbers(o, "yc", "cell", axis, y);
  labels(o, "group", "obs", j->group);
  numbers(o, "b0", "background", "mol mol-1", j->b0);
  numbers(o, "b_sd", "background", "mol mol-1", j->b_sd);
}

static void put_observations(output *o, const sky_jacobian *j) {
  numbers(o, "observed", "obs", "mol mol-1", j->observed);
  numbers(o, "baseline", "obs", "mol mol-1", j->baseline);
  numbers(o, "fixed", "obs", "mol mol-1", j->fixed);
  numbers(o, "prior_signal", "obs", "mol mol-1", j->prior_part);
  numbers(o, "sensitivity_without_prior", "obs", "m2 s mol-1", j->unseen);
  numbers(o, "n_soundings", "obs", "1", j->count);
  numbers(o, "obs_time", "obs", "seconds since 1970-01-01 00:00:00", j->time);
  labels(o, "sensor", "obs", j->sensor);
  labels(o, "overpass", "obs", j->overpass);
}

static void put_tracks(output *o, const sky_jacobian *j) {
  if (j->track == NULL) return;
  labels(o, "track", "obs", j->track);
  numbers(o, "along_track", "obs", j->track_unit, j->along);
  attribute(o, "r_length", NULL, j->track_length);
  attribute(o, "r_share", NULL, j->track_share);
}

static void put_zones(output *o, const sky_zone_weights *r) {
  if (r->n == 0) return;
  dimension(o, "zone", r->n);
  dimension(o, "zone_rowp", r->n + 1);
  dimension(o, "zone_nnz", (size_t)r->rowptr[r->n]);
  numbers(o, "zone_data", "zone_nnz", "kg m2 s mol-1 year-1", r->data);
  labels(o, "zone_col", "zone_nnz", r->col);
  labels(o, "zone_rowptr", "zone_rowp", r->rowptr);
  numbers(o, "zone_constant", "zone", "kg year-1", r->constant);
  o->var[o->n_var++] = (sky_stage_var){.name = "zone_name", .dims = "zone", .text = r->name};
}

/* zeros [n_regressor]: biases are expected to be 0. */
static void put_regressors(output *o, const sky_jacobian *j, const double *zeros) {
  if (j->n_regressor == 0) return;
  dimension(o, "regressor", j->n_regressor);
  numbers(o, "regressor", "regressor,obs", "1", j->regressor);
  numbers(o, "regressor_mean", "regressor", "mol mol-1", zeros);
  numbers(o, "regressor_sd", "regressor", "mol mol-1", j->regressor_sd);
}

typedef struct sectors {
  double mixing[SKY_SECTORS_MOST * SKY_SECTORS_MOST], reach[SKY_SECTORS_MOST];
  double length; /* m, that reach counts in; NaN without correlation */
} sectors;

static void sectors_of(const sky_jacobian *j, sectors *s) {
  s->length = sky_sector_number(j->inversion, 0, "length");
  if (j->n_sector == 1) return;
  sky_sectors_mixing(j->inversion, s->mixing);
  for (size_t l = 0; l < j->n_sector; l++)
    s->reach[l] = sky_sector_number(j->inversion, l, "length") / s->length;
}

static void put_sectors(output *o, const sky_jacobian *j, const sectors *s, bool levels) {
  if (j->n_sector == 1) return;
  dimension(o, "sector_number", j->n_sector);
  dimension(o, "sector_too", j->n_sector);
  numbers(o, "sector_mixing", "sector_number,sector_too", "1", s->mixing);
  if (!levels && !isnan(s->length)) numbers(o, "sector_reach", "sector_number", "1", s->reach);
}

typedef struct models { /* texts of a prior, that an output borrows */
  char space[SKY_CORRELATION_TEXT], time[SKY_CORRELATION_TEXT], cov[160];
} models;

static sky_status name_models(sky_context *ctx, const sky_jacobian *j, models *out) {
  sky_correlation space, time;
  SKY_TRY(sky_job_correlation(ctx, j->inversion, &space));
  SKY_TRY(
      sky_job_correlation(ctx, j->n_time > 1 ? sky_node_get(j->inversion, "time") : NULL, &time));
  sky_correlation_format(space, out->space);
  sky_correlation_format(time, out->time);
  snprintf(out->cov, sizeof out->cov,
           "%s in space and %s in time, Q=S kron(D,E) S, state index = t*ncell + cell", out->space,
           out->time);
  return SKY_OK;
}

static void put_prior(output *o, const sky_jacobian *j, const sky_jacobian_levels *levels,
                      const sectors *s, const models *model) {
  const double t_length = sky_node_number(j->inversion, "time.length");
  const double t_steps = isnan(t_length) ? 1.0 : t_length / j->step;
  if (j->own) {
    numbers(o, "q_variance", "state", "mol2 m-4 s-2", j->q_var);
    if (j->q_rank == 0) return;
    dimension(o, "rank", j->q_rank);
    numbers(o, "q_factor", "rank,state", "mol m-2 s-1", j->q_factor);
    numbers(o, "q_sign", "rank", "1", j->q_sign);
    return;
  }
  put_sectors(o, j, s, levels->n > 0);
  attribute(o, "Lt_steps", NULL, t_steps); /* lengths are absent only with the model "none" */
  if (levels->n > 0) {
    dimension(o, "level", levels->n);
    for (size_t k = 0; k < SKY_LEVEL_NUMBERS; k++)
      numbers(o, levels->name[k], "level", "1", levels->number[k]);
    for (size_t k = 0; k < levels->n; k++) {
      dimension(o, levels->dim_name[k], levels->points[k] * j->n_time * j->n_layer);
      numbers(o, levels->scale_name[k], levels->dim_name[k], "mol m-2 s-1", levels->scale[k]);
    }
    numbers(o, "cell_width", "cell", "km", levels->width);
    attribute(o, "level_models", levels->models, 0);
    attribute(o, "cov_time", model->time, 0);
    return;
  }
  attribute(o, "cov", model->cov, 0);
  attribute(o, "Lx_km", NULL, isnan(s->length) ? 1.0 : s->length / 1e3);
}

/* Reader ids in the order of their numbers, separated by blanks. */
static char *sensor_names(sky_context *ctx, const sky_jacobian *j) {
  char *text = sky_sprintf(ctx, "%s", "");
  for (size_t k = 0; text != NULL && k < j->n_sensor; k++) {
    char *more = sky_sprintf(ctx, "%s%s%s", text, k > 0 ? " " : "", j->sensor_name[k]);
    sky_free(text);
    text = more;
  }
  return text;
}

sky_status sky_jacobian_write(sky_context *ctx, const char *path, const sky_jacobian *j,
                              const sky_zone_weights *zones, char *const *tags) {
  const bool regular = j->mesh.n_patch == 1 && j->n_layer == 1;       /* cells run as iy*nx + ix */
  const double axis_scale = j->mesh.patch[0].geographic ? 1.0 : 1e-3; /* degree, or m -> km */
  double *x = NULL, *y = NULL, *zeros = NULL;
  int32_t *sector = NULL;
  char *sensors = NULL;
  models model;
  sky_jacobian_levels levels = {0};
  sectors mix = {0};
  output o = {.n_dim = 0};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, j->n_cell));
  SKY_GO_ALLOC(y, SKY_NEW(ctx, double, j->n_cell));
  SKY_GO_ALLOC(zeros, SKY_NEW0(ctx, double, j->n_regressor + 1));
  SKY_GO_ALLOC(sector, SKY_NEW(ctx, int32_t, j->n_cell * j->n_time));
  SKY_GO_ALLOC(sensors, sensor_names(ctx, j));
  for (size_t c = 0; c < j->n_cell; c++) {
    sky_mesh_centre(&j->mesh, c % j->mesh.n_cell, &x[c], &y[c]);
    x[c] *= axis_scale;
    y[c] *= axis_scale;
  }
  for (size_t s = 0; s < j->n_cell * j->n_time; s++)
    sector[s] = (int32_t)(s % j->n_cell / j->mesh.n_cell);
  SKY_GO(sky_jacobian_levels_make(ctx, j, &levels));
  SKY_GO(name_models(ctx, j, &model));
  put_rows(&o, j, x, y);
  put_observations(&o, j);
  put_tracks(&o, j);
  put_regressors(&o, j, zeros);
  put_zones(&o, zones);
  sectors_of(j, &mix);
  put_prior(&o, j, &levels, &mix, &model);
  if (j->n_layer > 1) labels(&o, "sector", "state", sector);
  attribute(&o, "sensors", sensors, 0);
  attribute(&o, "nx", NULL, (double)(regular ? j->mesh.patch[0].nx : j->n_cell));
  attribute(&o, "ny", NULL, (double)(regular ? j->mesh.patch[0].ny : 1));
  attribute(&o, "nt", NULL, (double)j->n_time);
  st = sky_stage_file_write(ctx, path, o.dim, o.n_dim, o.var, o.n_var, o.att, o.n_att, tags);
cleanup:
  sky_free(x);
  sky_free(y);
  sky_free(zeros);
  sky_free(sector);
  sky_free(sensors);
  sky_jacobian_levels_free(&levels);
  return st;
}

void sky_jacobian_record(sky_facts *facts, const char *gas, const sky_jacobian *j) {
  const sky_species *species = sky_species_find(gas);
  sky_acc unseen = {0}, on_grid = {0};
  double least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < j->n_obs; i++) {
    sky_acc_add(&unseen, j->unseen[i]);
    least = fmin(least, j->prior_part[i]);
    most = fmax(most, j->prior_part[i]);
  }
  for (size_t k = 0; k < j->nnz; k++) /* once, not once a layer */
    if ((size_t)j->col[k] % j->n_cell < j->mesh.n_cell) sky_acc_add(&on_grid, j->val[k]);
  if (sky_acc_value(&on_grid) == 0)
    sky_fact(facts, "warnings", species->formula,
             "all footprints of %zu observations are zero on the grid", j->n_obs);
  sky_fact(facts, "diagnostics", species->formula,
           "forward: the prior flux adds %.4g to %.4g %s to the columns, with all of the footprint",
           least * species->column_scale, most * species->column_scale, species->column_unit);
  sky_fact(
      facts, "audit", "footprints",
      "sum over the rows of %zu observations %.6f in the files, %.6f in H, %.6f outside the grid, "
      "%.6f outside the time steps (mol mol-1 per mol m-2 s-1)",
      j->n_obs, j->used_sum, sky_acc_value(&on_grid), j->used_outside, j->used_other_time);
  if (j->prior == NULL)
    sky_fact(facts, "audit", "footprints",
             "the prior exists on the grid only: sensitivity %.6f outside it, or where the prior "
             "has no data, sees no %s; a background offset has to hold what comes from there",
             sky_acc_value(&unseen), species->formula);
  else if (sky_acc_value(&unseen) > 0.0)
    sky_fact(facts, "audit", "footprints",
             "sensitivity %.6f lies where the prior file has no data (outside it): no %s is "
             "simulated from there",
             sky_acc_value(&unseen), species->formula);
  sky_fact(facts, "diagnostics", species->formula,
           "averaging kernel per level: not applicable, the footprints are column integrals "
           "(one file for all gases); representation error stated in the job: %.3g %s",
           sky_node_number(j->inversion, "error.representation") * species->column_scale,
           species->column_unit);
  sky_fact_number(facts, "footprint_sum", j->used_sum);
  sky_fact_number(facts, "footprint_on_grid", sky_acc_value(&on_grid));
  sky_fact_number(facts, "footprint_outside", j->used_outside);
  sky_fact_number(facts, "footprint_other_time", j->used_other_time);
  sky_fact_number(facts, "footprint_without_prior", sky_acc_value(&unseen));
}
