/* synth_product_values.c: content -> what stands in a template, in the file's order and unit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/core/timeutil.h"
#include "src/job/synth_product.h"

#define AVOGADRO 6.02214076e23 /* mol-1 */

/* --- numbers -----------------------------------------------------------------------------------
 */

static const struct {
  const char *name;
  size_t at;
  char per; /* r row, k level, e edge, c corner, v singular value, s singular vector */
  bool gas;
  int digits;
} QUANTITIES[] = {
#define SHARED(name, member, per, digits) \
  { name, offsetof(sky_content, member), per, false, digits }
#define OF_GAS(name, member, per) \
  { name, offsetof(sky_content_gas, member), per, true, 9 }
    SHARED("lon", lon, 'r', 9),
    SHARED("lat", lat, 'r', 9),
    SHARED("time", time, 'r', 17),
    SHARED("altitude", altitude, 'r', 9),
    SHARED("ps", surface_pressure, 'r', 9),
    SHARED("interval", interval, 'r', 9),
    SHARED("sun", sun, 'r', 9),
    SHARED("view", view, 'r', 9),
    SHARED("albedo", albedo, 'r', 9),
    SHARED("corner_lon", corner_lon, 'c', 9),
    SHARED("corner_lat", corner_lat, 'c', 9),
    SHARED("pressure", pressure, 'k', 9),
    SHARED("weight", weight, 'k', 9),
    SHARED("water", water, 'k', 9),
    SHARED("height", height, 'k', 9),
    SHARED("temperature", temperature, 'k', 9),
    SHARED("dry", dry, 'k', 9),
    SHARED("edge", edge, 'e', 9),
    SHARED("edge_height", edge_height, 'e', 9),
    SHARED("value", value, 'v', 9),
    OF_GAS("x", x, 'r'),
    OF_GAS("sigma", sigma, 'r'),
    OF_GAS("prior", prior, 'r'),
    OF_GAS("profile", profile, 'k'),
    OF_GAS("ak", ak, 'k'),
    OF_GAS("subcolumn", subcolumn, 'k'),
    OF_GAS("retrieved", retrieved, 'k'),
    OF_GAS("left", left, 's'),
    OF_GAS("right", right, 's'),
#undef SHARED
#undef OF_GAS
};
enum { N_QUANTITIES = sizeof QUANTITIES / sizeof *QUANTITIES };

static const struct {
  const char *name;
  double factor;
} UNITS[] = {{"ppm", 1e6},
             {"ppb", 1e9},
             {"hPa", 1e-2},
             {"molec_cm-2", AVOGADRO * 1e-4},
             {"molec_m-2", AVOGADRO}};

typedef struct request { /* one placeholder, taken apart */
  char word[12][32];
  size_t n;
  size_t gas[SKY_CONTENT_GASES], n_gases;
  double factor, offset, stripe; /* stripe: added in odd columns, taken away in even ones */
  double fill, bad;              /* instead of a missing value; instead of a flagged one */
  bool down, first, twice;
} request;

static bool parse_word(const sky_content *c, request *q, size_t *w) {
  const char *word = q->word[*w];
  if (strcmp(word, "down") == 0) return q->down = true;
  if (strcmp(word, "first") == 0) return q->first = true;
  if (strcmp(word, "twice") == 0) return q->twice = true;
  if (*w + 1 < q->n) {
    const double number = strtod(q->word[*w + 1], NULL);
    *w += 1;
    if (strcmp(word, "fill") == 0) return q->fill = number, true;
    if (strcmp(word, "bad") == 0) return q->bad = number, true;
    if (strcmp(word, "times") == 0) return q->factor *= number, true;
    if (strcmp(word, "plus") == 0) return q->offset = number, true;
    if (strcmp(word, "stripe") == 0) return q->stripe = number, true;
    *w -= 1;
  }
  for (size_t u = 0; u < sizeof UNITS / sizeof *UNITS; u++) {
    if (strcmp(word, UNITS[u].name) != 0) continue;
    q->factor *= UNITS[u].factor;
    return true;
  }
  for (size_t g = 0; g < c->plan.n_gases; g++) {
    if (strcmp(word, c->plan.gas[g]) != 0 || q->n_gases == SKY_CONTENT_GASES) continue;
    q->gas[q->n_gases++] = g;
    return true;
  }
  return false;
}

static size_t inner_of(const sky_content *c, char per) {
  return per == 'k' || per == 's' ? c->plan.levels : per == 'e' ? c->plan.levels + 1 : 1;
}
static size_t outer_of(char per) {
  return per == 'c' ? 4 : per == 'v' || per == 's' ? SKY_CONTENT_RANK : 1;
}

