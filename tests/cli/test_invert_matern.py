#!/usr/bin/python3
"""Matérn priors of any smoothness in problem files: exact and iterative against dense numpy with scipy's K_ν,
the length tuned, and what is refused."""
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from scipy.special import gamma, kv

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from invert_command import fails, gaps, jacobian, near, posterior, read, run, solve, use  # noqa: E402

use(BINARY)
os.makedirs(WORK, exist_ok=True)


def matern(nu, s):
    with np.errstate(invalid="ignore"):
        return np.where(s == 0, 1, 2**(1 - nu) / gamma(nu) * s**nu * kv(nu, s))


def change(source, name, **attributes):
    path = os.path.join(WORK, name + ".nc")
    shutil.copy(source, path)
    f = netCDF4.Dataset(path, "a")
    f.setncatts(attributes)
    f.close()
    return path


def kronecker(source):
    path = change(source, "kronecker", cov="matern(1.2) in space and matern(0.7) in time, and so on")
    y, x0, f = read(path, "y", "x0")
    apart, later = gaps(f)
    H, ones = jacobian(f).toarray(), np.ones(len(x0))

    def dense(length):
        Q = f.sigma_q**2 * np.kron(matern(0.7, later / f.Lt_steps), matern(1.2, apart / length))
        return posterior(H, Q, f.sigma_r**2 * np.eye(len(y)), y - H @ x0, ones)

    change_, sd, nll = dense(f.Lx_km)
    for method in ("exact", "iterative"):
        answer = solve(path, "--method", method)
        near(answer["posterior_total"], x0.sum() + change_)
        near(answer["posterior_total_sd"], sd)
        near(answer["neg_log_evidence"], nll)
    best = solve(path, "--tune", "length")["tuning"]["parameters"]["length_km"]["value"]
    low, middle, high = (dense(best * factor)[2] for factor in (0.99, 1, 1.01))
    assert middle < min(low, high) and abs(high - low) < 2e-2 * (low + high - 2 * middle), (low, middle, high)
    # matern(0.5), (1.5) and (2.5) are the models with names
    for nu, name in ((0.5, "exponential"), (1.5, "matern32"), (2.5, "matern52")):
        a = solve(change(source, "a", cov=f"matern({nu}) in space and none in time"))
        b = solve(change(source, "b", cov=f"{name} in space and none in time"))
        for key in ("posterior_total", "posterior_total_sd", "neg_log_evidence", "dofs"):
            near(a[key], b[key], 1e-11)


def levels(made):
    path = change(made, "levels", level_models="matern(1.2)", cov_time="matern(0.8)")
    y, x0, length, sigma, f = read(path, "y", "x0", "level_length", "level_sigma")
    apart, later = gaps(f)
    H, ones, nc = jacobian(f), np.ones(len(x0)), len(apart)
    E, D = matern(1.2, apart / length), sigma[0]**2 * matern(0.8, later / f.Lt_steps)
    assert np.linalg.eigvalsh(E)[0] > 0
    HE = np.stack([H[:, t * nc:(t + 1) * nc] @ E for t in range(len(D))])
    HQ = np.einsum("st,sic->itc", D, HE).reshape(len(y), -1)
    psi = H @ HQ.T + f.sigma_r**2 * np.eye(len(y))
    a = HQ @ ones
    total = x0.sum() + a @ np.linalg.solve(psi, y - H @ x0)
    sd = np.sqrt(D.sum() * E.sum() - a @ np.linalg.solve(psi, a))
    for method in ("exact", "iterative"):
        answer = solve(path, "--method", method)
        near(answer["posterior_total"], total)
        near(answer["posterior_total_sd"], sd)
    fails(path, "no bounded support", args=("--method", "banded"))


def refusals(source, made):
    for model, words in (("matern", ("smoothness", "above 0, at most 100")), ("matern(0)", ("smoothness 0",)),
                         ("matern(-1.5)", ("smoothness -1.5", "above 0")), ("matern(nan)", ("'nan' is not",)),
                         ("matern(101)", ("smoothness 101",)), ("matern(1.2", ("'matern(1.2' is not known",)),
                         ("spherical(1.2)", ("spherical has no smoothness (1.2",)),
                         ("matérn", ("is not known", "gaspari-cohn or matern"))):
        fails(change(source, "bad", cov=f"{model} in space and none in time"), "bad.nc: cov", *words)
        fails(change(made, "badlevel", level_models=model), "badlevel.nc", *words)
        fails(change(made, "badtime", cov_time=model), "badtime.nc", *words)


def threads(made):
    first = None
    path, out = change(made, "threads", level_models="matern(1.2)"), os.path.join(WORK, "out.nc")
    for n in (1, 3):
        assert run("-p", path, "--threads", n, "-o", out).returncode == 0
        data = open(out, "rb").read()
        assert first in (None, data), n
        first = data


def main():
    source, made = os.path.join(WORK, "small.nc"), os.path.join(WORK, "made.nc")
    for maker, path, *args in ((os.path.join(DATA, "problems", "make_problem.py"), source, 12, 10, 5, 150),
                               (os.path.join(SOURCE, "tests", "bench", "make_million.py"), made, 24, 4, 300, 5)):
        subprocess.run([sys.executable, maker, path, *map(str, args)], check=True)
    kronecker(source)
    levels(made)
    threads(made)
    refusals(source, made)
    print("ok")


main()
