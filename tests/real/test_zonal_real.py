"""`skyflux zonal` on real rasters: land cover of two years, biomass in strips of one line, counties
in NAD27. Arguments: binary, data folder, work folder, source root."""
import csv
import io
import pathlib
import resource
import subprocess
import sys

import numpy as np
from osgeo import gdal, ogr, osr

BINARY, DATA, WORK = sys.argv[1], pathlib.Path(sys.argv[2]) / "data", pathlib.Path(sys.argv[3])
gdal.UseExceptions()
ogr.UseExceptions()
PROJ = 2e-9  # PROJ inverts the authalic latitude by a series that is good to 1e-9


def run(*args):
    r = subprocess.run([BINARY, "zonal", *map(str, args), "--progress", "none"],
                       capture_output=True, text=True)
    assert r.returncode == 0, (args, r.returncode, r.stderr)
    lines = [line for line in r.stdout.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(lines)))), r.stderr


def close(got, want, tolerance, what):
    assert abs(float(got) - want) <= tolerance * max(abs(want), 1e-30), (what, got, want)


def box_zones(name, boxes, t, srs):
    path = WORK / name
    d = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = d.CreateLayer("zones", srs, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    for key, (x0, y0, x1, y1) in boxes.items():
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)):
            ring.AddPoint_2D(t[0] + x * t[1], t[3] + y * t[5])
        g = ogr.Geometry(ogr.wkbPolygon)
        g.AddGeometry(ring)
        f = ogr.Feature(layer.GetLayerDefn())
        f["code"] = key
        f.SetGeometry(g)
        layer.CreateFeature(f)
    return path


