# Whole jobs: the three real ones, resume and determinism, bad input.
sky_script(job_resume cli/test_resume.py)
sky_script(job_plan cli/test_plan.py)
sky_script(job_bad_input cli/test_bad_input.py)
sky_script(real_harwell real/test_harwell.py)
sky_script(real_stilt real/test_stilt.py)
sky_script(real_permian real/test_permian.py)
sky_script(real_china real/test_china.py)
sky_script(job_reported cli/test_reported.py)
