/* account.c: the accounting kernel (account.h, account.md). */
#include "algorithms/inventory/account.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

#define KG_PER_T 1e3

const char *sky_account_flag(unsigned bit) {
  static const char *const NAME[SKY_N_FLAGS] = {"F-COVER", "F-SCOPE", "F-TD", "F-MISSING",
                                                "F-UNVERIFIED"};
  return bit < SKY_N_FLAGS ? NAME[bit] : "";
}

/* ---- regions and duplicates ----------------------------------------------------------------- */

static int by_key(const void *pa, const void *pb, void *user) {
  const sky_activity *rows = user;
  const size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
  int order = strcmp(rows[a].region, rows[b].region);
  if (order == 0) order = strcmp(rows[a].sector, rows[b].sector);
  if (order == 0) order = strcmp(rows[a].fuel, rows[b].fuel);
  return order != 0 ? order : (a > b) - (a < b);
}

static int by_index(const void *pa, const void *pb) {
  const size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
  return (a > b) - (a < b);
}

static bool same_key(const sky_activity *a, const sky_activity *b) {
  return strcmp(a->region, b->region) == 0 && strcmp(a->sector, b->sector) == 0 &&
         strcmp(a->fuel, b->fuel) == 0;
}

/* order: rows by key. first[i]: the first row (by index) of the region of row i. */
static sky_status find_regions(sky_context *ctx, const char *file, size_t n,
                               const sky_activity *rows, size_t *order, size_t *first) {
  for (size_t i = 0; i < n; i++)
    order[i] = i;
  qsort_r(order, n, sizeof *order, by_key, (void *)rows);
  for (size_t i = 1; i < n; i++) {
    const sky_activity *a = &rows[order[i - 1]], *b = &rows[order[i]];
    if (same_key(a, b))
      return sky_fail(ctx, SKY_E_RANGE,
                      "%s:%d: region '%s', sector '%s', fuel '%s' stand on line %d already", file,
                      b->line, b->region, b->sector, b->fuel, a->line);
  }
  for (size_t i = 0; i < n;) {
    size_t end = i, lowest = order[i];
    for (; end < n && strcmp(rows[order[end]].region, rows[order[i]].region) == 0; end++)
      if (order[end] < lowest) lowest = order[end];
    for (; i < end; i++)
      first[order[i]] = lowest;
  }
  return SKY_OK;
}

/* ---- lines ---------------------------------------------------------------------------------- */

static sky_status check_row(sky_context *ctx, const sky_activity *r) {
  if (r->region[0] == '\0') return sky_fail(ctx, SKY_E_RANGE, "region: empty");
  if (!isnan(r->amount) && !(r->amount >= 0 && isfinite(r->amount)))
    return sky_fail(ctx, SKY_E_RANGE, "amount: %g is not a finite number >= 0", r->amount);
  if (!(r->sd >= 0 && r->sd <= 1))
    return sky_fail(ctx, SKY_E_RANGE, "sd_percent: %g is not from 0 to 100", 100 * r->sd);
  return SKY_OK;
}

/* Index of the group, appended if new; room for it is there. */
static size_t group_of(sky_account *a, sky_gas gas, const sky_factor_row *row,
                       const sky_factor_row *with) {
  for (size_t g = 0; g < a->n_groups; g++) {
    if (sky_factor_row_same(&a->group[g].row, row) && sky_factor_row_same(&a->group[g].with, with))
      return g;
  }
  a->group[a->n_groups] = (sky_account_group){*row, *with, gas};
  return a->n_groups++;
}

static sky_status grow_groups(sky_context *ctx, sky_account *a, size_t *capacity) {
  if (a->n_groups + SKY_LINE_SHARES <= *capacity) return SKY_OK;
  const size_t wanted = 2 * *capacity + 16;
  sky_account_group *grown = sky_realloc(ctx, a->group, a->n_groups, wanted, sizeof *grown);
  if (grown == NULL) return SKY_E_NOMEM;
  a->group = grown;
  *capacity = wanted;
  return SKY_OK;
}

