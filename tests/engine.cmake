# The raster engine and zonal statistics.
sky_test(test_cover SOURCES unit/test_cover.c LIBS skyflux_grids LABELS unit)
sky_test(test_cell_area SOURCES unit/test_cell_area.c LIBS skyflux_grids LABELS unit)
sky_test(test_quantile SOURCES unit/test_quantile.c LIBS skyflux_grids LABELS unit)
sky_test(test_raster_pass SOURCES unit/test_raster_pass.c LIBS skyflux_engine PkgConfig::GDAL LABELS unit)
sky_script(zonal_command cli/test_zonal.py LABELS cli)
sky_script(zonal_many cli/test_zonal.py ARGS many LABELS cli)
sky_script(zonal_zones cli/test_zonal_zones.py LABELS cli)
sky_script(zonal_tree cli/test_zonal_tree.py LABELS cli)
sky_test(test_resample SOURCES unit/test_resample.c LIBS skyflux_engine PkgConfig::GDAL LABELS unit)
sky_script(regrid_command cli/test_regrid.py LABELS cli
  ARGS against_sums projected peers memory uniform classes mosaic copy presets
       damage_and_refusals own_extent info)
sky_script(regrid_bytes cli/test_regrid.py ARGS same_bytes LABELS cli)
sky_script(regrid_systems cli/test_regrid.py ARGS other_systems LABELS cli)
sky_script(zonal_output cli/test_zonal_output.py LABELS cli)
sky_script(zonal_real real/test_zonal_real.py LABELS real)
sky_script(zonal_resume fault/test_zonal_resume.py LABELS fault)
sky_script(zonal_limits fault/test_zonal_limits.py LABELS fault)
