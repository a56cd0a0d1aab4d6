#!/usr/bin/python3
"""Defects that were reported once, each with the case that showed it. arguments: BINARY DATA WORK SOURCE"""
import csv
import filecmp
import glob
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, _, work, _ = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
scene, out = f"{work}/scene", f"{work}/out"
subprocess.run([binary, "synth", "demo", scene, "-q"], check=True)
job = f"{scene}/demo.yaml"
inventory, = glob.glob(f"{scene}/inventory*.nc")
granules = sorted(glob.glob(f"{scene}/S5P*.nc"))


def run(*sets, code=0, path=job, folder=out, command="run", keep=False):
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    args = [binary, command, path, "--progress=none", "--set", f"job.output={folder}"]
    for s in sets:
        args += ["--set", s]
    done = subprocess.run(args, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (sets, done.returncode, done.stderr)
    return done.stderr


def zones(folder=out):
    with open(f"{folder}/zones.csv") as f:
        return {r["zone_id"]: r for r in csv.DictReader(f)}


def values(path, name):
    with Dataset(path) as f:
        return np.ma.filled(f[name][:].astype(float), np.nan)


run()
reference = zones()

# A flux file of another gas: by its attribute, and by the name of its variable.
for attribute, rename in (("co2", "flux"), (None, "emi_n2o")):
    other = f"{work}/other.nc"
    shutil.copy(inventory, other)
    with Dataset(other, "a") as f:
        if attribute:
            f["flux"].species = attribute
        else:
            for owner in (f, f["flux"]):
                if "species" in owner.ncattrs():
                    owner.delncattr("species")
            f.renameVariable("flux", rename)
    err = run(f"inventories[0].file={other}", f"inventories[0].variable={rename}", code=3)
    assert "expected ch4" in err and "other.nc" in err, err

# A file of several years gives the job's year, not the mean of all.
two = f"{work}/two.nc"
with Dataset(inventory) as a, Dataset(two, "w") as b:
    for name, dim in a.dimensions.items():
        b.createDimension(name, 2 if name == "time" else len(dim))
    for name in ("lat", "lon"):
        v = b.createVariable(name, "f4", (name,))
        v.units = a[name].units
        v[:] = a[name][:]
    t = b.createVariable("time", "f8", ("time",))
    t.units = "days since 2017-01-01"
    t[:] = [0, 365]
    v = b.createVariable("flux", "f4", a["flux"].dimensions)
    v.units = a["flux"].units
    flux = a["flux"][:]
    axis = a["flux"].dimensions.index("time")
    v[:] = np.concatenate([10 * flux, flux], axis=axis)
run(f"inventories[0].file={two}", "inventories[0].year=2018")
assert abs(float(zones()["city"]["prior_t_yr"]) / float(reference["city"]["prior_t_yr"]) - 1) < 1e-6
run(f"inventories[0].file={two}", "inventories[0].year=2017")
assert abs(float(zones()["city"]["prior_t_yr"]) / float(reference["city"]["prior_t_yr"]) - 10) < 1e-5

# A granule that two patterns match, or that is given twice, counts once.
run(f'soundings[0].files=["{granules[0]}", "{scene}/S5P*.nc", "{scene}/../scene/S5P*.nc"]')
assert zones()["city"]["n_soundings"] == reference["city"]["n_soundings"]
once, twice = f"{work}/once.nc", f"{work}/twice.nc"
for target, files in ((once, granules[:1]), (twice, granules[:1] * 2)):
    subprocess.run([binary, "soundings", *files, "-o", target, "-q"], check=True, stdout=subprocess.DEVNULL)
assert len(values(once, "time")) == len(values(twice, "time"))

# -o never destroys an input, a link or a pipe.
before = open(granules[0], "rb").read()
done = subprocess.run([binary, "soundings", granules[0], "-o", granules[0]], capture_output=True, text=True)
assert done.returncode == 2 and open(granules[0], "rb").read() == before, done.stderr
os.symlink(once, f"{work}/link.nc")
os.mkfifo(f"{work}/pipe.nc")
for name in ("link.nc", "pipe.nc"):
    done = subprocess.run([binary, "soundings", granules[0], "-o", f"{work}/{name}"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and name in done.stderr, (name, done.returncode, done.stderr)
assert os.path.islink(f"{work}/link.nc")

# check says what run would: cell, CRS, zone attribute, reader, a grid beyond the memory.
for setting, needle in (("grid.cell=0.3 degree", "does not divide"), ("grid.crs=EPSG:99999", "99999"),
                        ("soundings[0].product=tcon", "tcon"), ("inversions[0].time.step=11 hours", "period")):
    for command in ("check", "run"):
        err = run(setting, code=2, command=command)
        assert needle in err, (setting, command, err)
for command in ("check", "run", "plan"):
    err = run("grid.cell=0.00001 degree", code=1, command=command)
    assert "memory" in err and "cell" in err, err

# Of two receptors at one place the one whose hour holds the sounding is used, tolerance or not.
run()
plain = values(f"{out}/stages/problem-ch4.nc", "H_data")
run("footprints[0].max_time=30 min")
assert np.array_equal(plain, values(f"{out}/stages/problem-ch4.nc", "H_data"))

# The same job in another folder, named from another place, gives the same bytes.
run()
run(folder=f"{work}/elsewhere")
names = sorted(os.path.relpath(os.path.join(d, n), out) for d, _, ns in os.walk(out) for n in ns)
_, differ, missing = filecmp.cmpfiles(out, f"{work}/elsewhere", names, shallow=False)
assert set(differ) <= {"run.log.json"} and not missing, (differ, missing)
log = json.load(open(f"{out}/run.log.json"))  # what a difference could come from
assert log["blas_core"] in subprocess.run([binary, "--version"], capture_output=True, text=True).stdout, log

# A stage that was killed between its output and its stamp leaves nothing that looks like a result.
with open(job) as f:
    text = f.read()
part = f"{scene}/columns.yaml"
with open(part, "w") as f:
    f.write(text[:text.index("footprints:")] + text[text.index("inventories:"):text.index("inversions:")] +
            text[text.index("zones:"):])
os.remove(f"{out}/stages/invert-ch4.stamp.json")
run(path=part, keep=True)
assert zones()["city"]["status"] == "not comparable", zones()["city"]
assert not glob.glob(f"{out}/**/*posterior*", recursive=True)

# A grid that no sounding falls into still has its files; a report of failures stays readable.
run("grid.box=[100, 10, 101, 11]", 'soundings[0].box=[115, 39, 117, 41]', path=part, code=3)

# run.log.json cannot be written: one message, no crash.
shutil.rmtree(out, ignore_errors=True)
os.makedirs(f"{out}/run.log.json")
err = run(keep=True, code=1)
assert "run.log.json" in err, err
print("ok")
