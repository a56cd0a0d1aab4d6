/* file.c: complete-or-absent outputs, whole files, globbing, SHA-256 (nettle).
 *
 * Durability: the file is synced before the rename and the folder after it, so that a crash leaves
 * the old file or the new one, never a part under the final name. */
#include "src/core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/core/memory.h"

static const char PART[] = ".part.";

/* ---- parts ---- */

const char *sky_file_base(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

char *sky_file_part(sky_context *ctx, const char *path) {
  const char *base = sky_file_base(path);
  return sky_sprintf(ctx, "%.*s%s%s", (int)(base - path), path, PART, base);
}

static sky_status disk_error(sky_context *ctx, const char *path, const char *doing) {
  const char *reason = strerror(errno);
  return sky_fail(ctx, SKY_E_DISK, "%s: cannot %s: %s", path, doing, reason);
}

/* fsync by path; file systems that cannot sync folders say EINVAL, which is no failure. */
static bool sync_path(const char *path, int flags) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) return false;
  const bool ok = fsync(fd) == 0 || errno == EINVAL;
  const int error = errno;
  close(fd);
  errno = error;
  return ok;
}

/* A rename would replace a device, a pipe or a link, not write to it. */
static sky_status check_target(sky_context *ctx, const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0 || S_ISREG(info.st_mode)) return SKY_OK;
  return sky_fail(ctx, SKY_E_DISK, "%s: is %s, not a regular file", path,
                  S_ISDIR(info.st_mode)   ? "a folder"
                  : S_ISLNK(info.st_mode) ? "a symbolic link"
                                          : "a device or pipe");
}

sky_status sky_file_commit(sky_context *ctx, const char *path) {
  sky_status st = SKY_OK;
  char *folder = NULL, *part = NULL;
  SKY_GO(check_target(ctx, path));
  const size_t dir_length = (size_t)(sky_file_base(path) - path);
  SKY_GO_ALLOC(part, sky_file_part(ctx, path));
  SKY_GO_ALLOC(folder, dir_length == 0 ? sky_strdup(ctx, ".")
                                       : sky_sprintf(ctx, "%.*s", (int)dir_length, path));
  if (!sync_path(part, 0)) {
    st = disk_error(ctx, path, "write");
  } else if (rename(part, path) != 0) {
    st = disk_error(ctx, path, "rename to it");
  } else if (!sync_path(folder, O_DIRECTORY)) {
    st = disk_error(ctx, path, "sync its folder");
  }
cleanup:
  if (st != SKY_OK) sky_file_discard(path);
  sky_free(folder);
  sky_free(part);
  return st;
}

bool sky_file_same(const char *a, const char *b) {
  struct stat one, two;
  return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev &&
         one.st_ino == two.st_ino;
}

/* The folder that a path is in, in `folder`. */
static bool parent_of(const char *path, char folder[PATH_MAX]) {
  const size_t n = (size_t)(sky_file_base(path) - path);
  if (n >= PATH_MAX) return false;
  memcpy(folder, path, n);
  folder[n] = '\0';
  if (n == 0) strcpy(folder, ".");
  return true;
}

bool sky_file_collide(const char *a, const char *b) {
  char one[PATH_MAX], two[PATH_MAX];
  if (sky_file_same(a, b)) return true;
  return strcmp(sky_file_base(a), sky_file_base(b)) == 0 && parent_of(a, one) &&
         parent_of(b, two) && sky_file_same(one, two);
}

size_t sky_file_drop_repeats(sky_context *ctx, char **list, size_t n) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    bool seen = false;
    for (size_t k = 0; k < kept && !seen; k++)
      seen = sky_file_same(list[k], list[i]);
    if (!seen) {
      list[kept++] = list[i];
      continue;
    }
    sky_log(ctx, SKY_LOG_WARN, "%s: given more than once; read once", list[i]);
    sky_free(list[i]);
  }
  return kept;
}

/* Without allocation: it runs when memory is short, too. */
void sky_file_discard(const char *path) {
  /* A database or raster driver may have put these beside the part. */
  static const char *const SIDE[] = {"", "-journal", "-wal", "-shm", ".aux.xml"};
  const char *base = sky_file_base(path);
  for (size_t i = 0; i < sizeof SIDE / sizeof *SIDE; i++) {
    char part[4096 + 64];
    const int n =
        snprintf(part, sizeof part, "%.*s%s%s%s", (int)(base - path), path, PART, base, SIDE[i]);
    if (n > 0 && (size_t)n < sizeof part) unlink(part);
  }
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where) {
  (void)info;
  (void)type;
  (void)where;
  remove(path); /* what stays keeps its folder, which tells */
  return 0;
}

