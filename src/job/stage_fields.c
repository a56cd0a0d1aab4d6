/* stage_fields.c: what a GIS loads: one COG per field, one CF NetCDF with all of them, and the
 * observations as they entered the inversion. Units of the field: umol or nmol m-2 s-1, ppm or ppb.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/timeutil.h"
#include "src/job/fields.h"
#include "src/job/kernel_fields.h"
#include "src/job/sector_table.h"
#include "src/job/stage.h"
#include "src/job/stage_file.h"
#include "src/write/json_out.h"
#include "src/write/nc_write.h"

#define FLUX_NAME "surface_upward_mole_flux_of"
#define COLUMN_NAME "dry_atmosphere_mole_fraction_of"

/* standard: CF standard name without the gas; the CF table (v85) has both for CO2 and CH4 only.
 * base: the variable on the cells of the job's grid where a mean of mesh cells is not it. */
typedef struct kind {
  const char *suffix, *stage, *var, *base, *text, *standard;
  bool flux, column;
} kind;

static const kind FIELDS[] = {
    {"prior", "posterior", "cell_prior", NULL, "prior flux to the atmosphere", FLUX_NAME, true,
     false},
    {"posterior", "posterior", "cell_posterior", NULL, "posterior flux to the atmosphere",
     FLUX_NAME, true, false},
    {"posterior_sd", "posterior", "cell_sd", "base_sd", "1-sigma of the posterior flux", NULL, true,
     false},
    {"increment", "posterior", NULL, NULL, "posterior minus prior flux", NULL, true, false},
    {"posterior_ak", "posterior", "cell_ak", "base_ak", "diagonal of the averaging kernel", NULL,
     false, false},
    {"sink_prior", "posterior", "sink_prior", NULL,
     "prior flux of ecosystems to the atmosphere (uptake is negative)", NULL, true, false},
    {"sink_posterior", "posterior", "sink_posterior", NULL,
     "posterior flux of ecosystems to the atmosphere (uptake is negative)", NULL, true, false},
    {"sink_posterior_sd", "posterior", "sink_sd", "sink_base_sd",
     "1-sigma of the posterior flux of ecosystems", NULL, true, false},
    {"column", "columns", "cell_mean", NULL, "mean column dry-air mole fraction", COLUMN_NAME,
     false, true},
    {"column_sd", "columns", "cell_sigma", NULL, "1-sigma of the mean column", NULL, false, true},
    {"column_count", "columns", "cell_count", NULL, "number of soundings", NULL, false, false},
};
#define N_KINDS (sizeof FIELDS / sizeof *FIELDS)

/* The same of one sector, var: the end of sector_NAME_… */
static const kind OF_SECTOR[] = {
    {"sector_prior", "posterior", "prior", NULL, "prior flux to the atmosphere", FLUX_NAME, true,
     false},
    {"sector_posterior", "posterior", "posterior", NULL, "posterior flux to the atmosphere",
     FLUX_NAME, true, false},
    {"sector_posterior_sd", "posterior", "sd", "sector_base_sd", "1-sigma of the posterior flux",
     NULL, true, false},
};
#define N_OF_SECTOR (sizeof OF_SECTOR / sizeof *OF_SECTOR)

void sky_fields_free(sky_fields *f) {
  for (size_t i = 0; i < SKY_FIELDS_MAX; i++) {
    sky_free(f->value[i]);
    sky_free(f->name[i]);
    sky_free(f->long_name[i]);
    sky_free(f->standard_name[i]);
  }
  sky_grid_free(&f->grid);
  sky_free(f->patch);
  f->patch = NULL;
  f->n = 0;
}

/* Time steps of the state of a gas; NaN where nothing was inverted or time has no steps. */
static sky_status time_steps(sky_context *ctx, const sky_job *job, const char *gas, double *steps) {
  char *path = sky_sprintf(ctx, "%s/posterior-%s.nc", job->stage_dir, gas), stage[64];
  sky_facts facts = {0};
  sky_status st = SKY_OK;
  *steps = NAN;
  if (path == NULL) return SKY_E_NOMEM;
  snprintf(stage, sizeof stage, "invert-%s", gas);
  if (sky_file_exists(path)) {
    st = sky_facts_read(ctx, job, stage, &facts);
    if (st == SKY_OK) *steps = sky_facts_number(&facts, "time_steps");
    sky_facts_free(&facts);
  }
  sky_free(path);
  return st;
}

