/* cmd_grid.c: `skyflux grid`: soundings of any product onto a grid, with the sums that let gridded
 * products be merged exactly; concentrations of zones and their change.
 *
 * Granules are read a few at a time through worker processes, so memory does not grow with their
 * number. Nothing that is written depends on their order, on threads, shards or memory. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/grid_args.h"
#include "src/cli/reading_args.h"
#include "src/cli/shard_command.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/engine/fork.h"
#include "src/job/gridding.h"
#include "src/job/zone_columns.h"
#include "src/read/granule.h"
#include "src/read/level3.h"
#include "src/read/soundings.h"
#include "src/read/zones_ogr.h"
#include "src/write/json_out.h"
#include "src/write/result_table.h"

#define DEFAULT_TIMEOUT 60.0    /* s */
#define DEFAULT_CORRELATION 0.3 /* as columns.correlation of a job */
#define SIGMA_REFERENCE 0.005   /* of the column that the gas may have at least: 1.5 ppm, 6 ppb */
#define DAY 86400.0             /* s */
#define WHOLE INT64_MIN         /* the one period without --daily */
#define MOST_SUMS ((size_t)96 << 20)  /* bytes of sums in memory */
#define LARGE_SUMS ((size_t)16 << 20) /* bytes of sums that are not held while writing */
#define SOURCES_PER_INPUT 1000000     /* numbers of granules within one input */

typedef struct grid_args {
  sky_selection sel;
  sky_reading_args reading;
  sky_grid_args grid;
  const char *output, *gas, *table, *baseline, *zones;
  sky_zones_options zone;
  sky_bins_options bins;
  double timeout, correlation;
  bool merge, daily;
  sky_shard shard;
} grid_args;

typedef struct period { /* a day, or everything */
  int64_t day;
  sky_gridding *gridding;
  char *path; /* of its output */
  size_t cells;
} period;

typedef struct grid_run {
  grid_args a;
  char **files;           /* of named folders, everything below them */
  size_t n_files, passed; /* passed over: in a folder and no product of the gas */
  sky_level3 head;        /* what every period starts from */
  period *period;
  size_t n_period;
  char *const *named; /* as on the command line */
  int n_named;
  size_t drops[SKY_DROP_COUNT];
  sky_granule_failures failed;
} grid_run;

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

/* One of two words. */
static sky_status parse_choice(sky_context *ctx, const char *name, const char *value,
                               const char *first, const char *second, bool *is_second) {
  *is_second = strcmp(value, second) == 0;
  if (*is_second || strcmp(value, first) == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--%s: '%s' is not one of %s, %s", name, value, first, second);
}

static sky_status parse_number(sky_context *ctx, const char *name, const char *value, double low,
                               double high, double *out) {
  if (sky_number_parse(value, out, NULL) && *out >= low && *out <= high) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--%s: '%s' is not a number from %g to %g", name, value, low,
                  high);
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  grid_args *a = user;
  bool second = false;
  const struct {
    const char *name, **to;
  } texts[] = {{"output", &a->output},
               {"table", &a->table},
               {"baseline", &a->baseline},
               {"zones", &a->zones},
               {"id", &a->zone.id}};
  bool taken;
  SKY_TRY(sky_reading_args_take(ctx, &a->reading, &a->sel, name, value, &taken));
  if (taken || sky_grid_args_take(&a->grid, name, value)) return SKY_OK;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (strcmp(name, texts[i].name) != 0) continue;
    *texts[i].to = value;
    return SKY_OK;
  }
  if (strcmp(name, "gas") == 0) {
    a->gas = value;
    if (sky_species_find(value) != NULL) return SKY_OK;
    return sky_fail(ctx, SKY_E_USAGE, "--gas: '%s' is not one of co2, ch4, n2o", value);
  }
  if (strcmp(name, "method") == 0) return parse_method(ctx, value, &a->bins);
  if (strcmp(name, "weights") == 0) {
    SKY_TRY(parse_choice(ctx, name, value, "area", "planar", &second));
    a->bins.measure = second ? SKY_QUAD_PLANAR : SKY_QUAD_AREA;
    return SKY_OK;
  }
  if (strcmp(name, "correlation") == 0)
    return parse_number(ctx, name, value, 0, 1, &a->correlation);
  if (strcmp(name, "timeout") == 0) return parse_number(ctx, name, value, 1e-3, 1e9, &a->timeout);
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

