/* regrid.c: regridding as a kernel of the raster engine: blocks go to the stream of the GeoTIFF,
 * their audits are merged in the order of the blocks. */
#include "src/job/regrid.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/axis.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/write/mosaic.h"

#define CELLS (SKY_BAND * SKY_BAND)

typedef struct work {
  const sky_regrid_options *opt;
  size_t n;
  sky_raster_set *set;
  sky_mosaic *raster;
  sky_axis x, y; /* of the target */
  sky_source_audit audit;
  sky_acc valid;
} work;

typedef struct part {
  sky_source_audit audit;
  double valid; /* cells with a value */
} part;

typedef struct worker {
  double *value, *weight, *share; /* one block each */
  int32_t *code;
} worker;

/* ---- the kernel ----------------------------------------------------------------------------- */

static void stop(void *p) {
  worker *w = p;
  sky_free(w->value);
  sky_free(w->weight);
  sky_free(w->share);
  sky_free(w->code);
  sky_free(w);
}

static sky_status start(sky_context *ctx, void *user, void **out) {
  sky_status st = SKY_OK;
  worker *w;
  (void)user;
  SKY_GO_ALLOC(w, SKY_NEW0(ctx, worker, 1));
  SKY_GO_ALLOC(w->value, SKY_NEW(ctx, double, CELLS));
  SKY_GO_ALLOC(w->weight, SKY_NEW(ctx, double, CELLS));
  SKY_GO_ALLOC(w->share, SKY_NEW(ctx, double, CELLS));
  SKY_GO_ALLOC(w->code, SKY_NEW(ctx, int32_t, CELLS));
  *out = w;
  return SKY_OK;
cleanup:
  if (w != NULL) stop(w);
  return st;
}

static void join(sky_acc *sum, const sky_acc *more) {
  sky_acc_add(sum, more->hi);
  sky_acc_add(sum, more->lo);
}

static void join_audit(sky_source_audit *sum, const sky_source_audit *more) {
  join(&sum->in, &more->in);
  join(&sum->gross, &more->gross);
  join(&sum->out, &more->out);
  join(&sum->outside, &more->outside);
  join(&sum->lost, &more->lost);
  join(&sum->nodata, &more->nodata);
}

static double cell_measure(const work *j, size_t row) {
  return j->opt->sampling == SKY_SAMPLE_INTENSIVE
             ? sky_axis_measure(&j->y, row) * sky_axis_measure(&j->x, 0)
             : 1;
}

/* A source on the target's own grid: what is in it comes out. */
static void audit_copy(const work *j, const sky_window *w, const double *value,
                       sky_source_audit *a) {
  for (size_t r = 0; r < w->ny; r++) {
    const double measure = cell_measure(j, w->iy0 + r);
    for (size_t c = 0; c < w->nx; c++) {
      const double v = value[r * SKY_BAND + c] * measure;
      if (isnan(v)) {
        sky_acc_add(&a->nodata, 1);
        continue;
      }
      sky_acc_add(&a->in, v);
      sky_acc_add(&a->out, v);
      sky_acc_add(&a->gross, fabs(v));
    }
  }
}

static void shares_of(const sky_source *s, const sky_window *w, const void *pixel, bool classes,
                      double *share) {
  if (sky_source_resampled(s)) {
    sky_source_valid(s, w, share);
    return;
  }
  for (size_t r = 0; r < w->ny; r++)
    for (size_t c = r * SKY_BAND; c < r * SKY_BAND + w->nx; c++)
      share[c] = classes ? ((const int32_t *)pixel)[c] != SKY_PIXEL_NODATA
                         : !isnan(((const double *)pixel)[c]);
}

/* One more file of a mosaic. */
static void add_values(const work *j, const sky_window *w, const double *value, const double *share,
                       worker *k) {
  const bool extensive = j->opt->sampling == SKY_SAMPLE_EXTENSIVE;
  for (size_t r = 0; r < w->ny; r++) {
    for (size_t c = r * SKY_BAND; c < r * SKY_BAND + w->nx; c++) {
      if (isnan(value[c])) continue;
      k->value[c] += extensive ? value[c] : value[c] * share[c];
      k->weight[c] += share[c];
    }
  }
}

