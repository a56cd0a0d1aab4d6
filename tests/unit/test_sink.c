/* Area tensor, legends, factor sets, stock change and their errors. */
#include "tests/support/sky_cmocka.h"

#include <math.h>

#include "algorithms/sink/cells.h"
#include "algorithms/sink/plots.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

#define HECTARE 1e4
#define HOW(n) ((sky_sink_how){.years = 10, .accuracy = NAN, .places = (n)})

/* ---- area tensor ---------------------------------------------------------------------------- */

#define ANY ((sky_place){SKY_TENSOR_ANY, SKY_TENSOR_ANY})

/* Two zones, three dates, two climates: what comes in any order comes out sorted and summed. */
static void fill_strata(sky_context *ctx, sky_strata *s, bool backwards) {
  static const struct {
    size_t zone;
    int32_t climate;
    uint16_t cls[3];
    double area;
  } parts[] = {{1, 3, {0, 1, 1}, 5},
               {0, 3, {2, 0, 0}, 7},
               {0, 1, {2, 0, 0}, 11},
               {0, 3, {2, 0, 0}, 1.5},
               {0, 3, {1, 1, SKY_TENSOR_NODATA}, 2},
               {1, 1, {0, 0, 2}, 3}};
  const size_t n = sizeof parts / sizeof parts[0];
  assert_int_equal(sky_strata_create(ctx, 2, 3, 3, s), SKY_OK);
  for (size_t k = 0; k < n; k++) {
    const size_t i = backwards ? n - 1 - k : k;
    const sky_place place = {parts[i].climate, SKY_TENSOR_ANY};
    s->inside[parts[i].zone] += parts[i].area;
    assert_int_equal(sky_strata_add(ctx, s, parts[i].zone, place, parts[i].cls, parts[i].area),
                     SKY_OK);
  }
}

static void test_strata(void **state) {
  sky_context *ctx = *state;
  sky_strata s[2];
  for (int k = 0; k < 2; k++) {
    fill_strata(ctx, &s[k], k == 1);
    assert_int_equal(sky_strata_finish(ctx, &s[k]), SKY_OK);
  }
  assert_int_equal(s[0].n, 4);
  assert_int_equal(s[0].n_place, 2);
  assert_int_equal(s[0].place[0].climate, 1);
  assert_memory_equal(s[0].stratum, s[1].stratum, 4 * sizeof *s[0].stratum);
  assert_true(s[0].stratum[1].area == 8.5 && s[0].nodata[0] == 2 && s[0].nodata[1] == 0);
  sky_tensor t;
  assert_int_equal(sky_tensor_make(ctx, &s[0], NULL, 0, 0, &t), SKY_OK);
  assert_true(sky_tensor_at(&t, 0, 2, 0) == 19.5 && sky_tensor_at(&t, 1, 0, 1) == 5);
  assert_true(sky_tensor_at(&t, 1, 0, 0) == 3 && t.inside[0] == 21.5);
  sky_tensor_free(&t);
  const size_t group[2] = {4, 9};
  assert_int_equal(sky_tensor_make(ctx, &s[0], group, 9, 1, &t), SKY_OK);
  assert_true(sky_tensor_at(&t, 0, 0, 0) == 8.5 && sky_tensor_at(&t, 1, 1, 1) == 5);
  assert_true(sky_tensor_at(&t, 1, 0, 2) == 0);
  sky_tensor_free(&t);
  for (int k = 0; k < 2; k++)
    sky_strata_free(&s[k]);
}

