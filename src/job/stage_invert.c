/* stage_invert.c: the posterior of one gas and of every zone total.
 *
 * Observation space: the problem of stage_footprint. Information form: state elements are the
 * labels of an IMI state vector, scale factors of the prior emission. Both end in one file: fields
 * on the mesh and, per zone, what the comparison needs (with the compared inventory seen through
 * the kernel).
 *
 * One solve gives every linear functional of the state exactly: the zones of the prior layer and,
 * with a sink, those of the sink layer and of both (net), then the base cells that a patch replaces
 * (area means of the patch's cells, for the fields on the base grid). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/covariance.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/job/facts.h"
#include "src/job/layer.h"
#include "src/job/stage.h"
#include "src/job/stage_file.h"
#include "src/read/flux.h"
#include "skyflux/problem.h"

typedef struct inversion {
  const sky_node *node, *compared; /* compared: the inventory to be tested, or NULL */
  char gas[8];
  double kg; /* mol m-2 s-1 × m2 -> kg yr-1 */
  sky_mesh mesh;
  sky_zones zones;
  sky_coverage *cover;
  double *area;
  size_t n_cell, n_time, n_state; /* n_cell: of the mesh, that is of one layer */
  size_t n_layer;                 /* 2 with a sink */
  size_t n_row;                   /* functionals: zones of a layer or of both, then base cells */
  double bytes;                   /* held by the solve at its peak */
  size_t n_replaced;              /* base cells that patches replace */
  size_t n_emission;              /* information form: the state elements before the boundary */
  double *prior_flux;             /* [cells] scaled by the state */
  double *unscaled_flux;          /* [cells] or NULL */
  sky_layer bottom_up;            /* the compared inventory */
  double *compared_flux;          /* [cells] of it, not owned; NULL without one */
  double *whole;                  /* [state] kg yr-1 per unit of state that a whole element is */
  double *W;          /* [rows*state] kg yr-1 (base cells: mol m-2 s-1) per unit of state */
  double *constant;   /* [rows] kg yr-1 */
  double *x_compared; /* the compared inventory as a state (one layer), or NULL */
  double *compared_sd, *compared_E, *compared_D; /* its own covariance, or NULL: Kronecker, */
  double *compared_factor, *compared_var;        /* or low rank + diagonal */
  double *seen;                                  /* [zones] kg yr-1, NaN without inventory */
  double *cell[2][4];        /* per layer: prior, posterior, sd (mol m-2 s-1), ak */
  size_t *replaced;          /* [n_replaced] base cells, ascending */
  double *base_sd, *base_ak; /* [base cells], with patches */
  sky_posterior post;
} inversion;

static void inversion_free(inversion *v) {
  double *const arrays[] = {v->area,       v->prior_flux,      v->unscaled_flux, v->W,
                            v->whole,      v->constant,        v->x_compared,    v->compared_sd,
                            v->compared_E, v->compared_D,      v->seen,          v->base_sd,
                            v->base_ak,    v->compared_factor, v->compared_var};
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    sky_free(arrays[k]);
  for (size_t k = 0; k < 8; k++)
    sky_free(v->cell[k / 4][k % 4]);
  sky_free(v->replaced);
  sky_layer_free(&v->bottom_up);
  sky_job_coverage_free(v->cover, v->zones.n);
  sky_zones_free(&v->zones);
  sky_mesh_free(&v->mesh);
  sky_posterior_free(&v->post);
}

/* One variable of stages/inventory-ID.nc; NULL id gives NULL. */
static sky_status inventory_variable(sky_context *ctx, const sky_job *job, const char *id,
                                     const char *var, size_t n, double **out) {
  *out = NULL;
  if (id == NULL) return SKY_OK;
  char *path = sky_sprintf(ctx, "%s/inventory-%s.nc", job->stage_dir, id);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_stage_file_read(ctx, path, var, n, out);
  sky_free(path);
  return st;
}

static sky_status prepare(sky_context *ctx, const sky_job *job, inversion *v) {
  const sky_node *compare = sky_job_find(job, "compare", "gas", v->gas);
  const char *compared = compare != NULL ? sky_node_text(compare, "inventory") : NULL;
  sky_status st = SKY_OK;
  v->kg = sky_species_find(v->gas)->molar_mass * SKY_SECONDS_PER_YEAR;
  v->compared = compared != NULL ? sky_job_find(job, "inventories", "id", compared) : NULL;
  SKY_GO(sky_job_mesh(ctx, job, &v->mesh));
  SKY_GO(sky_job_zones(ctx, job, &v->mesh, &v->zones, &v->cover));
  v->n_cell = v->mesh.n_cell;
  SKY_GO_ALLOC(v->area, SKY_NEW(ctx, double, v->n_cell));
  SKY_GO(sky_mesh_areas(ctx, &v->mesh, v->area));
  SKY_GO(inventory_variable(ctx, job, sky_node_text(v->node, "prior"), "cell_flux", v->n_cell,
                            &v->prior_flux));
  SKY_GO(inventory_variable(ctx, job, sky_node_text(v->node, "unscaled"), "cell_flux", v->n_cell,
                            &v->unscaled_flux));
  if (compared != NULL) {
    SKY_GO(sky_layer_read(ctx, job, "inventory", compared, &v->bottom_up));
    v->compared_flux = v->bottom_up.flux;
  }
  v->n_layer = sky_node_text(v->node, "sink") != NULL ? 2 : 1;
  v->n_row = v->zones.n;
  SKY_GO_ALLOC(v->seen, SKY_NEW(ctx, double, v->zones.n));
  for (size_t k = 0; k < 4 * v->n_layer; k++)
    SKY_GO_ALLOC(v->cell[k / 4][k % 4], SKY_NEW(ctx, double, v->n_cell));
cleanup:
  return st;
}

