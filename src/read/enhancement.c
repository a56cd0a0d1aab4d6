/* enhancement.c: see enhancement.h. */
#include "src/read/enhancement.h"

#include <cpl_string.h>
#include <ctype.h>
#include <gdal.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/grid_area.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/units.h"
#include "src/engine/gdal_start.h"

#define GAS_CONSTANT 8.314462618 /* J mol-1 K-1 (CODATA 2018) */

void sky_enhancement_free(sky_enhancement *e) {
  if (e == NULL) return;
  sky_grid_free(&e->grid);
  sky_free(e->value);
  memset(e, 0, sizeof *e);
}

/* --- what the file says ------------------------------------------------------------------------
 */

/* A gas that a text names: "EMIT_L2B_CH4ENH", "methane_plume_complex". */
static bool gas_in(const char *text, char gas[8]) {
  static const char *const WORDS[][2] = {{"ch4", "ch4"},
                                         {"methane", "ch4"},
                                         {"co2", "co2"},
                                         {"carbon dioxide", "co2"},
                                         {"carbon_dioxide", "co2"},
                                         {"n2o", "n2o"}};
  char lower[256];
  size_t n = 0;
  for (; text != NULL && text[n] != '\0' && n + 1 < sizeof lower; ++n)
    lower[n] = (char)tolower((unsigned char)text[n]);
  lower[n] = '\0';
  for (size_t k = 0; k < sizeof WORDS / sizeof *WORDS; ++k) {
    if (strstr(lower, WORDS[k][0]) == NULL) continue;
    snprintf(gas, 8, "%s", WORDS[k][1]);
    return true;
  }
  return false;
}

/* Unit and gas from the band, its metadata and the file's; the name only where nothing else tells
 * of the gas. */
static sky_status look(sky_context *ctx, const char *path, sky_enhancement *e) {
  GDALDatasetH data = GDALOpenEx(path, GDAL_OF_RASTER | GDAL_OF_READONLY, NULL, NULL, NULL);
  if (data == NULL) return sky_gdal_fail(ctx, SKY_E_READ, "%s: not a raster that GDAL reads", path);
  GDALRasterBandH band = GDALGetRasterBand(data, 1);
  const char *unit = GDALGetRasterUnitType(band);
  static const char *const KEYS[] = {"units", "unit", "UNITS", "Units"};
  for (size_t k = 0; k < 8 && (unit == NULL || unit[0] == '\0'); ++k)
    unit = GDALGetMetadataItem(k < 4 ? (GDALMajorObjectH)band : data, KEYS[k % 4], NULL);
  snprintf(e->unit, sizeof e->unit, "%s", unit != NULL ? unit : "");
  snprintf(e->layer, sizeof e->layer, "%s", GDALGetDescription(band));
  bool found = gas_in(e->layer, e->gas);
  for (int level = 0; level < 2 && !found; ++level) {
    char **list = GDALGetMetadata(level == 0 ? (GDALMajorObjectH)band : data, NULL);
    for (int i = 0; list != NULL && list[i] != NULL && !found; ++i)
      found = gas_in(list[i], e->gas);
  }
  if (!found) gas_in(sky_file_base(path), e->gas);
  GDALClose(data);
  return SKY_OK;
}

/* --- mol m-2 -----------------------------------------------------------------------------------
 */

static sky_status find_factor(sky_context *ctx, const char *path, const sky_enhancement_options *o,
                              sky_enhancement *e) {
  const double pressure = o->pressure > 0 ? o->pressure : SKY_ENHANCEMENT_PRESSURE;
  const double temperature = o->temperature > 0 ? o->temperature : SKY_ENHANCEMENT_TEMPERATURE;
  const sky_species *gas = sky_species_find(e->gas);
  double offset;
  if (e->unit[0] == '\0' && o->unit != NULL) snprintf(e->unit, sizeof e->unit, "%s", o->unit);
  if (e->unit[0] == '\0') {
    return sky_fail(ctx, SKY_E_UNITS, "%s: the band states no unit (expected e.g. 'ppm m')", path);
  }
  if (sky_units_convert(ctx, e->unit, "m", &e->factor, &offset) == SKY_OK) {
    e->factor *= pressure / (GAS_CONSTANT * temperature);
  } else if (sky_units_convert(ctx, e->unit, "kg m-2", &e->factor, &offset) == SKY_OK) {
    if (gas == NULL) {
      return sky_fail(ctx, SKY_E_GAS, "%s: unit '%s' needs the gas, which nothing tells", path,
                      e->unit);
    }
    e->factor /= gas->molar_mass;
  } else if (sky_units_convert(ctx, e->unit, "mol m-2", &e->factor, &offset) != SKY_OK) {
    return sky_fail(
        ctx, SKY_E_UNITS,
        "%s: unit '%s' is no column amount (expected e.g. 'ppm m', 'mol m-2', 'kg m-2')", path,
        e->unit);
  }
  sky_error_clear(ctx);
  return SKY_OK;
}

sky_status sky_enhancement_read(sky_context *ctx, const char *path,
                                const sky_enhancement_options *options, sky_enhancement *out) {
  static const sky_enhancement_options NONE = {0};
  const sky_enhancement_options *o = options != NULL ? options : &NONE;
  sky_enhancement e = {0};
  sky_raster *r = NULL;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_raster_open(ctx, path, &r));
  SKY_GO(look(ctx, path, &e));
  if (o->gas != NULL) {
    if (sky_species_find(o->gas) == NULL)
      SKY_GO(sky_fail(ctx, SKY_E_USAGE, "gas '%s' is not known (co2, ch4, n2o)", o->gas));
    snprintf(e.gas, sizeof e.gas, "%s", o->gas);
  }
  SKY_GO(find_factor(ctx, path, o, &e));
  SKY_GO(sky_raster_amounts(ctx, r, sky_raster_grid(r), &e.grid, &e.value));
  for (size_t i = 0; i < sky_grid_cells(&e.grid); ++i) {
    e.valid += !isnan(e.value[i]);
    e.negative += e.value[i] < 0;
    e.value[i] *= e.factor;
  }
  *out = e;
  memset(&e, 0, sizeof e);
cleanup:
  sky_raster_close(r);
  sky_enhancement_free(&e);
  return st;
}

sky_status sky_enhancement_mass(sky_context *ctx, const sky_enhancement *e, double *kg) {
  const size_t n = sky_grid_cells(&e->grid);
  const sky_species *gas = sky_species_find(e->gas);
  double *area = NULL;
  sky_status st = SKY_OK;
  *kg = NAN;
  if (gas == NULL) return sky_fail(ctx, SKY_E_GAS, "the mass of an enhancement needs its gas");
  SKY_GO_ALLOC(area, SKY_NEW(ctx, double, n));
  SKY_GO(sky_grid_areas(ctx, &e->grid, area));
  for (size_t i = 0; i < n; ++i)
    area[i] = isnan(e->value[i]) ? 0 : area[i] * e->value[i];
  *kg = sky_sum(area, n) * gas->molar_mass;
cleanup:
  sky_free(area);
  return st;
}
