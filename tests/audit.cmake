# Audits of the tree and of the binary, and their negative controls.
foreach(what includes science lists reductions headers ldd)
  add_test(NAME audit_${what}
    COMMAND "${SKYFLUX_PYTHON}" -B "${CMAKE_CURRENT_SOURCE_DIR}/audit/audit.py" ${what}
            "${CMAKE_SOURCE_DIR}" "$<TARGET_FILE:skyflux_cli>")
  set_tests_properties(audit_${what} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 120 LABELS audit)
endforeach()
add_test(NAME audit_controls
  COMMAND "${SKYFLUX_PYTHON}" -B "${CMAKE_CURRENT_SOURCE_DIR}/audit/controls.py")
set_tests_properties(audit_controls PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 120 LABELS audit)
