"""Readers against numpy on real granules: GHG-CCI OCPR, OpenGHG columns, the quality options, what
cleaning needs beside the column, and readers declared in YAML. Arguments: binary, data folder, work
folder, source folder.
"""
import glob
import json
import os
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK = sys.argv[1], os.path.join(sys.argv[2], "data"), sys.argv[3]
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNTS = {"20120101": (2417, 1053), "20120102": (2278, 959), "20120105": (2242, 1023)}


def find(pattern):
    found = glob.glob(os.path.join(DATA, pattern))
    if len(found) != 1:
        print("no real file", pattern)
        sys.exit(77)
    return found[0]


def run(*args, code=0):
    done = subprocess.run([BINARY, *args], capture_output=True, text=True)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done


def harmonised(path, *options, keep=True):
    out = os.path.join(WORK, "out.nc")
    if os.path.exists(out):
        os.remove(out)
    run("soundings", path, "-o", out, *options, *(["--keep-dropped"] if keep else []))
    with netCDF4.Dataset(out) as f:
        return {k: np.ma.filled(np.ma.asarray(v[:], dtype="f8"), np.nan)
                for k, v in f.variables.items() if v.dtype != str}


def close(got, want, key):
    assert got.shape == want.shape, (key, got.shape, want.shape)
    assert np.allclose(got, want, rtol=2e-7, atol=0, equal_nan=True), key


def literal(v):
    x = np.asarray(v[:], dtype="f8")
    return np.where(np.abs(x + 9999.99) < 0.01, np.nan, x)


def surface_first(levels, pressure):
    """Rows in falling pressure, missing ends behind: nothing but sorting."""
    order = np.argsort(np.where(np.isnan(pressure), np.inf, -pressure), axis=1)
    return np.take_along_axis(levels, order, axis=1)


def column_file(path, gas, names, flag):
    """Levels in any order; the prior column is made from weights and profile."""
    with netCDF4.Dataset(path) as f:
        f.set_auto_mask(False)
        p = literal(f["pressure_levels"])
        level = lambda name: surface_first(literal(f[name]), p)
        raw = dict(x=literal(f["x" + gas]), x_uncertainty=literal(f["x%s_uncertainty" % gas]),
                   latitude=literal(f[names[0]]), longitude=literal(f[names[1]]),
                   pressure=surface_first(p, p), pressure_weight=level(names[2]),
                   averaging_kernel=level("x%s_averaging_kernel" % gas),
                   profile_prior=level("%s_profile_apriori" % gas))
        good = np.ones(len(p), bool) if flag is None else f[flag][:] == 0
        angles = [f[n][:].astype("f8") for n in ("solar_zenith_angle", "sensor_zenith_angle")
                  if n in f.variables]
        epoch = np.datetime64(f["time"].units.split("since ")[1].replace(" ", "T"), "us").astype("i8")
        raw["time"] = f["time"][:] + epoch / 1e6
    if len(angles) == 2:
        raw["airmass"] = sum(1 / np.cos(np.radians(a)) for a in angles)
    raw["x_prior"] = np.nansum(raw["pressure_weight"] * raw["profile_prior"], axis=1)
    return raw, good


def check_columns(path, gas, names, flag):
    raw, good = column_file(path, gas, names, flag)
    use = np.isfinite(raw["x"])
    got = harmonised(path)
    padded = np.isnan(raw["pressure"][use])
    assert np.array_equal(got["drop_reason"] == 0, good[use]), path
    for key, want in raw.items():
        want = want[use]
        if key == "pressure":
            want = want * (100 if np.nanmax(got[key]) > 2000 else 1)  # Pa or hPa
        if key == "pressure_weight":
            want = np.where(padded, 0, want)
        close(got[key], want, key)
    # Sum of weights, prior column; and what must not pass: levels flipped.
    w, c = got["pressure_weight"], np.where(padded, 0, got["profile_prior"])
    assert np.abs(w.sum(1) - 1).max() < 1e-6
    assert np.abs((w * c).sum(1) / got["x_prior"] - 1).max() < 1e-9
    assert np.abs((w * c[:, ::-1]).sum(1) / got["x_prior"] - 1).max() > 1e-6
    assert np.nanmin(got["x"]) > 100 and np.nanmin(w) >= 0, "a literal fill leaked"
    return len(use), int(good.sum()), padded.any(axis=1)


def ocpr():
    short_and_good = 0
    for day, (n, good) in COUNTS.items():
        path = find("ghgcci_gosat/*-%s-*.nc" % day)
        rows, kept, short = check_columns(path, "ch4", ("latitude", "longitude", "pressure_weight"),
                                          "xch4_quality_flag")
        assert (rows, kept) == (n, good), (day, rows, kept)
        info = json.loads(run("info", path, "--json").stdout)
        assert info["product"] == "ghgcci-ocpr" and info["good"] == good
        assert info["good"] + sum(info["dropped"].values()) == n
        got = harmonised(path, keep=False)
        short_and_good += int(np.isnan(got["pressure"]).any(axis=1).sum())
    assert short_and_good == 4  # good soundings with 19 levels, on 2012-01-05


