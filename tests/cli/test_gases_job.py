#!/usr/bin/python3
"""Two gases in one job, and for one of them a satellite and a ground station, with backgrounds from the curtains of
each overpass. Truth is known: both city totals lie within 2 sd of it, the station's bias within 2 of its own, every
number is numpy's, and each gas is what a job of that gas alone makes.

The invented basin of `synth demo` is observed anew: TROPOMI CH4 with errors a fifth above what it states, a
TCCON station with a bias and errors larger than it states, OCO-2 CO2. arguments: BINARY DATA WORK SOURCE"""
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
os.makedirs(work)
rng = np.random.default_rng(20190212)
subprocess.run([binary, "synth", "demo", scene, "-q"], check=True)
EPOCH = np.datetime64("2019-01-01").astype("datetime64[s]").astype(float)
BIAS, STATED, SCALE = 7e-9, 2e-9, 2.0  # of the station: its error is twice what it states
SITE = (116.0, 40.1)
DEMO = f"{scene}/DEMO-column_PLUME_DEMO_201902.nc"
SITEFP = f"{scene}/SITE-column_PLUME_DEMO_201902.nc"


def read(path, *names):
    with Dataset(path) as d:
        return [np.ma.filled(d[n][:].astype(float), np.nan) for n in names]


fp, lon, lat, when, at_lon, at_lat = read(DEMO, "fp", "lon", "lat", "time", "release_lon", "release_lat")
with Dataset(f"{scene}/truth_ch4_demo_2019.nc") as d:
    by = [d["flux"].dimensions.index(k) for k in ("lat", "lon")]
    truth_ch4 = np.moveaxis(np.ma.filled(d["flux"][:].astype(float), 0), by, (0, 1)).reshape(40, 40)
days = [when[when < 3.7e6], when[when > 3.7e6]]

# ---- the station: footprints of the basin's receptors moved to it, every two hours or so of both days, more than
# an hour from the overpasses, whose receptors would have its soundings too ----
hours = np.array([t[0] + 8000 * k + 3900 for t in days for k in range(-5, 4)])
moved = np.zeros((40, 40, len(hours)))
inside = np.flatnonzero((at_lon > lon[8]) & (at_lon < lon[-9]) & (at_lat > lat[8]) & (at_lat < lat[-9]))
pick = rng.choice(inside, len(hours), replace=False)
for k, r in enumerate(pick):
    shift = [round((SITE[1] - at_lat[r]) / 0.05), round((SITE[0] - at_lon[r]) / 0.05)]
    rows, cols = (np.arange(40) - s for s in shift)
    good = np.ix_((rows >= 0) & (rows < 40), (cols >= 0) & (cols < 40))
    moved[good + (k,)] = fp[:, :, r][np.ix_(rows[(rows >= 0) & (rows < 40)], cols[(cols >= 0) & (cols < 40)])]
moved = moved.astype("f4").astype(float)
with Dataset(DEMO) as d, Dataset(SITEFP, "w") as out:
    out.setncatts({k: d.getncattr(k) for k in d.ncattrs()} | {"site": "SITE"})
    for k, n in d.dimensions.items():
        out.createDimension(k, len(hours) if k == "time" else len(n))
    for k, v in d.variables.items():
        new = out.createVariable(k, v.dtype, v.dimensions)
        new.setncatts({a: v.getncattr(a) for a in v.ncattrs() if a != "_FillValue"})
        if k == "fp":
            new[:] = moved
        elif k == "time":
            new[:] = hours
        elif k in ("release_lon", "release_lat"):
            new[:] = SITE[k == "release_lat"]
        elif "time" in v.dimensions:
            new[:] = np.take(v[:], pick, axis=v.dimensions.index("time"))
        else:
            new[:] = v[:]

# ---- curtains: two steps, so that each overpass has its own ----
def curtains(gas, base, spread):
    path = f"{scene}/boundary_{gas}.nc"
    height = np.arange(0, 20001, 1000.0)
    with Dataset(path, "w") as d:
        for k, v in (("time", [3.0e6, 3.7e6]), ("height", height), ("lon", lon), ("lat", lat)):
            d.createDimension(k, len(v))
            d.createVariable(k, "f8", k)[:] = v
        d["time"].units = "seconds since 2019-01-01 00:00:00"
        d["lon"].units, d["lat"].units, d["height"].units = "degrees_east", "degrees_north", "m"
        for side, k in zip("nesw", (0, 1, 2, 3)):
            along = lon if side in "ns" else lat
            v = d.createVariable(f"vmr_{side}", "f8", ("time", "height", "lon" if side in "ns" else "lat"))
            v.units = "1"
            v[:] = base + spread * (np.array([0, 1.5])[:, None, None] + k - height[:, None] / 8000 +
                                    0.3 * (along - along[0]))
    return path


