/* schema_doc.c: the template of `skyflux init` and the reference page, from the table of keys. */
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/schema.h"
#include "src/core/species.h"

#define WIDTH 96
#define NUMBER 24

/* ---- words for a key ---- */

/* "a, b, c" for "a|b|c". */
static void choices_put(sky_text *t, const char *choices) {
  const char *part;
  size_t length;
  for (size_t i = 0; sky_choice_at(choices, i, &part, &length); i++) {
    sky_text_printf(t, "%s%.*s", i > 0 ? ", " : "", (int)length, part);
  }
}

static void quantity_put(sky_text *t, const char *units) {
  const char *part;
  size_t length;
  const char *first = NULL;
  for (size_t i = 0; sky_choice_at(units, i, &part, &length); i++) {
    if (i > 0) sky_text_put(t, " or ");
    if (*part == '=') {
      sky_text_printf(t, "%.*s", (int)length - 1, part + 1);
    } else {
      sky_text_put(t, sky_unit_noun(part));
      if (first == NULL) first = part;
    }
  }
  const size_t n = strcspn(first, "|");
  if (n != 1 || *first != '1') sky_text_printf(t, " (a bare number: %.*s)", (int)n, first);
}

static void gases_put(sky_text *t) {
  for (size_t i = 0; i < sky_species_count(); i++) {
    sky_text_printf(t, "%s%s", i > 0 ? ", " : "", sky_species_at(i)->id);
  }
}

static void type_put(sky_text *t, const sky_key *key) {
  switch (key->type) {
    case SKY_KEY_MAP:
      sky_text_put(t, "map");
      break;
    case SKY_KEY_MAPS:
      sky_text_put(t, "list of maps");
      break;
    case SKY_KEY_VARS:
      sky_text_put(t, "map of names");
      break;
    case SKY_KEY_TEXT:
      sky_text_put(t, "text");
      break;
    case SKY_KEY_ID:
      sky_text_put(t, "name");
      break;
    case SKY_KEY_CHOICE:
      sky_text_put(t, "one of ");
      choices_put(t, key->unit);
      break;
    case SKY_KEY_GAS:
      sky_text_put(t, "one of ");
      gases_put(t);
      break;
    case SKY_KEY_BOOL:
      sky_text_put(t, "true or false");
      break;
    case SKY_KEY_INTEGER:
      sky_text_put(t, "integer");
      break;
    case SKY_KEY_NUMBER:
      sky_text_put(t, "number");
      break;
    case SKY_KEY_QUANTITY:
      quantity_put(t, key->unit);
      break;
    case SKY_KEY_DATE:
      sky_text_put(t, "date");
      break;
    case SKY_KEY_INPUT:
      sky_text_put(t, "file to read");
      break;
    case SKY_KEY_OUTPUT:
      sky_text_put(t, "path to write");
      break;
    case SKY_KEY_GASES:
      sky_text_put(t, "list of ");
      gases_put(t);
      break;
    case SKY_KEY_NUMBERS:
      sky_text_put(t, "list of ");
      if (key->min == key->max) sky_text_printf(t, "%g ", key->min);
      sky_text_put(t, "numbers");
      break;
    case SKY_KEY_INPUTS:
      sky_text_put(t, "list of files to read");
      break;
    case SKY_KEY_TEXTS:
      sky_text_put(t, "list of texts");
      break;
  }
}

/* Only ranges that say something. */
static void range_put(sky_text *t, const sky_key *key) {
  const bool counted =
      key->type == SKY_KEY_INTEGER || key->type == SKY_KEY_NUMBER || key->type == SKY_KEY_QUANTITY;
  if (!counted) return;
  const char *last = key->unit == NULL ? NULL : strrchr(key->unit, '|');
  const char *unit = key->unit == NULL ? "1" : key->unit[0] == '=' ? last + 1 : key->unit;
  const bool plain = strcmp(unit, "1") == 0;
  char tail[NUMBER] = "";
  if (!plain) snprintf(tail, sizeof tail, " %.*s", (int)strcspn(unit, "|"), unit);
  if (key->min == SKY_KEY_POSITIVE) {
    sky_text_put(t, ", greater than 0");
  } else if (key->min > -DBL_MAX && key->max < DBL_MAX) {
    sky_text_printf(t, ", %g to %g%s", key->min, key->max, tail);
  } else if (key->min > -DBL_MAX) {
    sky_text_printf(t, ", at least %g", key->min);
  }
}

char *sky_key_describe(sky_context *ctx, const sky_key *key) {
  sky_text t = {.ctx = ctx};
  type_put(&t, key);
  range_put(&t, key);
  return sky_text_take(&t);
}

/* ---- template ---- */

typedef struct writer {
  const sky_schema *schema;
  sky_text *text;
} writer;

/* Left margin of a line: `depth` steps, and a '#' at step `off` if the block is switched off. */
static void margin(sky_text *t, int depth, int off, const char *dash) {
  for (int i = 0; i < depth; i++) {
    if (i == off) sky_text_put(t, "#");
    sky_text_put(t, i == depth - 1 ? dash : "  ");
  }
  if (off == depth) sky_text_put(t, "#");
}

/* doc as comment lines of at most WIDTH columns. */
static void comment(sky_text *t, int depth, int off, const char *doc) {
  const size_t room = (size_t)(WIDTH - 2 * depth - 3);
  while (*doc != '\0') {
    size_t n = strlen(doc);
    if (n > room) {
      n = room;
      while (n > 0 && doc[n] != ' ')
        n--;
    }
    margin(t, depth, off, "  ");
    sky_text_printf(t, "# %.*s\n", (int)n, doc);
    doc += n;
    while (*doc == ' ')
      doc++;
  }
}

