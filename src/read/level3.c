/* level3.c: see level3.h. Sums come a chunk of the file at a time. */
#include "src/read/level3.h"

#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/read/nc.h"

static sky_status text_of(sky_context *ctx, sky_nc *f, const char *name, size_t size, char *out) {
  char *text = NULL;
  SKY_TRY(sky_nc_attr_text(ctx, f, "", name, &text));
  if (text == NULL || strlen(text) >= size) {
    sky_free(text);
    return sky_fail(ctx, SKY_E_FORMAT, "%s: attribute %s is missing or too long", sky_nc_path(f),
                    name);
  }
  memcpy(out, text, strlen(text) + 1);
  sky_free(text);
  return SKY_OK;
}

/* One of two words. */
static sky_status choice_of(sky_context *ctx, sky_nc *f, const char *name, const char *first,
                            const char *second, int *out) {
  char word[32];
  SKY_TRY(text_of(ctx, f, name, sizeof word, word));
  *out = strcmp(word, second) == 0;
  if (*out == 0 && strcmp(word, first) != 0)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: attribute %s: '%s' is not one of %s, %s",
                    sky_nc_path(f), name, word, first, second);
  return SKY_OK;
}

/* Edges from the bounds [n, 2]: the very numbers that were written. */
static sky_status read_edges(sky_context *ctx, sky_nc *f, const char *name, size_t *n,
                             double **edge) {
  sky_nc_var info;
  double *bounds = NULL;
  sky_status st = SKY_OK;
  SKY_TRY(sky_nc_info(ctx, f, name, &info));
  if (info.ndims != 2 || info.size[0] == 0 || info.size[1] != 2)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: /%s: not the bounds of cells", sky_nc_path(f), name);
  SKY_TRY(sky_nc_read(ctx, f, name, &info, &bounds));
  *n = info.size[0];
  SKY_GO_ALLOC(*edge, SKY_NEW(ctx, double, *n + 1));
  (*edge)[0] = bounds[0];
  for (size_t i = 0; i < *n; i++) {
    (*edge)[i + 1] = bounds[2 * i + 1];
    if (!(bounds[2 * i + 1] > (*edge)[i]) || bounds[2 * i] != (*edge)[i])
      SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: /%s: cells do not ascend without gaps",
                      sky_nc_path(f), name));
  }
cleanup:
  sky_free(bounds);
  return st;
}

static sky_status read_grid(sky_context *ctx, sky_nc *f, sky_grid *g) {
  SKY_TRY(text_of(ctx, f, "crs", sizeof g->crs, g->crs));
  g->geographic = sky_nc_has(f, "lon_bnds");
  SKY_TRY(read_edges(ctx, f, g->geographic ? "lon_bnds" : "x_bnds", &g->nx, &g->x_edge));
  return read_edges(ctx, f, g->geographic ? "lat_bnds" : "y_bnds", &g->ny, &g->y_edge);
}

static sky_status read_totals(sky_context *ctx, sky_nc *f, sky_bins_total *t) {
  uint64_t low, high;
  SKY_TRY(sky_nc_read_u64(ctx, f, "soundings", 1, &t->n));
  SKY_TRY(sky_nc_read_u64(ctx, f, "soundings_outside", 1, &t->outside));
  SKY_TRY(sky_nc_read_u64(ctx, f, "soundings_crossed", 1, &t->crossed));
  SKY_TRY(sky_nc_read_u64(ctx, f, "soundings_degenerate", 1, &t->degenerate));
  SKY_TRY(sky_nc_read_u64(ctx, f, "cells2_low", 1, &low));
  SKY_TRY(sky_nc_read_u64(ctx, f, "cells2_high", 1, &high));
  t->cells2 = (sky_u128)high << 64 | low;
  return SKY_OK;
}

