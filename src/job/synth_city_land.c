/* synth_city_land.c: the ground of the invented city. Lengths in km from the southwest corner. */
#include "src/job/synth_city_land.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/text.h"
#include "src/job/synth_plume.h"

static const uint64_t LAND = 32649; /* seed of the ground, never of truth or errors */

typedef struct spot {
  double x, y, radius, height;
} spot;

static const spot HILLS[] = {{8, 42, 8, 620}, {24, 45, 6, 420}, {46, 30, 5, 330}};
static const spot TOWNS[] = {{26, 25, 4.2, 1.0},
                             {13.5, 36, 2.2, 0.7},
                             {36, 37, 2.4, 0.7},
                             {38.5, 19.5, 2.2, 0.6},
                             {12, 17, 2.0, 0.6}};
static const spot WORKS[] = {
    {35, 14, 1.0, 1},     {35.6, 13.1, 0.25, 25}, /* park-east, its stack */
    {13, 32, 0.9, 1},     {12.4, 31.6, 0.25, 12}, /* park-west, its kiln */
    {30.5, 30, 0.8, 0.5}, {19, 21, 0.8, 0.4},     {40, 33, 0.7, 0.4}, {9, 14, 0.6, 0.3}};
static const spot WASTE[] = {{32.5, 20.5, 0.45, 1.0}, /* landfill, southeast */
                             {29.5, 13.5, 0.3, 0.3},  /* sewage works, southeast */
                             {14.5, 20.5, 0.35, 0.5}, /* dumps of the other counties */
                             {34, 33, 0.35, 0.5},
                             {16.5, 33.5, 0.35, 0.3}};
static const spot MINES[] = {{9.5, 39.5, 0.9, 1.0}};
#define COUNT(a) (sizeof(a) / sizeof *(a))

struct sky_city_land {
  sky_waves wave[SKY_CITY_NOISES];
};
enum { COARSE, RELIEF, FINE, FIELDS, SHORE };

sky_status sky_city_land_create(sky_context *ctx, sky_city_land **out) {
  static const double NUMBER[SKY_CITY_NOISES] = {1.2, 1.6, 6, 5,
                                                 3}; /* radians a km, at most twice */
  *out = SKY_NEW(ctx, sky_city_land, 1);
  if (*out == NULL) return SKY_E_NOMEM;
  for (uint64_t i = 0; i < SKY_CITY_NOISES; i++)
    sky_waves_make(LAND, i, NUMBER[i], &(*out)->wave[i]);
  return SKY_OK;
}

void sky_city_land_free(sky_city_land *l) {
  sky_free(l);
}

static double bumps(const spot *s, size_t n, double x, double y) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    const double dx = (x - s[i].x) / s[i].radius, dy = (y - s[i].y) / s[i].radius;
    sum += s[i].height * exp(-0.5 * (dx * dx + dy * dy));
  }
  return sum;
}

/* Northing of the shore. */
static double shore(double x) {
  return 7.3 + 1.3 * sin(0.17 * x + 0.6) + 0.7 * sin(0.41 * x + 2);
}

static double to_x(double easting) {
  return 1e-3 * (easting - SKY_CITY_WEST);
}
static double to_y(double northing) {
  return 1e-3 * (northing - SKY_CITY_SOUTH);
}

static double height_at(const sky_city_land *l, double x, double y) {
  const double inland = y - shore(x);
  if (inland < 0) return 20 * inland;
  const double rise = 1 - exp(-inland / 3);
  return rise * (12 + bumps(HILLS, COUNT(HILLS), x, y) *
                          (1 + 0.15 * sky_waves_at(&l->wave[RELIEF], x, y)));
}

double sky_city_height(const sky_city_land *l, double x, double y) {
  return height_at(l, to_x(x), to_y(y));
}

/* ---- densities ---- */

static double built_at(const sky_city_land *l, double x, double y) {
  const double texture = 1 + 0.3 * sky_waves_at(&l->wave[COARSE], x, y);
  return fmax(0.0, bumps(TOWNS, COUNT(TOWNS), x, y) * texture) + 0.01;
}

static double distance_to_road(double x, double y) {
  static const size_t ROADS[][2] = {{0, 1}, {0, 2}, {0, 3}, {0, 4}, {1, 4}, {2, 3}};
  double best = INFINITY;
  for (size_t r = 0; r < COUNT(ROADS); r++) {
    const spot *a = &TOWNS[ROADS[r][0]], *b = &TOWNS[ROADS[r][1]];
    const double dx = b->x - a->x, dy = b->y - a->y;
    const double t = ((x - a->x) * dx + (y - a->y) * dy) / (dx * dx + dy * dy);
    const double k = fmin(1.0, fmax(0.0, t));
    best = fmin(best, hypot(x - a->x - k * dx, y - a->y - k * dy));
  }
  return best;
}