curtains("ch4", 1.86e-6, 3e-9)
curtains("co2", 4.08e-4, 3e-7)

# ---- CO2: an inventory, and a truth that is wrong by what the job states ----
with Dataset(f"{scene}/inventory_ch4_demo_2019.nc") as d:
    prior_co2 = 100 * np.moveaxis(np.ma.filled(d["flux"][:].astype(float), 0), by, (0, 1)).reshape(40, 40)
coarse_lon, coarse_lat = lon.reshape(20, 2).mean(1), lat.reshape(20, 2).mean(1)
gx, gy = np.meshgrid(np.deg2rad(coarse_lon), np.deg2rad(coarse_lat))
gx, gy = gx.ravel(), gy.ravel()
far = 2 * 6371.0088 * np.arcsin(np.sqrt(np.sin((gy[:, None] - gy) / 2)**2 + np.cos(gy[:, None]) * np.cos(gy) *
                                        np.sin((gx[:, None] - gx) / 2)**2))
drawn = 1 + 0.4 * (np.linalg.cholesky(np.exp(-far / 20)) @ rng.standard_normal(400)).reshape(20, 20)
truth_co2 = prior_co2 * np.kron(drawn, np.ones((2, 2)))


def co2_file(name, value):
    shutil.copy(f"{scene}/inventory_ch4_demo_2019.nc", f"{scene}/{name}.nc")
    with Dataset(f"{scene}/{name}.nc", "a") as f:
        order = [("lat", "lon").index(k) if k in ("lat", "lon") else 2 for k in f["flux"].dimensions]
        f["flux"][:] = np.transpose(value.reshape(40, 40, 1), order[:3]) if len(order) == 3 else value
        for of in (f, f["flux"]):
            if "species" in of.ncattrs():
                of.species = "co2"


co2_file("inventory_co2", prior_co2)
co2_file("truth_co2", truth_co2)


# ---- granules ----
def station(x):
    """GGG2020 public, with a kernel of 1 and one prior everywhere: its background is the curtain itself."""
    n, z = len(x), 51
    with Dataset(f"{scene}/da20190212_20190214.public.qc.nc", "w") as d:
        d.setncatts({"title": "TCCON invented station", "Conventions": "CF-1.7"})
        for k, size in (("time", n), ("prior_altitude", z), ("ak_altitude", z)):
            d.createDimension(k, size)

        def put(name, dims, value, units):
            d.createVariable(name, "f8", dims)[:] = value
            d[name].units = units

        put("time", "time", EPOCH + np.repeat(hours, 4) + np.tile([0, 15, 30, 45], len(hours)),
            "seconds since 1970-01-01")
        put("lat", "time", SITE[1], "degrees_north")
        put("long", "time", SITE[0], "degrees_east")
        put("pout", "time", 950.0, "hPa")
        put("prior_altitude", "prior_altitude", np.arange(z) * 1.4, "km")
        put("ak_altitude", "ak_altitude", np.arange(z) * 1.4, "km")
        pressure = np.exp(-np.arange(z) * 1.4 / 8)
        put("prior_pressure", ("time", "prior_altitude"), np.tile(pressure, (n, 1)), "atm")
        put("prior_h2o", ("time", "prior_altitude"), 0.0, "1")
        put("integration_operator", ("time", "prior_altitude"), np.tile(pressure / pressure.sum(), (n, 1)), "1")
        put("prior_ch4", ("time", "prior_altitude"), 1850.0, "ppb")
        put("ak_xch4", ("time", "ak_altitude"), 1.0, "1")
        put("prior_xch4", "time", 1.85, "ppm")
        put("xluft", "time", 0.999, "1")
        put("xch4", "time", x * 1e6, "ppm")
        put("xch4_error", "time", STATED * 1e6, "ppm")


def oco(day, x):
    """OCO-2 Lite: one sounding above each receptor."""
    path = f"{scene}/oco2_LtCO2_1902{12 + 2 * day}_B11100Ar_240115000000s.nc4"
    pool = np.flatnonzero((when < 3.7e6) == (day == 0))
    if not os.path.exists(path):
        subprocess.run([binary, "synth", "product", "oco2-lite-v11", "-o", path, "--soundings", str(len(pool)), "-q"],
                       check=True)
    with Dataset(path, "a") as d:
        n = len(d["time"][:])
        pool = pool[:n]
        rest = np.arange(n) >= len(pool)
        who = np.concatenate([pool, np.full(rest.sum(), pool[0])])
        d["longitude"][:], d["latitude"][:] = at_lon[who], at_lat[who]
        d["time"][:] = EPOCH + when[who]
        d["xco2_quality_flag"][:] = rest.astype("i1")
        d["xco2_uncertainty"][:] = 0.4
        if x is not None:
            d["xco2"][:] = np.concatenate([x, np.full(rest.sum(), 400.0)])
    return pool


