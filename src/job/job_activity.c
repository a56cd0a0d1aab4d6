/* job_activity.c: one gas of a table of activity -> flux on the mesh, with its covariance, and the
 * totals of zones (job_account.h, algorithms/inventory/gridder.md).
 *
 * A row counts in its region and nowhere else, so a zone's total is taken from placed rows, not
 * from the flux of cells that several regions share: the whole of every region inside the zone, and
 * of a region that the zone only meets, the part of each of its cells (by area) that lies in both.
 * So counties add up to their city, and a region alone is what the account says, to rounding. The
 * flux of a cell on a border holds the mass of both sides; zone_share says how much of it is whose,
 * so that an inversion moves a zone by its own part.
 *
 * Scope 2 has no place inside its region: a zone has the sum of the regions inside it, and nothing
 * to say where a region only crosses it. */
#include <math.h>
#include <string.h>

#include "grids/grid_area.h"
#include "algorithms/inventory/gridder.h"
#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/job/job_account.h"
#include "src/job/zone_relation.h"
#include "src/read/flux.h"
#include "src/read/raster.h"

#define TONNE 1e3
#define MASS_TOLERANCE 1e-12

typedef struct region {
  size_t zone, scope1, scope2; /* of the job; totals of the account, SIZE_MAX if there is none */
  bool placed;                 /* has rows of the gas in scope 1 */
  bool nested, nested_scope2;  /* lies in another that has such rows */
  double *inside;              /* [cells of the zone] m2 */
  sky_zone_relation *to;       /* [zones] */
} region;

typedef struct placement {
  const sky_job *job;
  const char *id;
  const sky_activity_place *place;
  sky_gas gas;
  double mol; /* kg yr-1 to mol s-1 */
  sky_job_account a;
  size_t n, n_placed;
  region *region;           /* by first row */
  sky_gridder_region *cell; /* [n_placed] those that are placed, in the same order */
  size_t *of_cell;          /* [n_placed] their region */
  size_t n_proxies;
  sky_gridder_proxy *proxy;
  double **density; /* [n_proxies][cells] */
  sky_gridder g;
} placement;

static void placement_free(placement *s) {
  sky_gridder_free(&s->g);
  for (size_t p = 0; s->density != NULL && p < s->n_proxies; p++)
    sky_free(s->density[p]);
  sky_free(s->density);
  sky_free(s->proxy);
  sky_free(s->cell);
  sky_free(s->of_cell);
  for (size_t r = 0; s->region != NULL && r < s->n; r++) {
    sky_free(s->region[r].inside);
    sky_free(s->region[r].to);
  }
  sky_free(s->region);
  sky_job_account_free(&s->a);
}

/* ---- regions -------------------------------------------------------------------------------- */

static bool has_rows(const placement *s, size_t total) {
  return total != SIZE_MAX && s->a.account.total[total].n_lines > 0;
}

static int first_line(const placement *s, const char *id) {
  for (size_t i = 0; i < s->a.activity.n; i++)
    if (strcmp(s->a.activity.row[i].region, id) == 0) return s->a.activity.row[i].line;
  return 0;
}

static sky_status make_region(sky_context *ctx, placement *s, const char *id) {
  const sky_zones *zones = s->place->zones;
  region *r = &s->region[s->n++];
  while (strcmp(zones->zone[r->zone].id, id) != 0) /* it is there: sky_job_account_open */
    r->zone++;
  const sky_coverage *c = &s->place->cover[r->zone];
  r->scope1 = sky_account_find(&s->a.account, id, s->gas, SKY_SCOPE_1);
  r->scope2 = sky_account_find(&s->a.account, id, s->gas, SKY_SCOPE_2);
  r->placed = has_rows(s, r->scope1);
  r->inside = SKY_NEW(ctx, double, c->n);
  r->to = SKY_NEW0(ctx, sky_zone_relation, zones->n);
  if (r->inside == NULL || r->to == NULL) return SKY_E_NOMEM;
  if (r->placed && c->area_in < SKY_ZONE_COMPLETE * c->area_zone)
    return sky_fail(ctx, SKY_E_COVERAGE,
                    "%s:%d: region: %.3g %% of zone '%s' lies outside the grid, and nobody knows "
                    "how much of its emissions with it",
                    s->a.path, first_line(s, id), 100 * (1 - c->area_in / c->area_zone), id);
  for (size_t k = 0; k < c->n; k++)
    r->inside[k] = c->fraction[k] * s->place->area[c->cell[k]];
  for (size_t z = 0; z < zones->n; z++) {
    if (z == r->zone)
      r->to[z] = SKY_ZONE_WITHIN;
    else
      SKY_TRY(sky_zone_relate(ctx, &zones->zone[r->zone], &zones->zone[z], &r->to[z], NULL));
  }
  return SKY_OK;
}

