/* Activity tables: missing is not zero; every fault names its place. */
#include <math.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/read/activity.h"
#include "tests/support/sky_cmocka.h"

#define HEADER "region,sector,fuel,amount,unit,sd_percent,source\n"
#define PATH "test_activity.csv"

static sky_status read_text(sky_context *ctx, const char *text, sky_activity_file *f) {
  assert_int_equal(sky_file_write_text(ctx, PATH, text, strlen(text)), SKY_OK);
  return sky_activity_read(ctx, PATH, f);
}

static void test_rows(void **state) {
  sky_activity_file f;
  assert_int_equal(read_text(*state,
                             "# a comment\nregion,fuel,sector,amount,unit,sd_percent,source\n"
                             "\"a, b\",coke,i,12.5,t,5,book\nc,coke,i,,t,5,book\nd,coke,i,NE,t,0,"
                             "book\ne,coke,i,0,t,0,book\n",
                             &f),
                   SKY_OK);
  assert_int_equal(f.n, 4);
  assert_string_equal(f.row[0].region, "a, b");
  assert_string_equal(f.row[0].sector, "i");
  assert_true(f.row[0].amount == 12.5 && f.row[0].sd == 0.05 && f.row[0].missing == NULL);
  assert_true(isnan(f.row[1].amount) && isnan(f.row[2].amount));
  assert_string_equal(f.row[1].missing, "amount is empty");
  assert_string_equal(f.row[2].missing, "amount is not estimated (NE)");
  assert_true(f.row[3].amount == 0 && f.row[3].missing == NULL);
  assert_int_equal(f.row[3].line, 6);
  sky_activity_free(&f);
  unlink(PATH);
}

/* Blanks at the edges, also those of word processors, are no part of a name; inside they are. */
static void test_blanks(void **state) {
  sky_activity_file f;
  assert_int_equal(read_text(*state,
                             " region,sector ,fuel,amount,unit,sd_percent,source\n"
                             "\"a \",transport ,\tcoke, 3 ,t ,5 ,b\n"
                             "\xE3\x80\x80\xE5\x8C\x97 \xE4\xBA\xAC\xC2\xA0,  big  "
                             "industry\xE3\x80\x80 ,coke, NE ,t,5,b\n"
                             "c,i,coke,  ,t,5,b\n",
                             &f),
                   SKY_OK);
  assert_string_equal(f.row[0].region, "a");
  assert_string_equal(f.row[0].sector, "transport");
  assert_string_equal(f.row[0].fuel, "coke");
  assert_string_equal(f.row[0].unit, "t");
  assert_true(f.row[0].amount == 3 && f.row[0].sd == 0.05);
  assert_string_equal(f.row[1].region, "\xE5\x8C\x97 \xE4\xBA\xAC");
  assert_string_equal(f.row[1].sector, "big  industry");
  assert_string_equal(f.row[1].missing, "amount is not estimated (NE)");
  assert_string_equal(f.row[2].missing, "amount is empty");
  sky_activity_free(&f);
  unlink(PATH);
}

static void test_refusals(void **state) {
  static const struct {
    const char *text;
    sky_status status;
    const char *message;
  } bad[] = {
      {HEADER, SKY_E_NODATA, PATH ": no row"},
      {HEADER "a,i,coke,NaN,t,5,b\n", SKY_E_RANGE, PATH ":2: amount: 'NaN' is not a number >= 0"},
      {HEADER "a,i,coke,-3,t,5,b\n", SKY_E_RANGE, PATH ":2: amount: '-3'"},
      {HEADER "a,i,coke,1e999,t,5,b\n", SKY_E_RANGE, PATH ":2: amount: '1e999'"},
      {HEADER "a,i,coke,3 t,t,5,b\n", SKY_E_RANGE, PATH ":2: amount: '3 t'"},
      {HEADER "a,i,coke,3,t,,b\n", SKY_E_RANGE, PATH ":2: sd_percent: empty (0 where"},
      {HEADER "a,i,coke,3,t,-1,b\n", SKY_E_RANGE,
       PATH ":2: sd_percent: '-1' is not a number from 0"},
      {HEADER "a,i,coke,3,,5,b\n", SKY_E_RANGE, PATH ":2: unit: empty"},
      {HEADER ",i,coke,3,t,5,b\n", SKY_E_RANGE, PATH ":2: region: empty"},
      {HEADER "a,i,coke,3,t,5\n", SKY_E_RANGE, PATH ":2: source: empty"},
      {HEADER "a,\xE3\x80\x80 ,coke,3,t,5,b\n", SKY_E_RANGE, PATH ":2: sector: empty"},
      {HEADER "a,i,coke,3,t,5,b\n\xB1\xB1\xBE\xA9,i,coke,3,t,5,b\n", SKY_E_FORMAT,
       PATH
       ":3: not UTF-8 (byte 0xb1); convert the file first, from GBK by: iconv -f GBK -t UTF-8"},
      {"# \xB1\xB1\xBE\xA9\n" HEADER "a,i,coke,3,t,5,b\n", SKY_E_FORMAT, PATH ":1: not UTF-8"},
      {"region,sector,fule,amount,unit,sd_percent,source\n", SKY_E_FORMAT,
       PATH ": column 'fule' is not known; did you mean 'fuel'?"},
      {"region,sector,fuel,amount,unit,source\n", SKY_E_FORMAT, PATH ": no column 'sd_percent'"},
      {"region,region,sector,fuel,amount,unit,sd_percent,source\n", SKY_E_FORMAT,
       PATH ": column 'region' is there twice"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    sky_activity_file f;
    assert_fails(*state, read_text(*state, bad[i].text, &f), bad[i].status, bad[i].message);
    assert_null(f.row);
  }
  unlink(PATH);
  sky_activity_file f;
  assert_fails(*state, sky_activity_read(*state, "absent.csv", &f), SKY_E_MISSING, "absent.csv");
}

static void test_allocation_failures(void **state) {
  const char *text = HEADER "a,i,coke,3,t,5,b\n";
  sky_activity_file f;
  sky_status st = SKY_E_NOMEM;
  size_t failures = 0;
  assert_int_equal(sky_file_write_text(*state, PATH, text, strlen(text)), SKY_OK);
  for (uint64_t n = 1; st != SKY_OK; n++) {
    sky_memory_fail_at(*state, n);
    st = sky_activity_read(*state, PATH, &f);
    sky_memory_fail_at(*state, 0);
    if (st == SKY_OK) break;
    assert_int_equal(st, SKY_E_NOMEM);
    assert_null(f.table);
    failures++;
  }
  assert_true(failures >= 6);
  sky_activity_free(&f);
  unlink(PATH);
}

int main(void) {
  const struct CMUnitTest tests[] = {SKY_UNIT(test_rows), SKY_UNIT(test_blanks),
                                     SKY_UNIT(test_refusals), SKY_UNIT(test_allocation_failures)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
