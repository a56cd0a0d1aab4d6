/* ground_track.h: where observations lie along the ground track of one overpass (column.md). */
#ifndef SKY_ALGORITHMS_GROUND_TRACK_H
#define SKY_ALGORITHMS_GROUND_TRACK_H

#include <stdbool.h>
#include <stddef.h>

/* Direction of the mean of the unit vectors of n > 0 places (degrees): safe at 180° and poles. */
void sky_mean_place(size_t n, const double *lon, const double *lat, double *mean_lon,
                    double *mean_lat);
/* along [n]: m along the great circle of best motion, from the centroid of lon, lat [n] (degrees),
 * rising with time [n] (s). All 0 where the places are one (a station). False: the places are
 * several, but do not move with time, so there is no track (along is not set). */
bool sky_ground_track(size_t n, const double *lon, const double *lat, const double *time,
                      double *along);
#endif
