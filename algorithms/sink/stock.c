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
                                      const sky_sink_factor *by) {
  sky_acc factor = {0, 0}, from_area = {0, 0}, cross = {0, 0};
  const size_t n = l->n;
  for (size_t k = 0; k < l->m; k++) {
    sky_acc g = {0, 0};
    for (size_t t = 0; t < n * n; t++)
      if (area[t] != 0) sky_acc_add(&g, area[t] * l->J[t * l->m + k]);
    const double shared = sky_acc_value(&g) * by[k].sd;
    sky_acc_add(&factor, shared * shared);
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      const double wij = w[i * n + j];
      if (wij == 0) continue;
      const double moved = wij * sky_linear_shift(l->f, 1, n, i, j);
      sky_acc_add(&from_area, moved * moved);
      for (size_t k = 0; k < l->m; k++) {
        const double both = wij * sky_linear_shift(l->J + k, l->m, n, i, j) * by[k].sd;
        sky_acc_add(&cross, both * both);
      }
    }
  }
  return (sky_sink_variance){sky_acc_value(&factor), sky_acc_value(&from_area),
                             sky_acc_value(&cross)};
}

/* ---- zones ---------------------------------------------------------------------------------- */

typedef struct work {
  size_t n, n_zone, n_site;
  const sky_sink_site *site;
  double years, places;
  bool unknown; /* nothing is known of the mistakes of the maps */
  const sky_reference *reference;
  double **area;      /* [n_site] of [n_zone*n*n]: the tensor's, or as the reference says */
  double *g;          /* [n*n*n*n] with a reference */
  sky_linear *linear; /* [n_site] */
  double **w;         /* [n_site] of [n_zone*n*n] */
  size_t m;           /* factors of all sites */
  double *sd, *own;   /* [m] of the mean; between places */
  double *grad;       /* [m] */
} work;

static double total_of(const work *k, size_t zone) {
  const size_t cells = k->n * k->n;
  sky_acc sum = {0, 0};
  for (size_t s = 0; s < k->n_site; s++)
    sky_acc_add(&sum, sky_dot(k->area[s] + zone * cells, k->linear[s].f, cells));
  return sky_acc_value(&sum);
}

/* What error alone adds to the quantity, at one site. w: false areas; areas do as well, land that
 * keeps its class shifts nothing. */
static double error_only(const sky_linear *l, const double *w) {
  const size_t n = l->n;
  sky_acc sum = {0, 0};
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      if (w[i * n + j] != 0) sky_acc_add(&sum, w[i * n + j] * sky_linear_shift(l->f, 1, n, i, j));
  return sky_acc_value(&sum);
}

/* Σ_sites of the gradient to each factor: one table row is one factor, wherever it is used. */
static void add_gradient(const work *k, size_t site, const double *area, double sign) {
  const sky_linear *l = &k->linear[site];
  const size_t *of = k->site[site].factor;
  for (size_t f = 0; f < l->m; f++) {
    sky_acc g = {0, 0};
    for (size_t t = 0; t < l->n * l->n; t++)
      if (area[t] != 0) sky_acc_add(&g, area[t] * l->J[t * l->m + f]);
    k->grad[of != NULL ? of[f] : f] += sign * sky_acc_value(&g);
  }
}

/* Variance that the sample gives to f (factor SIZE_MAX) or to its derivative to a factor. */
static double sample_part(const work *k, size_t zone, size_t factor) {
  const size_t cells = k->n * k->n;
  memset(k->g, 0, cells * cells * sizeof *k->g);
  for (size_t s = 0; s < k->n_site; s++) {
    const sky_linear *l = &k->linear[s];
    const double *mapped = k->site[s].tensor->area + zone * cells;
    size_t f = 0;
    while (factor != SIZE_MAX && f < l->m &&
           (k->site[s].factor != NULL ? k->site[s].factor[f] : f) != factor)
      f++;
    if (factor != SIZE_MAX && f == l->m) continue;
    const double *v = factor == SIZE_MAX ? l->f : l->J + f;
    const size_t stride = factor == SIZE_MAX ? 1 : l->m;
    for (size_t h = 0; h < cells; h++)
      for (size_t t = 0; t < cells && mapped[h] != 0; t++)
        k->g[h * cells + t] += mapped[h] * v[t * stride];
  }
  return sky_reference_variance(k->reference, k->g);
}

/* fᵀCov(a)f + tr(S Cov a) of a sample. */
static void add_sample(const work *k, size_t zone, sky_acc *var) {
  sky_acc_add(var, sample_part(k, zone, SIZE_MAX));
  for (size_t f = 0; f < k->m; f++)
    if (k->sd[f] > 0) sky_acc_add(var, k->sd[f] * k->sd[f] * sample_part(k, zone, f));
}

