"""`skyflux grid` against numpy: pixels clipped cell by cell (Sutherland-Hodgman), areas by
quadrature of the ellipsoid; and against itself, byte by byte, in other orders and parts.

Arguments: binary, data folder, work folder, source root."""
import json
import math
import pathlib
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, WORK, ROOT = sys.argv[1], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
sys.path.insert(0, str(ROOT / "tests" / "support"))
import harmonised  # noqa: E402

A, F = 6378137.0, 1 / 298.257223563
E2 = F * (2 - F)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)


def run(*args, code=0):
    r = subprocess.run([BINARY, "grid", *map(str, args), "--progress", "none"],
                       capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stderr if code else r.stdout


def read(path):
    with netCDF4.Dataset(path) as f:
        f.set_auto_mask(False)
        return {k: v[...] for k, v in f.variables.items()}


def same(a, b):
    assert (WORK / a).read_bytes() == (WORK / b).read_bytes(), (a, b)


# ---- the other way ------------------------------------------------------------------------------

def density(lat):
    """m2 per square degree."""
    s, d = np.sin(np.radians(lat)), 1 - E2 * np.sin(np.radians(lat)) ** 2
    return A * A * (1 - E2) * np.sqrt(1 - s * s) / d ** 2 * np.radians(1) ** 2


def cut(p, axis, at, sign):
    out = []
    for i, a in enumerate(p):
        b = p[(i + 1) % len(p)]
        u, v = sign * (a[axis] - at), sign * (b[axis] - at)
        if u >= 0:
            out.append(a)
        if u * v < 0:
            f = u / (u - v)
            c = [a[k] + f * (b[k] - a[k]) for k in (0, 1)]
            c[axis] = at
            out.append(tuple(c))
    return out


def area(p, planar):
    total = 0.0
    for i, a in enumerate(p):
        b = p[(i + 1) % len(p)]
        f = 0.5 + 0.5 * NODES
        x, y = a[0] - p[0][0] + f * (b[0] - a[0]), a[1] + f * (b[1] - a[1])
        total += 0.5 * (b[1] - a[1]) * np.sum(WEIGHTS * x * (1 if planar else density(y)))
    return abs(total)


def expected(lon, lat, x, west, south, cell, nx, ny, planar):
    """Σ w and Σ w x: w is the share of the cell."""
    w, wx, ww = np.zeros((ny, nx)), np.zeros((ny, nx)), np.zeros((ny, nx))
    for px, py, value in zip(lon, lat, x):
        i0, i1 = int((px.min() - west) // cell), int((px.max() - west) // cell)
        j0, j1 = int((py.min() - south) // cell), int((py.max() - south) // cell)
        for j in range(max(j0, 0), min(j1, ny - 1) + 1):
            for i in range(max(i0, 0), min(i1, nx - 1) + 1):
                x0, y0 = west + i * cell, south + j * cell
                p = list(zip(px, py))
                for axis, at, sign in ((0, x0, 1), (0, x0 + cell, -1), (1, y0, 1),
                                       (1, y0 + cell, -1)):
                    p = cut(p, axis, at, sign) if p else p
                if len(p) < 3:
                    continue
                box = [(x0, y0), (x0 + cell, y0), (x0 + cell, y0 + cell), (x0, y0 + cell)]
                share = area(p, planar) / area(box, planar)
                w[j, i] += share
                ww[j, i] += share ** 2
                wx[j, i] += share * value
    return w, wx, ww


def test_against_numpy(lon, lat, x, sigma):
    for planar in (False, True):
        run(WORK / "a.nc", "--box=5,40,9,44", "--cell", 0.1, "--weights",
            "planar" if planar else "area", "-o", WORK / "out.nc")
        got = read(WORK / "out.nc")
        w, wx, ww = expected(lon, lat, x, 5, 40, 0.1, 40, 40, planar)
        assert abs(got["xch4_coverage"] - w).max() < 1e-11, abs(got["xch4_coverage"] - w).max()
        seen = w > 1e-9
        assert seen.sum() > 200, seen.sum()
        assert np.isnan(got["xch4"][w == 0]).all()
        # A weight is a whole number of 2^-40 of a cell: slivers are known no better than that.
        error = abs(got["xch4"] - wx / np.where(seen, w, 1))[seen] * w[seen]
        assert error.max() < 1e-9, error.max()
        rms = np.full(seen.sum(), sigma[0])
        sd = rms * np.sqrt(0.7 * (ww / np.where(seen, w, 1) ** 2)[seen] + 0.3)
        big = w[seen] > 1e-3
        assert abs(got["xch4_uncertainty"][seen] / sd - 1)[big].max() < 1e-7  # stored as float32
        if not planar:  # conserved: what the pixels cover inside
            inside = np.sum([area(list(zip(a, b)), False) for a, b in zip(lon, lat)])
            total = np.sum(got["xch4_coverage"] * got["cell_area"])
            assert abs(total / inside - 1) < 1e-12, total / inside - 1
            mean = np.sum(got["xch4_coverage"] * got["cell_area"] * np.nan_to_num(got["xch4"]))
            want = np.sum([area(list(zip(a, b)), False) * v for a, b, v in zip(lon, lat, x)])
            assert abs(mean / want - 1) < 1e-12, mean / want - 1


def test_uniform(lon, lat, sigma):
    harmonised.write(WORK / "u.nc", lon, lat, np.full(len(lon), 1873.2), sigma)
    for args in (["--cell", 0.05], ["--cell", 1], ["--cell", 0.1, "--method", "oversample"]):
        run(WORK / "u.nc", "--box=0,40,20,50", *args, "-o", WORK / "out.nc")
        mean = read(WORK / "out.nc")["xch4"]
        mean = mean[~np.isnan(mean)]
        assert mean.size > 3 and (mean == mean[0]).all(), (args, mean.min(), mean.max())
        assert abs(mean[0] / 1873.2 - 1) < 1e-13, mean[0]


def test_order_and_parts(files, lon, lat):
    """Same bytes for any order, threads, shards, days and memory."""
    where = ["--box=-10,30,30,60", "--cell", 0.1]
    for method in ("exact", "oversample"):
        how = [*where, "--method", method]
        run(*files, *how, "--threads", 1, "-o", WORK / "ref.nc")
        run(*files[::-1], *how, "--threads", 2, "-o", WORK / "b.nc")
        same("ref.nc", "b.nc")
        run(*files, *how, "--memory", "2M", "-o", WORK / "b.nc")
        same("ref.nc", "b.nc")
        for i in (1, 2, 3):
            run(*files, *how, "--shard", f"{i}/3", "-o", WORK / f"s{i}.nc")
        run("--merge", *[WORK / f"s{i}.nc" for i in (2, 3, 1)], "-o", WORK / "b.nc")
        same("ref.nc", "b.nc")
        run("--merge", *[WORK / f"s{i}.nc" for i in (1, 2, 3)], "--memory", "2M", "-o",
            WORK / "b.nc")
        same("ref.nc", "b.nc")
    run(*files, *where, "-o", WORK / "ref.nc")
    for day in WORK.glob("day*.nc"):
        day.unlink()
    run(*files, *where, "--daily", "-o", WORK / "day.nc")
    days = sorted(WORK.glob("day_*.nc"))
    assert [d.name for d in days] == ["day_20170714.nc", "day_20170715.nc"], days
    run("--merge", *days, "-o", WORK / "b.nc")
    a, b = read(WORK / "ref.nc"), read(WORK / "b.nc")
    for name in a:
        if not name.startswith("granule"):
            assert np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"), name
    # A merge of days and the whole cannot go together: soundings would count twice.
    assert "count twice" in run("--merge", WORK / "b.nc", WORK / "ref.nc", "-o", WORK / "c.nc",
                                code=3)
    # Pieces of one harmonised file: the same soundings in two files of half their number.
    half = len(lon) // 2
    x = 1800 + np.arange(len(lon)) % 97
    harmonised.write(WORK / "whole.nc", lon, lat, x, np.full(len(lon), 9.0), granule="one")
    harmonised.write(WORK / "h1.nc", lon[half:], lat[half:], x[half:], np.full(half, 9.0),
                     time=np.full(half, 1.5e9), granule="one")
    run(WORK / "whole.nc", *where, "-o", WORK / "c.nc")
    message = run(WORK / "whole.nc", WORK / "h1.nc", *where, "-o", WORK / "d.nc", code=3)
    assert "one" in message and "count twice" in message, message


def test_antimeridian_and_pole(sigma):
    lon = np.array([[179.6, 180.3, 180.4, 179.7], [10, 100, -170, -80]], float)
    lat = np.array([[10.1, 10.2, 10.8, 10.7], [89.9] * 4], float)
    for k, turn in enumerate((0, 360, -360)):
        wrapped = np.where(lon > 180, lon - 360, lon) if k == 0 else lon + turn
        harmonised.write(WORK / "p.nc", wrapped, lat, [1900.0, 1700.0], [10.0, 10.0])
        run(WORK / "p.nc", "--cell", 0.5, "-o", WORK / "out.nc")
        got = read(WORK / "out.nc")
        cover = got["xch4_coverage"] * got["cell_area"]
        south = cover[:300].sum()
        want = area(list(zip(lon[0], lat[0])), False)
        assert abs(south / want - 1) < 1e-11, south / want
        east = cover[:300, :2].sum()
        p = cut(list(zip(lon[0], lat[0])), 0, 180, 1)
        assert abs(east / area(p, False) - 1) < 1e-10
        cap = 2 * math.pi * (A * math.radians(0.1) / math.sqrt(1 - E2)) ** 2 / 2  # M = N there
        assert abs(cover[300:].sum() / (cap * 2 / math.pi) - 1) < 1e-4  # the square in the circle
        assert (got["xch4"][-1] == got["xch4"][-1, 0]).all() and (got["xch4_count"][-1] == 1).all()


def super_gaussian(lon, lat, x, sigma, west, south, cell, nx, ny):
    """Sun et al. 2018 with 4, 2, 1: weights S / A / σ², in the plane (small pixels)."""
    cx, cy = west + (np.arange(nx) + 0.5) * cell, south + (np.arange(ny) + 0.5) * cell
    gx, gy = np.meshgrid(cx, cy)
    below, above = np.zeros((ny, nx)), np.zeros((ny, nx))
    for px, py, value, sd in zip(lon, lat, x, sigma):
        # u from the edge 0-1 to the edge 2-3, v along 0-1: homography by its linear equations.
        uv = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)], float)
        m = []
        for (u, v), a, b in zip(uv, px, py):
            m.append([a, b, 1, 0, 0, 0, -u * a, -u * b])
            m.append([0, 0, 0, a, b, 1, -v * a, -v * b])
        h = np.append(np.linalg.solve(np.array(m), uv.reshape(-1)), 1).reshape(3, 3)
        q = np.einsum("ij,jyx->iyx", h, np.stack([gx, gy, np.ones_like(gx)]))
        u, v = q[0] / q[2], q[1] / q[2]
        log2 = math.log(2)
        e = np.abs(u * log2 ** 0.25) ** 4 + np.abs(v * log2 ** 0.5) ** 2
        s = np.where(e <= -math.log(1e-6), np.exp(-e), 0)
        plane = 0.5 * abs((px[2] - px[0]) * (py[3] - py[1]) - (py[2] - py[0]) * (px[3] - px[1]))
        a = plane * np.cos(np.radians(py.mean()))
        w = s * cell ** 2 * np.cos(np.radians(gy)) / a * (0.005 * 1200 / sd) ** 2
        below += w
        above += w * value
    return below, above


