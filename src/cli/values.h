/* values.h: what the values of options may be; each failure is SKY_E_USAGE and names the option,
 * the value and what is legal. */
#ifndef SKY_CLI_VALUES_H
#define SKY_CLI_VALUES_H

#include "skyflux/context.h"

typedef struct sky_cli_text_option {
  const char *name, **to;
} sky_cli_text_option;

/* True if name is one of n options that are kept as they stand. */
bool sky_cli_text(const sky_cli_text_option *options, size_t n, const char *name,
                  const char *value);
/* out = index of value among n words. */
SKY_NODISCARD sky_status sky_cli_word(sky_context *ctx, const char *name, const char *value,
                                      const char *const *words, int n, int *out);
/* co2, ch4 or n2o; out = value. */
SKY_NODISCARD sky_status sky_cli_gas(sky_context *ctx, const char *value, const char **out);
/* A number from low to high. */
SKY_NODISCARD sky_status sky_cli_number(sky_context *ctx, const char *name, const char *value,
                                        double low, double high, double *out);
/* A finite number above 0. */
SKY_NODISCARD sky_status sky_cli_above(sky_context *ctx, const char *name, const char *value,
                                       double *out);
/* "W,S,E,N" in degrees -> four doubles. */
SKY_NODISCARD sky_status sky_cli_box(sky_context *ctx, const char *text, double box[4]);
/* "4G", "500M", "1024" -> bytes. */
SKY_NODISCARD sky_status sky_cli_size(sky_context *ctx, const char *text, size_t *bytes);
/* Side of the raster engine's tiles: a multiple of SKY_BAND cells, 65536 at most. */
SKY_NODISCARD sky_status sky_cli_tile(sky_context *ctx, const char *text, size_t *cells);

#endif
