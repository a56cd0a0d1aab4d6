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
#include <stdlib.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "algorithms/column/super.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/job/background_offsets.h"
#include "src/job/facts.h"
#include "src/job/job_flux.h"
#include "src/job/layer.h"
#include "src/job/stage.h"
#include "src/job/stage_file.h"
#include "src/read/footprint.h"
#include "src/read/granule.h"
#include "skyflux/problem.h"

#define MAX_STEPS 10000

typedef struct jacobian {
  const sky_node *inversion;
  sky_mesh mesh;
  sky_footprints native, rows; /* rows: on the mesh */
  double *max_distance;        /* [receptors] m, of the job entry that the receptor came with */
  double *max_time;            /* [receptors] s */
  double *row_outside;         /* [rows] sensitivity outside the mesh */
  double *prior;               /* [native cells] mol m-2 s-1, NaN no data; NULL: on the mesh only */
  double *prior_valid;         /* [native cells] share of the cell with prior data */
  sky_layer layer[2];          /* prior, sink */
  size_t n_layer;
  bool own;                /* the layers' own covariance in place of sigma */
  size_t *first_row;       /* [receptors+1] rows of a receptor stand together */
  double *x0, *x_sd;       /* [n_state] */
  size_t n_cell, n_time;   /* n_cell: mesh cells of all layers */
  double step_start, step; /* s */
  size_t q_rank;           /* own covariance, on the state */
  double *q_factor, *q_sign, *q_var;
  /* observations, one per receptor that soundings matched */
  size_t n_obs, n_groups;
  size_t *receptor;
  double *observed, *r_sd, *baseline, *fixed, *y, *time, *count, *prior_part, *unseen;
  int32_t *group;
  double *own_sd; /* of the soundings' background; NULL without */
  double *b0, *b_sd;
  /* CSR */
  int32_t *rowptr, *col;
  double *val;
  size_t nnz;
  /* audit over the rows of observations: all, outside the grid, inside it at other times */
  double used_sum, used_outside, used_other_time;
} jacobian;

