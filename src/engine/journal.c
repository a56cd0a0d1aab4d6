/* journal.c: records of parts in a file.
 *
 * File: a header, its stamp, records; of a shard also an end record that counts them. Numbers are
 * 64-bit words in the machine's order (the magic tells). Checksums chain words by multiplication
 * with an odd constant and a shift, as FNV-1a and splitmix64 do: against torn writes and damage,
 * not against malice. A record is appended by one write; the file is synced at times. */
#include "src/engine/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"

#define MAGIC 0x31535452504b5953u /* "SYKPRTS1" */
#define STAMP_MAX ((uint64_t)1 << 24)
#define PART_MAX ((uint64_t)1 << 40)
#define END UINT64_MAX /* block of the end record; its `unread` is the count of records */
#define SYNC_SECONDS 10

typedef struct header {
  uint64_t magic, shard, shards, stamp_size, check; /* of the other words and the stamp */
} header;

typedef struct head { /* of a record */
  uint64_t block, unread, size, check;
} head;

struct sky_journal {
  const char *path; /* of a journal to append to */
  bool append;
  int *file; /* [n_file]; one if it is appended to */
  size_t n_file;
  sky_journal_record *record; /* ascending by block, one of each */
  size_t n, capacity;
  pthread_mutex_t mutex; /* guards what follows */
  time_t synced;
};

static uint64_t check_of(uint64_t h, const void *data, size_t n) {
  const unsigned char *p = data;
  h ^= n + 0x9e3779b97f4a7c15u;
  for (; n > 0; p += 8) {
    const size_t k = n < 8 ? n : 8;
    uint64_t w = 0;
    memcpy(&w, p, k);
    h = (h ^ w) * 0xbf58476d1ce4e5b9u;
    h ^= h >> 29;
    n -= k;
  }
  return h;
}

static uint64_t head_check(const head *h, const void *part) {
  return check_of(check_of(1, h, offsetof(head, check)), part, h->size);
}

void sky_journal_close(sky_journal *j) {
  if (j == NULL) return;
  for (size_t i = 0; i < j->n_file; i++) {
    if (j->file[i] < 0) continue;
    if (j->append) fdatasync(j->file[i]); /* a failure costs work if the machine dies, no result */
    close(j->file[i]);
  }
  pthread_mutex_destroy(&j->mutex);
  sky_free(j->file);
  sky_free(j->record);
  sky_free(j);
}

