/* gridder.c: see gridder.h, gridder.md. */
#include "algorithms/inventory/gridder.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/sum.h"

void sky_gridder_free(sky_gridder *g) {
  if (g == NULL) return;
  for (size_t b = 0; g->block != NULL && b < g->n_blocks; b++) {
    sky_free(g->block[b].share);
    sky_free(g->block[b].shared);
  }
  sky_free(g->block);
  sky_free(g->emission);
  sky_free(g->factor);
  sky_free(g->sign);
  sky_free(g->variance);
  memset(g, 0, sizeof *g);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static sky_status region_of(sky_context *ctx, const sky_gridder_task *t, const char *id,
                            size_t *out) {
  for (*out = 0; *out < t->n_regions; ++*out)
    if (strcmp(t->region[*out].id, id) == 0) return SKY_OK;
  return sky_fail(ctx, SKY_E_RANGE, "region: '%s' is not known", id);
}

/* The block of a row, made where it is the first. Room for one a row is there. */
static sky_status block_of(sky_context *ctx, const sky_gridder_task *t, const sky_activity *row,
                           sky_gridder *g, sky_block **out) {
  size_t region = 0;
  SKY_TRY(region_of(ctx, t, row->region, &region));
  for (size_t b = 0; b < g->n_blocks; b++) {
    *out = &g->block[b];
    if ((*out)->region == region && strcmp((*out)->sector, row->sector) == 0) return SKY_OK;
  }
  sky_block *b = *out = &g->block[g->n_blocks++];
  *b = (sky_block){.region = region, .sector = row->sector, .proxy = SIZE_MAX};
  for (size_t p = 0; p < t->n_proxies && b->proxy == SIZE_MAX; p++)
    if (strcmp(t->proxy[p].sector, row->sector) == 0) b->proxy = p;
  b->share = SKY_NEW0(ctx, double, t->region[region].n);
  b->shared = SKY_NEW0(ctx, double, g->n_groups);
  return b->share != NULL && b->shared != NULL ? SKY_OK : SKY_E_NOMEM;
}

static sky_status make_blocks(sky_context *ctx, const sky_gridder_task *t, sky_gridder *g) {
  const sky_account *a = t->account;
  sky_acc *sum = NULL;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(sum, SKY_NEW0(ctx, sky_acc, a->n_lines));
  for (size_t i = 0; i < a->n_lines; i++) {
    const sky_account_line *l = &a->line[i];
    sky_block *b = NULL;
    if (l->factor.gas != t->gas || l->factor.scope != SKY_SCOPE_1 || isnan(l->emission)) continue;
    SKY_GO(block_of(ctx, t, &t->rows[i], g, &b));
    sky_acc_add(&sum[b - g->block], l->emission);
    b->own += l->own_var;
    for (size_t s = 0; s < SKY_LINE_SHARES; s++)
      b->shared[l->group[s]] += l->emission * l->share[s];
  }
  for (size_t b = 0; b < g->n_blocks; b++)
    g->block[b].total = sky_acc_value(&sum[b]);
cleanup:
  sky_free(sum);
  return st;
}

static double block_variance(const sky_gridder *g, const sky_block *b) {
  sky_acc var = {b->own, 0};
  for (size_t k = 0; k < g->n_groups; k++)
    sky_acc_add(&var, b->shared[k] * b->shared[k]);
  return sky_acc_value(&var);
}

/* Places a block; proxy and emission are room for the cells of its region. */
static sky_status place_block(sky_context *ctx, const sky_gridder_task *t, sky_gridder *g,
                              sky_block *b, double *proxy, double *emission) {
  const sky_gridder_region *r = &t->region[b->region];
  const sky_gridder_proxy *p = b->proxy != SIZE_MAX ? &t->proxy[b->proxy] : NULL;
  const double kappa = p != NULL ? p->concentration : SKY_AREA_CONCENTRATION;
  const double var = block_variance(g, b);
  const double *const proxies[] = {proxy};
  const sky_place_task task = {.region = r->id,
                               .n = r->n,
                               .inside = r->inside,
                               .n_proxies = p != NULL,
                               .proxy = proxies,
                               .gamma = 1,
                               .total = b->total,
                               .total_sd = sqrt(var)};
  if (!(kappa > 0))
    return sky_fail(ctx, SKY_E_RANGE, "%s: concentration %g is not > 0", b->sector, kappa);
  for (size_t k = 0; p != NULL && k < r->n; k++)
    proxy[k] = p->density[r->cell[k]];
  SKY_TRY(sky_place(ctx, &task, emission, b->share, &b->placed));
  b->spread = sky_place_spread(b->total, var, kappa);
  for (size_t k = 0; k < r->n; k++) {
    g->emission[r->cell[k]] += emission[k];
    g->variance[r->cell[k]] += b->spread * b->share[k];
  }
  return SKY_OK;
}

/* ---- covariance over cells ------------------------------------------------------------------ */

/* factor += scale · share over the block's cells */
static void add_shares(const sky_gridder *g, const sky_block *b, double scale, double *factor) {
  const sky_gridder_region *r = &g->region[b->region];
  for (size_t k = 0; k < r->n; k++)
    factor[r->cell[k]] += scale * b->share[k];
}

static sky_status make_factors(sky_context *ctx, sky_gridder *g) {
  const size_t most = g->n_groups + g->n_blocks;
  g->factor = SKY_NEW0(ctx, double, most * g->n_cell);
  g->sign = SKY_NEW0(ctx, double, most);
  if (g->factor == NULL || g->sign == NULL) return SKY_E_NOMEM;
  for (size_t k = 0; k < g->n_groups; k++) {
    bool any = false;
    for (size_t b = 0; b < g->n_blocks; b++) {
      if (g->block[b].shared[k] == 0) continue;
      add_shares(g, &g->block[b], g->block[b].shared[k], &g->factor[g->rank * g->n_cell]);
      any = true;
    }
    if (any) g->sign[g->rank++] = 1;
  }
  for (size_t b = 0; b < g->n_blocks; b++) {
    const double coefficient = g->block[b].own - g->block[b].spread;
    if (coefficient == 0) continue;
    add_shares(g, &g->block[b], sqrt(fabs(coefficient)), &g->factor[g->rank * g->n_cell]);
    g->sign[g->rank++] = coefficient > 0 ? 1 : -1;
  }
  return SKY_OK;
}

sky_status sky_gridder_run(sky_context *ctx, const sky_gridder_task *t, sky_gridder *out) {
  double *proxy = NULL, *emission = NULL;
  size_t most = 0;
  sky_status st = SKY_OK;
  *out = (sky_gridder){.n_cell = t->n_cell, .n_groups = t->account->n_groups, .region = t->region};
  for (size_t r = 0; r < t->n_regions; r++)
    if (t->region[r].n > most) most = t->region[r].n;
  SKY_GO_ALLOC(proxy, SKY_NEW(ctx, double, most));
  SKY_GO_ALLOC(emission, SKY_NEW(ctx, double, most));
  SKY_GO_ALLOC(out->block, SKY_NEW0(ctx, sky_block, t->account->n_lines));
  SKY_GO_ALLOC(out->emission, SKY_NEW0(ctx, double, t->n_cell));
  SKY_GO_ALLOC(out->variance, SKY_NEW0(ctx, double, t->n_cell));
  SKY_GO(make_blocks(ctx, t, out));
  for (size_t b = 0; b < out->n_blocks; b++)
    SKY_GO(place_block(ctx, t, out, &out->block[b], proxy, emission));
  SKY_GO(make_factors(ctx, out));
cleanup:
  sky_free(proxy);
  sky_free(emission);
  if (st != SKY_OK) sky_gridder_free(out);
  return st;
}

static void empty(const sky_gridder *g, sky_block *b) {
  b->total = b->own = b->spread = 0;
  memset(b->shared, 0, g->n_groups * sizeof *b->shared);
}

void sky_gridder_keep(sky_gridder *g, bool (*keep)(const void *user, const char *sector),
                      const void *user) {
  size_t rank = 0;
  memset(g->emission, 0, g->n_cell * sizeof *g->emission);
  memset(g->variance, 0, g->n_cell * sizeof *g->variance);
  memset(g->factor, 0, g->rank * g->n_cell * sizeof *g->factor);
  for (size_t k = 0; k < g->n_groups; k++) { /* as make_factors counts them */
    bool any = false;
    for (size_t b = 0; b < g->n_blocks; b++) {
      if (g->block[b].shared[k] == 0) continue;
      any = true;
      if (keep(user, g->block[b].sector))
        add_shares(g, &g->block[b], g->block[b].shared[k], &g->factor[rank * g->n_cell]);
    }
    rank += any;
  }
  for (size_t b = 0; b < g->n_blocks; b++) {
    sky_block *block = &g->block[b];
    const double coefficient = block->own - block->spread;
    if (!keep(user, block->sector)) {
      rank += coefficient != 0;
      empty(g, block);
      continue;
    }
    add_shares(g, block, block->total, g->emission);
    add_shares(g, block, block->spread, g->variance);
    if (coefficient != 0)
      add_shares(g, block, sqrt(fabs(coefficient)), &g->factor[rank++ * g->n_cell]);
  }
}

/* ---- sums ----------------------------------------------------------------------------------- */

void sky_gridder_sum(const sky_gridder *g, const sky_part *part, double *total, double *variance) {
  sky_acc sum = {0, 0}, var = {0, 0};
  for (size_t k = 0; k <= g->n_groups; k++) { /* each group; then what blocks have alone */
    sky_acc shared = {0, 0};
    for (size_t b = 0; b < g->n_blocks; b++) {
      const sky_block *block = &g->block[b];
      const sky_part *p = &part[block->region];
      sky_acc first = {p->whole ? 1 : 0, 0}, second = first; /* Σ w v, Σ w v² */
      if (!p->whole && p->share == NULL) continue;
      for (size_t i = 0; !p->whole && i < g->region[block->region].n; i++) {
        sky_acc_add(&first, block->share[i] * p->share[i]);
        sky_acc_add(&second, block->share[i] * p->share[i] * p->share[i]);
      }
      const double v = sky_acc_value(&first);
      if (k < g->n_groups) {
        sky_acc_add(&shared, block->shared[k] * v);
        continue;
      }
      sky_acc_add(&sum, block->total * v);
      sky_acc_add(&var, block->own * v * v + block->spread * (sky_acc_value(&second) - v * v));
    }
    const double s = sky_acc_value(&shared);
    sky_acc_add(&var, s * s);
  }
  *total = sky_acc_value(&sum);
  *variance = sky_acc_value(&var);
}

void sky_gridder_mass(const sky_gridder *g, const sky_part *part, double *mass) {
  memset(mass, 0, g->n_cell * sizeof *mass);
  for (size_t b = 0; b < g->n_blocks; b++) {
    const sky_block *block = &g->block[b];
    const sky_gridder_region *r = &g->region[block->region];
    const sky_part *p = &part[block->region];
    for (size_t i = 0; i < r->n && (p->whole || p->share != NULL); i++)
      mass[r->cell[i]] += block->total * block->share[i] * (p->whole ? 1 : p->share[i]);
  }
}
