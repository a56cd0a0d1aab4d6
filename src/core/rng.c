/* rng.c: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). */
#include "src/core/rng.h"

#include <math.h>

void sky_rng_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u; /* golden ratio */
    k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/* Counter = (draw, stream), key = seed. */
static void block(uint64_t seed, uint64_t stream, uint64_t i, uint32_t out[4]) {
  const uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)stream,
                               (uint32_t)(stream >> 32)};
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  sky_rng_philox4x32(counter, key, out);
}

/* 52 random bits at the middle of their interval: never 0, never 1. */
static double open_unit(uint32_t high, uint32_t low) {
  const uint64_t bits = ((uint64_t)high << 32 | low) >> 12;
  return ((double)bits + 0.5) * 0x1p-52;
}

double sky_rng_uniform(uint64_t seed, uint64_t stream, uint64_t i) {
  uint32_t r[4];
  block(seed, stream, i, r);
  return open_unit(r[0], r[1]);
}

double sky_rng_normal(uint64_t seed, uint64_t stream, uint64_t i) {
  static const double TWO_PI = 6.283185307179586476925;
  uint32_t r[4];
  block(seed, stream, i, r);
  return sqrt(-2.0 * log(open_unit(r[0], r[1]))) * cos(TWO_PI * open_unit(r[2], r[3]));
}
