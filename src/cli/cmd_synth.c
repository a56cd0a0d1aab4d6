/* cmd_synth.c: the command `skyflux synth`: scenes and single granules with known truth in the real
 * products' layouts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/synth_city.h"
#include "src/job/synth_demo.h"
#include "src/job/synth_product.h"

static const sky_cli_option OPTIONS[] = {
    {.name = "seed", .arg = "N", .help = "another draw of truth and errors (default 1)"},
    {.name = "case",
     .arg = "CASE",
     .help = "of the city: mismatched (default), matched or strong-n2o"},
    {.name = "output",
     .letter = 'o',
     .arg = "FILE",
     .help = "of a product: the granule (default: the product's own name, here)"},
    {.name = "soundings",
     .arg = "N",
     .help = "of a product: rounded up to whole rows across the track"},
    {.name = NULL}};

static const sky_cli_spec SPEC = {
    .name = "synth",
    .usage = "city|demo DIR | product NAME [options]",
    .summary = "make scenes and granules with known truth in the real products' layouts",
    .example = "skyflux synth city out/city && skyflux run out/city/city.yaml",
    .options = OPTIONS};

typedef struct options {
  uint64_t seed;
  sky_city_case which;
  bool has_case;
  const char *output;
  uint64_t soundings;
} options;

static sky_status whole_number(sky_context *ctx, const char *name, const char *value,
                               uint64_t *out) {
  char *end = NULL;
  errno = 0;
  *out = strtoull(value, &end, 10);
  if (*value >= '0' && *value <= '9' && *end == '\0' && errno == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "synth: --%s: '%s' is not a whole number from 0 to %llu", name,
                  value, (unsigned long long)UINT64_MAX);
}

static sky_status on_option(sky_context *ctx, void *user, const char *name, const char *value) {
  options *o = user;
  if (strcmp(name, "case") == 0) {
    o->has_case = true;
    for (o->which = 0; o->which < SKY_CITY_CASES; o->which++)
      if (strcmp(value, sky_city_case_names[o->which]) == 0) return SKY_OK;
    return sky_fail(ctx, SKY_E_USAGE,
                    "synth: --case: '%s' is not mismatched, matched or strong-n2o", value);
  }
  if (strcmp(name, "output") == 0) {
    o->output = value;
    return SKY_OK;
  }
  return whole_number(ctx, name, value, strcmp(name, "seed") == 0 ? &o->seed : &o->soundings);
}

#define MOST_SOUNDINGS 1000000 /* a CDL text of 1 GB */

static sky_status product(sky_context *ctx, const options *o, const sky_cli_common *common) {
  const char *name = common->n_args == 2 ? common->args[1] : "";
  const sky_synth_product *p = sky_synth_product_find(name);
  if (o->has_case) return sky_fail(ctx, SKY_E_USAGE, "synth product: --case is of the city");
  if (p == NULL) {
    sky_text t = {.ctx = ctx};
    for (size_t i = 0; i < sky_synth_product_count(); i++)
      sky_text_printf(&t, "%s%s", i > 0 ? ", " : "", sky_synth_product_at(i)->id);
    char *names = sky_text_take(&t);
    if (names == NULL) return SKY_E_NOMEM;
    const sky_status st = sky_fail(
        ctx, SKY_E_USAGE, "synth product: '%s' is not a product (there are: %s)", name, names);
    sky_free(names);
    return st;
  }
  if (p->layout == NULL && o->soundings > 0) {
    return sky_fail(ctx, SKY_E_USAGE, "synth product %s: --soundings: a raster has none", name);
  }
  if (o->soundings > MOST_SOUNDINGS) {
    return sky_fail(ctx, SKY_E_USAGE, "synth product: --soundings: %llu is above %d",
                    (unsigned long long)o->soundings, MOST_SOUNDINGS);
  }
  return sky_synth_product_write(ctx, p, o->output, (size_t)o->soundings, o->seed);
}

sky_status sky_cmd_synth(sky_context *ctx, int argc, char **argv) {
  options o = {.seed = SKY_SYNTH_DEMO_SEED};
  sky_cli_common common;
  const sky_status st = sky_cli_parse(ctx, &SPEC, argc, argv, on_option, &o, &common);
  if (st != SKY_OK || common.help_shown) return st;
  const char *scene = common.n_args < 1 ? "" : common.args[0];
  if (strcmp(scene, "product") == 0) return product(ctx, &o, &common);
  if (o.output != NULL || o.soundings > 0) {
    return sky_fail(ctx, SKY_E_USAGE, "synth: --output and --soundings are of a product");
  }
  const bool city = strcmp(scene, "city") == 0;
  if (!city && strcmp(scene, "demo") != 0) {
    return sky_fail(ctx, SKY_E_USAGE, "synth: '%s' is not a scene (there are: city, demo, product)",
                    scene);
  }
  if (common.n_args != 2) {
    return sky_fail(ctx, SKY_E_USAGE, "synth %s: one folder is needed, %d were given", scene,
                    common.n_args - 1);
  }
  if (!city && o.has_case) return sky_fail(ctx, SKY_E_USAGE, "synth demo: --case is of the city");
  return city ? sky_synth_city(ctx, common.args[1], o.seed, o.which)
              : sky_synth_demo(ctx, common.args[1], o.seed);
}
