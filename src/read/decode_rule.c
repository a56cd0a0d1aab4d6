/* decode_rule.c: which of a product's rules are asked for (--quality), and for every sounding the
 * first reason to drop it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/read/decode.h"
#include "src/read/soundings.h"

/* --- the option --------------------------------------------------------------------------------
 */

/* Rules of a preset or the one of that name; false if the reader knows no such word. */
static bool rules_of_word(const sky_reader *r, const char *word, size_t length, uint32_t *rules,
                          uint32_t *named) {
  static const struct {
    const char *word;
    unsigned preset;
  } PRESET[] = {{"default", SKY_PRESET_DEFAULT}, {"strict", SKY_PRESET_STRICT}, {"none", 0}};
  for (size_t p = 0; p < sizeof PRESET / sizeof PRESET[0]; ++p) {
    if (strlen(PRESET[p].word) != length || strncmp(PRESET[p].word, word, length) != 0) continue;
    for (size_t k = 0; k < r->n_rules; ++k) {
      if ((r->rule[k].preset & PRESET[p].preset) != 0) *rules |= UINT32_C(1) << k;
    }
    return true;
  }
  for (size_t k = 0; k < r->n_rules; ++k) {
    if (strlen(r->rule[k].name) != length || strncmp(r->rule[k].name, word, length) != 0) continue;
    *rules |= UINT32_C(1) << k;
    *named |= UINT32_C(1) << k;
    return true;
  }
  return false;
}

static sky_status unknown_word(sky_context *ctx, const sky_reader *r, const char *word,
                               size_t length) {
  sky_text t = {.ctx = ctx};
  sky_text_put(&t, "default, strict, none");
  for (size_t k = 0; k < r->n_rules; ++k)
    sky_text_printf(&t, ", %s", r->rule[k].name);
  char *known = sky_text_take(&t);
  if (known == NULL) return SKY_E_NOMEM;
  const sky_status st =
      sky_fail(ctx, SKY_E_USAGE, "quality: product %s has no option '%.*s' (it has %s)", r->id,
               (int)length, word, known);
  sky_free(known);
  return st;
}

/* Next word of the list, its product ("" for all) split off; false at the end. */
static bool next_word(const char **list, const char **product, size_t *product_length,
                      const char **word, size_t *length) {
  while (**list == ',' || **list == ' ')
    ++*list;
  if (**list == '\0') return false;
  size_t n = strcspn(*list, ",");
  const char *colon = memchr(*list, ':', n);
  *product = *list;
  *product_length = colon != NULL ? (size_t)(colon - *list) : 0;
  *word = colon != NULL ? colon + 1 : *list;
  *length = (size_t)(*list + n - *word);
  while (*length > 0 && (*word)[*length - 1] == ' ')
    --*length;
  *list += n;
  return true;
}

sky_status sky_quality_rules(sky_context *ctx, const sky_reader *r, const char *list,
                             uint32_t *rules, uint32_t *named) {
  const char *at, *product, *word;
  size_t product_length, length;
  *rules = *named = 0;
  for (int own = 1; own >= 0; --own) { /* words for this product come before words for all */
    bool any = false;
    for (at = list != NULL ? list : "";
         next_word(&at, &product, &product_length, &word, &length);) {
      const bool mine = product_length == strlen(r->id) &&
                        strncmp(product, r->id, product_length) == 0 && product_length > 0;
      if (own ? !mine : product_length > 0) continue;
      any = true;
      if (!rules_of_word(r, word, length, rules, named)) return unknown_word(ctx, r, word, length);
    }
    if (any) return SKY_OK;
  }
  return rules_of_word(r, "default", 7, rules, named) ? SKY_OK : SKY_E_INTERNAL;
}

static sky_status check_own_word(sky_context *ctx, const sky_declared *declared,
                                 const char *product, size_t product_length, const char *word,
                                 size_t length) {
  char id[64];
  uint32_t rules = 0, named = 0;
  snprintf(id, sizeof id, "%.*s", (int)product_length, product);
  const sky_reader *r = sky_declared_find(declared, id);
  if (r == NULL) {
    return sky_fail(ctx, SKY_E_USAGE,
                    "quality: product '%s' is not known (see skyflux list "
                    "readers)",
                    id);
  }
  return rules_of_word(r, word, length, &rules, &named) ? SKY_OK
                                                        : unknown_word(ctx, r, word, length);
}

