# Comparison, column operator and the golden files of the algorithms.
sky_test(test_compare SOURCES unit/test_compare.c LIBS sky_fixture_problem)
sky_test(test_fuse SOURCES unit/test_fuse.c LIBS sky_fixture_problem)
sky_test(test_column SOURCES unit/test_column.c LIBS skyflux_algorithms)
sky_test(test_golden SOURCES golden/test_golden.c LIBS sky_fixture_problem)
# Cleaning and background against numpy and scipy.
add_executable(column_kernels support/column_kernels.c)
target_link_libraries(column_kernels PRIVATE skyflux_algorithms)
sky_script(column_kernels property/test_column_numpy.py ARGS $<TARGET_FILE:column_kernels>)
