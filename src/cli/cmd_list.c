/* cmd_list.c: `skyflux list TOPIC`: what this build knows, from the tables that it works with. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/inventory/factors.h"
#include "algorithms/sink/factors.h"
#include "grids/preset.h"
#include "src/cli/commands.h"
#include "src/core/memory.h"
#include "src/core/schema.h"
#include "src/core/species.h"
#include "src/job/stage.h"
#include "src/read/product.h"
#include "src/write/json_out.h"

#define COLUMNS_MAX 4

/* A topic fills rows of a few short texts; the first row is the header. */
typedef struct listing {
  sky_context *ctx;
  cJSON *rows; /* array of arrays of strings */
  bool failed;
} listing;

static void row(listing *l, const char *const *cell, size_t n) {
  cJSON *list = cJSON_CreateStringArray(cell, (int)n);
  if (list == NULL || !cJSON_AddItemToArray(l->rows, list)) {
    cJSON_Delete(list);
    l->failed = true;
  }
}

#define ROW(l, ...)                            \
  row((l), (const char *const[]){__VA_ARGS__}, \
      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void list_commands(listing *l) {
  ROW(l, "command", "what it does");
#define SKY_COMMAND(name, function, summary) ROW(l, #name, summary);
#include "src/cli/commands.def"
#undef SKY_COMMAND
}

static void list_methods(listing *l) {
  ROW(l, "method", "where", "what it does", "reference");
#define SKY_METHOD(id, where, what, reference) ROW(l, id, where, what, reference);
#include "src/cli/methods.def"
#undef SKY_METHOD
}

static void list_readers(listing *l) {
  ROW(l, "reader", "gases", "product");
  for (size_t i = 0; i < sky_reader_count(); i++) {
    const sky_reader *reader = sky_reader_at(i);
    sky_text gases = {.ctx = l->ctx};
    for (size_t k = 0; k < 4 && reader->gases[k] != NULL; k++) {
      sky_text_printf(&gases, "%s%s", k > 0 ? " " : "", reader->gases[k]);
    }
    char *text = sky_text_take(&gases);
    if (text == NULL)
      l->failed = true;
    else
      ROW(l, reader->id, text, reader->title);
    sky_free(text);
  }
}

static void list_gases(listing *l) {
  ROW(l, "gas", "formula", "unit", "source");
  for (size_t i = 0; i < sky_species_count(); i++) {
    const sky_species *s = sky_species_at(i);
    ROW(l, s->id, s->formula, s->column_unit, s->source);
  }
}

/* Every row of the factor tables, by the name that --allow-unverified takes. */
static void list_factors(listing *l) {
  const sky_factor_rules rules = {.factor_sd = NAN};
  sky_factors *f = NULL;
  sky_factor_row r;
  if (sky_factors_create(l->ctx, &rules, NULL, NULL, &f) != SKY_OK) {
    l->failed = true;
    return;
  }
  ROW(l, "factor", "value", "verified", "source");
  for (size_t i = 0; !l->failed && sky_factors_at(f, i, &r); i++) {
    if (r.value[0] == '\0') continue;
    char *name = sky_sprintf(l->ctx, "%s:%s:%s", r.table, r.key, r.edition);
    char *value = sky_sprintf(l->ctx, "%s %s", r.value, r.unit);
    char *source = sky_sprintf(l->ctx, "%s%s%s", r.name, r.name[0] != '\0' ? "; " : "", r.source);
    if (name == NULL || value == NULL || source == NULL)
      l->failed = true;
    else
      ROW(l, name, value, r.verified, source);
    sky_free(name);
    sky_free(value);
    sky_free(source);
  }
  sky_factors_free(f);
}

static void list_stages(listing *l) {
  size_t n;
  const sky_stage_kind *kinds = sky_stage_kinds(&n);
  ROW(l, "stage", "what", "job sections");
  for (size_t i = 0; i < n; i++)
    ROW(l, kinds[i].kind, kinds[i].doc, kinds[i].sections);
}

static void list_keys(listing *l) {
  const sky_schema *schema = sky_schema_job();
  ROW(l, "key", "what it takes", "default", "meaning");
  for (size_t i = 0; i < schema->n_keys; i++) {
    const sky_key *key = &schema->keys[i];
    char *words = sky_key_describe(l->ctx, key);
    const char *fallback = key->fallback == SKY_KEY_OPTIONAL              ? "-"
                           : strcmp(key->fallback, SKY_KEY_REQUIRED) == 0 ? "required"
                                                                          : key->fallback;
    if (words == NULL)
      l->failed = true;
    else
      ROW(l, key->path, words, fallback, key->doc);
    sky_free(words);
  }
}

static void list_legends(listing *l) {
  size_t n;
  const sky_legend_entry *entries = sky_legend_entries(&n);
  ROW(l, "legend", "codes", "product");
  for (size_t i = 0; i < n && !l->failed; i++) {
    sky_legend legend;
    char codes[24];
    l->failed = sky_legend_builtin(l->ctx, entries[i].id, &legend) != SKY_OK;
    if (l->failed) return;
    snprintf(codes, sizeof codes, "%zu", legend.n);
    ROW(l, entries[i].id, codes, entries[i].product);
    sky_legend_free(&legend);
  }
}

static void list_sink_sets(listing *l) {
  char **names = NULL;
  size_t n = 0;
  ROW(l, "set", "for");
  l->failed |= sky_sink_set_names(l->ctx, &names, &n) != SKY_OK;
  for (size_t i = 0; i < n; i++)
    ROW(l, names[i], "sink --factors");
  sky_free(names);
}

static void list_grids(listing *l) {
  static const char *const columns[] = {"id", "crs", "cell", "for"};
  const char *cell[4];
  sky_table *t = NULL;
  ROW(l, "grid", "crs", "cell", "for");
  l->failed |= sky_grid_presets(l->ctx, &t) != SKY_OK;
  for (size_t i = 0; t != NULL && i < sky_table_rows(t); i++) {
    for (size_t k = 0; k < 4; k++)
      cell[k] = sky_table_cell(t, i, sky_table_find(t, columns[k]));
    row(l, cell, 4);
  }
  sky_table_free(t);
}

static const struct topic {
  const char *name;
  void (*fill)(listing *l);
} topics[] = {{"readers", list_readers},     {"methods", list_methods}, {"stages", list_stages},
              {"gases", list_gases},         {"factors", list_factors}, {"legends", list_legends},
              {"sink-sets", list_sink_sets}, {"grids", list_grids},     {"keys", list_keys},
              {"commands", list_commands}};

#define N_TOPICS (sizeof topics / sizeof topics[0])

static const sky_cli_option options[] = {{"markdown", 0, NULL, "keys, readers: the reference page"},
                                         {NULL, 0, NULL, NULL}};

static const sky_cli_spec spec = {
    "list", "readers|methods|stages|gases|legends|factors|sink-sets|grids|keys|commands",
    "what this build reads, computes and understands", "skyflux list readers", options};

/* Columns but the last are as wide as their widest cell. */
static void print_table(const cJSON *rows) {
  size_t width[COLUMNS_MAX] = {0};
  const cJSON *line, *cell;
  cJSON_ArrayForEach(line, rows) {
    size_t c = 0;
    cJSON_ArrayForEach(cell, line) {
      const size_t n = strlen(cell->valuestring);
      if (n > width[c]) width[c] = n;
      c++;
    }
  }
  cJSON_ArrayForEach(line, rows) {
    size_t c = 0;
    cJSON_ArrayForEach(cell, line) {
      printf("%-*s%s", cell->next == NULL ? 0 : (int)width[c], cell->valuestring,
             cell->next == NULL ? "\n" : "  ");
      c++;
    }
  }
}

/* [{"reader": "acos-lite", …}, …] */
static sky_status print_json(sky_context *ctx, const cJSON *rows) {
  cJSON *list = cJSON_CreateArray();
  const cJSON *head = cJSON_GetArrayItem(rows, 0), *line;
  for (line = head->next; line != NULL; line = line->next) {
    cJSON *item = cJSON_CreateObject();
    const cJSON *name = head->child;
    for (const cJSON *cell = line->child; cell != NULL; cell = cell->next, name = name->next) {
      cJSON_AddStringToObject(item, name->valuestring, cell->valuestring);
    }
    cJSON_AddItemToArray(list, item);
  }
  char *text = sky_json_text(ctx, list, true);
  cJSON_Delete(list);
  if (text == NULL) return SKY_E_NOMEM;
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static sky_status print_topic(sky_context *ctx, const struct topic *topic, bool json) {
  listing l = {ctx, cJSON_CreateArray(), false};
  if (l.rows == NULL) return sky_fail(ctx, SKY_E_NOMEM, "out of memory: list of %s", topic->name);
  topic->fill(&l);
  sky_status st =
      l.failed ? sky_fail(ctx, SKY_E_NOMEM, "out of memory: list of %s", topic->name) : SKY_OK;
  if (st == SKY_OK && json) st = print_json(ctx, l.rows);
  if (st == SKY_OK && !json) print_table(l.rows);
  cJSON_Delete(l.rows);
  return st;
}

static sky_status print_markdown(sky_context *ctx, const char *topic) {
  char *text = NULL;
  if (strcmp(topic, "keys") == 0) {
    text = sky_schema_markdown(ctx);
    if (text == NULL) return SKY_E_NOMEM;
  } else if (strcmp(topic, "readers") == 0) {
    SKY_TRY(sky_readers_document(ctx, &text));
  } else {
    return sky_fail(ctx, SKY_E_USAGE, "list: %s has no reference page (keys and readers have)",
                    topic);
  }
  fputs(text, stdout);
  sky_free(text);
  return SKY_OK;
}

static sky_status set_markdown(sky_context *ctx, void *user, const char *name, const char *value) {
  (void)ctx;
  (void)name;
  (void)value;
  *(bool *)user = true;
  return SKY_OK;
}

sky_status sky_cmd_list(sky_context *ctx, int argc, char **argv) {
  sky_cli_common common;
  bool markdown = false;
  SKY_TRY(sky_cli_parse(ctx, &spec, argc, argv, set_markdown, &markdown, &common));
  if (common.help_shown) return SKY_OK;
  if (common.n_args != 1)
    return sky_fail(ctx, SKY_E_USAGE,
                    "list: expected one topic: readers, methods, stages, gases, legends, factors, "
                    "sink-sets, grids, keys or commands");
  const char *word = common.args[0], *names[N_TOPICS];
  for (size_t i = 0; i < N_TOPICS; i++) {
    names[i] = topics[i].name;
    if (strcmp(names[i], word) != 0) continue;
    return markdown ? print_markdown(ctx, word) : print_topic(ctx, &topics[i], common.json);
  }
  const char *near = sky_text_nearest(word, names, N_TOPICS);
  return sky_fail(ctx, SKY_E_USAGE, "list: unknown topic '%s'%s%s%s", word,
                  near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                  near != NULL ? "'?" : "");
}
