/* synth_content.c: see synth_content.h. The atmosphere is smooth and invented: CO2, CH4 and N2O
 * with the vertical gradients of the real one, a plume of the boundary layer, water below. Nothing
 * here is symmetric from bottom to top, so that an upside-down reading cannot go unnoticed. */
#include "src/job/synth_content.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/text.h"

#define GRAVITY 9.80665        /* m s-2 */
#define M_DRY 0.0289652        /* kg mol-1 */
#define M_WATER 0.01801528     /* kg mol-1 */
#define SCALE_HEIGHT 7500.0    /* m */
#define EARTH_RADIUS 6371000.0 /* m */
#define PI 3.14159265358979323846

const char *const sky_content_states[SKY_CONTENT_STATES] = {"good", "bad", "empty", "snow"};

enum { STREAM_NOISE = 1, STREAM_GROUND, STREAM_KERNEL, STREAM_PLUME };

/* --- memory ------------------------------------------------------------------------------------
 */

typedef struct array {
  size_t at;
  char per; /* r row, k level, e edge, c corner, v singular value, s singular vector */
} array;
#define OF(member, per) \
  { offsetof(sky_content, member), per }
static const array ARRAYS[] = {OF(lon, 'r'),
                               OF(lat, 'r'),
                               OF(time, 'r'),
                               OF(altitude, 'r'),
                               OF(surface_pressure, 'r'),
                               OF(interval, 'r'),
                               OF(sun, 'r'),
                               OF(view, 'r'),
                               OF(albedo, 'r'),
                               OF(corner_lon, 'c'),
                               OF(corner_lat, 'c'),
                               OF(pressure, 'k'),
                               OF(weight, 'k'),
                               OF(water, 'k'),
                               OF(height, 'k'),
                               OF(temperature, 'k'),
                               OF(edge, 'e'),
                               OF(edge_height, 'e'),
                               OF(dry, 'k'),
                               OF(value, 'v')};
#define OF_GAS(member, per) \
  { offsetof(sky_content_gas, member), per }
static const array GAS_ARRAYS[] = {
    OF_GAS(x, 'r'),         OF_GAS(sigma, 'r'), OF_GAS(prior, 'r'),
    OF_GAS(profile, 'k'),   OF_GAS(ak, 'k'),    OF_GAS(subcolumn, 'k'),
    OF_GAS(retrieved, 'k'), OF_GAS(left, 's'),  OF_GAS(right, 's')};
enum {
  N_ARRAYS = sizeof ARRAYS / sizeof *ARRAYS,
  N_GAS_ARRAYS = sizeof GAS_ARRAYS / sizeof *GAS_ARRAYS
};

static size_t width(const sky_content_plan *p, char per) {
  switch (per) {
    case 'r':
      return 1;
    case 'k':
      return p->levels;
    case 'e':
      return p->levels + 1;
    case 'c':
      return 4;
    case 'v':
      return SKY_CONTENT_RANK;
    default:
      return SKY_CONTENT_RANK * p->levels;
  }
}

static bool allocate(sky_context *ctx, const sky_content *c, void *base, const array *list,
                     size_t n_list) {
  for (size_t i = 0; i < n_list; i++) {
    double *p = SKY_NEW0(ctx, double, c->n *width(&c->plan, list[i].per));
    memcpy((char *)base + list[i].at, &p, sizeof p);
    if (p == NULL) return false;
  }
  return true;
}

static void release(void *base, const array *list, size_t n_list) {
  for (size_t i = 0; i < n_list; i++) {
    double *p;
    memcpy(&p, (char *)base + list[i].at, sizeof p);
    sky_free(p);
  }
}

void sky_content_free(sky_content *c) {
  if (c == NULL) return;
  release(c, ARRAYS, N_ARRAYS);
  for (size_t g = 0; g < SKY_CONTENT_GASES; g++)
    release(&c->gas[g], GAS_ARRAYS, N_GAS_ARRAYS);
  sky_free(c->state);
  sky_free(c->top);
  sky_free(c->rank);
  memset(c, 0, sizeof *c);
}

/* --- where and when ----------------------------------------------------------------------------
 */

static double wrap(double lon) {
  return lon > 180 ? lon - 360 : lon;
}

