/* runner.c: hashes, stamps, the lock of the output folder, and the loop over stages. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "algorithms/inversion/cholesky.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/timeutil.h"
#include "src/job/facts.h"
#include "src/job/source_id.h"
#include "src/job/stage.h"
#include "src/write/json_out.h"

/* --- hashes ------------------------------------------------------------------------------------
 */

static sky_status input_sha(sky_context *ctx, sky_stage_list *list, const char *path,
                            const char **hex) {
  for (size_t i = 0; i < list->n_sums; i++) {
    if (strcmp(list->sum[i].path, path) == 0) {
      *hex = list->sum[i].hex;
      return SKY_OK;
    }
  }
  sky_checksum *grown = sky_realloc(ctx, list->sum, list->n_sums, list->n_sums + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  list->sum = grown;
  sky_checksum *sum = &list->sum[list->n_sums];
  SKY_TRY(sky_file_sha256(ctx, path, sum->hex));
  sum->path = sky_strdup(ctx, path);
  if (sum->path == NULL) return SKY_E_NOMEM;
  list->n_sums++;
  *hex = sum->hex;
  return SKY_OK;
}

static sky_status output_sha(sky_context *ctx, const sky_job *job, const char *output,
                             char hex[65]) {
  char *path = sky_job_path(ctx, job, output);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_file_sha256(ctx, path, hex);
  sky_free(path);
  return st;
}

/* Append a formatted line to a growing text. */
static sky_status add_line(sky_context *ctx, char **text, const char *a, const char *b) {
  char *grown = sky_sprintf(ctx, "%s%s %s\n", *text != NULL ? *text : "", a, b);
  if (grown == NULL) return SKY_E_NOMEM;
  sky_free(*text);
  *text = grown;
  return SKY_OK;
}

/* Canonical text of the comma-separated job sections that a stage reads. */
static char *sections_text(sky_context *ctx, const sky_job *job, const char *sections) {
  const char *only[24];
  char names[256];
  size_t n = 0;
  snprintf(names, sizeof names, "%s", sections);
  char *save = NULL;
  for (char *p = strtok_r(names, ",", &save); p != NULL && n < 24; p = strtok_r(NULL, ",", &save))
    only[n++] = p;
  return sky_jobfile_canonical(ctx, job->file, only, n);
}

sky_status sky_stage_hash(sky_context *ctx, const sky_job *job, sky_stage_list *list, size_t i,
                          char hex[65]) {
  const sky_stage *s = &list->stage[i];
  char *text = NULL, *canonical = NULL, sum[65];
  const char *input;
  sky_status st = SKY_OK;
  SKY_GO(add_line(ctx, &text, s->name, sky_source_id()));
  SKY_GO_ALLOC(canonical, sections_text(ctx, job, s->row->sections));
  SKY_GO(add_line(ctx, &text, "job", canonical));
  for (size_t k = 0; k < s->n_inputs; k++) {
    SKY_GO(input_sha(ctx, list, s->inputs[k], &input));
    SKY_GO(add_line(ctx, &text, sky_file_base(s->inputs[k]), input));
  }
  for (size_t k = 0; k < s->n_after; k++) {
    const sky_stage *before = &list->stage[s->after[k]];
    for (size_t o = 0; o < before->n_outputs; o++) {
      SKY_GO(output_sha(ctx, job, before->outputs[o], sum));
      SKY_GO(add_line(ctx, &text, before->outputs[o], sum));
    }
  }
  sky_sha256(text, strlen(text), hex);
cleanup:
  sky_free(text);
  sky_free(canonical);
  return st;
}

/* --- stamps ------------------------------------------------------------------------------------
 */

static char *stamp_path(sky_context *ctx, const sky_job *job, const sky_stage *s) {
  return sky_sprintf(ctx, "%s/%s.stamp.json", job->stage_dir, s->name);
}

static sky_status write_stamp(sky_context *ctx, const sky_job *job, const sky_stage *s) {
  char *stamp = stamp_path(ctx, job, s);
  cJSON *root = cJSON_CreateObject();
  sky_status st = SKY_OK;
  if (stamp == NULL || root == NULL) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  cJSON_AddStringToObject(root, "stage", s->name);
  cJSON_AddStringToObject(root, "hash", s->hash);
  cJSON *outputs = cJSON_AddObjectToObject(root, "outputs");
  for (size_t k = 0; k < s->n_outputs; k++) {
    char sum[65];
    SKY_GO(output_sha(ctx, job, s->outputs[k], sum));
    cJSON_AddStringToObject(outputs, s->outputs[k], sum);
  }
  st = sky_json_write(ctx, stamp, root);
cleanup:
  cJSON_Delete(root);
  sky_free(stamp);
  return st;
}

static bool outputs_match(sky_context *ctx, const sky_job *job, const sky_stage *s,
                          const cJSON *outputs) {
  for (size_t k = 0; k < s->n_outputs; k++) {
    const char *recorded =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(outputs, s->outputs[k]));
    char sum[65];
    if (recorded == NULL || output_sha(ctx, job, s->outputs[k], sum) != SKY_OK ||
        strcmp(sum, recorded) != 0)
      return false;
  }
  return true;
}

