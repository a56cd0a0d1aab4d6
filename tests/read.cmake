# Retrieval products: the NetCDF reader, the declarations and their engine, harmonised soundings.
add_library(sky_fixture_granule STATIC unit/fixture_granule.c)
target_link_libraries(sky_fixture_granule PUBLIC skyflux_read)

sky_test(test_granule SOURCES unit/test_granule.c LIBS sky_fixture_granule LABELS read)
sky_test(test_soundings SOURCES unit/test_soundings.c LIBS sky_fixture_granule skyflux_write
         LABELS read)
sky_test(test_product SOURCES unit/test_product.c LIBS skyflux_read LABELS read)
sky_test(test_declare SOURCES unit/test_declare.c LIBS skyflux_read LABELS read)
sky_test(test_nc SOURCES unit/test_nc.c LIBS sky_fixture_granule LABELS read)
sky_test(test_products_real SOURCES real/test_products_real.c LIBS skyflux_read LABELS read real)
sky_test(test_granule_damage SOURCES fault/test_granule_damage.c LIBS skyflux_read
         LABELS read real fault)
add_dependencies(test_granule_damage skyflux_cli) # the worker's program
sky_script(soundings_real real/test_soundings_real.py LABELS read real)
sky_script(readers_real real/test_readers_real.py LABELS read real)
# The column operator on real granules against numpy.
add_executable(column_tool support/column_tool.c)
target_link_libraries(column_tool PRIVATE skyflux_read skyflux_algorithms)
sky_script(column_numpy real/test_column_numpy.py ARGS $<TARGET_FILE:column_tool> LABELS read real)
# The background of soundings in an inversion.
sky_script(background_job cli/test_background_job.py LABELS cli)
sky_script(wind_background cli/test_wind_background.py LABELS cli)
sky_script(chosen_again cli/test_chosen_again.py LABELS cli read)
sky_script(soundings_stream cli/test_soundings_stream.py LABELS cli read)
sky_script(boundary_real real/test_boundary_real.py LABELS read real)
sky_script(anomalies_real real/test_anomalies_real.py LABELS read real)
