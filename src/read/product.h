/* product.h: what a retrieval product is, as data.
 *
 * A reader is a row of readers.def, or one that a user declares (declare.h): which variable plays
 * which role (with alternatives in order), what the product's conventions are (levels or layers,
 * order, averaging kernel, weights, time) and which soundings its own rules keep. decode*.c
 * interprets the rows; docs/products.md is printed from them. Values are brought to SI while
 * reading, so ranges here are SI. */
#ifndef SKY_READ_PRODUCT_H
#define SKY_READ_PRODUCT_H

#include <math.h>

#include "skyflux/soundings.h"

typedef enum sky_role {
  SKY_ROLE_X,          /* column mole fraction */
  SKY_ROLE_SIGMA,      /* its 1-sigma */
  SKY_ROLE_PRIOR,      /* prior column; without it Σ weight·profile is the prior */
  SKY_ROLE_TIME,       /* CF time, or ISO 8601 text */
  SKY_ROLE_DELTA_TIME, /* offset to TIME, per row or per scanline */
  SKY_ROLE_YEAR,       /* the parts of SKY_TIME_PARTS … */
  SKY_ROLE_MONTH,
  SKY_ROLE_DAY,
  SKY_ROLE_HOUR, /* … which may have a fraction */
  SKY_ROLE_LAT,
  SKY_ROLE_LON,
  SKY_ROLE_CORNER_LAT,
  SKY_ROLE_CORNER_LON,
  SKY_ROLE_ID,
  SKY_ROLE_SURFACE_PRESSURE,
  SKY_ROLE_PRESSURE,        /* per level, or of the K+1 boundaries of layers */
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
  SKY_ROLE_SIMPLE_FLAG,   /* further flags that rules may ask for */
  SKY_ROLE_BIT_FLAG,      /* one bit per failed test */
  SKY_ROLE_MODE,          /* of operation */
  SKY_ROLE_SURFACE_CLASS, /* TROPOMI's bits of land, water, coast, snow */
  SKY_ROLE_LAND_FRACTION,
  SKY_ROLE_CHI2_SWIR,
  SKY_ROLE_CLOUD,    /* optical depth */
  SKY_ROLE_SCANLINE, /* index along and across track, per row or per dimension */
  SKY_ROLE_PIXEL,
  SKY_ROLE_ALBEDO, /* covariates of the column's bias */
  SKY_ROLE_ALBEDO_NIR,
  SKY_ROLE_AEROSOL, /* optical depth, thickness or another measure of the product */
  SKY_ROLE_AIRMASS,
  SKY_ROLE_SOLAR_ZENITH, /* make the air mass where there is none */
  SKY_ROLE_VIEW_ZENITH,
  SKY_ROLE_WIND_EAST,
  SKY_ROLE_WIND_NORTH,
  SKY_ROLE_LEVEL_ALTITUDE, /* of the levels of a profile */
  SKY_ROLE_LEVEL_COUNT,    /* how many of them a row has */
  SKY_ROLE_KERNEL_RANK,    /* decomposition of a profile's kernel: how many vectors count, */
  SKY_ROLE_KERNEL_VALUES,  /* singular values, */
  SKY_ROLE_KERNEL_LEFT,    /* left and */
  SKY_ROLE_KERNEL_RIGHT,   /* right vectors */
  SKY_ROLE_COUNT
} sky_role;

#define SKY_FIELD_PATHS 3
#define SKY_FIELD_FILLS 2

typedef enum sky_need {
  SKY_NEED_NO,
  SKY_NEED_YES,   /* without it the file cannot be read */
  SKY_NEED_KERNEL /* without it the soundings have no kernel (n_levels 0, with a warning) */
} sky_need;

typedef struct sky_field_decl { /* one variable of a product */
  sky_role role;
  sky_need need;
  const char *path[SKY_FIELD_PATHS]; /* alternatives in order; "{gas}", "{GAS}" are replaced */
  const char *assumed;               /* unit when the file states none; NULL: an error then */
  double min, max;                   /* SI; a value outside is treated as missing */
  const char *doc;
  double fill[SKY_FIELD_FILLS]; /* literal fill values that no attribute tells, as stored */
  int n_fills;
} sky_field_decl;

typedef enum sky_relation {
  SKY_EQ,
  SKY_NE,
  SKY_GE,
  SKY_GT,
  SKY_LE,
  SKY_LT,
  SKY_RELATION_COUNT
} sky_relation;
const char *sky_relation_name(sky_relation r); /* "==", "!=", ">=", … */

