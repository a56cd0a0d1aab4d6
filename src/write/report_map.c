/* report_map.c: a gridded layer as a picture that Leaflet can lay on its map.
 *
 * Leaflet stretches a picture evenly in Web Mercator (EPSG:3857), so its rows must be even there:
 * each pixel takes the cell that its centre lies in (nearest neighbour; the pixels are finer than
 * the cells). Geographic grids need only rows for that; projected ones are looked up pixel by
 * pixel. */
#include <cpl_conv.h>
#include <cpl_error.h>
#include <cpl_string.h>
#include <cpl_vsi.h>
#include <gdal.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/engine/gdal_start.h"
#include "src/write/crs.h"
#include "src/write/report_parts.h"
#include "src/write/style.h"

#define MAX_PIXELS 2048     /* on each side */
#define MERCATOR_LIMIT 85.0 /* degrees; Web Mercator ends at 85.05 */
#define EDGE_POINTS 64      /* per side, to find the extent of a projected grid */
#define COLOURS 255         /* of the palette; entry 0 is transparent */
/* Pixels of a projected grid, whose cells lie askew: so many that borders fall where outlines do,
 * at least 2 and at most 8 on a cell's side. */
#define WANTED_PIXELS 1024.0
#define CROWDED 0.15 /* mean place of the values on a scale, 0 its pale end */

typedef struct picture {
  const sky_grid *grid;
  size_t nx, ny;
  double west, south, east, north; /* degrees */
  size_t *cell;                    /* [ny*nx] of the grid, row 0 north; SIZE_MAX outside */
} picture;

static const double RADIAN = 0.017453292519943295;

static double mercator(double lat) {
  return log(tan(0.785398163397448310 + 0.5 * RADIAN * lat));
}
static double latitude(double y) {
  return (2 * atan(exp(y)) - 1.5707963267948966) / RADIAN;
}

static size_t clamp_pixels(double wanted) {
  return wanted < 1 ? 1 : wanted > MAX_PIXELS ? MAX_PIXELS : (size_t)ceil(wanted);
}

static double smallest_step(const double *edge, size_t n, double (*map)(double)) {
  double least = INFINITY;
  for (size_t i = 0; i < n; i++) {
    const double step = map == NULL ? edge[i + 1] - edge[i] : map(edge[i + 1]) - map(edge[i]);
    if (step > 0) least = fmin(least, step); /* NaN and 0 beyond the limits of the projection */
  }
  return least;
}

/* Extent and size; a geographic grid keeps its columns (one pixel a cell if they are even). */
static sky_status frame(sky_context *ctx, const sky_crs *crs, picture *p) {
  const sky_grid *g = p->grid;
  if (g->geographic) {
    p->west = g->x_edge[0];
    p->east = g->x_edge[g->nx];
    p->south = fmax(g->y_edge[0], -MERCATOR_LIMIT);
    p->north = fmin(g->y_edge[g->ny], MERCATOR_LIMIT);
    const double dx = smallest_step(g->x_edge, g->nx, NULL);
    const double dy = smallest_step(g->y_edge, g->ny, mercator);
    /* 1e-6 less, so that rounding does not add a column to even ones. */
    p->nx = clamp_pixels((p->east - p->west) / dx - 1e-6);
    p->ny = clamp_pixels(2 * (mercator(p->north) - mercator(p->south)) / dy);
    return SKY_OK;
  }
  double x[4 * EDGE_POINTS], y[4 * EDGE_POINTS];
  for (size_t i = 0; i < EDGE_POINTS; i++) {
    const double f = (double)i / EDGE_POINTS;
    const double along_x = g->x_edge[0] + f * (g->x_edge[g->nx] - g->x_edge[0]);
    const double along_y = g->y_edge[0] + f * (g->y_edge[g->ny] - g->y_edge[0]);
    x[4 * i] = along_x, y[4 * i] = g->y_edge[0];
    x[4 * i + 1] = g->x_edge[g->nx], y[4 * i + 1] = along_y;
    x[4 * i + 2] = along_x, y[4 * i + 2] = g->y_edge[g->ny];
    x[4 * i + 3] = g->x_edge[0], y[4 * i + 3] = along_y;
  }
  x[2] = g->x_edge[g->nx]; /* the corner that the sides leave out */
  SKY_TRY(sky_crs_to_lonlat(ctx, crs, 4 * EDGE_POINTS, x, y));
  p->west = p->south = INFINITY;
  p->east = p->north = -INFINITY;
  for (size_t i = 0; i < 4 * EDGE_POINTS; i++) {
    p->west = fmin(p->west, x[i]);
    p->east = fmax(p->east, x[i]);
    p->south = fmin(p->south, y[i]);
    p->north = fmax(p->north, y[i]);
  }
  const double longer = (double)(g->nx > g->ny ? g->nx : g->ny);
  const double fine = fmin(fmax(floor(WANTED_PIXELS / longer), 2), 8);
  p->nx = clamp_pixels(fine * (double)g->nx);
  p->ny = clamp_pixels(fine * (double)g->ny);
  return SKY_OK;
}

