/* scratch.c: see scratch.h. */
#include "src/job/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"

sky_status sky_scratch_open(sky_context *ctx, const sky_job *job, sky_job *scratch) {
  const char *base = getenv("TMPDIR");
  sky_status st = SKY_OK;
  *scratch = *job;
  scratch->out = scratch->stage_dir = NULL;
  char *folder = sky_sprintf(ctx, "%s/skyflux-plan-XXXXXX", base != NULL && *base ? base : "/tmp");
  if (folder == NULL) return SKY_E_NOMEM;
  if (mkdtemp(folder) == NULL) {
    st = sky_fail(ctx, SKY_E_DISK, "%s: cannot be created: %s (TMPDIR names its folder)", folder,
                  strerror(errno));
    sky_free(folder);
    return st;
  }
  scratch->out = folder;
  SKY_GO_ALLOC(scratch->stage_dir, sky_sprintf(ctx, "%s/stages", folder));
  st = sky_file_mkdirs(ctx, scratch->stage_dir);
cleanup:
  if (st != SKY_OK) sky_scratch_close(scratch);
  return st;
}

/* Links hold absolute paths: a relative one would start at the scratch folder. */
static sky_status lend_file(sky_context *ctx, const sky_job *job, const sky_job *scratch,
                            const char *name) {
  char *own = sky_job_path(ctx, job, name), *lent = sky_job_path(ctx, scratch, name);
  char *absolute = own != NULL ? realpath(own, NULL) : NULL;
  sky_status st = SKY_OK;
  if (own == NULL || lent == NULL)
    st = SKY_E_NOMEM;
  else if (absolute == NULL || symlink(absolute, lent) != 0)
    st = sky_fail(ctx, SKY_E_DISK, "%s: cannot be linked to %s: %s", own, lent, strerror(errno));
  free(absolute);
  sky_free(own);
  sky_free(lent);
  return st;
}

sky_status sky_scratch_lend(sky_context *ctx, const sky_job *job, const sky_job *scratch,
                            const sky_stage *stage) {
  for (size_t k = 0; k < stage->n_outputs; k++)
    SKY_TRY(lend_file(ctx, job, scratch, stage->outputs[k]));
  return SKY_OK;
}

void sky_scratch_close(sky_job *scratch) {
  if (scratch->out != NULL) (void)sky_file_remove_tree(scratch->out);
  sky_free(scratch->out);
  sky_free(scratch->stage_dir);
  scratch->out = scratch->stage_dir = NULL;
}
