/* invert_sectors.c: what stage invert found out about the sectors of its prior. */
#include <stdio.h>

#include "algorithms/inversion/diagnose.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/inverting.h"

sky_status sky_inverting_sector_kernel(sky_context *ctx, const sky_inverting *v, double *M) {
  const size_t first = v->first_sector + v->n_sector * v->zones.n;
  if (!v->kernel) {
    for (size_t i = 0; i < v->n_sector * v->n_sector; i++)
      M[i] = NAN;
    return SKY_OK;
  }
  return sky_sector_kernel(ctx, v->n_sector, v->n_state, v->W + first * v->n_state,
                           v->post.zone_A + first * v->n_state, M);
}

static const char *name_of(const sky_inverting *v, size_t l) {
  return sky_node_text(sky_node_item(sky_node_get(v->node, "sectors"), l), "name");
}

/* Where else most of a change in sector l arrives. */
static void record_kernel(sky_facts *facts, const sky_inverting *v, const double *M, size_t l) {
  const size_t n = v->n_sector;
  size_t to = l == 0;
  for (size_t k = 0; k < n; k++)
    if (k != l && fabs(M[k * n + l]) > fabs(M[to * n + l])) to = k;
  sky_fact(facts, "Sectors", name_of(v, l),
           "of a change of %s in it %.0f %% arrive in it and %.0f %% in %s",
           sky_species_find(v->gas)->formula, 100 * M[l * n + l], 100 * M[to * n + l],
           name_of(v, to));
}

static void record_row(sky_facts *facts, const sky_inverting *v, const char *where, size_t l,
                       size_t row) {
  const sky_posterior *p = &v->post;
  if (isnan(p->total[row])) return;
  sky_fact(facts, "Sectors", where,
           "%s of %s: prior %.4g +- %.2g t/yr, posterior %.4g +- %.2g t/yr",
           sky_species_find(v->gas)->formula, name_of(v, l), p->prior_total[row] / 1e3,
           p->prior_sd[row] / 1e3, p->total[row] / 1e3, p->total_sd[row] / 1e3);
}

sky_status sky_inverting_record_sectors(sky_context *ctx, sky_facts *facts,
                                        const sky_inverting *v) {
  const size_t n = v->n_sector, nz = v->zones.n, first = v->first_sector + n * nz;
  const sky_posterior *p = &v->post;
  double M[SKY_SECTORS_MOST * SKY_SECTORS_MOST];
  char key[128];
  if (n == 1) return SKY_OK;
  SKY_TRY(sky_inverting_sector_kernel(ctx, v, M));
  for (size_t l = 0; l < n; l++) {
    const struct {
      const char *what;
      double value;
    } numbers[] = {{"prior_kg_yr", p->prior_total[first + l]},
                   {"prior_sd_kg_yr", p->prior_sd[first + l]},
                   {"posterior_kg_yr", p->total[first + l]},
                   {"posterior_sd_kg_yr", p->total_sd[first + l]},
                   {"dofs", p->zone_dofs[first + l]}};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
      snprintf(key, sizeof key, "sector_%s_%s", name_of(v, l), numbers[k].what);
      sky_fact_number(facts, key, numbers[k].value);
    }
    record_row(facts, v, "whole grid", l, first + l);
    for (size_t z = 0; z < nz; z++)
      record_row(facts, v, v->zones.zone[z].name, l, v->first_sector + l * nz + z);
    if (v->kernel) record_kernel(facts, v, M, l);
  }
  return SKY_OK;
}
