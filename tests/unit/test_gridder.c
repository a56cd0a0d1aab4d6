/* Accounted emissions on cells: what closes exactly, and the covariance against drawn shares. */
#include <float.h>
#include <math.h>

#include "algorithms/inventory/gridder.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"
#include "tests/support/sky_cmocka.h"

#define N 6

static const char *const FACTORS =
    "fuel,value,unit,sd_percent,source\nraw_coal,0.7,tce/t,40,own\nraw_coal,2.7,tCO2/tce,30,own\n"
    "coke,2.7,tCO2/t,10,own\nwaste,50,kgCH4/t,40,own\n";

static sky_activity row(const char *region, const char *sector, const char *fuel, double amount,
                        double sd) {
  return (sky_activity){.region = region,
                        .sector = sector,
                        .fuel = fuel,
                        .amount = amount,
                        .unit = "t",
                        .sd = sd,
                        .source = "test",
                        .line = 2,
                        .missing = isnan(amount) ? "not there" : NULL};
}

/* A county over cells 0 to 3, a park inside over cells 2 and 3, a county over cells 3 to 5. The
 * proxy gives the shares 2:2:3:1, 1:3 and 0:1:1. */
static const size_t CELL_A[] = {0, 1, 2, 3}, CELL_P[] = {2, 3}, CELL_B[] = {3, 4, 5};
static const double IN_A[] = {2, 3, 4, 1}, IN_P[] = {4.0 / 3, 3}, IN_B[] = {0.5, 2, 1};
static const sky_gridder_region REGIONS[] = {
    {"a", 4, CELL_A, IN_A}, {"p", 2, CELL_P, IN_P}, {"b", 3, CELL_B, IN_B}};
static const double DENSITY[N] = {1, 2.0 / 3, 0.75, 1, 0.5, 1};
static const sky_gridder_proxy PROXY[] = {{"x", DENSITY, 8}};

typedef struct scene {
  sky_table *user;
  sky_factors *f;
  sky_account a;
  sky_gridder_task task;
} scene;

static void open_scene(sky_context *ctx, size_t n, const sky_activity *rows, scene *s) {
  const sky_factor_rules rules = {
      .coal_edition = "2020", .carbon_edition = "2015", .factor_sd = NAN, .year = 2023};
  assert_int_equal(sky_table_parse(ctx, "own.csv", FACTORS, strlen(FACTORS), &s->user), SKY_OK);
  assert_int_equal(sky_factors_create(ctx, &rules, s->user, "own.csv", &s->f), SKY_OK);
  if (sky_account_run(ctx, s->f, "a.csv", n, rows, &s->a) != SKY_OK) fail_msg("%s", sky_error(ctx));
  s->task = (sky_gridder_task){.account = &s->a,
                               .rows = rows,
                               .gas = SKY_GAS_CO2,
                               .n_cell = N,
                               .n_regions = 3,
                               .region = REGIONS,
                               .n_proxies = 1,
                               .proxy = PROXY};
}

static void close_scene(scene *s) {
  sky_account_free(&s->a);
  sky_factors_free(s->f);
  sky_table_free(s->user);
}

static double covariance(const sky_gridder *g, size_t i, size_t j) {
  double sum = i == j ? g->variance[i] : 0;
  for (size_t k = 0; k < g->rank; k++)
    sum += g->sign[k] * g->factor[k * g->n_cell + i] * g->factor[k * g->n_cell + j];
  return sum;
}

#define ROWS(name)                                                              \
  const sky_activity name[] = {                                                 \
      row("a", "x", "raw_coal", 100, 0.3), row("a", "y", "coke", 80, 0.2),      \
      row("a", "x", "coke", 50, 0.1),      row("p", "x", "raw_coal", 60, 0.25), \
      row("p", "x", "waste", 500, 0.1),    row("b", "x", "coke", 120, 0.05),    \
      row("b", "y", "waste", 900, 0.2),    row("a", "y", "waste", NAN, 0.2)}

