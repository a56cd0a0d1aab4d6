/* job.c: a validated job file becomes an opened job: folders, grid, zones, gases. */
#include "src/job/sectors.h"
#include "src/job/job.h"

#include <stdlib.h>
#include <string.h>

#include "grids/grid_area.h"
#include "grids/outline.h"
#include "grids/preset.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/units.h"
#include "src/job/harmonise.h"
#include "src/job/sink_entry.h"
#include "src/job/zone_relation.h"
#include "src/read/granule.h"
#include "src/read/zones_ogr.h"

sky_status sky_job_open(sky_context *ctx, const char *path, const char *const *sets, size_t n_sets,
                        sky_job *job) {
  char *canonical = NULL;
  sky_status st = SKY_OK;
  memset(job, 0, sizeof *job);
  SKY_GO(sky_jobfile_read(ctx, path, sets, n_sets, &job->file));
  job->root = sky_jobfile_root(job->file);
  SKY_GO(sky_declared_create(ctx, job->file, &job->declared));
  SKY_GO_ALLOC(job->name, sky_strdup(ctx, sky_node_text(job->root, "job.name")));
  const char *title = sky_node_text(job->root, "job.title");
  SKY_GO_ALLOC(job->title, sky_strdup(ctx, title != NULL ? title : job->name));
  SKY_GO_ALLOC(job->out, sky_strdup(ctx, sky_node_text(job->root, "job.output")));
  SKY_GO_ALLOC(job->stage_dir, sky_sprintf(ctx, "%s/stages", job->out));
  SKY_GO_ALLOC(canonical, sky_jobfile_canonical(ctx, job->file, NULL, 0));
  sky_sha256(canonical, strlen(canonical), job->hash);
cleanup:
  sky_free(canonical);
  if (st != SKY_OK) sky_job_close(job);
  return st;
}

void sky_job_close(sky_job *job) {
  if (job == NULL) return;
  sky_declared_free(job->declared);
  sky_jobfile_free(job->file);
  sky_free(job->name);
  sky_free(job->title);
  sky_free(job->out);
  sky_free(job->stage_dir);
  memset(job, 0, sizeof *job);
}

char *sky_job_path(sky_context *ctx, const sky_job *job, const char *name) {
  return sky_sprintf(ctx, "%s/%s", job->out, name);
}

char *sky_job_stage_path(sky_context *ctx, const sky_job *job, const char *name) {
  return sky_sprintf(ctx, "%s/%s", job->stage_dir, name);
}

const sky_node *sky_job_find(const sky_job *job, const char *list, const char *key,
                             const char *value) {
  const sky_node *items = sky_node_get(job->root, list);
  if (items == NULL || value == NULL) return NULL;
  for (size_t i = 0; i < sky_node_count(items); i++) {
    const sky_node *item = sky_node_item(items, i);
    const char *text = sky_node_text(item, key);
    if (text != NULL && strcmp(text, value) == 0) return item;
  }
  return NULL;
}

const sky_node *sky_job_inversion(const sky_job *job, const char *gas) {
  return sky_job_find(job, "inversions", "gas", gas);
}

bool sky_job_reads_gas(const sky_node *entry, const char *gas) {
  const sky_node *gases = sky_node_get(entry, "gases");
  for (size_t k = 0; gases != NULL && k < sky_node_count(gases); k++) {
    const char *text = sky_node_text(sky_node_item(gases, k), "");
    if (text != NULL && strcmp(text, gas) == 0) return true;
  }
  return false;
}

static bool job_has_gas(const sky_job *job, const char *gas) {
  if (sky_job_find(job, "inversions", "gas", gas) != NULL) return true;
  if (sky_job_find(job, "compare", "gas", gas) != NULL) return true;
  const sky_node *soundings = sky_node_get(job->root, "soundings");
  if (soundings == NULL) return false;
  for (size_t i = 0; i < sky_node_count(soundings); i++) {
    if (sky_job_reads_gas(sky_node_item(soundings, i), gas)) return true;
  }
  return false;
}

size_t sky_job_gases(const sky_job *job, const char *gases[8]) {
  size_t n = 0;
  for (size_t i = 0; i < sky_species_count() && n < 8; i++) {
    const char *id = sky_species_at(i)->id;
    if (job_has_gas(job, id)) gases[n++] = id;
  }
  return n;
}

