/* sectors.h: the sectors of an inversion (inversions[].sectors): which names of its prior inventory
 * each of them takes, with its statistics. A sector is one layer of the state.
 *
 * Names are those of the inventory: variables of a flux file, the column sector of a table of
 * activity. A name belongs to one sector; REST takes all that no other sector names. */
#ifndef SKY_JOB_SECTORS_H
#define SKY_JOB_SECTORS_H

#include "src/job/job.h"

#define SKY_SECTORS_MOST 16
#define SKY_SECTORS_REST "rest"

typedef struct sky_sectors {
  size_t n;                           /* 0: the inversion has none */
  const char *name[SKY_SECTORS_MOST]; /* owned by the job */
  size_t n_given;
  char **given; /* names of the inventory */
  size_t *of;   /* [n_given] the sector of each */
} sky_sectors;

/* How many the inversion states; it may be NULL. */
size_t sky_sectors_count(const sky_node *inversion);
/* Of the inversion whose prior is this inventory. SKY_E_JOB: a name that the inventory does not
 * have (says which it has), that two sectors take, or that none takes; an inventory of one name.
 * Zero without sectors. */
SKY_NODISCARD sky_status sky_sectors_open(sky_context *ctx, const sky_job *job,
                                          const char *inventory, sky_sectors *out);
void sky_sectors_free(sky_sectors *s); /* NULL-safe, zeroes */
/* SKY_SECTORS_MOST where no sector has the name. */
size_t sky_sectors_find(const sky_sectors *s, const char *given);

/* key (sigma, floor or length) of sector l, else that of the inversion; NaN: neither. l is not
 * looked at without sectors. */
double sky_sector_number(const sky_node *inversion, size_t l, const char *key);
/* The prior states its own covariance: neither the inversion nor a sector has sigma. */
bool sky_sectors_own(const sky_node *inversion);
/* M [n*n] of inversions[].mixing, 1 on the diagonal. */
void sky_sectors_mixing(const sky_node *inversion, double *M);
/* "ID+SECTOR": the layer of a sector in stages/inventory-*.nc; new. */
char *sky_sector_layer(sky_context *ctx, const char *inventory, const char *sector);

#endif
