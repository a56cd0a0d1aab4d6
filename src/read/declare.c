/* declare.c: readers that a user declares: rows of product.h from the keys of products.def.
 *
 * Texts of the rows point into the tree of the job file, which is kept. Everything that is wrong is
 * said at once, with file and line: what the schema can see (jobfile_check.c), and here what roles
 * must be to each other. */
#include "src/read/declare.h"

#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/schema.h"
#include "src/core/text.h"
#include "src/core/units.h"

struct sky_declared {
  sky_jobfile *file; /* kept for its texts; NULL: the job keeps them */
  char *text;        /* for workers */
  size_t n, total;
  sky_reader *own; /* [n] */
  sky_field_decl **field;
  sky_rule **rule;
  const sky_reader **all; /* [total] own, then the built-in ones that are not replaced */
};

/* --- words -------------------------------------------------------------------------------------
 */

/* The role whose name, with '_' for blanks, is the word. */
static sky_role role_of(const char *word) {
  for (int role = 0; word != NULL && role < SKY_ROLE_COUNT; ++role) {
    const char *name = sky_role_name((sky_role)role);
    size_t i = 0;
    while (name[i] != '\0' && word[i] == (name[i] == ' ' ? '_' : name[i]))
      ++i;
    if (name[i] == '\0' && word[i] == '\0') return (sky_role)role;
  }
  return SKY_ROLE_COUNT;
}

/* Position of a word among choices "a|b|c"; their order is that of the enumeration. */
static int choice_of(const sky_node *node, const char *key, const char *choices) {
  const char *word = sky_node_text(node, key), *start;
  size_t length;
  for (size_t i = 0; word != NULL && sky_choice_at(choices, i, &start, &length); ++i) {
    if (strlen(word) == length && strncmp(word, start, length) == 0) return (int)i;
  }
  return 0;
}

/* --- one reader --------------------------------------------------------------------------------
 */

static bool needs_role(const sky_reader *r, sky_role role) {
  static const sky_role ALWAYS[] = {SKY_ROLE_X, SKY_ROLE_SIGMA, SKY_ROLE_LAT, SKY_ROLE_LON,
                                    SKY_ROLE_COUNT};
  const bool kernel = r->kernel != SKY_KERNEL_NONE;
  const sky_role *const list[4] = {ALWAYS, sky_time_needs(r->time), sky_kernel_needs(r->kernel),
                                   kernel ? sky_pressure_needs(r->pressure) : NULL};
  for (int k = 0; k < 4; ++k) {
    for (const sky_role *p = list[k]; p != NULL && *p != SKY_ROLE_COUNT; ++p) {
      if (*p == role) return true;
    }
  }
  return false;
}

/* Ratios: a variable that states no unit has none (CF-1.11 §3.1). A mole fraction without one may
 * be in ppm, and a share in percent: those must state it. */
static bool is_ratio(sky_role role) {
  return role == SKY_ROLE_AK || role == SKY_ROLE_WEIGHT || role == SKY_ROLE_OPERATOR ||
         role == SKY_ROLE_ALBEDO || role == SKY_ROLE_ALBEDO_NIR || role == SKY_ROLE_AEROSOL;
}

static void fill_field(const sky_reader *r, const sky_node *node, sky_field_decl *f) {
  const sky_node *paths = sky_node_get(node, "variables"), *fill = sky_node_get(node, "fill");
  *f = (sky_field_decl){.role = role_of(sky_node_text(node, "role")),
                        .assumed = sky_node_text(node, "units"),
                        .doc = "declared"};
  if (f->assumed == NULL && is_ratio(f->role)) f->assumed = "1";
  sky_role_range(f->role, &f->min, &f->max);
  if (sky_node_given(node, "min")) f->min = sky_node_number(node, "min");
  if (sky_node_given(node, "max")) f->max = sky_node_number(node, "max");
  for (size_t k = 0; k < sky_node_count(paths) && k < SKY_FIELD_PATHS; ++k)
    f->path[k] = sky_node_text(sky_node_item(paths, k), NULL);
  for (size_t k = 0; k < sky_node_count(fill) && k < SKY_FIELD_FILLS; ++k)
    f->fill[f->n_fills++] = sky_node_number(sky_node_item(fill, k), NULL);
  f->need = needs_role(r, f->role) ? SKY_NEED_YES : SKY_NEED_NO;
  if (sky_node_given(node, "needed"))
    f->need = (sky_need)choice_of(node, "needed", "no|yes|kernel");
}

