"""Whole program against numpy: what `skyflux info` and `skyflux soundings` say about real granules
is what an independent reading of the same files gives. Arguments: binary, data folder, work folder.
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
UNIT = {"co2": 1e6, "ch4": 1e9, "n2o": 1e9}


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


def filled(v):
    return np.ma.filled(np.ma.asarray(v[:], dtype="f8"), np.nan)


def literal(v):
    x = np.asarray(v[:], dtype="f8")
    return np.where(x == -999999, np.nan, x)


def raw_acos(path):
    with netCDF4.Dataset(path) as f:
        f.set_auto_mask(False)
        flip = lambda name: literal(f[name])[:, ::-1]
        return dict(
            time=np.asarray(f["time"][:]), lat=literal(f["latitude"]), lon=literal(f["longitude"]),
            x=literal(f["xco2"]), sigma=literal(f["xco2_uncertainty"]), prior=literal(f["xco2_apriori"]),
            pressure=flip("pressure_levels"), weight=flip("pressure_weight"),
            ak=flip("xco2_averaging_kernel"), profile=flip("co2_profile_apriori"),
            id=np.asarray(f["sounding_id"][:]), good=np.asarray(f["xco2_quality_flag"][:]) == 0)


def seconds(text):
    return np.datetime64(text.rstrip("Z"), "us").astype("i8") / 1e6


def subcolumns(dry, xa):
    return dict(weight=(dry / dry.sum(1, keepdims=True))[:, ::-1], profile=(xa / dry)[:, ::-1] * 1e9,
                prior=xa.sum(1) / dry.sum(1) * 1e9)


def raw_blended(path):
    with netCDF4.Dataset(path) as f:
        surface = f["surface_classification"][:].astype(int)
        bad = ((surface & 0xF9) == 184) | ((surface & 3) == 3)
        bad |= ((surface & 3) == 2) & (filled(f["chi_square_SWIR"]) > 20000)
        ps, dp = filled(f["surface_pressure"]), filled(f["pressure_interval"])
        out = dict(
            time=np.array([seconds(t) for t in f["time_utc"][:]]), lat=filled(f["latitude"]),
            lon=filled(f["longitude"]), x=filled(f["methane_mixing_ratio_blended"]),
            sigma=filled(f["methane_mixing_ratio_precision"]),
            pressure=(ps[:, None] - (np.arange(12) + 0.5) * dp[:, None]) / 100,
            ak=filled(f["column_averaging_kernel"])[:, ::-1], id=np.arange(len(ps)),
            good=np.ma.filled(~bad, False))
        out.update(subcolumns(filled(f["dry_air_subcolumns"]), filled(f["methane_profile_apriori"])))
        return out


def raw_s5p(path):
    with netCDF4.Dataset(path) as f:
        product = f["PRODUCT"]
        inputs, detail = product["SUPPORT_DATA/INPUT_DATA"], product["SUPPORT_DATA/DETAILED_RESULTS"]
        x = filled(product["methane_mixing_ratio_bias_corrected"]).ravel()
        use = np.flatnonzero(np.isfinite(x))
        row = lambda v: filled(v).ravel()[use]
        layers = lambda v: filled(v).reshape(-1, 12)[use]
        assert np.all(np.diff(filled(inputs["altitude_levels"]).reshape(-1, 13)[use]) < 0)
        scan = np.repeat(filled(product["delta_time"]).ravel(), product["latitude"].shape[2])[use]
        epoch = np.datetime64("2010-01-01", "s").astype("i8")
        ps, dp = row(inputs["surface_pressure"]), row(inputs["pressure_interval"])
        out = dict(
            time=epoch + int(product["time"][0]) + scan / 1000, lat=row(product["latitude"]),
            lon=row(product["longitude"]), x=x[use],
            sigma=row(product["methane_mixing_ratio_precision"]),
            pressure=(ps[:, None] - (np.arange(12) + 0.5) * dp[:, None]) / 100,
            ak=layers(detail["column_averaging_kernel"])[:, ::-1], id=use,
            good=row(product["qa_value"]) >= 0.5)
        out.update(subcolumns(layers(inputs["dry_air_subcolumns"]),
                              layers(inputs["methane_profile_apriori"])))
        return out


def raw_tccon(path, gas):
    to = {"ppm": 1e-6, "ppb": 1e-9, "1": 1.0}
    with netCDF4.Dataset(path) as f:
        value = lambda name: filled(f[name]) * to[f[name].units] * UNIT[gas]
        water = filled(f["prior_h2o"])
        return dict(
            time=filled(f["time"]), lat=filled(f["lat"]), lon=filled(f["long"]), x=value("x" + gas),
            sigma=value("x%s_error" % gas), prior=value("prior_x" + gas),
            pressure=filled(f["prior_pressure"]) * 1013.25,
            weight=filled(f["integration_operator"]) * (1 - water), ak=filled(f["ak_x" + gas]),
            profile=value("prior_" + gas) / (1 - water), id=np.arange(64), good=np.ones(64, bool))


NAMES = dict(time="time", lat="latitude", lon="longitude", x="x", sigma="x_uncertainty", prior="x_prior",
             pressure="pressure", weight="pressure_weight", ak="averaging_kernel",
             profile="profile_prior")


def differences(path, raw):
    """Names of the arrays of the harmonised file that are not those of the raw file."""
    bad = []
    with netCDF4.Dataset(path) as f:
        for key, name in NAMES.items():
            got, want = filled(f[name]), raw[key]
            if got.shape != want.shape or not np.allclose(got, want, rtol=1e-12, atol=0,
                                                             equal_nan=True):
                bad.append(key)
        if not np.array_equal(f["sounding_id"][:].astype("u8"), raw["id"].astype("u8")):
            bad.append("id")
        if not np.array_equal(f["drop_reason"][:] == 0, raw["good"]):
            bad.append("good")
    return bad


def check(path, product, gas, raw, writes=True):
    info = json.loads(run("info", path, "--json").stdout)
    assert info["product"] == product and gas in info["gases"], info
    shown = info["by_gas"][gas] if len(info["gases"]) > 1 else info
    assert shown["soundings"] == len(raw["x"]) and shown["good"] == raw["good"].sum(), info
    assert np.allclose(shown["bbox"], [raw["lon"].min(), raw["lat"].min(), raw["lon"].max(),
                                       raw["lat"].max()], rtol=1e-12, atol=0), info
    for key, value in (("time_start", raw["time"].min()), ("time_end", raw["time"].max())):
        assert abs(seconds(shown[key]) - value) <= 0.5, (key, shown[key], value)
    out = os.path.join(WORK, product + "-" + gas + ".nc")
    run("soundings", path, "--gas", gas, "--keep-dropped", "-o", out, code=0 if writes else 4)
    assert os.path.exists(out) == writes, out
    if not writes:
        return
    assert differences(out, raw) == [], (product, gas, differences(out, raw))
    # Negative controls: the comparison must notice a wrong orientation and an inverted flag.
    for key, wrong in (("ak", raw["ak"][:, ::-1]), ("pressure", raw["pressure"][:, ::-1]),
                       ("profile", raw["profile"][:, ::-1]), ("good", ~raw["good"])):
        assert differences(out, dict(raw, **{key: wrong})) == [key], key
    again = json.loads(run("info", out, "--json").stdout)
    assert again["harmonised"] and again["soundings"] == len(raw["x"])
    assert again["good"] == raw["good"].sum()


def box_counts():
    for orbit, box, count in (("02858", (-125, 24, -66, 50), 4673), ("02850", (73, 18, 135, 54), 2442),
                              ("02834", (73, 18, 135, 54), 886), ("02848", (73, 18, 135, 54), 1173)):
        path = find("tropomi_ch4_blended/*_%s_*.nc" % orbit)
        raw = raw_blended(path)
        inside = (raw["lon"] >= box[0]) & (raw["lon"] <= box[2])
        inside &= (raw["lat"] >= box[1]) & (raw["lat"] <= box[3])
        assert inside.sum() == count
        info = json.loads(run("info", path, "--json", "--box=%g,%g,%g,%g" % box).stdout)
        assert info["soundings"] == count and info["good"] == (inside & raw["good"]).sum()
        assert info["soundings"] - info["good"] == sum(info["dropped"].values()), info
        assert info["outside_box"] == len(inside) - count


def many_granules():
    """Same bytes for any number of workers; a granule that cannot be read is named, exit 5."""
    blended = sorted(glob.glob(os.path.join(DATA, "tropomi_ch4_blended/*.nc")))
    outs = []
    for threads in ("1", "2", "5"):
        outs.append(os.path.join(WORK, "all-%s.nc" % threads))
        run("soundings", *blended, "-o", outs[-1], "--threads", threads)
    contents = [open(o, "rb").read() for o in outs]
    assert contents[0] == contents[1] == contents[2]
    no_qa = find("tropomi_ch4/*_07407_*.nc4")
    out = os.path.join(WORK, "partial.nc")
    done = run("soundings", no_qa, blended[0], "-o", out, "--json", code=5)
    failed = json.loads(done.stdout)["failed"]
    assert len(failed) == 1 and failed[0]["file"] == no_qa and "qa_value" in failed[0]["reason"]
    assert os.path.exists(out)


def errors():
    """Each with its own exit code and message, and nothing left behind."""
    out = os.path.join(WORK, "none.nc")
    no_qa = find("tropomi_ch4/*_07407_*.nc4")
    tccon = find("openghg_column/hw20230402*.nc")
    acos = find("acos_oco_lite/*_090901_*.nc4")
    other = find("inventories/boundary_ch4_EUROPE_201208.nc")
    damaged = os.path.join(WORK, "damaged.nc")
    with open(damaged, "wb") as f:
        f.write(open(acos, "rb").read()[:300000])
    for args, code, words in (
            ((no_qa,), 3, ("_07407_", "s5p-ch4", "/PRODUCT/qa_value")),
            ((tccon,), 2, ("co2, ch4, n2o", "name one gas")),
            ((acos, "--gas", "ch4"), 3, ("acos-lite", "ch4")),
            ((acos, "--gas", "sf6"), 2, ("--gas", "sf6")),
            ((acos, "--product", "none"), 2, ("product 'none'",)),
            ((acos, "--box=0,80,1,81"), 4, ("no good sounding", "box")),
            ((acos, "--start", "2010-01-01", "--end", "2009-01-01"), 2, ("--end",)),
            ((damaged,), 3, ("damaged.nc",)),
            ((os.path.join(WORK, "absent.nc"),), 3, ("absent.nc", "cannot be opened")),
            ((other,), 3, ("no known product", "looked for", "tccon"))):
        done = run("soundings", *args, "-o", out, code=code)
        assert all(w in done.stderr for w in words), (args, done.stderr)
        assert not any(name.startswith((".part", "none")) for name in os.listdir(WORK)), args
    run("soundings", acos, code=2)
    for path, words in ((no_qa, ("qa_value",)), (other, ("looked for", "footprints")),
                        (damaged, ("damaged.nc",))):
        done = run("info", path, code=3)
        assert all(w in done.stderr for w in words), done.stderr
    footprint = find("footprints/THW-column_NAME*.nc")
    assert json.loads(run("info", footprint, "--json").stdout)["product"] == "footprint"
    flux = find("openghg_ch4_europe2019/flux_total_ch4_europe_edgar7_2019*.nc")
    told = json.loads(run("info", flux, "--json").stdout)
    assert told["product"] == "flux" and told["variables"][0]["name"] == "flux", told
    done = run("info", acos, no_qa, "--json", code=5)
    assert [item["product"] for item in json.loads(done.stdout)] == ["acos-lite"]


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    acos = [find("acos_oco_lite/*_09090%d_*.nc4" % d) for d in (1, 2)]
    for path, n, good in zip(acos, (985, 1005), (350, 423)):
        raw = raw_acos(path)
        assert len(raw["x"]) == n and raw["good"].sum() == good
        assert np.abs((raw["weight"] * raw["profile"]).sum(1) - raw["prior"]).max() <= 0.004
        check(path, "acos-lite", "co2", raw)
    path = find("tropomi_ch4_blended/*_02850_*.nc")
    check(path, "s5p-blnd", "ch4", raw_blended(path))
    path = find("tropomi_ch4/*_07293_*.nc4")
    raw = raw_s5p(path)
    assert np.allclose(raw["prior"], [1837.61, 1841.01, 1840.64], atol=0.1, rtol=0)
    check(path, "s5p-ch4", "ch4", raw, writes=False)
    path = find("openghg_column/hw20230402*.nc")
    for gas in ("co2", "ch4", "n2o"):
        check(path, "tccon", gas, raw_tccon(path, gas))
    box_counts()
    many_granules()
    errors()


main()
