/* units.c: udunits2 under the lane, with our own additions and the repair of real files' spellings.
 *
 * udunits2 2.2 defines molecule by the Avogadro constant of CODATA 2006; since 2019 it is exact, so
 * the name is mapped anew. "yr" stays udunits2's tropical year (365.242198781 d). */
#include "src/core/units.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <udunits2.h>

#include "src/core/lane.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/species.h"

#define UNIT_TEXT_MAX 256

static ut_system *unit_system; /* constant once loaded; NULL: udunits2's database is not readable */

static void define(const char *definition, const char *const *names) {
  ut_unit *unit = ut_parse(unit_system, definition, UT_ASCII);
  for (; unit != NULL && *names != NULL; names++) {
    ut_unmap_name_to_unit(unit_system, *names, UT_ASCII);
    ut_unmap_symbol_to_unit(unit_system, *names, UT_ASCII);
    ut_map_name_to_unit(*names, UT_ASCII, unit);
  }
  ut_free(unit);
}

static void load(void) {
  ut_set_error_message_handler(ut_ignore);
  unit_system = ut_read_xml(NULL);
  if (unit_system == NULL) return;
  char molecule[64];
  snprintf(molecule, sizeof molecule, "%.17g mol", 1.0 / SKY_N_AVOGADRO);
  define("1e-6", (const char *const[]){"ppm", "ppmv", NULL});
  define("1e-9", (const char *const[]){"ppb", "ppbv", NULL});
  define("1e-12", (const char *const[]){"ppt", "pptv", NULL});
  define(molecule, (const char *const[]){"molec", "molecs", "molecule", "molecules", NULL});
}

/* Spellings that udunits2 does not know or reads as something else ("mb": millibarn). */
static const char *const REPAIR[][2] = {
    {"none", "1"}, {"unitless", "1"}, {"dimensionless", "1"},
    {"-", "1"},    {"n/a", "1"},      {"mb", "mbar"},
};

/* The unit text as udunits2 shall see it: blanks trimmed, known spellings replaced, "moleccm-2"
 * separated. False if it does not fit. */
static bool repair(const char *unit, char out[UNIT_TEXT_MAX]) {
  while (isspace((unsigned char)*unit))
    unit++;
  size_t n = strlen(unit);
  while (n > 0 && isspace((unsigned char)unit[n - 1]))
    n--;
  if (n + 2 > UNIT_TEXT_MAX) return false;
  memcpy(out, unit, n);
  out[n] = '\0';
  if (n == 0) memcpy(out, "1", 2);
  for (size_t i = 0; i < sizeof REPAIR / sizeof *REPAIR; i++) {
    if (strcasecmp(out, REPAIR[i][0]) == 0) {
      snprintf(out, UNIT_TEXT_MAX, "%s", REPAIR[i][1]);
      return true;
    }
  }
  const size_t m = strlen("molec");
  if (strncmp(out, "molec", m) == 0 && (strncmp(out + m, "cm", 2) == 0 || out[m] == 'm')) {
    memmove(out + m + 1, out + m, n - m + 1);
    out[m] = ' ';
  }
  return true;
}

/* Inside the lane: the unit, NULL if it does not parse. */
static ut_unit *parse(const char *unit) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  char text[UNIT_TEXT_MAX];
  pthread_once(&once, load);
  return unit_system != NULL && repair(unit, text) ? ut_parse(unit_system, text, UT_UTF8) : NULL;
}

typedef enum conversion {
  CONVERTS,
  BAD_FROM,
  BAD_TO,
  OTHER_DIMENSION,
  NOT_LINEAR,
  NO_DATABASE
} conversion;