/* The values of one sounding and gas, in the file's order. */
static void put_sounding(const sky_content *c, const request *q, size_t which, size_t g, size_t i,
                         double *out) {
  const char per = QUANTITIES[which].per;
  const size_t inner = inner_of(c, per), outer = outer_of(per);
  const size_t have = per == 'e' ? inner : inner == 1 ? 1 : c->top[i]; /* the rest is missing */
  const double *from;
  memcpy(
      &from,
      (QUANTITIES[which].gas ? (const char *)&c->gas[g] : (const char *)c) + QUANTITIES[which].at,
      sizeof from);
  from += i * inner * outer;
  const double stripe = i % c->plan.columns % 2 != 0 ? q->stripe : -q->stripe;
  const bool flagged = c->state[i] == SKY_CONTENT_BAD && !isnan(q->bad);
  for (size_t o = 0; o < outer; o++) {
    for (size_t k = 0; k < inner; k++) {
      const size_t source = q->down && k < have ? have - 1 - k : k;
      const double x = from[o * inner + source] * q->factor + q->offset + stripe;
      out[o * inner + k] = isnan(x) ? q->fill : flagged ? q->bad : x;
    }
  }
}

static sky_status quantity(sky_context *ctx, const sky_content *c, const request *q, size_t which,
                           sky_synth_value *v) {
  static const size_t NO_GAS[1] = {0};
  const size_t *gas = q->n_gases > 0 ? q->gas : NO_GAS;
  const size_t gases = q->twice ? 2 : QUANTITIES[which].gas && q->n_gases > 1 ? q->n_gases : 1;
  const size_t each = inner_of(c, QUANTITIES[which].per) * outer_of(QUANTITIES[which].per);
  const size_t n = q->first ? 1 : c->n;
  double *number = SKY_NEW(ctx, double, n *gases *each);
  if (number == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++) {
    for (size_t g = 0; g < gases; g++)
      put_sounding(c, q, which, q->twice ? gas[0] : gas[g], i, number + (i * gases + g) * each);
  }
  *v = (sky_synth_value){
      .number = number, .count = n * gases * each, .digits = QUANTITIES[which].digits};
  return SKY_OK;
}

/* --- numbers that a file has besides -----------------------------------------------------------
 */

static double mode_of(const sky_content *c, size_t i) { /* nadir, glint, target, transition, SAM */
  return (double)(i / c->plan.columns * 5 / c->plan.rows);
}

/* Year, month, day, hour with its fraction. */
static double part_of(double time, int which) {
  int ymd[3];
  const double days = floor(time / 86400);
  sky_civil_from_days((int64_t)days, &ymd[0], &ymd[1], &ymd[2]);
  return which < 3 ? ymd[which] : (time - 86400 * days) / 3600;
}

static double one(const sky_content *c, const request *q, size_t i) {
  const char *word = q->word[0];
  const double first = q->n > 1 ? strtod(q->word[1], NULL) : 0;
  const double second = q->n > 2 ? strtod(q->word[2], NULL) : first;
  if (strcmp(word, "flag") == 0) { /* good, bad and, if there is a third, empty */
    if (c->state[i] == SKY_CONTENT_EMPTY && q->n > 3) return strtod(q->word[3], NULL);
    return c->state[i] == SKY_CONTENT_BAD || c->state[i] == SKY_CONTENT_EMPTY ? second : first;
  }
  if (strcmp(word, "snow") == 0) return c->state[i] == SKY_CONTENT_SNOW ? second : first;
  if (strcmp(word, "row") == 0) return first + (double)(i / c->plan.columns);
  if (strcmp(word, "column") == 0) return first + (double)(i % c->plan.columns);
  if (strcmp(word, "levels_of") == 0) return (double)c->top[i];
  if (strcmp(word, "rank_of") == 0) return (double)c->rank[i];
  if (strcmp(word, "part") == 0) return part_of(c->time[i], (int)first);
  if (strcmp(word, "mode") == 0) return mode_of(c, i);
  if (strcmp(word, "airmass") == 0)
    return 1 / cos(c->sun[i] / 57.29577951308232) + 1 / cos(c->view[i] / 57.29577951308232);
  if (strcmp(word, "raw") == 0) return c->gas[0].x[i] * 1e6 - 1.3;
  return first; /* "=" */
}

