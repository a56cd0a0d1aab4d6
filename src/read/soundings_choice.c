/* soundings_choice.c: what can still be chosen from a harmonised file: the products in it, but no
 * other rule of quality than the one that it was made with, for the products' flags are gone. */
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/nc.h"
#include "src/read/soundings.h"

bool sky_product_wanted(const char *wanted, const char *product) {
  return wanted == NULL || strcmp(wanted, "auto") == 0 || strcmp(wanted, product) == 0;
}

void sky_quality_note(const char *list, char *out, size_t size) {
  snprintf(out, size, "%s", list == NULL || list[0] == '\0' ? "default" : list);
}

void sky_quality_noted(const char *processing, char *out, size_t size) {
  const char *at = processing != NULL ? strstr(processing, SKY_QUALITY_NOTE) : NULL;
  sky_quality_note(at != NULL ? at + strlen(SKY_QUALITY_NOTE) : NULL, out, size);
}

static sky_status check_quality(sky_context *ctx, sky_nc *f, const char *asked) {
  char *processing = NULL, own[SKY_QUALITY_MAX], want[SKY_QUALITY_MAX];
  if (asked == NULL) return SKY_OK;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", "processing", &processing));
  sky_quality_noted(processing, own, sizeof own);
  sky_quality_note(asked, want, sizeof want);
  sky_free(processing);
  if (strcmp(own, want) == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_USAGE,
                  "%s: quality: '%s' is asked for, but these are harmonised soundings, chosen by "
                  "'%s'; another rule needs their granules",
                  sky_nc_path(f), want, own);
}

static sky_status check_product(sky_context *ctx, sky_nc *f, const char *wanted) {
  char **product = NULL;
  size_t n = 0;
  bool any = false;
  if (sky_product_wanted(wanted, "")) return SKY_OK;
  SKY_TRY(sky_nc_read_strings(ctx, f, "granule_product", &n, &product));
  for (size_t i = 0; i < n; i++)
    any = any || strcmp(product[i], wanted) == 0;
  const sky_status st =
      any ? SKY_OK
          : sky_fail(ctx, SKY_E_FORMAT, "%s: product: harmonised soundings of %s, none of '%s'",
                     sky_nc_path(f), n > 0 ? product[0] : "nothing", wanted);
  sky_file_list_free(product, n);
  return st;
}

sky_status sky_soundings_choice(sky_context *ctx, const char *path, const char *product,
                                const char *quality) {
  sky_nc *f = NULL;
  SKY_TRY(sky_nc_open(ctx, path, &f));
  sky_status st = check_product(ctx, f, product);
  if (st == SKY_OK) st = check_quality(ctx, f, quality);
  sky_nc_close(f);
  return st;
}