bool sky_stage_up_to_date(sky_context *ctx, const sky_job *job, const sky_stage *s,
                          const char *hash) {
  char *path = stamp_path(ctx, job, s), *text = NULL;
  size_t length = 0;
  bool fresh = false;
  if (path != NULL && sky_file_exists(path) &&
      sky_file_read_text(ctx, path, &text, &length) == SKY_OK) {
    cJSON *root = cJSON_ParseWithLength(text, length);
    const char *recorded = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "hash"));
    fresh = recorded != NULL && strcmp(recorded, hash) == 0 &&
            outputs_match(ctx, job, s, cJSON_GetObjectItemCaseSensitive(root, "outputs"));
    cJSON_Delete(root);
  }
  sky_error_clear(ctx); /* an unreadable stamp only means that the stage runs again */
  sky_free(text);
  sky_free(path);
  return fresh;
}

/* --- the output folder -------------------------------------------------------------------------
 */

/* One run at a time in a folder. The lock file goes away with the run; a name that was unlinked
 * between open and lock is tried again. */
static sky_status lock_folder(sky_context *ctx, const char *path, int *fd) {
  for (;;) {
    struct stat opened;
    *fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (*fd < 0)
      return sky_fail(ctx, SKY_E_DISK, "%s: cannot be created: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
      close(*fd);
      *fd = -1;
      return sky_fail(ctx, SKY_E_USAGE, "%s: another run works in this folder", path);
    }
    if (fstat(*fd, &opened) == 0 && opened.st_nlink > 0) return SKY_OK;
    close(*fd);
  }
}

static bool is_output(const sky_stage_list *list, const char *name) {
  char stamp[SKY_STAGE_NAME + 32];
  for (size_t i = 0; i < list->n; i++) {
    snprintf(stamp, sizeof stamp, "stages/%s.stamp.json", list->stage[i].name);
    if (strcmp(stamp, name) == 0) return true;
    for (size_t k = 0; k < list->stage[i].n_outputs; k++)
      if (strcmp(list->stage[i].outputs[k], name) == 0) return true;
  }
  return false;
}

/* Files that an earlier form of the job could write and this one does not would look like results.
 */
static void remove_orphans(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                           const cJSON *outputs) {
  const cJSON *item;
  cJSON_ArrayForEach(item, outputs) {
    const char *name = cJSON_GetStringValue(item);
    if (name == NULL || is_output(list, name) || name[0] == '/' || strstr(name, "..") != NULL)
      continue;
    char *path = sky_job_path(ctx, job, name);
    if (path != NULL) unlink(path);
    sky_free(path);
  }
}

/* stages/job.json: whose folder this is, and every file that its stages may write. It is written
 * before any stage runs, so it also knows what a killed run left. */
static sky_status write_claim(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                              const char *path) {
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "name", job->name);
  cJSON *outputs = cJSON_AddArrayToObject(root, "outputs");
  for (size_t i = 0; i < list->n; i++) {
    char stamp[SKY_STAGE_NAME + 32];
    snprintf(stamp, sizeof stamp, "stages/%s.stamp.json", list->stage[i].name);
    cJSON_AddItemToArray(outputs, cJSON_CreateString(stamp));
    for (size_t k = 0; k < list->stage[i].n_outputs; k++)
      cJSON_AddItemToArray(outputs, cJSON_CreateString(list->stage[i].outputs[k]));
  }
  const sky_status st = sky_json_write(ctx, path, root);
  cJSON_Delete(root);
  return st;
}

