#!/usr/bin/python3
"""permian.yaml against the stored IMI result, recomputed in numpy from the raw files.

arguments: BINARY DATA WORK SOURCE. Exit 77: the real files are not there."""
import csv
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, shared, work, source = sys.argv[1:5]
imi = os.path.join(shared, "data/imi_permian_testcase")
if not os.path.isdir(imi):
    print("skipped: no real files at", imi)
    sys.exit(77)
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "run", os.path.join(source, "tests/real/permian.yaml"), "--set",
                f"data={shared}/data", "--set", f"job.output={work}/out", "-q"], check=True)


def values(path, name):
    with Dataset(path) as f:
        return np.ma.filled(f[name][:].astype(float), np.nan)


stored = values(f"{imi}/inversion_result.nc", "xhat")
post = f"{work}/out/stages/posterior-ch4.nc"
error = np.max(np.abs(values(post, "x") - stored))
assert error < 1e-12, f"posterior differs from the stored one by {error}"
spost = np.sqrt(np.diag(values(f"{imi}/inversion_result.nc", "S_post")))
assert np.max(np.abs(values(post, "x_sd") / spost - 1)) < 1e-12

label = values(f"{imi}/StateVector.nc", "StateVector").squeeze()
scale = values(f"{imi}/gridded_posterior.nc", "ScaleFactor")
prior = values(f"{imi}/prior.nc", "EmisCH4_Total_ExclSoilAbs")
soil = values(f"{imi}/prior.nc", "EmisCH4_SoilAbsorb")
area = values(f"{imi}/prior.nc", "AREA")
year = 365.2425 * 86400
with open(f"{work}/out/zones.csv") as f:
    rows = {r["zone_id"]: r for r in csv.DictReader(f)}
for zone, lo, hi in (("core", 1, 15), ("buffer", 16, 23)):
    inside = (label >= lo) & (label <= hi)
    want = np.sum(((prior * scale + soil) * area)[inside]) * year / 1e3
    have = float(rows[zone]["posterior_t_yr"])
    # The file's cell areas are those of a sphere, ours of the ellipsoid: below 0.5 %.
    assert abs(have / want - 1) < 5e-3, (zone, have, want)
    print(zone, have, want)
    # The same with our own areas, exactly: the field times the area of the written NetCDF.
    field = values(f"{work}/out/fields.nc", "ch4_posterior") * 1e-9
    cell = values(f"{work}/out/fields.nc", "cell_area")
    mine = np.sum((field * cell)[inside]) * 16.0425e-3 * year / 1e3
    assert abs(have / mine - 1) < 1e-9, (zone, have, mine)
core = rows["core"]
assert abs(float(core["prior_t_yr"]) / 0.119e6 - 1) < 0.01
assert abs(float(core["posterior_t_yr"]) / 0.148e6 - 1) < 0.01
assert core["status"] == "insufficient information", core
assert rows["buffer"]["status"] == "not comparable" and "buffer" in rows["buffer"]["reason"]
assert rows["outside"]["status"] == "not comparable"
assert np.isnan(values(post, "cell_posterior")).sum() == 576
ak = values(post, "cell_ak").reshape(label.shape)
assert abs(np.nansum(np.where((label >= 1) & (label <= 15), ak, 0)) - 0.037) < 5e-4
print("ok")
