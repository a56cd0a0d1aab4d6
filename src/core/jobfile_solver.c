/* jobfile_solver.c: what the keys of an inversion's solution must be to each other. */
#include <math.h>
#include <string.h>

#include "src/core/jobfile_rules.h"

#define WGS84 "EPSG:4326"

/* A fault of item[path], if the user gave it. */
static sky_status refuse(sky_faults *f, const sky_node *item, const char *path,
                         const char *message) {
  if (!sky_node_given(item, path)) return SKY_OK;
  return sky_fault_at(f, sky_node_get(item, path), "%s", message);
}

static sky_status whole(sky_faults *f, const sky_node *item, const char *path) {
  const double v = sky_node_number(item, path);
  if (isnan(v) || floor(v) == v) return SKY_OK;
  return sky_fault_at(f, sky_node_get(item, path), "%g is not a whole number", v);
}

/* The band needs a prior of bounded reach. */
static sky_status banded(sky_faults *f, const sky_node *item) {
  const sky_node *levels = sky_node_get(item, "levels");
  if (!is(item, "solver.method", "banded")) return SKY_OK;
  if (levels == NULL) return refuse(f, item, "solver.method", "banded needs levels");
  for (size_t k = 0; k < sky_node_count(levels); k++) {
    const sky_node *level = sky_node_item(levels, k);
    if (!is(level, "correlation", "spherical") && !is(level, "correlation", "gaspari-cohn"))
      SKY_TRY(sky_fault_at(f, sky_node_get(level, "correlation"),
                           "has no bounded support (expected spherical or gaspari-cohn with "
                           "solver.method banded)"));
  }
  return SKY_OK;
}

static sky_status methods(sky_faults *f, const sky_node *item) {
  const bool iterates = is(item, "solver.method", "auto") || is(item, "solver.method", "iterative");
  const bool drifts =
      is(item, "solver.method", "geostatistical") || is(item, "tune.method", "reml");
  if (!iterates) {
    static const char *const of_iteration[] = {"solver.tolerance", "solver.checkpoint",
                                               "solver.float32"};
    for (size_t k = 0; k < sizeof of_iteration / sizeof *of_iteration; k++)
      SKY_TRY(refuse(f, item, of_iteration[k], "has no effect unless method is iterative or auto"));
  }
  SKY_TRY(banded(f, item));
  if (!drifts)
    SKY_TRY(refuse(f, item, "solver.drift",
                   "has no effect unless method is geostatistical or tune.method reml"));
  if (sky_node_number(item, "error.along_track.share") == 1)
    SKY_TRY(refuse(f, item, "solver.huber",
                   "is on the part of an error that is not correlated (expected "
                   "error.along_track.share below 1)"));
  if (is(item, "solver.method", "geostatistical") && sky_node_get(item, "tune") != NULL &&
      !is(item, "tune.method", "reml"))
    SKY_TRY(sky_fault_at(f, sky_node_get(item, "tune"),
                         "needs method: reml, as geostatistical has no prior mean"));
  return SKY_OK;
}

/* Step by step in time: what has no such form is refused here, what only the data tell when
 * solving.
 */
static sky_status smoother(sky_faults *f, const sky_node *item) {
  static const char *const without[][2] = {
      {"sink", "has its own covariance, which the smoother does not take"},
      {"levels", "go with method exact, iterative, banded or geostatistical"},
      {"kernels", "the smoother has no averaging kernel"}};
  if (!is(item, "solver.method", "smoother"))
    return refuse(f, item, "solver.lag", "has no effect unless method is smoother");
  SKY_TRY(whole(f, item, "solver.lag"));
  for (size_t k = 0; k < sizeof without / sizeof *without; k++)
    SKY_TRY(refuse(f, item, without[k][0], without[k][1]));
  if (is(item, "time.correlation", "exponential")) return SKY_OK;
  return fault(f, item, "solver.method",
               "smoother needs time with correlation exponential, which is AR(1)");
}

static sky_status signs(sky_faults *f, const sky_node *item) {
  SKY_TRY(whole(f, item, "samples.draws"));
  SKY_TRY(whole(f, item, "samples.chains"));
  SKY_TRY(whole(f, item, "samples.seed"));
  if (is(item, "sign", "gaussian"))
    return refuse(f, item, "samples",
                  "has no effect with sign gaussian, whose posterior is exact (expected sign "
                  "nonnegative or lognormal)");
  if (sky_node_text(item, "sign") == NULL) return SKY_OK;
  if (!is(item, "solver.method", "auto") && !is(item, "solver.method", "exact"))
    SKY_TRY(refuse(f, item, "solver.method",
                   "is of sign gaussian alone (expected auto or exact with another sign)"));
  static const char *const gaussian[][2] = {
      {"sink", "an uptake is negative, so sign must be gaussian"},
      {"levels", "go with sign gaussian alone"},
      {"solver.huber", "goes with sign gaussian alone"},
      {"solver.tolerance", "has no effect unless sign is gaussian"},
      {"solver.checkpoint", "has no effect unless sign is gaussian"},
      {"solver.float32", "has no effect unless sign is gaussian"},
      {"kernels", "a posterior that is not Gaussian has no averaging kernel"}};
  for (size_t k = 0; k < sizeof gaussian / sizeof *gaussian; k++)
    SKY_TRY(refuse(f, item, gaussian[k][0], gaussian[k][1]));
  if (is(item, "sign", "lognormal") && sky_node_number(item, "floor") > 0)
    SKY_TRY(refuse(f, item, "floor", SKY_NO_FLOOR));
  return SKY_OK;
}

