/* vprm_sets.h: parameters of VPRM as data: the sets of ancillary/, or a user's table.
 *
 * λ and PAR0 are per photon of PAR or per W m-2 of shortwave, and λ of some models is negative
 * where it means uptake: both are declared (unit or `light`, `lambda_sign`), never guessed. */
#ifndef SKY_ALGORITHMS_SINK_VPRM_SETS_H
#define SKY_ALGORITHMS_SINK_VPRM_SETS_H

#include "algorithms/sink/vprm.h"
#include "src/core/table.h"

typedef struct sky_vprm_set {
  char name[64];
  char region[64]; /* where its towers stand; "" for a user's table */
  size_t n;
  sky_vprm_class *cls;
} sky_vprm_set;

/* SKY_E_USAGE names the sets that there are. */
SKY_NODISCARD sky_status sky_vprm_set_builtin(sky_context *ctx, const char *name,
                                              sky_vprm_set *out);
/* Columns class, lambda, par0, light (par | sw), lambda_sign (positive | negative), alpha, beta,
 * t_min, t_opt, t_max, t_low, pscale, wscale, source; µmol m-2 s-1 and °C as the field has them.
 * With alpha2, gamma, k1, k2, k3, t_crit, t_mult filled a class has the modified respiration. */
SKY_NODISCARD sky_status sky_vprm_set_from_table(sky_context *ctx, const sky_table *table,
                                                 const char *path, sky_vprm_set *out);
void sky_vprm_set_free(sky_vprm_set *s); /* NULL-safe, zeroes */
/* Index of a class, or SIZE_MAX. */
size_t sky_vprm_set_find(const sky_vprm_set *s, const char *name);

#endif
