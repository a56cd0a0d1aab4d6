/* nc_write.h: CF-1.11 / ACDD-1.3 NetCDF-4 files, deterministic bytes, under the lane.
 *
 * A thin builder used by every NetCDF writer (fields, soundings, problems, stage files): define
 * dimensions, variables with attributes, then data; commit is atomic (file.h). A `units` attribute
 * that udunits2 does not parse is SKY_E_UNITS. A failed call leaves w to sky_ncw_abort. */
#ifndef SKY_WRITE_NC_WRITE_H
#define SKY_WRITE_NC_WRITE_H

#include "grids/grid.h"
#include "src/write/cog.h"

typedef struct sky_ncw sky_ncw;

SKY_NODISCARD sky_status sky_ncw_create(sky_context *ctx, const char *path, sky_ncw **out);
/* As sky_ncw_create, but the library writes to the disk while data come: for files larger than
 * memory. libhdf5 may crash on a full disk, so use it in a worker process (engine/worker.h). */
SKY_NODISCARD sky_status sky_ncw_create_file(sky_context *ctx, const char *path, sky_ncw **out);
/* An unlimited dimension; variables that start with it are stored in pieces of `chunk` rows, and
 * are written by sky_ncw_put_rows, best in multiples of that. */
SKY_NODISCARD sky_status sky_ncw_rows(sky_ncw *w, const char *name, size_t chunk);
SKY_NODISCARD sky_status sky_ncw_dim(sky_ncw *w, const char *name, size_t size);
/* type: 'd' double, 'f' float (data given as double), 'i' int32, 'b' byte (data as int32),
 * 'u' uint64, 's' string. dims: comma-separated names, "" = scalar. */
SKY_NODISCARD sky_status sky_ncw_var(sky_ncw *w, const char *name, char type, const char *dims);
/* The same, stored in chunks of this shape (deflated at `level`, 0: not), with its _FillValue: for
 * variables that are written in blocks, which must be whole chunks, each once: the library holds
 * one. What is never written costs no room and reads as *fill (NULL: everything is written). */
SKY_NODISCARD sky_status sky_ncw_var_chunked(sky_ncw *w, const char *name, char type,
                                             const char *dims, const size_t *chunk, int level,
                                             const double *fill);
#define SKY_NCW_ROWS 64 /* chunks of a large field */
#define SKY_NCW_COLUMNS 1024
SKY_NODISCARD sky_status sky_ncw_att(sky_ncw *w, const char *var, const char *name,
                                     const char *text); /* var "" = global */
/* double; but in the variable's own type for _FillValue, missing_value, valid_min, valid_max. */
SKY_NODISCARD sky_status sky_ncw_att_num(sky_ncw *w, const char *var, const char *name, double v);
/* "name=value" global attributes, NULL-terminated; NULL = none. */
SKY_NODISCARD sky_status sky_ncw_globals(sky_ncw *w, const char *const *attrs);
SKY_NODISCARD sky_status sky_ncw_att_nums(sky_ncw *w, const char *var, const char *name,
                                          const double *v, size_t n);
/* In the variable's own type ('i', 'b'): flag_values, flag_masks. */
SKY_NODISCARD sky_status sky_ncw_att_flags(sky_ncw *w, const char *var, const char *name,
                                           const int32_t *v, size_t n);
SKY_NODISCARD sky_status sky_ncw_put(sky_ncw *w, const char *var, const double *data);
/* Rows [first, first+count); data in the type of the variable: double ('d', 'f'), int32 ('i', 'b')
 * or uint64 ('u'). */
SKY_NODISCARD sky_status sky_ncw_put_rows(sky_ncw *w, const char *var, size_t first, size_t count,
                                          const void *data);
/* The block that begins at start[] and has count[] elements along its dimensions; data likewise. */
SKY_NODISCARD sky_status sky_ncw_put_block(sky_ncw *w, const char *var, const size_t *start,
                                           const size_t *count, const void *data);
SKY_NODISCARD sky_status sky_ncw_put_i32(sky_ncw *w, const char *var, const int32_t *data);
SKY_NODISCARD sky_status sky_ncw_put_u64(sky_ncw *w, const char *var, const uint64_t *data);
SKY_NODISCARD sky_status sky_ncw_put_strings(sky_ncw *w, const char *var, const char *const *data);
/* The file as it stands is closed, for nc_chunks.h; *part: its name until the commit. */
SKY_NODISCARD sky_status sky_ncw_end_definitions(sky_ncw *w, const char **part);
SKY_NODISCARD sky_status sky_ncw_commit(sky_ncw *w); /* frees w in every case */
void sky_ncw_abort(sky_ncw *w);                      /* NULL-safe */

/* Grid axes with bounds (dims "lat,lon", or "y,x" with auxiliary lat(y,x) and lon(y,x) for
 * projected grids), grid_mapping variable "crs" with crs_wkt, and "cell_area". */
SKY_NODISCARD sky_status sky_ncw_grid(sky_ncw *w, const sky_grid *g);
/* Define one field of the grid given to sky_ncw_grid, with its CF attributes, and write it. */
SKY_NODISCARD sky_status sky_ncw_field(sky_ncw *w, const sky_grid *g, const sky_field *field);
sky_context *sky_ncw_context(const sky_ncw *w);
const char *sky_ncw_path(const sky_ncw *w);

/* Renames a variable of the root group of a file. */
SKY_NODISCARD sky_status sky_nc_rename(sky_context *ctx, const char *path, const char *from,
                                       const char *to);

/* All fields of one gridded result in one file; attrs: "name=value" global attributes,
 * NULL-terminated. */
SKY_NODISCARD sky_status sky_fields_nc_write(sky_context *ctx, const char *path,
                                             const sky_grid *grid, const sky_field *fields,
                                             size_t n_fields, const char *const *attrs);
#endif
