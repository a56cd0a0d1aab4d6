/* product.c: the table of products (readers.def) and its look-up. */
#include "src/read/product.h"

#include <string.h>

/* Arguments are expanded before they are counted: ANY is two of them. */
#define FIELD(...) FIELD_PLAIN(__VA_ARGS__)
#define FIELD_FILL(...) FIELD_FILLED(__VA_ARGS__)
#define FIELD_PLAIN(role_, need_, assumed_, min_, max_, doc_, ...)                           \
  {                                                                                          \
    .role = SKY_ROLE_##role_, .need = (need_), .path = {__VA_ARGS__}, .assumed = (assumed_), \
    .min = (min_), .max = (max_), .doc = (doc_)                                              \
  }
#define FIELD_FILLED(role_, need_, assumed_, min_, max_, doc_, fill_, ...)                   \
  {                                                                                          \
    .role = SKY_ROLE_##role_, .need = (need_), .path = {__VA_ARGS__}, .assumed = (assumed_), \
    .min = (min_), .max = (max_), .doc = (doc_), .fill = {fill_}, .n_fills = 1               \
  }
#define FIELDS(table) .field = (table), .n_fields = sizeof(table) / sizeof((table)[0])
#define RULES(table) .rule = (table), .n_rules = sizeof(table) / sizeof((table)[0])
/* clang-format off */
#include "src/read/readers.def"
/* clang-format on */

/* Name, SI unit, and what is legal unless a product says otherwise. */
static const struct {
  const char *name, *unit;
  double min, max;
} ROLES[SKY_ROLE_COUNT] = {
    [SKY_ROLE_X] = {"column", "1", 0, 1e-2},
    [SKY_ROLE_SIGMA] = {"uncertainty", "1", 0, 1e-2},
    [SKY_ROLE_PRIOR] = {"prior column", "1", 0, 1e-2},
    [SKY_ROLE_TIME] = {"time", NULL, ANY},
    [SKY_ROLE_DELTA_TIME] = {"time offset", "s", ANY},
    [SKY_ROLE_YEAR] = {"year", NULL, ANY},
    [SKY_ROLE_MONTH] = {"month", NULL, ANY},
    [SKY_ROLE_DAY] = {"day", NULL, ANY},
    [SKY_ROLE_HOUR] = {"hour", NULL, ANY},
    [SKY_ROLE_LAT] = {"latitude", "degrees_north", -90, 90},
    [SKY_ROLE_LON] = {"longitude", "degrees_east", -180, 360},
    [SKY_ROLE_CORNER_LAT] = {"corner latitude", "degrees_north", -90, 90},
    [SKY_ROLE_CORNER_LON] = {"corner longitude", "degrees_east", -180, 360},
    [SKY_ROLE_ID] = {"sounding id", NULL, 0, INFINITY},
    [SKY_ROLE_SURFACE_PRESSURE] = {"surface pressure", "Pa", 1e4, 1.2e5},
    [SKY_ROLE_PRESSURE] = {"pressure", "Pa", 0, 1.2e5},
    [SKY_ROLE_PRESSURE_STEP] = {"pressure step", "Pa", 0, 1.2e5},
    [SKY_ROLE_AK] = {"averaging kernel", "1", -10, 10},
    [SKY_ROLE_WEIGHT] = {"weight", "1", -1, 1},
    [SKY_ROLE_DRY_SUBCOLUMN] = {"dry air sub-column", "mol m-2", 0, 1e7},
    [SKY_ROLE_PROFILE] = {"prior profile", "1", 0, 1e-2},
    [SKY_ROLE_PRIOR_SUBCOLUMN] = {"prior sub-column", "mol m-2", 0, 1e3},
    [SKY_ROLE_OPERATOR] = {"integration operator", "1", -1, 1},
    [SKY_ROLE_WATER] = {"water vapour", "1", 0, 0.2},
    [SKY_ROLE_ALTITUDE] = {"altitude", "m", -1e3, 2e5},
    [SKY_ROLE_AK_AXIS] = {"kernel axis", "m", -1e3, 2e5},
    [SKY_ROLE_PROFILE_AXIS] = {"profile axis", "m", -1e3, 2e5},
    [SKY_ROLE_QUALITY] = {"quality", NULL, ANY},
    [SKY_ROLE_SIMPLE_FLAG] = {"simple flag", NULL, ANY},
    [SKY_ROLE_BIT_FLAG] = {"bit flag", NULL, ANY},
    [SKY_ROLE_MODE] = {"mode", NULL, ANY},
    [SKY_ROLE_SURFACE_CLASS] = {"surface class", NULL, ANY},
    [SKY_ROLE_LAND_FRACTION] = {"land fraction", "1", 0, 1},
    [SKY_ROLE_CHI2_SWIR] = {"chi squared", NULL, 0, INFINITY},
    [SKY_ROLE_CLOUD] = {"cloud", NULL, 0, INFINITY},
    [SKY_ROLE_SCANLINE] = {"scanline", NULL, 0, INFINITY},
    [SKY_ROLE_PIXEL] = {"pixel", NULL, 0, INFINITY},
    [SKY_ROLE_ALBEDO] = {"albedo", "1", -1, 2},
    [SKY_ROLE_ALBEDO_NIR] = {"albedo nir", "1", -1, 2},
    [SKY_ROLE_AEROSOL] = {"aerosol", "1", 0, 100},
    [SKY_ROLE_AIRMASS] = {"air mass", NULL, 1, 100},
    [SKY_ROLE_SOLAR_ZENITH] = {"solar zenith", "radian", 0, 1.5707963},
    [SKY_ROLE_VIEW_ZENITH] = {"view zenith", "radian", 0, 1.5707963},
    [SKY_ROLE_WIND_EAST] = {"wind east", "m s-1", -200, 200},
    [SKY_ROLE_WIND_NORTH] = {"wind north", "m s-1", -200, 200},
    [SKY_ROLE_LEVEL_ALTITUDE] = {"level altitude", "m", -1e3, 2e5},
    [SKY_ROLE_LEVEL_COUNT] = {"level count", NULL, 2, 1000},
    [SKY_ROLE_KERNEL_RANK] = {"kernel rank", NULL, 0, 1000},
    [SKY_ROLE_KERNEL_VALUES] = {"kernel values", "1", -100, 100},
    [SKY_ROLE_KERNEL_LEFT] = {"kernel left vectors", "1", -100, 100},
    [SKY_ROLE_KERNEL_RIGHT] = {"kernel right vectors", "1", -100, 100},
};

