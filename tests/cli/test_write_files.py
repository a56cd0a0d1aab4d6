"""Opens what the writers wrote with other programs: GDAL, ncdump, cdo, netCDF4, OGR, csv.

Arguments: binary, data folder, work folder, source folder, write_sample."""
import csv
import filecmp
import json
import math
import os
import shutil
import subprocess
import sys
import time

import netCDF4
import numpy as np
from osgeo import gdal, ogr, osr

gdal.UseExceptions()
sample, work = sys.argv[5], sys.argv[3]
shutil.rmtree(work, ignore_errors=True)
first, second = os.path.join(work, "first"), os.path.join(work, "second")
for folder in (first, second):
    os.makedirs(folder)
    subprocess.run([sample, folder], check=True)
    time.sleep(1.1)  # a clock in the bytes would show


def run(*command, cwd=None):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd).stdout


def same_bytes():
    names = sorted(os.listdir(first))
    assert names == sorted(os.listdir(second)), names
    assert not [n for n in names if n.startswith(".") or n.endswith(".aux.xml")], names
    for name in names:
        assert filecmp.cmp(f"{first}/{name}", f"{second}/{name}", shallow=False), name


def cell_at(path, lon, lat):
    ds = gdal.Open(path)
    x0, dx, _, y0, _, dy = ds.GetGeoTransform()
    return ds.ReadAsArray()[int((lat - y0) / dy), int((lon - x0) / dx)]


def expected(lon, lat):  # the sample's rule: 1000 * row from the south + column
    return 1000 * int((lat - 40) / 0.5) + int((lon + 10) / 0.5)


