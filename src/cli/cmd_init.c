/* cmd_init.c: `skyflux init`: a commented job file, from the table of keys. */
#include <stdio.h>

#include "src/cli/commands.h"
#include "src/core/jobfile.h"
#include "src/core/memory.h"

static const sky_cli_spec spec = {"init", "[options]", "print a commented job file",
                                  "skyflux init > job.yaml", NULL};

sky_status sky_cmd_init(sky_context *ctx, int argc, char **argv) {
  sky_cli_common common;
  SKY_TRY(sky_cli_parse(ctx, &spec, argc, argv, NULL, NULL, &common));
  if (common.help_shown) return SKY_OK;
  if (common.n_args > 0) {
    return sky_fail(ctx, SKY_E_USAGE, "init: '%s' is not expected; the job goes to standard output",
                    common.args[0]);
  }
  char *text = sky_schema_template(ctx);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}
