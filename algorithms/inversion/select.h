/* select.h: the same problem with some of its observations, and groups of observations. */
#ifndef SKY_ALGORITHMS_SELECT_H
#define SKY_ALGORITHMS_SELECT_H

#include "skyflux/problem.h"

/* out: observations index [n] of p, in that order. Arrays of the state stay p's, so p must outlive
 * out, and out is freed by sky_selection_free alone. */
SKY_NODISCARD sky_status sky_problem_select(sky_context *ctx, const sky_problem *p, size_t n,
                                            const size_t *index, sky_problem *out);
void sky_selection_free(sky_problem *p);
/* The observations of a selection of p into p itself; part is empty afterwards. */
void sky_problem_take_rows(sky_problem *p, sky_problem *part);
/* index [n] of the i with (label[i] == value) == equal; returns how many. */
size_t sky_select_label(size_t n, const int32_t *label, int32_t value, bool equal, size_t *index);

#endif
