/* commands.h: the functions of commands.def, declared. */
#ifndef SKY_CLI_COMMANDS_H
#define SKY_CLI_COMMANDS_H

#include "src/cli/cli.h"

#define SKY_COMMAND(name, function, summary) \
  sky_status function(sky_context *ctx, int argc, char **argv);
#include "src/cli/commands.def"
#undef SKY_COMMAND

#endif