static sky_status find_cells(sky_context *ctx, const sky_crs *crs, picture *p) {
  sky_status st = SKY_OK;
  const sky_grid *g = p->grid;
  const double top = mercator(p->north), height = top - mercator(p->south);
  double *x = NULL, *y = NULL;
  SKY_GO_ALLOC(x, SKY_NEW(ctx, double, p->nx));
  SKY_GO_ALLOC(y, SKY_NEW(ctx, double, p->nx));
  SKY_GO_ALLOC(p->cell, SKY_NEW(ctx, size_t, p->nx * p->ny));
  for (size_t iy = 0; iy < p->ny; iy++) {
    const double lat = latitude(top - ((double)iy + 0.5) / (double)p->ny * height);
    for (size_t ix = 0; ix < p->nx; ix++) {
      x[ix] = p->west + ((double)ix + 0.5) / (double)p->nx * (p->east - p->west);
      y[ix] = lat;
    }
    if (!g->geographic) sky_crs_from_lonlat(crs, p->nx, x, y); /* failures become NaN: outside */
    for (size_t ix = 0; ix < p->nx; ix++) {
      p->cell[iy * p->nx + ix] = isnan(x[ix]) ? SIZE_MAX : sky_grid_find(g, x[ix], y[ix]);
    }
  }

cleanup:
  sky_free(y);
  sky_free(x);
  return st;
}

/* ---- PNG with a palette: entry 0 transparent, the others along the ramp ---- */

/* Fluxes of a city span decades: where most cells would crowd at the pale end of an even scale, the
 * colours follow a root of the value (of its distance from 0 in a diverging one). */
typedef struct colours {
  sky_ramp ramp;
  bool diverging;
  double power; /* 1, 1/2 or 1/3 */
} colours;

/* 0..1 along the ramp for a value, and back. */
static double position_of(const colours *c, double v) {
  const double range = c->ramp.high - c->ramp.low;
  const double f = range > 0 ? fmin(fmax((v - c->ramp.low) / range, 0), 1) : 0;
  if (!c->diverging) return pow(f, c->power);
  return 0.5 + 0.5 * copysign(pow(fabs(2 * f - 1), c->power), f - 0.5);
}
static double value_at(const colours *c, double f) {
  const double g = c->diverging ? 0.5 + 0.5 * copysign(pow(fabs(2 * f - 1), 1 / c->power), f - 0.5)
                                : pow(f, 1 / c->power);
  return c->ramp.low + g * (c->ramp.high - c->ramp.low);
}

/* The power that spreads the values of the first, coarsest grid. */
static double power_for(const colours *even, const double *value, size_t cells) {
  sky_acc sum = {0, 0};
  size_t n = 0;
  for (size_t i = 0; i < cells; i++) {
    if (isnan(value[i])) continue;
    const double f = position_of(even, value[i]);
    sky_acc_add(&sum, even->diverging ? fabs(2 * f - 1) : f);
    n++;
  }
  const double mean = n > 0 ? sky_acc_value(&sum) / (double)n : 1;
  return mean > CROWDED ? 1 : sqrt(mean) > CROWDED ? 1.0 / 2 : 1.0 / 3;
}

static void fill_palette(GDALRasterBandH band, const sky_ramp *ramp) {
  GDALColorTableH table = GDALCreateColorTable(GPI_RGB);
  const GDALColorEntry clear = {255, 255, 255, 0};
  GDALSetColorEntry(table, 0, &clear);
  for (int i = 1; i <= COLOURS; i++) {
    uint8_t rgb[3];
    const double f = (double)(i - 1) / (COLOURS - 1);
    sky_ramp_colour(ramp, ramp->low + f * (ramp->high - ramp->low), rgb);
    const GDALColorEntry entry = {rgb[0], rgb[1], rgb[2], 255};
    GDALSetColorEntry(table, i, &entry);
  }
  GDALSetRasterColorTable(band, table);
  GDALDestroyColorTable(table);
}

