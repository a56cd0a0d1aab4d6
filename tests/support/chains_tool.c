/* chains_tool FILE CHAINS DRAWS DIVERGENT: our summary of the draws in a file of raw doubles, as
 * text: mean sd, five quantiles, rhat ess_bulk ess_tail mc_error, the verdict. numpy computes the
 * same in tests/property/test_chains_numpy.py. */
#include <stdio.h>
#include <stdlib.h>

#include "algorithms/inversion/chains.h"
#include "src/core/memory.h"

int main(int argc, char **argv) {
  sky_context *ctx;
  if (argc != 5 || sky_context_create(&ctx) != SKY_OK) return 2;
  const size_t chains = strtoul(argv[2], NULL, 10), draws = strtoul(argv[3], NULL, 10);
  double *v = SKY_NEW(ctx, double, chains *draws);
  FILE *f = fopen(argv[1], "rb");
  if (v == NULL || f == NULL || fread(v, sizeof *v, chains * draws, f) != chains * draws) return 1;
  fclose(f);
  sky_chain_summary s;
  if (sky_chain_summarise(ctx, v, chains, draws, 1, strtoul(argv[4], NULL, 10), &s) != SKY_OK) {
    fprintf(stderr, "%s\n", sky_error(ctx));
    return 1;
  }
  printf("%.17g %.17g", s.mean, s.sd);
  for (int k = 0; k < SKY_CHAIN_QUANTILES; k++)
    printf(" %.17g", s.quantile[k]);
  printf(" %.17g %.17g %.17g %.17g\n%s\n", s.rhat, s.ess_bulk, s.ess_tail, s.mc_error,
         sky_chain_verdict_text(s.verdict));
  sky_free(v);
  sky_context_free(ctx);
  return 0;
}
