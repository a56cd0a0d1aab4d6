# The demo scene, and the demo job from end to end; the city.
sky_script(synth_scene cli/test_synth_scene.py)
sky_script(synth_run cli/test_synth_run.py)
sky_script(synth_city cli/test_synth_city.py)
sky_script(synth_city_run cli/test_synth_city_run.py)
sky_script(city_warnings cli/test_city_warnings.py)
sky_test(test_synth_memory SOURCES fault/test_synth_memory.c LIBS skyflux_job)
sky_test(test_synth_city_draw SOURCES unit/test_synth_city_draw.c LIBS skyflux_job)
# 200 invented cities each: coverage of every interval.
sky_script(city_coverage property/test_city_coverage.py ARGS matched LABELS long)
sky_script(city_coverage_mismatched property/test_city_coverage.py ARGS mismatched LABELS long)
set_tests_properties(city_coverage city_coverage_mismatched PROPERTIES TIMEOUT 3600)
