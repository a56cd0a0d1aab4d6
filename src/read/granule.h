/* granule.h: one product file -> soundings. Readers are declarations (product.h). */
#ifndef SKY_READ_GRANULE_H
#define SKY_READ_GRANULE_H

#include "skyflux/soundings.h"

typedef struct sky_selection {
  bool has_box;
  double west, south, east, north; /* degrees, edges inclusive; west > east crosses 180 */
  double start, end;               /* s since 1970, [start, end); NaN = open */
  bool keep_dropped;               /* keep soundings with a drop reason in the result */
} sky_selection;

typedef struct sky_granule_info { /* what `skyflux info` prints */
  char product[32];
  char gases[4][8];
  size_t n_gases;
} sky_granule_info;

/* Which reader takes this file (by content, not name). SKY_E_FORMAT lists what was looked for. */
SKY_NODISCARD sky_status sky_granule_probe(sky_context *ctx, const char *path,
                                           sky_granule_info *out);

/* Read one gas of one granule in this process. product: reader id or "auto". */
SKY_NODISCARD sky_status sky_granule_read(sky_context *ctx, const char *path, const char *product,
                                          const char *gas, const sky_selection *sel,
                                          sky_soundings *out);

/* Read many granules through worker processes (sky_context_threads() at a time), appended in the
 * order of paths whatever the timing. A granule whose worker dies, hangs or reports an error is
 * listed in failed (may be NULL) and skipped; SKY_E_NODATA if every one failed. drops (may be NULL)
 * counts reasons over everything read, also when sel drops the soundings themselves. */
typedef struct sky_granule_failure {
  char *path, *reason;
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
