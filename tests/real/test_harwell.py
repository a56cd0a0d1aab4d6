#!/usr/bin/python3
"""harwell.yaml against numpy that reads the raw files itself: y, H, posterior, zone totals, statuses.

arguments: BINARY DATA WORK SOURCE. Exit 77: the real files are not there."""
import csv
import json
import math
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, shared, work, source = sys.argv[1:5]
data = os.path.join(shared, "data")
if not os.path.isdir(data):
    print("skipped: no real files at", data)
    sys.exit(77)

A, F = 6378137.0, 1 / 298.257223563
E2 = F * (2 - F)
YEAR = 365.2425 * 86400
MASS = {"ch4": 16.0425e-3, "co2": 44.0095e-3}


def zone(lat):
    """Area between the equator and latitude, per radian of longitude (Snyder 1987, Eq. 3-12)."""
    s, e = np.sin(np.radians(lat)), math.sqrt(E2)
    return A * A * (1 - E2) / 2 * (s / (1 - E2 * s * s) + np.log((1 + e * s) / (1 - e * s)) / (2 * e))


def overlap(a, b):
    """Share of each interval of edges a that lies in each interval of edges b."""
    lo = np.maximum(a[:-1, None], b[None, :-1])
    hi = np.minimum(a[1:, None], b[None, 1:])
    return np.clip(hi - lo, 0, None) / np.diff(a)[:, None]


def edges(c):
    d = (c[-1] - c[0]) / (len(c) - 1)
    return c[0] + d * (np.arange(len(c) + 1) - 0.5)


def distance(lon1, lat1, lon2, lat2):
    a, b, c, d = map(np.radians, (lat1, lat2, lon1, lon2))
    h = np.sin((b - a) / 2) ** 2 + np.cos(a) * np.cos(b) * np.sin((d - c) / 2) ** 2
    return 2 * 6371008.8 * np.arcsin(np.sqrt(h))


def values(path, name):
    with Dataset(path) as f:
        return np.ma.filled(f[name][:].astype(float), np.nan)


def clip(px, py, axis, limit, keep_above):
    """Sutherland-Hodgman against one axis-parallel line."""
    out = []
    n = len(px)
    pts = list(zip(px, py))
    inside = lambda p: (p[axis] >= limit) if keep_above else (p[axis] <= limit)
    for i in range(n):
        p, q = pts[i], pts[(i + 1) % n]
        if inside(p) != inside(q):
            t = (limit - p[axis]) / (q[axis] - p[axis])
            cut = (p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]))
            out += [p, cut] if inside(p) else [cut]
        elif inside(p):
            out.append(p)
    return [p[0] for p in out], [p[1] for p in out]


def ring_area(px, py):
    px, py = np.asarray(px), np.asarray(py)
    return 0.5 * np.sum(px * np.roll(py, -1) - np.roll(px, -1) * py)


def coverage(rings, xe, ye):
    """Area (m2) of densified lat/lon rings in every cell, in the equal-area plane (lon, zone)."""
    out = np.zeros((len(ye) - 1, len(xe) - 1))
    for x, y in rings:
        dx, dy = [], []
        for i in range(len(x)):
            k = (i + 1) % len(x)
            t = np.arange(400) / 400
            dx += list(x[i] + t * (x[k] - x[i]))
            dy += list(zone(y[i] + t * (y[k] - y[i])))
        sign = 1 if ring_area(dx, dy) > 0 else -1
        for iy in range(len(ye) - 1):
            if ye[iy + 1] < min(y) or ye[iy] > max(y):
                continue
            bx, by = clip(dx, dy, 1, zone(ye[iy]), True)
            bx, by = clip(bx, by, 1, zone(ye[iy + 1]), False) if bx else (bx, by)
            if not bx:
                continue
            for ix in range(len(xe) - 1):
                if xe[ix + 1] < min(bx) or xe[ix] > max(bx):
                    continue
                cx, cy = clip(bx, by, 0, xe[ix], True)
                cx, cy = clip(cx, cy, 0, xe[ix + 1], False) if cx else (cx, cy)
                if cx:
                    out[iy, ix] += sign * ring_area(np.radians(cx), cy)
    return out


