/* jobfile_check.c: a tree against the table of keys: types, ranges, unknown and missing keys,
 * defaults. Every fault names the value and what is legal. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/schema.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/core/units.h"

#define NAMES_MAX 64

/* ---- scalars ---- */

static bool is_id(const char *s) {
  size_t n = 0;
  for (; s[n] != '\0'; n++) {
    const char c = s[n];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && (n == 0 || (c != '_' && c != '-' && c != '.'))) return false;
  }
  return n > 0 && n < 64;
}

/* Decimal digits with an optional sign; no leading zero, which YAML 1.1 would read as octal. */
static bool is_integer(const char *s) {
  if (*s == '-' || *s == '+') s++;
  const size_t n = strspn(s, "0123456789");
  return n > 0 && n < 18 && s[n] == '\0' && (s[0] != '0' || n == 1);
}

/* Range of the key in words, behind the value. */
static sky_status check_range(sky_faults *f, sky_node *node, const sky_key *key) {
  const double v = node->number;
  if (v >= key->min && v <= key->max) {
    node->valid = true;
    return SKY_OK;
  }
  if (!isfinite(v)) return sky_fault_at(f, node, "'%s' is too large", node->text);
  const size_t n = node->unit == NULL || (node->unit_length == 1 && node->unit[0] == '1')
                       ? 0
                       : node->unit_length;
  const char *unit = n > 0 ? node->unit : "", *space = n > 0 ? " " : "";
  if (key->min == SKY_KEY_POSITIVE && !(v > key->max)) {
    return sky_fault_at(f, node, "'%s' is not greater than 0%s%.*s", node->text, space, (int)n,
                        unit);
  }
  if (key->min == SKY_KEY_POSITIVE)
    return sky_fault_at(f, node, "'%s' is above %g%s%.*s", node->text, key->max, space, (int)n,
                        unit);
  if (key->max == DBL_MAX) {
    return sky_fault_at(f, node, "'%s' is below %g%s%.*s", node->text, key->min, space, (int)n,
                        unit);
  }
  return sky_fault_at(f, node, "'%s' is outside %g to %g%s%.*s", node->text, key->min, key->max,
                      space, (int)n, unit);
}

/* "length or angle": what the key takes, the last alternative first. */
static char *quantity_nouns(sky_context *ctx, const char *units) {
  sky_text t = {.ctx = ctx};
  const char *part;
  size_t length, n = 0;
  while (sky_choice_at(units, n, &part, &length))
    n++;
  for (; n > 0; n--) {
    sky_choice_at(units, n - 1, &part, &length);
    if (t.length > 0) sky_text_put(&t, " or ");
    if (*part == '=') {
      sky_text_printf(&t, "'%.*s'", (int)length - 1, part + 1);
    } else {
      sky_text_put(&t, sky_unit_noun(part));
    }
  }
  return sky_text_take(&t);
}

static sky_status not_a_quantity(sky_faults *f, const sky_node *node, const sky_key *key) {
  double scale, offset;
  const sky_status units = sky_units_convert(f->ctx, "m", "m", &scale, &offset);
  if (units != SKY_OK) return units; /* without a unit database nothing is a quantity */
  char *nouns = quantity_nouns(f->ctx, key->unit);
  if (nouns == NULL) return SKY_E_NOMEM;
  const char *last = strrchr(key->unit, '|');
  const sky_status st = sky_fault_at(f, node, "'%s' is not %s %s (expected e.g. '%s')", node->text,
                                     strchr("aeiou", nouns[0]) != NULL ? "an" : "a", nouns,
                                     sky_unit_example(last == NULL ? key->unit : last + 1));
  sky_free(nouns);
  return st;
}

