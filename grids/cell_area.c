/* cell_area.c: areas of cells from the density of true area in the plane of the projection.
 *
 * Let λ be the longitude (rad) and Z the ellipsoid's area between the equator and a latitude, per
 * radian (Snyder 1987, Eq. 3-12): dλ dZ is the surface element. A cell's area is
 *     ∬ J dx dy,   J = λ_x Z_y - λ_y Z_x,
 * and J is smooth on the scale of the Earth's radius. On patches of about PATCH metres λ and Z are
 * interpolated at NODES x NODES Chebyshev points, differentiated, and J is kept as a Chebyshev
 * series, whose mean over a cell is known in closed form. The last coefficients tell the truncation
 * error, which must be below TAIL of J; where it is not (edges of the world, a pole in the patch)
 * or where a point has no place on Earth, each cell's geodesic polygon is taken instead.
 *
 * Patches are squares of 2^k cells counted from the grid's north-west corner, so that the area of
 * a cell depends on nothing else. */
#include "grids/cell_area.h"

#include <math.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "grids/geodesic.h"
#include "grids/longitude.h"
#include "src/core/memory.h"

#define DEG (M_PI / 180.0)
#define PATCH 300e3      /* m, largest side of a patch */
#define NODES 14         /* Chebyshev points a side */
#define TAIL 1e-11       /* of J: truncation of the series */
#define NEGLIGIBLE 1e-16 /* of J: coefficients left out */

typedef struct series {
  double c[NODES][NODES]; /* [power of x][power of y], or values at the nodes */
} series;

typedef struct box {
  double west, east, south, north;
} box;

struct sky_cell_area {
  const sky_grid *grid;
  sky_projection lonlat;
  size_t side;             /* of a patch, cells */
  size_t patch_x, patch_y; /* the present one; SIZE_MAX: none yet */
  box box;                 /* where its series holds */
  bool smooth;             /* it has a series */
  size_t terms;
  series density;
  double cosine[NODES][NODES];   /* T_k at node i */
  double basis[NODES][SKY_BAND]; /* means over the window's columns */
};

void sky_cell_area_free(sky_cell_area *c) {
  if (c == NULL) return;
  sky_projection_close(&c->lonlat);
  sky_free(c);
}

sky_status sky_cell_area_create(sky_context *ctx, const sky_grid *grid, sky_cell_area **out) {
  sky_status st = SKY_OK;
  sky_cell_area *c;
  SKY_GO_ALLOC(c, SKY_NEW0(ctx, sky_cell_area, 1));
  c->grid = grid;
  c->patch_x = c->patch_y = SIZE_MAX;
  if (!grid->geographic) {
    const double cell = fmax(sky_grid_dx(grid), sky_grid_dy(grid));
    for (c->side = 1; 2 * cell * (double)c->side <= PATCH;)
      c->side *= 2;
    for (size_t k = 0; k < NODES; k++)
      for (size_t i = 0; i < NODES; i++)
        c->cosine[k][i] = cos(M_PI * (double)k * ((double)i + 0.5) / NODES);
    SKY_GO(sky_projection_open(ctx, grid->crs, SKY_LONLAT, &c->lonlat));
  }
  *out = c;
  return SKY_OK;
cleanup:
  sky_cell_area_free(c);
  return st;
}

/* ---- series --------------------------------------------------------------------------------- */

/* Values at the nodes -> coefficients, along both axes. */
static void transform(double cosine[NODES][NODES], series *v) {
  series half, whole;
  for (size_t k = 0; k < NODES; k++) {
    for (size_t j = 0; j < NODES; j++) {
      double sum = 0;
      for (size_t i = 0; i < NODES; i++)
        sum += v->c[i][j] * cosine[k][i];
      half.c[k][j] = sum * (k == 0 ? 1.0 : 2.0) / NODES;
    }
  }
  for (size_t k = 0; k < NODES; k++) {
    for (size_t l = 0; l < NODES; l++) {
      double sum = 0;
      for (size_t j = 0; j < NODES; j++)
        sum += half.c[k][j] * cosine[l][j];
      whole.c[k][l] = sum * (l == 0 ? 1.0 : 2.0) / NODES;
    }
  }
  *v = whole;
}

/* d/dx (along = 0) or d/dy of a series: c'_k = c'_{k+2} + 2 (k+1) c_{k+1}, c'_0 halved. */
static void differentiate(const series *v, int along, series *d) {
  for (size_t i = 0; i < NODES; i++) {
    double above[2] = {0, 0}; /* c'_{k+2}, c'_{k+1} */
    for (size_t k = NODES; k-- > 0;) {
      const double c = k + 1 < NODES ? (along == 0 ? v->c[k + 1][i] : v->c[i][k + 1]) : 0;
      double value = above[0] + 2 * ((double)k + 1) * c;
      above[0] = above[1];
      above[1] = value;
      if (k == 0) value *= 0.5;
      *(along == 0 ? &d->c[k][i] : &d->c[i][k]) = value;
    }
  }
}

