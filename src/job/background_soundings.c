/* background_soundings.c: the background of one granule's soundings by what the granule itself
 * tells. */
#include <string.h>

#include "algorithms/column/background.h"
#include "src/core/memory.h"
#include "src/job/harmonise_part.h"

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

sky_status sky_background_soundings(sky_context *ctx, sky_soundings *s,
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
    if (s->wind_east == NULL) {
      SKY_GO(sky_fail(ctx, SKY_E_FORMAT,
                      "%s: product %s carries no wind: no upwind sector can be told",
                      s->granules[0], s->granule_product[0]));
    }
    SKY_GO(sky_background_upwind(ctx, &set, s->wind_east, s->wind_north, &SKY_UPWIND_OPTIONS,
                                 s->background, s->background_sigma));
  } else if (choice->method == SKY_BACKGROUND_SMOOTH) {
    const bool swath = is_swath(s, use);
    SKY_GO(sky_background_smooth(ctx, &set, swath ? s->scanline : NULL, swath ? s->pixel : NULL,
                                 &SKY_SMOOTH_OPTIONS, s->background, s->background_sigma));
  }
cleanup:
  sky_free(use);
  return st;
}
