#!/usr/bin/python3
"""Sectors of an inventory as layers of a job's state: every number of every sector against dense numpy, which
builds the prior from the job's keys, on the exact and the iterative path, alone and mixed; sectors of one error
are one layer; rasters, tables and refusals. arguments: BINARY DATA WORK SOURCE PART"""
import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import gdal

gdal.UseExceptions()
binary, shared, work, source, part = sys.argv[1:6]
shutil.rmtree(work, ignore_errors=True)
scene = f"{work}/scene"
os.makedirs(work)
subprocess.run([binary, "synth", "demo", scene, "-q"], check=True)
KG = 0.0160425 * 365.2425 * 86400  # kg yr-1 of 1 mol s-1
NAMES = ["emi_energy", "emi_industry", "emi_waste"]

# The demo's inventory in three variables: parts that differ from place to place.
with Dataset(f"{scene}/inventory_ch4_demo_2019.nc") as d:
    flux = d["flux"]
    dims, values, unit = flux.dimensions, np.ma.filled(flux[:].astype(float), 0), flux.units
    axes = {k: (d[k][:], {a: d[k].getncattr(a) for a in d[k].ncattrs()}, d[k].dimensions) for k in dims if k in
            d.variables}
at = dict(zip(dims, np.indices(values.shape)))
one = 0.2 + 0.6 * at["lat"] / at["lat"].max()
two = (1 - one) * (0.3 + 0.5 * at["lon"] / at["lon"].max())
SHARE = {"emi_energy": one, "emi_industry": two, "emi_waste": 1 - one - two}
with Dataset(f"{scene}/sectors.nc", "w") as d:
    for k, n in zip(dims, values.shape):
        d.createDimension(k, n)
    for k, (v, att, of) in axes.items():
        var = d.createVariable(k, v.dtype, of)
        var.setncatts({a: b for a, b in att.items() if a != "_FillValue"})
        var[:] = v
    for k in NAMES:
        var = d.createVariable(k, "f8", dims)
        var.units = unit
        var[:] = values * SHARE[k]
with open(f"{scene}/demo.yaml") as f:
    TEXT = f.read().replace("cell: 0.05 degree", "cell: 0.2 degree")
TEXT = TEXT.replace("inventory_ch4_demo_2019.nc\n    variable: flux", 'sectors.nc\n    variable: "emi_*"')
assert "sectors.nc" in TEXT
WASTE = "{name: waste, of: [emi_waste], sigma: 0.6%s}"
FOSSIL = "{name: fossil, of: [emi_energy, emi_industry], sigma: 0.3%s}"
TWO = f"sectors=[{FOSSIL % ''}, {WASTE % ''}]"
FLOOR = "floor=2e-9 mol m-2 s-1"


def start(verb, name, *sets, text=TEXT, more=()):
    path = f"{scene}/{name}.yaml"
    with open(path, "w") as f:
        f.write(text)
    args = [binary, verb, path, "--progress=none", "--set", f"job.output={work}/{name}", *more]
    for s in sets:
        args += ["--set", s if s.startswith("grid") or s[0] == "/" else f"inversions[0].{s}"]
    return subprocess.run(args, capture_output=True, text=True, timeout=300)


def near(a, b, relative, what=""):
    a, b = np.asarray(a, float), np.asarray(b, float)
    size = np.abs(b).max()
    worst = np.abs(a - b).max() / (size if size > 0 else 1)
    assert worst <= relative, (what, worst)


