"""Classes of coarser cells in another system, at the centres of the target's: MODIS's sinusoidal grid over the whole
Earth and past its edge, against the inverse of the projection written out. Cells whose centre lies beyond the edge
of the Earth are nodata: the projection's formula runs on there, and would hand out classes of the far side.

Arguments: binary, data folder, work folder, source root."""
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
R, CELL, NX, NY = 6371007.181, 1e5, 420, 220
SINUSOIDAL = f"+proj=sinu +R={R} +units=m"


def raster(name, values, at, crs):
    data = gdal.GetDriverByName("GTiff").Create(str(WORK / name), values.shape[1], values.shape[0], 1, gdal.GDT_Byte)
    srs = osr.SpatialReference()
    srs.SetFromUserInput(crs)
    data.SetGeoTransform(at)
    data.SetProjection(srs.ExportToWkt())
    data.GetRasterBand(1).SetNoDataValue(0)
    data.GetRasterBand(1).WriteArray(values)



shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
degrees = np.random.default_rng(1).integers(1, 9, (180, 360)).astype(np.uint8)
raster("degrees.tif", degrees, (-180, 1, 0, 90, 0, -1), "EPSG:4326")
raster("like.tif", np.ones((NY, NX), np.uint8), (-NX / 2 * CELL, CELL, 0, NY / 2 * CELL, 0, -CELL), SINUSOIDAL)
r = subprocess.run([BINARY, "regrid", "degrees.tif", "--like", "like.tif", "--kind", "class", "-o", "out.tif",
                    "--progress=none"], cwd=WORK, capture_output=True, text=True)
assert r.returncode == 0, r.stderr
data = gdal.Open(str(WORK / "out.tif"))
got, nodata = data.ReadAsArray().astype(int), data.GetRasterBand(1).GetNoDataValue()

x = (np.arange(NX) + 0.5 - NX / 2) * CELL
y = (NY / 2 - np.arange(NY) - 0.5) * CELL
phi = (y / R)[:, None]
on_earth = np.abs(phi) < np.pi / 2
lam = x[None, :] / (R * np.where(on_earth, np.cos(phi), 1))
on_earth = on_earth & (np.abs(lam) < np.pi)
assert 0.5 < on_earth.mean() < 0.7
assert (got[~on_earth] == nodata).all(), (got[~on_earth] != nodata).sum()
row = np.floor(90 - np.degrees(phi)).astype(int).clip(0, 179)
column = np.floor(np.degrees(lam) + 180).astype(int).clip(0, 359)
want = degrees[row, column].astype(int)
edge = np.abs(np.degrees(phi) - np.round(np.degrees(phi))) < 1e-6  # on a line between two rows: either
assert (got == want)[on_earth & ~edge].all(), (got != want)[on_earth & ~edge].sum()