static void fill_rule(const sky_node *node, sky_rule *r) {
  static const unsigned PRESET[] = {SKY_PRESET_DEFAULT, SKY_PRESET_STRICT,
                                    SKY_PRESET_DEFAULT | SKY_PRESET_STRICT, 0};
  *r = (sky_rule){.name = sky_node_text(node, "name"),
                  .preset = PRESET[choice_of(node, "preset", "default|strict|both|none")],
                  .keep = choice_of(node, "action", "keep|drop") == 0,
                  .n_clauses = 1,
                  .doc = "declared"};
  r->drop = choice_of(node, "reason", "quality|surface") == 0 ? SKY_DROP_QUALITY : SKY_DROP_SURFACE;
  r->clause[0] =
      (sky_clause){.role = role_of(sky_node_text(node, "role")),
                   .mask = (unsigned)sky_node_integer(node, "mask", 0),
                   .compare = (sky_relation)choice_of(node, "compare", "eq|ne|ge|gt|le|lt"),
                   .number = sky_node_number(node, "value")};
}

static void fill_reader(const sky_node *node, sky_reader *r) {
  const sky_node *gases = sky_node_get(node, "gases"), *marker = sky_node_get(node, "recognise");
  *r = (sky_reader){.id = sky_node_text(node, "id"),
                    .title = sky_node_text(node, "title"),
                    .automatic = sky_node_bool(node, "automatic"),
                    .absent = sky_node_text(node, "lacks"),
                    .marker_attr = sky_node_text(node, "attribute"),
                    .marker_text = sky_node_text(node, "contains"),
                    .weight_tolerance = sky_node_number(node, "weight_tolerance"),
                    .prior_tolerance = sky_node_number(node, "prior_tolerance"),
                    .kernel_note = sky_node_text(node, "kernel_note"),
                    .reference = "declared by the user"};
  for (size_t k = 0; k < 4; ++k) {
    if (k < 3) r->gases[k] = sky_node_text(sky_node_item(gases, k), NULL);
    r->marker[k] = sky_node_text(sky_node_item(marker, k), NULL);
  }
  r->kernel = (sky_kernel_rule)choice_of(node, "kernel", "normalised|subcolumns|wet-operator|none");
  r->pressure = (sky_pressure_rule)choice_of(node, "pressure", "levels|steps|edges");
  r->time = (sky_time_rule)choice_of(node, "time", "cf|reference-offset|iso|parts");
  r->vertical = r->kernel == SKY_KERNEL_NONE                        ? SKY_VERTICAL_NONE
                : choice_of(node, "vertical", "levels|layers") == 0 ? SKY_VERTICAL_LEVELS
                                                                    : SKY_VERTICAL_LAYERS;
  if (r->title == NULL) r->title = r->id;
  if (r->kernel_note == NULL) r->kernel_note = r->kernel == SKY_KERNEL_NONE ? "none" : "";
}

/* --- what is wrong -----------------------------------------------------------------------------
 */

static char *word_of(sky_context *ctx, sky_role role) {
  char *word = sky_strdup(ctx, sky_role_name(role));
  for (char *p = word; p != NULL && *p != '\0'; ++p)
    *p = *p == ' ' ? '_' : *p;
  return word;
}

static sky_status missing_roles(sky_faults *f, const sky_node *node, const sky_reader *r) {
  for (int role = 0; role < SKY_ROLE_COUNT; ++role) {
    if (!needs_role(r, (sky_role)role) || sky_reader_field(r, (sky_role)role) != NULL) continue;
    char *word = word_of(f->ctx, (sky_role)role);
    if (word == NULL) return SKY_E_NOMEM;
    const sky_status st =
        sky_fault_at(f, sky_node_get(node, "fields"),
                     "product %s needs a field with role %s (time %s, pressure "
                     "%s, kernel %s)",
                     r->id, word, sky_node_text(node, "time"), sky_node_text(node, "pressure"),
                     sky_node_text(node, "kernel"));
    sky_free(word);
    SKY_TRY(st);
  }
  return SKY_OK;
}

