/* test_declare.c: readers that a user declares: the row that comes out, the text for workers, and
 * every mistake with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "src/core/memory.h"
#include "src/core/schema.h"
#include "src/read/declare.h"

#define EXAMPLE SKYFLUX_SOURCE "/sample_scenes/products/declared.yaml"

static sky_context *ctx;

static int setup(void **state) {
  (void)state;
  return sky_context_create(&ctx) != SKY_OK;
}
static int teardown(void **state) {
  (void)state;
  sky_context_free(ctx);
  return 0;
}

static bool same_text(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void same_field(const sky_field_decl *a, const sky_field_decl *b) {
  assert_true(a != NULL && b != NULL && a->need == b->need && a->n_fills == b->n_fills);
  assert_true(a->min == b->min && a->max == b->max);
  for (int k = 0; k < a->n_fills; ++k)
    assert_true(a->fill[k] == b->fill[k]);
  for (int k = 0; k < SKY_FIELD_PATHS; ++k)
    assert_true(same_text(a->path[k], b->path[k]));
}

static void same_reader(const sky_reader *a, const sky_reader *b) {
  assert_true(same_text(a->id, b->id) && same_text(a->title, b->title));
  assert_true(same_text(a->marker_attr, b->marker_attr) &&
              same_text(a->marker_text, b->marker_text) && same_text(a->absent, b->absent));
  assert_true(a->automatic == b->automatic && a->vertical == b->vertical && a->time == b->time &&
              a->pressure == b->pressure && a->kernel == b->kernel);
  assert_true(a->weight_tolerance == b->weight_tolerance &&
              a->prior_tolerance == b->prior_tolerance);
  assert_true(same_text(a->kernel_note, b->kernel_note) && a->n_fields == b->n_fields);
  for (int role = 0; role < SKY_ROLE_COUNT; ++role) {
    const sky_field_decl *f = sky_reader_field(a, (sky_role)role);
    if (f != NULL) same_field(f, sky_reader_field(b, (sky_role)role));
  }
  assert_int_equal(a->n_rules, b->n_rules);
  for (size_t k = 0; k < a->n_rules; ++k) {
    const sky_rule *p = &a->rule[k], *q = &b->rule[k];
    assert_true(same_text(p->name, q->name) && p->preset == q->preset && p->drop == q->drop &&
                p->keep == q->keep && p->n_clauses == q->n_clauses);
    assert_true(p->clause[0].role == q->clause[0].role &&
                p->clause[0].compare == q->clause[0].compare &&
                p->clause[0].number == q->clause[0].number);
  }
}

/* The example says what the built-in reader says, and replaces it; so does its text for workers. */
static void test_example(void **state) {
  (void)state;
  sky_declared *d, *again;
  const sky_reader *built_in = sky_reader_find("ghgcci-ocpr");
  assert_int_equal(sky_declared_read(ctx, EXAMPLE, &d), SKY_OK);
  assert_int_equal(sky_declared_total(d), sky_reader_count());
  const sky_reader *own = sky_declared_find(d, "ghgcci-ocpr");
  assert_ptr_equal(own, sky_declared_at(d, 0));
  assert_ptr_not_equal(own, built_in);
  same_reader(own, built_in);
  assert_int_equal(sky_declared_parse(ctx, "text", sky_declared_text(d), &again), SKY_OK);
  same_reader(sky_declared_at(again, 0), built_in);
  assert_string_equal(sky_declared_text(again), sky_declared_text(d));
  sky_declared_free(again);
  sky_declared_free(d);
  assert_int_equal(sky_declared_total(NULL), sky_reader_count());
  assert_ptr_equal(sky_declared_find(NULL, "tccon"), sky_reader_find("tccon"));
}

/* The words of the schema are the roles in their order, up to those of one product's own kernels.
 */
static void test_role_words(void **state) {
  (void)state;
  const sky_schema *schema = sky_schema_products();
  for (size_t k = 0; k < schema->n_keys; ++k) {
    const sky_key *key = &schema->keys[k];
    if (key->type != SKY_KEY_CHOICE || strstr(key->path, ".role") == NULL) continue;
    for (int role = 0; role <= SKY_ROLE_LEVEL_ALTITUDE; ++role) {
      const char *start;
      size_t length;
      const bool there = sky_choice_at(key->unit, (size_t)role, &start, &length);
      assert_true(there == (role < SKY_ROLE_LEVEL_ALTITUDE));
      const char *name = there ? sky_role_name((sky_role)role) : "";
      if (there) assert_int_equal(strlen(name), length);
      for (size_t i = 0; there && i < length; ++i)
        assert_true(start[i] == (name[i] == ' ' ? '_' : name[i]));
    }
  }
}

#define FIELDS_WITHOUT_WEIGHT                               \
  "    fields:\n"                                           \
  "      - {role: column, variables: [\"/x{gas}\"]}\n"      \
  "      - {role: uncertainty, variables: [/s]}\n"          \
  "      - {role: time, variables: [/time]}\n"              \
  "      - {role: latitude, variables: [/lat]}\n"           \
  "      - {role: longitude, variables: [/lon]}\n"          \
  "      - {role: pressure, variables: [/p], units: hPa}\n" \
  "      - {role: averaging_kernel, variables: [/ak]}\n"    \
  "      - {role: prior_profile, variables: [/prior]}\n"
