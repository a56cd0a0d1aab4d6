"""skyflux regrid: against sums written here, closed audits, and the same bytes whatever the way.

Arguments: binary, data folder, work folder, source root, names of tests."""
import hashlib
import json
import math
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import gdal, osr

gdal.UseExceptions()
osr.UseExceptions()
SKY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
A, F = 6378137.0, 1 / 298.257223563
E2 = F * (2 - F)
RNG = np.random.default_rng(11)
GLOBE = (-180, 90)


def run(*args, code=0):
    r = subprocess.run([SKY, "regrid", *map(str, args), "--json"], capture_output=True, text=True)
    assert r.returncode == code, f"{args}: exit {r.returncode}, {r.stderr}"
    return json.loads(r.stdout) if code in (0, 5) else r.stderr


def srs_of(crs):
    s = osr.SpatialReference()
    s.SetFromUserInput(crs)
    s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return s


def raster(name, array, west, north, dx, dy, crs="EPSG:4326", nodata=None, options=(), flip=False):
    types = {"float64": gdal.GDT_Float64, "float32": gdal.GDT_Float32, "uint8": gdal.GDT_Byte,
             "int16": gdal.GDT_Int16, "int32": gdal.GDT_Int32}
    path = WORK / name
    ny, nx = array.shape
    d = gdal.GetDriverByName("GTiff").Create(str(path), nx, ny, 1, types[str(array.dtype)],
                                             list(options))
    if flip:
        d.SetGeoTransform((west, dx, 0, north - ny * dy, 0, dy))
        array = array[::-1]
    else:
        d.SetGeoTransform((west, dx, 0, north, 0, -dy))
    d.SetSpatialRef(srs_of(crs))
    if nodata is not None:
        d.GetRasterBand(1).SetNoDataValue(nodata)
    d.GetRasterBand(1).WriteArray(array)
    d = None
    return path


def read(path):
    d = gdal.Open(str(path))
    v = d.ReadAsArray().astype(float)
    nodata = d.GetRasterBand(1).GetNoDataValue()
    if nodata is not None and not math.isnan(nodata):
        v[v == nodata] = np.nan
    return v


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def zone_area(lat):
    """Ellipsoid between the equator and a latitude, m2 a radian."""
    s, e = np.sin(np.radians(lat)), math.sqrt(E2)
    return A * A * (1 - E2) / 2 * (s / (1 - E2 * s * s) + np.arctanh(e * s) / e)


def overlaps(src, dst, measure, wrap=False):
    """Matrix [dst][src] of overlap lengths of two lists of edges, ascending."""
    m = np.zeros((len(dst) - 1, len(src) - 1))
    for turn in (-720, -360, 0, 360, 720) if wrap else (0,):
        low = np.maximum(dst[:-1, None], src[None, :-1] + turn)
        high = np.minimum(dst[1:, None], src[None, 1:] + turn)
        m += np.where(high > low, measure(high) - measure(low), 0)
    return m


def expected(v, src, dst, kind, geographic=True):
    """v north up; src, dst: (x edges, y edges ascending). Returns values and valid shares."""
    plain = lambda t: t
    area = zone_area if geographic else plain
    mx = overlaps(src[0], dst[0], plain, geographic)
    my = overlaps(src[1], dst[1], area)
    w = v[::-1]
    valid = ~np.isnan(w)
    z = np.where(valid, w, 0)
    if kind == "extensive":
        out = (my / np.diff(area(src[1]))[None]) @ z @ (mx / np.diff(src[0])[None]).T
    else:
        out = my @ z @ mx.T
    share = my @ valid @ mx.T
    cells = np.outer(np.diff(area(dst[1])), np.diff(dst[0]))
    with np.errstate(invalid="ignore", divide="ignore"):
        if kind == "intensive":
            out = out / share
    out = np.where(share > 1e-9 * cells, out, np.nan)  # less is rounding
    return out[::-1], (share / cells)[::-1]


def edges(west, north, nx, ny, dx, dy):
    return west + dx * np.arange(nx + 1), (north - dy * np.arange(ny + 1))[::-1]


