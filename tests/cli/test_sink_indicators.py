"""Indicators of T/CI 231-2023, Table 1, with measures: every zone, indicator and class, by hand.

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import math
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
CELL, WEST, NORTH, N = 0.002, 112.0, 28.0, 100
GROWTH, YOUNG = 1.246 * 0.47, 2.5 * 1.246 * 0.47  # subtropical humid forest, t C/ha/yr
CO2 = 44 / 12


def raster(name, values):
    path = WORK / name
    data = gdal.GetDriverByName("GTiff").Create(str(path), N, N, 1, gdal.GDT_Byte)
    data.SetGeoTransform((WEST, CELL, 0, NORTH, 0, -CELL))
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(4326)
    data.SetProjection(srs.ExportToWkt())
    data.GetRasterBand(1).SetNoDataValue(0)
    data.GetRasterBand(1).WriteArray(values.astype(np.uint8))
    return str(path)


def zones(boxes):
    features = [{"type": "Feature", "properties": {"code": c, "kind": k}, "geometry": {
        "type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]}}
                for c, (k, x0, y0, x1, y1) in boxes.items()]
    (WORK / "z.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(WORK / "z.geojson")


def table(path):
    lines = [x for x in pathlib.Path(path).read_text().splitlines() if not x.startswith("#")]
    rows = list(csv.reader(lines))
    assert {len(r) for r in rows} == {len(rows[0])}, path  # a comma in a label is quoted
    return [dict(zip(rows[0], r)) for r in rows[1:]]


def call(*args, code=0):
    r = subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stdout if code == 0 else r.stderr


def close(a, b, what, tolerance=1e-9):
    assert abs(float(a) - b) <= tolerance * max(abs(b), 1e-3), (what, a, b)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    rng = np.random.default_rng(2)
    first = rng.choice([1, 2, 3], size=(N, N), p=[.5, .4, .1])
    second = np.where((first == 2) & (rng.random((N, N)) < .2), 1, first)
    third = np.where((second == 1) & (rng.random((N, N)) < .1), 2, second)
    maps = [raster(f"m{i}.tif", m) for i, m in enumerate((first, second, third))]
    legend = WORK / "legend.csv"
    legend.write_text("code,name,class\n1,wood,1\n2,field,7\n3,water,4\n")
    side = N * CELL
    zfile = zones({"city": ("region", WEST, NORTH - side, WEST + side, NORTH),
                   "east": ("county", WEST + side / 2, NORTH - side, WEST + side, NORTH),
                   "away": ("project", 10, 10, 10.1, 10.1)})
    base = ["sink", *maps, zfile, "--id", "code", "--level", "kind", "--years", "2000,2010,2020",
            "--legend", legend, "--factors", "ipcc-subtropical-humid", "--soil", "HAC"]
    out, rows_csv = WORK / "ind.csv", WORK / "rows.csv"
    measures = WORK / "measures.csv"
    measures.write_text(
        "zone_id,measure,area_ha,climate,type,detail,credit,salinity_ppt,rate_t_c_ha_yr,rate_sd\n"
        "east,rice,100,East Asia,irrigated single drainage,aggregated,,,,\n"
        "east,marsh,20,,,,rewetted,10,,\n"
        "east,soil-conservation,300,,,,,,2,0.4\n"
        "away,seagrass,5,,,,rewetted,,,\n")
    ask = [*base, "--gwp", "AR6", "--measures", measures, "--indicators", out, "-o", rows_csv]
    call(*ask)
    got = {(r["zone_id"], r["indicator"], r["class_name"]): r for r in table(out)}
    assert len(got) == 3 * 3 * 12, len(got)
    assert {r["level"] for r in got.values()} == {"region", "county", "project"}
    plain = {(r["zone_id"], r["class_name"], r["year_1"]): r for r in table(rows_csv)}

    # By pixel: growth of wood that stayed and that is new, in both periods.
    e2, a = 0.0066943799901413165, 6378137.0
    e = math.sqrt(e2)
    s = np.sin(np.radians(NORTH - np.arange(N + 1) * CELL))
    q = 0.5 * a * a * (1 - e2) * (s / (1 - e2 * s * s) + np.arctanh(e * s) / e)
    cell = np.repeat(((q[:-1] - q[1:]) * math.radians(CELL) / 1e4)[:, None], N, axis=1)

    def growth(x, y, part):
        return (np.where(y == 1, np.where(x == 1, GROWTH, YOUNG), 0) * cell)[part].sum()

    parts = {"city": np.s_[:, :], "east": np.s_[:, N // 2:]}
    for zone, part in parts.items():
        one, two = growth(first, second, part), growth(second, third, part)
        close(got[zone, "total_sink", "forest"]["t_c"], two, zone)
        close(got[zone, "sink_change", "forest"]["t_c"], two - one, zone)
        change = (cell * ((third == 1) * 1.0 - (second == 1)))[part].sum()
        close(got[zone, "resource_change", "forest"]["area_ha"], change, zone, 1e-8)
        # The change is that of the rows of -o, its error less than that of two independent ones.
        r = [float(plain[zone, "forest", y]["removal_t_c_yr"]) for y in ("2000", "2010")]
        sd = [float(plain[zone, "forest", y]["removal_sd_t_c_yr"]) for y in ("2000", "2010")]
        close(got[zone, "sink_change", "forest"]["t_c"], r[1] - r[0], zone, 1e-7)
        assert 0 < float(got[zone, "sink_change", "forest"]["t_c_sd"]) < 0.5 * math.hypot(*sd)
        assert float(got[zone, "resource_change", "forest"]["t_c"]) < 0
        assert got[zone, "total_sink", "forest"]["label"] == "gross growth"
        for kind in ("sink_change", "resource_change"):
            label = "map difference, not area estimate; map error not in the sd"
            assert got[zone, kind, "forest"]["label"] == label, got[zone, kind, "forest"]
            assert got[zone, kind, "forest"]["status"] == ""

    # Measures, in their own class and in the total; CO2e with CH4 that is not fossil (27.0).
    rice = 100 * 1.32 * 0.71 * 1.22 * 112 / 1e3
    row = got["east", "total_sink", "cropland"]
    close(row["t_ch4"], rice, "rice")
    close(row["t_co2e"], -27 * rice, "rice")
    close(row["t_c"], 0, "rice")
    assert row["label"] == "measures" and got["city", "total_sink", "cropland"]["label"] == "no gain at tier 1"
    marsh = got["east", "total_sink", "coastal salt marsh"]
    close(marsh["t_co2"], 20 * 0.91 * CO2, "marsh")
    close(marsh["t_co2e"], 20 * (0.91 * CO2 - 27 * 0.1937), "marsh")
    assert float(marsh["t_co2e"]) < 0 < float(marsh["t_co2"])  # the salinity switch turns the sign
    assert marsh["status"] == "measures alone: the maps have no data"
    # A project's rate counts above what the cover of its zone counts: nothing twice.
    wood = growth(second, third, parts["east"])
    counted = wood / cell[parts["east"]].sum()
    extra = 300 * (2 - counted)
    close(got["east", "total_sink", "soil and water conservation"]["t_c"], extra, "project", 1e-8)
    close(got["east", "total_sink", "soil and water conservation"]["t_c_sd"], 300 * 0.4, "project")
    close(got["east", "total_sink", "all"]["t_c"], wood + extra + 20 * 0.91, "all", 1e-8)
    sums = [float(got["east", "total_sink", c]["t_co2e"] or 0) for c in
            ("forest", "wetland", "cropland", "coastal salt marsh", "soil and water conservation")]
    close(got["east", "total_sink", "all"]["t_co2e"], sum(sums), "all", 1e-8)
    close(got["away", "total_sink", "seagrass"]["t_c"], 5 * 0.43, "seagrass")

    # What there is no data for says so, and nothing else is empty.
    for key, r in got.items():
        assert (r["t_c"] == "") == r["status"].startswith("no data"), (key, r)
        assert (r["t_co2e"] == "") == (r["t_co2e_sd"] == "") == (r["t_c"] == ""), (key, r)
        if key[1] != "total_sink":
            assert r["t_co2e"] == r["t_co2"] and r["t_co2e_sd"] == r["t_co2_sd"], (key, r)
    assert "legend" in got["city", "total_sink", "seagrass"]["status"]
    assert "no class" in got["away", "total_sink", "forest"]["status"]
    text = out.read_text()
    assert "# GWP set AR6: CH4 (not fossil) 27, N2O 273" in text and "Table 5.11" in text
    rows = [x for x in text.splitlines() if x.startswith("# factor")]
    assert all((" +- 0 " in x) == x.endswith(", no error published") for x in rows), rows
    call("sink", maps[0], maps[1], zfile, "--id", "code", "--years", "2000,2010", "--legend", legend,
         "--factors", "ipcc-subtropical-humid", "--gwp", "AR5", "--indicators", out)
    two = {(r["zone_id"], r["indicator"], r["class_name"]): r for r in table(out)}
    assert "three dates" in two["city", "sink_change", "forest"]["status"]

    def fails(code, words, *args):
        message = call(*args, code=code)
        for w in words:
            assert w in message, (w, message)

    fails(2, ["--gwp", "AR5"], *base, "--indicators", out)
    fails(2, ["'AR7'"], *base, "--indicators", out, "--gwp", "AR7")
    fails(2, ["--indicators"], *base, "--measures", measures)
    head = "zone_id,measure,area_ha,credit,type,salinity_ppt,rate_t_c_ha_yr,rate_sd\n"
    wrong = {"north,pond,1,,saline pond,,,\n": ["measures.csv:2", "'north'"],
             "east,pond,1e7,,saline pond,,,\n": ["area_ha 1", "zone 'east'"],
             "east,lake,1,,,,,\n": ["'lake'", "not known"],
             "east,marsh,1,,,5,,\n": ["credit ''"],
             "east,sandy-land,1,,,,1,\n": ["rate_sd"],
             "east,marsh,1,rewetted,,20,,\neast,mangrove,1,standing,mangrove China burial,,,\n":
                 ["two rules", "line 3"],
             "east,mangrove,1,standing,mangrove China burial,,,\n":
                 ["nobody verified", "blue_carbon:C burial rate|mangrove China burial"]}
    for text, words in wrong.items():
        measures.write_text(head + text)
        pathlib.Path(rows_csv).unlink(missing_ok=True)
        fails(3, words, *ask)
        assert not pathlib.Path(rows_csv).exists(), words  # a refused run leaves no table
    call(*ask, "--allow-unverified", "blue_carbon:C burial rate|mangrove China burial:Fu et al. 2021 GCB "
         "(China blue carbon)")
    row = [r for r in table(WORK / "ind.csv") if r["zone_id"] == "east" and r["class_name"] == "mangrove"]
    close(row[0]["t_c"], 1.94, "standing")
    assert "standing area" in (WORK / "ind.csv").read_text()
    return 0


sys.exit(main())
