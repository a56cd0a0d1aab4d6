/* nc_write.c: the only place that calls netCDF-C to write. Every call holds the lane.
 *
 * But for sky_ncw_create_file, the file is built in memory and written as a whole at the commit:
 * libhdf5 crashes or hangs on close after a failed disk write, so it must not see the disk, and a
 * full disk is one clear error. It starts from an empty HDF5 image whose root group keeps creation
 * order: nc_create_mem's do not, and netCDF-C refuses to edit such files later.
 *
 * Bytes depend on the content only: netCDF-C switches HDF5's object times off, nothing here writes
 * a clock, and pre-filling is off (every variable is written whole). Arrays above PACK_ABOVE
 * elements are shuffled and deflated; chunk shapes are the library's own choice, a function of the
 * shape. */
#include "src/write/nc_write.h"

#include <hdf5.h>
#include <netcdf.h>
#include <netcdf_mem.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/lane.h"
#include "src/core/memory.h"
#include "src/core/units.h"

#define PACK_ABOVE 1000 /* elements; below, a compressed chunk costs more than it saves */
#define DEFLATE_LEVEL 4
#define IMAGE_STEP ((size_t)4096)

struct sky_ncw {
  sky_context *ctx;
  char *path;
  int ncid;
  bool open;
  char *part;   /* file that is written to the disk directly; NULL: built in memory */
  int rows;     /* id of the unlimited dimension, -1 without one */
  size_t chunk; /* its rows in one piece */
};

/* Whose fault a netCDF error is: the data's, ours (wrong names and shapes), or the memory's. */
static sky_status nc_culprit(int rc) {
  switch (rc) {
    case NC_ERANGE:
      return SKY_E_RANGE;
    case NC_EBADNAME:
    case NC_ENAMEINUSE:
    case NC_ENOTVAR:
    case NC_EBADDIM:
    case NC_EBADTYPE:
    case NC_ENOTATT:
    case NC_ELATEFILL:
    case NC_ELATEDEF:
    case NC_ECHAR:
    case NC_EINVAL:
      return SKY_E_INTERNAL;
    default:
      return SKY_E_NOMEM; /* HDF5 failed in memory */
  }
}

static sky_status nc_failed(sky_ncw *w, int rc, const char *what, const char *name) {
  const sky_status culprit = nc_culprit(rc);
  return sky_fail(w->ctx, culprit == SKY_E_NOMEM && w->part != NULL ? SKY_E_DISK : culprit,
                  "%s: %s%s%s: cannot be written: %s", w->path, what, name[0] == '\0' ? "" : " ",
                  name, nc_strerror(rc));
}

sky_context *sky_ncw_context(const sky_ncw *w) {
  return w->ctx;
}
const char *sky_ncw_path(const sky_ncw *w) {
  return w->path;
}

_Static_assert(sizeof(uint64_t) == sizeof(unsigned long long),
               "nc_put_var_ulonglong takes uint64_t");

/* Image of a file with nothing in it, malloc'd as netCDF-C wants to own it; NULL on failure. Needs
 * the lane. The oldest file format is taken on purpose: H5Fget_file_image of HDF5 1.10 breaks the
 * checksum that the superblocks of later ones carry. */
static NC_memio empty_image(void) {
  NC_memio image = {0};
  const hid_t fcpl = H5Pcreate(H5P_FILE_CREATE), fapl = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_link_creation_order(fcpl, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  H5Pset_attr_creation_order(fcpl, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  H5Pset_obj_track_times(fcpl, false);
  H5Pset_fapl_core(fapl, IMAGE_STEP, false);
  const hid_t file = H5Fcreate("skyflux-empty", H5F_ACC_TRUNC, fcpl, fapl);
  if (file >= 0 && H5Fflush(file, H5F_SCOPE_LOCAL) >= 0) {
    const ssize_t size = H5Fget_file_image(file, NULL, 0);
    image.memory = size > 0 ? malloc((size_t)size) : NULL;
    image.size = size > 0 ? (size_t)size : 0;
    if (image.memory != NULL && H5Fget_file_image(file, image.memory, image.size) != size) {
      free(image.memory);
      image.memory = NULL;
    }
  }
  if (file >= 0) H5Fclose(file);
  H5Pclose(fapl);
  H5Pclose(fcpl);
  return image;
}

static int open_image(sky_ncw *w) {
  NC_memio image = empty_image();
  if (image.memory == NULL) return NC_EHDFERR;
  return nc_open_memio(sky_file_base(w->path), NC_WRITE | NC_NETCDF4, &image, &w->ncid);
}

static sky_status create(sky_context *ctx, const char *path, bool on_disk, sky_ncw **out) {
  sky_status st = SKY_OK;
  *out = NULL;
  sky_ncw *w = SKY_NEW0(ctx, sky_ncw, 1);
  if (w == NULL) return SKY_E_NOMEM;
  w->ctx = ctx;
  w->rows = -1;
  SKY_GO_ALLOC(w->path, sky_strdup(ctx, path));
  if (on_disk) SKY_GO_ALLOC(w->part, sky_file_part(ctx, path));

  sky_lane_lock();
  int rc = on_disk ? nc_create(w->part, NC_NETCDF4 | NC_CLOBBER, &w->ncid) : open_image(w);
  w->open = rc == NC_NOERR;
  if (w->open) rc = nc_set_fill(w->ncid, NC_NOFILL, NULL);
  sky_lane_unlock();
  if (rc != NC_NOERR) {
    st = nc_failed(w, rc, "file", "");
    goto cleanup;
  }
  SKY_GO(sky_ncw_att(w, "", "Conventions", "CF-1.11, ACDD-1.3"));
  *out = w;
  return SKY_OK;

cleanup:
  sky_ncw_abort(w);
  return st;
}

sky_status sky_ncw_create(sky_context *ctx, const char *path, sky_ncw **out) {
  return create(ctx, path, false, out);
}
sky_status sky_ncw_create_file(sky_context *ctx, const char *path, sky_ncw **out) {
  return create(ctx, path, true, out);
}

sky_status sky_ncw_rows(sky_ncw *w, const char *name, size_t chunk) {
  w->chunk = chunk > 0 ? chunk : 1;
  sky_lane_lock();
  int rc = nc_def_dim(w->ncid, name, NC_UNLIMITED, &w->rows);
  /* The rows behind the last one of a piece are written, too. */
  if (rc == NC_NOERR) rc = nc_set_fill(w->ncid, NC_FILL, NULL);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "dimension", name);
}

sky_status sky_ncw_dim(sky_ncw *w, const char *name, size_t size) {
  int id = -1;
  sky_lane_lock();
  /* Size 0 is NC_UNLIMITED: an empty dimension is an unlimited one without records. */
  const int rc = nc_def_dim(w->ncid, name, size, &id);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "dimension", name);
}

static int type_of(char type) {
  switch (type) {
    case 'd':
      return NC_DOUBLE;
    case 'f':
      return NC_FLOAT;
    case 'i':
      return NC_INT;
    case 'b':
      return NC_BYTE;
    case 'u':
      return NC_UINT64;
    case 's':
      return NC_STRING;
    default:
      return NC_NAT;
  }
}

/* Ids and number of elements of a comma-separated list of dimensions. */
static int find_dims(int ncid, const char *dims, int ids[NC_MAX_VAR_DIMS], int *ndims,
                     size_t *count) {
  *ndims = 0;
  *count = 1;
  while (dims[0] != '\0') {
    char name[NC_MAX_NAME + 1];
    const size_t n = strcspn(dims, ",");
    if (n >= sizeof name || *ndims == NC_MAX_VAR_DIMS) return NC_EBADDIM;
    memcpy(name, dims, n);
    name[n] = '\0';
    size_t length = 0;
    int rc = nc_inq_dimid(ncid, name, &ids[*ndims]);
    if (rc == NC_NOERR) rc = nc_inq_dimlen(ncid, ids[*ndims], &length);
    if (rc != NC_NOERR) return rc;
    *count *= length;
    ++*ndims;
    dims += n;
    if (dims[0] == ',') dims++;
  }
  return NC_NOERR;
}