with open(f"{scene}/demo.yaml") as f:
    DEMO_TEXT = f.read()
HEAD = DEMO_TEXT[:DEMO_TEXT.index("soundings:")].replace("cell: 0.05 degree", "cell: 0.1 degree").replace(
    "@", "").replace("2019-02-12, end: 2019-02-15", "2019-02-11, end: 2019-02-16")
TAIL = DEMO_TEXT[DEMO_TEXT.index("zones:"):DEMO_TEXT.index("compare:")]
CURTAIN = """    gases: [%s]
    background: boundary
    boundary: "${data}/boundary_%s.nc"
    boundary_footprints: ["${data}/DEMO-column_PLUME_DEMO_201902.nc", "${data}/SITE-column_PLUME_DEMO_201902.nc"]
    boundary_error: %s
"""
SOUNDINGS = {"ch4": "".join(f'  - files: ["${{data}}/{name}"]\n' + CURTAIN % ("ch4", "ch4", "1 ppb")
                            for name in ("S5P_TEST_L2__CH4____*.nc", "da*.public.qc.nc")),
             "co2": '  - files: ["${data}/oco2_LtCO2_*.nc4"]\n' + CURTAIN % ("co2", "co2", "0.05 ppm")}
INVENTORY = {"ch4": '  - {id: p-ch4, gas: ch4, file: "${data}/inventory_ch4_demo_2019.nc", variable: flux, year: 2019}\n'
                    '  - {id: t-ch4, gas: ch4, file: "${data}/truth_ch4_demo_2019.nc", variable: flux, year: 2019}\n',
             "co2": '  - {id: p-co2, gas: co2, file: "${data}/inventory_co2.nc", variable: flux, year: 2019}\n'
                    '  - {id: t-co2, gas: co2, file: "${data}/truth_co2.nc", variable: flux, year: 2019}\n'}
INVERSION = {g: f"""  - gas: {g}
    prior: p-{g}
    sigma: 0.4
    length: 20 km
    correlation: exponential
    background: {{mean: soundings, sd: {sd}, per: overpass}}
    error: {e}
""" for g, sd, e in (("ch4", "2 ppb", "{correlation: 0.1, sensors: [{product: tccon, scale: 2, offset_sd: 15 ppb}, "
                      "{product: s5p-ch4, scale: 1.2}]}"), ("co2", "0.1 ppm", "{correlation: 0.1}"))}


def job(name, gases):
    text = HEAD + "soundings:\n" + "".join(SOUNDINGS[g] for g in gases)
    text += 'footprints:\n  - files: ["${data}/DEMO-column_PLUME_DEMO_201902.nc", "${data}/SITE-column_PLUME_DEMO_' \
            '201902.nc"]\n    max_distance: 20 km\n    max_time: 10 min\n'
    text += "inventories:\n" + "".join(INVENTORY[g] for g in gases)
    text += "inversions:\n" + "".join(INVERSION[g] for g in gases) + TAIL
    text += "compare:\n" + "".join(f"  - {{gas: {g}, inventory: t-{g}}}\n" for g in gases)
    with open(f"{scene}/{name}.yaml", "w") as f:
        f.write(text)