static double or_zero(double x) {
  return isnan(x) ? 0.0 : x;
}

/* kg yr-1 of a flux field in one zone. */
static double zone_mass(const inversion *v, size_t z, const double *flux) {
  sky_acc sum = {0};
  for (size_t k = 0; k < v->cover[z].n; k++) {
    const size_t c = v->cover[z].cell[k];
    sky_acc_add(&sum, or_zero(flux[c]) * v->area[c] * v->cover[z].fraction[k] * v->kg);
  }
  return sky_acc_value(&sum);
}

/* --- observation space ---------------------------------------------------------------------------
 */

typedef struct cell_distance {
  const sky_mesh *mesh;
} cell_distance;

static double distance_of(const void *user, size_t i, size_t k) {
  return sky_mesh_distance(((const cell_distance *)user)->mesh, i, k);
}

/* 1-sigma of one cell of the compared inventory, in the unit of its flux. */
static double compared_cell_sd(const inversion *v, double flux) {
  return hypot(sky_node_number(v->compared, "uncertainty.sigma") * or_zero(flux),
               or_zero(sky_node_number(v->compared, "uncertainty.floor")));
}

/* Element of the covariance that a layer states. */
static double layer_covariance(const sky_layer *layer, size_t i, size_t k) {
  double sum = i == k ? layer->variance[i] : 0.0;
  for (size_t r = 0; r < layer->rank; r++)
    sum += layer->sign[r] * layer->factor[r * layer->n_cell + i] *
           layer->factor[r * layer->n_cell + k];
  return sum;
}

/* The compared inventory's own covariance on the mesh cells, of the first layer. It is one number a
 * cell for all time steps, so its error is the same in all of them: D is 1, and what it states as
 * low rank + diagonal is a diagonal in one step only, else a dense correlation of the cells. */
static sky_status compared_covariance(sky_context *ctx, inversion *v) {
  const double sigma = sky_node_number(v->compared, "uncertainty.sigma");
  const double length = sky_node_number(v->compared, "uncertainty.length");
  const sky_layer *own = &v->bottom_up;
  const size_t n = v->n_cell;
  const cell_distance user = {&v->mesh};
  sky_correlation model = SKY_CORR_NONE;
  if ((own->variance == NULL && isnan(sigma)) || (own->variance != NULL && v->n_time == 1))
    return SKY_OK; /* unknown, or taken as it is */
  if (own->variance == NULL)
    SKY_TRY(
        sky_correlation_parse(ctx, sky_node_text(v->compared, "uncertainty.correlation"), &model));
  if (n > SKY_DENSE_CELL_LIMIT)
    return sky_fail(ctx, SKY_E_SIZE,
                    "grid: %zu cells; the covariance of inventory '%s' is limited to %d cells", n,
                    sky_node_text(v->compared, "id"), SKY_DENSE_CELL_LIMIT);
  v->compared_sd = SKY_NEW(ctx, double, v->n_time *n);
  v->compared_E = SKY_NEW(ctx, double, n *n);
  v->compared_D = SKY_NEW(ctx, double, v->n_time * v->n_time);
  if (v->compared_sd == NULL || v->compared_E == NULL || v->compared_D == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < v->n_time * v->n_time; k++)
    v->compared_D[k] = 1.0;
  for (size_t k = 0; k < v->n_time * n; k++)
    v->compared_sd[k] = own->variance != NULL ? sqrt(fmax(layer_covariance(own, k % n, k % n), 0.0))
                                              : compared_cell_sd(v, v->x_compared[k]);
  if (own->variance == NULL) {
    sky_correlation_matrix(ctx, model, length, distance_of, &user, n, v->compared_E);
    return SKY_OK;
  }
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      const double s = v->compared_sd[i] * v->compared_sd[k];
      v->compared_E[i * n + k] = s > 0.0 ? layer_covariance(own, i, k) / s : i == k;
    }
  return SKY_OK;
}

/* --- functionals of the state ---------------------------------------------------------------- */

/* Puts the zone's mass in layer l into the row w, by its share of the mass of each cell where the
 * layer knows it, else of the area. The answer is what of the layer's own zone total the state
 * cannot move (structure below a cell); NaN: the layer has no total here. */
