/* zonal_part.h: what one block gives to the zones that cover some of it. */
#ifndef SKY_ENGINE_ZONAL_PART_H
#define SKY_ENGINE_ZONAL_PART_H

#include "grids/quantile.h"
#include "src/core/text.h"

typedef struct sky_zonal_entry { /* one zone in one block */
  size_t zone;
  bool unread;
  sky_zonal_size inside;
  size_t first, n; /* of the part's values or sizes */
} sky_zonal_entry;

typedef struct sky_zonal_part { /* start with zeros */
  size_t n, capacity;
  sky_zonal_entry *entry;
  size_t n_value, value_capacity;
  sky_zonal_values *value; /* [rasters] of each entry */
  sky_quantile_list *list; /* [value_capacity], beside `value`; NULL without quantiles */
  size_t n_size, size_capacity;
  sky_zonal_size *size; /* classes of each entry, */
  uint32_t *id;         /* whose codes are code[id*rasters]; id 0: nodata */
  size_t n_code;        /* numbers in `code` */
  int32_t *code;
} sky_zonal_part;

void sky_zonal_part_free(void *part); /* NULL-safe */
size_t sky_zonal_part_size(const void *part);

/* Room for one further entry, or `more` further values or sizes. */
SKY_NODISCARD sky_status sky_zonal_part_need_entry(sky_context *ctx, sky_zonal_part *p);
SKY_NODISCARD sky_status sky_zonal_part_need_values(sky_context *ctx, sky_zonal_part *p,
                                                    size_t more, bool quantiles);
SKY_NODISCARD sky_status sky_zonal_part_need_sizes(sky_context *ctx, sky_zonal_part *p,
                                                   size_t more);

/* Appended to `to`; and from it, of a run with that many zones (SKY_E_READ if it is no part). */
SKY_NODISCARD sky_status sky_zonal_part_pack(const sky_zonal_part *p, sky_text *to);
SKY_NODISCARD sky_status sky_zonal_part_unpack(sky_context *ctx, const char *bytes, size_t n,
                                               size_t zones, sky_zonal_part **out);
#endif
