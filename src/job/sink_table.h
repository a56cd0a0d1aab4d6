/* sink_table.h: ecosystem sinks of zones from two class maps, and their table: the one way that the
 * command `sink` and the stage of a job share.
 *
 * open -> the caller reads the zones on `grid` -> make -> rows, CSV. Signs: a stock change is
 * positive where the land gains carbon, a removal positive where it takes up; every number named
 * flux is to the atmosphere. */
#ifndef SKY_JOB_SINK_TABLE_H
#define SKY_JOB_SINK_TABLE_H

#include "src/engine/raster_pass.h"
#include "src/job/sink_fractions.h"
#include "src/job/sink_local.h"
#include "src/job/sink_sites.h"
#include "src/read/raster.h"

typedef struct sky_sink_options {
  const char *maps[SKY_TENSOR_DATES]; /* paths */
  double years[SKY_TENSOR_DATES];     /* ascending */
  size_t n_date;                      /* of both, at least 2 */
  const char *zones;                  /* path, for the list of inputs, NULL = none */
  const char *legend;                 /* built-in, or FILE.csv */
  const char *fractions;              /* instead of maps, years, legend: sink_fractions.h; NULL */
  const char *factors, *pools;        /* one of them; pools: FILE.csv */
  const char *soil;                   /* NULL: soil carbon is not computed */
  const char *plots;                  /* inventory, instead of the biomass of factors; NULL */
  const char *overrides;              /* own values of factor rows; NULL */
  const char *tillage, *input, *grazing; /* of soils; NULL: as the reference */
  const char *climate, *climate_sets;    /* instead of factors: map, and the set of each code */
  const char *soil_map, *soil_types;     /* instead of soil: map, and the type of each code */
  sky_local_options local;               /* Tier 2 of each zone */
  double accuracy, places;               /* NaN: not stated (sky_sink_how) */
  double correlation;                    /* of map errors */
  const char *reference; /* sample: columns map_1, map_2, true_1, true_2, units; two dates; NULL */
  bool persistence;      /* a class that is back at the next date never left */
  const char *const *allowed; /* keys of unverified rows */
  size_t n_allowed;
  sky_pass_options pass;
} sky_sink_options;

typedef struct sky_sink {
  sky_sink_options opt;
  sky_raster *map;         /* the first */
  const sky_grid *grid;    /* of all maps */
  sky_fractions fractions; /* n 0: none */
  sky_legend legend;
  bool *seen;        /* [legend rows] a pixel has it */
  sky_zones zones;   /* in the CRS of grid, by the caller: the zones of the table, then others */
  size_t n_zone;     /* zones of the table */
  double *area;      /* [n_zone] m2 of the whole zone */
  sky_strata areas;  /* of all zones and dates */
  sky_tensor tensor; /* of the last period, all places */
  size_t n_class;
  bool *shown;             /* [n_class] some zone of the table has it */
  bool *changed;           /* [n_class] some zone of the table changes into or out of it */
  sky_sites sites;         /* what holds where */
  sky_sink_local *local;   /* [n_zone] Tier 2; NULL: none */
  const sky_sink_set *set; /* of the first site: names of the classes */
  bool stocks;             /* some site has them */
  bool totals;             /* some site's are totals of ecosystems, without parts and uptake */
  sky_reference reference; /* n_class 0: none */
  size_t n_period, n_row;
  sky_sink_row *rows;        /* [n_row = n_period*n_zone*(n_class+1)], the last period's first */
  sky_sink_estimate *change; /* [n_zone*(n_class+1)] uptake of the last period less that of the one
                              * before, kg C yr-1; NULL with one period */
} sky_sink;

/* A legend is a built-in one or the path of a .csv. */
bool sky_sink_legend_is_file(const char *legend);
/* All maps on one grid, and the legend. */
SKY_NODISCARD sky_status sky_sink_open(sky_context *ctx, const sky_sink_options *opt, sky_sink *s);
/* Areas of all zones, factors of all classes in them, rows of the zones of the table. Of a shard of
 * the pass, nothing. */
SKY_NODISCARD sky_status sky_sink_make(sky_context *ctx, sky_sink *s);
/* Of all places, as the options have it. */
sky_site_options sky_sink_site_options(const sky_sink *s);
void sky_sink_close(sky_sink *s); /* NULL-safe members, zeroes */

/* Whether a row belongs into the table: classes that occur, in zones that have any; the zone itself
 * always. */
bool sky_sink_row_shown(const sky_sink *s, const sky_sink_row *row);
const char *sky_sink_row_class(const sky_sink *s, const sky_sink_row *row); /* "all": the zone */
/* SKY_E_USAGE for a set of totals of ecosystems: `what` takes uptake, or parts of the stock. */
SKY_NODISCARD sky_status sky_sink_need_parts(sky_context *ctx, const sky_sink *s, const char *what);
/* What kind of numbers these are, and why a zone is empty or not whole ("" if it is whole); the
 * reason is a literal or in out. */
#define SKY_SINK_REASON 64
const char *sky_sink_stock_label(const sky_sink *s, const sky_sink_row *row);
const char *sky_sink_uptake_label(const sky_sink *s, const sky_sink_row *row);
const char *sky_sink_reason(const sky_sink *s, size_t zone, char out[SKY_SINK_REASON]);
double sky_sink_covered(const sky_sink *s, size_t zone); /* share that lies in the maps */
bool sky_sink_empty(const sky_sink *s, size_t zone);     /* no class at both dates */
/* Class i has no annual gain in the set. */
bool sky_sink_no_gain(const sky_sink *s, size_t i);

/* Numbers of a row in reporting units, by column. */
typedef enum sky_sink_number {
  SKY_SINK_AREA_1,
  SKY_SINK_AREA_2,
  SKY_SINK_CHANGE,
  SKY_SINK_STOCK_CHANGE,
  SKY_SINK_STOCK_SD,
  SKY_SINK_STOCK_LOW,
  SKY_SINK_STOCK_HIGH,
  SKY_SINK_BIOMASS_T,
  SKY_SINK_DEAD_T,
  SKY_SINK_SOIL_T,
  SKY_SINK_SOIL_UNKNOWN,
  SKY_SINK_STOCK_FLUX,
  SKY_SINK_REMOVAL,
  SKY_SINK_REMOVAL_SD,
  SKY_SINK_REMOVAL_LOW,
  SKY_SINK_REMOVAL_HIGH,
  SKY_SINK_UPTAKE_FLUX,
  SKY_SINK_UPTAKE_FLUX_SD,
  SKY_SINK_ZONE_AREA,
  SKY_SINK_COVERED,
  SKY_SINK_NODATA,
  SKY_SINK_NUMBERS
} sky_sink_number;
extern const char *const sky_sink_number_names[SKY_SINK_NUMBERS];
void sky_sink_numbers(const sky_sink *s, const sky_sink_row *row, double v[SKY_SINK_NUMBERS]);

SKY_NODISCARD sky_status sky_sink_write_csv(sky_context *ctx, const sky_sink *s, const char *path);
/* The area tensor: a row for each zone, place and sequence of classes. */
SKY_NODISCARD sky_status sky_sink_write_areas(sky_context *ctx, const sky_sink *s,
                                              const char *path);

#endif
