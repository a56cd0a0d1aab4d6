/* problem_noise.h: the part of a problem file that states errors correlated along tracks (noise.h).
 *
 * along_track(obs): place along the track, in any unit of length or time; track(obs), or where it
 * is not there overpass(obs): whole numbers from 0, of observations whose errors are correlated;
 * attribute r_length: length of the correlation in that unit; attribute r_share, optional:
 * correlated share of the variance, above 0 and at most 1 (1). */
#ifndef SKY_READ_PROBLEM_NOISE_H
#define SKY_READ_PROBLEM_NOISE_H

#include "skyflux/problem.h"
#include "src/read/nc.h"

/* p holds its sizes; p->track is filled where the file states along_track. SKY_E_FORMAT where a
 * part of the statement is missing. */
SKY_NODISCARD sky_status sky_problem_read_noise(sky_context *ctx, sky_nc *f, sky_problem *p);
#endif
