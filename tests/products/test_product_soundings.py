"""`skyflux info` and `skyflux soundings` against an independent reading (raw.py) of one granule of every
retrieval product without a real file (those with one: tests/real): values, errors, priors, kernels,
weights, corners, times and what is good, to the last bits of a double. Arguments: binary, data folder,
work folder.
"""
import json
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import raw  # noqa: E402

BINARY, _, WORK = sys.argv[1:4]
NAMES = dict(lat="latitude", lon="longitude", time="time", x="x", sigma="x_uncertainty", prior="x_prior",
             pressure="pressure", weight="pressure_weight", ak="averaging_kernel",
             profile="profile_prior", corner_lat="latitude_bounds", corner_lon="longitude_bounds")
# synthetic product -> reader that skyflux takes; options that make both read the same variable
READER = {
    "oco2-lite-v7": "oco-lite", "srfp-ch4": "ghgcci-srfp", "srfp-co2-gosat": "ghgcci-srfp",
    "srpr-ch4-gosat": "ghgcci-srpr", "ocfp-ch4": "ghgcci-ocfp",
    "oco2-lite-v8": "oco-lite", "oco2-lite-v9": "oco-lite", "oco2-lite-v10": "oco-lite",
    "oco2-lite-v11": "oco-lite", "oco3-lite-v10": "oco-lite", "s5p-ch4-v1": "s5p-ch4",
    "s5p-ch4-v2": "s5p-ch4-destriped", "s5p-ch4-bare": "s5p-ch4", "wfmd": "wfmd",
    "srfp-co2": "ghgcci-srfp", "srpr-ch4": "ghgcci-srpr", "ocfp": "ghgcci-ocfp",
    "emma-co2": "ghgcci-emma", "emma-ch4": "ghgcci-emma", "nies-swir-co2": "gosat-swir",
    "nies-swir-ch4": "gosat-swir", "nies-swfp": "gosat2-swfp", "nies-swfp-down": "gosat2-swfp",
    "tansat-lite": "tansat-lite", "tansat-sci": "tansat-sci", "tansat-sci-each": "tansat-sci",
    "musica": "musica-iasi"}


def run(*args, code=0):
    done = subprocess.run([BINARY, *args], capture_output=True, text=True)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done


def value(v):
    v.set_auto_mask(False)
    x = np.asarray(v[...], dtype="f8")
    fill = getattr(v, "_FillValue", np.nan)
    return np.where(x == fill, np.nan, x)


def differences(path, want, tolerance):
    """Names of the arrays of a harmonised file that are not those of the independent reading."""
    bad = []
    with netCDF4.Dataset(path) as f:
        for key, name in NAMES.items():
            if key not in want:
                continue
            if name not in f.variables:
                bad.append(key)
                continue
            got, expected = value(f[name]), want[key]
            if key in ("weight", "pressure", "ak", "profile"):  # above the top, or in no sounding
                keep = np.isfinite(want["pressure"]) & want["good"][:, None]
                got = np.where(keep, got, np.nan) if got.shape == keep.shape else got
                expected = np.where(keep, expected, np.nan)
            elif key in ("prior", "sigma"):
                got, expected = np.where(want["good"], got, np.nan), np.where(want["good"], expected, np.nan)
            if got.shape != expected.shape or not np.allclose(got, expected, rtol=tolerance, atol=0,
                                                               equal_nan=True):
                bad.append(key)
        if not np.array_equal(f["drop_reason"][:] == 0, want["good"]):
            bad.append("good")
        units = f["x"].units
    assert units in ("ppm", "ppb"), units
    return bad


def check(path, gas, product, want, options=(), tolerance=1e-12):
    info = json.loads(run("info", "--json", path, *options).stdout)
    assert info["product"] == product and gas in info["gases"], (path, info)
    shown = info["by_gas"][gas] if len(info["gases"]) > 1 else info
    assert shown["soundings"] == len(want["x"]), (path, shown["soundings"], len(want["x"]))
    assert shown["good"] == want["good"].sum(), (path, gas, shown["good"], want["good"].sum())
    out = os.path.join(WORK, "out.nc")
    run("soundings", path, "--gas", gas, "--keep-dropped", "-o", out, *options)
    bad = differences(out, want, tolerance)
    assert bad == [], (path, gas, bad)
    if "ak" in want:  # X = prior where the model has the prior profile; Σ weight = 1
        with netCDF4.Dataset(out) as f:
            good = want["good"]
            w = np.nan_to_num(value(f["pressure_weight"])[good])
            c, prior = np.nan_to_num(value(f["profile_prior"])[good]), value(f["x_prior"])[good]
            assert abs(w.sum(1) - 1).max() < 1e-4 and abs((w * c).sum(1) / prior - 1).max() < 1e-3
            assert np.all(value(f["pressure"])[good][:, 0] > value(f["pressure"])[good][:, 1])
    return out


def controls(out, want):
    """A wrong reading must show: kernel and levels upside down, quality inverted, corners in another
    order or going round the other way, a column that is another's."""
    faults = {"good": ~want["good"], "x": np.roll(want["x"], 1)}
    for key in ("ak", "pressure", "profile"):
        if key in want:
            faults[key] = want[key][:, ::-1]
    if "corner_lat" in want:
        faults["corner_lat"] = want["corner_lat"][:, ::-1]
        faults["corner_lon"] = want["corner_lon"][:, [1, 0, 2, 3]]
    for key, wrong in faults.items():
        found = differences(out, dict(want, **{key: wrong}), 1e-12 if key != "x" else 1e-12)
        assert key in found, (key, found)


def synthetic():
    for name, (gases, read) in raw.READ.items():
        path = os.path.join(WORK, name + ".nc")
        run("synth", "product", name, "-o", path)
        options = ("--product", READER[name]) if name == "s5p-ch4-v2" else ()
        for gas in gases:
            want = read(path, gas)
            out = check(path, gas, READER[name], want, options, 1e-7 if name == "musica" else 1e-12)
            controls(out, want)
    x2019 = os.path.join(WORK, "oco2-lite-v10.nc")
    check(x2019, "co2", "oco-lite-x2019", raw.oco(x2019, "xco2_x2019"),
          ("--product", "oco-lite-x2019"))


shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
synthetic()
