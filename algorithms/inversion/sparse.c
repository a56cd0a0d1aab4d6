/* sparse.c: see sparse.h and sparse.md. */
#include "algorithms/inversion/sparse.h"

#include <string.h>

#include "src/core/memory.h"

#define LINE_BLOCK 64 /* rows or columns that a thread takes at once */
#define WORTH 1e5     /* multiplications that are worth a second thread */
#define TOGETHER 8    /* vectors that share one pass over the matrix, most */

/* One of the two copies: lines are rows or columns. */
typedef struct lines {
  size_t n;
  const size_t *ptr;
  const int32_t *index;
  const double *val;
  const float *val32;
} lines;

/* Transpose by counting: lines are visited in order, so indices ascend in every new line. */
static void fill_columns(sky_sparse *s) {
  for (size_t k = 0; k < s->rowptr[s->n_row]; k++)
    s->colptr[s->col[k] + 1]++;
  for (size_t j = 0; j < s->n_col; j++)
    s->colptr[j + 1] += s->colptr[j];
  for (size_t i = 0; i < s->n_row; i++)
    for (size_t k = s->rowptr[i]; k < s->rowptr[i + 1]; k++) {
      const size_t to = s->colptr[s->col[k]]++;
      s->row[to] = (int32_t)i;
      if (s->tval32 != NULL)
        s->tval32[to] = (float)s->val[k];
      else
        s->tval[to] = s->val[k];
    }
  for (size_t j = s->n_col; j > 0; j--)
    s->colptr[j] = s->colptr[j - 1];
  s->colptr[0] = 0;
}

sky_status sky_sparse_create(sky_context *ctx, size_t n_row, size_t n_col, const size_t *rowptr,
                             const int32_t *col, const double *val, bool float32, sky_sparse *out) {
  const size_t nnz = rowptr[n_row];
  sky_status st = SKY_OK;
  *out = (sky_sparse){.n_row = n_row, .n_col = n_col, .rowptr = rowptr, .col = col, .val = val};
  if (n_row > INT32_MAX || n_col > INT32_MAX)
    return sky_fail(ctx, SKY_E_SIZE, "sparse: %zu x %zu exceeds 2^31-1 rows or columns", n_row,
                    n_col);
  for (size_t k = 0; k < nnz; k++)
    if (col[k] < 0 || (size_t)col[k] >= n_col)
      return sky_fail(ctx, SKY_E_RANGE, "sparse: element %zu has column %d (expected 0..%zu)", k,
                      col[k], n_col - 1);
  SKY_GO_ALLOC(out->colptr, SKY_NEW0(ctx, size_t, n_col + 1));
  SKY_GO_ALLOC(out->row, SKY_NEW(ctx, int32_t, nnz));
  if (float32) {
    SKY_GO_ALLOC(out->val32, SKY_NEW(ctx, float, nnz));
    SKY_GO_ALLOC(out->tval32, SKY_NEW(ctx, float, nnz));
    for (size_t k = 0; k < nnz; k++)
      out->val32[k] = (float)val[k];
  } else {
    SKY_GO_ALLOC(out->tval, SKY_NEW(ctx, double, nnz));
  }
  fill_columns(out);
cleanup:
  if (st != SKY_OK) sky_sparse_free(out);
  return st;
}

void sky_sparse_free(sky_sparse *s) {
  if (s == NULL) return;
  sky_free(s->val32);
  sky_free(s->colptr);
  sky_free(s->row);
  sky_free(s->tval);
  sky_free(s->tval32);
  memset(s, 0, sizeof *s);
}

double sky_sparse_bytes(size_t n_col, size_t nnz, bool float32) {
  return (double)(n_col + 1) * sizeof(size_t) +
         (double)nnz * (double)(sizeof(int32_t) + (float32 ? 2 * sizeof(float) : sizeof(double)));
}

/* Lines from..end times `width` vectors; width is a constant where this is called, so that the
 * sums stay in registers. */
static inline void multiply_width(const lines *a, size_t from, size_t end, size_t width,
                                  const double *x, size_t length, double *out) {
  for (size_t line = from; line < end; line++) {
    double sum[TOGETHER] = {0};
    for (size_t k = a->ptr[line]; k < a->ptr[line + 1]; k++) {
      const double v = a->val32 != NULL ? (double)a->val32[k] : a->val[k];
      const double *at = x + a->index[k];
      for (size_t q = 0; q < width; q++)
        sum[q] += v * at[q * length];
    }
    for (size_t q = 0; q < width; q++)
      out[q * a->n + line] = sum[q];
  }
}

static void multiply_block(const lines *a, size_t i, const double *x, size_t length, size_t count,
                           double *out) {
  const size_t end = i + LINE_BLOCK < a->n ? i + LINE_BLOCK : a->n;
  for (size_t first = 0, width; first < count; first += width) {
    const double *from = x + first * length;
    double *to = out + first * a->n;
    const size_t left = count - first;
    width = left >= TOGETHER ? TOGETHER : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (width == TOGETHER)
      multiply_width(a, i, end, TOGETHER, from, length, to);
    else if (width == 4)
      multiply_width(a, i, end, 4, from, length, to);
    else if (width == 2)
      multiply_width(a, i, end, 2, from, length, to);
    else
      multiply_width(a, i, end, 1, from, length, to);
  }
}

static void multiply(sky_context *ctx, const lines *a, const double *x, size_t length, size_t count,
                     double *out) {
  const int threads = (double)a->ptr[a->n] * (double)count > WORTH ? sky_context_threads(ctx) : 1;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (size_t i = 0; i < a->n; i += LINE_BLOCK)
    multiply_block(a, i, x, length, count, out);
}

void sky_sparse_apply(sky_context *ctx, const sky_sparse *s, const double *x, size_t count,
                      double *out) {
  const lines rows = {s->n_row, s->rowptr, s->col, s->val, s->val32};
  multiply(ctx, &rows, x, s->n_col, count, out);
}

void sky_sparse_transpose_apply(sky_context *ctx, const sky_sparse *s, const double *y,
                                size_t count, double *out) {
  const lines columns = {s->n_col, s->colptr, s->row, s->tval, s->tval32};
  multiply(ctx, &columns, y, s->n_row, count, out);
}
