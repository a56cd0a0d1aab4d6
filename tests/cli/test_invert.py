#!/usr/bin/python3
"""skyflux invert: reference digits, a dense numpy solution, same bytes for any thread count, the same numbers with and
without maps, bad files."""
import json
import os
import re
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
SIZE = sys.argv[5] if len(sys.argv) > 5 else "S"


def run(*args):
    return subprocess.run([BINARY, "invert", "--progress=none", *args], capture_output=True, text=True)


def solve(path, *args):
    r = run("--problem", path, "--json", *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def golden(name, answer, x):
    """Every printed digit: the value rounded to as many decimals is the printed text."""
    count = 0
    for line in open(os.path.join(SOURCE, "tests/golden/problems.gold")):
        if not line.startswith(name + " "):
            continue
        _, key, text = line.split()
        index = re.fullmatch(r"x\[(\d+)\]", key)
        value = x[int(index.group(1))] if index else answer[key]
        got = f"{value:.{len(text.split('.')[1])}f}"
        assert got == text, f"{name}: {key} is {got}, printed {text}"
        count += 1
    assert count > 10, name


def read(path):
    """The problem as dense matrices, by the words of the specification (not by skyflux's code)."""
    f = netCDF4.Dataset(path)
    nc = f.dimensions["cell"].size
    y, x0, xc, yc = (np.array(f[k][:]) for k in ("y", "x0", "xc", "yc"))
    m, n, nt = len(x0), len(y), int(f.nt)
    H = np.zeros((n, m))
    ptr, col, val = (np.array(f[k][:]) for k in ("H_rowptr", "H_col", "H_data"))
    for i in range(n):
        H[i, col[ptr[i]:ptr[i + 1]]] = val[ptr[i]:ptr[i + 1]]

    def spherical(h):
        return np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)

    E = spherical(np.hypot(xc[:, None] - xc, yc[:, None] - yc) / f.Lx_km)
    D = spherical(np.abs(np.subtract.outer(np.arange(nt), np.arange(nt))) / f.Lt_steps)
    assert nc * nt == m
    return y, x0, H, f.sigma_q**2 * np.kron(D, E), f.sigma_r**2 * np.eye(n)


def dense(path, out, answer):
    """x, sd, AK, totals and cost of the dense textbook formulas against the program."""
    y, x0, H, Q, R = read(path)
    n, m = H.shape
    QHt = Q @ H.T
    psi = H @ QHt + R
    inverse = np.linalg.inv(psi)
    d = y - H @ x0
    K = QHt @ inverse
    x = x0 + K @ d
    P = Q - K @ QHt.T
    A = K @ H
    a = np.ones(m)
    f = netCDF4.Dataset(out)
    got = {k: np.array(f[k][:]).ravel() for k in f.variables}
    assert np.abs(got["posterior"] - x).max() < 1e-10 * np.abs(x).max()
    assert np.abs(got["posterior_sd"] - np.sqrt(np.diag(P))).max() < 1e-10
    assert np.abs(got["averaging_kernel"] - np.diag(A)).max() < 1e-10
    assert np.abs(got["residual"] - (y - H @ x)).max() < 1e-10
    assert np.abs(got["simulated_prior"] - H @ x0).max() < 1e-10
    w = inverse @ d
    expected = {
        "prior_total": a @ x0, "prior_total_sd": np.sqrt(a @ Q @ a), "posterior_total": a @ x,
        "posterior_total_sd": np.sqrt(a @ P @ a), "dofs": n - np.trace(inverse @ R),
        "chi2_innovation_per_obs": d @ w / n, "jb": w @ (H @ QHt) @ w, "jo": w @ R @ w,
        "neg_log_evidence": (d @ w + np.linalg.slogdet(psi)[1] + n * np.log(2 * np.pi)) / 2,
    }
    for key, value in expected.items():
        assert abs(answer[key] - value) < 1e-9 * abs(value), (key, answer[key], value)


def same_bytes(path, threads):
    texts, files = [], []
    for t in threads:
        out = os.path.join(WORK, f"threads{t}.nc")
        r = run("--problem", path, "--json", "-o", out, "--threads", str(t))
        assert r.returncode == 0, r.stderr
        texts.append(r.stdout)
        files.append(open(out, "rb").read())
    assert all(t == texts[0] for t in texts), "text depends on the thread count"
    assert all(b == files[0] for b in files), "file depends on the thread count"


