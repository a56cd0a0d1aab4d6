/* Area tensor, legends, factor sets, stock change and their errors. */
#include "tests/support/sky_cmocka.h"

#include <math.h>

#include "algorithms/sink/cells.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

#define HECTARE 1e4
#define CEA "+proj=cea +lat_ts=0 +lon_0=0 +datum=WGS84 +units=m +type=crs"

/* ---- maps in memory ------------------------------------------------------------------------- */

typedef struct maps {
  const sky_grid *grid;
  const uint16_t *from, *to;
  bool fail;
} maps;

static sky_status window_of(sky_context *ctx, void *user, size_t row0, size_t rows, size_t column0,
                            size_t columns, uint16_t *from, uint16_t *to) {
  const maps *m = user;
  if (m->fail) return sky_fail(ctx, SKY_E_READ, "map.tif: broken at row %zu", row0);
  for (size_t y = 0; y < rows; y++) {
    const size_t at = (row0 + y) * m->grid->nx + column0;
    memcpy(from + y * columns, m->from + at, columns * sizeof *from);
    memcpy(to + y * columns, m->to + at, columns * sizeof *to);
  }
  return SKY_OK;
}

static double uniform(uint64_t seed, uint64_t k) {
  return sky_rng_uniform(seed, k, 0);
}

static void random_maps(uint64_t seed, size_t n, size_t classes, uint16_t *from, uint16_t *to) {
  for (size_t k = 0; k < n; k++) {
    from[k] = (uint16_t)(uniform(seed, 2 * k) * (double)classes);
    to[k] = uniform(seed + 1, k) < 0.8 ? from[k]
                                       : (uint16_t)(uniform(seed, 2 * k + 1) * (double)classes);
    if (uniform(seed + 2, k) < 0.05) to[k] = SKY_TENSOR_NODATA;
  }
}

static sky_zone rectangle(sky_ring *ring, double *x, double *y, double w, double s, double e,
                          double n, bool geographic) {
  const double px[4] = {w, e, e, w}, py[4] = {s, s, n, n};
  memcpy(x, px, sizeof px);
  memcpy(y, py, sizeof py);
  *ring = (sky_ring){.n = 4, .x = x, .y = y};
  return (sky_zone){.id = (char *)"z", .geographic = geographic, .n_rings = 1, .ring = ring};
}

/* y of the equal-area cylinder whose area is that of the ellipsoid. */
static double cea_y(double lat) {
  return sky_ellipsoid_zone(lat) / SKY_WGS84_A;
}
static double cea_x(double lon) {
  return SKY_WGS84_A * lon * M_PI / 180;
}

/* ---- tensor --------------------------------------------------------------------------------- */

#define NX 40
#define NY 600 /* three blocks, the last one short */

static void test_degrees_and_metres(void **state) {
  sky_context *ctx = *state;
  sky_grid degrees = {0}, metres = {0};
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 110, 20, 112, 50, 0.05, 0.05, &degrees),
                   SKY_OK);
  assert_int_equal(degrees.nx, NX);
  assert_int_equal(degrees.ny, NY);
  assert_int_equal(sky_grid_from_box(ctx, CEA, 0, 0, NX, NY, 1, 1, &metres), SKY_OK);
  for (size_t i = 0; i <= NX; i++)
    metres.x_edge[i] = cea_x(degrees.x_edge[i]);
  for (size_t i = 0; i <= NY; i++)
    metres.y_edge[i] = cea_y(degrees.y_edge[i]);
  static uint16_t from[NX * NY], to[NX * NY];
  random_maps(5, NX * NY, 4, from, to);
  sky_tensor t[2];
  for (int k = 0; k < 2; k++) {
    const sky_grid *g = k == 0 ? &degrees : &metres;
    maps m = {g, from, to, false};
    double x[4], y[4];
    sky_ring ring;
    sky_zone zone =
        rectangle(&ring, x, y, k == 0 ? 110.31 : cea_x(110.31), k == 0 ? 20.02 : cea_y(20.02),
                  k == 0 ? 111.87 : cea_x(111.87), k == 0 ? 49.41 : cea_y(49.41), k == 0);
    const sky_zones zones = {1, &zone};
    assert_int_equal(sky_tensor_make(ctx, g, &zones, 4, window_of, &m, &t[k]), SKY_OK);
  }
  /* The metre grid's cells have geodesic instead of parallel sides: 5 km at 50 degrees. */
  double mine = 0;
  for (size_t c = 0; c < 16; c++) {
    assert_close(t[1].area[c], t[0].area[c], 3e-6);
    mine += t[0].area[c];
  }
  const double exact = sky_ellipsoid_band(20.02, 49.41) * (111.87 - 110.31) * M_PI / 180;
  assert_close(mine + t[0].nodata[0], exact, 1e-11);
  assert_close(t[0].inside[0], exact, 1e-11);
  assert_true(t[0].nodata[0] > 0.03 * exact);
  for (int k = 0; k < 2; k++)
    sky_tensor_free(&t[k]);
  sky_grid_free(&degrees);
  sky_grid_free(&metres);
}

