# Granules of every retrieval product, made with known content, and independent readers of them.
sky_script(product_layouts products/test_product_layouts.py LABELS products)
sky_script(enhancement products/test_enhancement.py LABELS products)