static sky_status journal_new(sky_context *ctx, size_t n_file, sky_journal **out) {
  sky_journal *j = *out = SKY_NEW0(ctx, sky_journal, 1);
  if (j == NULL) return SKY_E_NOMEM;
  pthread_mutex_init(&j->mutex, NULL);
  j->file = SKY_NEW(ctx, int, n_file);
  if (j->file == NULL) return SKY_E_NOMEM;
  for (; j->n_file < n_file; j->n_file++)
    j->file[j->n_file] = -1;
  return SKY_OK;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Whether all n bytes at the offset could be read. */
static bool read_at(int fd, uint64_t offset, void *to, size_t n) {
  char *p = to;
  while (n > 0) {
    const ssize_t k = pread(fd, p, n, (off_t)offset);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return false;
    p += k;
    offset += (uint64_t)k;
    n -= (size_t)k;
  }
  return true;
}

static sky_status resize(sky_text *t, size_t n) {
  t->length = 0;
  if (n > t->capacity) {
    char *p = sky_realloc(t->ctx, t->data, 0, n, 1);
    if (p == NULL) return SKY_E_NOMEM;
    t->data = p;
    t->capacity = n;
  }
  t->length = n;
  return SKY_OK;
}

/* Header and stamp (into `stamp`, NUL-terminated); *good: they are whole. */
static sky_status read_header(int fd, header *h, sky_text *stamp, bool *good) {
  *good = read_at(fd, 0, h, sizeof *h) && h->magic == MAGIC && h->stamp_size <= STAMP_MAX;
  if (!*good) return SKY_OK;
  SKY_TRY(resize(stamp, (size_t)h->stamp_size + 1));
  stamp->data[h->stamp_size] = '\0';
  *good = read_at(fd, sizeof *h, stamp->data, (size_t)h->stamp_size) &&
          h->check ==
              check_of(check_of(1, h, offsetof(header, check)), stamp->data, (size_t)h->stamp_size);
  return SKY_OK;
}

static sky_status add_record(sky_context *ctx, sky_journal *j, const head *h, uint32_t file,
                             uint64_t offset) {
  if (j->n == j->capacity) {
    const size_t grown = 2 * j->capacity + 64;
    sky_journal_record *p = sky_realloc(ctx, j->record, j->n, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    j->record = p;
    j->capacity = grown;
  }
  j->record[j->n++] = (sky_journal_record){h->block, offset, h->size, file, h->unread != 0};
  return SKY_OK;
}

/* All records up to the first that is not whole; *end is behind the last one, *complete: that is
 * the end record, and the file ends there. */
static sky_status scan(sky_context *ctx, sky_journal *j, int fd, uint32_t file, uint64_t *end,
                       bool *complete) {
  sky_text part = {.ctx = ctx};
  sky_status st = SKY_OK;
  struct stat info;
  uint64_t count = 0;
  *complete = false;
  if (fstat(fd, &info) != 0) info.st_size = 0;
  for (head h; read_at(fd, *end, &h, sizeof h); count++) {
    const uint64_t at = *end + sizeof h;
    if (h.size > PART_MAX || at + h.size > (uint64_t)info.st_size) break;
    SKY_GO(resize(&part, (size_t)h.size));
    if (!read_at(fd, at, part.data, part.length) || h.check != head_check(&h, part.data)) break;
    *complete = h.block == END && h.unread == count && at == (uint64_t)info.st_size;
    if (h.block == END) break;
    SKY_GO(add_record(ctx, j, &h, file, at));
    *end = at + h.size;
  }
cleanup:
  sky_text_free(&part);
  return st;
}

/* By block; of one block, the later record last. */
static int compare_records(const void *a, const void *b) {
  const sky_journal_record *p = a, *q = b;
  if (p->block != q->block) return p->block < q->block ? -1 : 1;
  if (p->file != q->file) return p->file < q->file ? -1 : 1;
  return p->offset < q->offset ? -1 : p->offset > q->offset;
}

/* Sort; of several records of a block the last one counts. */
static void settle(sky_journal *j, bool with_unread) {
  size_t kept = 0;
  if (j->n > 1) qsort(j->record, j->n, sizeof *j->record, compare_records);
  for (size_t i = 0; i < j->n; i++) {
    const sky_journal_record *r = &j->record[i];
    if (i + 1 < j->n && j->record[i + 1].block == r->block) continue;
    if (with_unread || !r->unread) j->record[kept++] = *r;
  }
  j->n = kept;
}

size_t sky_journal_count(const sky_journal *j) {
  return j->n;
}

size_t sky_journal_unread(const sky_journal *j) {
  size_t n = 0;
  for (size_t i = 0; i < j->n; i++)
    n += j->record[i].unread;
  return n;
}

const sky_journal_record *sky_journal_find(const sky_journal *j, size_t block) {
  size_t low = 0, high = j->n;
  while (low < high) {
    const size_t mid = low + (high - low) / 2;
    if (j->record[mid].block < block)
      low = mid + 1;
    else
      high = mid;
  }
  return low < j->n && j->record[low].block == block ? &j->record[low] : NULL;
}

sky_status sky_journal_read(sky_context *ctx, const sky_journal *j, const sky_journal_record *r,
                            sky_text *to) {
  SKY_TRY(resize(to, (size_t)r->size));
  if (read_at(j->file[r->file], r->offset, to->data, to->length)) return SKY_OK;
  return sky_fail(ctx, SKY_E_READ, "the part of block %llu cannot be read again: %s",
                  (unsigned long long)r->block, strerror(errno));
}

/* ---- writing -------------------------------------------------------------------------------- */

static bool write_all(int fd, const void *data, size_t n) {
  const char *p = data;
  while (n > 0) {
    const ssize_t k = write(fd, p, n);
    if (k < 0 && errno == EINTR) continue;
    if (k < 0) return false;
    p += k;
    n -= (size_t)k;
  }
  return true;
}

static sky_status disk_error(sky_context *ctx, const char *path) {
  return sky_fail(ctx, SKY_E_DISK, "%s: cannot write: %s", path, strerror(errno));
}

static void put_header(sky_text *to, sky_shard shard, const char *stamp) {
  header h = {MAGIC, shard.shard, shard.shards, strlen(stamp), 0};
  h.check = check_of(check_of(1, &h, offsetof(header, check)), stamp, (size_t)h.stamp_size);
  sky_text_add(to, (const char *)&h, sizeof h);
  sky_text_add(to, stamp, (size_t)h.stamp_size);
}

static void put_record(sky_text *to, head h, const char *part) {
  h.check = head_check(&h, part);
  sky_text_add(to, (const char *)&h, sizeof h);
  if (h.size > 0) sky_text_add(to, part, (size_t)h.size);
}

void sky_journal_put(sky_text *to, size_t block, bool unread, const sky_text *part) {
  put_record(to, (head){block, unread, part->length, 0}, part->data);
}

sky_status sky_journal_append(sky_context *ctx, sky_journal *j, const sky_text *records) {
  if (records->failed) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  pthread_mutex_lock(&j->mutex);
  if (!write_all(j->file[0], records->data, records->length)) {
    st = disk_error(ctx, j->path); /* the next run cuts off what is torn */
  } else {
    const time_t now = time(NULL);
    if (now - j->synced >= SYNC_SECONDS) {
      j->synced = now;
      if (fdatasync(j->file[0]) != 0) st = disk_error(ctx, j->path);
    }
  }
  pthread_mutex_unlock(&j->mutex);
  return st;
}

/* ---- a journal ------------------------------------------------------------------------------ */

/* The first line in which two stamps differ. */
static void differing_line(const char **a, const char **b, int *na, int *nb) {
  for (;;) {
    *na = (int)strcspn(*a, "\n");
    *nb = (int)strcspn(*b, "\n");
    if (*na != *nb || memcmp(*a, *b, (size_t)*na) != 0 || (*a)[*na] == '\0') return;
    *a += *na + 1;
    *b += *nb + ((*b)[*nb] != '\0');
  }
}

static sky_status other_run(sky_context *ctx, sky_status st, const char *path, const char *theirs,
                            const char *ours, const char *hint) {
  int n = 0, m = 0;
  differing_line(&theirs, &ours, &n, &m);
  return sky_fail(ctx, st, "%s: holds parts of another run: '%.*s', not '%.*s'%s", path, n, theirs,
                  m, ours, hint);
}

static sky_status begin(sky_context *ctx, sky_journal *j, sky_shard shard, const char *stamp) {
  sky_text t = {.ctx = ctx};
  put_header(&t, shard, stamp);
  sky_status st = t.failed ? SKY_E_NOMEM : SKY_OK;
  if (st == SKY_OK && (ftruncate(j->file[0], 0) != 0 || !write_all(j->file[0], t.data, t.length)))
    st = disk_error(ctx, j->path);
  j->n = 0;
  sky_text_free(&t);
  return st;
}

/* Take over what an earlier run left, up to what is torn. */
static sky_status resume(sky_context *ctx, sky_journal *j, sky_shard shard, const char *stamp,
                         const header *h, const char *their_stamp) {
  bool complete;
  uint64_t end = sizeof *h + h->stamp_size;
  SKY_TRY(scan(ctx, j, j->file[0], 0, &end, &complete));
  const bool same_shard = h->shard == shard.shard && h->shards == shard.shards;
  if (same_shard && strcmp(stamp, their_stamp) == 0) {
    settle(j, false);
    return ftruncate(j->file[0], (off_t)end) == 0 ? SKY_OK : disk_error(ctx, j->path);
  }
  if (j->n == 0) return begin(ctx, j, shard, stamp);
  if (same_shard)
    return other_run(ctx, SKY_E_USAGE, j->path, their_stamp, stamp, "; --fresh discards them");
  return sky_fail(ctx, SKY_E_USAGE,
                  "%s: holds parts of shard %llu/%llu, not %zu/%zu; --fresh discards them", j->path,
                  (unsigned long long)h->shard, (unsigned long long)h->shards, shard.shard,
                  shard.shards);
}

sky_status sky_journal_open(sky_context *ctx, const char *path, sky_shard shard, const char *stamp,
                            bool fresh, sky_journal **out) {
  sky_status st = SKY_OK;
  sky_text theirs = {.ctx = ctx};
  sky_journal *j = NULL;
  header h = {0};
  bool good = false;
  SKY_GO(journal_new(ctx, 1, &j));
  j->path = path;
  j->synced = time(NULL);
  j->append = true;
  j->file[0] = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (j->file[0] < 0) {
    st = disk_error(ctx, path);
    goto cleanup;
  }
  if (flock(j->file[0], LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    st = sky_fail(ctx, SKY_E_USAGE, "%s: another process is at work on it", path);
    goto cleanup;
  }
  SKY_GO(read_header(j->file[0], &h, &theirs, &good));
  if (h.magic != MAGIC && h.magic != 0) {
    st = sky_fail(ctx, SKY_E_USAGE, "%s: is no journal of skyflux, which would be written there",
                  path);
    goto cleanup;
  }
  SKY_GO(good && !fresh ? resume(ctx, j, shard, stamp, &h, theirs.data)
                        : begin(ctx, j, shard, stamp));
  *out = j;
  j = NULL;
cleanup:
  sky_text_free(&theirs);
  sky_journal_close(j);
  return st;
}

/* ---- shards --------------------------------------------------------------------------------- */

static sky_status open_shard(sky_context *ctx, const char *path, int *fd, header *h,
                             sky_text *stamp) {
  bool good;
  *fd = open(path, O_RDONLY | O_CLOEXEC);
  if (*fd < 0) return sky_fail(ctx, SKY_E_MISSING, "%s: cannot open: %s", path, strerror(errno));
  SKY_TRY(read_header(*fd, h, stamp, &good));
  if (!good || h->shards == 0)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: is no shard that skyflux wrote", path);
  return SKY_OK;
}

sky_status sky_journal_stamp(sky_context *ctx, const char *path, char **stamp) {
  sky_text t = {.ctx = ctx};
  header h;
  int fd = -1;
  const sky_status st = open_shard(ctx, path, &fd, &h, &t);
  if (fd >= 0) close(fd);
  if (st == SKY_OK)
    *stamp = t.data;
  else
    sky_text_free(&t);
  return st;
}

/* One shard of `n`; by_shard[i]: the path of shard i+1, NULL until it is seen. */
static sky_status join_one(sky_context *ctx, sky_journal *j, const char *const *paths, size_t i,
                           const char *stamp, const char **by_shard) {
  sky_text theirs = {.ctx = ctx};
  sky_status st = SKY_OK;
  header h;
  bool complete;
  SKY_GO(open_shard(ctx, paths[i], &j->file[i], &h, &theirs));
  if (strcmp(theirs.data, stamp) != 0) {
    st = other_run(ctx, SKY_E_COVERAGE, paths[i], theirs.data, stamp, "");
  } else if (h.shards != j->n_file) {
    st = sky_fail(ctx, SKY_E_COVERAGE, "%s: is shard %llu of %llu, but %zu file%s given", paths[i],
                  (unsigned long long)h.shard, (unsigned long long)h.shards, j->n_file,
                  j->n_file == 1 ? " is" : "s are");
  } else if (by_shard[h.shard - 1] != NULL) {
    st = sky_fail(ctx, SKY_E_COVERAGE, "%s and %s are both shard %llu of %llu",
                  by_shard[h.shard - 1], paths[i], (unsigned long long)h.shard,
                  (unsigned long long)h.shards);
  } else {
    uint64_t end = sizeof h + h.stamp_size;
    by_shard[h.shard - 1] = paths[i];
    SKY_GO(scan(ctx, j, j->file[i], (uint32_t)i, &end, &complete));
    if (!complete)
      st = sky_fail(ctx, SKY_E_READ, "%s: is not finished, or damaged at byte %llu", paths[i],
                    (unsigned long long)end);
  }
cleanup:
  sky_text_free(&theirs);
  return st;
}

sky_status sky_journal_join(sky_context *ctx, const char *const *paths, size_t n, const char *stamp,
                            sky_journal **out) {
  sky_status st = SKY_OK;
  sky_journal *j = NULL;
  const char **by_shard;
  SKY_GO_ALLOC(by_shard, SKY_NEW0(ctx, const char *, n));
  SKY_GO(journal_new(ctx, n, &j));
  for (size_t i = 0; i < n; i++)
    SKY_GO(join_one(ctx, j, paths, i, stamp, by_shard));
  settle(j, true);
  *out = j;
  j = NULL;
cleanup:
  sky_free(by_shard);
  sky_journal_close(j);
  return st;
}

/* Header, records by block, end record. */
static sky_status save_records(sky_context *ctx, sky_journal *j, const header *h, const char *stamp,
                               int to, const char *path) {
  sky_text part = {.ctx = ctx}, out = {.ctx = ctx};
  sky_status st = SKY_OK;
  put_header(&out, (sky_shard){(size_t)h->shard, (size_t)h->shards}, stamp);
  for (size_t i = 0; i <= j->n; i++) {
    if (i == j->n) {
      put_record(&out, (head){END, j->n, 0, 0}, NULL);
    } else {
      SKY_GO(sky_journal_read(ctx, j, &j->record[i], &part));
      sky_journal_put(&out, (size_t)j->record[i].block, j->record[i].unread, &part);
    }
    if (out.failed) st = SKY_E_NOMEM;
    if (st == SKY_OK && !write_all(to, out.data, out.length)) st = disk_error(ctx, path);
    if (st != SKY_OK) goto cleanup;
    out.length = 0;
  }
cleanup:
  sky_text_free(&part);
  sky_text_free(&out);
  return st;
}

sky_status sky_journal_save(sky_context *ctx, const char *journal, const char *path) {
  sky_text stamp = {.ctx = ctx};
  sky_status st = SKY_OK;
  sky_journal *j = NULL;
  header h;
  bool complete;
  int to = -1;
  char *name;
  SKY_GO_ALLOC(name, sky_file_part(ctx, path));
  SKY_GO(journal_new(ctx, 1, &j));
  SKY_GO(open_shard(ctx, journal, &j->file[0], &h, &stamp));
  uint64_t end = sizeof h + h.stamp_size;
  SKY_GO(scan(ctx, j, j->file[0], 0, &end, &complete));
  settle(j, true);
  to = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (to < 0) {
    st = disk_error(ctx, path);
    goto cleanup;
  }
  st = save_records(ctx, j, &h, stamp.data, to, path);
  if (close(to) != 0 && st == SKY_OK) st = disk_error(ctx, path);
  if (st == SKY_OK)
    st = sky_file_commit(ctx, path);
  else
    sky_file_discard(path);
cleanup:
  sky_text_free(&stamp);
  sky_journal_close(j);
  sky_free(name);
  return st;
}
