/* cmd_zonal.c: `skyflux zonal`: statistics and class areas of zones over rasters.
 *
 * Cells count with their exact covered fraction and their true area; --weights planar leaves the
 * area out, for comparison with tools that do. Areas are reported in hectares. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/commands.h"
#include "src/cli/shard_command.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/text.h"
#include "src/engine/zonal.h"
#include "src/read/zones_ogr.h"
#include "src/write/json_out.h"
#include "src/write/result_table.h"

#define HECTARE 1e4
#define STATS_MAX 32

/* ---- statistics ----------------------------------------------------------------------------- */

typedef enum stat {
  STAT_VALID,
  STAT_AREA,
  STAT_COUNT,
  STAT_SUM,
  STAT_INTEGRAL,
  STAT_MEAN,
  STAT_WEIGHTED_MEAN,
  STAT_STDEV,
  STAT_VARIANCE,
  STAT_MIN,
  STAT_MAX,
  STAT_QUANTILE
} stat;

static const struct stat_name {
  const char *name, *column;
  bool squares;
} stats[] = {[STAT_VALID] = {"valid", "valid", false},          /* share of the zone's area */
             [STAT_AREA] = {"area", "area_ha", false},          /* with a value */
             [STAT_COUNT] = {"count", "count", false},          /* cells, by fraction */
             [STAT_SUM] = {"sum", "sum", false},                /* fraction × value */
             [STAT_INTEGRAL] = {"integral", "integral", false}, /* value × m² */
             [STAT_MEAN] = {"mean", "mean", false},
             [STAT_WEIGHTED_MEAN] = {"weighted_mean", "weighted_mean", false},
             [STAT_STDEV] = {"stdev", "stdev", true},
             [STAT_VARIANCE] = {"variance", "variance", true},
             [STAT_MIN] = {"min", "min", false},
             [STAT_MAX] = {"max", "max", false}};
#define N_STATS (sizeof stats / sizeof stats[0])
#define DEFAULT_STATS "valid,count,sum,mean,stdev,min,max"

typedef struct zonal_args {
  const char *out, *by;
  cJSON *words; /* all that the result depends on */
  sky_zones_options zones;
  sky_zonal_options opt;
  sky_pass_options pass;
  stat stat[STATS_MAX];
  double share[STATS_MAX];    /* of a quantile */
  char column[STATS_MAX][32]; /* its name */
  size_t n_stat;
} zonal_args;

typedef struct zonal_run {
  zonal_args args;
  int n_raster;
  char **files; /* rasters, then zones */
  sky_raster_set *set;
  sky_zones zones;
  size_t damaged; /* of them */
  sky_zonal result;
  char **notes;
  size_t n_note, note_capacity;
  char **names; /* [n_raster] of columns */
  sky_result_column *column;
  char **column_names;
  size_t n_column;
  sky_result_cell *cell;
  const sky_zone **zone; /* [rows] */
  char **reasons;        /* [zones] */
  char *journal, *stamp;
} zonal_run;