def totals_alone(path, answer):
    """Without a file there are no maps: the same numbers to the last digit, but for what needs maps."""
    alone = solve(path)
    assert alone == {k: v for k, v in answer.items() if k != "mean_posterior_sd"}, (alone, answer)
    assert "mean_posterior_sd" in answer


def damaged(path, name, change):
    """A copy of the problem with one thing changed; change(source, copy) fills the copy."""
    out = os.path.join(WORK, name + ".nc")
    src, dst = netCDF4.Dataset(path), netCDF4.Dataset(out, "w")
    plan = {"drop": (), "values": {}, "attributes": {}, "sizes": {}, "units": {}}
    plan.update(change)
    for k, d in src.dimensions.items():
        dst.createDimension(k, plan["sizes"].get(k, d.size))
    for k in src.ncattrs():
        if k not in plan["drop"]:
            dst.setncattr(k, plan["attributes"].get(k, src.getncattr(k)))
    for k, v in src.variables.items():
        if k in plan["drop"]:
            continue
        q = dst.createVariable(k, v.dtype, v.dimensions)
        if k in plan["units"]:
            q.units = plan["units"][k]
        value = np.array(v[:])
        if k in plan["values"]:
            where, what = plan["values"][k]
            value[where] = what
        q[:] = value[tuple(slice(0, s) for s in q.shape)]
    dst.close()
    return out


def expect(path, code, *words):
    out = os.path.join(WORK, "never.nc")
    r = run("--problem", path, "--json", "-o", out)
    assert r.returncode == code, (path, r.returncode, r.stderr)
    assert r.stdout == "", r.stdout
    for w in words:
        assert w in r.stderr, (w, r.stderr)
    assert not os.path.exists(out) and not [f for f in os.listdir(WORK) if f.startswith(".part")]


def bad_files(path):
    for var in ("y", "x0", "xc", "yc", "H_data", "H_col", "H_rowptr"):
        expect(damaged(path, "no_" + var, {"drop": (var,)}), 3, var)
    for attribute in ("Lx_km", "Lt_steps", "sigma_q", "sigma_r", "nt", "cov"):
        expect(damaged(path, "no_" + attribute, {"drop": (attribute,)}), 3, attribute)
    expect(damaged(path, "nan", {"values": {"y": (7, np.nan)}}), 3, "y[7]")
    expect(damaged(path, "inf", {"values": {"H_data": (5, np.inf)}}), 3, "H_data[5]")
    expect(damaged(path, "col", {"values": {"H_col": (9, 2400)}}), 3, "H_col[9]")
    expect(damaged(path, "negative", {"values": {"H_col": (0, -1)}}), 3, "H_col[0]")
    expect(damaged(path, "order", {"values": {"H_col": (1, 0)}}), 3, "H_col[1]")
    expect(damaged(path, "ptr", {"values": {"H_rowptr": (3, 10**6)}}), 3, "H_rowptr")
    expect(damaged(path, "short", {"values": {"H_rowptr": (400, 0)}}), 3, "H_rowptr")
    expect(damaged(path, "model", {"attributes": {"cov": "gaussian in space and time"}}), 3, "gaussian")
    expect(damaged(path, "text", {"attributes": {"cov": "spherical everywhere"}}), 3, "everywhere")
    expect(damaged(path, "length", {"attributes": {"Lx_km": -60.0}}), 3, "Lx_km", "-60")
    expect(damaged(path, "steps", {"attributes": {"nt": 7}}), 3, "nt")
    expect(damaged(path, "miles", {"units": {"xc": "mile", "yc": "mile"}}), 3, "mile")
    expect(damaged(path, "mixed", {"units": {"xc": "degree", "yc": "km"}}), 3, "degrees")
    text = os.path.join(WORK, "text.nc")
    open(text, "w").write("not a netCDF file\n")
    expect(text, 3, "text.nc")
    cut = os.path.join(WORK, "cut.nc")
    open(cut, "wb").write(open(path, "rb").read()[:4000])
    expect(cut, 3, "cut.nc")
    expect(os.path.join(WORK, "absent.nc"), 3, "absent.nc")


