/* Placement: mass, points, fall-back, residual, covariance against draws, threads. */
#include <math.h>
#include <omp.h>

#include "algorithms/inventory/place.h"
#include "src/core/rng.h"
#include "src/core/sum.h"
#include "tests/support/sky_cmocka.h"

static double neumaier(const double *x, size_t n) {
  sky_acc s = {0, 0};
  for (size_t i = 0; i < n; i++)
    sky_acc_add(&s, x[i]);
  return sky_acc_value(&s);
}

static double ulps(double a, double b) {
  return fabs(a - b) / (nextafter(b, INFINITY) - b);
}

#define N 4
static const double AREA[N] = {1e6, 1e6, 5e5, 0};
static const double LIGHT[N] = {1, 3, 2, 9};

static sky_place_task task(const double *const *proxies, size_t n_proxies, double total) {
  return (sky_place_task){.region = "a",
                          .n = N,
                          .inside = AREA,
                          .proxy = proxies,
                          .n_proxies = n_proxies,
                          .gamma = 1,
                          .total = total};
}

static void place(sky_context *ctx, const sky_place_task *t, double *e, double *w, sky_placed *p) {
  if (sky_place(ctx, t, e, w, p) != SKY_OK) fail_msg("%s", sky_error(ctx));
}

static void test_proxy(void **state) {
  const double *const proxies[] = {LIGHT};
  double e[N], w[N];
  sky_placed p;
  sky_place_task t = task(proxies, 1, 100);
  place(*state, &t, e, w, &p); /* weights 1, 3, 1, 0 · 10^6 */
  assert_close(e[0], 20, 1e-15);
  assert_close(e[1], 60, 1e-15);
  assert_close(e[2], 20, 1e-15);
  assert_true(e[3] == 0);
  assert_int_equal(p.proxy, 0);
  t.gamma = 2; /* 1, 9, 2 */
  place(*state, &t, e, w, &p);
  assert_close(e[1], 75, 1e-14);
}

static void test_points(void **state) {
  static const double plants[N] = {30, 0, 10, 0};
  const double *const proxies[] = {LIGHT};
  double e[N], w[N];
  sky_placed p;
  sky_place_task t = task(proxies, 1, 100);
  t.points = plants;
  place(*state, &t, e, w, &p);
  assert_close(e[0], 30 + 60 * 0.2, 1e-15);
  assert_close(e[2], 10 + 60 * 0.2, 1e-15);
  assert_true(p.points == 40 && p.rest == 60 && p.excess == 0);
  t.total = 20; /* scale is the default */
  place(*state, &t, e, w, &p);
  assert_close(e[0], 15, 1e-15);
  assert_true(e[1] == 0 && p.rest == 0);
  assert_close(p.excess, 20, 1e-15);
  assert_close(p.points, 20, 1e-15);
  t.excess = SKY_PLACE_KEEP;
  place(*state, &t, e, w, &p);
  assert_true(e[0] == 30 && p.total == 40 && p.excess == 20);
  t.excess = SKY_PLACE_ERROR;
  assert_fails(*state, sky_place(*state, &t, e, w, &p), SKY_E_RANGE, "points emit 40 kg");
  t.total = 100; /* an asset's own light taken off: 1 - 30e-3·..., cell 1 keeps all */
  t.excess = SKY_PLACE_SCALE;
  t.alpha = 1e6;
  place(*state, &t, e, w, &p);
  assert_true(e[0] == 30 && e[2] == 10);
  assert_close(e[1], 60, 1e-15);
}

/* The chain: a proxy that says nothing here, then the next, then area; recorded. */
static void test_fallback(void **state) {
  static const double dark[N] = {0, 0, 0, 7}, none[N] = {NAN, NAN, NAN, 1};
  static const double some[N] = {NAN, 2, 2, 2};
  const double *const chain[] = {none, dark, some};
  double e[N], w[N];
  sky_placed p;
  sky_place_task t = task(chain, 3, 30);
  place(*state, &t, e, w, &p);
  assert_int_equal(p.proxy, 2);
  assert_int_equal(p.no_data, 1);
  assert_close(e[1], 20, 1e-15);
  t.n_proxies = 2;
  place(*state, &t, e, w, &p);
  assert_true(p.proxy == SKY_PLACE_UNIFORM);
  assert_int_equal(p.no_data, 0);
  assert_close(e[0], 12, 1e-15);
  assert_close(e[2], 6, 1e-15);
}

static void test_refusals(void **state) {
  static const double nothing[N] = {0}, bad[N] = {1, -1, 1, 1};
  const double *const proxies[] = {bad};
  double e[N], w[N];
  sky_placed p;
  sky_place_task t = task(proxies, 1, 1);
  assert_fails(*state, sky_place(*state, &t, e, w, &p), SKY_E_RANGE, "cell 1: proxy 1 is -1");
  t.n_proxies = 0;
  t.total = NAN;
  assert_fails(*state, sky_place(*state, &t, e, w, &p), SKY_E_RANGE, "total nan");
  t.total = -1;
  assert_fails(*state, sky_place(*state, &t, e, w, &p), SKY_E_RANGE, "total -1");
  t.total = 1;
  t.gamma = 0;
  assert_fails(*state, sky_place(*state, &t, e, w, &p), SKY_E_RANGE, "gamma 0");
  t.gamma = 1;
  t.inside = nothing;
  assert_fails(*state, sky_place(*state, &t, e, w, &p), SKY_E_COVERAGE, "no cell of the grid");
}

