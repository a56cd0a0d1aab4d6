/* cmd_soundings.c: `skyflux soundings`: product files of one gas -> one harmonised NetCDF.
 *
 * Nothing is written when nothing good is left (exit 4); granules that could not be read are listed
 * and skipped (exit 5 when there is output all the same, else the first one's own code). */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/read/granule.h"
#include "src/read/product.h"
#include "src/write/json_out.h"
#include "src/write/soundings_nc.h"

#define DEFAULT_TIMEOUT 60.0 /* s */

typedef struct soundings_args {
  sky_selection sel;
  sky_declared *declared; /* what sel.declared points to */
  const char *output, *gas, *product;
  double timeout;
} soundings_args;

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  soundings_args *a = user;
  if (strcmp(name, "output") == 0) {
    a->output = value;
  } else if (strcmp(name, "gas") == 0) {
    if (sky_species_find(value) == NULL) {
      return sky_fail(ctx, SKY_E_USAGE, "--gas: '%s' is not one of co2, ch4, n2o", value);
    }
    a->gas = value;
  } else if (strcmp(name, "product") == 0) {
    a->product = value;
  } else if (strcmp(name, "quality") == 0) {
    a->sel.quality = value;
  } else if (strcmp(name, "declare") == 0) {
    sky_declared_free(a->declared);
    SKY_TRY(sky_declared_read(ctx, value, &a->declared));
    a->sel.declared = a->declared;
  } else if (strcmp(name, "box") == 0) {
    double box[4];
    SKY_TRY(sky_cli_box(ctx, value, box));
    sky_selection_set_box(&a->sel, box);
  } else if (strcmp(name, "start") == 0) {
    return sky_time_parse(ctx, value, &a->sel.start);
  } else if (strcmp(name, "end") == 0) {
    return sky_time_parse(ctx, value, &a->sel.end);
  } else if (strcmp(name, "keep-dropped") == 0) {
    a->sel.keep_dropped = true;
  } else if (!sky_number_parse(value, &a->timeout, NULL) || a->timeout <= 0) {
    return sky_fail(ctx, SKY_E_USAGE, "--timeout: '%s' is not a number of seconds above 0", value);
  }
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, const soundings_args *a, int n_files) {
  if (n_files == 0) return sky_fail(ctx, SKY_E_USAGE, "soundings: no file given");
  if (a->output == NULL) return sky_fail(ctx, SKY_E_USAGE, "soundings: -o OUT.nc is required");
  if (!isnan(a->sel.start) && !isnan(a->sel.end) && a->sel.end <= a->sel.start) {
    return sky_fail(ctx, SKY_E_USAGE, "soundings: --end must be after --start");
  }
  return SKY_OK;
}

/* No input is written over, and one that is given twice is read once; returns the number left. */
static sky_status check_files(sky_context *ctx, const char *output, char **files, size_t *n) {
  size_t kept = 0;
  for (size_t i = 0; i < *n; ++i) {
    bool seen = false;
    if (sky_file_same(files[i], output))
      return sky_fail(ctx, SKY_E_USAGE, "soundings: -o %s is one of the inputs", output);
    for (size_t k = 0; k < kept && !seen; ++k)
      seen = sky_file_same(files[k], files[i]);
    if (seen)
      sky_log(ctx, SKY_LOG_WARN, "%s: given more than once; read once", files[i]);
    else
      files[kept++] = files[i];
  }
  *n = kept;
  return SKY_OK;
}

/* Every granule failed: the culprit is the first file, with its own code. */
static sky_status all_failed(sky_context *ctx, const sky_granule_failures *failed) {
  const sky_granule_failure *first = &failed->item[0];
  if (failed->n == 1) return sky_fail(ctx, first->status, "%s", first->reason);
  return sky_fail(ctx, first->status, "none of %zu granules could be read; the first: %s",
                  failed->n, first->reason);
}

static sky_status nothing_good(sky_context *ctx, const size_t drops[SKY_DROP_COUNT]) {
  char text[256] = "";
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k) {
    const size_t at = strlen(text);
    if (drops[k] == 0) continue;
    snprintf(text + at, sizeof text - at, "%s%s %zu", at > 0 ? ", " : "",
             sky_drop_name((sky_drop)k), drops[k]);
  }
  return sky_fail(ctx, SKY_E_NODATA, "no good sounding is left (dropped: %s)",
                  text[0] != '\0' ? text : "none");
}

static sky_status write_file(sky_context *ctx, const soundings_args *a, const sky_soundings *s) {
  const sky_reader *r = sky_declared_find(a->declared, s->product);
  const sky_species *gas = sky_species_find(s->gas);
  char *title = NULL, *source = NULL, *history = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(title, sky_sprintf(ctx, "title=Harmonised X%s soundings", gas->formula));
  SKY_GO_ALLOC(source, sky_sprintf(ctx, "source=%s", r != NULL ? r->title : s->product));
  SKY_GO_ALLOC(history, sky_sprintf(ctx, "history=skyflux %s soundings of %zu granules",
                                    SKYFLUX_VERSION, s->n_granules));
  const char *const attrs[] = {title, source, history, NULL};
  SKY_GO(sky_soundings_write(ctx, a->output, s, attrs));
cleanup:
  sky_free(title);
  sky_free(source);
  sky_free(history);
  return st;
}

