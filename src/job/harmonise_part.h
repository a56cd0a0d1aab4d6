/* harmonise_part.h: what parent and workers of harmonise.c tell each other. Plain structs, native
 * byte order: all are the same program. */
#ifndef SKY_JOB_HARMONISE_PART_H
#define SKY_JOB_HARMONISE_PART_H

#include "src/job/harmonise.h"
#include "src/read/soundings.h"

/* File "ticket" of the scratch folder: this, then the zones as written by sky_ticket_write. */
typedef struct sky_ticket {
  char gas[8]; /* "" = the only one */
  unsigned clean;
  bool keep_outside; /* soundings outside the selection */
  bool everywhere;   /* no zones follow */
  double quality_min, quality_max;
  sky_background_choice background;
  uint64_t memory, zones;
} sky_ticket;

typedef struct sky_range { /* granules [from, to) of a harmonised file and their rows */
  uint64_t from, to, first, count;
} sky_range;

typedef struct sky_part { /* one granule; its soundings are the file NAME of the scratch folder */
  char name[48], granule[256], version[128];
  char gas[8], product[32], kernel_note[64];
  char quality[SKY_QUALITY_MAX]; /* rule that it was chosen by */
  int32_t vertical, overpasses;
  unsigned with;
  uint64_t n, n_levels, drops[SKY_DROP_COUNT];
  double start, end; /* of the soundings; NaN without */
  uint64_t rows, broken;
  sky_trial trial;
} sky_part;

typedef struct sky_part_head { /* answer of the task: this, then parts, then ranges */
  char passed_over[200];       /* why a listed file is no input; "" */
  uint64_t n_parts, n_ranges;  /* ranges: what is still to be read of a large harmonised file */
} sky_part_head;

typedef struct sky_join_head { /* file "plan": this, then the parts; the answer: this, then parts */
  bool keep_dropped, duplicates;
  uint64_t n_parts, n, good;
  double first, last; /* of the good ones */
} sky_join_head;

typedef struct sky_check_answer {
  uint64_t checked, held;
} sky_check_answer;

/* Tasks. */
sky_status sky_task_part(sky_context *ctx, int argc, char **argv, void **blob, size_t *size);
sky_status sky_task_join(sky_context *ctx, int argc, char **argv, void **blob, size_t *size);
sky_status sky_task_check(sky_context *ctx, int argc, char **argv, void **blob, size_t *size);

/* Soundings of a part. */
SKY_NODISCARD sky_status sky_part_read(sky_context *ctx, const char *folder, const char *name,
                                       sky_soundings *out);

/* Zones behind the ticket. */
SKY_NODISCARD sky_status sky_ticket_write(sky_context *ctx, const char *folder,
                                          const sky_ticket *ticket, const sky_zones *zones);
SKY_NODISCARD sky_status sky_ticket_read(sky_context *ctx, const char *folder, sky_ticket *ticket,
                                         sky_zones *zones);

/* Give sounding i a reason, in the counts of its granule, too. */
void sky_part_drop(sky_soundings *s, size_t i, sky_drop reason);

/* clean: the steps that are asked for and not done yet (clean_soundings.c). */
SKY_NODISCARD sky_status sky_clean_soundings(sky_context *ctx, sky_soundings *s, unsigned clean);
/* Background of the good soundings (background_soundings.c); folder: the scratch folder, whose file
 * "sources" names the file of winds, or the boundary file and the footprint files, one text each.
 */
SKY_NODISCARD sky_status sky_background_soundings(sky_context *ctx, sky_soundings *s,
                                                  const char *folder,
                                                  const sky_background_choice *choice);
/* The same steps on a copy with known anomalies; adds to trial. */
SKY_NODISCARD sky_status sky_clean_trial(sky_context *ctx, const sky_soundings *s, unsigned clean,
                                         sky_trial *trial);
#endif
