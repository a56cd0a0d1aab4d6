/* level3.c: see level3.h. */
#include "algorithms/column/level3.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"

const char *const SKY_LEVEL3_EXPONENT[3] = {"super_gaussian_k1", "super_gaussian_k2",
                                            "super_gaussian_k3"};

void sky_level3_free(sky_level3 *l) {
  if (l == NULL) return;
  for (size_t i = 0; i < l->n_granule; i++) {
    sky_free(l->granule[i].name);
    sky_free(l->granule[i].product);
  }
  sky_free(l->granule);
  sky_grid_free(&l->grid);
  memset(l, 0, sizeof *l);
}

static int order(const sky_level3_granule *g, const char *name, const char *product, double start) {
  const int by_name = strcmp(g->name, name);
  if (by_name != 0) return by_name;
  const int by_product = strcmp(g->product, product);
  if (by_product != 0) return by_product;
  return (g->start > start) - (g->start < start);
}

static sky_status insert(sky_context *ctx, sky_level3 *l, size_t at, const sky_level3_granule *g) {
  sky_level3_granule *grown =
      sky_realloc(ctx, l->granule, l->n_granule, l->n_granule + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  l->granule = grown;
  char *name = sky_strdup(ctx, g->name), *product = sky_strdup(ctx, g->product);
  if (name == NULL || product == NULL) {
    sky_free(name);
    sky_free(product);
    return SKY_E_NOMEM;
  }
  memmove(grown + at + 1, grown + at, (l->n_granule - at) * sizeof *grown);
  grown[at] = (sky_level3_granule){name, product, g->start, g->end, g->source};
  l->n_granule++;
  return SKY_OK;
}

static bool is_same(const sky_level3_granule *a, const sky_level3_granule *b) {
  return strcmp(a->name, b->name) == 0 && strcmp(a->product, b->product) == 0;
}

/* Soundings that were parted by time (days) may be in several inputs. */
static sky_status add(sky_context *ctx, sky_level3 *l, const sky_level3_granule *g) {
  size_t at = 0;
  for (size_t k = 0; k < l->n_granule; k++) {
    const sky_level3_granule *h = &l->granule[k];
    at += order(h, g->name, g->product, g->start) < 0;
    if (is_same(h, g) && h->start <= g->end && g->start <= h->end)
      return sky_fail(ctx, SKY_E_RANGE, "granule %s is in two inputs: it would count twice",
                      g->name);
  }
  return insert(ctx, l, at, g);
}

sky_status sky_level3_note(sky_context *ctx, sky_level3 *l, const sky_level3_granule *g) {
  for (size_t k = 0; k < l->n_granule; k++) {
    sky_level3_granule *h = &l->granule[k];
    if (!is_same(h, g) || h->source != g->source) continue;
    h->start = fmin(h->start, g->start);
    h->end = fmax(h->end, g->end);
    return SKY_OK;
  }
  return add(ctx, l, g);
}

static sky_status differ(sky_context *ctx, const char *what) {
  return sky_fail(ctx, SKY_E_FORMAT, "%s differs from that of the files before", what);
}

static sky_status check_same(sky_context *ctx, const sky_level3 *a, const sky_level3 *b) {
  const sky_bins_options *p = &a->options, *q = &b->options;
  if (strcmp(a->gas, b->gas) != 0) return differ(ctx, "the gas");
  if (!sky_grid_equal(&a->grid, &b->grid)) return differ(ctx, "the grid");
  if (p->method != q->method) return differ(ctx, "the method");
  if (p->measure != q->measure) return differ(ctx, "the kind of weights");
  if (p->method == SKY_BINS_OVERSAMPLE &&
      (memcmp(p->k, q->k, sizeof p->k) != 0 || p->sigma_reference != q->sigma_reference))
    return differ(ctx, "the super-Gaussian");
  if (a->correlation != b->correlation) return differ(ctx, "the error correlation");
  return SKY_OK;
}

sky_status sky_level3_join(sky_context *ctx, sky_level3 *a, const sky_level3 *b) {
  SKY_TRY(check_same(ctx, a, b));
  for (size_t i = 0; i < b->n_granule; i++)
    SKY_TRY(add(ctx, a, &b->granule[i]));
  sky_bins_total *t = &a->total;
  t->n += b->total.n;
  t->outside += b->total.outside;
  t->crossed += b->total.crossed;
  t->degenerate += b->total.degenerate;
  t->cells2 += b->total.cells2;
  return SKY_OK;
}

double sky_level3_inflation(const sky_level3 *l, sky_u128 ww) {
  if (ww == 0) return 1;
  return fmax(1, (double)l->total.cells2 * SKY_BIN_W / (double)ww);
}
