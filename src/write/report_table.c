/* report_table.c: the tables of the report page, and how it writes numbers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/species.h"
#include "src/write/report_parts.h"
#include "src/write/style.h"

#define DASH "\xe2\x80\x93"                /* – */
#define NARROW_SPACE "\xe2\x80\xaf"        /* does not break */
#define PLUS_MINUS "\xc2\xb1"              /* ± */
#define PER_YEAR " yr\xe2\x81\xbb\xc2\xb9" /* yr⁻¹ */

void sky_html_put(sky_text *t, const char *s) {
  for (; s != NULL && *s != '\0'; s++) {
    switch (*s) {
      case '&':
        sky_text_put(t, "&amp;");
        break;
      case '<':
        sky_text_put(t, "&lt;");
        break;
      case '>':
        sky_text_put(t, "&gt;");
        break;
      case '"':
        sky_text_put(t, "&quot;");
        break;
      case '\'':
        sky_text_put(t, "&#39;");
        break;
      default:
        sky_text_add(t, s, 1);
    }
  }
}

void sky_unit_pretty(const char *unit, char out[96]) {
  static const char *const power[] = {"\xe2\x81\xb0", "\xc2\xb9", "\xc2\xb2", "\xc2\xb3",
                                      "\xe2\x81\xb4"};
  size_t n = 0;
  for (const char *p = unit; *p != '\0' && n < 88; p++) {
    const bool after_letter = p > unit && p[-1] >= 'a' && p[-1] <= 'z';
    const char *piece = NULL;
    if (*p == '-' && after_letter && p[1] >= '1' && p[1] <= '4') {
      piece = "\xe2\x81\xbb";
    } else if (*p >= '1' && *p <= '4' && p > unit && (p[-1] == '-' || after_letter)) {
      piece = power[*p - '0'];
    } else if (*p == 'u' && (p == unit || p[-1] == ' ') && (p[1] == 'm' || p[1] == 'g')) {
      piece = "\xc2\xb5";
    }
    if (piece != NULL) {
      n += (size_t)snprintf(out + n, 96 - n, "%s", piece);
    } else {
      out[n++] = *p;
    }
  }
  out[n] = '\0';
}

const char *sky_report_gas(const char *gas) {
  const sky_species *species = gas == NULL ? NULL : sky_species_find(gas);
  return species != NULL ? species->formula : gas == NULL ? "" : gas;
}

static sky_mass_scale scale_for(double largest) {
  if (largest >= 1e9) return (sky_mass_scale){1e-9, "Gt" PER_YEAR};
  if (largest >= 1e6) return (sky_mass_scale){1e-6, "Mt" PER_YEAR};
  if (largest >= 1e3) return (sky_mass_scale){1e-3, "kt" PER_YEAR};
  return (sky_mass_scale){1, "t" PER_YEAR};
}

static bool is_gas(const sky_zone_row *row, const char *gas) {
  return row->gas != NULL && strcmp(row->gas, gas) == 0;
}

sky_mass_scale sky_report_scale(const sky_report *r, const char *gas) {
  double largest = 0;
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (!is_gas(row, gas)) continue;
    const double mass[] = {row->prior, row->posterior, row->inventory, row->scope2};
    for (size_t k = 0; k < sizeof mass / sizeof *mass; k++)
      largest = fmax(largest, fabs(mass[k])); /* skips NaN */
  }
  return scale_for(largest);
}

sky_mass_scale sky_report_sink_scale(const sky_report *r, const char *gas) {
  double largest = 0;
  for (size_t i = 0; i < r->n_rows; i++)
    if (is_gas(&r->rows[i], gas)) largest = fmax(largest, fabs(r->rows[i].sink));
  return scale_for(largest);
}

/* Decimals that show `digits` significant digits of v. */
static int decimals(double v, int digits) {
  if (!(fabs(v) > 0)) return 0;
  const int place = digits - 1 - (int)floor(log10(fabs(v)));
  return place < 0 ? 0 : place;
}