static sky_status tuning(sky_faults *f, const sky_node *item) {
  static const char *const names[] = {"length", "tau", "sigma_q", "sigma_r"};
  const sky_node *list = sky_node_get(item, "tune.parameters");
  unsigned seen = 0;
  SKY_TRY(whole(f, item, "tune.holdout"));
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *at = sky_node_item(list, i);
    const char *text = sky_node_text(at, NULL);
    size_t k = 0;
    while (k < 4 && text != NULL && strcmp(text, names[k]) != 0)
      k++;
    if (k == 4)
      SKY_TRY(sky_fault_at(f, at, "'%s' is not one of length, tau, sigma_q, sigma_r", text));
    else if (seen & 1u << k)
      SKY_TRY(sky_fault_at(f, at, "'%s' stands there twice", text));
    else if (k == 0 &&
             (sky_node_get(item, "length") == NULL || is(item, "tune.method", "desroziers")))
      SKY_TRY(
          sky_fault_at(f, at, "length needs a correlation, and a method other than desroziers"));
    else if (k == 1 &&
             (sky_node_get(item, "time.length") == NULL || is(item, "tune.method", "desroziers")))
      SKY_TRY(
          sky_fault_at(f, at, "tau needs time.correlation, and a method other than desroziers"));
    if (k < 4) seen |= 1u << k;
  }
  if (list != NULL && sky_node_get(item, "levels") != NULL)
    SKY_TRY(sky_fault_at(f, sky_node_get(item, "tune"), "has no place with levels"));
  return SKY_OK;
}

static sky_status levels(const sky_node *root, sky_faults *f, const sky_node *item) {
  const sky_node *list = sky_node_get(item, "levels");
  double sum = 0;
  if (list == NULL) return SKY_OK;
  SKY_TRY(refuse(f, item, "correlation", "has no effect with levels, which have their own"));
  SKY_TRY(refuse(f, item, "length", "has no effect with levels, which have their own"));
  if (sky_node_get(item, "sigma") == NULL)
    SKY_TRY(sky_fault_at(f, list, "need sigma, whose variance they share"));
  if (is(root, "grid.crs", WGS84) && sky_node_get(root, "grid.preset") == NULL)
    SKY_TRY(sky_fault_at(
        f, list, "need a projected grid (grid.crs is %s; expected e.g. EPSG:32650)", WGS84));
  for (size_t i = 0; i < sky_node_count(list); i++) {
    SKY_TRY(sky_rule_smoothness(root, f, sky_node_item(list, i), false));
    sum += sky_node_number(sky_node_item(list, i), "share");
  }
  if (isnan(sum) || fabs(sum - 1) <= 1e-9) return SKY_OK;
  return sky_fault_at(f, list, "shares add up to %g (expected 1)", sum);
}

static sky_status no_twins(sky_faults *f, const sky_node *list, const char *key) {
  for (size_t i = 1; i < sky_node_count(list); i++)
    for (size_t k = 0; k < i; k++) {
      const char *text = sky_node_text(sky_node_item(list, i), key);
      if (text == NULL || !is(sky_node_item(list, k), key, text)) continue;
      SKY_TRY(sky_fault_at(f, sky_node_get(sky_node_item(list, i), key), "'%s' stands there twice",
                           text));
    }
  return SKY_OK;
}

sky_status sky_rule_solvers(const sky_node *root, sky_faults *f) {
  const sky_node *list = sky_node_get(root, "inversions");
  for (size_t i = 0; i < sky_node_count(list); i++) {
    const sky_node *item = sky_node_item(list, i);
    SKY_TRY(methods(f, item));
    SKY_TRY(smoother(f, item));
    SKY_TRY(signs(f, item));
    SKY_TRY(tuning(f, item));
    SKY_TRY(levels(root, f, item));
    SKY_TRY(no_twins(f, sky_node_get(item, "error.sensors"), "product"));
    SKY_TRY(no_twins(f, sky_node_get(item, "regressors"), "column"));
  }
  return SKY_OK;
}
