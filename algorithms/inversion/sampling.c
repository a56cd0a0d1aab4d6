/* sampling.c: memory and sums of sampled posteriors. */
#include "algorithms/inversion/sampling.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define MAX_CHAINS 1024
#define MIN_DRAWS 8
#define MAX_DRAWS 100000000

sky_status sky_sampling_check(sky_context *ctx, const sky_sampling *how) {
  if (how->n_chain < 1 || how->n_chain > MAX_CHAINS)
    return sky_fail(ctx, SKY_E_RANGE, "sampling: %zu chains (expected 1..%d)", how->n_chain,
                    MAX_CHAINS);
  if (how->n_draw < MIN_DRAWS || how->n_draw > MAX_DRAWS)
    return sky_fail(ctx, SKY_E_RANGE, "sampling: %zu draws a chain (expected %d..%d)", how->n_draw,
                    MIN_DRAWS, MAX_DRAWS);
  return SKY_OK;
}

void sky_sampled_free(sky_sampled *s) {
  if (s == NULL) return;
  sky_free(s->mode);
  sky_free(s->mean);
  sky_free(s->sd);
  sky_free(s->zone_mode);
  sky_free(s->zone);
  sky_free(s->summary);
  memset(s, 0, sizeof *s);
}

sky_status sky_sampled_alloc(sky_context *ctx, size_t n_state, size_t n_zone,
                             const sky_sampling *how, sky_sampled *out) {
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  const double need = 8 * (2 * (double)how->n_chain * (double)how->n_draw * (double)n_zone +
                           (3 + 2 * (double)how->n_chain) * (double)n_state);
  if (need > (double)sky_context_memory(ctx))
    return sky_fail(
        ctx, SKY_E_NOMEM,
        "%zu chains of %zu draws of %zu zones and %zu unknowns need %.0f MB, the memory "
        "budget is %.0f MB (--memory, or fewer draws)",
        how->n_chain, how->n_draw, n_zone, n_state, ceil(need / 1e6),
        (double)sky_context_memory(ctx) / 1e6);
  out->n_state = n_state;
  out->n_zone = n_zone;
  out->n_chain = how->n_chain;
  out->n_draw = how->n_draw;
  SKY_GO_ALLOC(out->mode, SKY_NEW0(ctx, double, n_state));
  SKY_GO_ALLOC(out->mean, SKY_NEW0(ctx, double, n_state));
  SKY_GO_ALLOC(out->sd, SKY_NEW0(ctx, double, n_state));
  SKY_GO_ALLOC(out->zone_mode, SKY_NEW0(ctx, double, n_zone));
  SKY_GO_ALLOC(out->zone, SKY_NEW0(ctx, double, how->n_chain * how->n_draw * n_zone));
  SKY_GO_ALLOC(out->summary, SKY_NEW0(ctx, sky_chain_summary, n_zone));
cleanup:
  if (st != SKY_OK) sky_sampled_free(out);
  return st;
}

void sky_sampled_record(size_t n_state, size_t n_zone, const double *W, const double *mode,
                        const double *x, double *sums, double *row) {
  for (size_t i = 0; i < n_state; i++) {
    const double v = x[i] - mode[i];
    sums[i] += v;
    sums[n_state + i] += v * v;
  }
  for (size_t z = 0; z < n_zone; z++)
    row[z] = sky_dot(W + z * n_state, x, n_state);
}

sky_status sky_sampled_finish(sky_context *ctx, const double *sums, const double *W,
                              sky_sampled *out) {
  const size_t m = out->n_state;
  const double n = (double)(out->n_chain * out->n_draw);
  for (size_t i = 0; i < m; i++) {
    sky_acc first = {0, 0}, second = {0, 0};
    for (size_t c = 0; c < out->n_chain; c++) {
      sky_acc_add(&first, sums[c * 2 * m + i]);
      sky_acc_add(&second, sums[(c * 2 + 1) * m + i]);
    }
    const double shift = sky_acc_value(&first) / n;
    out->mean[i] = out->mode[i] + shift;
    out->sd[i] = sqrt(fmax(0, (sky_acc_value(&second) - n * shift * shift) / (n - 1)));
  }
  for (size_t z = 0; z < out->n_zone; z++) {
    out->zone_mode[z] = sky_dot(W + z * m, out->mode, m);
    SKY_TRY(sky_chain_summarise(ctx, out->zone + z, out->n_chain, out->n_draw, out->n_zone,
                                out->divergent, &out->summary[z]));
  }
  return SKY_OK;
}