/* Sums of whole regions are the account's, in value, variance and covariance. */
static void test_account(void **state) {
  ROWS(rows);
  static const sky_gas GAS[] = {SKY_GAS_CO2, SKY_GAS_CH4};
  scene s = {0};
  open_scene(*state, 8, rows, &s);
  for (size_t m = 0; m < 2; m++) {
    sky_gridder g;
    sky_acc mass = {0}, known = {0};
    double total, var, a_var, b_var;
    s.task.gas = GAS[m];
    assert_int_equal(sky_gridder_run(*state, &s.task, &g), SKY_OK);
    for (size_t r = 0; r < 3; r++) {
      const size_t t = sky_account_find(&s.a, REGIONS[r].id, GAS[m], SKY_SCOPE_1);
      sky_part part[3] = {{false, NULL}};
      part[r].whole = true;
      sky_gridder_sum(&g, part, &total, &var);
      assert_close(total, s.a.total[t].known, 1e-15);
      assert_close(var, sky_account_covariance(&s.a, t, t), 1e-12);
      sky_acc_add(&known, s.a.total[t].known);
    }
    sky_gridder_sum(&g, (sky_part[]){{true, NULL}, {0}, {0}}, &total, &a_var);
    sky_gridder_sum(&g, (sky_part[]){{0}, {0}, {true, NULL}}, &total, &b_var);
    sky_gridder_sum(&g, (sky_part[]){{true, NULL}, {0}, {true, NULL}}, &total, &var);
    const size_t ta = sky_account_find(&s.a, "a", GAS[m], SKY_SCOPE_1),
                 tb = sky_account_find(&s.a, "b", GAS[m], SKY_SCOPE_1);
    assert_close((var - a_var - b_var) / 2 + 1, sky_account_covariance(&s.a, ta, tb) + 1, 1e-12);
    double all = 0;
    for (size_t i = 0; i < N; i++) {
      sky_acc_add(&mass, g.emission[i]);
      for (size_t j = 0; j < N; j++)
        all += covariance(&g, i, j);
    }
    sky_gridder_sum(&g, (sky_part[]){{true, NULL}, {true, NULL}, {true, NULL}}, &total, &var);
    assert_close(all, var, 1e-12); /* over cells as over blocks */
    assert_true(fabs(sky_acc_value(&mass) - sky_acc_value(&known)) <=
                4 * DBL_EPSILON * sky_acc_value(&known));
    sky_gridder_free(&g);
  }
  assert_true(sky_account_find(&s.a, "p", SKY_GAS_N2O, SKY_SCOPE_1) == SIZE_MAX);
  close_scene(&s);
}

/* By hand: 50 t coke and 100 t coal by the proxy 2:2:3:1, 80 t coke by area 2:3:4:1. */
static void test_numbers(void **state) {
  ROWS(rows);
  scene s = {0};
  sky_gridder g;
  open_scene(*state, 8, rows, &s);
  assert_int_equal(sky_gridder_run(*state, &s.task, &g), SKY_OK);
  const double x = 1e3 * (100 * 0.7 * 2.7 + 50 * 2.7), y = 1e3 * 80 * 2.7;
  assert_close(g.emission[0], x * 2 / 8 + y * 2 / 10, 1e-14);
  assert_close(g.emission[5], 1e3 * 120 * 2.7 / (0.5 + 1 + 1), 1e-14);
  /* var E = K²((1 + .2²)(1 + .1²) - 1); diagonal (E² + var E) w/51, alone: 80 t coke on cell 0 */
  const double var_y = y * y * (1.04 * 1.01 - 1);
  const double coal = 1e3 * 100 * 0.7 * 2.7, coke = 1e3 * 50 * 2.7;
  const double var_x = coal * coal * (1.09 * 1.16 * 1.09 - 1) + coke * coke * (1.01 * 1.01 - 1);
  assert_close(g.variance[0], (y * y + var_y) * 0.2 / 51 + (x * x + var_x) * 0.25 / 9, 1e-12);
  assert_int_equal(g.n_blocks, 4);
  sky_gridder_free(&g);
  close_scene(&s);
}

