"""Zones within zones in `skyflux zonal`: county, city, province; sums that close, checks that tell what
does not, trees that are none. Arguments: binary, data folder, work folder, source root."""
import csv
import io
import math
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, ogr, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
ogr.UseExceptions()
STATS = "valid,area,count,sum,integral,mean,stdev,variance,min,max,median,q5,q97.5"


def run(*args, code=0):
    r = subprocess.run([BINARY, "zonal", *map(str, args), "--progress", "none", "-q"],
                       capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    lines = [line for line in r.stdout.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(lines)))), r.stderr


def close(got, want, tolerance, what):
    got = float(got) if got != "" else math.nan
    assert abs(got - want) <= tolerance * max(abs(want), 1e-30), (what, got, want)


def srs_of(epsg):
    s = osr.SpatialReference()
    s.ImportFromEPSG(epsg)
    s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return s


def raster(name, array, transform, epsg, nodata=None):
    path = WORK / name
    kind = gdal.GDT_Byte if array.dtype == np.uint8 else gdal.GDT_Float64
    d = gdal.GetDriverByName("GTiff").Create(str(path), array.shape[1], array.shape[0], 1, kind)
    d.SetGeoTransform(transform)
    d.SetSpatialRef(srs_of(epsg))
    if nodata is not None:
        d.GetRasterBand(1).SetNoDataValue(nodata)
    d.GetRasterBand(1).WriteArray(array)
    return path


def polygon(*parts):
    g = ogr.Geometry(ogr.wkbMultiPolygon)
    for ring in parts:
        p, r = ogr.Geometry(ogr.wkbPolygon), ogr.Geometry(ogr.wkbLinearRing)
        for x, y in list(ring) + [ring[0]]:
            r.AddPoint_2D(float(x), float(y))
        p.AddGeometry(r)
        g.AddGeometry(p)
    return g


def zones(name, rows, epsg):
    """rows: id -> (level, parent, geometry)"""
    path = WORK / name
    d = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = d.CreateLayer("zones", srs_of(epsg), ogr.wkbUnknown)
    for f in ("code", "level", "within"):
        layer.CreateField(ogr.FieldDefn(f, ogr.OFTString))
    for key, (level, parent, g) in rows.items():
        f = ogr.Feature(layer.GetLayerDefn())
        f["code"], f["level"] = key, level
        if parent is not None:
            f["within"] = parent
        if g is not None:
            f.SetGeometry(g)
        layer.CreateFeature(f)
    return path


def counties(rng, x0, y0, sx, sy, n):
    """n × n quadrilaterals that share borders and fill a box."""
    x = x0 + sx * np.tile(np.linspace(0, 1, n + 1), (n + 1, 1))
    y = y0 + sy * np.tile(np.linspace(0, 1, n + 1)[:, None], (1, n + 1))
    x[1:-1, 1:-1] += rng.uniform(-.3, .3, (n - 1, n - 1)) * sx / n
    y[1:-1, 1:-1] += rng.uniform(-.3, .3, (n - 1, n - 1)) * sy / n
    return {(j, i): [(x[j, i], y[j, i]), (x[j, i + 1], y[j, i + 1]), (x[j + 1, i + 1], y[j + 1, i + 1]),
                     (x[j + 1, i], y[j + 1, i])] for j in range(n) for i in range(n)}


GRIDS = {4326: ((112.0, .01, 0, 24.0, 0, -.01), (600, 700), (112.313, 18.717, 6.0, 4.9)),
         32649: ((3e5, 1000.0, 0, 5.5e6, 0, -1000.0), (600, 700), (3.2025e5, 4.9333e6, 6e5, 5.1e5))}