def run(name, *more):
    done = subprocess.run([binary, "run", f"{scene}/{name}.yaml", "--progress=none", "--set",
                           f"job.output={work}/{name}", *more], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (name, done.returncode, done.stderr[-3000:])


def load(name, kind, gas):
    with Dataset(f"{work}/{name}/stages/{kind}-{gas}.nc") as d:
        d.set_auto_mask(False)
        return ({k: v[:] for k, v in d.variables.items() if v.dtype != str}, {k: d.getncattr(k) for k in d.ncattrs()})


# The backgrounds do not look at the columns, so that a first run of the soundings tells them.
station(np.full(4 * len(hours), 1.9e-6))
pools = [oco(day, None) for day in (0, 1)]
job("both", ("ch4", "co2"))
run("both", "--stage", "soundings-ch4")
run("both", "--stage", "soundings-co2")


def curtain(path, at, gas):
    """Mean of the curtain over where the particles of one receptor left, and its step: numpy's own."""
    sides = "nesw"
    exits = [read(path, f"particle_locations_{s}")[0][:, :, at] for s in sides]
    time, height = read(f"{scene}/boundary_{gas}.nc", "time", "height")
    step = int(read(path, "time")[0][at] >= time[1])
    up = read(path, "height")[0]
    total = weight = 0
    for s, share in zip(sides, exits):
        vmr = read(f"{scene}/boundary_{gas}.nc", f"vmr_{s}")[0][step]
        level = np.array([np.interp(up, height, vmr[:, a]) for a in range(vmr.shape[1])]).T
        total += (share * level).sum()
        weight += share.sum()
    return total / weight


s, _ = load("both", "soundings", "ch4")
here = np.isclose(s["longitude"], SITE[0], atol=1e-4) & np.isclose(s["latitude"], SITE[1], atol=1e-4)
assert here.sum() == 4 * len(hours)
order = np.argsort(s["time"][here], kind="stable")
own = np.array([curtain(SITEFP, k, "ch4") for k in range(len(hours))])
assert np.abs(s["background"][here][order].reshape(-1, 4) * 1e-9 - own[:, None]).max() < 1e-14  # float32 shares
signal = np.tensordot(moved, truth_ch4, ((0, 1), (0, 1)))
station(np.repeat(own + signal + BIAS, 4) + SCALE * STATED * rng.standard_normal(4 * len(hours)))
# TROPOMI: the curtain, the receptor that the job takes (of the minute, then the nearest) and the stated error, a fifth
# larger than it says.


def receptor(time, x, y):
    away = np.maximum(EPOCH + when - time, time - EPOCH - when - 60)
    away = np.where(away < 0, -1, away)
    u, v = np.deg2rad(at_lon - x), np.deg2rad(at_lat - y)
    near = np.sin(v / 2)**2 + np.cos(np.deg2rad(y)) * np.cos(np.deg2rad(at_lat)) * np.sin(u / 2)**2
    return np.lexsort((near, away))[0]


for path in sorted(f"{scene}/{f}" for f in os.listdir(scene) if f.startswith("S5P_")):
    with Dataset(path, "a") as d:
        day = path.split("____")[1][:8]
        start = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}").astype("datetime64[s]").astype(float)
        mine = np.flatnonzero(~here & (s["time"] > start) & (s["time"] < start + 86400) & np.isfinite(s["background"]))
        x = np.array([s["background"][i] + 1e9 * (fp[:, :, receptor(s["time"][i], s["longitude"][i], s["latitude"][i])]
                                                  * truth_ch4).sum() + 1.2 * s["x_uncertainty"][i] *
                      rng.standard_normal() for i in mine])
        for name in ("methane_mixing_ratio", "methane_mixing_ratio_bias_corrected"):
            v = d["PRODUCT"][name]
            all_of = v[:]
            all_of[0, s["scanline"][mine].astype(int), s["pixel"][mine].astype(int)] = x
            v[:] = all_of
s, _ = load("both", "soundings", "co2")
for day, pool in enumerate(pools):
    mine = (s["time"] < EPOCH + 3.7e6) == (day == 0)
    place = {(round(float(a), 3), round(float(b), 3)): c for a, b, c in
             zip(s["longitude"][mine], s["latitude"][mine], s["background"][mine])}
    keys = [(round(float(np.float32(at_lon[r])), 3), round(float(np.float32(at_lat[r])), 3)) for r in pool]
    bg = np.array([place.get(k, np.nan) for k in keys])  # those outside the grid are not read
    used = np.isfinite(bg).sum()
    assert used == mine.sum() > 60, (used, mine.sum())
    bg[np.isnan(bg)] = 410
    x = bg + 1e6 * np.tensordot(fp[:, :, pool], truth_co2, ((0, 1), (0, 1))) + 0.4 * rng.standard_normal(len(pool))
    oco(day, x)

run("both")
for gas in ("ch4", "co2"):
    job(gas, (gas,))
    run(gas)
    for kind in ("soundings", "columns", "problem", "posterior"):
        a, b = load("both", kind, gas)[0], load(gas, kind, gas)[0]
        assert a.keys() == b.keys()
        for k in a:
            assert a[k].tobytes() == b[k].tobytes(), (gas, kind, k)
    for field in ("prior", "posterior", "posterior_sd", "posterior_ak", "column"):
        from osgeo import gdal
        gdal.UseExceptions()
        a, b = (gdal.Open(f"{work}/{n}/{gas}_{field}.tif").ReadAsArray().tobytes() for n in ("both", gas))
        assert a == b, (gas, field)
    with open(f"{work}/both/observations-{gas}.csv", "rb") as f, open(f"{work}/{gas}/observations-{gas}.csv", "rb") as g:
        assert f.read() == g.read()


