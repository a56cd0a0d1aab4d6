# What comes in gridded or as polygons: footprints, fluxes, information, workbooks, zones.
add_library(sky_fixture_gridded STATIC unit/fixture_gridded.c)
target_link_libraries(sky_fixture_gridded PUBLIC skyflux_read)

sky_test(test_footprint SOURCES unit/test_footprint.c LIBS sky_fixture_gridded LABELS read)
sky_test(test_flux SOURCES unit/test_flux.c LIBS sky_fixture_gridded LABELS read)
sky_test(test_read_information SOURCES unit/test_read_information.c LIBS sky_fixture_gridded LABELS read)
