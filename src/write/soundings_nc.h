/* soundings_nc.h: harmonised soundings -> CF-1.11 NetCDF (read back by read/granule.h).
 * Dims sounding (unlimited), level, corner, granule, reason; values in the field's units (ppm, ppb,
 * hPa) as float64. */
#ifndef SKY_WRITE_SOUNDINGS_NC_H
#define SKY_WRITE_SOUNDINGS_NC_H
#include "skyflux/soundings.h"

SKY_NODISCARD sky_status sky_soundings_write(sky_context *ctx, const char *path,
                                             const sky_soundings *s, const char *const *attrs);

/* The same in pieces, for more soundings than memory holds. */
#define SKY_SOUNDINGS_PIECE ((size_t)4096)
typedef struct sky_soundings_file sky_soundings_file;

/* head: n soundings in all, n_levels, gas, names and the table of granules; its arrays are not
 * looked at. with: SKY_WITH_ bits of what is written. on_disk: see sky_ncw_create_file. */
SKY_NODISCARD sky_status sky_soundings_file_create(sky_context *ctx, const char *path,
                                                   const sky_soundings *head, unsigned with,
                                                   bool on_disk, const char *const *attrs,
                                                   sky_soundings_file **out);
/* The next s->n rows, granules and overpasses numbered as in head; all but the last call with a
 * multiple of SKY_SOUNDINGS_PIECE. */
SKY_NODISCARD sky_status sky_soundings_file_put(sky_soundings_file *f, const sky_soundings *s);
SKY_NODISCARD sky_status sky_soundings_file_commit(sky_soundings_file *f); /* frees f always */
void sky_soundings_file_abort(sky_soundings_file *f);                      /* NULL-safe */
#endif
