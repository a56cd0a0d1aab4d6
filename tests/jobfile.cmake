# The job-file machine: tree, schema, messages, documents.
sky_test(test_jobfile SOURCES unit/test_jobfile.c LIBS skyflux_core m)
sky_test(test_jobfile_gold SOURCES golden/test_jobfile_gold.c LIBS skyflux_core)
