/* synth_city.c: the invented city, from the ground to the job file. */
#include "src/job/synth_city.h"

#include <stdlib.h>
#include <string.h>

#include "grids/grid_area.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/synth_city_inputs.h"
#include "src/job/synth_city_truth.h"

const char *const sky_city_case_names[SKY_CITY_CASES] = {"mismatched", "matched", "strong-n2o"};

static sky_status scene_create(sky_context *ctx, sky_city_case which, sky_city_scene *s) {
  s->strong_n2o = which == SKY_CITY_STRONG_N2O;
  SKY_TRY(sky_city_land_create(ctx, &s->land));
  SKY_TRY(sky_city_winds_create(ctx, &s->winds));
  SKY_TRY(sky_crs_create(ctx, SKY_CITY_CRS, &s->crs));
  SKY_TRY(
      sky_grid_from_box(ctx, "EPSG:4326", 110.60, 21.32, 111.20, 21.88, 0.01, 0.01, &s->native));
  s->area = SKY_NEW(ctx, double, sky_grid_cells(&s->native));
  if (s->area == NULL) return SKY_E_NOMEM;
  return sky_grid_areas(ctx, &s->native, s->area);
}

static void scene_free(sky_city_scene *s) {
  sky_city_land_free(s->land);
  sky_city_winds_free(s->winds);
  sky_crs_free(s->crs);
  sky_grid_free(&s->native);
  sky_free(s->area);
}

sky_status sky_synth_city(sky_context *ctx, const char *dir, uint64_t seed, sky_city_case which) {
  sky_city_scene scene = {0};
  sky_city_pass pass[SKY_CITY_PASSES] = {{.day = 0}};
  sky_footprints footprint[SKY_CITY_PASSES] = {{.n_rows = 0}};
  char *soundings = NULL, *footprints = NULL, *winds = NULL, *job = NULL, *result = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(soundings, sky_sprintf(ctx, "%s/soundings", dir));
  SKY_GO_ALLOC(footprints, sky_sprintf(ctx, "%s/footprints", dir));
  SKY_GO_ALLOC(winds, sky_sprintf(ctx, "%s/era5_2023.nc", dir));
  SKY_GO_ALLOC(job, sky_sprintf(ctx, "%s/city.yaml", dir));
  SKY_GO_ALLOC(result, sky_sprintf(ctx, "%s/result", dir));
  if (sky_file_exists(result))
    sky_log(ctx, SKY_LOG_WARN, "%s: its results belong to the scene that was here before", result);
  SKY_GO(sky_file_mkdirs(ctx, soundings));
  SKY_GO(sky_file_mkdirs(ctx, footprints));
  SKY_GO(scene_create(ctx, which, &scene));
  SKY_GO(sky_city_inputs_write(ctx, &scene, dir));
  SKY_GO(sky_city_winds_write(ctx, scene.winds, winds));
  size_t day = 0;
  for (size_t p = 0; p < SKY_CITY_PASSES; p++) {
    SKY_GO(sky_city_pass_create(ctx, &scene, day, &pass[p]));
    SKY_GO(sky_city_footprints(ctx, &scene, &pass[p], NULL, NULL, &footprint[p]));
    SKY_GO(sky_city_footprints_write(ctx, &pass[p], &footprint[p], footprints));
    day += sky_city_days[day].gas == SKY_CITY_N2O ? SKY_CITY_N2O_DAYS : 1;
  }
  SKY_GO(sky_city_truth_make(ctx, &scene, dir, seed, which, pass, footprint));
  for (size_t p = 0; p < SKY_CITY_PASSES; p++)
    SKY_GO(sky_city_pass_write(ctx, &scene, &pass[p], soundings));
  /* Last: a job file means that its scene is complete. */
  SKY_GO(sky_city_job_write(ctx, &scene, dir, seed, which, false, job));
cleanup:
  for (size_t p = 0; p < SKY_CITY_PASSES; p++) {
    sky_city_pass_free(&pass[p]);
    sky_footprints_free(&footprint[p]);
  }
  scene_free(&scene);
  sky_free(soundings);
  sky_free(footprints);
  sky_free(winds);
  sky_free(job);
  sky_free(result);
  return st;
}
