/* cmd_invert.c: the command `skyflux invert`: one prepared problem -> its posterior.
 *
 * Totals are sums over all state elements, and over the zones of the file, in its units.
 * Desroziers' sigma_r is √(mean of residual × innovation), an estimate of the error of one
 * observation (Desroziers et al. 2005, Q. J. R. Meteorol. Soc. 131, 3385). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inversion/diagnose.h"
#include "skyflux/problem.h"
#include "src/cli/commands.h"
#include "src/cli/invert_modes.h"
#include "src/cli/invert_sign.h"
#include "src/cli/invert_solve.h"
#include "src/cli/invert_zones.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/sum.h"
#include "src/write/nc_write.h"

typedef struct options {
  const char *problem, *output, *seed;
  const char *gaussian; /* the last option given that only a Gaussian posterior has */
  sky_invert_modes modes;
  sky_solve_options solve;
  sky_invert_sign sign;
  sky_invert_zones zones;
} options;

static const sky_cli_option OPTIONS[] = {
    {"problem", 'p', "FILE", "problem file (NetCDF: y, x0, xc, yc, CSR Jacobian, covariance)"},
    {"output", 'o', "FILE", "write posterior, uncertainty and fit to this NetCDF file"},
    {"method", 'm', "NAME",
     "exact, banded or iterative (default: by size), geostatistical, smoother"},
    {"seed", 0, "S", "of the random numbers of --osse and --samples (default 1)"},
    SKY_INVERT_SOLVE_OPTIONS,
    SKY_INVERT_SIGN_OPTIONS,
    SKY_INVERT_ZONE_OPTIONS,
    SKY_INVERT_OPTIONS,
    {NULL, 0, NULL, NULL}};

static const sky_cli_spec SPEC = {"invert", "--problem FILE [options]",
                                  "solve a prepared inverse problem, exactly or to a tolerance",
                                  "skyflux invert --problem P.nc --json -o posterior.nc", OPTIONS};

static sky_status take_option(sky_context *ctx, void *user, const char *name, const char *value) {
  options *o = user;
  bool taken;
  if (strcmp(name, "problem") == 0)
    o->problem = o->solve.problem = value;
  else if (strcmp(name, "output") == 0)
    o->output = value;
  else if (strcmp(name, "seed") == 0)
    o->seed = value;
  else if (sky_invert_zones_take(&o->zones, name, value))
    return SKY_OK;
  else {
    SKY_TRY(sky_invert_sign_option(ctx, &o->sign, name, value, &taken));
    if (taken) return SKY_OK;
    if (!sky_invert_osse_option(name)) o->gaussian = name;
    if (strcmp(name, "method") == 0)
      o->solve.method = o->modes.method = value;
    else {
      SKY_TRY(sky_invert_solve_option(ctx, &o->solve, name, value, &taken));
      if (!taken) sky_invert_take(&o->modes, name, value);
    }
  }
  return SKY_OK;
}

/* ---- numbers -------------------------------------------------------------------------------- */

typedef struct number { /* one line of the answer */
  const char *key, *label;
  double value;
} number;

enum { MAX_NUMBERS = 32 };

typedef struct answer {
  const char *method;
  size_t count;
  number number[MAX_NUMBERS];
} answer;

/* What the method leaves out is NaN, and has no line. */
static void add(answer *a, const char *key, const char *label, double value) {
  if (isnan(value)) return;
  a->number[a->count++] = (number){key, label, value};
}

static double rms_difference(const double *x, const double *truth, size_t n) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < n; i++)
    sky_acc_add(&sum, (x[i] - truth[i]) * (x[i] - truth[i]));
  return sqrt(sky_acc_value(&sum) / (double)n);
}

static double desroziers(const sky_problem *p, const sky_posterior *post) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < p->n_obs; i++)
    sky_acc_add(&sum, post->residual[i] * (p->y[i] - post->simulated_prior[i]));
  return sqrt(sky_acc_value(&sum) / (double)p->n_obs);
}

