/* tensor.c: areas of class transitions by zone, in one pass.
 *
 *     A[z][i][j] = Σ over cells with class i, then j:  fraction of the cell in z × area of the cell
 *
 * Fractions are exact (grids/zone.h), cell areas ellipsoidal (grids/grid.h). Rows are cut into
 * fixed blocks of SKY_TENSOR_ROWS; a block is summed by one thread with compensation, and blocks
 * are combined in their order, so that the bits do not depend on the threads.
 *
 * Invariant: Σ A + nodata = inside, for each zone, within 1e-12 of it; `inside` is a sum of its own
 * over the covered cells, blind to the classes. */
#include "algorithms/sink/tensor.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define AUDIT_TOLERANCE 1e-12

typedef struct extent {
  double west, south, east, north;
} extent;

typedef struct pass {
  const sky_grid *grid;
  const sky_zones *zones;
  sky_tensor_source source;
  void *user;
  extent *extent;          /* [n zones], y only for geographic grids */
  size_t column0, columns; /* what the zones can touch */
  size_t n_class, slots;   /* slots of a zone: transitions, nodata, inside */
} pass;

typedef struct worker {
  sky_acc *sum; /* [n_zone*slots] of the present block */
  double *area; /* [rows*columns] */
  uint16_t *from, *to;
} worker;

void sky_tensor_free(sky_tensor *t) {
  if (t == NULL) return;
  sky_free(t->area);
  sky_free(t->nodata);
  sky_free(t->inside);
  memset(t, 0, sizeof *t);
}

double sky_tensor_bytes(const sky_grid *grid, size_t n_zone, size_t n_class) {
  const double rows = fmin(SKY_TENSOR_ROWS, (double)grid->ny);
  /* Areas, both maps as read and as indices, and what the coverage of a zone holds meanwhile. */
  const double cell = sizeof(double) + 2 * (sizeof(uint16_t) + sizeof(int32_t)) +
                      4 * sizeof(double) + 2 * (sizeof(size_t) + sizeof(double));
  return rows * (double)grid->nx * cell +
         (double)n_zone * ((double)n_class * (double)n_class + 2) * sizeof(sky_acc);
}

/* ---- where the zones are -------------------------------------------------------------------- */

static extent zone_extent(const sky_zone *zone) {
  extent e = {INFINITY, INFINITY, -INFINITY, -INFINITY};
  for (size_t r = 0; r < zone->n_rings; r++) {
    for (size_t i = 0; i < zone->ring[r].n; i++) {
      e.west = fmin(e.west, zone->ring[r].x[i]);
      e.east = fmax(e.east, zone->ring[r].x[i]);
      e.south = fmin(e.south, zone->ring[r].y[i]);
      e.north = fmax(e.north, zone->ring[r].y[i]);
    }
  }
  return e;
}

/* A ring around a pole reaches further than its vertices: such zones meet every row. */
static bool around_pole(const sky_zone *zone) {
  for (size_t r = 0; r < zone->n_rings; r++) {
    const sky_ring *ring = &zone->ring[r];
    double turned = 0;
    for (size_t i = 0; i < ring->n; i++)
      turned += remainder(ring->x[(i + 1) % ring->n] - ring->x[i], 360);
    if (fabs(turned) > 180) return true;
  }
  return false;
}

static void locate_zones(pass *p) {
  const sky_grid *g = p->grid;
  double west = INFINITY, east = -INFINITY;
  for (size_t z = 0; z < p->zones->n; z++) {
    extent *e = &p->extent[z];
    *e = zone_extent(&p->zones->zone[z]);
    if (g->geographic && around_pole(&p->zones->zone[z])) {
      e->south = -90;
      e->north = 90;
    }
    west = fmin(west, e->west);
    east = fmax(east, e->east);
  }
  p->column0 = 0;
  size_t end = g->nx;
  if (!g->geographic) { /* longitudes could lie a turn away; there, areas cost nothing */
    while (p->column0 + 1 < g->nx && g->x_edge[p->column0 + 1] <= west)
      p->column0++;
    while (end > p->column0 + 1 && g->x_edge[end - 1] >= east)
      end--;
  }
  p->columns = end - p->column0;
}

static bool in_rows(const pass *p, size_t z, size_t row0, size_t rows) {
  return p->extent[z].south < p->grid->y_edge[row0 + rows] &&
         p->extent[z].north > p->grid->y_edge[row0];
}

/* ---- one block of rows ---------------------------------------------------------------------- */

static sky_grid part_of(const pass *p, size_t row0, size_t rows) {
  sky_grid part = {.geographic = p->grid->geographic, .nx = p->columns, .ny = rows};
  memcpy(part.crs, p->grid->crs, sizeof part.crs);
  part.x_edge = p->grid->x_edge + p->column0;
  part.y_edge = p->grid->y_edge + row0;
  return part;
}

