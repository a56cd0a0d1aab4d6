"""Known defects of public tools that need rasters and the command, one case each, named after their
row in the list (the others: tests/unit/test_sink_defects.c).

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import pathlib
import re
import resource
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr

BINARY, WORK, SOURCE = sys.argv[1], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
gdal.UseExceptions()
CEA = "+proj=cea +lat_ts=0 +lon_0=0 +datum=WGS84 +units=m +no_defs"


def raster(name, values, transform, crs, nodata=255):
    values = np.asarray(values, np.uint8)
    data = gdal.GetDriverByName("GTiff").Create(str(WORK / name), values.shape[1], values.shape[0], 1,
                                                gdal.GDT_Byte)
    srs = osr.SpatialReference()
    srs.SetFromUserInput(crs)
    data.SetGeoTransform(transform)
    data.SetProjection(srs.ExportToWkt())
    data.GetRasterBand(1).SetNoDataValue(nodata)
    data.GetRasterBand(1).WriteArray(values)
    return WORK / name


def zone(name, west, south, east, north):
    path = WORK / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"code": "z"}, "geometry": {"type": "Polygon", "coordinates": [
            [[west, south], [east, south], [east, north], [west, north], [west, south]]]}}]}))
    return path


def table(name, text):
    (WORK / name).write_text(text)
    return WORK / name


def sink(*args):
    r = subprocess.run([BINARY, "sink", *map(str, args), "--json"], capture_output=True, text=True)
    assert r.returncode == 0, (args, r.stderr)
    return {x["class_name"]: x for x in json.loads(r.stdout)["rows"]}


LEGEND = "code,name,class\n1,wood,1\n2,field,7\n"
POOLS = "code,above\n1,10\n2,9\n"
DEGREES = (110, 0.01, 0, 30.02, 0, -0.01)


def row_01_a_change_of_minus_one_counts():
    """Nodata of the change raster is not a value that a change can have."""
    one = raster("r1a.tif", [[1, 1, 255], [1, 2, 2]], DEGREES, "EPSG:4326")
    two = raster("r1b.tif", [[2, 1, 1], [2, 2, 1]], DEGREES, "EPSG:4326")
    box = zone("r1.geojson", 110, 30, 110.03, 30.02)
    rows = sink(one, two, box, "--id", "code", "--years", "2000,2010", "--legend",
                table("l.csv", LEGEND), "--pools", table("p.csv", POOLS), "--rasters", WORK / "r1")
    data = gdal.Open(str(WORK / "r1_stock_change.tif"))
    got, nodata = data.ReadAsArray(), data.GetRasterBand(1).GetNoDataValue()
    assert nodata is not None and np.isnan(nodata), nodata
    np.testing.assert_array_equal(got, np.array([[-1, 0, np.nan], [-1, 0, 1]], np.float32))
    cell = rows["all"]["area_1_ha"] / 5
    change = rows["all"]["stock_change_t_c"]
    assert abs(change - -1 * cell) < 2e-3 * cell, (change, cell)  # two of -1, one of +1
    print("row 1: -1 t/ha on", round(2 * cell, 1), "ha is counted")


def row_02_degrees_are_not_metres():
    """Land cover in degrees has the area of the ellipsoid, not 0.00 t."""
    one = raster("r2a.tif", np.ones((2, 3)), DEGREES, "EPSG:4326")
    two = raster("r2b.tif", np.full((2, 3), 2), DEGREES, "EPSG:4326")
    box = zone("r2.geojson", 110, 30, 110.03, 30.02)
    rows = sink(one, two, box, "--id", "code", "--years", "2000,2010", "--legend",
                table("l.csv", LEGEND), "--pools", table("p.csv", POOLS))
    e2 = 0.0066943799901413165
    e, a = np.sqrt(e2), 6378137.0

    def authalic(lat):
        s = np.sin(np.radians(lat))
        return 0.5 * a * a * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)

    hectares = (authalic(30.02) - authalic(30)) * np.radians(0.03) / 1e4
    assert abs(rows["all"]["area_1_ha"] - hectares) < 1e-9 * hectares
    assert abs(rows["all"]["stock_change_t_c"] + hectares) < 1e-9 * hectares
    print("row 2:", hectares, "ha,", rows["all"]["stock_change_t_c"], "t C")


def row_03_no_pool_rasters():
    """Nothing but what was asked for is on the disk, and a map twice as long needs no more memory."""
    box = zone("r3.geojson", 110, 20, 119, 30.02)
    peak, legend, pools = [], table("l.csv", LEGEND), table("p.csv", POOLS)
    for rows in (2048, 4096):
        rng = np.random.default_rng(rows)
        grid = (110, 0.001, 0, 30, 0, -0.001)
        maps = [raster(f"r3{k}.tif", rng.integers(1, 3, (rows, 4096)), grid, "EPSG:4326") for k in (0, 1)]
        before = {p.name for p in WORK.iterdir()}
        out = WORK / f"r3_{rows}.csv"
        script = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
                  "stdout=subprocess.DEVNULL); "
                  "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        r = subprocess.run([sys.executable, "-c", script, BINARY, "sink", *map(str, maps), str(box), "--id",
                            "code", "--years", "2000,2010", "--legend", str(legend), "--pools", str(pools),
                            "--threads", "2", "-o", str(out)], capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        peak.append(int(r.stdout) / 1024)
        assert {p.name for p in WORK.iterdir()} - before == {out.name}
    print("row 3: peak MB of 2048 and 4096 rows:", [round(p) for p in peak])
    assert peak[1] < 1.25 * peak[0], peak


def row_10_years_are_data():
    """No table of years: any two are a period, and no constant of them is in the code."""
    one = raster("r10a.tif", [[1, 1]], DEGREES, "EPSG:4326")
    two = raster("r10b.tif", [[1, 2]], DEGREES, "EPSG:4326")
    box = zone("r10.geojson", 110, 30.01, 110.02, 30.02)
    found = {}
    for years in ("2001,2011", "2051,2061", "1951,1961"):
        rows = sink(one, two, box, "--id", "code", "--years", years, "--legend", table("l.csv", LEGEND),
                    "--factors", "ipcc-subtropical-humid", "--soil", "HAC")
        found[years] = {k: (v["stock_change_t_c"], v["removal_t_c_yr"]) for k, v in rows.items()}
    assert len({json.dumps(v) for v in found.values()}) == 1, found
    for path in sorted((SOURCE / "algorithms" / "sink").glob("*.[ch]")):
        code = re.sub(r"/\*.*?\*/|\"(?:[^\"\\]|\\.)*\"", "", path.read_text(), flags=re.S)
        assert not re.search(r"\b(19[5-9]\d|20\d\d)\b", code), path
    print("row 10: the same for", ", ".join(found))


def row_11_a_row_can_be_overridden():
    """The key that the table of -o prints is what --override takes; the source becomes the user's."""
    one = raster("r11a.tif", [[1, 1]], DEGREES, "EPSG:4326")
    box = zone("r11.geojson", 110, 30.01, 110.02, 30.02)
    args = [one, one, box, "--id", "code", "--years", "2000,2010", "--legend", table("l.csv", LEGEND),
            "--factors", "ipcc-subtropical-humid"]
    base = sink(*args, "-o", WORK / "r11.csv")["all"]
    lines = (WORK / "r11.csv").read_text().splitlines()
    key = next(re.match(r"# factor (.*) = ", x)[1] for x in lines if "net growth" in x and ">20" in x)
    mine = WORK / "mine.csv"
    with open(mine, "w", newline="") as f:
        csv.writer(f).writerows([["key", "value", "sd", "source"], [key, 2, 0.25, "county inventory 2020"]])
    got = sink(*args, "--override", mine, "-o", WORK / "r11.csv")["all"]
    assert abs(got["removal_t_c_yr"] - 2 * base["removal_t_c_yr"]) < 1e-9 * got["removal_t_c_yr"]
    text = (WORK / "r11.csv").read_text()
    assert f"# factor {key} = 2 +- 0.25 t d.m./ha/yr, from {mine.name}: county inventory 2020\n" in text
    assert "# input mine.csv sha256 " in text, text
    wrong = WORK / "wrong.csv"
    wrong.write_text("key,value,sd,source\nipcc_defaults:growth,2,0,me\n")
    r = subprocess.run([BINARY, "sink", *map(str, args), "--override", str(wrong)], capture_output=True,
                       text=True)
    assert r.returncode == 3 and "wrong.csv:2: 'ipcc_defaults:growth' is no key" in r.stderr, r.stderr
    print("row 11:", key)


WORK.mkdir(parents=True, exist_ok=True)
for old in WORK.iterdir():
    old.unlink()
for name, case in sorted(globals().copy().items()):
    if name.startswith("row_"):
        case()