static uint8_t palette_index(const colours *c, double v) {
  return isnan(v) ? 0 : (uint8_t)(1 + lround(position_of(c, v) * (COLOURS - 1)));
}

/* Data URI of the picture, malloc'd. */
static sky_status encode_png(sky_context *ctx, const picture *p, const double *value,
                             const colours *c, char **uri) {
  sky_status st = SKY_OK;
  uint8_t *pixels = NULL;
  char name[64];
  char *base64 = NULL;
  GDALDatasetH mem = NULL, png = NULL;
  snprintf(name, sizeof name, "/vsimem/skyflux-%p.png", (void *)&pixels); /* this call's own */
  SKY_GO_ALLOC(pixels, SKY_NEW(ctx, uint8_t, p->nx * p->ny));
  for (size_t i = 0; i < p->nx * p->ny; i++) {
    pixels[i] = p->cell[i] == SIZE_MAX ? 0 : palette_index(c, value[p->cell[i]]);
  }
  CPLErrorReset();
  mem = GDALCreate(GDALGetDriverByName("MEM"), "", (int)p->nx, (int)p->ny, 1, GDT_Byte, NULL);
  if (mem != NULL) {
    GDALRasterBandH band = GDALGetRasterBand(mem, 1);
    fill_palette(band, &c->ramp);
    if (GDALRasterIO(band, GF_Write, 0, 0, (int)p->nx, (int)p->ny, pixels, (int)p->nx, (int)p->ny,
                     GDT_Byte, 0, 0) == CE_None) {
      png = GDALCreateCopy(GDALGetDriverByName("PNG"), name, mem, TRUE, NULL, NULL, NULL);
    }
  }
  if (png != NULL) GDALClose(png);
  vsi_l_offset size = 0;
  const GByte *bytes = VSIGetMemFileBuffer(name, &size, FALSE);
  if (png == NULL || bytes == NULL || CPLGetLastErrorType() >= CE_Failure) {
    st = sky_gdal_fail(ctx, SKY_E_INTERNAL, "map picture of %zu x %zu pixels", p->nx, p->ny);
    goto cleanup;
  }
  base64 = CPLBase64Encode((int)size, bytes);
  SKY_GO_ALLOC(*uri, sky_sprintf(ctx, "data:image/png;base64,%s", base64));

cleanup:
  CPLFree(base64);
  if (mem != NULL) GDALClose(mem);
  VSIUnlink(name);
  sky_free(pixels);
  return st;
}

/* ---- layers ---- */

static void add_stops(cJSON *layer, const colours *c) {
  cJSON *stops = cJSON_AddArrayToObject(layer, "stops");
  if (isnan(c->ramp.low)) return;
  for (size_t i = 0; i < SKY_RAMP_STOPS; i++) {
    char text[32];
    cJSON *stop = cJSON_CreateObject();
    const double v = value_at(c, (double)i / (SKY_RAMP_STOPS - 1));
    /* The middle of a diverging ramp is 0, not what rounding left of it. */
    const bool zero = fabs(v) < 1e-9 * (c->ramp.high - c->ramp.low);
    snprintf(text, sizeof text, "%.3g", zero ? 0.0 : v);
    cJSON_AddStringToObject(stop, "label", text);
    snprintf(text, sizeof text, "#%02x%02x%02x", c->ramp.colour[i][0], c->ramp.colour[i][1],
             c->ramp.colour[i][2]);
    cJSON_AddStringToObject(stop, "colour", text);
    cJSON_AddItemToArray(stops, stop);
  }
}

static sky_status add_image(sky_context *ctx, const picture *p, const double *value,
                            const colours *c, cJSON *images) {
  char *uri = NULL;
  SKY_TRY(encode_png(ctx, p, value, c, &uri));
  cJSON *item = cJSON_CreateObject();
  const double south_west[] = {p->south, p->west}, north_east[] = {p->north, p->east};
  cJSON *bounds = cJSON_AddArrayToObject(item, "bounds");
  cJSON_AddItemToArray(bounds, cJSON_CreateDoubleArray(south_west, 2));
  cJSON_AddItemToArray(bounds, cJSON_CreateDoubleArray(north_east, 2));
  cJSON_AddStringToObject(item, "png", uri);
  cJSON_AddItemToArray(images, item);
  sky_free(uri);
  return SKY_OK;
}

