#!/usr/bin/python3
"""skyflux invert on a problem file with zones: totals, sds, covariance, averaging-kernel rows, smoothing error and
draws of every zone, by every method, against dense numpy. arguments: BINARY DATA WORK SOURCE"""
import csv
import json
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
NX, NY, NT, N, NZ = 7, 6, 3, 40, 4
NC = NX * NY
rng = np.random.default_rng(11)
NAMES = ["city", "county, west", "park", "all of it"]
weights = np.zeros((NZ, NC))
weights[0, 8:14] = 1
weights[1, :20] = rng.random(20)
weights[2, 30] = 0.25
weights[3] = 1


def spherical(h):
    return np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)


xc, yc = np.meshgrid(10.0 * np.arange(NX), 10.0 * np.arange(NY))
xc, yc = xc.ravel(), yc.ravel()
E = spherical(np.hypot(xc[:, None] - xc, yc[:, None] - yc) / 35)
D = spherical(np.abs(np.subtract.outer(np.arange(NT), np.arange(NT))) / 2.5)
x_sd = 1 + rng.random(NC * NT)
Q = x_sd[:, None] * np.kron(D, E) * x_sd
x0 = 2 + rng.random(NC * NT)
H = np.where(rng.random((N, NC * NT)) < 0.3, rng.random((N, NC * NT)), 0)
R = 0.5**2 * np.eye(N)
y = H @ (x0 + np.linalg.cholesky(Q) @ rng.standard_normal(NC * NT)) + 0.5 * rng.standard_normal(N)


def write(name, zones="dense", change=None):
    path = f"{WORK}/{name}.nc"
    f = netCDF4.Dataset(path, "w")
    rows = [np.flatnonzero(h) for h in H]
    ptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    for k, n in (("obs", N), ("state", NC * NT), ("cell", NC), ("nnz", ptr[-1]), ("rowp", N + 1), ("zone", NZ),
                 ("zone_rowp", NZ + 1), ("zone_nnz", int((weights != 0).sum()))):
        f.createDimension(k, n)

    def put(var, dims, value, kind="f8"):
        f.createVariable(var, kind, dims)[:] = value

    put("y", "obs", y)
    put("x0", "state", x0)
    put("x_sd", "state", x_sd)
    put("xc", "cell", xc)
    put("yc", "cell", yc)
    put("H_data", "nnz", np.concatenate([h[r] for h, r in zip(H, rows)]))
    put("H_col", "nnz", np.concatenate(rows), "i4")
    put("H_rowptr", "rowp", ptr, "i4")
    if zones == "dense":
        put("zones", ("zone", "cell"), weights)
    if zones == "sparse":
        at = [np.flatnonzero(w) for w in weights]
        put("zone_data", "zone_nnz", np.concatenate([w[a] for w, a in zip(weights, at)]))
        put("zone_col", "zone_nnz", np.concatenate(at), "i4")
        put("zone_rowptr", "zone_rowp", np.concatenate([[0], np.cumsum([len(a) for a in at])]), "i4")
    if zones:
        names = f.createVariable("zone_name", str, "zone")
        for k, n in enumerate(NAMES):
            names[k] = n
    f.setncatts({"nx": NX, "ny": NY, "nt": NT, "Lx_km": 35.0, "Lt_steps": 2.5, "sigma_r": 0.5,
                 "cov": "spherical in space and time"})
    if change:
        change(f)
    f.close()
    return path


def run(*args):
    return subprocess.run([BINARY, "invert", "--progress=none", *args], capture_output=True, text=True)


