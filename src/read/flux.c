/* flux.c: gridded flux inventories to mol m-2 s-1 on their own grid.
 *
 * The variable, or the sum of all that match a pattern; units by core/units.h; a time mean weighted
 * by the length of each step (to the next one; the last counts as long as the one before it). A
 * cell without data in one of the summed variables has no data.
 *
 * A file taken as prior must have the cells that its values were made for. The text of its
 * attributes (history, title, comment, source, description, resolution) may state a source
 * resolution such as "0.1x0.1 degrees"; if the spacing of the axes differs by more than 1 %, every
 * n-th cell was picked and totals are wrong by chance. The statement does not count when the file
 * also says that it was regridded (an attribute regridder_used, or "regrid"/"remap" in the text):
 * then it speaks of what went in. Attributes about other files (prior_file_1_raw_resolution …) are
 * not looked at. */
#include "src/read/flux.h"

#include <ctype.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "grids/grid_area.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/timeutil.h"
#include "src/core/units.h"
#include "src/read/gridded.h"

#define SPACING_TOLERANCE 0.01 /* relative: source resolution against spacing */
#define TOTAL_TOLERANCE 0.01   /* relative: stated total against ours, a warning */

void sky_flux_free(sky_flux *f) {
  if (f == NULL) return;
  for (size_t i = 0; i < f->n_sectors && f->sector != NULL; i++)
    sky_free(f->sector[i]);
  sky_grid_free(&f->grid);
  sky_curvilinear_free(&f->cells);
  sky_free(f->area);
  sky_free(f->flux);
  sky_free(f->sector);
  sky_free(f->sector_total);
  memset(f, 0, sizeof *f);
}

/* ---- which variables ------------------------------------------------------------------------ */

static void free_names(char **names, size_t n) {
  for (size_t i = 0; i < n && names != NULL; i++)
    sky_free(names[i]);
  sky_free(names);
}

/* Without a name: gridded, and in a unit of flux. */
static sky_status is_flux_like(sky_context *ctx, sky_nc *f, const char *name, const char *gas,
                               bool *yes) {
  sky_nc_var info;
  double factor;
  SKY_TRY(sky_nc_info(ctx, f, name, &info));
  *yes = sky_gridded_suits(&info) && info.units[0] != '\0' &&
         sky_units_flux(ctx, info.units, gas, &factor) == SKY_OK;
  return SKY_OK;
}

static sky_status select_one(sky_context *ctx, sky_nc *f, const sky_flux_options *opt,
                             const char *name, bool *yes) {
  if (opt->variable == NULL) return is_flux_like(ctx, f, name, opt->gas, yes);
  *yes = fnmatch(opt->variable, name, 0) == 0;
  return SKY_OK;
}

/* Moves the chosen names to the front of names[0..n) and counts them. */
static sky_status choose(sky_context *ctx, sky_nc *f, const sky_flux_options *opt, char **names,
                         size_t n, size_t *chosen) {
  *chosen = 0;
  for (size_t i = 0; i < n; i++) {
    bool yes = false;
    SKY_TRY(select_one(ctx, f, opt, names[i], &yes));
    if (!yes) continue;
    char *name = names[i];
    names[i] = names[*chosen];
    names[(*chosen)++] = name;
  }
  if (*chosen == 0 && opt->variable != NULL)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: no variable '%s'", sky_nc_path(f), opt->variable);
  if (*chosen == 0)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: no gridded variable in a unit of flux; name one, with its units if the "
                    "file states none",
                    sky_nc_path(f));
  if (*chosen > 1 && opt->variable == NULL)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: %zu variables could be the flux (%s, %s, …); name one or a pattern",
                    sky_nc_path(f), *chosen, names[0], names[1]);
  return SKY_OK;
}

/* ---- which time steps ----------------------------------------------------------------------- */

typedef struct steps {
  size_t n;
  double *weight; /* [n] sums to 1; 0 = outside the period */
} steps;

