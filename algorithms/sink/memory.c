/* memory.c: see memory.h; equations in memory.md.
 *
 * A conversion between two dates happens at a time that is uniform between them. With
 * R(x) = min(x/D, 1) the answer to a conversion x years ago, what is expected of it at t is
 *
 *     r(t) = (1/T) ∫ R(t - s) ds over s from t_a to min(t, t_b) = (Q(t - t_a) - Q(t - min(t,
 * t_b)))/T Q(x) = x²/2D for x <= D, else D/2 + (x - D) */
#include "algorithms/sink/memory.h"

#include <math.h>

#define KG_M2 0.1          /* t ha-1 */
#define DEFAULT_YEARS 20.0 /* IPCC default time to a new equilibrium */

/* Integral of min(x/d, 1) from 0 to x. */
static double ramp(double x, double d) {
  if (!(x > 0)) return 0;
  return x <= d ? x * x / (2 * d) : d / 2 + (x - d);
}

/* Share that a conversion between a and b has done by t, if it takes d years. */
static double done(double t, double a, double b, double d) {
  return (ramp(t - a, d) - ramp(t - fmin(t, b), d)) / (b - a);
}

/* Share that has been converted. */
static double converted(double t, double a, double b) {
  return fmin(fmax((t - a) / (b - a), 0), 1);
}

typedef struct sum {
  const sky_memory *m;
  double scale, *part;
  double *const *grad;
} sum;

static void add(const sum *s, sky_memory_part part, size_t date, size_t cls,
                sky_sink_pool_kind kind, double weight) {
  const sky_sink_set *set = s->m->set[date];
  if (weight == 0) return;
  s->part[part] += sky_sink_pool_value(set, &set->cls[cls].pool[kind], weight * s->scale * KG_M2,
                                       s->grad != NULL ? s->grad[date] : NULL);
}

typedef struct weights { /* of a class's stock, growth, and dead organic matter */
  double stock, growth, dead;
} weights;

/* What land that came into a class between a and b has at t. A growing class gains g a year up to
 * its stock M; of E = min(g x, M) the derivatives to g and M are the weights, and since E is
 * homogeneous, E = g dE/dg + M dE/dM. full: M/g; NaN: the stock is there at once. */
static weights grown(double t, double a, double b, double full) {
  weights w = {converted(t, a, b), 0, done(t, a, b, DEFAULT_YEARS)};
  if (isnan(full)) return w;
  const double x[2] = {fmax(t - a, 0), fmax(t - fmin(t, b), 0)};
  double past[2], rising[2];
  for (int k = 0; k < 2; k++) {
    past[k] = fmax(x[k] - full, 0);
    rising[k] = fmin(x[k], full) * fmin(x[k], full) / 2;
  }
  w.stock = (past[0] - past[1]) / (b - a);
  w.growth = (rising[0] - rising[1]) / (b - a);
  return w;
}

static double years_to_stock(const sky_sink_set *set, size_t cls) {
  const sky_sink_pool *p = set->cls[cls].pool;
  const double stock = sky_sink_pool_value(set, &p[SKY_POOL_ABOVE], 1, NULL) +
                       sky_sink_pool_value(set, &p[SKY_POOL_BELOW], 1, NULL);
  const double growth = sky_sink_pool_value(set, &p[SKY_POOL_GROWTH_YOUNG], 1, NULL);
  return growth > 0 && stock > 0 ? stock / growth : NAN;
}

/* One class from date first to date last: its stock was there at the first date, or it came after
 * date first-1; it is lost at once when it goes. */
static weights run_at(const sky_memory *m, size_t first, size_t last, double full, double t) {
  const double *y = m->years;
  const double stay = last + 1 == m->n_date ? 1 : 1 - converted(t, y[last], y[last + 1]);
  if (first == 0) return (weights){stay, 0, stay};
  const weights w = grown(t, y[first - 1], y[first], full);
  return (weights){stay * w.stock, stay * w.growth, stay * w.dead};
}

static void add_run(const sum *s, size_t cls, size_t first, size_t last, double from, double to) {
  const double full = years_to_stock(s->m->set[first], cls);
  const weights a = run_at(s->m, first, last, full, from), b = run_at(s->m, first, last, full, to);
  add(s, SKY_MEMORY_BIOMASS, first, cls, SKY_POOL_GROWTH_YOUNG, b.growth - a.growth);
  add(s, SKY_MEMORY_BIOMASS, first, cls, SKY_POOL_ABOVE, b.stock - a.stock);
  add(s, SKY_MEMORY_BIOMASS, first, cls, SKY_POOL_BELOW, b.stock - a.stock);
  add(s, SKY_MEMORY_DEAD, first, cls, SKY_POOL_LITTER, b.dead - a.dead);
  add(s, SKY_MEMORY_DEAD, first, cls, SKY_POOL_DEAD_WOOD, b.dead - a.dead);
}

static bool has_soil(const sky_memory *m, size_t date, size_t cls) {
  return m->set[date]->cls[cls].pool[SKY_POOL_SOIL].n > 0;
}

/* Share of a change after `date` that is done between two times, `delay` years late. */
static double share(const sky_memory *m, size_t date, double from, double to, double delay) {
  const double a = m->years[date], b = m->years[date + 1];
  return done(to - delay, a, b, DEFAULT_YEARS) - done(from - delay, a, b, DEFAULT_YEARS);
}

/* Soil that becomes wetland again: REF × gains over 20 and another 20 years. */
static void add_rewetted(const sum *s, size_t date, size_t cls, double from, double to) {
  const sky_sink_set *set = s->m->set[date];
  const size_t ref = set->cls[cls].pool[SKY_POOL_SOIL].term[0].factor[0];
  const double weight = s->m->rewet[0] * share(s->m, date, from, to, 0) +
                        s->m->rewet[1] * share(s->m, date, from, to, DEFAULT_YEARS);
  s->part[SKY_MEMORY_SOIL] += weight * s->scale * KG_M2 * set->factor[ref].value;
  if (s->grad != NULL) s->grad[date][ref] += weight * s->scale * KG_M2;
}

/* Every change of class or management moves the soil towards its new stock over 20 years. */
static void add_soil(const sum *s, const uint16_t *cls, size_t date, double from, double to) {
  const sky_memory *m = s->m;
  const size_t i = cls[date], j = cls[date + 1];
  if (i == j && m->set[date] == m->set[date + 1]) return;
  if (m->set[date]->cls[i].number == 7 && m->set[date]->cls[j].number == 4 &&
      m->rewet[0] + m->rewet[1] > 0 && has_soil(m, date, i)) {
    add_rewetted(s, date, i, from, to);
    return;
  }
  if (!has_soil(m, date, i) || !has_soil(m, date + 1, j)) return;
  const double moved = share(m, date, from, to, 0);
  add(s, SKY_MEMORY_SOIL, date, i, SKY_POOL_SOIL, -moved);
  add(s, SKY_MEMORY_SOIL, date + 1, j, SKY_POOL_SOIL, moved);
}

void sky_memory_add(const sky_memory *m, const uint16_t *cls, double from, double to, double scale,
                    double part[SKY_MEMORY_PARTS], double *const *grad) {
  const sum s = {m, scale, part, grad};
  for (size_t first = 0; first < m->n_date;) {
    size_t last = first;
    while (last + 1 < m->n_date && cls[last + 1] == cls[first])
      last++;
    add_run(&s, cls[first], first, last, from, to);
    first = last + 1;
  }
  for (size_t d = 0; d + 1 < m->n_date; d++)
    add_soil(&s, cls, d, from, to);
}
