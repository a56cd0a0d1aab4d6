"""skyflux invert on problem files, and what those hold, for the tests that compare it with dense numpy."""
import json
import subprocess

import netCDF4
import numpy as np
from scipy.sparse import csr_matrix

_binary = None


def use(binary):
    global _binary
    _binary = binary


def run(*args):
    return subprocess.run([_binary, "invert", "--progress=none", *map(str, args)], capture_output=True,
                          text=True)


def solve(path, *args):
    r = run("-p", path, "--json", *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def fails(path, *words, args=(), code=None):
    r = run("-p", path, *args)
    assert r.returncode != 0 and r.stdout == "" and code in (None, r.returncode), r
    for word in words:
        assert word in r.stderr, (word, r.stderr)


def near(a, b, tolerance=1e-10):
    assert abs(a - b) <= tolerance * abs(b), (a, b)


def spherical(h):
    return np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)


def read(path, *names):
    """Variables as arrays, the open file last."""
    f = netCDF4.Dataset(path)
    return *(np.array(f[k][:]) for k in names), f


def jacobian(f):
    """H in rows, sparse."""
    shape = len(f.dimensions["obs"]), len(f.dimensions["state"])
    return csr_matrix(tuple(np.array(f[k][:]) for k in ("H_data", "H_col", "H_rowptr")), shape=shape)


def gaps(f):
    """Distances of the cells, and of the time steps."""
    xc, yc, nt = np.array(f["xc"][:]), np.array(f["yc"][:]), int(f.nt)
    return (np.hypot(xc[:, None] - xc, yc[:, None] - yc),
            np.abs(np.subtract.outer(np.arange(nt), np.arange(nt))).astype(float))


def posterior(H, Q, R, d, a):
    """Correction of the total aᵀx, its sd, and -log evidence, all dense."""
    HQ = H @ Q
    psi = HQ @ H.T + R
    w, aq = np.linalg.solve(psi, d), HQ @ a
    nll = 0.5 * (d @ w + np.linalg.slogdet(psi)[1] + len(d) * np.log(2 * np.pi))
    return aq @ w, np.sqrt(a @ Q @ a - aq @ np.linalg.solve(psi, aq)), nll