def openghg():
    for pattern, gas, n in (("gosat-fts_gosat_20160101*", "ch4", 49),
                            ("gosat-fts_gosat_20170318*", "ch4", 38), ("oco2-spectrometer*", "co2", 1)):
        path = find("openghg_column/" + pattern)
        rows, good, _ = check_columns(path, gas, ("lat", "lon", "pressure_weights"), None)
        assert rows == good == n
        assert json.loads(run("info", path, "--json").stdout)["product"] == "openghg-column"


def blended_albedo(f):
    return 2.4 * f["surface_albedo_NIR"][:].astype("f8") - 1.13 * f["surface_albedo_SWIR"][:].astype("f8")


def quality():
    """Counts by option, each against its own formula in numpy."""
    acos = find("acos_oco_lite/*_090901_*.nc4")
    with netCDF4.Dataset(acos) as f:
        f.set_auto_mask(False)
        flag, bits = f["xco2_quality_flag"][:] == 0, f["xco2_qf_bitflag"][:] == 0
        land = f["Sounding/land_fraction"][:]
    wanted = {"default": flag, "flag": flag, "none": flag | True, "strict": flag & bits,
              "flag,land": flag & (land >= 80), "flag,water": flag & (land <= 20),
              "none,s5p-ch4:qa==1": flag | True, "none,acos-lite:flag": flag}
    for words, keep in wanted.items():
        info = json.loads(run("info", acos, "--quality", words, "--json").stdout)
        assert info["good"] == keep.sum(), (words, info, keep.sum())
    assert 0 < wanted["flag,water"].sum() < wanted["flag"].sum()
    blended = find("tropomi_ch4_blended/*_02850_*.nc")
    with netCDF4.Dataset(blended) as f:
        sc, lat = f["surface_classification"][:].astype(int), f["latitude"][:]
        snow, coast = (sc & 0xF9) == 184, (sc & 3) == 3
        lake = ((sc & 3) == 2) & (f["chi_square_SWIR"][:] > 20000)
        bright = blended_albedo(f) > 0.85
    for words, drop in {"no-snow": snow, "no-coast": coast, "blended-albedo": bright,
                        "no-coast,no-snow": snow | coast,
                        "strict": snow | coast | lake | bright | (lat <= -60)}.items():
        info = json.loads(run("info", blended, "--quality", words, "--json").stdout)
        assert info["good"] == (~drop).sum(), (words, info, (~drop).sum())
    assert 0 < bright.sum() < len(bright)
    s5p = find("tropomi_ch4/*_07293_*.nc4")
    assert json.loads(run("info", s5p, "--json").stdout)["good"] == 0
    got = json.loads(run("info", s5p, "--quality", "none", "--json").stdout)
    assert got["good"] == 3, got
    for words, code, say in (("qa==2", 2, "no product has an option 'qa==2'"),
                             ("tccon:flag", 2, "product tccon has no option 'flag'"),
                             ("tcon:flag", 2, "product 'tcon' is not known"),
                             ("qa==1", 2, "product acos-lite has no option 'qa==1'"),
                             ("simple-bitflag", 3, "/xco2_qf_simple_bitflag")):
        done = run("info", acos, "--quality", words, code=code)
        assert say in done.stderr, (words, done.stderr)


