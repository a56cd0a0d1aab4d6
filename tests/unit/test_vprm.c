/* VPRM: its equations by hand, the traps of units, signs and classes, parameter sets, the indices
 * of reflectance and the fit of the season. */
#include "tests/support/sky_cmocka.h"

#include <math.h>

#include "algorithms/sink/vegetation.h"
#include "algorithms/sink/vprm_sets.h"
#include "src/core/memory.h"

#define C0 SKY_VPRM_CELSIUS
#define MICRO 1e-6

static void near(double a, double b, double relative) {
  if (!(fabs(a - b) <= relative * fabs(b))) fail_msg("%.17g is not %.17g", a, b);
}

static sky_vprm_class forest(void) { /* round numbers */
  return (sky_vprm_class){.name = "forest",
                          .lambda = 0.1,
                          .par0 = 500 * MICRO,
                          .alpha = 0.2 * MICRO,
                          .beta = 0.5 * MICRO,
                          .t_min = C0,
                          .t_opt = C0 + 20,
                          .t_max = C0 + 40,
                          .t_low = C0 + 2,
                          .pscale = SKY_PSCALE_PHASE};
}

/* One cell at one hour: gpp and reco, µmol m-2 s-1. */
static void one(sky_context *ctx, const sky_vprm_class *cls, const double *share, size_t n,
                double celsius, double shortwave, const double v[6], double out[2]) {
  sky_vprm_day day;
  const double t = celsius + C0;
  assert_int_equal(sky_vprm_day_create(ctx, cls, n, share, 1, &day), SKY_OK);
  sky_vprm_day_set(&day, &(sky_vprm_season){v, v + 1, v + 2, v + 3, v + 4, v + 5}, 1);
  sky_vprm_hour(&day, &t, &shortwave, 1, &out[0], &out[1]);
  out[0] /= MICRO;
  out[1] /= MICRO;
  sky_vprm_day_free(&day);
}

/* evi, lswi, evi_min, evi_max, lswi_min, lswi_max */
static const double LEAVES[6] = {0.5, 0.2, 0.1, 0.5, 0.0, 0.4};
static const double WHOLE[3] = {1, 1, 1};

static void test_scales(void **state) {
  (void)state;
  sky_vprm_class c = forest();
  near(sky_vprm_tscale(&c, C0 + 20), 1, 1e-15);
  near(sky_vprm_tscale(&c, C0 + 10), 10.0 * -30 / (10.0 * -30 - 100), 1e-13);
  assert_true(sky_vprm_tscale(&c, C0) == 0 && sky_vprm_tscale(&c, C0 - 5) == 0);
  assert_true(sky_vprm_tscale(&c, C0 + 40) == 0 && sky_vprm_tscale(&c, C0 + 45) == 0);
  near(sky_vprm_pscale_of(&c, 0.33, 0.1, 0.5, 0.2), 1, 0); /* 0.1 + 0.55 × 0.4 = 0.32 */
  near(sky_vprm_pscale_of(&c, 0.31, 0.1, 0.5, 0.2), 0.6, 1e-15);
  c.pscale = SKY_PSCALE_LSWI;
  near(sky_vprm_pscale_of(&c, 0.5, 0.1, 0.5, 0.2), 0.6, 1e-15);
  c.pscale = SKY_PSCALE_ONE;
  near(sky_vprm_pscale_of(&c, 0.1, 0.1, 0.5, 0.2), 1, 0);
  near(sky_vprm_wscale_of(&c, 0.2, 0, 0.4), 1.2 / 1.4, 1e-15);
}

static void test_xeric(void **state) {
  (void)state;
  sky_vprm_class c = forest();
  c.wscale = SKY_WSCALE_XERIC;
  near(sky_vprm_wscale_of(&c, 0.1, 0, 0.4), 0.25, 1e-15);
  near(sky_vprm_wscale_of(&c, 0.3, 0.3, 0.3), 1, 0); /* no range, no division by 0 */
  assert_true(sky_vprm_wscale_of(&c, -0.1, 0, 0.4) == 0);
  near(sky_vprm_wscale_of(&c, 0.5, 0, 0.4), 1, 0);
  c.wscale = SKY_WSCALE_STANDARD;
  assert_true(isfinite(sky_vprm_wscale_of(&c, -1, -1, -1)));
  assert_true(isnan(sky_vprm_wscale_of(&c, NAN, 0, 0.4)));
}

