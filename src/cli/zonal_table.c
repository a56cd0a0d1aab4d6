/* zonal_table.c: the rows of `skyflux zonal`. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/cli/zonal_run.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"

/* A raster's name in columns: its file's name without the suffix, with a number if it is taken. */
static sky_status make_names(sky_context *ctx, sky_zonal_run *r) {
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

static sky_status add_column(sky_context *ctx, sky_zonal_run *r, sky_cell_kind kind,
                             const char *name, const char *raster) {
  char *text = raster == NULL || r->n_raster == 1 ? sky_strdup(ctx, name)
                                                  : sky_sprintf(ctx, "%s_%s", name, raster);
  if (text == NULL) return SKY_E_NOMEM;
  r->column_names[r->n_column] = text;
  r->column[r->n_column++] = (sky_result_column){text, kind};
  return SKY_OK;
}

/* A column of areas, in the unit that is asked for. */
static sky_status add_area_column(sky_context *ctx, sky_zonal_run *r, const char *name,
                                  const char *raster) {
  char *text = sky_sprintf(ctx, "%s_%s", name, r->args.unit->name);
  const sky_status st =
      text != NULL ? add_column(ctx, r, SKY_CELL_NUMBER, text, raster) : SKY_E_NOMEM;
  sky_free(text);
  return st;
}

/* Sums over parts of a zone are the zone's. */
static bool is_additive(sky_zonal_stat s) {
  return s == SKY_STAT_AREA || s == SKY_STAT_COUNT || s == SKY_STAT_SUM || s == SKY_STAT_INTEGRAL;
}

static sky_status add_stat_column(sky_context *ctx, sky_zonal_run *r, size_t k, const char *end,
                                  const char *raster) {
  char name[48];
  snprintf(name, sizeof name, "%s%s", r->args.column[k], end);
  return r->args.stat[k] == SKY_STAT_AREA ? add_area_column(ctx, r, name, raster)
                                          : add_column(ctx, r, SKY_CELL_NUMBER, name, raster);
}

static sky_status add_value_columns(sky_context *ctx, sky_zonal_run *r, const char *raster) {
  for (size_t k = 0; k < r->args.n_stat; k++)
    SKY_TRY(add_stat_column(ctx, r, k, "", raster));
  for (size_t k = 0; k < r->args.n_stat && r->tree.n > 0; k++)
    if (is_additive(r->args.stat[k])) SKY_TRY(add_stat_column(ctx, r, k, "_rest", raster));
  return SKY_OK;
}

static sky_status add_class_columns(sky_context *ctx, sky_zonal_run *r) {
  for (int i = 0; i < r->n_raster; i++)
    SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "class", r->names[i]));
  SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "count", NULL));
  SKY_TRY(add_area_column(ctx, r, "area", NULL));
  SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "share", NULL));
  return r->tree.n > 0 ? add_area_column(ctx, r, "area_rest", NULL) : SKY_OK;
}

static sky_status make_columns(sky_context *ctx, sky_zonal_run *r) {
  const sky_zonal_args *a = &r->args;
  const size_t most = 16 + (size_t)r->n_raster * (2 * a->n_stat + 1);
  r->column = SKY_NEW(ctx, sky_result_column, most);
  r->column_names = SKY_NEW0(ctx, char *, most);
  if (r->column == NULL || r->column_names == NULL) return SKY_E_NOMEM;
  SKY_TRY(add_column(ctx, r, SKY_CELL_TEXT, "zone_id", NULL));
  SKY_TRY(add_column(ctx, r, SKY_CELL_TEXT, "zone_name", NULL));
  if (a->zones.level_attribute != NULL) SKY_TRY(add_column(ctx, r, SKY_CELL_TEXT, "level", NULL));
  if (r->tree.n > 0) {
    SKY_TRY(add_column(ctx, r, SKY_CELL_TEXT, "parent", NULL));
    SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "children", NULL));
    SKY_TRY(add_area_column(ctx, r, "uncovered", NULL));
    SKY_TRY(add_area_column(ctx, r, "overlap", NULL));
  }
  SKY_TRY(add_area_column(ctx, r, "zone_area", NULL));
  SKY_TRY(add_column(ctx, r, SKY_CELL_NUMBER, "coverage", NULL));
  for (int i = 0; i < r->n_raster && !a->opt.classes; i++)
    SKY_TRY(add_value_columns(ctx, r, r->names[i]));
  if (a->opt.classes) SKY_TRY(add_class_columns(ctx, r));
  return add_column(ctx, r, SKY_CELL_TEXT, "reason", NULL);
}

