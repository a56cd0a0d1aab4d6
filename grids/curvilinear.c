/* curvilinear.c: quadrilaterals cut by the cells of a mesh.
 *
 * The share of a source cell in a target cell is their overlap over its own area: on the ellipsoid
 * if the mesh is geographic, else in the plane of its projection, whose scale is constant over a
 * cell; amounts of true area are split by it. The area comes from another walk than the overlaps
 * (a grid of one cell, the Earth; or the diagonals), and of a cell within the box of the mesh
 * nothing is outside: a hole in the overlaps shows as a residual. */
#include "grids/curvilinear.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "grids/clip.h"
#include "grids/projection.h"
#include "grids/quad.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define DEG (M_PI / 180)
#define TORN \
  0.25 /* centre off the middle of the corners, of the diagonal: over a seam of the map */
#define POLAR 85.0 /* degrees: corners bound the longitudes of a cell below it only */

void sky_curvilinear_free(sky_curvilinear *c) {
  if (c == NULL) return;
  sky_free(c->lon);
  sky_free(c->lat);
  sky_free(c->area);
  memset(c, 0, sizeof *c);
}

/* ---- the cells ------------------------------------------------------------------------------ */

static sky_status bad_cell(sky_context *ctx, sky_status st, const sky_curvilinear *c, size_t cell,
                           const char *what) {
  const double *x = c->lon + 4 * cell, *y = c->lat + 4 * cell;
  return sky_fail(ctx, st,
                  "cell %zu of row %zu (both from 0) %s; corners %.6g %.6g, %.6g %.6g, %.6g %.6g, "
                  "%.6g %.6g (longitude latitude)",
                  cell % c->nx, cell / c->nx, what, x[0], y[0], x[1], y[1], x[2], y[2], x[3], y[3]);
}

static sky_status earth(sky_context *ctx, sky_grid *out) {
  return sky_grid_from_box(ctx, SKY_LONLAT, -180, -90, 180, 90, 360, 180, out);
}

static sky_status measure(sky_context *ctx, sky_curvilinear *c) {
  sky_grid whole = {0};
  sky_quad_grid *q = NULL;
  sky_overlaps o = {0};
  sky_status st = SKY_OK;
  SKY_GO(earth(ctx, &whole));
  SKY_GO(sky_quad_grid_create(ctx, &whole, SKY_QUAD_AREA, &q));
  for (size_t i = 0; i < c->nx * c->ny; i++) {
    const double *x = c->lon + 4 * i, *y = c->lat + 4 * i;
    double planar;
    const sky_quad_shape shape = sky_quad_classify(q, x, y, &planar);
    if (shape == SKY_QUAD_CROSSED)
      SKY_GO(bad_cell(ctx, SKY_E_FORMAT, c, i, "has edges that cross"));
    if (shape == SKY_QUAD_DEGENERATE)
      SKY_GO(bad_cell(ctx, SKY_E_FORMAT, c, i, "has no area, or a corner that is no place"));
    o.n = 0;
    SKY_GO(sky_quad_overlap_sound(ctx, q, x, y, 0, 1, &o));
    c->area[i] = 0;
    for (size_t k = 0; k < o.n; k++)
      c->area[i] += o.item[k].area;
  }
cleanup:
  sky_overlaps_free(&o);
  sky_quad_grid_free(q);
  sky_grid_free(&whole);
  return st;
}

static sky_status allocate(sky_context *ctx, size_t nx, size_t ny, sky_curvilinear *c) {
  sky_status st = SKY_OK;
  *c = (sky_curvilinear){.nx = nx, .ny = ny};
  SKY_GO_ALLOC(c->lon, SKY_NEW(ctx, double, 4 * nx * ny));
  SKY_GO_ALLOC(c->lat, SKY_NEW(ctx, double, 4 * nx * ny));
  SKY_GO_ALLOC(c->area, SKY_NEW(ctx, double, nx *ny));
cleanup:
  return st;
}

