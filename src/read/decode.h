/* decode.h: the rooms of the engine that turns a product file into soundings by its declaration
 * (private to src/read).
 *
 *   probe.c          which reader takes the file, which gases it holds
 *   decode.c         order of the work; value, position, choice of rows
 *   decode_field.c   one variable in SI: alternatives, fill, ranges, wrong units, chosen rows
 *   decode_time.c    the ways in which products tell the time; passes
 *   decode_kernel.c  levels, layers, orientation, weights, prior
 *   decode_profile.c columns, weights and kernels of products that give profiles
 *   decode_more.c    indices in the swath, surface, covariates
 *   decode_rule.c    which rules are asked for, and why a sounding is dropped
 *
 * Every function that fails leaves a message with file and variable. */
#ifndef SKY_READ_DECODE_H
#define SKY_READ_DECODE_H

#include "src/core/species.h"
#include "src/read/declare.h"
#include "src/read/granule.h"
#include "src/read/nc.h"
#include "src/read/product.h"

typedef struct decode_profiles decode_profiles;

typedef struct decoder {
  sky_context *ctx;
  sky_nc *f;
  const sky_reader *r;
  const sky_species *gas;
  const sky_selection *sel;
  char *path[SKY_ROLE_COUNT]; /* variable of the file; NULL: absent */
  sky_nc_var shape;           /* of the column value: its last dimensions are the swath's */
  size_t n;                   /* rows of the file */
  size_t n_levels;
  char no_kernel[64];            /* the kernel note when the file lacks a kernel variable, or "" */
  size_t m, *row;                /* chosen rows, ascending */
  uint8_t *outside;              /* [m] SKY_DROP_BOX, SKY_DROP_PERIOD or 0 */
  double *flag[SKY_ROLE_COUNT];  /* [m] values that the rules ask for */
  uint32_t rules;                /* of r that are asked for */
  double repair[SKY_ROLE_COUNT]; /* factor of a wrong unit; 0: not yet known */
  char x_units[128];             /* unit as stated by the value */
  decode_profiles *profiles;     /* of a product of profiles, else NULL */
  sky_soundings s;
  size_t *drops;
} decoder;

/* probe.c. declared may be NULL. */
SKY_NODISCARD sky_status sky_probe(sky_context *ctx, sky_nc *f, const char *product,
                                   const sky_declared *declared, const sky_reader **out);
SKY_NODISCARD sky_status sky_probe_gases(sky_context *ctx, sky_nc *f, const sky_reader *r,
                                         sky_granule_info *out);
/* "/x{gas}" -> "/xch4", "/X{GAS}" -> "/XCH4"; malloc'd. */
char *sky_path_expand(sky_context *ctx, const char *pattern, const char *gas);

/* decode_field.c */
/* Finds the variable of every role; SKY_E_FORMAT lists what is missing. */
SKY_NODISCARD sky_status decode_resolve(decoder *d);
/* All values of a role, in SI, values outside the declared range as NaN. */
SKY_NODISCARD sky_status decode_read(decoder *d, sky_role role, sky_nc_var *info, double **out);
/* The same for a variable with one value a row. */
SKY_NODISCARD sky_status decode_read_rows(decoder *d, sky_role role, double **out);
/* The chosen rows of a role with `width` values a row -> dst [m*width]; a variable of `width`
 * values is shared by all rows. Absent: dst is untouched. */
SKY_NODISCARD sky_status decode_gather(decoder *d, sky_role role, size_t width, double *dst);
SKY_NODISCARD sky_status decode_wrong_count(decoder *d, sky_role role, size_t got, size_t expected);

/* decode_time.c: time of every row (malloc'd [n]), NaN where it is missing. */
SKY_NODISCARD sky_status decode_times(decoder *d, double **out);

/* decode_kernel.c */
SKY_NODISCARD sky_status decode_count_levels(decoder *d);
SKY_NODISCARD sky_status decode_kernels(decoder *d);

/* decode_profile.c. Value of every row (malloc'd [n]); sets n, shape and profiles. */
SKY_NODISCARD sky_status decode_profile_columns(decoder *d, double **x);
void decode_profile_kernels(decoder *d);
size_t decode_profile_levels(const decode_profiles *p);
void decode_profiles_free(decode_profiles *p); /* NULL-safe */

/* decode_more.c */
SKY_NODISCARD sky_status decode_more(decoder *d);

/* decode_rule.c: the rules of the selection; the values that rules of one drop reason ask for; and
 * the reasons, first those that need no kernel. */
SKY_NODISCARD sky_status decode_choose_rules(decoder *d);
SKY_NODISCARD sky_status decode_read_flags(decoder *d, sky_drop reason);
void decode_free_flags(decoder *d);
void decode_drop_early(decoder *d);
void decode_drop_late(decoder *d);

#endif