/* The folder belongs to one job name; another job does not overwrite it. */
static sky_status claim_folder(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                               bool fresh) {
  char *path = sky_job_stage_path(ctx, job, "job.json"), *text = NULL;
  size_t length = 0;
  cJSON *root = NULL;
  sky_status st = SKY_OK;
  if (path == NULL) return SKY_E_NOMEM;
  if (sky_file_exists(path)) {
    SKY_GO(sky_file_read_text(ctx, path, &text, &length));
    root = cJSON_ParseWithLength(text, length);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "name"));
    if (!fresh && (name == NULL || strcmp(name, job->name) != 0)) {
      st = sky_fail(ctx, SKY_E_USAGE,
                    "%s: holds the results of job '%s', not of '%s'; choose another job.output or "
                    "use --fresh",
                    job->out, name != NULL ? name : "?", job->name);
      goto cleanup;
    }
    remove_orphans(ctx, job, list, cJSON_GetObjectItemCaseSensitive(root, "outputs"));
  }
  st = write_claim(ctx, job, list, path);
cleanup:
  cJSON_Delete(root);
  sky_free(text);
  sky_free(path);
  return st;
}

static void remove_outputs(sky_context *ctx, const sky_job *job, const sky_stage *s) {
  char *stamp = stamp_path(ctx, job, s);
  if (stamp != NULL) unlink(stamp);
  sky_free(stamp);
  for (size_t k = 0; k < s->n_outputs; k++) {
    char *path = sky_job_path(ctx, job, s->outputs[k]);
    if (path != NULL) {
      sky_file_discard(path);
      unlink(path);
    }
    sky_free(path);
  }
}

/* After a failure before anything was finished, leave no folder behind. The lock goes last. */
static void remove_if_empty(sky_context *ctx, const sky_job *job, const sky_stage_list *list,
                            const char *lock) {
  for (size_t i = 0; i < list->n; i++) {
    char *stamp = stamp_path(ctx, job, &list->stage[i]);
    const bool finished = stamp == NULL || sky_file_exists(stamp);
    sky_free(stamp);
    if (finished) return;
  }
  char *claim = sky_job_stage_path(ctx, job, "job.json");
  if (claim != NULL) unlink(claim);
  sky_free(claim);
  unlink(lock);
  rmdir(job->stage_dir);
  rmdir(job->out);
}

/* --- the run ------------------------------------------------------------------------------------
 */

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* run.log.json: what differs between runs with the same results. */
static sky_status write_run_log(sky_context *ctx, const sky_job *job, const sky_run_options *opt,
                                cJSON *stages, double seconds) {
  char host[256] = "", now[24], *path = sky_job_path(ctx, job, "run.log.json");
  cJSON *root = cJSON_CreateObject();
  gethostname(host, sizeof host - 1);
  sky_time_format((double)time(NULL), now, sizeof now);
  cJSON_AddStringToObject(root, "version", SKYFLUX_VERSION);
  cJSON_AddStringToObject(root, "command", opt->command != NULL ? opt->command : "");
  cJSON_AddStringToObject(root, "finished", now);
  cJSON_AddStringToObject(root, "host", host);
  cJSON_AddStringToObject(root, "blas_core", sky_blas_core());
  cJSON_AddNumberToObject(root, "threads", sky_context_threads(ctx));
  cJSON_AddNumberToObject(root, "memory_budget_bytes", (double)sky_context_memory(ctx));
  cJSON_AddNumberToObject(root, "seconds", seconds);
  cJSON_AddItemToObject(root, "stages", stages);
  cJSON *warnings = cJSON_AddArrayToObject(root, "warnings");
  for (size_t i = 0; i < sky_context_warning_count(ctx); i++)
    cJSON_AddItemToArray(warnings, cJSON_CreateString(sky_context_warning(ctx, i)));
  const sky_status st = path == NULL ? SKY_E_NOMEM : sky_json_write(ctx, path, root);
  cJSON_Delete(root);
  sky_free(path);
  return st;
}

/* The stage itself; what it wrote is removed if it fails. */
static sky_status make_outputs(sky_context *ctx, const sky_job *job, const sky_stage *s) {
  sky_log(ctx, SKY_LOG_INFO, "stage %s", s->name);
  remove_outputs(ctx, job, s);
  sky_status st = s->row->run(ctx, job, s);
  if (st == SKY_OK) st = write_stamp(ctx, job, s);
  if (st == SKY_OK) return SKY_OK;
  remove_outputs(ctx, job, s);
  return sky_fail_in(ctx, st, "stage %s: ", s->name);
}

