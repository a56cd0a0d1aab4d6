/* OSSE: 200 problems whose truth and noise are drawn from the model's own statistics. Zone totals
 * must be covered as often as their sd claims, ranks be flat, and the cost terms have their
 * expectations (Jb/DOFS and (Jb+Jo)/n are 1 on average), with Q as Kronecker product and as low
 * rank
 * + diagonal. Four broken inversions must fail the same test. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fixture_problem.h"
#include "src/core/memory.h"

enum { DRAWS = 200, CELLS = 6, TIMES = 6, OBS = 24, ZONES = 3, STATE = CELLS * TIMES, BINS = 10 };

typedef enum defect { NONE, SIGN_FLIPPED, HOUR_SHIFTED, TIME_AND_SPACE_SWAPPED, SIGNS_LOST } defect;

typedef struct score {
  int inside68[ZONES], inside95[ZONES], rank[ZONES][BINS];
  double jb_per_dofs, j_per_n; /* means over draws */
  double jb_sd, j_sd;          /* expected sd of these means */
} score;

/* Zone 0 everything, zone 1 two cells, zone 2 two times. */
static void fill_zones(double *W) {
  memset(W, 0, ZONES * STATE * sizeof *W);
  for (size_t t = 0; t < TIMES; t++)
    for (size_t c = 0; c < CELLS; c++) {
      W[t * CELLS + c] = 1;
      W[STATE + t * CELLS + c] = c == 2 || c == 3;
      W[2 * STATE + t * CELLS + c] = t == 3 || t == 4;
    }
}

/* What the solver is given; the data stay as they are. */
static void damage(sky_problem *p, defect d) {
  const size_t nnz = p->rowptr[p->n_obs];
  double *swap = p->E;
  switch (d) {
    case NONE:
      break;
    case SIGN_FLIPPED:
      for (size_t k = 0; k < nnz; k++)
        p->val[k] = -p->val[k];
      break;
    case HOUR_SHIFTED: /* footprints one step late; the last step wraps to stay inside */
      for (size_t i = 0; i < p->n_obs; i++)
        for (size_t k = p->rowptr[i]; k < p->rowptr[i + 1]; k++)
          if (p->col[p->rowptr[i + 1] - 1] + CELLS < STATE) p->col[k] += CELLS;
      break;
    case TIME_AND_SPACE_SWAPPED:
      p->E = p->D;
      p->D = swap;
      break;
    case SIGNS_LOST: /* a region's total gets the error of its shares on top */
      for (size_t k = 0; k < p->q_rank; k++)
        p->q_sign[k] = 1;
      for (size_t i = 0; i < STATE; i++) {
        const double share =
            p->q_factor[(1 + FIXTURE_REGIONS + i * FIXTURE_REGIONS / STATE) * STATE + i];
        p->x_sd[i] = sqrt(p->x_sd[i] * p->x_sd[i] + 2 * share * share);
      }
      break;
  }
}

/* Standard normal distribution function. */
static double normal_cdf(double z) {
  return 0.5 * erfc(-z / sqrt(2));
}

static void run_osse(bool low_rank, defect d, score *s) {
  sky_context *ctx = fixture_context(1);
  double W[ZONES * STATE];
  const sky_functionals zones = {.n_zone = ZONES, .W = W};
  fill_zones(W);
  memset(s, 0, sizeof *s);
  for (uint64_t draw = 0; draw < DRAWS; draw++) {
    sky_problem p;
    sky_posterior post;
    (low_rank ? fixture_low_rank : fixture_problem)(ctx, 1 + draw, CELLS, TIMES, OBS, 0, &p);
    damage(&p, d);
    assert_int_equal(sky_problem_solve(ctx, &p, &zones, &post), SKY_OK);
    for (size_t z = 0; z < ZONES; z++) {
      double truth = 0;
      for (size_t i = 0; i < STATE; i++)
        truth += W[z * STATE + i] * p.x_true[i];
      const double miss = (truth - post.total[z]) / post.total_sd[z];
      s->inside68[z] += fabs(miss) < 0.99445788320975312; /* z of 68 % */
      s->inside95[z] += fabs(miss) < 1.9599639845400545;
      const int bin = (int)(normal_cdf(miss) * BINS);
      s->rank[z][bin < BINS ? bin : BINS - 1]++;
    }
    s->jb_per_dofs += post.jb / post.dofs / DRAWS;
    s->j_per_n += (post.jb + post.jo) / OBS / DRAWS;
    /* Jb = Σ a χ²₁ with eigenvalues a <= 1 of HK, so var(Jb) = 2Σa² <= 2 DOFS */
    s->jb_sd = sqrt(2 / post.dofs / DRAWS);
    s->j_sd = sqrt(2.0 / OBS / DRAWS);
    sky_posterior_free(&post);
    sky_problem_free(&p);
  }
  sky_context_free(ctx);
}

/* Every number inside limits that a right inversion leaves once in a thousand. */
static bool calibrated(const score *s) {
  bool good = fabs(s->jb_per_dofs - 1) < 3.3 * s->jb_sd && fabs(s->j_per_n - 1) < 3.3 * s->j_sd;
  for (size_t z = 0; z < ZONES; z++) {
    double chi2 = 0;
    good = good && s->inside68[z] >= 114 && s->inside68[z] <= 157;
    good = good && s->inside95[z] >= 180 && s->inside95[z] <= 199;
    for (size_t b = 0; b < BINS; b++)
      chi2 += pow(s->rank[z][b] - DRAWS / BINS, 2) / (DRAWS / BINS);
    good = good && chi2 < 27.88; /* 99.9 % of chi2 with 9 degrees of freedom */
  }
  return good;
}

static void show(const score *s) {
  for (size_t z = 0; z < ZONES; z++)
    print_message("zone %zu: %d inside 68 %%, %d inside 95 %% of %d\n", z, s->inside68[z],
                  s->inside95[z], DRAWS);
  print_message("Jb/DOFS %.3f, (Jb+Jo)/n %.3f\n", s->jb_per_dofs, s->j_per_n);
}

static void test_calibrated(void **state) {
  (void)state;
  score s;
  for (int low_rank = 0; low_rank < 2; low_rank++) {
    run_osse(low_rank, NONE, &s);
    show(&s);
    assert_true(calibrated(&s));
  }
}

static void test_defects_are_seen(void **state) {
  (void)state;
  for (int d = SIGN_FLIPPED; d <= TIME_AND_SPACE_SWAPPED; d++) {
    score s;
    run_osse(false, (defect)d, &s);
    show(&s);
    assert_false(calibrated(&s));
  }
  score s;
  run_osse(true, SIGNS_LOST, &s);
  show(&s);
  assert_false(calibrated(&s));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_calibrated),
                                     cmocka_unit_test(test_defects_are_seen)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