def near(got, want, tolerance, what):
    assert got.shape == want.shape, (what, got.shape, want.shape)
    assert (np.isnan(got) == np.isnan(want)).all(), (what, "nodata differs")
    scale = np.nanmax(np.abs(want))
    worst = np.nanmax(np.abs(got - want)) / scale
    assert worst <= tolerance, (what, worst)


def closed(report, tolerance=1e-12):
    a = report["audit"]
    rest = a["in"] - a["out"] - a["outside"] - a["lost_to_nodata"]
    assert abs(rest - a["residual"]) <= 1e-9 * abs(a["in"])
    assert abs(a["residual"]) <= tolerance * max(abs(a["in"]), abs(a["out"])), a
    return a


def test_against_sums():
    cases = [  # box of the target, cells; source: origin, cells
        ((-10, 35, 30, 60), (0.8, 0.5), (-15.1, 70.05, 300, 250, 0.2, 0.2)),
        ((-180, -90, 180, 90), (4, 3), (0, 90, 360, 180, 1, 1)),
        ((170, -90, 530, 90), (7.5, 5), (-180, 90, 400, 200, 0.9, 0.9)),
        ((-20, 30, 40, 80), (0.05, 0.1), (-3.3, 61.7, 37, 31, 0.41, 0.37)),
    ]
    for k, (box, cell, (west, north, nx, ny, dx, dy)) in enumerate(cases):
        v = RNG.normal(3, 1, (ny, nx)).astype(np.float32)
        v[RNG.random(v.shape) < 0.1] = -9999
        src = raster(f"sum{k}.tif", v, west, north, dx, dy, nodata=-9999,
                     options=["TILED=YES", "BLOCKXSIZE=64", "BLOCKYSIZE=48", "COMPRESS=DEFLATE"])
        w = np.where(v == -9999, np.nan, v.astype(float))
        nx2, ny2 = round((box[2] - box[0]) / cell[0]), round((box[3] - box[1]) / cell[1])
        grids = edges(west, north, nx, ny, dx, dy), edges(box[0], box[3], nx2, ny2, *cell)
        for kind in ("intensive", "extensive"):
            want, share = expected(w, *grids, kind)
            for least in (0, 0.6):
                out = WORK / f"sum{k}-{kind}-{least}.tif"
                r = run(src, "--kind", kind, "--box=" + ",".join(map(str, box)), "--cell",
                        f"{cell[0]},{cell[1]}", "--min-valid", least, "-o", out)
                kept = np.where(share >= least - 1e-9, want, np.nan)
                near(read(out), kept, 2e-7, (k, kind, least))  # float32 in the file
                a = closed(r)
                if least == 0:
                    assert a["lost_to_nodata"] == 0
                if kind == "extensive" and least == 0:
                    assert abs(a["out"] - np.nansum(want)) <= 1e-12 * np.nansum(np.abs(want))
                if kind == "extensive" and k == 1:
                    assert abs(a["in"] - np.nansum(w)) <= 1e-12 * np.nansum(np.abs(w))
                    assert a["outside"] == 0
                assert (k in (1, 2)) == (abs(a["outside"]) < 1e-9 * abs(a["in"])) or k == 3, (k, a)


def test_projected():
    nx, ny = 170, 140
    v = RNG.random((ny, nx)).astype(np.float32)
    src = raster("utm.tif", v, 500100, 4200050, 30, 30, crs="EPSG:32650", options=["TILED=YES"])
    box = (500000, 4196000, 505000, 4200000)
    grids = edges(500100, 4200050, nx, ny, 30, 30), edges(500000, 4200000, 50, 40, 100, 100)
    for kind in ("intensive", "extensive"):
        out = WORK / f"utm-{kind}.tif"
        r = run(src, "--kind", kind, "--crs", "EPSG:32650", "--box=" + ",".join(map(str, box)),
                "--cell", "100 m", "-o", out)
        near(read(out), expected(v.astype(float), *grids, kind, False)[0], 2e-7, kind)
        closed(r)


