# Everything that goes out: writers alone, then their files opened with other programs.
sky_test(test_write SOURCES unit/test_write.c LIBS skyflux_write LABELS unit)
add_executable(write_sample support/write_sample.c)
target_link_libraries(write_sample PRIVATE skyflux_write)
sky_script(test_write_files cli/test_write_files.py ARGS $<TARGET_FILE:write_sample> LABELS cli)
sky_script(test_report cli/test_report.py ARGS $<TARGET_FILE:write_sample> LABELS cli)
