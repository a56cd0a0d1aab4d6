"""Zonal benches: own inputs, our command for 1 and 2 threads, and a peer beside it.

    bench_zonal.py BINARY WORK [--scale S] [--only NAME,...] [--repeat N]

Scale 1 is the full size: land cover 20 000 × 20 000 bytes (100 fractal zones), floats
21 600 × 10 800 (250 zones with shared borders); the sides shrink with S. Inputs are made once and
kept in WORK. One JSON line per run: wall and CPU seconds, peak memory (MB), CPU time of decoding
alone (GDAL's own blocks, one after the other) over ours, and how far the peer's answer is from ours
(its rule is the centre of the cell; ours is checked against brute force in tests/cli/test_zonal.py).
The peer is GDAL's rasterize with numpy's bincount. exactextract, which is exact too, is no Debian
package: its figures are quoted, measured elsewhere on inputs of the same description and another
load; no ratio should be made of them.
"""
import argparse
import csv
import io
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import numpy as np
from osgeo import gdal, ogr, osr

gdal.UseExceptions()
ogr.UseExceptions()


def wgs84():
    s = osr.SpatialReference()
    s.ImportFromEPSG(4326)
    s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return s


# ---- inputs -------------------------------------------------------------------------------------

def smooth(rng, rows, cols, step):
    """Bilinear noise: a coarse random field, interpolated."""
    y, x = np.arange(rows) / step, np.arange(cols) / step
    field = rng.normal(0, 1, (int(y[-1]) + 2, int(x[-1]) + 2)).astype(np.float32)
    iy, ix = y.astype(int), x.astype(int)
    fx = (x - ix).astype(np.float32)[None, :]

    def band(r0, r1):
        i, f = iy[r0:r1], (y - iy)[r0:r1].astype(np.float32)[:, None]
        top = field[i][:, ix] * (1 - fx) + field[i][:, ix + 1] * fx
        low = field[i + 1][:, ix] * (1 - fx) + field[i + 1][:, ix + 1] * fx
        return top * (1 - f) + low * f
    return band


def create(path, cols, rows, kind, transform, options, nodata):
    d = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, 1, kind, options)
    d.SetGeoTransform(transform)
    d.SetSpatialRef(wgs84())
    d.GetRasterBand(1).SetNoDataValue(nodata)
    return d


def land_cover(path, n, seed):
    """Classes 1..10 in patches with some speckle, 0 = nodata; 512² tiles, DEFLATE."""
    rng = np.random.default_rng(seed)
    band = smooth(rng, n, n, 40)
    d = create(path, n, n, gdal.GDT_Byte, (100, 6 / n, 0, 36, 0, -6 / n),
               ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE",
                "BIGTIFF=IF_SAFER"], 0)
    for r in range(0, n, 512):
        v = band(r, min(r + 512, n))
        c = np.clip(np.floor(v * 2.5 + 5.5), 0, 10).astype(np.uint8)
        speckle = rng.random(c.shape, dtype=np.float32) < 0.002
        c[speckle] = rng.integers(1, 11, int(speckle.sum()))
        d.GetRasterBand(1).WriteArray(c, 0, r)


def floats(path, cols, rows, seed):
    """A float field of the globe with noise, nodata -9999; DEFLATE, predictor 3."""
    rng = np.random.default_rng(seed)
    band = smooth(rng, rows, cols, 60)
    d = create(path, cols, rows, gdal.GDT_Float32, (-180, 360 / cols, 0, 90, 0, -180 / rows),
               ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE", "PREDICTOR=3",
                "BIGTIFF=IF_SAFER"], -9999)
    for r in range(0, rows, 512):
        v = band(r, min(r + 512, rows)) * 50 + 400
        v += rng.normal(0, 0.05, v.shape).astype(np.float32)
        v[rng.random(v.shape, dtype=np.float32) < 0.02] = -9999
        d.GetRasterBand(1).WriteArray(v, 0, r)


def fractal_line(rng, a, b, depth, rough):
    points = [np.array(a, float), np.array(b, float)]
    for _ in range(depth):
        new = [points[0]]
        for p, q in zip(points, points[1:]):
            d = q - p
            new += [(p + q) / 2 + rough * rng.uniform(-1, 1) * np.array([-d[1], d[0]]), q]
        points = new
    return points


