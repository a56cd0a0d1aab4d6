/* nc_chunks.c: see nc_chunks.h. A chunk of a variable with filters is shuffled (byte k of all
 * elements together, as H5Z_FILTER_SHUFFLE) and deflated; one that does not shrink is stored with
 * the bit of the second filter in its mask, which says that this was left out. */
#include "src/write/nc_chunks.h"

#include <hdf5.h>
#include <libdeflate.h>
#include <string.h>

#include "src/core/lane.h"
#include "src/core/memory.h"

#define LEVEL 1 /* of libdeflate */
#define MOST 32 /* variables */
#define NO_DEFLATE 2U

typedef struct target {
  char name[48];
  hid_t set;
  int rank;
  size_t item, bytes; /* of an element, of a chunk */
  bool packed;
} target;

struct sky_chunks {
  sky_ncw *w;
  sky_context *ctx;
  hid_t file;
  target var[MOST];
  size_t n_var, capacity; /* capacity: of shuffled and packed */
  struct libdeflate_compressor *deflate;
  unsigned char *shuffled, *packed;
};

static sky_status failed(const sky_chunks *c, const char *what) {
  return sky_fail(c->ctx, SKY_E_DISK, "%s: %s: cannot be written", sky_ncw_path(c->w), what);
}

sky_status sky_chunks_open(sky_ncw *w, sky_chunks **out) {
  sky_context *ctx = sky_ncw_context(w);
  const char *part = NULL;
  sky_status st = SKY_OK;
  sky_chunks *c = *out = SKY_NEW0(ctx, sky_chunks, 1);
  if (c == NULL) return SKY_E_NOMEM;
  c->w = w;
  c->ctx = ctx;
  c->file = H5I_INVALID_HID;
  SKY_GO_ALLOC(c->deflate, libdeflate_alloc_compressor(LEVEL));
  SKY_GO(sky_ncw_end_definitions(w, &part));
  sky_lane_lock();
  c->file = H5Fopen(part, H5F_ACC_RDWR, H5P_DEFAULT);
  sky_lane_unlock();
  if (c->file < 0) st = failed(c, "file");
cleanup:
  if (st == SKY_OK) return SKY_OK;
  *out = NULL;
  return sky_chunks_close(c) != SKY_OK ? SKY_E_DISK : st;
}

/* What the file says of a variable. */
static bool describe(sky_chunks *c, target *v) {
  hsize_t chunk[H5S_MAX_RANK];
  v->set = H5Dopen2(c->file, v->name, H5P_DEFAULT);
  if (v->set < 0) return false;
  const hid_t plist = H5Dget_create_plist(v->set), type = H5Dget_type(v->set);
  v->rank = plist >= 0 ? H5Pget_chunk(plist, H5S_MAX_RANK, chunk) : -1;
  v->item = type >= 0 ? H5Tget_size(type) : 0;
  v->packed = plist >= 0 && H5Pget_nfilters(plist) == 2;
  v->bytes = v->item;
  for (int k = 0; k < v->rank; k++)
    v->bytes *= (size_t)chunk[k];
  if (type >= 0) H5Tclose(type);
  if (plist >= 0) H5Pclose(plist);
  return v->rank > 0 && v->bytes > 0;
}

static sky_status find(sky_chunks *c, const char *name, target **out) {
  for (size_t k = 0; k < c->n_var; k++) {
    *out = &c->var[k];
    if (strcmp(c->var[k].name, name) == 0) return SKY_OK;
  }
  if (c->n_var == MOST || strlen(name) >= sizeof c->var[0].name) return failed(c, name);
  target *v = *out = &c->var[c->n_var];
  memcpy(v->name, name, strlen(name) + 1);
  sky_lane_lock();
  const bool good = describe(c, v);
  c->n_var += v->set >= 0;
  sky_lane_unlock();
  if (!good) return failed(c, name);
  if (v->bytes <= c->capacity) return SKY_OK;
  sky_free(c->shuffled);
  sky_free(c->packed);
  c->capacity = 0;
  c->shuffled = SKY_NEW(c->ctx, unsigned char, v->bytes);
  c->packed = SKY_NEW(c->ctx, unsigned char, v->bytes);
  if (c->shuffled == NULL || c->packed == NULL) return SKY_E_NOMEM;
  c->capacity = v->bytes;
  return SKY_OK;
}

static void shuffle(const unsigned char *restrict in, size_t n, size_t item,
                    unsigned char *restrict out) {
  for (size_t k = 0; k < item; k++)
    for (size_t i = 0; i < n; i++)
      out[k * n + i] = in[i * item + k];
}

sky_status sky_chunks_put(sky_chunks *c, const char *var, const size_t *start, const void *data) {
  target *v = NULL;
  SKY_TRY(find(c, var, &v));
  const void *bytes = data;
  size_t n = v->bytes;
  uint32_t mask = 0;
  if (v->packed) {
    shuffle(data, v->bytes / v->item, v->item, c->shuffled);
    n = libdeflate_zlib_compress(c->deflate, c->shuffled, v->bytes, c->packed, v->bytes);
    bytes = n > 0 ? c->packed : c->shuffled;
    if (n == 0) { /* it does not fit into what it came from */
      n = v->bytes;
      mask = NO_DEFLATE;
    }
  }
  hsize_t at[H5S_MAX_RANK];
  for (int k = 0; k < v->rank; k++)
    at[k] = start[k];
  sky_lane_lock();
  const herr_t rc = H5Dwrite_chunk(v->set, H5P_DEFAULT, mask, at, n, bytes);
  sky_lane_unlock();
  return rc >= 0 ? SKY_OK : failed(c, var);
}

sky_status sky_chunks_close(sky_chunks *c) {
  if (c == NULL) return SKY_OK;
  bool good = true;
  sky_lane_lock();
  for (size_t k = 0; k < c->n_var; k++)
    good = H5Dclose(c->var[k].set) >= 0 && good;
  if (c->file >= 0) good = H5Fclose(c->file) >= 0 && good;
  sky_lane_unlock();
  const sky_status st = good ? SKY_OK : failed(c, "file");
  if (c->deflate != NULL) libdeflate_free_compressor(c->deflate);
  sky_free(c->shuffled);
  sky_free(c->packed);
  sky_free(c);
  return st;
}