bool sky_file_remove_tree(const char *path) {
  nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  struct stat info;
  return lstat(path, &info) != 0;
}

static void sweep_one(sky_context *ctx, const char *dir, const char *name) {
  char *path = sky_sprintf(ctx, "%s/%s", dir, name);
  if (path == NULL) return;
  if (sky_file_remove_tree(path))
    sky_log(ctx, SKY_LOG_DEBUG, "%s: removed what a stopped run left", path);
  else
    sky_log(ctx, SKY_LOG_WARN, "%s: cannot be removed", path);
  sky_free(path);
}

void sky_file_sweep(sky_context *ctx, const char *dir) {
  DIR *d = opendir(dir);
  if (d == NULL) return; /* no folder, nothing left in it */
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (strncmp(e->d_name, PART, sizeof PART - 1) == 0) sweep_one(ctx, dir, e->d_name);
  }
  closedir(d);
}

/* ---- whole files ---- */

static bool write_all(int fd, const char *text, size_t length) {
  while (length > 0) {
    const ssize_t n = write(fd, text, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text += n;
    length -= (size_t)n;
  }
  return true;
}

sky_status sky_file_write_text(sky_context *ctx, const char *path, const char *text,
                               size_t length) {
  char *part = sky_file_part(ctx, path);
  if (part == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  const int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    st = disk_error(ctx, path, "create");
  } else if (!write_all(fd, text, length)) {
    st = disk_error(ctx, path, "write");
    close(fd);
  } else if (close(fd) != 0) {
    st = disk_error(ctx, path, "write");
  }
  sky_free(part);
  if (st == SKY_OK) return sky_file_commit(ctx, path);
  sky_file_discard(path);
  return st;
}

/* Opens for reading; a folder is refused here, since fopen() takes it. */
static sky_status open_input(sky_context *ctx, const char *path, FILE **out) {
  struct stat info;
  FILE *f = fopen(path, "rbe");
  if (f != NULL && fstat(fileno(f), &info) == 0 && S_ISDIR(info.st_mode)) {
    fclose(f);
    f = NULL;
    errno = EISDIR;
  }
  *out = f;
  if (f != NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_MISSING, "%s: cannot open: %s", path, strerror(errno));
}

sky_status sky_file_read_text(sky_context *ctx, const char *path, char **text, size_t *length) {
  sky_status st = SKY_OK;
  FILE *f;
  size_t n = 0, capacity = 1 << 16;
  char *buffer = NULL;
  *text = NULL;
  *length = 0;
  SKY_TRY(open_input(ctx, path, &f));
  SKY_GO_ALLOC(buffer, SKY_NEW(ctx, char, capacity));
  for (;;) {
    n += fread(buffer + n, 1, capacity - n, f);
    if (n < capacity) break; /* room is left for the NUL */
    char *grown;
    SKY_GO_ALLOC(grown, sky_realloc(ctx, buffer, n, 2 * capacity, 1));
    buffer = grown;
    capacity *= 2;
  }
  if (ferror(f)) {
    st = sky_fail(ctx, SKY_E_READ, "%s: cannot read: %s", path, strerror(errno));
    goto cleanup;
  }
  buffer[n] = '\0';
  *text = buffer;
  *length = n;
  buffer = NULL;
cleanup:
  sky_free(buffer);
  fclose(f);
  return st;
}

sky_status sky_file_mkdirs(sky_context *ctx, const char *dir) {
  char *path = sky_strdup(ctx, dir);
  if (path == NULL) return SKY_E_NOMEM;
  sky_status st = SKY_OK;
  for (char *p = path; st == SKY_OK && *p != '\0';) {
    p += strspn(p, "/");
    p += strcspn(p, "/");
    const char kept = *p;
    *p = '\0';
    struct stat info;
    if (mkdir(path, 0777) != 0) {
      const int error = errno;
      const bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
      errno = error == EEXIST ? ENOTDIR : error;
      if (!folder) st = disk_error(ctx, path, "create the folder");
    }
    *p = kept;
  }
  sky_free(path);
  return st;
}

bool sky_file_exists(const char *path) {
  return access(path, F_OK) == 0;
}

/* ---- globbing ---- */

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All n paths or none. */
static sky_status append(sky_context *ctx, char *const *paths, size_t n, char ***list,
                         size_t *count) {
  char **grown = sky_malloc(ctx, *count + n, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++) {
    grown[*count + i] = sky_strdup(ctx, paths[i]);
    if (grown[*count + i] == NULL) {
      while (i > 0)
        sky_free(grown[*count + --i]);
      sky_free(grown);
      return SKY_E_NOMEM;
    }
  }
  if (*count > 0) memcpy(grown, *list, *count * sizeof *grown);
  sky_free(*list);
  *list = grown;
  *count += n;
  return SKY_OK;
}

sky_status sky_file_glob(sky_context *ctx, const char *pattern, char ***list, size_t *count) {
  if (sky_file_exists(pattern)) { /* also a name that holds brackets */
    return sky_file_list_add(ctx, pattern, list, count);
  }
  if (strpbrk(pattern, "*?[") == NULL) {
    return sky_fail(ctx, SKY_E_MISSING, "%s: no such file", pattern);
  }
  glob_t found;
  sky_status st;
  const int result = glob(pattern, GLOB_NOSORT, NULL, &found); /* its order follows the locale */
  if (result == 0) {
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
    st = append(ctx, found.gl_pathv, found.gl_pathc, list, count);
  } else if (result == GLOB_NOSPACE) {
    st = sky_fail(ctx, SKY_E_NOMEM, "%s: out of memory", pattern);
  } else {
    st = sky_fail(ctx, SKY_E_MISSING, "%s: no file matches", pattern);
  }
  globfree(&found);
  return st;
}

sky_status sky_file_list_add(sky_context *ctx, const char *path, char ***list, size_t *count) {
  return append(ctx, (char *const[]){(char *)path}, 1, list, count);
}

bool sky_file_is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

sky_status sky_file_tree(sky_context *ctx, const char *folder, char ***list, size_t *count) {
  struct dirent **entry = NULL;
  const int n = scandir(folder, &entry, NULL, alphasort);
  if (n < 0)
    return sky_fail(ctx, SKY_E_READ, "%s: cannot be searched: %s", folder, strerror(errno));
  sky_status st = SKY_OK;
  for (int i = 0; i < n; ++i) {
    if (entry[i]->d_name[0] != '.' && st == SKY_OK) {
      char *path = sky_sprintf(ctx, "%s/%s", folder, entry[i]->d_name);
      if (path == NULL)
        st = SKY_E_NOMEM;
      else if (sky_file_is_folder(path))
        st = sky_file_tree(ctx, path, list, count);
      else if (sky_file_exists(path))
        st = sky_file_list_add(ctx, path, list, count);
      sky_free(path);
    }
    free(entry[i]);
  }
  free(entry);
  return st;
}

void sky_file_list_free(char **list, size_t count) {
  if (list == NULL) return;
  for (size_t i = 0; i < count; i++)
    sky_free(list[i]);
  sky_free(list);
}

/* ---- checksums ---- */

static void digest_hex(struct sha256_ctx *sha, char hex[65]) {
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(sha, sizeof digest, digest);
  for (size_t i = 0; i < sizeof digest; i++)
    snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void sky_sha256(const void *data, size_t length, char hex[65]) {
  struct sha256_ctx sha;
  sha256_init(&sha);
  sha256_update(&sha, length, data);
  digest_hex(&sha, hex);
}

sky_status sky_file_sha256(sky_context *ctx, const char *path, char hex[65]) {
  FILE *f;
  hex[0] = '\0';
  SKY_TRY(open_input(ctx, path, &f));
  struct sha256_ctx sha;
  sha256_init(&sha);
  uint8_t buffer[1 << 16];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
    sha256_update(&sha, n, buffer);
  const bool failed = ferror(f) != 0;
  const char *reason = strerror(errno);
  fclose(f);
  if (failed) return sky_fail(ctx, SKY_E_READ, "%s: cannot read: %s", path, reason);
  digest_hex(&sha, hex);
  return SKY_OK;
}