static void run_free(zonal_run *r) {
  cJSON_Delete(r->args.words);
  sky_free(r->journal);
  sky_free(r->stamp);
  sky_raster_set_close(r->set);
  sky_zonal_free(&r->result);
  for (size_t z = 0; z < r->zones.n && r->reasons != NULL; z++)
    sky_free(r->reasons[z]);
  sky_free(r->reasons);
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

static sky_status add_stat(sky_context *ctx, zonal_args *a, const char *word) {
  const char *known[N_STATS + 1] = {[N_STATS] = "median"};
  size_t i = 0;
  if (a->n_stat == STATS_MAX)
    return sky_fail(ctx, SKY_E_USAGE, "--stats: more than %d statistics", STATS_MAX);
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
  snprintf(a->column[a->n_stat], sizeof a->column[0], "%s", i < N_STATS ? stats[i].column : word);
  a->share[a->n_stat] = share;
  a->stat[a->n_stat++] = i < N_STATS ? (stat)i : STAT_QUANTILE;
  return SKY_OK;
}

static sky_status parse_stats(sky_context *ctx, const char *text, zonal_args *a) {
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

static sky_status parse_tile(sky_context *ctx, const char *text, size_t *tile) {
  char *end = NULL;
  const long n = strtol(text, &end, 10);
  if (*text != '\0' && *end == '\0' && n >= SKY_BAND && n <= 65536 && n % SKY_BAND == 0) {
    *tile = (size_t)n;
    return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_USAGE, "--tile: '%s' is not a multiple of %d from %d to 65536", text,
                  SKY_BAND, SKY_BAND);
}

/* Options on which no result depends. */
static bool handle_execution(sky_context *ctx, zonal_args *a, const char *name, const char *value,
                             sky_status *st) {
  *st = SKY_OK;
  if (strcmp(name, "tile") == 0)
    *st = parse_tile(ctx, value, &a->pass.tile);
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
  zonal_args *a = user;
  sky_status st;
  const struct {
    const char *name, **to;
  } texts[] = {{"id", &a->zones.id},
               {"name", &a->zones.name},
               {"layer", &a->zones.layer},
               {"where", &a->zones.where},
               {"assume-crs", &a->zones.assume_crs},
               {"weight-raster", &a->by}};
  if (handle_execution(ctx, a, name, value, &st)) return st;
  if (a->words == NULL) a->words = cJSON_CreateArray();
  if (!sky_shard_word(a->words, name, value, strcmp(name, "weight-raster") == 0))
    return SKY_E_NOMEM;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (strcmp(name, texts[i].name) != 0) continue;
    *texts[i].to = value;
    return SKY_OK;
  }
  if (strcmp(name, "stats") == 0) return parse_stats(ctx, value, a);
  if (strcmp(name, "categories") == 0) {
    a->opt.classes = true;
    return SKY_OK;
  }
  if (strcmp(value, "area") != 0 && strcmp(value, "planar") != 0)
    return sky_fail(ctx, SKY_E_USAGE, "--weights: '%s' is not one of area, planar", value);
  a->opt.weight = strcmp(value, "area") == 0 ? SKY_WEIGHT_AREA : SKY_WEIGHT_PLANAR;
  return SKY_OK;
}

static sky_status check_args(sky_context *ctx, zonal_args *a, const sky_cli_common *common) {
  if (common->n_args < 2)
    return sky_fail(ctx, SKY_E_USAGE, "zonal: expected rasters and a file of zones, got %d file%s",
                    common->n_args, common->n_args == 1 ? "" : "s");
  if (a->zones.id == NULL) return sky_fail(ctx, SKY_E_USAGE, "zonal: option --id is needed");
  a->zones.keep_defects = true;
  if (a->opt.classes && a->n_stat > 0)
    return sky_fail(ctx, SKY_E_USAGE,
                    "zonal: --categories gives the areas of classes; --stats are for values");
  if (a->n_stat == 0 && !a->opt.classes)
    SKY_TRY(parse_stats(ctx, a->by != NULL ? "weighted_mean" : DEFAULT_STATS, a));
  bool weighted = false;
  for (size_t i = 0; i < a->n_stat; i++)
    weighted |= a->stat[i] == STAT_WEIGHTED_MEAN;
  if (weighted != (a->by != NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "zonal: weighted_mean and --weight-raster go together: %s is missing",
                    weighted ? "--weight-raster" : "weighted_mean");
  a->opt.by = weighted;
  for (int i = 0; i < common->n_args && a->out != NULL; i++)
    if (sky_file_same(common->args[i], a->out))
      return sky_fail(ctx, SKY_E_USAGE, "zonal: -o %s is one of the inputs", a->out);
  if (a->pass.shard.shards > 0)
    return a->out != NULL ? SKY_OK : sky_fail(ctx, SKY_E_USAGE, "zonal: --shard needs -o");
  return a->out != NULL ? sky_result_check_path(ctx, a->out) : SKY_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* What was read, before anything is computed from it. */
static void tell_facts(sky_context *ctx, const zonal_run *r, const sky_raster_input *in, size_t n) {
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

#define TOLD 10 /* zones at most, one by one */

static void tell_defects(sky_context *ctx, zonal_run *r) {
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

static sky_status compute(sky_context *ctx, zonal_run *r) {
  const zonal_args *a = &r->args;
  const size_t n = (size_t)r->n_raster + a->opt.by;
  sky_raster_input *in = SKY_NEW(ctx, sky_raster_input, n);
  if (in == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    in[i] = (sky_raster_input){.path = i < (size_t)r->n_raster ? r->files[i] : a->by,
                               .band = 1,
                               .kind = a->opt.classes ? SKY_PIXEL_CLASS : SKY_PIXEL_VALUE};
  sky_status st = sky_raster_set_open(ctx, in, n, NULL, &r->set);
  if (st == SKY_OK) tell_facts(ctx, r, in, n);
  sky_free(in);
  SKY_TRY(st);
  SKY_TRY(sky_zones_read(ctx, r->files[r->n_raster], &a->zones, sky_raster_set_grid(r->set),
                         &r->zones));
  tell_defects(ctx, r);
  return sky_zonal_make(ctx, r->set, &r->zones, &a->opt, &a->pass, &r->result);
}

/* ---- notes: where the table comes from ------------------------------------------------------ */

static sky_status add_note(sky_context *ctx, zonal_run *r, char *text) {
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

static sky_status note_file(sky_context *ctx, zonal_run *r, const char *path) {
  char hex[65] = "";
  if (strncmp(path, "/vsi", 4) != 0) SKY_TRY(sky_file_sha256(ctx, path, hex));
  return add_note(ctx, r, sky_sprintf(ctx, "input %s sha256 %s", sky_file_base(path), hex));
}

static sky_status make_notes(sky_context *ctx, zonal_run *r) {
  char **files = NULL;
  size_t n = 0;
  SKY_TRY(add_note(ctx, r, sky_sprintf(ctx, "skyflux %s zonal", SKYFLUX_VERSION)));
  for (int i = 0; i < r->n_raster; i++)
    SKY_TRY(note_file(ctx, r, r->files[i]));
  if (r->args.by != NULL) SKY_TRY(note_file(ctx, r, r->args.by));
  SKY_TRY(sky_zones_files(ctx, r->files[r->n_raster], &files, &n));
  sky_status st = SKY_OK;
  for (size_t i = 0; i < n && st == SKY_OK; i++)
    st = note_file(ctx, r, files[i]);
  sky_file_list_free(files, n);
  SKY_TRY(st);
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

/* ---- the table ------------------------------------------------------------------------------ */

/* A raster's name in columns: its file's name without the suffix, with a number if it is taken. */
static sky_status make_names(sky_context *ctx, zonal_run *r) {
  r->names = SKY_NEW0(ctx, char *, (size_t)r->n_raster);
  if (r->names == NULL) return SKY_E_NOMEM;
  for (int i = 0; i < r->n_raster; i++) {
    const char *base = sky_file_base(r->files[i]);
    const char *dot = strrchr(base, '.');
    const int n = dot != NULL && dot != base ? (int)(dot - base) : (int)strlen(base);
    int same = 1;
    for (int k = 0; k < i; k++) {
      const char *other = sky_file_base(r->files[k]);
      same += strncmp(other, base, (size_t)n) == 0 && (other[n] == '.' || other[n] == '\0');
    }
    r->names[i] =
        same == 1 ? sky_sprintf(ctx, "%.*s", n, base) : sky_sprintf(ctx, "%.*s_%d", n, base, same);
    if (r->names[i] == NULL) return SKY_E_NOMEM;
  }
  return SKY_OK;
}

static sky_status add_column(sky_context *ctx, zonal_run *r, sky_cell_kind kind, const char *name,
                             const char *raster) {
  char *text = raster == NULL || r->n_raster == 1 ? sky_strdup(ctx, name)
                                                  : sky_sprintf(ctx, "%s_%s", name, raster);
  if (text == NULL) return SKY_E_NOMEM;
  r->column_names[r->n_column] = text;
  r->column[r->n_column++] = (sky_result_column){text, kind};
  return SKY_OK;
}

static sky_status make_columns(sky_context *ctx, zonal_run *r) {
  const zonal_args *a = &r->args;
  const size_t most = 12 + (size_t)r->n_raster * (a->n_stat + 1);
  r->column = SKY_NEW(ctx, sky_result_column, most);
  r->column_names = SKY_NEW0(ctx, char *, most);
  if (r->column == NULL || r->column_names == NULL) return SKY_E_NOMEM;
  SKY_TRY(add_column(ctx, r, SKY_CELL_TEXT, "zone_id", NULL));
  SKY_TRY(add_column(ctx, r, SKY_CELL_TEXT, "zone_name", NULL));
  SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "zone_area_ha", NULL));
  SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "coverage", NULL));
  for (int i = 0; i < r->n_raster; i++) {
    if (a->opt.classes) SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "class", r->names[i]));
    for (size_t k = 0; k < a->n_stat; k++)
      SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, a->column[k], r->names[i]));
  }
  if (a->opt.classes) {
    SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "count", NULL));
    SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "area_ha", NULL));
    SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "share", NULL));
  }
  return add_column(ctx, r, SKY_CELL_TEXT, "reason", NULL);
}

