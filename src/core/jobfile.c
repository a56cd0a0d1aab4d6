/* jobfile.c: the tree of a job file, its faults, getters and canonical text.
 *
 * Invariant: after sky_schema_parse every node of the tree has its schema and is valid, and every
 * key with a default is there. See schema.h for the steps. */
#include "src/core/jobfile.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/schema.h"
#include "src/core/timeutil.h"

/* ---- tree ---- */

sky_status sky_node_create(sky_context *ctx, sky_node_kind kind, sky_node **out) {
  *out = SKY_NEW0(ctx, sky_node, 1);
  if (*out == NULL) return SKY_E_NOMEM;
  (*out)->kind = kind;
  (*out)->number = NAN;
  return SKY_OK;
}

void sky_node_free(sky_node *node) {
  if (node == NULL) return;
  for (size_t i = 0; i < node->n_child; i++)
    sky_node_free(node->child[i]);
  sky_free(node->child);
  sky_free(node->key);
  sky_free(node->text);
  sky_free(node);
}

sky_status sky_node_append(sky_context *ctx, sky_node *parent, const char *key, sky_node *child) {
  char *name = NULL;
  if (key != NULL && (name = sky_strdup(ctx, key)) == NULL) {
    sky_node_free(child);
    return SKY_E_NOMEM;
  }
  if (parent->n_child == parent->capacity) {
    const size_t capacity = parent->capacity == 0 ? 4 : 2 * parent->capacity;
    sky_node **grown =
        sky_realloc(ctx, parent->child, parent->n_child, capacity, sizeof *parent->child);
    if (grown == NULL) {
      sky_free(name);
      sky_node_free(child);
      return SKY_E_NOMEM;
    }
    parent->child = grown;
    parent->capacity = capacity;
  }
  sky_free(child->key);
  child->key = name;
  child->parent = parent;
  parent->child[parent->n_child++] = child;
  return SKY_OK;
}

sky_node *sky_node_child(const sky_node *map, const char *name, size_t length) {
  if (map == NULL || map->kind != SKY_NODE_MAP) return NULL;
  for (size_t i = 0; i < map->n_child; i++) {
    sky_node *child = map->child[i];
    if (strncmp(child->key, name, length) == 0 && child->key[length] == '\0') return child;
  }
  return NULL;
}

size_t sky_node_index(const sky_node *node) {
  size_t i = 0;
  while (node->parent->child[i] != node)
    i++;
  return i;
}

static void path_put(sky_text *t, const sky_node *node) {
  if (node->parent == NULL) return;
  path_put(t, node->parent);
  if (node->key == NULL) {
    sky_text_printf(t, "[%zu]", sky_node_index(node));
  } else {
    sky_text_printf(t, "%s%s", t->length > 0 ? "." : "", node->key);
  }
}

/* ---- faults ---- */

#define FAULTS_SHOWN 50
#define LINE_SET (-1)

static void place_put(sky_text *t, const char *file, int line) {
  if (line == LINE_SET) {
    sky_text_put(t, "--set: ");
  } else if (line == 0) {
    sky_text_printf(t, "%s: ", file);
  } else {
    sky_text_printf(t, "%s:%d: ", file, line);
  }
}

static sky_status fault_add(sky_faults *f, int line, sky_text *text) {
  if (f->n == f->capacity) {
    const size_t capacity = f->capacity == 0 ? 8 : 2 * f->capacity;
    void *grown = sky_realloc(f->ctx, f->item, f->n, capacity, sizeof *f->item);
    if (grown == NULL) {
      sky_text_free(text);
      return SKY_E_NOMEM;
    }
    f->item = grown;
    f->capacity = capacity;
  }
  char *line_text = sky_text_take(text);
  if (line_text == NULL) return SKY_E_NOMEM;
  f->item[f->n] = (struct sky_fault){line == LINE_SET ? INT_MAX : line, f->n, line_text};
  f->n++;
  return SKY_OK;
}

static void message_put(sky_text *t, const char *fmt, va_list ap) {
  char *message = NULL;
  if (vasprintf(&message, fmt, ap) < 0) {
    t->failed = true;
    return;
  }
  sky_text_put(t, message);
  free(message);
}

static int place_of(const sky_node *node) {
  return node->origin == SKY_FROM_SET ? LINE_SET : node->line;
}

