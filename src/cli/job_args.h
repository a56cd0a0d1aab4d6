/* job_args.h: the arguments that every job command shares: JOB, --set, and opening the job. */
#ifndef SKY_CLI_JOB_ARGS_H
#define SKY_CLI_JOB_ARGS_H

#include "src/cli/cli.h"
#include "src/job/job.h"

#define SKY_SET_OPTION \
  { "set", 0, "KEY=VALUE", "replace a job key or a ${variable}; may be given again" }

typedef struct sky_job_args {
  const char **sets; /* grows */
  size_t n_sets;
  bool fresh;
  const char *only, *truth;
} sky_job_args;

/* Handles --set, --fresh, --resume, --stage, --truth; to be used as the handler of sky_cli_parse.
 */
sky_status sky_job_args_option(sky_context *ctx, void *user, const char *name, const char *value);
/* Opens the one positional argument. */
SKY_NODISCARD sky_status sky_job_args_open(sky_context *ctx, const sky_cli_common *common,
                                           const sky_job_args *args, const char *command,
                                           sky_job *job);
void sky_job_args_free(sky_job_args *args);

#endif
