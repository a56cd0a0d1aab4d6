/* number.h: decimal numbers as people write them, strictly. */
#ifndef SKY_CORE_NUMBER_H
#define SKY_CORE_NUMBER_H

#include <stdbool.h>

/* Finite decimal number at the start of text (leading blanks allowed; no hexadecimal, "inf" or
 * "nan", no overflow). rest: where it ends; NULL = nothing but blanks may follow. */
bool sky_number_parse(const char *text, double *value, const char **rest);

#endif
