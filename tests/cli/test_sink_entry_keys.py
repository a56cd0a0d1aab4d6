"""Keys of sinks[] of what replaces maps and factors: fractions, biomass, soil carbon, ages of forest, own
values, single years. Every file is the command's own, byte for byte; a sink whose numbers are of zones has
no layer, and no inversion takes it; a file that changes makes the stage run again.

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import pathlib
import re
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from osgeo import gdal, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
WEST, SOUTH, N, CELL = 113.0, 22.0, 40, 0.005
SIDE = N * CELL
KG = 0.0440095 * 365.2425 * 86400.0
GRASS = "ipcc_defaults:grassland total biomass|tropical moist & wet:IPCC 2006 V4 Ch.6 Table 6.4"
CLASSES = (1, 3, 7)


def raster(name, bands, cell=CELL, kind=gdal.GDT_Float64, nodata=-1):
    bands = np.asarray(bands, float)
    bands = bands[None] if bands.ndim == 2 else bands
    data = gdal.GetDriverByName("GTiff").Create(str(WORK / name), bands.shape[2], bands.shape[1], len(bands), kind)
    data.SetGeoTransform((WEST, cell, 0, SOUTH + SIDE, 0, -cell))
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(4326)
    data.SetProjection(srs.ExportToWkt())
    for k, values in enumerate(bands):
        data.GetRasterBand(k + 1).SetNoDataValue(nodata)
        data.GetRasterBand(k + 1).WriteArray(values)


def text(name, content):
    (WORK / name).write_text(content)


def shares(seed):
    rng = np.random.default_rng(seed)
    first = rng.dirichlet((2, 1, 1, 0.5), size=(N, N)).transpose(2, 0, 1)[:3]
    other = rng.dirichlet((2, 1, 1, 0.5), size=(N, N)).transpose(2, 0, 1)[:3]
    return first, 0.7 * first + 0.3 * other


def inputs():
    rng = np.random.default_rng(3)
    maps = [np.kron(rng.choice([1, 2, 3], size=(8, 8)), np.ones((5, 5)))]
    for _ in range(2):
        maps.append(np.where(rng.random((N, N)) < 0.1, rng.choice([1, 2, 3], size=(N, N)), maps[-1]))
    for k, m in enumerate(maps):
        raster(f"lc{k}.tif", m, kind=gdal.GDT_Byte, nodata=0)
    text("legend.csv", "code,name,class\n1,woods,1\n2,grass,3\n3,field,7\n")
    first, second = shares(5)
    raster("f0.tif", 100 * first)
    raster("f1.tif", second)
    text("fractions.csv", "year,class,file,band,unit\n" +
         "".join(f"2010,{c},f0.tif,{k + 1},percent\n2015,{c},f1.tif,{k + 1},1\n" for k, c in enumerate(CLASSES)))
    raster("agb.tif", rng.uniform(60, 240, (2 * N, 2 * N)), CELL / 2)
    raster("agb_sd.tif", rng.uniform(10, 40, (N // 2, N // 2)), 2 * CELL)
    raster("soc.tif", rng.uniform(30, 90, (N, N)))
    raster("age.tif", rng.choice([1, 2, 2, 3], size=(N, N)), kind=gdal.GDT_Byte, nodata=0)
    text("ages.csv", "zone_id,young,old,primary\nwest,0.25,0.5,0.25\neast,1,0,0\n")
    text("management.csv", "year,tillage,input,grazing\n2010,,,\n2015,no-till,low,\n2020,no-till,,improved\n")
    half = SIDE / 2
    zones = {"city": (0, SIDE), "west": (0, half), "east": (half, SIDE)}
    features = [{"type": "Feature", "properties": {"id": i, "name": i.title()}, "geometry": {
        "type": "Polygon", "coordinates": [[[WEST + a, SOUTH], [WEST + b, SOUTH], [WEST + b, SOUTH + SIDE],
                                            [WEST + a, SOUTH + SIDE], [WEST + a, SOUTH]]]}}
                for i, (a, b) in zones.items()]
    text("z.geojson", json.dumps({"type": "FeatureCollection", "features": features}))
    (WORK / "none.nc").touch()


def call(*args):
    return subprocess.run([BINARY, *map(str, args)], cwd=WORK, capture_output=True, text=True)


def job(name, keys, more=""):
    entry = "".join(f"    {k}: {'true' if v is True else v}\n" for k, v in keys.items())
    text(f"{name}.yaml", f"""job: {{name: {name}, output: {name}}}
