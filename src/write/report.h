/* report.h: report.html, one self-contained file: Leaflet map, charts, the comparison table, the
 * diagnostics in plain words, sources, warnings. Opens offline; every chart has its table. */
#ifndef SKY_WRITE_REPORT_H
#define SKY_WRITE_REPORT_H

#include "src/write/cog.h"
#include "src/write/zone_table.h"

typedef struct sky_report_layer { /* one map overlay */
  const char *title;              /* "CH4 posterior flux" */
  const char *unit;
  const double *value; /* [cells] of grid, NaN nodata */
  bool diverging;      /* colour ramp centred on 0 */
} sky_report_layer;

typedef struct sky_report_fact { /* one line of "how sure is this" / "what was read" */
  const char *section;           /* "inputs", "diagnostics", "audit", "sources", "warnings" */
  const char *label, *value;
} sky_report_fact;

typedef struct sky_report {
  const char *title, *subtitle;
  const sky_grid *grid; /* NULL = no map layers */
  const sky_report_layer *layers;
  size_t n_layers;
  const sky_zones *zones; /* base map and outlines; may be NULL */
  const sky_zone_row *rows;
  size_t n_rows;
  const sky_report_fact *facts;
  size_t n_facts;
  const char *summary; /* plain sentences, one paragraph per line */
} sky_report;

SKY_NODISCARD sky_status sky_report_write(sky_context *ctx, const char *path, const sky_report *r);
#endif
