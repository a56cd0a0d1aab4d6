#!/usr/bin/python3
"""solver.method smoother in a job: a station, footprints hour by hour (STILT), fluxes day by day. Totals, backgrounds
and their errors are those of the exact solution for every lag, fluxes for the full one; what does not fit is refused.

arguments: BINARY DATA WORK SOURCE"""
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
scene = f"{work}/scene"
os.makedirs(f"{scene}/foot")
rng = np.random.default_rng(7)
subprocess.run([binary, "synth", "demo", scene, "-q"], check=True)
SITE, DAYS = (116.0, 40.1), 4
START = np.datetime64("2019-02-12").astype("datetime64[s]").astype(int)
with Dataset(f"{scene}/DEMO-column_PLUME_DEMO_201902.nc") as d:
    fp, lon, lat = (np.ma.filled(d[k][:].astype(float), 0) for k in ("fp", "lon", "lat"))
with Dataset(f"{scene}/truth_ch4_demo_2019.nc") as d:
    by = [d["flux"].dimensions.index(k) for k in ("lat", "lon")]
    truth = np.moveaxis(np.ma.filled(d["flux"][:].astype(float), 0), by, (0, 1)).reshape(40, 40)
times = START + 3600 * np.arange(2, 24 * DAYS, 4)
signal = np.zeros(len(times))
for k, t in enumerate(times):
    hours = t - t % 3600 - 3600 * np.arange(20)[::-1]
    hours = hours[hours >= START]
    weight = rng.random(len(hours))
    foot = (weight / weight.sum())[:, None, None] * fp[:, :, rng.integers(fp.shape[2], size=len(hours))].transpose(2, 0, 1)
    day = (hours - START) // 86400
    signal[k] = ((1 + 0.3 * np.sin(day))[:, None, None] * foot * truth).sum()  # a truth that changes from day to day
    name = np.datetime64(int(t), "s").astype(object).strftime("%Y%m%d%H%M")
    with Dataset(f"{scene}/foot/{name}_{SITE[0]:g}_{SITE[1]:g}_X_foot.nc", "w") as d:
        for key, n in (("time", len(hours)), ("lat", 40), ("lon", 40)):
            d.createDimension(key, n)
        for key, v, unit in (("time", hours, "seconds since 1970-01-01 00:00:00Z"), ("lat", lat, "degrees_north"),
                             ("lon", lon, "degrees_east")):
            d.createVariable(key, "f8", key)[:] = v
            d[key].units = unit
        v = d.createVariable("foot", "f4", ("time", "lat", "lon"), fill_value=-1.0)
        v.units = "ppm (umol-1 m2 s)"
        v[:] = foot
        d.setncatts({"crs": "+proj=longlat", "crs_format": "PROJ.4", "title": "STILT Footprint"})
with Dataset(f"{scene}/da20190212_20190216.public.qc.nc", "w") as d:
    z, n = 51, len(times)
    d.title = "TCCON invented station"
    for key, size in (("time", n), ("prior_altitude", z), ("ak_altitude", z)):
        d.createDimension(key, size)

    def put(key, dims, value, units):
        d.createVariable(key, "f8", dims)[:] = value
        d[key].units = units

    put("time", "time", times + 60, "seconds since 1970-01-01")
    put("lat", "time", SITE[1], "degrees_north")
    put("long", "time", SITE[0], "degrees_east")
    put("pout", "time", 950.0, "hPa")
    put("prior_altitude", "prior_altitude", np.arange(z) * 1.4, "km")
    put("ak_altitude", "ak_altitude", np.arange(z) * 1.4, "km")
    p = np.exp(-np.arange(z) * 1.4 / 8)
    put("prior_pressure", ("time", "prior_altitude"), np.tile(p, (n, 1)), "atm")
    put("prior_h2o", ("time", "prior_altitude"), 0.0, "1")
    put("integration_operator", ("time", "prior_altitude"), np.tile(p / p.sum(), (n, 1)), "1")
    put("prior_ch4", ("time", "prior_altitude"), 1850.0, "ppb")
    put("ak_xch4", ("time", "ak_altitude"), 1.0, "1")
    put("prior_xch4", "time", 1.85, "ppm")
    put("xluft", "time", 0.999, "1")
    put("xch4", "time", 1e6 * (1.853e-6 + signal + 1e-9 * rng.standard_normal(n)), "ppm")
    put("xch4_error", "time", 1e-3, "ppm")
with open(f"{scene}/demo.yaml") as f:
    text = f.read().replace("cell: 0.05 degree", "cell: 0.2 degree").replace("end: 2019-02-15", "end: 2019-02-16")
text = text[:text.index("soundings:")] + """soundings:
  - files: ["${data}/da*.public.qc.nc"]
    product: tccon
    gases: [ch4]

footprints:
  - files: ["${data}/foot/*_foot.nc"]
    max_distance: 20 km
    max_time: 10 min

""" + text[text.index("inventories:"):]
TIME = "time={step: 1 day, correlation: exponential, length: 2 days}"


def start(verb, name, *sets, more=()):
    path = f"{scene}/{name}.yaml"
    with open(path, "w") as f:
        f.write(text)
    args = [binary, verb, path, "--progress=none", "--set", f"job.output={work}/{name}", *more]
    for s in ("floor=2e-9 mol m-2 s-1",) + sets:
        args += ["--set", f"inversions[0].{s}"]
    return subprocess.run(args, capture_output=True, text=True, timeout=300)


