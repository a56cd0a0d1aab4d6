/* synth_city_flux.c: the true fluxes of the invented city.
 *
 * Matched: x = x0 + Q^1/2 z with x0 and Q of the layers that the job itself makes (layer.h).
 *
 * Mismatched: the same activity through another model. A row's emission is off by
 *     exp(σ (0.4 z_county + 0.5 z_sector + 0.77 z_row)),  σ its own relative error,
 * so that sectors and counties err together, which the account does not assume; inside its region
 * it follows the ground's density to the power 1.3 where the proxy has it to the power 1, and each
 * gas has a source that nobody reported. Ecosystems take up a season's share of the year's mean. */
#include "src/job/synth_city_flux.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/core/text.h"
#include "src/job/job_account.h"
#include "src/job/layer.h"
#include "src/job/scratch.h"
#include "src/job/stage.h"
#include "src/job/stage_file.h"
#include "src/job/synth_city_draw.h"
#include "src/job/synth_city_inputs.h"
#include "src/job/synth_plume.h"
#include "src/job/zone_relation.h"
#include "src/read/flux.h"
#include "src/write/nc_write.h"

const char *const sky_city_gas_id[SKY_CITY_GASES] = {"co2", "ch4", "n2o"};
enum {
  STREAM_LAYER = 1,
  STREAM_LAND = 10,
  STREAM_COUNTY = 20,
  STREAM_SECTOR = 30,
  STREAM_ROW = 40
};

void sky_city_flux_free(sky_city_flux *f) {
  if (f == NULL) return;
  sky_job_coverage_free(f->cover, f->zones.n);
  sky_zones_free(&f->zones);
  sky_mesh_free(&f->mesh);
  sky_free(f->area);
  for (size_t g = 0; g < SKY_CITY_GASES; g++)
    sky_free(f->emission[g]);
  for (size_t g = 0; g <= SKY_CITY_GASES; g++)
    sky_free(f->beyond[g]);
  sky_free(f->land);
  memset(f, 0, sizeof *f);
}

static double molar_mass(sky_city_gas g) {
  return sky_species_find(sky_city_gas_id[g])->molar_mass;
}

/* kg yr-1 of the cells' flux, by share of area. */
static double spread_total(const sky_city_flux *f, size_t zone, const double *flux, double molar) {
  const sky_coverage *c = &f->cover[zone];
  sky_acc sum = {0};
  for (size_t i = 0; i < c->n; i++)
    if (!isnan(flux[c->cell[i]]))
      sky_acc_add(&sum, flux[c->cell[i]] * f->area[c->cell[i]] * c->fraction[i]);
  return molar * SKY_SECONDS_PER_YEAR * sky_acc_value(&sum);
}

/* ---- the job's own layers ---- */

/* Of the inventories only where the truth is drawn from them. */
static sky_status make_layers(sky_context *ctx, const sky_job *job, bool inventories) {
  static const char *const KIND[] = {"sink", "account", "inventory"};
  const size_t kinds = inventories ? 3 : 1;
  sky_stage_list list = {0};
  cJSON *log = cJSON_CreateArray();
  sky_status st = log == NULL ? SKY_E_NOMEM : sky_stages_build(ctx, job, &list);
  for (size_t i = 0; i < list.n && st == SKY_OK; i++)
    for (size_t k = 0; k < kinds && st == SKY_OK; k++)
      if (strcmp(list.stage[i].row->kind, KIND[k]) == 0)
        st = sky_stage_run(ctx, job, &list, i, false, log);
  sky_stages_free(&list);
  cJSON_Delete(log);
  return st;
}

/* kg yr-1 by which a zone's part of the cells' mass changes from the layer to the draw. */
static double share_of_change(const sky_city_flux *f, const sky_layer *layer, size_t zone,
                              const double *flux, double molar) {
  const double *share = layer->zone_share + zone * layer->n_cell;
  sky_acc sum = {0};
  for (size_t c = 0; c < layer->n_cell; c++)
    if (share[c] > 0) sky_acc_add(&sum, share[c] * (flux[c] - layer->flux[c]) * f->area[c]);
  return molar * SKY_SECONDS_PER_YEAR * sky_acc_value(&sum);
}

