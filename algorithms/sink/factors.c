/* factors.c: from rows of factor tables to pools.
 *
 * Invariant: one table row is one factor, however many classes use it, so its error is
 * shared. The spread between competing defaults (role growth_other; IPCC 2019 Tables 4.9 and 4.12
 * disagree up to 3.6 times, and the age of a standing forest is not known from a map) widens the
 * error of the growth as a uniform distribution would: sd² + (max - min)²/12. */
#include "algorithms/sink/factors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "algorithms/sink/root_shoot.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"

#define SETS_FILE "sink_sets.csv"

typedef enum role {
  ROLE_NONE = 0,
  ROLE_AGB,
  ROLE_ROOT,
  ROLE_CF,
  ROLE_LITTER,
  ROLE_DEAD_WOOD,
  ROLE_GROWTH,
  ROLE_GROWTH_YOUNG,
  ROLE_GROWTH_OTHER,
  ROLE_BIOMASS,
  ROLE_BIOMASS_CARBON,
  ROLE_ECOSYSTEM,
  ROLE_SOC,
  ROLE_LAND_USE,
  ROLE_TILLAGE,
  ROLE_INPUT,
  ROLE_GRAZING,
  ROLE_NET_FLUX,
  ROLE_COUNT
} role;

static const struct {
  const char *name;
  bool stock, growth; /* what it is needed for */
} roles[ROLE_COUNT] = {{"none", false, false},          {"agb", true, false},
                       {"root_shoot", true, true},      {"carbon_fraction", true, true},
                       {"litter", true, false},         {"dead_wood", true, false},
                       {"growth", false, true},         {"growth_young", true, true},
                       {"growth_other", false, true},   {"biomass", true, false},
                       {"biomass_carbon", true, false}, {"ecosystem_carbon", true, false},
                       {"soc_reference", true, false},  {"land_use", true, false},
                       {"tillage", true, false},        {"input", true, false},
                       {"grazing", true, false},        {"net_flux", false, true}};

typedef struct loader {
  sky_context *ctx;
  const sky_sink_need *need;
  sky_sink_set *set;
  sky_table *sets;
  sky_factor_rows rows;
  size_t of[ROLE_COUNT];       /* factors of the class at hand, SIZE_MAX = none */
  size_t primary;              /* growth of primary forest */
  size_t age[SKY_FOREST_AGES]; /* shares of forest */
  size_t root_row;             /* of the sets */
} loader;

/* ---- ownership ------------------------------------------------------------------------------ */

void sky_sink_set_free(sky_sink_set *s) {
  if (s == NULL) return;
  sky_sink_factors_free(s->factor, s->n_factor);
  for (size_t i = 0; i < s->n_class && s->cls != NULL; i++) {
    sky_free(s->cls[i].name);
    sky_free(s->cls[i].note);
  }
  sky_free(s->cls);
  sky_free(s->name);
  memset(s, 0, sizeof *s);
}

double sky_sink_pool_value(const sky_sink_set *s, const sky_sink_pool *p, double scale,
                           double *grad) {
  double sum = 0;
  for (size_t t = 0; t < p->n; t++) {
    const sky_sink_term *term = &p->term[t];
    double product = scale;
    for (size_t k = 0; k < term->n; k++)
      product *= s->factor[term->factor[k]].value;
    sum += product;
    for (size_t k = 0; k < term->n && grad != NULL; k++) {
      double others = scale;
      for (size_t m = 0; m < term->n; m++)
        if (m != k) others *= s->factor[term->factor[m]].value;
      grad[term->factor[k]] += others;
    }
  }
  return sum;
}

static void pool_add(sky_sink_pool *p, size_t a, size_t b, size_t c) {
  sky_sink_term *t = &p->term[p->n++];
  t->n = 0;
  t->factor[t->n++] = a;
  if (b != SIZE_MAX) t->factor[t->n++] = b;
  if (c != SIZE_MAX) t->factor[t->n++] = c;
}

/* ---- the rows of a set ---------------------------------------------------------------------- */