/* Adds the variance of the areas and the gradient to the factors; what map error alone shows. */
static double add_errors(const work *k, size_t zone, double sign, sky_acc *var) {
  const size_t cells = k->n * k->n;
  sky_acc moved = {0, 0};
  for (size_t s = 0; s < k->n_site; s++) {
    const double *area = k->area[s] + zone * cells, *w = k->w[s] + zone * cells;
    const sky_sink_variance v = sky_linear_variance(&k->linear[s], area, w, k->site[s].set->factor);
    sky_acc_add(&moved, error_only(&k->linear[s], k->unknown ? area : w));
    sky_acc_add(var, v.area);
    sky_acc_add(var, v.cross);
    add_gradient(k, s, area, sign);
  }
  if (k->reference != NULL) add_sample(k, zone, var);
  return sign * sky_acc_value(&moved);
}

/* From the gradient: the factors, and the deviation of the places from them. */
static void add_factors(const work *k, sky_acc *var) {
  for (size_t f = 0; f < k->m; f++) {
    const double shared = k->grad[f] * k->sd[f];
    const double here = isnan(k->places) ? 0 : k->grad[f] * k->own[f];
    sky_acc_add(var, shared * shared);
    if (here != 0) sky_acc_add(var, here * here / k->places);
  }
}

/* The interval holds both the difference as mapped and the one left after what map error alone is
 * expected to show, which is all of it where the accuracy of the maps is unknown. */
static sky_sink_estimate interval(double q, double moved, const sky_acc *var) {
  const double left = q - moved, sd = sqrt(sky_acc_value(var));
  return (sky_sink_estimate){q, sd, fmin(q, left) - Z95 * sd, fmax(q, left) + Z95 * sd};
}

static sky_sink_estimate estimate(const work *k, size_t zone) {
  sky_acc var = {0, 0};
  memset(k->grad, 0, k->m * sizeof *k->grad);
  const double moved = add_errors(k, zone, 1, &var);
  add_factors(k, &var);
  return interval(total_of(k, zone), moved, &var);
}

static bool has_soil(const sky_sink_set *set, size_t i) {
  return set->cls[i].pool[SKY_POOL_SOIL].n > 0;
}

static void fill_areas(const work *k, sky_sink_row *row) {
  const size_t n = k->n, cls = row->cls;
  sky_acc at[2] = {{0, 0}, {0, 0}}, unknown = {0, 0};
  for (size_t s = 0; s < k->n_site; s++) {
    const sky_sink_set *set = k->site[s].set;
    for (size_t i = 0; i < n; i++) {
      for (size_t j = 0; j < n; j++) {
        const double a = k->area[s][(row->zone * n + i) * n + j];
        const bool first = cls == n || cls == i, second = cls == n || cls == j;
        if (first) sky_acc_add(&at[0], a);
        if (second) sky_acc_add(&at[1], a);
        const bool both = has_soil(set, i) && has_soil(set, j);
        if (i != j && !both && (first || second)) sky_acc_add(&unknown, a);
      }
    }
  }
  row->area[0] = sky_acc_value(&at[0]);
  row->area[1] = sky_acc_value(&at[1]);
  row->soil_unknown = sky_acc_value(&unknown);
}

static void fill_linear(const work *k, sky_sink_quantity quantity, size_t cls) {
  for (size_t s = 0; s < k->n_site; s++)
    sky_linear_fill(k->site[s].set, quantity, cls, k->years, &k->linear[s]);
}

static const sky_sink_estimate none = {NAN, NAN, NAN, NAN};

static bool any_totals(const work *k) {
  for (size_t s = 0; s < k->n_site; s++)
    if (k->site[s].set->totals) return true;
  return false;
}

/* Whether a class came or went in the row whose stock a set of totals does not hold. */
static bool is_unknown(const work *k, const sky_sink_row *row) {
  const size_t n = k->n;
  for (size_t s = 0; s < k->n_site; s++) {
    const sky_sink_set *set = k->site[s].set;
    for (size_t i = 0; i < n && set->totals; i++) {
      if (set->cls[i].pool[SKY_POOL_ABOVE].n > 0 || (row->cls != n && row->cls != i)) continue;
      const double *area = k->area[s] + row->zone * n * n;
      for (size_t j = 0; j < n; j++)
        if (j != i && (area[i * n + j] != 0 || area[j * n + i] != 0)) return true;
    }
  }
  return false;
}

/* A published total has neither parts nor uptake. */
static void clear_totals(const work *k, sky_sink_row *row) {
  row->biomass = row->dead = row->soil = row->soil_unknown = NAN;
  row->uptake = none;
  if (is_unknown(k, row)) row->stock = none;
}