static sky_status draw_layer(sky_context *ctx, const sky_job *job, const char *kind, const char *id,
                             uint64_t seed, uint64_t stream, double molar, sky_city_flux *f,
                             double *flux, double *beyond) {
  sky_layer layer = {0};
  SKY_TRY(sky_layer_read(ctx, job, kind, id, &layer));
  const sky_status st = sky_layer_draw(ctx, &layer, seed, stream, flux);
  for (size_t z = 0; z < f->zones.n; z++) {
    const double change = layer.zone_share != NULL ? share_of_change(f, &layer, z, flux, molar)
                                                   : spread_total(f, z, flux, molar) -
                                                         spread_total(f, z, layer.flux, molar);
    beyond[z] = layer.zone_total[z] + change - spread_total(f, z, flux, molar);
  }
  sky_layer_free(&layer);
  return st;
}

static sky_status draw_matched(sky_context *ctx, const sky_job *job, uint64_t seed,
                               sky_city_flux *f) {
  for (size_t g = 0; g < SKY_CITY_GASES; g++) {
    char id[24];
    (void)snprintf(id, sizeof id, "account-%s", sky_city_gas_id[g]);
    SKY_TRY(draw_layer(ctx, job, "inventory", id, seed, STREAM_LAYER + g,
                       molar_mass((sky_city_gas)g), f, f->emission[g], f->beyond[g]));
  }
  return draw_layer(ctx, job, "sink", "land", seed, STREAM_LAND, molar_mass(SKY_CITY_CO2), f,
                    f->land, f->beyond[SKY_CITY_GASES]);
}

/* ---- another model ---- */

static sky_city_density density_of(const char *sector) {
  static const struct {
    const char *sector;
    sky_city_density density;
  } OF[] = {{"power", SKY_CITY_INDUSTRY},     {"industry", SKY_CITY_INDUSTRY},
            {"chemicals", SKY_CITY_INDUSTRY}, {"transport", SKY_CITY_ROADS},
            {"waste", SKY_CITY_WASTE},        {"mining", SKY_CITY_MINES},
            {"agriculture", SKY_CITY_CROPS}};
  for (size_t i = 0; i < sizeof OF / sizeof *OF; i++)
    if (strcmp(sector, OF[i].sector) == 0) return OF[i].density;
  return SKY_CITY_BUILT;
}

/* A number of its own for each text (FNV-1a), for the streams of random numbers. */
static uint64_t number_of(const char *text) {
  uint64_t h = 14695981039346656037u;
  for (; *text != '\0'; text++)
    h = (h ^ (unsigned char)*text) * 1099511628211u;
  return h;
}

static double density_in(const sky_city_scene *scene, const sky_mesh *mesh, size_t cell,
                         sky_city_density d) {
  size_t p = 0;
  while (mesh->first[p + 1] <= cell)
    p++;
  const double size = sky_grid_dx(&mesh->patch[p]);
  const int side = size > 500 ? 4 : 2;
  double x, y, sum = 0;
  sky_mesh_centre(mesh, cell, &x, &y);
  for (int k = 0; k < side * side; k++)
    sum += pow(sky_city_value(scene->land, d, x + size * ((k % side + 0.5) / side - 0.5),
                              y + size * ((double)(k / side) + 0.5) / side - 0.5 * size),
               1.3);
  return sum / (side * side);
}

