/* account_table.h: an account as CSV: one line a row of activity, in t of its gas, then the totals.
 */
#ifndef SKY_WRITE_ACCOUNT_TABLE_H
#define SKY_WRITE_ACCOUNT_TABLE_H

#include "algorithms/inventory/account.h"

typedef struct sky_account_part { /* one table of activity, accounted */
  const char *file;               /* name for the column `file` and for reasons */
  const sky_account *account;
  const sky_activity *rows;
} sky_account_part;

/* totals: the rows stand behind columns `record` (row, total) and `file`, and each part's totals
 * follow its rows. */
SKY_NODISCARD sky_status sky_account_table_write(sky_context *ctx, const char *path, int year,
                                                 const sky_account_part *part, size_t n,
                                                 bool totals);

#define SKY_ACCOUNT_FLAGS 80
/* "F-COVER F-TD" */
void sky_account_flags(unsigned flags, char out[SKY_ACCOUNT_FLAGS]);
const char *sky_account_scope(sky_scope s); /* "S1", "S2" */
/* Why a total is missing; "" if it is not. malloc'd. */
char *sky_account_reason(sky_context *ctx, const sky_account_total *t, const sky_activity *rows,
                         const char *file);

#endif
