"""All that the command `sink` can do, as keys of sinks[]: every file is the command's own, byte for byte; cells
of several climates add to their zones, with the zones' own error; and what each key refuses, with its place.

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import pathlib
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from osgeo import gdal, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
WEST, SOUTH, N, CELL = 113.0, 22.0, 200, 0.002
SIDE = N * CELL
KG = 0.0440095 * 365.2425 * 86400.0
GRASS = [f"ipcc_defaults:grassland total biomass|{c}:IPCC 2006 V4 Ch.6 Table 6.4"
         for c in ("tropical moist & wet", "tropical dry")]


def raster(name, values, cell, nodata=0):
    data = gdal.GetDriverByName("GTiff").Create(str(WORK / name), values.shape[1], values.shape[0], 1,
                                                gdal.GDT_Byte)
    data.SetGeoTransform((WEST, cell, 0, SOUTH + SIDE, 0, -cell))
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(4326)
    data.SetProjection(srs.ExportToWkt())
    data.GetRasterBand(1).SetNoDataValue(nodata)
    data.GetRasterBand(1).WriteArray(values.astype(np.uint8))


def inputs():
    rng = np.random.default_rng(11)
    first = np.kron(rng.choice([1, 2, 3, 4], size=(20, 20)), np.ones((10, 10)))
    maps = [first]
    for _ in range(2):
        changed = rng.random(first.shape) < 0.06
        maps.append(np.where(changed, rng.choice([1, 2, 3, 4], size=first.shape), maps[-1]))
    maps[1][50:55, 60:70] = 0
    for k, m in enumerate(maps):
        raster(f"lc{k}.tif", m, CELL)
    climate = np.full((50, 50), 1)
    climate[:, 30:] = 2
    raster("climate.tif", climate, 4 * CELL)
    soil = np.full((25, 25), 7)
    soil[12:] = 9
    raster("soil.tif", soil, 8 * CELL)
    (WORK / "legend.csv").write_text("code,name,class\n1,woods,1\n2,grass,3\n3,field,7\n4,town,11\n")
    (WORK / "climates.csv").write_text("code,set\n1,ipcc-tropical-moist\n2,ipcc-tropical-dry\n")
    (WORK / "soils.csv").write_text("code,type\n7,LAC\n9,HAC\n")
    (WORK / "measures.csv").write_text(
        "zone_id,measure,area_ha,climate,type,detail,days\n"
        "west,rice,100,East Asia,irrigated single drainage,aggregated,\n")
    sample = ["map_1,map_2,true_1,true_2,units"]
    for a in (1, 3, 7, 11):
        for b in (1, 3, 7, 11):
            sample += [f"{a},{b},{a},{b},30", f"{a},{b},{a},{a},5", f"{a},{b},{b},{b},5"]
    (WORK / "sample.csv").write_text("\n".join(sample) + "\n")
    half = SIDE / 2
    zones = {"city": (0, SIDE), "west": (0, half), "east": (half, SIDE)}
    features = [{"type": "Feature", "properties": {"id": i, "name": i.title()}, "geometry": {
        "type": "Polygon", "coordinates": [[[WEST + a, SOUTH], [WEST + b, SOUTH], [WEST + b, SOUTH + SIDE],
                                            [WEST + a, SOUTH + SIDE], [WEST + a, SOUTH]]]}}
                for i, (a, b) in zones.items()]
    (WORK / "z.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (WORK / "none.nc").touch()


def job(name, entry, more=""):
    (WORK / f"{name}.yaml").write_text(f"""job: {{name: {name}, output: {name}}}
grid: {{box: [{WEST}, {SOUTH}, {WEST + SIDE:.12g}, {SOUTH + SIDE:.12g}], cell: 0.02 degree}}
soundings: [{{files: [none.nc], gases: [co2]}}]
sinks:
  - id: land
{entry}
zones: {{file: z.geojson, id: id, name: name}}
{more}""")
    return f"{name}.yaml"


def call(*args):
    return subprocess.run([BINARY, *map(str, args)], cwd=WORK, capture_output=True, text=True)


def run(name, entry, *args):
    r = call("run", job(name, entry), "--stage", "sink-land", "--progress=none", "--fresh", *args)
    assert r.returncode == 0, r.stderr
    return WORK / name


def command(*args):
    r = call("sink", *args, "--id", "id", "--name", "name", "--legend", "legend.csv", "--progress=none")
    assert r.returncode == 0, r.stderr


def rows(path):
    lines = [x for x in path.read_text().splitlines() if not x.startswith("#")]
    return list(csv.DictReader(lines))


MAPS3 = """    maps: [lc0.tif, lc1.tif, lc2.tif]
    years: [2010, 2015, 2020]
    legend: legend.csv