/* kg yr-1 of one row, over the cells of its region; mass [zones] gets what lies in each zone. */
static sky_status place_row(sky_context *ctx, const sky_city_scene *scene, size_t region,
                            const char *sector, double emission, double molar, sky_city_flux *f,
                            double *flux, double *mass) {
  const sky_coverage *c = &f->cover[region];
  double *share = SKY_NEW0(ctx, double, f->mesh.n_cell);
  double *weight = SKY_NEW(ctx, double, c->n);
  sky_status st = SKY_OK;
  if (share == NULL || weight == NULL) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  for (size_t i = 0; i < c->n; i++)
    weight[i] = f->area[c->cell[i]] * c->fraction[i] *
                (1e-9 + density_in(scene, &f->mesh, c->cell[i], density_of(sector)));
  const double all = sky_sum(weight, c->n);
  for (size_t i = 0; i < c->n; i++) {
    const size_t cell = c->cell[i];
    flux[cell] += emission * weight[i] / all / (molar * SKY_SECONDS_PER_YEAR * f->area[cell]);
    share[cell] = weight[i] / all / c->fraction[i];
  }
  for (size_t z = 0; z < f->zones.n; z++) {
    sky_zone_relation relation;
    SKY_GO(sky_zone_relate(ctx, &f->zones.zone[region], &f->zones.zone[z], &relation, NULL));
    if (relation == SKY_ZONE_WITHIN) mass[z] += emission;
    if (relation != SKY_ZONE_HOLDS) continue;
    for (size_t i = 0; i < f->cover[z].n; i++)
      mass[z] += emission * share[f->cover[z].cell[i]] * f->cover[z].fraction[i];
  }
cleanup:
  sky_free(share);
  sky_free(weight);
  return st;
}

/* Sources that nobody reported: a lime kiln, an old mine shaft. */
static void add_unreported(sky_city_flux *f) {
  static const struct {
    sky_city_gas gas;
    double x, y, total; /* km; t yr-1 */
  } SOURCE[] = {{SKY_CITY_CO2, 31.5, 37.5, 0.5e6}, {SKY_CITY_CH4, 14.5, 40.5, 6e3}};
  for (size_t s = 0; s < sizeof SOURCE / sizeof *SOURCE; s++) {
    const size_t base = sky_grid_find(&f->mesh.patch[0], SKY_CITY_WEST + 1e3 * SOURCE[s].x,
                                      SKY_CITY_SOUTH + 1e3 * SOURCE[s].y);
    const size_t cell = f->mesh.of[0][base];
    f->emission[SOURCE[s].gas][cell] +=
        1e3 * SOURCE[s].total / (molar_mass(SOURCE[s].gas) * SKY_SECONDS_PER_YEAR * f->area[cell]);
  }
}

static sky_status draw_emissions(sky_context *ctx, const sky_job *job, const sky_city_scene *scene,
                                 const char *dir, uint64_t seed, sky_city_flux *f) {
  static const sky_gas GAS[SKY_CITY_GASES] = {SKY_GAS_CO2, SKY_GAS_CH4, SKY_GAS_N2O};
  sky_job_account a = {0};
  sky_status st = SKY_OK;
  char *path = sky_sprintf(ctx, "%s/activity.csv", dir);
  if (path == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_job_account_open(ctx, job, path, &f->zones, &a));
  for (size_t i = 0; i < a.account.n_lines; i++) {
    const sky_account_line *l = &a.account.line[i];
    const sky_activity *row = &a.activity.row[i];
    if (l->factor.scope != SKY_SCOPE_1) continue;
    for (size_t g = 0; g < SKY_CITY_GASES; g++) {
      if (l->factor.gas != GAS[g]) continue;
      const double z = 0.4 * sky_rng_normal(seed, STREAM_COUNTY + g, number_of(row->region)) +
                       0.5 * sky_rng_normal(seed, STREAM_SECTOR + g, number_of(row->sector)) +
                       0.77 * sky_rng_normal(seed, STREAM_ROW + g, i);
      const double truth = l->emission * exp(l->sd / l->emission * z);
      size_t region = 0;
      while (strcmp(f->zones.zone[region].id, row->region) != 0) /* open has checked it */
        region++;
      SKY_GO(place_row(ctx, scene, region, row->sector, truth, molar_mass((sky_city_gas)g), f,
                       f->emission[g], f->beyond[g]));
    }
  }
  for (size_t g = 0; g < SKY_CITY_GASES; g++)
    for (size_t z = 0; z < f->zones.n; z++)
      f->beyond[g][z] -= spread_total(f, z, f->emission[g], molar_mass((sky_city_gas)g));
  add_unreported(f);
cleanup:
  sky_job_account_free(&a);
  sky_free(path);
  return st;
}

