#!/usr/bin/python3
"""The keys of inversions[] that choose the solution: each job's posterior against numpy on the problem file
that the job wrote, against scipy, or against the command on the same file.

arguments: BINARY DATA WORK SOURCE PART"""
import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import ogr
from scipy.optimize import nnls

ogr.UseExceptions()
binary, shared, work, source = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
scene = f"{work}/scene"
os.makedirs(work)
subprocess.run([binary, "synth", "demo", scene, "-q"], check=True)
with open(f"{scene}/demo.yaml") as f:
    TEXT = f.read().replace("cell: 0.05 degree", "cell: 0.1 degree")
FLOOR = ("inversions[0].floor=2e-9 mol m-2 s-1",)
METRES = 'grid:\n  crs: "EPSG:32650"\n  box: [332000, 4322000, 497000, 4532000]\n  cell: 15 km\n'


def start(verb, name, sets, text=TEXT, *more):
    path = f"{scene}/{name}.yaml"
    with open(path, "w") as f:
        f.write(text)
    args = [binary, verb, path, "--progress=none", "--set", f"job.output={work}/{name}", *more]
    for s in sets:
        args += ["--set", s]
    return subprocess.run(args, capture_output=True, text=True, timeout=300)


def run(name, *sets, text=TEXT, more=()):
    done = start("run", name, sets, text, *more)
    assert done.returncode == 0, (name, done.returncode, done.stderr)
    return Result(name)


def near(a, b, relative, what=""):
    a, b = np.asarray(a, float), np.asarray(b, float)
    size = np.abs(b).max()
    worst = np.abs(a - b).max() / (size if size > 0 else 1)
    assert worst <= relative, (what, worst)
    return worst


class Result:
    def __init__(self, name):
        self.name = name
        with Dataset(f"{work}/{name}/stages/problem-ch4.nc") as d:
            d.set_auto_mask(False)
            self.p = {k: v[:].astype(float) for k, v in d.variables.items() if v.dtype != str}
            self.att = {k: d.getncattr(k) for k in d.ncattrs()}
        with Dataset(f"{work}/{name}/stages/posterior-ch4.nc") as d:
            d.set_auto_mask(False)
            self.q = {k: v[:].astype(float) for k, v in d.variables.items() if v.dtype != str}
            self.method, self.estimate = d.method, d.estimate
        with open(f"{work}/{name}/stages/invert-ch4.facts.json") as f:
            facts = json.load(f)
        self.numbers, self.texts = facts["numbers"], facts["texts"]
        self.says = " | ".join(x["value"] for x in facts["facts"])
        with open(f"{work}/{name}/zones.csv") as f:
            self.rows = {r["zone_id"]: r for r in csv.DictReader(f)}
        with open(f"{work}/{name}/report.html") as f:
            self.report = f.read()

    def matrices(self):
        p = self.p
        n, m = len(p["y"]), len(p["x0"])
        H = np.zeros((n, m))
        row, col = p["H_rowptr"].astype(int), p["H_col"].astype(int)
        for i in range(n):
            H[i, col[row[i]:row[i + 1]]] = p["H_data"][row[i]:row[i + 1]]
        B = (p["group"][:, None] == np.arange(len(p["b0"]))).astype(float)
        b_sd = p["b_sd"]
        if "regressor" in p:
            B = np.hstack([B, p["regressor"].T])
            b_sd = np.concatenate([b_sd, p["regressor_sd"]])
        d = np.deg2rad
        lon, lat = d(p["xc"]), d(p["yc"])
        s = (np.sin((lat[:, None] - lat) / 2)**2 +
             np.cos(lat[:, None]) * np.cos(lat) * np.sin((lon[:, None] - lon) / 2)**2)
        E = np.exp(-2 * 6371.0088 * np.arcsin(np.sqrt(s)) / float(self.att["Lx_km"]))
        Q = p["x_sd"][:, None] * E * p["x_sd"]
        return H, B, b_sd, Q


def exact_numbers(r):
    """x̂, sd and the part of the fit that numpy gives."""
    p = r.p
    H, B, b_sd, Q = r.matrices()
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + np.diag(p["r_sd"]**2)
    inverse = np.linalg.inv(psi)
    d = p["y"] - H @ p["x0"]
    x = p["x0"] + Q @ (H.T @ (inverse @ d))
    sd = np.sqrt(np.diag(Q) - np.einsum("ij,ij->i", Q @ H.T @ inverse, Q @ H.T))
    return x, sd, np.linalg.multi_dot([d, inverse, d]), np.trace(inverse @ H @ Q @ H.T)


def shares(r):
    """Share of every cell that lies in each zone, in the order of zones.csv."""
    found = {}
    source_zones = ogr.Open(f"{scene}/zones.geojson")
    for feature in source_zones.GetLayer(0):
        found[feature["id"]] = feature.GetGeometryRef().Clone()
    out = np.zeros((len(r.rows), len(r.p["xc"])))
    for k, (x, y) in enumerate(zip(r.p["xc"], r.p["yc"])):
        box = ogr.CreateGeometryFromWkt(
            f"POLYGON(({x-.05} {y-.05},{x+.05} {y-.05},{x+.05} {y+.05},{x-.05} {y+.05},{x-.05} {y-.05}))")
        for z, zone in enumerate(r.rows):
            out[z, k] = found[zone].Intersection(box).GetArea() / 0.01
    return out