static bool row_matches(const loader *l, size_t set_row, const sky_table *t, size_t row) {
  for (size_t i = 0; i < SKY_FACTOR_COLUMNS; i++) {
    const char *want = sky_factor_cell(l->sets, set_row, sky_factor_columns[i]);
    if (strcmp(want, "{soil}") == 0) want = l->need->soil;
    if (strcmp(sky_factor_cell(t, row, sky_factor_columns[i]), want) != 0) return false;
  }
  return strcmp(sky_factor_cell(t, row, "table"), sky_factor_cell(l->sets, set_row, "table")) == 0;
}

static sky_status find_factor(loader *l, size_t set_row, size_t *index) {
  const sky_table *t = NULL;
  const char *file = sky_factor_cell(l->sets, set_row, "file");
  size_t found = SIZE_MAX, n = 0;
  SKY_TRY(sky_factor_rows_source(&l->rows, file, &t));
  for (size_t row = 0; row < sky_table_rows(t); row++) {
    if (!row_matches(l, set_row, t, row)) continue;
    found = row;
    n++;
  }
  if (n == 0 && strcmp(sky_factor_cell(l->sets, set_row, "stratum"), "{soil}") == 0)
    return sky_fail(l->ctx, SKY_E_USAGE,
                    "%s.csv has no SOC_REF for soil '%s' in '%s' (expected HAC, LAC, SAN, POD, VOL "
                    "or WET, where the table has it)",
                    file, l->need->soil, sky_factor_cell(l->sets, set_row, "zone"));
  if (n != 1)
    return sky_fail(l->ctx, SKY_E_INTERNAL, SETS_FILE ":%d: %zu rows of %s.csv fit, expected 1",
                    sky_table_line(l->sets, set_row), n, file);
  return sky_factor_rows_take(&l->rows, file, t, found, index);
}

static role role_of(const char *name) {
  for (int r = 0; r < ROLE_COUNT; r++)
    if (strcmp(roles[r].name, name) == 0) return (role)r;
  return ROLE_COUNT;
}

/* Of management, one row for each way: the one that is asked for, by its detail. */
static const char *management(const loader *l, role r) {
  return r == ROLE_TILLAGE   ? l->need->tillage
         : r == ROLE_INPUT   ? l->need->input
         : r == ROLE_GRAZING ? l->need->grazing
                             : NULL;
}

static bool other_management(const loader *l, role r, size_t row) {
  const char *want = management(l, r);
  return r >= ROLE_TILLAGE && r <= ROLE_GRAZING &&
         (want == NULL || strcmp(want, sky_factor_cell(l->sets, row, "detail")) != 0);
}

/* Needed for what the maps show: stocks where the class changes, growth wherever it stands. */
static bool needed(const loader *l, role r, size_t cls) {
  if (r >= ROLE_SOC && r <= ROLE_GRAZING && l->need->soil == NULL) return false;
  return (roles[r].stock && l->need->changed[cls]) || (roles[r].growth && l->need->present[cls]);
}

static void widen(sky_sink_factor *f, double low, double high) {
  if (f->own) return;
  f->sd = sqrt(f->sd * f->sd + (high - low) * (high - low) / 12);
}

/* ---- what is known of a zone ---------------------------------------------------------------- */

static sky_status own_factor(loader *l, const char *what, const char *source, const char *unit,
                             const sky_sink_class *c, double value, double sd, size_t *index) {
  SKY_TRY(sky_factor_rows_grow(&l->rows));
  sky_sink_factor *f = &l->rows.factor[l->rows.n];
  *f = (sky_sink_factor){.value = value, .sd = sd, .verified = true, .own = true};
  *index = l->rows.n++;
  f->key = sky_sprintf(l->ctx, "zone %s:%s of %s", l->need->local->where, what, c->name);
  f->source = sky_strdup(l->ctx, source);
  f->unit = sky_strdup(l->ctx, unit);
  return f->key != NULL && f->source != NULL && f->unit != NULL ? SKY_OK : SKY_E_NOMEM;
}

static bool is_aged(const loader *l, const sky_sink_class *c) {
  return c->number == 1 && l->need->local != NULL && !isnan(l->need->local->age[0]);
}

