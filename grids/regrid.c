/* regrid.c: conservative regridding between rectilinear grids.
 *
 * The overlap of two cells of rectilinear grids is the product of their overlaps along x and y, so
 * two short lists replace the weight matrix (Jones 1999, MWR 127, first order). Along y geographic
 * grids measure in the ellipsoid's area between parallels. Grids that agree by sky_grid_equal map
 * cell to cell, without leaking float noise of the axes into neighbours.
 *
 * Grids of two CRSs go by the splitter, whose parts clip.c cuts.
 *
 * The audit takes what lies outside from the two boxes alone, not from the overlap lists, so that a
 * hole in the lists shows as a residual. Every target cell is summed by one thread in source order:
 * results do not depend on the number of threads. */
#include "grids/regrid.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "grids/ellipsoid.h"
#include "grids/grid_area.h"
#include "grids/clip.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define DEG (M_PI / 180.0)

/* ---- overlaps along one axis --------------------------------------------------------------- */

typedef struct overlap { /* rows: intervals of `from`; items: intervals of `to` and the length */
  size_t n, longest;
  size_t *start; /* [n+1] */
  size_t *index;
  double *length;
} overlap;

typedef struct axis {
  const double *edge;
  size_t n;
  bool longitude, latitude;
} axis;

static double measure(const axis *a, double low, double high) {
  if (a->latitude) return sky_ellipsoid_band(low, high);
  return a->longitude ? (high - low) * DEG : high - low;
}

static void overlap_free(overlap *o) {
  sky_free(o->start);
  sky_free(o->index);
  sky_free(o->length);
  memset(o, 0, sizeof *o);
}

/* First interval of edge[0..n] whose upper edge lies above v. */
static size_t first_above(const double *edge, size_t n, double v) {
  size_t low = 0, high = n;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (edge[mid + 1] > v)
      high = mid;
    else
      low = mid + 1;
  }
  return low;
}

/* Turns by which [low, high] has to be shifted to meet the axis: first..last. */
static void turns(const axis *a, double low, double high, int *first, int *last) {
  *first = *last = 0;
  if (!a->longitude) return;
  *first = (int)ceil((a->edge[0] - high) / 360);
  *last = (int)floor((a->edge[a->n] - low) / 360);
}

/* Items of one interval, in ascending target order for each turn; NULL arrays only count. A target
 * interval met under two turns gets one item. */
static size_t overlap_items(const axis *to, double low, double high, size_t *index,
                            double *length) {
  int first, last;
  size_t n = 0;
  turns(to, low, high, &first, &last);
  for (int k = first; k <= last; k++) {
    const double a = low + 360.0 * k, b = high + 360.0 * k;
    for (size_t i = first_above(to->edge, to->n, a); i < to->n && to->edge[i] < b; i++) {
      if (index != NULL) {
        const double part = measure(to, fmax(a, to->edge[i]), fmin(b, to->edge[i + 1]));
        size_t at = 0;
        while (at < n && index[at] != i)
          at++;
        if (at < n) {
          length[at] += part;
          continue;
        }
        index[n] = i;
        length[n] = part;
      }
      n++;
    }
  }
  return n;
}

static sky_status overlap_make(sky_context *ctx, const axis *from, const axis *to, bool identity,
                               overlap *o) {
  sky_status st = SKY_OK;
  memset(o, 0, sizeof *o);
  SKY_GO_ALLOC(o->start, SKY_NEW(ctx, size_t, from->n + 1));
  size_t most = 0;
  for (size_t i = 0; i < from->n; i++)
    most += identity ? 1 : overlap_items(to, from->edge[i], from->edge[i + 1], NULL, NULL);
  SKY_GO_ALLOC(o->index, SKY_NEW(ctx, size_t, most));
  SKY_GO_ALLOC(o->length, SKY_NEW(ctx, double, most));
  o->n = from->n;
  o->start[0] = 0;
  for (size_t i = 0; i < from->n; i++) {
    const double low = from->edge[i], high = from->edge[i + 1];
    const size_t at = o->start[i];
    size_t n = 1;
    if (identity) {
      o->index[at] = i;
      o->length[at] = measure(from, low, high);
    } else {
      n = overlap_items(to, low, high, o->index + at, o->length + at);
    }
    o->start[i + 1] = at + n;
    if (n > o->longest) o->longest = n;
  }
cleanup:
  if (st != SKY_OK) overlap_free(o);
  return st;
}

