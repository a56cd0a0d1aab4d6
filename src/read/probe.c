/* probe.c: which reader takes a file, by what is in it and never by its name. A file that two
 * readers would take is an error that names both. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/schema.h"
#include "src/core/text.h"
#include "src/read/decode.h"

/* "{gas}" is replaced by "ch4", "{GAS}" by "CH4"; one hole a path. */
char *sky_path_expand(sky_context *ctx, const char *pattern, const char *gas) {
  const char *hole = strstr(pattern, "{gas}"), *big = strstr(pattern, "{GAS}");
  char word[8];
  if (hole == NULL && big == NULL) return sky_strdup(ctx, pattern);
  snprintf(word, sizeof word, "%s", gas);
  for (char *p = word; hole == NULL && *p != '\0'; ++p)
    *p = (char)toupper((unsigned char)*p);
  if (hole == NULL) hole = big;
  return sky_sprintf(ctx, "%.*s%s%s", (int)(hole - pattern), pattern, word, hole + 5);
}

/* Is the variable there, for any gas of the reader? */
static sky_status has_variable(sky_context *ctx, sky_nc *f, const sky_reader *r,
                               const char *pattern, bool *found) {
  *found = false;
  for (size_t i = 0; i < 4 && r->gases[i] != NULL && !*found; ++i) {
    char *path = sky_path_expand(ctx, pattern, r->gases[i]);
    if (path == NULL) return SKY_E_NOMEM;
    *found = sky_nc_has(f, path);
    sky_free(path);
  }
  return SKY_OK;
}

static sky_status attr_matches(sky_context *ctx, sky_nc *f, const sky_reader *r, bool *match) {
  const char *name;
  size_t length;
  *match = r->marker_attr == NULL;
  for (size_t i = 0; !*match && sky_choice_at(r->marker_attr, i, &name, &length); ++i) {
    char *text, word[64];
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    SKY_TRY(sky_nc_attr_text(ctx, f, "", word, &text));
    *match = text != NULL && strstr(text, r->marker_text) != NULL;
    sky_free(text);
  }
  return SKY_OK;
}

/* *missing: the first marker variable that the file lacks, NULL if none does. */
static sky_status find_markers(sky_context *ctx, sky_nc *f, const sky_reader *r,
                               const char **missing) {
  *missing = NULL;
  for (size_t i = 0; i < 4 && r->marker[i] != NULL; ++i) {
    bool found;
    SKY_TRY(has_variable(ctx, f, r, r->marker[i], &found));
    if (found) continue;
    *missing = r->marker[i];
    return SKY_OK;
  }
  return SKY_OK;
}

static sky_status reader_matches(sky_context *ctx, sky_nc *f, const sky_reader *r, bool *match) {
  const char *missing;
  bool excluded = false;
  *match = false;
  SKY_TRY(find_markers(ctx, f, r, &missing));
  if (missing != NULL) return SKY_OK;
  if (r->absent != NULL) SKY_TRY(has_variable(ctx, f, r, r->absent, &excluded));
  return excluded ? SKY_OK : attr_matches(ctx, f, r, match);
}

static sky_status unknown_product(sky_context *ctx, const char *path,
                                  const sky_declared *declared) {
  sky_text t = {.ctx = ctx};
  for (size_t i = 0; i < sky_declared_total(declared); ++i) {
    const sky_reader *r = sky_declared_at(declared, i);
    if (!r->automatic) continue;
    sky_text_printf(&t, "%s%s:", t.length > 0 ? "; " : "", r->id);
    for (size_t k = 0; k < 4 && r->marker[k] != NULL; ++k)
      sky_text_printf(&t, " %s", r->marker[k]);
    if (r->marker_attr != NULL) sky_text_printf(&t, " :%s=%s", r->marker_attr, r->marker_text);
  }
  char *looked = sky_text_take(&t);
  if (looked == NULL) return SKY_E_NOMEM;
  const sky_status st =
      sky_fail(ctx, SKY_E_FORMAT, "%s: no known product (looked for %s)", path, looked);
  sky_free(looked);
  return st;
}

static sky_status named_reader(sky_context *ctx, sky_nc *f, const char *product,
                               const sky_declared *declared, const sky_reader **out) {
  const char *missing;
  const sky_reader *r = sky_declared_find(declared, product);
  if (r == NULL) {
    return sky_fail(ctx, SKY_E_USAGE, "product '%s' is not known (see skyflux list readers)",
                    product);
  }
  SKY_TRY(find_markers(ctx, f, r, &missing));
  if (missing != NULL) {
    return sky_fail(ctx, SKY_E_FORMAT, "%s: not a file of product %s (%s: variable missing)",
                    sky_nc_path(f), product, missing);
  }
  *out = r;
  return SKY_OK;
}

sky_status sky_probe(sky_context *ctx, sky_nc *f, const char *product, const sky_declared *declared,
                     const sky_reader **out) {
  *out = NULL;
  if (product != NULL && product[0] != '\0' && strcmp(product, "auto") != 0) {
    return named_reader(ctx, f, product, declared, out);
  }
  for (size_t i = 0; i < sky_declared_total(declared); ++i) {
    const sky_reader *r = sky_declared_at(declared, i);
    bool match = false;
    if (r->automatic) SKY_TRY(reader_matches(ctx, f, r, &match));
    if (match && *out != NULL) {
      return sky_fail(ctx, SKY_E_FORMAT,
                      "%s: may be product %s or product %s: name one with --product",
                      sky_nc_path(f), (*out)->id, r->id);
    }
    if (match) *out = r;
  }
  return *out != NULL ? SKY_OK : unknown_product(ctx, sky_nc_path(f), declared);
}

static sky_status has_gas(sky_context *ctx, sky_nc *f, const sky_reader *r, const char *gas,
                          bool *found) {
  const sky_field_decl *x = sky_reader_field(r, SKY_ROLE_X);
  *found = false;
  for (size_t k = 0; k < SKY_FIELD_PATHS && x->path[k] != NULL && !*found; ++k) {
    char *path = sky_path_expand(ctx, x->path[k], gas);
    if (path == NULL) return SKY_E_NOMEM;
    *found = sky_nc_has(f, path);
    sky_free(path);
  }
  return SKY_OK;
}

sky_status sky_probe_gases(sky_context *ctx, sky_nc *f, const sky_reader *r,
                           sky_granule_info *out) {
  memset(out, 0, sizeof *out);
  snprintf(out->product, sizeof out->product, "%s", r->id);
  for (size_t i = 0; i < 4 && r->gases[i] != NULL; ++i) {
    bool found;
    SKY_TRY(has_gas(ctx, f, r, r->gases[i], &found));
    if (found) snprintf(out->gases[out->n_gases++], sizeof out->gases[0], "%s", r->gases[i]);
  }
  return SKY_OK;
}
