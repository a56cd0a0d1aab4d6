/* cog_layout.c: where everything stands in a Cloud Optimized GeoTIFF.
 *
 *   header | GDAL's structural metadata | directory of the full resolution, of overview 2, 4, …,
 *   each with its long values | tiles of the smallest overview … tiles of the full resolution
 *
 * A tile has its length in 4 bytes before it and its last 4 bytes once more behind it, as the
 * structural metadata promises (GDAL's COG driver, "Header ghost area"), so that a reader gets it
 * with one request. TIFF 6.0; BigTIFF (libtiff). Tags of the picture and its place on Earth are
 * taken over from a file that GDAL made. */
#include "src/write/cog_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"

#define MAX_TAGS 64
enum { SHORT = 3, LONG = 4, LONG8 = 16 };
enum {
  SUBFILE = 254,
  WIDTH = 256,
  LENGTH = 257,
  TILE_OFFSETS = 324,
  TILE_COUNTS = 325,
};

static const char structure[] =
    "GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\n"
    "LAYOUT=IFDS_BEFORE_DATA\n"
    "BLOCK_ORDER=ROW_MAJOR\n"
    "BLOCK_LEADER=SIZE_AS_UINT4\n"
    "BLOCK_TRAILER=LAST_4_BYTES_REPEATED\n"
    "KNOWN_INCOMPATIBLE_EDITION=NO\n "; /* the blank: room for YES */

/* Of an overview, beside its own: what it takes to decode and colour its tiles. */
static const uint16_t overview_tags[] = {258, 259, 262, 277, 284, 317, 320, 322, 323, 339, 42113};

typedef struct tag {
  uint16_t id, type;
  uint64_t count;
  const void *data;
  size_t bytes;
} tag;

typedef struct directory {
  size_t n;
  tag tag[MAX_TAGS];
  uint64_t at; /* its place in the file */
  /* The values of its own tags. */
  uint32_t width, length, subfile, *counts;
  void *offsets; /* uint32_t or uint64_t */
} directory;

static uint32_t u32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}
static uint16_t u16(const uint8_t *p) {
  return (uint16_t)(p[0] | p[1] << 8);
}

static size_t type_bytes(uint16_t type) {
  static const uint8_t bytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
  return type < sizeof bytes ? bytes[type] : type == LONG8 ? 8 : 0;
}

/* ---- tags ----------------------------------------------------------------------------------- */

static void put_tag(directory *d, uint16_t id, uint16_t type, uint64_t count, const void *data) {
  d->tag[d->n++] = (tag){id, type, count, data, (size_t)count * type_bytes(type)};
}

static bool wanted(uint16_t id, bool overview) {
  if (id == WIDTH || id == LENGTH || id == TILE_OFFSETS || id == TILE_COUNTS) return false;
  if (!overview) return true;
  for (size_t i = 0; i < sizeof overview_tags / sizeof *overview_tags; i++)
    if (overview_tags[i] == id) return true;
  return false;
}

static sky_status copy_tags(sky_context *ctx, const uint8_t *p, size_t n, bool overview,
                            directory *d) {
  const size_t at = n >= 8 && memcmp(p, "II*", 4) == 0 ? u32(p + 4) : n;
  const size_t tags = at + 2 <= n ? u16(p + at) : 0;
  bool ok = tags > 0 && tags + 8 <= MAX_TAGS && at + 2 + 12 * tags <= n;
  for (size_t i = 0; ok && i < tags; i++) {
    const uint8_t *entry = p + at + 2 + 12 * i;
    const uint32_t count = u32(entry + 4);
    const size_t bytes = count * type_bytes(u16(entry + 2));
    const size_t where = bytes <= 4 ? (size_t)(entry + 8 - p) : u32(entry + 8);
    ok = bytes > 0 && where <= n && bytes <= n - where;
    if (ok && wanted(u16(entry), overview))
      put_tag(d, u16(entry), u16(entry + 2), count, p + where);
  }
  return ok ? SKY_OK : sky_fail(ctx, SKY_E_INTERNAL, "the pattern of a GeoTIFF is not as expected");
}

static int by_id(const void *a, const void *b) {
  const tag *x = a, *y = b;
  return (x->id > y->id) - (x->id < y->id);
}

static void directory_free(directory *d) {
  sky_free(d->offsets);
  sky_free(d->counts);
}

