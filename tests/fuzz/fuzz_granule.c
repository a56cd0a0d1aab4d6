/* fuzz_granule.c: granules that are sound as files and wild in their values. The bytes are orders
 * to overwrite single values of a small granule (OCO Lite or TROPOMI); then it is decoded. */
#include <math.h>
#include <netcdf.h>
#include <unistd.h>

#include "src/core/file.h"
#include "src/read/granule.h"
#include "src/read/soundings.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fixture_granule.h"

typedef struct order {
  uint8_t variable, item, kind;
  int8_t exponent;
  int16_t mantissa;
} order;

static double value_of(const order *o) {
  static const double SPECIAL[] = {0,         -1,      1,        NAN,        INFINITY,
                                   -INFINITY, -999999, -9999.99, 9.96921e36, 1e308,
                                   -1e308,    5e-324,  255,      184,        4294967295.0};
  if (o->kind < sizeof SPECIAL / sizeof *SPECIAL) return SPECIAL[o->kind];
  return ldexp(o->mantissa, o->exponent % 60);
}

/* The variable number of that order among all of a group and its groups. */
static bool put(int group, int *number, const order *o) {
  int n = 0, groups = 0, sub[16];
  if (nc_inq_nvars(group, &n) != NC_NOERR || n > 64) return true;
  for (int v = 0; v < n; ++v) {
    if ((*number)-- != 0) continue;
    size_t index[8] = {0}, rest = o->item;
    int ndims = 0, dims[8];
    nc_inq_varndims(group, v, &ndims);
    nc_inq_vardimid(group, v, dims);
    for (int k = ndims - 1; k >= 0; --k) {
      size_t length = 1;
      nc_inq_dimlen(group, dims[k], &length);
      index[k] = length > 0 ? rest % length : 0;
      rest = length > 0 ? rest / length : 0;
    }
    const double x = value_of(o);
    (void)nc_put_var1_double(group, v, index, &x);
    return true;
  }
  if (nc_inq_grps(group, &groups, NULL) != NC_NOERR || groups > 16) return true;
  nc_inq_grps(group, &groups, sub);
  for (int g = 0; g < groups; ++g)
    if (put(sub[g], number, o)) return true;
  return false;
}

static void check(const sky_soundings *s, const size_t drops[SKY_DROP_COUNT], size_t most) {
  HOLDS(s->n <= most);
  size_t good = 0;
  for (size_t i = 0; i < s->n; ++i) {
    HOLDS(s->drop[i] < SKY_DROP_COUNT && !isnan(s->x[i]));
    if (s->drop[i] != SKY_DROP_NONE) continue;
    ++good;
    HOLDS(s->x[i] > 0 && s->x[i] < 1e-2 && s->sigma[i] > 0);
    HOLDS(fabs(s->lat[i]) <= 90 && fabs(s->lon[i]) <= 180 && isfinite(s->time[i]));
    HOLDS(s->n_levels == 0 || sky_kernel_check(s, i, 1e-4, 1e-4) == SKY_KERNEL_SOUND);
  }
  HOLDS(good == drops[SKY_DROP_NONE]);
}

/* The granules as they were written once. */
static void write_copy(sky_context *ctx, int which, const char *path) {
  static char *bytes[2];
  static size_t length[2];
  if (bytes[which] == NULL) {
    if (which == 0) fixture_write_lite(path, &(lite_options){0});
    if (which == 1) fixture_write_s5p(path, &(s5p_options){0});
    HOLDS(sky_file_read_text(ctx, path, &bytes[which], &length[which]) == SKY_OK);
  }
  FILE *f = fopen(path, "wb");
  HOLDS(f != NULL && fwrite(bytes[which], 1, length[which], f) == length[which]);
  HOLDS(fclose(f) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const sky_selection ALL = {.start = NAN, .end = NAN, .keep_dropped = true};
  static char path[2][128];
  sky_context *ctx = fuzz_context();
  if (size < 1) return 0;
  const int which = data[0] & 1;
  if (path[0][0] == '\0') {
    for (int k = 0; k < 2; ++k)
      snprintf(path[k], sizeof path[k], "/dev/shm/skyflux-fuzz-%d-%d.nc", (int)getpid(), k);
  }
  write_copy(ctx, which, path[which]);
  int file;
  HOLDS(nc_open(path[which], NC_WRITE, &file) == NC_NOERR);
  for (size_t at = 1; at + sizeof(order) <= size && at < 60 * sizeof(order); at += sizeof(order)) {
    order o;
    memcpy(&o, data + at, sizeof o);
    int number = o.variable % 24;
    (void)put(file, &number, &o);
  }
  HOLDS(nc_close(file) == NC_NOERR);
  sky_soundings s = {0};
  size_t drops[SKY_DROP_COUNT];
  const sky_status st = sky_granule_decode(ctx, path[which], NULL, NULL, &ALL, &s, drops);
  fuzz_refused(ctx, st);
  if (st == SKY_OK) check(&s, drops, which == 0 ? LITE_N : S5P_N);
  sky_soundings_free(&s);
  unlink(path[which]);
  return 0;
}
