/* bin_runs.c: see bin_runs.h. */
#include "src/job/bin_runs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "src/core/file.h"
#include "src/core/memory.h"

#define BLOCK 512 /* records of a run that are held */

typedef struct record {
  sky_bin sums;
  uint64_t cell;
} record;

typedef struct run {
  FILE *file;
  record *block; /* [BLOCK] */
  size_t at, n;  /* of the block; at == n: the run has ended */
} run;

struct sky_bin_runs {
  sky_context *ctx;
  char *scratch;
  run *run; /* [n] */
  size_t n, next;
};

sky_status sky_bin_runs_create(sky_context *ctx, const char *path, sky_bin_runs **out) {
  sky_bin_runs *r = *out = SKY_NEW0(ctx, sky_bin_runs, 1);
  if (r == NULL) return SKY_E_NOMEM;
  r->ctx = ctx;
  r->next = SIZE_MAX;
  r->scratch = sky_file_part(ctx, path);
  if (r->scratch != NULL) return SKY_OK;
  sky_bin_runs_free(r);
  *out = NULL;
  return SKY_E_NOMEM;
}

void sky_bin_runs_free(sky_bin_runs *r) {
  if (r == NULL) return;
  for (size_t i = 0; i < r->n; i++) {
    if (r->run[i].file != NULL) fclose(r->run[i].file);
    sky_free(r->run[i].block);
  }
  sky_free(r->run);
  sky_free(r->scratch);
  sky_free(r);
}

static sky_status failed(const sky_bin_runs *r) {
  return sky_fail(r->ctx, SKY_E_DISK, "%s: scratch file: %s", r->scratch, strerror(errno));
}

sky_status sky_bin_runs_scratch(sky_bin_runs *r, FILE **out) {
  *out = fopen(r->scratch, "w+be");
  if (*out == NULL) return failed(r);
  remove(r->scratch);
  setvbuf(*out, NULL, _IONBF, 0); /* whole blocks come and go */
  return SKY_OK;
}

/* A place for one more run, without a file yet. */
static sky_status grow(sky_bin_runs *r, run **out) {
  run *grown = sky_realloc(r->ctx, r->run, r->n, r->n + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  r->run = grown;
  *out = &grown[r->n];
  **out = (run){.block = SKY_NEW0(r->ctx, record, BLOCK)};
  if ((*out)->block == NULL) return SKY_E_NOMEM;
  r->n++;
  return SKY_OK;
}

static sky_status put_block(const sky_bin_runs *r, run *one) {
  const size_t n = one->n;
  one->n = 0;
  return fwrite(one->block, sizeof *one->block, n, one->file) == n ? SKY_OK : failed(r);
}

sky_status sky_bin_runs_add(sky_bin_runs *r, const sky_bins *b) {
  const sky_bin *sums;
  run *one;
  SKY_TRY(grow(r, &one));
  SKY_TRY(sky_bin_runs_scratch(r, &one->file));
  for (size_t cell = 0; sky_bins_next(b, &cell, &sums); cell++) {
    record *to = &one->block[one->n++];
    to->sums = *sums;
    to->cell = cell;
    if (one->n == BLOCK) SKY_TRY(put_block(r, one));
  }
  return put_block(r, one);
}

size_t sky_bin_runs_count(const sky_bin_runs *r) {
  return r->n;
}

int sky_bin_runs_descriptor(const sky_bin_runs *r, size_t i) {
  return fileno(r->run[i].file);
}

sky_status sky_bin_runs_open(sky_bin_runs *r, const char *path) {
  run *one;
  SKY_TRY(grow(r, &one));
  one->file = fopen(path, "rbe");
  if (one->file == NULL) return failed(r);
  setvbuf(one->file, NULL, _IONBF, 0);
  return SKY_OK;
}

size_t sky_bin_runs_cells(const sky_bin_runs *r) {
  struct stat about;
  if (r->n != 1 || fstat(fileno(r->run[0].file), &about) != 0) return 0;
  return (size_t)about.st_size / sizeof(record);
}

/* ---- reading off ---------------------------------------------------------------------------- */

static sky_status refill(const sky_bin_runs *r, run *one) {
  one->at = 0;
  one->n = fread(one->block, sizeof *one->block, BLOCK, one->file);
  return one->n < BLOCK && ferror(one->file) ? failed(r) : SKY_OK;
}

static size_t smallest(const sky_bin_runs *r) {
  size_t cell = SIZE_MAX;
  for (size_t i = 0; i < r->n; i++) {
    const run *one = &r->run[i];
    if (one->at < one->n && one->block[one->at].cell < cell)
      cell = (size_t)one->block[one->at].cell;
  }
  return cell;
}

sky_status sky_bin_runs_rewind(sky_bin_runs *r) {
  for (size_t i = 0; i < r->n; i++) {
    rewind(r->run[i].file);
    SKY_TRY(refill(r, &r->run[i]));
  }
  r->next = smallest(r);
  return SKY_OK;
}

size_t sky_bin_runs_peek(const sky_bin_runs *r) {
  return r->next;
}

sky_status sky_bin_runs_take(sky_bin_runs *r, sky_bin *sums) {
  for (size_t i = 0; i < r->n; i++) {
    run *one = &r->run[i];
    if (one->at == one->n || one->block[one->at].cell != r->next) continue;
    sky_bin_add(sums, &one->block[one->at].sums);
    if (++one->at == one->n) SKY_TRY(refill(r, one));
  }
  r->next = smallest(r);
  return SKY_OK;
}