/* Seconds of [from, to) inside the period of the options; NaN limits are open. */
static double overlap(const sky_flux_options *opt, double from, double to) {
  const double start = isnan(opt->start) ? from : fmax(from, opt->start);
  const double end = isnan(opt->end) ? to : fmin(to, opt->end);
  return end > start ? end - start : 0;
}

/* A step lasts until the next one, the last as long as the one before; a single one stands for all
 * times. */
static sky_status weigh_steps(sky_context *ctx, const sky_nc *nc, const sky_flux_options *opt,
                              const double *time, steps *s, sky_flux *f) {
  double total = 0;
  for (size_t i = 0; i < s->n; i++) {
    const size_t next = i + 1 < s->n ? i + 1 : i;
    const double length = s->n == 1 ? 1 : next > i ? time[next] - time[i] : time[i] - time[i - 1];
    if (!isfinite(time[i]) || !(length > 0))
      return sky_fail(ctx, SKY_E_FORMAT, "%s: time: steps do not ascend", sky_nc_path(nc));
    s->weight[i] = s->n == 1 ? 1 : overlap(opt, time[i], time[i] + length);
    if (s->weight[i] > 0 && f->n_times++ == 0) f->time_start = time[i];
    total += s->weight[i];
  }
  if (f->n_times == 0) {
    char first[24], last[24];
    sky_time_format(time[0], first, sizeof first);
    sky_time_format(time[s->n - 1], last, sizeof last);
    return sky_fail(ctx, SKY_E_NODATA, "%s: time: no step in the period; steps start %s to %s",
                    sky_nc_path(nc), first, last);
  }
  for (size_t i = 0; i < s->n; i++)
    s->weight[i] /= total;
  return SKY_OK;
}

static sky_status read_steps(sky_context *ctx, sky_nc *nc, const sky_flux_options *opt,
                             const sky_gridded *g, steps *s, sky_flux *f) {
  double *time = NULL;
  size_t n = 0;
  s->n = g->n_time;
  f->time_start = NAN;
  if (s->n == 0) return sky_fail(ctx, SKY_E_NODATA, "%s: time: no step", sky_nc_path(nc));
  s->weight = SKY_NEW(ctx, double, s->n);
  if (s->weight == NULL) return SKY_E_NOMEM;
  if (!g->has_time) {
    f->n_times = 1;
    s->weight[0] = 1;
    return SKY_OK;
  }
  SKY_TRY(sky_nc_read_time(ctx, nc, g->time_dim, &n, &time));
  const sky_status st = n == s->n ? weigh_steps(ctx, nc, opt, time, s, f)
                                  : sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu times for %zu steps",
                                             sky_nc_path(nc), g->time_dim, n, s->n);
  sky_free(time);
  return st;
}

/* ---- values --------------------------------------------------------------------------------- */

static sky_status unit_factor(sky_context *ctx, const sky_nc *nc, const char *var,
                              const sky_nc_var *info, const sky_flux_options *opt, char units[128],
                              double *factor) {
  const char *unit = info->units[0] != '\0' ? info->units : opt->units;
  if (unit == NULL)
    return sky_fail(ctx, SKY_E_UNITS,
                    "%s: %s: the file states no units; state them (e.g. 'kg m-2 s-1')",
                    sky_nc_path(nc), var);
  snprintf(units, 128, "%s", unit);
  const sky_status st = sky_units_flux(ctx, unit, opt->gas, factor);
  return st == SKY_OK ? st : sky_fail_in(ctx, st, "%s: %s: ", sky_nc_path(nc), var);
}

/* kg yr-1 over the grid; cells without data count as unknown, not as zero, and are left out. */
static double total_kg(const double *flux, const double *area, size_t n, double molar_mass) {
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < n; i++)
    if (!isnan(flux[i])) sky_acc_add(&sum, flux[i] * area[i]);
  return sky_acc_value(&sum) * molar_mass * SKY_SECONDS_PER_YEAR;
}