static void collect(const sky_problem *p, const sky_posterior *post, answer *a) {
  const double n = (double)p->n_obs, m = (double)p->n_state;
  /* Jb counts the offsets too; an estimate of both together is in post->dofs alone. */
  const double offsets = isnan(post->dofs_background) ? 0 : post->dofs_background;
  const double dofs = post->dofs + offsets;
  add(a, "observations", "observations", n);
  add(a, "unknowns", "unknowns", m);
  add(a, "prior_total", "prior total", post->prior_total[0]);
  add(a, "prior_total_sd", "  sd", post->prior_sd[0]);
  add(a, "posterior_total", "posterior total", post->total[0]);
  add(a, "posterior_total_sd", "  sd", post->total_sd[0]);
  add(a, "mean_posterior_sd", "mean posterior sd of an unknown", sky_sum(post->sd, p->n_state) / m);
  add(a, "dofs", "degrees of freedom for signal", post->dofs);
  if (p->n_background > 0) {
    add(a, "background_offsets", "background offsets", (double)p->n_background);
    add(a, "dofs_background", "  degrees of freedom for signal", post->dofs_background);
  }
  add(a, "chi2_innovation_per_obs", "innovation chi2 per observation", post->chi2 / n);
  add(a, "jb", "Jb", post->jb);
  add(a, "jo", "Jo", post->jo);
  add(a, "jb_per_dofs", "Jb / DOFS (expected 1)", post->jb / dofs);
  add(a, "jo_per_rest", "Jo / (n - DOFS) (expected 1)", post->jo / (n - dofs));
  add(a, "neg_log_evidence", "-log evidence", post->neg_log_evidence);
  add(a, "desroziers_sigma_r", "Desroziers sigma_r", desroziers(p, post));
  if (p->x_true == NULL) return;
  add(a, "true_total", "true total", sky_sum(p->x_true, p->n_state));
  add(a, "rmse_prior", "RMSE of the prior", rms_difference(p->x0, p->x_true, p->n_state));
  add(a, "rmse_posterior", "RMSE of the posterior", rms_difference(post->x, p->x_true, p->n_state));
}

/* What an iteration knows of its own errors. */
static void collect_report(const sky_iterate_report *r, answer *a) {
  if (r->basis > 0) {
    add(a, "basis_vectors", "vectors of the Krylov basis", (double)r->basis);
    add(a, "basis_complete", "  complete (1: nothing is estimated)", r->complete);
  }
  add(a, "total_error_bound", "bound of a total's error, in its sd", r->total_error);
  add(a, "sd_error_bound", "bound of its sd's error, relative", r->sd_error);
  add(a, "state_error_bound", "bound of any unknown's, in prior sd", r->state_error);
  if (r->complete || r->basis == 0) return;
  add(a, "dofs_half_width_95", "DOFS: half width of the 95 % interval", r->dofs_half);
  add(a, "neg_log_evidence_half_width_95", "-log evidence: half width", r->evidence_half);
}

static sky_status answer_numbers(sky_context *ctx, const answer *a, cJSON *to) {
  SKY_TRY(sky_invert_text(ctx, to, "method", a->method));
  for (size_t i = 0; i < a->count; i++)
    SKY_TRY(sky_invert_number(ctx, to, a->number[i].key, a->number[i].value));
  return SKY_OK;
}

static void print_table(const answer *a) {
  printf("%-34s %s\n", "method", a->method);
  for (size_t i = 0; i < a->count; i++)
    printf("%-34s %.10g\n", a->number[i].label, a->number[i].value);
}

/* ---- zones ---------------------------------------------------------------------------------- */

enum { ZONE_COLUMNS = 10 };

/* smoothing [rows] becomes the sd of what the observations do not see; NaN without kernels. */
static sky_status smoothing_sd(sky_context *ctx, const sky_problem *p, const sky_posterior *post,
                               const double *W, double *smoothing) {
  for (size_t r = 0; r < post->n_zone; r++)
    smoothing[r] = NAN;
  if (post->zone_A == NULL) return SKY_OK;
  SKY_TRY(sky_smoothing_error(ctx, p, post->n_zone, W, post->zone_A, smoothing));
  for (size_t r = 0; r < post->n_zone; r++)
    smoothing[r] = sqrt(fmax(smoothing[r], 0));
  return SKY_OK;
}

