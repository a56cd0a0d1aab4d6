"""`skyflux synth product`: every granule has its product's structure, against the nearest real file (or
the product's own CDL), and holds the content that its truth table states, read without skyflux.
Arguments: binary, data folder, work folder.
"""
import glob
import os
import shutil
import subprocess
import sys

import h5py
import netCDF4
import numpy as np

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import raw  # noqa: E402

BINARY, DATA, WORK = sys.argv[1:4]


def synth(name, *options, code=0):
    path = os.path.join(WORK, name + ".nc")
    done = subprocess.run([BINARY, "synth", "product", name, "-o", path, *options],
                          capture_output=True, text=True)
    assert done.returncode == code, (name, done.returncode, done.stderr)
    return path if code == 0 else done.stderr


def find(pattern):
    found = sorted(glob.glob(os.path.join(DATA, pattern)))
    return found[0] if found else None


# --- structure ---------------------------------------------------------------------------------------

def structure(group, path="", rename=lambda n: n):
    """name -> (type, dimensions, {attribute: value}) of every variable below a group."""
    out = {}
    for name, v in group.variables.items():
        attributes = {k: v.getncattr(k) for k in v.ncattrs()}
        out[rename(path + name)] = (str(v.dtype), tuple(rename(d) for d in v.dimensions),
                                    {k: a for k, a in attributes.items()})
    for name, sub in group.groups.items():
        out.update(structure(sub, path + name + "/", rename))
    return out


def of_file(path, rename=lambda n: n):
    with netCDF4.Dataset(path) as f:
        return structure(f, rename=rename)


STATED = ("units", "missing_value", "_FillValue", "scale_factor", "add_offset", "valid_min",
          "valid_max", "flag_values", "flag_masks", "calendar")


def same(name, ours, real, attributes=STATED, dimensions=True):
    """Shared variables have the same type, dimensions and attributes; returns how many there are."""
    shared = sorted(set(ours) & set(real))
    for v in shared:
        assert ours[v][0] == real[v][0], (name, v, ours[v][0], real[v][0])
        if dimensions:
            assert ours[v][1] == real[v][1], (name, v, ours[v][1], real[v][1])
        names = attributes or set(ours[v][2]) | set(real[v][2])
        for a in names:
            one, other = ours[v][2].get(a), real[v][2].get(a)
            assert np.array_equal(one, other), (name, v, a, one, other)
    return len(shared)


def against_acos():
    """OCO Lite has what ACOS Lite has, and the vertices, modes and footprints besides."""
    real = find("acos_oco_lite/*_090901_*.nc4")
    for name in ("oco2-lite-v7", "oco2-lite-v8", "oco2-lite-v9", "oco2-lite-v10", "oco2-lite-v11", "oco3-lite-v10"):
        path = synth(name)
        ours = of_file(path)
        with netCDF4.Dataset(path) as f:
            assert f.dimensions["levels"].size == 20 and f.dimensions["vertices"].size == 4
            assert f.dimensions["footprints"].size == 8 and f.dimensions["epoch_dimension"].size == 6
            assert len(str(int(f["sounding_id"][0]))) == 16
            assert f["vertex_latitude"].dimensions == ("sounding_id", "vertices")
        new = name.endswith(("v10", "v11"))
        for v in ("xco2_x2019", "xco2_qf_simple_bitflag"):
            assert (v in ours) == new, (name, v)
        assert ours["xco2_qf_bitflag"][0] == ("uint64" if name.endswith("v11") else "int32")
        assert ("warn_level" in ours) == name.endswith(("v7", "v8"))
        for v in ("Sounding/operation_mode", "Sounding/footprint", "Retrieval/psurf", "file_index"):
            assert v in ours, (name, v)
        if real is None:
            continue
        theirs = of_file(real)
        # The ids have two digits more, paths other numbers; file_index's missing value is one that its type holds.
        for v in ("sounding_id", "file_index", "xco2_qf_bitflag", "Sounding/path"):
            del theirs[v]
        assert same(name, ours, theirs) >= 30, name
        with netCDF4.Dataset(path) as f, netCDF4.Dataset(real) as g:
            for x in (f, g):
                x.set_auto_mask(False)
                assert np.all(np.diff(x["pressure_levels"][:], axis=1) > 0)
                assert abs(x["pressure_weight"][:].sum(1) - 1).max() < 1e-5
            assert np.allclose(f["Retrieval/SigmaB"][:], g["Retrieval/SigmaB"][:], atol=1e-6)


