/* tensor.c: strata of a zone, and the transitions between two of their dates.
 *
 *     A[z][i][j] = Σ area of the strata of z with class i at one date and j at the next
 *
 * Sums are compensated and in the order of the sorted strata, so that they do not depend on the
 * order in which strata came. Invariant: Σ area + nodata = inside, for each zone, within 1e-12 of
 * it; `inside` is a sum of its own over the covered cells, blind to the classes. */
#include "algorithms/sink/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define AUDIT_TOLERANCE 1e-12

/* ---- strata --------------------------------------------------------------------------------- */

sky_status sky_strata_create(sky_context *ctx, size_t n_zone, size_t n_date, size_t n_class,
                             sky_strata *out) {
  sky_strata s = {.n_zone = n_zone, .n_date = n_date, .n_class = n_class};
  if (n_class == 0 || n_class >= SKY_TENSOR_NODATA)
    return sky_fail(ctx, SKY_E_RANGE, "%zu classes, expected 1 to %d", n_class,
                    SKY_TENSOR_NODATA - 1);
  if (n_date < 2 || n_date > SKY_TENSOR_DATES)
    return sky_fail(ctx, SKY_E_RANGE, "%zu dates, expected 2 to %d", n_date, SKY_TENSOR_DATES);
  s.nodata = SKY_NEW0(ctx, double, n_zone);
  s.inside = SKY_NEW0(ctx, double, n_zone);
  if (s.nodata == NULL || s.inside == NULL) {
    sky_strata_free(&s);
    return SKY_E_NOMEM;
  }
  *out = s;
  return SKY_OK;
}

void sky_strata_free(sky_strata *s) {
  if (s == NULL) return;
  sky_free(s->stratum);
  sky_free(s->place);
  sky_free(s->nodata);
  sky_free(s->inside);
  memset(s, 0, sizeof *s);
}