/* R goes with the biomass that the zone has. */
static sky_status use_biomass(loader *l, const sky_sink_class *c, double agb, double sd) {
  const char *detail =
      l->root_row == SIZE_MAX ? "" : sky_factor_cell(l->sets, l->root_row, "detail");
  if (l->of[ROLE_AGB] != SIZE_MAX)
    SKY_TRY(own_factor(l, "above-ground biomass", l->need->local->agb_source, "t d.m./ha", c, agb,
                       sd, &l->of[ROLE_AGB]));
  if (l->of[ROLE_ROOT] == SIZE_MAX || strncmp(detail, "AGB ", 4) != 0) return SKY_OK;
  return sky_root_shoot_find(&l->rows, sky_factor_cell(l->sets, l->root_row, "zone"),
                             sky_factor_cell(l->sets, l->root_row, "stratum"), agb,
                             &l->of[ROLE_ROOT]);
}

static sky_status use_ages(loader *l, const char *set, const sky_sink_class *c) {
  static const char *const what[SKY_FOREST_AGES] = {"share up to 20 years", "share above 20 years",
                                                    "share of primary"};
  const sky_sink_local *own = l->need->local;
  if (own->age[2] > 0 && l->primary == SIZE_MAX)
    return sky_fail(l->ctx, SKY_E_RANGE,
                    "%s: zone '%s' has primary forest, of which set '%s' has no growth; count it "
                    "as older than 20 years",
                    own->age_source, own->where, set);
  for (size_t k = 0; k < SKY_FOREST_AGES; k++)
    SKY_TRY(own_factor(l, what[k], own->age_source, "1", c, own->age[k], 0, &l->age[k]));
  return SKY_OK;
}

static sky_status use_local(loader *l, const char *set, sky_sink_class *c) {
  const sky_sink_local *own = l->need->local;
  const size_t i = (size_t)c->number - 1;
  if (own == NULL) return SKY_OK;
  if (!isnan(own->agb[i])) SKY_TRY(use_biomass(l, c, own->agb[i], own->agb_sd[i]));
  return is_aged(l, c) && l->of[ROLE_GROWTH] != SIZE_MAX ? use_ages(l, set, c) : SKY_OK;
}

static sky_status use_soil(loader *l, sky_sink_class *c) {
  const sky_sink_local *own = l->need->local;
  const size_t i = (size_t)c->number - 1;
  size_t index;
  if (own == NULL || isnan(own->soil[i]) || !l->need->changed[i]) return SKY_OK;
  SKY_TRY(own_factor(l, "soil carbon", own->soil_source, "t C/ha", c, own->soil[i], own->soil_sd[i],
                     &index));
  c->pool[SKY_POOL_SOIL].n = 0;
  pool_add(&c->pool[SKY_POOL_SOIL], index, SIZE_MAX, SIZE_MAX);
  return SKY_OK;
}

/* Growth of forest whose ages are known: each age with its share. */
static void build_aged(loader *l, sky_sink_pool *p) {
  const size_t rate[SKY_FOREST_AGES] = {l->of[ROLE_GROWTH_YOUNG], l->of[ROLE_GROWTH], l->primary};
  for (size_t k = 0; k < SKY_FOREST_AGES; k++) {
    if (l->rows.factor[l->age[k]].value == 0) continue;
    pool_add(p, l->age[k], rate[k], l->of[ROLE_CF]);
    pool_add(p, l->age[k], rate[k], l->of[ROLE_CF]);
    p->term[p->n - 1].factor[p->term[p->n - 1].n++] = l->of[ROLE_ROOT];
  }
}

