"""Level 3 benches: exact binning of S5P-size orbits against HARP, and oversampling.

    bench_l3.py BINARY WORK [--orbits N] [--scale S] [--cells 0.1,0.05] [--no-harp]

An orbit has 215 × 4173 pixels of 5.5 km × 7 km and more, all good, from 85° S to 85° N; S shortens
it. Ours reads harmonised files, HARP its own format (uncompressed), with the same corners and
values; files are warm. Runs of ours (1 and 2 threads) and HARP's stand side by side, so that a busy
machine weighs on both; CPU seconds are those to compare. Beside each run stand the reading alone
(of a period without soundings) and its product read and written again: binning_us is what the run
cost beyond both, per footprint (at least: the product is read, too). HARP runs with -ar, its
mode that keeps memory small. One JSON line a run.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import netCDF4
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import harmonised  # noqa: E402
import harp_file  # noqa: E402

PIXELS, LINES = 215, 4173


def children_rss(pid):
    """Resident kB of a process and its children."""
    total, todo = 0, [pid]
    while todo:
        p = todo.pop()
        try:
            with open(f"/proc/{p}/statm") as f:
                total += int(f.read().split()[1]) * 4
            with open(f"/proc/{p}/task/{p}/children") as f:
                todo += [int(c) for c in f.read().split()]
        except (OSError, ValueError, IndexError):
            pass
    return total


def measure(args, code=0):
    before = os.times()
    start = time.perf_counter()
    p = subprocess.Popen(list(map(str, args)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    peak = [0]

    def watch():
        while p.poll() is None:
            peak[0] = max(peak[0], children_rss(p.pid))
            time.sleep(0.005)
    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = p.communicate()
    watcher.join()
    if p.returncode != code:
        sys.exit(f"{args}: {p.returncode}: {err.decode()[-400:]}")
    wall, after = time.perf_counter() - start, os.times()
    cpu = after[2] + after[3] - before[2] - before[3]
    return {"wall": round(wall, 3), "cpu": round(cpu, 3), "mb": round(peak[0] / 1024)}, out


def make(work, orbits, lines):
    for k in range(orbits):
        ours, theirs = work / f"orbit{k}.nc", work / f"harp{k}.nc"
        if ours.exists() and theirs.exists():
            continue
        lon, lat = harmonised.swath(lines, PIXELS, -170 + 340 * k / orbits, -70, 70)
        lon = (lon + 180) % 360 - 180
        n = len(lon)
        x = 1850 + 40 * np.sin(np.arange(n) * 1e-3) + 5 * np.sin(np.arange(n) * 0.7)
        stamp = 1.5e9 + 6090 * k + np.arange(n) * 6000 / n
        harp_file.write(theirs, lon, lat, x, stamp)
        harmonised.write(ours, lon, lat, x, np.full(n, 8.0), time=stamp, granule=f"orbit{k}")


def say(**row):
    print(json.dumps(row), flush=True)


def binning(binary, work, orbits, lines, cell, harp):
    ours = [work / f"orbit{k}.nc" for k in range(orbits)]
    n = orbits * lines * PIXELS
    out = work / "ours.nc"
    grid = [binary, "grid", *ours, "-q", "--progress", "none"]
    for threads, weights, memory in ((1, "planar", "4G"), (1, "area", "4G"), (2, "area", "4G"),
                                     (2, "area", "300M")):
        # Reading alone: no sounding is of this time, so the run ends without an output.
        reading, _ = measure([*grid, "--threads", threads, "--end", "1990-01-01", "--cell", cell,
                              "-o", work / "e.nc"], code=4)
        r, _ = measure([*grid, "--cell", cell, "--threads", threads, "--weights", weights,
                        "--memory", memory, "-o", out])
        # Reading the sums and writing them again.
        again, _ = measure([binary, "grid", "--merge", out, "-q", "--progress", "none", "-o",
                            work / "w.nc", "--threads", threads])
        beside = r["cpu"] - reading["cpu"]
        say(bench="binning", tool="skyflux", cell=cell, orbits=orbits, footprints=n,
            threads=threads, weights=weights, memory=memory, **r,
            us_per_footprint=round(r["cpu"] / n * 1e6, 3), reading_cpu=reading["cpu"],
            beside_reading_us=round(beside / n * 1e6, 3), merge_cpu=again["cpu"],
            binning_us=round((beside - again["cpu"]) / n * 1e6, 3))
        if weights == "planar":
            with netCDF4.Dataset(out) as g:
                mine = g["xch4"][...].filled(np.nan)
                cover = np.ma.filled(g["xch4_coverage"][...], 0)
    if not harp:
        return
    nx, ny = round(360 / cell), round(180 / cell)
    keep = "keep(datetime,latitude_bounds,longitude_bounds,CH4_column_volume_mixing_ratio_dry_air)"
    spatial = harp_file.bin_spatial(-180, -90, cell, nx, ny)
    r, _ = measure(["harpmerge", "-a", f"{keep};{spatial}", "-ar",
                    "squash(time,(latitude_bounds,longitude_bounds));bin()",
                    *[work / f"harp{k}.nc" for k in range(orbits)], work / "harp.nc"])
    with netCDF4.Dataset(work / "harp.nc") as f:
        theirs = np.ma.filled(f["CH4_column_volume_mixing_ratio_dry_air"][0], np.nan)
        both = ~np.isnan(theirs) & ~np.isnan(mine) & (cover > 1e-3)
        difference = abs(theirs - mine)[both]
    say(bench="binning", tool="harpmerge -ar", cell=cell, orbits=orbits, footprints=n, threads=1,
        weights="planar", **r, cpu_us_per_footprint=round(r["cpu"] / n * 1e6, 3),
        cells_in_both=int(both.sum()), largest_difference_ppb=round(float(difference.max()), 6),
        mean_difference_ppb=round(float(difference.mean()), 7))


def oversampling(binary, work):
    """30 000 pixels (140 × 215) to 200 × 200 cells over their middle, whole command and the gain
    over one cell."""
    lon, lat = harmonised.swath(140, PIXELS, 18, 40, 48.8)
    path = work / "oversample.nc"
    n = len(lon)
    harmonised.write(path, lon, lat, 1850 + 40 * np.sin(np.arange(n) * 0.01), np.full(n, 8.0))
    for threads in (1, 2):
        run = [binary, "grid", path, "-q", "--progress", "none", "--threads", threads]
        idle, _ = measure([*run, "--box=-180,-90,180,90", "--cell", 90, "-o", work / "e.nc"])
        for cell, box in ((0.1, "0,34,20,54"), (0.05, "3,39,13,49"), (0.02, "6,42,10,46")):
            r, _ = measure([*run, "--method", "oversample", f"--box={box}", "--cell", cell, "-o",
                            work / "o.nc"])
            say(bench="oversampling", tool="skyflux", cell=cell, grid="200x200", pixels=n,
                threads=threads, **r, idle_cpu=idle["cpu"], idle_wall=idle["wall"])


def main():
    a = argparse.ArgumentParser()
    a.add_argument("binary")
    a.add_argument("work", type=pathlib.Path)
    a.add_argument("--orbits", type=int, default=10)
    a.add_argument("--scale", type=float, default=1)
    a.add_argument("--cells", default="0.1,0.05")
    a.add_argument("--no-harp", action="store_true")
    a = a.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    lines = max(2, round(LINES * a.scale))
    make(a.work, a.orbits, lines)
    oversampling(a.binary, a.work)
    for cell in map(float, a.cells.split(",")):
        binning(a.binary, a.work, a.orbits, lines, cell, not a.no_harp)


main()
