/* product.h: what a retrieval product is, as data.
 *
 * A reader is a row of readers.def: which variable plays which role (with alternatives in order),
 * what the product's conventions are (levels or layers, order, averaging kernel, weights, time) and
 * which soundings its own rules keep. granule.c interprets the rows; docs/products.md is printed
 * from them. Values are brought to SI while reading, so ranges here are SI. */
#ifndef SKY_READ_PRODUCT_H
#define SKY_READ_PRODUCT_H

#include <math.h>

#include "skyflux/soundings.h"

typedef enum sky_role {
  SKY_ROLE_X,          /* column mole fraction */
  SKY_ROLE_SIGMA,      /* its 1-sigma */
  SKY_ROLE_PRIOR,      /* prior column */
  SKY_ROLE_TIME,       /* CF time, or ISO 8601 text */
  SKY_ROLE_DELTA_TIME, /* offset to TIME, per row or per scanline */
  SKY_ROLE_LAT,
  SKY_ROLE_LON,
  SKY_ROLE_CORNER_LAT,
  SKY_ROLE_CORNER_LON,
  SKY_ROLE_ID,
  SKY_ROLE_SURFACE_PRESSURE,
  SKY_ROLE_PRESSURE,        /* per level */
  SKY_ROLE_PRESSURE_STEP,   /* difference between neighbouring level pressures */
  SKY_ROLE_AK,              /* per level or layer */
  SKY_ROLE_WEIGHT,          /* per level, sums to 1 */
  SKY_ROLE_DRY_SUBCOLUMN,   /* mol m-2 of dry air per layer */
  SKY_ROLE_PROFILE,         /* prior mole fraction per level */
  SKY_ROLE_PRIOR_SUBCOLUMN, /* mol m-2 of the gas per layer */
  SKY_ROLE_OPERATOR,        /* integration weights for wet mole fractions, per level */
  SKY_ROLE_WATER,           /* wet mole fraction of H2O per level */
  SKY_ROLE_ALTITUDE,        /* of the K+1 level boundaries: decides which end is the surface */
  SKY_ROLE_AK_AXIS,         /* altitude of the kernel's levels … */
  SKY_ROLE_PROFILE_AXIS,    /* … and of the prior's: must be the same */
  SKY_ROLE_QUALITY,
  SKY_ROLE_SURFACE_CLASS,
  SKY_ROLE_CHI2_SWIR,
  SKY_ROLE_COUNT
} sky_role;

#define SKY_FIELD_PATHS 3

typedef struct sky_field_decl { /* one variable of a product */
  sky_role role;
  bool required;
  const char *path[SKY_FIELD_PATHS]; /* alternatives in order; "{gas}" is replaced */
  const char *assumed;               /* unit when the file states none; NULL: an error then */
  double min, max;                   /* SI; a value outside is treated as missing */
  const char *doc;
} sky_field_decl;

typedef enum sky_relation { SKY_EQ, SKY_GE, SKY_GT } sky_relation;

typedef struct sky_clause { /* (value & mask) compare number; mask 0 = the value itself */
  sky_role role;
  unsigned mask;
  sky_relation compare;
  double number;
} sky_clause;

typedef struct sky_rule { /* all clauses together */
  const char *name;
  sky_drop drop; /* reason of a sounding that the rule rejects */
  bool keep;     /* true: rejected unless it applies; false: rejected when it applies */
  int n_clauses;
  sky_clause clause[2];
  const char *doc;
} sky_rule;

typedef enum sky_time_rule { SKY_TIME_CF, SKY_TIME_REFERENCE_DELTA, SKY_TIME_ISO } sky_time_rule;
typedef enum sky_pressure_rule {
  SKY_PRESSURE_PER_LEVEL,      /* a variable; its own values decide which end is the surface */
  SKY_PRESSURE_STEPS_TOP_FIRST /* p_k = surface - k·step from the surface; arrays start at the top
                                  unless ALTITUDE says otherwise */
} sky_pressure_rule;
typedef enum sky_kernel_rule {
  SKY_KERNEL_NORMALISED,  /* WEIGHT, AK, PROFILE as stored */
  SKY_KERNEL_SUBCOLUMNS,  /* weight = dry/Σdry, profile = prior subcolumn/dry, prior = Σ/Σ */
  SKY_KERNEL_WET_OPERATOR /* weight = operator·(1-h2o), profile = wet/(1-h2o) */
} sky_kernel_rule;

typedef struct sky_reader {
  const char *id, *title;
  bool automatic;        /* taken by "auto"; others only by name */
  const char *gases[4];  /* NULL-terminated */
  const char *marker[4]; /* variables that must exist for this product; NULL-terminated */
  const char *marker_attr, *marker_text; /* and a global attribute that contains a text (or NULL) */
  sky_vertical vertical;
  sky_time_rule time;
  sky_pressure_rule pressure;
  sky_kernel_rule kernel;
  double weight_tolerance, prior_tolerance; /* see sky_kernel_check */
  const char *kernel_note;                  /* <= 63 bytes, goes into the harmonised file */
  const sky_field_decl *field;
  size_t n_fields;
  const sky_rule *rule;
  size_t n_rules;
  const char *reference; /* where the conventions are documented */
} sky_reader;

size_t sky_reader_count(void);
const sky_reader *sky_reader_at(size_t i);
const sky_reader *sky_reader_find(const char *id); /* NULL if unknown */
/* Declaration of a role, NULL if the product has none. */
const sky_field_decl *sky_reader_field(const sky_reader *r, sky_role role);
bool sky_reader_has_gas(const sky_reader *r, const char *gas);

const char *sky_role_name(sky_role role);
const char *sky_role_unit(sky_role role); /* SI unit; NULL: read as stored */

/* The reference page docs/products.md (malloc'd text). */
SKY_NODISCARD sky_status sky_readers_document(sky_context *ctx, char **text);

#endif
