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

sky_mass_scale sky_report_scale(const sky_report *r, const char *gas) {
  double largest = 0;
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (row->gas == NULL || strcmp(row->gas, gas) != 0) continue;
    const double mass[] = {row->prior, row->posterior, row->inventory};
    for (size_t k = 0; k < 3; k++)
      largest = fmax(largest, fabs(mass[k])); /* skips NaN */
  }
  if (largest >= 1e9) return (sky_mass_scale){1e-9, "Gt" PER_YEAR};
  if (largest >= 1e6) return (sky_mass_scale){1e-6, "Mt" PER_YEAR};
  if (largest >= 1e3) return (sky_mass_scale){1e-3, "kt" PER_YEAR};
  return (sky_mass_scale){1, "t" PER_YEAR};
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

bool sky_report_has_flux(const sky_zone_row *row) {
  return isfinite(row->posterior) || isfinite(row->prior) || isfinite(row->inventory);
}

bool sky_report_has_column(const sky_zone_row *row) {
  return isfinite(row->column_mean) || row->n_soundings > 0;
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
  sky_text_put(t, "<tr><th scope=\"row\">");
  sky_html_put(t,
               row->zone_name != NULL && row->zone_name[0] != '\0' ? row->zone_name : row->zone_id);
  sky_text_put(t, "</th><td data-label=\"Gas\">");
  sky_html_put(t, sky_report_gas(row->gas));
  sky_text_put(t, "</td>");
}

/* label and unit are ours or come from tables: safe as they are. */
static void put_number(sky_text *t, const char *label, double value, double sd, const char *unit) {
  char text[96];
  sky_report_plus_minus(value, sd, text);
  sky_text_printf(t, "<td class=\"number\" data-label=\"%s\"><span>%s%s%s</span></td>", label, text,
                  isfinite(value) && unit[0] != '\0' ? " " : "", isfinite(value) ? unit : "");
}

static void put_bottom_up(sky_text *t, const sky_zone_row *row, const sky_mass_scale *scale) {
  char text[96];
  sky_report_plus_minus(scale->factor * row->inventory, scale->factor * row->inventory_sd, text);
  sky_text_printf(t, "<td class=\"number\" data-label=\"Bottom-up\"><span>%s%s%s", text,
                  isfinite(row->inventory) ? " " : "", isfinite(row->inventory) ? scale->unit : "");
  if (row->inventory_id != NULL && row->inventory_id[0] != '\0') {
    sky_text_put(t, "<small>");
    sky_html_put(t, row->inventory_id);
    sky_text_put(t, "</small>");
  }
  if (isfinite(row->inventory_seen)) {
    sky_report_plus_minus(scale->factor * row->inventory_seen, NAN, text);
    sky_text_printf(t, "<small>as the observations see it: %s</small>", text);
  }
  sky_text_put(t, "</span></td>");
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

static void put_detectable(sky_text *t, const sky_zone_row *row, const sky_mass_scale *scale) {
  if (isinf(row->detectable)) {
    sky_text_put(t, "<td class=\"number\" data-label=\"Detectable\"><span>nothing</span></td>");
  } else {
    put_number(t, "Detectable", scale->factor * row->detectable, NAN, scale->unit);
  }
}

static void put_statuses(sky_text *t) {
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

void sky_report_comparison(sky_text *t, const sky_report *r) {
  static const char *const heads[] = {
      "Zone",      "Gas", "Prior", "Top-down", "Bottom-up", "Status", "Information gained",
      "Detectable"};
  put_head(t,
           "Totals per year with one standard deviation. Prior: what was assumed before the "
           "observations; top-down: after them; bottom-up: the inventory. Information gained: the "
           "share of the prior variance that the observations removed. Detectable: the smallest "
           "error of the inventory that would be found with 80 % power.",
           heads, 8, "--nnn-nn");
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    const sky_mass_scale scale = sky_report_scale(r, row->gas == NULL ? "" : row->gas);
    const double f = scale.factor;
    put_zone(t, row);
    put_number(t, "Prior", f * row->prior, f * row->prior_sd, scale.unit);
    put_number(t, "Top-down", f * row->posterior, f * row->posterior_sd, scale.unit);
    put_bottom_up(t, row, &scale);
    put_status(t, row);
    if (isfinite(row->reduction)) {
      sky_text_printf(t, "<td class=\"number\" data-label=\"Information gained\">%.*f %%</td>",
                      fabs(row->reduction) < 0.0995 ? 1 : 0, 100 * row->reduction);
    } else {
      sky_text_put(t, "<td class=\"number\" data-label=\"Information gained\">" DASH "</td>");
    }
    put_detectable(t, row, &scale);
    sky_text_put(t, "</tr>\n");
  }
  sky_text_put(t, "</tbody></table>\n<h3>What the statuses mean</h3>\n");
  put_statuses(t);
}

void sky_report_observations(sky_text *t, const sky_report *r) {
  static const char *const heads[] = {"Zone",        "Gas",  "Soundings",
                                      "Mean column", "Area", "Inside the grid"};
  put_head(t,
           "Good soundings in each zone, and their mean column with the standard deviation of the "
           "mean.",
           heads, 6, "--nnnn");
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (!sky_report_has_column(row)) continue;
    const sky_species *gas = row->gas == NULL ? NULL : sky_species_find(row->gas);
    put_zone(t, row);
    put_number(t, "Soundings", row->n_soundings, NAN, "");
    put_number(t, "Mean column", row->column_mean, row->column_sd,
               gas == NULL ? "" : gas->column_unit);
    put_number(t, "Area", row->area_km2, NAN, "km\xc2\xb2");
    put_number(t, "Inside the grid", 100 * row->covered_fraction, NAN, "%");
    sky_text_put(t, "</tr>\n");
  }
  sky_text_put(t, "</tbody></table>\n");
}

/* ---- facts ---- */

static const struct {
  const char *section, *title;
} sections[] = {{"diagnostics", "How sure is this"},
                {"inputs", "What was read"},
                {"audit", "Mass audit"},
                {"sources", "Sources"}};
#define N_SECTIONS (sizeof sections / sizeof sections[0])

static bool is_listed(const char *section) {
  if (strcmp(section, "warnings") == 0) return true;
  for (size_t k = 0; k < N_SECTIONS; k++) {
    if (strcmp(sections[k].section, section) == 0) return true;
  }
  return false;
}

static void put_section(sky_text *t, const sky_report *r, const char *section, const char *title) {
  bool open = false;
  for (size_t i = 0; i < r->n_facts; i++) {
    const sky_report_fact *f = &r->facts[i];
    if (strcmp(f->section, section) != 0) continue;
    if (!open) {
      sky_text_put(t, "<section>\n<h2>");
      sky_html_put(t, title);
      sky_text_put(t, "</h2>\n<table class=\"facts\"><tbody>\n");
      open = true;
    }
    sky_text_put(t, "<tr><th scope=\"row\">");
    sky_html_put(t, f->label);
    sky_text_put(t, "</th><td>");
    sky_html_put(t, f->value);
    sky_text_put(t, "</td></tr>\n");
  }
  if (open) sky_text_put(t, "</tbody></table>\n</section>\n");
}

void sky_report_facts(sky_text *t, const sky_report *r) {
  for (size_t k = 0; k < N_SECTIONS; k++) {
    put_section(t, r, sections[k].section, sections[k].title);
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