static sky_status check_quantity(sky_faults *f, sky_node *node, const sky_key *key) {
  const char *part;
  size_t length;
  bool bare = true; /* a bare number counts in the first unit */
  for (size_t i = 0; sky_choice_at(key->unit, i, &part, &length); i++) {
    if (*part == '=') { /* a word in place of a number */
      if (strncmp(part + 1, node->text, length - 1) == 0 && node->text[length - 1] == '\0') {
        node->valid = true;
        return SKY_OK;
      }
      continue;
    }
    char unit[32];
    memcpy(unit, part, length);
    unit[length] = '\0';
    const sky_status st =
        sky_units_quantity(f->ctx, node->text, unit, bare ? unit : NULL, &node->number);
    bare = false;
    if (st == SKY_OK) {
      node->unit = part;
      node->unit_length = length;
      return check_range(f, node, key);
    }
    node->number = NAN;
  }
  return not_a_quantity(f, node, key);
}

static sky_status check_word(sky_faults *f, sky_node *node, const char *const *words, size_t n,
                             const char *noun) {
  for (size_t i = 0; i < n; i++) {
    node->valid = node->valid || strcmp(words[i], node->text) == 0;
  }
  if (node->valid) return SKY_OK;
  sky_text known = {.ctx = f->ctx};
  for (size_t i = 0; i < n; i++)
    sky_text_printf(&known, "%s%s", i > 0 ? ", " : "", words[i]);
  char *list = sky_text_take(&known);
  if (list == NULL) return SKY_E_NOMEM;
  const char *near = sky_text_nearest(node->text, words, n);
  const sky_status st = sky_fault_at(f, node, "'%s' is not %s %s%s%s%s", node->text, noun, list,
                                     near != NULL ? "; did you mean '" : "",
                                     near != NULL ? near : "", near != NULL ? "'?" : "");
  sky_free(list);
  return st;
}

static sky_status check_choice(sky_faults *f, sky_node *node, const sky_key *key) {
  char *words = sky_strdup(f->ctx, key->unit);
  if (words == NULL) return SKY_E_NOMEM;
  const char *list[NAMES_MAX];
  size_t n = 0;
  char *rest = NULL;
  for (char *w = strtok_r(words, "|", &rest); w != NULL && n < NAMES_MAX;
       w = strtok_r(NULL, "|", &rest)) {
    list[n++] = w;
  }
  const sky_status st = check_word(f, node, list, n, "one of");
  sky_free(words);
  return st;
}

static sky_status check_gas(sky_faults *f, sky_node *node) {
  const char *list[NAMES_MAX];
  size_t n = 0;
  for (; n < sky_species_count() && n < NAMES_MAX; n++)
    list[n] = sky_species_at(n)->id;
  return check_word(f, node, list, n, "a gas; known are");
}

static sky_status check_date(sky_faults *f, sky_node *node) {
  const sky_status st = sky_time_parse(f->ctx, node->text, &node->number);
  node->valid = st == SKY_OK;
  if (st == SKY_OK || st == SKY_E_NOMEM) return st;
  return sky_fault_at(f, node,
                      "'%s' is not a date (expected e.g. 2023-04-02 or "
                      "2023-04-02T15:00:00Z)",
                      node->text);
}

static sky_status check_number(sky_faults *f, sky_node *node, const sky_key *key, bool integer) {
  if (integer && !is_integer(node->text)) {
    return sky_fault_at(f, node, "'%s' is not an integer", node->text);
  }
  if (!integer && !sky_number_parse(node->text, &node->number, NULL)) {
    node->number = NAN;
    return sky_fault_at(f, node, "'%s' is not a number", node->text);
  }
  if (integer) {
    node->integer = strtoll(node->text, NULL, 10);
    node->number = (double)node->integer;
  }
  return check_range(f, node, key);
}

/* YAML's spellings of nothing. */
static bool is_null(const sky_node *node) {
  return node->plain && (strcmp(node->text, "") == 0 || strcmp(node->text, "~") == 0 ||
                         strcmp(node->text, "null") == 0);
}