def test_peers():
    """cdo weighs with the sphere, GDAL weighs all cells alike: what differs is that and no more."""
    v = RNG.normal(400, 30, (180, 360)).astype(np.float32)
    src, out = raster("peer.tif", v, -180, 90, 1, 1), WORK / "peer-out.tif"
    run(src, "--kind", "intensive", "--box=-180,-90,180,90", "--cell", 6, "-o", out)
    got, rows = read(out), v.astype(float).reshape(30, 6, 60, 6).mean(3)  # [row][1 degree][column]
    edge = np.arange(90, -91, -1.0)
    weights = {}
    for name, measure in (("ours", zone_area), ("cdo", lambda t: np.sin(np.radians(t))),
                          ("gdal", lambda t: t)):
        w = (measure(edge[:-1]) - measure(edge[1:])).reshape(30, 6)
        weights[name] = (rows * w[:, :, None]).sum(1) / w.sum(1)[:, None]
    near(got, weights["ours"], 2e-7, "ours")
    subprocess.run(["gdalwarp", "-q", "-overwrite", "-r", "average", "-tr", "6", "6", "-te", "-180",
                    "-90", "180", "90", str(src), str(WORK / "gdal.tif")], check=True)
    near(read(WORK / "gdal.tif"), weights["gdal"], 2e-7, "gdal")
    assert np.abs(weights["gdal"] - weights["ours"]).max() > 1
    if shutil.which("cdo") is None:
        print("no cdo: skipped beside it")
        return
    with Dataset(WORK / "peer.nc", "w") as d:
        for axis, values, unit in (("lat", np.arange(89.5, -90, -1), "degrees_north"),
                                   ("lon", np.arange(-179.5, 180, 1), "degrees_east")):
            d.createDimension(axis, len(values))
            x = d.createVariable(axis, "f8", (axis,))
            x[:], x.units = values, unit
            x.standard_name = {"lat": "latitude", "lon": "longitude"}[axis]
        d.createVariable("v", "f8", ("lat", "lon"))[:] = v
    (WORK / "grid.txt").write_text("gridtype=lonlat\nxsize=60\nysize=30\nxfirst=-177\nxinc=6\n"
                                   "yfirst=87\nyinc=-6\n")
    subprocess.run(["cdo", "-s", "-b", "F64", "remapcon,grid.txt", "peer.nc", "cdo.nc"], check=True,
                   cwd=WORK, capture_output=True)
    with Dataset(WORK / "cdo.nc") as d:
        theirs = np.ma.filled(d["v"][:].astype(float), np.nan)
    near(theirs, weights["cdo"], 1e-9, "cdo")
    least = np.abs(weights["cdo"] - weights["ours"]).max()
    assert 1e-4 < least and np.abs(theirs - got).max() < least + 1e-4


def test_memory():
    """A budget is kept, and changes nothing; what cannot fit is refused."""
    v = bumpy(2000, 1000)
    src, out = raster("mem.tif", v, -180, 90, 0.18, 0.18, options=["TILED=YES"]), WORK / "mem-out.tif"
    seen = set()
    for memory in ("2G", "200M"):
        run(src, "--kind", "intensive", "--box=-180,-90,180,90", "--cell", 0.5, "-o", out, "--memory",
            memory, "--threads", 2, "--tile", 1024)
        seen.add(digest(out))
    assert len(seen) == 1
    text = run(src, "--kind", "intensive", "--box=-180,-90,180,90", "--cell", 0.5, "-o", out,
               "--memory", "1M", code=1)
    assert "memory budget" in text, text


def test_uniform():
    v = np.full((181, 361), 0.1, np.float32)
    src = raster("uniform.tif", v, -180.5, 90.5 - 0.5, 0.997, 0.99)
    out = WORK / "uniform-out.tif"
    run(src, "--kind", "intensive", "--box=-170,-80,170,80", "--cell", 0.87, "-o", out, code=2)
    run(src, "--kind", "intensive", "--box=-170,-80,170,80", "--cell", "0.85,0.8", "-o", out)
    got = read(out)
    assert (got == np.float32(0.1)).all()
    run(src, "--kind", "intensive", "--box=-20,-8,20,8", "--cell", "0.05", "-o", out)  # finer
    assert (read(out) == np.float32(0.1)).all()


