"""Zones of `skyflux zonal` that are not simply fine: in other coordinate systems, damaged, empty, at
the antimeridian and the poles. Arguments: binary, data folder, work folder, source root."""
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
A, F = 6378137.0, 1 / 298.257223563
E2, B = F * (2 - F), A * (1 - F)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)


def run(*args, code=0):
    r = subprocess.run([BINARY, "zonal", *map(str, args), "--progress", "none", "-q"],
                       capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    lines = [line for line in r.stdout.splitlines() if not line.startswith("#")]
    return {x["zone_id"]: x for x in csv.DictReader(io.StringIO("\n".join(lines)))}, r.stderr


def close(got, want, tolerance, what):
    got = float(got) if got != "" else math.nan
    assert abs(got - want) <= tolerance * max(abs(want), 1e-30), (what, got, want, got / want - 1)


def srs_of(code):
    s = osr.SpatialReference()
    s.SetFromUserInput(code if isinstance(code, str) else f"EPSG:{code}")
    s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return s


def raster(name, array, transform, code, nodata=None):
    path = WORK / name
    d = gdal.GetDriverByName("GTiff").Create(str(path), array.shape[1], array.shape[0], 1,
                                             gdal.GDT_Float64)
    d.SetGeoTransform(transform)
    d.SetSpatialRef(srs_of(code))
    if nodata is not None:
        d.GetRasterBand(1).SetNoDataValue(nodata)
    d.GetRasterBand(1).WriteArray(array)
    return path


def polygon(*rings, closed=True):
    g = ogr.Geometry(ogr.wkbPolygon)
    for ring in rings:
        r = ogr.Geometry(ogr.wkbLinearRing)
        for x, y in list(ring) + [ring[0]] * closed:
            r.AddPoint_2D(float(x), float(y))
        g.AddGeometry(r)
    return g


def multi(*polygons):
    g = ogr.Geometry(ogr.wkbMultiPolygon)
    for p in polygons:
        g.AddGeometry(p)
    return g


def zones(name, shapes, code):
    path = WORK / name
    d = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = d.CreateLayer("zones", srs_of(code), ogr.wkbUnknown)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    for key, g in shapes.items():
        f = ogr.Feature(layer.GetLayerDefn())
        f["code"] = key
        if g is not None:
            f.SetGeometry(g)
        layer.CreateFeature(f)
    return path


def along(ring, n):
    return [(ax + (bx - ax) * k / n, ay + (by - ay) * k / n)
            for (ax, ay), (bx, by) in zip(ring, ring[1:] + ring[:1]) for k in range(n)]


def lonlat_area(ring):
    """∮ λ dZ on the ellipsoid, edges straight in longitude and latitude."""
    p = np.array(ring)
    q = np.roll(p, -1, axis=0)
    t = 0.5 * (NODES + 1)
    x = np.radians(p[:, :1] - p[0, 0] + (q - p)[:, :1] * t)
    phi = np.radians(p[:, 1:] + (q - p)[:, 1:] * t)
    s = np.sin(phi)
    dz = B * B * np.cos(phi) / (1 - E2 * s * s) ** 2 * np.radians(q - p)[:, 1:]
    return abs(math.fsum((0.5 * WEIGHTS * x * dz).sum(axis=1)))


def straight_area(ring, to_lonlat):
    """The same of edges that are straight in a projection: chords, extrapolated."""
    a = [lonlat_area([p[:2] for p in to_lonlat.TransformPoints(along(ring, n))])
         for n in (1000, 2000)]
    return (4 * a[1] - a[0]) / 3


# ---- other coordinate systems ---------------------------------------------------------------------

def test_straight_edges():
    """The area of a zone whose edges are straight in the raster's projection, to 1e-11, whether it
    lies in the raster or beyond."""
    for code, t in ((32632, (500000, 10000, 0, 5700000, 0, -10000)),
                    (3035, (4e6, 1e4, 0, 3.2e6, 0, -1e4)), (3413, (5e4, 1e4, 0, -5e4, 0, -1e4)),
                    ("ESRI:54009", (1e6, 1e4, 0, 4e6, 0, -1e4))):
        to = osr.CoordinateTransformation(srs_of(code), srs_of(4326))
        x, y = t[0], t[3]
        rings = {"in": [(x + 12345, y - 190000), (x + 278910, y - 176543), (x + 134567, y - 12345)],
                 "beyond": [(x + 12345, y - 190000), (x + 578910, y - 176543), (x + 9e4, y + 2e5)],
                 "tiny": [(x + 51234, y - 41234), (x + 51300, y - 41234), (x + 51267, y - 41200)]}
        v = raster("straight.tif", np.ones((20, 30)), t, code)
        rows, _ = run(v, zones("straight.gpkg", {k: polygon(r) for k, r in rings.items()}, code),
                      "--id", "code")
        for k, r in rings.items():
            close(rows[k]["zone_area_ha"], straight_area(r, to) / 1e4, 1e-9 if k == "tiny" else 1e-11, (code, k))
        assert float(rows["in"]["coverage"]) == 1 == float(rows["tiny"]["coverage"])
        assert 0.2 < float(rows["beyond"]["coverage"]) < 0.9
    # A square around the pole: four times the triangle from the pole to one of its sides.
    to = osr.CoordinateTransformation(srs_of(3413), srs_of(4326))
    v = raster("pole.tif", np.ones((20, 20)), (-1e5, 1e4, 0, 1e5, 0, -1e4), 3413)
    rows, _ = run(v, zones("pole.gpkg", {"p": polygon([(-2e5, -2e5), (2e5, -2e5), (2e5, 2e5),
                                                       (-2e5, 2e5)])}, 3413), "--id", "code")
    sums = []
    for n in (2000, 4000):  # Z from the pole, over the longitudes of the sides
        p = np.array([q[:2] for q in to.TransformPoints(along([(-2e5, -2e5), (2e5, -2e5), (2e5, 2e5),
                                                               (-2e5, 2e5)], n))])
        s, e = np.sin(np.radians(p[:, 1])), math.sqrt(E2)
        z = B * B / 2 * (s / (1 - E2 * s * s) + np.arctanh(e * s) / e)
        pole = B * B / 2 * (1 / (1 - E2) + math.atanh(e) / e)
        d = np.radians((np.roll(p[:, 0], -1) - p[:, 0] + 180) % 360 - 180)
        sums.append(abs(math.fsum((pole - 0.5 * (z + np.roll(z, -1))) * d)))
    close(rows["p"]["zone_area_ha"], (4 * sums[1] - sums[0]) / 3e4, 1e-9, "pole")


def test_other_system():
    """Zones in another system than the raster's: edges follow their images within 1 mm and keep
    their area to 1e-9; borders are shared to the last bit."""
    rng = np.random.default_rng(3)
    for source, target, t, box in (
            (4326, 32632, (5e5, 1e4, 0, 5.7e6, 0, -1e4), (10.0, 50.0, 1.0, 0.8)),
            (4326, 3035, (4e6, 1e4, 0, 3.2e6, 0, -1e4), (8.0, 49.5, 1.5, 1.2)),
            (32632, 4326, (9, .1, 0, 52, 0, -.1), (5.2e5, 5.52e6, 2e5, 1.5e5)),
            (3035, 32632, (3e5, 1e4, 0, 5.7e6, 0, -1e4), (4.1e6, 2.9e6, 1.5e5, 1.1e5))):
        there = osr.CoordinateTransformation(srs_of(source), srs_of(target))
        back = osr.CoordinateTransformation(srs_of(target), srs_of(source))
        to_lonlat = osr.CoordinateTransformation(srs_of(source), srs_of(4326))
        x0, y0, sx, sy = box
        # PROJ goes back from an equal-area projection with an error of 4e-9 degrees, 0.4 mm
        lossy = 4e-4 if 3035 in (source, target) else 0
        n = 5
        x = x0 + sx * np.tile(np.linspace(0, 1, n + 1), (n + 1, 1))
        y = y0 + sy * np.tile(np.linspace(0, 1, n + 1)[:, None], (1, n + 1))
        x[1:-1, 1:-1] += rng.uniform(-.3, .3, (n - 1, n - 1)) * sx / n
        y[1:-1, 1:-1] += rng.uniform(-.3, .3, (n - 1, n - 1)) * sy / n
        rings = {f"{j}{i}": [(x[j, i], y[j, i]), (x[j, i + 1], y[j, i + 1]),
                             (x[j + 1, i + 1], y[j + 1, i + 1]), (x[j + 1, i], y[j + 1, i])]
                 for j in range(n) for i in range(n)}
        rings["whole"] = [(x0, y0), (x0 + sx, y0), (x0 + sx, y0 + sy), (x0, y0 + sy)]
        v = raster("other.tif", np.ones((40, 60)), t, target)
        out = WORK / "other.gpkg"
        z = zones("moved.gpkg", {k: polygon(r) for k, r in rings.items()}, source)
        run(v, z, "--id", "code", "-o", out)
        data = ogr.Open(str(out))
        total = 0
        for f in data.GetLayer(0):
            r = rings[f["zone_id"]]
            want = lonlat_area(r) if source == 4326 else straight_area(r, to_lonlat)
            close(f["zone_area_ha"], want / 1e4, 1e-9, (source, target, f["zone_id"]))
            total += f["zone_area_ha"] if f["zone_id"] != "whole" else 0
            whole = f["zone_area_ha"]  # the last one
            # How far the edges lie from the images of straight ones: sampled, back in the source.
            p = f.GetGeometryRef().GetGeometryRef(0).GetGeometryRef(0).GetPoints()[:-1]
            q = [c[:2] for c in back.TransformPoints(along([c[:2] for c in p], 4))]
            ux, uy = (111320 * math.cos(math.radians(y0)), 111320) if source == 4326 else (1, 1)
            corner = [(a * ux, b * uy) for a, b in r]
            for px, py in q[::7]:
                away = min(distance(px * ux, py * uy, a, b)
                           for a, b in zip(corner, corner[1:] + corner[:1]))
                assert away < 1.05e-3 + lossy, (source, target, f["zone_id"], away)
        close(total, whole, 1e-12, (source, target))


def distance(px, py, a, b):
    dx, dy = b[0] - a[0], b[1] - a[1]
    t = min(1, max(0, ((px - a[0]) * dx + (py - a[1]) * dy) / (dx * dx + dy * dy)))
    return math.hypot(px - a[0] - t * dx, py - a[1] - t * dy)


# ---- defects ------------------------------------------------------------------------------------

def test_reasons():
    """Every zone is listed, with numbers or with the reason why not."""
    value = np.ones((40, 40))
    value[:10, :10] = -1
    v = raster("reasons.tif", value, (100, .05, 0, 40, 0, -.05), 4326, -1)
    square = [(101, 39), (101.2, 39), (101.2, 39.2), (101, 39.2)]
    good = {
        "fine": polygon(square),
        "unclosed": polygon(square, closed=False),
        "repeated vertices": polygon([p for p in square for _ in range(3)]),
        "clockwise": polygon(square[::-1]),
        "hole beside": multi(polygon(square, [(101.05, 39.05), (101.1, 39.05), (101.1, 39.1)])),
    }
    bad = {
        "bow tie": (polygon([(101, 39), (101.2, 39.2), (101.2, 39), (101, 39.2)]), "not valid"),
        "parts twice": (multi(polygon(square), polygon(square)), "not valid"),
        "rings that cross": (polygon(square, [(101.1, 39.1), (101.3, 39.1), (101.1, 39.15)]),
                             "not valid"),
        "not a number": (polygon([(101, 39), (math.nan, 39), (101.2, 39.2)]), "is not finite"),
        "not degrees": (polygon([(500000, 4e6), (500100, 4e6), (500000, 4.1e6)]),
                        "not a longitude and latitude"),
        "a point": (ogr.CreateGeometryFromWkt("POINT (101 39)"), "geometry is a Point"),
    }
    empty = {
        "none": (None, "no geometry"),
        "nothing": (ogr.Geometry(ogr.wkbMultiPolygon), "geometry is empty"),
        "line": (polygon([(101, 39), (101.1, 39.1), (101.3, 39.3)]), "no area"),
        "spot": (polygon([(101, 39)] * 4), "no area"),
        "far": (polygon([(10, 9), (11, 9), (10, 10)]), "outside the raster"),
        "beside": (polygon([(102, 39), (103, 39), (103, 40), (102, 40)]), "outside the raster"),
        "nodata": (polygon([(100.1, 39.6), (100.4, 39.6), (100.2, 39.9)]), "no cell with a value"),
        "speck": (polygon([(101.01, 39.01), (101.01 + 3e-8, 39.01), (101.01, 39.01 + 3e-8)]),
                  "smaller than 1e-12 of a cell"),
    }
    everything = {**good, **{k: g for k, (g, _) in (*bad.items(), *empty.items())}}
    rows, log = run(v, zones("reasons.gpkg", everything, 4326), "--id", "code", code=5)
    assert "6 of 19 zones cannot be used; their rows say why" in log, log
    assert set(rows) == set(everything)
    for k in good:
        assert rows[k]["reason"] == "" and float(rows[k]["coverage"]) == 1, rows[k]
        close(rows[k]["count"], 16 if k != "hole beside" else 15.5, 1e-5, k)
    for k, (_, reason) in (*bad.items(), *empty.items()):
        assert reason in rows[k]["reason"], rows[k]
        assert rows[k]["mean"] == "" and float(rows[k]["count"]) == 0, rows[k]
    assert float(rows["beside"]["coverage"]) == 0 == float(rows["line"]["zone_area_ha"])
    assert float(rows["nodata"]["coverage"]) == 1 and float(rows["nodata"]["valid"]) == 0
    assert float(rows["speck"]["zone_area_ha"]) > 0
    # Without the damaged ones the same numbers, and success.
    sound = {k: g for k, g in everything.items() if k not in bad}
    again, _ = run(v, zones("sound.gpkg", sound, 4326), "--id", "code")
    assert again == {k: r for k, r in rows.items() if k not in bad}
    classes, _ = run(v, WORK / "sound.gpkg", "--id", "code", "--categories")
    for k, (_, reason) in empty.items():
        want = "no class" if k == "nodata" else reason
        assert classes[k]["reason"] == want and classes[k]["class"] == "", classes[k]
    # Nothing that can be used at all is an error of the file.
    _, log = run(v, zones("bad.gpkg", {"bow tie": bad["bow tie"][0]}, 4326), "--id", "code", code=3)
    assert "bad.gpkg: no zone can be used; feature 'bow tie': geometry is not valid" in log, log
    z = zones("twice.gpkg", {"a": polygon(square)}, 4326)
    data = ogr.Open(str(z), 1)
    f = ogr.Feature(data.GetLayer(0).GetLayerDefn())
    f["code"] = "a"
    data.GetLayer(0).CreateFeature(f)
    del f, data
    _, log = run(v, z, "--id", "code", code=3)
    assert "id 'a' (attribute 'code') occurs twice" in log, log


# ---- around the globe ----------------------------------------------------------------------------

def test_round_the_globe():
    """Across the antimeridian, around the poles, and the same under whole turns of longitude."""
    e = math.sqrt(E2)

    def zone_z(lat):
        s = math.sin(math.radians(lat))
        return B * B / 2 * (s / (1 - E2 * s * s) + math.atanh(e * s) / e)
    box = (zone_z(10) - zone_z(-10)) * math.radians(10)
    cap = (zone_z(90) - zone_z(70)) * 2 * math.pi
    ring = [(x, 70) for x in range(-180, 180, 15)]
    shapes = {"cut": multi(polygon([(175, -10), (180, -10), (180, 10), (175, 10)]),
                           polygon([(-180, -10), (-175, -10), (-175, 10), (-180, 10)])),
              "wrapped": polygon([(175, -10), (-175, -10), (-175, 10), (175, 10)]),
              "beyond": polygon([(175, -10), (185, -10), (185, 10), (175, 10)]),
              "cap": polygon(ring), "frame": polygon([(-180, 70), (180, 70), (180, 90), (-180, 90)]),
              "south": polygon([(x, -y) for x, y in ring]),
              "world": polygon([(-180, -90), (180, -90), (180, 90), (-180, 90)])}
    want = {"cut": box, "wrapped": box, "beyond": box, "cap": cap, "frame": cap, "south": cap,
            "world": 510065621724088.44}
    rng = np.random.default_rng(2)
    value = rng.normal(5, 1, (180, 360))
    first = None
    for turn, west in ((0, -180), (360, -180), (-360, -180), (0, 180), (360, 180)):
        moved = {}
        for k, g in shapes.items():
            g = g.Clone()
            for p in range(g.GetGeometryCount()):
                q = g.GetGeometryRef(p)
                q = q.GetGeometryRef(0) if q.GetGeometryCount() else q
                for i in range(q.GetPointCount()):
                    q.SetPoint_2D(i, q.GetX(i) + turn, q.GetY(i))
            moved[k] = g
        v = raster("globe.tif", value, (west, 1, 0, 90, 0, -1), 4326)
        rows, _ = run(v, zones("globe.gpkg", moved, 4326), "--id", "code", "--stats",
                      "valid,area,count,sum,mean,stdev,median")
        for k, area in want.items():
            close(rows[k]["zone_area_ha"], area / 1e4, 1e-12, k)
            close(rows[k]["area_ha"], area / 1e4, 1e-12, k)
            assert float(rows[k]["coverage"]) == 1, rows[k]
        close(rows["world"]["count"], 64800, 1e-12, "world")
        assert rows["cap"]["sum"] == rows["frame"]["sum"]
        first = first or rows
        assert rows == first, (turn, west)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    test_straight_edges()
    test_other_system()
    test_reasons()
    test_round_the_globe()
    return 0


sys.exit(main())