static sky_status check_scalar(sky_faults *f, sky_node *node, const sky_key *key, bool item) {
  node->schema = key;
  if (is_null(node) || node->text[0] == '\0') {
    return sky_fault_at(f, node, "has no value");
  }
  /* The range of a list counts items, not what they hold. */
  sky_key any = *key;
  if (item) {
    any.min = -DBL_MAX;
    any.max = DBL_MAX;
  }
  switch (item ? sky_key_item_type(key->type) : key->type) {
    case SKY_KEY_ID:
      node->valid = is_id(node->text);
      return node->valid ? SKY_OK
                         : sky_fault_at(f, node,
                                        "'%s' is not a name (letters, digits, '_', '-' and "
                                        "'.', at most 63)",
                                        node->text);
    case SKY_KEY_CHOICE:
      return check_choice(f, node, key);
    case SKY_KEY_GAS:
      return check_gas(f, node);
    case SKY_KEY_BOOL:
      node->boolean = strcmp(node->text, "true") == 0;
      node->valid = node->boolean || strcmp(node->text, "false") == 0;
      return node->valid ? SKY_OK : sky_fault_at(f, node, "'%s' is not true or false", node->text);
    case SKY_KEY_INTEGER:
      return check_number(f, node, &any, true);
    case SKY_KEY_NUMBER:
      return check_number(f, node, &any, false);
    case SKY_KEY_QUANTITY:
      return check_quantity(f, node, key);
    case SKY_KEY_DATE:
      return check_date(f, node);
    default: /* texts and paths */
      node->valid = true;
      return SKY_OK;
  }
}

/* ---- maps and lists ---- */

static sky_status check_map(sky_faults *f, const sky_schema *schema, const sky_key *key,
                            sky_node *map);

static const char *kind_name(sky_node_kind kind) {
  return kind == SKY_NODE_MAP ? "a map" : kind == SKY_NODE_LIST ? "a list" : "a single value";
}

static sky_status wrong_kind(sky_faults *f, const sky_node *node, const char *wanted) {
  if (node->kind == SKY_NODE_SCALAR && is_null(node)) return sky_fault_at(f, node, "has no value");
  return sky_fault_at(f, node, "expected %s, found %s", wanted, kind_name(node->kind));
}

static sky_status check_list(sky_faults *f, const sky_schema *schema, const sky_key *key,
                             sky_node *list) {
  const bool maps = key->type == SKY_KEY_MAPS;
  if (list->kind != SKY_NODE_LIST) {
    return wrong_kind(
        f, list, maps ? "a list of maps (lines that begin with '- ')" : "a list such as [a, b]");
  }
  list->schema = key;
  list->valid = true;
  const double n = (double)list->n_child;
  if (n < key->min || n > key->max) {
    if (key->min == key->max) {
      SKY_TRY(sky_fault_at(f, list, "%zu items, expected %g", list->n_child, key->min));
    } else if (n == 0) {
      SKY_TRY(sky_fault_at(f, list, "the list is empty"));
    } else {
      SKY_TRY(sky_fault_at(f, list, "%zu item%s, expected %g to %g", list->n_child,
                           n == 1 ? "" : "s", key->min, key->max));
    }
  }
  for (size_t i = 0; i < list->n_child; i++) {
    sky_node *item = list->child[i];
    if (maps) {
      SKY_TRY(check_map(f, schema, key, item));
    } else if (item->kind != SKY_NODE_SCALAR) {
      SKY_TRY(wrong_kind(f, item, "a single value"));
    } else {
      SKY_TRY(check_scalar(f, item, key, true));
    }
  }
  return SKY_OK;
}

static sky_status check_vars(sky_faults *f, const sky_key *key, sky_node *map) {
  if (map->kind != SKY_NODE_MAP) return wrong_kind(f, map, "a map of names");
  map->schema = key;
  for (size_t i = 0; i < map->n_child; i++) {
    sky_node *var = map->child[i];
    var->schema = key;
    var->valid = true;
    if (var->kind != SKY_NODE_SCALAR) SKY_TRY(wrong_kind(f, var, "a single value"));
  }
  return SKY_OK;
}

