"""Tier 2 of single zones: biomass and soil carbon from rasters, ages of forest, against numpy; with
a real biomass raster where there is one.

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, ogr, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
REAL = pathlib.Path(sys.argv[2]) / "data" / "biomass"
gdal.UseExceptions()
ogr.UseExceptions()
CEA = "+proj=cea +lat_ts=0 +lon_0=0 +datum=WGS84 +units=m +no_defs"
WARM = "ipcc-subtropical-humid"


def raster(name, values, transform, crs, kind=gdal.GDT_Byte, nodata=255):
    values = np.asarray(values)
    data = gdal.GetDriverByName("GTiff").Create(str(WORK / name), values.shape[1], values.shape[0], 1, kind)
    srs = osr.SpatialReference()
    srs.SetFromUserInput(crs)
    data.SetGeoTransform(transform)
    data.SetProjection(srs.ExportToWkt())
    data.GetRasterBand(1).SetNoDataValue(nodata)
    data.GetRasterBand(1).WriteArray(values)
    return WORK / name


def zones(name, boxes, crs):
    srs = osr.SpatialReference()
    srs.SetFromUserInput(crs)
    srs.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(WORK / name))
    layer = source.CreateLayer("zones", srs, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    for code, (w, s, e, n) in boxes.items():
        feature = ogr.Feature(layer.GetLayerDefn())
        feature["code"] = code
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({w} {s},{e} {s},{e} {n},{w} {n},{w} {s}))"))
        layer.CreateFeature(feature)
    return WORK / name


def text(name, content):
    (WORK / name).write_text(content)
    return WORK / name


def run(*args, code=0):
    r = subprocess.run([BINARY, "sink", *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


def rows_of(*args):
    return {(r["zone_id"], r["class_name"], r["year_1"]): r
            for r in json.loads(run(*args, "--json"))["rows"]}


def close(a, b, tolerance, what):
    assert abs(a - b) <= tolerance * max(abs(b), 1e-9), (what, a, b)


LEGEND = "code,name,class\n1,f,1\n3,g,3\n7,c,7\n"
SIDE = 1000.0  # metres: 100 ha


def world():
    """Three zones of 4 x 4 pixels; the first loses 5, 3 and 0 of forest, by two steps."""
    first = np.ones((4, 12), np.uint8)
    second, third = first.copy(), first.copy()
    second[0, :4] = second[1, 0] = 7
    second[0, 4:7] = 7
    third[:] = second
    third[3, 8] = 7
    transform = (0, SIDE, 0, 4 * SIDE, 0, -SIDE)
    maps = [raster(f"m{k}.tif", v, transform, CEA) for k, v in enumerate((first, second, third))]
    where = zones("z.gpkg", {k: (4 * i * SIDE, 0, 4 * (i + 1) * SIDE, 4 * SIDE) for i, k in enumerate("abc")},
                  CEA)
    return maps, where, transform


def check_biomass(maps, where, transform):
    """Each zone with its own stock: exactly 125 t/ha has the lower branch of R, a little more not."""
    rng = np.random.default_rng(2)
    agb = np.full((4, 12), 125.0)
    agb[:, 4:8] = 125.0625
    agb[:, 8:] = rng.integers(10, 60, (4, 4))
    agb[2, 9] = -1  # no data
    values = raster("agb.tif", agb, transform, CEA, gdal.GDT_Float64, -1)
    sd = raster("sd.tif", np.where(agb < 0, -1, 0.2 * agb), transform, CEA, gdal.GDT_Float64, -1)
    mean = {"a": 125.0, "b": 125.0625, "c": agb[:, 8:][agb[:, 8:] >= 0].mean()}
    ratio = {"a": 0.23, "b": 0.246, "c": 0.23}
    cut = {("a", 2000): 5, ("b", 2000): 3, ("c", 2010): 1}
    base = [*maps, where, "--id", "code", "--years", "2000,2010,2020", "--legend", text("l.csv", LEGEND),
            "--factors", WARM]
    out = WORK / "b.csv"
    rows = rows_of(*base, "--biomass", values, "--biomass-sd", "0.2", "-o", out)
    plain = rows_of(*base)
    for (zone, year), pixels in cut.items():
        want = pixels * 100 * (4.7 - mean[zone] * (1 + ratio[zone]) * 0.47)
        close(rows[zone, "all", year]["biomass_t_c"], want, 3e-9, (zone, "biomass"))
        close(plain[zone, "all", year]["biomass_t_c"], pixels * 100 * (4.7 - 258.4 * 1.246 * 0.47), 3e-9, zone)
    # Its error, with R ± 45 % and CF: what the raster says stands in the place of the table's 258.4.
    f = lambda a, r, c: 500 * (4.7 - a * (1 + r) * c)
    row = rows["a", "forest", 2000]
    parts = [500 * 1.23 * 0.47 * 25, 500 * 125 * 0.47 * 0.23 * 0.45, 500 * 125 * 1.23 * (0.05 / 12 ** 0.5)]
    dead = [500 * x for x in (8.7, 13.2)]
    assert row["stock_sd_t_c"] > np.hypot.reduce(parts) * (1 - 1e-6), (row["stock_sd_t_c"], parts)
    same = rows_of(*base, "--biomass", values, "--biomass-sd", sd)
    for key, r in rows.items():
        close(same[key]["stock_sd_t_c"], r["stock_sd_t_c"], 1e-9, key)
    more = rows_of(*base, "--biomass", values, "--biomass-sd", "0.4")["a", "forest", 2000]["stock_sd_t_c"]
    close(more ** 2 - row["stock_sd_t_c"] ** 2, 3 * parts[0] ** 2, 1e-6, "sd of the biomass")
    assert f"# zone a: above-ground biomass of forest = 125 +- 25 t d.m./ha" in out.read_text()
    told = run(*base, "--biomass", values, "--biomass-sd", "0.2")
    assert "zone a: biomass of forest 125 ± 25 t/ha above ground" in told, told
    out_json = json.loads(run(*base, "--biomass", values, "--biomass-sd", "0.2", "--json"))["zones"]
    assert [round(z["forest"]["biomass_t_ha"], 9) for z in out_json][:2] == [125, 125.0625], out_json
    for how in (["--threads", 1], ["--threads", 5, "--tile", 256]):
        run(*base, "--biomass", values, "--biomass-sd", "0.2", "-o", WORK / "b2.csv", *how)
        assert (WORK / "b2.csv").read_bytes() == out.read_bytes(), how
    shards = [WORK / f"b{i}.shard" for i in (1, 2)]
    for i, shard in enumerate(shards):
        run(*base, "--biomass", values, "--biomass-sd", "0.2", "-o", shard, "--shard", f"{i + 1}/2")
    r = subprocess.run([BINARY, "merge", *map(str, shards), "-o", str(WORK / "b3.csv")],
                       capture_output=True, text=True)
    assert r.returncode == 0 and (WORK / "b3.csv").read_bytes() == out.read_bytes(), r.stderr
    for part in ("--biomass-sd", "go together"):
        assert part in run(*base, "--biomass", values, code=2)
    agb[0, 0] = 40000
    wrong = raster("kg.tif", agb, transform, CEA, gdal.GDT_Float64, -1)
    message = run(*base, "--biomass", wrong, "--biomass-sd", "0.2", code=3)
    assert "kg.tif: forest of zone 'a' has" in message and "expected 0 to 2000" in message, message
    print("biomass of zones, its branch of R, its error")


def check_soil(maps, where, transform):
    """A coarser raster of soil carbon, 2 x 2 pixels each."""
    coarse = np.arange(12, dtype=float).reshape(2, 6) * 3 + 40.5
    values = raster("soc.tif", coarse, (0, 2 * SIDE, 0, 4 * SIDE, 0, -2 * SIDE), CEA, gdal.GDT_Float32, -1)
    fine = np.kron(coarse, np.ones((2, 2)))
    second = np.asarray(gdal.Open(str(maps[1])).ReadAsArray())
    base = [maps[1], maps[2], where, "--id", "code", "--years", "2010,2020", "--legend",
            text("l.csv", LEGEND), "--factors", WARM]
    rows = rows_of(*base, "--soil", "HAC", "--soil-carbon", values, "--soil-carbon-sd", "0.1")
    forest = fine[:, 8:][second[:, 8:] == 1].mean()
    # Zone c has no cropland at the first date: its soil stays the table's, 64 × 0.69.
    close(rows["c", "all", 2010]["soil_t_c"], 100 * (64 * 0.69 - forest) / 2, 1e-6, "soil")
    none = rows_of(*base, "--soil-carbon", values, "--soil-carbon-sd", "0.1")["c", "all", 2010]
    assert none["soil_t_c"] == 0 and abs(none["soil_unknown_ha"] - 100) < 1e-6, none
    print("soil carbon of zones")


def check_ages(maps, where, transform):
    base = [*maps, where, "--id", "code", "--years", "2000,2010,2020", "--legend", text("l.csv", LEGEND),
            "--factors"]
    ages = text("ages.csv", "zone_id,young,old,primary\na,0.25,0.75,0\nc,1,0,0\n")
    rows = rows_of(*base, WARM, "--forest-age", ages)
    per = 1.246 * 0.47
    for zone, rate in {"a": 0.25 * 2.5 + 0.75 * 1.0, "b": 1.0, "c": 2.5}.items():
        r = rows[zone, "forest", 2000]
        close(r["removal_t_c_yr"], rate * per * r["area_2_ha"], 1e-9, (zone, "ages"))
    # Known ages: what the young and the old differ by is no error any more.
    r, plain = rows["a", "forest", 2000], rows_of(*base, WARM)["a", "forest", 2000]
    sd = np.hypot.reduce([0.25 * 0.8 * per, 0.75 * 0.9 * per,
                          1.375 * 0.47 * 0.246 * 0.45, 1.375 * 1.246 * 0.05 / 12 ** 0.5]) * r["area_2_ha"]
    close(r["removal_sd_t_c_yr"], sd, 1e-6, "sd of the ages")
    assert plain["removal_sd_t_c_yr"] / plain["removal_t_c_yr"] > r["removal_sd_t_c_yr"] / r["removal_t_c_yr"]
    # The same from a raster: a quarter of zone a is young, all of c; b has no ages.
    age = np.full((4, 12), 255)
    age[:, :4] = 2
    age[1, :4] = age[:, 8:] = 1
    grown = rows_of(*base, WARM, "--forest-age", raster("age.tif", age, transform, CEA))
    for key, r in rows.items():
        close(grown[key]["removal_t_c_yr"], r["removal_t_c_yr"], 1e-12, (key, "raster of ages"))
        close(grown[key]["removal_sd_t_c_yr"], r["removal_sd_t_c_yr"], 1e-9, (key, "raster of ages"))
    age[0, 0] = 4
    message = run(*base, WARM, "--forest-age", raster("age4.tif", age, transform, CEA), code=3)
    assert "age4.tif: age 4 of forest, expected 1" in message, message
    primary = text("primary.csv", "zone_id,young,old,primary\na,0,0.5,0.5\n")
    message = run(*base, WARM, "--forest-age", primary, code=3)
    assert "has primary forest, of which set 'ipcc-subtropical-humid' has no growth" in message, message
    wet = rows_of(*base, "ipcc-tropical-rainforest", "--forest-age", primary)["a", "forest", 2000]
    close(wet["removal_t_c_yr"], (0.5 * 2.7 + 0.5 * 0.7) * 1.212 * 0.47 * wet["area_2_ha"], 1e-9, "primary")
    for content, part in (("a,0.5,0.4,0\n", "sum to 0.9"), ("d,1,0,0\n", "'d' is no zone"),
                          ("a,1,0,0\na,1,0,0\n", "occurs twice"), ("a,-1,2,0\n", "young -1")):
        message = run(*base, WARM, "--forest-age", text("bad.csv", "zone_id,young,old,primary\n" + content),
                      code=3)
        assert part in message and "bad.csv:" in message, message
    print("ages of forest")


def check_real():
    """Above-ground biomass of 2000 on the coast of Gabon, 30 m: zone x class means."""
    biomass = REAL / "00N_000E_t_aboveground_biomass_ha_2000_top_005deg.tif"
    mangrove = REAL / "00N_000E_mangrove_agb_t_ha_2000_top_005deg.tif"
    if not biomass.is_file():
        print("real rasters: skipped, no", biomass)
        return
    data = gdal.Open(str(biomass))
    agb, wet = data.ReadAsArray().astype(float), gdal.Open(str(mangrove)).ReadAsArray()
    first = np.where(wet > 0, 8, np.where(agb > 100, 1, np.where(agb > 0, 3, 255))).astype(np.uint8)
    second = first.copy()
    second[::3][first[::3] == 1] = 7
    transform, crs = data.GetGeoTransform(), data.GetProjection()
    maps = [raster(f"real{k}.tif", v, transform, crs) for k, v in enumerate((first, second))]
    column = np.flatnonzero((first == 1).any(0))
    low, high = column[0], column[-1] + 1
    mid = (low + high) // 2
    step = transform[1]
    box = {"west": (low * step, -20 * step, mid * step, 0), "east": (mid * step, -20 * step, high * step, 0)}
    where = zones("real.gpkg", box, crs)
    legend = text("real.csv", "code,name,class\n1,f,1\n3,g,3\n7,c,7\n8,m,8\n")
    out = WORK / "real_out.csv"
    base = [*maps, where, "--id", "code", "--years", "2000,2010", "--legend", legend, "--factors",
            "ipcc-tropical-rainforest"]
    rows = rows_of(*base, "--biomass", biomass, "--biomass-sd", "0.3", "-o", out)
    for zone, (a, b) in {"west": (low, mid), "east": (mid, high)}.items():
        mean = agb[:, a:b][(first[:, a:b] == 1) & (agb[:, a:b] > 0)].mean()
        cut = rows[zone, "cropland", 2000]["area_2_ha"]
        r = 0.212 if mean > 125 else 0.207
        want = cut * (4.7 - mean * (1 + r) * 0.47)
        close(rows[zone, "all", 2000]["biomass_t_c"], want, 1e-6, zone)
        line = next(x for x in out.read_text().splitlines() if x.startswith(f"# zone {zone}: above") and "forest" in x)
        close(float(line.split(" = ")[1].split()[0]), mean, 1e-6, line)
        print(f"real biomass, {zone}: {mean:.6g} t/ha by numpy; {line[2:]}")


WORK.mkdir(parents=True, exist_ok=True)
for old in WORK.iterdir():
    old.unlink()
made = world()
check_biomass(*made)
check_soil(*made)
check_ages(*made)
check_real()
