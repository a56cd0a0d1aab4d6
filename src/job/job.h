/* job.h: one opened job: its validated file, its grid and zones, its output folder.
 *
 * Output folder:  run.json, report.html, zones.csv, zones.gpkg, fields.nc, <gas>_<field>.tif,
 * observations-<gas>.csv; run.log.json (clock, host, threads: exempt from comparison);
 * stages/ holds what each stage hands to the next, with its stamp. Data flow one way: a stage reads
 * files of earlier stages and inputs, never memory of another stage. */
#ifndef SKY_JOB_JOB_H
#define SKY_JOB_JOB_H

#include "grids/mesh.h"
#include "src/core/jobfile.h"
#include "src/read/declare.h"
#include "src/read/information.h"

#define SKY_ZONE_COMPLETE 0.999 /* share of a zone that must be covered for its total to stand */

typedef struct sky_job {
  sky_jobfile *file;
  const sky_node *root;
  sky_declared *declared; /* readers of the section products; NULL without it */
  char *name, *title;
  char *out;       /* output folder */
  char *stage_dir; /* out/stages */
  char hash[65];   /* SHA-256 of the canonical job */
} sky_job;

/* Reads and validates; does not touch the output folder. */
SKY_NODISCARD sky_status sky_job_open(sky_context *ctx, const char *path, const char *const *sets,
                                      size_t n_sets, sky_job *job);
void sky_job_close(sky_job *job); /* NULL-safe members */

/* What can be said before anything runs: readers, input files, grid and zones. `check` and `run`
 * both ask. */
SKY_NODISCARD sky_status sky_job_check(sky_context *ctx, const sky_job *job);

/* Path below the output folder, or below stages/; malloc'd. */
char *sky_job_path(sky_context *ctx, const sky_job *job, const char *name);
char *sky_job_stage_path(sky_context *ctx, const sky_job *job, const char *name);

/* Item of a list whose `key` equals value ("inventories", "id", "gepa"); NULL if none. */
const sky_node *sky_job_find(const sky_job *job, const char *list, const char *key,
                             const char *value);
/* The inversion / comparison of a gas; NULL if none. */
const sky_node *sky_job_inversion(const sky_job *job, const char *gas);
/* An entry of `soundings:` lists this gas. */
bool sky_job_reads_gas(const sky_node *entry, const char *gas);
/* Gases of the job in the order of species.csv: soundings, inversions, compare. At most 8. */
size_t sky_job_gases(const sky_job *job, const char *gases[8]);

/* All files of a list of patterns (node[key]), in order, each pattern sorted. */
SKY_NODISCARD sky_status sky_job_files(sky_context *ctx, const sky_node *node, const char *key,
                                       char ***list, size_t *count);

/* The job's grid: `grid:` of the file, or the grid of the information of its inversion. */
SKY_NODISCARD sky_status sky_job_grid(sky_context *ctx, const sky_job *job, sky_grid *grid);
/* The mesh of the state and of the zones: the job's grid with its `patches`. */
SKY_NODISCARD sky_status sky_job_mesh(sky_context *ctx, const sky_job *job, sky_mesh *mesh);
/* The information of a gas (inversions[].information). */
SKY_NODISCARD sky_status sky_job_information(sky_context *ctx, const sky_job *job, const char *gas,
                                             sky_information *info);

/* Zones of the job, and how they cover the cells of its mesh: from polygons, or from state labels
 * (then rings are the outline of the labelled cells). cover [zones->n], freed by
 * sky_job_coverage_free. */
SKY_NODISCARD sky_status sky_job_zones(sky_context *ctx, const sky_job *job, const sky_mesh *mesh,
                                       sky_zones *zones, sky_coverage **cover);
/* The same zones in the CRS of another grid, without coverage. Zones of labels stay in their own:
 * SKY_E_JOB if the grid has another. */
SKY_NODISCARD sky_status sky_job_zones_in(sky_context *ctx, const sky_job *job,
                                          const sky_grid *grid, sky_zones *zones);
/* The same zones in the system of another grid, read again from their file; labels, which have
 * none, are SKY_E_COVERAGE. */
SKY_NODISCARD sky_status sky_job_zones_for(sky_context *ctx, const sky_job *job,
                                           const sky_grid *grid, sky_zones *zones);
void sky_job_coverage_free(sky_coverage *cover, size_t n);

/* Display unit of a surface flux and its factor from mol m-2 s-1. */
const char *sky_flux_unit(const char *gas, double *scale);

#endif
