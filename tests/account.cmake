# Bottom-up accounting: factors, the kernel, placement, the command.
sky_test(test_factor_tables SOURCES unit/test_factor_tables.c LIBS skyflux_core LABELS inventory)
sky_test(test_factors SOURCES unit/test_factors.c LIBS skyflux_algorithms LABELS inventory)
sky_test(test_account SOURCES unit/test_account.c LIBS skyflux_algorithms LABELS inventory)
sky_test(test_place SOURCES unit/test_place.c LIBS skyflux_algorithms LABELS inventory)
sky_test(test_gridder SOURCES unit/test_gridder.c LIBS skyflux_algorithms LABELS inventory)
sky_test(test_activity SOURCES unit/test_activity.c LIBS skyflux_read LABELS inventory)
sky_script(account_job cli/test_account_job.py LABELS inventory)
sky_script(account cli/test_account.py LABELS inventory)
