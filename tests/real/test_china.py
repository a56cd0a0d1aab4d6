#!/usr/bin/python3
"""china.yaml: column means per cell and zone against numpy, workbook totals against openpyxl.

arguments: BINARY DATA WORK SOURCE. Exit 77: the real files are not there."""
import csv
import glob
import json
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, shared, work, source = sys.argv[1:5]
data = os.path.join(shared, "data")
if not os.path.isdir(data):
    print("skipped: no real files at", data)
    sys.exit(77)
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "run", os.path.join(source, "tests/real/china.yaml"), "--set",
                f"data={data}", "--set", f"job.output={work}/out", "-q"], check=True)


def values(path, name):
    with Dataset(path) as f:
        return np.ma.filled(f[name][:].astype(float), np.nan)


lat, lon, x = [], [], []
for orbit in ("02834", "02848", "02850"):
    path, = glob.glob(f"{data}/tropomi_ch4_blended/*_{orbit}_*.nc")
    la, lo, v = (values(path, n) for n in ("latitude", "longitude", "methane_mixing_ratio_blended"))
    sc = values(path, "surface_classification").astype(int)
    chi = values(path, "chi_square_SWIR")
    keep = (la >= 18) & (la <= 54) & (lo >= 73) & (lo <= 135) & ((sc & 3) != 3) & \
        ~(((sc & 3) == 2) & (chi > 20000)) & ((sc & 0xF9) != 184)
    lat, lon, x = lat + list(la[keep]), lon + list(lo[keep]), x + list(v[keep])
lat, lon, x = map(np.array, (lat, lon, x))
with open(f"{work}/out/stages/soundings-ch4.facts.json") as f:
    good = json.load(f)["numbers"]["soundings_good"]
assert good == len(x), (good, len(x))
ix, iy = np.minimum((lon - 73).astype(int), 61), np.minimum((lat - 18).astype(int), 35)
count = np.zeros((36, 62))
total = np.zeros((36, 62))
np.add.at(count, (iy, ix), 1)
np.add.at(total, (iy, ix), x)
have = values(f"{work}/out/fields.nc", "ch4_column")
n = values(f"{work}/out/fields.nc", "ch4_column_count")
assert np.array_equal(n, count)
assert np.nanmax(np.abs(have - np.where(count > 0, total / np.maximum(count, 1), np.nan))) < 1e-6

import openpyxl
book = openpyxl.load_workbook(
    f"{data}/inventories/Emission_Inventories_for_30_Provinces_2019.xlsx", data_only=True)
want = 0.0
for sheet in book.sheetnames:
    if sheet == "NOTE":
        continue
    table = list(book[sheet].iter_rows(values_only=True))
    for r in table:
        if r[0] == "TotalEmissions":
            want += float(r[table[0].index("Scope_1_Total")])
with open(f"{work}/out/zones.csv") as f:
    rows = {(r["zone_id"], r["gas"]): r for r in csv.DictReader(f)}
co2 = rows["CHN", "co2"]
assert abs(float(co2["inventory_t_yr"]) / (want * 1e6) - 1) < 1e-6, (co2["inventory_t_yr"], want)
for gas in ("co2", "ch4"):
    row = rows["CHN", gas]
    assert row["status"] == "not comparable" and "no footprints" in row["reason"], row
    assert float(row["n_soundings"]) > 0 and float(row["column_mean"]) > 0
print("ok")
