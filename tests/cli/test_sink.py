"""The command `sink`: areas in degrees and metres, labels, and every error a user makes first.

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, ogr, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
ogr.UseExceptions()
CEA = "+proj=cea +lat_ts=0 +lon_0=0 +datum=WGS84 +units=m +no_defs"
WARM = "ipcc-subtropical-humid"


def raster(name, values, transform, crs, nodata=255, kind=gdal.GDT_Byte):
    values = np.asarray(values)
    path = WORK / name
    data = gdal.GetDriverByName("GTiff").Create(str(path), values.shape[1], values.shape[0], 1, kind)
    data.SetGeoTransform(transform)
    if crs:
        srs = osr.SpatialReference()
        srs.SetFromUserInput(crs)
        data.SetProjection(srs.ExportToWkt())
    if nodata is not None:
        data.GetRasterBand(1).SetNoDataValue(nodata)
    data.GetRasterBand(1).WriteArray(values)
    return path


def zones(name, boxes):
    features = [{"type": "Feature", "properties": {"code": code, "title": code.upper()},
                 "geometry": {"type": "Polygon", "coordinates": [
                     [[w, s], [e, s], [e, n], [w, n], [w, s]]]}} for code, (w, s, e, n) in boxes.items()]
    path = WORK / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def run(*args, code=0):
    r = subprocess.run([BINARY, "sink", *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


def rows_of(*args):
    out = json.loads(run(*args, "--json"))
    return {(r["zone_id"], r["class_name"]): r for r in out["rows"]}


def fails(code, parts, *args):
    message = run(*args, code=code)
    for part in parts:
        assert part in message, (part, message)


def ellipsoid_z(lat):
    e2 = 0.0066943799901413165
    e, s = np.sqrt(e2), np.sin(np.radians(lat))
    b2 = 6378137.0 ** 2 * (1 - e2)
    return 0.5 * b2 * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)


def check_areas():
    """One row of cells: the same rectangles in degrees and on an equal-area cylinder."""
    a = 6378137.0
    rng = np.random.default_rng(3)
    first = rng.choice([1, 2, 7, 8, 255], size=(1, 400), p=[.4, .1, .3, .15, .05])
    second = np.where(rng.random((1, 400)) < .8, first, rng.choice([1, 7, 8], size=(1, 400)))
    lat, dlon = (30.0, 30.002), 0.002
    metres = np.radians(dlon) * a
    y = [ellipsoid_z(v) / a for v in lat]
    place = {"degrees": ((110, dlon, 0, lat[1], 0, lat[0] - lat[1]), "EPSG:4326"),
             "metres": ((np.radians(110) * a, metres, 0, y[1], 0, y[0] - y[1]), CEA)}
    box = zones("all.geojson", {"county": (110.0003, 30, 110.7001, 30.002)})
    got = {}
    for kind, (transform, crs) in place.items():
        maps = [raster(f"{kind}{i}.tif", v, transform, crs) for i, v in enumerate((first, second))]
        legend = WORK / "legend.csv"
        legend.write_text("code,name,class\n1,a,7\n2,b,1\n7,c,11\n8,d,6\n")
        got[kind] = rows_of(*maps, box, "--id", "code", "--years", "2000,2010", "--legend", legend,
                            "--factors", WARM, "--accuracy", "0.9")
    for key, row in got["degrees"].items():
        other = got["metres"][key]
        for name in ("area_1_ha", "area_2_ha", "stock_change_t_c", "stock_sd_t_c", "nodata_ha",
                     "removal_t_c_yr"):
            assert abs(row[name] - other[name]) <= 1e-8 * max(1, abs(row[name])), (key, name)
    whole = got["degrees"]["county", "all"]
    exact = (ellipsoid_z(lat[1]) - ellipsoid_z(lat[0])) * np.radians(110.7001 - 110.0003) / 1e4
    assert abs(whole["area_1_ha"] + whole["nodata_ha"] - exact) <= 1e-9 * exact
    assert whole["nodata_ha"] > 0 and whole["stock_change_t_c"] != 0


def check_labels():
    box = (110, 0.1, 0, 31, 0, -0.1)
    one = raster("l1.tif", [[1, 1, 3], [7, 4, 4]], box, "EPSG:4326")
    two = raster("l2.tif", [[1, 7, 3], [7, 4, 4]], box, "EPSG:4326")
    legend = WORK / "l.csv"
    legend.write_text("code,name,class\n1,f,1\n3,g,3\n4,w,4\n7,c,7\n")
    zone = zones("l.geojson", {"in": (110, 30.8, 110.3, 31), "out": (20, 30.8, 20.3, 31)})
    args = [one, two, zone, "--id", "code", "--name", "title", "--years", "2000,2010", "--legend",
            legend, "--factors", WARM]
    rows = rows_of(*args)
    # Grassland stays grassland, so its unverified biomass is not asked for.
    assert rows["in", "grassland"]["stock_label"] == "no change of class"
    assert rows["in", "forest"]["uptake_label"] == "gross growth"
    assert rows["in", "forest"]["zone_name"] == "IN"
    assert "map difference" in rows["in", "cropland"]["stock_label"]
    assert "interval from no change to the mapped one" in rows["in", "cropland"]["stock_label"]
    assert rows["in", "all"]["stock_change_t_c"] < 0 < rows["in", "all"]["stock_flux_t_co2"]
    assert rows["in", "all"]["uptake_flux_t_co2_yr"] < 0 < rows["in", "all"]["removal_t_c_yr"]
    out = rows["out", "all"]
    assert out["reason"] == "outside the maps"
    # Nothing is known there, which is not zero.
    for column in ("stock_change_t_c", "stock_sd_t_c", "stock_high_t_c", "removal_t_c_yr", "uptake_flux_t_co2_yr"):
        assert out[column] in ("", None), (column, out[column])
    assert out["stock_label"] == out["uptake_label"] == "no data" and out["zone_area_ha"] > 0
    assert ("out", "forest") not in rows
    text = run(*args)
    assert "gross growth" in text and "map difference, not area estimate" in text
    assert "soil carbon: not computed" in text and "Table 4.9" in text
    wider = rows_of(*args, "--accuracy", "0.8")["in", "all"]
    assert wider["stock_sd_t_c"] > 1.2 * rows["in", "all"]["stock_sd_t_c"]
    plots = WORK / "plots.csv"
    plots.write_text("class,biomass_t_c_ha,gain_t_c_ha_yr\n1,40,1\n1,60,2\n1,80,1.5\n")
    measured = rows_of(*args, "--plots", plots)["in", "forest"]
    assert abs(measured["removal_t_c_yr"] - 1.5 * measured["area_2_ha"]) < 1e-9 * measured["area_2_ha"]
    fails(2, ["--plots"], *args[:-2], "--pools", plots, "--plots", plots)
    base_removal = rows["in", "forest"]["removal_t_c_yr"]
    # Published net coefficients: no stocks, a flux, and each row allowed on its own.
    china = [a if a != WARM else "china-county" for a in args]
    message = run(*china, code=3)
    keys = [k for k in message.split("'") if k.startswith("china_densities:")]
    assert len(keys) == 4, message
    allow = [x for k in keys for x in ("--allow-unverified", k)]
    fails(3, [keys[3]], *china, *allow[:6])
    rows = rows_of(*china, *allow)
    assert rows["in", "all"]["stock_change_t_c"] is None
    cell = rows["in", "forest"]
    assert abs(cell["removal_t_c_yr"] - 0.644 * cell["area_2_ha"]) < 1e-9 * cell["area_2_ha"]
    crop = rows["in", "cropland"]
    assert abs(crop["removal_t_c_yr"] + 0.422 * crop["area_2_ha"]) < 1e-9 * crop["area_2_ha"]
    assert crop["uptake_label"] == "net coefficient of the literature"
    # Both sets beside each other; what they differ by is no error of either.
    path = WORK / "spread.csv"
    run(*args, *allow, "--compare", f"{WARM},china-county", "--spread", path)
    table = list(csv.DictReader(x for x in path.open() if not x.startswith("#")))
    got = {(r["zone_id"], r["class_name"], r["set"]): r for r in table}
    removal = {s: float(got["in", "forest", s]["removal_t_c_yr"]) for s in (WARM, "china-county")}
    assert abs(removal[WARM] - base_removal) < 1e-9 * base_removal
    assert abs(removal["china-county"] - cell["removal_t_c_yr"]) < 1e-9 * base_removal
    both = got["in", "forest", "spread"]
    assert float(both["low_t_c_yr"]) == min(removal.values())
    assert float(both["high_t_c_yr"]) == max(removal.values())
    wide = (max(removal.values()) - min(removal.values())) / 12 ** 0.5
    assert abs(float(both["sd_t_c_yr"]) - wide) < 1e-9 * wide
    fails(2, ["--compare", "two sets"], *args, "--compare", WARM, "--spread", path)
    fails(2, ["go together"], *args, "--compare", f"{WARM},china-county")
    fails(2, ["tillage", "'ridge'"], *args, "--soil", "HAC", "--tillage", "ridge")
    fails(2, ["give --soil"], *args, "--tillage", "no-till")


def beside(path, *args):
    run(*args, "--spread", path)
    return {(r["class_name"], r["set"]): r
            for r in csv.DictReader(x for x in path.open() if not x.startswith("#"))}


def check_stock_sets():
    """Cells of 1 ha. Published densities of whole ecosystems, Tang et al. 2018 (t C/ha): forest 163.8,
    shrubland 89.9, grassland 90.3, cropland 95.4."""
    tang = "china-tang2018"
    place = (np.radians(110) * 6378137.0, 100, 0, 3.2e6, 0, -100)
    blocks = {"cut": ([1, 1], [7, 1]), "grass": ([3, 7], [2, 3]), "wet": ([1, 1, 4], [7, 4, 4]),
              "still": ([1, 4], [1, 4])}
    maps = {k: [raster(f"{k}{i}.tif", np.repeat(np.array(v), 100).reshape(-1, 10), place, CEA)
                for i, v in enumerate(pair)] for k, pair in blocks.items()}
    legend = WORK / "s.csv"
    legend.write_text("code,name,class\n1,f,1\n2,s,2\n3,g,3\n4,w,4\n7,c,7\n")
    zone = zones("s.geojson", {"z": (109.9, 29.9, 110.1, 30.4)})
    rest = [zone, "--id", "code", "--years", "2000,2010", "--legend", legend, "--factors"]
    keys = set()
    for kind in ("cut", "grass"):
        message = run(*maps[kind], *rest, tang, code=3)
        keys |= {k for k in message.split("'") if k.startswith("china_densities:")}
    assert len(keys) == 4, keys
    allow = [x for k in sorted(keys) for x in ("--allow-unverified", k)]
    fails(3, ["china_densities:ecosystem C density"], *maps["cut"], *rest, tang, *allow[:2])

    def near(got, want):
        assert abs(float(got) - want) <= 1e-7 * max(1, abs(want)), (got, want)

    rows = rows_of(*maps["cut"], *rest, tang, *allow)
    near(rows["z", "all"]["area_1_ha"], 200)
    near(rows["z", "all"]["stock_change_t_c"], (95.4 - 163.8) * 100)
    near(rows["z", "forest"]["stock_change_t_c"], -163.8 * 100)
    near(rows["z", "cropland"]["stock_change_t_c"], 95.4 * 100)
    for name in ("removal_t_c_yr", "removal_sd_t_c_yr", "uptake_flux_t_co2_yr", "biomass_t_c", "soil_t_c",
                 "soil_unknown_ha"):  # neither uptake nor parts, which is not zero
        assert all(r[name] is None for r in rows.values()), name
    assert rows["z", "forest"]["uptake_label"] == "no data: the set has no annual uptake"
    rows = rows_of(*maps["grass"], *rest, tang, *allow)
    near(rows["z", "all"]["stock_change_t_c"], (89.9 - 90.3) * 100 + (90.3 - 95.4) * 100)
    # Wetland is not in the set: forest that became wetland has lost its own, the rest is not known.
    rows = rows_of(*maps["wet"], *rest, tang, *allow)
    near(rows["z", "forest"]["stock_change_t_c"], -163.8 * 200)
    near(rows["z", "cropland"]["stock_change_t_c"], 95.4 * 100)
    for name in ("wetland", "all"):
        assert rows["z", name]["stock_change_t_c"] is rows["z", name]["stock_sd_t_c"] is None, name
        assert "not in the published set" in rows["z", name]["stock_label"]
    assert rows_of(*maps["still"], *rest, tang)["z", "all"]["stock_change_t_c"] == 0

    # Beside each other: stocks of two sets, fluxes of two, and only those that hold them.
    net = run(*maps["cut"], *rest, "china-county", code=3)
    both = [*allow, *(x for k in net.split("'") if k.startswith("china_densities:")
                      for x in ("--allow-unverified", k))]
    base = [*maps["cut"], *rest, WARM, *both, "--compare", f"{WARM},{tang},china-county"]
    plain, soil = beside(WORK / "sp.csv", *base), beside(WORK / "sps.csv", *base, "--soil", "HAC")
    # SOC_REF 64 t C/ha (warm temperate moist, HAC), F_LU 0.69, 10 of 20 years.
    own = rows_of(*maps["cut"], *rest, WARM, "--soil", "HAC")["z", "all"]
    for table in (plain, soil):
        ipcc, county, spread = (table["all", s] for s in (WARM, "china-county", "spread"))
        near(table["all", tang]["stock_change_t_c"], -6840)
        assert county["stock_change_t_c"] == county["stock_sd_t_c"] == "", county
        assert table["all", tang]["removal_t_c_yr"] == table["all", tang]["sd_t_c_yr"] == ""
        near(county["removal_t_c_yr"], 0.644 * 100 - 0.422 * 100)
        change = float(ipcc["stock_change_t_c"])
        near(spread["stock_low_t_c"], min(change, -6840))
        near(spread["stock_high_t_c"], max(change, -6840))
        near(spread["stock_sd_t_c"], abs(change + 6840) / 12 ** 0.5)
        near(spread["sd_t_c_yr"], abs(float(ipcc["removal_t_c_yr"]) - 22.2) / 12 ** 0.5)
    near(soil["all", WARM]["stock_change_t_c"], own["stock_change_t_c"])
    near(soil["all", WARM]["stock_sd_t_c"], own["stock_sd_t_c"])
    near(float(soil["all", WARM]["stock_change_t_c"]) - float(plain["all", WARM]["stock_change_t_c"]),
         64 * (0.69 - 1) * 10 / 20 * 100)
    # One set alone has no range.
    alone = beside(WORK / "one.csv", *maps["cut"], *rest, WARM, *both, "--compare", f"{tang},china-county")
    assert all(alone["all", "spread"][k] == "" for k in ("stock_sd_t_c", "stock_low_t_c", "sd_t_c_yr", "low_t_c_yr"))
    (WORK / "tp.csv").write_text("class,biomass_t_c_ha\n1,40\n1,60\n")
    for more in (("--plots", WORK / "tp.csv"), ("--yearly", WORK / "y.csv"), ("--rasters", WORK / "r"),
                 ("--gwp", "AR6", "--indicators", WORK / "i.csv")):
        fails(2, [tang, "no annual uptake"], *maps["cut"], *rest, tang, *allow, *more)


def check_errors():
    box = (110, 0.1, 0, 31, 0, -0.1)
    values = [[10, 50], [50, 190]]
    one = raster("e1.tif", values, box, "EPSG:4326")
    two = raster("e2.tif", values, box, "EPSG:4326")
    zone = zones("e.geojson", {"z": (110, 30.8, 110.2, 31)})
    base = ["--id", "code", "--legend", "esa-cci", "--factors", WARM]
    good = [*base, "--years", "2000,2010"]
    run(one, two, zone, *good)
    fails(2, ["--years", "2010,2000"], one, two, zone, *base, "--years", "2010,2000")
    fails(2, ["--years", "is needed"], one, two, zone, *base)
    fails(2, ["got 2 files"], one, two, *good)
    fails(2, ["--gwp", "--indicators"], one, two, zone, *good, "--gwp", "AR6")
    fails(2, ["--allow-unverified", "'ipcc_defaults:nothing'"], one, two, zone, *good,
          "--allow-unverified", "ipcc_defaults:nothing")
    fails(2, ["--allow-unverified", "'legend:esa-cci:9999'"], one, two, zone, *good,
          "--allow-unverified", "legend:esa-cci:9999")
    fails(2, ["--accuracy", "1.2"], one, two, zone, *good, "--accuracy", "1.2")
    fails(2, ["either --factors"], one, two, zone, *good, "--pools", "p.csv")
    fails(2, ["'ipcc-nowhere'", "list sink-sets"], one, two, zone, *good[:-3], "ipcc-nowhere",
          *good[-2:])
    fails(2, ["did you mean 'esa-cci'"], one, two, zone, "--id", "code", "--legend", "esa-cc",
          "--factors", WARM, "--years", "2000,2010")
    other = raster("other.tif", [[10, 50, 50]], box, "EPSG:4326")
    fails(3, ["e1.tif and ", "other.tif are on different grids", "2 x 2 and 3 x 1"], one, other, zone,
          *good)
    moved = raster("moved.tif", values, (110.001, 0.1, 0, 31, 0, -0.1), "EPSG:4326")
    fails(3, ["e1.tif and ", "moved.tif are on different grids"], one, moved, zone, *good)
    bare = raster("bare.tif", values, box, None)
    fails(3, ["bare.tif", "no crs"], one, bare, zone, *good)
    code = raster("code.tif", [[10, 63], [50, 190]], box, "EPSG:4326")
    fails(3, ["code.tif", "class 63", "legend esa-cci"], one, code, zone, *good)
    real = raster("real.tif", [[10, 50.5], [50, 190]], box, "EPSG:4326", kind=gdal.GDT_Float32)
    fails(3, ["real.tif", "50.5 is not a class"], one, real, zone, *good)
    fails(3, ["nowhere.tif"], one, WORK / "nowhere.tif", zone, *good)
    fails(3, ["e.geojson", "'fid9'"], one, two, zone, *good, "--id", "fid9")
    gb = raster("gb.tif", [[301, 301], [101, 702]], box, "EPSG:4326", nodata=0, kind=gdal.GDT_Int16)
    national = ["--id", "code", "--legend", "gbt21010", "--factors", WARM, "--years", "2000,2010"]
    fails(3, ["'legend:gbt21010:301'", "'legend:gbt21010:500'"], gb, gb, zone, *national)
    allow = [x for c in (301, 101, 500) for x in ("--allow-unverified", f"legend:gbt21010:{c}")]
    run(gb, gb, zone, *national, *allow)
    target = WORK / "kept.csv"
    fails(3, ["class 63"], one, code, zone, *good, "-o", target)
    assert not target.exists()
    nan = raster("nan.tif", [[10, np.nan], [50, 190]], box, "EPSG:4326", nodata=None,
                 kind=gdal.GDT_Float32)
    whole = rows_of(nan, two, zone, *good)["z", "all"]
    assert whole["nodata_ha"] > 0  # NaN is nodata, always
    r = subprocess.run([BINARY, "sink", str(nan), str(two), str(zone), *good], capture_output=True,
                       text=True)
    assert "no nodata value" in r.stderr and "whole number" in r.stderr, r.stderr
    listed = subprocess.run([BINARY, "list", "legends", "--json"], capture_output=True, text=True)
    assert {"legend": "clcd", "codes": "9", "product": "CLCD (Yang & Huang)"} in json.loads(
        listed.stdout)
    listed = subprocess.run([BINARY, "list", "sink-sets"], capture_output=True, text=True)
    assert WARM in listed.stdout


WORK.mkdir(parents=True, exist_ok=True)
for old in WORK.iterdir():
    old.unlink()
check_areas()
check_labels()
check_stock_sets()
check_errors()