/* Whole number with its thousands apart: 812 345. */
static void put_grouped(double v, char out[96]) {
  char digits[64];
  const int n = snprintf(digits, sizeof digits, "%.0f", v);
  size_t at = 0;
  for (int i = 0; i < n && at < 90; i++) {
    const int left = n - i;
    if (i > 0 && digits[i - 1] != '-' && left % 3 == 0) {
      at += (size_t)snprintf(out + at, 96 - at, NARROW_SPACE);
    }
    out[at++] = digits[i];
  }
  out[at] = '\0';
}

void sky_report_plus_minus(double value, double sd, char out[96]) {
  if (isnan(value)) {
    snprintf(out, 96, DASH);
  } else if (isinf(value)) {
    snprintf(out, 96, value > 0 ? "\xe2\x88\x9e" : "-\xe2\x88\x9e");
  } else if (isfinite(sd) && sd > 0 && decimals(sd, 2) <= 6) {
    snprintf(out, 96, "%.*f " PLUS_MINUS " %.*f", decimals(sd, 2), value, decimals(sd, 2), sd);
  } else if (isfinite(sd) && sd > 0) {
    snprintf(out, 96, "%.3g " PLUS_MINUS " %.2g", value, sd);
  } else if (fabs(value) >= 1000 && fabs(value) < 1e15) {
    put_grouped(value, out);
  } else {
    snprintf(out, 96, "%.4g", value);
  }
}

void sky_report_percent(double share, char out[96]) {
  const double v = 100 * share;
  const int places = decimals(v, 2);
  if (isfinite(v))
    snprintf(out, 96, "%.*f %%", places < 6 ? places : 6, v);
  else
    snprintf(out, 96, DASH);
}

bool sky_report_has_flux(const sky_zone_row *row) {
  return isfinite(row->posterior) || isfinite(row->prior) || isfinite(row->inventory);
}

static bool has_column(const sky_zone_row *row) {
  return isfinite(row->column_mean) || row->n_soundings > 0;
}

/* ---- facts ---- */

static bool has_section(const sky_report *r, const char *section) {
  for (size_t i = 0; i < r->n_facts; i++)
    if (strcmp(r->facts[i].section, section) == 0) return true;
  return false;
}

static void put_facts(sky_text *t, const sky_report *r, const char *section) {
  const char *above = "";
  if (!has_section(r, section)) return;
  sky_text_put(t, "<table class=\"facts\"><tbody>\n");
  for (size_t i = 0; i < r->n_facts; i++) {
    const sky_report_fact *f = &r->facts[i];
    if (strcmp(f->section, section) != 0) continue;
    sky_text_put(t, "<tr><th scope=\"row\">");
    if (strcmp(f->label, above) != 0) sky_html_put(t, f->label); /* not again in every row */
    above = f->label;
    sky_text_put(t, "</th><td>");
    sky_html_put(t, f->value);
    sky_text_put(t, "</td></tr>\n");
  }
  sky_text_put(t, "</tbody></table>\n");
}

/* ---- tables ---- */

static void put_head(sky_text *t, const char *caption, const char *const *heads, size_t n,
                     const char *numbers) {
  sky_text_printf(t, "<table class=\"cards\">\n<caption>%s</caption>\n<thead><tr>", caption);
  for (size_t i = 0; i < n; i++) {
    sky_text_printf(t, "<th scope=\"col\"%s>%s</th>", numbers[i] == 'n' ? " class=\"number\"" : "",
                    heads[i]);
  }
  sky_text_put(t, "</tr></thead>\n<tbody>\n");
}

static void put_zone(sky_text *t, const sky_zone_row *row) {
  sky_text_put(t, "<th scope=\"row\">");
  sky_html_put(t,
               row->zone_name != NULL && row->zone_name[0] != '\0' ? row->zone_name : row->zone_id);
  sky_text_put(t, "</th>");
}

/* label and unit are ours or come from tables: safe as they are. */
static void put_number(sky_text *t, const char *label, double value, double sd, const char *unit) {
  char text[96];
  sky_report_plus_minus(value, sd, text);
  sky_text_printf(t, "<td class=\"number\" data-label=\"%s\"><span>%s%s%s</span></td>", label, text,
                  isfinite(value) && unit[0] != '\0' ? " " : "", isfinite(value) ? unit : "");
}

