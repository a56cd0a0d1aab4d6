/* compare.c: top-down against bottom-up by the general test (compare.md). */
#include "algorithms/fusion/compare.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"

#define IMPLAUSIBLE 1000.0 /* times the total: as good as unseen */
#define TONNE 1e3          /* kg; reasons are read by people */

#define Z_975 1.9599639845400545 /* normal quantiles */
#define Z_80 0.84162123357291421

const char *sky_verdict_name(sky_verdict v) {
  switch (v) {
    case SKY_VERDICT_CONSISTENT:
      return "consistent";
    case SKY_VERDICT_HIGHER:
      return "higher";
    case SKY_VERDICT_LOWER:
      return "lower";
    case SKY_VERDICT_INSUFFICIENT:
      return "insufficient information";
    case SKY_VERDICT_MISFIT:
      return "model misfit";
    case SKY_VERDICT_NOT_COMPARABLE:
      return "not comparable";
  }
  return "unknown";
}

double sky_normal_two_sided_p(double z) {
  return erfc(fabs(z) / sqrt(2));
}

double sky_detectable(double var, double sensitivity) {
  return fabs(sensitivity) > 0 ? (Z_975 + Z_80) * sqrt(var) / fabs(sensitivity) : INFINITY;
}

/* ---- false discovery rate ------------------------------------------------------------------- */

/* Ascending p; equal p by index, so that the order is the same everywhere. */
static int by_p(const void *a, const void *b, void *p) {
  const size_t i = *(const size_t *)a, j = *(const size_t *)b;
  const double pi = ((const double *)p)[i], pj = ((const double *)p)[j];
  if (pi != pj) return pi < pj ? -1 : 1;
  return i < j ? -1 : i > j;
}

void sky_fdr_adjust(size_t n, const double *p, double *q, size_t *order) {
  size_t tested = 0;
  for (size_t i = 0; i < n; i++) {
    q[i] = NAN;
    if (!isnan(p[i])) order[tested++] = i;
  }
  qsort_r(order, tested, sizeof *order, by_p, (void *)p);
  double smallest = 1;
  for (size_t k = tested; k-- > 0;) {
    const double raw = p[order[k]] * (double)tested / (double)(k + 1);
    if (raw < smallest) smallest = raw;
    q[order[k]] = smallest;
  }
}

/* ---- one row -------------------------------------------------------------------------------- */

static void say(sky_comparison *row, const char *fmt, ...) SKY_PRINTF(2, 3);

/* Append to the reason; what does not fit is cut at a whole UTF-8 character. */
static void say(sky_comparison *row, const char *fmt, ...) {
  const size_t used = strlen(row->reason), room = sizeof row->reason;
  va_list args;
  va_start(args, fmt);
  const int length = vsnprintf(row->reason + used, room - used, fmt, args);
  va_end(args);
  if (length < 0 || (size_t)length < room - used) return;
  size_t end = room - 1;
  while (end > used && ((unsigned char)row->reason[end - 1] & 0xC0) == 0x80)
    end--;
  if (end > used && (unsigned char)row->reason[end - 1] >= 0xC0) end--;
  row->reason[end] = '\0';
}

double sky_birge(double chi2_per_obs) {
  return isfinite(chi2_per_obs) && chi2_per_obs > 1 ? chi2_per_obs : 1;
}

static bool usable(const sky_comparison *row) {
  return isfinite(row->top_down) && isfinite(row->bottom_up_seen) && isfinite(row->prior_sd) &&
         isfinite(row->post_sd) && isfinite(row->null_var) && row->null_var > 0;
}