sky_status sky_stage_run(sky_context *ctx, const sky_job *job, sky_stage_list *list, size_t i,
                         bool fresh, cJSON *log) {
  sky_stage *s = &list->stage[i];
  const double start = seconds_now();
  if (sky_cancelled(ctx)) return sky_fail(ctx, SKY_E_CANCELLED, "cancelled before %s", s->name);
  SKY_TRY(sky_stage_hash(ctx, job, list, i, s->hash));
  const bool done = !fresh && sky_stage_up_to_date(ctx, job, s, s->hash);
  if (!done) SKY_TRY(make_outputs(ctx, job, s));
  sky_log(ctx, SKY_LOG_INFO, "stage %s: %s", s->name, done ? "up to date" : "done");
  cJSON *item = cJSON_CreateObject();
  cJSON_AddStringToObject(item, "stage", s->name);
  cJSON_AddBoolToObject(item, "up_to_date", done);
  cJSON_AddNumberToObject(item, "seconds", seconds_now() - start);
  cJSON_AddItemToArray(log, item);
  return SKY_OK;
}

/* Granules that could not be read, over all soundings stages. */
static size_t failed_granules(sky_context *ctx, const sky_job *job, const sky_stage_list *list) {
  size_t n = 0;
  for (size_t i = 0; i < list->n; i++) {
    sky_facts facts;
    if (strcmp(list->stage[i].row->kind, "soundings") != 0) continue;
    if (sky_facts_read(ctx, job, list->stage[i].name, &facts) != SKY_OK) continue;
    const double failed = sky_facts_number(&facts, "granules_failed");
    if (failed > 0) n += (size_t)failed;
    sky_facts_free(&facts);
  }
  return n;
}

sky_status sky_job_run(sky_context *ctx, const sky_job *job, const sky_run_options *opt) {
  sky_stage_list list = {0};
  char *lock = NULL;
  int fd = -1;
  cJSON *log = cJSON_CreateArray();
  const double start = seconds_now();
  bool found = opt->only == NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_check(ctx, job));
  SKY_GO(sky_stages_build(ctx, job, &list));
  for (size_t i = 0; i < list.n && !found; i++)
    found = strcmp(list.stage[i].name, opt->only) == 0;
  if (!found) {
    st = sky_fail(ctx, SKY_E_USAGE, "--stage: the job has no stage '%s'", opt->only);
    goto cleanup;
  }
  SKY_GO(sky_file_mkdirs(ctx, job->stage_dir));
  SKY_GO_ALLOC(lock, sky_job_stage_path(ctx, job, ".lock"));
  SKY_GO(lock_folder(ctx, lock, &fd));
  sky_file_sweep(ctx, job->out);
  sky_file_sweep(ctx, job->stage_dir);
  SKY_GO(claim_folder(ctx, job, &list, opt->fresh));
  for (size_t i = 0; i < list.n; i++) {
    SKY_GO(sky_stage_run(ctx, job, &list, i, opt->fresh, log));
    if (opt->only != NULL && strcmp(list.stage[i].name, opt->only) == 0) break;
  }
  st = write_run_log(ctx, job, opt, log, seconds_now() - start);
  log = NULL; /* it is part of the written document now, also after a failure */
  if (st != SKY_OK) goto cleanup;
  const size_t failed = failed_granules(ctx, job, &list);
  if (failed > 0)
    st =
        sky_fail(ctx, SKY_E_PARTIAL,
                 "%s: finished without %zu unreadable granules; see report.html", job->out, failed);
cleanup:
  if (fd >= 0) {
    if (st != SKY_OK && st != SKY_E_PARTIAL) remove_if_empty(ctx, job, &list, lock);
    unlink(lock);
    close(fd);
  }
  cJSON_Delete(log);
  sky_free(lock);
  sky_stages_free(&list);
  return st;
}

sky_status sky_job_tags(sky_context *ctx, const sky_job *job, const sky_stage *stage, char ***out) {
  char **tags = SKY_NEW0(ctx, char *, 4);
  if (tags == NULL) return SKY_E_NOMEM;
  tags[0] = sky_sprintf(ctx, "SKYFLUX_VERSION=%s", SKYFLUX_VERSION);
  tags[1] = sky_sprintf(ctx, "SKYFLUX_JOB=%s", job->name);
  tags[2] = sky_sprintf(ctx, "SKYFLUX_STAGE_SHA256=%s", stage->hash);
  for (int i = 0; i < 3; i++) {
    if (tags[i] == NULL) {
      sky_tags_free(tags);
      return SKY_E_NOMEM;
    }
  }
  *out = tags;
  return SKY_OK;
}

void sky_tags_free(char **tags) {
  for (size_t i = 0; tags != NULL && tags[i] != NULL; i++)
    sky_free(tags[i]);
  sky_free(tags);
}