static sky_status check_fields(sky_faults *f, const sky_node *node, const sky_reader *r) {
  const sky_node *list = sky_node_get(node, "fields");
  for (size_t k = 0; k < r->n_fields; ++k) {
    const sky_field_decl *field = &r->field[k];
    const sky_node *item = sky_node_item(list, k);
    if (sky_reader_field(r, field->role) != field) {
      SKY_TRY(sky_fault_at(f, sky_node_get(item, "role"), "'%s' is declared twice",
                           sky_node_text(item, "role")));
    }
    const char *unit = sky_role_unit(field->role);
    double scale, offset;
    if (unit != NULL && field->assumed != NULL &&
        sky_units_convert(f->ctx, field->assumed, unit, &scale, &offset) != SKY_OK) {
      sky_error_clear(f->ctx);
      SKY_TRY(sky_fault_at(f, sky_node_get(item, "units"), "'%s' is not a unit of %s (as %s)",
                           field->assumed, sky_node_text(item, "role"), unit));
    }
    if (field->min > field->max) {
      SKY_TRY(sky_fault_at(f, sky_node_get(item, "variables"),
                           "no value is legal: min %g is above max %g", field->min, field->max));
    }
  }
  return missing_roles(f, node, r);
}

static sky_status check_rules(sky_faults *f, const sky_node *node, const sky_reader *r) {
  const sky_node *list = sky_node_get(node, "quality");
  for (size_t k = 0; k < r->n_rules; ++k) {
    const sky_rule *rule = &r->rule[k];
    const sky_node *item = sky_node_item(list, k);
    if (strpbrk(rule->name, ",: \t\n") != NULL || strcmp(rule->name, "default") == 0 ||
        strcmp(rule->name, "strict") == 0 || strcmp(rule->name, "none") == 0) {
      SKY_TRY(sky_fault_at(f, sky_node_get(item, "name"),
                           "'%s' is not a name of a rule (no comma, colon or blank, and none of "
                           "default, strict, none)",
                           rule->name));
    }
    for (size_t i = 0; i < k; ++i) {
      if (strcmp(r->rule[i].name, rule->name) != 0) continue;
      SKY_TRY(sky_fault_at(f, sky_node_get(item, "name"), "'%s' occurs twice", rule->name));
    }
    if (sky_reader_field(r, rule->clause[0].role) == NULL) {
      SKY_TRY(sky_fault_key(f, item, "role", "product %s has no field with role %s", r->id,
                            sky_node_text(item, "role")));
    }
  }
  return SKY_OK;
}

static sky_status check_reader(sky_faults *f, const sky_node *node, const sky_declared *d,
                               size_t i) {
  const sky_reader *r = &d->own[i];
  if (strlen(r->id) > 31 || strcmp(r->id, "auto") == 0) {
    SKY_TRY(sky_fault_at(f, sky_node_get(node, "id"),
                         "'%s' is not a reader's name (at most 31 letters, not auto)", r->id));
  }
  for (size_t k = 0; k < i; ++k) {
    if (strcmp(d->own[k].id, r->id) != 0) continue;
    SKY_TRY(sky_fault_at(f, sky_node_get(node, "id"), "'%s' occurs twice", r->id));
  }
  if (strlen(r->kernel_note) > 63) {
    SKY_TRY(sky_fault_at(f, sky_node_get(node, "kernel_note"), "%zu bytes are more than 63",
                         strlen(r->kernel_note)));
  }
  if ((r->marker_attr == NULL) != (r->marker_text == NULL)) {
    SKY_TRY(sky_fault_key(f, node, r->marker_attr == NULL ? "attribute" : "contains",
                          "required, as attribute and contains go together"));
  }
  SKY_TRY(check_fields(f, node, r));
  return check_rules(f, node, r);
}

/* --- all of them -------------------------------------------------------------------------------
 */

static sky_status fill_tables(sky_context *ctx, const sky_node *node, sky_declared *d, size_t i) {
  sky_reader *r = &d->own[i];
  const sky_node *fields = sky_node_get(node, "fields"), *rules = sky_node_get(node, "quality");
  fill_reader(node, r);
  r->n_fields = sky_node_count(fields);
  r->n_rules = sky_node_count(rules);
  r->field = d->field[i] = SKY_NEW0(ctx, sky_field_decl, r->n_fields);
  r->rule = d->rule[i] = SKY_NEW0(ctx, sky_rule, r->n_rules);
  if (r->field == NULL || r->rule == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < r->n_fields; ++k)
    fill_field(r, sky_node_item(fields, k), &d->field[i][k]);
  for (size_t k = 0; k < r->n_rules; ++k)
    fill_rule(sky_node_item(rules, k), &d->rule[i][k]);
  return SKY_OK;
}

