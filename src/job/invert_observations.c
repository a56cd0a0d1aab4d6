/* invert_observations.c: the posterior in observation space: the problem of stage_footprint, solved
 * as the job asks (solve.h, solve_sign.h). */
#include <math.h>
#include <string.h>

#include "algorithms/inversion/control.h"
#include "algorithms/inversion/diagnose.h"
#include "algorithms/inversion/hyper.h"
#include "algorithms/inversion/smoother.h"
#include "src/core/memory.h"
#include "src/job/inverting.h"

/* aᵀ(A - I)Q(A - I)ᵀa of every zone. */
static sky_status smoothing(sky_context *ctx, const sky_problem *p, sky_inverting *v) {
  v->smoothing_sd = SKY_NEW(ctx, double, v->zones.n);
  if (v->smoothing_sd == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_smoothing_error(ctx, p, v->zones.n, v->W, v->post.zone_A, v->smoothing_sd));
  for (size_t z = 0; z < v->zones.n; z++)
    v->smoothing_sd[z] = isnan(v->constant[z]) ? NAN : sqrt(fmax(v->smoothing_sd[z], 0.0));
  return SKY_OK;
}

static size_t lag_of(const sky_inverting *v) {
  const double lag = sky_node_number(v->node, "solver.lag");
  return isnan(lag) ? v->n_time - 1 : (size_t)lag;
}

static sky_status gaussian(sky_context *ctx, const sky_job *job, const char *path,
                           const sky_problem *p, const sky_problem_labels *l,
                           const sky_functionals *rows, sky_inverting *v) {
  const char *method = sky_node_text(v->node, "solver.method");
  const sky_drift drift = {.n = l->n_drift, .X = l->drift};
  char *checkpoint = NULL;
  sky_solve_options o = {.method = strcmp(method, "auto") == 0 ? NULL : method,
                         .problem = path,
                         .tolerance = sky_node_number(v->node, "solver.tolerance"),
                         .float32 = sky_node_bool(v->node, "solver.float32"),
                         .renew = true,
                         .kernels = true};
  sky_status st = SKY_OK;
  v->kernel = true;
  v->estimate = "mean";
  if (strcmp(method, "geostatistical") == 0) {
    v->method = method;
    return sky_solve_geostat(ctx, p, &drift, rows, &v->post);
  }
  if (strcmp(method, "smoother") == 0) {
    v->method = method;
    v->kernel = false;
    return sky_solve_smoother(ctx, p, lag_of(v), rows, &v->post);
  }
  SKY_TRY(sky_solve_method(ctx, &o, p, rows, &v->method));
  if (sky_node_bool(v->node, "solver.checkpoint"))
    SKY_GO_ALLOC(checkpoint, sky_sprintf(ctx, "%s/products-%s.journal", job->stage_dir, v->gas));
  o.checkpoint = checkpoint;
  SKY_GO(sky_solve_gaussian(ctx, &o, v->method, p, rows, &v->post, &v->report));
  SKY_GO(smoothing(ctx, p, v));
cleanup:
  sky_free(checkpoint);
  return st;
}

static sky_status compared_state(sky_context *ctx, sky_inverting *v) {
  const size_t n = v->n_time * v->n_cell;
  if (v->compared_flux == NULL) return SKY_OK;
  v->x_compared = SKY_NEW(ctx, double, n);
  if (v->x_compared == NULL) return SKY_E_NOMEM;
  for (size_t s = 0; s < n; s++)
    v->x_compared[s] = sky_or_zero(v->compared_flux[s % v->n_cell]);
  return sky_inverting_compared(ctx, v);
}

/* What the stage holds at its peak, for the plan: that of its dearest part. */
static double bytes_of(const sky_problem *p, const sky_functionals *rows, const sky_inverting *v) {
  const bool positive = strcmp(sky_node_text(v->node, "sign"), "gaussian") != 0;
  const bool drawn = sky_node_get(v->node, "samples") != NULL;
  const bool lognormal = strcmp(sky_node_text(v->node, "sign"), "lognormal") == 0;
  const bool dense = sky_node_bool(v->node, "solver.screen") ||
                     sky_node_get(v->node, "solver.huber") != NULL ||
                     strcmp(sky_node_text(v->node, "solver.method"), "geostatistical") == 0;
  double most = positive ? sky_bounded_bytes(p) : sky_problem_bytes(p, rows);
  if (positive && (drawn || lognormal)) most = fmax(most, sky_control_bytes(p));
  if (strcmp(sky_node_text(v->node, "solver.method"), "smoother") == 0)
    most = sky_smoother_bytes(p, lag_of(v), v->n_row);
  if (dense) most = fmax(most, sky_dual_bytes(p, 0));
  if (sky_node_get(v->node, "tune") != NULL)
    most = fmax(most, sky_dual_bytes(p, sky_node_count(sky_node_get(v->node, "tune.parameters")) +
                                            SKY_HYPER_SQUARES));
  return most;
}

sky_status sky_inverting_observations(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                                      sky_facts *facts, sky_inverting *v) {
  sky_problem p = {0};
  sky_problem_labels l = {0};
  char *path = sky_sprintf(ctx, "%s/problem-%s.nc", job->stage_dir, stage->gas);
  sky_status st = SKY_OK;
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_problem_read(ctx, path, &p));
  SKY_GO(sky_problem_labels_read(ctx, path, &p, &l));
  v->n_state = p.n_state;
  v->n_time = p.n_time;
  SKY_GO(sky_inverting_grid(ctx, job, p.x0, v));
  SKY_GO(compared_state(ctx, v));
  SKY_GO(sky_inverting_prepare(ctx, job, &p, &l, facts, v));
  const sky_functionals rows = sky_inverting_functionals(v);
  v->bytes = bytes_of(&p, &rows, v);
  if (strcmp(sky_node_text(v->node, "sign"), "gaussian") == 0)
    SKY_GO(gaussian(ctx, job, path, &p, &l, &rows, v));
  else
    SKY_GO(sky_inverting_signed(ctx, &p, v));
  for (size_t r = 0; r < v->n_row; r++) /* no total, no error */
    if (isnan(v->constant[r])) v->post.prior_sd[r] = v->post.total_sd[r] = NAN;
  sky_inverting_see(v, p.x0, v->n_time * v->n_cell);
  sky_inverting_fields(v, p.x0);
  SKY_GO(sky_inverting_base(ctx, v));
cleanup:
  sky_problem_labels_free(&l);
  sky_problem_free(&p);
  sky_free(path);
  return st;
}
