"""Worked IPCC numbers (sink.gold) through `skyflux sink`; prints the rows that each comes from.

Arguments: binary, data folder, work folder, source root."""
import csv
import json
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr

BINARY, WORK, SOURCE = sys.argv[1], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
SIDE = 1e7 ** 0.5  # metres: one cell of 1000 ha on an equal-area cylinder
gdal.UseExceptions()


def cases(path):
    out = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            out.append({"name": line.strip("[]"), "given": {}, "want": {}, "round": {}})
        elif not line.startswith("#") and line.strip():
            key, sign, value = re.match(r"([\w ]+?) ([=:]) (.*)", line).groups()
            case = out[-1]
            if key == "source":
                case["source"] = value.split("; ")
            elif key.startswith("round "):
                case["round"][key[6:]] = value
            else:
                case["given" if sign == ":" else "want"][key] = value
    return out


def world():
    """Two cells in a row: one zone each, so that nothing but the case is in it."""
    srs = osr.SpatialReference()
    srs.SetFromUserInput("+proj=cea +lat_ts=0 +lon_0=0 +datum=WGS84 +units=m +no_defs")
    for number in (1, 7, 11):
        data = gdal.GetDriverByName("GTiff").Create(str(WORK / f"{number}.tif"), 2, 2, 1, gdal.GDT_Byte)
        data.SetGeoTransform((0, SIDE, 0, 2 * SIDE, 0, -SIDE))
        data.SetProjection(srs.ExportToWkt())
        data.GetRasterBand(1).SetNoDataValue(255)
        data.GetRasterBand(1).WriteArray(np.full((2, 2), number, np.uint8))
    source = gdal.GetDriverByName("GPKG").Create(str(WORK / "zone.gpkg"), 0, 0, 0, gdal.GDT_Unknown)
    layer = source.CreateLayer("zone", srs, 3)
    from osgeo import ogr
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    feature = ogr.Feature(layer.GetLayerDefn())
    feature["code"] = "z"
    feature.SetGeometry(ogr.CreateGeometryFromWkt(
        f"POLYGON((0 0,{SIDE!r} 0,{SIDE!r} {SIDE!r},0 {SIDE!r},0 0))"))
    layer.CreateFeature(feature)
    (WORK / "legend.csv").write_text("code,name,class\n1,f,1\n7,c,7\n11,o,11\n")


def read(path):
    text = path.read_text(encoding="utf-8").splitlines()
    factors = [line[len("# factor "):] for line in text if line.startswith("# factor ")]
    return factors, list(csv.DictReader(line for line in text if not line.startswith("#")))


def run(case):
    given = dict(case["given"])
    options = shlex.split(given.pop("options", ""))
    first, last = given.pop("from", "11"), given.pop("to", "11")
    end = 2000 + int(given.pop("years")) if "measure" not in given else 2010
    out = WORK / "out.csv"
    command = [BINARY, "sink", WORK / f"{first}.tif", WORK / f"{last}.tif", WORK / "zone.gpkg",
               "--id", "code", "--years", f"2000,{end}", "--legend", WORK / "legend.csv",
               "--factors", "ipcc-subtropical-humid", *options]
    if "measure" in given:
        table = WORK / "measures.csv"
        table.write_text(",".join(["zone_id", *given]) + "\n" + ",".join(["z", *given.values()]) + "\n")
        command += ["--measures", table, "--indicators", out, "--gwp", "AR6"]
    else:
        command += ["-o", out]
    r = subprocess.run([*map(str, command), "--json"], capture_output=True, text=True)
    assert r.returncode == 0, (case["name"], r.stderr)
    factors, rows = read(out)
    if "measure" not in given:
        factors = [f"{f['key']} = {f['value']:.9g} {f['unit']}" for f in json.loads(r.stdout)["factors"]]
        return factors, next(x for x in rows if x["class_name"] == "all")
    return factors, next(x for x in rows if x["class_name"] == "all" and x["indicator"] == "total_sink")


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    world()
    count, wrong = 0, []
    for case in cases(SOURCE / "tests" / "golden" / "sink.gold"):
        factors, row = run(case)
        print(f"{case['name']}")
        for f in factors:
            print("    from", f)
        for table in case["source"]:
            if not any(re.search(re.escape(table) + r"\b", f) for f in factors):
                wrong.append((case["name"], "no row of", table))
        assert case["want"], case["name"]
        for column, formula in case["want"].items():
            want, got = eval(formula, {"__builtins__": {}}), float(row[column])
            print(f"    {column} = {got:.9g}, expected {want:.9g} = {formula}")
            if abs(got - want) > 3e-9 * max(abs(want), 1e-6):
                wrong.append((case["name"], column, got, want))
            count += 1
        for column, text in case["round"].items():
            digits = len(text.split(".")[1])
            if round(float(row[column]), digits) != float(text):
                wrong.append((case["name"], column, row[column], text))
    assert not wrong, wrong
    assert count >= 25, count
    print(count, "numbers agree")


main()
