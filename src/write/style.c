/* style.c: colour ramps and the styles that GIS programs load on their own. */
#include "src/write/style.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/write/json_out.h"

#define CLIP_ABOVE 50 /* values; fewer show their full range */
#define CLIP_SHARE 0.02

static const uint8_t sequential[SKY_RAMP_STOPS][3] = {
    {255, 247, 217}, {254, 227, 164}, {253, 200, 115}, {250, 165, 80}, {240, 124, 66},
    {219, 82, 63},   {184, 48, 71},   {138, 25, 79},   {87, 11, 77}};
static const uint8_t diverging_colours[SKY_RAMP_STOPS][3] = {
    {28, 60, 122},   {61, 108, 176},  {120, 163, 209}, {186, 210, 230}, {244, 243, 240},
    {244, 204, 182}, {226, 145, 114}, {190, 76, 69},   {127, 24, 45}};

static const sky_status_style statuses[] = {
    {"consistent", "#3b7d4f"},   {"higher", "#b8433a"},
    {"lower", "#2f6db0"},        {"insufficient information", "#b0a58f"},
    {"model misfit", "#7b4aa0"}, {"not comparable", "#8b949e"},
};
#define N_STATUSES (sizeof statuses / sizeof statuses[0])

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

sky_status sky_ramp_fit(sky_context *ctx, const double *value, size_t n, bool diverging,
                        sky_ramp *out) {
  memcpy(out->colour, diverging ? diverging_colours : sequential, sizeof out->colour);
  out->low = out->high = NAN;
  double *sorted = SKY_NEW(ctx, double, n);
  if (sorted == NULL) return SKY_E_NOMEM;
  size_t m = 0;
  for (size_t i = 0; i < n; i++) {
    if (isfinite(value[i])) sorted[m++] = value[i];
  }
  qsort(sorted, m, sizeof *sorted, ascending);
  if (m > 0) {
    const size_t clip = m > CLIP_ABOVE ? (size_t)(CLIP_SHARE * (double)m) : 0;
    out->low = sorted[clip];
    out->high = sorted[m - 1 - clip];
    if (out->low == out->high) { /* mostly one value: the few others are what there is to see */
      out->low = sorted[0];
      out->high = sorted[m - 1];
    }
    if (diverging) {
      out->high = fmax(fabs(out->low), fabs(out->high));
      out->low = -out->high;
    }
  }
  sky_free(sorted);
  return SKY_OK;
}

double sky_ramp_stop(const sky_ramp *r, size_t i) {
  return r->low + (r->high - r->low) * (double)i / (SKY_RAMP_STOPS - 1);
}

void sky_ramp_colour(const sky_ramp *r, double v, uint8_t rgb[3]) {
  const double range = r->high - r->low;
  const double at = range > 0 ? (v - r->low) / range * (SKY_RAMP_STOPS - 1) : 0;
  const double clamped = fmin(fmax(at, 0), SKY_RAMP_STOPS - 1);
  const size_t below = clamped >= SKY_RAMP_STOPS - 1 ? SKY_RAMP_STOPS - 2 : (size_t)clamped;
  const double f = clamped - (double)below;
  for (size_t k = 0; k < 3; k++) {
    rgb[k] = (uint8_t)lround((1 - f) * r->colour[below][k] + f * r->colour[below + 1][k]);
  }
}

#define QML_HEAD                                                 \
  "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" \
  "<qgis version=\"3.22\" styleCategories=\"Symbology\">\n"      \
  " <pipe>\n"
#define QML_TAIL          \
  "  </rasterrenderer>\n" \
  " </pipe>\n"            \
  "</qgis>\n"

static void put_xml(sky_text *t, const char *text) {
  for (; *text != '\0'; text++) {
    const char *name = *text == '&'   ? "&amp;"
                       : *text == '<' ? "&lt;"
                       : *text == '>' ? "&gt;"
                       : *text == '"' ? "&quot;"
                                      : NULL;
    if (name != NULL)
      sky_text_put(t, name);
    else
      sky_text_add(t, text, 1);
  }
}

