# The demo scene, and the demo job from end to end.
sky_script(synth_scene cli/test_synth_scene.py)
sky_script(synth_run cli/test_synth_run.py)
sky_test(test_synth_memory SOURCES fault/test_synth_memory.c LIBS skyflux_job)