def against_s5p():
    real = find("tropomi_ch4/*_07293_*.nc4")
    for name in ("s5p-ch4-v1", "s5p-ch4-v2", "s5p-ch4-bare"):
        path = synth(name)
        ours = of_file(path)
        destriped = "PRODUCT/methane_mixing_ratio_bias_corrected_destriped" in ours
        assert destriped == (name == "s5p-ch4-v2")
        assert any("SUPPORT_DATA" in v for v in ours) == (name != "s5p-ch4-bare")
        assert ("PRODUCT/SUPPORT_DATA/INPUT_DATA/eastward_wind" in ours) == (name == "s5p-ch4-v2")
        if real is None:
            continue
        assert same(name, ours, of_file(real), [a for a in STATED if a != "units"]) >= 12, name
    with netCDF4.Dataset(synth("s5p-ch4-v2")) as f:
        inputs = f["PRODUCT/SUPPORT_DATA/INPUT_DATA"]
        assert np.all(np.diff(inputs["altitude_levels"][:], axis=-1) < 0)  # as in the real one
        bottom = inputs["surface_pressure"][:] - 12 * inputs["pressure_interval"][:]
        assert abs(bottom - 10).max() < 0.1
        lon = f["PRODUCT/longitude"][:]
        assert lon.min() < -179 and lon.max() > 179  # the swath crosses the antimeridian


def against_ocpr():
    real = find("ghgcci_gosat/*20120101*.nc")
    rename = lambda n: n.replace("ch4", "co2")
    path = synth("ocfp")
    if real is not None:
        assert same("ocfp-ch4", of_file(synth("ocfp-ch4")), of_file(real)) >= 16
        theirs = of_file(real, rename)
        # CO2 is in ppm where CH4 is in ppb.
        for v in ("xco2", "xco2_uncertainty", "co2_profile_apriori", "raw_xco2"):
            theirs[v][2]["units"] = "1e-6"
        assert same("ocfp", of_file(path), theirs) >= 16
    for p in [path] + ([real] if real else []):
        with netCDF4.Dataset(p) as f:
            f.set_auto_mask(False)
            pressure = f["pressure_levels"][:]
            short = pressure[:, 0] == np.float32(-9999.99)
            whole = pressure[~short & (pressure[:, 5] > 0)]
            assert short.any() and np.all(np.diff(whole, axis=1) < 0), p
            assert "_FillValue" not in f["pressure_weight"].ncattrs()


def against_cdl():
    """WFMD and SRFP: every variable, dimension and attribute of the product's own header."""
    for name, pattern in (("wfmd", "*WFMD*.cdl"), ("srfp-co2", "*SRFP*.cdl")):
        path = synth(name)
        cdl = glob.glob(os.path.join(DATA, "..", "layouts", "cdl", pattern))
        if not cdl:
            continue
        header = os.path.join(WORK, name + "-header.nc")
        subprocess.run(["ncgen", "-4", "-o", header, cdl[0]], check=True)
        ours, theirs = of_file(path), of_file(header)
        assert set(ours) == set(theirs), set(ours) ^ set(theirs)
        assert same(name, ours, theirs, None) == len(theirs)
    with netCDF4.Dataset(synth("srfp-co2")) as f:  # the trap of the real files
        assert f["xco2"].units == "1e-9" and 300 < f["xco2"][:].mean() < 500


def hdf5_of_nies():
    """Plain HDF5: no dimensions, texts of fixed length, invalidValue."""
    wanted = {
        "nies-swir-co2": ("Data/mixingRatio/XCO2BiasCorrected", "Data/totalColumn/CO2TotalColumn",
                          "Data/retrievalQuality/totalPostScreeningResult", "scanAttribute/time",
                          "Data/auxiliaryParameter/dryAirTotalColumn", "Global/metadata/satelliteName"),
        "nies-swir-ch4": ("Data/mixingRatio/XCH4BiasCorrected", "Data/retrievalQuality/CH4DFS"),
        "nies-swfp": ("RetrievalResult/pressure_level", "RetrievalResult/xch4_quality_flag",
                      "SoundingAttribute/observationTime", "SceneAttribute/numSounding",
                      "RetrievalResult/xco2_column_averaging_kernel", "Metadata/satelliteName")}
    for name, paths in wanted.items():
        with h5py.File(synth(name), "r") as f:
            for p in paths:
                assert p in f, (name, p)
            seen = []

            def visit(path, item):
                if isinstance(item, h5py.Dataset):
                    seen.append(path)
                    assert h5py.check_vlen_dtype(item.dtype) is None, (name, path)
                assert not set(item.attrs) & {"DIMENSION_LIST", "CLASS", "_Netcdf4Dimid"}, (name, path)
            f.visititems(visit)
            assert "n" not in f and "one" not in f and len(seen) > 20, name
            if name.startswith("nies-swir"):
                x = f[paths[0]]
                assert np.any(x[...] == -9999) and float(x.attrs["invalidValue"]) == -9999
                assert x.attrs["unit"].decode() == "ppm"


