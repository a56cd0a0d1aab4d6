/* jobfile.h: YAML job files against one schema table.
 *
 * schema.def lists every key: path, type, unit, range, default, doc. One pass over libyaml events
 * builds a tree with line numbers; validation reports ALL errors at once, each with file:line, the
 * value and what is legal, unknown keys with the nearest known one. Scalars are strict: bool is
 * true/false only, dates are typed by the schema, quantities are converted to the schema's unit.
 * `${name}` is replaced from the job's own `vars:` map and from --set name=value; --set also
 * overrides any key by path ("grid.cell=2 km", "inversions[0].prior.sigma=0.3").
 * After validation every schema key that has a default is present, so getters cannot miss. */
#ifndef SKY_CORE_JOBFILE_H
#define SKY_CORE_JOBFILE_H

#include "skyflux/context.h"

typedef struct sky_jobfile sky_jobfile;
typedef struct sky_node sky_node; /* a map, list or scalar of the validated tree */

/* sets: "key=value" strings. On SKY_E_JOB sky_error() holds all errors, one a line. */
SKY_NODISCARD sky_status sky_jobfile_read(sky_context *ctx, const char *path,
                                          const char *const *sets, size_t n_sets,
                                          sky_jobfile **out);
SKY_NODISCARD sky_status sky_jobfile_parse(sky_context *ctx, const char *name, const char *text,
                                           size_t length, const char *const *sets, size_t n_sets,
                                           sky_jobfile **out);
void sky_jobfile_free(sky_jobfile *job);
const char *sky_jobfile_path(const sky_jobfile *job);
const sky_node *sky_jobfile_root(const sky_jobfile *job);

/* Node by key path relative to node ("prior.sigma", "inversions[0].gas"); "" or NULL is the node
 * itself, also in the getters below (items of a list of scalars). NULL if absent. */
const sky_node *sky_node_get(const sky_node *node, const char *path);
size_t sky_node_count(const sky_node *node); /* items of a list, else 0 */
const sky_node *sky_node_item(const sky_node *node, size_t i);
int sky_node_line(const sky_node *node);
/* Text of a scalar, NULL if absent or not a scalar. */
const char *sky_node_text(const sky_node *node, const char *path);
double sky_node_number(const sky_node *node, const char *path); /* schema unit; NaN if absent */
int64_t sky_node_integer(const sky_node *node, const char *path, int64_t absent);
bool sky_node_bool(const sky_node *node, const char *path);   /* absent = false */
double sky_node_time(const sky_node *node, const char *path); /* s since 1970; NaN if absent */
/* The unit in which sky_node_number counts, where the schema allows two ("degree" or "m"). */
bool sky_node_unit_is(const sky_node *node, const char *path, const char *unit);
/* True if the user wrote it, false if absent or a default. */
bool sky_node_given(const sky_node *node, const char *path);

/* Every input path of the job exists (a pattern matches a file); SKY_E_MISSING lists all that do
 * not, one a line with file:line. */
SKY_NODISCARD sky_status sky_jobfile_inputs_exist(sky_context *ctx, const sky_jobfile *job);

/* "file:line: path: " prefix for errors found later, when the meaning is checked. malloc'd. */
char *sky_node_where(sky_context *ctx, const sky_jobfile *job, const sky_node *node);

/* Canonical text of the validated tree (sorted keys, converted numbers with %.17g): what is hashed
 * and what run.json shows. Input files stand with their base names and output folders not at all,
 * so that the same job in another place is the same job. `only`: list of top-level keys, NULL =
 * all. malloc'd. */
char *sky_jobfile_canonical(sky_context *ctx, const sky_jobfile *job, const char *const *only,
                            size_t n_only);

/* Documentation from the same table: commented template (skyflux init) and Markdown reference. */
char *sky_schema_template(sky_context *ctx);
char *sky_schema_markdown(sky_context *ctx);

#endif
