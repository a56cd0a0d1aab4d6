"""The background of a job's soundings in its inversion: what the columns are taken against, and its
own uncertainty as one offset for each overpass, against numpy; what cannot be is refused.

Arguments: binary, data folder, work folder, source root."""
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
EARTH = 6371.0088  # km


def run(name, *sets, code=0, stage="invert-ch4"):
    args = [binary, "run", f"{scene}/demo.yaml", "--progress=none", "--stage", stage]
    for s in (f"job.output={work}/{name}", *sets):
        args += ["--set", s]
    r = subprocess.run(args, capture_output=True, text=True, timeout=300)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return f"{work}/{name}/stages" if code == 0 else r.stderr


def variables(path):
    with Dataset(path) as f:
        return {k: np.ma.filled(np.asarray(v[...])) for k, v in f.variables.items() if v.dtype != str}


SOUNDINGS = ("soundings[0].background=percentile:0.2", "inversions[0].background.mean=soundings",
             "inversions[0].background.per=overpass")


def by_hand(p):
    """State and its sd with the offsets marginalised: they stand in the covariance of the errors."""
    n, m = len(p["y"]), len(p["x0"])
    H = np.zeros((n, m))
    for i in range(n):
        at = slice(p["H_rowptr"][i], p["H_rowptr"][i + 1])
        H[i, p["H_col"][at]] = p["H_data"][at]
    lon, lat = np.radians(p["xc"]), np.radians(p["yc"])
    u = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    d = 2 * EARTH * np.arcsin(np.clip(np.linalg.norm(u[:, :, None] - u[:, None, :], axis=0) / 2, 0, 1))
    Q = p["x_sd"][:, None] * np.exp(-d / 20.0) * p["x_sd"][None, :]
    B = p["group"][:, None] == np.arange(len(p["b_sd"]))[None, :]
    R = np.diag(p["r_sd"] ** 2) + (B * p["b_sd"] ** 2) @ B.T
    gain = np.linalg.solve(H @ Q @ H.T + R, H @ Q).T
    x = p["x0"] + gain @ (p["y"] - H @ p["x0"])
    return x, np.sqrt(np.diag(Q - gain @ H @ Q))


def check(name, sd):
    folder = run(name, *SOUNDINGS, f"inversions[0].background.sd={sd} ppb")
    s = variables(f"{folder}/soundings-ch4.nc")
    p = variables(f"{folder}/problem-ch4.nc")
    post = variables(f"{folder}/posterior-ch4.nc")
    passes = np.unique(s["overpass"])
    assert len(passes) == len(p["b_sd"]) == 2
    own = []
    for g, k in enumerate(passes):
        b = np.unique(s["background"][s["overpass"] == k])
        e = np.unique(s["background_uncertainty"][s["overpass"] == k])
        assert len(b) == len(e) == 1 and e[0] > 0.1, (b, e)
        assert np.abs(p["baseline"][p["group"] == g] * 1e9 - b[0]).max() < 1e-6, (g, b)
        assert abs(p["b_sd"][g] * 1e9 - np.hypot(sd, e[0])) < 1e-6, (p["b_sd"], sd, e)
        own.append(e[0])
    assert np.allclose(p["y"], p["observed"] - p["baseline"] - p["fixed"], rtol=0, atol=1e-18)
    x, x_sd = by_hand(p)
    scale = np.abs(x).max()
    assert np.abs(post["x"] - x).max() < 1e-8 * scale, np.abs(post["x"] - x).max() / scale
    assert np.abs(post["x_sd"] / x_sd - 1).max() < 1e-7, np.abs(post["x_sd"] / x_sd - 1).max()
    with open(f"{folder}/footprint-ch4.facts.json") as f:
        assert "background of the soundings" in f.read()
    print(f"offsets of {sd} ppb beside {own[0]:.2f} and {own[1]:.2f}: as numpy")
    return post


narrow, wide = check("narrow", 0), check("wide", 12)
assert (wide["zone_posterior_sd"] > narrow["zone_posterior_sd"]).all()
assert (wide["zone_posterior_sd"] / narrow["zone_posterior_sd"]).max() > 1.02

# A percentile higher up is another background: the columns above it are smaller.
high = run("high", "soundings[0].background=percentile:0.5", *SOUNDINGS[1:],
           "inversions[0].background.sd=1 ppb", stage="footprint-ch4")
low = run("low", *SOUNDINGS, "inversions[0].background.sd=1 ppb", stage="footprint-ch4")
assert (variables(f"{high}/problem-ch4.nc")["y"] < variables(f"{low}/problem-ch4.nc")["y"]).all()

# The default has the prior column and the stated offset alone, as before.
plain = variables(run("plain", stage="footprint-ch4") + "/problem-ch4.nc")
assert np.allclose(plain["b_sd"], 15e-9, rtol=1e-12)

for sets, text in (
        (SOUNDINGS[1:], "soundings of this gas have background none"),
        (SOUNDINGS[:2], "expected overpass"),
        ((SOUNDINGS[0], "inversions[0].background.mean=sounding", SOUNDINGS[2]), "'soundings'")):
    message = run("bad", *sets, code=2)
    assert text in message and "background" in message, (sets, message)
print("ok")
