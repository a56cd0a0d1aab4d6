/* Zones from OGR: order, text, reference systems, antimeridian, and every refusal. */
#include <math.h>
#include <unistd.h>

#include "src/core/memory.h"
#include "src/read/zones_ogr.h"
#include "tests/support/sky_cmocka.h"

#define FILE_NAME "zones_made.geojson"
#define RING_A "[[[10,50],[11,50],[11,51],[10,51],[10,50]]]"
#define RING_B "[[[11,50],[12,50],[12,51],[11,51],[11,50]]]"

static void write_text(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static void write_features(const char *features) {
  char text[4096];
  snprintf(text, sizeof text, "{\"type\": \"FeatureCollection\", \"features\": [%s]}", features);
  write_text(FILE_NAME, text);
}

#define FEATURE(properties, type, coordinates)                                                 \
  "{\"type\": \"Feature\", \"properties\": {" properties "}, \"geometry\": {\"type\": \"" type \
  "\", \"coordinates\": " coordinates "}}"
#define A FEATURE("\"code\": \"b\", \"name\": \"\\u5b89\\u5fbd\", \"n\": 1", "Polygon", RING_A)
#define B FEATURE("\"code\": \"a\", \"name\": \"Beta\", \"n\": 2", "Polygon", RING_B)

static sky_grid lonlat(sky_context *ctx) {
  sky_grid g;
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", 5, 45, 15, 55, 0.5, 0.5, &g), SKY_OK);
  return g;
}

static void sorted_by_id_in_utf8(void **state) {
  sky_context *ctx = *state;
  sky_grid g = lonlat(ctx);
  sky_zones z;
  sky_zones_options opt = {.id = "code", .name = "name", .level = "county"};
  write_features(A "," B);
  assert_int_equal(sky_zones_read(ctx, FILE_NAME, &opt, &g, &z), SKY_OK);
  assert_int_equal(z.n, 2);
  assert_string_equal(z.zone[0].id, "a");
  assert_string_equal(z.zone[1].name, "安徽");
  assert_string_equal(z.zone[1].level, "county");
  assert_int_equal(z.zone[1].role, SKY_ZONE_REPORT);
  assert_true(z.zone[0].geographic);
  assert_int_equal(z.zone[0].n_rings, 1);
  assert_int_equal(z.zone[0].ring[0].n, 4); /* not densified: the systems agree */
  assert_true(sky_zone_contains(&z.zone[1], 10.5, 50.5));
  assert_true(sky_zone_contains(&z.zone[1], 370.5, 50.5));
  assert_false(sky_zone_contains(&z.zone[0], 10.5, 50.5));
  sky_zones_free(&z);
  opt = (sky_zones_options){.id = "code", .where = "n = 2"};
  assert_int_equal(sky_zones_read(ctx, FILE_NAME, &opt, &g, &z), SKY_OK);
  assert_int_equal(z.n, 1);
  assert_string_equal(z.zone[0].name, "a");
  assert_string_equal(z.zone[0].level, "zone");
  sky_zones_free(&z);
  opt = (sky_zones_options){.id = "code", .level = "county", .level_attribute = "name"};
  assert_int_equal(sky_zones_read(ctx, FILE_NAME, &opt, &g, &z), SKY_OK);
  assert_string_equal(z.zone[0].level, "Beta");
  assert_string_equal(z.zone[1].level, "安徽");
  sky_zones_free(&z);
  opt.level_attribute = "kind";
  assert_fails(ctx, sky_zones_read(ctx, FILE_NAME, &opt, &g, &z), SKY_E_FORMAT, "'kind'");
  sky_grid_free(&g);
  unlink(FILE_NAME);
}

/* The same box by way of UTM: its edges are bent as the transformation has it, with their area. */
static void other_systems(void **state) {
  sky_context *ctx = *state;
  sky_grid g = lonlat(ctx), utm;
  sky_zones z;
  sky_coverage a, b;
  const sky_zones_options opt = {.id = "code"};
  assert_int_equal(
      sky_grid_from_box(ctx, "EPSG:32632", 500000, 5500000, 800000, 5700000, 10000, 10000, &utm),
      SKY_OK);
  write_features(A);
  assert_int_equal(sky_zones_read(ctx, FILE_NAME, &opt, &g, &z), SKY_OK);
  assert_int_equal(sky_zone_coverage(ctx, &z.zone[0], &g, &a), SKY_OK);
  sky_zones_free(&z);
  assert_int_equal(sky_zones_read(ctx, FILE_NAME, &opt, &utm, &z), SKY_OK);
  assert_false(z.zone[0].geographic);
  assert_in_range(z.zone[0].ring[0].n, 1000, 1500); /* parallels of 71 km within 1 mm */
  assert_int_equal(sky_zone_coverage(ctx, &z.zone[0], &utm, &b), SKY_OK);
  assert_close(b.area_zone, a.area_zone, 1e-11);
  assert_close(b.area_in, a.area_in, 1e-6); /* cells of 10 km count as of one scale */
  sky_zones_free(&z);
  sky_coverage_free(&a);
  sky_coverage_free(&b);
  sky_grid_free(&g);
  sky_grid_free(&utm);
  unlink(FILE_NAME);
}

static void across_the_antimeridian(void **state) {
  sky_context *ctx = *state;
  sky_grid g;
  sky_zones z;
  sky_coverage c;
  const sky_zones_options opt = {.id = "code"};
  assert_int_equal(sky_grid_from_box(ctx, "EPSG:4326", -180, -90, 180, 90, 1, 1, &g), SKY_OK);
  write_features(FEATURE("\"code\": \"x\"", "MultiPolygon",
                         "[[[[178,-20],[-178,-20],[-178,-16],[178,-16],[178,-20]],"
                         "[[179,-19],[180,-19],[180,-18],[179,-18],[179,-19]]],"
                         "[[[-177,-20],[-176,-20],[-176,-19],[-177,-19],[-177,-20]]]]"));
  assert_int_equal(sky_zones_read(ctx, FILE_NAME, &opt, &g, &z), SKY_OK);
  assert_int_equal(z.zone[0].n_rings, 3);
  assert_true(z.zone[0].ring[1].hole);
  assert_true(z.zone[0].ring[2].x[0] == 183);
  assert_int_equal(sky_zone_coverage(ctx, &z.zone[0], &g, &c), SKY_OK);
  assert_int_equal(c.n, 16 - 1 + 1);
  assert_close(c.area_in, c.area_zone, 1e-12);
  assert_true(sky_zone_contains(&z.zone[0], -179, -17));
  assert_false(sky_zone_contains(&z.zone[0], 0, -17));
  sky_coverage_free(&c);
  sky_zones_free(&z);
  sky_grid_free(&g);
  unlink(FILE_NAME);
}

static void defects_are_named(void **state) {
  sky_context *ctx = *state;
  sky_grid g = lonlat(ctx);
  sky_zones z = {0};
  const sky_zones_options opt = {.id = "code"};
  const struct {
    const char *features, *part;
    sky_status status;
    sky_zones_options opt;
  } cases[] = {
      {A "," A, "'b'", SKY_E_FORMAT, opt},
      {A, "no attribute 'id'", SKY_E_FORMAT, {.id = "id"}},
      {A, "code, name, n", SKY_E_FORMAT, {.id = "code", .name = "label"}},
      {A, "no feature where n = 9", SKY_E_NODATA, {.id = "code", .where = "n = 9"}},
      {A, "where 'n ='", SKY_E_USAGE, {.id = "code", .where = "n ="}},
      {A, "no layer named towns", SKY_E_FORMAT, {.id = "code", .layer = "towns"}},
      {FEATURE("\"code\": \"p\"", "Point", "[10, 50]"), "feature 'p': geometry is a Point",
       SKY_E_FORMAT, opt},
      {FEATURE("\"code\": \"bow\"", "Polygon", "[[[10,50],[11,51],[11,50],[10,51],[10,50]]]"),
       "feature 'bow': geometry is not valid", SKY_E_FORMAT, opt},
      {"{\"type\": \"Feature\", \"properties\": {\"code\": \"none\"}, \"geometry\": null}",
       "feature 'none': no geometry", SKY_E_FORMAT, opt},
      {FEATURE("\"code\": \"\"", "Polygon", RING_A), "attribute 'code' is empty", SKY_E_FORMAT,
       opt}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    write_features(cases[i].features);
    assert_fails(ctx, sky_zones_read(ctx, FILE_NAME, &cases[i].opt, &g, &z), cases[i].status,
                 cases[i].part);
    assert_null(z.zone);
  }
  unlink(FILE_NAME);
  assert_fails(ctx, sky_zones_read(ctx, "zones_absent.shp", &opt, &g, &z), SKY_E_MISSING,
               "zones_absent.shp");
  write_text("zones_bad.geojson", "{\"type\": ");
  assert_fails(ctx, sky_zones_read(ctx, "zones_bad.geojson", &opt, &g, &z), SKY_E_READ,
               "zones_bad.geojson");
  unlink("zones_bad.geojson");
  sky_grid_free(&g);
}

/* A table of WKT has no reference system of its own. */
static void a_missing_crs_is_asked_for(void **state) {
  sky_context *ctx = *state;
  sky_grid g = lonlat(ctx);
  sky_zones z = {0};
  sky_zones_options opt = {.id = "code"};
  write_text("zones_made.csv", "code,WKT\nq,\"POLYGON((10 50,11 50,11 51,10 51,10 50))\"\n");
  assert_fails(ctx, sky_zones_read(ctx, "zones_made.csv", &opt, &g, &z), SKY_E_FORMAT,
               "assume_crs");
  opt.assume_crs = "EPSG:0";
  assert_fails(ctx, sky_zones_read(ctx, "zones_made.csv", &opt, &g, &z), SKY_E_RANGE, "EPSG:0");
  opt.assume_crs = "EPSG:4326";
  assert_int_equal(sky_zones_read(ctx, "zones_made.csv", &opt, &g, &z), SKY_OK);
  assert_true(sky_zone_contains(&z.zone[0], 10.5, 50.5)); /* x is the longitude */
  sky_zones_free(&z);
  sky_grid_free(&g);
  unlink("zones_made.csv");
}

static void allocations_may_fail(void **state) {
  sky_context *ctx = *state;
  sky_grid utm;
  const sky_zones_options opt = {.id = "code", .name = "name"};
  assert_int_equal(
      sky_grid_from_box(ctx, "EPSG:32632", 500000, 5500000, 800000, 5700000, 10000, 10000, &utm),
      SKY_OK);
  write_features(A "," B);
  sky_status st = SKY_E_NOMEM;
  uint64_t n = 1;
  for (; n < 1000 && st != SKY_OK; n++) {
    sky_zones z = {0};
    sky_memory_fail_at(ctx, n);
    st = sky_zones_read(ctx, FILE_NAME, &opt, &utm, &z);
    sky_memory_fail_at(ctx, 0);
    if (st != SKY_OK) assert_int_equal(st, SKY_E_NOMEM);
    sky_zones_free(&z);
  }
  assert_int_equal(st, SKY_OK);
  assert_true(n > 15);
  sky_grid_free(&utm);
  unlink(FILE_NAME);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(sorted_by_id_in_utf8),       SKY_UNIT(other_systems),
      SKY_UNIT(across_the_antimeridian),    SKY_UNIT(defects_are_named),
      SKY_UNIT(a_missing_crs_is_asked_for), SKY_UNIT(allocations_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