static sky_status read_granules(sky_context *ctx, sky_nc *f, sky_level3 *l) {
  char **name = NULL, **product = NULL;
  double *time = NULL;
  size_t n = 0, m = 0;
  sky_nc_var info;
  sky_status st = SKY_OK;
  SKY_GO(sky_nc_read_strings(ctx, f, "granule", &n, &name));
  SKY_GO(sky_nc_read_strings(ctx, f, "granule_product", &m, &product));
  SKY_GO(sky_nc_info(ctx, f, "granule_time", &info));
  if (m != n || info.count != 2 * n)
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: /granule: not as long as what belongs to it",
                    sky_nc_path(f)));
  SKY_GO(sky_nc_read(ctx, f, "granule_time", &info, &time));
  SKY_GO_ALLOC(l->granule, SKY_NEW0(ctx, sky_level3_granule, n));
  for (l->n_granule = 0; l->n_granule < n; l->n_granule++) {
    sky_level3_granule *g = &l->granule[l->n_granule];
    g->start = time[2 * l->n_granule];
    g->end = time[2 * l->n_granule + 1];
    g->name = name[l->n_granule];
    g->product = product[l->n_granule];
    name[l->n_granule] = product[l->n_granule] = NULL;
  }
cleanup:
  sky_file_list_free(name, n);
  sky_file_list_free(product, m);
  sky_free(time);
  return st;
}

static sky_status read_head(sky_context *ctx, sky_nc *f, sky_level3 *l) {
  int oversample, planar;
  SKY_TRY(text_of(ctx, f, "gas", sizeof l->gas, l->gas));
  if (sky_species_find(l->gas) == NULL)
    return sky_fail(ctx, SKY_E_FORMAT, "%s: attribute gas: '%s' is not known", sky_nc_path(f),
                    l->gas);
  SKY_TRY(choice_of(ctx, f, "method", "exact", "oversample", &oversample));
  SKY_TRY(choice_of(ctx, f, "weights", "area", "planar", &planar));
  l->options.method = oversample ? SKY_BINS_OVERSAMPLE : SKY_BINS_EXACT;
  l->options.measure = planar ? SKY_QUAD_PLANAR : SKY_QUAD_AREA;
  for (size_t i = 0; i < 3 && oversample; i++)
    SKY_TRY(sky_nc_attr_number(ctx, f, "", SKY_LEVEL3_EXPONENT[i], &l->options.k[i]));
  if (oversample)
    SKY_TRY(sky_nc_attr_number(ctx, f, "", "sigma_reference", &l->options.sigma_reference));
  SKY_TRY(sky_nc_attr_number(ctx, f, "", "error_correlation", &l->correlation));
  SKY_TRY(read_grid(ctx, f, &l->grid));
  SKY_TRY(read_totals(ctx, f, &l->total));
  return read_granules(ctx, f, l);
}

/* ---- sums ----------------------------------------------------------------------------------- */

#define BLOCK ((size_t)65536) /* cells that are held: a chunk of write/level3.c */

static const char *const WORDS[] = {"cell",        "sum_w",       "sum_wx_low",
                                    "sum_wx_high", "sum_ww_low",  "sum_ww_high",
                                    "sum_ws_low",  "sum_ws_high", "sum_n"};
#define N_WORDS (sizeof WORDS / sizeof WORDS[0])

struct sky_level3_file {
  sky_context *ctx;
  sky_nc *f;
  size_t n_cell, n_grid;   /* with sums; of the grid */
  size_t first, n, at;     /* block: cells [first, first+n), the next one */
  uint64_t last;           /* cell before the block */
  uint64_t *word[N_WORDS]; /* [BLOCK] */
};

static sky_status read_block(sky_level3_file *s) {
  s->at = 0;
  s->n = s->n_cell - s->first < BLOCK ? s->n_cell - s->first : BLOCK;
  sky_nc_window(s->f, "cell", s->first, s->n);
  for (size_t k = 0; k < N_WORDS; k++)
    SKY_TRY(sky_nc_read_u64(s->ctx, s->f, WORDS[k], s->n, s->word[k]));
  const uint64_t *cell = s->word[0];
  for (size_t i = 0; i < s->n; i++) {
    const uint64_t before = i > 0 ? cell[i - 1] : s->last;
    if (cell[i] >= s->n_grid || (s->first + i > 0 && cell[i] <= before))
      return sky_fail(s->ctx, SKY_E_FORMAT, "%s: /cell[%zu]: %llu is not a cell that follows",
                      sky_nc_path(s->f), s->first + i, (unsigned long long)cell[i]);
  }
  if (s->n > 0) s->last = cell[s->n - 1];
  return SKY_OK;
}

