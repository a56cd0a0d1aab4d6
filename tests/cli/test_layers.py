"""Two layers with their own covariance on a mesh with patches: the invented city's CO2, whose problem,
posterior, functionals and fused table are computed again in numpy.

Arguments: skyflux, data folder, work folder, source folder."""
import csv
import os
import re
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

SKYFLUX, _, WORK = (os.path.abspath(a) for a in sys.argv[1:4])
BASE, PATCH, SUB = 48, 16, 4  # cells of the base, cells of a patch, cells in a replaced cell: one axis
CORNERS = ((33, 12), (11, 30))  # of the patches, base cells


def skyflux(*args):
    done = subprocess.run([SKYFLUX, *args, "--progress=none"], cwd=WORK, capture_output=True, text=True)
    assert done.returncode == 0, (args, done.returncode, done.stderr)


def load(name):
    with netCDF4.Dataset(f"{WORK}/s/result/stages/{name}.nc") as d:
        d.set_auto_mask(False)
        return {k: v[:].astype(float) for k, v in d.variables.items() if v.dtype != str}


def near(a, b, relative):
    a, b = np.asarray(a), np.asarray(b)
    assert np.abs(a - b).max() <= relative * np.abs(b).max(), (np.abs(a - b).max(), np.abs(b).max())


class Problem:
    """H, Q in factors, Ψ and the gain, from the exchange file."""

    def __init__(self):
        p = self.p = load("problem-co2")
        n, m = len(p["y"]), len(p["x0"])
        self.H = np.zeros((n, m))
        row, col = p["H_rowptr"].astype(int), p["H_col"].astype(int)
        for i in range(n):
            self.H[i, col[row[i]:row[i + 1]]] = p["H_data"][row[i]:row[i + 1]]
        B = p["group"][:, None] == np.arange(len(p["b0"]))
        self.QHt = self.Q(self.H.T)
        self.noise = B @ np.diag(p["b_sd"]**2) @ B.T + np.diag(p["r_sd"]**2)
        self.inverse = np.linalg.inv(self.H @ self.QHt + self.noise)
        d = p["y"] - self.H @ p["x0"] - B @ p["b0"]
        self.x = p["x0"] + self.QHt @ (self.inverse @ d)
        self.K = self.QHt @ self.inverse

    def Q(self, x):
        F = self.p["q_factor"]
        return F.T @ (self.p["q_sign"][:, None] * (F @ x)) + self.p["q_variance"][:, None] * x

    def covariance(self, W):  # prior, posterior, W A
        QW = self.Q(W.T)
        Z = self.H @ QW
        return W @ QW, W @ QW - Z.T @ self.inverse @ Z, Z.T @ self.inverse @ self.H