static void test_by_hand(void **state) {
  const sky_vprm_class c = forest();
  double f[2];
  /* SW 252.5 W m-2 is 500 umol: PAR/(1 + PAR/PAR0) = 250; Ts = Ps = 1, Ws = 1.2/1.4 */
  one(*state, &c, WHOLE, 1, 20, 252.5, LEAVES, f);
  near(f[0], 0.1 * (1.2 / 1.4) * 0.5 * 250, 1e-13);
  near(f[1], 0.2 * 20 + 0.5, 1e-12);
}

static void test_night_and_cold(void **state) {
  const sky_vprm_class c = forest();
  double f[2];
  one(*state, &c, WHOLE, 1, 20, 0, LEAVES, f);
  assert_true(f[0] == 0 && f[1] > 0);
  one(*state, &c, WHOLE, 1, 20, -0.1, LEAVES, f); /* noise of the archive */
  assert_true(f[0] == 0);
  one(*state, &c, WHOLE, 1, -10, 300, LEAVES, f); /* one floor: Tlow, not Tmin */
  assert_true(f[0] == 0);
  near(f[1], 0.2 * 2 + 0.5, 1e-12);
  one(*state, &c, WHOLE, 1, 1, 300, LEAVES, f);
  near(f[1], 0.2 * 2 + 0.5, 1e-12);
  sky_vprm_class cold = forest();
  cold.beta = -3 * MICRO; /* alpha Tlow + beta < 0 */
  one(*state, &cold, WHOLE, 1, -10, 0, LEAVES, f);
  assert_true(f[1] == 0);
}

/* WRF assigned in this loop: the last class won. */
static void test_classes_are_summed(void **state) {
  sky_vprm_class c[2] = {forest(), forest()};
  const double half[2] = {0.5, 0.25};
  double a[2], b[2], both[2];
  c[1].lambda = 0.3;
  c[1].beta = 2 * MICRO;
  one(*state, &c[0], WHOLE, 1, 18, 400, LEAVES, a);
  one(*state, &c[1], WHOLE, 1, 18, 400, LEAVES, b);
  one(*state, c, half, 2, 18, 400, LEAVES, both);
  for (size_t i = 0; i < 2; i++)
    near(both[i], 0.5 * a[i] + 0.25 * b[i], 1e-14);
  const double last_only = 0.25 * b[0];
  assert_true(fabs(both[0] - last_only) > 0.1 * both[0]);
}

static void test_nodata(void **state) {
  const sky_vprm_class c = forest();
  const double none[6] = {NAN, NAN, NAN, NAN, NAN, NAN}, zero[1] = {0}, unknown[1] = {NAN};
  double f[2];
  one(*state, &c, WHOLE, 1, NAN, 300, LEAVES, f);
  assert_true(isnan(f[0]) && isnan(f[1]));
  one(*state, &c, WHOLE, 1, 20, NAN, LEAVES, f);
  assert_true(isnan(f[0]) && isnan(f[1]));
  one(*state, &c, WHOLE, 1, 20, 300, none, f);
  assert_true(isnan(f[0]) && isnan(f[1]));
  one(*state, &c, unknown, 1, 20, 300, LEAVES, f);
  assert_true(isnan(f[0]) && isnan(f[1]));
  one(*state, &c, zero, 1, 20, 300, none, f); /* water: nothing is asked of it */
  assert_true(f[0] == 0 && f[1] == 0);
}

/* The third term of Ws has T squared (VPRM_tools: T twice). */
static void test_modified_respiration(void **state) {
  sky_vprm_class c = forest();
  double f[2];
  c.modified = true;
  c.alpha2 = 0.01 * MICRO;
  c.gamma = 2 * MICRO;
  c.k1 = 0.3 * MICRO;
  c.k2 = 0.02 * MICRO;
  c.k3 = 0.001 * MICRO;
  c.t_crit = C0 + 5;
  c.t_mult = 0.5;
  const double w = 1.2 / 1.4;
  one(*state, &c, WHOLE, 1, 20, 0, LEAVES, f);
  near(f[1], 0.5 + 0.2 * 20 + 0.01 * 400 + 2 * 0.5 + w * (0.3 + 0.02 * 20 + 0.001 * 400), 1e-12);
  one(*state, &c, WHOLE, 1, 1, 0, LEAVES, f); /* 5 - 0.5 × 4 = 3 */
  near(f[1], 0.5 + 0.2 * 3 + 0.01 * 9 + 2 * 0.5 + w * (0.3 + 0.02 * 3 + 0.001 * 9), 1e-12);
}