static double crops_at(const sky_city_land *l, double x, double y) {
  const double plain = 1 / (1 + exp((height_at(l, x, y) - 120) / 25));
  const double left = fmax(0.0, 1 - 1.6 * built_at(l, x, y));
  return plain * left * fmax(0.0, 1 + 0.3 * sky_waves_at(&l->wave[FIELDS], x, y));
}

double sky_city_value(const sky_city_land *l, sky_city_density d, double east, double north) {
  const double x = to_x(east), y = to_y(north);
  if (y < shore(x)) return 0;
  switch (d) {
    case SKY_CITY_BUILT:
      return built_at(l, x, y);
    case SKY_CITY_INDUSTRY:
      return bumps(WORKS, COUNT(WORKS), x, y) + 0.03 * built_at(l, x, y);
    case SKY_CITY_ROADS: {
      const double far = distance_to_road(x, y) / 0.4;
      return exp(-far * far) + 0.4 * built_at(l, x, y);
    }
    case SKY_CITY_CROPS:
      return crops_at(l, x, y);
    case SKY_CITY_WASTE:
      return bumps(WASTE, COUNT(WASTE), x, y);
    case SKY_CITY_MINES:
      return bumps(MINES, COUNT(MINES), x, y);
    default:
      return 0;
  }
}

/* ---- land cover ---- */

enum { FOREST = 10, GRASS = 30, CROPS = 40, BUILT = 50, WATER = 80, WETLAND = 90, MANGROVE = 95 };

/* date 0: 2018, 1: 2023. Between them towns grow, hill farms are planted with trees, mangroves too.
 */
static int cover_at(const sky_city_land *l, double x, double y, int date) {
  const double fine = sky_waves_at(&l->wave[FINE], x, y),
               band = sky_waves_at(&l->wave[SHORE], x, y);
  const double inland = y - shore(x);
  if (inland > -0.5 && inland < 0.4 && band > (date == 0 ? 0.75 : 0.55)) return MANGROVE;
  if (inland < 0) return WATER;
  const spot lake = {19, 40.5, 1.3, 1};
  const double wet = bumps(&lake, 1, x, y) + 0.08 * fine;
  if (wet > 0.55) return WATER;
  if (wet > 0.32 || (inland < 1.3 && band < -0.9)) return WETLAND;
  const double works = bumps(WORKS, COUNT(WORKS), x, y);
  if (built_at(l, x, y) + 0.6 * fmin(works, 1.0) + 0.05 * fine > (date == 0 ? 0.47 : 0.42))
    return BUILT;
  const double trees = height_at(l, x, y) + 25 * fine;
  const double edge = sky_waves_at(&l->wave[FIELDS], x, y) > 0.5 && date == 1 ? 95 : 125;
  if (trees > edge) return FOREST;
  if (sky_waves_at(&l->wave[FIELDS], x, y) < -1.1) return GRASS;
  return fine > 1.2 ? FOREST : CROPS; /* copses in the plain */
}

void sky_city_cover(const sky_city_land *l, double x, double y, int code[2]) {
  code[0] = cover_at(l, to_x(x), to_y(y), 0);
  code[1] = cover_at(l, to_x(x), to_y(y), 1);
}

/* ---- zones ---- */

enum { ARC_POINTS = 33, ARCS = 13, PARK_POINTS = 14 };
enum { A, B, C, D, E, F, G, H, M, N, NODES };
/* A, H, G on the shore from west to east; B to F along the land border; M, N inside. */
static const double NODE[NODES][2] = {{4, 0},     {3, 26.5}, {5, 44.5}, {23.5, 46},   {44.5, 44},
                                      {45.5, 25}, {44, 0},   {24, 0},   {21.5, 27.5}, {28, 24}};
static const int ARC[ARCS][2] = {{A, B}, {B, C}, {C, D}, {D, E}, {E, F}, {F, G}, {G, H},
                                 {H, A}, {B, M}, {D, M}, {M, N}, {F, N}, {H, N}};
/* Rings of arcs: 1 + index, negative = backwards; 0 ends. */
static const struct {
  const char *id, *name, *level;
  int arc[9];
} ZONE[] = {{"city", "Langwan City", "city", {1, 2, 3, 4, 5, 6, 7, 8}},
            {"county-1", "Beiling County", "county", {2, 3, 10, -9}},
            {"county-2", "Hedong County", "county", {4, 5, 12, -11, -10}},
            {"county-3", "Nangang County", "county", {6, 7, 13, -12}},
            {"county-4", "Xihai County", "county", {8, 1, 9, 11, -13}}};
static const struct {
  const char *id, *name;
  double x, y; /* middle of its 4 km patch */
} PARK[] = {{"park-east", "Nangang Harbour Park", 35, 14},
            {"park-west", "Beiling Kiln Park", 13, 32}};

