"""Tables of activity in a job: account.csv, the placed layer and its zones against numpy.

A city of two counties that share a border through cells, a park in one county on a finer patch, a
zone that crosses both counties; proxies on the grid and in degrees."""
import csv
import json
import math
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from osgeo import gdal, osr

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
os.chdir(WORK)
gdal.UseExceptions()
YEAR = 365.2425 * 86400
MOLAR = {"co2": 44.0095e-3, "ch4": 16.0425e-3, "n2o": 44.0128e-3}
X0, Y0 = 700000.0, 2560000.0  # UTM 49 N, north of 23 N
KM = 1000.0


def box(x0, y0, x1, y1):
    return [[X0 + KM * x, Y0 + KM * y] for x, y in
            ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))]


ZONES = {"city": box(1, 1, 9, 7), "east": box(4.3, 1, 9, 7), "west": box(1, 1, 4.3, 7),
         "park": box(6.1, 3.2, 7.9, 4.8), "cross": box(3, 2, 6, 4)}


def write_zones(zones):
    features = [{"type": "Feature", "properties": {"id": k, "name": k.title()},
                 "geometry": {"type": "Polygon", "coordinates": [v]}} for k, v in zones.items()]
    with open("zones.geojson", "w", encoding="utf-8") as f:
        json.dump({"type": "FeatureCollection", "features": features,
                   "crs": {"type": "name", "properties": {"name": "EPSG:32649"}}}, f)


def write_raster(name, values, x0, y1, cell, epsg=32649, nodata=-1):
    ny, nx = values.shape
    d = gdal.GetDriverByName("GTiff").Create(name, nx, ny, 1, gdal.GDT_Float32)
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(epsg)
    d.SetProjection(srs.ExportToWkt())
    d.SetGeoTransform((x0, cell, 0, y1, 0, -cell))
    d.GetRasterBand(1).SetNoDataValue(nodata)
    d.GetRasterBand(1).WriteArray(values)


HEADER = "region,sector,fuel,amount,unit,sd_percent,source\n"
ROWS = [  # region, sector, fuel, amount, unit, sd, gas, scope, t
    ("west", "industry", "bituminous", 1000, "t", 3, "co2", 1, 1000 * 23.204 * .02618 * .93 * 44 / 12),
    ("west", "homes", "natural_gas", 120, "10^4 m3", 5, "co2", 1,
     120 * 389.31 * .0153 * .99 * 44 / 12),
    ("west", "homes", "electricity", 3, "GWh", 1, "co2", 2, 3000 * 0.5306),
    ("east", "industry", "bituminous", 7, "kt", 2, "co2", 1, 7000 * 23.204 * .02618 * .93 * 44 / 12),
    ("east", "homes", "electricity", 2, "GWh", 1, "co2", 2, 2000 * 0.5306),
    ("park", "industry", "bituminous", 400, "t", 10, "co2", 1, 400 * 23.204 * .02618 * .93 * 44 / 12),
    ("park", "industry", "electricity", 9, "GWh", 1, "co2", 2, 9000 * 0.5306),
    ("west", "farms", "dairy_cattle_breeding_enteric", 2400, "head", 10, "ch4", 1, 2400 * .1099),
    ("east", "landfill", "waste", 60, "kt", 20, "ch4", 1, 60e3 * 0.05),
    ("east", "farms", "leached_n", 310, "t", 30, "n2o", 1, 310 * .011 * 44 / 28),
]
FACTOR_SD = {"bituminous": .05, "natural_gas": .05, "electricity": .05, "waste": .4,
             "dairy_cattle_breeding_enteric": .5, "leached_n": .02 / 3.92 / .011}
