/* gram.c: see gram.h.
 *
 *   (H Q Hᵀ)_ij = Σ_t Σ_c h_i,tc (H Q)_j,tc,      A_ii = Σ_o h_oi Σ_j Z_oj (H Q)_ji
 *
 * A tile of (H Q)ᵀ, [cell, 32 observations], stays in the cache while the rows of H that meet it
 * pass by; each row is 32 sums side by side. The columns of a tile belong to one thread, so that
 * the bits do not depend on their number. */
#include "algorithms/inversion/gram.h"

#include <omp.h>
#include <string.h>

#include "algorithms/inversion/bayes.h"
#include "src/core/memory.h"

#define TILE SKY_ROWS_TILE
typedef double v2 __attribute__((vector_size(16)));
enum { LANES = TILE / 2 };

_Static_assert(SKY_BAND_TILE % TILE == 0, "the columns of a tile lie side by side in a profile");

/* sum [TILE] = Σ_e val[e] tile[col[e]-base] */
static void gather(size_t count, const double *val, const int32_t *col, size_t base,
                   const double *tile, v2 *sum) {
  for (int k = 0; k < LANES; k++)
    sum[k] = (v2){0, 0};
  for (size_t e = 0; e < count; e++) {
    const v2 *row = (const v2 *)(tile + ((size_t)col[e] - base) * TILE);
    for (int k = 0; k < LANES; k++)
      sum[k] += val[e] * row[k];
  }
}

/* ---- H Q Hᵀ -----------------------------------------------------------------------------------
 */

static void fill_tile(const sky_rows *r, size_t t, size_t tile, const double *hq, sky_band *psi) {
  const sky_problem *p = r->p;
  const size_t at = tile * TILE, last = at + TILE < r->n ? at + TILE : r->n;
  for (size_t row = at; row < r->n && r->first[row] < last; row++) {
    size_t begin, end;
    union {
      v2 v[LANES];
      double x[TILE];
    } sum;
    sky_rows_elements(r, r->order[row], t, &begin, &end);
    if (begin == end) continue;
    gather(end - begin, p->val + begin, p->col + begin, t * p->n_cell, hq, sum.v);
    double *to = sky_band_element(psi, row, at);
    const size_t width = row - at < TILE ? row - at + 1 : TILE; /* the lower triangle */
    for (size_t k = 0; k < width; k++)
      to[k] += sum.x[k];
  }
}

sky_status sky_gram_fill(sky_rows *r, sky_band *psi) {
  for (size_t t = 0; t < r->p->n_time; t++) {
    sky_rows_step(r, t);
#pragma omp parallel for schedule(dynamic) num_threads((int)r->workers)
    for (size_t tile = 0; tile < r->tiles; tile++) {
      const double *hq = sky_rows_tile(r, t, tile, (size_t)omp_get_thread_num());
      if (hq != NULL) fill_tile(r, t, tile, hq, psi);
    }
    SKY_TRY(sky_progress_step(r->ctx, 1));
  }
  return SKY_OK;
}

/* Both triangles, dense, by observation. */
static void unfold(const sky_rows *r, const sky_band *b, double *G) {
  const size_t n = r->n;
  memset(G, 0, n * n * sizeof *G);
#pragma omp parallel for schedule(static, 16) num_threads(sky_context_threads(r->ctx))
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      const size_t a = r->place[i], c = r->place[j], row = a > c ? a : c, col = a > c ? c : a;
      if (r->first[row] <= col) G[i * n + j] = *sky_band_element(b, row, col);
    }
}

sky_status sky_problem_gram(sky_context *ctx, const sky_problem *p, double *G) {
  sky_rows r = {0};
  sky_band b = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_rows_create(ctx, p, &r));
  SKY_GO(sky_band_create(ctx, r.n, r.first, 0, &b));
  SKY_GO(sky_gram_fill(&r, &b));
  unfold(&r, &b, G);
cleanup:
  sky_band_free(&b);
  sky_rows_free(&r);
  return st;
}

/* ---- the averaging kernel ---------------------------------------------------------------------
 */

/* z [TILE] = Z of a row and the places of a tile; false where none of them is in the profile. */
static bool inverse_part(const sky_rows *r, const sky_band *Z, size_t row, size_t tile, double *z) {
  const size_t at = tile * TILE, width = r->n - at < TILE ? r->n - at : TILE;
  const size_t i = row / SKY_BAND_TILE, j = at / SKY_BAND_TILE;
  if ((i >= j ? Z->first[i] : Z->first[j]) > (i >= j ? j : i)) return false;
  /* a tile on the diagonal holds both triangles */
  const double *from = i >= j ? sky_band_element(Z, row, at) : sky_band_element(Z, at, row);
  const size_t step = i >= j ? 1 : SKY_BAND_TILE;
  for (size_t k = 0; k < TILE; k++)
    z[k] = k < width ? from[k * step] : 0;
  return true;
}

/* sum [n_cell] += of each cell of step t: h Σ_j Z_oj (H Q)_j over the tile's j */
static void kernel_tile(const sky_rows *r, size_t t, size_t tile, const double *hq,
                        const sky_band *Z, double *sum) {
  const sky_problem *p = r->p;
  union {
    v2 v[LANES];
    double x[TILE];
  } z;
  for (size_t row = 0; row < r->n; row++) {
    size_t begin, end;
    sky_rows_elements(r, r->order[row], t, &begin, &end);
    if (begin == end || !inverse_part(r, Z, row, tile, z.x)) continue;
    for (size_t e = begin; e < end; e++) {
      const size_t c = (size_t)p->col[e] - t * p->n_cell;
      const v2 *q = (const v2 *)(hq + c * TILE);
      v2 a = z.v[0] * q[0], b = z.v[1] * q[1];
      for (int k = 2; k < LANES; k += 2) {
        a += z.v[k] * q[k];
        b += z.v[k + 1] * q[k + 1];
      }
      a += b;
      sum[c] += p->val[e] * (a[0] + a[1]);
    }
  }
}

double sky_gram_kernel_bytes(const sky_problem *p) {
  return 8 * (double)p->n_cell * (double)((p->n_obs + TILE - 1) / TILE);
}

sky_status sky_gram_kernel(sky_rows *r, const sky_band *Z, double *ak) {
  const size_t nc = r->p->n_cell;
  const int threads = sky_context_threads(r->ctx);
  double *part = SKY_NEW(r->ctx, double, r->tiles *nc); /* of every tile, added up in order */
  sky_status st = part != NULL ? SKY_OK : SKY_E_NOMEM;
  for (size_t t = 0; st == SKY_OK && t < r->p->n_time; t++) {
    sky_rows_step(r, t);
    memset(part, 0, r->tiles * nc * sizeof *part);
#pragma omp parallel for schedule(dynamic) num_threads((int)r->workers)
    for (size_t tile = 0; tile < r->tiles; tile++) {
      const double *hq = sky_rows_tile(r, t, tile, (size_t)omp_get_thread_num());
      if (hq != NULL) kernel_tile(r, t, tile, hq, Z, part + tile * nc);
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t c = 0; c < nc; c++) {
      double sum = 0;
      for (size_t tile = 0; tile < r->tiles; tile++)
        sum += part[tile * nc + c];
      ak[t * nc + c] = sum;
    }
    st = sky_progress_step(r->ctx, 1);
  }
  sky_free(part);
  return st;
}
