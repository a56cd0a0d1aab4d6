"""skyflux soundings as a stream: hundreds of granules in constant memory, the same bytes for any
threads, order and shards, duplicates, selections, folders, and what the standard asks for.
Arguments: binary, data folder, work folder."""
import json
import os
import resource
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, WORK = os.path.abspath(sys.argv[1]), sys.argv[3]
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
os.chdir(WORK)


def run(*args, code=0):
    done = subprocess.run([BINARY, *args], capture_output=True, text=True)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done


def soundings(*args, code=0):
    return run("soundings", *args, "--progress=none", code=code)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def variable(path, name):
    with netCDF4.Dataset(path) as f:
        return np.ma.filled(np.ma.asarray(f[name][:]).astype("f8"), np.nan)


LEVELS = 20


def lite(path, day, n=24, shift=0.0, version="B1", bad=(), seed=None):
    """A Lite granule of n soundings along a track; the same day has the same places."""
    rng = np.random.default_rng(day if seed is None else seed)
    k = np.arange(n)
    with netCDF4.Dataset(path, "w") as f:
        f.Platform, f.BuildId = "GOSAT", version
        f.createDimension("sounding_id", n)
        f.createDimension("levels", LEVELS)
        put = {"latitude": -40 + 80 * k / n, "longitude": 100 + 2 * np.sin(k),
               "xco2": 400 + shift + rng.normal(0, 0.6, n), "xco2_uncertainty": np.full(n, 0.7),
               "xco2_apriori": np.full(n, 398.0)}
        for name, v in put.items():
            f.createVariable(name, "f4" if "xco2" in name else "f8", ("sounding_id",))[:] = v
            f[name].units = "ppm" if "xco2" in name else "degrees"
            f[name].missing_value = np.float32(-999999)
        f.createVariable("time", "f8", ("sounding_id",))[:] = 86400.0 * day + 40000 + 20 * k
        f["time"].units = "seconds since 1970-01-01 00:00:00"
        f.createVariable("sounding_id", "u8", ("sounding_id",))[:] = day * 1000 + k
        f.createVariable("xco2_quality_flag", "i1", ("sounding_id",))[:] = np.isin(k, bad)
        p = np.linspace(0.1, 1000, LEVELS)
        w = np.full(LEVELS, 1 / 19.0)
        w[0] = w[-1] = 0.5 / 19
        for name, v, unit in (("pressure_levels", p, "hPa"), ("pressure_weight", w, "1"),
                              ("xco2_averaging_kernel", np.linspace(0.6, 1, LEVELS), "1"),
                              ("co2_profile_apriori", np.full(LEVELS, 398.0), "ppm")):
            f.createVariable(name, "f4", ("sounding_id", "levels"))[:] = np.tile(v, (n, 1))
            f[name].units = unit


# --- many granules ---
DAYS = 120
os.mkdir("many")
for day in range(DAYS):
    lite(f"many/acos_LtCO2_{day:04d}.nc4", 15000 + day, bad=(3,) if day % 2 else ())
few = [f"many/acos_LtCO2_{day:04d}.nc4" for day in range(12)]


