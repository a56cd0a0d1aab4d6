/* cmd_zonal.c: `skyflux zonal`: statistics and class areas of zones over rasters.
 *
 * Cells count with their exact covered fraction and their true area; --weights planar leaves the
 * area out, for comparison with tools that do. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/shard_command.h"
#include "src/cli/zonal_run.h"
#include "src/cli/values.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/text.h"
#include "src/write/json_out.h"

/* ---- statistics ----------------------------------------------------------------------------- */

static const struct stat_name {
  const char *name, *column;
  bool squares;
} stats[] = {[SKY_STAT_VALID] = {"valid", "valid", false},          /* share of the zone's area */
             [SKY_STAT_AREA] = {"area", "area", false},             /* with a value */
             [SKY_STAT_COUNT] = {"count", "count", false},          /* cells, by fraction */
             [SKY_STAT_SUM] = {"sum", "sum", false},                /* fraction × value */
             [SKY_STAT_INTEGRAL] = {"integral", "integral", false}, /* value × m² */
             [SKY_STAT_MEAN] = {"mean", "mean", false},
             [SKY_STAT_WEIGHTED_MEAN] = {"weighted_mean", "weighted_mean", false},
             [SKY_STAT_STDEV] = {"stdev", "stdev", true},
             [SKY_STAT_VARIANCE] = {"variance", "variance", true},
             [SKY_STAT_MIN] = {"min", "min", false},
             [SKY_STAT_MAX] = {"max", "max", false}};
#define N_STATS (sizeof stats / sizeof stats[0])
#define DEFAULT_STATS "valid,count,sum,mean,stdev,min,max"

static void run_free(sky_zonal_run *r) {
  cJSON_Delete(r->args.words);
  sky_free(r->journal);
  sky_free(r->stamp);
  sky_raster_set_close(r->set);
  sky_grid_free(&r->target);
  sky_zonal_free(&r->result);
  for (size_t z = 0; z < r->zones.n && r->reasons != NULL; z++)
    sky_free(r->reasons[z]);
  sky_free(r->reasons);
  sky_zone_tree_free(&r->tree);
  sky_free(r->closing);
  sky_free(r->rest);
  sky_zones_free(&r->zones);
  sky_file_list_free(r->notes, r->n_note);
  sky_file_list_free(r->names, r->names != NULL ? (size_t)r->n_raster : 0);
  sky_file_list_free(r->column_names, r->n_column);
  sky_free(r->column);
  sky_free(r->cell);
  sky_free(r->zone);
}

/* ---- options -------------------------------------------------------------------------------- */

/* "median", or "q" and a percentage: "q5", "q97.5". */
static bool parse_quantile(const char *word, double *share) {
  double percent = 50;
  if (strcmp(word, "median") != 0 &&
      (word[0] != 'q' || word[1] == ' ' || !sky_number_parse(word + 1, &percent, NULL)))
    return false;
  *share = percent / 100;
  return percent >= 0 && percent <= 100;
}

static sky_status add_stat(sky_context *ctx, sky_zonal_args *a, const char *word) {
  const char *known[N_STATS + 1] = {[N_STATS] = "median"};
  size_t i = 0;
  if (a->n_stat == SKY_STATS_MAX)
    return sky_fail(ctx, SKY_E_USAGE, "--stats: more than %d statistics", SKY_STATS_MAX);
  while (i < N_STATS && strcmp(word, stats[i].name) != 0)
    i++;
  for (size_t k = 0; k < N_STATS; k++)
    known[k] = stats[k].name;
  double share = NAN;
  if (i < N_STATS) {
    a->opt.squares |= stats[i].squares;
  } else if (parse_quantile(word, &share)) {
    a->opt.quantiles = true;
  } else {
    const char *near = sky_text_nearest(word, known, N_STATS + 1);
    return sky_fail(ctx, SKY_E_USAGE,
                    "--stats: '%s' is not one of valid, area, count, sum, integral, mean, "
                    "weighted_mean, stdev, variance, min, max, median, q0 to q100%s%s%s",
                    word, near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                    near != NULL ? "'?" : "");
  }
  const char *column = i < N_STATS ? stats[i].column : word;
  for (size_t k = 0; k < a->n_stat; k++)
    if (strcmp(a->column[k], column) == 0)
      return sky_fail(ctx, SKY_E_USAGE, "--stats: '%s' is given twice", word);
  snprintf(a->column[a->n_stat], sizeof a->column[0], "%s", column);
  a->share[a->n_stat] = share;
  a->stat[a->n_stat++] = i < N_STATS ? (sky_zonal_stat)i : SKY_STAT_QUANTILE;
  return SKY_OK;
}

