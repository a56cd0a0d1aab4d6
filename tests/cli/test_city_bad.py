#!/usr/bin/python3
"""Bad input to the city job: every mistake has its own message (file, key, value, what would be legal) and
exit code, and what an earlier run left stays whole: no part of a file, no lock, no other stage's result
lost or changed.

arguments: BINARY DATA WORK SOURCE"""
import csv
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import gdal

gdal.UseExceptions()
binary, _, work, _ = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
scene, out, good, bad = (f"{work}/{name}" for name in ("scene", "result", "good", "bad"))
os.makedirs(bad)
subprocess.run([binary, "synth", "city", scene, "-q"], check=True)
job = f"{scene}/city.yaml"


def call(command, *options, path=job, sets=()):
    args = [binary, command, path, "-q", "--progress=none", *options]
    for s in (f"job.output={out}", *sets):
        args += ["--set", s]
    return subprocess.run(args, capture_output=True, text=True, timeout=500)


def digest(folder):
    """Checksums of all but the log of a run and the claim of the folder."""
    found = {}
    for at, _, names in os.walk(folder):
        for name in set(names) - {"run.log.json", "job.json"}:
            with open(os.path.join(at, name), "rb") as f:
                found[os.path.relpath(os.path.join(at, name), folder)] = hashlib.sha256(f.read()).hexdigest()
    return found


planned = json.loads(call("plan", "--quick", "--json").stdout)
outputs = {s["stage"]: set(s["outputs"]) | {f"stages/{s['stage']}.stamp.json"} for s in planned["stages"]}
result = call("run")
assert result.returncode == 0, result.stderr
os.rename(out, good)
reference = digest(good)
assert set.union(*outputs.values()) == set(reference), set.union(*outputs.values()) ^ set(reference)


