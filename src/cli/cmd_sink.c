/* cmd_sink.c: `skyflux sink`: what the ecosystems of zones hold and take up, from land-cover
 * maps of two dates or more (src/job/sink_table.h). Options: sink_args.c; output: sink_print.c. */
#include <math.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/shard_command.h"
#include "src/cli/sink_args.h"
#include "src/core/memory.h"
#include "src/job/sink_indicators.h"
#include "src/job/sink_rasters.h"
#include "src/job/sink_spread.h"
#include "src/job/sink_yearly.h"
#include "src/read/zones_ogr.h"

/* The stamp of what is computed, and the journal beside the output. */
static sky_status make_journal(sky_context *ctx, sky_sink_args *a, const sky_cli_common *common) {
  for (int i = 0; i < common->n_args; i++)
    if (!sky_shard_word(a->words, NULL, common->args[i], true)) return SKY_E_NOMEM;
  a->stamp = sky_shard_stamp(ctx, "sink", a->words);
  if (a->stamp == NULL) return SKY_E_NOMEM;
  a->sink.pass.stamp = a->stamp;
  if (a->out == NULL || a->sink.pass.n_join > 0) return SKY_OK;
  a->journal = sky_sprintf(ctx, "%s.journal", a->out);
  a->sink.pass.journal = a->journal;
  return a->journal != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status write_indicators(sky_context *ctx, const sky_sink_args *a, const sky_sink *s) {
  sky_zone_measures m = {0};
  sky_sink_gwp gwp;
  SKY_TRY(sky_sink_gwp_find(ctx, a->gwp, &gwp));
  if (a->measures != NULL) SKY_TRY(sky_zone_measures_read(ctx, a->measures, s, &m));
  const sky_status st =
      sky_sink_write_indicators(ctx, s, a->measures != NULL ? &m : NULL, &gwp, a->indicators);
  sky_zone_measures_free(&m);
  return st;
}

/* First what can still be refused (sets to compare, measures), so that a run in vain writes
 * nothing. */
static sky_status write_all(sky_context *ctx, const sky_sink_args *a, bool json,
                            const sky_sink *s) {
  if (a->spread != NULL) SKY_TRY(sky_sink_write_spread(ctx, s, a->compare, a->spread));
  if (a->yearly != NULL) {
    const sky_yearly_options yearly = {a->flux_years, a->management};
    SKY_TRY(sky_sink_write_yearly(ctx, s, &yearly, a->yearly));
  }
  if (a->indicators != NULL) SKY_TRY(write_indicators(ctx, a, s));
  if (a->out != NULL) SKY_TRY(sky_sink_write_csv(ctx, s, a->out));
  if (a->areas != NULL) SKY_TRY(sky_sink_write_areas(ctx, s, a->areas));
  if (a->rasters != NULL) SKY_TRY(sky_sink_write_rasters(ctx, s, a->rasters, NULL, 0));
  if (json) return sky_sink_print_json(ctx, s);
  sky_sink_print_table(s);
  return SKY_OK;
}

static sky_status sink(sky_context *ctx, sky_sink_args *a, const sky_cli_common *common, bool json,
                       sky_sink *s) {
  const sky_zones_options zones = {.id = a->id, .name = a->name, .level_attribute = a->level};
  SKY_TRY(sky_sink_open(ctx, &a->sink, s));
  SKY_TRY(sky_zones_read(ctx, a->sink.zones, &zones, s->grid, &s->zones));
  s->n_zone = s->zones.n;
  const bool shard = a->sink.pass.shard.shards > 0;
  sky_status st = sky_sink_make(ctx, s);
  if (st == SKY_OK)
    st = shard ? sky_journal_save(ctx, a->journal, a->out)
               : write_all(ctx, a, json || common->json, s);
  /* Once all areas are there, what fails is no matter of going on. */
  if (a->journal != NULL && (st == SKY_OK || s->areas.inside != NULL)) unlink(a->journal);
  return st;
}

/* a: out and shards to be joined are set, if there are any. */
static sky_status run_sink(sky_context *ctx, int argc, char **argv, bool json, sky_sink_args *a) {
  sky_cli_common common = {0};
  sky_sink s = {0};
  SKY_TRY(sky_sink_args_parse(ctx, argc, argv, a, &common));
  if (common.help_shown) return SKY_OK;
  SKY_TRY(make_journal(ctx, a, &common));
  const sky_status st = sink(ctx, a, &common, json, &s);
  sky_sink_close(&s);
  return st;
}

sky_status sky_cmd_sink(sky_context *ctx, int argc, char **argv) {
  sky_sink_args args = {.sink = {.accuracy = NAN, .places = NAN}};
  const sky_status st = run_sink(ctx, argc, argv, false, &args);
  sky_sink_args_free(&args);
  return st;
}

sky_status sky_sink_merge(sky_context *ctx, int argc, char **argv, const char *const *shards,
                          size_t n, const char *out, bool json) {
  sky_sink_args args = {.out = out, .sink = {.accuracy = NAN, .places = NAN}};
  args.sink.pass.join = shards;
  args.sink.pass.n_join = n;
  const sky_status st = run_sink(ctx, argc, argv, json, &args);
  sky_sink_args_free(&args);
  return st;
}
