"""Every real granule, truncated and with bytes mutated at random: a clean error and a skip, the intact
granule behind it complete, no hang beyond the time-out, for one worker and for several.

A worker that dies inside libhdf5 or libnetcdf is listed, not counted: every tool that uses them dies of
such a file, and the worker process is there to carry it. Where the worker died is looked up with gdb, or
without it by whether ncdump dies as well.
Arguments: binary, data folder, work folder, source folder, [cuts mutations].
"""
import glob
import json
import os
import random
import shlex
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK = sys.argv[1], os.path.join(sys.argv[2], "data"), sys.argv[3]
CUTS, MUTATIONS = (int(a) for a in sys.argv[5:7]) if len(sys.argv) > 6 else (2, 4)
TIMEOUT = 20
BATCH = 25
GRANULES = (("acos_oco_lite/*.nc4", "co2"), ("ghgcci_gosat/*OCPR*.nc", "ch4"),
            ("tropomi_ch4/*_07293_*.nc4", "ch4"), ("tropomi_ch4_blended/*.nc", "ch4"),
            ("openghg_column/*.qc.nc", "n2o"), ("openghg_column/oco2*.nc", "co2"),
            ("openghg_column/gosat*.nc", "ch4"))


def run(*args, **more):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, **more)


def damaged(path, seed):
    """(name, bytes) of the copies: cut at even distances, then one to forty bytes changed, half of the
    copies only in the structures at the front."""
    content = open(path, "rb").read()
    draw = random.Random(seed)
    for k in range(CUTS):
        yield "cut-%03d" % k, content[:len(content) * k // CUTS]
    for k in range(MUTATIONS):
        copy = bytearray(content)
        reach = len(copy) if k % 2 == 0 else max(len(copy) // 20, 1)
        for _ in range(draw.choice((1, 4, 40))):
            copy[draw.randrange(reach)] = draw.randrange(256)
        yield "mutated-%03d" % k, bytes(copy)


def died_in_library(path, gas):
    """The first frame outside libc lies in libhdf5, libnetcdf or what they call to decompress."""
    def ncdump_dies():
        return subprocess.run(["ncdump", path], capture_output=True, timeout=60).returncode < 0

    if shutil.which("gdb") is None:
        return ncdump_dies()
    log, wrapper = os.path.join(WORK, "frames.txt"), os.path.join(WORK, "worker.sh")
    with open(wrapper, "w") as f:
        f.write("#!/bin/sh\nunset SKYFLUX_WORKER_PARENT\nexec gdb -batch -ex run -ex bt --args %s \"$@\" >%s 2>&1\n"
                % (shlex.quote(BINARY), shlex.quote(log)))
    os.chmod(wrapper, 0o755)
    run("soundings", path, "--gas", gas, "-o", os.path.join(WORK, "x.nc"), "--timeout", "60",
        env=dict(os.environ, SKYFLUX_WORKER=wrapper))
    frames = [line for line in open(log) if line.startswith("#")]
    if not frames:  # no debugging allowed here
        return ncdump_dies()
    for line in frames:
        if "/libc.so" not in line and " in __" not in line:
            if " from " in line:
                print("   ", line.strip())
                return any(lib in line for lib in ("libhdf5", "libnetcdf", "libz.", "libsz"))
            if " at ./" not in line and " at ../sysdeps" not in line:  # not of libc's own sources
                return False
    return False


def soundings(path):
    """x and time of every row of the intact granule of a harmonised file."""
    with netCDF4.Dataset(path) as f:
        f.set_auto_mask(False)
        names = [str(n) for n in np.atleast_1d(f["granule"][:])]
        rows = f["granule_index"][:] == names.index("intact.nc")
        return f["x"][:][rows], f["time"][:][rows]


def batch(copies, intact, gas, whole, out):
    """One call over damaged copies and the intact one; returns its list of failures."""
    expected = (len(copies) + 1) * (TIMEOUT + 10)
    bytes_of = []
    for threads in ("1", "3"):
        done = run("soundings", *copies, intact, "--gas", gas, "--keep-dropped", "-o", out, "--json",
                   "--timeout", str(TIMEOUT), "--threads", threads, timeout=expected)
        assert done.returncode in (0, 5), (copies, done.returncode, done.stderr)
        bytes_of.append(open(out, "rb").read())
        x, time = soundings(out)
        assert np.array_equal(x, whole[0], equal_nan=True) and np.array_equal(time, whole[1]), copies
        if CUTS > 10:
            break  # many copies: once
    assert len(set(bytes_of)) == 1, "the number of workers shows"
    failed = json.loads(done.stdout).get("failed", [])
    assert (done.returncode == 5) == bool(failed)
    for item in failed:
        assert item["reason"], item
    return failed


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    total, skipped, library, ours, seen = 0, 0, [], [], 0
    for pattern, gas in GRANULES:
        paths = sorted(glob.glob(os.path.join(DATA, pattern)))
        for path in paths if CUTS > 10 else paths[:1]:
            intact = os.path.join(WORK, "intact.nc")
            shutil.copy(path, intact)
            os.chmod(intact, 0o644)
            out = os.path.join(WORK, "out.nc")
            done = run("soundings", intact, "--gas", gas, "--keep-dropped", "-o", out)
            if done.returncode == 3 and "no known product" in done.stderr:
                continue  # no reader of it in this build
            if done.returncode == 4:  # nothing good in it: it cannot be the one behind
                shutil.copy(sorted(glob.glob(os.path.join(DATA, "tropomi_ch4_blended/*.nc")))[-1], intact)
                done = run("soundings", intact, "--gas", gas, "--keep-dropped", "-o", out)
            assert done.returncode == 0, (path, done.stderr)
            whole = soundings(out)
            seen += 1
            pending = list(damaged(path, os.path.basename(path)))
            for at in range(0, len(pending), BATCH):
                copies = []
                for name, content in pending[at:at + BATCH]:
                    copies.append(os.path.join(WORK, name + ".nc"))
                    with open(copies[-1], "wb") as f:
                        f.write(content)
                failed = batch(copies, intact, gas, whole, out)
                total += len(copies)
                skipped += len(failed)
                cut = [c for c in copies if "cut-" in c]
                assert set(cut) <= {item["file"] for item in failed}, "a truncated file was read"
                for item in failed:
                    if "signal" in item["reason"]:
                        where = "%s of %s: %s" % (os.path.basename(item["file"]),
                                                  os.path.basename(path), item["reason"])
                        (library if died_in_library(item["file"], gas) else ours).append(where)
                for c in copies:
                    os.unlink(c)
    if seen == 0:
        print("no real granules")
        sys.exit(77)
    print("%d granules, %d damaged copies, %d skipped, %d deaths inside libraries" %
          (seen, total, skipped, len(library)))
    for where in library:
        print("  library:", where)
    assert not ours, ours


main()
