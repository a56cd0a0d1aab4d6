/* jobfile_solver.h: what the keys of an inversion's solution must be to each other. */
#ifndef SKY_CORE_JOBFILE_SOLVER_H
#define SKY_CORE_JOBFILE_SOLVER_H

#include "src/core/schema.h"

SKY_NODISCARD sky_status sky_rule_solvers(const sky_node *root, sky_faults *f);

#endif
