/* synth_city_truth.c: soundings of the true fluxes, with the errors of the case.
 *
 *     X_i = prior_i + (H x)_block + background_i + bias_i + σ (√0.7 z_i + √0.3 z_block) + ρ
 * z'_block
 *
 * Matched: H of the footprint files on the job's cells, one background offset N(0, sd²) for each
 * overpass (N2O: day), no bias. So y = H x + b + e holds as the job has it, to the float32 of the
 * files.
 *
 * Mismatched: H of another wind, turned by some degrees and 12 % too fast or slow, errors that last
 * for half a day; the background has a gradient and plumes from outside; a bias goes with the
 * albedo. */
#include "src/job/synth_city_truth.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/sum.h"
#include "src/job/synth_files.h"

/* What city.yaml states, and what the soundings are drawn from. */
static const double SHARED = 0.3;                                            /* error.correlation */
static const double REPRESENTATION[SKY_CITY_GASES] = {0.3e-6, 3e-9, 0.3e-9}; /* mol mol-1 */
static const double OFFSET[SKY_CITY_GASES] = {1e-6, 15e-9, 1e-9};            /* background.sd */
/* Of the mismatched case only: across 48 km; height of a plume from outside; per unit of albedo. */
static const double GRADIENT[SKY_CITY_GASES] = {0.3e-6, 4e-9, 0.1e-9};
static const double OUTSIDE[SKY_CITY_GASES] = {0.4e-6, 6e-9, 0.1e-9};
static const double ALBEDO[SKY_CITY_GASES] = {2e-6, 40e-9, 0};
static const double TURN = 7, FASTER = 0.12, MEMORY = 0.5; /* degrees, relative, days */

enum { /* the number of the pass is added */
       STREAM_OFFSET = 1000,
       STREAM_NOISE = 2000,
       STREAM_BLOCK = 3000,
       STREAM_TRANSPORT = 4000,
       STREAM_OUTSIDE = 5000,
       STREAM_WIND = 6000
};

/* Enhancement of every row of the footprints, mol mol-1: those of the passes one after the other.
 */
static sky_status see(sky_context *ctx, const sky_city_pass *pass, const sky_footprints *all,
                      const sky_city_flux *f, double *enhancement) {
  sky_footprints rows = {0};
  double *outside = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(outside, SKY_NEW(ctx, double, all->n_rows));
  SKY_GO(sky_footprints_to_mesh(ctx, all, &f->mesh, &rows, outside));
  size_t r = 0;
  for (size_t p = 0; p < SKY_CITY_PASSES; p++) {
    const sky_city_gas gas = sky_city_days[pass[p].day].gas;
    for (size_t k = 0; k < pass[p].n_block; k++) {
      sky_acc sum = {0};
      if (pass[p].block[k].n == 0) continue;
      for (size_t i = rows.rowptr[r]; i < rows.rowptr[r + 1]; i++) {
        const size_t c = (size_t)rows.col[i];
        sky_acc_add(&sum, rows.val[i] * f->emission[gas][c]);
        if (gas == SKY_CITY_CO2) sky_acc_add(&sum, rows.val[i] * f->land[c]);
      }
      enhancement[r++] = sky_acc_value(&sum);
    }
  }
cleanup:
  sky_free(outside);
  sky_footprints_free(&rows);
  return st;
}

