/* background_soundings.c: the background of one granule's soundings by what the granule itself
 * tells. */
#include <math.h>
#include <string.h>

#include "algorithms/column/background.h"
#include "algorithms/column/cubes.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/harmonise_part.h"
#include "src/read/boundary.h"
#include "src/read/wind.h"

#define LEAST_SOUNDINGS 10 /* of an overpass, for a percentile */

/* Most soundings have a place in a swath: then the swath is smoothed. */
static bool is_swath(const sky_soundings *s, const uint8_t *use) {
  size_t placed = 0, used = 0;
  bool across = false;
  for (size_t i = 0; i < s->n; ++i) {
    if (!use[i]) continue;
    ++used;
    placed += s->scanline[i] >= 0 && s->pixel[i] >= 0;
    across = across || s->pixel[i] > 0;
  }
  return across && 2 * placed > used;
}

/* --- boundary ----------------------------------------------------------------------------------
 */

#define SAME_RECEPTOR 5e4 /* m */
#define SAME_HOUR 3600.0  /* s */

/* The receptor nearest in place among those of the hour; SIZE_MAX if none is near. */
static size_t find_receptor(const sky_soundings *s, size_t i, const sky_curtains *exits) {
  const sky_vec3 own = sky_direction(s->lat[i], s->lon[i]);
  size_t best = SIZE_MAX;
  double nearest = SAME_RECEPTOR;
  for (size_t r = 0; r < exits->n; ++r) {
    const double d = sky_great_circle(own, sky_direction(exits->lat[r], exits->lon[r]));
    if (!(fabs(exits->time[r] - s->time[i]) <= SAME_HOUR) || !(d <= nearest)) continue;
    nearest = d;
    best = r;
  }
  return best;
}

/* The last step that begins before the time; the first one for earlier times. */
static size_t step_of(const sky_curtains *c, double time) {
  size_t at = 0;
  while (at + 1 < c->n && c->time[at + 1] <= time)
    ++at;
  return at;
}

static void see_boundary(sky_soundings *s, size_t i, size_t levels, double b, double error) {
  const size_t K = s->n_levels, first = i * K;
  double column = s->prior[i], weight = 0;
  for (size_t k = 0; k < K && (levels == 0 || k < levels); ++k) {
    const double w = s->weight[first + k] * s->ak[first + k];
    if (!(s->weight[first + k] != 0) || isnan(w)) continue;
    column += w * (b - s->profile[first + k]);
    weight += w;
  }
  s->background[i] = K > 0 ? column : b;
  s->background_sigma[i] = K > 0 ? fabs(weight) * error : error;
}

static sky_status use_footprints(sky_context *ctx, sky_soundings *s, const uint8_t *use,
                                 const sky_curtains *boundary, const char *path, double error) {
  sky_curtains exits = {0};
  double *vmr = NULL, *share = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_exits_read(ctx, path, &exits));
  const size_t size = sky_curtains_size(&exits);
  SKY_GO_ALLOC(vmr, SKY_NEW(ctx, double, size));
  SKY_GO_ALLOC(share, SKY_NEW(ctx, double, size));
  for (size_t i = 0; i < s->n; ++i) {
    const size_t r = use[i] && isnan(s->background[i]) ? find_receptor(s, i, &exits) : SIZE_MAX;
    if (r == SIZE_MAX) continue;
    SKY_GO(sky_boundary_at(ctx, boundary, step_of(boundary, s->time[i]), &exits, vmr));
    double *to = share, b, sigma, covered;
    for (int k = 0; k < SKY_SIDES; ++k) {
      const size_t n = exits.n_height * exits.n_along[k];
      memcpy(to, exits.value[k] + r * n, n * sizeof *to);
      to += n;
    }
    if (sky_background_curtain(size, share, vmr, error, &b, &sigma, &covered))
      see_boundary(s, i, exits.levels, b, sigma);
  }
cleanup:
  sky_free(vmr);
  sky_free(share);
  sky_curtains_free(&exits);
  return st;
}

