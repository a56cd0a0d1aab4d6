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
/* "CH4" for "ch4". */
const char *sky_report_gas(const char *gas);
bool sky_report_has_flux(const sky_zone_row *row);

/* Comparison of one gas: a row a zone, in groups of one level. */
void sky_report_comparison(sky_text *t, const sky_report *r, const char *gas);
void sky_report_statuses(sky_text *t); /* what they mean */
/* Whole sections, if there is anything to say. */
void sky_report_sinks(sky_text *t, const sky_report *r);
void sky_report_observations(sky_text *t, const sky_report *r); /* columns by zone */
void sky_report_facts(sky_text *t, const sky_report *r);        /* those not said elsewhere */

/* ---- report_map.c ---- */

/* Array of {gas, title, unit, stops, images: [{bounds, png (data URI)}]} in *out. */
SKY_NODISCARD sky_status sky_report_layers(sky_context *ctx, const sky_report *r, cJSON *out);

/* ---- report_data.c ---- */

/* {layers, zones, charts} of the page. charts: [{gas, level, unit, more, zones, series}]. */
SKY_NODISCARD sky_status sky_report_data(sky_context *ctx, const sky_report *r, cJSON **out);
#define SKY_REPORT_CHART_ROWS 30 /* more bars than a page holds; the table has all */
/* A group: the rows of one gas and level. A row opens its gas or its group when it is its first. */
const char *sky_report_level(const sky_zone_row *row); /* "" if it has none */
bool sky_report_one_group(const sky_zone_row *a, const sky_zone_row *b);
bool sky_report_opens_gas(const sky_report *r, size_t row);
bool sky_report_opens_group(const sky_report *r, size_t row);

#endif