/* What is exact has no interval: no column. */
static void dofs_half_of(const sky_posterior *post, double *half) {
  for (size_t r = 0; r < post->n_zone; r++)
    half[r] = post->zone_dofs_half[r] > 0 ? post->zone_dofs_half[r] : NAN;
}

static void zone_columns(const sky_posterior *post, const double *smoothing,
                         const double *dofs_half, sky_zone_column zone[ZONE_COLUMNS]) {
  const sky_zone_column all[ZONE_COLUMNS] = {
      {"prior_total", "prior total", post->prior_total},
      {"prior_sd", "prior sd of the total", post->prior_sd},
      {"posterior_total", "posterior total, mean", post->total},
      {"posterior_sd", "posterior sd of the total", post->total_sd},
      {"reduction", "degrees of freedom of the one total: 1 - variance after / before",
       post->zone_reduction},
      {"dofs", "sum of the averaging kernel's diagonal inside the zone", post->zone_dofs},
      {"dofs_half_width_95", "dofs, where it is an estimate: half width of its 95 % interval",
       dofs_half},
      {"sensitivity", "response of the total to a uniform relative change of the prior",
       post->zone_sensitivity},
      {"smoothing_sd", "sd of what the observations do not see of the total", smoothing},
      {"noise_sd", "sd of the total by the observations' errors", post->zone_noise_var}};
  memcpy(zone, all, sizeof all);
}

/* ---- posterior file ------------------------------------------------------------------------- */

typedef struct column { /* one variable of the posterior file; left out where it is NaN */
  const char *name, *dims, *units, *long_name;
  const double *data;
} column;

static sky_status define_column(sky_ncw *w, const column *c) {
  SKY_TRY(sky_ncw_var(w, c->name, 'd', c->dims));
  SKY_TRY(sky_ncw_att(w, c->name, "units", c->units));
  return sky_ncw_att(w, c->name, "long_name", c->long_name);
}

typedef struct results { /* what goes into the posterior file */
  const sky_posterior *post;
  const answer *a;
  const sky_diagnosis *diagnosis;
  const sky_invert_zones *zones;
  const sky_zone_column *zone; /* [ZONE_COLUMNS] */
} results;

static sky_status put_posterior(sky_ncw *w, const sky_problem *p, const results *r) {
  const sky_posterior *post = r->post;
  const answer *a = r->a;
  const column columns[] = {
      {"xc", "cell", p->geographic ? "degrees_east" : "km", "cell centre, x", p->xc},
      {"yc", "cell", p->geographic ? "degrees_north" : "km", "cell centre, y", p->yc},
      {"prior", "time,cell", "1", "prior mean, units of the problem", p->x0},
      {"posterior", "time,cell", "1", "posterior mean, units of the problem", post->x},
      {"posterior_sd", "time,cell", "1", "posterior standard deviation", post->sd},
      {"averaging_kernel", "time,cell", "1", "diagonal of the averaging kernel", post->ak},
      {"y", "obs", "1", "observation, units of the problem", p->y},
      {"simulated_prior", "obs", "1", "observation that the prior predicts", post->simulated_prior},
      {"simulated", "obs", "1", "observation that the posterior predicts", post->simulated},
      {"residual", "obs", "1", "observation minus posterior prediction", post->residual},
      {"background", "background", "1", "posterior mean of the offsets", post->b},
      {"background_sd", "background", "1", "posterior sd of the offsets", post->b_post_sd}};
  const size_t all = sizeof columns / sizeof columns[0];
  const size_t n = p->n_background > 0 ? all : all - 2;
  SKY_TRY(sky_ncw_att(w, "", "title", "posterior of a linear Gaussian inversion"));
  SKY_TRY(sky_ncw_att(w, "", "source", "skyflux " SKYFLUX_VERSION " invert"));
  SKY_TRY(sky_ncw_att(w, "", "method", a->method));
  for (size_t i = 0; i < a->count; i++)
    SKY_TRY(sky_ncw_att_num(w, "", a->number[i].key, a->number[i].value));
  SKY_TRY(sky_ncw_dim(w, "time", p->n_time));
  SKY_TRY(sky_ncw_dim(w, "cell", p->n_cell));
  SKY_TRY(sky_ncw_dim(w, "obs", p->n_obs));
  if (p->n_background > 0) SKY_TRY(sky_ncw_dim(w, "background", p->n_background));
  for (size_t i = 0; i < n; i++)
    if (!isnan(columns[i].data[0])) SKY_TRY(define_column(w, &columns[i]));
  for (size_t i = 0; i < n; i++)
    if (!isnan(columns[i].data[0])) SKY_TRY(sky_ncw_put(w, columns[i].name, columns[i].data));
  SKY_TRY(sky_invert_zones_put(w, r->zones, r->zone, ZONE_COLUMNS, post->zone_cov));
  return sky_invert_put_diagnosis(w, r->diagnosis);
}

