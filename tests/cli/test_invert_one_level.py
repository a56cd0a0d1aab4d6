#!/usr/bin/python3
"""The reference problems with their prior as one level of FFT in place of a dense matrix: every printed digit, by every
method. arguments: BINARY DATA WORK SOURCE S|M"""
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK, SOURCE, NAME = sys.argv[1:6]
sys.path.insert(0, f"{SOURCE}/tests/support")
import invert_command as invert

WORK = f"{WORK}_{NAME}"
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
invert.use(BINARY)
source, path, out = f"{WORK}/source.nc", f"{WORK}/levels.nc", f"{WORK}/out.nc"
if not os.path.exists(os.path.join(DATA, "problems", "S.nc")):
    print("skipped: no reference problems at", DATA)
    sys.exit(77)
if NAME == "S":
    source = os.path.join(DATA, "problems", "S.nc")
else:
    maker = os.path.join(DATA, "problems", "make_problem.py")
    subprocess.run(["/usr/bin/python3", maker, source, "30", "30", "8", "1500"], check=True, capture_output=True)

with netCDF4.Dataset(source) as f, netCDF4.Dataset(path, "w") as g:
    for name, d in f.dimensions.items():
        g.createDimension(name, d.size)
    g.createDimension("level", 1)
    for name, v in f.variables.items():
        g.createVariable(name, v.dtype, v.dimensions)[:] = v[:]
    g.createVariable("cell_width", "f8", ("cell",))[:] = 10.0
    for name, v in dict(x0=0, y0=0, dx=10, dy=10, nx=int(f.nx), ny=int(f.ny), sigma=2, length=60).items():
        g.createVariable(f"level_{name}", "f8", ("level",))[:] = v
    g.setncatts({"level_models": "spherical", "cov_time": "spherical", "Lt_steps": 4.0, "sigma_r": 0.5, "nt": int(f.nt)})

gold = [line.split() for line in open(f"{SOURCE}/tests/golden/problems.gold") if line.startswith(NAME + " ")]
assert len(gold) > 5
for method in ("exact", "iterative", "banded"):
    a = invert.solve(path, "-m", method, "-o", out)
    x = np.array(netCDF4.Dataset(out)["posterior"][:]).ravel()
    seen = 0
    for _, key, digits in gold:
        got = x[int(key[2:-1])] if key.startswith("x[") else a.get(key)
        if got is None:  # maps of sd are left out by the band
            assert method == "banded" and key == "mean_posterior_sd", (method, key)
            continue
        assert f"{got:.{len(digits.split('.')[1])}f}" == digits, (method, key, got, digits)
        seen += 1
    print(f"{NAME} as one level, {method}: {seen} of {len(gold)} numbers in all digits")