static double add_zone(const inversion *v, size_t z, size_t l, const double *x0,
                       const sky_layer *layer, double *w) {
  const double *by_mass = layer->zone_share != NULL ? layer->zone_share + z * v->n_cell : NULL;
  const sky_coverage *cover = &v->cover[z];
  sky_acc mesh = {0};
  for (size_t t = 0; t < v->n_time; t++) {
    for (size_t k = 0; k < (by_mass != NULL ? v->n_cell : cover->n); k++) {
      const size_t c = by_mass != NULL ? k : cover->cell[k];
      const size_t s = (t * v->n_layer + l) * v->n_cell + c;
      w[s] = v->whole[s] * (by_mass != NULL ? by_mass[c] : cover->fraction[k]);
      sky_acc_add(&mesh, w[s] * x0[s]);
    }
  }
  return layer->zone_total[z] - sky_acc_value(&mesh);
}

/* Base cells that a patch replaces, ascending. */
static sky_status find_replaced(sky_context *ctx, inversion *v) {
  const size_t n = sky_grid_cells(&v->mesh.patch[0]);
  if (v->mesh.n_patch == 1) return SKY_OK;
  v->replaced = SKY_NEW(ctx, size_t, n);
  if (v->replaced == NULL) return SKY_E_NOMEM;
  for (size_t b = 0; b < n; b++)
    if (v->mesh.of[0][b] == SIZE_MAX) v->replaced[v->n_replaced++] = b;
  return SKY_OK;
}

/* Rows of the base cells, one for each time step: area means over the patch's cells below. */
static sky_status add_base_rows(sky_context *ctx, inversion *v, double *w) {
  const size_t n_base = sky_grid_cells(&v->mesh.patch[0]), step = v->n_layer * v->n_cell;
  double *area = SKY_NEW0(ctx, double, n_base);
  size_t *row = SKY_NEW(ctx, size_t, n_base);
  sky_status st = SKY_OK;
  if (area == NULL || row == NULL) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  for (size_t k = 0; k < v->n_replaced; k++)
    row[v->replaced[k]] = k;
  for (size_t c = v->mesh.first[1]; c < v->n_cell; c++)
    area[v->mesh.below[c]] += v->area[c];
  for (size_t c = v->mesh.first[1]; c < v->n_cell; c++) {
    const size_t b = v->mesh.below[c];
    for (size_t t = 0; t < v->n_time; t++)
      w[(row[b] * v->n_time + t) * v->n_state + t * step + c] = v->area[c] / area[b];
  }
cleanup:
  sky_free(area);
  sky_free(row);
  return st;
}

/* W and constants: totals are those of the layers' own zones plus what the state moves. */
static sky_status grid_functionals(sky_context *ctx, const sky_job *job, const double *x0,
                                   inversion *v) {
  const size_t nz = v->zones.n, m = v->n_state;
  double *unscaled = NULL;
  sky_layer prior = {0}, sink = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_layer_read(ctx, job, "inventory", sky_node_text(v->node, "prior"), &prior));
  SKY_GO(inventory_variable(ctx, job, sky_node_text(v->node, "unscaled"), "zone_total", nz,
                            &unscaled));
  if (v->n_layer > 1)
    SKY_GO(sky_layer_read(ctx, job, "sink", sky_node_text(v->node, "sink"), &sink));
  SKY_GO(find_replaced(ctx, v));
  const size_t n_sets = v->n_layer > 1 ? 3 : 1; /* prior; sink; net */
  v->n_row = n_sets * nz + v->n_replaced * v->n_time;
  SKY_GO_ALLOC(v->W, SKY_NEW0(ctx, double, v->n_row *m));
  SKY_GO_ALLOC(v->constant, SKY_NEW0(ctx, double, v->n_row));
  SKY_GO_ALLOC(v->whole, SKY_NEW(ctx, double, m));
  for (size_t s = 0; s < m; s++)
    v->whole[s] = v->area[s % v->n_cell] * v->kg / (double)v->n_time;
  for (size_t z = 0; z < nz; z++) {
    v->constant[z] = or_zero(add_zone(v, z, 0, x0, &prior, v->W + z * m));
    if (unscaled != NULL) v->constant[z] += or_zero(unscaled[z]);
    if (n_sets == 1) continue;
    v->constant[nz + z] = add_zone(v, z, 1, x0, &sink, v->W + (nz + z) * m);
    v->constant[2 * nz + z] = v->constant[z] + v->constant[nz + z];
    for (size_t s = 0; s < m; s++)
      v->W[(2 * nz + z) * m + s] = v->W[z * m + s] + v->W[(nz + z) * m + s];
  }
  if (v->n_replaced > 0) SKY_GO(add_base_rows(ctx, v, v->W + n_sets * nz * m));
cleanup:
  sky_free(unscaled);
  sky_layer_free(&prior);
  sky_layer_free(&sink);
  return st;
}

/* --- fields of the state --------------------------------------------------------------------- */

/* Time means of a layer as fields; the sd of one step as root mean square over the steps. */
static void grid_fields(inversion *v, const double *x0, size_t l) {
  const double n = (double)v->n_time;
  for (size_t c = 0; c < v->n_cell; c++) {
    double prior = 0, post = 0, var = 0, ak = 0;
    for (size_t t = 0; t < v->n_time; t++) {
      const size_t s = (t * v->n_layer + l) * v->n_cell + c;
      prior += x0[s] / n;
      post += v->post.x[s] / n;
      var += v->post.sd[s] * v->post.sd[s] / n;
      ak += v->post.ak[s] / n;
    }
    const double fixed = l == 0 && v->unscaled_flux != NULL ? or_zero(v->unscaled_flux[c]) : 0.0;
    v->cell[l][0][c] = prior + fixed;
    v->cell[l][1][c] = post + fixed;
    v->cell[l][2][c] = sqrt(var);
    v->cell[l][3][c] = ak;
  }
}

