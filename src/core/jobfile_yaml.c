/* jobfile_yaml.c: from YAML text to a tree with line numbers; --set and ${name}.
 *
 * The YAML of a job file is the plain part of YAML 1.1: maps, lists and scalars. Anchors, aliases,
 * tags and several documents are refused, because what they do is not visible where the value
 * stands. Scalars stay text here; the schema gives them a type. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "src/core/memory.h"
#include "src/core/schema.h"
#include "src/core/text.h"

#define DEPTH_MAX 16               /* the schema is 4 deep */
#define SCALAR_MAX ((size_t)65536) /* also stops variables that double each other */

/* ---- events ---- */

typedef struct loader {
  sky_faults *f;
  const char *set; /* the --set that the text comes from; NULL: the file */
  yaml_parser_t parser;
  bool broken; /* the text cannot be read further; the fault is noted */
} loader;

static int line_of(yaml_mark_t mark) {
  return (int)mark.line + 1;
}

static SKY_PRINTF(3, 4) sky_status load_fault(loader *l, yaml_mark_t mark, const char *fmt, ...) {
  char message[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(message, sizeof message, fmt, ap);
  va_end(ap);
  if (l->set != NULL) return sky_fault_line(l->f, -1, "'%s': %s", l->set, message);
  return sky_fault_line(l->f, line_of(mark), "%s", message);
}

/* libyaml tells some misplaced tabs only by their effect. */
static bool tab_at(const yaml_parser_t *p) {
  if (p->error != YAML_SCANNER_ERROR || p->problem == NULL) return false;
  if (strstr(p->problem, "tab character") != NULL) return true;
  return strstr(p->problem, "cannot start any token") != NULL && p->buffer.pointer != NULL &&
         p->buffer.pointer < p->buffer.last && *p->buffer.pointer == '\t';
}

static sky_status syntax_fault(loader *l) {
  const yaml_parser_t *p = &l->parser;
  l->broken = true;
  if (p->error == YAML_MEMORY_ERROR) {
    return sky_fail(l->f->ctx, SKY_E_NOMEM, "out of memory: YAML of %s", l->f->file);
  }
  if (tab_at(p)) return load_fault(l, p->problem_mark, "a tab stands where only spaces may");
  const char *problem = p->problem == NULL ? "not YAML" : p->problem;
  if (p->context == NULL) return load_fault(l, p->problem_mark, "%s", problem);
  return load_fault(l, p->problem_mark, "%s %s that starts at line %d", problem, p->context,
                    line_of(p->context_mark));
}

static sky_status next(loader *l, yaml_event_t *event) {
  if (yaml_parser_parse(&l->parser, event)) return SKY_OK;
  memset(event, 0, sizeof *event);
  return syntax_fault(l);
}

/* Anchors, tags: a fault each; the node itself is read as if they were not there. */
static sky_status refuse_marks(loader *l, const yaml_event_t *e) {
  const yaml_char_t *anchor = NULL, *tag = NULL;
  if (e->type == YAML_SCALAR_EVENT) {
    anchor = e->data.scalar.anchor;
    tag = e->data.scalar.tag;
  } else if (e->type == YAML_SEQUENCE_START_EVENT) {
    anchor = e->data.sequence_start.anchor;
    tag = e->data.sequence_start.tag;
  } else if (e->type == YAML_MAPPING_START_EVENT) {
    anchor = e->data.mapping_start.anchor;
    tag = e->data.mapping_start.tag;
  }
  if (anchor != NULL) {
    SKY_TRY(load_fault(l, e->start_mark, "anchor '&%s' is not supported; use vars and ${name}",
                       (const char *)anchor));
  }
  if (tag != NULL) {
    SKY_TRY(load_fault(l, e->start_mark, "tag '%s' is not supported; the key decides the type",
                       (const char *)tag));
  }
  return SKY_OK;
}

/* Reads the node that begins with e below parent (under key, or as an item); *out is NULL when
 * there is a fault instead of a node. Without a parent the caller owns it. */
static sky_status load_node(loader *l, const yaml_event_t *e, int depth, sky_node *parent,
                            const char *key, sky_node **out);

static sky_status load_list(loader *l, int depth, sky_node *list) {
  for (;;) {
    yaml_event_t e;
    sky_node *item = NULL;
    SKY_TRY(next(l, &e));
    if (l->broken) return SKY_OK;
    const bool end = e.type == YAML_SEQUENCE_END_EVENT;
    const sky_status st = end ? SKY_OK : load_node(l, &e, depth + 1, list, NULL, &item);
    yaml_event_delete(&e);
    if (st != SKY_OK || end || l->broken) return st;
  }
}

static sky_status duplicate(loader *l, sky_node *map, int line, const char *name, int first) {
  if (l->set != NULL) return sky_fault_key(l->f, map, name, "duplicate key");
  const int own = map->line;
  map->line = line; /* the fault stands at the key, not where its map begins */
  const sky_status st = sky_fault_key(l->f, map, name, "duplicate key, first at line %d", first);
  map->line = own;
  return st;
}

/* A key and its value. A second value of the same key is read, reported and dropped. */
static sky_status load_member(loader *l, int depth, sky_node *map, const yaml_event_t *key) {
  const int line = l->set != NULL ? 0 : line_of(key->start_mark);
  if (key->type != YAML_SCALAR_EVENT) {
    l->broken = true; /* what follows cannot be placed */
    return load_fault(l, key->start_mark, "a key must be one word");
  }
  const char *name = (const char *)key->data.scalar.value;
  const size_t length = key->data.scalar.length;
  if (length == 0 || strlen(name) != length) {
    l->broken = true;
    return load_fault(l, key->start_mark, "a key has no name");
  }
  SKY_TRY(refuse_marks(l, key));
  yaml_event_t e;
  SKY_TRY(next(l, &e));
  if (l->broken) return SKY_OK;
  const sky_node *first = sky_node_child(map, name, length);
  sky_node *value = NULL;
  sky_status st = load_node(l, &e, depth + 1, first == NULL ? map : NULL, name, &value);
  yaml_event_delete(&e);
  if (st == SKY_OK && value != NULL) value->line = line;
  if (first == NULL) return st;
  sky_node_free(value);
  return st == SKY_OK ? duplicate(l, map, line, name, first->line) : st;
}

static sky_status load_map(loader *l, int depth, sky_node *map) {
  for (;;) {
    yaml_event_t key;
    SKY_TRY(next(l, &key));
    if (l->broken) return SKY_OK;
    const bool end = key.type == YAML_MAPPING_END_EVENT;
    const sky_status st = end ? SKY_OK : load_member(l, depth, map, &key);
    yaml_event_delete(&key);
    if (st != SKY_OK || end || l->broken) return st;
  }
}

static sky_status load_scalar(loader *l, const yaml_event_t *e, sky_node *node) {
  node->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  node->text = SKY_NEW(l->f->ctx, char, e->data.scalar.length + 1);
  if (node->text == NULL) return SKY_E_NOMEM;
  memcpy(node->text, e->data.scalar.value, e->data.scalar.length + 1);
  if (strlen(node->text) != e->data.scalar.length) {
    return load_fault(l, e->start_mark, "a text holds a NUL character");
  }
  return SKY_OK;
}

static sky_status load_node(loader *l, const yaml_event_t *e, int depth, sky_node *parent,
                            const char *key, sky_node **out) {
  *out = NULL;
  if (e->type == YAML_ALIAS_EVENT) {
    return load_fault(l, e->start_mark,
                      "alias '*%s' is not supported; use vars and ${name}, or quotes if the text "
                      "begins with '*'",
                      (const char *)e->data.alias.anchor);
  }
  if (depth > DEPTH_MAX) {
    l->broken = true;
    return load_fault(l, e->start_mark, "nested more than %d deep", DEPTH_MAX);
  }
  SKY_TRY(refuse_marks(l, e));
  const sky_node_kind kind = e->type == YAML_SCALAR_EVENT           ? SKY_NODE_SCALAR
                             : e->type == YAML_SEQUENCE_START_EVENT ? SKY_NODE_LIST
                                                                    : SKY_NODE_MAP;
  sky_node *node = NULL;
  SKY_TRY(sky_node_create(l->f->ctx, kind, &node));
  node->origin = l->set != NULL ? SKY_FROM_SET : SKY_FROM_FILE;
  node->line = l->set != NULL ? 0 : line_of(e->start_mark);
  /* Below its parent first, so that faults inside know their path. */
  if (parent != NULL) SKY_TRY(sky_node_append(l->f->ctx, parent, key, node));
  const sky_status st = kind == SKY_NODE_SCALAR ? load_scalar(l, e, node)
                        : kind == SKY_NODE_LIST ? load_list(l, depth, node)
                                                : load_map(l, depth, node);
  if (st == SKY_OK) {
    *out = node;
  } else if (parent == NULL) {
    sky_node_free(node);
  }
  return st;
}

/* The stream: start, one document, end. */
static sky_status load_stream(loader *l, sky_node **root) {
  bool done = false;
  while (!done && !l->broken) {
    yaml_event_t e;
    sky_status st = SKY_OK;
    SKY_TRY(next(l, &e));
    if (l->broken) return SKY_OK;
    switch (e.type) {
      case YAML_STREAM_START_EVENT:
      case YAML_DOCUMENT_END_EVENT:
        break;
      case YAML_STREAM_END_EVENT:
        done = true;
        break;
      case YAML_DOCUMENT_START_EVENT:
        if (*root == NULL) break;
        l->broken = true;
        st = load_fault(l, e.start_mark, "a second document begins; a job is one document");
        break;
      default:
        st = load_node(l, &e, 1, NULL, NULL, root);
    }
    yaml_event_delete(&e);
    SKY_TRY(st);
  }
  return SKY_OK;
}

sky_status sky_yaml_load(sky_faults *f, const char *text, size_t length, const char *set,
                         sky_node **root) {
  loader l = {.f = f, .set = set};
  unsigned byte = 0;
  *root = NULL;
  const int bad = sky_text_bad_utf8(text, length, &byte);
  if (bad > 0) return sky_fault_line(f, bad, "not UTF-8 (byte 0x%02x)", byte);
  if (!yaml_parser_initialize(&l.parser)) {
    return sky_fail(f->ctx, SKY_E_NOMEM, "out of memory: YAML of %s", f->file);
  }
  yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&l.parser, (const unsigned char *)text, length);
  sky_node *tree = NULL;
  sky_status st = load_stream(&l, &tree);
  yaml_parser_delete(&l.parser);
  if (st == SKY_OK && tree == NULL && !l.broken && (set != NULL || f->n == 0)) {
    st = set != NULL ? sky_fault_line(f, -1, "'%s': has no value", set)
                     : sky_fault_line(f, 0, "empty");
  }
  if (st != SKY_OK || l.broken) { /* half a tree would bring faults that are none */
    sky_node_free(tree);
    return st;
  }
  *root = tree;
  return SKY_OK;
}

