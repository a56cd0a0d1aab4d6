#!/usr/bin/python3
"""The stored methane sampler run: its forward arrays to 1e-12, its chains called not converged, and
the same model sampled by us against an HMC written here in numpy (other variables, other whitening)."""
import os
import subprocess
import sys

import netCDF4
import numpy as np

DATA, TOOL = sys.argv[2], sys.argv[5]
PATH = os.path.join(DATA, "data", "openghg_ch4_europe2019", "inversion_output.nc")


def run(*args):
    r = subprocess.run([TOOL, PATH, *map(str, args)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return {line.split()[0]: line.split()[1:] for line in r.stdout.splitlines()}


def stored():
    got = run("stored")
    assert got["draws"] == ["200"]
    for key in ("mu", "mu_bc", "epsilon", "log_likelihood", "density"):
        print(f"{key}: off by {got[key][0]} of its largest")
        assert float(got[key][0]) < 1e-12, (key, got[key])
    for j in range(4):
        assert " ".join(got[f"x{j}"][6:]) == "not converged: draws diverged"
        assert " ".join(got[f"unmarked_x{j}"][6:]) == "not converged: constant chains"
        assert got[f"x{j}"][2] == "inf" and got[f"x{j}"][3] == "0"


class Model:
    """-ln density in w: x = softplus(w), b = softplus(w), sigma = 0.1 + 2.9 Φ-like logistic."""

    def __init__(self):
        t = netCDF4.Dataset(PATH)["trace"]
        c = t["constant_data"]
        self.hx, self.hb, self.e = (np.array(c[k][:]) for k in ("hx", "hbc", "error"))
        self.y = np.array(t["observed_data"]["y"][:])

    def theta(self, w):
        return np.concatenate([np.logaddexp(0, w[:, :8]), 0.1 + 2.9 / (1 + np.exp(-w[:, 8:]))], axis=1)

    def __call__(self, w):
        """Rows are chains."""
        th = self.theta(w)
        x, b, s = th[:, :4], th[:, 4:8], th[:, 8:]
        share = 1 / (1 + np.exp(-w))
        mu, bc = x @ self.hx.T, b @ self.hb.T
        var = self.e**2 + (s * mu)**2
        r = self.y - mu - bc
        mean, sd = np.ones(8), np.repeat([1.0, 0.1], 4)
        U = (0.5 * np.log(var) + 0.5 * r**2 / var).sum(axis=1)
        U += (0.5 * ((th[:, :8] - mean) / sd)**2).sum(axis=1) - np.log(share[:, :8]).sum(axis=1)
        U -= np.log(share[:, 8]) + np.log1p(-share[:, 8])
        dvar = 0.5 / var - 0.5 * r**2 / var**2  # dU/dvar
        gx = (-r / var + dvar * 2 * s**2 * mu) @ self.hx + (x - 1)
        gb = (-r / var) @ self.hb + (b - 1) / 0.01
        gs = (dvar * 2 * s * mu**2).sum(axis=1, keepdims=True)
        g = np.concatenate([gx, gb, gs], axis=1)
        g[:, :8] = g[:, :8] * share[:, :8] - (1 - share[:, :8])
        g[:, 8:] = g[:, 8:] * 2.9 * share[:, 8:] * (1 - share[:, 8:]) - (1 - 2 * share[:, 8:])
        return U, g


def hmc(model, rng, chains, draws):
    """Many chains at once; the covariance is learnt in two rounds, the step fixed by hand."""
    w = np.concatenate([np.tile([3.0, 0.5, 0.5, 15.0, 0.8, 0.6, 0.6, 1.5, 3.0], (chains, 1))])
    w = w + 0.1 * rng.standard_normal(w.shape)
    root = np.eye(9) * 0.02
    kept = []
    for n, step, leaps, keep in ((400, 0.5, 10, 200), (600, 0.15, 12, 300), (800, 0.15, 12, 400),
                                 (draws, 0.13, 14, draws)):
        U, g = model(w)
        some = []
        for k in range(n):
            p = rng.standard_normal(w.shape)
            q, gq, start = w.copy(), g.copy(), U + 0.5 * (p**2).sum(axis=1)
            h = step * rng.uniform(0.6, 1.2)
            for _ in range(leaps):
                p = p - 0.5 * h * gq @ root
                q = q + h * p @ root.T
                V, gq = model(q)
                p = p - 0.5 * h * gq @ root
            error = V + 0.5 * (p**2).sum(axis=1) - start
            ok = np.log(rng.uniform(size=chains)) < -error
            w[ok], g[ok], U[ok] = q[ok], gq[ok], V[ok]
            if k >= n - keep:
                some.append(w.copy())
        pool = np.concatenate(some)
        root = np.linalg.cholesky(np.cov(pool.T))
        kept = np.array(some)
    return kept.transpose(1, 0, 2)


def gradient_check(model):
    w = np.random.default_rng(3).normal(1, 0.5, (3, 9))
    _, g = model(w)
    for k in range(9):
        d = np.zeros(9)
        d[k] = 1e-6
        slope = (model(w + d)[0] - model(w - d)[0]) / 2e-6
        assert np.abs(slope - g[:, k]).max() < 1e-4 * np.abs(g).max(), k


def main():
    if not os.path.exists(PATH):
        print("skipped: no stored sampler run at", PATH)
        return 77
    stored()
    model = Model()
    gradient_check(model)
    draws = hmc(model, np.random.default_rng(11), 40, 1000)
    theta = model.theta(draws.reshape(-1, 9)).reshape(*draws.shape)
    of_chain = theta.mean(axis=1)  # 40 independent chains: their spread is the error, no ESS needed
    mean, error = of_chain.mean(axis=0), of_chain.std(axis=0, ddof=1) / np.sqrt(len(of_chain))
    sd = theta.std(axis=(0, 1))
    got = run("sample", 8, 5000, 4, 2)
    names = [f"x{j}" for j in range(4)] + [f"b{k}" for k in range(4)] + ["sigma0"]
    for k, name in enumerate(names):
        m, s, rhat, bulk, tail, mc = map(float, got[name][:6])
        z = (m - mean[k]) / np.hypot(mc, error[k])
        print(f"{name}: {m:.4f} ± {s:.4f}, numpy {mean[k]:.4f} ± {sd[k]:.4f}, z {z:+.2f}, "
              f"R-hat {rhat:.4f}, ESS {bulk:.0f} {tail:.0f}")
        assert abs(z) < 3.5, name
        assert abs(s / sd[k] - 1) < 0.08, name
        assert rhat < 1.01 and bulk > 1000 and tail > 1000, name
        assert " ".join(got[name][6:]) == "converged", got[name]
    print(f"divergent {got['divergent'][0]} of 40000")
    assert run("sample", 3, 200, 9, 1) == run("sample", 3, 200, 9, 3), "draws depend on the threads"
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
