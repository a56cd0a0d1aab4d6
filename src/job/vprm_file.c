/* vprm_file.c: see vprm_file.h. */
#include "src/job/vprm_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/core/file.h"
#include "src/core/memory.h"
#include "src/write/nc_write.h"

#define MICRO 1e6 /* mol -> umol, at the edge */
#define HOUR 3600.0

enum { NEE, GPP, RESPIRATION, FIELDS };

static const struct {
  const char *name, *long_name, *standard_name;
} fields[FIELDS] = {
    {"nee", "net ecosystem exchange of CO2, to the atmosphere positive", NULL},
    {"gpp", "gross primary production, uptake positive", NULL},
    {"respiration", "ecosystem respiration, to the atmosphere positive", NULL},
};

struct sky_vprm_file {
  sky_context *ctx;
  sky_ncw *w;
  size_t cells, done, n, limit; /* hours written, hours waiting; most that fit */
  double *value[FIELDS];        /* [SKY_VPRM_PIECE*cells] */
  double bounds[2 * SKY_VPRM_PIECE], start[SKY_VPRM_PIECE];
};

static void file_free(sky_vprm_file *f) {
  for (size_t k = 0; k < FIELDS; k++)
    sky_free(f->value[k]);
  sky_free(f);
}

static sky_status put_origin(sky_context *ctx, sky_ncw *w, const sky_vprm_options *opt,
                             const sky_vprm_set *set) {
  const char *given[] = {opt->season, opt->landcover, opt->classes, opt->parameters};
  char name[40], text[420], hex[65];
  SKY_TRY(sky_ncw_att(w, "", "title", "Hourly CO2 fluxes of vegetation (VPRM)"));
  SKY_TRY(sky_ncw_att(w, "", "skyflux_version", SKYFLUX_VERSION));
  SKY_TRY(sky_ncw_att(w, "", "references", "Mahadevan et al. 2008, doi:10.1029/2006GB002735"));
  SKY_TRY(sky_ncw_att(w, "", "vprm_parameters", set->name));
  if (set->region[0] != '\0') SKY_TRY(sky_ncw_att(w, "", "vprm_parameters_fitted_in", set->region));
  for (size_t k = 0; k < set->n; k++) {
    const sky_vprm_class *c = &set->cls[k];
    snprintf(name, sizeof name, "vprm_class_%zu", k + 1);
    snprintf(text, sizeof text,
             "%s: lambda %.9g, PAR0 %.9g umol m-2 s-1, alpha %.9g umol m-2 s-1 K-1, beta %.9g "
             "umol m-2 s-1, Tmin %.9g, Topt %.9g, Tmax %.9g, Tlow %.9g degC%s",
             c->name, c->lambda, c->par0 * MICRO, c->alpha * MICRO, c->beta * MICRO,
             c->t_min - SKY_VPRM_CELSIUS, c->t_opt - SKY_VPRM_CELSIUS, c->t_max - SKY_VPRM_CELSIUS,
             c->t_low - SKY_VPRM_CELSIUS, c->modified ? ", modified respiration" : "");
    SKY_TRY(sky_ncw_att(w, "", name, text));
  }
  for (size_t i = 0; i < opt->n_met; i++) {
    snprintf(name, sizeof name, "input_met_%zu", i + 1);
    SKY_TRY(sky_file_sha256(ctx, opt->met[i], hex));
    SKY_TRY(sky_ncw_att(w, "", name, hex));
  }
  for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
    static const char *const what[] = {"season", "landcover", "classes", "parameters"};
    if (given[i] == NULL) continue;
    snprintf(name, sizeof name, "input_%s", what[i]);
    SKY_TRY(sky_file_sha256(ctx, given[i], hex));
    SKY_TRY(sky_ncw_att(w, "", name, hex));
  }
  for (size_t i = 0; i < opt->n_fraction; i++) {
    snprintf(name, sizeof name, "input_fraction_%zu", i + 1);
    SKY_TRY(sky_file_sha256(ctx, strchr(opt->fractions[i], '=') + 1, hex));
    SKY_TRY(sky_ncw_att(w, "", name, hex));
  }
  return SKY_OK;
}

