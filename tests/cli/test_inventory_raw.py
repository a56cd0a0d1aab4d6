"""Fluxes, workbooks and zones against numpy, openpyxl and GDAL on the raw files.

Arguments: binary, data folder, work folder, source root, show_inventory."""
import json
import pathlib
import subprocess
import sys

import numpy as np
import openpyxl
from netCDF4 import Dataset
from osgeo import ogr, osr

DATA, SHOW = pathlib.Path(sys.argv[2]) / "data", sys.argv[5]
INVENTORIES = DATA / "inventories"
YEAR = 365.2425 * 86400
AVOGADRO = 6.02214076e23


def show(*args, code=0):
    r = subprocess.run([SHOW, *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return json.loads(r.stdout) if code == 0 else r.stderr


def cell_areas(lat, lon):
    """Areas by integrating M·N·cos(latitude) numerically (Gauss-Legendre): no closed form."""
    a, e2 = 6378137.0, 0.0066943799901413165
    dy = (lat[-1] - lat[0]) / (len(lat) - 1)
    lat = lat[0] + dy * np.arange(len(lat))  # the axis without its float32 noise
    dx = np.radians((lon[-1] - lon[0]) / (len(lon) - 1))
    node, weight = np.polynomial.legendre.leggauss(12)
    phi = np.radians(lat[:, None] + 0.5 * dy * node[None, :])
    w = 1 - e2 * np.sin(phi) ** 2
    return (weight * a * a * (1 - e2) * np.cos(phi) / w ** 2).sum(axis=1) * np.radians(dy) / 2 * dx


def check_gepa():
    path = INVENTORIES / "GEPA_Annual.nc"
    with Dataset(path) as d:
        lat, lon = np.asarray(d["lat"][:], float), np.asarray(d["lon"][:], float)
        area = cell_areas(lat, lon)[:, None]
        mine = {n: float((np.asarray(v[:], float) * area).sum()) * 1e4 / AVOGADRO * YEAR
                for n, v in d.variables.items() if n.startswith("emissions_")}
    got = show("flux", path, "ch4", "emissions_*")
    assert sorted(got["sectors"]) == sorted(mine) and len(mine) == 22
    per_mol = got["total"] / sum(mine.values())  # the molar mass, by quotient
    assert 0.01604 < per_mol < 0.01605, per_mol
    for name, value in mine.items():
        assert abs(got["sectors"][name] - value * per_mol) <= 1e-10 * abs(got["total"]), name
    assert 25e9 < got["total"] < 31e9, got["total"]  # kg: the 2012 national total is about 28 Tg
    with Dataset(path) as d:  # control: areas of the wrong rows
        wrong = float((np.asarray(d["emissions_1B2a_Petroleum"][:], float) * area[::-1]).sum())
    wrong *= 1e4 / AVOGADRO * YEAR * per_mol
    assert abs(wrong / got["sectors"]["emissions_1B2a_Petroleum"] - 1) > 1e-3


def check_hemco():
    path = DATA / "imi_permian_testcase" / "prior.nc"
    with Dataset(path) as d:
        own = float((np.asarray(d["EmisCH4_Total_ExclSoilAbs"][:], float) * d["AREA"][:]).sum()) * YEAR
    got = show("flux", path, "ch4", "EmisCH4_Total_ExclSoilAbs", "kg m-2 s-1")
    assert abs(got["total"] / own - 1) < 5e-3, (got["total"], own)  # its areas are of a sphere
    assert abs(got["total"] / (own / 2) - 1) > 0.5


def number(v):
    return 0.0 if v is None or v == "" else float(v)


def check_provinces():
    for year in (2018, 2019):
        path = INVENTORIES / f"Emission_Inventories_for_30_Provinces_{year}.xlsx"
        got = show("workbook", path, year)
        assert got["format"] == "ceads-sector-fuel" and got["unit"] == "Mt CO2"
        items = {r[0]: r for r in got["items"]}
        book = openpyxl.load_workbook(path, data_only=True)
        sheets = [s for s in book.sheetnames if s.endswith(str(year))]
        assert len(items) == len(sheets) == 30
        assert [r[0] for r in got["items"]] == sorted(items)
        for name in sheets:
            rows = list(book[name].iter_rows(values_only=True))
            head = list(rows[0])
            s1 = [i for i, h in enumerate(head[1:-1], 1) if not h.startswith("Scope_2")]
            s2 = [i for i, h in enumerate(head[1:-1], 1) if h.startswith("Scope_2")]
            sectors = [r for r in rows[2:] if r[0] and not r[0].startswith("Total")]
            total = next(r for r in rows if r[0] == "TotalEmissions")
            r = items[name[:-4]]
            want = [sum(number(row[i]) for row in sectors for i in cols) * 1e9 for cols in (s1, s2)]
            assert r[1] == year
            assert abs(r[2] - want[0]) <= 1e-12 * want[0], (name, r[2], want[0])
            assert abs(r[3] - want[1]) <= 1e-12 * want[0]
            assert abs(r[4] - number(total[-1]) * 1e9) <= 1e-12 * r[4]
            assert abs(r[2] - r[4]) <= 1e-6 * r[4]
            assert r[5] == len(sectors) and r[6] == len(s1) - 1
        if year == 2019:
            assert abs(sum(r[2] for r in got["items"]) / 1e9 - 10864.409722) < 1e-5
    assert "nothing for the year 1999" in show("workbook", path, 1999, code=1)


def check_cities():
    path = INVENTORIES / "The_Emission_Inventories_for_290_Chinese_Cities_from_1997_to_2019.xlsx"
    got = show("workbook", path, 2019)
    assert got["format"] == "ceads-city-vector" and got["unit"] == "million tones"
    book = openpyxl.load_workbook(path, data_only=True, read_only=True)
    rows = list(book["emission vector"].iter_rows(values_only=True, min_row=2))
    want = {r[1]: float(r[3]) * 1e9 for r in rows if r[1] and int(r[2]) == 2019 and r[3] is not None}
    assert {r[0]: r[2] for r in got["items"]}.keys() == want.keys()
    for r in got["items"]:
        assert abs(r[2] - want[r[0]]) <= 1e-12 * want[r[0]], r
    names = [r[0].encode() for r in got["items"]]
    assert names == sorted(names)
    everything = show("workbook", path, 0)
    assert len(everything["items"]) == sum(1 for r in rows if r[1] and r[3] is not None)


def check_national():
    path = INVENTORIES / "China_CO2_Inventory_1997-2019_(IPCC_Sectoral_Emissions).xlsx"
    got = show("workbook", path, 2019)
    book = openpyxl.load_workbook(path, data_only=True)
    total = float(next(r for r in book["2019"].iter_rows(values_only=True)
                       if str(r[0]).startswith("Total"))[-1]) * 1e9
    (item,) = got["items"]
    assert item[0] == "national" and abs(item[4] - total) <= 1e-12 * total
    assert abs(item[2] - total) <= 1e-6 * total


def check_zones():
    """North Carolina in NAD27: GDAL transforms, an equal-area projection measures."""
    path = DATA / "boundaries" / "us_nc_counties.gpkg"
    got = show("zones", path, "NAME", "-85,33,-75,37", 0.25)
    equal = osr.SpatialReference()
    equal.ImportFromProj4("+proj=cea +lat_ts=35 +lon_0=-80 +ellps=WGS84 +units=m +no_defs")
    lonlat = osr.SpatialReference()
    lonlat.ImportFromEPSG(4326)
    lonlat.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    data = ogr.Open(str(path))
    layer = data.GetLayer(0)
    source = layer.GetSpatialRef()
    source.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    first = osr.CoordinateTransformation(source, lonlat)
    second = osr.CoordinateTransformation(lonlat, equal)
    assert len(got) == layer.GetFeatureCount() == 100
    shifted = 0
    for feature in layer:
        g = feature.GetGeometryRef().Clone()
        g.Segmentize(0.001)
        raw = g.Clone()
        g.Transform(first)
        g.Transform(second)
        raw.Transform(second)
        zone, inside, cells = got[feature.GetField("NAME")]
        assert abs(zone / g.Area() - 1) < 2e-8, (feature.GetField("NAME"), zone, g.Area())
        assert abs(inside / zone - 1) < 1e-12 and cells > 0
        shifted += abs(zone / raw.Area() - 1) > 2e-7
    assert shifted > 0  # control: without the datum shift the areas differ


def check_countries():
    """Every country on a global grid: those across the antimeridian and around the pole too."""
    path = DATA / "boundaries" / "naturalearth_lowres.shp"
    got = show("zones", path, "name", "-180,-90,180,90", 2)
    turned = show("zones", path, "name", "0,-90,360,90", 2)
    equal = osr.SpatialReference()
    equal.ImportFromProj4("+proj=cea +ellps=WGS84 +units=m +no_defs")
    lonlat = osr.SpatialReference()
    lonlat.ImportFromEPSG(4326)
    lonlat.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    to_equal = osr.CoordinateTransformation(lonlat, equal)
    data = ogr.Open(str(path))
    layer = data.GetLayer(0)
    assert len(got) == layer.GetFeatureCount() == 177
    for feature in layer:
        name, g = feature.GetField("name"), feature.GetGeometryRef().Clone()
        g.Segmentize(0.005)
        g.Transform(to_equal)
        zone, inside, cells = got[name]
        assert abs(zone / g.Area() - 1) < 2e-8, (name, zone, g.Area())
        assert abs(inside / zone - 1) < 1e-11 and cells > 0, (name, inside, zone)
        assert turned[name][2] == cells and abs(turned[name][1] / inside - 1) < 1e-11, name


def main():
    osr.UseExceptions()
    if not INVENTORIES.exists():
        print("skipped: no real inventories at", INVENTORIES)
        return 77
    check_gepa()
    check_hemco()
    check_provinces()
    check_cities()
    check_national()
    check_zones()
    check_countries()
    return 0


sys.exit(main())
