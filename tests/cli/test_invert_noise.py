#!/usr/bin/python3
"""skyflux invert with errors correlated along tracks, on every path, against dense numpy."""
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from scipy.optimize import minimize

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from invert_command import fails, gaps, jacobian, near, run, solve, spherical, use  # noqa: E402

use(BINARY)
os.makedirs(WORK, exist_ok=True)
S = os.path.join(DATA, "problems", "S.nc")
LENGTH, SHARE = 40.0, 0.8


def correlation(overpass, along, length, share):
    same = overpass[:, None] == overpass
    rho = np.where(same, share * np.exp(-np.abs(along[:, None] - along) / length), 0)
    np.fill_diagonal(rho, 1)
    return rho


def make(name, length=LENGTH, share=SHARE, places=None, **more):
    """Problem S, 8 overpasses whose observations are not in order along their tracks."""
    rng = np.random.default_rng(4)
    path = os.path.join(WORK, name + ".nc")
    shutil.copy(S, path)
    f = netCDF4.Dataset(path, "a")
    n = len(f.dimensions["obs"])
    overpass = rng.integers(0, 8, n)
    along = rng.uniform(0, 600, n) if places is None else places
    f.createVariable("overpass", "i4", ("obs",))[:] = overpass
    f.createVariable("along_track", "f8", ("obs",))[:] = along
    f.createVariable("sensor", "i4", ("obs",))[:] = np.arange(n) % 3 == 0
    f.createDimension("regressor", 1)
    f.createVariable("regressor", "f8", ("regressor", "obs"))[:] = np.sin(np.arange(n))[None]
    f.createVariable("regressor_mean", "f8", ("regressor",))[:] = 0.1
    f.createVariable("regressor_sd", "f8", ("regressor",))[:] = 0.2
    if length is not None:
        f.r_length = length
        if length > 0 and places is None:  # observations with such errors
            R = correlation(overpass, along, length, share or 1.0)
            noise = np.linalg.cholesky(R) @ rng.normal(0, f.sigma_r, n)
            f["y"][:] = jacobian(f) @ np.array(f["x_true"][:]) + noise
    if share is not None:
        f.r_share = share
    f.close()
    return path, overpass, along


class Dense:
    def __init__(self, path, overpass, along, length=LENGTH, share=SHARE):
        f = netCDF4.Dataset(path)
        self.y, self.x0 = np.array(f["y"][:]), np.array(f["x0"][:])
        n, m = len(self.y), len(self.x0)
        self.H = jacobian(f).toarray()
        apart, later = gaps(f)
        self.Q = f.sigma_q**2 * np.kron(spherical(later / f.Lt_steps), spherical(apart / f.Lx_km))
        self.R = f.sigma_r**2 * correlation(overpass, along, length, share)
        assert np.linalg.eigvalsh(self.R)[0] > 0
        self.B = np.sin(np.arange(n))[:, None]
        self.G = self.H @ self.Q @ self.H.T + 0.04 * self.B @ self.B.T
        self.psi = self.G + self.R
        self.d = self.y - self.H @ self.x0 - 0.1 * self.B[:, 0]
        self.w = np.linalg.solve(self.psi, self.d)
        self.n, self.m = n, m


def posterior(path, p):
    """Exact and iterative."""
    one = np.ones(p.m)
    a_h = p.H @ (p.Q @ one)
    inverse = np.linalg.inv(p.psi)
    HQ = p.H @ p.Q
    gain = HQ.T @ inverse
    sd = np.sqrt(np.diag(p.Q) - np.sum(gain * HQ.T, axis=1))
    x = p.x0 + p.Q @ (p.H.T @ p.w)
    want = {"posterior_total": p.x0.sum() + a_h @ p.w,
            "posterior_total_sd": np.sqrt(one @ p.Q @ one - a_h @ inverse @ a_h),
            "chi2_innovation_per_obs": p.d @ p.w / p.n, "jo": p.w @ p.R @ p.w, "jb": p.w @ p.G @ p.w,
            "dofs": np.sum(gain * p.H.T), "dofs_background": np.trace(0.04 * p.B.T @ inverse @ p.B),
            "neg_log_evidence": 0.5 * (p.d @ p.w + np.linalg.slogdet(p.psi)[1]
                                       + p.n * np.log(2 * np.pi)),
            "mean_posterior_sd": sd.mean()}
    near(want["dofs"] + want["dofs_background"], p.n - np.trace(inverse @ p.R), 1e-9)
    for method in ("exact", "iterative"):
        out = os.path.join(WORK, method + ".nc")
        answer = solve(path, "--method", method, "-o", out)
        for key, value in want.items():
            near(answer[key], value)
        f = netCDF4.Dataset(out)
        assert np.abs(np.array(f["posterior"][:]).ravel() - x).max() < 1e-10 * np.abs(x).max()
        assert np.abs(np.array(f["posterior_sd"][:]).ravel() - sd).max() < 1e-9
    plain = solve(S)
    assert answer["posterior_total_sd"] > 1.02 * plain["posterior_total_sd"]