class Result:
    def __init__(self, name, *sets, text=TEXT, more=()):
        done = start("run", name, *sets, text=text, more=more)
        assert done.returncode == 0, (name, done.returncode, done.stderr)
        self.at = f"{work}/{name}"
        with Dataset(f"{self.at}/stages/problem-ch4.nc") as d:
            d.set_auto_mask(False)
            self.p = {k: v[:].astype(float) for k, v in d.variables.items() if v.dtype != str}
            self.att = {k: d.getncattr(k) for k in d.ncattrs()}
        with Dataset(f"{self.at}/stages/posterior-ch4.nc") as d:
            d.set_auto_mask(False)
            self.q = {k: v[:].astype(float) for k, v in d.variables.items() if v.dtype != str}
            self.method = d.method
        with open(f"{self.at}/stages/invert-ch4.facts.json") as f:
            self.numbers = json.load(f)["numbers"]

    def matrices(self):
        p = self.p
        n, m = len(p["y"]), len(p["x0"])
        H = np.zeros((n, m))
        row, col = p["H_rowptr"].astype(int), p["H_col"].astype(int)
        for i in range(n):
            H[i, col[row[i]:row[i + 1]]] = p["H_data"][row[i]:row[i + 1]]
        B = (p["group"][:, None] == np.arange(len(p["b0"]))).astype(float)
        return H, B @ np.diag(p["b_sd"]**2) @ B.T + np.diag(p["r_sd"]**2)


def distance(p, n):
    lon, lat = np.deg2rad(p["xc"][:n]), np.deg2rad(p["yc"][:n])
    s = (np.sin((lat[:, None] - lat) / 2)**2 +
         np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2)**2)
    return 2 * 6371.0088 * np.arcsin(np.sqrt(s))


def north_of(lat):
    """Area of the ellipsoid WGS84 from the equator to a latitude, for a radian of longitude (Snyder 1987, 3-12)."""
    e2 = 2 / 298.257223563 - 298.257223563**-2
    e, s = np.sqrt(e2), np.sin(np.deg2rad(lat))
    b2 = 6378137.0**2 * (1 - e2)
    return b2 / 2 * (s / (1 - e2 * s**2) + np.arctanh(e * s) / e)