static sky_status parse_stats(sky_context *ctx, const char *text, sky_zonal_args *a) {
  for (a->n_stat = 0; *text != '\0';) {
    const size_t n = strcspn(text, ",");
    char word[32];
    snprintf(word, sizeof word, "%.*s", (int)n, text);
    SKY_TRY(add_stat(ctx, a, word));
    text += n + (text[n] == ',');
  }
  if (a->n_stat == 0) return sky_fail(ctx, SKY_E_USAGE, "--stats: no statistic given");
  return SKY_OK;
}

static const char *const kinds[] = {[SKY_SAMPLE_INTENSIVE] = "intensive",
                                    [SKY_SAMPLE_EXTENSIVE] = "extensive",
                                    [SKY_SAMPLE_CLASS] = "class"};

static sky_status parse_kinds(sky_context *ctx, const char *text, sky_zonal_args *a) {
  for (a->n_kind = 0; *text != '\0';) {
    const size_t n = strcspn(text, ",");
    size_t k = 0;
    while (k < 2 && (strlen(kinds[k]) != n || strncmp(kinds[k], text, n) != 0))
      k++;
    if (k == 2)
      return sky_fail(ctx, SKY_E_USAGE, "--kind: '%.*s' is not one of intensive, extensive", (int)n,
                      text);
    if (a->n_kind == SKY_KINDS_MAX)
      return sky_fail(ctx, SKY_E_USAGE, "--kind: more than %d kinds", SKY_KINDS_MAX);
    a->kind[a->n_kind++] = (sky_sampling)k;
    text += n + (text[n] == ',');
  }
  if (a->n_kind == 0) return sky_fail(ctx, SKY_E_USAGE, "--kind: no kind given");
  return SKY_OK;
}

static sky_status parse_unit(sky_context *ctx, const char *text, sky_zonal_args *a) {
  static const sky_area_unit units[] = {{"ha", 1e4}, {"km2", 1e6}, {"m2", 1}};
  const char *const names[] = {units[0].name, units[1].name, units[2].name};
  int i;
  SKY_TRY(sky_cli_word(ctx, "area-unit", text, names, 3, &i));
  a->unit = &units[i];
  return SKY_OK;
}