def country_rings(code):
    from osgeo import ogr
    source = ogr.Open(os.path.join(data, "boundaries/naturalearth_lowres.shp"))
    layer = source.GetLayer()
    layer.SetAttributeFilter(f"iso_a3 = '{code}'")
    feature = layer.GetNextFeature()
    geometry = feature.GetGeometryRef().Clone()
    parts = [geometry] if geometry.GetGeometryName() == "POLYGON" else \
        [geometry.GetGeometryRef(i) for i in range(geometry.GetGeometryCount())]
    rings = []
    for part in parts:
        pts = np.array(part.GetGeometryRef(0).GetPoints())[:-1, :2]
        rings.append((pts[:, 0], pts[:, 1]))
    return rings


def expected(gas, prior_path, sigma, floor, repr_, b_sd, scale):
    """y, H, x0, posterior and zone totals of one gas, from the raw files."""
    tccon = os.path.join(data, "openghg_column/hw20230402_20230402.public.qc.nc")
    foot = os.path.join(data, "footprints/THW-column_NAME_UMG_EUROPE_TEST_inert_202304.nc")
    t, x, e, p = (values(tccon, n) for n in ("time", f"x{gas}", f"x{gas}_error", f"prior_x{gas}"))
    x, e = x * scale, e * scale
    p = p * scale
    srr = values(foot, "srr")
    start = values(foot, "time") + 1672531200.0  # 2023-01-01
    fx, fy = edges(values(foot, "longitude")), edges(values(foot, "latitude"))
    flux = own = values(prior_path, "flux").mean(axis=2)
    qx, qy = edges(values(prior_path, "lon")), edges(values(prior_path, "lat"))
    if flux.shape != srr.shape[1:]:  # a part of the domain on the same lattice
        iy = int(round((qy[0] - fy[0]) / (fy[1] - fy[0])))
        ix = int(round((qx[0] - fx[0]) / (fx[1] - fx[0])))
        whole = np.full(srr.shape[1:], np.nan)
        whole[iy:iy + flux.shape[0], ix:ix + flux.shape[1]] = flux
        flux = whole
    mx, my = np.arange(-11.0, 3.5), np.arange(49.0, 61.5)
    area = np.diff(zone(qy))[:, None] * np.radians(np.diff(qx))[None, :]
    marea = np.diff(zone(my))[:, None] * np.radians(np.diff(mx))[None, :]
    wy, wx = overlap(zone(fy), zone(my)), overlap(fx, mx)
    x0 = (overlap(zone(qy), zone(my)).T @ (own * area) @ overlap(qx, mx)) / marea
    obs, H, y, sd, base = [], [], [], [], []
    for k, begin in enumerate(start):
        use = (t >= begin) & (t < begin + 3600)
        n = use.sum()
        if n == 0:
            continue
        row = wy.T @ srr[k] @ wx
        native = np.nansum(srr[k] * flux)
        H.append(row.ravel())
        base.append(p[use].mean())
        obs.append(x[use].mean())
        y.append(x[use].mean() - p[use].mean() - (native - np.sum(row * x0)))
        sd.append(math.sqrt(np.mean(e[use] ** 2) * ((1 - 0.3) / n + 0.3) + repr_ ** 2))
    H, y, sd, x0 = np.array(H), np.array(y), np.array(sd), x0.ravel()
    cx, cy = np.meshgrid((mx[1:] + mx[:-1]) / 2, (my[1:] + my[:-1]) / 2)
    cx, cy = cx.ravel(), cy.ravel()
    E = np.exp(-distance(cx[:, None], cy[:, None], cx[None], cy[None]) / 150e3)
    s = np.hypot(sigma * x0, floor)
    Q = s[:, None] * E * s[None]
    psi = H @ Q @ H.T + b_sd ** 2 + np.diag(sd ** 2)
    gain = Q @ H.T @ np.linalg.inv(psi)
    d = y - H @ x0
    post = x0 + gain @ d
    cov = Q - gain @ H @ Q
    totals = {}
    for code in ("GBR", "IRL"):
        w = (coverage(country_rings(code), mx, my)).ravel() * MASS[gas] * YEAR / 1e3
        native = coverage(country_rings(code), qx, qy)
        prior = np.nansum(native * own) * MASS[gas] * YEAR / 1e3
        totals[code] = (prior, prior + w @ (post - x0), math.sqrt(w @ cov @ w), math.sqrt(w @ Q @ w))
    return dict(y=y, H=H, x0=x0, post=post, sd=sd, obs=obs, totals=totals,
                dofs=np.trace(gain @ H), chi2=d @ np.linalg.solve(psi, d) / len(y))


