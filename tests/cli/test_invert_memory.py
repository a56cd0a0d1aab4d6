#!/usr/bin/python3
"""What does not fit says so, with sizes and limit, before it allocates: dense modes on a problem of very many
observations, and on one of very many unknowns, whose matrices no machine holds.
arguments: BINARY DATA WORK SOURCE"""
import os
import re
import resource
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

binary, shared, work, source = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)


def write(name, n_obs, nx, ny, nt):
    path, m = f"{work}/{name}.nc", nx * ny * nt
    with netCDF4.Dataset(path, "w") as f:
        for k, n in (("obs", n_obs), ("state", m), ("cell", nx * ny), ("nnz", n_obs), ("rowp", n_obs + 1)):
            f.createDimension(k, n)

        def put(var, dim, value, kind="f8"):
            f.createVariable(var, kind, dim)[:] = value

        put("y", "obs", 2 + np.arange(n_obs) % 3)
        put("x0", "state", 2)
        xc, yc = np.meshgrid(10.0 * np.arange(nx), 10.0 * np.arange(ny))
        put("xc", "cell", xc.ravel())
        put("yc", "cell", yc.ravel())
        put("H_data", "nnz", 1)
        put("H_col", "nnz", np.arange(n_obs) % m, "i4")
        put("H_rowptr", "rowp", np.arange(n_obs + 1), "i4")
        put("overpass", "obs", np.arange(n_obs) % 2, "i4")
        f.setncatts({"nx": nx, "ny": ny, "nt": nt, "Lx_km": 35.0, "Lt_steps": 2.5, "sigma_r": 0.5, "sigma_q": 1.0,
                     "cov": "spherical in space and time"})
    return path


def refused(path, *args):
    done = subprocess.run([binary, "invert", "--problem", path, "--progress=none", "-q",
                           "--memory", "1G", *args], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and not done.stdout, (args, done)
    found = re.search(r"(\d+) MB, the memory budget is 1074 MB", done.stderr)
    assert found and int(found.group(1)) > 1074, (args, done.stderr)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # kB, of the largest so far
    assert peak < 1000e3, (args, peak)
    print(args, done.stderr.strip())


many = write("many", 60000, 2, 2, 1)
for args in (("--method", "exact"), ("--method", "geostatistical"), ("--tune", "sigma_q,sigma_r"),
             ("--tune", "sigma_r", "--desroziers"), ("--screen",), ("--huber", "2"), ("--osse", "20"),
             ("--method", "iterative", "--tolerance", "1e-6", "--diagnose")):
    refused(many, *args)
wide = write("wide", 300, 20, 20, 100)
for args in (("--sign", "nonnegative"), ("--sign", "lognormal"), ("--sign", "lognormal", "--samples", "100")):
    refused(wide, *args)
small = write("small", 60, 6, 5, 2)
refused(small, "--sign", "nonnegative", "--samples", "100000000")
# The iteration, which holds none of them, answers.
done = subprocess.run([binary, "invert", "--problem", many, "--progress=none", "-q", "--memory", "1G"],
                      capture_output=True, text=True, timeout=120)
assert done.returncode == 0 and "iterative" in done.stdout, done
