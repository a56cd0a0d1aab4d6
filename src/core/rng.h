/* rng.h: counter-based random numbers (Philox 4x32-10, Salmon et al. 2011, SC'11).
 *
 * Draw i of stream (seed, stream) does not depend on any other draw, so results are the same for
 * any thread count and restart. */
#ifndef SKY_CORE_RNG_H
#define SKY_CORE_RNG_H

#include <stdint.h>

/* Uniform in (0,1), and standard normal (Box–Muller on two uniforms of the same counter). */
double sky_rng_uniform(uint64_t seed, uint64_t stream, uint64_t i);
double sky_rng_normal(uint64_t seed, uint64_t stream, uint64_t i);
/* The raw block, for the known-answer test. */
void sky_rng_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif
