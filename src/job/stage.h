/* stage.h: the stage runner: what is up to date, resume, stamps.
 *
 * A stage is up to date when its stamp holds the hash of everything that it depends on (its name,
 * the sources of the program, the job sections it reads, the SHA-256 of its input files and of the
 * outputs of the stages before it) and its outputs still have the SHA-256 recorded. Outputs are
 * renamed into place before the stamp, so a run killed anywhere resumes with the same bytes. */
#ifndef SKY_JOB_STAGE_H
#define SKY_JOB_STAGE_H

#include <cjson/cJSON.h>

#include "src/job/job.h"

#define SKY_STAGE_NAME 96 /* room for "inventory-" and an id of 63 characters */

typedef struct sky_stage sky_stage;
typedef sky_status (*sky_stage_fn)(sky_context *ctx, const sky_job *job, const sky_stage *stage);

struct sky_stage {
  char name[SKY_STAGE_NAME]; /* "soundings-ch4" */
  const struct sky_stage_kind *row;
  char gas[8];   /* "" if none */
  char id[64];   /* inventory id, "" if none */
  char **inputs; /* external files */
  size_t n_inputs;
  size_t *after; /* indices of earlier stages */
  size_t n_after;
  char **outputs; /* relative to the output folder; the first is the facts file */
  size_t n_outputs;
  char hash[65]; /* set by the runner before run() */
};

typedef struct sky_checksum { /* an input file, hashed once a run */
  char *path;
  char hex[65];
} sky_checksum;

typedef struct sky_stage_list {
  size_t n;
  sky_stage *stage;
  size_t n_sums;
  sky_checksum *sum;
} sky_stage_list;

/* Rows of stages.def. */
typedef struct sky_stage_kind {
  const char *kind;
  sky_stage_fn run;
  const char *sections, *doc;
} sky_stage_kind;
const sky_stage_kind *sky_stage_kinds(size_t *n);

/* All stages that the job needs, in an order in which they can run. Missing inputs are reported
 * together (SKY_E_MISSING). */
SKY_NODISCARD sky_status sky_stages_build(sky_context *ctx, const sky_job *job,
                                          sky_stage_list *list);
void sky_stages_free(sky_stage_list *list);

/* The hash of stage i; needs the outputs of the stages before it. */
SKY_NODISCARD sky_status sky_stage_hash(sky_context *ctx, const sky_job *job, sky_stage_list *list,
                                        size_t i, char hex[65]);
bool sky_stage_up_to_date(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                          const char *hash);

/* Runs stage i in the job's folder, which must exist with its stages/, unless its outputs are up to
 * date (fresh: always); needs the outputs of the stages before it. Appends {"stage", "up_to_date",
 * "seconds"} to log. */
SKY_NODISCARD sky_status sky_stage_run(sky_context *ctx, const sky_job *job, sky_stage_list *list,
                                       size_t i, bool fresh, cJSON *log);

typedef struct sky_run_options {
  bool fresh;          /* ignore stamps */
  const char *only;    /* stop after this stage (and what it needs), NULL = all */
  const char *command; /* command line without execution options, for provenance */
} sky_run_options;

/* Runs what is not up to date under a lock of the output folder. SKY_E_PARTIAL when some granules
 * failed. */
SKY_NODISCARD sky_status sky_job_run(sky_context *ctx, const sky_job *job,
                                     const sky_run_options *opt);

/* Provenance tags "KEY=VALUE" for data files: version, job name, stage hash (which covers the job
 * sections and the checksums of every input that made the file; run.json holds both);
 * NULL-terminated, malloc'd, freed by sky_tags_free. */
SKY_NODISCARD sky_status sky_job_tags(sky_context *ctx, const sky_job *job, const sky_stage *stage,
                                      char ***tags);
void sky_tags_free(char **tags);

/* The stages (one file each). */
sky_status sky_stage_soundings(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_account(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_inventory(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_sink(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_columns(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_footprint(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_invert(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_compare(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_fields(sky_context *ctx, const sky_job *job, const sky_stage *stage);
sky_status sky_stage_report(sky_context *ctx, const sky_job *job, const sky_stage *stage);

#endif