static void test_one_rectangle_in_metres(void **state) {
  sky_context *ctx = *state;
  /* 300 m cells, as real maps have: the cylinder's areas are the ellipsoid's to 1e-9. */
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, CEA, 3e6, -9e5, 3.03e6, -8.7e5, 300, 300, &g), SKY_OK);
  static uint16_t from[100 * 100], to[100 * 100];
  for (size_t k = 0; k < 10000; k++)
    from[k] = to[k] = (uint16_t)(k % 100 < 30 ? 0 : 1);
  maps m = {&g, from, to, false};
  double x[4], y[4];
  sky_ring ring;
  sky_zone zone = rectangle(&ring, x, y, 3e6, -9e5, 3.03e6, -8.7e5, false);
  const sky_zones zones = {1, &zone};
  sky_tensor t;
  assert_int_equal(sky_tensor_make(ctx, &g, &zones, 2, window_of, &m, &t), SKY_OK);
  assert_close(sky_tensor_at(&t, 0, 0, 0), 0.3 * 9e8, 1e-9);
  assert_close(sky_tensor_at(&t, 0, 1, 1), 0.7 * 9e8, 1e-9);
  assert_true(sky_tensor_at(&t, 0, 0, 1) == 0 && t.nodata[0] == 0);
  sky_tensor_free(&t);
  sky_grid_free(&g);
}

/* Four triangles make a rectangle. */
static void test_partition_and_threads(void **state) {
  sky_context *ctx = *state;
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 110, 20, 112, 50, 0.05, 0.05, &g), SKY_OK);
  static uint16_t from[NX * NY], to[NX * NY];
  random_maps(9, NX * NY, 5, from, to);
  maps m = {&g, from, to, false};
  double x[5][4], y[5][4];
  sky_ring ring[5];
  sky_zone zone[5];
  zone[4] = rectangle(&ring[4], x[4], y[4], 110.33, 21.01, 111.77, 48.93, true);
  for (size_t k = 0; k < 4; k++) {
    zone[k] = rectangle(&ring[k], x[k], y[k], 0, 0, 1, 1, true);
    ring[k].n = 3;
    for (size_t v = 0; v < 2; v++) {
      x[k][v] = x[4][(k + v) % 4];
      y[k][v] = y[4][(k + v) % 4];
    }
    x[k][2] = 111.0;
    y[k][2] = 33.3;
  }
  const sky_zones zones = {5, zone};
  sky_tensor one = {0};
  static const int threads[3] = {1, 2, 5};
  for (int run = 0; run < 3; run++) {
    sky_tensor t;
    sky_context_set_threads(ctx, threads[run]);
    assert_int_equal(sky_tensor_make(ctx, &g, &zones, 5, window_of, &m, &t), SKY_OK);
    if (run == 0) {
      one = t;
      continue;
    }
    assert_memory_equal(t.area, one.area, 5 * 25 * sizeof *t.area);
    assert_memory_equal(t.nodata, one.nodata, 5 * sizeof *t.nodata);
    assert_memory_equal(t.inside, one.inside, 5 * sizeof *t.inside);
    sky_tensor_free(&t);
  }
  for (size_t c = 0; c < 25; c++) {
    double sum = 0;
    for (size_t k = 0; k < 4; k++)
      sum += one.area[k * 25 + c];
    assert_true(fabs(sum - one.area[4 * 25 + c]) <= 1e-12 * one.inside[4]);
  }
  sky_tensor_free(&one);
  sky_grid_free(&g);
}