static void put_status(sky_text *t, const sky_zone_row *row) {
  const char *status = row->status == NULL ? "" : row->status;
  sky_text_put(t, "<td data-label=\"Status\"><span>");
  if (status[0] != '\0') {
    sky_text_printf(t, "<span class=\"status\"><span class=\"dot\" style=\"background:%s\"></span>",
                    sky_status_colour(status));
    sky_html_put(t, status);
    sky_text_put(t, "</span>");
  } else {
    sky_text_put(t, DASH);
  }
  if (row->reason != NULL && row->reason[0] != '\0') {
    sky_text_put(t, "<small>");
    sky_html_put(t, row->reason);
    sky_text_put(t, "</small>");
  }
  sky_text_put(t, "</span></td>");
}

void sky_report_statuses(sky_text *t) {
  static const char *const meaning[] = {
      "The satellite estimate and the inventory agree within their uncertainties.",
      "The satellite estimate is above the inventory by more than chance explains.",
      "The satellite estimate is below the inventory by more than chance explains.",
      "The observations say too little about this zone to judge its inventory.",
      "Model and observations disagree so much here that neither is trusted; check winds, "
      "background "
      "and errors.",
      "There is no observation, no footprint or no comparable inventory line; see the reason."};
  const sky_status_style *styles = NULL;
  const size_t n = sky_status_styles(&styles);
  sky_text_put(t, "<dl class=\"statuses\">\n");
  for (size_t i = 0; i < n && i < sizeof meaning / sizeof meaning[0]; i++) {
    sky_text_printf(t,
                    "<dt><span class=\"dot\" style=\"background:%s\"></span>%s</dt><dd>%s</dd>\n",
                    styles[i].colour, styles[i].status, meaning[i]);
  }
  sky_text_put(t, "</dl>\n");
}

/* Masses of a row in its two tables, each shown for a gas of which any row has it. */
typedef struct mass {
  const char *key, *head;
  size_t value, sd;
} mass;
#define PAIR(name) offsetof(sky_zone_row, name), offsetof(sky_zone_row, name##_sd)
static const mass compared[] = {{"prior", "Prior", PAIR(prior)},
                                {"posterior", "Top-down", PAIR(posterior)},
                                {"inventory", "Inventory", PAIR(inventory)},
                                {"best", "Best estimate", PAIR(best)},
                                {"scope2", "Scope 2, beside", PAIR(scope2)}};
static const mass sinks[] = {{"sink", "Ecosystems, prior", PAIR(sink)},
                             {"sink_posterior", "Ecosystems, top-down", PAIR(sink_posterior)},
                             {"net_posterior", "Net of emission and uptake", PAIR(net_posterior)}};
#define MOST_MASSES 5

static double member(const sky_zone_row *row, size_t offset) {
  return *(const double *)((const char *)row + offset);
}

static bool gas_has(const sky_report *r, const char *gas, size_t offset) {
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (is_gas(row, gas) && isfinite(member(row, offset))) return true;
  }
  return false;
}

/* What stands in small print below a mass. */
static void put_note(sky_text *t, const sky_zone_row *row, const char *key, double factor) {
  char text[96], seen[96];
  if (strcmp(key, "best") == 0 && row->best_from != NULL && row->best_from[0] != '\0') {
    sky_text_put(t, "<small>");
    sky_html_put(t, row->best_from);
    sky_text_put(t, "</small>");
  } else if (strcmp(key, "inventory") == 0 && isfinite(row->inventory_seen)) {
    sky_report_plus_minus(factor * row->inventory, NAN, text);
    sky_report_plus_minus(factor * row->inventory_seen, NAN, seen);
    if (strcmp(text, seen) != 0) /* nothing to say where it is the prior itself */
      sky_text_printf(t, "<small>as the observations see it: %s</small>", seen);
  }
}