static sky_status define(sky_ncw *w, const sky_grid *g) {
  SKY_TRY(sky_ncw_att(w, "", "crs", g->crs));
  SKY_TRY(sky_ncw_rows(w, "time", SKY_VPRM_PIECE));
  SKY_TRY(sky_ncw_var(w, "time", 'd', "time"));
  SKY_TRY(sky_ncw_att(w, "time", "standard_name", "time"));
  SKY_TRY(sky_ncw_att(w, "time", "long_name", "start of the hour"));
  SKY_TRY(sky_ncw_att(w, "time", "units", "seconds since 1970-01-01 00:00:00"));
  SKY_TRY(sky_ncw_att(w, "time", "calendar", "standard"));
  SKY_TRY(sky_ncw_att(w, "time", "bounds", "time_bnds"));
  SKY_TRY(sky_ncw_grid(w, g)); /* makes the dimension bnds */
  SKY_TRY(sky_ncw_var(w, "time_bnds", 'd', "time,bnds"));
  for (size_t k = 0; k < FIELDS; k++) {
    const char *name = fields[k].name;
    SKY_TRY(sky_ncw_var(w, name, 'f', g->geographic ? "time,lat,lon" : "time,y,x"));
    SKY_TRY(sky_ncw_att_num(w, name, "_FillValue", NAN));
    SKY_TRY(sky_ncw_att(w, name, "long_name", fields[k].long_name));
    SKY_TRY(sky_ncw_att(w, name, "units", "umol m-2 s-1"));
    SKY_TRY(sky_ncw_att(w, name, "grid_mapping", "crs"));
    if (!g->geographic) SKY_TRY(sky_ncw_att(w, name, "coordinates", "lat lon"));
    SKY_TRY(sky_ncw_att(w, name, "cell_methods", "time: mean area: mean"));
    SKY_TRY(sky_ncw_att(w, name, "cell_measures", "area: cell_area"));
  }
  return SKY_OK;
}

sky_status sky_vprm_file_create(sky_context *ctx, const sky_vprm_options *opt,
                                const sky_vprm_set *set, const sky_grid *grid,
                                sky_vprm_file **out) {
  sky_vprm_file *f = SKY_NEW0(ctx, sky_vprm_file, 1);
  sky_status st = SKY_OK;
  if (f == NULL) return SKY_E_NOMEM;
  f->ctx = ctx;
  f->cells = sky_grid_cells(grid);
  f->limit = sky_context_memory(ctx) / (f->cells * FIELDS * sizeof(float));
  for (size_t k = 0; k < FIELDS; k++)
    SKY_GO_ALLOC(f->value[k], SKY_NEW(ctx, double, SKY_VPRM_PIECE * f->cells));
  SKY_GO(sky_ncw_create(ctx, opt->out, &f->w));
  SKY_GO(put_origin(ctx, f->w, opt, set));
  SKY_GO(define(f->w, grid));
  *out = f;
cleanup:
  if (st != SKY_OK) sky_vprm_file_abort(f);
  return st;
}

static sky_status flush(sky_vprm_file *f) {
  if (f->n == 0) return SKY_OK;
  SKY_TRY(sky_ncw_put_rows(f->w, "time", f->done, f->n, f->start));
  SKY_TRY(sky_ncw_put_rows(f->w, "time_bnds", f->done, f->n, f->bounds));
  for (size_t k = 0; k < FIELDS; k++)
    SKY_TRY(sky_ncw_put_rows(f->w, fields[k].name, f->done, f->n, f->value[k]));
  f->done += f->n;
  f->n = 0;
  return SKY_OK;
}

sky_status sky_vprm_file_put(sky_vprm_file *f, double start, const double *gpp,
                             const double *respiration) {
  const size_t at = f->n * f->cells;
  if (f->done + f->n == f->limit)
    return sky_fail(
        f->ctx, SKY_E_NOMEM,
        "%s: %zu hours of %zu cells do not fit the memory budget; raise --memory or run "
        "fewer hours",
        sky_ncw_path(f->w), f->done + f->n + 1, f->cells);
  for (size_t c = 0; c < f->cells; c++) {
    f->value[NEE][at + c] = (respiration[c] - gpp[c]) * MICRO;
    f->value[GPP][at + c] = gpp[c] * MICRO;
    f->value[RESPIRATION][at + c] = respiration[c] * MICRO;
  }
  f->start[f->n] = f->bounds[2 * f->n] = start;
  f->bounds[2 * f->n + 1] = start + HOUR;
  return ++f->n == SKY_VPRM_PIECE ? flush(f) : SKY_OK;
}

sky_status sky_vprm_file_commit(sky_vprm_file *f) {
  sky_status st = flush(f);
  if (st == SKY_OK) {
    st = sky_ncw_commit(f->w);
    f->w = NULL;
  }
  sky_vprm_file_abort(f);
  return st;
}

void sky_vprm_file_abort(sky_vprm_file *f) {
  if (f == NULL) return;
  sky_ncw_abort(f->w);
  file_free(f);
}
