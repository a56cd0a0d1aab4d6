"""The upwind background with winds of a file, against numpy and scipy: interpolation in time and
space, sector and median; descending axes, 0..360, several time steps, places and times outside;
the command and the job do the same; what cannot be is refused.

Arguments: binary, data folder, work folder, source root."""
import os
import pathlib
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from scipy.interpolate import RegularGridInterpolator

BINARY, WORK, ROOT = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
sys.path.insert(0, str(ROOT / "tests" / "support"))
import harmonised  # noqa: E402

R, T0 = 6371008.8, 1.5e9 - 1.5e9 % 3600
rng = np.random.default_rng(7)


def run(*args, code=0):
    r = subprocess.run([BINARY, *map(str, args), "--progress=none"], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stderr


def soundings(*args, code=0):
    return run("soundings", WORK / "s.nc", "-o", WORK / "out.nc", "--background", "upwind", *args,
               code=code)


def winds(path, lon, lat, hours, u, v, names=("u10", "v10"), unit="m s**-1", shape=("time", "y", "x")):
    """u, v [time, lat, lon]"""
    with netCDF4.Dataset(path, "w") as f:
        dims = {"time": "time", "y": "latitude", "x": "longitude"}
        for name, size in (("time", len(hours)), ("latitude", len(lat)), ("longitude", len(lon))):
            f.createDimension(name, size)
        for name, value, units in (("latitude", lat, "degrees_north"),
                                   ("longitude", lon, "degrees_east"),
                                   ("time", hours, "seconds since 1970-01-01")):
            f.createVariable(name, "f8", (name,))[:] = value
            f[name].units = units
        order = ["time", "y", "x"]
        for name, value in zip(names, (u, v)):
            w = f.createVariable(name, "f4", [dims[d] for d in shape])
            w.units = unit
            w[...] = np.transpose(value, [order.index(d) for d in shape])


lon, lat = harmonised.swath(30, 20, 3.5, 46, 48)
lon0, lat0 = lon.mean(-1), lat.mean(-1)
n = len(lon0)
x = 1850 + rng.normal(0, 8, n)
time = T0 + 600 + np.linspace(0, 2.5 * 3600, n)  # within one overpass, over four steps
shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
harmonised.write(WORK / "s.nc", lon, lat, x, np.full(n, 8.0), time=time, granule="g")


def by_hand(u, v):
    value, sigma = np.full(n, np.nan), np.full(n, np.nan)
    dy = lat0[None] - lat0[:, None]
    dx = (lon0[None] - lon0[:, None]) * np.cos(np.radians((lat0[None] + lat0[:, None]) / 2))
    d = np.hypot(dx, dy)
    for i in range(n):
        if np.isnan(u[i]):
            continue
        with np.errstate(invalid="ignore"):
            angle = -(dx[i] * u[i] + dy[i] * v[i]) / (np.hypot(u[i], v[i]) * d[i])
        metres = np.radians(d[i]) * R
        y = x[(metres >= 2e4) & (metres <= 1.5e5) & (angle >= np.cos(np.radians(30)))]
        if len(y) < 5:
            continue
        m = np.median(y)
        value[i] = m
        sigma[i] = np.sqrt(np.pi / 2) * 1.4826022185056018 * np.median(abs(y - m)) / np.sqrt(len(y))
    return value, sigma


def compare(u, v, least):
    value, sigma = by_hand(u, v)
    with netCDF4.Dataset(WORK / "out.nc") as f:
        order = np.argsort(f["sounding_id"][:])
        got = np.ma.filled(f["background"][:], np.nan)[order]
        sd = np.ma.filled(f["background_uncertainty"][:], np.nan)[order]
        assert "upwind (winds of a file)" in f.processing, f.processing
        assert "eastward_wind" not in f.variables
    known = ~np.isnan(value)
    assert known.sum() > least and (np.isnan(got) == ~known).all(), (known.sum(), np.isnan(got).sum())
    assert abs(got - value)[known].max() < 1e-9 and abs(sd - sigma)[known].max() < 1e-5 * 8
    return known.sum()


# Winds that turn and grow, on axes of ERA5: latitudes descend, longitudes run from 0 to 360.
glon, glat, hours = np.arange(0, 360, 0.5), np.arange(60, 30, -0.5), T0 + 3600.0 * np.arange(5)
la, lo, ho = np.meshgrid(glat, glon, (hours - T0) / 3600, indexing="ij")
u = np.moveaxis(3 + np.sin(np.radians(7 * lo)) + 0.2 * (la - 47) - 1.5 * ho, -1, 0).astype("f4")
v = np.moveaxis(-2 + np.cos(np.radians(5 * lo)) - 0.1 * (la - 47) + 0.7 * ho ** 2, -1, 0).astype("f4")
winds(WORK / "w.nc", glon, glat, hours, u, v)
soundings("--wind", WORK / "w.nc")
assert lon0.min() < -8 or (lon0 % 360 > 340).any()  # west of Greenwich: across the seam
wrap = np.concatenate([glon[-1:] - 360, glon, glon[:1] + 360])


def at(field):
    padded = np.concatenate([field[..., -1:], field, field[..., :1]], -1)[:, ::-1]
    put = RegularGridInterpolator((hours, glat[::-1], wrap), padded.astype("f8"))
    return put(np.stack([time, lat0, lon0 % 360], -1))


got = compare(at(u), at(v), 300)
print(f"{got} of {n} soundings have an upwind background of a file's winds, as scipy interpolates them")

# Half of the period, and a part of the area: the others have none, and that is said.
winds(WORK / "part.nc", glon, glat, hours[:2], u[:2], v[:2], names=("10u", "10v"))
text = soundings("--wind", WORK / "part.nc")
late = time > hours[1]
compare(np.where(late, np.nan, at(u)), np.where(late, np.nan, at(v)), 50)
assert f"{late.sum()} of {n} good soundings: no background" in text, text
box = (glat > 46.6) & (glat < 60)
winds(WORK / "area.nc", glon, glat[box], hours, u[:, box], v[:, box], unit="km h-1")
text = soundings("--wind", WORK / "area.nc")
assert "good soundings: no background" in text, text
with netCDF4.Dataset(WORK / "out.nc") as f:
    order = np.argsort(f["sounding_id"][:])
    b = np.ma.filled(f["background"][:], np.nan)[order]
assert np.isnan(b[lat0 < glat[box].min() - 0.26]).all() and np.isfinite(b).sum() > 50

# The job does the same.
(WORK / "z.geojson").write_text(
    '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"id":"a"},"geometry":'
    '{"type":"Polygon","coordinates":[[[-20,45],[9,45],[9,49],[-20,49],[-20,45]]]}}]}')
(WORK / "job.yaml").write_text(f"""
job: {{name: winds, output: {WORK}/job}}
period: {{start: 2017-07-14, end: 2017-07-15}}
grid: {{box: [-20, 44, 9, 50], cell: 1 degree}}
soundings:
  - {{files: [{WORK}/s.nc], gases: [ch4], background: upwind, wind: {WORK}/w.nc}}
zones: {{file: {WORK}/z.geojson, id: id}}
""")
run("run", WORK / "job.yaml", "--stage", "soundings-ch4")
soundings("--wind", WORK / "w.nc")
with netCDF4.Dataset(WORK / "out.nc") as a, netCDF4.Dataset(WORK / "job/stages/soundings-ch4.nc") as b:
    for name in ("x", "background", "background_uncertainty", "enhancement"):
        assert np.array_equal(*(np.ma.filled(f[name][:], np.nan) for f in (a, b)), equal_nan=True), name

# Refused: no wind at all, a file without winds, a projected one, times that do not ascend, speeds.
assert "--wind" in soundings(code=3)
assert "background upwind" in run("soundings", WORK / "s.nc", "-o", WORK / "n.nc", "--wind",
                                  WORK / "w.nc", code=2)
assert "nowhere.nc" in soundings("--wind", WORK / "nowhere.nc", code=3)
winds(WORK / "named.nc", glon, glat, hours, u, v, names=("a", "b"))
winds(WORK / "back.nc", glon, glat, hours[::-1], u, v)
winds(WORK / "fast.nc", glon, glat, hours, u * 100, v)
winds(WORK / "last.nc", glon, glat, hours, u, v, shape=("y", "x", "time"))
for name, text in (("named", "no variables of wind"), ("back", "do not ascend"),
                   ("fast", "not within ±150"), ("last", "not time")):
    message = soundings("--wind", WORK / f"{name}.nc", code=3)
    assert text in message and f"{name}.nc" in message, (name, message)
message = run("run", WORK / "job.yaml", "--set", "soundings[0].background=smooth", code=2)
assert "soundings[0].wind: has no effect without background upwind" in message, message
print("ok")
