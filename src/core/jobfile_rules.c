/* jobfile_rules.c: what keys of a job must be to each other, as far as the file alone can tell.
 *
 * Every rule looks at the whole tree and says nothing about keys that are absent or already faulty.
 * Whether files exist and hold what the job says is checked when they are read. */
#include <math.h>
#include <string.h>

#include "src/core/jobfile_rules.h"

#define WGS84 "EPSG:4326"
#define SPHERE_SMOOTH 0.5 /* Gneiting 2013, Bernoulli 19, 1327, table 1 */

static bool any_information(const sky_node *root) {
  const sky_node *list = sky_node_get(root, "inversions");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    if (sky_node_get(sky_node_item(list, i), "information") != NULL) return true;
  }
  return false;
}

/* ---- time and space ---- */

static sky_status period_order(const sky_node *root, sky_faults *f) {
  const double start = sky_node_time(root, "period.start"), end = sky_node_time(root, "period.end");
  if (isnan(start) || isnan(end) || end > start) return SKY_OK;
  return sky_fault_at(f, sky_node_get(root, "period.end"), "%s is %s start %s",
                      sky_node_text(root, "period.end"), end < start ? "before" : "the same as",
                      sky_node_text(root, "period.start"));
}

static sky_status check_box(sky_faults *f, const sky_node *box, bool degrees, bool may_wrap) {
  double edge[4];
  if (sky_node_count(box) != 4) return SKY_OK;
  for (size_t i = 0; i < 4; i++) {
    edge[i] = sky_node_number(sky_node_item(box, i), NULL);
    if (isnan(edge[i])) return SKY_OK;
  }
  const double west = edge[0], south = edge[1], east = edge[2], north = edge[3];
  if (!(south < north)) {
    SKY_TRY(sky_fault_at(f, box, "south %g is not below north %g", south, north));
  }
  if (west == east || (west > east && !may_wrap)) {
    SKY_TRY(sky_fault_at(f, box, "west %g is not below east %g", west, east));
  }
  if (!degrees) return SKY_OK;
  if (fmin(south, north) < -90 || fmax(south, north) > 90) {
    SKY_TRY(sky_fault_at(f, box, "latitude %g or %g is outside -90 to 90", south, north));
  }
  if (fmin(west, east) < -180 || fmax(west, east) > 360 || east - west > 360) {
    SKY_TRY(sky_fault_at(
        f, box, "longitudes %g to %g are outside -180 to 360, or more than 360 apart", west, east));
  }
  return SKY_OK;
}

static sky_status boxes(const sky_node *root, sky_faults *f) {
  const bool degrees = is(root, "grid.crs", WGS84);
  SKY_TRY(check_box(f, sky_node_get(root, "grid.box"), degrees, false));
  const sky_node *list = sky_node_get(root, "grid.patches");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    SKY_TRY(check_box(f, sky_node_get(sky_node_item(list, i), "box"), degrees, false));
  }
  list = sky_node_get(root, "soundings");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    SKY_TRY(check_box(f, sky_node_get(sky_node_item(list, i), "box"), true, true));
  }
  return SKY_OK;
}

static sky_status cell_unit(const sky_node *root, sky_faults *f) {
  const char *cell = sky_node_text(root, "grid.cell");
  const sky_node *list = sky_node_get(root, "grid.patches");
  for (size_t i = 0; cell != NULL && i < sky_node_count(list); i++) {
    const sky_node *fine = sky_node_get(sky_node_item(list, i), "cell");
    if (fine == NULL ||
        sky_node_unit_is(fine, "", "degree") == sky_node_unit_is(root, "grid.cell", "degree"))
      continue;
    SKY_TRY(sky_fault_at(f, fine, "'%s' and the '%s' of grid.cell count in different units",
                         sky_node_text(fine, ""), cell));
  }
  if (cell == NULL || !is(root, "grid.crs", WGS84)) return SKY_OK;
  if (sky_node_unit_is(root, "grid.cell", "degree")) return SKY_OK;
  return sky_fault_at(
      f, sky_node_get(root, "grid.cell"),
      "'%s' is a length, and " WGS84 " counts in degree (or choose a projected crs)", cell);
}