static void test_strata_failures(void **state) {
  sky_context *ctx = *state;
  sky_strata s;
  const uint16_t cls[2] = {0, 3};
  assert_fails(ctx, sky_strata_create(ctx, 1, 1, 3, &s), SKY_E_RANGE, "1 dates, expected 2 to 8");
  assert_fails(ctx, sky_strata_create(ctx, 1, 2, 0, &s), SKY_E_RANGE, "0 classes");
  assert_int_equal(sky_strata_create(ctx, 1, 2, 3, &s), SKY_OK);
  assert_fails(ctx, sky_strata_add(ctx, &s, 0, ANY, cls, 1), SKY_E_INTERNAL, "class index");
  sky_strata_free(&s);
  fill_strata(ctx, &s, false);
  s.inside[1] *= 1 + 1e-9;
  assert_fails(ctx, sky_strata_finish(ctx, &s), SKY_E_MASS, "zone 1");
  sky_strata_free(&s);
  size_t failures = 0;
  for (uint64_t nth = 1; nth <= 8; nth++) {
    const uint16_t good[2] = {0, 1};
    sky_tensor t = {0};
    sky_memory_fail_at(ctx, nth);
    sky_status st = sky_strata_create(ctx, 1, 2, 3, &s);
    if (st == SKY_OK) {
      s.inside[0] = 2;
      st = sky_strata_add(ctx, &s, 0, ANY, good, 1);
      if (st == SKY_OK) st = sky_strata_add(ctx, &s, 0, (sky_place){1, 1}, good, 1);
      if (st == SKY_OK) st = sky_strata_finish(ctx, &s);
      if (st == SKY_OK) st = sky_tensor_make(ctx, &s, NULL, 0, 0, &t);
      sky_strata_free(&s);
    }
    sky_memory_fail_at(ctx, 0);
    sky_tensor_free(&t);
    failures += st == SKY_E_NOMEM;
  }
  assert_int_equal(failures, 8);
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
  assert_close(sky_sink_factor_sd(0.016, NAN, "P2.5-P97.5 or CI95", 0.013, 0.019), 0.006 / 3.92,
               1e-12);
  assert_close(sky_sink_factor_sd(112, NAN, "P2.5-P97.5", 73, 147), 74 / 3.92, 1e-12);
  assert_close(sky_sink_factor_sd(138, NAN, "mean+-SE", 100, 176), 38, 1e-12);
  assert_true(sky_sink_factor_sd(1, NAN, "reference", NAN, NAN) == 0);
  assert_true(sky_sink_factor_sd(1, NAN, "", NAN, NAN) == 0);
  assert_true(sky_sink_factor_sd(0, NAN, "CI95_abs", NAN, NAN) == 0); /* its cells are empty */
  assert_true(isnan(sky_sink_factor_sd(1, 1, "guess", 0, 2)));        /* no silent 0 */
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
  assert_int_equal(n, 8);
  for (size_t i = 0; i < n; i++) {
    const int all[9] = {1, 3, 4, 6, 7, 11, 2, 9, 10};
    const bool ipcc = strncmp(names[i], "ipcc", 4) == 0;
    const sky_status st = load(ctx, names[i], ipcc ? "WET" : NULL, all, ipcc ? 9 : 6, NULL, &s);
    assert_int_equal(st, SKY_E_RANGE); /* all hold unverified rows, and nothing worse */
    assert_non_null(strstr(sky_error(ctx), "that nobody verified"));
  }
  sky_free(names);
}

/* SOC = REF · FLU · FMG · FI, IPCC 2019 V4 Tables 2.3, 5.5 and 6.2: warm temperate moist, HAC. */
static void test_management(void **state) {
  sky_context *ctx = *state;
  sky_sink_set s;
  bool present[SKY_SINK_CLASSES] = {[2] = true, [6] = true};
  const char *allowed = GRASS;
  sky_sink_need need = {.present = present,
                        .changed = present,
                        .soil = "HAC",
                        .tillage = "no-till",
                        .input = "high with manure",
                        .grazing = "severely degraded",
                        .allowed = &allowed,
                        .n_allowed = 1};
  assert_int_equal(sky_sink_set_builtin(ctx, "ipcc-subtropical-humid", &need, &s), SKY_OK);
  double grad[64] = {0};
  assert_true(s.n_factor <= 64);
  assert_close(sky_sink_pool_value(&s, &s.cls[6].pool[SKY_POOL_SOIL], 1, grad),
               64 * 0.69 * 1.10 * 1.44, 1e-12);
  assert_close(sky_sink_pool_value(&s, &s.cls[2].pool[SKY_POOL_SOIL], 1, NULL), 64 * 0.70, 1e-12);
  for (size_t k = 0; k < s.n_factor; k++)
    if (strstr(s.factor[k].key, "FMG cropland") != NULL)
      assert_close(grad[k], 64 * 0.69 * 1.44, 1e-12);
  sky_sink_set_free(&s);
  need.tillage = "reduced tillage";
  need.input = "low";
  need.grazing = "improved";
  assert_int_equal(sky_sink_set_builtin(ctx, "ipcc-tropical-dry", &need, &s), SKY_E_RANGE);
  present[2] = false; /* its biomass is unverified; soils of cropland alone */
  assert_int_equal(sky_sink_set_builtin(ctx, "ipcc-tropical-dry", &need, &s), SKY_OK);
  assert_close(sky_sink_pool_value(&s, &s.cls[6].pool[SKY_POOL_SOIL], 1, NULL),
               21 * 0.92 * 0.99 * 0.95, 1e-12);
  sky_sink_set_free(&s);
  need.tillage = "ridge";
  assert_fails(ctx, sky_sink_set_builtin(ctx, "ipcc-tropical-dry", &need, &s), SKY_E_USAGE,
               "tillage 'ridge' is not in set 'ipcc-tropical-dry' (expected 'reduced tillage'");
  /* Every way in every set finds its row. */
  char **names;
  size_t n;
  assert_int_equal(sky_sink_set_names(ctx, &names, &n), SKY_OK);
  static const char *const ways[3][3] = {{"reduced tillage", "low", NULL},
                                         {"no-till", "high without manure", NULL},
                                         {NULL, "high with manure", NULL}};
  for (size_t i = 0; i < n; i++) {
    for (size_t w = 0; w < 3 && strncmp(names[i], "ipcc", 4) == 0; w++) {
      need.tillage = ways[w][0];
      need.input = ways[w][1];
      need.grazing = ways[w][2];
      assert_int_equal(sky_sink_set_builtin(ctx, names[i], &need, &s), SKY_OK);
      sky_sink_set_free(&s);
    }
  }
  sky_free(names);
}