/* Options on which no result depends. */
static bool handle_execution(sky_context *ctx, sky_zonal_args *a, const char *name,
                             const char *value, sky_status *st) {
  *st = SKY_OK;
  if (strcmp(name, "tile") == 0)
    *st = sky_cli_tile(ctx, value, &a->pass.tile);
  else if (strcmp(name, "shard") == 0)
    *st = sky_shard_parse(ctx, value, &a->pass.shard);
  else if (strcmp(name, "fresh") == 0)
    a->pass.fresh = true;
  else if (strcmp(name, "out") == 0)
    a->out = value;
  else
    return false;
  return true;
}

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  sky_zonal_args *a = user;
  sky_status st;
  const sky_cli_text_option texts[] = {{"id", &a->zones.id},
                                       {"name", &a->zones.name},
                                       {"layer", &a->zones.layer},
                                       {"where", &a->zones.where},
                                       {"assume-crs", &a->zones.assume_crs},
                                       {"level", &a->zones.level_attribute},
                                       {"parent", &a->zones.parent_attribute},
                                       {"weight-raster", &a->by},
                                       {"like", &a->like}};
  if (handle_execution(ctx, a, name, value, &st)) return st;
  if (a->words == NULL) a->words = cJSON_CreateArray();
  const bool is_file = strcmp(name, "weight-raster") == 0 || strcmp(name, "like") == 0;
  if (!sky_shard_word(a->words, name, value, is_file)) return SKY_E_NOMEM;
  if (sky_cli_text(texts, sizeof texts / sizeof *texts, name, value)) return SKY_OK;
  if (strcmp(name, "stats") == 0) return parse_stats(ctx, value, a);
  if (strcmp(name, "kind") == 0) return parse_kinds(ctx, value, a);
  if (strcmp(name, "area-unit") == 0) return parse_unit(ctx, value, a);
  if (strcmp(name, "categories") == 0) {
    a->opt.classes = true;
    return SKY_OK;
  }
  static const char *const weights[] = {"area", "planar"};
  int i;
  SKY_TRY(sky_cli_word(ctx, name, value, weights, 2, &i));
  a->opt.weight = i == 0 ? SKY_WEIGHT_AREA : SKY_WEIGHT_PLANAR;
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, sky_zonal_args *a, const sky_cli_common *common) {
  if (common->n_args < 2)
    return sky_fail(ctx, SKY_E_USAGE, "zonal: expected rasters and a file of zones, got %d file%s",
                    common->n_args, common->n_args == 1 ? "" : "s");
  if (a->zones.id == NULL) return sky_fail(ctx, SKY_E_USAGE, "zonal: option --id is needed");
  a->zones.keep_defects = true;
  if (a->unit == NULL) SKY_TRY(parse_unit(ctx, "ha", a));
  if (a->opt.classes && a->n_stat > 0)
    return sky_fail(ctx, SKY_E_USAGE,
                    "zonal: --categories gives the areas of classes; --stats are for values");
  if (a->n_stat == 0 && !a->opt.classes)
    SKY_TRY(parse_stats(ctx, a->by != NULL ? "weighted_mean" : DEFAULT_STATS, a));
  bool weighted = false;
  for (size_t i = 0; i < a->n_stat; i++)
    weighted |= a->stat[i] == SKY_STAT_WEIGHTED_MEAN;
  if (weighted != (a->by != NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "zonal: weighted_mean and --weight-raster go together: %s is missing",
                    weighted ? "--weight-raster" : "weighted_mean");
  a->opt.by = weighted;
  const size_t n = (size_t)common->n_args - 1 + weighted;
  if (a->opt.classes && a->n_kind > 0)
    return sky_fail(ctx, SKY_E_USAGE, "zonal: --kind is for values; classes are resampled as such");
  if (a->n_kind > 1 && a->n_kind != n)
    return sky_fail(ctx, SKY_E_USAGE, "zonal: --kind has %zu kinds for %zu rasters%s", a->n_kind, n,
                    weighted ? " (that of the weights is one)" : "");
  for (int i = 0; i < common->n_args && a->out != NULL; i++)
    if (sky_file_same(common->args[i], a->out))
      return sky_fail(ctx, SKY_E_USAGE, "zonal: -o %s is one of the inputs", a->out);
  if (a->pass.shard.shards > 0)
    return a->out != NULL ? SKY_OK : sky_fail(ctx, SKY_E_USAGE, "zonal: --shard needs -o");
  return a->out != NULL ? sky_result_check_path(ctx, a->out) : SKY_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* What was read, before anything is computed from it. */
static void tell_facts(sky_context *ctx, const sky_zonal_run *r, const sky_raster_input *in,
                       size_t n) {
  for (size_t i = 0; i < n; i++) {
    const sky_raster_facts *f = sky_raster_set_facts(r->set, i);
    if (!f->masked)
      sky_log(ctx, SKY_LOG_WARN, "%s: no nodata value and no mask, so every cell counts",
              in[i].path);
    if (r->args.opt.classes && strncmp(f->type, "Float", 5) == 0)
      sky_log(ctx, SKY_LOG_INFO, "%s: classes are stored as %s; each must be a whole number",
              in[i].path, f->type);
    if (f->scale != 1 || f->offset != 0)
      sky_log(ctx, SKY_LOG_INFO, "%s: values are %s as %.15g × stored + %.15g", in[i].path,
              r->args.opt.classes ? "not read" : "read", f->scale, f->offset);
  }
}

#define TOLD 10     /* zones at most, one by one */
#define CLOSED 1e-6 /* of a parent's area: more that its children leave open is a warning */

static void tell_defects(sky_context *ctx, sky_zonal_run *r) {
  size_t n = 0;
  for (size_t z = 0; z < r->zones.n; z++) {
    const sky_zone *zone = &r->zones.zone[z];
    if (zone->defect == NULL) continue;
    r->damaged += zone->damaged;
    if (n++ >= TOLD) continue;
    sky_log(ctx, SKY_LOG_WARN, "%s: zone '%s' has no cells: %s", r->files[r->n_raster], zone->id,
            zone->defect);
  }
  if (n > TOLD) sky_log(ctx, SKY_LOG_WARN, "%s: %zu zones have no cells", r->files[r->n_raster], n);
}

/* How far children fill their parents; what does not close is said. */
static sky_status close_tree(sky_context *ctx, sky_zonal_run *r) {
  size_t n = 0;
  r->closing = SKY_NEW(ctx, sky_zone_closing, r->zones.n);
  if (r->closing == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_zone_tree_check(ctx, &r->tree, &r->zones, sky_raster_set_grid(r->set), r->closing));
  for (size_t z = 0; z < r->zones.n; z++) {
    const sky_zone_closing *c = &r->closing[z];
    const double open = fmax(c->uncovered, c->overlap), area = r->result.zone[z].inside.area;
    if (!(open > CLOSED * area) || n++ >= TOLD) continue;
    sky_log(ctx, SKY_LOG_WARN,
            "%s: zone '%s' of %.6g %s: its children leave %.4g %s of it uncovered and %.4g %s "
            "are beyond it or in more than one",
            r->files[r->n_raster], r->zones.zone[z].id, area / r->args.unit->m2, r->args.unit->name,
            c->uncovered / r->args.unit->m2, r->args.unit->name, c->overlap / r->args.unit->m2,
            r->args.unit->name);
  }
  if (n > TOLD)
    sky_log(ctx, SKY_LOG_WARN, "%s: %zu zones are not filled by their children exactly",
            r->files[r->n_raster], n);
  return SKY_OK;
}

static sky_status find_target(sky_context *ctx, sky_zonal_run *r) {
  const sky_zonal_args *a = &r->args;
  if (a->like == NULL && a->n_kind == 0) return SKY_OK;
  const sky_raster_input in = {.path = a->like != NULL ? a->like : r->files[0], .band = 1};
  sky_source *s = NULL;
  SKY_TRY(sky_source_open(ctx, &in, NULL, &s));
  const sky_status st = sky_grid_copy(ctx, sky_source_grid(s), &r->target);
  sky_source_close(s);
  return st;
}

/* What is resampled, and how: values need to be told. */
static sky_status tell_resampled(sky_context *ctx, const sky_zonal_run *r,
                                 const sky_raster_input *in, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!sky_source_resampled(sky_raster_set_source(r->set, i))) continue;
    if (in[i].kind == SKY_PIXEL_VALUE && r->args.n_kind == 0)
      return sky_fail(ctx, SKY_E_USAGE,
                      "%s: is on another grid than the target: --kind says whether its values are "
                      "intensive (means by area) or extensive (sums)",
                      in[i].path);
    sky_log(ctx, SKY_LOG_INFO, "%s: resampled as %s", in[i].path, kinds[in[i].sampling]);
  }
  return SKY_OK;
}