def cog():
    path = f"{first}/ch4_posterior.tif"
    info = json.loads(run("gdalinfo", "-json", path))
    band = info["bands"][0]
    assert info["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert info["metadata"]["IMAGE_STRUCTURE"]["COMPRESSION"] == "DEFLATE"
    assert info["metadata"][""]["JOB_SHA256"] == "0123456789abcdef"
    assert info["metadata"][""]["TIFFTAG_SOFTWARE"] == "skyflux 0.1.0"
    assert band["type"] == "Float32" and str(band["noDataValue"]).lower() == "nan"
    assert band["unit"] == "umol m-2 s-1" and band["description"] == "CH4 posterior flux"
    srs = osr.SpatialReference(info["coordinateSystem"]["wkt"])
    assert srs.GetAuthorityCode(None) == "4326"
    assert info["geoTransform"] == [-10.0, 0.5, 0.0, 60.0, 0.0, -0.5]
    for lon, lat in [(-9.9, 40.1), (19.9, 59.9), (3.3, 41.7), (-0.2, 58.4)]:
        assert cell_at(path, lon, lat) == expected(lon, lat), (lon, lat)
    assert cell_at(path, 3.3, 41.7) != expected(3.3, 40 + 60 - 41.7)  # rows upside down would show
    assert math.isnan(cell_at(path, -6.3, 40.2))
    ds = gdal.Open(path)
    value = ds.ReadAsArray().astype(float)
    meta = band["metadata"][""]
    assert abs(float(meta["STATISTICS_MEAN"]) - np.nanmean(value)) < 1e-6
    assert abs(float(meta["STATISTICS_STDDEV"]) - np.nanstd(value)) < 1e-6
    assert float(meta["STATISTICS_MAXIMUM"]) == np.nanmax(value)
    assert float(meta["STATISTICS_MINIMUM"]) == np.nanmin(value)
    for name in sorted(os.listdir(first)):
        if name.endswith(".tif"):
            out = run("/usr/bin/python3", "-m", "osgeo_utils.samples.validate_cloud_optimized_geotiff",
                      f"{first}/{name}")
            assert "is a valid cloud optimized GeoTIFF" in out, out
    utm = gdal.Open(f"{first}/utm.tif")
    assert utm.GetSpatialRef().GetAuthorityCode(None) == "32650"
    assert utm.GetGeoTransform() == (400000.0, 1000.0, 0.0, 4440000.0, 0.0, -1000.0)


def overviews():
    for kind in ("mean", "sum", "class"):
        ds = gdal.Open(f"{first}/large_{kind}.tif")
        band = ds.GetRasterBand(1)
        value = band.ReadAsArray().astype(float)
        assert band.GetOverviewCount() == 2, (kind, band.GetOverviewCount())
        for k in range(2):
            coarse, f = band.GetOverview(k).ReadAsArray().astype(float), 2 << k
            block = value[: 700 // f * f, : 1100 // f * f].reshape(700 // f, f, 1100 // f, f)
            if kind == "sum":
                assert abs(np.nansum(coarse) - np.nansum(value)) < 1e-3
                assert np.array_equal(coarse[:700 // f, :1100 // f], np.nansum(block, axis=(1, 3)))
            elif kind == "mean":
                assert np.allclose(coarse[:700 // f, :1100 // f], np.nanmean(block, axis=(1, 3)))
            else:
                assert set(np.unique(coarse[~np.isnan(coarse)])) <= set(range(7))


def netcdf():
    if not shutil.which("cdo"):
        print("cdo is not there: not opened with it")
    header = run("ncdump", "-h", f"{first}/fields.nc")
    for text in ['Conventions = "CF-1.11, ACDD-1.3"', 'units = "degrees_north"', 'axis = "Y"',
                 'bounds = "lat_bnds"', 'grid_mapping = "crs"', "crs_wkt",
                 'grid_mapping_name = "latitude_longitude"', '_FillValue = NaN',
                 'ancillary_variables = "ch4_posterior_sd"', 'title = "Invented fields"']:
        assert text in header, text
    for name in ("fields", "utm") if shutil.which("cdo") else ():
        assert "ch4_posterior" in run("cdo", "-s", "sinfon", f"{name}.nc", cwd=first)  # no blank
    with netCDF4.Dataset(f"{first}/fields.nc") as d:
        lat, lon = d["lat"][:], d["lon"][:]
        flux = d["ch4_posterior"][:]
        iy, ix = np.argmin(abs(lat - 58.25)), np.argmin(abs(lon - 3.25))
        assert flux[iy, ix] == expected(3.25, 58.25)
        assert d["ch4_posterior"].dtype == np.float64 and flux.mask.sum() == 1
        assert np.all(np.diff(lat) > 0) and d["lat_bnds"][0, 0] == 40 and d["lon_bnds"][-1, 1] == 20
        # area of the spherical rectangle, to the flattening of the Earth
        area = 6371007.2**2 * np.radians(30) * (np.sin(np.radians(60)) - np.sin(np.radians(40)))
        assert abs(d["cell_area"][:].sum() / area - 1) < 5e-3
        assert d.geospatial_lat_max == 60 and d.geospatial_lon_min == -10
    with netCDF4.Dataset(f"{first}/utm.nc") as d:
        assert d["crs"].grid_mapping_name == "transverse_mercator"
        assert d["crs"].longitude_of_central_meridian == 117
        assert d["ch4_posterior"].coordinates == "lat lon"
        src, dst = osr.SpatialReference(), osr.SpatialReference()
        src.ImportFromEPSG(32650), dst.ImportFromEPSG(4326)
        point = osr.CoordinateTransformation(src, dst).TransformPoint(400500, 4400500)
        assert abs(d["lat"][0, 0] - point[0]) < 1e-9 and abs(d["lon"][0, 0] - point[1]) < 1e-9
        assert abs(d["cell_area"][:].sum() / 2.4e9 - 1) < 2e-3
    # other programs may add to the file
    with netCDF4.Dataset(f"{second}/fields.nc", "a") as d:
        d.comment = "edited"


def tables():
    with open(f"{first}/zones.csv", newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert [r["zone_id"] for r in rows] == ["east", "east", "void", "west"]
    assert rows[0]["zone_name"] == 'East <b>"Land"</b>' and rows[1]["column_unit"] == "ppm"
    assert rows[1]["posterior_t_yr"] == "" and rows[1]["detectable_t_yr"] == "inf"
    assert float(rows[1]["scope2_t_yr"]) == 1.2e7 and float(rows[1]["sink_t_yr"]) == -3.1e7
    assert rows[1]["sink_posterior_t_yr"] == rows[1]["net_posterior_sd_t_yr"] == ""
    assert float(rows[0]["best_t_yr"]) == 1.53e6 and float(rows[0]["best_sd_t_yr"]) == 8.6e4
    assert rows[0]["best_from"] == "posterior and inventory, fused" and rows[2]["best_from"] == ""
    assert float(rows[0]["posterior_t_yr"]) == 1.62e6 and rows[3]["reason"].endswith("\nsecond line")

    ds = ogr.Open(f"{first}/zones.gpkg")
    layer = ds.GetLayerByName("zones")
    assert layer.GetFeatureCount() == 4
    assert layer.GetSpatialRef().GetAuthorityCode(None) == "4326"
    features = {(f["zone_id"], f["gas"]): f.Clone() for f in layer}
    west = features["west", "ch4"].GetGeometryRef()
    assert west.GetGeometryName() == "MULTIPOLYGON" and west.GetGeometryCount() == 2
    assert west.GetGeometryRef(0).GetGeometryCount() == 2 and west.IsValid()
    assert features["void", "ch4"].GetGeometryRef() is None
    assert features["east", "co2"]["posterior_t_yr"] is None
    assert features["east", "ch4"]["posterior_t_yr"] == 1.62e6
    for row in rows:  # CSV and GeoPackage cannot differ
        feature = features[row["zone_id"], row["gas"]]
        for key, text in row.items():
            value = feature[key]
            assert (value is None and text == "") or value == text or value == float(text), key
    style = ds.GetLayerByName("layer_styles").GetNextFeature()
    assert style["f_table_name"] == "zones" and style["useAsDefault"] == 1
    assert style["f_geometry_column"] == layer.GetGeometryColumn()
    assert 'attr="status"' in style["styleQML"] and "model misfit" in style["styleSLD"]
    assert "status" in [layer.GetLayerDefn().GetFieldDefn(i).GetName()
                        for i in range(layer.GetLayerDefn().GetFieldCount())]


for check in (same_bytes, cog, overviews, netcdf, tables):
    check()
    print(check.__name__, "ok")
