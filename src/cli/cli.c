/* cli.c: options that every command has, and --help, from the command's own table. */
#include "src/cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/values.h"
#include "src/core/memory.h"
#include "src/core/text.h"

static const sky_cli_option common_options[] = {
    {"threads", 0, "N", "worker threads (default: all cores)"},
    {"memory", 0, "SIZE", "memory budget, e.g. 4G (default: half of the machine's)"},
    {"progress", 0, "MODE", "auto, plain, json or none"},
    {"quiet", 'q', NULL, "warnings and errors only"},
    {"verbose", 'v', NULL, "tell every step"},
    {"log-file", 0, "FILE", "also write the log to FILE"},
    {"json", 0, NULL, "print the result as JSON"},
    {"help", 'h', NULL, "this text"},
    {NULL, 0, NULL, NULL}};

#define OPTIONS_MAX 96
#define OPTION_BASE 1000 /* getopt_long's values; letters stay below */
#define HELP_COLUMN 24

typedef struct option_set {
  const sky_cli_option *option[OPTIONS_MAX]; /* of the command first */
  size_t n, n_own;
  struct option longs[OPTIONS_MAX + 1];
  char letters[3 * OPTIONS_MAX + 2];
} option_set;

static void add_options(option_set *s, const sky_cli_option *table) {
  for (; table != NULL && table->name != NULL && s->n < OPTIONS_MAX; table++) {
    if (*table->name == '\0') continue; /* a heading of the help */
    s->longs[s->n] =
        (struct option){table->name, table->arg == NULL ? no_argument : required_argument, NULL,
                        OPTION_BASE + (int)s->n};
    if (table->letter != 0) {
      const size_t n = strlen(s->letters);
      snprintf(s->letters + n, sizeof s->letters - n, "%c%s", table->letter,
               table->arg == NULL ? "" : ":");
    }
    s->option[s->n++] = table;
  }
}

/* ---- help ---- */

static void print_option(const sky_cli_option *o) {
  char left[64], letter[8] = "    ";
  if (o->letter != 0) snprintf(letter, sizeof letter, "-%c, ", o->letter);
  const int n = snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name,
                         o->arg == NULL ? "" : " ", o->arg == NULL ? "" : o->arg);
  if (n > HELP_COLUMN) {
    printf("%s\n%*s  %s\n", left, HELP_COLUMN, "", o->help);
  } else {
    printf("%-*s  %s\n", HELP_COLUMN, left, o->help);
  }
}

static void print_help(const sky_cli_spec *spec, const option_set *s) {
  printf("skyflux %s: %s\n\nusage: skyflux %s %s\n\n", spec->name, spec->summary, spec->name,
         spec->usage);
  for (const sky_cli_option *o = spec->options; o != NULL && o->name != NULL; o++) {
    if (*o->name != '\0')
      print_option(o);
    else
      printf("%s%s:\n", o == spec->options ? "" : "\n", o->help);
  }
  if (s->n_own > 0) printf("\n");
  for (size_t i = s->n_own; i < s->n; i++)
    print_option(s->option[i]);
  printf("\nexample:\n  %s\n", spec->example);
}

/* ---- log ---- */

/* To the file and to stderr: a file does not silence the terminal. */
static void log_to_file(void *user, sky_log_level level, const char *line) {
  static const char *const name[] = {"error", "warning", "info", "debug"};
  FILE *file = user;
  fprintf(file, "%s: %s\n", name[level], line);
  fprintf(stderr, "%s: %s\n", name[level], line);
}

/* The file stays open until the process ends: the context logs into it as long as it lives. */
static sky_status open_log(sky_context *ctx, const char *path, FILE **file) {
  *file = fopen(path, "a");
  if (*file == NULL) {
    return sky_fail(ctx, SKY_E_DISK, "--log-file: %s: %s", path, strerror(errno));
  }
  setvbuf(*file, NULL, _IOLBF, 0);
  return SKY_OK;
}

static sky_status set_threads(sky_context *ctx, const char *text) {
  char *end = NULL;
  const long n = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || n < 1 || n > 4096) {
    return sky_fail(ctx, SKY_E_USAGE, "--threads: '%s' is not a number from 1 to 4096", text);
  }
  sky_context_set_threads(ctx, (int)n);
  return SKY_OK;
}

static sky_status set_progress(sky_context *ctx, const char *text) {
  static const char *const mode[] = {"auto", "plain", "json", "none"};
  int i;
  SKY_TRY(sky_cli_word(ctx, "progress", text, mode, 4, &i));
  sky_context_set_progress(ctx, (sky_progress_mode)i);
  return SKY_OK;
}

/* ---- parsing ---- */

