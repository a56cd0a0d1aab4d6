/* sectors.c: see sectors.h. */
#include "src/job/sectors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/job/job_flux.h"
#include "src/read/activity.h"

size_t sky_sectors_count(const sky_node *inversion) {
  return inversion == NULL ? 0 : sky_node_count(sky_node_get(inversion, "sectors"));
}

static const sky_node *item_of(const sky_node *inversion, size_t l) {
  return sky_node_item(sky_node_get(inversion, "sectors"), l);
}

double sky_sector_number(const sky_node *inversion, size_t l, const char *key) {
  if (l < sky_sectors_count(inversion)) {
    const double own = sky_node_number(item_of(inversion, l), key);
    if (!isnan(own)) return own;
  }
  return sky_node_number(inversion, key);
}

bool sky_sectors_own(const sky_node *inversion) {
  const size_t n = sky_sectors_count(inversion);
  bool own = isnan(sky_node_number(inversion, "sigma"));
  for (size_t l = 0; l < n; l++)
    own &= isnan(sky_sector_number(inversion, l, "sigma"));
  return own;
}

void sky_sectors_mixing(const sky_node *inversion, double *M) {
  const sky_node *list = sky_node_get(inversion, "mixing");
  const size_t n = sky_sectors_count(inversion);
  for (size_t i = 0; i < n * n; i++)
    M[i] = i % (n + 1) == 0;
  for (size_t k = 0; k < sky_node_count(list); k++) {
    const sky_node *pair = sky_node_item(list, k), *both = sky_node_get(pair, "sectors");
    size_t at[2] = {0, 0}; /* both names are there: checked with the job file */
    for (size_t i = 0; i < 2; i++)
      while (strcmp(sky_node_text(item_of(inversion, at[i]), "name"),
                    sky_node_text(sky_node_item(both, i), NULL)) != 0)
        at[i]++;
    M[at[0] * n + at[1]] = M[at[1] * n + at[0]] = sky_node_number(pair, "correlation");
  }
}

char *sky_sector_layer(sky_context *ctx, const char *inventory, const char *sector) {
  return sky_sprintf(ctx, "%s+%s", inventory, sector);
}

void sky_sectors_free(sky_sectors *s) {
  if (s == NULL) return;
  for (size_t i = 0; s->given != NULL && i < s->n_given; i++)
    sky_free(s->given[i]);
  sky_free(s->given);
  sky_free(s->of);
  memset(s, 0, sizeof *s);
}

size_t sky_sectors_find(const sky_sectors *s, const char *given) {
  for (size_t i = 0; i < s->n_given; i++)
    if (strcmp(s->given[i], given) == 0) return s->of[i];
  return SKY_SECTORS_MOST;
}

/* ---- names of the inventory ----------------------------------------------------------------- */

static sky_status activity_names(sky_context *ctx, const char *path, sky_sectors *s) {
  sky_activity_file f = {0};
  sky_status st = SKY_OK;
  SKY_GO(sky_activity_read(ctx, path, &f));
  SKY_GO_ALLOC(s->given, SKY_NEW0(ctx, char *, f.n));
  for (size_t i = 0; i < f.n; i++) {
    bool seen = false;
    for (size_t k = 0; k < s->n_given && !seen; k++)
      seen = strcmp(s->given[k], f.row[i].sector) == 0;
    if (seen) continue;
    SKY_GO_ALLOC(s->given[s->n_given], sky_strdup(ctx, f.row[i].sector));
    s->n_given++;
  }
cleanup:
  sky_activity_free(&f);
  return st;
}

static sky_status names_of(sky_context *ctx, const sky_job *job, const char *inventory,
                           sky_sectors *s) {
  const sky_node *node = sky_job_find(job, "inventories", "id", inventory);
  const char *file = sky_node_text(node, "file");
  if (sky_job_inventory_format(node) == SKY_INVENTORY_ACTIVITY) return activity_names(ctx, file, s);
  const sky_flux_options opt = {.gas = sky_node_text(node, "gas"),
                                .variable = sky_node_text(node, "variable")};
  return sky_flux_names(ctx, file, &opt, &s->given, &s->n_given);
}

