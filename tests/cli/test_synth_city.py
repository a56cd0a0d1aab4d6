"""The invented city: real products' structures, deterministic, physical, errors as stated.

Arguments: skyflux, data folder, work folder, source folder.
"""
import csv
import glob
import json
import math
import os
import re
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from osgeo import gdal, ogr, osr

gdal.UseExceptions()
SKYFLUX, DATA, WORK = (os.path.abspath(a) for a in sys.argv[1:4])
LAYOUTS = DATA + "/layouts/"
SAM, S5P, TCCON = "oco3_LtCO2_*.nc4", "S5P_TEST_L2__CH4____*.nc", "x*.public.qc.nc"
BOX = (110.60, 21.32, 111.20, 21.88)
COUNTIES = ["county-1", "county-2", "county-3", "county-4"]
SECONDS, MOLAR = 365.2425 * 86400, {"co2": 44.0095e-3, "ch4": 16.0425e-3, "n2o": 44.0128e-3}


def skyflux(*args, cwd=WORK, code=0):
    done = subprocess.run([SKYFLUX, *args], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


def make(name, *args):
    """The scene in WORK/name/city: its path is part of city.yaml only."""
    os.makedirs(f"{WORK}/{name}")
    skyflux("synth", "city", "city", *args, cwd=f"{WORK}/{name}")
    return f"{WORK}/{name}/city"


def files(scene):
    return sorted(os.path.relpath(f, scene) for f in glob.glob(scene + "/**", recursive=True, include_hidden=True)
                  if os.path.isfile(f))


def read(path, *names):
    with netCDF4.Dataset(path) as f:
        f.set_auto_mask(False)
        return [f[n][:].astype(float) for n in names]


# ---- bytes ----


def check_bytes(scene, again, other, matched, strong):
    names = files(scene)
    assert not [f for f in names if os.path.basename(f).startswith(".") or f.startswith(".")], names
    assert sum(os.path.getsize(f"{scene}/{f}") for f in names) < 5e6
    same = lambda a, b, f: open(f"{a}/{f}", "rb").read() == open(f"{b}/{f}", "rb").read()
    for f in names:
        assert same(scene, again, f), f
        drawn = f.startswith(("soundings/", "truth")) and f != "truth/README.txt" or f == "city.yaml"
        assert same(scene, other, f) != drawn, f  # the seed draws truth and errors only
        drawn = drawn or f == "truth/README.txt"
        assert same(scene, matched, f) != drawn, f
    assert names == files(matched) == files(strong)
    for f in ("activity.csv", "factors.csv", "truth.csv", "truth/README.txt", "city.yaml"):
        assert not same(scene, strong, f), f
    for f in ("activity.csv", "truth/README.txt", "city.yaml"):
        text = open(f"{strong}/{f}").read()
        assert re.search("strong source of N2O", text), f


# ---- structure ----


def variables(group, path=""):
    for name, variable in group.variables.items():
        yield path + "/" + name, variable
    for name, child in group.groups.items():
        yield from variables(child, path + "/" + name)


def signature(variable):
    keep = ("units", "_FillValue", "missing_value", "scale_factor", "add_offset", "standard_name", "long_name",
            "calendar", "flag_values")
    attributes = {k: str(variable.getncattr(k)) for k in keep if k in variable.ncattrs()}
    return str(variable.dtype), variable.dimensions, attributes


def differences(path, real_path, sizes, own=()):
    with netCDF4.Dataset(path) as made, netCDF4.Dataset(real_path) as real:
        known = {name: signature(v) for name, v in variables(real)}
        found = [n for n, v in variables(made) if n not in own and known.get(n) != signature(v)]
        for where, name in sizes:
            a, b = (f[where] if where else f for f in (made, real))
            if len(a.dimensions[name]) != len(b.dimensions[name]):
                found.append(name)
        return found


def check_structure(scene):
    """Types, dimensions, units, fills and names of real files; and every variable stands in the layout notes."""
    cases = ((SAM, "acos_oco_lite/*.nc4", [("", "levels"), ("", "epoch_dimension")], "oco_lite.md",
              ("/sounding_id", "/xco2_qf_bitflag", "/vertex_latitude", "/vertex_longitude",
               "/Sounding/operation_mode", "/Sounding/footprint", "/Sounding/orbit")),
             (S5P, "tropomi_ch4/*_07293_*.nc4", [("PRODUCT", d) for d in ("time", "corner", "layer", "level")],
              None, ()),
             (TCCON, "openghg_column/*.public.qc.nc", [("", "prior_altitude"), ("", "ak_altitude")], None, ()))
    skipped = []
    for pattern, real_pattern, sizes, layout, own in cases:
        real = sorted(glob.glob(f"{DATA}/data/{real_pattern}"))
        made = sorted(glob.glob(f"{scene}/soundings/{pattern}"))
        assert made, pattern
        if not real:
            skipped.append(real_pattern)
            continue
        for path in made:
            assert differences(path, real[0], sizes, own) == [], path
    text = LAYOUTS + "oco_lite.md"
    if os.path.exists(text):
        note = open(text).read()
        with netCDF4.Dataset(glob.glob(f"{scene}/soundings/{SAM}")[0]) as f:
            for name, v in variables(f):
                name = name.split("/")[-1]
                stem = re.sub(r"_(o2a|wco2|sco2|total|latitude|longitude)$", "_", name)
                said = name in note or stem + "*" in note or stem in note
                assert said or name.endswith("azimuth_angle") and "azimuth_angle" in note, name
            assert f["sounding_id"].dtype == np.uint64 and len(f.dimensions["vertices"]) == 4
            assert (f["Sounding/operation_mode"][:] == 4).all()
            day = os.path.basename(f.filepath())[11:17]
            assert all(len(str(i)) == 16 and str(i)[2:8] == day for i in f["sounding_id"][:].data)
    return skipped


def check_orientation(scene):
    for path in glob.glob(f"{scene}/soundings/{SAM}"):
        p, w, ca, prior, ak, ps, x, flag, day, t = read(
            path, "pressure_levels", "pressure_weight", "co2_profile_apriori", "xco2_apriori",
            "xco2_averaging_kernel", "Retrieval/psurf", "xco2", "xco2_quality_flag", "date", "time")
        assert (np.diff(p) > 0).all() and np.allclose(p[:, -1], ps, rtol=1e-6)  # space to surface
        assert np.abs(w.sum(1) - 1).max() < 1e-6 and np.abs((w * ca).sum(1) - prior).max() < 0.004
        assert (ak[:, 0] < 0.5).all() and (ak[:, -1] > 1).all()
        assert (x > 400).all() and (x < 440).all() and 60 < (flag == 1).sum() < 300
        when = np.datetime64("1970-01-01") + np.floor(t).astype("timedelta64[s]")
        parts = [np.datetime64(f"{int(y)}-{int(m):02d}-{int(d):02d}T{int(h):02d}:{int(n):02d}:{int(s):02d}")
                 for y, m, d, h, n, s in day]
        assert (when == np.array(parts)).all()
    real = glob.glob(f"{DATA}/data/openghg_column/*.public.qc.nc")
    for path in glob.glob(f"{scene}/soundings/{TCCON}"):
        z, za, p, op, water, n2o, prior, lat, lon = read(
            path, "prior_altitude", "ak_altitude", "prior_pressure", "integration_operator", "prior_h2o",
            "prior_n2o", "prior_xn2o", "lat", "long")
        assert (np.diff(p) < 0).all() and (z == za).all()
        if real:
            assert np.allclose(z, read(real[0], "prior_altitude")[0], atol=1e-4)
        assert np.abs((op * (1 - water)).sum(1) - 1).max() < 1e-5
        assert np.abs((op * n2o).sum(1) / prior - 1).max() < 1e-5


# ---- ground ----


def check_zones(scene):
    src, dst = osr.SpatialReference(), osr.SpatialReference()
    src.ImportFromEPSG(4326)
    src.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    dst.ImportFromEPSG(32649)
    move = osr.CoordinateTransformation(src, dst)
    shape, level = {}, {}
    for feature in json.load(open(scene + "/zones.geojson"))["features"]:
        g = ogr.CreateGeometryFromJson(json.dumps(feature["geometry"]))
        g.Transform(move)
        assert g.IsValid(), feature["properties"]
        shape[feature["properties"]["id"]], level[feature["properties"]["id"]] = g, feature["properties"]["level"]
        west, east, south, north = g.GetEnvelope()
        assert 466000 < west and east < 514000 and 2365000 < south and north < 2413000
    assert sorted(level.values()) == ["city"] + 4 * ["county"] + 2 * ["park"]
    counties = sum(shape[c].GetArea() for c in COUNTIES)
    assert abs(counties / shape["city"].GetArea() - 1) < 1e-9
    for a in COUNTIES:
        for b in COUNTIES:
            assert a == b or shape[a].Intersection(shape[b]).Buffer(0).GetArea() < 1  # m2: shared borders
    for park, county, west, south in (("park-east", "county-3", 499000, 2377000),
                                      ("park-west", "county-1", 477000, 2395000)):
        w, e, s, n = shape[park].GetEnvelope()
        assert west < w and e < west + 4000 and south < s and n < south + 4000
        assert shape[park].Within(shape[county])


def check_cover(scene):
    first, second = (gdal.Open(f"{scene}/landcover/lc{y}.tif").ReadAsArray() for y in (2018, 2023))
    for cover in (first, second):
        assert set(np.unique(cover)) == {10, 30, 40, 50, 80, 90, 95}
    changed = lambda a, b: ((first == a) & (second == b)).sum()
    assert changed(10, 50) > 100 and changed(40, 10) > 500 and changed(40, 50) > 500 and changed(80, 95) > 20
    assert changed(50, 10) == changed(50, 40) == 0 and (first != second).mean() < 0.05


def check_account(scene, strong):
    total = {}
    for name, path in (("city", scene), ("strong", strong)):
        out = json.loads(skyflux("account", path + "/activity.csv", "--year", "2023", "--electricity", "provincial",
                                 "--region", "Guangdong", "--factors", path + "/factors.csv", "--json"))
        for row in out["totals"]:
            key = name, row["gas"], row["scope"]
            total[key] = total.get(key, 0) + row["emission_t"]
    scope1 = lambda name, gas: next(v for k, v in total.items() if k[:2] == (name, gas) and "1" in str(k[2]))
    assert 25e6 < scope1("city", "co2") < 35e6 and 100e3 < scope1("city", "ch4") < 150e3, total
    assert 1.5e3 < scope1("city", "n2o") < 2.5e3 and 35e3 < scope1("strong", "n2o") < 50e3, total


# ---- transport ----


def check_winds(scene):
    """ERA5's conventions; and the wind of a footprint is that of the fields, interpolated."""
    path = scene + "/era5_2023.nc"
    with netCDF4.Dataset(path) as f:
        assert f["valid_time"].units == "seconds since 1970-01-01" and f["u10"].dimensions == (
            "valid_time", "latitude", "longitude") and f["u100"].units == "m s**-1"
    t, lat, lon, u, v, blh, sp, t2m, u10 = read(path, "valid_time", "latitude", "longitude", "u100", "v100", "blh",
                                               "sp", "t2m", "u10")
    assert (np.diff(lat) == -0.25).all() and (np.diff(lon) == 0.25).all() and set(np.diff(t)) >= {3600}
    assert 1 < np.hypot(u, v).min() and np.hypot(u, v).max() < 8 and (np.abs(u10) <= np.abs(u)).all()
    assert 200 < blh.min() and 1000 < blh.max() < 2000 and (sp > 98000).all() and (abs(t2m - 292) < 12).all()
    for name in glob.glob(scene + "/footprints/*.nc"):
        start, x, y, speed, direction = read(name, "time", "release_lon", "release_lat", "wind_speed", "wind_direction")
        with netCDF4.Dataset(name) as f:
            half = 1800 * float(f["time"].period.split()[0])
        when = start + 1672531200 + half

        def at(field):
            out = []
            for k in range(len(when)):
                h = np.searchsorted(t, when[k], side="right") - 1
                a = (when[k] - t[h]) / 3600
                i, j = (x[k] - lon[0]) / 0.25, (lat[0] - y[k]) / 0.25
                p, q = int(i), int(j)
                corner = [(1 - a) * field[h, q + m, p + n] + a * field[h + 1, q + m, p + n] for m in (0, 1) for n in (0, 1)]
                i, j = i - p, j - q
                out.append((1 - j) * ((1 - i) * corner[0] + i * corner[1]) + j * ((1 - i) * corner[2] + i * corner[3]))
            return np.array(out)

        e, n = at(u), at(v)
        assert np.abs(np.hypot(e, n) - speed).max() < 1e-3, name
        turn = (np.degrees(np.arctan2(-e, -n)) - direction + 180) % 360 - 180
        assert np.abs(turn).max() < 0.05, name


def good_soundings(path):
    """lon, lat, time, retrieved column minus a-priori column (mol mol-1), kept by the product's rule and in the box."""
    name = os.path.basename(path)
    if name.startswith("oco3"):
        lon, lat, t, x, prior, bad = read(path, "longitude", "latitude", "time", "xco2", "xco2_apriori",
                                          "xco2_quality_flag")
        keep, y = bad == 0, 1e-6 * (x - prior)
    elif name.startswith("S5P"):
        base = "PRODUCT/SUPPORT_DATA/"
        lon, lat, day, delta, x, qa, kind, air, prior = read(
            path, "PRODUCT/longitude", "PRODUCT/latitude", "PRODUCT/time", "PRODUCT/delta_time",
            "PRODUCT/methane_mixing_ratio_bias_corrected", "PRODUCT/qa_value",
            base + "INPUT_DATA/surface_classification", base + "INPUT_DATA/dry_air_subcolumns",
            base + "INPUT_DATA/methane_profile_apriori")
        t = (1262304000 + day[0] + delta[0][:, None] / 1000 + 0 * lat[0]).ravel()
        y = (1e-9 * x - prior.sum(-1) / air.sum(-1)).ravel()
        lon, lat, qa, kind = lon.ravel(), lat.ravel(), qa.ravel(), kind.ravel().astype(int)
        keep = (qa >= 0.5) & ((kind & 0xF9) != 184) & ((kind & 3) != 1)
    else:
        lon, lat, t, x, prior = read(path, "long", "lat", "time", "xn2o", "prior_xn2o")
        keep, y = x > 0, 1e-9 * (x - prior)
    keep = keep & (lon >= BOX[0]) & (lon <= BOX[2]) & (lat >= BOX[1]) & (lat <= BOX[3])
    return lon[keep], lat[keep], t[keep], y[keep]


def mesh_sensitivity(lon, lat, fp):
    """Rows of footprints (lat, lon, receptor) on the cells of the job's mesh, by 12 x 12 points in each cell: not
    the program's own splitting."""
    src, dst = osr.SpatialReference(), osr.SpatialReference()
    src.ImportFromEPSG(4326)
    src.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    dst.ImportFromEPSG(32649)
    move = osr.CoordinateTransformation(src, dst)
    sub = (np.arange(12) + 0.5) / 12 - 0.5
    i, j, a, b = np.meshgrid(np.arange(len(lat)), np.arange(len(lon)), sub, sub, indexing="ij")
    points = np.column_stack(((lon[j] + 0.01 * b).ravel(), (lat[i] + 0.01 * a).ravel()))
    xy = np.array(move.TransformPoints(points))[:, :2]
    cell = mesh_cell(xy[:, 0], xy[:, 1])
    native = (i * len(lon) + j).ravel()
    inside = cell >= 0
    flat = fp.reshape(-1, fp.shape[-1])
    out = np.zeros((fp.shape[-1], mesh_cells()))
    for r in range(fp.shape[-1]):
        out[r] = np.bincount(cell[inside], flat[native[inside], r] / 144, mesh_cells())
    return out


PATCH = ((33, 12), (11, 30))  # km, in the order of the job


def mesh_cells():
    return 48 * 48 - 2 * 16 + 2 * 256


def mesh_cell(x, y):
    """Base first without the cells below patches, then the patches; -1 outside."""
    kx, ky = (x - 466000) / 1000, (y - 2365000) / 1000
    base = np.full((48, 48), -1)
    covered = np.zeros((48, 48), bool)
    for px, py in PATCH:
        covered[py:py + 4, px:px + 4] = True
    base[~covered] = np.arange((~covered).sum())
    inside = (kx >= 0) & (kx < 48) & (ky >= 0) & (ky < 48)
    ix, iy = (np.clip(k.astype(int), 0, 47) for k in (kx, ky))
    cell = np.where(inside, base[iy, ix], -1)
    first = (~covered).sum()
    for px, py in PATCH:
        fx, fy = 4 * (kx - px), 4 * (ky - py)
        here = (fx >= 0) & (fx < 16) & (fy >= 0) & (fy < 16)
        cell = np.where(here, first + np.clip(fy, 0, 15).astype(int) * 16 + np.clip(fx, 0, 15).astype(int), cell)
        first += 256
    return cell


def check_observations(scene):
    """Matching gives the blocks back, and what is left after background and H x is noise as stated."""
    km = 6371.0088 * math.pi / 180
    stated = {"OCO3": (0.5e-6, 0.3e-6), "TROPOMI": (10e-9, 3e-9), "TCCON": (2.6e-9, 0.3e-9)}
    truth = dict(zip(("co2", "land", "ch4", "n2o"), read(scene + "/truth/cells.nc", "co2_emission", "co2_land",
                                                         "ch4_emission", "n2o_emission")))
    x_true = {"OCO3": truth["co2"] + truth["land"], "TROPOMI": truth["ch4"], "TCCON": truth["n2o"]}
    soundings = [np.concatenate(v) for v in zip(*(good_soundings(p) for p in sorted(glob.glob(scene + "/soundings/*"))))]
    chi2_all, n_all, matched = 0, 0, 0
    for name in sorted(glob.glob(scene + "/footprints/*.nc")):
        kind = re.search("PLUME-([A-Z0-9]+)_", name).group(1)
        start, rx, ry, lon, lat, fp = read(name, "time", "release_lon", "release_lat", "lon", "lat", "fp")
        with netCDF4.Dataset(name) as f:
            period = 3600 * float(f["time"].period.split()[0])
        start = start + 1672531200
        x, y, t, value = soundings
        members = {}
        for k in np.nonzero((t >= start.min()) & (t < start.max() + period))[0]:
            d = km * np.hypot((rx - x[k]) * math.cos(math.radians(21.6)), ry - y[k])
            d[(t[k] < start) | (t[k] >= start + period)] = np.inf
            if d.min() < np.inf:
                assert d.min() < 3.5, (name, k, d.min())
                members.setdefault(int(d.argmin()), []).append(k)
        assert sorted(members) == list(range(len(start))), name  # every footprint is used
        for r, m in members.items():  # the receptor is the centroid of those that match it: the block
            assert abs(x[m].mean() - rx[r]) < 1e-4 and abs(y[m].mean() - ry[r]) < 1e-4, (name, r)
            assert len(m) <= {"OCO3": 4, "TROPOMI": 1, "TCCON": 8}[kind]
            matched += 1
        signal = mesh_sensitivity(lon, lat, fp) @ x_true[kind]
        sigma, transport = stated[kind]
        left = np.array([value[m].mean() - signal[r] for r, m in sorted(members.items())])
        seen = np.array([value[m].mean() for r, m in sorted(members.items())])
        sd = np.array([math.sqrt(sigma**2 * (0.3 + 0.7 / len(m)) + transport**2) for r, m in sorted(members.items())])
        for group in np.unique(np.floor(start / 86400)):  # one offset each
            g = np.floor(start / 86400) == group
            offset = (left[g] / sd[g]**2).sum() / (1 / sd[g]**2).sum()
            assert abs(offset) < 4 * {"OCO3": 1e-6, "TROPOMI": 15e-9, "TCCON": 1e-9}[kind] + 4 * sd[g].max()
            chi2, n = (((left[g] - offset) / sd[g])**2).sum(), g.sum() - 1
            assert abs(chi2 - n) < 5 * math.sqrt(2 * n), (name, chi2, n)
            chi2_all, n_all = chi2_all + chi2, n_all + n
            if kind != "TCCON":  # negative control: without H x it is not noise
                other = (seen[g] / sd[g]**2).sum() / (1 / sd[g]**2).sum()
                wrong = (((seen[g] - other) / sd[g])**2).sum()
                assert wrong > chi2, (name, wrong, chi2)
    assert abs(chi2_all - n_all) < 4 * math.sqrt(2 * n_all), (chi2_all, n_all)
    assert matched > 700, matched


def check_totals(scene, tolerance=1e-9):
    """truth.csv is the sum over the cells: sums of counties are the city's."""
    truth = {}
    for row in csv.DictReader(open(scene + "/truth.csv")):
        truth[row["zone_id"], row["gas"]] = float(row["truth_t_yr"])
        if row["gas"] == "co2":
            truth[row["zone_id"], "land"] = float(row["sink_truth_t_yr"])
    area, = read(scene + "/truth/cells.nc", "area")
    for gas, variable in (("co2", "co2_emission"), ("land", "co2_land"), ("ch4", "ch4_emission"), ("n2o", "n2o_emission")):
        city = truth["city", gas]
        assert math.isclose(sum(truth[c, gas] for c in COUNTIES), city, rel_tol=1e-9), gas
        mass = (area * read(scene + "/truth/cells.nc", variable)[0]).sum() * MOLAR.get(gas, MOLAR["co2"]) * SECONDS / 1e3
        if gas != "land":  # all of it lies in the city; a draw may have more of a border cell outside
            assert math.isclose(mass, city, rel_tol=tolerance), (gas, mass, city)
    assert 20e6 < truth["city", "co2"] < 42e6 and 70e3 < truth["city", "ch4"] < 260e3
    assert -3e6 < truth["city", "land"] < 0, truth["city", "land"]


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    scene, again, other = make("a"), make("b"), make("c", "--seed", "2")
    matched, strong = make("d", "--case", "matched"), make("e", "--case", "strong-n2o")
    check_bytes(scene, again, other, matched, strong)
    check_zones(scene)
    check_cover(scene)
    check_account(scene, strong)
    check_orientation(scene)
    check_winds(scene)
    check_totals(scene)
    check_totals(strong)
    check_totals(matched, 1e-2)
    check_observations(matched)
    assert "is not mismatched, matched or strong-n2o" in skyflux("synth", "city", "x", "--case", "other", code=2)
    assert "--case is of the city" in skyflux("synth", "demo", "x", "--case", "matched", code=2)
    skipped = check_structure(scene)
    if skipped:
        print("skipped: no real file of", ", ".join(skipped))
        sys.exit(77)


main()
