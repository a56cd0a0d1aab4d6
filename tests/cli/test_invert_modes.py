#!/usr/bin/python3
"""skyflux invert: geostatistical solution, tuning and regressors, against dense numpy and scipy."""
import json
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from scipy.optimize import minimize

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
PART = sys.argv[5]


def run(*args):
    return subprocess.run([BINARY, "invert", "--progress=none", *args], capture_output=True, text=True)


def solve(path, *args):
    r = run("--problem", path, "--json", *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def fails(code, word, *args):
    r = run(*args)
    assert r.returncode == code and word in r.stderr and r.stdout == "", (args, r)


def digits(value, text):
    got = f"{value:.{len(text.split('.')[1])}f}"
    assert got == text, (got, text)


def spherical(h):
    return np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)


class Problem:
    """The file as dense matrices, by the words of the specification."""

    def __init__(self, path):
        f = netCDF4.Dataset(path)
        self.y, self.x0 = np.array(f["y"][:]), np.array(f["x0"][:])
        self.n, self.m, self.nt = len(self.y), len(self.x0), int(f.nt)
        self.H = np.zeros((self.n, self.m))
        ptr, col, val = (np.array(f[k][:]) for k in ("H_rowptr", "H_col", "H_data"))
        for i in range(self.n):
            self.H[i, col[ptr[i]:ptr[i + 1]]] = val[ptr[i]:ptr[i + 1]]
        xc, yc = np.array(f["xc"][:]), np.array(f["yc"][:])
        self.space = np.hypot(xc[:, None] - xc, yc[:, None] - yc)
        self.time = np.abs(np.subtract.outer(np.arange(self.nt), np.arange(self.nt))).astype(float)
        self.r_sd = np.array(f["r_sd"][:]) if "r_sd" in f.variables else np.full(self.n, f.sigma_r)
        f.close()
        self.mixed = {}

    def gram(self, length=60.0, tau=4.0):
        """HQH' of unit variance."""
        nc = self.m // self.nt
        if tau not in self.mixed:
            V = self.H.reshape(self.n, self.nt, nc).transpose(1, 0, 2).reshape(self.nt, -1)
            self.mixed[tau] = (spherical(self.time / tau) @ V).reshape(self.nt, self.n, nc)
        E = spherical(self.space / length)
        V = self.H.reshape(self.n, self.nt, nc)
        return sum(V[:, t] @ (self.mixed[tau][t] @ E).T for t in range(self.nt))

    def Q(self, length=60.0, tau=4.0, sigma=2.0):
        return sigma**2 * np.kron(spherical(self.time / tau), spherical(self.space / length))


def with_variables(path, name, dims, variables):
    out = os.path.join(WORK, name + ".nc")
    shutil.copy(path, out)
    f = netCDF4.Dataset(out, "a")
    for k, n in dims.items():
        f.createDimension(k, n)
    for k, (dim, value) in variables.items():
        f.createVariable(k, "f8" if np.asarray(value).dtype.kind == "f" else "i4", dim)[:] = value
    f.close()
    return out


# ---- geostatistical ------------------------------------------------------------------------------

PRINTED = {"S": ("2.06970380", "6226.034614", "40.402803"), "M": ("1.27973912", "10094.006362", "47.581943")}


def printed(path, size):
    out = os.path.join(WORK, "geostat.nc")
    a = solve(path, "--method", "geostatistical", "-o", out)
    beta, total, sd = PRINTED[size]
    digits(a["beta"][0], beta)
    digits(a["posterior_total"], total)
    digits(a["posterior_total_sd"], sd)
    if size == "S":
        x = np.array(netCDF4.Dataset(out)["posterior"][:]).ravel()
        for value, text in zip(x, ("2.19675638", "1.35272102", "0.75222715")):
            digits(value, text)


