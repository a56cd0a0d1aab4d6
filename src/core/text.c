/* text.c: growing text; UTF-8; nearest word. */
#include "src/core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"

int sky_text_bad_utf8(const char *text, size_t n, unsigned *byte) {
  const unsigned char *s = (const unsigned char *)text;
  int line = 1;
  for (size_t i = 0; i < n;) {
    const unsigned char c = s[i];
    if (c == '\n') line++;
    const size_t follow = c < 0x80                 ? 0
                          : c >= 0xC2 && c <= 0xDF ? 1
                          : c >= 0xE0 && c <= 0xEF ? 2
                          : c >= 0xF0 && c <= 0xF4 ? 3
                                                   : SIZE_MAX;
    bool bad = follow == SIZE_MAX || follow >= n - i;
    for (size_t k = 1; !bad && k <= follow; k++)
      bad = (s[i + k] & 0xC0) != 0x80;
    if (!bad && follow > 1) { /* overlong forms, surrogates, beyond U+10FFFF */
      const unsigned char d = s[i + 1];
      bad = (c == 0xE0 && d < 0xA0) || (c == 0xED && d > 0x9F) || (c == 0xF0 && d < 0x90) ||
            (c == 0xF4 && d > 0x8F);
    }
    if (bad) {
      *byte = c;
      return line;
    }
    i += follow + 1;
  }
  return 0;
}

void sky_text_add(sky_text *t, const char *bytes, size_t n) {
  if (t->failed) return;
  if (t->length + n + 1 > t->capacity) {
    const size_t capacity = 2 * (t->length + n + 1) + 64;
    char *grown = sky_realloc(t->ctx, t->data, t->length, capacity, 1);
    if (grown == NULL) {
      t->failed = true;
      return;
    }
    t->data = grown;
    t->capacity = capacity;
  }
  memcpy(t->data + t->length, bytes, n);
  t->length += n;
  t->data[t->length] = '\0';
}

void sky_text_put(sky_text *t, const char *text) {
  sky_text_add(t, text, strlen(text));
}

void sky_text_printf(sky_text *t, const char *fmt, ...) {
  char small[256];
  va_list ap;
  va_start(ap, fmt);
  const int n = vsnprintf(small, sizeof small, fmt, ap);
  va_end(ap);
  if (n < 0 || t->failed) {
    t->failed = true;
    return;
  }
  if ((size_t)n < sizeof small) {
    sky_text_add(t, small, (size_t)n);
    return;
  }
  char *large = SKY_NEW(t->ctx, char, (size_t)n + 1);
  if (large == NULL) {
    t->failed = true;
    return;
  }
  va_start(ap, fmt);
  vsnprintf(large, (size_t)n + 1, fmt, ap);
  va_end(ap);
  sky_text_add(t, large, (size_t)n);
  sky_free(large);
}

void sky_text_json(sky_text *t, const char *text) {
  sky_text_add(t, "\"", 1);
  for (const char *p = text; *p != '\0'; p++) {
    const unsigned char c = (unsigned char)*p;
    if (c == '"' || c == '\\') {
      sky_text_printf(t, "\\%c", c);
    } else if (c < 0x20) {
      sky_text_printf(t, "\\u%04x", c);
    } else {
      sky_text_add(t, p, 1);
    }
  }
  sky_text_add(t, "\"", 1);
}

void sky_text_csv(sky_text *t, const char *text) {
  if (strpbrk(text, ",\"\r\n") == NULL && text[0] != ' ' && text[0] != '#') {
    sky_text_put(t, text);
    return;
  }
  sky_text_put(t, "\"");
  for (; *text != '\0'; text++) {
    if (*text == '"') sky_text_put(t, "\"");
    sky_text_add(t, text, 1);
  }
  sky_text_put(t, "\"");
}

char *sky_text_take(sky_text *t) {
  sky_text_add(t, "", 0); /* an empty text is a text too */
  char *data = t->failed ? NULL : t->data;
  if (t->failed) sky_free(t->data);
  *t = (sky_text){.ctx = t->ctx};
  return data;
}

void sky_text_free(sky_text *t) {
  sky_free(t->data);
  *t = (sky_text){.ctx = t->ctx};
}

#define WORD_MAX 48 /* longer words have no near relative worth naming */

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Damerau-Levenshtein distance, optimal string alignment; three rows are enough. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb) {
  size_t row[3][WORD_MAX + 1];
  size_t *before = row[0], *above = row[1], *here = row[2];
  for (size_t j = 0; j <= nb; j++)
    above[j] = j;
  for (size_t i = 1; i <= na; i++) {
    here[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      const size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
      here[j] = least(replaced, least(above[j], here[j - 1]) + 1);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        here[j] = least(here[j], before[j - 2] + 1);
      }
    }
    size_t *oldest = before;
    before = above;
    above = here;
    here = oldest;
  }
  return above[nb];
}

const char *sky_text_nearest(const char *word, const char *const *candidates, size_t n) {
  const size_t length = strlen(word);
  if (length == 0 || length > WORD_MAX) return NULL;
  size_t best = length / 3 < 1 ? 2 : length / 3 + 1; /* must be beaten */
  const char *nearest = NULL;
  for (size_t i = 0; i < n; i++) {
    const size_t other = strlen(candidates[i]);
    if (other > WORD_MAX) continue;
    const size_t d = distance(word, length, candidates[i], other);
    if (d < best) {
      best = d;
      nearest = candidates[i];
    }
  }
  return nearest;
}
