/* jobfile_rules.h: words that the rules of a job are written in (private to src/core), and the
 * rules that stand in files of their own. */
#ifndef SKY_CORE_JOBFILE_RULES_H
#define SKY_CORE_JOBFILE_RULES_H

#include <string.h>

#include "src/core/memory.h"
#include "src/core/schema.h"

/* Where a fault of node[path] stands: at the key if it is there, else at its map. */
static inline sky_status fault(sky_faults *f, const sky_node *node, const char *path,
                               const char *message) {
  const sky_node *at = sky_node_get(node, path);
  return at != NULL ? sky_fault_at(f, at, "%s", message)
                    : sky_fault_key(f, node, path, "%s", message);
}

static inline bool is(const sky_node *node, const char *path, const char *text) {
  const char *own = sky_node_text(node, path);
  return own != NULL && text != NULL && strcmp(own, text) == 0;
}

static inline const sky_node *find(const sky_node *list, const char *key, const char *value) {
  for (size_t i = 0; i < sky_node_count(list); i++) {
    if (is(sky_node_item(list, i), key, value)) return sky_node_item(list, i);
  }
  return NULL;
}

/* Every key of the list that the user gave is a fault. */
static inline sky_status no_effect(sky_faults *f, const sky_node *map, const char *const *keys,
                                   const char *message) {
  for (; *keys != NULL; keys++) {
    if (sky_node_given(map, *keys)) SKY_TRY(fault(f, map, *keys, message));
  }
  return SKY_OK;
}

/* Why `floor`, of an inversion or of a sector, does not go with sign lognormal. */
#define SKY_NO_FLOOR "a cell without prior flux stays at 0 with sign lognormal, so it has no error"

/* Rules of sinks[] (jobfile_sinks.c); and of an inversion whose second layer one is (sink NULL: it
 * is not there, which another rule says). */
SKY_NODISCARD sky_status sky_rule_sinks(const sky_node *root, sky_faults *f);
SKY_NODISCARD sky_status sky_rule_sink_layer(sky_faults *f, const sky_node *sink,
                                             const sky_node *inversion);
/* `smoothness` stands beside correlation matern alone; space: of distances between cells. */
SKY_NODISCARD sky_status sky_rule_smoothness(const sky_node *root, sky_faults *f,
                                             const sky_node *map, bool space);
/* What the keys of an inversion's solution must be to each other (jobfile_solver.c). */
SKY_NODISCARD sky_status sky_rule_solvers(const sky_node *root, sky_faults *f);
/* Sectors of an inversion and their mixing (jobfile_sectors.c). */
SKY_NODISCARD sky_status sky_rule_sectors(const sky_node *root, sky_faults *f);
#endif
