"""VPRM on real ERA5 with a stated season of EVI and LSWI, against numpy; MOD09A1 crops against numpy; the
flux file as an inventory of a job; the same bytes for any thread count.

The independent side reads the reference tables, interpolates, and sums over classes itself.
Arguments: binary, data folder, work folder, source root."""
import csv
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset
from osgeo import gdal, osr

BINARY, SHARED, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
ERA5 = SHARED / "data" / "met" / "era5_pyvprm_2022_7.nc"
MAY = SHARED / "data" / "met" / "era5_pyvprm_2022_5.nc"
CROPS = sorted((SHARED / "data" / "vegetation").glob("MOD09A1*_crop.nc"))
TABLE = SHARED / "tables" / "sinks" / "vprm_parameters.csv"
WEST, SOUTH, EAST, NORTH, CELL = 9.2, 46.5, 14.2, 49.7, 0.1
ZONES = {"in": (10.05, 47.0, 12.0, 48.3), "half": (14.0, 47.0, 14.4, 48.0), "out": (20, 47, 21, 48)}
NX, NY, FINE = 50, 32, 5  # cells, land-cover pixels in a cell along one axis
CODES = {1: "evergreen forest", 2: "deciduous forest", 3: "mixed forest", 4: "shrubland", 5: "cropland",
         6: "grassland", 9: "none"}
PSCALE = {"evergreen forest": "one", "grassland": "lswi"}
XERIC = ("shrubland", "grassland")
SETS = {"pyvprm-modis": ("vprm_base_modis.pkl (Glauch 2025 European fit, MODIS)", "Glauch 2025"),
        "eu2007": ("EU2007", "SUBROUTINE VPRM DATA")}
gdal.UseExceptions()


def run(command, *args, code=0):
    r = subprocess.run([BINARY, command, *map(str, args), "--progress=none"], cwd=WORK, capture_output=True,
                       text=True)
    assert r.returncode == code, (command, args, r.returncode, r.stderr)
    return r.stdout, r.stderr


# ---- inputs ------------------------------------------------------------------------------------

def season_of(lon, lat, day):
    """EVI and LSWI of a temperate year: leaves out in May, in from October, greener to the south."""
    leaves = 1 / (1 + np.exp(-(day - 120) / 9)) - 1 / (1 + np.exp(-(day - 285) / 12))
    evi = 0.12 + (0.42 - 0.02 * (lat - 46)) * leaves + 0.01 * np.sin(3 * lon)
    return evi, -0.05 + 0.3 * leaves + 0.02 * np.cos(5 * lat)


def write_season(name, crs=None):
    """48 steps of 8 days from 2021-12-27; a global attribute crs and x, y where it is projected."""
    step = np.arange(48) * 8.0 - 5
    x = WEST + CELL * (np.arange(NX) + 0.5)
    y = SOUTH + CELL * (np.arange(NY) + 0.5)
    if crs:
        x, y = 560e3 + 20e3 * np.arange(12), 5200e3 + 20e3 * np.arange(15)
    lon, lat = lonlat(x, y, crs)
    evi, lswi = season_of(lon[None], lat[None], step[:, None, None] + 1)
    dims = ("time", "y", "x") if crs else ("time", "lat", "lon")
    with Dataset(WORK / name, "w") as d:
        if crs:
            d.crs = crs
        for dim, n in zip(dims, evi.shape):
            d.createDimension(dim, n)
        for dim, values in zip(dims, (step, y[::-1], x)):
            v = d.createVariable(dim, "f8", (dim,))
            v[:] = values
        d["time"].units = "days since 2022-01-01 00:00:00"
        for key, values in (("evi", evi), ("lswi", lswi)):
            v = d.createVariable(key, "f8", dims)
            v.units, v[:] = "1", values[:, ::-1]  # from the north, as files do
    return lon, lat, step, evi, lswi


