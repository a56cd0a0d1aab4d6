/* Job files: getters, defaults, canonical text, hostile input, the reference and the template. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/rng.h"
#include "src/core/schema.h"

static int setup(void **state) {
  return sky_context_create((sky_context **)state) != SKY_OK;
}

static int teardown(void **state) {
  sky_context_free(*state);
  return 0;
}

static sky_status parse(sky_context *ctx, const char *text, sky_jobfile **job) {
  return sky_jobfile_parse(ctx, "job.yaml", text, strlen(text), NULL, 0, job);
}

static const char job_text[] =
    "# a job\n"
    "job: {name: a, output: out/a}\n"
    "vars: {data: d}\n"
    "period: {start: 2023-04-02, end: 2023-04-03T12:00:00+02:00}\n"
    "grid:\n"
    "  box: [-2.5, 50, 2, 52]   # west\n"
    "  cell: 30 arcminute\n"
    "soundings:\n"
    "  - files: [\"${data}/a.nc\", b.nc]\n"
    "    gases: [ch4]\n"
    "inventories: [{id: i, gas: ch4, file: f.nc, year: 2019, total: 2e6 t/yr}]\n"
    "inversions:\n"
    "  - gas: ch4\n"
    "    prior: i\n"
    "    sigma: 50 %\n"
    "    background: {mean: 1.9 ppm, sd: 20 ppb}\n"
    "zones: {file: z.gpkg, id: id}\n";

static void test_getters(void **state) {
  sky_context *ctx = *state;
  sky_jobfile *job = NULL;
  assert_int_equal(parse(ctx, job_text, &job), SKY_OK);
  const sky_node *root = sky_jobfile_root(job);
  assert_string_equal(sky_node_text(root, "job.name"), "a");
  assert_null(sky_node_text(root, "job.title"));
  assert_null(sky_node_text(root, "job"));
  assert_null(sky_node_get(root, "job.name.x"));
  assert_null(sky_node_get(NULL, "job"));

  const sky_node *files = sky_node_get(root, "soundings[0].files");
  assert_int_equal(sky_node_count(files), 2);
  assert_string_equal(sky_node_text(sky_node_item(files, 0), ""), "d/a.nc");
  assert_string_equal(sky_node_text(sky_node_item(files, 1), NULL), "b.nc");
  assert_null(sky_node_item(files, 2));
  assert_int_equal(sky_node_count(root), 0);
  assert_int_equal(sky_node_line(sky_node_get(root, "inversions[0].sigma")), 15);

  assert_true(sky_node_time(root, "period.start") == 1680393600.0);
  assert_true(sky_node_time(root, "period.end") == 1680393600.0 + 34 * 3600.0);
  assert_true(isnan(sky_node_number(root, "period.start")));
  assert_true(isnan(sky_node_time(root, "grid.cell")));
  assert_true(sky_node_number(sky_node_item(sky_node_get(root, "grid.box"), 0), "") == -2.5);
  assert_float_equal(sky_node_number(root, "grid.cell"), 0.5, 1e-12);
  assert_true(sky_node_unit_is(root, "grid.cell", "degree"));
  assert_false(sky_node_unit_is(root, "grid.cell", "m"));
  assert_true(sky_node_integer(root, "inventories[0].year", -1) == 2019);
  assert_true(sky_node_integer(root, "inventories[0].none", -1) == -1);
  assert_float_equal(sky_node_number(root, "inventories[0].total"), 2e9, 1.0);

  const sky_node *inversion = sky_node_get(root, "inversions[0]");
  assert_float_equal(sky_node_number(inversion, "sigma"), 0.5, 1e-15);
  assert_float_equal(sky_node_number(inversion, "background.mean"), 1.9e-6, 1e-18);
  assert_float_equal(sky_node_number(inversion, "background.sd"), 20e-9, 1e-20);
  sky_jobfile_free(job);
}

static void test_defaults(void **state) {
  sky_context *ctx = *state;
  sky_jobfile *job = NULL;
  assert_int_equal(parse(ctx, job_text, &job), SKY_OK);
  const sky_node *root = sky_jobfile_root(job), *inversion = sky_node_get(root, "inversions[0]");
  assert_string_equal(sky_node_text(root, "grid.crs"), "EPSG:4326");
  assert_string_equal(sky_node_text(root, "soundings[0].product"), "auto");
  assert_true(sky_node_number(root, "soundings[0].timeout") == 60.0);
  assert_true(sky_node_number(inversion, "error.scale") == 1.0);
  assert_string_equal(sky_node_text(inversion, "background.per"), "day");
  assert_string_equal(sky_node_text(inversion, "correlation"), "none");
  /* A map that is optional stays away with its defaults. */
  assert_null(sky_node_get(inversion, "time"));
  assert_null(sky_node_get(root, "inventories[0].uncertainty"));
  assert_true(sky_node_given(inversion, "sigma"));
  assert_false(sky_node_given(inversion, "correlation"));
  assert_false(sky_node_given(inversion, "error"));
  assert_false(sky_node_given(inversion, "time"));
  sky_jobfile_free(job);
}