static sky_status add_zone(sky_context *ctx, const pass *p, const sky_grid *part, size_t z,
                           worker *w) {
  sky_coverage c = {0};
  SKY_TRY(sky_zone_fractions(ctx, &p->zones->zone[z], part, &c));
  sky_acc *sum = w->sum + z * p->slots, *nodata = sum + p->n_class * p->n_class;
  for (size_t k = 0; k < c.n; k++) {
    const size_t cell = c.cell[k];
    const double area = c.fraction[k] * w->area[cell];
    const uint16_t from = w->from[cell], to = w->to[cell];
    const bool classed = from != SKY_TENSOR_NODATA && to != SKY_TENSOR_NODATA;
    sky_acc_add(classed ? &sum[from * p->n_class + to] : nodata, area);
    sky_acc_add(nodata + 1, area);
  }
  sky_coverage_free(&c);
  return SKY_OK;
}

static sky_status read_block(sky_context *ctx, const pass *p, size_t row0, size_t rows, worker *w) {
  sky_status st;
#pragma omp critical(sky_tensor_source)
  st = p->source(ctx, p->user, row0, rows, p->column0, p->columns, w->from, w->to);
  SKY_TRY(st);
  for (size_t k = 0; k < rows * p->columns; k++) {
    if ((w->from[k] >= p->n_class && w->from[k] != SKY_TENSOR_NODATA) ||
        (w->to[k] >= p->n_class && w->to[k] != SKY_TENSOR_NODATA))
      return sky_fail(ctx, SKY_E_INTERNAL, "a class index is not below %zu", p->n_class);
  }
  return SKY_OK;
}

static sky_status sum_block(sky_context *ctx, const pass *p, size_t block, worker *w) {
  const size_t row0 = block * SKY_TENSOR_ROWS;
  const size_t left = p->grid->ny - row0;
  const size_t rows = left < SKY_TENSOR_ROWS ? left : SKY_TENSOR_ROWS;
  memset(w->sum, 0, p->zones->n * p->slots * sizeof *w->sum);
  bool any = false;
  for (size_t z = 0; z < p->zones->n && !any; z++)
    any = in_rows(p, z, row0, rows);
  if (!any) return SKY_OK;
  const sky_grid part = part_of(p, row0, rows);
  SKY_TRY(read_block(ctx, p, row0, rows, w));
  SKY_TRY(sky_grid_areas(ctx, &part, w->area));
  for (size_t z = 0; z < p->zones->n; z++)
    if (in_rows(p, z, row0, rows)) SKY_TRY(add_zone(ctx, p, &part, z, w));
  return SKY_OK;
}

/* ---- all blocks ----------------------------------------------------------------------------- */

static void worker_free(worker *w) {
  sky_free(w->sum);
  sky_free(w->area);
  sky_free(w->from);
  sky_free(w->to);
}

static bool worker_make(sky_context *ctx, const pass *p, worker *w) {
  const size_t rows = p->grid->ny < SKY_TENSOR_ROWS ? p->grid->ny : SKY_TENSOR_ROWS;
  w->sum = SKY_NEW(ctx, sky_acc, p->zones->n * p->slots);
  w->area = SKY_NEW(ctx, double, rows * p->columns);
  w->from = SKY_NEW(ctx, uint16_t, rows * p->columns);
  w->to = SKY_NEW(ctx, uint16_t, rows * p->columns);
  return w->sum != NULL && w->area != NULL && w->from != NULL && w->to != NULL;
}

/* The message of a failure belongs to the thread that had it: keep the first block's one. */
typedef struct failure {
  sky_status status;
  size_t block;
  char text[512];
} failure;

static void note_failure(sky_context *ctx, failure *f, sky_status st, size_t block) {
#pragma omp critical(sky_tensor_failure)
  if (f->status == SKY_OK || block < f->block) {
    f->status = st;
    f->block = block;
    strncpy(f->text, sky_error(ctx), sizeof f->text - 1);
  }
}

static sky_status run(sky_context *ctx, const pass *p, int threads, sky_acc *total) {
  const size_t blocks = (p->grid->ny + SKY_TENSOR_ROWS - 1) / SKY_TENSOR_ROWS;
  const size_t n = p->zones->n * p->slots;
  failure f = {.status = SKY_OK};
#pragma omp parallel num_threads(threads)
  {
    worker w = {0};
    sky_status st = worker_make(ctx, p, &w) ? SKY_OK : SKY_E_NOMEM;
    if (st != SKY_OK) note_failure(ctx, &f, st, 0);
#pragma omp for ordered schedule(dynamic, 1)
    for (size_t block = 0; block < blocks; block++) {
      if (st == SKY_OK) {
        st = sum_block(ctx, p, block, &w);
        if (st == SKY_OK) st = sky_progress_step(ctx, 1);
        if (st != SKY_OK) note_failure(ctx, &f, st, block);
      }
#pragma omp ordered
      for (size_t k = 0; k < n && st == SKY_OK; k++)
        if (w.sum[k].hi != 0) sky_acc_add(&total[k], sky_acc_value(&w.sum[k]));
    }
    worker_free(&w);
  }
  return f.status == SKY_OK ? SKY_OK : sky_fail(ctx, f.status, "%s", f.text);
}

