/* values.c: see values.h. */
#include "src/cli/values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grids/cover.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"
#include "src/core/text.h"

bool sky_cli_text(const sky_cli_text_option *options, size_t n, const char *name,
                  const char *value) {
  for (size_t i = 0; i < n; i++) {
    if (strcmp(name, options[i].name) != 0) continue;
    *options[i].to = value;
    return true;
  }
  return false;
}

sky_status sky_cli_word(sky_context *ctx, const char *name, const char *value,
                        const char *const *words, int n, int *out) {
  for (*out = 0; *out < n; ++*out)
    if (strcmp(words[*out], value) == 0) return SKY_OK;
  sky_text list = {.ctx = ctx};
  for (int i = 0; i < n; i++)
    sky_text_printf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
  char *text = sky_text_take(&list);
  if (text == NULL) return SKY_E_NOMEM;
  sky_fail(ctx, SKY_E_USAGE, "--%s: '%s' is not one of %s", name, value, text);
  sky_free(text);
  return SKY_E_USAGE;
}

sky_status sky_cli_gas(sky_context *ctx, const char *value, const char **out) {
  *out = value;
  if (sky_species_find(value) != NULL) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--gas: '%s' is not one of co2, ch4, n2o", value);
}

sky_status sky_cli_number(sky_context *ctx, const char *name, const char *value, double low,
                          double high, double *out) {
  if (sky_number_parse(value, out, NULL) && *out >= low && *out <= high) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--%s: '%s' is not a number from %g to %g", name, value, low,
                  high);
}

sky_status sky_cli_above(sky_context *ctx, const char *name, const char *value, double *out) {
  if (sky_number_parse(value, out, NULL) && *out > 0 && isfinite(*out)) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE, "--%s: '%s' is not a number above 0", name, value);
}

sky_status sky_cli_size(sky_context *ctx, const char *text, size_t *bytes) {
  static const char suffix[] = "KMGT";
  double number = 0;
  const char *rest = NULL;
  if (sky_number_parse(text, &number, &rest) && number > 0) {
    const char *unit = *rest == '\0' ? NULL : strchr(suffix, *rest & ~0x20);
    if (unit != NULL) {
      number = ldexp(number, 10 * (int)(unit - suffix + 1));
      rest++;
      if (*rest == 'B' || *rest == 'b') rest++;
    }
    if (*rest == '\0' && number >= 1 && number < (double)SIZE_MAX / 2) {
      *bytes = (size_t)number;
      return SKY_OK;
    }
  }
  return sky_fail(ctx, SKY_E_USAGE, "'%s' is not a size (expected e.g. 4G, 500M or bytes)", text);
}

sky_status sky_cli_box(sky_context *ctx, const char *text, double box[4]) {
  const char *p = text;
  for (int i = 0; i < 4; i++) {
    const char *rest = NULL;
    if (!sky_number_parse(p, &box[i], &rest) || *rest != (i < 3 ? ',' : '\0')) {
      return sky_fail(ctx, SKY_E_USAGE, "'%s' is not a box (expected W,S,E,N, e.g. 73,18,135,54)",
                      text);
    }
    p = rest + 1;
  }
  if (!(box[1] < box[3]) || box[1] < -90 || box[3] > 90) {
    return sky_fail(ctx, SKY_E_USAGE,
                    "box '%s': south %g and north %g are not within -90 to 90 "
                    "in this order",
                    text, box[1], box[3]);
  }
  if (fmin(box[0], box[2]) < -180 || fmax(box[0], box[2]) > 360) {
    return sky_fail(ctx, SKY_E_USAGE, "box '%s': west %g or east %g is outside -180 to 360", text,
                    box[0], box[2]);
  }
  return SKY_OK;
}

sky_status sky_cli_tile(sky_context *ctx, const char *text, size_t *cells) {
  char *end = NULL;
  const long n = strtol(text, &end, 10);
  if (*text != '\0' && *end == '\0' && n >= SKY_BAND && n <= 65536 && n % SKY_BAND == 0) {
    *cells = (size_t)n;
    return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_USAGE, "--tile: '%s' is not a multiple of %d from %d to 65536", text,
                  SKY_BAND, SKY_BAND);
}