static void test_where(void **state) {
  sky_context *ctx = *state;
  sky_jobfile *job = NULL;
  const char *sets[] = {"grid.cell=1 degree"};
  assert_int_equal(sky_jobfile_parse(ctx, "x/job.yaml", job_text, strlen(job_text), sets, 1, &job),
                   SKY_OK);
  assert_string_equal(sky_jobfile_path(job), "x/job.yaml");
  const sky_node *root = sky_jobfile_root(job);
  char *file = sky_node_where(ctx, job, sky_node_get(root, "inversions[0].sigma"));
  char *set = sky_node_where(ctx, job, sky_node_get(root, "grid.cell"));
  assert_string_equal(file, "x/job.yaml:15: inversions[0].sigma: ");
  assert_string_equal(set, "--set: grid.cell: ");
  assert_true(sky_node_number(root, "grid.cell") == 1.0);
  sky_free(file);
  sky_free(set);
  sky_jobfile_free(job);
}

static char *canonical(sky_context *ctx, const char *text, const char *const *only, size_t n) {
  sky_jobfile *job = NULL;
  assert_int_equal(parse(ctx, text, &job), SKY_OK);
  char *out = sky_jobfile_canonical(ctx, job, only, n);
  assert_non_null(out);
  sky_jobfile_free(job);
  return out;
}

static void test_canonical(void **state) {
  sky_context *ctx = *state;
  static const char *const same[] = {
      "job: {name: a, output: o}\ngrid: {box: [0, 50, 2, 52], cell: 0.5}\n"
      "soundings: [{files: [d/a.nc], gases: [ch4]}]\nzones: {file: z, id: i}\n",
      "# other order, comments, units, variables and defaults written out\n"
      "zones:\n    id: \"i\"   # id\n    file: 'z'\nvars: {data: other/place}\n"
      "soundings:\n- gases:\n  - ch4\n  files: ['${data}/a.nc']\n  timeout: 1 min\n"
      "grid: {crs: EPSG:4326, cell: 30 arcminute, box: [0.0, 5e1, 2, 52]}\n"
      "job: {output: elsewhere, name: a}\n"};
  static const char *const other[] = {
      "job: {name: a, output: o}\ngrid: {box: [0, 50, 2, 52], cell: 0.25}\n"
      "soundings: [{files: [d/a.nc], gases: [ch4]}]\nzones: {file: z, id: i}\n",
      "job: {name: a, output: o}\ngrid: {box: [0, 50, 2, 52], cell: 0.5}\n"
      "soundings: [{files: [d/a.nc], gases: [ch4, co2]}]\nzones: {file: z, id: i}\n"};
  char *first = canonical(ctx, same[0], NULL, 0), *second = canonical(ctx, same[1], NULL, 0);
  assert_string_equal(first, second);
  assert_string_equal(
      first,
      "{\"columns\":{\"correlation\":0.29999999999999999},"
      "\"grid\":{\"box\":[0,50,2,52],\"cell\":\"0.5 degree\",\"crs\":\"EPSG:4326\"},"
      "\"job\":{\"name\":\"a\"},"
      "\"soundings\":[{\"background\":\"none\",\"boundary_error\":\"0 mol mol-1\","
      "\"clean\":\"duplicates\",\"files\":[\"a.nc\"],\"gases\":[\"ch4\"],"
      "\"product\":\"auto\",\"timeout\":\"60 s\"}],"
      "\"zones\":{\"file\":\"z\",\"id\":\"i\"}}\n");
  for (size_t i = 0; i < 2; i++) {
    char *differs = canonical(ctx, other[i], NULL, 0);
    assert_string_not_equal(first, differs);
    sky_free(differs);
  }
  static const char *const only[] = {"zones", "job"};
  char *part = canonical(ctx, same[0], only, 2);
  assert_string_equal(part,
                      "{\"job\":{\"name\":\"a\"},"
                      "\"zones\":{\"file\":\"z\",\"id\":\"i\"}}\n");
  sky_free(part);
  sky_free(first);
  sky_free(second);
}

