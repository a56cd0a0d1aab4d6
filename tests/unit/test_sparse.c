/* Sparse products against dense ones, each other, and themselves in another order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "algorithms/inversion/sparse.h"
#include "fixture_problem.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"

enum { CELLS = 90, TIMES = 4, OBS = 300, STATE = CELLS * TIMES, COUNT = 11 };

static double *normals(sky_context *ctx, uint64_t stream, size_t n) {
  double *v = fixture_new(ctx, n);
  for (size_t i = 0; i < n; i++)
    v[i] = sky_rng_normal(9, stream, i);
  return v;
}

static void test_products(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  sky_sparse s, half;
  fixture_problem(ctx, 5, CELLS, TIMES, OBS, 0, &p);
  double *x = normals(ctx, 1, COUNT * STATE), *y = normals(ctx, 2, COUNT * OBS);
  double *Hx = fixture_new(ctx, COUNT * OBS), *Hty = fixture_new(ctx, COUNT * STATE);
  double *want = fixture_new(ctx, COUNT * STATE), *again = fixture_new(ctx, COUNT * STATE);
  double *H = fixture_dense_H(ctx, &p);
  assert_int_equal(sky_sparse_create(ctx, OBS, STATE, p.rowptr, p.col, p.val, false, &s), SKY_OK);
  sky_sparse_apply(ctx, &s, x, COUNT, Hx);
  sky_sparse_transpose_apply(ctx, &s, y, COUNT, Hty);
  fixture_multiply(COUNT, STATE, OBS, false, x, true, H, want);
  assert_true(fixture_difference(COUNT * OBS, Hx, want) < 1e-14);
  fixture_multiply(COUNT, OBS, STATE, false, y, false, H, want);
  assert_true(fixture_difference(COUNT * STATE, Hty, want) < 1e-14);
  /* ⟨Hx, y⟩ = ⟨x, Hᵀy⟩ */
  for (size_t k = 0; k < COUNT; k++) {
    const double a = sky_dot(Hx + k * OBS, y + k * OBS, OBS);
    const double b = sky_dot(x + k * STATE, Hty + k * STATE, STATE);
    const double size = sqrt(sky_dot(Hx + k * OBS, Hx + k * OBS, OBS)) *
                        sqrt(sky_dot(y + k * OBS, y + k * OBS, OBS));
    assert_true(fabs(a - b) < 1e-13 * size);
  }
  /* The same bits with other threads, and for one vector alone. */
  for (int threads = 1; threads <= 5; threads += 2) {
    sky_context_set_threads(ctx, threads);
    sky_sparse_apply(ctx, &s, x, COUNT, again);
    assert_memory_equal(again, Hx, COUNT * OBS * sizeof *Hx);
    sky_sparse_transpose_apply(ctx, &s, y, COUNT, again);
    assert_memory_equal(again, Hty, COUNT * STATE * sizeof *Hty);
    sky_sparse_transpose_apply(ctx, &s, y + 3 * OBS, 1, again);
    assert_memory_equal(again, Hty + 3 * STATE, STATE * sizeof *Hty);
  }
  /* float32: the values are rounded, nothing else. */
  assert_int_equal(sky_sparse_create(ctx, OBS, STATE, p.rowptr, p.col, p.val, true, &half), SKY_OK);
  for (size_t i = 0; i < OBS * STATE; i++)
    H[i] = (double)(float)H[i];
  sky_sparse_apply(ctx, &half, x, COUNT, again);
  fixture_multiply(COUNT, STATE, OBS, false, x, true, H, want);
  assert_true(fixture_difference(COUNT * OBS, again, want) < 1e-14);
  assert_true(fixture_difference(COUNT * OBS, again, Hx) > 1e-10);
  sky_sparse_transpose_apply(ctx, &half, y, COUNT, again);
  fixture_multiply(COUNT, OBS, STATE, false, y, false, H, want);
  assert_true(fixture_difference(COUNT * STATE, again, want) < 1e-14);
  sky_sparse_free(&half);
  sky_sparse_free(&s);
  double *all[] = {x, y, Hx, Hty, want, again, H};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    sky_free(all[i]);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

/* Rows in another order, and in two blocks: the same rows of the answer, bit by bit. */
static void test_row_order(void **state) {
  (void)state;
  sky_context *ctx = fixture_context(2);
  sky_problem p;
  fixture_problem(ctx, 6, CELLS, TIMES, OBS, 0, &p);
  const size_t nnz = p.rowptr[OBS];
  double *x = normals(ctx, 1, STATE), *Hx = fixture_new(ctx, OBS), *other = fixture_new(ctx, OBS);
  size_t *rowptr = SKY_NEW0(ctx, size_t, OBS + 1);
  int32_t *col = SKY_NEW0(ctx, int32_t, nnz);
  double *val = fixture_new(ctx, nnz);
  for (size_t i = 0; i < OBS; i++) { /* row i of the new one is row 7i mod OBS of the old one */
    const size_t from = 7 * i % OBS, n = p.rowptr[from + 1] - p.rowptr[from];
    memcpy(col + rowptr[i], p.col + p.rowptr[from], n * sizeof *col);
    memcpy(val + rowptr[i], p.val + p.rowptr[from], n * sizeof *val);
    rowptr[i + 1] = rowptr[i] + n;
  }
  sky_sparse s, permuted, block;
  assert_int_equal(sky_sparse_create(ctx, OBS, STATE, p.rowptr, p.col, p.val, false, &s), SKY_OK);
  assert_int_equal(sky_sparse_create(ctx, OBS, STATE, rowptr, col, val, false, &permuted), SKY_OK);
  sky_sparse_apply(ctx, &s, x, 1, Hx);
  sky_sparse_apply(ctx, &permuted, x, 1, other);
  for (size_t i = 0; i < OBS; i++)
    assert_true(other[i] == Hx[7 * i % OBS]);
  size_t *part = SKY_NEW0(ctx, size_t, OBS + 1);
  const size_t first = 100;
  for (size_t i = first; i <= OBS; i++)
    part[i - first] = p.rowptr[i] - p.rowptr[first];
  assert_int_equal(sky_sparse_create(ctx, OBS - first, STATE, part, p.col + p.rowptr[first],
                                     p.val + p.rowptr[first], false, &block),
                   SKY_OK);
  sky_sparse_apply(ctx, &block, x, 1, other);
  assert_memory_equal(other, Hx + first, (OBS - first) * sizeof *Hx);
  sky_sparse_free(&s);
  sky_sparse_free(&permuted);
  sky_sparse_free(&block);
  col[3] = (int32_t)STATE;
  assert_int_equal(sky_sparse_create(ctx, OBS, STATE, rowptr, col, val, false, &s), SKY_E_RANGE);
  assert_non_null(strstr(sky_error(ctx), "element 3"));
  sky_free(x);
  sky_free(Hx);
  sky_free(other);
  sky_free(rowptr);
  sky_free(col);
  sky_free(val);
  sky_free(part);
  sky_problem_free(&p);
  sky_context_free(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_products),
                                     cmocka_unit_test(test_row_order)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