static sky_status audit(sky_context *ctx, const sky_zones *zones, const sky_tensor *t) {
  const size_t n = t->n_class * t->n_class;
  for (size_t z = 0; z < t->n_zone; z++) {
    const double classed = sky_sum(t->area + z * n, n);
    const double left = t->inside[z] - classed - t->nodata[z];
    sky_log(ctx, SKY_LOG_DEBUG,
            "zone '%s': %.9g m2 inside the maps, %.9g without a class, residual %.3g",
            zones->zone[z].id, t->inside[z], t->nodata[z], left);
    if (!(fabs(left) <= AUDIT_TOLERANCE * t->inside[z]))
      return sky_fail(ctx, SKY_E_MASS, "zone '%s': areas of the classes miss %.3g of %.9g m2",
                      zones->zone[z].id, left, t->inside[z]);
  }
  return SKY_OK;
}

static sky_status choose_threads(sky_context *ctx, const pass *p, int *threads) {
  const double each = sky_tensor_bytes(p->grid, p->zones->n, p->n_class);
  const double fit = (double)sky_context_memory(ctx) / each;
  if (fit < 1)
    return sky_fail(ctx, SKY_E_NOMEM,
                    "the area tensor needs %.0f MB a thread, the memory budget is %.0f MB",
                    each * 1e-6, (double)sky_context_memory(ctx) * 1e-6);
  *threads = sky_context_threads(ctx);
  if (fit < *threads) *threads = (int)fit;
  return SKY_OK;
}

static sky_status allocate(sky_context *ctx, size_t n_zone, size_t n_class, sky_tensor *t) {
  t->n_zone = n_zone;
  t->n_class = n_class;
  t->area = SKY_NEW(ctx, double, n_zone *n_class *n_class);
  t->nodata = SKY_NEW(ctx, double, n_zone);
  t->inside = SKY_NEW(ctx, double, n_zone);
  const bool good = t->area != NULL && t->nodata != NULL && t->inside != NULL;
  return good ? SKY_OK : SKY_E_NOMEM;
}

static void take_sums(const pass *p, const sky_acc *total, sky_tensor *t) {
  const size_t n = p->n_class * p->n_class;
  for (size_t z = 0; z < t->n_zone; z++) {
    for (size_t k = 0; k < n; k++)
      t->area[z * n + k] = sky_acc_value(&total[z * p->slots + k]);
    t->nodata[z] = sky_acc_value(&total[z * p->slots + n]);
    t->inside[z] = sky_acc_value(&total[z * p->slots + n + 1]);
  }
}

sky_status sky_tensor_make(sky_context *ctx, const sky_grid *grid, const sky_zones *zones,
                           size_t n_class, sky_tensor_source source, void *user, sky_tensor *out) {
  sky_status st = SKY_OK;
  sky_tensor t = {0};
  sky_acc *total = NULL;
  int threads = 1;
  pass p = {.grid = grid,
            .zones = zones,
            .source = source,
            .user = user,
            .n_class = n_class,
            .slots = n_class * n_class + 2};
  if (n_class == 0 || n_class >= SKY_TENSOR_NODATA)
    return sky_fail(ctx, SKY_E_RANGE, "%zu classes, expected 1 to %d", n_class,
                    SKY_TENSOR_NODATA - 1);
  SKY_GO_ALLOC(p.extent, SKY_NEW(ctx, extent, zones->n));
  SKY_GO_ALLOC(total, SKY_NEW0(ctx, sky_acc, zones->n * p.slots));
  SKY_GO(allocate(ctx, zones->n, n_class, &t));
  locate_zones(&p);
  SKY_GO(choose_threads(ctx, &p, &threads));
  sky_progress_begin(ctx, "area tensor", (grid->ny + SKY_TENSOR_ROWS - 1) / SKY_TENSOR_ROWS);
  st = run(ctx, &p, threads, total);
  sky_progress_end(ctx);
  if (st != SKY_OK) goto cleanup;
  take_sums(&p, total, &t);
  SKY_GO(audit(ctx, zones, &t));
  *out = t;
  memset(&t, 0, sizeof t);
cleanup:
  sky_free(p.extent);
  sky_free(total);
  sky_tensor_free(&t);
  return st;
}