/* sd and kernel of the prior layer on the base grid: the cell's own, and for a replaced cell those
 * of its functional; its kernel is the response of the mean to a uniform change below it. */
static sky_status base_fields(sky_context *ctx, inversion *v) {
  const size_t n_base = sky_grid_cells(&v->mesh.patch[0]), step = v->n_layer * v->n_cell;
  const size_t first = v->n_row - v->n_replaced * v->n_time;
  if (v->mesh.n_patch == 1) return SKY_OK;
  v->base_sd = SKY_NEW0(ctx, double, n_base);
  v->base_ak = SKY_NEW0(ctx, double, n_base);
  if (v->base_sd == NULL || v->base_ak == NULL) return SKY_E_NOMEM;
  for (size_t b = 0; b < n_base; b++) {
    const size_t c = v->mesh.of[0][b];
    if (c == SIZE_MAX) continue;
    v->base_sd[b] = v->cell[0][2][c];
    v->base_ak[b] = v->cell[0][3][c];
  }
  for (size_t k = 0; k < v->n_replaced; k++) {
    const size_t b = v->replaced[k];
    double var = 0.0;
    for (size_t t = 0; t < v->n_time; t++) {
      const size_t row = first + k * v->n_time + t;
      const double *w = v->W + row * v->n_state, *a = v->post.zone_A + row * v->n_state;
      var += v->post.total_sd[row] * v->post.total_sd[row] / (double)v->n_time;
      for (size_t s = t * step + v->mesh.first[1]; s < t * step + v->n_cell; s++)
        if (w[s] != 0.0) v->base_ak[b] += a[s] / (double)v->n_time;
    }
    v->base_sd[b] = sqrt(var);
  }
  return SKY_OK;
}

static sky_functionals functionals_of(const inversion *v) {
  const bool low_rank = v->compared_sd == NULL && v->bottom_up.variance != NULL;
  return (sky_functionals){
      .n_zone = v->n_row,
      .W = v->W,
      .constant = v->constant,
      .whole = v->whole,
      .n_layer = v->n_layer,
      .inventory_sd = v->compared_sd,
      .inventory_E = v->compared_E,
      .inventory_D = v->compared_D,
      .inventory_rank = low_rank ? v->bottom_up.rank : 0,
      .inventory_factor = v->compared_factor != NULL ? v->compared_factor : v->bottom_up.factor,
      .inventory_sign = v->bottom_up.sign,
      .inventory_var = !low_rank                 ? NULL
                       : v->compared_var != NULL ? v->compared_var
                                                 : v->bottom_up.variance,
  };
}

/* The compared inventory through the kernel: prior + aᵀA (x_B - x0) over the first layer. */
static void see_inventory(inversion *v, const double *x0, size_t n_moved) {
  const size_t step = v->n_layer * v->n_cell;
  for (size_t z = 0; z < v->zones.n; z++) {
    const double *a = v->post.zone_A + z * v->n_state;
    sky_acc seen = {0};
    for (size_t k = 0; v->x_compared != NULL && k < n_moved; k++) {
      const size_t s = v->n_layer == 1 ? k : k / v->n_cell * step + k % v->n_cell;
      sky_acc_add(&seen, a[s] * (v->x_compared[k] - x0[s]));
    }
    v->seen[z] = v->x_compared != NULL ? v->post.prior_total[z] + sky_acc_value(&seen) : NAN;
  }
}

static sky_status solve_observations(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                                     inversion *v) {
  sky_problem p = {0};
  char *path = sky_sprintf(ctx, "%s/problem-%s.nc", job->stage_dir, stage->gas);
  sky_status st = SKY_OK;
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_problem_read(ctx, path, &p));
  v->n_state = p.n_state;
  v->n_time = p.n_time;
  SKY_GO(grid_functionals(ctx, job, p.x0, v));
  if (v->compared_flux != NULL) {
    const size_t n = v->n_time * v->n_cell;
    SKY_GO_ALLOC(v->x_compared, SKY_NEW(ctx, double, n));
    for (size_t s = 0; s < n; s++)
      v->x_compared[s] = or_zero(v->compared_flux[s % v->n_cell]);
    SKY_GO(compared_covariance(ctx, v));
  }
  const sky_functionals zones = functionals_of(v);
  v->bytes = sky_problem_bytes(&p, v->n_row);
  SKY_GO(sky_problem_solve(ctx, &p, &zones, &v->post));
  for (size_t r = 0; r < v->n_row; r++) /* no total, no error */
    if (isnan(v->constant[r])) v->post.prior_sd[r] = v->post.total_sd[r] = NAN;
  see_inventory(v, p.x0, v->n_time * v->n_cell);
  for (size_t l = 0; l < v->n_layer; l++)
    grid_fields(v, p.x0, l);
  SKY_GO(base_fields(ctx, v));
