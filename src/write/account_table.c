/* account_table.c: see account_table.h. */
#include "src/write/account_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/text.h"
#include "src/write/json_out.h"

#define TONNE 1e3

const char *sky_account_scope(sky_scope s) {
  return s == SKY_SCOPE_1 ? "S1" : "S2";
}

void sky_account_flags(unsigned flags, char out[SKY_ACCOUNT_FLAGS]) {
  size_t n = 0;
  out[0] = '\0';
  for (unsigned b = 0; b < SKY_N_FLAGS; b++) {
    if (flags >> b & 1u)
      n += (size_t)snprintf(out + n, SKY_ACCOUNT_FLAGS - n, "%s%s", n > 0 ? " " : "",
                            sky_account_flag(b));
  }
}

char *sky_account_reason(sky_context *ctx, const sky_account_total *t, const sky_activity *rows,
                         const char *file) {
  if (t->n_lines == 0) return sky_sprintf(ctx, "no row of this scope");
  if (t->n_missing == 0) return sky_sprintf(ctx, "%s", "");
  const sky_activity *r = &rows[t->first_missing];
  return sky_sprintf(ctx, "%zu of %zu rows missing; %s:%d: %s", t->n_missing, t->n_lines, file,
                     r->line, r->missing);
}

static void put_cell(sky_text *t, const char *text) {
  const bool quote = strpbrk(text, ",\"\r\n") != NULL;
  if (quote) sky_text_put(t, "\"");
  for (; *text != '\0'; text++) {
    if (*text == '"') sky_text_put(t, "\"");
    sky_text_add(t, text, 1);
  }
  sky_text_put(t, quote ? "\"," : ",");
}

static void put_number(sky_text *t, double v) {
  char text[32] = "";
  if (!isnan(v)) sky_number_text(v, text);
  put_cell(t, text);
}

static void put_row_name(sky_text *t, const sky_factor_row *r) {
  if (r->table != NULL) sky_text_printf(t, "%s:%s:%s", r->table, r->key, r->edition);
  sky_text_put(t, ",");
}

static void end_line(sky_text *t) {
  if (!t->failed) t->data[t->length - 1] = '\n'; /* the comma behind the last cell */
}

static void put_line(sky_text *t, int year, const sky_account_line *l, const sky_activity *r) {
  char flags[SKY_ACCOUNT_FLAGS];
  put_cell(t, r->region);
  put_number(t, year);
  put_cell(t, r->sector);
  put_cell(t, r->fuel);
  put_cell(t, sky_gas_id(l->factor.gas));
  put_cell(t, sky_account_scope(l->factor.scope));
  put_number(t, r->amount);
  put_cell(t, r->unit);
  put_number(t, l->emission / TONNE);
  put_number(t, l->sd / TONNE);
  put_cell(t, l->factor.method);
  put_row_name(t, &l->factor.c_row);
  put_row_name(t, &l->factor.k_row);
  sky_account_flags(l->flags, flags);
  put_cell(t, flags);
  put_cell(t, r->missing != NULL ? r->missing : "");
  put_cell(t, r->source);
  end_line(t);
}

static sky_status put_total(sky_context *ctx, sky_text *t, int year, const sky_account_total *s,
                            const sky_account_part *p) {
  char flags[SKY_ACCOUNT_FLAGS];
  char *why = sky_account_reason(ctx, s, p->rows, p->file);
  if (why == NULL) return SKY_E_NOMEM;
  put_cell(t, s->region);
  put_number(t, year);
  sky_text_put(t, ",,"); /* sector, fuel */
  put_cell(t, sky_gas_id(s->gas));
  put_cell(t, sky_account_scope(s->scope));
  sky_text_put(t, ",,"); /* amount, unit */
  put_number(t, s->emission / TONNE);
  put_number(t, s->n_lines > 0 ? s->sd / TONNE : NAN);
  sky_text_put(t, ",,,"); /* method, rows of tables */
  sky_account_flags(s->flags, flags);
  put_cell(t, flags);
  put_cell(t, why);
  put_cell(t, "");
  end_line(t);
  sky_free(why);
  return SKY_OK;
}

sky_status sky_account_table_write(sky_context *ctx, const char *path, int year,
                                   const sky_account_part *part, size_t n, bool totals) {
  sky_text t = {.ctx = ctx};
  sky_status st = SKY_OK;
  char *text = NULL;
  sky_text_printf(&t,
                  "%sregion,period,sector,fuel,gas,scope,amount,unit,emission_t,sd_t,method,"
                  "factor_row,coal_row,flags,reason,source\n",
                  totals ? "record,file," : "");
  for (size_t k = 0; k < n; k++) {
    const sky_account *a = part[k].account;
    for (size_t i = 0; i < a->n_lines; i++) {
      if (totals) sky_text_put(&t, "row,");
      if (totals) put_cell(&t, part[k].file);
      put_line(&t, year, &a->line[i], &part[k].rows[i]);
    }
    for (size_t i = 0; totals && i < a->n_totals; i++) {
      sky_text_put(&t, "total,");
      put_cell(&t, part[k].file);
      SKY_GO(put_total(ctx, &t, year, &a->total[i], &part[k]));
    }
  }
  const size_t length = t.length;
  SKY_GO_ALLOC(text, sky_text_take(&t));
  SKY_GO(sky_file_write_text(ctx, path, text, length));
cleanup:
  sky_free(text);
  sky_text_free(&t);
  return st;
}