def beside_the_column():
    acos = find("acos_oco_lite/*_090901_*.nc4")
    got = harmonised(acos)
    with netCDF4.Dataset(acos) as f:
        f.set_auto_mask(False)
        close(got["airmass"], f["Sounding/airmass"][:].astype("f8"), "airmass")
        close(got["surface_albedo"] if "surface_albedo" in got else got["albedo"],
              f["Retrieval/albedo_wco2"][:].astype("f8"), "albedo")
        land = f["Sounding/land_fraction"][:]
        assert np.array_equal(got["surface"], np.where(land >= 80, 1, np.where(land <= 20, 2, 3)))
        close(got["eastward_wind"], f["Meteorology/windspeed_u_met"][:].astype("f8"), "wind")
    blended = find("tropomi_ch4_blended/*_02850_*.nc")
    got = harmonised(blended)
    with netCDF4.Dataset(blended) as f:
        sc = f["surface_classification"][:].astype(int)
    want = np.array([1, 2, 3, 3])[sc & 3] + np.where((sc & 0xF8) == 0xB8, 16, 0)
    assert np.array_equal(got["surface"], want) and len(np.unique(want)) > 3
    assert np.all(got["scanline"] == -1) or np.all(np.isnan(got["scanline"]))
    s5p = find("tropomi_ch4/*_07293_*.nc4")
    got = harmonised(s5p, "--quality", "none")
    with netCDF4.Dataset(s5p) as f:
        x = np.ma.filled(f["PRODUCT/methane_mixing_ratio_bias_corrected"][0], np.nan)
        i, j = np.nonzero(np.isfinite(x))
        assert np.array_equal(got["scanline"], f["PRODUCT/scanline"][:][i])
        assert np.array_equal(got["pixel"], f["PRODUCT/ground_pixel"][:][j])
        geo = f["PRODUCT/SUPPORT_DATA/GEOLOCATIONS"]
        sun, eye = (np.radians(geo[n][0].astype("f8"))[i, j]
                    for n in ("solar_zenith_angle", "viewing_zenith_angle"))
        close(got["airmass"], np.asarray(1 / np.cos(sun) + 1 / np.cos(eye)), "airmass")
    # A box reads a part of the orbit only; what is inside has the same values.
    box = harmonised(s5p, "--quality", "none", "--box=%g,%g,%g,%g" % (-180, got["latitude"][0] - 0.01,
                                                                      180, got["latitude"][0] + 0.01),
                     keep=False)
    assert len(box["x"]) == 1
    for key in ("x", "averaging_kernel", "pressure", "profile_prior", "time", "scanline", "airmass"):
        close(box[key][0], got[key][0], key)


def declared():
    """The example declares what is built in: same bytes. A second id for it is refused as ambiguous."""
    example = os.path.join(SOURCE, "sample_scenes/products/declared.yaml")
    path = find("ghgcci_gosat/*-20120105-*.nc")
    outs = [os.path.join(WORK, n) for n in ("built-in.nc", "declared.nc")]
    run("soundings", path, "-o", outs[0], "--keep-dropped")
    run("soundings", path, "-o", outs[1], "--keep-dropped", "--declare", example)
    assert open(outs[0], "rb").read() == open(outs[1], "rb").read()
    text = open(example).read()
    mine = os.path.join(WORK, "mine.yaml")
    with open(mine, "w") as f:
        f.write(text.replace("id: ghgcci-ocpr", "id: mine"))
    done = run("info", path, "--declare", mine, code=3)
    assert "product mine" in done.stderr and "product ghgcci-ocpr" in done.stderr, done.stderr
    info = json.loads(run("info", path, "--declare", mine, "--product", "mine", "--json").stdout)
    assert info["product"] == "mine" and info["good"] == 1023
    with open(mine, "w") as f:
        f.write(text.replace("id: ghgcci-ocpr", "id: mine").replace("/pressure_weight]", "/weight_]"))
    done = run("info", path, "--declare", mine, "--product", "mine", code=3)
    assert "mine" in done.stderr and "/weight_" in done.stderr, done.stderr
    with open(mine, "w") as f:
        f.write(text.replace("role: weight", "role: wait"))
    done = run("info", path, "--declare", mine, code=2)
    assert "mine.yaml:" in done.stderr and "'wait'" in done.stderr, done.stderr


def job():
    """The same in a job file: `check` says what is wrong with line and key, `run` reads with it."""
    example = open(os.path.join(SOURCE, "sample_scenes/products/declared.yaml")).read()
    path = find("ghgcci_gosat/*-20120105-*.nc")
    head = ("job: {name: a, output: %s/job}\ngrid: {box: [73, 18, 135, 54], cell: 1 degree}\n"
            "soundings:\n  - {files: [\"%s\"], gases: [ch4], product: mine, quality: %%s}\n"
            % (WORK, path))
    name = os.path.join(WORK, "job.yaml")
    zones = "zones: {file: %s/zones.geojson, id: id}\n" % WORK
    with open(os.path.join(WORK, "zones.geojson"), "w") as f:
        f.write('{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"id":"a"},'
                '"geometry":{"type":"Polygon","coordinates":[[[80,25],[120,25],[120,45],[80,45],'
                '[80,25]]]}}]}')
    for quality, code, say in (("flag", 0, ""), ("flaw", 2, "soundings[0].quality: ")):
        with open(name, "w") as f:
            f.write(head % quality + zones + example.replace("id: ghgcci-ocpr", "id: mine"))
        done = run("check", name, code=code)
        assert say in done.stderr, done.stderr
        if code == 0:
            run("run", name)
            with open(os.path.join(WORK, "job", "stages", "soundings-ch4.facts.json")) as f:
                facts = json.load(f)
    box = json.loads(run("info", path, "--box=73,18,135,54", "--json").stdout)
    assert facts["texts"]["product"] == "mine", facts
    assert facts["numbers"]["soundings_good"] == box["good"] == 95, facts


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    for part in (ocpr, openghg, quality, beside_the_column, declared, job):
        part()


main()
