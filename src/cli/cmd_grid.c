/* cmd_grid.c: `skyflux grid`: soundings of any product onto a grid, with the sums that let gridded
 * products be merged exactly; concentrations of zones and their change.
 *
 * Nothing that is written depends on the order of granules, on threads, shards or memory. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/grid_run.h"
#include "src/cli/shard_command.h"
#include "src/cli/values.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/job/gridding_write.h"
#include "src/read/level3.h"
#include "src/write/json_out.h"
#include "src/write/result_table.h"

#define DEFAULT_TIMEOUT 60.0    /* s */
#define DEFAULT_CORRELATION 0.3 /* as columns.correlation of a job */

/* ---- options -------------------------------------------------------------------------------- */

/* "exact", "oversample" or "oversample:6,2,3". */
static sky_status parse_method(sky_context *ctx, const char *text, sky_bins_options *out) {
  const size_t word = strcspn(text, ":");
  const char *at = text + word;
  out->method = strncmp(text, "exact", word) == 0 ? SKY_BINS_EXACT : SKY_BINS_OVERSAMPLE;
  bool good = strcmp(text, "exact") == 0 || (word == 10 && strncmp(text, "oversample", word) == 0);
  for (int i = 0; i < 3 && good && text[word] != '\0'; i++)
    good =
        sky_number_parse(at + 1, &out->k[i], &at) && *at == (i < 2 ? ',' : '\0') && out->k[i] > 0;
  if (good) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE,
                  "--method: '%s' is not one of exact, oversample, oversample:K1,K2,K3 (above 0)",
                  text);
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  sky_grid_command *a = user;
  const sky_cli_text_option texts[] = {{"output", &a->output},
                                       {"table", &a->table},
                                       {"baseline", &a->baseline},
                                       {"zones", &a->zones},
                                       {"id", &a->zone.id}};
  bool taken;
  SKY_TRY(sky_reading_args_take(ctx, &a->reading, &a->sel, name, value, &taken));
  if (taken || sky_grid_args_take(&a->grid, name, value)) return SKY_OK;
  if (sky_cli_text(texts, sizeof texts / sizeof *texts, name, value)) return SKY_OK;
  if (strcmp(name, "gas") == 0) return sky_cli_gas(ctx, value, &a->gas);
  if (strcmp(name, "method") == 0) return parse_method(ctx, value, &a->bins);
  if (strcmp(name, "weights") == 0) {
    static const char *const measures[] = {"area", "planar"};
    int i;
    SKY_TRY(sky_cli_word(ctx, name, value, measures, 2, &i));
    a->bins.measure = i == 0 ? SKY_QUAD_AREA : SKY_QUAD_PLANAR;
    return SKY_OK;
  }
  if (strcmp(name, "correlation") == 0)
    return sky_cli_number(ctx, name, value, 0, 1, &a->correlation);
  if (strcmp(name, "timeout") == 0) return sky_cli_number(ctx, name, value, 1e-3, 1e9, &a->timeout);
  if (strcmp(name, "shard") == 0) return sky_shard_parse(ctx, value, &a->shard);
  if (strcmp(name, "start") == 0) return sky_time_parse(ctx, value, &a->sel.start);
  if (strcmp(name, "end") == 0) return sky_time_parse(ctx, value, &a->sel.end);
  if (strcmp(name, "merge") == 0) a->merge = true;
  if (strcmp(name, "daily") == 0) a->daily = true;
  return SKY_OK;
}

static bool ends_with(const char *text, const char *suffix) {
  const size_t n = strlen(text), m = strlen(suffix);
  return n > m && strcmp(text + n - m, suffix) == 0;
}

