/* stock.c: stock change, uptake and their errors on the area tensor (equations in stock.md).
 *
 *     q = Σ_ij a_ij f_ij       a: areas of the transitions, f: kg C m-2 (yr-1) of each
 *     var q = aᵀSa + fᵀCov(a)f + tr(S·Cov a)
 *
 * f is a sum of products of factors, linearised for S. Units: t ha-1 = 0.1 kg m-2. */
#include "algorithms/sink/stock.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define KG_M2 0.1          /* t ha-1 */
#define DEFAULT_YEARS 20.0 /* IPCC default time to a new equilibrium */
#define Z95 1.959963984540054

/* ---- coefficients --------------------------------------------------------------------------- */

sky_status sky_linear_make(sky_context *ctx, const sky_sink_set *set, sky_linear *out) {
  sky_linear l = {.n = set->n_class, .m = set->n_factor};
  l.f = SKY_NEW(ctx, double, l.n *l.n);
  l.J = SKY_NEW(ctx, double, l.n *l.n *l.m);
  if (l.f == NULL || l.J == NULL) {
    sky_linear_free(&l);
    return SKY_E_NOMEM;
  }
  *out = l;
  return SKY_OK;
}

void sky_linear_free(sky_linear *l) {
  if (l == NULL) return;
  sky_free(l->f);
  sky_free(l->J);
  memset(l, 0, sizeof *l);
}

static void add(const sky_sink_set *set, sky_linear *l, size_t i, size_t j, size_t pool_class,
                sky_sink_pool_kind kind, double scale) {
  const size_t at = i * l->n + j;
  l->f[at] +=
      sky_sink_pool_value(set, &set->cls[pool_class].pool[kind], scale * KG_M2, l->J + at * l->m);
}

/* Biomass that class j has gained `years`/2 after a conversion: growing classes grow up to their
 * stock, the others stand at once (crops and grass: within a year). */
static void add_new_biomass(const sky_sink_set *set, sky_linear *l, size_t i, size_t j,
                            double years) {
  const sky_sink_pool *p = set->cls[j].pool;
  const double stock = sky_sink_pool_value(set, &p[SKY_POOL_ABOVE], 1, NULL) +
                       sky_sink_pool_value(set, &p[SKY_POOL_BELOW], 1, NULL);
  const double grown = sky_sink_pool_value(set, &p[SKY_POOL_GROWTH_YOUNG], years / 2, NULL);
  if (set->dynamic && p[SKY_POOL_GROWTH_YOUNG].n > 0 && grown < stock) {
    add(set, l, i, j, j, SKY_POOL_GROWTH_YOUNG, years / 2);
    return;
  }
  add(set, l, i, j, j, SKY_POOL_ABOVE, 1);
  add(set, l, i, j, j, SKY_POOL_BELOW, 1);
}

/* i -> j; loss, gain: whether what i loses and what j gains belong to the class asked for. */
static void add_stock(const sky_sink_set *set, unsigned quantity, size_t i, size_t j, bool loss,
                      bool gain, double years, sky_linear *l) {
  const double dead = set->dynamic ? fmin(years / 2, DEFAULT_YEARS) / DEFAULT_YEARS : 1;
  const double soil = set->dynamic ? fmin(years, DEFAULT_YEARS) / DEFAULT_YEARS : 1;
  const bool both = set->cls[i].pool[SKY_POOL_SOIL].n > 0 && set->cls[j].pool[SKY_POOL_SOIL].n > 0;
  if ((quantity & SKY_SINK_BIOMASS) && loss) {
    add(set, l, i, j, i, SKY_POOL_ABOVE, -1);
    add(set, l, i, j, i, SKY_POOL_BELOW, -1);
  }
  if ((quantity & SKY_SINK_BIOMASS) && gain) add_new_biomass(set, l, i, j, years);
  for (int k = SKY_POOL_LITTER; k <= SKY_POOL_DEAD_WOOD && (quantity & SKY_SINK_DEAD); k++) {
    if (loss) add(set, l, i, j, i, (sky_sink_pool_kind)k, -1);
    if (gain) add(set, l, i, j, j, (sky_sink_pool_kind)k, dead);
  }
  if ((quantity & SKY_SINK_SOIL) && both) {
    if (loss) add(set, l, i, j, i, SKY_POOL_SOIL, -soil);
    if (gain) add(set, l, i, j, j, SKY_POOL_SOIL, soil);
  }
}

static void add_uptake(const sky_sink_set *set, size_t i, size_t j, sky_linear *l) {
  const sky_sink_pool *p = set->cls[j].pool;
  const bool young = i != j && p[SKY_POOL_GROWTH_YOUNG].n > 0;
  add(set, l, i, j, j, young ? SKY_POOL_GROWTH_YOUNG : SKY_POOL_GROWTH, -1);
  add(set, l, i, j, j, SKY_POOL_NET_FLUX, 1);
}

