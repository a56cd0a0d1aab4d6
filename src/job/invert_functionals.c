/* invert_functionals.c: what is asked of the state of stage invert: zones and replaced base cells
 * as rows of W, and the posterior as fields on the mesh and on the base grid. */
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/job/inverting.h"
#include "src/job/stage_file.h"
#include "src/job/zone_weights.h"

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
  const size_t step = v->n_layer * v->n_cell;
  sky_acc mesh = {0};
  for (size_t t = 0; t < v->n_time; t++) {
    double *row = w + t * step + l * v->n_cell;
    sky_zone_row(layer, z, &v->cover[z], v->whole, row);
    for (size_t c = 0; c < v->n_cell; c++)
      if (row[c] != 0) sky_acc_add(&mesh, row[c] * x0[t * step + l * v->n_cell + c]);
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
    for (size_t k = 0; k < v->n_time * v->n_sector; k++) {
      const size_t t = k / v->n_sector, l = k % v->n_sector;
      w[(row[b] * v->n_time + t) * v->n_state + t * step + l * v->n_cell + c] =
          v->area[c] / area[b];
    }
  }
cleanup:
  sky_free(area);
  sky_free(row);
  return st;
}

static void add_row(double *to, const double *row, size_t n) {
  for (size_t s = 0; s < n; s++)
    to[s] += row[s];
}

/* The layers' flux in the prior: of a cell's sum, each one's part; alike where there is none. */
static sky_status set_shares(sky_context *ctx, const double *x0, sky_inverting *v) {
  const size_t n = v->n_cell, ns = v->n_sector;
  if (ns == 1) return SKY_OK;
  v->share = SKY_NEW(ctx, double, ns *n);
  if (v->share == NULL) return SKY_E_NOMEM;
  for (size_t c = 0; c < n; c++) {
    double sum = 0;
    for (size_t l = 0; l < ns; l++)
      sum += fabs(x0[l * n + c]);
    for (size_t l = 0; l < ns; l++)
      v->share[l * n + c] = sum > 0 ? fabs(x0[l * n + c]) / sum : 1 / (double)ns;
  }
  return SKY_OK;
}

/* The zones of one sector and its total; the zones are added to those of the whole. */
static sky_status add_sector(sky_context *ctx, const sky_job *job, const double *x0, size_t l,
                             sky_inverting *v) {
  const size_t nz = v->zones.n, m = v->n_state, first = v->first_sector + l * nz;
  const sky_node *sector = sky_node_item(sky_node_get(v->node, "sectors"), l);
  double *sum = v->W + (v->first_sector + v->n_sector * nz + l) * m;
  sky_layer layer = {0};
  char *id = sky_sector_layer(ctx, sky_node_text(v->node, "prior"), sky_node_text(sector, "name"));
  const sky_status st =
      id == NULL ? SKY_E_NOMEM : sky_layer_read(ctx, job, "inventory", id, &layer);
  for (size_t z = 0; st == SKY_OK && z < nz; z++) {
    v->constant[first + z] = add_zone(v, z, l, x0, &layer, v->W + (first + z) * m);
    v->constant[z] += sky_or_zero(v->constant[first + z]);
    add_row(v->W + z * m, v->W + (first + z) * m, m);
  }
  for (size_t t = 0; st == SKY_OK && t < v->n_time; t++)
    for (size_t c = 0; c < v->n_cell; c++) {
      const size_t s = (t * v->n_layer + l) * v->n_cell + c;
      sum[s] = v->whole[s];
    }
  sky_free(id);
  sky_layer_free(&layer);
  return st;
}

static sky_status add_prior(sky_context *ctx, const sky_job *job, const double *x0,
                            sky_inverting *v) {
  const size_t nz = v->zones.n;
  double *unscaled = NULL;
  sky_layer prior = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_layer_read(ctx, job, "inventory", sky_node_text(v->node, "prior"), &prior));
  SKY_GO(sky_inverting_variable(ctx, job, sky_node_text(v->node, "unscaled"), "zone_total", nz,
                                &unscaled));
  for (size_t l = 0; v->n_sector > 1 && l < v->n_sector; l++)
    SKY_GO(add_sector(ctx, job, x0, l, v));
  for (size_t z = 0; z < nz; z++) {
    if (v->n_sector == 1) v->constant[z] = add_zone(v, z, 0, x0, &prior, v->W + z * v->n_state);
    v->constant[z] = sky_or_zero(v->constant[z]);
    if (unscaled != NULL) v->constant[z] += sky_or_zero(unscaled[z]);
  }
