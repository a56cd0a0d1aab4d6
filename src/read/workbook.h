/* workbook.h: inventory workbooks (sector × fuel sheets; city × year tables) through GDAL's XLSX.
 *
 * Masses come out in kg yr-1 of CO2. Sheets whose name ends in a year ("Beijing2019") are one
 * region each: rows sectors, columns fuels + "Process" + "Scope_1_Total"; scope 2 columns are kept
 * apart. Vector tables have columns city, year, emission. */
#ifndef SKY_READ_WORKBOOK_H
#define SKY_READ_WORKBOOK_H

#include "skyflux/context.h"

typedef struct sky_region_total {
  char *region; /* as written: "Beijing", "安徽合肥" */
  int year;
  double scope1;       /* kg yr-1: sum over sectors and fuels + process */
  double scope2;       /* kg yr-1: electricity + heat columns; 0 where the book has them empty */
  double stated_total; /* the workbook's own Scope_1_Total of its total row; NaN if none */
  size_t n_sectors, n_fuels;
} sky_region_total;

typedef struct sky_workbook {
  size_t n;
  sky_region_total *item; /* sorted by region (bytes), then year */
  char format[24];        /* "ceads-sector-fuel", "ceads-city-vector" */
  char unit[32];
} sky_workbook;

/* year: 0 = every year. The closed audit (Σ sectors × fuels = stated total to 1e-6) is logged per
 * region; a region that does not close is a warning with both numbers. */
SKY_NODISCARD sky_status sky_workbook_read(sky_context *ctx, const char *path, int year,
                                           sky_workbook *out);
void sky_workbook_free(sky_workbook *w);

#endif