/* The track runs north with a tilt to the west, as an ascending orbit does. */
static void place(const sky_content_plan *p, double along, double across, double *lon,
                  double *lat) {
  const double step = p->pixel * p->spacing, tilt = 0.2;
  *lat = p->lat + step * (along + tilt * across);
  *lon = wrap(p->lon + step * (across - tilt * along) / cos(*lat * PI / 180));
}

static sky_content_state state_of(const sky_content_plan *p, size_t i) {
  if (p->empty && i % 11 == 4) return SKY_CONTENT_EMPTY;
  if (!p->all_good && i % 7 == 3) return SKY_CONTENT_BAD;
  return p->snow && i % 13 == 6 ? SKY_CONTENT_SNOW : SKY_CONTENT_GOOD;
}

static void make_place(sky_content *c, size_t i) {
  static const double OFF[4][2] = {{-0.5, -0.5}, {-0.5, 0.5}, {0.5, 0.5}, {0.5, -0.5}};
  const sky_content_plan *p = &c->plan;
  const double along = (double)(i / p->columns);
  const double across = (double)(i % p->columns) - 0.5 * (double)(p->columns - 1);
  place(p, along, across, &c->lon[i], &c->lat[i]);
  for (size_t k = 0; k < 4; k++) {
    place(p, along + OFF[k][0] / p->spacing, across + OFF[k][1] / p->spacing,
          &c->corner_lon[4 * i + k], &c->corner_lat[4 * i + k]);
  }
  c->time[i] = p->start + along * (p->spacing > 1 ? 4.6 : 0.84);
  c->altitude[i] = 900 * pow(sky_rng_uniform(p->seed, STREAM_GROUND, i), 2);
  c->surface_pressure[i] = 101325 * exp(-c->altitude[i] / SCALE_HEIGHT);
  c->sun[i] = 25 + 0.05 * along;
  c->view[i] = fabs(across) * 60 / (double)(p->columns + 1);
  c->albedo[i] = 0.1 + 0.25 * sky_rng_uniform(p->seed, STREAM_GROUND, i + c->n);
  c->state[i] = (uint8_t)state_of(p, i);
}

/* --- levels ------------------------------------------------------------------------------------
 */

static double water_at(double relative) { /* mol per mol of dry air */
  return 0.018 * pow(relative, 3);
}

/* mol m-2 between two pressures; gravity at that height. */
static double dry_between(double bottom, double top, double water, double height) {
  const double gravity = GRAVITY * pow(EARTH_RADIUS / (EARTH_RADIUS + height), 2);
  return (bottom - top) / (gravity * (M_DRY + water * M_WATER));
}

static double height_of(double pressure) {
  return -SCALE_HEIGHT * log(fmax(pressure, 1) / 101325);
}

/* Pressures of levels, or of the middles of layers; how many of them a sounding has. */
static void make_pressures(sky_content *c, size_t i) {
  const size_t K = c->plan.levels;
  const double ps = c->surface_pressure[i];
  double *p = c->pressure + i * K, *edge = c->edge + i * (K + 1);
  c->top[i] = K;
  c->interval[i] = (ps - 10) / (double)K;
  switch (c->plan.vertical) {
    case SKY_CONTENT_PROFILES:
      c->top[i] = K - (size_t)(3 * c->altitude[i] / 901); /* fewer over high ground */
      for (size_t k = 0; k < K; k++) { /* counted from the top, levels stand at one altitude */
        const double up = (double)(k + K - c->top[i]) / (double)(K - 1);
        p[k] = k == 0 ? ps : 101325 * exp(-56000 * pow(up, 1.5) / SCALE_HEIGHT);
      }
      return;
    case SKY_CONTENT_LAYERS:
      for (size_t k = 0; k <= K; k++)
        edge[k] = ps - (ps - 10) * (double)k / (double)K;
      for (size_t k = 0; k < K; k++)
        p[k] = 0.5 * (edge[k] + edge[k + 1]);
      return;
    default:
      for (size_t k = 0; k < K; k++)
        p[k] = k + 1 == K ? ps * 1e-4 : ps * (1 - (double)k / (double)(K - 1));
  }
}