/* At most all of it. */
static double share(double part, double whole) {
  return whole > 0 ? fmin(1, part / whole) : part > 0 ? 1 : 0;
}

static double stat_value(const zonal_run *r, const sky_zonal_zone *z, const sky_zonal_total *t,
                         stat s) {
  const sky_zonal_weight w = r->args.opt.weight;
  const double cells = sky_acc_value(&t->cells);
  switch (s) {
    case STAT_VALID:
      return z->coverage * share(sky_acc_value(&t->area), z->inside.area);
    case STAT_AREA:
      return sky_acc_value(&t->area) / HECTARE;
    case STAT_COUNT:
      return cells;
    case STAT_SUM:
      return cells > 0 ? sky_acc_value(&t->sum) : NAN;
    case STAT_INTEGRAL:
      return cells > 0 ? sky_acc_value(&t->integral) : NAN;
    case STAT_MEAN:
      return sky_zonal_total_mean(t, w);
    case STAT_WEIGHTED_MEAN:
      return sky_acc_value(&t->by_value) / sky_acc_value(&t->by);
    case STAT_STDEV:
      return sqrt(sky_zonal_total_variance(t, w));
    case STAT_VARIANCE:
      return sky_zonal_total_variance(t, w);
    case STAT_MIN:
      return cells > 0 ? t->min : NAN;
    case STAT_MAX:
      return cells > 0 ? t->max : NAN;
    case STAT_QUANTILE: /* not of the total */
      break;
  }
  return NAN;
}

