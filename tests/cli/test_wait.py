#!/usr/bin/python3
"""Threads that wait do not spin: an iteration with two threads takes about the processor time of one, with the
same bytes. arguments: BINARY DATA WORK SOURCE"""
import os
import resource
import subprocess
import sys

binary, shared, work, source = sys.argv[1:5]
os.makedirs(work, exist_ok=True)
problem = f"{shared}/problems/S.nc"
if not os.path.exists(problem):
    print("skipped: no reference problems at", shared)
    sys.exit(77)
environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}


def seconds(threads):
    out = f"{work}/{threads}.nc"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([binary, "invert", "--problem", problem, "--method", "iterative", "--threads", str(threads),
                    "-q", "--progress=none", "-o", out], check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(out, "rb") as f:
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, f.read()


one, bytes_one = seconds(1)
two, bytes_two = seconds(2)
print(f"processor time: {one:.2f} s with one thread, {two:.2f} s with two")
assert bytes_one == bytes_two
assert two < 1.5 * one + 0.3, (one, two)
