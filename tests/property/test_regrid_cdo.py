"""Regridding against cdo remapcon, where both must agree.

cdo weighs with areas on a sphere and draws cell edges as great circles, so a field that varies with
longitude only must agree to rounding, and any field to the difference of the weights.
Arguments: binary, data folder, work folder, source root, show_inventory."""
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

WORK, SHOW = pathlib.Path(sys.argv[3]), sys.argv[5]
BOX, DX, DY = (-9.0, 41.0, 12.0, 68.0), 1.5, 1.35


def write(path, values, lat, lon):
    with Dataset(path, "w") as d:
        for name, v, unit in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            d.createDimension(name, len(v))
            x = d.createVariable(name, "f8", (name,))
            x[:] = v
            x.units = unit
            x.standard_name = {"lat": "latitude", "lon": "longitude"}[name]
        x = d.createVariable("field", "f8", ("lat", "lon"))
        x[:] = values


def ours(path):
    r = subprocess.run([SHOW, "regrid", path, "field", ",".join(map(str, BOX)), str(DX), str(DY)],
                       capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return np.array(json.loads(r.stdout.replace("nan", "NaN"))).reshape(NY, NX)


def cdo(path):
    out = path.with_suffix(".cdo.nc")
    subprocess.run(["cdo", "-s", "-b", "F64", "remapcon,grid.txt", path.name, out.name], check=True,
                   cwd=WORK, capture_output=True)  # an operator's argument may hold no blank
    with Dataset(out) as d:
        return np.ma.filled(d["field"][:].astype(float), np.nan)


NX, NY = round((BOX[2] - BOX[0]) / DX), round((BOX[3] - BOX[1]) / DY)


def main():
    if shutil.which("cdo") is None:
        print("skipped: no cdo")
        return 77
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "grid.txt").write_text(
        f"gridtype = lonlat\nxsize = {NX}\nysize = {NY}\nxfirst = {BOX[0] + DX / 2}\nxinc = {DX}\n"
        f"yfirst = {BOX[1] + DY / 2}\nyinc = {DY}\n")
    lon, lat = np.arange(-15, 18.1, 0.7), np.arange(36, 73.1, 0.45)
    rng = np.random.default_rng(7)
    wave = np.tile(rng.random(len(lon)), (len(lat), 1))
    field = rng.random((len(lat), len(lon)))
    for name, values, tolerance in (("lon_only", wave, 1e-12), ("any", field, 1e-4)):
        path = WORK / f"{name}.nc"
        write(path, values, lat, lon)
        a, b = ours(path), cdo(path)
        worst = np.abs(a - b).max()
        print(name, worst)
        assert worst <= tolerance, (name, worst)
        assert np.abs(np.roll(a, 1, axis=1) - b).max() > 10 * tolerance  # one column off must fail
    return 0


sys.exit(main())