static sky_status plots(sky_context *ctx, const char *text, sky_sink_set *set) {
  sky_table *t;
  assert_int_equal(sky_table_parse(ctx, "p.csv", text, strlen(text), &t), SKY_OK);
  const sky_status st = sky_sink_set_use_plots(ctx, t, "p.csv", set);
  sky_table_free(t);
  return st;
}

/* 40, 60 and 80 t C/ha: 60 ± 20/√3; one plot of three stands for twice the area: 65. */
static void test_plots(void **state) {
  sky_context *ctx = *state;
  const double x[3] = {40, 60, 80}, same[3] = {7, 7, 7}, w[3] = {1, 1, 2};
  sky_plot_mean m = sky_plots_mean(x, same, 3);
  assert_close(m.mean, 60, 1e-14);
  assert_close(m.sd, 20 / sqrt(3), 1e-12);
  assert_close(m.place_sd, 20, 1e-12);
  m = sky_plots_mean(x, w, 3);
  assert_close(m.mean, 65, 1e-14);
  assert_close(m.sd, sqrt(1.5 * (625 + 25 + 4 * 225)) / 4, 1e-12);
  assert_close(m.place_sd, sqrt(1.5 * (625 + 25 + 2 * 225) / 4), 1e-12);
  sky_sink_set s;
  const int forest_crop[2] = {1, 7};
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", "HAC", forest_crop, 2, NULL, &s), SKY_OK);
  const size_t before = s.n_factor;
  assert_int_equal(
      plots(ctx, "class,biomass_t_c_ha,gain_t_c_ha_yr\n1,40,1\n1,60,2\n1,80,1.5\n", &s), SKY_OK);
  assert_int_equal(s.n_factor, before + 2);
  const sky_sink_pool *p = s.cls[0].pool;
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_ABOVE], 1, NULL), 60, 1e-14);
  assert_true(sky_sink_pool_value(&s, &p[SKY_POOL_BELOW], 1, NULL) == 0);
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_GROWTH], 1, NULL), 1.5, 1e-14);
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_GROWTH_YOUNG], 1, NULL), 1.5, 1e-14);
  assert_close(sky_sink_pool_value(&s, &p[SKY_POOL_SOIL], 1, NULL), 64, 1e-12);
  assert_close(s.factor[before].sd, 20 / sqrt(3), 1e-12);
  assert_close(s.factor[before].place_sd, 20, 1e-12);
  assert_close(sky_sink_pool_value(&s, &s.cls[6].pool[SKY_POOL_ABOVE], 1, NULL), 4.7, 1e-12);
  assert_fails(ctx, plots(ctx, "class,agb\n1,40\n", &s), SKY_E_FORMAT, "biomass_t_c_ha");
  assert_fails(ctx, plots(ctx, "class,biomass_t_c_ha\n1,40\n", &s), SKY_E_RANGE,
               "one plot of class 1");
  assert_fails(ctx, plots(ctx, "class,biomass_t_c_ha\n1,40\n1,-2\n", &s), SKY_E_RANGE, "p.csv:3");
  assert_fails(ctx, plots(ctx, "class,biomass_t_c_ha\n12,40\n", &s), SKY_E_RANGE, "class 12");
  assert_fails(ctx, plots(ctx, "class,biomass_t_c_ha,weight\n1,40,0\n1,50,1\n", &s), SKY_E_RANGE,
               "weight 0");
  sky_sink_set_free(&s);
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