def too_large():
    """More cells per time step than a dense covariance may have: the message names the limit."""
    path = os.path.join(WORK, "large.nc")
    f = netCDF4.Dataset(path, "w")
    cells = 5001
    for k, n in (("obs", 1), ("nnz", 1), ("state", cells), ("cell", cells), ("time", 1), ("rowp", 2)):
        f.createDimension(k, n)
    for k, d, t, v in (("y", "obs", "f8", 1), ("x0", "state", "f8", 1), ("xc", "cell", "f8", 0),
                       ("yc", "cell", "f8", 0), ("H_data", "nnz", "f8", 1), ("H_col", "nnz", "i4", 0),
                       ("H_rowptr", "rowp", "i4", [0, 1])):
        f.createVariable(k, t, (d,))[:] = v
    f.setncatts({"Lx_km": 60.0, "Lt_steps": 4.0, "sigma_q": 2.0, "sigma_r": 0.5, "nt": 1,
                 "cov": "spherical in space and time"})
    f.close()
    expect(path, 1, "5001", "5000")


def usage():
    assert run().returncode == 2
    assert run("somewhere.nc").returncode == 2
    r = run("--help")
    assert r.returncode == 0 and "--problem" in r.stdout


def memory(path):
    r = run("--problem", path, "--memory", "1M")
    assert r.returncode == 1 and "memory" in r.stderr, r.stderr


def models(path):
    """The covariance clause is read, not assumed: other models give other answers."""
    totals = set()
    for text in ("spherical in space and time", "exponential in space and time",
                 "spherical in space and none in time, as a test"):
        a = solve(damaged(path, "models", {"attributes": {"cov": text}}))
        totals.add(a["posterior_total"])
    assert len(totals) == 3


def add_variables(path, name, dims, variables, drop=()):
    """A copy of the problem with more variables: name -> (dimension, values)."""
    out = damaged(path, name, {"drop": drop})
    f = netCDF4.Dataset(out, "a")
    for k, n in dims.items():
        f.createDimension(k, n)
    for k, (dim, value) in variables.items():
        dims_of = dim if isinstance(dim, tuple) else (dim,)
        f.createVariable(k, "i4" if k == "group" else "f8", dims_of)[:] = value
    f.close()
    return out


def offsets_and_sds(path):
    """Own sd for every element and observation, and offsets: the same as a state with three more."""
    y, x0, H, Q, _ = read(path)
    n, m = H.shape
    x_sd, r_sd = 1 + np.arange(m) % 3, 0.3 + 0.1 * (np.arange(n) % 4)
    group, b0, b_sd = np.arange(n) % 4 - 1, np.array([0.1, -0.2, 0.3]), np.array([0.5, 1.0, 0.2])
    variables = {"x_sd": ("state", x_sd), "r_sd": ("obs", r_sd), "group": ("obs", group),
                 "b0": ("background", b0), "b_sd": ("background", b_sd)}
    out = os.path.join(WORK, "offsets_posterior.nc")
    answer = solve(add_variables(path, "offsets", {"background": 3}, variables), "-o", out)
    B = (group[:, None] == np.arange(3)).astype(float)
    Q = Q / 4 * np.outer(x_sd, x_sd)
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + np.diag(r_sd**2)
    w = np.linalg.solve(psi, y - H @ x0 - B @ b0)
    x, b = x0 + Q @ H.T @ w, b0 + b_sd**2 * (B.T @ w)
    f = netCDF4.Dataset(out)
    assert np.abs(np.array(f["posterior"][:]).ravel() - x).max() < 1e-10 * np.abs(x).max()
    assert np.abs(np.array(f["background"][:]) - b).max() < 1e-10
    assert answer["background_offsets"] == 3
    left = n - np.trace(np.linalg.solve(psi, np.diag(r_sd**2)))
    assert abs(answer["dofs"] + answer["dofs_background"] - left) < 1e-8
    for name, where, value in (("group", 5, 3), ("b_sd", 1, -1.0)):
        bad = dict(variables)
        changed = np.array(bad[name][1])
        changed[where] = value
        bad[name] = (bad[name][0], changed)
        expect(add_variables(path, "bad_" + name, {"background": 3}, bad), 3, f"{name}[{where}]")


