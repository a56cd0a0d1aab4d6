/* synth_city_flux.h: the true fluxes of the invented city on the cells of its job. */
#ifndef SKY_JOB_SYNTH_CITY_FLUX_H
#define SKY_JOB_SYNTH_CITY_FLUX_H

#include "src/job/job.h"
#include "src/job/synth_city.h"
#include "src/job/synth_city_pass.h"

extern const char *const sky_city_gas_id[SKY_CITY_GASES]; /* "co2" … */

typedef struct sky_city_flux {
  sky_mesh mesh;
  double *area;                     /* [cells] m2 */
  double *emission[SKY_CITY_GASES]; /* [cells] mol m-2 s-1, of human activity */
  double *land;                     /* [cells] mol CO2 m-2 s-1, of ecosystems */
  sky_zones zones;
  sky_coverage *cover; /* [zones] */
  /* [zones] kg yr-1: what a zone has beyond the flux of its cells times its share of their area,
   * because emissions of a border cell lie on one side. Land last. */
  double *beyond[SKY_CITY_GASES + 1];
} sky_city_flux;

/* Makes the job's own layers in a scratch folder and draws the truth. */
SKY_NODISCARD sky_status sky_city_flux_make(sky_context *ctx, const sky_city_scene *scene,
                                            const char *dir, uint64_t seed, sky_city_case which,
                                            sky_city_flux *out);
void sky_city_flux_free(sky_city_flux *f); /* NULL-safe, zeroes */
/* dir/truth.csv and maps on the base grid, dir/truth/GAS.nc. */
SKY_NODISCARD sky_status sky_city_flux_write(sky_context *ctx, const sky_city_flux *f,
                                             const char *dir);
#endif