cleanup:
  sky_free(unscaled);
  sky_layer_free(&prior);
  return st;
}

/* The zones of the sink, and with the prior's the net ones. */
static sky_status add_sink(sky_context *ctx, const sky_job *job, const double *x0,
                           sky_inverting *v) {
  const size_t nz = v->zones.n, m = v->n_state;
  sky_layer sink = {0};
  SKY_TRY(sky_layer_read(ctx, job, "sink", sky_node_text(v->node, "sink"), &sink));
  for (size_t z = 0; z < nz; z++) {
    v->constant[nz + z] = add_zone(v, z, v->n_sector, x0, &sink, v->W + (nz + z) * m);
    v->constant[2 * nz + z] = v->constant[z] + v->constant[nz + z];
    for (size_t s = 0; s < m; s++)
      v->W[(2 * nz + z) * m + s] = v->W[z * m + s] + v->W[(nz + z) * m + s];
  }
  sky_layer_free(&sink);
  return SKY_OK;
}

/* W and constants: totals are those of the layers' own zones plus what the state moves. */
sky_status sky_inverting_grid(sky_context *ctx, const sky_job *job, const double *x0,
                              sky_inverting *v) {
  const size_t nz = v->zones.n, m = v->n_state;
  const bool sink = v->n_layer > v->n_sector;
  SKY_TRY(find_replaced(ctx, v));
  v->first_sector = (sink ? 3 : 1) * nz; /* prior; sink; net */
  const size_t base = v->first_sector + (v->n_sector > 1 ? v->n_sector * (nz + 1) : 0);
  v->n_row = base + v->n_replaced * v->n_time;
  v->W = SKY_NEW0(ctx, double, v->n_row *m);
  v->constant = SKY_NEW0(ctx, double, v->n_row);
  v->whole = SKY_NEW(ctx, double, m);
  if (v->W == NULL || v->constant == NULL || v->whole == NULL) return SKY_E_NOMEM;
  for (size_t s = 0; s < m; s++)
    v->whole[s] = v->area[s % v->n_cell] * v->kg / (double)v->n_time;
  SKY_TRY(set_shares(ctx, x0, v));
  SKY_TRY(add_prior(ctx, job, x0, v));
  if (sink) SKY_TRY(add_sink(ctx, job, x0, v));
  return v->n_replaced > 0 ? add_base_rows(ctx, v, v->W + base * m) : SKY_OK;
}

/* --- fields of the state --------------------------------------------------------------------- */

/* Time means of n layers together as fields; of one its kernel and its sd, the root mean square of
 * one step over the steps. */
static void layer_fields(const sky_inverting *v, const double *x0, size_t first, size_t n,
                         double *const field[4]) {
  const double steps = (double)v->n_time;
  for (size_t c = 0; c < v->n_cell; c++) {
    double prior = 0, post = 0, var = 0, ak = 0;
    for (size_t k = 0; k < v->n_time * n; k++) {
      const size_t s = (k / n * v->n_layer + first + k % n) * v->n_cell + c;
      prior += x0[s] / steps;
      post += v->post.x[s] / steps;
      var += v->post.sd[s] * v->post.sd[s] / steps;
      ak += v->post.ak[s] / steps;
    }
    field[0][c] = prior;
    field[1][c] = post;
    field[2][c] = n == 1 ? sqrt(var) : NAN;
    field[3][c] = n == 1 ? ak : NAN;
  }
}

void sky_inverting_fields(sky_inverting *v, const double *x0) {
  layer_fields(v, x0, 0, v->n_sector, v->cell[0]);
  if (v->n_layer > v->n_sector) layer_fields(v, x0, v->n_sector, 1, v->cell[1]);
  for (size_t l = 0; v->n_sector > 1 && l < v->n_sector; l++)
    layer_fields(v, x0, l, 1, v->cell[2 + l]);
  for (size_t c = 0; v->unscaled_flux != NULL && c < v->n_cell; c++) {
    v->cell[0][0][c] += sky_or_zero(v->unscaled_flux[c]);
    v->cell[0][1][c] += sky_or_zero(v->unscaled_flux[c]);
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
      .n_sector = v->n_sector,
      .sector_share = v->share,
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
