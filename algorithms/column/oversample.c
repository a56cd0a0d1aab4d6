/* oversample.c: see oversample.h and oversample.md. */
#include "algorithms/column/oversample.h"

#include <math.h>

#include "src/core/memory.h"

#define DEG (M_PI / 180)
#define POLAR_FROM 85.0 /* degrees of latitude; beyond, the plane is the one around the pole */
#define STEPS 400       /* of the integral, each way */
#define WEAKEST 0.1     /* depth of the perspective at the reach of S; below, it is left out */

sky_status sky_oversample_init(sky_context *ctx, const double k[3], sky_oversample *s) {
  static const double DEFAULT[3] = {4, 2, 1};
  const double cut = -log(SKY_OVERSAMPLE_CUT), half = log(2.0);
  for (size_t i = 0; i < 3; i++) {
    s->k[i] = k[i] == 0 ? DEFAULT[i] : k[i];
    if (!(s->k[i] > 0 && s->k[i] <= 64))
      return sky_fail(ctx, SKY_E_RANGE, "exponents %g,%g,%g are not within 0..64", k[0], k[1],
                      k[2]);
  }
  for (size_t i = 0; i < 2; i++) {
    s->scale[i] = pow(half, 1 / (s->k[i] * s->k[2]));
    s->reach[i] = pow(cut, 1 / (s->k[i] * s->k[2])) / s->scale[i];
  }
  s->exponent = pow(cut, 1 / s->k[2]);
  s->integral = 0;
  for (int i = 0; i < STEPS; i++) {
    double row = 0;
    for (int j = 0; j < STEPS; j++)
      row += sky_oversample_at(s, s->reach[0] * (i + 0.5) / STEPS, s->reach[1] * (j + 0.5) / STEPS);
    s->integral += row;
  }
  s->integral *= s->reach[0] * s->reach[1] / ((double)STEPS * STEPS);
  return SKY_OK;
}

/* |a|^k without pow for the usual exponents. */
static inline double power(double a, double k) {
  const double square = a * a;
  if (k == 2) return square;
  if (k == 4) return square * square;
  return pow(fabs(a), k);
}

double sky_oversample_at(const sky_oversample *s, double u, double v) {
  const double e = power(u * s->scale[0], s->k[0]) + power(v * s->scale[1], s->k[1]);
  if (!(e <= s->exponent)) return 0;
  return exp(-(s->k[2] == 1 ? e : pow(e, s->k[2])));
}

/* ---- the pixel's own coordinates ------------------------------------------------------------ */

typedef struct frame {
  bool polar;
  double pole;                     /* ±90 */
  double x0, y0;                   /* origin of the plane */
  double m[9];                     /* plane -> (u, v) up to a common divisor */
  double area;                     /* of the pixel: square degrees of a great circle, or m2 */
  double west, east, south, north; /* what S reaches, in the plane */
} frame;

static double wrapped(double dx) {
  return dx >= -180 && dx <= 180 ? dx : remainder(dx, 360);
}

/* From the square 0 <= s, t <= 1 (s along corners 0 to 1, t along 0 to 3) to the plane: Heckbert
 * 1989, Fundamentals of texture mapping, §2.2.3. */
static void square_to_quad(const double x[4], const double y[4], double h[9]) {
  const double dx1 = x[1] - x[2], dx2 = x[3] - x[2], sx = x[0] - x[1] + x[2] - x[3];
  const double dy1 = y[1] - y[2], dy2 = y[3] - y[2], sy = y[0] - y[1] + y[2] - y[3];
  const double d = dx1 * dy2 - dx2 * dy1;
  h[6] = (sx * dy2 - dx2 * sy) / d;
  h[7] = (dx1 * sy - sx * dy1) / d;
  h[8] = 1;
  h[0] = x[1] - x[0] + h[6] * x[1];
  h[1] = x[3] - x[0] + h[7] * x[3];
  h[2] = x[0];
  h[3] = y[1] - y[0] + h[6] * y[1];
  h[4] = y[3] - y[0] + h[7] * y[3];
  h[5] = y[0];
}

