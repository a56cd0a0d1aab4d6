/* report.h: report.html, one self-contained file: Leaflet map, charts, the comparison table, the
 * diagnostics in plain words, sources, warnings. Opens offline; every chart has its table. */
#ifndef SKY_WRITE_REPORT_H
#define SKY_WRITE_REPORT_H

#include "src/write/cog.h"
#include "src/write/zone_table.h"

/* A field on one grid. Neighbours of the same gas and title are one map: a grid and the finer
 * patches that lie on it, in one colour ramp. */
typedef struct sky_report_layer {
  const char *gas, *title, *unit; /* "ch4", "Posterior flux" */
  const sky_grid *grid;
  const double *value; /* [cells] of grid, NaN nodata */
  bool diverging;      /* colour ramp centred on 0 */
} sky_report_layer;

typedef struct sky_report_headline { /* the answer in words */
  const char *gas, *text;
} sky_report_headline;

typedef struct sky_report_fact { /* one line of "how sure is this" / "what was read" */
  const char *section;           /* "inputs", "diagnostics", "audit", "warnings", … */
  const char *label, *value;
} sky_report_fact;

typedef struct sky_report {
  const char *title, *subtitle;
  const char *crs; /* of the zones; NULL = longitude and latitude */
  const sky_report_layer *layers;
  size_t n_layers;
  const sky_zones *zones; /* base map and outlines; may be NULL */
  const sky_zone_row *rows;
  size_t n_rows;
  const sky_report_fact *facts;
  size_t n_facts;
  const sky_report_headline *headlines;
  size_t n_headlines;
} sky_report;

/* ---- how the page writes numbers, for whoever writes its sentences ---- */

/* Mass per year in the prefix that suits the largest number of a gas. */
typedef struct sky_mass_scale {
  double factor;    /* from t yr-1 */
  const char *unit; /* "kt yr⁻¹" */
} sky_mass_scale;
sky_mass_scale sky_report_scale(const sky_report *r, const char *gas);
sky_mass_scale sky_report_sink_scale(const sky_report *r, const char *gas); /* of the sinks */
/* "1620 ± 94": sd to 2 significant digits, the value to the same place; 4 digits without an sd; "–"
 * for NaN. out holds at least 96 bytes. */
void sky_report_plus_minus(double value, double sd, char out[96]);
/* A share as "84 %", "0.026 %": 2 significant digits below 100. */
void sky_report_percent(double share, char out[96]);

SKY_NODISCARD sky_status sky_report_write(sky_context *ctx, const char *path, const sky_report *r);
#endif