def test_oversample(lon, lat, x, sigma):
    lon, lat, x = lon[::7], lat[::7], x[::7]
    sd = 5 + 10 * np.arange(len(x)) / len(x)
    harmonised.write(WORK / "o.nc", lon, lat, x, sd)
    run(WORK / "o.nc", "--box=5,40,9,44", "--cell", 0.05, "--method", "oversample", "-o",
        WORK / "out.nc")
    got = read(WORK / "out.nc")
    below, above = super_gaussian(lon, lat, x, sd, 5, 40, 0.05, 80, 80)
    assert abs(got["xch4_coverage"] - below).max() < 1e-9
    seen = below > 1e-3
    assert seen.sum() > 300, seen.sum()
    assert abs(got["xch4"] - above / np.where(seen, below, 1))[seen].max() < 1e-6


def test_preset():
    """A projected grid: what lies inside is conserved in the plane of its own system."""
    run(WORK / "a.nc", "--preset", "city", "--box=6.5,41.5,7.5,42.5", "-o", WORK / "city.nc")
    run(WORK / "a.nc", "--like", WORK / "city.nc", "-o", WORK / "like.nc")
    same("city.nc", "like.nc")
    got = read(WORK / "city.nc")
    assert "y" in got and got["xch4_coverage"].max() < 1.01 and (got["xch4_count"] > 0).any()
    middle = got["xch4_coverage"].shape[0] // 2
    assert abs(got["xch4_coverage"][middle - 5:middle + 5, middle - 5:middle + 5] - 1).max() < 1e-3
    run(WORK / "o.nc", "--box=5,40,9,44", "--cell", 0.1, "--method", "oversample:4,2,1", "-o",
        WORK / "k.nc")
    run(WORK / "o.nc", "--box=5,40,9,44", "--cell", 0.1, "--method", "oversample", "-o",
        WORK / "d.nc")
    k, d = read(WORK / "k.nc"), read(WORK / "d.nc")
    assert np.array_equal(k["xch4"], d["xch4"], equal_nan=True)


