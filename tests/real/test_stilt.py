#!/usr/bin/python3
"""Real STILT sensitivities and soundings, moved to several receptors: steps in time against numpy.

arguments: BINARY DATA WORK SOURCE. Exit 77: the real file is not there."""
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, shared, work, source = sys.argv[1:5]
real = os.path.join(shared, "data/footprints/stilt_r_foot.nc")
tccon = os.path.join(shared, "data/openghg_column/hw20230402_20230402.public.qc.nc")
if not os.path.isfile(real):
    print("skipped: no real file at", real)
    sys.exit(77)
HOUR, MIDNIGHT, KG = 3600.0, 1449705600.0, 16.0425e-3 * 365.2425 * 86400  # 2015-12-10; kg year-1
HOURS, PLACES = (-15, -10, -9, -5, 0, 5, 10, 15, 25), (0, 1, 1, 3, 4, 5, 6, 7, 8)  # of receptors
MINUTES = [[-80, -30, -5, 0, 4, 30, 70]] * 9  # of soundings, from the time of their receptor
MINUTES[1:3] = [0, 4, 8, 12, 20, 26, 29], [-29, -26, -20, -20, -15, -8, 0]  # an hour apart
ZONES = {"beyond": (-111.7, 40.5, -110.2, 41.0), "half": (-112.93, 39.9, -112.4, 40.4),
         "in": (-112.55, 40.13, -111.83, 40.77)}  # west, south, east, north
JOB = """{{job: {{name: stilt}}, period: {{start: {start}, end: {end}}},
grid: {{box: [-112.8, 39.797, -111.4, 41.197], cell: 0.1 degree}},
soundings: [{{files: [{work}/tccon.nc], gases: [ch4]}}], compare: [{{gas: ch4, inventory: inv}}],
footprints: [{{files: ["{work}/by-id/*/*_foot.nc"], max_distance: 10 km, max_time: 90 min}}],
inventories: [{{id: inv, gas: ch4, file: {work}/prior.nc, variable: flux,
  uncertainty: {{sigma: 0.5, correlation: exponential, length: 20 km}}}}],
inversions: [{{gas: ch4, prior: inv, sigma: 0.5, floor: 1e-9 mol m-2 s-1, length: 15 km,
  correlation: exponential, time: {{step: 12 hour, correlation: exponential, length: 1 day}},
  background: {{mean: prior_column, sd: 10 ppb, per: overpass}}, error: {{correlation: 0.3,
  representation: 3 ppb}}}}], zones: {{file: {work}/zones.json, id: id, name: name}}}}"""

def plane(x, y):
    """Edges in the equal-area plane: radians, m2 per radian (Snyder 1987, Eq. 3-12)."""
    f, s = 1 / 298.257223563, np.sin(np.radians(y))
    e, b = np.sqrt(f * (2 - f)), 6378137.0 * (1 - f)
    return np.radians(x), b * b / 2 * (s / (1 - e * e * s * s) + np.arctanh(e * s) / e)

def share(a, b):
    """Share of each interval of edges a that lies in each interval of edges b."""
    part = np.minimum(a[1:, None], b[1:]) - np.maximum(a[:-1, None], b[:-1])
    return np.clip(part, 0, None) / np.diff(a)[:, None]

def means(v, a, b):
    """Densities v of the cells of mesh a on the cells of mesh b, 0 outside a."""
    return share(b[1], a[1]) @ v @ share(b[0], a[0]).T

def run(job, out, *options):
    """Numbers of a job's footprint stage, its problem with dense H, and its posterior."""
    subprocess.run([binary, "run", job, "-q", f"--set=job.output={out}", *options], check=True)
    with open(f"{out}/stages/footprint-ch4.facts.json") as f:
        got = json.load(f)["numbers"]
    for stage in ("problem", "posterior"):
        with Dataset(f"{out}/stages/{stage}-ch4.nc") as f:
            got.update({k: np.array(v[:]) for k, v in f.variables.items()})
    got["H"], row = np.zeros((len(got["y"]), len(got["x0"]))), range(len(got["y"]))
    got["H"][np.repeat(row, np.diff(got["H_rowptr"])), got["H_col"]] = got["H_data"]
    return got