static void fill_class(work *k, size_t cls, bool stocks, sky_sink_row *rows) {
  const size_t step = k->n + 1;
  static const sky_sink_quantity parts[3] = {SKY_SINK_BIOMASS, SKY_SINK_DEAD, SKY_SINK_SOIL};
  for (size_t z = 0; z < k->n_zone; z++) {
    sky_sink_row *row = &rows[z * step + cls];
    *row = (sky_sink_row){
        .zone = z, .cls = cls, .biomass = NAN, .dead = NAN, .soil = NAN, .stock = none};
    fill_areas(k, row);
  }
  for (size_t p = 0; p < 3 && stocks; p++) {
    fill_linear(k, parts[p], cls);
    for (size_t z = 0; z < k->n_zone; z++) {
      sky_sink_row *row = &rows[z * step + cls];
      double *to[3] = {&row->biomass, &row->dead, &row->soil};
      *to[p] = total_of(k, z);
    }
  }
  if (stocks) {
    fill_linear(k, SKY_SINK_STOCK, cls);
    for (size_t z = 0; z < k->n_zone; z++)
      rows[z * step + cls].stock = estimate(k, z);
  }
  fill_linear(k, SKY_SINK_UPTAKE, cls);
  for (size_t z = 0; z < k->n_zone; z++)
    rows[z * step + cls].uptake = estimate(k, z);
  for (size_t z = 0; z < k->n_zone && any_totals(k); z++)
    clear_totals(k, &rows[z * step + cls]);
}

static sky_status check(sky_context *ctx, const sky_sink_site *site, size_t n_site,
                        const sky_sink_how *how) {
  for (size_t s = 0; s < n_site; s++)
    if (site[s].tensor->n_class != site[s].set->n_class)
      return sky_fail(ctx, SKY_E_INTERNAL, "%zu classes in the tensor, %zu in the set",
                      site[s].tensor->n_class, site[s].set->n_class);
  if (!(how->years > 0))
    return sky_fail(ctx, SKY_E_RANGE, "period of %g years, expected above 0", how->years);
  if (!isnan(how->accuracy) && !(how->accuracy > 0 && how->accuracy <= 1))
    return sky_fail(ctx, SKY_E_RANGE, "accuracy %g of a map, expected above 0, at most 1",
                    how->accuracy);
  if (!(how->correlation >= 0 && how->correlation <= 1))
    return sky_fail(ctx, SKY_E_RANGE, "correlation %g of map errors, expected 0 to 1",
                    how->correlation);
  if (how->reference != NULL && how->reference->n_class != site[0].set->n_class)
    return sky_fail(ctx, SKY_E_INTERNAL, "%zu classes in the reference, %zu in the set",
                    how->reference->n_class, site[0].set->n_class);
  if (!isnan(how->places) && !(how->places >= 1))
    return sky_fail(ctx, SKY_E_RANGE, "%g independent places, expected at least 1", how->places);
  return SKY_OK;
}

/* Areas as the sample says. */
static sky_status estimate_areas(sky_context *ctx, work *k, size_t s) {
  const sky_tensor *t = k->site[s].tensor;
  const size_t cells = k->n * k->n, gap = sky_reference_gap(k->reference, t);
  if (gap != SIZE_MAX)
    return sky_fail(
        ctx, SKY_E_RANGE,
        "the reference sample has %g units where the maps go from %s to %s, expected at "
        "least 2",
        k->reference->units[gap], k->site[s].set->cls[gap / k->n].name,
        k->site[s].set->cls[gap % k->n].name);
  k->area[s] = SKY_NEW(ctx, double, k->n_zone *cells);
  if (k->area[s] == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < k->n_zone; z++)
    sky_reference_areas(k->reference, t->area + z * cells, k->area[s] + z * cells);
  return SKY_OK;
}

static sky_status prepare_site(sky_context *ctx, work *k, size_t s, const sky_sink_how *how) {
  const sky_sink_site *site = &k->site[s];
  const size_t cells = k->n * k->n;
  SKY_TRY(sky_linear_make(ctx, site->set, &k->linear[s]));
  k->w[s] = SKY_NEW(ctx, double, k->n_zone *cells);
  if (k->w[s] == NULL) return SKY_E_NOMEM;
  if (k->reference != NULL)
    SKY_TRY(estimate_areas(ctx, k, s));
  else
    k->area[s] = site->tensor->area;
  for (size_t z = 0; z < k->n_zone; z++) {
    const double *area = site->tensor->area + z * cells;
    double *w = k->w[s] + z * cells;
    sky_sink_false_areas(area, area, k->n, k->reference == NULL ? how->accuracy : NAN, w);
    for (size_t t = 0; t < cells; t++)
      w[t] *= 1 - how->correlation;
  }
  for (size_t f = 0; f < site->set->n_factor; f++) {
    const size_t at = site->factor != NULL ? site->factor[f] : f;
    k->sd[at] = site->set->factor[f].sd;
    k->own[at] = site->set->factor[f].place_sd;
  }
  return SKY_OK;
}

