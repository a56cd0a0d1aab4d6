# Ecosystem sinks: area tensor, stock change and its errors, the class reader, the command, the stage.
sky_test(test_sink SOURCES unit/test_sink.c LIBS skyflux_algorithms LABELS unit)
sky_test(test_sink_measures SOURCES unit/test_sink_measures.c LIBS skyflux_algorithms LABELS unit)
sky_test(test_raster SOURCES unit/test_raster.c LIBS skyflux_read LABELS read)
sky_script(sink_command cli/test_sink.py LABELS cli)
sky_script(sink_tensor cli/test_sink_tensor.py LABELS cli)
sky_script(sink_job cli/test_sink_job.py LABELS cli)
sky_script(sink_real real/test_sink_real.py LABELS real)
sky_script(sink_tables unit/test_sink_tables.py LABELS unit)
