# sky_test(NAME SOURCE… LIBS room…): a cmocka test that may use SKYFLUX_DATA and the built binary.
# Its waiting threads sleep, as those of the commands do: spinning costs a busy machine far more than
# the test itself.
function(sky_test name)
  cmake_parse_arguments(T "" "" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_LIBS} PkgConfig::CMOCKA)
  target_compile_definitions(${name} PRIVATE SKYFLUX_DATA="${SKYFLUX_DATA}"
                             SKYFLUX_SOURCE="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300 LABELS "${T_LABELS}"
    ENVIRONMENT "SKYFLUX_WORKER=$<TARGET_FILE:skyflux_cli>;OMP_WAIT_POLICY=passive")
endfunction()
# sky_script(NAME SCRIPT): a Python (Debian's) or shell script; gets the binary, the data folder and a
# fresh work folder as its arguments. Exit 77 = skipped.
function(sky_script name script)
  cmake_parse_arguments(T "" "" "ARGS;LABELS" ${ARGN})
  if(script MATCHES "\\.py$")
    set(run "${SKYFLUX_PYTHON}")
  else()
    set(run bash)
  endif()
  add_test(NAME ${name} COMMAND ${run} "${CMAKE_CURRENT_SOURCE_DIR}/${script}"
    $<TARGET_FILE:skyflux_cli> "${SKYFLUX_DATA}" "${CMAKE_CURRENT_BINARY_DIR}/work/${name}"
    "${CMAKE_SOURCE_DIR}" ${T_ARGS})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600 LABELS "${T_LABELS}")
endfunction()
