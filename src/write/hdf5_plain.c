/* hdf5_plain.c: see hdf5_plain.h. Used for synthetic granules of products that are plain HDF5. */
#include "src/write/hdf5_plain.h"

#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/lane.h"
#include "src/core/memory.h"

static bool own_of_netcdf(const char *name) {
  static const char *const NAMES[] = {"CLASS",          "NAME",          "REFERENCE_LIST",
                                      "DIMENSION_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates",
                                      "_NCProperties",  "_nc3_strict"};
  for (size_t k = 0; k < sizeof NAMES / sizeof *NAMES; k++)
    if (strcmp(name, NAMES[k]) == 0) return true;
  return false;
}

static hid_t fixed_type(char *const *text, size_t n) {
  size_t longest = 1;
  for (size_t i = 0; i < n; i++)
    if (text[i] != NULL && strlen(text[i]) > longest) longest = strlen(text[i]);
  const hid_t type = H5Tcopy(H5T_C_S1);
  return type >= 0 && H5Tset_size(type, longest) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0
             ? type
             : -1;
}

static char *packed(sky_context *ctx, char *const *text, size_t n, size_t width) {
  char *p = SKY_NEW0(ctx, char, n *width);
  for (size_t i = 0; p != NULL && i < n; i++)
    if (text[i] != NULL) memcpy(p + i * width, text[i], strlen(text[i]));
  return p;
}

/* The texts of an attribute or a dataset of variable length: NULL if it is something else. */
static char **texts_of(sky_context *ctx, hid_t item, bool attribute, hid_t space, size_t *n) {
  const hid_t type = attribute ? H5Aget_type(item) : H5Dget_type(item);
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  char **text = NULL;
  if (H5Tis_variable_str(type) > 0 && count > 0) {
    *n = (size_t)count;
    text = SKY_NEW0(ctx, char *, *n);
    const hid_t memory = H5Tcopy(H5T_C_S1);
    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    if (text != NULL &&
        (attribute ? H5Aread(item, memory, text)
                   : H5Dread(item, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, text)) < 0) {
      sky_free(text);
      text = NULL;
    }
    H5Tclose(memory);
  }
  H5Tclose(type);
  return text;
}

static void free_texts(char **text, size_t n) {
  for (size_t i = 0; i < n; i++)
    free(text[i]); /* libhdf5 allocated them */
  sky_free(text);
}

static bool fix_attribute(sky_context *ctx, hid_t object, const char *name) {
  const hid_t from = H5Aopen(object, name, H5P_DEFAULT), space = H5Aget_space(from);
  size_t n = 0;
  char **text = texts_of(ctx, from, true, space, &n);
  bool ok = true;
  H5Aclose(from);
  if (text != NULL) {
    const hid_t type = fixed_type(text, n);
    char *bytes = packed(ctx, text, n, H5Tget_size(type));
    ok = bytes != NULL && H5Adelete(object, name) >= 0;
    const hid_t to = ok ? H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
    ok = ok && to >= 0 && H5Awrite(to, type, bytes) >= 0;
    if (to >= 0) H5Aclose(to);
    sky_free(bytes);
    H5Tclose(type);
    free_texts(text, n);
  }
  H5Sclose(space);
  return ok;
}

static bool clean_attributes(sky_context *ctx, hid_t object) {
  bool ok = true;
  for (hsize_t i = 0; ok;) {
    char name[256];
    const ssize_t length = H5Aget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i, name,
                                              sizeof name, H5P_DEFAULT);
    if (length < 0) break; /* past the last */
    if (own_of_netcdf(name)) {
      ok = H5Adelete(object, name) >= 0;
    } else {
      ok = fix_attribute(ctx, object, name);
      ++i;
    }
  }
  return ok;
}

