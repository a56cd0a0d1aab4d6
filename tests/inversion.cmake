# Inversion: factorisation, covariance, both solvers, the problem file and the command.
add_library(sky_fixture_problem STATIC unit/fixture_problem.c)
target_link_libraries(sky_fixture_problem PUBLIC skyflux_algorithms PkgConfig::CMOCKA)

sky_test(test_cholesky SOURCES unit/test_cholesky.c LIBS sky_fixture_problem)
