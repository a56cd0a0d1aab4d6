/* style.h: colours of maps, the same in the report page, QGIS and GPKG.
 *
 * Sequential ramps run light to dark; diverging ones are centred on zero, blue below and red above
 * (removal and emission). The colours stay apart for colour-blind readers. */
#ifndef SKY_WRITE_STYLE_H
#define SKY_WRITE_STYLE_H

#include "skyflux/context.h"

#define SKY_RAMP_STOPS 9
typedef struct sky_ramp {
  double low, high; /* values of the first and the last stop; NaN if there is no value */
  uint8_t colour[SKY_RAMP_STOPS][3]; /* evenly spaced between them */
} sky_ramp;

/* Ramp for these values (NaN skipped): from the 2nd to the 98th percentile when there are enough of
 * them, so that one hot cell does not pale all others; diverging: symmetric about 0. */
SKY_NODISCARD sky_status sky_ramp_fit(sky_context *ctx, const double *value, size_t n,
                                      bool diverging, sky_ramp *out);
void sky_ramp_colour(const sky_ramp *r, double v, uint8_t rgb[3]); /* clamped; v is not NaN */
double sky_ramp_stop(const sky_ramp *r, size_t i);                 /* value of stop i */

/* QGIS style beside a raster: "x.tif" -> "x.qml", loaded by QGIS on its own. */
SKY_NODISCARD sky_status sky_style_raster(sky_context *ctx, const char *raster_path,
                                          const sky_ramp *ramp);

void sky_style_remove(const char *raster_path); /* of a raster that did not come about */

typedef struct sky_class_style { /* an entry of a legend */
  int32_t code;
  const char *name;
  uint8_t colour[4]; /* red, green, blue, alpha */
} sky_class_style;

/* The same for classes: those of the legend that have pixels. */
SKY_NODISCARD sky_status sky_style_classes(sky_context *ctx, const char *raster_path,
                                           const sky_class_style *classes, size_t n,
                                           const uint64_t *pixels);

/* Comparison statuses with their colours, in the order of the legend. */
typedef struct sky_status_style {
  const char *status, *colour; /* "#rrggbb" */
} sky_status_style;
size_t sky_status_styles(const sky_status_style **out);
const char *sky_status_colour(const char *status); /* grey for an unknown one */

/* The zones layer categorised on column `status`: QML for QGIS, SLD 1.0 for GeoServer. malloc'd. */
char *sky_style_zones_qml(sky_context *ctx);
char *sky_style_zones_sld(sky_context *ctx);

#endif