/* low, high: least and greatest of the competing growth rows (NaN if none). */
static void build_pools(loader *l, sky_sink_class *c, double low, double high) {
  const size_t *of = l->of;
  sky_sink_pool *p = c->pool;
  sky_sink_factor *f = l->rows.factor;
  if (of[ROLE_AGB] != SIZE_MAX) {
    pool_add(&p[SKY_POOL_ABOVE], of[ROLE_AGB], of[ROLE_CF], SIZE_MAX);
    pool_add(&p[SKY_POOL_BELOW], of[ROLE_AGB], of[ROLE_ROOT], of[ROLE_CF]);
  }
  if (of[ROLE_BIOMASS] != SIZE_MAX)
    pool_add(&p[SKY_POOL_ABOVE], of[ROLE_BIOMASS], of[ROLE_CF], SIZE_MAX);
  if (of[ROLE_BIOMASS_CARBON] != SIZE_MAX)
    pool_add(&p[SKY_POOL_ABOVE], of[ROLE_BIOMASS_CARBON], SIZE_MAX, SIZE_MAX);
  if (of[ROLE_ECOSYSTEM] != SIZE_MAX) /* the total stands in the place of the parts */
    pool_add(&p[SKY_POOL_ABOVE], of[ROLE_ECOSYSTEM], SIZE_MAX, SIZE_MAX);
  if (of[ROLE_LITTER] != SIZE_MAX)
    pool_add(&p[SKY_POOL_LITTER], of[ROLE_LITTER], SIZE_MAX, SIZE_MAX);
  if (of[ROLE_DEAD_WOOD] != SIZE_MAX)
    pool_add(&p[SKY_POOL_DEAD_WOOD], of[ROLE_DEAD_WOOD], SIZE_MAX, SIZE_MAX);
  if (of[ROLE_SOC] != SIZE_MAX) {
    pool_add(&p[SKY_POOL_SOIL], of[ROLE_SOC], of[ROLE_LAND_USE], SIZE_MAX);
    sky_sink_term *soil = &p[SKY_POOL_SOIL].term[0];
    for (role r = ROLE_TILLAGE; r <= ROLE_GRAZING; r++)
      if (of[r] != SIZE_MAX) soil->factor[soil->n++] = of[r];
  }
  if (of[ROLE_NET_FLUX] != SIZE_MAX)
    pool_add(&p[SKY_POOL_NET_FLUX], of[ROLE_NET_FLUX], SIZE_MAX, SIZE_MAX);
  const size_t old = of[ROLE_GROWTH], young = of[ROLE_GROWTH_YOUNG];
  if (old != SIZE_MAX && is_aged(l, c)) {
    build_aged(l, &p[SKY_POOL_GROWTH]);
    widen(&f[old], fmin(low, f[old].value), fmax(high, f[old].value));
  } else if (old != SIZE_MAX) {
    const double v = f[old].value, y = young != SIZE_MAX ? f[young].value : v;
    pool_add(&p[SKY_POOL_GROWTH], old, of[ROLE_CF], SIZE_MAX);
    pool_add(&p[SKY_POOL_GROWTH], old, of[ROLE_ROOT], of[ROLE_CF]);
    if (young != old) widen(&f[old], fmin(fmin(low, v), y), fmax(fmax(high, v), y));
  }
  if (young != SIZE_MAX) {
    pool_add(&p[SKY_POOL_GROWTH_YOUNG], young, of[ROLE_CF], SIZE_MAX);
    pool_add(&p[SKY_POOL_GROWTH_YOUNG], young, of[ROLE_ROOT], of[ROLE_CF]);
    if (young != old) widen(&f[young], fmin(low, f[young].value), fmax(high, f[young].value));
  }
}