def check(r, M, lengths, sigma, least=2e-9):
    """All of a sector's numbers: numpy with a prior of the job's own keys."""
    p, q, ns = r.p, r.q, len(sigma)
    n = len(p["xc"]) // ns
    H, R = r.matrices()
    assert H.shape[1] == ns * n
    near(H[:, :n], H[:, n:2 * n], 1e-15, "a column sees sectors alike")
    x0 = p["x0"].reshape(ns, n)
    sd = np.sqrt((np.asarray(sigma)[:, None] * x0)**2 + least**2)
    near(p["x_sd"], sd.ravel(), 1e-12, "x_sd")
    d = distance(p, n)
    E = np.zeros((ns, n, ns, n))
    for a in range(ns):
        for b in range(ns):
            E[a, :, b] = M[a][b] * np.exp(-d / lengths[a])
    Q = sd.ravel()[:, None] * E.reshape(ns * n, ns * n) * sd.ravel()
    psi = H @ Q @ H.T + R
    K = np.linalg.solve(psi, H @ Q).T
    x = p["x0"] + K @ (p["y"] - H @ p["x0"])
    P, A = Q - K @ H @ Q, K @ H
    near(q["x"], x, 1e-9, "x")
    near(q["x_sd"], np.sqrt(np.diag(P)), 1e-9, "sd")
    near(r.numbers["dofs"], np.trace(A), 1e-9, "dofs")
    # Zones: each cell's mass by the shares that the posterior's own prior totals state.
    area = np.deg2rad(0.2) * (north_of(p["yc"][:n] + 0.1) - north_of(p["yc"][:n] - 0.1))
    whole = np.array([(np.arange(ns * n) // n == l) * np.tile(area, ns) * KG for l in range(ns)])
    near(q["sector_total_prior"], whole @ p["x0"], 1e-9, "prior of a sector")
    near(q["sector_total_posterior"], whole @ x, 1e-9)
    near(q["sector_total_posterior_sd"], np.sqrt(np.einsum("ij,jk,ik->i", whole, P, whole)), 1e-9)
    near(q["sector_total_prior_sd"], np.sqrt(np.einsum("ij,jk,ik->i", whole, Q, whole)), 1e-9)
    ak = np.diag(A).reshape(ns, n)
    near(q["sector_total_dofs"], ak.sum(1), 1e-9, "DOFS of a sector")
    near(q["sector_kernel"], whole @ A @ np.linalg.pinv(whole), 1e-9, "sector kernel")
    # Cells of each sector, and their sum.
    for l, name in enumerate(NAMED[:ns]):
        near(q[f"sector_{name}_posterior"], x.reshape(ns, n)[l], 1e-9)
        near(q[f"sector_{name}_sd"], np.sqrt(np.diag(P).reshape(ns, n)[l]), 1e-6)
        near(q[f"sector_{name}_ak"], ak[l], 1e-9)
    near(q["cell_posterior"], x.reshape(ns, n).sum(0), 1e-9, "sum of the sectors")
    return Q, P, A, x


NAMED = ["fossil", "waste"]


def consistent(r):
    """What zones and sectors of one result must be to each other, to rounding."""
    q = r.q
    ns, nz = q["sector_zone_posterior"].shape
    near(q["sector_zone_posterior"].sum(0), q["zone_posterior"], 1e-12, "zone = sum of its sectors")
    near(q["sector_zone_prior"].sum(0), q["zone_prior"], 1e-12)
    C = q["sector_zone_covariance"].reshape(ns, nz, ns, nz)
    near(np.einsum("azbw->zw", C), q["zone_covariance"], 1e-9, "covariance of zones")
    near(np.sqrt(np.einsum("azaz->az", C)), q["sector_zone_posterior_sd"], 1e-9)
    near(q["sector_zone_dofs"].sum(0), q["zone_dofs"], 1e-9)
    assert C[0, :, 1].min() < 0  # what one has not the other has


def solutions():
    alone = Result("alone", TWO, FLOOR, "solver.method=exact", "kernels=true")
    check(alone, np.eye(2), [20, 20], [0.3, 0.6])
    consistent(alone)
    near(alone.p["sector_mixing"], np.eye(2), 0)
    it = Result("alone-iterative", TWO, FLOOR, "solver.method=iterative", "kernels=true", more=("--threads", "1"))
    assert it.method == "iterative"
    check(it, np.eye(2), [20, 20], [0.3, 0.6])
    consistent(it)
    lengths = Result("lengths", f"sectors=[{FOSSIL % ', length: 40 km'}, {WASTE % ', length: 10 km'}]", FLOOR)
    check(lengths, np.eye(2), [40, 10], [0.3, 0.6])
    mixing = "mixing=[{sectors: [waste, fossil], correlation: 0.5}]"
    M = [[1, 0.5], [0.5, 1]]
    mixed = Result("mixed", TWO, FLOOR, mixing, "solver.method=exact", "kernels=true")
    Q, P, A, x = check(mixed, M, [20, 20], [0.3, 0.6])
    consistent(mixed)
    it = Result("mixed-iterative", TWO, FLOOR, mixing, "solver.method=iterative", "kernels=true")
    check(it, M, [20, 20], [0.3, 0.6])
    for key in mixed.q:
        good = np.isfinite(mixed.q[key])
        if good.any():
            near(it.q[key][good] if "ak" not in key else it.q[key][good] + 1,
                 mixed.q[key][good] if "ak" not in key else mixed.q[key][good] + 1, 1e-7, key)
    assert abs(mixed.q["sector_total_posterior_sd"] / alone.q["sector_total_posterior_sd"] - 1).max() > 0.01
    again = Result("again", TWO, FLOOR, mixing, "solver.method=exact", "kernels=true", more=("--threads", "1"))
    for name in sorted(os.listdir(mixed.at)):
        if name.endswith((".nc", ".csv", ".tif")):
            with open(f"{mixed.at}/{name}", "rb") as f, open(f"{again.at}/{name}", "rb") as g:
                assert f.read() == g.read() or name.endswith((".nc", ".tif")), name
    for key in mixed.q:
        assert np.array_equal(mixed.q[key], again.q[key], equal_nan=True), key
    print("sectors: alone, with own lengths, and mixed as numpy; DOFS", mixed.numbers["dofs"],
          "kernel", mixed.q["sector_kernel"].round(3).tolist())
    return mixed


def identity():
    """Sectors of one relative error and correlation 1 are one layer: the analytic identity."""
    one = Result("one", "sigma=0.5", "floor=0 mol m-2 s-1")
    three = Result("three", "sigma=0.5", "floor=0 mol m-2 s-1",
                   "sectors=[{name: a, of: [emi_energy]}, {name: b, of: [emi_waste]}, {name: c, of: [rest]}]",
                   "mixing=[{sectors: [a, b], correlation: 1}, {sectors: [a, c], correlation: 1}, "
                   "{sectors: [b, c], correlation: 1}]")
    for key in ("zone_posterior", "zone_posterior_sd", "zone_prior_sd", "zone_covariance", "zone_null_sd",
                "zone_sensitivity", "zone_seen", "cell_posterior", "residual", "background"):
        good = np.isfinite(one.q[key])
        near(three.q[key][good], one.q[key][good], 1e-8, key)
    near(three.numbers["dofs"], one.numbers["dofs"], 1e-8, "dofs")
    near(three.numbers["neg_log_evidence"], one.numbers["neg_log_evidence"], 1e-10, "evidence")
    n = len(one.p["x0"])
    post, prior = three.q["x"].reshape(3, n), three.p["x0"].reshape(3, n)
    some = prior.sum(0) > 0
    near((post / prior.sum(0))[:, some] * prior.sum(0)[some] ** 2,
         (prior / prior.sum(0) * post.sum(0))[:, some] * prior.sum(0)[some], 1e-7, "divided as the prior is")
    print("identity: three sectors of one error are one layer")


def products():
    r = Result("products", TWO, FLOOR, "kernels=true")
    with open(f"{r.at}/sectors-ch4.csv") as f:
        table = list(csv.DictReader(f))
    with open(f"{r.at}/zones.csv") as f:
        zones = [z["zone_id"] for z in csv.DictReader(f)]
    q = r.q
    assert [t["sector"] for t in table] == (NAMED + ["all"]) * len(zones) + NAMED
    for z, zone in enumerate(zones):
        mine = {t["sector"]: t for t in table if t["zone_id"] == zone}
        for l, name in enumerate(NAMED):
            near(float(mine[name]["posterior_t_yr"]), q["sector_zone_posterior"][l, z] / 1e3, 1e-8)
            near(float(mine[name]["posterior_sd_t_yr"]), q["sector_zone_posterior_sd"][l, z] / 1e3, 1e-8)
        near(float(mine["all"]["posterior_t_yr"]), q["zone_posterior"][z] / 1e3, 1e-8)
    near(float(table[-1]["dofs"]), q["sector_total_dofs"][1], 1e-8)
    pixels = []
    for name in NAMED:
        d = gdal.Open(f"{r.at}/ch4_sector_{name}_posterior.tif")
        pixels.append(d.ReadAsArray().astype(float))
        near(np.sort(pixels[-1].ravel()), np.sort(q[f"sector_{name}_posterior"] * 1e9), 1e-6, name)
        s = gdal.Open(f"{r.at}/ch4_sector_{name}_posterior_sd.tif").ReadAsArray()
        near(np.sort(s.ravel()), np.sort(q[f"sector_{name}_sd"] * 1e9), 1e-6)
        assert f"of sector {name}" in d.GetRasterBand(1).GetDescription() + str(d.GetMetadata()) + str(
            d.GetRasterBand(1).GetMetadata())
    near(sum(pixels), gdal.Open(f"{r.at}/ch4_posterior.tif").ReadAsArray(), 1e-6, "whole = sum")
    assert not os.path.exists(f"{r.at}/ch4_posterior_sd.tif")
    with Dataset(f"{r.at}/fields.nc") as d:
        assert "ch4_sector_waste_posterior" in d.variables
    with open(f"{r.at}/report.html") as f:
        page = f.read()
    assert "<h2>Sectors</h2>" in page and "of a change of CH4 in it" in page and "of sector waste" in page
    near(r.numbers["sector_waste_posterior_kg_yr"], q["sector_total_posterior"][1], 1e-12)
    # The command on the job's own problem tells sectors apart in the same way.
    done = subprocess.run([binary, "invert", "--problem", f"{r.at}/stages/problem-ch4.nc", "--diagnose", "--json",
                           "--progress=none"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    near(found["dofs"], r.numbers["dofs"], 1e-9)
    told = {z["name"]: z for z in found["zones"]}
    for z, zone in enumerate(zones):
        for l, name in enumerate(NAMED):
            near(told[f"{zone}, {name}"]["posterior_total"], q["sector_zone_posterior"][l, z], 1e-12)
            near(told[f"{zone}, {name}"]["posterior_sd"], q["sector_zone_posterior_sd"][l, z], 1e-12)
        near(told[zone]["posterior_total"], q["zone_posterior"][z], 1e-12)
    plan = start("plan", "plan", TWO, FLOOR, more=("--json",))
    assert plan.returncode == 0, plan.stderr
    assert json.loads(plan.stdout)["gases"][0]["state"] == 2 * 100, plan.stdout
    tuned = Result("tuned", f"sectors=[{FOSSIL % ', length: 40 km'}, {WASTE % ', length: 10 km'}]", FLOOR,
                   "tune={parameters: [length]}")
    best = tuned.numbers["tuned_length_km"]

    def nll(length):
        H, R = tuned.matrices()
        d, n = distance(tuned.p, 100), 100
        E = np.zeros((200, 200))
        for l, reach in enumerate(tuned.p["sector_reach"]):
            E[l * n:(l + 1) * n, l * n:(l + 1) * n] = np.exp(-d / (reach * length))
        psi = H @ (tuned.p["x_sd"][:, None] * E * tuned.p["x_sd"]) @ H.T + R
        gap = tuned.p["y"] - H @ tuned.p["x0"]
        return np.linalg.slogdet(psi)[1] + gap @ np.linalg.solve(psi, gap)

    near(tuned.p["sector_reach"], [1, 0.25], 1e-12)
    assert nll(best) < min(nll(0.98 * best), nll(1.02 * best)), best
    positive = Result("positive", TWO, FLOOR, "sign=nonnegative")
    assert positive.q["x"].min() >= 0
    near(positive.q["cell_posterior"], positive.q["x"].reshape(2, -1).sum(0), 1e-12)
    # A drift for each sector would be collinear where their patterns are; here they are not.
    geostat = Result("geostat", TWO, FLOOR, "solver.method=geostatistical")
    near(geostat.q["sector_zone_posterior"].sum(0), geostat.q["zone_posterior"], 1e-12)
    print("products: rasters, tables, report and plan tell sectors apart")


def levels():
    text = TEXT.replace(TEXT[TEXT.index("grid:"):TEXT.index("soundings:")],
                        'grid:\n  crs: "EPSG:32650"\n  box: [332000, 4322000, 497000, 4532000]\n  cell: 15 km\n\n')
    bare = text.replace("    length: 20 km\n    correlation: exponential\n    background", "    background")
    mixing = "mixing=[{sectors: [waste, fossil], correlation: 0.5}]"
    level = "levels=[{cell: 15 km, length: 60 km, correlation: spherical}]"
    r = Result("levels", TWO, FLOOR, mixing, level, text=bare)
    p = r.p
    n = len(p["xc"]) // 2
    H, R = r.matrices()
    h = np.minimum(np.hypot(p["xc"][:n, None] - p["xc"][:n], p["yc"][:n, None] - p["yc"][:n]) / 60, 1)
    sd = np.sqrt((np.array([0.3, 0.6])[:, None] * p["x0"].reshape(2, n))**2 + 2e-9**2).ravel()
    Q = sd[:, None] * np.kron([[1, 0.5], [0.5, 1]], 1 - 1.5 * h + 0.5 * h**3) * sd
    x = p["x0"] + Q @ H.T @ np.linalg.solve(H @ Q @ H.T + R, p["y"] - H @ p["x0"])
    near(r.q["x"], x, 1e-9, "x of levels")
    consistent(r)
    it = Result("levels-iterative", TWO, FLOOR, mixing, level, "solver.method=iterative", text=bare)
    near(it.q["sector_zone_posterior_sd"], r.q["sector_zone_posterior_sd"], 1e-9)
    # Patches: the finer cells of each sector on their own grid.
    patched = bare.replace("  cell: 15 km\n", "  cell: 15 km\n  patches:\n    - {id: park, box: [362000, 4352000, 392000, "
                           "4382000], cell: 5 km}\n")
    r = Result("patched", TWO, FLOOR, mixing, level, text=patched)
    consistent(r)
    park = gdal.Open(f"{r.at}/ch4_sector_waste_posterior_park.tif")
    assert (park.RasterXSize, park.RasterYSize) == (6, 6)
    near(np.sort(park.ReadAsArray().ravel()), np.sort(r.q["sector_waste_posterior"][-36:] * 1e9), 1e-6)
    print("levels: mixed sectors on levels as numpy, by iteration as exact, on patches")


def refusals():
    for sets, words in (
            ((f"sectors=[{FOSSIL % ''}, {{name: waste, of: [emi_wast], sigma: 1}}]",),
             "the prior has no sector 'emi_wast' (the inventory has emi_energy, emi_industry, emi_waste; 'rest'"),
            ((f"sectors=[{{name: a, of: [emi_energy], sigma: 1}}, {WASTE % ''}]",),
             "no sector takes 'emi_industry'"),
            ((f"sectors=[{FOSSIL % ''}, {WASTE % ''}, {{name: c, of: [rest], sigma: 1}}]",),
             "nothing is left for 'rest'"),
            ((f"sectors=[{FOSSIL % ''}, {{name: b, of: [emi_waste, emi_energy], sigma: 1}}]",),
             "'emi_energy' is in a sector already"),
            ((f"sectors=[{WASTE % ''}, {WASTE % ''}]",), "'waste' stands there twice"),
            ((f"sectors=[{WASTE % ''}]",), "sectors"),
            ((f"sectors=[{FOSSIL % ', length: 40 km'}, {WASTE % ''}]",
              "mixing=[{sectors: [fossil, waste], correlation: 0.5}]"), "have the lengths 40000 and 20000 m"),
            ((TWO, "mixing=[{sectors: [fossil, wast], correlation: 0.5}]"), "'wast' is no sector of the inversion"),
            ((TWO, "mixing=[{sectors: [fossil, fossil], correlation: 0.5}]"), "does not mix with itself"),
            ((TWO, "mixing=[{sectors: [fossil, waste], correlation: 1.5}]"), "correlation"),
            (("sectors=[{name: a, of: [emi_energy]}, {name: b, of: [emi_waste]}, {name: c, of: [rest]}]",
              "mixing=[{sectors: [a, b], correlation: 0.9}, {sectors: [b, c], correlation: 0.9}, "
              "{sectors: [a, c], correlation: -0.9}]"), "the pivot of sector 'c' is"),
            (("mixing=[{sectors: [a, b], correlation: 0.9}]",), "has no effect without sectors"),
            ((TWO, "mixing=[{sectors: [fossil, waste], correlation: 0}, "
              "{sectors: [waste, fossil], correlation: 0.3}]"), "the pair stands there twice"),
            ((f"sectors=[{FOSSIL % ''}, {{name: all, of: [emi_waste], sigma: 1}}]",),
             "'all' names the sum of the sectors"),
            ((f"sectors=[{FOSSIL % ', floor: 1e-10 mol m-2 s-1'}, {WASTE % ''}]", "sign=lognormal"),
             "sectors[0].floor: a cell without prior flux stays at 0")):
        done = start("check", "refused", *sets)
        assert done.returncode == 2 and words in done.stderr, (sets, done.returncode, done.stderr)
    some = TEXT.replace("    sigma: 0.4                   # relative, 1-sigma of a cell\n", "")
    done = start("check", "refused", f"sectors=[{FOSSIL % ''}, {{name: b, of: [emi_waste]}}]", text=some)
    assert done.returncode == 2 and "required, as other sectors have it" in done.stderr, done.stderr
    total = TEXT.replace('sectors.nc\n    variable: "emi_*"', "inventory_ch4_demo_2019.nc\n    variable: flux")
    done = start("check", "refused", "sectors=[{name: a, of: [flux]}, {name: b, of: [rest]}]", text=total)
    assert done.returncode == 2 and "the prior cannot tell sectors apart (the inventory has flux" in done.stderr, done
    print("refusals: names, doubles, statistics and mixing are told with what is legal")


{"solutions": solutions, "identity": identity, "products": products, "levels": levels, "refusals": refusals}[part]()
