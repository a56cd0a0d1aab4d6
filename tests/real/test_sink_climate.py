"""Two real land-cover maps in metres with the real map of IPCC climates in degrees, against numpy.

The map of climates is read at the centres of the cells of the land cover. Arguments: binary, data
folder, work folder, source root."""
import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
from osgeo import gdal, osr

from test_sink_real import BINARY, DATA, MAPS, WORK, close, crosswalk, zones

gdal.UseExceptions()


def check_climate(box, first, second, to_class, pixel):
    """Soil by the real map of climates, in degrees, on maps in metres: the class at the cell's centre."""
    path = DATA.parent / "biomass" / "ipcc_climate_zones.tif"
    data = gdal.Open(str(path))
    zones_of, t = data.ReadAsArray(), data.GetGeoTransform()
    grid = gdal.Open(str(MAPS[0]))
    g, (x0, y0, x1, y1) = grid.GetGeoTransform(), box
    lonlat = osr.SpatialReference()
    lonlat.ImportFromEPSG(4326)
    lonlat.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    move = osr.CoordinateTransformation(grid.GetSpatialRef(), lonlat)
    xs, ys = g[0] + (np.arange(x0, x1) + .5) * g[1], g[3] + (np.arange(y0, y1) + .5) * g[5]
    lon = np.array([move.TransformPoint(x, ys[0])[0] for x in xs])  # a cylinder: lines are parallels
    lat = np.array([move.TransformPoint(xs[0], y)[1] for y in ys])
    climate = zones_of[np.floor((lat - t[3]) / t[5]).astype(int)[:, None],
                       np.floor((lon - t[0]) / t[1]).astype(int)[None, :]]
    found = sorted(set(climate.flat))
    sets = {1: "subtropical-humid", 9: "tropical-moist", 10: "tropical-rainforest", 11: "tropical-moist",
            12: "tropical-dry", 3: "temperate-continental"}
    assert set(found) <= set(sets) and len(found) > 1, found
    (WORK / "sets.csv").write_text("code,set\n" + "".join(f"{c},ipcc-{sets[c]}\n" for c in found))
    keys = [f"ipcc_defaults:grassland total biomass|{z}:IPCC 2006 V4 Ch.6 Table 6.4" for z in
            ("tropical moist & wet", "tropical dry", "warm temperate wet", "cold temperate wet")]
    one = WORK / "one.gpkg"
    one.unlink(missing_ok=True)
    zones(one, g, grid.GetSpatialRef(), {"a": box})
    r = subprocess.run([BINARY, "sink", *map(str, MAPS), str(one), "--id", "code", "--years", "2001,2015",
                        "--legend", "esa-cci", "--climate", str(path), "--climate-sets",
                        str(WORK / "sets.csv"), "--soil", "LAC", "--progress", "none", "--json",
                        "--areas", str(WORK / "areas.csv")]
                       + [x for k in keys for x in ("--allow-unverified", k)],
                       capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    row = next(x for x in json.loads(r.stdout)["rows"] if x["class"] is None)
    lines = [x for x in (WORK / "areas.csv").read_text().splitlines() if not x.startswith("#")]
    got = {}
    for x in csv.DictReader(lines):
        key = (int(x["class_2001"]), int(x["class_2015"]), int(x["climate"]))
        got[key] = float(x["area_ha"])
    lookup = np.zeros(256, int)
    for c, n in to_class.items():
        lookup[c] = n
    a, b = lookup[first[y0:y1, x0:x1]], lookup[second[y0:y1, x0:x1]]
    kinds, count = np.unique(np.stack([a, b, climate], -1).reshape(-1, 3), axis=0, return_counts=True)
    want = {tuple(map(int, k)): c * pixel for k, c in zip(kinds, count)}
    # Centres of cells that lie on an edge of a climate cell to the last bit may go either way.
    assert set(got) == set(want), set(got) ^ set(want)
    for k, v in want.items():
        close(got[k], v, 1e-8, k)
    table = list(csv.DictReader(open(pathlib.Path(sys.argv[4]) / "ancillary" / "ipcc_defaults.csv",
                                     encoding="utf-8")))
    ref = {z: next(float(x["value"]) for x in table if x["parameter"] == "SOC_REF" and
                   x["zone"].startswith(z) and x["stratum"] == "LAC") for z in ("T2", "T3", "T4", "W1", "C1")}
    zone = {1: ("W1", .69), 9: ("T3", .83), 10: ("T2", .83), 11: ("T3", .83), 12: ("T4", .92), 3: ("C1", .70)}
    total = 0
    for (i, j, c), v in want.items():
        stock = {1: ref[zone[c][0]], 2: ref[zone[c][0]], 3: ref[zone[c][0]],
                 7: ref[zone[c][0]] * zone[c][1]}
        if i in stock and j in stock:
            total += (stock[j] - stock[i]) * v * 14 / 20
    close(row["soil_t_c"], total, 1e-7, "soil by climate")


def main():
    if not all(p.is_file() for p in (*MAPS, DATA.parent / "biomass" / "ipcc_climate_zones.tif")):
        print("skipped: no", MAPS[0])
        return 77
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    first, second = (gdal.Open(str(p)).ReadAsArray().astype(int) for p in MAPS)
    check_climate((2000, 1000, 2400, 1300), first, second, crosswalk(), 300.0 * 300.0 / 1e4)
    return 0


sys.exit(main())