static void jacobian_free(jacobian *j) {
  double *const arrays[] = {j->max_distance, j->max_time, j->row_outside, j->prior, j->prior_valid,
                            j->x0,           j->x_sd,     j->observed,    j->r_sd,  j->baseline,
                            j->fixed,        j->y,        j->time,        j->count, j->prior_part,
                            j->unseen,       j->b0,       j->b_sd,        j->val,   j->own_sd,
                            j->q_factor,     j->q_sign,   j->q_var};
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    sky_free(arrays[k]);
  sky_free(j->receptor);
  sky_free(j->first_row);
  sky_free(j->group);
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
static sky_status read_file(sky_context *ctx, const sky_node *item, const char *path, jacobian *j) {
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

static sky_status read_footprints(sky_context *ctx, const sky_job *job, jacobian *j) {
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
                             jacobian *j) {
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

static sky_status read_layers(sky_context *ctx, const sky_job *job, jacobian *j) {
  const char *sink = sky_node_text(j->inversion, "sink");
  j->own = isnan(sky_node_number(j->inversion, "sigma"));
  SKY_TRY(read_layer(ctx, job, "inventory", sky_node_text(j->inversion, "prior"), j));
  if (sink != NULL) SKY_TRY(read_layer(ctx, job, "sink", sink, j));
  j->n_cell = j->n_layer * j->mesh.n_cell;
  if (j->own || j->n_cell <= SKY_DENSE_CELL_LIMIT) return SKY_OK;
  return sky_fail(ctx, SKY_E_SIZE,
                  "grid: %zu cells; the spatial prior covariance is limited to %d cells per time "
                  "step",
                  j->n_cell, SKY_DENSE_CELL_LIMIT);
}

/* Prior flux on the footprints' cells: as it is where grids agree, else by conservative sums of
 * mass. What exists on the mesh only is not asked for. */
static sky_status read_prior(sky_context *ctx, const sky_job *job, jacobian *j) {
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
static sky_status set_steps(sky_context *ctx, const sky_job *job, jacobian *j) {
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
static size_t row_step(const jacobian *j, size_t row) {
  if (j->n_time == 1 && isnan(j->step)) return 0;
  const double t = j->native.flux_time[row];
  if (isnan(t)) return 0;
  const double k = floor((t - j->step_start) / j->step);
  return k >= 0 && k < (double)j->n_time ? (size_t)k : SIZE_MAX;
}

/* Σ_k sign_k f_k f_kᵀ + diag(variance) of every layer, zero outside it: no covariance between
 * layers. Cells without data have no flux and no error. */
static sky_status set_own_covariance(sky_context *ctx, jacobian *j) {
  const size_t n = j->n_cell, cells = j->mesh.n_cell;
  for (size_t l = 0; l < j->n_layer; l++)
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
    for (size_t k = 0; k < layer->rank; k++, rank++) {
      j->q_sign[rank] = layer->sign[k];
      for (size_t c = 0; c < cells; c++)
        if (!isnan(layer->flux[c]))
          j->q_factor[rank * n + l * cells + c] = layer->factor[k * cells + c];
    }
  }
  for (size_t c = 0; c < n; c++) {
    double var = j->q_var[c];
    for (size_t k = 0; k < j->q_rank; k++)
      var += j->q_sign[k] * j->q_factor[k * n + c] * j->q_factor[k * n + c];
    j->x_sd[c] = sqrt(fmax(var, 0.0));
  }
  return SKY_OK;
}

static sky_status set_state(sky_context *ctx, jacobian *j) {
  const double sigma = sky_node_number(j->inversion, "sigma");
  const double least = sky_node_number(j->inversion, "floor");
  const size_t cells = j->mesh.n_cell;
  j->x0 = SKY_NEW(ctx, double, j->n_cell * j->n_time);
  j->x_sd = SKY_NEW(ctx, double, j->n_cell * j->n_time);
  if (j->x0 == NULL || j->x_sd == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < j->n_cell * j->n_time; k++) {
    const size_t c = k % j->n_cell;
    const double v = j->layer[c / cells].flux[c % cells], f = isnan(least) ? 0.0 : least;
    j->x0[k] = isnan(v) ? 0.0 : v;
    j->x_sd[k] = sqrt(sigma * j->x0[k] * sigma * j->x0[k] + f * f);
  }
  return j->own ? set_own_covariance(ctx, j) : SKY_OK;
}

/* --- observations -------------------------------------------------------------------------------
 */

/* How far a time lies outside the period of receptor r: -1 inside [start, end), else s >= 0. */
static double outside_period(const sky_footprints *f, size_t r, double time) {
  const double early = f->time[r] - time, late = time - (f->time[r] + f->period[r]);
  if (early > 0.0) return early;
  return late < 0.0 || (late == 0.0 && f->period[r] == 0.0) ? -1.0 : late;
}

/* Receptor of one sounding: one whose period holds the time before one that only comes near it,
 * then the nearest in space, then the first. */
static size_t match(const jacobian *j, double time, double lon, double lat) {
  const sky_footprints *f = &j->native;
  size_t best = SIZE_MAX;
  double best_outside = INFINITY, best_distance = INFINITY;
  for (size_t r = 0; r < f->n_receptors; r++) {
    const double outside = outside_period(f, r, time);
    if (outside > best_outside || (outside >= 0.0 && !(j->max_time[r] > 0.0)) ||
        outside > j->max_time[r])
      continue;
    const double d = sky_distance(lon, lat, f->lon[r], f->lat[r]);
    if (!(d <= j->max_distance[r])) continue; /* also a receptor without position */
    if (outside == best_outside && d >= best_distance) continue;
    best = r;
    best_outside = outside;
    best_distance = d;
  }
  return best;
}

static sky_status alloc_observations(sky_context *ctx, jacobian *j, size_t n) {
  double **arrays[] = {&j->observed, &j->r_sd,  &j->baseline,   &j->fixed, &j->y,
                       &j->time,     &j->count, &j->prior_part, &j->unseen};
  j->receptor = SKY_NEW(ctx, size_t, n);
  j->group = SKY_NEW0(ctx, int32_t, n);
  if (j->receptor == NULL || j->group == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    if ((*arrays[k] = SKY_NEW0(ctx, double, n)) == NULL) return SKY_E_NOMEM;
  return SKY_OK;
}

/* Soundings of one receptor -> observation i. */
static void superobserve(jacobian *j, size_t i, const sky_soundings *s, const size_t *member,
                         size_t n, double *sigma) {
  const double correlation = sky_node_number(j->inversion, "error.correlation");
  const double representation = sky_node_number(j->inversion, "error.representation");
  const double mean = sky_node_number(j->inversion, "background.mean");
  const double scale = sky_node_number(j->inversion, "error.scale");
  double x = 0.0, prior = 0.0, t = 0.0;
  for (size_t k = 0; k < n; k++) {
    x += s->x[member[k]];
    prior += s->prior[member[k]];
    t += s->time[member[k]] - s->time[member[0]];
    sigma[k] = scale * s->sigma[member[k]];
  }
  j->observed[i] = x / (double)n;
  j->baseline[i] = isnan(mean) ? prior / (double)n : mean;
  if (j->own_sd != NULL) j->baseline[i] = sky_background_mean(s, member, n, &j->own_sd[i]);
  j->time[i] = s->time[member[0]] + t / (double)n;
  j->count[i] = (double)n;
  j->r_sd[i] = sky_superobs_sigma(n, sigma, correlation, representation);
}

static size_t without_position(const sky_footprints *f) {
  size_t n = 0;
  for (size_t r = 0; r < f->n_receptors; r++)
    n += isnan(f->lon[r]) || isnan(f->lat[r]);
  return n;
}

static sky_status set_observations(sky_context *ctx, const sky_soundings *s, sky_facts *facts,
                                   jacobian *j) {
  size_t *of = NULL, *member = NULL, matched = 0, without = 0;
  double *sigma = NULL;
  sky_status st = SKY_OK;
  SKY_GO(alloc_observations(ctx, j, j->native.n_receptors));
  if (sky_background_of_soundings(j->inversion)) {
    if (s->background == NULL)
      SKY_GO(sky_fail(ctx, SKY_E_FORMAT,
                      "%s: soundings have no background, which "
                      "background.mean: soundings takes",
                      s->gas));
    SKY_GO_ALLOC(j->own_sd, SKY_NEW0(ctx, double, j->native.n_receptors));
  }
  SKY_GO_ALLOC(of, SKY_NEW(ctx, size_t, s->n));
  SKY_GO_ALLOC(member, SKY_NEW(ctx, size_t, s->n));
  SKY_GO_ALLOC(sigma, SKY_NEW(ctx, double, s->n));
  for (size_t i = 0; i < s->n; i++) {
    of[i] = s->drop[i] != SKY_DROP_NONE ? SIZE_MAX : match(j, s->time[i], s->lon[i], s->lat[i]);
    if (j->own_sd != NULL && of[i] != SIZE_MAX && !(s->background_sigma[i] >= 0)) {
      of[i] = SIZE_MAX;
      without++;
    }
    matched += of[i] != SIZE_MAX;
  }
  for (size_t r = 0; r < j->native.n_receptors; r++) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
      if (of[i] == r) member[n++] = i;
    if (n == 0) continue;
    j->receptor[j->n_obs] = r;
    superobserve(j, j->n_obs++, s, member, n, sigma);
    if (!(j->r_sd[j->n_obs - 1] >= 0)) {
      SKY_GO(sky_fail(ctx, SKY_E_RANGE,
                      "%s: soundings of product %s state no uncertainty, which an inversion needs",
                      s->gas, s->product));
    }
  }
  const size_t good = sky_soundings_good(s);
  if (without > 0)
    sky_fact(facts, "inputs", sky_species_find(s->gas)->formula,
             "%zu soundings that match a footprint have no background and are left out", without);
  if (j->n_obs == 0 && without > 0)
    SKY_GO(sky_fail(ctx, SKY_E_NODATA,
                    "%s: none of %zu soundings that match a footprint has a "
                    "background, which background.mean: soundings takes",
                    s->gas, without));
  if (j->n_obs == 0) {
    st = sky_fail(ctx, SKY_E_NODATA,
                  "%s: none of %zu good soundings lies within max_distance of one of %zu footprint "
                  "receptors (%zu of them without a position) and in its period",
                  s->gas, good, j->native.n_receptors, without_position(&j->native));
    goto cleanup;
  }
  sky_fact(facts, "inputs", sky_species_find(s->gas)->formula,
           "%zu of %zu soundings match a footprint and form %zu super-observations (%zu of %zu "
           "footprints unused); %zu soundings dropped: %s",
           matched, good, j->n_obs, j->native.n_receptors - j->n_obs, j->native.n_receptors,
           good - matched, sky_drop_name(SKY_DROP_FOOTPRINT));
  sky_fact_number(facts, "soundings_matched", (double)matched);
  sky_fact_number(facts, "observations", (double)j->n_obs);
cleanup:
  sky_free(of);
  sky_free(member);
  sky_free(sigma);
  return st;
}

static sky_status set_background(sky_context *ctx, const sky_species *gas, sky_facts *facts,
                                 jacobian *j) {
  double least = INFINITY, most = 0.0;
  SKY_TRY(sky_background_offsets(ctx, j->inversion, j->n_obs, j->time, j->own_sd, j->group,
                                 &j->n_groups, &j->b_sd));
  j->b0 = SKY_NEW0(ctx, double, j->n_groups);
  if (j->b0 == NULL) return SKY_E_NOMEM;
  for (size_t g = 0; g < j->n_groups; g++) {
    least = fmin(least, j->b_sd[g]);
    most = fmax(most, j->b_sd[g]);
  }
  if (j->own_sd == NULL) return SKY_OK;
  sky_fact(facts, "inputs", gas->formula,
           "background of the soundings; its own uncertainty and background.sd make offsets of "
           "%.3g to %.3g %s (1-sigma) for %zu overpasses",
           least * gas->column_scale, most * gas->column_scale, gas->column_unit, j->n_groups);
  return SKY_OK;
}

/* --- the rows -----------------------------------------------------------------------------------
 */

/* Prior contribution on the footprint's own cells, and sensitivity where the prior has no data. */
static void prior_signal(const jacobian *j, size_t row, sky_acc *signal, sky_acc *unseen) {
  for (size_t k = j->native.rowptr[row]; k < j->native.rowptr[row + 1]; k++) {
    const size_t c = (size_t)j->native.col[k];
    if (!isnan(j->prior[c])) sky_acc_add(signal, j->native.val[k] * j->prior[c]);
    if (j->prior_valid[c] < 1.0) sky_acc_add(unseen, j->native.val[k] * (1.0 - j->prior_valid[c]));
  }
}

/* The same where the prior exists on the mesh only: H x0 is all of its signal. */
static void mesh_unseen(const jacobian *j, size_t row, sky_acc *unseen) {
  sky_acc_add(unseen, j->row_outside[row]);
  for (size_t k = j->rows.rowptr[row]; k < j->rows.rowptr[row + 1]; k++) {
    const double valid = j->layer[0].valid[j->rows.col[k]];
    if (valid < 1.0) sky_acc_add(unseen, j->rows.val[k] * (1.0 - valid));
  }
}

/* Observation i: dense accumulation over its layers in time, then the non-zeros in ascending state
 * order; every layer of the state is seen alike. */
static void build_row(jacobian *j, size_t i, double *dense) {
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

static sky_status index_rows(sky_context *ctx, jacobian *j) {
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

static sky_status build_rows(sky_context *ctx, jacobian *j) {
  double *dense = NULL;
  sky_status st = SKY_OK;
  SKY_GO(index_rows(ctx, j));
  SKY_GO_ALLOC(j->row_outside, SKY_NEW(ctx, double, j->native.n_rows));
  SKY_GO(sky_footprints_to_mesh(ctx, &j->native, &j->mesh, &j->rows, j->row_outside));
  const size_t most = j->n_layer * j->rows.rowptr[j->rows.n_rows];
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

/* --- writing ------------------------------------------------------------------------------------
 */

static sky_status write_problem(sky_context *ctx, const char *path, const jacobian *j,
                                char *const *tags) {
  const char *model = sky_node_text(j->inversion, "correlation");
  const double length = sky_node_number(j->inversion, "length");
  const double t_length = sky_node_number(j->inversion, "time.length");
  const char *t_model = sky_node_text(j->inversion, "time.correlation");
  double *x = NULL, *y = NULL;
  char cov[160];
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, j->n_cell));
  SKY_GO_ALLOC(y, SKY_NEW(ctx, double, j->n_cell));
  const bool regular = j->mesh.n_patch == 1;
  const double axis_scale = j->mesh.patch[0].geographic ? 1.0 : 1e-3; /* degree, or m -> km */
  for (size_t c = 0; c < j->n_cell; c++) {
    sky_mesh_centre(&j->mesh, c % j->mesh.n_cell, &x[c], &y[c]);
    x[c] *= axis_scale;
    y[c] *= axis_scale;
  }
  snprintf(cov, sizeof cov,
           "%s in space and %s in time, Q=S kron(D,E) S, state index = t*ncell + cell",
           model == NULL ? "none" : model, j->n_time > 1 ? t_model : "none");
  const sky_stage_dim dims[] = {{"obs", j->n_obs},
                                {"rowp", j->n_obs + 1},
                                {"nnz", j->nnz},
                                {"state", j->n_cell * j->n_time},
                                {"cell", j->n_cell},
                                {"time", j->n_time},
                                {"background", j->n_groups},
                                {"rank", j->q_rank}};
  const char *const axis = j->mesh.patch[0].geographic ? "degree" : "km";
  const sky_stage_var vars[] = {
      {"y", "obs", "mol mol-1", j->y, NULL},
      {"r_sd", "obs", "mol mol-1", j->r_sd, NULL},
      {"x0", "state", "mol m-2 s-1", j->x0, NULL},
      {"x_sd", "state", "mol m-2 s-1", j->x_sd, NULL},
      {"H_data", "nnz", "m2 s mol-1", j->val, NULL},
      {"H_col", "nnz", "1", NULL, j->col},
      {"H_rowptr", "rowp", "1", NULL, j->rowptr},
      {"xc", "cell", axis, x, NULL},
      {"yc", "cell", axis, y, NULL},
      {"group", "obs", "1", NULL, j->group},
      {"b0", "background", "mol mol-1", j->b0, NULL},
      {"b_sd", "background", "mol mol-1", j->b_sd, NULL},
      {"observed", "obs", "mol mol-1", j->observed, NULL},
      {"baseline", "obs", "mol mol-1", j->baseline, NULL},
      {"fixed", "obs", "mol mol-1", j->fixed, NULL},
      {"prior_signal", "obs", "mol mol-1", j->prior_part, NULL},
      {"sensitivity_without_prior", "obs", "m2 s mol-1", j->unseen, NULL},
      {"n_soundings", "obs", "1", j->count, NULL},
      {"obs_time", "obs", "seconds since 1970-01-01 00:00:00", j->time, NULL},
      {"q_variance", "state", "mol2 m-4 s-2", j->q_var, NULL},
      {"q_factor", "rank,state", "mol m-2 s-1", j->q_factor, NULL},
      {"q_sign", "rank", "1", j->q_sign, NULL},
  };
  const sky_stage_att atts[] = {
      {"cov", cov, 0}, /* these three say nothing of an own covariance */
      {"Lx_km", NULL, isnan(length) ? 1.0 : length / 1e3}, /* absent only with the model "none" */
      {"Lt_steps", NULL, isnan(t_length) ? 1.0 : t_length / j->step},
      {"nx", NULL, (double)(regular ? j->mesh.patch[0].nx : j->n_cell)},
      {"ny", NULL, (double)(regular ? j->mesh.patch[0].ny : 1)},
      {"nt", NULL, (double)j->n_time},
  };
  const size_t more = !j->own ? 0 : j->q_rank == 0 ? 1 : 3, skip = j->own ? 3 : 0;
  st = sky_stage_file_write(ctx, path, dims, sizeof dims / sizeof *dims - (more < 3), vars,
                            sizeof vars / sizeof *vars - 3 + more, atts + skip,
                            sizeof atts / sizeof *atts - skip, tags);
cleanup:
  sky_free(x);
  sky_free(y);
  return st;
}

static void record(sky_facts *facts, const char *gas, const jacobian *j) {
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

sky_status sky_stage_footprint(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  jacobian j = {.inversion = sky_job_inversion(job, stage->gas)};
  sky_soundings s = {0};
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
  SKY_GO(set_observations(ctx, &s, &facts, &j));
  SKY_GO(set_background(ctx, sky_species_find(stage->gas), &facts, &j));
  SKY_GO(build_rows(ctx, &j));
  SKY_GO(write_problem(ctx, out, &j, tags));
  record(&facts, stage->gas, &j);
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_tags_free(tags);
  sky_free(in);
  sky_free(out);
  sky_facts_free(&facts);
  sky_soundings_free(&s);
  jacobian_free(&j);
  return st;
}