static sky_status read_sector(sky_context *ctx, sky_nc *nc, const char *var, const sky_gridded *g,
                              const steps *s, const sky_flux_options *opt, char units[128],
                              double *out) {
  sky_nc_var info;
  double *v = NULL, factor = 1;
  SKY_TRY(sky_nc_info(ctx, nc, var, &info));
  bool same = info.ndims == g->info.ndims;
  for (int d = 0; d < info.ndims && same; d++)
    same = strcmp(info.dim[d], g->info.dim[d]) == 0;
  if (!same)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: %s: dimensions differ from those of the first sector",
                    sky_nc_path(nc), var);
  SKY_TRY(unit_factor(ctx, nc, var, &info, opt, units, &factor));
  SKY_TRY(sky_gridded_values(ctx, nc, var, &info, &v));
  const size_t cells = sky_grid_cells(&g->grid);
  for (size_t i = 0; i < cells; i++) {
    double sum = 0;
    for (size_t t = 0; t < s->n; t++)
      if (s->weight[t] > 0) sum += s->weight[t] * v[sky_gridded_at(g, t, i)];
    out[i] = sum * factor;
  }
  sky_free(v);
  return SKY_OK;
}

/* ---- the stated source resolution ----------------------------------------------------------- */

/* "0.1x0.1 degrees", "0.5 x 0.5 degree", "0.25°×0.25°": two numbers around a cross, then degrees.
 */
static bool find_resolution(const char *text, double *a, double *b) {
  for (const char *p = text; *p != '\0'; p++) {
    if (!isdigit((unsigned char)*p) ||
        (p > text && (isdigit((unsigned char)p[-1]) || p[-1] == '.')))
      continue;
    const char *rest = NULL;
    if (!sky_number_parse(p, a, &rest)) continue;
    static const char degree[] = "°", cross[] = "×";
    if (strncmp(rest, degree, sizeof degree - 1) == 0) rest += sizeof degree - 1;
    while (*rest == ' ')
      rest++;
    if (*rest == 'x' || *rest == 'X' || *rest == '*')
      rest++;
    else if (strncmp(rest, cross, sizeof cross - 1) == 0)
      rest += sizeof cross - 1;
    else
      continue;
    if (!sky_number_parse(rest, b, &rest)) continue;
    while (*rest == ' ')
      rest++;
    if (strncmp(rest, degree, sizeof degree - 1) == 0 || strncasecmp(rest, "deg", 3) == 0)
      return *a > 0 && *b > 0;
  }
  return false;
}

static sky_status stated_resolution(sky_context *ctx, sky_nc *nc, double *a, double *b) {
  static const char *const places[] = {"resolution", "history",     "title",
                                       "comment",    "description", "source"};
  char *text = NULL;
  bool regridded = false, found = false;
  SKY_TRY(sky_nc_attr_text(ctx, nc, "", "regridder_used", &text));
  regridded = text != NULL;
  sky_free(text);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    SKY_TRY(sky_nc_attr_text(ctx, nc, "", places[i], &text));
    if (text == NULL) continue;
    regridded =
        regridded || strcasestr(text, "regrid") != NULL || strcasestr(text, "remap") != NULL;
    if (!found) found = find_resolution(text, a, b);
    sky_free(text);
  }
  if (!found || regridded) *a = *b = NAN;
  return SKY_OK;
}

static bool spacing_is(const sky_gridded *g, double x, double y) {
  return fabs(g->spacing_x - x) <= SPACING_TOLERANCE * x &&
         fabs(g->spacing_y - y) <= SPACING_TOLERANCE * y;
}

static sky_status check_resolution(sky_context *ctx, sky_nc *nc, const sky_gridded *g,
                                   bool curvilinear, const sky_flux_options *opt) {
  double x = opt->stated_dx, y = opt->stated_dy;
  if (isnan(x) || isnan(y)) SKY_TRY(stated_resolution(ctx, nc, &x, &y));
  if (isnan(x) || isnan(y)) return SKY_OK;
  if (curvilinear) {
    sky_log(ctx, SKY_LOG_WARN,
            "%s: the stated resolution of %.4g x %.4g degrees cannot be compared with the cells of "
            "a curvilinear grid",
            sky_nc_path(nc), x, y);
    return SKY_OK;
  }
  if (spacing_is(g, x, y) || spacing_is(g, y, x)) return SKY_OK;
  return sky_fail(ctx, SKY_E_COVERAGE,
                  "%s: cells are %.4g x %.4g degrees apart, but the values are of %.4g x %.4g "
                  "degrees; single cells of a finer grid cannot serve as a prior",
                  sky_nc_path(nc), g->spacing_x, g->spacing_y, x, y);
}