static sky_status check_args(sky_context *ctx, const grid_args *a, const sky_cli_common *common) {
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

/* ---- periods -------------------------------------------------------------------------------- */

static sky_status output_path(sky_context *ctx, const grid_args *a, int64_t day, char **out) {
  *out = NULL;
  if (a->output == NULL) return SKY_OK;
  if (day == WHOLE) {
    *out = sky_strdup(ctx, a->output);
  } else {
    const char *dot = strrchr(a->output, '.');
    int y, m, d;
    sky_civil_from_days(day, &y, &m, &d);
    *out = sky_sprintf(ctx, "%.*s_%04d%02d%02d%s", (int)(dot - a->output), a->output, y, m, d, dot);
  }
  return *out != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status copy_head(sky_context *ctx, const sky_level3 *head, sky_level3 *out) {
  *out = *head;
  out->n_granule = 0;
  out->granule = NULL;
  memset(&out->total, 0, sizeof out->total);
  return sky_grid_copy(ctx, &head->grid, &out->grid);
}

/* Sums beyond this go to scratch files even if memory would hold them: writing them and reading
 * them back costs less than a tenth of what the output does, and the command stays small. */
static size_t sums_budget(const sky_context *ctx) {
  const size_t half = sky_context_memory(ctx) / 2;
  return half < MOST_SUMS ? half : MOST_SUMS;
}

/* The period of a day, made if it is new. */
static sky_status period_of(sky_context *ctx, grid_run *r, int64_t day, sky_gridding **out) {
  for (size_t i = 0; i < r->n_period; i++) {
    *out = r->period[i].gridding;
    if (r->period[i].day == day) return SKY_OK;
  }
  period *grown = sky_realloc(ctx, r->period, r->n_period, r->n_period + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  r->period = grown;
  period *p = &grown[r->n_period++];
  *p = (period){.day = day};
  sky_level3 head = {0};
  SKY_TRY(output_path(ctx, &r->a, day, &p->path));
  SKY_TRY(copy_head(ctx, &r->head, &head));
  const sky_status st = sky_gridding_create(ctx, &head, p->path != NULL ? p->path : "grid.nc",
                                            sums_budget(ctx), &p->gridding);
  sky_level3_free(&head);
  *out = p->gridding;
  return st;
}

/* All periods together keep to the budget: the largest goes to its scratch file. */
static sky_status keep_budget(sky_context *ctx, grid_run *r) {
  for (;;) {
    size_t total = 0, largest = 0;
    for (size_t i = 0; i < r->n_period; i++) {
      const size_t bytes = sky_gridding_memory(r->period[i].gridding);
      total += bytes;
      if (bytes > sky_gridding_memory(r->period[largest].gridding)) largest = i;
    }
    if (r->n_period < 2 || total <= sums_budget(ctx)) return SKY_OK;
    SKY_TRY(sky_gridding_spill(ctx, r->period[largest].gridding));
    if (sky_gridding_memory(r->period[largest].gridding) * r->n_period > sums_budget(ctx))
      return sky_fail(ctx, SKY_E_NOMEM, "%zu days of this grid do not fit in the memory budget",
                      r->n_period);
  }
}

/* ---- soundings ------------------------------------------------------------------------------ */

static int by_number(const void *a, const void *b) {
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static sky_status put_days(sky_context *ctx, grid_run *r, const sky_soundings *s, size_t source) {
  sky_status st = SKY_OK;
  size_t n = 0;
  int64_t *day = SKY_NEW(ctx, int64_t, s->n);
  if (day == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < s->n; i++)
    if (s->drop[i] == SKY_DROP_NONE && isfinite(s->time[i]))
      day[n++] = (int64_t)floor(s->time[i] / DAY);
  if (n > 0) qsort(day, n, sizeof *day, by_number);
  for (size_t i = 0; i < n; i++) {
    sky_gridding *g;
    if (i > 0 && day[i] == day[i - 1]) continue;
    SKY_GO(period_of(ctx, r, day[i], &g));
    SKY_GO(sky_gridding_put(ctx, g, s, source, (double)day[i] * DAY, (double)(day[i] + 1) * DAY));
    SKY_GO(keep_budget(ctx, r));
  }
cleanup:
  sky_free(day);
  return st;
}

/* The first soundings say the gas. */
static sky_status take_gas(sky_context *ctx, grid_run *r, const sky_soundings *s) {
  if (r->head.gas[0] == '\0') {
    memcpy(r->head.gas, s->gas, sizeof r->head.gas);
    r->head.options.sigma_reference = SIGMA_REFERENCE * sky_species_find(s->gas)->column_min;
  }
  if (strcmp(r->head.gas, s->gas) == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_GAS, "soundings of %s among those of %s: --gas names one", s->gas,
                  r->head.gas);
}

static sky_status put_soundings(sky_context *ctx, grid_run *r, const sky_soundings *s,
                                size_t source) {
  sky_gridding *g;
  if (s->n == 0) return SKY_OK;
  SKY_TRY(take_gas(ctx, r, s));
  if (r->a.daily) return put_days(ctx, r, s, source);
  SKY_TRY(period_of(ctx, r, WHOLE, &g));
  return sky_gridding_put(ctx, g, s, source, NAN, NAN);
}

/* What a folder holds beside granules of the gas is no failure; what was named is. */
static bool passed_over(const grid_run *r, const char *path, sky_status st, const char *reason) {
  for (int i = 0; i < r->n_named; i++)
    if (strcmp(r->named[i], path) == 0) return false;
  return (st == SKY_E_GAS && r->a.gas != NULL) || strstr(reason, "no known product") != NULL ||
         strstr(reason, "not a NetCDF file") != NULL;
}

static void pass_over(grid_run *r, sky_granule_failures *f) {
  size_t kept = 0;
  for (size_t i = 0; i < f->n; i++) {
    sky_granule_failure *item = &f->item[i];
    if (!passed_over(r, item->path, item->status, item->reason)) {
      f->item[kept++] = *item;
      continue;
    }
    sky_free(item->path);
    sky_free(item->reason);
    r->passed++;
  }
  f->n = kept;
}

/* Moves the failures of one batch to those of the run. */
static sky_status take_failures(sky_context *ctx, sky_granule_failures *to,
                                sky_granule_failures *from) {
  if (from->n == 0) return SKY_OK;
  sky_granule_failure *grown = sky_realloc(ctx, to->item, to->n, to->n + from->n, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  memcpy(grown + to->n, from->item, from->n * sizeof *grown);
  to->item = grown;
  to->n += from->n;
  from->n = 0;
  return SKY_OK;
}

static sky_status read_granules(sky_context *ctx, grid_run *r, size_t first, size_t n) {
  sky_soundings s = {0};
  size_t drops[SKY_DROP_COUNT] = {0};
  sky_granule_failures failed = {0};
  sky_status st = sky_granules_read(ctx, r->files + first, n, r->a.reading.product, r->a.gas,
                                    &r->a.sel, r->a.timeout, &s, drops, &failed);
  if (st == SKY_E_NODATA && failed.n > 0) st = SKY_OK;       /* none of these; others may do */
  if (st == SKY_E_GAS && r->a.gas == NULL) st = SKY_E_USAGE; /* several gases: --gas is missing */
  for (size_t k = 0; k < SKY_DROP_COUNT; k++)
    r->drops[k] += drops[k];
  pass_over(r, &failed);
  if (st == SKY_OK) st = take_failures(ctx, &r->failed, &failed);
  if (st == SKY_OK) st = put_soundings(ctx, r, &s, first * SOURCES_PER_INPUT);
  sky_granule_failures_free(&failed);
  sky_soundings_free(&s);
  sky_memory_trim();
  return st;
}

/* A harmonised file of a gas that was not asked for. */
static sky_status wrong_gas(sky_context *ctx, grid_run *r, const char *path, const char *gas) {
  sky_granule_failure item = {
      .path = sky_strdup(ctx, path),
      .reason = sky_sprintf(ctx, "holds soundings of %s, not of %s", gas, r->a.gas),
      .status = SKY_E_GAS};
  sky_granule_failures one = {.n = 1, .item = SKY_NEW(ctx, sky_granule_failure, 1)};
  sky_status st = SKY_E_NOMEM;
  if (item.path == NULL || item.reason == NULL || one.item == NULL) {
    sky_free(item.path);
    sky_free(item.reason);
    sky_free(one.item);
    return st;
  }
  one.item[0] = item;
  pass_over(r, &one);
  if (one.n > 0) sky_log(ctx, SKY_LOG_WARN, "%s: skipped: %s", sky_file_base(path), item.reason);
  st = take_failures(ctx, &r->failed, &one);
  sky_granule_failures_free(&one);
  return st;
}

#define PIECE ((size_t)131072) /* soundings of a harmonised file that are held */

static sky_status read_harmonised(sky_context *ctx, grid_run *r, size_t i) {
  size_t granules, *first = NULL;
  SKY_TRY(sky_soundings_index(ctx, r->files[i], &granules, &first));
  const size_t n = first[granules];
  sky_free(first);
  for (size_t at = 0; at < n; at += PIECE) {
    sky_soundings s = {0};
    char *none;
    SKY_TRY(sky_soundings_read_rows(ctx, r->files[i], at, n - at < PIECE ? n - at : PIECE, NULL,
                                    &none, &s));
    if (r->a.gas != NULL && strcmp(s.gas, r->a.gas) != 0) {
      const sky_status st = wrong_gas(ctx, r, r->files[i], s.gas);
      sky_soundings_free(&s);
      return st;
    }
    for (size_t k = 0; k < s.n; k++) {
      const sky_drop drop = sky_selection_drop(&r->a.sel, s.lon[k], s.lat[k], s.time[k]);
      if (drop != SKY_DROP_NONE) s.drop[k] = (uint8_t)drop;
      r->drops[s.drop[k]]++;
    }
    const sky_status st = put_soundings(ctx, r, &s, i * SOURCES_PER_INPUT);
    sky_soundings_free(&s);
    sky_memory_trim();
    SKY_TRY(st);
  }
  return SKY_OK;
}

/* Harmonised files come one by one, granules a batch of workers at a time. */
static sky_status read_all(sky_context *ctx, grid_run *r) {
  const size_t batch = (size_t)sky_context_threads(ctx);
  size_t waiting = 0;
  sky_status st = SKY_OK;
  bool *harmonised = SKY_NEW0(ctx, bool, r->n_files);
  if (harmonised == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_granules_harmonised(ctx, r->files, r->n_files, r->a.timeout, harmonised));
  for (size_t i = 0; i < r->n_files; i++) {
    const bool last = i + 1 == r->n_files || harmonised[i + 1];
    if (harmonised[i]) {
      SKY_GO(read_harmonised(ctx, r, i));
    } else if (++waiting == batch || last) {
      SKY_GO(read_granules(ctx, r, i + 1 - waiting, waiting));
      waiting = 0;
    }
  }
cleanup:
  sky_free(harmonised);
  return st;
}

static int by_base(const void *a, const void *b) {
  const char *x = *(char *const *)a, *y = *(char *const *)b;
  const int order = strcmp(sky_file_base(x), sky_file_base(y));
  return order != 0 ? order : strcmp(x, y);
}

/* Folders with everything below them, no file twice; every n-th one of a shard, in the order of
 * their names. */
static sky_status choose_files(sky_context *ctx, grid_run *r, const sky_cli_common *common) {
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

static sky_status all_failed(sky_context *ctx, const sky_granule_failures *failed) {
  const sky_granule_failure *first = &failed->item[0];
  if (failed->n == 1) return sky_fail(ctx, first->status, "%s: %s", first->path, first->reason);
  return sky_fail(ctx, first->status, "none of %zu granules could be read; the first: %s: %s",
                  failed->n, first->path, first->reason);
}

static sky_status nothing_good(sky_context *ctx, const grid_run *r) {
  char text[256] = "";
  if (r->failed.n > 0 && r->failed.n + r->passed == r->n_files) return all_failed(ctx, &r->failed);
  for (int k = SKY_DROP_QUALITY; k < SKY_DROP_COUNT; ++k) {
    const size_t at = strlen(text);
    if (r->drops[k] == 0) continue;
    snprintf(text + at, sizeof text - at, "%s%s %zu", at > 0 ? ", " : "",
             sky_drop_name((sky_drop)k), r->drops[k]);
  }
  return sky_fail(ctx, SKY_E_NODATA, "no good sounding is left (dropped: %s)",
                  text[0] != '\0' ? text : "none");
}

/* ---- merging -------------------------------------------------------------------------------- */

static sky_status merge_one(sky_context *ctx, grid_run *r, size_t i) {
  sky_level3 l;
  size_t n = 0, *cell = NULL;
  sky_bin *sums = NULL;
  sky_gridding *g;
  sky_status st = SKY_OK;
  SKY_TRY(sky_level3_read(ctx, r->files[i], &l, &n, &cell, &sums));
  if (i == 0) SKY_GO(copy_head(ctx, &l, &r->head));
  SKY_GO(period_of(ctx, r, WHOLE, &g));
  st = sky_gridding_put_level3(ctx, g, &l, n, cell, sums);
  if (st != SKY_OK) sky_fail_in(ctx, st, "%s: ", r->files[i]);
cleanup:
  sky_level3_free(&l);
  sky_free(cell);
  sky_free(sums);
  return st;
}

static sky_status merge_all(sky_context *ctx, grid_run *r) {
  for (size_t i = 0; i < r->n_files; i++)
    SKY_TRY(merge_one(ctx, r, i));
  return SKY_OK;
}

/* ---- writing -------------------------------------------------------------------------------- */

typedef struct nc_step {
  const char *path;
  const sky_level3 *level3;
  const sky_bin_source *source;
  const char *const *attrs;
} nc_step;

static sky_status write_nc(sky_context *ctx, void *user) {
  const nc_step *s = user;
  return sky_level3_write(ctx, s->path, s->level3, s->source, s->attrs);
}

static sky_status write_period(sky_context *ctx, period *p) {
  const sky_level3 *l = sky_gridding_level3(p->gridding);
  sky_bin_source source;
  char *title = NULL;
  sky_status st = SKY_OK;
  if (p->path == NULL) return SKY_OK;
  if (sky_gridding_memory(p->gridding) > LARGE_SUMS) { /* room for the library's buffers */
    SKY_GO(sky_gridding_spill(ctx, p->gridding));
    sky_memory_trim();
  }
  SKY_GO(sky_gridding_source(ctx, p->gridding, &source));
  SKY_GO_ALLOC(title, sky_sprintf(ctx, "title=Gridded X%s", sky_species_find(l->gas)->formula));
  const char *const attrs[] = {title, "source=satellite and ground-based retrievals",
                               "history=skyflux " SKYFLUX_VERSION " grid", NULL};
  const char *const tags[] = {"TIFFTAG_SOFTWARE=skyflux " SKYFLUX_VERSION, NULL};
  if (ends_with(p->path, ".nc")) {
    nc_step step = {p->path, l, &source, attrs};
    st = sky_fork_run(ctx, write_nc, &step);
    if (st == SKY_E_WORKER)
      st = sky_fail(ctx, SKY_E_DISK, "%s: cannot be written: %s", p->path, sky_error(ctx));
    if (st != SKY_OK) sky_file_discard(p->path);
  } else {
    st = sky_level3_write_cogs(ctx, p->path, l, &source, tags);
  }
cleanup:
  sky_free(title);
  return st;
}

static int by_day(const void *a, const void *b) {
  const period *p = a, *q = b;
  return (p->day > q->day) - (p->day < q->day);
}

static void add_counts(cJSON *o, const period *p) {
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

static sky_status print_json(sky_context *ctx, const grid_run *r, cJSON *zones) {
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

static void print_text(const grid_run *r) {
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

/* ---- zones ---------------------------------------------------------------------------------- */

#define ZONE_COLUMNS 14

typedef struct list_source { /* sums of a file as a source */
  size_t n, at, *cell;
  sky_bin *sums;
} list_source;

static sky_status list_rewind(void *user) {
  ((list_source *)user)->at = 0;
  return SKY_OK;
}

static sky_status list_next(void *user, size_t *cell, sky_bin *sums) {
  list_source *l = user;
  *cell = SIZE_MAX;
  if (l->at == l->n) return SKY_OK;
  *cell = l->cell[l->at];
  *sums = l->sums[l->at++];
  return SKY_OK;
}

static void fill_row(sky_result_cell *c, const sky_zone *zone, const sky_zone_column *v,
                     const char *unit, double scale) {
  *c++ = (sky_result_cell){zone->id, NAN};
  *c++ = (sky_result_cell){zone->name, NAN};
  const double numbers[] = {v->area / 1e4,           v->observed,
                            (double)v->cells,        v->effective > 0 ? v->effective : (double)NAN,
                            v->mean * scale,         v->sigma * scale,
                            v->baseline * scale,     v->change * scale,
                            v->change_sigma * scale, v->common};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
    *c++ = (sky_result_cell){NULL, numbers[i]};
  *c++ = (sky_result_cell){unit, NAN};
  *c = (sky_result_cell){v->reason, NAN};
}

/* The table goes to a file, to stdout as CSV, or into *json. */
static sky_status put_table(sky_context *ctx, const grid_run *r, const sky_zones *zones,
                            const sky_zone_column *value, bool json, cJSON **out) {
  static const sky_result_column COLUMNS[ZONE_COLUMNS] = {{"zone_id", SKY_CELL_TEXT},
                                                          {"zone_name", SKY_CELL_TEXT},
                                                          {"zone_area_ha", SKY_CELL_NUMBER},
                                                          {"observed", SKY_CELL_NUMBER},
                                                          {"cells", SKY_CELL_NUMBER},
                                                          {"effective_soundings", SKY_CELL_NUMBER},
                                                          {"concentration", SKY_CELL_NUMBER},
                                                          {"uncertainty", SKY_CELL_NUMBER},
                                                          {"baseline", SKY_CELL_NUMBER},
                                                          {"change", SKY_CELL_NUMBER},
                                                          {"change_uncertainty", SKY_CELL_NUMBER},
                                                          {"common", SKY_CELL_NUMBER},
                                                          {"unit", SKY_CELL_TEXT},
                                                          {"reason", SKY_CELL_TEXT}};
  const sky_species *gas = sky_species_find(r->head.gas);
  sky_result_cell *cell = NULL;
  const sky_zone **zone = NULL;
  char *note[3] = {NULL, NULL, NULL}, *text = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(cell, SKY_NEW(ctx, sky_result_cell, zones->n * ZONE_COLUMNS));
  SKY_GO_ALLOC(zone, SKY_NEW(ctx, const sky_zone *, zones->n));
  SKY_GO_ALLOC(note[0], sky_sprintf(ctx, "skyflux %s grid", SKYFLUX_VERSION));
  SKY_GO_ALLOC(note[1], sky_sprintf(ctx, "X%s; error correlation %g; zones %s%s%s", gas->formula,
                                    r->head.correlation, sky_file_base(r->a.zones),
                                    r->a.baseline != NULL ? "; baseline " : "",
                                    r->a.baseline != NULL ? sky_file_base(r->a.baseline) : ""));
  SKY_GO_ALLOC(note[2], sky_strdup(ctx,
                                   "concentration and change: indicators of T/CI 231-2023, "
                                   "Table 1; change over the cells observed in both"));
  for (size_t z = 0; z < zones->n; z++) {
    fill_row(cell + z * ZONE_COLUMNS, &zones->zone[z], &value[z], gas->column_unit,
             gas->column_scale);
    zone[z] = &zones->zone[z];
  }
  const sky_result_table t = {.name = "concentrations",
                              .notes = (const char *const *)note,
                              .n_note = 3,
                              .n_column = ZONE_COLUMNS,
                              .n_row = zones->n,
                              .column = COLUMNS,
                              .cell = cell,
                              .crs = r->head.grid.crs,
                              .zone = zone};
  if (r->a.table != NULL) SKY_GO(sky_result_write(ctx, r->a.table, &t));
  if (json) {
    *out = sky_result_json(&t);
    if (*out == NULL) st = SKY_E_NOMEM;
  } else if (r->a.table == NULL) {
    SKY_GO_ALLOC(text, sky_result_csv(ctx, &t));
    fputs(text, stdout);
  }
cleanup:
  sky_free(text);
  for (size_t i = 0; i < 3; i++)
    sky_free(note[i]);
  sky_free(cell);
  sky_free(zone);
  return st;
}

static sky_status make_zones(sky_context *ctx, const grid_run *r, bool json, cJSON **out) {
  sky_zones zones = {0};
  sky_zone_column *value = NULL;
  sky_level3 base = {0};
  list_source sums = {0};
  const sky_bin_source base_source = {&sums, list_rewind, list_next};
  sky_bin_source source;
  sky_gridding *g = r->period[0].gridding;
  sky_status st = SKY_OK;
  SKY_GO(sky_zones_read(ctx, r->a.zones, &r->a.zone, &r->head.grid, &zones));
  SKY_GO_ALLOC(value, SKY_NEW0(ctx, sky_zone_column, zones.n));
  if (r->a.baseline != NULL) {
    SKY_GO(sky_level3_read(ctx, r->a.baseline, &base, &sums.n, &sums.cell, &sums.sums));
  }
  SKY_GO(sky_gridding_source(ctx, g, &source));
  st = sky_zone_columns(ctx, &zones, sky_gridding_level3(g), &source,
                        r->a.baseline != NULL ? &base : NULL,
                        r->a.baseline != NULL ? &base_source : NULL, value);
  if (st == SKY_E_FORMAT) sky_fail_in(ctx, st, "%s: ", r->a.baseline);
  if (st == SKY_OK) st = put_table(ctx, r, &zones, value, json, out);
cleanup:
  sky_free(value);
  sky_zones_free(&zones);
  sky_level3_free(&base);
  sky_free(sums.cell);
  sky_free(sums.sums);
  return st;
}

/* ---- the command ---------------------------------------------------------------------------- */

/* Gridded products alone are merged, also without --merge. */
static sky_status is_merge(sky_context *ctx, const grid_run *r, bool *out) {
  const sky_grid_args *g = &r->a.grid;
  *out = r->a.merge;
  if (*out || g->like != NULL || g->preset != NULL || g->cell != NULL) return SKY_OK;
  return sky_level3_recognise(ctx, r->files[0], out);
}

static sky_status grid(sky_context *ctx, grid_run *r, const sky_cli_common *common) {
  bool merge;
  cJSON *zones = NULL;
  SKY_TRY(choose_files(ctx, r, common));
  SKY_TRY(is_merge(ctx, r, &merge));
  if (merge) {
    SKY_TRY(merge_all(ctx, r));
  } else {
    r->head.options = r->a.bins;
    r->head.correlation = r->a.correlation;
    SKY_TRY(sky_grid_args_make(ctx, &r->a.grid, NULL, &r->head.grid));
    SKY_TRY(read_all(ctx, r));
  }
  if (r->n_period == 0 || (!merge && r->drops[SKY_DROP_NONE] == 0)) return nothing_good(ctx, r);
  qsort(r->period, r->n_period, sizeof *r->period, by_day);
  for (size_t i = 0; i < r->n_period; i++)
    SKY_TRY(write_period(ctx, &r->period[i]));
  if (!common->json) print_text(r);
  if (r->a.zones != NULL) SKY_TRY(make_zones(ctx, r, common->json, &zones));
  if (common->json) SKY_TRY(print_json(ctx, r, zones));
  if (r->failed.n == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_PARTIAL, "%zu of %zu granules could not be read and were skipped",
                  r->failed.n, r->n_files - r->passed);
}

static void run_free(grid_run *r) {
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
  grid_run r = {.a = {.sel = {.start = NAN, .end = NAN},
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