static void test_tensor_failures(void **state) {
  sky_context *ctx = *state;
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 110, 20, 112, 50, 0.05, 0.05, &g), SKY_OK);
  static uint16_t from[NX * NY], to[NX * NY];
  random_maps(9, NX * NY, 3, from, to);
  maps m = {&g, from, to, false};
  double x[4], y[4];
  sky_ring ring;
  sky_zone zone = rectangle(&ring, x, y, 110.5, 21, 111.5, 48, true);
  const sky_zones zones = {1, &zone};
  sky_tensor t = {0};
  sky_context_set_threads(ctx, 2);
  assert_fails(ctx, sky_tensor_make(ctx, &g, &zones, 2, window_of, &m, &t), SKY_E_INTERNAL,
               "class index");
  m.fail = true;
  assert_fails(ctx, sky_tensor_make(ctx, &g, &zones, 3, window_of, &m, &t), SKY_E_READ,
               "map.tif: broken at row");
  m.fail = false;
  sky_context_set_memory(ctx, 1000);
  assert_fails(ctx, sky_tensor_make(ctx, &g, &zones, 3, window_of, &m, &t), SKY_E_NOMEM, "budget");
  sky_context_set_memory(ctx, (size_t)1 << 30);
  sky_context_set_threads(ctx, 1);
  size_t failures = 0;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t nth = 1; st != SKY_OK; nth++) {
    sky_memory_fail_at(ctx, nth);
    st = sky_tensor_make(ctx, &g, &zones, 3, window_of, &m, &t);
    sky_memory_fail_at(ctx, 0);
    if (st == SKY_OK) break;
    assert_int_equal(st, SKY_E_NOMEM);
    failures++;
  }
  assert_true(failures > 15);
  sky_tensor_free(&t);
  /* A zone elsewhere is empty, not an error. */
  zone = rectangle(&ring, x, y, 10, 21, 11, 48, true);
  assert_int_equal(sky_tensor_make(ctx, &g, &zones, 3, window_of, &m, &t), SKY_OK);
  assert_true(t.inside[0] == 0);
  sky_tensor_free(&t);
  sky_grid_free(&g);
}

/* ---- legends and factors -------------------------------------------------------------------- */

static void test_legend(void **state) {
  sky_context *ctx = *state;
  sky_legend l;
  assert_int_equal(sky_legend_builtin(ctx, "esa-cci", &l), SKY_OK);
  assert_int_equal(l.n, 37);
  assert_int_equal(l.row[sky_legend_find(&l, 62)].number, 1);
  assert_int_equal(l.row[sky_legend_find(&l, 170)].number, 8);
  assert_true(sky_legend_find(&l, 63) == SIZE_MAX && sky_legend_find(&l, 221) == SIZE_MAX);
  sky_legend_free(&l);
  assert_int_equal(sky_legend_builtin(ctx, "gbt21010", &l), SKY_OK);
  assert_int_equal(l.row[sky_legend_find(&l, 702)].number, 11); /* a group, 05-10 */
  assert_int_equal(l.row[sky_legend_find(&l, 303)].number, 8);
  assert_false(l.row[sky_legend_find(&l, 303)].verified);
  sky_legend_free(&l);
  assert_int_equal(sky_legend_builtin(ctx, "esri", &l), SKY_OK);
  assert_int_equal(l.row[sky_legend_find(&l, 10)].number, 0); /* clouds are nodata */
  sky_legend_free(&l);
  size_t n;
  const sky_legend_entry *entry = sky_legend_entries(&n);
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(sky_legend_builtin(ctx, entry[i].id, &l), SKY_OK);
    sky_legend_free(&l);
  }
  assert_fails(ctx, sky_legend_builtin(ctx, "esa-cii", &l), SKY_E_USAGE, "did you mean 'esa-cci'");
}

static sky_status user_legend(sky_context *ctx, const char *text, sky_legend *l) {
  sky_table *t;
  assert_int_equal(sky_table_parse(ctx, "my.csv", text, strlen(text), &t), SKY_OK);
  const sky_status st = sky_legend_from_table(ctx, t, "my.csv", l);
  sky_table_free(t);
  return st;
}

static void test_user_legend(void **state) {
  sky_context *ctx = *state;
  sky_legend l;
  assert_int_equal(user_legend(ctx, "code,name,class\n7,oak,1\n3,bare,6\n0,none,\n", &l), SKY_OK);
  assert_int_equal(l.row[0].number, 0);
  assert_string_equal(l.row[sky_legend_find(&l, 7)].name, "oak");
  sky_legend_free(&l);
  assert_fails(ctx, user_legend(ctx, "code,name\n7,oak\n", &l), SKY_E_FORMAT, "no column 'class'");
  assert_fails(ctx, user_legend(ctx, "code,name,class\n7,oak,12\n", &l), SKY_E_RANGE, "my.csv:2");
  assert_fails(ctx, user_legend(ctx, "code,name,class\n7.5,oak,1\n", &l), SKY_E_RANGE, "'7.5'");
  assert_fails(ctx, user_legend(ctx, "code,name,class\n7,a,1\n7,b,1\n", &l), SKY_E_RANGE, "twice");
}