static bool fix_dataset(sky_context *ctx, hid_t group, const char *name, hid_t from) {
  const hid_t space = H5Dget_space(from);
  size_t n = 0;
  char **text = texts_of(ctx, from, false, space, &n);
  bool ok = true;
  if (text != NULL) {
    const hid_t type = fixed_type(text, n);
    char *bytes = packed(ctx, text, n, H5Tget_size(type));
    const hid_t to = H5Dcreate2(group, "new.", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ok = bytes != NULL && to >= 0 && H5Dwrite(to, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0;
    for (hsize_t i = 0; ok && H5Aget_num_attrs(from) > (int)i; ++i) { /* short texts only */
      char label[256], value[256] = "";
      ok = H5Aget_name_by_idx(from, ".", H5_INDEX_NAME, H5_ITER_INC, i, label, sizeof label,
                              H5P_DEFAULT) > 0;
      const hid_t a = H5Aopen(from, label, H5P_DEFAULT), type_a = H5Aget_type(a);
      const hid_t space_a = H5Aget_space(a);
      ok = ok && H5Tget_size(type_a) < sizeof value && H5Aread(a, type_a, value) >= 0;
      const hid_t b = H5Acreate2(to, label, type_a, space_a, H5P_DEFAULT, H5P_DEFAULT);
      ok = ok && b >= 0 && H5Awrite(b, type_a, value) >= 0;
      H5Aclose(a);
      if (b >= 0) H5Aclose(b);
      H5Tclose(type_a);
      H5Sclose(space_a);
    }
    if (to >= 0) H5Dclose(to);
    ok = ok && H5Ldelete(group, name, H5P_DEFAULT) >= 0 &&
         H5Lmove(group, "new.", group, name, H5P_DEFAULT, H5P_DEFAULT) >= 0;
    sky_free(bytes);
    H5Tclose(type);
    free_texts(text, n);
  }
  H5Sclose(space);
  return ok;
}

static bool clean_group(sky_context *ctx, hid_t group);

/* A dataset that is only a dimension of netCDF, or a coordinate variable's mark. */
static bool is_dimension(hid_t data) {
  char name[256] = "";
  if (H5Aexists(data, "NAME") <= 0) return false;
  const hid_t a = H5Aopen(data, "NAME", H5P_DEFAULT), type = H5Aget_type(a);
  if (H5Tget_size(type) < sizeof name) H5Aread(a, type, name);
  H5Tclose(type);
  H5Aclose(a);
  return strncmp(name, "This is a netCDF dimension but not a netCDF variable", 40) == 0;
}

static bool clean_link(sky_context *ctx, hid_t group, const char *name) {
  const hid_t item = H5Oopen(group, name, H5P_DEFAULT);
  if (item < 0) return false;
  bool ok = clean_attributes(ctx, item);
  if (H5Iget_type(item) == H5I_GROUP) {
    ok = ok && clean_group(ctx, item);
  } else if (H5Iget_type(item) == H5I_DATASET) {
    ok = ok && fix_dataset(ctx, group, name, item);
  }
  H5Oclose(item);
  return ok;
}

static bool clean_group(sky_context *ctx, hid_t group) {
  bool ok = true;
  for (hsize_t i = 0; ok;) {
    char name[256];
    if (H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name,
                           H5P_DEFAULT) < 0) {
      break;
    }
    const hid_t item = H5Oopen(group, name, H5P_DEFAULT);
    const bool dimension = item >= 0 && H5Iget_type(item) == H5I_DATASET && is_dimension(item);
    if (item >= 0) H5Oclose(item);
    if (dimension) {
      ok = H5Ldelete(group, name, H5P_DEFAULT) >= 0;
    } else {
      ok = clean_link(ctx, group, name);
      ++i;
    }
  }
  return ok;
}

sky_status sky_hdf5_make_plain(sky_context *ctx, const char *path) {
  sky_lane_lock();
  H5E_auto2_t report;
  void *user;
  H5Eget_auto2(H5E_DEFAULT, &report, &user);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* running past the last name is how the loops end */
  const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  bool ok = file >= 0;
  const hid_t root = ok ? H5Gopen2(file, "/", H5P_DEFAULT) : -1;
  ok = ok && root >= 0 && clean_attributes(ctx, root) && clean_group(ctx, root);
  if (root >= 0) H5Gclose(root);
  if (file >= 0 && H5Fclose(file) < 0) ok = false;
  H5Eset_auto2(H5E_DEFAULT, report, user);
  sky_lane_unlock();
  return ok ? SKY_OK : sky_fail(ctx, SKY_E_DISK, "%s: cannot be made plain HDF5", path);
}
