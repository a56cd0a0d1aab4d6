/* stage_footprint.c: soundings, footprints and the prior -> the inverse problem of one gas.
 *
 *   y_i = X_i - baseline_i - fixed_i = Σ_c H_ic x_c + b_group(i) + e_i
 *
 * X_i: super-observation of the soundings that share receptor i; baseline_i: prior column of the
 * retrieval (or a constant); fixed_i: what the state cannot move, Σ footprint × prior flux on the
 * footprint's own cells minus Σ_c H_ic x0_c (flux outside the grid, structure below a cell). So the
 * prior simulation is exact at the footprint's resolution while increments live on the grid. A
 * layer that states its own covariance (table of activity, sink) exists on the mesh only: nothing
 * is fixed then, and sensitivity outside the mesh sees no flux. With `sink` the state has two
 * layers, prior and sink, of which every row sees the sum. Column footprints hold the column
 * integral already: no per-level kernel is applied, and none twice. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/job/jacobian.h"
#include "src/job/job_flux.h"
#include "src/job/stage.h"
#include "src/job/zone_weights.h"
#include "src/read/granule.h"

#define MAX_STEPS 10000

static void jacobian_free(sky_jacobian *j) {
  double *const arrays[] = {j->max_distance, j->max_time, j->row_outside, j->prior, j->prior_valid,
                            j->x0,           j->x_sd,     j->observed,    j->r_sd,  j->baseline,
                            j->fixed,        j->y,        j->time,        j->count, j->prior_part,
                            j->unseen,       j->b0,       j->b_sd,        j->val,   j->own_sd,
                            j->q_factor,     j->q_sign,   j->q_var,       j->lon,   j->lat,
                            j->along};
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    sky_free(arrays[k]);
  sky_free(j->receptor);
  sky_free(j->first_row);
  sky_free(j->group);
  sky_free(j->sensor);
  sky_free(j->overpass);
  sky_free(j->track);
  sky_free(j->sensor_name);
  sky_free(j->regressor);
  sky_free(j->regressor_sd);
  sky_free(j->rowptr);
  sky_free(j->col);
  for (size_t l = 0; l < j->n_layer; l++)
    sky_layer_free(&j->layer[l]);
  sky_mesh_free(&j->mesh);
  sky_footprints_free(&j->native);
  sky_footprints_free(&j->rows);
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* One file, with the matching rules of its entry for each of its receptors. */
static sky_status read_file(sky_context *ctx, const sky_node *item, const char *path,
                            sky_jacobian *j) {
  sky_footprints part = {0};
  const size_t before = j->native.n_receptors;
  double *grown;
  sky_status st = SKY_OK;
  SKY_GO(sky_footprints_read(ctx, path, &part));
  if (!part.column && !sky_node_bool(item, "column")) {
    st = sky_fail(ctx, SKY_E_FORMAT,
                  "%s: is not marked as a column footprint, and column retrievals need one; set "
                  "footprints.column: true if it is already kernel- and pressure-weighted",
                  path);
    goto cleanup;
  }
  part.column = true;
  SKY_GO(sky_footprints_append(ctx, &j->native, &part));
  const size_t n = j->native.n_receptors;
  SKY_GO_ALLOC(grown, sky_realloc(ctx, j->max_distance, before, n, sizeof *grown));
  j->max_distance = grown;
  SKY_GO_ALLOC(grown, sky_realloc(ctx, j->max_time, before, n, sizeof *grown));
  j->max_time = grown;
  for (size_t r = before; r < n; r++) {
    j->max_distance[r] = sky_node_number(item, "max_distance");
    j->max_time[r] = sky_node_number(item, "max_time");
  }
cleanup:
  sky_footprints_free(&part);
  return st;
}