typedef struct parse_state {
  sky_context *ctx;
  const sky_cli_spec *spec;
  sky_cli_common *common;
  sky_log_level level;
  FILE *log;
  bool quiet, shown; /* -q; --progress was given */
} parse_state;

static sky_status common_option(parse_state *p, const char *name, const char *value) {
  if (strcmp(name, "threads") == 0) return set_threads(p->ctx, value);
  if (strcmp(name, "progress") == 0) {
    p->shown = true;
    return set_progress(p->ctx, value);
  }
  if (strcmp(name, "log-file") == 0) {
    p->common->log_file = value;
    return open_log(p->ctx, value, &p->log);
  }
  if (strcmp(name, "memory") == 0) {
    size_t bytes = 0;
    const sky_status st = sky_cli_size(p->ctx, value, &bytes);
    if (st != SKY_OK) return sky_fail_in(p->ctx, st, "--memory: ");
    sky_context_set_memory(p->ctx, bytes);
  } else if (strcmp(name, "quiet") == 0) {
    p->level = SKY_LOG_WARN;
    p->quiet = true;
  } else if (strcmp(name, "verbose") == 0) {
    p->level = SKY_LOG_DEBUG;
  } else if (strcmp(name, "json") == 0) {
    p->common->json = true;
  } else {
    p->common->help_shown = true;
  }
  return SKY_OK;
}

static sky_status unknown_option(parse_state *p, const option_set *s, const char *word) {
  const char *names[OPTIONS_MAX];
  char bare[64] = "";
  for (size_t i = 0; i < s->n; i++)
    names[i] = s->option[i]->name;
  if (strncmp(word, "--", 2) == 0) {
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word + 2, "="), word + 2);
  }
  for (size_t i = 0; i < s->n; i++) { /* known, so its argument is what getopt did not like */
    if (strcmp(bare, names[i]) == 0) {
      return sky_fail(p->ctx, SKY_E_USAGE, "%s: option '--%s' takes no value", p->spec->name, bare);
    }
  }
  const char *near = sky_text_nearest(bare, names, s->n);
  if (near != NULL) {
    return sky_fail(p->ctx, SKY_E_USAGE, "%s: unknown option '%s'; did you mean '--%s'?",
                    p->spec->name, word, near);
  }
  return sky_fail(p->ctx, SKY_E_USAGE, "%s: unknown option '%s' (see skyflux %s --help)",
                  p->spec->name, word, p->spec->name);
}

/* Index of the option that getopt_long returned, by long value or letter; s->n if none. */
static size_t option_index(const option_set *s, int c) {
  if (c >= OPTION_BASE) return (size_t)(c - OPTION_BASE);
  size_t i = 0;
  while (i < s->n && (s->option[i]->letter == 0 || s->option[i]->letter != c))
    i++;
  return i;
}

sky_status sky_cli_parse(sky_context *ctx, const sky_cli_spec *spec, int argc, char **argv,
                         sky_cli_handler handler, void *user, sky_cli_common *common) {
  option_set s = {.letters = ":"}; /* ':' tells a missing argument from an unknown option */
  parse_state p = {.ctx = ctx, .spec = spec, .common = common, .level = SKY_LOG_INFO};
  *common = (sky_cli_common){0};
  add_options(&s, spec->options);
  s.n_own = s.n;
  add_options(&s, common_options);
  optind = 0; /* glibc: start anew */
  opterr = 0;
  int c;
  while ((c = getopt_long(argc, argv, s.letters, s.longs, NULL)) != -1) {
    /* Of letters in a bunch ("-qx") getopt names the one it means. */
    const char letter[] = {'-', (char)optopt, '\0'};
    const bool bunch = c == '?' && optopt > 0 && optopt < OPTION_BASE;
    const char *word = bunch ? letter : argv[optind - 1];
    if (c == ':') {
      return sky_fail(ctx, SKY_E_USAGE, "%s: option '%s' needs a value", spec->name, word);
    }
    const size_t i = c == '?' ? s.n : option_index(&s, c);
    if (i == s.n) return unknown_option(&p, &s, word);
    if (i >= s.n_own) {
      SKY_TRY(common_option(&p, s.option[i]->name, optarg));
    } else {
      SKY_TRY(handler(ctx, user, s.option[i]->name, optarg));
    }
  }
  if (common->help_shown) {
    print_help(spec, &s);
    return SKY_OK;
  }
  if (p.quiet && !p.shown) sky_context_set_progress(ctx, SKY_PROGRESS_NONE);
  if (p.log != NULL || p.level != SKY_LOG_INFO) {
    sky_context_set_log(ctx, p.log != NULL ? log_to_file : NULL, p.log, p.level);
  }
  common->n_args = argc - optind;
  common->args = argv + optind;
  return SKY_OK;
}
