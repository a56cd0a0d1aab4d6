/* sparse.c: see sparse.h and sparse.md. */
#include "algorithms/inversion/sparse.h"

#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"

#define LINE_BLOCK 64  /* rows or columns that a thread takes at once */
#define WORTH 1e5      /* multiplications that are worth a second thread */
#define TOGETHER 8     /* vectors that share one pass over the matrix, most */
#define PACK_BLOCK 512 /* elements that a thread lays side by side at once */

/* One of the two copies: lines are rows or columns. */
typedef struct lines {
  size_t n;
  const size_t *order; /* [n] in which they are visited, or NULL */
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

typedef struct start { /* of a row */
  int32_t col;
  size_t row;
} start;

static int by_column(const void *a, const void *b) {
  const start *x = a, *y = b;
  if (x->col != y->col) return x->col < y->col ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

/* Rows by their first column, so that neighbours in time find the same part of x in the cache; NULL
 * where they stand so. */
static sky_status sort_rows(sky_context *ctx, sky_sparse *s) {
  start *first = SKY_NEW(ctx, start, s->n_row);
  if (first == NULL) return SKY_E_NOMEM;
  bool sorted = true;
  for (size_t i = 0; i < s->n_row; i++) {
    first[i] = (start){s->rowptr[i] < s->rowptr[i + 1] ? s->col[s->rowptr[i]] : 0, i};
    sorted = sorted && (i == 0 || first[i].col >= first[i - 1].col);
  }
  sky_status st = SKY_OK;
  if (sorted) goto cleanup;
  qsort(first, s->n_row, sizeof *first, by_column);
  SKY_GO_ALLOC(s->order, SKY_NEW(ctx, size_t, s->n_row));
  for (size_t i = 0; i < s->n_row; i++)
    s->order[i] = first[i].row;
cleanup:
  sky_free(first);
  return st;
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
  SKY_GO(sort_rows(ctx, out));
  SKY_GO_ALLOC(out->packed, SKY_NEW(ctx, double, TOGETHER *(n_row > n_col ? n_row : n_col)));
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
  sky_free(s->order);
  sky_free(s->packed);
  memset(s, 0, sizeof *s);
}

double sky_sparse_bytes(size_t n_col, size_t nnz, bool float32) {
  return (double)(n_col + 1) * (sizeof(size_t) + TOGETHER * sizeof(double)) +
         (double)nnz * (double)(sizeof(int32_t) + (float32 ? 2 * sizeof(float) : sizeof(double)));
}

/* Lines from..end times `width` vectors, element i of vector q at x[i*step + q*length]; width is a
 * constant where this is called, so that the sums stay in registers. */
static inline void multiply_width(const lines *a, size_t from, size_t end, size_t width,
                                  const double *x, size_t step, size_t length, double *out) {
  for (size_t i = from; i < end; i++) {
    const size_t line = a->order != NULL ? a->order[i] : i;
    double sum[TOGETHER] = {0};
    for (size_t k = a->ptr[line]; k < a->ptr[line + 1]; k++) {
      const double v = a->val32 != NULL ? (double)a->val32[k] : a->val[k];
      const double *at = x + (size_t)a->index[k] * step;
      for (size_t q = 0; q < width; q++)
        sum[q] += v * at[q * length];
    }
    for (size_t q = 0; q < width; q++)
      out[q * a->n + line] = sum[q];
  }
}

/* TOGETHER vectors side by side: packed[i*TOGETHER + q] = x[q*length + i]. */
static void pack(const double *x, size_t length, int threads, double *packed) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (size_t from = 0; from < length; from += PACK_BLOCK)
    for (size_t i = from; i < length && i < from + PACK_BLOCK; i++)
      for (size_t q = 0; q < TOGETHER; q++)
        packed[i * TOGETHER + q] = x[q * length + i];
}

/* Fewer vectors than TOGETHER, as they stand. */
static void multiply_few(const lines *a, size_t i, size_t end, const double *x, size_t length,
                         size_t count, double *out) {
  for (size_t first = 0, width; first < count; first += width) {
    const double *from = x + first * length;
    double *to = out + first * a->n;
    const size_t left = count - first;
    width = left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (width == 4)
      multiply_width(a, i, end, 4, from, 1, length, to);
    else if (width == 2)
      multiply_width(a, i, end, 2, from, 1, length, to);
    else
      multiply_width(a, i, end, 1, from, 1, length, to);
  }
}

static void multiply(sky_context *ctx, const lines *a, double *packed, const double *x,
                     size_t length, size_t count, double *out) {
  const int threads = (double)a->ptr[a->n] * (double)count > WORTH ? sky_context_threads(ctx) : 1;
  for (size_t first = 0, width; first < count; first += width) {
    const double *from = x + first * length;
    double *to = out + first * a->n;
    width = count - first < TOGETHER ? count - first : TOGETHER;
    if (width == TOGETHER) pack(from, length, threads, packed);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (size_t i = 0; i < a->n; i += LINE_BLOCK) {
      const size_t end = i + LINE_BLOCK < a->n ? i + LINE_BLOCK : a->n;
      if (width == TOGETHER)
        multiply_width(a, i, end, TOGETHER, packed, TOGETHER, 1, to);
      else
        multiply_few(a, i, end, from, length, width, to);
    }
  }
}

void sky_sparse_apply(sky_context *ctx, const sky_sparse *s, const double *x, size_t count,
                      double *out) {
  const lines rows = {s->n_row, s->order, s->rowptr, s->col, s->val, s->val32};
  multiply(ctx, &rows, s->packed, x, s->n_col, count, out);
}

void sky_sparse_transpose_apply(sky_context *ctx, const sky_sparse *s, const double *y,
                                size_t count, double *out) {
  const lines columns = {s->n_col, NULL, s->colptr, s->row, s->tval, s->tval32};
  multiply(ctx, &columns, s->packed, y, s->n_row, count, out);
}
