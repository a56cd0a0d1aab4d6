/* synth_city_inputs.c: see synth_city_inputs.h. */
#include "src/job/synth_city_inputs.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/job/synth_files.h"
#include "src/write/cog.h"

static sky_status city_grid(sky_context *ctx, double cell, sky_grid *out) {
  return sky_grid_from_box(ctx, SKY_CITY_CRS, SKY_CITY_WEST, SKY_CITY_SOUTH,
                           SKY_CITY_WEST + SKY_CITY_SIDE, SKY_CITY_SOUTH + SKY_CITY_SIDE, cell,
                           cell, out);
}

/* ---- rasters ---- */

static sky_status write_raster(sky_context *ctx, const sky_grid *grid, const char *dir,
                               const char *name, const char *about, sky_field_kind kind,
                               const double *value) {
  const sky_field field = {
      .name = name, .long_name = about, .unit = "1", .kind = kind, .value = value};
  char *path = sky_sprintf(ctx, "%s/%s.tif", dir, name);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_cog_write(ctx, path, grid, &field, NULL);
  sky_free(path);
  return st;
}

/* Means of 3 x 3 points in 250 m cells, as thousandths of the largest. */
static sky_status write_proxies(sky_context *ctx, const sky_city_scene *scene, const char *dir) {
  static const struct {
    const char *name, *about;
  } FILES[SKY_CITY_DENSITIES] = {{"built", "floor space, relative"},
                                 {"industry", "industrial floor space and stacks, relative"},
                                 {"roads", "traffic, relative"},
                                 {"crops", "cropland, relative"},
                                 {"waste", "landfills and sewage works, relative"},
                                 {"mines", "mine workings, relative"}};
  sky_grid grid = {0};
  double *value = NULL;
  sky_status st = SKY_OK;
  SKY_GO(city_grid(ctx, 250, &grid));
  const size_t n = sky_grid_cells(&grid);
  SKY_GO_ALLOC(value, SKY_NEW(ctx, double, n));
  for (size_t d = 0; d < SKY_CITY_DENSITIES; d++) {
    double most = 0;
    for (size_t c = 0; c < n; c++) {
      double x, y;
      sky_grid_centre(&grid, c, &x, &y);
      value[c] = 0;
      for (int k = 0; k < 9; k++)
        value[c] += sky_city_value(scene->land, (sky_city_density)d, x + 83.0 * (k % 3 - 1),
                                   y + 83.0 * (k / 3 - 1)) /
                    9;
      most = fmax(most, value[c]);
    }
    for (size_t c = 0; c < n; c++)
      value[c] = nearbyint(1000 * value[c] / most);
    SKY_GO(
        write_raster(ctx, &grid, dir, FILES[d].name, FILES[d].about, SKY_FIELD_INTENSIVE, value));
  }
cleanup:
  sky_grid_free(&grid);
  sky_free(value);
  return st;
}

