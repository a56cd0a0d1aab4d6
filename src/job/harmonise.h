/* harmonise.h: any number of product files of one gas -> one harmonised NetCDF, in constant memory.
 *
 * Each granule is decoded, selected and cleaned in a worker process, which leaves its soundings in
 * a scratch folder beside the output and tells the parent only what they are; one more worker sorts
 * the granules by their first sounding (then name), finds duplicates between them and writes the
 * file in pieces. So the bytes do not depend on threads, the order of inputs or shards, and neither
 * a damaged granule nor a full disk ends the program. */
#ifndef SKY_JOB_HARMONISE_H
#define SKY_JOB_HARMONISE_H

#include "grids/zone.h"
#include "src/read/granule.h"

enum { /* sky_harmonise_request.clean */
       SKY_CLEAN_DUPLICATES = 1,
       SKY_CLEAN_POSITIONS = 2,
       SKY_CLEAN_OUTLIERS = 4,
       SKY_CLEAN_STRIPES = 8,    /* per pixel across track */
       SKY_CLEAN_SCANLINES = 16, /* per line along track */
       SKY_CLEAN_COAST = 32,
       SKY_CLEAN_WATER = 64,
       SKY_CLEAN_SNOW = 128
};
/* "duplicates,outliers", "none", "standard" -> bits. */
SKY_NODISCARD sky_status sky_clean_parse(sky_context *ctx, const char *text, unsigned *clean);
/* "duplicates outliers", or "none"; out holds at least 96 bytes. */
void sky_clean_text(unsigned clean, char *out, size_t size);

typedef enum sky_background_method {
  SKY_BACKGROUND_NONE,
  SKY_BACKGROUND_PERCENTILE, /* of each overpass */
  SKY_BACKGROUND_UPWIND,     /* sector where the product's wind comes from */
  SKY_BACKGROUND_SMOOTH,     /* masked normalised convolution */
  SKY_BACKGROUND_BOUNDARY    /* curtains of a model, by the particles of footprints */
} sky_background_method;
typedef struct sky_background_choice {
  sky_background_method method;
  double percentile; /* 0..1 */
  double error;      /* of the boundary's curtains, mol mol-1 */
  bool wind;         /* upwind: by the request's file of winds, not the product's own */
} sky_background_choice;
/* "percentile", "percentile:0.05", "upwind", "smooth", "boundary". */
SKY_NODISCARD sky_status sky_background_parse(sky_context *ctx, const char *text,
                                              sky_background_choice *out);
void sky_background_text(const sky_background_choice *b, char *out, size_t size);

typedef struct sky_harmonise_input {
  const char *path, *product; /* product NULL: by content */
  const sky_selection *sel;   /* NULL: all; keep_dropped is not looked at */
  bool listed;                /* from a folder: passed over when it is no product or another gas */
} sky_harmonise_input;

typedef struct sky_harmonise_request {
  const sky_harmonise_input *input;
  size_t n_inputs;
  const char *gas; /* NULL: the only one of the files */
  const char *output;
  const char *const *attrs; /* "name=value", NULL-terminated; NULL: title, source and history */
  unsigned clean;
  const sky_zones *zones;          /* lon/lat; NULL: everywhere */
  double quality_min, quality_max; /* of the product's own figure; NaN: open */
  sky_background_choice background;
  const char *wind;        /* file of winds (read/wind.h), if background.wind */
  const char *boundary;    /* file of curtains */
  char *const *footprints; /* files with particle locations */
  size_t n_footprints;
  bool keep_dropped; /* write dropped soundings, too */
  bool shard;        /* keep what a later concatenation has to know */
  double timeout_s;  /* of one granule */
} sky_harmonise_request;

/* How cleaning did on known anomalies that were put into copies of the granules. */
enum { SKY_TRIAL_VALUE, SKY_TRIAL_UNIT, SKY_TRIAL_POSITION, SKY_TRIAL_DUPLICATE, SKY_TRIAL_COUNT };
typedef struct sky_trial {
  uint64_t injected[SKY_TRIAL_COUNT], found[SKY_TRIAL_COUNT];
  uint64_t sound, false_alarms; /* untouched soundings, and those that were taken for anomalies */
} sky_trial;

#define SKY_HARMONISE_PRODUCTS 64
typedef struct sky_harmonise_product {
  char id[32];
  uint64_t granules, drops[SKY_DROP_COUNT];
} sky_harmonise_product;

typedef struct sky_harmonise_result {
  char gas[8], product[32], kernel_note[64];
  size_t n_granules; /* read */
  uint64_t n, good;  /* written */
  double first, last;
  uint64_t drops[SKY_DROP_COUNT]; /* over every row of every granule */
  size_t n_products;
  sky_harmonise_product products[SKY_HARMONISE_PRODUCTS];
  sky_granule_failures failed, passed_over;
  uint64_t rows, broken; /* rows with a value inside the selection; without place or kernel */
  sky_trial trial;
  uint64_t checked, held; /* good soundings read back from the output; whose identities hold */
} sky_harmonise_result;
void sky_harmonise_result_free(sky_harmonise_result *r);

/* SKY_E_NODATA when no good sounding is left (nothing is written then, out tells why); the caller
 * frees out in every case. */
SKY_NODISCARD sky_status sky_harmonise(sky_context *ctx, const sky_harmonise_request *q,
                                       sky_harmonise_result *out);

/* The figures of T/CES carbon statistics 4.1-4.2, from what happened, beside the output:
 * "x.nc" -> "x.conformance.json". */
SKY_NODISCARD sky_status sky_conformance_write(sky_context *ctx, const sky_harmonise_request *q,
                                               const sky_harmonise_result *r);

/* Tasks of the worker processes, for main(). */
extern const sky_worker_task sky_harmonise_worker_tasks[];
extern const size_t sky_harmonise_worker_task_count;

#endif