sky_status sky_job_files(sky_context *ctx, const sky_node *node, const char *key, char ***list,
                         size_t *count) {
  const sky_node *patterns = sky_node_get(node, key);
  *list = NULL;
  *count = 0;
  for (size_t i = 0; patterns != NULL && i < sky_node_count(patterns); i++) {
    sky_status st = sky_file_glob(ctx, sky_node_text(sky_node_item(patterns, i), ""), list, count);
    if (st != SKY_OK) {
      sky_file_list_free(*list, *count);
      *list = NULL;
      *count = 0;
      return st;
    }
  }
  *count = sky_file_drop_repeats(ctx, *list, *count);
  return SKY_OK;
}

sky_status sky_job_information(sky_context *ctx, const sky_job *job, const char *gas,
                               sky_information *info) {
  const sky_node *inversion = sky_job_inversion(job, gas);
  return sky_information_read(ctx, sky_node_text(inversion, "information.result"),
                              sky_node_text(inversion, "information.state"), info);
}

/* The gas whose inversion brings its own state vector, or NULL. */
static const char *information_gas(const sky_job *job) {
  const sky_node *items = sky_node_get(job->root, "inversions");
  for (size_t i = 0; items != NULL && i < sky_node_count(items); i++) {
    const sky_node *item = sky_node_item(items, i);
    if (sky_node_get(item, "information") != NULL) return sky_node_text(item, "gas");
  }
  return NULL;
}

/* What the job's grid cannot be is the job file's fault, at its line. */
static sky_status grid_fault(sky_context *ctx, const sky_job *job, const sky_node *node,
                             sky_status st) {
  char *where = sky_node_where(ctx, job->file, node);
  st = sky_fail_in(ctx, st == SKY_E_NOMEM ? st : SKY_E_JOB, "%s", where != NULL ? where : "");
  sky_free(where);
  return st;
}

#define BYTES_PER_CELL 80.0 /* about ten fields are held at once */

static sky_status check_grid(sky_context *ctx, const sky_job *job, const sky_node *node,
                             sky_grid *grid) {
  const char *unit = grid->geographic ? "degree" : "m";
  const double bytes = BYTES_PER_CELL * (double)grid->nx * (double)grid->ny;
  sky_status st = SKY_OK;
  if (sky_node_get(node, "cell") != NULL && !sky_node_unit_is(node, "cell", unit))
    st = sky_fail(ctx, SKY_E_JOB, "cell: %s counts in %s, the cell is given in %s", grid->crs, unit,
                  grid->geographic ? "m" : "degree");
  else if (bytes > (double)sky_context_memory(ctx))
    st = sky_fail(ctx, SKY_E_NOMEM,
                  "cell: %zu x %zu cells need %.3g GB, the memory budget is %.3g GB (--memory)",
                  grid->nx, grid->ny, bytes / 1e9, (double)sky_context_memory(ctx) / 1e9);
  if (st == SKY_OK) return SKY_OK;
  sky_grid_free(grid);
  return grid_fault(ctx, job, node, st);
}

sky_status sky_job_grid(sky_context *ctx, const sky_job *job, sky_grid *grid) {
  const sky_node *node = sky_node_get(job->root, "grid");
  memset(grid, 0, sizeof *grid);
  if (node != NULL) {
    const sky_node *box = sky_node_get(node, "box");
    const char *preset = sky_node_text(node, "preset");
    double edge[4];
    for (size_t i = 0; i < 4; i++)
      edge[i] = sky_node_number(sky_node_item(box, i), "");
    sky_status st;
    if (preset != NULL) {
      st = sky_grid_from_preset(ctx, preset, edge, grid);
    } else {
      const double cell = sky_node_number(node, "cell");
      st = sky_grid_from_box(ctx, sky_node_text(node, "crs"), edge[0], edge[1], edge[2], edge[3],
                             cell, cell, grid);
    }
    if (st != SKY_OK) return grid_fault(ctx, job, node, st);
    return check_grid(ctx, job, node, grid);
  }
  const char *gas = information_gas(job);
  if (gas == NULL)
    return sky_fail(ctx, SKY_E_JOB, "%s: grid: missing, and no inversion has information",
                    sky_jobfile_path(job->file));
  sky_information info;
  SKY_TRY(sky_job_information(ctx, job, gas, &info));
  *grid = info.grid;
  memset(&info.grid, 0, sizeof info.grid);
  sky_information_free(&info);
  return SKY_OK;
}

