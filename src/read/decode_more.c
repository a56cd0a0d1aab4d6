/* decode_more.c: what cleaning and bias correction ask for beside the column: place in the swath,
 * land or water, albedo, air mass, aerosol, wind. All of it is optional. */
#include <math.h>

#include "src/core/memory.h"
#include "src/read/decode.h"

/* Index of the chosen rows along a dimension of the swath: a variable per row or per index of the
 * dimension, else the position in the array; -1 for lists of soundings. from_end: 0 across, 1 along
 * the track. */
static sky_status track_index(decoder *d, sky_role role, int from_end, int32_t *dst) {
  const int dim = d->shape.ndims - 1 - from_end;
  const bool swath = d->shape.ndims >= 2;
  const size_t size = swath ? d->shape.size[dim] : 0;
  const size_t across = swath ? d->shape.size[d->shape.ndims - 1] : 1;
  sky_nc_var info = {0};
  double *value = NULL;
  if (d->path[role] != NULL) SKY_TRY(decode_read(d, role, &info, &value));
  sky_status st = SKY_OK;
  if (value != NULL && info.count != d->n && info.count != size) {
    st = decode_wrong_count(d, role, info.count, swath ? size : d->n);
  }
  for (size_t i = 0; i < d->m && st == SKY_OK; ++i) {
    const size_t row = d->row[i];
    const size_t at = !swath ? 0 : from_end == 0 ? row % across : row / across % size;
    const double v = value == NULL        ? (swath ? (double)at : -1)
                     : info.count == d->n ? value[row]
                                          : value[at];
    dst[i] = v >= 0 && v < 2147483648.0 ? (int32_t)v : -1;
  }
  sky_free(value);
  return st;
}

/* TROPOMI: bits 0-1 are land, water, some water, coast; 0xB8 in the bits from 3 on is snow or ice
 * (S5P L2 methane product user manual, surface_classification). */
static uint8_t surface_of_class(double value) {
  static const uint8_t TYPE[4] = {SKY_SURFACE_LAND, SKY_SURFACE_WATER, SKY_SURFACE_COAST,
                                  SKY_SURFACE_COAST};
  if (!(value >= 0)) return SKY_SURFACE_UNKNOWN;
  const unsigned bits = (unsigned)value;
  return (uint8_t)(TYPE[bits & 3] | ((bits & 0xF8) == 0xB8 ? SKY_SURFACE_SNOW : 0));
}

/* Land from 80 %, water to 20 %: the limits that readers of OCO data use (X-STILT). */
static uint8_t surface_of_fraction(double land) {
  return land >= 0.8   ? SKY_SURFACE_LAND
         : land <= 0.2 ? SKY_SURFACE_WATER
         : land >= 0   ? SKY_SURFACE_COAST
                       : SKY_SURFACE_UNKNOWN;
}

static sky_status read_surface(decoder *d) {
  const bool by_class = d->path[SKY_ROLE_SURFACE_CLASS] != NULL;
  const sky_role role = by_class ? SKY_ROLE_SURFACE_CLASS : SKY_ROLE_LAND_FRACTION;
  if (d->path[role] == NULL) return SKY_OK;
  double *value = SKY_NEW(d->ctx, double, d->m);
  if (value == NULL) return SKY_E_NOMEM;
  const sky_status st = decode_gather(d, role, 1, value);
  for (size_t i = 0; i < d->m && st == SKY_OK; ++i)
    d->s.surface[i] = by_class ? surface_of_class(value[i]) : surface_of_fraction(value[i]);
  sky_free(value);
  return st;
}

/* 1/cos θ_sun + 1/cos θ_view; NaN from the horizon on. */
static sky_status read_airmass(decoder *d) {
  if (d->path[SKY_ROLE_AIRMASS] != NULL) return decode_gather(d, SKY_ROLE_AIRMASS, 1, d->s.airmass);
  double *view = SKY_NEW(d->ctx, double, d->m);
  if (view == NULL) return SKY_E_NOMEM;
  sky_status st = decode_gather(d, SKY_ROLE_SOLAR_ZENITH, 1, d->s.airmass);
  if (st == SKY_OK) st = decode_gather(d, SKY_ROLE_VIEW_ZENITH, 1, view);
  for (size_t i = 0; i < d->m && st == SKY_OK; ++i) {
    const double sun = cos(d->s.airmass[i]), eye = cos(view[i]);
    d->s.airmass[i] = sun > 1e-3 && eye > 1e-3 ? 1 / sun + 1 / eye : NAN;
  }
  sky_free(view);
  return st;
}

sky_status decode_more(decoder *d) {
  char *const *p = d->path;
  const bool angles = p[SKY_ROLE_SOLAR_ZENITH] != NULL && p[SKY_ROLE_VIEW_ZENITH] != NULL;
  const bool airmass = p[SKY_ROLE_AIRMASS] != NULL || angles;
  const bool wind = p[SKY_ROLE_WIND_EAST] != NULL && p[SKY_ROLE_WIND_NORTH] != NULL;
  unsigned with = 0;
  if (p[SKY_ROLE_ALBEDO] != NULL) with |= SKY_WITH_ALBEDO;
  if (p[SKY_ROLE_AEROSOL] != NULL) with |= SKY_WITH_AEROSOL;
  if (airmass) with |= SKY_WITH_AIRMASS;
  if (wind) with |= SKY_WITH_WIND;
  SKY_TRY(sky_soundings_add(d->ctx, &d->s, with));
  SKY_TRY(track_index(d, SKY_ROLE_SCANLINE, 1, d->s.scanline));
  SKY_TRY(track_index(d, SKY_ROLE_PIXEL, 0, d->s.pixel));
  SKY_TRY(read_surface(d));
  SKY_TRY(decode_gather(d, SKY_ROLE_ALBEDO, 1, d->s.albedo));
  SKY_TRY(decode_gather(d, SKY_ROLE_AEROSOL, 1, d->s.aerosol));
  if (wind) {
    SKY_TRY(decode_gather(d, SKY_ROLE_WIND_EAST, 1, d->s.wind_east));
    SKY_TRY(decode_gather(d, SKY_ROLE_WIND_NORTH, 1, d->s.wind_north));
  }
  return airmass ? read_airmass(d) : SKY_OK;
}