/* Does a lie in b? Of two that are the same, the later lies in the earlier. */
static bool lies_in(const placement *s, size_t a, size_t b) {
  if (a == b || s->region[a].to[s->region[b].zone] != SKY_ZONE_WITHIN) return false;
  return s->region[b].to[s->region[a].zone] != SKY_ZONE_WITHIN || b < a;
}

static sky_status make_regions(sky_context *ctx, placement *s) {
  const sky_account *a = &s->a.account;
  s->region = SKY_NEW0(ctx, region, a->n_totals);
  s->cell = SKY_NEW0(ctx, sky_gridder_region, a->n_totals);
  s->of_cell = SKY_NEW0(ctx, size_t, a->n_totals);
  if (s->region == NULL || s->cell == NULL || s->of_cell == NULL) return SKY_E_NOMEM;
  for (size_t t = 0; t < a->n_totals; t++) /* CO2 of scope 1 is there for every region */
    if (a->total[t].gas == SKY_GAS_CO2 && a->total[t].scope == SKY_SCOPE_1)
      SKY_TRY(make_region(ctx, s, a->total[t].region));
  for (size_t r = 0; r < s->n; r++) {
    region *self = &s->region[r];
    const sky_coverage *c = &s->place->cover[self->zone];
    for (size_t o = 0; o < s->n; o++) {
      if (!lies_in(s, r, o)) continue;
      self->nested |= s->region[o].placed;
      self->nested_scope2 |= has_rows(s, s->region[o].scope2);
    }
    if (!self->placed) continue;
    s->of_cell[s->n_placed] = r;
    s->cell[s->n_placed++] = (sky_gridder_region){
        .id = a->total[self->scope1].region, .n = c->n, .cell = c->cell, .inside = self->inside};
  }
  return SKY_OK;
}

/* Is row i emitted in its region, as this gas? */
static bool is_source(const placement *s, size_t i) {
  const sky_factor *f = &s->a.account.line[i].factor;
  return f->gas == s->gas && f->scope == SKY_SCOPE_1;
}

/* In a prior a missing source would be 0, and certain; a comparison leaves its zone unknown. */
static sky_status check_prior(sky_context *ctx, const placement *s) {
  if (sky_job_find(s->job, "inversions", "prior", s->id) == NULL) return SKY_OK;
  for (size_t i = 0; i < s->a.activity.n; i++) {
    const sky_activity *r = &s->a.activity.row[i];
    if (!is_source(s, i) || r->missing == NULL) continue;
    return sky_fail(ctx, SKY_E_RANGE,
                    "%s:%d: %s, %s, %s: amount is missing; a prior needs every source: give an "
                    "estimate with a wide sd_percent (inventory '%s' is the prior of %s)",
                    s->a.path, r->line, r->region, r->sector, r->fuel, s->id, sky_gas_id(s->gas));
  }
  return SKY_OK;
}

/* ---- proxies -------------------------------------------------------------------------------- */

static sky_status check_amounts(sky_context *ctx, const char *file, const sky_grid *g,
                                const double *value) {
  for (size_t i = 0; i < sky_grid_cells(g); i++) {
    double x, y;
    if (isnan(value[i]) || (isfinite(value[i]) && value[i] >= 0)) continue;
    sky_grid_centre(g, i, &x, &y);
    return sky_fail(ctx, SKY_E_RANGE,
                    "%s: %g at %.9g, %.9g (%s): a proxy is a finite amount per area >= 0", file,
                    value[i], x, y, g->crs);
  }
  return SKY_OK;
}