static sky_status directory_make(sky_context *ctx, const uint8_t *pattern, size_t pattern_bytes,
                                 const sky_layout_level *l, bool overview, bool big, directory *d) {
  *d = (directory){.width = (uint32_t)l->nx, .length = (uint32_t)l->ny, .subfile = 1};
  d->counts = SKY_NEW0(ctx, uint32_t, l->tiles);
  d->offsets = sky_calloc(ctx, l->tiles, big ? 8 : 4);
  if (d->counts == NULL || d->offsets == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < l->tiles; i++)
    d->counts[i] = l->tile[i].size;
  SKY_TRY(copy_tags(ctx, pattern, pattern_bytes, overview, d));
  if (overview) put_tag(d, SUBFILE, LONG, 1, &d->subfile); /* reduced resolution */
  put_tag(d, WIDTH, LONG, 1, &d->width);
  put_tag(d, LENGTH, LONG, 1, &d->length);
  put_tag(d, TILE_OFFSETS, big ? LONG8 : LONG, l->tiles, d->offsets);
  put_tag(d, TILE_COUNTS, LONG, l->tiles, d->counts);
  qsort(d->tag, d->n, sizeof *d->tag, by_id);
  return SKY_OK;
}

/* ---- places --------------------------------------------------------------------------------- */

static uint64_t even(uint64_t v) {
  return v + v % 2;
}

static uint64_t head_bytes(bool big) {
  return even((big ? 16 : 8) + sizeof structure - 1);
}

static uint64_t directory_bytes(const directory *d, bool big) {
  uint64_t bytes = big ? 8 + 20 * d->n + 8 : 2 + 12 * d->n + 4;
  for (size_t i = 0; i < d->n; i++)
    if (d->tag[i].bytes > (big ? 8 : 4)) bytes += even(d->tag[i].bytes);
  return bytes;
}