static sky_status compute(sky_context *ctx, const sky_tensor *t, const sky_sink_set *set,
                          double years, double accuracy, sky_sink_row *rows) {
  const sky_sink_site site = {t, set, NULL};
  const sky_sink_how how = {.years = years, .accuracy = accuracy, .places = NAN};
  return sky_sink_compute(ctx, &site, 1, &how, rows);
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
  assert_int_equal(compute(ctx, &t, &set, 10, NAN, rows), SKY_OK);
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
  assert_int_equal(compute(ctx, &t, &set, 10, NAN, rows), SKY_OK);
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
  assert_int_equal(compute(ctx, &t, &set, 400, NAN, rows), SKY_OK);
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
  assert_int_equal(compute(ctx, &t, &set, 10, NAN, rows), SKY_OK);
  assert_close(rows[3].stock.sd, 6e3 * sqrt(101), 1e-12);
  assert_close(rows[7].stock.sd / fabs(rows[7].stock.value),
               rows[3].stock.sd / fabs(rows[3].stock.value), 1e-12);
  assert_close(rows[11].stock.sd, rows[3].stock.sd + rows[7].stock.sd, 1e-12);
  sky_sink_set_free(&set);
}

/* Two climates: one factor (the carbon fraction, the soil of croplands …) is one error in both. */
static void test_two_sites(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,above,above_sd,gain,gain_sd\n1,100,10,2,1\n2,5,1,,\n", &set);
  double a[9] = {50, 8, 0, 2, 30, 0, 0, 0, 0}, b[9] = {5, 80, 0, 1, 3, 0, 0, 0, 0};
  double both[9], zero[3] = {0};
  for (size_t k = 0; k < 9; k++)
    both[k] = a[k] + b[k];
  const sky_tensor t[3] = {areas(1, 3, a, zero), areas(1, 3, b, zero), areas(1, 3, both, zero)};
  const size_t same[3] = {0, 1, 2}, other[3] = {3, 4, 5};
  const sky_sink_how how = {.years = 10, .accuracy = NAN, .places = NAN};
  sky_sink_row one[4], shared[4], apart[4], first[4], second[4];
  assert_int_equal(set.n_factor, 3);
  assert_int_equal(compute(ctx, &t[2], &set, 10, NAN, one), SKY_OK);
  assert_int_equal(compute(ctx, &t[0], &set, 10, NAN, first), SKY_OK);
  assert_int_equal(compute(ctx, &t[1], &set, 10, NAN, second), SKY_OK);
  sky_sink_site site[2] = {{&t[0], &set, same}, {&t[1], &set, same}};
  assert_int_equal(sky_sink_compute(ctx, site, 2, &how, shared), SKY_OK);
  site[1].factor = other;
  assert_int_equal(sky_sink_compute(ctx, site, 2, &how, apart), SKY_OK);
  for (size_t c = 0; c < 4; c++) {
    assert_close(shared[c].stock.value, one[c].stock.value, 1e-12);
    assert_close(shared[c].stock.sd, one[c].stock.sd, 1e-12);
    assert_close(shared[c].uptake.sd, one[c].uptake.sd, 1e-12);
    assert_close(apart[c].stock.sd, hypot(first[c].stock.sd, second[c].stock.sd), 1e-12);
    assert_close(shared[c].area[1], one[c].area[1], 1e-12);
  }
  assert_true(shared[3].stock.sd > 1.05 * apart[3].stock.sd);
  sky_sink_set_free(&set);
}

