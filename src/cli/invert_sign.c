/* invert_sign.c: fluxes that cannot be negative: MAP by bounded.h or lognormal.h, and with
 * --samples the joint posterior by truncated.h or lognormal.h.
 *
 * Zones are the total over all state elements and that of every time step. Each is summed draw by
 * draw; mean, median and MAP stand under their own names. */
#include "src/cli/invert_sign.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inversion/bounded.h"
#include "algorithms/inversion/lognormal.h"
#include "algorithms/inversion/truncated.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/sum.h"
#include "src/write/json_out.h"
#include "src/write/nc_write.h"

enum { DEFAULT_CHAINS = 4, MAX_LINES = 32 };

typedef struct line { /* one line of the answer: a number, or words */
  const char *key, *label, *words;
  double value;
} line;

typedef struct answer {
  size_t count;
  line line[MAX_LINES];
} answer;

typedef struct run { /* one inversion and what it gave */
  sky_problem p;
  bool lognormal;
  sky_sampling how;
  size_t n_zone;
  double *W, *lower, *upper;
  sky_bounded bounded;
  sky_lognormal mode;
  sky_sampled sampled;
} run;

sky_status sky_invert_sign_option(sky_context *ctx, sky_invert_sign *s, const char *name,
                                  const char *value, bool *taken) {
  (void)ctx;
  *taken = true;
  if (strcmp(name, "sign") == 0)
    s->sign = value;
  else if (strcmp(name, "samples") == 0)
    s->samples = value;
  else if (strcmp(name, "chains") == 0)
    s->chains = value;
  else
    *taken = false;
  return SKY_OK;
}

sky_status sky_invert_sign_wanted(sky_context *ctx, const sky_invert_sign *s, bool *wanted) {
  *wanted = s->sign != NULL && strcmp(s->sign, "gaussian") != 0;
  if (*wanted && strcmp(s->sign, "nonnegative") != 0 && strcmp(s->sign, "lognormal") != 0)
    return sky_fail(ctx, SKY_E_USAGE, "--sign: '%s' (expected gaussian, nonnegative or lognormal)",
                    s->sign);
  if (!*wanted && (s->samples != NULL || s->chains != NULL || s->seed != NULL))
    return sky_fail(ctx, SKY_E_USAGE,
                    "--samples and --chains go with --sign nonnegative or lognormal (a Gaussian "
                    "posterior is exact), --seed with --samples or --osse");
  if (s->samples == NULL && (s->chains != NULL || s->seed != NULL))
    return sky_fail(ctx, SKY_E_USAGE, "--chains and --seed go with --samples N");
  return SKY_OK;
}

static sky_status whole(sky_context *ctx, const char *name, const char *text, double least,
                        double most, double absent, double *out) {
  *out = absent;
  if (text == NULL) return SKY_OK;
  if (sky_number_parse(text, out, NULL) && *out >= least && *out <= most && floor(*out) == *out)
    return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--%s: '%s' (expected a whole number %.0f..%.0f)", name, text,
                  least, most);
}

sky_status sky_invert_sign_sampling(sky_context *ctx, const sky_invert_sign *s, double absent,
                                    sky_sampling *how) {
  double samples, chains, seed;
  SKY_TRY(whole(ctx, "samples", s->samples, 8, 1e8, absent, &samples));
  SKY_TRY(whole(ctx, "chains", s->chains, 1, 1024, DEFAULT_CHAINS, &chains));
  SKY_TRY(whole(ctx, "seed", s->seed, 0, 0x1p53, 1, &seed));
  *how = (sky_sampling){.n_chain = (size_t)chains,
                        .n_draw = (size_t)samples,
                        .n_warmup = (size_t)samples / 2 > 200 ? (size_t)samples / 2 : 200,
                        .seed = (uint64_t)seed};
  return SKY_OK;
}

/* ---- solve ---------------------------------------------------------------------------------- */