/* key: a key of the map `node` that may not be there, or NULL for the node itself. */
static sky_status fault_put(sky_faults *f, const sky_node *node, const char *key, const char *fmt,
                            va_list ap) {
  sky_text t = {.ctx = f->ctx}, path = {.ctx = f->ctx};
  path_put(&path, node);
  if (key != NULL) sky_text_printf(&path, "%s%s", path.length > 0 ? "." : "", key);
  place_put(&t, f->file, place_of(node));
  if (path.length > 0) sky_text_printf(&t, "%s: ", path.data);
  if (path.failed) t.failed = true;
  sky_text_free(&path);
  message_put(&t, fmt, ap);
  return fault_add(f, place_of(node), &t);
}

sky_status sky_fault_at(sky_faults *f, const sky_node *node, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  const sky_status st = fault_put(f, node, NULL, fmt, ap);
  va_end(ap);
  return st;
}

sky_status sky_fault_key(sky_faults *f, const sky_node *node, const char *key, const char *fmt,
                         ...) {
  va_list ap;
  va_start(ap, fmt);
  const sky_status st = fault_put(f, node, key, fmt, ap);
  va_end(ap);
  return st;
}

sky_status sky_fault_line(sky_faults *f, int line, const char *fmt, ...) {
  sky_text t = {.ctx = f->ctx};
  place_put(&t, f->file, line);
  va_list ap;
  va_start(ap, fmt);
  message_put(&t, fmt, ap);
  va_end(ap);
  return fault_add(f, line, &t);
}

void sky_faults_free(sky_faults *f) {
  for (size_t i = 0; i < f->n; i++)
    sky_free(f->item[i].text);
  sky_free(f->item);
  f->item = NULL;
  f->n = f->capacity = 0;
}

static int by_line(const void *pa, const void *pb) {
  const struct sky_fault *a = pa, *b = pb;
  if (a->line != b->line) return a->line < b->line ? -1 : 1;
  return a->order < b->order ? -1 : 1;
}

sky_status sky_faults_report(sky_faults *f) {
  if (f->n == 0) return SKY_OK;
  qsort(f->item, f->n, sizeof *f->item, by_line);
  sky_text t = {.ctx = f->ctx};
  for (size_t i = 0; i < f->n && i < FAULTS_SHOWN; i++) {
    sky_text_printf(&t, "%s%s", i > 0 ? "\n" : "", f->item[i].text);
  }
  if (f->n > FAULTS_SHOWN) {
    sky_text_printf(&t, "\n%s: and %zu more errors", f->file, f->n - FAULTS_SHOWN);
  }
  char *all = sky_text_take(&t);
  if (all == NULL) return SKY_E_NOMEM;
  sky_fail(f->ctx, SKY_E_JOB, "%s", all);
  sky_free(all);
  return SKY_E_JOB;
}

/* ---- reading ---- */

#define JOB_BYTES_MAX                                                        \
  ((size_t)8 << 20) /* a job file is written by hand; a data file is not one \
                     */

static sky_status parse_steps(sky_faults *f, sky_jobfile *job, const char *text, size_t length,
                              const char *const *sets, size_t n_sets) {
  if (length > JOB_BYTES_MAX) {
    return sky_fault_line(f, 0, "%zu bytes are not a job file (at most %zu)", length,
                          JOB_BYTES_MAX);
  }
  SKY_TRY(sky_yaml_load(f, text, length, NULL, &job->root));
  if (job->root == NULL) return SKY_OK;
  if (job->root->kind != SKY_NODE_MAP) {
    return sky_fault_line(f, job->root->line, "expected keys such as 'job:', found %s",
                          job->root->kind == SKY_NODE_LIST ? "a list" : "one text");
  }
  SKY_TRY(sky_yaml_sets(f, job->schema, job->root, sets, n_sets));
  SKY_TRY(sky_yaml_substitute(f, job->root));
  SKY_TRY(sky_schema_check(f, job->schema, job->root));
  for (const sky_job_rule *rule = job->schema->rules; rule->check != NULL; rule++) {
    SKY_TRY(rule->check(job->root, f));
  }
  return SKY_OK;
}

sky_status sky_schema_parse(sky_context *ctx, const sky_schema *schema, const char *name,
                            const char *text, size_t length, const char *const *sets, size_t n_sets,
                            sky_jobfile **out) {
  sky_status st = SKY_OK;
  sky_faults faults = {.ctx = ctx, .file = name};
  *out = NULL;
  sky_jobfile *job = SKY_NEW0(ctx, sky_jobfile, 1);
  if (job == NULL) return SKY_E_NOMEM;
  job->schema = schema;
  SKY_GO_ALLOC(job->path, sky_strdup(ctx, name));
  SKY_GO(parse_steps(&faults, job, text, length, sets, n_sets));
  SKY_GO(sky_faults_report(&faults));
  sky_error_clear(ctx); /* of units that were tried */
  *out = job;
  job = NULL;
cleanup:
  sky_faults_free(&faults);
  sky_jobfile_free(job);
  return st;
}

