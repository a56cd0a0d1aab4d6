/* clean_soundings.c: the cleaning steps of one granule, and their trial on anomalies that are
 * known.
 *
 * Order: surface rules, positions, stripes, outliers (duplicates lie between granules:
 * harmonise_join.c). Each step looks at what the ones before it left. */
#include <math.h>
#include <string.h>

#include "algorithms/column/clean.h"
#include "algorithms/column/destripe.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/species.h"
#include "src/job/harmonise_part.h"

/* --- the steps ---------------------------------------------------------------------------------
 */

void sky_part_drop(sky_soundings *s, size_t i, sky_drop reason) {
  uint64_t *count = s->granule_drops + (size_t)s->granule[i] * SKY_DROP_COUNT;
  --count[s->drop[i]];
  ++count[reason];
  s->drop[i] = (uint8_t)reason;
}

static void drop_surface(sky_soundings *s, unsigned clean) {
  for (size_t i = 0; i < s->n; ++i) {
    const int type = s->surface[i] & SKY_SURFACE_TYPE;
    const bool out = ((clean & SKY_CLEAN_COAST) && type == SKY_SURFACE_COAST) ||
                     ((clean & SKY_CLEAN_WATER) && type == SKY_SURFACE_WATER) ||
                     ((clean & SKY_CLEAN_SNOW) && (s->surface[i] & SKY_SURFACE_SNOW));
    if (out && s->drop[i] == SKY_DROP_NONE) sky_part_drop(s, i, SKY_DROP_SURFACE);
  }
}

static sky_clean_set set_of(const sky_soundings *s, const uint8_t *use) {
  return (sky_clean_set){s->n,     s->time,       s->lat,        s->lon,      s->x,
                         s->sigma, s->corner_lat, s->corner_lon, s->overpass, use};
}

static void mark_good(const sky_soundings *s, uint8_t *use) {
  for (size_t i = 0; i < s->n; ++i)
    use[i] = s->drop[i] == SKY_DROP_NONE;
}

/* bad: what a test found. */
static void drop_found(sky_soundings *s, const uint8_t *bad, sky_drop reason) {
  for (size_t i = 0; i < s->n; ++i)
    if (bad[i] && s->drop[i] == SKY_DROP_NONE) sky_part_drop(s, i, reason);
}

/* A correction of more than this share of the column is no stripe any more. */
#define STRIPE_LIMIT 0.02

static double median_column(const sky_soundings *s, const uint8_t *use, double *work) {
  size_t n = 0;
  for (size_t i = 0; i < s->n; ++i)
    if (use[i]) work[n++] = s->x[i];
  return sky_median(n, work);
}

static sky_status destripe(sky_context *ctx, sky_soundings *s, const int32_t *line,
                           const int32_t *pixel, uint8_t *use, uint8_t *bad) {
  double *offset = NULL;
  sky_status st = SKY_OK;
  mark_good(s, use);
  SKY_GO_ALLOC(offset, SKY_NEW(ctx, double, s->n));
  const sky_destripe_options opt = {7, 60, 10, STRIPE_LIMIT * median_column(s, use, offset)};
  SKY_GO(sky_destripe(ctx, s->n, line, pixel, s->x, use, &opt, offset, bad));
  SKY_GO(sky_soundings_add(ctx, s, SKY_WITH_STRIPE));
  for (size_t i = 0; i < s->n; ++i) {
    if (!use[i]) continue;
    s->x[i] -= offset[i];
    s->stripe[i] = isnan(s->stripe[i]) ? offset[i] : s->stripe[i] + offset[i];
  }
  drop_found(s, bad, SKY_DROP_STRIPE);
cleanup:
  sky_free(offset);
  return st;
}

/* A push-broom swath knows its pixels. */
static bool is_swath(const sky_soundings *s) {
  for (size_t i = 0; i < s->n; ++i)
    if (s->scanline[i] >= 0 && s->pixel[i] > 0) return true;
  return false;
}

sky_status sky_clean_soundings(sky_context *ctx, sky_soundings *s, unsigned clean) {
  uint8_t *use = NULL, *bad = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(use, SKY_NEW(ctx, uint8_t, s->n));
  SKY_GO_ALLOC(bad, SKY_NEW(ctx, uint8_t, s->n));
  const sky_clean_set set = set_of(s, use);
  drop_surface(s, clean);
  if (clean & SKY_CLEAN_POSITIONS) {
    mark_good(s, use);
    SKY_GO(sky_clean_positions(ctx, &set, bad));
    drop_found(s, bad, SKY_DROP_OUTLIER);
  }
  if ((clean & SKY_CLEAN_STRIPES) && is_swath(s))
    SKY_GO(destripe(ctx, s, s->scanline, s->pixel, use, bad));
  if ((clean & SKY_CLEAN_SCANLINES) && is_swath(s))
    SKY_GO(destripe(ctx, s, s->pixel, s->scanline, use, bad));
  if (clean & SKY_CLEAN_OUTLIERS) {
    mark_good(s, use);
    SKY_GO(sky_clean_outliers(ctx, &set, &SKY_OUTLIER_OPTIONS, bad));
    drop_found(s, bad, SKY_DROP_OUTLIER);
  }
cleanup:
  sky_free(use);
  sky_free(bad);
  return st;
}

