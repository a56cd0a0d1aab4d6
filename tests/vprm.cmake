# Vegetation fluxes (VPRM): the kernel, the indices and the commands against numpy.
sky_test(test_vprm SOURCES unit/test_vprm.c LIBS skyflux_algorithms LABELS unit)
sky_script(vprm_real real/test_vprm_real.py LABELS real long)
# Throughput, for tests/bench/bench_vprm.py; a short run of it checks that it runs and agrees.
add_executable(vprm_kernels support/vprm_kernels.c)
target_link_libraries(vprm_kernels PRIVATE skyflux_algorithms OpenMP::OpenMP_C)
sky_script(bench_vprm bench/bench_vprm.py ARGS $<TARGET_FILE:vprm_kernels> --cells 65536 --seconds 0.05
           LABELS bench)
sky_script(vprm_prior cli/test_vprm_prior.py LABELS cli long)
