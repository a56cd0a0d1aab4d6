/* gridder.h: accounted scope-1 emissions of one gas on cells, with their covariance. Method:
 * gridder.md.
 *
 * A block is one region and sector: its total, placed by one proxy (place.h). Totals of blocks are
 * correlated as the account says (account.h: factors are shared, activity is not); the shares of
 * each block are Dirichlet, independent of all else. Over cells that is low rank + diagonal:
 *   cov(i, j) = Σ_k sign_k f_k,i f_k,j + [i = j] variance_i
 * with one vector a shared factor and one a block. Masses in kg. */
#ifndef SKY_ALGORITHMS_GRIDDER_H
#define SKY_ALGORITHMS_GRIDDER_H

#include "algorithms/inventory/account.h"
#include "algorithms/inventory/place.h"

#define SKY_AREA_CONCENTRATION 50.0 /* of shares by area alone: as good as a proxy by default */

typedef struct sky_gridder_region {
  const char *id; /* as rows of activity name it */
  size_t n;       /* cells that meet it */
  const size_t *cell;
  const double *inside; /* m2 of each inside */
} sky_gridder_region;

typedef struct sky_gridder_proxy {
  const char *sector;
  const double *density; /* [n_cell] >= 0 per m2; NaN = no data */
  double concentration;  /* > 0 */
} sky_gridder_proxy;

typedef struct sky_gridder_task {
  const sky_account *account;
  const sky_activity *rows; /* of the account */
  sky_gas gas;
  size_t n_cell, n_regions, n_proxies;
  const sky_gridder_region *region;
  const sky_gridder_proxy *proxy; /* a sector without one is placed by area */
} sky_gridder_task;

typedef struct sky_block {
  size_t region;      /* of the task */
  const char *sector; /* owned by the rows */
  size_t proxy;       /* of the task; SIZE_MAX if the sector has none */
  double total;       /* kg, of rows that are not missing */
  double own;         /* kg2, of activity */
  double spread;  /* kg2, (E2 + var E)/(kappa + 1): covariance diag(share) - share shareT of it */
  double *share;  /* [n of the region], sum 1 */
  double *shared; /* [n_groups] kg, error of the total by group of the account */
  sky_placed placed; /* placed.proxy is 0, or SKY_PLACE_UNIFORM: by area */
} sky_block;

typedef struct sky_gridder {
  size_t n_cell, n_groups, n_blocks;
  const sky_gridder_region *region; /* of the task, which outlives this */
  sky_block *block;                 /* by first row */
  double *emission;                 /* [n_cell] kg */
  size_t rank;
  double *factor;   /* [rank*n_cell] kg */
  double *sign;     /* [rank] +1, -1 */
  double *variance; /* [n_cell] kg2 */
} sky_gridder;

/* Rows without an amount are left out: what is known is placed. SKY_E_RANGE: a row's region is none
 * of the task's; errors of sky_place. */
SKY_NODISCARD sky_status sky_gridder_run(sky_context *ctx, const sky_gridder_task *task,
                                         sky_gridder *out);
void sky_gridder_free(sky_gridder *g); /* NULL-safe, zeroes */

/* Leaves the blocks of the sectors that keep says yes to; others become 0. The factors stay in
 * their order, so that those of two such parts are parts of one factor: f of the whole is their
 * sum. */
void sky_gridder_keep(sky_gridder *g, bool (*keep)(const void *user, const char *sector),
                      const void *user);

typedef struct sky_part { /* how much of a region counts */
  bool whole;
  const double *share; /* [n of the region] of the mass in each of its cells; NULL: nothing */
} sky_part;

/* Mass of parts of regions (part: one a region) in each cell, [n_cell] kg. */
void sky_gridder_mass(const sky_gridder *g, const sky_part *part, double *mass);
/* Their sum and its exact variance. */
void sky_gridder_sum(const sky_gridder *g, const sky_part *part, double *total, double *variance);

#endif
