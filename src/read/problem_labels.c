/* problem_labels.c: see problem_labels.h. */
#include "src/read/problem_labels.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/read/problem_array.h"

/* Whole numbers from 0; *n: the largest + 1. */
static sky_status read_label(sky_context *ctx, sky_nc *f, const sky_problem *p, const char *var,
                             const char *dim, size_t count, size_t *n, int32_t **out) {
  const sky_axis axis = {dim, count};
  double *v = NULL;
  sky_status st = SKY_OK;
  if (!sky_nc_has(f, var)) return SKY_OK;
  SKY_GO(sky_problem_array(ctx, f, p, var, 1, &axis, NULL, &v));
  SKY_GO_ALLOC(*out, SKY_NEW(ctx, int32_t, count));
  for (size_t i = 0; i < count; i++) {
    if (!(v[i] >= 0 && v[i] < (double)count) || floor(v[i]) != v[i]) {
      st = sky_fail(ctx, SKY_E_RANGE, "%s: %s[%zu]: %g (expected a whole number 0..%zu)",
                    sky_nc_path(f), var, i, v[i], count - 1);
      goto cleanup;
    }
    (*out)[i] = (int32_t)v[i];
    if ((size_t)v[i] >= *n) *n = (size_t)v[i] + 1;
  }
cleanup:
  sky_free(v);
  return st;
}

static sky_status read_shape(sky_context *ctx, sky_nc *f, const sky_problem *p,
                             sky_problem_labels *l) {
  char *text = NULL;
  double nx, ny;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", "nx", &text));
  const bool stated = text != NULL;
  sky_free(text);
  if (!stated) return SKY_OK;
  SKY_TRY(sky_problem_number(ctx, f, "nx", &nx));
  SKY_TRY(sky_problem_number(ctx, f, "ny", &ny));
  if (!(nx >= 1 && ny >= 1) || nx * ny != (double)p->n_cell || floor(nx) != nx || floor(ny) != ny)
    return sky_fail(ctx, SKY_E_RANGE, "%s: nx, ny: %g x %g are not the %zu cells", sky_nc_path(f),
                    nx, ny, p->n_cell);
  l->nx = (size_t)nx;
  l->ny = (size_t)ny;
  return SKY_OK;
}

sky_status sky_problem_labels_read(sky_context *ctx, const char *path, const sky_problem *p,
                                   sky_problem_labels *out) {
  sky_nc *f = NULL;
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_nc_open(ctx, path, &f));
  SKY_GO(read_label(ctx, f, p, "overpass", "obs", p->n_obs, &out->n_overpass, &out->overpass));
  SKY_GO(read_label(ctx, f, p, "sensor", "obs", p->n_obs, &out->n_sensor, &out->sensor));
  SKY_GO(read_label(ctx, f, p, "sector", "state", p->n_state, &out->n_sector, &out->sector));
  if (sky_nc_has(f, "drift")) {
    const sky_axis axis[] = {{"drift", SIZE_MAX}, {"state", p->n_state}};
    size_t length[2];
    SKY_GO(sky_problem_array(ctx, f, p, "drift", 2, axis, length, &out->drift));
    out->n_drift = length[0];
  }
  SKY_GO(read_shape(ctx, f, p, out));
cleanup:
  sky_nc_close(f);
  if (st != SKY_OK) sky_problem_labels_free(out);
  return st;
}

void sky_problem_labels_free(sky_problem_labels *l) {
  if (l == NULL) return;
  sky_free(l->overpass);
  sky_free(l->sensor);
  sky_free(l->sector);
  sky_free(l->drift);
  memset(l, 0, sizeof *l);
}
