/* granule.h: one product file -> soundings. Readers are declarations (product.h). */
#ifndef SKY_READ_GRANULE_H
#define SKY_READ_GRANULE_H

#include "skyflux/soundings.h"
#include "src/engine/worker.h"
#include "src/read/declare.h"
#include "src/read/nc.h"

typedef struct sky_selection {
  bool has_box;
  double west, south, east, north; /* degrees, edges inclusive; west > east crosses 180 */
  double start, end;               /* s since 1970, [start, end); NaN = open */
  bool keep_dropped;               /* keep soundings with a drop reason in the result */
  const char *quality;             /* see sky_quality_rules; NULL: default */
  const sky_declared *declared;    /* readers of the user, beside the built-in ones; or NULL */
} sky_selection;

/* box: west, south, east, north. */
static inline void sky_selection_set_box(sky_selection *sel, const double box[4]) {
  sel->has_box = true;
  sel->west = box[0];
  sel->south = box[1];
  sel->east = box[2];
  sel->north = box[3];
}

typedef struct sky_granule_info { /* what `skyflux info` prints */
  char product[32];
  char gases[4][8];
  size_t n_gases;
} sky_granule_info;

/* Is every word of a quality list (sky_quality_rules) known to a reader? Else SKY_E_USAGE. */
SKY_NODISCARD sky_status sky_quality_check(sky_context *ctx, const char *list,
                                           const sky_declared *declared);

/* Which reader takes this file (by content, not name). SKY_E_FORMAT lists what was looked for. */
SKY_NODISCARD sky_status sky_granule_probe(sky_context *ctx, const char *path,
                                           sky_granule_info *out);

/* As probe for a named reader (NULL or "auto": by content): does the file fit, which gases. */
SKY_NODISCARD sky_status sky_granule_identify(sky_context *ctx, const char *path,
                                              const char *product, sky_granule_info *out);

/* SKY_DROP_BOX, SKY_DROP_PERIOD or SKY_DROP_NONE; sel NULL selects all. */
sky_drop sky_selection_drop(const sky_selection *sel, double lon, double lat, double time);

/* Read one gas of one granule in this process. product: reader id or "auto". */
SKY_NODISCARD sky_status sky_granule_read(sky_context *ctx, const char *path, const char *product,
                                          const char *gas, const sky_selection *sel,
                                          sky_soundings *out);

/* A product file whose reader is known; its gases can be taken one after the other. */
typedef struct sky_granule_file {
  sky_nc *f;
  const sky_reader *reader;
  sky_granule_info info;
} sky_granule_file;
SKY_NODISCARD sky_status sky_granule_open(sky_context *ctx, const char *path, const char *product,
                                          const sky_declared *declared, sky_granule_file *out);
void sky_granule_close(sky_granule_file *g);
/* One gas (NULL or "": the only one); drops as in sky_granule_decode. */
SKY_NODISCARD sky_status sky_granule_take(sky_context *ctx, const sky_granule_file *g,
                                          const char *gas, const sky_selection *sel,
                                          sky_soundings *out, size_t drops[SKY_DROP_COUNT]);

/* As sky_granule_read; drops counts reasons over every row of the file, also those that are not in
 * out: rows without a value inside the selection ("fill"), and what sel leaves out; the count of
 * SKY_DROP_NONE is that of good soundings. out never holds a row without a value. */
SKY_NODISCARD sky_status sky_granule_decode(sky_context *ctx, const char *path, const char *product,
                                            const char *gas, const sky_selection *sel,
                                            sky_soundings *out, size_t drops[SKY_DROP_COUNT]);

/* What `skyflux info` says about one gas of one granule, inside the selection. */
typedef struct sky_granule_gas {
  char gas[8];
  size_t soundings; /* rows with a value inside the selection */
  size_t good;
  size_t drops[SKY_DROP_COUNT];    /* box and period: what lies outside the selection */
  double time_start, time_end;     /* NaN without soundings */
  double west, south, east, north; /* west > east: the soundings cross 180 degrees */
} sky_granule_gas;
typedef struct sky_granule_summary {
  char product[32];
  bool harmonised; /* a file of write/soundings_nc.h made from this product */
  size_t n_gases;
  sky_granule_gas gas[4];
} sky_granule_summary;

/* Probe and summarise in a worker process: a file that crashes or hangs libhdf5 is an error. */
SKY_NODISCARD sky_status sky_granule_describe(sky_context *ctx, const char *path,
                                              const char *product, const sky_selection *sel,
                                              double timeout_s, sky_granule_summary *out);

/* Which of the files are harmonised ones, asked in worker processes; what cannot be read is none.
 */
SKY_NODISCARD sky_status sky_granules_harmonised(sky_context *ctx, char *const *paths, size_t n,
                                                 double timeout_s, bool *harmonised);

/* Tasks of the worker processes, for main(). */
extern const sky_worker_task sky_granule_worker_tasks[];
extern const size_t sky_granule_worker_task_count;

/* Read many granules through worker processes (sky_context_threads() at a time), appended in the
 * order of paths whatever the timing. A granule whose worker dies, hangs or reports an error is
 * listed in failed and skipped: to warn of it or to pass it over is up to the caller, who knows
 * whether it was named. SKY_E_NODATA if every one failed. drops (may be NULL)
 * counts reasons over everything read, also when sel drops the soundings themselves. The caller
 * frees failed also on failure. */
typedef struct sky_granule_failure {
  char *path, *reason;
  sky_status status;
} sky_granule_failure;
typedef struct sky_granule_failures {
  size_t n;
  sky_granule_failure *item;
} sky_granule_failures;
void sky_granule_failures_free(sky_granule_failures *f);

SKY_NODISCARD sky_status sky_granules_read(sky_context *ctx, char *const *paths, size_t n,
                                           const char *product, const char *gas,
                                           const sky_selection *sel, double timeout_s,
                                           sky_soundings *out, size_t drops[SKY_DROP_COUNT],
                                           sky_granule_failures *failed);

/* Harmonised soundings file (CF-1.11 NetCDF, written by write/soundings_nc.h). */
SKY_NODISCARD sky_status sky_soundings_read(sky_context *ctx, const char *path, sky_soundings *out);

#endif
