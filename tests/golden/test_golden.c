/* Runs the golden files beside it: values that a scientist can read and check. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/column/column.h"
#include "algorithms/column/super.h"
#include "algorithms/fusion/compare.h"
#include "algorithms/fusion/fuse.h"
#include "algorithms/inversion/covariance.h"
#include "fixture_problem.h"

#define FOLDER SKYFLUX_SOURCE "/tests/golden/"

enum { MAX_NUMBERS = 32, MAX_ROWS = 16 };

static bool agrees(double got, double want, double relative) {
  if (isnan(want)) return isnan(got);
  if (isinf(want)) return got == want;
  return fabs(got - want) <= relative * fmax(fabs(want), 1e-3);
}

/* Up to `room` numbers of text; "-" is NaN. Stops at the first word that is none. */
static size_t numbers(const char *text, double *out, size_t room) {
  size_t n = 0;
  char *end;
  while (n < room) {
    while (*text == ' ')
      text++;
    if (text[0] == '-' && (text[1] == ' ' || text[1] == '\n' || text[1] == '\0')) {
      out[n++] = NAN;
      text++;
      continue;
    }
    out[n] = strtod(text, &end);
    if (end == text) break;
    n++;
    text = end;
  }
  return n;
}

/* Calls fn for every line that is not empty or a comment; fails the test when there is none. */
typedef void (*line_fn)(void *user, const char *line);
static void each_line(const char *name, line_fn fn, void *user) {
  char path[512], line[512];
  int count = 0;
  snprintf(path, sizeof path, "%s%s", FOLDER, name);
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  while (fgets(line, sizeof line, f) != NULL) {
    if (line[0] == '#' || line[0] == '\n') continue;
    fn(user, line);
    count++;
  }
  fclose(f);
  assert_true(count > 0);
}

/* ---- functions.gold ------------------------------------------------------------------------- */

static double call(const char *name, const char *word, const double *a, size_t n) {
  double work[MAX_NUMBERS];
  sky_context *ctx = fixture_context(1);
  double value = NAN;
  sky_correlation model = {SKY_CORR_NONE, 0};
  if (strcmp(name, "correlation") == 0) {
    assert_int_equal(sky_correlation_parse(ctx, word, &model), SKY_OK);
    value = sky_correlation_value(model, a[0], a[1]);
  } else if (strcmp(name, "quantile") == 0) {
    value = sky_quantile(n - 1, a + 1, a[0], work);
  } else if (strcmp(name, "superobs") == 0) {
    value = sky_superobs_sigma(n - 2, a + 2, a[0], a[1]);
  } else if (strcmp(name, "normal_p") == 0) {
    value = sky_normal_two_sided_p(a[0]);
  } else if (strcmp(name, "detectable") == 0) {
    value = sky_detectable(a[0], a[1]);
  } else {
    fail_msg("unknown function '%s'", name);
  }
  sky_context_free(ctx);
  return value;
}

static void check_function(void *user, const char *line) {
  (void)user;
  char name[32] = "", word[32] = "";
  double arguments[MAX_NUMBERS], want;
  int used = 0;
  assert_int_equal(sscanf(line, "%31s %n", name, &used), 1);
  const char *rest = line + used, *result = strchr(line, '=');
  assert_non_null(result);
  if (strcmp(name, "correlation") == 0) {
    assert_int_equal(sscanf(rest, "%31s %n", word, &used), 1);
    rest += used;
  }
  const size_t n = numbers(rest, arguments, MAX_NUMBERS);
  assert_true(numbers(result + 1, &want, 1) == 1);
  if (!agrees(call(name, word, arguments, n), want, 1e-14))
    fail_msg("%.17g is not: %s", call(name, word, arguments, n), line);
}

static void test_functions(void **state) {
  (void)state;
  each_line("functions.gold", check_function, NULL);
}

/* ---- compare.gold --------------------------------------------------------------------------- */

typedef struct family { /* one table of the file, with what is expected of each row */
  double chi2;
  size_t n;
  sky_comparison row[MAX_ROWS];
  char id[MAX_ROWS][32], verdict[MAX_ROWS][32];
  double want[MAX_ROWS][5];
} family;

static void check_family(family *t) {
  sky_context *ctx = fixture_context(1);
  assert_int_equal(sky_compare(ctx, t->n, t->row), SKY_OK);
  for (size_t i = 0; i < t->n; i++) {
    const sky_comparison *r = &t->row[i];
    const double got[5] = {r->z, r->p, r->q, r->reduction, r->detectable};
    assert_string_equal(sky_verdict_name(r->verdict), t->verdict[i]);
    for (int k = 0; k < 5; k++)
      if (!agrees(got[k], t->want[i][k], 1e-12))
        fail_msg("%s: number %d is %.17g (expected %.17g)", t->id[i], k, got[k], t->want[i][k]);
    assert_true(strlen(r->reason) > 0 && strlen(r->reason) < sizeof r->reason);
    const bool judged = r->verdict != SKY_VERDICT_NOT_COMPARABLE;
    assert_true((strstr(r->reason, "chi2 unknown") != NULL) == (judged && isnan(t->chi2)));
    assert_true((strstr(r->reason, "inflated by 1.50") != NULL) == (judged && t->chi2 == 2.25));
  }
  sky_context_free(ctx);
}

