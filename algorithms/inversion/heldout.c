/* heldout.c: block leave-out from Ψ⁻¹: no second solve is needed (heldout.h). */
#include "algorithms/inversion/heldout.h"

#include <math.h>
#include <string.h>

#include "algorithms/inversion/cholesky.h"
#include "src/core/memory.h"
#include "src/core/sum.h"

#define LOG_2PI 1.8378770664093454836
#define NORMAL_68 0.99445788320975312
#define NORMAL_95 1.9599639845400545

sky_status sky_heldout_predict(sky_context *ctx, const sky_dual *d, size_t n, const size_t *index,
                               double *error, double *sd, sky_heldout *out) {
  double *L = NULL, *e = NULL, *rows = NULL;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  if (n == 0 || n >= d->n)
    return sky_fail(ctx, SKY_E_RANGE, "held out: %zu of %zu observations (expected 1..%zu)", n,
                    d->n, d->n - 1);
  SKY_GO_ALLOC(L, SKY_NEW(ctx, double, n *n));
  SKY_GO_ALLOC(rows, SKY_NEW0(ctx, double, n *n));
  SKY_GO_ALLOC(e, SKY_NEW(ctx, double, n));
  for (size_t i = 0; i < n; i++) {
    e[i] = d->w[index[i]];
    rows[i * n + i] = 1;
    for (size_t j = 0; j < n; j++)
      L[i * n + j] = d->inverse[index[i] * d->n + index[j]];
  }
  SKY_GO(sky_cholesky(ctx, n, L));
  sky_cholesky_forward(ctx, n, L, 1, e);
  out->n = n;
  out->chi2 = sky_dot(e, e, n);
  out->log_density = -0.5 * (out->chi2 - sky_cholesky_logdet(n, L) + (double)n * LOG_2PI);
  sky_cholesky_backward(ctx, n, L, 1, e);
  sky_cholesky_forward_rows(ctx, n, L, n, rows);
  for (size_t i = 0; i < n; i++) {
    const double s = sqrt(sky_dot(rows + i * n, rows + i * n, n));
    out->inside68 += fabs(e[i]) < NORMAL_68 * s;
    out->inside95 += fabs(e[i]) < NORMAL_95 * s;
    if (error != NULL) error[i] = e[i];
    if (sd != NULL) sd[i] = s;
  }
  out->rms = sqrt(sky_dot(e, e, n) / (double)n);
cleanup:
  sky_free(L);
  sky_free(e);
  sky_free(rows);
  return st;
}
