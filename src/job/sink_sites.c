/* sink_sites.c: see sink_sites.h. */
#include "src/job/sink_sites.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"

void sky_sites_free(sky_sites *s) {
  if (s == NULL) return;
  for (size_t i = 0; i < s->n && s->site != NULL; i++) {
    sky_free(s->site[i].present);
    sky_free(s->site[i].changed);
    sky_sink_set_free(&s->site[i].set);
    sky_free(s->site[i].factor);
  }
  sky_free(s->site);
  sky_free(s->of_place);
  sky_free(s->factor);
  sky_table_free(s->climates);
  sky_table_free(s->soils);
  sky_table_free(s->overrides);
  memset(s, 0, sizeof *s);
}

/* ---- what a code means ---------------------------------------------------------------------- */

static sky_status open_table(sky_context *ctx, const char *path, const char *column,
                             sky_table **out) {
  if (path == NULL) return SKY_OK;
  SKY_TRY(sky_table_read(ctx, path, out));
  if (sky_table_find(*out, "code") != SIZE_MAX && sky_table_find(*out, column) != SIZE_MAX)
    return SKY_OK;
  return sky_fail(ctx, SKY_E_FORMAT, "%s: columns 'code' and '%s' are needed", path, column);
}

static sky_status meaning(sky_context *ctx, const sky_table *t, const char *path,
                          const char *column, int32_t code, const char **out) {
  const size_t codes = sky_table_find(t, "code");
  for (size_t row = 0; row < sky_table_rows(t); row++) {
    double value = 0;
    SKY_TRY(sky_table_number(ctx, t, row, codes, &value));
    if (value != (double)code) continue;
    *out = sky_table_cell(t, row, sky_table_find(t, column));
    return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_RANGE, "%s: no row for code %d, which the map holds", path, (int)code);
}

static bool same(const char *a, const char *b) {
  return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static sky_status find_site(sky_context *ctx, const sky_place *place, const sky_site_options *opt,
                            size_t n_class, sky_sites *s, size_t *index) {
  const char *factors = opt->factors, *soil = opt->soil;
  if (s->climates != NULL)
    SKY_TRY(meaning(ctx, s->climates, opt->climate_sets, "set", place->climate, &factors));
  if (s->soils != NULL)
    SKY_TRY(meaning(ctx, s->soils, opt->soil_types, "type", place->soil, &soil));
  if (soil != NULL && *soil == '\0') soil = NULL;
  for (*index = 0; *index < s->n; ++*index)
    if (same(s->site[*index].factors, factors) && same(s->site[*index].soil, soil)) return SKY_OK;
  sky_site *site = &s->site[s->n++];
  *site = (sky_site){.factors = factors, .soil = soil};
  site->present = SKY_NEW0(ctx, bool, n_class);
  site->changed = SKY_NEW0(ctx, bool, n_class);
  return site->present != NULL && site->changed != NULL ? SKY_OK : SKY_E_NOMEM;
}

/* Without any stratum there is still one site, whose set is loaded to be looked at. */
static sky_status find_sites(sky_context *ctx, const sky_strata *strata,
                             const sky_site_options *opt, sky_sites *s) {
  const size_t n = strata->n_place;
  size_t index;
  s->site = SKY_NEW0(ctx, sky_site, n + 1);
  s->of_place = SKY_NEW(ctx, size_t, n);
  if (s->site == NULL || s->of_place == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < n; i++)
    SKY_TRY(find_site(ctx, &strata->place[i], opt, strata->n_class, s, &s->of_place[i]));
  if (n > 0) return SKY_OK;
  if (s->climates != NULL || s->soils != NULL)
    return sky_fail(ctx, SKY_E_NODATA, "no zone holds land with a class, a climate and a soil");
  return find_site(ctx, NULL, opt, strata->n_class, s, &index);
}

static void find_classes(const sky_strata *strata, size_t n_zone, const bool *also, sky_sites *s) {
  for (size_t i = 0; i < s->n && also != NULL; i++)
    for (size_t c = 0; c < strata->n_class; c++)
      if (also[c]) s->site[i].present[c] = s->site[i].changed[c] = true;
  for (size_t k = 0; k < strata->n; k++) {
    const sky_stratum *a = &strata->stratum[k];
    sky_site *site = &s->site[s->of_place[a->place]];
    if (!(a->area > 0)) continue;
    for (size_t d = 0; d < strata->n_date; d++)
      site->present[a->cls[d]] = true;
    for (size_t d = 0; d + 1 < strata->n_date && a->zone < n_zone; d++)
      if (a->cls[d] != a->cls[d + 1])
        site->changed[a->cls[d]] = site->changed[a->cls[d + 1]] = true;
  }
}

/* ---- factors -------------------------------------------------------------------------------- */

static sky_status use_plots(sky_context *ctx, const char *path, sky_sink_set *set) {
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, path, &t));
  const sky_status st = sky_sink_set_use_plots(ctx, t, path, set);
  sky_table_free(t);
  return st;
}

