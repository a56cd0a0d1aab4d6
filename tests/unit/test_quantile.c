/* Weighted quantiles against a sort of everything; with few values kept, within the stated bound.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "grids/quantile.h"
#include "src/core/memory.h"
#include "src/core/rng.h"

#define BLOCKS 12
#define N (SKY_BAND * SKY_BAND)

static sky_context *ctx;
static double value[BLOCKS][N], area[N];

typedef struct pair {
  double v, w;
} pair;
static pair all[BLOCKS * N];

static int setup(void **state) {
  (void)state;
  if (sky_context_create(&ctx) != SKY_OK) return -1;
  sky_context_set_log(ctx, NULL, NULL, SKY_LOG_ERROR);
  for (size_t i = 0; i < N; i++)
    area[i] = 1 + sky_rng_uniform(3, 1, i);
  for (size_t b = 0; b < BLOCKS; b++)
    for (size_t i = 0; i < N; i++)
      value[b][i] = i % 17 == 0 ? NAN : 100 * sky_rng_normal(1, b, i);
  return 0;
}
static int teardown(void **state) {
  (void)state;
  sky_context_free(ctx);
  return 0;
}

static int by_value(const void *a, const void *b) {
  const double x = ((const pair *)a)->v, y = ((const pair *)b)->v;
  return (x > y) - (x < y);
}

/* All cells inside, but the first row, of which half. */
static void fill(sky_cover_part *part, sky_span *span, sky_edge_cell *edge) {
  for (uint32_t r = 1; r < SKY_BAND; r++)
    span[r - 1] = (sky_span){r, 0, SKY_BAND};
  for (uint32_t i = 0; i < SKY_BAND; i++)
    edge[i] = (sky_edge_cell){0, i, 0.5};
  *part = (sky_cover_part){.n_span = SKY_BAND - 1, .n_edge = SKY_BAND, .span = span, .edge = edge};
}

static double reference(size_t n, double share) {
  double whole = 0, sum = 0;
  for (size_t i = 0; i < n; i++)
    whole += all[i].w;
  for (size_t i = 0; i < n; i++) {
    sum += all[i].w;
    if (sum >= share * whole) return all[i].v;
  }
  return all[n - 1].v;
}

static void check(size_t most) {
  static sky_span span[SKY_BAND];
  static sky_edge_cell edge[SKY_BAND];
  const sky_zonal_block block = {.nx = SKY_BAND, .ny = SKY_BAND, .area = area};
  sky_cover_part part;
  sky_quantile_scratch scratch = {0};
  sky_quantiles *q;
  size_t n = 0;
  fill(&part, span, edge);
  assert_int_equal(sky_quantiles_create(ctx, 2, most, &q), SKY_OK);
  for (size_t b = 0; b < BLOCKS; b++) {
    sky_quantile_list l;
    assert_int_equal(
        sky_quantile_block(ctx, &block, &part, value[b], SKY_WEIGHT_AREA, &scratch, &l), SKY_OK);
    for (size_t i = 1; i < l.n; i++)
      assert_true(l.key[i] > l.key[i - 1]);
    assert_int_equal(sky_quantiles_add(ctx, q, 1, &l), SKY_OK);
    sky_quantile_list_free(&l);
    for (size_t i = 0; i < N; i++)
      if (!isnan(value[b][i])) all[n++] = (pair){value[b][i], area[i] * (i < SKY_BAND ? 0.5 : 1)};
  }
  qsort(all, n, sizeof *all, by_value);
  double got;
  const double error = sky_quantiles_error(q);
  for (int k = 1; k < 40; k++) { /* not where rounding of the sums decides */
    const double share = 0.025 * k, want = reference(n, share);
    assert_int_equal(sky_quantiles_get(ctx, q, 1, share, &got), SKY_OK);
    if (!(fabs(got - want) <= error * fabs(want)))
      fail_msg("%g: %.17g for %.17g", share, got, want);
  }
  assert_int_equal(sky_quantiles_get(ctx, q, 0, 0.5, &got), SKY_OK);
  assert_true(isnan(got));
  assert_true((error > 0) == (most < n) && error < 1e-3);
  sky_quantiles_free(q);
  sky_quantile_scratch_free(&scratch);
}

static void test_exact(void **state) {
  (void)state;
  check(SKY_QUANTILE_VALUES);
}
static void test_bounded(void **state) {
  (void)state;
  check(100000);
}

static void test_order_of_signs(void **state) {
  (void)state;
  static double v[N], one[N];
  for (size_t i = 0; i < N; i++) {
    v[i] = NAN;
    one[i] = 1;
  }
  const double given[6] = {-0.0, 0.0, -1e300, 1e-300, -1e-300, 7};
  for (size_t i = 0; i < 6; i++)
    v[i] = given[i];
  sky_span span = {0, 0, SKY_BAND};
  const sky_cover_part part = {.n_span = 1, .span = &span};
  const sky_zonal_block block = {.nx = SKY_BAND, .ny = 1, .area = one};
  sky_quantile_scratch scratch = {0};
  sky_quantile_list l;
  assert_int_equal(sky_quantile_block(ctx, &block, &part, v, SKY_WEIGHT_PLANAR, &scratch, &l),
                   SKY_OK);
  assert_int_equal(l.n, 5); /* the zeros are one */
  assert_true(l.weight[2] == 2);
  sky_quantiles *q;
  double got;
  assert_int_equal(sky_quantiles_create(ctx, 1, 100, &q), SKY_OK);
  assert_int_equal(sky_quantiles_add(ctx, q, 0, &l), SKY_OK);
  const double want[6] = {-1e300, -1e-300, 0, 0, 1e-300, 7};
  for (int i = 0; i < 6; i++) {
    assert_int_equal(sky_quantiles_get(ctx, q, 0, (i + 0.5) / 6, &got), SKY_OK);
    assert_true(got == want[i]);
  }
  sky_quantile_list_free(&l);
  sky_quantiles_free(q);
  sky_quantile_scratch_free(&scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact), cmocka_unit_test(test_bounded),
                                     cmocka_unit_test(test_order_of_signs)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