static sky_status write_land_cover(sky_context *ctx, const sky_city_scene *scene, const char *dir) {
  sky_grid grid = {0};
  double *first = NULL, *second = NULL;
  sky_status st = SKY_OK;
  SKY_GO(city_grid(ctx, 100, &grid));
  const size_t n = sky_grid_cells(&grid);
  SKY_GO_ALLOC(first, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(second, SKY_NEW(ctx, double, n));
  for (size_t c = 0; c < n; c++) {
    double x, y;
    int code[2];
    sky_grid_centre(&grid, c, &x, &y);
    sky_city_cover(scene->land, x, y, code);
    first[c] = code[0];
    second[c] = code[1];
  }
  SKY_GO(write_raster(ctx, &grid, dir, "lc2018", "land cover of 2018, codes of WorldCover",
                      SKY_FIELD_CLASS, first));
  SKY_GO(write_raster(ctx, &grid, dir, "lc2023", "land cover of 2023, codes of WorldCover",
                      SKY_FIELD_CLASS, second));
cleanup:
  sky_grid_free(&grid);
  sky_free(first);
  sky_free(second);
  return st;
}

/* ---- tables ---- */

static sky_status write_template(sky_context *ctx, const char *dir, const char *name,
                                 const sky_synth_value *values, size_t n) {
  char *path = sky_sprintf(ctx, "%s/%s", dir, name);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_synth_write_text(ctx, path, name, values, n);
  sky_free(path);
  return st;
}

sky_status sky_city_inputs_write(sky_context *ctx, const sky_city_scene *scene, const char *dir) {
  const bool strong = scene->strong_n2o;
  const sky_synth_value activity[] = {
      {.name = "label", .text = strong ? ": the case with a strong source of N2O" : ""},
      {.name = "strong",
       .text =
           strong ? "park-west,chemicals,adipic_acid,13.5,10^4 t,5,production statistics\n" : ""}};
  const sky_synth_value factors[] = {
      {.name = "strong",
       .text = strong ? "adipic_acid,300,kgN2O/t,50,\"IPCC 2006 V3 3.4, without abatement; whether "
                        "it is abated is not known\"\n"
                      : ""}};
  char *zones = NULL, *proxies = NULL, *cover = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(zones, sky_sprintf(ctx, "%s/zones.geojson", dir));
  SKY_GO_ALLOC(proxies, sky_sprintf(ctx, "%s/proxies", dir));
  SKY_GO_ALLOC(cover, sky_sprintf(ctx, "%s/landcover", dir));
  SKY_GO(sky_file_mkdirs(ctx, proxies));
  SKY_GO(sky_file_mkdirs(ctx, cover));
  SKY_GO(sky_city_write_zones(ctx, scene->crs, zones));
  SKY_GO(write_template(ctx, dir, "activity.csv", activity, 2));
  SKY_GO(write_template(ctx, dir, "factors.csv", factors, 1));
  SKY_GO(write_proxies(ctx, scene, proxies));
  SKY_GO(write_land_cover(ctx, scene, cover));
cleanup:
  sky_free(zones);
  sky_free(proxies);
  sky_free(cover);
  return st;
}

/* ---- the job ---- */

/* Removes the sections that need observations: top-level keys and what is indented below them. */
static void cut_sections(char *text) {
  static const char *const GONE[] = {
      "period:", "soundings:", "footprints:", "inversions:", "compare:"};
  char *to = text;
  bool skip = false;
  for (char *line = text; *line != '\0';) {
    const size_t n = strcspn(line, "\n") + (strchr(line, '\n') != NULL);
    if (*line != ' ' && *line != '\n' && *line != '#') {
      skip = false;
      for (size_t i = 0; i < sizeof GONE / sizeof *GONE; i++)
        skip = skip || strncmp(line, GONE[i], strlen(GONE[i])) == 0;
    }
    char *next = line + n;
    if (!skip) {
      memmove(to, line, n);
      to += n;
    }
    line = next;
  }
  *to = '\0';
}

sky_status sky_city_job_write(sky_context *ctx, const sky_city_scene *scene, const char *dir,
                              uint64_t seed, sky_city_case which, bool layers_only,
                              const char *out) {
  static const char *const TITLE[SKY_CITY_CASES] = {
      "Greenhouse gases of an invented city, autumn 2023",
      "Greenhouse gases of an invented city, autumn 2023 (matched case)",
      "Greenhouse gases of an invented city, autumn 2023 (strong source of N2O)"};
  sky_text t = {.ctx = ctx};
  char *quoted = NULL, *command = NULL, *text = NULL;
  size_t length;
  sky_status st = SKY_OK;
  sky_text_json(&t, dir); /* a JSON string is a YAML string */
  SKY_GO_ALLOC(quoted, sky_text_take(&t));
  SKY_GO_ALLOC(command, sky_sprintf(ctx, " --case %s --seed %llu", sky_city_case_names[which],
                                    (unsigned long long)seed));
  const sky_synth_value values[] = {
      {.name = "dir", .text = quoted},
      {.name = "title", .text = TITLE[which]},
      {.name = "command", .text = command},
      /* Some degrees of wind move the narrow plume of one plant off a station. */
      {.name = "n2o_representation", .text = scene->strong_n2o ? "3 ppb" : "0.3 ppb"},
      {.name = "proxy",
       .text = scene->strong_n2o
                   ? "    - {sector: chemicals, file: \"${data}/proxies/industry.tif\","
                     " concentration: 400}\n"
                   : ""}};
  SKY_GO(sky_synth_write_text(ctx, out, "city.yaml", values, sizeof values / sizeof *values));
  if (!layers_only) goto cleanup;
  SKY_GO(sky_file_read_text(ctx, out, &text, &length));
  cut_sections(text);
  /* Every job names soundings; no stage of the layers reads them. */
  sky_text_printf(
      &t, "%ssoundings:\n  - {files: [\"${data}/era5_2023.nc\"], gases: [co2, ch4, n2o]}\n", text);
  sky_free(text);
  SKY_GO_ALLOC(text, sky_text_take(&t));
  SKY_GO(sky_file_write_text(ctx, out, text, strlen(text)));
cleanup:
  sky_text_free(&t);
  sky_free(quoted);
  sky_free(command);
  sky_free(text);
  return st;
}