"""
CLIMATES = MAPS3 + f"""    climate: climate.tif
    climate_sets: climates.csv
    soil_map: soil.tif
    soil_types: soils.csv
    tillage: no-till
    input: high without manure
    grazing: severely degraded
    accuracy: 0.9
    map_correlation: 0.25
    places: 12
    allow_unverified: ["{GRASS[0]}", "{GRASS[1]}"]
"""
FILES = """    areas: true
    gwp: AR6
    measures: measures.csv
    compare: [ipcc-tropical-moist, ipcc-tropical-dry]
    rasters: [stock, stock_change, removal]
"""


def check_all_keys():
    out = run("all", CLIMATES + FILES + "    cell_sd: 0\n")
    options = ["--years", "2010,2015,2020", "--climate", "climate.tif", "--climate-sets", "climates.csv",
               "--soil-map", "soil.tif", "--soil-types", "soils.csv", "--tillage", "no-till", "--input",
               "high without manure", "--grazing", "severely degraded", "--accuracy", "0.9",
               "--map-correlation", "0.25", "--places", "12", "--allow-unverified", GRASS[0],
               "--allow-unverified", GRASS[1]]
    command("lc0.tif", "lc1.tif", "lc2.tif", "z.geojson", *options, "-o", "c.csv", "--areas", "c.areas.csv",
            "--gwp", "AR6", "--measures", "measures.csv", "--indicators", "c.indicators.csv", "--compare",
            "ipcc-tropical-moist,ipcc-tropical-dry", "--spread", "c.spread.csv", "--rasters", "c")
    for end in (".csv", ".areas.csv", ".indicators.csv", ".spread.csv", "_stock.tif", "_stock_change.tif",
                "_removal.tif", "_stock.qml"):
        assert (out / f"sink-land{end}").read_bytes() == (WORK / f"c{end}").read_bytes(), end
    rice = 100 * 1.32 * 0.71 * 1.22 * 112 / 1e3  # t CH4, East Asia (IPCC 2019 V4 Tables 5.11 to 5.13)
    ch4 = [float(r["t_ch4"]) for r in rows(out / "sink-land.indicators.csv")
           if r["zone_id"] == "west" and r["t_ch4"] not in ("", "0")]
    assert ch4 and all(abs(v / rice - 1) < 1e-9 for v in ch4), (ch4, rice)
    assert len({r["set"] for r in rows(out / "sink-land.spread.csv")}) == 3

    # Cells: zones of whole cells are their sums; on the whole mesh, w'Qw is the variance of the row.
    with netCDF4.Dataset(out / "stages" / "sink-land.nc") as f:
        layer = {k: np.ma.filled(v[:].astype(float), np.nan) for k, v in f.variables.items()}
    n = 20
    e2 = 0.0066943799901413165
    e = np.sqrt(e2)
    s = np.sin(np.radians(SOUTH + 0.02 * np.arange(n + 1)))
    q = 0.5 * 6378137.0**2 * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
    area = np.repeat(np.diff(q) * np.radians(0.02), n)
    table = {r["zone_id"]: r for r in rows(out / "sink-land.csv")
             if r["class_name"] == "all" and r["year_1"] == "2015"}
    zones = sorted(table)
    assert zones == ["city", "east", "west"]
    x = np.tile(np.arange(n), n)
    member = {"city": x >= 0, "east": x >= n // 2, "west": x < n // 2}
    F = layer["error_factor"]
    for k, zone in enumerate(zones):
        w = np.where(member[zone], area * KG, 0)
        want = float(table[zone]["uptake_flux_t_co2_yr"])
        assert abs(np.nansum(w * layer["cell_flux"]) / 1e3 / want - 1) < 1e-9, zone
        sd = np.sqrt(((F @ w)**2).sum()) / 1e3
        assert abs(layer["zone_sd"][k] / 1e3 / sd - 1) < 1e-12, zone
        row_sd = float(table[zone]["uptake_flux_sd_t_co2_yr"])
        assert abs(sd / row_sd - 1) < (1e-9 if zone == "city" else 0.2), (zone, sd, row_sd)
    assert not layer["error_variance"].any()
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.suffix in (".csv", ".tif", ".nc")}
    run("all", CLIMATES + FILES + "    cell_sd: 0\n", "--threads", "5")
    assert all(p.read_bytes() == b for p, b in before.items())


def check_sample_and_persistence():
    two = """    maps: [lc0.tif, lc1.tif]
    years: [2010, 2015]
    legend: legend.csv
    factors: ipcc-tropical-moist
    soil: LAC
