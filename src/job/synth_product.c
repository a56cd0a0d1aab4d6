/* synth_product.c: see synth_product.h. */
#include "src/job/synth_product.h"

#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/write/hdf5_plain.h"

/* --- the products ------------------------------------------------------------------------------
 */

#define TRACK(rows_, columns_, pixel_, spacing_, lon_, lat_, start_)                               \
  .rows = (rows_), .columns = (columns_), .pixel = (pixel_), .spacing = (spacing_), .lon = (lon_), \
  .lat = (lat_), .start = (start_)
#define OCO(start_)                                                                           \
  TRACK(30, 8, 0.0145, 1, 116.2, 38.4, start_), .levels = 20, .vertical = SKY_CONTENT_LEVELS, \
                                                .n_gases = 1, .gas = {"co2"}
/* The swath lies across 180 degrees. */
#define S5P(start_)                                                                          \
  TRACK(24, 12, 0.055, 1, 179.9, -38, start_), .levels = 12, .vertical = SKY_CONTENT_LAYERS, \
                                               .n_gases = 1, .gas = {"ch4"}, .empty = true,  \
                                               .snow = true
#define GOSAT(lat_, start_) TRACK(40, 3, 0.09, 15, 104, lat_, start_)

static const sky_synth_product PRODUCTS[] = {
    {"oco2-lite-v7",
     "OCO-2 Lite XCO2, build 7 (warn levels)",
     "oco2_LtCO2_150815_B7305Ar_160803194542s.nc4",
     "oco_lite.cdl",
     " oco2 v7 warn bits32 ",
     {OCO(1439617500)}},
    {"oco2-lite-v8",
     "OCO-2 Lite XCO2, build 8 (warn levels)",
     "oco2_LtCO2_150815_B8100r_171009083146s.nc4",
     "oco_lite.cdl",
     " oco2 v8 warn bits32 ",
     {OCO(1439617500)}},
    {"oco2-lite-v9",
     "OCO-2 Lite XCO2, build 9",
     "oco2_LtCO2_180815_B9003r_181018220000s.nc4",
     "oco_lite.cdl",
     " oco2 v9 bits32 ",
     {OCO(1534311900)}},
    {"oco2-lite-v10",
     "OCO-2 Lite XCO2, build 10 (X2007 and X2019)",
     "oco2_LtCO2_200815_B10206Ar_200923211122s.nc4",
     "oco_lite.cdl",
     " oco2 v10 bits32 simple x2019 ",
     {OCO(1597470300)}},
    {"oco2-lite-v11",
     "OCO-2 Lite XCO2, build 11 (64-bit flags)",
     "oco2_LtCO2_220815_B11100Ar_230605231313s.nc4",
     "oco_lite.cdl",
     " oco2 v11 bits64 simple x2019 ",
     {OCO(1660542300)}},
    {"oco3-lite-v10",
     "OCO-3 Lite XCO2, build 10",
     "oco3_LtCO2_200815_B10400Br_220318001013s.nc4",
     "oco_lite.cdl",
     " oco3 v10 bits32 simple x2019 ",
     {OCO(1597477500)}},
    {"s5p-ch4-v1",
     "TROPOMI CH4, operational, processor 1.x",
     "S5P_OFFL_L2__CH4____20190815T003000_20190815T021000_09518_01_010302_20190821T010000.nc",
     "s5p_ch4.cdl",
     " v1 support ",
     {S5P(1565828999)}},
    {"s5p-ch4-v2",
     "TROPOMI CH4, operational, processor 2.x (destriped)",
     "S5P_OFFL_L2__CH4____20230815T003000_20230815T021000_30250_03_020700_20230816T170000.nc",
     "s5p_ch4.cdl",
     " v2 support striped ",
     {S5P(1692059399)}},
    {"s5p-ch4-bare",
     "TROPOMI CH4, operational, a subset without SUPPORT_DATA",
     "S5P_OFFL_L2__CH4____20190815T003000_20190815T021000_09518_01_010302_20190821T010000.SUB.nc4",
     "s5p_ch4.cdl",
     " v1 ",
     {S5P(1565828999)}},
    {"wfmd",
     "TROPOMI/WFMD XCH4 v1.5",
     "ESACCI-GHG-L2-CH4-CO-TROPOMI-WFMD-20171110-fv2.nc",
     "wfmd.cdl",
     " ",
     {TRACK(24, 12, 0.055, 1, 8.6, 53, 1510311600), .levels = 20, .vertical = SKY_CONTENT_LAYERS,
      .n_gases = 1, .gas = {"ch4"}}},
    {"srfp-co2",
     "GHG-CCI GOSAT-2 SRFP XCO2 (unit attribute 1e-9 over ppm)",
     "ESACCI-GHG-L2-CO2-GOSAT2-SRFP-20191231-fv2.nc",
     "srfp.cdl",
     " co2 srfp gosat2 ",
     {GOSAT(-20, 1577768400), .levels = 12, .vertical = SKY_CONTENT_LAYERS, .n_gases = 1,
      .gas = {"co2"}}},
    {"srpr-ch4",
     "GHG-CCI GOSAT-2 SRPR XCH4",
     "ESACCI-GHG-L2-CH4-GOSAT2-SRPR-20191231-fv2.nc",
     "srfp.cdl",
     " ch4 srpr gosat2 ",
     {GOSAT(-20, 1577768400), .levels = 12, .vertical = SKY_CONTENT_LAYERS, .n_gases = 1,
      .gas = {"ch4"}}},
    {"srfp-ch4",
     "GHG-CCI GOSAT-2 SRFP XCH4",
     "ESACCI-GHG-L2-CH4-GOSAT2-SRFP-20191231-fv2.nc",
     "srfp.cdl",
     " ch4 srfp gosat2 ",
     {GOSAT(-20, 1577768400), .levels = 12, .vertical = SKY_CONTENT_LAYERS, .n_gases = 1,
      .gas = {"ch4"}}},
    {"srfp-co2-gosat",
     "GHG-CCI GOSAT SRFP XCO2",
     "ESACCI-GHG-L2-CO2-GOSAT-SRFP-20120101-fv2.3.8.nc",
     "srfp.cdl",
     " co2 srfp gosat ",
     {GOSAT(-20, 1325385000), .levels = 12, .vertical = SKY_CONTENT_LAYERS, .n_gases = 1,
      .gas = {"co2"}}},
    {"srpr-ch4-gosat",
     "GHG-CCI GOSAT SRPR XCH4",
     "ESACCI-GHG-L2-CH4-GOSAT-SRPR-20120101-fv2.3.8.nc",
     "srfp.cdl",
     " ch4 srpr gosat ",
     {GOSAT(-20, 1325385000), .levels = 12, .vertical = SKY_CONTENT_LAYERS, .n_gases = 1,
      .gas = {"ch4"}}},
    {"ocfp-ch4",
     "GHG-CCI GOSAT OCFP XCH4",
     "ESACCI-GHG-L2-CH4-GOSAT-OCFP-20120101-fv7.3.nc",
     "ocfp.cdl",
     " ch4 ",
     {GOSAT(-15, 1325385000), .levels = 20, .vertical = SKY_CONTENT_LEVELS, .n_gases = 1,
      .gas = {"ch4"}, .short_columns = true, .empty = true}},
    {"ocfp",
     "GHG-CCI GOSAT OCFP XCO2",
     "ESACCI-GHG-L2-CO2-GOSAT-OCFP-20120101-fv7.3.nc",
     "ocfp.cdl",
     " co2 ",
     {GOSAT(-15, 1325385000), .levels = 20, .vertical = SKY_CONTENT_LEVELS, .n_gases = 1,
      .gas = {"co2"}, .short_columns = true, .empty = true}},
    {"emma-co2",
     "GHG-CCI EMMA XCO2",
     "ESACCI-GHG-L2-CO2-EMMA-201501-fv4.4.nc",
     "emma.cdl",
     " co2 ",
     {GOSAT(0, 1420113600), .levels = 12, .vertical = SKY_CONTENT_COLUMN_ONLY, .n_gases = 1,
      .gas = {"co2"}, .empty = true, .all_good = true}},
    {"emma-ch4",
     "GHG-CCI EMMA XCH4",
     "ESACCI-GHG-L2-CH4-EMMA-201501-fv4.4.nc",
     "emma.cdl",
     " ch4 ",
     {GOSAT(0, 1420113600), .levels = 12, .vertical = SKY_CONTENT_COLUMN_ONLY, .n_gases = 1,
      .gas = {"ch4"}, .empty = true, .all_good = true}},
    {"nies-swir-co2",
     "NIES GOSAT SWIR L2 XCO2 (HDF5)",
     "SWIRL2CO2_GU_V03.05_20150815.h5",
     "nies_swir.cdl",
     " plain ",
     {GOSAT(10, 1439598000), .levels = 15, .vertical = SKY_CONTENT_LAYERS, .n_gases = 1,
      .gas = {"co2"}, .empty = true}},
    {"nies-swir-ch4",
     "NIES GOSAT SWIR L2 XCH4 (HDF5)",
     "SWIRL2CH4_GU_V03.05_20150815.h5",
     "nies_swir.cdl",
     " plain ",
     {GOSAT(10, 1439598000), .levels = 15, .vertical = SKY_CONTENT_LAYERS, .n_gases = 1,
      .gas = {"ch4"}, .empty = true}},
    {"nies-swfp",
     "NIES GOSAT-2 SWFP, XCO2 and XCH4 (HDF5), the surface first",
     "GOSAT2TFTS220200815_02SWFPV0200020007.h5",
     "nies_swfp.cdl",
     " plain ",
     {GOSAT(10, 1597465800), .levels = 15, .vertical = SKY_CONTENT_LAYERS, .n_gases = 2,
      .gas = {"co2", "ch4"}, .empty = true}},
    {"nies-swfp-down",
     "NIES GOSAT-2 SWFP with the top first",
     "GOSAT2TFTS220200816_02SWFPV0200020007.h5",
     "nies_swfp.cdl",
     " plain down ",
     {GOSAT(10, 1597552200), .levels = 15, .vertical = SKY_CONTENT_LAYERS, .n_gases = 2,
      .gas = {"co2", "ch4"}, .empty = true}},
    {"tansat-lite",
     "TanSat Lite XCO2 (IAPCAS), no kernels",
     "TanSat_L2_XCO2_lite_20170815.nc",
     "tansat_lite.cdl",
     " ",
     {OCO(1502769600), .empty = true}},
    {"tansat-sci",
     "TanSat L2SCI XCO2, one weight vector for all",
     "TanSat_L2SCI_15.nc",
     "tansat_sci.cdl",
     " ",
     {OCO(1502769600), .empty = true}},
    {"tansat-sci-each",
     "TanSat L2SCI XCO2, a weight vector a sounding",
     "TanSat_L2SCI_16.nc",
     "tansat_sci.cdl",
     " each ",
     {OCO(1502856000), .empty = true}},
    {"musica",
     "MUSICA IASI N2O and CH4",
     "IASIA_MUSICA_030300_L2_AllTargetProducts_20200815010259_72040.nc",
     "musica.cdl",
     " ",
     {TRACK(40, 4, 0.12, 4, -15, 28, 1597453379), .levels = 28, .vertical = SKY_CONTENT_PROFILES,
      .n_gases = 2, .gas = {"n2o", "ch4"}}},
    {"emit-ch4enh",
     "EMIT L2B CH4ENH: the enhancement in ppm m (GeoTIFF)",
     "EMIT_L2B_CH4ENH_002_20220815T042838_2222703_003.tif",
     NULL,
     " cog ",
     {TRACK(360, 480, 0.000542232520256367, 1, 53.8, 39.2, 1660537718), .n_gases = 1,
      .gas = {"ch4"}}},
    {"emit-ch4plm",
     "EMIT L2B CH4PLM: the same, masked to a plume complex",
     "EMIT_L2B_CH4PLM_002_20220815T042838_000109.tif",
     NULL,
     " cog masked ",
     {TRACK(120, 160, 0.000542232520256367, 1, 53.9, 39.25, 1660537718), .n_gases = 1,
      .gas = {"ch4"}}},
    {"carbonmapper-plume",
     "Carbon Mapper L3A plume in ppm m (GeoTIFF, no unit inside)",
     "tan20240815t180412c00s4001-A_l3a-vis-ch4-mfa-v3_plume.tif",
     NULL,
     " masked ",
     {TRACK(100, 100, 0.00027, 1, -103.4, 31.8, 1723745052), .n_gases = 1, .gas = {"ch4"}}},
};