def check(name, begin):
    """The job over four steps from begin, against the same in numpy."""
    out, (start, end) = f"{work}/{name}", np.array([begin, begin + 48 * HOUR]).astype("M8[s]")
    with open(f"{out}.yaml", "w") as f:
        f.write(JOB.format(work=work, start=start, end=end))
    got, rows, inside = run(f.name, out), [], (when >= begin) & (when < begin + 48 * HOUR)
    for k in np.unique(owner[inside & (owner >= 0)]).astype(int):
        use, (layer, foot) = inside & (owner == k), receptors[k]
        on = (share(native[1], mesh[1]).T @ foot @ share(native[0], mesh[0])).reshape(6, -1)
        row = np.concatenate([on[(layer - begin) // (12 * HOUR) == i].sum(0) for i in range(4)])
        fixed = np.sum(foot * means(prior, coarse, native)) - row @ x0
        var = np.mean(sigma[use] ** 2) * (0.7 / use.sum() + 0.3) + 3e-9 ** 2
        rows.append((row, (X - own)[use].mean() - fixed, np.sqrt(var), fixed, when[use].mean(),
                     (foot.sum(), row.sum(), foot.sum() - on.sum(), on.sum() - row.sum(),
                      np.sum(foot * (1 - means(known, coarse, native))))))
    H, y, sd, fixed, t, audit = (np.array(v) for v in zip(*rows))
    x_sd, overpass = np.hypot(0.5 * x0, 1e-9), np.cumsum(np.diff(t, prepend=t[0]) > 1800)
    assert overpass[-1] < len(t) - 1 and audit.sum(0).min() > 0.01  # the case has all of it
    R = np.diag(sd ** 2) + 10e-9 ** 2 * np.equal.outer(overpass, overpass)
    fading = np.exp(-0.5 * np.abs(np.subtract.outer(range(4), range(4))))
    Q = np.kron(fading, np.exp(-distance / 15e3)) * np.outer(x_sd, x_sd)
    K = np.linalg.solve(H @ Q @ H.T + R, H @ Q).T
    dx, P, B = K @ (y - H @ x0), Q - K @ H @ Q, 0.25 * np.outer(np.abs(x0), np.abs(x0))
    B *= np.exp(-np.tile(distance, (4, 4)) / 20e3)  # of the inventory: one error for all steps
    null, faded = (np.sqrt(np.diag(W @ K @ (H @ b @ H.T + R) @ K.T @ W.T))
                   for b in (B, B * np.kron(fading, np.ones_like(distance))))
    want = dict(H=H, y=y, r_sd=sd, fixed=fixed, x=x0 + dx, x_sd=np.sqrt(np.diag(P)),
                zone_prior=total, zone_posterior=total + W @ dx, zone_null_sd=null,
                zone_posterior_sd=np.sqrt(np.diag(W @ P @ W.T)),
                soundings_matched=np.sum(inside & (owner >= 0)))
    names = "sum", "on_grid", "outside", "other_time", "without_prior"
    want.update(zip(("footprint_" + n for n in names), audit.sum(0)))
    for key, v in want.items():
        error = np.max(np.abs(got[key] - v)) / np.max(np.abs(v))
        print(f"{name} {key}: relative error {error:.2g}")
        assert np.shape(got[key]) == np.shape(v) and error <= (1e-12 if key == "H" else 1e-9), key
    assert np.min(np.abs(got["zone_null_sd"] / faded - 1)) > 1e-3, "negative control: fading"

shutil.rmtree(work, ignore_errors=True)
rng, receptors, where = np.random.default_rng(1), [], [(-1, MIDNIGHT, -112.3, 40.5)]  # too far
for k, (hour, place) in enumerate(zip(HOURS, PLACES)):
    t, x, y = MIDNIGHT + hour * HOUR, round(-112 + 0.05 * place, 2), round(40.5 - 0.04 * place, 2)
    name = "".join(filter(str.isdigit, str(np.datetime64(int(t), "s"))))[:12] + f"_{x}_{y}_X"
    os.makedirs(f"{work}/by-id/{name}")
    with Dataset(shutil.copy(real, f"{work}/by-id/{name}/{name}_foot.nc"), "a") as f:
        scaled = f["foot"][:] * rng.uniform(0.5, 20, (6, 1, 1)).astype("f4")
        f["foot"][:], f["time"][:] = np.roll(scaled, 9 * k, axis=1), f["time"][:] + hour * HOUR
        receptors.append((np.array(f["time"][:]), np.array(f["foot"][:], float)))
    where += [(k, t + 60 * m, x + rng.uniform(-0.02, 0.02), y) for m in MINUTES[k]]
owner, when, *moved = np.transpose(where)
with Dataset(shutil.copy(tccon, f"{work}/tccon.nc"), "a") as f:
    f["time"][:], (f["long"][:], f["lat"][:]) = when, moved
    X, own, sigma = (1e-6 * np.array(f[k][:], float) for k in ("xch4", "prior_xch4", "xch4_error"))
flux = rng.uniform(-1e-8, 1e-7, (21, 21))  # sources and sinks on a shifted grid
flux[7:9, 5:8] = flux[:, 16] = np.nan
with Dataset(f"{work}/prior.nc", "w") as f:
    for key, units, first in (("lat", "degrees_north", 39.5), ("lon", "degrees_east", -113)):
        f.createDimension(key, 21)
        f.createVariable(key, "f8", (key,))[:] = np.linspace(first, first + 2, 21)
        f[key].units = units
    f.createVariable("flux", "f8", ("lat", "lon"))[:] = flux
    f["flux"].units = "mol/m2/s"
prior, known = np.nan_to_num(flux), np.isfinite(flux).astype(float)
coarse = plane(np.linspace(-113.05, -110.95, 22), np.linspace(39.45, 41.55, 22))
native = plane(np.linspace(-113, -111, 201), np.linspace(39.5, 41.5, 201))
edges = np.linspace(-112.8, -111.4, 15), np.linspace(39.797, 41.197, 15)
mesh = plane(*edges)
x0 = np.tile(means(prior, coarse, mesh).ravel(), 4)
lon, lat = (np.radians(v).ravel() for v in np.meshgrid(*((e[1:] + e[:-1]) / 2 for e in edges)))
unit = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
distance = 12742017.6 * np.arcsin(np.linalg.norm(unit[:, :, None] - unit[:, None], axis=0) / 2)
boxes = [plane(z[::2], z[1::2]) for z in ZONES.values()]
area = KG * np.array([np.diff(x)[0] * np.diff(y)[0] for x, y in boxes])
total = area * [means(prior, coarse, z)[0, 0] for z in boxes]
W = np.array([np.outer(share(y, mesh[1]), share(x, mesh[0])).ravel() for x, y in boxes])
W = np.tile(W * area[:, None] / 4, 4)  # the mean over the steps
features = [{"type": "Feature", "properties": {"id": k, "name": k}, "geometry": {
    "type": "Polygon", "coordinates": [[(w, s), (e, s), (e, n), (w, n), (w, s)]]}}
    for k, (w, s, e, n) in ZONES.items()]
with open(f"{work}/zones.json", "w") as f:
    json.dump({"type": "FeatureCollection", "features": features}, f)
check("early", MIDNIGHT - 24 * HOUR)
check("late", MIDNIGHT - 12 * HOUR)  # after four layers of the first receptor that is left
# Real receptors at one place, an hour apart: the hour that holds a sounding, also with max_time.
exact, wide = (run(f"{source}/tests/real/harwell.yaml", f"{work}/{h}", f"--set=data={shared}/data",
                   f"--set=footprints[0].max_time={h} h") for h in (0, 2))
assert len(exact["y"]) == 2 and all(np.array_equal(exact[k], wide[k]) for k in ("H", "y", "r_sd"))