JOB = """job: {name: t, output: out}
period: {start: 2023-01-01, end: 2024-01-01}
grid:
  crs: EPSG:32649
  box: [%r, %r, %r, %r]
  cell: 1 km
  patches: [{id: park, box: [%r, %r, %r, %r], cell: 250 m}]
soundings: [{files: [none.nc], gases: [co2, ch4, n2o]}]
account:
  year: 2023
  electricity: national
  factors: own.csv
  proxies:
    - {sector: industry, file: built.tif, concentration: 20}
    - {sector: landfill, file: far.tif}
inventories:
  - {id: a-co2, gas: co2, file: activity.csv}
  - {id: a-ch4, gas: ch4, file: activity.csv}
  - {id: a-n2o, gas: n2o, file: activity.csv, format: activity}
zones: {file: zones.geojson, id: id, name: name}
""" % (X0, Y0, X0 + 10 * KM, Y0 + 8 * KM, X0 + 6 * KM, Y0 + 3 * KM, X0 + 8 * KM, Y0 + 5 * KM)


def write(name, text):
    with open(name, "w", encoding="utf-8") as f:
        f.write(text)


def run(*args):
    return subprocess.run([BINARY, *args], capture_output=True, text=True)


def setup():
    write("activity.csv", HEADER + "".join(",".join(map(str, r[:6])) + ",book\n" for r in ROWS))
    write("own.csv", "fuel,value,unit,sd_percent,source\nwaste,50,kgCH4/t,40,own\n")
    write("job.yaml", JOB)
    write("none.nc", "")
    write_zones(ZONES)
    y, x = np.mgrid[0:16, 0:20]
    write_raster("built.tif", (1 + x + 2 * (15 - y)).astype("f4"), X0, Y0 + 8 * KM, 500)
    write_raster("far.tif", np.full((4, 4), 1, "f4"), X0, Y0 + 2 * KM, 500)  # no data in the east


def layer(gas):
    with netCDF4.Dataset(f"out/stages/inventory-a-{gas}.nc") as d:
        d.set_auto_mask(False)
        return {k: v[:].astype(float) for k, v in d.variables.items()}


def stage(name, **kw):
    r = run("run", "job.yaml", "--stage", name, "--threads", kw.get("threads", "2"), "--fresh")
    return r


def overlap(a, b):
    """Area of two boxes, km2."""
    (ax0, ay0), (ax1, ay1) = a[0], a[2]
    (bx0, by0), (bx1, by1) = b[0], b[2]
    return max(0, min(ax1, bx1) - max(ax0, bx0)) * max(0, min(ay1, by1) - max(ay0, by0)) / KM**2


def cells():
    """Boxes of the mesh cells: base first without the replaced, then the patch."""
    out = [box(i, j, i + 1, j + 1) for j in range(8) for i in range(10)
           if not (6 <= i < 8 and 3 <= j < 5)]
    return out + [box(6 + i / 4, 3 + j / 4, 6 + (i + 1) / 4, 3 + (j + 1) / 4)
                  for j in range(8) for i in range(8)]


def density(c):
    """built.tif on a cell: the mean over pixels of 500 m, by area."""
    total = weight = 0
    for j in range(16):
        for i in range(20):
            a = overlap(c, box(i / 2, j / 2, (i + 1) / 2, (j + 1) / 2))
            total, weight = total + a * (1 + i + 2 * j), weight + a
    return total / weight


def model(gas):
    """Blocks, cell masses (t) and the covariance over cells, dense, by the words of gridder.md."""
    grid = cells()
    blocks = {}
    for r in ROWS:
        if r[6] == gas and r[7] == 1:
            blocks.setdefault((r[0], r[1]), []).append(r)
    built = np.array([density(c) for c in grid])
    keys = list(blocks)
    total = np.array([math.fsum(r[8] for r in blocks[k]) for k in keys])
    cov = np.zeros((len(keys), len(keys)))
    for i, a in enumerate(keys):
        for j, b in enumerate(keys):
            for p in blocks[a]:
                for q in blocks[b]:
                    if p is q:
                        cov[i, j] += p[8]**2 * ((1 + FACTOR_SD[p[2]]**2) * (1 + (p[5] / 100)**2) - 1)
                    elif p[2] == q[2]:
                        cov[i, j] += p[8] * q[8] * FACTOR_SD[p[2]]**2
    share, kappa = [], []
    for region, sector in keys:
        w = np.array([overlap(ZONES[region], c) for c in grid])
        share.append(w * (built if sector == "industry" else 1))
        share[-1] /= share[-1].sum()
        kappa.append(20 if sector == "industry" else 50)
    share = np.array(share)
    full = share.T @ cov @ share
    for k, s in enumerate(share):
        full += (total[k]**2 + cov[k, k]) / (kappa[k] + 1) * (np.diag(s) - np.outer(s, s))
    return keys, total, cov, share, np.array(kappa), full