def peak(*args):
    """Largest memory of the program and its workers, KiB."""
    code = ("import resource,subprocess,sys; r=subprocess.run(sys.argv[1:],capture_output=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(r.returncode)")
    done = subprocess.run([sys.executable, "-c", code, BINARY, "soundings", *args],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


small = peak(*few, "-o", "few.nc", "--threads", "2")
large = peak("many", "-o", "many.nc", "--threads", "2")
sanitized = "sanitizer" in subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout
if not sanitized:  # which keeps freed memory
    assert large < 1.15 * small + 4000, (small, large)
    assert large < 300 * 1024
assert len(variable("many.nc", "x")) == DAYS * 24 - DAYS // 2
time = variable("many.nc", "time")
assert (np.diff(time) > 0).all() and np.array_equal(variable("many.nc", "overpass"),
                                                    variable("many.nc", "granule_index"))
assert not [name for name in os.listdir(".") if name.startswith(".part")]

# --- the same bytes ---
os.mkdir("some")
for name in sorted(os.listdir("many"))[:9]:
    shutil.copy(os.path.join("many", name), "some")
soundings("some", "-o", "some.nc", "--threads", "2")
soundings("some", "-o", "one.nc", "--threads", "1")
assert read("one.nc") == read("some.nc")
files = sorted(os.path.join("some", name) for name in os.listdir("some"))
soundings(*files[::-1], "-o", "reversed.nc")
assert read("reversed.nc") == read("some.nc")
for i in (1, 2, 3):
    soundings("some", "-o", f"shard{i}.nc", "--shard", f"{i}/3")
assert len(variable("shard2.nc", "x")) == 3 * 24  # what a later joining has to know
soundings("shard3.nc", "shard1.nc", "shard2.nc", "-o", "joined.nc")
assert read("joined.nc") == read("some.nc")
kept = soundings("some", "-o", "kept.nc", "--keep-dropped")
soundings("shard3.nc", "shard1.nc", "shard2.nc", "-o", "joined.nc", "--keep-dropped")
assert read("joined.nc") == read("kept.nc")
run("soundings", "some", "-o", "x.nc", "--shard", "4/3", code=2)

# --- selections of a harmonised file are those of the granules ---
for args in (["--box=99,-10,101,10"], ["--start", "2011-01-29", "--end", "2011-02-03"],
             ["--quality-range", "0,0"]):
    soundings("some", "-o", "a.nc", *args)
    soundings("kept.nc", "-o", "b.nc", *args)
    assert read("a.nc") == read("b.nc"), args
with open("zones.geojson", "w") as f:
    ring = [[[99, -20], [104, -20], [104, 20], [99, 20], [99, -20]]]
    far = [[[0, 0], [1, 0], [1, 1], [0, 0]]]
    json.dump({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"id": k}, "geometry": {"type": "Polygon", "coordinates": r}}
        for k, r in (("a", ring), ("b", far))]}, f)
soundings("some", "-o", "zone.nc", "--zones", "zones.geojson", "--id", "id", "--zone", "a")
lat, lon = variable("some.nc", "latitude"), variable("some.nc", "longitude")
inside = (np.abs(lat) <= 20) & (lon >= 99) & (lon <= 104)
assert np.array_equal(variable("zone.nc", "latitude"), lat[inside])
assert json.loads(read("zone.conformance.json"))["products"][0]["dropped"]["box"] > 0
soundings("some", "-o", "none.nc", "--zones", "zones.geojson", "--id", "id", "--zone", "b", code=4)
assert not os.path.exists("none.nc") and not os.path.exists("none.conformance.json")
run("soundings", "some", "-o", "x.nc", "--zones", "zones.geojson", "--id", "id", "--zone", "c", code=2)

# --- duplicates: the newer version wins, whatever the order, and its bad quality counts ---
lite("v9.nc4", 20000, version="B9213")
lite("v10.nc4", 20000, version="B10000", shift=5.0, bad=(2, 7))
for files in (["v9.nc4", "v10.nc4"], ["v10.nc4", "v9.nc4"]):
    done = soundings(*files, "-o", "two.nc", "--keep-dropped", "--json")
    dropped = json.loads(done.stdout)["dropped"]
    assert dropped == {"quality": 2, "duplicate": 24}, dropped
    x, drop = variable("two.nc", "x"), variable("two.nc", "drop_reason")
    assert len(x) == 48 and (x[drop == 0] > 402).all() and (x[drop == 9] < 403).all()
assert json.loads(soundings("v9.nc4", "v10.nc4", "-o", "all.nc", "--clean", "none",
                            "--json").stdout)["good"] == 46
for i in (1, 2):  # found between shards, too
    soundings("v9.nc4", "v10.nc4", "-o", f"d{i}.nc", "--shard", f"{i}/2")
soundings("d1.nc", "d2.nc", "-o", "d.nc", "--keep-dropped")
assert read("d.nc") == read("two.nc")

