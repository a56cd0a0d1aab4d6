/* soundings.h: what the readers add to skyflux/soundings.h: joining many sets at once, the
 * identities of a kernel, and the block that a worker process sends. */
#ifndef SKY_READ_SOUNDINGS_H
#define SKY_READ_SOUNDINGS_H

#include "skyflux/soundings.h"
#include "src/core/text.h"

/* Value of the global attribute skyflux_content of the harmonised file. */
#define SKY_SOUNDINGS_CONTENT "soundings 2"

/* All parts in order; the rules of sky_soundings_append. n_parts 0 gives an empty set. */
SKY_NODISCARD sky_status sky_soundings_join(sky_context *ctx, const sky_soundings *part,
                                            size_t n_parts, sky_soundings *out);

/* Rows [first, first+n) of one set over those of another from `at` on; levels and arrays that only
 * one of them has are left as they are, but weights above the top are 0. */
void sky_soundings_copy(const sky_soundings *from, size_t first, size_t n, sky_soundings *to,
                        size_t at);
/* The rows [first, first+n), which are all of granule g, as a set of their own. */
SKY_NODISCARD sky_status sky_soundings_slice(sky_context *ctx, const sky_soundings *s, size_t first,
                                             size_t n, size_t g, sky_soundings *out);

/* Number the overpasses of one granule: soundings in order of time, a new pass after a gap of more
 * than SKY_OVERPASS_GAP; -1 without a time. */
#define SKY_OVERPASS_GAP 1800.0 /* s */
SKY_NODISCARD sky_status sky_soundings_overpasses(sky_context *ctx, sky_soundings *s);

/* Remove every sounding whose reason is among the bits (1 << sky_drop). */
void sky_soundings_remove(sky_soundings *s, unsigned reasons);
/* Remove every sounding that has a drop reason. */
void sky_soundings_compact(sky_soundings *s);

typedef enum sky_kernel_fault {
  SKY_KERNEL_SOUND = 0,
  SKY_KERNEL_INCOMPLETE = 1, /* a missing value */
  SKY_KERNEL_ORDER = 2,      /* pressure does not fall from index to index */
  SKY_KERNEL_WEIGHTS = 3,    /* |Σ weight - 1| beyond its tolerance */
  SKY_KERNEL_PRIOR = 4,      /* |Σ weight·profile - prior| beyond tolerance × prior */
  SKY_KERNEL_INVERTED = 5    /* CH4 or N2O richer at the top than at the surface */
} sky_kernel_fault;

const char *sky_kernel_fault_name(sky_kernel_fault fault);

/* Does sounding i fulfil what soundings.h promises? n_levels must not be 0. */
sky_kernel_fault sky_kernel_check(const sky_soundings *s, size_t i, double weight_tolerance,
                                  double prior_tolerance);

/* Rows of a harmonised file by granule: granule g has [first[g], first[g+1]). Ascending
 * granule_index is required. *first is malloc'd [n+1]. */
SKY_NODISCARD sky_status sky_soundings_index(sky_context *ctx, const char *path, size_t *n,
                                             size_t **first);
/* Rows [first, first+count) of a harmonised file, with all of its granules. Writing what was read
 * gives the same bytes again. *attr: the text of a global attribute (malloc'd, NULL if absent). */
SKY_NODISCARD sky_status sky_soundings_read_rows(sky_context *ctx, const char *path, size_t first,
                                                 size_t count, const char *attr_name, char **attr,
                                                 sky_soundings *out);

/* The same rows with time, place, corners, x, sigma, drop reason and granule alone; n_levels is 0,
 * the other arrays hold what a missing value is. */
SKY_NODISCARD sky_status sky_soundings_read_places(sky_context *ctx, const char *path, size_t first,
                                                   size_t count, sky_soundings *out);

/* Is this a harmonised file? */
SKY_NODISCARD sky_status sky_soundings_recognise(sky_context *ctx, const char *path, bool *out);

/* Can this be chosen from a harmonised file? product (NULL, "auto": any): SKY_E_FORMAT if it holds
 * none of it. quality (NULL: nothing is asked): SKY_E_USAGE unless it was made with that list. */
SKY_NODISCARD sky_status sky_soundings_choice(sky_context *ctx, const char *path,
                                              const char *product, const char *quality);
bool sky_product_wanted(const char *wanted, const char *product);
/* The list of quality options as the attribute `processing` ends with it, behind SKY_QUALITY_NOTE;
 * a file without one was made with "default". */
#define SKY_QUALITY_NOTE "; quality: "
#define SKY_QUALITY_MAX 160
void sky_quality_note(const char *list, char *out, size_t size);
void sky_quality_noted(const char *processing, char *out, size_t size);

/* Append s to a block; take one set off the front of a block (lengths checked). */
SKY_NODISCARD sky_status sky_soundings_pack(const sky_soundings *s, sky_text *out);
SKY_NODISCARD sky_status sky_soundings_unpack(sky_context *ctx, const char **at, size_t *left,
                                              sky_soundings *out);

#endif