static bool is_one(const char *word) {
  static const char *const ONES[] = {"flag", "snow", "row",     "column", "levels_of", "rank_of",
                                     "part", "mode", "airmass", "raw",    "="};
  for (size_t k = 0; k < sizeof ONES / sizeof *ONES; k++)
    if (strcmp(word, ONES[k]) == 0) return true;
  return false;
}

static sky_status other_numbers(sky_context *ctx, const sky_content *c, const request *q,
                                sky_synth_value *v) {
  const sky_content_plan *p = &c->plan;
  const char *word = q->word[0];
  const bool each = is_one(word), scan = strcmp(word, "scan_ms") == 0,
             count = strcmp(word, "count") == 0;
  const bool air = strcmp(word, "air") == 0, total = strcmp(word, "total") == 0;
  size_t n = each || air || total ? c->n : 0;
  if (scan) n = p->rows;
  if (count)
    n = strcmp(q->word[1], "rows") == 0      ? p->rows
        : strcmp(q->word[1], "columns") == 0 ? p->columns
                                             : strtoul(q->word[1], NULL, 10);
  const size_t copies =
      each && q->n > 2 && q->word[2][0] == 'x' ? strtoul(q->word[2] + 1, NULL, 10) : 1;
  if (n == 0) {
    return sky_fail(ctx, SKY_E_INTERNAL, "synthetic product: '%s' is no quantity", word);
  }
  double *number = SKY_NEW0(ctx, double, n *copies);
  if (number == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n * copies; i++) {
    double dry = 0;
    for (size_t k = 0; k < p->levels && (air || total); k++)
      dry += c->dry[i * p->levels + k];
    number[i] = each    ? one(c, q, i / copies)
                : count ? (double)i
                : scan  ? 1e3 * (c->time[i * p->columns] - floor(p->start / 86400) * 86400)
                : air   ? dry * AVOGADRO * 1e-4
                        : dry * AVOGADRO * 1e-4 * c->gas[0].x[i];
    if (isnan(number[i])) number[i] = q->fill;
  }
  *v = (sky_synth_value){.number = number, .count = n * copies, .digits = 17};
  return SKY_OK;
}

/* --- texts -------------------------------------------------------------------------------------
 */

static void put_time(sky_text *t, const char *style, double seconds, size_t column) {
  char iso[32];
  const double whole = floor(seconds);
  const int ms = (int)(1000 * (seconds - whole));
  sky_time_format(whole, iso, sizeof iso);
  if (strcmp(style, "iso") == 0) {
    sky_text_printf(t, "\"%.19s.%03dZ\"", iso, ms);
  } else if (strcmp(style, "blank") == 0) {
    sky_text_printf(t, "\"%.10s %.8s.%03d\"", iso, iso + 11, ms);
  } else if (strcmp(style, "date") == 0) {
    sky_text_printf(t, "%.4s, %d, %d, %d, %d, %d", iso, atoi(iso + 5), atoi(iso + 8),
                    atoi(iso + 11), atoi(iso + 14), atoi(iso + 17));
  } else {
    sky_text_printf(t, "%.4s%.2s%.2s%.2s%.2s%.2s%d%zu%s", iso, iso + 5, iso + 8, iso + 11, iso + 14,
                    iso + 17, ms / 100, column % 10, strcmp(style, "id") == 0 ? "ULL" : "");
  }
}