/* Everything that does not need the rest of the table. Verdict CONSISTENT means: to be tested. */
static void judge_alone(sky_comparison *row, double inflation) {
  row->z = row->p = row->q = row->reduction = NAN;
  row->detectable = INFINITY;
  row->reason[0] = '\0';
  row->verdict = SKY_VERDICT_NOT_COMPARABLE;
  if (!row->comparable) {
    say(row, "%s", row->why_not != NULL ? row->why_not : "no reason given");
    return;
  }
  if (!usable(row)) {
    say(row, "no usable numbers: top-down %g, inventory seen %g, variance %g", row->top_down,
        row->bottom_up_seen, row->null_var);
    return;
  }
  const double var = row->null_var * inflation, ratio = row->post_sd / row->prior_sd;
  row->reduction = row->prior_sd > 0 ? 1 - ratio * ratio : 0;
  row->detectable = sky_detectable(var, row->response);
  row->z = (row->top_down - row->bottom_up_seen) / sqrt(var);
  row->p = sky_normal_two_sided_p(row->z);
  if (row->reduction < SKY_INSUFFICIENT_REDUCTION)
    row->verdict = SKY_VERDICT_INSUFFICIENT;
  else if (fabs(row->z) > SKY_MISFIT_Z)
    row->verdict = SKY_VERDICT_MISFIT;
  else
    row->verdict = SKY_VERDICT_CONSISTENT;
}

static void explain(sky_comparison *row, double inflation) {
  const double delta = (row->top_down - row->bottom_up_seen) / TONNE;
  switch (row->verdict) {
    case SKY_VERDICT_CONSISTENT:
      say(row, "difference %+.3g t/yr, z = %.2f, q = %.2g: not told from noise", delta, row->z,
          row->q);
      break;
    case SKY_VERDICT_HIGHER:
    case SKY_VERDICT_LOWER:
      say(row, "top-down is %.3g t/yr %s the inventory seen by the kernel, z = %.2f, q = %.2g",
          fabs(delta), delta > 0 ? "above" : "below", row->z, row->q);
      break;
    case SKY_VERDICT_INSUFFICIENT:
      say(row, "variance of the total falls by %.2g %% (%.0f %% needed)", 100 * row->reduction,
          100 * SKY_INSUFFICIENT_REDUCTION);
      if (row->change > IMPLAUSIBLE * fabs(row->top_down))
        say(row, "; these soundings would show no plausible change of its emission");
      else if (isfinite(row->change))
        say(row,
            "; smallest change of emission that these soundings would show with 80 %% power: %.3g "
            "t/yr",
            row->change * sqrt(inflation) / TONNE);
      if (fabs(row->z) > SKY_MISFIT_Z)
        say(row, "; z = %.1f: prior and inventory differ by more than this kernel can tell",
            row->z);
      return;
    case SKY_VERDICT_MISFIT:
      say(row, "z = %.1f, beyond %.0f: transport, background or errors are wrong here", row->z,
          SKY_MISFIT_Z);
      break;
    case SKY_VERDICT_NOT_COMPARABLE:
      return; /* said already */
  }
  if (isfinite(row->detectable))
    say(row, "; detectable error %.3g t/yr", row->detectable / TONNE);
  else
    say(row, "; no error of the inventory is detectable");
}

static void explain_inflation(sky_comparison *row) {
  const double chi2 = row->chi2_per_obs;
  if (row->verdict == SKY_VERDICT_NOT_COMPARABLE) return;
  if (!isfinite(chi2))
    say(row, "; chi2 unknown, errors not inflated");
  else if (chi2 > 1)
    say(row, "; errors inflated by %.2f (chi2 %.2f)", sqrt(chi2), chi2);
}

sky_status sky_compare(sky_context *ctx, size_t n, sky_comparison *table) {
  double *p = NULL, *q = NULL;
  size_t *order = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(p, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(q, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(order, SKY_NEW(ctx, size_t, n));
  for (size_t i = 0; i < n; i++) {
    judge_alone(&table[i], sky_birge(table[i].chi2_per_obs));
    p[i] = table[i].verdict == SKY_VERDICT_CONSISTENT ? table[i].p : NAN;
  }
  sky_fdr_adjust(n, p, q, order);
  for (size_t i = 0; i < n; i++) {
    sky_comparison *row = &table[i];
    row->q = q[i];
    if (q[i] < SKY_SIGNIFICANCE) row->verdict = row->z > 0 ? SKY_VERDICT_HIGHER : SKY_VERDICT_LOWER;
    explain(row, sky_birge(row->chi2_per_obs));
    explain_inflation(row);
  }
cleanup:
  sky_free(p);
  sky_free(q);
  sky_free(order);
  return st;
}
