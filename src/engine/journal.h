/* journal.h: the finished parts of a raster pass, in a file.
 *
 * One record is the part of one block. A run appends what it has finished, so that a later run goes
 * on from there; a shard is a journal that was finished and put in the order of its blocks; merging
 * reads all shards of a run as if they were one journal. Records carry a checksum: of a journal,
 * what a killed run left torn is cut off; a shard that is damaged is refused. The stamp is a text
 * of lines on which the parts depend (inputs, grid, zones, options): another one is another run. */
#ifndef SKY_ENGINE_JOURNAL_H
#define SKY_ENGINE_JOURNAL_H

#include "src/core/text.h"

typedef struct sky_journal sky_journal;

/* A share of the blocks: shard of shards, counted from 1; {0, 0} is all of them. */
typedef struct sky_shard {
  size_t shard, shards;
} sky_shard;

typedef struct sky_journal_record {
  uint64_t block, offset, size; /* of the part; size 0: it has none */
  uint32_t file;                /* which of the joined */
  bool unread;                  /* the block could not be read */
} sky_journal_record;

/* To be appended to, begun if it does not exist. Its records are those of blocks that could be
 * read: the others are tried again. SKY_E_USAGE if it belongs to another run (fresh: is emptied
 * then) or another process is at work on it. */
SKY_NODISCARD sky_status sky_journal_open(sky_context *ctx, const char *path, sky_shard shard,
                                          const char *stamp, bool fresh, sky_journal **out);
/* All shards of one run in any order, for reading. SKY_E_COVERAGE if one is missing, repeated or of
 * another run; SKY_E_READ if one is damaged. The paths must outlive the result. */
SKY_NODISCARD sky_status sky_journal_join(sky_context *ctx, const char *const *paths, size_t n,
                                          const char *stamp, sky_journal **out);
/* NULL-safe. What was appended is safe on the disk afterwards, if the disk obeys. */
void sky_journal_close(sky_journal *j);
/* The stamp of a finished shard; malloc'd. */
SKY_NODISCARD sky_status sky_journal_stamp(sky_context *ctx, const char *path, char **stamp);

/* Records, and how many of them are of blocks that could not be read. */
size_t sky_journal_count(const sky_journal *j);
size_t sky_journal_unread(const sky_journal *j);
/* NULL: there is none. */
const sky_journal_record *sky_journal_find(const sky_journal *j, size_t block);
/* The bytes of a part; to is emptied first. Not for several threads at once. */
SKY_NODISCARD sky_status sky_journal_read(sky_context *ctx, const sky_journal *j,
                                          const sky_journal_record *r, sky_text *to);

/* Put a record behind others in a buffer; and the whole buffer behind the journal (any thread). */
void sky_journal_put(sky_text *to, size_t block, bool unread, const sky_text *part);
SKY_NODISCARD sky_status sky_journal_append(sky_context *ctx, sky_journal *j,
                                            const sky_text *records);

/* Write the journal of a finished shard, in the order of its blocks, as the shard's file. */
SKY_NODISCARD sky_status sky_journal_save(sky_context *ctx, const char *journal, const char *path);
#endif
