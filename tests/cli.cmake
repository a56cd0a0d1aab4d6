# The command line's frame.
sky_script(test_cli_frame cli/test_cli_frame.py)