sky_status sky_quality_check(sky_context *ctx, const char *list, const sky_declared *declared) {
  const char *at = list != NULL ? list : "", *product, *word;
  size_t product_length, length;
  while (next_word(&at, &product, &product_length, &word, &length)) {
    bool known = false;
    if (product_length > 0) {
      SKY_TRY(check_own_word(ctx, declared, product, product_length, word, length));
      continue;
    }
    for (size_t i = 0; i < sky_declared_total(declared) && !known; ++i) {
      uint32_t rules = 0, named = 0;
      known = rules_of_word(sky_declared_at(declared, i), word, length, &rules, &named);
    }
    if (!known) {
      return sky_fail(ctx, SKY_E_USAGE,
                      "quality: no product has an option '%.*s' (see docs/products.md)",
                      (int)length, word);
    }
  }
  return SKY_OK;
}

/* --- values of the rules -----------------------------------------------------------------------
 */

/* What has been read already is not read again. */
static double *known_values(const decoder *d, sky_role role) {
  switch (role) {
    case SKY_ROLE_X:
      return d->s.x;
    case SKY_ROLE_SIGMA:
      return d->s.sigma;
    case SKY_ROLE_LAT:
      return d->s.lat;
    case SKY_ROLE_LON:
      return d->s.lon;
    case SKY_ROLE_QUALITY:
      return d->s.quality;
    case SKY_ROLE_ALBEDO:
      return d->s.albedo;
    case SKY_ROLE_AEROSOL:
      return d->s.aerosol;
    default:
      return NULL;
  }
}
static const double *values_of(const decoder *d, sky_role role) {
  const double *known = known_values(d, role);
  return d->path[role] == NULL ? NULL : known != NULL ? known : d->flag[role];
}

static sky_status read_flag(decoder *d, sky_role role) {
  if (d->path[role] == NULL || values_of(d, role) != NULL) return SKY_OK;
  d->flag[role] = SKY_NEW(d->ctx, double, d->m);
  if (d->flag[role] == NULL) return SKY_E_NOMEM;
  return decode_gather(d, role, 1, d->flag[role]);
}

void decode_free_flags(decoder *d) {
  for (int k = 0; k < SKY_ROLE_COUNT; ++k) {
    sky_free(d->flag[k]);
    d->flag[k] = NULL;
  }
}

/* Rules of the selection; one that is asked for by its name finds its variables. */
sky_status decode_choose_rules(decoder *d) {
  uint32_t named;
  SKY_TRY(
      sky_quality_rules(d->ctx, d->r, d->sel != NULL ? d->sel->quality : NULL, &d->rules, &named));
  for (size_t k = 0; k < d->r->n_rules; ++k) {
    const sky_rule *rule = &d->r->rule[k];
    for (int c = 0; c < rule->n_clauses && (named >> k & 1) != 0; ++c) {
      const sky_role role = rule->clause[c].role;
      if (d->path[role] != NULL) continue;
      return sky_fail(d->ctx, SKY_E_FORMAT, "%s: quality option '%s' needs %s: variable missing",
                      sky_nc_path(d->f), rule->name, sky_reader_field(d->r, role)->path[0]);
    }
  }
  return SKY_OK;
}

sky_status decode_read_flags(decoder *d, sky_drop reason) {
  for (size_t k = 0; k < d->r->n_rules; ++k) {
    const sky_rule *rule = &d->r->rule[k];
    if ((d->rules >> k & 1) == 0 || rule->drop != reason) continue;
    for (int c = 0; c < rule->n_clauses; ++c) {
      SKY_TRY(read_flag(d, rule->clause[c].role));
      if (rule->clause[c].plus_factor != 0) SKY_TRY(read_flag(d, rule->clause[c].plus));
    }
  }
  return SKY_OK;
}

/* --- drop reasons ------------------------------------------------------------------------------
 */