static sky_status grid_needed(const sky_node *root, sky_faults *f) {
  if (sky_node_get(root, "grid") != NULL || any_information(root)) return SKY_OK;
  return fault(f, root, "grid", "required, as no inversion brings its own grid (information)");
}

static sky_status something_to_do(const sky_node *root, sky_faults *f) {
  if (sky_node_get(root, "soundings") != NULL || any_information(root)) return SKY_OK;
  return fault(f, root, "soundings", "required, as no inversion has information");
}

static sky_status zones_source(const sky_node *root, sky_faults *f) {
  const sky_node *zones = sky_node_get(root, "zones");
  if (zones == NULL || zones->kind != SKY_NODE_MAP) return SKY_OK;
  const bool file = sky_node_get(zones, "file") != NULL;
  const sky_node *labels = sky_node_get(zones, "labels");
  if (file == (labels != NULL)) {
    return sky_fault_at(f, zones, "%s",
                        file ? "both file and labels are given; one of them decides"
                             : "file or labels is required");
  }
  if (file && sky_node_get(zones, "id") == NULL) {
    return fault(f, zones, "id", "required with file: the attribute that holds the zones' ids");
  }
  if (labels != NULL && !any_information(root)) {
    return sky_fault_at(f, labels,
                        "needs an inversion with information, whose state has the labels");
  }
  return SKY_OK;
}

/* "1-15, 20" */
static bool is_ranges(const char *s) {
  for (;;) {
    s += strspn(s, " ");
    size_t n = strspn(s, "0123456789");
    if (n == 0 || n > 9) return false;
    s += n;
    if (*s == '-') {
      n = strspn(++s, "0123456789");
      if (n == 0 || n > 9) return false;
      s += n;
    }
    s += strspn(s, " ");
    if (*s == '\0') return true;
    if (*s++ != ',') return false;
  }
}

static sky_status label_ranges(const sky_node *root, sky_faults *f) {
  const sky_node *list = sky_node_get(root, "zones.labels");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i);
    const char *text = sky_node_text(item, "labels");
    if (text == NULL || is_ranges(text)) continue;
    SKY_TRY(sky_fault_at(f, sky_node_get(item, "labels"),
                         "'%s' is not a list of labels (expected e.g. '1-15, 20')", text));
  }
  return SKY_OK;
}

/* ---- names ---- */

/* Items of list differ in a (and b, which may be NULL or absent). */
static sky_status differ(sky_faults *f, const sky_node *list, const char *a, const char *b) {
  for (size_t i = 1; i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i);
    const char *text = sky_node_text(item, a), *more = b == NULL ? NULL : sky_node_text(item, b);
    for (size_t k = 0; text != NULL && k < i; k++) {
      const sky_node *other = sky_node_item(list, k);
      const char *other_more = b == NULL ? NULL : sky_node_text(other, b);
      if (!is(other, a, text) || (more == NULL) != (other_more == NULL)) continue;
      if (more != NULL && strcmp(more, other_more) != 0) continue;
      const int line = sky_node_line(sky_node_get(other, a));
      SKY_TRY(line > 0
                  ? sky_fault_at(f, sky_node_get(item, a), "'%s' is already at line %d", text, line)
                  : sky_fault_at(f, sky_node_get(item, a), "'%s' is already given by --set", text));
      break;
    }
  }
  return SKY_OK;
}

static sky_status unique(const sky_node *root, sky_faults *f) {
  SKY_TRY(differ(f, sky_node_get(root, "grid.patches"), "id", NULL));
  SKY_TRY(differ(f, sky_node_get(root, "inventories"), "id", NULL));
  SKY_TRY(differ(f, sky_node_get(root, "sinks"), "id", NULL));
  SKY_TRY(differ(f, sky_node_get(root, "inversions"), "gas", NULL));
  SKY_TRY(differ(f, sky_node_get(root, "zones.labels"), "id", NULL));
  return differ(f, sky_node_get(root, "compare"), "gas", NULL);
}