/* ---- the stated total ----------------------------------------------------------------------- */

/* total_emi_<gas> = "   3.65667e+011 kg/year" of the variable. */
static sky_status stated_total(sky_context *ctx, sky_nc *nc, const char *var, const char *gas,
                               double *total) {
  char name[32], *text = NULL;
  snprintf(name, sizeof name, "total_emi_%s", gas);
  *total = NAN;
  SKY_TRY(sky_nc_attr_text(ctx, nc, var, name, &text));
  double value, scale, offset;
  const char *unit = NULL;
  if (text != NULL && sky_number_parse(text, &value, &unit) &&
      sky_units_convert(ctx, unit, "kg/year", &scale, &offset) == SKY_OK)
    *total = value * scale;
  sky_free(text);
  return SKY_OK;
}

static void log_totals(sky_context *ctx, const char *path, const sky_flux *f) {
  sky_log(ctx, SKY_LOG_INFO, "%s: %s total %.6g kg yr-1 from %zu variables, %zu time steps", path,
          f->gas, f->total, f->n_sectors, f->n_times);
  if (isnan(f->stated_total)) return;
  const bool agree = fabs(f->total - f->stated_total) <= TOTAL_TOLERANCE * fabs(f->stated_total);
  sky_log(ctx, agree ? SKY_LOG_INFO : SKY_LOG_WARN,
          "%s: the file states a total of %.6g kg yr-1, its cells give %.6g", path, f->stated_total,
          f->total);
}

/* ---- the gas -------------------------------------------------------------------------------- */

static sky_status wrong_gas(sky_context *ctx, const sky_nc *nc, const char *where, const char *what,
                            const char *gas) {
  return sky_fail(ctx, SKY_E_GAS, "%s: %s: holds %s, expected %s", sky_nc_path(nc), where, what,
                  gas);
}

/* The attribute `species`, of the variable or of the file, and a gas in the variable's own name
 * (emi_co2, EmisCH4_Oil) must not name another gas that we know. */
