/* worker.c: see worker.h. */
#include "src/engine/worker.h"
