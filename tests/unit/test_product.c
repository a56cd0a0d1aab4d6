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

static void test_rows_are_consistent(void **state) {
  (void)state;
  static const sky_role ALWAYS[] = {SKY_ROLE_X,   SKY_ROLE_SIGMA, SKY_ROLE_TIME,
                                    SKY_ROLE_LAT, SKY_ROLE_LON,   SKY_ROLE_AK};
  assert_true(sky_reader_count() >= 5);
  for (size_t i = 0; i < sky_reader_count(); ++i) {
    const sky_reader *r = sky_reader_at(i);
    assert_ptr_equal(sky_reader_find(r->id), r); /* ids are unique */
    assert_true(strlen(r->id) < 32 && strlen(r->kernel_note) < 64);
    assert_non_null(r->marker[0]);
    for (size_t k = 0; k < sizeof ALWAYS / sizeof ALWAYS[0]; ++k) {
      assert_non_null(sky_reader_field(r, ALWAYS[k]));
      assert_true(sky_reader_field(r, ALWAYS[k])->required);
    }
    for (size_t g = 0; g < 4 && r->gases[g] != NULL; ++g) {
      assert_non_null(sky_species_find(r->gases[g]));
      assert_true(sky_reader_has_gas(r, r->gases[g]));
    }
    assert_false(sky_reader_has_gas(r, "he"));
    for (size_t f = 0; f < r->n_fields; ++f) {
      assert_ptr_equal(sky_reader_field(r, r->field[f].role), &r->field[f]); /* one per role */
      double scale, offset;
      const char *unit = sky_role_unit(r->field[f].role);
      if (unit == NULL || r->field[f].assumed == NULL) continue;
      assert_int_equal(sky_units_convert(ctx, r->field[f].assumed, unit, &scale, &offset), SKY_OK);
    }
    for (size_t k = 0; k < r->n_rules; ++k) { /* rules name variables that exist */
      for (int c = 0; c < r->rule[k].n_clauses; ++c) {
        assert_non_null(sky_reader_field(r, r->rule[k].clause[c].role));
      }
    }
  }
  assert_null(sky_reader_find("no-such-reader"));
  assert_null(sky_reader_at(sky_reader_count()));
}

static void test_each_kernel_has_what_it_needs(void **state) {
  (void)state;
  static const sky_role NEEDS[3][4] = {
      [SKY_KERNEL_NORMALISED] = {SKY_ROLE_WEIGHT, SKY_ROLE_PROFILE, SKY_ROLE_PRIOR, SKY_ROLE_AK},
      [SKY_KERNEL_SUBCOLUMNS] = {SKY_ROLE_DRY_SUBCOLUMN, SKY_ROLE_PRIOR_SUBCOLUMN,
                                 SKY_ROLE_SURFACE_PRESSURE, SKY_ROLE_AK},
      [SKY_KERNEL_WET_OPERATOR] = {SKY_ROLE_OPERATOR, SKY_ROLE_WATER, SKY_ROLE_PROFILE,
                                   SKY_ROLE_PRIOR},
  };
  for (size_t i = 0; i < sky_reader_count(); ++i) {
    const sky_reader *r = sky_reader_at(i);
    for (int k = 0; k < 4; ++k) {
      const sky_field_decl *f = sky_reader_field(r, NEEDS[r->kernel][k]);
      assert_non_null(f);
      assert_true(f->required);
    }
    const sky_role pressure =
        r->pressure == SKY_PRESSURE_PER_LEVEL ? SKY_ROLE_PRESSURE : SKY_ROLE_PRESSURE_STEP;
    assert_true(sky_reader_field(r, pressure)->required);
  }
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
      cmocka_unit_test(test_each_kernel_has_what_it_needs),
      cmocka_unit_test(test_page_is_current),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
