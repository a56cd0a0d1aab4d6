"""The flux of single years from all transitions before them (sink --yearly), against cohorts that
are followed one by one in numpy; the sum over all years; management that changes; rewetting.

Arguments: binary, data folder, work folder, source root."""
import csv
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, ogr, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
ogr.UseExceptions()
CEA = "+proj=cea +lat_ts=0 +lon_0=0 +datum=WGS84 +units=m +no_defs"
YEARS = (2000, 2010, 2015, 2024)
# Subtropical humid, HAC: biomass, its growth, litter and dead wood, soil (t C/ha).
STOCK = {1: 258.4 * 1.246 * 0.47, 7: 4.7, 11: 0.0}
GROWTH = {1: 2.5 * 1.246 * 0.47, 7: None, 11: None}
DEAD = {1: 8.7 + 13.2, 7: 0.0, 11: 0.0}
SOIL = {1: 64.0, 7: 64 * 0.69, 11: None}
SEQUENCES = [(1, 1, 1, 1), (1, 7, 7, 7), (7, 1, 1, 1), (7, 1, 7, 7), (1, 7, 1, 1), (7, 7, 1, 7), (1, 11, 11, 1),
             (11, 11, 1, 1), (1, 7, 1, 7)]


def world(name, sequences, years):
    """One pixel of 100 ha for each sequence of classes."""
    srs = osr.SpatialReference()
    srs.SetFromUserInput(CEA)
    maps = []
    for d in range(len(years)):
        path = WORK / f"{name}{d}.tif"
        data = gdal.GetDriverByName("GTiff").Create(str(path), len(sequences), 1, 1, gdal.GDT_Byte)
        data.SetGeoTransform((0, 1000, 0, 1000, 0, -1000))
        data.SetProjection(srs.ExportToWkt())
        data.GetRasterBand(1).SetNoDataValue(255)
        data.GetRasterBand(1).WriteArray(np.array([[s[d] for s in sequences]], np.uint8))
        data = None
        maps.append(path)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(WORK / f"{name}.gpkg"))
    layer = source.CreateLayer("zones", srs, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    for k in range(len(sequences)):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature["code"] = f"s{k}"
        w, e = 1000 * k, 1000 * (k + 1)
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({w} 0,{e} 0,{e} 1000,{w} 1000,{w} 0))"))
        layer.CreateFeature(feature)
    (WORK / "l.csv").write_text("code,name,class\n1,f,1\n3,g,3\n4,w,4\n7,c,7\n11,o,11\n")
    return [*maps, WORK / f"{name}.gpkg", "--id", "code", "--legend", WORK / "l.csv", "--years",
            ",".join(map(str, years)), "--factors", "ipcc-subtropical-humid"]


