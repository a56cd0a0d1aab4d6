# Core and engine: context, memory, numbers, time, tables, units, files, workers.
foreach(topic context memory sum_rng time table units file)
  sky_test(test_${topic} SOURCES unit/test_${topic}.c LIBS skyflux_core LABELS unit)
endforeach()
sky_test(test_comm SOURCES unit/test_comm.c LIBS skyflux_engine LABELS unit)
sky_test(test_worker SOURCES unit/test_worker.c LIBS skyflux_engine LABELS unit)
sky_script(test_embed unit/test_embed.py LABELS unit)
