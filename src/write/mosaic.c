/* mosaic.c: pieces of a large raster, and the VRT that joins them.
 *
 * Sides of pieces are multiples of 512, so that the cells of all nine overviews lie in one piece
 * each: the overviews of the pieces, side by side, are the overviews of the whole. GDAL's virtual
 * overviews would stretch them where the size is no multiple of 2^n, so each level is a VRT of its
 * own, named in the first one. */
#include "src/write/mosaic.h"

#include <cpl_error.h>
#include <gdal.h>
#include <gdal_vrt.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/engine/gdal_start.h"
#include "src/write/cog_describe.h"
#include "src/write/cog_tile.h"
#include "src/write/crs.h"

#define MARK "SKYFLUX_PIECE" /* metadata item: what a piece follows from */

typedef struct piece {
  char *path;
  sky_grid grid;   /* its edges are the mosaic's */
  size_t open;     /* blocks to come; SIZE_MAX: not counted yet */
  sky_cog *cog;    /* NULL: not begun, or done */
  bool mine, done; /* of this shard; its file is there, or is being made */
} piece;

struct sky_mosaic {
  char *path, *folder; /* folder NULL: one file */
  const sky_grid *grid;
  const sky_field *field;
  sky_cog_options whole, options; /* as asked for; of a piece */
  char mark[sizeof MARK + 66];    /* "SKYFLUX_PIECE=<sha256>" */
  const char **tags;
  size_t side, columns, rows; /* pieces */
  piece *piece;
  sky_shard shard;
  bool linking;          /* the VRTs are being written */
  pthread_mutex_t mutex; /* guards the pieces */
};

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* ---- pieces --------------------------------------------------------------------------------- */

static void mosaic_free(sky_mosaic *m) {
  if (m == NULL) return;
  for (size_t i = 0; m->piece != NULL && i < m->columns * m->rows; i++) {
    sky_cog_abort(m->piece[i].cog);
    sky_free(m->piece[i].path);
  }
  pthread_mutex_destroy(&m->mutex);
  sky_free(m->piece);
  sky_free(m->tags);
  sky_free(m->path);
  sky_free(m->folder);
  sky_free(m);
}

const char *sky_mosaic_path(const sky_mosaic *m) {
  return m->path;
}

/* First cell of piece i from the west and from the north. */
static size_t west_of(const sky_mosaic *m, size_t i) {
  return i % m->columns * m->side;
}
static size_t north_of(const sky_mosaic *m, size_t i) {
  return i / m->columns * m->side;
}

