/* raster_set.c: rasters that are read on one grid. */
#include "src/engine/raster_set.h"

#include <cpl_string.h>
#include <cpl_vsi.h>
#include <gdal.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/engine/gdal_start.h"

struct sky_raster_set {
  size_t n;
  sky_raster_input *input;
  const sky_grid *target; /* NULL: all share the first one's */
  sky_source **source;    /* [n] */
};

void sky_raster_set_close(sky_raster_set *s) {
  if (s == NULL) return;
  for (size_t i = 0; i < s->n && s->source != NULL; i++)
    sky_source_close(s->source[i]);
  sky_free(s->source);
  sky_free(s->input);
  sky_free(s);
}

sky_status sky_raster_set_open(sky_context *ctx, const sky_raster_input *inputs, size_t n,
                               const sky_grid *target, sky_raster_set **out) {
  sky_status st = SKY_OK;
  sky_raster_set *s;
  SKY_GO_ALLOC(s, SKY_NEW0(ctx, sky_raster_set, 1));
  s->n = n;
  s->target = target;
  SKY_GO_ALLOC(s->input, SKY_NEW0(ctx, sky_raster_input, n));
  SKY_GO_ALLOC(s->source, SKY_NEW0(ctx, sky_source *, n));
  for (size_t i = 0; i < n; i++) {
    s->input[i] = inputs[i];
    SKY_GO(sky_source_open(ctx, &inputs[i], target, &s->source[i]));
    if (i > 0 && target == NULL) SKY_GO(sky_source_same_grid(ctx, s->source[0], s->source[i]));
  }
  *out = s;
  return SKY_OK;
cleanup:
  sky_raster_set_close(s);
  return st;
}

const sky_grid *sky_raster_set_grid(const sky_raster_set *s) {
  return sky_source_grid(s->source[0]);
}
size_t sky_raster_set_count(const sky_raster_set *s) {
  return s->n;
}
const sky_raster_input *sky_raster_set_input(const sky_raster_set *s, size_t input) {
  return &s->input[input];
}
const sky_raster_facts *sky_raster_set_facts(const sky_raster_set *s, size_t input) {
  return sky_source_facts(s->source[input]);
}
sky_source *sky_raster_set_source(sky_raster_set *s, size_t input) {
  return s->source[input];
}

sky_status sky_raster_set_reopen(sky_context *ctx, const sky_raster_set *s, size_t input,
                                 sky_source **out) {
  return sky_source_open(ctx, &s->input[input], s->target, out);
}

/* ---- stamp ---------------------------------------------------------------------------------- */

/* A mosaic's files, too. */
static sky_status stamp_files(sky_context *ctx, const char *path, sky_text *to) {
  GDALDatasetH data = GDALOpenEx(path, GDAL_OF_RASTER | GDAL_OF_READONLY, NULL, NULL, NULL);
  if (data == NULL) return sky_gdal_fail(ctx, SKY_E_READ, "%s: cannot be opened again", path);
  char **files = GDALGetFileList(data);
  for (int i = 0; i < CSLCount(files); i++) {
    VSIStatBufL info;
    if (VSIStatL(files[i], &info) != 0) continue;
    sky_text_printf(to, "file %s: %lld bytes of %lld\n", sky_file_base(files[i]),
                    (long long)info.st_size, (long long)info.st_mtime);
  }
  CSLDestroy(files);
  GDALClose(data);
  return SKY_OK;
}

sky_status sky_raster_set_stamp(sky_context *ctx, const sky_raster_set *s, sky_text *to) {
  const sky_grid *g = sky_raster_set_grid(s);
  sky_text_printf(to, "grid %s: %zu x %zu cells, %.17g,%.17g,%.17g,%.17g\n", g->crs, g->nx, g->ny,
                  g->x_edge[0], g->y_edge[0], g->x_edge[g->nx], g->y_edge[g->ny]);
  for (size_t i = 0; i < s->n; i++) {
    const sky_raster_input *in = &s->input[i];
    const char *as = in->kind == SKY_PIXEL_CLASS            ? "classes"
                     : in->sampling == SKY_SAMPLE_EXTENSIVE ? "amounts"
                                                            : "values";
    sky_text_printf(to, "raster %s: band %d as %s\n", sky_file_base(in->path), in->band, as);
    SKY_TRY(stamp_files(ctx, in->path, to));
  }
  return to->failed ? SKY_E_NOMEM : SKY_OK;
}
