/* preset.c: a preset's grid over a box of longitude and latitude.
 *
 * In a projected system the box is no rectangle: the grid takes the bounds of its outline, of which
 * POINTS points a side are projected (12° of a parallel bend by less than 1 m between two). */
#include "grids/preset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/projection.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"

#define POINTS 512
#define UTM_WIDEST 12.0 /* degrees of longitude */

sky_status sky_grid_presets(sky_context *ctx, sky_table **out) {
  size_t length = 0;
  const char *text = sky_embedded("grids.csv", &length);
  return sky_table_parse(ctx, "grids.csv", text, length, out);
}

static sky_status find_preset(sky_context *ctx, const sky_table *t, const char *id, size_t *row) {
  const char *names[64];
  const size_t n = sky_table_rows(t) < 64 ? sky_table_rows(t) : 64,
               column = sky_table_find(t, "id");
  for (*row = 0; *row < n; (*row)++) {
    names[*row] = sky_table_cell(t, *row, column);
    if (strcmp(names[*row], id) == 0) return SKY_OK;
  }
  const char *near = sky_text_nearest(id, names, n);
  return sky_fail(ctx, SKY_E_RANGE, "grid preset '%s' is not known%s%s%s (see skyflux list grids)",
                  id, near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                  near != NULL ? "'?" : "");
}

static sky_status utm_zone(sky_context *ctx, const double box[4], char crs[256]) {
  if (box[1] < -80 || box[3] > 84 || box[2] - box[0] > UTM_WIDEST)
    return sky_fail(ctx, SKY_E_RANGE,
                    "box %g,%g,%g,%g: UTM holds latitudes from -80 to 84, and boxes of at most %g "
                    "degrees of longitude; take a preset in degrees",
                    box[0], box[1], box[2], box[3], UTM_WIDEST);
  const double lon = remainder(0.5 * (box[0] + box[2]), 360);
  const int zone = (int)fmin(60, floor((lon + 180) / 6) + 1);
  snprintf(crs, 256, "EPSG:%d", (box[1] + box[3] < 0 ? 32700 : 32600) + zone);
  return SKY_OK;
}

static void include(double bounds[4], double x, double y) {
  bounds[0] = fmin(bounds[0], x);
  bounds[1] = fmin(bounds[1], y);
  bounds[2] = fmax(bounds[2], x);
  bounds[3] = fmax(bounds[3], y);
}

/* Bounds of the box in the system. */
static sky_status project_box(sky_context *ctx, const char *crs, const double box[4],
                              double bounds[4]) {
  sky_projection t = {0};
  sky_status st = sky_projection_open(ctx, SKY_LONLAT, crs, &t);
  bounds[0] = bounds[1] = INFINITY;
  bounds[2] = bounds[3] = -INFINITY;
  for (int i = 0; i < 4 * POINTS && st == SKY_OK; i++) {
    const double f = (double)(i % POINTS) / POINTS;
    const int side = i / POINTS; /* south, east, north, west */
    const double lon = side % 2 == 0 ? box[0] + f * (box[2] - box[0]) : side == 1 ? box[2] : box[0];
    const double lat = side % 2 == 1 ? box[1] + f * (box[3] - box[1]) : side == 0 ? box[1] : box[3];
    double x, y;
    if (!sky_project(&t, PJ_FWD, lon, lat, &x, &y))
      st = sky_fail(ctx, SKY_E_RANGE, "crs '%s' does not hold %g, %g", crs, lon, lat);
    else
      include(bounds, x, y);
  }
  double x, y; /* the last corner */
  if (st == SKY_OK && sky_project(&t, PJ_FWD, box[2], box[3], &x, &y)) include(bounds, x, y);
  sky_projection_close(&t);
  return st;
}

static double whole(double v, double cell, double (*round)(double)) {
  const double n = v / cell;
  return cell * (fabs(n - nearbyint(n)) < 1e-6 ? nearbyint(n) : round(n));
}

sky_status sky_grid_from_preset(sky_context *ctx, const char *id, const double box[4],
                                sky_grid *out) {
  sky_table *t = NULL;
  size_t row;
  double cell = NAN, lonlat[4] = {box[0], box[1], box[2], box[3]}, b[4];
  char crs[256];
  SKY_TRY(sky_grid_presets(ctx, &t));
  sky_status st = find_preset(ctx, t, id, &row);
  if (st == SKY_OK) st = sky_table_number(ctx, t, row, sky_table_find(t, "cell"), &cell);
  if (st == SKY_OK) {
    if (lonlat[0] > lonlat[2]) lonlat[2] += 360;
    memcpy(b, lonlat, sizeof b);
    snprintf(crs, sizeof crs, "%s", sky_table_cell(t, row, sky_table_find(t, "crs")));
    if (strcmp(crs, "utm") == 0) st = utm_zone(ctx, lonlat, crs);
  }
  sky_table_free(t);
  SKY_TRY(st);
  bool geographic = false;
  SKY_TRY(sky_crs_is_geographic(ctx, crs, &geographic));
  if (!geographic) SKY_TRY(project_box(ctx, crs, lonlat, b));
  for (int i = 0; i < 4; i++)
    b[i] = whole(b[i], cell, i < 2 ? floor : ceil);
  return sky_grid_from_box(ctx, crs, b[0], b[1], b[2], b[3], cell, cell, out);
}
