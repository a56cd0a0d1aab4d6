/* background_offsets.c: see background_offsets.h. */
#include "src/job/background_offsets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"

#define DAY 86400.0
#define OVERPASS_GAP 1800.0 /* s without observation that starts a new overpass */

bool sky_background_of_soundings(const sky_node *inversion) {
  const char *mean = sky_node_text(inversion, "background.mean");
  return mean != NULL && strcmp(mean, "soundings") == 0;
}

double sky_background_mean(const sky_soundings *s, const size_t *member, size_t n, double *sigma) {
  double sum = 0.0, variance = 0.0;
  for (size_t k = 0; k < n; k++) {
    sum += s->background[member[k]];
    variance += s->background_sigma[member[k]] * s->background_sigma[member[k]];
  }
  *sigma = sqrt(variance / (double)n);
  return sum / (double)n;
}

/* Receptors come in time order per file, so groups are found on sorted times. */
static int by_time(const void *a, const void *b, void *user) {
  const double *time = user;
  const size_t i = *(const size_t *)a, k = *(const size_t *)b;
  if (time[i] != time[k]) return time[i] < time[k] ? -1 : 1;
  return i < k ? -1 : i > k;
}

static bool starts_group(const char *per, double now, double before) {
  return (strcmp(per, "day") == 0 && floor(now / DAY) != floor(before / DAY)) ||
         (strcmp(per, "overpass") == 0 && now - before > OVERPASS_GAP);
}

/* Mean of what the observations of each group have, with sd². */
static sky_status offset_sd(sky_context *ctx, size_t n, const int32_t *group, const double *own,
                            double sd, size_t n_groups, double **out) {
  double *of = *out = SKY_NEW0(ctx, double, n_groups), *count = SKY_NEW0(ctx, double, n_groups);
  const bool good = of != NULL && count != NULL;
  for (size_t i = 0; i < n && good; i++) {
    of[group[i]] += own != NULL ? own[i] * own[i] : 0.0;
    count[group[i]] += 1.0;
  }
  for (size_t g = 0; g < n_groups && good; g++)
    of[g] = own != NULL ? sqrt(sd * sd + of[g] / count[g]) : sd;
  sky_free(count);
  return good ? SKY_OK : SKY_E_NOMEM;
}

sky_status sky_time_groups(sky_context *ctx, const char *per, size_t n, double *time,
                           int32_t *group, size_t *n_groups) {
  size_t *order = SKY_NEW(ctx, size_t, n);
  *n_groups = 0;
  if (order == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    order[i] = i;
  qsort_r(order, n, sizeof *order, by_time, time);
  for (size_t k = 0; k < n; k++) {
    *n_groups += k == 0 || starts_group(per, time[order[k]], time[order[k - 1]]);
    group[order[k]] = (int32_t)*n_groups - 1;
  }
  sky_free(order);
  return SKY_OK;
}

sky_status sky_background_offsets(sky_context *ctx, const sky_node *inversion, size_t n,
                                  double *time, const double *own, int32_t *group, size_t *n_groups,
                                  double **sd) {
  *sd = NULL;
  SKY_TRY(
      sky_time_groups(ctx, sky_node_text(inversion, "background.per"), n, time, group, n_groups));
  return offset_sd(ctx, n, group, own, sky_node_number(inversion, "background.sd"), *n_groups, sd);
}