static void test_bad_parameters(void **state) {
  sky_context *ctx = *state;
  sky_vprm_day day;
  sky_vprm_class c = forest();
  c.lambda = -0.1;
  assert_int_equal(sky_vprm_day_create(ctx, &c, 1, WHOLE, 1, &day), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "forest"));
  c = forest();
  c.t_opt = c.t_max;
  assert_int_equal(sky_vprm_day_create(ctx, &c, 1, WHOLE, 1, &day), SKY_E_RANGE);
}

/* ---- parameter sets ------------------------------------------------------------------------- */

static void test_builtin_sets(void **state) {
  sky_context *ctx = *state;
  sky_vprm_set s;
  static const struct {
    const char *name;
    size_t n;
  } sets[] = {{"pyvprm-modis", 7}, {"pyvprm-sentinel2", 7}, {"eu2007", 6}, {"hilton2013", 8}};
  for (size_t i = 0; i < 4; i++) {
    sky_vprm_day day;
    const double share[8] = {0};
    assert_int_equal(sky_vprm_set_builtin(ctx, sets[i].name, &s), SKY_OK);
    assert_int_equal(s.n, sets[i].n);
    assert_true(s.region[0] != '\0');
    assert_int_equal(sky_vprm_day_create(ctx, s.cls, s.n, share, 1, &day), SKY_OK);
    sky_vprm_day_free(&day);
    for (size_t k = 0; k < s.n; k++) /* per photon: no quantum yield is above 0.5 */
      assert_true(s.cls[k].lambda < 0.5 && s.cls[k].par0 < 0.01 && s.cls[k].par0 > 5e-5);
    sky_vprm_set_free(&s);
  }
  assert_int_equal(sky_vprm_set_builtin(ctx, "mars", &s), SKY_E_USAGE);
  assert_non_null(strstr(sky_error(ctx), "eu2007"));
}

/* EU2007 is per W m-2 of shortwave: 0.225777 × 0.505 per photon, 275.459 / 0.505 umol m-2 s-1. */
static void test_unit_trap(void **state) {
  sky_vprm_set s;
  assert_int_equal(sky_vprm_set_builtin(*state, "eu2007", &s), SKY_OK);
  const sky_vprm_class *c = &s.cls[sky_vprm_set_find(&s, "evergreen forest")];
  near(c->lambda, 0.225777 * 0.505, 1e-12);
  near(c->par0, 275.459 / 0.505 * MICRO, 1e-12);
  sky_vprm_set_free(&s);
}

#define HEAD \
  "class,lambda,par0,light,lambda_sign,alpha,beta,t_min,t_opt,t_max,t_low,pscale,wscale,source\n"
#define REST "0.2,0.5,0,20,40,2,phase,standard,a report\n"

static sky_status parse(sky_context *ctx, const char *text, sky_vprm_set *out) {
  sky_table *t = NULL;
  assert_int_equal(sky_table_parse(ctx, "mine.csv", text, strlen(text), &t), SKY_OK);
  const sky_status st = sky_vprm_set_from_table(ctx, t, "mine.csv", out);
  sky_table_free(t);
  return st;
}

static void test_user_table(void **state) {
  sky_context *ctx = *state;
  sky_vprm_set par, sw, negative, s;
  assert_int_equal(parse(ctx, HEAD "forest,0.1,500,par,positive," REST, &par), SKY_OK);
  assert_int_equal(parse(ctx, HEAD "forest,0.19801980198019803,252.5,sw,positive," REST, &sw),
                   SKY_OK);
  assert_int_equal(parse(ctx, HEAD "forest,-0.1,500,par,negative," REST, &negative), SKY_OK);
  const sky_vprm_class want = forest();
  const sky_vprm_set *all[] = {&par, &sw, &negative};
  for (size_t i = 0; i < 3; i++) { /* three spellings of one plant */
    near(all[i]->cls[0].lambda, want.lambda, 1e-12);
    near(all[i]->cls[0].par0, want.par0, 1e-12);
    near(all[i]->cls[0].alpha, want.alpha, 1e-12);
    near(all[i]->cls[0].t_low, want.t_low, 1e-12);
    assert_false(all[i]->cls[0].modified);
  }
  sky_vprm_set_free(&par);
  sky_vprm_set_free(&sw);
  sky_vprm_set_free(&negative);
  assert_int_equal(parse(ctx, HEAD "forest,0.1,500,,positive," REST, &s), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "light"));
  assert_int_equal(parse(ctx, HEAD "forest,0.1,500,par,," REST, &s), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "lambda_sign"));
  assert_int_equal(
      parse(ctx, HEAD "forest,0.1,500,par,positive,0.2,0.5,0,20,40,2,phase,standard,\n", &s),
      SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "source"));
}

