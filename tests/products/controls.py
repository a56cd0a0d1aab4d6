"""Negative controls: a granule whose kernel is reversed, whose levels are flipped, whose quality is inverted
or whose corners stand in another order is another granule: read by skyflux, it must not agree with the
table of what was written (PATH.truth.csv), which the intact one does. The faults are put into the files, so
that reader, harmonised file and comparison stand between them and the verdict.
Arguments: binary, data folder, work folder.
"""
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

BINARY, _, WORK = sys.argv[1:4]
DETAIL, INPUT = "PRODUCT/SUPPORT_DATA/DETAILED_RESULTS/", "PRODUCT/SUPPORT_DATA/INPUT_DATA/"
GEO = "PRODUCT/SUPPORT_DATA/GEOLOCATIONS/"
# product -> gas; variables of the kernel, of the levels alone, of quality (good, bad), of the corners
CASES = {
    "oco2-lite-v10": ("co2", "xco2_averaging_kernel", "pressure_levels", ("xco2_quality_flag", 0, 1),
                      "vertex_longitude"),
    "s5p-ch4-v1": ("ch4", DETAIL + "column_averaging_kernel", INPUT + "altitude_levels",
                   ("PRODUCT/qa_value", 100, 40), GEO + "longitude_bounds"),
    "wfmd": ("ch4", "xch4_averaging_kernel", "pressure_levels", ("xch4_quality_flag", 0, 1),
             "longitude_corners"),
    "srfp-co2": ("co2", "xco2_averaging_kernel", "pressure_levels", ("xco2_quality_flag", 0, 1), None),
    "ocfp": ("co2", "xco2_averaging_kernel", "pressure_levels", ("xco2_quality_flag", 0, 1), None),
    "nies-swfp": ("ch4", "RetrievalResult/xch4_column_averaging_kernel",
                  "RetrievalResult/pressure_level", ("RetrievalResult/xch4_quality_flag", 0, 1), None),
    "nies-swir-co2": ("co2", None, None, ("Data/retrievalQuality/totalPostScreeningResult", 0, 3), None),
    "tansat-sci": ("co2", "xco2_column_averaging_kernel", "pressure_levels", None, None),
    "musica": ("n2o", "musica_ghg_avk_rvec", None, ("musica_fit_quality_flag", 3, 1), None),
}
COMPARED = dict(x="x", pressure="pressure", weight="pressure_weight", ak="averaging_kernel",
                profile="profile_prior", corner_lon="longitude_bounds", corner_lat="latitude_bounds")


def change(path, name, how):
    """name of the file gets how(its values), through netCDF4 or, for plain HDF5, h5py."""
    if name.startswith(("RetrievalResult/", "Data/")):
        with h5py.File(path, "r+") as f:
            f[name][...] = how(f[name][...])
        return
    with netCDF4.Dataset(path, "r+") as f:
        f.set_auto_maskandscale(False)
        f[name][...] = how(f[name][...])


def disagreements(path, gas, want):
    """What skyflux makes of the granule that is not in the table; None: it refuses the granule."""
    out = os.path.join(WORK, "out.nc")
    done = subprocess.run([BINARY, "soundings", path, "--gas", gas, "--keep-dropped", "-o", out],
                          capture_output=True, text=True)
    if done.returncode != 0:
        assert done.returncode in (3, 4) and done.stderr, (path, done.returncode, done.stderr)
        return None
    use = np.flatnonzero(want["state"] != "empty")
    good = want["state"][use] == "good"
    bad = []
    with netCDF4.Dataset(out) as f:
        f.set_auto_mask(False)
        if not np.array_equal(f["drop_reason"][:] == 0, good):
            bad.append("good")
        for key, name in COMPARED.items():
            if key not in want or name not in f.variables:
                continue
            got, expected = f[name][:][good], want[key][use][good]
            expected = np.where(np.isnan(expected), 0, expected)
            got = np.where((expected == 0) | ~np.isfinite(got) | (abs(got) > 1e30), 0, got)
            if abs(got - expected).max() > 2e-5 * abs(expected).max():
                bad.append(key)
    return bad


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    missed, found = [], 0
    for name, (gas, kernel, levels, quality, corners) in CASES.items():
        intact = os.path.join(WORK, name + ".nc")
        subprocess.run([BINARY, "synth", "product", name, "-o", intact], check=True)
        want = raw.truth(intact, gas)
        assert disagreements(intact, gas, want) == [], (name, disagreements(intact, gas, want))
        faults = []
        if kernel:
            faults.append(("kernel reversed", kernel, lambda x: x[..., ::-1], {"ak"}))
        if levels:
            faults.append(("levels flipped", levels, lambda x: x[..., ::-1],
                           {"pressure", "ak", "profile", "good"}))
        if quality:
            flag, good, flagged = quality
            faults.append(("quality inverted", flag,
                           lambda x: np.where(x == good, flagged, np.where(x == flagged, good, x)),
                           {"good"}))
        if corners:
            faults.append(("corners turned", corners, lambda x: x[..., [1, 2, 3, 0]], {"corner_lon"}))
            faults.append(("corners crossed", corners, lambda x: x[..., [0, 2, 1, 3]], {"corner_lon"}))
        for fault, variable, how, expected in faults:
            wrong = os.path.join(WORK, "wrong.nc")
            shutil.copy(intact, wrong)
            change(wrong, variable, how)
            bad = disagreements(wrong, gas, want)
            if bad is None or set(bad) & expected:
                found += 1
            else:
                missed.append((name, fault, bad))
    print("\n".join(map(str, missed)) or "%d controls found" % found)
    return 1 if missed else 0


sys.exit(main())
