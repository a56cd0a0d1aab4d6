"""Sinks in a job: table, facts and flux layer of a coastal city against numpy, and every way in which a
sink can be wrong in silence.

The independent side: closed-form areas of pixels in degrees, tier 1 written out below with the tables'
numbers typed in, derivatives by differences. Arguments: binary, data folder, work folder, source root."""
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
GRASS = "ipcc_defaults:grassland total biomass|tropical moist & wet:IPCC 2006 V4 Ch.6 Table 6.4"
WEST, SOUTH, CELLS, CELL, PIXELS = 113.0, 22.3, 48, 0.01, 480
PARKS = {"park-east": (113.30, 22.40, 113.34, 22.44), "park-west": (113.06, 22.60, 113.10, 22.64)}
KG, YEAR = 0.0440095, 365.2425 * 86400.0  # molar mass of CO2 (kg mol-1), seconds
TO_CO2 = 44.0 / 12.0
CODES = {10: 1, 30: 3, 40: 7, 50: 11, 80: 4, 90: 4, 95: 8}  # WorldCover -> class
UTM = "EPSG:32649"


# ---- inputs ------------------------------------------------------------------------------------

def raster(path, values, transform, crs="EPSG:4326", nodata=255):
    values = np.asarray(values)
    data = gdal.GetDriverByName("GTiff").Create(str(path), values.shape[1], values.shape[0], 1,
                                                gdal.GDT_Byte)
    data.SetGeoTransform(transform)
    srs = osr.SpatialReference()
    srs.SetFromUserInput(crs)
    data.SetProjection(srs.ExportToWkt())
    data.GetRasterBand(1).SetNoDataValue(nodata)
    data.GetRasterBand(1).WriteArray(values)


def box(w, s, e, n):
    return [[[w, s], [e, s], [e, n], [w, n], [w, s]]]


def write_zones(path, parts, crs=None):
    """parts: id -> list of polygons."""
    root = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"id": i, "name": i.title()},
         "geometry": {"type": "MultiPolygon", "coordinates": p}} for i, p in parts.items()]}
    if crs:
        root["crs"] = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs[5:]}"}}
    path.write_text(json.dumps(root))


