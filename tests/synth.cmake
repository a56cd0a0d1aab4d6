# The demo scene, and the demo job from end to end; the city.
sky_script(synth_scene cli/test_synth_scene.py)
sky_script(synth_run cli/test_synth_run.py)
sky_script(synth_city cli/test_synth_city.py)
sky_script(synth_city_run cli/test_synth_city_run.py)
sky_test(test_synth_memory SOURCES fault/test_synth_memory.c LIBS skyflux_job)
sky_test(test_synth_city_draw SOURCES unit/test_synth_city_draw.c LIBS skyflux_job)