cleanup:
  sky_problem_free(&p);
  sky_free(path);
  return st;
}

/* --- information form ----------------------------------------------------------------------------
 */

/* Emission of a flux field in each state element, kg yr-1. */
static void element_mass(const inversion *v, const sky_information *info, const double *flux,
                         double *mass) {
  memset(mass, 0, info->n * sizeof(double));
  for (size_t c = 0; c < v->n_cell; c++)
    if (info->label[c] > 0) mass[info->label[c] - 1] += or_zero(flux[c]) * v->area[c] * v->kg;
}

/* Covariance of the compared inventory between elements, in units of scale factors, as sd and
 * correlation: Σ_{c∈i,d∈j} s_c s_d ρ(c,d) / (m_i m_j). An element without prior emission has none:
 * no scale factor can express the inventory there. The boundary keeps its prior error, which is not
 * the inventory's but enters the null difference all the same. */
static sky_status element_covariance(sky_context *ctx, inversion *v, const sky_information *info,
                                     const double *prior_mass, double boundary_sd) {
  const double length = sky_node_number(v->compared, "uncertainty.length");
  const size_t n = info->n;
  double *mass = NULL;
  sky_correlation model;
  sky_status st = SKY_OK;
  if (isnan(sky_node_number(v->compared, "uncertainty.sigma"))) return SKY_OK;
  SKY_TRY(
      sky_correlation_parse(ctx, sky_node_text(v->compared, "uncertainty.correlation"), &model));
  SKY_GO_ALLOC(v->compared_sd, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(v->compared_E, SKY_NEW0(ctx, double, n *n));
  SKY_GO_ALLOC(mass, SKY_NEW(ctx, double, v->n_cell)); /* s_c, 0 where there is no scale factor */
  for (size_t c = 0; c < v->n_cell; c++) {
    const int32_t label = info->label[c];
    mass[c] =
        label > 0 && prior_mass[label - 1] != 0.0
            ? compared_cell_sd(v, v->compared_flux[c]) * v->area[c] * v->kg / prior_mass[label - 1]
            : 0.0;
  }
  double *C = v->compared_E;
  for (size_t c = 0; c < v->n_cell; c++) {
    if (mass[c] == 0.0) continue;
    double *row = C + (size_t)(info->label[c] - 1) * n;
    for (size_t d = 0; d < v->n_cell; d++)
      if (mass[d] != 0.0)
        row[info->label[d] - 1] +=
            mass[c] * mass[d] *
            sky_correlation_value(model, sky_mesh_distance(&v->mesh, c, d), length);
  }
  for (size_t i = n - info->n_boundary; i < n; i++)
    C[i * n + i] = boundary_sd * boundary_sd;
  for (size_t i = 0; i < n; i++)
    v->compared_sd[i] = sqrt(C[i * n + i]);
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      const double s = v->compared_sd[i] * v->compared_sd[k];
      C[i * n + k] = i == k ? 1.0 : (s > 0.0 ? C[i * n + k] / s : 0.0);
    }
cleanup:
  sky_free(mass);
  return st;
}

/* The same where the inventory states factors and a diagonal: both sum over an element's cells. */
static sky_status element_low_rank(sky_context *ctx, inversion *v, const sky_information *info,
                                   const double *prior_mass, double boundary_sd) {
  const sky_layer *own = &v->bottom_up;
  const size_t n = info->n;
  v->compared_factor = SKY_NEW0(ctx, double, own->rank *n);
  v->compared_var = SKY_NEW0(ctx, double, n);
  if (v->compared_factor == NULL || v->compared_var == NULL) return SKY_E_NOMEM;
  for (size_t c = 0; c < v->n_cell; c++) {
    const int32_t label = info->label[c];
    if (label <= 0 || prior_mass[label - 1] == 0.0) continue;
    const size_t i = (size_t)label - 1;
    const double scale = v->area[c] * v->kg / prior_mass[i];
    v->compared_var[i] += own->variance[c] * scale * scale;
    for (size_t k = 0; k < own->rank; k++)
      v->compared_factor[k * n + i] += own->factor[k * v->n_cell + c] * scale;
  }
  for (size_t i = n - info->n_boundary; i < n; i++)
    v->compared_var[i] = boundary_sd * boundary_sd;
  return SKY_OK;
}

static sky_status label_functionals(sky_context *ctx, const sky_information *info, inversion *v) {
  v->W = SKY_NEW0(ctx, double, v->zones.n * info->n);
  v->constant = SKY_NEW0(ctx, double, v->zones.n);
  if (v->W == NULL || v->constant == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < v->zones.n; z++) {
    sky_acc fixed = {0};
    for (size_t k = 0; k < v->cover[z].n; k++) {
      const size_t c = v->cover[z].cell[k];
      const double mass = or_zero(v->prior_flux[c]) * v->area[c] * v->cover[z].fraction[k] * v->kg;
      if (info->label[c] > 0)
        v->W[z * info->n + (size_t)info->label[c] - 1] += mass;
      else
        sky_acc_add(&fixed, mass);
    }
    v->constant[z] = sky_acc_value(&fixed);
    if (v->unscaled_flux != NULL) v->constant[z] += zone_mass(v, z, v->unscaled_flux);
  }
  return SKY_OK;
}