typedef double point[2];

static void node_at(int node, point p) {
  p[0] = NODE[node][0];
  p[1] = NODE[node][1] > 0 ? NODE[node][1] : shore(p[0]);
}

/* A border as rivers and ridges draw it: midpoints, displaced at every halving by up to 9 % of the
 * piece; along the sea the shore itself. */
static void make_arc(size_t a, point p[ARC_POINTS]) {
  node_at(ARC[a][0], p[0]);
  node_at(ARC[a][1], p[ARC_POINTS - 1]);
  const bool coast = (ARC[a][0] == G || ARC[a][0] == H) && ARC[a][1] != N;
  for (size_t step = ARC_POINTS - 1; step > 1; step /= 2) {
    for (size_t i = 0; i + step < ARC_POINTS; i += step) {
      const double *l = p[i], *r = p[i + step];
      const double off = coast ? 0 : 0.18 * (sky_rng_uniform(LAND, 100 + a, i + step / 2) - 0.5);
      double *m = p[i + step / 2];
      m[0] = 0.5 * (l[0] + r[0]) - off * (r[1] - l[1]);
      m[1] = coast ? shore(m[0]) : 0.5 * (l[1] + r[1]) + off * (r[0] - l[0]);
    }
  }
}

static void put_ring(sky_text *t, const double *lon, const double *lat, size_t n) {
  sky_text_put(t, "[[");
  for (size_t i = 0; i <= n; i++)
    sky_text_printf(t, "%s[%.9f, %.9f]", i > 0 ? ", " : "", lon[i % n], lat[i % n]);
  sky_text_put(t, "]]");
}

static sky_status put_zone(sky_context *ctx, const sky_crs *crs, sky_text *t, const char *id,
                           const char *name, const char *level, point *ring, size_t n) {
  double x[ARCS * ARC_POINTS], y[ARCS * ARC_POINTS];
  for (size_t i = 0; i < n; i++) {
    x[i] = SKY_CITY_WEST + 1e3 * ring[i][0];
    y[i] = SKY_CITY_SOUTH + 1e3 * ring[i][1];
  }
  SKY_TRY(sky_crs_to_lonlat(ctx, crs, n, x, y));
  sky_text_printf(t,
                  "%s{\"type\": \"Feature\", \"properties\": {\"id\": \"%s\", \"name\": \"%s\", "
                  "\"level\": \"%s\"}, \"geometry\": {\"type\": \"Polygon\", \"coordinates\": ",
                  strcmp(id, "city") == 0 ? "" : ",\n", id, name, level);
  put_ring(t, x, y, n);
  sky_text_put(t, "}}");
  return SKY_OK;
}

sky_status sky_city_write_zones(sky_context *ctx, const sky_crs *crs, const char *path) {
  point arc[ARCS][ARC_POINTS], ring[ARCS * ARC_POINTS];
  sky_text t = {.ctx = ctx};
  char *text = NULL;
  sky_status st = SKY_OK;
  for (size_t a = 0; a < ARCS; a++)
    make_arc(a, arc[a]);
  sky_text_put(&t, "{\n\"type\": \"FeatureCollection\",\n\"name\": \"zones\",\n\"features\": [\n");
  for (size_t z = 0; z < COUNT(ZONE); z++) {
    size_t n = 0;
    for (const int *a = ZONE[z].arc; *a != 0; a++) {
      for (size_t i = 0; i + 1 < ARC_POINTS; i++, n++)
        memcpy(ring[n], *a > 0 ? arc[*a - 1][i] : arc[-*a - 1][ARC_POINTS - 1 - i], sizeof *ring);
    }
    SKY_GO(put_zone(ctx, crs, &t, ZONE[z].id, ZONE[z].name, ZONE[z].level, ring, n));
  }
  for (size_t z = 0; z < COUNT(PARK); z++) {
    for (size_t i = 0; i < PARK_POINTS; i++) {
      const double angle = 2 * 3.14159265358979323846 * (double)i / PARK_POINTS;
      const double radius = 1.5 + 0.4 * sky_rng_uniform(LAND, 200 + z, i); /* inside the patch */
      ring[i][0] = PARK[z].x + radius * cos(angle);
      ring[i][1] = PARK[z].y + radius * sin(angle);
    }
    SKY_GO(put_zone(ctx, crs, &t, PARK[z].id, PARK[z].name, "park", ring, PARK_POINTS));
  }
  sky_text_put(&t, "\n]\n}\n");
  SKY_GO_ALLOC(text, sky_text_take(&t));
  SKY_GO(sky_file_write_text(ctx, path, text, strlen(text)));
cleanup:
  sky_text_free(&t);
  sky_free(text);
  return st;
}
