"""The area tensor of `sink`: three dates, climate and soil maps on other grids, against numpy; the
same bytes for any threads, tiles and shards; the errors that users make.

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import math
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
NX, NY, CELL, WEST, NORTH = 560, 420, 0.001, 110.0, 30.5
CODES = {1: 1, 2: 2, 3: 7, 4: 11}
SETS = {1: "ipcc-subtropical-humid", 2: "ipcc-tropical-dry"}
SOILS = {5: "HAC", 6: "LAC", 7: ""}
GRASS = [f"ipcc_defaults:grassland total biomass|{z}:IPCC 2006 V4 Ch.6 Table 6.4"
         for z in ("warm temperate wet", "tropical dry")]


def raster(name, values, cell, nodata=255):
    path = WORK / name
    data = gdal.GetDriverByName("GTiff").Create(str(path), values.shape[1], values.shape[0], 1,
                                                gdal.GDT_Byte, ["TILED=YES", "COMPRESS=DEFLATE"])
    data.SetGeoTransform((WEST, cell, 0, NORTH, 0, -cell))
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(4326)
    data.SetProjection(srs.ExportToWkt())
    if nodata is not None:
        data.GetRasterBand(1).SetNoDataValue(nodata)
    data.GetRasterBand(1).WriteArray(values.astype(np.uint8))
    return str(path)


def zones(name, boxes):
    features = [{"type": "Feature", "properties": {"code": code}, "geometry": {
        "type": "Polygon", "coordinates": [[[WEST + x0 * CELL, NORTH - y1 * CELL],
                                            [WEST + x1 * CELL, NORTH - y1 * CELL],
                                            [WEST + x1 * CELL, NORTH - y0 * CELL],
                                            [WEST + x0 * CELL, NORTH - y0 * CELL],
                                            [WEST + x0 * CELL, NORTH - y1 * CELL]]]}}
                for code, (x0, y0, x1, y1) in boxes.items()]
    (WORK / name).write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(WORK / name)


def call(*args, code=0):
    r = subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


def row_areas():
    """m2 of a cell of each row on the ellipsoid, in closed form."""
    e2 = 0.0066943799901413165
    e, b2 = math.sqrt(e2), 6378137.0 ** 2 * (1 - e2)
    s = np.sin(np.radians(NORTH - np.arange(NY + 1) * CELL))
    q = 0.5 * b2 * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
    return (q[:-1] - q[1:]) * math.radians(CELL)


def table(path):
    lines = [x for x in pathlib.Path(path).read_text().splitlines() if not x.startswith("#")]
    return list(csv.DictReader(lines))


def close(a, b, tolerance, what):
    assert abs(a - b) <= tolerance * max(abs(b), 1e-6), (what, a, b)


def check_sample(files, zfile, legend, allow, classed, cell, box):
    """Olofsson et al. (2014): a sample with a known rule of confusion gives back the true areas."""
    sample, out = WORK / "sample.csv", WORK / "sample_out.csv"
    numbers = sorted(CODES.values())
    # Of mapped i -> j (i != j), one in four is true; the others are stable i. Stable ones are true.
    lines = ["map_1,map_2,true_1,true_2,units"]
    for i in numbers:
        for j in numbers:
            lines += [f"{i},{j},{i},{j},{40 if i == j else 10}"]
            lines += [f"{i},{j},{i},{i},30"] if i != j else []
    sample.write_text("\n".join(lines) + "\n")
    base = ["sink", *files[:2], zfile, "--id", "code", "--years", "2000,2010", "--legend", legend, *allow,
            "--factors", SETS[1], "--soil", "HAC", "-o", out]
    call(*base, "--reference", sample)
    rows = {(r["zone_id"], r["class_name"]): r for r in table(out)}
    x0, y0, x1, y1 = box
    i, j = (c[y0:y1, x0:x1] for c in classed[:2])
    a = cell[y0:y1, x0:x1]
    stock = np.zeros(12)
    stock[[1, 2, 3]], stock[7] = 64, 64 * 0.69
    both = (stock[i] > 0) & (stock[j] > 0)
    mapped = ((stock[j] - stock[i]) * a)[both].sum() * 10 / 20
    close(float(rows["a", "all"]["soil_t_c"]), mapped / 4, 1e-9, "sample")
    kept = (a * (i == 1)).sum()
    gone, came = (a * ((i == 1) & (j != 1))).sum(), (a * ((i != 1) & (j == 1))).sum()
    close(float(rows["a", "forest"]["area_2_ha"]), kept + (came - gone) / 4, 1e-9, "sample")
    assert "area estimate" in rows["a", "forest"]["stock_label"]
    assert "map difference" not in rows["a", "forest"]["stock_label"]
    call(*base)
    plain = {(r["zone_id"], r["class_name"]): r for r in table(out)}
    assert "map difference" in plain["a", "forest"]["stock_label"]
    sample.write_text("\n".join(lines[:2]) + "\n")
    assert "the reference sample has 0 units where the maps go from" in call(
        *base, "--reference", sample, code=3)
    sample.write_text(lines[0] + "\n1,12,1,1,4\n")
    assert "map_2 '12' is not a class" in call(*base, "--reference", sample, code=3)
    assert "no --accuracy" in call(*base, "--reference", sample, "--accuracy", "0.9", code=2)


def check_persistence(files, zfile, legend, allow, classed, cell, box):
    """A class that is back at the next date never left."""
    areas = WORK / "persistent.csv"
    base = ["sink", *files, zfile, "--id", "code", "--years", "2000,2010,2015", "--legend", legend,
            *allow, "--factors", SETS[1], "--areas", areas]
    call(*base, "--persistence")
    x0, y0, x1, y1 = box
    a, b, c = (m[y0:y1, x0:x1] for m in classed)
    good, w = (a > 0) & (b > 0) & (c > 0), cell[y0:y1, x0:x1]
    back = good & (a == c) & (a != b)
    assert back.sum() > 100
    want = w[good & (a == 1) & ((b == 1) & (c == 1) | back)].sum()
    got = [float(r["area_ha"]) for r in table(areas) if r["zone_id"] == "a" and
           (r["class_2000"], r["class_2010"], r["class_2015"]) == ("1", "1", "1")]
    close(sum(got), want, 1e-9, "persistence")


def check_rasters(base, classed, big, cell, rows, boxes):
    """Rasters add up to the rows of their zones; nodata is where a date has no class."""
    call(*base, "--rasters", WORK / "r", "--threads", 1)
    names = ("stock", "stock_change", "removal")
    first = {n: (WORK / f"r_{n}.tif").read_bytes() for n in names}
    call(*base, "--rasters", WORK / "r", "--threads", 5, "--tile", 256)
    assert first == {n: (WORK / f"r_{n}.tif").read_bytes() for n in names}
    value = {n: gdal.Open(str(WORK / f"r_{n}.tif")).ReadAsArray() for n in names}
    valid = (classed[1] > 0) & (classed[2] > 0)
    for v in value.values():
        assert (np.isfinite(v) == valid).all()
    # Removal of the last period by hand: subtropical 1.0 (old) and 2.5 t d.m. (new), times R and CF.
    sub = (big[0] == 1) & valid & (classed[2] == 1)
    want = np.where(classed[1] == 1, 1.246 * 0.47, 2.5 * 1.246 * 0.47)
    assert np.allclose(value["removal"][sub], want[sub], rtol=1e-6)
    assert (value["removal"][valid & (classed[2] == 7)] == 0).all()
    assert (value["stock_change"][valid & (classed[1] == classed[2])] == 0).all()
    # Zone a is of cells with a class at all three dates: those of two count here, too.
    x0, y0, x1, y1 = boxes["a"]
    whole = (np.stack(classed) > 0).all(axis=0)[y0:y1, x0:x1]
    for n, column in (("stock_change", "stock_change_t_c"), ("removal", "removal_t_c_yr")):
        total = (value[n].astype(float) * cell)[y0:y1, x0:x1][whole].sum()
        close(total, float(rows["a", "all", "2010"][column]), 1e-5, n)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    rng = np.random.default_rng(11)
    maps = [rng.choice([1, 2, 3, 4], size=(NY, NX), p=[.5, .1, .3, .1])]
    for _ in range(2):
        new = rng.choice([1, 2, 3, 4], size=(NY, NX))
        maps.append(np.where(rng.random((NY, NX)) < .9, maps[-1], new))
    maps[2][rng.random((NY, NX)) < .02] = 255
    climate = rng.choice([1, 2], size=(NY // 70, NX // 70))
    soil = rng.choice([5, 6, 7], size=(NY // 140, NX // 140))
    files = [raster(f"m{i}.tif", m, CELL) for i, m in enumerate(maps)]
    cfile, sfile = raster("climate.tif", climate, 70 * CELL), raster("soil.tif", soil, 140 * CELL)
    boxes = {"a": (13, 20, 300, 300), "b": (300, 20, 500, 300), "ab": (13, 20, 500, 300),
             "all": (0, 0, NX, NY)}
    zfile = zones("z.geojson", boxes)
    legend, sets, types = WORK / "legend.csv", WORK / "sets.csv", WORK / "types.csv"
    legend.write_text("code,name,class\n" + "".join(f"{c},c{c},{n}\n" for c, n in CODES.items()))
    sets.write_text("code,set\n" + "".join(f"{c},{n}\n" for c, n in SETS.items()))
    types.write_text("code,type\n" + "".join(f"{c},{n}\n" for c, n in SOILS.items()))
    allow = [x for k in GRASS for x in ("--allow-unverified", k)]
    inputs = ["sink", *files, zfile]
    place = ["--climate", cfile, "--climate-sets", sets, "--soil-map", sfile, "--soil-types", types]
    base = [*inputs, "--id", "code", "--years", "2000,2010,2015", "--legend", legend, *place, *allow]

    out, areas = WORK / "out.csv", WORK / "areas.csv"
    call(*base, "--accuracy", "0.9", "-o", out, "--areas", areas)

    # The tensor, cell by cell.
    big = [np.kron(climate, np.ones((70, 70), int)), np.kron(soil, np.ones((140, 140), int))]
    cell = np.repeat(row_areas()[:, None], NX, axis=1) / 1e4
    got = {}
    for r in table(areas):
        key = (r["zone_id"], r["class_2000"], r["class_2010"], r["class_2015"], r["climate"], r["soil"])
        assert key not in got
        got[key] = float(r["area_ha"])
    lookup = np.zeros(256, int)
    for c, n in CODES.items():
        lookup[c] = n
    classed = [lookup[m] for m in maps]
    n = 0
    for name, (x0, y0, x1, y1) in boxes.items():
        part = np.s_[y0:y1, x0:x1]
        stack = np.stack([c[part] for c in classed] + [b[part] for b in big], axis=-1).reshape(-1, 5)
        a = cell[part].ravel()
        good = (stack[:, :3] > 0).all(axis=1)
        kinds, where = np.unique(stack[good], axis=0, return_inverse=True)
        sums = np.bincount(where.ravel(), weights=a[good])
        for kind, area in zip(kinds, sums):
            close(got[(name, *map(str, kind))], area, 1e-9, (name, kind))
            n += 1
        close(got[(name, "", "", "", "", "")], a[~good].sum(), 1e-9, name)
    assert n + len(boxes) == len(got) and n > 500, (n, len(got))

    # Soil carbon of both periods by hand: reference by climate and soil, cropland × land use.
    ref = {(1, 5): 64, (1, 6): 55, (2, 5): 21, (2, 6): 19}
    rows = {(r["zone_id"], r["class_name"], r["year_1"]): r for r in table(out)}
    factors = [x for x in out.read_text().splitlines() if x.startswith("# factor")]
    for (z, s), v in ref.items():
        key = ("W1 warm temperate moist", "T4 tropical dry")[z - 1]
        soil_name = SOILS[s]
        assert any(f"SOC_REF|{key}|{soil_name}:" in x and f"= {v} +-" in x for x in factors), (z, s)
    use = {1: 0.69, 2: 0.92}
    for name, (x0, y0, x1, y1) in boxes.items():
        part = np.s_[y0:y1, x0:x1]
        for k, (y, years) in enumerate((("2000", 10), ("2010", 5))):
            i, j = classed[k][part], classed[k + 1][part]
            whole = (classed[0][part] > 0) & (classed[1][part] > 0) & (classed[2][part] > 0)
            total = 0
            for (z, s), v in ref.items():
                here = whole & (big[0][part] == z) & (big[1][part] == s)
                stock = np.zeros(12)
                stock[[1, 2, 3]], stock[7] = v, v * use[z]
                both = here & (stock[i] > 0) & (stock[j] > 0)
                total += ((stock[j] - stock[i]) * cell[part])[both].sum() * years / 20
            close(float(rows[name, "all", y]["soil_t_c"]), total, 1e-9, (name, y))
    # Neighbours that share their factors add with full correlation, their map errors do not.
    sd = {z: float(rows[z, "all", "2000"]["stock_sd_t_c"]) for z in ("a", "b", "ab")}
    assert math.hypot(sd["a"], sd["b"]) < sd["ab"] < 1.02 * (sd["a"] + sd["b"]), sd
    wide = WORK / "places.csv"
    call(*base, "--accuracy", "0.9", "--places", "1", "-o", wide)
    more = {(r["zone_id"], r["class_name"], r["year_1"]): r for r in table(wide)}
    assert float(more["a", "all", "2000"]["stock_sd_t_c"]) > sd["a"]

    check_sample(files, zfile, legend, allow, classed, cell, boxes["a"])
    check_persistence(files, zfile, legend, allow, classed, cell, boxes["a"])

    check_rasters(base, classed, big, cell, rows, boxes)

    # The same bytes, whatever does the work.
    first = out.read_bytes(), areas.read_bytes()
    for threads, tile in ((1, 256), (2, 512), (5, 1024)):
        call(*base, "--accuracy", "0.9", "-o", out, "--areas", areas, "--threads", threads, "--tile", tile)
        assert (out.read_bytes(), areas.read_bytes()) == first, (threads, tile)
    shards = [WORK / f"part{i}.shard" for i in (1, 2, 3)]
    for i, s in enumerate(shards):
        call(*base, "--accuracy", "0.9", "--shard", f"{i + 1}/3", "-o", s)
    merged = WORK / "merged.csv"
    call("merge", *reversed(shards), "-o", merged)
    assert merged.read_bytes() == first[0]
    assert "2 files are given" in call("merge", *shards[:2], "-o", merged, code=3)
    assert not list(WORK.glob("*.journal"))

    # Errors.
    def fails(code, parts, *args):
        message = call(*args, code=code)
        for p in parts:
            assert p in message, (p, message)

    tail = ["--id", "code", "--years", "2000,2010,2015", "--legend", legend, *allow]
    fails(2, ["3 years for 2 maps"], "sink", *files[:2], zfile, *tail, *place)
    fails(2, ["--climate-sets is missing"], *inputs, *tail, "--climate", cfile, "--factors", SETS[1])
    fails(2, ["--soil-map is missing"], *inputs, *tail, "--factors", SETS[1], "--soil-types", types)
    fails(2, ["either --factors"], *inputs, *tail, *place, "--factors", SETS[1])
    fails(2, ["--places", "'0.5'"], *inputs, *tail, *place, "--places", "0.5")
    fails(2, ["--shard needs -o"], *inputs, *tail, *place, "--shard", "1/2")
    sets.write_text("code,set\n1,ipcc-subtropical-humid\n")
    fails(3, ["sets.csv", "no row for code 2"], *base)
    sets.write_text("code,name\n1,ipcc-subtropical-humid\n")
    fails(3, ["sets.csv", "'set'"], *base)
    return 0


sys.exit(main())