/* One entry of grid.patches. */
static sky_status patch_grid(sky_context *ctx, const sky_job *job, const sky_grid *base,
                             const sky_node *node, sky_grid *patch) {
  const sky_node *box = sky_node_get(node, "box");
  const double cell = sky_node_number(node, "cell");
  double edge[4];
  for (size_t i = 0; i < 4; i++)
    edge[i] = sky_node_number(sky_node_item(box, i), "");
  const sky_status st =
      sky_grid_from_box(ctx, base->crs, edge[0], edge[1], edge[2], edge[3], cell, cell, patch);
  return st == SKY_OK ? check_grid(ctx, job, node, patch) : grid_fault(ctx, job, node, st);
}

sky_status sky_job_mesh(sky_context *ctx, const sky_job *job, sky_mesh *mesh) {
  const sky_node *list = sky_node_get(job->root, "grid.patches");
  const size_t n = sky_node_count(list);
  sky_grid base = {0}, *patch = NULL;
  const char **id = NULL;
  sky_status st = SKY_OK;
  memset(mesh, 0, sizeof *mesh);
  SKY_GO(sky_job_grid(ctx, job, &base));
  SKY_GO_ALLOC(patch, SKY_NEW0(ctx, sky_grid, n));
  SKY_GO_ALLOC(id, SKY_NEW(ctx, const char *, n));
  for (size_t i = 0; i < n; i++) {
    id[i] = sky_node_text(sky_node_item(list, i), "id");
    SKY_GO(patch_grid(ctx, job, &base, sky_node_item(list, i), &patch[i]));
  }
  st = sky_mesh_create(ctx, &base, patch, id, n, mesh);
  if (st != SKY_OK && n > 0) st = grid_fault(ctx, job, list, st);
cleanup:
  for (size_t i = 0; patch != NULL && i < n; i++)
    sky_grid_free(&patch[i]);
  sky_free(patch);
  sky_free(id);
  sky_grid_free(&base);
  return st;
}

void sky_job_coverage_free(sky_coverage *cover, size_t n) {
  for (size_t i = 0; cover != NULL && i < n; i++)
    sky_coverage_free(&cover[i]);
  sky_free(cover);
}

/* "1-15,20" holds label? The schema has checked the syntax. */
static bool labels_hold(const char *ranges, long label) {
  const char *p = ranges;
  while (*p != '\0') {
    char *end;
    const long first = strtol(p, &end, 10);
    long last = first;
    if (end == p) return false;
    end += strspn(end, " ");
    if (*end == '-') last = strtol(end + 1, &end, 10);
    end += strspn(end, " ");
    if (label >= first && label <= last) return true;
    if (*end != ',') return false;
    p = end + 1;
  }
  return false;
}

static sky_zone_role role_of(const char *name) {
  if (name == NULL || strcmp(name, "report") == 0) return SKY_ZONE_REPORT;
  if (strcmp(name, "buffer") == 0) return SKY_ZONE_BUFFER;
  if (strcmp(name, "outside") == 0) return SKY_ZONE_OUTSIDE;
  return SKY_ZONE_BOUNDARY;
}

/* Cells of one label group: whole cells, and their outline as rings. */
static sky_status label_zone(sky_context *ctx, const sky_node *item, const sky_information *info,
                             const double *area, sky_zone *zone, sky_coverage *cover) {
  const sky_grid *g = &info->grid;
  const char *ranges = sky_node_text(item, "labels"), *name = sky_node_text(item, "name");
  const size_t n_cells = sky_grid_cells(g);
  bool *inside = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(zone->id, sky_strdup(ctx, sky_node_text(item, "id")));
  SKY_GO_ALLOC(zone->name, sky_strdup(ctx, name != NULL ? name : zone->id));
  SKY_GO_ALLOC(zone->level, sky_strdup(ctx, "state"));
  zone->role = role_of(sky_node_text(item, "role"));
  zone->geographic = g->geographic;
  SKY_GO_ALLOC(inside, SKY_NEW0(ctx, bool, n_cells));
  SKY_GO_ALLOC(cover->cell, SKY_NEW(ctx, size_t, n_cells));
  SKY_GO_ALLOC(cover->fraction, SKY_NEW(ctx, double, n_cells));
  for (size_t c = 0; c < n_cells; c++) {
    inside[c] = labels_hold(ranges, info->label[c]);
    if (!inside[c]) continue;
    cover->cell[cover->n] = c;
    cover->fraction[cover->n++] = 1.0;
    cover->area_in += area[c];
  }
  cover->area_zone = cover->area_in;
  if (cover->n == 0) {
    st = sky_fail(ctx, SKY_E_COVERAGE, "zones.labels: '%s': no cell has a label in '%s'", zone->id,
                  ranges);
    goto cleanup;
  }
  SKY_GO(sky_outline(ctx, g, inside, &zone->ring, &zone->n_rings));
cleanup:
  sky_free(inside);
  return st;
}