/* The reference soil of one place is not the mean of its climate: HAC of W1, Batjes (2010). */
static void test_places(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  const int numbers[2] = {1, 7};
  assert_int_equal(load(ctx, "ipcc-subtropical-humid", "HAC", numbers, 2, NULL, &set), SKY_OK);
  double a[121] = {0}, zero[3] = {0}, own = 0;
  a[6] = 100;
  const sky_tensor t = areas(1, 11, a, zero);
  const sky_sink_site site = {&t, &set, NULL};
  sky_sink_row mean[12], here[12], four[12];
  for (size_t f = 0; f < set.n_factor; f++)
    if (set.factor[f].place_sd > 0) own = set.factor[f].place_sd;
  assert_true(own > 20 && own < 64); /* of 64 t C/ha: the mean itself is known to 3.3 t */
  assert_int_equal(sky_sink_compute(ctx, &site, 1, &HOW(NAN), mean), SKY_OK);
  assert_int_equal(sky_sink_compute(ctx, &site, 1, &HOW(1), here), SKY_OK);
  assert_int_equal(sky_sink_compute(ctx, &site, 1, &HOW(4), four), SKY_OK);
  const double part = 1e3 * 100 * own * (1 - 0.69) / 2;
  assert_close(here[11].stock.sd, hypot(mean[11].stock.sd, part), 1e-12);
  assert_close(four[11].stock.sd, hypot(mean[11].stock.sd, part / 2), 1e-12);
  assert_fails(ctx, sky_sink_compute(ctx, &site, 1, &HOW(0.5), four), SKY_E_RANGE,
               "0.5 independent places");
  sky_sink_set_free(&set);
}

/* Olofsson et al. (2014): two classes, one true change in the map's false ones, by hand. */
static void test_reference(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  sky_reference r;
  user_set(ctx, "code,above,above_sd\n1,100,10\n2,5,1\n", &set);
  double a[9] = {700, 100, 0, 0, 200, 0, 0, 0, 0}, zero[3] = {0};
  const sky_tensor t = areas(1, 3, a, zero);
  assert_int_equal(sky_reference_create(ctx, 3, &r), SKY_OK);
  sky_reference_add(&r, 0, 0, 0, 0, 195); /* stable wood: 5 of 200 were cleared */
  sky_reference_add(&r, 0, 0, 0, 1, 5);
  sky_reference_add(&r, 0, 1, 0, 1, 30); /* mapped clearings: 60 % of 50 are none */
  sky_reference_add(&r, 0, 1, 0, 0, 20);
  sky_reference_add(&r, 1, 1, 1, 1, 1);
  sky_reference_finish(&r);
  sky_sink_row rows[4];
  const sky_sink_site site = {&t, &set, NULL};
  const sky_sink_how how = {.years = 10, .accuracy = 0.85, .places = NAN, .reference = &r};
  assert_fails(ctx, sky_sink_compute(ctx, &site, 1, &how, rows), SKY_E_RANGE,
               "1 units where the maps go from field to field");
  r.units[4] = 50; /* all of them stable */
  assert_int_equal(sky_sink_compute(ctx, &site, 1, &how, rows), SKY_OK);
  const double cleared = 700 * 0.025 + 100 * 0.6;
  assert_close(rows[3].stock.value, -1e3 * 95 * cleared, 1e-12);
  assert_close(rows[0].area[1], (800 - cleared) * HECTARE, 1e-12);
  assert_close(rows[0].area[0], 800 * HECTARE, 1e-12);
  const double var = 700 * 700 * 0.025 * 0.975 / 199 + 100 * 100 * 0.6 * 0.4 / 49;
  const double factors = cleared * cleared * 101, both = var * 101;
  assert_close(rows[3].stock.sd, 1e3 * sqrt(factors + 95 * 95 * var + both), 1e-12);
  /* The same as two places with the same factors: one sample, one error. */
  double b[2][9];
  for (size_t k = 0; k < 9; k++) {
    b[0][k] = 0.3 * a[k];
    b[1][k] = 0.7 * a[k];
  }
  const sky_tensor half[2] = {{1, 3, b[0], zero, zero}, {1, 3, b[1], zero, zero}};
  const size_t same[2] = {0, 1};
  const sky_sink_site sites[2] = {{&half[0], &set, same}, {&half[1], &set, same}};
  const double sd = rows[3].stock.sd;
  assert_int_equal(sky_sink_compute(ctx, sites, 2, &how, rows), SKY_OK);
  assert_close(rows[3].stock.sd, sd, 1e-12);
  for (uint64_t nth = 1; nth <= 2; nth++) {
    sky_reference no;
    sky_memory_fail_at(ctx, nth);
    assert_int_equal(sky_reference_create(ctx, 3, &no), SKY_E_NOMEM);
    sky_memory_fail_at(ctx, 0);
  }
  sky_reference_free(&r);
  sky_sink_set_free(&set);
}