/* Who shares the error of this line's factors. */
static void share_errors(sky_account *a, sky_account_line *l) {
  static const sky_factor_row none = {.table = NULL};
  const sky_factor *f = &l->factor;
  if (f->sd_row.table != NULL) a->sd_row[f->gas] = f->sd_row;
  l->group[0] = group_of(a, f->gas, &f->c_row, &none);
  l->share[0] = f->c_sd;
  l->group[1] = l->group[2] = l->group[0];
  if (f->k_row.table == NULL) return;
  l->group[1] = group_of(a, f->gas, &f->k_row, &none);
  l->share[1] = f->k_sd;
  if (f->k_sd == 0 || f->c_sd == 0) return;
  l->group[2] = group_of(a, f->gas, &f->k_row, &f->c_row);
  l->share[2] = f->k_sd * f->c_sd;
}

/* E k c, and the exact variance of the product of independent factors 1 + error:
 * own = K² s_E² (1 + s_k²)(1 + s_c²), the rest is shared. */
static void set_emission(const sky_activity *r, double scale, sky_account_line *l) {
  const sky_factor *f = &l->factor;
  const double known = (1 + f->k_sd * f->k_sd) * (1 + f->c_sd * f->c_sd);
  l->emission = l->sd = l->own_var = NAN;
  if (isnan(r->amount)) {
    l->flags |= SKY_FLAG_MISSING;
    return;
  }
  l->emission = r->amount * scale * f->k * f->c * KG_PER_T;
  const double square = l->emission * l->emission;
  l->own_var = square * r->sd * r->sd * known;
  l->sd = sqrt(l->own_var + square * (known - 1));
}

static sky_status account_line(sky_context *ctx, const sky_factors *f, const sky_activity *r,
                               sky_account *a, sky_account_line *l) {
  sky_measure measure = SKY_MEASURE_NONE;
  double scale = NAN;
  SKY_TRY(check_row(ctx, r));
  sky_status st = sky_factor_unit(ctx, r->unit, &measure, &scale);
  if (st == SKY_E_UNITS) return sky_fail_in(ctx, st, "unit: ");
  if (st != SKY_OK) return st;
  st = sky_factors_find(ctx, f, r->fuel, measure, r->region, &l->factor);
  if (st == SKY_E_UNITS) return sky_fail_in(ctx, st, "unit: '%s' ", r->unit);
  if (st != SKY_OK) return st;
  if (l->factor.scope == SKY_SCOPE_2) l->flags |= SKY_FLAG_TD;
  if (l->factor.c_row.allowed || l->factor.k_row.allowed) l->flags |= SKY_FLAG_UNVERIFIED;
  set_emission(r, scale, l);
  share_errors(a, l);
  return SKY_OK;
}

/* ---- totals --------------------------------------------------------------------------------- */

enum { IN_CO2_1, IN_CO2_2, IN_CH4, IN_N2O, N_KINDS }; /* totals of one region, in this order */

static int kind_of(const sky_account_line *l) {
  return l->factor.scope == SKY_SCOPE_2 ? IN_CO2_2
         : l->factor.gas == SKY_GAS_CO2 ? IN_CO2_1
         : l->factor.gas == SKY_GAS_CH4 ? IN_CH4
                                        : IN_N2O;
}

static void start_total(sky_account_total *t, const char *region, int kind, bool co2_only) {
  *t = (sky_account_total){
      .region = region,
      .gas = kind == IN_CH4   ? SKY_GAS_CH4
             : kind == IN_N2O ? SKY_GAS_N2O
                              : SKY_GAS_CO2,
      .scope = kind == IN_CO2_2 ? SKY_SCOPE_2 : SKY_SCOPE_1,
      .first_missing = SIZE_MAX,
      .flags = (co2_only ? SKY_FLAG_COVER : 0) | (kind == IN_CO2_2 ? SKY_FLAG_TD : 0)};
}

