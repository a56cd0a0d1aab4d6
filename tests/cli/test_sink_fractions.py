"""Class fractions as input of `sink`, against numpy: the tensor, its nodata, the rule's limits (pure
pixels are a class map), and what a user gets wrong.

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
GRASS = ["--allow-unverified",
         "ipcc_defaults:grassland total biomass|warm temperate wet:IPCC 2006 V4 Ch.6 Table 6.4"]
CLASSES, N = (1, 3, 7), 600
CEA = "+proj=cea +lat_ts=0 +lon_0=0 +datum=WGS84 +units=m +no_defs"


def raster(name, bands, kind=gdal.GDT_Float32, nodata=-1):
    data = gdal.GetDriverByName("GTiff").Create(str(WORK / name), bands[0].shape[1], bands[0].shape[0],
                                                len(bands), kind)
    srs = osr.SpatialReference()
    srs.SetFromUserInput(CEA)
    data.SetGeoTransform((0, 100, 0, 100 * bands[0].shape[0], 0, -100))
    data.SetProjection(srs.ExportToWkt())
    for k, values in enumerate(bands):
        if nodata is not None:
            data.GetRasterBand(k + 1).SetNoDataValue(nodata)
        data.GetRasterBand(k + 1).WriteArray(values)
    return WORK / name


def zones(name, boxes):
    from osgeo import ogr
    srs = osr.SpatialReference()
    srs.SetFromUserInput(CEA)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(WORK / name))
    layer = source.CreateLayer("zones", srs, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    for code, (w, s, e, n) in boxes.items():
        feature = ogr.Feature(layer.GetLayerDefn())
        feature["code"] = code
        feature.SetGeometry(ogr.CreateGeometryFromWkt(
            f"POLYGON(({w} {s},{e} {s},{e} {n},{w} {n},{w} {s}))"))
        layer.CreateFeature(feature)
    return WORK / name


def table(name, rows):
    with open(WORK / name, "w", newline="") as f:
        csv.writer(f).writerows(rows)
    return WORK / name


def run(*args, code=0):
    r = subprocess.run([BINARY, "sink", *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


def read(path):
    return list(csv.DictReader(x for x in open(path) if not x.startswith("#")))


def transitions(before, after):
    """The rule, written once more: stay what can, share out the rest."""
    f = np.concatenate([before, 1 - before.sum(0, keepdims=True)])
    g = np.concatenate([after, 1 - after.sum(0, keepdims=True)])
    stay = np.minimum(f, g)
    lost, gained = f - stay, g - stay
    total = gained.sum(0)
    t = lost[:, None] * gained[None] / np.where(total > 1e-15, total, 1)
    for k in range(len(f)):
        t[k, k] = stay[k]
    return t


def check_tensor():
    rng = np.random.default_rng(5)
    share = rng.dirichlet((2, 1, 1, 0.5), size=(2, N, N)).transpose(0, 3, 1, 2)[:, :3]
    share[1] = 0.7 * share[0] + 0.3 * share[1]
    share = share.astype(np.float32).astype(float)
    hole = rng.random((N, N)) < 0.05
    first = raster("f0.tif", [np.where(hole, -1, 100 * share[0, k]) for k in range(3)], gdal.GDT_Float64)
    rows = [["year", "class", "file", "band", "unit"]]
    rows += [[2000, CLASSES[k], "f0.tif", k + 1, "percent"] for k in range(3)]
    for k in range(3):
        raster(f"g{CLASSES[k]}.tif", [share[1, k]])
        rows.append([2010, CLASSES[k], f"g{CLASSES[k]}.tif", "", ""])
    where = zones("z.gpkg", {"a": (0, 0, 25000, 60000), "b": (25000, 0, 60000, 60000),
                             "cut": (150.5, 1000, 9930, 20020)})
    manifest = table("fractions.csv", rows)
    args = [where, "--id", "code", "--fractions", manifest, "--factors", "ipcc-subtropical-humid", "--soil",
            "HAC", *GRASS]
    out = WORK / "out.csv"
    run(*args, "-o", out, "--areas", WORK / "areas.csv", "--threads", 1)
    share[:, :, hole] = 0
    t = transitions(share[0], share[1])[:, :, ::-1]  # rows from the south
    t[:, :, hole[::-1]] = 0
    t[3, 3][hole[::-1]] = 1
    got = {}
    for r in read(WORK / "areas.csv"):
        key = (r["zone_id"], int(r["class_2000"] or 0), int(r["class_2010"] or 0))
        got[key] = float(r["area_ha"])
    x, y = np.arange(N) * 100.0, np.arange(N) * 100.0

    def cover(edge, low, high):
        return np.clip(np.minimum(edge + 100, high) - np.maximum(edge, low), 0, 100) / 100

    for zone, (w, s, e, n) in {"a": (0, 0, 25000, 60000), "b": (25000, 0, 60000, 60000),
                               "cut": (150.5, 1000, 9930, 20020)}.items():
        weight = np.outer(cover(y, s, n), cover(x, w, e))  # ha: pixels of one hectare
        for i in range(3):
            for j in range(3):
                want = (t[i, j] * weight).sum()
                have = got[zone, CLASSES[i], CLASSES[j]]
                assert abs(have - want) <= 3e-9 * want, (zone, i, j, have, want)
        nodata = weight.sum() - sum((t[i, j] * weight).sum() for i in range(3) for j in range(3))
        assert abs(got[zone, 0, 0] - nodata) <= 1e-8 * nodata, (zone, got[zone, 0, 0], nodata)
    row = next(r for r in read(out) if r["zone_id"] == "a" and r["class_name"] == "all")
    assert row["stock_label"].startswith("least change that fits the class fractions"), row
    for k, how in enumerate((["--threads", 2], ["--threads", 5, "--tile", 256], ["--tile", 512])):
        run(*args, "-o", WORK / f"o{k}.csv", *how)
        assert (WORK / f"o{k}.csv").read_bytes() == out.read_bytes(), how
    for i in (1, 2, 3):
        run(*args, "-o", WORK / f"s{i}.shard", "--shard", f"{i}/3")
    r = subprocess.run([BINARY, "merge", *(str(WORK / f"s{i}.shard") for i in (1, 2, 3)), "-o",
                        str(WORK / "merged.csv")], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    assert (WORK / "merged.csv").read_bytes() == out.read_bytes()
    print("tensor, nodata, threads, tiles and shards agree")


def check_pure_pixels():
    """Fractions of 0 and 1 are a class map: the same rows."""
    rng = np.random.default_rng(6)
    first, second = (rng.choice((1, 7, 3), size=(50, 60)) for _ in range(2))
    maps = [raster(f"m{k}.tif", [v], gdal.GDT_Byte, 255) for k, v in enumerate((first, second))]
    rows = [["year", "class", "file"]]
    for year, v in ((2000, first), (2010, second)):
        for c in CLASSES:
            raster(f"p{year}{c}.tif", [(v == c).astype(np.uint8)], gdal.GDT_Byte, 255)
            rows.append([year, c, f"p{year}{c}.tif"])
    where = zones("p.gpkg", {"z": (120, 130, 5555, 4444)})
    legend = table("l.csv", [["code", "name", "class"]] + [[c, f"c{c}", c] for c in CLASSES])
    both = ["--id", "code", "--factors", "ipcc-subtropical-humid", *GRASS, "--json"]
    a = json.loads(run(*maps, where, *both, "--years", "2000,2010", "--legend", legend))["rows"]
    b = json.loads(run(where, *both, "--fractions", table("pure.csv", rows)))["rows"]
    assert len(a) == len(b) == 4
    for x, y in zip(a, b):
        assert x["class_name"] == y["class_name"]
        for name, v in x.items():
            if isinstance(v, float):
                assert abs(v - y[name]) <= 1e-12 * max(abs(v), 1), (name, v, y[name])
    print("pure pixels are a class map")


def fails(code, parts, *args):
    message = run(*args, code=code)
    for part in parts:
        assert part in message, (part, message)


def check_errors():
    half = np.full((4, 4), 0.5)
    raster("half.tif", [half])
    much = half.copy()
    much[1, 2] = 0.6
    raster("much.tif", [much])
    raster("percent.tif", [100 * half])
    where = zones("e.gpkg", {"z": (0, 0, 400, 400)})
    base = [where, "--id", "code", "--factors", "ipcc-subtropical-humid", "--fractions"]
    good = [["year", "class", "file"], [2000, 1, "half.tif"], [2000, 7, "half.tif"], [2010, 1, "half.tif"],
            [2010, 7, "half.tif"]]
    run(*base, table("good.csv", good))
    bad = [row[:] for row in good]
    bad[4][2] = "much.tif"
    fails(3, ["pixel (2, 1)", "the shares of 2010 sum to 1.1"], *base, table("bad.csv", bad))
    bad[4][2] = "percent.tif"
    fails(3, ["percent.tif: pixel (0, 3) has a share of 50 of class 7", "unit"], *base, table("bad.csv", bad))
    fails(3, ["class 7 (cropland) has no map of 2010"], *base, table("bad.csv", good[:-1]))
    fails(3, ["bad.csv:6: class 7 of 2010 occurs twice"], *base, table("bad.csv", good + [good[-1]]))
    fails(3, ["bad.csv:4", "two years in all"], *base, table("bad.csv", good + [[2015, 1, "half.tif"]]))
    fails(3, ["bad.csv", "no column 'file'"], *base, table("bad.csv", [["year", "class"], [2000, 1]]))
    unit = [["year", "class", "file", "unit"]] + [row + ["%"] for row in good[1:]]
    fails(3, ["bad.csv:2: unit '%' is not one of 1, percent"], *base, table("bad.csv", unit))
    fails(2, ["--accuracy does not go with --fractions"], *base, WORK / "good.csv", "--accuracy", "0.9")
    fails(2, ["a file of zones alone, got 2 files"], WORK / "half.tif", *base, WORK / "good.csv")
    print("errors name file, line and pixel")


WORK.mkdir(parents=True, exist_ok=True)
for old in WORK.iterdir():
    old.unlink()
check_tensor()
check_pure_pixels()
check_errors()