static sky_status find_place(sky_context *ctx, sky_strata *s, sky_place place, size_t *index) {
  size_t i = 0;
  while (i < s->n_place && (s->place[i].climate != place.climate || s->place[i].soil != place.soil))
    i++;
  *index = i;
  if (i < s->n_place) return SKY_OK;
  if (s->n_place == s->place_capacity) {
    const size_t grown = 2 * s->place_capacity + 16;
    sky_place *p = sky_realloc(ctx, s->place, s->n_place, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    s->place = p;
    s->place_capacity = grown;
  }
  s->place[s->n_place++] = place;
  return SKY_OK;
}

sky_status sky_strata_add(sky_context *ctx, sky_strata *s, size_t zone, sky_place place,
                          const uint16_t *cls, double area) {
  sky_stratum new = {.zone = zone, .area = area};
  bool classed = true;
  for (size_t d = 0; d < s->n_date; d++) {
    if (cls[d] >= s->n_class && cls[d] != SKY_TENSOR_NODATA)
      return sky_fail(ctx, SKY_E_INTERNAL, "a class index is not below %zu", s->n_class);
    classed = classed && cls[d] != SKY_TENSOR_NODATA;
    new.cls[d] = cls[d];
  }
  if (!classed) {
    s->nodata[zone] += area;
    return SKY_OK;
  }
  SKY_TRY(find_place(ctx, s, place, &new.place));
  if (s->n == s->capacity) {
    const size_t grown = 2 * s->capacity + 256;
    sky_stratum *p = sky_realloc(ctx, s->stratum, s->n, grown, sizeof *p);
    if (p == NULL) return SKY_E_NOMEM;
    s->stratum = p;
    s->capacity = grown;
  }
  s->stratum[s->n++] = new;
  return SKY_OK;
}

static int compare_kind(const sky_stratum *a, const sky_stratum *b) {
  if (a->zone != b->zone) return a->zone < b->zone ? -1 : 1;
  if (a->place != b->place) return a->place < b->place ? -1 : 1;
  for (size_t d = 0; d < SKY_TENSOR_DATES; d++)
    if (a->cls[d] != b->cls[d]) return a->cls[d] < b->cls[d] ? -1 : 1;
  return 0;
}

static int compare(const void *x, const void *y) {
  const sky_stratum *a = x, *b = y;
  const int kind = compare_kind(a, b);
  return kind != 0 ? kind : (a->area > b->area) - (a->area < b->area);
}

/* Places in the order of their codes, whatever was met first. */
static int compare_place(const void *x, const void *y) {
  const sky_place *a = x, *b = y;
  if (a->climate != b->climate) return a->climate < b->climate ? -1 : 1;
  return (a->soil > b->soil) - (a->soil < b->soil);
}

static sky_status sort_places(sky_context *ctx, sky_strata *s) {
  if (s->n_place < 2) return SKY_OK;
  sky_place *old = SKY_NEW(ctx, sky_place, s->n_place);
  size_t *to = SKY_NEW0(ctx, size_t, s->n_place);
  const bool good = old != NULL && to != NULL;
  if (good) {
    memcpy(old, s->place, s->n_place * sizeof *old);
    qsort(s->place, s->n_place, sizeof *s->place, compare_place);
    for (size_t i = 0; i < s->n_place; i++)
      while (compare_place(&s->place[to[i]], &old[i]) != 0)
        to[i]++;
    for (size_t k = 0; k < s->n; k++)
      s->stratum[k].place = to[s->stratum[k].place];
  }
  sky_free(old);
  sky_free(to);
  return good ? SKY_OK : SKY_E_NOMEM;
}

static void join_kinds(sky_strata *s) {
  size_t n = 0;
  for (size_t k = 0; k < s->n;) {
    sky_acc sum = {0, 0};
    const sky_stratum kind = s->stratum[k];
    for (; k < s->n && compare_kind(&kind, &s->stratum[k]) == 0; k++)
      sky_acc_add(&sum, s->stratum[k].area);
    s->stratum[n] = kind;
    s->stratum[n++].area = sky_acc_value(&sum);
  }
  s->n = n;
}

static sky_status audit(sky_context *ctx, sky_strata *s) {
  for (size_t z = 0, k = 0; z < s->n_zone; z++) {
    sky_acc sum = {s->nodata[z], 0};
    const size_t first = k;
    for (; k < s->n && s->stratum[k].zone == z; k++)
      sky_acc_add(&sum, s->stratum[k].area);
    const double left = s->inside[z] - sky_acc_value(&sum);
    sky_log(ctx, SKY_LOG_DEBUG,
            "zone %zu: %.9g m2 inside the maps, %.9g without a class, residual %.3g", z,
            s->inside[z], s->nodata[z], left);
    if (!(fabs(left) <= AUDIT_TOLERANCE * s->inside[z]))
      return sky_fail(ctx, SKY_E_MASS, "zone %zu: areas of the classes miss %.3g of %.9g m2", z,
                      left, s->inside[z]);
    if (k == first) s->nodata[z] = s->inside[z]; /* nothing has a class: to the last bit */
  }
  return SKY_OK;
}

sky_status sky_strata_finish(sky_context *ctx, sky_strata *s) {
  SKY_TRY(sort_places(ctx, s));
  if (s->n > 1) qsort(s->stratum, s->n, sizeof *s->stratum, compare);
  join_kinds(s);
  return audit(ctx, s);
}

/* ---- transitions ---------------------------------------------------------------------------- */

void sky_tensor_free(sky_tensor *t) {
  if (t == NULL) return;
  sky_free(t->area);
  sky_free(t->nodata);
  sky_free(t->inside);
  memset(t, 0, sizeof *t);
}

sky_status sky_tensor_make(sky_context *ctx, const sky_strata *s, const size_t *group, size_t which,
                           size_t date, sky_tensor *out) {
  sky_status st = SKY_OK;
  const size_t n = s->n_class, cells = s->n_zone * n * n;
  sky_tensor t = {.n_zone = s->n_zone, .n_class = n};
  sky_acc *sum = NULL;
  SKY_GO_ALLOC(t.area, SKY_NEW(ctx, double, cells));
  SKY_GO_ALLOC(t.nodata, SKY_NEW(ctx, double, s->n_zone));
  SKY_GO_ALLOC(t.inside, SKY_NEW(ctx, double, s->n_zone));
  SKY_GO_ALLOC(sum, SKY_NEW0(ctx, sky_acc, cells));
  for (size_t k = 0; k < s->n; k++) {
    const sky_stratum *a = &s->stratum[k];
    if (group == NULL || group[a->place] == which)
      sky_acc_add(&sum[(a->zone * n + a->cls[date]) * n + a->cls[date + 1]], a->area);
  }
  for (size_t k = 0; k < cells; k++)
    t.area[k] = sky_acc_value(&sum[k]);
  memcpy(t.nodata, s->nodata, s->n_zone * sizeof *t.nodata);
  memcpy(t.inside, s->inside, s->n_zone * sizeof *t.inside);
  *out = t;
  memset(&t, 0, sizeof t);
cleanup:
  sky_free(sum);
  sky_tensor_free(&t);
  return st;
}
