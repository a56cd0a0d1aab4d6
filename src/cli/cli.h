/* cli.h: what every command shares: its entry in the table, common options, printing.
 *
 * commands.def holds one row a command: SKY_COMMAND(name, function, summary). main.c dispatches,
 * lists and documents from it. A command gets its own name as argv[0] and parses its options with
 * sky_cli_parse, which handles the common ones (--threads N, --memory SIZE, --progress MODE, -q,
 * -v, --log-file F, --json, --help) and returns the rest. stdout carries results only. */
#ifndef SKY_CLI_CLI_H
#define SKY_CLI_CLI_H

#include "skyflux/context.h"

typedef sky_status (*sky_command_fn)(sky_context *ctx, int argc, char **argv);

typedef struct sky_cli_option { /* one option of a command; a NULL name ends the table */
  const char *name;             /* long name without "--"; "": help is a heading of the help */
  char letter;                  /* short letter or 0 */
  const char *arg;              /* NULL = flag; else the word shown in help ("W,S,E,N") */
  const char *help;
} sky_cli_option;

typedef struct sky_cli_spec {
  const char *name;              /* "info" */
  const char *usage;             /* "FILE… [options]" */
  const char *summary;           /* one line */
  const char *example;           /* one full example */
  const sky_cli_option *options; /* own options */
} sky_cli_spec;

/* Called once per own option in order; value NULL for flags. Return SKY_OK or a failure. */
typedef sky_status (*sky_cli_handler)(sky_context *ctx, void *user, const char *name,
                                      const char *value);

typedef struct sky_cli_common {
  bool json;
  bool help_shown;      /* --help was printed; return SKY_OK at once */
  const char *log_file; /* of --log-file, or NULL */
  int n_args;           /* positional arguments */
  char **args;          /* points into argv */
} sky_cli_common;

SKY_NODISCARD sky_status sky_cli_parse(sky_context *ctx, const sky_cli_spec *spec, int argc,
                                       char **argv, sky_cli_handler handler, void *user,
                                       sky_cli_common *common);

#endif
