/* sampler_run.h: a stored sampler run of a regional inversion (openghg inversions, RHIME): groups
 * /trace/constant_data, /trace/observed_data, /trace/posterior, /trace/log_likelihood and
 * /trace/sample_stats. */
#ifndef SKY_READ_SAMPLER_RUN_H
#define SKY_READ_SAMPLER_RUN_H

#include "skyflux/context.h"

typedef struct sky_sampler_run {
  size_t n_obs, n_x, n_b, n_chain, n_draw;
  double *y, *error;            /* [n_obs] */
  double *Hx, *Hb;              /* [n_obs*n_x], [n_obs*n_b] */
  double *x, *b, *sigma;        /* [chain*draw*n_x], [chain*draw*n_b], [chain*draw] */
  double *mu, *mu_bc, *epsilon; /* [chain*draw*n_obs] as stored */
  double *log_likelihood;       /* [chain*draw*n_obs] */
  double *lp;                   /* [chain*draw] minus ln of the density, as the sampler stored it */
  size_t divergent;             /* draws marked so */
} sky_sampler_run;

/* One sigma for all sites and times (SKY_E_FORMAT otherwise); shapes must fit one another. */
SKY_NODISCARD sky_status sky_sampler_run_read(sky_context *ctx, const char *path,
                                              sky_sampler_run *out);
void sky_sampler_run_free(sky_sampler_run *r); /* NULL-safe, zeroes */

#endif