def solvers():
    a = run("exact", "inversions[0].solver.method=exact", "inversions[0].kernels=true", *FLOOR)
    assert a.method == "exact" and a.estimate == "mean"
    assert all(r["posterior_is"] == "mean" for r in a.rows.values())
    x, sd, chi2, dofs = exact_numbers(a)
    near(a.q["x"], x, 1e-6, "x")  # radius of the Earth
    near(a.q["x_sd"], sd, 1e-6, "sd")
    near(a.numbers["dofs"], dofs, 1e-5, "dofs")
    near(a.numbers["chi2_innovation_per_obs"], chi2 / len(a.p["y"]), 1e-6, "chi2")
    n, all_dofs = len(a.p["y"]), a.numbers["dofs"] + a.numbers["dofs_background"]
    near(a.numbers["jb_per_dofs"], a.numbers["jb"] / all_dofs, 1e-12)
    near(a.numbers["jo_per_rest"], a.numbers["jo"] / (n - all_dofs), 1e-12)
    assert "method: exact; a posterior total is the mean" in a.says and "method: exact" in a.report
    # auto says exact here; iterative agrees in every number of a zone, to its tolerance.
    auto = run("auto", *FLOOR)
    assert auto.method == "exact"
    i = run("iterative", "inversions[0].solver.method=iterative", "inversions[0].kernels=true", *FLOOR)
    assert i.method == "iterative" and i.numbers["total_error_bound"] <= 1e-10
    assert not [f for f in os.listdir(f"{work}/iterative/stages") if f.endswith(".journal")]
    for key in a.q:
        if key in ("cell_ak", "zone_kernel"):
            assert np.abs(a.q[key] - i.q[key]).max() < 1e-9, key
        elif key == "zone_dofs_half":
            assert not a.q[key].any() and not i.q[key].any()  # both are exact
        elif np.isfinite(a.q[key]).any():
            good = np.isfinite(a.q[key])
            near(i.q[key][good], a.q[key][good], 1e-7, key)
    # Kernels, smoothing and prior of the zones against numpy, with the zones' shares of the cells by OGR on the
    # plane and cell areas of a sphere.
    H, B, b_sd, Q = a.matrices()
    p = a.p
    area = np.deg2rad(0.1)**2 * 6371.0088e3**2 * np.cos(np.deg2rad(p["yc"]))
    W = shares(a) * area * 0.0160425 * 365.2425 * 86400
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + np.diag(p["r_sd"]**2)
    WA = W @ Q @ H.T @ np.linalg.solve(psi, H)
    near(a.q["zone_kernel"], WA / (area * 0.0160425 * 365.2425 * 86400), 5e-3, "zone kernels")
    with Dataset(f"{work}/exact/kernels-ch4.nc") as d:
        fields = np.array([d[f"kernel_{z + 1}"][:].filled(np.nan) for z in range(len(a.rows))])
        assert list(a.rows)[0] in d["kernel_1"].long_name and d["kernel_1"].grid_mapping == "crs"
    near(np.sort(fields.reshape(len(fields), -1)), np.sort(a.q["zone_kernel"]), 1e-6, "kernels as rasters")
    near(a.q["zone_prior_sd"], np.sqrt(np.einsum("ij,jk,ik->i", W, Q, W)), 5e-3)
    near(a.q["zone_smoothing_sd"], np.sqrt(np.einsum("ij,jk,ik->i", WA - W, Q, WA - W)), 5e-3, "smoothing")
    print("solvers: exact, auto and iterative agree with numpy; DOFS", a.numbers["dofs"])
    # looser tolerance with the same totals within what is claimed
    loose = run("loose", "inversions[0].solver={method: iterative, tolerance: 1e-3, float32: true}", *FLOOR)
    far = np.abs(loose.q["zone_posterior"] - a.q["zone_posterior"]) / a.q["zone_posterior_sd"]
    assert far.max() < 2e-3, far
    return a


def geostatistical():
    g = run("geostat", "inversions[0].solver.method=geostatistical", *FLOOR)
    p = g.p
    H, B, b_sd, Q = g.matrices()
    inverse = np.linalg.inv(H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + np.diag(p["r_sd"]**2))
    G = H @ p["x0"]
    beta = (G @ inverse @ p["y"]) / (G @ inverse @ G)
    x = beta * p["x0"] + Q @ (H.T @ (inverse @ (p["y"] - G * beta)))
    near(g.q["x"], x, 1e-6, "geostatistical x")
    assert all(r["status"] == "not comparable" and r["prior_sd_t_yr"] == "" for r in g.rows.values()
               if r["posterior_t_yr"])
    assert any("no prior mean" in r["reason"] for r in g.rows.values())
    c = run("constant", "inversions[0].solver={method: geostatistical, drift: constant}", *FLOOR)
    one = H.sum(1)
    beta = (one @ inverse @ p["y"]) / (one @ inverse @ one)
    near(c.q["x"], beta + Q @ (H.T @ (inverse @ (p["y"] - one * beta))), 1e-6, "constant drift")
    print("geostatistical: beta of the prior and of a constant as numpy")


