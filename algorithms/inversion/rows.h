/* rows.h: (H Q)ᵀ of one time step, some observations at a time (bayes.md §2).
 *
 * Observations stand in places: sorted by the first step that they see, so that a tile of
 * neighbours shares a window of time and H Q Hᵀ becomes a profile. What is zero is skipped: steps
 * that D does not join with what an observation sees, and runs of zeros in E. */
#ifndef SKY_ALGORITHMS_ROWS_H
#define SKY_ALGORITHMS_ROWS_H

#include "skyflux/problem.h"

enum { SKY_ROWS_TILE = 32 }; /* observations of a tile; divides SKY_BAND_TILE */

typedef struct sky_rows {
  sky_context *ctx;
  const sky_problem *p;
  size_t n, tiles, reach; /* places; tiles of them; steps of time that Q joins */
  size_t workers;         /* tiles that may be made at once */
  size_t *order;          /* [n] observation at a place */
  size_t *place;          /* [n] of an observation */
  size_t *first;          /* [n] by place, rising: the first place that H Q Hᵀ joins with it */
  size_t *start;          /* [n*(n_time+1)] first element of an observation's row at each step */
  size_t *run_start;      /* [n_cell+1] Kronecker: runs of cells where a row of E is not zero */
  int32_t *run_begin, *run_end;
  size_t *e_start, e_count; /* [n_cell] first element of a row's runs in e; all elements */
  const double *e;          /* [e_count] side by side: packed, or E itself where it is full */
  double *packed;
  double *hf;      /* [q_rank*n] diag(s) (H F)ᵀ by place */
  double *all;     /* [n_cell*n] levels: (H Q)ᵀ of the step, by observation */
  double *scratch; /* [workers*scratch_size] */
  size_t scratch_size;
  size_t *mark;     /* [workers*(n_cell+1)] Kronecker: row that touched a cell last; their count */
  int32_t *touched; /* [workers*SKY_ROWS_TILE*n_cell] */
} sky_rows;

/* p is borrowed; its arrays are not checked. */
SKY_NODISCARD sky_status sky_rows_create(sky_context *ctx, const sky_problem *p, sky_rows *out);
void sky_rows_free(sky_rows *r); /* NULL-safe, zeroes */
/* No more tiles: what they were made in is freed; order, place, first and start stay. */
void sky_rows_finish(sky_rows *r);
double sky_rows_bytes(const sky_problem *p); /* at most, for any number of threads */

/* Before the tiles of step t. Not thread-safe. */
void sky_rows_step(sky_rows *r, size_t t);
/* (H Q)ᵀ [n_cell*SKY_ROWS_TILE] of step t, column k = place tile*SKY_ROWS_TILE + k (0 beyond the
 * last); NULL where all of it is zero. Valid until the worker's next tile; one thread a worker. */
const double *sky_rows_tile(const sky_rows *r, size_t t, size_t tile, size_t worker);

/* The elements of an observation's row of H at step t are [*begin, *end). */
static inline void sky_rows_elements(const sky_rows *r, size_t observation, size_t t, size_t *begin,
                                     size_t *end) {
  const size_t *start = r->start + observation * (r->p->n_time + 1) + t;
  *begin = start[0];
  *end = start[1];
}

#endif
