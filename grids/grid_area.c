/* grid_area.c: see grid_area.h. */
#include "grids/grid_area.h"

#include <math.h>

#include "grids/cell_area.h"
#include "grids/ellipsoid.h"
#include "grids/geodesic.h"
#include "src/core/memory.h"

#define DEG (M_PI / 180.0)

static void areas_geographic(const sky_grid *g, double *area) {
  for (size_t iy = 0; iy < g->ny; iy++) {
    const double band = sky_ellipsoid_band(g->y_edge[iy], g->y_edge[iy + 1]);
    for (size_t ix = 0; ix < g->nx; ix++)
      area[iy * g->nx + ix] = band * (g->x_edge[ix + 1] - g->x_edge[ix]) * DEG;
  }
}

static sky_status areas_projected(sky_context *ctx, const sky_grid *g, double *area) {
  sky_status result = SKY_OK;
#pragma omp parallel num_threads(sky_context_threads(ctx))
  {
    sky_projection t = {0};
    sky_status st = sky_projection_open(ctx, g->crs, SKY_LONLAT, &t);
#pragma omp for schedule(static)
    for (size_t iy = 0; iy < g->ny; iy++) {
      for (size_t ix = 0; ix < g->nx && st == SKY_OK; ix++) {
        if (!sky_geodesic_cell(&t, g, ix, iy, &area[iy * g->nx + ix]))
          st = sky_fail(ctx, SKY_E_RANGE, "crs '%s': no area for the cell at %.9g, %.9g", g->crs,
                        g->x_edge[ix], g->y_edge[iy]);
      }
    }
    if (st != SKY_OK) {
#pragma omp critical(sky_grid_areas)
      result = st;
    }
    sky_projection_close(&t);
  }
  if (result == SKY_OK) return SKY_OK;
  return sky_fail(ctx, result, "crs '%s': cell areas on the ellipsoid cannot be computed", g->crs);
}

/* Cells of equal width and height, to rounding. */
static bool regular(const sky_grid *g) {
  const double dx = sky_grid_dx(g), dy = sky_grid_dy(g);
  for (size_t i = 0; i < g->nx; i++)
    if (fabs(g->x_edge[i + 1] - g->x_edge[i] - dx) > 1e-9 * dx) return false;
  for (size_t i = 0; i < g->ny; i++)
    if (fabs(g->y_edge[i + 1] - g->y_edge[i] - dy) > 1e-9 * dy) return false;
  return true;
}

/* From the density of true area (cell_area.h), a hundred times faster than geodesic polygons. */
static sky_status areas_regular(sky_context *ctx, const sky_grid *g, double *area) {
  sky_cell_area *cells = NULL;
  double *window = NULL;
  size_t missing = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_cell_area_create(ctx, g, &cells));
  SKY_GO_ALLOC(window, SKY_NEW(ctx, double, SKY_BAND *SKY_BAND));
  for (size_t north = g->ny, band = 0; north > 0; band++) {
    const size_t rows = north < SKY_BAND ? north : SKY_BAND;
    north -= rows;
    for (size_t ix = 0; ix < g->nx; ix += SKY_BAND) {
      const size_t columns = g->nx - ix < SKY_BAND ? g->nx - ix : SKY_BAND;
      SKY_GO(sky_cell_area_find(ctx, cells, band, ix, columns, window));
      for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++) {
          area[(north + r) * g->nx + ix + c] = window[r * SKY_BAND + c];
          missing += isnan(window[r * SKY_BAND + c]);
        }
    }
  }
  if (missing > 0) st = areas_projected(ctx, g, area); /* which names the cell */
cleanup:
  sky_cell_area_free(cells);
  sky_free(window);
  return st;
}

sky_status sky_grid_areas(sky_context *ctx, const sky_grid *g, double *area) {
  if (!g->geographic && regular(g)) return areas_regular(ctx, g, area);
  if (!g->geographic) return areas_projected(ctx, g, area);
  areas_geographic(g, area);
  return SKY_OK;
}

sky_status sky_polygon_area(sky_context *ctx, const char *crs, const double *x, const double *y,
                            size_t n, double *area) {
  sky_projection t = {0};
  sky_status st = sky_projection_open(ctx, crs, SKY_LONLAT, &t);
  if (st == SKY_OK && !sky_geodesic_area(&t, x, y, n, area))
    st = sky_fail(ctx, SKY_E_RANGE, "crs '%s': polygon with a point off the ellipsoid", crs);
  sky_projection_close(&t);
  return st;
}