/* Where fields are wanted: the job's grid (p = 0) or a patch of its mesh. */
typedef struct place {
  sky_mesh mesh;
  double *area; /* [mesh cells] m2, for means on the grid */
  size_t p;
} place;

/* The values of a variable on mesh cells there. *partly: nodata below the patches. */
static sky_status place_values(sky_context *ctx, const place *at, const char *path, const kind *k,
                               double **out, bool *partly) {
  const sky_mesh *m = &at->mesh;
  double *cell = NULL, *value = NULL;
  bool has_base = false;
  sky_status st = SKY_OK;
  if (m->n_patch == 1) return sky_stage_file_read(ctx, path, k->var, m->n_cell, out);
  const size_t n = sky_grid_cells(&m->patch[at->p]);
  if (at->p == 0 && k->base != NULL) SKY_GO(sky_stage_file_has(ctx, path, k->base, &has_base));
  if (has_base) return sky_stage_file_read(ctx, path, k->base, n, out);
  SKY_GO(sky_stage_file_read(ctx, path, k->var, m->n_cell, &cell));
  SKY_GO_ALLOC(value, SKY_NEW(ctx, double, n));
  *partly = at->p == 0 && k->base != NULL;
  if (at->p == 0 && k->base == NULL)
    sky_mesh_to_base(m, at->area, cell, value);
  else
    sky_mesh_to_patch(m, at->p, cell, value);
  *out = value;
cleanup:
  sky_free(cell);
  return st;
}

/* Whether the job has this field there: columns are on its grid only, sinks in some posteriors. */
static sky_status has_field(sky_context *ctx, const place *at, const char *path, const kind *k,
                            bool *has) {
  *has = sky_file_exists(path) && (at->p == 0 || strcmp(k->stage, "posterior") == 0);
  return *has && k->var != NULL ? sky_stage_file_has(ctx, path, k->var, has) : SKY_OK;
}

/* "posterior", or "sector_NAME_posterior" of a sector; new. */
static char *suffix_of(sky_context *ctx, const kind *k, const char *sector) {
  if (sector == NULL) return sky_strdup(ctx, k->suffix);
  return sky_sprintf(ctx, "sector_%s_%s", sector, k->suffix + strlen("sector_"));
}

/* Posterior minus prior, which stand one after the other before it. */
static void increment(const sky_fields *f, size_t n, double *value) {
  size_t i = f->n - 1;
  while (strcmp(f->kind[i], "posterior") != 0)
    i--;
  for (size_t c = 0; c < n; c++)
    value[c] = f->value[i][c] - f->value[i - 1][c];
}

/* One kind of field of one gas (of a sector, or NULL), if the job has it. */
static sky_status add_field(sky_context *ctx, const sky_job *job, const char *gas, const kind *k,
                            const char *sector, const place *at, double steps, sky_fields *f) {
  const sky_species *species = sky_species_find(gas);
  const size_t n = sky_grid_cells(&f->grid), i = f->n;
  double scale = 1.0, *value = NULL;
  char *suffix = suffix_of(ctx, k, sector);
  char *path = sky_sprintf(ctx, "%s/%s-%s.nc", job->stage_dir, k->stage, gas);
  bool has = false, partly = false;
  sky_status st = SKY_OK;
  if (path == NULL || suffix == NULL) SKY_GO(SKY_E_NOMEM);
  SKY_GO(has_field(ctx, at, path, k, &has));
  if (!has) goto cleanup;
  const bool of_steps = strstr(k->suffix, "posterior_sd") != NULL && steps > 1.0;
  const char *unit = "1";
  if (k->flux) unit = sky_flux_unit(gas, &scale);
  if (k->column) {
    unit = species->column_unit;
    scale = species->column_scale;
  }
  if (k->var == NULL) {
    SKY_GO_ALLOC(value, SKY_NEW(ctx, double, n));
    increment(f, n, value);
  } else {
    if (strcmp(k->stage, "columns") == 0)
      SKY_GO(sky_stage_file_read(ctx, path, k->var, n, &value));
    else
      SKY_GO(place_values(ctx, at, path, k, &value, &partly));
    for (size_t c = 0; c < n; c++)
      value[c] *= scale;
  }
  SKY_GO_ALLOC(f->name[i], sky_sprintf(ctx, "%s_%s", gas, suffix));
  SKY_GO_ALLOC(f->long_name[i],
               sky_sprintf(ctx, "%s%s%s%s %s%s%s", k->column ? "X" : "", species->formula,
                           sector != NULL ? " of sector " : "", sector != NULL ? sector : "",
                           k->text, of_steps ? " of one time step (root mean square)" : "",
                           partly ? "; no data where a patch replaces the cell" : ""));
  if (k->standard != NULL && strcmp(gas, "n2o") != 0)
    SKY_GO_ALLOC(f->standard_name[i], sky_sprintf(ctx, "%s_%s", k->standard, species->long_name));
  f->value[i] = value;
  value = NULL;
  f->field[i] = (sky_field){
      .name = f->name[i],
      .long_name = f->long_name[i],
      .standard_name = f->standard_name[i],
      .unit = unit,
      .kind = strcmp(k->suffix, "column_count") == 0 ? SKY_FIELD_EXTENSIVE : SKY_FIELD_INTENSIVE,
      .value = f->value[i]};
  f->kind[i] = k->suffix;
  f->n++;
cleanup:
  sky_free(value);
  sky_free(suffix);
  sky_free(path);
  return st;
}