sky_status sky_jobfile_parse(sky_context *ctx, const char *name, const char *text, size_t length,
                             const char *const *sets, size_t n_sets, sky_jobfile **out) {
  return sky_schema_parse(ctx, sky_schema_job(), name, text, length, sets, n_sets, out);
}

sky_status sky_jobfile_read(sky_context *ctx, const char *path, const char *const *sets,
                            size_t n_sets, sky_jobfile **out) {
  char *text = NULL;
  size_t length = 0;
  *out = NULL;
  SKY_TRY(sky_file_read_text(ctx, path, &text, &length));
  const sky_status st = sky_jobfile_parse(ctx, path, text, length, sets, n_sets, out);
  sky_free(text);
  return st;
}

void sky_jobfile_free(sky_jobfile *job) {
  if (job == NULL) return;
  sky_node_free(job->root);
  sky_free(job->path);
  sky_free(job);
}

const char *sky_jobfile_path(const sky_jobfile *job) {
  return job->path;
}
const sky_node *sky_jobfile_root(const sky_jobfile *job) {
  return job->root;
}

/* ---- getters ---- */

const sky_node *sky_node_get(const sky_node *node, const char *path) {
  const char *p = path == NULL ? "" : path;
  while (node != NULL && *p != '\0') {
    if (*p == '[') {
      char *end = NULL;
      const size_t i = strtoul(p + 1, &end, 10);
      if (*end != ']') return NULL;
      node = sky_node_item(node, i);
      p = end + 1;
    } else {
      const size_t length = strcspn(p, ".[");
      node = sky_node_child(node, p, length);
      p += length;
    }
    if (*p == '.') p++;
  }
  return node;
}

size_t sky_node_count(const sky_node *node) {
  return node != NULL && node->kind == SKY_NODE_LIST ? node->n_child : 0;
}

const sky_node *sky_node_item(const sky_node *node, size_t i) {
  return i < sky_node_count(node) ? node->child[i] : NULL;
}

int sky_node_line(const sky_node *node) {
  return node == NULL ? 0 : node->line;
}

bool sky_node_given(const sky_node *node, const char *path) {
  node = sky_node_get(node, path);
  return node != NULL && node->origin != SKY_FROM_DEFAULT;
}

/* A scalar whose value has been found right, else NULL. */
static const sky_node *scalar(const sky_node *node, const char *path) {
  node = sky_node_get(node, path);
  return node != NULL && node->kind == SKY_NODE_SCALAR && node->valid ? node : NULL;
}

const char *sky_node_text(const sky_node *node, const char *path) {
  node = scalar(node, path);
  return node == NULL ? NULL : node->text;
}

double sky_node_number(const sky_node *node, const char *path) {
  node = scalar(node, path);
  return node == NULL || node->schema->type == SKY_KEY_DATE ? NAN : node->number;
}

int64_t sky_node_integer(const sky_node *node, const char *path, int64_t absent) {
  node = scalar(node, path);
  return node == NULL || node->schema->type != SKY_KEY_INTEGER ? absent : node->integer;
}

bool sky_node_bool(const sky_node *node, const char *path) {
  node = scalar(node, path);
  return node != NULL && node->boolean;
}

double sky_node_time(const sky_node *node, const char *path) {
  node = scalar(node, path);
  return node == NULL || node->schema->type != SKY_KEY_DATE ? NAN : node->number;
}

bool sky_node_unit_is(const sky_node *node, const char *path, const char *unit) {
  node = scalar(node, path);
  return node != NULL && node->unit != NULL && strlen(unit) == node->unit_length &&
         strncmp(node->unit, unit, node->unit_length) == 0;
}

char *sky_node_where(sky_context *ctx, const sky_jobfile *job, const sky_node *node) {
  sky_text t = {.ctx = ctx}, path = {.ctx = ctx};
  place_put(&t, job->path, place_of(node));
  path_put(&path, node);
  if (path.length > 0) sky_text_printf(&t, "%s: ", path.data);
  if (path.failed) t.failed = true;
  sky_text_free(&path);
  return sky_text_take(&t);
}

/* ---- canonical text ---- */

static int by_key(const void *a, const void *b) {
  return strcmp((*(const sky_node *const *)a)->key, (*(const sky_node *const *)b)->key);
}

