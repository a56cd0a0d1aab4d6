/* fuzz_footprint.c: assembly of footprints: sets with rows of any size, also none, are appended,
 * and sums, counts and order are kept. */
#include <math.h>

#include "src/read/footprint.h"
#include "tests/fuzz/fuzz.h"

enum { NX = 7, NY = 5, CELLS = NX * NY };

/* One byte a row: how many cells; then one byte a cell: the step to the next. */
static size_t make(sky_context *ctx, const uint8_t *data, size_t size, sky_footprints *f) {
  size_t at = 1;
  const size_t rows = size > 0 ? data[0] % 9 : 0;
  static sky_grid grid;
  if (grid.nx == 0) HOLDS(sky_grid_from_box(ctx, "EPSG:4326", 0, 0, NX, NY, 1, 1, &grid) == SKY_OK);
  HOLDS(sky_grid_copy(ctx, &grid, &f->grid) == SKY_OK);
  snprintf(f->format, sizeof f->format, "openghg");
  f->n_receptors = f->n_rows = rows;
  double **const receptor[] = {&f->time,    &f->period,    &f->lon, &f->lat,
                               &f->outside, &f->flux_time, &f->sum};
  for (size_t k = 0; k < sizeof receptor / sizeof *receptor; ++k)
    HOLDS((*receptor[k] = calloc(rows + 1, sizeof(double))) != NULL);
  f->receptor = calloc(rows + 1, sizeof *f->receptor);
  f->rowptr = calloc(rows + 1, sizeof *f->rowptr);
  f->col = calloc(rows * CELLS + 1, sizeof *f->col);
  f->val = calloc(rows * CELLS + 1, sizeof *f->val);
  HOLDS(f->receptor != NULL && f->rowptr != NULL && f->col != NULL && f->val != NULL);
  size_t n = 0;
  for (size_t r = 0; r < rows; ++r) {
    const size_t cells = at < size ? data[at++] % (CELLS + 1) : 0;
    int32_t col = -1;
    f->receptor[r] = r;
    f->time[r] = (double)r;
    for (size_t k = 0; k < cells && at < size; ++k) {
      col += 1 + data[at] % 3;
      if (col >= CELLS) break;
      f->col[n] = col;
      f->val[n] = 1 + data[at++];
      f->sum[r] += f->val[n++];
    }
    f->rowptr[r + 1] = n;
  }
  return at < size ? at : size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sky_context *ctx = fuzz_context();
  sky_footprints sum = {0};
  size_t rows = 0, cells = 0;
  double total = 0;
  for (int part = 0; part < 6 && size > 0; ++part) {
    sky_footprints f = {0};
    const size_t used = make(ctx, data, size, &f);
    data += used;
    size -= used;
    rows += f.n_rows;
    cells += f.rowptr[f.n_rows];
    for (size_t r = 0; r < f.n_rows; ++r)
      total += f.sum[r];
    HOLDS(sky_footprints_append(ctx, &sum, &f) == SKY_OK);
    sky_footprints_free(&f);
  }
  HOLDS(sum.n_rows == rows && sum.n_receptors == rows);
  double again = 0;
  for (size_t r = 0; r < sum.n_rows; ++r) {
    HOLDS(sum.rowptr[r] <= sum.rowptr[r + 1] && sum.receptor[r] < sum.n_receptors);
    double row = 0;
    for (size_t k = sum.rowptr[r]; k < sum.rowptr[r + 1]; ++k) {
      HOLDS(sum.col[k] >= 0 && sum.col[k] < CELLS);
      HOLDS(k == sum.rowptr[r] || sum.col[k] > sum.col[k - 1]);
      row += sum.val[k];
    }
    HOLDS(row == sum.sum[r]);
    again += row;
  }
  HOLDS(rows == 0 || sum.rowptr[rows] == cells);
  HOLDS(again == total);
  sky_footprints_free(&sum);
  return 0;
}