/* --- the trial ---------------------------------------------------------------------------------
 */

#define TRIAL_SHARE 0.02 /* of the soundings that become anomalies */
#define TRIAL_LEAST 50   /* soundings without which a granule is not tried */
#define TRIAL_WANTED 400 /* anomalies of a granule, in as many rounds as that takes */
#define TRIAL_ROUNDS 64  /* at most */
#define NO_ANOMALY (-1)

typedef struct trial_set {
  size_t n, n_copies; /* rows n.. are copies of earlier ones */
  double *time, *lat, *lon, *x, *sigma, *corner_lat, *corner_lon;
  int32_t *overpass;
  int *kind; /* [n+n_copies] */
  uint8_t *use, *bad, *found;
} trial_set;

static void trial_free(trial_set *t) {
  sky_free(t->time);
  sky_free(t->lat);
  sky_free(t->lon);
  sky_free(t->x);
  sky_free(t->sigma);
  sky_free(t->corner_lat);
  sky_free(t->corner_lon);
  sky_free(t->overpass);
  sky_free(t->kind);
  sky_free(t->use);
  sky_free(t->bad);
  sky_free(t->found);
}

static sky_status trial_alloc(sky_context *ctx, const sky_soundings *s, size_t n, trial_set *t) {
  double **const row[] = {&t->time, &t->lat, &t->lon, &t->x, &t->sigma};
  uint8_t **const flag[] = {&t->use, &t->bad, &t->found};
  sky_status st = SKY_OK;
  for (size_t k = 0; k < sizeof row / sizeof *row; ++k)
    SKY_GO_ALLOC(*row[k], SKY_NEW(ctx, double, 2 * n));
  for (size_t k = 0; k < sizeof flag / sizeof *flag; ++k)
    SKY_GO_ALLOC(*flag[k], SKY_NEW0(ctx, uint8_t, 2 * n));
  SKY_GO_ALLOC(t->overpass, SKY_NEW(ctx, int32_t, 2 * n));
  SKY_GO_ALLOC(t->kind, SKY_NEW(ctx, int, 2 * n));
  if (s->corner_lat != NULL) {
    SKY_GO_ALLOC(t->corner_lat, SKY_NEW(ctx, double, 8 * n));
    SKY_GO_ALLOC(t->corner_lon, SKY_NEW(ctx, double, 8 * n));
  }
cleanup:
  return st;
}

static void copy_row(trial_set *t, size_t to, const double *corner_lat, const double *corner_lon,
                     double time, double lat, double lon, double x, double sigma, int32_t pass) {
  t->time[to] = time;
  t->lat[to] = lat;
  t->lon[to] = lon;
  t->x[to] = x;
  t->sigma[to] = sigma;
  t->overpass[to] = pass;
  t->kind[to] = NO_ANOMALY;
  t->use[to] = 1;
  if (t->corner_lat == NULL) return;
  memcpy(t->corner_lat + 4 * to, corner_lat, 4 * sizeof *corner_lat);
  memcpy(t->corner_lon + 4 * to, corner_lon, 4 * sizeof *corner_lon);
}

/* Draw `k` of row i; the stream is the granule's name and the round, so that shards draw the same.
 */
static double draw(uint64_t stream, size_t i, unsigned k) {
  return sky_rng_uniform(20240501, stream, 8 * i + k);
}

static uint64_t stream_of(const char *name) {
  uint64_t hash = 14695981039346656037U; /* FNV-1a */
  for (; *name != '\0'; ++name)
    hash = (hash ^ (unsigned char)*name) * 1099511628211U;
  return hash;
}

/* Values move by 8 to 30 robust widths of the granule, units by 1000, places by 5 to 20 degrees. */
static void spoil(trial_set *t, size_t i, int kind, double width, uint64_t stream) {
  const double sign = draw(stream, i, 2) < 0.5 ? -1 : 1, size = draw(stream, i, 3);
  const double w = fmax(width, t->sigma[i]);
  t->kind[i] = kind;
  if (kind == SKY_TRIAL_VALUE) t->x[i] += sign * (8 + 22 * size) * w;
  if (kind == SKY_TRIAL_UNIT) t->x[i] *= sign > 0 ? 1e3 : 1e-3;
  if (kind == SKY_TRIAL_POSITION) {
    const double away = 5 + 15 * size;
    t->lat[i] += t->lat[i] > 0 ? -away : away;
    t->lon[i] = remainder(t->lon[i] + sign * away, 360);
  }
  if (kind == SKY_TRIAL_DUPLICATE) {
    const size_t to = t->n + t->n_copies++;
    t->kind[i] = NO_ANOMALY;
    copy_row(t, to, t->corner_lat == NULL ? NULL : t->corner_lat + 4 * i,
             t->corner_lat == NULL ? NULL : t->corner_lon + 4 * i, t->time[i], t->lat[i], t->lon[i],
             t->x[i], t->sigma[i], t->overpass[i]);
    t->kind[to] = SKY_TRIAL_DUPLICATE;
  }
}