def part(region, zone):
    """Share of the region's part of each cell that lies in the zone."""
    zones = [ZONES[region], ZONES[zone]]
    (ax0, ay0), (ax1, ay1) = zones[0][0], zones[0][2]
    (bx0, by0), (bx1, by1) = zones[1][0], zones[1][2]
    low, high = (max(ax0, bx0), max(ay0, by0)), (min(ax1, bx1), min(ay1, by1))
    both = [low, None, high] if low[0] < high[0] and low[1] < high[1] else None
    own = np.array([overlap(zones[0], c) for c in cells()])
    inside = np.array([overlap(both, c) if both else 0 for c in cells()])
    return np.divide(inside, own, out=np.zeros_like(own), where=own > 0)


def check_layers():
    for gas in MOLAR:
        r = stage(f"inventory-a-{gas}")
        assert r.returncode == 0, r.stderr
        keys, total, cov, share, kappa, full = model(gas)
        l = layer(gas)
        n = len(cells())
        assert l["cell_flux"].shape == (n,)
        area = areas()
        kg = area * MOLAR[gas] * YEAR
        mass = l["cell_flux"] * kg / 1e3
        # the true area differs from the plane one by the map scale, smooth over 10 km: 1e-5
        assert math.isclose(np.nansum(mass), total.sum(), rel_tol=1e-8), gas  # chords: 2e-9
        np.testing.assert_allclose(np.nan_to_num(mass), total @ share, rtol=3e-5, atol=1e-9)
        f = l["error_factor"] * kg / 1e3 if "error_factor" in l else np.zeros((0, n))
        got = (f.T * l["error_sign"]) @ f + np.diag(l["error_variance"] * (kg / 1e3)**2)
        scale = np.sqrt(np.outer(np.diag(full), np.diag(full)))
        assert np.all(np.abs(got - full) <= 1e-4 * scale + 1e-12), np.nanmax(np.abs(got - full))
        names = sorted(ZONES)
        for i, zone in enumerate(names):
            inside = np.array([part(region, zone) for region, _ in keys])
            want = (total[:, None] * share * inside).sum()
            p, q = (share * inside).sum(1), (share * inside**2).sum(1)
            spread = (total**2 + np.diag(cov)) / (kappa + 1)
            var = p @ cov @ p + spread @ (q - p**2)
            if p.sum() == 0:
                assert np.isnan(l["zone_total"][i]) and l["zone_covered"][i] == 0
                continue
            assert math.isclose(l["zone_total"][i] / 1e3, want, rel_tol=3e-5), (gas, zone)
            assert math.isclose(l["zone_sd"][i] / 1e3, math.sqrt(var), rel_tol=3e-5), (gas, zone)
        check_zones(gas, dict(zip(names, l["zone_total"] / 1e3)),
                    dict(zip(names, l["zone_covered"])), dict(zip(names, l["zone_scope2"] / 1e3)),
                    dict(zip(names, l["zone_scope2_sd"] / 1e3)))


