/* cog_log.h: compressed tiles on their way into a file: an append-only log that survives
 * kill -9.
 *
 * A head line (what the tiles belong to) and records of level, number, length and checksum, each
 * followed by the bytes of its tile. What a stopped run left behind the last whole record is cut
 * off. One process at a time. */
#ifndef SKY_WRITE_COG_LOG_H
#define SKY_WRITE_COG_LOG_H

#include "skyflux/context.h"

typedef struct sky_tile_log sky_tile_log;

typedef struct sky_tile_record {
  uint64_t offset;
  uint32_t size; /* 0: a tile of nodata */
} sky_tile_record;

/* A record of an earlier run; false: it cannot belong to this file. */
typedef bool (*sky_tile_log_found)(void *user, uint32_t level, uint64_t tile, sky_tile_record r);

/* Opens path; a log with another head is emptied, one with this head is read (found is called for
 * each record, in the order of writing) unless fresh. SKY_E_DISK. */
SKY_NODISCARD sky_status sky_tile_log_open(sky_context *ctx, const char *path, const char *head,
                                           bool fresh, sky_tile_log_found found, void *user,
                                           sky_tile_log **out);
void sky_tile_log_close(sky_tile_log *s, bool keep); /* NULL-safe */
/* Any thread. */
SKY_NODISCARD sky_status sky_tile_log_append(sky_context *ctx, sky_tile_log *s, uint32_t level,
                                             uint64_t tile, const void *bytes, size_t n,
                                             sky_tile_record *out);
SKY_NODISCARD sky_status sky_tile_log_read(sky_context *ctx, const sky_tile_log *s,
                                           sky_tile_record r, void *bytes);
const char *sky_tile_log_path(const sky_tile_log *s);

#endif
