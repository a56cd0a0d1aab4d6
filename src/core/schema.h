/* schema.h: the job-file machine from the inside (private to src/core and to `skyflux list keys`).
 *
 * A schema is two const tables: keys (schema.def) and rules that join keys. Loading goes
 *   text -> tree (jobfile_yaml.c) -> --set and ${name} (jobfile_yaml.c) -> types, unknown keys,
 *   defaults (jobfile_check.c) -> rules (jobfile_rules.c)
 * and every step appends to one list of faults, so that a user sees all of them at once. A function
 * that returns sky_status here fails for want of memory or of the unit database only: what the user
 * did wrong is a fault. */
#ifndef SKY_CORE_SCHEMA_H
#define SKY_CORE_SCHEMA_H

#include "src/core/jobfile.h"
#include "src/core/text.h"

/* ---- the tables ---- */

typedef enum sky_key_type {
  SKY_KEY_MAP,    /* keys below it */
  SKY_KEY_MAPS,   /* list of such maps; the keys of an item are "path[].key" */
  SKY_KEY_VARS,   /* map of free names: the variables of ${name} */
  SKY_KEY_TEXT,   /* any text that is not empty */
  SKY_KEY_ID,     /* letters, digits, '_', '-', '.' */
  SKY_KEY_CHOICE, /* one of the words in `unit`, separated by '|' */
  SKY_KEY_GAS,    /* a gas of species.csv */
  SKY_KEY_BOOL,   /* true or false */
  SKY_KEY_INTEGER,
  SKY_KEY_NUMBER,
  SKY_KEY_QUANTITY, /* number and unit. `unit`: "m", or alternatives "degree|m" (a bare number is in
                       the first), or a word "=prior_column|mol mol-1" */
  SKY_KEY_DATE,
  SKY_KEY_INPUT,  /* file or pattern that is read */
  SKY_KEY_OUTPUT, /* path that is written */
  SKY_KEY_GASES,  /* lists of the scalars above; min and max count the items */
  SKY_KEY_NUMBERS,
  SKY_KEY_INPUTS,
  SKY_KEY_TEXTS
} sky_key_type;

typedef struct sky_key {
  const char *path;
  sky_key_type type;
  const char *unit;     /* unit, choices, or NULL */
  double min, max;      /* legal range in the (first) unit, or number of items */
  const char *fallback; /* SKY_KEY_REQUIRED, SKY_KEY_OPTIONAL, or the default as a user writes it;
                           a map with the default "{}" is always present */
  bool shown;           /* active in the template; else there, but commented out */
  const char *example;  /* its value in the template */
  const char *doc;      /* one sentence */
} sky_key;

#define SKY_KEY_REQUIRED "!"
#define SKY_KEY_OPTIONAL NULL
#define SKY_KEY_POSITIVE 4.9406564584124654e-324 /* as min: greater than 0 */

typedef struct sky_faults sky_faults;

/* Looks at the whole validated tree and adds faults. */
typedef sky_status (*sky_job_rule_fn)(const sky_node *root, sky_faults *faults);
typedef struct sky_job_rule {
  sky_job_rule_fn check;
  const char *doc; /* for the reference page */
} sky_job_rule;

typedef struct sky_schema {
  const sky_key *keys;
  size_t n_keys;
  const sky_job_rule *rules; /* ends with a NULL check */
} sky_schema;

const sky_schema *sky_schema_job(void);
const sky_schema *sky_schema_products(void); /* the section `products` alone */
extern const sky_job_rule sky_job_rules[]; /* ends with a NULL check */

/* Name of key below parent (NULL = top level), or NULL if it is not a direct child. */
const char *sky_key_child(const sky_key *parent, const sky_key *key);
/* Direct child by name; NULL if unknown. */
const sky_key *sky_key_find(const sky_schema *schema, const sky_key *parent, const char *name);
bool sky_key_is_list(sky_key_type type);
sky_key_type sky_key_item_type(sky_key_type list); /* GASES -> GAS … */
/* "length or angle (bare number: degree)", "one of a, b", … malloc'd. */
char *sky_key_describe(sky_context *ctx, const sky_key *key);
/* Noun and example of a unit of the schema ("mol mol-1": "mole fraction", "20 ppb"). */
const char *sky_unit_noun(const char *unit);
const char *sky_unit_example(const char *unit);
/* i-th part of "a|b|c": its start and length; false if there is none. */
bool sky_choice_at(const char *choices, size_t i, const char **start, size_t *length);

