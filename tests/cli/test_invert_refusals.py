#!/usr/bin/python3
"""skyflux invert refuses what it would misread: transposed variables, outputs that are inputs, options without
effect, numbers that overflow; and says what is damaged or empty. arguments: BINARY DATA WORK SOURCE PART"""
import os
import shutil
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK, SOURCE, PART = sys.argv[1:6]
sys.path.insert(0, f"{SOURCE}/tests/support")
import invert_command as invert
import small_problem as small
from invert_command import fails, near, solve

WORK = f"{WORK}_{PART}"
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
invert.use(BINARY)
rng = np.random.default_rng(3)
M = small.NC * small.NT


def file(name, **parts):
    return small.write(f"{WORK}/{name}.nc", **parts)


def total(path, *args):
    return solve(path, *args)["posterior_total"]


def dimensions():
    plain = file("plain")
    zones = rng.random((3, small.NC))
    drift = np.vstack([np.ones(M), np.arange(M) % 5])
    regressor = rng.random((2, small.N))
    mean = {"regressor_mean": ("pattern", [0.0, 0.1]), "regressor_sd": ("pattern", [1.0, 2.0])}
    rank = {"q_sign": ("rank", [1.0, 1.0]), "q_variance": ("state", np.full(M, 2.0))}
    factor = rng.random((2, M))

    # The order of dimensions, whatever their names where lengths tell.
    right = file("zones", more={"zones": (("zone", "cell"), zones)})
    other = file("zones_named", more={"zones": (("region", "mesh"), zones)})
    assert solve(right)["zones"] == solve(other)["zones"]
    fails(file("zones_t", more={"zones": (("cell", "zone"), zones.T)}), "zones: dimensions (cell = 12, zone = 3)",
          "expected (zone, cell = 12)", code=3)
    fails(file("zones_flat", more={"zones": ("zones", zones.ravel())}), "zones: dimensions (zones = 36)", code=3)

    # As many zones as cells: only the names tell.
    square = rng.random((small.NC, small.NC))
    by_name = solve(file("square", more={"zones": (("zone", "cell"), square)}))["zones"]
    assert by_name == solve(file("square_half", more={"zones": (("region", "cell"), square)}))["zones"]
    fails(file("square_t", more={"zones": (("cell", "zone"), square)}), "zones: dimensions", code=3)
    fails(file("square_unnamed", more={"zones": (("a", "b"), square)}), "these names where lengths do not tell", code=3)

    for name, good, args in (("drift", {"drift": (("column", "state"), drift)}, ("-m", "geostatistical")),
                             ("regressor", {"regressor": (("column", "obs"), regressor), **mean}, ()),
                             ("q_factor", {"q_factor": (("rank", "state"), factor), **rank}, ())):
        drop = ("cov",) if name == "q_factor" else ()
        solve(file(name, more=good, drop=drop), *args)
        dims, value = good[name]
        first = {"drift": "drift", "regressor": "regressor = 2", "q_factor": "rank = 2"}[name]
        fails(file(name + "_t", more={**good, name: ((dims[1], "other"), value.T)}, drop=drop), f"{name}: dimensions",
              f"expected ({first}, ", args=args, code=3)

    # A state over time and cells, in this order.
    x0 = rng.random((small.NT, small.NC))
    near(total(file("x0", more={"x0": ("state", x0.ravel())})),
         total(file("x0_2d", more={"x0": (("time", "cell"), x0)})), 1e-15)
    fails(file("x0_t", more={"x0": (("cell", "time"), x0.T)}), "x0: dimensions (cell = 12, time = 2)",
          "(time = 2, cell = 12)", code=3)
    drift_2d = drift.reshape(2, small.NT, small.NC)
    near(total(f"{WORK}/drift.nc", "-m", "geostatistical"),
         total(file("drift_3d", more={"drift": (("column", "time", "cell"), drift_2d)}), "-m", "geostatistical"), 1e-15)
    sd = 1 + rng.random((small.NT, small.NC))
    near(total(file("sd", more={"x_sd": ("state", sd.ravel())})),
         total(file("sd_2d", more={"x_sd": (("time", "cell"), sd)})), 1e-15)
    fails(file("sd_t", more={"x_sd": (("cell", "time"), sd.T)}), "x_sd: dimensions", code=3)
    fails(file("q_t", more={**rank, "q_factor": (("rank", "state"), factor),
                            "q_variance": (("cell", "time"), np.ones((small.NC, small.NT)))}, drop=("cov",)),
          "q_variance: dimensions", code=3)

    # One dimension is one dimension.
    for name, dims, shape in (("y", ("obs", "one"), (small.N, 1)), ("r_sd", ("one", "obs"), (1, small.N)),
                              ("overpass", ("obs", "one"), (small.N, 1)), ("xc", ("north", "east"), (3, 4))):
        fails(file("flat", more={name: (dims, np.zeros(shape))}), f"{name}: dimensions", code=3)
    fails(file("short", more={"x_sd": ("few", np.ones(M - 1))}), "x_sd: dimensions (few = 23)", "state = 24", code=3)

    # Levels, sectors, tracks.
    level = {f"level_{k}": ("level", [v]) for k, v in
             dict(x0=-5.0, y0=-5.0, dx=10.0, dy=10.0, nx=4, ny=3, sigma=2.0, length=30.0).items()}
    level["cell_width"] = ("cell", np.full(small.NC, 10.0))
    words = {"level_models": "spherical", "cov_time": "exponential"}
    near(total(file("levels", more=level, attributes=words, drop=("cov",))), total(plain), 1e-10)
    level["level_dx"] = (("level", "one"), [[10.0]])
    fails(file("levels_2d", more=level, attributes=words, drop=("cov",)), "level_dx: dimensions", code=3)
    fails(file("mixing", more={"sector_mixing": ("flat", [1.0, 0.5, 0.5, 1.0])}), "sector_mixing: 4 values", code=3)
    track = {"along_track": ("obs", np.arange(8.0)), "track": ("obs", np.zeros(8))}
    solve(file("track", more=track, attributes={"r_length": 2.0}))
    track["along_track"] = (("one", "obs"), [np.arange(8.0)])
    fails(file("track_2d", more=track, attributes={"r_length": 2.0}), "along_track: dimensions", code=3)

    # An attribute is one number.
    for name in ("Lx_km", "Lt_steps", "sigma_q", "sigma_r", "nt", "nx"):
        fails(file("array", attributes={name: [2.0, 3.0]}), f"{name}: '2 3' (expected one number)", code=3)


