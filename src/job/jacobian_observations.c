/* jacobian_observations.c: see jacobian.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/column/ground_track.h"
#include "algorithms/column/super.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "grids/ellipsoid.h"
#include "src/job/background_offsets.h"
#include "src/job/jacobian.h"

/* How far a time lies outside the period of receptor r: -1 inside [start, end), else s >= 0. */
static double outside_period(const sky_footprints *f, size_t r, double time) {
  const double early = f->time[r] - time, late = time - (f->time[r] + f->period[r]);
  if (early > 0.0) return early;
  return late < 0.0 || (late == 0.0 && f->period[r] == 0.0) ? -1.0 : late;
}

/* Receptor of one sounding: one whose period holds the time before one that only comes near it,
 * then the nearest in space, then the first. */
static size_t match(const sky_jacobian *j, double time, double lon, double lat) {
  const sky_footprints *f = &j->native;
  size_t best = SIZE_MAX;
  double best_outside = INFINITY, best_distance = INFINITY;
  for (size_t r = 0; r < f->n_receptors; r++) {
    const double outside = outside_period(f, r, time);
    if (outside > best_outside || (outside >= 0.0 && !(j->max_time[r] > 0.0)) ||
        outside > j->max_time[r])
      continue;
    const double d = sky_distance(lon, lat, f->lon[r], f->lat[r]);
    if (!(d <= j->max_distance[r])) continue; /* also a receptor without position */
    if (outside == best_outside && d >= best_distance) continue;
    best = r;
    best_outside = outside;
    best_distance = d;
  }
  return best;
}

static sky_status alloc_observations(sky_context *ctx, sky_jacobian *j, size_t n) {
  double **arrays[] = {&j->observed, &j->r_sd,       &j->baseline, &j->fixed, &j->y,  &j->time,
                       &j->count,    &j->prior_part, &j->unseen,   &j->lon,   &j->lat};
  j->receptor = SKY_NEW(ctx, size_t, n);
  j->group = SKY_NEW0(ctx, int32_t, n);
  j->sensor = SKY_NEW0(ctx, int32_t, n);
  j->overpass = SKY_NEW0(ctx, int32_t, n);
  if (sky_background_of_soundings(j->inversion) && (j->own_sd = SKY_NEW0(ctx, double, n)) == NULL)
    return SKY_E_NOMEM;
  if (j->receptor == NULL || j->group == NULL || j->sensor == NULL || j->overpass == NULL)
    return SKY_E_NOMEM;
  for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
    if ((*arrays[k] = SKY_NEW0(ctx, double, n)) == NULL) return SKY_E_NOMEM;
  return SKY_OK;
}

/* --- sensors and regressors ---------------------------------------------------------------------
 */

static const sky_node *sensor_of(const sky_jacobian *j, const char *product) {
  const sky_node *list = sky_node_get(j->inversion, "error.sensors");
  for (size_t i = 0; i < sky_node_count(list); i++)
    if (strcmp(sky_node_text(sky_node_item(list, i), "product"), product) == 0)
      return sky_node_item(list, i);
  return NULL;
}

