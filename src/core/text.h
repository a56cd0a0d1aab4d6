/* text.h: a growing text, bytes that are not UTF-8, the nearest known word for "did you mean". */
#ifndef SKY_CORE_TEXT_H
#define SKY_CORE_TEXT_H

#include "skyflux/context.h"

/* Start with {.ctx = ctx}. The first failed allocation is kept in `failed`; later calls do nothing,
 * so that a writer checks once, in sky_text_take. */
typedef struct sky_text {
  sky_context *ctx;
  char *data;
  size_t length, capacity;
  bool failed;
} sky_text;

void sky_text_add(sky_text *t, const char *bytes, size_t n);
void sky_text_put(sky_text *t, const char *text);
void sky_text_printf(sky_text *t, const char *fmt, ...) SKY_PRINTF(2, 3);
/* text as a JSON string with its quotes. */
void sky_text_json(sky_text *t, const char *text);
/* text as a cell of a CSV table (RFC 4180), quoted where it must be. */
void sky_text_csv(sky_text *t, const char *text);
/* The text (malloc'd, NUL-terminated), or NULL after a failed allocation; t is empty afterwards. */
char *sky_text_take(sky_text *t);
void sky_text_free(sky_text *t);

/* Line (from 1) and value of the first byte that breaks UTF-8 (RFC 3629); 0 if there is none. */
int sky_text_bad_utf8(const char *text, size_t n, unsigned *byte);

/* The candidate nearest to word by edit distance (insert, delete, replace, swap of neighbours:
 * optimal string alignment), or NULL if none is nearer than a third of the word's length. Ties go
 * to the first. */
const char *sky_text_nearest(const char *word, const char *const *candidates, size_t n);

#endif
