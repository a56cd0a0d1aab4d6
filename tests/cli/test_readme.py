"""What README.md shows of the demo is what the demo prints. Then follows the recipe of README.md, "Your own area in three edits", as it stands there, for another place:
the inputs are those of the demo scene, its inventory turned into a table of activity.

Arguments: binary, data folder, work folder, source folder."""
import csv
import glob
import os
import re
import shutil
import subprocess
import sys

import yaml

binary, _, work, source = sys.argv[1:5]
readme = open(os.path.join(source, "README.md"), encoding="utf-8").read()
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)


def call(*args, code=0):
    done = subprocess.run([binary, *args], cwd=work, capture_output=True, text=True)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done.stdout


def recipe():
    start = readme.index("## Your own area in three edits")
    text = readme[start:readme.index("\n## ", start)]
    blocks = re.findall(r"```(\w*)\n(.*?)```", text, re.S)
    edits = [b for kind, b in blocks if kind == "yaml"]
    activity, factors = (b for kind, b in blocks if kind == "" and not b.startswith("skyflux"))
    steps = [line.split("#")[0].split() for kind, b in blocks if b.startswith("skyflux")
             for line in b.splitlines()]
    deleted = re.search(r"Delete the sections that you have nothing for \(here ((?:`\w+`(?:, )?)+)\)",
                        text)[1]
    assert len(edits) == 3
    return edits, re.findall(r"\w+", deleted), activity, factors, steps


def inputs(activity, factors):
    """The files that the recipe names, from a scene at another place."""
    call("synth", "demo", "scene")
    for folder, pattern in (("soundings", "S5P*.nc"), ("footprints", "DEMO-column*.nc")):
        os.makedirs(f"{work}/my/{folder}")
        for path in glob.glob(f"{work}/scene/{pattern}"):
            shutil.copy(path, f"{work}/my/{folder}")
    shutil.copy(f"{work}/scene/zones.geojson", f"{work}/my")
    with open(f"{work}/my/factors.csv", "w", encoding="utf-8") as f:
        f.write(factors)
    factor = float(factors.splitlines()[1].split(",")[1])  # kg CH4 per t
    with open(f"{work}/scene/truth.csv", encoding="utf-8") as f:
        truth = {r["zone_id"]: r for r in csv.DictReader(f)}
    line = activity.splitlines()[1].split(",")
    with open(f"{work}/my/activity.csv", "w", encoding="utf-8") as f:
        f.write(activity.splitlines()[0] + "\n")
        for zone in [z for z in truth if z != "city"]:
            amount = float(truth[zone]["inventory_t_yr"]) * 1e3 / factor / 1e6
            f.write(",".join([zone, *line[1:3], repr(amount), *line[4:]]) + "\n")
    return truth


def edit(template, edits, deleted):
    """Replaces top-level sections by name and leaves the rest of the file as it is."""
    text = re.sub(r"^#.*\n", "", template, flags=re.M)
    sections = dict(re.findall(r"^(\w+):(.*\n(?:(?![a-z]).*\n)*)", text, re.M))
    for block in edits:
        new = dict(re.findall(r"^(\w+):(.*\n(?:(?![a-z]).*\n)*)", block, re.M))
        assert new, block
        sections.update(new)
    for name in deleted:
        del sections[name]
    return "".join(f"{k}:{v}" for k, v in sections.items())


def shown():
    """The tables in README.md against those of the demo's two scenes."""
    text = readme[readme.index("## What you just saw"):readme.index("## Your own area")]
    city, plant = re.findall(r"```\n(.*?)```", text, re.S)
    for want, scene, case in ((city, "out/city", "mismatched"), (plant, "out/n2o", "strong-n2o")):
        call("synth", "city", scene, "--case", case)
        out = call("run", "-q", f"{scene}/city.yaml", "--truth", f"{scene}/truth.csv")
        tables = out[:out.index("report: ")]
        assert want.strip() == tables[tables.index(want[:3]):].strip(), (scene, tables)


shown()
edits, deleted, activity, factors, steps = recipe()
truth = inputs(activity, factors)
with open(f"{work}/out/city/city.yaml", encoding="utf-8") as f:
    job = edit(f.read(), edits, deleted)
assert yaml.safe_load(job)["grid"]["box"] == [115, 39, 117, 41]
with open(f"{work}/my.yaml", "w", encoding="utf-8") as f:
    f.write(job)
assert [s[1] for s in steps] == ["check", "plan", "run"]
for program, *args in steps:
    assert program == "skyflux"
    call(*args)
with open(f"{work}/my/result/zones.csv", encoding="utf-8") as f:
    rows = {r["zone_id"]: r for r in csv.DictReader(f)}
assert set(rows) == set(truth)
for zone, row in rows.items():
    want = float(truth[zone]["inventory_t_yr"])
    if zone != "city":  # the city holds what its counties emit, not what lies between them
        assert abs(float(row["prior_t_yr"]) / want - 1) < 1e-6, (zone, row["prior_t_yr"], want)
    assert float(row["prior_sd_t_yr"]) > 0.3 * float(row["prior_t_yr"]), row
    assert float(row["posterior_sd_t_yr"]) <= float(row["prior_sd_t_yr"]), row
    assert row["status"], row
assert float(rows["city"]["reduction"]) > 0.5, rows["city"]
# No sounding sees east-ridge, but its mines share the factor, and so its error, with the others'.
ridge = rows["east-ridge"]
assert ridge["n_soundings"] == "0" and abs(float(ridge["dofs"])) < 1e-3, ridge
assert 0.5 < float(ridge["reduction"]) < 1, ridge
assert os.path.getsize(f"{work}/my/result/report.html") > 1e5
print("the recipe works as written")