static sky_status fill_zones(sky_context *ctx, run *r) {
  const sky_problem *p = &r->p;
  const size_t m = p->n_state;
  r->n_zone = 1 + (p->n_time > 1 ? p->n_time : 0);
  r->W = SKY_NEW0(ctx, double, r->n_zone *m);
  r->lower = SKY_NEW0(ctx, double, m);
  r->upper = SKY_NEW(ctx, double, m);
  if (r->W == NULL || r->lower == NULL || r->upper == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < m; i++) {
    r->W[i] = 1;
    r->upper[i] = INFINITY;
    if (p->n_time > 1) r->W[(1 + i / p->n_cell) * m + i] = 1;
  }
  return SKY_OK;
}

static sky_status solve(sky_context *ctx, run *r) {
  const bool draws = r->how.n_draw > 0;
  SKY_TRY(fill_zones(ctx, r));
  if (r->lognormal && !draws) return sky_lognormal_solve(ctx, &r->p, &r->mode);
  if (r->lognormal)
    return sky_lognormal_sample(ctx, &r->p, r->W, r->n_zone, &r->how, &r->mode, &r->sampled);
  SKY_TRY(sky_bounded_solve(ctx, &r->p, r->lower, r->upper, &r->bounded));
  if (!draws) return SKY_OK;
  return sky_truncated_sample(ctx, &r->p, r->lower, r->upper, r->W, r->n_zone, &r->how,
                              &r->sampled);
}

/* ---- answer --------------------------------------------------------------------------------- */

static void add(answer *a, const char *key, const char *label, double value) {
  a->line[a->count++] = (line){key, label, NULL, value};
}

static void add_words(answer *a, const char *key, const char *label, const char *words) {
  a->line[a->count++] = (line){key, label, words, 0};
}

static const double *mode_of(const run *r) {
  return r->lognormal ? r->mode.mode : r->bounded.x;
}

static void collect(const run *r, answer *a) {
  const sky_problem *p = &r->p;
  const size_t m = p->n_state;
  const double jb = r->lognormal ? r->mode.jb : r->bounded.jb;
  const double jo = r->lognormal ? r->mode.jo : r->bounded.jo;
  add_words(a, "sign", "sign", r->lognormal ? "lognormal" : "nonnegative");
  add(a, "observations", "observations", (double)p->n_obs);
  add(a, "unknowns", "unknowns", (double)m);
  add(a, "prior_total", "prior total (mean)", sky_sum(p->x0, m));
  add(a, "map_total", r->lognormal ? "total of the MAP-median" : "total of the MAP",
      sky_sum(mode_of(r), m));
  add(a, "jb", "Jb", jb);
  add(a, "jo", "Jo", jo);
  add(a, "j", "J = (Jb + Jo) / 2", 0.5 * (jb + jo));
  if (r->lognormal) {
    add(a, "gradient", "distance to the mode (posterior sd)", r->mode.gradient);
  } else {
    add(a, "active_zeros", "elements at zero", (double)r->bounded.n_lower);
    add(a, "kkt_residual", "optimality residual (prior sd)", r->bounded.kkt_residual);
  }
  if (p->x_true != NULL) add(a, "true_total", "true total", sky_sum(p->x_true, m));
  if (r->how.n_draw == 0) return;
  const sky_chain_summary *s = &r->sampled.summary[0];
  add(a, "chains", "chains", (double)r->how.n_chain);
  add(a, "samples", "draws a chain", (double)r->how.n_draw);
  add(a, "mean_total", "posterior total, mean", s->mean);
  add(a, "mc_error_total", "  Monte-Carlo error of the mean", s->mc_error);
  add(a, "sd_total", "  sd", s->sd);
  add(a, "median_total", "posterior total, median", s->median);
  add(a, "q025_total", "  2.5 %", s->quantile[0]);
  add(a, "q16_total", "  16 %", s->quantile[1]);
  add(a, "q84_total", "  84 %", s->quantile[3]);
  add(a, "q975_total", "  97.5 %", s->quantile[4]);
  add(a, "rhat", "R-hat", s->rhat);
  add(a, "ess_bulk", "effective draws, bulk", s->ess_bulk);
  add(a, "ess_tail", "effective draws, tails", s->ess_tail);
  add(a, "divergent", "divergent draws", (double)r->sampled.divergent);
  add(a, "acceptance", "mean acceptance", r->sampled.acceptance);
  add_words(a, "verdict", "chains", sky_chain_verdict_text(s->verdict));
}

