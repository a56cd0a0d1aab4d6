/* stage_soundings.c: granules of one gas -> stages/soundings-GAS.nc and its conformance figures,
 * drops counted by reason. All of the work is that of `skyflux soundings` (harmonise.h). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/job/facts.h"
#include "src/job/harmonise.h"
#include "src/job/stage.h"

typedef struct reading { /* the entries of `soundings:` that hold the gas */
  sky_selection *sel;    /* [entries of the job] */
  sky_harmonise_input *input;
  size_t n_inputs;
  char ***files; /* [entries of the job], what the inputs' paths point to */
  size_t *n_files;
  char **footprints;
  size_t n_footprints, n_entries;
  sky_harmonise_request q;
} reading;

static void reading_free(reading *r) {
  for (size_t i = 0; r->files != NULL && r->n_files != NULL && i < r->n_entries; i++)
    sky_file_list_free(r->files[i], r->n_files[i]);
  sky_file_list_free(r->footprints, r->n_footprints);
  sky_free(r->files);
  sky_free(r->n_files);
  sky_free(r->input);
  sky_free(r->sel);
}

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
  double edge[4];
  for (size_t k = 0; k < 4; k++)
    edge[k] = sky_node_number(sky_node_item(box, k), "");
  sky_selection_set_box(sel, edge);
}

/* Cleaning and background are those of the gas: its entries agree on them (sky_job_check). */
static sky_status set_steps(sky_context *ctx, const sky_node *item, reading *r) {
  SKY_TRY(sky_clean_parse(ctx, sky_node_text(item, "clean"), &r->q.clean));
  SKY_TRY(sky_background_parse(ctx, sky_node_text(item, "background"), &r->q.background));
  r->q.wind = sky_node_text(item, "wind");
  r->q.background.wind = r->q.wind != NULL;
  if (r->q.background.method != SKY_BACKGROUND_BOUNDARY) return SKY_OK;
  r->q.background.error = sky_node_number(item, "boundary_error");
  r->q.boundary = sky_node_text(item, "boundary");
  SKY_TRY(sky_job_files(ctx, item, "boundary_footprints", &r->footprints, &r->n_footprints));
  r->q.footprints = r->footprints;
  r->q.n_footprints = r->n_footprints;
  return SKY_OK;
}

static sky_status add_entry(sky_context *ctx, const sky_job *job, const sky_node *item, size_t i,
                            reading *r) {
  if (r->n_inputs == 0) SKY_TRY(set_steps(ctx, item, r));
  selection_of(job, item, &r->sel[i]);
  SKY_TRY(sky_job_files(ctx, item, "files", &r->files[i], &r->n_files[i]));
  const char *product = sky_node_text(item, "product");
  sky_harmonise_input *grown =
      sky_realloc(ctx, r->input, r->n_inputs, r->n_inputs + r->n_files[i], sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  r->input = grown;
  for (size_t k = 0; k < r->n_files[i]; k++)
    r->input[r->n_inputs++] =
        (sky_harmonise_input){.path = r->files[i][k], .product = product, .sel = &r->sel[i]};
  r->q.timeout_s = fmax(r->q.timeout_s, sky_node_number(item, "timeout"));
  return SKY_OK;
}

static sky_status reading_of(sky_context *ctx, const sky_job *job, const char *gas, reading *r) {
  const sky_node *items = sky_node_get(job->root, "soundings");
  const size_t n = sky_node_count(items);
  r->n_entries = n;
  r->sel = SKY_NEW0(ctx, sky_selection, n);
  r->files = SKY_NEW0(ctx, char **, n);
  r->n_files = SKY_NEW0(ctx, size_t, n);
  if (r->sel == NULL || r->files == NULL || r->n_files == NULL) return SKY_E_NOMEM;
  r->q = (sky_harmonise_request){.gas = gas, .quality_min = NAN, .quality_max = NAN};
  for (size_t i = 0; i < n; i++)
    if (sky_job_reads_gas(sky_node_item(items, i), gas))
      SKY_TRY(add_entry(ctx, job, sky_node_item(items, i), i, r));
  r->q.input = r->input;
  r->q.n_inputs = r->n_inputs;
  return SKY_OK;
}

static uint64_t total_of(const sky_harmonise_result *r) {
  uint64_t total = 0;
  for (size_t k = 0; k < SKY_DROP_COUNT; k++)
    total += r->drops[k];
  return total;
}

static void record(sky_facts *facts, const char *gas, const reading *r,
                   const sky_harmonise_result *out) {
  const char *formula = sky_species_find(gas)->formula;
  char from[24], to[24], cleaning[96], background[64];
  for (size_t i = 0; i < out->failed.n; i++)
    sky_fact(facts, "warnings", out->failed.item[i].path, "granule skipped: %s",
             out->failed.item[i].reason);
  sky_time_format(out->first, from, sizeof from);
  sky_time_format(out->last, to, sizeof to);
  sky_fact(facts, "inputs", formula, "%lu good soundings of %lu in %zu granules (%s), %s to %s",
           out->drops[SKY_DROP_NONE], total_of(out), out->n_granules, out->product, from, to);
  for (size_t k = 1; k < SKY_DROP_COUNT; k++)
    if (out->drops[k] > 0)
      sky_fact(facts, "inputs", formula, "%lu soundings dropped: %s", out->drops[k],
               sky_drop_name((sky_drop)k));
  if (out->kernel_note[0] != '\0')
    sky_fact(facts, "inputs", formula, "averaging kernel: %s", out->kernel_note);
  sky_clean_text(r->q.clean, cleaning, sizeof cleaning);
  sky_background_text(&r->q.background, background, sizeof background);
  sky_fact(facts, "inputs", formula, "cleaning: %s; background: %s", cleaning, background);
  sky_fact_number(facts, "granules", (double)r->n_inputs);
  sky_fact_number(facts, "granules_failed", (double)out->failed.n);
  sky_fact_number(facts, "soundings_read", (double)total_of(out));
  sky_fact_number(facts, "soundings_good", (double)out->drops[SKY_DROP_NONE]);
  sky_fact_text(facts, "product", out->product);
  sky_fact_text(facts, "first", from);
  sky_fact_text(facts, "last", to);
}

sky_status sky_stage_soundings(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  sky_facts facts = {0};
  reading r = {0};
  sky_harmonise_result result = {0};
  char *path = NULL, **tags = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO(reading_of(ctx, job, stage->gas, &r));
  SKY_GO_ALLOC(path, sky_job_path(ctx, job, stage->outputs[1]));
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  r.q.output = path;
  r.q.attrs = (const char *const *)tags;
  st = sky_harmonise(ctx, &r.q, &result);
  if (st != SKY_OK) {
    if (result.failed.n > 0 && result.n_granules == 0) st = SKY_E_NODATA; /* inputs are there */
    sky_fail_in(ctx, st, "%s: ", stage->gas);
    goto cleanup;
  }
  SKY_GO(sky_conformance_write(ctx, &r.q, &result));
  record(&facts, stage->gas, &r, &result);
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_harmonise_result_free(&result);
  reading_free(&r);
  sky_tags_free(tags);
  sky_free(path);
  sky_facts_free(&facts);
  return st;
}
