/* synth_city_land.h: the ground of the invented city, in the plane of EPSG:32649: coast, hills,
 * towns, zones, land cover of two dates. The same for every seed. */
#ifndef SKY_JOB_SYNTH_CITY_LAND_H
#define SKY_JOB_SYNTH_CITY_LAND_H

#include "skyflux/context.h"
#include "src/write/crs.h"

#define SKY_CITY_CRS "EPSG:32649"
#define SKY_CITY_WEST 466000.0 /* m */
#define SKY_CITY_SOUTH 2365000.0
#define SKY_CITY_SIDE 48000.0

/* What activity follows, as a density of any unit, >= 0. Proxies of the job are made of it. */
typedef enum sky_city_density {
  SKY_CITY_BUILT = 0,
  SKY_CITY_INDUSTRY,
  SKY_CITY_ROADS,
  SKY_CITY_CROPS,
  SKY_CITY_WASTE, /* landfills, sewage works */
  SKY_CITY_MINES,
  SKY_CITY_DENSITIES
} sky_city_density;

enum { SKY_CITY_NOISES = 5 };
typedef struct sky_city_land sky_city_land;

SKY_NODISCARD sky_status sky_city_land_create(sky_context *ctx, sky_city_land **out);
void sky_city_land_free(sky_city_land *l);

/* x, y in m of EPSG:32649. Height over the sea, m; negative in the sea. */
double sky_city_height(const sky_city_land *l, double x, double y);
double sky_city_value(const sky_city_land *l, sky_city_density d, double x, double y);
/* WorldCover codes of 2018 and 2023. */
void sky_city_cover(const sky_city_land *l, double x, double y, int code[2]);

/* City, four counties (their borders are the same points), two parks; WGS 84. */
SKY_NODISCARD sky_status sky_city_write_zones(sky_context *ctx, const sky_crs *crs,
                                              const char *path);
#endif
