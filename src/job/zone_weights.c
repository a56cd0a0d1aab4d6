/* zone_weights.c: see zone_weights.h. */
#include "src/job/zone_weights.h"

#include <math.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/core/species.h"
#include "src/core/sum.h"
#include "src/job/stage_file.h"
#include "src/read/flux.h"

/* [cells] of the layer's mass that is the zone's; NULL: unknown, or the layer has none there. */
static const double *mass_share(const sky_layer *layer, size_t z) {
  const double *share = layer->zone_share != NULL ? layer->zone_share + z * layer->n_cell : NULL;
  for (size_t c = 0; share != NULL && c < layer->n_cell; c++)
    if (share[c] != 0) return share;
  return NULL;
}

void sky_zone_row(const sky_layer *layer, size_t z, const sky_coverage *cover, const double *whole,
                  double *row) {
  const double *by_mass = mass_share(layer, z);
  memset(row, 0, layer->n_cell * sizeof *row);
  for (size_t k = 0; k < (by_mass != NULL ? layer->n_cell : cover->n); k++) {
    const size_t c = by_mass != NULL ? k : cover->cell[k];
    row[c] = whole[c] * (by_mass != NULL ? by_mass[c] : cover->fraction[k]);
  }
}

void sky_zone_weights_free(sky_zone_weights *r) {
  if (r == NULL) return;
  sky_file_list_free(r->name, r->n);
  sky_free(r->rowptr);
  sky_free(r->col);
  sky_free(r->data);
  sky_free(r->constant);
  memset(r, 0, sizeof *r);
}

typedef struct maker {
  const sky_jacobian *j;
  sky_zones zones;
  sky_coverage *cover;
  double *whole;    /* [mesh cells] kg yr-1 of one step */
  double *unscaled; /* [zones] kg yr-1 or NULL */
  double *row;      /* [n_cell] */
  double *fixed;    /* [layers] kg yr-1 */
  size_t nnz, capacity;
} maker;

/* What of the layer's own total its row does not have; NaN: it has no total here. */
static double fixed_part(const maker *m, size_t z, size_t l) {
  const size_t n = m->j->mesh.n_cell;
  sky_acc sum = {0, 0};
  for (size_t t = 0; t < m->j->n_time; t++)
    for (size_t c = l * n; c < (l + 1) * n; c++)
      if (m->row[c] != 0) sky_acc_add(&sum, m->row[c] * m->j->x0[t * m->j->n_cell + c]);
  return m->j->layer[l].zone_total[z] - sky_acc_value(&sum);
}

/* Layers first … first+count-1 of m->row as one more row. name: taken. */
static sky_status put(sky_context *ctx, maker *m, char *name, size_t first, size_t count,
                      double constant, sky_zone_weights *out) {
  const size_t n = m->j->mesh.n_cell;
  if (name == NULL) return SKY_E_NOMEM;
  if (m->nnz + count * n > INT32_MAX) {
    sky_free(name);
    return sky_fail(ctx, SKY_E_SIZE, "zones: their rows over the state hold more than %d weights",
                    INT32_MAX);
  }
  if (m->nnz + count * n > m->capacity) {
    const size_t more = 2 * m->capacity + count * n;
    double *data = sky_realloc(ctx, out->data, m->nnz, more, sizeof *data);
    if (data != NULL) out->data = data;
    int32_t *col = sky_realloc(ctx, out->col, m->nnz, more, sizeof *col);
    if (col != NULL) out->col = col;
    if (data == NULL || col == NULL) {
      sky_free(name);
      return SKY_E_NOMEM;
    }
    m->capacity = more;
  }
  for (size_t c = first * n; c < (first + count) * n; c++) {
    if (m->row[c] == 0) continue;
    out->col[m->nnz] = (int32_t)c;
    out->data[m->nnz++] = m->row[c];
  }
  out->name[out->n] = name;
  out->constant[out->n] = constant;
  out->rowptr[++out->n] = (int32_t)m->nnz;
  return SKY_OK;
}

static double or_zero(double x) {
  return isnan(x) ? 0 : x;
}