#define NAMES_MAX 128

/* item[key] names an inventory of item's gas. */
static sky_status reference(sky_faults *f, const sky_node *root, const sky_node *item,
                            const char *key) {
  const char *id = sky_node_text(item, key), *gas = sky_node_text(item, "gas");
  if (id == NULL) return SKY_OK;
  const sky_node *list = sky_node_get(root, "inventories"), *target = find(list, "id", id);
  if (target == NULL) {
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < sky_node_count(list) && n < NAMES_MAX; i++) {
      const char *name = sky_node_text(sky_node_item(list, i), "id");
      if (name != NULL) names[n++] = name;
    }
    const char *near = sky_text_nearest(id, names, n);
    return sky_fault_at(f, sky_node_get(item, key), "no inventory has the id '%s'%s%s%s", id,
                        near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                        near != NULL ? "'?" : "");
  }
  const char *other = sky_node_text(target, "gas");
  if (gas == NULL || other == NULL || strcmp(gas, other) == 0) return SKY_OK;
  return sky_fault_at(f, sky_node_get(item, key), "inventory '%s' is of %s, expected %s", id, other,
                      gas);
}

static sky_status references(const sky_node *root, sky_faults *f) {
  const sky_node *list = sky_node_get(root, "inversions");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    SKY_TRY(reference(f, root, sky_node_item(list, i), "prior"));
    SKY_TRY(reference(f, root, sky_node_item(list, i), "unscaled"));
  }
  list = sky_node_get(root, "compare");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    SKY_TRY(reference(f, root, sky_node_item(list, i), "inventory"));
  }
  return SKY_OK;
}

/* ---- inversions and inventories ---- */

sky_status sky_rule_smoothness(const sky_node *root, sky_faults *f, const sky_node *map,
                               bool space) {
  const sky_node *nu = sky_node_get(map, "smoothness");
  if (!is(map, "correlation", "matern"))
    return nu == NULL ? SKY_OK
                      : sky_fault_at(f, nu, "has no effect without correlation matern (%s)",
                                     sky_node_text(map, "correlation"));
  if (nu == NULL)
    return fault(f, map, "smoothness", "required with correlation matern (above 0, at most 100)");
  if (!space || !is(root, "grid.crs", WGS84) || sky_node_get(root, "grid.preset") != NULL ||
      !(sky_node_number(map, "smoothness") > SPHERE_SMOOTH))
    return SKY_OK;
  return sky_fault_at(f, nu,
                      "%g: over great circles no model above %g is a correlation (expected at most "
                      "that, or a projected crs)",
                      sky_node_number(map, "smoothness"), SPHERE_SMOOTH);
}

/* A correlation model needs a length, and a length needs a model. */
static sky_status length_of(const sky_node *root, sky_faults *f, const sky_node *map, bool space) {
  const char *model = sky_node_text(map, "correlation");
  if (model == NULL) return SKY_OK;
  SKY_TRY(sky_rule_smoothness(root, f, map, space));
  const bool none = strcmp(model, "none") == 0, length = sky_node_get(map, "length") != NULL;
  if (none && length) {
    return fault(f, map, "length",
                 "has no effect without correlation (spherical, exponential or matern)");
  }
  if (!none && !length) return fault(f, map, "length", "required with a correlation");
  return SKY_OK;
}

/* Every sector of the inversion has its own. */
static bool sector_lengths(const sky_node *item) {
  const sky_node *list = sky_node_get(item, "sectors");
  size_t n = 0;
  for (size_t l = 0; l < sky_node_count(list); l++)
    n += sky_node_get(sky_node_item(list, l), "length") != NULL;
  return n > 0 && n == sky_node_count(list);
}

static sky_status correlations(const sky_node *root, sky_faults *f) {
  const sky_node *list = sky_node_get(root, "inversions");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    if (!sector_lengths(sky_node_item(list, i)))
      SKY_TRY(length_of(root, f, sky_node_item(list, i), true));
    SKY_TRY(length_of(root, f, sky_node_get(sky_node_item(list, i), "time"), false));
  }
  list = sky_node_get(root, "inventories");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    SKY_TRY(length_of(root, f, sky_node_get(sky_node_item(list, i), "uncertainty"), true));
  }
  return SKY_OK;
}

