"""The column operator on real granules of every convention against numpy: a model of layers seen by
every sounding, written here from the equations alone, to 1e-10; the prior as the model gives the
prior column. Arguments: binary, data folder, work folder, source folder, the tool."""
import glob
import os
import subprocess
import sys

import netCDF4
import numpy as np

BINARY, DATA, WORK = sys.argv[1], os.path.join(sys.argv[2], "data"), sys.argv[3]
TOOL = sys.argv[5]
os.makedirs(WORK, exist_ok=True)
M = 30
EDGE = 500 + (101000 - 500) * (1 - np.arange(M + 1) / M) ** 1.3
VALUE = 1.9e-6 * (1 + 0.1 * np.sin(0.7 * np.arange(M)) - 0.01 * np.arange(M))
GAUSS_X, GAUSS_W = np.polynomial.legendre.leggauss(4)  # exact to degree 7; we need 2


def shape(nodes, j, k, p):
    """Hat (or box) j on the interval k of the nodes."""
    t = (nodes[k] - p) / (nodes[k] - nodes[k + 1])
    return 1 - t if j == k else t


def project(nodes, layers, prior, rule):
    edge = EDGE.copy()
    if rule == "stretch":
        edge = edge[-1] + (edge - edge[-1]) * (nodes[0] - edge[-1]) / (edge[0] - edge[-1])
    n = len(nodes)
    load, mass = np.zeros(n), np.zeros((n, n))
    means = np.zeros(n - 1)
    cuts = np.unique(np.concatenate([nodes, edge]))[::-1]
    for k in range(n - 1):
        inside = cuts[(cuts <= nodes[k]) & (cuts >= nodes[k + 1])]
        for a, b in zip(inside[:-1], inside[1:]):
            p = (a + b) / 2 + (a - b) / 2 * GAUSS_X
            w = (a - b) / 2 * GAUSS_W
            mid = (a + b) / 2
            if mid > edge[0]:
                c = np.full(4, VALUE[0])
            elif mid < edge[-1]:
                c = np.full(4, prior[k]) if layers else (
                    prior[k] * shape(nodes, k, k, p) + prior[k + 1] * shape(nodes, k + 1, k, p))
            else:
                c = np.full(4, VALUE[np.searchsorted(-edge, -mid) - 1])
            means[k] += np.sum(w * c)
            for j in (k, k + 1):
                load[j] += np.sum(w * c * shape(nodes, j, k, p))
        h = nodes[k] - nodes[k + 1]
        mass[k, k] += h / 3
        mass[k + 1, k + 1] += h / 3
        mass[k, k + 1] += h / 6
        mass[k + 1, k] += h / 6
    if layers:
        return means / -np.diff(nodes)
    return np.linalg.solve(mass, load)


def tool(path, rule):
    out = subprocess.run([TOOL, path, rule], capture_output=True, text=True, check=True).stdout
    return np.array([line.split() for line in out.splitlines()], dtype=float)


def filled(v):
    return np.ma.filled(np.ma.asarray(v[:], dtype="f8"), np.nan)


def check(name, pattern, gas, many=60):
    found = sorted(glob.glob(os.path.join(DATA, pattern)))
    if not found:
        print("no real file", pattern)
        return 0
    path = os.path.join(WORK, name + ".nc")
    subprocess.run([BINARY, "soundings", *found, "--gas", gas, "-o", path, "--progress=none"],
                   capture_output=True, check=True)
    with netCDF4.Dataset(path) as f:
        unit = {"ppm": 1e-6, "ppb": 1e-9}[f["x"].units]
        ps, p = filled(f["surface_pressure"]) * 100, filled(f["pressure"]) * 100
        w, ak = filled(f["pressure_weight"]), filled(f["averaging_kernel"])
        prior, profile = filled(f["x_prior"]) * unit, filled(f["profile_prior"]) * unit
        layers = f.vertical == "layers"
    own = tool(path, "prior")
    assert np.array_equal(own[:, 0], np.arange(len(ps)))
    assert np.all(np.abs(own[:, 2] / prior - 1) < 1e-12), (name, np.abs(own[:, 2] / prior - 1).max())
    rows = np.linspace(0, len(ps) - 1, many).astype(int)
    for rule in ("extend", "stretch"):
        got, worst = tool(path, rule), 0
        for i in rows:
            use = np.isfinite(p[i])  # some soundings have a level less
            nodes, own_ak, own_profile, own_w = p[i][use], ak[i][use], profile[i][use], w[i][use]
            if layers:
                nodes = [ps[i]]
                for mid in p[i]:
                    nodes.append(2 * mid - nodes[-1])
            seen = project(np.asarray(nodes), layers, own_profile, rule)
            want = prior[i] + np.sum(own_w * own_ak * (seen - own_profile))
            worst = max(worst, abs(got[i, 2] / want - 1))
            assert abs(got[i, 1] - (EDGE[0] - nodes[0])) < 1e-6
            # Negative control: the kernel the other way round is another column.
            other = prior[i] + np.sum(own_w * own_ak[::-1] * (seen - own_profile))
            assert abs(other / want - 1) > 1e-9
        assert worst < 1e-10, (name, rule, worst)
    # The two rules differ where the surfaces do.
    assert np.nanmax(np.abs(tool(path, "extend")[:, 2] - tool(path, "stretch")[:, 2])) > 0
    print(name, len(ps), "soundings")
    return 1


DONE = (check("acos", "acos_oco_lite/*.nc4", "co2") + check("ocpr", "ghgcci_gosat/*.nc", "ch4")
        + check("blended", "tropomi_ch4_blended/*02850*.nc", "ch4")
        + check("tccon", "*/*public*.nc", "co2", 64) + check("tccon", "*/*public*.nc", "ch4", 64))
sys.exit(0 if DONE > 0 else 77)
