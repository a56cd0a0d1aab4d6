/* invert_modes.h: what `skyflux invert` can do beside the plain exact solution, one file each:
 * invert_diagnose.c, invert_geostat.c, invert_osse.c, invert_smoother.c, invert_tune.c.
 * invert_modes.c holds their options and chooses. */
#ifndef SKY_CLI_INVERT_MODES_H
#define SKY_CLI_INVERT_MODES_H

#include <cjson/cJSON.h>

#include "algorithms/inversion/diagnose.h"
#include "src/read/problem_zones.h"
#include "src/cli/cli.h"
#include "src/cli/invert_sign.h"
#include "src/cli/invert_zones.h"
#include "src/read/problem_labels.h"
#include "src/write/nc_write.h"

typedef struct sky_invert_modes { /* the options as given; NULL = not given */
  const char *method, *lag, *tune, *holdout, *huber, *coarsen;
  const char *osse, *seed, *noise_factor, *noise_correlation, *prior_factor, *length_factor;
  const sky_invert_sign *sign; /* of an experiment with fluxes that are not negative; NULL */
  bool restricted, desroziers, screen, diagnose;
} sky_invert_modes;

#define SKY_INVERT_OPTIONS                                                                         \
  {"lag", 0, "K", "with the smoother: fixed lag of K time steps"},                                 \
      {"tune", 't', "LIST",                                                                        \
       "fit length, tau, sigma_q, sigma_r (comma-separated) to the data first"},                   \
      {"reml", 0, NULL, "tune by restricted likelihood: mean unknown along the drift"},            \
      {"desroziers", 0, NULL, "tune sigma_q, sigma_r by Desroziers' fixed point"},                 \
      {"holdout", 0, "K", "keep every K-th overpass out of the tuning and predict it afterwards"}, \
      {"screen", 0, NULL, "drop observations whose innovation exceeds 4 of its sds, before all"},  \
      {"huber", 0, "K", "Huber's loss: residuals beyond K sds count linearly"},                    \
      {"diagnose", 'd', NULL,                                                                      \
       "leave-one-out, influence, innovation tests, chi2 criteria, sectors"},                      \
      {"coarsen", 0, "F", "with --diagnose: cost of a mesh of F x F cells"},                       \
      {"osse", 0, "N",                                                                             \
       "draw N truths and observations from the statistics and judge the answers"},                \
      {"noise-factor", 0, "F", "with --osse: true noise over the stated one (default 1)"},         \
      {"noise-correlation", 0, "R", "with --osse: along the observations (default 0)"},            \
      {"prior-factor", 0, "F", "with --osse: true prior sd over the stated one (default 1)"}, {    \
    "length-factor", 0, "F",                                                                       \
        "with --osse: true correlation length over the stated one (default 1)"                     \
  }

/* True where name is one of SKY_INVERT_OPTIONS; then it is taken. */
bool sky_invert_take(sky_invert_modes *m, const char *name, const char *value);
bool sky_invert_osse_option(const char *name); /* --osse, or an option that goes with it */
/* --osse, or an option that goes with it, was given. */
bool sky_invert_of_osse(const sky_invert_modes *m);
/* Reads the labels, drops outliers, tunes and reweights as asked: p is changed, and what was done
 * is added to `answer`. *done: the mode gave another answer than the plain solution
 * (geostatistical, experiment), which is in `answer` and in the file `output` (NULL = none). */
SKY_NODISCARD sky_status sky_invert_prepare(sky_context *ctx, const sky_invert_modes *m,
                                            const char *path, const char *output,
                                            sky_invert_zones *zones, sky_problem *p,
                                            sky_problem_labels *l, cJSON *answer, bool *done);
/* Prints one object, or one line a value. */
SKY_NODISCARD sky_status sky_invert_print(sky_context *ctx, const cJSON *answer, bool json);

/* The modes: each adds its numbers to `answer`. */
SKY_NODISCARD sky_status sky_invert_geostat(sky_context *ctx, const sky_problem *p,
                                            const sky_problem_labels *l, const char *output,
                                            const sky_invert_zones *zones, cJSON *answer);
/* Also leaves the tuned values in p. */
SKY_NODISCARD sky_status sky_invert_tune(sky_context *ctx, const sky_invert_modes *m,
                                         const sky_problem_labels *l, sky_problem *p,
                                         cJSON *answer);
SKY_NODISCARD sky_status sky_invert_smoother(sky_context *ctx, const sky_invert_modes *m,
                                             const sky_problem *p, const char *output,
                                             const sky_invert_zones *zones, cJSON *answer);
/* zones: of the problem file. */
SKY_NODISCARD sky_status sky_invert_osse(sky_context *ctx, const sky_invert_modes *m,
                                         const sky_problem *p, const sky_problem_labels *l,
                                         const sky_problem_zones *zones, cJSON *answer);
/* Of the plain solution, whose first zone is the total. */
SKY_NODISCARD sky_status sky_invert_diagnose(sky_context *ctx, const sky_invert_modes *m,
                                             const sky_problem *p, const sky_problem_labels *l,
                                             const sky_posterior *post, sky_diagnosis *diagnosis,
                                             cJSON *answer);
/* Variables of a diagnosis into the posterior file, which has the dimension obs. */
SKY_NODISCARD sky_status sky_invert_put_diagnosis(sky_ncw *w, const sky_diagnosis *d);
/* A number low < v < high given to an option; NULL text = otherwise. */
SKY_NODISCARD sky_status sky_invert_option_number(sky_context *ctx, const char *option,
                                                  const char *text, double otherwise, double low,
                                                  double high, double *out);
/* Adds a number, or an array; SKY_E_NOMEM. */
SKY_NODISCARD sky_status sky_invert_number(sky_context *ctx, cJSON *to, const char *key, double v);
SKY_NODISCARD sky_status sky_invert_numbers(sky_context *ctx, cJSON *to, const char *key,
                                            const double *v, size_t n);
SKY_NODISCARD sky_status sky_invert_text(sky_context *ctx, cJSON *to, const char *key,
                                         const char *text);
/* A new object (or array) under key, or at the end of an array where key is NULL; NULL = no memory,
 * said in ctx. */
cJSON *sky_invert_object(sky_context *ctx, cJSON *to, const char *key, bool array);

#endif