static sky_status add_sectors(sky_context *ctx, const sky_job *job, const char *gas,
                              const place *at, double steps, sky_fields *f) {
  const sky_node *list = sky_node_get(sky_job_inversion(job, gas), "sectors");
  for (size_t l = 0; l < sky_node_count(list); l++)
    for (size_t k = 0; k < N_OF_SECTOR; k++) {
      kind one = OF_SECTOR[k];
      const char *sector = sky_node_text(sky_node_item(list, l), "name");
      char *var = sky_sprintf(ctx, "sector_%s_%s", sector, one.var);
      if (var == NULL) return SKY_E_NOMEM;
      one.var = var;
      const sky_status st = add_field(ctx, job, gas, &one, sector, at, steps, f);
      sky_free(var);
      SKY_TRY(st);
    }
  return SKY_OK;
}

sky_status sky_fields_load_patch(sky_context *ctx, const sky_job *job, size_t p, sky_fields *f) {
  const char *gases[8];
  const size_t n_gases = sky_job_gases(job, gases);
  place at = {.p = p};
  sky_status st = SKY_OK;
  memset(f, 0, sizeof *f);
  SKY_GO(sky_job_mesh(ctx, job, &at.mesh));
  SKY_GO_ALLOC(at.area, SKY_NEW(ctx, double, at.mesh.n_cell));
  if (p == 0 && at.mesh.n_patch > 1) SKY_GO(sky_mesh_areas(ctx, &at.mesh, at.area));
  SKY_GO(sky_grid_copy(ctx, &at.mesh.patch[p], &f->grid));
  SKY_GO_ALLOC(f->patch, sky_strdup(ctx, at.mesh.id[p]));
  for (size_t g = 0; g < n_gases; g++) {
    double steps;
    SKY_GO(time_steps(ctx, job, gases[g], &steps));
    for (size_t k = 0; k < N_KINDS; k++)
      SKY_GO(add_field(ctx, job, gases[g], &FIELDS[k], NULL, &at, steps, f));
    SKY_GO(add_sectors(ctx, job, gases[g], &at, steps, f));
  }
cleanup:
  sky_free(at.area);
  sky_mesh_free(&at.mesh);
  return st;
}

sky_status sky_fields_load(sky_context *ctx, const sky_job *job, sky_fields *f) {
  return sky_fields_load_patch(ctx, job, 0, f);
}

/* observations-GAS.csv: what was observed, what the prior and the posterior simulate, in ppm or
 * ppb. */