def files():
    p = file("p")
    before = open(p, "rb").read()
    os.symlink(p, f"{WORK}/link.nc")
    os.link(p, f"{WORK}/hard.nc")
    near_by = f"{WORK}/../{os.path.basename(WORK)}/p.nc"
    for option in ("-o", "--ak", "--zones-csv", "--checkpoint", "--log-file"):
        for path in (p, f"{WORK}/link.nc", f"{WORK}/hard.nc", near_by):
            fails(p, "is the file of --problem", args=(option, path), code=2)
            assert open(p, "rb").read() == before, (option, path)
    # Of two outputs neither is there yet.
    new = f"{WORK}/new"
    for one, two in (("-o", "--ak"), ("-o", "--zones-csv"), ("--ak", "--zones-csv"), ("--checkpoint", "-o")):
        fails(p, "is the file of", args=(one, new, two, f"{WORK}/../{os.path.basename(WORK)}/new"), code=2)
        assert not os.path.exists(new)
    solve(p, "-o", new, "--zones-csv", f"{WORK}/new.csv")


def options():
    p = file("p")
    new = f"{WORK}/new"
    for method in ("iterative", "banded"):
        fails(p, "--osse is of the exact solution", method, args=("--osse", 20, "-m", method), code=2)
    for args in (("--tolerance", "0.1"), ("--checkpoint", new), ("-o", new), ("--float32",)):
        fails(p, "no effect with --osse", args=("--osse", 20, *args), code=2)
        if args[0] == "-o":
            continue
        for method in ("geostatistical", "smoother"):
            fails(p, "no effect", method, args=("-m", method, *args), code=2)
        fails(p, "--method iterative", args=("-m", "exact", *args), code=2)
    assert not os.path.exists(new)
    for text in ("", "sigma_q,", ",sigma_q", "sigma_q,,sigma_r", "sigma", "sigma_q sigma_r"):
        fails(p, "expected a list of", args=("--tune", text), code=2)
    fails(p, "sigma_q stands twice", args=("--tune", "sigma_q,sigma_r,sigma_q"), code=2)
    for lag in ("1.5", "-1", "-0.5", "nan", "one", ""):
        fails(p, "--lag", "expected a", args=("-m", "smoother", "--lag", lag), code=2)
    # Steps of a file without zones are those of the total.
    assert [z["name"] for z in solve(p, "--by-time")["zones"]] == ["total, step 1", "total, step 2"]


