/* invert_osse.c: `skyflux invert --osse N`: N truths and their observations, and how honest the
 * stated uncertainty of the zones is. Zones: everything, each time step, the four quarters of the
 * domain (by the medians of xc and yc), each sector, the zones of the problem file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/column/column.h"
#include "algorithms/inversion/osse.h"
#include "src/cli/invert_modes.h"
#include "src/core/memory.h"

#define DEFAULT_DRAWS 400 /* a chain, of a sampled member */

typedef struct zones {
  size_t n;
  double *W;        /* [n*n_state] */
  char (*name)[64]; /* [n] */
} zones;

static void free_zones(zones *z) {
  sky_free(z->W);
  sky_free(z->name);
}

static sky_status make_zones(sky_context *ctx, const sky_problem *p, const sky_problem_labels *l,
                             const sky_problem_zones *given, zones *z) {
  const size_t m = p->n_state, nt = p->n_time, first = 1 + nt;
  static const char *const quarter[] = {"southwest", "southeast", "northwest", "northeast"};
  double *work = NULL;
  sky_status st = SKY_OK;
  const size_t file = first + 4 + l->n_sector;
  z->n = file + given->n_zone;
  SKY_GO_ALLOC(z->W, SKY_NEW0(ctx, double, z->n *m));
  SKY_GO_ALLOC(z->name, sky_calloc(ctx, z->n, sizeof *z->name));
  SKY_GO_ALLOC(work, SKY_NEW(ctx, double, p->n_cell));
  const double x = sky_quantile(p->n_cell, p->xc, 0.5, work);
  const double y = sky_quantile(p->n_cell, p->yc, 0.5, work);
  snprintf(z->name[0], sizeof z->name[0], "total");
  for (size_t t = 0; t < nt; t++)
    snprintf(z->name[1 + t], sizeof z->name[0], "time %zu", t);
  for (size_t k = 0; k < 4; k++)
    snprintf(z->name[first + k], sizeof z->name[0], "%s", quarter[k]);
  for (size_t s = 0; s < l->n_sector; s++)
    snprintf(z->name[first + 4 + s], sizeof z->name[0], "sector %zu", s);
  for (size_t k = 0; k < given->n_zone; k++) /* row 0 is the total */
    snprintf(z->name[file + k], sizeof z->name[0], "%s", given->name[1 + k]);
  memcpy(z->W + file * m, given->W + m, given->n_zone * m * sizeof *z->W);
  for (size_t i = 0; i < m; i++) {
    const size_t c = i % p->n_cell, k = (p->xc[c] > x) + 2 * (size_t)(p->yc[c] > y);
    z->W[i] = z->W[(1 + i / p->n_cell) * m + i] = z->W[(first + k) * m + i] = 1;
    if (l->n_sector > 0) z->W[(first + 4 + (size_t)l->sector[i]) * m + i] = 1;
  }
cleanup:
  sky_free(work);
  return st;
}

/* Zones with a member only: in a row of cells two quarters are empty. */
static void drop_empty(const sky_problem *p, zones *z) {
  size_t kept = 0;
  for (size_t k = 0; k < z->n; k++) {
    bool any = false;
    for (size_t i = 0; i < p->n_state; i++)
      any = any || z->W[k * p->n_state + i] != 0;
    if (!any) continue;
    if (kept != k) {
      memcpy(z->W + kept * p->n_state, z->W + k * p->n_state, p->n_state * sizeof *z->W);
      memcpy(z->name[kept], z->name[k], sizeof z->name[0]);
    }
    kept++;
  }
  z->n = kept;
}

static sky_status answer_zone(sky_context *ctx, const sky_osse *s, const sky_osse_zone *zone,
                              const char *name, cJSON *list) {
  double rank[SKY_OSSE_BINS];
  const double n = (double)s->n_member;
  cJSON *item = sky_invert_object(ctx, list, NULL, false);
  if (item == NULL) return SKY_E_NOMEM;
  for (size_t b = 0; b < SKY_OSSE_BINS; b++)
    rank[b] = (double)zone->rank[b];
  SKY_TRY(sky_invert_text(ctx, item, "zone", name));
  SKY_TRY(sky_invert_number(ctx, item, "bias", zone->bias));
  SKY_TRY(sky_invert_number(ctx, item, "bias_sd", zone->bias_sd));
  SKY_TRY(sky_invert_number(ctx, item, "rmse", zone->rmse));
  SKY_TRY(sky_invert_number(ctx, item, "coverage68", (double)zone->inside68 / n));
  SKY_TRY(sky_invert_number(ctx, item, "coverage95", (double)zone->inside95 / n));
  SKY_TRY(sky_invert_number(ctx, item, "spread", zone->spread));
  SKY_TRY(sky_invert_numbers(ctx, item, "rank_histogram", rank, SKY_OSSE_BINS));
  SKY_TRY(sky_invert_number(ctx, item, "rank_chi2", zone->rank_chi2));
  return sky_invert_text(ctx, item, "verdict", zone->good ? "inside" : "outside");
}

static sky_status answer_pool(sky_context *ctx, const char *name, const sky_osse_pool *p,
                              cJSON *to) {
  char limits[64];
  const double of[] = {p->low, p->high};
  snprintf(limits, sizeof limits, "%s_limits", name);
  SKY_TRY(sky_invert_number(ctx, to, name, p->ratio));
  return sky_invert_numbers(ctx, to, limits, of, 2);
}