/* Mean amount per area of each mesh cell, by conservative sums over the pixels with data. */
static sky_status read_proxy(sky_context *ctx, const sky_mesh *mesh, const char *file,
                             double *density) {
  sky_raster *raster = NULL;
  sky_grid window = {0};
  double *value = NULL, *area = NULL, *seen = NULL;
  sky_audit audit;
  sky_status st = SKY_OK;
  SKY_GO(sky_raster_open(ctx, file, &raster));
  SKY_GO(sky_raster_amounts(ctx, raster, &mesh->patch[0], &window, &value));
  SKY_GO(check_amounts(ctx, file, &window, value));
  const size_t n = sky_grid_cells(&window);
  SKY_GO_ALLOC(area, SKY_NEW(ctx, double, n));
  SKY_GO_ALLOC(seen, SKY_NEW(ctx, double, mesh->n_cell));
  SKY_GO(sky_grid_areas(ctx, &window, area));
  for (size_t i = 0; i < n; i++) {
    value[i] *= area[i];
    if (isnan(value[i])) area[i] = 0;
  }
  SKY_GO(sky_mesh_regrid_extensive(ctx, &window, value, mesh, density, &audit));
  SKY_GO(sky_mesh_regrid_extensive(ctx, &window, area, mesh, seen, &audit));
  for (size_t c = 0; c < mesh->n_cell; c++)
    density[c] = seen[c] > 0 ? density[c] / seen[c] : NAN;
cleanup:
  sky_free(value);
  sky_free(area);
  sky_free(seen);
  sky_grid_free(&window);
  sky_raster_close(raster);
  return st;
}

static bool has_sector(const placement *s, const char *sector) {
  for (size_t i = 0; i < s->a.activity.n; i++)
    if (is_source(s, i) && strcmp(s->a.activity.row[i].sector, sector) == 0) return true;
  return false;
}

static sky_status read_proxies(sky_context *ctx, placement *s) {
  const sky_node *list = sky_node_get(s->job->root, "account.proxies");
  const size_t most = sky_node_count(list);
  s->proxy = SKY_NEW0(ctx, sky_gridder_proxy, most);
  s->density = SKY_NEW0(ctx, double *, most);
  if (s->proxy == NULL || s->density == NULL) return SKY_E_NOMEM;
  for (size_t i = 0; i < most; i++) {
    const sky_node *item = sky_node_item(list, i);
    const char *sector = sky_node_text(item, "sector");
    if (!has_sector(s, sector)) continue;
    double *density = s->density[s->n_proxies] = SKY_NEW(ctx, double, s->place->mesh->n_cell);
    if (density == NULL) return SKY_E_NOMEM;
    s->proxy[s->n_proxies++] =
        (sky_gridder_proxy){sector, density, sky_node_number(item, "concentration")};
    SKY_TRY(read_proxy(ctx, s->place->mesh, sky_node_text(item, "file"), density));
  }
  return SKY_OK;
}

/* ---- the layer ------------------------------------------------------------------------------ */

/* share of the area that regions with rows have; NaN flux where there are none */
static sky_status make_flux(sky_context *ctx, placement *s, sky_layer *l) {
  const size_t n = l->n_cell;
  for (size_t p = 0; p < s->n_placed; p++) {
    const region *r = &s->region[s->of_cell[p]];
    const sky_coverage *c = &s->place->cover[r->zone];
    for (size_t k = 0; k < c->n && !r->nested; k++)
      l->valid[c->cell[k]] = fmin(1, l->valid[c->cell[k]] + c->fraction[k]);
  }
  l->factor = SKY_NEW(ctx, double, s->g.rank *n);
  l->sign = SKY_NEW(ctx, double, s->g.rank);
  l->variance = SKY_NEW(ctx, double, n);
  if (l->factor == NULL || l->sign == NULL || l->variance == NULL) return SKY_E_NOMEM;
  l->rank = s->g.rank;
  memcpy(l->sign, s->g.sign, l->rank * sizeof *l->sign);
  for (size_t c = 0; c < n; c++) {
    const double scale = s->mol / s->place->area[c];
    l->flux[c] = l->valid[c] > 0 ? s->g.emission[c] * scale : NAN;
    l->variance[c] = s->g.variance[c] * scale * scale;
    for (size_t k = 0; k < l->rank; k++)
      l->factor[k * n + c] = s->g.factor[k * n + c] * scale;
  }
  return SKY_OK;
}