static sky_status take_note(loader *l, const char *note, sky_sink_class *c) {
  sky_free(c->note);
  c->note = sky_strdup(l->ctx, note);
  return c->note != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status load_class(loader *l, const char *set, size_t cls) {
  sky_sink_class *c = &l->set->cls[cls];
  double low = NAN, high = NAN;
  for (int r = 0; r < ROLE_COUNT; r++)
    l->of[r] = SIZE_MAX;
  l->primary = l->root_row = SIZE_MAX;
  for (size_t row = 0; row < sky_table_rows(l->sets); row++) {
    double number = 0;
    if (strcmp(sky_factor_cell(l->sets, row, "set"), set) != 0) continue;
    SKY_TRY(sky_table_number(l->ctx, l->sets, row, sky_table_find(l->sets, "class"), &number));
    if (number != c->number) continue;
    const role r = role_of(sky_factor_cell(l->sets, row, "role"));
    if (r == ROLE_COUNT)
      return sky_fail(l->ctx, SKY_E_INTERNAL, SETS_FILE ":%d: unknown role",
                      sky_table_line(l->sets, row));
    c->known = true;
    if (r == ROLE_NONE) SKY_TRY(take_note(l, sky_factor_cell(l->sets, row, "note"), c));
    if (!needed(l, r, cls) || other_management(l, r, row)) continue;
    size_t index = SIZE_MAX;
    SKY_TRY(find_factor(l, row, &index));
    l->of[r] = index;
    if (r == ROLE_ROOT) l->root_row = row;
    if (is_aged(l, c) && strcmp(sky_factor_cell(l->sets, row, "stratum"), "primary") == 0) {
      l->primary = index; /* no competitor: its share is known */
    } else if (r == ROLE_GROWTH_OTHER) {
      low = fmin(low, l->rows.factor[index].value);
      high = fmax(high, l->rows.factor[index].value);
    }
  }
  if (l->need->present[cls] && !c->known)
    return sky_fail(l->ctx, SKY_E_RANGE,
                    "class %d (%s) occurs in the maps, but set '%s' of " SETS_FILE
                    " has no pool row for it",
                    c->number, c->name, set);
  SKY_TRY(use_local(l, set, c));
  build_pools(l, c, low, high);
  return use_soil(l, c);
}

/* ---- built-in sets -------------------------------------------------------------------------- */

static sky_status open_sets(sky_context *ctx, sky_table **out) {
  size_t length = 0;
  const char *text = sky_embedded(SETS_FILE, &length);
  return sky_table_parse(ctx, SETS_FILE, text, length, out);
}

sky_status sky_sink_set_names(sky_context *ctx, char ***names, size_t *n) {
  sky_table *t = NULL;
  SKY_TRY(open_sets(ctx, &t));
  const size_t rows = sky_table_rows(t);
  size_t bytes = rows * sizeof(char *), count = 0;
  for (size_t i = 0; i < rows; i++)
    bytes += strlen(sky_factor_cell(t, i, "set")) + 1;
  char *block = sky_malloc(ctx, bytes, 1);
  if (block == NULL) {
    sky_table_free(t);
    return SKY_E_NOMEM;
  }
  char **list = (char **)(void *)block, *at = block + rows * sizeof(char *);
  for (size_t i = 0; i < rows; i++) { /* rows of a set stand together */
    const char *name = sky_factor_cell(t, i, "set");
    if (count > 0 && strcmp(list[count - 1], name) == 0) continue;
    list[count++] = at;
    memcpy(at, name, strlen(name) + 1);
    at += strlen(name) + 1;
  }
  sky_table_free(t);
  *names = list;
  *n = count;
  return SKY_OK;
}

/* Management that the set does not know for any class. */
static sky_status check_management(loader *l, const char *set) {
  for (role r = ROLE_TILLAGE; r <= ROLE_GRAZING; r++) {
    const char *want = management(l, r);
    sky_text known = {.ctx = l->ctx};
    bool found = want == NULL;
    for (size_t row = 0; row < sky_table_rows(l->sets) && !found; row++) {
      if (strcmp(sky_factor_cell(l->sets, row, "set"), set) != 0 ||
          role_of(sky_factor_cell(l->sets, row, "role")) != r)
        continue;
      const char *detail = sky_factor_cell(l->sets, row, "detail");
      found = strcmp(detail, want) == 0;
      sky_text_printf(&known, "%s'%s'", known.length > 0 ? ", " : "", detail);
    }
    char *list = sky_text_take(&known);
    sky_status st = list == NULL ? SKY_E_NOMEM : SKY_OK;
    if (st == SKY_OK && !found)
      st = sky_fail(l->ctx, SKY_E_USAGE, "%s '%s' is not in set '%s' (expected %s)", roles[r].name,
                    want, set, *list != '\0' ? list : "none: the set has no soil carbon");
    sky_free(list);
    SKY_TRY(st);
  }
  return SKY_OK;
}

static sky_status check_name(sky_context *ctx, const char *name) {
  char **names = NULL;
  size_t n = 0;
  bool found = false;
  SKY_TRY(sky_sink_set_names(ctx, &names, &n));
  for (size_t i = 0; i < n && !found; i++)
    found = strcmp(names[i], name) == 0;
  sky_status st = SKY_OK;
  if (!found) {
    const char *near = sky_text_nearest(name, (const char *const *)names, n);
    st = sky_fail(
        ctx, SKY_E_USAGE, "factor set '%s' is not known%s%s%s (see skyflux list sink-sets)", name,
        near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
  }
  sky_free(names);
  return st;
}

static sky_status name_classes(sky_context *ctx, const char *name, size_t n, sky_sink_set *s) {
  s->name = sky_strdup(ctx, name);
  s->cls = SKY_NEW0(ctx, sky_sink_class, n);
  if (s->name == NULL || s->cls == NULL) return SKY_E_NOMEM;
  s->n_class = n;
  return SKY_OK;
}

static bool has_stocks(const sky_sink_set *s) {
  for (size_t i = 0; i < s->n_class; i++)
    for (int k = SKY_POOL_ABOVE; k <= SKY_POOL_SOIL; k++)
      if (s->cls[i].pool[k].n > 0) return true;
  return false;
}

/* Whether the set has the role at all, also where the maps do not ask for it. */
static bool set_has(const loader *l, const char *set, role r) {
  for (size_t row = 0; row < sky_table_rows(l->sets); row++)
    if (strcmp(sky_factor_cell(l->sets, row, "set"), set) == 0 &&
        strcmp(sky_factor_cell(l->sets, row, "role"), roles[r].name) == 0)
      return true;
  return false;
}

/* The factors become the set's. */
static void hand_over(loader *l) {
  l->set->factor = l->rows.factor;
  l->set->n_factor = l->rows.n;
  l->rows.factor = NULL;
  l->rows.n = 0;
}

sky_status sky_sink_set_builtin(sky_context *ctx, const char *name, const sky_sink_need *need,
                                sky_sink_set *out) {
  sky_status st = SKY_OK;
  sky_sink_set s = {.dynamic = true};
  loader l = {.ctx = ctx,
              .need = need,
              .set = &s,
              .rows = {.ctx = ctx,
                       .allowed = need->allowed,
                       .overrides = need->overrides,
                       .overrides_path = need->overrides_path,
                       .n_allowed = need->n_allowed,
                       .refused = {.ctx = ctx}}};
  SKY_TRY(check_name(ctx, name));
  SKY_GO(open_sets(ctx, &l.sets));
  SKY_GO(check_management(&l, name));
  SKY_GO(name_classes(ctx, name, SKY_SINK_CLASSES, &s));
  for (size_t i = 0; i < s.n_class; i++) {
    s.cls[i].id = s.cls[i].number = (int)i + 1;
    SKY_GO_ALLOC(s.cls[i].name, sky_strdup(ctx, sky_sink_class_name((int)i + 1)));
    SKY_GO(take_note(&l, "", &s.cls[i]));
    SKY_GO(load_class(&l, name, i));
  }
  s.totals = set_has(&l, name, ROLE_ECOSYSTEM);
  s.stocks = s.totals || set_has(&l, name, ROLE_AGB);
  SKY_GO(sky_factor_rows_check(&l.rows, " or give your own with --pools (pools)"));
  hand_over(&l);
  *out = s;
  memset(&s, 0, sizeof s);
cleanup:
  sky_table_free(l.sets);
  sky_factor_rows_free(&l.rows);
  sky_sink_set_free(&s);
  return st;
}

/* ---- a user's pool table -------------------------------------------------------------------- */

static const struct {
  sky_sink_pool_kind kind;
  const char *header, *alias;
} pool_columns[] = {
    {SKY_POOL_ABOVE, "above", "c_above"}, {SKY_POOL_BELOW, "below", "c_below"},
    {SKY_POOL_LITTER, "litter", NULL},    {SKY_POOL_DEAD_WOOD, "dead_wood", "c_dead"},
    {SKY_POOL_SOIL, "soil", "c_soil"},    {SKY_POOL_GROWTH, "gain", NULL}};
#define N_POOL_COLUMNS (sizeof pool_columns / sizeof pool_columns[0])

static size_t find_column(const sky_table *t, const char *header, const char *suffix) {
  char want[64];
  if (header == NULL) return SIZE_MAX;
  snprintf(want, sizeof want, "%s%s", header, suffix);
  for (size_t c = 0; c < sky_table_columns(t); c++)
    if (strcasecmp(sky_table_header(t, c), want) == 0) return c;
  return SIZE_MAX;
}

static sky_status user_pool(loader *l, const sky_table *t, const char *path, size_t row,
                            size_t which, sky_sink_class *c) {
  size_t column = find_column(t, pool_columns[which].header, "");
  if (column == SIZE_MAX) column = find_column(t, pool_columns[which].alias, "");
  if (column == SIZE_MAX) return SKY_OK;
  const size_t spread = find_column(t, pool_columns[which].header, "_sd");
  double value = 0, sd = 0;
  SKY_TRY(sky_table_number(l->ctx, t, row, column, &value));
  if (spread != SIZE_MAX) SKY_TRY(sky_table_number(l->ctx, t, row, spread, &sd));
  if (isnan(value)) return SKY_OK; /* an empty cell: no such pool */
  if (isnan(sd)) sd = 0;
  if (sd < 0 || (value < 0 && pool_columns[which].kind != SKY_POOL_GROWTH))
    return sky_fail(l->ctx, SKY_E_RANGE, "%s:%d: %s %g (sd %g) is below 0", path,
                    sky_table_line(t, row), pool_columns[which].header, value, sd);
  SKY_TRY(sky_factor_rows_grow(&l->rows));
  sky_sink_factor *f = &l->rows.factor[l->rows.n];
  *f = (sky_sink_factor){.value = value, .sd = sd, .verified = true};
  pool_add(&c->pool[pool_columns[which].kind], l->rows.n++, SIZE_MAX, SIZE_MAX);
  f->key = sky_sprintf(l->ctx, "%s:%d:%s", path, (int)c->id, pool_columns[which].header);
  f->source = sky_strdup(l->ctx, path);
  f->unit =
      sky_strdup(l->ctx, pool_columns[which].kind == SKY_POOL_GROWTH ? "t C/ha/yr" : "t C/ha");
  return f->key != NULL && f->source != NULL && f->unit != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status user_rows(loader *l, const sky_table *t, const char *path,
                            const sky_legend *legend, const bool *present) {
  sky_context *ctx = l->ctx;
  size_t code_column = find_column(t, "code", "");
  if (code_column == SIZE_MAX) code_column = find_column(t, "lucode", "");
  if (code_column == SIZE_MAX)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: no column 'code' (or 'lucode')", path);
  for (size_t row = 0; row < sky_table_rows(t); row++) {
    double code = 0;
    SKY_TRY(sky_table_number(ctx, t, row, code_column, &code));
    if (code != nearbyint(code) || !(fabs(code) <= INT32_MAX))
      return sky_fail(ctx, SKY_E_RANGE, "%s:%d: code '%s' is not a whole number", path,
                      sky_table_line(t, row), sky_table_cell(t, row, code_column));
    const size_t i = sky_legend_find(legend, (int32_t)code);
    if (i == SIZE_MAX) continue; /* a table may hold more codes than the maps */
    sky_sink_class *c = &l->set->cls[i];
    if (c->known)
      return sky_fail(ctx, SKY_E_RANGE, "%s:%d: code %g occurs twice", path, sky_table_line(t, row),
                      code);
    c->known = true;
    for (size_t k = 0; k < N_POOL_COLUMNS; k++)
      SKY_TRY(user_pool(l, t, path, row, k, c));
  }
  for (size_t i = 0; i < legend->n; i++)
    if (present[i] && !l->set->cls[i].known)
      return sky_fail(ctx, SKY_E_RANGE, "%s: no pool row for code %d (%s) of legend %s", path,
                      (int)legend->row[i].low, legend->row[i].name, legend->name);
  return SKY_OK;
}

sky_status sky_sink_set_from_table(sky_context *ctx, const sky_table *table, const char *path,
                                   const sky_legend *legend, const bool *present,
                                   sky_sink_set *out) {
  sky_status st = SKY_OK;
  sky_sink_set s = {.dynamic = false};
  loader l = {.ctx = ctx, .set = &s, .rows = {.ctx = ctx}};
  SKY_GO(name_classes(ctx, path, legend->n, &s));
  for (size_t i = 0; i < legend->n; i++) {
    s.cls[i].id = legend->row[i].low;
    s.cls[i].number = legend->row[i].number;
    SKY_GO_ALLOC(s.cls[i].name, sky_strdup(ctx, legend->row[i].name));
    SKY_GO(take_note(&l, "no gain in the table of pools", &s.cls[i]));
  }
  SKY_GO(user_rows(&l, table, path, legend, present));
  hand_over(&l);
  s.stocks = has_stocks(&s);
  *out = s;
  return SKY_OK;
cleanup:
  sky_factor_rows_free(&l.rows);
  sky_sink_set_free(&s);
  return st;
}