/* Of the mismatched case: gradient, a plume from outside along the wind of the day, albedo. */
static double disturbance(const sky_city_scene *scene, const sky_city_pass *p, uint64_t seed,
                          uint64_t number, const sky_city_sounding *s) {
  const sky_city_day *d = &sky_city_days[p->day];
  const uint64_t stream = STREAM_OUTSIDE + number;
  const double from = d->from / 57.29577951308232;
  double x = s->lon, y = s->lat;
  sky_crs_from_lonlat(scene->crs, 1, &x, &y);
  x = (x - SKY_CITY_WEST) / SKY_CITY_SIDE - 0.5;
  y = (y - SKY_CITY_SOUTH) / SKY_CITY_SIDE - 0.5;
  const double tilt = 6.283185307179586 * sky_rng_uniform(seed, stream, 0);
  const double across =
      x * cos(from) - y * sin(from) - 0.8 * (sky_rng_uniform(seed, stream, 1) - 0.5);
  const double height = OUTSIDE[d->gas] * sky_rng_uniform(seed, stream, 2);
  return GRADIENT[d->gas] * (x * cos(tilt) + y * sin(tilt)) +
         height * exp(-0.5 * pow(across / 0.12, 2)) + ALBEDO[d->gas] * (s->albedo - 0.2);
}

/* enhancement: of the blocks that have a footprint; 0 for the soundings of others. */
static sky_status retrieve(sky_context *ctx, const sky_city_scene *scene, sky_city_pass *p,
                           uint64_t seed, uint64_t number, bool matched,
                           const double *enhancement) {
  const sky_city_gas gas = sky_city_days[p->day].gas;
  double *block = SKY_NEW0(ctx, double, p->n_block);
  if (block == NULL) return SKY_E_NOMEM;
  for (size_t k = 0, r = 0; k < p->n_block; k++)
    if (p->block[k].n > 0) block[k] = enhancement[r++];
  for (size_t i = 0; i < p->n; i++) {
    sky_city_sounding *s = &p->sounding[i];
    const double midnight = sky_city_midnight(p->day);
    const uint64_t group = gas == SKY_CITY_N2O ? (uint64_t)((s->time - midnight) / 86400) : 0;
    s->x = s->prior + block[s->block] +
           OFFSET[gas] * sky_rng_normal(seed, STREAM_OFFSET + number, group) +
           p->sigma * sqrt(1 - SHARED) * sky_rng_normal(seed, STREAM_NOISE + number, i) +
           p->sigma * sqrt(SHARED) * sky_rng_normal(seed, STREAM_BLOCK + number, s->block) +
           REPRESENTATION[gas] * sky_rng_normal(seed, STREAM_TRANSPORT + number, s->block);
    if (!matched) s->x += disturbance(scene, p, seed, number, s);
  }
  sky_free(block);
  return SKY_OK;
}

/* Errors of speed and direction of the wind: N(0,1), correlated as exp(-t/MEMORY). */
typedef struct wind_error {
  double time, z[2];
  uint64_t count;
} wind_error;

static void wind_step(uint64_t seed, double time, wind_error *w) {
  const double kept = w->count == 0 ? 0 : exp(-(time - w->time) / 86400 / MEMORY);
  for (uint64_t k = 0; k < 2; k++)
    w->z[k] =
        kept * w->z[k] + sqrt(1 - kept * kept) * sky_rng_normal(seed, STREAM_WIND + k, w->count);
  w->time = time;
  w->count++;
}

/* Footprints of one pass in the wind that was. Blocks of an overpass share their time; those of the
 * ground stations stand by station and time. */
static sky_status other_wind(sky_context *ctx, const sky_city_scene *scene, uint64_t seed,
                             const sky_city_pass *p, wind_error *w, sky_footprints *out) {
  double *faster = SKY_NEW(ctx, double, p->n_block), *turn = SKY_NEW(ctx, double, p->n_block);
  sky_status st = faster == NULL || turn == NULL ? SKY_E_NOMEM : SKY_OK;
  for (size_t k = 0; k < p->n_block && st == SKY_OK; k++) {
    const bool later = w->count == 0 || p->block[k].start > w->time;
    if (later) wind_step(seed, p->block[k].start, w);
    size_t same = 0; /* an earlier station has drawn the error of this hour */
    while (!later && p->block[same].start < p->block[k].start)
      same++;
    faster[k] = later || same == k ? exp(FASTER * w->z[0]) : faster[same];
    turn[k] = later || same == k ? TURN * w->z[1] : turn[same];
  }
  if (st == SKY_OK) st = sky_city_footprints(ctx, scene, p, faster, turn, out);
  sky_free(faster);
  sky_free(turn);
  return st;
}

