/* stage_soundings.c: granules of one gas -> stages/soundings-GAS.nc, drops counted by reason. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/job/facts.h"
#include "src/job/stage.h"
#include "src/read/granule.h"
#include "src/write/soundings_nc.h"

/* Box of the entry, else of a geographic grid; period of the job. */
static void selection_of(const sky_job *job, const sky_node *item, sky_selection *sel) {
  const sky_node *box = sky_node_get(item, "box");
  const char *crs = sky_node_text(job->root, "grid.crs");
  memset(sel, 0, sizeof *sel);
  sel->start = sky_node_time(job->root, "period.start");
  sel->end = sky_node_time(job->root, "period.end");
  sel->quality = sky_node_text(item, "quality");
  sel->declared = job->declared;
  if (box == NULL && crs != NULL && strcmp(crs, "EPSG:4326") == 0)
    box = sky_node_get(job->root, "grid.box");
  if (box == NULL) return;
  sel->has_box = true;
  sel->west = sky_node_number(sky_node_item(box, 0), "");
  sel->south = sky_node_number(sky_node_item(box, 1), "");
  sel->east = sky_node_number(sky_node_item(box, 2), "");
  sel->north = sky_node_number(sky_node_item(box, 3), "");
}

/* One entry of `soundings:`; appended to all. */
static sky_status read_entry(sky_context *ctx, const sky_job *job, const sky_node *item,
                             const char *gas, sky_facts *facts, sky_soundings *all,
                             size_t drops[SKY_DROP_COUNT], size_t *n_granules, size_t *n_failed) {
  sky_selection sel;
  sky_soundings part = {0};
  sky_granule_failures failed = {0};
  size_t counts[SKY_DROP_COUNT] = {0}, n_files = 0;
  char **files = NULL;
  sky_status st = SKY_OK;
  selection_of(job, item, &sel);
  SKY_GO(sky_job_files(ctx, item, "files", &files, &n_files));
  SKY_GO(sky_granules_read(ctx, files, n_files, sky_node_text(item, "product"), gas, &sel,
                           sky_node_number(item, "timeout"), &part, counts, &failed));
  for (size_t i = 0; i < failed.n; i++)
    sky_fact(facts, "warnings", failed.item[i].path, "granule skipped: %s", failed.item[i].reason);
  for (size_t k = 0; k < SKY_DROP_COUNT; k++)
    drops[k] += counts[k];
  *n_granules += n_files;
  *n_failed += failed.n;
  if (all->n_granules == 0) {
    *all = part;
    memset(&part, 0, sizeof part);
  } else {
    SKY_GO(sky_soundings_append(ctx, all, &part));
  }
cleanup:
  sky_file_list_free(files, n_files);
  sky_granule_failures_free(&failed);
  sky_soundings_free(&part);
  return st;
}

static void record(sky_facts *facts, const char *gas, const sky_soundings *s,
                   const size_t drops[SKY_DROP_COUNT], size_t n_granules, size_t n_failed) {
  const sky_species *species = sky_species_find(gas);
  size_t total = 0;
  for (size_t k = 0; k < SKY_DROP_COUNT; k++)
    total += drops[k];
  double first = INFINITY, last = -INFINITY;
  for (size_t i = 0; i < s->n; i++) {
    if (s->drop[i] != SKY_DROP_NONE) continue;
    first = fmin(first, s->time[i]);
    last = fmax(last, s->time[i]);
  }
  char from[24], to[24];
  sky_time_format(first, from, sizeof from);
  sky_time_format(last, to, sizeof to);
  sky_fact(facts, "inputs", species->formula,
           "%zu good soundings of %zu in %zu granules (%s), %s to %s", drops[SKY_DROP_NONE], total,
           n_granules - n_failed, s->product, from, to);
  for (size_t k = 1; k < SKY_DROP_COUNT; k++)
    if (drops[k] > 0)
      sky_fact(facts, "inputs", species->formula, "%zu soundings dropped: %s", drops[k],
               sky_drop_name((sky_drop)k));
  if (s->kernel_note[0] != '\0')
    sky_fact(facts, "inputs", species->formula, "averaging kernel: %s", s->kernel_note);
  sky_fact_number(facts, "granules", (double)n_granules);
  sky_fact_number(facts, "granules_failed", (double)n_failed);
  sky_fact_number(facts, "soundings_read", (double)total);
  sky_fact_number(facts, "soundings_good", (double)drops[SKY_DROP_NONE]);
  sky_fact_text(facts, "product", s->product);
  sky_fact_text(facts, "first", from);
  sky_fact_text(facts, "last", to);
}

/* "ch4: no good sounding is left of 32 in 2 granules (20 dropped: quality, 12 dropped: box)" */
static sky_status no_sounding(sky_context *ctx, const char *gas, size_t n_granules,
                              const size_t drops[SKY_DROP_COUNT]) {
  char reasons[512] = "";
  size_t used = 0, total = 0;
  for (size_t k = 1; k < SKY_DROP_COUNT; k++) {
    total += drops[k];
    if (drops[k] > 0 && used < sizeof reasons)
      used += (size_t)snprintf(reasons + used, sizeof reasons - used, "%s%zu dropped: %s",
                               used > 0 ? ", " : "", drops[k], sky_drop_name((sky_drop)k));
  }
  return sky_fail(ctx, SKY_E_NODATA, "%s: no good sounding is left of %zu in %zu granules (%s)",
                  gas, total, n_granules, reasons);
}

sky_status sky_stage_soundings(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  const sky_node *items = sky_node_get(job->root, "soundings");
  sky_soundings all = {0};
  sky_facts facts = {0};
  size_t drops[SKY_DROP_COUNT] = {0}, n_granules = 0, n_failed = 0;
  char *path = NULL, **tags = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_create(ctx, &facts));
  for (size_t i = 0; i < sky_node_count(items); i++)
    if (sky_job_reads_gas(sky_node_item(items, i), stage->gas))
      SKY_GO(read_entry(ctx, job, sky_node_item(items, i), stage->gas, &facts, &all, drops,
                        &n_granules, &n_failed));
  if (sky_soundings_good(&all) == 0) {
    st = no_sounding(ctx, stage->gas, n_granules - n_failed, drops);
    goto cleanup;
  }
  record(&facts, stage->gas, &all, drops, n_granules, n_failed);
  SKY_GO_ALLOC(path, sky_job_path(ctx, job, stage->outputs[1]));
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  SKY_GO(sky_soundings_write(ctx, path, &all, (const char *const *)tags));
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_tags_free(tags);
  sky_free(path);
  sky_facts_free(&facts);
  sky_soundings_free(&all);
  return st;
}