static void take_row(void *user, const char *line) {
  family *t = user;
  char chi2[32], comparable[8];
  if (sscanf(line, "table chi2 %31s", chi2) == 1) {
    if (t->n > 0) check_family(t);
    t->n = 0;
    t->chi2 = strtod(chi2, NULL);
    return;
  }
  const size_t i = t->n++;
  assert_true(i < MAX_ROWS);
  double in[6];
  const char *first = strchr(line, '|');
  const char *second = first != NULL ? strchr(first + 1, '|') : NULL;
  const char *third = second != NULL ? strchr(second + 1, '|') : NULL;
  assert_non_null(third);
  assert_int_equal(sscanf(line, "%31s %7s", t->id[i], comparable), 2);
  assert_true(numbers(first + 1, in, 6) == 6);
  assert_int_equal(sscanf(second + 1, " %31[a-z ]", t->verdict[i]), 1);
  t->verdict[i][strcspn(t->verdict[i], "|")] = '\0';
  for (size_t k = strlen(t->verdict[i]); k > 0 && t->verdict[i][k - 1] == ' '; k--)
    t->verdict[i][k - 1] = '\0';
  assert_true(numbers(third + 1, t->want[i], 5) == 5);
  t->row[i] = (sky_comparison){.comparable = strcmp(comparable, "yes") == 0,
                               .why_not = "buffer of the state",
                               .top_down = in[0],
                               .bottom_up = in[1],
                               .bottom_up_seen = in[1],
                               .prior_sd = in[2],
                               .post_sd = in[3],
                               .null_var = in[4],
                               .response = in[5],
                               .chi2_per_obs = t->chi2};
}

static void test_compare(void **state) {
  (void)state;
  family t = {.n = 0};
  each_line("compare.gold", take_row, &t);
  check_family(&t);
}

/* ---- fusion.gold ---------------------------------------------------------------------------- */

enum { N = 6, M = 4 };

typedef struct fusion {
  double B[N * N], H[M * N], naive[N], null[N], dofs;
  double independent[N], claimed[N], fused[N], chi2, correlated[N], correlated_var[N];
  size_t rows_B, rows_H;
} fusion;

static void take_fusion(void *user, const char *line) {
  fusion *f = user;
  const char *rest = line + strcspn(line, " ");
  if (strncmp(line, "B ", 2) == 0)
    assert_true(numbers(rest, f->B + N * f->rows_B++, N) == N);
  else if (strncmp(line, "H ", 2) == 0)
    assert_true(numbers(rest, f->H + N * f->rows_H++, N) == N);
  else if (strncmp(line, "naive ", 6) == 0)
    assert_true(numbers(rest, f->naive, N) == N);
  else if (strncmp(line, "null ", 5) == 0)
    assert_true(numbers(rest, f->null, N) == N);
  else if (strncmp(line, "dofs ", 5) == 0)
    assert_true(numbers(rest, &f->dofs, 1) == 1);
  else if (strncmp(line, "independent ", 12) == 0)
    assert_true(numbers(rest, f->independent, N) == N);
  else if (strncmp(line, "claimed ", 8) == 0)
    assert_true(numbers(rest, f->claimed, N) == N);
  else if (strncmp(line, "fused ", 6) == 0)
    assert_true(numbers(rest, f->fused, N) == N);
  else if (strncmp(line, "chi2 ", 5) == 0)
    assert_true(numbers(rest, &f->chi2, 1) == 1);
  else if (strncmp(line, "correlated ", 11) == 0)
    assert_true(numbers(rest, f->correlated, N) == N);
  else if (strncmp(line, "correlated_var ", 15) == 0)
    assert_true(numbers(rest, f->correlated_var, N) == N);
  else
    fail_msg("unknown line: %s", line);
}

/* Printed digits, and the identities: with C = B (I - A)ᵀ the posterior comes back, and without it
 * half to two thirds of the true variance are claimed. */