def overflow():
    v = small.variables()
    for huge in (1e155, 1e200, 1e300):
        y = v["y"][1].copy()
        y[2] = huge
        p = file("y", more={"y": ("obs", y)})
        for args in ((), ("-m", "iterative"), ("-m", "geostatistical"), ("-d",), ("--sign", "nonnegative")):
            fails(p, "range of double", args=args, code=3)
        fails(p, "range of double", args=("--sign", "nonnegative", "--samples", "20"), code=3)
        fails(p, "log-normal", args=("--sign", "lognormal"))
    level = {f"level_{k}": ("level", [a]) for k, a in
             dict(x0=-5.0, y0=-5.0, dx=10.0, dy=10.0, nx=4, ny=3, sigma=2.0, length=30.0).items()}
    level["cell_width"] = ("cell", np.full(small.NC, 10.0))
    p = file("band", more={**level, "y": ("obs", y)}, drop=("cov",),
             attributes={"level_models": "spherical", "cov_time": "exponential"})
    fails(p, "range of double", args=("-m", "banded"), code=3)
    x0 = np.full(M, 1.0)
    x0[3] = 1e308
    fails(file("x0", more={"x0": ("state", x0)}), "range of double", code=3)


def words():
    # A zone that nothing belongs to is named.
    zones = np.vstack([np.ones(small.NC), np.zeros(small.NC)])
    p = file("empty", more={"zones": (("zone", "cell"), zones), "zone_name": ("zone", np.array(["all", "sea"], object))})
    r = invert.run("-p", p, "-q")
    assert r.returncode == 0 and "zone 'sea' has no cell" in r.stderr and "'all'" not in r.stderr, r
    # Nothing left.
    p = file("far", more={"y": ("obs", np.full(small.N, 1e5))})
    fails(p, p, "4 of their sds", "none of 8 observations", args=("--screen",))
    # A damaged checkpoint is called so.
    p = file("p")
    for content in (b"x", b"not a checkpoint, but some notes about one that are longer than its header"):
        open(f"{WORK}/ck", "wb").write(content)
        fails(p, "ck: is damaged", args=("-m", "iterative", "--checkpoint", f"{WORK}/ck"), code=2)
        assert open(f"{WORK}/ck", "rb").read() == content
    # -q is quiet, unless progress is asked for.
    import subprocess
    quiet = subprocess.run([BINARY, "invert", "-p", p, "-q", "--json"], capture_output=True, text=True)
    assert quiet.returncode == 0 and quiet.stderr == "", quiet
    loud = subprocess.run([BINARY, "invert", "-p", p, "-q", "--progress=json"], capture_output=True, text=True)
    assert loud.returncode == 0 and '"progress"' in loud.stderr, loud


def levels():
    """The Kronecker prior of the small problem as one level."""
    level = {f"level_{k}": ("level", [v]) for k, v in
             dict(x0=-5.0, y0=-5.0, dx=10.0, dy=10.0, nx=4, ny=3, sigma=2.0, length=30.0).items()}
    level["cell_width"] = ("cell", np.full(small.NC, 10.0))
    return dict(more=level, attributes={"level_models": "spherical", "cov_time": "exponential"}, drop=("cov",))


