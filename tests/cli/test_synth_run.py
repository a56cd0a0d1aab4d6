"""The demo job from end to end: the posterior is nearer to the truth than the prior where there are
data, its errors are as large as it says, and it says so where there are none.

Arguments: skyflux, data folder, work folder, source folder.
"""
import csv
import glob
import json
import math
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

SKYFLUX, _, WORK = (os.path.abspath(a) for a in sys.argv[1:4])
SEEN = ("city", "county-1", "county-2", "county-3", "county-4")
UNSEEN = "east-ridge"
COUNTIES = SEEN[1:]


def skyflux(*args):
    done = subprocess.run([SKYFLUX, *args], cwd=WORK, capture_output=True, text=True)
    assert done.returncode == 0, (args, done.returncode, done.stderr)
    return done.stdout


def table(path):
    with open(path, newline="") as f:
        return {row["zone_id"]: row for row in csv.DictReader(f) if row["gas"] == "ch4"}


def check_info(scene):
    """`skyflux info` counts what the granule holds."""
    for granule in sorted(glob.glob(scene + "/S5P_TEST_*.nc")):
        info = json.loads(skyflux("info", granule, "--box=115,39,117,41", "--json"))
        with netCDF4.Dataset(granule) as f:
            p = f["PRODUCT"]
            lat, lon, qa = (np.ma.filled(p[n][0], np.nan) for n in ("latitude", "longitude", "qa_value"))
            snow = (p["SUPPORT_DATA/INPUT_DATA/surface_classification"][0] & 0xF9) == 184
        box = (lat >= 39) & (lat <= 41) & (lon >= 115) & (lon <= 117)
        assert info["product"] == "s5p-ch4", info
        assert info["soundings"] == (box & (qa > 0)).sum(), info  # the others hold no retrieval
        assert info["good"] == (box & (qa > 0.495) & ~snow).sum(), info
        assert info["dropped"]["surface"] > 0 and info["dropped"]["quality"] > 0, info


def check_totals(scene):
    truth, zones = table(scene + "/truth.csv"), table(scene + "/result/zones.csv")
    assert sorted(truth) == sorted(zones) == sorted(SEEN + (UNSEEN,)), zones.keys()
    number = lambda zone, key: float(zones[zone][key])
    for zone in zones:
        t = float(truth[zone]["truth_t_yr"])
        assert math.isclose(number(zone, "prior_t_yr"), float(truth[zone]["inventory_t_yr"]),
                            rel_tol=1e-5), zone  # the file's axes are float32
        assert abs(number(zone, "posterior_t_yr") - t) < 3.3 * number(zone, "posterior_sd_t_yr"), zone
    rms = lambda key: math.sqrt(sum((number(z, key) - float(truth[z]["truth_t_yr"])) ** 2 for z in SEEN))
    assert rms("posterior_t_yr") < 0.6 * rms("prior_t_yr"), (rms("posterior_t_yr"), rms("prior_t_yr"))
    for key in ("prior_t_yr", "posterior_t_yr"):
        assert math.isclose(sum(number(z, key) for z in COUNTIES), number("city", key), rel_tol=1e-6)
    assert number("city", "reduction") > 0.5 and zones["city"]["status"] != "insufficient information"
    assert number(UNSEEN, "reduction") < 0.2 and zones[UNSEEN]["status"] == "insufficient information"


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    skyflux("synth", "demo", "a scene")
    scene = WORK + "/a scene"
    skyflux("check", "a scene/demo.yaml")
    skyflux("run", "a scene/demo.yaml")
    check_info(scene)
    check_totals(scene)
    result = scene + "/result"
    for name in ("ch4_posterior.tif", "zones.gpkg", "fields.nc", "report.html", "run.json"):
        assert os.path.getsize(f"{result}/{name}") > 0, name


main()
