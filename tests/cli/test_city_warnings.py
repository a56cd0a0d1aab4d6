#!/usr/bin/python3
"""What a run does not refuse but has to say: maps that end in a zone, zones that overlap, footprints of
zeros, results of an earlier scene.

arguments: BINARY DATA WORK SOURCE"""
import csv
import glob
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import gdal

gdal.UseExceptions()
binary, _, work, _ = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
scene = f"{work}/scene"


def call(*args):
    done = subprocess.run([binary, *args], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, (args, done.stderr)
    return done.stderr


def run(stage, *sets):
    return call("run", f"{scene}/city.yaml", "--progress=none", "--stage", stage,
                *(a for s in sets for a in ("--set", s)))


def facts(stage, section):
    with open(f"{scene}/result/stages/{stage}.facts.json") as f:
        return [(x["label"], x["value"]) for x in json.load(f)["facts"] if x["section"] == section]


def features(name):
    with open(f"{scene}/{name}") as f:
        return json.load(f)


def partial_maps():
    """A city whose maps hold its north-west only: what lies in them is not the city's sink."""
    run("sink-land")
    assert not [v for _, v in facts("sink-land", "warnings") if v.startswith("no sink")]
    whole = {r["zone_id"]: r for r in rows()}
    assert all(r["reason"] == "" for r in whole.values())
    for path in glob.glob(f"{scene}/landcover/*.tif"):
        gdal.Translate(path + ".part", path, format="GTiff", srcWin=[0, 0, 300, 300])
        os.rename(path + ".part", path)
    run("sink-land")
    said, told = dict(facts("sink-land", "warnings")), dict(facts("sink-land", "Sinks"))
    kinds = set()
    with Dataset(f"{scene}/result/stages/sink-land.nc") as f:
        total, sd, covered = (np.ma.filled(f[n][:], np.nan) for n in ("zone_total", "zone_sd", "zone_covered"))
    for z, row in enumerate(sorted(rows(), key=lambda r: r["zone_id"])):
        share, name = float(row["covered_fraction"]), row["zone_name"]
        assert abs(covered[z] - share) < 1e-9, (name, covered[z], share)
        assert np.isnan(total[z]) == np.isnan(sd[z]) == (share < 0.999), (name, share, total[z], sd[z])
        if share >= 0.999:
            kinds.add("whole")
            assert row["reason"] == "" and name not in said, (row, said)
        elif share > 0:
            kinds.add("part")
            reason = f"only {100 * share:.3g} % of the zone lies in the maps"
            assert row["reason"] == reason and said[name] == "no sink: " + reason, (row, said)
            assert told[name].startswith(reason + ", and that part alone has: uptake "), told[name]
        else:
            kinds.add("none")
            assert row["reason"] == "outside the maps" and told[name] == "no statement: outside the maps"
    assert {"whole", "part"} <= kinds, kinds


def rows():
    with open(f"{scene}/result/sink-land.csv", newline="") as f:
        return [r for r in csv.DictReader(line for line in f if line[0] != "#") if r["class_name"] == "all"]


def overlapping_zones():
    """A block a tenth of which lies in its neighbour, one that a sliver of does, a copy of a park."""
    assert "share" not in call("check", f"{scene}/city.yaml")
    zones = features("zones.geojson")
    by_id = {f["properties"]["id"]: f for f in zones["features"]}
    square = [[113.0, 21.8], [113.1, 21.8], [113.1, 21.9], [113.0, 21.9], [113.0, 21.8]]
    for name, x in (("one", 0.0), ("two", 0.09), ("three", 0.19), ("four", 0.28995)):
        zones["features"].append({"type": "Feature", "properties": {"id": name, "name": name, "level": "block"},
                                  "geometry": {"type": "Polygon",
                                               "coordinates": [[[a + x, b] for a, b in square]]}})
    park = next(i for i in by_id if i.startswith("park"))
    copy = json.loads(json.dumps(by_id[park]))
    copy["properties"]["id"] = "copy"
    zones["features"].append(copy)
    with open(f"{scene}/overlap.geojson", "w") as f:
        json.dump(zones, f)
    use = ("--set", f"zones.file={scene}/overlap.geojson")
    lines = [x for x in call("check", f"{scene}/city.yaml", *use).splitlines() if "smaller one" in x]
    assert len(lines) == 2, lines  # 0.05 % of three and four, a park in its county: nothing
    assert f"zones 'copy' and '{park}' of level 'park' share 100 % of" in lines[0], lines
    assert "zones 'one' and 'two' of level 'block' share 10 % of the smaller one" in lines[1], lines
    # Without levels a park in a county is no mistake, two blocks that cross are one.
    with open(f"{scene}/city.yaml") as f:
        text = f.read()
    assert "level_attribute: level" in text
    flat = f"{scene}/flat.yaml"
    with open(flat, "w") as f:
        f.write(text.replace("level_attribute: level", "level: area"))
    lines = [x for x in call("check", flat, *use).splitlines() if "smaller one" in x]
    assert len(lines) == 1 and "'one' and 'two'" in lines[0], lines


def empty_footprints():
    run("footprint-n2o")
    assert not [v for _, v in facts("footprint-n2o", "warnings") if "zero" in v]
    for path in glob.glob(f"{scene}/footprints/*.nc"):
        with Dataset(path, "a") as f:
            f["fp"][:] = 0
    run("footprint-n2o")
    n = len(Dataset(f"{scene}/result/stages/problem-n2o.nc").dimensions["obs"])
    assert [v for _, v in facts("footprint-n2o", "warnings")] == [
        f"all footprints of {n} observations are zero on the grid"], facts("footprint-n2o", "warnings")


assert "results" not in call("synth", "city", scene)
partial_maps()
overlapping_zones()
empty_footprints()
assert f"{scene}/result: its results belong to the scene that was here before" in call("synth", "city", scene)
