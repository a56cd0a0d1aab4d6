/* version.h: what `skyflux --version` prints: skyflux, its libraries, how it was built. */
#ifndef SKY_CLI_VERSION_H
#define SKY_CLI_VERSION_H

#include "skyflux/context.h"

SKY_NODISCARD sky_status sky_version_print(sky_context *ctx);

#endif
