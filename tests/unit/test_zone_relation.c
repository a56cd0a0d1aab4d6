/* How zones lie to each other: inside, apart, crossing, slivers, another turn of longitude. */
#include "src/core/memory.h"
#include "src/job/zone_relation.h"
#include "tests/support/sky_cmocka.h"

typedef struct square {
  sky_zone zone;
  sky_ring ring;
  double x[4], y[4];
} square;

static sky_zone *make(square *s, double x0, double y0, double x1, double y1, bool geographic) {
  const double x[] = {x0, x1, x1, x0}, y[] = {y0, y0, y1, y1};
  memcpy(s->x, x, sizeof x);
  memcpy(s->y, y, sizeof y);
  s->ring = (sky_ring){.n = 4, .x = s->x, .y = s->y};
  s->zone = (sky_zone){.id = (char *)"z", .geographic = geographic, .n_rings = 1, .ring = &s->ring};
  return &s->zone;
}

static sky_zone_relation relate(sky_context *ctx, const sky_zone *a, const sky_zone *b) {
  sky_zone_relation r;
  if (sky_zone_relate(ctx, a, b, &r, NULL) != SKY_OK) fail_msg("%s", sky_error(ctx));
  return r;
}

static void test_relations(void **state) {
  square s, t;
  const sky_zone *a = make(&s, 0, 0, 10, 10, false);
  assert_int_equal(relate(*state, a, a), SKY_ZONE_WITHIN);
  assert_int_equal(relate(*state, a, make(&t, 2, 2, 4, 4, false)), SKY_ZONE_HOLDS);
  assert_int_equal(relate(*state, &t.zone, a), SKY_ZONE_WITHIN);
  assert_int_equal(relate(*state, a, make(&t, 10, 0, 20, 10, false)), SKY_ZONES_APART);
  assert_int_equal(relate(*state, a, make(&t, 30, 0, 40, 10, false)), SKY_ZONES_APART);
  assert_int_equal(relate(*state, a, make(&t, 5, 5, 15, 15, false)), SKY_ZONES_CROSS);
  /* 0.05 % and 0.2 % of the smaller one count as nothing and as something, on either side */
  assert_int_equal(relate(*state, a, make(&t, 9.995, 0, 19.995, 10, false)), SKY_ZONES_APART);
  assert_int_equal(relate(*state, a, make(&t, 9.98, 0, 19.98, 10, false)), SKY_ZONES_CROSS);
  assert_int_equal(relate(*state, a, make(&t, -0.001, 0, 1.999, 10, false)), SKY_ZONE_HOLDS);
  assert_int_equal(relate(*state, a, make(&t, -0.004, 0, 1.996, 10, false)), SKY_ZONES_CROSS);
}

static void test_shared_part(void **state) {
  square s, t;
  sky_zone both;
  sky_zone_relation r;
  make(&s, 170, 0, 190, 10, true); /* across the antimeridian, and as the west sees it */
  make(&t, -175, 5, -160, 20, true);
  assert_int_equal(sky_zone_relate(*state, &s.zone, &t.zone, &r, &both), SKY_OK);
  assert_int_equal(r, SKY_ZONES_CROSS);
  assert_int_equal(both.n_rings, 1);
  double area = 0;
  for (size_t i = 0; i < both.ring[0].n; i++) {
    const sky_ring *g = &both.ring[0];
    const size_t k = (i + 1) % g->n;
    assert_true(g->x[i] >= 185 && g->x[i] <= 190 && g->y[i] >= 5 && g->y[i] <= 10);
    area += (g->x[i] * g->y[k] - g->x[k] * g->y[i]) / 2;
  }
  assert_close(area < 0 ? -area : area, 25, 1e-12);
  sky_zone_clear(&both);
  assert_int_equal(sky_zone_relate(*state, &s.zone, &s.zone, &r, &both), SKY_OK);
  assert_true(r == SKY_ZONE_WITHIN && both.ring == NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_relations), SKY_UNIT(test_shared_part)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
