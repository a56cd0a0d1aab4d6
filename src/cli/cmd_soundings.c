/* cmd_soundings.c: `skyflux soundings`: product files of one gas -> one harmonised NetCDF.
 *
 * Nothing is written when nothing good is left (exit 4); granules that could not be read are listed
 * and skipped (exit 5 when there is output all the same, else the first one's own code). Folders
 * are searched; what is no product there is listed and passed over. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "grids/grid.h"
#include "src/cli/commands.h"
#include "src/cli/reading_args.h"
#include "src/cli/shard_command.h"
#include "src/cli/values.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/job/harmonise.h"
#include "src/read/product.h"
#include "src/read/zones_ogr.h"
#include "src/write/json_out.h"

#define DEFAULT_TIMEOUT 60.0 /* s */

typedef struct soundings_args {
  sky_selection sel;
  sky_reading_args reading;
  const char *output, *gas, *zones, *zone_id, *zone, *boundary, *wind;
  char **footprints;
  size_t n_footprints;
  double boundary_error; /* display unit of the gas */
  sky_background_choice background;
  unsigned clean;
  double quality[2], timeout;
  sky_shard shard;
  bool keep_dropped;
} soundings_args;

/* "0.5,1", "0.5,", ",0". */
static sky_status set_quality(sky_context *ctx, const char *value, double range[2]) {
  const char *comma = strchr(value, ','), *rest = value;
  bool right = comma != NULL;
  range[0] = range[1] = NAN;
  if (right && comma > value) right = sky_number_parse(value, &range[0], &rest) && rest == comma;
  if (right && comma[1] != '\0') right = sky_number_parse(comma + 1, &range[1], NULL);
  if (right && !(range[0] > range[1])) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE,
                  "--quality-range: '%s' is not LOW,HIGH (either may be left out)", value);
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  soundings_args *a = user;
  bool taken;
  SKY_TRY(sky_reading_args_take(ctx, &a->reading, &a->sel, name, value, &taken));
  if (taken) return SKY_OK;
  const sky_cli_text_option texts[] = {{"output", &a->output},     {"zones", &a->zones},
                                       {"id", &a->zone_id},        {"zone", &a->zone},
                                       {"boundary", &a->boundary}, {"wind", &a->wind}};
  if (sky_cli_text(texts, sizeof texts / sizeof *texts, name, value)) return SKY_OK;
  if (strcmp(name, "gas") == 0) {
    return sky_cli_gas(ctx, value, &a->gas);
  } else if (strcmp(name, "box") == 0) {
    double box[4];
    SKY_TRY(sky_cli_box(ctx, value, box));
    sky_selection_set_box(&a->sel, box);
  } else if (strcmp(name, "keep-dropped") == 0) {
    a->keep_dropped = true;
  } else if (strcmp(name, "start") == 0 || strcmp(name, "end") == 0) {
    return sky_time_parse(ctx, value, name[0] == 's' ? &a->sel.start : &a->sel.end);
  } else if (strcmp(name, "clean") == 0) {
    return sky_clean_parse(ctx, value, &a->clean);
  } else if (strcmp(name, "footprints") == 0) {
    return sky_file_glob(ctx, value, &a->footprints, &a->n_footprints);
  } else if (strcmp(name, "boundary-error") == 0) {
    return sky_cli_above(ctx, name, value, &a->boundary_error);
  } else if (strcmp(name, "background") == 0) {
    return sky_background_parse(ctx, value, &a->background);
  } else if (strcmp(name, "quality-range") == 0) {
    return set_quality(ctx, value, a->quality);
  } else if (strcmp(name, "shard") == 0) {
    return sky_shard_parse(ctx, value, &a->shard);
  } else {
    return sky_cli_above(ctx, name, value, &a->timeout);
  }
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, const soundings_args *a, int n_files) {
  if (n_files == 0) return sky_fail(ctx, SKY_E_USAGE, "soundings: no file given");
  if (a->output == NULL) return sky_fail(ctx, SKY_E_USAGE, "soundings: -o OUT.nc is required");
  if (!isnan(a->sel.start) && !isnan(a->sel.end) && a->sel.end <= a->sel.start) {
    return sky_fail(ctx, SKY_E_USAGE, "soundings: --end must be after --start");
  }
  if ((a->zones == NULL) != (a->zone_id == NULL))
    return sky_fail(ctx, SKY_E_USAGE, "soundings: --zones and --id go together");
  const bool curtains = a->background.method == SKY_BACKGROUND_BOUNDARY;
  if (curtains && (a->boundary == NULL || a->n_footprints == 0 || a->gas == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "soundings: --background boundary needs --boundary, --footprints and --gas");
  if (!curtains && (a->boundary != NULL || a->n_footprints > 0 || a->boundary_error > 0))
    return sky_fail(ctx, SKY_E_USAGE,
                    "soundings: --boundary, --boundary-error and --footprints go with --background "
                    "boundary");
  if (a->wind != NULL && a->background.method != SKY_BACKGROUND_UPWIND)
    return sky_fail(ctx, SKY_E_USAGE, "soundings: --wind goes with --background upwind");
  if (a->wind != NULL && !sky_file_exists(a->wind))
    return sky_fail(ctx, SKY_E_MISSING, "--wind: %s: no such file", a->wind);
  if (a->zone != NULL && a->zones == NULL)
    return sky_fail(ctx, SKY_E_USAGE, "soundings: --zone needs --zones");
  return SKY_OK;
}

/* --- inputs ------------------------------------------------------------------------------------
 */

typedef struct file_list {
  sky_harmonise_input *item; /* paths are malloc'd */
  size_t n;
} file_list;

static void free_files(file_list *f) {
  for (size_t i = 0; i < f->n; ++i)
    sky_free((char *)f->item[i].path);
  sky_free(f->item);
}

static sky_status add_file(sky_context *ctx, file_list *f, const char *path, bool listed) {
  sky_harmonise_input *grown = sky_realloc(ctx, f->item, f->n, f->n + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  f->item = grown;
  char *copy = sky_strdup(ctx, path);
  if (copy == NULL) return SKY_E_NOMEM;
  f->item[f->n++] = (sky_harmonise_input){.path = copy, .listed = listed};
  return SKY_OK;
}

static sky_status add_folder(sky_context *ctx, file_list *f, const char *folder) {
  char **found = NULL;
  size_t n = 0;
  sky_status st = sky_file_tree(ctx, folder, &found, &n);
  for (size_t i = 0; i < n && st == SKY_OK; ++i)
    st = add_file(ctx, f, found[i], true);
  sky_file_list_free(found, n);
  return st;
}

typedef struct identity { /* one file has one, whatever its paths */
  dev_t device;
  ino_t inode;
  size_t at;
} identity;

static int compare_identity(const void *a, const void *b) {
  const identity *p = a, *q = b;
  if (p->device != q->device) return p->device < q->device ? -1 : 1;
  if (p->inode != q->inode) return p->inode < q->inode ? -1 : 1;
  return (p->at > q->at) - (p->at < q->at);
}

/* A file that is given twice is read once. */
static sky_status drop_repeats(sky_context *ctx, file_list *f) {
  identity *id = SKY_NEW(ctx, identity, f->n);
  if (id == NULL) return SKY_E_NOMEM;
  size_t n = 0, kept = 0;
  for (size_t i = 0; i < f->n; ++i) {
    struct stat info;
    if (stat(f->item[i].path, &info) == 0) id[n++] = (identity){info.st_dev, info.st_ino, i};
  }
  qsort(id, n, sizeof *id, compare_identity);
  for (size_t i = 1; i < n; ++i) {
    if (id[i].device != id[i - 1].device || id[i].inode != id[i - 1].inode) continue;
    sky_harmonise_input *item = &f->item[id[i].at];
    sky_log(ctx, SKY_LOG_WARN, "%s: given more than once; read once", item->path);
    sky_free((char *)item->path);
    item->path = NULL;
  }
  sky_free(id);
  for (size_t i = 0; i < f->n; ++i)
    if (f->item[i].path != NULL) f->item[kept++] = f->item[i];
  f->n = kept;
  return SKY_OK;
}

/* Of the whole list, every n-th. The order of files in the output does not depend on it. */
static void take_shard(const soundings_args *a, file_list *f) {
  size_t kept = 0;
  for (size_t i = 0; i < f->n; ++i) {
    if (a->shard.shards > 0 && i % a->shard.shards != a->shard.shard - 1)
      sky_free((char *)f->item[i].path);
    else
      f->item[kept++] = f->item[i];
  }
  f->n = kept;
}

static sky_status collect(sky_context *ctx, const soundings_args *a, const sky_cli_common *common,
                          file_list *f) {
  for (int i = 0; i < common->n_args; ++i) {
    const char *path = common->args[i];
    if (sky_file_is_folder(path))
      SKY_TRY(add_folder(ctx, f, path));
    else
      SKY_TRY(add_file(ctx, f, path, false));
  }
  SKY_TRY(drop_repeats(ctx, f));
  for (size_t i = 0; i < f->n; ++i) {
    if (sky_file_same(f->item[i].path, a->output)) {
      if (!f->item[i].listed)
        return sky_fail(ctx, SKY_E_USAGE, "soundings: -o %s is one of the inputs", a->output);
      return sky_fail(ctx, SKY_E_USAGE,
                      "soundings: -o %s lies in a folder that is searched and exists already",
                      a->output);
    }
    f->item[i].product = a->reading.product;
    f->item[i].sel = &a->sel;
  }
  take_shard(a, f);
  if (f->n > 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_NODATA,
                  a->shard.shards > 0 ? "soundings: no file falls to this shard"
                                      : "soundings: no file in the folders");
}

/* --- zones -------------------------------------------------------------------------------------
 */

static sky_status read_zones(sky_context *ctx, const soundings_args *a, sky_zones *zones) {
  const sky_zones_options opt = {.id = a->zone_id};
  sky_grid world = {0};
  if (a->zones == NULL) return SKY_OK;
  SKY_TRY(sky_grid_from_box(ctx, "EPSG:4326", -180, -90, 180, 90, 1, 1, &world));
  sky_status st = sky_zones_read(ctx, a->zones, &opt, &world, zones);
  sky_grid_free(&world);
  if (st != SKY_OK || a->zone == NULL) return st;
  size_t at = 0;
  while (at < zones->n && strcmp(zones->zone[at].id, a->zone) != 0)
    ++at;
  if (at == zones->n)
    return sky_fail(ctx, SKY_E_USAGE, "%s: no zone has %s = '%s'", a->zones, a->zone_id, a->zone);
  const sky_zone kept = zones->zone[at]; /* to the front, the others go */
  zones->zone[at] = zones->zone[0];
  zones->zone[0] = kept;
  sky_zones rest = {zones->n - 1, SKY_NEW(ctx, sky_zone, zones->n)};
  if (rest.zone == NULL) return SKY_E_NOMEM;
  memcpy(rest.zone, zones->zone + 1, rest.n * sizeof *rest.zone);
  zones->n = 1;
  sky_zones_free(&rest);
  return SKY_OK;
}

/* --- what is told ------------------------------------------------------------------------------
 */

static void print_result(const soundings_args *a, const sky_harmonise_result *r) {
  printf("%s: %lu soundings, %lu good, of %zu granules (%s, %s)\n", a->output, r->n, r->good,
         r->n_granules, r->product, r->gas);
  for (size_t p = 0; p < r->n_products; ++p) {
    const sky_harmonise_product *product = &r->products[p];
    if (r->n_products > 1)
      printf("%s: %lu good, of %lu granules\n", product->id, product->drops[SKY_DROP_NONE],
             product->granules);
    for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k)
      if (product->drops[k] > 0)
        printf("%10lu dropped: %s\n", product->drops[k], sky_drop_name((sky_drop)k));
  }
  if (r->passed_over.n > 0)
    printf("%10zu files passed over: no product%s%s\n", r->passed_over.n,
           a->gas != NULL ? " with " : "", a->gas != NULL ? a->gas : "");
}

static cJSON *drops_object(cJSON *o, const uint64_t drops[SKY_DROP_COUNT]) {
  cJSON *dropped = cJSON_AddObjectToObject(o, "dropped");
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k)
    if (drops[k] > 0)
      cJSON_AddNumberToObject(dropped, sky_drop_name((sky_drop)k), (double)drops[k]);
  return dropped;
}