static void label_fields(inversion *v, const sky_information *info) {
  for (size_t c = 0; c < v->n_cell; c++) {
    const double fixed = v->unscaled_flux != NULL ? or_zero(v->unscaled_flux[c]) : 0.0;
    const double prior = v->prior_flux[c];
    v->cell[0][0][c] = prior + fixed;
    v->cell[0][1][c] = v->cell[0][2][c] = v->cell[0][3][c] = NAN;
    if (info->label[c] <= 0) continue;
    const size_t i = (size_t)info->label[c] - 1;
    v->cell[0][1][c] = prior * v->post.x[i] + fixed;
    v->cell[0][2][c] = fabs(prior) * v->post.sd[i];
    v->cell[0][3][c] = v->post.ak[i];
  }
}

static sky_status solve_information(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                                    sky_facts *facts, inversion *v) {
  const double sigma = sky_node_number(v->node, "sigma");
  double boundary = sky_node_number(v->node, "boundary_sd") * 1e9; /* the file's unit: ppb */
  sky_information info = {0};
  double *x0 = NULL, *x_sd = NULL, *mass = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_information(ctx, job, stage->gas, &info));
  if (v->mesh.n_patch > 1 || !sky_grid_equal(&info.grid, &v->mesh.patch[0])) {
    st = sky_fail(
        ctx, SKY_E_COVERAGE,
        "%s: the state vector's grid differs from the job's grid, or the job's has patches",
        sky_node_text(v->node, "information.state"));
    goto cleanup;
  }
  if (isnan(boundary)) boundary = info.boundary_sd;
  if (info.n_boundary > 0 && isnan(boundary)) {
    st = sky_fail(ctx, SKY_E_JOB,
                  "%s: inversions.boundary_sd: missing, neither the job nor %s states it for %zu "
                  "boundary elements",
                  sky_jobfile_path(job->file), sky_node_text(v->node, "information.result"),
                  info.n_boundary);
    goto cleanup;
  }
  v->n_state = info.n;
  v->n_time = 1;
  const size_t n_emission = info.n - info.n_boundary;
  SKY_GO_ALLOC(x0, SKY_NEW(ctx, double, info.n));
  SKY_GO_ALLOC(x_sd, SKY_NEW(ctx, double, info.n));
  SKY_GO_ALLOC(mass, SKY_NEW(ctx, double, 2 * info.n));
  for (size_t i = 0; i < info.n; i++) {
    x0[i] = i < n_emission ? 1.0 : 0.0;
    x_sd[i] = i < n_emission ? sigma : boundary;
  }
  element_mass(v, &info, v->prior_flux, mass);
  SKY_GO(label_functionals(ctx, &info, v));
  if (v->compared_flux != NULL) {
    SKY_GO_ALLOC(v->x_compared, SKY_NEW0(ctx, double, info.n));
    element_mass(v, &info, v->compared_flux, mass + info.n);
    for (size_t i = 0; i < n_emission; i++) {
      v->x_compared[i] = mass[i] != 0.0 ? mass[info.n + i] / mass[i] : x0[i];
      if (mass[i] == 0.0 && mass[info.n + i] != 0.0)
        sky_fact(facts, "warnings", sky_node_text(v->compared, "id"),
                 "%.3g t/yr lie in state element %zu, which has no prior emission to scale: not "
                 "compared there",
                 mass[info.n + i] / 1e3, i + 1);
    }
    SKY_GO((v->bottom_up.variance != NULL ? element_low_rank : element_covariance)(ctx, v, &info,
                                                                                   mass, boundary));
  }
  const sky_information_problem p = {
      .n = info.n, .F = info.F, .g = info.g, .x0 = x0, .x_sd = x_sd, .gamma = info.gamma};
  const sky_functionals zones = functionals_of(v);
  SKY_GO(sky_information_solve(ctx, &p, &zones, NULL, NULL, &v->post));
  see_inventory(v, x0, n_emission);
  label_fields(v, &info);
  v->n_emission = n_emission;
  sky_fact(facts, "inputs", sky_species_find(stage->gas)->formula,
           "ready-made information: %zu emission elements and %zu boundary elements, gamma %g, "
           "prior sd %g (the file states %g)",
           n_emission, info.n_boundary, info.gamma, sigma, info.prior_sd);
cleanup:
  sky_free(x0);
  sky_free(x_sd);
  sky_free(mass);
  sky_information_free(&info);
  return st;
}

/* --- results -------------------------------------------------------------------------------------
 */

/* The zones of the prior layer out of a covariance of all functionals. */
static double *zone_block(sky_context *ctx, const inversion *v, const double *cov) {
  const size_t nz = v->zones.n;
  double *block = SKY_NEW(ctx, double, nz *nz);
  for (size_t z = 0; block != NULL && z < nz; z++)
    memcpy(block + z * nz, cov + z * v->n_row, nz * sizeof *block);
  return block;
}

typedef struct output {
  sky_stage_dim dim[8];
  sky_stage_var var[48];
  size_t n_dims, n_vars;
} output;

static void put(output *o, const char *name, const char *dims, const char *unit,
                const double *value) {
  o->var[o->n_vars++] = (sky_stage_var){name, dims, unit, value, NULL};
}