static sky_status check_value(sky_faults *f, const sky_schema *schema, const sky_key *key,
                              sky_node *node) {
  if (key->type == SKY_KEY_MAP) return check_map(f, schema, key, node);
  if (key->type == SKY_KEY_VARS) return check_vars(f, key, node);
  if (key->type == SKY_KEY_MAPS || sky_key_is_list(key->type)) {
    return check_list(f, schema, key, node);
  }
  if (node->kind == SKY_NODE_SCALAR) return check_scalar(f, node, key, false);
  char *wanted = sky_key_describe(f->ctx, key);
  if (wanted == NULL) return SKY_E_NOMEM;
  const sky_status st = wrong_kind(f, node, wanted);
  sky_free(wanted);
  return st;
}

static sky_status unknown_key(sky_faults *f, const sky_schema *schema, const sky_key *parent,
                              const sky_node *node) {
  const char *names[NAMES_MAX];
  size_t n = 0;
  sky_text known = {.ctx = f->ctx};
  for (size_t i = 0; i < schema->n_keys && n < NAMES_MAX; i++) {
    const char *name = sky_key_child(parent, &schema->keys[i]);
    if (name == NULL) continue;
    sky_text_printf(&known, "%s%s", n > 0 ? ", " : "", name);
    names[n++] = name;
  }
  char *list = sky_text_take(&known);
  if (list == NULL) return SKY_E_NOMEM;
  const char *near = sky_text_nearest(node->key, names, n);
  const sky_status st = near != NULL
                            ? sky_fault_at(f, node, "unknown key; did you mean '%s'?", near)
                            : sky_fault_at(f, node, "unknown key; known here: %s", list);
  sky_free(list);
  return st;
}

/* An absent key: required, or its default as if the user had written it. */
static sky_status fill_in(sky_faults *f, const sky_schema *schema, const sky_key *key,
                          const char *name, sky_node *map) {
  if (key->fallback == SKY_KEY_OPTIONAL) return SKY_OK;
  if (strcmp(key->fallback, SKY_KEY_REQUIRED) == 0) {
    return sky_fault_key(f, map, name, "required");
  }
  const bool is_map = key->type == SKY_KEY_MAP;
  sky_node *node = NULL;
  SKY_TRY(sky_node_create(f->ctx, is_map ? SKY_NODE_MAP : SKY_NODE_SCALAR, &node));
  node->origin = SKY_FROM_DEFAULT;
  node->line = map->line;
  SKY_TRY(sky_node_append(f->ctx, map, name, node));
  if (!is_map) {
    node->text = sky_strdup(f->ctx, key->fallback);
    if (node->text == NULL) return SKY_E_NOMEM;
  }
  return check_value(f, schema, key, node);
}

/* key NULL: the root. Items of a list of maps come with the key of their list. */
static sky_status check_map(sky_faults *f, const sky_schema *schema, const sky_key *key,
                            sky_node *map) {
  if (map->kind != SKY_NODE_MAP) return wrong_kind(f, map, "a map of keys");
  map->schema = key;
  map->valid = true;
  const size_t given = map->n_child; /* defaults are appended and need no second look */
  for (size_t i = 0; i < given; i++) {
    sky_node *child = map->child[i];
    const sky_key *known = sky_key_find(schema, key, child->key);
    SKY_TRY(known == NULL ? unknown_key(f, schema, key, child)
                          : check_value(f, schema, known, child));
  }
  for (size_t i = 0; i < schema->n_keys; i++) {
    const char *name = sky_key_child(key, &schema->keys[i]);
    if (name == NULL || sky_node_child(map, name, strlen(name)) != NULL) continue;
    SKY_TRY(fill_in(f, schema, &schema->keys[i], name, map));
  }
  return SKY_OK;
}

sky_status sky_schema_check(sky_faults *f, const sky_schema *schema, sky_node *root) {
  return check_map(f, schema, NULL, root);
}
