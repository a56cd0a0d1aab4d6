/* report_words.c: the headline and the diagnosis of a gas. Every number comes from the zone table
 * or from the facts of a stage. */
#include "src/job/report_words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/text.h"

#define NAMED_ZONES 2 /* more are counted */

static bool of_gas(const sky_zone_row *row, const char *gas) {
  return strcmp(row->gas, gas) == 0 && strcmp(row->role, "report") == 0;
}

/* The zone that stands for all: at least half as large as all others together, as a city is that
 * holds its counties and parks. NULL if there is none. */
static const sky_zone_row *whole_of(const sky_report *r, const char *gas) {
  const sky_zone_row *whole = NULL;
  double area = 0;
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (!of_gas(row, gas)) continue;
    area += row->area_km2;
    if (whole == NULL || row->area_km2 > whole->area_km2) whole = row;
  }
  return whole != NULL && 3 * whole->area_km2 >= area ? whole : NULL;
}

/* "605 ± 58 kt yr⁻¹" */
static void put_mass(sky_text *t, sky_mass_scale s, double value, double sd) {
  char text[96];
  sky_report_plus_minus(s.factor * value, s.factor * sd, text);
  sky_text_printf(t, "%s %s", text, s.unit);
}

static void put_totals(sky_text *t, const sky_report *r, const sky_zone_row *row) {
  const sky_mass_scale s = sky_report_scale(r, row->gas);
  char prior[96], inventory[96];
  sky_report_plus_minus(s.factor * row->prior, s.factor * row->prior_sd, prior);
  sky_report_plus_minus(s.factor * row->inventory, s.factor * row->inventory_sd, inventory);
  if (!isnan(row->posterior)) {
    sky_text_printf(t, "%s: ", row->zone_name);
    put_mass(t, s, row->posterior, row->posterior_sd);
    sky_text_put(t, " after the observations");
    if (row->posterior_is != NULL && row->posterior_is[0] != '\0' &&
        strcmp(row->posterior_is, "mean") != 0)
      sky_text_printf(t, " (%s)", row->posterior_is);
    sky_text_printf(t, ", %s before them", prior);
    if (!isnan(row->inventory)) sky_text_printf(t, "; the inventory says %s", inventory);
    sky_text_put(t, ". ");
  } else if (!isnan(row->inventory)) {
    sky_text_printf(t, "%s: the inventory says %s %s. ", row->zone_name, inventory, s.unit);
  }
  if (!isnan(row->sink)) {
    const bool moved = !isnan(row->sink_posterior);
    sky_text_put(t, "Its ecosystems: ");
    put_mass(t, sky_report_sink_scale(r, row->gas), moved ? row->sink_posterior : row->sink,
             moved ? row->sink_posterior_sd : row->sink_sd);
    sky_text_put(t, " (uptake is negative). ");
  }
  if (!isnan(row->best)) {
    sky_text_put(t, "Best estimate: ");
    put_mass(t, s, row->best, row->best_sd);
    sky_text_printf(t, " (%s). ", row->best_from);
  }
}

/* "East park and West park", or "5 zones". */
static void put_zones(sky_text *t, const sky_report *r, const char *gas, const char *status,
                      size_t n) {
  size_t k = 0;
  if (n > NAMED_ZONES) {
    sky_text_printf(t, "%zu zones", n);
    return;
  }
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (strcmp(row->gas, gas) != 0 || strcmp(row->status, status) != 0) continue;
    if (k > 0) sky_text_put(t, k + 1 < n ? ", " : " and ");
    sky_text_put(t, row->zone_name);
    k++;
  }
}

static void put_statuses(sky_text *t, const sky_report *r, const char *gas) {
  static const char *const words[][2] = {
      {"higher", "the atmosphere shows significantly more than the inventory"},
      {"lower", "the atmosphere shows significantly less than the inventory"},
      {"consistent",
       "inventory and atmosphere agree within their errors (which does not verify the inventory)"},
      {"model misfit", "the model cannot explain the observations, so nothing is concluded"},
      {"insufficient information", "the observations say too little to judge the inventory"},
      {"not comparable", "there is nothing to compare"},
  };
  for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_rows; i++)
      n += strcmp(r->rows[i].gas, gas) == 0 && strcmp(r->rows[i].status, words[k][0]) == 0;
    if (n == 0) continue;
    sky_text_put(t, "In ");
    put_zones(t, r, gas, words[k][0], n);
    sky_text_printf(t, ": %s. ", words[k][1]);
  }
}

char *sky_words_headline(sky_context *ctx, const sky_report *r, const sky_gas_facts *gas) {
  sky_text t = {.ctx = ctx};
  const sky_zone_row *whole = whole_of(r, gas->gas);
  if (whole != NULL) put_totals(&t, r, whole);
  if (gas->invert == NULL) sky_text_put(&t, "No flux is claimed from the observations. ");
  put_statuses(&t, r, gas->gas);
  return sky_text_take(&t);
}

/* --- how sure --- */

static void say_pieces(sky_facts *out, const char *label, const sky_facts *invert) {
  const double obs = sky_facts_number(invert, "observations");
  const double dofs = sky_facts_number(invert, "dofs");
  const double background = sky_facts_number(invert, "dofs_background");
  char from[64], pieces[64], besides[64] = "";
  if (isnan(dofs)) return; /* only a Gaussian posterior has them */
  if (obs > 0)
    snprintf(from, sizeof from, "%.0f observations carry", obs);
  else
    snprintf(from, sizeof from, "the ready-made information carries");
  snprintf(pieces, sizeof pieces, dofs < 0.01 ? "less than 0.01" : "%.2g", dofs);
  if (background > 0)
    snprintf(besides, sizeof besides, ", and %.2g about the background", background);
  sky_fact(out, "how sure", label, "%s %s independent pieces of information about the fluxes%s",
           from, pieces, besides);
}