#define HEAD "products:\n  - id: mine\n    gases: [ch4]\n    recognise: [/mine]\n"

static void test_mistakes(void **state) {
  (void)state;
  static const struct {
    const char *text, *say[2];
  } CASE[] = {
      {HEAD FIELDS_WITHOUT_WEIGHT, {"f.yaml:5: products[0].fields:", "role weight"}},
      {HEAD FIELDS_WITHOUT_WEIGHT "      - {role: wait, variables: [/w]}\n",
       {"f.yaml:14:", "'wait'"}},
      {HEAD FIELDS_WITHOUT_WEIGHT "      - {role: weight, variables: [/w]}\n"
                                  "      - {role: column, variables: [/y]}\n",
       {"f.yaml:15: products[0].fields[9].role:", "declared twice"}},
      {HEAD FIELDS_WITHOUT_WEIGHT "      - {role: weight, variables: [/w], min: 2, max: 1}\n",
       {"f.yaml:14:", "min 2 is above max 1"}},
      {HEAD FIELDS_WITHOUT_WEIGHT "      - {role: weight, variables: [/w], units: hPa}\n",
       {"f.yaml:14: products[0].fields[8].units:", "'hPa' is not a unit of weight"}},
      {HEAD FIELDS_WITHOUT_WEIGHT "      - {role: weight, variables: [/w], units: blorb}\n",
       {"f.yaml:14:", "'blorb' is not a unit"}},
      {HEAD "    kernel: none\n    time: parts\n" FIELDS_WITHOUT_WEIGHT,
       {"role year (time parts", "role hour"}},
      {HEAD FIELDS_WITHOUT_WEIGHT "      - {role: weight, variables: [/w]}\n"
                                  "    quality:\n      - {name: \"a,b\", role: mode, value: 1}\n",
       {"'a,b' is not a name of a rule", "has no field with role mode"}},
      {HEAD "    contains: Mine\n" FIELDS_WITHOUT_WEIGHT,
       {"products[0].attribute: required", "role weight"}},
      {"products: []\n", {"products", ""}},
      {"job:\n  name: a\n", {"unknown key", "products"}},
  };
  for (size_t i = 0; i < sizeof CASE / sizeof CASE[0]; ++i) {
    sky_declared *d;
    assert_int_equal(sky_declared_parse(ctx, "f.yaml", CASE[i].text, &d), SKY_E_JOB);
    assert_null(d);
    for (int k = 0; k < 2; ++k) {
      if (strstr(sky_error(ctx), CASE[i].say[k]) == NULL)
        print_error("case %zu: no '%s' in: %s\n", i, CASE[i].say[k], sky_error(ctx));
      assert_non_null(strstr(sky_error(ctx), CASE[i].say[k]));
    }
  }
}

/* Only ratios have a unit where neither the file nor the declaration states one. */
static void test_assumed_units(void **state) {
  (void)state;
  static const struct {
    sky_role role;
    const char *unit;
  } WANT[] = {{SKY_ROLE_AK, "1"},   {SKY_ROLE_WEIGHT, "1"},     {SKY_ROLE_ALBEDO, "0.01"},
              {SKY_ROLE_X, NULL},   {SKY_ROLE_SIGMA, NULL},     {SKY_ROLE_PROFILE, NULL},
              {SKY_ROLE_LAT, NULL}, {SKY_ROLE_PRESSURE, "hPa"}, {SKY_ROLE_LAND_FRACTION, NULL}};
  sky_declared *d;
  assert_int_equal(sky_declared_parse(ctx, "f.yaml",
                                      HEAD FIELDS_WITHOUT_WEIGHT
                                      "      - {role: weight, variables: [/w]}\n"
                                      "      - {role: land_fraction, variables: [/l]}\n"
                                      "      - {role: albedo, variables: [/a], units: \"0.01\"}\n",
                                      &d),
                   SKY_OK);
  for (size_t k = 0; k < sizeof WANT / sizeof WANT[0]; ++k) {
    const sky_field_decl *f = sky_reader_field(sky_declared_at(d, 0), WANT[k].role);
    assert_non_null(f);
    assert_true(same_text(f->assumed, WANT[k].unit));
  }
  sky_declared_free(d);
}

/* Every allocation may fail. */
static void test_out_of_memory(void **state) {
  (void)state;
  sky_declared *d;
  const uint64_t before = sky_memory_count(ctx);
  assert_int_equal(sky_declared_read(ctx, EXAMPLE, &d), SKY_OK);
  sky_declared_free(d);
  const uint64_t total = sky_memory_count(ctx) - before;
  assert_true(total > 50);
  for (uint64_t n = 1; n <= total; ++n) {
    sky_memory_fail_at(ctx, n);
    const sky_status st = sky_declared_read(ctx, EXAMPLE, &d);
    sky_memory_fail_at(ctx, 0);
    sky_declared_free(d);
    assert_int_equal(st, SKY_E_NOMEM);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_example),       cmocka_unit_test(test_role_words),
      cmocka_unit_test(test_mistakes),      cmocka_unit_test(test_assumed_units),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