static void put_ramp_items(sky_text *t, const sky_ramp *r) {
  for (size_t i = 0; i < SKY_RAMP_STOPS; i++) {
    char value[32];
    sky_number_text(sky_ramp_stop(r, i), value);
    sky_text_printf(t,
                    "     <item value=\"%s\" label=\"%.4g\" color=\"#%02x%02x%02x\" "
                    "alpha=\"255\"/>\n",
                    value, sky_ramp_stop(r, i), r->colour[i][0], r->colour[i][1], r->colour[i][2]);
  }
}

/* Writes t, which it takes, beside the raster. */
static sky_status write_qml(sky_context *ctx, const char *raster_path, sky_text *t) {
  const char *dot = strrchr(sky_file_base(raster_path), '.');
  const size_t stem = dot == NULL ? strlen(raster_path) : (size_t)(dot - raster_path);
  char *path = NULL, *qml = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(qml, sky_text_take(t));
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%.*s.qml", (int)stem, raster_path));
  SKY_GO(sky_file_write_text(ctx, path, qml, strlen(qml)));

cleanup:
  sky_free(path);
  sky_free(qml);
  return st;
}

void sky_style_remove(const char *raster_path) {
  const char *dot = strrchr(sky_file_base(raster_path), '.');
  const size_t stem = dot == NULL ? strlen(raster_path) : (size_t)(dot - raster_path);
  char path[4096];
  const int n = snprintf(path, sizeof path, "%.*s.qml", (int)stem, raster_path);
  if (n > 0 && (size_t)n < sizeof path) remove(path);
}

sky_status sky_style_raster(sky_context *ctx, const char *raster_path, const sky_ramp *ramp) {
  char low[32], high[32];
  sky_text t = {.ctx = ctx};
  sky_ramp neutral = *ramp;
  if (isnan(ramp->low)) { /* no valid value: any range will do, and the file is there as promised */
    neutral.low = 0;
    neutral.high = 1;
    ramp = &neutral;
  }
  sky_number_text(ramp->low, low);
  sky_number_text(ramp->high, high);
  sky_text_put(&t, QML_HEAD);
  sky_text_printf(&t,
                  "  <rasterrenderer type=\"singlebandpseudocolor\" band=\"1\" opacity=\"1\" "
                  "classificationMin=\"%s\" classificationMax=\"%s\">\n"
                  "   <rastershader>\n"
                  "    <colorrampshader colorRampType=\"INTERPOLATED\" classificationMode=\"1\" "
                  "clip=\"0\" minimumValue=\"%s\" maximumValue=\"%s\">\n",
                  low, high, low, high);
  put_ramp_items(&t, ramp);
  sky_text_put(&t,
               "    </colorrampshader>\n"
               "   </rastershader>\n");
  sky_text_put(&t, QML_TAIL);
  return write_qml(ctx, raster_path, &t);
}

sky_status sky_style_classes(sky_context *ctx, const char *raster_path,
                             const sky_class_style *classes, size_t n, const uint64_t *pixels) {
  sky_text t = {.ctx = ctx};
  sky_text_put(&t, QML_HEAD);
  sky_text_put(&t,
               "  <rasterrenderer type=\"paletted\" band=\"1\" opacity=\"1\">\n"
               "   <colorPalette>\n");
  for (size_t i = 0; i < n; i++) {
    const uint8_t *c = classes[i].colour;
    if (pixels[i] == 0) continue;
    sky_text_printf(&t, "    <paletteEntry value=\"%d\" label=\"", (int)classes[i].code);
    put_xml(&t, classes[i].name);
    sky_text_printf(&t, "\" color=\"#%02x%02x%02x\" alpha=\"%d\"/>\n", c[0], c[1], c[2], c[3]);
  }
  sky_text_put(&t, "   </colorPalette>\n");
  sky_text_put(&t, QML_TAIL);
  return write_qml(ctx, raster_path, &t);
}