static void assert_fault(sky_context *ctx, const char *text, size_t n, const char *expected) {
  sky_jobfile *job = NULL;
  assert_int_equal(sky_jobfile_parse(ctx, "job.yaml", text, n, NULL, 0, &job), SKY_E_JOB);
  assert_null(job);
  assert_string_equal(sky_error(ctx), expected);
}

static void test_bytes(void **state) {
  sky_context *ctx = *state;
  assert_fault(ctx, "job:\n  name: \xff\n", 15, "job.yaml:2: not UTF-8 (byte 0xff)");
  assert_fault(ctx, "a: \xc3", 4, "job.yaml:1: not UTF-8 (byte 0xc3)");             /* cut */
  assert_fault(ctx, "a: \xc0\xaf", 5, "job.yaml:1: not UTF-8 (byte 0xc0)");         /* overlong */
  assert_fault(ctx, "a: \xed\xa0\x80", 6, "job.yaml:1: not UTF-8 (byte 0xed)");     /* surrogate */
  assert_fault(ctx, "a: \xf4\x90\x80\x80", 7, "job.yaml:1: not UTF-8 (byte 0xf4)"); /* > 10FFFF */
  assert_fault(ctx, "\xff\xfej\0o\0b\0", 8, "job.yaml:1: not UTF-8 (byte 0xff)");   /* UTF-16 */
  assert_fault(ctx, "", 0, "job.yaml: empty");
  sky_jobfile *job = NULL; /* a NUL in a text cannot hide what follows */
  assert_int_equal(sky_jobfile_parse(ctx, "j", "a: b\0c\n", 7, NULL, 0, &job), SKY_E_JOB);
  assert_int_equal(sky_jobfile_parse(ctx, "j", "a: \"b\\0c\"\n", 10, NULL, 0, &job), SKY_E_JOB);
  assert_non_null(strstr(sky_error(ctx), "j:1: a text holds a NUL character"));
  /* A byte order mark is no fault. */
  char *marked = sky_sprintf(ctx, "\xef\xbb\xbf%s", job_text);
  assert_int_equal(parse(ctx, marked, &job), SKY_OK);
  sky_jobfile_free(job);
  sky_free(marked);
}

static void test_deep(void **state) {
  sky_context *ctx = *state;
  const size_t n = (size_t)1 << 20;
  static const char *const open[] = {"[", "{a: ", "- ", "? "};
  for (size_t k = 0; k < 4; k++) {
    const size_t step = strlen(open[k]);
    char *text = SKY_NEW(ctx, char, n);
    for (size_t i = 0; i < n; i++)
      text[i] = open[k][i % step];
    sky_jobfile *job = NULL;
    assert_int_equal(sky_jobfile_parse(ctx, "job.yaml", text, n, NULL, 0, &job), SKY_E_JOB);
    assert_non_null(strstr(sky_error(ctx), k == 3 ? "a key must be one word" : "nested more than"));
    sky_free(text);
  }
  char *large = SKY_NEW(ctx, char, 9 * n);
  memset(large, ' ', 9 * n);
  assert_fault(ctx, large, 9 * n, "job.yaml: 9437184 bytes are not a job file (at most 8388608)");
  sky_free(large);
}