static sky_status open_rasters(sky_context *ctx, sky_zonal_run *r) {
  const sky_zonal_args *a = &r->args;
  const size_t n = (size_t)r->n_raster + a->opt.by;
  SKY_TRY(find_target(ctx, r));
  sky_raster_input *in = SKY_NEW(ctx, sky_raster_input, n);
  if (in == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++) {
    in[i] =
        (sky_raster_input){.path = i < (size_t)r->n_raster ? r->files[i] : a->by,
                           .band = 1,
                           .kind = a->opt.classes ? SKY_PIXEL_CLASS : SKY_PIXEL_VALUE,
                           .sampling = a->opt.classes ? SKY_SAMPLE_CLASS : SKY_SAMPLE_INTENSIVE};
    if (a->n_kind > 0) in[i].sampling = a->kind[a->n_kind > 1 ? i : 0];
  }
  sky_status st = sky_raster_set_open(ctx, in, n, r->target.nx > 0 ? &r->target : NULL, &r->set);
  if (st == SKY_E_COVERAGE && r->target.nx == 0)
    st = sky_fail(ctx, st, "%s (--kind or --like resamples them)", sky_error(ctx));
  if (st == SKY_OK) tell_facts(ctx, r, in, n);
  if (st == SKY_OK) st = tell_resampled(ctx, r, in, n);
  sky_free(in);
  return st;
}

