/* status.h: the one return type of everything that can fail.
 *
 * Codes are grouped by culprit, so that a caller (and the exit code) knows who has to act:
 *   1xx the command line or the job file, 2xx a file, 3xx the data in it, 4xx numerics,
 *   5xx resources, 9xx a defect of skyflux.
 * The text that belongs to a failure is kept in the context (context.h). */
#ifndef SKYFLUX_STATUS_H
#define SKYFLUX_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SKY_NODISCARD __attribute__((warn_unused_result))
#define SKY_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define SKY_NODISCARD
#define SKY_PRINTF(f, a)
#endif

typedef enum sky_status {
  SKY_OK = 0,
  SKY_E_USAGE = 100,     /* wrong option or argument */
  SKY_E_JOB = 101,       /* the job file breaks its schema */
  SKY_E_MISSING = 200,   /* input file does not exist or cannot be opened */
  SKY_E_READ = 201,      /* input is truncated or corrupt */
  SKY_E_FORMAT = 202,    /* structure not as declared: variable, dimension, unknown product */
  SKY_E_UNITS = 203,     /* unit missing, not parseable or not convertible */
  SKY_E_NODATA = 300,    /* nothing usable is left */
  SKY_E_RANGE = 301,     /* value outside its legal range */
  SKY_E_COVERAGE = 302,  /* grids or zones do not cover each other as required */
  SKY_E_MASS = 303,      /* a mass audit does not close */
  SKY_E_GAS = 304,       /* the wrong gas for this stage */
  SKY_E_NOT_SPD = 400,   /* matrix is not symmetric positive definite */
  SKY_E_SIZE = 401,      /* beyond the stated limit of the method */
  SKY_E_NOMEM = 500,     /* allocation failed, or the memory budget is too small */
  SKY_E_DISK = 501,      /* output cannot be written (disk full, permission) */
  SKY_E_CANCELLED = 502, /* cancelled by the user or a signal */
  SKY_E_WORKER = 503,    /* a worker process died or timed out */
  SKY_E_PARTIAL = 510,   /* finished, but some inputs failed; they are listed */
  SKY_E_INTERNAL = 900   /* a defect of skyflux */
} sky_status;

/* Short lower-case name of a status ("file missing"); never NULL. */
const char *sky_status_name(sky_status status);

/* Process exit code: 0 ok, 1 failed, 2 usage or job file, 3 input missing, unreadable or unfit,
 * 4 no usable data, 5 partial. */
int sky_status_exit_code(sky_status status);

#ifdef __cplusplus
}
#endif
#endif
