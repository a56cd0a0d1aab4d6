"""The demo scene: the real product's structure, deterministic, physical, with errors as stated.

Arguments: skyflux, data folder, work folder, source folder.
"""
import glob
import math
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

SKYFLUX, DATA, WORK = (os.path.abspath(a) for a in sys.argv[1:4])
GRANULES = "S5P_TEST_L2__CH4____*.nc"
FOOTPRINTS = "DEMO-column_PLUME_DEMO_201902.nc"


def synth(*args, cwd=WORK, code=0, **more):
    done = subprocess.run([SKYFLUX, "synth", *args], cwd=cwd, capture_output=True, text=True, **more)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done.stderr


def variables(group, path=""):
    for name, variable in group.variables.items():
        yield path + "/" + name, variable
    for name, child in group.groups.items():
        yield from variables(child, path + "/" + name)


def signature(variable):
    """What a reader meets: type, dimensions, and the attributes that say how to decode it."""
    keep = ("units", "_FillValue", "scale_factor", "add_offset", "valid_min", "valid_max", "standard_name")
    attributes = {k: variable.getncattr(k) for k in keep if k in variable.ncattrs()}
    return str(variable.dtype), variable.dimensions, {k: str(v) for k, v in attributes.items()}


def differences(path, real_path):
    """Variables of path that the real file lacks or declares otherwise."""
    with netCDF4.Dataset(path) as made, netCDF4.Dataset(real_path) as real:
        known = {name: signature(v) for name, v in variables(real)}
        sizes = {k: len(real["PRODUCT"].dimensions[k]) for k in ("time", "corner", "layer", "level")}
        found = [name for name, v in variables(made) if known.get(name) != signature(v)]
        found += [k for k, n in sizes.items() if len(made["PRODUCT"].dimensions[k]) != n]
        return found


def check_structure(scene):
    real = glob.glob(DATA + "/data/tropomi_ch4/*_07293_*.nc4")
    if not real:
        print("skipped: the real granule 07293 is not there")
        return
    granules = sorted(glob.glob(scene + "/" + GRANULES))
    assert len(granules) == 2, granules
    for granule in granules:
        assert differences(granule, real[0]) == []
    # Negative control: one type changed must be seen.
    cdl = subprocess.run(["ncdump", granules[0]], check=True, capture_output=True, text=True).stdout
    wrong = WORK + "/wrong.nc"
    cdl = cdl.replace("float surface_pressure(", "double surface_pressure(").replace(
        "surface_pressure:_FillValue = 9.96921e+36f", "surface_pressure:_FillValue = 9.96921e+36")
    subprocess.run(["ncgen", "-4", "-o", wrong], input=cdl, check=True, text=True)
    assert differences(wrong, real[0]) == ["/PRODUCT/SUPPORT_DATA/INPUT_DATA/surface_pressure"]


def check_bytes(scene):
    files = sorted(os.listdir(scene))
    assert not [f for f in files if f.startswith(".")], files
    assert sum(os.path.getsize(scene + "/" + f) for f in files) < 5e6
    for where, args in (("again", ()), ("other", ("--seed", "2"))):
        os.makedirs(WORK + "/" + where)
        synth("demo", "scene", *args, cwd=WORK + "/" + where)
    for f in files:
        first, again, other = (open(f"{WORK}/{w}scene/{f}", "rb").read() for w in ("", "again/", "other/"))
        assert first == again, f
        if f not in ("demo.yaml", "zones.geojson", "inventory_ch4_demo_2019.nc"):
            assert first != other, f


def column(path, *names):
    with netCDF4.Dataset(path) as f:
        return [np.ma.filled(f[n][:].astype(float), np.nan) for n in names]


def check_orientation(granule):
    """Level 0 is the top; levels and sub-columns agree with the equidistant pressure grid."""
    base = "PRODUCT/SUPPORT_DATA/INPUT_DATA/"
    z, p, dp, dry, prior, ground = column(granule, *(base + n for n in (
        "altitude_levels", "surface_pressure", "pressure_interval", "dry_air_subcolumns",
        "methane_profile_apriori", "surface_altitude")))
    assert (np.diff(z, axis=-1) < 0).all() and np.allclose(z[..., -1], ground, atol=0.01)
    assert np.allclose(p - 12 * dp, 10, atol=0.05)
    assert np.allclose(dry, dp[..., None] / (9.80665 * 0.0289652), rtol=1e-6)
    assert np.allclose(1e9 * prior.sum(-1) / dry.sum(-1), 1880, atol=0.01)


