"""Means on a projected grid against polygon intersection by OGR.

Target cells are drawn in UTM, densified, projected to the cylindrical equal-area system EPSG:6933, in
which cells of longitude and latitude are rectangles and plane areas are true areas, and intersected there
by GEOS: another library, another system and another direction than ours.
Arguments: binary, data folder, work folder, source root, show_inventory."""
import json
import pathlib
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import ogr, osr

WORK, SHOW = pathlib.Path(sys.argv[3]), sys.argv[5]
ogr.UseExceptions()


def system(epsg):
    s = osr.SpatialReference()
    s.ImportFromEPSG(epsg)
    s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return s


EQUAL = system(6933)
LONLAT = osr.CoordinateTransformation(system(4326), EQUAL)


def polygon(x, y):
    ring = ogr.Geometry(ogr.wkbLinearRing)
    for a, b in zip(np.append(x, x[0]), np.append(y, y[0])):
        ring.AddPoint_2D(a, b)
    p = ogr.Geometry(ogr.wkbPolygon)
    p.AddGeometry(ring)
    return p


def outline(x0, y0, d, n):
    """A square cell with n pieces a side."""
    t = np.arange(n) / n * d
    return (np.concatenate([x0 + t, np.full(n, x0 + d), x0 + d - t, np.full(n, x0)]),
            np.concatenate([np.full(n, y0), y0 + t, np.full(n, y0 + d), y0 + d - t]))


def write(path, values, lat, lon):
    with Dataset(path, "w") as d:
        for name, v, unit in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            d.createDimension(name, len(v))
            x = d.createVariable(name, "f8", (name,))
            x[:] = v
            x.units = unit
            x.standard_name = {"lat": "latitude", "lon": "longitude"}[name]
        d.createVariable("field", "f8", ("lat", "lon"))[:] = values


def check(name, epsg, box, cell, west, south, step, nx, ny, turn):
    rng = np.random.default_rng(11)
    field = rng.random((ny, nx))
    path = WORK / f"{name}.nc"
    write(path, field, south + step * (np.arange(ny) + 0.5), west + turn + step * (np.arange(nx) + 0.5))
    r = subprocess.run([SHOW, "regrid", path, "field", ",".join(map(str, box)), str(cell), str(cell),
                        f"EPSG:{epsg}"], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    tx, ty = round((box[2] - box[0]) / cell), round((box[3] - box[1]) / cell)
    ours = np.array(json.loads(r.stdout.replace("nan", "NaN"))).reshape(ty, tx)
    # longitude and latitude are the axes of EPSG:6933
    ex = np.array([LONLAT.TransformPoint(west + step * i, south)[0] for i in range(nx + 1)])
    ey = np.array([LONLAT.TransformPoint(west, south + step * i)[1] for i in range(ny + 1)])
    way = osr.CoordinateTransformation(system(epsg), EQUAL)
    theirs = np.full((ty, tx), np.nan)
    for j in range(ty):
        for i in range(tx):
            x, y = outline(box[0] + i * cell, box[1] + j * cell, cell, 32)
            p = np.array(way.TransformPoints(np.column_stack([x, y])))
            target = polygon(p[:, 0], p[:, 1])
            total = mass = 0.0
            for b in range(np.searchsorted(ey, p[:, 1].min()) - 1, np.searchsorted(ey, p[:, 1].max())):
                for a in range(np.searchsorted(ex, p[:, 0].min()) - 1, np.searchsorted(ex, p[:, 0].max())):
                    source = polygon(ex[[a, a + 1, a + 1, a]], ey[[b, b, b + 1, b + 1]])
                    part = target.Intersection(source).Area()
                    total += part
                    mass += part * field[b, a]
            theirs[j, i] = mass / total
    worst = np.abs(ours - theirs).max()
    print(name, worst)
    assert worst < 1e-6, (name, worst)
    assert np.abs(np.roll(ours, 1, axis=1) - theirs).max() > 0.01  # one column off must fail


WORK.mkdir(parents=True, exist_ok=True)
check("city", 32649, (720000, 2540000, 735000, 2555000), 1000, 113.1, 22.9, 0.01, 30, 30, 0)
check("city_turned", 32649, (720000, 2540000, 730000, 2550000), 1000, 113.1, 22.9, 0.01, 30, 30, -360)
check("coarse", 32649, (720000, 2540000, 768000, 2588000), 4000, 113.0, 22.8, 0.1, 9, 8, 0)
check("north", 32633, (700000, 7000000, 720000, 7020000), 2000, 18.8, 62.9, 0.04, 20, 20, 0)
