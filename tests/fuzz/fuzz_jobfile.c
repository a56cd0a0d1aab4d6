/* fuzz_jobfile.c: YAML job files: parse, validate, canonical text, declared products. */
#include "src/core/jobfile.h"
#include "src/core/memory.h"
#include "src/read/declare.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  sky_context *ctx = fuzz_context();
  sky_jobfile *job = NULL;
  char *text = fuzz_text(data, size);
  const sky_status st = sky_jobfile_parse(ctx, "job.yaml", text, size, NULL, 0, &job);
  fuzz_refused(ctx, st);
  if (st == SKY_OK) {
    char *once = sky_jobfile_canonical(ctx, job, NULL, 0);
    HOLDS(once != NULL);
    sky_free(once);
    sky_declared *declared = NULL;
    fuzz_refused(ctx, sky_declared_create(ctx, job, &declared));
    sky_declared_free(declared);
  }
  sky_jobfile_free(job);
  free(text);
  return 0;
}
