/* invert_sign.h: `skyflux invert --sign`: the mode between bounds and sampled posteriors. */
#ifndef SKY_CLI_INVERT_SIGN_H
#define SKY_CLI_INVERT_SIGN_H

#include "algorithms/inversion/sampling.h"
#include "src/cli/invert_zones.h"

typedef struct sky_invert_sign {
  const char *sign;                    /* NULL = gaussian */
  const char *samples, *chains, *seed; /* texts of the options; NULL = default */
} sky_invert_sign;

/* Takes the options of this file; *taken is false for others. */
SKY_NODISCARD sky_status sky_invert_sign_option(sky_context *ctx, sky_invert_sign *s,
                                                const char *name, const char *value, bool *taken);
/* True if anything but the Gaussian solve is asked for; SKY_E_USAGE for words that do not fit. */
SKY_NODISCARD sky_status sky_invert_sign_wanted(sky_context *ctx, const sky_invert_sign *s,
                                                bool *wanted);
SKY_NODISCARD sky_status sky_invert_sign_run(sky_context *ctx, const sky_invert_sign *s,
                                             const char *problem, const char *output,
                                             sky_invert_zones *zones, bool json);

/* How many draws and chains; `absent` draws where --samples is not given. */
SKY_NODISCARD sky_status sky_invert_sign_sampling(sky_context *ctx, const sky_invert_sign *s,
                                                  double absent, sky_sampling *how);

#define SKY_INVERT_SIGN_OPTIONS                                                    \
  {"sign", 0, "MODEL", "gaussian (default), nonnegative, lognormal"},              \
      {"samples", 0, "N", "draws a chain of the joint posterior (with --sign)"}, { \
    "chains", 0, "K", "chains that start apart (default 4)"                        \
  }

#endif