/* Pieces of w->chunk rows; the cache holds one, because rows come in order. */
static int set_pieces(const sky_ncw *w, int id, const int *dims, int ndims, nc_type type) {
  size_t piece[NC_MAX_VAR_DIMS] = {w->chunk}, bytes = 0;
  int rc = nc_inq_type(w->ncid, type, NULL, &bytes);
  bytes *= w->chunk;
  for (int k = 1; k < ndims && rc == NC_NOERR; ++k) {
    rc = nc_inq_dimlen(w->ncid, dims[k], &piece[k]);
    bytes *= piece[k];
  }
  if (rc == NC_NOERR) rc = nc_def_var_chunking(w->ncid, id, NC_CHUNKED, piece);
  if (rc == NC_NOERR) rc = nc_set_var_chunk_cache(w->ncid, id, bytes, 1, 1.0F);
  return rc;
}

sky_status sky_ncw_var(sky_ncw *w, const char *name, char type, const char *dims) {
  int ids[NC_MAX_VAR_DIMS], ndims = 0, id = -1;
  size_t count = 0;
  sky_lane_lock();
  int rc = find_dims(w->ncid, dims, ids, &ndims, &count);
  if (rc == NC_NOERR) rc = nc_def_var(w->ncid, name, type_of(type), ndims, ids, &id);
  const bool rows = ndims > 0 && ids[0] == w->rows;
  if (rc == NC_NOERR && rows) rc = set_pieces(w, id, ids, ndims, type_of(type));
  if (rc == NC_NOERR && type != 's' && (rows ? w->chunk : count) > PACK_ABOVE) {
    rc = nc_def_var_deflate(w->ncid, id, NC_SHUFFLE, 1, DEFLATE_LEVEL);
  }
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "variable", name);
}

/* In the variable's own type. */
static int define_fill(int ncid, int id, char type, double fill) {
  const float f = (float)fill;
  const int32_t i = type == 'i' ? (int32_t)fill : 0;
  const uint64_t u = type == 'u' ? (uint64_t)fill : 0;
  const void *value = type == 'f'   ? (const void *)&f
                      : type == 'i' ? (const void *)&i
                      : type == 'u' ? (const void *)&u
                                    : &fill;
  return nc_def_var_fill(ncid, id, NC_FILL, value);
}

/* Of the library's default, 16 MB for each variable, nothing is ever used again. */
static int hold_one_chunk(int ncid, int id, char type, const size_t *chunk, int ndims) {
  size_t bytes = 0;
  int rc = nc_inq_type(ncid, type_of(type), NULL, &bytes);
  for (int k = 0; k < ndims; ++k)
    bytes *= chunk[k];
  if (rc == NC_NOERR) rc = nc_set_var_chunk_cache(ncid, id, bytes, 1, 1.0F);
  return rc;
}

sky_status sky_ncw_var_chunked(sky_ncw *w, const char *name, char type, const char *dims,
                               const size_t *chunk, int level, const double *fill) {
  int ids[NC_MAX_VAR_DIMS], ndims = 0, id = -1;
  size_t count = 0;
  sky_lane_lock();
  int rc = find_dims(w->ncid, dims, ids, &ndims, &count);
  if (rc == NC_NOERR) rc = nc_def_var(w->ncid, name, type_of(type), ndims, ids, &id);
  if (rc == NC_NOERR) rc = nc_def_var_chunking(w->ncid, id, NC_CHUNKED, chunk);
  if (rc == NC_NOERR && level > 0) rc = nc_def_var_deflate(w->ncid, id, NC_SHUFFLE, 1, level);
  if (rc == NC_NOERR && fill != NULL) rc = define_fill(w->ncid, id, type, *fill);
  if (rc == NC_NOERR) rc = hold_one_chunk(w->ncid, id, type, chunk, ndims);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "variable", name);
}