static sky_status write_posterior(sky_context *ctx, const char *path, const sky_problem *p,
                                  const results *r) {
  sky_ncw *w = NULL;
  SKY_TRY(sky_ncw_create(ctx, path, &w));
  const sky_status st = put_posterior(w, p, r);
  if (st == SKY_OK) return sky_ncw_commit(w);
  sky_ncw_abort(w);
  return st;
}

/* ---- command -------------------------------------------------------------------------------- */

/* The plain solution; its numbers go behind those that are in `more`. */
static sky_status solve(sky_context *ctx, options *o, bool json, const sky_problem *p,
                        const sky_problem_labels *l, cJSON *more) {
  sky_posterior post = {0};
  sky_diagnosis diagnosis = {0};
  sky_zone_column zone[ZONE_COLUMNS];
  double *smoothing = NULL;
  sky_iterate_report report;
  answer a = {0};
  sky_status st = SKY_OK;
  const sky_problem_zones *rows = &o->zones.rows;
  SKY_GO(sky_invert_zones_read(ctx, o->problem, p, true, &o->zones));
  o->solve.kernels = o->zones.kernels != NULL || o->modes.diagnose; /* large as the zones' rows */
  if (o->modes.diagnose) SKY_GO(sky_dual_room(ctx, p, "the diagnosis", 2)); /* before the work */
  const sky_functionals wanted = {.n_zone = rows->n,
                                  .W = rows->W,
                                  .constant = rows->constant,
                                  .totals_only = o->output == NULL};
  SKY_GO(sky_invert_solve_run(ctx, &o->solve, p, &wanted, &post, &report, &a.method));
  SKY_GO_ALLOC(smoothing, SKY_NEW(ctx, double, 3 * rows->n));
  SKY_GO(smoothing_sd(ctx, p, &post, rows->W, smoothing));
  dofs_half_of(&post, smoothing + 2 * rows->n);
  zone_columns(&post, smoothing, smoothing + 2 * rows->n, zone);
  for (size_t r = 0; r < rows->n; r++)
    smoothing[rows->n + r] = sqrt(post.zone_noise_var[r]);
  zone[ZONE_COLUMNS - 1].value = smoothing + rows->n;
  collect(p, &post, &a);
  if (report.products > 0) collect_report(&report, &a);
  if (json) SKY_GO(answer_numbers(ctx, &a, more));
  SKY_GO(sky_invert_zones_answer(ctx, &o->zones, zone, ZONE_COLUMNS, more));
  if (o->modes.diagnose) SKY_GO(sky_invert_diagnose(ctx, &o->modes, p, l, &post, &diagnosis, more));
  const results r = {&post, &a, &diagnosis, &o->zones, zone};
  if (o->output != NULL) SKY_GO(write_posterior(ctx, o->output, p, &r));
  SKY_GO(sky_invert_zones_kernels(ctx, &o->zones, p, post.zone_A));
  if (!json) print_table(&a);
  SKY_GO(sky_invert_print(ctx, more, json));
cleanup:
  sky_free(smoothing);
  sky_posterior_free(&post);
  sky_diagnosis_free(&diagnosis);
  return st;
}

