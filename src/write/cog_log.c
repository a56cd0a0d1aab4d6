/* cog_log.c: the log of compressed tiles.
 *
 * A killed process loses nothing that write() has taken, so records are not synced one by one; the
 * checksum finds what a crash of the machine spoiled. */
#include "src/write/cog_log.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "src/core/memory.h"

#define MARK 0x656c6974u /* "tile" */

typedef struct record_head {
  uint32_t mark, level;
  uint64_t tile;
  uint32_t size, crc; /* of the fields before it and the bytes behind it */
} record_head;

struct sky_tile_log {
  int fd;
  char *path;
  uint64_t end;
  pthread_mutex_t mutex; /* guards end and the writes */
};

const char *sky_tile_log_path(const sky_tile_log *s) {
  return s->path;
}

static sky_status disk_error(sky_context *ctx, const sky_tile_log *s, const char *doing) {
  return sky_fail(ctx, SKY_E_DISK, "%s: cannot %s: %s", s->path, doing, strerror(errno));
}

static bool read_at(int fd, void *bytes, size_t n, uint64_t at) {
  char *p = bytes;
  while (n > 0) {
    const ssize_t got = pread(fd, p, n, (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    p += got;
    at += (uint64_t)got;
    n -= (size_t)got;
  }
  return true;
}

static bool write_at(int fd, const struct iovec *part, int n, uint64_t at) {
  struct iovec left[2];
  memcpy(left, part, (size_t)n * sizeof *part);
  for (int i = 0; i < n;) {
    const ssize_t put = pwritev(fd, left + i, n - i, (off_t)at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    at += (uint64_t)put;
    size_t done = (size_t)put;
    for (; i < n && done >= left[i].iov_len; i++)
      done -= left[i].iov_len;
    if (i == n) return true;
    if (put == 0) return false;
    left[i].iov_base = (char *)left[i].iov_base + done;
    left[i].iov_len -= done;
  }
  return true;
}

static uint32_t checksum(const record_head *h, const void *bytes) {
  const uint32_t head = libdeflate_crc32(0, h, offsetof(record_head, crc));
  return libdeflate_crc32(head, bytes, h->size);
}

/* Whole records from s->end on; s->end is behind the last one afterwards. */
static sky_status read_records(sky_context *ctx, sky_tile_log *s, uint64_t length,
                               sky_tile_log_found found, void *user) {
  size_t capacity = 0;
  char *bytes = NULL;
  record_head h;
  while (length - s->end >= sizeof h && read_at(s->fd, &h, sizeof h, s->end)) {
    if (h.mark != MARK || h.size > length - s->end - sizeof h) break;
    if (h.size > capacity) {
      sky_free(bytes);
      capacity = 2 * (size_t)h.size;
      bytes = SKY_NEW(ctx, char, capacity);
      if (bytes == NULL) return SKY_E_NOMEM;
    }
    const sky_tile_record r = {s->end + sizeof h, h.size};
    if (!read_at(s->fd, bytes, h.size, r.offset) || checksum(&h, bytes) != h.crc) break;
    if (!found(user, h.level, h.tile, r)) break;
    s->end += sizeof h + h.size;
  }
  sky_free(bytes);
  return SKY_OK;
}

/* true if the log begins with this head. */
static bool same_head(sky_context *ctx, const sky_tile_log *s, const char *head, size_t n) {
  char *there = SKY_NEW(ctx, char, n);
  const bool same = there != NULL && read_at(s->fd, there, n, 0) && memcmp(there, head, n) == 0;
  sky_free(there);
  return same;
}

static sky_status start(sky_context *ctx, sky_tile_log *s, const char *head, bool fresh,
                        sky_tile_log_found found, void *user) {
  const size_t n = strlen(head) + 1; /* with its NUL, so that no head is the start of another */
  struct stat info;
  if (flock(s->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return sky_fail(ctx, SKY_E_DISK, "%s: another process is writing to it", s->path);
  }
  if (fstat(s->fd, &info) != 0) return disk_error(ctx, s, "open");
  if (!fresh && (uint64_t)info.st_size >= n && same_head(ctx, s, head, n)) {
    s->end = n;
    SKY_TRY(read_records(ctx, s, (uint64_t)info.st_size, found, user));
    return ftruncate(s->fd, (off_t)s->end) == 0 ? SKY_OK : disk_error(ctx, s, "write");
  }
  s->end = n;
  const struct iovec part = {(void *)(uintptr_t)head, n};
  if (ftruncate(s->fd, 0) != 0 || !write_at(s->fd, &part, 1, 0)) return disk_error(ctx, s, "write");
  return SKY_OK;
}

sky_status sky_tile_log_open(sky_context *ctx, const char *path, const char *head, bool fresh,
                             sky_tile_log_found found, void *user, sky_tile_log **out) {
  sky_tile_log *s = SKY_NEW0(ctx, sky_tile_log, 1);
  if (s == NULL) return SKY_E_NOMEM;
  s->path = sky_strdup(ctx, path);
  if (s->path == NULL) {
    sky_free(s);
    return SKY_E_NOMEM;
  }
  pthread_mutex_init(&s->mutex, NULL);
  s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  sky_status st = SKY_OK;
  if (s->fd < 0)
    st = disk_error(ctx, s, "create");
  else
    st = start(ctx, s, head, fresh, found, user);
  if (st == SKY_OK)
    *out = s;
  else /* an empty log is of no use to anybody; one that another process writes is its own */
    sky_tile_log_close(s, s->end == 0);
  return st;
}

void sky_tile_log_close(sky_tile_log *s, bool keep) {
  if (s == NULL) return;
  if (s->fd >= 0) {
    if (!keep) unlink(s->path);
    close(s->fd);
  }
  pthread_mutex_destroy(&s->mutex);
  sky_free(s->path);
  sky_free(s);
}

sky_status sky_tile_log_append(sky_context *ctx, sky_tile_log *s, uint32_t level, uint64_t tile,
                               const void *bytes, size_t n, sky_tile_record *out) {
  record_head h = {.mark = MARK, .level = level, .tile = tile, .size = (uint32_t)n};
  h.crc = checksum(&h, bytes);
  const struct iovec part[] = {{&h, sizeof h}, {(void *)(uintptr_t)bytes, n}};
  sky_status st = SKY_OK;
  pthread_mutex_lock(&s->mutex);
  *out = (sky_tile_record){s->end + sizeof h, h.size};
  if (write_at(s->fd, part, n > 0 ? 2 : 1, s->end)) {
    s->end += sizeof h + n;
  } else {
    st = disk_error(ctx, s, "write");
    if (ftruncate(s->fd, (off_t)s->end) != 0) { /* its torn end is cut when it is opened again */
    }
  }
  pthread_mutex_unlock(&s->mutex);
  return st;
}

sky_status sky_tile_log_read(sky_context *ctx, const sky_tile_log *s, sky_tile_record r,
                             void *bytes) {
  if (read_at(s->fd, bytes, r.size, r.offset)) return SKY_OK;
  return sky_fail(ctx, SKY_E_READ, "%s: cannot be read back at byte %llu", s->path,
                  (unsigned long long)r.offset);
}