def run(name, *sets, more=()):
    done = start("run", name, TIME, *sets, more=more)
    assert done.returncode == 0, (name, done.stderr[-2000:])
    with Dataset(f"{work}/{name}/stages/posterior-ch4.nc") as d:
        d.set_auto_mask(False)
        q = {k: v[:].astype(float) for k, v in d.variables.items()}
        q["method"] = d.method
    with open(f"{work}/{name}/stages/invert-ch4.facts.json") as f:
        q["numbers"] = json.load(f)["numbers"]
    with open(f"{work}/{name}/zones.csv") as f:
        q["rows"] = list(csv.DictReader(f))
    return q


def near(a, b, relative, what):
    a, b = np.asarray(a, float), np.asarray(b, float)
    good = np.isfinite(b)
    assert good.any() and (np.isfinite(a) == good).all(), what
    worst = np.abs(a - b)[good].max() / np.abs(b[good]).max()
    assert worst <= relative, (what, worst)


exact = run("exact", "solver.method=exact")
assert len(exact["x"]) == DAYS * 100
for name, sets in (("all", ()), ("lag1", (", lag: 1",)), ("lag2", (", lag: 2",))):
    s = run(name, "solver={method: smoother%s}" % "".join(sets))
    assert s["method"] == "smoother"
    for key in ("zone_prior", "zone_prior_sd", "zone_posterior", "zone_posterior_sd", "zone_covariance", "background",
                "background_sd"):
        near(s[key], exact[key], 1e-8, (name, key))
    for key in ("chi2_innovation_per_obs", "neg_log_evidence"):
        near(s["numbers"][key], exact["numbers"][key], 1e-9, (name, key))
    if name == "all":
        for key in ("x", "x_sd", "cell_posterior", "cell_sd", "residual", "simulated"):
            near(s[key], exact[key], 1e-8, (name, key))
    else:
        assert (s["x_sd"] >= exact["x_sd"] * (1 - 1e-9)).all() and (s["x_sd"] > exact["x_sd"] * (1 + 1e-6)).any()
    assert np.isnan(s["cell_ak"]).all()
    told = [r for r in s["rows"] if r["posterior_t_yr"]]
    assert told and all(r["status"] == "not comparable" for r in told)
    assert any("the smoother has no averaging kernel" in r["reason"] for r in told), told
# The command on the job's problem: the same totals, zone by zone, and step by step.
done = subprocess.run([binary, "invert", "--problem", f"{work}/exact/stages/problem-ch4.nc", "--method", "smoother",
                       "--lag", "1", "--json", "--by-time", "-o", f"{work}/smoothed.nc"], capture_output=True, text=True)
assert done.returncode == 0, done.stderr
answer = json.loads(done.stdout)
ids = [r["zone_id"] for r in exact["rows"]]
told = {z["name"]: z for z in answer["zones"]}
good = np.isfinite(exact["zone_posterior"])
near(np.array([told[z]["posterior_total"] for z in ids])[good], exact["zone_posterior"][good], 1e-8, "totals of the command")
near(np.array([told[z]["posterior_sd"] for z in ids])[good], exact["zone_posterior_sd"][good], 1e-8, "sds of the command")
near(answer["neg_log_evidence"], exact["numbers"]["neg_log_evidence"], 1e-9, "evidence")
parts = [told[f"{ids[0]}, step {k + 1}"]["posterior_total"] for k in range(DAYS)]
near(sum(parts), told[ids[0]]["posterior_total"], 1e-9, "steps of a zone")
with Dataset(f"{work}/smoothed.nc") as d:
    near(d["posterior"][:].ravel(), run("lag1", "solver={method: smoother, lag: 1}")["x"], 1e-9, "maps of the command")
    assert d["zone_covariance"].shape == (len(d["zone_name"]),) * 2
one = run("one", "solver={method: smoother, lag: 1}", more=("--threads", "1"))
two = run("lag1", "solver={method: smoother, lag: 1}")  # the same again: nothing is left to do
for key in ("x", "x_sd", "zone_posterior", "zone_covariance"):
    assert np.array_equal(one[key], two[key], equal_nan=True), key
with open(f"{work}/lag1/report.html") as f:
    page = f.read()
assert "each corrected by soundings up to 1 steps later" in page and "nan" not in page.lower().split("diagnostics")[-1][
    :2000].split("<script")[0], "a number that is none"
for sets, words in (
        (("solver.method=smoother",), "needs time with correlation exponential"),
        ((TIME.replace("exponential", "spherical"), "solver.method=smoother"), "needs time with correlation exponential"),
        ((TIME, "solver={method: smoother, lag: 1.5}"), "1.5 is not a whole number"),
        ((TIME, "solver={method: exact, lag: 1}"), "has no effect unless method is smoother"),
        ((TIME, "solver.method=smoother", "kernels=true"), "the smoother has no averaging kernel"),
        ((TIME, "solver={method: smoother, tolerance: 1e-6}"), "unless method is iterative or auto"),
        ((TIME, "solver.method=smoother", "sign=nonnegative"), "is of sign gaussian alone")):
    done = start("check", "refused", *sets)
    assert done.returncode == 2 and words in done.stderr, (sets, done.returncode, done.stderr)
done = start("run", "short", TIME, "solver={method: smoother, lag: 0}")
assert done.returncode != 0 and "lag 0 is shorter than the 1 steps that footprints reach back" in done.stderr, done.stderr
print(f"smoother: {len(times)} soundings, {DAYS} days: totals, backgrounds and evidence exact for every lag")