static sky_status zones_of_labels(sky_context *ctx, const sky_job *job, const sky_node *labels,
                                  sky_zones *zones, sky_coverage **cover) {
  sky_information info = {0};
  double *area = NULL;
  sky_status st = SKY_OK;
  const size_t n = sky_node_count(labels);
  const char *gas = information_gas(job);
  if (gas == NULL)
    return sky_fail(ctx, SKY_E_JOB, "%s: zones.labels: needs an inversion with information",
                    sky_jobfile_path(job->file));
  SKY_GO(sky_job_information(ctx, job, gas, &info));
  SKY_GO_ALLOC(area, SKY_NEW(ctx, double, sky_grid_cells(&info.grid)));
  SKY_GO(sky_grid_areas(ctx, &info.grid, area));
  SKY_GO_ALLOC(zones->zone, SKY_NEW0(ctx, sky_zone, n));
  zones->n = n;
  SKY_GO_ALLOC(*cover, SKY_NEW0(ctx, sky_coverage, n));
  for (size_t i = 0; i < n; i++)
    SKY_GO(label_zone(ctx, sky_node_item(labels, i), &info, area, &zones->zone[i], &(*cover)[i]));
cleanup:
  sky_information_free(&info);
  sky_free(area);
  return st;
}

sky_status sky_job_zones_for(sky_context *ctx, const sky_job *job, const sky_grid *grid,
                             sky_zones *zones) {
  const sky_node *node = sky_node_get(job->root, "zones");
  const sky_zones_options opt = {
      .layer = sky_node_text(node, "layer"),
      .id = sky_node_text(node, "id"),
      .name = sky_node_text(node, "name"),
      .where = sky_node_text(node, "where"),
      .level = sky_node_text(node, "level"),
      .level_attribute = sky_node_text(node, "level_attribute"),
      .assume_crs = sky_node_text(node, "assume_crs"),
  };
  const char *path = sky_node_text(node, "file");
  if (path == NULL)
    return sky_fail(ctx, SKY_E_COVERAGE, "%s: zones.labels: are not known in %s",
                    sky_jobfile_path(job->file), grid->crs);
  return sky_zones_read(ctx, path, &opt, grid, zones);
}

static sky_status zones_of_polygons(sky_context *ctx, const sky_job *job, const sky_mesh *mesh,
                                    sky_zones *zones, sky_coverage **cover) {
  const sky_grid *grid = &mesh->patch[0];
  size_t touching = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_job_zones_for(ctx, job, grid, zones));
  SKY_GO_ALLOC(*cover, SKY_NEW0(ctx, sky_coverage, zones->n));
  for (size_t i = 0; i < zones->n; i++) {
    SKY_GO(sky_mesh_coverage(ctx, &zones->zone[i], mesh, &(*cover)[i]));
    touching += (*cover)[i].n > 0;
  }
  if (touching == 0)
    st = sky_fail(ctx, SKY_E_COVERAGE,
                  "%s: none of its %zu zones lies in the grid (box %g, %g, %g, %g; %s)",
                  sky_node_text(job->root, "zones.file"), zones->n, grid->x_edge[0],
                  grid->y_edge[0], grid->x_edge[grid->nx], grid->y_edge[grid->ny], grid->crs);
cleanup:
  return st;
}

sky_status sky_job_zones(sky_context *ctx, const sky_job *job, const sky_mesh *mesh,
                         sky_zones *zones, sky_coverage **cover) {
  const sky_node *labels = sky_node_get(job->root, "zones.labels");
  memset(zones, 0, sizeof *zones);
  *cover = NULL;
  if (labels != NULL && mesh->n_patch > 1)
    return grid_fault(ctx, job, labels,
                      sky_fail(ctx, SKY_E_JOB, "not with grid.patches: labels are of whole cells"));
  const sky_status st = labels != NULL ? zones_of_labels(ctx, job, labels, zones, cover)
                                       : zones_of_polygons(ctx, job, mesh, zones, cover);
  if (st != SKY_OK) {
    sky_job_coverage_free(*cover, zones->n);
    *cover = NULL;
    sky_zones_free(zones);
  }
  return st;
}