static sky_status put_zone(sky_context *ctx, maker *m, size_t z, sky_zone_weights *out) {
  const sky_jacobian *j = m->j;
  const size_t n = j->mesh.n_cell, ns = j->n_sector;
  const sky_node *sectors = sky_node_get(j->inversion, "sectors");
  const char *id = m->zones.zone[z].id;
  double constant = 0;
  for (size_t l = 0; l < j->n_layer; l++) {
    sky_zone_row(&j->layer[l], z, &m->cover[z], m->whole, m->row + l * n);
    m->fixed[l] = fixed_part(m, z, l);
    if (l < ns) constant += or_zero(m->fixed[l]);
  }
  if (m->unscaled != NULL) constant += or_zero(m->unscaled[z]);
  SKY_TRY(put(ctx, m, sky_strdup(ctx, id), 0, ns, constant, out));
  for (size_t l = 0; l < sky_node_count(sectors); l++) {
    const char *name = sky_node_text(sky_node_item(sectors, l), "name");
    if (isnan(m->fixed[l])) continue;
    SKY_TRY(put(ctx, m, sky_sprintf(ctx, "%s, %s", id, name), l, 1, m->fixed[l], out));
  }
  if (j->n_layer == ns || isnan(m->fixed[ns])) return SKY_OK;
  SKY_TRY(put(ctx, m, sky_sprintf(ctx, "%s, sink", id), ns, 1, m->fixed[ns], out));
  return put(ctx, m, sky_sprintf(ctx, "%s, net", id), 0, ns + 1, constant + m->fixed[ns], out);
}

static sky_status read_unscaled(sky_context *ctx, const sky_job *job, maker *m) {
  const char *id = sky_node_text(m->j->inversion, "unscaled");
  if (id == NULL) return SKY_OK;
  char *path = sky_sprintf(ctx, "%s/inventory-%s.nc", job->stage_dir, id);
  if (path == NULL) return SKY_E_NOMEM;
  const sky_status st = sky_stage_file_read(ctx, path, "zone_total", m->zones.n, &m->unscaled);
  sky_free(path);
  return st;
}

sky_status sky_zone_weights_make(sky_context *ctx, const sky_job *job, const char *gas,
                                 const sky_jacobian *j, sky_zone_weights *out) {
  const double kg = sky_species_find(gas)->molar_mass * SKY_SECONDS_PER_YEAR;
  maker m = {.j = j};
  sky_status st = SKY_OK;
  memset(out, 0, sizeof *out);
  SKY_GO(sky_job_zones(ctx, job, &j->mesh, &m.zones, &m.cover));
  SKY_GO(read_unscaled(ctx, job, &m));
  const size_t most = m.zones.n * (j->n_layer + 2);
  SKY_GO_ALLOC(m.whole, SKY_NEW(ctx, double, j->mesh.n_cell));
  SKY_GO_ALLOC(m.row, SKY_NEW(ctx, double, j->n_cell));
  SKY_GO_ALLOC(m.fixed, SKY_NEW(ctx, double, j->n_layer));
  SKY_GO_ALLOC(out->name, SKY_NEW0(ctx, char *, most));
  SKY_GO_ALLOC(out->constant, SKY_NEW(ctx, double, most));
  SKY_GO_ALLOC(out->rowptr, SKY_NEW0(ctx, int32_t, most + 1));
  SKY_GO(sky_mesh_areas(ctx, &j->mesh, m.whole));
  for (size_t c = 0; c < j->mesh.n_cell; c++)
    m.whole[c] = m.whole[c] * kg / (double)j->n_time;
  for (size_t z = 0; z < m.zones.n; z++)
    SKY_GO(put_zone(ctx, &m, z, out));
cleanup:
  sky_job_coverage_free(m.cover, m.zones.n);
  sky_zones_free(&m.zones);
  sky_free(m.whole);
  sky_free(m.unscaled);
  sky_free(m.row);
  sky_free(m.fixed);
  if (st != SKY_OK) sky_zone_weights_free(out);
  return st;
}
