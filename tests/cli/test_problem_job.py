#!/usr/bin/python3
"""The problem file of a job is a door: `skyflux invert --problem` answers for the job's zones with the job's own
numbers, in every mode, and runs experiments on its statistics. arguments: BINARY DATA WORK SOURCE"""
import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, shared, work, source = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "synth", "demo", f"{work}/scene", "-q"], check=True)
with open(f"{work}/scene/demo.yaml") as f:
    TEXT = f.read().replace("cell: 0.05 degree", "cell: 0.2 degree\n  patches:\n    - {id: park, box: [116.2, 39.8, "
                            "116.6, 40.2], cell: 0.1 degree}")
# What the state does not move: an inventory beside the prior.
TEXT = TEXT.replace("\ninversions:", """  - {id: fixed, gas: ch4, file: "${data}/truth_ch4_demo_2019.nc", variable: flux, year: 2019}

inversions:""")
with open(f"{work}/scene/demo.yaml", "w") as f:
    f.write(TEXT)
problem = f"{work}/out/stages/problem-ch4.nc"


def job(*sets, name="out"):
    args = [binary, "run", f"{work}/scene/demo.yaml", "--progress=none", "--set", f"job.output={work}/{name}"]
    for s in ("unscaled=fixed", "floor=2e-9 mol m-2 s-1") + sets:
        args += ["--set", f"inversions[0].{s}"]
    done = subprocess.run(args, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with Dataset(f"{work}/{name}/stages/posterior-ch4.nc") as d:
        d.set_auto_mask(False)
        return {k: v[:].astype(float) for k, v in d.variables.items() if v.dtype != str}


def invert(*args):
    done = subprocess.run([binary, "invert", "--problem", problem, "--json", "--progress=none", *args],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def near(a, b, relative, what):
    a, b = np.asarray(a, float), np.asarray(b, float)
    assert np.abs(a - b).max() <= relative * np.abs(b).max(), (what, a, b)


q = job()
with open(f"{work}/out/zones.csv") as f:
    ids = [r["zone_id"] for r in csv.DictReader(f)]
answer = invert("--zones-csv", f"{work}/zones.csv", "--ak", f"{work}/ak.nc", "--diagnose")
zones = answer["zones"]
assert [z["name"] for z in zones] == ids
good = np.isfinite(q["zone_posterior"])
assert good.any()
for column, key in (("prior_total", "zone_prior"), ("prior_sd", "zone_prior_sd"), ("posterior_total", "zone_posterior"),
                    ("posterior_sd", "zone_posterior_sd"), ("smoothing_sd", "zone_smoothing_sd"),
                    ("sensitivity", "zone_sensitivity")):
    near(np.array([z[column] if z[column] is not None else np.nan for z in zones])[good], q[key][good], 1e-12, column)
with Dataset(f"{work}/ak.nc") as d, Dataset(problem) as p:
    row, mass = d["zone_kernel"][1:, 0], p["zone_constant"][:]
    assert (mass[good] != 0).all()  # the other inventory's
    assert row.shape == (len(ids), len(p["xc"][:]))
with open(f"{work}/out/stages/invert-ch4.facts.json") as f:
    numbers = json.load(f)["numbers"]
near(answer["dofs"], numbers["dofs"], 1e-12, "DOFS")
iterated = invert("--method", "iterative")
near([z["posterior_total"] for z in iterated["zones"]], [z["posterior_total"] for z in zones], 1e-9, "iterative")
# Fluxes that are not negative: the mode of the job, with what the state does not move.
m = job("sign=nonnegative", name="mode")
shutil.copy(problem, f"{work}/problem.nc")
draws = invert("--sign", "nonnegative", "--samples", "40", "--chains", "2", "-o", f"{work}/draws.nc")
with Dataset(f"{work}/draws.nc") as d:
    near(d["total_map"][1:][good], m["zone_posterior"][good], 1e-12, "mode")
    near(d["total_draws"][:].mean((0, 1)), d["total_mean"][:], 1e-12, "draws")
    assert (d["total_q025"][1:] < d["total_mean"][1:]).all()
# An experiment on the job's statistics: every zone is judged.
osse = invert("--osse", "200", "--seed", "4")["osse"]
judged = {z["zone"]: z for z in osse["zones"]}
assert set(ids) <= set(judged) and "total" in judged
assert osse["verdict"] == "calibrated", {k: (v["coverage68"], v["coverage95"], v["verdict"]) for k, v in judged.items()}
low, high = osse["coverage68_limits"]
assert all(low <= judged[z]["coverage68"] <= high for z in ids)
worse = invert("--osse", "200", "--seed", "4", "--noise-factor", "3")["osse"]
assert worse["verdict"] == "not calibrated"
# Sectors of zones have their rows, and each step of a zone its part.
shutil.copy(f"{work}/out/stages/problem-ch4.nc", f"{work}/keep.nc")
with Dataset(f"{work}/bad.nc", "w") as out, Dataset(problem) as d:
    for k, n in d.dimensions.items():
        out.createDimension(k, len(n))
    out.createDimension("one", 1)
    out.setncatts({k: d.getncattr(k) for k in d.ncattrs()})
    for k, v in d.variables.items():
        new = out.createVariable(k, v.dtype, ("one",) if k == "zone_constant" else v.dimensions)
        new.setncatts({a: v.getncattr(a) for a in v.ncattrs() if a != "_FillValue"})
        new[:] = 0 if k == "zone_constant" else v[:]
done = subprocess.run([binary, "invert", "--problem", f"{work}/bad.nc", "--json"], capture_output=True, text=True)
assert done.returncode == 3 and "zone_constant: dimensions (one = 1) (expected (zone = " in done.stderr, done
print(f"problem of a job: {len(ids)} zones as the job, to 1e-12; 200 members calibrated, with three times the noise not")
