/* h5_text.c: see h5_text.h. The file is open in netCDF-C at the same time, which HDF5 allows for
 * the same close degree. */
#include "src/read/h5_text.h"

#include <hdf5.h>

#include "src/core/lane.h"
#include "src/core/memory.h"

typedef struct opened {
  hid_t access, file, data, type, space;
} opened;

static void open_dataset(const char *path, const char *var, opened *h) {
  h->access = H5Pcreate(H5P_FILE_ACCESS);
  h->file = H5Fopen(path, H5F_ACC_RDONLY, h->access);
  if (h->file < 0) { /* versions of netCDF-C differ */
    H5Pset_fclose_degree(h->access, H5F_CLOSE_SEMI);
    h->file = H5Fopen(path, H5F_ACC_RDONLY, h->access);
  }
  h->data = h->file >= 0 ? H5Dopen2(h->file, var, H5P_DEFAULT) : -1;
  h->type = h->data >= 0 ? H5Dget_type(h->data) : -1;
  h->space = h->data >= 0 ? H5Dget_space(h->data) : -1;
}

static void close_dataset(const opened *h) {
  if (h->space >= 0) H5Sclose(h->space);
  if (h->type >= 0) H5Tclose(h->type);
  if (h->data >= 0) H5Dclose(h->data);
  if (h->file >= 0) H5Fclose(h->file);
  H5Pclose(h->access);
}

sky_status sky_h5_fixed_strings(sky_context *ctx, const char *path, const char *var, size_t rows,
                                char **out, size_t *width) {
  opened h;
  herr_t err = 0;
  bool fixed = false;
  char *raw = NULL;
  *out = NULL;
  sky_lane_lock();
  open_dataset(path, var, &h);
  if (h.type >= 0 && H5Tget_class(h.type) == H5T_STRING && H5Tis_variable_str(h.type) == 0) {
    *width = H5Tget_size(h.type);
    fixed = *width > 1 && H5Sget_simple_extent_npoints(h.space) == (hssize_t)rows;
  }
  sky_lane_unlock();
  size_t bytes = 0;
  if (fixed && (__builtin_mul_overflow(rows, *width, &bytes) || bytes > sky_context_memory(ctx)))
    fixed = false, err = -1;
  if (fixed) raw = SKY_NEW0(ctx, char, bytes + 1);
  sky_lane_lock();
  if (raw != NULL) err = H5Dread(h.data, h.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw);
  close_dataset(&h);
  sky_lane_unlock();
  if (fixed && raw == NULL) return SKY_E_NOMEM;
  if (err < 0) {
    sky_free(raw);
    return sky_fail(ctx, SKY_E_READ, "%s: %s: %zu strings of %zu bytes cannot be read", path, var,
                    rows, *width);
  }
  *out = raw;
  return SKY_OK;
}