static sky_status check_args(sky_context *ctx, const sky_grid_command *a,
                             const sky_cli_common *common) {
  if (common->n_args == 0) return sky_fail(ctx, SKY_E_USAGE, "grid: no file given");
  if (a->output == NULL && a->zones == NULL)
    return sky_fail(ctx, SKY_E_USAGE, "grid: -o OUT.nc (or OUT.tif) is required");
  if (a->output != NULL && !ends_with(a->output, ".nc") && !ends_with(a->output, ".tif"))
    return sky_fail(ctx, SKY_E_USAGE, "grid: -o %s: a name that ends in .nc or .tif is expected",
                    a->output);
  for (int i = 0; i < common->n_args && a->output != NULL; i++)
    if (sky_file_same(common->args[i], a->output))
      return sky_fail(ctx, SKY_E_USAGE, "grid: -o %s is one of the inputs", a->output);
  if (!isnan(a->sel.start) && !isnan(a->sel.end) && a->sel.end <= a->sel.start)
    return sky_fail(ctx, SKY_E_USAGE, "grid: --end must be after --start");
  if ((a->zones == NULL) != (a->zone.id == NULL))
    return sky_fail(ctx, SKY_E_USAGE, "grid: --zones FILE and --id FIELD go together");
  if (a->zones == NULL && (a->baseline != NULL || a->table != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "grid: --baseline and --table need --zones FILE --id FIELD");
  if (a->daily && (a->zones != NULL || a->merge || a->output == NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "grid: --daily writes one file a day; no --zones, no --merge");
  if (a->merge &&
      (a->daily || a->shard.shards > 0 || a->grid.like != NULL || a->grid.preset != NULL ||
       a->grid.crs != NULL || a->grid.box != NULL || a->grid.cell != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "grid: --merge takes grid and method from its inputs");
  SKY_TRY(sky_reading_args_check(ctx, &a->reading, &a->sel));
  return a->table != NULL ? sky_result_check_path(ctx, a->table) : SKY_OK;
}

static int by_base(const void *a, const void *b) {
  const char *x = *(char *const *)a, *y = *(char *const *)b;
  const int order = strcmp(sky_file_base(x), sky_file_base(y));
  return order != 0 ? order : strcmp(x, y);
}

/* Folders with everything below them, no file twice; every n-th one of a shard, in the order of
 * their names. */
static sky_status choose_files(sky_context *ctx, sky_grid_run *r, const sky_cli_common *common) {
  r->named = common->args;
  r->n_named = common->n_args;
  for (int i = 0; i < common->n_args; i++) {
    char *const path = common->args[i];
    if (sky_file_is_folder(path))
      SKY_TRY(sky_file_tree(ctx, path, &r->files, &r->n_files));
    else
      SKY_TRY(sky_file_list_add(ctx, path, &r->files, &r->n_files));
  }
  r->n_files = sky_file_drop_repeats(ctx, r->files, r->n_files);
  for (size_t i = 0; i < r->n_files && r->a.output != NULL; i++)
    if (sky_file_same(r->files[i], r->a.output))
      return sky_fail(ctx, SKY_E_USAGE,
                      "grid: -o %s lies in a folder that is searched and exists already",
                      r->a.output);
  if (r->n_files == 0) return sky_fail(ctx, SKY_E_NODATA, "grid: no file in the folders");
  if (r->a.shard.shards > 0) {
    size_t kept = 0;
    qsort(r->files, r->n_files, sizeof *r->files, by_base);
    for (size_t i = 0; i < r->n_files; i++) {
      if (i % r->a.shard.shards == r->a.shard.shard - 1)
        r->files[kept++] = r->files[i];
      else
        sky_free(r->files[i]);
    }
    r->n_files = kept;
  }
  if (r->n_files > 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--shard %zu/%zu: no file is left for it", r->a.shard.shard,
                  r->a.shard.shards);
}

/* ---- merging -------------------------------------------------------------------------------- */

static sky_status merge_one(sky_context *ctx, sky_grid_run *r, size_t i) {
  sky_level3 l;
  sky_level3_file *sums = NULL;
  sky_gridding *g;
  sky_status st = SKY_OK;
  SKY_TRY(sky_level3_open(ctx, r->files[i], &l, &sums));
  if (i == 0) SKY_GO(sky_grid_head(ctx, &l, &r->head));
  SKY_GO(sky_grid_period_of(ctx, r, SKY_GRID_WHOLE, &g));
  const sky_bin_source source = {
      .user = sums, .rewind = sky_level3_rewind, .next = sky_level3_next};
  st = sky_gridding_put_level3(ctx, g, &l, &source);
  if (st != SKY_OK) sky_fail_in(ctx, st, "%s: ", r->files[i]);
cleanup:
  sky_level3_free(&l);
  sky_level3_close(sums);
  return st;
}

static sky_status merge_all(sky_context *ctx, sky_grid_run *r) {
  for (size_t i = 0; i < r->n_files; i++)
    SKY_TRY(merge_one(ctx, r, i));
  return SKY_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

static sky_status write_cogs(sky_context *ctx, const sky_grid_period *p) {
  const char *const tags[] = {"TIFFTAG_SOFTWARE=skyflux " SKYFLUX_VERSION, NULL};
  sky_bin_source source;
  SKY_TRY(sky_gridding_source(p->gridding, &source));
  return sky_level3_write_cogs(ctx, p->path, sky_gridding_level3(p->gridding), &source, tags);
}

static sky_status write_period(sky_context *ctx, const sky_grid_period *p) {
  if (p->path == NULL) return SKY_OK;
  if (!ends_with(p->path, ".nc")) return write_cogs(ctx, p);
  const sky_species *gas = sky_species_find(sky_gridding_level3(p->gridding)->gas);
  char title[64];
  snprintf(title, sizeof title, "title=Gridded X%s", gas->formula);
  const char *const attrs[] = {title, "source=satellite and ground-based retrievals",
                               "history=skyflux " SKYFLUX_VERSION " grid", NULL};
  return sky_gridding_write(ctx, p->gridding, p->path, attrs);
}

static int by_day(const void *a, const void *b) {
  const sky_grid_period *p = a, *q = b;
  return (p->day > q->day) - (p->day < q->day);
}

static void add_counts(cJSON *o, const sky_grid_period *p) {
  const sky_level3 *l = sky_gridding_level3(p->gridding);
  const sky_bins_total *t = &l->total;
  cJSON_AddItemToObject(o, "output",
                        p->path != NULL ? cJSON_CreateString(p->path) : cJSON_CreateNull());
  cJSON_AddStringToObject(o, "gas", l->gas);
  cJSON_AddNumberToObject(o, "granules", (double)l->n_granule);
  cJSON_AddNumberToObject(o, "soundings", (double)t->n);
  cJSON_AddNumberToObject(o, "outside", (double)t->outside);
  cJSON_AddNumberToObject(o, "corners_crossed", (double)t->crossed);
  cJSON_AddNumberToObject(o, "without_area", (double)t->degenerate);
}

static sky_status print_json(sky_context *ctx, const sky_grid_run *r, cJSON *zones) {
  cJSON *o = cJSON_CreateObject();
  cJSON *list = cJSON_AddArrayToObject(o, "outputs");
  for (size_t i = 0; i < r->n_period; i++) {
    cJSON *item = cJSON_CreateObject();
    add_counts(item, &r->period[i]);
    cJSON_AddItemToArray(list, item);
  }
  cJSON *dropped = cJSON_AddObjectToObject(o, "dropped");
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k)
    if (r->drops[k] > 0)
      cJSON_AddNumberToObject(dropped, sky_drop_name((sky_drop)k), (double)r->drops[k]);
  cJSON *failed = cJSON_AddArrayToObject(o, "failed");
  for (size_t i = 0; i < r->failed.n; i++) {
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "file", r->failed.item[i].path);
    cJSON_AddStringToObject(item, "reason", r->failed.item[i].reason);
    cJSON_AddItemToArray(failed, item);
  }
  cJSON_AddNumberToObject(o, "passed_over", (double)r->passed);
  if (zones != NULL) cJSON_AddItemToObject(o, "zones", zones);
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static void print_text(const sky_grid_run *r) {
  for (size_t i = 0; i < r->n_period; i++) {
    const sky_level3 *l = sky_gridding_level3(r->period[i].gridding);
    const sky_bins_total *t = &l->total;
    if (r->period[i].path == NULL) continue;
    printf("%s: %llu soundings of %zu granules (%s)\n", r->period[i].path,
           (unsigned long long)(t->n - t->outside - t->crossed - t->degenerate), l->n_granule,
           l->gas);
    if (t->outside > 0) printf("%10llu outside the grid\n", (unsigned long long)t->outside);
    if (t->crossed > 0)
      printf("%10llu left out: corners not in order\n", (unsigned long long)t->crossed);
    if (t->degenerate > 0)
      printf("%10llu left out: pixel without area\n", (unsigned long long)t->degenerate);
  }
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k)
    if (r->drops[k] > 0) printf("%10zu dropped: %s\n", r->drops[k], sky_drop_name((sky_drop)k));
  if (r->passed > 0) printf("%10zu files passed over: no granules of the gas\n", r->passed);
}

/* ---- the command ---------------------------------------------------------------------------- */

/* Gridded products alone are merged, also without --merge. */
static sky_status is_merge(sky_context *ctx, const sky_grid_run *r, bool *out) {
  const sky_grid_args *g = &r->a.grid;
  *out = r->a.merge;
  if (*out || g->like != NULL || g->preset != NULL || g->cell != NULL) return SKY_OK;
  return sky_level3_recognise(ctx, r->files[0], out);
}

/* What was gridded cannot be chosen from any more. */
static sky_status check_merge(sky_context *ctx, const sky_grid_run *r) {
  const sky_selection *sel = &r->a.sel;
  const char *option = r->a.reading.product != NULL             ? "product"
                       : sel->quality != NULL                   ? "quality"
                       : !isnan(sel->start) || !isnan(sel->end) ? "start and --end"
                       : r->a.gas != NULL                       ? "gas"
                                                                : NULL;
  if (option == NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--%s: has no effect on gridded products, such as %s", option,
                  r->files[0]);
}

static sky_status grid(sky_context *ctx, sky_grid_run *r, const sky_cli_common *common) {
  bool merge;
  cJSON *zones = NULL;
  SKY_TRY(choose_files(ctx, r, common));
  SKY_TRY(is_merge(ctx, r, &merge));
  if (merge) {
    SKY_TRY(check_merge(ctx, r));
    SKY_TRY(merge_all(ctx, r));
  } else {
    r->head.options = r->a.bins;
    r->head.correlation = r->a.correlation;
    SKY_TRY(sky_grid_args_make(ctx, &r->a.grid, NULL, &r->head.grid));
    SKY_TRY(sky_grid_read(ctx, r));
  }
  if (r->n_period == 0 || (!merge && r->drops[SKY_DROP_NONE] == 0)) return sky_grid_nothing(ctx, r);
  qsort(r->period, r->n_period, sizeof *r->period, by_day);
  for (size_t i = 0; i < r->n_period; i++)
    SKY_TRY(write_period(ctx, &r->period[i]));
  if (!common->json) print_text(r);
  if (r->a.zones != NULL) SKY_TRY(sky_grid_zones(ctx, r, common->json, &zones));
  if (common->json) SKY_TRY(print_json(ctx, r, zones));
  if (r->failed.n == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_PARTIAL, "%zu of %zu granules could not be read and were skipped",
                  r->failed.n, r->n_files - r->passed);
}

static void run_free(sky_grid_run *r) {
  for (size_t i = 0; i < r->n_period; i++) {
    sky_gridding_free(r->period[i].gridding);
    sky_free(r->period[i].path);
  }
  sky_free(r->period);
  sky_file_list_free(r->files, r->n_files);
  sky_reading_args_free(&r->a.reading);
  sky_level3_free(&r->head);
  sky_granule_failures_free(&r->failed);
}

sky_status sky_cmd_grid(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"output", 'o', "OUT", "gridded product: OUT.nc, or OUT.tif and its companions"},
      SKY_GRID_OPTIONS,
      {"method", 0, "NAME", "exact (covered share of a cell), oversample[:4,2,1] (super-Gaussian)"},
      {"weights", 0, "KIND", "area (true, default) or planar (in the plane of the coordinates)"},
      {"correlation", 0, "R", "of the errors of soundings, 0 to 1 (0.3)"},
      {"gas", 0, "GAS", "co2, ch4 or n2o; needed when the product holds several"},
      SKY_READING_OPTIONS,
      {"start", 0, "TIME", "first time, inclusive"},
      {"end", 0, "TIME", "last time, exclusive"},
      {"daily", 0, NULL, "one output for each UTC day: OUT_YYYYMMDD"},
      {"shard", 0, "i/n", "every n-th granule from the i-th on; merge the results"},
      {"merge", 0, NULL, "FILES are gridded products: add them up, exactly"},
      {"zones", 0, "FILE", "polygons: concentration of each"},
      {"id", 0, "FIELD", "attribute of the zones that names them"},
      {"baseline", 0, "L3.nc", "gridded product to compare with: change of each zone"},
      {"table", 0, "OUT", "zones to a .csv, .gpkg or .parquet (default: CSV to the terminal)"},
      {"timeout", 0, "S", "seconds until a granule counts as damaged (60)"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "grid", "FILE|FOLDER... --cell SIZE [--box W,S,E,N] -o OUT.nc [options]",
      "soundings onto a grid, exactly; gridded products merged; concentrations of zones",
      "skyflux grid S5P_BLND_*.nc --box=73,18,135,54 --cell 0.1 -o china.nc", OPTIONS};
  sky_grid_run r = {.a = {.sel = {.start = NAN, .end = NAN},
                          .timeout = DEFAULT_TIMEOUT,
                          .correlation = DEFAULT_CORRELATION}};
  sky_cli_common common = {0};
  sky_status st = sky_cli_parse(ctx, &SPEC, argc, argv, handle, &r.a, &common);
  if (st == SKY_OK && !common.help_shown) {
    st = check_args(ctx, &r.a, &common);
    if (st == SKY_OK) st = grid(ctx, &r, &common);
  }
  run_free(&r);
  return st;
}
