/* plan_gas.h: the part of a plan that belongs to one gas; for plan.c only. */
#ifndef SKY_JOB_PLAN_GAS_H
#define SKY_JOB_PLAN_GAS_H

#include <cjson/cJSON.h>

#include "src/job/stage.h"

typedef enum sky_plan_state {
  SKY_PLAN_LATER = 0, /* to run; the plan does not need it */
  SKY_PLAN_UP_TO_DATE,
  SKY_PLAN_MADE, /* to run; made in scratch */
  SKY_PLAN_FAILS,
  SKY_PLAN_BLOCKED /* needs one that fails */
} sky_plan_state;

typedef struct sky_planned { /* one stage of the list */
  sky_plan_state state;
  double seconds;
  sky_status status; /* of a stage that fails, with its message */
  char *reason;
} sky_planned;

double sky_plan_input_bytes(const sky_stage *stage);

/* Appends to gases: inputs and counts, and, where the job inverts the gas, problem size, DOFS and
 * zones, or "failed". scratch: the job whose folder holds the stages made; NULL: inputs only. */
SKY_NODISCARD sky_status sky_plan_gas(sky_context *ctx, const sky_job *scratch,
                                      const sky_stage_list *list, const sky_planned *plan,
                                      const char *gas, const sky_zones *zones, cJSON *gases);

#endif