/* (value & mask) compare number; mask 0: the value itself, in SI where its role has a unit. With
 * plus_factor not 0 the value is factor·role + plus_factor·plus. */
typedef struct sky_clause {
  sky_role role;
  unsigned mask;
  sky_relation compare;
  double number;
  double factor;
  sky_role plus;
  double plus_factor;
} sky_clause;

enum { SKY_PRESET_DEFAULT = 1, SKY_PRESET_STRICT = 2 };

typedef struct sky_rule { /* all clauses together */
  const char *name;       /* a word of --quality: neither comma nor colon nor blank */
  unsigned preset;        /* presets that contain it; 0: by name only */
  sky_drop drop;          /* reason of a sounding that the rule rejects */
  bool keep;              /* true: rejected unless it applies; false: rejected when it applies */
  int n_clauses;
  sky_clause clause[2];
  const char *doc;
} sky_rule;
#define SKY_RULES_MAX 32 /* of one reader: a set of them is a uint32_t */

typedef enum sky_time_rule {
  SKY_TIME_CF,
  SKY_TIME_REFERENCE_DELTA,
  SKY_TIME_ISO,
  SKY_TIME_PARTS /* year, month, day and hour in variables of their own */
} sky_time_rule;
typedef enum sky_pressure_rule {
  SKY_PRESSURE_PER_LEVEL,       /* a variable; its own values decide which end is the surface */
  SKY_PRESSURE_STEPS_TOP_FIRST, /* p_k = surface - k·step from the surface; arrays start at the top
                                   unless ALTITUDE says otherwise */
  SKY_PRESSURE_EDGES            /* of the K+1 boundaries of K layers; they decide as well */
} sky_pressure_rule;
typedef enum sky_kernel_rule {
  SKY_KERNEL_NORMALISED,   /* WEIGHT, AK, PROFILE as stored */
  SKY_KERNEL_SUBCOLUMNS,   /* weight = dry/Σdry, profile = prior subcolumn/dry, prior = Σ/Σ */
  SKY_KERNEL_WET_OPERATOR, /* weight = operator·(1-h2o), profile = wet/(1-h2o) */
  SKY_KERNEL_NONE,         /* the product has none */
  SKY_KERNEL_LOG_SVD       /* X and PROFILE are profiles; column, weights and kernel are made from
                              them and the decomposed kernel of their logarithms (decode_profile.c) */
} sky_kernel_rule;

/* Has a real file of the product been read? docs/products.md says so. */
typedef enum sky_proof {
  SKY_PROOF_LAYOUT,   /* written from its layout; read from synthetic files only */
  SKY_PROOF_RELATIVE, /* a real file of the same layout has been read */
  SKY_PROOF_FILE      /* real files have been read */
} sky_proof;

typedef struct sky_reader {
  const char *id, *title;
  bool automatic;        /* taken by "auto"; others only by name */
  const char *gases[4];  /* NULL-terminated */
  const char *marker[4]; /* variables that must exist for this product; NULL-terminated; "{gas}" is
                            any of its gases */
  const char *absent;    /* a variable that must not, or NULL */
  const char *marker_attr,
      *marker_text; /* and one of the global attributes "a|b" contains a text */
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
  sky_proof proof;
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
/* What is legal for a role, in SI, unless its declaration says otherwise. */
void sky_role_range(sky_role role, double *min, double *max);
/* Roles that a rule cannot do without, up to SKY_ROLE_COUNT. */
const sky_role *sky_kernel_needs(sky_kernel_rule rule);
const sky_role *sky_pressure_needs(sky_pressure_rule rule);
const sky_role *sky_time_needs(sky_time_rule rule);

/* Which rules the option --quality asks of a reader: words separated by commas, each the name of a
 * rule, "default", "strict" or "none"; a sounding passes all of them. "PRODUCT:word" counts for
 * that product alone and then instead of the words without a product. NULL, "" and a list without
 * a word for this reader mean default. *named: rules that were asked for by their own name. */
SKY_NODISCARD sky_status sky_quality_rules(sky_context *ctx, const sky_reader *r, const char *list,
                                           uint32_t *rules, uint32_t *named);

/* The reference page docs/products.md (malloc'd text). */
SKY_NODISCARD sky_status sky_readers_document(sky_context *ctx, char **text);

#endif