def areas():
    """True areas of the cells: the sum of fluxes times them is the sum of masses."""
    geod = osr.SpatialReference()
    geod.ImportFromEPSG(32649)
    ll = osr.SpatialReference()
    ll.ImportFromEPSG(4326)
    ll.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    t = osr.CoordinateTransformation(geod, ll)
    a, f = 6378137.0, 1 / 298.257223563
    e = math.sqrt(f * (2 - f))

    def band(lat):  # authalic, Snyder 1987 Eq. 3-12
        s = np.sin(np.radians(lat))
        q = (1 - e * e) * (s / (1 - e * e * s * s) - np.log((1 - e * s) / (1 + e * s)) / (2 * e))
        return a * a * q / 2
    out = []
    for c in cells():
        (x0, y0), (x1, y1) = c[0], c[2]
        k = np.linspace(0, 1, 101)
        ring = [(x0 + (x1 - x0) * s, y0) for s in k] + [(x1, y0 + (y1 - y0) * s) for s in k[1:]]
        ring += [(x1 - (x1 - x0) * s, y1) for s in k[1:]] + [(x0, y1 - (y1 - y0) * s) for s in k[1:]]
        p = np.array(t.TransformPoints(ring))[:, :2]
        lon, lat = np.radians(p[:, 0]), band(p[:, 1])
        out.append(-np.sum((lon[1:] - lon[:-1]) * (lat[1:] + lat[:-1]) / 2))
    return np.array(out)


def check_zones(gas, total, covered, scope2, scope2_sd):
    own = lambda region: math.fsum(r[8] for r in ROWS if r[0] == region and r[6] == gas and r[7] == 1)
    known = {r: own(r) for r in ("west", "east", "park")}
    assert math.isclose(total["city"], sum(known.values()), rel_tol=1e-12)
    if gas == "co2":  # counties add up to the city, and are what the account has
        assert math.isclose(total["west"], known["west"], rel_tol=1e-12)
        assert math.isclose(total["east"], known["east"] + known["park"], rel_tol=1e-12)
        assert math.isclose(total["east"] + total["west"], total["city"], rel_tol=1e-12)
        assert total["park"] > known["park"]  # and a part of its county's own
        assert all(abs(covered[z] - 1) < 1e-9 for z in ZONES)
        power = 0.5306 * 1e3
        assert math.isclose(scope2["west"], 3 * power, rel_tol=1e-12)
        assert math.isclose(scope2["east"], 11 * power, rel_tol=1e-12)
        assert math.isclose(scope2["park"], 9 * power, rel_tol=1e-12)
        assert math.isclose(scope2["city"], 14 * power, rel_tol=1e-12)
        assert np.isnan(scope2["cross"])
        var = (14 * power * .05)**2 + sum((g * power * .01)**2 * 1.0025 for g in (3, 2, 9))
        assert math.isclose(scope2_sd["city"], math.sqrt(var), rel_tol=1e-12)
    else:
        assert all(np.isnan(v) for v in scope2.values())
    if gas == "n2o":  # the west has no rows: nothing to say, and the city is known in part
        assert np.isnan(total["west"]) and abs(covered["city"] - 4.7 / 8) < 1e-4


def check_table():
    r = stage("account")
    assert r.returncode == 0, r.stderr
    lines = list(csv.DictReader(open("out/account.csv", encoding="utf-8")))
    rows = [x for x in lines if x["record"] == "row"]
    totals = [x for x in lines if x["record"] == "total"]
    assert len(rows) == len(ROWS)  # once, for three inventories
    for x, w in zip(rows, ROWS):
        assert (x["region"], x["gas"], x["scope"]) == (w[0], w[6], f"S{w[7]}"), x
        assert math.isclose(float(x["emission_t"]), w[8], rel_tol=1e-13)
    for t in totals:
        want = [w[8] for w in ROWS if (w[0], w[6], f"S{w[7]}") == (t["region"], t["gas"], t["scope"])]
        if want:
            assert math.isclose(float(t["emission_t"]), math.fsum(want), rel_tol=1e-13)
        else:
            assert t["emission_t"] == "" and t["reason"] == "no row of this scope"
    assert {t["gas"] for t in totals} == {"co2", "ch4", "n2o"}
    by = {(t["region"], t["gas"], t["scope"]): t["flags"] for t in totals}
    assert "F-COVER" in by["park", "co2", "S1"] and "F-COVER" not in by["east", "co2", "S1"]


def check_facts():
    facts = json.load(open("out/stages/inventory-a-ch4.facts.json", encoding="utf-8"))["facts"]
    text = [(f["section"], f["value"]) for f in facts]
    assert any(s == "sources" and "dairy_cattle_breeding_enteric:2024 = 109.9" in v for s, v in text)
    assert any(s == "warnings" and "east, landfill: the proxy has no data" in v for s, v in text)
    assert any(s == "audit" and "2 regions" in v for s, v in text), text
    check_sectors()


