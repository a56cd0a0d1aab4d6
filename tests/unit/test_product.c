/* test_product.c: the table of products is consistent, and docs/products.md is what it prints.
 * With the argument --write the page is written anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/units.h"
#include "src/read/product.h"

#define PAGE SKYFLUX_SOURCE "/docs/products.md"

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

static void check_fields(const sky_reader *r) {
  for (size_t f = 0; f < r->n_fields; ++f) {
    const sky_field_decl *field = &r->field[f];
    assert_ptr_equal(sky_reader_field(r, field->role), field); /* one per role */
    assert_true(field->min < field->max);
    double scale, offset;
    const char *unit = sky_role_unit(field->role);
    if (unit == NULL || field->assumed == NULL) continue;
    assert_int_equal(sky_units_convert(ctx, field->assumed, unit, &scale, &offset), SKY_OK);
  }
}

/* Rules name variables that are declared, and options that the parser can take apart. */
static void check_rules(const sky_reader *r) {
  assert_true(r->n_rules <= SKY_RULES_MAX);
  for (size_t k = 0; k < r->n_rules; ++k) {
    const sky_rule *rule = &r->rule[k];
    uint32_t rules, named;
    assert_null(strpbrk(rule->name, ",: "));
    assert_int_equal(sky_quality_rules(ctx, r, rule->name, &rules, &named), SKY_OK);
    assert_true(rules == UINT32_C(1) << k && named == rules);
    for (int c = 0; c < rule->n_clauses; ++c) {
      assert_non_null(sky_reader_field(r, rule->clause[c].role));
      if (rule->clause[c].plus_factor != 0)
        assert_non_null(sky_reader_field(r, rule->clause[c].plus));
    }
  }
}

static void test_rows_are_consistent(void **state) {
  (void)state;
  static const sky_role ALWAYS[] = {SKY_ROLE_X, SKY_ROLE_SIGMA, SKY_ROLE_LAT, SKY_ROLE_LON};
  assert_true(sky_reader_count() >= 19);
  for (size_t i = 0; i < sky_reader_count(); ++i) {
    const sky_reader *r = sky_reader_at(i);
    assert_ptr_equal(sky_reader_find(r->id), r); /* ids are unique */
    assert_true(strlen(r->id) < 32 && strlen(r->kernel_note) < 64);
    assert_non_null(r->marker[0]);
    assert_non_null(r->reference);
    for (size_t k = 0; k < sizeof ALWAYS / sizeof ALWAYS[0]; ++k) {
      /* Profiles have no uncertainty of their column. */
      if (ALWAYS[k] == SKY_ROLE_SIGMA && r->kernel == SKY_KERNEL_LOG_SVD) continue;
      assert_non_null(sky_reader_field(r, ALWAYS[k]));
      assert_true(sky_reader_field(r, ALWAYS[k])->need == SKY_NEED_YES);
    }
    for (size_t g = 0; g < 4 && r->gases[g] != NULL; ++g) {
      assert_non_null(sky_species_find(r->gases[g]));
      assert_true(sky_reader_has_gas(r, r->gases[g]));
    }
    assert_false(sky_reader_has_gas(r, "he"));
    check_fields(r);
    check_rules(r);
  }
  assert_null(sky_reader_find("no-such-reader"));
  assert_null(sky_reader_at(sky_reader_count()));
}

static void check_needs(const sky_reader *r, const sky_role *role) {
  for (; *role != SKY_ROLE_COUNT; ++role) {
    const sky_field_decl *f = sky_reader_field(r, *role);
    assert_non_null(f);
    assert_true(f->need != SKY_NEED_NO);
  }
}

static void test_each_rule_has_what_it_needs(void **state) {
  (void)state;
  for (size_t i = 0; i < sky_reader_count(); ++i) {
    const sky_reader *r = sky_reader_at(i);
    check_needs(r, sky_time_needs(r->time));
    check_needs(r, sky_kernel_needs(r->kernel));
    if (r->kernel != SKY_KERNEL_NONE) check_needs(r, sky_pressure_needs(r->pressure));
    assert_true((r->kernel == SKY_KERNEL_NONE) == (r->vertical == SKY_VERTICAL_NONE));
  }
}

static uint32_t rules_of(const char *product, const char *list) {
  uint32_t rules, named;
  assert_int_equal(sky_quality_rules(ctx, sky_reader_find(product), list, &rules, &named), SKY_OK);
  return rules;
}

static void test_quality_lists(void **state) {
  (void)state;
  const uint32_t half = rules_of("s5p-ch4", "qa>=0.5"), one = rules_of("s5p-ch4", "qa==1");
  const uint32_t normal = rules_of("s5p-ch4", NULL), strict = rules_of("s5p-ch4", "strict");
  assert_true((normal & half) != 0 && (normal & one) == 0);
  assert_true((strict & one) != 0);
  assert_int_equal(rules_of("s5p-ch4", "none"), 0);
  assert_int_equal(rules_of("s5p-ch4", ""), normal);
  assert_int_equal(rules_of("s5p-ch4", "none, qa==1 ,qa>=0.5"), half | one);
  assert_int_equal(rules_of("s5p-ch4", "oco-lite:land"), normal);     /* says nothing of this one */
  assert_int_equal(rules_of("s5p-ch4", "strict,s5p-ch4:qa==1"), one); /* its own words win */
  assert_int_equal(rules_of("oco-lite", "strict,s5p-ch4:qa==1"), rules_of("oco-lite", "strict"));
  uint32_t rules, named;
  assert_int_equal(sky_quality_rules(ctx, sky_reader_find("oco-lite"), "qa==1", &rules, &named),
                   SKY_E_USAGE);
  assert_non_null(strstr(sky_error(ctx), "oco-lite"));
  assert_non_null(strstr(sky_error(ctx), "'qa==1'"));
  assert_non_null(strstr(sky_error(ctx), "simple-bitflag"));
}

static void test_page_is_current(void **state) {
  (void)state;
  char *now = NULL, *page = NULL;
  size_t length;
  assert_int_equal(sky_readers_document(ctx, &now), SKY_OK);
  assert_int_equal(sky_file_read_text(ctx, PAGE, &page, &length), SKY_OK);
  assert_string_equal(page, now);
  sky_free(now);
  sky_free(page);
}

static int write_page(void) {
  char *text;
  if (setup(NULL) != 0 || sky_readers_document(ctx, &text) != SKY_OK) return 1;
  const sky_status st = sky_file_write_text(ctx, PAGE, text, strlen(text));
  if (st != SKY_OK) fprintf(stderr, "%s\n", sky_error(ctx));
  sky_free(text);
  teardown(NULL);
  return st != SKY_OK;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--write") == 0) return write_page();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows_are_consistent),
      cmocka_unit_test(test_each_rule_has_what_it_needs),
      cmocka_unit_test(test_quality_lists),
      cmocka_unit_test(test_page_is_current),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