/* The values of a map, grid after grid. What a patch replaces is left out of the grid below it: a
 * coarse cell would show as a line where pictures meet. */
static double *join_values(sky_context *ctx, const sky_report_layer *layer, size_t n,
                           size_t *cells) {
  const sky_grid *base = layer[0].grid;
  size_t at = 0;
  *cells = 0;
  for (size_t i = 0; i < n; i++)
    *cells += sky_grid_cells(layer[i].grid);
  double *all = SKY_NEW(ctx, double, *cells);
  if (all == NULL) return NULL;
  for (size_t i = 0; i < n; at += sky_grid_cells(layer[i++].grid))
    memcpy(all + at, layer[i].value, sky_grid_cells(layer[i].grid) * sizeof *all);
  for (size_t c = 0; c < sky_grid_cells(base); c++) {
    const size_t ix = c % base->nx, iy = c / base->nx;
    const double x = 0.5 * (base->x_edge[ix] + base->x_edge[ix + 1]);
    const double y = 0.5 * (base->y_edge[iy] + base->y_edge[iy + 1]);
    for (size_t i = 1; i < n; i++)
      if (sky_grid_find(layer[i].grid, x, y) != SIZE_MAX) all[c] = NAN;
  }
  return all;
}

typedef struct pictures { /* one for each grid */
  size_t n;
  picture *p;
} pictures;

static sky_status picture_of(sky_context *ctx, const sky_grid *grid, pictures *all, picture **out) {
  sky_status st = SKY_OK;
  sky_crs *crs = NULL;
  for (size_t i = 0; i < all->n; i++) {
    *out = &all->p[i];
    if ((*out)->grid == grid) return SKY_OK;
  }
  picture *p = *out = &all->p[all->n];
  p->grid = grid;
  SKY_GO(sky_crs_create(ctx, grid->crs, &crs));
  SKY_GO(frame(ctx, crs, p));
  SKY_GO(find_cells(ctx, crs, p));
  all->n++;

cleanup:
  sky_crs_free(crs);
  return st;
}

static sky_status add_map(sky_context *ctx, const sky_report_layer *layer, size_t n, pictures *all,
                          cJSON *out) {
  colours c = {.diverging = layer->diverging, .power = 1};
  char unit[96];
  picture *p = NULL;
  size_t cells, at = 0;
  sky_status st = SKY_OK;
  double *value = join_values(ctx, layer, n, &cells);
  if (value == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_ramp_fit(ctx, value, cells, c.diverging, &c.ramp));
  c.power = power_for(&c, value, sky_grid_cells(layer->grid));
  sky_unit_pretty(layer->unit, unit);
  cJSON *item = cJSON_CreateObject();
  cJSON_AddItemToArray(out, item);
  cJSON_AddStringToObject(item, "gas", sky_report_gas(layer->gas));
  cJSON_AddStringToObject(item, "title", layer->title);
  cJSON_AddStringToObject(item, "unit", unit);
  add_stops(item, &c);
  cJSON *images = cJSON_AddArrayToObject(item, "images");
  for (size_t i = 0; i < n; at += sky_grid_cells(layer[i++].grid)) {
    SKY_GO(picture_of(ctx, layer[i].grid, all, &p));
    SKY_GO(add_image(ctx, p, value + at, &c, images));
  }

cleanup:
  sky_free(value);
  return st;
}

static bool one_map(const sky_report_layer *a, const sky_report_layer *b) {
  return strcmp(a->gas, b->gas) == 0 && strcmp(a->title, b->title) == 0;
}

sky_status sky_report_layers(sky_context *ctx, const sky_report *r, cJSON *out) {
  sky_status st = SKY_OK;
  pictures all = {0};
  if (r->n_layers == 0) return SKY_OK;
  SKY_GO_ALLOC(all.p, SKY_NEW0(ctx, picture, r->n_layers));
  for (size_t i = 0, end; i < r->n_layers; i = end) {
    for (end = i + 1; end < r->n_layers && one_map(&r->layers[i], &r->layers[end]);)
      end++;
    SKY_GO(add_map(ctx, &r->layers[i], end - i, &all, out));
  }

cleanup:
  for (size_t i = 0; all.p != NULL && i < r->n_layers; i++)
    sky_free(all.p[i].cell);
  sky_free(all.p);
  return st;
}
