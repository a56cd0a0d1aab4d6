"""COG writing benches: our stream beside gdal_translate -of COG, the same input, in pairs.

    bench_cog.py COG_COPY WORK [--scale S] [--only NAME,...] [--repeat N]

COG_COPY is tests/cog_copy of the build: it reads the input with the raster engine and puts every
block. Scale 1 is the full size: floats 21 600 x 10 800 and classes 20 000 x 20 000; the sides
shrink with S. Inputs are made once and kept in WORK. One JSON line per pair: wall and CPU seconds,
peak memory (MB) and size of the file (MB) of both, and whether both hold the same pixels.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
from osgeo import gdal

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_zonal  # its inputs

gdal.UseExceptions()


def measure(command, out):
    """The files of earlier runs are gone and on disk is what was written before."""
    for old in out.parent.glob(out.stem + "*"):
        old.unlink()
    os.sync()
    start = time.time()
    p = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL,
                         env=dict(os.environ, GDAL_PAM_ENABLED="YES"))
    _, status, use = os.wait4(p.pid, 0)
    if status != 0:
        raise SystemExit(f"{command}: status {status}")
    return {"wall": round(time.time() - start, 2), "cpu": round(use.ru_utime + use.ru_stime, 2),
            "rss": round(use.ru_maxrss / 1024), "file": round(out.stat().st_size / 1e6, 1)}


def same_pixels(a, b):
    """Equal values, nodata in the same places (its value may differ)."""
    bands = [gdal.Open(str(n)) for n in (a, b)]
    one, two = (d.GetRasterBand(1) for d in bands)
    for y in range(0, one.YSize, 512):
        n = min(512, one.YSize - y)
        v = [band.ReadAsArray(0, y, band.XSize, n) for band in (one, two)]
        for k, band in enumerate((one, two)):
            v[k] = np.where(v[k] == band.GetNoDataValue(), np.nan, v[k])
        if not np.array_equal(*v, equal_nan=True):
            return False
    return one.GetOverviewCount() == two.GetOverviewCount()


def apart(run, *arguments):
    """In a process of its own: a child's peak memory is never below what its parent holds."""
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        return pool.submit(run, *arguments).result()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("copy")
    a.add_argument("work", type=pathlib.Path)
    a.add_argument("--scale", type=float, default=1.0)
    a.add_argument("--only", default="")
    a.add_argument("--repeat", type=int, default=1)
    o = a.parse_args()
    o.work.mkdir(parents=True, exist_ok=True)
    source = {"float": o.work / f"float_{o.scale}.tif", "byte": o.work / f"byte_{o.scale}.tif"}
    if not source["float"].exists():
        apart(bench_zonal.floats, source["float"], int(21600 * o.scale), int(10800 * o.scale), 1)
    if not source["byte"].exists():
        apart(bench_zonal.land_cover, source["byte"], int(20000 * o.scale), 2)
    cases = [(kind, codec, threads) for kind in ("float", "byte") for codec in ("deflate", "zstd")
             for threads in (1, 2)]
    for kind, codec, threads in cases:
        name = f"{kind}_{codec}_{threads}"
        if o.only and name not in o.only.split(","):
            continue
        ours, peer = o.work / "ours.tif", o.work / "peer.tif"
        for _ in range(o.repeat):
            mine = ["type=float32", "kind=mean"] if kind == "float" else ["type=uint8", "kind=class",
                                                                          "nodata=0"]
            r = {"bench": name}
            r["ours"] = measure([o.copy, source[kind], ours, f"codec={codec}",
                                 f"threads={threads}"] + mine, ours)
            how = ["-co", "PREDICTOR=YES", "-co", "RESAMPLING=AVERAGE"] if kind == "float" else \
                  ["-co", "RESAMPLING=MODE"]
            r["gdal"] = measure(["gdal_translate", "-q", "-of", "COG", "-co",
                                 f"COMPRESS={codec.upper()}", "-co", f"NUM_THREADS={threads}",
                                 "-co", "BIGTIFF=IF_SAFER"] + how + [source[kind], peer], peer)
            r["ratio"] = {k: round(r["gdal"][k] / r["ours"][k], 2) for k in ("wall", "cpu", "rss")}
            r["same"] = apart(same_pixels, ours, peer)
            print(json.dumps(r), flush=True)


main()