static sky_status compute(sky_context *ctx, sky_zonal_run *r) {
  const sky_zonal_args *a = &r->args;
  SKY_TRY(open_rasters(ctx, r));
  SKY_TRY(sky_zones_read(ctx, r->files[r->n_raster], &a->zones, sky_raster_set_grid(r->set),
                         &r->zones));
  if (a->zones.parent_attribute != NULL) {
    const sky_status tree = sky_zone_tree_create(ctx, &r->zones, &r->tree);
    if (tree != SKY_OK) return sky_fail_in(ctx, tree, "%s: ", r->files[r->n_raster]);
    r->args.opt.add_to = r->tree.add_to;
  }
  tell_defects(ctx, r);
  SKY_TRY(sky_zonal_make(ctx, r->set, &r->zones, &a->opt, &a->pass, &r->result));
  return r->tree.n > 0 && a->pass.shard.shards == 0 ? close_tree(ctx, r) : SKY_OK;
}

/* ---- notes: where the table comes from ------------------------------------------------------ */

static sky_status add_note(sky_context *ctx, sky_zonal_run *r, char *text) {
  if (text == NULL) return SKY_E_NOMEM;
  if (r->n_note == r->note_capacity) {
    const size_t grown = 2 * r->note_capacity + 8;
    char **p = sky_realloc(ctx, r->notes, r->n_note, grown, sizeof *p);
    if (p == NULL) {
      sky_free(text);
      return SKY_E_NOMEM;
    }
    r->notes = p;
    r->note_capacity = grown;
  }
  r->notes[r->n_note++] = text;
  return SKY_OK;
}

static sky_status note_file(sky_context *ctx, sky_zonal_run *r, const char *path) {
  char hex[65] = "";
  if (strncmp(path, "/vsi", 4) != 0) SKY_TRY(sky_file_sha256(ctx, path, hex));
  return add_note(ctx, r, sky_sprintf(ctx, "input %s sha256 %s", sky_file_base(path), hex));
}