/* Dry air of levels (half of each gap belongs to a level) or of layers, and the weights. */
static void make_air(sky_content *c, size_t i) {
  const size_t K = c->plan.levels;
  const double *p = c->pressure + i * K, *edge = c->edge + i * (K + 1), *q = c->water + i * K;
  double *dry = c->dry + i * K, sum = 0;
  for (size_t k = 0; k < c->top[i]; k++) {
    if (c->plan.vertical == SKY_CONTENT_LAYERS) {
      dry[k] += dry_between(edge[k], edge[k + 1], q[k], 0);
    } else if (k > 0) {
      const bool real = c->plan.vertical == SKY_CONTENT_PROFILES;
      const double height = real ? 0.5 * (height_of(p[k - 1]) + height_of(p[k])) : 0;
      const double gap = dry_between(p[k - 1], p[k], 0.5 * (q[k - 1] + q[k]), height);
      dry[k - 1] += 0.5 * gap;
      dry[k] += 0.5 * gap;
    }
  }
  for (size_t k = 0; k < c->top[i]; k++)
    sum += dry[k];
  for (size_t k = 0; k < c->top[i]; k++)
    c->weight[i * K + k] = dry[k] / sum;
}

static void make_levels(sky_content *c, size_t i) {
  const size_t K = c->plan.levels;
  make_pressures(c, i);
  for (size_t k = 0; k < K; k++) {
    const double p = c->pressure[i * K + k];
    c->water[i * K + k] = c->plan.vertical == SKY_CONTENT_LEVELS ? 0 : water_at(p / 101325);
    c->height[i * K + k] = height_of(p);
    c->temperature[i * K + k] = fmax(215, 290 - 0.0065 * height_of(p));
  }
  for (size_t k = 0; k <= K; k++)
    c->edge_height[i * (K + 1) + k] = height_of(c->edge[i * (K + 1) + k]);
  make_air(c, i);
}

/* --- gases -------------------------------------------------------------------------------------
 */

static const struct {
  const char *id;
  double ground, loss, plume, sigma; /* mol mol-1; loss: share lost at the top */
  double low, high;                  /* kernel aloft and at the ground */
} GASES[] = {{"co2", 412e-6, 0.03, 3e-6, 0.6e-6, 0.55, 1.08},
             {"ch4", 1920e-9, 0.75, 30e-9, 9e-9, 0.70, 1.12},
             {"n2o", 333e-9, 0.70, 1.5e-9, 3e-9, 0.65, 0.35}};

static size_t gas_row(const char *id) {
  size_t g = 0;
  while (g + 1 < sizeof GASES / sizeof *GASES && strcmp(GASES[g].id, id) != 0)
    g++;
  return g;
}

static double prior_at(size_t gas, double pressure) {
  const double aloft = 1 / (1 + exp((pressure - 9000) / 4000));
  return GASES[gas].ground * (1 - GASES[gas].loss * aloft - 0.004 * (1 - pressure / 101325));
}

/* Vectors of a kernel A = Σ_r value_r left_r right_r': overlapping bumps in the vertical; the left
 * ones are wider, so that A is not symmetric. */
static void make_vectors(sky_content *c, size_t g, size_t i) {
  const size_t K = c->plan.levels;
  c->rank[i] = SKY_CONTENT_RANK - i % 3;
  for (size_t r = 0; r < SKY_CONTENT_RANK; r++) {
    const double centre = 1500 + 3500.0 * (double)r;
    c->value[i * SKY_CONTENT_RANK + r] = pow(0.8, (double)r);
    for (size_t k = 0; k < c->top[i]; k++) {
      const double z = c->height[i * K + k] - centre;
      const size_t at = (i * SKY_CONTENT_RANK + r) * K + k;
      c->gas[g].left[at] = 0.55 * exp(-0.5 * pow(z / 3200, 2)) * (1 + 0.1 * (double)g);
      c->gas[g].right[at] = 0.75 * exp(-0.5 * pow(z / 2300, 2));
    }
  }
}

static double profile_kernel(const sky_content *c, size_t g, size_t i, size_t row, size_t column) {
  const size_t K = c->plan.levels;
  double a = 0;
  for (size_t r = 0; r < c->rank[i]; r++) {
    const size_t at = (i * SKY_CONTENT_RANK + r) * K;
    a += c->value[i * SKY_CONTENT_RANK + r] * c->gas[g].left[at + row] *
         c->gas[g].right[at + column];
  }
  return a;
}

/* Kernel of the column of a retrieval in log space, linear about its prior:
 * ak_j = Σ_i w_i xa_i A_ij / (w_j xa_j). */
