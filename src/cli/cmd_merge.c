/* cmd_merge.c: `skyflux merge`: the shards of sink or zonal to the result of one run, to the byte.
 * Those of soundings and grid are products of their own, which these commands join themselves.
 *
 * A shard carries the command that made it. The command is run again, but what it computes from its
 * rasters comes from the shards. */
#include <stdio.h>
#include <string.h>

#include "src/cli/commands.h"
#include "src/cli/shard_command.h"
#include "src/core/file.h"
#include "src/core/memory.h"

static const struct mergeable {
  const char *name;
  sky_merge_fn merge;
} commands[] = {{"sink", sky_sink_merge}, {"zonal", sky_zonal_merge}};

typedef struct merge_args {
  const char *out;
} merge_args;

static sky_status handle(sky_context *ctx, void *user, const char *name, const char *value) {
  merge_args *a = user;
  (void)ctx;
  (void)name;
  a->out = value;
  return SKY_OK;
}

/* The command's name and words from a stamp. */
static sky_status read_stamp(sky_context *ctx, const char *path, const char *stamp, char name[32],
                             cJSON **words) {
  char version[32];
  int at = 0;
  *words = NULL;
  if (sscanf(stamp, "skyflux %31s %31s command %n", version, name, &at) == 2 && at > 0)
    *words = cJSON_ParseWithOpts(stamp + at, NULL, false);
  if (!cJSON_IsArray(*words))
    return sky_fail(ctx, SKY_E_FORMAT, "%s: names no command that made it", path);
  if (strcmp(version, SKYFLUX_VERSION) == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_COVERAGE, "%s: was made by skyflux %s, this is %s", path, version,
                  SKYFLUX_VERSION);
}

static sky_status run_again(sky_context *ctx, const char *name, const cJSON *words,
                            const sky_cli_common *common, const char *out) {
  size_t i = 0;
  while (i < sizeof commands / sizeof commands[0] && strcmp(commands[i].name, name) != 0)
    i++;
  if (i == sizeof commands / sizeof commands[0])
    return sky_fail(ctx, SKY_E_FORMAT, "%s: of '%s', which has no shards", common->args[0], name);
  const int n = cJSON_GetArraySize(words);
  char **argv = SKY_NEW0(ctx, char *, (size_t)n + 2);
  if (argv == NULL) return SKY_E_NOMEM;
  argv[0] = (char *)commands[i].name;
  for (int k = 0; k < n; k++) {
    const char *word = cJSON_GetStringValue(cJSON_GetArrayItem(words, k));
    argv[k + 1] = (char *)(word != NULL ? word : "");
  }
  const sky_status st = commands[i].merge(ctx, n + 1, argv, (const char *const *)common->args,
                                          (size_t)common->n_args, out, common->json);
  sky_free(argv);
  return st;
}

sky_status sky_cmd_merge(sky_context *ctx, int argc, char **argv) {
  static const sky_cli_option OPTIONS[] = {
      {"out", 'o', "OUT", "write a .csv, .gpkg or .parquet (default: CSV to the terminal)"},
      {NULL, 0, NULL, NULL}};
  static const sky_cli_spec SPEC = {"merge", "SHARD... [-o OUT]",
                                    "all shards of sink or zonal to the result of one run",
                                    "skyflux merge part1.shard part2.shard -o change.csv", OPTIONS};
  merge_args a = {0};
  sky_cli_common common = {0};
  char *stamp = NULL, name[32];
  cJSON *words = NULL;
  SKY_TRY(sky_cli_parse(ctx, &SPEC, argc, argv, handle, &a, &common));
  if (common.help_shown) return SKY_OK;
  if (common.n_args == 0) return sky_fail(ctx, SKY_E_USAGE, "merge: expected shards, got none");
  for (int i = 0; i < common.n_args && a.out != NULL; i++)
    if (sky_file_same(common.args[i], a.out))
      return sky_fail(ctx, SKY_E_USAGE, "merge: -o %s is one of the shards", a.out);
  sky_status st = SKY_OK;
  SKY_GO(sky_journal_stamp(ctx, common.args[0], &stamp));
  SKY_GO(read_stamp(ctx, common.args[0], stamp, name, &words));
  SKY_GO(run_again(ctx, name, words, &common, a.out));
cleanup:
  cJSON_Delete(words);
  sky_free(stamp);
  return st;
}
