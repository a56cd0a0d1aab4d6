"""Known anomalies put into real granules: what `skyflux soundings --clean` finds of them, and how much
that is sound it takes for wrong. The granules are copies that netCDF4 changes: values, units, places,
stripes, soundings that come again. Arguments: binary, data folder, work folder."""
import glob
import json
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK = os.path.abspath(sys.argv[1]), os.path.join(sys.argv[2], "data"), sys.argv[3]
SOURCE = sorted(glob.glob(os.path.join(DATA, "tropomi_ch4_blended/*_02850_*.nc")))
if not SOURCE:
    print("no real file")
    sys.exit(77)
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
os.chdir(WORK)
rng = np.random.default_rng(5)
GOOD, OUTLIER, RANGE, DUPLICATE = 0, 10, 3, 9


def soundings(path, out, clean="standard"):
    done = subprocess.run([BINARY, "soundings", *path, "-o", out, "--clean", clean, "--keep-dropped",
                           "--progress=none"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with netCDF4.Dataset(out) as f:
        return {k: np.ma.filled(np.ma.asarray(f[k][:]).astype("f8"), np.nan)
                for k in ("sounding_id", "drop_reason", "x", "granule_index")}


def changed(name, change):
    shutil.copy(SOURCE[0], name)
    os.chmod(name, 0o644)
    with netCDF4.Dataset(name, "a") as f:
        return change(f)


# Before: which soundings are good, which of them the tests doubt as they are.
plain = soundings(SOURCE, "plain.nc", "none")
before = soundings(SOURCE, "before.nc")
good = plain["sounding_id"][plain["drop_reason"] == GOOD].astype(int)
doubted = plain["drop_reason"][:] != before["drop_reason"]
print(f"{len(good)} good soundings, {doubted.sum()} doubted as they are ({doubted.mean():.2%})")
assert doubted.mean() < 0.01
x = dict(zip(plain["sounding_id"].astype(int), plain["x"]))
robust = 1.4826 * np.median(np.abs(plain["x"] - np.median(plain["x"])))


def judge(name, rows, after, least):
    drop = dict(zip(after["sounding_id"].astype(int), after["drop_reason"]))
    found = np.mean([drop.get(i, RANGE) != GOOD for i in rows])
    untouched = np.setdiff1d(good, rows)
    was = dict(zip(before["sounding_id"].astype(int), before["drop_reason"]))
    alarms = np.mean([drop[i] != GOOD and was[i] == GOOD for i in untouched])
    print(f"{name}: found {found:.2%} of {len(rows)}, new false alarms {alarms:.3%}")
    assert found >= least and alarms < 0.005, name


# Values: 8 robust widths and more away.
rows = rng.choice(good, 200, replace=False)


def shift(f):
    v = f["methane_mixing_ratio_blended"]
    v.set_auto_mask(False)
    y = v[:]
    y[rows] += rng.choice([-1, 1], 200) * rng.uniform(8, 20, 200) * robust
    v[:] = y


changed("values.nc", shift)
judge("values", rows, soundings(["values.nc"], "out.nc"), 0.98)


# Units: mol mol-1 among ppb, and ppt.
def unit(f):
    v = f["methane_mixing_ratio_blended"]
    y = v[:]
    y[rows[:100]] *= 1e-3
    y[rows[100:]] *= 1e3
    v[:] = y


changed("units.nc", unit)
judge("units", rows, soundings(["units.nc"], "out.nc"), 1.0)


# Places: the centre is moved, or latitude and longitude change places.
def place(f):
    lat, lon = f["latitude"][:], f["longitude"][:]
    a, b = rows[:100], rows[100:]
    lat[a] = lat[a] - np.sign(lat[a]) * rng.uniform(3, 15, 100)
    swap = lat[b].copy()
    lat[b], lon[b] = np.clip(lon[b], -89, 89), swap
    f["latitude"][:], f["longitude"][:] = lat, lon


changed("places.nc", place)
judge("places", rows, soundings(["places.nc"], "out.nc"), 0.98)

# Duplicates: the granule comes again in an older and a newer version.
for name, version in (("old_01.nc", "01"), ("new_02.nc", "02")):
    changed(name, lambda f: f.setncattr("product_version", version))
after = soundings(["new_02.nc", "old_01.nc"], "out.nc", "duplicates")
assert np.sum(after["drop_reason"] == DUPLICATE) == len(good), np.sum(after["drop_reason"] == DUPLICATE)
with netCDF4.Dataset("out.nc") as f:
    newest = np.flatnonzero(f["granule_version"][:] == "02")[0]
assert (after["granule_index"][after["drop_reason"] == GOOD] == newest).all()
print(f"duplicates: {len(good)} of {len(good)}, from the older version")

# What the run itself says of this granule.
figures = {f["name"]: f for f in json.load(open("before.conformance.json"))["figures"]}
assert figures["anomaly_detection"]["pass"] and figures["accuracy_after_cleaning"]["pass"], figures

for name in ("anomaly_detection", "accuracy_after_cleaning"):
    assert figures[name]["interval_95"][0] >= figures[name]["least"], figures[name]

# Sparse GOSAT granules are tried again until the figures are decided; the interval is Wilson's.
sparse = sorted(glob.glob(os.path.join(DATA, "acos_oco_lite/acos_*.nc4")) +
                glob.glob(os.path.join(DATA, "ghgcci_gosat/*.nc")))
assert len(sparse) >= 4, sparse
for path in sparse:
    soundings([path], "sparse.nc")
    d = json.load(open("sparse.conformance.json"))
    trial = {k: v for k, v in d["trial"].items() if isinstance(v, dict)}
    for name in ("anomaly_detection", "accuracy_after_cleaning"):
        f = next(f for f in d["figures"] if f["name"] == name)
        n, p, z = f["denominator"], f["value"], 1.959963984540054
        middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        want = (np.array([middle - half, middle + half])) / (1 + z * z / n)
        assert np.allclose(f["interval_95"], want, atol=1e-12), (f, want)
        assert 0 <= f["interval_95"][0] and f["interval_95"][1] <= 1, f
        assert n >= 380 and f["pass"] and f["interval_95"][0] >= f["least"], (path, f)
    assert all(v["found"] >= 0.97 * v["injected"] >= 0.97 * 60 for v in trial.values()), trial
    assert d["trial"]["false_alarms"] < 0.002 * d["trial"]["untouched"], d["trial"]
    print(f"{os.path.basename(path)}: {trial}")

# Stripes: an operational swath of synth, whose pixels are known, over a smooth field with noise.
subprocess.run([BINARY, "synth", "product", "s5p-ch4-v2", "-o", "swath.nc", "--soundings", "8000",
                "--seed", "3"], check=True, capture_output=True)
with netCDF4.Dataset("swath.nc", "a") as f:
    v = f["PRODUCT/methane_mixing_ratio_bias_corrected"]
    lines, pixels = v.shape[1:]
    field = 1850 + 10 * np.sin(np.arange(lines) / 80)[:, None] + np.arange(pixels)[None] / 3
    old = v[0]
    v[0] = np.ma.array(field + rng.normal(0, 6, field.shape), mask=np.ma.getmaskarray(old))
shutil.copy("swath.nc", "striped.nc")
with netCDF4.Dataset("striped.nc", "a") as f:
    v = f["PRODUCT/methane_mixing_ratio_bias_corrected"]
    stripe = rng.normal(0, 8, pixels)
    v[0] = v[0] + stripe[None]


def swath(path, out, clean):
    subprocess.run([BINARY, "soundings", path, "-o", out, "--clean", clean, "--progress=none",
                    "--keep-dropped"], check=True, capture_output=True)
    with netCDF4.Dataset(out) as f:
        get = lambda k: np.ma.filled(np.ma.asarray(f[k][:]).astype("f8"), np.nan)
        return {k: get(k) for k in f.variables if k in
                ("x", "pixel", "scanline", "drop_reason", "stripe_correction")}


clean, raw = swath("striped.nc", "s.nc", "stripes"), swath("striped.nc", "r.nc", "none")
base = swath("swath.nc", "b.nc", "none")
ok = (base["drop_reason"] == GOOD) & (clean["drop_reason"] == GOOD)
assert np.allclose((clean["x"] + clean["stripe_correction"])[ok], raw["x"][ok], rtol=1e-12)
left = lambda s: np.std([np.median((s["x"] - base["x"])[ok & (base["pixel"] == p)])
                         for p in np.unique(base["pixel"][ok])])
print(f"stripes: {left(raw):.2f} ppb before, {left(clean):.2f} ppb after, {ok.sum()} soundings")
assert left(raw) > 5 and left(clean) < 0.5 * left(raw)