/* What is infinite has no JSON number: null. */
static bool add_json(cJSON *json, const line *l) {
  if (l->words != NULL) return cJSON_AddStringToObject(json, l->key, l->words) != NULL;
  if (!isfinite(l->value)) return cJSON_AddNullToObject(json, l->key) != NULL;
  return cJSON_AddNumberToObject(json, l->key, l->value) != NULL;
}

static sky_status print_json(sky_context *ctx, const answer *a) {
  cJSON *json = cJSON_CreateObject();
  bool complete = json != NULL;
  for (size_t i = 0; i < a->count; i++)
    complete = complete && add_json(json, &a->line[i]);
  char *text = complete ? sky_json_text(ctx, json, true) : NULL;
  cJSON_Delete(json);
  if (text == NULL) return sky_fail(ctx, SKY_E_NOMEM, "out of memory");
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static void print_table(const answer *a) {
  for (size_t i = 0; i < a->count; i++)
    if (a->line[i].words != NULL)
      printf("%-34s %s\n", a->line[i].label, a->line[i].words);
    else
      printf("%-34s %.10g\n", a->line[i].label, a->line[i].value);
}

/* ---- file ----------------------------------------------------------------------------------- */

static sky_status define(sky_ncw *w, const char *name, const char *dims, const char *long_name) {
  SKY_TRY(sky_ncw_var(w, name, 'd', dims));
  SKY_TRY(sky_ncw_att(w, name, "units", "1"));
  return sky_ncw_att(w, name, "long_name", long_name);
}

typedef struct zone_column { /* one number of every zone's summary */
  const char *name, *long_name;
  size_t offset; /* in sky_chain_summary */
} zone_column;

#define OF(member) offsetof(sky_chain_summary, member)
#define QUANTILE(k) (OF(quantile) + (k) * sizeof(double))
static const zone_column ZONE_COLUMNS[] = {
    {"total_mean", "posterior total, mean of the joint draws", OF(mean)},
    {"total_mc_error", "Monte-Carlo standard error of total_mean", OF(mc_error)},
    {"total_sd", "posterior total, sd", OF(sd)},
    {"total_q025", "posterior total, 2.5 % quantile", QUANTILE(0)},
    {"total_q16", "posterior total, 16 % quantile", QUANTILE(1)},
    {"total_median", "posterior total, median", OF(median)},
    {"total_q84", "posterior total, 84 % quantile", QUANTILE(3)},
    {"total_q975", "posterior total, 97.5 % quantile", QUANTILE(4)},
    {"total_rhat", "rank-normalised split R-hat", OF(rhat)},
    {"total_ess_bulk", "bulk effective sample size", OF(ess_bulk)},
    {"total_ess_tail", "tail effective sample size", OF(ess_tail)},
};
enum { N_ZONE_COLUMNS = sizeof ZONE_COLUMNS / sizeof ZONE_COLUMNS[0] };

static sky_status define_draws(sky_ncw *w, const run *r) {
  SKY_TRY(sky_ncw_dim(w, "zone", r->n_zone));
  SKY_TRY(sky_ncw_dim(w, "chain", r->how.n_chain));
  SKY_TRY(sky_ncw_dim(w, "draw", r->how.n_draw));
  SKY_TRY(define(w, "posterior_mean", "time,cell", "posterior mean, units of the problem"));
  SKY_TRY(define(w, "posterior_sd", "time,cell", "posterior standard deviation"));
  SKY_TRY(define(w, "total_draws", "chain,draw,zone",
                 "totals of the joint draws: all, then every time step"));
  SKY_TRY(define(w, "total_map", "zone", "total of the MAP, not a mean"));
  for (int k = 0; k < N_ZONE_COLUMNS; k++)
    SKY_TRY(define(w, ZONE_COLUMNS[k].name, "zone", ZONE_COLUMNS[k].long_name));
  return SKY_OK;
}

static sky_status put_draws(sky_context *ctx, sky_ncw *w, const run *r) {
  double *column = SKY_NEW(ctx, double, r->n_zone);
  sky_status st = column != NULL ? SKY_OK : SKY_E_NOMEM;
  for (int k = 0; st == SKY_OK && k < N_ZONE_COLUMNS; k++) {
    for (size_t z = 0; z < r->n_zone; z++)
      memcpy(column + z, (const char *)&r->sampled.summary[z] + ZONE_COLUMNS[k].offset,
             sizeof *column);
    st = sky_ncw_put(w, ZONE_COLUMNS[k].name, column);
  }
  sky_free(column);
  SKY_TRY(st);
  SKY_TRY(sky_ncw_put(w, "posterior_mean", r->sampled.mean));
  SKY_TRY(sky_ncw_put(w, "posterior_sd", r->sampled.sd));
  SKY_TRY(sky_ncw_put(w, "total_draws", r->sampled.zone));
  return sky_ncw_put(w, "total_map", r->sampled.zone_mode);
}

static sky_status put(sky_context *ctx, sky_ncw *w, const run *r, const answer *a) {
  const bool draws = r->how.n_draw > 0;
  SKY_TRY(
      sky_ncw_att(w, "", "title", "posterior of an inversion for fluxes that are not negative"));
  SKY_TRY(sky_ncw_att(w, "", "source", "skyflux " SKYFLUX_VERSION " invert"));
  for (size_t i = 0; i < a->count; i++)
    SKY_TRY(a->line[i].words != NULL ? sky_ncw_att(w, "", a->line[i].key, a->line[i].words)
                                     : sky_ncw_att_num(w, "", a->line[i].key, a->line[i].value));
  SKY_TRY(sky_ncw_dim(w, "time", r->p.n_time));
  SKY_TRY(sky_ncw_dim(w, "cell", r->p.n_cell));
  SKY_TRY(define(w, "prior", "time,cell", "prior mean, units of the problem"));
  SKY_TRY(
      define(w, "posterior_map", "time,cell",
             r->lognormal ? "exp of the mode of ln x (MAP-median)" : "mode between the bounds"));
  if (draws) SKY_TRY(define_draws(w, r));
  SKY_TRY(sky_ncw_put(w, "prior", r->p.x0));
  SKY_TRY(sky_ncw_put(w, "posterior_map", mode_of(r)));
  return draws ? put_draws(ctx, w, r) : SKY_OK;
}

static sky_status write_file(sky_context *ctx, const char *path, const run *r, const answer *a) {
  sky_ncw *w = NULL;
  SKY_TRY(sky_ncw_create(ctx, path, &w));
  const sky_status st = put(ctx, w, r, a);
  if (st == SKY_OK) return sky_ncw_commit(w);
  sky_ncw_abort(w);
  return st;
}

sky_status sky_invert_sign_run(sky_context *ctx, const sky_invert_sign *s, const char *problem,
                               const char *output, bool json) {
  run r = {.lognormal = strcmp(s->sign, "lognormal") == 0};
  answer a = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_invert_sign_sampling(ctx, s, 0, &r.how));
  SKY_GO(sky_problem_read(ctx, problem, &r.p));
  sky_progress_begin(ctx, "inversion",
                     r.how.n_draw > 0 ? r.how.n_chain * (r.how.n_draw + r.how.n_warmup) : 1);
  st = solve(ctx, &r);
  sky_progress_end(ctx);
  SKY_GO(st);
  collect(&r, &a);
  if (r.how.n_draw > 0 && r.sampled.summary[0].verdict != SKY_CHAINS_CONVERGED)
    sky_log(ctx, SKY_LOG_WARN, "the chains of the total have %s",
            sky_chain_verdict_text(r.sampled.summary[0].verdict));
  if (output != NULL) SKY_GO(write_file(ctx, output, &r, &a));
  if (json)
    SKY_GO(print_json(ctx, &a));
  else
    print_table(&a);
cleanup:
  sky_problem_free(&r.p);
  sky_bounded_free(&r.bounded);
  sky_lognormal_free(&r.mode);
  sky_sampled_free(&r.sampled);
  sky_free(r.W);
  sky_free(r.lower);
  sky_free(r.upper);
  return st;
}