/* Length of [low, high] inside the whole axis, from the ends of the axis only. */
static double inside_length(const axis *a, double low, double high) {
  int first, last;
  double sum = 0;
  turns(a, low, high, &first, &last);
  for (int k = first; k <= last; k++) {
    const double from = fmax(low + 360.0 * k, a->edge[0]);
    const double to = fmin(high + 360.0 * k, a->edge[a->n]);
    if (to > from) sum += measure(a, from, to);
  }
  return sum;
}

/* ---- a pair of grids ----------------------------------------------------------------------- */

typedef struct pair {
  const sky_grid *src, *dst;
  axis sx, sy, dx, dy;
  bool same;
} pair;

static axis x_axis(const sky_grid *g) {
  return (axis){.edge = g->x_edge, .n = g->nx, .longitude = g->geographic};
}
static axis y_axis(const sky_grid *g) {
  return (axis){.edge = g->y_edge, .n = g->ny, .latitude = g->geographic};
}

/* Of grids of one CRS. */
static pair pair_of(const sky_grid *src, const sky_grid *dst) {
  return (pair){.src = src,
                .dst = dst,
                .sx = x_axis(src),
                .sy = y_axis(src),
                .dx = x_axis(dst),
                .dy = y_axis(dst),
                .same = sky_grid_equal(src, dst)};
}

static double interval(const axis *a, size_t i) {
  return measure(a, a->edge[i], a->edge[i + 1]);
}

/* Fraction of each source interval inside the target axis. */
static sky_status inside_fractions(sky_context *ctx, const axis *from, const axis *to, bool same,
                                   double **out) {
  double *f = SKY_NEW(ctx, double, from->n);
  if (f == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < from->n; i++) {
    const double inside = inside_length(to, from->edge[i], from->edge[i + 1]);
    f[i] = same ? 1 : inside / interval(from, i);
  }
  *out = f;
  return SKY_OK;
}

/* Source side of the audit: total, outside and nodata of amounts; area_weighted makes amounts of
 * densities. */
static sky_status audit_source(sky_context *ctx, const pair *p, const double *v, bool area_weighted,
                               sky_audit *audit) {
  sky_status st = SKY_OK;
  double *fx = NULL, *fy = NULL;
  sky_acc in = {0, 0}, gross = {0, 0}, outside = {0, 0};
  size_t nodata = 0;
  SKY_GO(inside_fractions(ctx, &p->sx, &p->dx, p->same, &fx));
  SKY_GO(inside_fractions(ctx, &p->sy, &p->dy, p->same, &fy));
  for (size_t iy = 0; iy < p->src->ny; iy++) {
    for (size_t ix = 0; ix < p->src->nx; ix++) {
      const double value = v[iy * p->src->nx + ix];
      if (isnan(value)) {
        nodata++;
        continue;
      }
      const double area = area_weighted ? interval(&p->sx, ix) * interval(&p->sy, iy) : 1;
      sky_acc_add(&in, value * area);
      sky_acc_add(&gross, fabs(value) * area);
      sky_acc_add(&outside, value * area * (1 - fx[ix] * fy[iy]));
    }
  }
  *audit = (sky_audit){.in = sky_acc_value(&in),
                       .gross = sky_acc_value(&gross),
                       .outside = sky_acc_value(&outside),
                       .nodata = (double)nodata};
cleanup:
  sky_free(fx);
  sky_free(fy);
  return st;
}

/* Lists target -> source along both axes. */
static sky_status gather_lists(sky_context *ctx, const pair *p, overlap *ox, overlap *oy) {
  SKY_TRY(overlap_make(ctx, &p->dx, &p->sx, p->same, ox));
  const sky_status st = overlap_make(ctx, &p->dy, &p->sy, p->same, oy);
  if (st != SKY_OK) overlap_free(ox);
  return st;
}

/* ---- the two regridders -------------------------------------------------------------------- */

static sky_status extensive_across(sky_context *ctx, const sky_grid *src, const double *amount,
                                   const sky_grid *dst, double *out, sky_audit *audit) {
  sky_splitter *s = NULL;
  SKY_TRY(sky_splitter_create(ctx, src, dst, &s));
  const sky_status st = sky_splitter_extensive(ctx, s, amount, sky_grid_cells(dst), out, audit);
  sky_splitter_free(s);
  return st;
}