static conversion convert(const char *from, const char *to, double *scale, double *offset) {
  sky_lane_lock();
  ut_unit *a = parse(from), *b = parse(to);
  cv_converter *c = a != NULL && b != NULL ? ut_get_converter(a, b) : NULL;
  conversion result = unit_system == NULL ? NO_DATABASE
                      : a == NULL         ? BAD_FROM
                      : b == NULL         ? BAD_TO
                      : c == NULL         ? OTHER_DIMENSION
                                          : CONVERTS;
  if (c != NULL) {
    /* A long step keeps the slope's digits beside a large offset (K to degree_Celsius). */
    const double step = 0x1p40, at0 = cv_convert_double(c, 0.0);
    const double slope =
        at0 == 0.0 ? cv_convert_double(c, 1.0) : (cv_convert_double(c, step) - at0) / step;
    const double probe = cv_convert_double(c, 3.0), linear = slope * 3.0 + at0;
    if (!isfinite(slope) || !isfinite(at0) || slope == 0.0 ||
        !(fabs(probe - linear) <= 1e-9 * (fabs(probe) + fabs(at0)))) {
      result = NOT_LINEAR;
    }
    *scale = slope;
    *offset = at0;
  }
  cv_free(c);
  ut_free(a);
  ut_free(b);
  sky_lane_unlock();
  return result;
}

sky_status sky_units_convert(sky_context *ctx, const char *from, const char *to, double *scale,
                             double *offset) {
  double s = NAN, o = NAN;
  switch (convert(from, to, &s, &o)) {
    case CONVERTS:
      *scale = s;
      *offset = o;
      return SKY_OK;
    case BAD_FROM:
      return sky_fail(ctx, SKY_E_UNITS, "'%s' is not a unit (to be converted to '%s')", from, to);
    case BAD_TO:
      return sky_fail(ctx, SKY_E_UNITS, "'%s' is not a unit (to be converted from '%s')", to, from);
    case OTHER_DIMENSION:
      return sky_fail(ctx, SKY_E_UNITS, "unit '%s' does not convert to '%s'", from, to);
    case NOT_LINEAR:
      return sky_fail(ctx, SKY_E_UNITS, "unit '%s' does not convert linearly to '%s'", from, to);
    case NO_DATABASE:
      break;
  }
  return sky_fail(ctx, SKY_E_MISSING,
                  "the unit database of udunits2 cannot be read "
                  "(package libudunits2-data, or UDUNITS2_XML_PATH)");
}

sky_status sky_units_flux(sky_context *ctx, const char *from, const char *gas,
                          double *to_mol_m2_s) {
  const sky_species *s = sky_species_find(gas);
  if (s == NULL) return sky_fail(ctx, SKY_E_GAS, "'%s' is not a known gas", gas);
  double scale, offset;
  if (convert(from, "mol m-2 s-1", &scale, &offset) == CONVERTS && offset == 0.0) {
    *to_mol_m2_s = scale;
    return SKY_OK;
  }
  if (convert(from, "kg m-2 s-1", &scale, &offset) == CONVERTS && offset == 0.0) {
    *to_mol_m2_s = scale / s->molar_mass;
    return SKY_OK;
  }
  return sky_fail(ctx, SKY_E_UNITS,
                  "'%s' is not a flux unit (expected amount or mass per area and time, e.g. "
                  "'mol m-2 s-1' or 'kg m-2 s-1')",
                  from);
}

bool sky_units_valid(const char *unit) {
  sky_lane_lock();
  ut_unit *u = parse(unit);
  const bool valid = u != NULL;
  ut_free(u);
  sky_lane_unlock();
  return valid;
}

sky_status sky_units_quantity(sky_context *ctx, const char *text, const char *want,
                              const char *bare, double *value) {
  double number;
  const char *unit;
  if (!sky_number_parse(text, &number, &unit)) {
    return sky_fail(ctx, SKY_E_UNITS, "'%s' is not a quantity (expected e.g. '1 %s')", text, want);
  }
  while (isspace((unsigned char)*unit))
    unit++;
  if (*unit == '\0') {
    if (bare == NULL && strcmp(want, "1") != 0) {
      return sky_fail(ctx, SKY_E_UNITS, "'%s' has no unit (expected e.g. '%s %s')", text, text,
                      want);
    }
    unit = bare != NULL ? bare : "1";
  }
  double scale, offset;
  if (sky_units_convert(ctx, unit, want, &scale, &offset) != SKY_OK) {
    return sky_fail(ctx, SKY_E_UNITS, "'%s' does not convert to '%s'", text, want);
  }
  *value = scale * number + offset;
  return SKY_OK;
}
