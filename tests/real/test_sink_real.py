"""Two real land-cover maps (ESA CCI codes, Lambert cylindrical equal area) against numpy.

Zones are aligned with the pixels, so an independent cross-tabulation gives the areas exactly; one
triangle is checked by the sum with its complement. Arguments: binary, data folder, work folder,
source root."""
import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, ogr, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
DATA = pathlib.Path(sys.argv[2]) / "data" / "landcover"
MAPS = [DATA / f"motif_landcover{y}.tif" for y in (2001, 2015)]
gdal.UseExceptions()
TOLERANCE = 2e-9  # PROJ 9.1 inverts the authalic latitude by a series that is good to 1e-9
POOLS = {  # t C/ha above, below, soil
    10: (5, 1, 40), 11: (4, 1, 41), 12: (21, 6, 50), 20: (5, 1, 45), 30: (9, 3, 48),
    40: (20, 6, 52), 50: (140, 33, 70), 62: (90, 20, 60), 80: (80, 18, 58), 100: (60, 15, 62),
    110: (25, 8, 55), 120: (18, 9, 50), 122: (17, 8, 50), 130: (4, 6, 58), 150: (1, 1, 20),
    160: (120, 30, 150), 170: (86, 40, 280), 180: (8, 5, 120), 190: (2, 1, 30), 210: (0, 0, 0)}


def crosswalk():
    rows = csv.DictReader(open(pathlib.Path(sys.argv[4]) / "ancillary" / "legend_crosswalk.csv",
                               encoding="utf-8"))
    return {int(r["code"]): int(r["tci231_class"]) for r in rows
            if r["product"].startswith("ESA CCI")}


