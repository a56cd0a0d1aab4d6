/* invert_diagnose.c: `skyflux invert --diagnose`: the diagnosis in words, numbers and variables. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/inversion/aggregate.h"
#include "src/cli/invert_modes.h"
#include "src/core/memory.h"

enum { TOP = 10 }; /* eigenvalues that are printed; the file holds all */

/* A criterion: value, half-width, and whether 1 lies inside. */
static sky_status answer_criterion(sky_context *ctx, cJSON *to, const char *key, double value,
                                   double half) {
  cJSON *item = sky_invert_object(ctx, to, key, false);
  if (item == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_invert_number(ctx, item, "value", value));
  SKY_TRY(sky_invert_number(ctx, item, "half_width", half));
  return sky_invert_text(ctx, item, "verdict",
                         isnan(half)              ? "not known"
                         : fabs(value - 1) > half ? "outside"
                                                  : "inside");
}

static sky_status answer_groups(sky_context *ctx, const sky_diagnosis *d, cJSON *to) {
  cJSON *list = d->n_group > 0 ? sky_invert_object(ctx, to, "overpasses", true) : to;
  for (size_t g = 0; list != NULL && g < d->n_group; g++) {
    const sky_group_fit *fit = &d->group[g];
    const double n = (double)fit->n;
    cJSON *item = sky_invert_object(ctx, list, NULL, false);
    if (item == NULL) return SKY_E_NOMEM;
    SKY_TRY(sky_invert_number(ctx, item, "observations", n));
    SKY_TRY(answer_criterion(ctx, item, "innovation", fit->innovation_chi2 / n, 2 * sqrt(2 / n)));
    SKY_TRY(answer_criterion(ctx, item, "left_out", fit->heldout.chi2 / n, 2 * sqrt(2 / n)));
    SKY_TRY(sky_invert_number(ctx, item, "left_out_rms", fit->heldout.rms));
  }
  return list != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status answer_outliers(sky_context *ctx, const sky_diagnosis *d, cJSON *to) {
  double *index = SKY_NEW(ctx, double, d->n_outlier);
  if (index == NULL) return SKY_E_NOMEM;
  size_t n = 0;
  for (size_t i = 0; i < d->n; i++)
    if (fabs(d->innovation[i]) > SKY_OUTLIER) index[n++] = (double)i;
  const sky_status st = sky_invert_numbers(ctx, to, "outliers", index, n);
  sky_free(index);
  return st;
}

static sky_status answer_fit(sky_context *ctx, const sky_diagnosis *d, cJSON *to) {
  SKY_TRY(answer_criterion(ctx, to, "jb_per_dofs", d->jb_per_dofs, d->jb_half));
  SKY_TRY(answer_criterion(ctx, to, "jo_per_rest", d->jo_per_rest, d->jo_half));
  SKY_TRY(answer_criterion(ctx, to, "innovation", d->chi2_per_obs, d->chi2_half));
  if (d->eigenvalue != NULL) {
    SKY_TRY(sky_invert_number(ctx, to, "eigenvalues_above_1", (double)d->n_above));
    SKY_TRY(sky_invert_numbers(ctx, to, "eigenvalues", d->eigenvalue, d->n < TOP ? d->n : TOP));
  }
  SKY_TRY(sky_invert_number(ctx, to, "leave_one_out_rms", d->loo_rms));
  SKY_TRY(sky_invert_number(ctx, to, "leave_one_out_chi2", d->loo_chi2));
  SKY_TRY(answer_outliers(ctx, d, to));
  return answer_groups(ctx, d, to);
}

/* W A W* of the sectors, each a total over the state. */
static sky_status answer_sectors(sky_context *ctx, const sky_problem *p,
                                 const sky_problem_labels *l, cJSON *to) {
  const size_t n = l->n_sector, m = p->n_state;
  sky_posterior post = {0};
  double *W = NULL, *M = NULL;
  sky_status st = SKY_OK;
  if (n == 0) return SKY_OK;
  SKY_GO_ALLOC(W, SKY_NEW0(ctx, double, n *m));
  SKY_GO_ALLOC(M, SKY_NEW(ctx, double, n *n));
  for (size_t i = 0; i < m; i++)
    W[(size_t)l->sector[i] * m + i] = 1;
  const sky_functionals sectors = {.n_zone = n, .W = W, .totals_only = true};
  SKY_GO(sky_problem_solve(ctx, p, &sectors, &post));
  SKY_GO(sky_sector_kernel(ctx, n, m, W, post.zone_A, M));
  SKY_GO(sky_invert_numbers(ctx, to, "sector_totals", post.total, n));
  SKY_GO(sky_invert_numbers(ctx, to, "sector_sds", post.total_sd, n));
  cJSON *rows = sky_invert_object(ctx, to, "sector_kernel", true);
  SKY_GO(rows != NULL ? SKY_OK : SKY_E_NOMEM);
  for (size_t i = 0; i < n; i++) {
    cJSON *row = sky_invert_object(ctx, rows, NULL, false);
    SKY_GO(row != NULL ? SKY_OK : SKY_E_NOMEM);
    SKY_GO(sky_invert_numbers(ctx, row, "row", M + i * n, n));
  }
cleanup:
  sky_posterior_free(&post);
  sky_free(W);
  sky_free(M);
  return st;
}

static sky_status answer_coarser(sky_context *ctx, const char *text, const sky_problem *p,
                                 const sky_problem_labels *l, cJSON *to) {
  char *end;
  const unsigned long f = strtoul(text, &end, 10);
  sky_aggregation a = {0};
  int32_t *block = NULL;
  sky_status st = SKY_OK;
  if (*text == '\0' || *end != '\0' || f < 2 || f > p->n_cell)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --coarsen '%s' (expected a whole number 2..%zu)",
                    text, p->n_cell);
  if (l->nx == 0)
    return sky_fail(ctx, SKY_E_USAGE, "invert: --coarsen needs nx and ny in the problem file");
  const size_t bx = (l->nx + f - 1) / f, by = (l->ny + f - 1) / f;
  SKY_GO_ALLOC(block, SKY_NEW(ctx, int32_t, p->n_cell));
  for (size_t c = 0; c < p->n_cell; c++)
    block[c] = (int32_t)(c / l->nx / f * bx + c % l->nx / f);
  SKY_GO(sky_aggregation_error(ctx, p, bx * by, block, &a));
  cJSON *item = sky_invert_object(ctx, to, "coarser_mesh", false);
  SKY_GO(item != NULL ? SKY_OK : SKY_E_NOMEM);
  SKY_GO(sky_invert_number(ctx, item, "unknowns", (double)(a.n_block * p->n_time)));
  SKY_GO(sky_invert_number(ctx, item, "aggregation_error_rms", sqrt(a.mean_variance)));
  SKY_GO(sky_invert_number(ctx, item, "dofs", a.dofs_coarse));
  SKY_GO(sky_invert_number(ctx, item, "dofs_lost", a.dofs - a.dofs_coarse));
cleanup:
  sky_aggregation_free(&a);
  sky_free(block);
  return st;
}