sky_status sky_curvilinear_from_corners(sky_context *ctx, size_t nx, size_t ny, const double *lon,
                                        const double *lat, sky_curvilinear *out) {
  sky_status st = SKY_OK;
  SKY_GO(allocate(ctx, nx, ny, out));
  memcpy(out->lon, lon, 4 * nx * ny * sizeof *lon);
  memcpy(out->lat, lat, 4 * nx * ny * sizeof *lat);
  SKY_GO(measure(ctx, out));
cleanup:
  if (st != SKY_OK) sky_curvilinear_free(out);
  return st;
}

typedef struct point { /* of the unit sphere */
  double v[3];
} point;

static void add_point(double v[3], double lon, double lat) {
  v[0] += cos(lat * DEG) * cos(lon * DEG);
  v[1] += cos(lat * DEG) * sin(lon * DEG);
  v[2] += sin(lat * DEG);
}

static double longitude_of(const double v[3]) {
  return atan2(v[1], v[0]) / DEG;
}

static double latitude_of(const double v[3]) {
  return atan2(v[2], hypot(v[0], v[1])) / DEG;
}

/* b seen from the other side of a, as far away. */
static point mirrored(const point *a, const point *b) {
  const double c = 2 * (a->v[0] * b->v[0] + a->v[1] * b->v[1] + a->v[2] * b->v[2]);
  return (point){{c * a->v[0] - b->v[0], c * a->v[1] - b->v[1], c * a->v[2] - b->v[2]}};
}

/* Centres with a rim around them, [(ny+2)*(nx+2)]. */
static void frame(size_t nx, size_t ny, const double *lon, const double *lat, point *p) {
  const size_t w = nx + 2;
  for (size_t iy = 0; iy < ny; iy++) {
    point *row = p + (iy + 1) * w;
    for (size_t ix = 0; ix < nx; ix++) {
      row[ix + 1] = (point){{0, 0, 0}};
      add_point(row[ix + 1].v, lon[iy * nx + ix], lat[iy * nx + ix]);
    }
    row[0] = mirrored(&row[1], &row[2]);
    row[nx + 1] = mirrored(&row[nx], &row[nx - 1]);
  }
  for (size_t ix = 0; ix < w; ix++) {
    p[ix] = mirrored(&p[w + ix], &p[2 * w + ix]);
    p[(ny + 1) * w + ix] = mirrored(&p[ny * w + ix], &p[(ny - 1) * w + ix]);
  }
}

sky_status sky_curvilinear_from_centres(sky_context *ctx, size_t nx, size_t ny, const double *lon,
                                        const double *lat, sky_curvilinear *out) {
  static const size_t to_x[4] = {0, 1, 1, 0}, to_y[4] = {0, 0, 1, 1};
  const size_t w = nx + 2;
  point *p = NULL;
  sky_status st = SKY_OK;
  if (nx < 2 || ny < 2)
    return sky_fail(ctx, SKY_E_FORMAT, "%zu x %zu centres give no corners, at least 2 x 2 do", nx,
                    ny);
  SKY_GO(allocate(ctx, nx, ny, out));
  SKY_GO_ALLOC(p, SKY_NEW(ctx, point, w * (ny + 2)));
  frame(nx, ny, lon, lat, p);
  for (size_t i = 0; i < 4 * nx * ny; i++) {
    const size_t ix = i / 4 % nx + to_x[i % 4], iy = i / 4 / nx + to_y[i % 4];
    const point *a = p + iy * w + ix, *b = a + w;
    double s[3];
    for (int k = 0; k < 3; k++)
      s[k] = (a[0].v[k] + a[1].v[k]) + (b[0].v[k] + b[1].v[k]);
    out->lon[i] = longitude_of(s);
    out->lat[i] = latitude_of(s);
  }
  SKY_GO(measure(ctx, out));
cleanup:
  sky_free(p);
  if (st != SKY_OK) sky_curvilinear_free(out);
  return st;
}

