/* product_doc.c: the reference page of the products, from the table that reads them. */
#include <string.h>

#include "src/core/text.h"
#include "src/read/enhancement.h"
#include "src/read/product.h"

static const char *time_text(sky_time_rule rule) {
  switch (rule) {
    case SKY_TIME_CF:
      return "CF time";
    case SKY_TIME_REFERENCE_DELTA:
      return "reference time plus an offset per scanline";
    case SKY_TIME_PARTS:
      return "year, month, day and hour in variables of their own";
    default:
      return "ISO 8601 text";
  }
}
static const char *pressure_text(sky_pressure_rule rule) {
  switch (rule) {
    case SKY_PRESSURE_PER_LEVEL:
      return "per level; the end with the higher pressure is the surface";
    case SKY_PRESSURE_EDGES:
      return "of the boundaries of layers; the end with the higher pressure is the surface, a "
             "layer gets the mean of its two";
    default:
      return "p_k = p_s - k·Δp from the surface; the arrays start at the top, altitudes (where the "
             "file has them) decide";
  }
}
static const char *kernel_text(sky_kernel_rule rule) {
  switch (rule) {
    case SKY_KERNEL_NORMALISED:
      return "normalised kernel, weight and prior profile as stored";
    case SKY_KERNEL_SUBCOLUMNS:
      return "sub-columns in mol m-2: weight = dry_k/Σdry, profile = xa_k/dry_k, prior = Σxa/Σdry";
    case SKY_KERNEL_NONE:
      return "none; the soundings have n_levels = 0";
    case SKY_KERNEL_LOG_SVD:
      return "of profiles of the logarithm, A = L·diag(s)·Rᵀ of the stated rank; column, weights "
             "by "
             "dry air and the column's kernel are made from it (algorithms/column/column.md)";
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
    static const char *const NEED[] = {"no", "yes", "for a kernel"};
    sky_text_printf(t, " | %s | %s | ", NEED[f->need], unitless ? "-" : assumed);
    document_range(t, f);
    sky_text_printf(t, " | %s", f->doc);
    for (int k = 0; k < f->n_fills; ++k)
      sky_text_printf(t, "; %g is fill", f->fill[k]);
    sky_text_put(t, " |\n");
  }
}

static void document_recognition(sky_text *t, const sky_reader *r) {
  sky_text_put(t, r->automatic ? ".\n\nRecognised by" : ".\n\nOnly by name (`--product`); needs");
  for (size_t i = 0; i < 4 && r->marker[i] != NULL; ++i) {
    sky_text_printf(t, "%s `%s`", i > 0 ? "," : "", r->marker[i]);
  }
  if (r->marker_attr != NULL) {
    sky_text_printf(t, " and a global attribute `%s` with \"%s\"", r->marker_attr, r->marker_text);
  }
  if (r->absent != NULL) sky_text_printf(t, ", without `%s`", r->absent);
}

static void document_rules(sky_text *t, const sky_reader *r) {
  static const char *const PRESET[] = {"by name", "default", "strict", "default, strict"};
  if (r->n_rules == 0) {
    sky_text_put(t, "- Quality: the files are filtered when they are made.\n");
    return;
  }
  sky_text_put(t, "\n| quality option | part of | what it does | reason |\n|---|---|---|---|\n");
  for (size_t i = 0; i < r->n_rules; ++i) {
    const sky_rule *rule = &r->rule[i];
    sky_text_printf(t, "| `%s` | %s | %s | `%s` |\n", rule->name, PRESET[rule->preset & 3],
                    rule->doc, sky_drop_name(rule->drop));
  }
}