void sky_linear_fill(const sky_sink_set *set, sky_sink_quantity quantity, size_t cls, double years,
                     sky_linear *l) {
  memset(l->f, 0, l->n * l->n * sizeof *l->f);
  memset(l->J, 0, l->n * l->n * l->m * sizeof *l->J);
  for (size_t i = 0; i < l->n; i++) {
    for (size_t j = 0; j < l->n; j++) {
      const bool loss = cls == l->n || cls == i, gain = cls == l->n || cls == j;
      if (quantity == SKY_SINK_UPTAKE) {
        if (gain) add_uptake(set, i, j, l);
      } else if (i != j) {
        add_stock(set, quantity, i, j, loss, gain, years, l);
      }
    }
  }
}

/* ---- errors --------------------------------------------------------------------------------- */

/* Area of a class, mean of both dates. */
static double mean_area(const double *area, size_t n, size_t k) {
  double sum = 0;
  for (size_t j = 0; j < n; j++)
    sum += area[k * n + j] + area[j * n + k];
  return sum / 2;
}

/* Both maps hit the true class with probability p, else one of the others in proportion to its
 * share, independently: w_ij = Σ_k A_k P(i|k) P(j|k). */
void sky_sink_false_areas(const double *area, const double *landscape, size_t n, double accuracy,
                          double *w) {
  const double total = sky_sum(landscape, n * n);
  memset(w, 0, n * n * sizeof *w);
  if (isnan(accuracy) || !(total > 0)) return;
  for (size_t k = 0; k < n; k++) /* the diagonal keeps the shares meanwhile */
    w[k * n + k] = mean_area(landscape, n, k) / total;
  for (size_t k = 0; k < n; k++) {
    const double pk = w[k * n + k], miss = (1 - accuracy) / (1 - pk);
    if (!(pk > 0) || !(pk < 1)) continue;
    const double own = mean_area(area, n, k);
    for (size_t i = 0; i < n; i++) {
      const double hit_i = i == k ? accuracy : miss * w[i * n + i];
      for (size_t j = 0; j < n; j++)
        if (j != i) w[i * n + j] += own * hit_i * (j == k ? accuracy : miss * w[j * n + j]);
    }
  }
  for (size_t k = 0; k < n; k++)
    w[k * n + k] = 0;
}

sky_sink_variance sky_linear_variance(const sky_linear *l, const double *area, const double *w,
                                      const double *sd, double *grad) {
  sky_acc factor = {0, 0}, from_area = {0, 0}, cross = {0, 0};
  const size_t n = l->n;
  for (size_t k = 0; k < l->m; k++) {
    sky_acc g = {0, 0};
    for (size_t t = 0; t < n * n; t++)
      if (area[t] != 0) sky_acc_add(&g, area[t] * l->J[t * l->m + k]);
    grad[k] = sky_acc_value(&g) * sd[k];
    sky_acc_add(&factor, grad[k] * grad[k]);
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      const double wij = w[i * n + j];
      if (wij == 0) continue;
      const double moved = wij * sky_linear_shift(l->f, 1, n, i, j);
      sky_acc_add(&from_area, moved * moved);
      for (size_t k = 0; k < l->m; k++) {
        const double both = wij * sky_linear_shift(l->J + k, l->m, n, i, j) * sd[k];
        sky_acc_add(&cross, both * both);
      }
    }
  }
  return (sky_sink_variance){sky_acc_value(&factor), sky_acc_value(&from_area),
                             sky_acc_value(&cross)};
}

/* ---- zones ---------------------------------------------------------------------------------- */

typedef struct work {
  const sky_tensor *tensor;
  const sky_sink_set *set;
  double years;
  sky_linear linear;
  double *w;    /* [n_zone*n*n] */
  double *sd;   /* [m] */
  double *grad; /* [m] */
} work;

static double total_of(const work *k, const double *area) {
  return sky_dot(area, k->linear.f, k->linear.n * k->linear.n);
}

/* The interval holds both the difference as mapped and the one left after what map error alone is
 * expected to show. */
static sky_sink_estimate estimate(const work *k, size_t zone) {
  const sky_linear *l = &k->linear;
  const size_t n = l->n;
  const double *area = k->tensor->area + zone * n * n, *w = k->w + zone * n * n;
  sky_acc error_only = {0, 0};
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      if (w[i * n + j] != 0)
        sky_acc_add(&error_only, w[i * n + j] * sky_linear_shift(l->f, 1, n, i, j));
  const sky_sink_variance v = sky_linear_variance(l, area, w, k->sd, k->grad);
  const double q = total_of(k, area), left = q - sky_acc_value(&error_only);
  const double sd = sqrt(v.factor + v.area + v.cross);
  return (sky_sink_estimate){q, sd, fmin(q, left) - Z95 * sd, fmax(q, left) + Z95 * sd};
}

