"""`skyflux sink` with rasters, whatever the threads, tiles and shards, and however often it is killed: the same
bytes of table, tensor, JSON and rasters.

Arguments: binary, data folder, work folder, source root."""
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
from zonal_inputs import classes, command, raster, run, zones

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
NX, NY = 1500, 1300
CELL = 0.0005
AT = (112, CELL, 0, 24, 0, -CELL)
RASTERS = ("stock", "stock_change", "removal")


def inputs():
    first = classes(2, NX, NY) % 5
    second = np.where(np.random.default_rng(3).random(first.shape) < 0.05, classes(5, NX, NY) % 5, first)
    for name, values in (("a.tif", first), ("b.tif", second.astype(np.uint8))):
        raster(WORK / name, values, AT, nodata=0)
    coarse = np.ones((NY // 50, NX // 50), np.uint8)
    coarse[:, 20:] = 2
    raster(WORK / "climate.tif", coarse, (112, 50 * CELL, 0, 24, 0, -50 * CELL), nodata=0)
    (WORK / "l.csv").write_text("code,name,class\n1,w,1\n2,m,8\n3,f,7\n4,t,11\n")
    (WORK / "c.csv").write_text("code,set\n1,ipcc-tropical-moist\n2,ipcc-tropical-rainforest\n")
    w, n, dx, dy = 112, 24, NX * CELL, NY * CELL
    boxes = [(w + dx * i / 3, n - dy * (k + 1) / 2, w + dx * (i + 1) / 3, n - dy * k / 2)
             for k in range(2) for i in range(3)]
    zones(WORK / "z.gpkg", boxes)
    return [WORK / "a.tif", WORK / "b.tif", WORK / "z.gpkg", "--id", "code", "--years", "2010,2020",
            "--legend", WORK / "l.csv", "--climate", WORK / "climate.tif", "--climate-sets", WORK / "c.csv",
            "--soil", "LAC", "--accuracy", "0.9", "-q"]


def full(args, name, *more):
    """-o, --areas, --rasters and --json of one run."""
    return [*args, "-o", WORK / f"{name}.csv", "--areas", WORK / f"{name}.areas.csv", "--rasters", WORK / name,
            "--json", *more]


def files(name):
    paths = [WORK / f"{name}.csv", WORK / f"{name}.areas.csv"]
    return [p.read_bytes() for p in paths + [WORK / f"{name}_{r}.{e}" for r in RASTERS for e in ("tif", "qml")]]


def output(args):
    r = subprocess.run(command(BINARY, "sink", *args), capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return r.stdout


def left(name):
    """What a run that was killed may leave: its journal, tiles."""
    return [p for p in WORK.iterdir() if p.name.startswith(".tiles." + name) or ".part" in p.name
            or p.name == f"{name}.csv.journal"]


def test_same_bytes(args):
    text = output(full(args, "one", "--threads", 1, "--tile", 1024))
    want = files("one")
    for threads in (1, 2, 5):
        for tile in (256, 512, 1024):
            got = output(full(args, "more", "--threads", threads, "--tile", tile))
            assert got == text and files("more") == want, (threads, tile)
    for shards in (1, 3):
        parts = [WORK / f"s{i}.shard" for i in range(shards)]
        for i, p in enumerate(parts):
            run(BINARY, "sink", *args, "--shard", f"{i + 1}/{shards}", "--threads", i + 1, "--tile", 256 << i,
                "-o", p)
        merged = subprocess.run(command(BINARY, "merge", "-q", "--json", *reversed(parts), "-o", WORK / "m.csv"),
                                capture_output=True, text=True)
        assert merged.returncode == 0, merged.stderr
        assert (WORK / "m.csv").read_bytes() == want[0] and merged.stdout == text, shards
    assert not left("one") and not left("more")
    return want


def tiles(name):
    return sum(p.stat().st_size for p in WORK.glob(f".tiles.{name}_*.tif"))


def kill_at(args, name, moment):
    """Kills a run once its scratch files have so many bytes; whether it was killed."""
    p = subprocess.Popen(command(BINARY, "sink", *full(args, name, "--threads", 2, "--tile", 256)),
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while p.poll() is None and tiles(name) < moment:
        time.sleep(0.0005)
    p.send_signal(signal.SIGKILL)
    return p.wait() == -signal.SIGKILL


def test_kill(args, want):
    rng = random.Random(5)
    size = sum(len(b) for b in want[2::2])
    stopped, spared, all_tiles = 0, 0, -(-NX // 256) * -(-NY // 256)
    for _ in range(3):
        for _ in range(2):
            have = tiles("k")
            if not kill_at(args, "k", have + rng.uniform(0.05, 0.4) * size):
                break
            stopped += 1
            assert not (WORK / "k_removal.tif").exists()
        if tiles("k") > 0:
            log = subprocess.run(command(BINARY, "sink", *(a for a in full(args, "k", "--tile", 256) if a != "-q")),
                                 capture_output=True, text=True)
            assert log.returncode == 0, log.stderr
            assert "resuming after" in log.stderr, log.stderr  # the areas, from the journal
            todo = re.search(r"rasters: (\d+) tiles", log.stderr)
            spared += all_tiles - (int(todo.group(1)) if todo else 0)
        assert files("k") == want and not left("k")
        for p in WORK.glob("k*"):
            p.unlink()
    assert stopped >= 3 and spared > 0, (stopped, spared)


def test_other_tables(args, want):
    """Tiles of other factors are no tiles of this run."""
    other = [a if a != "LAC" else "HAC" for a in args]
    assert any(kill_at(other, "o", share * sum(len(b) for b in want[2::2])) for share in (0.5, 0.3, 0.1))
    assert tiles("o") > 0
    (WORK / "o.csv.journal").unlink()  # the areas belong to the other command, which it would refuse
    output(full(args, "o"))
    assert files("o") == want and not left("o")


shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
the_args = inputs()
wanted = test_same_bytes(the_args)
test_kill(the_args, wanted)
test_other_tables(the_args, wanted)