def rasters():
    from osgeo import gdal
    gdal.UseExceptions()
    for name in ("emit-ch4enh", "emit-ch4plm", "carbonmapper-plume"):
        path = synth(name)
        ds = gdal.Open(path)
        band = ds.GetRasterBand(1)
        assert ds.RasterCount == 1 and band.DataType == gdal.GDT_Float32
        assert band.GetNoDataValue() == -9999 and "4326" in ds.GetProjection()
        layout = ds.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE")
        assert (layout == "COG") == name.startswith("emit")
        assert band.GetUnitType() == ("ppm m" if name.startswith("emit") else "")
        x = band.ReadAsArray().astype("f8")
        told = dict(line.strip().split(",") for line in open(path + ".truth.csv"))
        valid = x[x != -9999]
        assert int(told["pixels"]) == x.size and int(told["valid"]) == valid.size < x.size
        assert int(told["negative"]) == (valid < 0).sum() > 0
        assert abs(float(told["sum_ppm_m"]) - valid.sum()) <= 1e-9 * abs(valid).sum()


# --- content -----------------------------------------------------------------------------------------

def content():
    """An independent reading of every granule gives the truth table, in the right order."""
    for name, (gases, read) in raw.READ.items():
        path = synth(name)
        for gas in gases:
            got, want = read(path, gas), raw.truth(path, gas)
            state = want["state"][got["row"]]
            assert np.array_equal(got["row"], np.flatnonzero(want["state"] != "empty")), name
            if name != "s5p-ch4-bare":  # without SUPPORT_DATA nothing tells of snow
                assert np.array_equal(got["good"], state == "good"), (name, gas)
            assert (state == "good").sum() > 0.6 * len(state)
            tolerance = 1e-5 if name == "musica" else 1e-6  # float32; the latitude of gravity
            for key in raw.KEYS:
                if key not in got or key not in want:
                    continue
                a, b = got[key][got["good"]], want[key][got["row"]][got["good"]]
                assert a.shape == b.shape, (name, gas, key)
                assert np.array_equal(np.isnan(a), np.isnan(b)), (name, gas, key)
                assert np.nanmax(abs(a - b)) <= tolerance * np.nanmax(abs(b)), (name, gas, key)
            if "ak" in got and name != "musica":  # the identities of every product
                w, c = got["weight"][got["good"]], got["profile"][got["good"]]
                assert abs(w.sum(1) - 1).max() < 1e-5
                assert abs((w * c).sum(1) / got["prior"][got["good"]] - 1).max() < 1e-5
            for key in ("ak", "pressure", "profile"):  # upside down is another thing
                if key in got:
                    a, b = got[key][got["good"]][0], want[key][got["row"]][got["good"]][0]
                    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
                    assert abs(a[::-1] - b).max() > 1e-3 * abs(b).max(), (name, key)


def options():
    one = open(synth("oco2-lite-v10"), "rb").read()
    assert one == open(synth("oco2-lite-v10"), "rb").read()
    assert one != open(synth("oco2-lite-v10", "--seed", "2"), "rb").read()
    with netCDF4.Dataset(synth("wfmd", "--soundings", "50")) as f:
        assert f.dimensions["sounding_dim"].size == 60  # whole rows of 12
    for name, args, words in (("none", (), "'none' is not a product"),
                              ("wfmd", ("--soundings", "x"), "--soundings"),
                              ("wfmd", ("--case", "matched"), "--case"),
                              ("emit-ch4enh", ("--soundings", "5"), "a raster has none"),
                              ("wfmd", ("--soundings", "1000001"), "above 1000000")):
        assert words in synth(name, *args, code=2), words
    here = subprocess.run([BINARY, "synth", "product", "wfmd"], cwd=WORK, capture_output=True)
    assert here.returncode == 0
    assert os.path.exists(os.path.join(WORK, "ESACCI-GHG-L2-CH4-CO-TROPOMI-WFMD-20171110-fv2.nc"))
    assert not glob.glob(os.path.join(WORK, ".part*"))


DATA = os.path.join(DATA, "data")
shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
for check in (against_acos, against_s5p, against_ocpr, against_cdl, hdf5_of_nies, rasters, content,
              options):
    check()
