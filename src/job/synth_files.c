/* synth_files.c: see synth_files.h. */
#include "src/job/synth_files.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/write/nc_write.h"

/* Numbers a line, so that the CDL can be read by people and by ncgen. */
#define NUMBERS_PER_LINE 16

static void put_numbers(sky_text *t, const sky_synth_value *value) {
  for (size_t i = 0; i < value->count; i++) {
    if (i > 0) sky_text_put(t, i % NUMBERS_PER_LINE == 0 ? ",\n" : ", ");
    if (isnan(value->number[i])) {
      sky_text_put(t, "_");
      continue;
    }
    char digits[32];
    const int n = snprintf(digits, sizeof digits, "%.*g", value->digits, value->number[i]);
    sky_text_add(t, digits, (size_t)n);
  }
}

static bool put_value(sky_text *t, const char *name, size_t length, const sky_synth_value *values,
                      size_t n_values) {
  for (size_t i = 0; i < n_values; i++) {
    if (strlen(values[i].name) != length || memcmp(values[i].name, name, length) != 0) continue;
    if (values[i].text != NULL) {
      sky_text_put(t, values[i].text);
    } else {
      put_numbers(t, &values[i]);
    }
    return true;
  }
  return false;
}

/* name: of the template, for the message. */
static sky_status fill(sky_context *ctx, const char *name, const char *at,
                       const sky_synth_value *values, size_t n_values, char **out) {
  sky_text t = {.ctx = ctx};
  for (;;) {
    const char *open = strchr(at, '@');
    const char *close = open == NULL ? NULL : strchr(open + 1, '@');
    if (close == NULL) break;
    sky_text_add(&t, at, (size_t)(open - at));
    const size_t length = (size_t)(close - open - 1);
    if (!put_value(&t, open + 1, length, values, n_values)) {
      sky_text_free(&t);
      return sky_fail(ctx, SKY_E_INTERNAL, "%s: no value for '%.*s'", name, (int)length, open + 1);
    }
    at = close + 1;
  }
  sky_text_put(&t, at);
  *out = sky_text_take(&t);
  return *out == NULL ? SKY_E_NOMEM : SKY_OK;
}

static sky_status run_ncgen(sky_context *ctx, const char *cdl, const char *nc) {
  char *argv[] = {"ncgen", "-4", "-o", (char *)nc, (char *)cdl, NULL};
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, "ncgen", NULL, NULL, argv, environ);
  if (failed != 0) {
    return sky_fail(ctx, SKY_E_MISSING,
                    "ncgen: %s; scenes are made with it (Debian package netcdf-bin)",
                    strerror(failed));
  }
  int state = 0;
  while (waitpid(pid, &state, 0) < 0) {
    if (errno != EINTR) return sky_fail(ctx, SKY_E_INTERNAL, "ncgen: %s", strerror(errno));
  }
  if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
    return sky_fail(ctx, SKY_E_DISK, "%s: ncgen could not write it (%s %d)", nc,
                    WIFEXITED(state) ? "exit code" : "signal",
                    WIFEXITED(state) ? WEXITSTATUS(state) : WTERMSIG(state));
  }
  return SKY_OK;
}

static sky_status find_template(sky_context *ctx, const char *name, const char **text) {
  *text = sky_embedded(name, NULL);
  return *text != NULL ? SKY_OK
                       : sky_fail(ctx, SKY_E_INTERNAL, "scene template '%s' is not embedded", name);
}

sky_status sky_synth_write_text(sky_context *ctx, const char *path, const char *template_name,
                                const sky_synth_value *values, size_t n_values) {
  const char *from;
  char *text = NULL;
  SKY_TRY(find_template(ctx, template_name, &from));
  SKY_TRY(fill(ctx, template_name, from, values, n_values, &text));
  const sky_status st = sky_file_write_text(ctx, path, text, strlen(text));
  sky_free(text);
  return st;
}

sky_status sky_synth_write_cdl(sky_context *ctx, const char *path, const char *name,
                               const char *template_text, const sky_synth_value *values,
                               size_t n_values, sky_synth_finish *finish) {
  char *text = NULL, *cdl = NULL, *part = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(part, sky_file_part(ctx, path));
  SKY_GO_ALLOC(cdl, sky_sprintf(ctx, "%s.cdl", part));
  SKY_GO(fill(ctx, name, template_text, values, n_values, &text));
  SKY_GO(sky_file_write_text(ctx, cdl, text, strlen(text)));
  SKY_GO(run_ncgen(ctx, cdl, part));
  if (strstr(template_text, " long_(") != NULL) {
    SKY_GO(sky_nc_rename(ctx, part, "long_", "long")); /* CDL takes long for a type */
  }
  if (finish != NULL) SKY_GO(finish(ctx, part));
  SKY_GO(sky_file_commit(ctx, path));
cleanup:
  if (cdl != NULL) (void)unlink(cdl);
  if (st != SKY_OK) sky_file_discard(path);
  sky_free(text);
  sky_free(cdl);
  sky_free(part);
  return st;
}

sky_status sky_synth_write_netcdf(sky_context *ctx, const char *path, const char *template_name,
                                  const sky_synth_value *values, size_t n_values) {
  const char *text;
  SKY_TRY(find_template(ctx, template_name, &text));
  return sky_synth_write_cdl(ctx, path, template_name, text, values, n_values, NULL);
}