/* Totals by region in order of appearance, and the index of each line's. first: of find_regions. */
static sky_status make_totals(sky_context *ctx, const sky_activity *rows, const size_t *first,
                              sky_account *a) {
  unsigned *kinds = NULL; /* of the region whose first row this is */
  size_t *at = NULL;      /* its first total */
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(kinds, SKY_NEW0(ctx, unsigned, a->n_lines));
  SKY_GO_ALLOC(at, SKY_NEW(ctx, size_t, a->n_lines));
  for (size_t i = 0; i < a->n_lines; i++)
    kinds[first[i]] |= 1u << kind_of(&a->line[i]);
  for (size_t i = 0; i < a->n_lines; i++) {
    at[i] = a->n_totals;
    a->n_totals += first[i] != i ? 0 : 2 + (kinds[i] >> IN_CH4 & 1) + (kinds[i] >> IN_N2O & 1);
  }
  SKY_GO_ALLOC(a->total, SKY_NEW0(ctx, sky_account_total, a->n_totals));
  for (size_t i = 0; i < a->n_lines; i++) {
    sky_account_line *l = &a->line[i];
    const unsigned have = kinds[first[i]];
    const bool co2_only = (have >> IN_CH4) == 0;
    l->total = at[first[i]];
    for (int k = 0; k < kind_of(l); k++) /* the two of CO2 are always there */
      l->total += k < IN_CH4 || (have >> k & 1);
    if (co2_only) l->flags |= SKY_FLAG_COVER;
    for (size_t k = 0, t = at[i]; k < N_KINDS && first[i] == i; k++)
      if (k < IN_CH4 || (have >> k & 1))
        start_total(&a->total[t++], rows[i].region, (int)k, co2_only);
  }
cleanup:
  sky_free(kinds);
  sky_free(at);
  return st;
}

static void add_shares(const sky_account_line *l, double *shared) {
  for (size_t s = 0; s < SKY_LINE_SHARES; s++)
    shared[l->group[s]] += l->emission * l->share[s];
}

static double variance_of(const double *shared, size_t n, double own) {
  sky_acc sum = {own, 0};
  for (size_t g = 0; g < n; g++)
    sky_acc_add(&sum, shared[g] * shared[g]);
  return sky_acc_value(&sum);
}

static sky_status add_up(sky_context *ctx, sky_account *a) {
  sky_acc *sum = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(sum, SKY_NEW0(ctx, sky_acc, a->n_totals));
  SKY_GO_ALLOC(a->shared, SKY_NEW0(ctx, double, a->n_totals * a->n_groups));
  SKY_GO_ALLOC(a->own, SKY_NEW0(ctx, double, a->n_totals));
  for (size_t i = 0; i < a->n_lines; i++) {
    const sky_account_line *l = &a->line[i];
    sky_account_total *t = &a->total[l->total];
    t->n_lines++;
    t->flags |= l->flags;
    if (isnan(l->emission)) {
      if (t->n_missing++ == 0) t->first_missing = i;
      continue;
    }
    sky_acc_add(&sum[l->total], l->emission);
    a->own[l->total] += l->own_var;
    add_shares(l, &a->shared[l->total * a->n_groups]);
  }
  for (size_t i = 0; i < a->n_totals; i++) {
    sky_account_total *t = &a->total[i];
    t->known = sky_acc_value(&sum[i]);
    t->emission = t->n_lines == 0 || t->n_missing > 0 ? NAN : t->known;
    t->sd = sqrt(variance_of(&a->shared[i * a->n_groups], a->n_groups, a->own[i]));
    if (t->n_lines > 0 && t->scope == SKY_SCOPE_2 && t[-1].n_lines > 0) {
      t->flags |= SKY_FLAG_SCOPE; /* t[-1]: scope 1 of the same region */
      t[-1].flags |= SKY_FLAG_SCOPE;
    }
  }
cleanup:
  sky_free(sum);
  return st;
}