static void make_column_kernel(sky_content *c, size_t g, size_t i) {
  const size_t K = c->plan.levels;
  const double *w = c->weight + i * K, *xa = c->gas[g].profile + i * K;
  for (size_t j = 0; j < c->top[i]; j++) {
    double sum = 0;
    for (size_t k = 0; k < c->top[i]; k++)
      sum += w[k] * xa[k] * profile_kernel(c, g, i, k, j);
    c->gas[g].ak[i * K + j] = sum / (w[j] * xa[j]);
  }
}

static void make_gas(sky_content *c, size_t g, size_t i) {
  const sky_content_plan *p = &c->plan;
  const size_t K = p->levels, row = gas_row(p->gas[g]);
  sky_content_gas *out = &c->gas[g];
  const double strength = 0.95 + 0.1 * sky_rng_uniform(p->seed, STREAM_KERNEL + 16 * g, i);
  const double plume = GASES[row].plume * sky_rng_uniform(p->seed, STREAM_PLUME + 16 * g, i);
  double true_profile[128];
  out->sigma[i] = GASES[row].sigma * (0.8 + 0.4 * strength);
  for (size_t k = 0; k < K; k++) {
    const double relative = c->pressure[i * K + k] / c->surface_pressure[i];
    out->profile[i * K + k] = prior_at(row, c->pressure[i * K + k]);
    out->ak[i * K + k] =
        strength * (GASES[row].low + (GASES[row].high - GASES[row].low) * sqrt(relative));
    out->subcolumn[i * K + k] = out->profile[i * K + k] * c->dry[i * K + k];
    true_profile[k] = out->profile[i * K + k] * 1.003 + plume * pow(relative, 4);
    out->prior[i] += c->weight[i * K + k] * out->profile[i * K + k];
  }
  if (p->vertical == SKY_CONTENT_PROFILES) {
    make_vectors(c, g, i);
    make_column_kernel(c, g, i);
    for (size_t k = 0; k < c->top[i]; k++) {
      double change = 0;
      for (size_t j = 0; j < c->top[i]; j++)
        change += profile_kernel(c, g, i, k, j) * log(true_profile[j] / out->profile[i * K + j]);
      out->retrieved[i * K + k] = out->profile[i * K + k] * exp(change);
      out->x[i] += c->weight[i * K + k] * out->retrieved[i * K + k];
    }
    return;
  }
  out->x[i] = out->prior[i] + out->sigma[i] * sky_rng_normal(p->seed, STREAM_NOISE + 16 * g, i);
  for (size_t k = 0; k < K; k++) {
    out->x[i] +=
        c->weight[i * K + k] * out->ak[i * K + k] * (true_profile[k] - out->profile[i * K + k]);
  }
}

/* --- what a file does not hold -----------------------------------------------------------------
 */

static void blank(double *x, size_t from, size_t to) {
  for (size_t k = from; k < to; k++)
    x[k] = NAN;
}

static void blank_missing(sky_content *c, size_t i) {
  const size_t K = c->plan.levels, top = c->top[i];
  double *const shared[] = {c->pressure, c->weight, c->water, c->height, c->temperature, c->dry};
  for (size_t a = 0; a < sizeof shared / sizeof *shared; a++)
    blank(shared[a] + i * K, top, K);
  blank(c->value + i * SKY_CONTENT_RANK, c->rank[i], SKY_CONTENT_RANK);
  if (c->state[i] == SKY_CONTENT_EMPTY) {
    blank(c->dry + i * K, 0, K);
    blank(c->weight + i * K, 0, K);
  }
  for (size_t g = 0; g < c->plan.n_gases; g++) {
    sky_content_gas *gas = &c->gas[g];
    double *const own[] = {gas->profile, gas->ak, gas->retrieved, gas->subcolumn};
    for (size_t a = 0; a < sizeof own / sizeof *own; a++)
      blank(own[a] + i * K, c->state[i] == SKY_CONTENT_EMPTY ? 0 : top, K);
    for (size_t r = 0; r < SKY_CONTENT_RANK; r++) {
      const size_t have = r < c->rank[i] ? top : 0;
      blank(gas->left + (i * SKY_CONTENT_RANK + r) * K, have, K);
      blank(gas->right + (i * SKY_CONTENT_RANK + r) * K, have, K);
    }
    if (c->state[i] != SKY_CONTENT_EMPTY) continue;
    gas->x[i] = gas->sigma[i] = gas->prior[i] = NAN;
  }
  if (!c->plan.short_columns || c->state[i] != SKY_CONTENT_BAD || i % 2 == 0) return;
  for (size_t a = 0; a < sizeof shared / sizeof *shared; a++) /* the lowest level is missing */
    shared[a][i * K] = NAN;
  for (size_t g = 0; g < c->plan.n_gases; g++)
    c->gas[g].profile[i * K] = c->gas[g].ak[i * K] = NAN;
}

