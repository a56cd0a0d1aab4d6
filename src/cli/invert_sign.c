/* invert_sign.c: fluxes that cannot be negative: MAP by bounded.h or lognormal.h, and with
 * --samples the joint posterior by truncated.h or lognormal.h.
 *
 * Zones are the total over all state elements, then those of the problem file, or where it has none
 * the time steps. Each is summed draw by draw; mean, median and MAP stand under their own names. */
#include "src/cli/invert_sign.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/sum.h"
#include "src/job/solve_sign.h"
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
  sky_sampling how;
  sky_invert_zones *zones;
  bool zones_told; /* they are in the answer, not only in the file */
  sky_signed s;
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
                        .n_warmup = sky_signed_warmup((size_t)samples),
                        .seed = (uint64_t)seed};
  return SKY_OK;
}

/* ---- solve ---------------------------------------------------------------------------------- */

/* Draws of a problem without zones are kept for the total and for every time step. */
static sky_status read_zones(sky_context *ctx, const char *path, run *r) {
  SKY_TRY(sky_invert_zones_read(ctx, path, &r->p, false, r->zones));
  if (r->zones->rows.n > 1 || r->p.n_time == 1) return SKY_OK;
  sky_problem_zones_free(&r->zones->rows);
  return sky_problem_zones_read(ctx, path, &r->p, true, &r->zones->rows);
}

/* What of a zone's total the state does not move. */
static void add_constants(run *r) {
  const sky_problem_zones *rows = &r->zones->rows;
  sky_sampled *s = &r->s.sampled;
  for (size_t z = 0; r->s.drawn && z < rows->n; z++) {
    const double c = rows->constant[z];
    sky_chain_summary *one = &s->summary[z];
    s->zone_mode[z] += c;
    one->mean += c;
    one->median += c;
    for (size_t k = 0; k < sizeof one->quantile / sizeof *one->quantile; k++)
      one->quantile[k] += c;
    for (size_t k = 0; k < s->n_chain * s->n_draw; k++)
      s->zone[k * rows->n + z] += c;
  }
}

/* ---- answer --------------------------------------------------------------------------------- */

static void add(answer *a, const char *key, const char *label, double value) {
  a->line[a->count++] = (line){key, label, NULL, value};
}

static void add_words(answer *a, const char *key, const char *label, const char *words) {
  a->line[a->count++] = (line){key, label, words, 0};
}

static void collect(const run *r, answer *a) {
  const sky_problem *p = &r->p;
  const size_t m = p->n_state;
  const double jb = r->s.lognormal ? r->s.mode.jb : r->s.bounded.jb;
  const double jo = r->s.lognormal ? r->s.mode.jo : r->s.bounded.jo;
  add_words(a, "sign", "sign", r->s.lognormal ? "lognormal" : "nonnegative");
  add(a, "observations", "observations", (double)p->n_obs);
  add(a, "unknowns", "unknowns", (double)m);
  add(a, "prior_total", "prior total (mean)", sky_sum(p->x0, m));
  add(a, "map_total", r->s.lognormal ? "total of the MAP-median" : "total of the MAP",
      sky_sum(sky_signed_mode(&r->s), m));
  add(a, "jb", "Jb", jb);
  add(a, "jo", "Jo", jo);
  add(a, "j", "J = (Jb + Jo) / 2", 0.5 * (jb + jo));
  if (r->s.lognormal) {
    add(a, "gradient", "distance to the mode (posterior sd)", r->s.mode.gradient);
  } else {
    add(a, "active_zeros", "elements at zero", (double)r->s.bounded.n_lower);
    add(a, "kkt_residual", "optimality residual (prior sd)", r->s.bounded.kkt_residual);
  }
  if (p->x_true != NULL) add(a, "true_total", "true total", sky_sum(p->x_true, m));
  if (r->how.n_draw == 0) return;
  const sky_chain_summary *s = &r->s.sampled.summary[0];
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
  add(a, "divergent", "divergent draws", (double)r->s.sampled.divergent);
  add(a, "acceptance", "mean acceptance", r->s.sampled.acceptance);
  add_words(a, "verdict", "chains", sky_chain_verdict_text(s->verdict));
}

/* What is infinite has no JSON number: null. */
static bool add_json(cJSON *json, const line *l) {
  if (l->words != NULL) return cJSON_AddStringToObject(json, l->key, l->words) != NULL;
  if (!isfinite(l->value)) return cJSON_AddNullToObject(json, l->key) != NULL;
  return cJSON_AddNumberToObject(json, l->key, l->value) != NULL;
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
  SKY_TRY(sky_ncw_dim(w, "zone", r->zones->rows.n));
  SKY_TRY(sky_ncw_dim(w, "chain", r->how.n_chain));
  SKY_TRY(sky_ncw_dim(w, "draw", r->how.n_draw));
  SKY_TRY(sky_ncw_var(w, "zone_name", 's', "zone"));
  SKY_TRY(define(w, "posterior_mean", "time,cell", "posterior mean, units of the problem"));
  SKY_TRY(define(w, "posterior_sd", "time,cell", "posterior standard deviation"));
  SKY_TRY(define(w, "total_draws", "chain,draw,zone",
                 "totals of the joint draws: all, then zones or time steps"));
  SKY_TRY(define(w, "total_map", "zone", "total of the MAP, not a mean"));
  for (int k = 0; k < N_ZONE_COLUMNS; k++)
    SKY_TRY(define(w, ZONE_COLUMNS[k].name, "zone", ZONE_COLUMNS[k].long_name));
  return SKY_OK;
}