size_t sky_synth_product_count(void) {
  return sizeof PRODUCTS / sizeof *PRODUCTS;
}

const sky_synth_product *sky_synth_product_at(size_t i) {
  return i < sky_synth_product_count() ? &PRODUCTS[i] : NULL;
}

const sky_synth_product *sky_synth_product_find(const char *id) {
  for (size_t i = 0; i < sky_synth_product_count(); i++)
    if (strcmp(PRODUCTS[i].id, id) == 0) return &PRODUCTS[i];
  return NULL;
}

/* --- versions in one template ------------------------------------------------------------------
 */

static bool has_word(const char *words, const char *word, size_t length) {
  for (const char *at = strstr(words, " "); at != NULL; at = strchr(at + 1, ' '))
    if (strncmp(at + 1, word, length) == 0 && at[1 + length] == ' ') return true;
  return false;
}

/* "?a+!b line": for versions that have a and lack b. Returns where the line itself starts, or NULL
 * if it is not for this version. */
static const char *line_of(const char *line, const char *words) {
  if (line[0] != '?') return line;
  for (const char *at = line + 1;;) {
    const bool lacks = *at == '!';
    at += lacks;
    const size_t length = strcspn(at, "+ ");
    if (has_word(words, at, length) == lacks) return NULL;
    at += length + 1;
    if (at[-1] == ' ') return at;
  }
}