static sky_status read_footprints(sky_context *ctx, const sky_job *job, sky_jacobian *j) {
  const sky_node *items = sky_node_get(job->root, "footprints");
  for (size_t i = 0; i < sky_node_count(items); i++) {
    const sky_node *item = sky_node_item(items, i);
    char **files = NULL;
    size_t n_files = 0;
    sky_status st = sky_job_files(ctx, item, "files", &files, &n_files);
    for (size_t k = 0; k < n_files && st == SKY_OK; k++)
      st = read_file(ctx, item, files[k], j);
    sky_file_list_free(files, n_files);
    SKY_TRY(st);
  }
  const sky_grid *base = &j->mesh.patch[0];
  bool covers;
  SKY_TRY(sky_grid_covers(ctx, &j->native.grid, base, &covers));
  if (!covers)
    return sky_fail(
        ctx, SKY_E_COVERAGE,
        "%s: the grid of the footprints (%.6g to %.6g, %.6g to %.6g; %s) does not cover "
        "the job's grid (%.6g to %.6g, %.6g to %.6g; %s)",
        sky_node_text(sky_node_item(sky_node_get(sky_node_item(items, 0), "files"), 0), ""),
        j->native.grid.x_edge[0], j->native.grid.x_edge[j->native.grid.nx],
        j->native.grid.y_edge[0], j->native.grid.y_edge[j->native.grid.ny], j->native.grid.crs,
        base->x_edge[0], base->x_edge[base->nx], base->y_edge[0], base->y_edge[base->ny],
        base->crs);
  return SKY_OK;
}

static sky_status read_layer(sky_context *ctx, const sky_job *job, const char *kind, const char *id,
                             sky_jacobian *j) {
  sky_layer *layer = &j->layer[j->n_layer];
  SKY_TRY(sky_layer_read(ctx, job, kind, id, layer));
  j->n_layer++;
  if (layer->n_cell != j->mesh.n_cell)
    return sky_fail(ctx, SKY_E_INTERNAL, "%s '%s': %zu cells, the mesh has %zu", kind, id,
                    layer->n_cell, j->mesh.n_cell);
  if (!j->own || layer->variance != NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_JOB,
                  "%s: inversions.sigma: missing, and %s '%s' states no covariance of its own",
                  sky_jobfile_path(job->file), kind, id);
}

static sky_status read_layers(sky_context *ctx, const sky_job *job, sky_jacobian *j) {
  const char *sink = sky_node_text(j->inversion, "sink");
  const char *prior = sky_node_text(j->inversion, "prior");
  const sky_node *sectors = sky_node_get(j->inversion, "sectors");
  j->own = sky_sectors_own(j->inversion);
  if (sectors == NULL) SKY_TRY(read_layer(ctx, job, "inventory", prior, j));
  for (size_t l = 0; l < sky_node_count(sectors); l++) {
    char *id = sky_sector_layer(ctx, prior, sky_node_text(sky_node_item(sectors, l), "name"));
    const sky_status st = id == NULL ? SKY_E_NOMEM : read_layer(ctx, job, "inventory", id, j);
    sky_free(id);
    SKY_TRY(st);
  }
  j->n_sector = j->n_layer;
  if (sink != NULL) SKY_TRY(read_layer(ctx, job, "sink", sink, j));
  j->n_cell = j->n_layer * j->mesh.n_cell;
  const bool levels = sky_node_get(j->inversion, "levels") != NULL;
  if (j->own || levels || j->n_cell <= SKY_DENSE_CELL_LIMIT) return SKY_OK;
  return sky_fail(ctx, SKY_E_SIZE,
                  "grid: %zu cells; the spatial prior covariance is limited to %d cells per time "
                  "step",
                  j->n_cell, SKY_DENSE_CELL_LIMIT);
}

/* Prior flux on the footprints' cells: as it is where grids agree, else by conservative sums of
 * mass. What exists on the mesh only is not asked for. */
