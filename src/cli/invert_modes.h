/* invert_modes.h: what `skyflux invert` can do beside the plain exact solution, one file each:
 * invert_geostat.c, invert_tune.c. invert_modes.c holds their options and chooses. */
#ifndef SKY_CLI_INVERT_MODES_H
#define SKY_CLI_INVERT_MODES_H

#include <cjson/cJSON.h>

#include "src/cli/cli.h"
#include "src/read/problem_labels.h"

typedef struct sky_invert_modes { /* the options as given; NULL = not given */
  const char *method, *tune, *holdout;
  bool restricted, desroziers;
} sky_invert_modes;

#define SKY_INVERT_OPTIONS                                                                       \
  {"method", 'm', "NAME",                                                                        \
   "bayes (default) or geostatistical: unknown mean along drift(drift,state)"},                  \
      {"tune", 't', "LIST",                                                                      \
       "fit length, tau, sigma_q, sigma_r (comma-separated) to the data by maximum likelihood"}, \
      {"reml", 0, NULL, "with --tune: restricted likelihood, mean unknown along the drift"},     \
      {"desroziers", 0, NULL, "with --tune: Desroziers' fixed point of sigma_q, sigma_r"}, {     \
    "holdout", 0, "K",                                                                           \
        "with --tune: keep every K-th overpass out of the fit and predict it afterwards"         \
  }

/* True where name is one of SKY_INVERT_OPTIONS; then it is taken. */
bool sky_invert_take(sky_invert_modes *m, const char *name, const char *value);
/* True where another answer than the plain solution is asked for. */
bool sky_invert_has_mode(const sky_invert_modes *m);
/* Reads the labels of the problem file, runs the mode and prints its answer (--json: one object).
 * output: NetCDF file or NULL. */
SKY_NODISCARD sky_status sky_invert_run_mode(sky_context *ctx, const sky_invert_modes *m,
                                             const char *path, const char *output, bool json,
                                             sky_problem *p);

/* The modes: each adds its numbers to `answer`. */
SKY_NODISCARD sky_status sky_invert_geostat(sky_context *ctx, const sky_problem *p,
                                            const sky_problem_labels *l, const char *output,
                                            cJSON *answer);
/* Also leaves the tuned values in p. */
SKY_NODISCARD sky_status sky_invert_tune(sky_context *ctx, const sky_invert_modes *m,
                                         const sky_problem_labels *l, sky_problem *p,
                                         cJSON *answer);
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
