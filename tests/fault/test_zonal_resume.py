"""`skyflux zonal` stopped, resumed, dealt out and merged: always the bytes of one run.

Arguments: binary, data folder, work folder, source root."""
import fcntl
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from zonal_inputs import classes, command, field, gone, raster, run, same, zones

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
NX, NY = 2100, 1300
DEGREES = (10, 0.002, 0, 50, 0, -0.002)
METRES = (500000, 100, 0, 5500000, 0, -100)


def some_zones(t):
    w, n, dx, dy = t[0], t[3], NX * t[1], NY * -t[5]
    boxes = [(w + dx * i / 6, n - dy * (k + 1) / 4, w + dx * (i + 1) / 6, n - dy * k / 4)
             for k in range(4) for i in range(6)]
    return boxes + [(w + dx * 0.1, n - dy * 0.9, w + dx * 1.2, n - dy * 0.2)]


def cases():
    values, one, two, wide = (WORK / n for n in ("v.tif", "a.tif", "b.tif", "w.tif"))
    raster(values, field(1, NX, NY), METRES, 32633, nodata=-1)
    raster(one, classes(2, NX, NY), DEGREES, nodata=0)
    raster(two, classes(3, NX, NY), DEGREES)
    raster(wide, field(4, NX, NY), DEGREES, nodata=-1, options=("COMPRESS=DEFLATE",))
    coarse = raster(WORK / "coarse.tif", field(9, NX // 10, NY // 10), (10, 0.02, 0, 50, 0, -0.02),
                    nodata=-1)
    metres = zones(WORK / "m.gpkg", some_zones(METRES), 32633)
    degrees = zones(WORK / "d.gpkg", some_zones(DEGREES))
    return {"values": [values, metres, "--stats", "mean,stdev,min,max,median"],
            "weighted": [wide, degrees, "--stats", "weighted_mean,sum", "--weight-raster", wide],
            "resampled": [wide, coarse, degrees, "--stats", "sum,mean", "--kind",
                          "extensive,extensive"],
            "classes": [one, degrees, "--categories"],
            "crosstab": [one, two, degrees, "--categories"]}


def zonal(args, *more, code=0, **how):
    return run(BINARY, "zonal", *args, "--id", "code", "-q", *more, code=code, **how)


def test_same_bytes(name, args):
    one = WORK / f"{name}.csv"
    zonal(args, "--threads", 1, "-o", one)
    other = WORK / "other.csv"
    for threads, tile in ((2, 512), (5, 256), (2, 1024)):
        zonal(args, "--threads", threads, "--tile", tile, "-o", other)
        same(one, other, (name, threads, tile))
    shards = [WORK / f"{name}{i}.shard" for i in (1, 2, 3)]
    for i, path in enumerate(shards):
        zonal(args, "--shard", f"{i + 1}/3", "--threads", i + 1, "--tile", 256 << i, "-o", path)
    run(BINARY, "merge", "-q", shards[2], shards[0], shards[1], "-o", other)
    same(one, other, f"{name}: shards")
    again = WORK / "again.shard"
    zonal(args, "--shard", "2/3", "--threads", 5, "--tile", 256, "-o", again)
    same(shards[1], again, f"{name}: a shard depends on threads or tiles")
    zonal(args, "--shard", "1/1", "-o", again)
    run(BINARY, "merge", "-q", again, "-o", other)
    same(one, other, f"{name}: one shard")
    assert not list(WORK.glob("*.journal")) and not list(WORK.glob(".part*"))
    return one, shards


def test_wrong_shards(shards, foreign):
    out = WORK / "wrong.csv"

    def refused(paths, word, code):
        text = run(BINARY, "merge", *paths, "-o", out, code=code)
        assert word in text, text
        assert not out.exists()

    a, b, c = shards
    refused([a, b], "shard 1 of 3, but 2 files are given", 3)
    refused([a, b, b], "are both shard 2 of 3", 3)
    refused([a, b, foreign], "another run", 3)
    refused([WORK / "v.tif"], "is no shard", 3)
    refused([WORK / "none.shard"], "none.shard: cannot open", 3)
    whole = b.read_bytes()
    bad = WORK / "bad.shard"
    for damage in (whole[:-1], whole[:len(whole) // 2], whole + b"x",
                   whole[:len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) +
                   whole[len(whole) // 2 + 1:]):
        bad.write_bytes(damage)
        refused([a, bad, c], "damaged", 3)
    kept = (WORK / "a.tif").stat()
    os.utime(WORK / "a.tif", (kept.st_atime, kept.st_mtime + 5))
    refused(shards, "another run", 3)
    os.utime(WORK / "a.tif", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    run(BINARY, "merge", "-q", *shards, "-o", out)
    out.unlink()


def stop_once(args, out, moment, how):
    """Start a run and stop it when its journal has so many bytes; whether it was stopped."""
    journal = pathlib.Path(f"{out}.journal")
    p = subprocess.Popen(command(BINARY, "zonal", *args, "--id", "code", "-q", "--threads", 2,
                                 "--tile", 256, "-o", out),
                         stderr=subprocess.PIPE, text=True)
    while p.poll() is None and not (journal.exists() and journal.stat().st_size >= moment):
        time.sleep(0.001)
    p.send_signal(how)
    text = p.communicate()[1]
    return p.returncode, text


def test_kill(args, want, most):
    out, rng = WORK / "killed.csv", random.Random(7)
    journal = pathlib.Path(f"{out}.journal")
    stopped = 0
    for _ in range(2):
        gone(out, journal)
        for _ in range(3):  # several times in a row
            have = journal.stat().st_size if journal.exists() else 0
            code, _text = stop_once(args, out, have + rng.uniform(0, most / 3), signal.SIGKILL)
            if code == -signal.SIGKILL:
                stopped += 1
                assert not out.exists()
            if out.exists():
                break
        if not out.exists():
            zonal(args, "--threads", 5, "-o", out)
        same(out, want, "killed and resumed")
        assert not journal.exists()
    assert stopped >= 2, stopped
    gone(out)
    code, text = stop_once(args, out, most / 4, signal.SIGINT)
    if code != 0:
        assert code == 1 and "cancelled" in text and "the same command goes on" in text, text
        assert journal.exists() and not out.exists()
    zonal(args, "-o", out)
    same(out, want, "cancelled and resumed")


def half_a_journal(args, out, most):
    for share in (0.5, 0.3, 0.2, 0.1):
        gone(out, f"{out}.journal")
        if stop_once(args, out, most * share, signal.SIGKILL)[0] != 0:
            return pathlib.Path(f"{out}.journal").read_bytes()
    raise SystemExit("no run could be stopped in time")


def test_journal(args, want, most):
    """What is torn is cut off, what is damaged is computed again, what is foreign is refused."""
    out, rng = WORK / "torn.csv", random.Random(8)
    journal = pathlib.Path(f"{out}.journal")
    whole = half_a_journal(args, out, most)
    for k, at in enumerate([11, len(whole)] + [rng.randrange(16, len(whole)) for _ in range(3)]):
        gone(out)
        journal.write_bytes(whole[:at] if k % 2 == 0 or k == 1 else
                            whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1:])
        text = run(BINARY, "zonal", *args, "--id", "code", "-o", out)
        assert k != 1 or re.search(r"resuming after [1-9]\d* blocks", text), text
        same(out, want, ("torn journal", k, at))
    journal.write_bytes(whole)
    os.utime(args[0], (time.time(), os.stat(args[0]).st_mtime + 3))
    gone(out)
    text = zonal(args, "-o", out, code=2)
    assert "holds parts of another run" in text and "--fresh" in text, text
    assert journal.read_bytes() == whole and not out.exists()
    zonal(args, "-o", out, "--fresh")
    same(out, want, "--fresh")
    journal.write_bytes(b"a file of mine, not of skyflux")
    text = zonal(args, "-o", out, code=2)
    assert "no journal of skyflux" in text and journal.read_bytes().startswith(b"a file of mine")
    journal.unlink()


def test_two_at_once(args):
    """A journal that another process holds is left alone."""
    out = WORK / "twice.csv"
    with open(f"{out}.journal", "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        text = zonal(args, "-o", out, code=2)
    assert "another process is at work" in text and not out.exists(), text
    gone(f"{out}.journal")


def test_resampled(args):
    """Amounts on a coarser grid are shared out: their sum stays; classes keep their names."""
    frame = zones(WORK / "frame.gpkg", [(5, 40, 20, 55)])
    out = WORK / "frame.csv"
    text = run(BINARY, "zonal", *args[:2], frame, *args[3:], "--id", "code", "-o", out)
    assert "coarse.tif: resampled as extensive" in text, text
    rows = [r for r in out.read_text().splitlines() if not r.startswith("#")]
    got = dict(zip(rows[0].split(","), rows[1].split(",")))
    v = field(9, NX // 10, NY // 10).astype(float)
    want = v[v != -1].sum()
    assert abs(float(got["sum_coarse"]) / want - 1) < 1e-9, (got, want)
    text = zonal([*args[:3], "--stats", "sum"], code=3)
    assert "--kind or --like resamples them" in text, text
    text = zonal([args[0], args[2], "--stats", "sum", "--like", args[1]], code=2)
    assert "--kind says" in text, text
    classes_at = [WORK / "a.tif", frame, "--categories"]
    zonal([*classes_at, "--like", args[1]], "-o", out)
    rows = [r for r in out.read_text().splitlines() if not r.startswith("#")]
    assert len(rows) == 9, rows  # a header and 8 classes


def test_bytes_as_numbers(args, want):
    """Classes of one byte are counted another way than others: the same table."""
    folder = WORK / "int16"
    folder.mkdir()
    for name, seed, nodata in (("a.tif", 2, 0), ("b.tif", 3, None)):
        raster(folder / name, classes(seed, NX, NY).astype("int16"), DEGREES, nodata=nodata)
    other = WORK / "int16.csv"
    zonal([folder / "a.tif", folder / "b.tif", *args[2:]], "-o", other)
    rows = [[line for line in p.read_text().splitlines() if not line.startswith("#")]
            for p in (want, other)]
    assert rows[0] == rows[1] and len(rows[0]) > 300, "bytes and int16 differ"


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    all_cases = cases()
    done = {name: test_same_bytes(name, args) for name, args in all_cases.items()}
    test_wrong_shards(done["crosstab"][1], done["classes"][1][2])
    most = sum(p.stat().st_size for p in done["values"][1])
    test_kill(all_cases["values"], done["values"][0], most)
    test_journal(all_cases["values"], done["values"][0], most)
    test_two_at_once(all_cases["values"])
    test_resampled(all_cases["resampled"])
    test_bytes_as_numbers(all_cases["crosstab"], done["crosstab"][0])


main()