sky_status sky_level3_rewind(void *file) {
  sky_level3_file *s = file;
  s->first = 0;
  s->last = 0;
  return read_block(s);
}

static sky_u128 halves(const sky_level3_file *s, size_t low) {
  return (sky_u128)s->word[low + 1][s->at] << 64 | s->word[low][s->at];
}

sky_status sky_level3_next(void *file, size_t *cell, sky_bin *sums) {
  sky_level3_file *s = file;
  if (s->at == s->n && s->n > 0) {
    s->first += s->n;
    SKY_TRY(read_block(s));
  }
  *cell = SIZE_MAX;
  if (s->at == s->n) return SKY_OK;
  *cell = (size_t)s->word[0][s->at];
  memset(sums, 0, sizeof *sums);
  sums->w = s->word[1][s->at];
  sums->wx = (sky_i128)halves(s, 2);
  sums->ww = halves(s, 4);
  sums->ws = halves(s, 6);
  sums->n = (uint32_t)s->word[8][s->at];
  sums->n_sigma = (uint32_t)(s->word[8][s->at] >> 32);
  s->at++;
  return SKY_OK;
}

size_t sky_level3_cells(const sky_level3_file *s) {
  return s->n_cell;
}

void sky_level3_close(sky_level3_file *s) {
  if (s == NULL) return;
  for (size_t k = 0; k < N_WORDS; k++)
    sky_free(s->word[k]);
  sky_nc_close(s->f);
  sky_free(s);
}

/* Takes f over. */
static sky_status open_sums(sky_context *ctx, sky_nc *f, const sky_grid *g, sky_level3_file **out) {
  sky_status st = SKY_OK;
  sky_level3_file *s = SKY_NEW0(ctx, sky_level3_file, 1);
  if (s == NULL) {
    sky_nc_close(f);
    return SKY_E_NOMEM;
  }
  s->ctx = ctx;
  s->f = f;
  s->n_grid = sky_grid_cells(g);
  s->n_cell = sky_nc_dim(f, "cell");
  if (s->n_cell == SIZE_MAX || s->n_cell > s->n_grid)
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: dimension cell is missing or larger than the grid",
                    sky_nc_path(f)));
  for (size_t k = 0; k < N_WORDS; k++) {
    SKY_GO_ALLOC(s->word[k], SKY_NEW(ctx, uint64_t, BLOCK));
    sky_nc_stream(f, WORDS[k]);
  }
  SKY_GO(sky_level3_rewind(s));
  *out = s;
  return SKY_OK;
cleanup:
  sky_level3_close(s);
  return st;
}

sky_status sky_level3_recognise(sky_context *ctx, const char *path, bool *out) {
  sky_nc *f = NULL;
  char *content = NULL;
  *out = false;
  SKY_TRY(sky_nc_open(ctx, path, &f));
  const sky_status st = sky_nc_attr_text(ctx, f, "", "skyflux_content", &content);
  *out = st == SKY_OK && content != NULL && strcmp(content, SKY_LEVEL3_CONTENT) == 0;
  sky_free(content);
  sky_nc_close(f);
  return st;
}

sky_status sky_level3_open(sky_context *ctx, const char *path, sky_level3 *head,
                           sky_level3_file **file) {
  sky_nc *f = NULL;
  memset(head, 0, sizeof *head);
  if (file != NULL) *file = NULL;
  SKY_TRY(sky_nc_open(ctx, path, &f));
  sky_status st = read_head(ctx, f, head);
  if (st == SKY_OK && file != NULL)
    st = open_sums(ctx, f, &head->grid, file);
  else
    sky_nc_close(f);
  if (st != SKY_OK) sky_level3_free(head);
  return st;
}