static void test_factor_sd(void **state) {
  (void)state;
  assert_close(sky_sink_factor_sd(40, 7, "CI95_pct", NAN, NAN), 40 * 0.07 / 1.96, 1e-12);
  assert_close(sky_sink_factor_sd(0.7, 12, "2SD_pct", NAN, NAN), 0.042, 1e-12);
  assert_close(sky_sink_factor_sd(131.6, 20.7, "SD", 91, 172), 20.7, 1e-12);
  assert_close(sky_sink_factor_sd(192, NAN, "CI95_abs", 187, 204), 17 / 3.92, 1e-12);
  assert_close(sky_sink_factor_sd(0.47, NAN, "range", 0.44, 0.49), 0.05 / sqrt(12), 1e-12);
  assert_true(sky_sink_factor_sd(1, NAN, "reference", NAN, NAN) == 0);
}

#define GRASS "ipcc_defaults:grassland total biomass|warm temperate wet:IPCC 2006 V4 Ch.6 Table 6.4"

static sky_status load(sky_context *ctx, const char *name, const char *soil, const int *numbers,
                       size_t n, const char *allowed, sky_sink_set *set) {
  bool present[SKY_SINK_CLASSES] = {false};
  for (size_t i = 0; i < n; i++)
    present[numbers[i] - 1] = true;
  const sky_sink_need need = {.present = present,
                              .changed = present,
                              .soil = soil,
                              .allowed = &allowed,
                              .n_allowed = allowed != NULL};
  return sky_sink_set_builtin(ctx, name, &need, set);
}

static void test_sets(void **state) {
  sky_context *ctx = *state;
  sky_sink_set s;
  const int forest_crop[2] = {1, 7}, grass[1] = {3}, mangrove[1] = {8};
  /* Subtropical humid forest: 258.4 t d.m./ha, R 0.246, CF 0.47. */
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", "HAC", forest_crop, 2, NULL, &s), SKY_OK);
  const sky_sink_pool *p = s.cls[0].pool;
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_ABOVE], 1, NULL), 258.4 * 0.47, 1e-12);
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_BELOW], 1, NULL), 258.4 * 0.246 * 0.47, 1e-12);
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_GROWTH], 1, NULL), 1.246 * 0.47, 1e-12);
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_GROWTH_YOUNG], 1, NULL), 2.5 * 1.246 * 0.47,
               1e-12);
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_SOIL], 1, NULL), 64, 1e-12);
  assert_close(sky_sink_pool_value(&s, &s.cls[6].pool[SKY_POOL_SOIL], 1, NULL), 64 * 0.69, 1e-12);
  assert_close(sky_sink_pool_value(&s, &s.cls[6].pool[SKY_POOL_ABOVE], 1, NULL), 4.7, 1e-12);
  for (size_t i = 0; i < s.n_factor; i++)
    assert_true(s.factor[i].verified && s.factor[i].source[0] != '\0');
  sky_sink_set_free(&s);
  /* Without a soil type there is no soil pool. */
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", NULL, forest_crop, 2, NULL, &s), SKY_OK);
  assert_int_equal(s.cls[0].pool[SKY_POOL_SOIL].n, 0);
  sky_sink_set_free(&s);
  assert_fails(ctx, load(ctx, "ipcc-subtropical-humid", NULL, grass, 1, NULL, &s), SKY_E_RANGE,
               GRASS);
  assert_fails(ctx, load(ctx, "ipcc-subtropical-humid", NULL, grass, 1, "all", &s), SKY_E_RANGE,
               GRASS);
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", NULL, grass, 1, GRASS, &s), SKY_OK);
  sky_sink_set_free(&s);
  assert_fails(ctx, load(ctx, "ipcc-subtropical-humid", "CLAY", forest_crop, 2, NULL, &s),
               SKY_E_USAGE, "'CLAY'");
  assert_fails(ctx, load(ctx, "ipcc-temperate-mountain", NULL, mangrove, 1, NULL, &s), SKY_E_RANGE,
               "class 8 (mangrove)");
  assert_fails(ctx, load(ctx, "ipcc-tropical-dri", NULL, grass, 1, NULL, &s), SKY_E_USAGE,
               "did you mean 'ipcc-tropical-dry'");
  /* Every set and row of sink_sets.csv finds exactly one factor. */
  char **names = NULL;
  size_t n = 0;
  assert_int_equal(sky_sink_set_names(ctx, &names, &n), SKY_OK);
  assert_int_equal(n, 7);
  for (size_t i = 0; i < n; i++) {
    const int all[9] = {1, 3, 4, 6, 7, 11, 2, 9, 10};
    const bool ipcc = strncmp(names[i], "ipcc", 4) == 0;
    const sky_status st = load(ctx, names[i], ipcc ? "WET" : NULL, all, ipcc ? 9 : 6, NULL, &s);
    assert_int_equal(st, SKY_E_RANGE); /* all hold unverified rows, and nothing worse */
    assert_non_null(strstr(sky_error(ctx), "that nobody verified"));
  }
  sky_free(names);
}

