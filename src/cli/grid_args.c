/* grid_args.c: see grid_args.h. */
#include "src/cli/grid_args.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grids/preset.h"
#include "src/cli/cli.h"
#include "src/cli/values.h"
#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/units.h"
#include "src/read/level3.h"
#include "src/read/raster.h"

bool sky_grid_args_take(sky_grid_args *a, const char *name, const char *value) {
  const sky_cli_text_option options[] = {{"like", &a->like},
                                         {"preset", &a->preset},
                                         {"crs", &a->crs},
                                         {"box", &a->box},
                                         {"cell", &a->cell}};
  return sky_cli_text(options, sizeof options / sizeof *options, name, value);
}

static sky_status like(sky_context *ctx, const char *path, sky_grid *out) {
  const char *dot = strrchr(path, '.');
  if (dot != NULL && strncmp(dot, ".nc", 3) == 0) {
    bool is_level3 = false;
    sky_level3 l;
    SKY_TRY(sky_level3_recognise(ctx, path, &is_level3));
    if (!is_level3)
      return sky_fail(ctx, SKY_E_FORMAT,
                      "%s: not a gridded product of skyflux grid (--like takes those and rasters)",
                      path);
    SKY_TRY(sky_level3_open(ctx, path, &l, NULL));
    const sky_status st = sky_grid_copy(ctx, &l.grid, out);
    sky_level3_free(&l);
    return st;
  }
  sky_raster *r = NULL;
  SKY_TRY(sky_raster_open(ctx, path, &r));
  const sky_status st = sky_grid_copy(ctx, sky_raster_grid(r), out);
  sky_raster_close(r);
  return st;
}

/* Four numbers of any size. */
static sky_status parse_box(sky_context *ctx, const char *text, double box[4]) {
  for (int i = 0; i < 4; i++) {
    const char *rest = NULL;
    if (!sky_number_parse(text, &box[i], &rest) || *rest != (i < 3 ? ',' : '\0'))
      return sky_fail(ctx, SKY_E_USAGE, "--box: '%s' is not W,S,E,N (e.g. 73,18,135,54)", text);
    text = rest + 1;
  }
  return SKY_OK;
}

/* "0.1" or "0.1,0.2", with units: degrees or metres. */
static sky_status parse_cell(sky_context *ctx, const char *text, const char *unit, double cell[2]) {
  char word[2][64];
  const char *comma = strchr(text, ',');
  const size_t first = comma != NULL ? (size_t)(comma - text) : strlen(text);
  const char *second = comma != NULL ? comma + 1 : text;
  if (first >= sizeof word[0] || strlen(second) >= sizeof word[1])
    return sky_fail(ctx, SKY_E_USAGE, "--cell: '%s' is not a size", text);
  snprintf(word[0], sizeof word[0], "%.*s", (int)first, text);
  snprintf(word[1], sizeof word[1], "%s", comma != NULL ? second : word[0]);
  for (size_t i = 0; i < 2; i++) {
    if (sky_units_quantity(ctx, word[i], unit, unit, &cell[i]) != SKY_OK || !(cell[i] > 0))
      return sky_fail(ctx, SKY_E_USAGE, "--cell: '%s' is not a size above 0 in %s", text,
                      strcmp(unit, "m") == 0 ? "metres (e.g. '1 km')" : "degrees (e.g. 0.1)");
  }
  return SKY_OK;
}

static sky_status preset(sky_context *ctx, const sky_grid_args *a, const sky_grid_extent *own,
                         sky_grid *out) {
  double box[4];
  bool degrees = false;
  if (a->box != NULL)
    SKY_TRY(sky_cli_box(ctx, a->box, box));
  else if (own != NULL)
    SKY_TRY(sky_crs_is_geographic(ctx, own->crs, &degrees));
  if (a->box == NULL && !degrees)
    return sky_fail(ctx, SKY_E_USAGE, "--preset: --box W,S,E,N in degrees is needed%s%s",
                    own != NULL ? "; the inputs have " : "", own != NULL ? own->crs : "");
  const sky_status st = sky_grid_from_preset(ctx, a->preset, a->box != NULL ? box : own->box, out);
  return st == SKY_E_RANGE ? sky_fail_in(ctx, SKY_E_USAGE, "--preset: ") : st;
}

/* Out to whole multiples of the cell. */
static void widen(const double in[4], const double cell[2], double box[4]) {
  for (int i = 0; i < 4; i++) {
    const double n = in[i] / cell[i % 2], near = nearbyint(n);
    box[i] = cell[i % 2] * (fabs(n - near) < 1e-6 ? near : i < 2 ? floor(n) : ceil(n));
  }
}

static sky_status from_cell(sky_context *ctx, const sky_grid_args *a, const sky_grid_extent *own,
                            sky_grid *out) {
  const char *crs = a->crs != NULL ? a->crs : own != NULL ? own->crs : "EPSG:4326";
  double box[4] = {-180, -90, 180, 90}, cell[2];
  bool degrees = false, own_degrees = false;
  if (sky_crs_is_geographic(ctx, crs, &degrees) != SKY_OK)
    return sky_fail_in(ctx, SKY_E_USAGE, a->crs != NULL ? "--crs: " : "");
  SKY_TRY(parse_cell(ctx, a->cell, degrees ? "degree" : "m", cell));
  if (a->box != NULL) {
    SKY_TRY(parse_box(ctx, a->box, box));
  } else if (own != NULL) {
    if (a->crs != NULL) SKY_TRY(sky_crs_is_geographic(ctx, own->crs, &own_degrees));
    if (strcmp(crs, own->crs) != 0 && !(degrees && own_degrees))
      return sky_fail(ctx, SKY_E_USAGE, "--box W,S,E,N is needed with --crs %s: the inputs have %s",
                      crs, own->crs);
    widen(own->box, cell, box);
  } else if (!degrees) {
    return sky_fail(ctx, SKY_E_USAGE, "--box: needed for crs '%s'", crs);
  }
  const sky_status st =
      sky_grid_from_box(ctx, crs, box[0], box[1], box[2], box[3], cell[0], cell[1], out);
  return st == SKY_E_RANGE ? sky_fail_in(ctx, SKY_E_USAGE, "--box, --cell: ") : st;
}

sky_status sky_grid_args_check(sky_context *ctx, const sky_grid_args *a) {
  if ((a->like != NULL) + (a->preset != NULL) + (a->cell != NULL) != 1)
    return sky_fail(ctx, SKY_E_USAGE,
                    "give the grid by one of --like FILE, --preset NAME [--box W,S,E,N], or "
                    "--cell SIZE [--box W,S,E,N [--crs CRS]]");
  if (a->like != NULL && a->box != NULL)
    return sky_fail(ctx, SKY_E_USAGE, "--box W,S,E,N does not go with --like");
  if (a->crs != NULL && a->cell == NULL)
    return sky_fail(ctx, SKY_E_USAGE, "--crs goes with --cell and --box");
  return SKY_OK;
}

sky_status sky_grid_args_make(sky_context *ctx, const sky_grid_args *a, const sky_grid_extent *own,
                              sky_grid *out) {
  memset(out, 0, sizeof *out);
  SKY_TRY(sky_grid_args_check(ctx, a));
  if (a->like != NULL) return like(ctx, a->like, out);
  return a->preset != NULL ? preset(ctx, a, own, out) : from_cell(ctx, a, own, out);
}