grid: {{box: [{WEST}, {SOUTH}, {WEST + SIDE:.12g}, {SOUTH + SIDE:.12g}], cell: 0.02 degree}}
soundings: [{{files: [none.nc], gases: [co2]}}]
sinks:
  - id: land
{entry}zones: {{file: z.geojson, id: id, name: name}}
{more}""")
    return f"{name}.yaml"


def run(name, keys, *args):
    r = call("run", job(name, keys), "--stage", "sink-land", "--progress=none", *args)
    assert r.returncode == 0, (name, r.stderr)
    return WORK / name


def command(name, keys):
    """The same words, as options of the command; yearly: true is --yearly FILE."""
    args = []
    for k, v in keys.items():
        option = "--" + k.replace("_", "-")
        if k == "maps":
            args += v.strip("[]").split(", ")
        elif k in ("yearly", "areas"):
            args += [option, f"c_{name}.{k}.csv"]
        else:
            args += [option, str(v).strip('[]"').replace(", ", ",")]
    r = call("sink", *args, "z.geojson", "--id", "id", "--name", "name", "-o", f"c_{name}.csv", "--progress=none")
    assert r.returncode == 0, (name, r.stderr)


def same(name, keys, ends=(".csv",)):
    out = run(name, keys, "--fresh")
    command(name, keys)
    for end in ends:
        made = (out / f"sink-land{end}").read_bytes()
        assert made == (WORK / f"c_{name}{end}").read_bytes(), (name, end)
        assert len(made.splitlines()) > 5, (name, end)
    return out


def rows(path):
    return list(csv.DictReader(x for x in path.read_text().splitlines() if not x.startswith("#")))


def removal(path, zone="city"):
    return next(float(r["removal_t_c_yr"]) for r in rows(path) if (r["zone_id"], r["class_name"]) == (zone, "all"))


MAPS = {"maps": "[lc0.tif, lc1.tif]", "years": "[2010, 2015]", "legend": "legend.csv"}
MAPS3 = {"maps": "[lc0.tif, lc1.tif, lc2.tif]", "years": "[2010, 2015, 2020]", "legend": "legend.csv"}
SET = {"factors": "ipcc-tropical-moist", "soil": "LAC", "allow_unverified": f'["{GRASS}"]'}
PLAIN = {**MAPS, **SET}


def check_cells(out):
    """Zones of whole cells are the sums of their cells, which have the entry's own factors or fractions."""
    with netCDF4.Dataset(out / "stages" / "sink-land.nc") as f:
        flux = np.ma.filled(f["cell_flux"][:].astype(float), np.nan)
    n, e2 = 10, 0.0066943799901413165
    e = np.sqrt(e2)
    s = np.sin(np.radians(SOUTH + 0.02 * np.arange(n + 1)))
    q = 0.5 * 6378137.0**2 * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
    kg = np.repeat(np.diff(q) * np.radians(0.02), n) * KG
    x = np.tile(np.arange(n), n)
    for zone, of in {"city": x >= 0, "east": x >= n // 2, "west": x < n // 2}.items():
        got = (kg * flux)[of].sum() / 1e3
        row = next(r for r in rows(out / "sink-land.csv") if (r["zone_id"], r["class_name"]) == (zone, "all"))
        assert abs(got / float(row["uptake_flux_t_co2_yr"]) - 1) < 1e-9, zone


def check_zones():
    """Tier 2 of zones: rasters, a share and a raster as their errors, ages by table and raster."""
    for name, keys in {"biomass": {"biomass": "agb.tif", "biomass_sd": "agb_sd.tif"},
                       "soil": {"soil_carbon": "soc.tif", "soil_carbon_sd": 0.15},
                       "all": {"biomass": "agb.tif", "biomass_sd": "agb_sd.tif", "soil_carbon": "soc.tif",
                               "soil_carbon_sd": 0.15, "forest_age": "ages.csv", "accuracy": 0.9}}.items():
        out = same(name, {**PLAIN, **keys})
        assert not (out / "stages" / "sink-land.nc").exists(), name
        assert "# zone west: " in (out / "sink-land.csv").read_text(), name
    facts = (WORK / "all" / "stages" / "sink-land.facts.json").read_text()
    assert "biomass of each zone from agb.tif, sd agb_sd.tif" in facts and "forest from ages.csv" in facts
    wet = {**PLAIN, "factors": "ipcc-tropical-rainforest"}
    for name, file in {"table": "ages.csv", "ages": "age.tif"}.items():
        out = same(name, {**wet, "forest_age": file})
        assert not (out / "stages" / "sink-land.nc").exists()
    assert removal(WORK / "table" / "sink-land.csv", "east") != removal(WORK / "ages" / "sink-land.csv", "east")


def check_override():
    out = same("factor", PLAIN)
    check_cells(out)
    key = next(re.match(r"# factor (.*) = ", x)[1] for x in (out / "sink-land.csv").read_text().splitlines()
               if "net growth" in x and ">20" in x)
    with open(WORK / "own.csv", "w", newline="") as f:
        csv.writer(f).writerows([["key", "value", "sd", "source"], [key, 9, 0.25, "plots of 2020"]])
    own = same("own", {**PLAIN, "override": "own.csv"})
    check_cells(own)
    assert removal(own / "sink-land.csv") > 1.2 * removal(out / "sink-land.csv")
    facts = (own / "stages" / "sink-land.facts.json").read_text()
    assert "is the job's own, from own.csv: plots of 2020" in facts


def check_fractions():
    keys = {"fractions": "fractions.csv", **SET, "areas": True}
    out = same("parts", keys, (".csv", ".areas.csv"))
    check_cells(out)
    first, _ = shares(5)
    e2 = 0.0066943799901413165
    e = np.sqrt(e2)
    s = np.sin(np.radians(SOUTH + CELL * np.arange(N, -1, -1)))
    q = 0.5 * 6378137.0**2 * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
    area = -np.diff(q) * np.radians(CELL) / 1e4
    forest = sum(float(r["area_ha"]) for r in rows(out / "sink-land.areas.csv")
                 if r["zone_id"] == "city" and r["class_2010"] == "1")
    # exact but for what has no class at the second date
    whole = (first[0] * area[:, None]).sum()
    assert 0.9 * whole < forest <= whole * (1 + 1e-9), (forest, whole)
    out = same("partages", {"fractions": "fractions.csv", **SET, "forest_age": "ages.csv"})
    assert not (out / "stages" / "sink-land.nc").exists()


def check_yearly():
    three = {**MAPS3, **SET}
    out = same("years", {**three, "yearly": True}, (".csv", ".yearly.csv"))
    check_cells(out)
    assert sorted({int(r["year"]) for r in rows(out / "sink-land.yearly.csv")}) == list(range(2011, 2021))
    keys = {**three, "yearly": True, "flux_years": "2012,2018-2040", "management": "management.csv"}
    out = same("managed", keys, (".csv", ".yearly.csv"))
    table = rows(out / "sink-land.yearly.csv")
    assert sorted({int(r["year"]) for r in table}) == [2012, *range(2018, 2041)]
    before = {p: p.read_bytes() for p in out.rglob("*.csv")}
    run("managed", keys, "--fresh", "--threads", "5")
    assert len(before) >= 2 and all(p.read_bytes() == b for p, b in before.items())
    same("partyears", {"fractions": "fractions.csv", **SET, "yearly": True, "flux_years": 2030},
         (".csv", ".yearly.csv"))


def check_rerun():
    """A changed file, also one that only a table names, makes the stage run again; nothing else does."""
    cases = {"managed": ({**MAPS3, **SET, "yearly": True, "management": "management.csv"}, ["management.csv"]),
             "own": ({**PLAIN, "override": "own.csv"}, ["own.csv"]),
             "parts": ({"fractions": "fractions.csv", **SET}, ["fractions.csv", "f0.tif", "f1.tif"]),
             "all": ({**PLAIN, "biomass": "agb.tif", "biomass_sd": "agb_sd.tif", "soil_carbon": "soc.tif",
                      "soil_carbon_sd": "soc.tif", "forest_age": "ages.csv"},
                     ["agb.tif", "agb_sd.tif", "soc.tif", "ages.csv"])}
    for name, (keys, files) in cases.items():
        run(name, keys)
        again = call("run", job(name, keys), "--stage", "sink-land", "--progress=none", "--verbose")
        assert "stage sink-land: up to date" in again.stderr, (name, again.stderr)
        for file in files:
            kept = (WORK / file).read_bytes()
            if file.endswith(".csv"):
                (WORK / file).write_bytes(b"# changed\n" + kept)
            else:
                data = gdal.Open(str(WORK / file), gdal.GA_Update)
                data.GetRasterBand(1).WriteArray(0.9 * data.GetRasterBand(1).ReadAsArray(3, 3, 1, 1), 3, 3)
                del data
            changed = call("run", job(name, keys), "--stage", "sink-land", "--progress=none", "--verbose")
            assert "stage sink-land: done" in changed.stderr, (name, file, changed.stderr)


ZONES = {"biomass": "agb.tif", "biomass_sd": 0.2}
FRACTIONS = {"fractions": "fractions.csv", **SET}
REFUSED = [  # keys, and what is said about them
    ({**PLAIN, "biomass": "agb.tif"}, ["sinks[0].biomass_sd: biomass and biomass_sd go together"]),
    ({**PLAIN, "soil_carbon_sd": 0.1}, ["sinks[0].soil_carbon: soil_carbon and soil_carbon_sd go together"]),
    ({**PLAIN, "biomass": "gone.tif", "biomass_sd": 0.2}, ["sinks[0].biomass: 'gone.tif' does not exist"]),
    ({**PLAIN, "biomass": "agb.tif", "biomass_sd": -0.2},
     ["sinks[0].biomass_sd: '-0.2' is no share of at least 0"]),
    ({**PLAIN, "biomass": "agb.tif", "biomass_sd": "gone.tif"}, ["sinks[0].biomass_sd: ", "gone.tif"]),
    ({**PLAIN, "biomass": "ages.csv", "biomass_sd": 0.2}, ["sinks[0].biomass: ", "ages.csv"]),
    ({**PLAIN, **ZONES, "rasters": "[stock]"}, ["sinks[0].rasters: does not go with biomass"]),
    ({**PLAIN, **ZONES, "plots": "ages.csv"}, ["sinks[0].plots: does not go with biomass"]),
    ({**PLAIN, **ZONES, "yearly": True}, ["sinks[0].yearly: is of factor sets: not with reference, biomass"]),
    ({**PLAIN, "reference": "ages.csv", "yearly": True}, ["sinks[0].yearly: is of factor sets"]),
    ({**PLAIN, "forest_age": "management.csv"}, ["sinks[0].forest_age: management.csv: no column 'zone_id'"]),
    ({**PLAIN, "flux_years": "2012"}, ["sinks[0].flux_years: has no effect without yearly"]),
    ({**PLAIN, "management": "management.csv"}, ["sinks[0].management: has no effect without yearly"]),
    ({**PLAIN, "yearly": True, "flux_years": "2009"},
     ["sinks[0].flux_years: ", "'2009': expected up to 512 whole years of 2011 to 2500"]),
    ({**FRACTIONS, "yearly": True, "flux_years": "x"}, ["sinks[0].flux_years: ", "'x': expected"]),
    ({**PLAIN, "yearly": True, "management": "management.csv", "tillage": "no-till"},
     ["sinks[0].tillage: is by date in management"]),
    ({**PLAIN, "yearly": True, "management": "ages.csv"}, ["sinks[0].management: ages.csv: no column 'tillage'"]),
    ({**PLAIN, "years": "[2010, 2014]", "yearly": True, "management": "management.csv"},
     ["sinks[0].management: management.csv: 0 rows of year 2014"]),
    ({**PLAIN, "override": "ages.csv"}, ["sinks[0].override: ages.csv: no column 'key'"]),
    ({**PLAIN, "override": "wrong.csv"}, ["sinks[0].override: wrong.csv:2: 'growth' is no key"]),
    ({**MAPS, "pools": "pools.csv", "override": "own.csv"}, ["sinks[0].override: has no effect with pools"]),
    ({**MAPS, "pools": "pools.csv", **ZONES}, ["sinks[0].biomass: has no effect with pools"]),
    ({**MAPS, "pools": "pools.csv", "forest_age": "ages.csv"}, ["sinks[0].forest_age: has no effect with pools"]),
    ({**MAPS, "pools": "pools.csv", "yearly": True}, ["sinks[0].yearly: has no effect with pools"]),
    ({**PLAIN, "fractions": "fractions.csv"}, ["sinks[0].maps: does not go with fractions",
                                              "sinks[0].years: does not", "sinks[0].legend: does not"]),
    ({**FRACTIONS, "accuracy": 0.9}, ["sinks[0].accuracy: does not go with fractions"]),
    ({**FRACTIONS, "persistence": True}, ["sinks[0].persistence: does not go with fractions"]),
    ({**FRACTIONS, "rasters": "[stock]"}, ["sinks[0].rasters: does not go with fractions"]),
    ({**FRACTIONS, **ZONES}, ["sinks[0].biomass: does not go with fractions"]),
    ({**FRACTIONS, "forest_age": "age.tif"}, ["sinks[0].forest_age: 'age.tif': a raster needs a map of classes"]),
    ({**FRACTIONS, "fractions": "half.csv"}, ["sinks[0].fractions: half.csv: class 7", "has no map of 2015"]),
    ({**FRACTIONS, "fractions": "bands.csv"}, ["sinks[0].fractions: f1.tif: no band 9 (there are 3)"]),
    ({**FRACTIONS, "fractions": "grids.csv"}, ["sinks[0].fractions: ", "agb.tif"]),
    ({"flux": "none.nc", "sigma": 0.4, "fractions": "fractions.csv", "override": "own.csv", "yearly": True,
      **ZONES}, [f"sinks[0].{k}: has no effect with flux" for k in ("fractions", "override", "yearly", "biomass")]),
]


def check_refusals():
    table = (WORK / "fractions.csv").read_text()
    text("half.csv", table.replace("2015,7,f1.tif,3,1\n", ""))
    text("bands.csv", table.replace("f1.tif,3", "f1.tif,9"))
    text("grids.csv", table.replace("f1.tif,1", "agb.tif,1"))
    text("wrong.csv", "key,value,sd,source\ngrowth,2,0,me\n")
    text("pools.csv", "code,above,gain\n1,100,2\n2,10,0\n3,5,0\n")
    for keys, parts in REFUSED:
        r = call("check", job("bad", keys))
        assert r.returncode in (2, 3), (keys, r.returncode, r.stderr)
        for part in parts + ["bad.yaml:"]:
            assert part in r.stderr, (keys, part, r.stderr)
    more = ("inventories: [{id: inv, gas: co2, file: none.nc}]\n"
            "inversions: [{gas: co2, prior: inv, sink: land, background: {mean: 400 ppm, sd: 1 ppm}}]\n")
    for keys in (ZONES, {"soil_carbon": "soc.tif", "soil_carbon_sd": 0.2}, {"forest_age": "ages.csv"}):
        r = call("check", job("bad", {**PLAIN, **keys}, more))
        assert r.returncode == 2 and "inversions[0].sink: biomass, soil_carbon and forest_age" in r.stderr, r.stderr
    for keys in ({**PLAIN, "override": "own.csv"}, FRACTIONS):  # these have a layer
        r = call("check", job("good", keys, more))
        assert "inversions[0].sink: biomass" not in r.stderr and "cells are what" not in r.stderr, r.stderr
    r = call("sink", "z.geojson", "--id", "id", "--fractions", "fractions.csv", "--factors", "ipcc-tropical-moist",
             "--forest-age", "age.tif")
    assert r.returncode == 2 and "need a map of classes, not --fractions" in r.stderr, r.stderr
    # a set without stocks has no single years, which is seen when its factors are read
    none = {**MAPS, "factors": "china-county"}
    keys = re.findall(r"'(china_densities:.*?)'", call("run", job("none", none), "--stage", "sink-land").stderr)
    none.update(allow_unverified=json.dumps(keys), yearly=True)
    r = call("run", job("none", none), "--stage", "sink-land", "--progress=none")
    assert r.returncode != 0 and "(in a job: yearly): set 'china-county' has no stocks" in r.stderr, r.stderr
    # and one of stocks alone is for the table of the command, not for a job, whose sink is an uptake
    whole = {**MAPS, "factors": "china-tang2018"}
    keys = re.findall(r"'(china_densities:.*?)'", call("run", job("whole", whole), "--stage", "sink-land").stderr)
    whole.update(allow_unverified=json.dumps(keys))
    r = call("run", job("whole", whole), "--stage", "sink-land", "--progress=none")
    assert keys and r.returncode == 2, r.stderr
    assert "sinks[].factors: factor set 'china-tang2018' is of stocks of whole ecosystems" in r.stderr, r.stderr


shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
inputs()
check_zones()
check_override()
check_fractions()
check_yearly()
check_refusals()
check_rerun()
