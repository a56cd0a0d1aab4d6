"""NEE of VPRM in an inversion: the invented city's CO2 starts from it (prior), has it added (unscaled),
or has it as a second moved layer beside the account (a sink that is a flux), which numpy solves again.

Meteorology and season are synthetic and stated here; the flux is on the job's projected system.
Arguments: skyflux, data folder, work folder, source folder."""
import csv
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

SKYFLUX, _, WORK = (os.path.abspath(a) for a in sys.argv[1:4])
CRS, WEST, SOUTH, SIDE, N = "EPSG:32649", 466000, 2365000, 2000, 24
HOURS, START = 72, "hours since 2023-10-10 00:00:00"


def skyflux(*args):
    r = subprocess.run([SKYFLUX, *args, "--progress=none"], cwd=WORK, capture_output=True, text=True)
    assert r.returncode == 0, (args, r.returncode, r.stderr)


def write(path, dims, unit, fields, **attributes):
    with Dataset(f"{WORK}/{path}", "w") as d:
        d.setncatts(attributes)
        for name, values in dims.items():
            d.createDimension(name, len(values))
            d.createVariable(name, "f8", (name,))[:] = values
        d["time"].units = unit
        for name, (u, values) in fields.items():
            v = d.createVariable(name, "f8", tuple(dims))
            v.units, v[:] = u, values


def make_inputs():
    hour = np.arange(HOURS, dtype=float)[:, None, None]
    lon, lat = np.arange(110.5, 111.6, 0.1), np.arange(21.2, 22.1, 0.1)
    flat = np.ones((1, lat.size, lon.size))
    light = np.maximum(np.sin((hour - 0.5 + 7.4 - 6) / 24 * 2 * np.pi), 0) * 800 * 3600 * flat
    warm = 297 + 4 * np.sin((hour + 7.4 - 9) / 24 * 2 * np.pi) * flat
    write("met.nc", {"time": hour.ravel(), "lat": lat, "lon": lon}, START,
          {"t2m": ("K", warm), "ssrd": ("J m-2", light)})
    step = np.arange(0.0, 401.0, 8)
    x, y = (o + SIDE * (np.arange(N) + 0.5) for o in (WEST, SOUTH))
    season = np.sin((step - 100) / 365 * 2 * np.pi)[:, None, None] * np.ones((N, N))
    evi = 0.4 + 0.15 * season + 1e-6 * (x - x.mean())
    write("season.nc", {"time": step, "y": y, "x": x}, "days since 2023-01-01 00:00:00",
          {"evi": ("1", evi), "lswi": ("1", 0.2 + 0.1 * season)}, crs=CRS)
    with open(f"{WORK}/mine.csv", "w") as f:
        f.write("class,lambda,par0,light,lambda_sign,alpha,beta,t_min,t_opt,t_max,t_low,pscale,wscale,source\n"
                "evergreen forest,-0.12,500,par,negative,0.1,0.5,0,24,45,5,one,standard,made up for this test\n")


def job(name, edit):
    text = open(f"{WORK}/s/city.yaml").read().replace("output: ${data}/result", f"output: {WORK}/result")
    at = text.index("sinks:")
    text = (text[:at] + f"  - {{id: nee, gas: co2, file: {WORK}/nee.nc, variable: nee}}\n\n" + text[at:])
    with open(f"{WORK}/{name}.yaml", "w") as f:
        f.write(edit(text))
    skyflux("run", f"{name}.yaml", "--stage", "invert-co2")


def load(stage):
    with Dataset(f"{WORK}/result/stages/{stage}.nc") as d:
        d.set_auto_mask(False)
        return {k: v[:].astype(float) for k, v in d.variables.items() if v.dtype != str}


def near(got, want, tolerance, what):
    off = np.max(np.abs(np.asarray(got) - want)) / np.max(np.abs(want))
    assert off <= tolerance, (what, off)


