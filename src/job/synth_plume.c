/* synth_plume.c: transport of the invented scenes.
 *
 * Transport is a steady Gaussian plume of the vertical column. A source of Q mol s-1 in a wind U
 * leaves, at the downwind distance s and the crosswind distance n, the column
 *
 *     dN = Q / (sqrt(2 pi) sigma U) * exp(-n^2 / (2 sigma^2))           [mol m-2]
 *
 * Its integral over n is Q/U at every s: mass is conserved. sigma^2 = sigma_0^2 + (K t)^2 with the
 * travel time t = s/U, K = 0.5 m s-1 (Heffter 1965, long ranges) and sigma_0 from the width of the
 * cluster of soundings that shares a footprint. A cell of flux F and area A emits Q = F A, so that
 * the column footprint is
 *
 *     h = A / (sqrt(2 pi) sigma U N_air) * exp(-n^2 / (2 sigma^2)) * Phi(s / sigma_0)
 *
 * in (mol/mol)/(mol m-2 s-1), with N_air = (p_s - p_top) / (g M_air), 3.57e5 mol m-2 at 1013 hPa;
 * Phi, the normal distribution function, is the share of the cluster downwind of the cell. */
#include "src/job/synth_plume.h"

#include <math.h>

#include "src/core/rng.h"

static const double RADIANS = 3.14159265358979323846 / 180.0;
static const double EARTH = 6371008.8; /* m, mean radius */
static const double SPREAD = 0.5;      /* m s-1, Heffter 1965 */

void sky_plume_footprint(const sky_plume *p, const sky_grid *grid, const double *area,
                         double *row) {
  enum { SUB = 3 }; /* points a side that a cell is averaged over */
  const double u = -sin(p->from * RADIANS), v = -cos(p->from * RADIANS);
  for (size_t cell = 0; cell < sky_grid_cells(grid); cell++) {
    const double *x = grid->x_edge + cell % grid->nx, *y = grid->y_edge + cell / grid->nx;
    double mean = 0;
    for (size_t k = 0; k < SUB * SUB; k++) {
      const double lon = x[0] + (x[1] - x[0]) * ((double)(k % SUB) + 0.5) / SUB;
      const double lat = y[0] + (y[1] - y[0]) * ((double)(k / SUB) + 0.5) / SUB;
      const double dx = (p->lon - lon) * RADIANS * EARTH * cos(0.5 * (lat + p->lat) * RADIANS);
      const double dy = (p->lat - lat) * RADIANS * EARTH;
      const double s = dx * u + dy * v; /* the receptor lies s downwind of the cell */
      const double n = dx * v - dy * u;
      const double drift = s > 0 ? SPREAD * s / p->speed : 0;
      const double sigma = sqrt(p->width * p->width + drift * drift);
      if (s < -4 * p->width || fabs(n) > 5 * sigma) continue;
      mean += 0.5 * erfc(-s / p->width * sqrt(0.5)) * exp(-0.5 * (n / sigma) * (n / sigma)) / sigma;
    }
    mean /= SUB * SUB * sqrt(360 * RADIANS);
    row[cell] = area[cell] * mean / (p->speed * p->air);
  }
}

void sky_waves_make(uint64_t seed, uint64_t stream, double number, sky_waves *out) {
  for (uint64_t w = 0; w < 8; w++) {
    out->kx[w] = number * (sky_rng_uniform(seed, stream, 3 * w) - 0.5);
    out->ky[w] = number * (sky_rng_uniform(seed, stream, 3 * w + 1) - 0.5);
    out->phase[w] = 360 * RADIANS * sky_rng_uniform(seed, stream, 3 * w + 2);
  }
}

double sky_waves_at(const sky_waves *w, double x, double y) {
  double sum = 0;
  for (size_t i = 0; i < 8; i++)
    sum += cos(w->kx[i] * x + w->ky[i] * y + w->phase[i]);
  return 0.5 * sum; /* the variance of a cosine is a half */
}