static void add_classes(const sky_window *w, const int32_t *code, const double *share, worker *k) {
  for (size_t r = 0; r < w->ny; r++) {
    for (size_t c = r * SKY_BAND; c < r * SKY_BAND + w->nx; c++) {
      if (code[c] == SKY_PIXEL_NODATA || share[c] <= k->weight[c]) continue;
      k->code[c] = code[c];
      k->weight[c] = share[c];
    }
  }
}

/* Sums of a mosaic become values; what has too little valid source is lost. */
static void finish_values(const work *j, const sky_window *w, worker *k, sky_source_audit *a) {
  const bool extensive = j->opt->sampling == SKY_SAMPLE_EXTENSIVE;
  for (size_t r = 0; r < w->ny; r++) {
    const double measure = cell_measure(j, w->iy0 + r);
    for (size_t c = r * SKY_BAND; c < r * SKY_BAND + w->nx; c++) {
      const double mass = k->value[c] * measure;
      const bool kept = k->weight[c] > 0 && k->weight[c] >= j->opt->min_valid - 1e-9;
      if (!kept && k->weight[c] > 0) {
        sky_acc_add(&a->lost, mass);
        sky_acc_add(&a->out, -mass);
      }
      k->value[c] = !kept ? NAN : extensive ? k->value[c] : k->value[c] / k->weight[c];
    }
  }
}

static void finish_classes(const work *j, const sky_window *w, worker *k) {
  for (size_t r = 0; r < w->ny; r++)
    for (size_t c = r * SKY_BAND; c < r * SKY_BAND + w->nx; c++)
      if (!(k->weight[c] > 0 && k->weight[c] >= j->opt->min_valid - 1e-9))
        k->code[c] = SKY_PIXEL_NODATA;
}

static void mosaic(const work *j, const sky_raster_block *b, worker *k, sky_source_audit *a) {
  const bool classes = j->opt->sampling == SKY_SAMPLE_CLASS;
  memset(k->value, 0, CELLS * sizeof *k->value);
  memset(k->weight, 0, CELLS * sizeof *k->weight);
  for (size_t i = 0; i < j->n; i++) {
    shares_of(b->source[i], &b->window, b->pixel[i], classes, k->share);
    if (classes)
      add_classes(&b->window, b->pixel[i], k->share, k);
    else
      add_values(j, &b->window, b->pixel[i], k->share, k);
  }
  if (classes)
    finish_classes(j, &b->window, k);
  else
    finish_values(j, &b->window, k, a);
}

static double count_valid(const work *j, const sky_window *w, const void *pixel) {
  double n = 0;
  for (size_t r = 0; r < w->ny; r++)
    for (size_t c = r * SKY_BAND; c < r * SKY_BAND + w->nx; c++)
      n += j->opt->sampling == SKY_SAMPLE_CLASS ? ((const int32_t *)pixel)[c] != SKY_PIXEL_NODATA
                                                : !isnan(((const double *)pixel)[c]);
  return n;
}

static sky_status map(sky_context *ctx, void *user, void *work_space, const sky_raster_block *b,
                      void **out) {
  const work *j = user;
  worker *k = work_space;
  const bool classes = j->opt->sampling == SKY_SAMPLE_CLASS;
  if (b->pixel == NULL) return sky_mosaic_put(ctx, j->raster, b->column, b->band, NULL, SKY_BAND);
  part *p = SKY_NEW0(ctx, part, 1);
  if (p == NULL) return SKY_E_NOMEM;
  *out = p;
  for (size_t i = 0; i < j->n && !classes; i++) {
    if (sky_source_resampled(b->source[i]))
      join_audit(&p->audit, sky_source_audit_of(b->source[i], &b->window));
    else
      audit_copy(j, &b->window, b->pixel[i], &p->audit);
  }
  const void *pixel = b->pixel[0];
  if (j->n > 1 || (j->opt->min_valid > 0 && !sky_source_resampled(b->source[0]))) {
    mosaic(j, b, k, &p->audit);
    pixel = classes ? (const void *)k->code : (const void *)k->value;
  }
  p->valid = count_valid(j, &b->window, pixel);
  return sky_mosaic_put(ctx, j->raster, b->column, b->band, pixel, SKY_BAND);
}

