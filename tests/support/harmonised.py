"""A harmonised file of soundings (docs/soundings.md) from arrays, written with netCDF4, and pixels
of a push-broom swath to fill it with."""
import netCDF4
import numpy as np

REASONS = 12


def swath(lines, pixels, centre_lon, south, north, seed=1, along=7.0, across=5.5):
    """Corners [n, 4] (lon, lat) of an S5P-like swath: scanlines from south to north, pixels that
    grow towards the edges and share their corners with their neighbours."""
    edge = np.linspace(-0.5, 0.5, pixels + 1)
    grow = across * pixels * (edge + 0.9 * edge ** 3) / 111.2  # degrees of a great circle
    lat0 = np.linspace(south, north, lines + 1)
    lat = lat0[:, None] - 0.2 * grow[None, :]
    lon = centre_lon - 0.25 * lat0[:, None] + grow[None, :] / np.cos(np.radians(lat))
    corner = [(slice(0, -1), slice(0, -1)), (slice(0, -1), slice(1, None)),
              (slice(1, None), slice(1, None)), (slice(1, None), slice(0, -1))]
    x = np.stack([lon[c] for c in corner], -1).reshape(-1, 4)
    y = np.stack([lat[c] for c in corner], -1).reshape(-1, 4)
    return x, y


def write(path, lon, lat, x, sigma, time=None, gas="ch4", corners=True, granule="made.nc",
          product="s5p-blnd", drop=None):
    """lon, lat: [n, 4] corners, or [n] centres; x, sigma in ppb (ppm for co2)."""
    n = len(x)
    unit = "ppm" if gas == "co2" else "ppb"
    corners = corners and np.ndim(lon) == 2
    with netCDF4.Dataset(path, "w") as f:
        f.setncatts({"skyflux_content": "soundings 2", "gas": gas, "product": product,
                     "kernel_note": "", "vertical": "none"})
        for name, size in (("sounding", n), ("corner", 4), ("granule", 1), ("reason", REASONS)):
            f.createDimension(name, size)

        def put(name, kind, dims, value, units=None):
            v = f.createVariable(name, kind, dims)
            if units:
                v.units = units
            v[...] = value

        middle = (lambda a: a.mean(-1)) if np.ndim(lon) == 2 else (lambda a: a)
        nan = np.full(n, np.nan)
        time = np.full(n, 1.5e9) if time is None else time
        put("time", "f8", "sounding", time, "seconds since 1970-01-01 00:00:00")
        put("longitude", "f8", "sounding", middle(np.asarray(lon)), "degrees_east")
        put("latitude", "f8", "sounding", middle(np.asarray(lat)), "degrees_north")
        put("x", "f8", "sounding", x, unit)
        put("x_uncertainty", "f8", "sounding", sigma, unit)
        put("x_prior", "f8", "sounding", nan, unit)
        put("surface_pressure", "f8", "sounding", nan, "hPa")
        put("quality", "f8", "sounding", nan, "1")
        if corners:
            put("longitude_bounds", "f8", ("sounding", "corner"), lon, "degrees_east")
            put("latitude_bounds", "f8", ("sounding", "corner"), lat, "degrees_north")
        put("sounding_id", "u8", "sounding", np.arange(n, dtype="u8"))
        put("drop_reason", "i1", "sounding", 0 if drop is None else drop)
        put("surface", "i1", "sounding", 0)
        put("granule_index", "i4", "sounding", 0)
        for name in ("scanline", "pixel", "overpass"):
            put(name, "i4", "sounding", -1)
        for name, text in (("granule", granule), ("granule_product", product),
                           ("granule_version", "")):
            v = f.createVariable(name, str, "granule")
            v[0] = text
        put("granule_vertical", "i1", "granule", 0)
        put("granule_drops", "u8", ("granule", "reason"), 0)