static void test_set_memory(void **state) {
  sky_context *ctx = *state;
  const int classes[3] = {1, 3, 7};
  size_t failures = 0;
  sky_status st = SKY_E_NOMEM;
  for (uint64_t nth = 1; st != SKY_OK; nth += 1 + nth / 8) {
    sky_sink_set s = {0};
    sky_memory_fail_at(ctx, nth);
    st = load(ctx, "ipcc-subtropical-humid", "HAC", classes, 3, GRASS, &s);
    sky_memory_fail_at(ctx, 0);
    assert_true(st == SKY_OK || st == SKY_E_NOMEM);
    failures += st != SKY_OK;
    if (st == SKY_OK) sky_sink_set_free(&s);
  }
  assert_true(failures > 20);
}

/* ---- stock change --------------------------------------------------------------------------- */

static const char two_classes[] = "code,name,class\n1,wood,1\n2,field,7\n3,bare,6\n";

static void user_set(sky_context *ctx, const char *pools, sky_sink_set *set) {
  sky_legend l;
  sky_table *t;
  const bool present[3] = {true, true, false};
  assert_int_equal(user_legend(ctx, two_classes, &l), SKY_OK);
  assert_int_equal(sky_table_parse(ctx, "pools.csv", pools, strlen(pools), &t), SKY_OK);
  const sky_status st = sky_sink_set_from_table(ctx, t, "pools.csv", &l, present, set);
  sky_table_free(t);
  sky_legend_free(&l);
  if (st != SKY_OK) fail_msg("%s", sky_error(ctx));
}

/* A tensor of given areas in hectares. */
static sky_tensor areas(size_t n_zone, size_t n, double *hectares, double zero[3]) {
  for (size_t k = 0; k < n_zone * n * n; k++)
    hectares[k] *= HECTARE;
  return (sky_tensor){n_zone, n, hectares, zero, zero};
}

static void test_minus_one(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,above,gain\n1,10,0.5\n2,9,\n", &set);
  double a[9] = {5, 1, 0, 0, 3, 0, 0, 0, 0}, zero[3] = {0};
  const sky_tensor t = areas(1, 3, a, zero);
  sky_sink_row rows[4];
  assert_int_equal(sky_sink_compute(ctx, &t, &set, 10, NAN, rows), SKY_OK);
  assert_close(rows[3].stock.value, -1000, 1e-12); /* one hectare, -1 t/ha */
  assert_close(rows[0].stock.value, -10000, 1e-12);
  assert_close(rows[1].stock.value, 9000, 1e-12);
  assert_close(rows[3].uptake.value, -2500, 1e-12); /* 5 ha × 0.5 t, to the land */
  assert_close(rows[0].area[0], 6 * HECTARE, 1e-12);
  assert_close(rows[0].area[1], 5 * HECTARE, 1e-12);
  sky_sink_set_free(&set);
  sky_legend l;
  sky_table *table;
  const bool present[3] = {true, true, true};
  const char pools[] = "lucode,C_above\n1,10\n2,9\n";
  assert_int_equal(user_legend(ctx, two_classes, &l), SKY_OK);
  assert_int_equal(sky_table_parse(ctx, "p.csv", pools, sizeof pools - 1, &table), SKY_OK);
  assert_fails(ctx, sky_sink_set_from_table(ctx, table, "p.csv", &l, present, &set), SKY_E_RANGE,
               "p.csv: no pool row for code 3 (bare) of legend my.csv");
  sky_table_free(table);
  sky_legend_free(&l);
}