static sky_status list_all(sky_context *ctx, sky_declared *d) {
  d->all = SKY_NEW(ctx, const sky_reader *, d->n + sky_reader_count());
  if (d->all == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < d->n; ++i)
    d->all[d->total++] = &d->own[i];
  for (size_t i = 0; i < sky_reader_count(); ++i) {
    bool replaced = false;
    for (size_t k = 0; k < d->n; ++k)
      replaced = replaced || strcmp(d->own[k].id, sky_reader_at(i)->id) == 0;
    if (!replaced) d->all[d->total++] = sky_reader_at(i);
  }
  return SKY_OK;
}

sky_status sky_declared_create(sky_context *ctx, const sky_jobfile *job, sky_declared **out) {
  static const char *const SECTION[] = {"products"};
  const sky_node *list = sky_node_get(sky_jobfile_root(job), "products");
  sky_faults faults = {.ctx = ctx, .file = sky_jobfile_path(job)};
  sky_declared *d = NULL;
  sky_status st = SKY_OK;
  *out = NULL;
  if (sky_node_count(list) == 0) return SKY_OK;
  SKY_GO_ALLOC(d, SKY_NEW0(ctx, sky_declared, 1));
  SKY_GO_ALLOC(d->own, SKY_NEW0(ctx, sky_reader, sky_node_count(list)));
  SKY_GO_ALLOC(d->field, SKY_NEW0(ctx, sky_field_decl *, sky_node_count(list)));
  SKY_GO_ALLOC(d->rule, SKY_NEW0(ctx, sky_rule *, sky_node_count(list)));
  d->n = sky_node_count(list);
  for (size_t i = 0; i < d->n; ++i) {
    SKY_GO(fill_tables(ctx, sky_node_item(list, i), d, i));
    SKY_GO(check_reader(&faults, sky_node_item(list, i), d, i));
  }
  SKY_GO(sky_faults_report(&faults));
  SKY_GO(list_all(ctx, d));
  SKY_GO_ALLOC(d->text, sky_jobfile_canonical(ctx, job, SECTION, 1));
  *out = d;
  d = NULL;
cleanup:
  sky_faults_free(&faults);
  sky_declared_free(d);
  return st;
}

sky_status sky_declared_parse(sky_context *ctx, const char *name, const char *text,
                              sky_declared **out) {
  sky_jobfile *file = NULL;
  *out = NULL;
  SKY_TRY(sky_schema_parse(ctx, sky_schema_products(), name, text, strlen(text), NULL, 0, &file));
  sky_status st = sky_declared_create(ctx, file, out);
  if (st == SKY_OK && *out == NULL)
    st = sky_fail(ctx, SKY_E_JOB, "%s: no reader is declared (key products)", name);
  if (st == SKY_OK) {
    (*out)->file = file;
  } else {
    sky_jobfile_free(file);
  }
  return st;
}

sky_status sky_declared_read(sky_context *ctx, const char *path, sky_declared **out) {
  char *text = NULL;
  size_t length;
  *out = NULL;
  SKY_TRY(sky_file_read_text(ctx, path, &text, &length));
  const sky_status st = sky_declared_parse(ctx, path, text, out);
  sky_free(text);
  return st;
}

void sky_declared_free(sky_declared *d) {
  if (d == NULL) return;
  for (size_t i = 0; i < d->n; ++i) {
    sky_free(d->field[i]);
    sky_free(d->rule[i]);
  }
  sky_free(d->field);
  sky_free(d->rule);
  sky_free(d->own);
  sky_free(d->all);
  sky_free(d->text);
  sky_jobfile_free(d->file);
  sky_free(d);
}

const char *sky_declared_text(const sky_declared *d) {
  return d->text;
}

size_t sky_declared_total(const sky_declared *d) {
  return d != NULL ? d->total : sky_reader_count();
}

const sky_reader *sky_declared_at(const sky_declared *d, size_t i) {
  if (d == NULL) return sky_reader_at(i);
  return i < d->total ? d->all[i] : NULL;
}

const sky_reader *sky_declared_find(const sky_declared *d, const char *id) {
  for (size_t i = 0; i < sky_declared_total(d); ++i) {
    if (strcmp(sky_declared_at(d, i)->id, id) == 0) return sky_declared_at(d, i);
  }
  return NULL;
}