sky_status sky_job_zones_in(sky_context *ctx, const sky_job *job, const sky_grid *grid,
                            sky_zones *zones) {
  const sky_node *labels = sky_node_get(job->root, "zones.labels");
  sky_mesh mesh = {0};
  sky_coverage *cover = NULL;
  sky_status st = SKY_OK;
  memset(zones, 0, sizeof *zones);
  if (labels == NULL) return sky_job_zones_for(ctx, job, grid, zones);
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  if (!(mesh.patch[0].geographic && grid->geographic) && strcmp(mesh.patch[0].crs, grid->crs) != 0)
    st = grid_fault(ctx, job, labels,
                    sky_fail(ctx, SKY_E_JOB, "their state is in '%s', which must be that of '%s'",
                             mesh.patch[0].crs, grid->crs));
  else
    st = sky_job_zones(ctx, job, &mesh, zones, &cover);
cleanup:
  sky_job_coverage_free(cover, zones->n);
  sky_mesh_free(&mesh);
  return st;
}

const char *sky_flux_unit(const char *gas, double *scale) {
  if (strcmp(gas, "co2") == 0) {
    *scale = 1e6;
    return "umol m-2 s-1";
  }
  *scale = 1e9;
  return "nmol m-2 s-1";
}

/* "file:line: key: " in front of the message. */
static sky_status fault_of(sky_context *ctx, const sky_job *job, const sky_node *node,
                           const char *message) {
  char *said = sky_strdup(ctx, message), *where = sky_node_where(ctx, job->file, node);
  const sky_status st =
      said == NULL || where == NULL ? SKY_E_NOMEM : sky_fail(ctx, SKY_E_JOB, "%s%s", where, said);
  sky_free(said);
  sky_free(where);
  return st;
}

static sky_status check_products(sky_context *ctx, const sky_job *job) {
  const sky_node *list = sky_node_get(job->root, "soundings");
  for (size_t i = 0; list != NULL && i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i);
    const char *id = sky_node_text(item, "product");
    if (strcmp(id, "auto") != 0 && sky_declared_find(job->declared, id) == NULL) {
      sky_fail(ctx, SKY_E_JOB, "no reader is called '%s' (see skyflux list readers)", id);
      return fault_of(ctx, job, sky_node_get(item, "product"), sky_error(ctx));
    }
    if (sky_quality_check(ctx, sky_node_text(item, "quality"), job->declared) != SKY_OK)
      return fault_of(ctx, job, sky_node_get(item, "quality"), sky_error(ctx));
  }
  return SKY_OK;
}

static sky_status check_steps(sky_context *ctx, const sky_job *job) {
  const sky_node *list = sky_node_get(job->root, "soundings");
  for (size_t i = 0; list != NULL && i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i);
    sky_background_choice background;
    unsigned clean;
    if (sky_clean_parse(ctx, sky_node_text(item, "clean"), &clean) != SKY_OK)
      return fault_of(ctx, job, sky_node_get(item, "clean"), sky_error(ctx));
    if (sky_background_parse(ctx, sky_node_text(item, "background"), &background) != SKY_OK)
      return fault_of(ctx, job, sky_node_get(item, "background"), sky_error(ctx));
  }
  return SKY_OK;
}

static sky_status check_sinks(sky_context *ctx, const sky_job *job) {
  const sky_node *list = sky_node_get(job->root, "sinks");
  for (size_t i = 0; i < sky_node_count(list); i++)
    SKY_TRY(sky_sink_entry_check(ctx, job, sky_node_item(list, i)));
  return SKY_OK;
}

static sky_status check_sectors(sky_context *ctx, const sky_job *job) {
  const sky_node *list = sky_node_get(job->root, "inversions");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const char *prior = sky_node_text(sky_node_item(list, i), "prior");
    sky_sectors s;
    if (prior == NULL) continue;
    SKY_TRY(sky_sectors_open(ctx, job, prior, &s));
    sky_sectors_free(&s);
  }
  return SKY_OK;
}

sky_status sky_job_check(sky_context *ctx, const sky_job *job) {
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  sky_status st = SKY_OK;
  SKY_GO(check_products(ctx, job));
  SKY_GO(check_steps(ctx, job));
  SKY_GO(sky_jobfile_inputs_exist(ctx, job->file));
  SKY_GO(check_sinks(ctx, job));
  SKY_GO(check_sectors(ctx, job));
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  if (sky_node_text(job->root, "zones.file") != NULL)
    SKY_GO(sky_zones_warn(ctx, &zones, cover, &mesh.patch[0],
                          sky_node_text(job->root, "zones.level_attribute") != NULL));
cleanup:
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  return st;
}