def zones(path, transform, srs, boxes):
    """Boxes of pixels (x0, y0, x1, y1), one of them cut along its diagonal."""
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("zones", srs, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    for name, (x0, y0, x1, y1) in boxes.items():
        corner = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        parts = {name: corner}
        if name == "b":
            parts = {"b": corner, "b-1": corner[:3], "b-2": [corner[0], corner[2], corner[3]]}
        for part, points in parts.items():
            ring = ogr.Geometry(ogr.wkbLinearRing)
            for x, y in points + points[:1]:
                ring.AddPoint_2D(transform[0] + x * transform[1], transform[3] + y * transform[5])
            polygon = ogr.Geometry(ogr.wkbPolygon)
            polygon.AddGeometry(ring)
            feature = ogr.Feature(layer.GetLayerDefn())
            feature["code"] = part
            feature.SetGeometry(polygon)
            layer.CreateFeature(feature)


def run(*extra, code=0):
    r = subprocess.run([BINARY, "sink", *map(str, MAPS), str(WORK / "zones.gpkg"), "--id", "code",
                        "--years", "2001,2015", "--progress", "none", *map(str, extra)],
                       capture_output=True, text=True)
    assert r.returncode == code, (extra, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


def close(a, b, tolerance, what):
    assert abs(a - b) <= tolerance * max(abs(b), 1), (what, a, b)


def check_carbon_tables():
    """The pools of a public sample: all of its codes, and a code that it lacks."""
    path = DATA.parent / "carbon_tables" / "carbon_pools_willamette.csv"
    if not path.is_file():
        return
    pools = {int(r["lucode"]): sum(float(r[c]) for c in ("C_above", "C_below", "C_soil", "C_dead"))
             for r in csv.DictReader(open(path, encoding="utf-8-sig"))}
    codes = sorted(pools)
    grid = gdal.Open(str(MAPS[0]))
    for k, values in enumerate((codes, codes[1:] + codes[:1])):
        out = gdal.GetDriverByName("GTiff").Create(str(WORK / f"w{k}.tif"), len(codes), 1, 1, gdal.GDT_Byte)
        out.SetGeoTransform(grid.GetGeoTransform())
        out.SetProjection(grid.GetProjection())
        out.GetRasterBand(1).WriteArray(np.array([values], np.uint8))
    out = None
    (WORK / "codes.csv").write_text("code,name,class\n" + "".join(f"{c},c{c},11\n" for c in codes))
    one = WORK / "w.gpkg"
    one.unlink(missing_ok=True)
    zones(one, grid.GetGeoTransform(), grid.GetSpatialRef(), {"a": (0, 0, len(codes) // 2, 1)})
    command = [BINARY, "sink", str(WORK / "w0.tif"), str(WORK / "w1.tif"), str(one), "--id", "code",
               "--years", "2001,2015", "--legend", str(WORK / "codes.csv"), "--json", "--pools"]
    r = subprocess.run(command + [str(path)], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    row = next(x for x in json.loads(r.stdout)["rows"] if x["class"] is None)
    want = (pools[codes[len(codes) // 2]] - pools[codes[0]]) * 9.0  # a chain of codes
    close(row["stock_change_t_c"], want, 1e-7, "willamette")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    (WORK / "short.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    r = subprocess.run(command + [str(WORK / "short.csv")], capture_output=True, text=True)
    assert r.returncode == 3 and f"no pool row for code {codes[0]}" in r.stderr, r.stderr


def main():
    if not all(p.is_file() for p in MAPS):
        print("skipped: no", MAPS[0])
        return 77
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    data = gdal.Open(str(MAPS[0]))
    boxes = {"a": (2000, 1000, 2400, 1300), "b": (2400, 1000, 2700, 1300), "c": (1900, 1310, 2000, 1400)}
    zones(WORK / "zones.gpkg", data.GetGeoTransform(), data.GetSpatialRef(), boxes)
    first, second = (gdal.Open(str(p)).ReadAsArray().astype(int) for p in MAPS)
    pixel = 300.0 * 300.0 / 1e4  # ha: the projection keeps areas

    # Areas of the 11 classes.
    allow = ["--allow-unverified", "ipcc_defaults:grassland total biomass|tropical moist & wet:"
             "IPCC 2006 V4 Ch.6 Table 6.4"]
    common = ["--legend", "esa-cci", "--factors", "ipcc-tropical-rainforest", *allow]
    out = json.loads(run(*common, "--soil", "LAC", "--accuracy", "0.85", "--json"))
    rows = {(r["zone_id"], r["class_name"]): r for r in out["rows"]}
    to_class = crosswalk()
    lookup = np.zeros(256, int)
    for c, n in to_class.items():
        lookup[c] = n
    changes = 0
    for name, (x0, y0, x1, y1) in boxes.items():
        a, b = lookup[first[y0:y1, x0:x1]], lookup[second[y0:y1, x0:x1]]
        assert (a > 0).all() and (b > 0).all()
        for n in sorted(set(a.flat) | set(b.flat)):
            row = next(r for r in out["rows"] if r["zone_id"] == name and r["class"] == n)
            close(row["area_1_ha"], (a == n).sum() * pixel, TOLERANCE, (name, n))
            close(row["area_2_ha"], (b == n).sum() * pixel, TOLERANCE, (name, n))
        changes += (a != b).sum()
        close(rows[name, "all"]["area_1_ha"], a.size * pixel, TOLERANCE, name)
        # Soil between the classes that have it (1, 2, 3, 7), by hand: 52 t/ha, cropland × 0.83.
        soil = np.array([0, 52, 52, 52, 0, 0, 0, 52 * 0.83, 0, 0, 0, 0])
        both = (soil[a] > 0) & (soil[b] > 0)
        close(rows[name, "all"]["soil_t_c"], ((soil[b] - soil[a]) * both).sum() * pixel * 14 / 20,
              TOLERANCE, name)
        # Growth: 2.7 (stays) and 3.4 (new) t d.m. of forest, 9.9 of mangrove.
        dm = np.where(b == 1, np.where(a == 1, 2.7, 3.4) * 1.212 * 0.47,
                      np.where(b == 8, 9.9 * 1.49 * 0.451, 0))
        close(rows[name, "all"]["removal_t_c_yr"], dm.sum() * pixel, TOLERANCE, name)
        close(rows[name, "all"]["uptake_flux_t_co2_yr"], -dm.sum() * pixel * 44 / 12, TOLERANCE, name)
    assert changes > 500, changes
    for key in ("area_1_ha", "stock_change_t_c", "removal_t_c_yr"):
        close(rows["b-1", "all"][key] + rows["b-2", "all"][key], rows["b", "all"][key], 1e-10, key)

    # A pool table of our own, by map code.
    with open(WORK / "pools.csv", "w") as f:
        f.write("code,above,below,soil\n")
        f.writelines(f"{c},{x},{y},{z}\n" for c, (x, y, z) in POOLS.items())
    own = json.loads(run("--legend", "esa-cci", "--pools", WORK / "pools.csv", "--json"))
    density = np.full(256, np.nan)
    for c, v in POOLS.items():
        density[c] = sum(v)
    for name, (x0, y0, x1, y1) in boxes.items():
        change = density[second[y0:y1, x0:x1]] - density[first[y0:y1, x0:x1]]
        row = next(r for r in own["rows"] if r["zone_id"] == name and r["class"] is None)
        close(row["stock_change_t_c"], change.sum() * pixel, TOLERANCE, name)
        assert abs(change.sum()) > 0

    # A class without a pool row is an error that names it.
    (WORK / "short.csv").write_text("code,above\n10,5\n")
    error = run("--legend", "esa-cci", "--pools", WORK / "short.csv", code=3)
    assert "no pool row for code" in error and "short.csv" in error, error

    check_carbon_tables()

    # Same bytes for any number of threads.
    texts = []
    for threads in (1, 2, 5):
        path = WORK / f"out-{threads}.csv"
        run(*common, "--accuracy", "0.85", "--threads", threads, "-o", path)
        texts.append(path.read_bytes())
    assert texts[0] == texts[1] == texts[2]
    body = [line for line in texts[0].decode().splitlines() if not line.startswith("#")]
    table = list(csv.DictReader(body))
    assert {r["zone_id"] for r in table} == {"a", "b", "b-1", "b-2", "c"}
    one = next(r for r in table if r["zone_id"] == "a" and r["class_name"] == "forest")
    close(float(one["area_2_ha"]), rows["a", "forest"]["area_2_ha"], 1e-12, "csv")
    assert one["uptake_label"] == "gross growth" and "map difference" in one["stock_label"]
    return 0


if __name__ == "__main__":
    sys.exit(main())