/* ---- onto a mesh ---------------------------------------------------------------------------- */

typedef struct passage {
  const sky_curvilinear *src;
  const sky_mesh *mesh;
  sky_quad_grid **quads; /* [patch] */
  bool projected;
  sky_grid earth;
  double reach[4];         /* of the mesh, in longitude and latitude */
  sky_projection to;       /* the mesh */
  double x[4], y[4], area; /* of the cell at hand, in the system of the mesh */
  sky_overlaps o;          /* cells of the mesh */
} passage;

static void passage_close(passage *p) {
  for (size_t k = 0; p->quads != NULL && k < p->mesh->n_patch; k++)
    sky_quad_grid_free(p->quads[k]);
  sky_free(p->quads);
  sky_grid_free(&p->earth);
  sky_projection_close(&p->to);
  sky_overlaps_free(&p->o);
}

static sky_status passage_open(sky_context *ctx, passage *p) {
  const sky_grid *base = &p->mesh->patch[0];
  sky_status st = SKY_OK;
  p->projected = !base->geographic;
  SKY_GO_ALLOC(p->quads, SKY_NEW0(ctx, sky_quad_grid *, p->mesh->n_patch));
  for (size_t k = 0; k < p->mesh->n_patch; k++)
    SKY_GO(sky_quad_grid_create(ctx, &p->mesh->patch[k], SKY_QUAD_AREA, &p->quads[k]));
  if (!p->projected) return SKY_OK;
  SKY_GO(earth(ctx, &p->earth));
  SKY_GO(sky_clip_reach(ctx, &p->earth, base, p->reach));
  SKY_GO(sky_projection_open(ctx, SKY_LONLAT, sky_grid_system(base), &p->to));
cleanup:
  return st;
}

typedef struct box {
  double west, south, east, north;
} box;

static box box_of(const double x[4], const double y[4]) {
  box b = {x[0], y[0], x[0], y[0]};
  for (int i = 1; i < 4; i++)
    b = (box){fmin(b.west, x[i]), fmin(b.south, y[i]), fmax(b.east, x[i]), fmax(b.north, y[i])};
  return b;
}

/* Projects the cell; false if it has no image in one piece. */
static bool project(passage *p, const double *lon, const double *lat) {
  double middle[3] = {0, 0, 0}, x, y, planar;
  for (int i = 0; i < 4; i++)
    add_point(middle, lon[i], lat[i]);
  bool ok = sky_project(&p->to, PJ_FWD, longitude_of(middle), latitude_of(middle), &x, &y);
  for (int i = 0; i < 4 && ok; i++)
    ok = sky_project(&p->to, PJ_FWD, lon[i], lat[i], &p->x[i], &p->y[i]);
  if (!ok || sky_quad_classify(p->quads[0], p->x, p->y, &planar) >= SKY_QUAD_CROSSED) return false;
  p->area = planar;
  const box b = box_of(p->x, p->y);
  x -= 0.25 * (p->x[0] + p->x[1] + p->x[2] + p->x[3]);
  y -= 0.25 * (p->y[0] + p->y[1] + p->y[2] + p->y[3]);
  return hypot(x, y) <= TORN * hypot(b.east - b.west, b.north - b.south);
}

/* The cell in the system of the mesh; *near: it may meet it. */
static sky_status place(sky_context *ctx, passage *p, size_t cell, bool *near) {
  const double *lon = p->src->lon + 4 * cell, *lat = p->src->lat + 4 * cell;
  for (int i = 0; i < 4; i++) { /* in one turn, the bits left where there is nothing to do */
    const double dx = lon[i] - lon[0];
    p->x[i] = fabs(dx) <= 180 ? lon[i] : lon[0] + remainder(dx, 360);
    p->y[i] = lat[i];
  }
  const box b = box_of(p->x, p->y);
  p->area = p->src->area[cell];
  *near = !p->projected || b.north > POLAR || b.south < -POLAR ||
          !sky_clip_apart(&p->earth, (const double[]){b.west, b.south, b.east, b.north}, p->reach);
  if (!p->projected || !*near) return SKY_OK;
  if (project(p, lon, lat)) return SKY_OK;
  return bad_cell(ctx, SKY_E_COVERAGE, p->src, cell, "has no image in the system of the grid");
}

