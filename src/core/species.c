/* species.c: the gases of ancillary/species.csv, parsed once from the embedded text.
 *
 * The table is part of the program: a fault in it is a defect of the build and ends the process. */
#include "src/core/species.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/table.h"

#define SPECIES_MAX 16

static struct {
  size_t n;
  sky_species row[SPECIES_MAX];
} species; /* constant once loaded */

static _Noreturn void defect(const char *what) {
  sky_log(NULL, SKY_LOG_ERROR, "species.csv: %s", what);
  abort();
}

static void load_text(const sky_table *t, size_t row, const char *header, char *out, size_t size) {
  const char *text = sky_table_cell(t, row, sky_table_find(t, header));
  if (*text == '\0' || strlen(text) >= size) defect(header);
  snprintf(out, size, "%s", text);
}

static double load_number(const sky_table *t, size_t row, const char *header) {
  double v;
  const size_t column = sky_table_find(t, header);
  if (sky_table_number(NULL, t, row, column, &v) != SKY_OK || !(v > 0)) defect(header);
  return v;
}

static void load(void) {
  sky_table *t;
  size_t length;
  const char *text = sky_embedded("species.csv", &length);
  if (text == NULL) defect("not embedded");
  if (sky_table_parse(NULL, "species.csv", text, length, &t) != SKY_OK) defect("not a table");
  species.n = sky_table_rows(t);
  if (species.n > SPECIES_MAX) defect("too many rows");
  for (size_t i = 0; i < species.n; i++) {
    sky_species *s = &species.row[i];
    load_text(t, i, "id", s->id, sizeof s->id);
    load_text(t, i, "formula", s->formula, sizeof s->formula);
    load_text(t, i, "long_name", s->long_name, sizeof s->long_name);
    load_text(t, i, "column_unit", s->column_unit, sizeof s->column_unit);
    load_text(t, i, "source", s->source, sizeof s->source);
    s->molar_mass = load_number(t, i, "molar_mass_kg_mol");
    s->column_min = load_number(t, i, "column_min");
    s->column_max = load_number(t, i, "column_max");
    s->column_scale = load_number(t, i, "column_scale");
  }
  sky_table_free(t);
}

static void load_once(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
}

size_t sky_species_count(void) {
  load_once();
  return species.n;
}

const sky_species *sky_species_at(size_t i) {
  load_once();
  return i < species.n ? &species.row[i] : NULL;
}

const sky_species *sky_species_find(const char *id) {
  load_once();
  for (size_t i = 0; i < species.n; i++) {
    if (strcmp(species.row[i].id, id) == 0) return &species.row[i];
  }
  return NULL;
}