def warned(gas):
    facts = json.load(open(f"out/stages/inventory-a-{gas}.facts.json", encoding="utf-8"))["facts"]
    return [f["value"] for f in facts if f["section"] == "warnings" and "has no proxy" in f["value"]]


def check_sectors():
    """Every sector of the gas without a proxy is named once; none where the job has no proxies at all."""
    assert warned("ch4") == ["sector 'farms' has no proxy, and others have: its 1 row of ch4 in scope 1 "
                             "(activity.csv, from line 9) is placed by area alone"], warned("ch4")
    assert [w.split("'")[1] for w in warned("co2")] == ["homes"]  # one row of power: not in scope 1
    table = open("activity.csv", encoding="utf-8").read()
    write("activity.csv", table + "east,homes,natural_gas,5,10^4 m3,5,book\n")
    r = stage("inventory-a-co2")
    assert r.returncode == 0 and "its 2 rows of co2 in scope 1 (activity.csv, from line 3) are placed" in r.stderr
    assert len(warned("co2")) == 1
    write("job.yaml", JOB[:JOB.index("  proxies:")] + JOB[JOB.index("inventories:"):])
    assert stage("inventory-a-co2").returncode == 0 and warned("co2") == []
    write("activity.csv", table)
    write("job.yaml", JOB)


def check_degrees():
    """A proxy in degrees: 0 in the western half of a county, the same all over the eastern."""
    srs, ll = osr.SpatialReference(), osr.SpatialReference()
    srs.ImportFromEPSG(32649)
    ll.ImportFromEPSG(4326)
    ll.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    lon, lat, _ = osr.CoordinateTransformation(srs, ll).TransformPoint(X0 + 2.5 * KM, Y0 + 4 * KM)
    cell, n = 1e-3, 400
    west, north = lon - 200 * cell, lat + 200 * cell
    values = np.full((n, n), 7, "f4")
    values[:, :200] = 0
    write_raster("degrees.tif", values, west, north, cell, 4326)
    write("job.yaml", JOB.replace("built.tif", "degrees.tif"))
    write("activity.csv", HEADER + "west,industry,coke,1,kt,5,book\n")
    write("job.yaml", JOB.replace("built.tif", "degrees.tif").replace(
        "    - {sector: landfill, file: far.tif}\n", ""))
    r = stage("inventory-a-co2")
    assert r.returncode == 0, r.stderr
    mass = np.nan_to_num(layer("co2")["cell_flux"] * areas())
    centre = np.array([(c[0][0] + c[2][0]) / 2 for c in cells()])
    inside = np.array([overlap(ZONES["west"], c) for c in cells()])
    assert np.all(mass[centre < X0 + 2 * KM] == 0)
    east = (centre > X0 + 3 * KM) & (inside > 0)
    per_area = mass[east] / inside[east]
    assert mass.sum() > 0 and np.ptp(per_area) < 1e-4 * per_area.mean()


def check_threads():
    seen = []
    for threads in ("1", "2", "5"):
        assert stage("inventory-a-co2", threads=threads).returncode == 0
        seen.append(open("out/stages/inventory-a-co2.nc", "rb").read())
    assert seen[0] == seen[1] == seen[2]


def check_missing_amount():
    write("activity.csv", HEADER + "west,industry,coke,NE,t,5,book\nwest,homes,coke,5,t,5,book\n"
          "east,industry,coke,1,t,5,book\n")
    write("job.yaml", JOB.replace("    - {sector: landfill, file: far.tif}\n", ""))
    assert stage("inventory-a-co2").returncode == 0
    l = layer("co2")
    total = dict(zip(sorted(ZONES), l["zone_total"]))
    assert np.isnan(total["west"]) and np.isnan(total["city"]) and total["east"] > 0
    assert np.nansum(l["cell_flux"]) > 0  # what is known is placed
    check_missing_in_prior()


