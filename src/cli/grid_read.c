/* grid_read.c: soundings of `skyflux grid`, from granules and harmonised files into their periods.
 *
 * Granules are read a few at a time through worker processes, harmonised files piece by piece, so
 * memory does not grow with their number. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/grid_run.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/read/soundings.h"

#define SIGMA_REFERENCE 0.005 /* of the column that the gas may have at least: 1.5 ppm, 6 ppb */
#define DAY 86400.0           /* s */
#define MOST_SUMS ((size_t)96 << 20) /* bytes of sums in memory */
#define SOURCES_PER_INPUT 1000000    /* numbers of granules within one input */

/* ---- periods -------------------------------------------------------------------------------- */

static sky_status output_path(sky_context *ctx, const sky_grid_command *a, int64_t day,
                              char **out) {
  *out = NULL;
  if (a->output == NULL) return SKY_OK;
  if (day == SKY_GRID_WHOLE) {
    *out = sky_strdup(ctx, a->output);
  } else {
    const char *dot = strrchr(a->output, '.');
    int y, m, d;
    sky_civil_from_days(day, &y, &m, &d);
    *out = sky_sprintf(ctx, "%.*s_%04d%02d%02d%s", (int)(dot - a->output), a->output, y, m, d, dot);
  }
  return *out != NULL ? SKY_OK : SKY_E_NOMEM;
}

