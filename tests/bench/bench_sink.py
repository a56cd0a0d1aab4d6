"""Sink bench: two dates of land cover, totals and area tensor of zones, then with three rasters written,
for 1 and 2 threads.

    bench_sink.py BINARY WORK [--side N] [--repeat N]

Inputs are made once and kept in WORK: N × N bytes (10 000), 6 classes in patches, 5 % changed, 512²
DEFLATE tiles, and four counties. One JSON line per run: wall and CPU seconds, peak memory (MB), and
how far the areas of GDAL blocks with numpy's bincount, times exact row areas, are from ours.
"""
import argparse
import csv
import json
import math
import os
import pathlib
import subprocess
import sys
import threading
import time

import numpy as np
from osgeo import gdal, osr

gdal.UseExceptions()
CELL, WEST, NORTH = 1e-4, 113.0, 31.0
CODES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 7, 6: 11}


def create(path, values):
    d = gdal.GetDriverByName("GTiff").Create(
        str(path), values.shape[1], values.shape[0], 1, gdal.GDT_Byte,
        ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE"])
    d.SetGeoTransform((WEST, CELL, 0, NORTH, 0, -CELL))
    s = osr.SpatialReference()
    s.ImportFromEPSG(4326)
    d.SetProjection(s.ExportToWkt())
    d.GetRasterBand(1).SetNoDataValue(0)
    d.GetRasterBand(1).WriteArray(values)


def make(work, n):
    rng = np.random.default_rng(7)
    coarse = rng.integers(1, 7, size=(n // 20 + 1, n // 20 + 1), dtype=np.uint8)
    first = np.kron(coarse, np.ones((20, 20), np.uint8))[:n, :n]
    change = np.kron(rng.random((n // 10 + 1, n // 10 + 1)) < 0.05, np.ones((10, 10), bool))[:n, :n]
    second = np.where(change, first % 6 + 1, first).astype(np.uint8)
    for name, v in (("lc1.tif", first), ("lc2.tif", second)):
        create(work / name, v)
    half, features = n * CELL / 2, []
    for k in range(4):
        x, y = WEST + (k % 2) * half, NORTH - (k // 2) * half
        features.append({"type": "Feature", "properties": {"code": f"z{k}"}, "geometry": {
            "type": "Polygon", "coordinates": [[[x, y - half], [x + half, y - half], [x + half, y],
                                                [x, y], [x, y - half]]]}})
    (work / "z.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (work / "legend.csv").write_text(
        "code,name,class\n" + "".join(f"{c},c{c},{k}\n" for c, k in CODES.items()))
    (work / "pools.csv").write_text(
        "code,above,below,soil,gain\n1,120,30,60,2\n2,20,8,50,0\n3,4,6,50,0\n4,0,0,90,0\n5,5,0,42,0\n"
        "6,0,0,20,0\n")


def measure(command):
    peak = [0.0]
    start = time.monotonic()
    p = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def watch():
        while p.returncode is None:
            try:
                for line in pathlib.Path(f"/proc/{p.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM"):
                        peak[0] = max(peak[0], int(line.split()[1]) / 1024)
            except (FileNotFoundError, ProcessLookupError):
                return
            time.sleep(0.01)
    t = threading.Thread(target=watch)
    t.start()
    error = p.stderr.read().decode()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    t.join()
    assert p.returncode == 0, error
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime, peak[0]


def peer(work, n):
    """Rows of 512: bincount of pairs a row, times the row's area."""
    start, cpu = time.monotonic(), time.process_time()
    data = [gdal.Open(str(work / f"lc{i}.tif")) for i in (1, 2)]
    maps = [d.GetRasterBand(1) for d in data]
    e2 = 0.0066943799901413165
    e = math.sqrt(e2)
    s = np.sin(np.radians(NORTH - np.arange(n + 1) * CELL))
    q = 0.5 * 6378137.0 ** 2 * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
    row = (q[:-1] - q[1:]) * math.radians(CELL) / 1e4
    area = np.zeros(64)
    for y in range(0, n, 512):
        h = min(512, n - y)
        a, b = (m.ReadAsArray(0, y, n, h) for m in maps)
        pair = a.astype(np.int64) * 8 + b + 64 * np.arange(h)[:, None]
        area += np.bincount(pair.ravel(), minlength=64 * h).reshape(h, 64).T @ row[y:y + h]
    return area, time.monotonic() - start, time.process_time() - cpu


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("binary")
    parse.add_argument("work", type=pathlib.Path)
    parse.add_argument("--side", type=int, default=10000)
    parse.add_argument("--repeat", type=int, default=3)
    a = parse.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    if not (a.work / f"made{a.side}").exists():
        make(a.work, a.side)
        (a.work / f"made{a.side}").touch()
    command = [a.binary, "sink", a.work / "lc1.tif", a.work / "lc2.tif", a.work / "z.geojson", "--id",
               "code", "--years", "2000,2010", "--legend", a.work / "legend.csv", "--pools",
               a.work / "pools.csv", "--areas", a.work / "areas.csv", "--progress", "none"]
    paint = command + ["--rasters", a.work / "r"]
    for what, line, threads in [("sink", command, 1), ("sink", command, 2), ("sink, three rasters", paint, 1),
                                ("sink, three rasters", paint, 2)]:
        runs = [measure(line + ["--threads", threads]) for _ in range(a.repeat)]
        wall, cpu, rss = min(r[0] for r in runs), min(r[1] for r in runs), max(r[2] for r in runs)
        print(json.dumps({"what": what, "side": a.side, "threads": threads, "wall_s": round(wall, 3),
                          "cpu_s": round(cpu, 3), "peak_mb": round(rss)}))
    lines = [x for x in (a.work / "areas.csv").read_text().splitlines() if not x.startswith("#")]
    ours = np.zeros(64)
    for r in csv.DictReader(lines):
        ours[int(r["class_2000"]) * 8 + int(r["class_2010"])] += float(r["area_ha"])
    theirs, wall, cpu = min((peer(a.work, a.side) for _ in range(a.repeat)), key=lambda r: r[2])
    worst = np.max(np.abs(ours - theirs)) / theirs.max()
    print(json.dumps({"what": "gdal + numpy bincount", "side": a.side, "wall_s": round(wall, 3),
                      "cpu_s": round(cpu, 3), "largest_difference": float(f"{worst:.2g}")}))
    return 0 if worst < 1e-9 else 1


sys.exit(main())