def tree(rng, box, own):
    """36 counties in 9 cities in 3 provinces; the provinces named in `own` have a polygon."""
    rows, shapes = {}, counties(rng, *box, 6)
    for (j, i), ring in shapes.items():
        rows[f"c{j}{i}"] = ("county", f"t{j // 2}{i // 2}", polygon(ring))
    for j in range(3):
        for i in range(3):
            rows[f"t{j}{i}"] = ("city", f"p{j}", None)
        parts = [shapes[k] for k in shapes if k[0] // 2 == j]
        whole = polygon(*parts).UnionCascaded()
        rows[f"p{j}"] = ("province", None, whole if f"p{j}" in own else None)
    return rows, shapes


def test_sums():
    """A parent without a polygon is what one multi-polygon of its children is, in every statistic; a
    parent with one gets the rest, which is nothing where its children fill it."""
    rng = np.random.default_rng(4)
    for epsg, (t, shape, box) in GRIDS.items():
        value = rng.normal(10, 30, shape)
        value[rng.random(shape) < 0.05] = -9999
        v = raster(f"v{epsg}.tif", value, t, epsg, -9999)
        rows, shapes = tree(rng, box, ("p1",))
        same = {k: ("", None, polygon(*[s for (j, i), s in shapes.items()
                                        if k in (f"t{j // 2}{i // 2}", f"p{j // 2}")]))
                for k in rows if k[0] in "tp"}
        z, y = zones(f"tree{epsg}.gpkg", rows, epsg), zones(f"same{epsg}.gpkg", {}, epsg)
        del y
        for weights in ("area", "planar"):
            options = ("--id", "code", "--stats", STATS, "--weights", weights)
            got, log = run(v, z, *options, "--level", "level", "--parent", "within")
            assert "uncovered" not in log, log
            got = {r["zone_id"]: r for r in got}
            assert set(got) == set(rows) and got["t00"]["level"] == "city"
            assert got["c00"]["parent"] == "t00" and got["t00"]["children"] == "4"
            for k, (_, _, g) in same.items():
                # as one zone of its own: neighbours' shared edges are not valid in one geometry
                whole = g.UnionCascaded()
                want, _ = run(v, zones("one.gpkg", {k: ("", None, whole)}, epsg), *options)
                (WORK / "one.gpkg").unlink()
                for c in STATS.replace("area", "area_ha").split(","):
                    scale = abs(value).max() if c in ("mean",) else abs(float(want[0][c]))
                    tolerance = 1e-9 if c not in ("variance", "stdev") else 1e-8
                    if c in ("sum", "integral"):
                        scale *= 100
                    assert abs(float(got[k][c]) - float(want[0][c])) <= tolerance * scale, (k, c)
                close(got[k]["zone_area_ha"], float(want[0]["zone_area_ha"]), 1e-9, k)
            for c in ("count", "area_ha", "sum", "integral"):
                rest = c.replace("area_ha", "area_rest_ha") if c == "area_ha" else c + "_rest"
                scale = sum(abs(float(got[k][c])) for k in rows if k[0] == "c")
                assert abs(float(got["p1"][rest])) < 1e-10 * scale, (c, got["p1"])
                assert got["p0"][rest] == "" == got["c00"][rest]
                leaves = math.fsum(float(got[k][c]) for k in rows if k[0] == "c")
                top = math.fsum(float(got[f"p{j}"][c]) for j in range(3))
                assert abs(leaves - top) < 1e-11 * scale, c
            assert float(got["p1"]["uncovered_ha"]) == 0 == float(got["p1"]["overlap_ha"]) or \
                max(float(got["p1"][c]) for c in ("uncovered_ha", "overlap_ha")) < \
                1e-9 * float(got["p1"]["area_ha"])
            # A province whose cities have no polygon either: children of children.
            assert got["p1"]["children"] == "3" and got["p0"]["uncovered_ha"] == ""
        # The same bytes for any threads and tiles.
        texts = set()
        for threads, tile in ((1, 256), (2, 1024)):
            r = subprocess.run([BINARY, "zonal", v, z, "--id", "code", "--stats", STATS, "--parent",
                                "within", "--threads", str(threads), "--tile", str(tile), "-q"],
                               capture_output=True, check=True)
            texts.add(r.stdout)
        assert len(texts) == 1


def test_classes():
    rng = np.random.default_rng(6)
    for epsg, (t, shape, box) in GRIDS.items():
        a = raster(f"a{epsg}.tif", rng.integers(0, 5, shape).astype(np.uint8), t, epsg, 0)
        b = raster(f"b{epsg}.tif", rng.integers(1, 4, shape).astype(np.uint8), t, epsg)
        rows, _ = tree(rng, box, ("p2",))
        rows.pop("c55")  # a county is missing in p2
        missing = float(run(a, zones(f"miss{epsg}.gpkg", {k: rows[k] for k in rows if k != "c55"},
                                     epsg), "--id", "code", "--stats", "count")[0][0]["count"])
        assert missing > 0
        z = zones(f"classes{epsg}.gpkg", rows, epsg)
        got, log = run(a, b, z, "--id", "code", "--categories", "--parent", "within",
                       "--area-unit", "km2")
        assert "zone 'p2' of" in log and "km2 of it uncovered" in log, log
        key = [f"class_a{epsg}", f"class_b{epsg}"]
        areas = {}
        for r in got:
            areas.setdefault(r["zone_id"], {})[tuple(r[k] for k in key)] = r
        for parent in [k for k in rows if k[0] in "tp"]:
            sums = {}
            for child in [k for k in rows if rows[k][1] == parent]:
                for code, r in areas[child].items():
                    sums[code] = sums.get(code, 0) + float(r["area_km2"])
            for code, r in areas[parent].items():
                rest = float(r["area_km2"]) - sums.get(code, 0)
                if parent == "p2":
                    if code[0] != "":
                        assert abs(rest - float(r["area_rest_km2"])) < 1e-9 * float(r["area_km2"])
                else:
                    assert abs(rest) < 1e-12 * float(r["area_km2"]) and r["area_rest_km2"] == ""
        uncovered = float(areas["p2"]["", ""]["uncovered_km2"])
        missing = sum(float(r["area_rest_km2"]) for c, r in areas["p2"].items() if c[0]) + \
            float(areas["p2"]["", ""]["area_km2"]) - \
            sum(float(areas[f"t2{i}"]["", ""]["area_km2"]) for i in range(3))
        close(uncovered, missing, 1e-9, "p2")
        assert float(areas["p2"]["", ""]["overlap_km2"]) < 1e-9 * uncovered


def test_closing():
    """Gaps and overlaps of known size: boxes along the cells."""
    t = (0, .5, 0, 10, 0, -.5)
    v = raster("boxes.tif", np.ones((20, 20)), t, 4326)

    def box(w, s, e, n):
        return polygon([(w, s), (e, s), (e, n), (w, n)])
    rows = {"whole": ("province", None, box(0, 0, 6, 2)),
            "a": ("county", "whole", box(0, 0, 2.5, 2)),    # gap of half a degree to the next
            "b": ("county", "whole", box(3, 0, 5, 2)),
            "c": ("county", "whole", box(4.5, 0, 7, 2)),    # overlaps b by 0.5 and leaves by 1
            "empty": ("county", "whole", None),
            "alone": ("enterprise", None, box(8, 8, 9, 9))}
    got, log = run(v, zones("closing.gpkg", rows, 4326), "--id", "code", "--parent", "within",
                   "--stats", "count,area,mean")
    got = {r["zone_id"]: r for r in got}
    strip = float(got["whole"]["zone_area_ha"]) / 6
    close(got["whole"]["uncovered_ha"], 0.5 * strip, 1e-12, "gap")
    close(got["whole"]["overlap_ha"], 1.5 * strip, 1e-12, "overlap")
    close(got["whole"]["count_rest"], 48 - 20 - 16 - 20, 1e-12, "rest")
    close(got["whole"]["area_rest_ha"], -strip, 1e-12, "rest")
    assert got["whole"]["children"] == "4" and got["empty"]["reason"] == "no geometry"
    assert got["alone"]["uncovered_ha"] == "" and got["alone"]["parent"] == ""
    assert "zone 'whole' of" in log and "of it uncovered" in log, log


def test_refusals():
    t = (0, .5, 0, 10, 0, -.5)
    v = raster("small.tif", np.ones((20, 20)), t, 4326)
    g = polygon([(1, 1), (2, 1), (2, 2)])
    options = ("--id", "code", "--parent", "within")
    _, log = run(v, zones("r1.gpkg", {"a": ("", "x", g)}, 4326), *options, code=3)
    assert "r1.gpkg: zone 'a': its parent 'x' is no zone" in log, log
    _, log = run(v, zones("r2.gpkg", {"a": ("", "b", g), "b": ("", "c", None), "c": ("", "a", None)},
                          4326), *options, code=3)
    assert "is its own ancestor" in log, log
    _, log = run(v, zones("r3.gpkg", {"a": ("", "a", g)}, 4326), *options, code=3)
    assert "zone 'a' is its own ancestor (parent 'a')" in log, log
    _, log = run(v, WORK / "r1.gpkg", "--id", "code", "--parent", "up", code=3)
    assert "no attribute 'up' (there are: code, level, within)" in log, log
    _, log = run(v, WORK / "r1.gpkg", "--id", "code", "--area-unit", "acres", code=2)
    assert "'acres' is not one of ha, km2, m2" in log, log


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    test_sums()
    test_classes()
    test_closing()
    test_refusals()
    return 0


sys.exit(main())