def zones(path, nx, ny, west, south, east, north, depth, seed):
    """nx × ny zones with fractal borders that neighbours share."""
    rng = np.random.default_rng(seed)
    x = np.linspace(west, east, nx + 1)
    y = np.linspace(south, north, ny + 1)
    rough = 0.06
    level = {(i, j): fractal_line(rng, (x[i], y[j]), (x[i + 1], y[j]), depth, rough)
             for i in range(nx) for j in range(ny + 1)}
    steep = {(i, j): fractal_line(rng, (x[i], y[j]), (x[i], y[j + 1]), depth, rough)
             for i in range(nx + 1) for j in range(ny)}
    d = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = d.CreateLayer("zones", wgs84(), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    layer.StartTransaction()
    count = 0
    for j in range(ny):
        for i in range(nx):
            ring = ogr.Geometry(ogr.wkbLinearRing)
            line = (level[i, j][:-1] + steep[i + 1, j][:-1] + level[i, j + 1][:0:-1] +
                    steep[i, j][:0:-1])
            for p in line + line[:1]:
                ring.AddPoint_2D(float(p[0]), float(p[1]))
            g = ogr.Geometry(ogr.wkbPolygon)
            g.AddGeometry(ring)
            if not g.IsValid():
                raise SystemExit("a fractal border crosses itself: choose another seed")
            f = ogr.Feature(layer.GetLayerDefn())
            f["code"] = f"{j:02d}-{i:02d}"
            f.SetGeometry(g)
            layer.CreateFeature(f)
            count += len(line)
    layer.CommitTransaction()
    return count


# ---- peers --------------------------------------------------------------------------------------

PEER = r"""
import sys, json
import numpy as np
from osgeo import gdal, ogr
gdal.UseExceptions()
kind, zones, path = sys.argv[1:4]
src = gdal.Open(path); b = src.GetRasterBand(1); other = gdal.Open(sys.argv[-1]); nx, ny = src.RasterXSize, src.RasterYSize
t = src.GetGeoTransform()
v = ogr.Open(zones); layer = v.GetLayer(0); n = layer.GetFeatureCount()
mem = ogr.GetDriverByName("Memory").CreateDataSource("m"); copy = mem.CopyLayer(layer, "z")
copy.CreateField(ogr.FieldDefn("number", ogr.OFTInteger))
names = []
for k, f in enumerate(copy):
    f["number"] = k + 1; copy.SetFeature(f); names.append(f["code"])
size = 256 if kind == "crosstab" else 16
out = np.zeros((n + 1) * size)
sums = np.zeros((3, n + 1))
for y in range(0, ny, 2048):
    h = min(2048, ny - y)
    z = gdal.GetDriverByName("MEM").Create("", nx, h, 1, gdal.GDT_UInt16)
    z.SetGeoTransform((t[0], t[1], 0, t[3] + y * t[5], 0, t[5])); z.SetSpatialRef(src.GetSpatialRef())
    gdal.RasterizeLayer(z, [1], copy, options=["ATTRIBUTE=number"])
    id = z.ReadAsArray(); a = b.ReadAsArray(0, y, nx, h)
    if kind != "values":
        if kind == "crosstab":
            a = a * np.uint8(16) + other.GetRasterBand(1).ReadAsArray(0, y, nx, h)
        out += np.bincount((id.astype(np.int32) * size + a).ravel(), minlength=out.size)[:out.size]
    else:
        good = a != -9999; i = id[good]; w = a[good].astype(float)
        for k, x in enumerate((None, w, w * w)):
            sums[k] += np.bincount(i, x, minlength=n + 1)
if kind != "values":
    r = {names[k]: out[(k + 1) * size:(k + 2) * size].tolist() for k in range(n)}
else:
    r = {names[k]: sums[:, k + 1].tolist() for k in range(n)}
json.dump(r, sys.stdout)
"""


def timed(args):
    """Run, with wall and CPU seconds and peak MB of the process (after exec: VmHWM)."""
    start, peak = time.time(), [0]
    p = subprocess.Popen(list(map(str, args)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def watch():
        try:
            while p.returncode is None:
                with open(f"/proc/{p.pid}/status") as f:
                    peak[0] = max([peak[0]] + [int(x.split()[1]) for x in f
                                               if x.startswith("VmHWM")])
                time.sleep(0.005)
        except OSError:
            pass
    thread = threading.Thread(target=watch)
    time.sleep(0.01)  # past exec
    thread.start()
    text, error = p.stdout.read(), p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    wall = time.time() - start
    p.returncode = os.waitstatus_to_exitcode(status)
    thread.join()
    if p.returncode != 0:
        raise SystemExit(f"{args}: {error.decode()}")
    return {"wall_s": round(wall, 3), "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
            "rss_mb": round(peak[0] / 1024, 1)}, text.decode()


def rows_of(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(lines))))


def say(bench, tool, threads, numbers, **more):
    print(json.dumps({"bench": bench, "tool": tool, "threads": threads, **numbers, **more}),
          flush=True)


DECODE = r"""
import sys, time
from osgeo import gdal
gdal.UseExceptions()
cpu = 0
for path in sys.argv[1:]:
    data = gdal.Open(path); b = data.GetRasterBand(1); w, h = b.GetBlockSize()
    start = time.process_time()
    for y in range((b.YSize + h - 1) // h):
        for x in range((b.XSize + w - 1) // w):
            b.ReadBlock(x, y)
    cpu += time.process_time() - start
print(cpu)
"""

QUOTED = {  # exactextract: CPU s, wall s on 2 threads, MB
    "classes": {"cpu_s": 10.6, "wall_s": 5.4, "rss_mb": 666},
    "values": {"cpu_s": 10.0, "wall_s": 6.6, "rss_mb": 1120},
}


def difference(kind, rows, theirs, pixels):
    """Largest relative difference of counts (of values: of means, too) of all but small zones."""
    worst = 0
    for row in rows:
        if float(row["count"]) < pixels / 1e4 or row.get("reason") == "no class":
            continue
        mine, their = float(row["count"]), theirs[row["zone_id"]]
        if kind == "values":
            worst = max(worst, abs(their[1] / their[0] / float(row["mean"]) - 1))
            their = their[0]
        elif kind == "classes":
            their = their[int(row["class"])]
        else:
            their = their[16 * int(row["class_lc1"]) + int(row["class_lc2"])]
        worst = max(worst, abs(their / mine - 1))
    return worst


def bench(binary, kind, name, pixels, rasters, z, options, repeat):
    first, peers = None, []
    decode = min(float(subprocess.run([sys.executable, "-c", DECODE, *map(str, rasters)], check=True,
                                      capture_output=True, text=True).stdout) for _ in range(repeat))
    best = {}
    for _ in range(repeat):  # in turns, so that all see the same machine
        for threads in (1, 2):
            numbers, text = timed([binary, "zonal", *rasters, z, "--id", "code", *options,
                                   "--threads", threads, "--progress", "none", "-q"])
            assert first is None or text == first, "threads change the answer"
            first = text
            if threads not in best or numbers["cpu_s"] < best[threads]["cpu_s"]:
                best[threads] = numbers
        peers.append(timed([sys.executable, "-c", PEER, kind, z, *rasters]))
    for threads, numbers in best.items():
        say(name, "skyflux", threads, numbers, ns_per_pixel=round(numbers["cpu_s"] * 1e9 / pixels, 2),
            decode_s=round(decode, 2), decode_share=round(decode / numbers["cpu_s"], 2))
    numbers, text = min(peers, key=lambda p: p[0]["cpu_s"])
    worst = difference(kind, rows_of(first), json.loads(text), pixels)
    say(name, "gdal rasterize + numpy (cell centres)", 1, numbers,
        cpu_over_ours=round(numbers["cpu_s"] / best[1]["cpu_s"], 1), largest_difference=worst)
    if kind in QUOTED:
        say(name, "exactextract (quoted, not run here)", 2, QUOTED[kind])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("work", type=pathlib.Path)
    p.add_argument("--scale", type=float, default=1)
    p.add_argument("--repeat", type=int, default=3)
    p.add_argument("--only", default="classes,values,crosstab")
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    n, cols = int(20000 * a.scale), int(21600 * a.scale)
    lc = [a.work / f"{n}" / f"lc{k}.tif" for k in (1, 2)]
    lc[0].parent.mkdir(exist_ok=True)
    fl, counties = a.work / f"f-{cols}.tif", a.work / "counties.gpkg"
    countries = a.work / "countries.gpkg"
    for k, path in enumerate(lc):
        if not path.exists():
            land_cover(path, n, k + 1)
    if not fl.exists():
        floats(fl, cols, cols // 2, 3)
    if not counties.exists():
        zones(counties, 10, 10, 100.05, 30.05, 105.95, 35.95, 8, 1)
    if not countries.exists():
        zones(countries, 25, 10, -179, -80, 179, 80, 7, 2)
    for path in (*lc, fl):
        path.read_bytes()  # warm
    only = a.only.split(",")
    if "classes" in only:
        bench(a.binary, "classes", "zonal class areas, 100 zones", n * n, lc[:1], counties,
              ["--categories"], a.repeat)
    if "values" in only:
        bench(a.binary, "values", "zonal statistics, 250 zones", cols * (cols // 2), [fl], countries,
              ["--stats", "count,mean,sum,stdev"], a.repeat)
    if "crosstab" in only:
        bench(a.binary, "crosstab", "crosstab of two maps, 100 zones", 2 * n * n, lc, counties,
              ["--categories"], a.repeat)


if __name__ == "__main__":
    main()
