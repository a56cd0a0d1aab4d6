# Inversion: factorisation, covariance, both solvers, the problem file and the command.
add_library(sky_fixture_problem STATIC unit/fixture_problem.c)
target_include_directories(sky_fixture_problem PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}/unit")
target_link_libraries(sky_fixture_problem PUBLIC skyflux_algorithms PkgConfig::CMOCKA)

sky_test(test_cholesky SOURCES unit/test_cholesky.c LIBS sky_fixture_problem)
sky_test(test_covariance SOURCES unit/test_covariance.c LIBS sky_fixture_problem)
sky_test(test_bayes SOURCES unit/test_bayes.c LIBS sky_fixture_problem)
sky_test(test_information SOURCES unit/test_information.c LIBS sky_fixture_problem skyflux_read)
sky_test(test_osse SOURCES property/test_osse.c LIBS sky_fixture_problem)
sky_script(job_layers cli/test_layers.py)
sky_script(test_invert_S cli/test_invert.py ARGS S)
sky_script(test_invert_M cli/test_invert.py ARGS M)

# Fluxes that cannot be negative: modes, chains and samplers.
add_executable(sampler_tool support/sampler_tool.c)
target_link_libraries(sampler_tool PRIVATE skyflux_read skyflux_algorithms)
add_executable(chains_tool support/chains_tool.c)
target_link_libraries(chains_tool PRIVATE skyflux_algorithms)
sky_script(chains_numpy property/test_chains_numpy.py ARGS $<TARGET_FILE:chains_tool>)
sky_script(sampler_run real/test_sampler_run.py ARGS $<TARGET_FILE:sampler_tool> LABELS real)
sky_test(test_truncated SOURCES unit/test_truncated.c LIBS sky_fixture_problem)
sky_test(test_lognormal SOURCES unit/test_lognormal.c LIBS sky_fixture_problem)
