/* status.c: names and exit codes of the status values, from one table. */
#include "skyflux/status.h"

#include <stddef.h>

static const struct {
  sky_status status;
  const char *name;
  int exit_code;
} STATUS[] = {
    {SKY_OK, "ok", 0},
    {SKY_E_USAGE, "wrong usage", 2},
    {SKY_E_JOB, "job file invalid", 2},
    {SKY_E_MISSING, "file missing", 3},
    {SKY_E_READ, "file unreadable", 3},
    {SKY_E_FORMAT, "format not as declared", 3},
    {SKY_E_UNITS, "unit invalid", 3},
    {SKY_E_NODATA, "no usable data", 4},
    {SKY_E_RANGE, "value out of range", 3},
    {SKY_E_COVERAGE, "coverage insufficient", 3},
    {SKY_E_MASS, "mass not conserved", 1},
    {SKY_E_GAS, "wrong gas", 3},
    {SKY_E_NOT_SPD, "matrix not positive definite", 1},
    {SKY_E_SIZE, "problem too large", 1},
    {SKY_E_NOMEM, "out of memory", 1},
    {SKY_E_DISK, "output not writable", 1},
    {SKY_E_CANCELLED, "cancelled", 1},
    {SKY_E_WORKER, "worker process failed", 1},
    {SKY_E_PARTIAL, "finished in part", 5},
    {SKY_E_INTERNAL, "internal error", 1},
};

const char *sky_status_name(sky_status status) {
  for (size_t i = 0; i < sizeof STATUS / sizeof *STATUS; i++) {
    if (STATUS[i].status == status) return STATUS[i].name;
  }
  return "unknown status";
}

int sky_status_exit_code(sky_status status) {
  for (size_t i = 0; i < sizeof STATUS / sizeof *STATUS; i++) {
    if (STATUS[i].status == status) return STATUS[i].exit_code;
  }
  return 1;
}
