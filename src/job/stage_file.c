/* stage_file.c: write and read the tables between stages. */
#include "src/job/stage_file.h"

#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/read/nc.h"
#include "src/write/nc_write.h"

static sky_status put_tags(sky_ncw *w, char *const *tags) {
  char name[64];
  for (size_t k = 0; tags != NULL && tags[k] != NULL; k++) {
    const char *value = strchr(tags[k], '=');
    snprintf(name, sizeof name, "%.*s", (int)(value - tags[k]), tags[k]);
    SKY_TRY(sky_ncw_att(w, "", name, value + 1));
  }
  return SKY_OK;
}

sky_status sky_stage_file_write(sky_context *ctx, const char *path, const sky_stage_dim *dims,
                                size_t n_dims, const sky_stage_var *vars, size_t n_vars,
                                const sky_stage_att *atts, size_t n_atts, char *const *tags) {
  sky_ncw *w = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_ncw_create(ctx, path, &w));
  for (size_t k = 0; k < n_dims; k++)
    SKY_GO(sky_ncw_dim(w, dims[k].name, dims[k].size));
  for (size_t k = 0; k < n_vars; k++) {
    SKY_GO(sky_ncw_var(w, vars[k].name,
                       vars[k].text != NULL    ? 's'
                       : vars[k].index != NULL ? 'i'
                                               : 'd',
                       vars[k].dims));
    if (vars[k].text == NULL) SKY_GO(sky_ncw_att(w, vars[k].name, "units", vars[k].unit));
  }
  for (size_t k = 0; k < n_atts; k++) {
    if (atts[k].text != NULL)
      SKY_GO(sky_ncw_att(w, "", atts[k].name, atts[k].text));
    else
      SKY_GO(sky_ncw_att_num(w, "", atts[k].name, atts[k].number));
  }
  SKY_GO(put_tags(w, tags));
  for (size_t k = 0; k < n_vars; k++) {
    if (vars[k].text != NULL)
      SKY_GO(sky_ncw_put_strings(w, vars[k].name, (const char *const *)vars[k].text));
    else if (vars[k].index != NULL)
      SKY_GO(sky_ncw_put_i32(w, vars[k].name, vars[k].index));
    else
      SKY_GO(sky_ncw_put(w, vars[k].name, vars[k].value));
  }
  return sky_ncw_commit(w);
cleanup:
  sky_ncw_abort(w);
  return st;
}

sky_status sky_stage_file_read(sky_context *ctx, const char *path, const char *var, size_t count,
                               double **out) {
  sky_nc *f = NULL;
  sky_nc_var info;
  sky_status st = SKY_OK;
  *out = NULL;
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(sky_nc_info(ctx, f, var, &info));
  if (count != SIZE_MAX && info.count != count) {
    st = sky_fail(ctx, SKY_E_FORMAT, "%s: %s: %zu values, expected %zu", path, var, info.count,
                  count);
    goto cleanup;
  }
  SKY_GO(sky_nc_read(ctx, f, var, &info, out));
cleanup:
  sky_nc_close(f);
  return st;
}

sky_status sky_stage_file_count(sky_context *ctx, const char *path, const char *var,
                                size_t *count) {
  sky_nc *f = NULL;
  sky_nc_var info;
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(sky_nc_info(ctx, f, var, &info));
  *count = info.count;
cleanup:
  sky_nc_close(f);
  return st;
}

sky_status sky_stage_file_has(sky_context *ctx, const char *path, const char *var, bool *has) {
  sky_nc *f = NULL;
  SKY_TRY(sky_nc_open(ctx, path, &f));
  *has = sky_nc_has(f, var);
  sky_nc_close(f);
  return SKY_OK;
}
