/* cog_codec.h: one tile compressed as TIFF stores it, and back.
 *
 * Differencing of neighbours (TIFF predictor 2) for integers, of the bytes of floats (predictor 3,
 * Adobe Photoshop TIFF Technical Note 3), none for classes; then DEFLATE or ZSTD. Little-endian. */
#ifndef SKY_WRITE_COG_CODEC_H
#define SKY_WRITE_COG_CODEC_H

#include "src/write/cog_stream.h"

typedef struct sky_cog_coder sky_cog_coder; /* of one thread */

/* predictor: 1, 2 or 3. */
SKY_NODISCARD sky_status sky_cog_coder_create(sky_context *ctx, sky_cog_codec codec, int level,
                                              int predictor, sky_cog_type type,
                                              sky_cog_coder **out);
void sky_cog_coder_free(sky_cog_coder *c); /* NULL-safe */
/* *bytes belongs to the coder and is valid until its next call. */
SKY_NODISCARD sky_status sky_cog_encode(sky_context *ctx, sky_cog_coder *c, const void *tile,
                                        const void **bytes, size_t *n);
/* SKY_E_READ if the bytes are no tile. */
SKY_NODISCARD sky_status sky_cog_decode(sky_context *ctx, sky_cog_coder *c, const void *bytes,
                                        size_t n, void *tile);
size_t sky_cog_coder_bytes(sky_cog_type type); /* memory, about */

#endif