/* Without the perspective: the parallelogram of the mid-lines. */
static void square_to_middle(const double x[4], const double y[4], double h[9]) {
  const double *p[2] = {x, y};
  for (size_t i = 0; i < 2; i++) {
    const double *c = p[i];
    h[3 * i] = 0.5 * (c[1] + c[2] - c[0] - c[3]);
    h[3 * i + 1] = 0.5 * (c[2] + c[3] - c[0] - c[1]);
    h[3 * i + 2] = 0.25 * (c[0] + c[1] + c[2] + c[3]) - 0.5 * (h[3 * i] + h[3 * i + 1]);
  }
  h[6] = h[7] = 0;
  h[8] = 1;
}

/* Box of the rectangle that S reaches; false where its perspective has no depth left. */
static bool reach_box(const sky_oversample *o, const double h[9], frame *f) {
  f->west = f->south = INFINITY;
  f->east = f->north = -INFINITY;
  for (int i = 0; i < 4; i++) {
    const double t = 0.5 + (i & 1 ? 0.5 : -0.5) * o->reach[0];
    const double s = 0.5 + (i & 2 ? 0.5 : -0.5) * o->reach[1];
    const double w = h[6] * s + h[7] * t + h[8];
    if (!(w > WEAKEST)) return false;
    const double x = (h[0] * s + h[1] * t + h[2]) / w, y = (h[3] * s + h[4] * t + h[5]) / w;
    f->west = x < f->west ? x : f->west;
    f->east = x > f->east ? x : f->east;
    f->south = y < f->south ? y : f->south;
    f->north = y > f->north ? y : f->north;
  }
  return true;
}

static void make_frame(const sky_oversample *o, const sky_grid *g, const double x[4],
                       const double y[4], frame *f) {
  double px[4], py[4], h[9];
  *f = (frame){.pole = y[0] + y[1] + y[2] + y[3] > 0 ? 90 : -90};
  for (size_t i = 0; i < 4; i++)
    f->polar |= g->geographic && fabs(y[i]) > POLAR_FROM;
  f->x0 = f->polar ? 0 : x[0];
  f->y0 = f->polar ? 0 : y[0];
  for (size_t i = 0; i < 4; i++) {
    const double r = fabs(f->pole - y[i]);
    px[i] = f->polar ? r * cos(x[i] * DEG) : g->geographic ? wrapped(x[i] - f->x0) : x[i] - f->x0;
    py[i] = f->polar ? r * sin(x[i] * DEG) : y[i] - f->y0;
  }
  f->area = 0.5 * fabs((px[2] - px[0]) * (py[3] - py[1]) - (py[2] - py[0]) * (px[3] - px[1]));
  if (g->geographic && !f->polar) f->area *= cos(0.25 * (y[0] + y[1] + y[2] + y[3]) * DEG);
  square_to_quad(px, py, h);
  if (!reach_box(o, h, f)) {
    square_to_middle(px, py, h);
    (void)reach_box(o, h, f);
  }
  /* The adjugate of h, then (t, s) -> (u, v) = 2 (t, s) - 1; the divisor is its last row. */
  const double a[9] = {
      h[4] * h[8] - h[5] * h[7], h[2] * h[7] - h[1] * h[8], h[1] * h[5] - h[2] * h[4],
      h[5] * h[6] - h[3] * h[8], h[0] * h[8] - h[2] * h[6], h[2] * h[3] - h[0] * h[5],
      h[3] * h[7] - h[4] * h[6], h[1] * h[6] - h[0] * h[7], h[0] * h[4] - h[1] * h[3]};
  for (size_t i = 0; i < 3; i++) {
    f->m[i] = 2 * a[3 + i] - a[6 + i];
    f->m[3 + i] = 2 * a[i] - a[6 + i];
    f->m[6 + i] = a[6 + i];
  }
}

