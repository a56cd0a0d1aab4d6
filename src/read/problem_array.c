/* problem_array.c: see problem_array.h. */
#include "src/read/problem_array.h"

#include <math.h>
#include <string.h>

#include "src/core/memory.h"
#include "src/core/number.h"
#include "src/core/text.h"

static bool fits(const sky_axis *axis, size_t size) {
  return axis->size == SIZE_MAX || axis->size == size;
}

/* Dimensions j and k could change places without a length that tells. */
static bool exchangeable(const sky_nc_var *v, const sky_axis *axis, size_t j, size_t k) {
  return fits(&axis[j], v->size[k]) && fits(&axis[k], v->size[j]);
}

static bool named(const sky_nc_var *v, const sky_axis *axis, size_t dim, size_t k) {
  return strcmp(v->dim[dim], axis[k].name) == 0;
}

static bool agrees(const sky_nc_var *v, size_t n, const sky_axis *axis) {
  if (v->ndims != (int)n) return false;
  for (size_t k = 0; k < n; k++)
    if (!fits(&axis[k], v->size[k])) return false;
  for (size_t j = 0; j < n && n > 1; j++)
    for (size_t k = 0; k < n; k++) {
      if (j == k) continue;
      if (named(v, axis, j, k)) return false; /* the name of another place */
      if (exchangeable(v, axis, j, k) && !named(v, axis, j, j) && !named(v, axis, k, k))
        return false;
    }
  return true;
}

/* The last axis, a state, as the two that it is made of; false where it is none. */
static bool split_state(const sky_problem *p, size_t n, const sky_axis *axis,
                        sky_axis split[SKY_AXES_MAX]) {
  if (p == NULL || p->n_time == 0 || p->n_cell == 0 || n + 1 > SKY_AXES_MAX ||
      strcmp(axis[n - 1].name, "state") != 0)
    return false;
  memcpy(split, axis, (n - 1) * sizeof *axis);
  split[n - 1] = (sky_axis){"time", p->n_time};
  split[n] = (sky_axis){"cell", p->n_cell};
  return true;
}

static void put_expected(sky_text *t, size_t n, const sky_axis *axis) {
  for (size_t k = 0; k < n; k++)
    if (axis[k].size == SIZE_MAX)
      sky_text_printf(t, "%s%s", k > 0 ? ", " : "", axis[k].name);
    else
      sky_text_printf(t, "%s%s = %zu", k > 0 ? ", " : "", axis[k].name, axis[k].size);
}

static sky_status refuse(sky_context *ctx, const sky_nc *f, const sky_problem *p, const char *var,
                         const sky_nc_var *v, size_t n, const sky_axis *axis) {
  sky_axis split[SKY_AXES_MAX];
  sky_text has = {.ctx = ctx}, want = {.ctx = ctx};
  for (int k = 0; k < v->ndims; k++)
    sky_text_printf(&has, "%s%s = %zu", k > 0 ? ", " : "", v->dim[k], v->size[k]);
  put_expected(&want, n, axis);
  if (split_state(p, n, axis, split)) {
    sky_text_put(&want, ") or (");
    put_expected(&want, n + 1, split);
  }
  const sky_status st =
      has.failed || want.failed
          ? SKY_E_NOMEM
          : sky_fail(ctx, SKY_E_FORMAT, "%s: %s: dimensions (%s) (expected (%s)%s)", sky_nc_path(f),
                     var, v->ndims > 0 ? has.data : "none", want.data,
                     n > 1 ? ", in this order, with these names where lengths do not tell" : "");
  sky_text_free(&has);
  sky_text_free(&want);
  return st;
}

sky_status sky_problem_array(sky_context *ctx, sky_nc *f, const sky_problem *p, const char *var,
                             size_t n, const sky_axis *axis, size_t *length, double **out) {
  sky_axis split[SKY_AXES_MAX];
  sky_nc_var v;
  SKY_TRY(sky_nc_info(ctx, f, var, &v));
  const bool whole = agrees(&v, n, axis);
  if (!whole && !(split_state(p, n, axis, split) && agrees(&v, n + 1, split)))
    return refuse(ctx, f, p, var, &v, n, axis);
  SKY_TRY(sky_nc_read(ctx, f, var, &v, out));
  for (size_t i = 0; i < v.count; i++)
    if (!isfinite((*out)[i]))
      return sky_fail(ctx, SKY_E_RANGE, "%s: %s[%zu] is %g (expected a finite number)",
                      sky_nc_path(f), var, i, (*out)[i]);
  for (size_t k = 0; length != NULL && k < n; k++)
    length[k] = !whole && k + 1 == n ? v.size[k] * v.size[k + 1] : v.size[k];
  return SKY_OK;
}

sky_status sky_problem_vector(sky_context *ctx, sky_nc *f, const char *var, const char *dim,
                              size_t size, size_t *length, double **out) {
  const sky_axis axis = {dim, size};
  return sky_problem_array(ctx, f, NULL, var, 1, &axis, length, out);
}

sky_status sky_problem_state(sky_context *ctx, sky_nc *f, const sky_problem *p, const char *var,
                             double **out) {
  const sky_axis axis = {"state", p->n_state};
  return sky_problem_array(ctx, f, p, var, 1, &axis, NULL, out);
}

sky_status sky_problem_number(sky_context *ctx, sky_nc *f, const char *name, double *out) {
  char *text = NULL;
  double one;
  SKY_TRY(sky_nc_attr_number(ctx, f, "", name, out));
  SKY_TRY(sky_nc_attr_text(ctx, f, "", name, &text));
  const bool single = text == NULL || sky_number_parse(text, &one, NULL) || !isfinite(*out);
  const sky_status st = single ? SKY_OK
                               : sky_fail(ctx, SKY_E_FORMAT, "%s: %s: '%s' (expected one number)",
                                          sky_nc_path(f), name, text);
  sky_free(text);
  return st;
}
