/* Ready-made information: shapes, labels, refusals, and the real run's own result. */
#include <math.h>
#include <unistd.h>

#include "src/core/memory.h"
#include "src/read/information.h"
#include "tests/support/sky_cmocka.h"
#include "tests/unit/fixture_gridded.h"

enum { N = 3 };

typedef struct change {
  double off_diagonal, label, gamma;
  bool short_g;
} change;

static void write_pair(const change *c) {
  int nc = fx_create("info_result.nc");
  const int a = fx_dim(nc, "nvar1", N), b = fx_dim(nc, "nvar2", N), s = fx_dim(nc, "short", 2);
  const int dims[2] = {a, b};
  const double F[9] = {4, c->off_diagonal, 0, 1, 5, 2, 0, 2, 6}, g[3] = {1, 2, 3};
  fx_var(nc, "KTinvSoK", 2, dims, "1", NULL, F);
  fx_var(nc, "KTinvSoyKxA", 1, c->short_g ? &s : &a, "1", NULL, g);
  fx_var(nc, "gamma", 0, NULL, "1", NULL, &c->gamma);
  fx_close(nc);
  nc = fx_create("info_state.nc");
  const int grid[3] = {fx_dim(nc, "time", 1), fx_axis(nc, "lat", 2, 31, -1, "degrees_north"),
                       fx_axis(nc, "lon", 2, 10, 1, "degrees_east")};
  const double fill = -9999, labels[4] = {1, -9999, NAN, c->label};
  fx_var(nc, "StateVector", 3, grid, "none", &fill, labels);
  fx_close(nc);
}

static const change good = {.off_diagonal = 1, .label = 2, .gamma = 0.5};

static void labels_and_matrix(void **state) {
  sky_context *ctx = *state;
  sky_information i;
  write_pair(&good);
  assert_int_equal(sky_information_read(ctx, "info_result.nc", "info_state.nc", &i), SKY_OK);
  assert_int_equal(i.n, 3);
  assert_int_equal(i.n_boundary, 1);
  assert_true(i.gamma == 0.5 && isnan(i.prior_sd) && i.F[5] == 2 && i.g[2] == 3);
  const int32_t labels[4] = {0, 2, 1, 0}; /* the file's rows run from the north */
  assert_memory_equal(i.label, labels, sizeof labels);
  sky_information_free(&i);
}

static void defects_are_named(void **state) {
  sky_context *ctx = *state;
  const struct {
    change c;
    sky_status status;
    const char *part;
  } cases[] = {{{.off_diagonal = 2, .label = 2, .gamma = 1}, SKY_E_FORMAT, "not symmetric"},
               {{.off_diagonal = 1, .label = 4, .gamma = 1}, SKY_E_FORMAT, "label 4"},
               {{.off_diagonal = 1, .label = 1.5, .gamma = 1}, SKY_E_FORMAT, "label 1.5"},
               {{.off_diagonal = 1, .label = 3, .gamma = 1}, SKY_E_FORMAT, "no cell has label 2"},
               {{.off_diagonal = 1, .label = 2, .gamma = -1}, SKY_E_RANGE, "gamma"},
               {{.off_diagonal = 1, .label = 2, .gamma = 1, .short_g = true},
                SKY_E_FORMAT,
                "KTinvSoK: expected 2 dimensions of 2"}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    sky_information i = {0};
    write_pair(&cases[k].c);
    assert_fails(ctx, sky_information_read(ctx, "info_result.nc", "info_state.nc", &i),
                 cases[k].status, cases[k].part);
  }
}

static void allocations_may_fail(void **state) {
  sky_context *ctx = *state;
  write_pair(&good);
  sky_status st = SKY_E_NOMEM;
  uint64_t n = 1;
  for (; n < 1000 && st != SKY_OK; n++) {
    sky_information i = {0};
    sky_memory_fail_at(ctx, n);
    st = sky_information_read(ctx, "info_result.nc", "info_state.nc", &i);
    sky_memory_fail_at(ctx, 0);
    if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
    sky_information_free(&i);
  }
  assert_int_equal(st, SKY_OK);
  assert_true(n > 15);
  unlink("info_result.nc");
  unlink("info_state.nc");
}

static void the_permian_run(void **state) {
  sky_context *ctx = *state;
  const char *const folder = SKYFLUX_DATA "/data/imi_permian_testcase/";
  char result[512], label[512];
  snprintf(result, sizeof result, "%sinversion_result.nc", folder);
  snprintf(label, sizeof label, "%sStateVector.nc", folder);
  if (access(result, R_OK) != 0) skip();
  sky_information i;
  assert_int_equal(sky_information_read(ctx, result, label, &i), SKY_OK);
  assert_int_equal(i.n, 27);
  assert_int_equal(i.n_boundary, 4);
  assert_true(i.gamma == 1 && i.prior_sd == 0.5 && i.boundary_sd == 10);
  size_t outside = 0, core = 0;
  for (size_t c = 0; c < sky_grid_cells(&i.grid); c++) {
    outside += i.label[c] == 0;
    core += i.label[c] >= 1 && i.label[c] <= 15;
  }
  assert_int_equal(outside, 576);
  assert_int_equal(core, 15);
  sky_information_free(&i);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(labels_and_matrix), SKY_UNIT(defects_are_named),
                                     SKY_UNIT(allocations_may_fail), SKY_UNIT(the_permian_run)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