static sky_status make_piece(sky_context *ctx, sky_mosaic *m, size_t i) {
  piece *p = &m->piece[i];
  const size_t x = west_of(m, i), top = north_of(m, i);
  p->grid = *m->grid;
  p->grid.nx = smaller(m->side, m->grid->nx - x);
  p->grid.ny = smaller(m->side, m->grid->ny - top);
  p->grid.x_edge = m->grid->x_edge + x;
  p->grid.y_edge = m->grid->y_edge + (m->grid->ny - top - p->grid.ny);
  p->open = SIZE_MAX;
  p->mine = m->shard.shards < 2 || i % m->shard.shards == m->shard.shard - 1;
  p->path = m->folder == NULL ? sky_strdup(ctx, m->path)
                              : sky_sprintf(ctx, "%s/piece_%zu_%zu.tif", m->folder, i / m->columns,
                                            i % m->columns);
  return p->path != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* The tags of a piece: those of the whole and what tells it from one of another run. */
static sky_status mark_pieces(sky_context *ctx, sky_mosaic *m) {
  const sky_cog_options *o = &m->whole;
  sky_text t = {.ctx = ctx};
  size_t n = 0;
  char hex[65];
  sky_text_printf(&t, "%d %d %d %.17g %d %d %zu\n%zu %zu %s %.17g %.17g %.17g %.17g\n%s", o->type,
                  o->codec, o->level, sky_pixel_nodata(o), m->options.levels, m->field->kind,
                  m->side, m->grid->nx, m->grid->ny, m->grid->crs, m->grid->x_edge[0],
                  m->grid->x_edge[m->grid->nx], m->grid->y_edge[0], m->grid->y_edge[m->grid->ny],
                  o->stamp != NULL ? o->stamp : "");
  char *text = sky_text_take(&t);
  if (text == NULL) return SKY_E_NOMEM;
  sky_sha256(text, strlen(text), hex);
  sky_free(text);
  snprintf(m->mark, sizeof m->mark, MARK "=%s", hex);
  while (o->tags != NULL && o->tags[n] != NULL)
    n++;
  m->tags = SKY_NEW0(ctx, const char *, n + 2);
  if (m->tags == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    m->tags[i] = o->tags[i];
  m->tags[n] = m->mark;
  m->options.tags = m->tags;
  return SKY_OK;
}

/* The file of a piece is there, and of this run. */
static bool piece_fits(const sky_mosaic *m, const piece *p) {
  if (!sky_file_exists(p->path)) return false;
  GDALDatasetH ds = GDALOpen(p->path, GA_ReadOnly);
  if (ds == NULL) return false;
  const char *mark = GDALGetMetadataItem(ds, MARK, NULL);
  const bool fits = mark != NULL && strcmp(mark, m->mark + sizeof MARK) == 0;
  GDALClose(ds);
  return fits;
}

static sky_status make(sky_context *ctx, const char *path, const sky_grid *grid,
                       const sky_field *field, const sky_cog_options *options, size_t side,
                       sky_shard shard, sky_mosaic *m) {
  const size_t longest = grid->nx > grid->ny ? grid->nx : grid->ny;
  const char *dot = strrchr(sky_file_base(path), '.');
  const size_t stem = dot == NULL ? strlen(path) : (size_t)(dot - path);
  m->grid = grid;
  m->field = field;
  m->whole = m->options = *options;
  m->shard = shard;
  m->side = side == 0 ? SKY_MOSAIC_SIDE : side;
  m->columns = (grid->nx - 1) / m->side + 1;
  m->rows = (grid->ny - 1) / m->side + 1;
  const bool single = m->columns * m->rows == 1;
  if (!single) {
    m->options.no_style = true;
    m->folder = sky_sprintf(ctx, "%.*s", (int)stem, path);
    m->path = sky_sprintf(ctx, "%.*s.vrt", (int)stem, path);
    if (m->folder == NULL || m->path == NULL) return SKY_E_NOMEM;
    while (options->levels == 0 && m->options.levels < SKY_COG_LEVELS &&
           ((longest - 1) >> m->options.levels) + 1 > SKY_COG_TILE)
      m->options.levels++;
    SKY_TRY(mark_pieces(ctx, m));
  } else {
    m->path = sky_strdup(ctx, path);
    if (m->path == NULL) return SKY_E_NOMEM;
  }
  m->piece = SKY_NEW0(ctx, piece, m->columns * m->rows);
  if (m->piece == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < m->columns * m->rows; i++)
    SKY_TRY(make_piece(ctx, m, i));
  return SKY_OK;
}

static sky_status create(sky_context *ctx, const char *path, const sky_grid *grid,
                         const sky_field *field, const sky_cog_options *options, size_t side,
                         sky_shard shard, sky_mosaic **out) {
  if (side % SKY_COG_TILE != 0) {
    return sky_fail(ctx, SKY_E_RANGE, "%s: pieces of %zu cells a side (a multiple of %d)", path,
                    side, SKY_COG_TILE);
  }
  SKY_TRY(sky_gdal_start(ctx));
  SKY_TRY(sky_cog_check(ctx, path, grid, field, options));
  sky_mosaic *m = SKY_NEW0(ctx, sky_mosaic, 1);
  if (m == NULL) return SKY_E_NOMEM;
  pthread_mutex_init(&m->mutex, NULL);
  const sky_status st = make(ctx, path, grid, field, options, side, shard, m);
  if (st == SKY_OK)
    *out = m;
  else
    mosaic_free(m);
  return st;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static piece *piece_of(sky_mosaic *m, size_t *column, size_t *band) {
  const size_t blocks = m->side / SKY_BAND;
  piece *p = &m->piece[*band / blocks * m->columns + *column / blocks];
  *column %= blocks;
  *band %= blocks;
  return p;
}

/* Under the mutex, if threads are at work. */
static sky_status begin(sky_context *ctx, const sky_mosaic *m, piece *p) {
  SKY_TRY(sky_cog_open(ctx, p->path, &p->grid, m->field, &m->options, &p->cog));
  p->open = 0;
  for (size_t b = 0; b * SKY_BAND < p->grid.ny; b++)
    for (size_t c = 0; c * SKY_BAND < p->grid.nx; c++)
      p->open += !sky_cog_has(p->cog, c, b);
  return SKY_OK;
}

static char *log_path(sky_context *ctx, const char *path) {
  const char *base = sky_file_base(path);
  return sky_sprintf(ctx, "%.*s" SKY_COG_LOG "%s", (int)(base - path), path, base);
}

/* What an earlier run left of the pieces of this shard. Logs are read here, by all threads, and not
 * when the first block comes. */
static sky_status take_over(sky_context *ctx, sky_mosaic *m) {
  if (m->folder != NULL) SKY_TRY(sky_file_mkdirs(ctx, m->folder));
  for (size_t i = 0; i < m->columns * m->rows; i++) {
    piece *p = &m->piece[i];
    if (!p->mine || m->options.stamp == NULL || m->options.fresh) continue;
    p->done = m->folder != NULL && piece_fits(m, p);
    char *log = log_path(ctx, p->path);
    if (log == NULL) return SKY_E_NOMEM;
    const bool begun = !p->done && sky_file_exists(log);
    if (p->done) unlink(log); /* of a run that was killed at the very end of the piece */
    sky_free(log);
    if (begun) SKY_TRY(begin(ctx, m, p));
  }
  return SKY_OK;
}

sky_status sky_mosaic_open(sky_context *ctx, const char *path, const sky_grid *grid,
                           const sky_field *field, const sky_cog_options *options, size_t side,
                           sky_shard shard, sky_mosaic **out) {
  sky_mosaic *m = NULL;
  SKY_TRY(create(ctx, path, grid, field, options, side, shard, &m));
  const sky_status st = take_over(ctx, m);
  if (st == SKY_OK)
    *out = m;
  else
    mosaic_free(m);
  return st;
}

bool sky_mosaic_wants(sky_mosaic *m, size_t column, size_t band) {
  piece *p = piece_of(m, &column, &band);
  if (!p->mine) return false;
  pthread_mutex_lock(&m->mutex);
  const bool there = p->done || (p->cog != NULL && sky_cog_has(p->cog, column, band));
  pthread_mutex_unlock(&m->mutex);
  return !there;
}

sky_status sky_mosaic_put(sky_context *ctx, sky_mosaic *m, size_t column, size_t band,
                          const void *pixels, size_t stride) {
  sky_status st = SKY_OK;
  if (!sky_mosaic_wants(m, column, band)) return SKY_OK;
  piece *p = piece_of(m, &column, &band);
  pthread_mutex_lock(&m->mutex);
  if (p->cog == NULL && !p->done) st = begin(ctx, m, p);
  sky_cog *c = p->cog;
  pthread_mutex_unlock(&m->mutex);
  if (st != SKY_OK || c == NULL) return st;
  SKY_TRY(sky_cog_put(ctx, c, column, band, pixels, stride));
  pthread_mutex_lock(&m->mutex);
  const bool last = --p->open == 0;
  if (last) {
    p->cog = NULL;
    p->done = true;
  }
  pthread_mutex_unlock(&m->mutex);
  return last ? sky_cog_finish(ctx, c) : SKY_OK;
}

/* ---- the VRT -------------------------------------------------------------------------------- */

static GDALDatasetH open_piece(const piece *p, int k) {
  char level[32];
  snprintf(level, sizeof level, "OVERVIEW_LEVEL=%d", k - 1);
  const char *const options[] = {level, NULL};
  return GDALOpenEx(p->path, GDAL_OF_RASTER, NULL, k > 0 ? options : NULL, NULL);
}

/* One level of all pieces, side by side: a VRT and what it refers to. */
typedef struct joined {
  GDALDatasetH vrt, *source; /* [n] */
  size_t n;
} joined;

/* The VRT goes before its sources, which it shares. */
static void joined_free(joined *j) {
  if (j->vrt != NULL) GDALClose(j->vrt);
  for (size_t i = 0; i < j->n; i++)
    GDALReleaseDataset(j->source[i]);
  sky_free(j->source);
  *j = (joined){0};
}

static bool add_piece(const sky_mosaic *m, int k, size_t i, joined *j) {
  GDALDatasetH piece_ds = open_piece(&m->piece[i], k);
  if (piece_ds == NULL) return false;
  j->source[j->n++] = piece_ds;
  const int w = GDALGetRasterXSize(piece_ds), h = GDALGetRasterYSize(piece_ds);
  return VRTAddSimpleSource((VRTSourcedRasterBandH)GDALGetRasterBand(j->vrt, 1),
                            GDALGetRasterBand(piece_ds, 1), 0, 0, w, h, (int)(west_of(m, i) >> k),
                            (int)(north_of(m, i) >> k), w, h, "near", VRT_NODATA_UNSET) == CE_None;
}

static sky_status join(sky_context *ctx, const sky_mosaic *m, int k, joined *j) {
  static const GDALDataType types[] = {[SKY_COG_FLOAT32] = GDT_Float32,
                                       [SKY_COG_UINT8] = GDT_Byte,
                                       [SKY_COG_UINT16] = GDT_UInt16,
                                       [SKY_COG_INT16] = GDT_Int16,
                                       [SKY_COG_INT32] = GDT_Int32};
  const size_t n = m->columns * m->rows;
  CPLErrorReset();
  *j = (joined){.source = SKY_NEW0(ctx, GDALDatasetH, n)};
  if (j->source == NULL) return SKY_E_NOMEM;
  j->vrt = (GDALDatasetH)VRTCreate((int)(((m->grid->nx - 1) >> k) + 1),
                                   (int)(((m->grid->ny - 1) >> k) + 1));
  bool ok = j->vrt != NULL && GDALAddBand(j->vrt, types[m->whole.type], NULL) == CE_None &&
            GDALSetRasterNoDataValue(GDALGetRasterBand(j->vrt, 1), sky_pixel_nodata(&m->whole)) ==
                CE_None;
  for (size_t i = 0; ok && i < n; i++)
    ok = add_piece(m, k, i, j);
  if (ok) return SKY_OK;
  joined_free(j);
  return sky_gdal_fail(ctx, SKY_E_READ, "%s: pieces cannot be joined", m->path);
}

/* The XML of a dataset as a file at path, with more text at the end of its band. */
static sky_status write_vrt(sky_context *ctx, GDALDatasetH ds, const char *path, const char *more) {
  static const char end[] = "</VRTRasterBand>";
  sky_text t = {.ctx = ctx};
  sky_status st = SKY_OK;
  char *xml = NULL;
  GDALSetDescription(ds, path); /* sources are written relative to it */
  char **list = GDALGetMetadata(ds, "xml:VRT");
  const char *text = list != NULL ? list[0] : NULL;
  const char *at = text != NULL ? strstr(text, end) : NULL;
  if (at == NULL) {
    st = sky_gdal_fail(ctx, SKY_E_INTERNAL, "%s: cannot be described", path);
    goto cleanup;
  }
  sky_text_add(&t, text, (size_t)(at - text));
  sky_text_put(&t, more);
  sky_text_put(&t, at);
  SKY_GO_ALLOC(xml, sky_text_take(&t));
  SKY_GO(sky_file_write_text(ctx, path, xml, strlen(xml)));
cleanup:
  GDALSetDescription(ds, ""); /* else closing writes it, too */
  sky_text_free(&t);
  sky_free(xml);
  return st;
}

static double number_of(GDALRasterBandH band, const char *name) {
  const char *text = GDALGetMetadataItem(band, name, NULL);
  return text != NULL ? strtod(text, NULL) : (double)NAN;
}

/* Statistics and classes of the whole, from what the pieces say of themselves. */
static void gather(const sky_mosaic *m, GDALDatasetH *source, sky_tile_stats *each,
                   uint64_t *class_pixels) {
  for (size_t i = 0; i < m->columns * m->rows; i++) {
    GDALRasterBandH band = GDALGetRasterBand(source[i], 1);
    const double cells = (double)sky_grid_cells(&m->piece[i].grid);
    const double n = rint(number_of(band, "STATISTICS_VALID_PERCENT") / 100 * cells);
    const double sd = number_of(band, "STATISTICS_STDDEV");
    each[i] = (sky_tile_stats){(uint64_t)n, number_of(band, "STATISTICS_MINIMUM"),
                               number_of(band, "STATISTICS_MAXIMUM"),
                               number_of(band, "STATISTICS_MEAN"), sd * sd * n};
    GDALRasterAttributeTableH table = GDALGetDefaultRAT(band);
    for (size_t k = 0; table != NULL && k < m->whole.n_classes; k++)
      class_pixels[k] += (uint64_t)GDALRATGetValueAsDouble(table, (int)k, SKY_COG_RAT_COUNT);
  }
}

/* Colours from the smallest overview; sums in it are spread over their cells again (and over those
 * of nodata: a range that is a little low). */
static sky_status write_style(sky_context *ctx, const sky_mosaic *m, GDALDatasetH smallest,
                              const sky_tile_stats *s, const uint64_t *class_pixels) {
  const sky_cog_options *o = &m->whole;
  sky_ramp ramp;
  if (m->field->kind == SKY_FIELD_CLASS) {
    return o->n_classes == 0
               ? SKY_OK
               : sky_style_classes(ctx, m->path, o->classes, o->n_classes, class_pixels);
  }
  const int nx = GDALGetRasterXSize(smallest), ny = GDALGetRasterYSize(smallest);
  const size_t n = (size_t)nx * (size_t)ny;
  const double none = sky_pixel_nodata(o);
  const double below = m->field->kind == SKY_FIELD_EXTENSIVE ? ldexp(1, 2 * m->options.levels) : 1;
  double *value = SKY_NEW(ctx, double, n);
  if (value == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  if (GDALRasterIO(GDALGetRasterBand(smallest, 1), GF_Read, 0, 0, nx, ny, value, nx, ny,
                   GDT_Float64, 0, 0) != CE_None) {
    st = sky_gdal_fail(ctx, SKY_E_READ, "%s: smallest overview", m->path);
  }
  for (size_t i = 0; i < n; i++)
    value[i] = value[i] == none ? (double)NAN : value[i] / below;
  if (st == SKY_OK) st = sky_ramp_fit(ctx, value, n, s->min < 0 && s->max > 0, &ramp);
  if (st == SKY_OK) st = sky_style_raster(ctx, m->path, &ramp);
  sky_free(value);
  return st;
}

/* One overview of the whole, and its mention in the VRT. */
static sky_status link_overview(sky_context *ctx, const sky_mosaic *m, int k,
                                const sky_tile_stats *stats, const uint64_t *class_pixels,
                                sky_text *mention) {
  joined j;
  char *path = sky_sprintf(ctx, "%s/overview_%d.vrt", m->folder, 1 << k);
  if (path == NULL) return SKY_E_NOMEM;
  sky_status st = join(ctx, m, k, &j);
  if (st == SKY_OK) st = write_vrt(ctx, j.vrt, path, "");
  if (st == SKY_OK && k == m->options.levels && !m->whole.no_style)
    st = write_style(ctx, m, j.vrt, stats, class_pixels);
  joined_free(&j);
  sky_text_printf(mention,
                  "  <Overview>\n      <SourceFilename relativeToVRT=\"1\">%s/overview_%d.vrt"
                  "</SourceFilename>\n      <SourceBand>1</SourceBand>\n    </Overview>\n  ",
                  sky_file_base(m->folder), 1 << k);
  sky_free(path);
  return st;
}

static sky_status check_pieces(sky_context *ctx, const sky_mosaic *m) {
  const size_t n = m->columns * m->rows;
  for (size_t i = 0; i < n; i++) {
    const piece *p = &m->piece[i];
    if (piece_fits(m, p)) continue;
    return sky_fail(ctx, SKY_E_COVERAGE, "%s: piece %zu of %zu, %s, is %s", m->path, i + 1, n,
                    p->path, sky_file_exists(p->path) ? "of another run" : "missing");
  }
  return SKY_OK;
}

static sky_status link_pieces(sky_context *ctx, const sky_mosaic *m) {
  sky_status st = SKY_OK;
  const size_t n = m->columns * m->rows;
  sky_text mention = {.ctx = ctx};
  sky_tile_stats *each = NULL;
  uint64_t *class_pixels = NULL;
  joined j = {0};
  sky_crs *crs = NULL;
  SKY_TRY(check_pieces(ctx, m));
  SKY_GO(sky_crs_create(ctx, m->grid->crs, &crs));
  SKY_GO_ALLOC(each, SKY_NEW0(ctx, sky_tile_stats, n));
  SKY_GO_ALLOC(class_pixels, SKY_NEW0(ctx, uint64_t, m->whole.n_classes));
  SKY_GO(join(ctx, m, 0, &j));
  gather(m, j.source, each, class_pixels);
  const sky_cog_facts facts = {sky_tile_stats_merge(each, n), (uint64_t)sky_grid_cells(m->grid),
                               class_pixels};
  if (!sky_cog_describe_dataset(j.vrt, m->grid, crs, m->field, &m->whole,
                                sky_pixel_nodata(&m->whole), &facts)) {
    st = sky_gdal_fail(ctx, SKY_E_INTERNAL, "%s: cannot be described", m->path);
    goto cleanup;
  }
  for (int k = 1; k <= m->options.levels; k++)
    SKY_GO(link_overview(ctx, m, k, &facts.stats, class_pixels, &mention));
  if (mention.failed) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  st = write_vrt(ctx, j.vrt, m->path, mention.data != NULL ? mention.data : "");
cleanup:
  joined_free(&j);
  sky_text_free(&mention);
  sky_free(each);
  sky_free(class_pixels);
  sky_crs_free(crs);
  return st;
}

/* ---- the end -------------------------------------------------------------------------------- */

sky_status sky_mosaic_finish(sky_context *ctx, sky_mosaic *m) {
  sky_status st = SKY_OK;
  for (size_t i = 0; st == SKY_OK && i < m->columns * m->rows; i++) {
    piece *p = &m->piece[i];
    if (!p->mine || p->done) continue;
    if (p->cog == NULL) SKY_GO(begin(ctx, m, p)); /* nothing but nodata */
    sky_cog *c = p->cog;
    p->cog = NULL;
    p->done = true;
    st = sky_cog_finish(ctx, c);
  }
  if (st == SKY_OK && m->folder != NULL && m->shard.shards < 2) {
    m->linking = true;
    st = link_pieces(ctx, m);
    if (st == SKY_OK)
      sky_log(ctx, SKY_LOG_INFO, "%s: over %zu pieces in %s", m->path, m->columns * m->rows,
              m->folder);
  }
cleanup:
  if (st == SKY_OK)
    mosaic_free(m);
  else
    sky_mosaic_abort(m);
  return st;
}

/* Without allocation: it runs when memory is short, too. */
static void remove_file(const char *name, const char *more) {
  char path[4096];
  const int n = snprintf(path, sizeof path, "%s%s", name, more);
  if (n > 0 && (size_t)n < sizeof path) unlink(path);
}

void sky_mosaic_abort(sky_mosaic *m) {
  if (m == NULL) return;
  const bool keep = m->options.stamp != NULL;
  for (size_t i = 0; i < m->columns * m->rows; i++) {
    piece *p = &m->piece[i];
    sky_cog_abort(p->cog);
    p->cog = NULL;
    if (keep || !p->mine || !p->done) continue;
    remove_file(p->path, "");
    remove_file(p->path, ".aux.xml");
  }
  for (int k = 1; m->linking && !keep && k <= m->options.levels; k++) {
    char name[32];
    snprintf(name, sizeof name, "/overview_%d.vrt", 1 << k);
    remove_file(m->folder, name);
  }
  if (m->linking && !keep) sky_style_remove(m->path);
  if (m->folder != NULL && !keep) rmdir(m->folder); /* if nothing else is in it */
  mosaic_free(m);
}

sky_status sky_mosaic_link(sky_context *ctx, const char *path, const sky_grid *grid,
                           const sky_field *field, const sky_cog_options *options, size_t side) {
  sky_mosaic *m = NULL;
  SKY_TRY(create(ctx, path, grid, field, options, side, (sky_shard){0, 0}, &m));
  const sky_status st = m->folder == NULL ? SKY_OK : link_pieces(ctx, m);
  mosaic_free(m);
  return st;
}