/* ---- --set ---- */

typedef struct setter {
  sky_faults *f;
  const sky_schema *schema;
  const char *set; /* "grid.cell=2 km" */
  const char *equals;
} setter;

static sky_status new_scalar(sky_context *ctx, const char *text, sky_node **out) {
  SKY_TRY(sky_node_create(ctx, SKY_NODE_SCALAR, out));
  (*out)->origin = SKY_FROM_SET;
  (*out)->text = sky_strdup(ctx, text);
  if ((*out)->text != NULL) return SKY_OK;
  sky_node_free(*out);
  *out = NULL;
  return SKY_E_NOMEM;
}

/* Puts value in the place of old, or behind the others. Takes value over. */
static sky_status put(sky_context *ctx, sky_node *parent, const char *key, sky_node *old,
                      sky_node *value) {
  if (old == NULL) return sky_node_append(ctx, parent, key, value);
  value->key = old->key;
  old->key = NULL;
  value->parent = parent;
  parent->child[sky_node_index(old)] = value;
  sky_node_free(old);
  return SKY_OK;
}

/* Text for a scalar key; for lists and maps YAML, as in the file. */
static sky_status make_value(setter *s, const sky_key *key, bool item, sky_node **out) {
  const char *text = s->equals + 1;
  const bool list = sky_key_is_list(key->type) && !item;
  if (!list && (key->type != SKY_KEY_MAP && key->type != SKY_KEY_MAPS)) {
    return new_scalar(s->f->ctx, text, out);
  }
  return sky_yaml_load(s->f, text, strlen(text), s->set, out);
}