static sky_status write_observations(sky_context *ctx, const sky_job *job, const char *gas) {
  static const char *const problem_vars[] = {"obs_time", "n_soundings", "observed",    "r_sd",
                                             "baseline", "fixed",       "prior_signal"};
  static const char *const posterior_vars[] = {"simulated_prior", "simulated", "residual"};
  static const char *const columns_of[] = {"observed",        "sigma",
                                           "baseline",        "prior_enhancement",
                                           "simulated_prior", "simulated_posterior",
                                           "residual"};
  const sky_species *species = sky_species_find(gas);
  double *v[10] = {0};
  char *problem = sky_sprintf(ctx, "%s/problem-%s.nc", job->stage_dir, gas);
  char *posterior = sky_sprintf(ctx, "%s/posterior-%s.nc", job->stage_dir, gas);
  char *out = sky_sprintf(ctx, "%s/observations-%s.csv", job->out, gas), *text = NULL;
  size_t n = 0, size = 0;
  FILE *stream = NULL;
  sky_status st = SKY_OK;
  if (problem == NULL || posterior == NULL || out == NULL) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  SKY_GO(sky_stage_file_count(ctx, problem, "y", &n));
  for (int k = 0; k < 7; k++)
    SKY_GO(sky_stage_file_read(ctx, problem, problem_vars[k], n, &v[k]));
  for (int k = 0; k < 3; k++)
    SKY_GO(sky_stage_file_read(ctx, posterior, posterior_vars[k], n, &v[7 + k]));
  stream = open_memstream(&text, &size);
  if (stream == NULL) {
    st = sky_fail(ctx, SKY_E_NOMEM, "%s: out of memory", out);
    goto cleanup;
  }
  fputs("time,n_soundings", stream);
  for (size_t k = 0; k < sizeof columns_of / sizeof *columns_of; k++)
    fprintf(stream, ",%s_%s", columns_of[k], species->column_unit);
  fputc('\n', stream);
  for (size_t i = 0; i < n; i++) {
    char when[24], number[32];
    const double base = v[4][i] + v[5][i];
    const double columns[] = {v[2][i],        v[3][i],        v[4][i], v[6][i],
                              base + v[7][i], base + v[8][i], v[9][i]};
    sky_time_format(v[0][i], when, sizeof when);
    fprintf(stream, "%s,%.0f", when, v[1][i]);
    for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
      sky_number_text(columns[k] * species->column_scale, number);
      fprintf(stream, ",%s", number);
    }
    fputc('\n', stream);
  }
  fclose(stream);
  stream = NULL;
  SKY_GO(sky_file_write_text(ctx, out, text, size));
cleanup:
  if (stream != NULL) fclose(stream);
  free(text); /* open_memstream's own allocation */
  for (int k = 0; k < 10; k++)
    sky_free(v[k]);
  sky_free(problem);
  sky_free(posterior);
  sky_free(out);
  return st;
}

/* The GeoTIFFs and the NetCDF file of one grid. */
static sky_status write_fields(sky_context *ctx, const sky_job *job, char **tags, sky_fields *f) {
  const bool patch = f->patch[0] != '\0';
  char *path = NULL, *title = NULL;
  sky_status st = SKY_OK;
  for (size_t i = 0; i < f->n; i++) {
    SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/%s%s%s.tif", job->out, f->field[i].name,
                                   patch ? "_" : "", f->patch));
    SKY_GO(sky_cog_write(ctx, path, &f->grid, &f->field[i], (const char *const *)tags));
    sky_free(path);
    path = NULL;
    SKY_GO(sky_progress_step(ctx, 1));
  }
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/fields%s%s.nc", job->out, patch ? "-" : "", f->patch));
  SKY_GO_ALLOC(title, sky_sprintf(ctx, "title=%s", job->title));
  const char *attrs[] = {title, tags[0], tags[1], tags[2], NULL};
  SKY_GO(sky_fields_nc_write(ctx, path, &f->grid, f->field, f->n, attrs));
cleanup:
  sky_free(path);
  sky_free(title);
  return st;
}

sky_status sky_stage_fields(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  const size_t n_patch = 1 + sky_node_count(sky_node_get(job->root, "grid.patches"));
  sky_facts facts = {0};
  char **tags = NULL;
  sky_status st = SKY_OK;
  sky_progress_begin(ctx, "fields", stage->n_outputs);
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO(sky_job_tags(ctx, job, stage, &tags));
  for (size_t p = 0; p < n_patch; p++) {
    sky_fields f = {0};
    st = sky_fields_load_patch(ctx, job, p, &f);
    if (st == SKY_OK) st = write_fields(ctx, job, tags, &f);
    sky_fields_free(&f);
    if (st != SKY_OK) goto cleanup;
  }
  for (size_t k = 0; k < stage->n_outputs; k++) {
    char gas[8];
    if (sscanf(stage->outputs[k], "observations-%7[a-z0-9].csv", gas) == 1)
      SKY_GO(write_observations(ctx, job, gas));
    if (sscanf(stage->outputs[k], "sectors-%7[a-z0-9].csv", gas) == 1)
      SKY_GO(sky_sector_table_write(ctx, job, gas));
    int end = 0; /* not those of a patch, which come with it */
    if (sscanf(stage->outputs[k], "kernels-%7[a-z0-9].nc%n", gas, &end) == 1 && end > 0)
      SKY_GO(sky_kernel_fields_write(ctx, job, gas, (const char *const *)tags, &facts));
  }
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  sky_progress_end(ctx);
  sky_tags_free(tags);
  sky_facts_free(&facts);
  return st;
}