static sky_status use_boundary(sky_context *ctx, sky_soundings *s, const uint8_t *use,
                               const char *folder, double error) {
  char *path = NULL, *names = NULL;
  size_t length = 0;
  sky_curtains boundary = {0};
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/sources", folder));
  SKY_GO(sky_file_read_text(ctx, path, &names, &length));
  SKY_GO(sky_boundary_read(ctx, names, &boundary));
  for (const char *at = names + strlen(names) + 1; at < names + length; at += strlen(at) + 1)
    SKY_GO(use_footprints(ctx, s, use, &boundary, at, error));
  size_t good = 0, without = 0;
  for (size_t i = 0; i < s->n; ++i) {
    good += use[i];
    without += use[i] && isnan(s->background[i]);
  }
  if (without > 0)
    sky_log(ctx, SKY_LOG_WARN,
            "%s: no receptor within %g km and %g h of %zu of %zu good soundings: no background",
            s->granules[0], SAME_RECEPTOR / 1e3, SAME_HOUR / 3600, without, good);
cleanup:
  sky_free(path);
  sky_free(names);
  sky_curtains_free(&boundary);
  return st;
}

/* --- upwind ------------------------------------------------------------------------------------
 */

/* Winds of a file at the good soundings; the others keep none. */
static sky_status read_winds(sky_context *ctx, const sky_soundings *s, const uint8_t *use,
                             const char *folder, double *east, double *north) {
  char *path = NULL, *name = NULL;
  size_t length = 0, good = 0, without = 0;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(path, sky_sprintf(ctx, "%s/sources", folder));
  SKY_GO(sky_file_read_text(ctx, path, &name, &length));
  SKY_GO(sky_wind_read(ctx, name, s->n, s->time, s->lon, s->lat, east, north));
  for (size_t i = 0; i < s->n; ++i) {
    good += use[i];
    without += use[i] && isnan(east[i]);
  }
  if (without > 0)
    sky_log(ctx, SKY_LOG_WARN, "%s: no wind in %s for %zu of %zu good soundings: no background",
            s->granules[0], sky_file_base(name), without, good);
cleanup:
  sky_free(path);
  sky_free(name);
  return st;
}

static sky_status use_upwind(sky_context *ctx, sky_soundings *s, const sky_clean_set *set,
                             const char *folder, bool of_file) {
  double *own[2] = {NULL, NULL};
  const double *east = s->wind_east, *north = s->wind_north;
  sky_status st = SKY_OK;
  if (!of_file && east == NULL)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "product %s carries no wind: no upwind sector can be told; a file of winds "
                    "(--wind, soundings[].wind) tells it",
                    s->granule_product[0]);
  if (of_file) {
    SKY_GO_ALLOC(own[0], SKY_NEW(ctx, double, s->n));
    SKY_GO_ALLOC(own[1], SKY_NEW(ctx, double, s->n));
    SKY_GO(read_winds(ctx, s, set->use, folder, own[0], own[1]));
    east = own[0];
    north = own[1];
  }
  st = sky_background_upwind(ctx, set, east, north, &SKY_UPWIND_OPTIONS, s->background,
                             s->background_sigma);
cleanup:
  sky_free(own[0]);
  sky_free(own[1]);
  return st;
}

sky_status sky_background_soundings(sky_context *ctx, sky_soundings *s, const char *folder,
                                    const sky_background_choice *choice) {
  uint8_t *use = SKY_NEW(ctx, uint8_t, s->n);
  sky_status st = SKY_OK;
  if (use == NULL) return SKY_E_NOMEM;
  SKY_GO(sky_soundings_add(ctx, s, SKY_WITH_BACKGROUND));
  for (size_t i = 0; i < s->n; ++i)
    use[i] = s->drop[i] == SKY_DROP_NONE;
  const sky_clean_set set = {s->n,     s->time,       s->lat,        s->lon,      s->x,
                             s->sigma, s->corner_lat, s->corner_lon, s->overpass, use};
  if (choice->method == SKY_BACKGROUND_PERCENTILE) {
    SKY_GO(sky_background_overpass(ctx, &set, choice->percentile, LEAST_SOUNDINGS, s->background,
                                   s->background_sigma));
  } else if (choice->method == SKY_BACKGROUND_UPWIND) {
    SKY_GO(use_upwind(ctx, s, &set, folder, choice->wind));
  } else if (choice->method == SKY_BACKGROUND_SMOOTH) {
    const bool swath = is_swath(s, use);
    SKY_GO(sky_background_smooth(ctx, &set, swath ? s->scanline : NULL, swath ? s->pixel : NULL,
                                 &SKY_SMOOTH_OPTIONS, s->background, s->background_sigma));
  } else {
    SKY_GO(use_boundary(ctx, s, use, folder, choice->error));
  }
cleanup:
  sky_free(use);
  return st;
}