static sky_status merge(sky_context *ctx, void *user, size_t block, void *p) {
  work *j = user;
  const part *more = p;
  (void)ctx;
  (void)block;
  join_audit(&j->audit, &more->audit);
  sky_acc_add(&j->valid, more->valid);
  sky_free(p);
  return SKY_OK;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Integers as the first file has them, with room for its nodata value; others as int32. */
static void class_type(const sky_raster_facts *f, sky_cog_options *o) {
  static const struct {
    const char *name;
    sky_cog_type given, none; /* with and without a nodata value */
  } types[] = {{"Byte", SKY_COG_UINT8, SKY_COG_INT16},
               {"UInt16", SKY_COG_UINT16, SKY_COG_INT32},
               {"Int16", SKY_COG_INT16, SKY_COG_INT32}};
  o->type = SKY_COG_INT32;
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    if (strcmp(f->type, types[i].name) != 0) continue;
    o->type = f->has_nodata ? types[i].given : types[i].none;
    o->has_nodata = f->has_nodata;
    o->nodata = f->nodata;
  }
}

/* "input NAME sha256 …" of every file, as one line each; NULL-terminated. */
static void free_tags(char **tags) {
  for (size_t i = 0; tags != NULL && tags[i] != NULL; i++)
    sky_free(tags[i]);
  sky_free(tags);
}

static sky_status make_tags(sky_context *ctx, const sky_regrid_options *o, char ***out) {
  static const char *const kinds[] = {"intensive", "extensive", "class"};
  sky_status st = SKY_OK;
  char **tags = NULL;
  SKY_GO_ALLOC(tags, SKY_NEW0(ctx, char *, o->n_file + 3));
  SKY_GO_ALLOC(tags[0], sky_sprintf(ctx, "SKYFLUX_VERSION=%s", SKYFLUX_VERSION));
  SKY_GO_ALLOC(tags[1], sky_sprintf(ctx, "SKYFLUX_REGRID=%s, min_valid %.15g", kinds[o->sampling],
                                    o->min_valid));
  for (size_t i = 0; i < o->n_file; i++) {
    char hex[65] = "";
    if (strncmp(o->files[i], "/vsi", 4) != 0) SKY_GO(sky_file_sha256(ctx, o->files[i], hex));
    SKY_GO_ALLOC(tags[2 + i], sky_sprintf(ctx, "SKYFLUX_INPUT_%zu=%s sha256 %s", i + 1,
                                          sky_file_base(o->files[i]), hex));
  }
  *out = tags;
  return SKY_OK;
cleanup:
  free_tags(tags);
  return st;
}

static char *field_name(sky_context *ctx, const char *path) {
  const char *base = sky_file_base(path), *dot = strrchr(base, '.');
  return sky_sprintf(ctx, "%.*s", dot != NULL && dot != base ? (int)(dot - base) : 1 << 20, base);
}

static sky_status open_set(sky_context *ctx, const sky_regrid_options *o, sky_raster_set **out) {
  sky_raster_input *in = SKY_NEW0(ctx, sky_raster_input, o->n_file);
  if (in == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < o->n_file; i++)
    in[i] = (sky_raster_input){
        .path = o->files[i],
        .band = o->band,
        .kind = o->sampling == SKY_SAMPLE_CLASS ? SKY_PIXEL_CLASS : SKY_PIXEL_VALUE,
        .sampling = o->sampling,
        .min_valid = o->n_file == 1 ? o->min_valid : 0}; /* a mosaic's parts together */
  const sky_status st = sky_raster_set_open(ctx, in, o->n_file, o->target, out);
  sky_free(in);
  return st;
}