def solve(path, *args):
    done = run("--problem", path, "--json", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fails(code, word, path, *args):
    done = run("--problem", path, *args)
    assert done.returncode == code and word in done.stderr and not done.stdout, (args, done)


def near(a, b, tolerance=1e-9):
    a, b = np.asarray(a, float), np.asarray(b, float)
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max(), (np.abs(a - b).max(), np.abs(b).max())


total = np.ones((1, NC * NT))
whole = np.vstack([total, np.tile(weights, (1, NT))])
steps = np.array([np.concatenate([w if t == k else 0 * w for t in range(NT)]) for w in weights for k in range(NT)])
psi = H @ Q @ H.T + R
K = Q @ H.T @ np.linalg.inv(psi)
A = K @ H
x = x0 + K @ (y - H @ x0)
P = Q - A @ Q


def columns(zones, key):
    return [z[key] for z in zones]


dense, sparse = write("dense"), write("sparse", "sparse")
for method in ("exact", "iterative"):
    for path, W, more in ((dense, whole, ()), (sparse, whole, ()),
                          (sparse, np.vstack([whole, steps]), ("--by-time",))):
        out, table, ak = f"{WORK}/out.nc", f"{WORK}/zones.csv", f"{WORK}/ak.nc"
        a = solve(path, "--method", method, "-o", out, "--zones-csv", table, "--ak", ak, *more)
        z = a["zones"]
        assert columns(z[:NZ], "name") == NAMES and len(z) == len(W) - 1
        if more:
            assert z[NZ]["name"] == "city, step 1" and z[-1]["name"] == "all of it, step 3"
        near(columns(z, "posterior_total"), (W @ x)[1:])
        near(columns(z, "prior_total"), (W @ x0)[1:])
        near(columns(z, "prior_sd"), np.sqrt(np.diag(W @ Q @ W.T))[1:])
        near(columns(z, "posterior_sd"), np.sqrt(np.diag(W @ P @ W.T))[1:])
        near(columns(z, "reduction"), (1 - np.diag(W @ P @ W.T) / np.diag(W @ Q @ W.T))[1:], 1e-8)
        near(columns(z, "dofs"), ((W != 0) @ np.diag(A))[1:])
        near(columns(z, "sensitivity"), ((W @ A @ x0) / (W @ x0))[1:])
        I = np.eye(NC * NT)
        near(columns(z, "smoothing_sd"), np.sqrt(np.diag(W @ (A - I) @ Q @ (A - I).T @ W.T))[1:])
        near(columns(z, "noise_sd"), np.sqrt(np.diag(W @ K @ R @ K.T @ W.T))[1:])
        split = np.hypot(columns(z, "smoothing_sd"), columns(z, "noise_sd"))
        near(split, columns(z, "posterior_sd"))
        with netCDF4.Dataset(out) as f:
            near(f["zone_covariance"][:], W @ P @ W.T)
            near(f["zone_posterior_total"][:], W @ x)
            assert list(f["zone_name"][:])[:2] == ["total", "city"]
        with netCDF4.Dataset(ak) as f:
            near(f["zone_kernel"][:].reshape(len(W), -1), W @ A)
        with open(table, newline="") as f:
            rows = list(csv.DictReader(f))
        assert [r["zone"] for r in rows[:3]] == ["total", "city", "county, west"]
        near([float(r["posterior_sd"]) for r in rows], np.sqrt(np.diag(W @ P @ W.T)))
plain = solve(write("none", None))
assert "zones" not in plain
near(plain["posterior_total"], x.sum())

# Geostatistical: one constant as drift.
G = H.sum(1)
inverse = np.linalg.inv(psi)
beta = (G @ inverse @ y) / (G @ inverse @ G)
gx = beta + Q @ H.T @ inverse @ (y - G * beta)
g = solve(sparse, "--method", "geostatistical", "-o", f"{WORK}/g.nc", "--ak", f"{WORK}/gak.nc")
near(columns(g["zones"], "posterior_total"), (whole @ gx)[1:])
rest = whole.sum(1) - whole @ Q @ H.T @ inverse @ G
C = whole @ P @ whole.T + np.outer(rest, rest) / (G @ inverse @ G)
near(columns(g["zones"], "posterior_sd"), np.sqrt(np.diag(C))[1:])
with netCDF4.Dataset(f"{WORK}/g.nc") as f:
    near(f["zone_covariance"][:], C)
with netCDF4.Dataset(f"{WORK}/gak.nc") as f:
    near(f["zone_kernel"][:].reshape(NZ + 1, -1) @ (0 * x0 + 1), whole.sum(1))  # a constant is reproduced

# Draws: their own covariance, and totals draw by draw.
s = solve(sparse, "--sign", "nonnegative", "--samples", "600", "-o", f"{WORK}/s.nc")
with netCDF4.Dataset(f"{WORK}/s.nc") as f:
    draws = np.array(f["total_draws"][:]).reshape(-1, NZ + 1)
    assert list(f["zone_name"][:]) == ["total"] + NAMES
near(columns(s["zones"], "total_mean"), draws.mean(0)[1:])
near(columns(s["zones"], "total_sd"), draws.std(0, ddof=1)[1:], 1e-3)
near(draws[:, 0], draws[:, 4])  # `all of it` is the total of each draw
assert all(z["total_rhat"] < 1.05 and z["total_ess_bulk"] > 100 for z in s["zones"])
m = solve(sparse, "--sign", "nonnegative")
assert set(m["zones"][0]) == {"name", "prior_total", "map_total"}
near(m["zones"][3]["map_total"], m["map_total"])


# What is wrong says where.
def variable(name, index, value):
    def change(f):
        f[name][index] = value
    return change


fails(3, "zone_col[3]: 99 (expected a whole number 0..41)", write("bad", "sparse", variable("zone_col", 3, 99)))
fails(3, "zone_rowptr: runs from 1 to", write("bad", "sparse", variable("zone_rowptr", 0, 1)))
fails(3, "zones[5] is nan", write("bad", "dense", variable("zones", (0, 5), np.nan)))
fails(2, "--ak is of a Gaussian posterior", sparse, "--sign", "nonnegative", "--ak", f"{WORK}/no.nc")
fails(2, "do not go with --osse", sparse, "--osse", "3", "--by-time")
print("zones: totals, sds, DOFS, covariance, kernels, smoothing and draws as numpy")
