/* file.h: outputs that are complete or absent, checksums, globbing, embedded tables.
 *
 * A writer writes to sky_file_part(path), closes, and calls sky_file_commit: fsync of the file,
 * rename, fsync of the folder. On failure sky_file_discard removes the part. */
#ifndef SKY_CORE_FILE_H
#define SKY_CORE_FILE_H

#include "skyflux/context.h"

/* "dir/name.tif" -> "dir/.part.name.tif" (same suffix, so that drivers accept it). malloc'd. */
char *sky_file_part(sky_context *ctx, const char *path);
SKY_NODISCARD sky_status sky_file_commit(sky_context *ctx, const char *path);
void sky_file_discard(const char *path);
/* A file, or a folder with all that is in it; links are not followed. True if it is gone. */
bool sky_file_remove_tree(const char *path);
/* Remove every ".part.*", file or folder, left in dir by a killed run (not those below). */
void sky_file_sweep(sky_context *ctx, const char *dir);

/* Whole small files. */
SKY_NODISCARD sky_status sky_file_write_text(sky_context *ctx, const char *path, const char *text,
                                             size_t length); /* atomic */
SKY_NODISCARD sky_status sky_file_read_text(sky_context *ctx, const char *path, char **text,
                                            size_t *length); /* NUL-terminated, malloc'd */

SKY_NODISCARD sky_status sky_file_mkdirs(sky_context *ctx, const char *dir);
bool sky_file_exists(const char *path);
const char *sky_file_base(const char *path); /* pointer into path */

/* Expand one pattern (glob(7)), sorted bytewise; a pattern without wildcard must exist. No match is
 * SKY_E_MISSING. Appends to *list (malloc'd array of malloc'd strings). */
SKY_NODISCARD sky_status sky_file_glob(sky_context *ctx, const char *pattern, char ***list,
                                       size_t *count);
SKY_NODISCARD sky_status sky_file_list_add(sky_context *ctx, const char *path, char ***list,
                                           size_t *count); /* a copy, as it is */
/* Append every file below a folder, in order of name, hidden ones apart. */
SKY_NODISCARD sky_status sky_file_tree(sky_context *ctx, const char *folder, char ***list,
                                       size_t *count);
bool sky_file_is_folder(const char *path);
void sky_file_list_free(char **list, size_t count);
/* The same file, whatever its paths; false if one does not exist. */
bool sky_file_same(const char *a, const char *b);
/* The same file, or where there is none yet, the same name in the same folder: writing one would
 * replace the other. */
bool sky_file_collide(const char *a, const char *b);
/* Free the items that are the same file as an earlier one, with a warning; returns the new count.
 */
size_t sky_file_drop_repeats(sky_context *ctx, char **list, size_t n);

/* SHA-256 as 64 hex digits + NUL. */
SKY_NODISCARD sky_status sky_file_sha256(sky_context *ctx, const char *path, char hex[65]);
void sky_sha256(const void *data, size_t length, char hex[65]);

/* A file of ancillary/ embedded at build time ("species.csv"); NULL if there is none. */
const char *sky_embedded(const char *name, size_t *length);

#endif
