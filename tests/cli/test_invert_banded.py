#!/usr/bin/python3
"""skyflux invert --method banded on a problem of the bench's generator, against dense numpy."""
import os
import re
import subprocess
import sys

import netCDF4
import numpy as np
from scipy.sparse import csr_matrix

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from invert_command import fails, gaps, jacobian, read, run, solve, spherical, use  # noqa: E402

use(BINARY)
SIDE, TIMES, OBS = 40, 6, 900


def sectors(path, H, y, x0, E, D):
    """Two sectors on one mesh, correlated: three methods against numpy; matrices that are none."""
    out = os.path.join(WORK, "sectors.nc")
    mix = np.array([[1, 0.4], [0.4, 1]])
    given = netCDF4.Dataset(path)
    nc, n = len(E), len(y)
    both = np.concatenate([np.concatenate([H[:, t * nc:(t + 1) * nc].toarray(),
                                           0.5 * H[:, t * nc:(t + 1) * nc].toarray()], 1)
                           for t in range(TIMES)], 1)
    sparse = csr_matrix(both)
    f = netCDF4.Dataset(out, "w")
    for name, size in (("obs", n), ("state", 2 * len(x0)), ("cell", 2 * nc), ("nnz", sparse.nnz),
                       ("rowp", n + 1), ("level", 1), ("sector", 2), ("sector_too", 2)):
        f.createDimension(name, size)
    prior = np.concatenate([np.tile(x0[t * nc:(t + 1) * nc], 2) for t in range(TIMES)])
    for name, dims, value in (("y", ("obs",), y), ("x0", ("state",), prior),
                              ("xc", ("cell",), np.tile(given["xc"][:], 2)),
                              ("yc", ("cell",), np.tile(given["yc"][:], 2)),
                              ("cell_width", ("cell",), np.full(2 * nc, 10.0)),
                              ("H_data", ("nnz",), sparse.data),
                              ("sector_mixing", ("sector", "sector_too"), mix)):
        f.createVariable(name, "f8", dims)[:] = value
    f.createVariable("H_col", "i4", ("nnz",))[:] = sparse.indices
    f.createVariable("H_rowptr", "i4", ("rowp",))[:] = sparse.indptr
    for name in given.variables:
        if name.startswith("level_"):
            f.createVariable(name, "f8", ("level",))[:] = given[name][:]
    f.setncatts({k: given.getncattr(k) for k in given.ncattrs() if k not in ("nx", "ny")})
    f.close()
    HQ = np.einsum("st,ab,ntaj->nsbj", D, mix,
                   both.reshape(n, TIMES, 2, nc) @ E).reshape(n, -1)
    psi = HQ @ both.T + 0.25 * np.eye(n)
    a = HQ.sum(1)
    total = prior.sum() + a @ np.linalg.solve(psi, y - both @ prior)
    var = D.sum() * mix.sum() * E.sum() - a @ np.linalg.solve(psi, a)
    for method in ("exact", "iterative", "banded"):
        answer = solve(out, "--method", method)
        assert abs(answer["posterior_total"] / total - 1) < 1e-10, (method, answer, total)
        assert abs(answer["posterior_total_sd"] / var**0.5 - 1) < 1e-10, (method, answer, var**0.5)
    for name, at, value, word in (("sector_mixing", (0, 1), 0.3, "symmetric"), ("xc", 3, 7.0, "not cell"),
                                  ("sector_mixing", slice(None), [[1, 1.2], [1.2, 1]], "eigenvalue")):
        f = netCDF4.Dataset(out, "a")
        kept = np.array(f[name][:])
        f[name][at] = value
        f.close()
        fails(out, word)
        f = netCDF4.Dataset(out, "a")
        f[name][:] = kept
        f.close()


def chosen(path, dofs):
    """By itself: exact where that fits the budget, else the band."""
    log = run("-p", path, "-v", "--memory", "8M").stderr
    band, exact = (float(re.search(f"an? {what} takes ([0-9]+) MB of", log)[1])
                   for what in ("band", "exact solution of 900 observations"))
    a = solve(path, "--memory", f"{int((band + 1) * 1e6 / 2**20) + 1}M")
    assert a["method"] == ("banded" if band + 2.1 < exact else "exact"), (band, exact, a["method"])
    assert abs(a["dofs"] / dofs - 1) < 1e-10
    assert solve(path)["method"] == "exact"


def main():
    os.makedirs(WORK, exist_ok=True)
    path = os.path.join(WORK, "local.nc")
    maker = os.path.join(SOURCE, "tests", "bench", "make_million.py")
    subprocess.run([sys.executable, maker, path, str(SIDE), str(TIMES), str(OBS), "5"], check=True)
    y, x0, truth, xc, f = read(path, "y", "x0", "x_true", "xc")
    n, nc, H = len(y), len(xc), jacobian(f)
    apart, later = gaps(f)
    assert abs((y - H @ truth).std() - 0.5) < 0.05 and abs((truth - x0).std() - 2) < 0.1
    E, D = spherical(apart / 60), 4 * spherical(later / 4)
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
    assert answer["method"] == "banded" and answer["total_error_bound"] < 1e-11
    assert "mean_posterior_sd" not in answer and "basis_vectors" not in answer
    chosen(path, answer["dofs"])
    first = open(out, "rb").read()
    for threads in (1, 3):
        solve(path, "--method", "banded", "-o", out, "--threads", threads)
        assert open(out, "rb").read() == first, threads
    for args, code, word in ((("--checkpoint", "c"), 2, "belong to --method iterative"),
                             (("--memory", "8M"), 1, "memory budget")):
        fails(path, word, args=("--method", "banded", *args), code=code)
    sectors(path, H, y, x0, E, D)
    r = run("-p", os.path.join(DATA, "problems", "S.nc"), "--method", "banded")
    assert r.returncode != 0 and ("not levels" in r.stderr or "S.nc" in r.stderr), r
    print("ok")


main()