static void put_zones(output *o, const inversion *v, const double *covered, const double *cov,
                      const double *inventory_cov) {
  static const char *const kg = "kg year-1";
  const sky_posterior *p = &v->post;
  const size_t nz = v->zones.n;
  put(o, "zone_prior", "zone", kg, p->prior_total);
  put(o, "zone_prior_sd", "zone", kg, p->prior_sd);
  put(o, "zone_posterior", "zone", kg, p->total);
  put(o, "zone_posterior_sd", "zone", kg, p->total_sd);
  put(o, "zone_dofs", "zone", "1", p->zone_dofs);
  put(o, "zone_sensitivity", "zone", "1", p->zone_sensitivity);
  put(o, "zone_own_response", "zone", "1", p->zone_own_response);
  put(o, "zone_null_sd", "zone", kg, p->zone_null_sd);
  put(o, "zone_detectable", "zone", kg, p->zone_detectable);
  put(o, "zone_seen", "zone", kg, v->seen);
  put(o, "zone_covered", "zone", "1", covered);
  put(o, "zone_covariance", "zone,zone2", "kg2 year-2", cov);
  if (inventory_cov != NULL)
    put(o, "zone_inventory_covariance", "zone,zone2", "kg2 year-2", inventory_cov);
  if (v->n_layer == 1) return;
  put(o, "sink_zone_prior", "zone", kg, p->prior_total + nz);
  put(o, "sink_zone_prior_sd", "zone", kg, p->prior_sd + nz);
  put(o, "sink_zone_posterior", "zone", kg, p->total + nz);
  put(o, "sink_zone_posterior_sd", "zone", kg, p->total_sd + nz);
  put(o, "net_zone_posterior", "zone", kg, p->total + 2 * nz);
  put(o, "net_zone_posterior_sd", "zone", kg, p->total_sd + 2 * nz);
}

static void put_cells(output *o, const inversion *v) {
  static const char *const flux = "mol m-2 s-1";
  put(o, "cell_prior", "cell", flux, v->cell[0][0]);
  put(o, "cell_posterior", "cell", flux, v->cell[0][1]);
  put(o, "cell_sd", "cell", flux, v->cell[0][2]);
  put(o, "cell_ak", "cell", "1", v->cell[0][3]);
  put(o, "x", "state", "1", v->post.x);
  put(o, "x_sd", "state", "1", v->post.sd);
  if (v->n_layer > 1) {
    put(o, "sink_prior", "cell", flux, v->cell[1][0]);
    put(o, "sink_posterior", "cell", flux, v->cell[1][1]);
    put(o, "sink_sd", "cell", flux, v->cell[1][2]);
  }
  if (v->base_sd != NULL) {
    put(o, "base_sd", "base_cell", flux, v->base_sd);
    put(o, "base_ak", "base_cell", "1", v->base_ak);
  }
}

/* The information form has no observations and no background. */
static void put_observations(output *o, const inversion *v) {
  const sky_posterior *p = &v->post;
  if (p->n_obs == 0) return;
  put(o, "residual", "obs", "mol mol-1", p->residual);
  put(o, "simulated_prior", "obs", "mol mol-1", p->simulated_prior);
  put(o, "simulated", "obs", "mol mol-1", p->simulated);
  if (p->n_background == 0) return;
  put(o, "background", "background", "mol mol-1", p->b);
  put(o, "background_sd", "background", "mol mol-1", p->b_post_sd);
}

static sky_status write_posterior(sky_context *ctx, const char *path, const inversion *v,
                                  char *const *tags) {
  const sky_posterior *p = &v->post;
  const bool stated = v->compared_sd != NULL || v->bottom_up.variance != NULL;
  double *covered = NULL, *cov = NULL, *inventory_cov = NULL;
  output o = {.dim = {{"cell", v->n_cell},
                      {"state", v->n_state},
                      {"zone", v->zones.n},
                      {"zone2", v->zones.n}},
              .n_dims = 4};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(covered, SKY_NEW(ctx, double, v->zones.n));
  SKY_GO_ALLOC(cov, zone_block(ctx, v, p->zone_cov));
  if (stated) SKY_GO_ALLOC(inventory_cov, zone_block(ctx, v, p->zone_inventory_cov));
  for (size_t z = 0; z < v->zones.n; z++)
    covered[z] = v->cover[z].area_zone > 0 ? v->cover[z].area_in / v->cover[z].area_zone : 0.0;
  if (p->n_obs > 0) o.dim[o.n_dims++] = (sky_stage_dim){"obs", p->n_obs};
  if (p->n_background > 0) o.dim[o.n_dims++] = (sky_stage_dim){"background", p->n_background};
  if (v->base_sd != NULL)
    o.dim[o.n_dims++] = (sky_stage_dim){"base_cell", sky_grid_cells(&v->mesh.patch[0])};
  put_cells(&o, v);
  put_zones(&o, v, covered, cov, inventory_cov);
  put_observations(&o, v);
  SKY_GO(sky_stage_file_write(ctx, path, o.dim, o.n_dims, o.var, o.n_vars, NULL, 0, tags));
cleanup:
  sky_free(covered);
  sky_free(cov);
  sky_free(inventory_cov);
  return st;
}

