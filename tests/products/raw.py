"""Independent readers of retrieval products: netCDF4 or h5py and numpy only, one function a product.

Each returns the rows that hold a value, with index 0 at the surface, columns and profiles in ppm (CO2)
or ppb (CH4, N2O), pressure in hPa, and a normalised kernel:
    row lat lon time x sigma prior pressure weight ak profile good [corner_lat corner_lon]
A product without kernels has no pressure, weight, ak, profile; without prior columns no prior.
"""
import csv

import h5py
import netCDF4
import numpy as np

PER = {"co2": 1e6, "ch4": 1e9, "n2o": 1e9}
KEYS = ("lat", "lon", "time", "x", "sigma", "prior", "pressure", "weight", "ak", "profile", "good",
        "corner_lat", "corner_lon")


def plain(v, *fills):
    """Values as double; the given numbers and the attribute _FillValue are NaN."""
    v.set_auto_mask(False)
    x = np.asarray(v[...], dtype="f8")
    for fill in fills + tuple(np.atleast_1d(getattr(v, "_FillValue", []))):
        x = np.where(x == np.float64(fill), np.nan, x)
    return x


def flip(x):
    return x[:, ::-1]


def mid(edges):
    return 0.5 * (edges[:, :-1] + edges[:, 1:])


def settle(pressure, *others):
    """Soundings whose lowest levels are missing start at the lowest that they have."""
    arrays = [np.array(x) for x in (pressure,) + others]
    for i in range(len(pressure)):
        have = np.flatnonzero(np.isfinite(arrays[0][i]))
        for x in arrays:
            kept = x[i, have]
            x[i] = np.nan
            x[i, :len(have)] = kept
    return arrays


def rows(out):
    """Only rows with a value; `row` is their index in the file."""
    use = np.flatnonzero(np.isfinite(out["x"]))
    return dict({k: np.asarray(v)[use] for k, v in out.items()}, row=use)


def oco(path, name="xco2"):
    with netCDF4.Dataset(path) as f:
        value = lambda n: plain(f[n], -999999)
        return rows(dict(
            time=value("time"), lat=value("latitude"), lon=value("longitude"), x=value(name),
            sigma=value("xco2_uncertainty"), prior=value("xco2_apriori"),
            pressure=flip(value("pressure_levels")), weight=flip(value("pressure_weight")),
            ak=flip(value("xco2_averaging_kernel")), profile=flip(value("co2_profile_apriori")),
            good=value("xco2_quality_flag") == 0, corner_lat=value("vertex_latitude"),
            corner_lon=value("vertex_longitude")))


def s5p(path):
    with netCDF4.Dataset(path) as f:
        p = f["PRODUCT"]
        flat = lambda v: plain(v).ravel()
        name = "methane_mixing_ratio_bias_corrected"
        name = name + "_destriped" if name + "_destriped" in p.variables else name
        scan = np.repeat(plain(p["delta_time"]).ravel() / 1000, p.dimensions["ground_pixel"].size)
        f.set_auto_maskandscale(False)
        qa = np.asarray(p["qa_value"][...]).ravel()
        out = dict(time=1262304000.0 + float(p["time"][0]) + scan, lat=flat(p["latitude"]),
                   lon=flat(p["longitude"]), x=flat(p[name]),
                   sigma=flat(p["methane_mixing_ratio_precision"]), good=(qa >= 50) & (qa != 255))
        if "SUPPORT_DATA" in p.groups:
            inputs, detail = p["SUPPORT_DATA/INPUT_DATA"], p["SUPPORT_DATA/DETAILED_RESULTS"]
            geo = p["SUPPORT_DATA/GEOLOCATIONS"]
            layers = lambda v: plain(v).reshape(-1, 12)
            ps, dp = flat(inputs["surface_pressure"]), flat(inputs["pressure_interval"])
            dry, xa = layers(inputs["dry_air_subcolumns"]), layers(inputs["methane_profile_apriori"])
            surface = np.asarray(inputs["surface_classification"][...]).ravel()
            out.update(
                pressure=(ps[:, None] - (np.arange(12) + 0.5) * dp[:, None]) / 100,
                weight=flip(dry / dry.sum(1, keepdims=True)), profile=flip(xa / dry) * 1e9,
                prior=1e9 * xa.sum(1) / dry.sum(1), ak=flip(layers(detail["column_averaging_kernel"])),
                corner_lat=plain(geo["latitude_bounds"]).reshape(-1, 4),
                corner_lon=plain(geo["longitude_bounds"]).reshape(-1, 4),
                good=out["good"] & ((surface & 0xF9) != 184) & ((surface & 3) != 1))
        return rows(out)