/* Why a zone has nothing, or not all; "" if it has. */
static char *reason_of(sky_context *ctx, const zonal_run *r, size_t zone) {
  const sky_zonal_zone *z = &r->result.zone[zone];
  const char *defect = r->zones.zone[zone].defect;
  bool any = z->n_class > 0;
  if (defect != NULL && !(z->inside.cells > 0)) return sky_strdup(ctx, defect);
  for (size_t k = 0; k < r->result.n_raster && z->value != NULL; k++)
    any |= sky_acc_value(&z->value[k].cells) > 0;
  if (z->unread.cells > 0)
    return sky_sprintf(ctx, "%.4g ha of it could not be read", z->unread.area / HECTARE);
  if (!(z->inside.cells > 0))
    return sky_strdup(ctx, z->coverage > 0 ? "smaller than 1e-12 of a cell" : "outside the raster");
  return sky_strdup(ctx, any ? "" : "no cell with a value");
}

static sky_status make_reasons(sky_context *ctx, zonal_run *r) {
  r->reasons = SKY_NEW0(ctx, char *, r->zones.n);
  if (r->reasons == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < r->zones.n; z++) {
    r->reasons[z] = reason_of(ctx, r, z);
    if (r->reasons[z] == NULL) return SKY_E_NOMEM;
  }
  return SKY_OK;
}

