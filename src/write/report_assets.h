/* report_assets.h: the parts of the report page that are embedded at build time: "report.css",
 * "report.js", "report_licences.txt", "leaflet.css", "leaflet.js", "chart.js". */
#ifndef SKY_WRITE_REPORT_ASSETS_H
#define SKY_WRITE_REPORT_ASSETS_H

#include <stddef.h>

/* Text (not NUL-terminated) and its length; NULL if there is none. */
const char *sky_report_asset(const char *name, size_t *length);

#endif
