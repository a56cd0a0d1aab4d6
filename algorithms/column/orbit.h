/* orbit.h: places that do not lie below the one satellite that saw all the others (orbit.md). */
#ifndef SKY_ALGORITHMS_ORBIT_H
#define SKY_ALGORITHMS_ORBIT_H

#include "algorithms/column/clean.h"

/* bad[s[i].row] = 1 where a sighting lies farther from the circular orbit through all of them than
 * max(3 s, 2.5 degrees) along or max(4 s, 4.5 degrees) across the track, s = 1.4826 MAD; the others
 * are left. *judged: false, and nothing is judged, where n < 50, they last longer than 2 days,
 * cover too little of a circle, or no orbit of 85 to 112 minutes explains them. Times must be
 * finite. */
SKY_NODISCARD sky_status sky_orbit_test(sky_context *ctx, const sky_sighting *s, size_t n,
                                        uint8_t *bad, bool *judged);

#endif