static sky_result_cell number(double v) {
  return (sky_result_cell){NULL, v};
}

/* The columns that every row has; returns the cell behind them. */
static sky_result_cell *put_zone(zonal_run *r, size_t row, size_t zone) {
  sky_result_cell *c = r->cell + row * r->n_column;
  const sky_zonal_zone *z = &r->result.zone[zone];
  r->zone[row] = &r->zones.zone[zone];
  *c++ = (sky_result_cell){r->zone[row]->id, NAN};
  *c++ = (sky_result_cell){r->zone[row]->name, NAN};
  *c++ = number(z->area / HECTARE);
  *c++ = number(z->coverage);
  return c;
}

static sky_status put_values(sky_context *ctx, zonal_run *r, size_t zone) {
  const sky_zonal_zone *z = &r->result.zone[zone];
  const zonal_args *a = &r->args;
  sky_result_cell *c = put_zone(r, zone, zone);
  for (size_t i = 0; i < r->result.n_raster; i++) {
    for (size_t k = 0; k < a->n_stat; k++, c++) {
      *c = number(stat_value(r, z, &z->value[i], a->stat[k]));
      if (a->stat[k] == STAT_QUANTILE)
        SKY_TRY(sky_quantiles_get(ctx, r->result.quantiles, zone * r->result.n_raster + i,
                                  a->share[k], &c->number));
    }
  }
  *c = (sky_result_cell){r->reasons[zone], NAN};
  return SKY_OK;
}

/* Rows of a zone: its classes; what has none, could not be read, or nothing at all. */
static size_t class_rows(const sky_zonal_zone *z) {
  return z->n_class + (z->nodata.cells > 0) + (z->unread.cells > 0) + !(z->inside.cells > 0);
}

static void put_class(zonal_run *r, size_t row, size_t zone, const int32_t *code,
                      const sky_zonal_size *size, double part, const char *reason) {
  sky_result_cell *c = put_zone(r, row, zone);
  for (int i = 0; i < r->n_raster; i++)
    *c++ = number(code != NULL ? (double)code[i] : (double)NAN);
  *c++ = number(size->cells);
  *c++ = number(size->area / HECTARE);
  *c++ = number(part);
  *c = (sky_result_cell){reason, NAN};
}

static size_t put_classes(zonal_run *r, size_t row, size_t zone) {
  const sky_zonal_zone *z = &r->result.zone[zone];
  const bool by_area = r->args.opt.weight == SKY_WEIGHT_AREA;
  double all = 0;
  for (size_t k = 0; k < z->n_class; k++)
    all += by_area ? z->class_[k].size.area : z->class_[k].size.cells;
  for (size_t k = 0; k < z->n_class; k++) {
    const sky_zonal_class *c = &z->class_[k];
    put_class(r, row++, zone, c->code, &c->size, share(by_area ? c->size.area : c->size.cells, all),
              "");
  }
  if (z->nodata.cells > 0) put_class(r, row++, zone, NULL, &z->nodata, NAN, "no class");
  if (z->unread.cells > 0) put_class(r, row++, zone, NULL, &z->unread, NAN, "could not be read");
  if (!(z->inside.cells > 0)) put_class(r, row++, zone, NULL, &z->inside, NAN, r->reasons[zone]);
  return row;
}

