/* problem_zones.h: the zones of a problem file: weights of its cells, and names.
 *
 * Variables, all optional: zones(zone,cell), dense; or zone_data, zone_col(zone_nnz) and
 * zone_rowptr, CSR rows of the zones over the cells; zone_name(zone), texts; zone_constant(zone),
 * what of a zone's total the state does not move. A zone's total is constant + Σ_t Σ_c weight_c
 * x_tc; a step of it has its part of the constant. */
#ifndef SKY_READ_PROBLEM_ZONES_H
#define SKY_READ_PROBLEM_ZONES_H

#include "skyflux/problem.h"

typedef struct sky_problem_zones { /* rows to ask of a posterior */
  size_t n, n_zone;                /* rows; zones of the file */
  double *W;        /* [n*n_state]: the total, then the zones, then their parts in time */
  double *constant; /* [n] */
  char **name;      /* [n] "total", the names, "NAME, step 1" … */
} sky_problem_zones;

/* by_time: every zone (of a file without zones: the total) also step by step. Rows are checked
 * against the memory budget first. SKY_E_FORMAT, SKY_E_RANGE name the variable and index. */
SKY_NODISCARD sky_status sky_problem_zones_read(sky_context *ctx, const char *path,
                                                const sky_problem *p, bool by_time,
                                                sky_problem_zones *out);
void sky_problem_zones_free(sky_problem_zones *z); /* NULL-safe, zeroes */

#endif