static void put_mass(sky_text *t, const sky_zone_row *row, const mass *m, double factor) {
  char text[96];
  sky_report_plus_minus(factor * member(row, m->value), factor * member(row, m->sd), text);
  sky_text_printf(t, "<td class=\"number\" data-key=\"%s\" data-label=\"%s\"><span>%s", m->key,
                  m->head, text);
  put_note(t, row, m->key, factor);
  sky_text_put(t, "</span></td>");
}

/* The share of the variance that the observations removed, and what they would find. */
static void put_information(sky_text *t, const sky_zone_row *row, double factor) {
  char share[96], found[96];
  sky_report_percent(row->reduction, share);
  sky_report_plus_minus(factor * row->detectable, NAN, found);
  sky_text_printf(t,
                  "<td class=\"number\" data-key=\"reduction\" data-label=\"Information\"><span>%s"
                  "</span></td><td class=\"number\" data-key=\"detectable\" "
                  "data-label=\"Detectable\"><span>%s</span></td>",
                  share, isinf(row->detectable) ? "nothing" : found);
}

static void put_level(sky_text *t, const char *level, size_t columns) {
  if (level[0] == '\0') return;
  sky_text_printf(t, "<tr class=\"level\"><th scope=\"rowgroup\" colspan=\"%zu\">", columns);
  sky_html_put(t, level);
  sky_text_put(t, "</th></tr>\n");
}

typedef struct masses_table {
  const char *gas, *of; /* of: what the caption says after the gas */
  sky_mass_scale scale;
  size_t n;
  const mass *mass;
  bool verdict; /* status and information stand behind the masses */
} masses_table;

static void put_masses_row(sky_text *t, const masses_table *m, const bool *shown,
                           const sky_zone_row *row) {
  sky_text_put(t, "<tr data-zone=\"");
  sky_html_put(t, row->zone_id);
  sky_text_printf(t, "\" data-gas=\"%s\">", m->gas);
  put_zone(t, row);
  for (size_t k = 0; k < m->n; k++)
    if (shown[k]) put_mass(t, row, &m->mass[k], m->scale.factor);
  if (m->verdict) {
    put_status(t, row);
    put_information(t, row, m->scale.factor);
  }
  sky_text_put(t, "</tr>\n");
}

static void put_masses(sky_text *t, const sky_report *r, const masses_table *m) {
  bool shown[MOST_MASSES];
  size_t columns = m->verdict ? 4 : 1; /* zone, status, information, detectable */
  sky_text_printf(t,
                  "<table class=\"cards comparison\">\n<caption>%s%s in %s, with one standard "
                  "deviation</caption>\n<thead><tr><th scope=\"col\">Zone</th>",
                  sky_report_gas(m->gas), m->of, m->scale.unit);
  for (size_t k = 0; k < m->n; k++) {
    shown[k] = gas_has(r, m->gas, m->mass[k].value);
    columns += shown[k];
    if (shown[k]) sky_text_printf(t, "<th scope=\"col\" class=\"number\">%s</th>", m->mass[k].head);
  }
  if (m->verdict)
    sky_text_put(t,
                 "<th scope=\"col\">Status</th><th scope=\"col\" class=\"number\">Information"
                 "</th><th scope=\"col\" class=\"number\">Detectable</th>");
  sky_text_put(t, "</tr></thead>\n");
  for (size_t i = 0; i < r->n_rows; i++) {
    if (!is_gas(&r->rows[i], m->gas) || !sky_report_opens_group(r, i)) continue;
    sky_text_put(t, "<tbody>\n");
    put_level(t, sky_report_level(&r->rows[i]), columns);
    for (size_t j = i; j < r->n_rows; j++)
      if (sky_report_one_group(&r->rows[j], &r->rows[i])) put_masses_row(t, m, shown, &r->rows[j]);
    sky_text_put(t, "</tbody>\n");
  }
  sky_text_put(t, "</table>\n");
}

void sky_report_comparison(sky_text *t, const sky_report *r, const char *gas) {
  const masses_table m = {
      gas, "", sky_report_scale(r, gas), sizeof compared / sizeof *compared, compared, true};
  put_masses(t, r, &m);
}