static sky_status unknown_segment(setter *s, const sky_key *parent, const char *name,
                                  const char *at) {
  const char *names[128];
  size_t n = 0;
  for (size_t i = 0; i < s->schema->n_keys && n < 128; i++) {
    const char *child = sky_key_child(parent, &s->schema->keys[i]);
    if (child != NULL) names[n++] = child;
  }
  const char *near = sky_text_nearest(name, names, n);
  return sky_fault_line(s->f, -1, "%.*s: unknown key%s%s%s", (int)(at - s->set) - (at[-1] == '.'),
                        s->set, near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                        near != NULL ? "'?" : "");
}

/* The next segment of the path: "name" or "[3]". False if it is malformed. */
static bool segment(const char **p, const char *end, char name[64], size_t *index, bool *is_index) {
  const char *q = *p;
  *is_index = *q == '[';
  if (*is_index) {
    size_t i = 0;
    for (q++; q < end && *q >= '0' && *q <= '9' && i < 100000; q++)
      i = 10 * i + (size_t)(*q - '0');
    if (q == *p + 1 || q >= end || *q != ']') return false;
    *index = i;
    q++;
  } else {
    const size_t n = strcspn(q, ".[=");
    if (n == 0 || n >= 64) return false;
    memcpy(name, q, n);
    name[n] = '\0';
    q += n;
  }
  if (q < end && *q == '.') {
    q++;
    if (q == end) return false;
  } else if (q < end && *q != '[') {
    return false;
  }
  *p = q;
  return true;
}

