/* ellipsoid.h: the figure of the Earth (WGS 84). */
#ifndef SKY_GRIDS_ELLIPSOID_H
#define SKY_GRIDS_ELLIPSOID_H

#define SKY_WGS84_A 6378137.0             /* m, semi-major axis (NIMA TR8350.2) */
#define SKY_WGS84_F (1.0 / 298.257223563) /* flattening */

/* ∫ of the ellipsoid's surface between the equator and latitude (deg), per radian of longitude, m2.
 */
double sky_ellipsoid_zone(double lat_deg);
/* The same between two latitudes (deg), positive if north > south; full precision for thin bands.
 */
double sky_ellipsoid_band(double south_deg, double north_deg);
/* Great-circle distance of two places (deg), m (mean Earth radius 6371008.8 m). */
double sky_distance(double lon1, double lat1, double lon2, double lat2);

#endif