sky_status sky_grid_head(sky_context *ctx, const sky_level3 *head, sky_level3 *out) {
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
sky_status sky_grid_period_of(sky_context *ctx, sky_grid_run *r, int64_t day, sky_gridding **out) {
  for (size_t i = 0; i < r->n_period; i++) {
    *out = r->period[i].gridding;
    if (r->period[i].day == day) return SKY_OK;
  }
  sky_grid_period *grown = sky_realloc(ctx, r->period, r->n_period, r->n_period + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  r->period = grown;
  sky_grid_period *p = &grown[r->n_period++];
  *p = (sky_grid_period){.day = day};
  sky_level3 head = {0};
  SKY_TRY(output_path(ctx, &r->a, day, &p->path));
  SKY_TRY(sky_grid_head(ctx, &r->head, &head));
  const sky_status st = sky_gridding_create(ctx, &head, p->path != NULL ? p->path : "grid.nc",
                                            sums_budget(ctx), &p->gridding);
  sky_level3_free(&head);
  *out = p->gridding;
  return st;
}

/* All periods together keep to the budget: the largest goes to its scratch file. */
static sky_status keep_budget(sky_context *ctx, sky_grid_run *r) {
  for (;;) {
    size_t total = 0, largest = 0;
    for (size_t i = 0; i < r->n_period; i++) {
      const size_t bytes = sky_gridding_memory(r->period[i].gridding);
      total += bytes;
      if (bytes > sky_gridding_memory(r->period[largest].gridding)) largest = i;
    }
    if (r->n_period < 2 || total <= sums_budget(ctx)) return SKY_OK;
    SKY_TRY(sky_gridding_spill(r->period[largest].gridding));
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

static sky_status put_days(sky_context *ctx, sky_grid_run *r, const sky_soundings *s,
                           size_t source) {
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
    SKY_GO(sky_grid_period_of(ctx, r, day[i], &g));
    SKY_GO(sky_gridding_put(ctx, g, s, source, (double)day[i] * DAY, (double)(day[i] + 1) * DAY));
    SKY_GO(keep_budget(ctx, r));
  }
cleanup:
  sky_free(day);
  return st;
}

/* The first soundings say the gas. */
static sky_status take_gas(sky_context *ctx, sky_grid_run *r, const sky_soundings *s) {
  if (r->head.gas[0] == '\0') {
    memcpy(r->head.gas, s->gas, sizeof r->head.gas);
    r->head.options.sigma_reference = SIGMA_REFERENCE * sky_species_find(s->gas)->column_min;
  }
  if (strcmp(r->head.gas, s->gas) == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_GAS, "soundings of %s among those of %s: --gas names one", s->gas,
                  r->head.gas);
}

static sky_status put_soundings(sky_context *ctx, sky_grid_run *r, const sky_soundings *s,
                                size_t source) {
  sky_gridding *g;
  if (s->n == 0) return SKY_OK;
  SKY_TRY(take_gas(ctx, r, s));
  if (r->a.daily) return put_days(ctx, r, s, source);
  SKY_TRY(sky_grid_period_of(ctx, r, SKY_GRID_WHOLE, &g));
  return sky_gridding_put(ctx, g, s, source, NAN, NAN);
}

/* What a folder holds beside granules of the gas is no failure; what was named is. */
static bool passed_over(const sky_grid_run *r, const char *path, sky_status st,
                        const char *reason) {
  for (int i = 0; i < r->n_named; i++)
    if (strcmp(r->named[i], path) == 0) return false;
  return (st == SKY_E_GAS && r->a.gas != NULL) || strstr(reason, "no known product") != NULL ||
         strstr(reason, "not a NetCDF file") != NULL ||
         strstr(reason, "product: harmonised soundings of") != NULL;
}

static void pass_over(sky_context *ctx, sky_grid_run *r, sky_granule_failures *f) {
  size_t kept = 0;
  for (size_t i = 0; i < f->n; i++) {
    sky_granule_failure *item = &f->item[i];
    if (!passed_over(r, item->path, item->status, item->reason)) {
      sky_log(ctx, SKY_LOG_WARN, "%s: granule skipped: %s", sky_file_base(item->path),
              item->reason);
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

static sky_status read_granules(sky_context *ctx, sky_grid_run *r, size_t first, size_t n) {
  sky_soundings s = {0};
  size_t drops[SKY_DROP_COUNT] = {0};
  sky_granule_failures failed = {0};
  sky_status st = sky_granules_read(ctx, r->files + first, n, r->a.reading.product, r->a.gas,
                                    &r->a.sel, r->a.timeout, &s, drops, &failed);
  if (st == SKY_E_NODATA && failed.n > 0) st = SKY_OK;       /* none of these; others may do */
  if (st == SKY_E_GAS && r->a.gas == NULL) st = SKY_E_USAGE; /* several gases: --gas is missing */
  for (size_t k = 0; k < SKY_DROP_COUNT; k++)
    r->drops[k] += drops[k];
  pass_over(ctx, r, &failed);
  if (st == SKY_OK) st = take_failures(ctx, &r->failed, &failed);
  if (st == SKY_OK) st = put_soundings(ctx, r, &s, first * SOURCES_PER_INPUT);
  sky_granule_failures_free(&failed);
  sky_soundings_free(&s);
  sky_memory_trim();
  return st;
}

/* A harmonised file that has nothing of what was asked for, with the reason in ctx. */
static sky_status refuse(sky_context *ctx, sky_grid_run *r, const char *path, sky_status why) {
  const char *reason = sky_error(ctx);
  const size_t length = strlen(path);
  if (strncmp(reason, path, length) == 0 && strncmp(reason + length, ": ", 2) == 0)
    reason += length + 2;
  sky_granule_failure item = {
      .path = sky_strdup(ctx, path), .reason = sky_strdup(ctx, reason), .status = why};
  sky_granule_failures one = {.n = 1, .item = SKY_NEW(ctx, sky_granule_failure, 1)};
  sky_status st = SKY_E_NOMEM;
  if (item.path == NULL || item.reason == NULL || one.item == NULL) {
    sky_free(item.path);
    sky_free(item.reason);
    sky_free(one.item);
    return st;
  }
  one.item[0] = item;
  pass_over(ctx, r, &one);
  st = take_failures(ctx, &r->failed, &one);
  sky_granule_failures_free(&one);
  return st;
}

#define PIECE ((size_t)131072) /* soundings of a harmonised file that are held */

/* Soundings of other products are as if they were not in the file. */
static void keep_product(sky_soundings *s, const char *product) {
  for (size_t k = 0; k < s->n; k++)
    if (!sky_product_wanted(product, s->granule_product[s->granule[k]]))
      s->drop[k] = SKY_DROP_COUNT;
  sky_soundings_remove(s, 1U << SKY_DROP_COUNT);
}

static sky_status read_harmonised(sky_context *ctx, sky_grid_run *r, size_t i) {
  size_t granules, *first = NULL;
  const char *product = r->a.reading.product;
  sky_status st = sky_soundings_choice(ctx, r->files[i], product, r->a.sel.quality);
  if (st == SKY_E_FORMAT || st == SKY_E_USAGE) return refuse(ctx, r, r->files[i], st);
  SKY_TRY(st);
  SKY_TRY(sky_soundings_index(ctx, r->files[i], &granules, &first));
  const size_t n = first[granules];
  sky_free(first);
  for (size_t at = 0; at < n; at += PIECE) {
    sky_soundings s = {0};
    SKY_TRY(sky_soundings_read_places(ctx, r->files[i], at, n - at < PIECE ? n - at : PIECE, &s));
    if (r->a.gas != NULL && strcmp(s.gas, r->a.gas) != 0) {
      st = sky_fail(ctx, SKY_E_GAS, "holds soundings of %s, not of %s", s.gas, r->a.gas);
      sky_soundings_free(&s);
      return refuse(ctx, r, r->files[i], st);
    }
    keep_product(&s, product);
    for (size_t k = 0; k < s.n; k++) {
      const sky_drop drop = sky_selection_drop(&r->a.sel, s.lon[k], s.lat[k], s.time[k]);
      if (drop != SKY_DROP_NONE) s.drop[k] = (uint8_t)drop;
      r->drops[s.drop[k]]++;
    }
    st = put_soundings(ctx, r, &s, i * SOURCES_PER_INPUT);
    sky_soundings_free(&s);
    sky_memory_trim();
    SKY_TRY(st);
  }
  return SKY_OK;
}

/* Harmonised files come one by one, granules a batch of workers at a time. */
sky_status sky_grid_read(sky_context *ctx, sky_grid_run *r) {
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

/* ---- nothing -------------------------------------------------------------------------------- */

static sky_status all_failed(sky_context *ctx, const sky_granule_failures *failed) {
  const sky_granule_failure *first = &failed->item[0];
  if (failed->n == 1) return sky_fail(ctx, first->status, "%s: %s", first->path, first->reason);
  return sky_fail(ctx, first->status, "none of %zu granules could be read; the first: %s: %s",
                  failed->n, first->path, first->reason);
}

sky_status sky_grid_nothing(sky_context *ctx, const sky_grid_run *r) {
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