def run(*args, code=0):
    r = subprocess.run([BINARY, "sink", *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


def yearly(*args):
    out = WORK / "y.csv"
    run(*args, "--yearly", out)
    rows = csv.DictReader(x for x in open(out) if not x.startswith("#"))
    return {(r["zone_id"], int(r["year"])): {k: float(v) for k, v in r.items() if k.endswith(("_c", "co2"))}
            for r in rows}


def carbon(sequence, t, grid=300):
    """Mean over cohorts whose changes fall on a grid of times between the maps: biomass, dead, soil."""
    changes = [d for d in range(len(YEARS) - 1) if sequence[d] != sequence[d + 1]]
    spots = [YEARS[d] + (np.arange(grid) + 0.5) / grid * (YEARS[d + 1] - YEARS[d]) for d in changes]
    soil = 0.0
    for d, s in zip(changes, spots):
        i, j = SOIL[sequence[d]], SOIL[sequence[d + 1]]
        if i is not None and j is not None:
            soil += (j - i) * np.clip((t - s) / 20, 0, 1).mean()
    biomass = dead = 0.0
    order = [sequence[0]] + [sequence[d + 1] for d in changes]
    for k, cls in enumerate(order):  # in class k from change k-1 to change k, which are independent
        come = spots[k - 1][:, None] if k > 0 else np.full((1, 1), -np.inf)
        leave = spots[k][None, :] if k < len(changes) else np.full((1, 1), np.inf)
        here = (come <= t) & (t < leave)
        age = np.where(come <= t, t - come, 0)
        if k == 0:
            b, w = STOCK[cls], DEAD[cls]
        else:
            b = np.minimum(GROWTH[cls] * age, STOCK[cls]) if GROWTH[cls] else STOCK[cls]
            w = DEAD[cls] * np.clip(age / 20, 0, 1)
        biomass += (here * b).mean()
        dead += (here * w).mean()
    return np.array([biomass, dead, soil])


def check_cohorts():
    args = world("a", SEQUENCES, YEARS) + ["--soil", "HAC"]
    got = yearly(*args, "--flux-years", "2001-2060,2100-2110")
    names, worst = ("biomass_t_c", "dead_organic_t_c", "soil_t_c"), 0
    for k, sequence in enumerate(SEQUENCES):
        for year in (2001, 2005, 2010, 2011, 2015, 2016, 2020, 2024, 2025, 2030, 2044, 2060, 2105):
            want = 100 * (carbon(sequence, year) - carbon(sequence, year - 1))
            row = got[f"s{k}", year]
            for part, v in zip(names, want):
                worst = max(worst, abs(row[part] - v))
                assert abs(row[part] - v) < 3, (sequence, year, part, row[part], v)
            assert abs(row["change_t_c"] - sum(row[p] for p in names)) < 1e-9
            assert abs(row["flux_t_co2"] + row["change_t_c"] * 44 / 12) < 1e-9
    print(f"cohorts: largest difference {worst:.3g} t C of 100 ha")
    # By hand: 10 % of a forest cleared each year until 2010, then only its soil goes on until 2030.
    row = got["s1", 2005]
    assert abs(row["biomass_t_c"] + 100 * (STOCK[1] - 4.7) / 10) < 1e-5
    assert abs(row["dead_organic_t_c"] + 100 * DEAD[1] / 10) < 1e-5
    assert abs(got["s1", 2020]["change_t_c"] + 100 * 19.84 / 20) < 1e-5
    assert got["s1", 2020]["biomass_t_c"] == 0 and abs(got["s1", 2031]["change_t_c"]) < 1e-6
    assert all(v == 0 for v in got["s0", 2005].values())
    # The year 2027 alone, far from the maps, is the same as among others.
    assert yearly(*args, "--flux-years", "2027")["s3", 2027] == got["s3", 2027]


def check_sum():
    """All years add to what the last class has more than the first."""
    args = world("a", SEQUENCES, YEARS) + ["--soil", "HAC"]
    got = yearly(*args, "--flux-years", "2001-2500")
    for k, sequence in enumerate(SEQUENCES):
        total = sum(got[f"s{k}", y]["biomass_t_c"] + got[f"s{k}", y]["dead_organic_t_c"] for y in range(2001, 2501))
        first, last = sequence[0], sequence[-1]
        want = 100 * (STOCK[last] + DEAD[last] - STOCK[first] - DEAD[first])
        assert abs(total - want) < 1e-6 * 100 * 170, (sequence, total, want)
        soil = sum(got[f"s{k}", y]["soil_t_c"] for y in range(2001, 2501))
        if 11 not in sequence:
            assert abs(soil - 100 * (SOIL[last] - SOIL[first])) < 1e-6 * 6400, (sequence, soil)
    print("500 years sum to the difference of the stocks")


def check_errors_shared():
    """The sd of a clearing by hand: shared factors of what is lost and gained, Approach 1."""
    args = world("e", [(1, 7)], (2000, 2010))
    row = yearly(*args, "--flux-years", "2005")["s0", 2005]
    agb = 258.4
    text = [x for x in open(WORK / "y.csv") if x.startswith("# factor")]
    sd = {x[len("# factor "):x.index(" = ")]: float(x.split("+- ")[1].split()[0]) for x in text}
    find = lambda part: next(v for k, v in sd.items() if part in k)
    grad = [(1.246 * 0.47, find("AGB natural")), (agb * 0.47, find("root:shoot")), (agb * 1.246, find("carbon fraction")),
            (1, find("litter")), (1, find("dead wood")), (1, find("cropland"))]
    want = 10 * np.hypot.reduce([g * s for g, s in grad])
    assert abs(row["change_sd_t_c"] - want) < 1e-4 * want, (row["change_sd_t_c"], want)
    print("sd of a year by hand:", round(want, 3), "t C")


def check_management():
    """Cropland that stays goes from full tillage to no-till at the second date."""
    args = world("m", [(7, 7, 7)], (2000, 2010, 2020)) + ["--soil", "HAC"]
    table = WORK / "management.csv"
    table.write_text("year,tillage,input,grazing\n2000,,,\n2010,no-till,,\n2020,no-till,high without manure,\n")
    got = yearly(*args, "--management", table, "--flux-years", "2001-2060")
    a, b, c = 64 * 0.69, 64 * 0.69 * 1.10, 64 * 0.69 * 1.10 * 1.11

    def done(t, start, end):
        s = start + (np.arange(100000) + 0.5) / 100000 * (end - start)
        return np.clip((t - s) / 20, 0, 1).mean()

    for year in (2001, 2005, 2010, 2015, 2025, 2031, 2039):
        want = 100 * ((b - a) * (done(year, 2000, 2010) - done(year - 1, 2000, 2010)) +
                      (c - b) * (done(year, 2010, 2020) - done(year - 1, 2010, 2020)))
        assert abs(got["s0", year]["soil_t_c"] - want) < 1e-4, (year, got["s0", year], want)
    total = sum(r["soil_t_c"] for r in got.values())
    assert abs(total - 100 * (c - a)) < 1e-5, (total, c - a)
    assert all(v == 0 for v in yearly(*args, "--flux-years", "2005")["s0", 2005].values())
    table.write_text("year,tillage,input,grazing\n2000,,,\n2010,ridge,,\n2020,,,\n")
    assert "tillage 'ridge' is not in set" in run(*args, "--management", table, "--yearly", WORK / "n.csv", code=2)
    table.write_text("year,tillage,input,grazing\n2000,,,\n")
    message = run(*args, "--management", table, "--yearly", WORK / "n.csv", code=3)
    assert "0 rows of year 2010, expected one for each map" in message, message
    assert not (WORK / "n.csv").exists()
    assert "goes with --yearly" in run(*args, "--management", table, code=2)
    print("management by date:", round(total, 3), "t C in the end")


def check_rewetting():
    """Cropland on wet soil that becomes wetland: 40 years, 0.71 to 0.80 to 1 of 135 t C/ha."""
    args = world("w", [(7, 4)], (2000, 2001)) + ["--soil", "WET"]
    got = yearly(*args, "--flux-years", "2001-2060")
    for year, gain in ((2003, 0.09), (2015, 0.09), (2025, 0.20), (2040, 0.20), (2043, 0)):
        assert abs(got["s0", year]["soil_t_c"] - 100 * 135 * gain / 20) < 1e-5, (year, got["s0", year])
    total = sum(r["soil_t_c"] for r in got.values())
    assert abs(total - 100 * 135 * 0.29) < 1e-5, total
    dry = yearly(*world("w", [(7, 4)], (2000, 2001)), "--soil", "HAC", "--flux-years", "2003")
    assert dry["s0", 2003]["soil_t_c"] == 0
    print("rewetting:", round(total, 3), "t C in 41 years")


def check_usage():
    args = world("u", [(1, 7)], (2000, 2010))
    for years in ("2000", "2005.5", "2010-2005", "x", "2001,", "2001-2600"):
        message = run(*args, "--yearly", WORK / "n.csv", "--flux-years", years, code=2)
        assert "--flux-years: '" + years + "'" in message, message
    rows = yearly(*args)
    assert sorted(y for _, y in rows) == list(range(2001, 2011))


WORK.mkdir(parents=True, exist_ok=True)
for old in WORK.iterdir():
    old.unlink()
check_cohorts()
check_sum()
check_errors_shared()
check_management()
check_rewetting()
check_usage()
