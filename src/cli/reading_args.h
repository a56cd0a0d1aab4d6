/* reading_args.h: the options of every command that reads product files: with which reader, by
 * which rules of quality, and readers of the user's own. */
#ifndef SKY_CLI_READING_ARGS_H
#define SKY_CLI_READING_ARGS_H

#include "src/read/granule.h"

#define SKY_READING_OPTIONS                                                        \
  {"product", 0, "ID", "reader to use (default: by content)"},                     \
      {"quality", 0, "LIST",                                                       \
       "default, strict, none or options of the product (docs/products.md)"},      \
  {                                                                                \
    "declare", 0, "FILE.yaml", "readers of your own (key products of docs/job.md)" \
  }

typedef struct sky_reading_args {
  const char *product;
  sky_declared *declared; /* what sel->declared points to */
} sky_reading_args;

/* *taken: the option is one of these; quality and declare go into sel. */
SKY_NODISCARD sky_status sky_reading_args_take(sky_context *ctx, sky_reading_args *a,
                                               sky_selection *sel, const char *name,
                                               const char *value, bool *taken);
/* When all options are known. */
SKY_NODISCARD sky_status sky_reading_args_check(sky_context *ctx, const sky_reading_args *a,
                                                const sky_selection *sel);
void sky_reading_args_free(sky_reading_args *a);

#endif