static void failures_array(cJSON *o, const char *name, const sky_granule_failures *f) {
  cJSON *list = cJSON_AddArrayToObject(o, name);
  for (size_t i = 0; i < f->n; ++i) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "file", f->item[i].path);
    cJSON_AddStringToObject(item, "reason", f->item[i].reason);
    cJSON_AddItemToArray(list, item);
  }
}

static sky_status print_json(sky_context *ctx, const soundings_args *a,
                             const sky_harmonise_result *r) {
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "output", a->output);
  cJSON_AddStringToObject(o, "product", r->product);
  cJSON_AddStringToObject(o, "gas", r->gas);
  cJSON_AddStringToObject(o, "units", sky_species_find(r->gas)->column_unit);
  cJSON_AddNumberToObject(o, "granules", (double)r->n_granules);
  cJSON_AddNumberToObject(o, "soundings", (double)r->n);
  cJSON_AddNumberToObject(o, "good", (double)r->good);
  drops_object(o, r->drops);
  cJSON *products = cJSON_AddArrayToObject(o, "products");
  for (size_t p = 0; p < r->n_products; ++p) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "product", r->products[p].id);
    cJSON_AddNumberToObject(item, "granules", (double)r->products[p].granules);
    cJSON_AddNumberToObject(item, "good", (double)r->products[p].drops[SKY_DROP_NONE]);
    drops_object(item, r->products[p].drops);
    cJSON_AddItemToArray(products, item);
  }
  failures_array(o, "failed", &r->failed);
  failures_array(o, "passed_over", &r->passed_over);
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static sky_status harmonise(sky_context *ctx, const soundings_args *a,
                            const sky_cli_common *common) {
  file_list files = {0};
  sky_zones zones = {0};
  sky_harmonise_result result = {0};
  sky_status st = SKY_OK;
  SKY_GO(collect(ctx, a, common, &files));
  SKY_GO(read_zones(ctx, a, &zones));
  sky_background_choice background = a->background;
  background.wind = a->wind != NULL;
  if (a->gas != NULL) background.error = a->boundary_error / sky_species_find(a->gas)->column_scale;
  const sky_harmonise_request q = {.input = files.item,
                                   .n_inputs = files.n,
                                   .gas = a->gas,
                                   .output = a->output,
                                   .clean = a->clean,
                                   .zones = a->zones != NULL ? &zones : NULL,
                                   .quality_min = a->quality[0],
                                   .quality_max = a->quality[1],
                                   .background = background,
                                   .wind = a->wind,
                                   .boundary = a->boundary,
                                   .footprints = a->footprints,
                                   .n_footprints = a->n_footprints,
                                   .keep_dropped = a->keep_dropped,
                                   .shard = a->shard.shards > 0,
                                   .timeout_s = a->timeout};
  st = sky_harmonise(ctx, &q, &result);
  if (st == SKY_E_GAS && a->gas == NULL) st = SKY_E_USAGE; /* several gases: --gas is missing */
  if (st != SKY_OK) goto cleanup;
  SKY_GO(sky_conformance_write(ctx, &q, &result));
  if (common->json)
    SKY_GO(print_json(ctx, a, &result));
  else
    print_result(a, &result);
  if (result.failed.n > 0)
    st = sky_fail(ctx, SKY_E_PARTIAL, "%zu of %zu granules could not be read and were skipped",
                  result.failed.n, files.n - result.passed_over.n);
cleanup:
  sky_harmonise_result_free(&result);
  sky_zones_free(&zones);
  free_files(&files);
  return st;
}

