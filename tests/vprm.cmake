# Vegetation fluxes (VPRM): the kernel, the indices and the commands against numpy.
sky_test(test_vprm SOURCES unit/test_vprm.c LIBS skyflux_algorithms LABELS unit)
sky_script(vprm_real real/test_vprm_real.py LABELS real)