def same(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for k in a:
            same(a[k], b[k])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    elif isinstance(a, str):
        assert a == b
    else:
        assert abs(a - b) <= 1e-9 * max(abs(b), 1e-6), (a, b)


def diagnose():
    p, banded = file("p"), file("levels", **levels())
    exact = solve(p, "-m", "exact", "-d")["diagnosis"]
    assert exact["total_smoothing_sd"] > 0 and exact["total_noise_sd"] > 0
    for path, method in ((p, "iterative"), (p, None), (banded, "exact"), (banded, "iterative"), (banded, "banded")):
        same(solve(path, "-d", *(("-m", method) if method else ()))["diagnosis"], exact)
    for method in ("geostatistical", "smoother"):
        fails(p, "--diagnose is of the Bayesian solution alone", args=("-d", "-m", method), code=2)
    # Where its dense matrices do not fit, that is said before the work, by every method.
    for method in (("-m", "exact"), ("-m", "iterative"), ()):
        fails(p, "the diagnosis of 8 observations", "--memory", args=("-d", "--memory", "5K", *method))


def mean():
    """Without a prior mean x0 has no say, and outliers are judged about the fitted drift."""
    v = small.variables()
    y = v["y"][1].copy()
    y[5] += 60
    paths = [file(f"x{f}", more={"y": ("obs", y), "x0": ("state", f * rng.random(M))}) for f in (1, 40)]
    for args in ((), ("--screen",), ("--huber", "2"), ("--tune", "sigma_q", "--reml")):
        one, two = (solve(p, "-m", "geostatistical", *args) for p in paths)
        for key in ("posterior_total", "posterior_total_sd", "beta"):
            near(np.sum(one[key]), np.sum(two[key]), 1e-9)
        assert [one.get(k) for k in ("screened_out", "huber_reweighted")] == \
            [two.get(k) for k in ("screened_out", "huber_reweighted")], args
    # Screening by numpy: d = y - G beta with its covariance.
    H, (xc, yc) = np.zeros((small.N, M)), (v["xc"][1], v["yc"][1])
    for i in range(small.N):
        H[i, v["H_col"][1][5 * i:5 * i + 5]] = v["H_data"][1][5 * i:5 * i + 5]
    Q = 4 * np.kron([[1, np.exp(-0.5)], [np.exp(-0.5), 1]],
                    invert.spherical(np.hypot(xc[:, None] - xc, yc[:, None] - yc) / 30))
    psi, G = H @ Q @ H.T + 0.25 * np.eye(small.N), H.sum(1)
    w = np.linalg.solve(psi, G)
    e = y - G * (w @ y) / (w @ G)
    out = np.abs(e) > 4 * np.sqrt(np.diag(psi - np.outer(G, G) / (w @ G)))
    assert out.sum() >= 1 and solve(paths[1], "-m", "geostatistical", "--screen")["screened_out"] == out.sum()
    for args in (("--tune", "sigma_q"), ("--tune", "sigma_q", "--desroziers")):
        fails(paths[0], "takes --reml", args=("-m", "geostatistical", *args), code=2)


def sphere():
    """Some models of great-circle distance are no covariance at long lengths."""
    lon, lat = (a.ravel() for a in np.meshgrid(np.linspace(-180, 135, 4), np.linspace(-60, 60, 3)))

    def globe(model, length):
        def degrees(f):
            f["xc"].units, f["yc"].units = "degrees_east", "degrees_north"
        return file("globe", more={"xc": ("cell", lon), "yc": ("cell", lat)}, change=degrees,
                    attributes={"Lx_km": length, "cov": f"{model} in space and exponential in time"})

    p, q = np.radians(lat), np.radians(lon)
    away = np.sin(p[:, None]) * np.sin(p) + np.cos(p[:, None]) * np.cos(p) * np.cos(q[:, None] - q)
    d = 6371.0088 * np.arccos(np.clip(away, -1, 1))
    models = {"matern32": lambda h: (1 + h) * np.exp(-h), "matern52": lambda h: (1 + h + h * h / 3) * np.exp(-h),
              "exponential": lambda h: np.exp(-h), "spherical": invert.spherical}
    refused = 0
    for model, value in models.items():
        for length in (1000.0, 8000.0, 20000.0, 60000.0):
            least = np.linalg.eigvalsh(value(d / length))[0]
            path = globe(model, length)
            if least > -1e-12:
                assert np.isfinite(solve(path)["posterior_total_sd"])
                continue
            assert least < -1e-6, (model, length, least)
            refused += 1
            for method in ("exact", "iterative", "geostatistical"):
                fails(path, model, f"{length:g} km", "negative eigenvalue", args=("-m", method))
    assert refused >= 2, refused


{f.__name__: f for f in (dimensions, files, options, overflow, words, diagnose, mean, sphere)}[PART]()