static sky_status make_table(sky_context *ctx, zonal_run *r, sky_result_table *t) {
  SKY_TRY(make_names(ctx, r));
  SKY_TRY(make_columns(ctx, r));
  SKY_TRY(make_reasons(ctx, r));
  size_t rows = r->zones.n;
  for (size_t z = 0; z < r->zones.n && r->args.opt.classes; z++)
    rows += class_rows(&r->result.zone[z]) - 1;
  r->cell = SKY_NEW(ctx, sky_result_cell, rows * r->n_column);
  r->zone = SKY_NEW(ctx, const sky_zone *, rows);
  if (r->cell == NULL || r->zone == NULL) return SKY_E_NOMEM;
  for (size_t z = 0, row = 0; z < r->zones.n; z++) {
    if (r->args.opt.classes)
      row = put_classes(r, row, z);
    else
      SKY_TRY(put_values(ctx, r, z));
  }
  *t = (sky_result_table){.name = r->args.opt.classes ? "zone_classes" : "zones",
                          .notes = (const char *const *)r->notes,
                          .n_note = r->n_note,
                          .n_column = r->n_column,
                          .n_row = rows,
                          .column = r->column,
                          .cell = r->cell,
                          .crs = sky_raster_set_grid(r->set)->crs,
                          .zone = r->args.opt.classes ? NULL : r->zone};
  return SKY_OK;
}

/* ---- output --------------------------------------------------------------------------------- */

static void add_blocks(cJSON *o, const sky_raster_report *p) {
  cJSON *b = cJSON_AddObjectToObject(o, "blocks");
  cJSON_AddNumberToObject(b, "read", (double)(p->blocks - p->unread));
  cJSON_AddNumberToObject(b, "unread", (double)p->unread);
}

static sky_status print_json(sky_context *ctx, const zonal_run *r, const sky_result_table *t) {
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
static sky_status make_journal(sky_context *ctx, zonal_run *r, const sky_cli_common *common) {
  zonal_args *a = &r->args;
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

static sky_status write_table(sky_context *ctx, zonal_run *r, bool json) {
  sky_result_table t;
  SKY_TRY(make_notes(ctx, r));
  SKY_TRY(make_table(ctx, r, &t));
  if (r->args.out != NULL) SKY_TRY(sky_result_write(ctx, r->args.out, &t));
  if (json) return print_json(ctx, r, &t);
  return r->args.out == NULL ? print_csv(ctx, &t) : SKY_OK;
}

static sky_status zonal(sky_context *ctx, zonal_run *r, bool json) {
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
static sky_status run_zonal(sky_context *ctx, int argc, char **argv, bool json, zonal_run *r) {
  static const sky_cli_option OPTIONS[] = {
      {"id", 0, "FIELD", "attribute of the zones that names them"},
      {"name", 0, "FIELD", "attribute with a readable name (default: the id)"},
      {"layer", 0, "NAME", "layer of the zones (default: the first)"},
      {"where", 0, "SQL", "only zones that fulfil this condition"},
      {"assume-crs", 0, "CRS", "of zones whose file states none"},
      {"stats", 0, "LIST", "valid,area,count,sum,integral,mean,stdev,min,max,median,q5 (docs)"},
      {"categories", 0, NULL, "areas of the classes; of several rasters, of their combinations"},
      {"weights", 0, "area|planar",
       "what cells count with in means: area (default) or fraction alone"},
      {"weight-raster", 0, "FILE", "further weights of the cells, for weighted_mean"},
      {"tile", 0, "N", "side of the tiles, cells (1024); no result depends on it"},
      {"shard", 0, "I/N", "do this share of the work; -o is a shard for skyflux merge"},
      {"fresh", 0, NULL, "discard what a stopped run has left"},
      {"out", 'o', "OUT", "write a .csv, .gpkg or .parquet (default: CSV to the terminal)"},
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
  zonal_run r = {0};
  const sky_status st = run_zonal(ctx, argc, argv, false, &r);
  run_free(&r);
  return st;
}

sky_status sky_zonal_merge(sky_context *ctx, int argc, char **argv, const char *const *shards,
                           size_t n, const char *out, bool json) {
  zonal_run r = {.args = {.out = out, .pass = {.join = shards, .n_join = n}}};
  const sky_status st = run_zonal(ctx, argc, argv, json, &r);
  run_free(&r);
  return st;
}