sky_status sky_content_create(sky_context *ctx, const sky_content_plan *plan, sky_content *out) {
  sky_content c = {.plan = *plan, .n = plan->rows * plan->columns};
  bool have = allocate(ctx, &c, &c, ARRAYS, N_ARRAYS);
  for (size_t g = 0; g < plan->n_gases; g++)
    have = have && allocate(ctx, &c, &c.gas[g], GAS_ARRAYS, N_GAS_ARRAYS);
  c.state = SKY_NEW0(ctx, uint8_t, c.n);
  c.top = SKY_NEW0(ctx, size_t, c.n);
  c.rank = SKY_NEW0(ctx, size_t, c.n);
  if (!have || c.state == NULL || c.top == NULL || c.rank == NULL) {
    sky_content_free(&c);
    return SKY_E_NOMEM;
  }
  for (size_t i = 0; i < c.n; i++) {
    make_place(&c, i);
    make_levels(&c, i);
    for (size_t g = 0; g < plan->n_gases; g++)
      make_gas(&c, g, i);
    blank_missing(&c, i);
  }
  *out = c;
  return SKY_OK;
}

/* --- table -------------------------------------------------------------------------------------
 */

static void put_column(sky_text *t, const double *x, size_t n) {
  for (size_t k = 0; k < n; k++) {
    sky_text_put(t, ",");
    if (isfinite(x[k])) sky_text_printf(t, "%.17g", x[k]);
  }
}

static void put_head(sky_text *t, const sky_content *c) {
  static const char *const LEVELS[] = {"pressure", "weight", "ak", "profile"};
  sky_text_put(t, "row,gas,state,time,latitude,longitude,x,sigma,prior,surface_pressure");
  for (size_t k = 0; k < 4; k++)
    sky_text_printf(t, ",latitude_%zu,longitude_%zu", k, k);
  for (size_t a = 0; a < 4 && c->plan.vertical != SKY_CONTENT_COLUMN_ONLY; a++) {
    for (size_t k = 0; k < c->plan.levels; k++)
      sky_text_printf(t, ",%s_%zu", LEVELS[a], k);
  }
  sky_text_put(t, "\n");
}

sky_status sky_content_write_csv(sky_context *ctx, const sky_content *c, const char *path) {
  const size_t K = c->plan.vertical == SKY_CONTENT_COLUMN_ONLY ? 0 : c->plan.levels;
  sky_text t = {.ctx = ctx};
  put_head(&t, c);
  for (size_t i = 0; i < c->n; i++) {
    for (size_t g = 0; g < c->plan.n_gases; g++) {
      const sky_content_gas *gas = &c->gas[g];
      sky_text_printf(&t, "%zu,%s,%s", i, c->plan.gas[g], sky_content_states[c->state[i]]);
      const double row[] = {c->time[i],
                            c->lat[i],
                            c->lon[i],
                            gas->x[i],
                            gas->sigma[i],
                            gas->prior[i],
                            c->surface_pressure[i]};
      put_column(&t, row, sizeof row / sizeof *row);
      for (size_t k = 0; k < 4; k++) {
        put_column(&t, &c->corner_lat[4 * i + k], 1);
        put_column(&t, &c->corner_lon[4 * i + k], 1);
      }
      put_column(&t, c->pressure + i * c->plan.levels, K);
      put_column(&t, c->weight + i * c->plan.levels, K);
      put_column(&t, gas->ak + i * c->plan.levels, K);
      put_column(&t, gas->profile + i * c->plan.levels, K);
      sky_text_put(&t, "\n");
    }
  }
  const size_t length = t.length;
  char *text = sky_text_take(&t);
  if (text == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_file_write_text(ctx, path, text, length);
  sky_free(text);
  return st;
}