def threads(path):
    first = None
    for method in ("exact", "iterative"):
        for n in (1, 3):
            out = os.path.join(WORK, f"threads{n}.nc")
            assert run("-p", path, "--method", method, "--threads", n, "-o", out).returncode == 0
            data = open(out, "rb").read()
            assert n == 1 or data == first, (method, n)
            first = data


def diagnosis(path, p, overpass):
    out = os.path.join(WORK, "diagnosis.nc")
    a = solve(path, "--diagnose", "-o", out)["diagnosis"]
    f = netCDF4.Dataset(out)
    inverse = np.linalg.inv(p.psi)
    influence = 1 - np.diag(p.R @ inverse)
    assert np.abs(np.array(f["influence"][:]) - influence).max() < 1e-10
    L = np.linalg.inv(np.linalg.cholesky(p.R))
    lam = np.linalg.eigvalsh(L @ p.G @ L.T)[::-1]
    assert np.abs(np.array(f["eigenvalue"][:]) - lam).max() < 1e-10 * lam[0]
    loo = np.array(f["loo_error"][:])
    for i in range(0, p.n, 57):  # left out and solved again
        k = np.arange(p.n) != i
        gain = np.linalg.solve(p.psi[np.ix_(k, k)], p.psi[k, i])
        assert abs(loo[i] - (p.d[i] - gain @ p.d[k])) < 1e-9
    for g, fit in enumerate(a["overpasses"]):
        B = overpass == g
        gain = np.linalg.solve(p.psi[np.ix_(~B, ~B)], p.psi[np.ix_(~B, B)])
        e, C = p.d[B] - gain.T @ p.d[~B], p.psi[np.ix_(B, B)] - gain.T @ p.psi[np.ix_(~B, B)]
        assert abs(fit["left_out"]["value"] - e @ np.linalg.solve(C, e) / B.sum()) < 1e-8
    dofs = influence.sum()
    near(a["jo_per_rest"]["value"], p.w @ p.R @ p.w / (p.n - dofs), 1e-9)
    near(a["jb_per_dofs"]["value"], p.w @ p.G @ p.w / dofs, 1e-9)


def tuning(path, p):
    """Maximum likelihood: the optimum is one of numpy's likelihood; Desroziers: its fixed point."""
    sensor = np.arange(p.n) % 3 == 0
    for how in ((), ("--desroziers",)):
        t = solve(path, "--tune", "sigma_r", *how)["tuning"]["parameters"]
        sigma = [t[k]["value"] for k in sorted(t) if k.startswith("sigma_r")]
        assert len(sigma) == 2, t
        base = np.array(sigma) / 0.5

        def scaled(factor):
            s = np.where(sensor, factor[1], factor[0])
            return s[:, None] * p.R * s

        def nll(factor):
            psi = p.G + scaled(factor)
            return 0.5 * (p.d @ np.linalg.solve(psi, p.d) + np.linalg.slogdet(psi)[1])

        if not how:
            for k in range(2):
                e = np.zeros(2)
                e[k] = 1e-4
                slope = (nll(base * np.exp(e)) - nll(base * np.exp(-e))) / 2e-4
                assert abs(slope) < 1e-3, (k, slope)
        else:
            R = scaled(base)
            product = (R @ np.linalg.solve(p.G + R, p.d)) * p.d
            for group in (sensor, ~sensor):
                near(product[group].sum(), np.diag(R)[group].sum(), 1e-7)


def signs(path, p):
    """The mode between bounds: Karush–Kuhn–Tucker by dense matrices."""
    out = os.path.join(WORK, "sign.nc")
    answer = solve(path, "--sign", "nonnegative", "-o", out)
    f = netCDF4.Dataset(out)
    x = np.array(f["posterior_map"][:]).ravel()
    assert x.min() == 0 and answer["active_zeros"] > 0
    inverse = np.linalg.inv(p.R + 0.04 * p.B @ p.B.T)  # offsets solved out
    pull = p.H.T @ inverse @ (p.y - 0.1 * p.B[:, 0] - p.H @ x)
    # x - x0 = Q (pull + lambda): lambda >= 0 where x = 0, else 0
    free = x > 0
    lam = np.zeros(p.m)
    lam[~free] = np.linalg.lstsq(p.Q[np.ix_(~free, ~free)],
                                 (x - p.x0 - p.Q @ pull)[~free], rcond=None)[0]
    assert np.abs(x - p.x0 - p.Q @ (pull + lam)).max() < 1e-8
    assert lam.min() > -1e-9


