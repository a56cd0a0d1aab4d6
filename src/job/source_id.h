/* source_id.h: SHA-256 over the sources that this program was built from (made at build time). */
#ifndef SKY_JOB_SOURCE_ID_H
#define SKY_JOB_SOURCE_ID_H

const char *sky_source_id(void);

#endif
