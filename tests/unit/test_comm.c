/* The one-rank communicator. */
#include <pthread.h>

#include "src/engine/comm.h"
#include "tests/support/sky_cmocka.h"

static void test_collectives(void **state) {
  sky_context *ctx = *state;
  sky_comm *c;
  assert_int_equal(sky_comm_create(ctx, &c), SKY_OK);
  assert_int_equal(sky_comm_rank(c), 0);
  assert_int_equal(sky_comm_size(c), 1);
  assert_int_equal(sky_comm_barrier(c), SKY_OK);
  int mine[3] = {1, 2, 3}, all[3] = {0};
  assert_int_equal(sky_comm_bcast(c, mine, sizeof mine, 0), SKY_OK);
  assert_int_equal(mine[2], 3);
  assert_fails(ctx, sky_comm_bcast(c, mine, sizeof mine, 1), SKY_E_INTERNAL, "rank 1");
  assert_int_equal(sky_comm_allgather(c, mine, sizeof mine, all, sizeof all), SKY_OK);
  assert_memory_equal(mine, all, sizeof all);
  assert_fails(ctx, sky_comm_allgather(c, mine, 4, all, 8), SKY_E_INTERNAL, "4 bytes into 8");
  sky_comm_free(c);
  sky_comm_free(NULL);
}

#define TOTAL 10000

typedef struct drawer {
  sky_comm *c;
  unsigned char *drawn;
} drawer;

static void *draw(void *p) {
  drawer *d = p;
  for (size_t i; (i = sky_comm_next(d->c, TOTAL)) != SIZE_MAX;)
    d->drawn[i]++;
  return NULL;
}

static void test_counter_gives_each_index_once(void **state) {
  static unsigned char drawn[TOTAL];
  drawer d = {NULL, drawn};
  assert_int_equal(sky_comm_create(*state, &d.c), SKY_OK);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, draw, &d), 0);
  for (int i = 0; i < 4; i++)
    pthread_join(threads[i], NULL);
  for (size_t i = 0; i < TOTAL; i++)
    assert_int_equal(drawn[i], 1);
  assert_true(sky_comm_next(d.c, TOTAL) == SIZE_MAX);
  sky_comm_free(d.c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      SKY_UNIT(test_collectives),
      SKY_UNIT(test_counter_gives_each_index_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
