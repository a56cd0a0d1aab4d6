/* inverting.h: the rooms of stage invert, and what they hand on (stage_invert.c). */
#ifndef SKY_JOB_INVERTING_H
#define SKY_JOB_INVERTING_H

#include <math.h>

#include "src/job/facts.h"
#include "src/job/layer.h"
#include "src/job/sectors.h"
#include "src/job/stage.h"
#include "src/job/solve.h"
#include "src/job/solve_sign.h"
#include "src/read/problem_labels.h"

typedef struct sky_inverting {
  const sky_node *node, *compared; /* compared: the inventory to be tested, or NULL */
  char gas[8];
  double kg; /* mol m-2 s-1 × m2 -> kg yr-1 */
  sky_mesh mesh;
  sky_zones zones;
  sky_coverage *cover;
  double *area;
  size_t n_cell, n_time, n_state; /* n_cell: of the mesh, that is of one layer */
  size_t n_sector;                /* layers of the prior: 1 without sectors */
  size_t n_layer;                 /* one more with a sink, the last */
  /* Functionals: zones of the prior; with a sink those of the sink and of both; with sectors those
   * of each sector, from first_sector on, and each sector's total; then base cells. */
  size_t n_row, first_sector;
  double *share;         /* [n_sector*n_cell] of a prior cell's flux, with sectors */
  double bytes;          /* held by the solve at its peak */
  size_t n_replaced;     /* base cells that patches replace */
  size_t n_emission;     /* information form: the state elements before the boundary */
  double *prior_flux;    /* [cells] scaled by the state */
  double *unscaled_flux; /* [cells] or NULL */
  sky_layer bottom_up;   /* the compared inventory */
  double *compared_flux; /* [cells] of it, not owned; NULL without one */
  double *whole;         /* [state] kg yr-1 per unit of state that a whole element is */
  double *W;             /* [rows*state] kg yr-1 (base cells: mol m-2 s-1) per unit of state */
  double *constant;      /* [rows] kg yr-1 */
  double *x_compared;    /* the compared inventory as a state (one layer), or NULL */
  double *compared_sd, *compared_E, *compared_D; /* its own covariance, or NULL: Kronecker, */
  double *compared_factor, *compared_var;        /* or low rank + diagonal */
  double *seen;                                  /* [zones] kg yr-1, NaN without inventory */
  /* Whole prior, sink, each sector: prior, posterior, sd (mol m-2 s-1), ak; of several layers
   * together there is no sd and no ak. */
  double *cell[2 + SKY_SECTORS_MOST][4];
  size_t *replaced;          /* [n_replaced] base cells, ascending */
  double *base_sd, *base_ak; /* [base cells], with patches */
  sky_posterior post;
  const char *method;   /* exact, iterative, banded or geostatistical; of other signs exact */
  const char *estimate; /* what a posterior total is: "mean", "mean of draws", "MAP" … */
  bool kernel;          /* post.zone_A is there: a linear estimate of the observations */
  double *smoothing_sd; /* [zones] kg yr-1: what the observations do not see; or NULL */
  size_t n_given;       /* observations of the problem; post may hold fewer */
  size_t *kept;         /* [post.n_obs] which of them, or NULL: all */
  sky_iterate_report report;
  sky_sampling how;  /* of draws; n_draw 0: none */
  sky_signed sign;   /* with a sign other than gaussian */
  double *cell_mode; /* [cells] mol m-2 s-1, time mean of the mode of the prior's layers */
} sky_inverting;

static inline double sky_or_zero(double x) {
  return isnan(x) ? 0.0 : x;
}

/* invert_functionals.c. One variable of stages/inventory-ID.nc; NULL id gives NULL. */
SKY_NODISCARD sky_status sky_inverting_variable(sky_context *ctx, const sky_job *job,
                                                const char *id, const char *var, size_t n,
                                                double **out);
/* W and constants of the zones and of replaced base cells, for the state x0 of a problem. */
SKY_NODISCARD sky_status sky_inverting_grid(sky_context *ctx, const sky_job *job, const double *x0,
                                            sky_inverting *v);
/* The posterior of the layers as fields on the mesh; sd and kernel on the base grid. */
void sky_inverting_fields(sky_inverting *v, const double *x0);
SKY_NODISCARD sky_status sky_inverting_base(sky_context *ctx, sky_inverting *v);
/* v's functionals with the covariance of the compared inventory. */
sky_functionals sky_inverting_functionals(const sky_inverting *v);

/* invert_compared.c: the compared inventory's covariance, of mesh cells; 1-sigma of one cell; the
 * inventory seen through the kernel. */
SKY_NODISCARD sky_status sky_inverting_compared(sky_context *ctx, sky_inverting *v);
double sky_inverting_cell_sd(const sky_inverting *v, double flux);
void sky_inverting_see(sky_inverting *v, const double *x0, size_t n_moved);

/* invert_observations.c, invert_information.c: v->post and the fields. */
SKY_NODISCARD sky_status sky_inverting_observations(sky_context *ctx, const sky_job *job,
                                                    const sky_stage *stage, sky_facts *facts,
                                                    sky_inverting *v);
SKY_NODISCARD sky_status sky_inverting_information(sky_context *ctx, const sky_job *job,
                                                   const sky_stage *stage, sky_facts *facts,
                                                   sky_inverting *v);

/* invert_prepare.c: outliers, tuned statistics and reweighting, as the job asks; said in facts. */
SKY_NODISCARD sky_status sky_inverting_prepare(sky_context *ctx, const sky_job *job, sky_problem *p,
                                               sky_problem_labels *l, sky_facts *facts,
                                               sky_inverting *v);
/* invert_sign.c: v->post from the mode or the draws of fluxes that are not negative. */
SKY_NODISCARD sky_status sky_inverting_signed(sky_context *ctx, const sky_problem *p,
                                              sky_inverting *v);
/* invert_sectors.c: what the sectors are told, in sentences and numbers; M [n_sector²] = W A W* of
 * their totals: what of a change in one arrives in another. */
SKY_NODISCARD sky_status sky_inverting_sector_kernel(sky_context *ctx, const sky_inverting *v,
                                                     double *M);
SKY_NODISCARD sky_status sky_inverting_record_sectors(sky_context *ctx, sky_facts *facts,
                                                      const sky_inverting *v);
/* invert_write.c, invert_record.c */
SKY_NODISCARD sky_status sky_inverting_write(sky_context *ctx, const char *path,
                                             const sky_inverting *v, char *const *tags);
void sky_inverting_record_information(sky_facts *facts, const sky_inverting *v);
SKY_NODISCARD sky_status sky_inverting_record_observations(sky_context *ctx, sky_facts *facts,
                                                           const sky_inverting *v);
#endif
