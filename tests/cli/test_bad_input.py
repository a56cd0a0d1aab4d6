#!/usr/bin/python3
"""Bad input to a job: its own message, its exit code, and nothing left behind but finished stages, which
a rerun resumes from: no partial file, no result.

arguments: BINARY DATA WORK SOURCE"""
import glob
import os
import random
import shutil
import subprocess
import sys

binary, shared, work, source = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "synth", "demo", f"{work}/scene", "-q"], check=True)
scene = f"{work}/scene"
job = f"{scene}/demo.yaml"
out = f"{work}/result"


def run(name, code, *needles, sets=(), path=job, clean=True, command="run"):
    args = [binary, command, path, "--progress=none"]
    for s in (f"job.output={out}",) + tuple(sets):
        args += ["--set", s]
    result = subprocess.run(args, capture_output=True, text=True, timeout=300)
    assert result.returncode == code, f"{name}: exit {result.returncode}, expected {code}: {result.stderr}"
    last = result.stderr
    for needle in needles:
        assert needle in last, f"{name}: '{needle}' not in: {last}"
    left = [os.path.join(d, n) for d, _, names in os.walk(out) for n in names]
    assert not [p for p in left if ".part" in p or p.endswith(".lock")], f"{name}: left {left}"
    if clean:
        assert not [p for p in left if f"{out}/stages/" not in p], f"{name}: left {left}"
    if code == 2:
        assert not os.path.exists(out), f"{name}: left {left}"
    shutil.rmtree(out, ignore_errors=True)
    print(f"{name}: ok")
    return result


def edited(name, old, new, count=1):
    """A copy of the demo job with a text replaced."""
    with open(job) as f:
        text = f.read()
    assert old in text, (name, old)
    path = f"{scene}/{name}.yaml"
    with open(path, "w") as f:
        f.write(text.replace(old, new, count))
    return path


run("good", 0, clean=False)
with open(job) as f:
    text = f.read()
entry = text[text.index("  - id: inventory"):text.index("inversions:")].rstrip() + "\n"
longest = "i" * 62
for old, new in ((entry, entry + entry.replace("id: inventory", f"id: {longest}b")), ("id: inventory", f"id: {longest}a"),
                 ("prior: inventory", f"prior: {longest}a"), ("inventory: inventory", f"inventory: {longest}b")):
    assert old in text, old
    text = text.replace(old, new, 1)
with open(f"{scene}/longest.yaml", "w") as f:
    f.write(text)
found = run("two ids of 63 characters that differ in the last", 0, clean=False, path=f"{scene}/longest.yaml")
assert f"stage inventory-{longest}b: done" in found.stderr, found.stderr
run("unknown key", 2, "grid.cel", "did you mean", path=edited("unknown", "  cell:", "  cel:"))
run("duplicate key", 2, "duplicate", path=edited("twice", "  box:", "  crs: EPSG:4326\n  crs: EPSG:4326\n  box:"))
run("end before start", 2, "before", sets=("period.end=2019-02-01",))
run("bad unit", 2, "grid.cell", "1 lm", sets=("grid.cell=1 lm",))
run("wrong gas", 2, "is of co2, expected ch4", sets=("inventories[0].gas=co2",))
run("missing file", 3, "nothing.nc", sets=(f"inventories[0].file={scene}/nothing.nc",))
run("no sounding in the period", 4, "no good sounding", sets=("period.start=2019-02-13", "period.end=2019-02-14"))
with open(f"{scene}/far.geojson", "w") as f:
    f.write('{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"id":"far","name":"Far"},'
            '"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}}]}')
run("zone outside the grid", 3, "far.geojson", "lies in the grid", sets=(f"zones.file={scene}/far.geojson",))
run("footprints do not cover", 3, "does not cover", sets=("grid.box=[114.5, 38.5, 116.5, 40.5]",))
run("too many cells", 1, "5000", sets=("grid.cell=0.02 degree",))
granules = sorted(glob.glob(f"{scene}/S5P*.nc"))
assert len(granules) == 2


def with_damage(name, code, damage, *needles):
    """Two granules, the first of them damaged; the other must be read all the same."""
    folder = f"{work}/{name}"
    os.makedirs(folder)
    for k, path in enumerate(granules):
        with open(path, "rb") as f:
            data = bytearray(f.read())
        if k == 0:
            data = damage(data)
        with open(f"{folder}/{os.path.basename(path)}", "wb") as f:
            f.write(data)
    return run(name, code, *needles, clean=False, sets=(f"soundings[0].files=[\"{folder}/*.nc\"]",))


with_damage("truncated", 5, lambda d: d[:len(d) // 2], "skipped")
with_damage("empty granule", 5, lambda d: d[:0], "skipped")
with_damage("text granule", 5, lambda d: bytearray(b"not netcdf"), "skipped")
rng = random.Random(1)


def flip(data):
    for _ in range(200):
        data[rng.randrange(8, len(data))] ^= 1 << rng.randrange(8)
    return data


folder = f"{work}/flipped"
os.makedirs(folder)
for k, path in enumerate(granules):
    with open(path, "rb") as f:
        data = bytearray(f.read())
    with open(f"{folder}/{os.path.basename(path)}", "wb") as f:
        f.write(flip(data) if k == 0 else data)
args = [binary, "run", job, "--progress=none", "--set", f"job.output={out}", "--set",
        f"soundings[0].files=[\"{folder}/*.nc\"]", "--set", "soundings[0].timeout=20 s"]
result = subprocess.run(args, capture_output=True, text=True, timeout=300)
assert result.returncode in (0, 5), (result.returncode, result.stderr)
shutil.rmtree(out, ignore_errors=True)
print("bit flips: ok")

# Both granules bad: nothing usable.
for path in granules:
    with open(f"{folder}/{os.path.basename(path)}", "wb") as f:
        f.write(b"not netcdf")
run("all granules bad", 4, sets=(f"soundings[0].files=[\"{folder}/*.nc\"]",))

data = os.path.join(shared, "data")
if os.path.isdir(data):
    decimated = f"{data}/inventories/v6.0_CH4_2015_TOTALS.5.3x5.1.nc"
    run("decimated EDGAR as a prior", 3, "5.3x5.1", "0.1",
        sets=(f"inventories[0].file={decimated}", "inventories[0].variable=emi_ch4"))
    no_qa, = glob.glob(f"{data}/tropomi_ch4/*07407*")
    copy = f"{work}/noqa"
    os.makedirs(copy)
    shutil.copy(granules[0], copy)
    shutil.copy(no_qa, copy)
    run("S5P without qa", 5, "qa_value", clean=False, sets=(f"soundings[0].files=[\"{copy}/*.nc*\"]",))
else:
    print("skipped: real files not found at", data)

# Disk full: a file system of 300 kB.
if os.geteuid() == 0 and shutil.which("mount"):
    small = f"{work}/small"
    os.makedirs(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small],
                      stderr=subprocess.DEVNULL).returncode == 0:
        try:
            args = [binary, "run", job, "--progress=none", "--set", f"job.output={small}/out"]
            result = subprocess.run(args, capture_output=True, text=True, timeout=300)
            assert result.returncode == 1, (result.returncode, result.stderr)
            assert f"{small}/out" in result.stderr, result.stderr
            parts = [p for p in glob.glob(f"{small}/**/.part*", recursive=True, include_hidden=True)]
            assert not parts, parts
            print("disk full: ok;", result.stderr.strip().splitlines()[-1])
        finally:
            subprocess.run(["umount", small])
    else:
        print("disk full: skipped, tmpfs cannot be mounted here")
print("ok")