def drift_columns(path):
    """Two drift columns against the saddle-point system of Michalak et al. (2004), solved dense."""
    p = Problem(path)
    X = np.stack([np.ones(p.m), np.sin(np.arange(p.m) / 7.0)], axis=1)
    here = with_variables(path, "drift", {"drift": 2}, {"drift": (("drift", "state"), X.T)})
    out = os.path.join(WORK, "drift_out.nc")
    a = solve(here, "--method", "geostatistical", "-o", out)
    Q = p.Q()
    psi = p.H @ Q @ p.H.T + np.diag(p.r_sd**2)
    G = p.H @ X
    saddle = np.block([[psi, G], [G.T, np.zeros((2, 2))]])
    answer = np.linalg.solve(saddle, np.concatenate([p.y, np.zeros(2)]))
    weights = np.linalg.solve(saddle, np.vstack([p.H @ Q, X.T]))  # kriging weights and multipliers
    x = weights[:p.n].T @ p.y
    P = Q - weights.T @ np.vstack([p.H @ Q, X.T])
    f = netCDF4.Dataset(out)
    assert np.abs(np.array(a["beta"]) - answer[p.n:]).max() < 1e-9
    assert np.abs(np.array(f["posterior"][:]).ravel() - x).max() < 1e-9 * np.abs(x).max()
    assert np.abs(np.array(f["posterior_sd"][:]).ravel() - np.sqrt(np.diag(P))).max() < 1e-9
    A = weights[:p.n].T @ p.H
    assert np.abs(np.array(f["averaging_kernel"][:]).ravel() - np.diag(A)).max() < 1e-9
    assert np.abs(A @ X - X).max() < 1e-9
    assert abs(a["dofs"] - np.trace(A)) < 1e-7
    assert abs(a["posterior_total_sd"] - np.sqrt(P.sum())) < 1e-8 * np.sqrt(P.sum())
    twice = with_variables(path, "twice", {"drift": 2},
                           {"drift": (("drift", "state"), np.ones((2, p.m)))})
    fails(1, "drift columns", "--problem", twice, "--method", "geostatistical")
    fails(2, "--method 'krig'", "--problem", path, "--method", "krig")


# ---- tuning --------------------------------------------------------------------------------------

def likelihood(path):
    """The printed optimum, and scipy's from its own start and its own likelihood."""
    a = solve(path, "--tune", "length,sigma_q,sigma_r")["tuning"]
    par = a["parameters"]
    digits(par["length_km"]["value"], "60.267")
    digits(par["sigma_q"]["value"], "2.0668")
    digits(par["sigma_r"]["value"], "0.45564")
    digits(a["neg_log_likelihood"], "817.900854")
    digits(a["neg_log_likelihood_given"], "818.334067")
    p = Problem(path)
    d = p.y - p.H @ p.x0

    def nll(theta):
        length, sq, sr = np.exp(theta)
        L = np.linalg.cholesky(sq**2 * p.gram(length) + sr**2 * np.eye(p.n))
        e = np.linalg.solve(L, d)
        return 0.5 * (e @ e + p.n * np.log(2 * np.pi)) + np.log(np.diag(L)).sum()

    best = minimize(nll, np.log([50.0, 1.5, 0.6]), method="Nelder-Mead",
                    options={"xatol": 1e-5, "fatol": 1e-9})
    got = np.log([par[k]["value"] for k in ("length_km", "sigma_q", "sigma_r")])
    assert np.abs(best.x - got).max() < 1e-4, (best.x, got)
    assert a["neg_log_likelihood"] <= best.fun + 1e-7
    # 95 % limits from the curvature of the likelihood in expectation: Fisher by differences of psi
    h = 1e-4

    def psi(theta):
        length, sq, sr = np.exp(theta)
        return sq**2 * p.gram(length) + sr**2 * np.eye(p.n)

    inverse = np.linalg.inv(psi(got))
    M = [inverse @ (psi(got + h * e) - psi(got - h * e)) / (2 * h) for e in np.eye(3)]
    F = np.array([[0.5 * np.sum(a * b.T) for b in M] for a in M])
    sd = np.sqrt(np.diag(np.linalg.inv(F)))
    for k, s in zip(("length_km", "sigma_q", "sigma_r"), sd):
        width = np.log(par[k]["high95"] / par[k]["low95"]) / 2 / 1.9599639845400545
        assert abs(width / s - 1) < 1e-4, (k, width, s)