def check_missing_in_prior():
    """A source without an amount is refused in a prior of its gas, in scope 1, and nowhere else."""
    job = JOB.replace("    - {sector: landfill, file: far.tif}\n", "")
    prior = job + "inversions:\n  - {gas: %s, prior: a-%s, background: {mean: %s, sd: 1 ppb}}\n"
    rows = HEADER + ("west,homes,coke,5,t,5,book\nwest,farms,leached_n,3,t,9,book\nwest,industry,%s\n"
                     "east,landfill,waste,60,kt,20,book\n")
    for amount in ("", "NE", " NE "):
        write("activity.csv", rows % f"coke,{amount},t,5,book")
        write("job.yaml", prior % ("co2", "co2", "400 ppm"))
        r = stage("inventory-a-co2")
        assert r.returncode == 3 and ("activity.csv:4: west, industry, coke: amount is missing; a prior needs every "
                                      "source: give an estimate with a wide sd_percent") in r.stderr, r.stderr
    write("job.yaml", prior % ("n2o", "n2o", "330 ppb"))  # a prior of another gas
    for gas in ("co2", "n2o"):
        r = stage(f"inventory-a-{gas}")
        assert r.returncode == 0, r.stderr
    write("activity.csv", rows % "electricity,NE,GWh,5,book")  # scope 2 is in no prior
    write("job.yaml", prior % ("co2", "co2", "400 ppm"))
    r = stage("inventory-a-co2")
    assert r.returncode == 0, r.stderr


def check_refusals():
    good = HEADER + "west,industry,coke,1,t,5,book\n"
    job = JOB.replace("    - {sector: landfill, file: far.tif}\n", "")
    cases = [
        (good.replace("west,", "wst,"), job, 3, "activity.csv:2: region: no zone has the id 'wst' (zones: city"),
        (good + "west,industry ,coke,1,t,5,book\n", job, 3, "activity.csv:3: "),
        (good.replace(",1,t", ",nan,t"), job, 3, "activity.csv:2: amount: 'nan'"),
        (good.replace(",1,t", ",-1,t"), job, 3, "activity.csv:2: amount: '-1'"),
        (good.replace(",1,t", ",1,tt"), job, 3, "activity.csv:2: unit: 'tt' measures no"),
        (good.replace("coke", "coal_surface_mining"), job, 2, "--allow-unverified"),
        (good, job.replace("sector: industry", "sector: industri"), 2,
         "account.proxies[0].sector: no row of activity has the sector 'industri'"),
        (good, job.replace("built.tif", "bad.tif"), 3, "bad.tif: -5 at"),
        (good, job.replace("gas: co2, file", "gas: ch4, file", 1).replace("id: a-ch4", "id: b", 1), 4,
         "no row yields ch4 in scope 1"),
        (good, job[:job.index("account:")] + job[job.index("inventories:"):], 2,
         "inventories[0].file: a table of activity needs account"),
        (good, job.replace("a-co2, gas: co2, file: activity.csv",
                           "a-co2, gas: co2, file: activity.csv, units: kg"), 2,
         "units: has no effect with a table of activity"),
        (good, job.replace("  electricity: national\n", "  region: Hebei\n"), 2,
         "account.region: needs electricity"),
    ]
    write_raster("bad.tif", np.full((16, 20), -5, "f4"), X0, Y0 + 8 * KM, 500)
    for text, yaml, code, message in cases:
        write("activity.csv", text)
        write("job.yaml", yaml)
        name = "account" if "industri}" in yaml or "industri," in yaml else "inventory-a-co2"
        r = stage(name)
        assert r.returncode == code and message in r.stderr, (message, r.returncode, r.stderr)
    write("activity.csv", good)
    write("job.yaml", job)
    zones = dict(ZONES, west=box(-2, 1, 4.3, 7))
    write_zones(zones)
    r = stage("inventory-a-co2")
    assert r.returncode != 0 and "activity.csv:2: region: 31.7 % of zone 'west' lies outside" in r.stderr, r.stderr


setup()
check_layers()
check_table()
check_facts()
check_threads()
check_degrees()
check_missing_amount()
check_refusals()