static void scalar_put(sky_text *t, const sky_node *node) {
  switch (sky_key_is_list(node->schema->type) ? sky_key_item_type(node->schema->type)
                                              : node->schema->type) {
    case SKY_KEY_BOOL:
      sky_text_put(t, node->boolean ? "true" : "false");
      return;
    case SKY_KEY_INTEGER:
      sky_text_printf(t, "%lld", (long long)node->integer);
      return;
    case SKY_KEY_NUMBER:
      sky_text_printf(t, "%.17g", node->number);
      return;
    case SKY_KEY_DATE:
      /* Not the calendar form, which rounds to seconds. */
      sky_text_printf(t, "\"%.17g s since 1970\"", node->number);
      return;
    case SKY_KEY_QUANTITY:
      if (node->unit == NULL) break; /* a word */
      if (node->unit_length == 1 && node->unit[0] == '1') {
        sky_text_printf(t, "%.17g", node->number);
      } else {
        sky_text_printf(t, "\"%.17g %.*s\"", node->number, (int)node->unit_length, node->unit);
      }
      return;
    case SKY_KEY_INPUT: /* what a file holds counts, not where it lies */
      sky_text_json(t, sky_file_base(node->text));
      return;
    default:
      break;
  }
  sky_text_json(t, node->text);
}

static bool wanted(const char *key, const char *const *only, size_t n_only) {
  if (only == NULL) return true;
  for (size_t i = 0; i < n_only; i++) {
    if (strcmp(only[i], key) == 0) return true;
  }
  return false;
}

/* Variables are left out (they stand where they are used), and where results go. */
static void node_put(sky_text *t, const sky_node *node, const char *const *only, size_t n_only) {
  if (node->kind == SKY_NODE_SCALAR) {
    scalar_put(t, node);
    return;
  }
  const bool map = node->kind == SKY_NODE_MAP;
  sky_node **sorted = SKY_NEW(t->ctx, sky_node *, node->n_child);
  if (sorted == NULL) {
    t->failed = true;
    return;
  }
  if (node->n_child > 0) memcpy(sorted, node->child, node->n_child * sizeof *sorted);
  if (map) qsort(sorted, node->n_child, sizeof *sorted, by_key);
  const char *comma = "";
  sky_text_put(t, map ? "{" : "[");
  for (size_t i = 0; i < node->n_child; i++) {
    const sky_node *child = sorted[i];
    if (map && !wanted(child->key, only, n_only)) continue;
    if (child->schema != NULL &&
        (child->schema->type == SKY_KEY_VARS || child->schema->type == SKY_KEY_OUTPUT))
      continue;
    sky_text_put(t, comma);
    comma = ",";
    if (map) {
      sky_text_json(t, child->key);
      sky_text_put(t, ":");
    }
    node_put(t, child, NULL, 0);
  }
  sky_text_put(t, map ? "}" : "]");
  sky_free(sorted);
}

char *sky_jobfile_canonical(sky_context *ctx, const sky_jobfile *job, const char *const *only,
                            size_t n_only) {
  sky_text t = {.ctx = ctx};
  node_put(&t, job->root, only, n_only);
  sky_text_put(&t, "\n");
  return sky_text_take(&t);
}

/* ---- input files ---- */

static sky_status missing_below(sky_context *ctx, const sky_jobfile *job, const sky_node *node,
                                sky_faults *f) {
  for (size_t i = 0; i < node->n_child; i++) {
    SKY_TRY(missing_below(ctx, job, node->child[i], f));
  }
  if (node->kind != SKY_NODE_SCALAR || node->schema == NULL) return SKY_OK;
  if (node->schema->type != SKY_KEY_INPUT && node->schema->type != SKY_KEY_INPUTS) return SKY_OK;
  char **list = NULL;
  size_t count = 0;
  const sky_status st = sky_file_glob(ctx, node->text, &list, &count);
  sky_file_list_free(list, count);
  if (st == SKY_E_NOMEM || st == SKY_OK) return st;
  const bool pattern = strpbrk(node->text, "*?[") != NULL;
  return sky_fault_at(f, node, pattern ? "no file matches '%s'" : "'%s' does not exist",
                      node->text);
}

sky_status sky_jobfile_inputs_exist(sky_context *ctx, const sky_jobfile *job) {
  sky_faults f = {.ctx = ctx, .file = job->path};
  sky_status st = missing_below(ctx, job, job->root, &f);
  if (st == SKY_OK) st = sky_faults_report(&f);
  if (st == SKY_E_JOB) st = SKY_E_MISSING; /* the job is right, its files are not there */
  if (st == SKY_OK) sky_error_clear(ctx);
  sky_faults_free(&f);
  return st;
}
