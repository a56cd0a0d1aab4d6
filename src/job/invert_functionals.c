/* invert_functionals.c: what is asked of the state of stage invert: zones and replaced base cells
 * as rows of W, and the posterior as fields on the mesh and on the base grid. */
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/job/inverting.h"
#include "src/job/stage_file.h"

/* One variable of stages/inventory-ID.nc; NULL id gives NULL. */
sky_status sky_inverting_variable(sky_context *ctx, const sky_job *job, const char *id,
                                  const char *var, size_t n, double **out) {
  *out = NULL;
  if (id == NULL) return SKY_OK;
  char *path = sky_sprintf(ctx, "%s/inventory-%s.nc", job->stage_dir, id);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_stage_file_read(ctx, path, var, n, out);
  sky_free(path);
  return st;
}

/* --- functionals of the state ---------------------------------------------------------------- */

/* Puts the zone's mass in layer l into the row w, by its share of the mass of each cell where the
 * layer knows it, else of the area. The answer is what of the layer's own zone total the state
 * cannot move (structure below a cell); NaN: the layer has no total here. */
static double add_zone(const sky_inverting *v, size_t z, size_t l, const double *x0,
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
static sky_status find_replaced(sky_context *ctx, sky_inverting *v) {
  const size_t n = sky_grid_cells(&v->mesh.patch[0]);
  if (v->mesh.n_patch == 1) return SKY_OK;
  v->replaced = SKY_NEW(ctx, size_t, n);
  if (v->replaced == NULL) return SKY_E_NOMEM;
  for (size_t b = 0; b < n; b++)
    if (v->mesh.of[0][b] == SIZE_MAX) v->replaced[v->n_replaced++] = b;
  return SKY_OK;
}

/* Rows of the base cells, one for each time step: area means over the patch's cells below. */
static sky_status add_base_rows(sky_context *ctx, sky_inverting *v, double *w) {
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
sky_status sky_inverting_grid(sky_context *ctx, const sky_job *job, const double *x0,
                              sky_inverting *v) {
  const size_t nz = v->zones.n, m = v->n_state;
  double *unscaled = NULL;
  sky_layer prior = {0}, sink = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_layer_read(ctx, job, "inventory", sky_node_text(v->node, "prior"), &prior));
  SKY_GO(sky_inverting_variable(ctx, job, sky_node_text(v->node, "unscaled"), "zone_total", nz,
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
    v->constant[z] = sky_or_zero(add_zone(v, z, 0, x0, &prior, v->W + z * m));
    if (unscaled != NULL) v->constant[z] += sky_or_zero(unscaled[z]);
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
void sky_inverting_fields(sky_inverting *v, const double *x0, size_t l) {
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
    const double fixed =
        l == 0 && v->unscaled_flux != NULL ? sky_or_zero(v->unscaled_flux[c]) : 0.0;
    v->cell[l][0][c] = prior + fixed;
    v->cell[l][1][c] = post + fixed;
    v->cell[l][2][c] = sqrt(var);
    v->cell[l][3][c] = ak;
  }
}

/* sd and kernel of the prior layer on the base grid: the cell's own, and for a replaced cell those
 * of its functional; its kernel is the response of the mean to a uniform change below it. */
sky_status sky_inverting_base(sky_context *ctx, sky_inverting *v) {
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

sky_functionals sky_inverting_functionals(const sky_inverting *v) {
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