/* The footprints of the passes one after the other, in the wind that was. */
static sky_status true_footprints(sky_context *ctx, const sky_city_scene *scene, uint64_t seed,
                                  bool matched, const sky_city_pass *pass,
                                  const sky_footprints *footprint, sky_footprints *all) {
  wind_error w = {0};
  for (size_t p = 0; p < SKY_CITY_PASSES; p++) {
    sky_footprints other = {0};
    sky_status st = SKY_OK;
    if (!matched) st = other_wind(ctx, scene, seed, &pass[p], &w, &other);
    if (st == SKY_OK) st = sky_footprints_append(ctx, all, matched ? &footprint[p] : &other);
    sky_footprints_free(&other);
    SKY_TRY(st);
  }
  return SKY_OK;
}

static sky_status observe(sky_context *ctx, const sky_city_scene *scene, uint64_t seed,
                          bool matched, const sky_city_flux *flux, sky_city_pass *pass,
                          const sky_footprints *footprint) {
  sky_footprints all = {0};
  double *enhancement = NULL;
  sky_status st = SKY_OK;
  SKY_GO(true_footprints(ctx, scene, seed, matched, pass, footprint, &all));
  SKY_GO_ALLOC(enhancement, SKY_NEW(ctx, double, all.n_rows));
  SKY_GO(see(ctx, pass, &all, flux, enhancement));
  const double *at = enhancement;
  for (uint64_t p = 0; p < SKY_CITY_PASSES; p++) {
    SKY_GO(retrieve(ctx, scene, &pass[p], seed, p, matched, at));
    at += footprint[p].n_rows;
  }
cleanup:
  sky_free(enhancement);
  sky_footprints_free(&all);
  return st;
}

static sky_status make(sky_context *ctx, const sky_city_scene *scene, const char *dir,
                       uint64_t seed, sky_city_case which, sky_city_pass *pass,
                       const sky_footprints *footprint) {
  static const char *const ABOUT[SKY_CITY_CASES] = {"truth_mismatched.txt", "truth_matched.txt",
                                                    "truth_strong_n2o.txt"};
  sky_city_flux flux = {0};
  char *about = NULL;
  sky_status st = SKY_OK;
  SKY_GO(sky_city_flux_make(ctx, scene, dir, seed, which, &flux));
  SKY_GO(observe(ctx, scene, seed, which == SKY_CITY_MATCHED, &flux, pass, footprint));
  SKY_GO(sky_city_flux_write(ctx, &flux, dir));
  SKY_GO_ALLOC(about, sky_sprintf(ctx, "%s/truth/README.txt", dir));
  SKY_GO(sky_synth_write_text(ctx, about, ABOUT[which], NULL, 0));
cleanup:
  sky_city_flux_free(&flux);
  sky_free(about);
  return st;
}

sky_status sky_city_truth_make(sky_context *ctx, const sky_city_scene *scene, const char *dir,
                               uint64_t seed, sky_city_case which, sky_city_pass *pass,
                               const sky_footprints *footprint) {
  sky_context *quiet = NULL; /* what the stages of the layers log is for the job's own run */
  SKY_TRY(sky_context_create(&quiet));
  sky_context_set_log(quiet, NULL, NULL, SKY_LOG_ERROR);
  sky_context_set_progress(quiet, SKY_PROGRESS_NONE);
  sky_context_set_threads(quiet, sky_context_threads(ctx));
  sky_context_set_memory(quiet, sky_context_memory(ctx));
  sky_status st = make(quiet, scene, dir, seed, which, pass, footprint);
  if (st != SKY_OK) st = sky_fail(ctx, st, "%s", sky_error(quiet));
  sky_context_free(quiet);
  return st;
}
