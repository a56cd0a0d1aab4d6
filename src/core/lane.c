/* lane.c: the I/O lane, one process-wide mutex (the only mutable global beside one-time tables). */
#include "src/core/lane.h"

#include <pthread.h>

static pthread_mutex_t lane = PTHREAD_MUTEX_INITIALIZER;

void sky_lane_lock(void) {
  pthread_mutex_lock(&lane);
}
void sky_lane_unlock(void) {
  pthread_mutex_unlock(&lane);
}
