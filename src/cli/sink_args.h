/* sink_args.h: options of `skyflux sink`, and what it prints. */
#ifndef SKY_CLI_SINK_ARGS_H
#define SKY_CLI_SINK_ARGS_H

#include <cjson/cJSON.h>

#include "src/cli/cli.h"
#include "src/job/sink_table.h"

#define SKY_SINK_ALLOWED 64

typedef struct sky_sink_args {
  const char *id, *name, *level, *out, *areas, *measures, *gwp, *indicators, *rasters, *compare,
      *spread, *yearly, *flux_years, *management;
  cJSON *words; /* all that the result depends on */
  char *stamp, *journal;
  sky_sink_options sink;
  const char *allowed[SKY_SINK_ALLOWED];
} sky_sink_args;

/* Options and files of the command line, checked against each other; common->help_shown as ever.
 * sky_sink_args_free it in any case. */
SKY_NODISCARD sky_status sky_sink_args_parse(sky_context *ctx, int argc, char **argv,
                                             sky_sink_args *a, sky_cli_common *common);
void sky_sink_args_free(sky_sink_args *a);

SKY_NODISCARD sky_status sky_sink_print_json(sky_context *ctx, const sky_sink *s);
void sky_sink_print_table(const sky_sink *s);

#endif