sky_status sky_account_run(sky_context *ctx, const sky_factors *f, const char *file, size_t n,
                           const sky_activity *rows, sky_account *out) {
  sky_status st = SKY_OK;
  size_t capacity = 0, *order = NULL, *first = NULL;
  *out = (sky_account){.n_lines = n};
  SKY_GO_ALLOC(order, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(first, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(out->line, SKY_NEW0(ctx, sky_account_line, n));
  SKY_GO(find_regions(ctx, file, n, rows, order, first));
  for (size_t i = 0; i < n; i++) {
    SKY_GO(grow_groups(ctx, out, &capacity));
    st = account_line(ctx, f, &rows[i], out, &out->line[i]);
    if (st == SKY_OK) continue;
    if (st != SKY_E_NOMEM) sky_fail_in(ctx, st, "%s:%d: ", file, rows[i].line);
    goto cleanup;
  }
  SKY_GO(make_totals(ctx, rows, first, out));
  SKY_GO(add_up(ctx, out));
cleanup:
  sky_free(order);
  sky_free(first);
  if (st != SKY_OK) sky_account_free(out);
  return st;
}

void sky_account_free(sky_account *a) {
  sky_free(a->line);
  sky_free(a->total);
  sky_free(a->group);
  sky_free(a->shared);
  sky_free(a->own);
  *a = (sky_account){0};
}

double sky_account_covariance(const sky_account *a, size_t i, size_t j) {
  const double *u = &a->shared[i * a->n_groups], *v = &a->shared[j * a->n_groups];
  sky_acc sum = {i == j ? a->own[i] : 0, 0};
  for (size_t g = 0; g < a->n_groups; g++)
    sky_acc_add(&sum, u[g] * v[g]);
  return sky_acc_value(&sum);
}

static sky_status check_sum(sky_context *ctx, const sky_account *a, size_t n, const size_t *total,
                            size_t *sorted) {
  for (size_t i = 0; i < n; i++) {
    if (total[i] < a->n_totals && a->total[total[i]].gas != a->total[total[0]].gas)
      return sky_fail(ctx, SKY_E_USAGE, "sum: totals of %s and %s are not added",
                      sky_gas_id(a->total[total[0]].gas), sky_gas_id(a->total[total[i]].gas));
    if (total[i] >= a->n_totals || a->total[total[i]].scope != a->total[total[0]].scope)
      return sky_fail(ctx, SKY_E_USAGE,
                      "sum: totals of scope 1 and scope 2 are not added: power would count twice");
    sorted[i] = total[i];
  }
  qsort(sorted, n, sizeof *sorted, by_index);
  for (size_t i = 1; i < n; i++) {
    if (sorted[i] == sorted[i - 1])
      return sky_fail(ctx, SKY_E_USAGE, "sum: '%s' comes twice", a->total[sorted[i]].region);
  }
  return SKY_OK;
}

sky_status sky_account_sum(sky_context *ctx, const sky_account *a, size_t n, const size_t *total,
                           double *emission, double *variance) {
  sky_status st = SKY_OK;
  size_t *sorted = NULL;
  double *shared = NULL, own = 0;
  bool missing = n == 0;
  sky_acc sum = {0, 0};
  SKY_GO_ALLOC(sorted, SKY_NEW(ctx, size_t, n));
  SKY_GO_ALLOC(shared, SKY_NEW0(ctx, double, a->n_groups));
  SKY_GO(check_sum(ctx, a, n, total, sorted));
  for (size_t i = 0; i < a->n_lines; i++) { /* from the rows: rounded once */
    const sky_account_line *l = &a->line[i];
    if (bsearch(&l->total, sorted, n, sizeof *sorted, by_index) == NULL || isnan(l->emission))
      continue;
    sky_acc_add(&sum, l->emission);
    own += l->own_var;
    add_shares(l, shared);
  }
  for (size_t i = 0; i < n; i++)
    missing = missing || isnan(a->total[total[i]].emission);
  *emission = missing ? NAN : sky_acc_value(&sum);
  *variance = missing ? NAN : variance_of(shared, a->n_groups, own);
cleanup:
  sky_free(sorted);
  sky_free(shared);
  return st;
}

size_t sky_account_find(const sky_account *a, const char *region, sky_gas gas, sky_scope scope) {
  for (size_t i = 0; i < a->n_totals; i++) {
    const sky_account_total *t = &a->total[i];
    if (t->gas == gas && t->scope == scope && strcmp(t->region, region) == 0) return i;
  }
  return SIZE_MAX;
}

bool sky_account_used(const sky_account *a, bool has_gas, sky_gas gas, size_t i,
                      sky_factor_row *out) {
  for (size_t g = 0; g < a->n_groups; g++) {
    if (a->group[g].with.table != NULL || (has_gas && a->group[g].gas != gas)) continue;
    *out = a->group[g].row;
    if (i-- == 0) return true;
  }
  for (int g = 0; g < SKY_N_GAS; g++) {
    if (a->sd_row[g].table == NULL || (has_gas && (sky_gas)g != gas)) continue;
    bool before = false; /* two gases may share it */
    for (int h = 0; h < g && !has_gas; h++)
      before = before || sky_factor_row_same(&a->sd_row[h], &a->sd_row[g]);
    if (before) continue;
    *out = a->sd_row[g];
    if (i-- == 0) return true;
  }
  return false;
}
