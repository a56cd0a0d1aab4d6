"""What users get wrong most often about maps and coordinate systems: each is an error with its file, what is
wrong and what to do, and an exit code; nothing is written. And what looks alike but is right.

Arguments: binary, data folder, work folder, source root."""
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
CODES = [[10, 50], [50, 190]]
DEGREES, METRES = (110, 0.1, 0, 31, 0, -0.1), (500000, 1000, 0, 3400000, 0, -1000)
FORMAT, EMPTY, USAGE = 3, 4, 2


def raster(name, values=CODES, at=DEGREES, crs="EPSG:4326", nodata=0, kind=gdal.GDT_Byte, bands=1, colors=False):
    values = np.asarray(values)
    data = gdal.GetDriverByName("GTiff").Create(str(WORK / name), values.shape[1], values.shape[0], bands, kind)
    data.SetGeoTransform(at)
    if crs:
        srs = osr.SpatialReference()
        srs.SetFromUserInput(crs)
        data.SetProjection(srs.ExportToWkt())
    for b in range(1, bands + 1):
        band = data.GetRasterBand(b)
        if nodata is not None:
            band.SetNoDataValue(nodata)
        if colors:
            table = gdal.ColorTable()
            for code in (10, 50, 190):
                table.SetColorEntry(code, (code, 255 - code, 0))
            band.SetColorTable(table)
        band.WriteArray(values)
    return name


def zones(name, box, crs=None):
    w, s, e, n = box
    root = {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"code": "z"}, "geometry": {
        "type": "Polygon", "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]]}}]}
    if crs:
        root["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs}"}}
    (WORK / name).write_text(json.dumps(root))
    return name


def call(*args):
    return subprocess.run([BINARY, "sink", *args, "--id", "code", "-o", "out.csv"], cwd=WORK, capture_output=True,
                          text=True)


SET = ["--legend", "esa-cci", "--factors", "ipcc-subtropical-humid", "--years", "2000,2010"]


def fails(code, parts, first, second, zone="z.geojson", options=SET):
    r = call(first, second, zone, *options)
    assert r.returncode == code, (first, second, zone, r.returncode, r.stderr)
    for part in parts:
        assert part in r.stderr, (part, r.stderr)
    assert r.stderr.rstrip()[-1] != "." and not r.stdout, r.stderr
    assert not [p for p in WORK.iterdir() if p.name.startswith("out") or ".part" in p.name]


def area(first, second, zone="z.geojson"):
    r = call(first, second, zone, *SET)
    assert r.returncode == 0, r.stderr
    lines = [x for x in (WORK / "out.csv").read_text().splitlines() if not x.startswith("#")]
    row = [dict(zip(lines[0].split(","), x.split(","))) for x in lines[1:]]
    (WORK / "out.csv").unlink()
    return sum(float(x["area_1_ha"]) for x in row if x["class_name"] == "all")


shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
raster("good.tif")
zones("z.geojson", (110, 30.8, 110.2, 31))

# 1. Wrong crs: metres said to be degrees, degrees said to be metres, latitude first.
raster("metres.tif", at=METRES)
fails(FORMAT, ["metres.tif", "500000", "latitudes must lie in -90..90"], "metres.tif", "metres.tif")
raster("tagged.tif", crs="EPSG:32649")
fails(EMPTY, ["no zone lies in the maps", "span 110 to 110.2, 30.8 to 31 in EPSG:32649", "zone 'z' has a corner at",
              "the crs of the maps or of the zones is wrong"], "tagged.tif", "tagged.tif")
