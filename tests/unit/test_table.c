/* CSV tables and strict numbers. */
#include <math.h>

#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/table.h"
#include "tests/support/sky_cmocka.h"

static sky_table *parsed(sky_context *ctx, const char *text) {
  sky_table *t;
  if (sky_table_parse(ctx, "t.csv", text, strlen(text), &t) != SKY_OK) {
    fail_msg("%s", sky_error(ctx));
  }
  return t;
}

static void test_quotes_bom_crlf(void **state) {
  sky_table *t = parsed(*state,
                        "\xEF\xBB\xBF# source: x, y\r\nname,\"value, 1\",note\r\n"
                        "\"a \"\"b\"\" c\",1.5,\"two\r\nlines\"\r\n"
                        "\r\n"
                        "\xE5\x8C\x97\xE4\xBA\xAC,2,\"{\"\"k\"\": [1, 2]}\"");
  assert_int_equal(sky_table_columns(t), 3);
  assert_int_equal(sky_table_rows(t), 2);
  assert_string_equal(sky_table_header(t, 1), "value, 1");
  assert_string_equal(sky_table_header(t, 3), "");
  assert_int_equal(sky_table_find(t, "note"), 2);
  assert_true(sky_table_find(t, "Note") == SIZE_MAX);
  assert_string_equal(sky_table_cell(t, 0, 0), "a \"b\" c");
  assert_string_equal(sky_table_cell(t, 0, 2), "two\r\nlines");
  assert_string_equal(sky_table_cell(t, 1, 0), "\xE5\x8C\x97\xE4\xBA\xAC");
  assert_string_equal(sky_table_cell(t, 1, 2), "{\"k\": [1, 2]}");
  assert_int_equal(sky_table_line(t, 0), 3);
  assert_int_equal(sky_table_line(t, 1), 6); /* the row before it has two lines, then a blank one */
  sky_table_free(t);
}

static void test_short_and_long_rows(void **state) {
  sky_context *ctx = *state;
  sky_table *t = parsed(ctx, "a,b,c\n1\n,2,\n1,2,3,,\n# not a comment\n\"\"\n");
  assert_int_equal(sky_table_rows(t), 5);
  assert_string_equal(sky_table_cell(t, 0, 0), "1");
  assert_string_equal(sky_table_cell(t, 0, 2), "");
  assert_string_equal(sky_table_cell(t, 1, 1), "2");
  assert_string_equal(sky_table_cell(t, 3, 0), "# not a comment");
  assert_string_equal(sky_table_cell(t, 9, 0), "");
  sky_table_free(t);
  const char *bad = "a,b\n1,2\n1,2,3\n";
  assert_fails(ctx, sky_table_parse(ctx, "t.csv", bad, strlen(bad), &t), SKY_E_FORMAT,
               "t.csv:3: 3 cells, the header has 2");
  assert_null(t);
}

static void test_broken_text(void **state) {
  sky_context *ctx = *state;
  sky_table *t;
  const char *open = "a\n1\n\"x\ny\n";
  assert_fails(ctx, sky_table_parse(ctx, "t.csv", open, strlen(open), &t), SKY_E_FORMAT,
               "t.csv:3: quote is not closed");
  const char *after = "a\n\"x\"y\n";
  assert_fails(ctx, sky_table_parse(ctx, "t.csv", after, strlen(after), &t), SKY_E_FORMAT,
               "t.csv:2: text after a closing quote");
  assert_fails(ctx, sky_table_parse(ctx, "t.csv", "a\0b\n", 4, &t), SKY_E_READ, "NUL byte");
  assert_fails(ctx, sky_table_parse(ctx, "t.csv", "# only\n", 7, &t), SKY_E_FORMAT, "no header");
  assert_fails(ctx, sky_table_parse(ctx, "t.csv", "", 0, &t), SKY_E_FORMAT, "no header");
  assert_fails(ctx, sky_table_read(ctx, "no/such.csv", &t), SKY_E_MISSING, "no/such.csv");
}

static void test_numbers(void **state) {
  sky_context *ctx = *state;
  sky_table *t = parsed(ctx, "id,mass\nx, 1.5e3 \ny,\nz,12 kg\nw,1e999\n");
  double v = 0;
  assert_int_equal(sky_table_number(ctx, t, 0, 1, &v), SKY_OK);
  assert_true(v == 1500);
  assert_int_equal(sky_table_number(ctx, t, 1, 1, &v), SKY_OK);
  assert_true(isnan(v));
  assert_fails(ctx, sky_table_number(ctx, t, 2, 1, &v), SKY_E_RANGE,
               "t.csv:4: mass: '12 kg' is not a number");
  assert_fails(ctx, sky_table_number(ctx, t, 3, 1, &v), SKY_E_RANGE, "t.csv:5: mass: '1e999'");
  sky_table_free(t);
}

static void test_number_forms(void **state) {
  (void)state;
  static const char *const GOOD[] = {"0", "-1", "+2.", ".5", "1e-3", " 7 ", "1E+2"};
  static const char *const BAD[] = {"",    " ",     "nan", "inf", "-inf", "0x10", "1,5",
                                    "--1", "1e999", "abc", ".",   "e5",   "1 2",  "- 1"};
  double v;
  const char *rest;
  for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
    if (!sky_number_parse(GOOD[i], &v, NULL)) fail_msg("'%s' was refused", GOOD[i]);
  }
  for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
    if (sky_number_parse(BAD[i], &v, NULL)) fail_msg("'%s' was taken", BAD[i]);
  }
  assert_true(sky_number_parse("12 km", &v, &rest));
  assert_true(v == 12);
  assert_string_equal(rest, " km");
}

/* Many cells, so that the lists grow, under each possible failure. */
static void test_every_allocation_may_fail(void **state) {
  sky_context *ctx = *state;
  char text[8 * 400 + 8] = "a,b\n";
  for (int i = 0; i < 400; i++)
    strcat(text, "1,\"2\"\n");
  uint64_t nth = 0;
  sky_status st;
  do {
    sky_table *t;
    sky_memory_fail_at(ctx, ++nth);
    st = sky_table_parse(ctx, "t.csv", text, strlen(text), &t);
    sky_memory_fail_at(ctx, 0);
    if (st == SKY_OK) {
      assert_int_equal(sky_table_rows(t), 400);
      sky_table_free(t);
    } else {
      assert_int_equal(st, SKY_E_NOMEM);
      assert_null(t);
    }
  } while (st != SKY_OK);
  assert_true(nth > 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_quotes_bom_crlf), SKY_UNIT(test_short_and_long_rows),
      SKY_UNIT(test_broken_text),     SKY_UNIT(test_numbers),
      SKY_UNIT(test_number_forms),    SKY_UNIT(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
