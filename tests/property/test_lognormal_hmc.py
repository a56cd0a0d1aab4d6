#!/usr/bin/python3
"""A log-normal case of 400 elements and 4000 observations: mean, sd and median of the total against an
HMC written here in numpy (normal equations, scipy's mode, the full Hessian for whitening)."""
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from scipy import optimize

BINARY, WORK, SOURCE = sys.argv[1], sys.argv[3], sys.argv[4]
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
import positive_problem  # noqa: E402

CHAINS, WARMUP, DRAWS = 40, 150, 600


class Density:
    def __init__(self, q):
        self.mu, self.C = np.log(q["x0"]) - q["s2"] / 2, np.linalg.cholesky(q["Qz"])
        self.F, self.g = q["H"].T @ q["H"] / q["r_sd"]**2, q["H"].T @ q["y"] / q["r_sd"]**2

    def x(self, u):
        return np.exp(self.mu[:, None] + self.C @ u)

    def __call__(self, u):
        """Columns are chains."""
        x = self.x(u)
        Fx = self.F @ x
        return (0.5 * (u * u).sum(0) + 0.5 * (x * Fx).sum(0) - self.g @ x,
                u + self.C.T @ (x * (Fx - self.g[:, None])))

    def hessian(self, u):
        x = self.x(u[:, None])[:, 0]
        inner = x[:, None] * self.F * x + np.diag(x * (self.F @ x - self.g))
        return np.eye(len(u)) + self.C.T @ inner @ self.C


def sample(d, n):
    def flat(u):
        U, g = d(u[:, None])
        return U[0], g[:, 0]
    mode = optimize.minimize(flat, np.zeros(n), jac=True, method="L-BFGS-B",
                             options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-14, "gtol": 1e-8}).x
    T = np.linalg.inv(np.linalg.cholesky(d.hessian(mode))).T  # u = mode + T v
    rng = np.random.default_rng(99)
    v = rng.standard_normal((n, CHAINS))

    def potential(v):
        U, g = d(mode[:, None] + T @ v)
        return U, T.T @ g
    U, g = potential(v)
    assert np.isfinite(U).all()
    totals, accepted = [], []
    for k in range(WARMUP + DRAWS):
        p = rng.standard_normal(v.shape)
        start = U + 0.5 * (p * p).sum(0)
        step, q, gq = rng.uniform(0.12, 0.24), v.copy(), g
        for _ in range(9):
            p = p - 0.5 * step * gq
            q = q + step * p
            V, gq = potential(q)
            p = p - 0.5 * step * gq
        error = V + 0.5 * (p * p).sum(0) - start
        ok = np.log(rng.uniform(size=CHAINS)) < -error
        v, g, U = np.where(ok, q, v), np.where(ok, gq, g), np.where(ok, V, U)
        if k >= WARMUP:
            totals.append(d.x(mode[:, None] + T @ v).sum(0))
            accepted.append(ok.mean())
    return np.array(totals), np.mean(accepted), np.exp(d.mu + d.C @ mode).sum()


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    path = os.path.join(WORK, "lognormal.nc")
    q = positive_problem.write(path, 10, 10, 4, 4000, seed=1)
    r = subprocess.run([BINARY, "invert", "--progress=none", "--problem", path, "--json", "--sign", "lognormal",
                        "--samples", "1000", "--chains", "4", "--seed", "17"], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    a = json.loads(r.stdout)
    with np.errstate(over="ignore", invalid="ignore"):  # of steps that are refused
        totals, accepted, mode = sample(Density(q), 400)
    of_chain = totals.mean(axis=0)
    mean, error = of_chain.mean(), of_chain.std(ddof=1) / np.sqrt(CHAINS)
    z = (a["mean_total"] - mean) / np.hypot(error, a["mc_error_total"])
    print(f"mean {a['mean_total']:.4f} ± {a['mc_error_total']:.4f} (sd {a['sd_total']:.4f}), numpy {mean:.4f} ± "
          f"{error:.4f} (sd {totals.std():.4f}, acceptance {accepted:.2f}), z {z:+.2f}")
    print(f"median {a['median_total']:.4f}, numpy {np.median(totals):.4f}; MAP-median total "
          f"{a['map_total']:.4f}, scipy {mode:.4f}; truth {a['true_total']:.4f}; R-hat {a['rhat']:.4f}, "
          f"ESS {a['ess_bulk']:.0f}, divergent {a['divergent']}")
    assert accepted > 0.5
    assert abs(z) < 3.5 and a["mc_error_total"] < 0.05 * a["sd_total"]
    assert abs(a["sd_total"] / totals.std() - 1) < 0.06
    assert abs(a["median_total"] - np.median(totals)) < 0.1 * a["sd_total"]
    assert abs(a["map_total"] / mode - 1) < 1e-5
    assert a["rhat"] < 1.01 and a["verdict"] == "converged"
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