def nonnegative():
    wide = ("inversions[0].sigma=1.5", "inversions[0].floor=5e-9 mol m-2 s-1")
    s = run("nonnegative", "inversions[0].sign=nonnegative",
            "inversions[0].samples={draws: 400, chains: 3, seed: 7}", *wide)
    p = s.p
    H, B, b_sd, Q = s.matrices()
    R = B @ np.diag(b_sd**2) @ B.T + np.diag(p["r_sd"]**2)
    Lq, Lr = np.linalg.cholesky(Q), np.linalg.cholesky(R)
    scale = p["x_sd"].max()
    stack = np.vstack([np.linalg.inv(Lq), np.linalg.solve(Lr, H)]) * scale
    right = np.concatenate([np.linalg.solve(Lq, p["x0"]), np.linalg.solve(Lr, p["y"])])
    mode, _ = nnls(stack, right, maxiter=20000)
    near(s.q["cell_mode"], mode * scale, 1e-5, "mode")
    zeros = int((mode < 1e-9).sum())
    assert s.numbers["active_zeros"] == zeros > 0, (s.numbers["active_zeros"], zeros)
    assert s.estimate == "mean of draws" and s.texts["chains"] == "converged", s.says
    assert s.numbers["rhat"] < 1.01 and s.numbers["ess"] > 300
    # Draws know no negative flux; quantiles enclose median and mean; the covariance has the sds.
    assert (s.q["x"] >= 0).all() and s.q["x_sd"].min() > 0
    assert ((s.q["zone_q025"] < s.q["zone_median"]) & (s.q["zone_median"] < s.q["zone_q975"])).all()
    near(np.sqrt(np.diag(s.q["zone_covariance"])), s.q["zone_posterior_sd"], 1e-9)
    # The mean of the draws against a Gibbs sampler of the same density, in numpy.
    S = np.linalg.inv(np.linalg.inv(Q) + H.T @ np.linalg.inv(R) @ H)
    x = gibbs(S, p["x0"] + S @ (H.T @ np.linalg.solve(R, p["y"] - H @ p["x0"])), mode * scale)
    total = x.sum(1)
    batches = total.reshape(20, -1).mean(1)
    error = batches.std(ddof=1) / np.sqrt(20)
    assert abs(s.q["x"].sum() - total.mean()) < 4 * np.hypot(error, total.std() / np.sqrt(s.numbers["ess"])), (
        s.q["x"].sum(), total.mean(), error)
    m = run("mode", "inversions[0].sign=nonnegative", *wide)
    assert all(r["posterior_is"] == "MAP" for r in m.rows.values())
    assert m.estimate == "MAP" and np.isnan(m.q["zone_posterior_sd"]).all()
    near(m.q["zone_posterior"], s.q["zone_mode"], 1e-12)
    near(m.q["cell_posterior"], s.q["cell_mode"], 1e-12)
    assert all("MAP, which has no error" in r["reason"] for r in m.rows.values() if r["posterior_t_yr"])
    assert "a mode has no standard deviation" in m.report and "after the observations (MAP)" in m.report
    assert "after the observations (mean of draws)" in s.report
    assert "independent pieces" not in m.report and "independent pieces" not in s.report
    again = run("again", "inversions[0].sign=nonnegative",
                "inversions[0].samples={draws: 400, chains: 3, seed: 7}", *wide, more=("--threads", "1"))
    for key in s.q:
        assert np.array_equal(s.q[key], again.q[key], equal_nan=True), key
    print("nonnegative: mode as scipy's nnls, mean of draws as a Gibbs sampler, one thread the same")


def gibbs(S, mean, x, sweeps=1200):
    from scipy.special import ndtr, ndtri
    rng, P = np.random.default_rng(3), np.linalg.inv(S)
    sd, keep, x = 1 / np.sqrt(np.diag(P)), [], x.copy()
    g = P @ (x - mean)
    for sweep in range(sweeps + 200):
        for i in range(len(x)):
            m = x[i] - g[i] * sd[i]**2
            low = ndtr(-m / sd[i])
            new = max(m + sd[i] * ndtri(low + (1 - low) * rng.random()), 0)
            g += P[:, i] * (new - x[i])
            x[i] = new
        if sweep >= 200:
            keep.append(x.copy())
    return np.array(keep)


def lognormal():
    s = run("lognormal", "inversions[0].sign=lognormal", "inversions[0].samples={draws: 300}")
    p = s.p
    H, B, b_sd, _ = s.matrices()
    still = p["x_sd"] == 0
    x, moves = s.q["cell_mode"], ~still
    assert (x[moves] > 0).all() and (x[still] == 0).all()
    # The mode is a stationary point of the density of ln x, and the sampled mean is above the median.
    ratio = p["x_sd"][moves] / p["x0"][moves]
    s2 = np.log1p(ratio**2)
    d = Result.matrices(s)[3]
    E = d[np.ix_(moves, moves)] / np.outer(p["x_sd"][moves], p["x_sd"][moves])
    Qz = np.sqrt(s2)[:, None] * E * np.sqrt(s2)
    R = B @ np.diag(b_sd**2) @ B.T + np.diag(p["r_sd"]**2)
    z, mu = np.log(x[moves]), np.log(p["x0"][moves]) - s2 / 2
    K = H[:, moves] * x[moves]
    right = K.T @ np.linalg.solve(R, p["y"] - H @ x)
    near(z - mu, Qz @ right, 1e-5, "stationarity of the log-normal mode")
    assert s.estimate == "mean of draws" and (s.q["zone_posterior"] > s.q["zone_median"]).all()
    assert s.texts["chains"] == "converged", s.says
    print("lognormal: the mode is stationary, zeros stay, mean above median")