/* Variables that double each other must not fill the memory. */
static void test_growth(void **state) {
  sky_context *ctx = *state;
  sky_text t = {.ctx = ctx};
  sky_jobfile *job = NULL;
  sky_text_put(&t, "vars:\n  a0: 0123456789\n");
  for (int i = 1; i < 40; i++)
    sky_text_printf(&t, "  a%d: \"${a%d}${a%d}\"\n", i, i - 1, i - 1);
  char *text = sky_text_take(&t);
  const uint64_t before = sky_memory_count(ctx);
  assert_int_equal(parse(ctx, text, &job), SKY_E_JOB);
  assert_non_null(strstr(sky_error(ctx), "more than 65536 characters"));
  assert_true(sky_memory_count(ctx) - before < 5000);
  sky_free(text);
}

static void test_many_faults(void **state) {
  sky_context *ctx = *state;
  sky_text t = {.ctx = ctx};
  sky_jobfile *job = NULL;
  for (int i = 0; i < 200; i++)
    sky_text_printf(&t, "unknown-%d: 1\n", i);
  char *text = sky_text_take(&t);
  assert_int_equal(parse(ctx, text, &job), SKY_E_JOB);
  /* 200 unknown keys and 4 missing ones; the first 50 by line are told. */
  assert_non_null(strstr(sky_error(ctx), "job.yaml: and 154 more errors"));
  assert_non_null(strstr(sky_error(ctx), "unknown-45"));
  assert_null(strstr(sky_error(ctx), "unknown-46"));
  sky_free(text);
}

/* Every allocation in turn fails: no leak (the sanitizer looks), the right status, no result. */
static void walk_allocations(sky_context *ctx, const char *text, const char *const *sets, size_t n,
                             sky_status last) {
  sky_status st = SKY_E_NOMEM;
  uint64_t nth = 1;
  for (; nth < 20000; nth++) {
    sky_jobfile *job = NULL;
    const uint64_t before = sky_memory_count(ctx);
    sky_memory_fail_at(ctx, nth);
    st = sky_jobfile_parse(ctx, "job.yaml", text, strlen(text), sets, n, &job);
    sky_memory_fail_at(ctx, 0);
    const bool reached = sky_memory_count(ctx) - before >= nth;
    if (reached) {
      if (st != SKY_E_NOMEM) print_error("allocation %llu is lost\n", (unsigned long long)nth);
      assert_int_equal(st, SKY_E_NOMEM);
      assert_null(job);
      assert_non_null(strstr(sky_error(ctx), "out of memory"));
    }
    sky_jobfile_free(job);
    if (!reached) break;
  }
  assert_int_equal(st, last);
  assert_true(nth > 50);
}

static void test_allocations(void **state) {
  sky_context *ctx = *state;
  static const char *const sets[] = {"grid.cell=1 degree", "soundings[1].files=[\"a\", \"b\"]",
                                     "soundings[1].gases=[co2]", "data=x"};
  walk_allocations(ctx, job_text, sets, 4, SKY_OK);
  walk_allocations(ctx,
                   "job: {name: a b, name: c}\ngird: 1\ngrid: {box: [1], cell: 1 lm}\n"
                   "vars: {a: b}\nperiod: {start: \"${x}\", end: 1}\n"
                   "inversions: [{gas: CO2, prior: z}, {gas: ch4, prior: \"${aa}\"}]\n"
                   "compare: *a\n",
                   sets, 4, SKY_E_JOB);
}

