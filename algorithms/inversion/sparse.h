/* sparse.h: a sparse matrix held by rows and by columns, so that A x and Aᵀ y are both parallel and
 * both the same bits for any thread count: every element of a result is one sum, in a fixed order.
 *
 * Column and row indices are 32-bit; values double, or float32 with sums in double. */
#ifndef SKY_ALGORITHMS_SPARSE_H
#define SKY_ALGORITHMS_SPARSE_H

#include "skyflux/context.h"

typedef struct sky_sparse {
  size_t n_row, n_col;
  const size_t *rowptr; /* [n_row+1] borrowed */
  const int32_t *col;   /* [nnz] borrowed */
  const double *val;    /* [nnz] borrowed; not looked at where val32 is there */
  float *val32;         /* [nnz] or NULL */
  size_t *colptr;       /* [n_col+1]; the same matrix by columns, rows ascending */
  int32_t *row;         /* [nnz] */
  double *tval;         /* [nnz], or tval32 */
  float *tval32;
  size_t *order;  /* [n_row] rows by their first column, or NULL: as they stand */
  double *packed; /* eight vectors side by side: one product at a time of a matrix */
} sky_sparse;

/* rowptr, col and val stay the caller's and must outlive *out (val may go if float32 is wanted).
 * SKY_E_RANGE where a column is outside 0..n_col-1, SKY_E_SIZE beyond 2^31-1 rows or columns. */
SKY_NODISCARD sky_status sky_sparse_create(sky_context *ctx, size_t n_row, size_t n_col,
                                           const size_t *rowptr, const int32_t *col,
                                           const double *val, bool float32, sky_sparse *out);
void sky_sparse_free(sky_sparse *s); /* NULL-safe, zeroes */
/* Bytes that sky_sparse_create takes. */
double sky_sparse_bytes(size_t n_col, size_t nnz, bool float32);

/* out [count*n_row] = A x, x [count*n_col]: vectors one after another. A vector's bits do not
 * depend on its neighbours. */
void sky_sparse_apply(sky_context *ctx, const sky_sparse *s, const double *x, size_t count,
                      double *out);
/* out [count*n_col] = Aᵀ y, y [count*n_row]. */
void sky_sparse_transpose_apply(sky_context *ctx, const sky_sparse *s, const double *y,
                                size_t count, double *out);
#endif
