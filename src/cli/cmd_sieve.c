/* cmd_sieve.c: `skyflux sieve`: a class map without the patches below a minimum mapping unit. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/job/sieve.h"
#include "src/write/json_out.h"

#define HECTARE 1e4

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  sky_sieve_options *o = user;
  if (strcmp(name, "out") == 0) {
    o->out = value;
  } else if (strcmp(name, "diagonal") == 0) {
    o->diagonal = true;
  } else if (strcmp(name, "mask") == 0) {
    o->mask = true;
  } else {
    if (!sky_number_parse(value, &o->minimum, NULL) || !(o->minimum > 0 && o->minimum <= 1e9))
      return sky_fail(ctx, SKY_E_USAGE, "--minimum: '%s' is not an area above 0 ha (e.g. 0.5)",
                      value);
    o->minimum *= HECTARE;
  }
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, const sky_sieve_options *o, int files) {
  const char *dot = o->out != NULL ? strrchr(o->out, '.') : NULL;
  if (files != 1)
    return sky_fail(ctx, SKY_E_USAGE, "sieve: expected one class map, got %d files", files);
  if (!(o->minimum > 0)) return sky_fail(ctx, SKY_E_USAGE, "sieve: option --minimum is needed");
  if (o->out == NULL) return sky_fail(ctx, SKY_E_USAGE, "sieve: option -o is needed");
  if (dot != NULL && (strcmp(dot, ".tif") == 0 || strcmp(dot, ".tiff") == 0)) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "sieve: -o %s: the file is a GeoTIFF: NAME.tif", o->out);
}

static sky_status print_json(sky_context *ctx, const sky_patch_report *r) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddNumberToObject(o, "patches", (double)r->n);
  cJSON_AddNumberToObject(o, "small", (double)r->small);
  cJSON_AddNumberToObject(o, "kept", (double)r->kept);
  cJSON_AddNumberToObject(o, "rounds", (double)r->rounds);
  cJSON_AddNumberToObject(o, "area_ha", r->area / HECTARE);
  cJSON_AddNumberToObject(o, "small_ha", r->small_area / HECTARE);
  cJSON_AddNumberToObject(o, "changed_ha", r->changed / HECTARE);
  cJSON_AddNumberToObject(o, "kept_ha", r->kept_area / HECTARE);
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

sky_status sky_cmd_sieve(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"minimum", 0, "HA", "hectares that a patch must have"},
      {"diagonal", 0, NULL, "cells that touch at a corner are one patch"},
      {"mask", 0, NULL, "small patches become nodata, not what is around them"},
      {"out", 'o', "OUT.tif", "write this GeoTIFF"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {"sieve", "MAP --minimum HA -o OUT.tif [options]",
                                    "a class map without patches below a minimum mapping unit",
                                    "skyflux sieve lc2015.tif --minimum 1 -o lc2015_1ha.tif",
                                    OPTIONS};
  sky_cli_common common = {0};
  sky_sieve_options opt = {0};
  sky_patch_report r = {0};
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &opt, &common));
  if (common.help_shown) return SKY_OK;
  SKY_TRY(check_args(ctx, &opt, common.n_args));
  opt.map = common.args[0];
  SKY_TRY(sky_sieve(ctx, &opt, &r));
  if (common.json) return print_json(ctx, &r);
  printf("%zu patches, %.7g ha; below %.7g ha: %zu, %.7g ha\n", r.n, r.area / HECTARE,
         opt.minimum / HECTARE, r.small, r.small_area / HECTARE);
  printf("%s: %.7g ha; without a large patch to go to: %zu, %.7g ha\n",
         opt.mask ? "now nodata" : "now as around them", r.changed / HECTARE, r.kept,
         r.kept_area / HECTARE);
  return SKY_OK;
}
