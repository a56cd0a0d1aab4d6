# The raster engine and zonal statistics.
sky_test(test_cover SOURCES unit/test_cover.c LIBS skyflux_grids LABELS unit)
sky_test(test_cell_area SOURCES unit/test_cell_area.c LIBS skyflux_grids LABELS unit)
sky_test(test_quantile SOURCES unit/test_quantile.c LIBS skyflux_grids LABELS unit)
sky_test(test_raster_pass SOURCES unit/test_raster_pass.c LIBS skyflux_engine PkgConfig::GDAL LABELS unit)
sky_script(zonal_command cli/test_zonal.py LABELS cli)
sky_script(regrid_command cli/test_regrid.py LABELS cli)
sky_script(zonal_zones cli/test_zonal_zones.py LABELS cli)
sky_script(zonal_real real/test_zonal_real.py LABELS real)
