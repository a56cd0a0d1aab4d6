#!/usr/bin/python3
"""Cleaning and background of a job's soundings: what the command does with the same words, counted by
reason, in facts and report; what cannot be is refused with its line. arguments: BINARY DATA WORK SOURCE"""
import glob
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, _, work, _ = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
scene = f"{work}/scene"
subprocess.run([binary, "synth", "demo", scene, "-q"], check=True)
job = f"{scene}/demo.yaml"
granules = sorted(glob.glob(f"{scene}/S5P_TEST_*.nc"))
BOX, SPAN = "115,39,117,41", ("--start", "2019-02-12", "--end", "2019-02-15")


def run(*args, code=0):
    r = subprocess.run([binary, *args, "--progress=none"], capture_output=True, text=True, timeout=300)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r


def stage(name, *sets, code=0):
    """The soundings stage of the job, with keys of its entry."""
    args = ["run", job, "--stage", "soundings-ch4", "--set", f"job.output={work}/{name}"]
    for s in sets:
        args += ["--set", f"soundings[0].{s}"]
    r = run(*args, code=code)
    return r.stderr if code else f"{work}/{name}/stages"


def facts(folder):
    with open(f"{folder}/soundings-ch4.facts.json") as f:
        d = json.load(f)
    return d["numbers"], json.dumps(d["facts"])


def same(a, b):
    """Every variable of two harmonised files, bit by bit."""
    with Dataset(a) as x, Dataset(b) as y:
        assert set(x.variables) == set(y.variables), set(x.variables) ^ set(y.variables)
        assert x.processing == y.processing, (x.processing, y.processing)
        for name in x.variables:
            u, v = (np.ma.filled(d[name][...]) if d[name].dtype != str else d[name][...] for d in (x, y))
            assert np.array_equal(u, v, equal_nan=np.issubdtype(np.asarray(u).dtype, np.floating)), name