def lonlat(x, y, crs):
    x, y = np.meshgrid(x, y)
    if crs is None:
        return x, y
    a, b = osr.SpatialReference(), osr.SpatialReference()
    a.SetFromUserInput(crs)
    b.ImportFromEPSG(4326)
    for s in (a, b):
        s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    points = np.array(osr.CoordinateTransformation(a, b).TransformPoints(
        np.column_stack([x.ravel(), y.ravel()])))
    return points[:, 0].reshape(x.shape), points[:, 1].reshape(x.shape)


def write_zones():
    box = lambda w, s, e, n: {"type": "Polygon", "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]]}
    (WORK / "zones.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"id": i}, "geometry": box(*b)} for i, b in ZONES.items()]}))


def write_landcover():
    """Blocks of classes with noise; the westernmost cells are pure, one class a row."""
    rng = np.random.default_rng(7)
    code = rng.choice(list(CODES), (NY * FINE, NX * FINE), p=[.2, .15, .1, .05, .2, .2, .1]).astype(np.uint8)
    for iy in range(NY):  # row 0 in the south
        code[iy * FINE:(iy + 1) * FINE, :3 * FINE] = list(CODES)[iy % 7]
    d = gdal.GetDriverByName("GTiff").Create(str(WORK / "cover.tif"), NX * FINE, NY * FINE, 1, gdal.GDT_Byte)
    d.SetGeoTransform((WEST, CELL / FINE, 0, NORTH, 0, -CELL / FINE))
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(4326)
    d.SetProjection(srs.ExportToWkt())
    d.GetRasterBand(1).SetNoDataValue(255)
    d.GetRasterBand(1).WriteArray(code[::-1])
    with open(WORK / "codes.csv", "w") as f:
        f.write("code,class\n" + "".join(f"{k},{v}\n" for k, v in CODES.items()))
    return code


# ---- the independent side ----------------------------------------------------------------------

def parameters(name):
    table, warmth = SETS[name]
    with open(TABLE, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))

    def value(parameter, stratum, source):
        (row,) = [r for r in rows if r["parameter"].split(" (")[0] == parameter and r["table"] == source
                  and r["stratum"] == stratum]
        return float(row["value"]), row["unit"]

    out = {}
    for cls in CODES.values():
        if cls == "none":
            continue
        p = {k: value(f"VPRM {k}", cls, table)[0] for k in ("lambda", "PAR0", "alpha", "beta")}
        p.update({k: value(f"VPRM {k}", cls, warmth)[0] for k in ("Tmin", "Topt", "Tmax")})
        p["Tlow"] = value("VPRM Tlow", cls, "Glauch 2025")[0]
        p["shortwave"] = "W/m2" in value("VPRM lambda", cls, table)[1]
        assert p["shortwave"] == (value("VPRM PAR0", cls, table)[1] == "W/m2")
        out[cls] = p
    return out


def band(lat):
    e = np.sqrt(0.0066943799901413165)
    s = np.sin(np.radians(lat))
    return s / (1 - (e * s) ** 2) + np.arctanh(e * s) / e


def shares(code):
    edge = band(SOUTH + CELL / FINE * np.arange(NY * FINE + 1))
    row = np.diff(edge)[:, None] * np.ones(NX * FINE)
    total = row.reshape(NY, FINE, NX, FINE).sum((1, 3))
    return {v: ((code == k) * row).reshape(NY, FINE, NX, FINE).sum((1, 3)) / total
            for k, v in CODES.items() if v != "none"}


def met_at(lon, lat, path=ERA5):
    """K and W m-2 of each hour at points, bilinear over what is not NaN; temperature of mid-hour."""
    with Dataset(path) as d:
        d.set_auto_mask(False)
        x, y = d["lon"][:], d["lat"][::-1]
        t, s = (d[n][:, ::-1] for n in ("t2m", "ssrd"))
    t = np.concatenate([t[:1], (t[1:] + t[:-1]) / 2])
    ix = np.clip(((lon - x[0]) / (x[-1] - x[0]) * (x.size - 1)).astype(int), 0, x.size - 2)
    iy = np.clip(((lat - y[0]) / (y[-1] - y[0]) * (y.size - 1)).astype(int), 0, y.size - 2)
    wx, wy = (lon - x[ix]) / (x[ix + 1] - x[ix]), (lat - y[iy]) / (y[iy + 1] - y[iy])
    out = []
    for v in (t, s / 3600):
        total = weight = 0
        for j, i, w in ((0, 0, (1 - wx) * (1 - wy)), (0, 1, wx * (1 - wy)), (1, 0, (1 - wx) * wy),
                        (1, 1, wx * wy)):
            part = v[:, iy + j, ix + i]
            total = total + w * np.nan_to_num(part)
            weight = weight + w * ~np.isnan(part)
        out.append(np.where(weight >= 0.01, total / weight, np.nan))
    return out


def vprm(name, share, kelvin, light, step, evi, lswi, month_start, sign_check=None):
    """umol m-2 s-1 at every hour that ends at 00:00, 01:00 … of the month."""
    hours = kelvin.shape[0]
    # the day of the middle of each hour, its noon as days since 2022-01-01
    noon = np.floor(month_start + (np.arange(hours) - 0.5) / 24) + 0.5
    at = np.clip(np.searchsorted(step, noon, "right") - 1, 0, step.size - 2)
    w = ((noon - step[at]) / (step[at + 1] - step[at]))[:, None, None]
    e, l = ((1 - w) * v[at] + w * v[at + 1] for v in (evi, lswi))
    emin, emax, lmin, lmax = evi.min(0), evi.max(0), lswi.min(0), lswi.max(0)
    c = kelvin - 273.15
    gpp = reco = 0.0
    for cls, p in parameters(name).items():
        ts = (c - p["Tmin"]) * (c - p["Tmax"])
        ts = np.where((c > p["Tmin"]) & (c < p["Tmax"]), ts / (ts - (c - p["Topt"]) ** 2), 0)
        ps = {"one": np.ones_like(e), "lswi": (1 + l) / 2}.get(
            PSCALE.get(cls), np.where(e >= emin + 0.55 * (emax - emin), 1, (1 + l) / 2))
        ws = (l - lmin) / (lmax - lmin) if cls in XERIC else (1 + l) / (1 + lmax)
        drive = light if p["shortwave"] else light / 0.505
        gpp = gpp + share[cls] * p["lambda"] * ts * ps * ws * e * drive / (1 + drive / p["PAR0"])
        reco = reco + share[cls] * np.maximum(p["alpha"] * np.maximum(c, p["Tlow"]) + p["beta"], 0)
    return gpp, reco


def load(name):
    with Dataset(WORK / name) as d:
        d.set_auto_mask(False)
        return {k: d[k][:].astype(float) for k in ("nee", "gpp", "respiration", "time", "time_bnds")}


def close(got, want, what, tolerance=1e-6):
    assert got.shape == want.shape, (what, got.shape, want.shape)
    assert np.array_equal(np.isnan(got), np.isnan(want)), what
    off = np.nanmax(np.abs(got - want)) / np.nanmax(np.abs(want))
    assert off <= tolerance, (what, off)
    return off


# ---- the tests ---------------------------------------------------------------------------------

def check_era5(lon, lat, step, evi, lswi, code):
    share = shares(code)
    kelvin, light = met_at(lon, lat)
    worst = 0
    for name in SETS:
        out, log = run("vprm", ERA5, "--season", "season.nc", "--landcover", "cover.tif", "--classes",
                       "codes.csv", "--set", name, "-o", f"{name}.nc", "--map", f"{name}.tif", "--zones",
                       "zones.geojson", "--id", "id", "--table", f"{name}.csv", "--json")
        assert "fitted on towers of Europe" in log
        got = load(f"{name}.nc")
        gpp, reco = vprm(name, share, kelvin, light, step, evi, lswi, 181)
        assert np.isfinite(got["nee"]).all()
        for key, want in (("gpp", gpp), ("respiration", reco), ("nee", reco - gpp)):
            worst = max(worst, close(got[key], want, (name, key)))
        dark = light == 0
        assert dark.mean() > 0.2 and (got["gpp"][dark] == 0).all()  # night
        assert (got["gpp"] >= 0).all() and (got["respiration"] >= 0).all()
        r = json.loads(out)
        assert r["hours"] == 744 and r["cells_valid"] == NX * NY
        assert r["mean"]["nee"] < 0 < r["mean"]["gpp"]  # July: a sink
        assert r["start"].startswith("2022-06-30T23") and r["end"].startswith("2022-07-31T23")
        last = {k: v * (k == "grassland") for k, v in share.items()}  # control: the last class alone
        wrong, _ = vprm(name, last, kelvin, light, step, evi, lswi, 181)
        assert np.nanmax(np.abs(wrong - gpp)) > 0.1 * np.nanmax(gpp)
    print(f"largest difference from numpy {worst:.2e} of the range")
    return load("pyvprm-modis.nc")


def check_ranges(flux):
    """Pure cells in July: midday and daily means within what towers of Central Europe see."""
    day = flux["gpp"].mean(0) * 12.011e-6 * 86400  # gC m-2 d-1
    night = flux["respiration"].mean(0) * 12.011e-6 * 86400
    for iy in range(14):
        cls = list(CODES.values())[iy % 7]
        g, r, top = day[iy, 1], night[iy, 1], flux["gpp"][:, iy, 1].max()
        if cls == "none":
            assert g < 1e-9 and r < 1e-9, (g, r)  # but for rounding of edges
            continue
        low, high = (0.5, 10) if cls == "shrubland" else (3, 20)
        assert low < g < high and 0.8 < r < 12 and 3 < top < 60, (cls, g, r, top)


def check_fractions(flux, code):
    share = shares(code)
    args = []
    for k, (cls, v) in enumerate(share.items()):
        d = gdal.GetDriverByName("GTiff").Create(str(WORK / f"f{k}.tif"), NX, NY, 1, gdal.GDT_Float64)
        d.SetGeoTransform((WEST, CELL, 0, NORTH, 0, -CELL))
        srs = osr.SpatialReference()
        srs.ImportFromEPSG(4326)
        d.SetProjection(srs.ExportToWkt())
        d.GetRasterBand(1).WriteArray(v[::-1])
        d = None
        args += ["--fraction", f"{cls}=f{k}.tif"]
    base = ["vprm", ERA5, "--season", "season.nc", "--set", "pyvprm-modis"]
    run(*base, *args, "-o", "fractions.nc")
    close(load("fractions.nc")["nee"], flux["nee"], "fractions", 1e-6)
    _, log = run(*base, *args, *args[:2], "-o", "twice.nc", code=2)
    assert "class 'evergreen forest' twice" in log, log
    _, log = run(*base, "--fraction", "moss=f0.tif", "-o", "moss.nc", code=3)
    assert "has no class 'moss'" in log and "grassland" in log, log
    assert not (WORK / "twice.nc").exists() and not (WORK / "moss.nc").exists()


def check_projected():
    lon, lat, step, evi, lswi = write_season("utm.nc", "EPSG:32632")
    d = gdal.GetDriverByName("GTiff").Create(str(WORK / "all.tif"), 12, 15, 1, gdal.GDT_Float64)
    d.SetGeoTransform((550e3, 20e3, 0, 5490e3, 0, -20e3))
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(32632)
    d.SetProjection(srs.ExportToWkt())
    d.GetRasterBand(1).WriteArray(np.full((15, 12), 0.75))
    d = None
    run("vprm", MAY, "--season", "utm.nc", "--fraction", "mixed forest=all.tif", "--set", "eu2007", "-o",
        "utm_flux.nc")
    share = {v: 0.75 * (v == "mixed forest") for v in CODES.values()}
    gpp, reco = vprm("eu2007", share, *met_at(lon, lat, MAY), step, evi, lswi, 120)
    got = load("utm_flux.nc")
    close(got["nee"], reco - gpp, "projected")


def check_threads():
    for n in (1, 2, 5):
        run("vprm", "hour.nc", "--season", "season.nc", "--landcover", "cover.tif", "--classes", "codes.csv", "--set",
            "eu2007", "-o", f"t{n}.nc", "--map", f"t{n}.tif", "--threads", n)
        run("indices", *CROPS, "--box=-59.9,-2.4,-58.6,-1.9", "--cell", 0.02, "-o", f"i{n}.nc", "--threads", n)
    for n in (2, 5):
        for name in ("t{}.nc", "t{}.tif", "i{}.nc"):
            assert (WORK / name.format(1)).read_bytes() == (WORK / name.format(n)).read_bytes(), (name, n)


def check_accumulated():
    """ERA5-Land accumulates since 00 UTC: the same fluxes come out, found by itself and when told."""
    with Dataset(ERA5) as d:
        lon, lat, t, s = (np.ma.filled(d[n][:].astype(float), np.nan) for n in ("lon", "lat", "t2m", "ssrd"))
        units = d["time"].units
    s = np.nan_to_num(s[:72])
    total = s.copy()
    for i in range(1, 72):
        if i % 24 != 1:  # the hour that ends at 01 begins anew
            total[i] += total[i - 1]
    total[0] += 5e6  # hours of the day before the file begins
    for name, values in (("hour.nc", s), ("day.nc", total)):
        with Dataset(WORK / name, "w") as d:
            for dim, v in (("valid_time", np.arange(72.0)), ("latitude", lat), ("longitude", lon)):
                d.createDimension(dim, v.size)
                d.createVariable(dim, "f8", (dim,))[:] = v
            d["valid_time"].units = units
            for key, v, unit in (("t2m", t[:72] - 273.15, "degC"), ("ssrd", values, "J m**-2")):
                x = d.createVariable(key, "f8", ("valid_time", "latitude", "longitude"))
                x.units, x[:] = unit, v
    base = ["--season", "season.nc", "--landcover", "cover.tif", "--classes", "codes.csv", "--set", "eu2007"]
    run("vprm", "hour.nc", *base, "-o", "a.nc")
    _, log = run("vprm", "day.nc", *base, "-o", "b.nc")
    assert "since 00 UTC" in log
    run("vprm", "day.nc", *base, "-o", "c.nc", "--accumulated", "day")
    a, b = load("a.nc"), load("b.nc")
    assert b["time"].size == 71 and np.array_equal(a["time"][1:], b["time"])  # the first hour is not known
    close(b["nee"], a["nee"][1:], "accumulated", 1e-6)
    assert (WORK / "b.nc").read_bytes() == (WORK / "c.nc").read_bytes()
    _, log = run("vprm", "day.nc", *base, "-o", "d.nc", "--accumulated", "hour", code=3)
    assert "W m-2" in log and not (WORK / "d.nc").exists()
    # W m-2 under the name of the sum: without a unit that would be night for ever, so it is asked for.
    shutil.copy(WORK / "hour.nc", WORK / "rate.nc")
    with Dataset(WORK / "rate.nc", "a") as d:
        d["ssrd"][:] = d["ssrd"][:] / 3600
        d["ssrd"].delncattr("units")
    _, log = run("vprm", "rate.nc", *base, "-o", "d.nc", code=3)
    assert "rate.nc: ssrd states no unit" in log and "W m-2" in log and not (WORK / "d.nc").exists(), log
    with Dataset(WORK / "rate.nc", "a") as d:
        d.renameVariable("ssrd", "msdwswrf")
    run("vprm", "rate.nc", *base, "-o", "d.nc")
    close(load("d.nc")["nee"], a["nee"], "rate", 1e-6)
    (WORK / "d.nc").unlink()
    _, log = run("vprm", MAY, ERA5, *base, "-o", "d.nc", code=3)
    assert "the file before it ends at" in log, log


def check_zones(flux):
    with open(WORK / "pyvprm-modis.csv", newline="") as f:
        rows = {r["zone_id"]: r for r in csv.DictReader(line for line in f if line[0] != "#")}
    e2 = 0.0066943799901413165
    lat, lon = SOUTH + CELL * np.arange(NY + 1), WEST + CELL * np.arange(NX + 1)
    rate = flux["nee"].mean(0)
    for name, covered in (("in", 1.0), ("half", 0.5)):
        w, s, e, n = ZONES[name]
        rows_in = np.diff(band(np.clip(lat, s, n))) * 0.5 * 6378137.0 ** 2 * (1 - e2)
        columns = np.radians(np.diff(np.clip(lon, w, e)))
        want = (rate * rows_in[:, None] * columns).sum() * 1e-6 * 0.0440095 * 744 * 3600 / 1000
        assert abs(float(rows[name]["nee"]) / want - 1) < 2e-6, (name, rows[name], want)
        assert abs(float(rows[name]["covered"]) - covered) < 1e-6
    assert rows["out"]["nee"] == "" and rows["out"]["reason"] == "no cell with fluxes"
    assert rows["in"]["unit"] == "t CO2"


def check_inventory(flux):
    """The flux file as an inventory: the layer that an inversion starts from or adds is the mean NEE."""
    (WORK / "none.nc").write_text("")
    (WORK / "job.yaml").write_text(f"""job: {{name: land, output: land}}
period: {{start: 2022-07-01, end: 2022-07-31}}
grid: {{box: [{WEST}, {SOUTH}, {EAST}, {NORTH}], cell: {CELL} degree}}
soundings: [{{files: [none.nc], gases: [co2]}}]
inventories: [{{id: nee, gas: co2, file: pyvprm-modis.nc, variable: nee}}]
zones: {{file: zones.geojson, id: id}}
""")
    run("run", "job.yaml", "--stage", "inventory-nee")
    with Dataset(WORK / "land" / "stages" / "inventory-nee.nc") as d:
        got = d["cell_flux"][:].astype(float).reshape(NY, NX)
    inside = (flux["time"] >= 19174 * 86400) & (flux["time"] < 19204 * 86400)  # of the period
    assert inside.sum() == 720
    want = flux["nee"][inside].mean(0) * 1e-6
    close(np.ma.filled(got, np.nan), want, "inventory", 1e-9)
    tif = gdal.Open(str(WORK / "pyvprm-modis.tif")).ReadAsArray()[::-1]
    close(tif.astype(float), flux["nee"].mean(0), "map", 2e-6)
    assert (want < 0).any()


def check_crops():
    """EVI and LSWI of every pixel on the crops' own grid; two composites are joined by a line."""
    images = []
    for path in CROPS:
        with Dataset(path) as d:
            d.set_auto_mask(False)
            b1, b2, b3, b6, state, qc = (d[f"sur_refl_{n}"][:].astype(float) for n in
                                         ("b01", "b02", "b03", "b06", "state_500m", "qc_500m"))
            x, y = d["x"][:], d["y"][:]
        there = ~np.isnan(b1 + b2 + b3 + b6 + state + qc)
        s, q = (np.where(there, v, 0).astype(np.int64) for v in (state, qc))
        good = there & ~np.isin(s & 3, (1, 2)) & (s & 4 == 0) & (s >> 6 & 3 != 3) & (s & 0x9400 == 0)
        for number in (1, 2, 3, 6):
            good &= q >> (4 * number - 2) & 15 == 0
        with np.errstate(invalid="ignore", divide="ignore"):
            evi, lswi = 2.5 * (b2 - b1) / (b2 + 6 * b1 - 7.5 * b3 + 1), (b2 - b6) / (b2 + b6)
            good &= (np.abs(evi) <= 1) & (np.abs(lswi) <= 1)
        images.append([np.where(good, v, np.nan)[::-1] for v in (evi, lswi)])
    cell = (x[-1] - x[0]) / (x.size - 1)
    w, e, s, n = x[0] - cell / 2, x[-1] + cell / 2, y[-1] - cell / 2, y[0] + cell / 2
    out, log = run("indices", *CROPS, "--crs", "+proj=sinu +lon_0=0 +R=6371007.181 +units=m +no_defs +type=crs",
                   f"--box={w!r},{s!r},{e!r},{n!r}".replace("np.float64(", "").replace(")", ""), "--cell",
                   f"{float(cell)!r} m", "-o", "crops.nc", "--json")
    with Dataset(WORK / "crops.nc") as d:
        d.set_auto_mask(False)
        series = [d[k][:].astype(float) for k in ("evi", "lswi")]
    assert series[0].shape[0] == 17  # 128 days
    counts = []
    for k in range(2):
        first, last = images[0][k], images[1][k]
        part = np.linspace(0, 1, 17)[:, None, None]
        line = (1 - part) * first + part * last
        want = np.where(np.isnan(first), last, np.where(np.isnan(last), first, line))
        close(series[k], want, ("crops", k), 1e-6)
        counts = [int((~np.isnan(i[k])).sum()) for i in images]
    r = json.loads(out)
    assert r["pixels_good"] == sum(counts) and min(counts) > 1000, (r, counts)
    forest = np.nanmedian(images[1][0])
    assert 0.3 < forest < 0.7, forest  # the Amazon in September
    print(f"good pixels {counts}, median EVI {forest:.3f}")
    _, log = run("indices", CROPS[0], "--box=-59.9,-2.4,-58.6,-1.9", "--cell", 0.02, "-o", "one.nc", code=4)
    assert "one composite is no season" in log and not (WORK / "one.nc").exists()
    _, log = run("indices", ERA5, ERA5, "--box=-59.9,-2.4,-58.6,-1.9", "--cell", 0.02, "-o", "one.nc", code=3)
    assert "sur_refl_b01: variable missing" in log


def check_tables():
    """The table is the reference's, byte for byte, every row with a source; the sets take verified rows."""
    own = pathlib.Path(sys.argv[4]) / "ancillary" / "vprm_parameters.csv"
    assert own.read_bytes() == TABLE.read_bytes()
    with open(own, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 221 and all(r["source"] for r in rows)
    with open(own.with_name("vprm_sets.csv"), newline="", encoding="utf-8") as f:
        sets = list(csv.DictReader(line for line in f if line[0] != "#"))
    for s in sets:
        taken = [r for r in rows if r["table"] == s["table"] and r["stratum"] == s["stratum"]]
        assert len(taken) == 4 and all(r["verified"] == "yes" for r in taken), s


def check_errors():
    base = ["vprm", ERA5, "--season", "season.nc", "--set", "eu2007", "-o", "no.nc"]
    (WORK / "short.csv").write_text("code,class\n1,evergreen forest\n")
    (WORK / "wrong.csv").write_text("code,class\n1,moss\n")
    for part, code, args in (
            ("has no row in short.csv", 3, ["--landcover", "cover.tif", "--classes", "short.csv"]),
            ("wrong.csv:2: parameter set eu2007 has no class 'moss'", 3,
             ["--landcover", "cover.tif", "--classes", "wrong.csv"]),
            ("either by --landcover", 2, ["--landcover", "cover.tif"])):
        _, log = run(*base, *args, code=code)
        assert part in log, log
        assert not (WORK / "no.nc").exists()
    _, log = run("vprm", ERA5, "--season", "crops.nc", "--fraction", "mixed forest=f0.tif", "--set", "eu2007", "-o",
                 "no.nc", code=3)
    assert "f0.tif" in log or "outside the grid" in log, log


def main():
    if not ERA5.exists() or len(CROPS) != 2:
        print("skipped: no real meteorology at", ERA5)
        return 77
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    lon, lat, step, evi, lswi = write_season("season.nc")
    code = write_landcover()
    write_zones()
    flux = check_era5(lon, lat, step, evi, lswi, code)
    check_ranges(flux)
    check_fractions(flux, code)
    check_projected()
    check_accumulated()
    check_threads()
    check_zones(flux)
    check_inventory(flux)
    check_crops()
    check_tables()
    check_errors()
    return 0


sys.exit(main())