static void keys_put(writer *w, const sky_key *parent, int depth, int off);

/* What the comment of a key says: its doc, its alternatives and its default. malloc'd. */
static char *comment_text(sky_context *ctx, const sky_key *key) {
  sky_text t = {.ctx = ctx};
  sky_text_put(&t, key->doc);
  const bool words = key->type == SKY_KEY_CHOICE || key->type == SKY_KEY_GAS ||
                     key->type == SKY_KEY_GASES || key->type == SKY_KEY_BOOL;
  const bool fallback = key->fallback != SKY_KEY_OPTIONAL && key->type != SKY_KEY_MAP &&
                        strcmp(key->fallback, SKY_KEY_REQUIRED) != 0;
  if (words || fallback) sky_text_put(&t, " [");
  if (words) type_put(&t, key);
  if (fallback) sky_text_printf(&t, "%sdefault %s", words ? "; " : "", key->fallback);
  if (words || fallback) sky_text_put(&t, "]");
  return sky_text_take(&t);
}

/* A key with its comment. first: it opens an item of a list. off: step of the '#', -1 = active. */
static void key_put(writer *w, const sky_key *key, const char *name, int depth, int off,
                    bool first) {
  sky_text *t = w->text;
  char *doc = comment_text(t->ctx, key);
  if (doc == NULL) {
    t->failed = true;
    return;
  }
  comment(t, first ? depth - 1 : depth, off, doc);
  sky_free(doc);
  if (off < 0 && !key->shown) off = depth;
  margin(t, depth, off, first ? "- " : "  ");
  sky_text_printf(t, "%s:", name);
  if (key->type == SKY_KEY_VARS) {
    sky_text_put(t, "\n");
    margin(t, depth + 1, off, "  ");
    sky_text_printf(t, "%s\n", key->example);
  } else if (key->type != SKY_KEY_MAP && key->type != SKY_KEY_MAPS) {
    sky_text_printf(t, " %s\n", key->example);
  } else {
    sky_text_put(t, "\n");
    keys_put(w, key, key->type == SKY_KEY_MAPS ? depth + 2 : depth + 1, off);
  }
}

static void keys_put(writer *w, const sky_key *parent, int depth, int off) {
  bool first = parent != NULL && parent->type == SKY_KEY_MAPS;
  for (size_t i = 0; i < w->schema->n_keys; i++) {
    const sky_key *key = &w->schema->keys[i];
    const char *name = sky_key_child(parent, key);
    if (name == NULL) continue;
    if (parent == NULL) sky_text_put(w->text, "\n");
    key_put(w, key, name, depth, off, first);
    first = false;
  }
}

char *sky_schema_template(sky_context *ctx) {
  sky_text t = {.ctx = ctx};
  writer w = {sky_schema_job(), &t};
  sky_text_put(
      &t,
      "# A skyflux job. Check it with `skyflux check JOB`, run it with `skyflux run JOB`.\n"
      "# Lines with '# ' explain the key below them; lines with '#' and no blank are settings\n"
      "# to switch on by taking the '#' away. Paths count from the folder where skyflux runs.\n");
  keys_put(&w, NULL, 0, -1);
  return sky_text_take(&t);
}

/* ---- reference page ---- */

/* '|' would end a cell of the table. */
static void cell_put(sky_text *t, const char *text) {
  for (; *text != '\0'; text++) {
    if (*text == '|') sky_text_put(t, "\\");
    sky_text_add(t, text, 1);
  }
}

static void row_put(sky_text *t, const sky_key *key) {
  char *words = sky_key_describe(t->ctx, key);
  if (words == NULL) {
    t->failed = true;
    return;
  }
  sky_text_printf(t, "| `%s` | ", key->path);
  cell_put(t, words);
  sky_text_put(t, " | ");
  if (key->fallback == SKY_KEY_OPTIONAL) {
    sky_text_put(t, "–");
  } else if (strcmp(key->fallback, SKY_KEY_REQUIRED) == 0) {
    sky_text_put(t, "required");
  } else if (key->type == SKY_KEY_MAP) {
    sky_text_put(t, "always there");
  } else {
    sky_text_printf(t, "`%s`", key->fallback);
  }
  sky_text_put(t, " | ");
  cell_put(t, key->doc);
  sky_text_put(t, " |\n");
  sky_free(words);
}

static const char page_head[] =
    "# The job file\n\n"
    "Made by `skyflux list keys --markdown` from the table that also checks every job; `skyflux "
    "init`\n"
    "prints a commented example. Paths count from the folder where skyflux runs.\n\n"
    "A job file is YAML without anchors, aliases and tags. Quantities carry their unit (`1 km`,\n"
    "`20 ppb`); a bare number is in the unit that the table names. Dates are UTC unless they end "
    "in an\n"
    "offset. `${name}` stands for a value of `vars:`, `$${` for a plain `${`. On the command line\n"
    "`--set name=VALUE` replaces a variable and `--set a.b[0].c=VALUE` any key.\n\n"
    "| key | what it takes | default | meaning |\n|---|---|---|---|\n";

char *sky_schema_markdown(sky_context *ctx) {
  const sky_schema *schema = sky_schema_job();
  sky_text t = {.ctx = ctx};
  sky_text_put(&t, page_head);
  for (size_t i = 0; i < schema->n_keys; i++)
    row_put(&t, &schema->keys[i]);
  sky_text_put(&t, "\nWhat keys must be to each other:\n\n");
  for (const sky_job_rule *rule = schema->rules; rule->check != NULL; rule++) {
    sky_text_printf(&t, "- %s\n", rule->doc);
  }
  return sky_text_take(&t);
}
