/* facts.h: what a stage found out, for run.json, the report and later stages.
 *
 * A stage writes one facts file (JSON): "facts", sentences by section (inputs, audit, diagnostics,
 * sources, warnings), and "numbers", a flat map. Both are deterministic. */
#ifndef SKY_JOB_FACTS_H
#define SKY_JOB_FACTS_H

#include <cjson/cJSON.h>

#include "src/job/job.h"

typedef struct sky_facts {
  sky_context *ctx;
  cJSON *root; /* NULL after a failed allocation; write reports it */
} sky_facts;

SKY_NODISCARD sky_status sky_facts_create(sky_context *ctx, sky_facts *f);
void sky_facts_free(sky_facts *f);
void sky_fact(sky_facts *f, const char *section, const char *label, const char *fmt, ...)
    SKY_PRINTF(4, 5);
void sky_fact_number(sky_facts *f, const char *key, double value);
void sky_fact_text(sky_facts *f, const char *key, const char *value);
SKY_NODISCARD sky_status sky_facts_write(sky_facts *f, const sky_job *job, const char *stage);
SKY_NODISCARD sky_status sky_facts_read(sky_context *ctx, const sky_job *job, const char *stage,
                                        sky_facts *f);
double sky_facts_number(const sky_facts *f, const char *key);    /* NaN if absent */
const char *sky_facts_text(const sky_facts *f, const char *key); /* NULL if absent */

#endif