raster("swapped.tif", at=(31, 0.1, 0, 110, 0, -0.1))
fails(FORMAT, ["swapped.tif", "latitudes must lie in -90..90"], "swapped.tif", "swapped.tif")
# 2. No crs.
raster("bare.tif", crs=None)
fails(FORMAT, ["bare.tif: the raster states no crs", "gdal_edit.py -a_srs"], "bare.tif", "bare.tif")
# 3. The dates are on different grids: another crs, another cell, half a cell off, one line fewer.
raster("utm.tif", at=METRES, crs="EPSG:32649")
raster("fine.tif", values=np.full((4, 4), 10), at=(110, 0.05, 0, 31, 0, -0.05))
raster("half.tif", at=(110.05, 0.1, 0, 31, 0, -0.1))
raster("line.tif", values=[[10, 50]])
for name, words in (("utm.tif", "crs 'EPSG:4326' and 'EPSG:32649'"), ("fine.tif", "2 x 2 and 4 x 4"),
                    ("half.tif", "half.tif"), ("line.tif", "2 x 2 and 2 x 1")):
    fails(FORMAT, [f"good.tif and {name} are on different grids", words], "good.tif", name)
# 4. A class without a row; the background of a file that states no nodata.
raster("code.tif", values=[[10, 63], [50, 190]])
fails(FORMAT, ["code.tif: class 63 has no row in legend esa-cci"], "good.tif", "code.tif")
raster("zero.tif", values=[[10, 1], [50, 190]], nodata=None)
fails(FORMAT, ["zero.tif: no nodata value", "zero.tif: class 1 has no row"], "good.tif", "zero.tif")
# 5. No map of classes: a measured quantity, a picture, a vector file.
raster("float.tif", values=[[10, 50.25], [50, 190]], kind=gdal.GDT_Float32)
fails(FORMAT, ["float.tif: line 0, column 1: value 50.25 is not a class (a whole number)"], "good.tif", "float.tif")
raster("picture.tif", bands=3)
fails(FORMAT, ["picture.tif: 3 bands, a map of classes has 1", "gdal_translate -b"], "good.tif", "picture.tif")
fails(FORMAT, ["z.geojson: not a raster"], "z.geojson", "good.tif")
fails(FORMAT, ["good.tif: not a vector file"], "good.tif", "good.tif", "good.tif")
# 6. Zones of another place, in metres without a crs; a rotated map; dates in the wrong order.
zones("far.geojson", (10, 40, 11, 41))
fails(EMPTY, ["no zone lies in the maps", "zone 'z' has a corner at 10, 40"], "good.tif", "good.tif", "far.geojson")
zones("m.geojson", (500000, 3400000, 510000, 3410000))
fails(FORMAT, ["m.geojson: feature 'z'", "500000, 3400000 is not a longitude and latitude"], "good.tif", "good.tif",
      "m.geojson")
raster("turned.tif", at=(110, 0.1, 0.02, 31, 0.02, -0.1))
fails(FORMAT, ["turned.tif: the raster is rotated or mirrored", "gdalwarp"], "turned.tif", "turned.tif")
fails(USAGE, ["--years: '2010,2000'", "ascending order"], "good.tif", "good.tif",
      options=[*SET[:-1], "2010,2000"])

# Right, whatever it looks like: colours beside the codes; zones in another crs; a south-up file. A map in degrees
# has its true area (InVEST: 0): 0.2 degree squared at 30.9 N, on the ellipsoid.
e2 = 0.0066943799901413165
e = np.sqrt(e2)
s = np.sin(np.radians([30.8, 31]))
q = 0.5 * 6378137.0**2 * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
true = (q[1] - q[0]) * np.radians(0.2) / 1e4
raster("colors.tif", colors=True)
assert abs(area("colors.tif", "good.tif") / true - 1) < 1e-9
raster("south.tif", values=CODES[::-1], at=(110, 0.1, 0, 30.8, 0, 0.1))
assert abs(area("south.tif", "good.tif") / true - 1) < 1e-9
zones("utm.geojson", (390000, 3400000, 440000, 3440000), 32649)
assert abs(area("good.tif", "good.tif", "utm.geojson") / true - 1) < 1e-9  # the zone holds the whole map