typedef struct cursor { /* where a path has led so far */
  sky_node *node;       /* map or list to look in */
  const sky_key *key;   /* its schema; NULL at the root */
} cursor;

/* Node of the segment below c, made if needed; the last segment gets the value. */
static sky_status step(setter *s, cursor *c, const char *name, size_t index, bool is_index,
                       const char *at, bool *stop) {
  sky_context *ctx = s->f->ctx;
  const bool last = at == s->equals;
  const int shown = (int)(at - s->set) - (at[-1] == '.');
  *stop = true;
  const bool in_list = c->node->kind == SKY_NODE_LIST;
  const sky_key *key = c->key;
  if (in_list != is_index || c->node->kind == SKY_NODE_SCALAR) {
    return sky_fault_line(s->f, -1, "%.*s: %s", shown, s->set,
                          in_list    ? "expected an index such as [0]"
                          : is_index ? "an index needs a list"
                                     : "there are no keys below a value");
  }
  sky_node *old = NULL;
  if (in_list) {
    if (index > c->node->n_child) {
      return sky_fault_line(s->f, -1, "%.*s: the list has %zu item%s", shown, s->set,
                            c->node->n_child, c->node->n_child == 1 ? "" : "s");
    }
    old = index < c->node->n_child ? c->node->child[index] : NULL;
  } else {
    key = sky_key_find(s->schema, c->key, name);
    if (key == NULL) return unknown_segment(s, c->key, name, at);
    old = sky_node_child(c->node, name, strlen(name));
  }
  sky_node *value = NULL;
  if (last) {
    SKY_TRY(make_value(s, key, in_list, &value));
    return value == NULL ? SKY_OK : put(ctx, c->node, in_list ? NULL : name, old, value);
  }
  if (old == NULL) { /* maps and lists on the way are made */
    const bool list = !in_list && (key->type == SKY_KEY_MAPS || sky_key_is_list(key->type));
    SKY_TRY(sky_node_create(ctx, list ? SKY_NODE_LIST : SKY_NODE_MAP, &value));
    value->origin = SKY_FROM_SET;
    SKY_TRY(sky_node_append(ctx, c->node, in_list ? NULL : name, value));
    old = value;
  }
  *c = (cursor){old, key};
  *stop = false;
  return SKY_OK;
}