"""
    allow = f'    allow_unverified: ["{GRASS[0]}"]\n'
    out = run("sample", two + "    reference: sample.csv\n" + allow)
    command("lc0.tif", "lc1.tif", "z.geojson", "--years", "2010,2015", "--factors", "ipcc-tropical-moist",
            "--soil", "LAC", "--reference", "sample.csv", "--allow-unverified", GRASS[0], "-o", "s.csv")
    assert (out / "sink-land.csv").read_bytes() == (WORK / "s.csv").read_bytes()
    assert not (out / "stages" / "sink-land.nc").exists()  # its areas are no cells
    (WORK / "pools.csv").write_text("code,above,gain,gain_sd\n1,100,2,0.5\n2,10,0,0\n3,5,0,0\n4,0,0,0\n")
    (WORK / "plots.csv").write_text("class,biomass_t_c_ha,gain_t_c_ha_yr\n1,80,2\n1,120,3\n1,90,2.5\n")
    out = run("back", MAPS3 + "    pools: pools.csv\n    persistence: true\n")
    command("lc0.tif", "lc1.tif", "lc2.tif", "z.geojson", "--years", "2010,2015,2020", "--pools", "pools.csv",
            "--persistence", "-o", "p.csv")
    assert (out / "sink-land.csv").read_bytes() == (WORK / "p.csv").read_bytes()
    out = run("plots", two + "    plots: plots.csv\n" + allow)
    command("lc0.tif", "lc1.tif", "z.geojson", "--years", "2010,2015", "--factors", "ipcc-tropical-moist",
            "--soil", "LAC", "--plots", "plots.csv", "--allow-unverified", GRASS[0], "-o", "t.csv")
    assert (out / "sink-land.csv").read_bytes() == (WORK / "t.csv").read_bytes()


def check_flux():
    """A flux in place of maps: cells, what they share, their own, and zones, of three hours in a period."""
    n, sigma, own, floor = 20, 0.4, 0.25, 3e-8
    rng = np.random.default_rng(4)
    hours = rng.normal(-1, 2, (6, n, n))  # umol m-2 s-1; both signs
    hours[:, 3, 15] = np.nan
    with netCDF4.Dataset(WORK / "nee.nc", "w") as d:
        for name, v in (("time", 3600.0 * np.arange(6)), ("lat", SOUTH + 0.02 * (np.arange(n) + .5)),
                        ("lon", WEST + 0.02 * (np.arange(n) + .5))):
            d.createDimension(name, len(v))
            d.createVariable(name, "f8", (name,))[:] = v
        d["time"].units = "seconds since 2023-06-01 00:00:00"
        d["lat"].units, d["lon"].units = "degrees_north", "degrees_east"
        v = d.createVariable("nee", "f8", ("time", "lat", "lon"), fill_value=-9999.0)
        v.units = "umol m-2 s-1"
        v[:] = np.ma.masked_invalid(hours)
    entry = f"    flux: nee.nc\n    sigma: {sigma}\n    cell_sd: {own}\n    floor: {floor} mol m-2 s-1\n"
    period = "period: {start: 2023-06-01T00:00:00Z, end: 2023-06-01T03:00:00Z}\n"
    r = call("run", job("flux", entry, period), "--stage", "sink-land", "--progress=none", "--fresh")
    assert r.returncode == 0, r.stderr
    assert not (WORK / "flux" / "sink-land.csv").exists()
    with netCDF4.Dataset(WORK / "flux" / "stages" / "sink-land.nc") as f:
        layer = {k: np.ma.filled(v[:].astype(float), np.nan) for k, v in f.variables.items()}
    want = (hours[:3].mean(0) * 1e-6).ravel()
    there = ~np.isnan(want)
    assert np.isnan(layer["cell_flux"][~there]).all() and (~there).sum() == 1
    assert np.abs(layer["cell_flux"] / want - 1)[there].max() < 1e-9
    assert np.allclose(layer["error_factor"][0][there], sigma * want[there], rtol=1e-9, atol=0)
    assert np.allclose(layer["error_variance"][there], (own * want[there])**2 + floor**2, rtol=1e-9, atol=0)
    assert layer["error_factor"][0][~there] == layer["error_variance"][~there] == 0
    e2 = 0.0066943799901413165
    e = np.sqrt(e2)
    s = np.sin(np.radians(SOUTH + 0.02 * np.arange(n + 1)))
    q = 0.5 * 6378137.0**2 * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
    kg = np.repeat(np.diff(q) * np.radians(0.02), n) * KG
    west = np.tile(np.arange(n), n) < n // 2
    total, sd = (kg * want)[west].sum(), np.sqrt(
        (sigma * (kg * want)[west].sum())**2 + (kg[west]**2 * ((own * want[west])**2 + floor**2)).sum())
    assert abs(layer["zone_total"][2] / total - 1) < 1e-9 and abs(layer["zone_sd"][2] / sd - 1) < 1e-9
    assert np.isnan(layer["zone_total"][:2]).all()  # city, east: a cell is missing
    assert 0.99 < layer["zone_covered"][0] < 0.999 and layer["zone_covered"][2] == 1
    facts = (WORK / "flux" / "stages" / "sink-land.facts.json").read_text()
    assert "net exchange" in facts and "land has fluxes for 99" in facts and "no time step" not in facts
    r = call("run", job("later", entry, period.replace("2023-06", "2024-06")), "--stage", "sink-land",
             "--progress=none", "--fresh")
    assert r.returncode == 0 and "no time step of nee.nc falls into the job's period" in r.stderr, r.stderr


BASE = "    maps: [lc0.tif, lc1.tif]\n    years: [2010, 2015]\n    legend: legend.csv\n"
SET = BASE + "    factors: ipcc-tropical-moist\n"
REFUSED = [  # entry, and what is said about it
    ("    legend: legend.csv\n", ["sinks[0].maps: required without fractions or flux", "sinks[0].years: required"]),
    (BASE.replace("2015", "2010") + "    factors: a\n",
     ["bad.yaml:7: sinks[0].years[1]: 2010 is not a year in ascending order (1900 to 2200)"]),
    (SET.replace("lc1.tif]", "lc1.tif, lc2.tif]"), ["bad.yaml:7: sinks[0].years: 2 years for 3 maps"]),
    (SET.replace("[lc0.tif, lc1.tif]", "[lc0.tif]"), ["sinks[0].maps: 1 item, expected 2 to 8"]),
    (SET.replace("moist", "wet"), ["bad.yaml:9: sinks[0].factors: 'ipcc-tropical-wet' is no factor set",
                                   "expected one of", "ipcc-tropical-moist"]),
    (SET + "    compare: [ipcc-tropical-moist, here]\n", ["sinks[0].compare[1]: 'here' is no factor set"]),
    (SET + "    climate: climate.tif\n", ["sinks[0].climate_sets: climate and climate_sets go together"]),
    (SET + "    climate: climate.tif\n    climate_sets: climates.csv\n", ["both factors and this are given"]),
    (SET + "    soil_map: soil.tif\n", ["sinks[0].soil_types: soil_map and soil_types go together"]),
    (SET + "    soil: LAC\n    soil_map: soil.tif\n    soil_types: soils.csv\n", ["both soil and soil_map"]),
    (SET + "    soil: LCA\n", ["sinks[0].soil: 'LCA'", "HAC, LAC, SAN, POD, VOL, WET"]),
    (SET + "    tillage: no-till\n", ["sinks[0].tillage: has no effect without soil or soil_map"]),
    (SET + "    soil: LAC\n    tillage: never\n", ["sinks[0].tillage: 'never'", "reduced tillage, no-till"]),
    (SET + "    soil: LAC\n    input: none\n", ["sinks[0].input: 'none'", "low, high without manure"]),
    (SET + "    soil: LAC\n    grazing: cows\n", ["sinks[0].grazing: 'cows'", "severely degraded"]),
    (SET + "    map_correlation: 0.2\n", ["sinks[0].map_correlation: has no effect without accuracy"]),
    (SET + "    accuracy: 0.9\n    map_correlation: 2\n", ["sinks[0].map_correlation: '2' is outside 0 to 1", "0 to 1"]),
    (SET + "    accuracy: 1.5\n", ["sinks[0].accuracy: '1.5' is outside 0 to 1"]),
    (SET + "    places: 0.5\n", ["sinks[0].places: '0.5' is below 1"]),
    (SET + "    reference: sample.csv\n    accuracy: 0.9\n", ["sinks[0].accuracy: has no effect with reference"]),
    (SET + "    persistence: true\n", ["sinks[0].persistence: needs maps of three dates"]),
    (SET + "    persistence: maybe\n", ["sinks[0].persistence: 'maybe' is not true or false"]),
    (SET + "    measures: measures.csv\n", ["sinks[0].measures:", "needs gwp"]),
    (SET + "    gwp: AR7\n", ["sinks[0].gwp: 'AR7'", "SAR, AR4, AR5, AR6, AR6_GWP20"]),
    (SET + "    rasters: [soil]\n", ["sinks[0].rasters[0]: 'soil' is no raster of a sink"]),
    (SET + "    compare: [china-county]\n", ["sinks[0].compare: 1 item, expected 2 to 8"]),
    (SET + "    sigma: 0.2\n", ["sinks[0].sigma: has no effect without flux"]),
    (SET + "    reference: legend.csv\n", ["sinks[0].reference: legend.csv: no column 'map_1'"]),
    (SET + "    plots: legend.csv\n", ["sinks[0].plots: legend.csv: no column 'biomass_t_c_ha'"]),
    (SET + "    measures: legend.csv\n    gwp: AR6\n", ["sinks[0].measures: legend.csv: no column 'zone_id'"]),
    (BASE + "    climate: climate.tif\n    climate_sets: soils.csv\n",
     ["sinks[0].climate_sets: soils.csv: no column 'set'"]),
    (BASE + "    climate: soils.csv\n    climate_sets: climates.csv\n", ["sinks[0].climate: ", "soils.csv"]),
    (BASE + "    pools: soils.csv\n    gwp: AR6\n", ["sinks[0].gwp: has no effect with pools"]),
    ("    flux: none.nc\n    accuracy: 0.5\n    legend: worldcover\n",
     ["sinks[0].sigma: required with flux", "sinks[0].accuracy: has no effect with flux",
      "sinks[0].legend: has no effect with flux"]),
    ("    flux: gone.nc\n    sigma: 0.5\n", ["sinks[0].flux:", "gone.nc"]),
]


def check_refusals():
    for entry, parts in REFUSED:
        r = call("check", job("bad", entry))
        assert r.returncode in (2, 3), (entry, r.returncode, r.stderr)
        for part in parts + ["bad.yaml"]:
            assert part in r.stderr, (entry, part, r.stderr)
    more = ("inventories: [{id: inv, gas: co2, file: none.nc}]\n"
            "inversions: [{gas: co2, prior: inv, sink: land, background: {mean: 400 ppm, sd: 1 ppm}}]\n")
    r = call("check", job("bad", SET + "    reference: sample.csv\n", more))
    assert r.returncode == 2 and "inversions[0].sink: cells are what the maps show" in r.stderr, r.stderr
    # a stock of a set that has none is found when the factors are read
    r = call("run", job("none", BASE + "    pools: growth.csv\n    rasters: [stock]\n"), "--stage", "sink-land",
             "--progress=none")
    assert r.returncode != 0 and "no 'stock'" in r.stderr, r.stderr
    assert not (WORK / "none" / "sink-land_stock.tif").exists()


shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
inputs()
(WORK / "growth.csv").write_text("code,gain\n1,2\n2,0\n3,0\n4,0\n")
check_all_keys()
check_sample_and_persistence()
check_flux()
check_refusals()
