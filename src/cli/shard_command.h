/* shard_command.h: commands whose work can be dealt out to shards: what `skyflux merge` needs to
 * know of one stands in the stamp of its shards. */
#ifndef SKY_CLI_SHARD_COMMAND_H
#define SKY_CLI_SHARD_COMMAND_H

#include <cjson/cJSON.h>

#include "src/engine/journal.h"

/* "i/n" of --shard. */
SKY_NODISCARD sky_status sky_shard_parse(sky_context *ctx, const char *text, sky_shard *out);

/* The stamp of a command: this version of skyflux, its name, and its words: options as
 * "--name=value", then files. malloc'd. */
char *sky_shard_stamp(sky_context *ctx, const char *command, const cJSON *words);
/* Append a word; an existing file's path is made absolute. false without memory. */
bool sky_shard_word(cJSON *words, const char *option, const char *value, bool is_file);

/* One run of a command whose parts come from shards; argv[0] is its name. */
typedef sky_status (*sky_merge_fn)(sky_context *ctx, int argc, char **argv,
                                   const char *const *shards, size_t n, const char *out, bool json);
sky_status sky_zonal_merge(sky_context *ctx, int argc, char **argv, const char *const *shards,
                           size_t n, const char *out, bool json);
sky_status sky_sink_merge(sky_context *ctx, int argc, char **argv, const char *const *shards,
                          size_t n, const char *out, bool json);
#endif