static sky_status make_notes(sky_context *ctx, sky_zonal_run *r) {
  char **files = NULL;
  size_t n = 0;
  SKY_TRY(add_note(ctx, r, sky_sprintf(ctx, "skyflux %s zonal", SKYFLUX_VERSION)));
  for (int i = 0; i < r->n_raster; i++)
    SKY_TRY(note_file(ctx, r, r->files[i]));
  if (r->args.by != NULL) SKY_TRY(note_file(ctx, r, r->args.by));
  if (r->args.like != NULL) SKY_TRY(note_file(ctx, r, r->args.like));
  SKY_TRY(sky_zones_files(ctx, r->files[r->n_raster], &files, &n));
  sky_status st = SKY_OK;
  for (size_t i = 0; i < n && st == SKY_OK; i++)
    st = note_file(ctx, r, files[i]);
  sky_file_list_free(files, n);
  SKY_TRY(st);
  for (size_t i = 0; i < sky_raster_set_count(r->set); i++) {
    if (!sky_source_resampled(sky_raster_set_source(r->set, i))) continue;
    const sky_raster_input *in = sky_raster_set_input(r->set, i);
    SKY_TRY(add_note(
        ctx, r,
        sky_sprintf(ctx, "resampled %s as %s", sky_file_base(in->path), kinds[in->sampling])));
  }
  if (r->args.opt.quantiles) {
    const double error = sky_quantiles_error(r->result.quantiles);
    SKY_TRY(add_note(ctx, r,
                     error == 0 ? sky_strdup(ctx, "quantiles exact")
                                : sky_sprintf(ctx, "quantiles within %.2g of the value", error)));
  }
  return add_note(ctx, r,
                  sky_sprintf(ctx,
                              "weights %s; exact covered fractions; areas on the WGS 84 "
                              "ellipsoid; crs %s",
                              r->args.opt.weight == SKY_WEIGHT_AREA ? "area" : "planar",
                              sky_raster_set_grid(r->set)->crs));
}

/* ---- output --------------------------------------------------------------------------------- */

static void add_blocks(cJSON *o, const sky_raster_report *p) {
  cJSON *b = cJSON_AddObjectToObject(o, "blocks");
  cJSON_AddNumberToObject(b, "read", (double)(p->blocks - p->unread));
  cJSON_AddNumberToObject(b, "unread", (double)p->unread);
}