static void say_share(sky_facts *out, const char *label, const sky_report *r, const char *gas) {
  const sky_zone_row *least = NULL, *most = NULL;
  for (size_t i = 0; i < r->n_rows; i++) {
    const sky_zone_row *row = &r->rows[i];
    if (!of_gas(row, gas) || isnan(row->reduction)) continue;
    if (least == NULL || row->reduction < least->reduction) least = row;
    if (most == NULL || row->reduction > most->reduction) most = row;
  }
  if (most == NULL) return;
  char share[96], least_share[96], other[256] = "";
  sky_report_percent(most->reduction, share);
  sky_report_percent(least->reduction, least_share);
  if (least != most) snprintf(other, sizeof other, ", %s in %s", least_share, least->zone_name);
  sky_fact(out, "how sure", label,
           "of what was uncertain before (the variance of a total), the observations removed %s in "
           "%s%s",
           share, most->zone_name, other);
}

static void say_fit(sky_facts *out, const char *label, const sky_facts *invert) {
  const double chi2 = sky_facts_number(invert, "chi2_innovation_per_obs");
  const double spread = 2 * sqrt(2 / sky_facts_number(invert, "observations"));
  if (isnan(chi2) || isnan(spread)) return;
  const char *meaning =
      chi2 > 1 + spread ? "more than the stated errors explain: something is missing (winds, "
                          "background, an error "
                          "stated too small), and the deviations given here are too small"
      : chi2 < 1 - spread
          ? "less than the stated errors allow: they are stated larger than they are"
          : "what the stated errors let expect";
  sky_fact(out, "how sure", label,
           "before the fit, model and observations differ by %.2f times the stated variance (1 ± "
           "%.2f is expected): %s",
           chi2, spread, meaning);
}

static void say_detectable(sky_facts *out, const char *label, const sky_report *r,
                           const sky_zone_row *row) {
  char text[96], share[96];
  const sky_mass_scale s = sky_report_scale(r, row->gas);
  if (isnan(row->detectable)) return;
  if (isinf(row->detectable)) {
    sky_fact(out, "how sure", label, "no error of the inventory of %s would be found",
             row->zone_name);
    return;
  }
  sky_report_plus_minus(s.factor * row->detectable, NAN, text);
  sky_report_percent(row->detectable / fabs(row->inventory), share);
  sky_fact(out, "how sure", label,
           "an error of the inventory of %s smaller than %s %s (%s of it) would stay unseen (80 %% "
           "power)",
           row->zone_name, text, s.unit, share);
}

static void say_period(sky_facts *out, const char *label, const sky_facts *soundings) {
  sky_fact(out, "how sure", label,
           "top-down totals are rates of the sampled period only (%.10s to %.10s), written per "
           "year; they say nothing about the rest of the year",
           sky_facts_text(soundings, "first"), sky_facts_text(soundings, "last"));
}

void sky_words_diagnose(sky_facts *out, const sky_report *r, const sky_gas_facts *gas) {
  const char *label = sky_species_find(gas->gas)->formula;
  const sky_zone_row *whole = whole_of(r, gas->gas);
  if (gas->invert == NULL) return;
  say_pieces(out, label, gas->invert);
  say_share(out, label, r, gas->gas);
  say_fit(out, label, gas->invert);
  if (whole != NULL) say_detectable(out, label, r, whole);
  if (gas->soundings != NULL) say_period(out, label, gas->soundings);
}

/* --- the account --- */

/* "county-1 co2 S1" -> region, gas, scope. */
static bool split_key(const char *key, char region[160], char gas[8], char scope[8]) {
  const char *last = strrchr(key, ' '), *middle = last;
  while (middle != NULL && middle > key && *--middle != ' ')
    ;
  if (middle == NULL || middle == key) return false;
  snprintf(region, 160, "%.*s", (int)(middle - key), key);
  snprintf(gas, 8, "%.*s", (int)(last - middle - 1), middle + 1);
  snprintf(scope, 8, "%s", last + 1);
  return sky_species_find(gas) != NULL;
}

void sky_words_account(sky_facts *out, const sky_facts *account) {
  const cJSON *item;
  char region[160], gas[8], scope[8], mass[96];
  cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(account->root, "numbers")) {
    if (item->string == NULL || !split_key(item->string, region, gas, scope)) continue;
    const bool bought = strcmp(scope, "S2") == 0;
    const char *formula = sky_species_find(gas)->formula;
    if (!cJSON_IsNumber(item)) {
      sky_fact(out, "Account", region, "%s, scope %s: not complete, see the warnings", formula,
               bought ? "2" : "1");
      continue;
    }
    sky_report_plus_minus(item->valuedouble / 1e3, NAN, mass);
    sky_fact(
        out, "Account", region,
        bought
            ? "%s t yr⁻¹ %s of purchased power and heat (scope 2), emitted elsewhere: beside the "
              "flux, never in it"
            : "%s t yr⁻¹ %s emitted here (scope 1)",
        mass, formula);
  }
}