def test_corners(lon, lat, x, sigma):
    """Corners in the wrong order are found; a few damaged pixels are counted."""
    wrong = [0, 2, 1, 3]
    harmonised.write(WORK / "c.nc", lon[:, wrong], lat[:, wrong], x, sigma)
    text = run(WORK / "c.nc", "--box=5,40,9,44", "--cell", 0.1, "-o", WORK / "no.nc", code=3)
    assert "not in order" in text and not (WORK / "no.nc").exists()
    bad = lon.copy(), lat.copy()
    bad[0][3], bad[1][3] = lon[3][wrong], lat[3][wrong]
    bad[0][5, 2] = np.nan
    bad[0][7], bad[1][7] = lon[7, 0], lat[7, 0]
    harmonised.write(WORK / "c.nc", *bad, x, sigma)
    out = json.loads(run(WORK / "c.nc", "--box=5,40,9,44", "--cell", 0.1, "-o", WORK / "out.nc",
                         "--json"))["outputs"][0]
    assert (out["corners_crossed"], out["without_area"]) == (1, 2), out


def test_points_and_cog(x, sigma):
    from osgeo import gdal
    gdal.UseExceptions()
    lon, lat = np.array([5.05, 5.06, 8.99, 20.0]), np.array([40.05, 40.01, 43.99, 41.0])
    harmonised.write(WORK / "t.nc", lon, lat, [1800.0, 1810.0, 1900.0, 1700.0], [10.0] * 4)
    out = json.loads(run(WORK / "t.nc", "--box=5,40,9,44", "--cell", 0.1, "-o", WORK / "out.tif",
                         "--json"))["outputs"][0]
    assert out["outside"] == 1 and out["soundings"] == 4
    band = {k: gdal.Open(str(WORK / f"out{k}.tif")) for k in ("", "_uncertainty", "_count")}
    assert band[""].GetMetadata("IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    mean, sd, n = (band[k].ReadAsArray() for k in band)
    assert mean[-1, 0] == 1805 and mean[0, -1] == 1900 and np.isnan(mean[5, 5])
    assert n[-1, 0] == 2 and abs(sd[-1, 0] - 10 * math.sqrt(0.7 / 2 + 0.3)) < 1e-5


def test_zones(lon, lat, x, sigma):
    from osgeo import gdal, ogr, osr
    gdal.UseExceptions()
    boxes = {"a": (6, 41, 7.03, 42.02), "b": (7, 41, 8, 42), "empty": (5, 43.9, 5.1, 44),
             "out": (30, 30, 31, 31)}
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(4326)
    (WORK / "z.gpkg").unlink(missing_ok=True)
    ds = ogr.GetDriverByName("GPKG").CreateDataSource(str(WORK / "z.gpkg"))
    layer = ds.CreateLayer("z", srs)
    layer.CreateField(ogr.FieldDefn("code"))
    for code, (w, s, e, n) in boxes.items():
        feature = ogr.Feature(layer.GetLayerDefn())
        feature["code"] = code
        feature.SetGeometry(ogr.CreateGeometryFromWkt(
            f"POLYGON(({w} {s},{e} {s},{e} {n},{w} {n},{w} {s}))"))
        layer.CreateFeature(feature)
    ds = layer = None
    where = ["--box=5,40,9,44", "--cell", 0.1]
    harmonised.write(WORK / "old.nc", lon[::2], lat[::2], x[::2] - 12.5, sigma[::2])
    run(WORK / "old.nc", *where, "-o", WORK / "base.nc")
    rows = json.loads(run(WORK / "a.nc", *where, "-o", WORK / "out.nc", "--zones", WORK / "z.gpkg",
                          "--id", "code", "--baseline", WORK / "base.nc", "--json"))["zones"]
    now, old = read(WORK / "out.nc"), read(WORK / "base.nc")
    edge = 5 + 0.1 * np.arange(41), 40 + 0.1 * np.arange(41)
    by_id = {row["zone_id"]: row for row in rows}
    for code in "ab":
        w, s, e, n = boxes[code]
        fx = np.clip(np.minimum(edge[0][1:], e) - np.maximum(edge[0][:-1], w), 0, None) / 0.1
        lo, hi = np.maximum(edge[1][:-1], s), np.minimum(edge[1][1:], n)
        full = [area([(0, p), (1, p), (1, q), (0, q)], False) for p, q in
                zip(edge[1][:-1], edge[1][1:])]
        part = [area([(0, p), (1, p), (1, q), (0, q)], False) if q > p else 0 for p, q in
                zip(lo, hi)]
        a = np.outer(np.array(part) / full, fx) * now["cell_area"]
        has, both = ~np.isnan(now["xch4"]), ~np.isnan(now["xch4"]) & ~np.isnan(old["xch4"])
        row = by_id[code]
        mean = (a * np.nan_to_num(now["xch4"])).sum() / a[has].sum()
        change = (a * np.where(both, now["xch4"] - old["xch4"], 0)).sum() / a[both].sum()
        assert abs(row["concentration"] / mean - 1) < 1e-9, (row, mean)
        assert abs(row["change"] - change) < 1e-6, (row, change)
        assert abs(row["observed"] - a[has].sum() / a.sum()) < 1e-9
        # More than the correlated part, less than one sounding.
        assert 10 * math.sqrt(0.3) < row["uncertainty"] < 10
        assert row["change_uncertainty"] > row["uncertainty"] and row["unit"] == "ppb"
    for code, reason in (("empty", "no sounding in the zone"), ("out", "outside the grid")):
        assert by_id[code]["reason"] == reason and by_id[code]["concentration"] is None
    # From the gridded product alone, and as a table.
    text = run(WORK / "out.nc", "--zones", WORK / "z.gpkg", "--id", "code")
    assert text.count("\n") >= 5 and f'{by_id["a"]["concentration"]:.6f}'[:8] in text
    # The variance of a zone's mean does not shrink when pixels are cut into more cells.
    sd = []
    for cell in (0.1, 0.02):
        rows = json.loads(run(WORK / "a.nc", "--box=5,40,9,44", "--cell", cell, "--zones",
                              WORK / "z.gpkg", "--id", "code", "--correlation", 0, "--json"))
        sd.append({r["zone_id"]: r["uncertainty"] for r in rows["zones"]}["b"])
    assert 0.8 < sd[1] / sd[0] < 1.25, sd


def test_against_harp(sigma):
    """bin_spatial counts planar areas and keeps its weights as float32: that is the difference to
    --weights planar. To true areas it is the change of cos(latitude) within a cell."""
    if shutil.which("harpconvert") is None:
        print("harpconvert is not installed: not compared")
        return
    import harp_file
    lon, lat = harmonised.swath(120, 60, 14, 48, 56)
    n, cell, (west, south, nx, ny) = len(lon), 0.1, (-10, 40, 300, 200)
    x = 1850 + 40 * np.sin(np.arange(n) * 0.11)
    time = 1.5e9 + np.arange(n)
    harmonised.write(WORK / "h.nc", lon, lat, x, np.full(n, 9.0), time=time)
    harp_file.write(WORK / "harp_in.nc", lon, lat, x, time)
    subprocess.run(["harpconvert", "-a",
                    "keep(datetime,latitude_bounds,longitude_bounds,"
                    "CH4_column_volume_mixing_ratio_dry_air);" +
                    harp_file.bin_spatial(west, south, cell, nx, ny), WORK / "harp_in.nc",
                    WORK / "harp.nc"], check=True)
    with netCDF4.Dataset(WORK / "harp.nc") as f:
        theirs = np.ma.filled(f["CH4_column_volume_mixing_ratio_dry_air"][0], np.nan)
        weight = np.ma.filled(f["weight"][0], 0)
    worst = {}
    for weights in ("planar", "area"):
        run(WORK / "h.nc", f"--box={west},{south},{west + nx * cell},{south + ny * cell}", "--cell",
            cell, "--weights", weights, "-o", WORK / "out.nc")
        got = read(WORK / "out.nc")
        seen = got["xch4_coverage"] > 1e-3
        assert seen.sum() > 3000 and not np.isnan(theirs[seen]).any()
        worst[weights] = abs(got["xch4"] - theirs)[seen].max()
        if weights == "planar":
            assert abs(got["xch4_coverage"] - weight).max() < 2e-6
    # A cell of 0.1° at 52° N: its cosine changes by 0.1° in radians × tan 52° = 0.22 %, so what
    # moves is at most that share of a spread of 80 ppb between the pixels of a cell.
    assert worst["planar"] < 2e-3 and worst["planar"] < worst["area"] < 0.1, worst


def test_folder(files):
    """Folders are searched; what is no granule of the gas there is no failure."""
    folder = WORK / "folder"
    (folder / "deeper").mkdir(parents=True)
    for i, path in enumerate(files):
        shutil.copy(path, folder / ("deeper" if i % 2 else ".") / path.name)
    (folder / "notes.txt").write_text("no granule")
    run(*files, "--cell", "1", "-o", WORK / "named.nc")
    shutil.copy(WORK / "named.nc", folder / "gridded.nc")
    text = run(folder, "--gas", "ch4", "--cell", "1", "-o", WORK / "searched.nc")
    assert "2 files passed over" in text, text
    same("named.nc", "searched.nc")
    quiet = subprocess.run([BINARY, "grid", folder, "--gas", "ch4", "--cell", "1", "-o", WORK / "again.nc",
                            "--progress", "none"], capture_output=True, text=True)
    assert quiet.returncode == 0 and quiet.stderr == "", quiet.stderr
    message = run(folder, "--gas", "ch4", "--cell", "1", "-o", folder / "gridded.nc", code=2)
    assert "exists already" in message, message
    message = run(folder / "notes.txt", *files, "--cell", "1", "-o", WORK / "some.nc", code=5)
    assert "1 of 8" in message and "notes.txt: granule skipped: not a NetCDF file" in message, message
    for gas, text in (("co2", "no good sounding"), ("n2o", "no good sounding")):
        message = run(folder, "--gas", gas, "--cell", "1", "-o", WORK / "none.nc", code=4)
        assert text in message, message
    message = run(files[0], "--gas", "co2", "--cell", "1", "-o", WORK / "none.nc", code=3)
    assert "holds soundings of ch4, not of co2" in message, message
    assert not (WORK / "none.nc").exists()
    (WORK / "empty").mkdir()
    run(WORK / "empty", "--cell", "1", "-o", WORK / "none.nc", code=4)
    info = json.loads(subprocess.run([BINARY, "info", "--json", str(WORK / "named.nc")],
                                     capture_output=True, text=True, check=True).stdout)
    with netCDF4.Dataset(WORK / "named.nc") as f:
        assert info["product"] == "gridded soundings" and info["gas"] == "ch4", info
        assert info["granules"] == len(f["granule"]) and info["bbox"] == [-180, -90, 180, 90], info


def test_refusals():
    for args, code, text in (
            ([], 2, "no file"), (["a.nc"], 2, "-o OUT.nc"), (["a.nc", "-o", "x.csv"], 2, ".nc or"),
            (["a.nc", "-o", "x.nc"], 2, "give the grid by one of"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--crs", "EPSG:99999"], 2, "EPSG:99999"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--crs", ""], 2, "not known to PROJ"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--crs", "EPSG:5773"], 2, "neither geographic"),
            (["a.nc", "-o", "x.nc", "--cell", "-1"], 2, "--cell"),
            (["a.nc", "-o", "x.nc", "--cell", "7"], 2, "--cell"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--method", "exakt"], 2, "exact, oversample"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--method", "oversample:4,2"], 2, "K1,K2,K3"),
            (["a.nc", "-o", "x.nc", "--preset", "city", "--cell", "1"], 2, "by one of"),
            (["a.nc", "-o", "x.nc", "--preset", "citi", "--box=5,40,6,41"], 2, "citi"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--shard", "3/2"], 2, "--shard"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--correlation", "2"], 2, "0 to 1"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--start", "2030-01-01"], 4, "no good sounding"),
            (["a.nc", "-o", "x.nc", "--cell", "1", "--box=50,0,60,10"], 4, "no cell"),
            (["t.nc", "-o", "x.nc", "--cell", "1", "--method", "oversample"], 3, "corners"),
            (["nothing.nc", "-o", "x.nc", "--cell", "1"], 3, "nothing.nc"),
            (["a.nc", "--merge", "-o", "x.nc"], 3, "a.nc")):
        args = [str(WORK / a) if a.endswith(".nc") and a != "x.nc" else a for a in args]
        message = run(*args, code=code)
        assert text in message, (args, message)
        assert not pathlib.Path("x.nc").exists()


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    lon, lat = harmonised.swath(24, 20, 17.5, 41.1, 42.9)
    x = 1850 + 30 * np.sin(np.arange(len(lon)) * 0.7)
    sigma = np.full(len(lon), 10.0)
    harmonised.write(WORK / "a.nc", lon, lat, x, sigma)
    assert lon.min() > 5 and lon.max() < 9, (lon.min(), lon.max())
    test_against_numpy(lon, lat, x, sigma)
    test_uniform(lon, lat, sigma)
    files = []
    for k in range(7):
        a, b = harmonised.swath(30, 21, 12 + 3 * k, 34 + k, 52)
        files.append(WORK / f"g{k}.nc")
        time = 1.5e9 + 20000 * k + np.arange(len(a))
        harmonised.write(files[-1], a, b, 1800 + 50 * np.sin(np.arange(len(a)) + k),
                         5 + np.arange(len(a)) % 9, time=time, granule=f"orbit{k}")
    test_order_and_parts(files, lon, lat)
    test_folder(files)
    test_antimeridian_and_pole(sigma)
    test_oversample(lon, lat, x, sigma)
    test_preset()
    test_corners(lon, lat, x, sigma)
    test_points_and_cog(x, sigma)
    test_zones(lon, lat, x, sigma)
    test_against_harp(sigma)
    test_refusals()


main()