# --- a folder of anything ---
os.mkdir("mixed")
shutil.copy("v10.nc4", "mixed")
open("mixed/notes.txt", "w").write("nothing")
open("mixed/broken.nc4", "wb").write(read("v9.nc4")[:3000])
shutil.copy(files[0], "mixed/again.nc4")
with netCDF4.Dataset("mixed/other.nc", "w") as f:
    f.createDimension("x", 2)
done = soundings("mixed", "-o", "mixed.nc", "--json", code=5)
report = json.loads(done.stdout)
assert sorted(os.path.basename(f["file"]) for f in report["passed_over"]) == ["notes.txt", "other.nc"], report
assert [os.path.basename(f["file"]) for f in report["failed"]] == ["broken.nc4"], report
assert report["dropped"]["duplicate"] == 22 and report["good"] == 22, report

# --- figures ---
figures = {f["name"]: f for f in json.loads(read("mixed.conformance.json"))["figures"]}
assert (figures["ingestion_success"]["numerator"], figures["ingestion_success"]["denominator"]) == (2, 3)
assert figures["ingestion_success"]["pass"] is False
assert figures["anomaly_detection"]["pass"] is None  # not all of it was asked for
for f in figures.values():
    assert f["denominator"] == 0 or f["value"] == f["numerator"] / f["denominator"], f
soundings("some", "-o", "clean.nc", "--clean", "standard")
figures = {f["name"]: f for f in json.loads(read("clean.conformance.json"))["figures"]}
assert figures["accuracy_of_output"]["numerator"] == len(variable("clean.nc", "x"))
run("soundings", "some", "-o", "x.nc", "--clean", "polish", code=2)

# --- background ---
soundings("some", "-o", "bg.nc", "--background", "percentile:0.25")
x, b, e = (variable("bg.nc", v) for v in ("x", "background", "enhancement"))
assert np.array_equal(e, x - b) and (variable("bg.nc", "background_uncertainty") > 0).all()
granule = variable("bg.nc", "granule_index")
assert np.allclose(b[granule == 7], np.quantile(x[granule == 7], 0.25), rtol=1e-12)
for i in (1, 2):
    soundings("some", "-o", f"b{i}.nc", "--background", "percentile:0.25", "--shard", f"{i}/2")
soundings("b1.nc", "b2.nc", "-o", "joined.nc", "--background", "percentile:0.25")
assert read("joined.nc") == read("bg.nc")
soundings(*few, "-o", "x.nc", "--background", "upwind", code=3)  # no wind in the product
soundings(*few, "-o", "x.nc", "--background", "percentile:2", code=2)

# --- CF: every variable says what it is ---
from cftime import num2date  # noqa: F401  (the units of time are CF's)

with netCDF4.Dataset("bg.nc") as f:
    assert f.Conventions == "CF-1.11, ACDD-1.3" and f.dimensions["sounding"].isunlimited()
    for name in ("title", "source", "history"):
        assert getattr(f, name)
    for name, v in f.variables.items():
        assert v.long_name, name
        flags = [a for a in v.ncattrs() if a.startswith("flag_")]
        if flags:
            words = v.flag_meanings.split()
            assert len(words) == np.size(v.flag_values), name
            assert np.asarray(v.flag_values).dtype == v.dtype, name
        if v.dtype == np.float64 and not name.endswith("_bounds"):
            assert v.units, name
        if "coordinates" in v.ncattrs():
            for c in v.coordinates.split():
                assert set(f[c].dimensions) <= set(v.dimensions), (name, c)
        if "bounds" in v.ncattrs():
            assert f[v.bounds].dimensions[:-1] == v.dimensions, name
        if "_FillValue" in v.ncattrs():
            assert np.asarray(v._FillValue).dtype == v.dtype, name
    assert f["time"].calendar == "standard" and num2date(f["time"][0], f["time"].units).year == 2011
    assert f["latitude"].standard_name == "latitude" and f["latitude"].units == "degrees_north"
    assert f["x"].standard_name == "dry_atmosphere_mole_fraction_of_carbon_dioxide"
print("ok")
