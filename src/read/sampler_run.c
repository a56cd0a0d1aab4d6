/* sampler_run.c: the arrays of a stored sampler run, with their shapes checked. */
#include "src/read/sampler_run.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/read/nc.h"

#define CONSTANT "/trace/constant_data/"
#define POSTERIOR "/trace/posterior/"

void sky_sampler_run_free(sky_sampler_run *r) {
  if (r == NULL) return;
  double *const all[] = {
      r->y,       r->error,          r->Hx, r->Hb, r->x, r->b, r->sigma, r->mu, r->mu_bc,
      r->epsilon, r->log_likelihood, r->lp};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    sky_free(all[i]);
  memset(r, 0, sizeof *r);
}

/* Finite numbers of exactly this shape; 0 ends it. */
static sky_status take(sky_context *ctx, sky_nc *f, const char *var, const size_t *shape,
                       double **out) {
  sky_nc_var info;
  SKY_TRY(sky_nc_info(ctx, f, var, &info));
  int d = 0;
  while (d < info.ndims && shape[d] != 0 && info.size[d] == shape[d])
    d++;
  if (d < info.ndims || shape[d] != 0)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: dimension %d does not fit the others",
                    sky_nc_path(f), var, d);
  SKY_TRY(sky_nc_read(ctx, f, var, &info, out));
  for (size_t i = 0; i < info.count; i++)
    if (!isfinite((*out)[i]))
      return sky_fail(ctx, SKY_E_RANGE, "%s: %s[%zu] is %g (expected a finite number)",
                      sky_nc_path(f), var, i, (*out)[i]);
  return SKY_OK;
}

static sky_status read_sizes(sky_context *ctx, sky_nc *f, sky_sampler_run *r) {
  sky_nc_var hx, hb, x;
  SKY_TRY(sky_nc_info(ctx, f, CONSTANT "hx", &hx));
  SKY_TRY(sky_nc_info(ctx, f, CONSTANT "hbc", &hb));
  SKY_TRY(sky_nc_info(ctx, f, POSTERIOR "x", &x));
  if (hx.ndims != 2 || hb.ndims != 2 || x.ndims != 3)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: hx, hbc and x have %d, %d and %d dimensions "
                    "(expected 2, 2 and 3)",
                    sky_nc_path(f), hx.ndims, hb.ndims, x.ndims);
  r->n_obs = hx.size[0];
  r->n_x = hx.size[1];
  r->n_b = hb.size[1];
  r->n_chain = x.size[0];
  r->n_draw = x.size[1];
  if (hx.count > 0 && hb.count > 0 && x.count > 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_NODATA, "%s: no observation, no state or no draw", sky_nc_path(f));
}

static sky_status read_draws(sky_context *ctx, sky_nc *f, sky_sampler_run *r) {
  const size_t c = r->n_chain, d = r->n_draw, n = r->n_obs;
  double *diverging = NULL;
  SKY_TRY(take(ctx, f, POSTERIOR "x", (const size_t[]){c, d, r->n_x, 0}, &r->x));
  SKY_TRY(take(ctx, f, POSTERIOR "bc", (const size_t[]){c, d, r->n_b, 0}, &r->b));
  SKY_TRY(take(ctx, f, POSTERIOR "sigma", (const size_t[]){c, d, 1, 1, 0}, &r->sigma));
  SKY_TRY(take(ctx, f, POSTERIOR "mu", (const size_t[]){c, d, n, 0}, &r->mu));
  SKY_TRY(take(ctx, f, POSTERIOR "mu_bc", (const size_t[]){c, d, n, 0}, &r->mu_bc));
  SKY_TRY(take(ctx, f, POSTERIOR "epsilon", (const size_t[]){c, d, n, 0}, &r->epsilon));
  SKY_TRY(
      take(ctx, f, "/trace/log_likelihood/y", (const size_t[]){c, d, n, 0}, &r->log_likelihood));
  SKY_TRY(take(ctx, f, "/trace/sample_stats/lp", (const size_t[]){c, d, 0}, &r->lp));
  const sky_status st =
      take(ctx, f, "/trace/sample_stats/diverging", (const size_t[]){c, d, 0}, &diverging);
  for (size_t i = 0; st == SKY_OK && i < c * d; i++)
    r->divergent += diverging[i] != 0;
  sky_free(diverging);
  return st;
}

sky_status sky_sampler_run_read(sky_context *ctx, const char *path, sky_sampler_run *out) {
  sky_nc *f = NULL;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(read_sizes(ctx, f, out));
  const size_t n = out->n_obs;
  SKY_GO(take(ctx, f, "/trace/observed_data/y", (const size_t[]){n, 0}, &out->y));
  SKY_GO(take(ctx, f, CONSTANT "error", (const size_t[]){n, 0}, &out->error));
  SKY_GO(take(ctx, f, CONSTANT "hx", (const size_t[]){n, out->n_x, 0}, &out->Hx));
  SKY_GO(take(ctx, f, CONSTANT "hbc", (const size_t[]){n, out->n_b, 0}, &out->Hb));
  SKY_GO(read_draws(ctx, f, out));
cleanup:
  sky_nc_close(f);
  if (st != SKY_OK) sky_sampler_run_free(out);
  return st;
}