def tuning():
    t = run("tuned", "inversions[0].tune={parameters: [sigma_q, sigma_r], holdout: 2}",
            "inversions[0].solver.screen=true", *FLOOR)
    done = subprocess.run([binary, "invert", "--problem", f"{work}/tuned/stages/problem-ch4.nc", "--json",
                           "--tune", "sigma_q,sigma_r", "--holdout", "2", "--screen", "--progress=none"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    c = json.loads(done.stdout)
    for name, value in c["tuning"]["parameters"].items():
        assert t.numbers[f"tuned_{name}"] == value["value"], name
    assert t.numbers["heldout_chi2_tuned"] == c["tuning"]["heldout"]["chi2_per_obs"]
    assert t.numbers["screened_out"] == c["screened_out"]
    near(t.numbers["dofs"], c["dofs"], 1e-9)
    near(t.numbers["neg_log_evidence"], c["neg_log_evidence"], 1e-12)
    assert "held out" in t.report and t.numbers["memory_bytes"] > 10 * 8 * len(t.p["y"])**2
    print("tuning: the command on the same file gives the same parameters and held-out chi2")


def outliers():
    """With errors stated a fifth too small, some innovations are outliers: they are out in every product."""
    o = run("outliers", "inversions[0].solver.screen=true", "inversions[0].error.scale=0.2",
            "inversions[0].error.representation=0 ppb", "inversions[0].background.sd=2 ppb", *FLOOR)
    gone = np.isnan(o.q["residual"])
    assert gone.sum() == o.numbers["screened_out"] > 0, o.says
    H, B, b_sd, Q = o.matrices()
    p = o.p
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + np.diag(p["r_sd"]**2)
    d = p["y"] - H @ p["x0"]
    assert (gone == (np.abs(d) > 4 * np.sqrt(np.diag(psi)))).all()
    k = ~gone
    x = p["x0"] + Q @ (H[k].T @ np.linalg.solve(psi[np.ix_(k, k)], d[k]))
    near(o.q["x"], x, 1e-6, "x without outliers")
    print("outliers:", int(gone.sum()), "left out as numpy does")


def regressors():
    r = run("regressors", "inversions[0].regressors=[{column: albedo, sd: 3 ppb}]",
            "inversions[0].error.floor=5 ppb",
            "inversions[0].error.sensors=[{product: s5p-ch4, offset_sd: 5 ppb, scale: 0.5}]", *FLOOR)
    plain = run("exact", *FLOOR)
    assert r.p["regressor"].shape == (2, len(r.p["y"])) and (r.p["regressor"][1] == 1).all()
    albedo = r.p["regressor"][0]
    assert abs(albedo.mean()) < 1e-12 and abs(albedo.std() - 1) < 1e-12
    assert r.p["r_sd"].min() == 5e-9 and (r.p["r_sd"] == 5e-9).sum() < len(r.p["y"])
    few = r.p["n_soundings"] == 1
    corr, repr_ = 0.3, 3e-9
    single = np.sqrt(plain.p["r_sd"][few]**2 - repr_**2)
    near(r.p["r_sd"][few], np.maximum(5e-9, np.sqrt((0.5 * single)**2 + repr_**2)), 1e-12, "scale")
    x, sd, chi2, dofs = exact_numbers(r)
    near(r.q["x"], x, 1e-6, "x with regressors")
    near(r.numbers["chi2_innovation_per_obs"], chi2 / len(albedo), 1e-6)
    print("regressors: albedo and a sensor's offset in the solution as numpy; floor and scale hold")


def levels():
    metres = TEXT.replace(TEXT[TEXT.index("grid:"):TEXT.index("soundings:")], METRES + "\n")
    model = "correlation: exponential"
    assert model in metres
    spherical = metres.replace("    length: 20 km\n    correlation: exponential\n    background",
                               "    length: 60 km\n    correlation: spherical\n    background")
    assert spherical != metres
    k = run("kronecker", *FLOOR, text=spherical)
    bare = metres.replace("    length: 20 km\n    correlation: exponential\n    background", "    background")
    one = run("level", "inversions[0].levels=[{cell: 15 km, length: 60 km, correlation: spherical}]", *FLOOR,
              text=bare)
    # A level on the grid's own cells is the same covariance, but for distances on the plane.
    near(one.q["zone_posterior"], k.q["zone_posterior"], 2e-3)
    d = np.hypot(one.p["xc"][:, None] - one.p["xc"], one.p["yc"][:, None] - one.p["yc"])
    h = np.minimum(d / 60, 1)
    E = 1 - 1.5 * h + 0.5 * h**3
    H, B, b_sd, _ = one.matrices_of_rows()
    Q = k.p["x_sd"][:, None] * E * k.p["x_sd"]
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + np.diag(one.p["r_sd"]**2)
    x = one.p["x0"] + Q @ (H.T @ np.linalg.solve(psi, one.p["y"] - H @ one.p["x0"]))
    near(one.q["x"], x, 1e-9, "x of one level")
    two = run("levels", "inversions[0].levels=[{cell: 15 km, length: 60 km, correlation: spherical, share: 0.7}, "
              "{cell: 7.5 km, length: 20 km, share: 0.3}]", "inversions[0].solver.method=iterative", *FLOOR,
              text=bare)
    same = run("levels2", "inversions[0].levels=[{cell: 15 km, length: 60 km, correlation: spherical, share: 0.7}, "
               "{cell: 7.5 km, length: 20 km, share: 0.3}]", "inversions[0].solver.method=exact", *FLOOR, text=bare)
    near(two.q["zone_posterior"], same.q["zone_posterior"], 1e-9)
    near(two.q["zone_posterior_sd"], same.q["zone_posterior_sd"], 1e-9)
    # The same by a band: offsets of overpasses, zones' degrees of freedom and all totals.
    band = run("banded", "inversions[0].levels=[{cell: 15 km, length: 60 km, correlation: spherical, share: 0.7}, "
               "{cell: 7.5 km, length: 20 km, share: 0.3, correlation: gaspari-cohn}]",
               "inversions[0].solver.method=banded", *FLOOR, text=bare)
    dense = run("banded2", "inversions[0].levels=[{cell: 15 km, length: 60 km, correlation: spherical, share: 0.7}, "
                "{cell: 7.5 km, length: 20 km, share: 0.3, correlation: gaspari-cohn}]",
                "inversions[0].solver.method=exact", *FLOOR, text=bare)
    assert band.method == "banded" and dense.method == "exact" and "method: banded" in band.report
    for key in ("zone_posterior", "zone_posterior_sd", "zone_dofs", "zone_sensitivity", "x"):
        good = np.isfinite(dense.q[key])
        near(band.q[key][good], dense.q[key][good], 1e-9, key)
    near(band.numbers["dofs"], dense.numbers["dofs"], 1e-9)
    near(band.numbers["dofs_background"], dense.numbers["dofs_background"], 1e-9)
    assert np.isnan(band.q["x_sd"]).all()
    # More cells than a dense covariance may have.
    fine = bare.replace("cell: 15 km", "cell: 2.5 km")
    fine = fine[:fine.index("    uncertainty: {sigma")] + fine[fine.index("\ninversions:"):]
    spread = ("inversions[0].levels=[{cell: 2.5 km, length: 60 km, correlation: spherical}]",) + FLOOR
    many = run("fine", *spread, text=fine)
    assert len(many.p["x0"]) == 66 * 84 > 5000
    near(many.q["zone_posterior"], one.q["zone_posterior"], 0.2)
    done = start("run", "dense", FLOOR, fine)
    assert done.returncode != 0 and "is limited to 5000 cells" in done.stderr, done.stderr
    print("levels: one level is the dense covariance; two by iteration as exact")


def smoothness():
    """Matérn models of a job against scipy's K_ν: over great circles, and as a level."""
    from scipy.special import gamma, kv

    def matern(nu, s):
        with np.errstate(invalid="ignore"):
            return np.where(s == 0, 1, 2**(1 - nu) / gamma(nu) * s**nu * kv(nu, s))

    same = run("half", "inversions[0].correlation=matern", "inversions[0].smoothness=0.5", *FLOOR)
    near(same.q["x"], run("exact", *FLOOR).q["x"], 1e-11, "smoothness 0.5 is exponential")
    r = run("rough", "inversions[0].correlation=matern", "inversions[0].smoothness=0.3",
            "inventories[0].uncertainty={sigma: 0.5, correlation: matern, smoothness: 0.4, length: 30 km}", *FLOOR)
    assert r.att["cov"].startswith("matern(0.2999999999999999"), r.att["cov"]
    H, B, b_sd, Q = r.matrices()
    E = Q / np.outer(r.p["x_sd"], r.p["x_sd"])
    Q = matern(0.3, np.maximum(-np.log(E), 0)) * np.outer(r.p["x_sd"], r.p["x_sd"])
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + np.diag(r.p["r_sd"]**2)
    near(r.q["x"], r.p["x0"] + Q @ (H.T @ np.linalg.solve(psi, r.p["y"] - H @ r.p["x0"])), 1e-6, "x, rough")
    metres = TEXT.replace(TEXT[TEXT.index("grid:"):TEXT.index("soundings:")], METRES + "\n")
    bare = metres.replace("    length: 20 km\n    correlation: exponential\n    background", "    background")
    level = "inversions[0].levels=[{cell: 15 km, length: 40 km, correlation: matern, smoothness: 1.2}]"
    one = run("smooth", level, *FLOOR, text=bare)
    assert one.att["level_models"] == "matern(1.2)", one.att
    H, B, b_sd, _ = one.matrices_of_rows()
    d = np.hypot(one.p["xc"][:, None] - one.p["xc"], one.p["yc"][:, None] - one.p["yc"])
    sd = one.p["level_scale0"]
    Q = matern(1.2, d / 40) * np.outer(sd, sd)
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + np.diag(one.p["r_sd"]**2)
    x = one.p["x0"] + Q @ (H.T @ np.linalg.solve(psi, one.p["y"] - H @ one.p["x0"]))
    near(one.q["x"], x, 1e-9, "x of a Matérn level")
    again = run("smooth2", level, "inversions[0].solver.method=iterative", *FLOOR, text=bare)
    near(again.q["zone_posterior"], one.q["zone_posterior"], 1e-9)
    near(again.q["zone_posterior_sd"], one.q["zone_posterior_sd"], 1e-9)
    item = "inversions[0]."
    for sets, words in (
            (("correlation=matern",), "smoothness: required with correlation matern (above 0, at most 100)"),
            (("correlation=matern", "smoothness=0"), "smoothness: '0' is not greater than 0"),
            (("correlation=matern", "smoothness=-1"), "smoothness: '-1' is not greater than 0"),
            (("correlation=matern", "smoothness=.nan"), "smoothness: '.nan' is not a number"),
            (("correlation=matern", "smoothness=200"), "smoothness: '200' is above 100"),
            (("correlation=matern", "smoothness=1.5"), "over great circles no model above 0.5"),
            (("smoothness=0.4",), "no effect without correlation matern (exponential)"),
            (("time={step: 6 h, correlation: matern, length: 1 day}",), "time.smoothness: required"),
            (("levels=[{cell: 5 km, length: 9 km, smoothness: 2}]",), "without correlation matern (gaspari-cohn)")):
        done = start("check", "refused", [item + s for s in sets])
        assert done.returncode == 2 and words in done.stderr, (sets, done.returncode, done.stderr)
    print("smoothness: great circles and levels as numpy with scipy's K_ν; each wrong value is refused")


ALONG = "inversions[0].error.along_track={length: %s, share: %g}"


def track_noise(r, length, share, in_time=False):
    """R of the problem file from its own soundings and times: places by another formula than the job's (a plane
    at the centroid in place of a great circle; the demo's overpasses are 200 km long)."""
    p = r.p
    n = len(p["y"])
    for g in np.unique(p["track"]):
        at = p["track"] == g
        assert len(np.unique(p["overpass"][at])) == 1 and len(np.unique(p["sensor"][at])) == 1
        time = p["obs_time"][at] - p["obs_time"][at].mean()
        if in_time:
            near(p["along_track"][at] - p["along_track"][at].mean(), time, 1e-5, "seconds")
    gap = np.abs(p["along_track"][:, None] - p["along_track"])
    rho = share * np.exp(-gap / length) * (p["track"][:, None] == p["track"])
    np.fill_diagonal(rho, 1)
    assert r.att["r_length"] == length and r.att["r_share"] == share
    R = p["r_sd"][:, None] * rho * p["r_sd"]
    assert np.linalg.eigvalsh(R)[0] > 0
    return R


def places(r):
    """Places along the track against the job's soundings: the projection of mean places on the direction of motion
    on the plane, to 2 permille of the distance."""
    with Dataset(f"{work}/{r.name}/stages/soundings-ch4.nc") as d:
        d.set_auto_mask(False)
        lon, lat, time = (d[k][:].astype(float) for k in ("longitude", "latitude", "time"))
    worst = 0
    for g in np.unique(r.p["track"]):
        at = np.flatnonzero(r.p["track"] == g)
        # an observation's place from the soundings of its overpass, by its mean time alone
        near_by = np.abs(time - r.p["obs_time"][at].mean()) < 900
        t = time[near_by] - time[near_by].mean()
        x = (lon[near_by] - lon[near_by].mean()) * 111.195 * np.cos(np.deg2rad(lat[near_by].mean()))
        y = (lat[near_by] - lat[near_by].mean()) * 111.195
        speed = np.hypot(t @ x, t @ y) / (t @ t)
        s, late = r.p["along_track"][at], r.p["obs_time"][at]
        slope = np.polyfit(late - late.mean(), s, 1)[0]
        worst = max(worst, abs(slope / speed - 1))
    assert worst < 0.05, worst
    return worst


def tracks():
    """Errors correlated along the track of an overpass: every solution against numpy with R written out."""
    metres = TEXT.replace(TEXT[TEXT.index("grid:"):TEXT.index("soundings:")], METRES + "\n")
    bare = metres.replace("    length: 20 km\n    correlation: exponential\n    background", "    background")
    level = "inversions[0].levels=[{cell: 15 km, length: 60 km, correlation: spherical}]"
    r = run("tracks", level, ALONG % ("30 km", 0.6), "inversions[0].error.floor=4 ppb", *FLOOR, text=bare)
    R = track_noise(r, 30, 0.6)
    print("ground speed of the places against that of the soundings:", places(r))
    H, B, b_sd, _ = r.matrices_of_rows()
    d = np.hypot(r.p["xc"][:, None] - r.p["xc"], r.p["yc"][:, None] - r.p["yc"])
    h = np.minimum(d / 60, 1)
    sd = r.p["level_scale0"]
    Q = sd[:, None] * (1 - 1.5 * h + 0.5 * h**3) * sd
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + R
    innovation = r.p["y"] - H @ r.p["x0"]
    inverse = np.linalg.inv(psi)
    x = r.p["x0"] + Q @ (H.T @ (inverse @ innovation))
    post = np.sqrt(np.diag(Q) - np.einsum("ij,ji->i", Q @ H.T, inverse @ H @ Q))
    near(r.q["x"], x, 1e-9, "x along tracks")
    near(r.q["x_sd"], post, 1e-9, "sd along tracks")
    n = len(innovation)
    near(r.numbers["chi2_innovation_per_obs"], innovation @ inverse @ innovation / n, 1e-9)
    near(r.numbers["neg_log_evidence"], (innovation @ inverse @ innovation + np.linalg.slogdet(psi)[1] +
                                         n * np.log(2 * np.pi)) / 2, 1e-9)
    w = inverse @ innovation
    near(r.numbers["jo"], w @ R @ w, 1e-9, "Jo")
    with open(f"{work}/tracks/stages/footprint-ch4.facts.json") as f:
        numbers = json.load(f)["numbers"]
    gaps = np.abs(r.p["along_track"][:, None] - r.p["along_track"]) + np.diag(np.full(n, np.inf))
    gaps[r.p["track"][:, None] != r.p["track"]] = np.inf
    near(numbers["track_neighbour_correlation"], 0.6 * np.exp(-gaps.min(1) / 30).mean(), 1e-9)
    assert numbers["tracks"] == 2
    assert "errors correlated along 2 tracks of an overpass and product: 0.6 of the variance" in r.report
    again = run("tracks2", level, ALONG % ("30 km", 0.6), "inversions[0].error.floor=4 ppb",
                "inversions[0].solver.method=iterative", *FLOOR, text=bare)
    near(again.q["x"], x, 1e-9, "x by iteration")
    near(again.q["zone_posterior_sd"], r.q["zone_posterior_sd"], 1e-9)
    plain = run("plain", level, "inversions[0].error.floor=4 ppb", *FLOOR, text=bare)
    assert np.abs(plain.q["x"] - x).max() > 0.01 * np.abs(x).max()
    print("tracks: exact and iterative as numpy with R written out")


def tracks_elsewhere():
    """In seconds, on the demo's own grid: Gaussian, unknown mean, no negative fluxes, tuned."""
    t = run("seconds", ALONG % ("20 s", 0.5), *FLOOR)
    R = track_noise(t, 20, 0.5, True)
    H, B, b_sd, Q = t.matrices()
    p = t.p
    psi = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T + R
    near(t.q["x"], p["x0"] + Q @ (H.T @ np.linalg.solve(psi, p["y"] - H @ p["x0"])), 1e-6, "x in seconds")
    g = run("tracks3", ALONG % ("20 s", 0.5), "inversions[0].solver.method=geostatistical", *FLOOR)
    G, inverse = H @ p["x0"], np.linalg.inv(psi)
    beta = (G @ inverse @ p["y"]) / (G @ inverse @ G)
    near(g.q["x"], beta * p["x0"] + Q @ (H.T @ (inverse @ (p["y"] - G * beta))), 1e-6, "unknown mean")
    wide = ("inversions[0].sigma=1.5", "inversions[0].floor=5e-9 mol m-2 s-1")
    s = run("tracks4", ALONG % ("20 s", 0.5), "inversions[0].sign=nonnegative",
            "inversions[0].samples={draws: 400, chains: 3, seed: 7}", *wide)
    H, B, b_sd, Q = s.matrices()
    p = s.p
    all_of_it = B @ np.diag(b_sd**2) @ B.T + R
    Lq, Lr, scale = np.linalg.cholesky(Q), np.linalg.cholesky(all_of_it), p["x_sd"].max()
    mode, _ = nnls(np.vstack([np.linalg.inv(Lq), np.linalg.solve(Lr, H)]) * scale,
                   np.concatenate([np.linalg.solve(Lq, p["x0"]), np.linalg.solve(Lr, p["y"])]), maxiter=20000)
    near(s.q["cell_mode"], mode * scale, 1e-5, "mode")
    S = np.linalg.inv(np.linalg.inv(Q) + H.T @ np.linalg.inv(all_of_it) @ H)
    draws = gibbs(S, p["x0"] + S @ (H.T @ np.linalg.solve(all_of_it, p["y"] - H @ p["x0"])), mode * scale).sum(1)
    error = draws.reshape(20, -1).mean(1).std(ddof=1) / np.sqrt(20)
    assert abs(s.q["x"].sum() - draws.mean()) < 4 * np.hypot(error, draws.std() / np.sqrt(s.numbers["ess"]))
    tuned = run("tracks5", ALONG % ("20 s", 0.5), "inversions[0].tune={parameters: [sigma_r]}", *FLOOR)
    factor = tuned.numbers["tuned_sigma_r_factor_sensor0"]
    H, B, b_sd, Q = tuned.matrices()
    given = H @ Q @ H.T + B @ np.diag(b_sd**2) @ B.T
    d = tuned.p["y"] - H @ tuned.p["x0"]

    def nll(f):
        psi = given + f * f * R
        return (d @ np.linalg.solve(psi, d) + np.linalg.slogdet(psi)[1]) / 2

    low, middle, high = nll(factor * 0.97), nll(factor), nll(factor * 1.03)
    assert middle < min(low, high) and abs(high - low) < 0.05 * (low + high - 2 * middle), (low, middle, high)
    # Huber's loss on the own part of an error: as the command on the problem that the job wrote.
    robust = run("tracks6", ALONG % ("20 s", 0.5), "inversions[0].solver.huber=1.2", *FLOOR)
    done = subprocess.run([binary, "invert", "--problem", f"{work}/tracks6/stages/problem-ch4.nc", "--json",
                           "--huber", "1.2", "--progress=none"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    command = json.loads(done.stdout)
    assert robust.numbers["huber_reweighted"] == command["huber_reweighted"] > 0
    near(robust.numbers["jo"], command["jo"], 1e-9)
    assert "without what their track shares" in robust.says
    item = "inversions[0]."
    for sets, words in (
            (("error.along_track={share: 0.5}",), "along_track.length"),
            (("error.along_track={length: 30 km}",), "along_track.share"),
            (("error.along_track={length: 0 km, share: 0.5}",), "'0 km' is not greater than 0 m"),
            (("error.along_track={length: 30 ppb, share: 0.5}",), "'30 ppb' is not"),
            (("error.along_track={length: 30 km, share: 0}",), "'0' is not greater than 0"),
            (("error.along_track={length: 30 km, share: 1}", "solver.huber=2"), "along_track.share below 1"),
            (("error.along_track={length: 30 km, share: 1.5}",), "'1.5' is above 1")):
        done = start("check", "refused", [item + s for s in sets])
        assert done.returncode == 2 and words in done.stderr, (sets, done.returncode, done.stderr)
    print("tracks: geostatistical, nonnegative and tuned as numpy with R written out")


def rows_only(r):
    """H, B and the offsets' sds where the covariance is of another form."""
    p = r.p
    H = np.zeros((len(p["y"]), len(p["x0"])))
    row, col = p["H_rowptr"].astype(int), p["H_col"].astype(int)
    for i in range(len(H)):
        H[i, col[row[i]:row[i + 1]]] = p["H_data"][row[i]:row[i + 1]]
    return H, (p["group"][:, None] == np.arange(len(p["b0"]))).astype(float), p["b_sd"], None


Result.matrices_of_rows = rows_only


def refusals():
    item = "inversions[0]."
    for sets, words in (
            (("solver.method=gibbs",), "'gibbs' is not one of auto, exact, iterative, banded, geostatistical"),
            (("solver.tolerance=2",), "solver.tolerance"),
            (("solver.method=exact", "solver.tolerance=1e-6"), "unless method is iterative or auto"),
            (("solver.drift=constant",), "unless method is geostatistical"),
            (("samples={draws: 100}",), "has no effect with sign gaussian"),
            (("sign=nonnegative", "samples={draws: 4}"), "samples.draws"),
            (("sign=nonnegative", "samples={draws: 10.5}"), "10.5 is not a whole number"),
            (("sign=nonnegative", "solver.method=iterative"), "is of sign gaussian alone"),
            (("sign=nonnegative", "solver.method=banded"), "is of sign gaussian alone"),
            (("solver.method=banded",), "banded needs levels"),
            (("sign=lognormal", "floor=1e-9 mol m-2 s-1"), "stays at 0 with sign lognormal"),
            (("tune={parameters: [sigma]}",), "'sigma' is not one of length, tau, sigma_q, sigma_r"),
            (("tune={parameters: [tau]}",), "tau needs time.correlation"),
            (("tune={parameters: [sigma_q], method: ml}", "solver.method=geostatistical"), "needs method: reml"),
            (("levels=[{cell: 5 km, length: 9 km}]",), "need a projected grid"),
            (("regressors=[{column: albedo, sd: 1 ppb}, {column: albedo, sd: 1 ppb}]",), "stands there twice"),
            (("regressors=[{column: slope, sd: 1 ppb}]",), "albedo"),
            (("error.sensors=[{product: s5p-ch4, scale: 0}]",), "scale")):
        done = start("check", "refused", [item + s for s in sets])
        assert done.returncode == 2 and words in done.stderr, (sets, done.returncode, done.stderr)
    # What only the data can tell comes from the run.
    for sets, words in ((("tune={parameters: [sigma_r], holdout: 9}",), "expected 2 to 2"),
                        (("background.mean=soundings", "background.per=overpass"), "have background none")):
        done = start("run", "refused", [item + s for s in sets])
        assert done.returncode != 0 and words in done.stderr, (sets, done.returncode, done.stderr)
    print("refusals: every key says what it takes")


PARTS = {"solvers": (solvers, geostatistical), "nonnegative": (nonnegative,), "lognormal": (lognormal,),
         "statistics": (tuning, outliers, regressors), "levels": (levels,),
         "smoothness": (smoothness,), "tracks": (tracks,),
         "tracks_elsewhere": (tracks_elsewhere,), "refusals": (refusals,)}
for part in PARTS[sys.argv[5]]:
    part()