static int find_var(const sky_ncw *w, const char *var, int *id) {
  *id = NC_GLOBAL;
  return var[0] == '\0' ? NC_NOERR : nc_inq_varid(w->ncid, var, id);
}

sky_status sky_ncw_att(sky_ncw *w, const char *var, const char *name, const char *text) {
  if (var[0] != '\0' && strcmp(name, "units") == 0 && (text[0] == '\0' || !sky_units_valid(text))) {
    return sky_fail(w->ctx, SKY_E_UNITS, "%s: variable %s: unit '%s' is not known to udunits2",
                    w->path, var, text);
  }
  int id = -1;
  sky_lane_lock();
  int rc = find_var(w, var, &id);
  if (rc == NC_NOERR) rc = nc_put_att_text(w->ncid, id, name, strlen(text), text);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "attribute", name);
}

/* CF 2.5.1: these must have the type of the variable that they describe. */
static bool is_typed_like_variable(const char *name) {
  static const char *const names[] = {"_FillValue", "missing_value", "valid_min", "valid_max"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(name, names[i]) == 0) return true;
  }
  return false;
}

sky_status sky_ncw_att_nums(sky_ncw *w, const char *var, const char *name, const double *v,
                            size_t n) {
  int id = -1;
  nc_type type = NC_DOUBLE;
  sky_lane_lock();
  int rc = find_var(w, var, &id);
  if (rc == NC_NOERR && id != NC_GLOBAL && is_typed_like_variable(name)) {
    rc = nc_inq_vartype(w->ncid, id, &type);
  }
  if (rc == NC_NOERR) rc = nc_put_att_double(w->ncid, id, name, type, n, v);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "attribute", name);
}

sky_status sky_ncw_att_num(sky_ncw *w, const char *var, const char *name, double v) {
  return sky_ncw_att_nums(w, var, name, &v, 1);
}

sky_status sky_ncw_att_flags(sky_ncw *w, const char *var, const char *name, const int32_t *v,
                             size_t n) {
  int id = -1;
  nc_type type = NC_INT;
  sky_lane_lock();
  int rc = find_var(w, var, &id);
  if (rc == NC_NOERR) rc = nc_inq_vartype(w->ncid, id, &type);
  if (rc == NC_NOERR) rc = nc_put_att_int(w->ncid, id, name, type, n, v);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "attribute", name);
}

sky_status sky_ncw_put(sky_ncw *w, const char *var, const double *data) {
  int id = -1;
  sky_lane_lock();
  int rc = nc_inq_varid(w->ncid, var, &id);
  if (rc == NC_NOERR) rc = nc_put_var_double(w->ncid, id, data);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "variable", var);
}

/* start and size complete with whole dimensions from `given` on. */
static int put_block(sky_ncw *w, const char *var, int given, size_t *start, size_t *size,
                     const void *data) {
  int id = -1, ndims = 0, dims[NC_MAX_VAR_DIMS];
  nc_type type = NC_NAT;
  int rc = nc_inq_varid(w->ncid, var, &id);
  if (rc == NC_NOERR) rc = nc_inq_var(w->ncid, id, NULL, &type, &ndims, dims, NULL);
  for (int k = given; k < ndims && rc == NC_NOERR; ++k) {
    start[k] = 0;
    rc = nc_inq_dimlen(w->ncid, dims[k], &size[k]);
  }
  if (rc != NC_NOERR) return rc;
  if (type == NC_DOUBLE || type == NC_FLOAT)
    return nc_put_vara_double(w->ncid, id, start, size, data);
  if (type == NC_UINT64) return nc_put_vara_ulonglong(w->ncid, id, start, size, data);
  return nc_put_vara_int(w->ncid, id, start, size, data);
}

sky_status sky_ncw_put_rows(sky_ncw *w, const char *var, size_t first, size_t count,
                            const void *data) {
  size_t start[NC_MAX_VAR_DIMS] = {first}, size[NC_MAX_VAR_DIMS] = {count};
  sky_lane_lock();
  const int rc = put_block(w, var, 1, start, size, data);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "variable", var);
}

