/* number.c: strtod() without the forms that a table or a job file does not mean. */
#include "src/core/number.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

bool sky_number_parse(const char *text, double *value, const char **rest) {
  while (isspace((unsigned char)*text))
    text++;
  const char *p = text + (*text == '+' || *text == '-');
  if (!isdigit((unsigned char)*p) && !(*p == '.' && isdigit((unsigned char)p[1]))) return false;
  if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) return false;
  char *end;
  const double v = strtod(text, &end);
  if (!isfinite(v)) return false;
  if (rest != NULL) {
    *rest = end;
  } else {
    while (isspace((unsigned char)*end))
      end++;
    if (*end != '\0') return false;
  }
  *value = v;
  return true;
}
