"""`skyflux grid` on real granules against a reading of its own with netCDF4 and numpy.

Arguments: binary, data folder, work folder, source root."""
import json
import pathlib
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK = sys.argv[1], pathlib.Path(sys.argv[2]) / "data", pathlib.Path(sys.argv[3])


def run(*args, code=0):
    r = subprocess.run([BINARY, "grid", *map(str, args), "--progress", "none", "--json"],
                       capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return json.loads(r.stdout)["outputs"][0] if code == 0 else r.stderr


def read(path):
    with netCDF4.Dataset(path) as f:
        f.set_auto_mask(False)
        return {k: v[...] for k, v in f.variables.items()}


def points(lon, lat, x, cell):
    """Mean and count of cells from the centres of soundings."""
    nx, ny = round(360 / cell), round(180 / cell)
    index = ((lat + 90) // cell).astype(int) * nx + ((lon + 180) // cell).astype(int)
    n = np.bincount(index, minlength=nx * ny)
    total = np.bincount(index, x, minlength=nx * ny)
    return n.reshape(ny, nx), (total / np.maximum(n, 1)).reshape(ny, nx)


def test_ocpr():
    """Centres only: files without corners."""
    files = sorted((DATA / "ghgcci_gosat").glob("*.nc"))
    lon, lat, x, good = [], [], [], []
    for path in files:
        with netCDF4.Dataset(path) as f:
            keep = np.asarray(f["xch4_quality_flag"][:]) == 0
            good.append(int(keep.sum()))
            lon.append(np.asarray(f["longitude"][:], float)[keep])
            lat.append(np.asarray(f["latitude"][:], float)[keep])
            x.append(np.asarray(f["xch4"][:], float)[keep])
    assert good == [1053, 959, 1023], good
    out = run(*files, "--cell", 1, "-o", WORK / "ocpr.nc")
    assert out["soundings"] == sum(good) and out["granules"] == 3 and out["outside"] == 0
    n, mean = points(*map(np.concatenate, (lon, lat, x)), 1)
    got = read(WORK / "ocpr.nc")
    assert np.array_equal(got["xch4_count"], n)
    assert abs(got["xch4"] - mean)[n > 0].max() < 1e-3 and 1600 < got["xch4"][n > 0].min()
    assert np.isnan(got["xch4"][n == 0]).all()


def test_blended():
    """What the pixels cover is conserved, and so is its mean; the planar areas are those of the
    corners' polygons, by the shoelace formula."""
    for name, good in (("02850", 11972), ("02834", 11319), ("02848", 11775)):
        path = next((DATA / "tropomi_ch4_blended").glob(f"*_{name}_*.nc"))
        with netCDF4.Dataset(path) as f:
            lon, lat = (np.asarray(f[f"{k}_bounds"][:], float) for k in ("longitude", "latitude"))
            x = np.asarray(f["methane_mixing_ratio_blended"][:], float)
        assert len(x) == good, (name, len(x))
        lon = np.where(lon - lon[:, :1] > 180, lon - 360, np.where(lon - lon[:, :1] < -180, lon + 360,
                                                                   lon))
        out = run(path, "--quality", "none", "--cell", 0.1, "--weights", "planar", "-o",
                  WORK / "blnd.nc")
        assert out["soundings"] == good and out["corners_crossed"] == out["without_area"] == 0, out
        got = read(WORK / "blnd.nc")
        u, v = np.roll(lon, -1, 1), np.roll(lat, -1, 1)
        area = 0.5 * abs(((lon - lon[:, :1]) * (v - lat[:, :1]) -
                          (u - lon[:, :1]) * (lat - lat[:, :1])).sum(1))
        cover = got["xch4_coverage"] * 0.01
        assert abs(cover.sum() / area.sum() - 1) < 1e-9, cover.sum() / area.sum()
        mean = (cover * np.nan_to_num(got["xch4"])).sum() / cover.sum()
        assert abs(mean - (area * x).sum() / area.sum()) < 1e-3
    china = run(path, "--quality", "none", "--cell", 0.1, "--box=73,18,135,54", "-o",
                WORK / "c.nc")
    assert 1173 <= china["soundings"] - china["outside"] < 1173 + 60  # corners reach in


def test_acos():
    for day, good in (("090901", 350), ("090902", 423)):
        path = next((DATA / "acos_oco_lite").glob(f"acos_LtCO2_{day}_*.nc4"))
        out = run(path, "--cell", 1, "-o", WORK / "acos.nc")
        assert out["gas"] == "co2" and out["soundings"] == good
        with netCDF4.Dataset(path) as f:
            keep = np.asarray(f["xco2_quality_flag"][:]) == 0
            x = np.asarray(f["xco2"][:], float)[keep]
        got = read(WORK / "acos.nc")["xco2"]
        assert np.nanmin(got) > x.min() - 1e-3 and np.nanmax(got) < x.max() + 1e-3


def main():
    if not (DATA / "ghgcci_gosat").is_dir():
        sys.exit(77)
    WORK.mkdir(parents=True, exist_ok=True)
    test_ocpr()
    test_blended()
    test_acos()
    # Three valid pixels at qa 0.4: nothing good is left.
    assert "no good sounding" in run(next((DATA / "tropomi_ch4").glob("*20190311*")), "--cell", 1,
                                     "-o", WORK / "no.nc", code=4)
    assert not (WORK / "no.nc").exists()


main()