static sky_status check_result(sky_context *ctx, const work *j, sky_regrid_result *r) {
  const sky_source_audit *a = &j->audit;
  const char *kind = j->opt->sampling == SKY_SAMPLE_INTENSIVE ? "x m2" : "";
  char unit[80];
  r->valid = sky_acc_value(&j->valid);
  r->audit = (sky_audit){.in = sky_acc_value(&a->in),
                         .gross = sky_acc_value(&a->gross),
                         .out = sky_acc_value(&a->out),
                         .outside = sky_acc_value(&a->outside),
                         .lost = sky_acc_value(&a->lost),
                         .nodata = sky_acc_value(&a->nodata)};
  r->audit.residual = r->audit.in - r->audit.out - r->audit.outside - r->audit.lost;
  if (r->report.unread == 0 && !(r->valid > 0))
    return sky_fail(ctx, SKY_E_NODATA, "%s: no cell of the target has valid source", j->opt->out);
  if (j->opt->sampling == SKY_SAMPLE_CLASS) return SKY_OK;
  snprintf(unit, sizeof unit, "%s %s", r->unit, kind);
  return sky_audit_check(ctx, j->opt->out, unit, &r->audit, SKY_REGRID_TOLERANCE);
}

sky_status sky_regrid_rasters(sky_context *ctx, const sky_regrid_options *opt,
                              sky_regrid_result *out) {
  static const sky_field_kind kinds[] = {SKY_FIELD_INTENSIVE, SKY_FIELD_EXTENSIVE, SKY_FIELD_CLASS};
  work j = {
      .opt = opt, .n = opt->n_file, .x = sky_axis_x(opt->target), .y = sky_axis_y(opt->target)};
  sky_status st = SKY_OK;
  char **tags = NULL, *name = NULL;
  memset(out, 0, sizeof *out);
  SKY_TRY(open_set(ctx, opt, &j.set));
  const sky_raster_facts *facts = sky_raster_set_facts(j.set, 0);
  SKY_GO(make_tags(ctx, opt, &tags));
  SKY_GO_ALLOC(name, field_name(ctx, opt->out));
  snprintf(out->unit, sizeof out->unit, "%s",
           opt->unit != NULL                               ? opt->unit
           : opt->sampling == SKY_SAMPLE_CLASS             ? "1"
           : facts->unit != NULL && facts->unit[0] != '\0' ? facts->unit
                                                           : "1");
  const sky_field field = {
      .name = name, .long_name = name, .unit = out->unit, .kind = kinds[opt->sampling]};
  sky_cog_options cog = {.tags = (const char *const *)tags};
  if (opt->sampling == SKY_SAMPLE_CLASS) {
    cog.pixels = SKY_PIXEL_CLASS;
    class_type(facts, &cog);
  }
  SKY_GO(
      sky_mosaic_open(ctx, opt->out, opt->target, &field, &cog, 0, (sky_shard){0, 0}, &j.raster));
  const sky_raster_kernel kernel = {
      .user = &j,
      .worker_bytes = CELLS * (3 * sizeof(double) + sizeof(int32_t)),
      .fixed_bytes = sky_cog_bytes(opt->target, cog.type, sky_context_threads(ctx)),
      .part_bytes = sizeof(part),
      .start = start,
      .stop = stop,
      .map = map,
      .merge = merge,
      .drop = sky_free};
  SKY_GO(sky_raster_pass(ctx, j.set, "regrid", &opt->pass, &kernel, &out->report));
  SKY_GO(check_result(ctx, &j, out));
  st = sky_mosaic_finish(ctx, j.raster);
  j.raster = NULL;
cleanup:
  sky_mosaic_abort(j.raster);
  sky_raster_set_close(j.set);
  free_tags(tags);
  sky_free(name);
  return st;
}