/* First and past-the-last cell whose centre lies within [low, high]. */
static void centres_within(const double *edge, size_t n, double low, double high, size_t *first,
                           size_t *last) {
  size_t a = 0, b = n;
  while (a < b) { /* first centre >= low */
    const size_t m = a + (b - a) / 2;
    if (0.5 * (edge[m] + edge[m + 1]) < low)
      a = m + 1;
    else
      b = m;
  }
  *first = a;
  b = n;
  while (a < b) { /* first centre > high */
    const size_t m = a + (b - a) / 2;
    if (0.5 * (edge[m] + edge[m + 1]) <= high)
      a = m + 1;
    else
      b = m;
  }
  *last = a;
}

static void frame_rows(const frame *f, const sky_grid *g, size_t *row0, size_t *row1) {
  double low = f->y0 + f->south, high = f->y0 + f->north;
  if (f->polar) { /* distances from the pole that the box holds */
    const double x = fmax(fabs(f->west), fabs(f->east)), y = fmax(fabs(f->south), fabs(f->north));
    const double far = hypot(x, y);
    const double near = hypot(fmax(0, fmax(f->west, -f->east)), fmax(0, fmax(f->south, -f->north)));
    low = f->pole > 0 ? 90 - far : -90 + near;
    high = f->pole > 0 ? 90 - near : -90 + far;
  }
  centres_within(g->y_edge, g->ny, low, high, row0, row1);
}

void sky_oversample_rows(const sky_oversample *s, const sky_grid *g, const double x[4],
                         const double y[4], size_t *row0, size_t *row1) {
  frame f;
  make_frame(s, g, x, y, &f);
  frame_rows(&f, g, row0, row1);
}

/* Columns first..last-1 of a row; dx: what to add to their x for the plane. */
static void spread_row(const sky_oversample *s, const sky_grid *g, const frame *f, size_t row,
                       size_t first, size_t last, double dx, sky_overlaps *out) {
  const double y = 0.5 * (g->y_edge[row] + g->y_edge[row + 1]);
  const double height = g->y_edge[row + 1] - g->y_edge[row];
  const double density = height * (g->geographic ? cos(y * DEG) : 1) / f->area;
  for (size_t ix = first; ix < last; ix++) {
    double px = 0.5 * (g->x_edge[ix] + g->x_edge[ix + 1]) + dx - f->x0, py = y - f->y0;
    if (f->polar) {
      const double r = fabs(f->pole - y), lon = px;
      px = r * cos(lon * DEG);
      py = r * sin(lon * DEG);
    }
    const double w = f->m[6] * px + f->m[7] * py + f->m[8];
    const double u = (f->m[0] * px + f->m[1] * py + f->m[2]) / w;
    const double v = (f->m[3] * px + f->m[4] * py + f->m[5]) / w;
    const double value = sky_oversample_at(s, u, v);
    if (!(value > 0)) continue;
    const double part = value * density * (g->x_edge[ix + 1] - g->x_edge[ix]);
    out->item[out->n++] = (sky_overlap){row * g->nx + ix, part * f->area, part};
  }
}

sky_status sky_oversample_spread(sky_context *ctx, const sky_oversample *s, const sky_grid *g,
                                 const double x[4], const double y[4], size_t row0, size_t row1,
                                 sky_overlaps *out) {
  frame f;
  size_t low, high;
  make_frame(s, g, x, y, &f);
  frame_rows(&f, g, &low, &high);
  if (low > row0) row0 = low;
  if (high < row1) row1 = high;
  const double west = f.x0 + f.west, east = f.x0 + f.east;
  int turn0 = 0, turn1 = 0; /* whole turns under which the grid may meet it */
  if (g->geographic && !f.polar) {
    turn0 = (int)ceil((g->x_edge[0] - east) / 360);
    turn1 = (int)floor((g->x_edge[g->nx] - west) / 360);
  }
  for (int turn = turn0; turn <= turn1 && row0 < row1; turn++) {
    const double dx = 360.0 * turn;
    size_t first = 0, last = g->nx;
    if (!f.polar) centres_within(g->x_edge, g->nx, west + dx, east + dx, &first, &last);
    SKY_TRY(sky_overlaps_room(ctx, out, (row1 - row0) * (last - first)));
    for (size_t row = row0; row < row1; row++)
      spread_row(s, g, &f, row, first, last, -dx, out);
  }
  return SKY_OK;
}
