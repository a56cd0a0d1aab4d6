#!/usr/bin/python3
"""Threads that wait sleep unless the user says otherwise, as the OpenMP runtime itself states; an iteration gives
the same bytes with one thread and two, and whether or not the user has set how threads wait: OpenBLAS takes the same
kernels. arguments: BINARY DATA WORK SOURCE"""
import os
import re
import subprocess
import sys

binary, shared, work, source = sys.argv[1:5]
os.makedirs(work, exist_ok=True)
problem = f"{shared}/problems/S.nc"
if not os.path.exists(problem):
    print("skipped: no reference problems at", shared)
    sys.exit(77)
bare = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}


def run(threads, **more):
    """The file, and the spins of a waiting thread, of the process that did the work."""
    out = f"{work}/{threads}.nc"
    r = subprocess.run([binary, "invert", "--problem", problem, "--method", "iterative", "--threads", str(threads),
                        "-q", "--progress=none", "-o", out], check=True, capture_output=True, text=True,
                       env=bare | {"OMP_DISPLAY_ENV": "verbose"} | more)
    with open(out, "rb") as f:
        return f.read(), re.findall(r"GOMP_SPINCOUNT = '(\d+)'", r.stderr)[-1]


one, spins_one = run(1)
two, spins_two = run(2)
assert one == two
assert spins_one == spins_two == "0", (spins_one, spins_two)
active, spins_active = run(2, OMP_WAIT_POLICY="active")
assert spins_active != "0" and active == one
print("waiting threads sleep, or spin where the user asks for it; same bytes")
