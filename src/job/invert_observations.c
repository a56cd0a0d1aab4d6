/* invert_observations.c: the posterior in observation space: the problem of stage_footprint. */
#include "src/core/memory.h"
#include "src/job/inverting.h"

sky_status sky_inverting_observations(sky_context *ctx, const sky_job *job, const sky_stage *stage, sky_facts *facts, sky_inverting *v) {
  sky_problem p = {0};
  char *path = sky_sprintf(ctx, "%s/problem-%s.nc", job->stage_dir, stage->gas);
  sky_status st = SKY_OK;
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_problem_read(ctx, path, &p));
  v->n_state = p.n_state;
  v->n_time = p.n_time;
  SKY_GO(sky_inverting_grid(ctx, job, p.x0, v));
  if (v->compared_flux != NULL) {
    const size_t n = v->n_time * v->n_cell;
    SKY_GO_ALLOC(v->x_compared, SKY_NEW(ctx, double, n));
    for (size_t s = 0; s < n; s++)
      v->x_compared[s] = sky_or_zero(v->compared_flux[s % v->n_cell]);
    SKY_GO(sky_inverting_compared(ctx, v));
  }
  const sky_functionals zones = sky_inverting_functionals(v);
  v->bytes = sky_problem_bytes(&p, v->n_row);
  (void)facts;
  SKY_GO(sky_problem_solve(ctx, &p, &zones, &v->post));
  for (size_t r = 0; r < v->n_row; r++) /* no total, no error */
    if (isnan(v->constant[r])) v->post.prior_sd[r] = v->post.total_sd[r] = NAN;
  sky_inverting_see(v, p.x0, v->n_time * v->n_cell);
  for (size_t l = 0; l < v->n_layer; l++)
    sky_inverting_fields(v, p.x0, l);
  SKY_GO(sky_inverting_base(ctx, v));
cleanup:
  sky_problem_free(&p);
  sky_free(path);
  return st;
}
