/* sector_table.h: sectors-GAS.csv: every zone and the whole grid, sector by sector. */
#ifndef SKY_JOB_SECTOR_TABLE_H
#define SKY_JOB_SECTOR_TABLE_H

#include "src/job/job.h"

/* From stages/posterior-GAS.nc; totals and sds in t yr-1, empty where there is none. The rows of a
 * zone end with the sum of its sectors, the table with the whole grid (zone_id empty). */
SKY_NODISCARD sky_status sky_sector_table_write(sky_context *ctx, const sky_job *job,
                                                const char *gas);
#endif