def test_classes():
    v = RNG.choice([3, 7, 11, 200], (240, 480), p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8)
    v[RNG.random(v.shape) < 0.05] = 0
    src = raster("classes.tif", v, -180, 90, 0.75, 0.75, nodata=0, options=["TILED=YES"])
    out = WORK / "classes-out.tif"
    run(src, "--kind", "class", "--box=-180,-90,180,90", "--cell", "4", "-o", out)
    src_grid, dst = edges(-180, 90, 480, 240, 0.75, 0.75), edges(-180, 90, 90, 45, 4, 4)
    mx, my = overlaps(src_grid[0], dst[0], lambda t: t), overlaps(src_grid[1], dst[1], zone_area)
    areas = np.array([my @ (v[::-1] == c) @ mx.T for c in (3, 7, 11, 200)])[:, ::-1]
    ranked = np.sort(areas, 0)
    clear = ranked[-1] > ranked[-2] * (1 + 1e-6)
    want = np.array([3, 7, 11, 200])[areas.argmax(0)]
    got = read(out)
    assert (got == want)[clear].all() and clear.mean() > 0.9
    # ties: the smallest code; centre where source cells are not smaller
    two = np.array([[9, 4, 9, 4], [9, 4, 9, 4]], np.uint8)
    src = raster("two.tif", two, 0, 2, 1, 1, nodata=255)
    run(src, "--kind", "class", "--box=0,0,4,2", "--cell", "2", "-o", out)
    assert (read(out) == 4).all()
    run(src, "--kind", "class", "--box=-1,-1,5,3", "--cell", "0.5", "-o", out)
    fine = read(out)
    assert (fine[2:6, 2:10] == np.kron(two, np.ones((2, 2)))).all()
    assert np.isnan(fine[:2]).all() and np.isnan(fine[:, :2]).all()
    floats = raster("floats.tif", two.astype(np.float32) + 0.5, 0, 2, 1, 1)
    text = run(floats, "--kind", "class", "--box=0,0,4,2", "--cell", "2", "-o", out, code=3)
    assert "is not a class" in text, text


def bumpy(nx, ny):
    v = RNG.normal(400, 30, (ny, nx)).astype(np.float32)
    v[RNG.random(v.shape) < 0.02] = np.nan
    return v