static void fill_areas(const work *k, sky_sink_row *row) {
  const size_t n = k->linear.n, cls = row->cls;
  sky_acc at[2] = {{0, 0}, {0, 0}}, unknown = {0, 0};
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      const double a = sky_tensor_at(k->tensor, row->zone, i, j);
      const bool first = cls == n || cls == i, second = cls == n || cls == j;
      if (first) sky_acc_add(&at[0], a);
      if (second) sky_acc_add(&at[1], a);
      const bool both =
          k->set->cls[i].pool[SKY_POOL_SOIL].n > 0 && k->set->cls[j].pool[SKY_POOL_SOIL].n > 0;
      if (i != j && !both && (first || second)) sky_acc_add(&unknown, a);
    }
  }
  row->area[0] = sky_acc_value(&at[0]);
  row->area[1] = sky_acc_value(&at[1]);
  row->soil_unknown = sky_acc_value(&unknown);
}

static void fill_class(work *k, size_t cls, sky_sink_row *rows) {
  const size_t n = k->linear.n, zones = k->tensor->n_zone;
  static const sky_sink_quantity parts[3] = {SKY_SINK_BIOMASS, SKY_SINK_DEAD, SKY_SINK_SOIL};
  const sky_sink_estimate none = {NAN, NAN, NAN, NAN};
  for (size_t z = 0; z < zones; z++) {
    sky_sink_row *row = &rows[z * (n + 1) + cls];
    *row = (sky_sink_row){
        .zone = z, .cls = cls, .biomass = NAN, .dead = NAN, .soil = NAN, .stock = none};
    fill_areas(k, row);
  }
  for (size_t p = 0; p < 3 && k->set->stocks; p++) {
    sky_linear_fill(k->set, parts[p], cls, k->years, &k->linear);
    for (size_t z = 0; z < zones; z++) {
      sky_sink_row *row = &rows[z * (n + 1) + cls];
      double *to[3] = {&row->biomass, &row->dead, &row->soil};
      *to[p] = total_of(k, k->tensor->area + z * n * n);
    }
  }
  if (k->set->stocks) {
    sky_linear_fill(k->set, SKY_SINK_STOCK, cls, k->years, &k->linear);
    for (size_t z = 0; z < zones; z++)
      rows[z * (n + 1) + cls].stock = estimate(k, z);
  }
  sky_linear_fill(k->set, SKY_SINK_UPTAKE, cls, k->years, &k->linear);
  for (size_t z = 0; z < zones; z++)
    rows[z * (n + 1) + cls].uptake = estimate(k, z);
}

sky_status sky_sink_compute(sky_context *ctx, const sky_tensor *tensor, const sky_sink_set *set,
                            double years, double accuracy, sky_sink_row *rows) {
  sky_status st = SKY_OK;
  const size_t n = set->n_class, m = set->n_factor;
  work k = {.tensor = tensor, .set = set, .years = years};
  if (tensor->n_class != n)
    return sky_fail(ctx, SKY_E_INTERNAL, "%zu classes in the tensor, %zu in the set",
                    tensor->n_class, n);
  if (!(years > 0))
    return sky_fail(ctx, SKY_E_RANGE, "period of %g years, expected above 0", years);
  if (!isnan(accuracy) && !(accuracy > 0 && accuracy <= 1))
    return sky_fail(ctx, SKY_E_RANGE, "accuracy %g of a map, expected above 0, at most 1",
                    accuracy);
  SKY_GO(sky_linear_make(ctx, set, &k.linear));
  SKY_GO_ALLOC(k.w, SKY_NEW(ctx, double, tensor->n_zone *n *n));
  SKY_GO_ALLOC(k.sd, SKY_NEW(ctx, double, m));
  SKY_GO_ALLOC(k.grad, SKY_NEW(ctx, double, m));
  for (size_t i = 0; i < m; i++)
    k.sd[i] = set->factor[i].sd;
  for (size_t z = 0; z < tensor->n_zone; z++)
    sky_sink_false_areas(tensor->area + z * n * n, tensor->area + z * n * n, n, accuracy,
                         k.w + z * n * n);
  for (size_t cls = 0; cls <= n; cls++)
    fill_class(&k, cls, rows);
cleanup:
  sky_linear_free(&k.linear);
  sky_free(k.w);
  sky_free(k.sd);
  sky_free(k.grad);
  return st;
}