def ghg_cci(path, gas, layers, literal=(), times=1):
    """OCPR, OCFP (levels), SRFP, SRPR, WFMD (layers between levels): all from the surface up."""
    with netCDF4.Dataset(path) as f:
        value = lambda n: plain(f[n], *literal)
        pressure, weight = value("pressure_levels"), value("pressure_weight")
        profile, ak = value(gas + "_profile_apriori") * times, value("x%s_averaging_kernel" % gas)
        if not layers:
            pressure, weight, profile, ak = settle(pressure, weight, profile, ak)
        out = dict(time=value("time"), lat=value("latitude"), lon=value("longitude"),
                   x=value("x" + gas) * times, sigma=value("x%s_uncertainty" % gas) * times,
                   prior=np.nansum(weight * profile, 1), pressure=mid(pressure) if layers else pressure,
                   weight=weight, ak=ak, profile=profile, good=value("x%s_quality_flag" % gas) == 0)
        if "latitude_corners" in f.variables:
            out.update(corner_lat=value("latitude_corners"), corner_lon=value("longitude_corners"))
        return rows(out)


def emma(path, gas):
    with netCDF4.Dataset(path) as f:
        value = lambda n: plain(f[n], -999)
        return rows(dict(time=value("time"), lat=value("latitude"), lon=value("longitude"),
                         x=value("x" + gas), sigma=value("x%s_uncertainty" % gas),
                         good=np.ones(len(f["time"]), bool)))


def seconds(text):
    if isinstance(text, bytes):
        text = text.decode()
    return np.datetime64(text.strip("\0 Z").replace(" ", "T"), "us").astype("i8") / 1e6


def hdf5(f, path):
    v = f[path]
    x = np.asarray(v[...], dtype="f8")
    if "invalidValue" in v.attrs:
        x = np.where(x == float(np.atleast_1d(v.attrs["invalidValue"])[0]), np.nan, x)
    return x


def nies_swir(path, gas):
    """The files give ppm for CH4, too. The error is that of the bias-corrected value."""
    name, times = gas.upper(), {"co2": 1, "ch4": 1000}[gas]
    with h5py.File(path, "r") as f:
        return rows(dict(
            time=np.array([seconds(t) for t in f["scanAttribute/time"][...]]),
            lat=hdf5(f, "Data/geolocation/latitude"), lon=hdf5(f, "Data/geolocation/longitude"),
            x=hdf5(f, "Data/mixingRatio/X%sBiasCorrected" % name) * times,
            sigma=hdf5(f, "Data/mixingRatio/X%sBiasCorrectedError" % name) * times,
            good=hdf5(f, "Data/retrievalQuality/totalPostScreeningResult") == 0))


def nies_swfp(path, gas):
    times = {"co2": 1, "ch4": 1000}[gas]
    with h5py.File(path, "r") as f:
        value = lambda n: hdf5(f, "RetrievalResult/" + n)
        edges = value("pressure_level")
        up = (lambda x: x) if edges[0, 0] > edges[0, -1] else flip
        return rows(dict(
            time=np.array([seconds(t) for t in f["SoundingAttribute/observationTime"][...]]),
            lat=hdf5(f, "SoundingGeometry/latitude"), lon=hdf5(f, "SoundingGeometry/longitude"),
            x=value("x" + gas) * times, sigma=value("x%s_uncert" % gas) * times,
            prior=value("x%s_apriori" % gas) * times, pressure=mid(up(edges)),
            weight=up(value("pressure_weighting_function")),
            ak=up(value("x%s_column_averaging_kernel" % gas)),
            profile=up(value(gas + "_profile_apriori")) * times,
            good=value("x%s_quality_flag" % gas) == 0))