def test_same_bytes():
    nx, ny = 1440, 720
    v = bumpy(nx, ny)
    ways = {
        "tiled": dict(options=["TILED=YES", "COMPRESS=DEFLATE", "PREDICTOR=3"]),
        "odd": dict(options=["TILED=YES", "BLOCKXSIZE=112", "BLOCKYSIZE=80"]),
        "strips": dict(options=["BLOCKYSIZE=1"]),
        "thick": dict(options=["BLOCKYSIZE=700"]),
        "south": dict(flip=True),
    }
    files = {k: raster(f"way-{k}.tif", v, -180, 90, 0.25, 0.25, **o) for k, o in ways.items()}
    half = np.roll(v, -nx // 2, 1)
    files["turned"] = raster("way-turned.tif", half, 0, 90, 0.25, 0.25)
    files["west"] = raster("way-west.tif", v, -540, 90, 0.25, 0.25)
    gdal.BuildVRT(str(WORK / "way.vrt"), [str(files["tiled"])]).FlushCache()
    files["vrt"] = WORK / "way.vrt"
    codes = np.clip(np.nan_to_num(v) // 20, 0, 200).astype(np.uint8)
    for kind, cell, box in (("intensive", "0.4", "-180,-90,180,90"),
                            ("extensive", "0.35,0.45", "-179,-90,171,90"),
                            ("intensive", "0.1", "-40,20,40,60")):
        seen, audits = {}, {}
        for name, path in files.items():
            out = WORK / "same.tif"
            r = run(path, "--kind", kind, f"--box={box}", "--cell", cell, "-o", out)
            closed(r)
            audits[name] = json.dumps(r["audit"])
            seen[name] = read(out).tobytes()
        for name in seen:
            assert seen[name] == seen["tiled"], (kind, cell, name)
            assert audits[name] == audits["tiled"], (kind, cell, name, audits)
        bytes_of, reports = set(), set()
        for threads, tile in ((1, 256), (2, 512), (5, 1024), (3, 256)):
            out = WORK / "same.tif"
            r = run(files["tiled"], "--kind", kind, f"--box={box}", "--cell", cell, "-o", out,
                    "--threads", threads, "--tile", tile)
            bytes_of.add(digest(out))
            reports.add(json.dumps(r["audit"]))
        assert len(bytes_of) == 1 and len(reports) == 1, (kind, cell, reports)
        # the target a turn further
        w, s, e, n = map(float, box.split(","))
        out = WORK / "turn.tif"
        r = run(files["tiled"], "--kind", kind, f"--box={w + 360},{s},{e + 360},{n}", "--cell", cell,
                "-o", out)
        assert read(out).tobytes() == seen["tiled"], (kind, cell, "a turn further")
    classes = [raster("code-a.tif", codes, -180, 90, 0.25, 0.25, options=["TILED=YES"]),
               raster("code-b.tif", np.roll(codes, nx // 2, 1), -360, 90, 0.25, 0.25),
               raster("code-c.tif", codes.astype(np.float32), -180, 90, 0.25, 0.25, flip=True)]
    values = set()
    for path in classes:
        for threads, tile in ((1, 256), (5, 1024)):
            run(path, "--kind", "class", "--box=-180,-90,180,90", "--cell", "1.25", "-o",
                WORK / "same.tif", "--threads", threads, "--tile", tile)
            values.add(read(WORK / "same.tif").tobytes())
    assert len(values) == 1


def transform(from_crs, to_crs):
    return osr.CoordinateTransformation(srs_of(from_crs), srs_of(to_crs))


def sampled(v, west, north, dx, dy, crs, box, cell, to_crs, n):
    """Means of a field at n x n points of each target cell, and the shares with a value."""
    nx, ny = round((box[2] - box[0]) / cell), round((box[3] - box[1]) / cell)
    x = box[0] + (np.arange(nx * n) + 0.5) * cell / n
    y = box[3] - (np.arange(ny * n) + 0.5) * cell / n
    points = np.array(transform(to_crs, crs).TransformPoints(
        np.array(np.meshgrid(x, y)).reshape(2, -1).T))[:, :2]
    c = np.floor((points[:, 0] - west) / dx).astype(int)
    r = np.floor((north - points[:, 1]) / dy).astype(int)
    inside = (c >= 0) & (r >= 0) & (c < v.shape[1]) & (r < v.shape[0])
    z = np.where(inside, v[np.clip(r, 0, v.shape[0] - 1), np.clip(c, 0, v.shape[1] - 1)], np.nan)
    z = z.reshape(ny, n, nx, n).transpose(0, 2, 1, 3).reshape(ny, nx, n * n)
    valid = ~np.isnan(z)
    with np.errstate(invalid="ignore"):
        return np.where(valid, z, 0).sum(-1) / valid.sum(-1), valid.mean(-1)


def test_other_systems():
    deg = bumpy(300, 260)
    deg[20:30, 40:60] = np.nan
    metre = bumpy(200, 200)
    lonlat = ("EPSG:4326", raster("ll.tif", deg, 116, 41, 0.01, 0.01), deg, 116, 41, 0.01)
    utm = ("EPSG:32650", raster("m.tif", metre, 4e5, 45e5, 1000, 1000, crs="EPSG:32650"), metre,
           4e5, 45e5, 1000)
    laea = "EPSG:3035"
    eu = raster("eu.tif", deg, 3, 52, 0.01, 0.01)
    cases = [(lonlat, "EPSG:32650", (410000, 4290000, 430000, 4310000), 2000),
             (lonlat, "EPSG:32650", (410000, 4290000, 415000, 4295000), 250),
             (utm, "EPSG:4326", (116.2, 39.2, 116.7, 39.7), 0.05),
             (utm, "EPSG:32649", (930000, 4380000, 950000, 4400000), 1250),
             (("EPSG:4326", eu, deg, 3, 52, 0.01), laea, (3900000, 2950000, 4100000, 3150000),
              20000)]
    for k, ((crs, src, v, west, north, d), to, box, cell) in enumerate(cases):
        out = WORK / f"other{k}.tif"
        where = ("--crs", to, "--box=" + ",".join(map(str, box)), "--cell", cell, "-o", out)
        r = run(src, "--kind", "intensive", *where)
        a = closed(r, 1e-9)
        got = read(out)
        want, share = sampled(v.astype(float), west, north, d, d, crs, box, cell, to, 48)
        sure = share > 0.98
        assert sure.any() and np.abs(got - want)[sure].max() < 1.5, (k, np.abs(got - want)[sure].max())
        assert np.isnan(got[share == 0]).all(), k
        # true areas: the integral is that of the cells of the file
        run(src, "--kind", "intensive", *where, "--min-valid", 0.99)
        holes = np.isnan(read(out))
        assert (holes == (share < 0.99))[np.abs(share - 0.99) > 0.02].all(), k
        flat = raster("flat.tif", np.full_like(v, 7.25), west, north, d, d, crs=crs)
        run(flat, "--kind", "intensive", *where)
        values = read(out)
        assert (values[~np.isnan(values)] == 7.25).all(), k
    # a target around the whole source: nothing is lost
    amounts = np.nan_to_num(deg).astype(np.float32)
    src = raster("amount.tif", amounts, 116, 41, 0.01, 0.01)
    r = run(src, "--kind", "extensive", "--crs", "EPSG:32650", "--box=400000,4200000,800000,4600000",
            "--cell", 5000, "-o", WORK / "a.tif")
    total = amounts.astype(float).sum()
    assert abs(closed(r, 1e-9)["out"] / total - 1) < 1e-9, r["audit"]
    src = raster("amount-m.tif", np.nan_to_num(metre), 4e5, 45e5, 1000, 1000, crs="EPSG:32650")
    r = run(src, "--kind", "extensive", "--box=114,37,120,43", "--cell", 0.125, "-o", WORK / "a.tif")
    assert abs(closed(r, 1e-9)["out"] / np.nan_to_num(metre).astype(float).sum() - 1) < 1e-9
    # the globe, its seam and both poles into a polar and an oval map
    v = bumpy(360, 180)
    for crs, box, cell in (("EPSG:3413", (-4e6, -4e6, 4e6, 4e6), 250000),
                           ("+proj=moll +type=crs", (-18e6, -9e6, 18e6, 9e6), 500000)):
        seen = set()
        for west, w in ((-180, v), (0, np.roll(v, 180, 1))):
            src = raster("globe.tif", w, west, 90, 1, 1)
            for threads, tile in ((1, 256), (5, 512)):
                r = run(src, "--kind", "intensive", "--crs", crs,
                        "--box=" + ",".join(map(str, box)), "--cell", cell, "-o", WORK / "g.tif",
                        "--threads", threads, "--tile", tile)
                closed(r, 1e-9)
                seen.add(read(WORK / "g.tif").tobytes())
        assert len(seen) == 1, crs
    # classes: centre, and largest area
    codes = RNG.choice([1, 2, 5], (200, 200)).astype(np.uint8)
    src = raster("codes.tif", codes, 4e5, 45e5, 1000, 1000, crs="EPSG:32650", nodata=0)
    for cell, n in ((0.002, 1), (0.05, 24)):
        box = (116.2, 39.2, 116.7, 39.7)
        run(src, "--kind", "class", "--box=" + ",".join(map(str, box)), "--cell", cell, "-o",
            WORK / "k.tif")
        parts = np.array([sampled((codes == c).astype(float), 4e5, 45e5, 1000, 1000, "EPSG:32650",
                                  box, cell, "EPSG:4326", n)[0] for c in (1, 2, 5)])
        ranked = np.sort(parts, 0)
        clear = ranked[-1] - ranked[-2] > 0.05
        assert clear.mean() > 0.3
        assert (read(WORK / "k.tif") == np.array([1, 2, 5])[parts.argmax(0)])[clear].all(), cell


def test_mosaic():
    v = RNG.random((200, 400)).astype(np.float32)
    whole = raster("whole.tif", v, -20, 60, 0.1, 0.1)
    parts = [raster(f"part{i}.tif", v[r0:r1, c0:c1], -20 + 0.1 * c0, 60 - 0.1 * r0, 0.1, 0.1)
             for i, (r0, r1, c0, c1) in enumerate([(0, 77, 0, 400), (77, 200, 0, 130),
                                                   (77, 200, 130, 400)])]
    for kind in ("intensive", "extensive"):
        args = ("--kind", kind, "--box=-20,40,20,60", "--cell", "0.8", "--min-valid", 0.9, "-o")
        one, many = WORK / "one.tif", WORK / "many.tif"
        a, b = closed(run(whole, *args, one)), closed(run(*parts, *args, many))
        near(read(many), read(one), 2e-7, kind)
        assert abs(a["out"] - b["out"]) <= 1e-12 * a["out"] and b["lost_to_nodata"] == 0


def test_copy():
    """The target is the file's own grid, a turn further."""
    v = RNG.random((90, 180)).astype(np.float32)
    src = raster("copy.tif", v, -180, 90, 2, 2)
    r = run(src, "--kind", "intensive", "--box=180,-90,540,90", "--cell", 2, "-o", WORK / "c.tif")
    closed(r)
    assert (read(WORK / "c.tif") == v).all()
    run(src, "--kind", "extensive", "--like", WORK / "c.tif", "-o", WORK / "d.tif")
    assert (read(WORK / "d.tif") == v).all()


def test_presets():
    src = raster("p.tif", np.ones((180, 360), np.float32), -180, 90, 1, 1)

    def grid(name, box, code=0):
        return run(src, "--kind", "intensive", "--preset", name, f"--box={box}", "-o",
                   WORK / "p-out.tif", code=code)

    for name, box, crs, cell in (("city", "116,39.5,117,40.3", 32650, 1000),
                                 ("city", "-71,-34,-70,-33", 32719, 1000),
                                 ("city", "179.6,-17,-179.7,-16.5", 32760, 1000),
                                 ("park", "9.001,50.001,9.02,50.02", 32632, 100)):
        g = grid(name, box)["grid"]
        assert g["crs"] == f"EPSG:{crs}", g
        w, s, e, n = map(float, box.split(","))
        e += 360 if e < w else 0
        lon, lat = np.linspace(w, e, 101), np.linspace(s, n, 101)
        ring = [(a, b) for a in lon for b in (s, n)] + [(a, b) for a in (w, e) for b in lat]
        xy = np.array(transform("EPSG:4326", g["crs"]).TransformPoints(ring))[:, :2]
        low, high = xy.min(0), xy.max(0)
        assert (np.array(g["box"]) % cell == 0).all(), g
        assert (low >= g["box"][:2]).all() and (low - cell < np.array(g["box"][:2]) + 2).all(), g
        assert (high <= g["box"][2:]).all() and (high + cell > np.array(g["box"][2:]) - 2).all(), g
    g = grid("county", "116.03,39.5,117,40.35")["grid"]
    assert g["crs"] == "EPSG:4326" and (g["nx"], g["ny"]) == (10, 9), g
    for name, box, word in (("cty", "0,0,1,1", "city"), ("city", "0,0,20,1", "12"),
                            ("city", "0,80,1,85", "84")):
        assert word in grid(name, box, 2)


def test_damage_and_refusals():
    v = RNG.random((1024, 1024)).astype(np.float32)
    src = raster("good.tif", v, 0, 50, 0.01, 0.01,
                 options=["TILED=YES", "BLOCKXSIZE=256", "BLOCKYSIZE=256", "COMPRESS=DEFLATE"])
    data = bytearray(src.read_bytes())
    d = gdal.Open(str(src))
    offset = int(d.GetRasterBand(1).GetMetadataItem("BLOCK_OFFSET_2_1", "TIFF"))
    size = int(d.GetRasterBand(1).GetMetadataItem("BLOCK_SIZE_2_1", "TIFF"))
    data[offset:offset + size] = bytes(size)
    bad = WORK / "bad.tif"
    bad.write_bytes(data)
    out = WORK / "partial.tif"
    box = ("--box=0,39.76,10.24,50", "--cell", "0.01")
    run(src, "--kind", "intensive", "--box=0,39.76,10.24,50", "--cell", 0.005, "-o", WORK / "f.tif")
    r = run(bad, "--kind", "intensive", "--box=0,39.76,10.24,50", "--cell", 0.005, "-o", out,
            code=5)
    got, want = read(out), read(WORK / "f.tif")
    hole = np.isnan(got)
    assert r["blocks"]["unread"] == 4 and hole.sum() == 4 * 256 * 256, r
    assert hole[512:1024, 1024:1536].all() and (got == want)[~hole].all()
    for args, word in (((src, "--box=0,0,1,1", "--cell", 1, "-o", out), "--kind"),
                       ((src, "--kind", "mean", *box, "-o", out), "not one of"),
                       ((src, "--kind", "class", *box), "-o"),
                       ((src, "--kind", "class", "-o", out), "--like"),
                       ((src, "--kind", "intensive", "--box=0,0,1,1", "--cell", "1 km", "-o", out),
                        "degrees"),
                       ((src, "--kind", "intensive", *box, "--min-valid", 2, "-o", out), "share"),
                       ((src, "--kind", "intensive", *box, "-o", src), "inputs")):
        text = run(*args, code=2)
        assert word in text, (args, text)
    text = run(src, "--kind", "intensive", "--box=100,0,101,1", "--cell", 1, "-o",
               WORK / "none.tif", code=4)
    assert "no cell" in text and not (WORK / "none.tif").exists()


def test_own_extent():
    """Without --box: the system of the rasters and the box around them, out to whole cells."""
    v = RNG.random((60, 80))
    a = raster("own.tif", v, 10, 50, 0.1, 0.1)
    b = raster("beside.tif", v, 18, 50, 0.1, 0.1)
    m = raster("metres.tif", v, 500000, 5000000, 1000, 1000, crs="EPSG:32632")
    out = WORK / "own_out.tif"

    def box(*args):
        grid = run(*args, "--kind", "intensive", "-o", out)["grid"]
        return grid["crs"], np.round(grid["box"], 9).tolist()

    assert box(a, "--cell", "0.25") == ("EPSG:4326", [10, 44, 18, 50])
    assert box(a, b, "--cell", "0.7") == ("EPSG:4326", [9.8, 43.4, 26.6, 50.4])
    assert box(a, "--preset", "county") == ("EPSG:4326", [10, 44, 18, 50])
    assert box(m, "--cell", "7 km") == ("EPSG:32632", [497000, 4935000, 581000, 5005000])
    out.unlink()
    lonlat = ["--cell", "0.1", "--crs", "EPSG:4326"]
    for word, args in {"--box W,S,E,N is needed with --crs": [m, *lonlat],
                       "in degrees is needed": [m, "--preset", "city"],
                       "have different systems": [a, m, "--cell", "0.1"],
                       "does not go with --like": [a, "--like", b, "--box=0,0,1,1"]}.items():
        text = run(*args, "--kind", "intensive", "-o", out, code=2)
        assert word in text and not out.exists(), text
    text = run(a, "--cell", "0.1", "--kind", "intensive", "-o", WORK / "own.png", code=2)
    assert "does not end in .tif or .tiff" in text, text
    text = run(a, "--cell", "1e-8", "--kind", "intensive", "--memory", "1G", "-o", out, code=1)
    assert "its edges need" in text and "the memory budget" in text, text


def test_info():
    """`skyflux info` of a raster against numpy."""
    v = RNG.random((300, 520)) * 9
    v[3:40, 270:] = -1
    path = raster("info.tif", v, 10, 50, 0.01, 0.02, nodata=-1)
    told = json.loads(subprocess.run([SKY, "info", "--json", str(path)], capture_output=True,
                                     text=True, check=True).stdout)
    seen = v[v >= 0]
    want = {"product": "raster", "crs": "EPSG:4326", "columns": 520, "rows": 300, "type": "Float64",
            "nodata": -1, "valid": seen.size, "min": seen.min(), "max": seen.max()}
    assert {k: told[k] for k in want} == want, told
    assert abs(told["mean"] / seen.mean() - 1) < 1e-13, told
    assert np.allclose(told["bbox"], [10, 44, 15.2, 50]) and np.allclose(told["cell"], [0.01, 0.02])


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    for name, test in list(globals().items()):
        if name.startswith("test_") and (len(sys.argv) < 6 or name[5:] in sys.argv[5:]):
            test()
            print(name, "ok")


main()