/* NULL without failure: not a text. */
static sky_status text_value(sky_context *ctx, const sky_content *c, const request *q,
                             sky_synth_value *v) {
  static const char *const TIMES[] = {"iso", "blank", "date", "id"};
  const char *word = q->word[0];
  sky_text t = {.ctx = ctx};
  const bool rows = q->n > 1 && strcmp(q->word[1], "rows") == 0;
  bool known = true;
  if (strcmp(word, "n") == 0) {
    sky_text_printf(&t, "%zu", c->n);
  } else if (strcmp(word, "rows") == 0) {
    sky_text_printf(&t, "%zu", c->plan.rows);
  } else if (strcmp(word, "columns") == 0) {
    sky_text_printf(&t, "%zu", c->plan.columns);
  } else if (strcmp(word, "levels") == 0) {
    sky_text_printf(&t, "%zu", c->plan.levels);
  } else if (strcmp(word, "rank") == 0) {
    sky_text_printf(&t, "%d", SKY_CONTENT_RANK);
  } else if (strcmp(word, "strings") == 0) {
    for (size_t i = 0; i < c->n; i++)
      sky_text_printf(&t, "%s\"%s\"", i > 0 ? ", " : "", q->word[1]);
  } else if (strcmp(word, "gas") == 0) {
    sky_text_put(&t, c->plan.gas[0]);
  } else if (strcmp(word, "GAS") == 0) {
    for (const char *l = c->plan.gas[0]; *l != '\0'; l++)
      sky_text_printf(&t, "%c", *l >= 'a' ? *l - 'a' + 'A' : *l);
  } else if (strcmp(word, "reference") == 0) { /* midnight in s since 2010 */
    sky_text_printf(&t, "%.0f", floor(c->plan.start / 86400) * 86400 - 1262304000.0);
  } else if (strcmp(word, "day") == 0) {
    char iso[32];
    sky_time_format(c->plan.start, iso, sizeof iso);
    sky_text_printf(&t, "%.10s", iso);
  } else {
    known = false;
    for (size_t s = 0; s < 4 && !known; s++) {
      known = strcmp(word, TIMES[s]) == 0;
      for (size_t i = 0; known && i < c->n; i += rows ? c->plan.columns : 1) {
        if (i > 0) sky_text_put(&t, i % 4 == 0 ? ",\n" : ", ");
        put_time(&t, TIMES[s], c->time[i], 1 + i % c->plan.columns);
      }
    }
  }
  if (!known) return SKY_OK;
  *v = (sky_synth_value){.text = sky_text_take(&t)};
  return v->text != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* --- all of a template -------------------------------------------------------------------------
 */

static sky_status parse(sky_context *ctx, const sky_content *c, const char *text, size_t length,
                        request *q) {
  *q = (request){.factor = 1, .fill = NAN, .bad = NAN};
  for (size_t at = 0; at < length && q->n < 12;) {
    size_t end = at;
    while (end < length && text[end] != ' ')
      end++;
    snprintf(q->word[q->n++], sizeof q->word[0], "%.*s", (int)(end - at), text + at);
    at = end + 1;
  }
  for (size_t k = 0; k < N_QUANTITIES; k++) {
    if (strcmp(q->word[0], QUANTITIES[k].name) != 0) continue;
    for (size_t w = 1; w < q->n; w++) {
      if (parse_word(c, q, &w)) continue;
      return sky_fail(ctx, SKY_E_INTERNAL, "synthetic product: '%s' in '%.*s' is not known",
                      q->word[w], (int)length, text);
    }
    return SKY_OK;
  }
  for (size_t w = 1; w + 1 < q->n; w++)
    if (strcmp(q->word[w], "fill") == 0) q->fill = strtod(q->word[w + 1], NULL);
  return SKY_OK;
}

static sky_status value_of(sky_context *ctx, const sky_content *c, const char *text, size_t length,
                           sky_synth_value *v) {
  request q;
  SKY_TRY(parse(ctx, c, text, length, &q));
  SKY_TRY(text_value(ctx, c, &q, v));
  if (v->text != NULL) return SKY_OK;
  for (size_t k = 0; k < N_QUANTITIES; k++)
    if (strcmp(q.word[0], QUANTITIES[k].name) == 0) return quantity(ctx, c, &q, k, v);
  return other_numbers(ctx, c, &q, v);
}

void sky_synth_values_free(sky_synth_value *v, size_t n) {
  for (size_t i = 0; v != NULL && i < n; i++) {
    sky_free((void *)(uintptr_t)v[i].name);
    sky_free((void *)(uintptr_t)v[i].text);
    sky_free((void *)(uintptr_t)v[i].number);
  }
  sky_free(v);
}

sky_status sky_synth_values(sky_context *ctx, const sky_content *c, const char *template_text,
                            sky_synth_value **out, size_t *n) {
  sky_synth_value *list = NULL;
  size_t count = 0;
  sky_status st = SKY_OK;
  for (const char *at = strchr(template_text, '@'); at != NULL && st == SKY_OK;) {
    const char *end = strchr(at + 1, '@');
    if (end == NULL) break;
    sky_synth_value *grown = sky_realloc(ctx, list, count, count + 1, sizeof *list);
    if (grown == NULL) {
      st = SKY_E_NOMEM;
      break;
    }
    list = grown;
    list[count] = (sky_synth_value){0};
    st = value_of(ctx, c, at + 1, (size_t)(end - at - 1), &list[count]);
    list[count].name = sky_sprintf(ctx, "%.*s", (int)(end - at - 1), at + 1);
    if (list[count++].name == NULL) st = SKY_E_NOMEM;
    at = strchr(end + 1, '@');
  }
  if (st != SKY_OK) {
    sky_synth_values_free(list, count);
    list = NULL;
    count = 0;
  }
  *out = list;
  *n = count;
  return st;
}