def tansat_lite(path):
    """No flag: the uncertainty decides (< 2 ppm)."""
    with netCDF4.Dataset(path) as f:
        value = lambda n: plain(f[n])
        out = dict(time=value("time"), lat=value("latitude"), lon=value("longitude"), x=value("xco2"),
                   sigma=value("xco2_uncertainty"), prior=value("xco2_apriori"))
        return rows(dict(out, good=out["sigma"] < 2))


def tansat_sci(path):
    """h is one vector for all soundings, or one a sounding; error <= 3 ppm, |latitude| <= 80."""
    with netCDF4.Dataset(path) as f:
        value = lambda n: plain(f[n])
        x, lat = value("xco2_bc"), value("latitude")
        day = ["%04d-%02d-%02d" % tuple(p) for p in
               zip(*(value(n).astype(int) for n in ("year", "month", "day")))]
        time = np.array(day, dtype="M8[s]").astype("f8") + 3600 * value("hour")
        return rows(dict(
            time=time, lat=lat, lon=value("longitude"), x=x, sigma=value("xco2_error"),
            prior=value("xco2_apriori"), pressure=flip(value("pressure_levels")),
            weight=np.broadcast_to(value("h"), (len(x), 20))[:, ::-1],
            ak=flip(value("xco2_column_averaging_kernel")), profile=flip(value("co2_profile_apriori")),
            good=(value("xco2_error") <= 3) & (np.abs(lat) <= 80)))


def gravity(lat, z):
    """WGS 84 at the ellipsoid (Somigliana), falling with the square of the distance."""
    s = np.sin(np.radians(lat)) ** 2
    return 9.7803253359 * (1 + 0.00193185265241 * s) / np.sqrt(1 - 0.00669437999014 * s) \
        * (6371000 / (6371000 + z)) ** 2


def musica(path, gas):
    """Column by dry air (half of each gap belongs to a level); kernel of the column of a log state."""
    which = ("n2o", "ch4").index(gas)
    with netCDF4.Dataset(path) as f:
        value = lambda n: plain(f[n])
        n, L = f["musica_pressure_levels"].shape
        count, rank = value("musica_nol").astype(int), value("musica_ghg_avk_rank").astype(int)
        P, Z, W = value("musica_pressure_levels"), value("musica_altitude_levels"), value("musica_wv")
        lat = value("lat")
        X, XA = value("musica_ghg")[:, which], value("musica_ghg_apriori")[:, which]
        val, left, right = (value("musica_ghg_avk_" + k) for k in ("val", "lvec", "rvec"))
        out = {k: np.full((n, L), np.nan) for k in ("pressure", "weight", "ak", "profile")}
        x, prior = np.full(n, np.nan), np.full(n, np.nan)
        for i in range(n):
            k, r = count[i], rank[i]
            p, z, q = P[i, :k][::-1], Z[i, :k][::-1], W[i, 0, :k][::-1] * 1e-6
            xa, xr = XA[i, :k][::-1], X[i, :k][::-1]
            g = gravity(lat[i], 0.5 * (z[1:] + z[:-1]))
            air = -np.diff(p) / g / (28.9652e-3 + 0.5 * (q[1:] + q[:-1]) * 18.01528e-3)
            w = np.zeros(k)
            w[1:] += air / 2
            w[:-1] += air / 2
            w /= w.sum()
            A = np.einsum("r,ri,rj->ij", val[i, :r], left[i, which, :r, :k][:, ::-1],
                          right[i, which, :r, :k][:, ::-1])
            out["pressure"][i, :k], out["weight"][i, :k], out["profile"][i, :k] = p / 100, w, xa * 1e3
            out["ak"][i, :k] = (w * xa) @ A / (w * xa)
            x[i], prior[i] = (w * xr).sum() * 1e3, (w * xa).sum() * 1e3
        return rows(dict(out, time=946684800.0 + value("time"), lat=lat, lon=value("lon"), x=x,
                         prior=prior, good=value("musica_fit_quality_flag") >= 3))


