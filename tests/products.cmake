# Granules of every retrieval product, made with known content, and independent readers of them.
sky_script(product_layouts products/test_product_layouts.py LABELS products)
sky_script(enhancement products/test_enhancement.py LABELS products)
sky_test(test_profile_column SOURCES unit/test_profile_column.c LIBS skyflux_algorithms LABELS products)
sky_script(granules_damaged fault/test_granules_damaged.py LABELS read real fault)
sky_script(granules_damaged_all fault/test_granules_damaged.py ARGS 50 200 LABELS read real fault long)
set_tests_properties(granules_damaged_all PROPERTIES TIMEOUT 7200)
sky_script(product_soundings products/test_product_soundings.py LABELS products)
sky_script(product_controls products/controls.py LABELS products)