# Ten soundings 15 % too high, and the first granule a second time as a later processing.
with Dataset(granules[0], "a") as f:
    f.set_auto_mask(False)
    qa, x = f["PRODUCT/qa_value"], f["PRODUCT/methane_mixing_ratio_bias_corrected"]
    lat, lon = f["PRODUCT/latitude"][...], f["PRODUCT/longitude"][...]
    good = np.argwhere((qa[...] > 0.5) & (lat > 39.2) & (lat < 40.8) & (lon > 115.2) & (lon < 116.8))
    values = x[...]
    for at in good[:: max(1, len(good) // 10)][:10]:
        values[tuple(at)] *= 1.15
    x[...] = values
shutil.copy(granules[0], granules[0].replace("20190218T000000", "20190318T000000"))
twice = [granules[0], granules[0].replace("20190218T000000", "20190318T000000"), granules[1]]

# The demo without cleaning: the copies count twice.
raw, _ = facts(stage("raw", "clean=none"))
plain, text = facts(stage("plain"))
copies = raw["soundings_good"] - plain["soundings_good"]
assert copies > 100 and f"{copies:.0f} soundings dropped: duplicate" in text, (copies, text)
assert raw["soundings_read"] == plain["soundings_read"] > 0
print(f"duplicates: {copies:.0f}: ok")

STEPS, METHOD = "duplicates,positions,outliers,stripes", "percentile:0.2"
folder = stage("cleaned", f"clean={STEPS}", f"background={METHOD}")
own = f"{work}/own.nc"
run("soundings", *twice, "-o", own, "--gas", "ch4", f"--box={BOX}", *SPAN, "--clean", STEPS, "--background", METHOD)
same(f"{folder}/soundings-ch4.nc", own)
numbers, text = facts(folder)
with open(f"{folder}/soundings-ch4.conformance.json") as f, open(f"{work}/own.conformance.json") as g:
    c, d = json.load(f), json.load(g)
for key in ("figures", "trial", "products", "cleaning"):
    assert c[key] == d[key], (key, c[key], d[key])
dropped = c["products"][0]["dropped"]
# Both copies of the ten are outliers, which are found before duplicates.
assert dropped["duplicate"] == copies - 10 and dropped["outlier"] == 20, dropped
for reason, n in dropped.items():
    assert f"{n} soundings dropped: {reason}" in text, (reason, n, text)
assert numbers["soundings_good"] == c["products"][0]["good"]
assert numbers["soundings_read"] == numbers["soundings_good"] + sum(dropped.values())
assert "cleaning: duplicates positions outliers stripes; background: percentile:0.2" in text, text

# The background by hand: the 0.2 quantile of each overpass.
with Dataset(f"{folder}/soundings-ch4.nc") as f:
    x, b, passes = f["x"][...], f["background"][...], f["overpass"][...]
    for p in np.unique(passes):
        have, want = b[passes == p], np.quantile(x[passes == p], 0.2)
        assert np.ptp(have) == 0 and abs(have[0] - want) < 0.5, (p, have[0], want)
    assert np.allclose(f["enhancement"][...], x - b, atol=1e-9)
print(f"cleaned as the command does: {dropped}: ok")

# Threads change nothing; the whole job tells in its report what was cleaned.
run("run", job, "--threads", "2", "--set", f"job.output={work}/whole", "--set", f"soundings[0].clean={STEPS}",
    "--set", f"soundings[0].background={METHOD}")
for name in ("soundings-ch4.nc", "soundings-ch4.conformance.json"):
    with open(f"{folder}/{name}", "rb") as f, open(f"{work}/whole/stages/{name}", "rb") as g:
        assert f.read() == g.read(), name
with open(f"{work}/whole/report.html") as f:
    page = f.read()
assert f"{copies - 10:.0f} soundings dropped: duplicate" in page and "cleaning: duplicates positions" in page
print("whole job: ok")

# What a killed run left of its scratch folder goes with the next run; a finished stage is not done again.
left = f"{folder}/.part.soundings-ch4.nc.abcdef"
os.makedirs(left)
with open(f"{left}/ticket", "w") as f:
    f.write("x")
stage("cleaned", "clean=duplicates")
assert not os.path.exists(left), os.listdir(folder)

# The command takes away its own, too, but not that of a run that is alive.
mine, other = f"{work}/.part.own.nc.abcdef", f"{work}/.part.other.nc.abcdef"
os.makedirs(mine)
os.makedirs(other)
import fcntl  # noqa: E402
run("soundings", *twice, "-o", own, "--gas", "ch4")
assert not os.path.exists(mine) and os.path.exists(other)
os.makedirs(mine)
held = os.open(mine, os.O_RDONLY)
fcntl.flock(held, fcntl.LOCK_EX)
run("soundings", *twice, "-o", own, "--gas", "ch4")
assert os.path.exists(mine)
os.close(held)
print("left by killed runs: ok")

line = 1 + open(job).read().split("soundings:")[0].count("\n") + 1
for sets, needle in (
        (("clean=outliers,dirt",), "cleaning step 'dirt' is not one of"),
        (("background=median",), "background 'median' is not one of none, percentile"),
        (("background=percentile:2",), "expected percentile:SHARE, 0 < SHARE < 1"),
        (("background=boundary",), "soundings[0].boundary: is required with background boundary"),
        (("boundary_error=3 ppb",), "soundings[0].boundary_error: has no effect without background boundary")):
    err = stage("bad", *sets, code=2)
    assert needle in err and "soundings[0]." in err, (sets, err)
with open(job) as f:
    two = f.read().replace("footprints:\n", "  - {files: [\"${data}/S5P_TEST_*.nc\"], gases: [ch4], clean: outliers}\n\n"
                           "footprints:\n", 1)
with open(f"{scene}/two.yaml", "w") as f:
    f.write(two)
err = run("check", f"{scene}/two.yaml", code=2).stderr
assert "two.yaml:" in err and "soundings[1].clean: differs from that of an earlier entry of the same gas" in err, err
err = stage("wind", "background=upwind", code=4)
assert "product s5p-ch4 carries no wind: no upwind sector can be told" in err, err
print("refused: ok")