sky_status sky_cmd_soundings(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"output", 'o', "OUT.nc", "file to write (required); OUT.conformance.json beside it"},
      {"gas", 0, "GAS", "co2, ch4 or n2o; needed when the files hold several"},
      SKY_READING_OPTIONS,
      {"box", 0, "W,S,E,N", "degrees, edges inclusive; west > east crosses 180"},
      {"start", 0, "TIME", "first time, inclusive"},
      {"end", 0, "TIME", "last time, exclusive"},
      {"zones", 0, "FILE", "soundings inside these polygons only"},
      {"id", 0, "FIELD", "attribute of --zones that names them"},
      {"zone", 0, "ID", "this one of --zones only"},
      {"quality-range", 0, "LOW,HIGH", "range of the product's own figure, beside the rule"},
      {"clean", 0, "STEPS", "duplicates (default), standard, none, or steps of docs/soundings.md"},
      {"background", 0, "METHOD", "percentile[:SHARE] of the overpass, upwind, smooth, boundary"},
      {"wind", 0, "FILE", "of --background upwind: u10 and v10, not the product's own (ERA5)"},
      {"boundary", 0, "FILE", "of --background boundary: vmr_n, _e, _s, _w (openghg)"},
      {"boundary-error", 0, "E", "1-sigma of its curtains, ppm of CO2, ppb of CH4 and N2O (0)"},
      {"footprints", 0, "GLOB", "of --background boundary: files with particle_locations_*"},
      {"shard", 0, "I/N", "every n-th file only; give all shards to a last run to join them"},
      {"keep-dropped", 0, NULL, "write dropped soundings too, with their reason"},
      {"timeout", 0, "S", "seconds until a granule counts as damaged (60)"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "soundings", "FILE|FOLDER... -o OUT.nc [options]",
      "any retrieval products of one gas to one harmonised NetCDF",
      "skyflux soundings S5P_BLND_*.nc --box=73,18,135,54 -o china.nc", OPTIONS};
  soundings_args a = {.sel = {.start = NAN, .end = NAN},
                      .clean = SKY_CLEAN_DUPLICATES,
                      .quality = {NAN, NAN},
                      .timeout = DEFAULT_TIMEOUT};
  sky_cli_common common = {0};
  sky_status st = sky_cli_parse(ctx, &SPEC, argc, argv, handle, &a, &common);
  if (st == SKY_OK && !common.help_shown) {
    st = check_args(ctx, &a, common.n_args);
    if (st == SKY_OK) st = sky_reading_args_check(ctx, &a.reading, &a.sel);
    if (st == SKY_OK) st = harmonise(ctx, &a, &common);
  }
  sky_reading_args_free(&a.reading);
  sky_file_list_free(a.footprints, a.n_footprints);
  return st;
}