size_t sky_reader_count(void) {
  return sizeof READERS / sizeof READERS[0];
}

const sky_reader *sky_reader_at(size_t i) {
  return i < sky_reader_count() ? &READERS[i] : NULL;
}

const sky_reader *sky_reader_find(const char *id) {
  for (size_t i = 0; i < sky_reader_count(); ++i) {
    if (strcmp(READERS[i].id, id) == 0) return &READERS[i];
  }
  return NULL;
}

const sky_field_decl *sky_reader_field(const sky_reader *r, sky_role role) {
  for (size_t i = 0; i < r->n_fields; ++i) {
    if (r->field[i].role == role) return &r->field[i];
  }
  return NULL;
}

bool sky_reader_has_gas(const sky_reader *r, const char *gas) {
  for (size_t i = 0; i < 4 && r->gases[i] != NULL; ++i) {
    if (strcmp(r->gases[i], gas) == 0) return true;
  }
  return false;
}

const char *sky_role_name(sky_role role) {
  return (unsigned)role < SKY_ROLE_COUNT ? ROLES[role].name : "unknown";
}
const char *sky_role_unit(sky_role role) {
  return (unsigned)role < SKY_ROLE_COUNT ? ROLES[role].unit : NULL;
}
void sky_role_range(sky_role role, double *min, double *max) {
  *min = ROLES[role].min;
  *max = ROLES[role].max;
}

const char *sky_relation_name(sky_relation r) {
  static const char *const NAME[SKY_RELATION_COUNT] = {"==", "!=", ">=", ">", "<=", "<"};
  return (unsigned)r < SKY_RELATION_COUNT ? NAME[r] : "unknown";
}

const sky_role *sky_kernel_needs(sky_kernel_rule rule) {
  static const sky_role NEEDS[][10] = {
      [SKY_KERNEL_NORMALISED] = {SKY_ROLE_AK, SKY_ROLE_WEIGHT, SKY_ROLE_PROFILE, SKY_ROLE_COUNT},
      [SKY_KERNEL_SUBCOLUMNS] = {SKY_ROLE_AK, SKY_ROLE_DRY_SUBCOLUMN, SKY_ROLE_PRIOR_SUBCOLUMN,
                                 SKY_ROLE_COUNT},
      [SKY_KERNEL_WET_OPERATOR] = {SKY_ROLE_AK, SKY_ROLE_OPERATOR, SKY_ROLE_WATER, SKY_ROLE_PROFILE,
                                   SKY_ROLE_COUNT},
      [SKY_KERNEL_NONE] = {SKY_ROLE_COUNT},
      [SKY_KERNEL_LOG_SVD] = {SKY_ROLE_PROFILE, SKY_ROLE_WATER, SKY_ROLE_LEVEL_ALTITUDE,
                              SKY_ROLE_LEVEL_COUNT, SKY_ROLE_KERNEL_RANK, SKY_ROLE_KERNEL_VALUES,
                              SKY_ROLE_KERNEL_LEFT, SKY_ROLE_KERNEL_RIGHT, SKY_ROLE_COUNT},
  };
  return NEEDS[rule];
}

const sky_role *sky_pressure_needs(sky_pressure_rule rule) {
  static const sky_role NEEDS[][3] = {
      [SKY_PRESSURE_PER_LEVEL] = {SKY_ROLE_PRESSURE, SKY_ROLE_COUNT},
      [SKY_PRESSURE_STEPS_TOP_FIRST] = {SKY_ROLE_SURFACE_PRESSURE, SKY_ROLE_PRESSURE_STEP,
                                        SKY_ROLE_COUNT},
      [SKY_PRESSURE_EDGES] = {SKY_ROLE_PRESSURE, SKY_ROLE_COUNT},
  };
  return NEEDS[rule];
}

const sky_role *sky_time_needs(sky_time_rule rule) {
  static const sky_role NEEDS[][5] = {
      [SKY_TIME_CF] = {SKY_ROLE_TIME, SKY_ROLE_COUNT},
      [SKY_TIME_REFERENCE_DELTA] = {SKY_ROLE_TIME, SKY_ROLE_DELTA_TIME, SKY_ROLE_COUNT},
      [SKY_TIME_ISO] = {SKY_ROLE_TIME, SKY_ROLE_COUNT},
      [SKY_TIME_PARTS] = {SKY_ROLE_YEAR, SKY_ROLE_MONTH, SKY_ROLE_DAY, SKY_ROLE_HOUR,
                          SKY_ROLE_COUNT},
  };
  return NEEDS[rule];
}
