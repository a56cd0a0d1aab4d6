/* invert_solve.h: which method answers a Gaussian problem, exact or iterative, and its options. */
#ifndef SKY_CLI_INVERT_SOLVE_H
#define SKY_CLI_INVERT_SOLVE_H

#include "src/job/solve.h"

#define SKY_INVERT_SOLVE_OPTIONS                                                                  \
  {"tolerance", 0, "T", "iterative: error of totals in their sd, and of the sd (1e-10)"},         \
      {"checkpoint", 0, "FILE", "iterative: keep products here, so that a killed run goes on"}, { \
    "float32", 0, NULL, "iterative: hold the Jacobian in 4-byte values"                           \
  }

/* *taken: the option is one of these. */
SKY_NODISCARD sky_status sky_invert_solve_option(sky_context *ctx, sky_solve_options *o,
                                                 const char *name, const char *value, bool *taken);
/* *method: "exact" or "iterative", with the reason in the log. */
SKY_NODISCARD sky_status sky_invert_solve_run(sky_context *ctx, const sky_solve_options *o,
                                              const sky_problem *p, const sky_functionals *zones,
                                              sky_posterior *out, sky_iterate_report *report,
                                              const char **method);
#endif
