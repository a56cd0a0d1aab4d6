#include "src/write/report.h"
sky_status sky_report_write(sky_context *ctx, const char *path, const sky_report *r) {
  (void)path; (void)r; return sky_fail(ctx, SKY_E_INTERNAL, "not yet");
}