static sky_status set_key(setter *s, sky_node *root) {
  cursor c = {root, NULL};
  bool stop = false;
  for (const char *p = s->set; !stop;) {
    char name[64];
    size_t index = 0;
    bool is_index = false;
    if (!segment(&p, s->equals, name, &index, &is_index)) {
      return sky_fault_line(s->f, -1, "'%s' is not KEY=VALUE (expected e.g. 'grid.cell=2 km')",
                            s->set);
    }
    SKY_TRY(step(s, &c, name, index, is_index, p, &stop));
    if (p == s->equals) return SKY_OK;
  }
  return SKY_OK;
}

static sky_status set_variable(setter *s, sky_node *root) {
  sky_context *ctx = s->f->ctx;
  sky_node *vars = sky_node_child(root, "vars", 4), *value = NULL;
  if (vars != NULL && vars->kind != SKY_NODE_MAP) return SKY_OK; /* the schema will tell */
  if (vars == NULL) {
    SKY_TRY(sky_node_create(ctx, SKY_NODE_MAP, &vars));
    vars->origin = SKY_FROM_SET;
    SKY_TRY(sky_node_append(ctx, root, "vars", vars));
  }
  char *name = sky_sprintf(ctx, "%.*s", (int)(s->equals - s->set), s->set);
  if (name == NULL) return SKY_E_NOMEM;
  sky_node *old = sky_node_child(vars, name, strlen(name));
  sky_status st = new_scalar(ctx, s->equals + 1, &value);
  if (st == SKY_OK) {
    value->used = old != NULL; /* a variable of the job need not be used */
    st = put(ctx, vars, name, old, value);
    if (st == SKY_OK && old == NULL) { /* first, so that the variables of the job may use it */
      memmove(vars->child + 1, vars->child, (vars->n_child - 1) * sizeof *vars->child);
      vars->child[0] = value;
    }
  }
  sky_free(name);
  return st;
}

/* NAME=VALUE sets a variable unless NAME is a key of the schema. */
sky_status sky_yaml_sets(sky_faults *f, const sky_schema *schema, sky_node *root,
                         const char *const *sets, size_t n_sets) {
  for (size_t i = 0; i < n_sets; i++) {
    setter s = {f, schema, sets[i], strchr(sets[i], '=')};
    const size_t length = s.equals == NULL ? 0 : (size_t)(s.equals - s.set);
    unsigned byte = 0;
    if (sky_text_bad_utf8(s.set, strlen(s.set), &byte) > 0) {
      SKY_TRY(sky_fault_line(f, -1, "not UTF-8 (byte 0x%02x)", byte));
      continue;
    }
    if (length == 0) {
      SKY_TRY(
          sky_fault_line(f, -1, "'%s' is not KEY=VALUE (expected e.g. 'grid.cell=2 km')", s.set));
      continue;
    }
    bool key = memchr(s.set, '.', length) != NULL || memchr(s.set, '[', length) != NULL;
    for (size_t k = 0; !key && k < schema->n_keys; k++) {
      const char *path = schema->keys[k].path;
      key = strlen(path) == length && strncmp(path, s.set, length) == 0;
    }
    SKY_TRY(key ? set_key(&s, root) : set_variable(&s, root));
  }
  return SKY_OK;
}

/* ---- variables ---- */

static bool is_name(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const char c = s[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (i == 0 || c < '0' || c > '9')) return false;
  }
  return n > 0;
}

static sky_status undefined(sky_faults *f, const sky_node *node, const sky_node *vars,
                            const char *name, size_t length, size_t n_known) {
  const char *names[128];
  size_t n = 0;
  for (size_t i = 0; i < n_known && n < 128; i++)
    names[n++] = vars->child[i]->key;
  char word[64] = "";
  if (length < sizeof word) memcpy(word, name, length);
  const char *near = sky_text_nearest(word, names, n);
  return sky_fault_at(f, node, "variable '%.*s' is not defined%s%s%s", (int)length, name,
                      near != NULL ? "; did you mean '" : " (give it under vars or with --set)",
                      near != NULL ? near : "", near != NULL ? "'?" : "");
}