sky_status sky_ncw_put_block(sky_ncw *w, const char *var, const size_t *start, const size_t *count,
                             const void *data) {
  size_t first[NC_MAX_VAR_DIMS], size[NC_MAX_VAR_DIMS];
  int id = -1, ndims = 0;
  sky_lane_lock();
  int rc = nc_inq_varid(w->ncid, var, &id);
  if (rc == NC_NOERR) rc = nc_inq_varndims(w->ncid, id, &ndims);
  for (int k = 0; k < ndims && rc == NC_NOERR; ++k) {
    first[k] = start[k];
    size[k] = count[k];
  }
  if (rc == NC_NOERR) rc = put_block(w, var, ndims, first, size, data);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "variable", var);
}

sky_status sky_ncw_put_i32(sky_ncw *w, const char *var, const int32_t *data) {
  int id = -1;
  sky_lane_lock();
  int rc = nc_inq_varid(w->ncid, var, &id);
  if (rc == NC_NOERR) rc = nc_put_var_int(w->ncid, id, data);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "variable", var);
}

sky_status sky_ncw_put_u64(sky_ncw *w, const char *var, const uint64_t *data) {
  int id = -1;
  sky_lane_lock();
  int rc = nc_inq_varid(w->ncid, var, &id);
  if (rc == NC_NOERR) rc = nc_put_var_ulonglong(w->ncid, id, (const unsigned long long *)data);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "variable", var);
}

sky_status sky_ncw_put_strings(sky_ncw *w, const char *var, const char *const *data) {
  int id = -1;
  sky_lane_lock();
  int rc = nc_inq_varid(w->ncid, var, &id);
  if (rc == NC_NOERR) rc = nc_put_var_string(w->ncid, id, (const char **)data);
  sky_lane_unlock();
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "variable", var);
}

sky_status sky_ncw_end_definitions(sky_ncw *w, const char **part) {
  *part = w->part;
  if (w->part == NULL)
    return sky_fail(w->ctx, SKY_E_INTERNAL, "%s: is not written to the disk", w->path);
  sky_lane_lock();
  const int rc = nc_close(w->ncid);
  sky_lane_unlock();
  w->open = false;
  return rc == NC_NOERR ? SKY_OK : nc_failed(w, rc, "file", "");
}

sky_status sky_ncw_commit(sky_ncw *w) {
  NC_memio image = {0};
  int rc = NC_NOERR;
  sky_lane_lock();
  if (w->open) rc = w->part != NULL ? nc_close(w->ncid) : nc_close_memio(w->ncid, &image);
  sky_lane_unlock();
  w->open = false;
  sky_status st;
  if (rc != NC_NOERR)
    st = nc_failed(w, rc, "file", "");
  else if (w->part == NULL)
    st = sky_file_write_text(w->ctx, w->path, image.memory, image.size);
  else
    st = sky_file_commit(w->ctx, w->path);
  free(image.memory); /* netCDF's own malloc */
  sky_ncw_abort(w);
  return st;
}

void sky_ncw_abort(sky_ncw *w) {
  if (w == NULL) return;
  if (w->open) {
    sky_lane_lock();
    nc_abort(w->ncid);
    sky_lane_unlock();
  }
  if (w->part != NULL) sky_file_discard(w->path); /* nothing is left of it after a commit */
  sky_free(w->part);
  sky_free(w->path);
  sky_free(w);
}

sky_status sky_nc_rename(sky_context *ctx, const char *path, const char *from, const char *to) {
  int file = -1, var = -1;
  sky_lane_lock();
  int rc = nc_open(path, NC_WRITE, &file);
  if (rc == NC_NOERR) rc = nc_inq_varid(file, from, &var);
  if (rc == NC_NOERR) rc = nc_rename_var(file, var, to);
  if (file >= 0) {
    const int closed = nc_close(file);
    if (rc == NC_NOERR) rc = closed;
  }
  sky_lane_unlock();
  if (rc == NC_NOERR) return SKY_OK;
  return sky_fail(ctx, SKY_E_DISK, "%s: variable %s: %s", path, from, nc_strerror(rc));
}