def check_problem(s):
    p, a, k = s.p, load("inventory-account-co2"), load("sink-land")
    c, r = len(a["cell_flux"]), len(a["error_sign"])
    assert len(p["x0"]) == 2 * c and c == BASE**2 + len(CORNERS) * (PATCH**2 - (PATCH // SUB)**2)
    assert (s.H[:, :c] == s.H[:, c:]).all() and s.H.any()  # both layers are seen alike
    assert (p["x0"][:c] == np.nan_to_num(a["cell_flux"])).all()
    assert (p["x0"][c:] == np.nan_to_num(k["cell_flux"])).all()
    assert (p["q_factor"][:r, :c] == a["error_factor"]).all() and not p["q_factor"][:r, c:].any()
    assert not p["q_factor"][r:, :c].any() and (p["q_variance"][:c] == a["error_variance"]).all()
    if "error_factor" in k:
        seen = ~np.isnan(k["cell_flux"])
        assert (p["q_factor"][r:, c:][:, seen] == k["error_factor"][:, seen]).all()
    assert not p["fixed"].any()  # the flux exists on the mesh only
    near(p["prior_signal"], s.H @ p["x0"], 1e-13)


def check_state(s, q):
    c = len(q["cell_prior"])
    near(q["x"], s.x, 1e-10)
    F, p = s.p["q_factor"], s.p
    var = p["q_sign"] @ F**2 + p["q_variance"] - (s.QHt * s.K).sum(1)
    near(q["x_sd"]**2, var, 1e-10)
    near(q["cell_posterior"], s.x[:c], 1e-10)
    near(q["sink_posterior"], s.x[c:], 1e-10)
    near(q["sink_sd"]**2, var[c:], 1e-10)
    near(q["cell_ak"], (s.K * s.H.T).sum(1)[:c], 1e-10)


def check_base(s, q):
    """Replaced cells: mean of 16 cells below with its covariance; the others as they are."""
    c, kept = len(q["cell_prior"]), len(q["cell_prior"]) - len(CORNERS) * PATCH**2
    W, at = [], []
    for k, (ix, iy) in enumerate(CORNERS):
        below = kept + k * PATCH**2 + np.arange(PATCH**2).reshape(PATCH, PATCH)
        for j in range(PATCH // SUB):
            for i in range(PATCH // SUB):
                w = np.zeros(2 * c)
                w[below[SUB * j:SUB * (j + 1), SUB * i:SUB * (i + 1)]] = 1 / SUB**2
                W.append(w)
                at.append((iy + j) * BASE + ix + i)
    _, P, A = s.covariance(np.array(W))
    near(q["base_sd"][at], np.sqrt(np.diag(P)), 1e-5)  # areas differ by some 1e-6
    near(q["base_ak"][at], [A[k][w > 0].sum() for k, w in enumerate(W)], 1e-5)
    rest = np.setdiff1d(np.arange(BASE**2), at)
    assert (q["base_sd"][rest] == q["cell_sd"][:kept]).all()
    assert (q["base_ak"][rest] == q["cell_ak"][:kept]).all()


def check_zones(s, q):
    near(q["net_zone_posterior"], q["zone_posterior"] + q["sink_zone_posterior"], 1e-12)
    near(q["zone_prior"], load("inventory-account-co2")["zone_total"], 1e-12)
    near(q["sink_zone_prior"], load("sink-land")["zone_total"], 1e-12)
    assert (q["zone_posterior_sd"] <= q["zone_prior_sd"]).all()
    sd, sink, net = (q[f"{k}_sd"] for k in ("zone_posterior", "sink_zone_posterior",
                                           "net_zone_posterior"))
    assert (abs(net**2 - sd**2 - sink**2) <= 2 * sd * sink).all()  # a covariance, whatever its sign
    assert np.any(abs(net**2 - sd**2 - sink**2) > 1e-9 * net**2)
    near(q["zone_covariance"].diagonal(), q["zone_posterior_sd"]**2, 1e-12)


def rows(gas):
    with open(f"{WORK}/s/result/zones.csv", newline="", encoding="utf-8") as f:
        return {r["zone_id"]: r for r in csv.DictReader(f) if r["gas"] == gas}


def number(row, key):
    return float(row[key + "_t_yr"])


def check_table(q):
    table = rows("co2")
    for k, (zone, r) in enumerate(sorted(table.items())):
        assert zone == sorted(table)[k]
        assert number(r, "best") == number(r, "posterior")
        assert r["best_from"] == ("posterior; mostly the inventory, its prior"
                                  if r["status"] == "insufficient information"
                                  else "posterior; the inventory is its prior"), r
        if r["status"] == "insufficient information":
            assert "these soundings would show" in r["reason"], r
    sinks = sorted(number(r, "sink_posterior") for r in table.values())
    near(sinks, np.sort(q["sink_zone_posterior"]) / 1e3, 1e-12)
    assert all(number(r, "scope2") > 0 for r in table.values())
    assert all(r["sink_t_yr"] == r["net_posterior_t_yr"] == "" for r in rows("ch4").values())
    near(q["zone_inventory_covariance"].diagonal(), q["zone_prior_sd"]**2, 1e-9)  # it is the prior


def check_fused():
    """Another inventory: a BLUE of all zones by numpy, and counties that sum to their city."""
    q, table = load("posterior-co2"), rows("co2")
    names = list(table)
    x_B = np.array([number(r, "inventory") for r in table.values()])
    x_T = np.array([number(r, "posterior") for r in table.values()])
    B, T = q["zone_inventory_covariance"] / 1e6, q["zone_covariance"] / 1e6
    due = [i for i, z in enumerate(names) if table[z]["best_from"].startswith("posterior and inventory")]
    assert len(due) >= 5, [r["best_from"] for r in table.values()]
    B, T, d = B[np.ix_(due, due)], T[np.ix_(due, due)], (x_T - x_B)[due]
    scale = np.sqrt(np.diag(B + T))
    S = np.linalg.pinv((B + T) / np.outer(scale, scale), rcond=1e-10, hermitian=True)
    S = S / np.outer(scale, scale)
    near([number(table[names[i]], "best") for i in due], x_B[due] + B @ S @ d, 1e-6)
    rank = np.linalg.matrix_rank((B + T) / np.outer(scale, scale), tol=1e-9, hermitian=True)
    inflation = max(1, np.sqrt(d @ S @ d / rank))
    sd = inflation * np.sqrt(np.diag(B - B @ S @ B))
    near([number(table[names[i]], "best_sd") for i in due], sd, 1e-5)
    counties = [z for z in names if z.startswith("county")]
    if len(due) == len(names):
        near(sum(number(table[z], "best") for z in counties), number(table["city"], "best"), 1e-5)


def check_iteration(q):
    """Two layers, patches and a compared inventory through the kernels of the iteration: the same in every number."""
    skyflux("run", "s/city.yaml", "--stage", "compare", "--set", "inversions[0].solver.method=iterative")
    with netCDF4.Dataset(f"{WORK}/s/result/stages/posterior-co2.nc") as d:
        assert d.method == "iterative"
    other = load("posterior-co2")
    assert set(other) == set(q)
    for key, value in q.items():
        known = np.isfinite(value)
        assert (known == np.isfinite(other[key])).all(), key
        near(other[key][known], value[known], 1e-9)
    skyflux("run", "s/city.yaml", "--stage", "compare")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    if "city" not in subprocess.run([SKYFLUX, "synth", "--help"], capture_output=True, text=True).stdout:
        print("skipped: no invented city in this program")
        return 77
    skyflux("synth", "city", "s")
    skyflux("run", "s/city.yaml", "--stage", "compare")
    s, q = Problem(), load("posterior-co2")
    check_problem(s)
    check_state(s, q)
    check_base(s, q)
    check_zones(s, q)
    check_table(q)
    check_iteration(q)
    with open(f"{WORK}/s/city.yaml", encoding="utf-8") as f:
        job = f.read()
    job, n = re.subn(r"(  - \{id: account-co2, gas: co2, file: .*\}\n)",
                     r'\1  - {id: other, gas: co2, file: "${data}/other.csv"}' + "\n", job)
    job, m = re.subn(r"\{gas: co2, inventory: account-co2\}", "{gas: co2, inventory: other}", job)
    assert n == m == 1
    with open(f"{WORK}/s/activity.csv", newline="", encoding="utf-8") as f:
        lines = [line for line in f if not line.startswith("#")]
    table = list(csv.DictReader(lines))
    for r in table:
        r["amount"] = repr(1.1 * float(r["amount"]))
    with open(f"{WORK}/s/other.csv", "w", newline="", encoding="utf-8") as f:
        out = csv.DictWriter(f, table[0].keys(), lineterminator="\n")
        out.writeheader()
        out.writerows(table)
    with open(f"{WORK}/s/other.yaml", "w", encoding="utf-8") as f:
        f.write(job)
    skyflux("run", "s/other.yaml", "--stage", "compare")
    check_fused()
    print("ok")
    return 0


sys.exit(main())
