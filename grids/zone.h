/* zone.h: zones (polygons) and their exact coverage of grid cells.
 *
 * A zone is a multi-polygon in the CRS of the grid it is used with (readers transform and densify).
 * Rings are implicitly closed; outer rings and holes are told apart by the even/odd nesting that
 * OGR gives: hole flag. Longitudes are unwrapped about the zone's first vertex: an edge over more
 * than 180° crosses the antimeridian, one over 360° is a frame of the world map and stays. */
#ifndef SKY_GRIDS_ZONE_H
#define SKY_GRIDS_ZONE_H

#include "grids/grid.h"

typedef enum sky_zone_role {
  SKY_ZONE_REPORT = 0,  /* published */
  SKY_ZONE_BUFFER = 1,  /* buffer elements of the state: never published as zone emission */
  SKY_ZONE_OUTSIDE = 2, /* cells outside the state */
  SKY_ZONE_BOUNDARY = 3
} sky_zone_role;

typedef struct sky_ring {
  size_t n;
  double *x, *y; /* [n], not repeating the first vertex */
  bool hole;
} sky_ring;

typedef struct sky_zone {
  char *id, *name, *level; /* UTF-8; level e.g. "county", "country", "state" */
  char *parent;            /* id of the zone that this one is a part of; NULL: of none */
  char *defect;            /* why there are no rings; NULL: there are */
  bool damaged;            /* the defect is one of the file, not a zone without area */
  sky_zone_role role;
  bool geographic; /* x is a longitude (set by readers): contains() tries whole turns */
  size_t n_rings;  /* 0: the zone covers nothing */
  sky_ring *ring;
} sky_zone;

typedef struct sky_zones {
  size_t n;
  sky_zone *zone;
} sky_zones;

void sky_zones_free(sky_zones *z); /* NULL-safe, zeroes */

/* Sparse coverage of one zone. fraction: share of the cell's area inside the zone (0..1]. */
typedef struct sky_coverage {
  size_t n;
  size_t *cell; /* ascending */
  double *fraction;
  double area_zone; /* m2 on the ellipsoid, whole zone */
  double area_in;   /* m2 inside the grid */
} sky_coverage;

/* Every edge cut at the rows and columns it crosses, areas by Green's theorem in an equal-area y
 * coordinate for geographic grids, where edges are straight in longitude and latitude. Coverage
 * below 1e-12 of a cell is rounding and left out. Empty result is valid (n = 0). Shifting the zone
 * or the grid by 360° changes nothing. SKY_E_RANGE for rings of fewer than 3 or not finite
 * vertices. */
SKY_NODISCARD sky_status sky_zone_coverage(sky_context *ctx, const sky_zone *zone,
                                           const sky_grid *grid, sky_coverage *out);
/* The parts of it, for callers that walk over a large grid in pieces: the fractions alone (both
 * areas 0), and the area of the whole zone, m2. */
SKY_NODISCARD sky_status sky_zone_fractions(sky_context *ctx, const sky_zone *zone,
                                            const sky_grid *grid, sky_coverage *out);
SKY_NODISCARD sky_status sky_zone_area(sky_context *ctx, const sky_zone *zone, const sky_grid *grid,
                                       double *area);
SKY_NODISCARD sky_status sky_zones_area(sky_context *ctx, const sky_zones *zones,
                                        const sky_grid *grid, double *area);
void sky_coverage_free(sky_coverage *c);

/* A copy of a geographic ring without jumps of longitude, its first vertex within 180° of `near`; a
 * ring around a pole is closed there. The caller frees x and y of *out with sky_free. */
SKY_NODISCARD sky_status sky_ring_unwrap(sky_context *ctx, const sky_ring *in, double near,
                                         sky_ring *out);
/* A copy whose edges are at most `step` long (coordinate units). */
SKY_NODISCARD sky_status sky_ring_densify(sky_context *ctx, const sky_ring *in, double step,
                                          sky_ring *out);

/* (x, y) inside the zone (even-odd, boundary counts as inside within 1e-12). */
bool sky_zone_contains(const sky_zone *zone, double x, double y);

#endif
