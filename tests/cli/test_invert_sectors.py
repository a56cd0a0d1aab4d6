#!/usr/bin/python3
"""Sectors as layers of the state that share their errors by a mixing matrix: exact, iterative and geostatistical
answers for every sector and zone against dense numpy. arguments: BINARY DATA WORK SOURCE"""
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
NX, NY, NT, NS, N = 6, 5, 2, 3, 50
MESH, NC = NX * NY, NX * NY * NS
rng = np.random.default_rng(5)
M = np.array([[1.0, 0.4, 0.1], [0.4, 0.5, 0.0], [0.1, 0.0, 0.2]])  # fossil, biosphere, waste
assert np.linalg.eigvalsh(M).min() > 0


def spherical(h):
    return np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)


x, y = (a.ravel() for a in np.meshgrid(10.0 * np.arange(NX), 10.0 * np.arange(NY)))
E = spherical(np.hypot(x[:, None] - x, y[:, None] - y) / 35)
D = spherical(np.abs(np.subtract.outer(np.arange(NT), np.arange(NT))) / 2.5)
scale = 0.5 + rng.random((NT, NS, MESH))
s = scale.ravel()
Q = s[:, None] * np.kron(D, np.kron(M, E)) * s
m = NC * NT
x0 = 1 + rng.random(m)
seen = np.where(rng.random((N, NT, 1, MESH)) < 0.4, rng.random((N, NT, 1, MESH)), 0)
H = np.repeat(seen, NS, axis=2).reshape(N, m)  # a column does not tell sectors apart
obs = H @ (x0 + np.linalg.cholesky(Q) @ rng.standard_normal(m)) + 0.3 * rng.standard_normal(N)
weights = np.kron(np.eye(NS), np.ones(MESH))  # each sector
weights = np.vstack([weights, np.tile(np.arange(MESH) < 12, NS)])  # a park, all sectors
names = ["fossil", "biosphere", "waste", "park"]


def write(name, mixing=M, reach=None):
    """With reach: the Kronecker form, one sd for all elements."""
    path = f"{WORK}/{name}.nc"
    rows = [np.flatnonzero(h) for h in H]
    ptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    with netCDF4.Dataset(path, "w") as f:
        for k, n in (("obs", N), ("state", m), ("cell", NC), ("nnz", ptr[-1]), ("rowp", N + 1), ("zone", 4),
                     ("level", 1), ("sector", len(mixing)), ("sector_too", len(mixing[0])), ("point", s.size)):
            f.createDimension(k, n)

        def put(var, dims, value, kind="f8"):
            f.createVariable(var, kind, dims)[:] = value

        put("y", "obs", obs)
        put("x0", "state", x0)
        put("xc", "cell", np.tile(x, NS))
        put("yc", "cell", np.tile(y, NS))
        put("cell_width", "cell", 10.0)
        put("H_data", "nnz", np.concatenate([h[r] for h, r in zip(H, rows)]))
        put("H_col", "nnz", np.concatenate(rows), "i4")
        put("H_rowptr", "rowp", ptr, "i4")
        put("zones", ("zone", "cell"), weights)
        put("sector_mixing", ("sector", "sector_too"), mixing)
        if reach is not None:
            put("x_sd", "state", s)
            put("sector_reach", "sector", reach)
            f.setncatts({"cov": "exponential in space and spherical in time", "Lx_km": 20.0})
        else:
            put("level_scale0", "point", s)
        for var, value in (("x0", -5), ("y0", -5), ("dx", 10), ("dy", 10), ("nx", NX), ("ny", NY), ("length", 35),
                           ("sigma", 1)) if reach is None else ():
            put(f"level_{var}", "level", value)
        zone_name = f.createVariable("zone_name", str, "zone")
        for k, n in enumerate(names):
            zone_name[k] = n
        f.setncatts({"nx": NC, "ny": 1, "nt": NT, "Lt_steps": 2.5, "sigma_r": 0.3, "cov_time": "spherical",
                     "level_models": "spherical"})
    return path


def run(*args):
    return subprocess.run([BINARY, "invert", "--progress=none", *args], capture_output=True, text=True)


def near(a, b, tolerance=1e-9):
    a, b = np.asarray(a, float), np.asarray(b, float)
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max(), (np.abs(a - b).max(), np.abs(b).max())


W = np.vstack([np.ones(NC), weights])
W = np.hstack([W] * NT)
inverse = np.linalg.inv(H @ Q @ H.T + 0.09 * np.eye(N))
K = Q @ H.T @ inverse
P = Q - K @ H @ Q
mean = x0 + K @ (obs - H @ x0)
path = write("sectors")
for method in ("exact", "iterative"):
    done = run("--problem", path, "--json", "--method", method, "-o", f"{WORK}/out.nc")
    assert done.returncode == 0, done.stderr
    z = json.loads(done.stdout)["zones"]
    assert [k["name"] for k in z] == names
    near([k["posterior_total"] for k in z], (W @ mean)[1:])
    near([k["posterior_sd"] for k in z], np.sqrt(np.diag(W @ P @ W.T))[1:])
    near([k["prior_sd"] for k in z], np.sqrt(np.diag(W @ Q @ W.T))[1:])
    with netCDF4.Dataset(f"{WORK}/out.nc") as f:
        near(f["posterior"][:].ravel(), mean)
        near(f["zone_covariance"][:], W @ P @ W.T)
C = W @ P @ W.T
assert abs(C[1, 2]) > 0.05 * np.sqrt(C[1, 1] * C[2, 2])  # what is seen together stays mixed
G = H.sum(1)
beta = (G @ inverse @ obs) / (G @ inverse @ G)
done = run("--problem", path, "--json", "--method", "geostatistical")
z = json.loads(done.stdout)["zones"]
near([k["posterior_total"] for k in z], (W @ (beta + K @ (obs - G * beta)))[1:])
# Beside cov: sectors that mix have one length, the third its own.
C, REACH = np.array([[1.0, -0.4, 0.0], [-0.4, 1.0, 0.0], [0.0, 0.0, 1.0]]), [1.5, 1.5, 0.5]
d = np.hypot(x[:, None] - x, y[:, None] - y)
E = np.block([[C[a, b] * np.exp(-d / (20 * REACH[a])) for b in range(NS)] for a in range(NS)])
Q = s[:, None] * np.kron(D, E) * s
K = Q @ H.T @ np.linalg.inv(H @ Q @ H.T + 0.09 * np.eye(N))
P, mean = Q - K @ H @ Q, x0 + K @ (obs - H @ x0)
for method in ("exact", "iterative"):
    done = run("--problem", write("kronecker", C, REACH), "--json", "--method", method)
    assert done.returncode == 0, done.stderr
    z = json.loads(done.stdout)["zones"]
    near([k["posterior_total"] for k in z], (W @ mean)[1:])
    near([k["posterior_sd"] for k in z], np.sqrt(np.diag(W @ P @ W.T))[1:])
for mixing, reach, words in ((M, REACH, "(expected 1 beside cov"), (C, [1, 2, 1], "expected one length where"),
                             (C, [1, 1, 0], "sector_reach[2]: 0"),
                             ([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], [1, 1, 1], "has the eigenvalue -")):
    done = run("--problem", write("bad", mixing, reach))
    assert done.returncode == 3 and words in done.stderr, (words, done)
for mixing, words in (([[1.0, 0.2]], "sector_mixing: 2 values"), (np.eye(4), "sector_mixing: 16 values")):
    done = run("--problem", write("bad", mixing))
    assert done.returncode == 3 and words in done.stderr, done
print("sectors: totals, sds and covariance of three mixed sectors as numpy")
