/* cmd_synth.c: the command `skyflux synth`: scenes with known truth in the real products' layouts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/job/synth_demo.h"

static const sky_cli_option OPTIONS[] = {
    {.name = "seed", .arg = "N", .help = "another draw of truth and errors (default 1)"},
    {.name = NULL}};

static const sky_cli_spec SPEC = {
    .name = "synth",
    .usage = "demo DIR [options]",
    .summary = "make scenes with known truth in the real products' layouts",
    .example = "skyflux synth demo out/demo && skyflux run out/demo/demo.yaml",
    .options = OPTIONS};

static sky_status on_option(sky_context *ctx, void *user, const char *name, const char *value) {
  uint64_t *seed = user;
  char *end = NULL;
  errno = 0;
  *seed = strtoull(value, &end, 10);
  if (*value < '0' || *value > '9' || *end != '\0' || errno != 0) {
    return sky_fail(ctx, SKY_E_USAGE, "synth: --%s: '%s' is not a whole number from 0 to %llu",
                    name, value, (unsigned long long)UINT64_MAX);
  }
  return SKY_OK;
}

sky_status sky_cmd_synth(sky_context *ctx, int argc, char **argv) {
  uint64_t seed = SKY_SYNTH_DEMO_SEED;
  sky_cli_common common;
  const sky_status st = sky_cli_parse(ctx, &SPEC, argc, argv, on_option, &seed, &common);
  if (st != SKY_OK || common.help_shown) return st;
  if (common.n_args < 1 || strcmp(common.args[0], "demo") != 0) {
    return sky_fail(ctx, SKY_E_USAGE, "synth: '%s' is not a scene (there is: demo)",
                    common.n_args < 1 ? "" : common.args[0]);
  }
  if (common.n_args != 2) {
    return sky_fail(ctx, SKY_E_USAGE, "synth demo: one folder is needed, %d were given",
                    common.n_args - 1);
  }
  return sky_synth_demo(ctx, common.args[1], seed);
}