def check_transport(scene):
    """Mass: a uniform flux F over the upwind fetch L gives a column of F L / (U N)."""
    speed, start, lon0, lat0, pressure, lon, lat, fp, *left = column(
        scene + "/" + FOOTPRINTS, "wind_speed", "wind_direction", "release_lon", "release_lat",
        "pressure", "lon", "lat", "fp", *("particle_locations_" + s for s in "nesw"))
    assert fp.shape == (40, 40, len(speed)) and (fp >= 0).all()
    air = (100 * pressure - 10) / (9.80665 * 0.0289652)
    east, north = np.sin(np.radians(start)), np.cos(np.radians(start))
    km = 6371.0088 * math.pi / 180
    # Deep inside: the plume is 30 km or more from the sides that it does not leave through.
    fetch = []
    for r in range(len(speed)):
        x = (117 if east[r] > 0 else 115) - lon0[r]
        y = (41 if north[r] > 0 else 39) - lat0[r]
        x, y = x * km * math.cos(math.radians(40)) / east[r], y * km / north[r]
        fetch.append(min(x, y) * 1e3 if abs(x - y) > 80 and min(x, y) > 60 else np.nan)
    fetch = np.array(fetch)
    ratio = fp.sum((0, 1)) * speed * air / fetch
    inside = np.isfinite(ratio)
    assert inside.sum() >= 10, inside.sum()
    assert abs(np.mean(ratio[inside]) - 1) < 0.03 and np.abs(ratio[inside] - 1).max() < 0.1, ratio[inside]
    total = sum(side.sum((0, 1)) for side in left)
    assert total.max() <= 1 and np.isclose(total.max(), 1 - math.exp(-20 / 8)), total.max()


def check_errors(scene):
    """The granules minus background and transported truth leave the errors that the job states."""
    fp, release, lon0, lat0 = column(scene + "/" + FOOTPRINTS, "fp", "time", "release_lon", "release_lat")
    with netCDF4.Dataset(scene + "/" + FOOTPRINTS) as f:
        release = release + (f["time"].units == "seconds since 2019-01-01 00:00:00") * 1546300800.0
    truth, = column(scene + "/truth_ch4_demo_2019.nc", "flux")
    signal = 1e9 * np.tensordot(truth[..., 0], fp, 2)
    assert signal.max() > 10, signal.max()
    for granule in sorted(glob.glob(scene + "/" + GRANULES)):
        x, qa, lat, lon, day, delta = column(
            granule, *("PRODUCT/" + n for n in ("methane_mixing_ratio_bias_corrected", "qa_value",
                                                "latitude", "longitude", "time", "delta_time")))
        surface, = column(granule, "PRODUCT/SUPPORT_DATA/INPUT_DATA/surface_classification")
        at = 1262304000.0 + day[0] + delta[0][:, None] / 1000 + 0 * lat[0]
        use = (qa[0] >= 0.5) & (surface[0] != 188) & (abs(lat[0] - 40) < 1) & (abs(lon[0] - 116) < 1)
        assert 200 < use.sum() < 650 and (qa[0] == 0).sum() > 50 and np.isclose(qa[0], 0.4).sum() > 5
        assert (surface[0] == 188).sum() > 5 and np.isnan(x[qa == 0]).all()
        groups = {}
        for i in np.argwhere(use):
            i = tuple(i)
            near = np.hypot((lon0 - lon[0][i]) * math.cos(math.radians(40)), lat0 - lat[0][i])
            near[(at[i] < release) | (at[i] >= release + 60)] = np.inf
            assert near.min() < 0.06, (i, near.min())
            groups.setdefault(int(near.argmin()), []).append(x[0][i])
        error = np.array([np.mean(v) - 1880 - signal[r] for r, v in groups.items()])
        sd = np.array([math.sqrt(100 * (0.3 + 0.7 / len(v)) + 9) for v in groups.values()])
        offset = np.sum(error / sd**2) / np.sum(1 / sd**2)
        assert abs(offset) < 60, offset
        chi2, n = np.sum(((error - offset) / sd) ** 2), len(sd) - 1
        assert abs(chi2 - n) < 4 * math.sqrt(2 * n), (chi2, n)
        wrong = np.sum(((error + signal[list(groups)] - offset) / sd) ** 2)
        assert wrong > chi2 + 20, "the transported truth does not show in the soundings"


def check_messages():
    assert "is not a scene" in synth("town", "x", code=2)
    assert "one folder is needed" in synth("demo", code=2)
    assert "--seed: '1x'" in synth("demo", "x", "--seed", "1x", code=2)
    assert "--seed: '-1'" in synth("demo", "x", "--seed=-1", code=2)
    said = synth("demo", "no-ncgen", code=3, env={**os.environ, "PATH": WORK})
    assert "ncgen" in said and "netcdf-bin" in said, said
    left = os.listdir(WORK + "/no-ncgen")
    assert left == [], left
    open(WORK + "/a-file", "w").close()
    synth("demo", "a-file/scene", code=1)


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    scene = WORK + "/scene"
    synth("demo", "scene")
    check_structure(scene)
    check_bytes(scene)
    for granule in glob.glob(scene + "/" + GRANULES):
        check_orientation(granule)
    check_transport(scene)
    check_errors(scene)
    check_messages()


main()