def low_rank(path):
    """Q as factors and a diagonal: the dense formulas again, with and without factors."""
    y, x0, H, _, R = read(path)
    n, m = H.shape
    rng = np.random.default_rng(5)
    factor = rng.normal(size=(4, m)) * [[1.0], [0.5], [0.7], [0.02]]
    sign, variance = np.array([1.0, 1.0, 1.0, -1.0]), 1.5 + rng.random(m)
    drop = ("cov", "Lx_km", "Lt_steps", "sigma_q")
    variables = {"q_variance": ("state", variance), "q_factor": (("rank", "state"), factor),
                 "q_sign": ("rank", sign)}
    for name, keep, Q in (
            ("low_rank", variables, (factor.T * sign) @ factor + np.diag(variance)),
            ("diagonal", {"q_variance": variables["q_variance"]}, np.diag(variance))):
        out = os.path.join(WORK, name + "_posterior.nc")
        here = add_variables(path, name, {"rank": 4}, keep, drop)
        answer = solve(here, "-o", out)
        psi = H @ Q @ H.T + R
        d = y - H @ x0
        x = x0 + Q @ H.T @ np.linalg.solve(psi, d)
        P = Q - Q @ H.T @ np.linalg.solve(psi, H @ Q)
        f = netCDF4.Dataset(out)
        assert np.abs(np.array(f["posterior"][:]).ravel() - x).max() < 1e-10 * np.abs(x).max()
        sd = np.array(f["posterior_sd"][:]).ravel()
        assert np.abs(sd - np.sqrt(np.diag(P))).max() < 1e-10
        assert abs(answer["posterior_total_sd"] - np.sqrt(P.sum())) < 1e-9 * np.sqrt(P.sum())
        assert abs(answer["dofs"] - (n - np.trace(np.linalg.solve(psi, R)))) < 1e-8
    same_bytes(os.path.join(WORK, "low_rank.nc"), (1, 2, 5))
    expect(add_variables(path, "both", {"rank": 4}, variables), 3, "both cov and q_variance")
    wrong = dict(variables, q_sign=("rank", [1.0, 2.0, 1.0, 1.0]))
    expect(add_variables(path, "sign", {"rank": 4}, wrong, drop), 3, "q_sign[1] = 2")
    heavy = dict(variables, q_factor=(("rank", "state"), factor * [[1], [1], [1], [15]]))
    expect(add_variables(path, "heavy", {"rank": 4}, heavy, drop), 1, "not positive definite")
    alone = {k: variables[k] for k in ("q_variance", "q_factor")}
    expect(add_variables(path, "alone", {"rank": 4}, alone, drop), 3, "q_sign")


def great_circles(path):
    """Axes in degrees: correlation over great-circle distances (mean Earth radius)."""
    lon, lat = 100 + np.arange(300) % 20 * 0.1, 30 + np.arange(300) // 20 * 0.1
    here = damaged(path, "degrees", {"values": {"xc": (slice(None), lon), "yc": (slice(None), lat)},
                                     "units": {"xc": "degrees_east", "yc": "degrees_north"}})
    answer = solve(here)
    f = netCDF4.Dataset(here)
    phi, lam = np.radians(lat), np.radians(lon)
    hav = (np.sin((phi[:, None] - phi) / 2)**2
           + np.outer(np.cos(phi), np.cos(phi)) * np.sin((lam[:, None] - lam) / 2)**2)
    h = 2 * 6371.0088 * np.arcsin(np.sqrt(hav)) / f.Lx_km
    E = np.where(h < 1, 1 - 1.5 * h + 0.5 * h**3, 0)
    t = np.abs(np.subtract.outer(np.arange(8), np.arange(8))) / f.Lt_steps
    D = np.where(t < 1, 1 - 1.5 * t + 0.5 * t**3, 0)
    variance = f.sigma_q**2 * E.sum() * D.sum()
    assert abs(answer["prior_total_sd"] - np.sqrt(variance)) < 1e-9 * answer["prior_total_sd"]


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    path = os.path.join(DATA, "problems", "S.nc")
    if not os.path.exists(path):
        print("skipped: no reference problems at", DATA)
        return 77
    if SIZE == "M":
        path = os.path.join(WORK, "M.nc")
        maker = os.path.join(DATA, "problems", "make_problem.py")
        subprocess.run([sys.executable, maker, path, "30", "30", "8", "1500"], check=True)
    out = os.path.join(WORK, "posterior.nc")
    answer = solve(path, "-o", out)
    golden(SIZE, answer, np.array(netCDF4.Dataset(out)["posterior"][:]).ravel())
    totals_alone(path, answer)
    if SIZE == "S":
        dense(path, out, answer)
        same_bytes(path, (1, 2, 5))
        bad_files(path)
        too_large()
        usage()
        memory(path)
        models(path)
        offsets_and_sds(path)
        low_rank(path)
        great_circles(path)
    print("ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