/* A preset brings crs and cell; its box counts in degrees. */
static sky_status preset_alone(const sky_node *root, sky_faults *f) {
  const sky_node *grid = sky_node_get(root, "grid"), *preset = sky_node_get(grid, "preset");
  if (grid == NULL || grid->kind != SKY_NODE_MAP) return SKY_OK;
  if (preset == NULL) {
    if (sky_node_get(grid, "cell") != NULL) return SKY_OK;
    return fault(f, grid, "cell", "required");
  }
  SKY_TRY(no_effect(f, grid, (const char *const[]){"crs", "cell", NULL}, "comes with the preset"));
  if (sky_node_get(grid, "patches") == NULL) return SKY_OK;
  return sky_fault_at(f, sky_node_get(grid, "patches"),
                      "have no place in the grid of a preset (give crs, box and cell)");
}

/* The first entry of soundings that reads the gas, or NULL. */
static const sky_node *reads_gas(const sky_node *root, const char *gas) {
  const sky_node *list = sky_node_get(root, "soundings");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *gases = sky_node_get(sky_node_item(list, i), "gases");
    for (size_t k = 0; k < sky_node_count(gases); k++) {
      if (is(sky_node_item(gases, k), NULL, gas)) return sky_node_item(list, i);
    }
  }
  return NULL;
}

static sky_status steps_divide_period(const sky_node *root, sky_faults *f, const sky_node *item) {
  if (sky_node_get(item, "time") == NULL) return SKY_OK;
  if (sky_node_get(root, "period") == NULL)
    return fault(f, item, "time", "needs period, which its steps divide");
  const double span = sky_node_time(root, "period.end") - sky_node_time(root, "period.start");
  const double step = sky_node_number(item, "time.step"), n = span / step;
  if (!(n > 0) || fabs(n - round(n)) * step <= 1e-3) return SKY_OK; /* s; others say bad values */
  return sky_fault_at(f, sky_node_get(item, "time.step"), "%g s do not divide the period of %g s",
                      step, span);
}

/* Told from the job file alone: the stated format, or the ending under auto. */
static bool is_activity(const sky_node *inventory) {
  const char *file = sky_node_text(inventory, "file");
  const size_t length = file == NULL ? 0 : strlen(file);
  return is(inventory, "format", "activity") ||
         (is(inventory, "format", "auto") && length > 4 && strcmp(file + length - 4, ".csv") == 0);
}

static bool sector_sigma(const sky_node *item) {
  const sky_node *list = sky_node_get(item, "sectors");
  for (size_t l = 0; l < sky_node_count(list); l++)
    if (sky_node_get(sky_node_item(list, l), "sigma") != NULL) return true;
  return false;
}

/* Without sigma the layers bring their own covariance: only some can, and no model applies. */
static sky_status own_covariance(const sky_node *root, sky_faults *f, const sky_node *item) {
  static const char *const of_sigma[] = {"floor", "correlation", "smoothness", "length", NULL};
  const char *prior = sky_node_text(item, "prior");
  const sky_node *inventory = find(sky_node_get(root, "inventories"), "id", prior);
  const double span = sky_node_time(root, "period.end") - sky_node_time(root, "period.start");
  if (inventory != NULL && !is_activity(inventory)) {
    return fault(f, item, "sigma",
                 "required, as the prior is a flux file and states no error of its own");
  }
  if (sky_node_number(item, "time.step") < span - 1e-3) {
    SKY_TRY(fault(f, item, "time",
                  "several steps need sigma: the prior's own covariance says nothing about time"));
  }
  return no_effect(f, item, of_sigma, "has no effect without sigma");
}