static sky_status report(sky_context *ctx, const soundings_args *a, const sky_soundings *s,
                         const size_t drops[SKY_DROP_COUNT], const sky_granule_failures *failed,
                         bool json) {
  if (!json) {
    printf("%s: %zu soundings, %zu good, of %zu granules (%s, %s)\n", a->output, s->n,
           sky_soundings_good(s), s->n_granules, s->product, s->gas);
    for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k) {
      if (drops[k] > 0) printf("%10zu dropped: %s\n", drops[k], sky_drop_name((sky_drop)k));
    }
    return SKY_OK;
  }
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "output", a->output);
  cJSON_AddStringToObject(o, "product", s->product);
  cJSON_AddStringToObject(o, "gas", s->gas);
  cJSON_AddStringToObject(o, "units", sky_species_find(s->gas)->column_unit);
  cJSON_AddNumberToObject(o, "granules", (double)s->n_granules);
  cJSON_AddNumberToObject(o, "soundings", (double)s->n);
  cJSON_AddNumberToObject(o, "good", (double)sky_soundings_good(s));
  cJSON *dropped = cJSON_AddObjectToObject(o, "dropped");
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k) {
    if (drops[k] == 0) continue;
    cJSON_AddNumberToObject(dropped, sky_drop_name((sky_drop)k), (double)drops[k]);
  }
  cJSON *list = cJSON_AddArrayToObject(o, "failed");
  for (size_t i = 0; i < failed->n; ++i) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "file", failed->item[i].path);
    cJSON_AddStringToObject(item, "reason", failed->item[i].reason);
    cJSON_AddItemToArray(list, item);
  }
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static sky_status harmonise(sky_context *ctx, const soundings_args *a,
                            const sky_cli_common *common) {
  sky_soundings s = {0};
  size_t drops[SKY_DROP_COUNT] = {0};
  sky_granule_failures failed = {0};
  size_t n = (size_t)common->n_args;
  SKY_TRY(check_files(ctx, a->output, common->args, &n));
  sky_status st = sky_granules_read(ctx, common->args, n, a->product, a->gas, &a->sel, a->timeout,
                                    &s, drops, &failed);
  if (st == SKY_E_NODATA && failed.n > 0) st = all_failed(ctx, &failed);
  if (st == SKY_E_GAS && a->gas == NULL) st = SKY_E_USAGE; /* several gases: --gas is missing */
  if (st != SKY_OK) goto cleanup;
  if (sky_soundings_good(&s) == 0) {
    st = nothing_good(ctx, drops);
    goto cleanup;
  }
  SKY_GO(write_file(ctx, a, &s));
  SKY_GO(report(ctx, a, &s, drops, &failed, common->json));
  if (failed.n > 0) {
    st = sky_fail(ctx, SKY_E_PARTIAL, "%zu of %zu granules could not be read and were skipped",
                  failed.n, n);
  }
cleanup:
  sky_granule_failures_free(&failed);
  sky_soundings_free(&s);
  return st;
}

sky_status sky_cmd_soundings(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"output", 'o', "OUT.nc", "file to write (required)"},
      {"gas", 0, "GAS", "co2, ch4 or n2o; needed when the product holds several"},
      {"product", 0, "ID", "reader to use (default: by content)"},
      {"quality", 0, "LIST", "default, strict, none or options of the product (docs/products.md)"},
      {"declare", 0, "FILE.yaml", "readers of your own (key products of docs/job.md)"},
      {"box", 0, "W,S,E,N", "degrees, edges inclusive; west > east crosses 180"},
      {"start", 0, "TIME", "first time, inclusive"},
      {"end", 0, "TIME", "last time, exclusive"},
      {"keep-dropped", 0, NULL, "write dropped soundings too, with their reason"},
      {"timeout", 0, "S", "seconds until a granule counts as damaged (60)"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "soundings", "FILE... -o OUT.nc [options]", "any retrieval product to one harmonised NetCDF",
      "skyflux soundings S5P_BLND_*.nc --box=73,18,135,54 -o china.nc", OPTIONS};
  soundings_args a = {.sel = {.start = NAN, .end = NAN}, .timeout = DEFAULT_TIMEOUT};
  sky_cli_common common = {0};
  sky_status st = sky_cli_parse(ctx, &SPEC, argc, argv, handle, &a, &common);
  if (st == SKY_OK && !common.help_shown) {
    st = check_args(ctx, &a, common.n_args);
    if (st == SKY_OK) st = sky_quality_check(ctx, a.sel.quality, a.declared);
    if (st == SKY_OK) st = harmonise(ctx, &a, &common);
  }
  sky_declared_free(a.declared);
  return st;
}
