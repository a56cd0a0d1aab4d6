/* stage_account.c: account.csv, every row of the job's tables of activity with its emission,
 * factors and flags, then the totals by region, gas and scope. Each table once, however many
 * inventories (one a gas) are made of it. */
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/job/job_account.h"
#include "src/job/job_flux.h"
#include "src/job/stage.h"
#include "src/write/account_table.h"

/* A sector of account.proxies that no table names is a slip: its proxy would do nothing. */
static sky_status check_proxies(sky_context *ctx, const sky_job *job, const sky_job_account *a,
                                size_t n) {
  const sky_node *list = sky_node_get(job->root, "account.proxies");
  for (size_t p = 0; p < sky_node_count(list); p++) {
    const sky_node *item = sky_node_item(list, p);
    const char *sector = sky_node_text(item, "sector");
    bool found = false;
    for (size_t k = 0; k < n; k++)
      for (size_t i = 0; i < a[k].activity.n && !found; i++)
        found = strcmp(a[k].activity.row[i].sector, sector) == 0;
    if (found) continue;
    char *where = sky_node_where(ctx, job->file, sky_node_get(item, "sector"));
    const sky_status st = sky_fail(ctx, SKY_E_JOB, "%sno row of activity has the sector '%s'",
                                   where != NULL ? where : "", sector);
    sky_free(where);
    return st;
  }
  return SKY_OK;
}

static void record_missing(sky_facts *facts, const sky_job_account *a) {
  for (size_t i = 0; i < a->account.n_lines; i++) {
    const sky_activity *r = &a->activity.row[i];
    if (r->missing != NULL)
      sky_fact(facts, "warnings", sky_file_base(a->path), "line %d: %s, %s, %s: %s", r->line,
               r->region, r->sector, r->fuel, r->missing);
  }
}

static void record_totals(sky_facts *facts, const sky_job_account *a) {
  for (size_t i = 0; i < a->account.n_totals; i++) {
    const sky_account_total *t = &a->account.total[i];
    char key[192];
    if (t->n_lines == 0) continue;
    snprintf(key, sizeof key, "%s %s %s", t->region, sky_gas_id(t->gas),
             sky_account_scope(t->scope));
    sky_fact_number(facts, key, t->emission);
    if (t->scope == SKY_SCOPE_2)
      sky_fact(facts, "scope 2", t->region,
               "%.6g t/yr CO2 of purchased power and heat (sd %.3g), emitted elsewhere: beside the "
               "flux, never in it",
               t->known / 1e3, t->sd / 1e3);
  }
}

sky_status sky_stage_account(sky_context *ctx, const sky_job *job, const sky_stage *stage) {
  const sky_node *items = sky_node_get(job->root, "inventories");
  const size_t most = sky_node_count(items);
  const int year = (int)sky_node_integer(job->root, "account.year", 0);
  sky_job_account *a = NULL;
  sky_account_part *part = NULL;
  sky_mesh mesh = {0};
  sky_zones zones = {0};
  sky_coverage *cover = NULL;
  sky_facts facts = {0};
  char *path = NULL;
  size_t n = 0;
  sky_status st = SKY_OK;
  SKY_GO(sky_facts_create(ctx, &facts));
  SKY_GO(sky_job_mesh(ctx, job, &mesh));
  SKY_GO(sky_job_zones(ctx, job, &mesh, &zones, &cover));
  SKY_GO_ALLOC(a, SKY_NEW0(ctx, sky_job_account, most));
  SKY_GO_ALLOC(part, SKY_NEW0(ctx, sky_account_part, most));
  for (size_t i = 0; i < most; i++) {
    const sky_node *item = sky_node_item(items, i);
    const char *file = sky_node_text(item, "file");
    bool before = sky_job_inventory_format(item) != SKY_INVENTORY_ACTIVITY;
    for (size_t k = 0; k < n && !before; k++)
      before = sky_file_same(a[k].path, file);
    if (before) continue;
    SKY_GO(sky_job_account_open(ctx, job, file, &zones, &a[n]));
    part[n] = (sky_account_part){sky_file_base(file), &a[n].account, a[n].activity.row};
    record_missing(&facts, &a[n]);
    record_totals(&facts, &a[n++]);
  }
  SKY_GO(check_proxies(ctx, job, a, n));
  SKY_GO_ALLOC(path, sky_job_path(ctx, job, stage->outputs[1]));
  SKY_GO(sky_account_table_write(ctx, path, year, part, n, true));
  SKY_GO(sky_facts_write(&facts, job, stage->name));
cleanup:
  for (size_t k = 0; k < n; k++)
    sky_job_account_free(&a[k]);
  sky_free(a);
  sky_free(part);
  sky_job_coverage_free(cover, zones.n);
  sky_zones_free(&zones);
  sky_mesh_free(&mesh);
  sky_facts_free(&facts);
  sky_free(path);
  return st;
}