def check_second_layer(flux):
    """sinks[].flux: cells, their error, zones; then the state of both layers by dense algebra."""
    sigma, own, floor = 0.4, 0.3, 2e-8
    entry = (f"sinks:\n  - {{id: bio, flux: {WORK}/nee.nc, variable: nee, sigma: {sigma}, cell_sd: {own}, "
             "floor: 2e-8 mol m-2 s-1}\n\n# Top-down")

    def edit(text):
        a, b = text.index("sinks:"), text.index("# Top-down")
        return (text[:a] + entry + text[b + len("# Top-down"):]).replace("sink: land", "sink: bio")
    job("second", edit)
    layer, account, p, q = (load(x) for x in ("sink-bio", "inventory-account-co2", "problem-co2",
                                             "posterior-co2"))
    n = len(flux)
    assert (layer["cell_flux"] == flux).all() and (layer["error_sign"] == 1).all()
    assert layer["error_factor"].shape == (1, n)
    near(layer["error_factor"][0], sigma * flux, 1e-14, "shared")
    near(layer["error_variance"], (own * flux)**2 + floor**2, 1e-14, "own")
    # zones: the inventory of the same file sums its own cells of 2 km instead of the mesh's
    near(layer["zone_total"], load("inventory-nee")["zone_total"], 1e-5, "zone totals")
    ratio = layer["zone_sd"] / np.abs(layer["zone_total"])  # what cells share does not average out
    assert (ratio > sigma).all() and (ratio < sigma + own).all() and ratio.min() < 1.01 * sigma, ratio

    r = len(account["error_sign"])
    assert len(p["x0"]) == 2 * n and (p["x0"][n:] == flux).all()
    assert (p["q_factor"][r:, n:] == layer["error_factor"]).all() and not p["q_factor"][r:, :n].any()
    assert (p["q_variance"][n:] == layer["error_variance"]).all()
    H, row, col = np.zeros((len(p["y"]), 2 * n)), p["H_rowptr"].astype(int), p["H_col"].astype(int)
    for i in range(len(H)):
        H[i, col[row[i]:row[i + 1]]] = p["H_data"][row[i]:row[i + 1]]
    B = p["group"][:, None] == np.arange(len(p["b0"]))
    F = p["q_factor"]
    QHt = F.T @ (p["q_sign"][:, None] * (F @ H.T)) + p["q_variance"][:, None] * H.T
    S = H @ QHt + B @ np.diag(p["b_sd"]**2) @ B.T + np.diag(p["r_sd"]**2)
    K = QHt @ np.linalg.inv(S)
    x = p["x0"] + K @ (p["y"] - H @ p["x0"] - B @ p["b0"])
    var = p["q_sign"] @ F**2 + p["q_variance"] - (QHt * K).sum(1)
    near(q["sink_posterior"], x[n:], 1e-9, "posterior of the second layer")
    near(q["sink_sd"]**2, var[n:], 1e-9, "its variance")
    near(q["cell_posterior"], x[:n], 1e-9, "posterior of the account")
    near(q["sink_zone_prior"], layer["zone_total"], 1e-12, "zones")
    assert (q["sink_zone_posterior_sd"] < q["sink_zone_prior_sd"]).any()
    assert np.abs(x[n:] - flux).max() > 0.01 * np.abs(flux).max()  # the soundings do move it


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    skyflux("synth", "city", "s")
    make_inputs()
    # land cover: all forest, by a share of it in each cell
    from osgeo import gdal, osr
    gdal.UseExceptions()
    d = gdal.GetDriverByName("GTiff").Create(f"{WORK}/forest.tif", N, N, 1, gdal.GDT_Float32)
    d.SetGeoTransform((WEST, SIDE, 0, SOUTH + N * SIDE, 0, -SIDE))
    srs = osr.SpatialReference()
    srs.SetFromUserInput(CRS)
    d.SetProjection(srs.ExportToWkt())
    d.GetRasterBand(1).WriteArray(np.full((N, N), 0.5, np.float32))
    d = None
    skyflux("vprm", "met.nc", "--season", "season.nc", "--fraction", "evergreen forest=forest.tif",
            "--parameters", "mine.csv", "-o", "nee.nc")
    with Dataset(f"{WORK}/nee.nc") as d:
        mean = d["nee"][:].astype(float).mean(0) * 1e-6
    assert (mean < 0).all()  # October, 22 N: a sink, and no sign is lost on the way

    job("start", lambda t: t.replace("prior: account-co2\n    sink: land",
                                     "prior: nee\n    sigma: 0.5\n    length: 5 km\n    correlation: exponential"))
    layer, problem, post = (load(s) for s in ("inventory-nee", "problem-co2", "posterior-co2"))
    flux = layer["cell_flux"]
    assert np.isfinite(flux).all() and (flux < 0).all()
    # cells of 1 km lie four in one of 2 km, rows from the south; those under patches come last, in rows
    kept = [(i, j) for j in range(2 * N) for i in range(2 * N)
            if not any(a <= i < a + 4 and b <= j < b + 4 for a, b in ((33, 12), (11, 30)))]
    want = np.array([mean[j // 2, i // 2] for i, j in kept])
    off = np.abs(flux[:len(kept)] / want - 1).max()
    assert off < 2e-5, off  # shares of true area in cells of the projection differ by some 1e-6
    assert (problem["x0"] == flux).all()
    moved = np.abs(post["cell_posterior"] - flux).max()
    assert moved > 0.01 * np.abs(flux).max(), moved

    job("plain", lambda t: t)
    plain, before = load("posterior-co2"), load("problem-co2")
    job("added", lambda t: t.replace("    sink: land", "    sink: land\n    unscaled: nee"))
    added, after = load("posterior-co2"), load("problem-co2")
    assert (before["x0"] == after["x0"]).all()  # the state is that of the prior and the sink
    for key in ("cell_prior", "cell_posterior"):
        assert np.allclose(added[key] - plain[key], flux, rtol=1e-9, atol=0), key
    check_second_layer(flux)
    return 0


sys.exit(main())
