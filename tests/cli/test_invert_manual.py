#!/usr/bin/python3
"""The example of docs/invert.md is a problem that ncgen makes, and its solution is that of dense numpy.
arguments: BINARY DATA WORK SOURCE"""
import os
import re
import shutil
import subprocess
import sys

import numpy as np

BINARY, DATA, WORK, SOURCE = sys.argv[1:5]
sys.path.insert(0, f"{SOURCE}/tests/support")
import invert_command as invert

shutil.rmtree(WORK, ignore_errors=True)
os.makedirs(WORK)
invert.use(BINARY)
cdl = re.search(r"```cdl\n(.*?)```", open(f"{SOURCE}/docs/invert.md").read(), re.S).group(1)
open(f"{WORK}/P.cdl", "w").write(cdl)
path = f"{WORK}/P.nc"
subprocess.run(["ncgen", "-4", "-o", path, f"{WORK}/P.cdl"], check=True)

y, r_sd, x0, zones, reg, X, f = invert.read(path, "y", "r_sd", "x0", "zones", "regressor", "drift")
space, time = invert.gaps(f)
H = invert.jacobian(f).toarray()
Q = np.kron(np.exp(-time / 2), invert.spherical(space / 3))
B = np.column_stack([[0, 0, 1], reg[0]])
R = np.diag(r_sd**2) + B @ np.diag([0.25, 1]) @ B.T
W = np.vstack([np.ones(8), *np.tile(zones, 2)])
for method in ("exact", "iterative"):
    a = invert.solve(path, "-m", method)
    got = [(a["posterior_total"], a["posterior_total_sd"])]
    got += [(z["posterior_total"], z["posterior_sd"]) for z in a["zones"]]
    assert [z["name"] for z in a["zones"]] == ["south", "park"]
    for w, (total, sd) in zip(W, got):
        step, want, _ = invert.posterior(H, Q, R, y - H @ x0, w)
        invert.near(total, w @ x0 + step, 1e-9)
        invert.near(sd, want, 1e-9)
psi = H @ Q @ H.T + R
G = H @ X.T
beta = np.linalg.solve(G.T @ np.linalg.solve(psi, G), G.T @ np.linalg.solve(psi, y))
for b, want in zip(invert.solve(path, "-m", "geostatistical")["beta"], beta):
    invert.near(b, want, 1e-9)
for args in (("-d", "--coarsen", 2), ("--huber", 2), ("--screen",), ("--sign", "nonnegative"), ("--by-time",)):
    invert.solve(path, *args)
