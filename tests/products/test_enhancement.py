"""Enhancement rasters: `skyflux info` against GDAL, numpy and the ideal gas law. Arguments: binary, data
folder, work folder."""
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from osgeo import gdal

BINARY, _, WORK = sys.argv[1:4]
gdal.UseExceptions()


def run(*args, code=0):
    done = subprocess.run([BINARY, *args], capture_output=True, text=True)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done


def info(path, *options):
    return json.loads(run("info", "--json", path, *options).stdout)


def areas(ds):
    """Cells of a longitude-latitude raster on WGS 84, m2, top first: numerical integration of the
    radii of curvature (Gauss-Legendre), not a closed form."""
    x0, dx, _, y0, _, dy = ds.GetGeoTransform()
    a, e2 = 6378137.0, 2 / 298.257223563 - 1 / 298.257223563 ** 2
    node, weight = np.polynomial.legendre.leggauss(8)
    mid = np.radians(y0 + dy * (np.arange(ds.RasterYSize) + 0.5))
    half = abs(np.radians(dy)) / 2
    s = np.sin(mid[:, None] + half * node)
    metre2 = a * a * (1 - e2) * np.sqrt(1 - s * s) / (1 - e2 * s * s) ** 2
    return (metre2 * weight).sum(1) * half * np.radians(dx)


def mass(path, pressure=101325.0, temperature=273.15, per_ppm_m=None):
    ds = gdal.Open(path)
    x = ds.ReadAsArray().astype("f8")
    x[x == -9999] = np.nan
    per = per_ppm_m or 1e-6 * pressure / (8.314462618 * temperature) * 16.0425e-3
    return x, np.nansum(x * areas(ds)[:, None]) * per


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    path = {}
    for name in ("emit-ch4enh", "emit-ch4plm", "carbonmapper-plume"):
        path[name] = os.path.join(WORK, name + ".tif")
        run("synth", "product", name, "-o", path[name])
    for name, layer in (("emit-ch4enh", "vertical_column_enhancement"),
                        ("emit-ch4plm", "methane_plume_complex")):
        told, (x, kg) = info(path[name]), mass(path[name])
        assert told["product"] == "enhancement" and told["layer"] == layer and told["units"] == "ppm m"
        assert told["gas"] == "ch4" and told["valid"] == np.isfinite(x).sum() < x.size
        assert told["negative"] == (x < 0).sum() > 0  # noise is kept, nodata is not
        assert abs(told["mass_kg"] / kg - 1) < 1e-9, (told, kg)
        assert abs(told["mol_m2_per_unit"] * 0.01604246 - 7.16e-7) < 1e-9
        left, bottom, right, top = told["bbox"]
        ds = gdal.Open(path[name])
        x0, dx, _, y0, _, dy = ds.GetGeoTransform()
        assert np.allclose([left, top, right, bottom],
                           [x0, y0, x0 + dx * ds.RasterXSize, y0 + dy * ds.RasterYSize], atol=1e-12)
    # Without a unit it is a raster, until the unit is told; the name tells the gas.
    plume = path["carbonmapper-plume"]
    assert info(plume)["product"] == "raster"
    told, (x, kg) = info(plume, "--unit", "ppm m", "--gas", "ch4"), mass(plume)
    assert told["product"] == "enhancement" and abs(told["mass_kg"] / kg - 1) < 1e-9
    assert abs(info(plume, "--unit", "ppm-m", "--gas", "ch4")["mass_kg"] / kg - 1) < 1e-9
    assert abs(info(plume, "--unit", "ppb m", "--gas", "ch4")["mass_kg"] / kg - 1e-3) < 1e-12
    grams = mass(plume, per_ppm_m=1e-3)[1]
    assert abs(info(plume, "--unit", "g m-2", "--gas", "ch4")["mass_kg"] / grams - 1) < 1e-9
    named = os.path.join(WORK, "tan_l3a-vis-CH4-mfa.tif")
    shutil.copy(plume, named)
    assert info(named, "--unit", "ppm m")["gas"] == "ch4"
    unknown = os.path.join(WORK, "x.tif")
    shutil.copy(plume, unknown)
    told = info(unknown, "--unit", "ppm m")
    assert told["gas"] == "unknown" and "mass_kg" not in told
    text = os.path.join(WORK, "text.tif")
    with open(text, "w") as f:
        f.write("no raster")
    for args, code, words in (((plume, "--unit", "ppb"), 3, "'ppb' is no column amount"),
                              ((plume, "--unit", "ppm m", "--gas", "sf6"), 2, "sf6"),
                              ((unknown, "--unit", "kg m-2"), 3, "needs the gas"),
                              ((text,), 3, "nor a raster")):
        done = run("info", *args, code=code)
        assert words in done.stderr, done.stderr


main()
