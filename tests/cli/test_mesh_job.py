#!/usr/bin/python3
"""The demo job on its grid, on a mesh with two patches, and on metres: what conservation demands must
hold between them. arguments: BINARY DATA WORK SOURCE"""
import csv
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import gdal

binary, _, work, _ = sys.argv[1:5]
gdal.UseExceptions()
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "synth", "demo", f"{work}/scene", "-q"], check=True)
text = open(f"{work}/scene/demo.yaml").read()
GRID = text[text.index("grid:"):text.index("\n\n", text.index("grid:"))]
assert "box: [115, 39, 117, 41]" in GRID and "cell: 0.05 degree" in GRID
EAST, WEST = (116.2, 39.9, 116.5, 40.2), (115.3, 39.1, 115.5, 39.2)
DEGREES = "grid:\n  box: [115, 39, 117, 41]\n  cell: 0.05 degree\n"
PATCHES = f"""  patches:
    - {{id: east, box: {list(EAST)}, cell: 0.025 degree}}
    - {{id: west, box: {list(WEST)}, cell: 0.0125 degree}}
"""
# The counties of the demo lie inside this box of UTM zone 50, and the box inside the footprints.
METRES = "grid:\n  crs: \"EPSG:32650\"\n  box: [332000, 4322000, 497000, 4532000]\n  cell: 5 km\n"
METRE_PATCH = "  patches:\n    - {id: park, box: [432000, 4412000, 442000, 4427000], cell: 1.25 km}\n"


def start(name, grid, *more):
    path = f"{work}/scene/{name}.yaml"
    with open(path, "w") as f:
        f.write(text.replace(GRID, grid.rstrip("\n")))
    return subprocess.run([binary, "run", path, "--set", f"job.output={work}/{name}", "--progress=none", *more],
                          capture_output=True, text=True)


def run(name, grid, *more):
    r = start(name, grid, *more)
    assert r.returncode == 0, r.stderr
    with open(f"{work}/{name}/zones.csv") as f:
        return {row["zone_id"]: row for row in csv.DictReader(f)}


def raster(name, field):
    data = gdal.Open(f"{work}/{name}/{field}.tif")
    return data.ReadAsArray()[::-1], data  # rows from the south


def digest(name):
    files = sorted(p for p in glob.glob(f"{work}/{name}/**", recursive=True)
                   if os.path.isfile(p) and not p.endswith("run.log.json"))
    return {os.path.relpath(p, f"{work}/{name}"): hashlib.sha256(open(p, "rb").read()).hexdigest()
            for p in files}


def fact(name, stage, key):
    with open(f"{work}/{name}/run.json") as f:
        for s in json.load(f)["stages"]:
            if s["stage"] == stage:
                return s["numbers"][key]


plain = run("plain", DEGREES)
meshed = run("meshed", DEGREES + PATCHES, "--set", "inversions[0].kernels=true")
metres = run("metres", METRES)
parks = run("parks", METRES + METRE_PATCH)

# Totals of the prior are those of the file's own cells, whatever the mesh.
for zone in plain:
    for other in (meshed, metres, parks):
        assert abs(float(other[zone]["prior_t_yr"]) / float(plain[zone]["prior_t_yr"]) - 1) < 1e-9, zone
        assert abs(float(other[zone]["area_km2"]) / float(plain[zone]["area_km2"]) - 1) < 3e-5, zone  # chords of 0.1 degree
worst = max(abs(float(o[z]["posterior_t_yr"]) - float(plain[z]["posterior_t_yr"])) /
            float(plain[z]["posterior_sd_t_yr"]) for z in plain for o in (meshed, metres, parks))
print(f"posterior of the zones: within {worst:.3f} standard deviations of each other")
assert worst < 0.25, worst

# What the inventory and the footprints had is on the mesh or outside it.
for name in ("plain", "meshed", "metres", "parks"):
    total, grid, outside, left = (fact(name, "inventory-inventory", k)
                                  for k in ("total_kg_yr", "grid_kg_yr", "outside_kg_yr", "residual_kg_yr"))
    assert abs(left) <= 1e-12 * total and abs(grid + outside - total) < 1e-9 * total, (name, left)
    rows = [fact(name, "footprint-ch4", f"footprint_{k}") for k in ("sum", "on_grid", "outside", "other_time")]
    assert abs(rows[0] - sum(rows[1:])) < 1e-12 * rows[0], (name, rows)
assert fact("metres", "inventory-inventory", "outside_kg_yr") > 0
assert abs(fact("meshed", "footprint-ch4", "footprint_on_grid") /
           fact("plain", "footprint-ch4", "footprint_on_grid") - 1) < 1e-12