def expect(name, code, *needles, sets=(), path=job, again=()):
    """A run in the folder of a good one. again: stages that it finished anew before it failed. The copy is of
    links: a file that was written in place, not replaced, would change the good run."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(good, out, copy_function=os.link)
    result = call("run", path=path, sets=sets)
    assert result.returncode == code, f"{name}: exit {result.returncode}, expected {code}: {result.stderr}"
    for needle in needles:
        assert needle in result.stderr, f"{name}: '{needle}' not in: {result.stderr}"
    left = digest(out)
    if code != 5:
        stage = re.search(r"^(?:skyflux: )?stage ([a-z0-9-]+):", result.stderr, re.M)
        made = set.union(set(), *(outputs[s] for s in again))
        failed = outputs[stage.group(1)] if stage else set()
        lost, new = set(reference) - set(left), set(left) - set(reference)
        changed = {p for p in left if p in reference and left[p] != reference[p]}
        assert lost == failed and not new, f"{name}: lost {sorted(lost ^ failed)}, new {sorted(new)}"
        assert changed <= made, f"{name}: changed {sorted(changed - made)}"
    names = [n for _, _, found in os.walk(out) for n in found]
    assert not [n for n in names if ".part" in n or n == ".lock"], f"{name}: left {names}"
    print(f"{name}: ok")


def edited(name, source, old, new):
    with open(source) as f:
        text = f.read()
    assert old in text, (name, old)
    with open(f"{bad}/{name}", "w") as f:
        f.write(text.replace(old, new, 1))
    return f"{bad}/{name}"


# ---- grid and zones: nothing runs
expect("crs unknown", 2, "city.yaml:", "grid: crs 'EPSG:99999' is not known", sets=("grid.crs=EPSG:99999",))
expect("crs of the next zone", 3, "zones.geojson: none of its 7 zones lies in the grid", "EPSG:32650",
       sets=("grid.crs=EPSG:32650",))
expect("metres in degrees", 2, "grid.cell: '1 km' is a length, and EPSG:4326 counts in degree",
       sets=("grid.crs=EPSG:4326",))
with open(f"{scene}/zones.geojson") as f:
    zones = json.load(f)


def moved(name, change):
    def walk(c):
        return change(*c) if isinstance(c[0], float) else [walk(x) for x in c]
    copy = json.loads(json.dumps(zones))
    for feature in copy["features"]:
        feature["geometry"]["coordinates"] = walk(feature["geometry"]["coordinates"])
    with open(f"{bad}/{name}.geojson", "w") as f:
        json.dump(copy, f)
    return (f"zones.file={bad}/{name}.geojson",)


expect("zones with latitude first", 3, "swapped.geojson: feature 'city': vertex 21.46", "is not a longitude and latitude",
       sets=moved("swapped", lambda x, y: [y, x]))
expect("zones in metres", 3, "metres.geojson: feature 'city': vertex 49", "is not a longitude and latitude",
       sets=moved("metres", lambda x, y: [490000 + x, 2390000 + y]))
expect("zones elsewhere", 3, "elsewhere.geojson: none of its 7 zones lies in the grid",
       sets=moved("elsewhere", lambda x, y: [x + 5, y]))
expect("no such attribute", 3, "no attribute 'levl' (there are: id, name, level)", sets=("zones.level_attribute=levl",))
for name, key, value, needle in (
        ("between the edges", "box", "[499300, 2377000, 503300, 2381000]",
         "patch 'park-east' (499300, 2377000, 503300, 2381000; cells 250 x 250) does not begin and end on edges"),
        ("overlaps", "box", "[479000, 2395000, 483000, 2399000]", "patch 'park-west' overlaps patch 'park-east'"),
        ("leaves the grid", "box", "[513000, 2377000, 517000, 2381000]", "leaves the grid"),
        ("cells do not divide the box", "cell", "300 m", "cell 300 does not divide the extent 4000"),
        ("cells too coarse", "cell", "2 km", "has cells that do not divide the grid's cells"),
        ("cells in degrees", "cell", "0.01 degree", "grid.patches[0].cell: '0.01 degree' and the '1 km' of grid.cell"),
        ("id twice", "id", "park-west", "grid.patches[1].id: 'park-west' is already given by --set")):
    expect(f"patch: {name}", 2, needle, sets=(f"grid.patches[0].{key}={value}",))

# ---- activity
row = "park-east,industry,fuel_oil,35,10^4 t,15,park office"


def activity(name, old, new, code, *needles, **more):
    path = edited(f"{name.replace(' ', '-')}.csv", f"{scene}/activity.csv", old, new)
    expect(f"activity: {name}", code, os.path.basename(path), *needles,
           sets=[f"inventories[{k}].file={path}" for k in range(3)], **more)


activity("region unknown", row, row.replace("east", "easy"), 3,
         ":5: region: no zone has the id 'park-easy' (zones: city, county-1, county-2,")
activity("region empty", row, row.replace("park-east", ""), 3, ":5: region: empty")
activity("unit typo", row, row.replace("10^4 t", "10^4 tt"), 3,
         ":5: unit: '10^4 tt' measures no mass, volume, energy, count or area (legal: t, kg,")
for value in ("NaN", "-35", "inf", "35 t"):
    activity(f"amount {value}", row, row.replace(",35,", f",{value},"), 3,
             f":5: amount: '{value}' is not a number >= 0 (empty or NE: missing)")
activity("fuel unknown", row, row.replace("fuel_oil", "fuel_oyl"), 3, ":5: fuel: unknown 'fuel_oyl'; did you mean 'fuel_oil'?")
activity("sd negative", row, row.replace(",15,", ",-15,"), 3, ":5: sd_percent: '-15' is not a number from 0 to 100")
activity("row twice", row, f"{row}\n{row}", 3, ":6: region 'park-east', sector 'industry'", "stand on line 5 already")
activity("column unknown", "region,sector", "regionn,sector", 3, "column 'regionn' is not known; did you mean 'region'?")
expect("own factor: unit typo", 3, "unit: 'tCO2/tt' is none of",
       sets=(f"account.factors={edited('factors.csv', f'{scene}/factors.csv', 'tCO2/t', 'tCO2/tt')}",))
expect("electricity of no year", 4, "no provincial grid factor of", "for 2050 (there are", sets=("account.year=2050",))
expect("province unknown", 4, "'Guandong'", "account.region", sets=("account.region=Guandong",))
expect("proxy of no sector", 2, "account.proxies[1].sector: no row of activity has the sector 'industri'",
       path=edited("sector.yaml", job, "sector: industry", "sector: industri"))
expect("proxy twice", 2, "account.proxies[1].sector: 'power' is already at line",
       path=edited("twice.yaml", job, "sector: industry", "sector: power"))
expect("proxy that is no raster", 3, "activity.csv: not a raster that GDAL reads",
       sets=(f"account.proxies[1].file={scene}/activity.csv",), again=("account",))


def raster(name, source, shift=0.0, crs=None, crop=0, change=None):
    src = gdal.Open(source)
    data = src.ReadAsArray()
    data = data[: data.shape[0] - crop]
    data = data if change is None else change(data)
    path = f"{bad}/{name}.tif"
    made = gdal.GetDriverByName("GTiff").Create(path, data.shape[1], data.shape[0], 1, src.GetRasterBand(1).DataType)
    at = list(src.GetGeoTransform())
    at[0] += shift
    made.SetGeoTransform(at)
    if crs != "":
        made.SetProjection(src.GetProjection() if crs is None else gdal.osr.GetUserInputAsWKT(crs))
    made.GetRasterBand(1).WriteArray(data)
    made.FlushCache()
    return path


built = f"{scene}/proxies/built.tif"
for name, made, needle in (
        ("without crs", raster("nocrs", built, crs=""), "nocrs.tif: the raster states no crs"),
        ("elsewhere", raster("elsewhere", built, shift=2e5), "elsewhere.tif: the raster lies outside the grid"),
        ("negative", raster("negative", f"{scene}/proxies/roads.tif", change=lambda a: -1.0 * a),
         "a proxy is a finite amount per area >= 0")):
    expect(f"proxy: {name}", 3, needle, sets=(f"account.proxies[1].file={made}",), again=("account",))

# ---- sinks
first, second = f"{scene}/landcover/lc2018.tif", f"{scene}/landcover/lc2023.tif"
for name, made, needle in (
        ("shifted", raster("shifted", second, shift=5.0), "shifted.tif are on different grids: edges 466000,2365000"),
        ("cropped", raster("cropped", second, crop=3), "cropped.tif are on different grids: 480 x 480 and 480 x 477 cells"),
        ("without crs", raster("map", second, crs=""), "map.tif: the raster states no crs"),
        ("of an unknown class", raster("class", second, change=lambda a: np.where(a == a.max(), 77, a)),
         "class.tif: class 77 has no row in legend worldcover")):
    expect(f"land cover: {name}", 3, needle, sets=(f'sinks[0].maps=["{first}", "{made}"]',))
away = [raster(f"away{k}", path, shift=2e5) for k, path in enumerate((first, second))]
expect("land cover: elsewhere", 4, "away0.tif: no zone lies in the maps, which span 666000 to 714000",
       sets=(f'sinks[0].maps=["{away[0]}", "{away[1]}"]',))
expect("legend unknown", 2, "legend 'worldcovr' is not known; did you mean 'worldcover'?", sets=("sinks[0].legend=worldcovr",))
expect("sink unknown", 2, "inversions[0].sink: no sink has the id 'wood'", sets=("inversions[0].sink=wood",))
expect("sink of another gas", 2, "inversions[1].sink: sinks are of co2 only", sets=("inversions[1].sink=land",))
expect("prior unknown", 2, "inversions[0].prior: no inventory has the id 'acount-co2'; did you mean 'account-co2'?",
       sets=("inversions[0].prior=acount-co2",))


# ---- soundings and footprints
def files(name, pattern, change):
    """Copies of the files of a pattern, each changed by change(k, path)."""
    os.makedirs(f"{bad}/{name}")
    for k, path in enumerate(sorted(glob.glob(f"{scene}/{pattern}"))):
        change(k, shutil.copy(path, f"{bad}/{name}"))
    return f"{bad}/{name}/{pattern.split('/')[1]}"


def with_dataset(change, only=None):
    def edit(k, path):
        if only is None or k == only:
            with Dataset(path, "r+") as d:
                change(d)
    return edit


def all_flagged(d):
    d["xco2_quality_flag"][:] = 1


def north(names):
    def change(d):
        for name in names:
            d[name][:] = d[name][:] + 10
    return change


def fill(value):
    def change(d):
        d["fp"][:] = np.full(d["fp"].shape, value)
    return change


def of_another_unit(d):
    d["fp"].units = "kg"


oco, fp = "soundings/oco3_LtCO2_*.nc4", "footprints/CITY-column_*.nc"
expect("all soundings bad", 4, "co2: no good sounding is left of", "in 5 granules (", "dropped: quality)",
       sets=(f'soundings[0].files=["{files("flagged", oco, with_dataset(all_flagged))}"]',))
expect("all granules truncated", 4, "none of 5 granules could be read",
       sets=(f'soundings[0].files=["{files("cut", oco, lambda k, p: os.truncate(p, 40000))}"]',))
for name, code, change, needles in (
        ("empty file", 3, lambda k, p: os.truncate(p, 0 if k == 0 else os.path.getsize(p)), (".nc: not a NetCDF file",)),
        ("truncated", 3, lambda k, p: os.truncate(p, 100000 if k == 0 else os.path.getsize(p)),
         ("cannot be opened as NetCDF",)),
        ("NaN", 3, with_dataset(fill(np.nan), 0), ("fp: nan in row 0, cell 0; a footprint must be finite",)),
        ("unit", 3, with_dataset(of_another_unit, 0), ("fp: unit 'kg' does not convert to",)),
        ("of another place", 3, with_dataset(north(["lat"])),
         ("does not cover the job's grid", "31.32 to 31.88; EPSG:4326")),
        ("receptors of another place", 4, with_dataset(north(["release_lat"])),
         ("good soundings lies within max_distance of one of",))):
    pattern = files(f"footprints-{name.replace(' ', '-')}", fp, change)
    expect(f"footprints: {name}", code, "stage footprint-co2:", *needles, sets=(f'footprints[0].files=["{pattern}"]',))

# ---- what is no failure: one bad granule among good ones, footprints that see nothing
expect("one granule truncated", 5, "granule skipped", "finished without 1 unreadable granules",
       sets=(f'soundings[0].files=["{files("one", oco, lambda k, p: os.truncate(p, 40000) if k == 0 else None)}"]',))
with open(f"{out}/zones.csv") as f:
    assert len([r for r in csv.DictReader(f) if r["gas"] == "co2" and r["posterior_t_yr"]]) == 7
call_sets = (f'footprints[0].files=["{files("blind", fp, with_dataset(fill(0.0)))}"]',)
shutil.rmtree(out)
shutil.copytree(good, out, copy_function=os.link)
result = call("run", sets=call_sets)
assert result.returncode == 0, result.stderr
with open(f"{out}/zones.csv") as f:
    for r in csv.DictReader(f):
        assert "no observation sees the zone" in r["reason"] and r["posterior_sd_t_yr"] == r["prior_sd_t_yr"], r
# And the right input again, in that folder: the good run's bytes.
result = call("run")
assert result.returncode == 0 and digest(out) == reference, result.stderr
assert digest(good) == reference, "a file was written in place"
print("ok")