static void check_fuse(sky_context *ctx, const fusion *f, const sky_posterior *post) {
  static const double share[N] = {1, 0.5, -0.5, 0.2, 0.8, 1};
  static const double x_B[N] = {1, 2, 3, 4, 5, 6}, x_T[N] = {2, 1, 5, 3, 9, 4};
  const double *P = post->zone_cov;
  double C[N * N], BAt[N * N], partial[N * N], K[N * N], actual[N];
  fixture_multiply(N, N, N, false, f->B, true, post->zone_A, BAt);
  for (size_t i = 0; i < N * N; i++) {
    C[i] = f->B[i] - BAt[i];
    partial[i] = 0.3 * P[i] * share[i % N];
  }
  sky_fusion same, alone, mixed;
  double start[N];
  for (size_t i = 0; i < N; i++)
    start[i] = post->prior_total[i];
  assert_int_equal(sky_fuse(ctx, N, start, f->B, post->total, P, C, &same), SKY_OK);
  assert_int_equal(same.rank, M); /* of four observations */
  assert_int_equal(sky_fuse(ctx, N, x_B, f->B, x_T, P, NULL, &alone), SKY_OK);
  assert_int_equal(sky_fuse(ctx, N, x_B, f->B, x_T, P, partial, &mixed), SKY_OK);
  /* K = B (B + P)⁻¹ and what it really does: errors correlated by C */
  double S[N * N], inverse[N * N];
  for (size_t i = 0; i < N * N; i++)
    S[i] = f->B[i] + P[i];
  fixture_inverse(N, S, inverse);
  fixture_multiply(N, N, N, false, f->B, false, inverse, K);
  for (size_t i = 0; i < N; i++) {
    actual[i] = 0;
    for (size_t a = 0; a < N; a++)
      for (size_t b = 0; b < N; b++) {
        const double ka = K[i * N + a], kb = K[i * N + b], ia = (i == a) - ka, ib = (i == b) - kb;
        actual[i] +=
            ia * f->B[a * N + b] * ib + ka * P[a * N + b] * kb + 2 * ia * C[a * N + b] * kb;
      }
    assert_true(agrees(same.x[i], post->total[i], 1e-9));
    assert_true(agrees(same.P[i * (N + 1)], P[i * (N + 1)], 1e-9));
    assert_true(fabs(alone.P[i * (N + 1)] - f->independent[i]) <= 5.001e-11);
    assert_true(fabs(alone.P[i * (N + 1)] / actual[i] - f->claimed[i]) <= 5.001e-5);
    assert_true(fabs(alone.x[i] - f->fused[i]) <= 5.001e-11);
    assert_true(fabs(mixed.x[i] - f->correlated[i]) <= 5.001e-11);
    assert_true(fabs(mixed.P[i * (N + 1)] - f->correlated_var[i]) <= 5.001e-11);
  }
  assert_true(fabs(alone.chi2 - f->chi2) <= 5.001e-11);
  sky_fusion_free(&same);
  sky_fusion_free(&alone);
  sky_fusion_free(&mixed);
}

/* The inventory was the prior: V = B - P, and the test that forgets it is 1.1 to 4.2 times too
 * wide. */
static void test_fusion(void **state) {
  (void)state;
  fusion f = {.dofs = 0};
  each_line("fusion.gold", take_fusion, &f);
  assert_true(f.rows_B == N && f.rows_H == M);
  sky_context *ctx = fixture_context(1);
  size_t rowptr[M + 1];
  int32_t col[M * N];
  double y[M] = {1, -2, 0.5, 3}, r[M], x0[N] = {0}, one[N], W[N * N] = {0}, D = 1;
  for (size_t i = 0; i < M * N; i++)
    col[i] = (int32_t)(i % N);
  for (size_t i = 0; i <= M; i++)
    rowptr[i] = i * N;
  for (size_t i = 0; i < M; i++)
    r[i] = sqrt(0.5);
  for (size_t i = 0; i < N; i++)
    one[i] = W[i * (N + 1)] = 1;
  sky_problem p = {.n_obs = M,
                   .n_state = N,
                   .n_cell = N,
                   .n_time = 1,
                   .rowptr = rowptr,
                   .col = col,
                   .val = f.H,
                   .y = y,
                   .r_sd = r,
                   .x0 = x0,
                   .x_sd = one,
                   .E = f.B,
                   .D = &D};
  const sky_functionals zones = {.n_zone = N, .W = W};
  sky_posterior post;
  assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post), SKY_OK);
  assert_true(agrees(post.dofs, f.dofs, 1e-13));
  for (size_t i = 0; i < N; i++) {
    const double prior = pow(post.prior_sd[i], 2), posterior = pow(post.total_sd[i], 2);
    const double null = pow(post.zone_null_sd[i], 2);
    assert_true(agrees(null, prior - posterior, 1e-11));
    assert_true(fabs(null - f.null[i]) <= 5.001e-9); /* printed digits */
    assert_true(fabs(sqrt((prior + posterior) / null) - f.naive[i]) <= 0.005001);
  }
  check_fuse(ctx, &f, &post);
  sky_posterior_free(&post);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_functions),
                                     cmocka_unit_test(test_compare), cmocka_unit_test(test_fusion)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