def solve(p, att):
    H = np.zeros((len(p["y"]), len(p["x0"])))
    row, col = p["H_rowptr"].astype(int), p["H_col"].astype(int)
    for i in range(len(H)):
        H[i, col[row[i]:row[i + 1]]] = p["H_data"][row[i]:row[i + 1]]
    B, b_sd = (p["group"][:, None] == np.arange(len(p["b0"]))).astype(float), p["b_sd"]
    if "regressor" in p:
        B, b_sd = np.hstack([B, p["regressor"].T]), np.concatenate([b_sd, p["regressor_sd"]])
    u, v = np.deg2rad(p["xc"]), np.deg2rad(p["yc"])
    h = np.sin((v[:, None] - v) / 2)**2 + np.cos(v[:, None]) * np.cos(v) * np.sin((u[:, None] - u) / 2)**2
    Q = p["x_sd"][:, None] * np.exp(-2 * 6371.0088 * np.arcsin(np.sqrt(h)) / att["Lx_km"]) * p["x_sd"]
    psi = H @ Q @ H.T + B * b_sd**2 @ B.T + np.diag(p["r_sd"]**2)
    w = np.linalg.solve(psi, p["y"] - H @ p["x0"])
    C = np.diag(b_sd**2) - (B * b_sd**2).T @ np.linalg.solve(psi, B * b_sd**2)
    return p["x0"] + Q @ (H.T @ w), b_sd**2 * (B.T @ w), np.sqrt(np.diag(C)), w @ (p["y"] - H @ p["x0"])


with open(f"{work}/both/zones.csv") as f:
    city = {r["gas"]: {k: r[k] for k in r} for r in csv.DictReader(f) if r["zone_id"] == "city"}
with open(f"{scene}/truth.csv") as f:
    told = next(float(r["truth_t_yr"]) for r in csv.DictReader(f) if r["zone_id"] == "city")
assert abs(float(city["ch4"]["inventory_t_yr"]) / told - 1) < 1e-5, (city["ch4"]["inventory_t_yr"], told)
for gas in ("ch4", "co2"):
    p, att = load("both", "problem", gas)
    q, _ = load("both", "posterior", gas)
    x, b, b_sd, chi2 = solve(p, att)
    assert np.abs(q["x"] - x).max() < 1e-9 * np.abs(x).max()
    assert np.abs(q["background"] - b).max() < 1e-9 * np.abs(b).max()
    assert np.abs(q["background_sd"] - b_sd).max() < 1e-9 * b_sd.max()
    n, row = len(p["y"]), city[gas]
    post, sd, prior, prior_sd, truth = (float(row[k]) for k in ("posterior_t_yr", "posterior_sd_t_yr", "prior_t_yr",
                                                                "prior_sd_t_yr", "inventory_t_yr"))
    print(f"{gas}: {n} observations of {att['sensors']}, {len(p['b0'])} backgrounds; city {prior / 1e3:.1f} -> "
          f"{post / 1e3:.1f} +- {sd / 1e3:.1f} kt, truth {truth / 1e3:.1f}; chi2/n {chi2 / n:.3f}")
    assert sd < 0.7 * prior_sd and abs(post - truth) < 2 * sd
    assert abs(chi2 / n - 1) < 4 * np.sqrt(2 / n), (gas, chi2 / n)
    if gas == "ch4":
        assert att["sensors"] == "tccon s5p-ch4" and p["regressor"].shape == (1, n)
        assert (p["regressor"][0] == (p["sensor"] == 0)).all() and set(p["sensor"]) == {0, 1}
        print(f"bias of the station {b[-1] * 1e9:.2f} +- {b_sd[-1] * 1e9:.2f} ppb, truth {BIAS * 1e9:.2f}")
        assert b_sd[-1] < 0.3 * 15e-9 and abs(b[-1] - BIAS) < 2 * b_sd[-1]
        # Own errors: of four soundings whose errors correlate by 0.1, twice what each states.
        four = (p["sensor"] == 0) & (p["n_soundings"] == 4)
        assert four.sum() == len(hours)
        near = SCALE * STATED * np.sqrt(0.1 + 0.9 / 4)
        assert np.abs(p["r_sd"][four] / near - 1).max() < 1e-6, p["r_sd"][four] / near
        assert len(set(np.round(p["baseline"][four], 15))) > 10  # curtains, not one number
