/* job_account.c: the account of a job's table of activity (job_account.h, docs/account.md). */
#include "src/job/job_account.h"

#include <string.h>

#include "src/core/memory.h"
#include "src/core/text.h"

void sky_job_account_free(sky_job_account *a) {
  sky_account_free(&a->account);
  sky_factors_free(a->factors);
  sky_free(a->allow);
  sky_table_free(a->own);
  sky_activity_free(&a->activity);
  memset(a, 0, sizeof *a);
}

static sky_grid_level level_of(const char *electricity) {
  static const char *const LEVEL[] = {"national", "regional", "provincial"};
  for (int i = 0; electricity != NULL && i < 3; i++)
    if (strcmp(electricity, LEVEL[i]) == 0) return (sky_grid_level)(SKY_GRID_NATIONAL + i);
  return SKY_GRID_UNSET;
}

static sky_status make_factors(sky_context *ctx, const sky_node *node, sky_job_account *a) {
  const sky_node *allow = sky_node_get(node, "allow_unverified");
  const char *own = sky_node_text(node, "factors"), *carbon = sky_node_text(node, "carbon");
  sky_factor_rules rules = {.year = (int)sky_node_integer(node, "year", 0),
                            .grid = level_of(sky_node_text(node, "electricity")),
                            .grid_region = sky_node_text(node, "region"),
                            .carbon = strcmp(carbon, "tce") == 0 ? SKY_CARBON_TCE : SKY_CARBON_HEAT,
                            .coal_edition = sky_node_text(node, "coal_edition"),
                            .carbon_edition = sky_node_text(node, "carbon_edition"),
                            .n_allow = sky_node_count(allow),
                            .factor_sd = sky_node_number(node, "factor_sd")};
  a->allow = SKY_NEW(ctx, const char *, rules.n_allow);
  if (a->allow == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < rules.n_allow; i++)
    a->allow[i] = sky_node_text(sky_node_item(allow, i), "");
  rules.allow = a->allow;
  if (own != NULL) SKY_TRY(sky_table_read(ctx, own, &a->own));
  return sky_factors_create(ctx, &rules, a->own, own, &a->factors);
}

static const sky_zone *zone_of(const sky_zones *zones, const char *id) {
  for (size_t z = 0; z < zones->n; z++)
    if (strcmp(zones->zone[z].id, id) == 0) return &zones->zone[z];
  return NULL;
}

static sky_status check_regions(sky_context *ctx, const sky_zones *zones,
                                const sky_job_account *a) {
  for (size_t i = 0; i < a->activity.n; i++) {
    const sky_activity *row = &a->activity.row[i];
    if (zone_of(zones, row->region) != NULL) continue;
    sky_text list = {.ctx = ctx};
    for (size_t z = 0; z < zones->n; z++)
      sky_text_printf(&list, "%s%s", z > 0 ? ", " : "", zones->zone[z].id);
    char *ids = sky_text_take(&list);
    if (ids == NULL) return SKY_E_NOMEM;
    const sky_status st =
        sky_fail(ctx, SKY_E_RANGE, "%s:%d: region: no zone has the id '%s' (zones: %s)", a->path,
                 row->line, row->region, ids);
    sky_free(ids);
    return st;
  }
  return SKY_OK;
}

sky_status sky_job_account_open(sky_context *ctx, const sky_job *job, const char *path,
                                const sky_zones *zones, sky_job_account *out) {
  sky_status st = SKY_OK;
  *out = (sky_job_account){.path = path};
  SKY_GO(sky_activity_read(ctx, path, &out->activity));
  SKY_GO(check_regions(ctx, zones, out));
  SKY_GO(make_factors(ctx, sky_node_get(job->root, "account"), out));
  SKY_GO(
      sky_account_run(ctx, out->factors, path, out->activity.n, out->activity.row, &out->account));
cleanup:
  if (st != SKY_OK) sky_job_account_free(out);
  return st;
}