/* The year's mean uptake, as the dry half of autumn leaves it. */
static sky_status draw_land(sky_context *ctx, const sky_job *job, uint64_t seed, sky_city_flux *f) {
  sky_layer layer = {0};
  sky_waves waves;
  SKY_TRY(sky_layer_read(ctx, job, "sink", "land", &layer));
  sky_waves_make(seed, STREAM_LAND, 0.6, &waves);
  const double season = 0.75 + 0.1 * sky_rng_normal(seed, STREAM_LAND, 1000);
  for (size_t c = 0; c < f->mesh.n_cell; c++) {
    double x, y;
    sky_mesh_centre(&f->mesh, c, &x, &y);
    const double here =
        sky_waves_at(&waves, 1e-3 * (x - SKY_CITY_WEST), 1e-3 * (y - SKY_CITY_SOUTH));
    f->land[c] = isnan(layer.flux[c]) ? 0 : layer.flux[c] * season * (1 + 0.2 * here);
  }
  sky_layer_free(&layer);
  return SKY_OK;
}

/* ---- all of it ---- */

static sky_status alloc(sky_context *ctx, const sky_job *job, sky_city_flux *f) {
  SKY_TRY(sky_job_mesh(ctx, job, &f->mesh));
  SKY_TRY(sky_job_zones(ctx, job, &f->mesh, &f->zones, &f->cover));
  f->area = SKY_NEW(ctx, double, f->mesh.n_cell);
  f->land = SKY_NEW0(ctx, double, f->mesh.n_cell);
  for (size_t g = 0; g < SKY_CITY_GASES; g++) {
    f->emission[g] = SKY_NEW0(ctx, double, f->mesh.n_cell);
    if (f->emission[g] == NULL) return SKY_E_NOMEM;
  }
  for (size_t g = 0; g <= SKY_CITY_GASES; g++) {
    f->beyond[g] = SKY_NEW0(ctx, double, f->zones.n);
    if (f->beyond[g] == NULL) return SKY_E_NOMEM;
  }
  if (f->area == NULL || f->land == NULL) return SKY_E_NOMEM;
  return sky_mesh_areas(ctx, &f->mesh, f->area);
}

sky_status sky_city_flux_make(sky_context *ctx, const sky_city_scene *scene, const char *dir,
                              uint64_t seed, sky_city_case which, sky_city_flux *out) {
  char *path = NULL;
  sky_job job = {0}, scratch = {0};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/.part.layers.yaml", dir));
  SKY_GO(sky_city_job_write(ctx, scene, dir, seed, which, true, path));
  SKY_GO(sky_job_open(ctx, path, NULL, 0, &job));
  SKY_GO(sky_scratch_open(ctx, &job, &scratch));
  SKY_GO(make_layers(ctx, &scratch, which == SKY_CITY_MATCHED));
  SKY_GO(alloc(ctx, &scratch, out));
  if (which == SKY_CITY_MATCHED) {
    SKY_GO(draw_matched(ctx, &scratch, seed, out));
  } else {
    SKY_GO(draw_emissions(ctx, &scratch, scene, dir, seed, out));
    SKY_GO(draw_land(ctx, &scratch, seed, out));
  }
cleanup:
  sky_scratch_close(&scratch);
  sky_job_close(&job);
  if (path != NULL) (void)unlink(path);
  sky_free(path);
  if (st != SKY_OK) sky_city_flux_free(out);
  return st;
}

