/* vprm_share.c: see vprm_share.h. */
#include "src/job/vprm_share.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/regrid.h"
#include "src/core/memory.h"
#include "src/read/raster.h"

#define LEAST_VALID 0.5
#define TOLERANCE 1e-6 /* of the audit, and of the sum of shares */

/* Of the codes of a map: the index of a class in the set, or SIZE_MAX where there is no flux. */
typedef struct codes {
  size_t n;
  double *code;
  size_t *cls;
} codes;

static void codes_free(codes *c) {
  sky_free(c->code);
  sky_free(c->cls);
}

static sky_status no_class(sky_context *ctx, const char *where, const char *name,
                           const sky_vprm_set *set) {
  char names[512] = "";
  for (size_t k = 0; k < set->n; k++) {
    const size_t at = strlen(names);
    snprintf(names + at, sizeof names - at, "%s, ", set->cls[k].name);
  }
  return sky_fail(ctx, SKY_E_RANGE, "%s: parameter set %s has no class '%s'; name one of %s%s",
                  where, set->name, name, names, SKY_VPRM_NO_FLUX);
}

static sky_status read_codes(sky_context *ctx, const char *path, const sky_vprm_set *set,
                             codes *out) {
  sky_table *t = NULL;
  sky_status st = SKY_OK;
  SKY_TRY(sky_table_read(ctx, path, &t));
  sky_table_trim(t);
  const size_t code = sky_table_find(t, "code"), cls = sky_table_find(t, "class");
  if (code == SIZE_MAX || cls == SIZE_MAX)
    SKY_GO(sky_fail(ctx, SKY_E_FORMAT, "%s: columns code and class are needed", path));
  SKY_GO_ALLOC(out->code, SKY_NEW(ctx, double, sky_table_rows(t)));
  SKY_GO_ALLOC(out->cls, SKY_NEW(ctx, size_t, sky_table_rows(t)));
  for (size_t r = 0; r < sky_table_rows(t); r++) {
    const char *name = sky_table_cell(t, r, cls);
    char where[300];
    SKY_GO(sky_table_number(ctx, t, r, code, &out->code[r]));
    out->cls[r] = sky_vprm_set_find(set, name);
    snprintf(where, sizeof where, "%s:%d", path, sky_table_line(t, r));
    if (out->cls[r] == SIZE_MAX && strcmp(name, SKY_VPRM_NO_FLUX) != 0)
      SKY_GO(no_class(ctx, where, name, set));
    out->n++;
  }
cleanup:
  sky_table_free(t);
  return st;
}

static sky_status amounts_of(sky_context *ctx, const char *path, const sky_grid *grid,
                             sky_grid *window, double **out) {
  sky_raster *r = NULL;
  SKY_TRY(sky_raster_open(ctx, path, &r));
  const sky_status st = sky_raster_amounts(ctx, r, grid, window, out);
  sky_raster_close(r);
  return st;
}

static sky_status mean_of(sky_context *ctx, const char *what, const sky_grid *window,
                          const double *value, const sky_grid *grid, double *out) {
  sky_audit audit;
  SKY_TRY(sky_regrid_intensive(ctx, window, value, grid, LEAST_VALID, out, NULL, &audit));
  return sky_audit_check(ctx, what, "m2", &audit, TOLERANCE);
}

/* The class of every pixel in the place of its code. */
static sky_status name_pixels(sky_context *ctx, const char *landcover, const char *classes,
                              const codes *c, size_t n, double *pixel) {
  for (size_t i = 0; i < n; i++) {
    size_t k = 0;
    if (isnan(pixel[i])) continue;
    while (k < c->n && c->code[k] != pixel[i])
      k++;
    if (k == c->n)
      return sky_fail(ctx, SKY_E_RANGE, "%s: code %g has no row in %s", landcover, pixel[i],
                      classes);
    pixel[i] = c->cls[k] == SIZE_MAX ? -1 : (double)c->cls[k];
  }
  return SKY_OK;
}

sky_status sky_vprm_share_landcover(sky_context *ctx, const char *landcover, const char *classes,
                                    const sky_vprm_set *set, const sky_grid *grid, double *share) {
  codes c = {0};
  sky_grid window = {0};
  double *pixel = NULL, *is = NULL;
  sky_status st = SKY_OK;
  SKY_GO(read_codes(ctx, classes, set, &c));
  SKY_GO(amounts_of(ctx, landcover, grid, &window, &pixel));
  const size_t n = sky_grid_cells(&window);
  SKY_GO(name_pixels(ctx, landcover, classes, &c, n, pixel));
  SKY_GO_ALLOC(is, SKY_NEW(ctx, double, n));
  for (size_t k = 0; k < set->n; k++) {
    for (size_t i = 0; i < n; i++)
      is[i] = isnan(pixel[i]) ? pixel[i] : pixel[i] == (double)k;
    SKY_GO(mean_of(ctx, set->cls[k].name, &window, is, grid, share + k * sky_grid_cells(grid)));
  }
cleanup:
  codes_free(&c);
  sky_grid_free(&window);
  sky_free(pixel);
  sky_free(is);
  return st;
}

static sky_status one_raster(sky_context *ctx, const char *text, const sky_vprm_set *set,
                             const sky_grid *grid, double *share) {
  sky_grid window = {0};
  double *pixel = NULL;
  char name[64];
  const char *path = strchr(text, '=');
  sky_status st = SKY_OK;
  if (path == NULL || (size_t)(path - text) >= sizeof name)
    return sky_fail(ctx, SKY_E_USAGE, "--fraction: '%s' is not CLASS=FILE", text);
  snprintf(name, sizeof name, "%.*s", (int)(path++ - text), text);
  const size_t k = sky_vprm_set_find(set, name);
  if (k == SIZE_MAX) return no_class(ctx, "--fraction", name, set);
  SKY_GO(amounts_of(ctx, path, grid, &window, &pixel));
  for (size_t i = 0; i < sky_grid_cells(&window); i++)
    if (pixel[i] < -TOLERANCE || pixel[i] > 1 + TOLERANCE)
      SKY_GO(sky_fail(ctx, SKY_E_RANGE, "%s: %g is no fraction (0 to 1)", path, pixel[i]));
  st = mean_of(ctx, name, &window, pixel, grid, share + k * sky_grid_cells(grid));
cleanup:
  sky_grid_free(&window);
  sky_free(pixel);
  return st;
}

sky_status sky_vprm_share_rasters(sky_context *ctx, const char *const *fractions, size_t n,
                                  const sky_vprm_set *set, const sky_grid *grid, double *share) {
  const size_t cells = sky_grid_cells(grid);
  memset(share, 0, set->n * cells * sizeof *share);
  for (size_t i = 0; i < n; i++) {
    const size_t length = strcspn(fractions[i], "=") + 1;
    for (size_t j = 0; j < i; j++)
      if (strncmp(fractions[j], fractions[i], length) == 0)
        return sky_fail(ctx, SKY_E_USAGE, "--fraction: class '%.*s' twice", (int)length - 1,
                        fractions[i]);
    SKY_TRY(one_raster(ctx, fractions[i], set, grid, share));
  }
  for (size_t c = 0; c < cells; c++) {
    double sum = 0;
    for (size_t k = 0; k < set->n; k++)
      sum += share[k * cells + c];
    if (sum > 1 + TOLERANCE) {
      double x, y;
      sky_grid_centre(grid, c, &x, &y);
      return sky_fail(ctx, SKY_E_RANGE,
                      "--fraction: the classes of the cell at %.6g, %.6g make up %g of it", x, y,
                      sum);
    }
  }
  return SKY_OK;
}