static sky_status read_prior(sky_context *ctx, const sky_job *job, sky_jacobian *j) {
  const size_t n = sky_grid_cells(&j->native.grid);
  sky_flux f = {0};
  sky_audit audit;
  bool other_time; /* the inventory stage has said so */
  sky_status st = SKY_OK;
  if (j->layer[0].variance != NULL) return SKY_OK;
  SKY_GO_ALLOC(j->prior, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(j->prior_valid, SKY_NEW(ctx, double, n));
  SKY_GO(sky_job_flux(ctx, job, sky_node_text(j->inversion, "prior"), &f, &other_time));
  if (sky_grid_equal(&f.grid, &j->native.grid)) {
    memcpy(j->prior, f.flux, n * sizeof(double));
    for (size_t c = 0; c < n; c++)
      j->prior_valid[c] = isnan(f.flux[c]) ? 0.0 : 1.0;
    goto cleanup;
  }
  SKY_GO(sky_job_flux_to_grid(ctx, "prior on the footprints' cells", &f, &j->native.grid, j->prior,
                              j->prior_valid, &audit));
cleanup:
  sky_flux_free(&f);
  return st;
}

/* --- state --------------------------------------------------------------------------------------
 */

/* One step over everything, or steps of `time.step` over the period. */
static sky_status set_steps(sky_context *ctx, const sky_job *job, sky_jacobian *j) {
  const double step = sky_node_number(j->inversion, "time.step");
  const double start = sky_node_time(job->root, "period.start");
  const double end = sky_node_time(job->root, "period.end");
  j->n_time = 1;
  j->step = NAN;
  if (isnan(step)) return SKY_OK;
  if (isnan(start) || isnan(end))
    return sky_fail(ctx, SKY_E_JOB, "%s: inversions.time.step: needs period.start and period.end",
                    sky_jobfile_path(job->file));
  const double count = round((end - start) / step);
  if (!(count >= 1 && count <= MAX_STEPS && fabs(count * step - (end - start)) <= 1e-3))
    return sky_fail(
        ctx, SKY_E_SIZE,
        "%s: inversions.time.step: %g s in a period of %g s; expected 1 to %d whole steps",
        sky_jobfile_path(job->file), step, end - start, MAX_STEPS);
  for (size_t r = 0; r < j->native.n_rows; r++)
    if (isnan(j->native.flux_time[r]) && count > 1)
      return sky_fail(ctx, SKY_E_FORMAT,
                      "footprints: integrated over backward time, so they cannot resolve the %g "
                      "steps of inversions.time.step",
                      count);
  if (count > 1 && j->own)
    return sky_fail(ctx, SKY_E_JOB,
                    "%s: inversions.time.step: %g steps need sigma, as the prior's own covariance "
                    "says nothing about time",
                    sky_jobfile_path(job->file), count);
  j->n_time = (size_t)count;
  j->step = step;
  j->step_start = start;
  return SKY_OK;
}

/* Time step of a row; SIZE_MAX when its layer is outside the period. */
static size_t row_step(const sky_jacobian *j, size_t row) {
  if (j->n_time == 1 && isnan(j->step)) return 0;
  const double t = j->native.flux_time[row];
  if (isnan(t)) return 0;
  const double k = floor((t - j->step_start) / j->step);
  return k >= 0 && k < (double)j->n_time ? (size_t)k : SIZE_MAX;
}

/* Σ_k sign_k f_k f_kᵀ + diag(variance): the sectors are parts of each factor of one account; a sink
 * has its own, zero outside it. Cells without data have no flux and no error. */
static sky_status set_own_covariance(sky_context *ctx, sky_jacobian *j) {
  const size_t n = j->n_cell, cells = j->mesh.n_cell;
  j->q_rank = j->layer[0].rank;
  for (size_t l = j->n_sector; l < j->n_layer; l++)
    j->q_rank += j->layer[l].rank;
  j->q_factor = SKY_NEW0(ctx, double, j->q_rank *n);
  j->q_sign = SKY_NEW(ctx, double, j->q_rank);
  j->q_var = SKY_NEW0(ctx, double, n);
  if (j->q_factor == NULL || j->q_sign == NULL || j->q_var == NULL) return SKY_E_NOMEM;
  size_t rank = 0;
  for (size_t l = 0; l < j->n_layer; l++) {
    const sky_layer *layer = &j->layer[l];
    for (size_t c = 0; c < cells; c++)
      if (!isnan(layer->flux[c])) j->q_var[l * cells + c] = layer->variance[c];
    const size_t first = l < j->n_sector ? 0 : rank;
    for (size_t k = 0; k < layer->rank; k++) {
      j->q_sign[first + k] = layer->sign[k];
      for (size_t c = 0; c < cells; c++)
        if (!isnan(layer->flux[c]))
          j->q_factor[(first + k) * n + l * cells + c] = layer->factor[k * cells + c];
    }
    rank = first + layer->rank;
  }
  for (size_t c = 0; c < n; c++) {
    double var = j->q_var[c];
    for (size_t k = 0; k < j->q_rank; k++)
      var += j->q_sign[k] * j->q_factor[k * n + c] * j->q_factor[k * n + c];
    j->x_sd[c] = sqrt(fmax(var, 0.0));
  }
  return SKY_OK;
}

static sky_status set_state(sky_context *ctx, sky_jacobian *j) {
  const size_t cells = j->mesh.n_cell;
  j->x0 = SKY_NEW(ctx, double, j->n_cell * j->n_time);
  j->x_sd = SKY_NEW(ctx, double, j->n_cell * j->n_time);
  if (j->x0 == NULL || j->x_sd == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < j->n_cell * j->n_time; k++) {
    const size_t c = k % j->n_cell;
    const double sigma = sky_sector_number(j->inversion, c / cells, "sigma");
    const double least = sky_sector_number(j->inversion, c / cells, "floor");
    const double v = j->layer[c / cells].flux[c % cells], f = isnan(least) ? 0.0 : least;
    j->x0[k] = isnan(v) ? 0.0 : v;
    j->x_sd[k] = sqrt(sigma * j->x0[k] * sigma * j->x0[k] + f * f);
  }
  return j->own ? set_own_covariance(ctx, j) : SKY_OK;
}

/* --- the rows -----------------------------------------------------------------------------------
 */

/* Prior contribution on the footprint's own cells, and sensitivity where the prior has no data. */
static void prior_signal(const sky_jacobian *j, size_t row, sky_acc *signal, sky_acc *unseen) {
  for (size_t k = j->native.rowptr[row]; k < j->native.rowptr[row + 1]; k++) {
    const size_t c = (size_t)j->native.col[k];
    if (!isnan(j->prior[c])) sky_acc_add(signal, j->native.val[k] * j->prior[c]);
    if (j->prior_valid[c] < 1.0) sky_acc_add(unseen, j->native.val[k] * (1.0 - j->prior_valid[c]));
  }
}

/* The same where the prior exists on the mesh only: H x0 is all of its signal. */
static void mesh_unseen(const sky_jacobian *j, size_t row, sky_acc *unseen) {
  sky_acc_add(unseen, j->row_outside[row]);
  for (size_t k = j->rows.rowptr[row]; k < j->rows.rowptr[row + 1]; k++) {
    const double valid = j->layer[0].valid[j->rows.col[k]];
    if (valid < 1.0) sky_acc_add(unseen, j->rows.val[k] * (1.0 - valid));
  }
}

/* Observation i: dense accumulation over its layers in time, then the non-zeros in ascending state
 * order; every layer of the state is seen alike. */
static void build_row(sky_jacobian *j, size_t i, double *dense) {
  const size_t n_state = j->n_cell * j->n_time, r = j->receptor[i], cells = j->mesh.n_cell;
  sky_acc signal = {0}, unseen = {0}, mesh = {0};
  memset(dense, 0, n_state * sizeof(double));
  for (size_t row = j->first_row[r]; row < j->first_row[r + 1]; row++) {
    const size_t step = row_step(j, row);
    if (j->prior != NULL)
      prior_signal(j, row, &signal, &unseen);
    else
      mesh_unseen(j, row, &unseen);
    j->used_sum += j->native.sum[row];
    j->used_outside += j->row_outside[row];
    if (step == SIZE_MAX) {
      j->used_other_time += j->native.sum[row] - j->row_outside[row];
      continue;
    }
    for (size_t k = j->rows.rowptr[row]; k < j->rows.rowptr[row + 1]; k++)
      for (size_t l = 0; l < j->n_layer; l++)
        dense[step * j->n_cell + l * cells + (size_t)j->rows.col[k]] += j->rows.val[k];
  }
  for (size_t c = 0; c < n_state; c++) {
    if (dense[c] == 0.0) continue;
    j->col[j->nnz] = (int32_t)c;
    j->val[j->nnz++] = dense[c];
    sky_acc_add(&mesh, dense[c] * j->x0[c]);
  }
  if (j->prior == NULL) signal = mesh;
  j->rowptr[i + 1] = (int32_t)j->nnz;
  j->prior_part[i] = sky_acc_value(&signal);
  j->unseen[i] = sky_acc_value(&unseen);
  j->fixed[i] = sky_acc_value(&signal) - sky_acc_value(&mesh);
  j->y[i] = j->observed[i] - j->baseline[i] - j->fixed[i];
}

static sky_status index_rows(sky_context *ctx, sky_jacobian *j) {
  const size_t n = j->native.n_receptors;
  j->first_row = SKY_NEW0(ctx, size_t, n + 1);
  if (j->first_row == NULL) return SKY_E_NOMEM;
  for (size_t row = 0; row < j->native.n_rows; row++) {
    if (row > 0 && j->native.receptor[row] < j->native.receptor[row - 1])
      return sky_fail(ctx, SKY_E_INTERNAL, "footprints: rows of receptors are not in order");
    j->first_row[j->native.receptor[row] + 1]++;
  }
  for (size_t r = 0; r < n; r++)
    j->first_row[r + 1] += j->first_row[r];
  return SKY_OK;
}

static sky_status build_rows(sky_context *ctx, sky_jacobian *j) {
  double *dense = NULL;
  sky_status st = SKY_OK;
  SKY_GO(index_rows(ctx, j));
  SKY_GO_ALLOC(j->row_outside, SKY_NEW(ctx, double, j->native.n_rows));
  SKY_GO(sky_footprints_to_mesh(ctx, &j->native, &j->mesh, &j->rows, j->row_outside));
  size_t most = 0; /* several observations may share a receptor */
  for (size_t i = 0; i < j->n_obs; i++)
    most += j->n_layer * (j->rows.rowptr[j->first_row[j->receptor[i] + 1]] -
                          j->rows.rowptr[j->first_row[j->receptor[i]]]);
  if (most > INT32_MAX || j->n_cell * j->n_time > INT32_MAX) {
    st = sky_fail(ctx, SKY_E_SIZE, "footprints: %zu non-zeros; the problem file holds at most %d",
                  most, INT32_MAX);
    goto cleanup;
  }
  SKY_GO_ALLOC(j->rowptr, SKY_NEW0(ctx, int32_t, j->n_obs + 1));
  SKY_GO_ALLOC(j->col, SKY_NEW(ctx, int32_t, most));
  SKY_GO_ALLOC(j->val, SKY_NEW(ctx, double, most));
  SKY_GO_ALLOC(dense, SKY_NEW(ctx, double, j->n_cell * j->n_time));
  sky_progress_begin(ctx, "jacobian", j->n_obs);
  for (size_t i = 0; i < j->n_obs && st == SKY_OK; i++) {
    build_row(j, i, dense);
    st = sky_progress_step(ctx, 1);
  }
  sky_progress_end(ctx);
cleanup:
  sky_free(dense);
  return st;
}

sky_status sky_stage_footprint(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  sky_jacobian j = {.inversion = sky_job_inversion(job, stage->gas)};
  sky_soundings s = {0};
  sky_zone_weights zones = {0};
  sky_facts facts = {0};
  char name[64], *in = NULL, *out = NULL, **tags = NULL;
  sky_status st = SKY_OK;
  snprintf(name, sizeof name, "soundings-%s.nc", stage->gas);
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO_ALLOC(in, sky_job_stage_path(ctx, job, name));
  SKY_GO_ALLOC(out, sky_job_path(ctx, job, stage->outputs[1]));
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  SKY_GO(sky_job_mesh(ctx, job, &j.mesh));
  SKY_GO(read_layers(ctx, job, &j));
  SKY_GO(sky_soundings_read(ctx, in, &s));
  SKY_GO(read_footprints(ctx, job, &j));
  SKY_GO(read_prior(ctx, job, &j));
  SKY_GO(set_steps(ctx, job, &j));
  SKY_GO(set_state(ctx, &j));
  SKY_GO(sky_jacobian_observe(ctx, &s, &facts, &j));
  SKY_GO(sky_jacobian_background(ctx, stage->gas, &facts, &j));
  SKY_GO(build_rows(ctx, &j));
  SKY_GO(sky_zone_weights_make(ctx, job, stage->gas, &j, &zones));
  SKY_GO(sky_jacobian_write(ctx, out, &j, &zones, tags));
  sky_jacobian_record(&facts, stage->gas, &j);
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_tags_free(tags);
  sky_free(in);
  sky_free(out);
  sky_facts_free(&facts);
  sky_soundings_free(&s);
  sky_zone_weights_free(&zones);
  jacobian_free(&j);
  return st;
}