/* At most all of it. */
static double share(double part, double whole) {
  return whole > 0 ? fmin(1, part / whole) : part > 0 ? 1 : 0;
}

static double stat_value(const sky_zonal_run *r, const sky_zonal_zone *z, const sky_zonal_total *t,
                         sky_zonal_stat s) {
  const sky_zonal_weight w = r->args.opt.weight;
  const double cells = sky_acc_value(&t->cells);
  switch (s) {
    case SKY_STAT_VALID:
      return z->coverage * share(sky_acc_value(&t->area), z->inside.area);
    case SKY_STAT_AREA:
      return sky_acc_value(&t->area) / r->args.unit->m2;
    case SKY_STAT_COUNT:
      return cells;
    case SKY_STAT_SUM:
      return cells > 0 ? sky_acc_value(&t->sum) : NAN;
    case SKY_STAT_INTEGRAL:
      return cells > 0 ? sky_acc_value(&t->integral) : NAN;
    case SKY_STAT_MEAN:
      return sky_zonal_total_mean(t, w);
    case SKY_STAT_WEIGHTED_MEAN:
      return sky_acc_value(&t->by_value) / sky_acc_value(&t->by);
    case SKY_STAT_STDEV:
      return sqrt(sky_zonal_total_variance(t, w));
    case SKY_STAT_VARIANCE:
      return sky_zonal_total_variance(t, w);
    case SKY_STAT_MIN:
      return cells > 0 ? t->min : NAN;
    case SKY_STAT_MAX:
      return cells > 0 ? t->max : NAN;
    case SKY_STAT_QUANTILE: /* not of the total */
      break;
  }
  return NAN;
}

/* ---- what parts leave to their whole -------------------------------------------------------- */

/* Of values, rest[zone][raster][statistic]; of classes, rest[class] in the order of all zones'. */
static size_t rest_index(const sky_zonal_run *r, size_t zone, size_t raster, size_t k) {
  return (zone * (size_t)r->n_raster + raster) * r->args.n_stat + k;
}

static size_t class_index(const sky_zonal_run *r, const sky_zonal_class *c) {
  return (size_t)(c - r->result.zone[0].class_);
}