/* Values of a series at the nodes. */
static void evaluate(double cosine[NODES][NODES], const series *c, series *v) {
  series half;
  for (size_t i = 0; i < NODES; i++) {
    for (size_t l = 0; l < NODES; l++) {
      half.c[i][l] = 0;
      for (size_t k = 0; k < NODES; k++)
        half.c[i][l] += c->c[k][l] * cosine[k][i];
    }
  }
  for (size_t i = 0; i < NODES; i++) {
    for (size_t j = 0; j < NODES; j++) {
      v->c[i][j] = 0;
      for (size_t l = 0; l < NODES; l++)
        v->c[i][j] += half.c[i][l] * cosine[l][j];
    }
  }
}

/* ---- a patch -------------------------------------------------------------------------------- */

/* λ and Z at the nodes, from those of the patch's middle; false where the Earth has no such point.
 */
static bool sample(const sky_cell_area *c, const box *b, series *lambda, series *z) {
  const double cx = 0.5 * (b->west + b->east), cy = 0.5 * (b->south + b->north);
  double lon0, lat0, lon, lat;
  if (!sky_project(&c->lonlat, PJ_FWD, cx, cy, &lon0, &lat0)) return false;
  for (size_t i = 0; i < NODES; i++) {
    for (size_t j = 0; j < NODES; j++) {
      const double x = cx + 0.5 * (b->east - b->west) * c->cosine[1][i];
      const double y = cy + 0.5 * (b->north - b->south) * c->cosine[1][j];
      if (!sky_project(&c->lonlat, PJ_FWD, x, y, &lon, &lat)) return false;
      lambda->c[i][j] = remainder(lon - lon0, 360) * DEG;
      z->c[i][j] = sky_ellipsoid_band(lat0, lat);
    }
  }
  return true;
}

static void density_values(sky_cell_area *c, series *lambda, series *z, series *j) {
  series d, lx, ly, zx, zy;
  transform(c->cosine, lambda);
  transform(c->cosine, z);
  differentiate(lambda, 0, &d);
  evaluate(c->cosine, &d, &lx);
  differentiate(lambda, 1, &d);
  evaluate(c->cosine, &d, &ly);
  differentiate(z, 0, &d);
  evaluate(c->cosine, &d, &zx);
  differentiate(z, 1, &d);
  evaluate(c->cosine, &d, &zy);
  for (size_t i = 0; i < NODES; i++)
    for (size_t k = 0; k < NODES; k++)
      j->c[i][k] = fabs(lx.c[i][k] * zy.c[i][k] - ly.c[i][k] * zx.c[i][k]);
}

/* Largest coefficient of power k or more, of either axis. */
static double tail(const series *c, size_t k) {
  double most = 0;
  for (size_t i = 0; i < NODES; i++)
    for (size_t j = 0; j < NODES; j++)
      if (i >= k || j >= k) most = fmax(most, fabs(c->c[i][j]));
  return most;
}

/* A series on c->box, if it is smooth there. */
static void make_series(sky_cell_area *c) {
  const box *b = &c->box;
  series lambda, z;
  c->smooth = sample(c, b, &lambda, &z);
  if (!c->smooth) return;
  density_values(c, &lambda, &z, &c->density);
  transform(c->cosine, &c->density);
  const double scale = 4 / ((b->east - b->west) * (b->north - b->south));
  const double mean = c->density.c[0][0];
  /* The last two powers carry the rounding of the derivatives, the two before them the tail. */
  c->smooth = mean > 0 && tail(&c->density, NODES - 4) < TAIL * mean;
  c->terms = 1;
  while (c->terms < NODES - 4 && tail(&c->density, c->terms) > NEGLIGIBLE * mean)
    c->terms++;
  for (size_t i = 0; i < NODES; i++)
    for (size_t j = 0; j < NODES; j++)
      c->density.c[i][j] *= scale;
}

/* The patch is taken in full, beyond the raster too (differences over a few metres would be
 * rounding); where the Earth ends before it does, its part inside the raster is tried. */
static void make_patch(sky_cell_area *c, size_t patch_x, size_t patch_y) {
  const sky_grid *g = c->grid;
  const double west = g->x_edge[patch_x * c->side], north = g->y_edge[g->ny - patch_y * c->side];
  const double side = (double)c->side;
  c->patch_x = patch_x;
  c->patch_y = patch_y;
  c->box = (box){west, west + side * sky_grid_dx(g), north - side * sky_grid_dy(g), north};
  make_series(c);
  if (c->smooth) return;
  c->box.east = fmin(c->box.east, g->x_edge[g->nx]);
  c->box.south = fmax(c->box.south, g->y_edge[0]);
  make_series(c);
}

