/* account.h: bottom-up accounting, K(E) = Σ E·k·c over rows of activity. Method: account.md.
 *
 * A row yields one gas; masses are kg of that gas, and gases are never added. Scope 1 (fuels,
 * processes: emitted in the region) and scope 2 (purchased power and heat: emitted elsewhere) are
 * kept apart in every total; there is no sum of both. A row without an amount is missing, never 0,
 * and so is the total that needs it. Activity errors are independent; the error of a factor is
 * shared by all rows that use it, so that the covariance of the totals is low rank + diagonal, and
 * exact: cov(a, b) = Σ_g shared[a,g] · shared[b,g] + [a = b] · own[a] */
#ifndef SKY_ALGORITHMS_ACCOUNT_H
#define SKY_ALGORITHMS_ACCOUNT_H

#include "algorithms/inventory/factors.h"

/* Flags: what a reader of a number must know; sky_account_flag names them. */
#define SKY_FLAG_COVER 0x1u   /* the region has rows of CO2 only: its CH4 and N2O are not covered */
#define SKY_FLAG_SCOPE 0x2u   /* the region has both scopes: adding them counts power twice */
#define SKY_FLAG_TD 0x4u      /* not emitted in the region: not comparable with a flux seen there */
#define SKY_FLAG_MISSING 0x8u /* a row is missing */
#define SKY_FLAG_UNVERIFIED 0x10u /* a factor is not verified */
#define SKY_N_FLAGS 5

const char *sky_account_flag(unsigned bit); /* bit 0..SKY_N_FLAGS-1: "F-COVER" … */

typedef struct sky_activity { /* one row; texts owned by whoever made it */
  const char *region, *sector, *fuel, *unit, *source;
  double amount;       /* in unit; NaN = missing */
  double sd;           /* relative, one standard deviation */
  const char *missing; /* reason if the amount is NaN */
  int line;            /* in its file */
} sky_activity;

#define SKY_LINE_SHARES 3 /* k, c, and the product of both errors */

typedef struct sky_account_line { /* one row of activity, accounted */
  sky_factor factor;
  double emission; /* kg of factor.gas; NaN = missing */
  double sd;       /* kg */
  double own_var;  /* part that no other row shares, kg² */
  size_t total;    /* index of its total */
  size_t group[SKY_LINE_SHARES];
  double share[SKY_LINE_SHARES]; /* relative sd by group; 0 where there is none */
  unsigned flags;
} sky_account_line;

typedef struct sky_account_total { /* one region, gas and scope */
  const char *region;
  sky_gas gas;
  sky_scope scope;
  double emission; /* kg; NaN = missing: a row is, or there is none */
  double known;    /* kg, sum of the rows that are not missing */
  double sd;       /* kg, of known */
  size_t n_lines, n_missing;
  size_t first_missing; /* index of a row, or SIZE_MAX */
  unsigned flags;
} sky_account_total;

typedef struct sky_account_group { /* rows of one factor; errors of c, or of k, or of k times c */
  sky_factor_row row, with;        /* with.table is NULL but for products */
  sky_gas gas;
} sky_account_group;

typedef struct sky_account {
  size_t n_lines, n_totals, n_groups;
  sky_account_line *line;   /* as the rows of activity */
  sky_account_total *total; /* by region in order of appearance: CO2 of scope 1 and 2, then CH4 and
                               N2O where there are rows (scope 1) */
  sky_account_group *group; /* in order of appearance */
  double *shared;           /* n_totals × n_groups, kg */
  double *own;              /* n_totals, kg² */
  sky_factor_row sd_row[SKY_N_GAS]; /* behind the sd of factors of a gas; table NULL: none */
} sky_account;

/* file: name for messages ("file:line: …"). Errors: unknown fuel or unit, amount < 0, sd outside
 * 0 to 1, two rows of one region, sector and fuel, a factor that is not there or not verified.
 * rows and f outlive the result. */
SKY_NODISCARD sky_status sky_account_run(sky_context *ctx, const sky_factors *f, const char *file,
                                         size_t n, const sky_activity *rows, sky_account *out);
void sky_account_free(sky_account *a);

/* Covariance of two totals (of what is known), kg². */
double sky_account_covariance(const sky_account *a, size_t i, size_t j);

/* Sum of totals of one gas and scope, from their rows, and its variance. *emission is NaN if one is
 * missing. SKY_E_USAGE if gases or scopes differ or a total comes twice. */
SKY_NODISCARD sky_status sky_account_sum(sky_context *ctx, const sky_account *a, size_t n,
                                         const size_t *total, double *emission, double *variance);

/* Index of the total of a region, gas and scope; SIZE_MAX if there is none. */
size_t sky_account_find(const sky_account *a, const char *region, sky_gas gas, sky_scope scope);
/* The i-th row of a table that the account used, that of one gas where has_gas; false past the
 * end. */
bool sky_account_used(const sky_account *a, bool has_gas, sky_gas gas, size_t i,
                      sky_factor_row *out);

#endif