static sky_status write_totals(sky_context *ctx, const sky_city_flux *f, const char *path) {
  sky_text t = {.ctx = ctx};
  sky_text_put(&t, "zone_id,gas,truth_t_yr,sink_truth_t_yr\n");
  for (size_t g = 0; g < SKY_CITY_GASES; g++) {
    for (size_t z = 0; z < f->zones.n; z++) {
      const double molar = molar_mass((sky_city_gas)g);
      sky_text_printf(&t, "%s,%s,%.10g,", f->zones.zone[z].id, sky_city_gas_id[g],
                      1e-3 * (spread_total(f, z, f->emission[g], molar) + f->beyond[g][z]));
      if (g == SKY_CITY_CO2)
        sky_text_printf(&t, "%.10g",
                        1e-3 * (spread_total(f, z, f->land, molar) + f->beyond[SKY_CITY_GASES][z]));
      sky_text_put(&t, "\n");
    }
  }
  char *text = sky_text_take(&t);
  if (text == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_file_write_text(ctx, path, text, strlen(text));
  sky_free(text);
  return st;
}

static sky_status write_map(sky_context *ctx, const sky_city_flux *f, sky_city_gas g,
                            const char *dir) {
  static const char *const GLOBAL[] = {
      "title=true flux of the invented city, means of the base grid", "source=skyflux synth city",
      NULL};
  const size_t n = sky_grid_cells(&f->mesh.patch[0]);
  double scale = 0, *emission = NULL, *land = NULL;
  char name[2][32], *path = NULL;
  sky_status st = SKY_OK;
  const char *unit = sky_flux_unit(sky_city_gas_id[g], &scale);
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/truth_%s.nc", dir, sky_city_gas_id[g]));
  SKY_GO_ALLOC(emission, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(land, SKY_NEW(ctx, double, n));
  sky_mesh_to_base(&f->mesh, f->area, f->emission[g], emission);
  sky_mesh_to_base(&f->mesh, f->area, f->land, land);
  for (size_t c = 0; c < n; c++) {
    emission[c] *= scale;
    land[c] *= scale;
  }
  (void)snprintf(name[0], sizeof name[0], "%s_truth", sky_city_gas_id[g]);
  (void)snprintf(name[1], sizeof name[1], "%s_land_truth", sky_city_gas_id[g]);
  const sky_field field[] = {{.name = name[0],
                              .long_name = "true flux of human activity",
                              .unit = unit,
                              .kind = SKY_FIELD_INTENSIVE,
                              .value = emission},
                             {.name = name[1],
                              .long_name = "true flux of ecosystems",
                              .unit = unit,
                              .kind = SKY_FIELD_INTENSIVE,
                              .value = land}};
  SKY_GO(
      sky_fields_nc_write(ctx, path, &f->mesh.patch[0], field, g == SKY_CITY_CO2 ? 2 : 1, GLOBAL));
cleanup:
  sky_free(path);
  sky_free(emission);
  sky_free(land);
  return st;
}

/* On the job's own cells, in its order: for tests and for those who want to do better. */
static sky_status write_cells(sky_context *ctx, const sky_city_flux *f, const char *path) {
  const sky_stage_dim dims[] = {{"cell", f->mesh.n_cell}};
  const sky_stage_var vars[] = {
      {"co2_emission", "cell", "mol m-2 s-1", f->emission[SKY_CITY_CO2], NULL, NULL},
      {"co2_land", "cell", "mol m-2 s-1", f->land, NULL, NULL},
      {"ch4_emission", "cell", "mol m-2 s-1", f->emission[SKY_CITY_CH4], NULL, NULL},
      {"n2o_emission", "cell", "mol m-2 s-1", f->emission[SKY_CITY_N2O], NULL, NULL},
      {"area", "cell", "m2", f->area, NULL, NULL}};
  return sky_stage_file_write(ctx, path, dims, 1, vars, sizeof vars / sizeof *vars, NULL, 0, NULL);
}

sky_status sky_city_flux_write(sky_context *ctx, const sky_city_flux *f, const char *dir) {
  char *folder = NULL, *totals = NULL, *cells = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(folder, sky_sprintf(ctx, "%s/truth", dir));
  SKY_GO_ALLOC(totals, sky_sprintf(ctx, "%s/truth.csv", dir));
  SKY_GO_ALLOC(cells, sky_sprintf(ctx, "%s/truth/cells.nc", dir));
  SKY_GO(sky_file_mkdirs(ctx, folder));
  SKY_GO(write_cells(ctx, f, cells));
  SKY_GO(write_totals(ctx, f, totals));
  for (size_t g = 0; g < SKY_CITY_GASES; g++)
    SKY_GO(write_map(ctx, f, (sky_city_gas)g, folder));
cleanup:
  sky_free(folder);
  sky_free(totals);
  sky_free(cells);
  return st;
}