static void note(trial_set *t, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (!t->bad[i]) continue;
    t->found[i] = 1;
    t->use[i] = 0;
  }
}

static sky_status find_copies(sky_context *ctx, trial_set *t, size_t n) {
  sky_sighting *order = SKY_NEW(ctx, sky_sighting, n);
  if (order == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; ++i)
    order[i] = (sky_sighting){t->time[i], t->lat[i], t->lon[i], i};
  memset(t->bad, 0, n);
  sky_sightings_sort(order, n);
  sky_clean_duplicates(order, n, order, n, t->bad);
  sky_free(order);
  note(t, n);
  return SKY_OK;
}

static sky_status run_tests(sky_context *ctx, trial_set *t, const sky_species *gas,
                            unsigned clean) {
  const size_t n = t->n + t->n_copies;
  const sky_clean_set set = {n,        t->time,       t->lat,        t->lon,      t->x,
                             t->sigma, t->corner_lat, t->corner_lon, t->overpass, t->use};
  for (size_t i = 0; i < n; ++i)
    t->bad[i] = !(t->x[i] >= gas->column_min && t->x[i] <= gas->column_max);
  note(t, n);
  if (clean & SKY_CLEAN_DUPLICATES) SKY_TRY(find_copies(ctx, t, n));
  if (clean & SKY_CLEAN_POSITIONS) {
    SKY_TRY(sky_clean_positions(ctx, &set, t->bad));
    note(t, n);
  }
  if (clean & SKY_CLEAN_OUTLIERS) {
    SKY_TRY(sky_clean_outliers(ctx, &set, &SKY_OUTLIER_OPTIONS, t->bad));
    note(t, n);
  }
  return SKY_OK;
}

/* One copy with anomalies, and what the tests say. */
static sky_status try_once(sky_context *ctx, const sky_soundings *s, size_t good, unsigned clean,
                           uint64_t stream, sky_trial *trial) {
  const sky_species *gas = sky_species_find(s->gas);
  double median, width;
  trial_set t = {0};
  sky_status st = SKY_OK;
  SKY_GO(trial_alloc(ctx, s, good, &t));
  for (size_t i = 0; i < s->n; ++i) {
    if (s->drop[i] != SKY_DROP_NONE) continue;
    copy_row(&t, t.n++, t.corner_lat == NULL ? NULL : s->corner_lat + 4 * i,
             t.corner_lat == NULL ? NULL : s->corner_lon + 4 * i, s->time[i], s->lat[i], s->lon[i],
             s->x[i], s->sigma[i], s->overpass[i]);
  }
  memcpy(t.x + good, t.x, good * sizeof *t.x); /* room of the copies, still free */
  sky_robust(good, t.x + good, &median, &width);
  for (size_t i = 0; i < good; ++i)
    if (draw(stream, i, 0) < TRIAL_SHARE)
      spoil(&t, i, (int)(SKY_TRIAL_COUNT * draw(stream, i, 1)), width, stream);
  SKY_GO(run_tests(ctx, &t, gas, clean));
  /* What is not asked for is not on trial. */
  const bool tried[SKY_TRIAL_COUNT] = {(clean & SKY_CLEAN_OUTLIERS) != 0, true,
                                       (clean & SKY_CLEAN_POSITIONS) != 0,
                                       (clean & SKY_CLEAN_DUPLICATES) != 0};
  for (size_t i = 0; i < t.n + t.n_copies; ++i) {
    if (t.kind[i] == NO_ANOMALY) {
      ++trial->sound;
      trial->false_alarms += t.found[i];
    } else if (tried[t.kind[i]]) {
      ++trial->injected[t.kind[i]];
      trial->found[t.kind[i]] += t.found[i];
    }
  }
cleanup:
  trial_free(&t);
  return st;
}

/* A granule of a sparse instrument has room for some anomalies only: it is tried again with others,
 * until there are enough to tell 98 % from less. */
sky_status sky_clean_trial(sky_context *ctx, const sky_soundings *s, unsigned clean,
                           sky_trial *trial) {
  const size_t good = sky_soundings_good(s);
  const uint64_t stream = stream_of(s->granules[0]);
  if (good < TRIAL_LEAST) return SKY_OK;
  const double rounds = ceil(TRIAL_WANTED / (TRIAL_SHARE * (double)good));
  for (uint64_t k = 0; (double)k < fmin(rounds, TRIAL_ROUNDS); ++k)
    SKY_TRY(try_once(ctx, s, good, clean, stream + k, trial));
  return SKY_OK;
}
