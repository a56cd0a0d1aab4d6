/* invert_solve.c: see invert_solve.h. */
#include "src/cli/invert_solve.h"

#include <string.h>

#include "src/core/memory.h"
#include "src/core/number.h"

sky_status sky_invert_solve_option(sky_context *ctx, sky_solve_options *o, const char *name,
                                   const char *value, bool *taken) {
  *taken = true;
  if (strcmp(name, "tolerance") == 0) {
    if (!sky_number_parse(value, &o->tolerance, NULL) || !(o->tolerance > 0 && o->tolerance < 1))
      return sky_fail(ctx, SKY_E_USAGE, "--tolerance: '%s' (expected a number above 0, below 1)",
                      value);
  } else if (strcmp(name, "checkpoint") == 0) {
    o->checkpoint = value;
  } else if (strcmp(name, "float32") == 0) {
    o->float32 = true;
  } else {
    *taken = false;
  }
  return SKY_OK;
}

sky_status sky_invert_solve_run(sky_context *ctx, const sky_solve_options *o, const sky_problem *p,
                                const sky_functionals *zones, sky_posterior *out,
                                sky_iterate_report *report, const char **method) {
  SKY_TRY(sky_solve_method(ctx, o, p, zones, method));
  if (strcmp(*method, "iterative") != 0 &&
      (o->tolerance > 0 || o->checkpoint != NULL || o->float32))
    return sky_fail(ctx, SKY_E_USAGE,
                    "--tolerance, --checkpoint and --float32 belong to --method iterative");
  return sky_solve_gaussian(ctx, o, *method, p, zones, out, report);
}
