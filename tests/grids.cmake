# Geometry: areas, polygons, regridding.
sky_test(test_grid SOURCES unit/test_grid.c LIBS skyflux_grids LABELS unit)
