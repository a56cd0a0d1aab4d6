# Geometry: areas, polygons, regridding.
sky_test(test_grid SOURCES unit/test_grid.c LIBS skyflux_grids LABELS unit)
sky_test(test_longitude SOURCES unit/test_longitude.c LIBS skyflux_grids LABELS unit)
sky_test(test_outline SOURCES unit/test_outline.c LIBS skyflux_grids LABELS unit)
sky_test(test_mesh SOURCES unit/test_mesh.c LIBS skyflux_grids LABELS unit)
sky_test(test_zone SOURCES unit/test_zone.c LIBS skyflux_grids LABELS unit)
sky_test(test_regrid SOURCES unit/test_regrid.c LIBS skyflux_grids LABELS unit)
sky_test(test_clip SOURCES unit/test_clip.c LIBS skyflux_grids LABELS unit)
sky_test(test_quad SOURCES unit/test_quad.c LIBS skyflux_grids LABELS unit)
