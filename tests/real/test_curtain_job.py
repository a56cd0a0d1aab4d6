#!/usr/bin/python3
"""A job whose background comes from real boundary curtains and the particles that left at them, for two gases: the
baseline of each observation is the mean of its soundings' backgrounds, and the posterior is that of numpy.

arguments: BINARY DATA WORK SOURCE. Exit 77: the real files are not there."""
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, shared, work, source = sys.argv[1:5]
data = os.path.join(shared, "data")
FOOT = f"{data}/footprints/THW-column_NAME_UMG_EUROPE_TEST_inert_202304.nc"
BOUND = f"{data}/inventories/boundary_ch4_EUROPE_201208.nc"
if not (os.path.exists(FOOT) and os.path.exists(BOUND)):
    print("skipped: no real files at", data)
    sys.exit(77)
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
with open(f"{source}/tests/real/harwell.yaml", encoding="utf-8") as f:
    text = f.read()
text = text.replace("../shared/data", data)
entry = text[text.index("soundings:\n"):text.index("footprints:\n")]
curtain = f"""
  - files: ["${{data}}/openghg_column/hw20230402_20230402.public.qc.nc"]
    product: tccon
    gases: [ch4]
    background: boundary
    boundary: {BOUND}
    boundary_footprints: ["{FOOT}"]
    boundary_error: 10 ppb

"""
text = text.replace(entry, entry.replace("gases: [co2, ch4, n2o]", "gases: [co2, n2o]").rstrip() + curtain)
text = text.replace("background: {mean: prior_column, sd: 30 ppb, per: day}",
                    "background: {mean: soundings, sd: 30 ppb, per: overpass}")
with open(f"{work}/job.yaml", "w", encoding="utf-8") as f:
    f.write(text)
done = subprocess.run([binary, "run", f"{work}/job.yaml", "--progress=none", "--set", f"job.output={work}/out"],
                      capture_output=True, text=True)
assert done.returncode == 0, done.stderr


def load(kind, gas):
    with Dataset(f"{work}/out/stages/{kind}-{gas}.nc") as d:
        return ({k: np.ma.filled(v[:].astype(float), np.nan) for k, v in d.variables.items()
                 if v.dtype != str and v.dtype.kind in "fiu"}, {k: d.getncattr(k) for k in d.ncattrs()})


s, _ = load("soundings", "ch4")
p, att = load("problem", "ch4")
q, _ = load("posterior", "ch4")
assert int(p["n_soundings"].sum()) > 30
# Curtains differ from the retrieval's prior column, and lie within what methane does.
given = np.sort(s["background"][np.isfinite(s["background"])]) * 1e-9
assert given.size and 1.7e-6 < given[0] <= given[-1] < 2.1e-6, given[[0, -1]]
# y is what the column has above the curtain, without the flux that the state does not move.
assert np.abs(p["y"] - (p["observed"] - p["baseline"] - p["fixed"])).max() < 1e-15
assert given[0] - 1e-12 <= p["baseline"].min() and p["baseline"].max() <= given[-1] + 1e-12
weighted = (p["baseline"] * p["n_soundings"]).sum() / p["n_soundings"].sum()
if p["n_soundings"].sum() == given.size:
    assert abs(weighted / given.mean() - 1) < 1e-12, (weighted, given.mean())
n, m = len(p["y"]), len(p["x0"])
H = np.zeros((n, m))
row, col = p["H_rowptr"].astype(int), p["H_col"].astype(int)
for i in range(n):
    H[i, col[row[i]:row[i + 1]]] = p["H_data"][row[i]:row[i + 1]]
B = (p["group"][:, None] == np.arange(len(p["b0"]))).astype(float)
lon, lat = np.deg2rad(p["xc"]), np.deg2rad(p["yc"])
h = np.sin((lat[:, None] - lat) / 2)**2 + np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2)**2
Q = p["x_sd"][:, None] * np.exp(-2 * 6371.0088 * np.arcsin(np.sqrt(h)) / att["Lx_km"]) * p["x_sd"]
psi = H @ Q @ H.T + B * p["b_sd"]**2 @ B.T + np.diag(p["r_sd"]**2)
x = p["x0"] + Q @ (H.T @ np.linalg.solve(psi, p["y"] - H @ p["x0"]))
assert np.abs(q["x"] - x).max() < 1e-6 * np.abs(x).max()
c, _ = load("problem", "co2")  # the other gas keeps its prior column
assert np.isfinite(c["baseline"]).all() and 380e-6 < c["baseline"].min() < c["baseline"].max() < 440e-6
print(f"{n} observations, curtains {1e9 * given[0]:.1f} to {1e9 * given[-1]:.1f} ppb, as numpy")
