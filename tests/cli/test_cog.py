"""The COG stream against GDAL and numpy: pixels, overviews, layout, sidecars, resume.

Arguments: binary, data folder, work folder, source folder, cog_copy, pixels | resume | mosaics."""
import filecmp
import functools
import itertools
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

import numpy as np
from osgeo import gdal, osr

# Debian's python3-gdal brings the validator.
from osgeo_utils.samples import validate_cloud_optimized_geotiff as validator

gdal.UseExceptions()
work, copier = sys.argv[3], sys.argv[5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
TYPES = {"float32": ("f4", gdal.GDT_Float32, None), "uint8": ("u1", gdal.GDT_Byte, 255),
         "uint16": ("u2", gdal.GDT_UInt16, 65535), "int16": ("i2", gdal.GDT_Int16, -32768),
         "int32": ("i4", gdal.GDT_Int32, -2**31)}
counter = itertools.count()


def path(name=""):
    return f"{work}/{name or f'raster-{next(counter)}-'}.tif"


def source(value, kind, nodata=None):
    """A plain GeoTIFF of an array."""
    name = path()
    d = gdal.GetDriverByName("GTiff").Create(name, value.shape[1], value.shape[0], 1, kind)
    d.SetGeoTransform((500000, 30, 0, 4000000, 0, -30))
    s = osr.SpatialReference()
    s.ImportFromEPSG(32650)
    d.SetSpatialRef(s)
    if nodata is not None:
        d.GetRasterBand(1).SetNoDataValue(nodata)
    d.GetRasterBand(1).WriteArray(value)
    d = None
    return name


def copy(source_name, out=None, code=0, **options):
    out = out or path()
    command = [copier, source_name, out] + [f"{k}={v}" for k, v in options.items()]
    r = subprocess.run(command, capture_output=True, text=True)
    assert r.returncode == code, (command, r.returncode, r.stderr)
    return (out, r.stderr, int(r.stdout.split()[0])) if code == 0 else (out, r.stderr, None)



def validate(name):
    warnings, errors, _ = validator.validate(name, full_check=True)
    assert not errors and not warnings, (name, errors, warnings)
    d = gdal.Open(name)
    assert d.GetMetadata("IMAGE_STRUCTURE")["LAYOUT"] == "COG", name
    return d


def read(band):
    """Doubles with NaN where there is nodata."""
    v = band.ReadAsArray().astype(float)
    none = band.GetNoDataValue()
    v[v == none] = np.nan
    return v


def padded(value, f):
    ny, nx = -(-value.shape[0] // f) * f, -(-value.shape[1] // f) * f
    p = np.full((ny, nx), np.nan)
    p[:value.shape[0], :value.shape[1]] = value
    return p.reshape(ny // f, f, nx // f, f).swapaxes(1, 2).reshape(ny // f, nx // f, f * f)


def overview(value, f, kind):
    cells = padded(value, f)
    empty = np.isnan(cells).all(axis=2)
    if kind == "class":
        out = np.full(empty.shape, np.nan)
        best = np.zeros(empty.shape)
        for code in np.unique(value[~np.isnan(value)]):  # ascending: ties go to the smallest
            n = (cells == code).sum(axis=2)
            out[n > best], best = code, np.maximum(best, n)
        return out
    out = np.nansum(cells, axis=2)
    if kind == "mean":
        out = out / np.maximum((~np.isnan(cells)).sum(axis=2), 1)
    out[empty] = np.nan
    return out


def check(name, value, kind, dtype):
    """The file holds the values, its overviews what numpy makes of them, and true statistics."""
    d = validate(name)
    band = d.GetRasterBand(1)
    assert np.array_equal(read(band), value, equal_nan=True), name
    side, n = max(value.shape), 0
    while -(-side // 2**n) > 512:
        n += 1
    assert band.GetOverviewCount() == n, (name, band.GetOverviewCount(), n)
    for k in range(n):
        want, got = overview(value, 2**(k + 1), kind), read(band.GetOverview(k))
        if dtype == "float32":
            with np.errstate(over="ignore"):
                assert np.allclose(got, want.astype("f4"), rtol=1.2e-7, atol=0, equal_nan=True), k
        elif kind == "mean":
            assert np.array_equal(got, np.rint(want), equal_nan=True), (name, k)
        else:
            assert np.array_equal(got, want, equal_nan=True), (name, k)
    meta = band.GetMetadata()
    valid = value[~np.isnan(value)]
    assert abs(float(meta["STATISTICS_VALID_PERCENT"]) - 100 * valid.size / value.size) < 1e-9
    assert ("STATISTICS_MEAN" in meta) == (valid.size > 0)
    if valid.size:
        assert float(meta["STATISTICS_MINIMUM"]) == valid.min()
        assert float(meta["STATISTICS_MAXIMUM"]) == valid.max()
        assert abs(float(meta["STATISTICS_MEAN"]) / valid.mean() - 1) < 1e-12
        assert np.isclose(float(meta["STATISTICS_STDDEV"]), valid.std(), rtol=1e-10, atol=1e-10)
    return d


def values(rng, ny, nx, dtype):
    y, x = np.mgrid[:ny, :nx]
    v = 300 + 90 * np.sin(x * 0.02) * np.cos(y * 0.03) + rng.normal(0, 5, (ny, nx))
    if dtype == "uint8":
        v = np.clip((v - 200) * 0.8, 0, 250)
    if dtype == "int16":
        v = v - 300
    v = v.astype(TYPES[dtype][0]).astype(float)
    v[rng.random((ny, nx)) < 0.2] = np.nan
    v[100:400, 200:500] = np.nan
    return v


def stored(value, dtype):
    none = TYPES[dtype][2]
    return value.astype("f4") if none is None else np.where(np.isnan(value), none, value)


def types_and_codecs():
    rng = np.random.default_rng(1)
    for dtype, codec in itertools.product(TYPES, ("deflate", "zstd")):
        v = values(rng, 700, 1100, dtype)
        src = source(stored(v, dtype), TYPES[dtype][1], TYPES[dtype][2])
        out, _, _ = copy(src, type=dtype, codec=codec)
        d = check(out, v, "mean", dtype)
        assert d.GetMetadata("IMAGE_STRUCTURE")["COMPRESSION"] == codec.upper()
        assert d.GetGeoTransform() == (500000, 30, 0, 4000000, 0, -30)
        assert d.GetSpatialRef().GetAuthorityCode(None) == "32650"
        assert d.GetMetadata()["JOB_SHA256"] == "0123"
        b = d.GetRasterBand(1)
        assert b.GetUnitType() == "kg" and b.GetDescription() == "invented"
        assert b.GetBlockSize() == [512, 512]
        assert not os.path.exists(out + ".aux.xml") and os.path.exists(out[:-4] + ".qml")


def kinds():
    rng = np.random.default_rng(2)
    v = values(rng, 1030, 2100, "float32")
    check(copy(source(v.astype("f4"), gdal.GDT_Float32), kind="sum")[0], v, "sum", "float32")
    smooth = np.kron(rng.integers(0, 9, (103, 160)), np.ones((10, 10)))
    noise = rng.integers(0, 20, (1030, 1600)).astype(float)
    for c, dtypes in ((smooth, ("uint8", "float32")), (noise, ("int32",))):
        c[rng.random(c.shape) < 0.05] = np.nan
        for dtype in dtypes:
            src = source(stored(c, dtype), TYPES[dtype][1], TYPES[dtype][2])
            check(copy(src, kind="class", type=dtype)[0], c, "class", dtype)


def sizes():
    rng = np.random.default_rng(3)
    for ny, nx in [(1, 1), (255, 256), (256, 257), (257, 511), (512, 512), (513, 512), (511, 513),
                   (513, 1025), (1, 2049), (3000, 1)]:
        v = values(rng, ny, nx, "float32")
        check(copy(source(v.astype("f4"), gdal.GDT_Float32))[0], v, "mean", "float32")


def nodata():
    v = np.full((1100, 700), np.nan)
    for dtype in ("float32", "uint8"):
        src = source(stored(v, dtype), TYPES[dtype][1], TYPES[dtype][2])
        out = copy(src, type=dtype)[0]
        check(out, v, "mean", dtype)
        assert os.path.getsize(out) < 4000  # tiles of nodata take no room
    v = values(np.random.default_rng(4), 1800, 1500, "float32")
    src = source(v.astype("f4"), gdal.GDT_Float32)
    for y in range(0, 1800, 256):
        for x in range(0, 1500, 256):
            if (y // 256 * 7 + x // 256) % 3 == 0:
                v[y:y + 256, x:x + 256] = np.nan
    check(copy(src, skip=3)[0], v, "mean", "float32")  # blocks that were never put
    # A value that is another nodata than the default.
    c = np.arange(600 * 600, dtype=float).reshape(600, 600) % 256
    c[c == 0] = np.nan
    src = source(np.nan_to_num(c), gdal.GDT_Byte, 0)
    out = copy(src, type="uint8", kind="class", nodata=0)[0]
    d = check(out, c, "class", "uint8")
    assert d.GetRasterBand(1).GetNoDataValue() == 0


def refusals():
    v = np.full((600, 600), 7.0)
    v[599 - 20, 530] = 255  # the default nodata of the type; cell (530, 20) from the south-west
    _, error, _ = copy(source(v, gdal.GDT_Float32), type="uint8", code=3)
    assert "cell (530, 20): 255 kg is no value of uint8 (0 to 255 without 255)" in error, error
    v[599 - 20, 530] = 1e5
    assert "(530, 20): 100000 kg" in copy(source(v, gdal.GDT_Float32), type="int16", code=3)[1]
    v[599 - 20, 530] = 1e300
    assert "does not fit in float32" in copy(source(v, gdal.GDT_Float64), code=3)[1]
    src = source(np.zeros((9, 9)), gdal.GDT_Float32)
    assert "extensive field is float32" in copy(src, type="int32", kind="sum", code=3)[1]
    assert "level 13 of DEFLATE (1 to 12)" in copy(src, level=13, code=3)[1]
    assert "cannot" in copy(src, out="/proc/x.tif", code=1)[1]


def same_bytes():
    rng = np.random.default_rng(5)
    v = values(rng, 1300, 1200, "float32")
    c = np.kron(rng.integers(0, 9, (130, 120)), np.ones((10, 10)))
    for value, options in [(v, {"level": 1}), (c, dict(type="uint8", kind="class", legend=1, codec="zstd"))]:
        dtype = options.get("type", "float32")
        src = source(stored(value, dtype), TYPES[dtype][1], TYPES[dtype][2])
        first = copy(src, threads=1, **options)[0]
        for threads, order in [(2, 0), (5, 0), (1, 7), (2, 8), (5, 9)]:
            other = copy(src, threads=threads, order=order, **options)[0]
            for a, b in [(first, other), (first[:-4] + ".qml", other[:-4] + ".qml"),
                         (first + ".aux.xml", other + ".aux.xml")]:
                if os.path.exists(a):
                    assert filecmp.cmp(a, b, shallow=False), (a, b)


def log_of(out):
    return f"{work}/.tiles.{os.path.basename(out)}"


def decoded(codec, dtype, kind):
    """What an earlier run compressed is read back, by each predictor, for the overviews."""
    v = values(np.random.default_rng(11), 1100, 1000, dtype)
    src = source(stored(v, dtype), TYPES[dtype][1], TYPES[dtype][2])
    options = dict(codec=codec, type=dtype, kind=kind, stamp="a")
    out = copy(src, kill=19, code=-9, **options)[0]
    assert copy(src, out, **options)[2] < 20
    check(out, v, kind, dtype)


def resume():
    decoded("deflate", "float32", "sum")
    decoded("zstd", "int16", "mean")
    decoded("deflate", "uint8", "class")
    quick = functools.partial(copy, codec="zstd")
    v = values(np.random.default_rng(6), 1800, 1600, "float32")
    src = source(v.astype("f4"), gdal.GDT_Float32)
    whole, _, n = quick(src, stamp="a")
    assert n == 56 and not os.path.exists(log_of(whole))
    for threads, order, kill in [(1, 0, 40), (2, 3, 50), (2, 0, 56)]:
        out = quick(src, stamp="a", threads=threads, order=order, kill=kill, code=-9)[0]
        assert not os.path.exists(out) and os.path.exists(log_of(out))
        torn = open(log_of(out), "rb").read()
        with open(log_of(out), "ab") as f:  # a record that was being written
            f.write(torn[-1000:])
        _, _, left = quick(src, out, stamp="a", threads=2)
        assert filecmp.cmp(out, whole, shallow=False) and not os.path.exists(log_of(out))
        assert left < 56, left
    # A spoiled byte: what is behind it is done again.
    out = quick(src, stamp="a", kill=56, code=-9)[0]
    with open(log_of(out), "r+b") as f:
        f.seek(os.path.getsize(log_of(out)) // 2)
        byte = f.read(1)
        f.seek(-1, 1)
        f.write(bytes([byte[0] ^ 1]))
    _, _, left = quick(src, out, stamp="a")
    assert 14 < left < 48 and filecmp.cmp(out, whole, shallow=False), left
    # Another stamp, other options, a fresh start: nothing is taken over.
    for options in (dict(stamp="b"), dict(stamp="a", level=1), dict(stamp="a", fresh=1), {}):
        out = quick(src, stamp="a", kill=50, code=-9)[0]
        assert quick(src, out, **options)[2] == 56, options
    # A stop that is no kill keeps the log if there is a stamp; without one nothing stays.
    out = quick(src, stamp="a", fail=50, code=1)[0]
    assert os.path.exists(log_of(out)) and not os.path.exists(out)
    _, _, left = quick(src, out, stamp="a")
    assert left < 56 and filecmp.cmp(out, whole, shallow=False)
    out = quick(src, fail=50, code=1)[0]
    assert not os.path.exists(log_of(out)) and not os.path.exists(out)


def full_disk():
    v = values(np.random.default_rng(7), 1500, 1500, "float32")
    src = source(v.astype("f4"), gdal.GDT_Float32)
    whole = copy(src)[0]
    size = os.path.getsize(whole)
    for limit in (100, size // 2, size - 100):
        before = sorted(os.listdir(work))
        _, error, _ = copy(src, limit=limit, code=1)
        assert "File too large" in error, error
        assert sorted(os.listdir(work)) == before  # not a byte stays
    out, error, _ = copy(src, limit=size // 2, stamp="a", code=1)
    _, _, left = copy(src, out, stamp="a")  # room was made: what was done counts
    assert left < 36 and filecmp.cmp(out, whole, shallow=False), left


def big():
    v = values(np.random.default_rng(8), 1500, 1500, "float32")
    src = source(v.astype("f4"), gdal.GDT_Float32)
    out = copy(src, classic=100000)[0]
    assert open(out, "rb").read(4) == b"II\x2b\0"
    check(out, v, "mean", "float32")


def classes():
    rng = np.random.default_rng(9)
    c = rng.choice([1.0, 2.0, 5.0, 6.0], (900, 800))
    out = copy(source(c, gdal.GDT_Byte, 255), type="uint8", kind="class", legend=1)[0]
    d = check(out, c, "class", "uint8")
    b = d.GetRasterBand(1)
    assert b.GetColorTable().GetColorEntry(2) == (230, 200, 40, 255)
    assert b.GetOverview(0).GetColorTable().GetColorEntry(5) == (0, 0, 200, 255)
    names = b.GetCategoryNames()
    assert names[1] == 'forest & "wood"' and names[5] == "water" and names[3] == ""
    rat = b.GetDefaultRAT()
    table = {rat.GetValueAsInt(i, 0): (rat.GetValueAsInt(i, 1), rat.GetValueAsString(i, 2))
             for i in range(rat.GetRowCount())}
    assert table[2] == ((c == 2).sum(), "crop <irrigated>") and table[9] == (0, "nowhere"), table
    entries = xml.parse(out[:-4] + ".qml").findall(".//paletteEntry")
    assert [e.get("value") for e in entries] == ["1", "2", "5"]
    assert entries[0].get("label") == 'forest & "wood"' and entries[1].get("color") == "#e6c828"


def styles():
    """The colours span the 2nd to the 98th percentile: of all cells, or of a fair sample."""
    rng = np.random.default_rng(10)
    for ny, nx in ((400, 500), (1500, 2000)):
        for kind in ("mean", "sum"):
            v = rng.normal(99, 10, (ny, nx)).astype("f4")
            out = copy(source(v, gdal.GDT_Float32), kind=kind)[0]
            r = xml.parse(out[:-4] + ".qml").find(".//rasterrenderer")
            low, high = float(r.get("classificationMin")), float(r.get("classificationMax"))
            want = np.percentile(v, (2, 98))
            assert abs(low - want[0]) < 0.2 and abs(high - want[1]) < 0.2, (low, high, want)


def wide():
    """A target beyond 65536 cells a side, from the command line: a VRT over two pieces."""
    src = source(np.array([[1.0, 2.0, 3.0, 4.0]]), gdal.GDT_Float32)
    out = path()
    box = "--box=500000,3999970,500120,4000000"
    r = subprocess.run([sys.argv[1], "regrid", src, "--kind", "intensive", "--crs", "EPSG:32650", box,
                        "--cell", "0.0015,15", "-o", out], capture_output=True, text=True)
    assert r.returncode == 0 and "over 2 pieces" in r.stderr, r.stderr
    d = gdal.Open(out[:-4] + ".vrt")
    assert (d.RasterXSize, d.RasterYSize) == (80000, 2) and len(os.listdir(out[:-4])) == 2 + 8
    b = d.GetRasterBand(1)
    v = b.ReadAsArray()
    assert np.array_equal(v, np.repeat([[1, 2, 3, 4]] * 2, 20000, axis=1).astype("f4"))
    last = b.GetOverview(7).ReadAsArray()
    assert last.shape == (1, 313) and last[0, 0] == 1 and last[0, 312] == 4


def tree(out):
    """Name and bytes of all files of a mosaic, their own name taken out."""
    stem = os.path.basename(out)[:-4]
    found = {}
    for name in [n for n in os.listdir(work) if n.startswith(stem + ".")]:
        found[name[len(stem):]] = open(f"{work}/{name}", "rb").read().replace(stem.encode(), b"@")
    for name in os.listdir(f"{work}/{stem}"):
        found[name] = open(f"{work}/{stem}/{name}", "rb").read()
    return found


def mosaics():
    rng = np.random.default_rng(12)
    v = values(rng, 1700, 2300, "float32")  # 2 x 3 pieces of 1024, none of the rest whole
    c = np.kron(rng.choice([1.0, 2.0, 5.0], (170, 230)), np.ones((10, 10)))
    for value, options in [(v, {}), (v, dict(kind="sum")),
                           (c, dict(type="uint8", kind="class", legend=1))]:
        options.update(codec="zstd", side=1024)
        dtype, kind = options.get("type", "float32"), options.get("kind", "mean")
        src = source(stored(value, dtype), TYPES[dtype][1], TYPES[dtype][2])
        out = copy(src, threads=2, **options)[0]
        vrt = out[:-4] + ".vrt"
        assert not os.path.exists(out) and len(os.listdir(out[:-4])) == 6 + 3 + 6 * bool(
            options.get("legend")), os.listdir(out[:-4])
        d = gdal.Open(vrt)
        b = d.GetRasterBand(1)
        assert np.array_equal(read(b), value, equal_nan=True)
        assert b.GetOverviewCount() == 3
        for k in range(3):
            want = overview(value, 2**(k + 1), kind).astype(TYPES[dtype][0] if dtype == "float32"
                                                            else float)
            got = read(b.GetOverview(k))
            assert got.shape == want.shape
            assert np.allclose(got, want, rtol=1.2e-7, atol=0, equal_nan=True), (kind, k)
        meta, valid = b.GetMetadata(), value[~np.isnan(value)]
        assert float(meta["STATISTICS_MAXIMUM"]) == valid.max()
        assert np.isclose(float(meta["STATISTICS_MEAN"]), valid.mean(), rtol=1e-12)
        assert np.isclose(float(meta["STATISTICS_STDDEV"]), valid.std(), rtol=1e-9)
        assert b.GetUnitType() == ("1" if kind == "class" else "kg")
        assert d.GetMetadata()["JOB_SHA256"] == "0123" and work not in open(vrt).read()
        for name in os.listdir(out[:-4]):
            if name.endswith(".tif"):
                validate(f"{out[:-4]}/{name}")
        style = xml.parse(out[:-4] + ".qml").find(".//rasterrenderer")
        if kind == "class":
            assert b.GetColorTable().GetColorEntry(2) == (230, 200, 40, 255)
            rat = b.GetDefaultRAT()
            assert rat.GetValueAsInt(0, 1) == (c == 1).sum()
        else:
            low, high = (float(style.get("classification" + m)) for m in ("Min", "Max"))
            about = 0.8 if kind == "sum" else 1  # a fifth of the cells below a sum is nodata
            assert 200 < low / about < 260 and 340 < high / about < 420, (low, high)
        d = b = None
        # Other threads, another order; shards, and a shard killed on its way: the same bytes.
        first = tree(out)
        assert tree(copy(src, threads=5, order=3, **options)[0]) == first
    options["stamp"] = "s"
    whole = tree(copy(src, **options)[0])
    parts = path()
    copy(src, parts, shard=1, shards=3, **options)
    assert len([n for n in os.listdir(parts[:-4]) if n.endswith(".tif")]) == 2
    error = copy(src, parts, link=1, code=3, **options)[1]
    assert "piece_0_1.tif, is missing" in error, error
    for shard, blocks in ((2, 28), (3, 7)):
        copy(src, parts, shard=shard, shards=3, kill=blocks - 1, code=-9, **options)
        left = copy(src, parts, shard=shard, shards=3, **options)[2]
        assert left < blocks, left
    copy(src, parts, link=1, **options)
    assert tree(parts) == whole
    # A run that was stopped goes on with what is not finished, and only with that.
    parts = path()
    copy(src, parts, order=4, kill=60, code=-9, **options)
    assert 3 <= copy(src, parts, **options)[2] < 63
    assert tree(parts) == whole
    assert copy(src, parts, **options)[2] == 0
    assert copy(src, parts, **dict(options, stamp="t"))[2] == 63
    # Small enough for one file; pieces that the tiles do not fit in.
    one = copy(src, **dict(options, side=4096))[0]
    assert os.path.exists(one) and not os.path.exists(one[:-4])
    assert "a multiple of 512" in copy(src, **dict(options, side=1000), code=3)[1]
    # Without a stamp nothing stays of a run that failed.
    before = sorted(os.listdir(work))
    copy(src, fail=60, code=1, codec="zstd", side=1024, type="uint8", kind="class")
    assert sorted(os.listdir(work)) == before


PARTS = {"pixels": (types_and_codecs, kinds, sizes, nodata, refusals, big, classes, styles),
         "resume": (same_bytes, resume, full_disk), "mosaics": (mosaics, wide)}
for test in PARTS[sys.argv[6]]:
    test()
    print(test.__name__, "ok", flush=True)
