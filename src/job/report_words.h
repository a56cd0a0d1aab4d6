/* report_words.h: what the numbers of a gas mean, in plain sentences. */
#ifndef SKY_JOB_REPORT_WORDS_H
#define SKY_JOB_REPORT_WORDS_H

#include "src/job/facts.h"
#include "src/write/report.h"

typedef struct sky_gas_facts {
  const char *gas;
  const sky_facts *soundings, *invert; /* NULL: the job has no such stage */
} sky_gas_facts;

/* The answer: the zone that holds the others, and the statuses. malloc'd. */
char *sky_words_headline(sky_context *ctx, const sky_report *r, const sky_gas_facts *gas);
/* Facts of section "how sure". */
void sky_words_diagnose(sky_facts *out, const sky_report *r, const sky_gas_facts *gas);
/* What the account says of each region, scopes apart: facts of section "Account". account: facts of
 * its stage. */
void sky_words_account(sky_facts *out, const sky_facts *account);

#endif
