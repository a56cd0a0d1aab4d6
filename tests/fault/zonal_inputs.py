"""Inputs of the fault tests of `skyflux zonal`: rasters and zones that take a second or so."""
import os
import pathlib
import subprocess

import numpy as np
from osgeo import gdal, ogr, osr

gdal.UseExceptions()
ogr.UseExceptions()


def srs_of(epsg):
    s = osr.SpatialReference()
    s.ImportFromEPSG(epsg)
    s.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return s


def create(path, nx, ny, kind, transform, epsg=4326, nodata=None, options=()):
    d = gdal.GetDriverByName("GTiff").Create(str(path), nx, ny, 1, kind, list(options))
    d.SetGeoTransform(transform)
    d.SetSpatialRef(srs_of(epsg))
    if nodata is not None:
        d.GetRasterBand(1).SetNoDataValue(nodata)
    return d


def raster(path, array, transform, epsg=4326, nodata=None, options=("TILED=YES",)):
    kinds = {"float32": gdal.GDT_Float32, "uint8": gdal.GDT_Byte, "int16": gdal.GDT_Int16}
    ny, nx = array.shape
    d = create(path, nx, ny, kinds[array.dtype.name], transform, epsg, nodata, options)
    d.GetRasterBand(1).WriteArray(array)
    return path


def zones(path, boxes, epsg=4326):
    """Boxes west, south, east, north with a corner cut off, so that cells are covered in part."""
    d = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = d.CreateLayer("zones", srs_of(epsg), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTString))
    for i, (w, s, e, n) in enumerate(boxes):
        ring = ogr.Geometry(ogr.wkbLinearRing)
        cut = 0.31 * (e - w)
        for x, y in ((w, s), (e, s), (e, n), (w + cut, n), (w, n - 0.27 * (n - s)), (w, s)):
            ring.AddPoint_2D(x, y)
        g = ogr.Geometry(ogr.wkbPolygon)
        g.AddGeometry(ring)
        f = ogr.Feature(layer.GetLayerDefn())
        f["code"] = f"z{i:02d}"
        f.SetGeometry(g)
        layer.CreateFeature(f)
    return path


def field(seed, nx, ny):
    rng = np.random.default_rng(seed)
    v = rng.normal(400, 30, (ny, nx)).astype(np.float32)
    v[rng.random((ny, nx)) < 0.05] = -1
    return v


def classes(seed, nx, ny):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 9, (ny // 4 + 1, nx // 4 + 1), dtype=np.uint8).repeat(4, 0).repeat(
        4, 1)[:ny, :nx].copy()


def command(binary, *args):
    return [binary, *map(str, args)]


def run(binary, *args, code=0, **more):
    r = subprocess.run(command(binary, *args), capture_output=True, text=True, **more)
    assert r.returncode == code, (args, r.returncode, r.stderr)
    return r.stderr


def same(a, b, what):
    assert pathlib.Path(a).read_bytes() == pathlib.Path(b).read_bytes(), what


def gone(*paths):
    for p in paths:
        if os.path.exists(p):
            os.remove(p)