static void work_free(work *k) {
  for (size_t s = 0; s < k->n_site && k->linear != NULL; s++)
    sky_linear_free(&k->linear[s]);
  for (size_t s = 0; s < k->n_site && k->w != NULL; s++)
    sky_free(k->w[s]);
  for (size_t s = 0; s < k->n_site && k->area != NULL && k->reference != NULL; s++)
    sky_free(k->area[s]);
  sky_free(k->area);
  sky_free(k->g);
  sky_free(k->linear);
  sky_free(k->w);
  sky_free(k->sd);
  sky_free(k->own);
  sky_free(k->grad);
}

/* work_free it in any case. */
static sky_status work_make(sky_context *ctx, const sky_sink_site *site, size_t n_site,
                            const sky_sink_how *how, work *k) {
  *k = (work){.site = site,
              .n_site = n_site,
              .years = how->years,
              .places = how->places,
              .unknown = isnan(how->accuracy) && how->reference == NULL,
              .reference = how->reference};
  SKY_TRY(check(ctx, site, n_site, how));
  k->n = site[0].set->n_class;
  k->n_zone = site[0].tensor->n_zone;
  for (size_t s = 0; s < n_site; s++) {
    for (size_t f = 0; f < site[s].set->n_factor; f++) {
      const size_t at = site[s].factor != NULL ? site[s].factor[f] : f;
      if (at >= k->m) k->m = at + 1;
    }
  }
  k->linear = SKY_NEW0(ctx, sky_linear, n_site);
  k->w = SKY_NEW0(ctx, double *, n_site);
  k->area = SKY_NEW0(ctx, double *, n_site);
  k->g = how->reference != NULL ? SKY_NEW(ctx, double, k->n * k->n * k->n * k->n) : NULL;
  k->sd = SKY_NEW0(ctx, double, k->m);
  k->own = SKY_NEW0(ctx, double, k->m);
  k->grad = SKY_NEW0(ctx, double, k->m);
  if ((how->reference != NULL && k->g == NULL) || k->area == NULL) return SKY_E_NOMEM;
  if (k->linear == NULL || k->w == NULL || k->sd == NULL || k->own == NULL || k->grad == NULL)
    return SKY_E_NOMEM;
  for (size_t s = 0; s < n_site; s++)
    SKY_TRY(prepare_site(ctx, k, s, how));
  return SKY_OK;
}

sky_status sky_sink_compute(sky_context *ctx, const sky_sink_site *site, size_t n_site,
                            const sky_sink_how *how, sky_sink_row *rows) {
  work k;
  bool stocks = false;
  for (size_t s = 0; s < n_site; s++)
    stocks = stocks || site[s].set->stocks;
  const sky_status st = work_make(ctx, site, n_site, how, &k);
  for (size_t cls = 0; st == SKY_OK && cls <= k.n; cls++)
    fill_class(&k, cls, stocks, rows);
  work_free(&k);
  return st;
}

sky_status sky_sink_uptake_change(sky_context *ctx, const sky_sink_site *before,
                                  const sky_sink_site *after, size_t n_site,
                                  const sky_sink_how *how, sky_sink_estimate *out) {
  work a, b = {0};
  sky_status st = work_make(ctx, before, n_site, how, &a);
  if (st == SKY_OK) st = work_make(ctx, after, n_site, how, &b);
  for (size_t cls = 0; st == SKY_OK && cls <= a.n; cls++) {
    fill_linear(&a, SKY_SINK_UPTAKE, cls);
    fill_linear(&b, SKY_SINK_UPTAKE, cls);
    for (size_t z = 0; z < a.n_zone; z++) {
      double *const grad = b.grad;
      sky_acc var = {0, 0};
      memset(grad, 0, b.m * sizeof *grad);
      double moved = add_errors(&b, z, 1, &var);
      memset(a.grad, 0, a.m * sizeof *a.grad);
      moved += add_errors(&a, z, -1, &var);
      for (size_t f = 0; f < a.m; f++)
        grad[f] += a.grad[f];
      add_factors(&b, &var);
      out[z * (a.n + 1) + cls] =
          any_totals(&b) ? none : interval(total_of(&b, z) - total_of(&a, z), moved, &var);
    }
  }
  work_free(&a);
  work_free(&b);
  return st;
}