def close(name, a, b, tolerance):
    a, b = np.asarray(a, float), np.asarray(b, float)
    assert a.shape == b.shape, f"{name}: shape {a.shape} expected {b.shape}"
    error = np.max(np.abs(a - b)) / np.max(np.abs(b))
    assert error <= tolerance, f"{name}: relative error {error:.3g} > {tolerance}"
    print(f"{name}: {error:.2g} <= {tolerance}")


shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "run", os.path.join(source, "tests/real/harwell.yaml"), "--set",
                f"data={data}", "--set", f"job.output={work}/out", "-q"], check=True)

cases = {
    "ch4": expected("ch4", os.path.join(
        data, "openghg_ch4_europe2019/flux_total_ch4_europe_edgar7_2019-01-01_2019-12-31_data.nc"),
        0.5, 1e-10, 4e-9, 30e-9, 1e-6),
    "co2": expected("co2", os.path.join(data, "inventories/co2-edgar-ff-1hr_EUROPE_2018.nc"),
                    0.3, 1e-8, 1e-6, 5e-6, 1e-6),
}
with open(f"{work}/out/zones.csv") as f:
    rows = {(r["zone_id"], r["gas"]): r for r in csv.DictReader(f)}
for gas, want in cases.items():
    problem, post = f"{work}/out/stages/problem-{gas}.nc", f"{work}/out/stages/posterior-{gas}.nc"
    ptr = values(problem, "H_rowptr").astype(int)
    H = np.zeros_like(want["H"])
    for i in range(len(ptr) - 1):
        H[i, values(problem, "H_col").astype(int)[ptr[i]:ptr[i + 1]]] = \
            values(problem, "H_data")[ptr[i]:ptr[i + 1]]
    close(f"{gas} observed", values(problem, "observed"), want["obs"], 1e-9)
    close(f"{gas} y", values(problem, "y"), want["y"], 1e-6)
    close(f"{gas} sigma", values(problem, "r_sd"), want["sd"], 1e-9)
    close(f"{gas} H", H, want["H"], 1e-6)
    close(f"{gas} posterior", values(post, "x"), want["post"], 1e-9)
    close(f"{gas} increment", values(post, "x") - values(problem, "x0"), want["post"] - want["x0"], 1e-6)
    for code, (prior, total, sd, prior_sd) in want["totals"].items():
        row = rows[code, gas]
        close(f"{gas} {code} prior", float(row["prior_t_yr"]), prior, 1e-6)
        close(f"{gas} {code} posterior", float(row["posterior_t_yr"]), total, 1e-6)
        close(f"{gas} {code} sd", float(row["posterior_sd_t_yr"]), sd, 1e-6)
        close(f"{gas} {code} prior sd", float(row["prior_sd_t_yr"]), prior_sd, 1e-6)
        assert row["status"] == "insufficient information", row["status"]
    # Negative controls: what a defect would give must not pass.
    for defect in (H[::-1], -H, np.roll(H, 1, axis=1)):
        assert np.max(np.abs(defect - want["H"])) > 1e-3 * np.max(np.abs(want["H"]))
# The posterior from our own y, H, x0 and sd, dense in numpy, to 1e-9.
for gas, sigma_b in (("ch4", 30e-9), ("co2", 5e-6)):
    problem, post = f"{work}/out/stages/problem-{gas}.nc", f"{work}/out/stages/posterior-{gas}.nc"
    x0, s, r, y = (values(problem, n) for n in ("x0", "x_sd", "r_sd", "y"))
    ptr, col, val = (values(problem, n) for n in ("H_rowptr", "H_col", "H_data"))
    H = np.zeros((len(y), len(x0)))
    for i in range(len(y)):
        k = slice(int(ptr[i]), int(ptr[i + 1]))
        H[i, col[k].astype(int)] = val[k]
    xc, yc = values(problem, "xc"), values(problem, "yc")
    E = np.exp(-distance(xc[:, None], yc[:, None], xc[None], yc[None]) / 150e3)
    Q = s[:, None] * E * s[None]
    psi = H @ Q @ H.T + sigma_b ** 2 + np.diag(r ** 2)
    want = x0 + Q @ H.T @ np.linalg.solve(psi, y - H @ x0)
    close(f"{gas} posterior of the same problem", values(post, "x"), want, 1e-9)

for code in ("GBR", "IRL"):
    row = rows[code, "n2o"]
    assert row["status"] == "not comparable" and "no usable prior" in row["reason"], row
    assert not row["posterior_t_yr"]
with open(f"{work}/out/stages/soundings-n2o.facts.json") as f:
    assert json.load(f)["numbers"]["soundings_good"] == 64
print("ok")