/* ---- indices and season --------------------------------------------------------------------- */

static void test_indices(void **state) {
  (void)state;
  near(sky_evi(0.05, 0.35, 0.03), 2.5 * 0.3 / (0.35 + 0.3 - 0.225 + 1), 1e-14);
  near(sky_lswi(0.35, 0.2), 0.15 / 0.55, 1e-14);
  assert_true(isnan(sky_evi(0.05, 1.7, 0.03)) && isnan(sky_evi(NAN, 0.3, 0.03)));
  assert_true(isnan(sky_lswi(0.0, 0.0)) && isnan(sky_evi(0.01, 0.02, 0.9)));
}

static void test_quality(void **state) {
  (void)state;
  const uint32_t good = 1u << 30;
  assert_int_equal(sky_modis_quality(0x48, good), SKY_MODIS_GOOD); /* clear, land, low aerosol */
  assert_int_equal(sky_modis_quality(0x48 | 1, good), SKY_MODIS_CLOUD);
  assert_int_equal(sky_modis_quality(0x48 | 2, good), SKY_MODIS_CLOUD);
  assert_int_equal(sky_modis_quality(0x48 | 3, good), SKY_MODIS_GOOD); /* not set: assumed clear */
  assert_int_equal(sky_modis_quality(0x48 | 1 << 10, good), SKY_MODIS_CLOUD);
  assert_int_equal(sky_modis_quality(0x48 | 4, good), SKY_MODIS_SHADOW);
  assert_int_equal(sky_modis_quality(0x48 | 3 << 6, good), SKY_MODIS_AEROSOL);
  assert_int_equal(sky_modis_quality(0x48 | 1 << 12, good), SKY_MODIS_SNOW);
  assert_int_equal(sky_modis_quality(0x48, good | 8u << 2), SKY_MODIS_BAND);
  assert_int_equal(sky_modis_quality(0x48, good | 8u << 22), SKY_MODIS_BAND); /* band 6 */
  assert_int_equal(sky_modis_quality(0x48, good | 8u << 18), SKY_MODIS_GOOD); /* band 5: not used */
}

/* The fit solves its normal equations: (W + p DᵀD) z = W y, by the residual of each row. */
static void test_season(void **state) {
  (void)state;
  enum { N = 23 };
  double y[N], w[N], z[N], work[4 * N], right[N];
  for (int i = 0; i < N; i++) {
    y[i] = i % 3 == 1 ? (double)NAN : 0.3 + 0.2 * sin(0.4 * i) + 0.01 * (i * 7 % 5);
    w[i] = 0.2 + 0.1 * (i % 4);
  }
  sky_season_fit(y, w, N, 2.5, z, work);
  for (int i = 0; i < N; i++)
    right[i] = isnan(y[i]) ? 0 : w[i] * (y[i] - z[i]);
  for (int k = 0; k + 2 < N; k++) {
    const double d = 2.5 * (z[k] - 2 * z[k + 1] + z[k + 2]);
    right[k] -= d;
    right[k + 1] += 2 * d;
    right[k + 2] -= d;
  }
  for (int i = 0; i < N; i++)
    assert_true(fabs(right[i]) < 1e-13);
  for (int i = 0; i < N; i++)
    y[i] = i == 4 || i == 20 ? 0.1 * i : (double)NAN; /* two values: the line through them */
  sky_season_fit(y, w, N, 2.5, z, work);
  for (int i = 0; i < N; i++)
    assert_true(fabs(z[i] - 0.1 * i) < 1e-9);
  y[20] = NAN;
  sky_season_fit(y, w, N, 2.5, z, work);
  near(z[0], y[4], 1e-15);
  near(z[N - 1], y[4], 1e-15);
  y[4] = NAN;
  sky_season_fit(y, w, N, 2.5, z, work);
  assert_true(isnan(z[0]) && isnan(z[N - 1]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_scales),         SKY_UNIT(test_xeric),
      SKY_UNIT(test_by_hand),        SKY_UNIT(test_night_and_cold),
      SKY_UNIT(test_nodata),         SKY_UNIT(test_classes_are_summed),
      SKY_UNIT(test_bad_parameters), SKY_UNIT(test_modified_respiration),
      SKY_UNIT(test_builtin_sets),   SKY_UNIT(test_unit_trap),
      SKY_UNIT(test_user_table),     SKY_UNIT(test_indices),
      SKY_UNIT(test_quality),        SKY_UNIT(test_season)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