/* The layer of ecosystems beside the prior. */
static sky_status sink_layer(const sky_node *root, sky_faults *f, const sky_node *item) {
  const char *id = sky_node_text(item, "sink");
  if (id == NULL) return SKY_OK;
  if (find(sky_node_get(root, "sinks"), "id", id) == NULL) {
    SKY_TRY(sky_fault_at(f, sky_node_get(item, "sink"), "no sink has the id '%s'", id));
  }
  if (!is(item, "gas", "co2")) {
    SKY_TRY(fault(f, item, "sink", "sinks are of co2 only"));
  }
  SKY_TRY(sky_rule_sink_layer(f, find(sky_node_get(root, "sinks"), "id", id), item));
  if (sky_node_get(item, "sigma") == NULL) return SKY_OK;
  return fault(f, item, "sink",
               "needs the layers' own covariance, so sigma must be left out (and the prior be a "
               "table of activity)");
}

/* The soundings must have a background, which is one estimate an overpass. */
static sky_status own_background(const sky_node *root, sky_faults *f, const sky_node *item) {
  const char *gas = sky_node_text(item, "gas");
  if (!is(item, "background.mean", "soundings")) return SKY_OK;
  if (!is(item, "background.per", "overpass"))
    SKY_TRY(fault(f, item, "background.per",
                  "expected overpass: the background of soundings is one estimate for each"));
  if (gas == NULL || !is(reads_gas(root, gas), "background", "none")) return SKY_OK;
  return fault(f, item, "background.mean", "soundings of this gas have background none");
}

static sky_status check_inversion(const sky_node *root, sky_faults *f, const sky_node *item) {
  static const char *const of_prior[] = {"unscaled",    "sink",       "sectors",
                                         "mixing",      "sigma",      "floor",
                                         "correlation", "smoothness", "length",
                                         "time",        "background", "information",
                                         "boundary_sd", "levels",     "regressors",
                                         "solver",      "sign",       "samples",
                                         "tune",        "kernels",    "error.along_track",
                                         NULL};
  static const char *const of_soundings[] = {
      "sink",   "sectors", "mixing",     "floor", "correlation", "smoothness",
      "length", "time",    "background", "error", "levels",      "regressors",
      "solver", "sign",    "samples",    "tune",  "kernels",     NULL};
  static const char *const of_information[] = {"boundary_sd", NULL};
  const char *gas = sky_node_text(item, "gas");
  const bool information = sky_node_get(item, "information") != NULL;
  if (gas != NULL && !information && !reads_gas(root, gas)) {
    SKY_TRY(sky_fault_at(f, sky_node_get(item, "gas"), "no entry of soundings reads %s", gas));
  }
  if (sky_node_get(item, "prior") == NULL) {
    return no_effect(f, item, of_prior, "has no effect without prior");
  }
  if (information) {
    if (sky_node_get(item, "sigma") == NULL) {
      SKY_TRY(fault(f, item, "sigma", "required with information"));
    }
    return no_effect(f, item, of_soundings, "has no effect with information");
  }
  if (sky_node_get(item, "background") == NULL) {
    SKY_TRY(fault(f, item, "background", "required, as soundings see the background too"));
  }
  SKY_TRY(own_background(root, f, item));
  SKY_TRY(steps_divide_period(root, f, item));
  SKY_TRY(sink_layer(root, f, item));
  if (sky_node_get(item, "sigma") == NULL && !sector_sigma(item))
    SKY_TRY(own_covariance(root, f, item));
  return no_effect(f, item, of_information, "has no effect without information");
}

static sky_status inversions(const sky_node *root, sky_faults *f) {
  const sky_node *list = sky_node_get(root, "inversions");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    SKY_TRY(check_inversion(root, f, sky_node_item(list, i)));
  }
  return SKY_OK;
}

static sky_status inventory_formats(const sky_node *root, sky_faults *f) {
  static const char *const of_flux[] = {"variable", "units", "stated_resolution", NULL};
  static const char *const of_workbook[] = {"region", NULL};
  const sky_node *list = sky_node_get(root, "inventories");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i);
    if (is(item, "format", "workbook")) {
      SKY_TRY(no_effect(f, item, of_flux, "has no effect with format workbook"));
    } else if (is(item, "format", "flux")) {
      SKY_TRY(no_effect(f, item, of_workbook, "has no effect with format flux"));
    }
  }
  list = sky_node_get(root, "inversions");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const char *id = sky_node_text(sky_node_item(list, i), "prior");
    if (id == NULL ||
        !is(find(sky_node_get(root, "inventories"), "id", id), "format", "workbook")) {
      continue;
    }
    SKY_TRY(sky_fault_at(f, sky_node_get(sky_node_item(list, i), "prior"),
                         "'%s' is a workbook, and a prior must be a gridded flux", id));
  }
  return SKY_OK;
}