static bool compare(double v, sky_relation relation, double number) {
  switch (relation) {
    case SKY_EQ:
      return v == number;
    case SKY_NE:
      return v != number;
    case SKY_GE:
      return v >= number;
    case SKY_GT:
      return v > number;
    case SKY_LE:
      return v <= number;
    default:
      return v < number;
  }
}

static bool clause_holds(const decoder *d, const sky_clause *c, size_t i) {
  double v = values_of(d, c->role)[i];
  if (c->plus_factor != 0) {
    const double *plus = values_of(d, c->plus);
    v = plus != NULL ? c->factor * v + c->plus_factor * plus[i] : NAN;
  }
  if (isnan(v)) return false;
  if (c->mask != 0)
    v = v >= 0 ? (double)((uint64_t)v & c->mask) : -1; /* no mask matches a negative flag */
  return compare(v, c->compare, c->number);
}

/* A rule of a preset whose (optional) variables the file lacks says nothing. */
static bool rule_drops(const decoder *d, const sky_rule *rule, size_t i) {
  bool holds = true;
  for (int k = 0; k < rule->n_clauses; ++k) {
    if (values_of(d, rule->clause[k].role) == NULL) return false;
    holds = holds && clause_holds(d, &rule->clause[k], i);
  }
  return rule->keep ? !holds : holds;
}

static bool ruled_out(const decoder *d, sky_drop reason, size_t i) {
  for (size_t k = 0; k < d->r->n_rules; ++k) {
    if ((d->rules >> k & 1) != 0 && d->r->rule[k].drop == reason &&
        rule_drops(d, &d->r->rule[k], i)) {
      return true;
    }
  }
  return false;
}

/* What is known without a kernel. */
static sky_drop early_reason(const decoder *d, size_t i) {
  const sky_soundings *s = &d->s;
  if (d->outside[i] != SKY_DROP_NONE) return (sky_drop)d->outside[i];
  if (ruled_out(d, SKY_DROP_QUALITY, i)) return SKY_DROP_QUALITY;
  if (!isfinite(s->lat[i]) || !isfinite(s->lon[i]) || !isfinite(s->time[i]) ||
      (d->path[SKY_ROLE_SIGMA] != NULL && !(s->sigma[i] > 0))) {
    return SKY_DROP_FILL;
  }
  return s->x[i] < d->gas->column_min || s->x[i] > d->gas->column_max ? SKY_DROP_RANGE
                                                                      : SKY_DROP_NONE;
}

void decode_drop_early(decoder *d) {
  for (size_t i = 0; i < d->m; ++i) {
    d->s.drop[i] = (uint8_t)early_reason(d, i);
    if (d->s.drop[i] != SKY_DROP_NONE) ++d->drops[d->s.drop[i]];
  }
}

static sky_drop late_reason(const decoder *d, size_t i, sky_kernel_fault *fault) {
  if (d->s.n_levels > 0)
    *fault = sky_kernel_check(&d->s, i, d->r->weight_tolerance, d->r->prior_tolerance);
  if (*fault != SKY_KERNEL_SOUND) return SKY_DROP_KERNEL;
  return ruled_out(d, SKY_DROP_SURFACE, i) ? SKY_DROP_SURFACE : SKY_DROP_NONE;
}

void decode_drop_late(decoder *d) {
  size_t faults[SKY_KERNEL_INVERTED + 1] = {0};
  for (size_t i = 0; i < d->m; ++i) {
    if (d->s.drop[i] != SKY_DROP_NONE) continue;
    sky_kernel_fault fault = SKY_KERNEL_SOUND;
    d->s.drop[i] = (uint8_t)late_reason(d, i, &fault);
    ++faults[fault];
    ++d->drops[d->s.drop[i]];
  }
  for (int k = SKY_KERNEL_INCOMPLETE; k <= SKY_KERNEL_INVERTED; ++k) {
    if (faults[k] == 0) continue;
    sky_log(d->ctx, SKY_LOG_WARN, "%s: %zu of %zu soundings have a faulty kernel: %s",
            sky_file_base(sky_nc_path(d->f)), faults[k], d->m,
            sky_kernel_fault_name((sky_kernel_fault)k));
  }
}