static sky_status answer_verdict(sky_context *ctx, const sky_osse *s, cJSON *to) {
  char text[120];
  if (s->judged)
    return sky_invert_text(ctx, to, "verdict", s->calibrated ? "calibrated" : "not calibrated");
  snprintf(text, sizeof text, "not judged: %zu of %zu members did not converge (more --samples)",
           s->n_unconverged, s->n_member);
  sky_log(ctx, SKY_LOG_WARN, "osse: %s", text);
  return sky_invert_text(ctx, to, "verdict", text);
}

static sky_status answer_osse(sky_context *ctx, const sky_osse *s, const zones *z, cJSON *to) {
  const double n = (double)s->n_member;
  const double limits[] = {(double)s->low68 / n,  (double)s->high68 / n, (double)s->low95 / n,
                           (double)s->high95 / n, s->spread_low,         s->spread_high};
  SKY_TRY(sky_invert_number(ctx, to, "members", n));
  SKY_TRY(answer_verdict(ctx, s, to));
  if (!isnan(s->j_per_n)) {
    SKY_TRY(sky_invert_number(ctx, to, "jb_per_dofs", s->jb_per_dofs));
    SKY_TRY(sky_invert_number(ctx, to, "jb_per_dofs_sd", s->jb_sd));
    SKY_TRY(sky_invert_number(ctx, to, "j_per_obs", s->j_per_n));
    SKY_TRY(sky_invert_number(ctx, to, "j_per_obs_sd", s->j_sd));
  }
  SKY_TRY(sky_invert_numbers(ctx, to, "coverage68_limits", limits, 2));
  SKY_TRY(sky_invert_numbers(ctx, to, "coverage95_limits", limits + 2, 2));
  SKY_TRY(sky_invert_numbers(ctx, to, "spread_limits", limits + 4, 2));
  SKY_TRY(answer_pool(ctx, "spread_of_zones", &s->own, to));
  SKY_TRY(answer_pool(ctx, "spread_joint", &s->joint, to));
  SKY_TRY(sky_invert_number(ctx, to, "rank_chi2_limit", s->rank_limit));
  SKY_TRY(sky_invert_number(ctx, to, "limit_in_sds", s->normal_limit));
  cJSON *list = sky_invert_object(ctx, to, "zones", true);
  for (size_t k = 0; list != NULL && k < z->n; k++)
    SKY_TRY(answer_zone(ctx, s, &s->zone[k], z->name[k], list));
  return list != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status parse_count(sky_context *ctx, const char *option, const char *text,
                              unsigned long least, unsigned long most, uint64_t *out) {
  char *end;
  const unsigned long v = strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || v < least || v > most)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --%s '%s' (expected a whole number %lu..%lu)",
                    option, text, least, most);
  *out = v;
  return SKY_OK;
}

static sky_status sample_members(sky_context *ctx, const sky_invert_sign *sign,
                                 const sky_problem *p, const zones *z, const sky_osse_plan *plan,
                                 cJSON *to, sky_osse *s) {
  sky_osse_sampling how = {.lognormal = strcmp(sign->sign, "lognormal") == 0};
  SKY_TRY(sky_invert_sign_sampling(ctx, sign, DEFAULT_DRAWS, &how.draws));
  SKY_TRY(sky_osse_sample(ctx, p, z->n, z->W, plan, &how, s));
  SKY_TRY(sky_invert_text(ctx, to, "sign", sign->sign));
  SKY_TRY(sky_invert_number(ctx, to, "chains", (double)how.draws.n_chain));
  SKY_TRY(sky_invert_number(ctx, to, "samples", (double)how.draws.n_draw));
  SKY_TRY(sky_invert_number(ctx, to, "rhat_limit", SKY_OSSE_RHAT));
  return sky_invert_number(ctx, to, "members_converged", (double)(s->n_member - s->n_unconverged));
}

sky_status sky_invert_osse(sky_context *ctx, const sky_invert_modes *m, const sky_problem *p,
                           const sky_problem_labels *l, const sky_problem_zones *given,
                           cJSON *answer) {
  sky_osse_plan plan = {.seed = 1};
  zones z = {0};
  sky_osse s = {0};
  uint64_t members = 0;
  cJSON *to = sky_invert_object(ctx, answer, "osse", false);
  sky_status st = to != NULL ? SKY_OK : SKY_E_NOMEM;
  SKY_GO(st);
  SKY_GO(parse_count(ctx, "osse", m->osse, 20, 1000000, &members));
  plan.members = members;
  if (m->seed != NULL) SKY_GO(parse_count(ctx, "seed", m->seed, 0, 4294967295UL, &plan.seed));
  SKY_GO(sky_invert_option_number(ctx, "noise-factor", m->noise_factor, 1, 0, 1e6,
                                  &plan.noise_factor));
  SKY_GO(sky_invert_option_number(ctx, "noise-correlation", m->noise_correlation, 0, -1, 1,
                                  &plan.noise_correlation));
  SKY_GO(sky_invert_option_number(ctx, "prior-factor", m->prior_factor, 1, 0, 1e6,
                                  &plan.prior_factor));
  SKY_GO(sky_invert_option_number(ctx, "length-factor", m->length_factor, 1, 0, 1e6,
                                  &plan.length_factor));
  SKY_GO(make_zones(ctx, p, l, given, &z));
  drop_empty(p, &z);
  SKY_GO(m->sign != NULL ? sample_members(ctx, m->sign, p, &z, &plan, to, &s)
                         : sky_osse_run(ctx, p, z.n, z.W, &plan, &s));
  SKY_GO(answer_osse(ctx, &s, &z, to));
cleanup:
  sky_osse_free(&s);
  free_zones(&z);
  return st;
}