size_t sky_status_styles(const sky_status_style **out) {
  *out = statuses;
  return N_STATUSES;
}

const char *sky_status_colour(const char *status) {
  for (size_t i = 0; i < N_STATUSES; i++) {
    if (strcmp(statuses[i].status, status) == 0) return statuses[i].colour;
  }
  return "#d0d4d8";
}

char *sky_style_zones_qml(sky_context *ctx) {
  sky_text t = {.ctx = ctx};
  sky_text_put(&t,
               "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
               "<qgis version=\"3.22\" styleCategories=\"Symbology\">\n"
               " <renderer-v2 type=\"categorizedSymbol\" attr=\"status\" symbollevels=\"0\">\n"
               "  <categories>\n");
  for (size_t i = 0; i < N_STATUSES; i++) {
    sky_text_printf(&t, "   <category symbol=\"%zu\" value=\"%s\" label=\"%s\" render=\"true\"/>\n",
                    i, statuses[i].status, statuses[i].status);
  }
  sky_text_put(&t, "  </categories>\n  <symbols>\n");
  for (size_t i = 0; i < N_STATUSES; i++) {
    unsigned r = 0, g = 0, b = 0;
    const unsigned long rgb = strtoul(statuses[i].colour + 1, NULL, 16);
    r = (unsigned)(rgb >> 16) & 255;
    g = (unsigned)(rgb >> 8) & 255;
    b = (unsigned)rgb & 255;
    sky_text_printf(&t,
                    "   <symbol name=\"%zu\" type=\"fill\" alpha=\"1\">\n"
                    "    <layer class=\"SimpleFill\" enabled=\"1\" pass=\"0\">\n"
                    "     <prop k=\"color\" v=\"%u,%u,%u,140\"/>\n"
                    "     <prop k=\"outline_color\" v=\"40,44,52,255\"/>\n"
                    "     <prop k=\"outline_width\" v=\"0.3\"/>\n"
                    "     <prop k=\"style\" v=\"solid\"/>\n"
                    "    </layer>\n"
                    "   </symbol>\n",
                    i, r, g, b);
  }
  sky_text_put(&t, "  </symbols>\n </renderer-v2>\n</qgis>\n");
  return sky_text_take(&t);
}

char *sky_style_zones_sld(sky_context *ctx) {
  sky_text t = {.ctx = ctx};
  sky_text_put(&t,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<StyledLayerDescriptor version=\"1.0.0\" xmlns=\"http://www.opengis.net/sld\" "
               "xmlns:ogc=\"http://www.opengis.net/ogc\">\n"
               " <NamedLayer><Name>zones</Name><UserStyle><FeatureTypeStyle>\n");
  for (size_t i = 0; i < N_STATUSES; i++) {
    sky_text_printf(&t,
                    "  <Rule><Name>%s</Name><ogc:Filter><ogc:PropertyIsEqualTo>"
                    "<ogc:PropertyName>status</ogc:PropertyName><ogc:Literal>%s</ogc:Literal>"
                    "</ogc:PropertyIsEqualTo></ogc:Filter><PolygonSymbolizer><Fill>"
                    "<CssParameter name=\"fill\">%s</CssParameter>"
                    "<CssParameter name=\"fill-opacity\">0.55</CssParameter></Fill><Stroke>"
                    "<CssParameter name=\"stroke\">#282c34</CssParameter>"
                    "<CssParameter name=\"stroke-width\">0.8</CssParameter></Stroke>"
                    "</PolygonSymbolizer></Rule>\n",
                    statuses[i].status, statuses[i].status, statuses[i].colour);
  }
  sky_text_put(&t, " </FeatureTypeStyle></UserStyle></NamedLayer>\n</StyledLayerDescriptor>\n");
  return sky_text_take(&t);
}
