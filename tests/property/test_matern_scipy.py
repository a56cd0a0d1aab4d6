#!/usr/bin/python3
"""The Matérn correlation and its slope against scipy's K_ν, and against the mixture of Gaussians that it is."""
import subprocess
import sys

import numpy as np
from scipy.special import gamma, kve

TOOL = sys.argv[5]


def ours(nu, s):
    lines = "".join(f"{float(a)!r} {float(b)!r}\n" for a, b in zip(nu, s))
    r = subprocess.run([TOOL], input=lines, capture_output=True, text=True, check=True)
    return np.array(r.stdout.split(), float).reshape(-1, 2)


def mixture(nu, s, more=0):
    """ρ(s) = E exp(-s²/4V), V ~ Gamma(ν), over ln V in long doubles; more: times s²/2V, the slope."""
    w = np.arange(-40000, 4000, dtype=np.longdouble) / 64
    s, nu = np.longdouble(s), np.longdouble(nu)
    with np.errstate(over="ignore", under="ignore"):
        q = s * s / 4 * np.exp(-w)
        f = np.exp(nu * w - np.exp(w) - q) * (2 * q)**more
    return float(np.nansum(f) / 64 / np.longdouble(gamma(float(nu))))


rng = np.random.default_rng(1)
nu = np.exp(rng.uniform(np.log(0.1), np.log(20), 20000))
s = np.exp(rng.uniform(np.log(1e-8), np.log(700), 20000))
got = ours(nu, s)
front = 2**(1 - nu) / gamma(nu) * s**nu * np.exp(-s)
for k, want in enumerate((front * kve(nu, s), front * s * kve(np.abs(nu - 1), s))):
    error = np.abs(got[:, k] / want - 1)
    # scipy's own error reaches 1.7e-13 near s = 2 (below, where 64-bit mantissas tell), else 2e-14
    assert error.max() < 3e-13 and np.quantile(error, 0.99) < 3e-14, (k, error.max(), nu[error.argmax()])
    print("scipy", k, error.max(), np.quantile(error, 0.99))
worst = 0
for i in np.concatenate([np.argsort(-np.abs(got[:, 0] / (front * kve(nu, s)) - 1))[:20], np.arange(60)]):
    if s[i] > 300:  # exp(-s²/4V) and Gamma weights part
        continue
    for k in range(2):
        worst = max(worst, abs(got[i, k] / mixture(nu[i], s[i], k) - 1))
assert worst < 1e-13, worst
print("long double mixture", worst)