static double exponentials(uint64_t stream, uint64_t i, int shape) {
  double sum = 0;
  for (int k = 0; k < shape; k++)
    sum -= log(sky_rng_uniform(5, stream * 64 + (uint64_t)k, i));
  return sum;
}

/* Dirichlet shares from sums of exponentials (gamma of whole shape). */
static void dirichlet(uint64_t *stream, uint64_t i, size_t n, const int *shape, double *w) {
  double sum = 0;
  for (size_t k = 0; k < n; k++)
    sum += w[k] = exponentials((*stream)++, i, shape[k]);
  for (size_t k = 0; k < n; k++)
    w[k] /= sum;
}

#define DRAWS 200000

/* Cells 2 and 3 lie in both the county and its park; half of the county's cell 2 is asked for. */
static void test_monte_carlo(void **state) {
  ROWS(rows);
  static const int SHAPE_AX[] = {2, 2, 3, 1}, SHAPE_AY[] = {10, 15, 20, 5}, SHAPE_PX[] = {2, 6};
  static const double HALF[] = {0, 1, 0.5, 0}, ONE[] = {1, 0};
  double s[5] = {0}, ss[5][5] = {{0}}, var, total;
  for (uint64_t i = 0; i < DRAWS; i++) {
    double z[8], ax[4], ay[4], px[2], e[5] = {0};
    uint64_t stream = 0;
    for (uint64_t k = 0; k < 8; k++)
      z[k] = sky_rng_normal(11, k, i);
    const double coal = 0.7 * (1 + 0.4 * z[0]) * 2.7 * (1 + 0.3 * z[1]);
    const double coke = 2.7 * (1 + 0.1 * z[2]);
    const double tax = 100 * (1 + 0.3 * z[3]) * coal + 50 * (1 + 0.1 * z[4]) * coke;
    const double tay = 80 * (1 + 0.2 * z[5]) * coke, tpx = 60 * (1 + 0.25 * z[6]) * coal;
    dirichlet(&stream, i, 4, SHAPE_AX, ax);
    dirichlet(&stream, i, 4, SHAPE_AY, ay);
    dirichlet(&stream, i, 2, SHAPE_PX, px);
    for (size_t k = 0; k < 4; k++)
      e[k] = tax * ax[k] + tay * ay[k] + (k >= 2 ? tpx * px[k - 2] : 0);
    for (size_t k = 0; k < 4; k++)
      e[4] += HALF[k] * (tax * ax[k] + tay * ay[k]);
    e[4] += tpx * px[0];
    for (int p = 0; p < 5; p++) {
      s[p] += e[p];
      for (int q = 0; q < 5; q++)
        ss[p][q] += e[p] * e[q];
    }
  }
  scene c = {0};
  sky_gridder g;
  open_scene(*state, 8, rows, &c);
  c.a.line[5].emission = NAN; /* without the other county, which meets cell 3 */
  assert_int_equal(sky_gridder_run(*state, &c.task, &g), SKY_OK);
  for (size_t p = 0; p < 5; p++)
    for (size_t q = 0; q < 5; q++)
      ss[p][q] = ss[p][q] / DRAWS - s[p] / DRAWS * (s[q] / DRAWS);
  for (size_t p = 0; p < 4; p++)
    for (size_t q = 0; q < 4; q++) {
      const double got = covariance(&g, p, q) * 1e-6;
      assert_true(fabs(got - ss[p][q]) <= 0.02 * sqrt(ss[p][p] * ss[q][q]));
      if (p == q) assert_close(got, ss[p][q], 0.02);
    }
  sky_gridder_sum(&g, (sky_part[]){{false, HALF}, {false, ONE}, {0}}, &total, &var);
  assert_close(var * 1e-6, ss[4][4], 0.02);
  assert_close(total * 1e-3, s[4] / DRAWS, 0.01);
  sky_gridder_free(&g);
  close_scene(&c);
}

