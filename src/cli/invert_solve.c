/* invert_solve.c: see invert_solve.h.
 *
 * A checkpoint is a journal of the products A v of the iteration, in their order: everything else
 * follows from them, so a run that goes on ends with the bytes of one that was not killed. */
#include "src/cli/invert_solve.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/engine/journal.h"

#define DEFAULT_TOLERANCE 1e-10
#define COMPLETE 2048    /* observations up to which an iteration is carried to the end */
#define MOST_EXACT 20000 /* observations of an exact solution */
#define PROBE_SEED 20261130

sky_status sky_invert_solve_option(sky_context *ctx, sky_invert_solve *o, const char *name,
                                   const char *value, bool *taken) {
  *taken = true;
  if (strcmp(name, "tolerance") == 0) {
    if (!sky_number_parse(value, &o->tolerance, NULL) || !(o->tolerance > 0 && o->tolerance < 1))
      return sky_fail(ctx, SKY_E_USAGE, "--tolerance: '%s' (expected a number above 0, below 1)",
                      value);
  } else if (strcmp(name, "checkpoint") == 0) {
    o->checkpoint = value;
  } else if (strcmp(name, "float32") == 0) {
    o->float32 = true;
  } else {
    *taken = false;
  }
  return SKY_OK;
}

/* ---- checkpoint ----------------------------------------------------------------------------- */

static sky_status load(sky_context *ctx, void *user, size_t index, size_t count, double *data,
                       bool *found) {
  const sky_journal *j = user;
  const sky_journal_record *r = sky_journal_find(j, index);
  *found = r != NULL;
  if (r == NULL) return SKY_OK;
  if (r->size != count * sizeof *data)
    return sky_fail(ctx, SKY_E_READ, "checkpoint: product %zu has %llu bytes (expected %zu)", index,
                    (unsigned long long)r->size, count * sizeof *data);
  sky_text bytes = {.ctx = ctx};
  const sky_status st = sky_journal_read(ctx, j, r, &bytes);
  if (st == SKY_OK) memcpy(data, bytes.data, count * sizeof *data);
  sky_text_free(&bytes);
  return st;
}

static sky_status save(sky_context *ctx, void *user, size_t index, size_t count,
                       const double *data) {
  sky_text part = {.ctx = ctx}, record = {.ctx = ctx};
  sky_text_add(&part, (const char *)data, count * sizeof *data);
  sky_journal_put(&record, index, false, &part);
  sky_status st = SKY_E_NOMEM;
  if (!part.failed && !record.failed) st = sky_journal_append(ctx, user, &record);
  sky_text_free(&part);
  sky_text_free(&record);
  return st;
}

static sky_status open_checkpoint(sky_context *ctx, const sky_invert_solve *o, const char *path,
                                  sky_journal **out) {
  char sum[65];
  *out = NULL;
  if (o->checkpoint == NULL) return SKY_OK;
  SKY_TRY(sky_file_sha256(ctx, path, sum));
  char *stamp = sky_sprintf(ctx, "products of skyflux %s invert\nproblem %s\nfloat32 %d\n",
                            SKYFLUX_VERSION, sum, o->float32);
  if (stamp == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_journal_open(ctx, o->checkpoint, (sky_shard){0, 0}, stamp, false, out);
  sky_free(stamp);
  if (st == SKY_E_USAGE)
    return sky_fail(ctx, st,
                    "--checkpoint: %s belongs to another problem or precision, or to a process at "
                    "work (remove it, or name another file)",
                    o->checkpoint);
  if (st == SKY_OK && sky_journal_count(*out) > 0)
    sky_log(ctx, SKY_LOG_INFO, "going on after %zu products in %s", sky_journal_count(*out),
            o->checkpoint);
  return st;
}

static sky_status iterate(sky_context *ctx, const sky_invert_solve *o, const char *path,
                          bool banded, const sky_problem *p, const sky_functionals *zones,
                          sky_posterior *out, sky_iterate_report *report) {
  sky_journal *journal = NULL;
  SKY_TRY(open_checkpoint(ctx, o, path, &journal));
  const sky_product_store store = {journal, load, save};
  const sky_iterate_options options = {
      .tolerance = o->tolerance > 0 ? o->tolerance : DEFAULT_TOLERANCE,
      .float32 = o->float32,
      .complete = COMPLETE,
      .seed = PROBE_SEED,
      .banded = banded,
      .skip_trace = banded,
      .store = journal != NULL ? &store : NULL,
  };
  const sky_status st = sky_problem_iterate(ctx, p, zones, &options, out, report);
  sky_journal_close(journal);
  if (st == SKY_OK && o->checkpoint != NULL) unlink(o->checkpoint);
  return st;
}

/* ---- choice --------------------------------------------------------------------------------- */

static const char *choose(sky_context *ctx, const sky_invert_solve *o, const sky_problem *p,
                          size_t n_zone) {
  const double need = sky_problem_bytes(p, n_zone), budget = (double)sky_context_memory(ctx);
  if (o->method != NULL) return o->method; /* checked with the modes */
  if (p->n_obs <= MOST_EXACT && need <= budget) return "exact";
  sky_log(ctx, SKY_LOG_INFO,
          "method: iterative (an exact solution of %zu observations would take %.0f MB of %.0f MB; "
          "it is chosen up to %d observations)",
          p->n_obs, ceil(need / 1e6), budget / 1e6, MOST_EXACT);
  return "iterative";
}

sky_status sky_invert_solve_run(sky_context *ctx, const sky_invert_solve *o, const char *path,
                                const sky_problem *p, const sky_functionals *zones,
                                sky_posterior *out, sky_iterate_report *report,
                                const char **method) {
  memset(report, 0, sizeof *report);
  *method = choose(ctx, o, p, zones->n_zone);
  if (strcmp(*method, "iterative") == 0) return iterate(ctx, o, path, false, p, zones, out, report);
  if (o->tolerance > 0 || o->checkpoint != NULL || o->float32)
    return sky_fail(ctx, SKY_E_USAGE,
                    "--tolerance, --checkpoint and --float32 belong to --method iterative");
  if (strcmp(*method, "banded") == 0) return iterate(ctx, o, path, true, p, zones, out, report);
  return sky_problem_solve(ctx, p, zones, out);
}