def huber(path, overpass, along):
    """Outliers under Huber's loss on the own part of an error: the optimality condition, with the correlated part
    from its own convex problem; the same from either end of the tracks; sensors of one overpass apart."""
    k, bad, out = 1.5, os.path.join(WORK, "outliers.nc"), os.path.join(WORK, "huber.nc")
    shutil.copy(path, bad)
    f = netCDF4.Dataset(bad, "a")
    f["y"][17] += 20.0
    f["y"][230] -= 15.0
    f.close()
    p = Dense(bad, overpass, along)
    a = solve(bad, "--huber", k, "-o", out)
    x = np.array(netCDF4.Dataset(out)["posterior"][:]).ravel()
    own = 0.5 * np.sqrt(1 - SHARE)
    shared = p.R - own**2 * np.eye(p.n) + 0.04 * p.B @ p.B.T  # tracks and offsets
    L = np.linalg.cholesky(shared)
    e = p.y - 0.1 * p.B[:, 0] - p.H @ x

    def cost(z):
        t = (e - L @ z) / own
        loss = np.where(np.abs(t) <= k, t**2 / 2, k * np.abs(t) - k * k / 2)
        return z @ z / 2 + loss.sum(), z - L.T @ np.clip(t, -k, k) / own

    z = minimize(cost, np.linalg.solve(L, 0.5 * e), jac=True, method="L-BFGS-B",
                 options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 60}).x
    t = (e - L @ z) / own
    pull = np.clip(t, -k, k) / own
    assert np.abs(p.x0 + p.Q @ (p.H.T @ pull) - x).max() < 1e-5, np.abs(p.x0 + p.Q @ (p.H.T @ pull) - x).max()
    assert a["huber_reweighted"] == np.sum(np.abs(t) > k * (1 + 1e-6)) >= 2
    assert a["huber_reweighted"] < 0.25 * p.n  # an outlier does not blame its neighbours
    f = netCDF4.Dataset(bad, "a")
    f["along_track"][:] = -along
    f.close()
    near(solve(bad, "--huber", k)["posterior_total"], a["posterior_total"], 1e-9)
    plain = Dense(bad, overpass, along)
    far = np.linalg.solve(plain.psi, plain.d)
    assert np.abs(x - plain.x0 - plain.Q @ (plain.H.T @ far)).max() > 0.1


def smoother():
    """Step by step with tracks that lie in a step each: the batch solution; else refused."""
    path = os.path.join(WORK, "steps.nc")
    maker = os.path.join(DATA, "problems", "make_problem.py")
    subprocess.run([sys.executable, maker, path, "8", "6", "6", "120"], check=True, capture_output=True)
    rng = np.random.default_rng(6)
    with netCDF4.Dataset(path, "a") as f:
        last = np.array(f["H_col"][:])[np.array(f["H_rowptr"][:])[1:] - 1] // len(f.dimensions["cell"])
        f.createVariable("track", "i4", ("obs",))[:] = 2 * last + rng.integers(0, 2, 120)
        f.createVariable("along_track", "f8", ("obs",))[:] = rng.uniform(0, 300, 120)
        f.setncatts({"r_length": LENGTH, "r_share": SHARE, "cov": "spherical in space and exponential in time"})
    out = [os.path.join(WORK, name) for name in ("batch.nc", "step.nc")]
    solve(path, "--method", "exact", "-o", out[0])
    solve(path, "--method", "smoother", "-o", out[1])
    batch, step = (netCDF4.Dataset(o) for o in out)
    for name in ("posterior", "posterior_sd"):
        a, b = np.array(batch[name][:]).ravel(), np.array(step[name][:]).ravel()
        assert np.abs(a - b).max() < 1e-8 * np.abs(a).max(), (name, np.abs(a - b).max())
    with netCDF4.Dataset(path, "a") as f:
        f["track"][:] = 0
    fails(path, "of one track are of the steps", args=("--method", "smoother"))


def experiment(path):
    """Calibrated where the noise is drawn along the tracks, flagged where R forgets them."""
    a = solve(path, "--osse", "200")["osse"]
    assert a["verdict"] == "calibrated", a
    assert abs(a["jb_per_dofs"] - 1) < 0.03 and abs(a["j_per_obs"] - 1) < 0.03
    b = solve(path, "--osse", "200", "--noise-factor", "1.4")["osse"]
    assert b["verdict"] == "not calibrated"


def refusals():
    fails(make("no_length", length=None)[0], "r_length is missing")
    fails(make("negative", length=-3.0)[0], "negative.nc", "r_length -3")
    fails(make("share", share=1.2, places=np.arange(400.0))[0], "r_share 1.2", "at most 1")
    fails(make("same", share=None, places=np.zeros(400))[0], "one place along the track")
    fails(make("pure", share=None)[0], "huber", "share below 1", args=("--huber", "1.5"))
    bare = os.path.join(WORK, "bare.nc")
    shutil.copy(S, bare)
    f = netCDF4.Dataset(bare, "a")
    f.r_length = 5.0
    f.close()
    fails(bare, "along_track is missing")


def main():
    path, overpass, along = make("tracks")
    p = Dense(path, overpass, along)
    posterior(path, p)
    threads(path)
    diagnosis(path, p, overpass)
    tuning(path, p)
    signs(path, p)
    huber(path, overpass, along)
    smoother()
    experiment(path)
    refusals()
    # share 1 is the default
    path, overpass, along = make("pure", share=None)
    p = Dense(path, overpass, along, share=1.0)
    near(solve(path)["neg_log_evidence"], 0.5 * (p.d @ p.w + np.linalg.slogdet(p.psi)[1]
                                                 + p.n * np.log(2 * np.pi)))


main()
