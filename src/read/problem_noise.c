/* problem_noise.c: see problem_noise.h. */
#include "src/read/problem_noise.h"

#include <math.h>

#include "algorithms/inversion/noise.h"
#include "src/core/memory.h"
#include "src/read/problem_array.h"

static sky_status read_tracks(sky_context *ctx, sky_nc *f, const char *var, size_t n,
                              int32_t *out) {
  double *v = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_problem_vector(ctx, f, var, "obs", n, NULL, &v));
  for (size_t i = 0; i < n; i++) {
    if (!(v[i] >= 0 && v[i] < (double)n) || floor(v[i]) != v[i])
      SKY_GO(sky_fail(ctx, SKY_E_RANGE, "%s: %s[%zu]: %g (expected a whole number 0..%zu)",
                      sky_nc_path(f), var, i, v[i], n - 1));
    out[i] = (int32_t)v[i];
  }
cleanup:
  sky_free(v);
  return st;
}

/* Absent: *stated is false and *out stays. */
static sky_status read_attribute(sky_context *ctx, sky_nc *f, const char *name, bool *stated,
                                 double *out) {
  char *text = NULL;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", name, &text));
  *stated = text != NULL;
  sky_free(text);
  return *stated ? sky_problem_number(ctx, f, name, out) : SKY_OK;
}

sky_status sky_problem_read_noise(sky_context *ctx, sky_nc *f, sky_problem *p) {
  double length = NAN, share = 1, *along = NULL;
  int32_t *track = NULL;
  bool has_length, has_share;
  const bool has_places = sky_nc_has(f, "along_track");
  const char *groups = sky_nc_has(f, "track") ? "track" : "overpass";
  sky_status st = SKY_OK;
  SKY_TRY(read_attribute(ctx, f, "r_length", &has_length, &length));
  SKY_TRY(read_attribute(ctx, f, "r_share", &has_share, &share));
  if (!has_places && !has_length && !has_share) return SKY_OK;
  if (!has_places || !has_length || !sky_nc_has(f, groups))
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: %s is missing (errors correlated along a track need along_track(obs), "
                    "overpass(obs) or track(obs), and the attribute r_length)",
                    sky_nc_path(f),
                    !has_places   ? "along_track"
                    : !has_length ? "r_length"
                                  : "overpass");
  SKY_GO(sky_problem_vector(ctx, f, "along_track", "obs", p->n_obs, NULL, &along));
  SKY_GO_ALLOC(track, SKY_NEW(ctx, int32_t, p->n_obs));
  SKY_GO(read_tracks(ctx, f, groups, p->n_obs, track));
  st = sky_track_create(ctx, p->n_obs, track, along, length, share, &p->track);
  if (st != SKY_OK) st = sky_fail_in(ctx, st, "%s: ", sky_nc_path(f));
cleanup:
  sky_free(along);
  sky_free(track);
  return st;
}