/* ---- the tree ---- */

typedef enum sky_node_kind { SKY_NODE_SCALAR, SKY_NODE_MAP, SKY_NODE_LIST } sky_node_kind;
typedef enum sky_origin { SKY_FROM_FILE, SKY_FROM_SET, SKY_FROM_DEFAULT } sky_origin;

struct sky_node {
  sky_node_kind kind;
  sky_origin origin;
  int line;
  bool plain; /* a scalar without quotes */
  bool used;  /* a variable that something refers to */
  bool valid; /* type and range have been found right */
  char *key;  /* name in the parent map; NULL for items and the root */
  char *text; /* scalar */
  sky_node *parent;
  sky_node **child;
  size_t n_child, capacity;
  const sky_key *schema; /* of a map or of a scalar (an item has its list's) */
  double number;         /* in the schema's unit; seconds since 1970 of a date */
  int64_t integer;
  bool boolean;
  const char *unit; /* unit of number for quantities; owned by the schema (first bytes) */
  size_t unit_length;
};

struct sky_jobfile {
  char *path;
  const sky_schema *schema;
  sky_node *root;
};

sky_status sky_node_create(sky_context *ctx, sky_node_kind kind, sky_node **out);
void sky_node_free(sky_node *node); /* NULL-safe, with everything below it */
/* Takes child over, also when it fails. key is copied; NULL for a list item. */
sky_status sky_node_append(sky_context *ctx, sky_node *parent, const char *key, sky_node *child);
/* Child of a map by its name (length bytes); NULL if absent. */
sky_node *sky_node_child(const sky_node *map, const char *name, size_t length);
size_t sky_node_index(const sky_node *node); /* in its parent */

/* ---- faults ---- */

struct sky_faults {
  sky_context *ctx;
  const char *file;
  size_t n, capacity;
  struct sky_fault {
    int line; /* -1: --set */
    size_t order;
    char *text;
  } * item;
};

/* "file:line: path: message". */
SKY_NODISCARD sky_status sky_fault_at(sky_faults *f, const sky_node *node, const char *fmt, ...)
    SKY_PRINTF(3, 4);
/* The same for a key of the map `node` that is not there. */
SKY_NODISCARD sky_status sky_fault_key(sky_faults *f, const sky_node *node, const char *key,
                                       const char *fmt, ...) SKY_PRINTF(4, 5);
/* "file:line: message"; line 0: "file: message"; line -1: "--set: message". */
SKY_NODISCARD sky_status sky_fault_line(sky_faults *f, int line, const char *fmt, ...)
    SKY_PRINTF(3, 4);
void sky_faults_free(sky_faults *f);
/* SKY_OK if there are none; else all of them, by line, as this thread's error. */
SKY_NODISCARD sky_status sky_faults_report(sky_faults *f);

/* ---- the steps ---- */

/* *root is NULL when the text cannot become a tree (then there is a fault). set: the --set that the
 * text is the value of; NULL: the file. */
SKY_NODISCARD sky_status sky_yaml_load(sky_faults *f, const char *text, size_t length,
                                       const char *set, sky_node **root);
SKY_NODISCARD sky_status sky_yaml_sets(sky_faults *f, const sky_schema *schema, sky_node *root,
                                       const char *const *sets, size_t n_sets);
SKY_NODISCARD sky_status sky_yaml_substitute(sky_faults *f, sky_node *root);
SKY_NODISCARD sky_status sky_schema_check(sky_faults *f, const sky_schema *schema, sky_node *root);

/* sky_jobfile_parse against any schema. */
SKY_NODISCARD sky_status sky_schema_parse(sky_context *ctx, const sky_schema *schema,
                                          const char *name, const char *text, size_t length,
                                          const char *const *sets, size_t n_sets,
                                          sky_jobfile **out);

#endif
