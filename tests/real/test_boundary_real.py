"""The background by boundary curtains on real curtains and real particle locations against numpy. The
soundings are made to lie at the receptors. Arguments: binary, data folder, work folder."""
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK = os.path.abspath(sys.argv[1]), os.path.join(sys.argv[2], "data"), sys.argv[3]
FOOT = os.path.join(DATA, "footprints/GOSAT-UK-column_EUROPE_201402.nc")
BOUND = os.path.join(DATA, "inventories/boundary_ch4_EUROPE_201208.nc")
OTHER = os.path.join(DATA, "footprints/TAC-185magl_UKV_EUROPE_TEST_201405.nc")
if not all(map(os.path.exists, (FOOT, BOUND, OTHER))):
    print("no real file")
    sys.exit(77)
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
os.chdir(WORK)

with netCDF4.Dataset(FOOT) as f:
    when = netCDF4.num2date(f["time"][:], f["time"].units, only_use_cftime_datetimes=False,
                            only_use_python_datetimes=True)
    seconds = np.array([(t - type(t)(1970, 1, 1)).total_seconds() for t in when])
    lat, lon = f["release_lat"][:].filled(), f["release_lon"][:].filled()
    levels = int(f.max_level)
    share = {s: np.ma.filled(f["particle_locations_" + s][:], 0).astype("f8") for s in "nesw"}
    axes = {"n": f["lon"][:], "s": f["lon"][:], "e": f["lat"][:], "w": f["lat"][:]}
with netCDF4.Dataset(BOUND) as f:
    for s in "nesw":
        axis = f["lon" if s in "ns" else "lat"][:]
        assert np.allclose(axis, axes[s], atol=1e-3)  # so no interpolation is needed to compare
    vmr = {s: f["vmr_" + s][:, :, 0].filled() for s in "nesw"}

n, K = len(lat), 20
p = np.linspace(1, 1000, K)
w = np.full(K, 1 / 19.0)
w[0] = w[-1] = 0.5 / 19
ak, prior = np.linspace(0.7, 1.1, K), np.linspace(395, 400, K)
with netCDF4.Dataset("granule.nc4", "w") as f:
    f.Platform = "GOSAT"
    f.createDimension("sounding_id", n + 1)
    f.createDimension("levels", K)
    put = {"latitude": np.append(lat, -40), "longitude": np.append(lon, 100),
           "xco2": np.full(n + 1, 398.0), "xco2_uncertainty": np.full(n + 1, 0.7),
           "xco2_apriori": np.full(n + 1, np.sum(w * prior))}
    for name, v in put.items():
        f.createVariable(name, "f8", ("sounding_id",))[:] = v
        f[name].units = "ppm" if "xco2" in name else "degrees"
    f.createVariable("time", "f8", ("sounding_id",))[:] = np.append(seconds, seconds[-1]) + 60
    f["time"].units = "seconds since 1970-01-01 00:00:00"
    f.createVariable("sounding_id", "u8", ("sounding_id",))[:] = np.arange(n + 1)
    f.createVariable("xco2_quality_flag", "i1", ("sounding_id",))[:] = 0
    for name, v, unit in (("pressure_levels", p, "hPa"), ("pressure_weight", w, "1"),
                          ("xco2_averaging_kernel", ak, "1"), ("co2_profile_apriori", prior, "ppm")):
        f.createVariable(name, "f8", ("sounding_id", "levels"))[:] = np.tile(v, (n + 1, 1))
        f[name].units = unit


def run(*args, code=0):
    done = subprocess.run([BINARY, "soundings", "granule.nc4", "--gas", "co2", "-o", "out.nc",
                           "--progress=none", *args], capture_output=True, text=True)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done


run("--background", "boundary", "--boundary", BOUND, "--footprints", FOOT, "--boundary-error", "2")
with netCDF4.Dataset("out.nc") as f:
    ids = f["sounding_id"][:].astype(int)
    got = {k: np.ma.filled(f[k][:], np.nan)[np.argsort(ids)] for k in ("background", "background_uncertainty")}
for i in range(n):
    total = sum(share[s][:, :, i].sum() for s in "nesw")
    b = sum((share[s][:, :, i] * vmr[s]).sum() for s in "nesw") / total
    var = sum((share[s][:, :, i] * (vmr[s] - b) ** 2).sum() for s in "nesw") / total
    sigma = np.sqrt(var * max(0, 1 - total) ** 2 + 2e-6**2)
    surface_up = slice(0, levels)  # the file's arrays start at the top
    a, c, h = ak[::-1][surface_up], prior[::-1][surface_up] * 1e-6, w[::-1][surface_up]
    want = np.sum(w * prior) * 1e-6 + np.sum(h * a * (b - c))
    assert abs(got["background"][i] * 1e-6 / want - 1) < 1e-9, (i, got["background"][i], want * 1e6)
    assert abs(got["background_uncertainty"][i] * 1e-6 / (np.sum(h * a) * sigma) - 1) < 1e-6
    assert 0.9 < total < 1
assert np.isnan(got["background"][n])  # no receptor near: no background
run("--background", "boundary", code=2)
run("--boundary", BOUND, code=2)
done = run("--background", "boundary", "--boundary", BOUND, "--footprints", OTHER)
assert f"{n + 1} of {n + 1} good soundings: no background" in done.stderr, done.stderr

# The same in a job: its soundings are those of the command.
day = when[0].strftime("%Y-%m-%d")
assert all(t.strftime("%Y-%m") == day[:7] for t in when), day
with open("job.yaml", "w") as f:
    f.write(f"""
job: {{name: curtains, output: job}}
period: {{start: {day[:7]}-01, end: {day[:7]}-28}}
grid: {{box: [-12, 49, 4, 61], cell: 1 degree}}
soundings:
  - files: [granule.nc4]
    gases: [co2]
    background: boundary
    boundary: {BOUND}
    boundary_footprints: [{FOOT}]
    boundary_error: 2 ppm
zones: {{file: z.geojson, id: id}}
""")
with open("z.geojson", "w") as f:
    f.write('{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"id":"a"},'
            '"geometry":{"type":"Polygon","coordinates":[[[-8,51],[2,51],[2,59],[-8,59],[-8,51]]]}}]}')
done = subprocess.run([BINARY, "run", "job.yaml", "--stage", "soundings-co2", "--progress=none"],
                      capture_output=True, text=True)
assert done.returncode == 0, done.stderr
assert "background: boundary" in done.stderr, done.stderr
run("--background", "boundary", "--boundary", BOUND, "--footprints", FOOT, "--boundary-error", "2",
    "--box=-12,49,4,61")
seen = 0
with netCDF4.Dataset("out.nc") as a, netCDF4.Dataset("job/stages/soundings-co2.nc") as b:
    assert a.processing == b.processing
    for k in ("sounding_id", "x", "background", "background_uncertainty", "enhancement"):
        u, v = (np.ma.filled(f[k][:].astype("f8"), np.nan) for f in (a, b))
        assert np.array_equal(u, v, equal_nan=True), k
        seen = max(seen, int(np.isfinite(u).sum()))
assert seen > 0
print(f"{seen} soundings of the job have the background of the command")
print("ok")
