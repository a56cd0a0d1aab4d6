"""Regridding benches: own inputs, skyflux regrid for 1 and 2 threads, and peers beside it.

    bench_regrid.py BINARY WORK [--only middle,fine,sums] [--repeat 3]

fine:   21 600 x 10 800 floats (DEFLATE, predictor 3) -> 0.25 degree. Beside it gdal_translate and
        gdalwarp -r average, whose cells of one target cell count alike; cdo remapcon runs out of
        memory here (12 GB after minutes), so it is not run.
middle: 3600 x 1800 floats -> 1 degree, beside cdo remapcon.
sums:   the fine input, amounts (sums) in place of means.

The answers are compared first: with a float64 mean over cos(latitude) at the centres of rows of 1'
(which leaves the ellipsoid's area by less than 1e-5 within a target cell), with the plain mean for
GDAL, with areas on the sphere for cdo. One JSON line a run: wall and CPU seconds, peak memory (MB),
and how much of the time that decoding alone takes (gdalinfo -checksum reads every block once).
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import gdal

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bench_zonal import create, say, smooth, timed  # noqa: E402

gdal.UseExceptions()


def floats(path, nx, ny, seed):
    rng = np.random.default_rng(seed)
    band = smooth(rng, ny, nx, 64)
    d = create(path, nx, ny, gdal.GDT_Float32, (-180, 360 / nx, 0, 90, 0, -180 / ny),
               ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE", "PREDICTOR=3",
                "NUM_THREADS=2", "BIGTIFF=YES"], -9999)
    for r in range(0, ny, 512):
        n = min(512, ny - r)
        v = 400 + 20 * band(r, r + n)  # all digits of a float are there: it shrinks by half
        v[rng.random((n, nx), np.float32) < 0.01] = -9999
        d.GetRasterBand(1).WriteArray(v.astype(np.float32), 0, r)


def read(path):
    v = gdal.Open(str(path)).ReadAsArray().astype(float)
    return np.where(v == -9999, np.nan, v)


def block_mean(path, side, weigh, total=False):
    d = gdal.Open(str(path))
    nx, ny = d.RasterXSize, d.RasterYSize
    out = np.empty((ny // side, nx // side))
    for r in range(0, ny, side):
        v = d.ReadAsArray(0, r, nx, side).astype(float)
        v[v == -9999] = np.nan
        w = np.cos(np.radians(90 - (np.arange(r, r + side) + 0.5) * 180 / ny))[:, None] if weigh else 1
        good = ~np.isnan(v) * w
        sums = (np.nan_to_num(v) * good).reshape(side, -1, side).sum((0, 2))
        out[r // side] = sums if total else sums / good.reshape(side, -1, side).sum((0, 2))
    return out


def worst(a, b):
    assert (np.isnan(a) == np.isnan(b)).all()
    return float(np.nanmax(np.abs(a - b) / np.nanmax(np.abs(b))))


def best_of(n, args):
    runs = [timed(args)[0] for _ in range(n)]
    return min(runs, key=lambda r: r["cpu_s"])


def ours(a, name, src, out, cell, kind, want, tolerance, decode, pixels):
    for threads in (1, 2):
        args = [a.binary, "regrid", src, "--kind", kind, "--box=-180,-90,180,90", "--cell", cell,
                "-o", out, "--threads", threads, "-q", "--progress", "none"]
        numbers = best_of(a.repeat, args)
        differs = worst(read(out), want)
        assert differs < tolerance, (name, differs)
        say(name, "skyflux", threads, numbers, largest_difference=differs,
            ns_per_pixel=round(numbers["cpu_s"] * 1e9 / pixels, 2),
            decode_share=round(decode["cpu_s"] / numbers["cpu_s"], 2) if decode else None)


def peer(a, name, tool, args, out, want, repeat=1):
    numbers = best_of(repeat, args)
    say(name, tool, 1, numbers, largest_difference=worst(out(), want))


def fine(a, kind):
    src, out = a.work / "fine.tif", a.work / "out.tif"
    name = f"21600x10800 -> 0.25 degree, {kind}"
    if not src.exists():
        floats(src, 21600, 10800, 3)
    src.read_bytes()
    decode = best_of(a.repeat, ["gdalinfo", "-checksum", src])
    say(name, "gdalinfo -checksum (decode alone)", 1, decode)
    want = block_mean(src, 15, kind == "intensive", kind == "extensive")
    ours(a, name, src, out, "0.25", kind, want, 1e-5, decode, 21600 * 10800)
    if kind == "extensive":
        return
    plain = block_mean(src, 15, False)
    say(name, "cos(latitude) against the plain mean", 0, {}, largest_difference=worst(plain, want))
    tif = str(a.work / "peer.tif")
    peer(a, name, "gdal_translate -r average", ["gdal_translate", "-q", "-r", "average", "-outsize",
         1440, 720, src, tif], lambda: read(tif), plain, a.repeat)
    peer(a, name, "gdalwarp -r average", ["gdalwarp", "-q", "-overwrite", "-r", "average", "-tr",
         0.25, 0.25, "-te", -180, -90, 180, 90, src, tif], lambda: read(tif), plain)


def middle(a):
    src, out, nc = a.work / "middle.tif", a.work / "out.tif", a.work / "middle.nc"
    name = "3600x1800 -> 1 degree"
    if not src.exists():
        floats(src, 3600, 1800, 4)
    v = read(src)
    if not nc.exists():
        with Dataset(nc, "w") as d:
            for axis, values, unit in (("lat", 89.95 - 0.1 * np.arange(1800), "degrees_north"),
                                       ("lon", -179.95 + 0.1 * np.arange(3600), "degrees_east")):
                d.createDimension(axis, len(values))
                x = d.createVariable(axis, "f8", (axis,))
                x[:], x.units, x.standard_name = values, unit, \
                    {"lat": "latitude", "lon": "longitude"}[axis]
            x = d.createVariable("v", "f4", ("lat", "lon"), fill_value=-9999)
            x[:] = np.where(np.isnan(v), -9999, v)
    want = block_mean(src, 10, True)
    ours(a, name, src, out, "1", "intensive", want, 1e-5, None, 3600 * 1800)
    if shutil.which("cdo") is None:
        print("cdo is not there: apt-get install cdo", file=sys.stderr)
        return
    grid = a.work / "grid.txt"
    grid.write_text("gridtype=lonlat\nxsize=360\nysize=180\nxfirst=-179.5\nxinc=1\nyfirst=-89.5\nyinc=1\n")
    for threads in (1, 2):
        numbers = best_of(1, ["cdo", "-s", "-P", threads, f"remapcon,{grid}", nc, a.work / "cdo.nc"])
        with Dataset(a.work / "cdo.nc") as d:
            got = np.ma.filled(d["v"][:].astype(float), np.nan)[::-1]
        say(name, "cdo remapcon", threads, numbers, largest_difference=worst(got, want))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("binary")
    p.add_argument("work", type=pathlib.Path)
    p.add_argument("--only", default="middle,fine,sums")
    p.add_argument("--repeat", type=int, default=3)
    a = p.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "2"
    only = a.only.split(",")
    if "middle" in only:
        middle(a)
    if "fine" in only:
        fine(a, "intensive")
    if "sums" in only:
        fine(a, "extensive")


main()
