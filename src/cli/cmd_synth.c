/* cmd_synth.c: the command `skyflux synth`: scenes with known truth in the real products' layouts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/job/synth_city.h"
#include "src/job/synth_demo.h"

static const sky_cli_option OPTIONS[] = {
    {.name = "seed", .arg = "N", .help = "another draw of truth and errors (default 1)"},
    {.name = "case",
     .arg = "CASE",
     .help = "of the city: mismatched (default), matched or strong-n2o"},
    {.name = NULL}};

static const sky_cli_spec SPEC = {
    .name = "synth",
    .usage = "city|demo DIR [options]",
    .summary = "make scenes with known truth in the real products' layouts",
    .example = "skyflux synth city out/city && skyflux run out/city/city.yaml",
    .options = OPTIONS};

typedef struct options {
  uint64_t seed;
  sky_city_case which;
  bool has_case;
} options;

static sky_status on_option(sky_context *ctx, void *user, const char *name, const char *value) {
  options *o = user;
  char *end = NULL;
  if (strcmp(name, "case") == 0) {
    o->has_case = true;
    for (o->which = 0; o->which < SKY_CITY_CASES; o->which++)
      if (strcmp(value, sky_city_case_names[o->which]) == 0) return SKY_OK;
    return sky_fail(ctx, SKY_E_USAGE,
                    "synth: --case: '%s' is not mismatched, matched or strong-n2o", value);
  }
  errno = 0;
  o->seed = strtoull(value, &end, 10);
  if (*value < '0' || *value > '9' || *end != '\0' || errno != 0) {
    return sky_fail(ctx, SKY_E_USAGE, "synth: --%s: '%s' is not a whole number from 0 to %llu",
                    name, value, (unsigned long long)UINT64_MAX);
  }
  return SKY_OK;
}

sky_status sky_cmd_synth(sky_context *ctx, int argc, char **argv) {
  options o = {.seed = SKY_SYNTH_DEMO_SEED};
  sky_cli_common common;
  const sky_status st = sky_cli_parse(ctx, &SPEC, argc, argv, on_option, &o, &common);
  if (st != SKY_OK || common.help_shown) return st;
  const char *scene = common.n_args < 1 ? "" : common.args[0];
  const bool city = strcmp(scene, "city") == 0;
  if (!city && strcmp(scene, "demo") != 0) {
    return sky_fail(ctx, SKY_E_USAGE, "synth: '%s' is not a scene (there are: city, demo)", scene);
  }
  if (common.n_args != 2) {
    return sky_fail(ctx, SKY_E_USAGE, "synth %s: one folder is needed, %d were given", scene,
                    common.n_args - 1);
  }
  if (!city && o.has_case) return sky_fail(ctx, SKY_E_USAGE, "synth demo: --case is of the city");
  return city ? sky_synth_city(ctx, common.args[1], o.seed, o.which)
              : sky_synth_demo(ctx, common.args[1], o.seed);
}
