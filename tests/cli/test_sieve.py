"""`skyflux sieve` against scipy's labels and the rule written once more; maps in degrees; nodata;
threads; a real map; and the filtered maps in `sink`.

Arguments: binary, data folder, work folder, source root."""
import json
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr
from scipy import ndimage

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
REAL = pathlib.Path(sys.argv[2]) / "data" / "landcover" / "motif_landcover2015.tif"
gdal.UseExceptions()
CEA = "+proj=cea +lat_ts=0 +lon_0=0 +datum=WGS84 +units=m +no_defs"


def raster(name, values, transform=(0, 100, 0, 1e5, 0, -100), crs=CEA, kind=gdal.GDT_Byte, nodata=255):
    values = np.asarray(values)
    data = gdal.GetDriverByName("GTiff").Create(str(WORK / name), values.shape[1], values.shape[0], 1, kind)
    srs = osr.SpatialReference()
    srs.SetFromUserInput(crs)
    data.SetGeoTransform(transform)
    data.SetProjection(srs.ExportToWkt())
    data.GetRasterBand(1).SetNoDataValue(nodata)
    data.GetRasterBand(1).WriteArray(values)
    return WORK / name


def read(path):
    return gdal.Open(str(path)).ReadAsArray().astype(int)


def run(*args, code=0, command="sieve"):
    r = subprocess.run([BINARY, command, *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


def label(values, nodata, diagonal):
    """Patches 0..n-1 of all classes; -1 nodata."""
    out, n = np.full(values.shape, -1), 0
    for c in np.unique(values[values != nodata]):
        part, k = ndimage.label(values == c, np.ones((3, 3)) if diagonal else None)
        out[part > 0] = part[part > 0] - 1 + n
        n += k
    return out, n


def expected(values, area, minimum, nodata=255, diagonal=False):
    patch, n = label(values, nodata, diagonal)
    inside = patch >= 0
    size = np.bincount(patch[inside], np.broadcast_to(area, values.shape)[inside], n)
    cls = np.zeros(n, int)
    cls[patch[inside]] = values[inside]
    around = {}
    for a, b in ((patch[:, :-1], patch[:, 1:]), (patch[:-1], patch[1:])):
        edge = (a != b) & (a >= 0) & (b >= 0)
        for p, q in zip(a[edge], b[edge]):
            for one, other in ((p, q), (q, p)):
                around.setdefault(one, {}).setdefault(other, 0)
                around[one][other] += 1
    settled = size >= minimum * (1 - 1e-6)
    small = int((~settled).sum())
    while True:
        new = {}
        for p in np.flatnonzero(~settled):
            votes = {}
            for q, length in around.get(p, {}).items():
                if settled[q]:
                    votes[cls[q]] = votes.get(cls[q], 0) + length
            if votes:
                new[p] = min(votes, key=lambda c: (-votes[c], c))
        if not new:
            break
        for p, c in new.items():
            cls[p] = c
            settled[p] = True
    out = values.copy()
    out[inside] = cls[patch[inside]]
    return out, n, small, int((~settled).sum())


def patchy(seed, shape, classes, smooth):
    rng = np.random.default_rng(seed)
    field = np.stack([ndimage.gaussian_filter(rng.random(shape), smooth) for _ in classes])
    values = np.asarray(classes)[field.argmax(0)]
    noise = rng.random(shape) < 0.08
    values[noise] = rng.choice(classes, noise.sum())
    values[ndimage.gaussian_filter(rng.random(shape), 3) > 0.53] = 255
    return values.astype(np.uint8)


def check(name, values, area, minimum, transform=(0, 100, 0, 1e5, 0, -100), crs=CEA, diagonal=False):
    source, out = raster(f"{name}.tif", values, transform, crs), WORK / f"{name}_out.tif"
    extra = ["--diagonal"] if diagonal else []
    report = json.loads(run(source, "--minimum", minimum, "-o", out, "--json", *extra))
    want, n, small, kept = expected(values.astype(int), area, minimum, diagonal=diagonal)
    got = read(out)
    assert (report["patches"], report["small"], report["kept"]) == (n, small, kept), (report, n, small, kept)
    assert np.array_equal(got, want), (name, np.argwhere(got != want)[:5])
    changed = np.broadcast_to(area, values.shape)[values != want].sum()
    assert report["changed_ha"] >= changed - 1e-6 and changed > 0
    for threads in (1, 5):
        again = WORK / f"{name}_again.tif"
        run(source, "--minimum", minimum, "-o", again, "--threads", threads, *extra)
        assert again.read_bytes() == out.read_bytes()
    print(f"{name}: {n} patches, {small} small, {kept} kept, {report['rounds']} rounds, {changed:.6g} ha changed")
    return source, out


def authalic(lat):
    e2 = 0.0066943799901413165
    e, a, s = np.sqrt(e2), 6378137.0, np.sin(np.radians(lat))
    return 0.5 * a * a * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    big = patchy(1, (300, 530), (1, 3, 7, 11), 2.5)  # across blocks of 256
    source, _ = check("metres", big, 1.0, 6)
    check("corners", big, 1.0, 6, diagonal=True)
    check("noise", np.random.default_rng(2).integers(1, 4, (150, 300)).astype(np.uint8), 1.0, 9)
    step = 0.001
    rows = 60 + 2.0 - np.arange(2001) * step  # cells shrink by 6 % from south to north
    area = ((authalic(rows[:-1]) - authalic(rows[1:])) * np.radians(step) / 1e4)[:, None]
    tall = patchy(3, (2000, 40), (1, 7), 2)
    limit = float(round(area.mean() * 6, 9))  # six cells of the middle: enough in the south alone
    check("degrees", tall, area, limit, (10, step, 0, rows[0], 0, -step), "EPSG:4326")
    # By hand: a patch in a ring, a tie (lowest code), an islet in nodata.
    hand = np.full((8, 12), 3, np.uint8)
    hand[2, 2] = 7
    hand[:, 6:] = 1
    hand[4, 5:7] = 11      # 3 edges with class 3, 3 with class 1
    hand[6:, 10:] = 255
    hand[7, 11] = 7
    out = WORK / "hand_out.tif"
    text = run(raster("hand.tif", hand), "--minimum", 3, "-o", out)
    want = hand.copy()
    want[2, 2] = 3
    want[4, 5:7] = 1
    assert np.array_equal(read(out), want), read(out)
    assert "without a large patch to go to: 1, 1" in text, text
    run(WORK / "hand.tif", "--minimum", 3, "-o", out, "--mask")
    masked = hand.copy()
    masked[2, 2] = masked[4, 5:7] = masked[7, 11] = 255
    assert np.array_equal(read(out), masked)
    wide = raster("wide.tif", np.where(hand == 255, -9, hand.astype(int) * 100), kind=gdal.GDT_Int16, nodata=-9)
    run(wide, "--minimum", 3, "-o", out)
    data = gdal.Open(str(out))
    assert data.GetRasterBand(1).DataType == gdal.GDT_Int32
    assert np.array_equal(data.ReadAsArray()[want != 255], want[want != 255].astype(int) * 100)
    # Errors.
    for args, part in ((["--minimum", 0, "-o", out], "--minimum: '0'"), (["--minimum", 1], "-o is needed"),
                       (["-o", out], "--minimum is needed"), (["--minimum", 1, "-o", "x.csv"], "NAME.tif"),
                       (["--minimum", 1, "-o", source], "is the map itself")):
        assert part in run(source, *args, code=2), args
    assert "nowhere.tif" in run(WORK / "nowhere.tif", "--minimum", 1, "-o", out, code=3)
    message = run(source, "--minimum", 1, "-o", WORK / "no.tif", "--memory", "100K", code=1)
    assert "memory budget of 0.102 MB (--memory)" in message and not (WORK / "no.tif").exists(), message
    # Noise between two maps of one landscape: what the filter leaves is less, not nothing.
    base = patchy(4, (300, 300), (1, 7), 4)
    rng = np.random.default_rng(5)
    maps, change = [], []
    for k in range(2):
        v = base.copy()
        wrong = (rng.random(v.shape) < 0.05) & (v != 255)
        v[wrong] = 8 - v[wrong]
        maps.append(raster(f"n{k}.tif", v, (0, 100, 0, 30000, 0, -100)))
        run(maps[k], "--minimum", 10, "-o", WORK / f"n{k}_10ha.tif")
    (WORK / "l.csv").write_text("code,name,class\n1,f,1\n7,c,7\n")
    from osgeo import ogr
    srs = osr.SpatialReference()
    srs.SetFromUserInput(CEA)
    zones = ogr.GetDriverByName("GPKG").CreateDataSource(str(WORK / "z.gpkg"))
    layer = zones.CreateLayer("z", srs, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    feature = ogr.Feature(layer.GetLayerDefn())
    feature["code"] = "z"
    feature.SetGeometry(ogr.CreateGeometryFromWkt("POLYGON((0 0,30000 0,30000 30000,0 30000,0 0))"))
    layer.CreateFeature(feature)
    zones = layer = None
    for pair in (maps, [WORK / f"n{k}_10ha.tif" for k in range(2)]):
        areas = WORK / "areas.csv"
        run(*pair, WORK / "z.gpkg", "--id", "code", "--years", "2000,2010", "--legend", WORK / "l.csv",
            "--factors", "ipcc-subtropical-humid", "--areas", areas, command="sink")
        lines = [x.split(",") for x in areas.read_text().splitlines() if x.startswith("z,")]
        change.append(sum(float(x[-1]) for x in lines if x[1] and x[1] != x[2]))
    print("change between two maps of one truth, ha: as mapped", change[0], "after the filter", change[1])
    assert 0 < change[1] < 0.3 * change[0]
    if REAL.is_file():
        out = WORK / "real.tif"
        report = json.loads(run(REAL, "--minimum", 100, "-o", out, "--json"))
        window = (1500, 1000, 400, 300)
        assert report["small"] > 0 and report["changed_ha"] > 0
        print("real map:", report, gdal.Open(str(out)).ReadAsArray(*window).shape)
    else:
        print("real map: skipped, no", REAL)


main()