sky_status sky_regrid_extensive(sky_context *ctx, const sky_grid *src, const double *amount,
                                const sky_grid *dst, double *out, sky_audit *audit) {
  if (!sky_grid_same_system(src, dst)) return extensive_across(ctx, src, amount, dst, out, audit);
  const pair p = pair_of(src, dst);
  overlap ox = {0}, oy = {0};
  SKY_TRY(gather_lists(ctx, &p, &ox, &oy));
  sky_status st = audit_source(ctx, &p, amount, false, audit);
  if (st == SKY_OK) {
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
    for (size_t iy = 0; iy < dst->ny; iy++) {
      for (size_t ix = 0; ix < dst->nx; ix++) {
        sky_acc sum = {0, 0};
        for (size_t a = oy.start[iy]; a < oy.start[iy + 1]; a++) {
          const size_t sy = oy.index[a];
          const double fy = p.same ? 1 : oy.length[a] / interval(&p.sy, sy);
          for (size_t b = ox.start[ix]; b < ox.start[ix + 1]; b++) {
            const size_t sx = ox.index[b];
            const double fx = p.same ? 1 : ox.length[b] / interval(&p.sx, sx);
            const double v = amount[sy * src->nx + sx];
            if (!isnan(v)) sky_acc_add(&sum, v * fx * fy);
          }
        }
        out[iy * dst->nx + ix] = sky_acc_value(&sum);
      }
    }
    audit->out = sky_sum(out, sky_grid_cells(dst));
    audit->residual = audit->in - audit->out - audit->outside;
  }
  overlap_free(&ox);
  overlap_free(&oy);
  return st;
}

/* One target cell: integral over valid source and its area. */
static void cell_integral(const pair *p, const overlap *ox, const overlap *oy, const double *value,
                          size_t ix, size_t iy, double *integral, double *area) {
  sky_acc sum = {0, 0}, valid = {0, 0};
  for (size_t a = oy->start[iy]; a < oy->start[iy + 1]; a++) {
    for (size_t b = ox->start[ix]; b < ox->start[ix + 1]; b++) {
      const double v = value[oy->index[a] * p->src->nx + ox->index[b]];
      const double part = ox->length[b] * oy->length[a];
      if (isnan(v)) continue;
      sky_acc_add(&sum, v * part);
      sky_acc_add(&valid, part);
    }
  }
  *integral = sky_acc_value(&sum);
  *area = sky_acc_value(&valid);
}