void sky_report_sinks(sky_text *t, const sky_report *r) {
  bool any = has_section(r, "Sinks");
  for (size_t i = 0; i < r->n_rows; i++)
    any = any || isfinite(r->rows[i].sink);
  if (!any) return;
  sky_text_put(t,
               "<section>\n<h2>Sinks</h2>\n<p class=\"note\">What ecosystems exchange with the "
               "atmosphere: uptake is negative.</p>\n");
  for (size_t i = 0; i < r->n_rows; i++) {
    const char *gas = r->rows[i].gas;
    if (!sky_report_opens_gas(r, i) || !gas_has(r, gas, offsetof(sky_zone_row, sink))) continue;
    const masses_table m = {
        gas,  " of ecosystems", sky_report_sink_scale(r, gas), sizeof sinks / sizeof *sinks, sinks,
        false};
    put_masses(t, r, &m);
  }
  put_facts(t, r, "Sinks");
  sky_text_put(t, "</section>\n");
}

void sky_report_observations(sky_text *t, const sky_report *r) {
  static const char *const heads[] = {"Zone",        "Gas",  "Soundings",
                                      "Mean column", "Area", "Inside the grid"};
  bool any = false;
  for (size_t i = 0; i < r->n_rows; i++)
    any = any || has_column(&r->rows[i]);
  if (!any) return;
  sky_text_put(t, "<section>\n<h2>Observations</h2>\n");
  put_head(t,
           "Good soundings in each zone, and their mean column with the standard deviation of the "
           "mean.",
           heads, 6, "--nnnn");
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (!has_column(row)) continue;
    const sky_species *gas = row->gas == NULL ? NULL : sky_species_find(row->gas);
    sky_text_put(t, "<tr>");
    put_zone(t, row);
    sky_text_printf(t, "<td data-label=\"Gas\">%s</td>", sky_report_gas(row->gas));
    put_number(t, "Soundings", row->n_soundings, NAN, "");
    put_number(t, "Mean column", row->column_mean, row->column_sd,
               gas == NULL ? "" : gas->column_unit);
    put_number(t, "Area", row->area_km2, NAN, "km\xc2\xb2");
    put_number(t, "Inside the grid", 100 * row->covered_fraction, NAN, "%");
    sky_text_put(t, "</tr>\n");
  }
  sky_text_put(t, "</tbody></table>\n</section>\n");
}

/* ---- sections of facts ---- */

/* Sections with their headings, in order; NULL: the page says it elsewhere. */
static const struct {
  const char *section, *title;
} sections[] = {{"how sure", "How sure is this"},
                {"Sectors", "Sectors"},
                {"Account", "The account, scopes apart"},
                {"inputs", "What was read"},
                {"diagnostics", "Diagnostics"},
                {"audit", "Mass audit"},
                {"sources", "Sources"},
                {"Sinks", NULL},
                {"scope 2", NULL},
                {"warnings", NULL},
                {"Comparison", NULL},
                {"Columns", NULL}};
#define N_SECTIONS (sizeof sections / sizeof sections[0])

static bool is_listed(const char *section) {
  for (size_t k = 0; k < N_SECTIONS; k++) {
    if (strcmp(sections[k].section, section) == 0) return true;
  }
  return false;
}

static void put_section(sky_text *t, const sky_report *r, const char *section, const char *title) {
  if (!has_section(r, section)) return;
  sky_text_put(t, "<section>\n<h2>");
  sky_html_put(t, title);
  sky_text_put(t, "</h2>\n");
  put_facts(t, r, section);
  sky_text_put(t, "</section>\n");
}

void sky_report_facts(sky_text *t, const sky_report *r) {
  for (size_t k = 0; k < N_SECTIONS; k++) {
    if (sections[k].title != NULL) put_section(t, r, sections[k].section, sections[k].title);
  }
  for (size_t i = 0; i < r->n_facts;
       i++) { /* a section that is not in the list: once, at its first */
    const char *section = r->facts[i].section;
    bool seen = is_listed(section);
    for (size_t k = 0; k < i && !seen; k++)
      seen = strcmp(r->facts[k].section, section) == 0;
    if (!seen) put_section(t, r, section, section);
  }
}