/* Part of region r's cells that lies in a zone that covers them so. */
static sky_status part_of(sky_context *ctx, const placement *s, const region *r,
                          const sky_coverage *cover, double **out) {
  const sky_coverage *own = &s->place->cover[r->zone];
  *out = SKY_NEW0(ctx, double, own->n);
  if (*out == NULL) return SKY_E_NOMEM;
  for (size_t k = 0, m = 0; k < own->n; k++) {
    while (m < cover->n && cover->cell[m] < own->cell[k])
      m++;
    if (m < cover->n && cover->cell[m] == own->cell[k])
      (*out)[k] = fmin(1, cover->fraction[m] / own->fraction[k]);
  }
  return SKY_OK;
}

/* The part of a placed region in zone z, and the area, m2, that both share. */
static sky_status zone_part(sky_context *ctx, const placement *s, const region *r, size_t z,
                            sky_part *part, double **share, double *area) {
  const sky_coverage *own = &s->place->cover[r->zone], *cover = &s->place->cover[z];
  const sky_zone *zone = s->place->zones->zone;
  sky_coverage crossing = {0};
  sky_zone both = {0};
  sky_zone_relation relation;
  sky_status st = SKY_OK;
  *part = (sky_part){.whole = r->to[z] == SKY_ZONE_WITHIN};
  *area = part->whole ? own->area_zone : r->to[z] == SKY_ZONE_HOLDS ? cover->area_zone : 0;
  if (r->to[z] == SKY_ZONE_HOLDS) {
    SKY_GO(part_of(ctx, s, r, cover, share));
  } else if (r->to[z] == SKY_ZONES_CROSS) {
    SKY_GO(sky_zone_relate(ctx, &zone[r->zone], &zone[z], &relation, &both));
    SKY_GO(sky_mesh_coverage(ctx, &both, s->place->mesh, &crossing));
    SKY_GO(part_of(ctx, s, r, &crossing, share));
    *area = crossing.area_zone;
  }
  part->share = *share;
cleanup:
  sky_zone_clear(&both);
  sky_coverage_free(&crossing);
  return st;
}

static sky_status zone_total(sky_context *ctx, const placement *s, size_t z, sky_layer *l) {
  sky_part *part = NULL;
  double **share = NULL, variance = NAN;
  sky_acc covered = {0, 0};
  bool missing = false;
  sky_status st = SKY_OK;
  SKY_GO_ALLOC(part, SKY_NEW0(ctx, sky_part, s->n_placed));
  SKY_GO_ALLOC(share, SKY_NEW0(ctx, double *, s->n_placed));
  for (size_t p = 0; p < s->n_placed; p++) {
    const region *r = &s->region[s->of_cell[p]];
    double area = 0;
    SKY_GO(zone_part(ctx, s, r, z, &part[p], &share[p], &area));
    if (!r->nested) sky_acc_add(&covered, area / s->place->cover[z].area_zone);
    missing |= r->to[z] != SKY_ZONES_APART && s->a.account.total[r->scope1].n_missing > 0;
  }
  l->zone_covered[z] = fmin(1, sky_acc_value(&covered));
  for (size_t p = 0; p < s->n_placed; p++) {
    if (missing || (!part[p].whole && part[p].share == NULL)) continue;
    sky_gridder_sum(&s->g, part, &l->zone_total[z], &variance);
    l->zone_sd[z] = sqrt(fmax(variance, 0));
    break;
  }
  double *mass = l->zone_share + z * l->n_cell;
  sky_gridder_mass(&s->g, part, mass);
  for (size_t c = 0; c < l->n_cell; c++)
    mass[c] = s->g.emission[c] > 0 ? fmin(1, mass[c] / s->g.emission[c]) : 0;
cleanup:
  for (size_t p = 0; share != NULL && p < s->n_placed; p++)
    sky_free(share[p]);
  sky_free(share);
  sky_free(part);
  return st;
}

/* Sum of the regions inside; a region inside another may lack rows, one that is not may not. */
static sky_status zone_scope2(sky_context *ctx, const placement *s, size_t z, sky_layer *l) {
  size_t n = 0, *total = SKY_NEW(ctx, size_t, s->n);
  double sum = NAN, variance = NAN;
  bool known = true;
  sky_status st = total != NULL ? SKY_OK : SKY_E_NOMEM;
  for (size_t r = 0; r < s->n && st == SKY_OK; r++) {
    const region *self = &s->region[r];
    const bool rows = has_rows(s, self->scope2);
    if (self->to[z] == SKY_ZONES_CROSS && rows) known = false;
    if (self->to[z] != SKY_ZONE_WITHIN) continue;
    if (rows) total[n++] = self->scope2;
    if (!rows && !self->nested_scope2) known = false;
  }
  if (st == SKY_OK && known && n > 0)
    st = sky_account_sum(ctx, &s->a.account, n, total, &sum, &variance);
  l->zone_scope2[z] = sum;
  l->zone_scope2_sd[z] = sqrt(variance);
  sky_free(total);
  return st;
}