static sky_status print_json(sky_context *ctx, const sky_zonal_run *r, const sky_result_table *t) {
  cJSON *o = cJSON_CreateObject();
  cJSON *notes = cJSON_CreateStringArray(t->notes, (int)t->n_note);
  cJSON_AddItemToObject(o, "notes", notes);
  add_blocks(o, &r->result.report);
  cJSON_AddItemToObject(o, "rows", sky_result_json(t));
  char *text = sky_json_text(ctx, o, true);
  cJSON_Delete(o);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static sky_status print_csv(sky_context *ctx, const sky_result_table *t) {
  char *text = sky_result_csv(ctx, t);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

/* The stamp of what is computed, and the journal beside the output. */
static sky_status make_journal(sky_context *ctx, sky_zonal_run *r, const sky_cli_common *common) {
  sky_zonal_args *a = &r->args;
  for (int i = 0; i < common->n_args; i++)
    if (!sky_shard_word(a->words, NULL, common->args[i], true)) return SKY_E_NOMEM;
  r->stamp = sky_shard_stamp(ctx, "zonal", a->words);
  if (r->stamp == NULL) return SKY_E_NOMEM;
  a->pass.stamp = r->stamp;
  if (a->out == NULL || a->pass.n_join > 0) return SKY_OK;
  r->journal = sky_sprintf(ctx, "%s.journal", a->out);
  a->pass.journal = r->journal;
  return r->journal != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status write_table(sky_context *ctx, sky_zonal_run *r, bool json) {
  sky_result_table t;
  SKY_TRY(make_notes(ctx, r));
  SKY_TRY(sky_zonal_table(ctx, r, &t));
  if (r->args.out != NULL) SKY_TRY(sky_result_write(ctx, r->args.out, &t));
  if (json) return print_json(ctx, r, &t);
  return r->args.out == NULL ? print_csv(ctx, &t) : SKY_OK;
}

static sky_status zonal(sky_context *ctx, sky_zonal_run *r, bool json) {
  SKY_TRY(compute(ctx, r));
  SKY_TRY(r->args.pass.shard.shards > 0 ? sky_journal_save(ctx, r->journal, r->args.out)
                                        : write_table(ctx, r, json));
  if (r->journal != NULL) unlink(r->journal);
  const sky_raster_report *p = &r->result.report;
  if (p->unread > 0)
    return sky_fail(ctx, SKY_E_PARTIAL,
                    "%zu of %zu blocks could not be read; the zones that they touch say so",
                    p->unread, p->blocks);
  if (r->damaged > 0)
    return sky_fail(ctx, SKY_E_PARTIAL, "%zu of %zu zones cannot be used; their rows say why",
                    r->damaged, r->zones.n);
  return SKY_OK;
}

/* r: out and shards to be joined are set, if there are any. */
static sky_status run_zonal(sky_context *ctx, int argc, char **argv, bool json, sky_zonal_run *r) {
  static const sky_cli_option OPTIONS[] = {
      {"id", 0, "FIELD", "attribute of the zones that names them"},
      {"name", 0, "FIELD", "attribute with a readable name (default: the id)"},
      {"layer", 0, "NAME", "layer of the zones (default: the first)"},
      {"where", 0, "SQL", "only zones that fulfil this condition"},
      {"level", 0, "FIELD", "attribute with the zones' level, for a column of it"},
      {"parent", 0, "FIELD", "attribute with the id of the zone that a zone is a part of"},
      {"assume-crs", 0, "CRS", "of zones whose file states none"},
      {"stats", 0, "LIST", "valid,area,count,sum,integral,mean,stdev,min,max,median,q5 (docs)"},
      {"categories", 0, NULL, "areas of the classes; of several rasters, of their combinations"},
      {"weights", 0, "area|planar",
       "what cells count with in means: area (default) or fraction alone"},
      {"area-unit", 0, "ha|km2|m2", "of areas in the output (ha)"},
      {"like", 0, "RASTER", "resample all rasters onto its grid (default: all must share one)"},
      {"kind", 0, "LIST", "resample onto the grid of --like or the first: intensive or extensive"},
      {"weight-raster", 0, "FILE", "further weights of the cells, for weighted_mean"},
      {"tile", 0, "N", "side of the tiles, cells (1024); no result depends on it"},
      {"shard", 0, "I/N", "do this share of the work; -o is a shard for skyflux merge"},
      {"fresh", 0, NULL, "discard what a stopped run has left"},
      {"out", 'o', "OUT", "write a .csv, .gpkg, .json or .parquet (default: CSV to the terminal)"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {
      "zonal", "RASTER... ZONES --id FIELD [options]",
      "statistics and class areas of zones over rasters, exact to the fraction of a cell",
      "skyflux zonal lc2001.tif lc2015.tif zones.gpkg --id code --categories -o change.csv",
      OPTIONS};
  sky_cli_common common = {0};
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &r->args, &common));
  if (common.help_shown) return SKY_OK;
  SKY_TRY(check_args(ctx, &r->args, &common));
  SKY_TRY(make_journal(ctx, r, &common));
  r->files = common.args;
  r->n_raster = common.n_args - 1;
  return zonal(ctx, r, json || common.json);
}

sky_status sky_cmd_zonal(sky_context *ctx, int argc, char **argv) {
  sky_zonal_run r = {0};
  const sky_status st = run_zonal(ctx, argc, argv, false, &r);
  run_free(&r);
  return st;
}

sky_status sky_zonal_merge(sky_context *ctx, int argc, char **argv, const char *const *shards,
                           size_t n, const char *out, bool json) {
  sky_zonal_run r = {.args = {.out = out, .pass = {.join = shards, .n_join = n}}};
  const sky_status st = run_zonal(ctx, argc, argv, json, &r);
  run_free(&r);
  return st;
}
