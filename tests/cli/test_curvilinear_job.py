#!/usr/bin/python3
"""The demo job with its inventory on a curvilinear grid that is the regular one in disguise: the
same zones, and a cell whose edges cross ends the run. arguments: BINARY DATA WORK SOURCE"""
import csv
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, _, work, _ = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "synth", "demo", f"{work}/scene", "-q"], check=True)
NAME = "inventory_ch4_demo_2019.nc"
# The footprints' axes are float32: equal grids are taken cell by cell, quadrilaterals are cut by them.
TOLERANCE = {"inventory_t_yr": 1e-9, "inventory_sd_t_yr": 1e-9, "prior_t_yr": 1e-9,
             "covered_fraction": 1e-9, "posterior_t_yr": 1e-5}
CORNER_X, CORNER_Y = np.array([-0.5, 0.5, 0.5, -0.5]), np.array([-0.5, -0.5, 0.5, 0.5])


def write(curvilinear, crossed=False):
    """The inventory with axes, or cells, without the float32 noise of the file."""
    with Dataset(f"{work}/{NAME}") as d, Dataset(f"{work}/scene/{NAME}", "w") as out:
        lon, lat, flux = (np.asarray(d[n][:], float) for n in ("lon", "lat", "flux"))
        lon, lat = np.round(lon, 4), np.round(lat, 4)
        x, y = np.meshgrid(lon, lat)
        bx = x[..., None] + 0.05 * CORNER_X
        by = y[..., None] + 0.05 * CORNER_Y
        if crossed:
            bx[3, 7, :2] = bx[3, 7, 1::-1]
        dims = ("j", "i") if curvilinear else ("lat", "lon")
        for name, n in (("time", 1), (dims[0], lat.size), (dims[1], lon.size), ("corner", 4)):
            out.createDimension(name, n)
        time = out.createVariable("time", "f8", ("time",))
        time.units, time[:] = d["time"].units, d["time"][:]
        for name, axis, values, bounds, unit in (("lon", lon, x, bx, "degrees_east"),
                                                 ("lat", lat, y, by, "degrees_north")):
            v = out.createVariable(name, "f8", dims if curvilinear else (name,))
            v.units, v[:] = unit, values if curvilinear else axis
            if curvilinear:
                v.bounds = name + "_edges"
                out.createVariable(v.bounds, "f8", (*dims, "corner"))[:] = bounds
        v = out.createVariable("flux", "f8", ("time", *dims))
        v.units, v[:] = d["flux"].units, flux.reshape(1, lat.size, lon.size)


def run(name, code=0):
    r = subprocess.run([binary, "run", f"{work}/scene/demo.yaml", "--set", f"job.output={work}/{name}",
                        "--progress=none"], capture_output=True, text=True)
    assert r.returncode == code, (r.returncode, r.stderr)
    if code:
        return r.stderr
    with open(f"{work}/{name}/zones.csv") as f:
        return list(csv.DictReader(f))


shutil.move(f"{work}/scene/{NAME}", f"{work}/{NAME}")
write(curvilinear=False)
want = run("regular")
write(curvilinear=True)
got = run("curvilinear")
assert len(got) == len(want) > 3
for a, b in zip(got, want):
    for key, tolerance in TOLERANCE.items():
        assert (a[key] == "") == (b[key] == ""), (key, a[key], b[key])
        if b[key]:
            assert abs(float(a[key]) - float(b[key])) <= tolerance * abs(float(b[key])), (key, a[key], b[key])
assert any(r["inventory_t_yr"] and float(r["inventory_t_yr"]) > 1e5 for r in want)
write(curvilinear=True, crossed=True)
message = run("crossed", code=3)
assert "cell 7 of row 3 (both from 0) has edges that cross" in message, message
