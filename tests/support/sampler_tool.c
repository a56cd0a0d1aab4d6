/* sampler_tool FILE.nc stored | sample CHAINS DRAWS SEED THREADS
 *
 * stored: what our forward model makes of the draws of a stored sampler run, as the largest
 * deviation relative to the largest number of each array, and what our diagnostics say of its
 * chains. sample: the same model sampled by us: "name mean sd rhat ess_bulk ess_tail mc_error" a
 * line. The priors are those of the run: x ~ N(1, 1), b ~ N(1, 0.1), both cut at 0, sigma uniform
 * in 0.1..3; its stored densities bear them out (line "density"). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/signal_error.h"
#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/read/sampler_run.h"

static sky_signal_model model_of(const sky_sampler_run *r) {
  return (sky_signal_model){.n_obs = r->n_obs,
                            .n_x = r->n_x,
                            .n_b = r->n_b,
                            .y = r->y,
                            .error = r->error,
                            .Hx = r->Hx,
                            .Hb = r->Hb,
                            .x_mean = 1,
                            .x_sd = 1,
                            .b_mean = 1,
                            .b_sd = 0.1,
                            .sigma_low = 0.1,
                            .sigma_high = 3};
}

typedef struct worst { /* largest deviation and largest number */
  double off, size;
} worst;

static void compare(worst *w, const double *got, const double *stored, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!(fabs(got[i] - stored[i]) <= w->off)) w->off = fabs(got[i] - stored[i]);
    w->size = fmax(w->size, fabs(stored[i]));
  }
}

static sky_status summarise(sky_context *ctx, const char *name, size_t k, const double *draws,
                            size_t chains, size_t n_draw, size_t stride, size_t divergent) {
  sky_chain_summary s;
  SKY_TRY(sky_chain_summarise(ctx, draws, chains, n_draw, stride, divergent, &s));
  printf("%s%zu %.12g %.12g %.6g %.6g %.6g %.6g %s\n", name, k, s.mean, s.sd, s.rhat, s.ess_bulk,
         s.ess_tail, s.mc_error, sky_chain_verdict_text(s.verdict));
  return SKY_OK;
}

static sky_status stored(sky_context *ctx, const sky_sampler_run *r) {
  const sky_signal_model m = model_of(r);
  const size_t n = r->n_obs, all = r->n_chain * r->n_draw;
  double *v = SKY_NEW(ctx, double, 4 * n);
  if (v == NULL) return SKY_E_NOMEM;
  const sky_signal_forward f = {v, v + n, v + 2 * n, v + 3 * n};
  worst mu = {0, 0}, mu_bc = {0, 0}, epsilon = {0, 0}, like = {0, 0}, density = {0, 0};
  for (size_t d = 0; d < all; d++) {
    sky_signal_simulate(&m, r->x + d * r->n_x, r->b + d * r->n_b, r->sigma[d], &f);
    compare(&mu, f.mu, r->mu + d * n, n);
    compare(&mu_bc, f.mu_bc, r->mu_bc + d * n, n);
    compare(&epsilon, f.epsilon, r->epsilon + d * n, n);
    compare(&like, f.log_likelihood, r->log_likelihood + d * n, n);
    const double ln = sky_sum(f.log_likelihood, n) +
                      sky_signal_log_prior(&m, r->x + d * r->n_x, r->b + d * r->n_b, r->sigma[d]);
    compare(&density, &(double){-ln}, r->lp + d, 1);
  }
  printf("draws %zu\nmu %.3g\nmu_bc %.3g\nepsilon %.3g\nlog_likelihood %.3g\ndensity %.3g\n", all,
         mu.off / mu.size, mu_bc.off / mu_bc.size, epsilon.off / epsilon.size, like.off / like.size,
         density.off / density.size);
  sky_free(v);
  for (size_t j = 0; j < r->n_x; j++) {
    SKY_TRY(summarise(ctx, "x", j, r->x + j, r->n_chain, r->n_draw, r->n_x, r->divergent));
    SKY_TRY(summarise(ctx, "unmarked_x", j, r->x + j, r->n_chain, r->n_draw, r->n_x, 0));
  }
  return summarise(ctx, "sigma", 0, r->sigma, r->n_chain, r->n_draw, 1, r->divergent);
}

static sky_status sample(sky_context *ctx, const sky_sampler_run *r, char **argv) {
  const sky_signal_model m = model_of(r);
  const sky_sampling how = {.n_chain = strtoul(argv[0], NULL, 10),
                            .n_draw = strtoul(argv[1], NULL, 10),
                            .n_warmup = 1000,
                            .seed = strtoul(argv[2], NULL, 10)};
  const size_t width = r->n_x + r->n_b + 1;
  sky_hmc_report report;
  sky_context_set_threads(ctx, (int)strtol(argv[3], NULL, 10));
  double *rows = SKY_NEW(ctx, double, how.n_chain *how.n_draw *width);
  if (rows == NULL) return SKY_E_NOMEM;
  sky_status st = sky_signal_sample(ctx, &m, &how, rows, &report);
  if (st == SKY_OK) printf("divergent %zu\n", report.divergent);
  for (size_t k = 0; st == SKY_OK && k < width; k++) {
    const char *name = k < r->n_x ? "x" : k + 1 < width ? "b" : "sigma";
    st = summarise(ctx, name,
                   k < r->n_x      ? k
                   : k + 1 < width ? k - r->n_x
                                   : 0,
                   rows + k, how.n_chain, how.n_draw, width, report.divergent);
  }
  sky_free(rows);
  return st;
}

int main(int argc, char **argv) {
  sky_context *ctx;
  sky_sampler_run r;
  const bool draws = argc == 7 && strcmp(argv[2], "sample") == 0;
  if ((!draws && (argc != 3 || strcmp(argv[2], "stored") != 0)) ||
      sky_context_create(&ctx) != SKY_OK)
    return 2;
  sky_status st = sky_sampler_run_read(ctx, argv[1], &r);
  if (st == SKY_OK) st = draws ? sample(ctx, &r, argv + 3) : stored(ctx, &r);
  if (st != SKY_OK) fprintf(stderr, "%s\n", sky_error(ctx));
  sky_sampler_run_free(&r);
  sky_context_free(ctx);
  return st == SKY_OK ? 0 : 1;
}