/* Sets the places of directories and tiles; returns the length of the file. */
static uint64_t place(directory *d, const sky_layout_level *level, size_t n, bool big) {
  uint64_t at = head_bytes(big);
  for (size_t k = 0; k < n; k++) {
    d[k].at = at;
    at += directory_bytes(&d[k], big);
  }
  for (size_t k = n; k-- > 0;) {
    for (size_t i = 0; i < level[k].tiles; i++) {
      if (level[k].tile[i].size == 0) continue;
      if (big)
        ((uint64_t *)d[k].offsets)[i] = at + 4;
      else
        ((uint32_t *)d[k].offsets)[i] = (uint32_t)(at + 4);
      at += 8 + (uint64_t)level[k].tile[i].size;
    }
  }
  return at;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void put(sky_text *t, const void *p, size_t n) {
  sky_text_add(t, p, n);
}
/* A number of 4 or 8 bytes. */
static void put_place(sky_text *t, uint64_t v, bool big) {
  put(t, &v, big ? 8 : 4);
}

static void put_directory(sky_text *t, const directory *d, bool big, uint64_t next) {
  static const uint8_t none[8] = {0};
  const size_t inline_bytes = big ? 8 : 4;
  uint64_t n = d->n, behind = d->at + (big ? 8 + 20 * n + 8 : 2 + 12 * n + 4);
  put(t, &n, big ? 8 : 2);
  for (size_t i = 0; i < d->n; i++) {
    const tag *g = &d->tag[i];
    put(t, &g->id, 2);
    put(t, &g->type, 2);
    put_place(t, g->count, big);
    if (g->bytes <= inline_bytes) {
      put(t, g->data, g->bytes);
      put(t, none, inline_bytes - g->bytes);
    } else {
      put_place(t, behind, big);
      behind += even(g->bytes);
    }
  }
  put_place(t, next, big);
  for (size_t i = 0; i < d->n; i++) {
    if (d->tag[i].bytes <= inline_bytes) continue;
    put(t, d->tag[i].data, d->tag[i].bytes);
    put(t, none, d->tag[i].bytes % 2);
  }
}

static void put_head(sky_text *t, const directory *d, size_t n, bool big) {
  if (big)
    put(t, "II\x2b\0\x08\0\0\0", 8);
  else
    put(t, "II\x2a\0", 4);
  put_place(t, d[0].at, big);
  put(t, structure, sizeof structure - 1);
  put(t, "", (sizeof structure - 1) % 2);
  for (size_t k = 0; k < n; k++)
    put_directory(t, &d[k], big, k + 1 < n ? d[k + 1].at : 0);
}

static bool write_at(int fd, const void *bytes, size_t n, uint64_t at) {
  const char *p = bytes;
  while (n > 0) {
    const ssize_t put_now = pwrite(fd, p, n, (off_t)at);
    if (put_now < 0 && errno == EINTR) continue;
    if (put_now < 0) return false;
    p += put_now;
    at += (uint64_t)put_now;
    n -= (size_t)put_now;
  }
  return true;
}

/* ---- tiles ---------------------------------------------------------------------------------- */

typedef struct copy {
  const sky_tile_log *scratch;
  const char *path; /* for messages */
  int fd;
  bool big;
  size_t capacity; /* of the largest tile with what is around it */
} copy;

static sky_status copy_tile(sky_context *ctx, const copy *c, sky_tile_record r, uint64_t at,
                            char *buffer) {
  memcpy(buffer, &r.size, 4);
  SKY_TRY(sky_tile_log_read(ctx, c->scratch, r, buffer + 4));
  memcpy(buffer + 4 + r.size, buffer + r.size, 4);
  if (write_at(c->fd, buffer, 8 + (size_t)r.size, at - 4)) return SKY_OK;
  return sky_fail(ctx, SKY_E_DISK, "%s: cannot write: %s", c->path, strerror(errno));
}

/* All tiles of a level, by the threads of ctx; the message of a failure is the first tile's. */
static sky_status copy_level(sky_context *ctx, const copy *c, const sky_layout_level *l,
                             const directory *d) {
  sky_status st = SKY_OK;
  size_t failed = SIZE_MAX;
  char message[512] = "";
#pragma omp parallel num_threads(sky_context_threads(ctx)) if (l->tiles > 16)
  {
    char *buffer = SKY_NEW(ctx, char, c->capacity);
#pragma omp for schedule(dynamic, 8)
    for (size_t i = 0; i < l->tiles; i++) {
      if (l->tile[i].size == 0) continue;
      const uint64_t at =
          c->big ? ((const uint64_t *)d->offsets)[i] : ((const uint32_t *)d->offsets)[i];
      sky_status one = buffer == NULL ? SKY_E_NOMEM : SKY_OK;
      bool stop;
#pragma omp critical(sky_cog_layout)
      stop = st != SKY_OK && failed < i;
      if (stop) continue;
      if (one == SKY_OK) one = copy_tile(ctx, c, l->tile[i], at, buffer);
      if (one == SKY_OK) continue;
#pragma omp critical(sky_cog_layout)
      if (i < failed) {
        failed = i;
        st = one;
        strncpy(message, sky_error(ctx), sizeof message - 1);
      }
    }
    sky_free(buffer);
  }
  return st == SKY_OK ? SKY_OK : sky_fail(ctx, st, "%s", message);
}

static sky_status write_all(sky_context *ctx, const char *path, const directory *d,
                            const sky_layout_level *level, size_t n, bool big,
                            const sky_tile_log *scratch) {
  copy c = {scratch, path, -1, big, 8};
  sky_text head = {.ctx = ctx};
  char *part = NULL;
  sky_status st = SKY_OK;
  for (size_t k = 0; k < n; k++)
    for (size_t i = 0; i < level[k].tiles; i++)
      if (8 + (size_t)level[k].tile[i].size > c.capacity) c.capacity = 8 + level[k].tile[i].size;
  SKY_GO_ALLOC(part, sky_file_part(ctx, path));
  put_head(&head, d, n, big);
  if (head.failed) {
    st = SKY_E_NOMEM;
    goto cleanup;
  }
  c.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (c.fd < 0) {
    st = sky_fail(ctx, SKY_E_DISK, "%s: cannot create: %s", path, strerror(errno));
    goto cleanup;
  }
  if (!write_at(c.fd, head.data, head.length, 0)) {
    st = sky_fail(ctx, SKY_E_DISK, "%s: cannot write: %s", path, strerror(errno));
    goto cleanup;
  }
  for (size_t k = n; k-- > 0;)
    SKY_GO(copy_level(ctx, &c, &level[k], &d[k]));
cleanup:
  if (c.fd >= 0 && close(c.fd) != 0 && st == SKY_OK) {
    st = sky_fail(ctx, SKY_E_DISK, "%s: cannot write: %s", path, strerror(errno));
  }
  if (st != SKY_OK) sky_file_discard(path);
  sky_text_free(&head);
  sky_free(part);
  return st;
}

sky_status sky_cog_layout(sky_context *ctx, const char *path, const uint8_t *pattern,
                          size_t pattern_bytes, const sky_layout_level *level, size_t n_levels,
                          uint64_t classic_limit, const sky_tile_log *scratch) {
  sky_status st = SKY_OK;
  directory *d = SKY_NEW0(ctx, directory, n_levels);
  if (d == NULL) return SKY_E_NOMEM;
  for (int big = 0; big < 2; big++) {
    for (size_t k = 0; k < n_levels; k++) {
      directory_free(&d[k]);
      SKY_GO(directory_make(ctx, pattern, pattern_bytes, &level[k], k > 0, big, &d[k]));
    }
    const bool fits = place(d, level, n_levels, big) <= classic_limit;
    if (!fits && !big) continue;
    st = write_all(ctx, path, d, level, n_levels, big, scratch);
    break;
  }
cleanup:
  for (size_t k = 0; k < n_levels; k++)
    directory_free(&d[k]);
  sky_free(d);
  return st;
}
