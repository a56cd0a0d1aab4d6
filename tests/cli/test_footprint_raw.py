"""`skyflux footprint --json` against numpy on the raw files: sums, a mesh, and negative controls.

Arguments: binary, data folder, work folder, source root."""
import json
import pathlib
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

BINARY, DATA = sys.argv[1], pathlib.Path(sys.argv[2]) / "data"
FOOTPRINTS = DATA / "footprints"
THW = FOOTPRINTS / "THW-column_NAME_UMG_EUROPE_TEST_inert_202304.nc"
THW_SUMS = [2.521385, 2.654877, 2.705627, 2.873566]
STILT_SUMS = [0.007275, 0.013047, 0.028145, 0.048596, 0.018696, 0.636607]
BOX, CELL = (-11.0, 49.0, 3.0, 61.0), 1.0


def run(*args, code=0):
    r = subprocess.run([BINARY, "footprint", *map(str, args)], capture_output=True, text=True)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r


def ask(*args):
    return json.loads(run("--json", *args).stdout)


def raw(path, name):
    """(row, lat, lon) ascending, and the centres."""
    with Dataset(path) as d:
        v = d[name]
        order = [next(i for i, n in enumerate(v.dimensions) if n.startswith(p))
                 for p in ("time", "lat", "lon")]
        a = np.ma.filled(v[:].astype(float), 0.0).transpose(order)
        y = np.asarray(d[v.dimensions[order[1]]][:], float)
        x = np.asarray(d[v.dimensions[order[2]]][:], float)
    return a, y, x


def edges(c):
    step = (c[-1] - c[0]) / (len(c) - 1)
    return c[0] + step * (np.arange(len(c) + 1) - 0.5)


def zone(lat):
    """Area between equator and latitude over half the polar axis squared (authalic, WGS 84)."""
    e = np.sqrt(0.0066943799901413165)
    s = np.sin(np.radians(lat))
    return s / (1 - (e * s) ** 2) + np.arctanh(e * s) / e


def overlap(src, dst):
    """Share of each source interval in each target interval."""
    low = np.maximum(src[:-1, None], dst[None, :-1])
    high = np.minimum(src[1:, None], dst[None, 1:])
    return np.clip(high - low, 0, None) / np.diff(src)[:, None]


def near(got, want, tolerance):
    return np.all(np.abs(np.asarray(got) - np.asarray(want)) <= tolerance)


def check_file(path, name, fmt, column):
    a, _, _ = raw(path, name)
    j = ask(path)
    assert (j["format"], j["column"]) == (fmt, column), (path, j["format"], j["column"])
    assert len(j["rows"]) == a.shape[0]
    sums = a.sum(axis=(1, 2))
    got = [r["sum"] for r in j["rows"]]
    assert near(got, sums, 1e-12 * max(1e-300, np.abs(sums).max()) * a[0].size ** 0.5), path
    assert [r["cells"] for r in j["rows"]] == list((a != 0).sum(axis=(1, 2)))
    return got


def check_mesh():
    a, y, x = raw(THW, "srr")
    j = ask(f"--box={','.join(map(str, BOX))}", f"--cell={CELL}", THW)
    wx = overlap(edges(x), np.arange(BOX[0], BOX[2] + 0.5 * CELL, CELL))
    wy = overlap(zone(edges(y)), zone(np.arange(BOX[1], BOX[3] + 0.5 * CELL, CELL)))
    mesh = np.einsum("tyx,ya,xb->tab", a, wy, wx)
    inside = mesh.sum(axis=(1, 2))
    for r, m, s in zip(j["rows"], inside, a.sum(axis=(1, 2))):
        assert abs(r["sum_on_mesh"] - m) <= 1e-12 * s, (r["sum_on_mesh"], m)
        assert abs(r["outside"] - (s - m)) <= 1e-12 * s
        assert abs(r["residual"]) <= 1e-12 * s
    flipped = np.einsum("tyx,ya,xb->tab", a[:, ::-1], wy, wx).sum(axis=(1, 2))
    assert not near([r["sum_on_mesh"] for r in j["rows"]], flipped, 1e-6)  # axis upside down
    assert not near([r["sum_on_mesh"] for r in j["rows"]], np.roll(inside, 1), 1e-6)  # hour shifted
    assert not near([r["sum_on_mesh"] for r in j["rows"]], -inside, 1e-6)  # sign turned


def check_usage():
    assert "no file" in run(code=2).stderr
    assert "belong together" in run("--cell=1", THW, code=2).stderr
    assert "--cell" in run("--box=0,0,1,1", "--cell=-1", THW, code=2).stderr
    assert "absent.nc" in run(FOOTPRINTS / "absent.nc", code=3).stderr
    r = run(THW, FOOTPRINTS / "stilt_r_foot.nc", code=3)
    assert "different grids" in r.stderr and "stilt_r_foot.nc" in r.stderr
    assert "--cell" in run("--help").stdout
    table = run(THW).stdout
    assert "2023-04-02T14:00:00Z" in table and "2.52138519" in table
    joined = ask(THW, THW)
    assert joined["receptors"] == 8 and abs(joined["sum"] - 2 * sum(THW_SUMS)) < 1e-5


def main():
    if not THW.exists():
        print("skipped: no real footprints at", FOOTPRINTS)
        return 77
    thw = check_file(THW, "srr", "paris", True)
    assert near(thw, THW_SUMS, 1e-6)
    assert not near(np.roll(thw, 1), THW_SUMS, 1e-6)
    stilt = check_file(FOOTPRINTS / "stilt_r_foot.nc", "foot", "stilt", False)
    assert near(stilt, STILT_SUMS, 1e-6) and abs(sum(stilt) - 0.752367) <= 1e-6
    for name, var, fmt, column in (
            ("TAC-100magl_UKV_co2_TEST_201407.nc", "fp", "openghg", False),
            ("TAC-100magl_UKV_TEST_201607.nc", "fp", "openghg", False),
            ("GOSAT-UK-column_EUROPE_201402.nc", "fp", "openghg", True),
            ("MHD-10magl_FLEXPART_ECMWFHRES_TEST_inert_201809.nc", "srr", "paris", False),
            ("MHD-10magl_NAME_UKV_TEST_inert_PARIS-format_201301.nc", "srr", "paris", False)):
        check_file(FOOTPRINTS / name, var, fmt, column)
    check_mesh()
    check_usage()
    return 0


sys.exit(main())
