/* product.c: the table of products (readers.def), its look-up and its reference page. */
#include "src/read/product.h"

#include <string.h>

#include "src/core/text.h"

#define FIELD(role_, required_, assumed_, min_, max_, doc_, ...)              \
  {                                                                           \
    .role = SKY_ROLE_##role_, .required = (required_), .path = {__VA_ARGS__}, \
    .assumed = (assumed_), .min = (min_), .max = (max_), .doc = (doc_)        \
  }
#define FIELDS(table) .field = (table), .n_fields = sizeof(table) / sizeof((table)[0])
#define RULES(table) .rule = (table), .n_rules = sizeof(table) / sizeof((table)[0])
/* clang-format off */
#include "src/read/readers.def"
/* clang-format on */

static const struct {
  const char *name, *unit;
} ROLES[SKY_ROLE_COUNT] = {
    [SKY_ROLE_X] = {"column", "1"},
    [SKY_ROLE_SIGMA] = {"uncertainty", "1"},
    [SKY_ROLE_PRIOR] = {"prior column", "1"},
    [SKY_ROLE_TIME] = {"time", NULL},
    [SKY_ROLE_DELTA_TIME] = {"time offset", "s"},
    [SKY_ROLE_LAT] = {"latitude", "degrees_north"},
    [SKY_ROLE_LON] = {"longitude", "degrees_east"},
    [SKY_ROLE_CORNER_LAT] = {"corner latitude", "degrees_north"},
    [SKY_ROLE_CORNER_LON] = {"corner longitude", "degrees_east"},
    [SKY_ROLE_ID] = {"sounding id", NULL},
    [SKY_ROLE_SURFACE_PRESSURE] = {"surface pressure", "Pa"},
    [SKY_ROLE_PRESSURE] = {"pressure", "Pa"},
    [SKY_ROLE_PRESSURE_STEP] = {"pressure step", "Pa"},
    [SKY_ROLE_AK] = {"averaging kernel", "1"},
    [SKY_ROLE_WEIGHT] = {"weight", "1"},
    [SKY_ROLE_DRY_SUBCOLUMN] = {"dry air sub-column", "mol m-2"},
    [SKY_ROLE_PROFILE] = {"prior profile", "1"},
    [SKY_ROLE_PRIOR_SUBCOLUMN] = {"prior sub-column", "mol m-2"},
    [SKY_ROLE_OPERATOR] = {"integration operator", "1"},
    [SKY_ROLE_WATER] = {"water vapour", "1"},
    [SKY_ROLE_ALTITUDE] = {"altitude", "m"},
    [SKY_ROLE_AK_AXIS] = {"kernel axis", "m"},
    [SKY_ROLE_PROFILE_AXIS] = {"profile axis", "m"},
    [SKY_ROLE_QUALITY] = {"quality", NULL},
    [SKY_ROLE_SURFACE_CLASS] = {"surface class", NULL},
    [SKY_ROLE_CHI2_SWIR] = {"chi squared", NULL},
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

/* --- reference page ----------------------------------------------------------------------------
 */

static const char *time_text(sky_time_rule rule) {
  switch (rule) {
    case SKY_TIME_CF:
      return "CF time";
    case SKY_TIME_REFERENCE_DELTA:
      return "reference time plus an offset per scanline";
    default:
      return "ISO 8601 text";
  }
}
static const char *pressure_text(sky_pressure_rule rule) {
  return rule == SKY_PRESSURE_PER_LEVEL
             ? "per level; the end with the higher pressure is the surface"
             : "p_k = p_s - k·Δp from the surface; the arrays start at the top, altitudes (where "
               "the file has them) decide";
}
static const char *kernel_text(sky_kernel_rule rule) {
  switch (rule) {
    case SKY_KERNEL_NORMALISED:
      return "normalised kernel, weight and prior profile as stored";
    case SKY_KERNEL_SUBCOLUMNS:
      return "sub-columns in mol m-2: weight = dry_k/Σdry, profile = xa_k/dry_k, prior = Σxa/Σdry";
    default:
      return "weight = operator·(1 - h2o), profile = wet/(1 - h2o): the product's operator applies "
             "to wet profiles, and its weights sum to 1 within 1 %";
  }
}

static void document_range(sky_text *t, const sky_field_decl *f) {
  const char *unit = sky_role_unit(f->role);
  if (!isfinite(f->min) && !isfinite(f->max)) {
    sky_text_put(t, "any");
  } else if (!isfinite(f->max)) {
    sky_text_printf(t, "≥ %g", f->min);
  } else {
    sky_text_printf(t, "%g to %g", f->min, f->max);
  }
  if (unit != NULL && strcmp(unit, "1") != 0) sky_text_printf(t, " %s", unit);
}

static void document_fields(sky_text *t, const sky_reader *r) {
  sky_text_put(t,
               "\n| role | variable | needed | unit if none is stated | legal range | note |\n"
               "|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < r->n_fields; ++i) {
    const sky_field_decl *f = &r->field[i];
    sky_text_printf(t, "| %s | ", sky_role_name(f->role));
    for (size_t k = 0; k < SKY_FIELD_PATHS && f->path[k] != NULL; ++k) {
      sky_text_printf(t, "%s`%s`", k > 0 ? ", else " : "", f->path[k]);
    }
    const bool unitless = sky_role_unit(f->role) == NULL;
    const char *assumed = f->assumed != NULL ? f->assumed : "none: an error";
    sky_text_printf(t, " | %s | %s | ", f->required ? "yes" : "no", unitless ? "-" : assumed);
    document_range(t, f);
    sky_text_printf(t, " | %s |\n", f->doc);
  }
}

static void document_reader(sky_text *t, const sky_reader *r) {
  sky_text_printf(t, "\n## %s\n\n%s. Gases:", r->id, r->title);
  for (size_t i = 0; i < 4 && r->gases[i] != NULL; ++i)
    sky_text_printf(t, " %s", r->gases[i]);
  sky_text_put(t, r->automatic ? ".\n\nRecognised by" : ".\n\nOnly by name (`--product`); needs");
  for (size_t i = 0; i < 4 && r->marker[i] != NULL; ++i) {
    sky_text_printf(t, "%s `%s`", i > 0 ? "," : "", r->marker[i]);
  }
  if (r->marker_attr != NULL) {
    sky_text_printf(t, " and a global attribute `%s` with \"%s\"", r->marker_attr, r->marker_text);
  }
  sky_text_printf(t, ".\n\n- Vertical: %s.\n- Pressure: %s.\n- Kernel: %s.\n- Time: %s.\n",
                  r->vertical == SKY_VERTICAL_LEVELS ? "levels" : "layers",
                  pressure_text(r->pressure), kernel_text(r->kernel), time_text(r->time));
  sky_text_printf(t,
                  "- Tolerances: |Σ weight - 1| ≤ %g, |Σ weight·profile - prior| ≤ %g of the "
                  "prior.\n",
                  r->weight_tolerance, r->prior_tolerance);
  if (r->n_rules == 0) sky_text_put(t, "- Quality: the public files are already filtered.\n");
  for (size_t i = 0; i < r->n_rules; ++i) {
    sky_text_printf(t, "- Rule \"%s\": %s (reason `%s`).\n", r->rule[i].name, r->rule[i].doc,
                    sky_drop_name(r->rule[i].drop));
  }
  sky_text_printf(t, "- Source: %s.\n", r->reference);
  document_fields(t, r);
}

sky_status sky_readers_document(sky_context *ctx, char **text) {
  sky_text t = {.ctx = ctx};
  sky_text_put(
      &t,
      "# Retrieval products\n\n"
      "This page is printed from `src/read/readers.def`; a test keeps it current.\n\n"
      "Every product becomes the same thing (`include/skyflux/soundings.h`): SI units, index 0 at\n"
      "the surface, and a normalised kernel, so that for every sounding\n\n"
      "    X_model = prior + Σ_k weight_k · ak_k · (c_k - profile_k)\n\n"
      "A row whose column value is fill is no sounding; it is counted under `fill`. A sounding "
      "has\n"
      "one drop reason, the first that applies of: quality, fill (position, time, uncertainty),\n"
      "range (outside the plausible columns of its gas), kernel (incomplete, or its identities do\n"
      "not hold), surface. When the median of a variable shows that its unit attribute is wrong "
      "by\n"
      "a power of 1000, the value is repaired and a warning says so.\n");
  for (size_t i = 0; i < sky_reader_count(); ++i)
    document_reader(&t, &READERS[i]);
  *text = sky_text_take(&t);
  return *text != NULL ? SKY_OK : SKY_E_NOMEM;
}