static sky_status invert(sky_context *ctx, options *o, bool json) {
  sky_problem p = {0};
  sky_problem_labels l = {0};
  cJSON *more = cJSON_CreateObject();
  bool done = false;
  sky_status st = more != NULL ? SKY_OK : sky_fail(ctx, SKY_E_NOMEM, "out of memory");
  SKY_GO(st);
  SKY_GO(sky_problem_read(ctx, o->problem, &p));
  SKY_GO(sky_invert_prepare(ctx, &o->modes, o->problem, o->output, &o->zones, &p, &l, more, &done));
  SKY_GO(done ? sky_invert_print(ctx, more, json) : solve(ctx, o, json, &p, &l, more));
cleanup:
  cJSON_Delete(more);
  sky_invert_zones_free(&o->zones);
  sky_problem_labels_free(&l);
  sky_problem_free(&p);
  return st;
}

/* No output may replace the problem, or another output. */
static sky_status check_files(sky_context *ctx, const options *o, const sky_cli_common *common) {
  const struct {
    const char *option, *path;
  } file[] = {{"problem", o->problem},
              {"output", o->output},
              {"zones-csv", o->zones.csv},
              {"ak", o->zones.kernels},
              {"checkpoint", o->solve.checkpoint},
              {"log-file", common->log_file}};
  for (size_t i = 0; i < sizeof file / sizeof file[0]; i++)
    for (size_t k = 0; k < i; k++) {
      if (file[i].path == NULL || file[k].path == NULL ||
          !sky_file_collide(file[i].path, file[k].path))
        continue;
      sky_context_set_log(ctx, NULL, NULL, SKY_LOG_WARN); /* not one line into the file */
      return sky_fail(ctx, SKY_E_USAGE,
                      "invert: --%s %s is the file of --%s (expected one that is not in use)",
                      file[i].option, file[i].path, file[k].option);
    }
  return SKY_OK;
}

/* Options of a Gaussian solution by exact, banded or iterative that these modes would not look at.
 */
static sky_status check_solution(sky_context *ctx, const options *o) {
  const sky_invert_modes *m = &o->modes;
  const bool other = m->method != NULL && (strcmp(m->method, "geostatistical") == 0 ||
                                           strcmp(m->method, "smoother") == 0);
  const char *option = o->solve.tolerance > 0         ? "tolerance"
                       : o->solve.checkpoint != NULL  ? "checkpoint"
                       : o->solve.float32             ? "float32"
                       : m->osse != NULL && o->output ? "output"
                                                      : NULL;
  if (m->osse != NULL && m->method != NULL && strcmp(m->method, "exact") != 0)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --osse is of the exact solution, not of --method %s",
                    m->method);
  if (option == NULL || (!other && m->osse == NULL)) return SKY_OK;
  if (other)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --%s has no effect with --method %s", option,
                    m->method);
  return sky_fail(ctx, SKY_E_USAGE, "invert: --%s has no effect with --osse", option);
}

sky_status sky_cmd_invert(sky_context *ctx, int argc, char **argv) {
  options o = {0};
  sky_cli_common common;
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, take_option, &o, &common));
  if (common.help_shown) return SKY_OK;
  if (common.n_args > 0)
    return sky_fail(ctx, SKY_E_USAGE, "invert: '%s' is not expected (give the file to --problem)",
                    common.args[0]);
  if (o.problem == NULL) return sky_fail(ctx, SKY_E_USAGE, "invert: --problem FILE is missing");
  bool bounded;
  SKY_TRY(check_files(ctx, &o, &common));
  SKY_TRY(check_solution(ctx, &o));
  *(o.modes.osse != NULL ? &o.modes.seed : &o.sign.seed) = o.seed;
  SKY_TRY(sky_invert_sign_wanted(ctx, &o.sign, &bounded));
  if (bounded && o.gaussian != NULL)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --%s does not go with --sign %s", o.gaussian,
                    o.sign.sign);
  if (bounded && sky_invert_of_osse(&o.modes))
    o.modes.sign = &o.sign; /* an experiment, or its options without one: refused there */
  if (bounded && o.modes.sign == NULL)
    return sky_invert_sign_run(ctx, &o.sign, o.problem, o.output, &o.zones, common.json);
  return invert(ctx, &o, common.json);
}
