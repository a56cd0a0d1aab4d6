/* background_offsets.h: what super-observations would be without the emissions of the grid, and
 * the offsets that hold what is uncertain of it.
 *
 * An offset b of N(0, s²) shared by a group adds s² to every element of the covariance of the
 * group's observations: R + B diag(s²) Bᵀ. With background.mean: soundings the background is that
 * of the soundings, and s² = sd² + mean of its own variances over the group: an error that an
 * overpass has in common does not shrink with the number of its soundings. */
#ifndef SKY_JOB_BACKGROUND_OFFSETS_H
#define SKY_JOB_BACKGROUND_OFFSETS_H

#include "skyflux/soundings.h"
#include "src/job/job.h"

/* Is background.mean "soundings"? */
bool sky_background_of_soundings(const sky_node *inversion);
/* Mean over n soundings, mol mol-1; *sigma: root mean square of its 1-sigma. */
double sky_background_mean(const sky_soundings *s, const size_t *member, size_t n, double *sigma);

/* Labels of a day, an overpass or the whole job (per: day, overpass, job), from 0 in the order of
 * time [n]: group [n] and their number. */
SKY_NODISCARD sky_status sky_time_groups(sky_context *ctx, const char *per, size_t n, double *time,
                                         int32_t *group, size_t *n_groups);
/* Groups by background.per, in the order of time [n]: group [n], the number of groups, and 1-sigma
 * of the offset of each, malloc'd. own [n]: 1-sigma of each background, or NULL. */
SKY_NODISCARD sky_status sky_background_offsets(sky_context *ctx, const sky_node *inversion,
                                                size_t n, double *time, const double *own,
                                                int32_t *group, size_t *n_groups, double **sd);
#endif
