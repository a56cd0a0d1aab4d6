/* jobfile_sectors.c: what inversions[].sectors and .mixing must be to each other and to the keys
 * beside them. Whether the inventory has the names is seen where it is read. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/jobfile_rules.h"

#define MOST 16
#define ALL "all"
#define SEMIDEFINITE 1e-12 /* a pivot below 0 that is rounding */

static size_t index_of(const sky_node *list, const char *name) {
  size_t k = 0;
  while (k < sky_node_count(list) && !is(sky_node_item(list, k), "name", name))
    k++;
  return k;
}

static double length_of(const sky_node *item, const sky_node *sector) {
  const double own = sky_node_number(sector, "length");
  return isnan(own) ? sky_node_number(item, "length") : own;
}

/* ---- names ---------------------------------------------------------------------------------- */

/* Every name once, none that of the sum, and every name of the inventory in one sector. */
static sky_status names(sky_faults *f, const sky_node *list) {
  for (size_t l = 0; l < sky_node_count(list); l++) {
    const sky_node *sector = sky_node_item(list, l), *of = sky_node_get(sector, "of");
    const char *name = sky_node_text(sector, "name");
    if (is(sector, "name", ALL))
      SKY_TRY(sky_fault_at(f, sky_node_get(sector, "name"),
                           "'%s' names the sum of the sectors in the results", name));
    if (name != NULL && index_of(list, name) < l)
      SKY_TRY(sky_fault_at(f, sky_node_get(sector, "name"), "'%s' stands there twice", name));
    for (size_t k = 0; k < sky_node_count(of); k++) {
      const sky_node *at = sky_node_item(of, k);
      const char *text = sky_node_text(at, NULL);
      bool seen = false;
      for (size_t m = 0; m <= l && !seen; m++) {
        const sky_node *other = sky_node_get(sky_node_item(list, m), "of");
        for (size_t i = 0; i < (m == l ? k : sky_node_count(other)) && !seen; i++)
          seen = text != NULL && is(sky_node_item(other, i), NULL, text);
      }
      if (seen) SKY_TRY(sky_fault_at(f, at, "'%s' is in a sector already", text));
    }
  }
  return SKY_OK;
}

/* ---- statistics ----------------------------------------------------------------------------- */

static sky_status statistics(sky_faults *f, const sky_node *item, const sky_node *list) {
  const bool all = sky_node_get(item, "sigma") != NULL;
  const bool levels = sky_node_get(item, "levels") != NULL;
  const bool correlated =
      sky_node_text(item, "correlation") != NULL && !is(item, "correlation", "none");
  bool any = all;
  for (size_t l = 0; l < sky_node_count(list); l++)
    any |= sky_node_get(sky_node_item(list, l), "sigma") != NULL;
  for (size_t l = 0; l < sky_node_count(list); l++) {
    const sky_node *sector = sky_node_item(list, l);
    if (any && !all && sky_node_get(sector, "sigma") == NULL)
      SKY_TRY(fault(f, sector, "sigma",
                    "required, as other sectors have it and the inversion does not"));
    if (sky_node_get(sector, "length") != NULL && levels)
      SKY_TRY(fault(f, sector, "length", "has no effect with levels, which have their own"));
    else if (sky_node_get(sector, "length") != NULL && !correlated)
      SKY_TRY(fault(f, sector, "length", "has no effect without inversions[].correlation"));
    if (!any && sky_node_get(sector, "floor") != NULL)
      SKY_TRY(fault(f, sector, "floor", "has no effect without sigma"));
    if (is(item, "sign", "lognormal") && sky_node_number(sector, "floor") > 0)
      SKY_TRY(fault(f, sector, "floor", SKY_NO_FLOOR));
  }
  if (any && !all && sky_node_get(item, "sink") != NULL)
    SKY_TRY(fault(f, item, "sink",
                  "needs the layers' own covariance, so sigma must be left out of sectors, too"));
  return SKY_OK;
}

/* ---- mixing --------------------------------------------------------------------------------- */

/* Cholesky of a matrix that may be singular: a pivot below 0, or one of 0 with something left in
 * its column, is none. Returns the first such sector, or n; *pivot: its value. */