static char *version_of(sky_context *ctx, const char *text, const char *words) {
  sky_text t = {.ctx = ctx};
  for (const char *at = text; *at != '\0';) {
    const char *end = strchr(at, '\n');
    const char *next = end != NULL ? end + 1 : at + strlen(at);
    const char *line = line_of(at, words);
    if (line != NULL) sky_text_add(&t, line, (size_t)(next - line));
    at = next;
  }
  return sky_text_take(&t);
}

/* --- a granule ---------------------------------------------------------------------------------
 */

static sky_status write_granule(sky_context *ctx, const sky_synth_product *p, const sky_content *c,
                                const char *path) {
  sky_synth_value *values = NULL;
  size_t n = 0;
  char *text = NULL, *truth = NULL;
  sky_status st = SKY_OK;
  const char *layout = sky_embedded(p->layout, NULL);
  if (layout == NULL) {
    return sky_fail(ctx, SKY_E_INTERNAL, "layout '%s' is not embedded", p->layout);
  }
  SKY_GO_ALLOC(text, version_of(ctx, layout, p->words));
  SKY_GO_ALLOC(truth, sky_sprintf(ctx, "%s.truth.csv", path));
  SKY_GO(sky_synth_values(ctx, c, text, &values, &n));
  SKY_GO(sky_synth_write_cdl(ctx, path, p->layout, text, values, n,
                             has_word(p->words, "plain", 5) ? sky_hdf5_make_plain : NULL));
  SKY_GO(sky_content_write_csv(ctx, c, truth));
cleanup:
  sky_synth_values_free(values, n);
  sky_free(text);
  sky_free(truth);
  return st;
}

sky_status sky_synth_product_write(sky_context *ctx, const sky_synth_product *p, const char *path,
                                   size_t soundings, uint64_t seed) {
  sky_content_plan plan = p->plan;
  if (path == NULL) path = p->file;
  if (p->layout == NULL) return sky_synth_raster_write(ctx, p, path, seed);
  if (soundings > 0) plan.rows = (soundings + plan.columns - 1) / plan.columns;
  plan.seed = seed;
  sky_content c = {0};
  sky_status st = sky_content_create(ctx, &plan, &c);
  if (st == SKY_OK) st = write_granule(ctx, p, &c, path);
  sky_content_free(&c);
  return st;
}
