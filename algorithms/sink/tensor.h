/* tensor.h: the area tensor of two class maps: zone × class at the first date × class at the
 * second.
 *
 * The one pass over the pixels. Everything that follows (stock change, uptake, uncertainty) works
 * on the tensor alone. Areas are m2 on the WGS 84 ellipsoid, whatever the coordinate system of the
 * map. Nodata (at either date) is kept apart; each zone is audited. */
#ifndef SKY_ALGORITHMS_SINK_TENSOR_H
#define SKY_ALGORITHMS_SINK_TENSOR_H

#include "grids/zone.h"

#define SKY_TENSOR_NODATA UINT16_MAX
#define SKY_TENSOR_ROWS 256 /* rows of one block of the sums; part of the result's bits */

typedef struct sky_tensor {
  size_t n_zone, n_class;
  double *area;   /* [n_zone*n_class*n_class] m2; element ((zone*n_class)+from)*n_class + to */
  double *nodata; /* [n_zone] m2 inside the map without a class at one of the dates */
  double *inside; /* [n_zone] m2 of the zone inside the map, summed on its own (audit) */
} sky_tensor;

/* Classes of the cells of a window, row 0 the southernmost, as indices below n_class or
 * SKY_TENSOR_NODATA, [rows*columns]. Called by one thread at a time. */
typedef sky_status (*sky_tensor_source)(sky_context *ctx, void *user, size_t row0, size_t rows,
                                        size_t column0, size_t columns, uint16_t *from,
                                        uint16_t *to);

/* Bytes that one thread holds at most. */
double sky_tensor_bytes(const sky_grid *grid, size_t n_zone, size_t n_class);

/* Same bits for any number of threads. Fewer threads are used where the memory budget asks for it;
 * SKY_E_NOMEM says what one thread needs. SKY_E_MASS if an audit does not close to 1e-12. */
SKY_NODISCARD sky_status sky_tensor_make(sky_context *ctx, const sky_grid *grid,
                                         const sky_zones *zones, size_t n_class,
                                         sky_tensor_source source, void *user, sky_tensor *out);
void sky_tensor_free(sky_tensor *t); /* NULL-safe, zeroes */

static inline double sky_tensor_at(const sky_tensor *t, size_t zone, size_t from, size_t to) {
  return t->area[(zone * t->n_class + from) * t->n_class + to];
}

#endif
