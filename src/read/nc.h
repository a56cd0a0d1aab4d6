/* nc.h: the only place that calls netCDF-C to read. Every call holds the lane.
 *
 * Variables are named by path ("/PRODUCT/SUPPORT_DATA/INPUT_DATA/surface_pressure"). Numbers come
 * as double with scale_factor/add_offset applied; _FillValue, missing_value (compared, never cast),
 * NaN and the netCDF default fill are NaN. Strings are read only when asked for (files exist whose
 * string variables break blind copies). Errors name file and variable. */
#ifndef SKY_READ_NC_H
#define SKY_READ_NC_H

#include "skyflux/context.h"

#define SKY_NC_MAX_DIMS 6

typedef struct sky_nc sky_nc;

typedef struct sky_nc_var {
  int ndims;
  size_t size[SKY_NC_MAX_DIMS];
  char dim[SKY_NC_MAX_DIMS][64];
  size_t count;    /* product of sizes; 0 for a size-0 dimension */
  char units[128]; /* "" if absent */
  bool is_integer;
} sky_nc_var;

SKY_NODISCARD sky_status sky_nc_open(sky_context *ctx, const char *path, sky_nc **out);
void sky_nc_close(sky_nc *f);
const char *sky_nc_path(const sky_nc *f);
/* From now on variables whose first dimension has this name are as if they had only the rows
 * [first, first+count) of it; text is read whole. */
void sky_nc_window(sky_nc *f, const char *dim, size_t first, size_t count);
/* Rows of var will be read once, in order: one chunk is held instead of the library's 16 MB. */
void sky_nc_stream(sky_nc *f, const char *var);
bool sky_nc_has(const sky_nc *f, const char *var);
SKY_NODISCARD sky_status sky_nc_info(sky_context *ctx, sky_nc *f, const char *var, sky_nc_var *out);
/* All values, malloc'd [count]. */
SKY_NODISCARD sky_status sky_nc_read(sky_context *ctx, sky_nc *f, const char *var,
                                     const sky_nc_var *info, double **out);
/* Size of a chunk along each dimension; 0 where the variable lies in one piece. */
void sky_nc_chunks(const sky_nc *f, const char *var, size_t chunk[SKY_NC_MAX_DIMS]);
/* Items [first, first+count) of dimension dim alone, all of the others; NULL: everything. *n:
 * values in out. */
typedef struct sky_nc_part {
  int dim;
  size_t first, count;
} sky_nc_part;
SKY_NODISCARD sky_status sky_nc_read_part(sky_context *ctx, sky_nc *f, const char *var,
                                          const sky_nc_part *part, size_t *n, double **out);
/* As read, converted to unit `to`; assumed = unit when the file states none (NULL: an error). */
SKY_NODISCARD sky_status sky_nc_read_as(sky_context *ctx, sky_nc *f, const char *var,
                                        const char *to, const char *assumed, sky_nc_var *info,
                                        double **out);
SKY_NODISCARD sky_status sky_nc_read_u64(sky_context *ctx, sky_nc *f, const char *var, size_t count,
                                         uint64_t *out);
SKY_NODISCARD sky_status sky_nc_read_strings(sky_context *ctx, sky_nc *f, const char *var,
                                             size_t *count, char ***out);
/* Time variable -> s since 1970 by its CF units. */
SKY_NODISCARD sky_status sky_nc_read_time(sky_context *ctx, sky_nc *f, const char *var,
                                          size_t *count, double **out);
/* Attribute text of var ("" = global), malloc'd; numbers are printed with %.17g. *out = NULL if
 * absent, which is no error. */
SKY_NODISCARD sky_status sky_nc_attr_text(sky_context *ctx, sky_nc *f, const char *var,
                                          const char *name, char **out);
SKY_NODISCARD sky_status sky_nc_attr_number(sky_context *ctx, sky_nc *f, const char *var,
                                            const char *name, double *out);
/* Names of the variables of the root group (malloc'd list). */
SKY_NODISCARD sky_status sky_nc_variables(sky_context *ctx, sky_nc *f, char ***names, size_t *n);
/* Size of a dimension of the root or of a group path; SIZE_MAX if absent. */
size_t sky_nc_dim(const sky_nc *f, const char *name);

#endif
