/* lane.h: the one lock around libraries that are not thread-safe.
 *
 * netCDF-C is not thread-safe even on different files, and HDF5, udunits2 and FFTW planning share
 * the same rule here. Hold the lane around every nc_*, H5*, ut_* and fftw_plan_* call. It is not
 * recursive: take it in the lowest function that calls the library. */
#ifndef SKY_CORE_LANE_H
#define SKY_CORE_LANE_H

void sky_lane_lock(void);
void sky_lane_unlock(void);

#endif
