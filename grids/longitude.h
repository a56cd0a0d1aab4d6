/* longitude.h: longitudes whose bits do not depend on the turn that they are counted in. */
#ifndef SKY_GRIDS_LONGITUDE_H
#define SKY_GRIDS_LONGITUDE_H

#include <stddef.h>

/* The same longitude in -180..180, its own bits the same for lon, lon + 360 and lon - 360 as
 * doubles hold them; at most 2.9e-13 degrees (32 nm) from lon. NaN for what is not finite. */
double sky_longitude(double lon);

/* out[i] = the bits of sky_longitude(lon[i]) in the turn that leaves out[i] - out[0] as lon[i] -
 * lon[0] is, out[0] within half a turn of `near`. out may be lon. */
void sky_longitudes(size_t n, const double *lon, double near, double *out);

#endif
