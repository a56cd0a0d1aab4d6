/* report_parts.h: the rooms of the report page, for report*.c only. */
#ifndef SKY_WRITE_REPORT_PARTS_H
#define SKY_WRITE_REPORT_PARTS_H

#include <cjson/cJSON.h>

#include "src/core/text.h"
#include "src/write/report.h"

/* ---- report_table.c: words and numbers for people ---- */

/* Text with &, <, > and quotes escaped; NULL is nothing. */
void sky_html_put(sky_text *t, const char *s);
/* "umol m-2 s-1" -> "µmol m⁻² s⁻¹" (UTF-8); out holds at least 96 bytes. */
void sky_unit_pretty(const char *unit, char out[96]);
/* Mass per year in the prefix that suits the largest number of a gas. */
typedef struct sky_mass_scale {
  double factor;    /* from t yr-1 */
  const char *unit; /* "kt yr⁻¹" */
} sky_mass_scale;
sky_mass_scale sky_report_scale(const sky_report *r, const char *gas);
/* "CH4" for "ch4". */
const char *sky_report_gas(const char *gas);
/* "1620 ± 94": sd to 2 significant digits, the value to the same place; 4 digits without an sd; "–"
 * for NaN. out holds at least 96 bytes. */
void sky_report_plus_minus(double value, double sd, char out[96]);
bool sky_report_has_flux(const sky_zone_row *row);
bool sky_report_has_column(const sky_zone_row *row);

void sky_report_comparison(sky_text *t, const sky_report *r); /* table and its legend of statuses */
void sky_report_observations(sky_text *t, const sky_report *r); /* columns by zone */
void sky_report_facts(sky_text *t, const sky_report *r);        /* every section but warnings */

/* ---- report_map.c ---- */

/* Array of {title, unit, png (data URI), bounds, stops} in *out. */
SKY_NODISCARD sky_status sky_report_layers(sky_context *ctx, const sky_report *r, cJSON *out);

/* ---- report_data.c ---- */

/* {layers, zones, charts} of the page. *n_charts: charts that the page must make room for. */
SKY_NODISCARD sky_status sky_report_data(sky_context *ctx, const sky_report *r, cJSON **out);
/* Gases that have a chart, in the order of the rows; returns their number (at most max). */
size_t sky_report_chart_gases(const sky_report *r, const char **gas, size_t max);
size_t sky_report_chart_rows(const sky_report *r, const char *gas, const sky_zone_row **rows,
                             size_t max);

#define SKY_REPORT_MAX_GASES 8
#define SKY_REPORT_CHART_ROWS 30 /* more bars than a page holds; the table has all */

#endif
