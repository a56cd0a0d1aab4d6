# The command line's frame.
sky_script(test_cli_frame cli/test_cli_frame.py)
# What skyflux run prints.
sky_script(test_run_table cli/test_run_table.py LABELS cli)
# README.md: what it shows of the demo, and its recipe for another place.
sky_script(test_readme cli/test_readme.py LABELS cli)
# Soundings onto a grid.
sky_script(test_level3 cli/test_level3.py LABELS cli)
# A full disk, a killed worker, memory.
sky_script(grid_limits fault/test_grid_limits.py LABELS cli fault)
sky_script(level3_real real/test_level3_real.py LABELS real)
# Values that no option can take (minutes).
sky_script(garbage_values fault/test_garbage.py LABELS long)