/* Cholesky of the covariance over cells, a rounding error added. */
static void test_psd(void **state) {
  ROWS(rows);
  scene s = {0};
  sky_gridder g;
  double c[N][N], trace = 0;
  bool negative = false;
  open_scene(*state, 8, rows, &s);
  assert_int_equal(sky_gridder_run(*state, &s.task, &g), SKY_OK);
  for (size_t i = 0; i < N; i++) {
    trace += covariance(&g, i, i);
    for (size_t j = 0; j < N; j++)
      c[i][j] = covariance(&g, i, j);
  }
  for (size_t k = 0; k < g.rank; k++)
    negative = negative || g.sign[k] < 0;
  assert_true(negative); /* else the test is empty */
  for (size_t j = 0; j < N; j++) {
    c[j][j] += 1e-13 * trace;
    for (size_t k = 0; k < j; k++)
      c[j][j] -= c[j][k] * c[j][k];
    assert_true(c[j][j] > 0);
    c[j][j] = sqrt(c[j][j]);
    for (size_t i = j + 1; i < N; i++) {
      for (size_t k = 0; k < j; k++)
        c[i][j] -= c[i][k] * c[j][k];
      c[i][j] /= c[j][j];
    }
  }
  sky_gridder_free(&g);
  close_scene(&s);
}

/* A proxy without data in a region: by area there, and told; an unknown region is refused. */
static void test_fallback_and_refusals(void **state) {
  static const double blank[N] = {1, 1, 1, NAN, NAN, NAN};
  const sky_gridder_proxy proxy[] = {{"x", blank, 8}}, bad[] = {{"x", DENSITY, 0}};
  const sky_activity rows[] = {row("a", "x", "coke", 1, 0), row("b", "x", "coke", 1, 0),
                               row("p", "y", "coke", 1, 0), row("c", "x", "coke", 1, 0)};
  scene s = {0};
  sky_gridder g;
  open_scene(*state, 3, rows, &s);
  s.task.proxy = proxy;
  assert_int_equal(sky_gridder_run(*state, &s.task, &g), SKY_OK);
  assert_true(g.block[0].placed.proxy == 0 && g.block[0].placed.no_data == 1);
  assert_true(g.block[1].placed.proxy == SKY_PLACE_UNIFORM && g.block[1].proxy == 0);
  assert_true(g.block[2].proxy == SIZE_MAX);
  assert_close(g.emission[4], 2700 * 2 / 3.5, 1e-14);
  sky_gridder_free(&g);
  s.task.proxy = bad;
  assert_fails(*state, sky_gridder_run(*state, &s.task, &g), SKY_E_RANGE, "concentration 0");
  close_scene(&s);
  open_scene(*state, 4, rows, &s);
  assert_fails(*state, sky_gridder_run(*state, &s.task, &g), SKY_E_RANGE, "'c' is not known");
  assert_null(g.block);
  close_scene(&s);
}

static void test_allocation_failures(void **state) {
  ROWS(rows);
  scene s = {0};
  size_t failures = 0;
  open_scene(*state, 8, rows, &s);
  for (uint64_t n = 1;; n++) {
    sky_gridder g;
    sky_memory_fail_at(*state, n);
    const sky_status st = sky_gridder_run(*state, &s.task, &g);
    sky_memory_fail_at(*state, 0);
    if (st == SKY_OK) sky_gridder_free(&g);
    if (st == SKY_OK) break;
    assert_int_equal(st, SKY_E_NOMEM);
    assert_null(g.block);
    failures++;
  }
  assert_true(failures > 10);
  close_scene(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_account),
                                     SKY_UNIT(test_numbers),
                                     SKY_UNIT(test_monte_carlo),
                                     SKY_UNIT(test_psd),
                                     SKY_UNIT(test_fallback_and_refusals),
                                     SKY_UNIT(test_allocation_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