static void document_reader(sky_text *t, const sky_reader *r) {
  static const char *const PROOF[] = {
      "its layout only: no real file has been read, only synthetic ones in that layout",
      "its layout and a real file of a relative", "real files"};
  static const char *const VERTICAL[] = {"none", "levels", "layers"};
  sky_text_printf(t, "\n## %s\n\n%s. Gases:", r->id, r->title);
  for (size_t i = 0; i < 4 && r->gases[i] != NULL; ++i)
    sky_text_printf(t, " %s", r->gases[i]);
  document_recognition(t, r);
  sky_text_printf(t, ".\n\n- Checked against %s.\n- Vertical: %s.\n", PROOF[r->proof],
                  VERTICAL[r->vertical]);
  if (r->kernel != SKY_KERNEL_NONE)
    sky_text_printf(t, "- Pressure: %s.\n", pressure_text(r->pressure));
  sky_text_printf(t, "- Kernel: %s.\n- Time: %s.\n", kernel_text(r->kernel), time_text(r->time));
  if (r->kernel != SKY_KERNEL_NONE) {
    sky_text_printf(t,
                    "- Tolerances: |Σ weight - 1| ≤ %g, |Σ weight·profile - prior| ≤ %g of the "
                    "prior%s.\n",
                    r->weight_tolerance, r->prior_tolerance,
                    sky_reader_field(r, SKY_ROLE_PRIOR) != NULL ? ""
                    : r->kernel == SKY_KERNEL_SUBCOLUMNS
                        ? ""
                        : " (which is made from them: the file states none)");
  }
  sky_text_printf(t, "- Source: %s.\n", r->reference);
  document_rules(t, r);
  document_fields(t, r);
}

static void document_proofs(sky_text *t) {
  static const char *const TITLE[] = {[SKY_PROOF_FILE] = "real files",
                                      [SKY_PROOF_RELATIVE] = "a real file of a relative",
                                      [SKY_PROOF_LAYOUT] = "their layout only"};
  sky_text_put(t, "\n| checked against | readers |\n|---|---|\n");
  for (int proof = SKY_PROOF_FILE; proof >= SKY_PROOF_LAYOUT; --proof) {
    sky_text_printf(t, "| %s |", TITLE[proof]);
    const char *comma = "";
    for (size_t i = 0; i < sky_reader_count(); ++i) {
      if ((int)sky_reader_at(i)->proof != proof) continue;
      sky_text_printf(t, "%s %s", comma, sky_reader_at(i)->id);
      comma = ",";
    }
    sky_text_put(t, " |\n");
  }
}

/* Rasters are no soundings and have no row in the table: enhancement.h. */
static void document_enhancements(sky_text *t) {
  sky_text_printf(
      t,
      "\n## Enhancement rasters\n\n"
      "Column enhancements of CO2, CH4 or N2O in ppm m or an amount per area, as GeoTIFF (EMIT "
      "L2B, "
      "Carbon Mapper L3A):\n`skyflux info` only.\n\n"
      "- Checked against their layout only: no real file has been read, only synthetic ones in "
      "that "
      "layout.\n"
      "- Recognised by a unit that is a column amount; `--unit` and `--gas` say what the file does "
      "not.\n"
      "- Quality: nodata is left out; negative values are noise about zero and stay.\n"
      "- Unit: mol m-2 = ppm m · 1e-6 p/(R T), p = %g Pa, T = %g K.\n",
      SKY_ENHANCEMENT_PRESSURE, SKY_ENHANCEMENT_TEMPERATURE);
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
      "a power of 1000, the value is repaired and a warning says so. Levels that are missing at\n"
      "either end of all arrays are cut off.\n\n"
      "A file is recognised by what is in it, never by its name; a file that two readers would "
      "take\n"
      "is refused with both names. Products that are not here can be declared in a job file or "
      "with\n"
      "`--declare FILE.yaml`: see `products` in [job.md](job.md), and\n"
      "[declared.yaml](../sample_scenes/products/declared.yaml) as a complete example.\n\n"
      "## Quality\n\n"
      "`--quality LIST`, or `soundings[].quality` of a job, names the rules that a sounding must "
      "pass:\n"
      "words with commas between them, each `default`, `strict`, `none` or a quality option of "
      "the\n"
      "product (tables below). `PRODUCT:WORD` counts for that product alone, in place of the "
      "words\n"
      "without a product: `--quality strict,oco-lite:flag,oco-lite:land`. Fill, range and kernel\n"
      "always count. A rule of `default` or `strict` whose optional variable the file lacks says\n"
      "nothing; one that is asked for by its own name then is an error.\n\n"
      "## Which readers have met a real file\n");
  document_proofs(&t);
  for (size_t i = 0; i < sky_reader_count(); ++i)
    document_reader(&t, sky_reader_at(i));
  document_enhancements(&t);
  *text = sky_text_take(&t);
  return *text != NULL ? SKY_OK : SKY_E_NOMEM;
}
