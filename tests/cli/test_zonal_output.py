"""What `skyflux zonal` writes: one table in every format, units, full disks. Arguments: binary, data
folder, work folder, source root."""
import csv
import io
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys

import numpy as np
from osgeo import gdal, ogr, osr

BINARY, WORK = sys.argv[1], pathlib.Path(sys.argv[3])
gdal.UseExceptions()
ogr.UseExceptions()


def call(*args, code=0, limit=None, env=None):
    def before():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    r = subprocess.run([BINARY, "zonal", *map(str, args), "--progress", "none", "-q"],
                       capture_output=True, text=True, preexec_fn=before if limit else None,
                       env={**os.environ, **(env or {})})
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r


def rows_of(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(lines))))


def srs():
    s = osr.SpatialReference()
    s.ImportFromEPSG(4326)
    s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return s


def inputs():
    value = np.random.default_rng(1).normal(0, 1e6, (100, 100)).astype(np.float32)
    v = WORK / "value.tif"
    d = gdal.GetDriverByName("GTiff").Create(str(v), 100, 100, 1, gdal.GDT_Float32)
    d.SetGeoTransform((100, .01, 0, 40, 0, -.01))
    d.SetSpatialRef(srs())
    d.GetRasterBand(1).WriteArray(value)
    del d
    z = WORK / "zones.gpkg"
    d = ogr.GetDriverByName("GPKG").CreateDataSource(str(z))
    layer = d.CreateLayer("zones", srs(), ogr.wkbUnknown)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    shapes = {f"z{i}": f"POLYGON((100.{i} 39.2,100.{i}5 39.2,100.{i}2 39.9,100.{i} 39.2))"
              for i in range(10)}
    shapes.update({'comma, "quote"': shapes["z0"], "北京": shapes["z1"], "outside":
                   "POLYGON((0 0,1 0,0 1,0 0))", "none": None})
    for key, text in shapes.items():
        f = ogr.Feature(layer.GetLayerDefn())
        f["code"] = key
        if text:
            f.SetGeometry(ogr.CreateGeometryFromWkt(text))
        layer.CreateFeature(f)
    return v, z, shapes


def same(cell, value, what):
    """A cell of the CSV and a value of another format: the same double, the same text, or nothing."""
    if value is None or value == "":
        assert cell == "", what
    elif isinstance(value, str):
        assert cell == value, what
    else:
        assert float(cell) == value, what


def test_formats(v, z, shapes):
    rows = rows_of(call(v, z, "--id", "code").stdout)
    assert sorted(r["zone_id"] for r in rows) == sorted(shapes)
    out = {k: WORK / f"out.{k}" for k in ("csv", "json", "gpkg")}
    for path in out.values():
        call(v, z, "--id", "code", "-o", path)
        once = path.read_bytes()
        call(v, z, "--id", "code", "-o", path, "--threads", 2)
        assert path.read_bytes() == once, path
        assert sorted(p.name for p in WORK.glob("out.*")) == \
            sorted(p.name for p in out.values() if p.exists()), "nothing but the outputs is left"
    assert rows_of(out["csv"].read_text()) == rows
    document = json.loads(out["json"].read_text())
    assert document["notes"][0].startswith("skyflux ") and any("sha256" in n
                                                              for n in document["notes"])
    data = ogr.Open(str(out["gpkg"]))
    layer = data.GetLayer(0)
    assert layer.GetGeomType() == ogr.wkbMultiPolygon and layer.GetSpatialRef().IsGeographic()
    assert layer.GetFeatureCount() == len(rows) == len(document["rows"])
    for row, o, f in zip(rows, document["rows"], layer):
        assert list(row) == list(o) == [layer.GetLayerDefn().GetFieldDefn(i).GetName()
                                        for i in range(f.GetFieldCount())]
        for k, cell in row.items():
            same(cell, o[k], (k, cell, o))
            same(cell, f[k], (k, cell, f[k]))
        text = shapes[row["zone_id"]]
        g = f.GetGeometryRef()
        assert (g is None) == (text is None), row
        if g is not None:
            assert g.Clone().SymmetricDifference(ogr.CreateGeometryFromWkt(text)).Area() < 1e-12
    return rows


def test_parquet(v, z, rows):
    """Where GDAL has the driver, the same table; where it has not, a clear refusal before the work."""
    out = WORK / "out.parquet"
    error = call(v, z, "--id", "code", "-o", out, code=2, env={"GDAL_SKIP": "Parquet"}).stderr
    assert f"'{out}': this GDAL has no Parquet driver (.csv, .json and .gpkg work)" in error, error
    assert not out.exists()
    if gdal.GetDriverByName("Parquet") is None:
        print("part skipped: GDAL has no Parquet driver")
        return
    call(v, z, "--id", "code", "-o", out)
    data = ogr.Open(str(out))
    for row, f in zip(rows, data.GetLayer(0)):
        for k, cell in row.items():
            same(cell, f[k], (k, cell, f[k]))


def test_units(v, z, rows):
    for unit, factor in (("km2", 100), ("m2", 1e-4), ("ha", 1)):
        for r, one in zip(rows, rows_of(call(v, z, "--id", "code", "--area-unit", unit).stdout)):
            a, b = float(r["zone_area_ha"]), float(one[f"zone_area_{unit}"])
            assert abs(b * factor - a) <= 1e-15 * a, (unit, a, b)
            assert {k: x for k, x in one.items() if "area" not in k} == \
                {k: x for k, x in r.items() if "area" not in k}


def test_full_disk(v, z):
    """A disk that fills up leaves no output; the parts that are done stay for the next run."""
    for suffix, limit in (("gpkg", 40000), ("csv", 1200), ("json", 1200), ("csv", 100)):
        out = WORK / f"full.{suffix}"
        error = call(v, z, "--id", "code", "-o", out, code=1, limit=limit).stderr
        assert "cannot write: File too large" in error, error
        left = {p.name for p in WORK.glob("full.*")}
        assert left <= {f"full.{suffix}.journal"}, left
        call(v, z, "--id", "code", "-o", out)
        assert {p.name for p in WORK.glob("full.*")} == {out.name}
        out.unlink()


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    for old in WORK.iterdir():
        old.unlink()
    v, z, shapes = inputs()
    rows = test_formats(v, z, shapes)
    test_parquet(v, z, rows)
    test_units(v, z, rows)
    test_full_disk(v, z)
    return 0


sys.exit(main())