/* Maps that repeat half of their mistakes show half of the false change. */
static void test_correlated_maps(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,above,gain\n1,10,0.5\n2,9,\n", &set);
  double a[9] = {50, 10, 0, 4, 36, 0, 0, 0, 0}, zero[3] = {0};
  const sky_tensor t = areas(1, 3, a, zero);
  const sky_sink_site site = {&t, &set, NULL};
  sky_sink_how how = {.years = 10, .accuracy = 0.85, .places = NAN, .correlation = 0.5};
  sky_sink_row rows[4];
  assert_int_equal(sky_sink_compute(ctx, &site, 1, &how, rows), SKY_OK);
  assert_close(rows[3].stock.sd, 1e3 * 100 * 0.85 * 0.15 * 0.5 * sqrt(2), 1e-12);
  how.correlation = 1.5;
  assert_fails(ctx, sky_sink_compute(ctx, &site, 1, &how, rows), SKY_E_RANGE, "correlation 1.5");
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
  for (size_t k = 0; k < m; k++)
    sd[k] = set->factor[k].sd;
  sky_sink_false_areas(area, area, n, 0.85, w);
  const sky_sink_variance v = sky_linear_variance(&l, area, w, set->factor);
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
  assert_int_equal(compute(ctx, &t, &set, 10, 0.85, rows), SKY_OK);
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
  assert_int_equal(compute(ctx, &u, &set, 10, 0.85, rows), SKY_OK);
  const double dead = 8.7 + 13.2, lost = 4.7 - 258.4 * 1.246 * 0.47 - dead;
  const double gained = 5 * 2.5 * 1.246 * 0.47 + 0.25 * dead - 4.7;
  const sky_sink_estimate *e = &rows[11].stock;
  assert_close(e->value, 1e3 * (10 * lost + 4 * gained), 1e-12);
  assert_close(e->low, e->value - 1.959963984540054 * e->sd, 1e-12);
  assert_close(e->high, e->value - 1e3 * w * (lost + gained) + 1.959963984540054 * e->sd, 1e-12);
  assert_true(e->sd > 1e3 * w * hypot(lost, gained));
  /* Unknown accuracy: the sd of the factors, from no change to the mapped one. What grows, too: 54
   * ha at the second date, of which 50 and half of 14 were forest all along; stands up to 20 years
   * grow 2.5 and older ones 1 t/ha. */
  assert_int_equal(compute(ctx, &u, &set, 10, 1, rows), SKY_OK);
  const double sd = rows[11].stock.sd;
  assert_int_equal(compute(ctx, &u, &set, 10, NAN, rows), SKY_OK);
  assert_close(e->sd, sd, 1e-12);
  assert_close(e->low, e->value - 1.959963984540054 * sd, 1e-12);
  assert_close(e->high, 1.959963984540054 * sd, 1e-12);
  const sky_sink_estimate *up = &rows[11].uptake;
  const double per = 1.246 * 0.47 * 1e3;
  assert_close(up->value, -(50 + 4 * 2.5) * per, 1e-12);
  assert_close(up->high - up->low, (4 * 2.5 - 7) * per + 2 * 1.959963984540054 * up->sd, 1e-12);
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
    assert_int_equal(compute(ctx, &t, &tier1, 14, 0.85, rows), SKY_OK);
    assert_true(rows[11].stock.low <= 0 && rows[11].stock.high >= 0);
    assert_true(rows[0].stock.low <= 0 && rows[0].stock.high >= 0);
    /* Nothing known of the maps' errors: all of the change may be one. */
    assert_int_equal(compute(ctx, &t, &tier1, 14, NAN, rows), SKY_OK);
    for (size_t i = 0; i < 12; i++)
      assert_true(rows[i].stock.low <= 0 && rows[i].stock.high >= 0);
    /* Negative control: said to be without errors, the same maps show a change that is not there.
     */
    assert_int_equal(compute(ctx, &t, &tier1, 14, 1, rows), SKY_OK);
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
  const sky_sink_site site = {&t, &set, NULL};
  sky_sink_how how = {.accuracy = 0.85};
  sky_sink_cells c;
  assert_int_equal(sky_sink_cells_make(ctx, &site, 1, &how, 0.3, &c), SKY_OK);
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
  for (uint64_t nth = 1; nth <= 8; nth++) {
    sky_memory_fail_at(ctx, nth);
    assert_int_equal(sky_sink_cells_make(ctx, &site, 1, &how, 0.3, &c), SKY_E_NOMEM);
    sky_memory_fail_at(ctx, 0);
  }
  how.correlation = 0.25; /* of the mistakes, a quarter is in both maps */
  assert_int_equal(sky_sink_cells_make(ctx, &site, 1, &how, 0.3, &c), SKY_OK);
  assert_close(c.factor[2], 0.75 * shared, 1e-12);
  sky_sink_cells_free(&c);
  how = (sky_sink_how){.accuracy = NAN};
  assert_int_equal(sky_sink_cells_make(ctx, &site, 1, &how, 0.3, &c), SKY_OK);
  assert_int_equal(c.rank, 1);
  sky_sink_cells_free(&c);

  /* The land in two places whose factor is one table row: the same cells, one row of errors. As
   * rows of their own, the places' errors are two. */
  double half[18], rest[18];
  for (size_t k = 0; k < 18; k++) {
    half[k] = 0.25e-4 * a[k]; /* ha again */
    rest[k] = 0.75e-4 * a[k];
  }
  const sky_tensor t1 = areas(2, 3, half, zero), t2 = areas(2, 3, rest, zero);
  const size_t one[1] = {0}, two[1] = {1};
  sky_sink_site both[2] = {{&t1, &set, one}, {&t2, &set, one}};
  assert_int_equal(sky_sink_cells_make(ctx, both, 2, &how, 0.3, &c), SKY_OK);
  assert_int_equal(c.rank, 1);
  assert_close(c.uptake[0], -8000, 1e-12);
  assert_close(c.factor[0], -2000, 1e-12);
  assert_close(c.variance[0], 0.3 * 8000 * 0.3 * 8000, 1e-12);
  sky_sink_cells_free(&c);
  both[1].factor = two;
  assert_int_equal(sky_sink_cells_make(ctx, both, 2, &how, 0.3, &c), SKY_OK);
  assert_int_equal(c.rank, 2);
  assert_close(c.factor[0], -500, 1e-12);
  assert_close(c.factor[2], -1500, 1e-12);
  sky_sink_cells_free(&c);
  sky_sink_set_free(&set);
}