static sky_status check_gas(sky_context *ctx, sky_nc *nc, const char *var, const char *gas) {
  const char *const owner[] = {var, ""};
  for (size_t k = 0; k < 2; k++) {
    char *text = NULL;
    SKY_TRY(sky_nc_attr_text(ctx, nc, owner[k], "species", &text));
    for (size_t i = 0; text != NULL && i < sky_species_count(); i++) {
      const char *other = sky_species_at(i)->id;
      if (strcasecmp(text, other) == 0 && strcmp(other, gas) != 0) {
        const sky_status st = wrong_gas(ctx, nc, "species", text, gas);
        sky_free(text);
        return st;
      }
    }
    sky_free(text);
  }
  if (strcasestr(var, gas) != NULL) return SKY_OK;
  for (size_t i = 0; i < sky_species_count(); i++)
    if (strcasestr(var, sky_species_at(i)->id) != NULL)
      return wrong_gas(ctx, nc, var, sky_species_at(i)->formula, gas);
  return SKY_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

static sky_status sum_sectors(sky_context *ctx, sky_nc *nc, char **names, size_t n,
                              const sky_gridded *g, const steps *s, const sky_flux_options *opt,
                              double molar_mass, sky_flux *f) {
  sky_status st = SKY_OK;
  const size_t cells = sky_grid_cells(&g->grid);
  double *one = NULL;
  SKY_GO_ALLOC(one, SKY_NEW(ctx, double, cells));
  SKY_GO_ALLOC(f->area, SKY_NEW(ctx, double, cells));
  SKY_GO_ALLOC(f->flux, SKY_NEW0(ctx, double, cells));
  SKY_GO_ALLOC(f->sector, SKY_NEW0(ctx, char *, n));
  SKY_GO_ALLOC(f->sector_total, SKY_NEW0(ctx, double, n));
  if (f->cells.nx > 0)
    memcpy(f->area, f->cells.area, cells * sizeof *f->area);
  else
    SKY_GO(sky_grid_areas(ctx, &g->grid, f->area));
  f->n_sectors = n;
  for (size_t k = 0; k < n; k++) {
    SKY_GO_ALLOC(f->sector[k], sky_strdup(ctx, names[k]));
    SKY_GO(check_gas(ctx, nc, names[k], opt->gas));
    SKY_GO(read_sector(ctx, nc, names[k], g, s, opt, f->units, one));
    f->sector_total[k] = total_kg(one, f->area, cells, molar_mass);
    for (size_t i = 0; i < cells; i++)
      f->flux[i] += one[i];
  }
  f->total = total_kg(f->flux, f->area, cells, molar_mass);
cleanup:
  sky_free(one);
  return st;
}

sky_status sky_flux_names(sky_context *ctx, const char *path, const sky_flux_options *opt,
                          char ***names, size_t *n) {
  sky_nc *nc = NULL;
  char **all = NULL;
  size_t n_all = 0, chosen = 0;
  sky_status st = SKY_OK;
  *names = NULL;
  *n = 0;
  SKY_GO(sky_nc_open(ctx, path, &nc));
  SKY_GO(sky_nc_variables(ctx, nc, &all, &n_all));
  SKY_GO(choose(ctx, nc, opt, all, n_all, &chosen));
  for (size_t i = chosen; i < n_all; i++)
    sky_free(all[i]);
  *names = all;
  *n = chosen;
  all = NULL;
cleanup:
  free_names(all, n_all);
  sky_nc_close(nc);
  return st;
}

sky_status sky_flux_read(sky_context *ctx, const char *path, const sky_flux_options *opt,
                         sky_flux *out) {
  sky_status st = SKY_OK;
  sky_nc *nc = NULL;
  sky_gridded g = {0};
  sky_flux f = {.stated_total = NAN};
  steps s = {0};
  char **names = NULL, *title = NULL;
  size_t n_names = 0, n = 0;
  const sky_species *gas = sky_species_find(opt->gas);
  if (gas == NULL) return sky_fail(ctx, SKY_E_GAS, "%s: '%s' is not a known gas", path, opt->gas);
  snprintf(f.gas, sizeof f.gas, "%s", opt->gas);
  SKY_GO(sky_nc_open(ctx, path, &nc));
  SKY_GO(sky_nc_variables(ctx, nc, &names, &n_names));
  SKY_GO(choose(ctx, nc, opt, names, n_names, &n));
  SKY_GO(sky_gridded_open_cells(ctx, nc, names[0], &g, &f.cells));
  if (opt->as_prior) SKY_GO(check_resolution(ctx, nc, &g, f.cells.nx > 0, opt));
  SKY_GO(read_steps(ctx, nc, opt, &g, &s, &f));
  SKY_GO(sum_sectors(ctx, nc, names, n, &g, &s, opt, gas->molar_mass, &f));
  if (n == 1) SKY_GO(stated_total(ctx, nc, names[0], opt->gas, &f.stated_total));
  SKY_GO(sky_nc_attr_text(ctx, nc, "", "title", &title));
  snprintf(f.title, sizeof f.title, "%s", title != NULL ? title : "");
  f.grid = g.grid;
  memset(&g.grid, 0, sizeof g.grid);
  log_totals(ctx, path, &f);
cleanup:
  free_names(names, n_names);
  sky_free(title);
  sky_free(s.weight);
  sky_nc_close(nc);
  sky_gridded_free(&g);
  if (st != SKY_OK) {
    sky_flux_free(&f);
    return st;
  }
  *out = f;
  return SKY_OK;
}