/* Mean and root mean square of simulated minus observed, in the gas's column unit. */
static void misfit(const double *residual, const double *shift, size_t n, double scale,
                   double *mean, double *rms) {
  double sum = 0.0, square = 0.0;
  for (size_t i = 0; i < n; i++) {
    const double d = -(residual[i] + (shift != NULL ? shift[i] : 0.0)) * scale;
    sum += d;
    square += d * d;
  }
  *mean = sum / (double)n;
  *rms = sqrt(square / (double)n);
}

static void record_information(sky_facts *facts, const inversion *v) {
  const char *formula = sky_species_find(v->gas)->formula;
  const double emission = sky_sum(v->post.ak, v->n_emission);
  sky_fact(
      facts, "diagnostics", formula,
      "degrees of freedom for signal %.4g for the emissions and %.4g for the boundary (trace of "
      "the averaging kernel %.6g)",
      emission, v->post.dofs - emission, v->post.dofs);
  sky_fact(facts, "diagnostics", formula,
           "innovation chi2, Jo and the evidence need the observations themselves and are not "
           "available from normal equations");
  sky_fact_number(facts, "dofs", emission);
  sky_fact_number(facts, "dofs_with_boundary", v->post.dofs);
}

static double layer_dofs(const inversion *v, size_t l) {
  sky_acc sum = {0};
  for (size_t s = 0; s < v->n_state; s++)
    if (s / v->n_cell % v->n_layer == l) sky_acc_add(&sum, v->post.ak[s]);
  return sky_acc_value(&sum);
}

static sky_status record_observations(sky_context *ctx, sky_facts *facts, const inversion *v) {
  const sky_posterior *p = &v->post;
  const sky_species *species = sky_species_find(v->gas);
  const double n = (double)p->n_obs, all_dofs = p->dofs + or_zero(p->dofs_background);
  double mean[2], rms[2];
  double *moved = SKY_NEW(ctx, double, p->n_obs);
  if (moved == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n_obs; i++)
    moved[i] = p->simulated[i] - p->simulated_prior[i];
  misfit(p->residual, moved, p->n_obs, species->column_scale, &mean[0], &rms[0]);
  misfit(p->residual, NULL, p->n_obs, species->column_scale, &mean[1], &rms[1]);
  sky_free(moved);
  sky_fact(facts, "diagnostics", species->formula,
           "forward comparison: simulated minus observed %.3g %s in the mean and %.3g rms with the "
           "prior and the unadjusted background, %.3g and %.3g with the posterior",
           mean[0], species->column_unit, rms[0], mean[1], rms[1]);
  if (v->n_layer == 1) {
    sky_fact(facts, "diagnostics", species->formula, "degrees of freedom for signal %.4g", p->dofs);
  } else {
    const double sink = layer_dofs(v, 1);
    sky_fact(facts, "diagnostics", species->formula,
             "degrees of freedom for signal %.4g for the emissions and %.4g for the ecosystems",
             p->dofs - sink, sink);
    sky_fact_number(facts, "dofs_prior", p->dofs - sink);
    sky_fact_number(facts, "dofs_sink", sink);
  }
  sky_fact(facts, "diagnostics", species->formula,
           "%zu observations, innovation chi2 per observation %.4g, Jb/DOFS %.4g, Jo/(n-DOFS) "
           "%.4g, -log evidence %.6g",
           p->n_obs, p->chi2 / n, p->jb / all_dofs, p->jo / (n - all_dofs), p->neg_log_evidence);
  sky_fact_number(facts, "time_steps", (double)v->n_time);
  sky_fact_number(facts, "memory_bytes", v->bytes);
  sky_fact_number(facts, "dofs", p->dofs);
  sky_fact_number(facts, "dofs_background", p->dofs_background);
  sky_fact_number(facts, "chi2_innovation_per_obs", p->chi2 / n);
  sky_fact_number(facts, "jb", p->jb);
  sky_fact_number(facts, "jo", p->jo);
  sky_fact_number(facts, "neg_log_evidence", p->neg_log_evidence);
  return SKY_OK;
}

sky_status sky_stage_invert(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  inversion v = {.node = sky_job_inversion(job, stage->gas)};
  sky_facts facts = {0};
  char *path = NULL, **tags = NULL;
  sky_status st = SKY_OK;
  snprintf(v.gas, sizeof v.gas, "%s", stage->gas);
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO(prepare(ctx, job, &v));
  if (sky_node_get(v.node, "information") != NULL)
    SKY_GO(solve_information(ctx, job, stage, &facts, &v));
  else
    SKY_GO(solve_observations(ctx, job, stage, &v));
  SKY_GO_ALLOC(path, sky_job_path(ctx, job, stage->outputs[1]));
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  SKY_GO(write_posterior(ctx, path, &v, tags));
  sky_fact_number(&facts, "observations", (double)v.post.n_obs);
  if (v.post.n_obs == 0)
    record_information(&facts, &v);
  else
    SKY_GO(record_observations(ctx, &facts, &v));
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_tags_free(tags);
  sky_free(path);
  sky_facts_free(&facts);
  inversion_free(&v);
  return st;
}
