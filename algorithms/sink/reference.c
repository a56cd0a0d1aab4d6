/* reference.c: see reference.h; equations in reference.md. */
#include "algorithms/sink/reference.h"

#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

sky_status sky_reference_create(sky_context *ctx, size_t n_class, sky_reference *out) {
  const size_t cells = n_class * n_class;
  sky_reference r = {.n_class = n_class};
  r.units = SKY_NEW0(ctx, double, cells);
  r.share = SKY_NEW0(ctx, double, cells *cells);
  if (r.units == NULL || r.share == NULL) {
    sky_reference_free(&r);
    return SKY_E_NOMEM;
  }
  *out = r;
  return SKY_OK;
}

void sky_reference_free(sky_reference *r) {
  if (r == NULL) return;
  sky_free(r->units);
  sky_free(r->share);
  memset(r, 0, sizeof *r);
}

void sky_reference_add(sky_reference *r, size_t from, size_t to, size_t true_from, size_t true_to,
                       double count) {
  const size_t n = r->n_class, h = from * n + to;
  r->units[h] += count;
  r->share[h * n * n + true_from * n + true_to] += count;
}

void sky_reference_finish(sky_reference *r) {
  const size_t cells = r->n_class * r->n_class;
  for (size_t h = 0; h < cells; h++)
    for (size_t k = 0; k < cells && r->units[h] > 0; k++)
      r->share[h * cells + k] /= r->units[h];
}

size_t sky_reference_gap(const sky_reference *r, const sky_tensor *t) {
  const size_t cells = r->n_class * r->n_class;
  for (size_t i = 0; i < t->n_zone * cells; i++)
    if (t->area[i] > 0 && r->units[i % cells] < 2) return i % cells;
  return SIZE_MAX;
}

void sky_reference_areas(const sky_reference *r, const double *area, double *out) {
  const size_t cells = r->n_class * r->n_class;
  for (size_t k = 0; k < cells; k++) {
    sky_acc sum = {0, 0};
    for (size_t h = 0; h < cells; h++)
      if (area[h] != 0) sky_acc_add(&sum, area[h] * r->share[h * cells + k]);
    out[k] = sky_acc_value(&sum);
  }
}

double sky_reference_variance(const sky_reference *r, const double *g) {
  const size_t cells = r->n_class * r->n_class;
  sky_acc sum = {0, 0};
  for (size_t h = 0; h < cells; h++) {
    double mean = 0, spread = 0;
    if (!(r->units[h] >= 2)) continue;
    for (size_t k = 0; k < cells; k++)
      mean += r->share[h * cells + k] * g[h * cells + k];
    for (size_t k = 0; k < cells; k++) {
      const double left = g[h * cells + k] - mean;
      spread += r->share[h * cells + k] * left * left;
    }
    sky_acc_add(&sum, spread / (r->units[h] - 1));
  }
  return sky_acc_value(&sum);
}