/* ---- facts ---------------------------------------------------------------------------------- */

static void record_factors(const placement *s, sky_facts *facts) {
  sky_factor_row r;
  for (size_t i = 0; sky_account_used(&s->a.account, true, s->gas, i, &r); i++) {
    sky_fact(facts, "sources", s->id, "%s:%s:%s = %s %s; %s; verified: %s", sky_file_base(r.table),
             r.key, r.edition, r.value, r.unit, r.source, r.verified);
    if (r.allowed)
      sky_fact(facts, "warnings", s->id, "%s:%s:%s (%s %s) is not verified, and allowed by the job",
               r.table, r.key, r.edition, r.value, r.unit);
  }
}

static void record_placement(const placement *s, sky_facts *facts) {
  for (size_t b = 0; b < s->g.n_blocks; b++) {
    const sky_block *k = &s->g.block[b];
    const char *where = s->cell[k->region].id;
    if (k->proxy == SIZE_MAX) continue;
    if (k->placed.proxy == SKY_PLACE_UNIFORM)
      sky_fact(facts, "warnings", s->id,
               "%s, %s: the proxy has no data or no weight here; placed by area alone", where,
               k->sector);
    else if (k->placed.no_data > 0)
      sky_fact(facts, "audit", s->id,
               "%s, %s: %zu of %zu cells have no data in the proxy and get nothing", where,
               k->sector, k->placed.no_data, s->cell[k->region].n);
  }
}

static bool is_placed(const placement *s, size_t i) {
  return is_source(s, i) && s->a.activity.row[i].missing == NULL;
}

/* Sectors without a proxy where others have one: forgotten, or spelt in another way. */
static void record_sectors(const placement *s, sky_facts *facts) {
  const sky_activity_file *f = &s->a.activity;
  if (sky_node_get(s->job->root, "account.proxies") == NULL) return;
  for (size_t i = 0; i < f->n; i++) {
    const char *sector = f->row[i].sector;
    size_t n = 0;
    bool seen = sky_job_find(s->job, "account.proxies", "sector", sector) != NULL;
    for (size_t k = 0; k < f->n && !seen; k++) {
      if (!is_placed(s, k) || strcmp(f->row[k].sector, sector) != 0) continue;
      seen = k < i;
      n++;
    }
    if (seen || !is_placed(s, i)) continue;
    sky_fact(facts, "warnings", s->id,
             "sector '%s' has no proxy, and others have: its %zu row%s of %s in scope 1 (%s, from "
             "line %d) %s placed by area alone",
             sector, n, n == 1 ? "" : "s", sky_gas_id(s->gas), sky_file_base(s->a.path),
             f->row[i].line, n == 1 ? "is" : "are");
  }
}

/* What arrived on the mesh is what the account has. */
static sky_status record_mass(sky_context *ctx, const placement *s, sky_facts *facts) {
  sky_acc known = {0, 0}, placed = {0, 0};
  size_t rows = 0, missing = 0;
  for (size_t p = 0; p < s->n_placed; p++) {
    const sky_account_total *t = &s->a.account.total[s->region[s->of_cell[p]].scope1];
    sky_acc_add(&known, t->known);
    rows += t->n_lines;
    missing += t->n_missing;
  }
  for (size_t c = 0; c < s->g.n_cell; c++)
    sky_acc_add(&placed, s->g.emission[c]);
  const double in = sky_acc_value(&known), out = sky_acc_value(&placed), residual = in - out;
  sky_fact(
      facts, "audit", s->id,
      "%.6g t/yr %s of scope 1 in %zu rows of %zu regions (%zu missing), %.6g placed, residual "
      "%.1e of the total",
      in / TONNE, sky_gas_id(s->gas), rows, s->n_placed, missing, out / TONNE,
      in > 0 ? fabs(residual) / in : fabs(residual));
  sky_fact_number(facts, "total_kg_yr", in);
  sky_fact_number(facts, "in_kg_yr", in);
  sky_fact_number(facts, "grid_kg_yr", out);
  sky_fact_number(facts, "residual_kg_yr", residual);
  if (fabs(residual) <= MASS_TOLERANCE * in) return SKY_OK;
  return sky_fail(ctx, SKY_E_MASS, "%s: placed %g kg of %g", s->id, out, in);
}

