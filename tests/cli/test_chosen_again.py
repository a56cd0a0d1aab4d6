"""--product and --quality on harmonised soundings: a product is chosen by its id, another rule of
quality than the file was made with is refused, with option and file, and shards join as before.

Arguments: binary, data folder, work folder, source root."""
import json
import pathlib
import shutil
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, WORK, ROOT = sys.argv[1], pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4])
sys.path.insert(0, str(ROOT / "tests" / "support"))
import harmonised  # noqa: E402


def run(command, *args, code=0):
    r = subprocess.run([BINARY, command, *map(str, args), "--progress", "none"],
                       capture_output=True, text=True)
    assert r.returncode == code, (command, args, r.returncode, r.stderr)
    return r.stderr if code else r.stdout


def values(path, name="x"):
    with netCDF4.Dataset(path) as f:
        return np.ma.filled(f[name][...], np.nan)


def processing(path):
    with netCDF4.Dataset(path) as f:
        return f.processing


def lite(path, bad):
    run("synth", "product", "oco2-lite-v10", "-o", path, code=0)
    with netCDF4.Dataset(path, "a") as f:
        flag = np.zeros(len(f["xco2_quality_flag"]), "i1")
        flag[bad] = 1
        f["xco2_quality_flag"][:] = flag


def test_product():
    """Two products in one file: one of them alone, in both commands, is that one's own file."""
    lon, lat = harmonised.swath(20, 20, 10, 41, 42.5)
    n = len(lon)
    for name, product, value, at in (("a", "s5p-blnd", 1850.0, 1.5e9), ("b", "wfmd", 1900.0, 1.6e9)):
        harmonised.write(WORK / f"{name}.nc", lon, lat, np.full(n, value), np.full(n, 8.0),
                         time=at + np.arange(n), granule=f"{name}.gran", product=product)
    run("soundings", WORK / "a.nc", WORK / "b.nc", "-o", WORK / "both.nc", "--clean", "none")
    assert len(values(WORK / "both.nc")) == 2 * n
    for name, product, value in (("a", "s5p-blnd", 1850), ("b", "wfmd", 1900)):
        run("soundings", WORK / "both.nc", "--product", product, "-o", WORK / "one.nc", "--clean",
            "none")
        x = values(WORK / "one.nc")
        assert len(x) == n and abs(x - value).max() < 1e-3, (product, len(x), x)
        where = ["--box=-5,40,5,44", "--cell", 0.1]
        run("grid", WORK / "both.nc", "--product", product, *where, "-o", WORK / "g.nc")
        run("grid", WORK / "one.nc", *where, "-o", WORK / "h.nc")
        assert (WORK / "g.nc").read_bytes() == (WORK / "h.nc").read_bytes(), product
        mean = values(WORK / "g.nc", "xch4")
        assert abs(mean[~np.isnan(mean)] - value).max() < 1e-3
    for command in ("grid", "soundings"):
        cell = ["--cell", 1] if command == "grid" else []
        text = run(command, WORK / "a.nc", "--product", "wfmd", *cell, "-o", WORK / "n.nc", code=3)
        assert "a.nc" in text and "product" in text and "wfmd" in text, text
        assert not (WORK / "n.nc").exists()
        text = run(command, WORK / "a.nc", WORK / "b.nc", "--product", "wfmd", *cell, "-o",
                   WORK / "n.nc", code=5)
        assert "a.nc" in text, text
        (WORK / "n.nc").unlink()
    folder = WORK / "folder"  # in a folder it is none of what is looked for
    folder.mkdir()
    for name in ("a.nc", "b.nc"):
        shutil.copy(WORK / name, folder)
    run("soundings", folder, "--product", "wfmd", "-o", WORK / "n.nc")
    found = json.loads(run("grid", folder, "--product", "wfmd", "--cell", 1, "-o", WORK / "n.nc",
                           "--json"))
    assert found["passed_over"] == 1 and not found["failed"], found
    (WORK / "n.nc").unlink()
    for option, value in (("product", "wfmd"), ("quality", "none"), ("start", "2017-01-01"),
                          ("gas", "ch4")):
        text = run("grid", "--merge", WORK / "g.nc", f"--{option}", value, "-o", WORK / "n.nc",
                   code=2)
        assert f"--{option}" in text and "g.nc" in text, text


def test_quality():
    granules = [WORK / f"l{k}.nc4" for k in range(2)]
    for k, path in enumerate(granules):
        lite(path, bad=[1, 3])
    total = len(values(granules[0], "xco2"))
    run("soundings", granules[0], "--quality", "none", "-o", WORK / "none.nc")
    run("soundings", granules[0], "-o", WORK / "default.nc")
    assert processing(WORK / "none.nc").endswith("; quality: none"), processing(WORK / "none.nc")
    assert "quality" not in processing(WORK / "default.nc")
    assert len(values(WORK / "none.nc")) - len(values(WORK / "default.nc")) == 2, total
    # The same rule is what the file has behind it, also through a second pass.
    run("soundings", WORK / "none.nc", "--quality", "none", "-o", WORK / "again.nc")
    assert processing(WORK / "again.nc") == processing(WORK / "none.nc")
    assert np.array_equal(values(WORK / "again.nc"), values(WORK / "none.nc"))
    run("soundings", WORK / "none.nc", "-o", WORK / "again.nc")
    assert processing(WORK / "again.nc").endswith("; quality: none")
    run("soundings", WORK / "none.nc", WORK / "default.nc", "--clean", "none", "-o",
        WORK / "mixed.nc")
    assert processing(WORK / "mixed.nc").endswith("; quality: several")
    for command in ("grid", "soundings"):
        cell = ["--cell", 1, "--box=-180,-90,180,90"] if command == "grid" else []
        out = WORK / f"q-{command}.nc"
        for made, asked in (("none", "default"), ("default", "strict"), ("mixed", "none")):
            text = run(command, WORK / f"{made}.nc", "--quality", asked, *cell, "-o", out, code=2)
            assert f"{made}.nc" in text and "quality" in text and f"'{asked}'" in text, text
            assert not out.exists()
        run(command, WORK / "default.nc", "--quality", "default", *cell, "-o", out)
        run(command, WORK / "none.nc", "--quality", "none", *cell, "-o", out)
    # A background that the file has already is still recognised in front of the note.
    run("soundings", granules[0], "--quality", "none", "--background", "percentile:0.2", "-o",
        WORK / "back.nc")
    run("soundings", WORK / "back.nc", "--quality", "none", "--background", "percentile:0.2", "-o",
        WORK / "back2.nc")
    assert np.array_equal(values(WORK / "back.nc", "background"),
                          values(WORK / "back2.nc", "background"), equal_nan=True)


shutil.rmtree(WORK, ignore_errors=True)
WORK.mkdir(parents=True)
test_product()
test_quality()