def test_land_cover():
    """Two maps, codes as ESA CCI has them stored as Float32, no nodata value: all cells count."""
    maps = [DATA / "landcover" / f"motif_landcover{y}.tif" for y in (2001, 2015)]
    data = gdal.Open(str(maps[0]))
    rng = np.random.default_rng(1)
    boxes = {}
    for i in range(40):
        x0, y0 = rng.integers(0, 7000), rng.integers(0, 3500)
        boxes[f"z{i}"] = (x0, y0, x0 + rng.integers(1, 350), y0 + rng.integers(1, 300))
    boxes["all"] = (0, 0, 7360, 3812)
    boxes["half"] = (100.5, 200, 101.5, 201)  # two half cells
    z = box_zones("boxes.gpkg", boxes, data.GetGeoTransform(), data.GetSpatialRef())
    rows, log = run(*maps, z, "--id", "code", "--categories")
    for m in maps:
        assert f"{m}: no nodata value and no mask, so every cell counts" in log, log
        assert f"{m}: classes are stored as Float32" in log, log
    one, two = (gdal.Open(str(m)).ReadAsArray().astype(np.int64) for m in maps)
    got = {}
    for r in rows:
        key = (int(r["class_motif_landcover2001"]), int(r["class_motif_landcover2015"]))
        got.setdefault(r["zone_id"], {})[key] = r
    for key, (x0, y0, x1, y1) in boxes.items():
        if key == "half":
            want = {}
            for x in (100, 101):
                pair = (one[200, x], two[200, x])
                want[pair] = want.get(pair, 0) + 0.5
        else:
            code, count = np.unique(one[y0:y1, x0:x1] * 1000 + two[y0:y1, x0:x1],
                                    return_counts=True)
            want = {(c // 1000, c % 1000): n for c, n in zip(code, count)}
        assert set(want) == set(got[key]), key
        for pair, n in want.items():
            close(got[key][pair]["count"], n, 1e-9, (key, pair))
            close(got[key][pair]["area_ha"], n * 9.0, PROJ, (key, pair))  # an equal-area projection
        close(sum(float(r["share"]) for r in got[key].values()), 1, 1e-12, key)
    assert len(got["all"]) > 100


def band_area(t, rows):
    e2 = (2 - 1 / 298.257223563) / 298.257223563
    e, b = np.sqrt(e2), 6378137 * (1 - 1 / 298.257223563)
    phi = np.radians(t[3] + np.arange(rows + 1) * t[5])
    s = np.sin(phi)
    z = b * b / 2 * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
    return (z[:-1] - z[1:]) * np.radians(t[1])


def test_biomass():
    path = next((DATA / "biomass").glob("*aboveground_biomass_ha*.tif"))
    data = gdal.Open(str(path))
    assert data.GetRasterBand(1).GetBlockSize() == [40000, 1]
    value = data.ReadAsArray().astype(float)
    t, nodata = data.GetGeoTransform(), data.GetRasterBand(1).GetNoDataValue()
    boxes = {"left": (0, 0, 20000, 20), "right": (20000, 0, 40000, 20), "some": (36000, 3, 39999, 17)}
    z = box_zones("strips.gpkg", boxes, t, data.GetSpatialRef())
    rows, _ = run(path, z, "--id", "code", "--stats", "count,area,sum,integral,mean,stdev,min,max")
    areas = np.repeat(band_area(t, 20)[:, None], 40000, 1)
    seen = 0
    for r in rows:
        x0, y0, x1, y1 = boxes[r["zone_id"]]
        v, a = value[y0:y1, x0:x1], areas[y0:y1, x0:x1]
        good = v != nodata
        v, a = v[good], a[good]
        close(r["count"], len(v), 1e-9, r)
        if len(v) == 0:
            assert r["mean"] == "" and r["reason"] == "no cell with a value", r
            continue
        seen += len(v)
        mean = (v * a).sum() / a.sum()
        close(r["area_ha"], a.sum() / 1e4, 1e-9, r)
        close(r["sum"], v.sum(), 1e-9, r)
        close(r["integral"], (v * a).sum(), 1e-9, r)
        close(r["mean"], mean, 1e-9, r)
        close(r["stdev"], np.sqrt((a * (v - mean) ** 2).sum() / a.sum()), 1e-8, r)
        close(r["min"], v.min(), 0, r)
        close(r["max"], v.max(), 0, r)
    assert seen > 10000, seen
    # The same lines fifty times: each is read once (and the file once for its checksum), whatever
    # the tile, and in about the time that GDAL itself takes for them.
    tall = WORK / "tall.tif"
    compress = data.GetMetadataItem("COMPRESSION", "IMAGE_STRUCTURE") or "DEFLATE"
    d = gdal.GetDriverByName("GTiff").Create(str(tall), 40000, 1000, 1, data.GetRasterBand(1).DataType,
                                             [f"COMPRESS={compress}", "BLOCKYSIZE=1"])
    d.SetGeoTransform((t[0], t[1], 0, t[3], 0, t[5]))
    d.SetSpatialRef(data.GetSpatialRef())
    d.GetRasterBand(1).SetNoDataValue(nodata)
    for k in range(50):
        d.GetRasterBand(1).WriteArray(data.ReadAsArray(), 0, 20 * k)
    del d
    z = box_zones("tall.gpkg", {"all": (0, 0, 40000, 1000)}, t, data.GetSpatialRef())
    small = WORK / "small.tif"
    gdal.Translate(str(small), str(tall), width=256, height=256)
    start = bytes_read(small, z, 1024)
    for tile in (256, 1024):
        read = bytes_read(tall, z, tile) - start
        assert read < 2.5 * tall.stat().st_size, (tile, read, tall.stat().st_size)
    ours = min(cpu(BINARY, "zonal", tall, z, "--id", "code", "-q") for _ in range(3))
    gdals = min(cpu("gdalinfo", "-checksum", tall) for _ in range(3))
    print(f"strips: {ours:.2f} s of CPU, gdalinfo -checksum {gdals:.2f} s")
    assert ours < 3 * gdals + 0.2, (ours, gdals)


def cpu(*args):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*map(str, args)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bytes_read(path, z, tile):
    """By all read calls of the command; a shell's counters hold those of its children."""
    text = subprocess.run(["bash", "-c", '"$@" >/dev/null; cat /proc/$$/io', "-", BINARY, "zonal", path,
                           z, "--id", "code", "--tile", str(tile), "--threads", "1", "-q"],
                          capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("rchar"))


def test_counties():
    """100 counties in NAD27 on a WGS 84 grid: placed as GDAL's datum shift has it, and of the right
    size: within 0.5 % of the file's own areas' proportions, and of North Carolina's known area."""
    path = DATA / "boundaries" / "us_nc_counties.gpkg"
    t = (-85, .01, 0, 37, 0, -.01)
    raster = WORK / "lon.tif"
    lon = np.repeat((-85 + .01 * (np.arange(1000) + .5))[None, :], 400, 0)
    d = gdal.GetDriverByName("GTiff").Create(str(raster), 1000, 400, 1, gdal.GDT_Float64)
    wgs = osr.SpatialReference()
    wgs.ImportFromEPSG(4326)
    wgs.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    d.SetGeoTransform(t)
    d.SetSpatialRef(wgs)
    d.GetRasterBand(1).WriteArray(lon)
    d = None
    rows, _ = run(raster, path, "--id", "FIPS", "--name", "NAME", "--stats", "mean,area",
                  "--weights", "planar")
    assert len(rows) == 100
    source = ogr.Open(str(path))
    layer = source.GetLayer(0)
    srs = layer.GetSpatialRef()
    srs.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    shift = osr.CoordinateTransformation(srs, wgs)
    by_id = {r["zone_id"]: r for r in rows}
    total, moved = 0, 0
    for f in layer:
        r = by_id[f["FIPS"]]
        g = f.GetGeometryRef().Clone()
        before = g.Centroid().GetX()
        g.Segmentize(0.1)
        g.Transform(shift)
        assert r["zone_name"] == f["NAME"]
        # planar weights: the mean longitude differs from the centroid's by the cells only
        assert abs(float(r["mean"]) - g.Centroid().GetX()) < 1e-4, (r, g.Centroid().GetX())
        moved = max(moved, abs(before - g.Centroid().GetX()))
        assert float(r["coverage"]) == 1 and r["reason"] == ""
        total += float(r["zone_area_ha"])
    assert moved > 1e-4  # the datum shift, ~20 m
    # Every vertex stands where gdaltransform puts it.
    out = WORK / "moved.gpkg"
    subprocess.run([BINARY, "zonal", raster, path, "--id", "FIPS", "-o", out, "-q"], check=True,
                   capture_output=True)
    written = ogr.Open(str(out))
    placed = {f["zone_id"]: points_of(f.GetGeometryRef()) for f in written.GetLayer(0)}
    layer.ResetReading()
    given = {f["FIPS"]: points_of(f.GetGeometryRef()) for f in layer}
    lines = "".join(f"{x:.17g} {y:.17g}\n" for k in sorted(given) for x, y in given[k])
    text = subprocess.run(["gdaltransform", "-s_srs", "EPSG:4267", "-t_srs", "EPSG:4326",
                           "-output_xy"], input=lines, capture_output=True, text=True,
                          check=True).stdout
    want, at, farthest = [tuple(map(float, x.split())) for x in text.splitlines()], 0, 0
    for k in sorted(given):
        ours = np.array(placed[k])
        for x, y in want[at:at + len(given[k])]:
            farthest = max(farthest, np.abs(ours - (x, y)).max(axis=1).min())
        at += len(given[k])
    assert at == len(want) and farthest < 1e-9, farthest  # degrees
    assert abs(total / 100 / 127000 - 1) < 0.02, total  # km2, of the outlines (land and sounds)


def points_of(g):
    if g.GetGeometryCount() == 0:
        return [p[:2] for p in g.GetPoints()]
    return [p for i in range(g.GetGeometryCount()) for p in points_of(g.GetGeometryRef(i))]


def main():
    if not (DATA / "landcover" / "motif_landcover2001.tif").is_file():
        print("skipped: no", DATA)
        return 77
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    test_land_cover()
    test_biomass()
    test_counties()
    return 0


sys.exit(main())