/* ---- who takes what ------------------------------------------------------------------------- */

static sky_status complain(sky_context *ctx, const sky_job *job, const sky_node *at,
                           const sky_sectors *s, const char *what) {
  char *where = sky_node_where(ctx, job->file, at), *list = sky_sprintf(ctx, "%s", "");
  for (size_t i = 0; list != NULL && i < s->n_given; i++) {
    char *more = sky_sprintf(ctx, "%s%s%s", list, i > 0 ? ", " : "", s->given[i]);
    sky_free(list);
    list = more;
  }
  const sky_status st = list == NULL ? SKY_E_NOMEM
                                     : sky_fail(ctx, SKY_E_JOB,
                                                "%s%s (the inventory has %s; '" SKY_SECTORS_REST
                                                "' is all that no sector names)",
                                                where != NULL ? where : "", what, list);
  sky_free(where);
  sky_free(list);
  return st;
}

static sky_status take(sky_context *ctx, const sky_job *job, const sky_node *at, size_t l,
                       sky_sectors *s) {
  const char *name = sky_node_text(at, NULL);
  char what[256];
  size_t i = 0;
  while (i < s->n_given && strcmp(s->given[i], name) != 0)
    i++;
  if (i == s->n_given) {
    snprintf(what, sizeof what, "the prior has no sector '%.80s'", name);
    return complain(ctx, job, at, s, what);
  }
  if (s->of[i] != SKY_SECTORS_MOST) {
    snprintf(what, sizeof what, "'%.80s' is in sector '%s' already", name, s->name[s->of[i]]);
    return complain(ctx, job, at, s, what);
  }
  s->of[i] = l;
  return SKY_OK;
}

static sky_status assign(sky_context *ctx, const sky_job *job, const sky_node *inversion,
                         sky_sectors *s) {
  const sky_node *rest = NULL;
  size_t rest_of = 0, left = 0;
  char what[256];
  for (size_t l = 0; l < s->n; l++) {
    const sky_node *of = sky_node_get(item_of(inversion, l), "of");
    for (size_t k = 0; k < sky_node_count(of); k++) {
      const sky_node *at = sky_node_item(of, k);
      if (strcmp(sky_node_text(at, NULL), SKY_SECTORS_REST) != 0) {
        SKY_TRY(take(ctx, job, at, l, s));
      } else {
        rest = at; /* once: checked with the job file */
        rest_of = l;
      }
    }
  }
  for (size_t i = 0; i < s->n_given; i++) {
    if (s->of[i] != SKY_SECTORS_MOST) continue;
    if (rest == NULL) {
      snprintf(what, sizeof what, "no sector takes '%.80s' of the prior", s->given[i]);
      return complain(ctx, job, sky_node_get(inversion, "sectors"), s, what);
    }
    s->of[i] = rest_of;
    left++;
  }
  if (rest == NULL || left > 0) return SKY_OK;
  return complain(ctx, job, rest, s, "nothing is left for '" SKY_SECTORS_REST "'");
}

sky_status sky_sectors_open(sky_context *ctx, const sky_job *job, const char *inventory,
                            sky_sectors *out) {
  const sky_node *inversion = sky_job_find(job, "inversions", "prior", inventory);
  const size_t n = sky_sectors_count(inversion);
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  if (n == 0) return SKY_OK;
  SKY_GO(names_of(ctx, job, inventory, out));
  if (out->n_given < 2) {
    st = complain(ctx, job, sky_node_get(inversion, "sectors"), out,
                  "the prior cannot tell sectors apart");
    goto cleanup;
  }
  SKY_GO_ALLOC(out->of, SKY_NEW(ctx, size_t, out->n_given));
  for (size_t i = 0; i < out->n_given; i++)
    out->of[i] = SKY_SECTORS_MOST;
  out->n = n;
  for (size_t l = 0; l < n; l++)
    out->name[l] = sky_node_text(item_of(inversion, l), "name");
  SKY_GO(assign(ctx, job, inversion, out));
cleanup:
  if (st != SKY_OK) sky_sectors_free(out);
  return st;
}