static sky_status put_draws(sky_context *ctx, sky_ncw *w, const run *r) {
  double *column = SKY_NEW(ctx, double, r->zones->rows.n);
  sky_status st = column != NULL ? SKY_OK : SKY_E_NOMEM;
  for (int k = 0; st == SKY_OK && k < N_ZONE_COLUMNS; k++) {
    for (size_t z = 0; z < r->zones->rows.n; z++)
      memcpy(column + z, (const char *)&r->s.sampled.summary[z] + ZONE_COLUMNS[k].offset,
             sizeof *column);
    st = sky_ncw_put(w, ZONE_COLUMNS[k].name, column);
  }
  sky_free(column);
  SKY_TRY(st);
  SKY_TRY(sky_ncw_put_strings(w, "zone_name", (const char *const *)r->zones->rows.name));
  SKY_TRY(sky_ncw_put(w, "posterior_mean", r->s.sampled.mean));
  SKY_TRY(sky_ncw_put(w, "posterior_sd", r->s.sampled.sd));
  SKY_TRY(sky_ncw_put(w, "total_draws", r->s.sampled.zone));
  return sky_ncw_put(w, "total_map", r->s.sampled.zone_mode);
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
             r->s.lognormal ? "exp of the mode of ln x (MAP-median)" : "mode between the bounds"));
  if (draws) SKY_TRY(define_draws(w, r));
  SKY_TRY(sky_ncw_put(w, "prior", r->p.x0));
  SKY_TRY(sky_ncw_put(w, "posterior_map", sky_signed_mode(&r->s)));
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

/* ---- zones ---------------------------------------------------------------------------------- */

/* Every row's totals under their own names: of the prior's mean, of the mode, of the draws. */
static sky_status answer_zones(sky_context *ctx, const run *r, cJSON *json) {
  const sky_problem_zones *rows = &r->zones->rows;
  const size_t n = rows->n, m = r->p.n_state;
  sky_zone_column column[N_ZONE_COLUMNS + 2] = {
      {"prior_total", "prior total (mean)", NULL},
      {"map_total", r->s.lognormal ? "total of the MAP-median" : "total of the MAP", NULL}};
  double *table = SKY_NEW(ctx, double, (N_ZONE_COLUMNS + 2) * n);
  if (table == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < N_ZONE_COLUMNS + 2; k++) {
    if (k >= 2)
      column[k] = (sky_zone_column){ZONE_COLUMNS[k - 2].name, ZONE_COLUMNS[k - 2].long_name, NULL};
    column[k].value = table + k * n;
  }
  for (size_t z = 0; z < n; z++) {
    table[z] = sky_dot(rows->W + z * m, r->p.x0, m);
    table[n + z] = sky_dot(rows->W + z * m, sky_signed_mode(&r->s), m);
    for (size_t k = 0; k < N_ZONE_COLUMNS; k++)
      if (r->s.drawn)
        memcpy(&table[(k + 2) * n + z],
               (const char *)&r->s.sampled.summary[z] + ZONE_COLUMNS[k].offset, sizeof *table);
      else
        table[(k + 2) * n + z] = NAN;
  }
  const sky_status st = sky_invert_zones_answer(ctx, r->zones, column, N_ZONE_COLUMNS + 2, json);
  sky_free(table);
  return st;
}

static sky_status print_json(sky_context *ctx, const run *r, const answer *a) {
  cJSON *json = cJSON_CreateObject();
  bool complete = json != NULL;
  for (size_t i = 0; i < a->count; i++)
    complete = complete && add_json(json, &a->line[i]);
  if (complete && r->zones_told) complete = answer_zones(ctx, r, json) == SKY_OK;
  char *text = complete ? sky_json_text(ctx, json, true) : NULL;
  cJSON_Delete(json);
  if (text == NULL) return sky_fail(ctx, SKY_E_NOMEM, "out of memory");
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

sky_status sky_invert_sign_run(sky_context *ctx, const sky_invert_sign *s, const char *problem,
                               const char *output, sky_invert_zones *zones, bool json) {
  run r = {.zones = zones};
  answer a = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_invert_sign_sampling(ctx, s, 0, &r.how));
  SKY_GO(sky_problem_read(ctx, problem, &r.p));
  r.zones_told = zones->by_time;
  SKY_GO(read_zones(ctx, problem, &r));
  r.zones_told |= zones->rows.n_zone > 0;
  SKY_GO(sky_solve_signed(ctx, strcmp(s->sign, "lognormal") == 0, &r.how, &r.p, zones->rows.n,
                          zones->rows.W, &r.s));
  add_constants(&r);
  collect(&r, &a);
  if (r.how.n_draw > 0 && r.s.sampled.summary[0].verdict != SKY_CHAINS_CONVERGED)
    sky_log(ctx, SKY_LOG_WARN, "the chains of the total have %s",
            sky_chain_verdict_text(r.s.sampled.summary[0].verdict));
  if (output != NULL) SKY_GO(write_file(ctx, output, &r, &a));
  if (json)
    SKY_GO(print_json(ctx, &r, &a));
  else
    print_table(&a);
  if (!json && zones->csv != NULL) SKY_GO(answer_zones(ctx, &r, NULL));
cleanup:
  sky_problem_free(&r.p);
  sky_signed_free(&r.s);
  sky_invert_zones_free(zones);
  return st;
}