typedef struct choice {
  const sky_sectors *s;
  size_t l;
} choice;

static bool is_chosen(const void *user, const char *sector) {
  const choice *c = user;
  return sky_sectors_find(c->s, sector) == c->l;
}

/* The same layer of one sector; s->g is used up. */
static sky_status make_part(sky_context *ctx, placement *s, const choice *c, sky_layer *part) {
  const size_t n_zones = s->place->zones->n;
  bool any = false;
  for (size_t b = 0; b < s->g.n_blocks; b++)
    any |= is_chosen(c, s->g.block[b].sector);
  if (!any)
    return sky_fail(ctx, SKY_E_NODATA, "%s: no row of sector '%s' yields %s in scope 1", s->a.path,
                    c->s->name[c->l], sky_gas_id(s->gas));
  sky_gridder_keep(&s->g, is_chosen, c);
  SKY_TRY(make_flux(ctx, s, part));
  part->zone_share = SKY_NEW(ctx, double, n_zones * part->n_cell);
  if (part->zone_share == NULL) return SKY_E_NOMEM;
  for (size_t z = 0; z < n_zones; z++)
    SKY_TRY(zone_total(ctx, s, z, part));
  return SKY_OK;
}

sky_status sky_job_activity(sky_context *ctx, const sky_job *job, const char *id,
                            const sky_activity_place *place, const sky_sectors *sectors,
                            sky_layer *layer, sky_layer *part, sky_facts *facts) {
  const sky_node *node = sky_job_find(job, "inventories", "id", id);
  const char *gas = sky_node_text(node, "gas");
  placement s = {.job = job, .id = id, .place = place};
  sky_status st = SKY_OK;
  while (strcmp(sky_gas_id(s.gas), gas) != 0)
    if (++s.gas == SKY_N_GAS)
      return sky_fail(ctx, SKY_E_GAS, "inventory '%s': activity yields no %s", id, gas);
  s.mol = 1 / (sky_species_find(gas)->molar_mass * SKY_SECONDS_PER_YEAR);
  SKY_GO(sky_job_account_open(ctx, job, sky_node_text(node, "file"), place->zones, &s.a));
  SKY_GO(check_prior(ctx, &s));
  SKY_GO(make_regions(ctx, &s));
  if (s.n_placed == 0) {
    st = sky_fail(ctx, SKY_E_NODATA, "%s: no row yields %s in scope 1 (inventory '%s')", s.a.path,
                  gas, id);
    goto cleanup;
  }
  SKY_GO(read_proxies(ctx, &s));
  const sky_gridder_task task = {.account = &s.a.account,
                                 .rows = s.a.activity.row,
                                 .gas = s.gas,
                                 .n_cell = place->mesh->n_cell,
                                 .n_regions = s.n_placed,
                                 .region = s.cell,
                                 .n_proxies = s.n_proxies,
                                 .proxy = s.proxy};
  SKY_GO(sky_gridder_run(ctx, &task, &s.g));
  SKY_GO(make_flux(ctx, &s, layer));
  SKY_GO_ALLOC(layer->zone_share, SKY_NEW(ctx, double, place->zones->n * layer->n_cell));
  for (size_t z = 0; z < place->zones->n; z++) {
    SKY_GO(zone_total(ctx, &s, z, layer));
    if (s.gas == SKY_GAS_CO2) SKY_GO(zone_scope2(ctx, &s, z, layer));
  }
  record_factors(&s, facts);
  record_placement(&s, facts);
  record_sectors(&s, facts);
  sky_fact(facts, "sources", id,
           "%s: activity of the year %lld; totals are of that year, the flux "
           "is its mean",
           sky_file_base(s.a.path), (long long)sky_node_integer(job->root, "account.year", 0));
  SKY_GO(record_mass(ctx, &s, facts));
  for (size_t l = 0; l < sectors->n; l++) {
    sky_gridder_free(&s.g);
    SKY_GO(sky_gridder_run(ctx, &task, &s.g));
    SKY_GO(make_part(ctx, &s, &(choice){sectors, l}, &part[l]));
  }
cleanup:
  placement_free(&s);
  return st;
}