/* Tier 1 by hand: 100 ha of forest cleared for crops, 50 ha planted, over 10 years. */
static void test_tier1_numbers(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  const int numbers[2] = {1, 7};
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", "HAC", numbers, 2, NULL, &set), SKY_OK);
  double a[121] = {0}, zero[3] = {0};
  a[0] = 1000;         /* forest stays */
  a[6] = 100;          /* 1 -> 7 */
  a[6 * 11] = 50;      /* 7 -> 1 */
  a[6 * 11 + 6] = 400; /* cropland stays */
  const sky_tensor t = areas(1, 11, a, zero);
  sky_sink_row rows[12];
  assert_int_equal(sky_sink_compute(ctx, &t, &set, 10, NAN, rows), SKY_OK);
  const double forest = 258.4 * 1.246 * 0.47, grown = 5 * 2.5 * 1.246 * 0.47;
  assert_close(rows[11].biomass, 1e3 * (100 * (4.7 - forest) + 50 * (grown - 4.7)), 1e-12);
  assert_close(rows[11].dead, 1e3 * (8.7 + 13.2) * (-100 + 50 * 0.25), 1e-12); /* 5 of 20 years */
  assert_close(rows[11].soil, 1e3 * 50 * -(64 - 64 * 0.69) / 2, 1e-12);        /* 10 of 20 years */
  assert_close(rows[11].stock.value, rows[11].biomass + rows[11].dead + rows[11].soil, 1e-12);
  assert_close(rows[11].uptake.value, -1e3 * (1000 * 1.0 + 50 * 2.5) * 1.246 * 0.47, 1e-12);
  double sum = 0;
  for (size_t c = 0; c < 11; c++)
    sum += rows[c].stock.value;
  assert_close(sum, rows[11].stock.value, 1e-12);
  assert_true(rows[11].soil_unknown == 0);
  /* After 40 years soil and litter have arrived, and growth stops at the stock. */
  assert_int_equal(sky_sink_compute(ctx, &t, &set, 400, NAN, rows), SKY_OK);
  assert_close(rows[11].soil, 1e3 * -50 * 64 * 0.31, 1e-12);
  assert_close(rows[11].biomass, 1e3 * -50 * (forest - 4.7), 1e-12);
  sky_sink_set_free(&set);
}

/* ---- errors --------------------------------------------------------------------------------- */

static void test_shared_error(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,above,above_sd\n1,100,10\n2,5,1\n", &set);
  /* Two counties and the same as one: sd adds up, and does not shrink with area. */
  double a[27] = {50, 8, 0, 2, 30,  0,  0, 0,  0,   500, 80, 0, 20, 300,
                  0,  0, 0, 0, 550, 88, 0, 22, 330, 0,   0,  0, 0};
  double zero[3] = {0};
  const sky_tensor t = areas(3, 3, a, zero);
  sky_sink_row rows[12];
  assert_int_equal(sky_sink_compute(ctx, &t, &set, 10, NAN, rows), SKY_OK);
  assert_close(rows[3].stock.sd, 6e3 * sqrt(101), 1e-12);
  assert_close(rows[7].stock.sd / fabs(rows[7].stock.value),
               rows[3].stock.sd / fabs(rows[3].stock.value), 1e-12);
  assert_close(rows[11].stock.sd, rows[3].stock.sd + rows[7].stock.sd, 1e-12);
  sky_sink_set_free(&set);
}

static double normal(uint64_t seed, uint64_t draw, uint64_t k) {
  return sky_rng_normal(seed, draw, k);
}

/* Draw factors and areas, and look at the spread. */
static void check_variance(sky_context *ctx, const sky_sink_set *set, sky_sink_quantity quantity,
                           const double *area) {
  const size_t n = set->n_class, m = set->n_factor, draws = 40000;
  sky_linear l;
  assert_int_equal(sky_linear_make(ctx, set, &l), SKY_OK);
  sky_linear_fill(set, quantity, n, 14, &l);
  double *w = SKY_NEW(ctx, double, n *n), *a = SKY_NEW(ctx, double, n *n);
  double *f = SKY_NEW(ctx, double, n *n), *sd = SKY_NEW(ctx, double, m);
  double *grad = SKY_NEW(ctx, double, m);
  for (size_t k = 0; k < m; k++)
    sd[k] = set->factor[k].sd;
  sky_sink_false_areas(area, area, n, 0.85, w);
  const sky_sink_variance v = sky_linear_variance(&l, area, w, sd, grad);
  assert_true(v.factor > 0 && v.area > 0 && v.cross > 0);
  double sum = 0, square = 0;
  for (size_t draw = 0; draw < draws; draw++) {
    memcpy(a, area, n * n * sizeof *a);
    memcpy(f, l.f, n * n * sizeof *f);
    for (size_t k = 0; k < m; k++) {
      const double z = sd[k] * normal(1, draw, k);
      for (size_t t = 0; t < n * n && sd[k] > 0; t++)
        f[t] += l.J[t * m + k] * z;
    }
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j < n; j++) {
        if (w[i * n + j] == 0) continue;
        const double moved = w[i * n + j] * normal(2, draw, i * n + j);
        a[i * n + j] += moved;
        a[i * n + i] -= moved / 2;
        a[j * n + j] -= moved / 2;
      }
    }
    const double q = sky_dot(a, f, n * n) - sky_dot(area, l.f, n * n);
    sum += q;
    square += q * q;
  }
  const double mean = sum / (double)draws;
  assert_close(square / (double)draws - mean * mean, v.factor + v.area + v.cross, 0.02);
  sky_free(w);
  sky_free(a);
  sky_free(f);
  sky_free(sd);
  sky_free(grad);
  sky_linear_free(&l);
}

