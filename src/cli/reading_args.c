/* reading_args.c: see reading_args.h. */
#include "src/cli/reading_args.h"

#include <string.h>

#include "src/core/memory.h"

sky_status sky_reading_args_take(sky_context *ctx, sky_reading_args *a, sky_selection *sel,
                                 const char *name, const char *value, bool *taken) {
  *taken = true;
  if (strcmp(name, "product") == 0) {
    a->product = value;
  } else if (strcmp(name, "quality") == 0) {
    sel->quality = value;
  } else if (strcmp(name, "declare") == 0) {
    sky_declared_free(a->declared);
    sel->declared = NULL;
    SKY_TRY(sky_declared_read(ctx, value, &a->declared));
    sel->declared = a->declared;
  } else {
    *taken = false;
  }
  return SKY_OK;
}

sky_status sky_reading_args_check(sky_context *ctx, const sky_reading_args *a,
                                  const sky_selection *sel) {
  const char *id = a->product;
  if (id != NULL && strcmp(id, "auto") != 0 && sky_declared_find(a->declared, id) == NULL) {
    return sky_fail(ctx, SKY_E_USAGE, "product '%s' is not known (see skyflux list readers)", id);
  }
  return sky_quality_check(ctx, sel->quality, a->declared);
}

void sky_reading_args_free(sky_reading_args *a) {
  sky_declared_free(a->declared);
  a->declared = NULL;
}
