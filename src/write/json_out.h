/* json_out.h: JSON files of a job (run.json, run.log.json, item.json) with stable bytes.
 *
 * Keys stand as they were added; numbers are the shortest text that reads back to the same double
 * (integers without a point), NaN and infinities are null; two-space indent, newline at the end. */
#ifndef SKY_WRITE_JSON_OUT_H
#define SKY_WRITE_JSON_OUT_H

#include <cjson/cJSON.h>

#include "skyflux/context.h"

/* Shortest decimal text that strtod reads back to v; out holds at least 32 bytes. "null", "NaN"
 * etc. are up to the caller: v must be finite. */
void sky_number_text(double v, char out[32]);
/* Whole document as text, malloc'd (sky_free), without the final newline when indent is false. */
char *sky_json_text(sky_context *ctx, const cJSON *json, bool indent);
/* Atomic write (file.h). */
SKY_NODISCARD sky_status sky_json_write(sky_context *ctx, const char *path, const cJSON *json);

#endif