static void test_compute_failures(void **state) {
  sky_context *ctx = *state;
  sky_sink_set set;
  user_set(ctx, "code,above\n1,10\n2,9\n", &set);
  double a[9] = {5, 1, 0, 0, 3, 0, 0, 0, 0}, zero[3] = {0};
  const sky_tensor t = areas(1, 3, a, zero);
  sky_sink_row rows[4];
  assert_fails(ctx, compute(ctx, &t, &set, 0, NAN, rows), SKY_E_RANGE, "years");
  assert_fails(ctx, compute(ctx, &t, &set, 5, 1.5, rows), SKY_E_RANGE, "accuracy 1.5");
  for (uint64_t nth = 1; nth <= 8; nth++) {
    sky_memory_fail_at(ctx, nth);
    assert_int_equal(compute(ctx, &t, &set, 5, 0.9, rows), SKY_E_NOMEM);
    sky_memory_fail_at(ctx, 0);
  }
  assert_int_equal(compute(ctx, &t, &set, 5, 0.9, rows), SKY_OK);
  sky_sink_set_free(&set);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_strata),          SKY_UNIT(test_strata_failures),
                                     SKY_UNIT(test_two_sites),       SKY_UNIT(test_places),
                                     SKY_UNIT(test_reference),       SKY_UNIT(test_correlated_maps),
                                     SKY_UNIT(test_legend),          SKY_UNIT(test_user_legend),
                                     SKY_UNIT(test_factor_sd),       SKY_UNIT(test_sets),
                                     SKY_UNIT(test_management),      SKY_UNIT(test_plots),
                                     SKY_UNIT(test_set_memory),      SKY_UNIT(test_minus_one),
                                     SKY_UNIT(test_tier1_numbers),   SKY_UNIT(test_shared_error),
                                     SKY_UNIT(test_variance),        SKY_UNIT(test_map_error),
                                     SKY_UNIT(test_identical_truth), SKY_UNIT(test_cells),
                                     SKY_UNIT(test_compute_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