static void test_document_allocations(void **state) {
  sky_context *ctx = *state;
  char *(*const write[])(sky_context *) = {sky_schema_template, sky_schema_markdown};
  for (size_t k = 0; k < 2; k++) {
    char *whole = write[k](ctx);
    assert_non_null(whole);
    uint64_t nth = 1;
    for (char *text = NULL; text == NULL; nth++) {
      sky_memory_fail_at(ctx, nth);
      text = write[k](ctx);
      sky_memory_fail_at(ctx, 0);
      if (text == NULL) continue;
      assert_string_equal(text, whole);
      sky_free(text);
      break;
    }
    assert_true(nth > 50);
    sky_free(whole);
  }
}

/* The template with bytes changed, cut or doubled: never a crash, never another status. */
static void test_mutations(void **state) {
  sky_context *ctx = *state;
  char *text = sky_schema_template(ctx);
  const size_t n = strlen(text);
  char *copy = SKY_NEW(ctx, char, n + 1);
  static const char odd[] = "{}[]:,-#&*!|>'\"%@`\n\t ${}~0aZ\x80\xff";
  size_t faults = 0;
  for (uint64_t i = 0; i < 1500; i++) {
    memcpy(copy, text, n + 1);
    for (uint64_t k = 0; k < 1 + i % 4; k++) {
      const size_t at = (size_t)(sky_rng_uniform(7, i, 2 * k) * (double)n);
      copy[at] = odd[(size_t)(sky_rng_uniform(7, i, 2 * k + 1) * (double)(sizeof odd - 1))];
    }
    const size_t length = i % 5 == 0 ? (size_t)(sky_rng_uniform(9, i, 0) * (double)n) : n;
    sky_jobfile *job = NULL;
    const sky_status st = sky_jobfile_parse(ctx, "job.yaml", copy, length, NULL, 0, &job);
    assert_true(st == SKY_OK ? job != NULL : st == SKY_E_JOB && job == NULL);
    faults += st != SKY_OK;
    sky_jobfile_free(job);
  }
  assert_true(faults > 500 && faults < 1500);
  sky_free(copy);
  sky_free(text);
}

static void test_template(void **state) {
  sky_context *ctx = *state;
  char *text = sky_schema_template(ctx);
  sky_jobfile *job = NULL;
  assert_non_null(text);
  const sky_status st = parse(ctx, text, &job);
  if (st != SKY_OK) print_error("%s\n", sky_error(ctx));
  assert_int_equal(st, SKY_OK);
  for (const char *line = text; *line != '\0';) {
    const size_t n = strcspn(line, "\n");
    assert_true(n <= 100);
    line += n + 1;
  }
  sky_jobfile_free(job);
  sky_free(text);
}

/* Every row of the table has its parent, a default that passes its own check, and a sentence. */
static void test_table(void **state) {
  sky_context *ctx = *state;
  const sky_schema *schema = sky_schema_job();
  for (size_t i = 0; i < schema->n_keys; i++) {
    const sky_key *key = &schema->keys[i];
    size_t parents = sky_key_child(NULL, key) != NULL;
    for (size_t k = 0; k < schema->n_keys; k++) {
      if (sky_key_child(&schema->keys[k], key) == NULL) continue;
      assert_true(k < i);
      assert_true(schema->keys[k].type == SKY_KEY_MAP || schema->keys[k].type == SKY_KEY_MAPS);
      parents++;
    }
    for (size_t k = 0; k < i; k++)
      assert_string_not_equal(key->path, schema->keys[k].path);
    assert_int_equal(parents, 1);
    assert_true(key->min <= key->max);
    assert_true((key->unit != NULL) ==
                (key->type == SKY_KEY_CHOICE || key->type == SKY_KEY_QUANTITY));
    assert_int_equal(key->doc[strlen(key->doc) - 1], '.');
    const bool container = key->type == SKY_KEY_MAP || key->type == SKY_KEY_MAPS;
    assert_true(container || key->example != NULL);
    char *words = sky_key_describe(ctx, key);
    assert_non_null(words);
    sky_free(words);
  }
}