/* One scalar: replaces ${name} by the first n_known variables; "$${" stands for "${". */
static sky_status substitute(sky_faults *f, const sky_node *vars, size_t n_known, sky_node *node) {
  if (strstr(node->text, "${") == NULL) return SKY_OK;
  sky_text t = {.ctx = f->ctx};
  const char *p = node->text, *dollar;
  sky_status st = SKY_OK;
  while ((dollar = strstr(p, "${")) != NULL && st == SKY_OK) {
    if (dollar > p && dollar[-1] == '$') {
      sky_text_add(&t, p, (size_t)(dollar - p) - 1);
      sky_text_put(&t, "${");
      p = dollar + 2;
      continue;
    }
    sky_text_add(&t, p, (size_t)(dollar - p));
    const char *name = dollar + 2;
    const size_t length = strcspn(name, "}");
    if (name[length] == '\0' || !is_name(name, length)) {
      st = sky_fault_at(f, node, "'${%.*s' is not ${name} (write $${ for a plain ${)", (int)length,
                        name);
      p = name;
      continue;
    }
    p = name + length + 1;
    sky_node *var = NULL;
    for (size_t i = 0; i < n_known && var == NULL; i++) {
      const char *key = vars->child[i]->key;
      if (strlen(key) == length && strncmp(key, name, length) == 0) var = vars->child[i];
    }
    if (var == NULL) {
      st = undefined(f, node, vars, name, length, n_known);
    } else if (var->kind == SKY_NODE_SCALAR) {
      var->used = true;
      sky_text_put(&t, var->text);
    }
    if (t.length > SCALAR_MAX) {
      st = sky_fault_at(f, node, "more than %zu characters after ${…}", SCALAR_MAX);
      break;
    }
  }
  sky_text_put(&t, p);
  char *text = sky_text_take(&t);
  if (text == NULL) return SKY_E_NOMEM;
  sky_free(node->text);
  node->text = text;
  return st;
}

static sky_status substitute_below(sky_faults *f, const sky_node *vars, sky_node *node) {
  if (node->kind == SKY_NODE_SCALAR) {
    return substitute(f, vars, vars == NULL ? 0 : vars->n_child, node);
  }
  for (size_t i = 0; i < node->n_child; i++) {
    if (node->child[i] != vars) SKY_TRY(substitute_below(f, vars, node->child[i]));
  }
  return SKY_OK;
}

/* A --set that reached nothing is most likely a misspelt name. */
static sky_status unused_sets(sky_faults *f, const sky_node *vars) {
  for (size_t i = 0; i < vars->n_child; i++) {
    const sky_node *var = vars->child[i];
    if (var->origin != SKY_FROM_SET || var->used) continue;
    const char *names[128];
    size_t n = 0;
    for (size_t k = 0; k < vars->n_child && n < 128; k++) {
      if (vars->child[k]->origin == SKY_FROM_FILE || vars->child[k]->used) {
        names[n++] = vars->child[k]->key;
      }
    }
    const char *near = sky_text_nearest(var->key, names, n);
    SKY_TRY(sky_fault_line(f, -1, "%s: no key and no variable of the job has this name%s%s%s",
                           var->key, near != NULL ? "; did you mean '" : "",
                           near != NULL ? near : "", near != NULL ? "'?" : ""));
  }
  return SKY_OK;
}

sky_status sky_yaml_substitute(sky_faults *f, sky_node *root) {
  sky_node *vars = sky_node_child(root, "vars", 4);
  if (vars != NULL && vars->kind != SKY_NODE_MAP) vars = NULL;
  /* A variable may use those above it. */
  for (size_t i = 0; vars != NULL && i < vars->n_child; i++) {
    if (vars->child[i]->kind == SKY_NODE_SCALAR) {
      SKY_TRY(substitute(f, vars, i, vars->child[i]));
    }
  }
  SKY_TRY(substitute_below(f, vars, root));
  return vars == NULL ? SKY_OK : unused_sets(f, vars);
}
