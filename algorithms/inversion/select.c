/* select.c: rows of a problem by index. */
#include "algorithms/inversion/select.h"

#include <string.h>

#include "algorithms/inversion/noise.h"
#include "src/core/memory.h"

size_t sky_select_label(size_t n, const int32_t *label, int32_t value, bool equal, size_t *index) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++)
    if ((label[i] == value) == equal) index[count++] = i;
  return count;
}

void sky_selection_free(sky_problem *p) {
  sky_free(p->rowptr);
  sky_free(p->col);
  sky_free(p->val);
  sky_free(p->y);
  sky_free(p->r_sd);
  sky_track_free(p->track);
  sky_free(p->group);
  sky_free(p->regressor);
  memset(p, 0, sizeof *p);
}

static void copy_row(const sky_problem *p, size_t i, size_t k, sky_problem *out) {
  const size_t begin = p->rowptr[i], count = p->rowptr[i + 1] - begin;
  memcpy(out->col + out->rowptr[k], p->col + begin, count * sizeof *p->col);
  memcpy(out->val + out->rowptr[k], p->val + begin, count * sizeof *p->val);
  out->rowptr[k + 1] = out->rowptr[k] + count;
  out->y[k] = p->y[i];
  out->r_sd[k] = p->r_sd[i];
  if (p->group != NULL) out->group[k] = p->group[i];
  for (size_t r = 0; r < p->n_regressor; r++)
    out->regressor[r * out->n_obs + k] = p->regressor[r * p->n_obs + i];
}

sky_status sky_problem_select(sky_context *ctx, const sky_problem *p, size_t n, const size_t *index,
                              sky_problem *out) {
  sky_status st = SKY_OK;
  size_t nnz = 0;
  *out = *p;
  out->n_obs = n;
  out->rowptr = NULL;
  out->col = out->group = NULL;
  out->val = out->y = out->r_sd = out->regressor = NULL;
  out->track = NULL;
  for (size_t k = 0; k < n; k++)
    nnz += p->rowptr[index[k] + 1] - p->rowptr[index[k]];
  SKY_GO_ALLOC(out->rowptr, SKY_NEW0(ctx, size_t, n + 1));
  SKY_GO_ALLOC(out->col, SKY_NEW(ctx, int32_t, nnz));
  SKY_GO_ALLOC(out->val, SKY_NEW(ctx, double, nnz));
  SKY_GO_ALLOC(out->y, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(out->r_sd, SKY_NEW(ctx, double, n));
  if (p->group != NULL) SKY_GO_ALLOC(out->group, SKY_NEW(ctx, int32_t, n));
  if (p->n_regressor > 0) SKY_GO_ALLOC(out->regressor, SKY_NEW(ctx, double, n * p->n_regressor));
  for (size_t k = 0; k < n; k++)
    copy_row(p, index[k], k, out);
  if (p->track != NULL) SKY_GO(sky_track_select(ctx, p->track, n, index, &out->track));
cleanup:
  if (st != SKY_OK) sky_selection_free(out);
  return st;
}

void sky_problem_take_rows(sky_problem *p, sky_problem *part) {
  sky_problem old = *p;
  *p = *part; /* the state's arrays are the same */
  sky_selection_free(&old);
  memset(part, 0, sizeof *part);
}