# The base grid holds the means of the patches; a conserved prior is the same mean.
a, _ = raster("plain", "ch4_prior")
b, _ = raster("meshed", "ch4_prior")
assert np.allclose(a, b, rtol=1e-6, atol=0), np.abs(a / b - 1).max()
for patch, box, ratio, cell in (("east", EAST, 2, 0.025), ("west", WEST, 4, 0.0125)):
    with Dataset(f"{work}/meshed/fields-{patch}.nc") as d:
        fine = {k: d[k][:].filled(np.nan) for k in ("ch4_prior", "ch4_posterior", "ch4_posterior_sd")}
        area = d["cell_area"][:].filled(np.nan)
    tif, data = raster("meshed", f"ch4_posterior_{patch}")
    assert np.array_equal(tif, fine["ch4_posterior"].astype("f4"))
    assert np.allclose(data.GetGeoTransform(), (box[0], cell, 0, box[3], 0, -cell))
    assert data.GetRasterBand(1).GetMetadataItem("name") == "ch4_posterior"
    y, x = (round((box[1] - 39) / 0.05), round((box[0] - 115) / 0.05))
    ny, nx = (n // ratio for n in area.shape)
    for field in ("ch4_prior", "ch4_posterior"):
        coarse, _ = raster("meshed", field)
        blocks = (fine[field] * area).reshape(ny, ratio, nx, ratio).sum(axis=(1, 3))
        blocks /= area.reshape(ny, ratio, nx, ratio).sum(axis=(1, 3))
        assert np.allclose(coarse[y:y + ny, x:x + nx], blocks, rtol=1e-6, atol=0), (patch, field)
    assert np.isfinite(fine["ch4_posterior_sd"]).all()
    sd, data = raster("meshed", "ch4_posterior_sd")
    below = sd[y:y + ny, x:x + nx]
    text_of = data.GetRasterBand(1).GetDescription()
    assert np.isnan(below).all() == ("no data where a patch" in text_of), text_of
    if np.isfinite(below).all():  # the mean of several errors is below the largest
        most = fine["ch4_posterior_sd"].reshape(ny, ratio, nx, ratio).max(axis=(1, 3))
        assert (below <= most * (1 + 1e-6)).all() and (below > 0).all()
# Kernels: a raster a zone on every grid, the same numbers as the NetCDF files; what a patch replaces is its mean.
with Dataset(f"{work}/meshed/stages/posterior-ch4.nc") as d:
    kernel = d["zone_kernel"][:].filled(np.nan)
for patch, cells in (("", 0), ("east", 12 * 12), ("west", 16 * 8)):
    with Dataset(f"{work}/meshed/kernels-ch4{'-' * (patch != '')}{patch}.nc") as d:
        for z, zone in enumerate(meshed):
            tif, data = raster("meshed", f"ch4_kernel_{z + 1}{'_' * (patch != '')}{patch}")
            assert np.array_equal(tif, d[f"kernel_{z + 1}"][:].filled(np.nan).astype("f4"), equal_nan=True), (patch, zone)
            band = data.GetRasterBand(1)
            assert f"({zone})" in band.GetDescription() and band.GetUnitType() in ("1", ""), band.GetDescription()
            first = {"": 0, "east": 1600 - 36 - 8, "west": 1600 - 36 - 8 + 144}[patch]
            own = kernel[z, first:first + (cells or first or 1600 - 36 - 8)]
            if patch:
                assert np.array_equal(np.sort(tif.ravel()), np.sort(own.astype("f4"))), (patch, zone)
            else:  # cells that no patch replaces hold their own
                assert np.isin(own.astype("f4"), tif).all() and np.isfinite(tif).all()
with open(f"{work}/meshed/report.html") as f:
    page = f.read()
assert "<h2>Averaging kernels</h2>" in page and f"ch4_kernel_{len(meshed)}.tif" in page
with Dataset(f"{work}/meshed/fields.nc") as d:
    assert "ch4_column" in d.variables and d["ch4_prior"].shape == (40, 40)
with Dataset(f"{work}/parks/fields-park.nc") as d:
    assert d["ch4_prior"].shape == (12, 8) and "ch4_column" not in d.variables
assert not glob.glob(f"{work}/plain/*_east*") and not glob.glob(f"{work}/plain/fields-*")

# The same bytes for any number of threads.
first = digest("parks")
shutil.rmtree(f"{work}/parks")
run("parks", METRES + METRE_PATCH, "--threads", "5")
assert digest("parks") == first

# What cannot be is said at its line.
for grid, message in (
        (DEGREES + PATCHES.replace("116.2", "116.21").replace("116.5", "116.51"), "patch 'east'"),
        (DEGREES + PATCHES.replace("0.0125", "0.02"), "do not divide"),
        (DEGREES + PATCHES.replace("id: west", "id: east"), "'east' is already at line"),
        (DEGREES + PATCHES.replace(str(list(WEST)), "[116.4, 40.1, 116.6, 40.3]"), "overlaps patch 'east'"),
        (DEGREES + PATCHES.replace("0.0125 degree", "1 km"), "count in different units"),
        (DEGREES + PATCHES.replace("id: west", "id: sd"), "'sd' makes a second ch4_posterior_sd.tif"),
        (METRES.replace("4532000", "4632000"), "does not cover")):
    r = start("wrong", grid)
    assert r.returncode != 0 and message in r.stderr, (message, r.stderr)
print("a mesh, a projected grid and a projected mesh of the demo agree")
