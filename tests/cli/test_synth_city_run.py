"""The city's job from end to end: H and y as the scene was drawn from, posteriors that the truth agrees with, and
no claim where nothing can be seen.

Arguments: skyflux, data folder, work folder, source folder.
"""
import csv
import glob
import math
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

SKYFLUX, _, WORK = (os.path.abspath(a) for a in sys.argv[1:4])
ZONES = ["city", "county-1", "county-2", "county-3", "county-4", "park-east", "park-west"]


def skyflux(*args):
    done = subprocess.run([SKYFLUX, *args], cwd=WORK, capture_output=True, text=True)
    assert done.returncode == 0, (args, done.returncode, done.stderr)
    return done.stdout


def make(case):
    skyflux("synth", "city", case, "--case", case)
    skyflux("check", case + "/city.yaml")
    skyflux("run", case + "/city.yaml")
    return WORK + "/" + case


def table(path):
    with open(path, newline="") as f:
        return {(row["gas"], row["zone_id"]): row for row in csv.DictReader(f)}


def check_problem(scene, gas, kind):
    """The job's own y, H, R: with the true x only offsets and stated errors are left; each block is one observation."""
    with netCDF4.Dataset(f"{scene}/result/stages/problem-{gas}.nc") as f:
        f.set_auto_mask(False)
        y, sd, val, col, ptr, group, b_sd = (f[n][:] for n in ("y", "r_sd", "H_data", "H_col", "H_rowptr", "group", "b_sd"))
        n_state = len(f.dimensions["state"])
    with netCDF4.Dataset(scene + "/truth/cells.nc") as f:
        x = f[gas + "_emission"][:].filled()
        if gas == "co2":
            x = np.concatenate((x, f["co2_land"][:].filled()))
    assert len(x) == n_state, (len(x), n_state)
    receptors = 0
    for name in glob.glob(f"{scene}/footprints/*PLUME-{kind}_*.nc"):
        with netCDF4.Dataset(name) as f:
            receptors += len(f.dimensions["time"])
    assert len(y) == receptors, (gas, len(y), receptors)
    left = y - np.array([val[a:b] @ x[col[a:b]] for a, b in zip(ptr[:-1], ptr[1:])])
    chi2 = n = 0
    for g in np.unique(group):
        k = group == g
        offset = (left[k] / sd[k]**2).sum() / (1 / sd[k]**2).sum()
        assert abs(offset) < 4.5 * b_sd[g], (gas, g, offset)
        chi2, n = chi2 + (((left[k] - offset) / sd[k])**2).sum(), n + k.sum() - 1
    assert abs(chi2 - n) < 4 * math.sqrt(2 * n), (gas, chi2, n)


def check_matched(scene):
    for gas, kind in (("co2", "OCO3"), ("ch4", "TROPOMI"), ("n2o", "TCCON")):
        check_problem(scene, gas, kind)
    truth, zones = table(scene + "/truth.csv"), table(scene + "/result/zones.csv")
    for (gas, zone), row in truth.items():
        number = lambda key: float(zones[gas, zone][key])
        t = float(row["truth_t_yr"])
        assert abs(number("posterior_t_yr") - t) < 3.3 * number("posterior_sd_t_yr"), (gas, zone)
        if gas == "co2":
            t = float(row["sink_truth_t_yr"])
            assert abs(number("sink_posterior_t_yr") - t) < 3.3 * number("sink_posterior_sd_t_yr"), zone


def rms(scene, gas, key):
    truth, zones = table(scene + "/truth.csv"), table(scene + "/result/zones.csv")
    return math.sqrt(sum((float(zones[gas, z][key]) - float(truth[gas, z]["truth_t_yr"]))**2 for z in ZONES))


def check_mismatched(scene):
    zones = table(scene + "/result/zones.csv")
    assert {z for _, z in zones} == set(ZONES) and {g for g, _ in zones} == {"co2", "ch4", "n2o"}
    for gas in ("co2", "ch4"):
        assert rms(scene, gas, "posterior_t_yr") < rms(scene, gas, "prior_t_yr"), gas
        counties = sum(float(zones[gas, z]["posterior_t_yr"]) for z in ZONES[1:5])
        assert math.isclose(counties, float(zones[gas, "city"]["posterior_t_yr"]), rel_tol=1e-9)
    for z in ZONES:
        row = zones["n2o", z]
        assert row["status"] == "insufficient information", (z, row["status"])
        prior = float(row["prior_t_yr"])
        assert prior == 0 or abs(float(row["posterior_t_yr"]) / prior - 1) < 0.05, (z, row)


def check_strong(scene):
    row, truth = (table(scene + f)["n2o", "park-west"] for f in ("/result/zones.csv", "/truth.csv"))
    assert row["status"] != "insufficient information" and float(row["reduction"]) > 0.5, row
    away = abs(float(row["posterior_t_yr"]) - float(truth["truth_t_yr"]))
    assert away < 3.3 * float(row["posterior_sd_t_yr"]), (row, truth)


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    check_matched(make("matched"))
    check_mismatched(make("mismatched"))
    check_strong(make("strong-n2o"))


main()
