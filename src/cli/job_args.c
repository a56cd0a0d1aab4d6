/* job_args.c: see job_args.h. */
#include "src/cli/job_args.h"

#include <string.h>

#include "src/core/memory.h"

sky_status sky_job_args_option(sky_context *ctx, void *user, const char *name, const char *value) {
  sky_job_args *args = user;
  if (strcmp(name, "set") == 0) {
    const char **grown =
        sky_realloc(ctx, args->sets, args->n_sets, args->n_sets + 1, sizeof *grown);
    if (grown == NULL) return SKY_E_NOMEM;
    args->sets = grown;
    args->sets[args->n_sets++] = value;
  } else if (strcmp(name, "fresh") == 0) {
    args->fresh = true;
  } else if (strcmp(name, "stage") == 0) {
    args->only = value;
  } else if (strcmp(name, "truth") == 0) {
    args->truth = value;
  }
  return SKY_OK; /* --resume is the default */
}

sky_status sky_job_args_open(sky_context *ctx, const sky_cli_common *common,
                             const sky_job_args *args, const char *command, sky_job *job) {
  if (common->n_args != 1)
    return sky_fail(ctx, SKY_E_USAGE, "%s: expected one job file, got %d arguments", command,
                    common->n_args);
  return sky_job_open(ctx, common->args[0], args->sets, args->n_sets, job);
}

void sky_job_args_free(sky_job_args *args) {
  sky_free(args->sets);
}