static sky_status read_overrides(sky_context *ctx, const char *path, sky_sites *s) {
  if (path == NULL) return SKY_OK;
  SKY_TRY(sky_table_read(ctx, path, &s->overrides));
  return sky_factor_overrides_check(ctx, s->overrides, path);
}

static sky_status load(sky_context *ctx, const sky_site_options *opt, const sky_table *overrides,
                       sky_site *site) {
  if (opt->pools == NULL) {
    const sky_sink_need need = {.present = site->present,
                                .changed = site->changed,
                                .soil = site->soil,
                                .tillage = opt->tillage,
                                .input = opt->input,
                                .grazing = opt->grazing,
                                .allowed = opt->allowed,
                                .n_allowed = opt->n_allowed,
                                .overrides = overrides,
                                .overrides_path = opt->overrides,
                                .local = opt->local};
    SKY_TRY(sky_sink_set_builtin(ctx, site->factors, &need, &site->set));
    return opt->plots != NULL ? use_plots(ctx, opt->plots, &site->set) : SKY_OK;
  }
  sky_table *t = NULL;
  SKY_TRY(sky_table_read(ctx, opt->pools, &t));
  const sky_status st =
      sky_sink_set_from_table(ctx, t, opt->pools, opt->legend, site->present, &site->set);
  sky_table_free(t);
  return st;
}

static sky_status join_factors(sky_context *ctx, sky_sites *s) {
  size_t most = 0;
  for (size_t i = 0; i < s->n; i++)
    most += s->site[i].set.n_factor;
  s->factor = SKY_NEW(ctx, const sky_sink_factor *, most);
  if (s->factor == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < s->n; i++) {
    sky_site *site = &s->site[i];
    site->factor = SKY_NEW(ctx, size_t, site->set.n_factor);
    if (site->factor == NULL) return SKY_E_NOMEM;
    for (size_t f = 0; f < site->set.n_factor; f++) {
      size_t k = 0;
      while (k < s->n_factor && strcmp(s->factor[k]->key, site->set.factor[f].key) != 0)
        k++;
      if (k == s->n_factor) s->factor[s->n_factor++] = &site->set.factor[f];
      site->factor[f] = k;
    }
  }
  return SKY_OK;
}

sky_status sky_sites_make(sky_context *ctx, const sky_strata *strata, size_t n_zone,
                          const sky_site_options *opt, sky_sites *out) {
  sky_status st = SKY_OK;
  sky_sites s = {0};
  SKY_GO(open_table(ctx, opt->climate_sets, "set", &s.climates));
  SKY_GO(open_table(ctx, opt->soil_types, "type", &s.soils));
  SKY_GO(read_overrides(ctx, opt->overrides, &s));
  SKY_GO(find_sites(ctx, strata, opt, &s));
  find_classes(strata, n_zone, opt->also, &s);
  for (size_t i = 0; i < s.n; i++)
    SKY_GO(load(ctx, opt, s.overrides, &s.site[i]));
  SKY_GO(join_factors(ctx, &s));
  *out = s;
  s = (sky_sites){0};
cleanup:
  sky_sites_free(&s);
  return st;
}