/* The total's variance is what is not seen plus noise. */
static sky_status answer_total(sky_context *ctx, const sky_problem *p, const sky_posterior *post,
                               cJSON *to) {
  double *ones = SKY_NEW(ctx, double, p->n_state), smoothing = 0;
  if (ones == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < p->n_state; i++)
    ones[i] = 1;
  const sky_status st = sky_smoothing_error(ctx, p, 1, ones, post->zone_A, &smoothing);
  sky_free(ones);
  SKY_TRY(st);
  SKY_TRY(sky_invert_number(ctx, to, "total_smoothing_sd", sqrt(smoothing)));
  return sky_invert_number(ctx, to, "total_noise_sd", sqrt(post->zone_noise_var[0]));
}

sky_status sky_invert_diagnose(sky_context *ctx, const sky_invert_modes *m, const sky_problem *p,
                               const sky_problem_labels *l, const sky_posterior *post,
                               sky_diagnosis *diagnosis, cJSON *answer) {
  cJSON *to = sky_invert_object(ctx, answer, "diagnosis", false);
  if (to == NULL) return SKY_E_NOMEM;
  SKY_TRY(sky_diagnose(ctx, p, l->n_overpass, l->overpass, diagnosis));
  SKY_TRY(answer_fit(ctx, diagnosis, to));
  SKY_TRY(answer_total(ctx, p, post, to));
  SKY_TRY(answer_sectors(ctx, p, l, to));
  return m->coarsen != NULL ? answer_coarser(ctx, m->coarsen, p, l, to) : SKY_OK;
}

sky_status sky_invert_put_diagnosis(sky_ncw *w, const sky_diagnosis *d) {
  const struct {
    const char *name, *dim, *what;
    const double *data;
  } columns[] = {
      {"loo_error", "obs", "observation minus its prediction from all others", d->loo_error},
      {"loo_sd", "obs", "standard deviation of that, as stated", d->loo_sd},
      {"influence", "obs", "of an observation on its own prediction", d->influence},
      {"innovation", "obs", "observation minus prior prediction, over its sd", d->innovation},
      {"eigenvalue", "rank", "of the prior-preconditioned Hessian, minus 1", d->eigenvalue}};
  if (d->n == 0) return SKY_OK;
  if (d->eigenvalue != NULL) SKY_TRY(sky_ncw_dim(w, "rank", d->n));
  for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
    if (columns[i].data == NULL) continue;
    SKY_TRY(sky_ncw_var(w, columns[i].name, 'd', columns[i].dim));
    SKY_TRY(sky_ncw_att(w, columns[i].name, "units", "1"));
    SKY_TRY(sky_ncw_att(w, columns[i].name, "long_name", columns[i].what));
    SKY_TRY(sky_ncw_put(w, columns[i].name, columns[i].data));
  }
  return SKY_OK;
}