static const sky_zonal_class *find_class(const sky_zonal_zone *z, const int32_t *code, size_t n) {
  size_t low = 0, high = z->n_class;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    int order = 0;
    for (size_t i = 0; i < n && order == 0; i++)
      order = (z->class_[mid].code[i] > code[i]) - (z->class_[mid].code[i] < code[i]);
    if (order == 0) return &z->class_[mid];
    if (order < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return NULL;
}

/* What a zone itself has at each of its places in `rest`, and those of its parts with sign -1. */
static void add_rest(const sky_zonal_run *r, size_t zone, size_t to, double sign, sky_acc *sum) {
  const sky_zonal_zone *z = &r->result.zone[zone];
  for (size_t k = 0; k < z->n_class; k++) {
    const sky_zonal_class *c =
        find_class(&r->result.zone[to], z->class_[k].code, (size_t)r->n_raster);
    if (c != NULL) sky_acc_add(&sum[class_index(r, c)], sign * z->class_[k].size.area);
  }
  for (size_t i = 0; i < r->result.n_raster && z->value != NULL; i++) {
    for (size_t k = 0; k < r->args.n_stat; k++) {
      const double v = stat_value(r, z, &z->value[i], r->args.stat[k]);
      if (is_additive(r->args.stat[k]) && isfinite(v))
        sky_acc_add(&sum[rest_index(r, to, i, k)], sign * v);
    }
  }
}

static sky_status make_rest(sky_context *ctx, sky_zonal_run *r) {
  const size_t none = SKY_NO_ZONE;
  size_t n = r->zones.n * (size_t)r->n_raster * r->args.n_stat;
  for (size_t z = 0; z < r->zones.n; z++)
    n += r->result.zone[z].n_class;
  sky_acc *sum = SKY_NEW0(ctx, sky_acc, n);
  r->rest = SKY_NEW(ctx, double, n);
  if (sum == NULL || r->rest == NULL) {
    sky_free(sum);
    return SKY_E_NOMEM;
  }
  for (size_t z = 0; z < r->zones.n; z++) {
    if (r->tree.parts[z] > 0) add_rest(r, z, z, 1, sum);
    if (r->tree.part_of[z] != none) add_rest(r, z, r->tree.part_of[z], -1, sum);
  }
  for (size_t i = 0; i < n; i++)
    r->rest[i] = sky_acc_value(&sum[i]);
  for (size_t z = 0; z < r->zones.n; z++) { /* of zones without parts: nothing to say */
    const sky_zonal_zone *zone = &r->result.zone[z];
    if (r->tree.parts[z] > 0) continue;
    for (size_t k = 0; k < zone->n_class; k++)
      r->rest[class_index(r, &zone->class_[k])] = NAN;
    for (size_t k = 0; k < (size_t)r->n_raster * r->args.n_stat; k++)
      r->rest[rest_index(r, z, 0, k)] = NAN;
  }
  for (size_t z = 0; z < r->zones.n && r->args.unit->m2 != 1; z++) /* classes: from m2 */
    for (size_t k = 0; k < r->result.zone[z].n_class; k++)
      r->rest[class_index(r, &r->result.zone[z].class_[k])] /= r->args.unit->m2;
  sky_free(sum);
  return SKY_OK;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* Why a zone has nothing, or not all; "" if it has. */
static char *reason_of(sky_context *ctx, const sky_zonal_run *r, size_t zone) {
  const sky_zonal_zone *z = &r->result.zone[zone];
  const char *defect = r->zones.zone[zone].defect;
  bool any = z->n_class > 0;
  if (defect != NULL && !(z->inside.cells > 0)) return sky_strdup(ctx, defect);
  for (size_t k = 0; k < r->result.n_raster && z->value != NULL; k++)
    any |= sky_acc_value(&z->value[k].cells) > 0;
  if (z->unread.cells > 0)
    return sky_sprintf(ctx, "%.4g %s of it could not be read", z->unread.area / r->args.unit->m2,
                       r->args.unit->name);
  if (!(z->inside.cells > 0))
    return sky_strdup(ctx, z->coverage > 0 ? "smaller than 1e-12 of a cell" : "outside the raster");
  return sky_strdup(ctx, any ? "" : "no cell with a value");
}

static sky_status make_reasons(sky_context *ctx, sky_zonal_run *r) {
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
static sky_result_cell *put_zone(sky_zonal_run *r, size_t row, size_t zone) {
  sky_result_cell *c = r->cell + row * r->n_column;
  const sky_zonal_zone *z = &r->result.zone[zone];
  r->zone[row] = &r->zones.zone[zone];
  *c++ = (sky_result_cell){r->zone[row]->id, NAN};
  *c++ = (sky_result_cell){r->zone[row]->name, NAN};
  if (r->args.zones.level_attribute != NULL) *c++ = (sky_result_cell){r->zone[row]->level, NAN};
  if (r->tree.n > 0) {
    const bool parts = r->tree.parts[zone] > 0;
    *c++ = (sky_result_cell){r->zone[row]->parent, NAN};
    *c++ = number((double)r->tree.children[zone]);
    *c++ = number(parts ? r->closing[zone].uncovered / r->args.unit->m2 : NAN);
    *c++ = number(parts ? r->closing[zone].overlap / r->args.unit->m2 : NAN);
  }
  *c++ = number(z->area / r->args.unit->m2);
  *c++ = number(z->coverage);
  return c;
}

static sky_status put_values(sky_context *ctx, sky_zonal_run *r, size_t zone) {
  const sky_zonal_zone *z = &r->result.zone[zone];
  const sky_zonal_args *a = &r->args;
  sky_result_cell *c = put_zone(r, zone, zone);
  for (size_t i = 0; i < r->result.n_raster; i++) {
    for (size_t k = 0; k < a->n_stat; k++, c++) {
      *c = number(stat_value(r, z, &z->value[i], a->stat[k]));
      if (a->stat[k] == SKY_STAT_QUANTILE)
        SKY_TRY(sky_quantiles_get(ctx, r->result.quantiles, zone * r->result.n_raster + i,
                                  a->share[k], &c->number));
    }
    for (size_t k = 0; k < a->n_stat && r->tree.n > 0; k++)
      if (is_additive(a->stat[k])) *c++ = number(r->rest[rest_index(r, zone, i, k)]);
  }
  *c = (sky_result_cell){r->reasons[zone], NAN};
  return SKY_OK;
}

/* Rows of a zone: its classes; what has none, could not be read, or nothing at all. */
static size_t class_rows(const sky_zonal_zone *z) {
  return z->n_class + (z->nodata.cells > 0) + (z->unread.cells > 0) + !(z->inside.cells > 0);
}

static void put_class(sky_zonal_run *r, size_t row, size_t zone, const int32_t *code,
                      const sky_zonal_size *size, double part, double rest, const char *reason) {
  sky_result_cell *c = put_zone(r, row, zone);
  for (int i = 0; i < r->n_raster; i++)
    *c++ = number(code != NULL ? (double)code[i] : (double)NAN);
  *c++ = number(size->cells);
  *c++ = number(size->area / r->args.unit->m2);
  *c++ = number(part);
  if (r->tree.n > 0) *c++ = number(rest);
  *c = (sky_result_cell){reason, NAN};
}

static size_t put_classes(sky_zonal_run *r, size_t row, size_t zone) {
  const sky_zonal_zone *z = &r->result.zone[zone];
  const bool by_area = r->args.opt.weight == SKY_WEIGHT_AREA;
  double all = 0;
  for (size_t k = 0; k < z->n_class; k++)
    all += by_area ? z->class_[k].size.area : z->class_[k].size.cells;
  for (size_t k = 0; k < z->n_class; k++) {
    const sky_zonal_class *c = &z->class_[k];
    put_class(r, row++, zone, c->code, &c->size, share(by_area ? c->size.area : c->size.cells, all),
              r->rest != NULL ? r->rest[class_index(r, c)] : NAN, "");
  }
  if (z->nodata.cells > 0) put_class(r, row++, zone, NULL, &z->nodata, NAN, NAN, "no class");
  if (z->unread.cells > 0)
    put_class(r, row++, zone, NULL, &z->unread, NAN, NAN, "could not be read");
  if (!(z->inside.cells > 0))
    put_class(r, row++, zone, NULL, &z->inside, NAN, NAN, r->reasons[zone]);
  return row;
}

sky_status sky_zonal_table(sky_context *ctx, sky_zonal_run *r, sky_result_table *t) {
  SKY_TRY(make_names(ctx, r));
  SKY_TRY(make_columns(ctx, r));
  SKY_TRY(make_reasons(ctx, r));
  if (r->tree.n > 0) SKY_TRY(make_rest(ctx, r));
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
