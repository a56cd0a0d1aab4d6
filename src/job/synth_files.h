/* synth_files.h: templates of sample_scenes/ -> files of a scene.
 *
 * A template is the file as a person would write it (CDL, GeoJSON, YAML), with @name@ where a value
 * goes. NetCDF files are made by ncgen from CDL, so that a scene never depends on what our own
 * readers and writers believe about a layout. */
#ifndef SKY_JOB_SYNTH_FILES_H
#define SKY_JOB_SYNTH_FILES_H

#include "skyflux/context.h"

typedef struct sky_synth_value { /* what replaces @name@ */
  const char *name;
  const char *text;     /* as it is; NULL = the numbers */
  const double *number; /* [count]; NaN is written as "_" (CDL's fill value) */
  size_t count;
  int digits; /* significant digits of a number */
} sky_synth_value;

/* Fill and write as text / through ncgen; atomic. A name without a value is SKY_E_INTERNAL. */
SKY_NODISCARD sky_status sky_synth_write_text(sky_context *ctx, const char *path,
                                              const char *template_name,
                                              const sky_synth_value *values, size_t n_values);
SKY_NODISCARD sky_status sky_synth_write_netcdf(sky_context *ctx, const char *path,
                                                const char *template_name,
                                                const sky_synth_value *values, size_t n_values);

/* As write_netcdf from a text of that name; finish (may be NULL) works on the file before it gets
 * its name. */
typedef sky_status sky_synth_finish(sky_context *ctx, const char *path);
SKY_NODISCARD sky_status sky_synth_write_cdl(sky_context *ctx, const char *path, const char *name,
                                             const char *template_text,
                                             const sky_synth_value *values, size_t n_values,
                                             sky_synth_finish *finish);
#endif