/* Tables of activity and `account` need each other; keys of files have no effect on them. */
static sky_status accounts(const sky_node *root, sky_faults *f) {
  static const char *const of_files[] = {"variable", "units",  "year",        "stated_resolution",
                                         "total",    "region", "uncertainty", NULL};
  const sky_node *list = sky_node_get(root, "inventories"),
                 *account = sky_node_get(root, "account");
  const char *level = sky_node_text(account, "electricity");
  bool any = false;
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i);
    if (!is_activity(item)) continue;
    any = true;
    if (account == NULL) SKY_TRY(fault(f, item, "file", "a table of activity needs account"));
    SKY_TRY(no_effect(f, item, of_files, "has no effect with a table of activity"));
  }
  if (account == NULL || account->kind != SKY_NODE_MAP) return SKY_OK;
  if (!any)
    SKY_TRY(sky_fault_at(f, account, "has no effect, as no inventory is a table of activity"));
  if (sky_node_get(account, "region") != NULL && (level == NULL || strcmp(level, "national") == 0))
    SKY_TRY(fault(f, account, "region", "needs electricity: regional or provincial"));
  return differ(f, sky_node_get(account, "proxies"), "sector", NULL);
}

/* ---- soundings ---- */

/* The same value in the schema's unit; two absent ones are the same. */
static bool same_value(const sky_node *a, const sky_node *b) {
  if (a == NULL || b == NULL) return a == b;
  if (a->n_child != b->n_child) return false;
  for (size_t i = 0; i < a->n_child; i++)
    if (!same_value(a->child[i], b->child[i])) return false;
  if (a->kind != SKY_NODE_SCALAR) return true;
  const bool quantity = a->schema != NULL && a->schema->type == SKY_KEY_QUANTITY;
  return quantity ? a->number == b->number : strcmp(a->text, b->text) == 0;
}

/* The first entry before the i-th that shares a gas with it; NULL without. */
static const sky_node *gas_fellow(const sky_node *list, size_t i) {
  const sky_node *own = sky_node_get(sky_node_item(list, i), "gases");
  for (size_t j = 0; j < i; j++) {
    const sky_node *gases = sky_node_get(sky_node_item(list, j), "gases");
    for (size_t k = 0; k < sky_node_count(own) * sky_node_count(gases); k++)
      if (is(sky_node_item(own, k / sky_node_count(gases)), NULL,
             sky_node_text(sky_node_item(gases, k % sky_node_count(gases)), NULL)))
        return sky_node_item(list, j);
  }
  return NULL;
}

static sky_status sounding_steps(const sky_node *root, sky_faults *f) {
  static const char *const KEYS[] = {"boundary", "boundary_footprints", "boundary_error", "wind",
                                     "clean",    "background"};
  enum { N_CURTAINS = 3, N_NEEDED = 2 };
  const sky_node *list = sky_node_get(root, "soundings");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i), *fellow = gas_fellow(list, i);
    const bool curtains = is(item, "background", "boundary");
    for (size_t k = 0; k < N_CURTAINS; k++) {
      if (!curtains && sky_node_given(item, KEYS[k]))
        SKY_TRY(fault(f, item, KEYS[k], "has no effect without background boundary"));
      if (curtains && k < N_NEEDED && sky_node_get(item, KEYS[k]) == NULL)
        SKY_TRY(fault(f, item, KEYS[k], "is required with background boundary"));
    }
    if (!is(item, "background", "upwind") && sky_node_given(item, "wind"))
      SKY_TRY(fault(f, item, "wind", "has no effect without background upwind"));
    for (size_t k = 0; fellow != NULL && k < sizeof KEYS / sizeof *KEYS; k++)
      if (!same_value(sky_node_get(item, KEYS[k]), sky_node_get(fellow, KEYS[k])))
        SKY_TRY(fault(f, item, KEYS[k],
                      "differs from that of an earlier entry of the same gas, whose soundings "
                      "become one set"));
  }
  return SKY_OK;
}