/* Amounts are value × area; the area itself, where it is valid, goes the same way. */
static sky_status intensive_across(sky_context *ctx, const sky_grid *src, const double *value,
                                   const sky_grid *dst, double min_valid, double *out,
                                   double *fraction, sky_audit *audit) {
  const size_t n_src = sky_grid_cells(src), n = sky_grid_cells(dst);
  sky_splitter *s = NULL;
  double *amount = NULL, *valid = NULL, *area = NULL;
  sky_acc lost = {0, 0};
  sky_audit unused;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(amount, SKY_NEW(ctx, double, n_src));
  SKY_GO_ALLOC(valid, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(area, SKY_NEW(ctx, double, n));
  SKY_GO(sky_grid_areas(ctx, src, amount));
  SKY_GO(sky_grid_areas(ctx, dst, area));
  SKY_GO(sky_splitter_create(ctx, src, dst, &s));
  for (size_t i = 0; i < n_src; i++)
    if (isnan(value[i])) amount[i] = NAN;
  SKY_GO(sky_splitter_extensive(ctx, s, amount, n, valid, &unused));
  for (size_t i = 0; i < n_src; i++)
    amount[i] *= value[i];
  SKY_GO(sky_splitter_extensive(ctx, s, amount, n, out, audit));
  for (size_t c = 0; c < n; c++) {
    const double share = fmin(1, valid[c] / area[c]);
    const bool kept = valid[c] > 0 && share >= min_valid * (1 - 1e-6);
    if (!kept) sky_acc_add(&lost, out[c]);
    out[c] = kept ? out[c] / valid[c] : NAN;
    if (fraction != NULL) fraction[c] = share;
  }
  audit->lost = sky_acc_value(&lost);
  audit->out -= audit->lost;
cleanup:
  sky_splitter_free(s);
  sky_free(amount);
  sky_free(valid);
  sky_free(area);
  return st;
}

sky_status sky_regrid_intensive(sky_context *ctx, const sky_grid *src, const double *value,
                                const sky_grid *dst, double min_valid, double *out,
                                double *fraction, sky_audit *audit) {
  if (!sky_grid_same_system(src, dst))
    return intensive_across(ctx, src, value, dst, min_valid, out, fraction, audit);
  const pair p = pair_of(src, dst);
  overlap ox = {0}, oy = {0};
  const size_t n = sky_grid_cells(dst);
  double *arrived = NULL, *lost = NULL;
  SKY_TRY(gather_lists(ctx, &p, &ox, &oy));
  sky_status st = SKY_OK;
  SKY_GO(audit_source(ctx, &p, value, true, audit));
  SKY_GO_ALLOC(arrived, SKY_NEW0(ctx, double, n));
  SKY_GO_ALLOC(lost, SKY_NEW0(ctx, double, n));
#pragma omp parallel for schedule(static) num_threads(sky_context_threads(ctx))
  for (size_t iy = 0; iy < dst->ny; iy++) {
    for (size_t ix = 0; ix < dst->nx; ix++) {
      const size_t cell = iy * dst->nx + ix;
      double integral, area;
      cell_integral(&p, &ox, &oy, value, ix, iy, &integral, &area);
      const double share = fmin(1, area / (interval(&p.dx, ix) * interval(&p.dy, iy)));
      const bool kept = area > 0 && share >= min_valid * (1 - 1e-12);
      out[cell] = kept ? integral / area : NAN;
      (kept ? arrived : lost)[cell] = integral;
      if (fraction != NULL) fraction[cell] = share;
    }
  }
  audit->out = sky_sum(arrived, n);
  audit->lost = sky_sum(lost, n);
  audit->residual = audit->in - audit->out - audit->outside - audit->lost;
cleanup:
  sky_free(arrived);
  sky_free(lost);
  overlap_free(&ox);
  overlap_free(&oy);
  return st;
}

sky_status sky_audit_check(sky_context *ctx, const char *what, const char *unit, const sky_audit *a,
                           double tolerance) {
  sky_log(ctx, SKY_LOG_INFO,
          "%s: in %.9g, out %.9g, outside %.9g, lost to nodata %.9g %s; %.0f cells without data; "
          "residual %.3g",
          what, a->in, a->out, a->outside, a->lost, unit, a->nodata, a->residual);
  if (fabs(a->residual) <= tolerance * a->gross) return SKY_OK;
  return sky_fail(ctx, SKY_E_MASS,
                  "%s: mass audit does not close: in %.12g, out %.12g, outside %.12g, lost %.12g "
                  "%s, residual %.3g (at most %.3g)",
                  what, a->in, a->out, a->outside, a->lost, unit, a->residual,
                  tolerance * a->gross);
}

/* ---- one source cell at a time ------------------------------------------------------------- */

typedef struct part { /* one target grid */
  overlap x, y;       /* source -> target, lengths as fractions of the source interval */
  const size_t *of;   /* number of each of its cells, SIZE_MAX = replaced; NULL: as they come */
  size_t nx;
} part;

struct sky_splitter {
  size_t src_nx, src_ny;
  size_t n_parts;
  part *part;
  double *x_inside, *y_inside; /* of the first part */
  sky_clip clip;               /* between two CRSs, in place of the parts */
};

static void to_fractions(const axis *from, overlap *o, bool same) {
  for (size_t i = 0; i < o->n; i++)
    for (size_t k = o->start[i]; k < o->start[i + 1]; k++)
      o->length[k] = same ? 1 : o->length[k] / interval(from, i);
}

static sky_status part_make(sky_context *ctx, const pair *p, const size_t *of, part *out) {
  out->of = of;
  out->nx = p->dst->nx;
  SKY_TRY(overlap_make(ctx, &p->sx, &p->dx, p->same, &out->x));
  SKY_TRY(overlap_make(ctx, &p->sy, &p->dy, p->same, &out->y));
  to_fractions(&p->sx, &out->x, p->same);
  to_fractions(&p->sy, &out->y, p->same);
  return SKY_OK;
}

sky_status sky_splitter_create_parts(sky_context *ctx, const sky_grid *src, const sky_grid *part_of,
                                     size_t *const *of, size_t n_parts, sky_splitter **out) {
  sky_status st = SKY_OK;
  sky_splitter *s = NULL;
  SKY_GO_ALLOC(s, SKY_NEW0(ctx, sky_splitter, 1));
  s->src_nx = src->nx;
  s->src_ny = src->ny;
  if (!sky_grid_same_system(src, part_of)) {
    SKY_GO(sky_clip_make(ctx, src, part_of, of, n_parts, &s->clip));
    *out = s;
    return SKY_OK;
  }
  const pair p = pair_of(src, part_of);
  SKY_GO_ALLOC(s->part, SKY_NEW0(ctx, part, n_parts));
  s->n_parts = n_parts;
  SKY_GO(inside_fractions(ctx, &p.sx, &p.dx, p.same, &s->x_inside));
  SKY_GO(inside_fractions(ctx, &p.sy, &p.dy, p.same, &s->y_inside));
  /* A source that agrees with the first grid has its edges, which are those of the others too. */
  const sky_grid *from = p.same ? part_of : src;
  for (size_t k = 0; k < n_parts; k++) {
    pair q = pair_of(from, &part_of[k]);
    if (k > 0) q.same = false;
    SKY_GO(part_make(ctx, &q, of != NULL ? of[k] : NULL, &s->part[k]));
  }
  *out = s;
  return SKY_OK;
cleanup:
  sky_splitter_free(s);
  return st;
}

sky_status sky_splitter_create(sky_context *ctx, const sky_grid *src, const sky_grid *dst,
                               sky_splitter **out) {
  return sky_splitter_create_parts(ctx, src, dst, NULL, 1, out);
}

void sky_splitter_free(sky_splitter *s) {
  if (s == NULL) return;
  for (size_t k = 0; k < s->n_parts; k++) {
    overlap_free(&s->part[k].x);
    overlap_free(&s->part[k].y);
  }
  sky_free(s->part);
  sky_clip_free(&s->clip);
  sky_free(s->x_inside);
  sky_free(s->y_inside);
  sky_free(s);
}

size_t sky_splitter_max(const sky_splitter *s) {
  size_t n = s->clip.longest;
  for (size_t k = 0; k < s->n_parts; k++)
    n += s->part[k].x.longest * s->part[k].y.longest;
  return n;
}

size_t sky_splitter_map(const sky_splitter *s, size_t src_cell, size_t *dst_cell,
                        double *fraction) {
  const size_t ix = src_cell % s->src_nx, iy = src_cell / s->src_nx;
  size_t n = 0;
  if (s->clip.start != NULL)
    for (size_t k = s->clip.start[src_cell]; k < s->clip.start[src_cell + 1]; k++) {
      dst_cell[n] = s->clip.cell[k];
      fraction[n++] = s->clip.share[k];
    }
  for (size_t k = 0; k < s->n_parts; k++) {
    const part *p = &s->part[k];
    for (size_t a = p->y.start[iy]; a < p->y.start[iy + 1]; a++) {
      for (size_t b = p->x.start[ix]; b < p->x.start[ix + 1]; b++) {
        const size_t cell = p->y.index[a] * p->nx + p->x.index[b];
        dst_cell[n] = p->of != NULL ? p->of[cell] : cell;
        if (dst_cell[n] == SIZE_MAX) continue;
        fraction[n++] = p->y.length[a] * p->x.length[b];
      }
    }
  }
  return n;
}

double sky_splitter_outside(const sky_splitter *s, size_t src_cell) {
  if (s->clip.start != NULL) {
    sky_acc in = {0, 0};
    for (size_t k = s->clip.start[src_cell]; k < s->clip.start[src_cell + 1]; k++)
      sky_acc_add(&in, s->clip.share[k]);
    return fmax(0, 1 - sky_acc_value(&in));
  }
  return 1 - s->x_inside[src_cell % s->src_nx] * s->y_inside[src_cell / s->src_nx];
}

sky_status sky_splitter_extensive(sky_context *ctx, const sky_splitter *s, const double *amount,
                                  size_t n_dst, double *out, sky_audit *audit) {
  sky_acc in = {0, 0}, gross = {0, 0}, outside = {0, 0}, *sum = NULL;
  size_t nodata = 0, *cell = NULL;
  double *fraction = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(sum, SKY_NEW0(ctx, sky_acc, n_dst));
  SKY_GO_ALLOC(cell, SKY_NEW(ctx, size_t, sky_splitter_max(s)));
  SKY_GO_ALLOC(fraction, SKY_NEW(ctx, double, sky_splitter_max(s)));
  for (size_t i = 0; i < s->src_nx * s->src_ny; i++) {
    if (isnan(amount[i])) {
      nodata++;
      continue;
    }
    sky_acc_add(&in, amount[i]);
    sky_acc_add(&gross, fabs(amount[i]));
    sky_acc_add(&outside, amount[i] * sky_splitter_outside(s, i));
    const size_t n = sky_splitter_map(s, i, cell, fraction);
    for (size_t k = 0; k < n; k++)
      sky_acc_add(&sum[cell[k]], amount[i] * fraction[k]);
  }
  for (size_t c = 0; c < n_dst; c++)
    out[c] = sky_acc_value(&sum[c]);
  *audit = (sky_audit){.in = sky_acc_value(&in),
                       .gross = sky_acc_value(&gross),
                       .out = sky_sum(out, n_dst),
                       .outside = sky_acc_value(&outside),
                       .nodata = (double)nodata};
  audit->residual = audit->in - audit->out - audit->outside;
cleanup:
  sky_free(sum);
  sky_free(cell);
  sky_free(fraction);
  return st;
}