#define REGIONS 200
#define CELLS 500

/* True if not even an ulp is left. */
static bool place_region(sky_context *ctx, size_t r, double *e) {
  double area[CELLS], light[CELLS], points[CELLS], w[CELLS];
  const double *const proxies[] = {light};
  sky_placed p;
  for (size_t i = 0; i < CELLS; i++) {
    area[i] = 1e6 * sky_rng_uniform(1, r, i);
    light[i] = exp(4 * sky_rng_normal(2, r, i));
    points[i] = i % 97 == 0 ? 1e3 * sky_rng_uniform(3, r, i) : 0;
  }
  const sky_place_task t = {.region = "r",
                            .n = CELLS,
                            .inside = area,
                            .points = points,
                            .proxy = proxies,
                            .n_proxies = 1,
                            .gamma = 0.7,
                            .total = exp(20 * sky_rng_uniform(4, r, 0))};
  if (sky_place(ctx, &t, e, w, &p) != SKY_OK) fail_msg("%s", sky_error(ctx));
  assert_true(ulps(neumaier(e, CELLS), t.total) <= 4);
  assert_true(ulps(neumaier(w, CELLS), 1) <= 4);
  return neumaier(e, CELLS) == t.total;
}

/* Any total and any weights close to 4 ulp, nearly all exactly (without the residual few do), and
 * are the same for any number of threads. */
static void test_mass_and_threads(void **state) {
  static double one[REGIONS][CELLS], many[REGIONS][CELLS];
  size_t exact = 0;
  for (size_t r = 0; r < REGIONS; r++)
    exact += place_region(*state, r, one[r]);
  assert_true(exact >= REGIONS * 9 / 10);
  for (int threads = 2; threads <= 5; threads += 3) {
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (size_t r = 0; r < REGIONS; r++)
      place_region(*state, r, many[r]);
    assert_memory_equal(one, many, sizeof one);
  }
}

/* Diagonal and coefficient of share shareᵀ. */
static void covariance(size_t n, const double *share, double rest, double sd, double kappa,
                       double *d, double *c) {
  const double spread = sky_place_spread(rest, sd * sd, kappa);
  for (size_t i = 0; i < n; i++)
    d[i] = spread * share[i];
  *c = sd * sd - spread;
}

/* The whole matrix, diag + coefficient · share shareᵀ. */
static double entry(const double *d, double c, const double *w, size_t i, size_t j) {
  return c * w[i] * w[j] + (i == j ? d[i] : 0);
}

#define DRAWS 3000000

/* Gamma variates with whole shapes 2, 1, 1 make a Dirichlet of kappa 4. */
static void test_covariance_drawn(void **state) {
  (void)state;
  static const double share[3] = {0.5, 0.25, 0.25};
  const double total = 10, sd = 3;
  double d[3], c, s[3] = {0}, ss[3][3] = {{0}}, wrong = 0, norm = 0;
  covariance(3, share, total, sd, 4, d, &c);
  for (uint64_t i = 0; i < DRAWS; i++) {
    uint32_t u[4];
    double g[4];
    sky_rng_philox4x32((const uint32_t[]){(uint32_t)i, 0, 0, 0}, (const uint32_t[]){5, 6}, u);
    for (int k = 0; k < 4; k++)
      g[k] = -log((u[k] + 0.5) / 4294967296.0);
    const double sum = g[0] + g[1] + g[2] + g[3], e = total + sd * sky_rng_normal(9, 0, i);
    const double x[3] = {e * (g[0] + g[1]) / sum, e * g[2] / sum, e * g[3] / sum};
    for (int p = 0; p < 3; p++) {
      s[p] += x[p];
      for (int q = 0; q < 3; q++)
        ss[p][q] += x[p] * x[q];
    }
  }
  for (size_t p = 0; p < 3; p++)
    for (size_t q = 0; q < 3; q++) {
      const double drawn = ss[p][q] / DRAWS - s[p] / DRAWS * (s[q] / DRAWS);
      const double off = drawn - entry(d, c, share, p, q);
      wrong += off * off;
      norm += drawn * drawn;
    }
  assert_true(sqrt(wrong / norm) < 0.002);
}

static void test_covariance_identities(void **state) {
  (void)state;
  static const double share[N] = {0.1, 0.2, 0.3, 0.4};
  double d[N], c, sum = 0;
  covariance(N, share, 50, 5, 20, d, &c);
  assert_true(c < 0); /* the proxy is worse known than the total */
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++)
      sum += entry(d, c, share, i, j);
  assert_close(sum, 25, 1e-13); /* the variance of the total stays */
  covariance(N, share, 50, 5, INFINITY, d, &c);
  assert_true(d[0] == 0 && c == 25);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_proxy),
                                     SKY_UNIT(test_points),
                                     SKY_UNIT(test_fallback),
                                     SKY_UNIT(test_refusals),
                                     SKY_UNIT(test_mass_and_threads),
                                     SKY_UNIT(test_covariance_drawn),
                                     SKY_UNIT(test_covariance_identities)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
