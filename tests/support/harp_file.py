"""The pixels of harmonised.py as a HARP product (HARP-1.0 data format), for harpconvert."""
import netCDF4
import numpy as np


def write(path, lon, lat, x, time):
    n = len(x)
    with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_OFFSET") as f:
        f.Conventions = "HARP-1.0"
        f.createDimension("time", n)
        f.createDimension("independent_4", 4)

        def put(name, dims, units, value):
            v = f.createVariable(name, "f8", dims)
            v.units = units
            v[...] = value

        put("datetime", "time", "days since 2000-01-01", (np.asarray(time) - 946684800) / 86400)
        put("longitude_bounds", ("time", "independent_4"), "degree_east", lon)
        put("latitude_bounds", ("time", "independent_4"), "degree_north", lat)
        put("CH4_column_volume_mixing_ratio_dry_air", "time", "ppbv", x)


def bin_spatial(west, south, cell, nx, ny):
    """The operations string of bin_spatial for this grid."""
    return f"bin_spatial({ny + 1},{south},{cell},{nx + 1},{west},{cell})"
