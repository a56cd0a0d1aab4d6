/* jacobian_track.c: see jacobian.h. Where the super-observations of one overpass and product lie
 * along its track: km along the ground, or seconds, as the length of the job is stated. */
#include <math.h>
#include <stdio.h>

#include "algorithms/column/ground_track.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/job/jacobian.h"

#define KM 1e3 /* m */

typedef struct group { /* scratch of one overpass and product */
  size_t n, *member;
  double *lon, *lat, *time, *along;
} group;

static sky_status group_alloc(sky_context *ctx, size_t n, group *g) {
  g->member = SKY_NEW(ctx, size_t, n);
  g->lon = SKY_NEW(ctx, double, n);
  g->lat = SKY_NEW(ctx, double, n);
  g->time = SKY_NEW(ctx, double, n);
  g->along = SKY_NEW(ctx, double, n);
  return g->member != NULL && g->lon != NULL && g->lat != NULL && g->time != NULL &&
                 g->along != NULL
             ? SKY_OK
             : SKY_E_NOMEM;
}

static void group_free(group *g) {
  sky_free(g->member);
  sky_free(g->lon);
  sky_free(g->lat);
  sky_free(g->time);
  sky_free(g->along);
}

static void gather(const sky_jacobian *j, size_t overpass, size_t sensor, group *g) {
  g->n = 0;
  for (size_t i = 0; i < j->n_obs; i++) {
    if ((size_t)j->overpass[i] != overpass || (size_t)j->sensor[i] != sensor) continue;
    g->member[g->n] = i;
    g->lon[g->n] = j->lon[i];
    g->lat[g->n] = j->lat[i];
    g->time[g->n++] = j->time[i];
  }
}

static sky_status place(sky_context *ctx, const sky_jacobian *j, bool in_time, group *g) {
  if (!in_time && !sky_ground_track(g->n, g->lon, g->lat, g->time, g->along))
    return sky_fail(ctx, SKY_E_NODATA,
                    "inversions.error.along_track.length: the %zu super-observations of product %s "
                    "in overpass %d do not move with time, so they have no ground track (state the "
                    "length as a time, or leave along_track out)",
                    g->n, j->sensor_name[j->sensor[g->member[0]]], j->overpass[g->member[0]]);
  for (size_t k = 0; k < g->n; k++)
    j->along[g->member[k]] = in_time ? g->time[k] - g->time[0] : g->along[k] / KM;
  return SKY_OK;
}

/* Mean of exp(-gap/length) between neighbours: how much one tells of the next. */
static double neighbours(const sky_jacobian *j, double length) {
  double sum = 0;
  size_t n = 0;
  for (size_t i = 0; i < j->n_obs; i++) {
    double least = INFINITY;
    for (size_t k = 0; k < j->n_obs; k++)
      if (k != i && j->track[k] == j->track[i])
        least = fmin(least, fabs(j->along[i] - j->along[k]));
    if (isinf(least)) continue;
    sum += exp(-least / length);
    n++;
  }
  return n > 0 ? sum / (double)n : 0;
}

sky_status sky_jacobian_track(sky_context *ctx, const char *gas, size_t n_overpass,
                              sky_facts *facts, sky_jacobian *j) {
  const sky_node *stated = sky_node_get(j->inversion, "error.along_track");
  group g = {0};
  sky_status st = SKY_OK;
  if (stated == NULL) return SKY_OK;
  const bool in_time = sky_node_unit_is(stated, "length", "s");
  j->track_share = sky_node_number(stated, "share");
  j->track_length = sky_node_number(stated, "length") / (in_time ? 1 : KM);
  j->track_unit = in_time ? "s" : "km";
  SKY_GO(group_alloc(ctx, j->n_obs, &g));
  SKY_GO_ALLOC(j->track, SKY_NEW(ctx, int32_t, j->n_obs));
  SKY_GO_ALLOC(j->along, SKY_NEW(ctx, double, j->n_obs));
  int32_t n_track = 0;
  for (size_t o = 0; o < n_overpass; o++)
    for (size_t k = 0; k < j->n_sensor; k++) {
      gather(j, o, k, &g);
      if (g.n == 0) continue;
      SKY_GO(place(ctx, j, in_time, &g));
      for (size_t i = 0; i < g.n; i++)
        j->track[g.member[i]] = n_track;
      n_track++;
    }
  const double mean = j->track_share * neighbours(j, j->track_length);
  sky_fact(facts, "inputs", sky_species_find(gas)->formula,
           "errors correlated along %d track%s of an overpass and product: %.3g of the variance of "
           "a super-observation, falling by e in %.4g %s; %.2g between neighbours in the mean",
           n_track, n_track == 1 ? "" : "s", j->track_share, j->track_length, j->track_unit, mean);
  sky_fact_number(facts, "tracks", n_track);
  sky_fact_number(facts, "track_neighbour_correlation", mean);
cleanup:
  group_free(&g);
  return st;
}
