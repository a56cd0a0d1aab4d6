/* schema.c: the table of job-file keys and how to look into it. */
#include "src/core/schema.h"

#include <float.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/species.h"

#define ANY (-DBL_MAX), DBL_MAX
#define FROM(min) (min), DBL_MAX
#define BETWEEN(min, max) (min), (max)
#define REQUIRED SKY_KEY_REQUIRED
#define OPTIONAL SKY_KEY_OPTIONAL
#define POSITIVE SKY_KEY_POSITIVE

#define SHOW(example) true, (example)
#define HIDE(example) false, (example)

/* The range and the example are two columns each in one argument. */
#define SKY_KEY(path, type, unit, range, fallback, example, doc) \
  {path, SKY_KEY_##type, unit, range, fallback, example, doc},
static const sky_key job_keys[] = {
#include "src/core/schema.def"
};
static const sky_key product_keys[] = {
#include "src/core/products.def"
};
#undef SKY_KEY

static const sky_schema job_schema = {job_keys, sizeof job_keys / sizeof job_keys[0],
                                      sky_job_rules};

/* Rules of products are about roles, which the readers know: read/declare.c. */
static const sky_job_rule no_rules[] = {{NULL, NULL}};
static const sky_schema product_schema = {product_keys,
                                          sizeof product_keys / sizeof product_keys[0], no_rules};

const sky_schema *sky_schema_products(void) {
  return &product_schema;
}

const sky_schema *sky_schema_job(void) {
  return &job_schema;
}

const char *sky_key_child(const sky_key *parent, const sky_key *key) {
  const char *name = key->path;
  if (parent != NULL) {
    const size_t n = strlen(parent->path);
    if (strncmp(name, parent->path, n) != 0) return NULL;
    name += n;
    if (parent->type == SKY_KEY_MAPS) {
      if (strncmp(name, "[]", 2) != 0) return NULL;
      name += 2;
    }
    if (*name++ != '.') return NULL;
  }
  return strpbrk(name, ".[") == NULL ? name : NULL;
}

const sky_key *sky_key_find(const sky_schema *schema, const sky_key *parent, const char *name) {
  for (size_t i = 0; i < schema->n_keys; i++) {
    const char *child = sky_key_child(parent, &schema->keys[i]);
    if (child != NULL && strcmp(child, name) == 0) return &schema->keys[i];
  }
  return NULL;
}

bool sky_key_is_list(sky_key_type type) {
  return type >= SKY_KEY_GASES;
}

sky_key_type sky_key_item_type(sky_key_type list) {
  return list == SKY_KEY_GASES     ? SKY_KEY_GAS
         : list == SKY_KEY_NUMBERS ? SKY_KEY_NUMBER
         : list == SKY_KEY_TEXTS   ? SKY_KEY_TEXT
                                   : SKY_KEY_INPUT;
}

bool sky_choice_at(const char *choices, size_t i, const char **start, size_t *length) {
  for (; i > 0; i--) {
    choices = strchr(choices, '|');
    if (choices == NULL) return false;
    choices++;
  }
  *start = choices;
  *length = strcspn(choices, "|");
  return true;
}

/* Units of schema.def in a reader's words. */
static const struct unit_word {
  const char *unit, *noun, *example;
} unit_words[] = {
    {"m", "length", "1 km"},
    {"degree", "angle", "0.1 degree"},
    {"s", "time", "12 hours"},
    {"mol mol-1", "mole fraction", "20 ppb"},
    {"mol m-2 s-1", "flux", "1e-9 mol m-2 s-1"},
    {"kg yr-1", "mass per year", "1.5e9 kg yr-1"},
    {"1", "number", "0.5"},
};

static const struct unit_word *unit_word(const char *unit) {
  const size_t n = strcspn(unit, "|");
  for (size_t i = 0; i < sizeof unit_words / sizeof unit_words[0]; i++) {
    if (strlen(unit_words[i].unit) == n && strncmp(unit_words[i].unit, unit, n) == 0) {
      return &unit_words[i];
    }
  }
  return NULL;
}

const char *sky_unit_noun(const char *unit) {
  const struct unit_word *w = unit_word(unit);
  return w == NULL ? "quantity" : w->noun;
}

const char *sky_unit_example(const char *unit) {
  const struct unit_word *w = unit_word(unit);
  return w == NULL ? "1" : w->example;
}