static bool holds(const sky_grid *g, const double x[4], const double y[4]) {
  box b = box_of(x, y);
  if (g->geographic) {
    const double turn = 360 * ceil((g->x_edge[0] - b.west) / 360);
    b.west += turn;
    b.east += turn;
    if (b.north > POLAR || b.south < -POLAR) return false;
  }
  return b.west >= g->x_edge[0] && b.east <= g->x_edge[g->nx] && b.south >= g->y_edge[0] &&
         b.north <= g->y_edge[g->ny];
}

/* Overlaps with cells of the mesh, and the share of the cell that lies outside. */
static sky_status cut(sky_context *ctx, passage *p, size_t cell, double *outside) {
  const sky_mesh *m = p->mesh;
  bool near;
  p->o.n = 0;
  *outside = 1;
  SKY_TRY(place(ctx, p, cell, &near));
  if (!near) return SKY_OK;
  sky_acc inside = {0, 0};
  size_t kept = 0;
  for (size_t k = 0; k < m->n_patch; k++) {
    p->o.n = kept;
    SKY_TRY(sky_quad_overlap_sound(ctx, p->quads[k], p->x, p->y, 0, m->patch[k].ny, &p->o));
    for (size_t i = kept; i < p->o.n; i++) {
      const sky_overlap piece = p->o.item[i];
      const size_t at = m->of[k][piece.cell];
      if (k == 0) sky_acc_add(&inside, piece.area);
      if (at != SIZE_MAX) p->o.item[kept++] = (sky_overlap){at, piece.area, piece.fraction};
    }
  }
  p->o.n = kept;
  *outside = holds(&m->patch[0], p->x, p->y) ? 0 : fmax(0, 1 - sky_acc_value(&inside) / p->area);
  return SKY_OK;
}

sky_status sky_curvilinear_extensive(sky_context *ctx, const sky_curvilinear *src,
                                     const double *amount, const sky_mesh *m, double *out,
                                     sky_audit *audit) {
  passage p = {.src = src, .mesh = m};
  sky_acc in = {0, 0}, gross = {0, 0}, lost = {0, 0}, *sum = NULL;
  size_t nodata = 0;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(sum, SKY_NEW0(ctx, sky_acc, m->n_cell));
  SKY_GO(passage_open(ctx, &p));
  for (size_t c = 0; c < src->nx * src->ny; c++) {
    if (isnan(amount[c])) {
      nodata++;
      continue;
    }
    double outside;
    SKY_GO(cut(ctx, &p, c, &outside));
    sky_acc_add(&in, amount[c]);
    sky_acc_add(&gross, fabs(amount[c]));
    sky_acc_add(&lost, amount[c] * outside);
    for (size_t k = 0; k < p.o.n; k++)
      sky_acc_add(&sum[p.o.item[k].cell], amount[c] * (p.o.item[k].area / p.area));
  }
  for (size_t i = 0; i < m->n_cell; i++)
    out[i] = sky_acc_value(&sum[i]);
  *audit = (sky_audit){.in = sky_acc_value(&in),
                       .gross = sky_acc_value(&gross),
                       .out = sky_sum(out, m->n_cell),
                       .outside = sky_acc_value(&lost),
                       .nodata = (double)nodata};
  audit->residual = audit->in - audit->out - audit->outside;
cleanup:
  passage_close(&p);
  sky_free(sum);
  return st;
}
