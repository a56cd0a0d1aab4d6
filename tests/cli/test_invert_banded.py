#!/usr/bin/python3
"""skyflux invert --method banded on a problem of the bench's generator, against dense numpy."""
import json
import os
import subprocess
import sys

import netCDF4
import numpy as np
from scipy.sparse import csr_matrix

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
SIDE, TIMES, OBS = 40, 6, 900


def run(*args):
    return subprocess.run([BINARY, "invert", "--progress=none", *map(str, args)], capture_output=True,
                          text=True)


def solve(path, *args):
    r = run("-p", path, "--json", *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def spherical(h):
    return np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)


def main():
    os.makedirs(WORK, exist_ok=True)
    path = os.path.join(WORK, "local.nc")
    maker = os.path.join(SOURCE, "tests", "bench", "make_million.py")
    subprocess.run([sys.executable, maker, path, str(SIDE), str(TIMES), str(OBS), "5"], check=True)
    f = netCDF4.Dataset(path)
    y, x0, truth, xc, yc = (np.array(f[k][:]) for k in ("y", "x0", "x_true", "xc", "yc"))
    n, m, nc = len(y), len(x0), len(xc)
    H = csr_matrix((np.array(f["H_data"][:]), np.array(f["H_col"][:]), np.array(f["H_rowptr"][:])),
                   shape=(n, m))
    assert abs((y - H @ truth).std() - 0.5) < 0.05 and abs((truth - x0).std() - 2) < 0.1
    E = spherical(np.hypot(xc[:, None] - xc, yc[:, None] - yc) / 60)
    D = 4 * spherical(np.abs(np.subtract.outer(np.arange(TIMES), np.arange(TIMES))) / 4)
    HE = np.stack([H[:, t * nc:(t + 1) * nc] @ E for t in range(TIMES)])
    HQ = np.einsum("st,sic->tic", D, HE)
    psi = sum(H[:, t * nc:(t + 1) * nc] @ HQ[t].T for t in range(TIMES)) + 0.25 * np.eye(n)
    d, a = y - H @ x0, HQ.sum((0, 2))
    w = np.linalg.solve(psi, d)
    total = x0.sum() + a @ w
    sd = np.sqrt(D.sum() * E.sum() - a @ np.linalg.solve(psi, a))
    nll = 0.5 * (d @ w + np.linalg.slogdet(psi)[1] + n * np.log(2 * np.pi))
    x = x0 + np.concatenate([w @ HQ[t] for t in range(TIMES)])
    out = os.path.join(WORK, "banded.nc")
    answer = solve(path, "--method", "banded", "-o", out)
    for key, want in (("posterior_total", total), ("posterior_total_sd", sd),
                      ("neg_log_evidence", nll),
                      ("dofs", n - 0.25 * np.trace(np.linalg.inv(psi))), ("chi2_innovation_per_obs", d @ w / n)):
        assert abs(answer[key] / want - 1) < 1e-10, (key, answer[key], want)
    assert np.abs(np.array(netCDF4.Dataset(out)["posterior"][:]).ravel() - x).max() < 1e-9
    assert answer["method"] == "banded" and answer["total_error_bound"] < 1e-15
    assert "mean_posterior_sd" not in answer and "basis_vectors" not in answer
    first = open(out, "rb").read()
    for threads in (1, 3):
        solve(path, "--method", "banded", "-o", out, "--threads", threads)
        assert open(out, "rb").read() == first, threads
    for args, code, word in ((("--checkpoint", "c"), 2, "belong to --method iterative"),
                             (("--memory", "8M"), 1, "memory budget")):
        r = run("-p", path, "--method", "banded", *args)
        assert r.returncode == code and word in r.stderr and r.stdout == "", (args, r)
    r = run("-p", os.path.join(DATA, "problems", "S.nc"), "--method", "banded")
    assert r.returncode != 0 and ("not levels" in r.stderr or "S.nc" in r.stderr), r
    print("ok")


main()