def city_zones():
    side, half = CELLS * CELL, CELLS * CELL / 2
    w, s = WEST, SOUTH
    zones = {"city": [box(w, s, w + side, s + side)]}
    for k in range(4):
        x, y = w + half * (k % 2), s + half * (k // 2)
        zones[f"county-{k + 1}"] = [box(x, y, x + half, y + half)]
    zones.update({i: [box(*b)] for i, b in PARKS.items()})
    return zones


def degrees(pixel):
    return (WEST, pixel, 0, SOUTH + CELLS * CELL, 0, -pixel)


class Result:
    def __init__(self, folder, sink):
        with open(folder / f"sink-{sink}.csv", newline="") as f:
            lines = [line for line in f if not line.startswith("#")]
        self.rows = {(r["zone_id"], r["class_name"]): r for r in csv.DictReader(lines)}
        self.bytes = (folder / "stages" / f"sink-{sink}.nc").read_bytes()
        with netCDF4.Dataset(folder / "stages" / f"sink-{sink}.nc") as f:
            self.layer = {n: np.ma.filled(v[:].astype(float), np.nan) for n, v in f.variables.items()}
        facts = json.loads((folder / "stages" / f"sink-{sink}.facts.json").read_text())["facts"]
        self.facts = [(f["section"], f["label"], f["value"]) for f in facts]
        self.zones = sorted({z for z, _ in self.rows})

    def number(self, zone, column, cls="all"):
        return float(self.rows[zone, cls][column])


def run(name, maps, sink="", grid=None, zones="zones.geojson", fails=None, command="run", args=()):
    side = CELLS * CELL
    grid = grid or (f'box: [{WEST}, {SOUTH}, {WEST + side:.12g}, {SOUTH + side:.12g}], '
                    f'cell: {CELL} degree, patches: [' + ", ".join(
                        "{id: %s, box: [%.12g, %.12g, %.12g, %.12g], cell: 0.002 degree}" % ((i,) + b)
                        for i, b in PARKS.items()) + "]")
    job = WORK / f"{name}.yaml"
    job.write_text(f"""job: {{name: {name}, output: {name}}}
grid: {{{grid}}}
soundings: [{{files: [none.nc], gases: [co2]}}]
sinks:
  - id: land
    maps: [{maps[0]}, {maps[1]}]
    years: [2018, 2023]
    {sink or moist()}
zones: {{file: {zones}, id: id, name: name}}
""")
    stage = ["--stage", "sink-land", "--progress=none", "--fresh"] if command == "run" else []
    done = subprocess.run([BINARY, command, str(job), *stage, *args], cwd=WORK, capture_output=True,
                          text=True)
    if fails:
        assert done.returncode != 0, (name, "did not fail")
        for part in fails:
            assert part in done.stderr, (part, done.stderr)
        return None
    assert done.returncode == 0, (name, done.stderr)
    return Result(WORK / name, "land") if command == "run" else None


def moist(accuracy=None, cell_sd=None, more=""):
    return ("legend: worldcover\n    factors: ipcc-tropical-moist\n    soil: HAC"
            + (f"\n    accuracy: {accuracy}" if accuracy else "")
            + (f"\n    cell_sd: {cell_sd}" if cell_sd is not None else "")
            + f'\n    allow_unverified: ["{GRASS}"]' + more)


# ---- the independent side ----------------------------------------------------------------------

def band(south, north):
    """Area between two parallels per radian of longitude, m2 (WGS 84, Snyder 1987 Eq. 3-12)."""
    e2 = 0.0066943799901413165
    e, b2 = np.sqrt(e2), 6378137.0 ** 2 * (1 - 0.0066943799901413165)
    z = [0.5 * b2 * (np.sin(p) / (1 - e2 * np.sin(p) ** 2) + np.arctanh(e * np.sin(p)) / e)
         for p in (np.radians(south), np.radians(north))]
    return z[1] - z[0]


def area_of(w, s, e, n):
    return band(s, n) * np.radians(e - w)


# name: value, standard deviation (IPCC 2019 V4 Tables 2.2, 2.3, 4.3, 4.4, 4.7, 4.9, 5.5, 5.9; 2006 6.4;
# Wetlands Supplement 4.2 to 4.7). The two growths are wider by (2.4 - 0.4)^2 / 12, the spread of ages.
U = np.sqrt(12)
FACTORS = {
    "agb": (67.7, 93.4), "root": (0.323, 0.073), "cf": (0.47, 0.05 / U),
    "litter": (5.9, 12.9 / U), "wood": (8.0, 20.0 / U),
    "old": (0.9, np.sqrt(0.405 ** 2 + 4 / 12)), "young": (2.4, np.sqrt(0.3 ** 2 + 4 / 12)),
    "grass": (16.1, 16.1 * 0.375), "crop": (4.7, 4.7 * 0.375),
    "m_agb": (192, 17 / 3.92), "m_root": (0.49, 0.04 / 3.92), "m_cf": (0.451, 0.042 / 3.92),
    "m_litter": (0.7, 1.3 / 3.92), "m_wood": (10.7, 8.3 / 3.92), "m_growth": (9.9, 1 / 3.92),
    "soc": (40, 40 * 7 / 196), "flu": (0.83, 0.83 * 11 / 200),
}
CLASSES = (1, 3, 4, 7, 8, 11)


def tier1(p, years):
    """t C per ha of each transition: stock change over the period, and uptake a year (to the air)."""
    biomass = {1: p["agb"] * (1 + p["root"]) * p["cf"], 3: p["grass"] * 0.47, 7: p["crop"],
               8: p["m_agb"] * (1 + p["m_root"]) * p["m_cf"]}
    dead = {1: p["litter"] + p["wood"], 8: p["m_litter"] + p["m_wood"]}
    soil = {1: p["soc"], 3: p["soc"], 7: p["soc"] * p["flu"]}
    per = lambda key: p[key] * (1 + p["root"]) * p["cf"]
    mangrove = p["m_growth"] * (1 + p["m_root"]) * p["m_cf"]
    growth, young = {1: per("old"), 8: mangrove}, {1: per("young"), 8: mangrove}
    n = len(CLASSES)
    stock, uptake = np.zeros((n, n)), np.zeros((n, n))
    for a, i in enumerate(CLASSES):
        for b, j in enumerate(CLASSES):
            uptake[a, b] = -(growth if i == j else young).get(j, 0)
            if i == j:
                continue
            gain = min(young[j] * years / 2, biomass[j]) if j in young else biomass.get(j, 0)
            stock[a, b] = gain - biomass.get(i, 0)
            stock[a, b] += dead.get(j, 0) * min(years / 2, 20) / 20 - dead.get(i, 0)
            if i in soil and j in soil:
                stock[a, b] += (soil[j] - soil[i]) * min(years, 20) / 20
    return stock, uptake


def linear(years=5.0):
    """Coefficients, and their derivatives times one standard deviation."""
    base = {k: v for k, (v, _) in FACTORS.items()}
    f, J = tier1(base, years), []
    for k, (v, sd) in FACTORS.items():
        h = 1e-5 * v
        up, down = tier1({**base, k: v + h}, years), tier1({**base, k: v - h}, years)
        J.append([(u - d) / (2 * h) * sd for u, d in zip(up, down)])
    return f, np.array(J).swapaxes(0, 1)  # [quantity][i, j], [quantity, factor, i, j]


def false_areas(a, landscape, p):
    """Transitions that map error alone shows, by adding up what each true class is seen as."""
    share = (landscape.sum(0) + landscape.sum(1)) / (2 * landscape.sum())
    own = (a.sum(0) + a.sum(1)) / 2
    w = np.zeros_like(a)
    for k, pk in enumerate(share):
        seen = (1 - p) * share / (1 - pk)
        seen[k] = p
        w += own[k] * np.outer(seen, seen)
    return w * (1 - np.eye(len(share)))


def shift(f):
    return f - 0.5 * (np.diag(f)[:, None] + np.diag(f)[None, :])


def variance(a, f, J, accuracy):
    v = ((J * a).sum((1, 2)) ** 2).sum()
    if accuracy:
        w = false_areas(a, a, accuracy)
        v += ((w * shift(f)) ** 2).sum() + sum(((w * shift(j)) ** 2).sum() for j in J)
    return v


def close(got, want, tolerance=1e-9, scale=None, what=""):
    scale = np.abs(want).max() if scale is None else scale
    off = np.max(np.abs(np.asarray(got) - want)) / scale
    assert off <= tolerance, (what, off, np.ravel(got)[:5], np.ravel(want)[:5])


class Scene:
    """The two maps of the city and the areas that they give."""

    def __init__(self):
        rng = np.random.default_rng(7)
        codes = np.array(list(CODES))
        coarse = rng.choice(codes, size=(24, 24), p=[.35, .1, .25, .15, .05, .05, .05])
        first = np.kron(coarse, np.ones((20, 20), int))
        changed = rng.random(first.shape) < 0.05
        second = np.where(changed, rng.choice([10, 30, 40, 50, 95], size=first.shape), first)
        second[100:113, 200:240] = 255  # clouds
        self.first, self.second = first, second
        raster(WORK / "lc1.tif", first, degrees(0.001))
        raster(WORK / "lc2.tif", second, degrees(0.001))
        north = SOUTH + CELLS * CELL
        rows = [area_of(0, north - 0.001 * (k + 1), 0.001, north - 0.001 * k) for k in range(PIXELS)]
        self.area = np.repeat(np.array(rows)[:, None], PIXELS, 1) / 1e4  # ha
        index = {c: CLASSES.index(n) for c, n in CODES.items()}
        self.i = np.vectorize(lambda c: index.get(c, -1))(first)
        self.j = np.vectorize(lambda c: index.get(c, -1))(second)

    def tensor(self, label, n):
        """ha by label of a pixel and transition: [n, classes, classes]."""
        k = len(CLASSES)
        valid = (self.i >= 0) & (self.j >= 0)
        at = (label * k + self.i) * k + self.j
        return np.bincount(at[valid], self.area[valid], n * k * k).reshape(n, k, k)

    def pixels(self, b):
        """Mask of the pixels of a box."""
        x = WEST + 0.001 * (np.arange(PIXELS) + 0.5)
        y = SOUTH + CELLS * CELL - 0.001 * (np.arange(PIXELS) + 0.5)
        return ((y > b[1]) & (y < b[3]))[:, None] & ((x > b[0]) & (x < b[2]))[None, :]

    def mesh(self):
        """Mesh cell of each pixel, and the area of each cell: the base first, then each patch."""
        x = np.arange(PIXELS)[None, :] // 10
        y = (PIXELS - 1 - np.arange(PIXELS)[:, None]) // 10
        base = y * CELLS + x
        taken = np.zeros(CELLS * CELLS, bool)
        fine = {}
        for name, b in PARKS.items():
            inside = self.pixels(b)
            taken[np.unique(base[inside])] = True
            rows, cols = np.nonzero(inside)
            fine[name] = (inside, (rows.max() - rows) // 2 * 20 + (cols - cols.min()) // 2)
        number = np.cumsum(~taken) - 1
        label = number[base]
        n = int((~taken).sum())
        cells = [(WEST + CELL * (c % CELLS), SOUTH + CELL * (c // CELLS), CELL)
                 for c in range(CELLS * CELLS) if not taken[c]]
        for name, b in PARKS.items():
            inside, own = fine[name]
            label[inside] = n + own
            n += 400
            cells += [(b[0] + 0.002 * (c % 20), b[1] + 0.002 * (c // 20), 0.002) for c in range(400)]
        area = np.array([area_of(w, s, w + d, s + d) for w, s, d in cells])
        return label, n, area


# ---- the scene ---------------------------------------------------------------------------------

def check_scene(scene):
    """Rows of zones, cells of the layer and their covariance equal numpy; sums close."""
    accuracy, cell_sd = 0.85, 0.4
    r = run("city", ("lc1.tif", "lc2.tif"), moist(accuracy, cell_sd))
    (stock, uptake), J = linear()
    boxes = {i: p[0][0] for i, p in city_zones().items()}
    tensor = {}
    for zone, ring in boxes.items():
        inside = scene.pixels((ring[0][0], ring[0][1], ring[2][0], ring[2][1]))
        a = tensor[zone] = scene.tensor(np.where(inside, 0, 1), 2)[0]
        for column, want in (("area_1_ha", a.sum()), ("stock_change_t_c", (a * stock).sum()),
                             ("stock_sd_t_c", np.sqrt(variance(a, stock, J[0], accuracy))),
                             ("removal_t_c_yr", -(a * uptake).sum()),
                             ("removal_sd_t_c_yr", np.sqrt(variance(a, uptake, J[1], accuracy))),
                             ("uptake_flux_t_co2_yr", (a * uptake).sum() * TO_CO2)):
            close(r.number(zone, column), want, 1e-8, what=(zone, column))
        names = {1: "forest", 3: "grassland", 4: "wetland", 7: "cropland", 8: "mangrove", 11: "other"}
        for k, cls in enumerate(CLASSES):
            own = np.zeros_like(a)
            own[:, k] = a[:, k]
            close(r.number(zone, "area_2_ha", names[cls]), own.sum(), 1e-9,
                  scale=a.sum(), what=(zone, cls))
            close(r.number(zone, "removal_t_c_yr", names[cls]), -(own * uptake).sum(), 1e-8,
                  scale=a.sum(), what=(zone, cls))
            label = r.rows[zone, names[cls]]["uptake_label"]
            assert label == ("gross growth" if cls in (1, 8) else "no gain at tier 1"), (cls, label)
    counties = [z for z in r.zones if z.startswith("county")]
    assert len(counties) == 4
    for column in ("area_1_ha", "area_2_ha", "stock_change_t_c", "removal_t_c_yr", "nodata_ha",
                   "uptake_flux_t_co2_yr"):
        close(sum(r.number(c, column) for c in counties), r.number("city", column), 1e-12, what=column)
    assert r.number("city", "nodata_ha") > 0

    # Cells.
    label, n, area = scene.mesh()
    cells = scene.tensor(label, n)
    flux = (cells * uptake).sum((1, 2)) * 1e3 * TO_CO2 / (KG * YEAR * area)
    got = r.layer["cell_flux"]
    assert got.shape == (n,) and n == 2304 - 32 + 800
    empty = cells.sum((1, 2)) == 0
    assert 0 < empty.sum() < 20 and np.isnan(got[empty]).all() and (got[~empty] <= 0).all()
    close(got[~empty], flux[~empty], 1e-9, what="cell flux")
    close(r.layer["cell_valid"], cells.sum((1, 2)) * 1e4 / area, 1e-9, what="valid")

    # Zones of whole cells are the sums of their cells; the layer's error of a zone is wQw.
    kg = KG * YEAR * area
    F, variances = r.layer["error_factor"], r.layer["error_variance"]
    assert (r.layer["error_sign"] == 1).all() and len(F) > 8
    for z, zone in enumerate(r.zones):
        b = boxes[zone]
        member = np.unique(label[scene.pixels((b[0][0], b[0][1], b[2][0], b[2][1]))])
        w = np.zeros(n)
        w[member] = kg[member]
        total = r.layer["zone_total"][z]
        close(np.nansum(w * got), total, 1e-9, what=zone)
        close(total / 1e3, r.number(zone, "uptake_flux_t_co2_yr"), 1e-12, what=zone)
        close(r.layer["zone_sd"][z], np.sqrt(((F @ w) ** 2).sum() + (w ** 2 * variances).sum()), 1e-9,
              what=(zone, "sd"))

    # The covariance itself, element by element, from the model in stock.md.
    scale = 1e3 * TO_CO2 / (KG * YEAR * area)
    own = ((cells * uptake).sum(1) * scale[:, None]) ** 2
    close(variances, cell_sd ** 2 * own.sum(1), 1e-9, what="diagonal")
    some = np.random.default_rng(3).choice(np.nonzero(~empty)[0], 40, replace=False)
    everything = cells.sum(0)
    G = np.einsum("cij,kij->kc", cells[some], J[1])
    want = G.T @ G
    w = np.array([false_areas(cells[c], everything, accuracy) for c in some])
    for d in [shift(uptake)] + [shift(j) for j in J[1]]:
        m = (w * d).reshape(len(some), -1)
        want = want + m @ m.T
    want = want * np.outer(scale[some], scale[some])
    close(F[:, some].T @ F[:, some], want, 1e-8, what="covariance")
    # The city is the whole mesh: without the cells' own deviation the layer says what its row says.
    bare = run("bare", ("lc1.tif", "lc2.tif"), moist(accuracy, 0))
    city = bare.zones.index("city")
    close(bare.layer["zone_sd"][city] / 1e3, bare.number("city", "uptake_flux_sd_t_co2_yr"), 1e-9)
    assert r.layer["zone_sd"][city] > bare.layer["zone_sd"][city]
    return r


def check_words(r):
    said = {(s, l): v for s, l, v in r.facts}
    text = said["Sinks", "City"]
    for part in ("uptake ", "95 % range", "gross growth", "map difference", "Counted as zero",
                 "ha of cropland", "ha of wetland", "ha of grassland"):
        assert part in text, (part, text)
    zero = [v for s, l, v in r.facts if (s, l) == ("Sinks", "counted as zero")]
    assert [v.split(":")[0] for v in zero] == ["grassland", "wetland", "cropland", "other"], zero
    assert any(l == "left out" and v.startswith("mangrove") for _, l, v in r.facts)
    warnings = [v for s, _, v in r.facts if s == "warnings"]
    assert len(warnings) == 1 and "Table 6.4" in warnings[0] and "16.1" in warnings[0], warnings
    residual = [v for s, _, v in r.facts if s == "audit"][0]
    assert "residual" in residual and float(residual.split("residual ")[1].split()[0]) <= 1e-12


def check_same_as_command(r):
    """The job's table is the command's, byte for byte; threads change nothing."""
    out = WORK / "command.csv"
    subprocess.run([BINARY, "sink", "lc1.tif", "lc2.tif", "zones.geojson", "--id", "id", "--name", "name",
                    "--years", "2018,2023", "--legend", "worldcover", "--factors",
                    "ipcc-tropical-moist", "--soil", "HAC", "--accuracy", "0.85",
                    "--allow-unverified", GRASS, "-o", str(out)], cwd=WORK, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert out.read_bytes() == (WORK / "city" / "sink-land.csv").read_bytes()
    for threads in ("1", "5"):
        again = run("city", ("lc1.tif", "lc2.tif"), moist(0.85, 0.4), args=("--threads", threads))
        assert again.bytes == r.bytes, threads


# ---- one thing at a time -----------------------------------------------------------------------

def pools(name, rows):
    (WORK / f"{name}.csv").write_text(rows)
    (WORK / "codes.csv").write_text("code,name,class\n1,woods,1\n2,field,7\n3,water,4\n")
    return f"legend: codes.csv\n    pools: {name}.csv\n    cell_sd: 0"


def check_minus_one():
    """One changed pixel of -1 t/ha is a change, whatever the nodata value; nodata is a mask."""
    sink = pools("one", "code,above,gain\n1,10,0\n2,9,0\n3,0,0\n")
    first = np.ones((PIXELS, PIXELS), int)
    second = first.copy()
    second[7, 9] = 2
    pixel = area_of(0, SOUTH + 0.48 - 0.008, 0.001, SOUTH + 0.48 - 0.007) / 1e4
    for nodata in (0, 3, 255):
        raster(WORK / "m1.tif", first, degrees(0.001), nodata=nodata)
        raster(WORK / "m2.tif", second, degrees(0.001), nodata=nodata)
        r = run("one", ("m1.tif", "m2.tif"), sink)
        close(r.number("city", "stock_change_t_c"), -pixel, 1e-9, what=nodata)
        assert r.number("city", "nodata_ha") == 0
    first[:, :48] = 255  # a tenth of the city, in the first map only
    second[:48, :] = 255
    raster(WORK / "m1.tif", first, degrees(0.001))
    raster(WORK / "m2.tif", second, degrees(0.001))
    r = run("masked", ("m1.tif", "m2.tif"), sink)
    masked = r.number("city", "nodata_ha") / r.number("city", "zone_area_ha")
    assert abs(masked - 0.19) < 1e-3, masked
    close(r.number("city", "area_1_ha") + r.number("city", "nodata_ha"), r.number("city", "zone_area_ha"))
    assert np.isnan(r.layer["cell_flux"]).sum() > 350 and r.number("city", "stock_change_t_c") == 0
    valid = r.layer["cell_valid"]
    assert set(np.unique(valid[~np.isnan(r.layer["cell_flux"])].round(3))) == {0.04, 0.2, 1.0}


def check_no_change(scene):
    r = run("same", ("lc1.tif", "lc1.tif"), moist())
    for zone in r.zones:
        assert r.number(zone, "stock_change_t_c") == 0 and r.number(zone, "stock_sd_t_c") == 0
        assert r.number(zone, "removal_t_c_yr") > 0
    # Two maps of one truth, each 85 % right: the interval holds the change that there is, none.
    rng = np.random.default_rng(11)
    truth = scene.first
    share = {c: (truth == c).mean() for c in CODES}
    for k in (1, 2):
        others = rng.choice(list(share), size=truth.shape, p=list(share.values()))
        seen = np.where(rng.random(truth.shape) < 0.82, truth, others)  # a third of the others hit
        raster(WORK / f"noisy{k}.tif", seen, degrees(0.001))
    r = run("noisy", ("noisy1.tif", "noisy2.tif"), moist(0.85))
    blind = run("blind", ("noisy1.tif", "noisy2.tif"), moist())
    for zone in r.zones:
        assert r.number(zone, "stock_low_t_c") <= 0 <= r.number(zone, "stock_high_t_c"), zone
    # Negative control: the mapped change is far from none where its error is left out.
    change, sd = (blind.number("city", "stock_" + c) for c in ("change_t_c", "sd_t_c"))
    assert change < 0 and blind.number("city", "change_ha", "forest") != 0 and sd > 0


def to_utm(points):
    a, b = osr.SpatialReference(), osr.SpatialReference()
    a.SetFromUserInput("EPSG:4326")
    b.SetFromUserInput(UTM)
    for s in (a, b):
        s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return [list(p[:2]) for p in osr.CoordinateTransformation(a, b).TransformPoints(points)]


def check_degrees_and_metres():
    """Land cover in degrees and in metres gives the same areas: regions of one transition each, with
    wide margins between the zones and the regions' edges, so that both maps hold the same truth."""
    half = CELLS * CELL / 2
    parts, ring = {}, []
    for k in range(4):
        x, y = WEST + half * (k % 2) + 0.03, SOUTH + half * (k // 2) + 0.03
        corners = [(x, y), (x + 0.17, y + 0.02), (x + 0.15, y + 0.16), (x + 0.01, y + 0.18)]
        ring = []
        for a, b in zip(corners, corners[1:] + corners[:1]):  # short edges: straight in both systems
            ring += [[a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t] for t in np.arange(40) / 40]
        parts[f"region-{k}"] = [[ring + ring[:1]]]
    parts["all"] = [parts[f"region-{k}"][0] for k in range(4)]
    parts["region-plain"] = [box(WEST + 0.02, SOUTH + 0.02, WEST + half - 0.02, SOUTH + half - 0.02)]
    write_zones(WORK / "regions.geojson", parts)
    change = [(10, 10), (10, 40), (95, 95), (40, 10)]

    def region(lon, lat):
        return (lat >= SOUTH + half) * 2 + (lon >= WEST + half)

    lon = WEST + 0.001 * (np.arange(PIXELS) + 0.5)
    lat = SOUTH + 0.48 - 0.001 * (np.arange(PIXELS) + 0.5)
    where = region(lon[None, :], lat[:, None])
    for m in (0, 1):
        raster(WORK / f"deg{m}.tif", np.array(change)[:, m][where], degrees(0.001))
    corners = np.array(to_utm([(x, y) for x in (112.95, 113.53) for y in (22.25, 22.83)]))
    x0, y1 = np.floor(corners[:, 0].min() / 100) * 100, np.ceil(corners[:, 1].max() / 100) * 100
    nx, ny = int((corners[:, 0].max() - x0) / 100), int((y1 - corners[:, 1].min()) / 100)
    middle = np.array(to_utm([(WEST + half, y) for y in (22.3, 22.54, 22.78)]))
    across = np.array(to_utm([(x, SOUTH + half) for x in (113.0, 113.24, 113.48)]))
    px, py = x0 + 100 * (np.arange(nx) + 0.5), y1 - 100 * (np.arange(ny) + 0.5)
    east = px[None, :] >= np.polyval(np.polyfit(middle[:, 1], middle[:, 0], 2), py)[:, None]
    north = py[:, None] >= np.polyval(np.polyfit(across[:, 0], across[:, 1], 2), px)[None, :]
    for m in (0, 1):
        raster(WORK / f"utm{m}.tif", np.array(change)[:, m][north * 2 + east], (x0, 100, 0, y1, 0, -100),
               UTM)
    # The city's grid in metres, as the scene has it, for both maps.
    grid = (f'crs: "{UTM}", box: [{x0 + 4000:.0f}, {y1 - 60000:.0f}, {x0 + 52000:.0f}, '
            f'{y1 - 12000:.0f}], cell: 1 km, patches: [{{id: p, box: [{x0 + 20000:.0f}, '
            f'{y1 - 40000:.0f}, {x0 + 24000:.0f}, {y1 - 36000:.0f}], cell: 250 m}}]')
    d = run("degrees", ("deg0.tif", "deg1.tif"), moist(0.9), grid, "regions.geojson")
    m = run("metres", ("utm0.tif", "utm1.tif"), moist(0.9), grid, "regions.geojson")
    for key, row in d.rows.items():
        if key[0].startswith("region") and key[1] == "all":
            exact = float(row["zone_area_ha"])
            close(float(row["area_1_ha"]), exact, 1e-10, what=key)
        for column in ("area_1_ha", "area_2_ha", "stock_change_t_c", "removal_t_c_yr"):
            scale = max(1, d.number(key[0], column) and abs(d.number(key[0], column)))
            close(float(m.rows[key][column]), float(row[column]), 1e-6, scale=scale, what=(key, column))
    # Mesh cells in the middle of a region take up the same too, in the map's own pixels or across.
    both = ~np.isnan(d.layer["cell_flux"]) & ~np.isnan(m.layer["cell_flux"])
    same = np.abs(d.layer["cell_flux"] - m.layer["cell_flux"])[both]
    assert both.sum() > 2000 and np.mean(same <= 1e-6 * np.nanmax(np.abs(d.layer["cell_flux"]))) > 0.9


def check_uniform():
    """1 t C/ha/yr everywhere is one flux in every cell, coarse or fine, in any pair of systems."""
    sink = pools("even", "code,gain,gain_sd\n1,1,0.25\n2,1,0.25\n3,0,0\n")
    want = -0.1 * TO_CO2 / (KG * YEAR)  # 1 t/ha = 0.1 kg m-2
    for name, crs, transform, shape in (
            ("even-deg", "EPSG:4326", (112.9, 0.001, 0, 22.9, 0, -0.001), (700, 700)),
            ("even-utm", UTM, (690000, 100, 0, 2545000, 0, -100), (900, 800))):
        raster(WORK / "e.tif", np.ones(shape, int), transform, crs)
        # A double holds 112.9 to 1.4e-14 degrees, 1.4e-11 of a cell.
        for grid, tolerance in ((None, 2e-11 if crs != UTM else 1e-6),
                                (f'crs: "{UTM}", box: [710000, 2470000, 750000, 2510000], cell: 2 km, '
                                 "patches: [{id: a, box: [714000, 2474000, 720000, 2480000], cell: 500 m}, "
                                 "{id: b, box: [730000, 2490000, 734000, 2492000], cell: 400 m}]",
                                 2e-8 if crs == UTM else 1e-6)):
            r = run(name, ("e.tif", "e.tif"), sink, grid)
            close(r.layer["cell_flux"], want, tolerance, what=(name, grid))
            close(r.layer["cell_valid"], 1, tolerance)
            # One factor moves all cells alike: a quarter of the flux, in one vector.
            close(np.sqrt((r.layer["error_factor"] ** 2).sum(0)), -want / 4, tolerance)
            assert (r.layer["error_variance"] == 0).all()


def check_outside(scene):
    """Maps that end inside the grid; a class that only cells outside the zones show; an empty zone."""
    part = scene.first[240:, :]
    raster(WORK / "half.tif", part, (WEST, 0.001, 0, SOUTH + 0.24, 0, -0.001))
    zones = city_zones()
    zones = {"south": zones["county-1"], "north": zones["county-3"], "far": [box(20, 10, 21, 11)],
             "city": zones["city"]}
    write_zones(WORK / "three.geojson", zones)
    r = run("half", ("half.tif", "half.tif"), moist(), zones="three.geojson")
    assert r.rows["north", "all"]["reason"] == r.rows["far", "all"]["reason"] == "outside the maps"
    z = r.zones.index("north")
    assert np.isnan(r.layer["zone_total"][z]) and np.isnan(r.layer["zone_sd"][z])
    assert r.layer["zone_covered"][z] == 0 and r.layer["zone_total"][r.zones.index("south")] < 0
    # Half a city: the table names the share and no more, nothing becomes the zone's total.
    edges = np.sin(np.radians([SOUTH, SOUTH + 0.24, SOUTH + 0.48]))
    share = (edges[1] - edges[0]) / (edges[2] - edges[0])
    z, reason = r.zones.index("city"), f"only {100 * share:.3g} % of the zone lies in the maps"
    assert r.rows["city", "all"]["reason"] == reason and ("warnings", "City", "no sink: " + reason) in r.facts
    assert np.isnan(r.layer["zone_total"][z]) and np.isnan(r.layer["zone_sd"][z])
    assert abs(r.layer["zone_covered"][z] - share) < 1e-4
    assert any(l == "City" and v.startswith(reason + ", and that part alone has: uptake") for _, l, v in r.facts)
    assert r.rows["south", "all"]["reason"] == ""
    assert np.isnan(r.layer["cell_flux"]).mean() > 0.4
    assert any(l == "Far" and "no statement: outside the maps" in v for _, l, v in r.facts)
    # Salt marsh (a user's legend) lies outside the zones only: a cell needs its rate, the table no row.
    maps = np.where(scene.first == 10, 1, 2)
    maps[:, 470:] = 9
    raster(WORK / "marsh.tif", maps, degrees(0.001))
    (WORK / "marsh.csv").write_text("code,name,class\n1,woods,1\n2,field,7\n9,shore,2\n")
    write_zones(WORK / "west.geojson", {"west": city_zones()["county-1"]})
    r = run("marsh", ("marsh.tif", "marsh.tif"), "legend: marsh.csv\n    factors: ipcc-tropical-moist",
            zones="west.geojson")
    assert ("west", "shrub") not in r.rows and ("west", "forest") in r.rows
    run("china", ("marsh.tif", "marsh.tif"), "legend: marsh.csv\n    factors: china-county",
        zones="west.geojson", fails=["class 2 (shrub) occurs in the maps", "china-county"])


def check_refusals(scene):
    raster(WORK / "coarse.tif", scene.first[::2, ::2], degrees(0.002))
    for command in ("check", "run"):
        run("coarse", ("lc1.tif", "coarse.tif"), fails=["lc1.tif and ", "coarse.tif are on different grids",
                                                        "480 x 480 and 240 x 240"], command=command)
    run("word", ("lc1.tif", "lc2.tif"), moist().replace("worldcover", "worldcove"),
        fails=["word.yaml:", "did you mean 'worldcover'"], command="check")
    strict = moist().split("\n    allow")[0]
    run("strict", ("lc1.tif", "lc2.tif"), strict,
        fails=["nobody verified (1)", f"'{GRASS}'", "allow_unverified"])
    base = "legend: worldcover\n    "
    for sink, parts in (
            (base + "factors: china-county\n    pools: one.csv", ["sinks[0].pools: both"]),
            (base + "cell_sd: 1", ["sinks[0].factors: required"]),
            (base + "pools: one.csv\n    soil: HAC", ["sinks[0].soil: has no effect with pools"]),
            (base + "factors: china-county\n    accuracy: 0", ["sinks[0].accuracy: 0 is not above 0"])):
        run("rule", ("lc1.tif", "lc2.tif"), sink, fails=["rule.yaml:"] + parts, command="check")
    job = WORK / "rule.yaml"
    job.write_text(job.read_text().replace("[2018, 2023]", "[2023, 2018]"))
    done = subprocess.run([BINARY, "check", str(job)], cwd=WORK, capture_output=True, text=True)
    assert "sinks[0].years[1]: 2018 is not a year in ascending order (1900 to 2200)" in done.stderr, done.stderr


shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
(WORK / "none.nc").touch()
write_zones(WORK / "zones.geojson", city_zones())
the_scene = Scene()
result = check_scene(the_scene)
check_words(result)
check_same_as_command(result)
check_minus_one()
check_no_change(the_scene)
check_degrees_and_metres()
check_uniform()
check_outside(the_scene)
check_refusals(the_scene)
