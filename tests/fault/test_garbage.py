"""Garbage for every option of every command: an error in words and one of the house's exit codes,
never a crash, a hang or a silence. A working command line is given otherwise, so that a value is
met wherever it is used, not where options are parsed alone.

Arguments: binary, data folder, work folder, source root."""
import pathlib
import re
import shutil
import subprocess
import sys

import netCDF4
import numpy as np
from osgeo import gdal, osr

gdal.UseExceptions()
SKY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
CODES = range(6)  # design: 0 done, 1 failed, 2 usage, 3 input, 4 nothing left, 5 in part
VALUES = ("", "x", "-1", "1e999", "nan", "5,5,5,5", "EPSG:99999", "EPSG:5773", "/dev/null", "a" * 5000)


def sky(*args):
    return subprocess.run([SKY, *map(str, args)], cwd=WORK, capture_output=True, text=True,
                          errors="replace", timeout=60)


def land_cover(name, seed):
    codes = np.random.default_rng(seed).choice([10, 20, 30, 40, 50, 80], (40, 50)).astype(np.uint8)
    d = gdal.GetDriverByName("GTiff").Create(str(WORK / name), 50, 40, 1, gdal.GDT_Byte)
    d.SetGeoTransform((500000, 100, 0, 4000000, 0, -100))
    s = osr.SpatialReference()
    s.ImportFromEPSG(32649)
    d.SetSpatialRef(s)
    d.GetRasterBand(1).WriteArray(codes)
    d.FlushCache()


def problem(name):
    """Four cells seen by three soundings."""
    with netCDF4.Dataset(WORK / name, "w") as f:
        for dim, n in (("obs", 3), ("state", 4), ("nnz", 6), ("cell", 4), ("time", 1), ("rowp", 4)):
            f.createDimension(dim, n)
        for var, dim, v in (("y", "obs", [1.0, 2, 3]), ("x0", "state", [1.0, 1, 1, 1]),
                            ("xc", "cell", [0.0, 10, 0, 10]), ("yc", "cell", [0.0, 0, 10, 10]),
                            ("H_data", "nnz", [1.0] * 6)):
            f.createVariable(var, "f8", (dim,))[:] = v
        for var, dim, v in (("H_col", "nnz", [0, 1, 1, 2, 2, 3]), ("H_rowptr", "rowp", [0, 2, 4, 6])):
            f.createVariable(var, "i4", (dim,))[:] = v
        f.setncatts({"Lx_km": 30.0, "Lt_steps": 2.0, "sigma_q": 1.0, "sigma_r": 0.5, "nx": 2, "ny": 2,
                     "nt": 1, "cov": "spherical in space and time"})


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    assert sky("synth", "product", "s5p-ch4-v2", "--soundings", 60, "-o", "granule.nc").returncode == 0
    land_cover("a.tif", 1)
    land_cover("b.tif", 2)
    problem("p.nc")
    working = {
        "soundings": ["granule.nc", "-o", "o.nc"],
        "grid": ["granule.nc", "--cell", "5", "-o", "g.nc"],
        "regrid": ["a.tif", "--kind", "class", "--cell", "500 m", "-o", "r.tif"],
        "zonal": ["a.tif"],
        "sink": ["a.tif", "b.tif"],
        "invert": ["--problem", "p.nc"],
        "footprint": ["granule.nc"],
        "indices": ["granule.nc", "-o", "i.nc"],
        "vprm": ["granule.nc", "-o", "v.nc"],
        "account": ["a.csv", "--year", "2020"],
        "synth": ["product", "s5p-ch4-v2", "-o", "s.nc"],
        "merge": ["g.nc"],
        "info": ["granule.nc"],
    }
    (WORK / "a.csv").write_text("region,sector,activity,value,unit\nx,power,coal,1,t\n")
    for command in ("soundings", "grid", "regrid", "invert"):
        r = sky(command, *working[command])
        assert r.returncode == 0, (command, r.stderr)
    runs = 0
    for command, line in working.items():
        options = re.findall(r"^ +(?:-\w, +)?--([a-z0-9-]+) [A-Zi]", sky(command, "--help").stdout,
                             re.M)
        assert options, command
        for option in options:
            for value in VALUES:
                r = sky(command, *line, f"--{option}={value}")
                runs += 1
                said = (command, option, value[:20], r.returncode, r.stderr[-300:])
                assert r.returncode in CODES, said
                assert r.returncode == 0 or r.stderr.strip(), said
    assert runs > 1000, runs
    print(f"{runs} runs: none crashed, none was silent")


main()
