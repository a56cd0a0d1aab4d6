/* solve_prepare.h: what is done to a problem before it is solved: outliers screened, covariance
 * parameters tuned and judged by overpasses held out, large residuals reweighted. The same for
 * `skyflux invert` and for the stage of a job. All hold dense matrices of the observations. */
#ifndef SKY_JOB_SOLVE_PREPARE_H
#define SKY_JOB_SOLVE_PREPARE_H

#include "algorithms/inversion/heldout.h"
#include "algorithms/inversion/hyper.h"
#include "src/read/problem_labels.h"

/* The columns of the labels, else a constant; its arrays stay theirs. */
sky_drift sky_solve_drift(const sky_problem_labels *l);
/* Drops the observations whose innovation exceeds SKY_OUTLIER of its sds from p and its labels.
 * drift: the mean is unknown, so it is estimated first and x0 has no say; NULL: the mean is x0.
 * index [n_obs as it was]: those that are kept, ascending; *n: how many. SKY_E_NODATA: none. */
SKY_NODISCARD sky_status sky_solve_screen(sky_context *ctx, const sky_drift *drift, sky_problem *p,
                                          sky_problem_labels *l, size_t *index, size_t *n);

typedef struct sky_tune_request {
  bool length, time, sigma_q, sigma_r; /* what is tuned */
  bool restricted, desroziers;         /* in place of maximum likelihood; not both */
  bool geostatistical; /* the mean of the solution is unknown along the drift: takes `restricted` */
  size_t holdout; /* every so many-th overpass is kept out of the fit, 2..n_overpass; 0: none */
} sky_tune_request;

typedef struct sky_tune_result {
  sky_tuning tuning;
  size_t n_out;             /* observations held out */
  sky_heldout given, tuned; /* their prediction before and after, if n_out > 0 */
} sky_tune_result;

/* "length", "tau", "sigma_q" or "sigma_r" (n characters) -> the flag of it; NULL: another word. */
bool *sky_tune_flag(sky_tune_request *q, const char *name, size_t n);
/* e.g. "sigma_r_sensor0"; a factor where the given sds differ. */
void sky_tune_name(const sky_hyper *h, char *name, size_t size);
const char *sky_tune_method(const sky_tune_request *q); /* in words */
/* Tunes and leaves the values in p; per sector and sensor where the labels have them. The
 * restricted likelihood has the labels' drift, else a constant. SKY_E_USAGE: another likelihood for
 * a geostatistical solution, which has no mean that it could use. */
SKY_NODISCARD sky_status sky_solve_tune(sky_context *ctx, const sky_tune_request *q,
                                        const sky_problem_labels *l, sky_problem *p,
                                        sky_tune_result *out);
#endif