static void test_real_jobs(void **state) {
  sky_context *ctx = *state;
  static const char *const name[] = {"permian", "china", "harwell"};
  static const char *const sets[] = {"data=somewhere"};
  for (size_t i = 0; i < 3; i++) {
    char *path = sky_sprintf(ctx, SKYFLUX_SOURCE "/tests/real/%s.yaml", name[i]);
    sky_jobfile *job = NULL;
    const sky_status st = sky_jobfile_read(ctx, path, sets, 1, &job);
    if (st != SKY_OK) print_error("%s\n", sky_error(ctx));
    assert_int_equal(st, SKY_OK);
    assert_string_equal(sky_node_text(sky_jobfile_root(job), "job.name"), name[i]);
    assert_int_equal(sky_jobfile_inputs_exist(ctx, job), SKY_E_MISSING);
    assert_non_null(strstr(sky_error(ctx), "'somewhere/"));
    sky_jobfile_free(job);
    sky_free(path);
  }
  sky_jobfile *job = NULL;
  assert_int_equal(sky_jobfile_read(ctx, "no/such/job.yaml", NULL, 0, &job), SKY_E_MISSING);
  assert_null(job);
  assert_non_null(strstr(sky_error(ctx), "no/such/job.yaml"));
}

static void test_reference(void **state) {
  sky_context *ctx = *state;
  char *made = sky_schema_markdown(ctx), *kept = NULL;
  size_t length = 0;
  assert_int_equal(sky_file_read_text(ctx, SKYFLUX_SOURCE "/docs/job.md", &kept, &length), SKY_OK);
  if (strcmp(made, kept) != 0) {
    fail_msg("docs/job.md is not what the table says; make it with: skyflux list keys --markdown");
  }
  sky_free(made);
  sky_free(kept);
}

static void test_nearest(void **state) {
  (void)state;
  static const char *const words[] = {"period", "grid", "soundings", "id"};
  assert_string_equal(sky_text_nearest("peroid", words, 4), "period"); /* one swap */
  assert_string_equal(sky_text_nearest("gird", words, 4), "grid");
  assert_string_equal(sky_text_nearest("sounding", words, 4), "soundings");
  assert_string_equal(sky_text_nearest("idd", words, 4), "id");
  assert_null(sky_text_nearest("zones", words, 4));
  assert_null(sky_text_nearest("", words, 4));
  assert_null(sky_text_nearest("period", words, 0));
  char huge[5000];
  memset(huge, 'p', sizeof huge - 1);
  huge[sizeof huge - 1] = '\0';
  assert_null(sky_text_nearest(huge, words, 4));
}

static void test_text(void **state) {
  sky_context *ctx = *state;
  sky_text t = {.ctx = ctx};
  sky_text_json(&t, "a\"b\\c\n\x01 é");
  char *text = sky_text_take(&t);
  assert_string_equal(text, "\"a\\\"b\\\\c\\u000a\\u0001 é\"");
  sky_free(text);
  char *empty = sky_text_take(&t);
  assert_string_equal(empty, "");
  sky_free(empty);
  sky_text_printf(&t, "%1000d", 7); /* longer than the buffer on the stack */
  assert_int_equal(t.length, 1000);
  sky_memory_fail_at(ctx, 1);
  sky_text_printf(&t, "%5000d", 7);
  sky_memory_fail_at(ctx, 0);
  sky_text_put(&t, "more");
  assert_null(sky_text_take(&t));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_getters),     TEST(test_defaults),
      TEST(test_where),       TEST(test_canonical),
      TEST(test_bytes),       TEST(test_deep),
      TEST(test_growth),      TEST(test_many_faults),
      TEST(test_allocations), TEST(test_document_allocations),
      TEST(test_mutations),   TEST(test_template),
      TEST(test_table),       TEST(test_real_jobs),
      TEST(test_reference),   TEST(test_nearest),
      TEST(test_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