const sky_job_rule sky_job_rules[] = {
    {period_order, "`period.end` is later than `period.start`."},
    {boxes,
     "In a box west is below east (soundings may cross 180 degree) and south below north; "
     "latitudes are within -90 to 90."},
    {cell_unit, "`grid.cell` is an angle with EPSG:4326; cells of patches count in its unit."},
    {preset_alone, "`grid` has either `cell` or `preset`, which goes without `crs` and `patches`."},
    {grid_needed, "`grid` is required unless an inversion has `information`."},
    {something_to_do, "`soundings` is required unless an inversion has `information`."},
    {zones_source,
     "`zones` has either `file` (then also `id`) or `labels` (then an inversion has "
     "`information`)."},
    {label_ranges, "`zones.labels[].labels` are numbers and ranges: `1-15, 20`."},
    {unique,
     "Ids of patches, inventories, sinks and label zones, and gases of inversions and of `compare` "
     "occur "
     "once."},
    {references,
     "`prior`, `unscaled` and `compare[].inventory` name an inventory of the same gas."},
    {correlations,
     "A `correlation` other than none needs its `length`, and a `length` needs a "
     "correlation. `smoothness` goes with matern, which needs it; in space it is at most 0.5 on a "
     "grid in degrees (Gneiting 2013: no smoother Matern model holds over great circles)."},
    {inversions,
     "An inversion with a `prior` needs either `information` or `background` and soundings of its "
     "gas; `sigma` is required unless the prior is a table of activity; a `sink` is of co2 and "
     "goes without `sigma`; a `background.mean` of soundings needs their `background` and `per` "
     "overpass; keys without effect are refused."},
    {sky_rule_solvers,
     "Keys of an inversion that exclude each other: `levels` go without `correlation`, `length` "
     "and "
     "`tune`, with `sigma` and a projected grid, and their shares add up to 1; `sign` other than "
     "gaussian goes without `sink`, `levels`, `kernels` and `solver.huber` and with method auto or "
     "exact; `samples` need such a `sign`; `length` and `tau` are tuned where they are given; "
     "`solver.huber` needs an `error.along_track.share` below 1; keys of "
     "one method have no effect with another."},
    {sky_rule_sectors,
     "`sectors` have each its name and names of the inventory of its own; `sigma` stands in all of "
     "them, in the inversion, or nowhere, and not with a `sink`; sectors that mix have one "
     "`length`, "
     "and `mixing` is positive semi-definite."},
    {inventory_formats,
     "`variable`, `units` and `stated_resolution` belong to flux files, `region` to "
     "workbooks; a prior is a flux file."},
    {sky_rule_sinks,
     "A sink has either `maps` with `years` and `legend`, or a `flux` with its `sigma`. Maps: as "
     "many `years`, ascending within 1900 to 2200; either `factors`, `pools` or `climate` with "
     "`climate_sets`; either `soil` or `soil_map` with `soil_types`, without `pools`; management "
     "needs a soil; `accuracy` is above 0, and `map_correlation` needs it; `reference` takes two "
     "maps and no `accuracy`, `persistence` three maps, `measures` need `gwp`; keys without effect "
     "are refused. An inversion cannot start from a sink with `reference` or `persistence`."},
    {accounts,
     "A table of activity needs `account`, and `account` such a table; `account.region` needs "
     "`electricity` regional or provincial; a sector has one proxy."},
    {sounding_steps,
     "Entries of `soundings` with a gas in common have the same `clean`, `background`, `wind` and "
     "`boundary` keys; these need `background` boundary, and it needs them; `wind` needs "
     "`background` "
     "upwind."},
    {NULL, NULL},
};
