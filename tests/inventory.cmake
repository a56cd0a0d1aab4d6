# What comes in gridded or as polygons: footprints, fluxes, information, workbooks, zones.
add_library(sky_fixture_gridded STATIC unit/fixture_gridded.c)
target_link_libraries(sky_fixture_gridded PUBLIC skyflux_read)

sky_test(test_footprint SOURCES unit/test_footprint.c LIBS sky_fixture_gridded LABELS read)
sky_test(test_curvilinear SOURCES unit/test_curvilinear.c LIBS sky_fixture_gridded skyflux_job LABELS read)
sky_test(test_flux SOURCES unit/test_flux.c LIBS sky_fixture_gridded LABELS read)
sky_test(test_read_information SOURCES unit/test_read_information.c LIBS sky_fixture_gridded LABELS read)
sky_test(test_zones_ogr SOURCES unit/test_zones_ogr.c LIBS skyflux_read LABELS read)
sky_test(test_workbook SOURCES unit/test_workbook.c LIBS skyflux_read LABELS read)

# Cross-checks in Python ask the readers through this program.
add_executable(show_inventory support/show_inventory.c)
target_link_libraries(show_inventory PRIVATE skyflux_read)
sky_script(footprint_raw cli/test_footprint_raw.py LABELS read)
sky_script(inventory_raw cli/test_inventory_raw.py ARGS $<TARGET_FILE:show_inventory> LABELS read)
sky_script(regrid_cdo property/test_regrid_cdo.py ARGS $<TARGET_FILE:show_inventory> LABELS property)
sky_script(regrid_ogr property/test_regrid_ogr.py ARGS $<TARGET_FILE:show_inventory> LABELS property)