/* One column over the observations; regressor and sd grow with it. */
static sky_status add_regressor(sky_context *ctx, sky_jacobian *j, double sd, double **column) {
  const size_t k = j->n_regressor, n = j->n_obs;
  double *grown = sky_realloc(ctx, j->regressor, k * n, (k + 1) * n, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  j->regressor = grown;
  grown = sky_realloc(ctx, j->regressor_sd, k, k + 1, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  j->regressor_sd = grown;
  j->regressor_sd[k] = sd;
  j->n_regressor = k + 1;
  *column = j->regressor + k * n;
  return SKY_OK;
}

/* The mean of a column over each observation's soundings, centred and divided by its spread, so
 * that its unit does not matter. A sounding without the value does not count; an observation
 * without any is taken at the mean, and that is said. */
static sky_status column_regressor(sky_context *ctx, const sky_soundings *s, const size_t *of,
                                   const sky_node *item, sky_facts *facts, sky_jacobian *j) {
  const char *name = sky_node_text(item, "column"), *formula = sky_species_find(s->gas)->formula;
  const double *value = strcmp(name, "albedo") == 0    ? s->albedo
                        : strcmp(name, "airmass") == 0 ? s->airmass
                                                       : s->aerosol;
  double *sum = NULL, *count = NULL, *column, mean = 0, var = 0;
  size_t known = 0;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(sum, SKY_NEW0(ctx, double, j->n_obs));
  SKY_GO_ALLOC(count, SKY_NEW0(ctx, double, j->n_obs));
  for (size_t i = 0; value != NULL && i < s->n; i++) {
    if (of[i] == SIZE_MAX || isnan(value[i])) continue;
    sum[of[i]] += value[i];
    count[of[i]]++;
  }
  for (size_t i = 0; i < j->n_obs; i++) {
    if (count[i] == 0) continue;
    sum[i] /= count[i];
    mean += sum[i];
    known++;
  }
  mean /= (double)known;
  for (size_t i = 0; i < j->n_obs; i++)
    if (count[i] > 0) var += (sum[i] - mean) * (sum[i] - mean);
  const double spread = sqrt(var / (double)known);
  if (known == 0 || !(spread > 0)) {
    st = sky_fail(ctx, SKY_E_NODATA,
                  "inversions.regressors.column: '%s': %s in the soundings of %s that are used",
                  name, known == 0 ? "has no value" : "has one value only", s->gas);
    goto cleanup;
  }
  SKY_GO(add_regressor(ctx, j, sky_node_number(item, "sd"), &column));
  for (size_t i = 0; i < j->n_obs; i++)
    column[i] = count[i] > 0 ? (sum[i] - mean) / spread : 0;
  sky_fact(
      facts, "inputs", formula,
      "retrieval bias along %s (mean %.4g, spread %.4g) is solved for; %zu of %zu observations "
      "have no value and are taken at the mean",
      name, mean, spread, j->n_obs - known, j->n_obs);
cleanup:
  sky_free(sum);
  sky_free(count);
  return st;
}

static sky_status sensor_offsets(sky_context *ctx, const char *formula, sky_facts *facts,
                                 sky_jacobian *j) {
  for (size_t k = 0; k < j->n_sensor; k++) {
    const sky_node *item = sensor_of(j, j->sensor_name[k]);
    const double sd = item != NULL ? sky_node_number(item, "offset_sd") : 0;
    double *column;
    size_t n = 0;
    for (size_t i = 0; i < j->n_obs; i++)
      n += j->sensor[i] == (int32_t)k;
    if (j->n_sensor > 1 || item != NULL)
      sky_fact(facts, "inputs", formula, "%s: %zu super-observations%s", j->sensor_name[k], n,
               sd > 0 ? ", with a bias of their own that is solved for" : "");
    if (!(sd > 0)) continue;
    SKY_TRY(add_regressor(ctx, j, sd, &column));
    for (size_t i = 0; i < j->n_obs; i++)
      column[i] = j->sensor[i] == (int32_t)k;
  }
  return SKY_OK;
}

/* Regressors of the job in its order, then the offsets of the sensors. of: observation of every
 * sounding, SIZE_MAX for none. */
static sky_status set_regressors(sky_context *ctx, const sky_soundings *s, const size_t *of,
                                 sky_facts *facts, sky_jacobian *j) {
  const sky_node *list = sky_node_get(j->inversion, "regressors");
  const sky_node *sensors = sky_node_get(j->inversion, "error.sensors");
  for (size_t i = 0; i < sky_node_count(list); i++)
    SKY_TRY(column_regressor(ctx, s, of, sky_node_item(list, i), facts, j));
  SKY_TRY(sensor_offsets(ctx, sky_species_find(s->gas)->formula, facts, j));
  for (size_t i = 0; i < sky_node_count(sensors); i++) {
    const char *product = sky_node_text(sky_node_item(sensors, i), "product");
    bool used = false;
    for (size_t k = 0; k < j->n_sensor; k++)
      used |= strcmp(j->sensor_name[k], product) == 0;
    if (!used)
      sky_fact(facts, "warnings", sky_species_find(s->gas)->formula,
               "error.sensors: no observation is of product '%s'", product);
  }
  return SKY_OK;
}

/* --- super-observations -------------------------------------------------------------------------
 */

/* Soundings of one receptor and product -> observation i. scratch [3*n]: their errors, places. */
static void superobserve(sky_jacobian *j, size_t i, const sky_soundings *s, const char *product,
                         const size_t *member, size_t n, double *scratch) {
  const sky_node *sensor = sensor_of(j, product);
  const double correlation = sky_node_number(j->inversion, "error.correlation");
  const double representation = sky_node_number(j->inversion, "error.representation");
  const double least = sky_node_number(j->inversion, "error.floor");
  const double mean = sky_node_number(j->inversion, "background.mean");
  const double own = sensor != NULL ? sky_node_number(sensor, "scale") : NAN;
  const double scale = isnan(own) ? sky_node_number(j->inversion, "error.scale") : own;
  double *sigma = scratch, *lon = scratch + n, *lat = scratch + 2 * n;
  double x = 0.0, prior = 0.0, t = 0.0;
  for (size_t k = 0; k < n; k++) {
    x += s->x[member[k]];
    prior += s->prior[member[k]];
    t += s->time[member[k]] - s->time[member[0]];
    sigma[k] = scale * s->sigma[member[k]];
    lon[k] = s->lon[member[k]];
    lat[k] = s->lat[member[k]];
  }
  j->observed[i] = x / (double)n;
  j->baseline[i] = isnan(mean) ? prior / (double)n : mean;
  if (j->own_sd != NULL) j->baseline[i] = sky_background_mean(s, member, n, &j->own_sd[i]);
  j->time[i] = s->time[member[0]] + t / (double)n;
  j->count[i] = (double)n;
  sky_mean_place(n, lon, lat, &j->lon[i], &j->lat[i]);
  j->r_sd[i] = fmax(least, sky_superobs_sigma(n, sigma, correlation, representation));
}

static sky_status check_observation(sky_context *ctx, const sky_soundings *s, const char *product,
                                    const double *sigma, size_t n) {
  for (size_t k = 0; k < n; k++)
    if (!(sigma[k] >= 0))
      return sky_fail(ctx, SKY_E_RANGE,
                      "%s: soundings of product %s state no uncertainty, which an inversion needs",
                      s->gas, product);
  return SKY_OK;
}

static size_t without_position(const sky_footprints *f) {
  size_t n = 0;
  for (size_t r = 0; r < f->n_receptors; r++)
    n += isnan(f->lon[r]) || isnan(f->lat[r]);
  return n;
}

/* The products of the soundings that matched, in the order of their granules. */
static sky_status list_sensors(sky_context *ctx, const sky_soundings *s, const size_t *receptor,
                               int32_t *sensor, sky_jacobian *j) {
  j->sensor_name = sky_calloc(ctx, s->n_granules, sizeof *j->sensor_name);
  if (j->sensor_name == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < s->n; i++) {
    sensor[i] = -1;
    if (receptor[i] == SIZE_MAX) continue;
    const char *product = s->granule_product[s->granule[i]];
    size_t k = 0;
    while (k < j->n_sensor && strcmp(j->sensor_name[k], product) != 0)
      k++;
    if (k == j->n_sensor) j->sensor_name[j->n_sensor++] = product;
    sensor[i] = (int32_t)k;
  }
  return SKY_OK;
}

/* of [soundings]: the receptor of each on entry, its observation at the end. */
static sky_status superobserve_all(sky_context *ctx, const sky_soundings *s, size_t *of,
                                   sky_jacobian *j) {
  size_t *member = NULL, *receptor = NULL;
  int32_t *sensor = NULL;
  double *scratch = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(member, SKY_NEW(ctx, size_t, s->n));
  SKY_GO_ALLOC(receptor, SKY_NEW(ctx, size_t, s->n));
  SKY_GO_ALLOC(sensor, SKY_NEW(ctx, int32_t, s->n));
  SKY_GO_ALLOC(scratch, SKY_NEW(ctx, double, 3 * s->n));
  memcpy(receptor, of, s->n * sizeof *of);
  SKY_GO(list_sensors(ctx, s, receptor, sensor, j));
  SKY_GO(alloc_observations(ctx, j, j->native.n_receptors * (j->n_sensor > 0 ? j->n_sensor : 1)));
  for (size_t r = 0; r < j->native.n_receptors; r++)
    for (size_t k = 0; k < j->n_sensor; k++) {
      size_t n = 0;
      for (size_t i = 0; i < s->n; i++)
        if (receptor[i] == r && sensor[i] == (int32_t)k) {
          member[n++] = i;
          of[i] = j->n_obs;
        }
      if (n == 0) continue;
      j->receptor[j->n_obs] = r;
      j->sensor[j->n_obs] = (int32_t)k;
      superobserve(j, j->n_obs, s, j->sensor_name[k], member, n, scratch);
      SKY_GO(check_observation(ctx, s, j->sensor_name[k], scratch, n));
      j->n_obs++;
    }
cleanup:
  sky_free(member);
  sky_free(receptor);
  sky_free(sensor);
  sky_free(scratch);
  return st;
}

/* Soundings without a background are left out where it is asked for: of them, the receptor of each.
 * *without: how many. */
static sky_status own_background(sky_context *ctx, const sky_soundings *s, size_t *of,
                                 sky_jacobian *j, size_t *without) {
  if (!sky_background_of_soundings(j->inversion)) return SKY_OK;
  if (s->background == NULL)
    return sky_fail(ctx, SKY_E_FORMAT,
                    "%s: soundings have no background, which background.mean: soundings takes",
                    s->gas);
  for (size_t i = 0; i < s->n; i++) {
    if (of[i] == SIZE_MAX || s->background_sigma[i] >= 0) continue;
    of[i] = SIZE_MAX;
    ++*without;
  }
  return SKY_OK;
}

static size_t receptors_used(const sky_jacobian *j) {
  size_t n = 0;
  for (size_t i = 0; i < j->n_obs; i++) /* observations of one receptor stand together */
    n += i == 0 || j->receptor[i] != j->receptor[i - 1];
  return n;
}

sky_status sky_jacobian_observe(sky_context *ctx, const sky_soundings *s, sky_facts *facts,
                                sky_jacobian *j) {
  size_t *of = NULL, matched = 0, without = 0;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(of, SKY_NEW(ctx, size_t, s->n));
  for (size_t i = 0; i < s->n; i++)
    of[i] = s->drop[i] != SKY_DROP_NONE ? SIZE_MAX : match(j, s->time[i], s->lon[i], s->lat[i]);
  SKY_GO(own_background(ctx, s, of, j, &without));
  for (size_t i = 0; i < s->n; i++)
    matched += of[i] != SIZE_MAX;
  SKY_GO(superobserve_all(ctx, s, of, j));
  const size_t good = sky_soundings_good(s);
  if (without > 0)
    sky_fact(facts, "inputs", sky_species_find(s->gas)->formula,
             "%zu soundings that match a footprint have no background and are left out", without);
  if (j->n_obs == 0 && without > 0)
    SKY_GO(sky_fail(ctx, SKY_E_NODATA,
                    "%s: none of %zu soundings that match a footprint has a background, which "
                    "background.mean: soundings takes",
                    s->gas, without));
  if (j->n_obs == 0) {
    st = sky_fail(ctx, SKY_E_NODATA,
                  "%s: none of %zu good soundings lies within max_distance of one of %zu footprint "
                  "receptors (%zu of them without a position) and in its period",
                  s->gas, good, j->native.n_receptors, without_position(&j->native));
    goto cleanup;
  }
  sky_fact(facts, "inputs", sky_species_find(s->gas)->formula,
           "%zu of %zu soundings match a footprint and form %zu super-observations (%zu of %zu "
           "footprints unused); %zu soundings dropped: %s",
           matched, good, j->n_obs, j->native.n_receptors - receptors_used(j),
           j->native.n_receptors, good - matched, sky_drop_name(SKY_DROP_FOOTPRINT));
  sky_fact_number(facts, "soundings_matched", (double)matched);
  sky_fact_number(facts, "observations", (double)j->n_obs);
  SKY_GO(set_regressors(ctx, s, of, facts, j));
cleanup:
  sky_free(of);
  return st;
}

/* --- offsets in time ----------------------------------------------------------------------------
 */

sky_status sky_jacobian_background(sky_context *ctx, const char *gas, sky_facts *facts,
                                   sky_jacobian *j) {
  const sky_species *of = sky_species_find(gas);
  double least = INFINITY, most = 0.0;
  size_t n_overpass = 0;
  SKY_TRY(sky_background_offsets(ctx, j->inversion, j->n_obs, j->time, j->own_sd, j->group,
                                 &j->n_groups, &j->b_sd));
  SKY_TRY(sky_time_groups(ctx, "overpass", j->n_obs, j->time, j->overpass, &n_overpass));
  SKY_TRY(sky_jacobian_track(ctx, gas, n_overpass, facts, j));
  j->b0 = SKY_NEW0(ctx, double, j->n_groups);
  if (j->b0 == NULL) return SKY_E_NOMEM;
  for (size_t g = 0; g < j->n_groups; g++) {
    least = fmin(least, j->b_sd[g]);
    most = fmax(most, j->b_sd[g]);
  }
  if (j->own_sd == NULL) return SKY_OK;
  sky_fact(facts, "inputs", of->formula,
           "background of the soundings; its own uncertainty and background.sd make offsets of "
           "%.3g to %.3g %s (1-sigma) for %zu overpasses",
           least * of->column_scale, most * of->column_scale, of->column_unit, j->n_groups);
  return SKY_OK;
}