/* ---- cells ---------------------------------------------------------------------------------- */

/* Means of the Chebyshev polynomials over low..high of west..east: t[k*stride], k < terms. */
static void means(double low, double high, double west, double east, size_t terms, double *t,
                  size_t stride) {
  const double a = (2 * low - west - east) / (east - west);
  const double b = (2 * high - west - east) / (east - west);
  double at[2][NODES + 1] = {{1, a}, {1, b}};
  for (size_t k = 2; k <= terms; k++)
    for (int s = 0; s < 2; s++)
      at[s][k] = 2 * at[s][1] * at[s][k - 1] - at[s][k - 2];
  t[0] = 1;
  if (terms > 1) t[stride] = 0.5 * (a + b);
  for (size_t k = 2; k < terms; k++) {
    const double n = (double)k, up = (at[1][k + 1] - at[0][k + 1]) / (n + 1);
    t[k * stride] = 0.5 * (up - (at[1][k - 1] - at[0][k - 1]) / (n - 1)) / (b - a);
  }
}

static void find_smooth(sky_cell_area *c, const sky_window *w, double *area) {
  const sky_grid *g = c->grid;
  const double cell = sky_grid_dx(g) * sky_grid_dy(g);
  for (size_t i = 0; i < w->nx; i++)
    means(g->x_edge[w->ix0 + i], g->x_edge[w->ix0 + i + 1], c->box.west, c->box.east, c->terms,
          &c->basis[0][i], SKY_BAND);
  for (size_t r = 0; r < w->ny; r++) {
    double t[NODES] = {0}, *out = area + r * SKY_BAND;
    means(g->y_edge[w->iy0 + r], g->y_edge[w->iy0 + r + 1], c->box.south, c->box.north, c->terms, t,
          1);
    for (size_t k = 0; k < c->terms; k++) {
      double factor = 0;
      for (size_t l = 0; l < c->terms; l++)
        factor += c->density.c[k][l] * t[l];
      factor *= cell;
      for (size_t i = 0; i < w->nx; i++)
        out[i] = k == 0 ? factor : out[i] + factor * c->basis[k][i];
    }
  }
}

static void find_geodesic(const sky_cell_area *c, const sky_window *w, double *area) {
  for (size_t r = 0; r < w->ny; r++) {
    for (size_t i = 0; i < w->nx; i++) {
      double *cell = &area[r * SKY_BAND + i];
      if (!sky_geodesic_cell(&c->lonlat, c->grid, w->ix0 + i, w->iy0 + r, cell)) *cell = NAN;
    }
  }
}

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

sky_status sky_cell_area_find(sky_context *ctx, sky_cell_area *c, size_t band, size_t ix0,
                              size_t nx, double *area) {
  const sky_grid *g = c->grid;
  const size_t end = g->ny - band * SKY_BAND;
  const sky_window w = {.ix0 = ix0,
                        .nx = nx,
                        .ny = end < SKY_BAND ? end : SKY_BAND,
                        .iy0 = end < SKY_BAND ? 0 : end - SKY_BAND};
  if (nx > SKY_BAND || ix0 % SKY_BAND != 0 || ix0 + nx > g->nx || band * SKY_BAND >= g->ny)
    return sky_fail(ctx, SKY_E_INTERNAL, "cell areas of a window outside the grid");
  if (g->geographic) {
    double ends[2] = {g->x_edge[0], g->x_edge[g->nx]};
    sky_longitudes(2, ends, sky_longitude(ends[0]), ends);
    const double dx = (ends[1] - ends[0]) / (double)g->nx * DEG;
    for (size_t r = 0; r < w.ny; r++)
      area[r * SKY_BAND] = dx * sky_ellipsoid_band(g->y_edge[w.iy0 + r], g->y_edge[w.iy0 + r + 1]);
    return SKY_OK;
  }
  for (size_t top = 0, rows; top < w.ny;
       top += rows) { /* the parts of the window in a patch each */
    const size_t line = band * SKY_BAND + top, patch_y = line / c->side;
    rows = smaller(w.ny - top, c->side - line % c->side);
    for (size_t x = 0, columns; x < nx; x += columns) {
      const size_t patch_x = (ix0 + x) / c->side;
      columns = smaller(nx - x, c->side - (ix0 + x) % c->side);
      if (patch_x != c->patch_x || patch_y != c->patch_y) make_patch(c, patch_x, patch_y);
      const size_t south = w.ny - top - rows;
      const sky_window part = {ix0 + x, w.iy0 + south, columns, rows};
      double *out = area + south * SKY_BAND + x;
      if (c->smooth)
        find_smooth(c, &part, out);
      else
        find_geodesic(c, &part, out);
    }
  }
  return SKY_OK;
}
