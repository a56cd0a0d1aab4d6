/* invert_compared.c: the inventory that an inversion is compared with: its own covariance on the
 * mesh cells, and what the kernel shows of it. */
#include "algorithms/inversion/covariance.h"
#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/job/correlation.h"
#include "src/job/inverting.h"

typedef struct cell_distance {
  const sky_mesh *mesh;
} cell_distance;

static double distance_of(const void *user, size_t i, size_t k) {
  return sky_mesh_distance(((const cell_distance *)user)->mesh, i, k);
}

/* 1-sigma of one cell of the compared inventory, in the unit of its flux. */
double sky_inverting_cell_sd(const sky_inverting *v, double flux) {
  return hypot(sky_node_number(v->compared, "uncertainty.sigma") * sky_or_zero(flux),
               sky_or_zero(sky_node_number(v->compared, "uncertainty.floor")));
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
sky_status sky_inverting_compared(sky_context *ctx, sky_inverting *v) {
  const double sigma = sky_node_number(v->compared, "uncertainty.sigma");
  const double length = sky_node_number(v->compared, "uncertainty.length");
  const sky_layer *own = &v->bottom_up;
  const size_t n = v->n_cell;
  const cell_distance user = {&v->mesh};
  sky_correlation model = {SKY_CORR_NONE, 0};
  if ((own->variance == NULL && isnan(sigma)) || (own->variance != NULL && v->n_time == 1))
    return SKY_OK; /* unknown, or taken as it is */
  if (own->variance == NULL)
    SKY_TRY(sky_job_correlation(ctx, sky_node_get(v->compared, "uncertainty"), &model));
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
                                              : sky_inverting_cell_sd(v, v->x_compared[k]);
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

/* The compared inventory through the kernel: prior + aᵀA (P x_B - x0) over the layers of the prior,
 * P: as the prior divides a cell among its sectors (bayes.md). */
void sky_inverting_see(sky_inverting *v, const double *x0, size_t n_moved) {
  const size_t step = v->n_layer * v->n_cell, ns = v->n_sector;
  for (size_t z = 0; z < v->zones.n; z++) {
    const double *a = v->post.zone_A + z * v->n_state;
    sky_acc seen = {0};
    for (size_t k = 0; v->kernel && v->x_compared != NULL && k < n_moved; k++)
      for (size_t l = 0; l < ns; l++) {
        const size_t c = k % v->n_cell;
        const size_t s = v->n_layer == 1 ? k : k / v->n_cell * step + l * v->n_cell + c;
        const double part = ns > 1 ? v->share[l * v->n_cell + c] : 1;
        sky_acc_add(&seen, a[s] * (part * v->x_compared[k] - x0[s]));
      }
    v->seen[z] =
        v->kernel && v->x_compared != NULL ? v->post.prior_total[z] + sky_acc_value(&seen) : NAN;
  }
}
