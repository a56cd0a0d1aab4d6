#!/usr/bin/python3
"""Sectors of a table of activity as layers of a state, with the account's own covariance and beside a sink: the
invented city's CO2. The account's factors run through all sectors, so that together they answer as one layer
does; every layer against numpy on the problem's low rank + diagonal. arguments: BINARY DATA WORK SOURCE"""
import os
import shutil
import subprocess
import sys

import numpy as np
from netCDF4 import Dataset

binary, shared, work, source = sys.argv[1:5]
shutil.rmtree(work, ignore_errors=True)
os.makedirs(work)
subprocess.run([binary, "synth", "city", f"{work}/scene", "-q"], check=True)
SECTORS = "sectors=[{name: power, of: [power]}, {name: traffic, of: [transport]}, {name: others, of: [rest]}]"


def start(verb, name, *sets):
    args = [binary, verb, f"{work}/scene/city.yaml", "--set", f"job.output={work}/{name}"]
    args += ["--progress=none", "--stage", "invert-co2"] if verb == "run" else []
    for s in sets:
        args += ["--set", f"inversions[0].{s}"]
    return subprocess.run(args, capture_output=True, text=True, timeout=300)


def run(name, *sets):
    done = start("run", name, *sets)
    assert done.returncode == 0, (name, done.stderr)
    found = []
    for kind in ("problem", "posterior"):
        with Dataset(f"{work}/{name}/stages/{kind}-co2.nc") as d:
            d.set_auto_mask(False)
            found.append({k: v[:].astype(float) for k, v in d.variables.items() if v.dtype != str})
    return found


def near(a, b, relative, what):
    a, b = np.asarray(a, float), np.asarray(b, float)
    worst = np.abs(a - b).max() / np.abs(b).max()
    assert worst <= relative, (what, worst)
    return worst


_, plain = run("plain")
p, q = run("sectors", SECTORS)
NS, n = 3, len(plain["cell_prior"])
assert len(p["x0"]) == (NS + 1) * n
worst = max(near(q[k], plain[k], 1e-12, k) for k in ("cell_posterior", "sink_posterior", "sink_sd", "residual"))
near(q["sink_zone_posterior_sd"], plain["sink_zone_posterior_sd"], 1e-12, "sink")
# A zone that holds its regions whole does not depend on which sector lies where in a cell on its border.
near(q["zone_posterior"][0], plain["zone_posterior"][0], 1e-12, "the city")
near(q["zone_posterior_sd"][0], plain["zone_posterior_sd"][0], 1e-11, "the city")
near(q["zone_posterior"], plain["zone_posterior"], 1e-4, "zones")

F, sign, v = p["q_factor"], p["q_sign"], p["q_variance"]
layer = np.arange(len(p["x0"])) // n
assert all(np.abs(F[:, layer == l]).max() > 0 for l in range(NS + 1))
shared = [k for k in range(len(F)) if sum(np.abs(F[k, layer == l]).max() > 0 for l in range(NS)) > 1]
assert shared, "an error that two sectors share"
H = np.zeros((len(p["y"]), len(p["x0"])))
row, col = p["H_rowptr"].astype(int), p["H_col"].astype(int)
for i in range(len(H)):
    H[i, col[row[i]:row[i + 1]]] = p["H_data"][row[i]:row[i + 1]]
B = (p["group"][:, None] == np.arange(len(p["b0"]))).astype(float)
HQ = (H @ F.T * sign) @ F + H * v
psi = HQ @ H.T + B @ np.diag(p["b_sd"]**2) @ B.T + np.diag(p["r_sd"]**2)
solved = np.linalg.solve(psi, HQ)
near(q["x"], p["x0"] + solved.T @ (p["y"] - H @ p["x0"]), 1e-9, "x")
near(q["x_sd"]**2, p["x_sd"]**2 - np.einsum("ij,ij->j", HQ, solved), 1e-9, "variance")
ak = np.einsum("ij,ij->j", solved, H)
near(q["sector_total_dofs"], [ak[layer == l].sum() for l in range(NS)], 1e-9, "DOFS of the sectors")
near(q["sector_zone_posterior"].sum(0), q["zone_posterior"], 1e-12, "zones are sums")
C = q["sector_zone_covariance"].reshape(NS, -1, NS, q["sector_zone_posterior"].shape[1])
near(np.einsum("azbw->zw", C), q["zone_covariance"], 1e-9, "covariance of sums")
for sets, words in (
        (("sectors=[{name: a, of: [pwer]}, {name: b, of: [rest]}]",), "no sector 'pwer' (the inventory has power, "),
        ((SECTORS, "mixing=[{sectors: [power, others], correlation: 0.5}]"), "the prior's own covariance says"),
        (("sectors=[{name: a, of: [power], sigma: 1}, {name: b, of: [rest], sigma: 1}]",),
         "so sigma must be left out of sectors, too")):
    done = start("check", "refused", *sets)
    assert done.returncode == 2 and words in done.stderr, (words, done)
print(f"account: three sectors and a sink answer as one layer and a sink, to {worst:.1e}; each as numpy; "
      f"{len(shared)} errors are shared by sectors")
