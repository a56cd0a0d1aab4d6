#!/usr/bin/python3
"""skyflux invert --sign: problem S in all printed digits, scipy's nnls, a Gibbs sampler, the log-normal
mode by scipy, same bytes for any thread count, refusals."""
import json
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from scipy import optimize, special

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
import positive_problem  # noqa: E402


def run(*args):
    return subprocess.run([BINARY, "invert", "--progress=none", *args], capture_output=True, text=True)


def solve(path, *args):
    r = run("--problem", path, "--json", *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def problem_s():
    """The bounded mode of problem S; the total of a mode lies far from the mean of the draws."""
    path = os.path.join(DATA, "problems", "S.nc")
    if not os.path.exists(path):
        print("no reference problem: problem S left out")
        return
    a = solve(path, "--sign", "nonnegative")
    assert f"{a['map_total']:.6f}" == "6236.537419", a
    assert a["active_zeros"] == 402, a
    assert f"{a['j']:.6f}" == "981.548193", a
    assert a["kkt_residual"] < 1e-9, a


def nonnegative(path, q):
    """nnls of the stacked whitened system, and a Gibbs sampler of the truncated posterior."""
    m = len(q["x0"])
    root = np.linalg.inv(np.linalg.cholesky(q["Q"]))
    A = np.concatenate([root, q["H"] / q["r_sd"]])
    rhs = np.concatenate([root @ q["x0"], q["y"] / q["r_sd"]])
    want, residual = optimize.nnls(A, rhs)
    box = optimize.lsq_linear(A, rhs, bounds=(0, np.inf), method="bvls", tol=1e-14)
    out = os.path.join(WORK, "nonnegative.nc")
    a = solve(path, "--sign", "nonnegative", "--samples", "3000", "--chains", "4", "--seed", "5", "-o", out)
    f = netCDF4.Dataset(out)
    x = np.array(f["posterior_map"][:]).ravel()
    scale = np.abs(want).max()
    print(f"nnls: {np.abs(x - want).max() / scale:.1e}, bvls {np.abs(x - box.x).max() / scale:.1e}, "
          f"{int((want == 0).sum())} of {m} at zero")
    assert np.abs(x - want).max() < 1e-9 * scale and np.abs(x - box.x).max() < 1e-6 * scale
    assert a["active_zeros"] == (want == 0).sum() > 3
    assert abs(a["j"] - residual**2 / 2) < 1e-9 * a["j"] and a["kkt_residual"] < 1e-9

    P = A.T @ A  # precision
    mean = np.linalg.solve(P, A.T @ rhs)
    rng = np.random.default_rng(1)
    chains, sweeps = 200, 600
    z = np.tile(want[:, None] + 0.1, (1, chains))
    totals, squares, firsts = [], 0, 0
    for k in range(sweeps):
        for i in range(m):
            s = 1 / np.sqrt(P[i, i])
            c = mean[i] - (P[i] @ (z - mean[:, None]) - P[i, i] * (z[i] - mean[i])) / P[i, i]
            low = special.log_ndtr(c / s)  # ln P(x > 0)
            u = low + np.log(rng.uniform(size=chains))
            z[i] = np.maximum(c - s * special.ndtri_exp(u), 0)
        if k >= 100:
            totals.append(z.sum(axis=0))
            firsts, squares = firsts + z.mean(axis=1), squares + (z**2).mean(axis=1)
    totals = np.array(totals)
    of_chain = totals.mean(axis=0)
    gibbs, error = of_chain.mean(), of_chain.std(ddof=1) / np.sqrt(chains)
    print(f"mean total {a['mean_total']:.4f} ± {a['mc_error_total']:.4f}, Gibbs {gibbs:.4f} ± {error:.4f}, "
          f"mode {a['map_total']:.4f}")
    assert abs(a["mean_total"] - gibbs) < 4 * np.hypot(error, a["mc_error_total"])
    assert abs(a["sd_total"] / totals.std() - 1) < 0.04
    quantiles = np.quantile(totals, [0.025, 0.16, 0.5, 0.84, 0.975])
    got = [a[k + "_total"] for k in ("q025", "q16", "median", "q84", "q975")]
    assert np.abs(got - quantiles).max() < 0.12 * totals.std(), (got, quantiles)
    x_mean = firsts / len(totals)
    x_sd = np.sqrt(squares / len(totals) - x_mean**2)
    assert np.abs(np.array(f["posterior_mean"][:]).ravel() - x_mean).max() < 0.1 * x_sd.max()
    assert np.abs(np.array(f["posterior_sd"][:]).ravel() / x_sd - 1).max() < 0.1
    assert a["verdict"] == "converged" and a["rhat"] < 1.01

    draws = np.array(f["total_draws"][:])  # all, then every time step
    assert draws.shape == (4, 3000, 1 + f.dimensions["time"].size)
    assert np.abs(draws[..., 0] - draws[..., 1:].sum(axis=2)).max() < 1e-9 * gibbs
    for name, value in (("total_mean", draws.mean(axis=(0, 1))), ("total_sd", draws.std(axis=(0, 1), ddof=1)),
                        ("total_q025", np.quantile(draws, 0.025, axis=(0, 1))),
                        ("total_median", np.quantile(draws, 0.5, axis=(0, 1)))):
        assert np.abs(np.array(f[name][:]) - value).max() < 1e-9 * gibbs, name
    assert (np.array(f["total_mc_error"][:]) > 0).all() and (draws >= 0).all()


def lognormal_mode(path, q):
    out = os.path.join(WORK, "lognormal.nc")
    a = solve(path, "--sign", "lognormal", "-o", out)
    mu, C = np.log(q["x0"]) - q["s2"] / 2, np.linalg.cholesky(q["Qz"])

    def cost(u):
        x = np.exp(mu + C @ u)
        r = (q["y"] - q["H"] @ x) / q["r_sd"]
        return 0.5 * (u @ u + r @ r), u - C.T @ (x * (q["H"].T @ r)) / q["r_sd"]

    best = optimize.minimize(cost, np.zeros(len(mu)), jac=True, method="BFGS",
                             options={"gtol": 1e-7, "maxiter": 5000})
    x = np.exp(mu + C @ best.x)
    got = np.array(netCDF4.Dataset(out)["posterior_map"][:]).ravel()
    print(f"log-normal mode: off {np.abs(np.log(got / x)).max():.1e} of ln x")
    assert np.abs(np.log(got / x)).max() < 1e-5
    assert abs(a["j"] - best.fun) < 1e-8 * best.fun


def same_bytes(path):
    for sign in ("nonnegative", "lognormal"):
        texts, files = [], []
        for threads in ("1", "2", "5"):
            out = os.path.join(WORK, f"threads{threads}.nc")
            r = run("--problem", path, "--json", "-o", out, "--threads", threads, "--sign", sign,
                    "--samples", "100", "--chains", "3")
            assert r.returncode == 0, r.stderr
            texts.append(r.stdout)
            files.append(open(out, "rb").read())
        assert texts[0] == texts[1] == texts[2] and files[0] == files[1] == files[2], sign
        other = run("--problem", path, "--json", "--sign", sign, "--samples", "100", "--chains", "3",
                    "--seed", "2")
        assert other.stdout != texts[0], "the seed changes nothing"


def refusals(path):
    for args, word in ((("--sign", "positive"), "positive"), (("--samples", "100"), "--sign"),
                       (("--sign", "lognormal", "--seed", "3"), "--samples"),
                       (("--sign", "lognormal", "--samples", "3"), "'3'"),
                       (("--sign", "nonnegative", "--samples", "99", "--chains", "0"), "--chains")):
        r = run("--problem", path, *args)
        assert r.returncode == 2 and word in r.stderr and r.stdout == "", (args, r.returncode, r.stderr)
    r = run("--problem", path, "--sign", "nonnegative", "--memory", "10K")
    assert r.returncode == 1 and "memory" in r.stderr, r.stderr
    plain, gaussian = run("--problem", path), run("--problem", path, "--sign", "gaussian")
    assert plain.returncode == 0 and plain.stdout == gaussian.stdout
    r = run("--problem", path, "--json", "--sign", "lognormal", "--samples", "8", "--chains", "2")
    answer = json.loads(r.stdout)
    assert r.returncode == 0 and answer["verdict"].startswith("not converged") and "not converged" in r.stderr


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    path = os.path.join(WORK, "small.nc")
    q = positive_problem.write(path, 5, 4, 2, 60, seed=4, ratio=1.2, r_sd=1.5)
    problem_s()
    nonnegative(path, q)
    lognormal_mode(path, q)
    same_bytes(path)
    refusals(path)
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