def groups(path):
    """Two sensors of unlike error and held-out overpasses; noise scaled so that the truth is known."""
    p = Problem(path)
    f = netCDF4.Dataset(path)
    truth = p.H @ np.array(f["x_true"][:])
    f.close()
    sensor = np.arange(p.n) % 2
    noise = np.random.default_rng(3).normal(size=p.n) * np.where(sensor == 1, 1.5, 0.4)
    here = with_variables(path, "sensors", {}, {"sensor": ("obs", sensor),
                                                "overpass": ("obs", np.arange(p.n) // 20)})
    f = netCDF4.Dataset(here, "a")
    f["y"][:] = truth + noise
    f.close()
    a = solve(here, "--tune", "sigma_q,sigma_r", "--holdout", "4")["tuning"]
    par = a["parameters"]
    for key, value in (("sigma_r_sensor0", 0.4), ("sigma_r_sensor1", 1.5), ("sigma_q", 2.0)):
        sd = np.log(par[key]["high95"] / par[key]["low95"]) / 2 / 1.96
        assert abs(np.log(par[key]["value"] / value)) < 3.3 * sd and sd < 0.5, (key, par[key])
    kept = (np.arange(p.n) // 20 + 1) % 4 != 0
    assert a["heldout"]["observations"] == np.sum(~kept)
    assert a["heldout"]["log_density"] > a["heldout_given"]["log_density"] + 10
    # the held-out prediction again, by conditioning without the closed form
    r = np.array([par["sigma_r_sensor0"]["value"], par["sigma_r_sensor1"]["value"]])[sensor]
    psi = par["sigma_q"]["value"]**2 * p.gram() + np.diag(r**2)
    d = truth + noise - p.H @ p.x0
    gain = np.linalg.solve(psi[np.ix_(kept, kept)], psi[np.ix_(kept, ~kept)])
    e = d[~kept] - gain.T @ d[kept]
    C = psi[np.ix_(~kept, ~kept)] - gain.T @ psi[np.ix_(kept, ~kept)]
    assert abs(a["heldout"]["chi2_per_obs"] - e @ np.linalg.solve(C, e) / len(e)) < 1e-8
    assert abs(a["heldout"]["rms"] - np.sqrt(np.mean(e**2))) < 1e-9
    inside = np.mean(np.abs(e) < 1.9599639845400545 * np.sqrt(np.diag(C)))
    assert abs(a["heldout"]["inside95"] - inside) < 1e-12
    fails(2, "overpass", "--problem", path, "--tune", "sigma_r", "--holdout", "4")
    fails(2, "--holdout '1'", "--problem", here, "--tune", "sigma_r", "--holdout", "1")
    fails(2, "--tune 'sigma'", "--problem", path, "--tune", "sigma")
    fails(2, "go with --tune", "--problem", path, "--reml")
    desroziers(p, path)


def desroziers(p, path):
    """At the fixed point another round changes nothing."""
    par = solve(path, "--tune", "sigma_q,sigma_r", "--desroziers")["tuning"]["parameters"]
    r, G = par["sigma_r"]["value"], par["sigma_q"]["value"]**2 * p.gram()
    d = p.y - p.H @ p.x0
    w = np.linalg.solve(G + r**2 * np.eye(p.n), d)
    assert abs(w @ d / p.n - 1) < 1e-7
    assert abs((G @ w) @ d / np.trace(G) - 1) < 1e-7
    assert "low95" not in par["sigma_r"]
    fails(3, "no lengths", "--problem", path, "--tune", "length", "--desroziers")
    fails(2, "--lag goes with", "--problem", path, "--lag", "3")
    fails(3, "AR(1)", "--problem", path, "--method", "smoother")


# ---- regressors ----------------------------------------------------------------------------------

def regressors(path):
    """Albedo- and airmass-like columns with a prior, beside group offsets: the dense formulas."""
    p = Problem(path)
    rng = np.random.default_rng(8)
    B = np.stack([rng.uniform(0.05, 0.4, p.n), rng.uniform(2, 4, p.n)])
    mean, sd = np.array([0.5, -0.1]), np.array([3.0, 0.4])
    group, b0, b_sd = np.arange(p.n) % 3 - 1, np.array([0.1, -0.2]), np.array([0.5, 1.0])
    reg = {"regressor": (("regressor", "obs"), B), "regressor_mean": ("regressor", mean),
           "regressor_sd": ("regressor", sd)}
    off = {"group": ("obs", group), "b0": ("background", b0), "b_sd": ("background", b_sd)}
    for name, dims, variables, cols, m0, s0 in (
            ("alone", {"regressor": 2}, reg, B.T, mean, sd),
            ("both", {"regressor": 2, "background": 2}, {**reg, **off},
             np.hstack([(group[:, None] == np.arange(2)).astype(float), B.T]),
             np.concatenate([b0, mean]), np.concatenate([b_sd, sd]))):
        here = with_variables(path, name, dims, variables)
        out = os.path.join(WORK, name + "_out.nc")
        a = solve(here, "-o", out)
        Q = p.Q()
        psi = p.H @ Q @ p.H.T + cols @ np.diag(s0**2) @ cols.T + np.diag(p.r_sd**2)
        d = p.y - p.H @ p.x0 - cols @ m0
        w = np.linalg.solve(psi, d)
        x, b = p.x0 + Q @ p.H.T @ w, m0 + s0**2 * (cols.T @ w)
        P = np.diag(s0**2) - (cols * s0**2).T @ np.linalg.solve(psi, cols * s0**2)
        f = netCDF4.Dataset(out)
        assert np.abs(np.array(f["posterior"][:]).ravel() - x).max() < 1e-10 * np.abs(x).max()
        assert np.abs(np.array(f["background"][:]) - b).max() < 1e-10
        assert np.abs(np.array(f["background_sd"][:]) - np.sqrt(np.diag(P))).max() < 1e-10
        left = p.n - np.trace(np.linalg.solve(psi, np.diag(p.r_sd**2)))
        assert abs(a["dofs"] + a["dofs_background"] - left) < 1e-8
        assert abs(a["jb"] + a["jo"] - d @ w) < 1e-8
        it = solve(here, "--method", "iterative", "-o", out)
        assert it["method"] == "iterative"
        f = netCDF4.Dataset(out)
        assert np.abs(np.array(f["posterior"][:]).ravel() - x).max() < 1e-8 * np.abs(x).max()
        assert np.abs(np.array(f["background"][:]) - b).max() < 1e-8
        assert abs(it["posterior_total_sd"] / a["posterior_total_sd"] - 1) < 1e-10
    mode(path)
    bad = {**reg, "regressor_sd": ("regressor", np.array([1.0, -1.0]))}
    r = run("--problem", with_variables(path, "bad_sd", {"regressor": 2}, bad))
    assert r.returncode == 3 and "b_sd[1] = -1" in r.stderr, r.stderr
    short = {**reg, "regressor_sd": (("three",), np.ones(3))}
    r = run("--problem", with_variables(path, "short", {"regressor": 2, "three": 3}, short))
    assert r.returncode == 3 and "regressor_sd" in r.stderr, r.stderr


def mode(path):
    """Non-negative mode with regressors: the conditions of Karush, Kuhn and Tucker, densely."""
    p = Problem(path)
    rng = np.random.default_rng(8)
    B = np.stack([rng.uniform(0.05, 0.4, p.n), rng.uniform(2, 4, p.n)])
    s0 = np.array([3.0, 0.4])
    here = with_variables(path, "mode", {"regressor": 2},
                          {"regressor": (("regressor", "obs"), B),
                           "regressor_mean": ("regressor", np.zeros(2)),
                           "regressor_sd": ("regressor", s0)})
    out = os.path.join(WORK, "mode_out.nc")
    solve(here, "--sign", "nonnegative", "-o", out)
    f = netCDF4.Dataset(out)
    x = np.array(f["posterior_map"][:]).ravel()
    Q = p.Q()
    noise = B.T @ np.diag(s0**2) @ B + np.diag(p.r_sd**2)  # offsets integrated out
    gradient = x - p.x0 - Q @ p.H.T @ np.linalg.solve(noise, p.y - p.H @ x)  # Q times it
    multiplier = np.linalg.solve(Q, gradient)
    assert x.min() >= 0 and (x == 0).sum() > 10
    assert np.abs(multiplier[x > 0]).max() < 1e-6 * np.abs(multiplier).max()
    assert multiplier[x == 0].min() > -1e-6 * np.abs(multiplier).max()


# ---- diagnosis -----------------------------------------------------------------------------------

def diagnose(path):
    """Leave-one-out by refitting, block leave-out, influence, eigenvalues, aggregation, sectors."""
    p = Problem(path)
    overpass, sector = np.arange(p.n) // 25, (np.arange(p.m) % 300 > 140).astype(int)
    here = with_variables(path, "labels", {}, {"overpass": ("obs", overpass),
                                               "sector": ("state", sector)})
    out = os.path.join(WORK, "diagnosis.nc")
    answer = solve(here, "--diagnose", "--coarsen", "3", "-o", out)
    a, f = answer["diagnosis"], netCDF4.Dataset(out)
    digits(a["eigenvalues"][0], "5374.008")
    digits(a["eigenvalues"][1], "3696.899")
    digits(a["eigenvalues"][2], "2916.503")
    assert a["eigenvalues_above_1"] == 318
    digits(a["jb_per_dofs"]["half_width"], "0.151")
    digits(a["jo_per_rest"]["half_width"], "0.217")
    assert a["jb_per_dofs"]["verdict"] == a["jo_per_rest"]["verdict"] == "inside"
    G = 4 * p.gram()
    psi = G + np.diag(p.r_sd**2)
    d = p.y - p.H @ p.x0
    lam = np.linalg.eigvalsh(G / p.r_sd[:, None] / p.r_sd)[::-1]
    assert np.abs(np.array(f["eigenvalue"][:]) - lam).max() < 1e-9 * lam[0]
    influence = 1 - p.r_sd**2 * np.diag(np.linalg.inv(psi))
    assert np.abs(np.array(f["influence"][:]) - influence).max() < 1e-10
    assert np.abs(np.array(f["innovation"][:]) - d / np.sqrt(np.diag(psi))).max() < 1e-10
    assert a["outliers"] == [int(i) for i in np.nonzero(np.abs(d) > 4 * np.sqrt(np.diag(psi)))[0]]
    loo, sd = np.array(f["loo_error"][:]), np.array(f["loo_sd"][:])
    for i in range(0, p.n, 37):  # really left out and solved again
        k = np.arange(p.n) != i
        gain = np.linalg.solve(psi[np.ix_(k, k)], psi[k, i])
        assert abs(loo[i] - (d[i] - gain @ d[k])) < 1e-9
        assert abs(sd[i]**2 - (psi[i, i] - gain @ psi[k, i])) < 1e-9
    for g, fit in enumerate(a["overpasses"]):
        B = overpass == g
        gain = np.linalg.solve(psi[np.ix_(~B, ~B)], psi[np.ix_(~B, B)])
        e, C = d[B] - gain.T @ d[~B], psi[np.ix_(B, B)] - gain.T @ psi[np.ix_(~B, B)]
        assert abs(fit["left_out"]["value"] - e @ np.linalg.solve(C, e) / 25) < 1e-8
        assert abs(fit["left_out_rms"] - np.sqrt(np.mean(e**2))) < 1e-9
        chi2 = d[B] @ np.linalg.solve(psi[np.ix_(B, B)], d[B]) / 25
        assert abs(fit["innovation"]["value"] - chi2) < 1e-9
    assert abs(a["total_smoothing_sd"]**2 + a["total_noise_sd"]**2
               - answer["posterior_total_sd"]**2) < 1e-6
    Q = p.Q()
    A = Q @ p.H.T @ np.linalg.solve(psi, p.H)
    D = A - np.eye(p.m)
    one = np.ones(p.m)
    assert abs(a["total_smoothing_sd"] - np.sqrt((D.T @ one) @ Q @ (D.T @ one))) < 1e-8
    W = np.stack([sector == 0, sector == 1]).astype(float)
    kernel = W @ A @ np.linalg.pinv(W)
    got = np.array([r["row"] for r in a["sector_kernel"]])
    assert np.abs(got - kernel).max() < 1e-9, (got, kernel)
    # cells of 3 x 3 as one unknown: Kaminski's aggregation error
    c = np.arange(p.m) % 300
    block = np.arange(p.m) // 300 * 35 + c // 20 // 3 * 7 + c % 20 // 3
    member = (block[:, None] == np.arange(35 * 8)).astype(float)
    S = member @ (member / member.sum(0)).T  # Gamma Gamma*
    N = p.H - p.H @ S
    Ragg, Gc = N @ Q @ N.T, p.H @ S @ Q @ S.T @ p.H.T
    dofs = np.trace(np.linalg.solve(Gc + Ragg + np.diag(p.r_sd**2), Gc))
    coarse = a["coarser_mesh"]
    assert coarse["unknowns"] == 280
    assert abs(coarse["aggregation_error_rms"] - np.sqrt(np.mean(np.diag(Ragg)))) < 1e-9
    assert abs(coarse["dofs"] - dofs) < 1e-7 and abs(coarse["dofs_lost"] - answer["dofs"] + dofs) < 1e-7
    fails(2, "--coarsen '1'", "--problem", path, "--diagnose", "--coarsen", "1")
    fails(2, "goes with --diagnose", "--problem", path, "--coarsen", "2")


def robust(path):
    """Outliers: dropped by screening; under Huber's loss the optimality condition holds."""
    bad = os.path.join(WORK, "outliers.nc")
    shutil.copy(path, bad)
    f = netCDF4.Dataset(bad, "a")
    f["y"][17] += 100.0
    f["y"][230] -= 80.0
    f.close()
    a = solve(bad, "--screen")
    assert a["screened_out"] == 2 and a["observations"] == 398
    p, k = Problem(bad), 1.5
    keep = np.ones(p.n, bool)
    keep[[17, 230]] = False
    G = 4 * p.gram()
    d = p.y - p.H @ p.x0
    w = np.linalg.solve((G + np.diag(p.r_sd**2))[np.ix_(keep, keep)], d[keep])
    assert abs(a["chi2_innovation_per_obs"] - d[keep] @ w / 398) < 1e-9
    out = os.path.join(WORK, "huber.nc")
    a = solve(bad, "--huber", str(k), "-o", out)
    f = netCDF4.Dataset(out)
    x = np.array(f["posterior"][:]).ravel()
    t = (p.y - p.H @ x) / p.r_sd
    pull = np.clip(t, -k, k) / p.r_sd
    assert np.abs(p.x0 + p.Q() @ (p.H.T @ pull) - x).max() < 1e-7
    assert a["huber_reweighted"] == np.sum(np.abs(t) > k) >= 2
    fails(2, "--huber '-1'", "--problem", path, "--huber", "-1")


# ---- experiments ---------------------------------------------------------------------------------

def osse(path):
    """Right statistics pass, wrong noise is flagged; the same seed gives the same bytes."""
    def verdict(*args):
        return solve(path, "--osse", "200", *args)["osse"]

    a = verdict("--seed", "1")
    assert a["members"] == 200 and a["verdict"] == "calibrated", a
    assert abs(a["jb_per_dofs"] - 1) < 0.02 and abs(a["j_per_obs"] - 1) < 0.02
    low, high = a["coverage95_limits"]
    assert [z["zone"] for z in a["zones"]][:2] == ["total", "time 0"] and len(a["zones"]) == 13
    for z in a["zones"]:
        assert low <= z["coverage95"] <= high and sum(z["rank_histogram"]) == 200
    assert a == verdict("--seed", "1", "--threads", "1") != verdict("--seed", "2")
    total = a["zones"][0]
    plain = solve(path)
    assert abs(total["rmse"] / plain["posterior_total_sd"] - 1) < 3.3 / np.sqrt(2 * 200)
    for wrong in (("--noise-factor", "1.4"), ("--noise-factor", "0.7"), ("--noise-correlation", "0.9"),
                  ("--prior-factor", "1.5"), ("--prior-factor", "0.5"), ("--length-factor", "1.5"),
                  ("--length-factor", "0.5")):
        b = verdict(*wrong)
        assert b["verdict"] == "not calibrated", (wrong, b)
    assert verdict("--prior-factor", "1", "--length-factor", "1.0") == verdict()
    fails(2, "--osse '3'", "--problem", path, "--osse", "3")
    fails(2, "--noise-correlation '1'", "--problem", path, "--osse", "50", "--noise-correlation", "1")
    fails(2, "or --osse", "--problem", path, "--seed", "4")
    fails(2, "go with --osse", "--problem", path, "--noise-factor", "2")
    fails(2, "go with --osse", "--problem", path, "--length-factor", "2")
    fails(2, "--prior-factor '-1'", "--problem", path, "--osse", "50", "--prior-factor", "-1")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    path = os.path.join(DATA, "problems", "S.nc")
    if not os.path.exists(path):
        print("skipped: no reference problems at", DATA)
        return 77
    if PART == "geostat":
        printed(path, "S")
        drift_columns(path)
        big = os.path.join(WORK, "M.nc")
        maker = os.path.join(DATA, "problems", "make_problem.py")
        subprocess.run([sys.executable, maker, big, "30", "30", "8", "1500"], check=True)
        printed(big, "M")
    elif PART == "tune":
        likelihood(path)
    elif PART == "heldout":
        groups(path)
    elif PART == "diagnose":
        diagnose(path)
        robust(path)
    elif PART == "osse":
        osse(path)
    else:
        regressors(path)
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