static size_t failing_pivot(size_t n, double *M, double *pivot) {
  for (size_t k = 0; k < n; k++) {
    *pivot = M[k * n + k];
    double beside = 0;
    for (size_t i = k + 1; i < n; i++)
      beside = fmax(beside, fabs(M[i * n + k]));
    if (*pivot < -SEMIDEFINITE || (*pivot <= SEMIDEFINITE && beside > sqrt(SEMIDEFINITE))) return k;
    for (size_t i = k + 1; i<n && * pivot> SEMIDEFINITE; i++)
      for (size_t j = k + 1; j < n; j++)
        M[i * n + j] -= M[i * n + k] * M[k * n + j] / *pivot;
  }
  return n;
}

/* One pair of mixing -> M, which holds NaN where no pair stood yet; both are told apart, known, and
 * of one length. */
static sky_status mix_pair(sky_faults *f, const sky_node *item, const sky_node *list,
                           const sky_node *pair, double *M, bool *usable) {
  const sky_node *both = sky_node_get(pair, "sectors");
  const size_t n = sky_node_count(list);
  const double value = sky_node_number(pair, "correlation");
  size_t at[2];
  *usable &= sky_node_count(both) == 2 && !isnan(value);
  if (sky_node_count(both) != 2) return SKY_OK; /* said by the schema */
  for (size_t i = 0; i < 2; i++) {
    const char *name = sky_node_text(sky_node_item(both, i), NULL);
    at[i] = name == NULL ? n : index_of(list, name);
    if (at[i] < n) continue;
    *usable = false;
    SKY_TRY(sky_fault_at(f, sky_node_item(both, i), "'%s' is no sector of the inversion",
                         name != NULL ? name : ""));
  }
  if (at[0] >= n || at[1] >= n) return SKY_OK;
  if (at[0] == at[1] || !isnan(M[at[0] * n + at[1]])) {
    *usable = false;
    return sky_fault_at(
        f, both, "%s",
        at[0] == at[1] ? "a sector does not mix with itself" : "the pair stands there twice");
  }
  M[at[0] * n + at[1]] = M[at[1] * n + at[0]] = value;
  const double a = length_of(item, sky_node_item(list, at[0]));
  const double b = length_of(item, sky_node_item(list, at[1]));
  if (value == 0 || isnan(a) || isnan(b) || a == b) return SKY_OK;
  return sky_fault_at(f, both,
                      "have the lengths %g and %g m (expected one length of sectors that "
                      "mix)",
                      a, b);
}

static sky_status mixing(sky_faults *f, const sky_node *item, const sky_node *list) {
  const sky_node *mix = sky_node_get(item, "mixing");
  const size_t n = sky_node_count(list);
  double M[MOST * MOST], pivot = 0;
  bool usable = true, sigma = sky_node_get(item, "sigma") != NULL;
  if (mix == NULL) return SKY_OK;
  if (n == 0) return fault(f, item, "mixing", "has no effect without sectors");
  for (size_t l = 0; l < n; l++)
    sigma |= sky_node_get(sky_node_item(list, l), "sigma") != NULL;
  if (!sigma)
    return fault(f, item, "mixing",
                 "needs sigma: the prior's own covariance says how its sectors go together");
  for (size_t i = 0; i < n * n; i++)
    M[i] = NAN;
  for (size_t k = 0; k < sky_node_count(mix); k++)
    SKY_TRY(mix_pair(f, item, list, sky_node_item(mix, k), M, &usable));
  for (size_t i = 0; i < n * n; i++)
    if (isnan(M[i])) M[i] = i % (n + 1) == 0; /* sectors that no pair names are independent */
  const size_t fails = usable ? failing_pivot(n, M, &pivot) : n;
  if (fails == n) return SKY_OK;
  return sky_fault_at(f, mix,
                      "is no correlation matrix: the pivot of sector '%s' is %.3g (expected a "
                      "positive semi-definite matrix)",
                      sky_node_text(sky_node_item(list, fails), "name"), pivot);
}

sky_status sky_rule_sectors(const sky_node *root, sky_faults *f) {
  const sky_node *inversions = sky_node_get(root, "inversions");
  for (size_t i = 0; i < sky_node_count(inversions); i++) {
    const sky_node *item = sky_node_item(inversions, i), *list = sky_node_get(item, "sectors");
    SKY_TRY(names(f, list));
    SKY_TRY(statistics(f, item, list));
    SKY_TRY(mixing(f, item, list));
  }
  return SKY_OK;
}