# product of `skyflux synth product` -> gases and how to read one
READ = {
    "oco2-lite-v7": (("co2",), lambda p, g: oco(p)),
    "oco2-lite-v8": (("co2",), lambda p, g: oco(p)),
    "oco2-lite-v9": (("co2",), lambda p, g: oco(p)),
    "oco2-lite-v10": (("co2",), lambda p, g: oco(p)),
    "oco2-lite-v11": (("co2",), lambda p, g: oco(p)),
    "oco3-lite-v10": (("co2",), lambda p, g: oco(p)),
    "s5p-ch4-v1": (("ch4",), lambda p, g: s5p(p)),
    "s5p-ch4-v2": (("ch4",), lambda p, g: s5p(p)),
    "s5p-ch4-bare": (("ch4",), lambda p, g: s5p(p)),
    "wfmd": (("ch4",), lambda p, g: ghg_cci(p, g, True)),
    "srfp-co2": (("co2",), lambda p, g: ghg_cci(p, g, True)),
    "srpr-ch4": (("ch4",), lambda p, g: ghg_cci(p, g, True)),
    "srfp-ch4": (("ch4",), lambda p, g: ghg_cci(p, g, True)),
    "srfp-co2-gosat": (("co2",), lambda p, g: ghg_cci(p, g, True)),
    "srpr-ch4-gosat": (("ch4",), lambda p, g: ghg_cci(p, g, True)),
    "ocfp-ch4": (("ch4",), lambda p, g: ghg_cci(p, g, False, (np.float32(-9999.99),))),
    "ocfp": (("co2",), lambda p, g: ghg_cci(p, g, False, (np.float32(-9999.99),))),
    "emma-co2": (("co2",), emma),
    "emma-ch4": (("ch4",), emma),
    "nies-swir-co2": (("co2",), nies_swir),
    "nies-swir-ch4": (("ch4",), nies_swir),
    "nies-swfp": (("co2", "ch4"), nies_swfp),
    "nies-swfp-down": (("co2", "ch4"), nies_swfp),
    "tansat-lite": (("co2",), lambda p, g: tansat_lite(p)),
    "tansat-sci": (("co2",), lambda p, g: tansat_sci(p)),
    "tansat-sci-each": (("co2",), lambda p, g: tansat_sci(p)),
    "musica": (("n2o", "ch4"), musica),
}


def truth(path, gas):
    """PATH.truth.csv, in the units above; every row, also those without a value."""
    with open(path + ".truth.csv") as f:
        table = [line for line in csv.DictReader(f) if line["gas"] == gas]
    column = lambda name: np.array([float(line[name] or "nan") for line in table])
    per = {"x": PER[gas], "sigma": PER[gas], "prior": PER[gas], "profile": PER[gas], "pressure": 0.01}
    out = dict(state=np.array([line["state"] for line in table]), time=column("time"), lat=column("latitude"),
               lon=column("longitude"))
    for name in ("x", "sigma", "prior"):
        out[name] = column(name) * per[name]
    levels = sum(n.startswith("weight_") for n in table[0])
    for name in ("pressure", "weight", "ak", "profile"):
        if levels:
            out[name] = np.stack([column("%s_%d" % (name, k)) for k in range(levels)], 1) \
                * per.get(name, 1)
    for name in ("latitude", "longitude"):
        out["corner_" + name[:3]] = np.stack([column("%s_%d" % (name, k)) for k in range(4)], 1)
    return out