static void test_variance(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,above,above_sd,soil,soil_sd,gain,gain_sd\n1,100,30,60,20,2,1\n2,5,2,40,9,,\n",
           &set);
  double a[9] = {50e4, 8e4, 0, 2e4, 30e4, 0, 0, 0, 0};
  check_variance(ctx, &set, SKY_SINK_STOCK, a);
  check_variance(ctx, &set, SKY_SINK_UPTAKE, a);
  sky_sink_set_free(&set);
  const int numbers[2] = {1, 7};
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", "HAC", numbers, 2, NULL, &set), SKY_OK);
  double b[121] = {0};
  b[0] = 1000e4;
  b[6] = 100e4;
  b[66] = 50e4;
  b[72] = 400e4;
  check_variance(ctx, &set, SKY_SINK_STOCK, b);
  sky_sink_set_free(&set);
}

/* Two classes: w = A p (1 - p) both ways, so that the errors of the maps can be written down. */
static void test_map_error(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,above,gain\n1,10,0.5\n2,9,\n", &set);
  double a[9] = {50, 10, 0, 4, 36, 0, 0, 0, 0}, zero[3] = {0};
  const sky_tensor t = areas(1, 3, a, zero);
  sky_sink_row rows[12];
  assert_int_equal(sky_sink_compute(ctx, &t, &set, 10, 0.85, rows), SKY_OK);
  const double w = 100 * 0.85 * 0.15;
  assert_close(rows[3].stock.sd, 1e3 * w * sqrt(2), 1e-12);         /* f = -1 and +1 t/ha */
  assert_close(rows[3].uptake.sd, 1e3 * w * 0.25 * sqrt(2), 1e-12); /* moves half of 0.5 t/ha */
  assert_close(rows[3].stock.high - rows[3].stock.value, 1.959963984540054 * rows[3].stock.sd,
               1e-12);
  sky_sink_set_free(&set);
  /* Tier 1 loses at once and gains slowly, so error alone shows a loss: the interval reaches from
   * the mapped difference to the one without it. */
  const int numbers[2] = {1, 7};
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", NULL, numbers, 2, NULL, &set), SKY_OK);
  double b[121] = {0};
  b[0] = 50;
  b[6] = 10;
  b[66] = 4;
  b[72] = 36;
  const sky_tensor u = areas(1, 11, b, zero);
  assert_int_equal(sky_sink_compute(ctx, &u, &set, 10, 0.85, rows), SKY_OK);
  const double dead = 8.7 + 13.2, lost = 4.7 - 258.4 * 1.246 * 0.47 - dead;
  const double gained = 5 * 2.5 * 1.246 * 0.47 + 0.25 * dead - 4.7;
  const sky_sink_estimate *e = &rows[11].stock;
  assert_close(e->value, 1e3 * (10 * lost + 4 * gained), 1e-12);
  assert_close(e->low, e->value - 1.959963984540054 * e->sd, 1e-12);
  assert_close(e->high, e->value - 1e3 * w * (lost + gained) + 1.959963984540054 * e->sd, 1e-12);
  assert_true(e->sd > 1e3 * w * hypot(lost, gained));
  sky_sink_set_free(&set);
}

/* A class as a map with 85 % accuracy shows it; mistakes go to the others alike. */
static size_t seen_as(uint64_t seed, uint64_t pixel, size_t truth, size_t n) {
  if (sky_rng_uniform(seed, pixel, 0) < 0.85) return truth;
  const size_t other = (size_t)(sky_rng_uniform(seed, pixel, 1) * (double)(n - 1));
  return other + (other >= truth);
}

static void test_identical_truth(void **state) {
  sky_context *ctx = *state;
  sky_sink_set tier1;
  const int numbers[3] = {1, 7, 11};
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", "HAC", numbers, 3, NULL, &tier1), SKY_OK);
  static const size_t cls[3] = {0, 6, 10};
  size_t blind = 0;
  for (uint64_t seed = 0; seed < 20; seed++) {
    double a[121] = {0}, zero[3] = {0};
    for (uint64_t pixel = 0; pixel < 20000; pixel++) {
      const size_t truth = pixel % 10 < 6 ? 0 : pixel % 10 < 9 ? 1 : 2;
      const size_t i = seen_as(2 * seed + 10, pixel, truth, 3);
      const size_t j = seen_as(2 * seed + 11, pixel, truth, 3);
      a[cls[i] * 11 + cls[j]] += 9;
    }
    const sky_tensor t = areas(1, 11, a, zero);
    sky_sink_row rows[12];
    assert_int_equal(sky_sink_compute(ctx, &t, &tier1, 14, 0.85, rows), SKY_OK);
    assert_true(rows[11].stock.low <= 0 && rows[11].stock.high >= 0);
    assert_true(rows[0].stock.low <= 0 && rows[0].stock.high >= 0);
    /* Negative control: without the maps' errors the same maps show a change that is not there. */
    assert_int_equal(sky_sink_compute(ctx, &t, &tier1, 14, NAN, rows), SKY_OK);
    blind += rows[11].stock.high < 0;
  }
  assert_int_equal(blind, 20);
  sky_sink_set_free(&tier1);
}

