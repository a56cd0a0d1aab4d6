"""skyflux invert --method iterative: test_invert_iterative.py BINARY DATA WORK SOURCE [S, M or large]

The printed digits of the reference problems on the matrix-free path; with S also float32, options
and a prior as levels against dense numpy; large: bounds of an early stop, and a checkpoint killed
three times."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import netCDF4
import numpy as np

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
SIZE = sys.argv[5] if len(sys.argv) > 5 else "S"
GOLD = os.path.join(SOURCE, "tests", "golden", "problems.gold")


def run(*args, **kw):
    return subprocess.run([BINARY, "invert", *map(str, args)], capture_output=True, text=True, **kw)


def solve(path, *args):
    r = run("--problem", path, "--json", "--progress=none", "--threads", 1, *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def golden(answer, x):
    checked = 0
    for line in open(GOLD):
        if not line.startswith(SIZE + " "):
            continue
        _, key, text = line.split()
        value = x[int(key[2:-1])] if key.startswith("x[") else answer[key]
        digits = len(text.split(".")[1])
        assert f"{value:.{digits}f}" == text, (key, value, text)
        checked += 1
    assert checked >= 14, checked


def same_bytes(path, name, *more):
    """File and answer on 1, 2 and 5 threads."""
    first = None
    for n in (1, 2, 5):
        out = os.path.join(WORK, f"{name}{n}.nc")
        r = run("-p", path, "--method", "iterative", "-q", "--threads", n, "-o", out, *more)
        assert r.returncode == 0, r.stderr
        data = open(out, "rb").read() + r.stdout.encode()
        assert first is None or data == first, (name, n)
        first = data


def levels_file(path, nx, ny, nt, n_obs, seed=3):
    """A mesh of two scales: cells of 10 km, in a corner of 4 x 4 of them cells of 5 km instead."""
    rng = np.random.default_rng(seed)
    x, y, width = [], [], []
    for iy in range(ny):
        for ix in range(nx):
            fine = ix < 4 and iy < 4
            w = 5.0 if fine else 10.0
            for j in range(4 if fine else 1):
                x.append(10 * ix + w * (j % 2 + 0.5))
                y.append(10 * iy + w * (j // 2 + 0.5))
                width.append(w)
    x, y, width = np.array(x), np.array(y), np.array(width)
    cells, m = len(x), len(x) * nt
    rows = []
    for i in range(n_obs):
        cx, cy, t = rng.uniform(0, 10 * nx), rng.uniform(0, 10 * ny), i % nt
        f = np.exp(-((x - cx)**2 + (y - cy)**2) / 200) * (width / 10)**2
        keep = np.nonzero(f > 1e-4)[0]
        rows.append((t * cells + keep, f[keep]))
    f = netCDF4.Dataset(path, "w")
    ptr = np.concatenate([[0], np.cumsum([len(r[0]) for r in rows])])
    for name, size in (("obs", n_obs), ("state", m), ("cell", cells), ("nnz", ptr[-1]),
                       ("rowp", n_obs + 1), ("level", 2)):
        f.createDimension(name, size)

    def put(name, dim, value, kind="f8"):
        f.createVariable(name, kind, (dim,))[:] = value
    put("y", "obs", rng.normal(3, 2, n_obs))
    put("x0", "state", np.full(m, 1.0))
    put("xc", "cell", x)
    put("yc", "cell", y)
    put("cell_width", "cell", width)
    put("H_data", "nnz", np.concatenate([r[1] for r in rows]))
    put("H_col", "nnz", np.concatenate([r[0] for r in rows]), "i4")
    put("H_rowptr", "rowp", ptr, "i4")
    for name, value in (("x0", (0, 0)), ("y0", (0, 0)), ("dx", (10, 5)), ("dy", (10, 5)),
                        ("nx", (nx, 8)), ("ny", (ny, 8)), ("sigma", (1.5, 0.8)),
                        ("length", (40, 12))):
        put("level_" + name, "level", value)
    f.setncatts({"level_models": "spherical gaspari-cohn", "cov_time": "exponential",
                 "Lt_steps": 2.0, "sigma_r": 0.4, "nt": nt})
    f.close()
    return x, y, width, rows


def gaspari_cohn(z):
    z = np.maximum(z, 1e-300)
    near = -z**5 / 4 + z**4 / 2 + 5 * z**3 / 8 - 5 * z**2 / 3 + 1
    far = z**5 / 12 - z**4 / 2 + 5 * z**3 / 8 + 5 * z**2 / 3 - 5 * z + 4 - 2 / (3 * z)
    return np.where(z <= 1, near, np.where(z < 2, far, 0))


def levels():
    """Levels in a file: dense numpy, exact and iterative agree."""
    path, nx, ny, nt, n = os.path.join(WORK, "levels.nc"), 12, 9, 3, 120
    x, y, width, rows = levels_file(path, nx, ny, nt, n)
    cells = len(x)
    Q = np.zeros((cells * nt,) * 2)
    D = np.exp(-np.abs(np.subtract.outer(np.arange(nt), np.arange(nt))) / 2)
    for dx, gx, gy, sigma, model in (
            (10, nx, ny, 1.5, lambda d: np.where(d < 40, 1 - 1.5 * d / 40 + 0.5 * (d / 40)**3, 0)),
            (5, 8, 8, 0.8, lambda d: gaspari_cohn(d / 6))):
        px = (np.arange(gx * gy) % gx + 0.5) * dx
        py = (np.arange(gx * gy) // gx + 0.5) * dx
        C = sigma**2 * model(np.hypot(px[:, None] - px, py[:, None] - py))

        def over(centre, p):
            return np.clip(np.minimum(centre[:, None] + width[:, None] / 2, p + dx / 2)
                           - np.maximum(centre[:, None] - width[:, None] / 2, p - dx / 2), 0, None)
        W = over(x, px) * over(y, py) / width[:, None]**2
        Q += np.kron(D, W @ C @ W.T)
    H = np.zeros((n, cells * nt))
    for i, (col, val) in enumerate(rows):
        H[i, col] = val
    f = netCDF4.Dataset(path)
    psi = H @ Q @ H.T + 0.16 * np.eye(n)
    d = np.array(f["y"][:]) - H @ np.ones(cells * nt)
    xhat = 1 + Q @ H.T @ np.linalg.solve(psi, d)
    P = Q - Q @ H.T @ np.linalg.solve(psi, H @ Q)
    for method in ("exact", "iterative"):
        out = os.path.join(WORK, "levels_out.nc")
        a = solve(path, "--method", method, "-o", out)
        assert a["method"] == method
        got = netCDF4.Dataset(out)
        assert np.abs(np.array(got["posterior"][:]).ravel() - xhat).max() < 1e-10
        assert np.abs(np.array(got["posterior_sd"][:]).ravel() - np.sqrt(np.diag(P))).max() < 1e-10
        assert abs(a["posterior_total_sd"] - np.sqrt(P.sum())) < 1e-10 * np.sqrt(P.sum())
        assert abs(a["dofs"] - (n - 0.16 * np.trace(np.linalg.inv(psi)))) < 1e-9
    a = solve(path, "--method", "geostatistical")
    G = H @ np.ones(cells * nt)
    beta = G @ np.linalg.solve(psi, np.array(f["y"][:])) / (G @ np.linalg.solve(psi, G))
    assert abs(a["beta"][0] / beta - 1) < 1e-9, a
    for words in (("--osse", "20"), ("--tune", "length"), ("--sign", "nonnegative"),
                  ("--method", "smoother")):
        r = run("-p", path, *words)
        assert r.returncode == 3 and "not one of levels" in r.stderr, (words, r.stderr)
    for name, where, value, words in (("level_nx", 1, 2.5, "level_nx[1]: 2.5"),
                                      ("level_sigma", 0, -1, "level 0: sigma: -1"),
                                      ("cell_width", 7, 0, "cell 7")):
        bad = os.path.join(WORK, "bad.nc")
        shutil.copy(path, bad)
        g = netCDF4.Dataset(bad, "a")
        g[name][where] = value
        g.close()
        r = run("-p", bad)
        assert r.returncode == 3 and words in r.stderr, (name, r.stderr)
    bad = os.path.join(WORK, "bad.nc")
    shutil.copy(path, bad)
    g = netCDF4.Dataset(bad, "a")
    g.level_models = "spherical"
    g.close()
    r = run("-p", bad)
    assert r.returncode == 3 and "level_models" in r.stderr, r.stderr


def killed():
    """kill -9 at three moments, then to the end: the bytes of a run that was let alone."""
    path = os.path.join(WORK, "long.nc")
    levels_file(path, 30, 25, 4, 2100)
    whole, part = os.path.join(WORK, "whole.nc"), os.path.join(WORK, "part.nc")
    check = os.path.join(WORK, "products")
    args = ("-p", path, "--method", "iterative", "--tolerance", "1e-4", "-q", "--progress=none",
            "--threads", "1")
    start = time.time()
    r = run(*args, "-o", whole, "--checkpoint", check)
    took = time.time() - start
    assert r.returncode == 0, r.stderr
    assert not os.path.exists(check)
    shares = [random.uniform(0.05, 0.3) for _ in range(3)]  # together less than the whole
    print("killed at", shares, "of", took, "s")
    for k in range(3):
        p = subprocess.Popen([BINARY, "invert", *args, "-o", part, "--checkpoint", check])
        time.sleep(shares[k] * took)
        while k == 2 and p.poll() is None and not (os.path.exists(check)
                                                   and os.path.getsize(check) > 1000):
            time.sleep(0.01)  # the last one leaves products in any case
        p.send_signal(signal.SIGKILL)
        p.wait()
        assert k < 2 or os.path.getsize(check) > 1000
        assert not os.path.exists(part)
    other = run("-p", path, "--method", "iterative", "--float32", "--checkpoint", check)
    assert other.returncode == 2, (other.returncode, other.stderr)
    again = run(*args, "-o", part, "--checkpoint", check)
    assert again.returncode == 0, again.stderr
    assert open(whole, "rb").read() == open(part, "rb").read()
    assert again.stdout == r.stdout


def early():
    """More observations than are completed: estimates are told as such, maps are left out."""
    long = os.path.join(WORK, "early.nc")
    levels_file(long, 20, 15, 4, 2100)
    exact = solve(long, "--method", "exact")
    out = os.path.join(WORK, "early_out.nc")
    a = solve(long, "--method", "iterative", "--tolerance", "1e-3", "-o", out)
    assert a["basis_complete"] == 0 and a["basis_vectors"] < 2100
    assert a["total_error_bound"] <= 1e-3 and a["sd_error_bound"] <= 1e-3
    sd = exact["posterior_total_sd"]
    assert abs(a["posterior_total"] - exact["posterior_total"]) <= a["total_error_bound"] * sd + 1e-9
    assert 0 <= a["posterior_total_sd"] / sd - 1 + 1e-12 <= a["sd_error_bound"] + 1e-11
    assert abs(a["dofs"] - exact["dofs"]) <= 1.5 * a["dofs_half_width_95"]
    assert (abs(a["neg_log_evidence"] - exact["neg_log_evidence"])
            <= 1.5 * a["neg_log_evidence_half_width_95"])
    assert "mean_posterior_sd" not in a
    f = netCDF4.Dataset(out)
    same_bytes(long, "early", "--tolerance", "1e-3")
    assert "posterior" in f.variables and "posterior_sd" not in f.variables


def usage(path):
    for args in (("--method", "guess"), ("--method", "iterative", "--tolerance", "0"),
                 ("--method", "iterative", "--tolerance", "x"), ("--method", "exact", "--float32")):
        assert run("-p", path, *args).returncode == 2, args
    small = solve(path, "--method", "iterative", "--float32")
    full = solve(path)
    assert full["method"] == "exact"
    error = abs(small["posterior_total"] - full["posterior_total"]) / full["posterior_total_sd"]
    assert 0 < error < 1e-4, error
    assert abs(small["dofs"] - full["dofs"]) < 1e-4


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    if SIZE == "large":
        early()
        killed()
        print("ok")
        return 0
    path = os.path.join(DATA, "problems", "S.nc")
    if not os.path.exists(path):
        print("skipped: no reference problems at", DATA)
        return 77
    if SIZE == "M":
        path = os.path.join(WORK, "M.nc")
        maker = os.path.join(DATA, "problems", "make_problem.py")
        subprocess.run([sys.executable, maker, path, "30", "30", "8", "1500"], check=True)
    out = os.path.join(WORK, "posterior.nc")
    answer = solve(path, "--method", "iterative", "-o", out)
    assert answer["basis_complete"] == 1
    golden(answer, np.array(netCDF4.Dataset(out)["posterior"][:]).ravel())
    if SIZE == "S":
        usage(path)
        same_bytes(path, "whole")
        levels()
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