/* Two cells of 4 ha, two classes, all by hand: uptake, what the cells share, what is their own. */
static void test_cells(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,gain,gain_sd\n1,2,0.5\n2,,\n", &set);
  double a[18] = {3, 0, 0, 1, 0, 0, 0, 0, 0, /**/ 0, 2, 0, 0, 2, 0, 0, 0, 0}, zero[3] = {0};
  const sky_tensor t = areas(2, 3, a, zero);
  sky_sink_cells c;
  assert_int_equal(sky_sink_cells_make(ctx, &t, &set, 0.85, 0.3, &c), SKY_OK);
  assert_int_equal(c.n_cell, 2);
  assert_int_equal(c.rank, 3); /* the gain, and false changes both ways */
  assert_close(c.uptake[0], -8000, 1e-12);
  assert_true(c.uptake[1] == 0 && c.variance[1] == 0 && c.factor[1] == 0);
  assert_close(c.variance[0], 0.3 * 8000 * 0.3 * 8000, 1e-12);
  assert_close(c.factor[0], -2000, 1e-12); /* 0.5 t/ha on 4 ha */
  /* Two classes: w = A p (1 - p) each way; it moves half of 2 t/ha, known to a quarter. */
  const double shared = 4 * 0.85 * 0.15 * 1e3 * sqrt(1 + 0.25 * 0.25);
  for (size_t k = 2; k < 6; k++)
    assert_close(c.factor[k], shared, 1e-12);
  sky_sink_cells_free(&c);
  assert_int_equal(sky_sink_cells_make(ctx, &t, &set, NAN, 0.3, &c), SKY_OK);
  assert_int_equal(c.rank, 1);
  sky_sink_cells_free(&c);
  for (uint64_t nth = 1; nth <= 7; nth++) {
    sky_memory_fail_at(ctx, nth);
    assert_int_equal(sky_sink_cells_make(ctx, &t, &set, 0.85, 0.3, &c), SKY_E_NOMEM);
    sky_memory_fail_at(ctx, 0);
  }
  sky_sink_set_free(&set);
}

static void test_compute_failures(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,above\n1,10\n2,9\n", &set);
  double a[9] = {5, 1, 0, 0, 3, 0, 0, 0, 0}, zero[3] = {0};
  const sky_tensor t = areas(1, 3, a, zero);
  sky_sink_row rows[4];
  assert_fails(ctx, sky_sink_compute(ctx, &t, &set, 0, NAN, rows), SKY_E_RANGE, "years");
  assert_fails(ctx, sky_sink_compute(ctx, &t, &set, 5, 1.5, rows), SKY_E_RANGE, "accuracy 1.5");
  for (uint64_t nth = 1; nth <= 5; nth++) {
    sky_memory_fail_at(ctx, nth);
    assert_int_equal(sky_sink_compute(ctx, &t, &set, 5, 0.9, rows), SKY_E_NOMEM);
    sky_memory_fail_at(ctx, 0);
  }
  assert_int_equal(sky_sink_compute(ctx, &t, &set, 5, 0.9, rows), SKY_OK);
  sky_sink_set_free(&set);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_degrees_and_metres),
                                     SKY_UNIT(test_one_rectangle_in_metres),
                                     SKY_UNIT(test_partition_and_threads),
                                     SKY_UNIT(test_tensor_failures),
                                     SKY_UNIT(test_legend),
                                     SKY_UNIT(test_user_legend),
                                     SKY_UNIT(test_factor_sd),
                                     SKY_UNIT(test_sets),
                                     SKY_UNIT(test_set_memory),
                                     SKY_UNIT(test_minus_one),
                                     SKY_UNIT(test_tier1_numbers),
                                     SKY_UNIT(test_shared_error),
                                     SKY_UNIT(test_variance),
                                     SKY_UNIT(test_map_error),
                                     SKY_UNIT(test_identical_truth),
                                     SKY_UNIT(test_cells),
                                     SKY_UNIT(test_compute_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
